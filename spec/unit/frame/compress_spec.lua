local ffi = require "ffi"
local unit = require "spec.support.unit"
local core = require "spec.support.core"

local C, hex, unhex = unit.C, unit.hex, unit.unhex

-- Into a buffer of exactly `size` bytes that the sanitizers watch: the bytes, or nil.
local function decompress(block, size)
  local out = unit.buffer(("?"):rep(size))
  local copy = unit.buffer(block)
  local result = C.cql__lz4_decompress(copy, #block, out, size)
  if result == 0 then return ffi.string(out, size) end
  assert.equal(C.CQL_EPROTOCOL, result)
  return nil
end

local function text(length, kinds, seed)
  local random, out = unit.random(seed), {}
  for i = 1, length do out[i] = string.char(random(kinds)) end
  return table.concat(out)
end

describe("LZ4 blocks", function()
  it("are those of the LZ4 library", function()
    assert.equal("5068656c6c6f", hex(core.lz4 "hello")) -- one token, five literals
    assert.equal("1f61010027506161616161", hex(core.lz4(("a"):rep(64))))
    assert.equal("hello", decompress(unhex "5068656c6c6f", 5))
  end)

  it("go there and back", function()
    for seed, length in ipairs { 1, 12, 13, 64, 1000, 4096, 65536, 131071, 1000000 } do
      for _, kinds in ipairs { 1, 3, 256 } do
        local bytes = text(length, kinds, seed)
        assert.is_true(decompress(core.lz4(bytes), length) == bytes)
      end
    end
  end)

  it("are written only if they fit", function()
    local bytes = ("a"):rep(64)
    for capacity = 0, 20 do
      local out = unit.buffer(("?"):rep(capacity))
      local size = tonumber(C.cql__lz4_compress(bytes, #bytes, out, capacity))
      assert.equal(capacity >= 11 and 11 or 0, size)
    end
    local noise = text(500, 256, 1)
    local out = unit.buffer(("?"):rep(499))
    assert.equal(0, tonumber(C.cql__lz4_compress(noise, 500, out, 499)))
  end)

  it("have a bound, but for what is too large", function()
    assert.is_true(tonumber(C.cql__lz4_bound(0)) > 0)
    assert.is_true(tonumber(C.cql__lz4_bound(1000)) > 1000)
    assert.is_true(C.cql__lz4_bound(0x7E000000) > 0x7E000000)
    assert.equal(0, tonumber(C.cql__lz4_bound(0x7E000001)))
    assert.equal(0, tonumber(C.cql__lz4_bound(core.NEVER)))
    local some = ffi.new "uint8_t[8]"
    assert.equal(0, tonumber(C.cql__lz4_compress(some, 0x7E000001, some, 8)))
    assert.equal(0, tonumber(C.cql__lz4_compress(some, 8, some, 0x80000000)))
  end)

  it("must give exactly what was promised", function()
    local bytes = text(1000, 3, 9)
    local block = core.lz4(bytes)
    assert.is_true(decompress(block, 1000) == bytes)
    for _, lie in ipairs { 1, 999, 1001, 2000, 131071 } do
      assert.is_nil(decompress(block, lie))
    end
  end)

  it("of nothing are tolerated in any form", function()
    -- Servers send `00` for an empty body [seen on Cassandra 5.0.9]
    assert.equal("", decompress(unhex "00", 0))
    assert.equal("", decompress("", 0))
  end)

  it("that are broken are refused", function()
    local bytes = text(300, 4, 2)
    local block = core.lz4(bytes)
    unit.truncate(block, function(part) assert.is_nil(decompress(part, 300)) end)
    assert.is_nil(decompress(unhex "1f610000", 64)) -- an offset of 0
    assert.is_nil(decompress(unhex "1f61ffff00", 64)) -- an offset to before the beginning
    assert.is_nil(decompress(("\255"):rep(100), 1000)) -- a run that never ends
    unit.mutate(block, 4, 3000, function(mutant)
      local out = decompress(mutant, 300)
      assert(out == nil or #out == 300)
    end)
  end)

  it("larger than an int are refused before anything is read", function()
    local out = ffi.new "uint8_t[8]"
    assert.equal(C.CQL_EPROTOCOL, C.cql__lz4_decompress(out, 0x80000000, out, 8))
    assert.equal(C.CQL_EPROTOCOL, C.cql__lz4_decompress(out, 8, out, 0x80000000))
  end)
end)
