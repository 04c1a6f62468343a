-- TLS on real sockets, 1.2 and 1.3: who is trusted, and what becomes of bytes that come oddly.
local certificates = require "spec.support.certificates"
local loopback = require "spec.support.loopback"
local server = require "spec.support.server"
local tls = require "spec.support.tls"

local C = loopback.C

-- A session and a server of that TLS version; options of either may be changed.
local function connect(version, options, side)
  side = side or {}
  local config = { tls = true, tls_ca = certificates.ca, connect_retry = false }
  for name, value in pairs(options or {}) do config[name] = value or nil end
  return loopback.new(config, {
    serve = side.serve,
    v6 = side.v6,
    tls = tls.context {
      cert = certificates[side.cert or "node"],
      key = certificates[(side.cert or "node") .. "_key"],
      client_ca = side.client_ca,
      version = version,
    },
  })
end

local function refused(version, options, side)
  local world = connect(version, options, side)
  local event = world:event(C.CQL_EVENT_FAILED)
  local peer = world.peers[1]
  world:until_("the server sees the end", function() return peer.ended end)
  world:free()
  return event, peer.tls
end

for _, version in ipairs { "1.2", "1.3" } do
  describe("TLS " .. version, function()
    it("serves when the certificate carries the address", function()
      local world = connect(version)
      world:ready()
      assert.equal("TLSv" .. version, world.peers[1].tls:version())
      assert.is_nil(world.peers[1].tls:name())
      assert.equal(0, world:ask())
      world:free()
    end)

    it("serves over IPv6", function()
      local world = connect(version, nil, { v6 = true })
      world:ready()
      assert.equal(0, world:ask())
      world:free()
    end)

    it("takes the name from tls_name, and says it to the server", function()
      local world = connect(version, { tls_name = "a.cql.test" })
      world:ready()
      assert.equal("a.cql.test", world.peers[1].tls:name())
      world:free()
    end)

    it("says tls_sni where it is another than the name", function()
      local world = connect(version, { tls_name = "localhost", tls_sni = "node-7.example" })
      world:ready()
      assert.equal("node-7.example", world.peers[1].tls:name())
      world:free()
    end)

    it("takes an address as the name, which is no name to the server", function()
      local world = connect(version, { tls_name = "127.0.0.1" })
      world:ready()
      assert.is_nil(world.peers[1].tls:name())
      world:free()
      local event = refused(version, { tls_name = "127.0.0.2" })
      assert.matches("IP address mismatch", event.message)
    end)

    it("refuses an authority that it doesn't trust, and says so to the server", function()
      local event, side = refused(version, { tls_ca = certificates.other_ca })
      assert.equal(C.CQL_ETLS, event.status)
      assert.matches("certificate is refused: unable to get local issuer", event.message)
      assert.equal("tlsv1 alert unknown ca", side.failed)
    end)

    it("refuses another's name, another's address, and a certificate that is over", function()
      local event = refused(version, { tls_name = "b.elsewhere.test" })
      assert.equal(C.CQL_ETLS, event.status)
      assert.matches("hostname mismatch", event.message)
      event = refused(version, nil, { cert = "elsewhere" })
      assert.matches("IP address mismatch", event.message)
      event = refused(version, nil, { cert = "late" })
      assert.matches("certificate has expired", event.message)
    end)

    it("verify = chain trusts any name, but not any authority", function()
      local world = connect(version, { tls_verify = "chain" }, { cert = "elsewhere" })
      world:ready()
      world:free()
      local event = refused(version, { tls_verify = "chain", tls_ca = certificates.other_ca })
      assert.equal(C.CQL_ETLS, event.status)
    end)

    it("verify = none trusts whoever answers", function()
      local world = connect(version, { tls_verify = "none", tls_ca = certificates.other_ca },
        { cert = "late" })
      world:ready()
      world:free()
    end)

    it("shows its certificate to a server that asks", function()
      for _, key in ipairs { "client_key", "locked_key" } do
        local world = connect(version, {
          tls_cert = certificates.client, tls_key = certificates[key],
          tls_key_password = "open sesame",
        }, { client_ca = certificates.ca })
        world:ready()
        assert.equal(0, world:ask())
        world:free()
      end
    end)

    it("is refused without one, or with a stranger's", function()
      local side = { client_ca = certificates.ca }
      local event = refused(version, nil, side)
      assert.equal(C.CQL_ETLS, event.status)
      assert.matches(version == "1.3" and "certificate required" or "handshake failure",
        event.message)
      event = refused(version, {
        tls_cert = certificates.stranger, tls_key = certificates.stranger_key,
      }, side)
      assert.equal(C.CQL_ETLS, event.status)
      assert.matches("alert unknown ca", event.message)
    end)

    it("comes back by itself, with the same name and trust", function()
      local world = connect(version, { tls_name = "localhost", connect_retry = true })
      world:ready()
      world.peers[1].socket:close()
      world:event(C.CQL_EVENT_CONNECTION_OPENED, 1)
      assert.equal("localhost", world.peers[2].tls:name())
      assert.equal(0, world:ask())
      world:free()
    end)

    it("carries what is larger than records and buffers, both ways", function()
      local text = ("x"):rep(3 * 1024 * 1024)
      local got
      local world = connect(version, { send_buffer = 8192 }, {
        serve = function(request)
          got = request.body
          return "RESULT", server.rows({ { "a", 13 } }, { { got } })
        end,
      })
      world:ready()
      assert.equal(0, world:ask(text))
      assert.is_true(got:sub(5, 4 + #text) == text)
      assert.equal(0, world:metrics().in_flight)
      world:free()
    end)

    it("reads what the server says behind its handshake, in the same bytes", function()
      local world = connect(version)
      world:until_("a connection", function() return #world.peers > 0 end)
      local peer, flush = world.peers[1], world.peers[1].flush
      peer.flush = function(self) -- its last flight, and with it an answer to nothing
        if self.tls:is_shaken() and not self.deaf then
          self.deaf = true
          self.tls:write(server.envelope(4, 0, "READY", ""))
          self.outgoing = self.outgoing .. self.tls:take()
        end
        flush(self)
      end
      local event = world:event(C.CQL_EVENT_FAILED)
      assert.equal(C.CQL_EPROTOCOL, event.status)
      world:free()
    end)

    it("reads a stream that comes byte by byte", function()
      local world = connect(version)
      world:until_("a connection", function() return #world.peers > 0 end)
      local peer = world.peers[1]
      local flush = getmetatable(peer).__index.flush
      peer.flush = function(self)
        local all = self.outgoing
        for i = 1, #all do
          self.outgoing = all:sub(i, i)
          flush(self)
          assert(C.cql_session_step(world.session, 0) == 0)
        end
        self.outgoing = ""
      end
      world:ready()
      assert.equal(0, world:ask())
      world:free()
    end)

    it("ends requests when the stream is cut, with or without a farewell", function()
      for _, farewell in ipairs { true, false } do
        local world = connect(version, { connect_retry = true }, {
          serve = function(_, peer)
            if farewell then
              peer.tls:close_notify()
              peer.outgoing = peer.outgoing .. peer.tls:take()
              peer:flush()
            else
              peer.tls:write(("x"):rep(100)) -- half a record
              peer.outgoing = peer.tls:take():sub(1, 50)
              peer:flush()
            end
            peer.socket:close()
          end,
        })
        world:ready()
        assert.equal(C.CQL_ECONNECTION, world:ask())
        local event = world:event(C.CQL_EVENT_CONNECTION_CLOSED)
        assert.matches("the server closed the connection", event.message)
        world:free()
      end
    end)

    it("closes on a farewell though the socket stays open, after the answer before it", function()
      local world = connect(version, nil, {
        serve = function(request, peer)
          peer.tls:write(server.envelope(4, request.stream, "RESULT", server.VOID))
          peer.tls:close_notify()
          peer.outgoing = peer.outgoing .. peer.tls:take()
          peer:flush()
        end,
      })
      world:ready()
      assert.equal(0, world:ask())
      world:event(C.CQL_EVENT_CONNECTION_CLOSED)
      world:free()
    end)

    it("closes on bytes that are no TLS, after the answer before them", function()
      local world = connect(version, nil, {
        serve = function(request, peer)
          peer.tls:write(server.envelope(4, request.stream, "RESULT", server.VOID))
          peer.outgoing = peer.outgoing .. peer.tls:take() .. ("nonsense"):rep(10)
          peer:flush()
        end,
      })
      world:ready()
      assert.equal(0, world:ask())
      local event = world:event(C.CQL_EVENT_CONNECTION_CLOSED)
      assert.equal(C.CQL_ETLS, event.status)
      world:free()
    end)
  end)
end

describe("TLS", function()
  it("follows the server's change of keys, asked for amid answers", function()
    local world = connect("1.3", nil, {
      serve = function(_, peer)
        peer.tls:update_keys()
        return "RESULT", server.VOID
      end,
    })
    world:ready()
    for _ = 1, 3 do assert.equal(0, world:ask()) end
    world:free()
  end)

  it("declines to negotiate anew, and goes on", function()
    local world = connect("1.2", nil, {
      serve = function(_, peer)
        peer.tls:renegotiate()
        return "RESULT", server.VOID
      end,
    })
    world:ready()
    assert.equal(0, world:ask())
    world:free()
  end)

  it("speaks no 1.2 where 1.3 is the least", function()
    local event = refused("1.2", { tls_min_version = "1.3" })
    assert.equal(C.CQL_ETLS, event.status)
    assert.matches("version", event.message)
  end)

  it("finds that the server speaks no TLS at all", function()
    local world = loopback.new { tls = true, tls_ca = certificates.ca, connect_retry = false }
    local peer
    world:until_("a connection", function()
      peer = world.peers[1]
      return peer
    end)
    peer.deaf = true
    peer:say(("no TLS here "):rep(20))
    local event = world:event(C.CQL_EVENT_FAILED)
    assert.equal(C.CQL_ETLS, event.status)
    assert.matches("wrong version number", event.message)
    world:free()
  end)

  it("finds that the server closes, or resets, amid the handshake", function()
    for _, how in ipairs { "close", "reset" } do
      local hello = ""
      local world = loopback.new({ tls = true, tls_ca = certificates.ca, connect_retry = false },
        { deaf = true })
      world:until_("a connection that said hello", function()
        hello = hello .. (world.peers[1] and world.peers[1].socket:receive() or "")
        return #hello > 0
      end)
      world.peers[1].socket[how](world.peers[1].socket)
      local event = world:event(C.CQL_EVENT_FAILED)
      assert.is_true(event.status == C.CQL_ETLS or event.status == C.CQL_ECONNECT)
      assert.matches(how == "reset" and "reset" or "closed", event.message)
      world:free()
    end
  end)

  it("gives up on a server that accepts and stays silent", function()
    local world = loopback.new({
      tls = true, tls_ca = certificates.ca, connect_retry = false, connect_timeout_ms = 50,
    }, { deaf = true })
    local event = world:event(C.CQL_EVENT_FAILED)
    assert.equal(C.CQL_ECONNECT, event.status)
    assert.matches("connect_timeout_ms while opening", event.message)
    world:free()
  end)

  it("says which file it can't use, and why", function()
    for option, expected in pairs {
      tls_ca = { "/nowhere/ca.crt", "tls_ca: /nowhere/ca.crt: No such file or directory" },
      tls_cert = { "/nowhere/c.crt", "tls_cert: /nowhere/c.crt: No such file or directory" },
    } do
      local world, result, why = connect(nil, { [option] = expected[1] })
      assert.is_nil(world)
      assert.equal(C.CQL_ETLS, result)
      assert.equal(expected[2], why)
    end
    local _, result, why = connect(nil, { tls_key = certificates.client_key })
    assert.equal(C.CQL_ETLS, result)
    assert.equal("tls_key: needs tls_cert beside it", why)
    _, result, why = connect(nil, {
      tls_cert = certificates.client, tls_key = certificates.stranger_key,
    })
    assert.equal(C.CQL_ETLS, result)
    assert.matches("^tls_key: .*mismatch", why)
    _, result, why = connect(nil, {
      tls_cert = certificates.client, tls_key = certificates.locked_key,
      tls_key_password = "wrong",
    })
    assert.equal(C.CQL_ETLS, result)
    assert.matches("^tls_key: ", why)
    assert.is_nil(why:find("wrong\"", 1, true))
  end)
end)
