-- The simulator, served on sockets, is judged by other people's drivers: what they see of the
-- cluster is what was scripted. For the Rust driver see spec/live/driver_rust_spec.lua.
local drivers = require "spec.support.drivers"

local PROGRAM = "spec/support/driver_python.py"

describe("served on sockets, the simulator is accepted by", function()
  local cases = { { 3, "none" }, { 4, "none" }, { 4, "lz4" }, { 5, "none" }, { 5, "lz4" } }
  for _, case in ipairs(cases) do
    it(("the Python driver for Cassandra, v%d, compression %s"):format(case[1], case[2]), function()
      local python, why = drivers.python "cassandra-driver"
      if not python then return pending(why) end
      local world = drivers.world_of "cassandra"
      local command = ("'%s' %s %d %s cassandra"):format(python, PROGRAM, case[1], case[2])
      local said, text = drivers.serve(world, command, function(name, value)
        if name == "kill" then world:node(tonumber(value)):kill() end
        if name == "start" then world:node(tonumber(value)):start() end
      end)
      assert.equal("Simulated", said.cluster, text)
      assert.equal("rack1,rack2,rack3", said.racks)
      assert.equal("127.0.77.1,127.0.77.2,127.0.77.3", said.up)
      assert.equal("True", said["sees the new table"], text)
      assert.equal("v7", said.row, text)
      assert.equal("60", said.rows)
      assert.equal("batch", said.batch)
      assert.equal("True False", said.applied)
      assert.equal("48", said.tokens, text)
      local seen = 0
      for text_of_token, replicas in said.replicas:gmatch "(-?%d+):([^;]+)" do
        local token, wanted = assert(loadstring("return " .. text_of_token .. "LL"))(), {}
        for i, replica in ipairs(world:replicas("ks", token)) do
          wanted[i] = replica.node:host_id()
        end
        assert.equal(table.concat(wanted, ","), replicas)
        seen = seen + 1
      end
      assert.equal(48, seen)
      assert.equal("True", said["went down"], text)
      assert.equal("True", said["came up"], text)
      assert.equal("now", said["end"], text)
      local counters = world:counters()
      assert.equal(0, counters.bad_frames)
      assert.equal(0, counters.bad_streams)
    end)
  end

  for _, version in ipairs { 3, 4, 5 } do
    it(("the Go driver for Cassandra, v%d"):format(version), function()
      local program, why = drivers.go()
      if not program then return pending(why) end
      local world = drivers.world_of "cassandra"
      local command = ("'%s' %d"):format(program, version)
      local said, text = drivers.serve(world, command, function(name, value)
        if name == "kill" then world:node(tonumber(value)):kill() end
        if name == "start" then world:node(tonumber(value)):start() end
      end)
      assert.equal("127.0.77.1 rack1 16,127.0.77.2 rack2 16,127.0.77.3 rack3 16", said.hosts, text)
      assert.equal("true", said["sees the new table"], text)
      assert.equal("v7", said.row, text)
      assert.equal("60", said.rows)
      assert.equal("batch", said.batch)
      assert.equal("true false", said.applied)
      assert.equal("true", said["went down"], text)
      assert.equal("true", said["came up"], text)
      assert.equal("now", said["end"], text)
      local counters = world:counters()
      assert.equal(0, counters.bad_frames)
      assert.equal(0, counters.bad_streams)
    end)
  end

  it("the Python driver for ScyllaDB: shards, tablets and the LWT mark as scripted", function()
    local python, why = drivers.python "scylla-driver"
    if not python then return pending(why) end
    local world, before = drivers.world_of "scylla", nil
    local said, text = drivers.serve(world, ("'%s' %s 4 lz4 scylla"):format(python, PROGRAM),
      function(name) if name == "warm" then before = world:counters() end end)
    assert.equal("3/3,3/3,3/3", said.shards, text)
    assert.equal("True False", said.lwt, text)
    assert.equal("v7", said.row, text)
    assert.equal("60", said.rows)
    -- its own view of the tablets is the script's
    local seen = 0
    for last, replicas in said.tablets:gmatch "(-?%d+):([^;]+)" do
      local token = assert(loadstring("return " .. last .. "LL"))()
      local wanted = {}
      for i, replica in ipairs(world:replicas("ks", token, "t")) do
        wanted[i] = replica.node:host_id() .. "/" .. replica.shard
      end
      assert.equal(table.concat(wanted, ","), replicas)
      seen = seen + 1
    end
    assert.is_true(seen >= 6, said.tablets)
    -- and from then on it goes to the shards that own the rows
    local after = world:counters()
    assert.equal(before.not_replica, after.not_replica)
    assert.equal(before.wrong_shard, after.wrong_shard)
    assert.equal(before.payloads, after.payloads)
    assert.equal("now", said["end"], text)
  end)
end)
