-- CQL as text: tokens, literals, statements, and what is none.
local ffi = require "ffi"
local unit = require "spec.support.unit"
local store = require "spec.support.store"

local C, hex = unit.C, unit.hex

local KEYSPACE = "CREATE KEYSPACE k WITH replication = " ..
  "{'class': 'SimpleStrategy', 'replication_factor': 1}"

-- The bytes of a literal of that type, in hex; or nil and the message.
local function literal(type, text, db)
  db = db or store.new()
  local kept = { unit.buffer("v " .. type), unit.buffer(text) }
  local rows = C.cql__store_columns(db.handle, { nil, C.CQL_NULL }, { kept[1], #type + 2 })
  assert(rows.kind == C.CQL_RESULT_ROWS, ffi.string(rows.kind == 0 and rows.message or ""))
  local status, message = C.cql__store_columns_add(rows, { kept[2], #text }), nil
  if status ~= 0 then message = ffi.string(rows.message) end
  local bytes = unit.slice(rows.rows)
  C.cql__store_result_free(rows)
  if message then return nil, message end
  return bytes == "\255\255\255\255" and "null" or hex(bytes:sub(5))
end

describe("a literal", function()
  it("is the bytes that a server makes of it", function()
    local cases = {
      { "int", "7", "00000007" }, { "int", "-1", "ffffffff" },
      { "int", "2147483647", "7fffffff" }, { "int", "-2147483648", "80000000" },
      { "bigint", "-9223372036854775808", "8000000000000000" },
      { "counter", "5", "0000000000000005" },
      { "smallint", "-2", "fffe" }, { "tinyint", "127", "7f" },
      { "text", "'it''s'", "69742773" }, { "text", "$$it's$$", "69742773" }, { "text", "''", "" },
      { "ascii", "'abc'", "616263" }, { "blob", "0xCAFE", "cafe" }, { "blob", "0x", "" },
      { "boolean", "true", "01" }, { "boolean", "FALSE", "00" },
      { "double", "1.5", "3ff8000000000000" }, { "double", "2", "4000000000000000" },
      { "double", "-1e3", "c08f400000000000" }, { "float", "0.5", "3f000000" },
      { "double", "NaN", "7ff8000000000000" }, { "double", "-Infinity", "fff0000000000000" },
      { "varint", "0", "00" }, { "varint", "127", "7f" }, { "varint", "128", "0080" },
      { "varint", "-129", "ff7f" }, { "varint", "18446744073709551616", "010000000000000000" },
      { "decimal", "1.5", "000000010f" }, { "decimal", "-0.25", "00000002e7" },
      { "decimal", "12e3", "fffffffd0c" }, { "decimal", "7", "0000000007" },
      { "uuid", "1144bada-852c-11e3-89fb-e0b9a54a6d11", "1144bada852c11e389fbe0b9a54a6d11" },
      { "timeuuid", "1144bada-852c-11e3-89fb-e0b9a54a6d11", "1144bada852c11e389fbe0b9a54a6d11" },
      { "inet", "'127.0.0.1'", "7f000001" },
      { "inet", "'::1'", "00000000000000000000000000000001" },
      { "date", "'1970-01-01'", "80000000" }, { "date", "'1969-12-31'", "7fffffff" },
      { "time", "'00:00:01.5'", "0000000059682f00" },
      { "timestamp", "1500", "00000000000005dc" },
      { "timestamp", "'1970-01-01 00:00:01Z'", "00000000000003e8" },
      { "timestamp", "'1970-01-01T01:00:00.250+0100'", "00000000000000fa" },
      { "duration", "1mo2d3ns", "020406" }, { "duration", "-1mo2d3ns", "010305" },
      { "duration", "1y", "180000" }, { "duration", "2h", "0000fc0d18c2e28000" },
      { "list<int>", "[1, 2]", "00000002" .. "0000000400000001" .. "0000000400000002" },
      { "list<int>", "[]", "00000000" },
      { "set<int>", "{2, 1, 2}", "00000002" .. "0000000400000001" .. "0000000400000002" },
      { "set<int>", "{}", "00000000" }, { "map<int, int>", "{}", "00000000" },
      { "map<text, int>", "{'b': 2, 'a': 1}",
        "00000002" .. "0000000161" .. "0000000400000001" .. "0000000162" .. "0000000400000002" },
      { "tuple<int, text>", "(1, 'a')", "0000000400000001" .. "0000000161" },
      { "tuple<int, text>", "(null, 'a')", "ffffffff" .. "0000000161" },
      { "vector<int, 3>", "[1, 2, 3]", "000000010000000200000003" },
      { "vector<text, 2>", "['a', 'bc']", "0161026263" },
      { "int", "null", "null" }, { "list<int>", "NULL", "null" },
      { "list<frozen<list<int>>>", "[[1], []]",
        "00000002" .. "0000000c" .. "00000001" .. "0000000400000001" .. "00000004" .. "00000000" },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[3], (assert(literal(case[1], case[2]))), case[1] .. " " .. case[2])
    end
  end)

  it("of another type is refused, in the server's words", function()
    local cases = {
      { "int", "'x'", 'Invalid STRING constant (x) for "v" of type int' },
      { "int", "1.5", 'Invalid FLOAT constant (1.5) for "v" of type int' },
      { "text", "2", 'Invalid INTEGER constant (2) for "v" of type text' },
      { "int", "2147483648", "Unable to make int from '2147483648'" },
      { "tinyint", "128", "Unable to make tinyint from '128'" },
      { "bigint", "9223372036854775808", "Unable to make bigint from '9223372036854775808'" },
      { "blob", "0xabc", 'Invalid HEX constant (0xabc) for "v" of type blob' },
      { "uuid", "'x'", 'Invalid STRING constant (x) for "v" of type uuid' },
      { "set<int>", "[1]", "Invalid list literal for v of type set<int>" },
      { "date", "'2023-02-29'", 'Invalid STRING constant (2023-02-29) for "v" of type date' },
      { "time", "'24:00:00'", 'Invalid STRING constant (24:00:00) for "v" of type time' },
      { "inet", "'1.2.3'", 'Invalid STRING constant (1.2.3) for "v" of type inet' },
      { "boolean", "1", 'Invalid INTEGER constant (1) for "v" of type boolean' },
      { "vector<int, 3>", "[1, 2]", "Invalid list literal for v of type vector<int, 3>" },
      { "tuple<int>", "(1, 2)", "Invalid tuple literal for v of type tuple<int>" },
      { "list<int>", "[null]", "null is not supported inside collections" },
    }
    for _, case in ipairs(cases) do
      local value, message = literal(case[1], case[2])
      assert.is_nil(value, case[2])
      assert.equal(case[3], message)
    end
    assert.is_nil((literal("text", "'\255'"))) -- no UTF-8
    assert.is_nil((literal("ascii", "'\195\164'")))
    assert.is_nil((literal("timeuuid", "1144bada-852c-41e3-89fb-e0b9a54a6d11"))) -- version 4
  end)

  it("comes as often as there are columns", function()
    local value, message = literal("int", "1, 2")
    assert.is_nil(value)
    assert.equal("there are more values than columns", message)
    assert.is_nil((literal("int", "")))
  end)
end)

describe("a text", function()
  local db
  before_each(function()
    db = store.new()
    db:run(KEYSPACE)
    db:run 'CREATE TABLE k.t (id int PRIMARY KEY, v text, "Quoted ""one" int)'
    db.keyspace = "k"
  end)

  it("may have comments, any case, quoted names and a semicolon", function()
    db:run "insert INTO k . T (ID, V) values (1, 'a') ; "
    db:run 'UPDATE t SET "Quoted ""one" = 5 -- so\n WHERE id /* what? */ = 1 // yes\n'
    assert.same({ { id = 1, v = "a", ['Quoted "one'] = 5 } }, db:rows 'SELECT * FROM "k"."t"')
    assert.equal("table T does not exist", (db:fail 'SELECT * FROM "T"'))
  end)

  it("that is no CQL says where", function()
    local cases = {
      { "SELEC 1", "line 1:0 no viable alternative at input 'SELEC'" },
      { "SELECT * FROM", "line 1:13 no viable alternative at input '<EOF>'" },
      { "SELECT *\n  FROM t WHERE ?", "line 2:15 no viable alternative at input '?'" },
      { "", "line 1:0 no viable alternative at input '<EOF>'" },
      { "SELECT * FROM t;;", "line 1:16 no viable alternative at input ';'" },
      { "SELECT * FROM t WHERE id = 'abc", "line 1:27 no viable alternative at input ''abc'" },
      { "SELECT * FROM t /* for ever", "line 1:16 no viable alternative at input '/* for ever'" },
      { "INSERT INTO t (id) VALUES (1, 2)", "Unmatched column names/values" },
    }
    for _, case in ipairs(cases) do
      local message, code = db:fail(case[1])
      assert.equal(case[2], message)
      assert.equal(0x2000, code)
    end
  end)

  it("nests only so deep", function()
    for _, pair in ipairs { { "[", "]" }, { "(", ")" }, { "{", "}" }, { "{1:", "}" } } do
      local deep = pair[1]:rep(100000) .. "1" .. pair[2]:rep(100000)
      local _, code = db:fail("INSERT INTO t (id) VALUES (" .. deep .. ")")
      assert.equal(0x2000, code)
    end
    local type = ("frozen<list<"):rep(5000) .. "int" .. (">>"):rep(5000)
    local message, code = db:fail("CREATE TABLE x (id int PRIMARY KEY, v " .. type .. ")")
    assert.equal(0x2200, code)
    assert.is_truthy(message:find "Unknown type")
  end)

  it("may be any bytes whatever", function()
    local texts = {
      "SELECT id, writetime(v) AS w FROM k.t WHERE id IN (1, ?) AND v = 'x' ORDER BY id LIMIT 3",
      "INSERT INTO t (id, v) VALUES (1, $$x$$) IF NOT EXISTS USING TTL 5 AND TIMESTAMP :when",
      "UPDATE t USING TIMESTAMP 5 SET v = 'é', m = m + {'a': [1.5, 0xff]} WHERE id = -1 IF v != ?",
      "BEGIN UNLOGGED BATCH DELETE v FROM t WHERE id = 1; INSERT INTO t (i) VALUES (2) APPLY BATCH",
      "CREATE TABLE u (a int, b frozen<map<text, list<int>>>, PRIMARY KEY ((a), b)) WITH x = {}",
      "ALTER TYPE k.u ADD (f int, g 1144bada-852c-11e3-89fb-e0b9a54a6d11)",
    }
    local count = 0
    for i, text in ipairs(texts) do
      unit.truncate(text, function(prefix) db:try(prefix) end)
      unit.mutate(text, i, 2000, function(mutant)
        local result = db:try(mutant)
        count = count + (result.kind == "error" and 1 or 0)
      end)
    end
    assert.is_true(count > 1000)
  end)
end)

describe("a type", function()
  -- As system_schema has it.
  local function canonical(type)
    local db = store.new()
    db:run(KEYSPACE)
    db:run 'CREATE TYPE k.u (x int)'
    db:run 'CREATE TYPE k."Up" (x int)'
    local result = db:try("CREATE TYPE k.t (f " .. type .. ")")
    if result.kind == "error" then return nil, result.message end
    return true
  end

  it("may be written in any way that the server knows", function()
    for _, type in ipairs { "INT", "varchar", "frozen<list<int>>", "frozen<u>", "k.u", '"Up"',
      "frozen<map<text, frozen<set<u>>>>", "tuple<int, list<text>>", "vector<float, 3>",
      "'org.apache.cassandra.db.marshal.DynamicCompositeType'" } do
      assert.is_true(canonical(type), type)
    end
  end)

  it("is refused where it makes no sense", function()
    local cases = {
      ["foo"] = "Unknown type foo",
      ["list<int"] = "Unknown type list<int",
      ["map<int>"] = "Unknown type map<int>",
      ["vector<int, 0>"] = "Unknown type vector<int, 0>",
      ["frozen<int>"] = "frozen<> is only allowed on collections, tuples, and user-defined " ..
        "types frozen<int>",
      ["list<list<int>>"] = "Non-frozen collections are not allowed inside collections " ..
        "list<list<int>>",
      ["list<u>"] = "Non-frozen UDTs are not allowed inside collections list<u>",
    }
    for type, message in pairs(cases) do
      local ok, err = canonical(type)
      assert.is_nil(ok)
      if message ~= err and not err:find "^line" then assert.equal(message, err) end
    end
  end)

  it("grows only so large by types that hold each other", function()
    local db = store.new()
    db:run(KEYSPACE)
    db:run "CREATE TYPE k.t0 (f int)"
    local message
    for i = 1, 20 do
      local result = db:try(("CREATE TYPE k.t%d (a frozen<t%d>, b frozen<t%d>, c frozen<t%d>)")
        :format(i, i - 1, i - 1, i - 1))
      message = message or result.message
    end
    assert.is_truthy(message:find "^The type has too many parts")
  end)
end)
