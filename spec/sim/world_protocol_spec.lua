-- What nodes of a simulated world say: versions, passwords, prepared statements, schema.
local sim = require "cql.sim"

local SCHEMA = {
  "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
  "CREATE TABLE ks.t (id int PRIMARY KEY, v text)",
}

local function within(options, config, body)
  local world = sim.world(options)
  world:given(unpack(SCHEMA))
  world:run(function()
    local session = assert(world:connect(config))
    body(world, session)
    session:close()
  end)
end

describe("a node", function()
  it("refuses versions in the words of its product and release", function()
    local servers = {
      { { product = "scylla" }, 4, "Invalid or unsupported protocol version: 5" },
      { { version = "3.11.19" }, 4, "Beta version of the protocol used" },
      { { version = "4.1.0" }, 5 },
      { { protocol_max = 3 }, 3, "Invalid or unsupported protocol version (5)" },
    }
    for _, server in ipairs(servers) do
      local world = sim.world(server[1])
      world:trace "whole"
      world:run(function()
        local session = assert(world:connect())
        assert.equal(server[2], session:metrics().protocol_version)
        session:close()
      end)
      local refused = world:take_trace():find("refuses version 5", 1, true)
      assert.equal(server[3] ~= nil, refused ~= nil)
    end
  end)

  it("asks for a password", function()
    local world = sim.world { auth = "password" }
    world:user("ann", "secret")
    for _, version in ipairs { 3, 4, 5 } do
      local function connect(password)
        return world:connect { username = "ann", password = password, protocol_version = version,
          connect_retry = false }
      end
      world:run(function()
        local session = assert(connect "secret")
        assert(session:execute "SELECT cluster_name FROM system.local")
        session:close()
        local none, err = connect "wrong"
        assert.is_nil(none)
        assert.equal("AUTH", err.name)
      end)
    end
  end)

  it("prepares with ids that depend on text and keyspace, and forgets", function()
    within(nil, nil, function(world, session)
      local node = world:node(1)
      for _, forget in ipairs { function() node:forget() end, function() node:restart() end } do
        assert(session:execute("INSERT INTO ks.t (id, v) VALUES (?, ?)", { 1, "a" }))
        local before = node:counters().unprepared
        forget()
        world.cql.sleep(3000)
        assert(session:execute("INSERT INTO ks.t (id, v) VALUES (?, ?)", { 2, "b" }))
        assert.equal(before + 1, node:counters().unprepared)
      end
      local asked = world:asked { unknown_id = true }
      assert.equal(2, #asked)
      assert.equal(0x2500, asked[1].error)
    end)
  end)

  it("keeps so many prepared statements", function()
    within({ prepared_max = 2 }, nil, function(world, session)
      for i = 1, 6 do
        assert(session:execute(("SELECT v FROM ks.t WHERE id = ? AND %d = %d"):format(i, i)
          :gsub(" AND.*", " LIMIT " .. i), { 1 }))
      end
      assert(session:execute("SELECT v FROM ks.t WHERE id = ? LIMIT 1", { 1 }))
      assert.equal(1, world:counters().unprepared)
    end)
  end)

  for _, version in ipairs { 4, 5 } do
    it("tells of changed columns after ALTER TABLE, v" .. version, function()
      within({ protocol_max = version }, nil, function(_, session)
        assert(session:execute "INSERT INTO ks.t (id, v) VALUES (1, 'a')")
        local select = assert(session:prepare "SELECT * FROM ks.t WHERE id = ?")
        assert.same({ id = 1, v = "a" }, assert(session:execute(select, { 1 }))[1])
        assert(session:execute "ALTER TABLE ks.t ADD w int")
        assert(session:execute "INSERT INTO ks.t (id, w) VALUES (1, 7)")
        assert.same({ id = 1, v = "a", w = 7 }, assert(session:execute(select, { 1 }))[1])
      end)
    end)
  end

  it("traces, pages, takes batches and conditions", function()
    within(nil, nil, function(_, session)
      local batch = session:batch()
      for i = 1, 25 do batch:add("INSERT INTO ks.t (id, v) VALUES (?, ?)", { i, "v" .. i }) end
      assert(session:execute(batch))
      local count = 0
      local rows = assert(session:execute("SELECT * FROM ks.t", nil, { page_size = 4,
        tracing = true }))
      assert.is_truthy(rows.execution.tracing_id)
      for _ in rows:each() do count = count + 1 end
      assert.equal(25, count)
      local once = "INSERT INTO ks.t (id, v) VALUES (100, 'x') IF NOT EXISTS"
      assert.is_true(assert(session:execute(once)).applied)
      assert.is_false(assert(session:execute(once)).applied)
    end)
  end)

  it("marks lightweight transactions where it is asked to", function()
    for product, marked in pairs { scylla = true, cassandra = false } do
      within({ product = product }, nil, function(_, session)
        local once = assert(session:prepare "INSERT INTO ks.t (id) VALUES (?) IF NOT EXISTS")
        assert.equal(marked, once:is_lwt())
        assert.is_false(assert(session:prepare "INSERT INTO ks.t (id) VALUES (?)"):is_lwt())
      end)
    end
    within({ product = "scylla" }, { lwt_mark = false }, function(_, session)
      assert.is_false(assert(session:prepare "DELETE FROM ks.t WHERE id = ? IF EXISTS"):is_lwt())
    end)
  end)

  it("tells of columns that change, on v4 too", function()
    within({ product = "scylla" }, nil, function(world, session)
      local read = assert(session:prepare "SELECT * FROM ks.t WHERE id = ?")
      assert(session:execute("INSERT INTO ks.t (id, v) VALUES (1, 'one')"))
      assert.equal("one", assert(session:execute(read, { 1 }))[1].v)
      world:given "ALTER TABLE ks.t ADD more int"
      world:given "UPDATE ks.t SET more = 7 WHERE id = 1"
      assert.equal(7, assert(session:execute(read, { 1 }))[1].more)
      assert.equal(7, assert(session:execute(read, { 1 }))[1].more)
    end)
  end)

  it("judges who is no replica, and where a shard isn't the owner's", function()
    within({ nodes = 4, product = "scylla", shards = 4 }, { discover = false },
      function(world, session)
      for i = 1, 40 do assert(session:execute("INSERT INTO ks.t (id) VALUES (?)", { i })) end
      local wrong, right = 0, 0
      for _, entry in ipairs(world:asked { opcode = "EXECUTE" }) do
        local replica = world:replicas("ks", entry.token)[1]
        assert.equal(replica.node ~= entry.node, entry.not_replica == true)
        if replica.node == entry.node then
          assert.equal(replica.shard ~= entry.shard, entry.wrong_shard == true)
        end
        if entry.not_replica or entry.wrong_shard then wrong = wrong + 1 else right = right + 1 end
      end
      assert.is_true(wrong > 0 and right > 0)
    end)
  end)
end)
