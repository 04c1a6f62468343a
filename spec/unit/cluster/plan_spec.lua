local ffi = require "ffi"
local ring = require "spec.support.ring"
local unit = require "spec.support.unit"

local C = unit.C

-- A ring whose tokens 1, 2, 3 ... have these owners.
local function ring_of(...)
  local points = {}
  for i, owner in ipairs { ... } do points[i] = { tostring(i), owner } end
  return ring.make(ring.MURMUR3, points)
end

local function network(options)
  options.class = "NetworkTopologyStrategy"
  return options
end

local function simple(factor) return { class = "SimpleStrategy", replication_factor = factor } end

-- All of a plan's nodes, as "1 2 3"; nil: there is none.
local function replicas(made, nodes, options, range)
  local plan = ring.plan(ring.plans(made, nodes, options), range or 0)
  if not plan then return nil end
  for _, name in ipairs { "local", "remote" } do
    for _, node in ipairs(plan[name]) do table.insert(plan.rack, node) end
  end
  return table.concat(plan.rack, " ")
end

describe("the replicas of a range", function()
  local three = { { "dc1", "a" }, { "dc1", "b" }, { "dc1", "c" } }

  it("are the next nodes on the ring: SimpleStrategy", function()
    local made = ring_of(0, 0, 1, 0, 2, 1)
    assert.equal("0 1", replicas(made, three, simple "2", 0))
    assert.equal("0 2 1", replicas(made, three, simple "3", 3))
    assert.equal("1 0 2", replicas(made, three, simple "3", 5)) -- round the end
    assert.equal("1", replicas(made, three, simple "1", 2))
    assert.equal("2 1 0", replicas(made, three, simple "7", 4)) -- more than there are nodes
    assert.equal("", replicas(made, three, simple "0"))
  end)

  it("are each datacenter's: NetworkTopologyStrategy", function()
    local nodes = { { "dc1", "a" }, { "dc2", "a" }, { "dc1", "a" }, { "dc2", "a" } }
    local made = ring_of(0, 1, 2, 3)
    assert.equal("0 1 2 3", replicas(made, nodes, network { dc1 = "2", dc2 = "2" }))
    assert.equal("0 1 2", replicas(made, nodes, network { dc1 = "2", dc2 = "1" }))
    assert.equal("2 0", replicas(made, nodes, network { dc1 = "3" }, 1))
    assert.equal("1 2 0", replicas(made, nodes, network { dc1 = "9", dc2 = "1" }, 1))
    assert.equal("1 3", replicas(made, nodes, network { dc1 = "0", dc2 = "2" }))
    assert.equal("", replicas(made, nodes, network { dc1 = "0" }))
    assert.equal("", replicas(made, nodes, network {}))
  end)

  it("are those of known datacenters, if others are named too", function()
    local made = ring_of(0, 1, 2)
    assert.equal("0 1", replicas(made, three, network { dc1 = "2", nowhere = "3" }))
    assert.equal("", replicas(made, three, network { nowhere = "3" }))
    assert.equal("0 1", replicas(made, three, network { replication_factor = "2" }))
    assert.equal("0", replicas(made, three, network { replication_factor = "2", dc1 = "1" }))
  end)

  it("are in different racks, while there are any", function()
    local nodes = { { "dc1", "a" }, { "dc1", "a" }, { "dc1", "b" }, { "dc1", "c" } }
    local made = ring_of(0, 1, 2, 3)
    assert.equal("0 2", replicas(made, nodes, network { dc1 = "2" }))
    assert.equal("0 2 3", replicas(made, nodes, network { dc1 = "3" }))
    assert.equal("0 1 2 3", replicas(made, nodes, network { dc1 = "4" }))
    assert.equal("1 2 3", replicas(made, nodes, network { dc1 = "3" }, 1))
  end)

  -- Cassandra and Scylla take the first that they meet of a rack once more, as often as there are
  -- replicas too many for the racks, rather than the skipped ones at the end.
  it("are in a rack again where there are too few", function()
    local nodes = { { "dc1", "a" }, { "dc1", "a" }, { "dc1", "a" }, { "dc1", "b" } }
    local made = ring_of(0, 1, 2, 3)
    assert.equal("0 3", replicas(made, nodes, network { dc1 = "2" }))
    assert.equal("0 1 3", replicas(made, nodes, network { dc1 = "3" }))
    assert.equal("3 0 1", replicas(made, nodes, network { dc1 = "3" }, 3))
    assert.equal("0 1 2 3", replicas(made, nodes, network { dc1 = "4" }))
  end)

  it("aren't fewer because a node is met twice", function()
    local nodes = { { "dc1", "a" }, { "dc1", "a" }, { "dc1", "b" }, { "dc1", "b" } }
    local made = ring_of(0, 0, 0, 1, 0, 2, 3)
    assert.equal("0 1 2", replicas(made, nodes, network { dc1 = "3" }))
    assert.equal("0 1 2 3", replicas(made, nodes, network { dc1 = "4" }))
  end)

  it("know racks of equal name apart, and nodes without a token from others", function()
    local nodes = { { "dc1", "a" }, { "dc2", "a" }, { "dc1", "a" }, { "dc2", "b" } }
    assert.equal("0 1", replicas(ring_of(0, 1, 2, 3), nodes, network { dc1 = "1", dc2 = "1" }))
    -- node 3 has no token: there is but one rack in dc2
    nodes[5] = { "dc2", "a" }
    assert.equal("1 4", replicas(ring_of(0, 1, 2, 4), nodes, network { dc2 = "2" }))
  end)

  it("know the racks of hundreds of datacenters apart", function()
    local nodes, points = {}, {}
    for i = 0, 899 do
      nodes[i + 1] = { "dc" .. math.floor(i / 3), i % 3 < 2 and "a" or "b" }
      points[i + 1] = { tostring(i), i }
    end
    local made = ring.make(ring.MURMUR3, points)
    local plans = ring.plans(made, nodes, network { replication_factor = "2" })
    for first = 0, 899, 3 do
      local plan = C.cql__plans_get(plans, first)
      assert.equal(600, plan.ends[2])
      assert.equal(first, plan.nodes[0])
      assert.equal(first + 2, plan.nodes[1]) -- the one between is in the same rack
    end
  end)

  it("are those that keep all data", function()
    local nodes = { { "dc1", "a" }, { "dc1", "a" }, { "dc1", "b" }, { "dc1", "b" } }
    local made = ring_of(0, 1, 2, 3)
    assert.equal("0 1", replicas(made, nodes, simple "3/1"))
    -- the server has 0, 1 and 2, the last of them in part
    assert.equal("0 1", replicas(made, nodes, network { dc1 = "3/1" }))
    assert.equal("0 1 2 3", replicas(made, nodes, network { dc1 = "5/1" })) -- one is lacking
    assert.equal("0 1 2", replicas(made, nodes, network { dc1 = "5/2" }))
    assert.equal("0", replicas(made, nodes, network { dc1 = "5/4" }))
  end)

  it("are all nodes: EverywhereStrategy", function()
    local made = ring_of(2, 0, 1)
    for range = 0, 2 do
      assert.equal("2 0 1", replicas(made, three, { class = "EverywhereStrategy" }, range))
    end
  end)

  it("are not known of LocalStrategy, of other strategies and of no tokens", function()
    local made = ring_of(0, 1, 2)
    assert.is_nil(replicas(made, three, { class = "LocalStrategy" }))
    assert.is_nil(replicas(made, three, { class = "MetaStrategy" }))
    local everywhere = { class = "EverywhereStrategy" }
    for _, options in ipairs { simple "3", network { dc1 = "3" }, everywhere } do
      assert.is_nil(replicas(ring_of(), three, options))
      if options ~= everywhere then assert.is_nil(replicas(made, three, options, 3)) end
      assert.equal("", replicas(made, {}, options)) -- the ring's owners have no place
    end
  end)
end)

local NAMES = { "rack", "local", "remote", "ignored" }

local function random_nodes(random)
  local nodes, datacenters, racks = {}, 1 + random(3), 1 + random(5)
  for i = 1, 1 + random(25) do
    local datacenter = random(datacenters)
    nodes[i] = { "dc" .. datacenter, "rack" .. random(racks - (racks > 2 and datacenter or 0)),
      NAMES[1 + random(4)] }
  end
  return nodes
end

local function random_options(random)
  local function factor()
    local all = random(8)
    return all > 1 and random(4) == 0 and all .. "/" .. random(all) or tostring(all)
  end
  local kind = random(8)
  if kind == 0 then return { class = "EverywhereStrategy" } end
  if kind < 3 then return simple(factor()) end
  local options = network {}
  for i = 0, 3 do
    if random(3) > 0 then options["dc" .. i] = factor() end
  end
  return options
end

local function random_ring(random, nodes)
  local points = {}
  for node = 0, #nodes - 1 do
    for _ = 1, random(8) do points[#points + 1] = { tostring(random(1000000)), node } end
  end
  return ring.make(ring.MURMUR3, points)
end

local function describe_case(nodes, options)
  local words = {}
  for i, node in ipairs(nodes) do words[i] = table.concat(node, "/") end
  for name, value in pairs(options) do words[#words + 1] = name .. "=" .. value end
  return table.concat(words, ", ")
end

-- What the rules, as the spec writes them, make of a range.
local function expected_plan(owners, range, nodes, options)
  local list = ring.reference(owners, range, nodes, options)
  local plan = { primary = list[1], rack = {}, ["local"] = {}, remote = {} }
  for _, node in ipairs(list) do
    local group = plan[nodes[node + 1][3]]
    if group then group[#group + 1] = node end
  end
  return plan
end

describe("a plan", function()
  it("has the replicas nearest first, those of one distance in ring order", function()
    local made = ring_of(0, 1, 2, 3, 4)
    local nodes = { { "dc1", "a", "remote" }, { "dc1", "b", "local" }, { "dc1", "c", "ignored" },
      { "dc1", "d", "rack" }, { "dc1", "e", "local" } }
    local plans = ring.plans(made, nodes, simple "5")
    assert.same({ primary = 0, rack = { 3 }, ["local"] = { 1, 4 }, remote = { 0 } },
      ring.plan(plans, 0))
    assert.same({ primary = 2, rack = { 3 }, ["local"] = { 4, 1 }, remote = { 0 } },
      ring.plan(plans, 2))
    assert.same({ rack = {}, ["local"] = {}, remote = {} },
      ring.plan(ring.plans(made, nodes, simple "0"), 2))
  end)

  it("is what the rules say, in random clusters", function()
    local random, ranges = unit.random(20261124), 0
    for _ = 1, 600 do
      local nodes, options = random_nodes(random), random_options(random)
      local made, owners = random_ring(random, nodes), {}
      for i = 0, made.count - 1 do owners[i + 1] = tonumber(made.owners[i]) end
      local plans = ring.plans(made, nodes, options)
      for _ = 1, 2 * #owners do
        local range = random(#owners)
        assert.same(expected_plan(owners, range, nodes, options), ring.plan(plans, range),
          describe_case(nodes, options))
        ranges = ranges + 1
      end
    end
    assert.is_true(ranges > 30000)
  end)

  it("is made once, and stays where it is", function()
    local points = {}
    for i = 1, 3000 do points[i] = { tostring(i), i % 7 } end
    local made = ring.make(ring.MURMUR3, points)
    local nodes = {}
    for i = 1, 7 do nodes[i] = { "dc1", "rack" .. i } end
    local plans = ring.plans(made, nodes, simple "3")
    local first = C.cql__plans_get(plans, 1500)
    local before = tonumber(C.cql__mem_count())
    local mark = ffi.cast("cql__plan *", first)
    mark.primary = 77 -- another making would undo that
    assert.equal(first, C.cql__plans_get(plans, 1500))
    assert.equal(77, first.primary)
    assert.equal(before, tonumber(C.cql__mem_count()))
    mark.primary = 1501 % 7
    local seen, where = {}, {}
    for range = 0, 2999 do
      where[range] = C.cql__plans_get(plans, range)
      local address = tostring(ffi.cast("uintptr_t", where[range]))
      assert.is_nil(seen[address])
      seen[address] = true
    end
    for range = 0, 2999 do
      assert.equal(where[range], C.cql__plans_get(plans, range))
      assert.equal((range + 1) % 7, where[range].primary)
    end
    assert.equal(first, where[1500])
    -- a page each for some hundreds of them
    assert.is_true(tonumber(C.cql__mem_count()) - before < 3000 / 100)
  end)

  it("keeps the ring, and nothing else that it was made of", function()
    local live = tonumber(C.cql__mem_live())
    local made = ring.build(ring.MURMUR3, { { "1", 0 }, { "2", 1 } })
    local places, kept = ring.places { { "dc1", "a" }, { "dc2", "a" } }
    local bytes = ring.map(network { dc1 = "1", dc2 = "1" })
    local replication = C.cql__replication_read(unit.buffer(bytes), #bytes)
    local plans = C.cql__plans_new(made, places, replication)
    C.cql__ring_unref(made)
    C.cql__replication_unref(replication)
    ffi.fill(kept[1], ffi.sizeof(kept[1]), 255)
    ffi.fill(kept[2], ffi.sizeof(kept[2]), 255)
    assert.same({ primary = 1, rack = {}, ["local"] = { 1, 0 }, remote = {} }, ring.plan(plans, 1))
    C.cql__plans_unref(plans)
    assert.equal(live, tonumber(C.cql__mem_live()))
  end)

  it("isn't there where memory is lacking, and comes when there is some", function()
    local made = ring_of(0, 1, 2)
    local nodes = { { "dc1", "a" }, { "dc1", "b" }, { "dc2", "a" } }
    local places, kept = ring.places(nodes)
    for _, options in ipairs { simple "2", network { dc1 = "2", dc2 = "1" },
      { class = "EverywhereStrategy" } } do
      local replication = ring.replication(options)
      local failed = unit.fail_each_allocation(function()
        local plans = C.cql__plans_new(made, places, replication)
        if plans == nil then return C.CQL_ENOMEM end
        local plan = C.cql__plans_get(plans, 1)
        local again = plan == nil and C.cql__plans_get(plans, 1)
        C.cql__plans_unref(plans)
        assert(again ~= nil, kept)
        return plan == nil and C.CQL_ENOMEM or 0
      end)
      assert.equal(8, failed)
    end
  end)

  it("is none in a cluster of more nodes than it can number", function()
    local places = ffi.new "cql__places"
    local nodes = ffi.new("cql__place[?]", 65536)
    local slice, name = ring.slice "dc1"
    local slices = ffi.new("cql_slice_t[1]", slice)
    places.nodes, places.datacenters, places.datacenter_count = nodes, slices, 1
    local made = ring.make(ring.MURMUR3, { { "1", 65534 } })
    local replication = ring.replication(network { dc1 = "1" })
    for count, expected in pairs { [65535] = 65534, [65536] = false } do
      places.count = count
      local plans = ffi.gc(C.cql__plans_new(made, places, replication), C.cql__plans_unref)
      local plan = ring.plan(plans, 0)
      assert.equal(expected, plan and plan.rack[1] or false, name)
    end
  end)
end)
