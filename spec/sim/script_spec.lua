-- cql.sim: clusters scripted in Lua, with ordinary sessions on them.
local sim = require "cql.sim"

local SHOP = {
  "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
  "CREATE TABLE shop.items (id int PRIMARY KEY, name text)",
}

local function shop(options)
  local world = sim.world(options)
  world:given(unpack(SHOP))
  return world, assert(world:connect { keyspace = "shop", consistency = "one" })
end

describe("a world", function()
  it("has nodes in datacenters and racks, which run", function()
    local world = sim.world { datacenters = { dc1 = { a = 2, b = 1 }, dc2 = { a = 1 } } }
    assert.equal(4, #world.nodes)
    for number, node in ipairs(world.nodes) do
      assert.equal("up", node:state())
      assert.equal(("127.0.0.%d:9042"):format(number), node:address())
      assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", node:host_id())
    end
    local session = assert(world:connect())
    local peers = {}
    for _, row in ipairs(assert(session:execute "SELECT data_center, rack FROM system.peers")) do
      peers[#peers + 1] = row.data_center .. " " .. row.rack
    end
    table.sort(peers)
    assert.same({ "dc1 a", "dc1 b", "dc2 a" }, peers)
  end)

  it("serves sessions of every version, with LZ4 and passwords", function()
    for _, version in ipairs { 3, 4, 5 } do
      local world = sim.world { auth = "password" }
      world:user("ada", "secret"):given(unpack(SHOP))
      local session = assert(world:connect {
        protocol_version = version, compression = "lz4", compression_min = 0, username = "ada",
        password = "secret", keyspace = "shop",
      })
      assert(session:execute("INSERT INTO items (id, name) VALUES (?, ?)", { 1, "cup" }))
      assert.same({ { id = 1, name = "cup" } }, assert(session:execute "SELECT * FROM items"))
      assert.equal(version, session:metrics().protocol_version)
      local refused, err = world:connect { username = "ada", password = "wrong" }
      assert.is_nil(refused)
      assert.equal("AUTH", err.name)
    end
  end)

  it("passes hours in no time, in the order of time", function()
    local world, session = shop { seed = 3 }
    local order = {}
    world:at(7200000, function() order[#order + 1] = "two hours" end)
    world:at(3600000, function() order[#order + 1] = "one hour" end)
    world:every(1000000, function()
      order[#order + 1] = "tick"
      return #order < 6
    end)
    world:run(function() world.cql.sleep(7300000) end)
    assert.same({ "tick", "tick", "tick", "one hour", "tick", "tick", "two hours" }, order)
    assert.is_true(world:now() >= 7300000)
    assert(session:execute "SELECT * FROM items")
  end)

  it("raises at the end of a run what at() and every() raised, once", function()
    local world, told = sim.world {}, 0
    world.host.report = function() told = told + 1 end
    local ticks, whole = 0, false
    world:at(10, function() error({ first = true }) end)
    world:at(20, function() world.cql.sleep(5) error "second" end)
    world:every(30, function()
      ticks = ticks + 1
      if ticks == 2 then error "third" end
    end)
    local ok, failure = pcall(world.run, world, function()
      world.cql.sleep(50)
      whole = true
    end)
    assert.is_false(ok)
    assert.is_true(failure.first and whole)
    assert.equal(7, world:run(function() return 7 end))
    ok, failure = pcall(world.run, world, function() world.cql.sleep(500) end)
    assert.is_false(ok)
    assert.matches("third$", failure)
    assert.same({ 3, 2 }, { told, ticks })
    assert.same({ 1, nil, 3 }, { world:run(function() return 1, nil, 3 end) })
  end)

  it("is the same for the same seed, byte for byte, and another for another", function()
    local function run(seed)
      local world, session = shop { seed = seed, latency = "1ms..9ms", split = 7 }
      world:trace "whole"
      world:at(world:now() + 60, function() world:node(1):restart() end)
      world:run(function()
        for id = 1, 50 do
          world.cql.spawn(function()
            session:execute("INSERT INTO items (id, name) VALUES (?, ?)", { id, "x" },
              { timeout_ms = 500 })
          end)
        end
      end)
      return world:take_trace()
    end
    local first = run(5)
    assert.is_true(#first > 1000)
    assert.is_true(first == run(5))
    assert.is_false(first == run(6))
  end)

  it("says so when everyone waits and nothing is under way", function()
    local world = sim.world()
    local ok, why = pcall(world.run, world, function()
      local task
      task = world.cql.spawn(function() task:wait() end)
    end)
    assert.is_false(ok)
    assert.matches("nothing can wake them", why)
  end)

  it("refuses what makes no sense, where it was asked", function()
    local world = sim.world()
    for _, case in ipairs {
      { function() world:set("latencyy", "1ms") end, "latencyy" },
      { function() world:set("latency", "soon") end, "latency can't be" },
      { function() world:node(9) end, "there is no node 9" },
      { function() world:rule { txt = "x" } end, "no part \"txt\"" },
      { function() world:given "SELEC" end, "SELEC" },
    } do
      local ok, why = pcall(case[1])
      assert.is_false(ok)
      assert.matches("script_spec.lua:%d+", why)
      assert.matches(case[2], why, 1, true)
    end
  end)
end)

describe("a node", function()
  it("that is killed fails what is under way, and is found again when it is back", function()
    local world, session = shop { seed = 2, service = "10ms" }
    world:run(function()
      world:at(world:now() + 5, function() world:node(1):kill() end)
      local rows, err = session:execute("SELECT * FROM items", nil, { timeout_ms = 1000 })
      assert.is_nil(rows)
      assert.equal("CONNECTION_LOST", err.name)
      assert.equal("down", world:node(1):state())
      world:at(world:now() + 3000, function() world:node(1):start() end)
      assert(session:execute("SELECT * FROM items", nil, { timeout_ms = 30000 }))
    end)
  end)

  it("that is paused answers late, and nobody gets another's answer", function()
    local world, session = shop { seed = 2 }
    world:run(function()
      for id = 1, 20 do assert(session:execute("INSERT INTO items (id, name) VALUES (?, ?)",
        { id, "n" .. id })) end
      world:node(1):pause()
      local timeouts = 0
      for id = 1, 20 do
        world.cql.spawn(function()
          local rows, err = session:execute("SELECT name FROM items WHERE id = ?", { id },
            { timeout_ms = 100 })
          if not rows then
            assert.equal("TIMEOUT", err.name)
            timeouts = timeouts + 1
          end
        end)
      end
      world.cql.sleep(200)
      assert.equal(20, timeouts)
      world:node(1):resume()
      for id = 1, 20 do
        assert.equal("n" .. id,
          assert(session:execute("SELECT name FROM items WHERE id = ?", { id }))[1].name)
      end
      assert.equal(0, world:counters().bad_streams)
    end)
  end)

  it("that is cut off is noticed by the heartbeat", function()
    local world = sim.world { seed = 4 }
    local closed
    local session = assert(world:connect {
      heartbeat_ms = 1000, heartbeat_timeout_ms = 500, discover = false,
      on = { connection_closed = function(event) closed = event.message end },
    })
    world:run(function()
      world:partition(world:node(1))
      world.cql.sleep(5000)
      assert.matches("heartbeat", closed)
      world:heal(world:node(1))
      assert(session:execute("SELECT key FROM system.local", nil, { timeout_ms = 60000 }))
    end)
  end)

  it("that forgets a statement has it prepared again, unseen", function()
    local world, session = shop { seed = 1 }
    world:run(function()
      local insert = assert(session:prepare "INSERT INTO items (id, name) VALUES (?, ?)")
      assert(session:execute(insert, { 1, "a" }))
      world:node(1):forget()
      assert(session:execute(insert, { 2, "b" }))
      assert.equal(1, world:counters().unprepared)
      assert.equal(2, #assert(session:execute "SELECT * FROM items"))
    end)
  end)
end)

describe("a Scylla", function()
  it("deals shards out, marks LWT, and is refused v5; restarted with other shards it says so",
    function()
      local world, session = shop { seed = 1, product = "scylla", shards = 3 }
      assert.equal(4, session:metrics().protocol_version)
      local node = world:node(1)
      assert(session:execute("INSERT INTO items (id) VALUES (?) IF NOT EXISTS", { 1 }))
      local shards = {}
      for _ = 1, 3 do
        assert(world:connect())
      end
      for _, entry in ipairs(world:asked { opcode = "STARTUP" }) do shards[entry.shard] = true end
      assert.same({ [0] = true, true, true }, shards)
      world:run(function()
        node:reshard(5)
        world.cql.sleep(2000)
        assert(session:execute("SELECT * FROM items", nil, { timeout_ms = 30000 }))
      end)
    end)
end)

describe("a rule", function()
  it("answers an error with its fields, as often as it is told", function()
    local world, session = shop { seed = 1 }
    local rule = world:rule {
      prefix = "SELECT", node = world:node(1), times = 2, error = "READ_TIMEOUT", received = 1,
      required = 2, data_present = true,
    }
    world:run(function()
      for _ = 1, 2 do
        local rows, err = session:execute "SELECT * FROM items"
        assert.is_nil(rows)
        assert.same({ "READ_TIMEOUT", 1, 2, true },
          { err.name, err.received, err.required, err.data_present })
      end
      assert(session:execute "SELECT * FROM items")
      assert.equal(2, rule:played())
    end)
  end)

  it("answers rows", function()
    local world, session = shop { seed = 1 }
    world:rule {
      text = "SELECT weather FROM sky", columns = "day date, degrees double, tags list<text>",
      rows = { "'2026-11-24', 3.5, ['wet']", "'2026-11-25', -1, null" },
    }
    local rows = assert(session:execute "SELECT weather FROM sky")
    assert.same({
      { day = "2026-11-24", degrees = 3.5, tags = { "wet" } }, { day = "2026-11-25", degrees = -1 },
    }, { rows[1], rows[2] })
  end)

  it("delays, is silent, spoils and closes", function()
    local world, session = shop { seed = 1 }
    world:run(function()
      local slow = world:rule { prefix = "SELECT", delay = "300ms" }
      local before = world:now()
      assert(session:execute "SELECT * FROM items")
      assert.is_true(world:now() - before >= 300)
      slow:remove()
      for _, case in ipairs {
        { { answer = "nothing" }, "TIMEOUT" }, { { corrupt = "crc32" }, "CONNECTION_LOST" },
        { { answer = "nothing", close = "reset" }, "CONNECTION_LOST" },
      } do
        local parts = case[1]
        parts.prefix, parts.times = "SELECT * FROM items", 1
        world:rule(parts)
        local rows, err = session:execute("SELECT * FROM items", nil, { timeout_ms = 500 })
        assert.is_nil(rows)
        assert.equal(case[2], err.name)
        world.cql.sleep(1000)
      end
      assert(session:execute "SELECT * FROM items")
    end)
  end)
end)

describe("the journal", function()
  it("says who was asked what", function()
    local world, session = shop { seed = 1 }
    assert(session:execute("INSERT INTO items (id, name) VALUES (?, ?)", { 1, "cup" },
      { consistency = "quorum" }))
    local asked = world:asked { opcode = "EXECUTE" }
    assert.equal(1, #asked)
    assert.equal(world:node(1), asked[1].node)
    assert.equal("quorum", asked[1].consistency)
    assert.equal("INSERT INTO items (id, name) VALUES (?, ?)", asked[1].text)
    assert.equal(2, asked[1].values)
    assert.equal("-4069959284402364209LL", tostring(asked[1].token)) -- of the int 1
    assert(session:execute "SELECT * FROM items")
    assert.equal(#asked, #world:asked { opcode = "EXECUTE" })
    local all = world:asked()
    assert.equal(tonumber(world:counters().requests), #all)
    assert.equal("SELECT * FROM items", all[#all].text)
    assert.equal(asked[1], world:asked({ opcode = "EXECUTE" })[1]) -- made once
  end)
end)

describe("the journal", function()
  it("keeps the newest 100,000", function()
    local world = sim.world { latency = "10us" }
    world:run(function()
      local session = assert(world:connect())
      assert.equal("STARTUP", world:asked({ opcode = "STARTUP" })[1].opcode)
      for worker = 1, 100 do
        world.cql.spawn(function()
          for _ = 1, 1010 do assert(session:execute "SELECT key FROM system.local") end
          if worker == 1 then world:asked() end -- amid the others
        end)
      end
    end)
    local list, last = world:asked(), world:asked { opcode = "STARTUP" }
    assert.equal(100000, #list)
    assert.same({}, last)
    for i = 2, #list do assert.is_true(list[i].at >= list[i - 1].at) end
  end)
end)

describe("the network of a script", function()
  local function names(session, options)
    local rows, err = session:execute("SELECT key FROM system.local", nil, options)
    return rows and rows[1].key or err.name
  end

  it("is cut between a node and one session, and serves the others", function()
    local world = sim.world { seed = 2 }
    local cut, other = assert(world:connect()), assert(world:connect())
    world:run(function()
      world:partition(world:node(1), cut)
      assert.equal("TIMEOUT", names(cut, { timeout_ms = 300 }))
      assert.equal("local", names(other, { timeout_ms = 300 }))
      world:heal(world:node(1), cut)
      assert.equal("local", names(cut, { timeout_ms = 30000 }))
    end)
  end)

  it("is cut between two nodes: clients reach both, and replicas are missed", function()
    local world = sim.world { seed = 2, nodes = 2, detection = "2s" }
    world:given("CREATE KEYSPACE k WITH replication = "
      .. "{'class': 'SimpleStrategy', 'replication_factor': 2}",
      "CREATE TABLE k.t (id int PRIMARY KEY)")
    local session = assert(world:connect())
    local function all()
      local _, err = session:execute("SELECT id FROM k.t WHERE id = 1", nil,
        { consistency = "all", timeout_ms = 30000 })
      return err and err.name
    end
    world:run(function()
      assert.is_nil(all())
      world:partition(world:node(1), world:node(2))
      assert.equal("READ_TIMEOUT", all())
      assert.equal("UNAVAILABLE", all()) -- by now it is known
      world:heal(world:node(1), world:node(2))
      world.cql.sleep(5000)
      assert.is_nil(all())
    end)
  end)

  it("loses its connections: closed, reset, half-open; or hears anything on them", function()
    local world = sim.world { seed = 2 }
    local lost = {}
    local session = assert(world:connect {
      heartbeat_ms = 1000, heartbeat_timeout_ms = 500, discover = false,
      on = { connection_closed = function(event) lost[#lost + 1] = event.message end },
    })
    world:run(function()
      local function connection()
        local list = world:connections()
        assert.equal(#list, #world:node(1):connections())
        return list[1]
      end
      local first = connection()
      assert.equal(world:node(1), first.node)
      assert.is_true(first.ready)
      assert.equal(5, first.version)
      assert.is_truthy(first.startup.CQL_VERSION)
      for _, case in ipairs { { "close", "closed the connection" }, { "reset", "reset by peer" },
        { "half_open", "heartbeat" } } do
        local before = #lost
        connection():finish(case[1])
        world.cql.sleep(10000)
        assert.is_true(#lost > before)
        assert.matches(case[2], lost[before + 1])
        assert.equal("local", names(session, { timeout_ms = 30000 }))
      end
      local before = #lost
      connection():say "HTTP/1.1 400 Bad Request\r\n\r\n"
      world.cql.sleep(10000)
      assert.is_true(#lost > before)
      assert.has_error(function() first:finish "politely" end)
    end)
  end)

  it("has no sockets for a while", function()
    local world = sim.world { seed = 2 }
    world:run(function()
      local session = assert(world:connect())
      world:exhaust(3)
      assert.equal(3, world:exhausted())
      world:node(1):restart()
      world.cql.sleep(100)
      assert.equal("local", names(session, { timeout_ms = 60000 }))
      assert.equal(0, world:exhausted())
    end)
  end)
end)

describe("the program of a script", function()
  it("that is busy lets time pass without its sessions, as one that was stopped", function()
    local world, session = shop { seed = 2, service = "10ms" }
    world:run(function()
      local task = world.cql.spawn(function()
        return session:execute("SELECT * FROM items", nil, { timeout_ms = 1000 })
      end)
      world.cql.sleep(5)
      local before = world:now()
      world:busy(20000)
      assert.equal(before + 20000, world:now())
      local rows, err = task:wait()
      assert.is_truthy(rows or err.name == "TIMEOUT")
      assert(session:execute("SELECT * FROM items", nil, { timeout_ms = 1000 }))
      assert.equal(0, session:metrics().connections_lost)
    end)
  end)
end)

describe("a node of a script", function()
  it("is slow, and quick again", function()
    local world, session = shop { seed = 2, latency = "1ms" }
    local function took()
      local started = world:now()
      assert(session:execute("SELECT * FROM items", nil, { timeout_ms = 60000 }))
      return world:now() - started
    end
    world:run(function()
      world:node(1):slow(300)
      assert.is_true(took() >= 300)
      world:node(1):slow "2s..3s"
      assert.is_true(took() >= 2000)
      world:node(1):slow(0)
      assert.is_true(took() < 300)
    end)
  end)

  it("that stands still hears of the schema when it goes on, and tells its clients", function()
    local world = sim.world { seed = 3, nodes = 2 }
    local changes = {}
    local session = assert(world:connect {
      contact_points = world:node(2):address(), heartbeat_ms = 0, log = function() end,
      on = {
        schema_change = function(event) changes[#changes + 1] = event.schema_change.target end,
      },
    })
    world:run(function()
      world.cql.sleep(2000)
      world:node(2):pause()
      world:given("CREATE KEYSPACE late WITH replication = {'class': 'SimpleStrategy', "
        .. "'replication_factor': 1}")
      world.cql.sleep(2000)
      assert.same({}, changes)
      world:node(2):resume()
      world.cql.sleep(2000)
      assert.same({ "KEYSPACE" }, changes)
    end)
    session:close()
  end)

  it("agrees on the schema later than the one that changed it", function()
    local world = sim.world { seed = 2, nodes = 2, agreement = "5s" }
    local sessions = {}
    for i = 1, 2 do
      sessions[i] = assert(world:connect {
        contact_points = world:node(i):address(), discover = false,
      })
    end
    local function version(session, from)
      local rows = assert(session:execute("SELECT schema_version FROM system." .. from))
      return tostring(rows[1].schema_version)
    end
    local before = version(sessions[1], "local")
    assert.equal(before, version(sessions[2], "local"))
    world:run(function()
      assert(sessions[1]:execute("CREATE KEYSPACE k WITH replication = "
        .. "{'class': 'SimpleStrategy', 'replication_factor': 1}", nil, { agreement = false }))
      local after = version(sessions[1], "local")
      assert.is_true(after ~= before)
      assert.equal(before, version(sessions[2], "local"))
      assert.equal(before, version(sessions[1], "peers"))
      assert.equal(after, version(sessions[2], "peers"))
      world.cql.sleep(6000)
      assert.equal(after, version(sessions[2], "local"))
      assert.equal(after, version(sessions[1], "peers"))
    end)
  end)

  it("that moves is where it was until it starts, and for others until they hear of it", function()
    local world = sim.world { seed = 2, nodes = 2, gossip = "2s" }
    local session = assert(world:connect())
    local node = world:node(2)
    local host_id = node:host_id()
    local function peer()
      local rows = assert(session:execute "SELECT peer, host_id FROM system.peers")
      assert.equal(1, #rows)
      assert.equal(host_id, tostring(rows[1].host_id))
      return rows[1].peer
    end
    world:run(function()
      world.cql.sleep(10)
      node:move "127.0.0.9"
      assert.equal("127.0.0.2:9042", node:address())
      world.cql.sleep(5000)
      assert.equal("127.0.0.2", peer())
      node:start()
      assert.equal("127.0.0.9:9042", node:address())
      assert.equal("127.0.0.2", peer())
      world.cql.sleep(5000)
      assert.equal("127.0.0.9", peer())
      assert.has_error(function() node:move "127.0.0.1" end, "127.0.0.1 is taken")
      local moved = assert(world:connect { contact_points = "127.0.0.9" })
      assert.equal(host_id,
        tostring(assert(moved:execute "SELECT host_id FROM system.local")[1].host_id))
    end)
  end)

  it("that moves isn't reached by who dialled it where it was", function()
    local world = sim.world { seed = 2, latency = "20ms" }
    local old, node = "127.0.0.1:9042", world:node(1)
    world:run(function()
      local connecting = world.cql.spawn(function()
        return world:connect { contact_points = old, discover = false, connect_timeout_ms = 500 }
      end)
      world.cql.sleep(5) -- it is on its way
      node:move "127.0.0.9"
      node:start()
      local session, failure = connecting:wait()
      assert.is_nil(session)
      assert.equal("NO_HOST", failure.name)
      assert.equal(0, #node:connections())
    end)
  end)

  it("may share its address with another, on a port of its own", function()
    local world = sim.world { seed = 2, nodes = 0 }
    world:add { address = "127.0.0.1" }
    world:set("port", 9043):add { address = "127.0.0.1" }
    for i = 1, 2 do
      local session = assert(world:connect {
        contact_points = world:node(i):address(), discover = false,
      })
      local rows = assert(session:execute "SELECT host_id, rpc_port FROM system.local")
      assert.equal(world:node(i):host_id(), tostring(rows[1].host_id))
      assert.equal(9041 + i, rows[1].rpc_port)
      rows = assert(session:execute "SELECT native_port FROM system.peers_v2")
      assert.equal(9044 - i, rows[1].native_port)
    end
  end)
end)

describe("TRUNCATE", function()
  it("asks all nodes, whoever has the rows", function()
    local world = sim.world { seed = 1, nodes = 4, detection = "10s", truncate_timeout = "30s" }
    world:given(unpack(SHOP))
    local session = assert(world:connect { keyspace = "shop", consistency = "one",
      request_timeout_ms = 60000 })
    world:run(function()
      assert(session:execute "INSERT INTO items (id, name) VALUES (1, 'cup')")
      assert(session:execute "TRUNCATE items")
      assert.equal(0, #assert(session:execute "SELECT * FROM items"))
      world:node(3):kill()
      world.cql.sleep(100) -- nobody asks it any more
      local started = world:now()
      local rows, err = session:execute "TRUNCATE items"
      assert.is_nil(rows)
      assert.equal("TRUNCATE_ERROR", err.name)
      assert.matches("timed out", err.message)
      assert.is_true(world:now() - started >= 30000)
      started = world:now()
      rows, err = session:execute "TRUNCATE items"
      assert.is_nil(rows)
      assert.equal("TRUNCATE_ERROR", err.name)
      assert.matches("Cannot achieve consistency level ALL", err.message)
      assert.is_true(world:now() - started < 1000)
      world:node(3):start()
      world.cql.sleep(5000)
      assert(session:execute "TRUNCATE items")
    end)
  end)
end)

describe("a cluster of another partitioner", function()
  it("says so", function()
    local name = "org.apache.cassandra.dht.RandomPartitioner"
    local world = sim.world { partitioner = name }
    local session = assert(world:connect())
    local rows = assert(session:execute "SELECT partitioner FROM system.local")
    assert.equal(name, rows[1].partitioner)
  end)
end)

describe("the example of a test", function()
  it("has at most 40 lines", function()
    local count = 0
    for _ in io.lines "examples/failing_node_spec.lua" do count = count + 1 end
    assert.is_true(count <= 40, count)
  end)
end)

setfenv(assert(loadfile "examples/failing_node_spec.lua"), getfenv())()
