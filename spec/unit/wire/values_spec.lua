local ffi = require "ffi"
local unit = require "spec.support.unit"
local wire = require "spec.support.wire"

local C, unhex, bytes = unit.C, unit.unhex, unit.bytes
local NULL = {} -- as a null shows in what walk() gives

local INTEGERS = { boolean = true, tinyint = true, smallint = true, int = true, bigint = true,
  counter = true, timestamp = true, time = true, date = true }

-- A cell as Lua: numbers (int64 where they don't fit), strings of bytes, NULL.
local function value_of(kind, cell)
  if cell.length < 0 then return NULL end
  local name = wire.kind_names[kind]
  if cell.length > 0 and INTEGERS[name] then return cell.as.integer end
  if cell.length > 0 and (name == "float" or name == "double") then return cell.as.real end
  return ffi.string(cell.as.bytes, cell.length)
end

local function decode(text, value, length)
  local type = wire.type(text)
  local cell = ffi.new "cql_cell_t"
  local copy = unit.buffer(value)
  local result = C.cql__cell_decode(type, copy, length or #value, cell)
  if result ~= 0 then return nil, result end
  return value_of(type.kind, cell), cell
end

-- All items of a value, or nil and the error. The types of items that hold others are walked too.
local function walk(type, pointer, length)
  local items, cell = ffi.new "cql_items_t", ffi.new "cql_cell_t"
  local result = C.cql__items_open(type, pointer, length, items)
  if result ~= 0 then return nil, result end
  local out = {}
  while true do
    local index = items.index
    result = C.cql__items_next(items, cell)
    if result < 0 then return nil, result end
    if result == 0 then return out, items end
    local child = type.children[type.kind == C.CQL_MAP and index % 2
      or (type.kind == C.CQL_TUPLE or type.kind == C.CQL_UDT) and index or 0]
    if child.child_count > 0 and cell.length >= 0 then
      local inner, err = walk(child, cell.as.bytes, cell.length)
      if not inner then return nil, err end
      out[#out + 1] = inner
    else
      out[#out + 1] = value_of(child.kind, cell)
    end
  end
end

local function items_of(text, value)
  local type, owner = wire.type(text)
  local copy = unit.buffer(value)
  local out, err = walk(type, copy, #value)
  owner.gc = owner.gc -- alive until here
  return out, err
end

describe("cells", function()
  -- [spec v5 6]; the values are computed from its rules
  local GOLDEN = {
    { "boolean", "00", 0 }, { "boolean", "01", 1 }, { "boolean", "ff", 1 },
    { "tinyint", "7f", 127 }, { "tinyint", "80", -128 }, { "tinyint", "ff", -1 },
    { "smallint", "7fff", 32767 }, { "smallint", "8000", -32768 },
    { "int", "00000007", 7 }, { "int", "7fffffff", 2147483647 }, { "int", "80000000", -2147483648 },
    { "bigint", "7fffffffffffffff", 9223372036854775807LL },
    { "bigint", "8000000000000000", -9223372036854775807LL - 1 },
    { "counter", "ffffffffffffffff", -1 },
    { "float", "3fc00000", 1.5 }, { "float", "ff800000", -math.huge },
    { "double", "3ff8000000000000", 1.5 },
    { "double", "0000000000000001", 4.9406564584124654e-324 },
    { "timestamp", "ffffffffffffffff", -1 }, { "timestamp", "0000018bcfe56800", 1700000000000 },
    { "date", "80000000", 0 }, { "date", "80000001", 1 }, { "date", "00000000", -2147483648 },
    { "date", "ffffffff", 2147483647 },
    { "time", "00004e94914effff", 86399999999999 },
    { "uuid", "00112233445566778899aabbccddeeff", unhex "00112233445566778899aabbccddeeff" },
    { "inet", "7f000001", "\127\0\0\1" },
    { "inet", ("00"):rep(15) .. "01", ("\0"):rep(15) .. "\1" },
    { "text", "6162", "ab" }, { "ascii", "61", "a" }, { "blob", "00ff", "\0\255" },
    { "varint", "0080", "\0\128" }, { "decimal", "000000010f", "\0\0\0\1\15" },
    { "duration", "020406", "\2\4\6" },
  }

  it("are taken apart", function()
    for _, case in ipairs(GOLDEN) do
      local value = decode(case[1], unhex(case[2]))
      if type(case[3]) == "string" then
        assert.equal(case[3], value)
      else
        assert(value == case[3], ("%s %s is %s"):format(case[1], case[2], tostring(value)))
      end
    end
  end)

  it("are NaN where the bytes are", function()
    local value = decode("double", unhex "7ff8000000000000")
    assert.is_true(value ~= value)
  end)

  -- LuaJIT takes a double whose first 13 bits are set for a value of another type, so the bits of a
  -- NaN must not be the peer's choice.
  it("know one NaN, whatever bits were sent", function()
    for _, sent in ipairs { "ffffffffffffffff", "fffc000012345678", "7ff0000000000001" } do
      local _, cell = decode("double", unhex(sent))
      assert.equal(0x7ff8000000000000LL, cell.as.integer)
    end
    for _, sent in ipairs { "ffffffff", "ffc12345", "7f800001" } do
      local _, cell = decode("float", unhex(sent))
      assert.equal(0x7ff8000000000000LL, cell.as.integer)
    end
  end)

  it("are null under any negative length", function()
    for _, case in ipairs(GOLDEN) do
      for _, length in ipairs { -1, -2, -2147483648 } do
        local value, cell = decode(case[1], "", length)
        assert.equal(NULL, value)
        assert.equal(C.CQL_NULL, cell.length)
      end
    end
  end)

  it("may be empty, whatever their type [spec v5 6; servers keep such values]", function()
    for _, case in ipairs(GOLDEN) do
      local value, cell = decode(case[1], "")
      assert.equal("", value)
      assert.equal(0, cell.length)
    end
  end)

  it("have the length of their type", function()
    local LENGTHS = { boolean = "1", tinyint = "1", smallint = "2", int = "4", bigint = "8",
      counter = "8", float = "4", double = "8", timestamp = "8", date = "4", time = "8",
      uuid = "16", timeuuid = "16", inet = "4 16" }
    local LEAST = { decimal = 4, duration = 3 }
    for name, lengths in pairs(LENGTHS) do
      for length = 1, 33 do
        local legal = (" " .. lengths .. " "):find(" " .. length .. " ", 1, true)
        local value, err = decode(name, ("\1"):rep(length))
        assert.equal(legal and true or false, value ~= nil, name .. " of " .. length)
        if not legal then assert.equal(C.CQL_EMALFORMED, err) end
      end
    end
    for name, least in pairs(LEAST) do
      for length = 1, 33 do
        assert.equal(length >= least, decode(name, ("\1"):rep(length)) ~= nil, name)
      end
    end
  end)
end)

describe("items of collections", function()
  it("come in order [spec v5 6: list, set, map]", function()
    assert.same({ 1, 2, 3 }, items_of("list<int>",
      unhex "00000003 00000004 00000001 00000004 00000002 00000004 00000003"))
    assert.same({ "a", "", "bc" },
      items_of("set<text>", unhex "00000003 00000001 61 00000000 00000002 6263"))
  end)

  it("of maps are keys and values, with nothing between the pairs", function()
    local out, items = items_of("map<int, text>",
      unhex "00000002 00000004 00000001 00000001 61 00000004 00000002 00000001 62")
    assert.same({ 1, "a", 2, "b" }, out)
    assert.equal(4, items.count)
  end)

  it("may be null when read", function()
    assert.same({ NULL, 1 }, items_of("list<int>", unhex "00000002 ffffffff 00000004 00000001"))
    assert.same({ 1, NULL }, items_of("map<int, int>",
      unhex "00000001 00000004 00000001 ffffffff"))
  end)

  it("are none in an empty value and in an empty collection", function()
    assert.same({}, items_of("list<int>", ""))
    assert.same({}, items_of("list<int>", unhex "00000000"))
    assert.same({}, items_of("map<int, int>", unhex "00000000"))
  end)

  it("nest", function()
    local one = unit.u32(1) .. bytes(unit.u32(7)) -- {7}
    local two = unit.u32(2) .. bytes "a" .. bytes(one) .. bytes "b" .. bytes(one)
    assert.same({ { "a", { 7 }, "b", { 7 } } },
      items_of("list<map<text, set<int>>>", unit.u32(1) .. bytes(two)))
  end)

  it("are not begun when the count lies", function()
    for _, count in ipairs { "ffffffff", "80000000", "7fffffff", "00000003", "40000000" } do
      local value = unhex(count) .. bytes(unit.u32(1)) .. bytes(unit.u32(2))
      for _, text in ipairs { "list<int>", "set<int>", "map<int, int>" } do
        local out, err = items_of(text, value)
        assert.is_nil(out)
        assert.equal(C.CQL_EMALFORMED, err)
      end
    end
  end)

  it("end with an error when truncated at any byte", function()
    local value = unit.u32(2) .. bytes "one" .. bytes(unit.u32(1)) .. bytes "two" ..
      bytes(unit.u32(2))
    unit.truncate(value, function(part, length)
      if length > 0 then
        assert.equal(C.CQL_EMALFORMED, select(2, items_of("map<text, int>", part)))
      end
    end)
  end)

  it("are not of other types", function()
    for _, text in ipairs { "int", "text", "blob", "uuid" } do
      assert.equal(C.CQL_EINVAL, select(2, items_of(text, unit.u32(0))))
    end
  end)
end)

describe("items of tuples and user types", function()
  local TUPLE = "tuple<int, text, bigint>"

  it("are their fields [spec v5 6: tuple, UDT]", function()
    assert.same({ 1, "a", 2 }, items_of("tuple<int, text, int>",
      bytes(unit.u32(1)) .. bytes "a" .. bytes(unit.u32(2))))
    assert.same({ NULL, "", NULL }, items_of(TUPLE, bytes(nil) .. bytes "" .. bytes(nil)))
  end)

  it("are null where the value is older than the type", function()
    assert.same({ 1, NULL, NULL }, items_of(TUPLE, bytes(unit.u32(1))))
    assert.same({ NULL, NULL, NULL }, items_of(TUPLE, ""))
  end)

  it("are skipped where the value is newer than the type", function()
    assert.same({ 1 }, items_of("tuple<int>", bytes(unit.u32(1)) .. bytes "more" .. bytes(nil)))
    assert.same({}, items_of("tuple<>", bytes "more"))
  end)

  it("of user types have names", function()
    local option = unit.u16(0x30) .. unit.str "ks" .. unit.str "u" .. unit.u16(2) .. unit.str "x" ..
      unit.u16(9) .. unit.str "y" .. unit.u16(0x0d)
    local owner = assert(wire.read_type(option))
    local value = bytes(unit.u32(5))
    local copy = unit.buffer(value)
    assert.same({ 5, NULL }, (walk(owner.type, copy, #value)))
    assert.equal("y", unit.slice(owner.type.names[1]))
  end)

  it("end with an error when truncated within a field", function()
    local value = bytes(unit.u32(1)) .. bytes "abc" .. bytes "12345678"
    unit.truncate(value, function(part, length)
      local out, err = items_of(TUPLE, part)
      if length == 0 or length == 8 or length == 15 then
        assert.equal(3, #out)
      else
        assert.equal(C.CQL_EMALFORMED, err)
      end
    end)
  end)
end)

describe("items of vectors", function()
  -- All as seen on Cassandra 5.0.9: what has no fixed length there carries an unsigned vint, also
  -- smallint, date, tinyint, time and counter.
  it("are packed, or have lengths, as the server has it", function()
    assert.same({ 1, 2, 3 }, items_of("vector<int, 3>", unhex "000000010000000200000003"))
    assert.same({ "a", "bc" }, items_of("vector<text, 2>", unhex "0161026263"))
    assert.same({ 1, 2 }, items_of("vector<smallint, 2>", unhex "020001020002"))
    assert.same({ 0, 0 }, items_of("vector<date, 2>", unhex "04800000000480000000"))
    assert.same({ 1, 1 }, items_of("vector<tinyint, 2>", unhex "01010101"))
  end)

  it("nest", function()
    assert.same({ { 1, 2 }, { 3, 4 } },
      items_of("vector<vector<int, 2>, 2>", unhex "00000001000000020000000300000004"))
    assert.same({ { "a" }, { "bc" } }, items_of("vector<vector<text, 1>, 2>",
      unhex "02 0161 03 026263"))
    local list = unit.u32(1) .. bytes(unit.u32(9))
    assert.same({ { 9 } }, items_of("vector<list<int>, 1>", unit.u8(#list) .. list))
  end)

  it("may be longer than 127 bytes", function()
    local long = ("x"):rep(300)
    assert.same({ long, "" }, items_of("vector<text, 2>", unhex "812c" .. long .. unhex "00"))
  end)

  it("are neither too few nor too many", function()
    for _, value in ipairs { "0000000100000002", "00000001000000020000000300", "00" } do
      assert.equal(C.CQL_EMALFORMED, select(2, items_of("vector<int, 3>", unhex(value))))
    end
    for _, value in ipairs { "0161", "016102626300", "01610262", "0161 ffffffffffffffffff 00",
      "0161 f07fffffff 00", "0161 f080000000 00", "016103" } do
      assert.equal(C.CQL_EMALFORMED, select(2, items_of("vector<text, 2>", unhex(value))))
    end
    assert.equal(C.CQL_EMALFORMED, select(2, items_of("vector<text, 2147483647>", "\0\0")))
    assert.equal(C.CQL_EMALFORMED, select(2, items_of("vector<uuid, 2147483647>", "\0\0")))
  end)
end)

describe("a walk", function()
  it("never reads past the end, whatever the bytes are", function()
    local inner = unit.u32(2) .. bytes "a" .. bytes(unit.u32(1)) .. bytes "b" .. bytes(nil)
    local cases = {
      ["map<text, int>"] = inner,
      ["list<map<text, int>>"] = unit.u32(2) .. bytes(inner) .. bytes(inner),
      ["tuple<map<text, int>, uuid, inet, decimal>"] = bytes(inner) .. bytes(("u"):rep(16)) ..
        bytes "\127\0\0\1" .. bytes "\0\0\0\1\15",
      ["vector<text, 3>"] = unhex "0161 026263 00",
      ["vector<vector<float, 2>, 2>"] = ("\1"):rep(16),
    }
    for text, value in pairs(cases) do
      local type, owner = wire.type(text)
      unit.mutate(value, 3, 5000, function(mutant)
        local copy = unit.buffer(mutant)
        local out, err = walk(type, copy, #mutant)
        assert(out or err == C.CQL_EMALFORMED)
      end)
      owner.gc = owner.gc
    end
  end)
end)
