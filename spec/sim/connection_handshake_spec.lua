-- The handshake: each step, each version, whatever the peer does amid it.
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, OPCODE = unit.C, server.OPCODE

-- The steps of a handshake with a password and a keyspace.
local STEPS = { "OPTIONS", "STARTUP", "AUTH_RESPONSE", "cluster_name", "USE" }

local function step_of(request)
  if request.opcode == OPCODE.QUERY then
    return request.body:find("cluster_name", 1, true) and "cluster_name" or "USE"
  end
  for name, opcode in pairs(OPCODE) do
    if opcode == request.opcode then return name end
  end
end

-- A server that asks for a password, and calls meddle(p, request) at one step instead of answering.
local function new_peer(options, step, meddle)
  options.username, options.password = "user", "pass"
  options.keyspace = options.keyspace or "ks"
  local p = peer.new(options)
  local function meddler(usual)
    return function(_, request, socket)
      if step_of(request) == step then return meddle(p, request) end
      return usual(request, socket)
    end
  end
  local function go_on() return true end
  p.handshake[OPCODE.OPTIONS] = meddler(go_on)
  p.handshake[OPCODE.QUERY] = meddler(go_on)
  p.handshake[OPCODE.STARTUP] = meddler(function(request, socket)
    p:started("AUTHENTICATE", unit.str "PasswordAuthenticator", request, socket)
  end)
  p.handshake[OPCODE.AUTH_RESPONSE] = meddler(function(request, socket)
    p:answer(request.stream, "AUTH_SUCCESS", unit.bytes(nil), nil, socket)
  end)
  return p
end

local function request_works(p)
  p:submit(1, "SELECT 1")
  local list
  repeat
    p:step()
    list = p:requests()
  until #list > 0
  p:answer(list[1].stream, "RESULT", server.VOID)
  local done
  repeat
    p:step()
    done = p:done()
  until #done > 0
  assert.same({ 1, 0 }, { done[1].tag, done[1].status })
end

after_each(peer.free_all)

describe("a handshake", function()
  for version = 3, 5 do
    for _, compression in ipairs { "none", "lz4" } do
      for _, wire in ipairs { { "whole" }, { "every byte split", 1, 1 }, { "sevens", 7, 5 } } do
        it(("of v%d, %s, %s"):format(version, compression, wire[1]), function()
          local p = new_peer { protocol_version = version, compression = compression,
            compression_min = 0 }
          p.read_max, p.room = wire[2], wire[3]
          p:serve()
          assert(p:event(C.CQL_EVENT_READY))
          assert.equal(version, p:wire().version)
          assert.equal(compression == "lz4", p.startup:find "\11COMPRESSION\0\3lz4" ~= nil)
          assert.equal("ks", p.used)
          assert.equal(version, p:metrics().protocol_version)
          request_works(p)
          p:free()
        end)
      end
    end
  end

  it("asks for what its configuration says", function()
    local p = peer.new { throw_on_overload = "true", application_name = "shop",
      application_version = "7", client_id = "me" }
    p:serve()
    local version = require("ffi").string(C.cql_version())
    local function map(...)
      local out = { unit.u16(select("#", ...) / 2) }
      for _, text in ipairs { ... } do out[#out + 1] = unit.str(text) end
      return table.concat(out)
    end
    assert.equal(map("CQL_VERSION", "3.0.0", "DRIVER_NAME", "lua-cql", "DRIVER_VERSION", version,
      "THROW_ON_OVERLOAD", "1", "APPLICATION_NAME", "shop", "APPLICATION_VERSION", "7",
      "CLIENT_ID", "me"), p.startup)
  end)

  it("goes on without LZ4 and without a list of versions, where the server has none", function()
    local lists = { { { "CQL_VERSION", "3.4.5" } }, {}, { { "COMPRESSION", "snappy" } },
      { { "COMPRESSION" } } }
    for _, supported in ipairs(lists) do
      local p = peer.new { compression = "lz4" }
      p.supported = supported
      p:serve()
      assert(p:event(C.CQL_EVENT_READY))
      assert.is_nil(p.startup:find("COMPRESSION", 1, true))
      request_works(p)
      p:free()
    end
  end)

  it("takes READY though a password is configured", function()
    local p = peer.new { username = "user", password = "pass" }
    p:serve()
    assert(p:event(C.CQL_EVENT_READY))
  end)

  it("quotes the keyspace", function()
    local p = peer.new { keyspace = 'Odd"name' }
    local used
    p.handshake[OPCODE.QUERY] = function(_, request)
      if step_of(request) ~= "USE" then return true end
      used = request.body
      p:answer(0, "RESULT", server.keyspace "Odd")
    end
    p:serve()
    assert(p:event(C.CQL_EVENT_READY))
    assert(used:find('USE "Odd""name"', 1, true))
  end)

  it("refuses a name of a keyspace that can't be", function()
    local p = peer.new { keyspace = ("k"):rep(600) }
    p:serve()
    assert.equal(C.CQL_EKEYSPACE, p:event(C.CQL_EVENT_FAILED).status)
  end)
end)

-- What a peer may do at each step (or the first `count`), and what becomes of the connection: a
-- status and part of the reason.
local function closes(name, meddle, status, why, count)
  describe("a handshake amid which the peer " .. name, function()
    for i = 1, count or #STEPS do
      local step = STEPS[i]
      it("at " .. step, function()
        local p = new_peer({ protocol_version = 5 }, step, meddle)
        p:serve()
        local failed = p:event(C.CQL_EVENT_CONNECTION_FAILED)
        assert(failed, "it goes on")
        local wanted = type(status) == "table" and (status[step] or status[1]) or status
        assert.equal(C["CQL_" .. wanted], failed.status)
        assert(failed.message:find(why, 1, true), failed.message)
        assert.same({}, p:open_sockets())
        assert.is_nil(p:event(C.CQL_EVENT_READY))
        if not p:event(C.CQL_EVENT_FAILED) then -- and then all is well
          p.handshake[OPCODE.OPTIONS], p.handshake[OPCODE.QUERY] = nil, nil
          p.handshake[OPCODE.STARTUP], p.handshake[OPCODE.AUTH_RESPONSE] = nil, nil
          p:run(150)
          assert.equal(2, p:sockets())
          p:serve()
          assert(p:event(C.CQL_EVENT_READY))
        end
        p:free()
      end)
    end
  end)
end

closes("resets the connection", function(p) p:reset() end, "ECONNECTION", "the peer reset")
closes("says ERROR", function(p, request)
  p:answer(request.stream, "ERROR", server.error(0x1001, "too much"))
end, { "ECONNECT", USE = "EKEYSPACE" }, "the server says: too much")
closes("says ERROR without a body", function(p, request)
  p:answer(request.stream, "ERROR", "")
end, "EPROTOCOL", "can't be decoded")
closes("answers with an unknown opcode", function(p, request)
  p:answer(request.stream, 0x11, "")
end, "EPROTOCOL", "an unknown opcode, 0x11")
closes("answers with the opcode of a request", function(p, request)
  p:answer(request.stream, "QUERY", "")
end, "EPROTOCOL", "an unknown opcode, 0x07")
closes("answers with another opcode", function(p, request)
  p:answer(request.stream, "AUTH_SUCCESS", unit.bytes(nil))
  if request.opcode == OPCODE.AUTH_RESPONSE then -- that one is right; the second is not
    p:answer(request.stream, "AUTH_SUCCESS", unit.bytes(nil))
  end
end, "EPROTOCOL", "")
closes("answers twice", function(p, request)
  local opcode = step_of(request) == "OPTIONS" and "SUPPORTED" or "RESULT"
  local body = opcode == "SUPPORTED" and server.supported {} or server.VOID
  if request.opcode == OPCODE.STARTUP then
    opcode, body = "READY", ""
    p:say(server.envelope(5, 0, "READY", ""))
  end
  p:answer(request.stream, opcode, body)
  p:answer(request.stream, opcode, body)
end, "EPROTOCOL", "", 4) -- after USE it serves, and the second is merely unasked for
closes("sends a prefix that does not fit", function(p, request)
  p:answer(request.stream, "READY", "\0", { flags = 2 })
end, "EPROTOCOL", "can't be decoded")
closes("claims more than the protocol allows", function(p, request)
  local head = server.envelope(5, request.stream, "READY", ""):sub(1, 5) .. unit.u32(0x10000001)
  p:say(p:wire().framed and server.segment(head) or head)
end, "EPROTOCOL", "longer than the protocol allows")
closes("sends a request", function(p, request)
  local message = "\5" .. server.envelope(5, request.stream, "OPTIONS", ""):sub(2)
  p:say(p:wire().framed and server.segment(message) or message)
end, "EPROTOCOL", "no answer of the native protocol")
closes("speaks HTTP", function(p)
  local text = "HTTP/1.1 400 Bad Request\r\n\r\n"
  p:say(p:wire().framed and server.segment(text) or text)
end, "EPROTOCOL", "no answer of the native protocol")

describe("a handshake", function()
  it("is not disturbed by events and by answers on other streams", function()
    for _, step in ipairs(STEPS) do
      local p
      p = new_peer({}, step, function(_, request)
        local event = server.event("STATUS_CHANGE", "UP", unit.unhex "047f00000100002352")
        p:answer(-1, "EVENT", event)
        p:answer(0, "EVENT", event)
        p:answer(7, "READY", "")
        p:answer(-5, "RESULT", server.VOID)
        if request.opcode == OPCODE.STARTUP then
          p:started("READY", "", request)
        elseif request.opcode == OPCODE.AUTH_RESPONSE then
          p:answer(0, "AUTH_SUCCESS", unit.bytes(nil))
        else
          return true
        end
      end)
      p:serve()
      assert(p:event(C.CQL_EVENT_READY), step)
      assert.equal(4, tonumber(p:metrics().unknown_streams))
      p:free()
    end
  end)

  it("has one deadline, over all of its steps", function()
    for count = 0, #STEPS do -- so many are answered, a second late each; then it is silent
      local p = new_peer({ connect_timeout_ms = 5000 }, "none")
      p:step()
      if count > 0 then p:accept() end
      local left = count
      for _ = 1, 49 do
        p:run(100, function()
          if left > 0 and p:now() >= 1000 + (count - left + 1) * 900 then
            left = left - 1
            p:shake(0)
          end
        end)
        assert.is_nil(p:event(C.CQL_EVENT_CONNECTION_FAILED))
      end
      p:run(100)
      local failed = p:event(C.CQL_EVENT_CONNECTION_FAILED)
      if count == #STEPS then
        assert(p:event(C.CQL_EVENT_READY))
        assert.is_nil(failed)
      else
        assert.equal(C.CQL_ECONNECT, failed.status)
        assert(failed.message:find "no answer within connect_timeout_ms while ", failed.message)
        assert.same({}, p:open_sockets())
      end
      p:free()
    end
  end)

  it("fails where the peer refuses, and is tried again", function()
    local p = peer.new {}
    p:refuse()
    p:step()
    local failed = p:event(C.CQL_EVENT_CONNECTION_FAILED)
    assert.same({ C.CQL_ECONNECT, "refused" }, { failed.status, failed.message })
    p:run(200)
    assert.equal(2, p:sockets())
    p:serve()
    assert(p:event(C.CQL_EVENT_READY))
  end)

  it("refuses a node of another cluster for good, and says so", function()
    local p = peer.new { contact_points = "10.0.0.1, 10.0.0.2", heartbeat_ms = 0 }
    p:serve(0)
    p.cluster = "other"
    p:serve(1)
    local failed = p:event(C.CQL_EVENT_CONNECTION_FAILED)
    assert.equal(C.CQL_ECLUSTER, failed.status)
    assert.equal("10.0.0.2:9042", failed.address)
    assert.equal('its cluster is "other", the others\' is "test"', failed.message)
    p:run(30000 * 0.85)
    assert.equal(2, p:sockets())
    repeat p:run(100) until p:sockets() == 3 -- it is asked again, at the slowest pace
    assert(p:now() <= 1000 + 30000 * 1.15 + 100)
  end)
end)
