-- Values of every CQL type, to bytes and back, compiled and interpreted.
local ffi = require "ffi"
local metadata = require "spec.support.metadata"
local unit = require "spec.support.unit"
local null = require("cql.null").null
local unset = require("cql.null").unset
local types = require "cql.types"

local encode, decode, hex, unhex = metadata.encode, metadata.decode, unit.hex, unit.unhex

local ADDRESS = { "shop", "address", { { "street", "text" }, { "zip", "int" } } }
local INT64_MIN = -9223372036854775807LL - 1
local LEAP = "2024-02-29"

-- type, Lua value, bytes, what it reads as (the value itself where it is left out).
-- The bytes are those of the native protocol's specification v5, section 6, or computed from its
-- rules; those of vectors are as Cassandra 5.0 has them.
local GOLDEN = {
  { "ascii", "az\127", "617a7f" },
  { "text", "h\195\169", "68c3a9" },
  { "text", "", "" },
  { "blob", "\0\255", "00ff" },
  { "boolean", true, "01" },
  { "boolean", false, "00" },
  { "tinyint", -128, "80" },
  { "tinyint", 127, "7f" },
  { "tinyint", 5LL, "05", 5 },
  { "smallint", -32768, "8000" },
  { "smallint", 32767, "7fff" },
  { "smallint", 258, "0102" },
  { "int", 7, "00000007" },
  { "int", -2147483648, "80000000" },
  { "int", 2147483647, "7fffffff" },
  { "int", ffi.new("uint8_t[1]", 200)[0], "000000c8" },
  { "bigint", 0, "0000000000000000" },
  { "bigint", -1, "ffffffffffffffff" },
  { "bigint", 4294967296, "0000000100000000" },
  { "bigint", -4294967297, "fffffffeffffffff" },
  { "bigint", 9007199254740991, "001fffffffffffff" },
  { "bigint", 9007199254740992, "0020000000000000" },
  { "bigint", -9007199254740992, "ffe0000000000000" },
  { "bigint", 9007199254740993LL, "0020000000000001" },
  { "bigint", -9007199254740993LL, "ffdfffffffffffff" },
  { "bigint", "9223372036854775807", "7fffffffffffffff", 9223372036854775807LL },
  { "bigint", "-9223372036854775808", "8000000000000000", INT64_MIN },
  { "bigint", 9223372036854775807ULL, "7fffffffffffffff", 9223372036854775807LL },
  { "bigint", "+12", "000000000000000c", 12 },
  { "counter", 1, "0000000000000001" },
  { "float", 1.5, "3fc00000" },
  { "float", 1 / 0, "7f800000" },
  { "float", 3.4028234663852886e38, "7f7fffff" },
  { "double", -0.1, "bfb999999999999a" },
  { "double", -1 / 0, "fff0000000000000" },
  { "double", 9007199254740992LL, "4340000000000000", 9007199254740992 },
  { "timestamp", -1, "ffffffffffffffff" },
  { "timestamp", 1700000000123, "0000018bcfe5687b" },
  { "timestamp", INT64_MIN, "8000000000000000" },
  { "date", "1970-01-01", "80000000" },
  { "date", "1969-12-31", "7fffffff" },
  { "date", "-5877641-06-23", "00000000" },
  { "date", "+5881580-07-11", "ffffffff" },
  { "time", 0, "0000000000000000" },
  { "time", 86399999999999, "00004e94914effff" },
  { "time", "00:00:00.000000001", "0000000000000001", 1 },
  { "time", "23:59:59.999999999", "00004e94914effff", 86399999999999 },
  { "time", "13:30", "00002c3391bc7000", 48600000000000 },
  { "uuid", "550E8400-e29b-41d4-a716-446655440000", "550e8400e29b41d4a716446655440000",
    "550e8400-e29b-41d4-a716-446655440000" },
  { "timeuuid", "d2177dd0-eaa2-11de-a572-001b779c76e3", "d2177dd0eaa211dea572001b779c76e3" },
  { "inet", "127.0.0.1", "7f000001" },
  { "inet", "2001:0db8::1", "20010db8000000000000000000000001", "2001:db8::1" },
  { "varint", 0, "00", types.varint "0" },
  { "varint", 127, "7f", types.varint "127" },
  { "varint", "128", "0080", types.varint "128" },
  { "varint", types.varint "-128", "80" },
  { "varint", "-129", "ff7f", types.varint "-129" },
  { "varint", "9223372036854775808", "008000000000000000", types.varint "9223372036854775808" },
  { "decimal", "1.5", "000000010f", types.decimal "1.5" },
  { "decimal", "1.50", "000000020096", types.decimal "1.50" },
  { "decimal", types.decimal "-1E+3", "fffffffdff" },
  { "decimal", 3, "0000000003", types.decimal "3" },
  { "duration", types.duration "1mo2d3ns", "020406" },
  { "duration", "-1mo2d3ns", "010305", types.duration "-1mo2d3ns" },
  { "duration", { months = 1, days = 2, nanoseconds = 3 }, "020406", types.duration "1mo2d3ns" },
  { "list<int>", { 1, 2 }, "00000002 00000004 00000001 00000004 00000002" },
  { "list<int>", {}, "00000000" },
  { "list<boolean>", { false, true }, "00000002 00000001 00 00000001 01" },
  { "set<text>", { "a", "" }, "00000002 00000001 61 00000000" },
  { "list<list<text>>", { { "a" }, {} },
    "00000002 00000009 00000001 00000001 61 00000004 00000000" },
  -- Between two pairs there is nothing.
  { "map<text, int>", { a = 1, b = 2 },
    "00000002 00000001 61 00000004 00000001 00000001 62 00000004 00000002" },
  { "map<int, text>", { [7] = "x" }, "00000001 00000004 00000007 00000001 78" },
  { "map<bigint, boolean>", { ["9007199254740993"] = false },
    "00000001 00000008 0020000000000001 00000001 00" },
  { "tuple<int, text>", { 1, null, n = 2 }, "00000004 00000001 ffffffff" },
  { "tuple<int, text>", { 1, n = 2 }, "00000004 00000001 ffffffff", { 1, null, n = 2 } },
  { "tuple<int, text>", {}, "ffffffff ffffffff", { null, null, n = 2 } },
  { ADDRESS, { street = "x", zip = 5 }, "00000001 78 00000004 00000005" },
  { ADDRESS, { zip = 5, street = null }, "ffffffff 00000004 00000005", { zip = 5 } },
  { ADDRESS, {}, "ffffffff ffffffff" },
  { "vector<int, 3>", { 1, 2, 3 }, "000000010000000200000003" },
  { "vector<float, 2>", { 1.5, -1 / 0 }, "3fc00000ff800000" },
  { "vector<double, 1>", { 1 }, "3ff0000000000000" },
  { "vector<boolean, 2>", { true, false }, "0100" },
  { "vector<text, 2>", { "a", "bc" }, "0161026263" },
  { "vector<text, 1>", { ("x"):rep(128) }, "8080" .. ("78"):rep(128) },
  { "vector<smallint, 2>", { 1, 2 }, "020001020002" },
  { "vector<date, 2>", { "1970-01-01", "1970-01-01" }, "04800000000480000000" },
  { "vector<tinyint, 2>", { 1, 1 }, "01010101" },
  { "vector<vector<int, 1>, 2>", { { 1 }, { 2 } }, "0000000100000002" },
}

local function name_of(type)
  return _G.type(type) == "table" and type[1] .. "." .. type[2] or type
end

local function same(expected, actual)
  if type(expected) == "cdata" or type(actual) == "cdata" then
    assert.equal(type(expected), type(actual))
    assert.is_true(expected == actual)
  else
    assert.same(expected, actual)
  end
end

local function describe_goldens(title, setup_all, teardown_all, times)
  describe(title, function()
    setup(setup_all)
    teardown(teardown_all)
    for _, golden in ipairs(GOLDEN) do
      local type, value, bytes, reads = golden[1], golden[2], golden[3]:gsub(" ", ""), golden[4]
      if reads == nil then reads = value end
      it(("%s: %s"):format(name_of(type), bytes), function()
        for _ = 1, times do
          assert.equal(bytes, encode(type, value))
          same(reads, (decode(type, unhex(bytes))))
        end
      end)
    end
  end)
end

describe_goldens("golden values", function() end, function() end, 1)
describe_goldens("golden values, interpreted", jit.off, jit.on, 1)
-- Low limits: loops and calls are compiled almost at once.
describe_goldens("golden values, compiled", function()
  jit.opt.start("hotloop=2", "hotexit=1")
end, function()
  jit.opt.start("hotloop=56", "hotexit=10")
end, 20)

describe("a value that is read", function()
  it("is nil where it is null, of every type", function()
    for _, golden in ipairs(GOLDEN) do assert.is_nil(decode(golden[1], nil)) end
  end)

  it("is nil where it is empty, but for texts and what holds others", function()
    local READS = { text = "", ascii = "", blob = "", list = {}, set = {}, map = {}, shop = {} }
    for _, golden in ipairs(GOLDEN) do
      local name = name_of(golden[1])
      local expected = READS[name:match "^%a+"]
      if name == "tuple<int, text>" then expected = { null, null, n = 2 } end
      local value, message = decode(golden[1], "")
      assert.is_nil(message)
      assert.same(expected, value, name)
    end
  end)

  it("may have more bytes than its number needs", function()
    assert.equal("1", tostring(decode("varint", unhex "000001")))
    assert.equal("0.01", tostring(decode("decimal", unhex "00000002 0001")))
    assert.equal(true, decode("boolean", "\2"))
  end)

  it("may lack the last fields of its type, or have more than it knows", function()
    assert.same({ 1, null, n = 2 }, decode("tuple<int, text>", unhex "0000000400000001"))
    assert.same({ 1, "x", n = 2 },
      decode("tuple<int, text>", unhex "0000000400000001 0000000178 00000002ffff"))
    assert.same({ street = "x" }, decode(ADDRESS, unhex "0000000178"))
    assert.same({ street = "x", zip = 5 },
      decode(ADDRESS, unhex "0000000178 0000000400000005 00000001ff"))
  end)

  it("has cql.null for a null in a list, and nothing in a map", function()
    assert.same({ null, 1 }, decode("list<int>", unhex "00000002 ffffffff 0000000400000001"))
    -- An empty element that should have had bytes isn't a number, either.
    assert.same({ null }, decode("list<int>", unhex "00000001 00000000"))
    assert.same({ b = 1 },
      decode("map<text, int>", unhex "00000002 0000000161 ffffffff 0000000162 0000000400000001"))
  end)

  it("may be a NaN of any bits, and is a number", function()
    for _, bits in ipairs { "ffffffffffffffff", "7ff0000000000001", "fffc000000000001" } do
      local value = decode("double", unhex(bits))
      assert.equal("number", type(value))
      assert.is_true(value ~= value)
    end
    for _, bits in ipairs { "ffffffff", "7f800001", "ffc00001" } do
      for _, of in ipairs { decode("float", unhex(bits)),
        decode("vector<float, 1>", unhex(bits))[1],
        decode("list<float>", unhex("00000001 00000004" .. bits))[1] } do
        assert.equal("number", type(of))
        assert.is_true(of ~= of)
      end
    end
  end)

  it("may have keys that Lua can't have", function()
    assert.same({ NaN = 1 }, decode("map<double, int>",
      unhex "00000001 00000008 7ff8000000000000 00000004 00000001"))
    assert.same({ [null] = 1 }, decode("map<int, int>",
      unhex "00000001 00000000 00000004 00000001"))
    assert.same({ ["1.50"] = 1 },
      decode("map<decimal, int>", unhex "00000001 00000006 000000020096 00000004 00000001"))
  end)

  it("of a type that nobody knows is its bytes", function()
    local type = ffi.new "cql_type_t"
    type.name.data, type.name.length = ffi.cast("const uint8_t *", "com.x.Y"), 7
    local copy = require("cql.types.descriptor").copy(type)
    assert.equal("'com.x.Y'", copy.text)
    local bytes = unit.buffer "\1\2"
    local cell = ffi.new("cql_cell_t", { as = { bytes = bytes }, length = 2 })
    assert.equal("\1\2", require("cql.types.decode").compile(copy, {})(cell))
  end)
end)

local BIG = "0020000000000001" -- 2^53 + 1

describe("64-bit integers", function()
  local function read(mode, bytes) return (decode("bigint", unhex(bytes), { int64 = mode })) end

  it("read as the mode says", function()
    same(9007199254740993LL, read("auto", BIG))
    same(9007199254740992, read("auto", "0020000000000000"))
    same(-9007199254740992, read("auto", "ffe0000000000000"))
    same(5LL, read("cdata", "0000000000000005"))
    same(5, read("number", "0000000000000005"))
    same(9007199254740992, read("number", BIG))
    same("5", read("string", "0000000000000005"))
    same("-9223372036854775808", read("string", "8000000000000000"))
  end)

  it("are digits beyond 2^53 where they are looked up", function()
    local function keys(mode) return decode("map<bigint, int>", unhex("00000001 00000008" .. BIG ..
      "00000004 00000001"), { int64 = mode }) end
    assert.same({ ["9007199254740993"] = 1 }, keys "auto")
    assert.same({ ["9007199254740993"] = 1 }, keys "string")
    assert.same({ ["9007199254740993"] = 1 }, keys "cdata")
    assert.same({ [9007199254740992] = 1 }, keys "number")
    local function members(mode)
      return decode("set<bigint>", unhex("00000001 00000008" .. BIG), { int64 = mode })[1]
    end
    same("9007199254740993", members "auto")
    same(9007199254740993LL, members "cdata")
    assert.same({ [5] = 1 }, decode("map<bigint, int>", unhex(
      "00000001 00000008 0000000000000005 00000004 00000001")))
  end)
end)

-- ---- plain ----

describe("plain values", function()
  local cjson = require "cjson"
  local PLAIN = {
    { "bigint", "0000000000000005", 5 },
    { "bigint", BIG, "9007199254740993" },
    { "timestamp", BIG, "9007199254740993" },
    { "double", "7ff8000000000000", "NaN" },
    { "double", "fff0000000000000", "-Infinity" },
    { "float", "7f800000", "Infinity" },
    { "float", "3fc00000", 1.5 },
    { "blob", "00ff", "0x00ff" },
    { "text", "c3a9", "\195\169" },
    { "varint", "0080", "128" },
    { "decimal", "000000020096", "1.50" },
    { "duration", "020406", "1mo2d3ns" },
    { "list<decimal>", "00000001 00000005 000000010f", { "1.5" } },
    { "list<int>", "00000001 ffffffff", { cjson.null } },
    { "tuple<int, text>", "00000004 00000001 ffffffff", { 1, cjson.null } },
    { "map<int, text>", "00000001 00000004 00000001 00000001 78", { ["1"] = "x" } },
    { "map<boolean, int>", "00000001 00000001 01 00000004 00000001", { ["true"] = 1 } },
    { "map<list<int>, int>", "00000001 00000004 00000000 00000004 00000001",
      { { key = {}, value = 1 } } },
    { "vector<float, 2>", "7fc00000 3f800000", { "NaN", 1 } },
  }
  for _, case in ipairs(PLAIN) do
    it(("of %s %s are fit for JSON"):format(case[1], case[2]), function()
      local value = decode(case[1], unhex(case[2]), { plain = true })
      assert.same(case[3], value)
      assert.is_string(cjson.encode { value })
    end)
  end

  it("are texts where int64 is cdata or string", function()
    for _, mode in ipairs { "cdata", "string" } do
      local value = decode("bigint", unhex "0000000000000005", { plain = true, int64 = mode })
      assert.equal("5", value)
    end
  end)
end)

-- ---- what is refused ----

local deep = {}
for _ = 1, 40 do deep = { deep } end

local REFUSED = {
  { "int", "x", 'v: int takes a whole number from -2147483648 to 2147483647, not "x"' },
  { "int", 1.5, "not 1.5" },
  { "int", 0 / 0, "not nan" },
  { "int", 1 / 0, "not inf" },
  { "int", 2147483648, "2147483647, not 2147483648" },
  { "int", -2147483649, "not -2147483649" },
  { "int", 2147483648LL, "not 2147483648LL" },
  { "int", true, "not true" },
  { "int", {}, "not a table" },
  { "int", ffi.new "void *", "int takes .* not cdata<void %*>: NULL" },
  { "int", "a\nb" .. ("c"):rep(50), 'not "a%?bc+%.%.%."$' },
  { "smallint", 32768, "smallint takes a whole number from %-32768 to 32767, not 32768" },
  { "smallint", -32769, "not %-32769" },
  { "tinyint", 128, "tinyint takes a whole number from %-128 to 127, not 128" },
  { "tinyint", -129, "not %-129" },
  { "tinyint", 0.5, "not 0.5" },
  { "bigint", 9007199254740994, "up to 2%^53, .* use an int64_t .* not 9007199254740994" },
  { "bigint", 1.5, "whole number.* not 1.5" },
  { "bigint", 0 / 0, "whole number.* not nan" },
  { "bigint", 1 / 0, "whole number.* not inf" },
  { "bigint", "9223372036854775808", 'from %-2%^63 to 2%^63 %- 1, not "9223372036854775808"' },
  { "bigint", "", 'not ""' },
  { "bigint", "1e3", 'not "1e3"' },
  { "bigint", 9223372036854775808ULL, "not 9223372036854775808ULL" },
  { "counter", "x", 'counter takes .* not "x"' },
  { "timestamp", 1.5, "timestamp %(milliseconds since 1970%) takes a whole number .* not 1.5" },
  { "timestamp", "2024-01-01", "milliseconds" },
  { "time", 86400000000000, "time takes nanoseconds" },
  { "time", -1, "time takes nanoseconds" },
  { "time", "24:00:00", "time takes nanoseconds" },
  { "time", "12:60:00", "time takes nanoseconds" },
  { "time", "12:00:00.1234567890", "time takes nanoseconds" },
  { "time", 1.5, "not 1.5" },
  { "date", "2023-02-29", 'date takes text such as "2024%-02%-29", not "2023%-02%-29"' },
  { "date", 5, "not 5" },
  { "double", "1", 'double takes a number, not "1"' },
  { "double", 9007199254740993LL, "exactly, not 9007199254740993LL" },
  { "float", 1e39, "float takes a number from .* not 1e%+39" },
  { "float", -3.5e38, "float takes a number from" },
  { "float", "1", "float takes a number" },
  { "boolean", 1, "boolean takes true or false, not 1" },
  { "text", 5, "text takes a string, not 5 %(tostring%(%) makes one%)" },
  { "blob", {}, "blob takes a string, not a table" },
  { "ascii", "\128", "ascii takes a string of bytes from 0 to 127" },
  { "ascii", 1, "ascii takes" },
  { "uuid", "550e8400e29b41d4a716446655440000", "uuid takes text such as" },
  { "uuid", "550e8400-e29b-41d4-a716-44665544000g", "uuid takes text such as" },
  { "uuid", 1, "uuid takes text such as" },
  { "timeuuid", "550e8400-e29b-41d4-a716-446655440000", "timeuuid takes a uuid of version 1" },
  { "inet", "256.0.0.1", "inet takes an address" },
  { "inet", "localhost", "inet takes an address" },
  { "inet", 1, "inet takes an address" },
  { "varint", 1.5, "varint takes" },
  { "varint", 9007199254740994, "varint takes a whole number up to 2%^53" },
  { "varint", "12x", "varint takes" },
  { "varint", ("9"):rep(20001), "varint takes up to 19,700 digits" },
  { "varint", ("9"):rep(19900), "varint takes up to 19,700 digits" },
  { "decimal", 0.1, "decimal takes text" },
  { "decimal", "1.5.5", "decimal takes text" },
  { "decimal", "1e", "decimal takes text" },
  { "decimal", "1e-2147483648", "decimal takes text" },
  { "duration", "2d1mo", "duration takes text" },
  { "duration", { months = 1, days = -1 }, "of one sign" },
  { "duration", { month = 1 }, "duration takes text" },
  { "duration", { months = 2147483648 }, "duration takes text" },
  { "duration", 5, "duration takes text" },
  { "list<int>", "x", "list<int> takes an array" },
  { "list<int>", { a = 1 }, "list<int> takes an array" },
  { "list<int>", { 1, nil, 3 }, "list<int> takes an array, .* without holes" },
  { "list<int>", { [1] = 1, [3] = 3 }, "list<int> takes an array, .* without holes" },
  { "list<int>", { 1, n = 2 }, "list<int> takes an array" },
  { "list<int>", { 1, null }, "v%[2%]: list<int> takes no null elements" },
  { "list<int>", { 1, unset }, "v%[2%]: list<int> takes no null elements" },
  { "list<int>", { 1, "x" }, 'v%[2%]: int takes a whole number .* not "x"' },
  { "list<list<int>>", { { 1 }, { 1, 2, "x" } }, 'v%[2%]%[3%]: int takes .* not "x"' },
  { "list<list<list<int>>>", deep, "v%[1%]%[1%]%[1%]: int takes" },
  { "map<text, int>", { a = "x" }, 'v%.a: int takes' },
  { "map<text, int>", { ["a b"] = "x" }, 'v%["a b"%]: int takes' },
  { "map<text, int>", { [5] = 1 }, "v%[5%]: as a key text takes a string, not 5" },
  { "map<text, int>", { a = null }, "v%.a: map<text, int> takes no null keys or values" },
  { "map<text, int>", { [null] = 1 }, "v%[null%]: map<text, int> takes no null" },
  { "map<text, int>", "x", "map<text, int> takes a table" },
  { "tuple<int, text>", { 1, "x", 3 }, "v%[3%]: tuple<int, text> takes .* up to 2 fields" },
  { "tuple<int, text>", { a = 1 }, "v%.a: tuple<int, text> takes an array" },
  { "tuple<int, text>", { "x" }, "v%[1%]: int takes" },
  { "tuple<int, text>", { unset }, "v%[1%]: a field can't be unset" },
  { "tuple<int, text>", "x", "tuple<int, text> takes an array" },
  { ADDRESS, { stret = "x" }, 'v: shop.address: unknown field "stret"; did you mean "street"%?' },
  { ADDRESS, { "x" }, 'v: shop.address: unknown field "1"' },
  { ADDRESS, { zip = "x" }, "v%.zip: int takes" },
  { ADDRESS, { zip = unset }, "v%.zip: a field can't be unset" },
  { ADDRESS, "x", "shop.address takes a table of its fields by name" },
  { "vector<int, 3>", { 1, 2 }, "vector<int, 3> takes an array of 3 elements, not a table; .* 2" },
  { "vector<int, 3>", { 1, 2, 3, 4 }, "takes an array of 3 elements" },
  { "vector<int, 3>", { 1, 2, null }, "v%[3%]: vector<int, 3> takes no null elements" },
  { "vector<text, 1>", { 1 }, "v%[1%]: text takes a string" },
  { "vector<int, 3>", "x", "takes an array of 3 elements" },
}

describe("a value that doesn't fit", function()
  for i, case in ipairs(REFUSED) do
    it(("is refused with its reason: %d, %s"):format(i, name_of(case[1])), function()
      local bytes, message = encode(case[1], case[2])
      assert.is_nil(bytes)
      assert(message:find("^v"), message)
      assert(message:find(case[3]) or message:find(case[3], 1, true), message)
    end)
  end
end)

-- ---- bytes that are wrong ----

describe("malformed bytes", function()
  local NESTED = { "list<text>", "map<text, list<int>>", "tuple<int, text, list<int>>",
    "vector<text, 2>", "vector<float, 2>", "set<duration>", "list<decimal>" }
  local VALUES = { { "ab", "c" }, { a = { 1 }, b = {} }, { 1, "x", { 2 } }, { "a", "bc" }, { 1, 2 },
    { types.duration "1d" }, { types.decimal "1.5" } }

  it("are a message or a value, never anything else", function()
    for i, type in ipairs(NESTED) do
      local bytes = unhex(encode(type, VALUES[i]))
      local function try(broken)
        local value, message = decode(type, broken)
        assert.is_true(value == nil or message == nil)
        if message ~= nil and _G.type(message) ~= "number" then
          assert(message:find "malformed value of type ", message)
        end
      end
      unit.truncate(bytes, try)
      unit.mutate(bytes, i, 500, try)
    end
  end)

  it("say of which type they are", function()
    local value, message = decode("map<text, list<int>>", unhex "00000001 0000000161 00000002ffff")
    assert.is_nil(value)
    assert.equal("malformed value of type list<int>", message)
    for _, broken in ipairs { "00000001", "7fffffff00000000", "ffffffff" } do
      assert.is_nil(decode("list<int>", unhex(broken)))
    end
    assert.is_nil(decode("vector<float, 2>", unhex "3f800000"))
    assert.is_nil(decode("vector<text, 1>", unhex "016101"))
  end)

  it("cannot make a varint that takes for ever", function()
    local value, message = decode("varint", "\127" .. ("\255"):rep(8200))
    assert.is_nil(value)
    assert.equal("malformed value of type varint", message)
  end)
end)

describe("maps that are equal", function()
  it("have equal bytes", function()
    local first, second = {}, {}
    for i = 1, 50 do first["key" .. i] = i end
    for i = 50, 1, -1 do second["key" .. i] = i end
    assert.equal(encode("map<text, int>", first), encode("map<text, int>", second))
    assert.equal("00000002 00000004 00000001 00000004 00000000 00000004 00000002 00000004 00000000",
      hex(unhex(encode("map<int, int>", { [2] = 0, [1] = 0 }))):gsub("%x%x%x%x%x%x%x%x", "%0 ")
        :sub(1, -2))
  end)
end)

describe("dates", function()
  it("are days since 1970, on a leap day too", function()
    assert.equal("80004d46", encode("date", LEAP))
    assert.equal(LEAP, decode("date", unhex "80004d46"))
  end)
end)

describe("a map", function()
  it("has one order of its keys, also of those that Lua doesn't compare", function()
    for _, case in ipairs {
      { "map<bigint, int>", function(i) return 1000LL * i end }, -- each at its own address
      { "map<list<int>, int>", function(i) return { i, 7 } end },
      { "map<varint, int>", function(i) return types.varint(300 + i) end },
    } do
      local first
      for round = 1, 3 do
        local map = {}
        for i = 0, 40 do
          local number = round == 2 and 40 - i or i
          map[case[2](number)] = number
        end
        local bytes = encode(case[1], map)
        first = first or bytes
        assert.equal(first, bytes, case[1])
      end
    end
    assert.equal("000000020000000100000000040000000200000001010000000400000001",
      encode("map<boolean, int>", { [true] = 1, [false] = 2 }))
  end)
end)
