-- Every CQL type both ways, by each protocol version of each server: what the server parsed from
-- text is read as the Lua value, and the Lua value that was written is what the server shows.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"

local KEYSPACE = "values_spec"
local U1, U2 = "d2177dd0-eaa2-11de-a572-001b779c76e3", "d2177dd0-eaa2-41de-a572-001b779c76e4"

-- One text for equal values, so that decimals, int64 and tables can be compared.
local function show(value)
  local meta = getmetatable(value)
  if type(value) ~= "table" or (meta and meta.__tostring) then
    return type(value) == "string" and ("%q"):format(value) or tostring(value)
  end
  local parts = {}
  for k, v in pairs(value) do parts[#parts + 1] = show(k) .. "=" .. show(v) end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end

-- CQL type, CQL literal, Lua value, what SELECT JSON says.
local CASES = {
  { "ascii", "'abc'", "abc", '"abc"' },
  { "text", "'grün ☃'", "grün ☃", '"grün ☃"' },
  { "text", "''", "", '""' },
  { "blob", "0x00ff7f", "\0\255\127", '"0x00ff7f"' },
  { "blob", "0x", "", '"0x"' },
  { "boolean", "true", true, "true" },
  { "boolean", "false", false, "false" },
  { "tinyint", "-128", -128, "-128" },
  { "smallint", "32767", 32767, "32767" },
  { "int", "-2147483648", -2147483648, "-2147483648" },
  { "bigint", "9007199254740992", 9007199254740992, "9007199254740992" },
  { "bigint", "-9223372036854775808", -9223372036854775807LL - 1, "-9223372036854775808" },
  { "varint", "-123456789012345678901234567890", cql.varint "-123456789012345678901234567890",
    "-123456789012345678901234567890" },
  { "varint", "128", cql.varint "128", "128" },
  { "decimal", "-1.50", cql.decimal "-1.50", "-1.50" },
  { "decimal", "0.0000001", cql.decimal "0.0000001", "1E-7" },
  { "float", "0.25", 0.25, "0.25" },
  { "double", "-1.0E-5", -1.0E-5, "-1.0E-5" },
  { "double", "1.0E100", 1.0E100, "1.0E100" },
  { "date", "'2024-02-29'", "2024-02-29", '"2024-02-29"' },
  { "date", "'1969-12-31'", "1969-12-31", '"1969-12-31"' },
  { "time", "'12:34:56.789000001'", 45296789000001, '"12:34:56.789000001"' },
  { "timestamp", "'2024-02-29T12:34:56.789Z'", 1709210096789, '"2024-02-29 12:34:56.789Z"' },
  { "timestamp", "'1969-12-31T23:59:59.999Z'", -1, '"1969-12-31 23:59:59.999Z"' },
  { "duration", "-1y2mo3w4d5h6m7s8ms", cql.duration "-1y2mo3w4d5h6m7s8ms" },
  { "inet", "'127.0.0.1'", "127.0.0.1", '"127.0.0.1"' },
  { "inet", "'2001:db8::1'", "2001:db8::1" },
  { "uuid", U2, U2, '"' .. U2 .. '"' },
  { "timeuuid", U1, U1, '"' .. U1 .. '"' },
  { "list<int>", "[3, 1, 2]", { 3, 1, 2 }, "[3, 1, 2]" },
  { "set<text>", "{'b', 'a'}", { "a", "b" }, '["a", "b"]' },
  { "map<text, bigint>", "{'a': 1, 'b': -2}", { a = 1, b = -2 }, '{"a": 1, "b": -2}' },
  { "map<int, frozen<list<text>>>", "{1: ['x'], 2: []}", { { "x" }, {} },
    '{"1": ["x"], "2": []}' },
  { "list<frozen<map<text, frozen<set<int>>>>>", "[{'a': {2, 1}}, {}]", { { a = { 1, 2 } }, {} },
    '[{"a": [1, 2]}, {}]' },
  { "tuple<int, text, boolean>", "(1, 'x', true)", { 1, "x", true, n = 3 }, '[1, "x", true]' },
  { "tuple<int, text>", "(null, 'x')", { cql.null, "x", n = 2 }, '[null, "x"]' },
  { "frozen<address>", "{street: 'Elm', number: 5, tags: {'a'}}",
    { street = "Elm", number = 5, tags = { "a" } },
    '{"street": "Elm", "number": 5, "tags": ["a"]}' },
  { "frozen<address>", "{street: 'Elm'}", { street = "Elm" },
    '{"street": "Elm", "number": null, "tags": null}' },
  { "map<text, frozen<tuple<frozen<address>, double>>>", "{'x': ({number: 1}, 0.5)}",
    { x = { { number = 1 }, 0.5, n = 2 } } },
  { "vector<float, 3>", "[0.5, -1, 2]", { 0.5, -1, 2 }, "[0.5, -1.0, 2.0]", since = 5 },
  { "vector<text, 2>", "['a', 'bc']", { "a", "bc" }, '["a", "bc"]', since = 5 },
  { "list<frozen<vector<int, 2>>>", "[[1, 2]]", { { 1, 2 } }, "[[1, 2]]", since = 5 },
}

local function create(server)
  local session = assert(cql.connect(server:options { consistency = "one" }))
  local function run(...) return assert(session:execute(...)) end
  run("DROP KEYSPACE IF EXISTS " .. KEYSPACE)
  run("CREATE KEYSPACE " .. KEYSPACE
    .. " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
  assert(session:use(KEYSPACE))
  run "CREATE TYPE address (street text, number int, tags frozen<set<text>>)"
  local columns, names = {}, {}
  for i, case in ipairs(CASES) do
    if tonumber(server.cassandra_version:match "^%d+") >= (case.since or 0) then
      columns[#columns + 1] = ("c%d %s"):format(i, case[1])
      names[i] = "c" .. i
    end
  end
  run("CREATE TABLE all_types (id int PRIMARY KEY, " .. table.concat(columns, ", ") .. ")")
  run "CREATE TABLE counters (id int PRIMARY KEY, n counter)"
  assert(session:close())
  return names
end

local function describe_version(server, names, version, compression)
  describe(("v%s, compression %s"):format(version, compression), function()
    local session
    local function run(...) return assert(session:execute(...)) end

    setup(function()
      session = assert(cql.connect(server:options {
        keyspace = KEYSPACE, consistency = "one", compression = compression,
        compression_min = 0, protocol_version = version,
      }))
      run "TRUNCATE all_types"
    end)
    teardown(function() assert(session:close()) end)

    it("is what is spoken", function()
      assert.equal(version, session:metrics().protocol_version)
    end)

    it("reads what the server parsed", function()
      for i, name in pairs(names) do
        local _, literal, value = unpack(CASES[i])
        run(("INSERT INTO all_types (id, %s) VALUES (1, %s)"):format(name, literal))
        local rows = run(("SELECT %s FROM all_types WHERE id = 1"):format(name))
        assert.equal(show(value), show(rows[1][name]), CASES[i][1])
      end
      local row, count = run("SELECT * FROM all_types WHERE id = 1")[1], 0
      for i, name in pairs(names) do
        assert.equal(show(CASES[i][3]), show(row[name]), CASES[i][1])
        count = count + 1
      end
      assert.is_true(count > 35)
    end)

    it("writes what the server then shows", function()
      for i, name in pairs(names) do
        local _, _, value, json = unpack(CASES[i], 1, 4)
        run(("INSERT INTO all_types (id, %s) VALUES (?, ?)"):format(name), { 2, value })
        local rows = run(("SELECT %s FROM all_types WHERE id = 2"):format(name))
        assert.equal(show(value), show(rows[1][name]), CASES[i][1])
        rows = run(("SELECT JSON %s FROM all_types WHERE id = 2"):format(name))
        if json then assert.equal(('{"%s": %s}'):format(name, json), rows[1]["[json]"]) end
      end
    end)

    it("reads nulls as absent, and writes them", function()
      for _, name in pairs(names) do
        run(("INSERT INTO all_types (id, %s) VALUES (3, ?)"):format(name), { cql.null })
      end
      assert.same({ id = 3 }, run("SELECT * FROM all_types WHERE id = 3")[1] or { id = 3 })
      run("INSERT INTO all_types (id) VALUES (3)")
      assert.same({ id = 3 }, run("SELECT * FROM all_types WHERE id = 3")[1])
    end)

    it("counts", function()
      run("UPDATE counters SET n = n + ? WHERE id = ?", { 5, version })
      run("UPDATE counters SET n = n - ? WHERE id = ?", { 7LL, version })
      local n = run("SELECT n FROM counters WHERE id = ?", { version })[1].n
      assert.equal(0, (n + 2) % 2)
      run("UPDATE counters SET n = n - ? WHERE id = ?", { n, version })
      assert.equal(0, run("SELECT n FROM counters WHERE id = ?", { version })[1].n)
    end)

    it("carries values and pages larger than a segment", function()
      local big = ("0123456789abcdef"):rep(20000) .. ("\0\255"):rep(50000)
      run("INSERT INTO all_types (id, c4) VALUES (4, ?)", { big })
      assert.is_true(run("SELECT c4 FROM all_types WHERE id = 4")[1].c4 == big)
    end)
  end)
end

cassandra.describe("values on Cassandra 5.0,", function(server)
  local names = create(server)
  for version = 5, 3, -1 do
    describe_version(server, names, version, "none")
    describe_version(server, names, version, "lz4")
  end
end)

cassandra.describe("values on Cassandra 4.1,", { version = "4.1" }, function(server)
  local names = create(server)
  describe_version(server, names, 5, "lz4")
  describe_version(server, names, 4, "none")
  describe_version(server, names, 3, "lz4")
end)

cassandra.describe("values on Cassandra 3.11,", { version = "3.11" }, function(server)
  local names = create(server)
  describe_version(server, names, 4, "lz4")
  describe_version(server, names, 3, "none")

  it("v4 is what it is asked in, when it may choose", function()
    local session = assert(cql.connect(server:options()))
    assert.equal(4, session:metrics().protocol_version)
    assert(session:close())
  end)
end)
