-- What a session makes of statements, seen from Lua on a simulated cluster: pages, conditions,
-- keyspaces, and what comes beside an answer.
local sim = require "cql.sim"

local REPLICATION = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
local INSERT = "INSERT INTO t (id, at, v) VALUES (1, ?, ?)"
local SELECT = "SELECT * FROM t WHERE id = ?"

-- Runs with a session in keyspace one; both keyspaces have the table.
local function within(options, body)
  local world = sim.world(options)
  for _, keyspace in ipairs { "one", "two" } do
    world:given(
      ("CREATE KEYSPACE %s WITH replication = %s"):format(keyspace, REPLICATION),
      ("CREATE TABLE %s.t (id int, at int, v text, PRIMARY KEY (id, at))"):format(keyspace))
  end
  world:run(function()
    local session = assert(world:connect { keyspace = "one", consistency = "one" })
    body(world, session)
    session:close()
  end)
end

local function fill(session, count)
  for at = 1, count do assert(session:execute(INSERT, { at, "v" .. at })) end
end

describe("pages", function()
  it("are all asked for with the consistency of the call", function()
    within(nil, function(world, session)
      fill(session, 10)
      local before = #world:asked { opcode = "EXECUTE" }
      local count = 0
      local rows = assert(session:execute(SELECT, { 1 }, { page_size = 3, consistency = "all" }))
      for _ in rows:each() do count = count + 1 end
      assert.equal(10, count)
      local asked = world:asked { opcode = "EXECUTE" }
      assert.equal(before + 4, #asked)
      for i = before + 1, #asked do assert.equal("all", asked[i].consistency) end
    end)
  end)

  for version = 3, 5 do
    it("go on after a column was added between two of them, on v" .. version, function()
      within({ protocol_max = version }, function(_, session)
        fill(session, 6)
        local seen = {}
        for row in assert(session:execute(SELECT, { 1 }, { page_size = 2 })):each() do
          seen[#seen + 1] = row.v
          if #seen == 2 then
            assert(session:execute "ALTER TABLE t ADD w int")
            assert(session:execute "INSERT INTO t (id, at, w) VALUES (1, 6, 7)")
          end
          if row.at == 6 then assert.equal(7, row.w) end
        end
        assert.same({ "v1", "v2", "v3", "v4", "v5", "v6" }, seen)
      end)
    end)
  end

  it("that time out raise it, and the session goes on", function()
    within(nil, function(world, session)
      fill(session, 6)
      local rows = assert(session:execute(SELECT, { 1 }, { page_size = 2, timeout_ms = 100 }))
      world:rule { opcode = "EXECUTE", answer = "nothing", times = 1 }
      local count = 0
      local ok, err = pcall(function() for _ in rows:each() do count = count + 1 end end)
      assert.is_false(ok)
      assert.same({ "TIMEOUT", 2 }, { err.name, count })
      assert.equal(6, #assert(session:execute(SELECT, { 1 })))
    end)
  end)

  it("are none of what has no rows", function()
    within(nil, function(_, session)
      for _ in assert(session:execute(INSERT, { 1, "x" }, { page_size = 1 })):each() do
        error "a row"
      end
    end)
  end)
end)

describe("conditions", function()
  it("hold for a batch, which says whether it was applied", function()
    within(nil, function(_, session)
      local function batch()
        return session:batch()
          :add("INSERT INTO t (id, at, v) VALUES (1, 1, ?) IF NOT EXISTS", { "first" })
          :add("INSERT INTO t (id, at, v) VALUES (1, 2, ?)", { "second" })
      end
      assert.is_true(assert(session:execute(batch())).applied)
      local again = assert(session:execute(batch()))
      assert.is_false(again.applied)
      assert.equal("first", again[1].v)
    end)
  end)

  it("are seen by a read of serial consistency", function()
    within(nil, function(world, session)
      assert(session:execute("INSERT INTO t (id, at) VALUES (1, 1) IF NOT EXISTS"))
      for _, consistency in ipairs { "serial", "local_serial" } do
        assert.equal(1, #assert(session:execute(SELECT, { 1 }, { consistency = consistency })))
        local asked = world:asked { opcode = "EXECUTE" }
        assert.equal(consistency, asked[#asked].consistency)
      end
    end)
  end)
end)

describe("a batch", function()
  it("writes to several tables, and in several keyspaces", function()
    within(nil, function(_, session)
      local batch = session:batch()
        :add("INSERT INTO t (id, at, v) VALUES (1, ?, 'here')", { 1 })
        :add "INSERT INTO two.t (id, at, v) VALUES (1, 2, 'there')"
      assert(session:execute(batch))
      assert.equal("here", assert(session:execute "SELECT v FROM one.t")[1].v)
      assert.equal("there", assert(session:execute "SELECT v FROM two.t")[1].v)
    end)
  end)

  it("is refused as a whole where the values of one statement don't fit it", function()
    within(nil, function(world, session)
      local before = world:counters().batches
      for _, case in ipairs {
        { { 2, "b", "c" }, "has 2 markers, and 3 values" }, { { "two", "b" }, "int takes" },
        { { at = 2, w = 1 }, "unknown marker" },
      } do
        local batch = session:batch():add(INSERT, { 1, "a" }):add(INSERT, case[1])
        local ok, rows, err = pcall(session.execute, session, batch)
        local why = ok and (assert(not rows) and nil or err.message) or rows
        assert.matches(case[2], tostring(why))
      end
      assert.equal(before, world:counters().batches)
      assert.equal(0, #assert(session:execute "SELECT v FROM t"))
    end)
  end)
end)

describe("a user type", function()
  for version = 3, 5 do
    it("that gets a field is read with it and written without it, on v" .. version, function()
      within({ protocol_max = version }, function(_, session)
        assert(session:execute "CREATE TYPE place (street text, zip int)")
        assert(session:execute "CREATE TABLE homes (id int PRIMARY KEY, at frozen<place>)")
        local insert = assert(session:prepare "INSERT INTO homes (id, at) VALUES (?, ?)")
        local select = assert(session:prepare "SELECT at FROM homes WHERE id = ?")
        local home = { street = "Lane", zip = 7 }
        assert(session:execute(insert, { 1, home }))
        assert.same(home, assert(session:execute(select, { 1 }))[1].at)
        assert(session:execute "ALTER TYPE place ADD city text")
        assert(session:execute(insert, { 2, home })) -- as it was prepared
        for id = 1, 2 do assert.same(home, assert(session:execute(select, { id }))[1].at) end
        assert(session:execute "INSERT INTO homes (id, at) VALUES (3, {city: 'Rome'})")
        assert.same({ city = "Rome" }, assert(session:execute(select, { 3 }))[1].at)
      end)
    end)
  end
end)

describe("a text that was prepared", function()
  it("is another in another keyspace", function()
    within(nil, function(_, session)
      assert(session:execute(INSERT, { 1, "in one" }))
      assert.equal("in one", assert(session:execute(SELECT, { 1 }))[1].v)
      assert(session:use "two")
      assert.equal(0, #assert(session:execute(SELECT, { 1 })))
      assert(session:execute(INSERT, { 1, "in two" }))
      assert.equal("in two", assert(session:execute(SELECT, { 1 }))[1].v)
      assert(session:use "one")
      assert.equal("in one", assert(session:execute(SELECT, { 1 }))[1].v)
    end)
  end)

  it("is another in the keyspace of one call", function()
    within(nil, function(_, session)
      assert(session:execute(INSERT, { 1, "in one" }))
      assert(session:execute(INSERT, { 1, "in two" }, { keyspace = "two" }))
      assert.equal("in one", assert(session:execute(SELECT, { 1 }))[1].v)
      assert.equal("in two", assert(session:execute(SELECT, { 1 }, { keyspace = "two" }))[1].v)
    end)
  end)

  it("is remembered as one of a thousand, and stays while it is used", function()
    within(nil, function(_, session)
      local function is_prepared_by(number) -- otherwise the session knows it
        local before = session:metrics().requests
        assert(session:execute("SELECT v FROM t WHERE id = ? LIMIT " .. number, { 1 }))
        return session:metrics().requests - before == 2
      end
      for number = 1, 1000 do assert.is_true(is_prepared_by(number)) end
      assert.is_false(is_prepared_by(1000))
      for number = 1001, 2500 do
        assert.is_true(is_prepared_by(number))
        assert.is_false(is_prepared_by(1000))
      end
      assert.is_true(is_prepared_by(500))
    end)
  end)

  it("may be one of more than are remembered, in one batch", function()
    within(nil, function(_, session)
      local batch = session:batch "unlogged"
      for at = 1, 1100 do
        batch:add(("INSERT INTO t (id, at, v) VALUES (1, %d, ?)"):format(at), { "v" })
      end
      assert(session:execute(batch))
      assert(session:submit(batch):wait())
      assert.equal(1100, assert(session:execute "SELECT count(*) AS n FROM t")[1].n)
    end)
  end)

  it("is prepared again when a node forgets it amid a batch", function()
    within(nil, function(world, session)
      fill(session, 1)
      world:node(1):forget()
      local batch = session:batch()
      for at = 2, 4 do batch:add(INSERT, { at, "v" }) end
      assert(session:execute(batch))
      assert.equal(4, #assert(session:execute(SELECT, { 1 })))
      assert.equal(1, world:counters().unprepared)
    end)
  end)
end)

describe("beside an answer", function()
  local READ = "SELECT v FROM t WHERE id = 1"

  it("come warnings and a payload, beside an error too", function()
    within(nil, function(world, session)
      local rule = world:rule { text = READ, warning = "slow", payload = "who=me" }
      local execution = assert(session:execute(READ)).execution
      assert.same({ { "slow" }, { who = "me" } }, { execution.warnings, execution.payload })
      rule:remove()
      world:rule { text = READ, error = "OVERLOADED", warning = "hot", payload = "who=you" }
      local rows, err = session:execute(READ)
      assert.is_nil(rows)
      assert.equal("OVERLOADED", err.name)
      assert.same({ { "hot" }, { who = "you" } },
        { err.execution.warnings, err.execution.payload })
    end)
  end)
end)

describe("two sessions", function()
  it("count apart", function()
    within(nil, function(world, session)
      local other = assert(world:connect())
      local before, theirs = session:metrics().requests, other:metrics().requests
      fill(session, 5)
      assert.equal(theirs, other:metrics().requests)
      assert.equal(before + 6, session:metrics().requests) -- and one to prepare
      other:close()
    end)
  end)
end)
