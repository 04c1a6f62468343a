-- Worlds on real sockets, from Lua; spec/live/drivers_spec.lua has other people's drivers on them.
local sim = require "cql.sim"

local function connects(address)
  return os.execute(("bash -c 'exec 3<>/dev/tcp/%s/9042' 2>/dev/null"):format(address)) == 0
end

describe("a served world", function()
  it("is there on its addresses, and its alarms are on the machine's time", function()
    local world = sim.world { nodes = 0 }
    world:add { address = "127.0.76.1" }
    local order, reached = {}, nil
    world:at(40, function()
      order[#order + 1] = "at"
      reached = connects "127.0.76.1"
    end)
    world:every(15, function()
      order[#order + 1] = "every"
      return false
    end)
    assert.equal(world, world:serve(2))
    assert.same({ "every", "at" }, order)
    assert.is_true(reached)
    assert.is_true(world:now() >= 2000)
    assert.is_false(connects "127.0.76.1")
    world:serve(0.01) -- once more
  end)

  it("says why an address can't be had", function()
    local world = sim.world { nodes = 0 }
    world:add { address = "192.0.2.1" }
    local ok, why = pcall(world.serve, world, 0.01)
    assert.is_false(ok)
    assert.matches("192%.0%.2%.1:9042: Cannot assign", why)
  end)

  it("can't be served twice at once", function()
    local world = sim.world { nodes = 0 }
    world:add { address = "127.0.76.2" }
    local ok, why
    world:at(0, function() ok, why = pcall(world.serve, world, 0.01) end)
    world:serve(0.05)
    assert.is_false(ok)
    assert.matches("served already", why)
  end)
end)
