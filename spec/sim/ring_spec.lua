-- Where data lives: replicas by the rules of each strategy, whatever the tokens.
local sim = require "cql.sim"

-- Two datacenters: dc1 has racks a (3 nodes) and b (1), dc2 has rack a (2).
local NODES = {
  { "dc1", "a" }, { "dc1", "a" }, { "dc1", "a" }, { "dc1", "b" }, { "dc2", "a" }, { "dc2", "a" },
}

local function world_of(replication)
  local world = sim.world { seed = 3, nodes = 0 }
  for _, node in ipairs(NODES) do world:add { datacenter = node[1], rack = node[2] } end
  world:run(function() world.cql.sleep(60000) end) -- all have joined
  world:given("CREATE KEYSPACE k WITH replication = " .. replication)
  return world
end

local TOKENS = {}
for i = -8, 8 do TOKENS[#TOKENS + 1] = 1000000000000000000LL * i end

-- Calls fn with the datacenters and racks of the replicas of each token, counted.
local function each(replication, fn)
  local world, places = world_of(replication), {}
  for _, token in ipairs(TOKENS) do
    local count, seen = {}, {}
    for _, replica in ipairs(world:replicas("k", token)) do
      local number = replica.node.number
      assert.is_nil(seen[number], "a node twice")
      seen[number] = true
      local datacenter, rack = unpack(NODES[number])
      count[datacenter] = (count[datacenter] or 0) + 1
      count[datacenter .. rack] = (count[datacenter .. rack] or 0) + 1
      count.all = (count.all or 0) + 1
      places[number] = true
    end
    fn(count)
  end
  return places
end

describe("replicas", function()
  it("of SimpleStrategy are the next nodes, wherever these are", function()
    local places = each("{'class': 'SimpleStrategy', 'replication_factor': 3}", function(count)
      assert.equal(3, count.all)
    end)
    for number = 1, #NODES do assert.is_true(places[number], "nothing on node " .. number) end
  end)

  it("of NetworkTopologyStrategy are counted by datacenter, each rack before one twice", function()
    each("{'class': 'NetworkTopologyStrategy', 'dc1': 2, 'dc2': 1}", function(count)
      assert.same({ 1, 1, 1, 3 }, { count.dc1a, count.dc1b, count.dc2, count.all })
    end)
    each("{'class': 'NetworkTopologyStrategy', 'dc1': 3}", function(count)
      assert.same({ 2, 1, 3 }, { count.dc1a, count.dc1b, count.all })
    end)
  end)

  it("are no more than there are nodes", function()
    each("{'class': 'NetworkTopologyStrategy', 'dc1': 9, 'dc2': 9, 'dc3': 1}", function(count)
      assert.same({ 4, 2 }, { count.dc1, count.dc2 })
    end)
    each("{'class': 'SimpleStrategy', 'replication_factor': 9}", function(count)
      assert.equal(6, count.all)
    end)
  end)

  it("are in all datacenters where replication_factor names none", function()
    each("{'class': 'NetworkTopologyStrategy', 'replication_factor': 2}", function(count)
      assert.same({ 2, 2, 4 }, { count.dc1, count.dc2, count.all })
    end)
    each("{'class': 'NetworkTopologyStrategy', 'replication_factor': 2, 'dc2': 1}", function(count)
      assert.same({ 2, 1, 3 }, { count.dc1, count.dc2, count.all })
    end)
  end)
end)
