-- Pools of nodes with shards while requests are under way: where these go, and that none is lost.
local sim = require "cql.sim"
local unit = require "spec.support.unit"

local SHARDS = 4

local world, session

local function connect(options)
  local all = { contact_points = "127.0.0.1", consistency = "one", log = function() end }
  for name, value in pairs(options or {}) do all[name] = value end
  session = assert(world:connect(all))
  return session
end

local function new_world(settings)
  local all = { seed = 1, product = "scylla", shards = SHARDS, nodes = 3 }
  for name, value in pairs(settings or {}) do all[name] = value end
  world = sim.world(all)
  world:given(
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}",
    "CREATE TABLE ks.t (k int PRIMARY KEY, v int)")
end

local function settle(ms) world.cql.sleep(ms or 2000) end

-- Every shard of every node has so many connections; those for events aside.
local function expect_full(number, shards)
  for i, info in ipairs(assert(session:nodes())) do
    local count = {}
    for _, connection in ipairs(world:node(i):connections()) do
      if not next(connection.events) then
        count[connection.shard] = (count[connection.shard] or 0) + 1
      end
    end
    for shard = 0, shards - 1 do
      assert.equal(number, count[shard] or 0, ("shard %d of node %d"):format(shard, i))
    end
    assert.same({ number * shards, shards }, { info.connections, info.shards })
  end
end

-- Idempotent requests, so many under way at any time, until it is stopped.
local function load_of(depth)
  local insert = assert(session:prepare "INSERT INTO ks.t (k, v) VALUES (?, ?)")
  local load = { sent = 0, stopped = false }
  local tasks = {}
  for task = 1, depth do
    tasks[task] = world.cql.spawn(function()
      while not load.stopped do
        load.sent = load.sent + 1
        local k = load.sent
        assert(session:execute(insert, { k, k }, { idempotent = true }))
      end
      return true
    end)
  end
  function load.stop()
    load.stopped = true
    for task = 1, depth do assert(tasks[task]:wait()) end
    return load.sent
  end
  return load
end

after_each(function()
  if session then session:close(0) end
  session, world = nil, nil
end)

describe("no request is lost", function()
  local happenings = {
    ["while connections break one by one"] = function()
      for _ = 1, 40 do
        local all = world:connections()
        all[1 + world:random(#all)]:finish "reset"
        settle(100)
      end
    end,
    ["while nodes get other shards, one after another"] = function()
      for i = 1, 3 do
        world:node(i):reshard(7)
        settle(5000)
      end
    end,
    ["while ports come to be translated on the way"] = function()
      world:set("nat", true)
      for _ = 1, 40 do
        local all = world:connections()
        all[1 + world:random(#all)]:finish "reset"
        settle(200)
      end
    end,
    ["while shard-aware ports are closed"] = function()
      world:set("shard_accept", "drop")
      for _ = 1, 10 do
        local all = world:connections()
        all[1 + world:random(#all)]:finish "close"
        settle(1000)
      end
    end,
    ["while nodes join and leave"] = function()
      world:add {}
      settle(5000)
      world:node(4):decommission()
      settle(5000)
    end,
  }
  for what, happen in pairs(happenings) do
    it(what, function()
      new_world { service = "10ms" }
      connect { connect_timeout_ms = 1000 }
      settle()
      local load = load_of(20)
      happen()
      assert.is_true(load.stop() > 300)
      settle(30000)
      local shards = tonumber(assert(session:nodes())[1].shards)
      expect_full(1, shards)
      local before = world:counters()
      load = load_of(20)
      settle(1000)
      load.stop()
      local after = world:counters()
      assert.equal(0, after.wrong_shard - before.wrong_shard)
      assert.equal(0, after.not_replica - before.not_replica)
      assert.is_true(after.executes - before.executes > 200)
    end)
  end
end)

describe("a request", function()
  it("goes to the shard that it was told", function()
    new_world()
    connect { connections_per_shard = 2 }
    settle()
    for i, node in ipairs(assert(session:nodes())) do
      for shard = 0, SHARDS - 1 do
        for k = 1, 5 do
          assert(session:execute("SELECT v FROM ks.t WHERE k = " .. k, nil,
            { node = node, shard = shard }))
        end
        local asked = world:asked { node = world:node(i), shard = shard, opcode = "QUERY" }
        local told = 0
        for _, one in ipairs(asked) do
          if one.text:find("FROM ks.t", 1, true) then told = told + 1 end
        end
        assert.equal(5, told)
      end
    end
  end)

  it("goes to another shard of the node where its own has no connection", function()
    new_world { nodes = 1 }
    connect { reconnect_min_ms = 60000, reconnect_max_ms = 60000 }
    settle()
    world:node(1):set("accept", "refuse")
    for _, connection in ipairs(world:connections()) do
      if connection.shard == 2 and not next(connection.events) then connection:finish "reset" end
    end
    settle(100)
    local insert = assert(session:prepare "INSERT INTO ks.t (k, v) VALUES (?, ?)")
    for k = 1, 50 do assert(session:execute(insert, { k, k })) end
    assert.is_true(world:counters().wrong_shard > 0)
    assert.is_true(world:counters().wrong_shard < 50)
  end)
end)

describe("a distance that changes", function()
  it("changes the number of connections to a node with shards", function()
    local far = {}
    new_world()
    connect { remote_connections_per_node = 2,
      distance = function(node) return far[node.address] or "local" end }
    settle()
    expect_full(1, SHARDS)
    local address = assert(session:nodes())[2].address
    local load = load_of(2)
    local accepted = world:counters().accepted
    for _, step in ipairs { { "remote", 2 }, { "ignored", 0 }, { "local", SHARDS },
      { "rack", SHARDS } } do
      far[address] = step[1]
      assert(session:refresh_distances())
      settle()
      local node = assert(session:nodes())[2]
      assert.same(step, { node.distance, node.connections })
      if step[1] == "remote" then -- those that stay are those that were
        assert.equal(accepted, world:counters().accepted)
      end
    end
    load.stop()
    expect_full(1, SHARDS)
  end)
end)

describe("the port under TLS", function()
  it("is the one that SUPPORTED gives for it", function()
    new_world { nodes = 1 }
    local count, parts = 0, {}
    for name, value in pairs { SHARD = 0, NR_SHARDS = 2, SHARD_AWARE_PORT = 19042,
      SHARDING_ALGORITHM = "biased-token-round-robin", SHARDING_IGNORE_MSB = 12,
      SHARD_AWARE_PORT_SSL = 19142, PARTITIONER = "org.apache.cassandra.dht.Murmur3Partitioner" } do
      count = count + 1
      parts[count] = unit.str("SCYLLA_" .. name) .. unit.list(tostring(value))
    end
    local body = unit.u16(count) .. table.concat(parts)
    world:rule { opcode = "OPTIONS", bytes = "\132\0\0\0\6" .. unit.u32(#body) .. body }
    local warned = {}
    connect { tls = true, tls_verify = "none", protocol_version = 4, connect_timeout_ms = 500,
      log = function(_, text) warned[#warned + 1] = text end }
    settle()
    assert.truthy(table.concat(warned, "\n"):find("shard-aware port, 19142, can't", 1, true))
  end)
end)

describe("a Cassandra node", function()
  it("sees nothing of shards: the same bytes, wanted or not", function()
    local traces = {}
    for i, wanted in ipairs { true, false } do
      new_world { product = "cassandra" }
      world:trace "whole"
      connect { shard_aware = wanted }
      settle()
      local insert = assert(session:prepare "INSERT INTO ks.t (k, v) VALUES (?, ?)")
      for k = 1, 20 do assert(session:execute(insert, { k, k })) end
      traces[i] = world:take_trace()
      session:close(0)
    end
    assert.is_true(#traces[1] > 10000)
    assert.equal(traces[1], traces[2])
  end)
end)
