-- Silence: heartbeats, peers that are gone, and hosts that slept.
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, OPCODE = unit.C, server.OPCODE
local SILENT = "no answer to a heartbeat"

local function serve(options)
  local p = peer.new(options or {}) -- heartbeat_ms 30000, heartbeat_timeout_ms 5000
  p:serve()
  p.began = p:now()
  return p
end

local function ask(p, count)
  for tag = 1, count or 1 do p:submit(tag, "request " .. tag) end
  p:step()
  return p:requests()
end

local function closed(p)
  local event = p:event(C.CQL_EVENT_CONNECTION_CLOSED)
  return event and { event.status, event.message }
end

local function answer_heartbeat(p)
  local list = p:requests()
  assert.same({ 1, OPCODE.OPTIONS, 0 }, { #list, list[1].opcode, list[1].stream })
  p:answer(0, "SUPPORTED", server.supported {})
end

after_each(peer.free_all)

describe("a heartbeat", function()
  for version = 3, 5 do
    it("is sent after so much silence, and again, on v" .. version, function()
      local p = serve { protocol_version = version }
      for _ = 1, 3 do
        p:run(29999)
        assert.same({}, p:requests())
        p:run(1)
        answer_heartbeat(p)
        p:step()
      end
      assert.is_nil(closed(p))
      p:free()
    end)
  end

  it("waits as long as the peer says anything", function()
    local p = serve()
    for _ = 1, 5 do
      p:run(20000)
      local list = ask(p)
      assert.equal("request 1", list[1].body:match "request %d")
      p:answer(list[1].stream, "RESULT", server.VOID)
      p:step()
      p:done()
    end
    p:run(29999)
    assert.same({}, p:requests())
    p:run(1)
    answer_heartbeat(p)
  end)

  it("that is not answered closes in time, and everything under way ends", function()
    local p = serve { request_timeout_ms = 100000 }
    p:run(20000)
    ask(p, 70)
    p:run(10000)
    assert.equal(1, #p:requests())
    p:run(4999)
    assert.is_nil(closed(p))
    p:run(1)
    assert.same({ C.CQL_ECONNECTION, SILENT }, closed(p))
    local done = p:done()
    assert.equal(70, #done)
    for _, entry in ipairs(done) do assert.equal(C.CQL_ECONNECTION, entry.status) end
    p:run(200)
    assert.equal(2, p:sockets())
  end)

  it("finds a peer that takes nothing either", function()
    local p = serve()
    C.cql__sim_room(p.sim, p.socket, 0)
    p:run(35000)
    assert.same({ C.CQL_ECONNECTION, SILENT }, closed(p))
  end)

  it("is not held against a peer that goes on answering requests", function()
    local p = serve()
    p:run(30000)
    assert.equal(1, #p:requests())
    for _ = 1, 10 do
      p:run(4000)
      local list = ask(p)
      p:answer(list[1].stream, "RESULT", server.VOID)
      p:step()
      p:done()
    end
    assert.is_nil(closed(p))
    p:run(10000)
    assert.same({ C.CQL_ECONNECTION, SILENT }, closed(p))
  end)

  it("is answered by an error too, unless that is the connection's", function()
    local p = serve()
    p:run(30000)
    p:answer(0, "ERROR", server.error(0x1001, "overloaded"))
    p:step()
    p:run(29999)
    assert.is_nil(closed(p))
    p:run(1)
    assert.equal(2, #p:requests())
    p:answer(0, "ERROR", server.error(10, "unrecoverable CRC mismatch"))
    p:step()
    assert.same({ C.CQL_EPROTOCOL, "the server says: unrecoverable CRC mismatch" }, closed(p))
  end)

  it("is none if it is configured so", function()
    local p = serve { heartbeat_ms = 0 }
    p:run(10000000)
    assert.same({}, p:requests())
    assert.is_nil(closed(p))
  end)
end)

describe("a host that slept", function()
  it("does not hold it against the peer, once", function()
    local p = serve()
    p:run(30000)
    assert.equal(1, #p:requests())
    p:advance(3600000)
    assert.is_nil(closed(p))
    p:run(4999)
    assert.is_nil(closed(p))
    p:run(1)
    assert.same({ C.CQL_ECONNECTION, SILENT }, closed(p))
  end)

  it("sends the heartbeat that was due, and waits for it", function()
    local p = serve()
    p:advance(3600000)
    assert.is_nil(closed(p))
    p:step()
    answer_heartbeat(p)
    p:run(29000)
    assert.is_nil(closed(p))
    assert.same({}, p:requests())
  end)

  it("reads before it judges", function()
    local p = serve()
    local list = ask(p)
    p:answer(list[1].stream, "RESULT", server.VOID)
    p:advance(3600000)
    assert.equal(0, p:done()[1].status) -- long after its timeout, and in time all the same
    p:run(30000)
    answer_heartbeat(p)
    p:advance(60000)
    assert.is_nil(closed(p))
  end)

  it("finds a dead peer, though it is always late", function()
    for _, pace in ipairs { 700, 2000, 20000 } do
      local p = serve()
      local steps = 0
      repeat
        p:advance(pace)
        steps = steps + 1
      until closed(p) or steps == 1000
      assert.same({ C.CQL_ECONNECTION, SILENT }, closed(p))
      assert(p:now() - p.began <= 30000 + 2 * 5000 + 4 * pace, p:now() - p.began)
      p:free()
    end
  end)

  it("gets through a handshake, though it is always late", function()
    local p = peer.new { connect_timeout_ms = 5000 }
    p:accept()
    for _ = 1, 10 do
      p:advance(6000)
      p:shake()
    end
    p:advance(6000)
    assert(p:event(C.CQL_EVENT_READY))
    assert.is_nil(p:event(C.CQL_EVENT_CONNECTION_FAILED))
  end)

  it("does not wait for ever for a peer of which nothing comes", function()
    local p = peer.new { connect_timeout_ms = 5000 }
    p:advance(6000)
    local failed = p:event(C.CQL_EVENT_CONNECTION_FAILED)
    assert.same({ C.CQL_ECONNECT, "no answer within connect_timeout_ms while opening" },
      { failed.status, failed.message })
  end)
end)
