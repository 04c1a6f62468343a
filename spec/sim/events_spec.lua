-- Events of a session: handlers in its configuration, and subscriptions.
local sim = require "cql.sim"

local logged, session

local function connect(world, options)
  logged = {}
  local all = { discover = true, consistency = "one",
    log = function(level, text) logged[#logged + 1] = level .. ": " .. text end }
  for name, value in pairs(options or {}) do all[name] = value end
  session = assert(world:connect(all))
  return session
end

local function settle(world) world.cql.sleep(1000) end

-- The names of all events that are there by now.
local function names(subscription)
  local list = {}
  for event in function() return subscription:next(0) end do list[#list + 1] = event.name end
  return list
end

local KEYSPACE = "CREATE KEYSPACE %s WITH replication = "
  .. "{'class': 'SimpleStrategy', 'replication_factor': 1}"

after_each(function()
  if session then session:close(0) end
  session = nil
end)

describe("a handler of events", function()
  it("may wait, and ask the session", function()
    local world, key = sim.world { nodes = 2 }, nil
    connect(world, { on = { node_down = function(event)
      world.cql.sleep(10)
      assert.equal(world:node(2):address(), event.node.address)
      key = assert(session:execute "SELECT key FROM system.local")[1].key
    end } })
    settle(world)
    world:node(2):kill()
    settle(world)
    assert.equal("local", key)
    assert.same({}, logged)
  end)

  it("that fails is told of, and the others go on", function()
    local world, seen, told = sim.world {}, nil, nil
    world.host.report = function(_, text) told = text end
    connect(world, { on = {
      schema_change = function() error "no such thing" end,
      closed = function() seen = true end,
    } })
    settle(world)
    assert(session:execute(KEYSPACE:format "shop"))
    settle(world)
    assert.matches("in a coroutine: .*no such thing", told)
    session:close(0)
    settle(world)
    assert.is_true(seen)
  end)
end)

describe("a subscription", function()
  it("gives all events from its beginning on, in their order", function()
    local world = sim.world { nodes = 2 }
    connect(world)
    local subscription = assert(session:subscribe())
    settle(world)
    assert.same({ "connection_opened", "node_up" }, names(subscription))
    world:node(2):kill()
    settle(world)
    local found, at = names(subscription), {}
    for i, name in ipairs(found) do at[name] = at[name] or i end
    assert.is_true(math.max(at.connection_closed, at.node_down) < at.connection_failed)
  end)

  it("gives those of one name, of several, or that a function wants", function()
    local world = sim.world { nodes = 2 }
    connect(world)
    local one = assert(session:subscribe "node_down")
    local several = assert(session:subscribe { "node_down", "node_up" })
    local chosen = assert(session:subscribe(function(event) return event.error ~= nil end))
    settle(world)
    world:node(2):kill()
    settle(world)
    assert.same({ "node_down" }, names(one))
    assert.same({ "node_up", "node_down" }, names(several))
    local found = names(chosen)
    assert.same({ "connection_closed", "connection_failed" }, { found[1], found[2] })
  end)

  it("waits for the next event, in a coroutine and outside of any", function()
    local world = sim.world {}
    connect(world)
    settle(world)
    local changes = assert(session:subscribe "schema_change")
    local function later()
      world:at(world:now() + 500, function() assert(session:execute(KEYSPACE:format "shop")) end)
    end
    later()
    assert.equal("CREATED", assert(changes:next()).schema_change.change)
    local found
    world:run(function()
      world.cql.spawn(function() found = assert(changes:next()).schema_change end)
      assert(session:execute "CREATE TABLE shop.items (id int PRIMARY KEY)")
    end)
    assert.same({ change = "CREATED", target = "TABLE", keyspace = "shop", name = "items" }, found)
  end)

  it("waits so long and no longer, and leaves nothing behind", function()
    local world = sim.world {}
    connect(world)
    settle(world)
    local changes = assert(session:subscribe "schema_change")
    for _, ms in ipairs { 0, 1, 250 } do
      local started = world:now()
      local event, failure = changes:next(ms)
      assert.is_nil(event)
      assert.equal("TIMEOUT", failure.name)
      assert.is_true(world:now() - started >= ms)
    end
  end)

  it("leaves nothing behind of a wait that ended early", function()
    local world = sim.world {}
    connect(world)
    settle(world)
    local changes = assert(session:subscribe "schema_change")
    world:run(function()
      world.cql.spawn(function() assert(changes:next(3600000)) end)
      assert(session:execute(KEYSPACE:format "shop"))
    end)
    session:close(0)
    local ok = pcall(world.run, world, function()
      local task
      task = world.cql.spawn(function() task:wait() end)
    end)
    assert.is_false(ok) -- for nothing can wake them, not even that alarm
    assert.is_true(world:now() < 3600000)
  end)

  it("loses the oldest when its reader is slow, and says how many", function()
    local world = sim.world { nodes = 2 }
    connect(world, { reconnect_min_ms = 50, reconnect_max_ms = 50 })
    settle(world)
    local slow = assert(session:subscribe("connection_failed", { size = 3 }))
    local quick = assert(session:subscribe "connection_failed")
    world:node(2):kill()
    world.cql.sleep(1000)
    local all = {}
    for event in function() return quick:next(0) end do
      assert.is_nil(event.lost)
      all[#all + 1] = event
    end
    assert.is_true(#all > 10)
    local first = assert(slow:next(0))
    assert.equal(#all - 3, first.lost)
    assert.is_nil(all[#all - 2].lost) -- for the other has lost none
    assert.is_true(all[#all - 1] == slow:next(0))
    assert.is_true(all[#all] == slow:next(0))
  end)

  it("is told, too, of events that the library had no room for", function()
    local world = sim.world { latency = "1ms" }
    connect(world)
    settle(world)
    local events = assert(session:subscribe("status_change", { size = 10000 }))
    for _ = 1, 3000 do -- all that comes in one turn is too much
      for number = 1, #world.nodes do world:node(number):tell("STATUS_CHANGE", "UP") end
    end
    world:busy(50)
    world.cql.sleep(1000)
    local count, lost = 0, 0
    for event in function() return events:next(0) end do
      count, lost = count + 1, lost + (event.lost or 0)
    end
    assert.equal(session:metrics().events_dropped, lost)
    assert.equal(3000, count + lost)
    assert.is_true(lost > 0)
  end)

  it("may have several readers: each event goes to one of them", function()
    local world, found = sim.world {}, {}
    connect(world)
    settle(world)
    local changes = assert(session:subscribe "schema_change")
    world:run(function()
      for reader = 1, 3 do
        world.cql.spawn(function()
          local event = changes:next(reader * 1000)
          found[reader] = event and event.schema_change.keyspace or "none"
        end)
      end
      world.cql.sleep(10)
      for _, name in ipairs { "a", "b" } do assert(session:execute(KEYSPACE:format(name))) end
    end)
    assert.same({ "a", "b", "none" }, found)
  end)

  it("ends when it is closed, for who waits too", function()
    local world = sim.world { nodes = 2 }
    connect(world)
    local subscription, failure = assert(session:subscribe "schema_change"), nil
    world:run(function()
      world.cql.spawn(function() failure = select(2, subscription:next()) end)
      world.cql.sleep(10)
      subscription:close()
    end)
    assert.matches("CLOSED: the subscription was closed", tostring(failure))
    assert(session:execute(KEYSPACE:format "shop"))
    settle(world)
    assert.equal("CLOSED", select(2, subscription:next()).name)
    assert.equal(0, session.subscriptions.n)
    subscription:close()
  end)

  it("that nobody holds any more is collected", function()
    connect(sim.world {})
    local watched = setmetatable({}, { __mode = "k" })
    for _ = 1, 100 do watched[assert(session:subscribe())] = true end
    local kept = assert(session:subscribe())
    for _ = 1, 3 do collectgarbage() end
    assert.is_nil(next(watched))
    assert(session:subscribe()):close()
    assert.equal(1, session.subscriptions.n)
    assert(session:execute(KEYSPACE:format "shop"))
    session:close(0)
    assert.is_true(#names(kept) > 1)
  end)

  it("ends with its session, once all has been read", function()
    local world = sim.world {}
    connect(world)
    local subscription, found = assert(session:subscribe { "closed" }), {}
    world:run(function()
      world.cql.spawn(function()
        for _ = 1, 2 do
          local event, failure = subscription:next()
          found[#found + 1] = event and event.name or failure.name
        end
      end)
      world.cql.sleep(10)
      session:close()
    end)
    assert.same({ "closed", "CLOSED" }, found)
  end)

  it("hears everything when its filter fails, which is told of", function()
    local world = sim.world {}
    connect(world)
    settle(world)
    local subscription = assert(session:subscribe(function(event)
      if event.name == "schema_change" then world.cql.sleep(1) end
    end))
    assert(session:execute(KEYSPACE:format "shop"))
    settle(world)
    assert.same({ "schema_change" }, names(subscription))
    assert.matches("a subscription's filter failed: .*a filter may not wait", logged[1])
  end)

  it("refuses what makes no sense, where it was asked", function()
    local world = sim.world {}
    connect(world)
    local subscription = assert(session:subscribe())
    for _, case in ipairs {
      { function() session:subscribe "nodeup" end, 'event "nodeup"; did you mean "node_up"?' },
      { function() session:subscribe { "node_up", "x" } end, 'unknown event "x"' },
      { function() session:subscribe(7) end, "not a number" },
      { function() session:subscribe(nil, 7) end, "options are a table" },
      { function() session:subscribe(nil, { sise = 1 }) end, 'did you mean "size"?' },
      { function() session:subscribe(nil, { size = 0.5 }) end, "a whole number of events" },
      { function() subscription:next "1" end, "next takes milliseconds" },
      { function() subscription:next(-1) end, "next takes milliseconds" },
    } do
      local ok, why = pcall(case[1])
      assert.is_false(ok)
      assert.matches("events_spec.lua:%d+", why)
      assert.matches(case[2], why, 1, true)
    end
  end)
end)

-- ---- every event ----

-- What each event must say, and what brings it: `cause(world)` in a world of two nodes on which a
-- session has settled, or, without it, connecting alone.
local function node_of(event) return event.node and event.node.address end

local CASES = {
  ready = { check = function(event, world)
    assert.equal(world:node(1):address(), event.address)
  end },
  failed = { options = { username = "ada", password = "wrong" },
    world = { auth = "password" }, check = function(event)
      assert.equal("AUTH", event.error.name)
    end },
  connection_opened = { check = function(event)
    assert.equal(event.address, node_of(event))
  end },
  connection_failed = { cause = function(world) world:node(2):kill() end, check = function(event, w)
    assert.equal(w:node(2):address(), node_of(event))
    assert.equal("CONNECT", event.error.name)
    assert.equal("Connection refused", event.message)
  end },
  connection_closed = { cause = function(world) world:node(2):kill() end, check = function(event, w)
    assert.equal(w:node(2):address(), node_of(event))
    assert.equal("CONNECTION_LOST", event.error.name)
  end },
  warning = { world = { datacenters = { dc1 = { a = 1 }, dc2 = { a = 1 } } },
    check = function(event) assert.matches("several datacenters", event.message) end },
  closed = { cause = function() session:close(0) end, check = function(event)
    assert.same({ name = "closed" }, event)
  end },
  node_added = { cause = function(world) world:add() end, check = function(event)
    assert.same({ "127.0.0.3:9042", "127.0.0.3:9042" }, { event.address, node_of(event) })
  end },
  node_removed = { cause = function(world) world:node(2):decommission() end,
    check = function(event, world)
      assert.equal(world:node(2):host_id(), event.node.host_id)
    end },
  node_up = { cause = function(world) world:node(2):restart() end, check = function(event, world)
    assert.equal(world:node(2):host_id(), event.node.host_id)
    assert.is_true(event.node.up)
  end },
  node_down = { cause = function(world) world:node(2):kill() end, check = function(event, world)
    assert.equal(world:node(2):host_id(), event.node.host_id)
    assert.is_false(event.node.up)
    assert.is_string(event.message)
  end },
  node_moved = { cause = function(world) world:node(2):move("127.0.0.9"):start() end,
    check = function(event, world)
      assert.same({ "127.0.0.9:9042", "127.0.0.9:9042", "127.0.0.2:9042" },
        { event.address, node_of(event), event.message })
      assert.equal(world:node(2):host_id(), event.node.host_id)
    end },
  topology = { cause = function() assert(session:refresh()) end, check = function(event)
    assert.is_nil(event.error)
  end },
  control_opened = { check = function(event, world)
    assert.equal(world:node(1):address(), event.address)
  end },
  control_closed = { cause = function(world) world:node(1):kill() end,
    check = function(event, world)
      assert.equal(world:node(1):address(), event.address)
      assert.equal("CONNECTION_LOST", event.error.name)
    end },
  control_failed = { cause = function(world) for _, n in ipairs(world.nodes) do n:kill() end end,
    check = function(event)
      assert.matches("^127.0.0.[12]:9042$", event.address)
      assert.equal("CONNECT", event.error.name)
    end },
  keyspace = { cause = function()
    assert(session:execute(KEYSPACE:format "shop"))
    assert(session:use "shop")
  end, check = function(event) assert.equal("shop", event.keyspace) end },
  reprepared = { cause = function(world)
    local text = "SELECT key FROM system.local WHERE key = ?"
    local statement = assert(session:prepare(text))
    for _, node in ipairs(world.nodes) do node:forget() end
    assert(session:execute(statement, { "local" }))
  end, check = function(event)
    assert.equal("SELECT key FROM system.local WHERE key = ?", event.message)
    assert.matches("^127.0.0.[12]:9042$", event.address)
  end },
  tablet = { world = { product = "scylla" }, cause = function()
    assert(session:execute("CREATE KEYSPACE shop WITH replication = {'class': "
      .. "'NetworkTopologyStrategy', 'replication_factor': 1} AND tablets = {'initial': 8}"))
    assert(session:execute "CREATE TABLE shop.items (id int PRIMARY KEY)")
    for id = 1, 20 do assert(session:execute("SELECT * FROM shop.items WHERE id = ?", { id })) end
  end, check = function(event)
    assert.same({ "shop", "items" }, { event.keyspace, event.table })
  end },
  resolve_failed = { options = { contact_points = { "nowhere.example", "127.0.0.1" } },
    check = function(event)
      assert.equal("RESOLVE", event.error.name)
      assert.matches("contact point nowhere.example", event.message)
    end },
  status_change = { cause = function(world) world:node(2):kill() end, check = function(event, world)
    assert.same({ "DOWN", world:node(2):address(), world:node(2):address() },
      { event.change, event.address, node_of(event) })
  end },
  topology_change = { cause = function(world) world:add() end, check = function(event)
    assert.same({ "NEW_NODE", "127.0.0.3:9042" }, { event.change, event.address })
  end },
  schema_change = { cause = function() assert(session:execute(KEYSPACE:format "shop")) end,
    check = function(event)
      assert.same({ change = "CREATED", target = "KEYSPACE", keyspace = "shop" },
        event.schema_change)
    end },
}

-- Tested where the function that decides it is.
local ELSEWHERE = { agreement = "sim/agreement_spec.lua", distance = "sim/nodes_spec.lua" }

describe("the event", function()
  for name, case in pairs(CASES) do
    it(name .. " is told when it happens", function()
      local parts = { nodes = 2 }
      if case.world and case.world.datacenters then parts = {} end
      for key, value in pairs(case.world or {}) do parts[key] = value end
      local world, found = sim.world(parts), nil
      local options = { discover = true, log = function() end, reconnect_max_ms = 1000,
        on = { [name] = function(event) found = found or event end } }
      for key, value in pairs(case.options or {}) do options[key] = value end
      session = world:connect(options)
      settle(world)
      if case.cause then
        found = nil
        case.cause(world)
      end
      for _ = 1, 60 do
        if found then break end
        world.cql.sleep(1000)
      end
      assert.is_table(found)
      assert.equal(name, found.name)
      case.check(found, world)
    end)
  end

  it("of each name has a test", function()
    for name in pairs(require("cql.event").numbers) do
      assert.is_truthy(CASES[name] or ELSEWHERE[name], name)
    end
  end)
end)
