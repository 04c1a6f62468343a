-- The simulator, served on sockets, is accepted by the Rust driver for ScyllaDB: its own view of
-- shards and tablets is what was scripted, and stays so when the script moves a tablet. Building it
-- takes its time, once.
local drivers = require "spec.support.drivers"

-- "token:host/shard,host/shard; ..." must be the script's replicas. How many tokens there were.
local function check_tablets(world, said)
  local seen = 0
  for text, replicas in said:gmatch "(-?%d+):([^;]+)" do
    local token, wanted = assert(loadstring("return " .. text .. "LL"))(), {}
    for i, replica in ipairs(world:replicas("ks", token, "t")) do
      wanted[i] = replica.node:host_id() .. "/" .. replica.shard
    end
    assert.equal(table.concat(wanted, ","), replicas, text)
    seen = seen + 1
  end
  return seen
end

-- Another node and other shards get the tablet of the first token that was said.
local function move_first(world, said)
  local token = assert(loadstring("return " .. said:match "^-?%d+" .. "LL"))()
  local old, third = world:replicas("ks", token, "t"), nil
  for _, node in ipairs(world.nodes) do
    if node ~= old[1].node and node ~= old[2].node then third = node end
  end
  world:move_tablet("ks", "t", token,
    { { node = third, shard = 1 }, { node = old[1].node, shard = (old[1].shard + 1) % 3 } })
end

describe("served on sockets, the simulator is accepted by", function()
  it("the Rust driver for ScyllaDB: shards, their port, tablets and the LWT mark", function()
    local program, why = drivers.rust()
    if not program then return pending(why) end
    local world, counters, connections, tablets = drivers.world_of "scylla", {}, nil, nil
    local said, text = drivers.serve(world, "'" .. program .. "'", function(name, value)
      counters[name] = world:counters()
      if name == "tablets" then tablets = value end
      if name == "settled" then
        connections = world:connections()
        assert.equal(60, check_tablets(world, tablets))
        move_first(world, tablets)
      end
    end)
    assert.equal("true false", said.lwt, text)
    assert.equal("v7", said.row)
    assert.equal("127.0.77.1 rack1 3,127.0.77.2 rack2 3,127.0.77.3 rack3 3", said.nodes)
    -- a connection for each shard, all but the first of a node through the shard-aware port
    local shards, aware = {}, 0
    for _, one in ipairs(connections) do
      if not next(one.events) then shards[one.node.number .. "/" .. one.shard] = true end
      if one.port == 19042 then
        assert.equal(one.shard, one.source_port % 3)
        aware = aware + 1
      end
    end
    for node = 1, 3 do
      for shard = 0, 2 do assert.is_true(shards[node .. "/" .. shard], node .. "/" .. shard) end
    end
    assert.is_true(aware >= 6, aware)
    -- once it has learned where rows live, it goes there
    for _, name in ipairs { "not_replica", "wrong_shard", "payloads" } do
      assert.equal(counters.learned[name], counters.settled[name], name)
    end
    assert.equal(60, check_tablets(world, said["moved tablets"]))
    assert.is_true(said["moved tablets"] ~= said.tablets)
    assert.equal("now", said["end"], text)
    assert.equal(0, counters["end"].bad_frames)
    assert.equal(0, counters["end"].bad_streams)
  end)
end)
