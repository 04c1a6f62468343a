-- Settings of nodes and of the world that no other spec sets: each does what docs/sim.md says.
local sim = require "cql.sim"

local SHOP = {
  "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
  "CREATE TABLE shop.items (id int PRIMARY KEY, name text)",
}

local function world_of(options)
  local world = sim.world(options)
  world:given(unpack(SHOP))
  return world
end

-- What the first node of a world offers, in words.
local function offered(options)
  options.product = options.product or "scylla"
  local world = sim.world(options)
  world:trace "whole"
  assert(world:connect()):close()
  return world:take_trace()
end

describe("the setting", function()
  it("vnodes: so many tokens by chance", function()
    for _, count in ipairs { 1, 7 } do
      local session = assert(sim.world({ vnodes = count }):connect())
      assert.equal(count, #assert(session:execute "SELECT tokens FROM system.local")[1].tokens)
    end
  end)

  it("frame_max: what is longer is refused, and the connection stays", function()
    local world = world_of { frame_max = 2000 }
    local session = assert(world:connect())
    local insert = "INSERT INTO shop.items (id, name) VALUES (1, '%s')"
    local function options() return { consistency = "one", idempotent = false } end
    assert(session:execute(insert:format(("x"):rep(1000)), nil, options()))
    local rows, err = session:execute(insert:format(("x"):rep(3000)), nil, options())
    assert.is_nil(rows)
    assert.equal("INVALID", err.name)
    assert(session:execute(insert:format "short", nil, options()))
    assert.equal(0, session:metrics().connections_lost)
  end)

  it("connect: opening takes that long", function()
    local world = sim.world { connect = "700ms", latency = "1ms" }
    assert(world:connect { discover = false })
    assert.is_true(world:now() >= 700)
    assert.is_true(world:now() < 1000)
  end)

  it("resolve: a look-up takes that long", function()
    local world = sim.world { resolve = "700ms" }
    world:name("db.example", { "127.0.0.1" })
    assert.has_error(function() world:name("db.example", { "127.0.0.1:9042" }) end,
      '"127.0.0.1:9042" is no IP address')
    assert(world:connect { contact_points = "db.example" })
    assert.is_true(world:now() >= 700)
  end)

  it("window: a node that stands still takes no more than that", function()
    for _, window in ipairs { 4096, 65536 } do
      local world = world_of { window = window }
      world:run(function()
        local session = assert(world:connect { request_timeout_ms = 60000, consistency = "one" })
        world:node(1):pause()
        local before, done = session:metrics().bytes_sent, 0
        for id = 1, 300 do
          world.cql.spawn(function()
            assert(session:execute(("INSERT INTO shop.items (id, name) VALUES (%d, '%s')")
              :format(id, ("x"):rep(1000))))
            done = done + 1
          end)
        end
        world.cql.sleep(2000)
        assert.is_true(session:metrics().bytes_sent - before <= window)
        assert.equal(0, done)
        world:node(1):resume()
        world.cql.sleep(2000)
        assert.equal(300, done)
      end)
    end
  end)

  it("write_timeout: a coordinator waits so long for replicas that don't answer", function()
    local world = world_of { nodes = 3, write_timeout = "3s", detection = "1h" }
    local session = assert(world:connect { discover = false })
    world:node(2):kill()
    world:node(3):kill()
    local started = world:now()
    local rows, err = session:execute("INSERT INTO shop.items (id) VALUES (1)", nil,
      { consistency = "quorum" })
    assert.is_nil(rows)
    assert.equal("WRITE_TIMEOUT", err.name)
    assert.is_true(world:now() - started >= 3000)
    assert.is_true(world:now() - started < 4000)
  end)

  it("protocol_min: what is below is refused", function()
    local world = sim.world { protocol_min = 4 }
    local session, err = world:connect { protocol_version = 3, connect_retry = false }
    assert.is_nil(session)
    assert.equal("VERSION", err.name)
    assert(world:connect { protocol_version = 4 })
  end)

  it("msb, shards, shard_aware_port: what Scylla says of its shards", function()
    local said = offered { msb = 7, shards = 5, shard_aware_port = 19999 }
    for _, pair in ipairs { "IGNORE_MSB.-7", "NR_SHARDS.-5", "SHARD_AWARE_PORT.-19999" } do
      assert.matches("SCYLLA_[%w_]-" .. pair, said)
    end
    assert.is_nil(offered({ shard_aware_port = 0 }):find("SHARD_AWARE_PORT", 1, true))
  end)

  it("extensions: what Scylla offers, and Cassandra never", function()
    local KNOWN = { shards = "SCYLLA_NR_SHARDS", lwt = "SCYLLA_LWT_ADD_METADATA_MARK",
      rate_limit = "SCYLLA_RATE_LIMIT_ERROR", tablets = "TABLETS_ROUTING_V1",
      metadata_id = "SCYLLA_USE_METADATA_ID" }
    local all, none = offered {}, offered { extensions = "" }
    local cassandra = offered { product = "cassandra" }
    for name, key in pairs(KNOWN) do
      assert.is_truthy(all:find(key, 1, true), key)
      assert.is_nil(none:find(key, 1, true), key)
      assert.is_nil(cassandra:find(key, 1, true), key)
      local one = offered { extensions = name }
      for other, other_key in pairs(KNOWN) do
        assert.equal(name == other, one:find(other_key, 1, true) ~= nil)
      end
    end
  end)

  it("of every name is in docs/sim.md, and no other", function()
    local ffi = require "ffi"
    local C = ffi.load(os.getenv "CQL_SIM_LIBRARY" or "build/dev/libcql_sim.so")
    local page, count = require("spec.support.tree").read "docs/sim.md", 0
    while C.cql_sim_setting(count) ~= nil do
      local name = ffi.string(C.cql_sim_setting(count))
      assert.is_truthy(page:find("`" .. name .. "`", 1, true), name)
      count = count + 1
    end
    assert.is_true(count > 25)
  end)
end)
