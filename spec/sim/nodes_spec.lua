-- A cluster as Lua sees it: its nodes, and how near each of them is.
--
-- References to nodes are counted at the library's own door.
local library = require "cql.sim.library"
local real, held = library.C, 0
library.C = setmetatable({
  cql_node_ref = function(node)
    held = held + 1
    return real.cql_node_ref(node)
  end,
  cql_session_nodes = function(session, max, out)
    local count = real.cql_session_nodes(session, max, out)
    held = held + math.min(count, max)
    return count
  end,
  cql_request_plan = function(request, max, out)
    local count = real.cql_request_plan(request, max, out)
    held = held + math.min(count, max)
    return count
  end,
  cql_node_unref = function(node)
    held = held - 1
    real.cql_node_unref(node)
  end,
}, { __index = real })
local sim = require "cql.sim"
local policy = require "cql.policy"

local logged, session

local function connect(world, options)
  logged = {}
  local all = { discover = true, consistency = "one",
    log = function(level, text) logged[#logged + 1] = level .. ": " .. text end }
  for name, value in pairs(options or {}) do all[name] = value end
  session = assert(world:connect(all))
  return session
end

-- Long enough for all nodes to be connected.
local function settle(world) world.cql.sleep(1000) end

local function two_datacenters()
  return sim.world { seed = 1, datacenters = { dc1 = { a = 1, b = 1 }, dc2 = { a = 1 } } }
end

local function distances()
  local list = {}
  for i, node in ipairs(assert(session:nodes())) do list[i] = node.distance end
  return list
end

local function states()
  local list = {}
  for i, node in ipairs(assert(session:nodes())) do list[i] = node.up and "up" or "down" end
  return list
end

after_each(function()
  if session then session:close(0) end
  session = nil
end)

describe("a datacenter or a rack that no node is in", function()
  local function told(options)
    local world = two_datacenters()
    connect(world, options)
    settle(world)
    assert(session:refresh())
    settle(world)
    local seen = logged
    session:close(0)
    return seen
  end

  it("is told of once, with those where nodes are", function()
    assert.same({
      'warning: no node is in local_datacenter "DC1", but in "dc1", "dc2"; case counts',
    }, told { local_datacenter = "DC1", datacenter_failover = true })
    assert.same({ 'warning: no node is in local_rack "c", but in "a", "b"; case counts' },
      told { local_datacenter = "dc1", local_rack = "c" })
    assert.same({ 'warning: no node is in local_rack "b", but in "a"; case counts' },
      told { local_datacenter = "dc2", local_rack = "b" })
    assert.same({}, told { local_datacenter = "dc2", local_rack = "a" })
    assert.same({}, told { local_datacenter = "dc1", local_rack = "" })
  end)

  it("is told of anew when its last node has left", function()
    local world = two_datacenters()
    connect(world, { local_datacenter = "dc2", datacenter_failover = true })
    for _ = 1, 2 do
      world:node(#world.nodes):decommission()
      settle(world) settle(world) settle(world)
      assert.same({ 'warning: no node is in local_datacenter "dc2", but in "dc1"; case counts' },
        logged)
      logged = {}
      world:add { datacenter = "dc2", rack = "a" }
      settle(world) settle(world) settle(world)
    end
    assert.same({}, logged)
  end)
end)

describe("the nodes of a session", function()
  it("are those of the cluster, with what is known of them", function()
    local world = two_datacenters()
    connect(world, { connections_per_node = 2, remote_connections_per_node = 1,
      local_datacenter = "dc1", datacenter_failover = true })
    settle(world)
    local found = assert(session:nodes())
    assert.equal(3, #found)
    for i, place in ipairs { "dc1 a local 2", "dc1 b local 2", "dc2 a remote 1" } do
      local node = found[i]
      assert.equal(world:node(i):address(), node.address)
      assert.equal(world:node(i):host_id(), node.host_id)
      assert.equal(place, ("%s %s %s %d"):format(node.datacenter, node.rack, node.distance,
        node.connections))
      assert.same({ "5.0.9", true, 0, 1 }, { node.version, node.up, node.in_flight, node.shards })
    end
    assert.equal("node 127.0.0.3:9042 in dc2, a: remote, up", tostring(found[3]))
  end)

  it("are the same ones later, with what is known of them then", function()
    local world = two_datacenters()
    connect(world)
    settle(world)
    local before = assert(session:nodes())
    world:node(2):kill()
    settle(world)
    local after = assert(session:nodes())
    assert.is_true(before[2] == after[2] and before[1] ~= after[2])
    assert.is_true(before[2].up and not after[2].up)
    assert.same({ "up", "down", "up" }, states())
  end)

  it("are counted: none is held that nobody has", function()
    local world = two_datacenters()
    local distance = function() return "local" end
    connect(world, { distance = distance, on = { node_up = function() end } })
    local subscription = assert(session:subscribe())
    settle(world)
    for _ = 1, 10 do assert(session:nodes()) end
    assert.equal(3, #assert(session:plan "SELECT key FROM system.local"))
    assert(session:refresh_distances())
    settle(world)
    subscription:close()
    assert.is_true(held > 30)
    local kept = assert(session:nodes())[1]
    for _ = 1, 3 do collectgarbage() end
    assert.equal(1, held)
    session:close(0)
    assert.equal("127.0.0.1:9042", kept.address)
    kept = nil -- luacheck: ignore
    for _ = 1, 3 do collectgarbage() end
    assert.equal(0, held)
  end)

  it("are what the contact points are, where nobody is asked for them", function()
    local world = two_datacenters()
    connect(world, { discover = false })
    local node = assert(session:nodes())[1]
    assert.same({ "127.0.0.1:9042", "local" }, { node.address, node.distance })
    assert.is_nil(node.host_id or node.datacenter or node.rack or node.version)
    assert.equal("node 127.0.0.1:9042: local, up", tostring(node))
    local refreshed, failure = session:refresh()
    assert.is_nil(refreshed)
    assert.equal("UNSUPPORTED", failure.name)
    assert.matches("^with discover = false", failure.message)
  end)

  it("are none of a session that is closed", function()
    connect(two_datacenters())
    session:close(0)
    for _, name in ipairs { "nodes", "refresh", "refresh_distances", "subscribe" } do
      local value, failure = session[name](session)
      assert.is_nil(value)
      assert.equal("CLOSED", failure.name)
    end
  end)
end)

describe("the function that says how near a node is", function()
  it("is asked of each node, with all that is known of it", function()
    local world, asked = two_datacenters(), {}
    connect(world, { distance = function(node)
      asked[#asked + 1] = ("%s %s %s"):format(node.address, node.datacenter, node.rack)
      return node.datacenter == "dc2" and "ignored" or node.rack == "a" and "rack" or "local"
    end })
    settle(world)
    table.sort(asked)
    assert.same({ "127.0.0.1:9042 dc1 a", "127.0.0.2:9042 dc1 b", "127.0.0.3:9042 dc2 a" }, asked)
    assert.same({ "rack", "local", "ignored" }, distances())
    assert.same({ "up", "up", "down" }, states())
    assert.same({}, logged)
  end)

  it("is asked of a node that joins", function()
    local world, asked = two_datacenters(), {}
    connect(world, { distance = function(node)
      asked[node.address] = true
      return "local"
    end })
    settle(world)
    assert.is_nil(asked["127.0.0.4:9042"])
    world:add { datacenter = "dc2", rack = "b" }
    world.cql.sleep(20000)
    assert.is_true(asked["127.0.0.4:9042"])
    assert.same({ "up", "up", "up", "up" }, states())
  end)

  it("is asked again when it is said so, and connections follow", function()
    local world, far = two_datacenters(), "ignored"
    connect(world, { distance = function(node)
      return node.datacenter == "dc2" and far or "local"
    end })
    local changes = assert(session:subscribe "distance")
    settle(world)
    assert.same({ "up", "up", "down" }, states())
    far = "remote"
    assert(session:refresh_distances())
    local event = assert(changes:next(1000))
    assert.same({ "127.0.0.3:9042", "remote", "remote" },
      { event.address, event.message, event.node.distance })
    settle(world)
    assert.same({ "up", "up", "up" }, states())
    far = "ignored"
    assert(session:refresh_distances())
    settle(world)
    assert.same({ "up", "up", "down" }, states())
    assert.same({ "local", "local", "ignored" }, distances())
  end)

  it("that comes to ignore all nodes is told of at once, and once each time", function()
    local world, everybody = two_datacenters(), "local"
    connect(world, { distance = function() return everybody end })
    settle(world)
    for _ = 1, 2 do
      logged, everybody = {}, "ignored"
      assert(session:refresh_distances())
      settle(world)
      assert(session:refresh_distances())
      settle(world)
      assert.same({ "warning: all nodes are ignored; is what is said of their distances right?" },
        logged)
      everybody = "local"
      assert(session:refresh_distances())
      settle(world)
      assert.same({ "up", "up", "up" }, states())
    end
  end)

  it("that ignores all nodes is told of, and why no session was made", function()
    local world = two_datacenters()
    local all = { "warning: all nodes are ignored; is what is said of their distances right?" }
    logged, session = {}, nil
    local _, failure = world:connect { connect_timeout_ms = 1000,
      log = function(level, text) logged[#logged + 1] = level .. ": " .. text end,
      distance = function() return "ignored" end }
    assert.same(all, logged)
    assert.matches("^all nodes are ignored;.*; no node answered within", failure.message)
    _, failure = world:connect { connect_timeout_ms = 1000, log = function() end,
      local_datacenter = "DC1" }
    assert.matches('^no node is in local_datacenter "DC1", .*; no node answered within',
      failure.message)
    _, failure = world:connect { connect_timeout_ms = 1000, log = function() end,
      contact_points = "nowhere" }
    assert.matches("^contact point nowhere: .*; no node answered within", failure.message)
  end)

  it("may say nothing: then the options do", function()
    local world = two_datacenters()
    connect(world, { local_datacenter = "dc1", distance = function() end })
    settle(world)
    assert.same({ "local", "local", "ignored" }, distances())
    assert.same({}, logged)
    assert.matches("node 127.0.0.2:9042 in dc1, b: local\n    connection serving", session:dump())
    assert.matches("node 127.0.0.3:9042 in dc2, a: ignored\n", session:dump())
  end)

  it("that fails, waits, or gives what is none leaves it to the options, and is told of", function()
    local world = two_datacenters()
    local cases = {
      { function() error "no idea" end, "distance failed: .*_spec.lua:%d+: no idea\nstack trace" },
      { function() error({}) end, "distance failed: table" },
      { function() session:execute "SELECT * FROM system.local" end, "distance may not wait" },
      { function() world.cql.sleep(1) end, "distance may not wait" },
      { function() coroutine.yield() end, "distance may not yield" },
      { function() return "near" end, "distance must give .* not \"near\", of node 127" },
      { function() return true end, "distance must give .* not a boolean, of node 127" },
    }
    local answer = function() return "local" end
    connect(world, { local_datacenter = "dc1", distance = function(...) return answer(...) end })
    settle(world)
    for _, case in ipairs(cases) do
      answer, logged = case[1], {}
      assert(session:refresh_distances())
      settle(world)
      assert.equal(3, #logged)
      assert.matches("^error: ", logged[1])
      assert.matches(case[2], logged[1])
      assert.same({ "local", "local", "ignored" }, distances())
    end
  end)

  it("may be one of the ready-made", function()
    local world = two_datacenters()
    connect(world, { distance = policy.all(policy.rack("dc1", "a", "remote"),
      policy.deny { address = "127.0.0.2" }) })
    settle(world)
    assert.same({ "rack", "ignored", "remote" }, distances())
    local text = "SELECT key FROM system.local"
    for _ = 1, 20 do assert(session:execute(text)) end
    assert.equal(20, #world:asked { node = world:node(1), text = text })
  end)
end)
