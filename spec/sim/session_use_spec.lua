-- USE: recorded when it has succeeded, on every connection, and on each new one before it serves;
-- no connection ever serves in another keyspace than the session's.
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C = unit.C
local QUERY = server.OPCODE.QUERY
local KEYSPACE_ERROR = server.error(0x2200, "Keyspace 'nope' does not exist")

local p
after_each(peer.free_all)

-- `count` connections that serve.
local function open(count, options)
  options = options or {}
  options.connections_per_node = count
  p = peer.serving(options)
end

local function use(keyspace, tag)
  return C.cql__session_use(p.session, keyspace, #keyspace, tag or 1)
end

-- { [socket] = list } of what each asks now; a USE among them as { "USE name", stream }.
local function asked()
  local list = {}
  for _, socket in ipairs(p:open_sockets()) do
    for _, what in ipairs(p:requests(socket)) do
      list[#list + 1] = { socket = socket, stream = what.stream, opcode = what.opcode,
        text = what.body:match 'USE "[^%z]-"' or what.body:sub(5) }
    end
  end
  return list
end
local function answer(what, body, opcode)
  p:answer(what.stream, opcode or "RESULT", body, nil, what.socket)
end

local function result()
  p:step()
  local done = p:done()
  assert(#done <= 1)
  if not done[1] then return nil end
  if done[1].result then C.cql_result_free(done[1].result) end
  return done[1].status
end

-- The first USE, as a request; then it is answered.
local function first(keyspace)
  p:step()
  local list = asked()
  assert.equal(1, #list)
  assert.equal('USE "' .. keyspace .. '"', list[1].text)
  assert(list[1].stream > 0)
  return list[1]
end

-- The USEs on the connections' own stream; by socket.
local function others(keyspace, count)
  p:step()
  local list, by_socket = asked(), {}
  assert.equal(count, #list)
  for _, what in ipairs(list) do
    assert.same({ 'USE "' .. keyspace .. '"', 0 }, { what.text, what.stream })
    by_socket[what.socket] = what
  end
  return list, by_socket
end

it("goes to all connections, and completes when all have answered", function()
  open(3)
  assert.equal(0, use("ks", 7))
  answer(first "ks", server.keyspace "ks")
  assert.equal(nil, result())
  local list = others("ks", 3)
  for i = 1, 2 do answer(list[i], server.keyspace "ks") end
  assert.equal(nil, result())
  answer(list[3], server.keyspace "ks")
  p:step()
  local done = p:done()
  assert.same({ 1, 7, 0 }, { #done, done[1].tag, done[1].status })
  C.cql_result_free(done[1].result)
end)

it("quotes the name as it stands", function()
  open(1)
  assert.equal(0, use 'Mixed"Case')
  p:step()
  assert.truthy(p:requests()[1].body:find('USE "Mixed""Case"', 1, true))
end)

it("refuses names that are none", function()
  open(1)
  assert.equal(C.CQL_EINVAL, use "")
  assert.equal(C.CQL_EINVAL, use(("k"):rep(201)))
  assert.equal(C.CQL_EINVAL, C.cql__session_use(p.session, "a\0b", 3, 1))
  assert.equal(0, use(('"'):rep(200)))
end)

it("that fails keeps the old keyspace everywhere", function()
  open(2, { keyspace = "old" })
  assert.equal(0, use "nope")
  answer(first "nope", KEYSPACE_ERROR, "ERROR")
  assert.equal(C.CQL_ESERVER, result())
  p:step()
  assert.same({}, asked())
  assert.equal(2, p:metrics().connections)
  C.cql__sim_reset(p.sim, 0) -- what opens next is in the old one
  p:step()
  p:advance(200)
  p.used = nil
  p:serve()
  assert.equal("old", p.used)
end)

it("is one at a time, in each of its phases", function()
  open(2)
  assert.equal(0, use "one")
  assert.equal(C.CQL_EBUSY, use "two")
  answer(first "one", server.keyspace "one")
  assert.equal(C.CQL_EBUSY, use "two")
  assert.equal(nil, result())
  assert.equal(C.CQL_EBUSY, use "two")
  for _, what in ipairs(others("one", 2)) do answer(what, server.keyspace "one") end
  assert.equal(0, result())
  assert.equal(0, use "two")
end)

it("that fails on one connection closes it: it would serve in the old keyspace", function()
  open(3)
  use "ks"
  answer(first "ks", server.keyspace "ks")
  result()
  local list = others("ks", 3)
  answer(list[1], server.keyspace "ks")
  answer(list[2], KEYSPACE_ERROR, "ERROR")
  answer(list[3], server.keyspace "ks")
  assert.equal(C.CQL_EKEYSPACE, result())
  assert.truthy(p:event(C.CQL_EVENT_WARNING))
  assert.equal(2, p:metrics().connections)
  p:advance(200)
  p.used = nil
  p:serve()
  assert.equal("ks", p.used)
end)

it("isn't held up by a connection that closes, or that never answers", function()
  open(3, { request_timeout_ms = 3000, heartbeat_ms = 0 })
  use "ks"
  answer(first "ks", server.keyspace "ks")
  result()
  local list = others("ks", 3)
  answer(list[1], server.keyspace "ks")
  C.cql__sim_reset(p.sim, list[2].socket)
  assert.equal(nil, result())
  p:advance(2999)
  assert.same({}, p:done())
  p:advance(1) -- list[3] said nothing
  assert.equal(0, result())
  assert.equal(true, p:is_closed(list[3].socket))
  p:advance(400)
  for socket = 3, 4 do
    p.used = nil
    p:serve(socket)
    assert.equal("ks", p.used)
  end
end)

it("while another is still under way on a connection counts the last one", function()
  open(2)
  use("one", 1)
  answer(first "one", server.keyspace "one")
  result()
  local list = others("one", 2)
  answer(list[1], server.keyspace "one")
  C.cql__sim_reset(p.sim, list[2].socket)
  assert.equal(0, result())
  -- A connection opens with "one" while "two" is being asked for.
  p:advance(200)
  local socket = p:sockets() - 1
  local late
  p.handshake[QUERY] = function(self, what, on)
    if what.body:find("USE", 1, true) then
      late = what
    else
      local name = server.rows({ { "cluster_name", 13 } }, { { "test" } })
      self:answer(what.stream, "RESULT", name, nil, on)
    end
  end
  p:serve(socket)
  assert.truthy(late and late.body:find('USE "one"', 1, true))
  use("two", 2)
  answer(first "two", server.keyspace "two")
  assert.equal(nil, result())
  local others_now = others("two", 1)
  p:answer(late.stream, "RESULT", server.keyspace "one", nil, socket)
  p:step()
  -- It doesn't serve before it has said "two" as well.
  assert.equal(1, p:metrics().connections)
  local again = p:requests(socket)[1]
  assert.truthy(again.body:find('USE "two"', 1, true))
  answer(others_now[1], server.keyspace "two")
  assert.equal(0, result())
  p:answer(again.stream, "RESULT", server.keyspace "two", nil, socket)
  p:step()
  assert.equal(2, p:metrics().connections)
end)

describe("without an answer to its first request", function()
  -- The server may have obeyed: that connection takes no more requests.
  local function in_doubt(status, fn, times, otherwise)
    open(2, { request_timeout_ms = 1000, keyspace = "old", protocol_version = 4 })
    use "new"
    local what = first "new"
    fn(what)
    p:step()
    local got = result()
    assert(got == status or got == otherwise, got)
    assert.equal(1, p:metrics().connections)
    for tag = 1, 100 do p:submit(tag, { query = "SELECT" }) end
    p:step()
    for _, seen in ipairs(asked()) do
      assert(seen.socket ~= what.socket or seen.opcode == server.OPCODE.OPTIONS)
    end
    if times ~= 0 then
      answer(what, server.keyspace "new")
      p:step()
    end
    p:advance(times or 1)
    assert.equal(true, p:is_closed(what.socket))
    assert.equal(0, use "new")
  end

  it("in time", function()
    in_doubt(C.CQL_ETIMEOUT, function() p:advance(1000) end)
  end)
  it("before it is cancelled", function()
    in_doubt(C.CQL_ECANCELLED, function() assert.equal(1, C.cql_cancel(p.session, 1)) end)
  end)
  it("that can be understood", function()
    in_doubt(C.CQL_EMALFORMED, function(what) answer(what, server.VOID) end, 0)
  end)
  it("for which there is memory", function()
    in_doubt(C.CQL_ENOMEM, function(what)
      answer(what, server.keyspace(("k"):rep(900)))
      C.cql__mem_fail(1, 1)
      p:step()
      C.cql__mem_fail(0, 0)
    end, 0, C.CQL_ECONNECTION) -- where there is none to read into either
  end)
end)

it("is left alone by a raw USE, which is told of", function()
  open(2)
  p:submit(1, { query = "USE other" })
  p:step()
  local list = asked()
  answer(list[1], server.keyspace "other")
  assert.equal(0, result())
  local warning = p:event(C.CQL_EVENT_WARNING)
  assert.equal("127.0.0.1:9042", warning.address)
  assert.truthy(warning.message:find("cql_session_use", 1, true))
end)

it("before any connection serves waits for one, within its time", function()
  p = assert(peer.new { request_timeout_ms = 1000 })
  assert.equal(0, use "ks")
  p:step()
  p:advance(1000)
  assert.equal(C.CQL_ENOHOST, result())
  assert.equal(0, use "ks")
  p:free()

  p = assert(peer.new {})
  assert.equal(0, use "ks")
  p.handshake[QUERY] = function(self, what, socket)
    local name = server.rows({ { "cluster_name", 13 } }, { { "test" } })
    local body = what.body:find("USE", 1, true) and server.keyspace "ks" or name
    self:answer(what.stream, "RESULT", body, nil, socket)
  end
  p:serve()
  p:done()
  p:serve()
  assert.equal(0, result())
end)

it("ends with its session, in each of its phases", function()
  for phase = 1, 3 do
    open(2)
    use "ks"
    local what = first "ks"
    if phase > 1 then
      answer(what, server.keyspace "ks")
      p:step()
    end
    if phase == 3 then assert.same({}, p:done()) end
    C.cql__session_close(p.session, 0)
    local done = p:done()
    assert.equal(1, #done)
    assert.equal(phase == 1 and C.CQL_ECLOSED or 0, done[1].status) -- it was obeyed
    if done[1].result then C.cql_result_free(done[1].result) end
    p:free()
    p = nil
  end
end)

it("may be freed in each of its phases", function()
  local live = tonumber(C.cql__mem_live())
  for phase = 1, 3 do
    open(2)
    use "ks"
    local what = first "ks"
    if phase > 1 then
      answer(what, server.keyspace "ks")
      p:step()
    end
    if phase == 3 then assert.same({}, p:done()) end
    p:free()
    p = nil
    assert.equal(live, tonumber(C.cql__mem_live()))
  end
end)
