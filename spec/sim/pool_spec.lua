-- The connections to ScyllaDB nodes: one per shard, however they come about; and that requests find
-- the shard of their key.
local sim = require "cql.sim"
local unit = require "spec.support.unit"

local SHARDS = 4

local world, session, told

local function note(_, text) told[#told + 1] = text end

local function connect(options)
  local all = { contact_points = "127.0.0.1", consistency = "one", heartbeat_ms = 0, log = note }
  for name, value in pairs(options or {}) do all[name] = value end
  told = {}
  session = assert(world:connect(all))
  return session
end

local function new_world(settings)
  local all = { seed = 1, product = "scylla", shards = SHARDS, nodes = 1 }
  for name, value in pairs(settings or {}) do all[name] = value end
  world = sim.world(all)
  world:given(
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE ks.t (k int PRIMARY KEY, v int)")
end

-- Those that carry requests: the control connection is registered for events.
local function data_connections(node)
  local list = {}
  for _, connection in ipairs((node or world:node(1)):connections()) do
    if not next(connection.events) then list[#list + 1] = connection end
  end
  return list
end

-- How many connections each shard has: { 1, 1, 1, 1 }.
local function by_shard(node, shards)
  local count = {}
  for shard = 1, shards or SHARDS do count[shard] = 0 end
  for _, connection in ipairs(data_connections(node)) do
    assert.is_true(connection.ready)
    count[connection.shard + 1] = (count[connection.shard + 1] or 0) + 1
  end
  return count
end

local function each(number, shards)
  local list = {}
  for shard = 1, shards or SHARDS do list[shard] = number end
  return list
end

local function settle(ms) world.cql.sleep(ms or 1000) end

-- Warnings that contain this text.
local function warnings(part)
  local found = 0
  for _, text in ipairs(told) do if text:find(part, 1, true) then found = found + 1 end end
  return found
end

local function write(first, last)
  local insert = assert(session:prepare "INSERT INTO ks.t (k, v) VALUES (?, ?)")
  for k = first, last do assert(session:execute(insert, { k, k })) end
end

-- From now on nodes say this of themselves, whatever they are; of v4.
local function claim(values, chance)
  local all = { SHARD = 0, NR_SHARDS = SHARDS, SHARDING_ALGORITHM = "biased-token-round-robin",
    SHARDING_IGNORE_MSB = 12, PARTITIONER = "org.apache.cassandra.dht.Murmur3Partitioner" }
  for name, value in pairs(values) do all[name] = value end
  local count, parts = 0, {}
  for name, value in pairs(all) do
    count = count + 1
    parts[#parts + 1] = unit.str("SCYLLA_" .. name) .. unit.list(tostring(value))
  end
  local body = unit.u16(count) .. table.concat(parts)
  world:rule { opcode = "OPTIONS", bytes = "\132\0\0\0\6" .. unit.u32(#body) .. body,
    chance = chance }
end

-- Requests for keys, after which no node says that one came to the wrong place.
local function expect_right_places()
  write(1, 1) -- the ring has been read
  local before = world:counters()
  write(1, 200)
  local after = world:counters()
  assert.equal(0, after.wrong_shard - before.wrong_shard)
  assert.equal(0, after.not_replica - before.not_replica)
  assert.equal(200, after.executes - before.executes)
end

after_each(function()
  if session then session:close(0) end
  session, world = nil, nil
end)

describe("the pool of a node with shards", function()
  it("begins with one connection through the plain port, then all shards are dialled", function()
    new_world()
    connect()
    settle()
    assert.same(each(1), by_shard())
    local plain = 0
    for _, connection in ipairs(data_connections()) do
      if connection.port == 9042 then
        plain = plain + 1
      else
        assert.equal(19042, connection.port)
        assert.equal(connection.shard, connection.source_port % SHARDS)
      end
    end
    assert.equal(1, plain)
    assert.equal(SHARDS, assert(session:nodes())[1].shards)
    assert.equal(SHARDS, assert(session:nodes())[1].connections)
    expect_right_places()
    assert.equal(0, #told)
  end)

  it("has as many per shard as configured", function()
    new_world()
    connect { connections_per_shard = 3 }
    settle()
    assert.same(each(3), by_shard())
    assert.equal(3 * SHARDS, assert(session:nodes())[1].connections)
    expect_right_places()
  end)

  it("has as many per node as configured, spread over the shards", function()
    for _, case in ipairs { { 1, { 1, 0, 0, 0 } }, { 2, { 1, 0, 1, 0 } }, { 4, each(1) },
      { 6, { 2, 1, 2, 1 } } } do
      new_world()
      connect { connections_per_node = case[1] }
      settle()
      local found, total, most = by_shard(), 0, 0
      for _, count in ipairs(found) do
        total = total + count
        most = math.max(most, count)
      end
      assert.equal(case[1], total)
      -- the first connection's shard is the server's to choose
      local spread = case[1] == 1 or most <= math.max(1, case[1] / 2)
      assert.is_true(spread, table.concat(found, " "))
      write(1, 50)
      session:close(0)
    end
  end)

  it("is that of one shard where shards are not wanted", function()
    new_world()
    connect { shard_aware = false }
    settle()
    assert.equal(1, #data_connections())
    assert.equal(1, assert(session:nodes())[1].shards)
    write(1, 50)
  end)

  it("does without the shard-aware port where it is not wanted, or not there", function()
    local cases = { { {}, { shard_aware_port = false } }, { { shard_aware_port = 0 }, {} } }
    for _, case in ipairs(cases) do
      new_world(case[1])
      connect(case[2])
      settle()
      assert.same(each(1), by_shard())
      for _, connection in ipairs(data_connections()) do assert.equal(9042, connection.port) end
      expect_right_places()
      assert.equal(0, #told)
      session:close(0)
    end
  end)

  it("is opened in place again, one shard at a time", function()
    new_world()
    connect()
    settle()
    for _ = 1, 3 do
      for _, connection in ipairs(data_connections()) do
        connection:finish "reset"
        settle(500)
        assert.same(each(1), by_shard())
      end
    end
    expect_right_places()
  end)

  it("comes back after the node was away, beginning with one connection", function()
    new_world()
    connect()
    settle()
    world:node(1):kill()
    settle(10000)
    local refused = world:counters().refused
    settle(60000) -- one connection is tried, with ever longer waits, and the control connection
    assert.is_true(world:counters().refused - refused < 12)
    world:node(1):start()
    settle(35000)
    assert.same(each(1), by_shard())
    expect_right_places()
  end)

  it("keeps what lands on a shard that lacks a connection, whichever was meant", function()
    new_world { shard_aware_port = 0, shards = 16, latency = "100us..10ms" }
    connect { protocol_version = 4 }
    settle()
    assert.same(each(1, 16), by_shard(nil, 16))
    assert.equal(16 + 1, world:counters().accepted) -- one for events
  end)

  it("begins with one that doesn't wait for what its shard went through before", function()
    new_world()
    connect { reconnect_max_ms = 3600000 }
    settle()
    local rule = world:rule { opcode = "STARTUP", shard = 0, error = "SERVER_ERROR" }
    for _, connection in ipairs(data_connections()) do
      if connection.shard == 0 then connection:finish "reset" end
    end
    settle(600000)
    assert.equal(0, by_shard()[1])
    rule:remove()
    for _, connection in ipairs(data_connections()) do connection:finish "reset" end
    settle()
    assert.same(each(1), by_shard())
  end)

  it("tells of connections with their shard", function()
    new_world()
    local opened, closed = {}, {}
    connect { on = {
      connection_opened = function(event) opened[#opened + 1] = event.shard end,
      connection_closed = function(event) closed[#closed + 1] = event.shard end,
    } }
    settle()
    table.sort(opened)
    assert.same({ 0, 1, 2, 3 }, opened)
    local gone = data_connections()[2]
    gone:finish "reset"
    settle()
    assert.same({ gone.shard }, closed)
    assert.truthy(session:dump():find("serving, shard " .. gone.shard, 1, true))
  end)
end)

describe("a node of one shard", function()
  it("says so: its connections and answers are of shard 0", function()
    for _, case in ipairs { { {}, {}, 0 }, { {}, { shard_aware = false } },
      { { product = "cassandra" }, {} } } do
      case[1].shards = 1
      new_world(case[1])
      local shards = { opened = {}, closed = {} }
      case[2].on = {
        connection_opened = function(event) table.insert(shards.opened, event.shard or "none") end,
        connection_closed = function(event) table.insert(shards.closed, event.shard or "none") end,
      }
      connect(case[2])
      settle()
      local rows = assert(session:execute "INSERT INTO ks.t (k, v) VALUES (1, 1)")
      assert.equal(case[3], rows.execution.shard)
      local plan = assert(session:plan("SELECT v FROM ks.t WHERE k = ?", { 1 }))
      assert.same({ true, case[3] }, { plan[1].replica, plan[1].shard })
      data_connections()[1]:finish "reset"
      settle()
      local shard = case[3] or "none"
      assert.same({ opened = { shard, shard }, closed = { shard } }, shards)
      assert.equal(case[3] ~= nil, session:dump():find(", shard 0", 1, true) ~= nil)
      assert.equal(1, assert(session:nodes())[1].shards)
      session:close(0)
    end
  end)
end)

describe("local ports", function()
  it("that are taken are passed over at once", function()
    new_world { busy_ports_min = 50000, busy_ports_max = 50090 }
    connect { source_port_min = 50000, source_port_max = 50100 }
    settle(100) -- less than any wait
    assert.same(each(1), by_shard())
    local plain = 0
    for _, connection in ipairs(data_connections()) do
      if connection.port == 9042 then
        plain = plain + 1
      else
        assert.is_true(connection.source_port > 50090)
      end
    end
    assert.equal(1, plain)
    expect_right_places()
  end)

  it("that are all taken leave the plain port", function()
    new_world { busy_ports_min = 50000, busy_ports_max = 50100 }
    connect { source_port_min = 50000, source_port_max = 50100 }
    settle()
    assert.same(each(1), by_shard())
    for _, connection in ipairs(data_connections()) do assert.equal(9042, connection.port) end
    expect_right_places()
  end)

  it("that don't exist for some shards leave these the plain port", function()
    new_world()
    connect { source_port_min = 50000, source_port_max = 50001 } -- of shards 0 and 1
    settle()
    assert.same(each(1), by_shard())
    expect_right_places()
  end)
end)

describe("a shard-aware port", function()
  for _, how in ipairs { "refuse", "drop" } do
    it(("that answers nobody (%s) leaves the plain port, without a wait of its own"):format(how),
      function()
      new_world { shard_accept = how }
      connect { connect_timeout_ms = 2000, reconnect_min_ms = 20000 }
      settle(how == "refuse" and 100 or 4200)
      assert.same(each(1), by_shard())
      assert.equal(1, warnings "can't be reached")
      expect_right_places()
      world:node(1):set("shard_accept", "yes")
      data_connections()[3]:finish "reset" -- within five minutes: the plain one again
      settle(30000)
      assert.same(each(1), by_shard())
      for _, connection in ipairs(data_connections()) do assert.equal(9042, connection.port) end
      settle(300000)
      data_connections()[3]:finish "reset" -- and then the other
      settle(30000)
      assert.same(each(1), by_shard())
      assert.equal(19042, data_connections()[SHARDS].port)
      assert.equal(1, warnings "can't be reached")
    end)
  end

  it("behind NAT leads to other shards: the plain one does, and who to blame is told", function()
    new_world { nat = true, shards = 8 }
    connect()
    settle()
    assert.same(each(1, 8), by_shard(nil, 8))
    assert.equal(1, warnings "NAT")
    expect_right_places()
    local before = world:counters().accepted
    settle(100000)
    assert.equal(before, world:counters().accepted) -- at rest
    data_connections()[5]:finish "reset"
    settle(30000)
    assert.same(each(1, 8), by_shard(nil, 8))
    assert.equal(1, warnings "NAT")
    settle(300000)
    data_connections()[5]:finish "reset"
    settle(30000)
    assert.same(each(1, 8), by_shard(nil, 8))
  end)
end)

describe("surplus", function()
  it("moves the server's turn on, and goes when all shards have their connection", function()
    new_world { shard_aware_port = 0 }
    -- Others are there too: all shards but the first are busy, so the server deals that out often.
    local other = assert(world:connect { contact_points = "127.0.0.1", shard_aware = false,
      connections_per_node = 4 * SHARDS, discover = false, reconnect_min_ms = 3600000,
      reconnect_max_ms = 3600000 })
    settle()
    for _, connection in ipairs(data_connections()) do
      if connection.shard == 0 then connection:finish "reset" end
    end
    settle()
    assert.same({ 0, 4, 4, 4 }, by_shard())
    local accepted = world:counters().accepted
    connect()
    settle()
    assert.is_true(world:counters().accepted - accepted > SHARDS + 1) -- and control
    assert.same({ 1, 5, 5, 5 }, by_shard())
    expect_right_places()
    assert.equal(SHARDS, assert(session:nodes())[1].connections)
    other:close(0)
  end)

  it("is bounded where the turn never comes", function()
    new_world { shard_aware_port = 0 }
    claim { SHARD = 0 }
    local enough = 0
    connect { protocol_version = 4, reconnect_min_ms = 1000, reconnect_max_ms = 8000, on = {
      connection_closed = function(event)
        if event.message:find "others of its shard were enough" then enough = enough + 1 end
      end } }
    local most, accepted = 0, {}
    for _ = 1, 20000 do -- a round of it lasts some milliseconds
      settle(1)
      most = math.max(most, #data_connections())
    end
    for minute = 1, 3 do
      settle(60000)
      accepted[minute] = world:counters().accepted
    end
    assert.is_true(most > 5 * SHARDS and most <= 11 * SHARDS, most)
    assert.is_true(enough >= 10 * SHARDS)
    -- one round of it every 8 seconds or so
    assert.is_true(accepted[3] - accepted[2] < 10 * 11 * SHARDS, accepted[3] - accepted[2])
    write(1, 50)
  end)
end)

describe("events of connections", function()
  -- Options that note which are open, as they are told: by shard, and how often one closed that
  -- wasn't; and why they closed.
  local function noting(options)
    local open, why, never = {}, {}, 0
    local function count(shard, change)
      open[shard] = (open[shard] or 0) + change
      if open[shard] < 0 then never = never + 1 end
    end
    options.on = {
      connection_opened = function(event) count(event.shard, 1) end,
      connection_closed = function(event)
        count(event.shard, -1)
        why[event.message] = (why[event.message] or 0) + 1
      end,
    }
    return options, open, why, function() return never end
  end

  it("tell of surplus ones, too, each that opens and closes", function()
    new_world { shard_aware_port = 0 }
    claim({ SHARD = 0 }, 0.9) -- else it deals them out in turn
    local options, open, why, never = noting { protocol_version = 4, reconnect_min_ms = 100 }
    connect(options)
    local surplus = 0
    for _ = 1, 300 do
      settle(10)
      local there, shown = #data_connections(), 0
      for _, count in pairs(open) do shown = shown + count end
      surplus = math.max(surplus, shown - SHARDS)
      assert.is_true(shown <= there, shown .. " of " .. there)
    end
    assert.is_true(surplus > 0)
    settle(60000)
    local shown = {}
    for shard = 0, SHARDS - 1 do shown[shard + 1] = open[shard] end
    assert.same(each(1), shown)
    local gone = 0
    for _, reason in ipairs { "all shards have their connections",
      "others of its shard were enough" } do
      assert.is_true(why["closed: " .. reason] > 0, reason)
      gone = gone + why["closed: " .. reason]
    end
    assert.is_true(gone >= surplus)
    assert.equal(0, never())
    local opened = tonumber(session:metrics().connections_opened)
    assert.equal(SHARDS + gone, opened)
  end)

  it("come in pairs also where nodes get other shards, addresses and distances", function()
    for seed = 1, 5 do
      local far = "local"
      new_world { shard_aware_port = 0, seed = seed, nodes = 2, latency = "100us..20ms" }
      local options, open, _, never = noting { heartbeat_ms = 500, heartbeat_timeout_ms = 500,
        connections_per_shard = 2, remote = { connections_per_node = 3 },
        distance = function(node) return node.address:find ".2:" and far or "local" end }
      connect(options)
      for _, step in ipairs { function() far = "remote" end,
        function() world:node(1):reshard(7) end, function() far = "ignored" end,
        function() far = "local" end, function() world:node(1):reshard(2) end } do
        settle(700)
        step()
        assert(session:refresh_distances())
      end
      settle(20000)
      local counted, there = {}, 0
      for _, connection in ipairs(world:connections()) do
        if not next(connection.events) then
          counted[connection.shard] = (counted[connection.shard] or 0) + 1
          there = there + 1
        end
      end
      assert.equal(2 * 2 + 2 * SHARDS, there)
      for shard, count in pairs(open) do assert.equal(counted[shard] or 0, count) end
      assert.equal(0, never())
      session:close(0)
    end
  end)
end)

describe("a node that has other shards than before", function()
  for _, case in ipairs { { 4, 7 }, { 4, 2 }, { 1, 3 }, { 3, 1 } } do
    local change = ("%d, then %d"):format(case[1], case[2])
    it("gets its pool anew, and loses no request: " .. change, function()
      new_world { shards = case[1] }
      world:set("detection", "1s")
      connect { request_timeout_ms = 20000 }
      settle()
      local insert = assert(session:prepare "INSERT INTO ks.t (k, v) VALUES (?, ?)")
      local futures = {}
      for k = 1, 200 do futures[k] = session:submit(insert, { k, k }, { idempotent = true }) end
      world:node(1):reshard(case[2])
      for k = 201, 400 do futures[k] = session:submit(insert, { k, k }, { idempotent = true }) end
      for k = 1, 400 do assert(futures[k]:wait()) end
      settle(5000)
      assert.same(each(1, case[2]), by_shard(nil, case[2]))
      assert.equal(case[2], assert(session:nodes())[1].shards)
      assert.equal(1, warnings(("the node has %d shards now"):format(case[2])))
      assert.equal(0, warnings "NAT")
      expect_right_places()
    end)
  end

  it("gets it anew where only the bits that are ignored have changed", function()
    new_world { msb = 12 }
    connect()
    settle()
    world:node(1):kill():set("msb", 0):start()
    settle(5000)
    assert.equal(1, warnings "(0 bits ignored)")
    assert.same(each(1), by_shard())
    expect_right_places()
  end)

  it("may be two behind one address: never an endless loop", function()
    new_world { shard_aware_port = 0, shards = 64 }
    connect { protocol_version = 4, reconnect_min_ms = 1000, reconnect_max_ms = 8000 }
    settle()
    claim({ SHARD = 0, NR_SHARDS = 63 }, 0.5)
    for _, connection in ipairs(data_connections()) do connection:finish "reset" end
    settle(60000)
    local accepted = world:counters().accepted
    settle(60000)
    accepted = world:counters().accepted - accepted
    assert.is_true(accepted > 10 and accepted < 1000, accepted)
    write(1, 50)
    assert.equal(1, warnings "shards now") -- it is told of, and not each time
    assert.equal(1, warnings "several nodes behind its address")
  end)
end)

describe("a node that is another than was meant", function()
  it("is refused, and said so", function()
    new_world { nodes = 2 }
    local failures = {}
    connect { reconnect_min_ms = 1000, on = {
      connection_failed = function(event) failures[#failures + 1] = event.message end } }
    settle()
    assert.same(each(1), by_shard(world:node(2)))
    for _, port in ipairs { 9042, 19042 } do world:forward("127.0.0.2", port, world:node(1)) end
    for _, connection in ipairs(data_connections(world:node(2))) do connection:finish "reset" end
    settle(10000)
    assert.is_true(#failures > 0)
    for _, message in ipairs(failures) do
      assert.truthy(message:find("leads to another node, " .. world:node(1):host_id(), 1, true))
    end
    assert.same({ 0, SHARDS }, { session:nodes()[2].connections, session:nodes()[1].connections })
    for _, port in ipairs { 9042, 19042 } do world:forward("127.0.0.2", port, world:node(2)) end
    settle(60000)
    assert.same(each(1), by_shard(world:node(2)))
  end)
end)

describe("a pool under way", function()
  it("serves requests from its first connection on", function()
    new_world { latency = "5ms", shards = 16 }
    connect()
    local futures = {}
    for k = 1, 300 do
      futures[k] = session:submit("INSERT INTO ks.t (k, v) VALUES (1, 1)")
    end
    for k = 1, 300 do assert(futures[k]:wait()) end
    settle()
    assert.same(each(1, 16), by_shard(nil, 16))
  end)

  it("is cut short by the session's end", function()
    for ms = 1, 12 do
      new_world { latency = "1ms", shards = 16 }
      connect { discover = false }
      settle(ms)
      session:close(0)
      settle(100)
      assert.equal(0, #world:node(1):connections())
    end
  end)

  it("keeps to 32 handshakes at once", function()
    new_world { shards = 100, latency = "10ms" }
    connect()
    local most = 0
    for _ = 1, 300 do
      settle(5)
      local opening = 0
      for _, connection in ipairs(data_connections()) do
        if not connection.ready then opening = opening + 1 end
      end
      most = math.max(most, opening)
    end
    assert.is_true(most > 16 and most <= 32, most)
    assert.same(each(1, 100), by_shard(nil, 100))
    expect_right_places()
  end)
end)

describe("a Cassandra node", function()
  it("has one connection, or as many as configured", function()
    for _, case in ipairs { { {}, 1 }, { { connections_per_shard = 2 }, 2 },
      { { connections_per_node = 5 }, 5 } } do
      new_world { product = "cassandra" }
      connect(case[1])
      settle()
      assert.equal(case[2], #data_connections())
      assert.same({ 1, case[2] }, { session:nodes()[1].shards, session:nodes()[1].connections })
      assert.is_nil(session:dump():find "shard")
      write(1, 20)
      session:close(0)
    end
  end)
end)
