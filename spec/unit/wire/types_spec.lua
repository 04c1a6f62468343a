local ffi = require "ffi"
local unit = require "spec.support.unit"
local wire = require "spec.support.wire"

local C, u16, str = unit.C, unit.u16, unit.str

local function text_of(bytes)
  local owner, err = wire.read_type(bytes)
  return owner and wire.type_text(owner.type), err, owner and owner.left
end

-- A UDT of one int field, inside `levels` lists.
local function nested(levels) return u16(0x20):rep(levels) .. u16(0x09) end

local ADDRESS = u16(0x30) .. str "ks" .. str "address" .. u16(2) .. str "street" .. u16(0x0d) ..
  str "zip" .. u16(0x09)

describe("type options", function()
  -- [spec v5 4.2.5.2; v4 has no 0015, v3 no 0011 to 0014]
  local SCALARS = {
    [0x01] = "ascii", [0x02] = "bigint", [0x03] = "blob", [0x04] = "boolean", [0x05] = "counter",
    [0x06] = "decimal", [0x07] = "double", [0x08] = "float", [0x09] = "int", [0x0b] = "timestamp",
    [0x0c] = "uuid", [0x0d] = "text", [0x0e] = "varint", [0x0f] = "timeuuid", [0x10] = "inet",
    [0x11] = "date", [0x12] = "time", [0x13] = "smallint", [0x14] = "tinyint", [0x15] = "duration",
  }

  it("are read for every number, and for no other", function()
    for id = 1, 0x200 do
      local nests = id == 0x20 or id == 0x21 or id == 0x22 or id == 0x30 or id == 0x31
      if not nests then
        local text, err = text_of(u16(id))
        assert.equal(SCALARS[id], text)
        if not SCALARS[id] then assert.equal(C.CQL_EMALFORMED, err) end
      end
    end
  end)

  it("nest [spec v5 4.2.5.2]", function()
    assert.equal("list<int>", text_of(unit.unhex "0020 0009"))
    assert.equal("set<text>", text_of(unit.unhex "0022 000d"))
    assert.equal("map<int, text>", text_of(unit.unhex "0021 0009 000d"))
    assert.equal("tuple<int, text, bigint>", text_of(unit.unhex "0031 0003 0009 000d 0002"))
    assert.equal("tuple", text_of(unit.unhex "0031 0000"))
    assert.equal("ks.address<street text, zip int>", text_of(ADDRESS))
    assert.equal("map<uuid, list<ks.address<street text, zip int>>>",
      text_of(u16(0x21) .. u16(0x0c) .. u16(0x20) .. ADDRESS))
  end)

  it("end where they end", function()
    local _, _, left = text_of(ADDRESS .. "rest")
    assert.equal(4, left)
  end)

  it("keep names beyond the bytes that they came in", function()
    local bytes = unit.buffer(ADDRESS)
    local cursor = ffi.new("cql__cursor", bytes, bytes + #ADDRESS, 0)
    local arena, type = ffi.new "cql__arena", ffi.new "cql_type_t"
    assert.equal(0, C.cql__type_read(cursor, arena, 0, type))
    ffi.fill(bytes, #ADDRESS, 0xee)
    assert.equal("ks.address<street text, zip int>", wire.type_text(type))
    C.cql__arena_free(arena)
  end)

  it("understand custom classes where they stand", function()
    local class = "org.apache.cassandra.db.marshal.DurationType" -- of v3 and v4
    assert.equal("list<duration>", text_of(u16(0x20) .. u16(0) .. str(class)))
    assert.equal("tuple<'com.example.Color', int>",
      text_of(unit.unhex "0031 0002" .. u16(0) .. str "com.example.Color" .. u16(9)))
  end)

  it("nest 32 levels deep and no more", function()
    assert.equal(("list<"):rep(31) .. "int" .. (">"):rep(31), text_of(nested(31)))
    assert.is_nil(text_of(nested(32)))
    assert.is_nil(text_of(nested(100000)))
    assert.is_nil(text_of(unit.unhex "0031 0001" :rep(50000)))
  end)

  it("count the levels of classes too, which stay custom beyond", function()
    local class = ("ListType("):rep(10) .. "Int32Type" .. (")"):rep(10)
    local text = assert(text_of(u16(0x20):rep(21) .. u16(0) .. str(class)))
    assert.equal(("list<"):rep(31) .. "int" .. (">"):rep(31), text)
    text = assert(text_of(u16(0x20):rep(22) .. u16(0) .. str(class)))
    assert.equal(("list<"):rep(22) .. "'" .. class .. "'" .. (">"):rep(22), text)
  end)

  it("are refused when truncated at any byte", function()
    local types = { ADDRESS, unit.unhex "0031 0003 0009 000d 0002",
      unit.unhex "0021 0009 0020 000d",
      u16(0) .. str "com.example.Color" }
    for _, bytes in ipairs(types) do
      unit.truncate(bytes, function(part)
        assert.equal(C.CQL_EMALFORMED, select(2, text_of(part)))
      end)
    end
  end)

  it("are refused when a count lies, before anything is allocated", function()
    for _, bytes in ipairs { unit.unhex "0031 ffff 0009",
      u16(0x30) .. str "ks" .. str "t" .. u16(0xffff) .. str "f" .. u16(9) } do
      local before = tonumber(C.cql__mem_count())
      assert.equal(C.CQL_EMALFORMED, select(2, text_of(bytes)))
      assert.equal(before, tonumber(C.cql__mem_count()))
    end
  end)

  it("never read past the end, whatever they are", function()
    local seed = u16(0x21) .. ADDRESS .. unit.unhex "0031 0003 0009 000d 0020" .. u16(0) ..
      str "org.apache.cassandra.db.marshal.VectorType(FloatType, 3)"
    unit.mutate(seed, 1, 20000, text_of)
  end)

  it("leave nothing behind when memory runs out", function()
    local names = u16(0x30) .. str "ks" .. str "t" .. u16(40)
    for i = 1, 40 do names = names .. str(("field%02d"):format(i):rep(20)) .. ADDRESS end
    local failures = unit.fail_each_allocation(function()
      local owner, err = wire.read_type(names)
      if owner then C.cql__arena_free(owner.arena) end
      return err or 0
    end)
    assert.is_true(failures > 5)
  end)
end)

describe("the size of packed elements", function()
  -- As seen on Cassandra 5.0.9: its VectorType takes only these as fixed.
  local PACKED = { boolean = 1, int = 4, float = 4, bigint = 8, double = 8, timestamp = 8,
    uuid = 16, timeuuid = 16 }

  it("is that of the server's list, not of all types of fixed length", function()
    for kind, name in pairs(wire.kind_names) do
      local type = ffi.new("cql_type_t", { kind = kind })
      if kind ~= C.CQL_VECTOR then
        assert.equal(PACKED[name] or 0, C.cql__type_fixed_size(type))
      end
    end
  end)

  it("multiplies in vectors of vectors, as long as it is an int", function()
    local type = ffi.new("cql_type_t", { kind = C.CQL_VECTOR, dimension = 3, fixed_size = 8 })
    assert.equal(24, C.cql__type_fixed_size(type))
    type.fixed_size = 0
    assert.equal(0, C.cql__type_fixed_size(type))
    type.fixed_size, type.dimension = 0x7fffffff, 0x7fffffff
    assert.equal(0, C.cql__type_fixed_size(type))
  end)
end)
