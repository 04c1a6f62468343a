-- The replicas of random keys are those that the metadata of the Python driver for Cassandra
-- computes: an implementation that has nothing in common with ours.
local drivers = require "spec.support.drivers"
local ring = require "spec.support.ring"
local unit = require "spec.support.unit"

local C = unit.C
local NETWORK = "org.apache.cassandra.locator.NetworkTopologyStrategy"

-- `same`: what must be equal. In which order NetworkTopology's replicas come, drivers don't agree:
-- that one lists them by datacenter, within one in ring order as long as no rack is used twice.
local KEYSPACES = {
  { same = "order", options = {
    class = "org.apache.cassandra.locator.SimpleStrategy", replication_factor = "3" } },
  { same = "order", options = { class = "SimpleStrategy", replication_factor = "4/1" } },
  { same = "datacenters", options = { class = NETWORK, dc1 = "3", dc2 = "3" } },
  { same = "datacenters", options = { class = NETWORK, dc1 = "2", dc3 = "3", nowhere = "2" } },
  { same = "datacenters", options = { class = NETWORK, dc1 = "3/1", dc2 = "0", dc3 = "9" } },
  { same = "set", options = { class = NETWORK, dc1 = "5", dc2 = "4" } }, -- 3 racks each
  { same = "order", options = { class = "LocalStrategy" } },
}

-- Two datacenters of three racks, of different sizes, and a small one of one rack.
local function nodes_of(random)
  local nodes = {}
  for i = 1, 24 do
    local datacenter = i <= 12 and "dc1" or i <= 21 and "dc2" or "dc3"
    local rack = datacenter == "dc3" and "r" or "r" .. (i % 4 == 0 and 0 or random(3))
    nodes[i] = { datacenter, rack }
  end
  return nodes
end

local function digits(random, count)
  local list = {}
  for i = 1, count do list[i] = random(10) end
  return (table.concat(list):gsub("^0+(%d)", "%1"))
end

local PARTITIONERS = {
  { class = "org.apache.cassandra.dht.Murmur3Partitioner", number = ring.MURMUR3, keys = 100000,
    token = function(random) return (random(2) == 0 and "-" or "") .. digits(random, 18) end },
  { class = "org.apache.cassandra.dht.RandomPartitioner", number = ring.RANDOM, keys = 10000,
    token = function(random) return digits(random, 38) end },
  { class = "org.apache.cassandra.dht.ByteOrderedPartitioner", number = ring.BYTE_ORDERED,
    keys = 10000, token = function(random)
      return ("%04x%04x"):format(random(65536), random(65536)):sub(1, 2 * (1 + random(4)))
    end },
}

-- A file that says all of it; the points of the ring.
local function write_cluster(path, partitioner, nodes, random)
  local file, points, taken = assert(io.open(path, "w")), {}, {}
  file:write("partitioner\t", partitioner.class, "\n")
  for i, node in ipairs(nodes) do
    file:write("node\t", table.concat(node, "\t"))
    for _ = 1, 16 do
      local token
      repeat token = partitioner.token(random) until not taken[token]
      taken[token] = true
      points[#points + 1] = { token, i - 1 }
      file:write("\t", token)
    end
    file:write "\n"
  end
  for _, keyspace in ipairs(KEYSPACES) do
    file:write("keyspace\t", keyspace.options.class)
    for name, value in pairs(keyspace.options) do
      if name ~= "class" then file:write("\t", name, "\t", value) end
    end
    file:write "\n"
  end
  file:close()
  return points
end

-- "0,5,7" as a plan of ours has it; "-" for none. It has no node twice.
local function ours(plan)
  return plan and #plan["local"] > 0 and table.concat(plan["local"], ",") or "-"
end

-- The same for all orders that are equal in what must be the same.
local function canonical(text, same, nodes)
  if same == "order" then return text end
  local groups, list = {}, {}
  for node in text:gmatch "%d+" do
    local datacenter = same == "set" and "all" or nodes[tonumber(node) + 1][1]
    groups[datacenter] = groups[datacenter] or {}
    table.insert(groups[datacenter], node)
  end
  for datacenter, group in pairs(groups) do
    if same == "set" then table.sort(group) end
    list[#list + 1] = datacenter .. ":" .. table.concat(group, ",")
  end
  table.sort(list)
  return table.concat(list, " ")
end

local function has_twice(text)
  local seen = {}
  for node in text:gmatch "%d+" do
    if seen[node] then return true end
    seen[node] = true
  end
  return false
end

describe("the replicas of random keys are those of the Python driver's metadata", function()
  for _, partitioner in ipairs(PARTITIONERS) do
    it(("with %s, %d keys"):format(partitioner.class:match "[^.]+$", partitioner.keys), function()
      local python, why = drivers.python "cassandra-driver"
      if not python then return pending(why) end
      local random, path = unit.random(partitioner.number), os.tmpname()
      local nodes = nodes_of(random)
      local made = ring.make(partitioner.number, write_cluster(path, partitioner, nodes, random))
      local plans = {}
      for i, keyspace in ipairs(KEYSPACES) do
        plans[i] = ring.plans(made, nodes, keyspace.options)
      end
      local command = ("timeout 300 '%s' spec/support/replicas_python.py %s %d %d 2>&1"):format(
        python, path, partitioner.number, partitioner.keys)
      local pipe = assert(io.popen(command))
      local keys, compared, twice = 0, 0, 0
      for line in pipe:lines() do
        local hex, rest = line:match "^(%x+) (.*)$"
        assert(hex, line)
        local key = unit.unhex(hex)
        local token = ring.token(partitioner.number, key)
        local range, i = C.cql__ring_find(made, token), 0
        for theirs in rest:gmatch "%S+" do
          i = i + 1
          local same, mine = KEYSPACES[i].same, ours(ring.plan(plans[i], range))
          assert.is_false(has_twice(mine))
          if has_twice(theirs) then
            -- where racks are too few it may list a node twice, and another not at all
            assert.equal("set", same)
            for node in theirs:gmatch "%d+" do
              assert.truthy(("," .. mine .. ","):find("," .. node .. ",", 1, true))
            end
            twice = twice + 1
          else
            compared = compared + 1
            local expected, found = canonical(theirs, same, nodes), canonical(mine, same, nodes)
            if expected ~= found then
              error(("keyspace %d, key %s: theirs %s, ours %s"):format(i, hex, theirs, mine))
            end
          end
        end
        assert.equal(#KEYSPACES, i, line)
        keys = keys + 1
      end
      pipe:close()
      os.remove(path)
      assert.equal(partitioner.keys, keys)
      assert.equal(partitioner.keys * #KEYSPACES, compared + twice)
      assert.is_true(twice < partitioner.keys) -- of the one keyspace with too few racks
    end)
  end
end)
