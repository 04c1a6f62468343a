-- Negotiation: v5, then v4, then v3, each on a new connection, in every form in which servers say
-- that they don't speak a version.
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, OPCODE = unit.C, server.OPCODE

local INVALID = "Invalid or unsupported protocol version (%d); supported versions are (3/v3, 4/v4)"
local BETA = "Beta version of the protocol used (%d/v5-beta), but USE_BETA flag is unset"

-- How a server that speaks `best` at most refuses a higher version.
local REFUSALS = {
  ["an error of its own version"] = function(request, best)
    return server.envelope(best, 0, "ERROR", server.error(10, INVALID:format(request.version)))
  end,
  ["an error of ours"] = function(request)
    return server.envelope(request.version, 0, "ERROR",
      server.error(10, INVALID:format(request.version)))
  end,
  ["a server error of ours"] = function(request)
    local text = "io.netty.handler.codec.DecoderException: ProtocolException: "
    return server.envelope(request.version, 0, "ERROR",
      server.error(0, text .. INVALID:format(request.version)))
  end,
  ["the words of a beta version"] = function(request)
    return server.envelope(request.version, 0, "ERROR",
      server.error(10, BETA:format(request.version)))
  end,
  ["a beta version's flag"] = function(request)
    return server.envelope(request.version, 0, "ERROR",
      server.error(10, BETA:format(request.version)), { flags = 0x10 })
  end,
  ["a message of its own version"] = function(_, best)
    return server.envelope(best, 0, "SUPPORTED", server.supported {})
  end,
  ["an error without a body, of its own version"] = function(_, best)
    return server.envelope(best, 0, "ERROR", "")
  end,
}

-- A server that speaks `best` at most and refuses at OPTIONS or STARTUP.
local function new_peer(options, best, refuse, at)
  local p = peer.new(options)
  p.handshake[OPCODE[at or "OPTIONS"]] = function(_, request, socket)
    if request.version <= p.best then return true end
    p:say(refuse(request, p.best), socket)
  end
  p.best = best
  return p
end

-- Serves what is opened, until nothing more is.
local function serve_all(p, from)
  local socket = from or 0
  while socket < p:sockets() do
    p:serve(socket)
    p:run(10)
    socket = socket + 1
  end
  return socket
end

after_each(peer.free_all)

describe("a version is lowered by", function()
  for name, refuse in pairs(REFUSALS) do
    for best = 3, 4 do
      for _, at in ipairs { "OPTIONS", "STARTUP" } do
        it(("%s: to v%d, at %s"):format(name, best, at), function()
          local p = new_peer({}, best, refuse, at)
          p.read_max = 1
          local tries = serve_all(p)
          assert(tries <= 6 - best)
          assert(p:event(C.CQL_EVENT_READY))
          assert.equal(best, p:metrics().protocol_version)
          assert.equal(best, p:wire(tries - 1).version)
          assert.is_nil(p:event(C.CQL_EVENT_CONNECTION_FAILED))
          assert.equal(0, tonumber(p:metrics().connections_failed))
          p:free()
        end)
      end
    end
  end

  it("the version byte itself: straight to v3", function()
    local p = new_peer({}, 3, REFUSALS["an error of its own version"])
    assert.equal(2, serve_all(p))
    assert.equal(3, p:metrics().protocol_version)
  end)
end)

describe("negotiation ends", function()
  local ours = REFUSALS["an error of ours"]

  local function fails(options, best, refuse, tries, why)
    local p = new_peer(options, best, refuse)
    assert.equal(tries, serve_all(p))
    local failed = p:event(C.CQL_EVENT_FAILED)
    assert.equal(C.CQL_EVERSION, failed.status)
    assert(failed.message:find(why, 1, true), failed.message)
    p:run(60000)
    assert.equal(tries, p:sockets())
    p:free()
  end

  it("after v3, with a server that refuses every version", function()
    fails({}, 0, ours, 3, "protocol v3 was refused: Invalid or unsupported protocol version (3)")
  end)

  it("at a pinned version", function()
    for version = 3, 5 do
      fails({ protocol_version = version }, version - 1, ours, 1, "was refused")
    end
  end)

  it("at the lowest version that is allowed", function()
    fails({ protocol_version_min = 4 }, 3, ours, 2, "protocol v4 was refused")
    fails({ protocol_version_min = 4 }, 3, REFUSALS["an error of its own version"], 1,
      "protocol v5 was refused")
  end)

  -- An ERROR with the 8-byte header of v1 and v2: version, flags, stream, opcode, length.
  it("with a server that answers in v1 or v2, whose header is shorter", function()
    for version = 1, 2 do
      local body = server.error(10, INVALID:format(5))
      local old = string.char(0x80 + version) .. "\0\0\0" .. unit.u32(#body) .. body
      fails({}, 2, function() return old end, 1, "protocol v1 or v2")
    end
  end)

  it("where all contact points refuse, and not before", function()
    local p = new_peer({ contact_points = "10.0.0.1,10.0.0.2", protocol_version = 5 }, 4, ours)
    p:serve(0)
    assert(p:event(C.CQL_EVENT_CONNECTION_FAILED))
    assert.is_nil(p:event(C.CQL_EVENT_FAILED))
    p:serve(1)
    assert(p:event(C.CQL_EVENT_FAILED))
  end)
end)

describe("an error is no refusal of a version", function()
  it("if it says something else", function()
    local p = new_peer({}, 4, function(request)
      return server.envelope(request.version, 0, "ERROR", server.error(10, "Invalid message"))
    end)
    p:serve()
    local failed = p:event(C.CQL_EVENT_CONNECTION_FAILED)
    assert.same({ C.CQL_ECONNECT, "the server says: Invalid message" },
      { failed.status, failed.message })
  end)

  it("after the first answers", function()
    local forms = {
      [C.CQL_ECONNECT] = function() return server.envelope(5, 0, "ERROR",
        server.error(10, INVALID:format(5))) end,
      [C.CQL_EPROTOCOL] = function() return server.envelope(4, 0, "ERROR",
        server.error(10, INVALID:format(5))) end,
    }
    for status, form in pairs(forms) do
      local p = peer.new {}
      p.handshake[OPCODE.QUERY] = function() p:say(server.segment(form())) end
      p:serve()
      assert.equal(status, p:event(C.CQL_EVENT_CONNECTION_FAILED).status)
      p.handshake[OPCODE.QUERY] = nil
      p:run(150)
      p:serve()
      assert.equal(5, p:metrics().protocol_version)
      p:free()
    end
  end)

  it("if its version is higher than ours", function()
    local p = new_peer({ protocol_version = 4 }, 3, function()
      return server.envelope(5, 0, "SUPPORTED", server.supported {})
    end)
    p:serve()
    assert.equal(C.CQL_EPROTOCOL, p:event(C.CQL_EVENT_CONNECTION_FAILED).status)
    assert.is_nil(p:event(C.CQL_EVENT_FAILED))
    p:free()
    -- unless it says so, as a server that speaks nothing as old would
    p = new_peer({ protocol_version = 4 }, 3, function()
      return server.envelope(5, 0, "ERROR", server.error(10, INVALID:format(4)))
    end)
    p:serve()
    assert.equal(C.CQL_EVERSION, p:event(C.CQL_EVENT_FAILED).status)
  end)

  it("if it has an 8-byte header, later", function()
    local p = peer.new { protocol_version = 4 }
    p:serve()
    p:say "\130\0\0\0\0\0\0\0"
    p:step()
    local closed = p:event(C.CQL_EVENT_CONNECTION_CLOSED)
    assert.equal(C.CQL_EPROTOCOL, closed.status)
  end)
end)

describe("a negotiated version", function()
  it("is that of all later connections, and those that serve keep theirs", function()
    local p = new_peer({ contact_points = "10.0.0.1 10.0.0.2", heartbeat_ms = 0 }, 5,
      REFUSALS["an error of its own version"])
    p:serve(0)
    p.best = 4
    assert.equal(3, serve_all(p, 1))
    assert.equal(2, p:metrics().connections)
    assert.equal(5, p:wire(0).version)
    assert.equal(4, p:wire(2).version)
    p:reset(0)
    p:run(150)
    p:serve(3)
    assert.equal(4, p:wire(3).version)
    assert.equal(2, p:metrics().connections)
  end)

  it("is lowered again if a node comes back with less", function()
    local p = new_peer({}, 5, REFUSALS["an error of ours"])
    p:serve()
    p:reset()
    p:run(150)
    p.best = 3
    assert.equal(4, serve_all(p, 1))
    assert.equal(3, p:metrics().protocol_version)
    assert.equal(1, p:metrics().connections)
  end)

  it("is what requests are written in", function()
    local p = new_peer({}, 3, REFUSALS["an error of ours"])
    local version
    p.handshake[OPCODE.QUERY] = function(_, request, socket)
      if not request.body:find("SELECT 1", 1, true) then return true end
      version = request.version
      p:answer(request.stream, "RESULT", server.VOID, nil, socket)
    end
    p:submit(9, "SELECT 1")
    serve_all(p)
    assert.equal(3, version)
    assert.equal(0, p:done()[1].status)
  end)
end)
