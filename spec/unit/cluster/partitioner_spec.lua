local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C

local NONE, MURMUR3, CDC, RANDOM, BYTE_ORDERED = 0, 1, 2, 3, 4
local SIGN = 0x8000000000000000ULL

local function token(key) return C.cql__token_of(unit.buffer(key), #key) end

local function parts(...)
  local list, kept = ffi.new("cql_slice_t[?]", select("#", ...)), {}
  for i = 1, select("#", ...) do
    local part = select(i, ...)
    kept[i] = part and unit.buffer(part)
    list[i - 1].data, list[i - 1].length = kept[i], part and #part or C.CQL_NULL
  end
  return list, select("#", ...), kept
end

local function key(...)
  local list, count = parts(...)
  local size = tonumber(C.cql__key_size(list, count))
  if size < 0 then return nil, size end
  local out = unit.buffer(("?"):rep(size))
  assert(C.cql__key_join(list, count, out) == out + size)
  return ffi.string(out, size)
end

describe("the token of a key", function()
  local INT_1, BIGINT_1 = unit.u32(1), ("\0"):rep(7) .. "\1"

  it("is what servers and other drivers compute", function()
    local known = {
      [""] = 0LL,
      test = -6017608668500074083LL,
      xd = 4507812186440344727LL,
      primary_key = -1632642444691073360LL,
      ["kremówki"] = 4354931215268080151LL, -- the tail has bytes over 127
      [INT_1] = -4069959284402364209LL,
      [BIGINT_1] = 6292367497774912474LL,
      [("\255"):rep(5)] = -8869521063059112040LL,
      [("\128"):rep(17)] = -7492040465024918340LL, -- a block and a tail
    }
    for bytes, expected in pairs(known) do assert.equal(expected, token(bytes)) end
  end)

  it("is that of all parts of a composite key", function()
    assert.equal(6516349416904725244LL, token(key(INT_1, "a")))
  end)
end)

describe("a partition key", function()
  it("is its one value, or the parts with their lengths and an end each", function()
    assert.equal("abc", key "abc")
    assert.equal("", key "")
    assert.equal("\0\3abc\0\0\0\0\0\1d\0", key("abc", "", "d"))
  end)

  it("has parts of at most 65,535 bytes, and none may be missing", function()
    local longest = ("x"):rep(65535)
    assert.equal("\255\255" .. longest .. "\0\0\1y\0", key(longest, "y"))
    assert.equal(longest .. "x", key(longest .. "x")) -- alone it has no length
    assert.same({ nil, C.CQL_EVALUE }, { key(longest .. "x", "y") })
    assert.same({ nil, C.CQL_EVALUE }, { key("x", nil) })
    assert.same({ nil, C.CQL_EVALUE }, { key(nil) })
  end)
end)

describe("a partitioner", function()
  local function of(name)
    local bytes = unit.buffer(name)
    return C.cql__partitioner_of(ffi.new("cql_slice_t", { bytes, #name }))
  end

  it("is known by the end of its class's name", function()
    assert.equal(MURMUR3, of "org.apache.cassandra.dht.Murmur3Partitioner")
    assert.equal(MURMUR3, of "Murmur3Partitioner")
    assert.equal(CDC, of "com.scylladb.dht.CDCPartitioner")
    assert.equal(RANDOM, of "org.apache.cassandra.dht.RandomPartitioner")
    assert.equal(BYTE_ORDERED, of "org.apache.cassandra.dht.ByteOrderedPartitioner")
    for _, name in ipairs { "", "Partitioner", "OrderPreservingPartitioner", "Murmur3Partitioner2",
      "org.apache.cassandra.dht.LocalPartitioner" } do
      assert.equal(NONE, of(name), name)
    end
    assert.equal(NONE, C.cql__partitioner_of(ffi.new("cql_slice_t", { length = C.CQL_NULL })))
  end)
end)

-- What is borrowed lives in `kept`.
local kept = {}

local function make(partitioner, bytes)
  kept[#kept + 1] = unit.buffer(bytes)
  return C.cql__token_make(partitioner, kept[#kept], #bytes)
end

local function number(made)
  assert.equal(0ULL, made.low)
  assert.equal(0, made.size)
  return ffi.cast("int64_t", made.high - SIGN)
end

-- nil: it isn't a token.
local function parse(partitioner, text)
  local out, bytes = ffi.new "cql__token[1]", unit.buffer(text)
  kept[#kept + 1] = unit.buffer(("?"):rep(math.floor(#text / 2)))
  local slice = ffi.new("cql_slice_t", { bytes, #text })
  out[0].high = 77
  local result = C.cql__token_parse(partitioner, slice, kept[#kept], out)
  if result == 0 then return out[0] end
  assert.equal(C.CQL_EVALUE, result)
  assert.equal(77ULL, out[0].high)
end

local function hex(made)
  return bit.tohex(made.high) .. bit.tohex(made.low)
end

local function compare(a, b)
  local order = C.cql__token_compare(a, b)
  local reversed = C.cql__token_compare(b, a)
  assert(order == 0 and reversed == 0 or order * reversed < 0, "it has no order")
  return order < 0 and "<" or order > 0 and ">" or "="
end

describe("a token", function()
  it("of Murmur3 is its number", function()
    for _, key_of in ipairs { "", "test", "xd", "a longer one with more than sixteen bytes" } do
      assert.equal(token(key_of), number(make(MURMUR3, key_of)))
    end
  end)

  -- The vectors of Scylla's drivers.
  it("of CDC stands in the first eight bytes", function()
    assert.equal(8102654598100187487LL, number(make(CDC, "primary_key")))
    assert.equal(7742362231512463211LL, number(make(CDC, "kremówki")))
    for _, short in ipairs { "", "test", "xd", "1234567" } do
      assert.equal(-0x8000000000000000LL, number(make(CDC, short)))
    end
    assert.equal(0x7fffffffffffffffLL, number(make(CDC, "\128" .. ("\0"):rep(15))))
    assert.equal(-1LL, number(make(CDC, ("\255"):rep(8))))
  end)

  -- By Python: abs(int.from_bytes(hashlib.md5(key).digest(), "big", signed=True)), as hex.
  it("of Random is the absolute value of the MD5", function()
    assert.equal("2be2732670ff4dfb167ff6671307bd82", hex(make(RANDOM, "")))
    assert.equal("098f6bcd4621d373cade4e832627b4f6", hex(make(RANDOM, "test")))
    assert.equal("6ffeaf67c32db04f2969c082d71e808e", hex(make(RANDOM, "abc")))
    assert.equal("", ffi.string(make(RANDOM, "test").bytes, make(RANDOM, "test").size))
  end)

  it("of ByteOrdered is the key", function()
    for _, bytes in ipairs { "", "a", "a key", "a key of more than sixteen bytes" } do
      local made = make(BYTE_ORDERED, bytes)
      assert.equal(bytes, ffi.string(made.bytes, made.size))
    end
  end)

  it("is read from the text that servers write", function()
    for text, expected in pairs {
      ["0"] = 0LL, ["-1"] = -1LL, ["6292367497774912474"] = 6292367497774912474LL,
      ["-9223372036854775808"] = -0x8000000000000000LL,
      ["9223372036854775807"] = 0x7fffffffffffffffLL,
    } do
      assert.equal(expected, number(parse(MURMUR3, text)))
      assert.equal(expected, number(parse(CDC, text)))
    end
    -- digest of "abc", 2^64, the largest
    assert.equal("6ffeaf67c32db04f2969c082d71e808e",
      hex(parse(RANDOM, "148866708576779697295343134153845407886")))
    assert.equal("00000000000000010000000000000000", hex(parse(RANDOM, "18446744073709551616")))
    assert.equal("80000000000000000000000000000000",
      hex(parse(RANDOM, "170141183460469231731687303715884105728")))
    local bytes = parse(BYTE_ORDERED, "00ffAb6b")
    assert.equal("\0\255\171k", ffi.string(bytes.bytes, bytes.size))
    assert.equal("=", compare(parse(BYTE_ORDERED, ""), make(BYTE_ORDERED, "")))
  end)

  it("isn't read from anything else", function()
    for _, text in ipairs { "", "-", "--1", "+1", " 1", "1 ", "1x", "0x10", "1.0",
      "9223372036854775808", "-9223372036854775809", "18446744073709551617", ("9"):rep(39),
      ("9"):rep(40) } do
      assert.is_nil(parse(MURMUR3, text), text)
      assert.is_nil(parse(CDC, text), text)
    end
    for _, text in ipairs { "", "-1", "x", "170141183460469231731687303715884105729",
      "340282366920938463463374607431768211456", ("9"):rep(39), ("1"):rep(40) } do
      assert.is_nil(parse(RANDOM, text), text)
    end
    for _, text in ipairs { "0", "0g", "g0", "000" } do
      assert.is_nil(parse(BYTE_ORDERED, text), text)
    end
    assert.is_nil(parse(NONE, "1"))
    local null = ffi.new("cql_slice_t", { length = C.CQL_NULL })
    for partitioner = NONE, BYTE_ORDERED do
      local out = ffi.new "cql__token[1]"
      assert.equal(C.CQL_EVALUE, C.cql__token_parse(partitioner, null, nil, out))
    end
  end)

  it("has its place among those of its partitioner", function()
    local function in_order(partitioner, ...)
      local texts = { ... }
      for i = 1, #texts do
        for k = 1, #texts do
          local expected = i < k and "<" or i > k and ">" or "="
          local a, b = parse(partitioner, texts[i]), parse(partitioner, texts[k])
          assert.equal(expected, compare(a, b), texts[i] .. ", " .. texts[k])
        end
      end
    end
    in_order(MURMUR3, "-9223372036854775808", "-2", "-1", "0", "1", "9223372036854775807")
    in_order(RANDOM, "0", "1", "18446744073709551615", "18446744073709551616",
      "170141183460469231731687303715884105727", "170141183460469231731687303715884105728")
    local long = ("61"):rep(16)
    in_order(BYTE_ORDERED, "", "00", "0000", "61", "6100", "6161", long, long .. "00",
      long .. "0000", long .. "61", long .. "6162", long .. "62", "ff")
  end)
end)
