local ffi = require "ffi"
local unit = require "spec.support.unit"
local wire = require "spec.support.wire"

local C, hex, unhex = unit.C, unit.hex, unit.unhex

local function encode(value)
  local out = ffi.new "uint8_t[9]"
  return ffi.string(out, C.cql__vint_encode(value, out))
end

local function decode(bytes, signed)
  local cursor = wire.cursor(bytes)
  local value = signed and C.cql__read_vint(cursor) or C.cql__read_unsigned_vint(cursor)
  if cursor.broken ~= 0 then return nil end
  return value, wire.left(cursor)
end

describe("unsigned vints", function()
  -- [spec v5 3: unsigned vint]
  local GOLDEN = { { 0, "00" }, { 1, "01" }, { 127, "7f" }, { 128, "8080" }, { 256000, "c3e800" },
    { 16383, "bfff" }, { 16384, "c04000" }, { 72057594037927935ULL, "feffffffffffffff" },
    { 72057594037927936ULL, "ff0100000000000000" },
    { 9223372036854775807ULL, "ff7fffffffffffffff" },
    { 18446744073709551615ULL, "ffffffffffffffffff" } }

  it("are written in the shortest form and read", function()
    for _, case in ipairs(GOLDEN) do
      assert.equal(case[2], hex(encode(case[1])))
      local value, left = decode(unhex(case[2]) .. "rest")
      assert.is_true(value == ffi.cast("uint64_t", case[1]))
      assert.equal(4, left)
    end
  end)

  it("go there and back at each power of two", function()
    for bit = 0, 63 do
      for _, off in ipairs { -1, 0, 1 } do
        local value = 2ULL ^ bit + off
        local bytes = encode(value)
        assert.is_true(decode(bytes) == value)
        unit.truncate(bytes, function(part) assert.is_nil(decode(part)) end)
      end
    end
  end)

  it("are read in longer forms too", function()
    for _, bytes in ipairs { "8001", "c00001", "fe00000000000001", "ff0000000000000001" } do
      assert.is_true(decode(unhex(bytes)) == 1ULL)
    end
  end)
end)

describe("vints", function()
  it("are zig-zagged [spec v5 3: vint]", function()
    local golden = { { 0LL, "00" }, { -1LL, "01" }, { 1LL, "02" }, { 2147483647LL, "f0fffffffe" },
      { -2147483648LL, "f0ffffffff" }, { 9223372036854775807LL, "fffffffffffffffffe" },
      { -9223372036854775807LL - 1, "ffffffffffffffffff" } }
    for _, case in ipairs(golden) do
      assert.is_true(decode(unhex(case[2]), true) == case[1], case[2])
    end
  end)
end)

describe("durations", function()
  local function to_bytes(months, days, nanoseconds)
    local out = ffi.new "uint8_t[27]"
    local size = C.cql__duration_encode(months, days, nanoseconds, out)
    return size > 0 and hex(ffi.string(out, size)) or nil, size
  end

  local function from_bytes(text)
    local bytes = unhex(text)
    local months, days = ffi.new "int32_t[1]", ffi.new "int32_t[1]"
    local nanoseconds = ffi.new "int64_t[1]"
    local copy = unit.buffer(bytes)
    local result = C.cql__duration_decode(copy, #bytes, months, days, nanoseconds)
    if result ~= 0 then return nil, result end
    return { months[0], days[0], tonumber(nanoseconds[0]) }
  end

  it("are three vints of one sign [spec v5 6: duration]", function()
    assert.equal("020406", to_bytes(1, 2, 3))
    assert.equal("010305", to_bytes(-1, -2, -3))
    assert.equal("000000", to_bytes(0, 0, 0))
    assert.equal("f0fffffffef0fffffffefffffffffffffffffe",
      to_bytes(2147483647, 2147483647, 9223372036854775807LL))
    local least = to_bytes(-2147483648, -2147483648, -9223372036854775807LL - 1)
    assert.equal("f0fffffffff0ffffffffffffffffffffffffff", least)
    assert.same({ 1, 2, 3 }, from_bytes "020406")
    assert.same({ -1, -2, -3 }, from_bytes "010305")
    assert.same({ -2147483648, -2147483648, -9223372036854775808 }, from_bytes(least))
  end)

  it("of mixed signs are not written", function()
    for _, parts in ipairs { { 1, -1, 0 }, { 0, 1, -1 }, { -1, 0, 1 }, { 1, 1, -1 } } do
      assert.equal(C.CQL_EVALUE, select(2, to_bytes(unpack(parts))))
    end
  end)

  it("are refused when they are no duration", function()
    for _, bytes in ipairs { "", "02", "0204", "02040600", "8002", "f100000000 00 00",
      "ffffffffffffffffff 00 00", "00 f200000000 00" } do
      local value, err = from_bytes(bytes)
      assert.is_nil(value, bytes)
      assert.equal(C.CQL_EMALFORMED, err)
    end
    assert.equal(C.CQL_EMALFORMED, C.cql__duration_decode(nil, -1, nil, nil, nil))
  end)
end)
