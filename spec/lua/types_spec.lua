-- Values of every CQL type, to bytes and back.
local metadata = require "spec.support.metadata"
local unit = require "spec.support.unit"
local null = require("cql.null").null

local encode, decode, unhex = metadata.encode, metadata.decode, unit.unhex

-- type, Lua value, bytes, what it reads as (the value itself where it is left out).
-- The bytes are those of the native protocol's specification v5, section 6, or computed from its
-- rules; of vectors, those that Cassandra 5.0 sends.
local GOLDEN = {
  { "ascii", "az\127", "617a7f" },
  { "text", "h\195\169", "68c3a9" },
  { "text", "", "" },
  { "blob", "\0\255", "00ff" },
  { "boolean", true, "01" },
  { "boolean", false, "00" },
  { "tinyint", -128, "80" },
  { "tinyint", 127, "7f" },
  { "smallint", -32768, "8000" },
  { "smallint", 258, "0102" },
  { "int", 7, "00000007" },
  { "int", -2147483648, "80000000" },
  { "int", 2147483647, "7fffffff" },
  { "bigint", 9007199254740992, "0020000000000000" },
  { "bigint", -9007199254740992, "ffe0000000000000" },
  { "bigint", 9007199254740993LL, "0020000000000001" },
  { "bigint", "-9223372036854775808", "8000000000000000", -9223372036854775807LL - 1 },
  { "counter", 1, "0000000000000001" },
  { "float", 1.5, "3fc00000" },
  { "double", -0.1, "bfb999999999999a" },
  { "timestamp", -1, "ffffffffffffffff" },
  { "timestamp", 1700000000123, "0000018bcfe5687b" },
  { "date", "1970-01-01", "80000000" },
  { "date", "1969-12-31", "7fffffff" },
  { "time", 86399999999999, "00004e94914effff" },
  { "time", "00:00:00.000000001", "0000000000000001", 1 },
  { "uuid", "550e8400-e29b-41d4-a716-446655440000", "550e8400e29b41d4a716446655440000" },
  { "inet", "127.0.0.1", "7f000001" },
  { "inet", "2001:db8::1", "20010db8000000000000000000000001" },
  { "list<int>", { 1, 2 }, "00000002 00000004 00000001 00000004 00000002" },
  { "set<text>", { "a" }, "00000001 00000001 61" },
  { "list<int>", {}, "00000000" },
  { "map<text, int>", { a = 1 }, "00000001 00000001 61 00000004 00000001" },
  { "tuple<int, text>", { 1, null, n = 2 }, "00000004 00000001 ffffffff" },
  { "vector<int, 3>", { 1, 2, 3 }, "000000010000000200000003" },
  { "vector<text, 2>", { "a", "bc" }, "0161026263" },
  { "vector<smallint, 2>", { 1, 2 }, "020001020002" },
  { "vector<date, 2>", { "1970-01-01", "1970-01-01" }, "04800000000480000000" },
  { "vector<tinyint, 2>", { 1, 1 }, "01010101" },
}

describe("golden values", function()
  for _, golden in ipairs(GOLDEN) do
    local type, value, bytes, reads = golden[1], golden[2], golden[3]:gsub(" ", ""), golden[4]
    it(("%s: %s"):format(type, bytes), function()
      assert.equal(bytes, encode(type, value))
      if reads == nil then reads = value end
      assert.same(reads, (decode(type, unhex(bytes))))
    end)
  end
end)
