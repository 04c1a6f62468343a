-- The simulator, served on sockets, is judged by other people's drivers: what they see of the
-- cluster is what was scripted.
local ffi = require "ffi"
local sim = require "cql.sim"
local drivers = require "spec.support.drivers"

local C = ffi.load(os.getenv "CQL_SIM_LIBRARY" or "build/dev/libcql_sim.so")

local function world_of(product)
  local world = sim.world { seed = 5, nodes = 0, product = product, shards = 3,
    gossip = "50ms", detection = "300ms" }
  for i = 1, 3 do world:add { address = "127.0.77." .. i, rack = "rack" .. i } end
  local rest = product == "scylla" and "2} AND tablets = {'enabled': true, 'initial': 8}" or "3}"
  world:given("CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', "
    .. "'dc1': " .. rest, "CREATE TABLE ks.t (id int PRIMARY KEY, v text, m map<text, int>)")
  return world
end

-- Serves the world while the driver's program runs; `on` is called with each line that it says.
-- Gives what it said, by name, and all of its output.
local function serve(world, command, on)
  local log = os.tmpname()
  assert(C.cql_sim_serve(world.handle) == 0, ffi.string(C.cql_sim_error(world.handle)))
  os.execute(("( timeout 120 %s >%s 2>&1; echo ended >>%s ) &"):format(command, log, log))
  local said, seen = {}, 0
  local text = ""
  while not text:find "^ended\n$" and not text:find "\nended\n$" do
    C.cql_sim_serve_step(world.handle, 20)
    local file = assert(io.open(log))
    text = file:read "*a"
    file:close()
    for line in text:sub(seen + 1):gmatch "(.-)\n" do
      seen = seen + #line + 1
      local name, value = line:match "^([%w ]+): (.*)$"
      if name then
        said[name] = value
        if on then on(name, value) end
      end
    end
  end
  os.remove(log)
  C.cql_sim_serve_stop(world.handle)
  return said, text
end

local PROGRAM = "spec/support/driver_python.py"

describe("served on sockets, the simulator is accepted by", function()
  local cases = { { 3, "none" }, { 4, "none" }, { 4, "lz4" }, { 5, "none" }, { 5, "lz4" } }
  for _, case in ipairs(cases) do
    it(("the Python driver for Cassandra, v%d, compression %s"):format(case[1], case[2]), function()
      local python = drivers.python "cassandra-driver"
      if not python then return pending "its package can't be installed here" end
      local world = world_of "cassandra"
      local said, text = serve(world, ("%s %s %d %s cassandra"):format(python, PROGRAM, case[1],
        case[2]), function(name, value)
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
      local program = drivers.go()
      if not program then return pending "Go or the driver's module can't be had here" end
      local world = world_of "cassandra"
      local said, text = serve(world, ("%s %d"):format(program, version), function(name, value)
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
    local python = drivers.python "scylla-driver"
    if not python then return pending "its package can't be installed here" end
    local world, before = world_of "scylla", nil
    local said, text = serve(world, ("%s %s 4 lz4 scylla"):format(python, PROGRAM),
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
