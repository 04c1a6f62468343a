-- What differs with the distance of a node: its connections, heartbeats, the patience with it; and
-- that a distance that changes brings its settings along.
local sim = require "cql.sim"

local world, session, far, told

-- Two nodes of which the second is as far as the variable says; nothing but what the driver has to
-- tell itself goes over their connections.
local function begin(options, settings)
  local all = { seed = 1, nodes = 2 }
  for name, value in pairs(settings or {}) do all[name] = value end
  world, far, told = sim.world(all), "remote", {}
  local wanted = {
    contact_points = "127.0.0.1,127.0.0.2", discover = false, heartbeat_ms = 1000,
    heartbeat_timeout_ms = 500, reconnect_min_ms = 3600000, reconnect_max_ms = 3600000,
    distance = function(node) return node.address:find ".2:" and far or "local" end,
  }
  local function note(event)
    told[#told + 1] = { node = event.address:match "%.(%d):", at = world.cql.now(),
      message = event.message }
  end
  wanted.on = { connection_closed = note, connection_failed = note }
  for name, value in pairs(options) do wanted[name] = value end
  session = assert(world:connect(wanted))
  world.cql.sleep(200)
end

after_each(function()
  if session then session:close(0) end
  session, world = nil, nil
end)

local function move(distance)
  far = distance
  assert(session:refresh_distances())
end

-- How many heartbeats a node was sent in so many milliseconds, which begin with its move to another
-- distance if one is given.
local function heartbeats(number, ms, distance)
  local filter = { node = world:node(number), opcode = "OPTIONS" }
  local before = #world:asked(filter)
  if distance then move(distance) end
  world.cql.sleep(ms)
  return #world:asked(filter) - before
end

describe("heartbeats", function()
  it("of remote nodes are their own", function()
    begin { remote = { heartbeat_ms = 7000 } }
    assert.equal(10, heartbeats(2, 70100))
    assert.near(70, heartbeats(1, 70100), 1)
  end)

  it("are those of all nodes where remote ones have none of their own", function()
    begin {}
    assert.near(70, heartbeats(2, 70100), 1)
  end)

  it("may be for near nodes alone, or for remote ones", function()
    begin { remote = { heartbeat_ms = 0 } }
    assert.equal(0, heartbeats(2, 3600000))
    session:close(0)
    begin { heartbeat_ms = 0, remote = { heartbeat_ms = 1000 } }
    assert.near(70, heartbeats(2, 70100), 1)
    assert.equal(0, heartbeats(1, 3600000))
  end)

  it("find a peer that is dead after the silence of its distance", function()
    begin { remote = { heartbeat_ms = 7000, heartbeat_timeout_ms = 2000 } }
    local start = world.cql.now()
    for number = 1, 2 do world:node(number):pause() end
    world.cql.sleep(20000)
    local limits = { ["1"] = { 500, 1500 }, ["2"] = { 8700, 9000 } }
    assert.equal(2, #told)
    for _, event in ipairs(told) do
      local limit, after = limits[event.node], event.at - start
      assert.equal("no answer to a heartbeat", event.message)
      assert.is_true(limit[1] <= after and after <= limit[2], event.node .. ": " .. after)
    end
  end)

  it("follow a distance that changes, on the connection that is open", function()
    begin { remote = { heartbeat_ms = 7000 } }
    local accepted = world:counters().accepted
    for _ = 1, 3 do
      assert.near(70, heartbeats(2, 70100, "local"), 1)
      assert.equal(10, heartbeats(2, 70100, "remote"))
    end
    assert.equal(accepted, world:counters().accepted)
    assert.same({}, told)
  end)

  it("begin and end with a distance that has them, or none", function()
    begin { remote = { heartbeat_ms = 0 } }
    world.cql.sleep(100000)
    local accepted = world:counters().accepted
    for _ = 1, 3 do
      assert.equal(1, heartbeats(2, 100, "local")) -- what is long due is due at once
      assert.near(70, heartbeats(2, 70100), 1)
      assert.equal(0, heartbeats(2, 100000, "remote"))
    end
    assert.equal(accepted, world:counters().accepted)
  end)

  it("that are not answered yet when the distance changes are waited for as before", function()
    begin({ remote = { heartbeat_ms = 0 }, heartbeat_timeout_ms = 20000 }, { latency = "400ms" })
    world.cql.sleep(2000)
    assert.equal(1, heartbeats(2, 500, "local")) -- its answer is on its way
    assert.equal(0, heartbeats(2, 100000, "remote"))
    assert.same({}, told)
    world:node(2):pause()
    move "local"
    world.cql.sleep(500)
    move "remote"
    world.cql.sleep(19000)
    assert.same({}, told)
    world.cql.sleep(600)
    assert.equal("no answer to a heartbeat", told[1].message)
  end)
end)

describe("the patience with a handshake", function()
  it("is that of the distance", function()
    begin { connect_timeout_ms = 1000, remote = { connect_timeout_ms = 4000 },
      reconnect_min_ms = 1, reconnect_max_ms = 1 }
    for number = 1, 2 do
      world:node(number):set("accept", "drop")
      world:node(number):connections()[1]:finish "reset"
    end
    world.cql.sleep(10)
    told = {}
    local start = world.cql.now()
    world.cql.sleep(4100)
    local last = {}
    for _, event in ipairs(told) do
      assert.matches("connect_timeout_ms", event.message)
      local patience = event.at - (last[event.node] or start)
      assert.near(event.node == "2" and 4000 or 1000, patience, 15)
      last[event.node] = event.at
    end
    assert.equal(5, #told)
  end)
end)

describe("connections", function()
  it("are as many to a shard as the distance says", function()
    begin({ connections_per_shard = 2, remote = { connections_per_shard = 1 } },
      { product = "scylla", shards = 3 })
    world.cql.sleep(1000)
    local function count()
      local list = {}
      for i, node in ipairs(assert(session:nodes())) do list[i] = node.connections end
      table.sort(list)
      return table.concat(list, " ")
    end
    assert.equal("3 6", count())
    move "local"
    world.cql.sleep(1000)
    assert.equal("6 6", count())
  end)
end)
