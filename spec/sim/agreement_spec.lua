-- Schema agreement: a change of the schema is done when all nodes have it.
local sim = require "cql.sim"

local KEYSPACE = "CREATE KEYSPACE %s WITH replication = "
  .. "{'class': 'SimpleStrategy', 'replication_factor': 1}"

local world, session, told

local function connect(options)
  told = {}
  local function on_agreement(event) told[#told + 1] = event end
  local all = { consistency = "one", on = { agreement = on_agreement } }
  for name, value in pairs(options or {}) do all[name] = value end
  session = assert(world:connect(all))
  world.cql.sleep(1000)
  return session
end

-- What a statement that changes the schema gave, and how long it took.
local function change(options, name)
  local started = world:now()
  local rows, failure = session:execute(KEYSPACE:format(name or "k"), nil, options)
  return rows and rows.execution.schema_agreed, world:now() - started, failure
end

local function settled() -- nothing is left of it
  world.cql.sleep(20000)
  local metrics = assert(session:metrics())
  assert.same({ 0, 0, 0, 0 },
    { metrics.taken + metrics.own, metrics.in_flight, metrics.queued, metrics.orphans })
  assert.equal(metrics.requests, metrics.completed)
end

after_each(function()
  if session then session:close(0) end
  session = nil
end)

describe("a change of the schema", function()
  it("may overtake another: all have the newer one then", function()
    world = sim.world { seed = 3, nodes = 4, agreement = "1ms..500ms" }
    connect()
    local futures = {}
    for i = 1, 20 do
      futures[i] = session:submit(KEYSPACE:format("k" .. i), nil, { agreement = false })
    end
    for i = 1, 20 do assert(futures[i]:wait()) end
    assert.is_false(session:check_schema_agreement())
    world.cql.sleep(600)
    assert.is_true(session:check_schema_agreement())
    settled()
  end)

  it("is waited for until all nodes have it", function()
    world = sim.world { seed = 3, nodes = 3, agreement = "2s" }
    connect()
    local agreed, took, failure = change()
    assert.is_nil(failure)
    assert.is_true(agreed)
    assert.is_true(took >= 2000 and took < 2500)
    settled()
    assert.is_true(#told > 0)
    assert.is_nil(told[1].error)
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", told[1].message)
    assert.equal(told[1].address, told[1].node.address)
  end)

  it("completes all the same when the nodes don't agree in time", function()
    world = sim.world { seed = 3, nodes = 3, agreement = "60s" }
    connect { schema_agreement_ms = 3000 }
    local agreed, took, failure = change()
    assert.is_nil(failure)
    assert.is_false(agreed)
    assert.is_true(took >= 3000 and took < 3500)
    settled()
    assert.equal("TIMEOUT", told[1].error.name)
  end)

  it("waits no longer than its own timeout, which is no failure then", function()
    world = sim.world { seed = 3, nodes = 3, agreement = "60s" }
    connect()
    local agreed, took, failure = change { timeout_ms = 1500 }
    assert.is_nil(failure)
    assert.is_false(agreed)
    assert.is_true(took > 1400 and took < 2000)
    settled()
    assert.equal(1, #told)
  end)

  it("isn't waited for where a request or a session says so", function()
    world = sim.world { seed = 3, nodes = 3, agreement = "5s" }
    connect()
    local agreed, took = change { agreement = false }
    assert.is_nil(agreed)
    assert.is_true(took < 500)
    session:close(0)
    connect { schema_agreement_ms = 0 }
    agreed, took = change(nil, "other")
    assert.is_nil(agreed)
    assert.is_true(took < 500)
    assert.same({}, told)
  end)

  it("doesn't wait for a node that is down", function()
    world = sim.world { seed = 3, nodes = 3, agreement = "1s" }
    connect()
    world:node(3):kill()
    world.cql.sleep(1000)
    local agreed, took = change()
    assert.is_true(agreed)
    assert.is_true(took < 2500)
    settled()
  end)

  it("doesn't wait for a node that is ignored, down or up", function()
    for _, is_down in ipairs { true, false } do
      world = sim.world { seed = 3, datacenters = { dc1 = { a = 2 }, dc2 = { a = 1 } },
        agreement = "1s" }
      connect { local_datacenter = "dc1" }
      if is_down then world:node(3):kill() else world:node(3):pause() end
      world.cql.sleep(1000)
      local agreed, took = change()
      assert.is_true(agreed)
      assert.is_true(took >= 1000 and took < 2500)
      assert.is_true(session:check_schema_agreement())
      settled()
      assert.is_nil(told[1].error)
      session:close(0)
    end
  end)

  it("waits for a node whose distance isn't ignored any more", function()
    local far = "ignored"
    world = sim.world { seed = 3, nodes = 2, agreement = "3s" }
    connect { distance = function(node) return node.address:find ".2:" and far or "local" end }
    local agreed, took = change(nil, "one")
    assert.is_true(agreed)
    assert.is_true(took < 1000)
    world.cql.sleep(5000)
    far = "local"
    assert(session:refresh_distances())
    world.cql.sleep(1000)
    agreed, took = change(nil, "two")
    assert.is_true(agreed)
    assert.is_true(took >= 3000 and took < 4000)
    settled()
  end)

  it("is asked for on the node that made it, also when that dies meanwhile", function()
    for _, comes_back in ipairs { true, false } do
      world = sim.world { seed = 3, nodes = 3, agreement = "3s" }
      connect { -- without a connection that hears what others change
        schema_agreement_ms = 8000, discover = false,
        contact_points = { "127.0.0.1", "127.0.0.2", "127.0.0.3" },
      }
      local future = assert(session:submit(KEYSPACE:format "k"))
      world.cql.sleep(500)
      local owner = world:asked { text = KEYSPACE:format "k" }[1].node
      owner:kill()
      world.cql.sleep(3000)
      if comes_back then owner:start() end
      local rows = assert(future:wait())
      assert.equal(comes_back, rows.execution.schema_agreed)
      for _, entry in ipairs(world:asked()) do
        if entry.text and entry.text:find("schema_version, host_id", 1, true) then
          assert.equal(owner, entry.node)
        end
      end
      settled()
      session:close(0)
    end
  end)

  it("that a session closes on, or that is cancelled, ends", function()
    world = sim.world { seed = 3, nodes = 3, agreement = "60s" }
    connect()
    local future = assert(session:submit(KEYSPACE:format "k"))
    world.cql.sleep(500)
    session:close(1000)
    local rows, failure = future:wait()
    assert.is_nil(failure)
    assert.is_false(rows.execution.schema_agreed)
    connect()
    future = assert(session:submit(KEYSPACE:format "other"))
    world.cql.sleep(500)
    future:cancel()
    rows, failure = future:wait()
    assert.is_nil(rows)
    assert.equal("CANCELLED", failure.name)
    settled()
  end)
end)

describe("a session", function()
  it("says whether the nodes agree", function()
    world = sim.world { seed = 3, nodes = 3, agreement = "2s" }
    connect()
    assert.is_true(session:check_schema_agreement())
    assert.is_nil(change { agreement = false })
    assert.is_false(session:check_schema_agreement())
    world.cql.sleep(3000)
    assert.is_true(session:check_schema_agreement())
    settled()
  end)

  it("waits until they do", function()
    world = sim.world { seed = 3, nodes = 3, agreement = "2s" }
    connect()
    change { agreement = false }
    local agreed, failure = session:wait_schema_agreement(500)
    assert.is_nil(agreed)
    assert.equal("TIMEOUT: the nodes still have different schemas", tostring(failure))
    assert.is_true(session:wait_schema_agreement())
    assert.is_true(session:check_schema_agreement())
    settled()
  end)

  it("asks another node when one doesn't answer", function()
    world = sim.world { seed = 3, nodes = 3 }
    connect { heartbeat_ms = 1000, heartbeat_timeout_ms = 1000 }
    for i = 1, 2 do world:node(i):stall(60000) end
    assert.is_true(session:wait_schema_agreement(30000))
    settled()
  end)

  it("can't tell when all are down", function()
    world = sim.world { seed = 3, nodes = 1 }
    connect()
    world:node(1):kill()
    world.cql.sleep(100)
    local agreed, failure = session:check_schema_agreement()
    assert.is_nil(agreed)
    assert.is_nil(failure.execution.schema_agreed)
    agreed, failure = session:wait_schema_agreement(700)
    assert.is_nil(agreed)
    assert.equal("TIMEOUT: no node told in that time which schemas there are", tostring(failure))
    settled()
  end)
end)

describe("a change that others make", function()
  it("is followed by the event, when all nodes have it", function()
    world = sim.world { seed = 3, nodes = 3, agreement = "2s" }
    connect()
    local other = assert(world:connect { consistency = "one" })
    assert(other:execute(KEYSPACE:format "k", nil, { agreement = false }))
    world.cql.sleep(1000)
    assert.same({}, told)
    world.cql.sleep(5000)
    assert.equal(1, #told)
    assert.is_nil(told[1].error)
    other:close(0)
    settled()
  end)

  it("isn't followed by an event for each of many at once", function()
    world = sim.world { seed = 3, nodes = 3, agreement = "500ms" }
    connect()
    local other = assert(world:connect { -- always by the same node, whose version is the newest
      consistency = "one", discover = false, contact_points = "127.0.0.1",
    })
    for i = 1, 20 do
      assert(other:execute(KEYSPACE:format("k" .. i), nil, { agreement = false }))
    end
    world.cql.sleep(5000)
    assert.is_true(#told >= 1 and #told <= 3, #told)
    session:close(0) -- also while one is looked for
    assert(other:execute(KEYSPACE:format "last"))
    session = other
    settled()
  end)
end)
