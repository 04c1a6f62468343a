-- The store: schema, rows, and what statements do to them.
local ffi = require "ffi"
local unit = require "spec.support.unit"
local store = require "spec.support.store"

local C = unit.C
local SIMPLE = "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}"

local db
before_each(function()
  db = store.new()
  db:run("CREATE KEYSPACE k " .. SIMPLE)
  db.keyspace = "k"
  db:run "CREATE TABLE t (id int PRIMARY KEY, v text, n int)"
  db:run [[CREATE TABLE c (p int, c int, d text, v int, PRIMARY KEY (p, c, d))
    WITH CLUSTERING ORDER BY (c DESC, d ASC)]]
end)

-- One column of each row.
local function column(name, ...)
  local out = {}
  for i, row in ipairs(db:rows(...)) do out[i] = row[name] end
  return out
end

local function int(n) return unit.u32(n) end
local function bigint(n) return unit.u32(math.floor(n / 2 ^ 32)) .. unit.u32(n % 2 ^ 32) end

describe("a table", function()
  it("has its columns in Cassandra's order", function()
    db:run "CREATE TABLE o (z int, b int, y text, a int static, x int, PRIMARY KEY ((z), y))"
    local names = {}
    for i, c in ipairs(db:run("SELECT * FROM o").columns) do names[i] = c.name end
    assert.same({ "z", "y", "a", "b", "x" }, names)
  end)

  it("keeps what is inserted", function()
    assert.equal("void", db:run("INSERT INTO t (id, v, n) VALUES (1, 'a', 5)").kind)
    db:run("INSERT INTO t (id, v) VALUES (2, null)")
    assert.same({ { id = 1, v = "a", n = 5 } }, db:rows "SELECT * FROM t WHERE id = 1")
    assert.same({ { id = 2 } }, db:rows "SELECT * FROM t WHERE id = 2")
    assert.same({}, db:rows "SELECT * FROM t WHERE id = 3")
  end)

  it("is read in the order of the ring", function()
    for i = 1, 6 do db:run(("INSERT INTO t (id) VALUES (%d)"):format(i)) end
    assert.same({ 5, 1, 2, 4, 6, 3 }, column("id", "SELECT id FROM t")) -- as Cassandra has it
    local tokens = column("system.token(id)", "SELECT token(id) FROM t")
    assert.equal(-7509452495886106294LL, tokens[1])
    for i = 2, 6 do assert.is_true(tokens[i - 1] < tokens[i]) end
    assert.same({ 2, 4, 6, 3 }, column("id", "SELECT id FROM t WHERE token(id) > ?",
      { unit.unhex(bit.tohex(tonumber(bit.rshift(tokens[2], 32))) ..
        bit.tohex(tonumber(bit.band(tokens[2], 0xffffffffLL)))) }))
    assert.same({ 1, 3, 5, 6 }, column("id", "SELECT id FROM t WHERE id IN (3, 1, 5, 6, 1)"))
  end)

  it("is ordered by its clustering key within a partition", function()
    for _, row in ipairs { { 1, "a" }, { 3, "b" }, { 3, "a" }, { 2, "x" } } do
      db:run(("INSERT INTO c (p, c, d, v) VALUES (1, %d, '%s', 0)"):format(row[1], row[2]))
    end
    local function order(rest)
      local out = {}
      for i, row in ipairs(db:rows("SELECT c, d FROM c WHERE p = 1" .. rest)) do
        out[i] = row.c .. row.d
      end
      return table.concat(out, " ")
    end
    assert.equal("3a 3b 2x 1a", order "")
    assert.equal("1a 2x 3b 3a", order " ORDER BY c ASC, d DESC")
    assert.equal("3a 3b", order " AND c = 3")
    assert.equal("3b 3a", order " AND c = 3 ORDER BY d DESC")
    assert.equal("3b", order " AND c = 3 AND d > 'a'")
    assert.equal("2x 1a", order " AND c < 3")
    assert.equal("2x", order " AND c >= 2 AND c < 3")
    assert.equal("3a 3b 1a", order " AND c IN (1, 3)")
    assert.equal("3a 3b", order " LIMIT 2")
    assert.equal("1a 2x", order " ORDER BY c ASC LIMIT 2")
    assert.equal("", order " AND c = 7")
  end)

  it("has static columns", function()
    db:run "CREATE TABLE s (p int, c int, s int static, v int, PRIMARY KEY (p, c))"
    db:run "INSERT INTO s (p, s) VALUES (1, 7)"
    assert.same({ { p = 1, s = 7 } }, db:rows "SELECT * FROM s")
    assert.same({}, db:rows "SELECT * FROM s WHERE p = 1 AND c = 1")
    db:run "INSERT INTO s (p, c, v) VALUES (1, 1, 10)"
    db:run "UPDATE s SET s = 8, v = 20 WHERE p = 1 AND c = 2"
    assert.same({ { p = 1, c = 1, s = 8, v = 10 }, { p = 1, c = 2, s = 8, v = 20 } },
      db:rows "SELECT * FROM s")
    assert.same({ { p = 1, s = 8 } }, db:rows "SELECT DISTINCT p, s FROM s")
    db:run "DELETE s FROM s WHERE p = 1"
    assert.same({ 10, 20 }, column("v", "SELECT s, v FROM s WHERE p = 1"))
    assert.same({}, column("s", "SELECT s, v FROM s WHERE p = 1"))
  end)

  it("counts and filters", function()
    for i = 1, 5 do db:run(("INSERT INTO t (id, v, n) VALUES (%d, 'x', %d)"):format(i, i % 2)) end
    db:run "INSERT INTO t (id) VALUES (9)"
    assert.same({ { count = 6LL } }, db:rows "SELECT count(*) FROM t")
    assert.same({ { ["system.count(v)"] = 5LL, id = 5 } }, db:rows "SELECT count(v), id FROM t")
    assert.same({ { c = 0LL } }, db:rows "SELECT count(*) AS c FROM t WHERE id = 77")
    assert.same({ 5, 1, 3 }, column("id", "SELECT id FROM t WHERE n = 1 ALLOW FILTERING"))
    assert.same({ 2, 4 }, column("id", "SELECT id FROM t WHERE n = 0 AND v = 'x' ALLOW FILTERING"))
    db:run "CREATE INDEX ON t (n)"
    assert.same({ 2, 4 }, column("id", "SELECT id FROM t WHERE n = 0"))
  end)
end)

describe("time", function()
  it("decides which write is seen, whatever the order", function()
    db:run("INSERT INTO t (id, v) VALUES (1, 'new')", nil, { timestamp = 200LL })
    db:run("INSERT INTO t (id, v, n) VALUES (1, 'old', 5)", nil, { timestamp = 100LL })
    assert.same({ { id = 1, v = "new", n = 5 } }, db:rows "SELECT * FROM t")
    db:run("UPDATE t USING TIMESTAMP 150 SET v = 'between' WHERE id = 1", nil,
      { timestamp = 900LL })
    assert.same({ "new" }, column("v", "SELECT v FROM t"))
    assert.same({ 200LL }, column("writetime(v)", "SELECT writetime(v) FROM t"))
  end)

  it("lets a deletion win over what is older and as old", function()
    db:run("INSERT INTO t (id, v) VALUES (1, 'a')", nil, { timestamp = 100LL })
    db:run("DELETE FROM t WHERE id = 1", nil, { timestamp = 100LL })
    assert.same({}, db:rows "SELECT * FROM t")
    db:run("INSERT INTO t (id, v) VALUES (1, 'late')", nil, { timestamp = 99LL })
    assert.same({}, db:rows "SELECT * FROM t")
    db:run("INSERT INTO t (id, v) VALUES (1, 'b')", nil, { timestamp = 101LL })
    assert.same({ "b" }, column("v", "SELECT v FROM t"))
    db:run("DELETE v FROM t WHERE id = 1", nil, { timestamp = 50LL })
    assert.same({ "b" }, column("v", "SELECT v FROM t"))
  end)

  it("takes the greater value of two of one time", function()
    for _, v in ipairs { "b", "c", "a" } do
      db:run(("INSERT INTO t (id, v) VALUES (1, '%s')"):format(v), nil, { timestamp = 5LL })
    end
    assert.same({ "c" }, column("v", "SELECT v FROM t"))
  end)

  it("is the node's where nobody gives one", function()
    db:run "INSERT INTO t (id, v) VALUES (1, 'a')"
    assert.same({ db.now_us }, column("writetime(v)", "SELECT writetime(v) FROM t"))
  end)

  it("ends what has a TTL", function()
    local start = db.now_us
    db:run "INSERT INTO t (id, v) VALUES (1, 'a') USING TTL 10"
    db:run "UPDATE t USING TTL 20 SET n = 3 WHERE id = 1"
    db.now_us = start + 4000000
    assert.same({ { ["ttl(v)"] = 6, ["ttl(n)"] = 16 } }, db:rows "SELECT ttl(v), ttl(n) FROM t")
    db.now_us = start + 10000000
    assert.same({ { id = 1, n = 3 } }, db:rows "SELECT * FROM t") -- kept by n alone
    db.now_us = start + 20000000
    assert.same({}, db:rows "SELECT * FROM t")
    assert.same({ { id = 1, n = 3 } }, db:rows("SELECT * FROM t", nil,
      { now_in_seconds = tonumber(start / 1000000) + 15 }))
  end)

  it("ends what a table's default says", function()
    db:run "CREATE TABLE d (id int PRIMARY KEY, v int) WITH default_time_to_live = 5"
    db:run "INSERT INTO d (id, v) VALUES (1, 1)"
    db:run "INSERT INTO d (id, v) VALUES (2, 2) USING TTL 0"
    db.now_us = db.now_us + 5000000
    assert.same({ 2 }, column("id", "SELECT id FROM d"))
  end)
end)

describe("a deletion", function()
  before_each(function()
    for c = 1, 3 do
      for _, d in ipairs { "a", "b" } do
        db:run(("INSERT INTO c (p, c, d, v) VALUES (1, %d, '%s', %d)"):format(c, d, c))
      end
    end
    db.now_us = db.now_us + 1
  end)

  local function left() return #db:rows "SELECT * FROM c" end

  it("takes a row, those that begin so, a range, or a partition", function()
    db:run "DELETE FROM c WHERE p = 1 AND c = 1 AND d = 'a'"
    assert.equal(5, left())
    db:run "DELETE FROM c WHERE p = 1 AND c = 2"
    assert.equal(3, left())
    db:run "DELETE FROM c WHERE p = 1 AND c > 1 AND c <= 5"
    assert.equal(1, left())
    db:run "DELETE FROM c WHERE p IN (1, 2)"
    assert.equal(0, left())
  end)

  it("takes a column, and leaves the row", function()
    db:run "DELETE v FROM c WHERE p = 1 AND c = 1 AND d IN ('a', 'b')"
    assert.same({ 3, 3, 2, 2 }, column("v", "SELECT v FROM c"))
    assert.equal(6, left())
  end)

  it("of all that an UPDATE wrote takes the row along", function()
    db:run "UPDATE t SET v = 'x' WHERE id = 1"
    db.now_us = db.now_us + 1
    db:run "UPDATE t SET v = null WHERE id = 1"
    assert.same({}, db:rows "SELECT * FROM t")
  end)

  it("empties a table", function()
    assert.equal("void", db:run("TRUNCATE c").kind)
    assert.equal(0, left())
    db:run("INSERT INTO c (p, c, d) VALUES (1, 1, 'a')", nil, { timestamp = 1LL })
    assert.equal(1, left()) -- nothing of before is left, no tombstone either
  end)
end)

describe("a collection", function()
  before_each(function()
    db:run [[CREATE TABLE m (id int PRIMARY KEY, l list<int>, s set<int>, m map<text, int>,
      f frozen<list<int>>)]]
  end)

  local function items(name)
    local bytes, out = column(name, "SELECT " .. name .. " FROM m")[1], {}
    if not bytes then return nil end
    local at = 5
    while at <= #bytes do
      local length = bytes:byte(at + 3)
      local item = bytes:sub(at + 4, at + 3 + length)
      out[#out + 1] = length == 4 and item:byte(4) or item
      at = at + 4 + length
    end
    return table.concat(out, " ")
  end

  it("grows at both ends, and shrinks", function()
    db:run "UPDATE m SET l = l + [2, 3] WHERE id = 1"
    db:run "UPDATE m SET l = [1] + l WHERE id = 1"
    db:run "UPDATE m SET l += [1] WHERE id = 1"
    assert.equal("1 2 3 1", items "l")
    db:run "UPDATE m SET l = l - [1, 7] WHERE id = 1"
    assert.equal("2 3", items "l")
    db:run "UPDATE m SET l[1] = 9 WHERE id = 1"
    assert.equal("2 9", items "l")
    db:run "DELETE l[0] FROM m WHERE id = 1"
    assert.equal("9", items "l")
    assert.equal("List index 5 out of bound, list has size 1",
      (db:fail "UPDATE m SET l[5] = 1 WHERE id = 1"))
    db:run "UPDATE m SET l = l - [9] WHERE id = 1"
    assert.is_nil(items "l")
  end)

  it("of a set or map is in order, and has each but once", function()
    db:run "INSERT INTO m (id, s, m) VALUES (1, {3, 1, 3}, {'b': 1, 'a': 2})"
    db:run "UPDATE m SET s = s + {2, 1}, m = m + {'a': 5, 'c': 6}, m['d'] = 7 WHERE id = 1"
    assert.equal("1 2 3", items "s")
    assert.equal("a 5 b 1 c 6 d 7", items "m")
    db:run "UPDATE m SET s = s - {1, 9}, m = m - {'a'} WHERE id = 1"
    db:run "DELETE m['c'], s[3] FROM m WHERE id = 1"
    assert.equal("2", items "s")
    assert.equal("b 1 d 7", items "m")
    assert.same({ 1 }, column("id", "SELECT id FROM m WHERE s CONTAINS 2 ALLOW FILTERING"))
    assert.same({}, column("id", "SELECT id FROM m WHERE m CONTAINS KEY 'a' ALLOW FILTERING"))
    assert.same({ 1 }, column("id", "SELECT id FROM m WHERE m['d'] = 7 ALLOW FILTERING"))
  end)

  it("that is bound is put in order, too", function()
    local bytes = int(3) .. unit.bytes(int(2)) .. unit.bytes(int(1)) .. unit.bytes(int(2))
    db:run("INSERT INTO m (id, s) VALUES (1, ?)", { bytes })
    assert.equal("1 2", items "s")
  end)

  it("that is empty is null, unless it is frozen", function()
    db:run "INSERT INTO m (id, l, s, f) VALUES (1, [], {}, [])"
    assert.is_nil(items "l")
    assert.is_nil(items "s")
    assert.equal("", items "f")
    assert.is_truthy(db:fail("UPDATE m SET f = f + [1] WHERE id = 1"):find "frozen")
  end)
end)

describe("a counter", function()
  before_each(function() db:run "CREATE TABLE n (id int PRIMARY KEY, a counter, b counter)" end)

  it("adds up, however late a write comes", function()
    db:run("UPDATE n SET a = a + 5, b = b - 2 WHERE id = 1", nil, { timestamp = 100LL })
    db:run("UPDATE n SET a = a + 1 WHERE id = 1", nil, { timestamp = 1LL })
    db:run("UPDATE n SET a -= ? WHERE id = 1", { bigint(10) })
    assert.same({ { id = 1, a = -4LL, b = -2LL } }, db:rows "SELECT * FROM n")
  end)

  it("is nothing else", function()
    for _, text in ipairs { "UPDATE n SET a = 5 WHERE id = 1",
      "INSERT INTO n (id, a) VALUES (1, 5)",
      "UPDATE n USING TTL 5 SET a = a + 1 WHERE id = 1", "UPDATE n SET a = a + null WHERE id = 1",
      "UPDATE n SET a = a + 1 WHERE id = 1 IF a = 0" } do
      db:fail(text)
    end
    assert.same({}, db:rows "SELECT * FROM n")
  end)
end)

describe("a condition", function()
  before_each(function() db:run "INSERT INTO t (id, v, n) VALUES (1, 'x', 5)" end)

  local function applied(...)
    local rows = db:rows(...)
    assert.equal(1, #rows)
    local ok = rows[1]["[applied]"]
    rows[1]["[applied]"] = nil
    return ok, rows[1]
  end

  it("is whether there is a row", function()
    assert.same({ false, { id = 1, v = "x", n = 5 } },
      { applied "INSERT INTO t (id, v) VALUES (1, 'y') IF NOT EXISTS" })
    assert.same({ true, {} }, { applied "INSERT INTO t (id, v) VALUES (2, 'y') IF NOT EXISTS" })
    assert.same({ false, {} }, { applied "UPDATE t SET v = 'z' WHERE id = 3 IF EXISTS" })
    assert.same({ true, {} }, { applied "UPDATE t SET v = 'z' WHERE id = 2 IF EXISTS" })
    assert.same({ true, {} }, { applied "DELETE FROM t WHERE id = 2 IF EXISTS" })
    assert.same({ "x" }, column("v", "SELECT v FROM t"))
  end)

  it("is about columns", function()
    assert.same({ false, { v = "x" } }, { applied "UPDATE t SET n = 6 WHERE id = 1 IF v = 'q'" })
    assert.same({ false, { v = "x", n = 5 } },
      { applied "UPDATE t SET n = 6 WHERE id = 1 IF v = 'x' AND n > 5" })
    assert.same({ false, {} }, { applied "UPDATE t SET n = 6 WHERE id = 9 IF v = 'q'" })
    for _, condition in ipairs { "v = 'x'", "v != 'y'", "n IN (4, 6)", "n >= 6 AND v < 'y'",
      "v = null" } do
      if condition == "v = null" then db:run "DELETE v FROM t WHERE id = 1" end
      local ok = applied("UPDATE t SET n = 6 WHERE id = 1 IF " ..
        condition:gsub("4, 6", "5, 6"))
      assert.is_true(ok, condition)
    end
    assert.is_true((applied("UPDATE t SET n = 7 WHERE id = 77 IF v = null")))
  end)

  it("takes bound values", function()
    assert.is_true((applied("UPDATE t SET n = ? WHERE id = ? IF n = ? AND v IN ?", { int(6), int(1),
      int(5), int(2) .. unit.bytes "w" .. unit.bytes "x" })))
    assert.same({ 6 }, column("n", "SELECT n FROM t"))
  end)

  it("makes a write that is later than what it saw", function()
    db:run("INSERT INTO t (id, v) VALUES (1, 'future')", nil, { timestamp = db.now_us + 1000000 })
    assert.is_true((applied "UPDATE t SET v = 'now' WHERE id = 1 IF v = 'future'"))
    assert.same({ "now" }, column("v", "SELECT v FROM t"))
  end)

  it("tells of static columns where it is about them", function()
    db:run "CREATE TABLE s (p int, c int, s int static, v int, PRIMARY KEY (p, c))"
    db:run "INSERT INTO s (p, c, s, v) VALUES (3, 1, 7, 1)"
    assert.same({ false, { p = 3, c = 1, v = 1 } },
      { applied "INSERT INTO s (p, c, v) VALUES (3, 1, 1) IF NOT EXISTS" })
    assert.same({ false, { p = 3, c = 1, v = 1, s = 7 } },
      { applied "INSERT INTO s (p, c, v, s) VALUES (3, 1, 1, 8) IF NOT EXISTS" })
    assert.same({ false, { s = 7 } }, { applied "UPDATE s SET s = 5 WHERE p = 3 IF s = 6" })
    assert.same({ false, { s = 7 } },
      { applied "UPDATE s SET v = 5 WHERE p = 3 AND c = 9 IF s = 6" }) -- no such row
    assert.same({ true, {} }, { applied "UPDATE s SET v = 5 WHERE p = 3 AND c = 9 IF s = 7" })
    assert.same({ false, {} }, { applied "UPDATE s SET s = 5 WHERE p = 30 IF s = 6" })
  end)

  it("doesn't go by the client's clock", function()
    db:run("UPDATE t SET v = 'now' WHERE id = 1 IF v = 'x'", nil, { timestamp = 5LL })
    assert.same({ "now" }, column("v", "SELECT v FROM t"))
    assert.is_true(column("writetime(v)", "SELECT writetime(v) FROM t")[1] > db.now_us)
  end)

  it("can't be joined with a timestamp, IN or a part of the key", function()
    for _, text in ipairs { "INSERT INTO t (id) VALUES (1) IF NOT EXISTS USING TIMESTAMP 5",
      "UPDATE t SET v = 'a' WHERE id IN (1, 2) IF EXISTS", "DELETE FROM c WHERE p = 1 IF EXISTS",
      "UPDATE t SET v = 'a' WHERE id = 1 IF id = 1" } do
      db:fail(text)
    end
  end)
end)

describe("a batch", function()
  it("happens as a whole, or not at all", function()
    assert.equal("void", db:run([[BEGIN BATCH INSERT INTO t (id, v) VALUES (1, 'a');
      UPDATE t SET n = 2 WHERE id = 1; DELETE v FROM t WHERE id = 2 APPLY BATCH]]).kind)
    assert.same({ { id = 1, v = "a", n = 2 } }, db:rows "SELECT * FROM t")
    db:fail("BEGIN BATCH INSERT INTO t (id) VALUES (5) INSERT INTO t (id) VALUES (?) APPLY BATCH",
      { store.null })
    assert.equal(1, #db:rows "SELECT * FROM t")
  end)

  it("of messages takes texts and prepared statements", function()
    local insert = assert(db:prepare "INSERT INTO t (id, v) VALUES (?, ?)")
    local result = db:batch(C.CQL_LOGGED, { { insert, int(1), "a" }, { insert, int(2), "b" },
      { "UPDATE t SET n = ? WHERE id = 1", int(7) } })
    assert.equal("void", result.kind)
    assert.same({ { id = 1, v = "a", n = 7 }, { id = 2, v = "b" } }, db:rows "SELECT * FROM t")
    local bad = { { insert, int(3), "a" }, { insert, int(4) } }
    assert.equal("error", db:batch(C.CQL_LOGGED, bad).kind)
    assert.equal("error", db:batch(C.CQL_LOGGED, { { "SELECT * FROM t" } }).kind)
    assert.equal("error", db:batch(C.CQL_COUNTER_BATCH, { { insert, int(3), "a" } }).kind)
    assert.equal(2, #db:rows "SELECT * FROM t")
    assert.equal("void", db:batch(C.CQL_LOGGED, {}).kind)
  end)

  it("of counters is one of its own", function()
    db:run "CREATE TABLE n (id int PRIMARY KEY, a counter)"
    local text = "UPDATE n SET a = a + 1 WHERE id = 1"
    assert.equal("void", db:batch(C.CQL_COUNTER_BATCH, { { text }, { text } }).kind)
    assert.equal("Cannot include a counter statement in a logged batch",
      db:batch(C.CQL_LOGGED, { { text } }).message)
    assert.same({ 2LL }, column("a", "SELECT a FROM n"))
  end)

  it("has conditions of one partition", function()
    local function batch(...) return db:batch(C.CQL_LOGGED, { ... }) end
    local first = "INSERT INTO c (p, c, d, v) VALUES (1, 1, 'a', 1) IF NOT EXISTS"
    local second = "INSERT INTO c (p, c, d, v) VALUES (1, 2, 'a', 2)"
    assert.same({ { ["[applied]"] = true } }, batch({ first }, { second }).rows)
    local third = "UPDATE c SET v = 4 WHERE p = 1 AND c = 2 AND d = 'a' IF v = 7"
    assert.same({
      { ["[applied]"] = false, p = 1, c = 2, d = "a", v = 2 }, -- in the table's order
      { ["[applied]"] = false, p = 1, c = 1, d = "a", v = 1 },
    }, batch({ first }, { third }).rows)
    assert.equal("Batch with conditions cannot span multiple partitions",
      batch({ first }, { "INSERT INTO c (p, c, d) VALUES (2, 1, 'a')" }).message)
    assert.same({ 2, 1 }, column("v", "SELECT v FROM c"))
  end)
end)

describe("a page", function()
  -- The sizes of all pages, "2+" where more may follow, and what came.
  local function pages(text, size, values)
    local sizes, all, state = {}, {}, nil
    for _ = 1, 100 do
      local result = db:run(text, values, { page_size = size, paging_state = state })
      for _, row in ipairs(result.rows) do all[#all + 1] = tostring(row.id or row.c) end
      state = result.paging_state
      sizes[#sizes + 1] = #result.rows .. (state and "+" or "")
      if not state then break end
    end
    return table.concat(sizes, " "), table.concat(all, " ")
  end

  before_each(function()
    for i = 1, 6 do
      db:run(("INSERT INTO t (id, n) VALUES (%d, %d)"):format(i, i % 2))
      db:run(("INSERT INTO c (p, c, d) VALUES (9, %d, 'a')"):format(i))
    end
  end)

  it("says that more may follow where it is full, as Cassandra does", function()
    local cases = {
      { "SELECT id FROM t", 4, "4+ 2" }, { "SELECT id FROM t", 2, "2+ 2+ 2+ 0" },
      { "SELECT id FROM t", 6, "6+ 0" }, { "SELECT id FROM t", 7, "6" },
      { "SELECT c FROM c WHERE p = 9", 3, "3+ 3+ 0" },
      { "SELECT c FROM c WHERE p IN (8, 9, 10)", 2, "2+ 2+ 2+ 0" },
      { "SELECT id FROM t WHERE id IN (1, 2, 3, 4, 5, 6)", 2, "2+ 2+ 2" },
      { "SELECT id FROM t WHERE id = 3", 1, "1" }, { "SELECT id FROM t LIMIT 2", 2, "2" },
      { "SELECT id FROM t LIMIT 3", 2, "2+ 1" }, { "SELECT id FROM t LIMIT 5", 3, "3+ 2" },
      { "SELECT id FROM t WHERE n = 1 ALLOW FILTERING", 2, "2+ 1" },
      { "SELECT count(*) AS id FROM t", 2, "1" },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[3], (pages(case[1], case[2])), case[1])
    end
  end)

  it("goes on where the last one ended", function()
    local whole = { ["SELECT id FROM t"] = "5 1 2 4 6 3",
      ["SELECT c FROM c WHERE p = 9"] = "6 5 4 3 2 1",
      ["SELECT c FROM c WHERE p = 9 ORDER BY c ASC"] = "1 2 3 4 5 6",
      ["SELECT c FROM c WHERE p = 9 AND c > 2 AND c < 6"] = "5 4 3",
      ["SELECT c FROM c WHERE p = 9 AND c IN (6, 4, 2)"] = "6 4 2",
      ["SELECT id FROM t WHERE id IN (6, 4, 2)"] = "2 4 6" }
    for text, rows in pairs(whole) do
      for size = 1, 7 do
        local _, all = pages(text, size)
        assert.equal(rows, all, text)
      end
    end
  end)

  it("goes on although its row or partition is gone", function()
    local first = db:run("SELECT id FROM t", nil, { page_size = 2 })
    db.now_us = db.now_us + 1
    db:run "DELETE FROM t WHERE id IN (1, 2)"
    db:run "TRUNCATE c"
    assert.same({ { id = 4 }, { id = 6 }, { id = 3 } }, db:rows("SELECT id FROM t", nil,
      { page_size = 9, paging_state = first.paging_state }))
  end)

  it("counts rows of a partition over pages", function()
    for i = 1, 3 do db:run(("INSERT INTO c (p, c, d) VALUES (1, %d, 'a')"):format(i)) end
    for size = 1, 5 do
      local _, all = pages("SELECT c FROM c PER PARTITION LIMIT 2", size)
      assert.equal("3 2 6 5", all)
    end
  end)

  it("refuses a state that is none", function()
    local first = db:run("SELECT c FROM c WHERE p = 9", nil, { page_size = 2 })
    local text = "SELECT c FROM c WHERE p = 9"
    unit.truncate(first.paging_state, function(state)
      local message, code = db:fail(text, nil, { page_size = 2, paging_state = state })
      assert.equal(0x000A, code)
      assert.equal("Invalid value for the paging state", message)
    end)
    unit.mutate(first.paging_state, 1, 2000, function(state)
      db:try(text, nil, { page_size = 2, paging_state = state })
      db:try("SELECT id FROM t", nil, { page_size = 2, paging_state = state })
    end)
  end)
end)

describe("a prepared statement", function()
  local function names(list)
    local out = {}
    for i, c in ipairs(list) do out[i] = c.name end
    return table.concat(out, " ")
  end

  it("tells of its markers, key and rows", function()
    local shape = db:shape(assert(db:prepare "SELECT v, id FROM t WHERE id = ? LIMIT ?"))
    assert.equal("id [limit]", names(shape.binds))
    assert.same({ 0 }, shape.keys)
    assert.equal("v id", names(shape.columns))
    assert.same({ "k", "t", 1, false }, { shape.keyspace, shape.table, shape.kind,
      shape.conditional })
    assert.same({ C.CQL_INT, C.CQL_INT }, { shape.binds[1].kind, shape.binds[2].kind })
    assert.same({ C.CQL_TEXT, C.CQL_INT }, { shape.columns[1].kind, shape.columns[2].kind })
  end)

  it("names its markers as the server does", function()
    db:run "CREATE TABLE m (a int, b int, s set<int>, m map<text, int>, PRIMARY KEY ((a, b)))"
    local cases = {
      ["INSERT INTO m (b, s, a) VALUES (?, ?, ?) USING TTL ? AND TIMESTAMP ?"] =
        { "b s a [ttl] [timestamp]", { 2, 0 } },
      ["UPDATE m SET s = s + ?, m[?] = ? WHERE b = :bee AND a = ?"] =
        { "s key(m) value(m) bee a", { 4, 3 } },
      ["UPDATE m SET s = ? WHERE a = ? AND b = 5"] = { "s a", {} },
      ["SELECT * FROM m WHERE a IN ? AND b = ?"] = { "in(a) b", {} },
      ["SELECT * FROM m WHERE token(a, b) > ? PER PARTITION LIMIT ? LIMIT ?"] =
        { "partition key token [per_partition_limit] [limit]", {} },
      ["DELETE FROM m WHERE a = ? AND b = ? IF s = ?"] = { "a b s", { 0, 1 } },
    }
    for text, expected in pairs(cases) do
      local shape = db:shape(assert(db:prepare(text)))
      assert.equal(expected[1], names(shape.binds))
      assert.same(expected[2], shape.keys)
    end
    local shape = db:shape(assert(db:prepare "UPDATE m SET s = ? WHERE a = 1 AND b = 1 IF EXISTS"))
    assert.is_true(shape.conditional)
    assert.same({}, shape.columns)
  end)

  it("knows the partition that a call is about", function()
    local by_id = assert(db:prepare "SELECT * FROM t WHERE id = ?")
    assert.equal(-4069959284402364209LL, db:token(by_id, { int(1) }))
    assert.equal(-4069959284402364209LL, db:token(assert(
      db:prepare "INSERT INTO t (id, v) VALUES (1, ?)"), { "x" }))
    assert.is_nil(db:token(assert(db:prepare "SELECT * FROM t WHERE id IN (1, 2)")))
    assert.is_nil(db:token(assert(db:prepare "SELECT * FROM t")))
    assert.is_nil(db:token(by_id, { store.null }))
    assert.is_nil(db:token(by_id, {}))
    assert.is_nil(db:token(assert(db:prepare "USE k")))
  end)

  it("takes values by place and by name, null and unset", function()
    local insert = assert(db:prepare "INSERT INTO t (id, v, n) VALUES (?, ?, ?)")
    db:execute(insert, { int(1), "a", int(5) })
    db.now_us = db.now_us + 1
    db:execute(insert, { int(1), store.unset, store.null })
    assert.same({ { id = 1, v = "a" } }, db:rows "SELECT * FROM t")
    db.now_us = db.now_us + 1
    db:execute(insert, { "b", int(1), int(7) }, { names = { "v", "id", "n" } })
    assert.same({ { id = 1, v = "b", n = 7 } }, db:rows "SELECT * FROM t")
    assert.equal("error", db:execute(insert, { "b", int(1), int(7) },
      { names = { "v", "id", "x" } }).kind)
    assert.equal("there were 3 markers(?) in CQL but 1 bound variables",
      db:execute(insert, { int(1) }).message)
    assert.equal("Invalid unset value for column id",
      db:execute(insert, { store.unset, "a", int(1) }).message)
    assert.equal("Invalid null value in condition for column id",
      db:execute(insert, { store.null, "a", int(1) }).message)
  end)

  it("checks what is bound", function()
    local cases = {
      { "int", "123", "Expected 4 or 0 byte int (3)" },
      { "bigint", "1234", "Expected 8 or 0 byte long (4)" },
      { "boolean", "12", "Expected 1 or 0 byte value (2)" },
      { "smallint", "", "Expected 2 bytes for a smallint (0)" },
      { "text", "\255", "String didn't validate." },
      { "text", "\237\160\128", "String didn't validate." }, -- half of a pair
      { "uuid", "123", "UUID should be 16 or 0 bytes (3)" },
      { "timeuuid", ("\0"):rep(16), "Invalid version for TimeUUID type." },
      { "date", "12345", "Expected 4 byte long for date (5)" },
      { "double", "1", "Expected 8 or 0 byte value for a double (1)" },
      { "inet", "12345", "Invalid value of 5 bytes for type inet" },
      { "frozen<list<int>>", int(2) .. unit.bytes(int(1)),
        "Invalid value of 12 bytes for type list<int>" },
      { "frozen<list<int>>", int(1) .. unit.bytes(nil),
        "Invalid value of 8 bytes for type list<int>" },
      { "vector<int, 2>", int(1), "Invalid value of 4 bytes for type vector<int, 2>" },
      { "time", unit.u32(0x7fffffff) .. int(0), "Invalid value of 8 bytes for type time" },
    }
    for i, case in ipairs(cases) do
      db:run(("CREATE TABLE x%d (id int PRIMARY KEY, v %s)"):format(i, case[1]))
      local text = ("INSERT INTO x%d (id, v) VALUES (1, ?)"):format(i)
      local message, code = db:fail(text, { case[2] })
      assert.equal(case[3], message)
      assert.equal(0x2200, code)
      assert.same({}, db:rows(("SELECT * FROM x%d"):format(i)))
    end
    for _, kind in ipairs { "int", "double", "uuid", "inet", "boolean", "timestamp" } do
      db:run(("CREATE TABLE e_%s (id int PRIMARY KEY, v %s)"):format(kind, kind))
      db:run(("INSERT INTO e_%s (id, v) VALUES (1, ?)"):format(kind), { "" }) -- legal, if odd
      assert.equal("", db:rows(("SELECT * FROM e_%s"):format(kind))[1].v)
    end
  end)

  it("follows the schema, and ends with its table", function()
    local all = assert(db:prepare "SELECT * FROM t")
    assert.equal("id n v", names(db:shape(all).columns))
    db:run "ALTER TABLE t ADD x int"
    assert.equal("id n v x", names(db:shape(all).columns))
    db:run "ALTER TABLE t DROP v"
    assert.equal("id n x", names(db:shape(all).columns))
    db:run "DROP TABLE t"
    assert.is_nil(db:shape(all))
    assert.equal("table t does not exist", db:execute(all).message)
  end)
end)

describe("the schema", function()
  it("changes with CREATE, ALTER and DROP", function()
    local function change(text)
      local result = db:run(text)
      return table.concat({ result.change or "-", result.target or "-", result.keyspace or "-",
        result.name or "-" }, " ")
    end
    assert.equal("CREATED KEYSPACE k2 -", change("CREATE KEYSPACE k2 " .. SIMPLE))
    assert.equal("- - - -", change("CREATE KEYSPACE IF NOT EXISTS k2 " .. SIMPLE))
    assert.equal("CREATED TYPE k2 u", change "CREATE TYPE k2.u (a int)")
    assert.equal("CREATED TABLE k2 x", change "CREATE TABLE k2.x (id int PRIMARY KEY, u frozen<u>)")
    assert.equal("UPDATED TYPE k2 u", change "ALTER TYPE k2.u ADD b text")
    assert.equal("UPDATED TABLE k2 x", change "ALTER TABLE k2.x ADD y int")
    assert.equal("UPDATED TABLE k2 x", change "CREATE INDEX i ON k2.x (y)")
    assert.equal("UPDATED TABLE k2 x", change "DROP INDEX k2.i")
    assert.equal("UPDATED KEYSPACE k2 -", change("ALTER KEYSPACE k2 " .. SIMPLE))
    assert.equal("Cannot drop user type 'k2.u' as it is still used",
      (db:fail "DROP TYPE k2.u"))
    assert.equal("DROPPED TABLE k2 x", change "DROP TABLE k2.x")
    assert.equal("- - - -", change "DROP TABLE IF EXISTS k2.x")
    assert.equal("DROPPED TYPE k2 u", change "DROP TYPE k2.u")
    assert.equal("DROPPED KEYSPACE k2 -", change "DROP KEYSPACE k2")
    assert.equal("keyspace", db:run("USE k").kind)
  end)

  it("has a version that each change changes", function()
    local first = db:version()
    local seen = { [first] = true }
    for _, text in ipairs { "CREATE TABLE v (id int PRIMARY KEY)", "ALTER TABLE v ADD x int",
      "ALTER TABLE v DROP x", "CREATE INDEX i ON v (id)", "CREATE TYPE u (a int)",
      "ALTER KEYSPACE k WITH durable_writes = false" } do
      db:run(text)
      local version = db:version()
      assert.is_nil(seen[version], text)
      assert.equal(3, bit.rshift(version:byte(7), 4))
      seen[version] = true
    end
    db:run "DROP TABLE v" -- which another of the same columns doesn't bring back
    db:run "CREATE TABLE v (id int PRIMARY KEY)"
    db:run "CREATE INDEX i ON v (id)"
    assert.is_nil(seen[db:version()])
    local before = db:version()
    db:run "DROP TABLE IF EXISTS nothing"
    db:run "INSERT INTO t (id) VALUES (1)"
    assert.equal(before, db:version())
    local other = store.new()
    other:run("CREATE KEYSPACE k " .. SIMPLE)
    assert.are_not.equal(before, other:version())
  end)

  it("has UDTs that grow under their tables", function()
    db:run "CREATE TYPE u (a int)"
    db:run "CREATE TYPE a_holder (u frozen<u>)" -- by name before what it holds
    db:run "CREATE TABLE x (id int PRIMARY KEY, u frozen<u>, h frozen<a_holder>)"
    db:run "INSERT INTO x (id, u) VALUES (1, {a: 1})"
    db:run "ALTER TYPE u ADD b text"
    db:run "INSERT INTO x (id, u, h) VALUES (2, {b: 'z', a: 2}, {u: {b: 'y'}})"
    assert.same({
      { id = 1, u = unit.bytes(int(1)) },
      { id = 2, u = unit.bytes(int(2)) .. unit.bytes "z",
        h = unit.bytes(unit.bytes(nil) .. unit.bytes "y") },
    }, db:rows "SELECT * FROM x")
    assert.is_truthy(db:fail "INSERT INTO x (id, u) VALUES (1, {c: 1})")
  end)

  it("tells the replication of a keyspace", function()
    db = store.new(true)
    db:run [[CREATE KEYSPACE n WITH replication = {'class':
      'org.apache.cassandra.locator.NetworkTopologyStrategy', 'dc2': '3', 'dc1': 2}
      AND tablets = {'enabled': true, 'initial': 16}]]
    local out, kept = ffi.new "cql__sim_replication[1]", unit.buffer "n"
    assert.equal(1, C.cql__store_replication(db.handle, { kept, 1 }, out))
    assert.equal("NetworkTopologyStrategy", unit.slice(out[0].strategy))
    assert.equal(2, out[0].count)
    assert.same({ "dc1", "dc2", 2, 3, 16 }, { unit.slice(out[0].names[0]),
      unit.slice(out[0].names[1]), out[0].factors[0], out[0].factors[1], out[0].tablets })
    kept = unit.buffer "x"
    assert.equal(0, C.cql__store_replication(db.handle, { kept, 1 }, out))
  end)

  it("refuses what makes no sense, as Cassandra does", function()
    local cases = {
      { "CREATE KEYSPACE k " .. SIMPLE, 'Cannot add existing keyspace "k"', 0x2400 },
      { "CREATE TABLE t (id int PRIMARY KEY)",
        'Cannot add already existing table "t" to keyspace "k"', 0x2400 },
      { "CREATE KEYSPACE x WITH replication = {'class': 'Simple'}",
        "Unable to find replication strategy class 'org.apache.cassandra.locator.Simple'",
        0x2300 },
      { "CREATE KEYSPACE x WITH replication = {'class': 'SimpleStrategy'}",
        "SimpleStrategy requires a replication_factor strategy option.", 0x2300 },
      { "CREATE TABLE x (id int)",
        "No PRIMARY KEY specifed for table 'k.x' (exactly one required)" },
      { "CREATE TABLE x (id foo PRIMARY KEY)", "Unknown type foo" },
      { "CREATE TABLE x (id int PRIMARY KEY, id text)",
        "Duplicate column 'id' declaration for table 'k.x'" },
      { "CREATE TABLE x (id int, PRIMARY KEY (nope))",
        "Unknown column 'nope' referenced in PRIMARY KEY for table 'x'" },
      { "CREATE TABLE x (id list<int> PRIMARY KEY)",
        "Invalid non-frozen collection type list<int> for PRIMARY KEY column 'id'" },
      { "CREATE TABLE x (id int PRIMARY KEY, c counter, v int)",
        "Cannot mix counter and non counter columns in the same table" },
      { "ALTER TABLE t ADD v int", "Column with name 'v' already exists" },
      { "ALTER TABLE t DROP nope", "Column nope was not found in table 'k.t'" },
      { "ALTER TABLE t DROP id", "Cannot drop PRIMARY KEY column id" },
      { "DROP TABLE nope", "Table 'k.nope' doesn't exist" },
      { "DROP KEYSPACE nope", "Keyspace 'nope' doesn't exist" },
      { "USE nope", "Keyspace 'nope' does not exist" },
      { "TRUNCATE nope", "table nope does not exist" },
      { "SELECT * FROM x.t", "keyspace x does not exist" },
      { "CREATE ROLE r", "This kind of statement is not simulated: prime an answer for it" },
    }
    local before = db:version()
    for _, case in ipairs(cases) do
      local message, code = db:fail(case[1])
      assert.equal(case[2], message)
      assert.equal(case[3] or 0x2200, code)
    end
    assert.equal(before, db:version())
    db.keyspace = nil
    assert.equal("No keyspace has been specified. USE a keyspace, or explicitly specify " ..
      "keyspace.tablename", (db:fail "SELECT * FROM t"))
  end)
end)

describe("a query", function()
  it("that can't be answered is refused, as by Cassandra", function()
    local FILTERING = "Cannot execute this query as it might involve data filtering and thus " ..
      "may have unpredictable performance. If you want to execute this query despite the " ..
      "performance unpredictability, use ALLOW FILTERING"
    local cases = {
      { "SELECT nope FROM t", "Undefined column name nope in table k.t" },
      { "SELECT * FROM t WHERE v = 'x'", FILTERING },
      { "SELECT * FROM t WHERE id > 1", FILTERING },
      { "SELECT * FROM c WHERE c = 1", FILTERING },
      { "SELECT * FROM c WHERE p = 1 AND d = 'x'", 'PRIMARY KEY column "d" cannot be restricted ' ..
        'as preceding column "c" is not restricted' },
      { "SELECT * FROM c WHERE p = 1 AND c > 1 AND d = 'x'", 'Clustering column "d" cannot be ' ..
        'restricted (preceding column "c" is restricted by a non-EQ relation)' },
      { "SELECT * FROM c WHERE p = 1 ORDER BY d", "Order by currently only supports the " ..
        "ordering of columns following their declared order in the PRIMARY KEY" },
      { "SELECT * FROM c ORDER BY c",
        "ORDER BY is only supported when the partition key is restricted by an EQ or an IN." },
      { "SELECT * FROM c WHERE p = 1 ORDER BY c DESC, d DESC", "Unsupported order by relation" },
      { "SELECT * FROM c WHERE p = 1 AND p = 2",
        "p cannot be restricted by more than one relation if it includes an Equal" },
      { "SELECT * FROM c WHERE p = null", "Invalid null value in condition for column p" },
      { "SELECT count(*) FROM t LIMIT 0", "LIMIT must be strictly positive" },
      { "SELECT foo(id) FROM t", "Unknown function 'foo'" },
      { "SELECT DISTINCT v FROM t", "SELECT DISTINCT queries must only request partition key " ..
        "columns and/or static columns (not v)" },
      { "INSERT INTO t (v) VALUES ('x')", "Some partition key parts are missing: id" },
      { "INSERT INTO c (p, d, v) VALUES (1, 'x', 1)", "Some clustering keys are missing: c" },
      { "INSERT INTO t (id, id) VALUES (1, 2)", "The column names contains duplicates" },
      { "UPDATE t SET id = 2 WHERE id = 1", "PRIMARY KEY part id found in SET part" },
      { "UPDATE c SET v = 1 WHERE p = 1", "Some clustering keys are missing: c, d" },
      { "DELETE v FROM t WHERE id = 1 AND v = 'x'",
        "Non PRIMARY KEY columns found in where clause: v " },
      { "DELETE id FROM t WHERE id = 1",
        "Invalid identifier id for deletion (should not be a PRIMARY KEY part)" },
      { "UPDATE t USING TTL -1 SET v = 'x' WHERE id = 1",
        "A TTL must be greater or equal to 0, but was -1" },
      { "UPDATE t USING TTL 999999999 SET v = 'x' WHERE id = 1",
        "ttl is too large. requested (999999999) maximum (630720000)" },
    }
    for _, case in ipairs(cases) do
      local message, code = db:fail(case[1])
      assert.equal(case[2], message)
      assert.equal(0x2200, code)
    end
  end)
end)

describe("the same calls", function()
  it("give the same answers, uuid() and now() too", function()
    local function run()
      local one = store.new()
      one:run("CREATE KEYSPACE k " .. SIMPLE)
      one.keyspace = "k"
      one:run "CREATE TABLE u (id uuid PRIMARY KEY, t timeuuid)"
      for _ = 1, 3 do one:run "INSERT INTO u (id, t) VALUES (uuid(), now())" end
      return one:rows "SELECT * FROM u"
    end
    local rows = run()
    assert.equal(3, #rows)
    assert.same(rows, run())
    assert.equal(4, bit.rshift(rows[1].id:byte(7), 4))
    assert.equal(1, bit.rshift(rows[1].t:byte(7), 4))
  end)
end)
