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

describe("tokens of a script", function()
  local function world_with(options)
    options.nodes = {
      { rack = "a", tokens = { -3000000000000000000LL, 5, 7000000000000000000LL } },
      { rack = "b", tokens = { 0 } },
      { rack = "c", tokens = { 9223372036854775807LL, -9223372036854775807LL } },
    }
    local world = sim.world(options)
    world:given("CREATE KEYSPACE k WITH replication = "
      .. "{'class': 'SimpleStrategy', 'replication_factor': 1}")
    return world
  end

  local function owner(world, token) return world:replicas("k", token)[1].node.number end

  it("are the ring, and what system.local and system.peers say", function()
    local world = world_with { version = "5.0.9" }
    for _, case in ipairs {
      { -9223372036854775807LL, 3 }, { -9223372036854775806LL, 1 }, { -3000000000000000000LL, 1 },
      { -2999999999999999999LL, 2 }, { 0, 2 }, { 1, 1 }, { 5, 1 }, { 6, 1 },
      { 7000000000000000000LL, 1 }, { 7000000000000000001LL, 3 }, { 9223372036854775807LL, 3 },
    } do
      assert.equal(case[2], owner(world, case[1]), tostring(case[1]))
    end
    local session = assert(world:connect { discover = false })
    local function tokens(text)
      local out = {}
      for _, row in ipairs(assert(session:execute(text))) do
        table.sort(row.tokens)
        out[row.rack] = table.concat(row.tokens, " ")
      end
      return out
    end
    assert.same({ a = "-3000000000000000000 5 7000000000000000000" },
      tokens "SELECT rack, tokens FROM system.local")
    for _, name in ipairs { "peers", "peers_v2" } do
      assert.same({ b = "0", c = "-9223372036854775807 9223372036854775807" },
        tokens("SELECT rack, tokens FROM system." .. name))
    end
  end)

  it("are the same in system.local and system.peers of every node", function()
    local world = world_with {}
    for _, node in ipairs(world.nodes) do
      local session = assert(world:connect { contact_points = node:address(), discover = false })
      local count = 0
      local own = assert(session:execute "SELECT tokens FROM system.local")
      local others = assert(session:execute "SELECT tokens, host_id FROM system.peers")
      for _, token in ipairs(own[1].tokens) do
        assert.equal(node.number, owner(world, assert(loadstring("return " .. token .. "LL"))()))
        count = count + 1
      end
      for _, row in ipairs(others) do
        for _, token in ipairs(row.tokens) do
          local number = owner(world, assert(loadstring("return " .. token .. "LL"))())
          assert.equal(world:node(number):host_id(), row.host_id)
          count = count + 1
        end
      end
      assert.equal(6, count)
      session:close()
    end
  end)

  it("that can't be are refused, where they were written", function()
    for _, case in ipairs {
      { { 1, 2, 1 }, "token 1 stands there twice" }, { { 5 }, "token 5 is one of 127.0.0.1:9042" },
      { {}, "from 1 to 4096 tokens, not 0" }, { { "1" }, "token 1 is no whole number" },
      { { 0.5 }, "token 1 is no whole number" }, { 7, "tokens are an array" },
      { { 2, 2 ^ 60 }, "token 2 is no whole number, or one past 2^53 without LL" },
    } do
      local world = sim.world { nodes = { { tokens = { 5 } } } }
      local ok, why = pcall(function() world:add { tokens = case[1] } end)
      assert.is_false(ok)
      assert.matches("ring_spec.lua:%d+", why)
      assert.matches(case[2], why, 1, true)
    end
  end)

  it("are free again when their node has left", function()
    local world = world_with {}
    world:node(2):decommission()
    assert.equal(1, owner(world, 0))
    world:add { rack = "b", tokens = { 0 } }
    assert.equal(4, owner(world, 0))
  end)
end)

describe("tablets", function()
  local function tablet_world()
    local world = sim.world { seed = 9, product = "scylla", shards = 4, nodes = 3 }
    world:given("CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', "
      .. "'dc1': 2} AND tablets = {'enabled': true, 'initial': 4}",
      "CREATE TABLE k.t (id int PRIMARY KEY, v text)")
    return world
  end

  local function numbers(world, token)
    local out = {}
    for i, replica in ipairs(world:replicas("k", token, "t")) do
      out[i] = replica.node.number .. ":" .. replica.shard
    end
    return table.concat(out, " ")
  end

  it("move where the script says, and nothing else does", function()
    local world = tablet_world()
    local other = numbers(world, 5000000000000000000LL)
    world:move_tablet("k", "t", -5000000000000000000LL,
      { { node = world:node(3), shard = 2 }, { node = world:node(1), shard = 0 } })
    assert.equal("3:2 1:0", numbers(world, -5000000000000000000LL))
    assert.equal("3:2 1:0", numbers(world, -9000000000000000000LL)) -- of the same tablet
    assert.equal(other, numbers(world, 5000000000000000000LL))
  end)

  it("can't move to who isn't there, to a shard that isn't, or to a node twice", function()
    local world = tablet_world()
    local gone = world:node(3):decommission()
    for _, case in ipairs {
      { { { node = gone, shard = 0 } }, "not in the ring" },
      { { { node = world:node(1), shard = 4 } }, "not in the ring" },
      { { { node = world:node(1), shard = 1 }, { node = world:node(1), shard = 2 } }, "twice" },
    } do
      local ok, why = pcall(world.move_tablet, world, "k", "t", 0, case[1])
      assert.is_false(ok)
      assert.matches(case[2], why)
    end
    assert.has_error(function() world:move_tablet("k", "u", 0, {}) end, "k.u has no tablets")
  end)

  it("live on shards that there are after their node came back with fewer", function()
    local world = tablet_world()
    local before = {}
    for i, token in ipairs(TOKENS) do before[i] = numbers(world, token) end
    world:node(1):reshard(1)
    for i, token in ipairs(TOKENS) do
      assert.equal((before[i]:gsub("%f[%d]1:%d", "1:0")), numbers(world, token))
    end
  end)
end)
