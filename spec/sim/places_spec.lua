-- Where requests go, by hand: plans, and requests that are for one node.
local sim = require "cql.sim"

local SHOP = "CREATE KEYSPACE shop WITH replication = "
  .. "{'class': 'NetworkTopologyStrategy', 'dc1': 2, 'dc2': 1}"
local BY_ID = "SELECT name FROM shop.items WHERE id = ?"

-- A stream's id in ScyllaDB's tables of changes.
local function stream_of(token)
  local bytes = {}
  for i = 1, 8 do
    bytes[i] = string.char(tonumber(bit.band(bit.rshift(token, 64 - 8 * i), 0xFFLL)))
  end
  return table.concat(bytes) .. "whatever"
end

describe("a session", function()
  local world, session

  local function connect(options)
    local all = { discover = true, consistency = "one", local_datacenter = "dc1",
      datacenter_failover = true }
    for name, value in pairs(options or {}) do all[name] = value end
    session = assert(world:connect(all))
    world.cql.sleep(2000)
  end

  before_each(function()
    world = sim.world { datacenters = { dc1 = { a = 2, b = 1 }, dc2 = { a = 2 } } }
    world:given(SHOP, "CREATE TABLE shop.items (id int PRIMARY KEY, name text)")
    local insert = "INSERT INTO shop.items (id, name) VALUES (%d, 'x')"
    for id = 1, 50 do world:given(insert:format(id)) end
    connect()
  end)
  after_each(function() session:close(0) end)

  local function addresses(list) -- of the world's replicas
    local found = {}
    for i, replica in ipairs(list) do found[i] = replica.node:address() end
    table.sort(found)
    return found
  end

  local function planned(text, values) -- the replicas among the places of a plan
    local found = {}
    for _, place in ipairs(assert(session:plan(text, values))) do
      if place.replica then found[#found + 1] = place.node.address end
    end
    table.sort(found)
    return found
  end

  it("shows where a statement would go: the replicas of its key, nearest first, then the others",
    function()
      for id = 1, 50 do
        local plan = assert(session:plan(BY_ID, { id }))
        assert.equal(5, #plan)
        local replicas, shape = {}, {}
        for i, place in ipairs(plan) do
          shape[i] = (place.replica and "replica " or "other ") .. place.node.distance
          if place.replica then replicas[#replicas + 1] = place.node.address end
          assert.is_nil(place.shard)
        end
        assert.same({ "replica local", "replica local", "replica remote", "other local",
          "other remote" }, shape)
        table.sort(replicas)
        local token = assert(session:execute("SELECT token(id) AS t FROM shop.items WHERE id = ?",
          { id }))[1].t
        assert.same(addresses(world:replicas("shop", token)), replicas)
      end
    end)

  it("finds the rows of ScyllaDB's tables of changes, whose keys begin with their token", function()
    local create = "CREATE TABLE shop.%s (stream blob PRIMARY KEY, name text)"
    local by_stream = "SELECT name FROM shop.%s WHERE stream = ?"
    local found = {}
    for _, name in ipairs { "items_scylla_cdc_log", "scylla_cdc_logs" } do
      world:given(create:format(name))
      found[name] = 0
      for i = -8, 8 do
        local token = 1000000000000000000LL * i
        local plan = planned(by_stream:format(name), { stream_of(token) })
        local expected = addresses(world:replicas("shop", token))
        if table.concat(plan, " ") == table.concat(expected, " ") then
          found[name] = found[name] + 1
        end
      end
    end
    assert.equal(17, found.items_scylla_cdc_log)
    assert.is_true(found.scylla_cdc_logs < 17) -- by their hash
  end)

  it("finds the parts of a key wherever they stand among the values", function()
    world:given "CREATE TABLE shop.pairs (a int, b int, name text, PRIMARY KEY ((a, b)))"
    local insert = "INSERT INTO shop.pairs (b, name, a) VALUES (?, ?, ?)"
    for a = 1, 20 do
      assert(session:execute(insert, { a + 1, "x", a }))
      local by_key = "SELECT token(a, b) AS t FROM shop.pairs WHERE a = ? AND b = ?"
      local token = assert(session:execute(by_key, { a, a + 1 }))[1].t
      assert.same(addresses(world:replicas("shop", token)), planned(insert, { a + 1, "x", a }))
    end
  end)

  it("says NO_HOST where no node is connected that a request may go to, though others are",
    function()
      local function ask(consistency)
        local rows, failure = session:execute(BY_ID, { 1 }, { consistency = consistency,
          timeout_ms = 1000 })
        return rows and rows.execution.node or failure.name
      end
      for i = 1, 3 do world:node(i):kill() end
      world.cql.sleep(100)
      assert.equal("NO_HOST", ask "local_quorum")
      assert.equal("NO_HOST", ask "local_one")
      assert.matches("^127.0.0.[45]:", ask "one")
      world:rule { prefix = "SELECT", answer = "nothing" }
      assert.equal("TIMEOUT", ask "one")
    end)

  it("sends the first requests of its life to replicas, however long it takes to learn of them",
    function()
      session:close(0)
      world:rule { contains = "system_schema.keyspaces", answer = "own", delay = "300ms" }
      session = assert(world:connect { consistency = "one", log = function() end })
      local by_id = assert(session:prepare(BY_ID))
      for id = 1, 20 do assert(session:execute(by_id, { id })) end
      assert.equal(0, world:counters().not_replica)
    end)

  it("is connected in time where nobody tells where data is", function()
    session:close(0)
    world:rule { contains = "system_schema.keyspaces", answer = "nothing" }
    session = assert(world:connect { connect_timeout_ms = 100, log = function() end })
    assert(session:execute "SELECT name FROM shop.items WHERE id = 1")
  end)

  it("shows all nodes where there is no key, and only the near ones for what asks for those",
    function()
      local plan = assert(session:plan "SELECT * FROM shop.items")
      assert.equal(5, #plan)
      for _, place in ipairs(plan) do assert.is_false(place.replica) end
      plan = assert(session:plan(BY_ID, { 1 }, { consistency = "local_one" }))
      assert.equal(3, #plan)
      assert.equal(0, session:metrics().taken)
    end)

  it("sends a request to the node that it is for, and to no other", function()
    local nodes, asked = assert(session:nodes()), {}
    local statement = assert(session:prepare(BY_ID))
    for _, node in ipairs(nodes) do
      for id = 1, 10 do
        local rows = assert(session:execute(statement, { id }, { node = node }))
        asked[rows.execution.node] = (asked[rows.execution.node] or 0) + 1
      end
      assert.equal(10, asked[node.address])
      assert(session:submit("SELECT * FROM shop.items", nil, { node = node, shard = 0 })):wait()
    end
  end)

  it("keeps one table for all executions by a node, though others answer meanwhile", function()
    local nodes, metas, empties = assert(session:nodes()), {}, {}
    local insert = "INSERT INTO shop.items (id, name) VALUES (?, 'x')"
    for round = 1, 4 do
      for i, node in ipairs(nodes) do
        local rows = assert(session:execute(BY_ID, { 1 }, { node = node }))
        local empty = assert(session:execute(insert, { 1 }, { node = node }))
        if round == 2 then -- in the first it may have taken two attempts
          metas[i], empties[i] = getmetatable(rows), empty
        elseif round > 2 then
          assert.is_true(metas[i] == getmetatable(rows) and rawequal(empties[i], empty))
        end
        assert.equal(node.address, rows.execution.node)
        assert.equal(node.address, empty.execution.node)
      end
    end
  end)

  it("is told the key of what isn't prepared, or its token", function()
    assert(session:use "shop")
    local text = "SELECT name FROM shop.items WHERE id = 7"
    local wanted = assert(session:plan(BY_ID, { 7 }))
    local token = assert(session:execute "SELECT token(id) AS t FROM shop.items WHERE id = 7")[1].t
    for _, options in ipairs {
      { routing_key = "\0\0\0\7" }, { routing_key = { "\0\0\0\7" } }, { token = token },
    } do
      local plan = assert(session:plan(text, nil, options))
      for i, place in ipairs(wanted) do
        assert.equal(place.node, plan[i].node)
        assert.equal(place.replica, plan[i].replica)
      end
      local near = { [wanted[1].node.address] = true, [wanted[2].node.address] = true }
      for _ = 1, 20 do
        assert.is_true(near[assert(session:execute(text, nil, options)).execution.node])
      end
    end
  end)

  it("looks for a token in the keyspace of a prepared statement, whichever is used", function()
    world:given("CREATE KEYSPACE other WITH replication = "
      .. "{'class': 'SimpleStrategy', 'replication_factor': 1}")
    for version = 3, 5 do
      session:close(0)
      connect { protocol_version = version, keyspace = "other" }
      local statement = assert(session:prepare(BY_ID))
      local replicas = 0
      for _, place in ipairs(assert(session:plan(statement, { 7 }, { token = 1000 }))) do
        if place.replica then replicas = replicas + 1 end
      end
      assert.equal(3, replicas) -- v3 doesn't tell which markers are the key
    end
  end)

  it("says so when that node is down, and asks no other", function()
    local node = assert(session:nodes())[2]
    world:node(2):kill()
    world.cql.sleep(1000)
    local before = #world:asked { text = BY_ID }
    local rows, failure = session:execute(BY_ID, { 1 }, { node = node })
    assert.is_nil(rows)
    assert.equal("NO_HOST", failure.name)
    assert.is_true(#world:asked { text = BY_ID } - before <= 1) -- its preparation
    local plan = assert(session:plan(BY_ID, { 1 }, { node = node }))
    assert.same({ 1, node.address }, { #plan, plan[1].node.address })
  end)

  it("refuses what makes no sense, where it was asked", function()
    local first = assert(session:nodes())[1]
    local other = assert(world:connect { discover = true })
    local foreign = assert(other:nodes())[1]
    for _, case in ipairs {
      { { node = "127.0.0.1" }, "node takes a node, as session:nodes() gives them, not a string" },
      { { shard = 1 }, "shard goes with a node" },
      { { node = first, shard = -1 }, "shard takes a whole number from 0 on" },
      { { node = first, shard = 1 }, "this session has no shard 1 of node 127.0.0.1:9042" },
      { { routing_key = 7 }, "routing_key takes the bytes of a partition key" },
      { { routing_key = { 7 } }, "routing_key takes strings, not a number" },
      { { token = 0.5 }, "token takes a whole number below 2^53, or an int64" },
      { { token = 2 ^ 60 }, "token takes a whole number below 2^53, or an int64" },
      { { node = foreign }, " is of another session" },
    } do
      for _, name in ipairs { "execute", "plan", "submit" } do
        local ok, why = pcall(function()
          local _, failure = session[name](session, BY_ID, { 1 }, case[1])
          error(tostring(failure))
        end)
        assert.is_false(ok)
        assert.matches("places_spec.lua:%d+", why)
        assert.matches(case[2], why, 1, true)
      end
    end
    for _, call in ipairs {
      function() session:prepare(BY_ID, { node = first }) end,
      function() session:batch("logged", { node = first }) end,
    } do
      assert.error_matches(call, "node is an option of execute")
    end
    assert.error_matches(function() session:plan(session:batch()) end, "plans are of text")
    assert.equal(0, session:metrics().taken)
    other:close(0)
  end)
end)
