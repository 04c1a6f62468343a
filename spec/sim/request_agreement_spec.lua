-- A change of the schema on the simulated link: what the node says of versions, garbage included,
-- the memory that the wait needs, and the end of what it waits on.
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, u32, str = unit.C, unit.u32, unit.str
local UUID = 12
local VERSIONS = { { "schema_version", UUID }, { "host_id", UUID } }
local CHANGED = u32(5) .. str "CREATED" .. str "KEYSPACE" .. str "ks"
local ONE, TWO, HOST = ("1"):rep(16), ("2"):rep(16), ("h"):rep(16)

local p
local function open(options)
  options = options or {}
  options.schema_agreement_ms = options.schema_agreement_ms or 1000
  p = peer.serving(options)
end
after_each(peer.free_all)

-- All that is asked now, on all connections.
local function asked()
  p:step()
  local list = {}
  for _, socket in ipairs(p:open_sockets()) do
    for _, what in ipairs(p:requests(socket)) do
      what.socket = socket
      list[#list + 1] = what
    end
  end
  return list
end
local function question(from)
  local list = asked()
  assert.equal(1, #list)
  assert.truthy(list[1].body:find("FROM system." .. from, 1, true))
  return list[1]
end
local function answer(what, body, opcode)
  p:answer(what.stream, opcode or "RESULT", body, nil, what.socket)
  p:step()
end
local function rows(...)
  local list = {}
  for i, version in ipairs { ... } do list[i] = { version, HOST } end
  return server.rows(VERSIONS, list)
end
local function result()
  local done = p:done()
  if not done[1] then return nil end
  assert.equal(1, #done)
  local kind = done[1].result ~= nil and done[1].result.kind or nil
  if kind then C.cql_result_free(done[1].result) end
  return done[1].status, done[1].schema_agreed, kind
end
local function begin(options)
  open(options)
  p:submit(1, { query = "DDL" })
  local list = asked()
  assert.equal(1, #list)
  answer(list[1], CHANGED)
  assert.is_nil(result())
  return list[1].socket
end
local SUCCESS = C.CQL_RESULT_SCHEMA_CHANGE

it("is over when local and peers have one version", function()
  begin()
  answer(question "local", rows(ONE))
  assert.is_nil(result())
  answer(question "peers", rows(ONE, ONE))
  assert.same({ 0, 1, SUCCESS }, { result() })
end)

it("rows without a version don't count, and no peers are agreed", function()
  begin()
  answer(question "local", rows(ONE))
  result()
  answer(question "peers", rows(ONE, false))
  assert.same({ 0, 1, SUCCESS }, { result() })
  p:submit(1, { query = "DDL" })
  answer(asked()[1], CHANGED)
  result()
  answer(question "local", rows(ONE))
  result()
  answer(question "peers", rows())
  assert.same({ 0, 1, SUCCESS }, { result() })
end)

it("rows without a host id don't count: they are what is left of a node", function()
  begin()
  answer(question "local", rows(ONE))
  result()
  answer(question "peers", server.rows(VERSIONS, { { ONE, HOST }, { TWO, false } }))
  assert.same({ 0, 1, SUCCESS }, { result() })
end)

it("looks again after each interval, on the connection that the change came by", function()
  local socket = begin { connections_per_node = 3, schema_agreement_ms = 5000 }
  for _ = 1, 5 do
    local what = question "local"
    assert.equal(socket, what.socket)
    answer(what, rows(ONE))
    result()
    what = question "peers"
    assert.equal(socket, what.socket)
    answer(what, rows(ONE, TWO))
    assert.is_nil(result())
    assert.same({}, asked())
    p:advance(199)
    assert.same({}, asked())
    p:advance(1)
  end
  C.cql__sim_reset(p.sim, socket) -- the look goes on by another connection of that node
  p:step()
  assert.is_nil(result())
  p:advance(200)
  local list = {}
  for _, what in ipairs(asked()) do
    if what.body:find("FROM system.local", 1, true) then list[#list + 1] = what end
  end
  assert.equal(1, #list)
  assert.is_true(list[1].socket ~= socket)
  answer(list[1], rows(ONE))
  result()
  answer(question "peers", rows(ONE))
  assert.same({ 0, 1, SUCCESS }, { result() })
end)

it("garbage, errors and silence are no answers: it ends with its result at its limit", function()
  local garbage = {
    { server.rows({ { "a", 9 } }, { { u32(1) } }) },
    { server.rows(VERSIONS, { { "short", HOST } }) },
    { server.VOID }, { server.rows(VERSIONS, {}) }, { server.rows({ { "a", 9 }, { "b", 9 } }, {}) },
    { rows(ONE):sub(1, -5) }, { server.error(0x2200, "no such table"), "ERROR" }, { "" }, {},
  }
  for _, step in ipairs { "local", "peers" } do
    for i, what in ipairs(garbage) do
      begin()
      if step == "peers" then
        answer(question "local", rows(ONE))
        result()
      end
      if step == "local" or i ~= 4 then -- no peers at all are fine
        local to = question(step)
        if what[1] then answer(to, what[1], what[2]) end
        assert.is_nil(result())
        p:advance(1100)
        assert.same({ 0, 0, SUCCESS }, { result() })
        p:advance(20000) -- nothing comes of it later
        assert.is_nil(result())
      end
      p:free()
      p = nil
    end
  end
end)

it("ends as its session closes, with its result; freed at any time it leaks nothing", function()
  collectgarbage()
  local live = tonumber(C.cql__mem_live())
  for step = 0, 2 do
    for _, how in ipairs { "close", "drain", "free" } do
      begin()
      if step > 0 then
        answer(question "local", rows(ONE))
        result()
      end
      if step > 1 then
        answer(question "peers", rows(TWO))
        result()
      end
      if how ~= "free" then
        C.cql__session_close(p.session, how == "drain" and 1000 or 0)
        local status, agreed, kind
        for _ = 1, 5 do
          p:step()
          if not status then status, agreed, kind = result() else p:done() end
        end
        assert.same({ 0, 0, SUCCESS }, { status, agreed, kind })
        assert.equal(0, p:metrics().taken)
      end
      p:free()
      p = nil
      assert.equal(live, tonumber(C.cql__mem_live()))
    end
  end
end)

it("every allocation of the wait may fail: it ends with its result, and nothing leaks", function()
  collectgarbage()
  local live, n, more = tonumber(C.cql__mem_live()), 0, true
  while more do
    n = n + 1
    open()
    p:submit(1, { query = "DDL" })
    local to = asked()[1]
    local before = C.cql__mem_count()
    C.cql__mem_fail(n, 0)
    p:answer(to.stream, "RESULT", CHANGED, nil, to.socket)
    local status, agreed, stop = nil, nil, p:now() + 3000
    while not status and p:now() < stop do
      for _, what in ipairs(asked()) do
        if what.opcode == 7 then answer(what, rows(ONE)) end
      end
      status, agreed = result()
      if not status then p:advance(50) end
    end
    more = tonumber(C.cql__mem_count() - before) >= n
    C.cql__mem_fail(0, 0)
    assert(status == 0 or status == C.CQL_ENOMEM or status == C.CQL_ECONNECTION, status)
    if status == 0 then assert(agreed == 0 or agreed == 1) end
    local m = p:metrics()
    assert.same({ 0, 0, 0 }, { m.taken, m.in_flight, m.queued })
    p:free()
    p = nil
    assert.equal(live, tonumber(C.cql__mem_live()), "allocation " .. n .. " leaks")
  end
  assert(n > 2, n)
end)
