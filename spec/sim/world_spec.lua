-- The simulated world, end to end: an ordinary session on virtual time and a virtual network.
local sim = require "cql.sim"

-- Runs `body(world, session)` in a world; gives the world.
local function within(options, config, body)
  local world = sim.world(options)
  world:run(function()
    local session = assert(world:connect(config))
    body(world, session)
    session:close()
  end)
  return world
end

local function cluster_name(session)
  return assert(session:execute "SELECT cluster_name FROM system.local")[1].cluster_name
end

describe("a session in a simulated world", function()
  for _, version in ipairs { 3, 4, 5 } do
    for _, compression in ipairs { "none", "lz4" } do
      it(("speaks version %d, compression %s"):format(version, compression), function()
        local world = within({ protocol_max = version }, { compression = compression },
          function(_, session) assert.equal("Simulated", cluster_name(session)) end)
        local first = world:asked({ opcode = "STARTUP" })[1]
        assert.equal(version, first.version)
      end)
    end
  end

  it("survives boundaries anywhere", function()
    for split = 1, 9 do
      within({ split = split, seed = split }, { compression = "lz4" }, function(_, session)
        assert.equal("Simulated", cluster_name(session))
      end)
    end
  end)

  it("leaves the same trace each time, and another for another seed", function()
    local function trace(seed)
      local world = sim.world { seed = seed, nodes = 2, split = 20 }
      world:trace(true)
      world:run(function()
        local session = assert(world:connect())
        for _ = 1, 20 do cluster_name(session) end
        session:close()
      end)
      return world:take_trace()
    end
    local first = trace(7)
    assert.is_true(#first > 1000)
    assert.is_true(first == trace(7))
    assert.is_false(first == trace(8))
  end)
end)
