local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C
unit.cdef("partitioner", [[
  int64_t cql__token_of(const uint8_t *key, size_t size);
  int64_t cql__key_size(const cql_slice_t *parts, uint32_t count);
  uint8_t *cql__key_join(const cql_slice_t *parts, uint32_t count, uint8_t *out);
]])

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
