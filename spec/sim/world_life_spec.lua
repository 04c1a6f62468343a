-- What happens to nodes and to the network of a simulated world, and what its sessions make of it.
local sim = require "cql.sim"

local ALL = "127.0.0.1,127.0.0.2,127.0.0.3"

local function world_of(options)
  options = options or {}
  options.nodes = options.nodes or 3
  local world = sim.world(options)
  world:given(
    "CREATE KEYSPACE ks WITH replication = "
      .. "{'class': 'NetworkTopologyStrategy', 'dc1': 3}",
    "CREATE TABLE ks.t (id int PRIMARY KEY, v text)")
  return world
end

-- Runs with a session that knows all nodes.
local function with_session(world, config, body)
  config = config or {}
  config.contact_points = config.contact_points or ALL
  world:run(function()
    local session = assert(world:connect(config))
    body(session)
    session:close()
  end)
end

local function sleep(world, ms) world.cql.sleep(ms) end

describe("a node", function()
  it("that is killed resets its clients, and is found again when it is back", function()
    local world = world_of()
    with_session(world, nil, function(session)
      world:node(1):kill()
      for id = 1, 20 do
        assert(session:execute("INSERT INTO ks.t (id, v) VALUES (?, 'x')", { id },
          { idempotent = true }))
      end
      assert.equal("down", world:node(1):state())
      assert.equal(0, world:node(1):counters().connections)
      world:node(1):start()
      sleep(world, 60000)
      assert.equal(1, world:node(1):counters().connections)
    end)
  end)

  it("that is paused answers nothing until it goes on", function()
    local world = world_of { nodes = 1 }
    with_session(world, { contact_points = "127.0.0.1", request_timeout_ms = 1000 },
      function(session)
        world:node(1):pause()
        local started = world:now()
        local rows, err = session:execute "SELECT * FROM ks.t"
        assert.is_nil(rows)
        assert.equal("TIMEOUT", err.name)
        assert.is_true(world:now() - started >= 999)
        world:node(1):resume()
        assert(session:execute("SELECT * FROM ks.t"))
      end)
  end)

  it("that vanishes tells nobody: heartbeats find out", function()
    local world = world_of { nodes = 1 }
    with_session(world, { contact_points = "127.0.0.1", heartbeat_ms = 2000,
      heartbeat_timeout_ms = 1000 }, function(session)
        world:node(1):vanish()
        sleep(world, 4000)
        assert.equal(1, session:metrics().connections_lost)
        world:node(1):start()
        sleep(world, 60000)
        assert(session:execute "SELECT * FROM ks.t")
      end)
  end)

  it("that is back after it vanished knows nothing of old connections, and resets them", function()
    local world = world_of { nodes = 1 }
    with_session(world, { contact_points = "127.0.0.1", heartbeat_ms = 0,
      request_timeout_ms = 5000 }, function(session)
        world:node(1):vanish()
        world:node(1):start()
        local started = world:now()
        local _, err = session:execute("SELECT * FROM ks.t", nil, { idempotent = false })
        assert.equal("CONNECTION_LOST", err.name)
        assert.is_true(world:now() - started < 100)
        assert(session:execute "SELECT * FROM ks.t")
      end)
  end)

  it("that was written to twice in one moment has the later value", function()
    local world = world_of { nodes = 1 }
    with_session(world, { contact_points = "127.0.0.1", server_timestamps = true },
      function(session)
        assert(session:execute "INSERT INTO ks.t (id, v) VALUES (1, 'a')")
        for _ = 1, 50 do
          local done = 0
          for _, text in ipairs { "DELETE FROM ks.t WHERE id = 1",
            "INSERT INTO ks.t (id, v) VALUES (1, 'b')" } do
            world.cql.spawn(function()
              assert(session:execute(text))
              done = done + 1
            end)
          end
          while done < 2 do sleep(world, 1) end
          assert.equal("b", assert(session:execute "SELECT v FROM ks.t WHERE id = 1")[1].v)
        end
      end)
  end)

  it("that has gone down is held for up until that is detected: time-outs, then UNAVAILABLE",
    function()
      local world = world_of { detection = "10s", read_timeout = "5s" }
      with_session(world, { contact_points = "127.0.0.1", discover = false }, function(session)
        world:node(2):kill()
        world:node(3):kill()
        local started = world:now()
        local _, err = session:execute("SELECT v FROM ks.t WHERE id = 1", nil,
          { consistency = "quorum" })
        assert.equal("READ_TIMEOUT", err.name)
        assert.is_true(world:now() - started >= 5000)
        sleep(world, 10000)
        _, err = session:execute("SELECT v FROM ks.t WHERE id = 1", nil,
          { consistency = "quorum" })
        assert.equal("UNAVAILABLE", err.name)
        assert(session:execute("SELECT v FROM ks.t WHERE id = 1", nil, { consistency = "one" }))
        _, err = session:execute("SELECT v FROM ks.t", nil, { consistency = "quorum" })
        assert.equal("UNAVAILABLE", err.name)
        assert(session:execute("SELECT v FROM ks.t", nil, { consistency = "one" }))
        -- what is each node's own needs nobody else
        assert(session:execute("SELECT * FROM system.local WHERE key = 'local'"))
      end)
    end)

  it("tells registered clients who comes and goes, when it has heard of it", function()
    local world = world_of { gossip = "1s", detection = "9s" }
    world:trace(true)
    with_session(world, { contact_points = "127.0.0.1" }, function()
      world:node(2):kill()
      sleep(world, 8000)
      assert.is_nil(world:take_trace():find("127.0.0.1:9042 sees 127.0.0.2:9042 down", 1, true))
      sleep(world, 2000)
      assert.is_truthy(world:take_trace():find("127.0.0.1:9042 sees 127.0.0.2:9042 down", 1, true))
      world:add()
      sleep(world, 2000)
      assert.is_truthy(world:take_trace():find("127.0.0.1:9042 sees 127.0.0.4:9042 up", 1, true))
      world:node(4):decommission()
      sleep(world, 2000)
      assert.is_truthy(world:take_trace():find("127.0.0.1:9042 sees 127.0.0.4:9042 gone", 1, true))
    end)
  end)
end)

describe("a session", function()
  -- Rows that it could write, and the errors of the others, while `body` runs.
  local function writing(world, session, every_ms, body)
    local written, failed, ended = 0, {}, false
    world.cql.spawn(function()
      while not ended do
        local rows, err = session:execute("INSERT INTO ks.t (id, v) VALUES (?, 'x')", { written },
          { idempotent = true, consistency = "one" })
        if rows then written = written + 1 else failed[#failed + 1] = err.name end
        sleep(world, every_ms)
      end
    end)
    body()
    ended = true
    return written, failed
  end

  it("goes on while its nodes restart, one after the other", function()
    local world = world_of { boot = "3s" }
    with_session(world, { reconnect_max_ms = 1000 }, function(session)
      local written, failed = writing(world, session, 20, function()
        for _, node in ipairs(world.nodes) do
          node:stop():start()
          sleep(world, 15000)
          assert.is_true(node:counters().connections > 0)
        end
      end)
      assert.same({}, failed)
      assert.is_true(written > 1000, written)
    end)
  end)

  it("goes on with the connections that it has while one is opened again", function()
    local world = world_of { nodes = 1 }
    with_session(world, { contact_points = "127.0.0.1", connections_per_node = 3 },
      function(session)
        sleep(world, 1000)
        local count = #world:connections()
        assert.is_true(count >= 3)
        local _, failed = writing(world, session, 5, function()
          for _ = 1, 5 do
            world:connections()[2]:finish "close"
            sleep(world, 5000)
            assert.equal(count, #world:connections())
          end
        end)
        assert.same({}, failed)
      end)
  end)

  it("waits for a cluster that starts later, if it may try again", function()
    local world = sim.world { nodes = { { start = false } } }
    world:at(5000, function() world:node(1):start() end)
    world:run(function()
      local session = assert(world:connect { connect_retry = true, connect_timeout_ms = 30000 })
      assert.is_true(world:now() >= 5000)
      session:close()
      local none, err = world:connect { contact_points = "127.0.0.7", connect_retry = true,
        connect_timeout_ms = 3000 }
      assert.is_nil(none)
      assert.is_truthy(err)
    end)
  end)

  it("serves again when its keyspace, which was dropped, is there again", function()
    local world = world_of { nodes = 1 }
    with_session(world, { contact_points = "127.0.0.1", keyspace = "ks", reconnect_max_ms = 1000 },
      function(session)
        assert(session:execute "SELECT v FROM t")
        world:given "DROP KEYSPACE ks"
        world:node(1):restart()
        sleep(world, 5000)
        local rows, err = session:execute("SELECT v FROM t", nil, { timeout_ms = 2000 })
        assert.is_nil(rows)
        assert.is_truthy(err)
        world:given("CREATE KEYSPACE ks WITH replication = "
          .. "{'class': 'SimpleStrategy', 'replication_factor': 1}",
          "CREATE TABLE ks.t (id int PRIMARY KEY, v text)")
        sleep(world, 5000)
        assert(session:execute "SELECT v FROM t")
      end)
  end)
end)

describe("the network", function()
  it("that is cut keeps what was sent until it is whole again", function()
    local world = world_of { nodes = 1, latency = "1ms" }
    with_session(world, { contact_points = "127.0.0.1" }, function(session)
      world:partition(world:node(1))
      local done
      world.cql.spawn(function()
        done = assert(session:execute "SELECT * FROM ks.t")
      end)
      sleep(world, 3000)
      assert.is_nil(done)
      world:heal(world:node(1))
      sleep(world, 100)
      assert.is_truthy(done)
    end)
  end)

  it("refuses and drops connections, as `accept` says", function()
    for _, accept in ipairs { "refuse", "drop" } do
      local world = world_of { nodes = 1, accept = accept }
      world:run(function()
        local started = world:now()
        local session, err = world:connect { contact_points = "127.0.0.1", connect_retry = false,
          connect_timeout_ms = 2000 }
        assert.is_nil(session)
        assert.is_truthy(err)
        local took = world:now() - started
        assert.is_true(accept == "refuse" and took < 100 or accept == "drop" and took >= 2000,
          accept .. " took " .. took)
      end)
    end
  end)

  it("takes its time: latency, bandwidth, stalls", function()
    local world = world_of { nodes = 1, latency = "10ms", bandwidth = 100000 }
    with_session(world, { contact_points = "127.0.0.1" }, function(session)
      local started = world:now()
      local big = ("x"):rep(50000)
      assert(session:execute("INSERT INTO ks.t (id, v) VALUES (1, '" .. big .. "')"))
      local took = world:now() - started
      assert.is_true(took >= 520 and took < 600, took) -- half a second up, two ways
      world:node(1):stall(5000)
      started = world:now()
      assert(session:execute "SELECT cluster_name FROM system.local")
      assert.is_true(world:now() - started >= 5000)
    end)
  end)

  it("names mean something else later", function()
    local world = world_of()
    world:name("db.example", { "127.0.0.1" })
    with_session(world, { contact_points = "db.example", discover = false }, function(session)
      world:name("db.example", { "127.0.0.3" })
      world:node(1):kill()
      sleep(world, 30000)
      assert(session:execute "SELECT * FROM ks.t")
      assert.equal(1, world:node(3):counters().connections)
    end)
  end)
end)
