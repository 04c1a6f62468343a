-- The session's methods on a real Cassandra: statements in every form, paging, futures, batches,
-- events, errors, and who may call what from where.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"

local KEYSPACE = "session_spec"

cassandra.describe("a session", function(server)
  local session

  local function run(...) return assert(session:execute(...)) end

  setup(function()
    session = assert(cql.connect(server:options { consistency = "one" }))
    run("DROP KEYSPACE IF EXISTS " .. KEYSPACE)
    run("CREATE KEYSPACE " .. KEYSPACE
      .. " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    assert(session:use(KEYSPACE))
    run "CREATE TABLE items (id int PRIMARY KEY, name text, price bigint)"
    run "CREATE TABLE events (day int, at int, what text, PRIMARY KEY (day, at))"
    run "CREATE TABLE counts (id int PRIMARY KEY, n counter)"
    for at = 1, 95 do
      run("INSERT INTO events (day, at, what) VALUES (1, ?, ?)", { at, "event " .. at })
    end
  end)
  before_each(function() run "TRUNCATE items" end)
  teardown(function()
    run("DROP KEYSPACE " .. KEYSPACE)
    assert(session:close())
  end)

  describe("executes", function()
    it("text, text with values by position and by name, and prepared statements", function()
      run "INSERT INTO items (id, name) VALUES (1, 'one')"
      run("INSERT INTO items (id, name) VALUES (?, ?)", { 2, "two" })
      run("INSERT INTO items (id, name) VALUES (:id, :name)", { id = 3, name = "three" })
      local insert = assert(session:prepare "INSERT INTO items (id, name) VALUES (?, ?)")
      run(insert, { 4, "four" })
      run(insert, { id = 5, name = "five" })
      for id, name in ipairs { "one", "two", "three", "four", "five" } do
        assert.same({ { name = name } }, run("SELECT name FROM items WHERE id = ?", { id }))
      end
    end)

    it("text with values by preparing it once", function()
      local before = session:metrics().requests
      for id = 1, 10 do run("INSERT INTO items (id) VALUES (?)", { id }) end
      assert.equal(before + 11, session:metrics().requests)
    end)

    it("what leaves a column alone, and what writes a null", function()
      run("INSERT INTO items (id, name, price) VALUES (?, ?, ?)", { 1, "cup", 5 })
      run("INSERT INTO items (id, name, price) VALUES (?, ?, ?)", { 1, nil, 6 })
      assert.same({ id = 1, name = "cup", price = 6 }, run("SELECT * FROM items")[1])
      run("UPDATE items SET name = :name, price = :price WHERE id = :id",
        { id = 1, name = cql.null, price = cql.unset })
      assert.same({ id = 1, price = 6 }, run("SELECT * FROM items")[1])
    end)

    it("batches of text and prepared statements", function()
      local insert = assert(session:prepare "INSERT INTO items (id, name) VALUES (?, ?)")
      for i, kind in ipairs { "logged", "unlogged" } do
        local batch = session:batch(kind)
        batch:add(insert, { i * 10, "prepared" })
        batch:add("INSERT INTO items (id, name) VALUES (?, ?)", { i * 10 + 1, "with values" })
        batch:add(("INSERT INTO items (id, name) VALUES (%d, 'text')"):format(i * 10 + 2))
        assert.equal(0, #run(batch))
      end
      local names = {}
      for row in run("SELECT id, name FROM items"):each() do names[row.id] = row.name end
      assert.same({
        [10] = "prepared", [11] = "with values", [12] = "text",
        [20] = "prepared", [21] = "with values", [22] = "text",
      }, names)
    end)

    it("batches of counters", function()
      local batch = session:batch "counter"
      for _ = 1, 3 do batch:add("UPDATE counts SET n = n + ? WHERE id = ?", { 2, 1 }) end
      run(batch)
      assert.equal(6, run("SELECT n FROM counts WHERE id = 1")[1].n)
    end)

    it("conditional statements, and says whether they were applied", function()
      local insert = "INSERT INTO items (id, name) VALUES (?, ?) IF NOT EXISTS"
      assert.is_true(run(insert, { 1, "cup" }).applied)
      local second = run(insert, { 1, "mug" })
      assert.is_false(second.applied)
      assert.equal("cup", second[1].name)
      assert.is_nil(run("SELECT * FROM items").applied)
    end)

    it("DDL, and says what changed", function()
      local change = run("CREATE TABLE changing (id int PRIMARY KEY)").schema_change
      assert.same({ change = "CREATED", target = "TABLE", keyspace = KEYSPACE, name = "changing" },
        change)
      run "DROP TABLE changing"
    end)

    it("with the execution said: node, consistency, attempts, tracing, warnings", function()
      local execution = run("SELECT * FROM items", nil, { consistency = "quorum", tracing = true })
        .execution
      assert.matches(server.contact_points .. ":" .. server.port, execution.node, 1, true)
      assert.equal("quorum", execution.consistency)
      assert.equal(1, execution.attempts)
      assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", execution.tracing_id)
      local written = run("INSERT INTO items (id) VALUES (9)").execution
      assert.equal("one", written.consistency)
      assert.equal(execution.node, written.node)
      local warned = run "SELECT count(*) FROM items"
      assert.matches("Aggregation", warned.execution.warnings[1])
    end)

    it("with a timestamp that wins or loses", function()
      run("INSERT INTO items (id, name) VALUES (?, ?)", { 1, "late" }, { timestamp = 2000000LL })
      run("INSERT INTO items (id, name) VALUES (?, ?)", { 1, "early" }, { timestamp = 1000000 })
      local row = run("SELECT name, writetime(name) AS at FROM items WHERE id = 1")[1]
      assert.same({ name = "late", at = 2000000 }, row)
    end)

    it("rows as arrays, plain rows, and integers as told", function()
      run("INSERT INTO items (id, name, price) VALUES (1, 'x', 9007199254740993)")
      local select = "SELECT id, price FROM items"
      assert.same({ 1, 9007199254740993LL, n = 2 }, run(select, nil, { array = true })[1])
      assert.equal("9007199254740993", run(select, nil, { int64 = "string" })[1].price)
      assert.same({ id = 1, price = "9007199254740993" }, run(select, nil, { plain = true })[1])
    end)
  end)

  describe("pages", function()
    local SELECT = "SELECT at, what FROM events WHERE day = ?"

    it("as one iteration, whatever their size, with prefetching or without", function()
      for _, options in ipairs {
        { page_size = 1 }, { page_size = 10 }, { page_size = 95 }, { page_size = 0 },
        { page_size = 10, prefetch = true }, { page_size = 10, view = true },
        { page_size = 95, view = true, prefetch = true },
      } do
        local count = 0
        for row in run(SELECT, { 1 }, options):each() do
          count = count + 1
          assert.equal(count, row.at)
          assert.equal("event " .. count, row.what)
        end
        assert.equal(95, count)
      end
    end)

    it("of text that was not prepared", function()
      local count = 0
      for row in run("SELECT at FROM events WHERE day = 1", nil, { page_size = 7 }):each() do
        count = count + 1
        assert.equal(count, row.at)
      end
      assert.equal(95, count)
    end)

    it("by hand, with a state that can be kept", function()
      local rows = run(SELECT, { 1 }, { page_size = 40 })
      local sizes, first = { #rows }, { rows[1].at }
      while rows.paging_state do
        rows = run(SELECT, { 1 }, { page_size = 40, paging_state = rows.paging_state })
        sizes[#sizes + 1], first[#first + 1] = #rows, rows[1].at
      end
      assert.same({ 40, 40, 15 }, sizes)
      assert.same({ 1, 41, 81 }, first)
    end)

    it("and refuses a state of other values, of another statement, and what is none", function()
      local state = run(SELECT, { 1 }, { page_size = 40 }).paging_state
      for _, case in ipairs {
        { SELECT, { 2 }, state, "another statement or to other values" },
        { SELECT .. " ", { 1 }, state, "another statement or to other values" },
        { SELECT, { 1 }, "x" .. state, "no paging state" },
        { SELECT, { 1 }, "\1\3" .. state:sub(3), "of protocol v3" },
      } do
        local rows, err = session:execute(case[1], case[2], { paging_state = case[3] })
        assert.is_nil(rows)
        assert.equal("PAGING_STATE", err.name)
        assert.matches(case[4], err.message, 1, true)
      end
    end)

    it("raises the error of a page that can't be had", function()
      run "CREATE TABLE dropped (id int, at int, PRIMARY KEY (id, at))"
      for at = 1, 20 do run("INSERT INTO dropped (id, at) VALUES (1, ?)", { at }) end
      local rows = run("SELECT at FROM dropped WHERE id = 1", nil, { page_size = 10 })
      run "DROP TABLE dropped"
      local count = 0
      local ok, err = pcall(function() for _ in rows:each() do count = count + 1 end end)
      assert.is_false(ok)
      assert.is_true(cql.is_error(err))
      assert.equal("INVALID", err.name)
      assert.equal(10, count)
    end)
  end)

  describe("a view", function()
    it("reads in place, gives bytes, and refuses to be read when it is closed", function()
      local rows = run("SELECT at, what FROM events WHERE day = 1", nil, { view = true })
      local ffi, kept = require "ffi", nil
      for row in rows:each() do
        local bytes, length = rows:slice "what"
        assert.equal(row.what, ffi.string(bytes, length))
        kept = row
        if row.at == 5 then break end
      end
      rows:close()
      assert.is_false(pcall(function() return kept.what end))
      assert.is_false(pcall(function() for _ in rows:each() do error "a row" end end))
    end)
  end)

  describe("submits", function()
    it("without waiting: futures, whose values come in any order", function()
      local insert = assert(session:prepare "INSERT INTO items (id, price) VALUES (?, ?)")
      local futures = {}
      for id = 1, 500 do futures[id] = session:submit(insert, { id, id * 2 }) end
      assert(cql.wait_all(futures))
      for id = 500, 1, -1 do
        futures[id] = session:submit("SELECT price FROM items WHERE id = ?", { id })
      end
      for id = 1, 500 do assert.equal(id * 2, assert(futures[id]:wait())[1].price) end
      assert.is_true(futures[1]:is_done())
    end)

    it("what must be prepared first, many at once, in a batch too", function()
      local futures = {}
      for id = 1, 50 do
        local insert = "INSERT INTO items (id, name) VALUES (?, 'new')"
        futures[id] = session:submit(insert, { id })
      end
      local batch = session:batch():add("INSERT INTO items (id, name) VALUES (?, 'b')", { 51 })
      futures[51] = session:submit(batch)
      assert(cql.wait_all(futures))
      assert.equal(51, run("SELECT count(*) AS n FROM items")[1].n)
    end)

    it("a batch of more texts than a session remembers", function()
      local batch = session:batch "unlogged"
      for id = 1, 1100 do batch:add("UPDATE items SET price=? WHERE id=" .. id, { id }) end
      assert(session:submit(batch):wait())
      assert.equal(1100 * 1101 / 2, tonumber(run("SELECT sum(price) AS n FROM items")[1].n))
    end)

    it("text that is not prepared yet, and waits where no other coroutine can run", function()
      cql.run(function()
        local future = session:submit("INSERT INTO items (id) VALUES (?) /* once */", { 1 })
        coroutine.wrap(function() assert(future:wait()) end)()
      end)
      assert.equal(1, #run "SELECT id FROM items")
    end)

    it("and raises what is a mistake where it was made", function()
      local batch = session:batch():add("INSERT INTO items (id) VALUES (?) /* mine */", { 1 })
      for _, call in ipairs {
        function() session:submit(batch, { 1 }) end,
        function() session:submit("SELECT * FROM items", 1) end,
      } do
        local ok, why = pcall(call)
        assert.is_false(ok)
        assert.matches("^spec/live/session_spec.lua:%d+: ", why)
      end
    end)

    it("and gives errors when they are asked for", function()
      local future = session:submit("SELECT nothing FROM nowhere WHERE x = ?", { 1 })
      local rows, err = future:wait()
      assert.is_nil(rows)
      assert.equal("INVALID", err.name)
      local all, first = cql.wait_all { session:submit "SELECT * FROM items", future }
      assert.is_nil(all)
      assert.equal(err, first)
    end)

    it("and cancels, before it is sent and after", function()
      local prepared = assert(session:prepare "SELECT * FROM items WHERE id = ?")
      local sent = session:submit(prepared, { 1 })
      local unsent = session:submit("SELECT * FROM items WHERE id = ? /* not prepared */", { 1 })
      assert.is_true(sent:cancel())
      assert.is_true(unsent:cancel())
      for _, future in ipairs { sent, unsent } do
        local rows, err = future:wait()
        assert.is_nil(rows)
        assert.equal("CANCELLED", err.name)
        assert.is_false(future:cancel())
      end
      assert(session:execute(prepared, { 1 }))
    end)
  end)

  describe("in coroutines", function()
    it("lets them run while one waits: thousands of requests are under way", function()
      local insert = assert(session:prepare "INSERT INTO items (id, price) VALUES (?, ?)")
      local most
      cql.run(function()
        for id = 1, 2000 do cql.spawn(function() run(insert, { id, id }) end) end
        cql.spawn(function() most = session:metrics().in_flight end)
      end)
      assert.equal(2000, run("SELECT count(*) AS n FROM items")[1].n)
      assert.equal(2000, most)
    end)

    it("prepares a text once, however many ask for it at once", function()
      local before = session:metrics().requests
      cql.run(function()
        for id = 1, 100 do
          cql.spawn(function() run("SELECT name, id FROM items WHERE id = ?", { id }) end)
        end
      end)
      assert.equal(before + 101, session:metrics().requests)
    end)

    it("waits for room where as many requests are under way as may be", function()
      local small = assert(cql.connect(server:options { requests_max = 4 }))
      local count = 0
      cql.run(function()
        for _ = 1, 50 do
          cql.spawn(function()
            assert(small:execute "SELECT key FROM system.local")
            count = count + 1
          end)
        end
      end)
      assert.equal(50, count)
      local futures = {}
      for i = 1, 20 do futures[i] = small:submit "SELECT key FROM system.local" end
      assert(cql.wait_all(futures))
      assert(small:close())
    end)

    it("gets the room that another didn't use after all", function()
      local small = assert(cql.connect(server:options { requests_max = 1, keyspace = KEYSPACE }))
      local by_id = assert(small:prepare "SELECT * FROM items WHERE id = ?")
      local failures = 0
      cql.run(function()
        for i = 1, 9 do
          cql.spawn(function()
            local _, failure = small:execute(by_id, { i % 3 == 0 and i or "no number" })
            if failure and failure.name == "VALUE" then failures = failures + 1 end
          end)
        end
      end)
      assert.equal(6, failures)
      assert(small:close())
    end)

    it("that are not the driver's own, blocks and answers rightly", function()
      local names = {}
      local step = coroutine.wrap(function()
        for id = 1, 3 do
          run("INSERT INTO items (id, name) VALUES (?, ?)", { id, "n" .. id })
          coroutine.yield(run("SELECT name FROM items WHERE id = ?", { id })[1].name)
        end
      end)
      cql.run(function() for id = 1, 3 do names[id] = step() end end)
      assert.same({ "n1", "n2", "n3" }, names)
    end)

    it("with several sessions at once", function()
      local other = assert(cql.connect(server:options {
        keyspace = KEYSPACE, protocol_version = 4,
      }))
      cql.run(function()
        for id = 1, 100 do
          cql.spawn(function()
            run("INSERT INTO items (id, name) VALUES (?, 'x')", { id })
            assert.equal("x", assert(other:execute("SELECT name FROM items WHERE id = ?",
              { id }))[1].name)
          end)
        end
      end)
      assert(other:close())
    end)
  end)

  describe("tells of", function()
    it("its events, to handlers that may execute", function()
      local told, key = {}, nil
      local other
      other = assert(cql.connect(server:options {
        on = {
          ready = function(event) told[#told + 1] = event.name end,
          connection_opened = function(event)
            told[#told + 1] = event.name .. " " .. event.address
            cql.sleep(1)
            key = assert(other:execute "SELECT key FROM system.local")[1].key
          end,
          closed = function(event) told[#told + 1] = event.name end,
        },
      }))
      cql.sleep(50)
      assert.equal("local", key)
      assert(other:close())
      cql.sleep(1)
      local address = ("%s:%d"):format(server.contact_points, server.port)
      table.sort(told)
      assert.same({ "closed", "connection_opened " .. address, "ready" }, told)
    end)

    it("an error in a handler, and goes on", function()
      local report, reported = require("cql.host").report, nil
      require("cql.host").report = function(_, text) reported = text end
      local other = assert(cql.connect(server:options {
        on = { ready = function() error "in a handler" end },
      }))
      assert(other:execute "SELECT key FROM system.local")
      require("cql.host").report = report
      assert.matches("in a handler", reported)
      assert(other:close())
    end)
  end)

  describe("fails with", function()
    it("the server's error and its fields", function()
      local rows, err = session:execute "SELEC"
      assert.is_nil(rows)
      assert.same({ "server", "SYNTAX_ERROR", 0x2000 }, { err.kind, err.name, err.code })
      assert.matches("^SYNTAX_ERROR %(0x2000%): line 1", tostring(err))
      assert.equal("x" .. tostring(err), "x" .. err)
      assert.matches(server.contact_points, err.execution.node, 1, true)
      rows, err = session:execute "CREATE TABLE items (id int PRIMARY KEY)"
      assert.is_nil(rows)
      assert.same({ "ALREADY_EXISTS", KEYSPACE, "items" }, { err.name, err.keyspace, err.table })
      rows, err = session:execute("SELECT * FROM items", nil, { consistency = "three" })
      assert.is_nil(rows)
      assert.same({ "UNAVAILABLE", "three", 3, 1 },
        { err.name, err.consistency, err.required, err.received })
    end)

    it("a value that doesn't fit, said by name", function()
      local insert = "INSERT INTO items (id, name) VALUES (?, ?)"
      for _, case in ipairs {
        { { "x", "y" }, "id: int takes" }, { { 1.5, "y" }, "id: int takes" },
        { { 1, 2 }, "name: " }, { { nil, "y" }, "id" }, { { 1, "y", 3 }, "3 values" },
        { { id = 1, nme = "y" }, "nme" },
      } do
        local rows, err = session:execute(insert, case[1])
        assert.is_nil(rows)
        assert.equal("VALUE", err.name)
        assert.matches(case[2], err.message, 1, true)
      end
    end)

    it("a misuse, raised where it was called", function()
      local function raised(...)
        local ok, message = pcall(...)
        assert.is_false(ok)
        return message
      end
      local here = "session_spec.lua"
      assert.matches(here .. ":%d+: a statement is text", raised(function()
        return (session:execute(42))
      end))
      assert.matches(here .. ":%d+: values are a table", raised(function()
        return (session:execute("X", 1))
      end))
      assert.matches(here .. ':%d+: unknown option "consistancy"', raised(function()
        return (session:execute("X", nil, { consistancy = "one" }))
      end))
      assert.matches(here .. ":%d+: this batch is empty", raised(function()
        return (session:submit(session:batch()))
      end))
    end)

    it("CLOSED when it was closed", function()
      local other = assert(cql.connect(server:options()))
      local prepared = assert(other:prepare "SELECT key FROM system.local WHERE key = ?")
      local future = other:submit(prepared, { "local" })
      assert(other:close())
      assert.is_truthy(future:wait()) -- what was under way ended first
      assert.is_true(other:close())
      for _, call in ipairs {
        function() return other:execute(prepared, { "local" }) end,
        function() return other:prepare "X" end,
        function() return other:submit "X":wait() end,
        function() return other:use "ks" end,
      } do
        local value, err = call()
        assert.is_nil(value)
        assert.equal("CLOSED", err.name)
      end
      assert.matches("closed", other:dump())
    end)

    it("TIMEOUT, and the answer that comes later goes to nobody", function()
      local slow = assert(cql.connect(server:options()))
      server:pause()
      local rows, err = slow:execute("SELECT key FROM system.local", nil, { timeout_ms = 50 })
      server:resume()
      assert.is_nil(rows)
      assert.equal("TIMEOUT", err.name)
      assert.matches(server.contact_points, err.execution.node, 1, true)
      for _ = 1, 10 do
        assert.equal("local", assert(slow:execute "SELECT key FROM system.local")[1].key)
      end
      assert(slow:close())
    end)

    it("KEYSPACE or the server's reason where a keyspace doesn't exist", function()
      local used, err = session:use "no_such_keyspace"
      assert.is_nil(used)
      assert.equal("INVALID", err.name)
      run "SELECT * FROM items" -- still in the old one
      local connected
      connected, err = cql.connect(server:options { keyspace = "no_such_keyspace" })
      assert.is_nil(connected)
      assert.equal("KEYSPACE", err.name)
    end)
  end)
end)

describe("a session that reaches nobody", function()
  it("says which address failed, and why", function()
    local session, err = cql.connect { contact_points = "127.0.0.1:1", connect_retry = false }
    assert.is_nil(session)
    assert.equal("driver", err.kind)
    assert.matches("refused", err.message)
  end)

  it("gives up at the connect timeout, if it may try again", function()
    local session, err = cql.connect { contact_points = "127.0.0.1:1", connect_timeout_ms = 200 }
    assert.is_nil(session)
    assert.equal("NO_HOST", err.name)
    assert.matches("127.0.0.1:1: .*refused", err.message)
  end)
end)
