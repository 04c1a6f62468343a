-- The keyspace: USE on every connection, and on each new one before it serves.
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, OPCODE = unit.C, server.OPCODE
local TAG = 77

local function serve(contact_points, options)
  options = options or {}
  options.contact_points = contact_points
  options.heartbeat_ms = options.heartbeat_ms or 0
  local p = peer.new(options)
  for socket = 0, p:sockets() - 1 do p:serve(socket) end
  p:collect()
  p.events = {}
  return p
end

local function use(p, name) return C.cql__session_use(p.session, name, #name, TAG) end

-- The USE on a socket and its stream; nil: there is none.
local function used(p, socket)
  local list = p:requests(socket)
  if #list == 0 then return nil end
  assert.equal(1, #list)
  assert.equal(OPCODE.QUERY, list[1].opcode)
  return list[1].body:match 'USE "(.*)"', list[1].stream
end

-- Asks for USE and has the first connection answer; then each has been asked. Returns the sockets.
local function use_everywhere(p, name, sockets)
  assert.equal(0, use(p, name))
  p:step()
  local first
  for _, socket in ipairs(sockets) do
    local keyspace, stream = used(p, socket)
    if keyspace then
      assert.equal(name, keyspace)
      assert(stream > 0)
      p:answer(stream, "RESULT", server.keyspace(name), nil, socket)
      first = socket
    end
  end
  assert(first)
  p:step()
  assert.same({}, p:done())
  p:step()
  for _, socket in ipairs(sockets) do
    local keyspace, stream = used(p, socket)
    assert.same({ name, 0 }, { keyspace, stream })
  end
end

local function answer_use(p, socket) p:answer(0, "RESULT", server.keyspace "ks", nil, socket) end

local function ended(p)
  local done = p:done()
  if #done == 0 then return nil end
  assert.equal(1, #done)
  assert.equal(TAG, done[1].tag)
  if done[1].result then C.cql_result_free(done[1].result) end
  return done[1].status
end

after_each(peer.free_all)

describe("USE", function()
  it("is done when every connection has changed", function()
    local p = serve "10.0.0.1 10.0.0.2 10.0.0.3"
    use_everywhere(p, 'ks', { 0, 1, 2 })
    for _, socket in ipairs { 2, 0 } do
      answer_use(p, socket)
      p:step()
      assert.is_nil(ended(p))
    end
    answer_use(p, 1)
    p:step()
    assert.equal(0, ended(p))
    p:reset(1)
    p:run(150)
    p:serve(3)
    assert.equal("ks", p.used) -- and so does a new one
  end)

  it("is one at a time", function()
    local p = serve "10.0.0.1 10.0.0.2"
    assert.equal(0, use(p, "ks"))
    assert.equal(C.CQL_EBUSY, use(p, "other"))
    p:step()
    for socket = 0, 1 do
      local _, stream = used(p, socket)
      if stream then p:answer(stream, "RESULT", server.keyspace "ks", nil, socket) end
    end
    p:step()
    p:done()
    assert.equal(C.CQL_EBUSY, use(p, "other"))
    p:step()
    answer_use(p, 0)
    answer_use(p, 1)
    p:step()
    assert.equal(0, ended(p))
    assert.equal(0, use(p, "other"))
  end)

  it("takes names that can be, and quotes them", function()
    local p = serve "10.0.0.1"
    assert.equal(C.CQL_EINVAL, use(p, ""))
    assert.equal(C.CQL_EINVAL, use(p, ("k"):rep(201)))
    assert.equal(C.CQL_EINVAL, use(p, "k\0s"))
    assert.equal(0, use(p, 'k"s'))
    p:step()
    assert.equal('k""s', (used(p, 0)))
  end)

  it("that the server refuses changes nothing", function()
    local p = serve "10.0.0.1"
    assert.equal(0, use(p, "none"))
    p:step()
    local _, stream = used(p, 0)
    p:answer(stream, "ERROR", server.error(0x2200, "Keyspace 'none' does not exist"))
    p:step()
    assert.equal(C.CQL_ESERVER, ended(p))
    assert.is_false(p:is_closed(0))
    p:reset(0)
    p:run(150)
    p:serve(1)
    assert.is_nil(p.used)
  end)

  it("that one connection refuses is an error, and that connection is no longer used", function()
    local p = serve "10.0.0.1 10.0.0.2"
    use_everywhere(p, "ks", { 0, 1 })
    answer_use(p, 1)
    p:answer(0, "ERROR", server.error(0x2200, "not here"), nil, 0)
    p:step()
    assert.equal(C.CQL_EKEYSPACE, ended(p))
    local closed = p:event(C.CQL_EVENT_CONNECTION_CLOSED)
    assert.same({ C.CQL_EKEYSPACE, "the server says: not here" },
      { closed.status, closed.message })
    assert.same({ 1 }, p:open_sockets())
    p:run(150)
    p:serve(2) -- it comes back when it has changed
    assert.same({ "ks", 2 }, { p.used, p:metrics().connections })
  end)

  it("that is not answered ends with its connection, in time", function()
    local p = serve("10.0.0.1 10.0.0.2", { request_timeout_ms = 3000, heartbeat_ms = 1000 })
    use_everywhere(p, "ks", { 0, 1 })
    answer_use(p, 1)
    p:run(2999, function() -- everything else is answered
      for socket = 0, 1 do
        for _, request in ipairs(p:requests(socket)) do
          p:answer(request.stream, "SUPPORTED", server.supported {}, nil, socket)
        end
      end
    end)
    assert.is_nil(ended(p))
    p:run(1)
    local closed = p:event(C.CQL_EVENT_CONNECTION_CLOSED)
    assert.same({ C.CQL_ECONNECTION, "no answer to USE in time" },
      { closed.status, closed.message })
    assert.equal(0, ended(p))
    p:run(150)
    p:serve(2)
    assert.equal("ks", p.used)
  end)

  it("outlives a connection that is lost meanwhile", function()
    local p = serve "10.0.0.1 10.0.0.2"
    use_everywhere(p, "ks", { 0, 1 })
    answer_use(p, 1)
    p:reset(0)
    p:step()
    assert.equal(0, ended(p))
  end)

  it("waits for a heartbeat that is out", function()
    local p = serve("10.0.0.1", { heartbeat_ms = 1000 })
    p:run(1000)
    assert.equal(OPCODE.OPTIONS, p:requests(0)[1].opcode)
    assert.equal(0, use(p, "ks"))
    p:step()
    local keyspace, stream = used(p, 0)
    assert.equal("ks", keyspace)
    p:answer(stream, "RESULT", server.keyspace "ks", nil, 0)
    p:step()
    p:done()
    p:step()
    assert.is_nil((used(p, 0)))
    p:answer(0, "SUPPORTED", server.supported {}, nil, 0)
    p:step()
    assert.same({ "ks", 0 }, { used(p, 0) })
    answer_use(p, 0)
    p:step()
    assert.equal(0, ended(p))
  end)

  it("is said again if the answer is none", function()
    local p = serve "10.0.0.1"
    use_everywhere(p, "ks", { 0 })
    p:answer(0, "READY", "", nil, 0)
    p:step()
    assert.equal(C.CQL_EPROTOCOL, p:event(C.CQL_EVENT_CONNECTION_CLOSED).status)
    assert.equal(0, ended(p))
    p:run(150)
    p:serve(1)
    assert.equal("ks", p.used)
  end)

  -- A connection whose handshake is at `step` while the keyspace changes.
  for _, step in ipairs { "OPTIONS", "STARTUP", "cluster_name", "USE" } do
    it("comes before a new connection serves, also if it was opening: at " .. step, function()
      local p = serve("10.0.0.1 10.0.0.2", { keyspace = "old" })
      p:reset(1)
      p:run(150)
      local held, said = nil, {}
      local function hold(name)
        return function(_, request)
          if request.body:find "USE " then said[#said + 1] = request.body:match 'USE "(.-)"' end
          local own = request.body:find "cluster_name" and "cluster_name"
            or request.body:find "USE " and "USE" or name
          if own ~= step or held then return true end
          held = request
        end
      end
      p.handshake[OPCODE.OPTIONS] = hold "OPTIONS"
      p.handshake[OPCODE.STARTUP] = hold "STARTUP"
      p.handshake[OPCODE.QUERY] = hold()
      p:serve(2)
      assert(held)
      use_everywhere(p, "new", { 0 })
      answer_use(p, 0)
      p:step()
      assert.equal(0, ended(p))
      assert.equal(1, p:metrics().connections)
      -- what was held back goes on
      local going_on = p.requests
      p.requests = function() return { held } end
      p:shake(2)
      p.requests = going_on
      p:finish(2)
      assert.equal(2, p:metrics().connections)
      assert.equal("new", said[#said])
      p:free()
    end)
  end

  it("ends when the session closes, once", function()
    for _, drain in ipairs { 0, 500 } do
      local p = serve "10.0.0.1 10.0.0.2"
      use_everywhere(p, "ks", { 0, 1 })
      C.cql__session_close(p.session, drain)
      p:run(1000)
      local status = ended(p)
      assert(status == 0 or status == C.CQL_ECLOSED, status)
      assert(p:event(C.CQL_EVENT_CLOSED))
      p:free()
    end
  end)
end)
