-- Every allocation on the path of requests of all kinds fails once: ENOMEM for that request, or for
-- the call that makes it; nothing leaks, and the session goes on.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local request = require "spec.support.request"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, u32, str = unit.C, unit.u32, unit.str
local MARKER, COLUMNS, NEW = { { "k", 9 } }, { { "k", 9 } }, { { "k", 9 }, { "v", 13 } }
local LONG = ("x"):rep(20000)

local function prepared_of(p, tag)
  for _, entry in ipairs(p:done()) do
    if entry.tag == tag and entry.status == 0 then
      local prepared = ffi.gc(C.cql_result_prepared(entry.result), C.cql_prepared_unref)
      C.cql_result_free(entry.result)
      return prepared
    end
  end
end

-- What each tag asks, and how the server answers it, step by step.
local function kinds(version, statement)
  local payload = version > 3 and "\0\1" .. str "a" .. u32(1) .. "x" or nil
  local values = { u32(7) }
  local function rows(columns, row, options)
    return "RESULT", server.rows(columns, { row }, options)
  end
  local unprepared = { "ERROR", server.error(0x2500, "?", str "id") }
  local again = { "RESULT", server.prepared(version, "id", MARKER, COLUMNS, "two") }
  return {
    { { query = "Q", values = { LONG, "x" } }, { rows({ { "v", 13 } }, { LONG }) } },
    { { query = "Q", names = { "a" }, values = { request.NULL },
      options = { paging_state = LONG, payload = payload } },
      { rows(NEW, { u32(1), "new" }, { paging_state = "more" }) } },
    { { prepare = "P", options = { keyspace = version == 5 and "ks" or nil } },
      { "RESULT", server.prepared(version, "other", MARKER, NEW) } },
    { { execute = statement, values = values }, unprepared, again,
      { rows(COLUMNS, { u32(1) }, { no_metadata = version == 5 }) } },
    { { execute = statement, encoded = values },
      { rows({ { "w", 13 } }, { "changed" }, { metadata_id = version == 5 and "three" or nil }) } },
    { { batch = 0, { query = LONG }, { execute = statement, values = values }, { query = "X" },
      { execute = statement } }, unprepared, again, { "RESULT", server.VOID } },
    { { query = "refused" }, { "ERROR", server.error(0x1200, LONG) } },
    { { query = "changes" }, { "RESULT", u32(5) .. str "CREATED" .. str "KEYSPACE" .. str "ks" } },
  }
end

local function is_want_of_memory(status)
  return status == C.CQL_ENOMEM or status == C.CQL_ECONNECTION
end

-- One request at a time, so that it is known which one an answer is for. Its status, or nil if it
-- could not be made.
local function run(p, script, tag)
  local handle, err = request.make(p.session, script[1])
  if not handle then
    assert.equal(C.CQL_ENOMEM, err)
    return nil
  end
  C.cql_submit(handle, tag)
  local at, stop = 2, p:now() + 60000
  while p:now() < stop do
    local wait = p:timeout()
    if wait ~= 0 and C.cql__sim_ready(p.sim) == 0 then
      C.cql__sim_advance(p.sim, wait < 0 and 1000 or wait)
    end
    p:step()
    local done = p:done()
    if done[1] then
      assert.same({ 1, tag }, { #done, done[1].tag })
      if done[1].result then C.cql_result_free(done[1].result) end
      return done[1].status
    end
    for _, socket in ipairs(p:open_sockets()) do
      p:accept(socket)
      for _, asked in ipairs(p:requests(socket)) do
        if asked.stream == 0 then
          p:shake_one(asked, socket)
        else
          local answer = script[math.min(at, #script)] -- a PREPARE is sent again
          at = at + 1
          p:answer(asked.stream, answer[1], answer[2], nil, socket)
        end
      end
    end
  end
  error(tag .. " never ended")
end

local function life(version, n)
  local p = assert(peer.new { protocol_version = version })
  p:serve()
  p:submit(1, { prepare = "S" })
  p:step()
  p:answer(p:requests()[1].stream, "RESULT",
    server.prepared(version, "id", MARKER, COLUMNS, "one"))
  p:step()
  local statement = prepared_of(p, 1)
  local scripts = kinds(version, statement)
  local before = C.cql__mem_count()
  C.cql__mem_fail(n, 0)
  local failures = 0
  for tag, script in ipairs(scripts) do
    local status = run(p, script, tag)
    if status and tag == 7 and status == C.CQL_ESERVER then status = 0 end
    if status ~= 0 then
      failures = failures + 1
      assert(status == nil or is_want_of_memory(status), ("request %d: %s"):format(tag, status))
    end
  end
  local made = tonumber(C.cql__mem_count() - before)
  C.cql__mem_fail(0, 0)
  assert(failures <= 1, failures .. " failed for one allocation")
  for tag, script in ipairs(scripts) do
    local status = run(p, script, tag)
    assert.equal(tag == 7 and C.CQL_ESERVER or 0, status)
  end
  local m = p:metrics()
  assert.same({ 0, 0, 0 }, { m.taken, m.in_flight, m.queued })
  p:free()
  return made >= n
end

for version = 3, 5 do
  it("the n-th allocation fails, for every n, on v" .. version, function()
    collectgarbage()
    collectgarbage()
    local live, n = tonumber(C.cql__mem_live()), 0
    repeat
      n = n + 1
      local ok, more = pcall(life, version, n)
      if not ok then error(("allocation %d: %s"):format(n, tostring(more)), 0) end
      collectgarbage()
      collectgarbage()
      assert.equal(live, tonumber(C.cql__mem_live()), "allocation " .. n .. " leaks")
    until not more
    assert(n > 20, n)
  end)
end

it("closing needs no memory", function()
  for n = 1, 10 do
    local p = assert(peer.new {})
    p:serve()
    p:submit(1, { query = "Q" })
    p:step()
    p:done()
    C.cql__mem_fail(n, 1)
    assert.equal(0, C.cql__session_close(p.session, 0))
    local done = p:done()
    C.cql__mem_fail(0, 0)
    assert.same({ 1, C.CQL_ECLOSED }, { #done, done[1].status })
    assert.truthy(p:event(C.CQL_EVENT_CLOSED))
    p:free()
  end
end)
