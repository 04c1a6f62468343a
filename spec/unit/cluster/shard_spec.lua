-- Shards of tokens, and local ports of shards.
local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C

local shard_of = C.cql__spec_shard_of
local MIN = ffi.cast("int64_t", 0x8000000000000000ULL)
local MAX = 0x7fffffffffffffffLL

-- The same with a list of bits, and no multiplication of 64 bits.
-- biased = token + 2^63 modulo 2^64, shifted left; the shard is the whole part of
-- biased / 2^64 * count.
local function by_bits(token, count, msb)
  local bits, biased = {}, ffi.cast("uint64_t", token) + 0x8000000000000000ULL
  for i = 63, 0, -1 do
    bits[#bits + 1] = tonumber(bit.band(bit.rshift(biased, i), 1ULL))
  end
  for i = 1, 64 do bits[i] = bits[i + msb] or 0 end
  -- Schoolbook: the product's digits in base two, from the lowest, with a carry that stays small.
  local carry = 0
  for i = 64, 1, -1 do carry = math.floor((carry + bits[i] * count) / 2) end
  return carry
end

describe("the shard of a token", function()
  -- With 12 bits ignored: the token, and its shard of 2, 4, 7, 8, 16 and 96.
  local COUNTS = { 2, 4, 7, 8, 16, 96 }
  local KNOWN = {
    { -9219783007514621794LL, 1, 3, 5, 6, 12, 76 },
    { 9222582454147032830LL, 1, 3, 5, 6, 13, 79 },
    { 4507812186440344727LL, 1, 3, 6, 7, 14, 89 },
    { 0LL, 0, 0, 0, 0, 0, 0 }, { 1LL, 0, 0, 0, 0, 0, 0 }, { MIN + 1, 0, 0, 0, 0, 0, 0 },
    { -1LL, 1, 3, 6, 7, 15, 95 }, { MAX, 1, 3, 6, 7, 15, 95 },
  }

  it("is what servers and other drivers compute", function()
    for _, row in ipairs(KNOWN) do
      for i, count in ipairs(COUNTS) do
        assert.equal(row[i + 1], shard_of(row[1], count, 12), ("%s of %d"):format(row[1], count))
      end
    end
  end)

  it("grows with the token where no bits are ignored", function()
    assert.equal(0, shard_of(MIN, 96, 0))
    assert.equal(48, shard_of(0LL, 96, 0))
    assert.equal(47, shard_of(-1LL, 96, 0))
    assert.equal(95, shard_of(MAX, 96, 0))
  end)

  it("is 0 where there is one alone", function()
    for _, row in ipairs(KNOWN) do
      for msb = 0, 63 do assert.equal(0, shard_of(row[1], 1, msb)) end
    end
  end)

  it("is that of the same arithmetic bit by bit, for any token, count and bits", function()
    local random = unit.random(11)
    local function byte() return ffi.cast("uint64_t", random(256)) end
    for _ = 1, 10000 do
      local token = 0ULL
      for _ = 1, 8 do token = token * 256 + byte() end
      local count, msb = 1 + random(4096), random(64)
      token = ffi.cast("int64_t", token)
      local shard = shard_of(token, count, msb)
      assert.is_true(shard < count)
      assert.equal(by_bits(token, count, msb), shard)
    end
  end)
end)

describe("the local ports of a shard", function()
  local function ports(low, high, count, shard, chance)
    local list, walk = {}, C.cql__shard_ports_of(low, high, count, shard, chance or 0)
    while true do
      local port = C.cql__shard_ports_next(walk)
      if port == 0 then break end
      list[#list + 1] = port
    end
    assert.equal(0, C.cql__shard_ports_next(walk))
    return list
  end

  it("have its number as their remainder, and are all there are", function()
    for _, range in ipairs { { 49152, 65535 }, { 1024, 65535 }, { 65535, 65535 },
      { 50000, 50010 } } do
      for _, count in ipairs { 1, 2, 3, 7, 96, 4096, 16384, 65535, 65536, 4294967295 } do
        for _, shard in ipairs { 0, 1, 2, count - 1 } do
          if shard < count then
            local expected = {}
            for port = range[1], range[2] do
              if port % count == shard then expected[#expected + 1] = port end
            end
            assert.same(expected, ports(range[1], range[2], count, shard))
          end
        end
      end
    end
  end)

  it("begin anywhere and go round", function()
    assert.same({ 50001, 50004, 50007, 50010 }, ports(50000, 50010, 3, 0))
    assert.same({ 50007, 50010, 50001, 50004 }, ports(50000, 50010, 3, 0, 2))
    local first = {}
    for chance = 0, 7 do
      first[ports(50000, 50010, 3, 0, chance)[1]] = true
    end
    assert.same({ [50001] = true, [50004] = true, [50007] = true, [50010] = true }, first)
    assert.equal(4, #ports(50000, 50010, 3, 0, 0xffffffffffffffffULL))
  end)

  it("are none where the range is too small, or ends before it begins", function()
    assert.same({}, ports(50000, 50001, 7, 2))
    assert.same({}, ports(50001, 50000, 1, 0))
    assert.same({}, ports(65535, 1024, 2, 1))
    assert.same({ 65535 }, ports(65530, 65535, 16, 15))
  end)
end)
