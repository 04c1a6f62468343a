-- The examples in Lua, on simulated clusters.
local sim = require "cql.sim"

local SHOP = "CREATE KEYSPACE shop WITH replication = "
  .. "{'class': 'SimpleStrategy', 'replication_factor': 3}"

local function load(name) return dofile("examples/" .. name .. ".lua") end

describe("the schema sidecar", function()
  local world, session, schema

  local function columns(table_name)
    local found, list = schema:table("shop", table_name), {}
    if not found then return nil end
    for name, type in pairs(found.columns) do list[#list + 1] = name .. " " .. type end
    table.sort(list)
    return table.concat(list, ", ") .. "; " .. table.concat(found.partition_key, ", ") .. "; "
      .. table.concat(found.clustering, ", ")
  end

  local function eventually(expected, table_name)
    for _ = 1, 60 do
      if columns(table_name) == expected then break end
      world.cql.sleep(500)
    end
    assert.equal(expected, columns(table_name))
  end

  before_each(function()
    world = sim.world { nodes = 3, agreement = "100ms..2s" }
    world:given(SHOP, "CREATE TABLE shop.items (id int PRIMARY KEY, name text)")
    session = assert(world:connect {
      consistency = "one", heartbeat_ms = 1000, heartbeat_timeout_ms = 1000,
      reconnect_max_ms = 1000, log = function() end,
    })
    world.cql.sleep(1000)
    schema = load "schema_sidecar".start(world.cql, session)
  end)
  after_each(function()
    schema:stop()
    session:close(0)
  end)

  it("knows the tables that there are", function()
    eventually("id int, name text; id; ", "items")
    assert.is_nil(columns "orders")
  end)

  it("follows what this session changes, and others", function()
    local agreements = assert(session:subscribe "agreement")
    assert(session:execute "CREATE TABLE shop.first (id int PRIMARY KEY)")
    assert(agreements:next(20000))
    local other = assert(world:connect { contact_points = world:node(3):address(),
      discover = true })
    for _, client in ipairs { session, other } do
      assert(client:execute("CREATE TABLE shop.orders (id int, day date, sum decimal, "
        .. "PRIMARY KEY (id, day))"))
      eventually("day date, id int, sum decimal; id; day", "orders")
      assert(client:execute "ALTER TABLE shop.orders ADD note text")
      eventually("day date, id int, note text, sum decimal; id; day", "orders")
      assert(client:execute "DROP TABLE shop.orders")
      eventually(nil, "orders")
    end
    assert(other:execute "DROP KEYSPACE shop")
    eventually(nil, "items")
    other:close(0)
  end)

  it("reads all again when nobody told of changes for a while", function()
    local other = assert(world:connect { contact_points = world:node(3):address() })
    for _, node in ipairs(world.nodes) do world:partition(node, session) end
    world.cql.sleep(10000) -- its heartbeats have found out
    assert(other:execute "CREATE TABLE shop.orders (id int PRIMARY KEY)")
    other:close(0)
    world.cql.sleep(5000)
    for _, node in ipairs(world.nodes) do world:heal(node, session) end
    eventually("id int; id; ", "orders")
  end)
end)

describe("the fan-out read", function()
  local BY_ID = "SELECT id, tags FROM shop.items WHERE id = ?"
  local world, session
  local fan_out = load "fan_out_read"

  before_each(function()
    world = sim.world { nodes = 5 }
    world:given(SHOP, "CREATE TABLE shop.items (id int PRIMARY KEY, tags set<text>)",
      "INSERT INTO shop.items (id, tags) VALUES (1, {'cup', 'blue'})")
    session = assert(world:connect { discover = true })
    world.cql.sleep(1000)
  end)
  after_each(function() session:close(0) end)

  -- Who was asked for rows.
  local function asked()
    local list = {}
    for _, one in ipairs(world:asked { opcode = "EXECUTE" }) do
      if not one.error then list[#list + 1] = one.node:address() end -- UNPREPARED is one
    end
    table.sort(list)
    return list
  end

  it("asks all replicas at once, and each of them alone", function()
    local found = assert(fan_out(session, BY_ID, { 1 }))
    assert.equal(3, #found)
    assert.is_true(found.agree)
    local replicas = {}
    for i, answer in ipairs(found) do
      assert.same({ { id = 1, tags = { "blue", "cup" } } }, answer.rows)
      assert.equal("id = 1, tags = {1: blue, 2: cup}", answer.text)
      replicas[i] = answer.node.address
    end
    table.sort(replicas)
    assert.same(replicas, asked())
  end)

  it("tells of a replica that has something else, and of one that has no answer", function()
    local node = assert(fan_out(session, BY_ID, { 1 }))[2].node
    local number = tonumber(node.address:match "%.(%d+):")
    world:rule { text = BY_ID, opcode = "EXECUTE", node = world:node(number), times = 1,
      columns = "id int, tags set<text>", rows = { "1, {'mug'}" } }
    local found = assert(fan_out(session, BY_ID, { 1 }))
    assert.is_false(found.agree)
    local texts = {}
    for i, answer in ipairs(found) do texts[i] = answer.text end
    assert.same({ "id = 1, tags = {1: blue, 2: cup}", "id = 1, tags = {1: mug}",
      "id = 1, tags = {1: blue, 2: cup}" }, texts)
    world:node(number):kill()
    world.cql.sleep(1000)
    found = assert(fan_out(session, BY_ID, { 1 }))
    assert.is_false(found.agree)
    assert.equal("NO_HOST", found[2].error.name)
  end)

  it("says so where the replicas can't be known", function()
    local found, failure = fan_out(session, "SELECT id FROM shop.items")
    assert.is_nil(found)
    assert.matches("nobody knows the replicas", failure)
  end)
end)
