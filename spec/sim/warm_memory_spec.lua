-- Every allocation fails once while statements are prepared beforehand, and again for many who
-- wait: what is only of use later does without, at most one request ends for want of memory, and
-- nothing leaks.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local request = require "spec.support.request"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, u32, str = unit.C, unit.u32, unit.str
local MARKER, PREPARE, EXECUTE = { { "k", 9 } }, 9, 10
local WAITING = 5

local p, knows, statement

-- Nodes by their addresses: what each has prepared.
local function answer(asked, socket)
  local node = p:address(socket)
  if asked.opcode == PREPARE then
    knows[node] = true
    p:answer(asked.stream, "RESULT", server.prepared(asked.version, "id", MARKER, MARKER, "one"),
      nil, socket)
  elseif knows[node] then
    assert.equal(EXECUTE, asked.opcode)
    p:answer(asked.stream, "RESULT", server.VOID, nil, socket)
  else
    p:answer(asked.stream, "ERROR", server.error(0x2500, "?", str "id"), nil, socket)
  end
end

-- All that was asked in one turn is read before any of it is answered.
local function turn()
  local wait = p:timeout()
  if wait ~= 0 and C.cql__sim_ready(p.sim) == 0 then
    C.cql__sim_advance(p.sim, wait < 0 and 1000 or wait)
  end
  p:step()
  p:collect()
  for _, socket in ipairs(p:open_sockets()) do
    p:accept(socket)
    for _, asked in ipairs(p:requests(socket)) do
      if asked.stream == 0 then p:shake_one(asked, socket) else answer(asked, socket) end
    end
  end
end

local function run_until(reached)
  for _ = 1, 1000 do
    if reached() then return end
    turn()
  end
  error "it never came"
end

local function all_serve() return p:metrics().connections == 2 end
local function all_rest()
  local m = p:metrics()
  return m.taken + m.own + m.in_flight + m.queued == 0
end

local function is_want_of_memory(status)
  return status == C.CQL_ENOMEM or status == C.CQL_ECONNECTION
end

-- Runs such requests at once to their ends; how many failed. Each ends once.
local function run(list)
  local failures, open, ended = 0, 0, {}
  for tag, what in ipairs(list) do
    local handle, err = request.make(p.session, what)
    if handle then
      C.cql_submit(handle, tag)
      open = open + 1
    else
      assert.equal(C.CQL_ENOMEM, err)
      failures = failures + 1
    end
  end
  run_until(function()
    for _, done in ipairs(p:done()) do
      assert.is_nil(ended[done.tag])
      ended[done.tag], open = true, open - 1
      if done.status ~= 0 then
        assert(is_want_of_memory(done.status), done.status)
        failures = failures + 1
      elseif done.result and list[done.tag].prepare then
        statement = ffi.gc(C.cql_result_prepared(done.result), C.cql_prepared_unref)
      end
      if done.result then C.cql_result_free(done.result) end
    end
    return open == 0
  end)
  return failures
end

local function run_prepare() return run { { prepare = "SELECT" } } end

local function run_executes()
  local list = {}
  for tag = 1, WAITING do
    list[tag] = { execute = statement, values = { u32(tag) }, options = { idempotent = true } }
  end
  return run(list)
end

-- Prepares, which the other node is told of; has both forget; and one come back.
local function pass()
  local failures = run_prepare()
  if not statement then failures = failures + run_prepare() end
  run_until(all_rest)
  knows = {}
  failures = failures + run_executes()
  p:reset(p:open_sockets()[1])
  turn()
  knows = {}
  run_until(all_serve)
  failures = failures + run_executes()
  run_until(all_rest)
  return failures
end

local function life(n)
  knows, statement = {}, nil
  p = assert(peer.new { protocol_version = 4, contact_points = "127.0.0.1,127.0.0.2",
    prepare_on_all = "true" })
  run_until(all_serve)
  local before = C.cql__mem_count()
  C.cql__mem_fail(n, 0)
  local failures = pass()
  local made = tonumber(C.cql__mem_count() - before)
  C.cql__mem_fail(0, 0)
  assert(failures <= 1, failures .. " failed for one allocation")
  assert.equal(0, pass())
  local warmed = tonumber(p:metrics().statements_warmed)
  p:free()
  p, statement = nil, nil
  return made >= n, warmed
end

it("the n-th allocation fails, for every n", function()
  local function collect()
    collectgarbage()
    collectgarbage()
    return tonumber(C.cql__mem_live())
  end
  local live, n, most = collect(), 0, 0
  local more
  repeat
    n = n + 1
    local ok, warmed
    ok, more, warmed = pcall(life, n)
    C.cql__mem_fail(0, 0)
    if not ok then error(("allocation %d: %s"):format(n, tostring(more)), 0) end
    most = math.max(most, warmed)
    assert.equal(live, collect(), "allocation " .. n .. " leaks")
    assert(warmed >= 3, warmed) -- of the two times without a failure
  until not more
  assert(n > 15, n)
  assert(most > 3, most)
end)
