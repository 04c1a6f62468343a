-- The order in which a request's place is chosen is written twice: where it is chosen, and where
-- plans are shown. On clusters drawn by chance each request must go to the first of its plan's
-- groups that has somebody up, and there to the shard that the plan shows; where it asks for one
-- order of the replicas, to the first of these that is up.
local sim = require "cql.sim"

local SEEDS = tonumber(os.getenv "CQL_SPEC_SEEDS") or 40
local READ = "SELECT k FROM ks.t WHERE k = ?"
local WRITE = "INSERT INTO ks.t (k) VALUES (?) IF NOT EXISTS"

local world, session

local function pick(list) return list[world:random(#list) + 1] end
local function flip() return world:random(2) == 0 end

local function new_world(seed)
  world = sim.world { seed = seed, nodes = 0 }
  local scylla = flip()
  world:set("product", scylla and "scylla" or "cassandra")
  local count = 2 + world:random(6)
  for i = 1, count do
    local datacenter = i == 1 and "dc1" or pick { "dc1", "dc1", "dc2" }
    world:add { datacenter = datacenter, rack = pick { "a", "b" },
      shards = scylla and 1 + world:random(4) or nil }
  end
  local replication = flip() and "'class': 'SimpleStrategy', 'replication_factor': "
    .. 1 + world:random(3) or "'class': 'NetworkTopologyStrategy', 'dc1': " .. 1 + world:random(3)
    .. ", 'dc2': " .. world:random(3)
  local tablets = scylla and flip() and replication:find "Network"
  world:given(("CREATE KEYSPACE ks WITH replication = {%s}%s"):format(replication,
    tablets and " AND tablets = {'enabled': true, 'initial': 4}" or ""),
    "CREATE TABLE ks.t (k int PRIMARY KEY)")
end

local function connect()
  session = assert(world:connect {
    contact_points = world:node(1):address(), local_datacenter = "dc1", log = function() end,
    local_rack = flip() and "a" or nil, datacenter_failover = flip(),
    failover_local_consistency = flip(), connections_per_shard = 1 + world:random(2),
    consistency = "one", lwt_mark = true,
  })
  world.cql.sleep(3000)
end

local function group_of(place) return place.node.distance .. (place.replica and 1 or 0) end

-- The places of the first group that has somebody who is up.
local function first_group(plan)
  local group = {}
  for _, place in ipairs(plan) do
    if #group > 0 and group_of(place) ~= group_of(group[1]) then break end
    if place.node.up then group[#group + 1] = place end
  end
  return group
end

local seen = { shards = 0, second = 0, ordered = 0, remote = 0 }

local function check(statement, key, options)
  local plan = assert(session:plan(statement, { key }, options))
  local group = first_group(plan)
  if not group[1] then return end
  local rows, err = session:execute(statement, { key }, options)
  local execution = (rows or err).execution
  if not execution then error(err) end
  if execution.attempts > 1 then return end -- it went on from there
  local ordered = statement:is_lwt()
  if ordered and group[1].replica then group = { group[1] } end
  local found
  for _, place in ipairs(group) do
    if place.node.address == execution.node then found = place end
  end
  assert(found, "it went to none of the first group")
  if found.shard then assert.equal(found.shard, execution.shard) end
  local wrong = found.replica and found.node.shards > 1 and not found.shard
  assert(not wrong, "no shard is shown")
  seen.shards = seen.shards + (found.shard and 1 or 0)
  seen.second = seen.second + (plan[1].node.up and 0 or 1)
  seen.ordered = seen.ordered + (ordered and 1 or 0)
  seen.remote = seen.remote + (found.node.distance == "remote" and 1 or 0)
end

after_each(function()
  if session then session:close(0) end
  session, world = nil, nil
end)

describe("a request goes where its plan says", function()
  for seed = 1, SEEDS do
    it("in the cluster of seed " .. seed, function()
      new_world(seed)
      connect()
      local statements = { assert(session:prepare(READ)), assert(session:prepare(WRITE)) }
      for _ = 1, 4 do
        for _ = 1, 40 do
          check(pick(statements), world:random(1000),
            { consistency = pick { "one", "one", "local_one", "quorum" } })
        end
        local node = pick(world.nodes)
        if node:state() == "up" then node:kill() else node:start() end
        world.cql.sleep(5000)
      end
    end)
  end

  it("in clusters of all kinds", function()
    for what, count in pairs(seen) do assert(count > 100, what .. " " .. count) end
  end)
end)
