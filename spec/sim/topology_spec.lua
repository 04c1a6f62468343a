-- A session that follows its cluster: nodes that come, go, move, stand still; the control
-- connection that hears of it, how often it reads, and where requests go meanwhile.
local sim = require "cql.sim"

local READ = "SELECT v FROM ks.t WHERE k = ?"

local world, session, heard

local function begin(settings, options)
  local all = settings or { nodes = 3 }
  all.seed = 1
  world = sim.world(all)
  world:given("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy',"
    .. " 'replication_factor': 2}", "CREATE TABLE ks.t (k int PRIMARY KEY, v int)")
  heard = {}
  local wanted = { consistency = "one", heartbeat_ms = 1000, heartbeat_timeout_ms = 1000,
    connect_timeout_ms = 1000, reconnect_max_ms = 500,
    log = function(_, text) heard[#heard + 1] = text end }
  for name, value in pairs(options or {}) do wanted[name] = value end
  session = assert(world:connect(wanted))
  session.followed = assert(session:subscribe())
  world.cql.sleep(1000)
end

after_each(function()
  if session then session:close(0) end
  session = nil
end)

local function sleep(ms) world.cql.sleep(ms or 20000) end

-- The names of events since it was last asked, of those that begin so, each with its address.
local function told(prefix)
  local list = {}
  while true do
    local event = session.followed:next(0)
    if not event then break end
    if event.name:find("^" .. prefix) then
      list[#list + 1] = event.name .. " " .. tostring(event.address)
    end
  end
  return list
end

-- { ["127.0.0.1:9042"] = "local 2" }: distance and connections of each node.
local function nodes()
  local map = {}
  for _, node in ipairs(assert(session:nodes())) do
    map[node.address] = node.distance .. " " .. node.connections
  end
  return map
end

local function local_nodes(...)
  local map = {}
  for _, n in ipairs { ... } do map[("127.0.0.%d:9042"):format(n)] = "local 1" end
  return map
end

-- The nodes that have a control connection, by number, and how many connections there are else;
-- one that stands still may have any.
local function connected()
  local controls, others = {}, 0
  for i, node in ipairs(world.nodes) do
    for _, connection in ipairs(node:state() == "up" and node:connections() or {}) do
      if next(connection.events) then controls[#controls + 1] = i else others = others + 1 end
    end
  end
  return controls, others
end

local function readings()
  local count = 0
  for _, entry in ipairs(world:asked { opcode = "QUERY" }) do
    if entry.text and entry.text:find("tokens, partitioner", 1, true) then count = count + 1 end
  end
  return count
end

-- Reads keys, and gives how many of these requests came to nodes that have no replica.
local function strays(count)
  local statement = assert(session:prepare(READ, { idempotent = true }))
  local before = world:counters().not_replica
  for k = 1, count or 100 do assert(session:execute(statement, { k })) end
  return world:counters().not_replica - before
end

-- Reads all the time while `fn` runs; none may fail.
local function under_load(fn)
  local ended, done, failure = false, 0, nil
  local statement = assert(session:prepare(READ, { idempotent = true }))
  world:run(function()
    local tasks = {}
    for worker = 1, 8 do
      tasks[worker] = world.cql.spawn(function()
        local k = worker
        while not ended do
          local rows, err = session:execute(statement, { k })
          if rows then done = done + 1 else failure = failure or tostring(err) end
          k = k + 8
          world.cql.sleep(1)
        end
      end)
    end
    fn()
    ended = true
    for _, task in ipairs(tasks) do task:wait() end
  end)
  assert.is_nil(failure)
  assert.is_true(done > 100, done)
end

describe("a node that", function()
  it("joins is connected to and used, and the others keep their connections", function()
    begin()
    local before = world:counters().accepted
    told ""
    under_load(function()
      world:add {}
      sleep()
    end)
    assert.same(local_nodes(1, 2, 3, 4), nodes())
    assert.equal(1, world:counters().accepted - before)
    assert.equal(0, strays())
    assert.same({ "node_added 127.0.0.4:9042", "node_up 127.0.0.4:9042" }, told "node")
  end)

  it("leaves is forgotten when what it was asked is answered", function()
    begin()
    under_load(function()
      world:node(2):decommission()
      sleep()
    end)
    assert.same(local_nodes(1, 3), nodes())
    assert.equal(0, strays())
    local events = told "node"
    assert.equal("node_removed 127.0.0.2:9042", events[#events])
  end)

  it("moves to another address is the same node, there", function()
    begin()
    local before
    for _, node in ipairs(assert(session:nodes())) do
      if node.address == "127.0.0.2:9042" then before = node end
    end
    world:node(2):move "127.0.0.77"
    world:node(2):start()
    sleep()
    local after
    for _, node in ipairs(assert(session:nodes())) do
      if node.address == "127.0.0.77:9042" then after = node end
    end
    assert.is_true(before == after)
    assert.equal(before.host_id, after.host_id)
    assert.equal(1, after.connections)
    assert.equal(3, #session:nodes())
    local moved = told "node_moved"
    assert.same({ "node_moved 127.0.0.77:9042" }, moved)
    assert.equal(0, strays())
  end)

  it("is back is connected to at once, whatever the pause was", function()
    begin(nil, { reconnect_min_ms = 3600000, reconnect_max_ms = 3600000 })
    local node = world:node(connected()[1] == 2 and 3 or 2)
    node:kill()
    sleep()
    assert.equal(2, select(2, connected()))
    node:start()
    sleep(3000) -- gossip takes at most one of them
    assert.same(local_nodes(1, 2, 3), nodes())
  end)

  it("is said to be down is asked at once whether it is", function()
    begin(nil, { heartbeat_ms = 3600000, heartbeat_timeout_ms = 1000 })
    local at = connected()[1]
    local node = world:node(at == 2 and 3 or 2)
    node:pause()
    sleep(1500)
    assert.same(local_nodes(1, 2, 3), nodes()) -- nobody knows
    world:node(at):tell("STATUS_CHANGE", "DOWN", node)
    sleep(2000)
    assert.equal("local 0", nodes()[node:address()])
  end)

  it("is said to be down and isn't loses nothing", function()
    begin()
    local at, before = connected()[1], world:counters().accepted
    under_load(function()
      for _ = 1, 20 do
        for i = 1, 3 do world:node(at):tell("STATUS_CHANGE", "DOWN", world:node(i)) end
        sleep(100)
      end
    end)
    assert.same(local_nodes(1, 2, 3), nodes())
    assert.equal(before, world:counters().accepted)
  end)
end)

describe("the control connection", function()
  it("is one, and reads once", function()
    begin()
    sleep(600000)
    local controls, others = connected()
    assert.same({ 1, 3, 1 }, { #controls, others, readings() })
  end)

  for _, way in ipairs { "kill", "stop", "pause", "vanish", "decommission" } do
    it("goes on elsewhere when its node ends by " .. way .. ", and reads all again", function()
      begin()
      for _ = 1, 2 do -- two of three
        local at = connected()[1]
        told ""
        world:node(at)[way](world:node(at))
        sleep(15000)
        local controls = connected()
        assert.equal(1, #controls)
        assert.not_equal(at, controls[1])
        assert.is_true(#told "control_opened" >= 1)
        if way == "decommission" then break end
      end
      assert.is_true(readings() >= 2)
      world:add {}
      sleep()
      assert.equal("local 1", nodes()["127.0.0.4:9042"])
    end)
  end

  it("hears what it has missed by reading", function()
    begin()
    for i = 1, 3 do world:node(i):set("accept", "refuse") end
    world:node(connected()[1]):kill():start()
    world:add {}
    sleep(5000)
    for i = 1, 3 do world:node(i):set("accept", "yes") end
    sleep()
    assert.same(local_nodes(1, 2, 3, 4), nodes())
    assert.equal(0, strays())
  end)

  it("reads once for a burst of events, and nothing changes by it", function()
    begin()
    local before, accepted = readings(), world:counters().accepted
    local node = world:node(connected()[1])
    told ""
    for _ = 1, 50 do node:tell("TOPOLOGY_CHANGE", "MOVED_NODE", world:node(2)) end
    sleep(10000)
    assert.equal(1, readings() - before)
    assert.equal(accepted, world:counters().accepted)
    assert.same({}, told "node")
    assert.equal(0, strays())
  end)

  it("reads at once when the session is told to", function()
    begin()
    local before = readings()
    assert(session:refresh())
    sleep(100)
    assert.equal(1, readings() - before)
  end)
end)

describe("distances", function()
  local FAR = { datacenters = { dc1 = { a = 2 }, dc2 = { a = 2 } } }

  it("follow local_datacenter: nodes elsewhere have no connection, not even for control", function()
    begin(FAR, { local_datacenter = "dc2", contact_points = "127.0.0.1" })
    assert.same({ ["127.0.0.1:9042"] = "ignored 0", ["127.0.0.2:9042"] = "ignored 0",
      ["127.0.0.3:9042"] = "local 1", ["127.0.0.4:9042"] = "local 1" }, nodes())
    for i = 1, 2 do assert.equal(0, world:node(i):counters().connections) end
    assert.equal(1, #connected())
  end)

  it("are all local where nobody tells, which is told of once", function()
    begin(FAR)
    assert.same(local_nodes(1, 2, 3, 4), nodes())
    assert(session:refresh())
    sleep()
    assert.equal(1, #heard)
    assert.matches("several datacenters", heard[1])
  end)

  it("change without failing a request", function()
    local near = "dc1"
    local remote = { connections_per_node = 1, heartbeat_ms = 300 }
    begin(FAR, { connections_per_node = 2, remote = remote, distance = function(node)
      if node.datacenter == near then return "local" end
      return near == "dc2" and node.address:find "0.1:" and "ignored" or "remote"
    end })
    assert.same({ ["127.0.0.1:9042"] = "local 2", ["127.0.0.2:9042"] = "local 2",
      ["127.0.0.3:9042"] = "remote 1", ["127.0.0.4:9042"] = "remote 1" }, nodes())
    under_load(function()
      for round = 1, 10 do
        near = round % 2 == 0 and "dc1" or "dc2"
        assert(session:refresh_distances())
        sleep(200)
      end
      near = "dc2"
      assert(session:refresh_distances())
      sleep(1000)
    end)
    assert.same({ ["127.0.0.1:9042"] = "ignored 0", ["127.0.0.2:9042"] = "remote 1",
      ["127.0.0.3:9042"] = "local 2", ["127.0.0.4:9042"] = "local 2" }, nodes())
    assert.equal(0, world:node(1):counters().connections)
  end)
end)

describe("a keyspace whose replication changes", function()
  it("has other plans within a second or two", function()
    begin({ nodes = 5 })
    assert.equal(0, strays())
    assert(session:execute("ALTER KEYSPACE ks WITH replication = "
      .. "{'class': 'SimpleStrategy', 'replication_factor': 3}"))
    sleep(2500)
    local statement, asked = assert(session:prepare(READ, { idempotent = true })), {}
    for _ = 1, 300 do
      local rows = assert(session:execute(statement, { 7 }))
      asked[rows.execution.node] = true
    end
    local count = 0
    for _ in pairs(asked) do count = count + 1 end
    assert.equal(3, count)
    assert(session:execute("ALTER KEYSPACE ks WITH replication = "
      .. "{'class': 'SimpleStrategy', 'replication_factor': 1}"))
    sleep(2500)
    assert.equal(0, strays())
  end)
end)
