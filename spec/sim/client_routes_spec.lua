-- Client routes: nodes of a ScyllaDB whose own addresses lead nowhere, and what its table says of
-- how they are reached.
local sim = require "cql.sim"
local addresses_of = require "spec.support.addresses"
local unit = require "spec.support.unit"

local OWN = { "127.0.0.1:9042", "127.0.0.2:9042", "127.0.0.3:9042" }
local PROXY = "10.9.9.9"

local world, session, told

local function settle(ms) world.cql.sleep(ms or 3000) end

-- Node `number` is reached at this address and port, and its route under `id` says so.
local function lead(number, port, host, id)
  world:forward(PROXY, port, world:node(number))
  return world:route(id or "one", world:node(number), host or PROXY, port)
end

local function new_world(settings)
  local all = { seed = 1, nodes = 3, product = "scylla", private = true, shards = 2 }
  for name, value in pairs(settings or {}) do all[name] = value end
  world = sim.world(all)
  world:given(
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}",
    "CREATE TABLE ks.t (k int PRIMARY KEY, v int)")
  world:name("proxy.test", { PROXY })
end

-- The same with the routes of all nodes.
local function routed_world(settings, host)
  new_world(settings)
  for number = 1, #world.nodes do lead(number, 9000 + number, host) end
end

local function connect(options)
  local all = { contact_points = PROXY .. ":9001", client_routes = "one", log = function() end,
    local_datacenter = "dc1", heartbeat_ms = 0, on = {} }
  for name, value in pairs(options or {}) do all[name] = value end
  told = {}
  for _, name in ipairs { "warning", "connection_failed", "connection_closed", "control_failed",
    "control_closed", "node_moved", "node_down", "node_up" } do
    all.on[name] = function(event)
      told[#told + 1] = { name = event.name, message = event.message, address = event.address,
        at = world:now() }
    end
  end
  session = assert(world:connect(all))
  settle()
  return session
end

local function count(name, part)
  local found = 0
  for _, event in ipairs(told) do
    if event.name == name and (not part or event.message:find(part, 1, true)) then
      found = found + 1
    end
  end
  return found
end

local function addresses() return addresses_of(session) end

local function write(first, last)
  local insert = assert(session:prepare "INSERT INTO ks.t (k, v) VALUES (?, ?)")
  for k = first, last do assert(session:execute(insert, { k, k })) end
end

local function controls()
  local list = {}
  for _, connection in ipairs(world:connections()) do
    if next(connection.events) then list[#list + 1] = connection end
  end
  return list
end

-- How often the table was asked for, by anyone.
local function readings()
  local found = 0
  for _, asked in ipairs(world:asked()) do
    if asked.text and asked.text:find("client_routes", 1, true) then found = found + 1 end
  end
  return found
end

-- The body of a spec, inside of the world that it makes.
local function on(make, body)
  return function()
    make()
    world:run(function()
      body()
      session:close(0)
    end)
  end
end

describe("client routes", function()
  it("lead to nodes and to the control connection, which hears of changes", on(routed_world,
    function()
      connect()
      assert.same(OWN, addresses())
      assert.equal(0, count "node_moved")
      assert.equal(0, count "warning")
      local been = {}
      for _ = 1, 10 do
        local list = controls()
        assert.equal(1, #list)
        assert.is_true(list[1].events.CLIENT_ROUTES_CHANGE)
        local node = list[1].node
        been[node.number] = true
        node:kill()
        settle()
        node:start()
        settle(15000)
        assert.same(OWN, addresses())
      end
      assert.same({ true, true, true }, been)
      assert.equal(0, count "node_moved")
      write(1, 50)
    end))

  it("have no shard-aware port", on(routed_world, function()
    connect()
    write(1, 50)
    local shards = {}
    for _, c in ipairs(world:connections()) do
      assert.equal(9042, c.port)
      if not next(c.events) then shards[c.node.number .. "/" .. c.shard] = true end
    end
    for number = 1, 3 do
      for shard = 0, 1 do assert.is_true(shards[number .. "/" .. shard]) end
    end
  end))

  it("may have names, looked up for each connection", on(function()
    routed_world(nil, "proxy.test")
  end, function()
    connect()
    assert.same(OWN, addresses())
    world:name("proxy.test", { "10.8.8.8" })
    for number = 1, 3 do
      world:forward(PROXY, 9000 + number)
      world:forward("10.8.8.8", 9000 + number, world:node(number))
    end
    world:node(2):kill():start()
    settle(5000)
    assert.same(OWN, addresses())
  end))

  it("without an address for their name are connections that failed", on(routed_world, function()
    connect { reconnect_max_ms = 500 }
    world:route("one", world:node(2), "gone.test", 9002)
    settle()
    assert.is_true(count("connection_failed", "no address") > 0)
    world:name("gone.test", { PROXY })
    settle()
    assert.same(OWN, addresses())
  end))

  it("count the port for TLS where that is on", function()
    for tls, column in pairs { [true] = "tls_port", [false] = "port" } do
      new_world()
      for number = 1, 3 do
        world:forward(PROXY, 9000 + number, world:node(number))
        world:route("one", world:node(number), PROXY, tls and 1 or 9000 + number,
          tls and 9000 + number or nil)
      end
      world:run(function()
        connect { tls = tls }
        assert.same(OWN, addresses())
        for _, asked in ipairs(world:asked()) do
          if asked.text and asked.text:find("client_routes", 1, true) then
            assert.truthy(asked.text:find("address, " .. column .. " FROM", 1, true))
          end
        end
        session:close(0)
      end)
    end
  end)

  it("are told apart by datacenter, where those have ids of their own", on(function()
    new_world { nodes = { { datacenter = "dc1" }, { datacenter = "dc1" }, { datacenter = "dc2" } } }
    lead(1, 9001, nil, "it's one")
    lead(2, 9002, nil, "it's one")
    lead(3, 9003, nil, "two")
    world:route("three", world:node(1), "10.7.7.7", 1)
  end, function()
    connect { client_routes = { "it's one", "two" }, datacenter_failover = true }
    assert.same(OWN, addresses())
    write(1, 50)
  end))

  it("of one node stay with their id as long as it has one", on(function()
    routed_world()
    for number = 1, 3 do lead(number, 9100 + number, nil, "two") end
  end, function()
    connect { client_routes = { "two", "one" } }
    local function replaced() return count("connection_closed", "route") end
    for number = 1, 3 do world:forward(PROXY, 9000 + number) end -- the first id counts
    assert.same(OWN, addresses())
    assert.equal(0, replaced())
    world:route("two", world:node(2))
    lead(2, 9202, nil, "one")
    settle()
    assert.is_true(replaced() > 0)
    local before = replaced()
    lead(2, 9302, nil, "two") -- it has one with the other by now
    world:forward(PROXY, 9302)
    settle()
    assert.equal(before, replaced())
    assert.same(OWN, addresses())
  end))

  it("come in pages", on(function()
    new_world { nodes = 1 }
    world:forward(PROXY, 9001, world:node(1))
    for i = 1, 100 do world:route("id" .. i, world:node(1), PROXY, i == 100 and 9001 or 9002) end
  end, function()
    local ids = {}
    for i = 1, 100 do ids[i] = "id" .. 101 - i end
    connect { client_routes = ids }
    assert.same({ OWN[1] }, addresses())
    assert.equal(2, readings())
  end))
end)

describe("a route that changes", function()
  it("has its node connected there at once; what was asked is answered", on(routed_world, function()
    connect()
    world:node(2):slow(300)
    local futures = {}
    for k = 1, 100 do
      futures[k] = session:submit("INSERT INTO ks.t (k, v) VALUES (?, ?)", { k, k })
    end
    settle(10)
    told = {}
    assert.is_true(lead(2, 9102) >= 1)
    world:forward(PROXY, 9002)
    for k = 1, 100 do assert(futures[k]:wait()) end
    settle()
    assert.same(OWN, addresses())
    assert.is_true(count("connection_closed", "client route has changed") >= 2)
    for _, event in ipairs(told) do assert.equal(OWN[2], event.address) end
    write(1, 50)
  end))

  it("ends the pause of a node that couldn't be reached", on(routed_world, function()
    connect { reconnect_min_ms = 20000, reconnect_max_ms = 60000 }
    world:forward(PROXY, 9002)
    for _, c in ipairs(world:node(2):connections()) do c:finish "reset" end
    settle(120000)
    assert.same({ OWN[1], OWN[2] .. " down", OWN[3] }, addresses())
    lead(2, 9102)
    settle(500)
    assert.same(OWN, addresses())
  end))

  it("may be that of each node in turn, as they restart", on(routed_world, function()
    connect()
    for round = 1, 2 do
      for number = 1, 3 do
        local node = world:node(number)
        node:kill()
        settle(2000)
        world:forward(PROXY, 9000 + (round - 1) * 100 + number)
        node:start()
        lead(number, 9000 + round * 100 + number)
        settle(500)
        assert.same(OWN, addresses())
        write(1, 20)
      end
    end
  end))

  it("is read once for a burst, and not where it is none of ours", on(routed_world, function()
    connect()
    local before = readings()
    for number = 1, 3 do lead(number, 9100 + number) end
    settle()
    assert.equal(before + 1, readings())
    assert.same(OWN, addresses())
    lead(1, 9001, nil, "other")
    settle()
    assert.equal(before + 1, readings())
    told = {}
    session:refresh()
    settle()
    assert.equal(before + 2, readings()) -- with the nodes it is read, too
    assert.same({}, told) -- and nothing changes by it
  end))

  it("goes, and its connections stay; no new one finds the node", on(routed_world, function()
    connect { reconnect_max_ms = 500 }
    world:route("one", world:node(2))
    settle()
    assert.same(OWN, addresses())
    told = {}
    world:node(2):kill():start()
    settle(15000)
    assert.same({ OWN[1], OWN[2] .. " down", OWN[3] }, addresses())
    assert.is_true(count("connection_failed", "no client route leads to it") > 0)
    assert.equal(0, world:counters().astray)
    lead(2, 9002)
    settle(500)
    assert.same(OWN, addresses())
  end))

  it("while its name is looked up is followed instead", on(routed_world, function()
    connect()
    world:name("slow.test", false)
    world:route("one", world:node(2), "slow.test", 9002)
    settle(1000)
    lead(2, 9102)
    settle(500)
    assert.same(OWN, addresses())
  end))

  it("is that of a node that is new", on(routed_world, function()
    connect { reconnect_min_ms = 30000, reconnect_max_ms = 60000 }
    world:add()
    settle(10000)
    assert.equal("127.0.0.4:9042 down", addresses()[4])
    assert.is_true(count("connection_failed", "no client route") > 0)
    lead(4, 9004)
    settle(500)
    assert.equal("127.0.0.4:9042", addresses()[4])
  end))
end)

describe("a table of client routes", function()
  it("may hold rows of no use, which is told of once", on(function()
    routed_world()
    local rows = {}
    local function row(id, number, address, port)
      rows[#rows + 1] = ("%s, %s, %s, %s"):format(id,
        number and world:node(number):host_id() or "null", address, port)
    end
    row("'one'", 1, "'10.9.9.9'", 9001)
    row("'one'", 2, "'10.9.9.9'", 9002)
    row("'one'", 2, "'10.9.9.9'", 9003) -- twice
    row("'one'", nil, "'10.9.9.9'", 9003)
    row("'one'", 3, "null", 9003)
    row("'one'", 3, "''", 9003)
    row("'one'", 3, "'a b'", 9003)
    row("'one'", 3, "'" .. ("a"):rep(256) .. "'", 9003)
    row("'one'", 3, "'10.9.9.9'", "null")
    row("'one'", 3, "'10.9.9.9'", 0)
    row("'one'", 3, "'10.9.9.9'", -1)
    row("'one'", 3, "'10.9.9.9'", 65536)
    row("'other'", 3, "'10.9.9.9'", 9003)
    row("null", 3, "'10.9.9.9'", 9003)
    row("'one'", 1, "'10.9.9.9'", 9001)
    rows[#rows + 1] = "'one', 00000000-0000-0000-0000-000000000000, '10.9.9.9', 9003"
    rows[#rows + 1] = "'one', 11111111-0000-0000-0000-000000000000, '10.9.9.9', 9003"
    world:rule { contains = "FROM system.client_routes",
      columns = "connection_id text, host_id uuid, address text, port int", rows = rows }
  end, function()
    connect()
    session:refresh()
    settle()
    assert.equal(1, count("warning", "12 rows of its client routes are of no use"))
    assert.same({ OWN[1], OWN[2], OWN[3] .. " down" }, addresses())
  end))

  it("that can't be read has another node asked", on(routed_world, function()
    local bad = world:rule { contains = "FROM system.client_routes", node = world:node(1),
      columns = "connection_id text", rows = { "'one'" } }
    connect { contact_points = PROXY .. ":9001," .. PROXY .. ":9002" }
    assert.same(OWN, addresses())
    assert.is_true(bad:played() <= 1 and #controls() == 1 and controls()[1].node.number ~= 1)
  end))

  for what, rule in pairs {
    ["no table"] = { contains = "FROM system.client_routes", error = "INVALID",
      message = "unconfigured table client_routes" },
    ["no event"] = { opcode = "REGISTER", error = "PROTOCOL_ERROR", times = 1 },
  } do
    it("may be unknown to a ScyllaDB: " .. what, on(function()
      routed_world { private = false }
      world:rule(rule)
    end, function()
      connect()
      assert.same(OWN, addresses())
      assert.equal(1, count "warning")
      assert.equal(1, count("warning", what == "no table" and
        "no table of client routes: nodes are sought at their own addresses" or
        "refuses to tell of changed client routes"))
      local hears = controls()[1].events.CLIENT_ROUTES_CHANGE or false
      assert.equal(what == "no table", hears)
      write(1, 20)
    end))
  end

  it("that a node hasn't leaves what another had", on(routed_world, function()
    connect()
    world:rule { contains = "FROM system.client_routes", error = "INVALID" }
    session:refresh()
    settle()
    assert.equal(1, count("warning", "they stay as they were"))
    world:node(2):kill():start()
    settle(15000)
    assert.same(OWN, addresses())
  end))

  it("is nothing that a Cassandra sees", on(function()
    new_world { product = "cassandra", private = false }
  end, function()
    connect { contact_points = "127.0.0.1" }
    session:refresh()
    settle()
    assert.same(OWN, addresses())
    assert.equal(1, count("warning", "no table of client routes"))
    assert.equal(0, readings())
    assert.same({ SCHEMA_CHANGE = true, STATUS_CHANGE = true, TOPOLOGY_CHANGE = true },
      controls()[1].events)
    for _, asked in ipairs(world:asked()) do assert.is_nil(asked.error) end
  end))

  it("is needed where own addresses lead nowhere", on(routed_world, function()
    connect { client_routes = "" }
    assert.is_true(world:node(2):counters().astray > 0)
    assert.equal(0, #world:node(2):connections())
  end))

  it("isn't asked for where no ids are told", on(routed_world, function()
    world:set("private", false)
    connect { client_routes = "", contact_points = "127.0.0.1" }
    assert.same(OWN, addresses())
    assert.equal(0, readings())
    assert.is_nil(controls()[1].events.CLIENT_ROUTES_CHANGE)
  end))
end)

describe("an event about client routes", function()
  local function event(change, connections, hosts)
    return unit.str "CLIENT_ROUTES_CHANGE" .. unit.str(change) .. connections .. hosts
  end

  it("may be of any bytes", on(routed_world, function()
    connect()
    local before = readings()
    local function tell(body)
      local frame = "\132\0\255\255\12" .. unit.u32(#body) .. body
      for _, control in ipairs(controls()) do
        if control.version == 4 then control:say(frame) end
      end
      settle()
    end
    tell(event("UPDATE_NODES", unit.list "one", unit.list()))
    tell(event("UPDATE_NODES", unit.list("two", "three"), unit.list("x", "y")))
    tell(event("UPDATE_NODES", unit.list("two"), "\255\255"))
    tell(unit.str "CLIENT_ROUTES_CHANGE")
    assert.equal(before, readings())
    tell(event("SOMETHING_NEW", unit.list("two", "one"), unit.list("x", "y")))
    assert.equal(before + 1, readings())
    assert.same(OWN, addresses())
    assert.equal(0, count "control_closed")
  end))
end)

describe("the option client_routes", function()
  local function refused(options)
    new_world()
    local all = { contact_points = PROXY }
    for name, value in pairs(options) do all[name] = value end
    local made, err = world:connect(all)
    assert.is_nil(made)
    return tostring(err)
  end

  it("goes with no function that says where nodes are, and not without discovery", function()
    assert.matches("exclude each other", refused { client_routes = "a", endpoint = print })
    assert.matches("discover can't be false", refused { client_routes = "a", discover = false })
  end)

  it("takes one to a hundred ids", function()
    local many = {}
    for i = 1, 101 do many[i] = "id" .. i end
    assert.matches("at most 100 connection ids", refused { client_routes = many })
    assert.matches("of 1 to 255 bytes", refused { client_routes = ("a"):rep(256) })
    assert.matches("connection ids", refused { client_routes = " , " })
  end)
end)
