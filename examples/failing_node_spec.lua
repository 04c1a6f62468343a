-- How an application behaves when a node fails, tested in busted without any server: the cluster is
-- simulated in the process, on a virtual clock. Run it with busted; before lua-cql is installed:
--   ./dev lua "$(command -v busted)" examples/failing_node_spec.lua
local sim = require "cql.sim"

-- The application: a reader that tries again, and gives up after a second.
local function read_name(cql, session, id)
  local started = cql.now()
  repeat
    local rows = session:execute("SELECT name FROM items WHERE id = ?", { id },
      { consistency = "one", timeout_ms = 100, idempotent = true })
    if rows then return rows[1] and rows[1].name end
    cql.sleep(50)
  until cql.now() - started > 1000
  return nil, "the shop is closed"
end

describe("the shop", function()
  local world, session

  before_each(function()
    world = sim.world { seed = 1, nodes = 2 }
    world:given("CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy',"
      .. " 'replication_factor': 2}", "CREATE TABLE shop.items (id int PRIMARY KEY, name text)",
      "INSERT INTO shop.items (id, name) VALUES (1, 'cup')")
    session = assert(world:connect {
      contact_points = { world:node(1):address(), world:node(2):address() }, keyspace = "shop",
      reconnect_max_ms = 200,
    })
  end)

  it("serves while one node is down, closes with both, and opens again", function()
    world:node(1):kill()
    assert.equal("cup", read_name(world.cql, session, 1))
    world:node(2):kill()
    assert.same({ nil, "the shop is closed" }, { read_name(world.cql, session, 1) })
    world:at(world:now() + 500, function() world:node(2):start() end)
    assert.equal("cup", read_name(world.cql, session, 1))
  end)
end)
