-- The scripted server itself: that it speaks every version, and sees what is wrong.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C = unit.C

describe("a scripted server", function()
  it("writes the segments of the specification", function()
    local options = server.envelope(5, 0, "OPTIONS", "")
    options = "\5" .. options:sub(2)
    assert.equal("090002a4c8c10500000005000000001086284d", unit.hex(server.segment(options)))
    assert.equal("0900000004c2b8950500000005000000001086284d",
      unit.hex(server.segment(options, { lz4 = true })))
    local payload, own, rest = server.unsegment(server.segment(options) .. "x")
    assert.same({ options, true, "x" }, { payload, own, rest })
    local packed = server.segment(("a"):rep(64), { lz4 = true, compress = true })
    assert.equal("0b00800004ffee151f6101002750616161616137c8e516", unit.hex(packed))
    assert.equal(("a"):rep(64), (server.unsegment(packed, true)))
  end)

  for version = 3, 5 do
    for _, compression in ipairs { "none", "lz4" } do
      it(("serves a request on v%d, compression %s"):format(version, compression), function()
        local p = peer.new { protocol_version = version, compression = compression }
        local socket = p:serve()
        assert(p:event(C.CQL_EVENT_READY))
        local text = "SELECT " .. ("x"):rep(2000)
        p:submit(7, text)
        p:step()
        local list = p:requests()
        assert.equal(1, #list)
        assert.equal(server.OPCODE.QUERY, list[1].opcode)
        assert.equal(unit.u32(#text) .. text, list[1].body:sub(1, 4 + #text))
        p:answer(list[1].stream, "RESULT", server.VOID)
        p:step()
        local done = p:done()
        assert.equal(1, #done)
        assert.equal(7, done[1].tag)
        assert.equal(0, done[1].status)
        assert.equal("127.0.0.1:9042", p:address(socket))
        assert.equal(ffi.string(C.cql__sim_address(p.sim, socket)), p:address(socket))
        p:free()
      end)
    end
  end
end)
