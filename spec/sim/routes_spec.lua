-- What lies before nodes, as sessions see it: addresses that lead to them, and Scylla's table of
-- such.
local sim = require "cql.sim"

describe("client routes", function()
  it("stand in a table of Scylla's, by connection id and node", function()
    local world = sim.world { seed = 1, nodes = 2, product = "scylla" }
    world:run(function()
      local session = assert(world:connect())
      assert.equal(0, #assert(session:execute "SELECT * FROM system.client_routes"))
      world:route("one", world:node(1), "proxy.test", 9001)
      world:route("one", world:node(2), "10.1.1.2", 9002)
      world:route("two", world:node(1), "10.2.2.2", 9003)
      local rows = assert(session:execute("SELECT host_id, address, port, tls_port FROM " ..
        "system.client_routes WHERE connection_id = ?", { "one" }))
      local found = {}
      for _, row in ipairs(rows) do
        found[row.host_id] = row.address .. ":" .. row.port
        assert.is_nil(row.tls_port)
      end
      assert.same({ [world:node(1):host_id()] = "proxy.test:9001",
        [world:node(2):host_id()] = "10.1.1.2:9002" }, found)
      world:route("one", world:node(1), "proxy.test", 9011)
      world:route("one", world:node(2))
      rows = assert(session:execute("SELECT port FROM system.client_routes"))
      local ports = {}
      for i, row in ipairs(rows) do ports[i] = row.port end
      table.sort(ports)
      assert.same({ 9003, 9011 }, ports)
      session:close()
    end)
  end)

  it("are unknown to a Cassandra", function()
    local world = sim.world { seed = 1 }
    world:run(function()
      local session = assert(world:connect())
      local _, err = session:execute "SELECT * FROM system.client_routes"
      assert.equal("INVALID", err.name)
      session:close()
    end)
  end)
end)

it("a session may come through an address that leads to a node, and follow it elsewhere", function()
  local world = sim.world { seed = 1, nodes = 2 }
  world:forward("10.1.1.1", 9999, world:node(2))
  world:run(function()
    local session = assert(world:connect { contact_points = "10.1.1.1", port = 9999 })
    assert(session:execute "SELECT key FROM system.local")
    assert.is_true(#world:node(2):connections() >= 1)
    session:close()
  end)
end)

it("a Scylla that answers for another isn't used: it says who it is", function()
  for product, used in pairs { scylla = false, cassandra = true } do
    local world = sim.world { seed = 1, nodes = 2, product = product }
    world:forward("127.0.0.2", 9042, world:node(1))
    world:run(function()
      local told = {}
      local session = assert(world:connect { discover = true, reconnect_max_ms = 500, on = {
        connection_failed = function(event) told[#told + 1] = event.message end } })
      world.cql.sleep(3000)
      assert.equal(used, #told == 0)
      local nodes = {}
      for _, c in ipairs(world:connections()) do nodes[#nodes + 1] = c.node.number end
      for _, number in ipairs(nodes) do assert.equal(1, number) end
      if not used then
        assert.equal("the address leads to another node, " .. world:node(1):host_id(), told[1])
        world:forward("127.0.0.2", 9042)
        world.cql.sleep(3000)
        assert.is_true(#world:node(2):connections() >= 1)
      end
      session:close()
    end)
  end
end)
