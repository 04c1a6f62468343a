-- Law 4: no allocation per request in the steady state. Counted at the core's own door to malloc(),
-- over whole rounds of submit, flush, read, poll and free; spec/c/laws.c counts from outside.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local request = require "spec.support.request"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, u32 = unit.C, unit.u32
local MARKER, COLUMNS = { { "k", 9 } }, { { "k", 9 }, { "v", 13 } }

local sanitized = (os.getenv "ASAN_OPTIONS" or "") ~= ""

local p, statement

local function prepare(version)
  p:submit(1, { prepare = "S" })
  p:step()
  p:answer(p:requests()[1].stream, "RESULT",
    server.prepared(version, "statement's id..", MARKER, COLUMNS))
  p:step()
  local done = p:done()[1]
  statement = ffi.gc(C.cql_result_prepared(done.result), C.cql_prepared_unref)
  C.cql_result_free(done.result)
end

local function open(version, options)
  options = options or {}
  options.protocol_version = version
  local before = C.cql__mem_count()
  p = assert(peer.new(options))
  assert(C.cql__mem_count() > before) -- it does count
  p:serve()
  p:done()
  prepare(version)
end

after_each(function()
  statement = nil
  collectgarbage()
  if p then p:free() end
  p = nil
end)

-- ---- a round: so many requests, all answered, all polled ----

local KINDS = {}

local value = ffi.new "cql_slice_t[1]"
local number = u32(7)
value[0].data, value[0].length = number, 4

local function execute(handle)
  assert(C.cql_request_execute(handle, statement) == 0)
  assert(C.cql_bind(handle, value, 1) == 0)
end

local row = { u32(7), ("v"):rep(100) }
KINDS.select = { make = execute,
  answer = function(v) return server.rows(COLUMNS, { row }, { no_metadata = v > 4 }) end }
KINDS.insert = { make = execute, answer = function() return server.VOID end }
KINDS.text = {
  make = function(handle) assert(C.cql_request_query(handle, "SELECT * FROM t", 15) == 0) end,
  answer = function() return server.rows(COLUMNS, { row }) end,
}
-- Sent from where it lies, and received into a buffer that its result holds.
local long = ("x"):rep(30000)
KINDS.large = {
  make = function(handle) assert(C.cql_request_query(handle, long, #long) == 0) end,
  answer = function() return server.rows(COLUMNS, { { u32(7), long } }) end,
}
KINDS.batch = {
  make = function(handle)
    assert(C.cql_request_batch(handle, C.CQL_UNLOGGED) == 0)
    for _ = 1, 20 do
      assert(C.cql_batch_add_prepared(handle, statement, u32(4) .. number, 8, 1) == 0)
    end
  end,
  answer = function() return server.VOID end,
}
local options = request.options { paging_state = ("s"):rep(50), timeout_ms = 5000, page_size = 10 }
KINDS.paged = {
  make = function(handle)
    execute(handle)
    assert(C.cql_request_options(handle, options) == 0)
  end,
  answer = function() return server.rows(COLUMNS, { row }, { paging_state = ("s"):rep(50) }) end,
}
KINDS.refused = { make = execute, answer = function() return server.error(0x1001, "busy") end,
  opcode = "ERROR" }

local taken = ffi.new "cql_request_t *[1]"
local function submit(count, kind)
  for tag = 1, count do
    assert(C.cql_request_take(p.session, taken) == 0)
    kind.make(taken[0])
    C.cql_submit(taken[0], tag)
  end
  p:step()
end

-- Answers to whatever was asked, in segments as full as they can be.
local function answer(version, kind)
  local list, part, size = p:requests(), {}, 0
  local function say()
    if #part == 0 then return end
    local bytes = table.concat(part)
    p:say(version >= 5 and server.segment(bytes) or bytes)
    part, size = {}, 0
  end
  local body = kind.answer(version)
  for _, asked in ipairs(list) do
    local envelope = server.envelope(version, asked.stream, kind.opcode or "RESULT", body)
    if size + #envelope > 131071 then say() end
    part[#part + 1] = envelope
    size = size + #envelope
  end
  say()
  return #list
end

local out = ffi.new "cql_completion_t[256]"
local function poll()
  local total = 0
  repeat
    local count = C.cql__session_poll(p.session, 256, out)
    for i = 0, count - 1 do
      local done = out[i].kind == C.CQL_DONE
      assert(done or out[i].code == C.CQL_EVENT_REPREPARED)
      if out[i].result ~= nil then C.cql_result_free(out[i].result) end
      total = total + (done and 1 or 0)
    end
  until count == 0
  return total
end

local function finish(count)
  local total = 0
  for _ = 1, 200 do
    p:step()
    total = total + poll()
    if total == count then return end
  end
  error(("%d of %d came back"):format(total, count))
end

local function allocations(round, times)
  for _ = 1, 4 do round() end -- everything grows to its size
  local before = C.cql__mem_count()
  for _ = 1, times do round() end
  return tonumber(C.cql__mem_count() - before)
end

local function check(count, version, kind)
  open(version)
  assert.equal(0, allocations(function()
    submit(count, kind)
    assert(answer(version, kind) == count)
    finish(count)
  end, count < 1000 and 20 or 3))
end

if sanitized then
  it("no allocation per request", function()
    pending "blocks aren't recycled under the sanitizers"
  end)
  return
end

for version = 3, 5 do
  for _, count in ipairs { 1, 32, 1024, 30000 } do
    for name, kind in pairs(KINDS) do
      if count < 2000 and (name ~= "large" or count < 100) then
        it(("%s: none on v%d at %d in flight"):format(name, version, count), function()
          check(count, version, kind)
        end)
      end
    end
    if count == 30000 and version > 3 then
      for _, name in ipairs { "select", "insert" } do
        it(("%s: none on v%d at %d in flight"):format(name, version, count), function()
          check(count, version, KINDS[name])
        end)
      end
    end
  end
end

-- ---- what isn't answered in time ----

for version = 4, 5 do
  for _, count in ipairs { 1, 32, 1024, 30000 } do
    it(("time-outs: none on v%d at %d in flight"):format(version, count), function()
      open(version, { request_timeout_ms = 100 })
      assert.equal(0, allocations(function()
        submit(count, KINDS.insert)
        C.cql__sim_advance(p.sim, 100)
        finish(count)
        answer(version, KINDS.insert) -- late
        p:step()
        assert(poll() == 0 and p:metrics().orphans == 0)
      end, 3))
    end)
  end

  it(("cancelling, and waiting in line: none on v%d"):format(version), function()
    open(version, { streams_max = 100 })
    assert.equal(0, allocations(function()
      submit(300, KINDS.select)
      for tag = 1, 300, 3 do assert(C.cql_cancel(p.session, tag) == 1) end
      local ended = 0
      for _ = 1, 200 do
        p:step()
        ended = ended + poll()
        answer(version, KINDS.select)
      end
      assert(ended == 300 and p:metrics().orphans == 0)
    end, 5))
  end)

  it(("UNPREPARED: none but for reading what was prepared, on v%d"):format(version), function()
    open(version)
    local forgotten = { make = execute, opcode = "ERROR",
      answer = function() return server.error(0x2500, "?", unit.str "statement's id..") end }
    local prepared = { answer = function(v)
      return server.prepared(v, "statement's id..", MARKER, COLUMNS)
    end }
    local made = allocations(function()
      submit(10, forgotten)
      answer(version, forgotten)
      p:step()
      answer(version, prepared)
      p:step()
      answer(version, KINDS.select)
      finish(10)
    end, 5)
    assert(made <= 5 * 10 * 3, made) -- the shape of the markers, made and let go
  end)
end
