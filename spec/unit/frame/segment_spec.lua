local ffi = require "ffi"
local bit = require "bit"
local unit = require "spec.support.unit"
local core = require "spec.support.core"

local C, hex, unhex = unit.C, unit.hex, unit.unhex

local function crc24(bytes) return C.cql__crc24(bytes, #bytes) end
local function crc32(bytes) return C.cql__crc32_more(C.cql__crc32_begin(), bytes, #bytes) end

local function encode(payload_size, uncompressed_size, self_contained, lz4)
  local head = ffi.new "uint8_t[8]"
  local segment = ffi.new("cql__segment", payload_size, uncompressed_size, self_contained)
  C.cql__segment_head_encode(segment, lz4 and 1 or 0, head)
  return ffi.string(head, lz4 and 8 or 6)
end

local function decode(head, lz4)
  local segment = ffi.new "cql__segment"
  local copy = unit.buffer(head)
  if C.cql__segment_head_decode(copy, lz4 and 1 or 0, segment) ~= 0 then return nil end
  return segment.payload_size, segment.uncompressed_size, segment.self_contained
end

describe("CRC24", function()
  -- The published polynomial and start of OpenPGP's CRC24 don't hold here: 0x1974F0B, 0x875060
  -- [spec v5 2.2: header]. Vector as in Cassandra's and the Go driver's tests.
  it("is the one of the specification", function()
    assert.equal(8251255, crc24 "\0\0\0")
    assert.equal("19999a", hex(encode(5, 0, 1)):sub(7)) -- little-endian, behind 3 bytes
  end)

  it("is the remainder that long division gives", function()
    -- bit by bit over the message, as the text defines it
    local function slow(bytes)
      local crc = 0x875060
      for i = 1, #bytes do
        for k = 7, 0, -1 do
          local top = bit.band(bit.rshift(crc, 23), 1)
          local next_bit = bit.band(bit.rshift(bytes:byte(i), k), 1)
          crc = bit.band(bit.lshift(crc, 1), 0xffffff)
          if bit.bxor(top, next_bit) == 1 then crc = bit.bxor(crc, 0x974F0B) end
        end
      end
      return crc
    end
    local random = unit.random(3)
    for length = 0, 40 do
      local bytes = {}
      for i = 1, length do bytes[i] = string.char(random(256)) end
      bytes = table.concat(bytes)
      assert.equal(slow(bytes), crc24(bytes))
    end
  end)
end)

describe("CRC32", function()
  -- zlib's, bit by bit.
  local function slow(bytes, crc)
    crc = bit.bnot(crc or 0)
    for i = 1, #bytes do
      crc = bit.bxor(crc, bytes:byte(i))
      for _ = 1, 8 do
        local low = bit.band(crc, 1)
        crc = bit.rshift(crc, 1)
        if low == 1 then crc = bit.bxor(crc, 0xEDB88320) end
      end
    end
    return bit.bnot(crc) % 2 ^ 32
  end

  it("begins with FA 2D 55 CA [spec v5 2.2: payload]", function()
    assert.equal(slow "\xfa\x2d\x55\xca", C.cql__crc32_begin())
    assert.equal(0x44777ed3, C.cql__crc32_begin())
    -- vector of Cassandra's and the Go driver's tests
    assert.equal(1178391023, crc32 "\0\0\0\0\0")
  end)

  it("is the same in one piece and in many", function()
    local random, bytes = unit.random(5), {}
    for i = 1, 5000 do bytes[i] = string.char(random(256)) end
    bytes = table.concat(bytes)
    assert.equal(slow("\xfa\x2d\x55\xca" .. bytes), crc32(bytes))
    local crc, at = C.cql__crc32_begin(), 1
    while at <= #bytes do
      local part = bytes:sub(at, at + random(200))
      crc = C.cql__crc32_more(crc, part, #part)
      at = at + #part
      crc = C.cql__crc32_more(crc, "", 0)
    end
    assert.equal(crc32(bytes), crc)
  end)
end)

describe("a segment's head", function()
  -- Bytes that other drivers' tests have too (headers), or seen on the wire of Cassandra 5.0.9.
  local GOLDEN = {
    { "050002 19999a", 5, 0, 1 },
    { "ffff01 3891fe", 131071, 0, 0 },
    { "000002 6a36c4", 0, 0, 1 },
    { "0500180004 9e0838", 5, 12, 1, true },
    { "0500feff07 ae6cdc", 5, 131071, 1, true },
    { "0900000004 c2b895", 9, 0, 1, true },
    { "0b00800004 ffee15", 11, 64, 1, true },
  }

  it("is written as elsewhere", function()
    for _, case in ipairs(GOLDEN) do
      local bytes = encode(case[2], case[3], case[4], case[5])
      assert.equal((case[1]:gsub(" ", "")), hex(bytes))
      assert.same({ case[2], case[3], case[4] }, { decode(bytes, case[5]) })
    end
  end)

  it("goes there and back at each power of two", function()
    local sizes = { 0, 131071 }
    for power = 0, 16 do sizes[#sizes + 1] = 2 ^ power end
    for _, payload in ipairs(sizes) do
      for _, plain in ipairs(sizes) do
        for self_contained = 0, 1 do
          local head = encode(payload, plain, self_contained, true)
          assert.same({ payload, plain, self_contained }, { decode(head, true) })
          head = encode(payload, 0, self_contained)
          assert.same({ payload, 0, self_contained }, { decode(head) })
        end
      end
    end
  end)

  it("is refused with any single bit turned", function()
    for _, case in ipairs(GOLDEN) do
      local bytes = unhex(case[1])
      for at = 0, #bytes * 8 - 1 do
        local i = math.floor(at / 8) + 1
        local turned = bit.bxor(bytes:byte(i), bit.lshift(1, at % 8))
        local broken = bytes:sub(1, i - 1) .. string.char(turned) .. bytes:sub(i + 1)
        assert.is_nil(decode(broken, case[5]))
      end
    end
  end)

  it("is read with padding of any value", function()
    local function with_crc(bytes)
      local crc = crc24(bytes)
      return bytes .. string.char(crc % 256, bit.rshift(crc, 8) % 256, bit.rshift(crc, 16))
    end
    assert.same({ 5, 0, 1 }, { decode(with_crc(unhex "0500fe")) })
    assert.same({ 5, 0, 0 }, { decode(with_crc(unhex "0500fc")) })
    assert.same({ 5, 12, 1 }, { decode(with_crc(unhex "05001800fc"), true) })
    assert.same({ 5, 12, 0 }, { decode(with_crc(unhex "05001800f8"), true) })
  end)
end)

describe("a segment's tail", function()
  it("is little-endian and matches its payload alone", function()
    local tail = ffi.new "uint8_t[4]"
    C.cql__segment_tail_encode(crc32(unhex "050000000500000000"), tail)
    assert.equal("1086284d", hex(ffi.string(tail, 4))) -- as Cassandra 5.0.9 sends and takes it
    C.cql__segment_tail_encode(crc32 "", tail)
    assert.equal("d37e7744", hex(ffi.string(tail, 4)))
    assert.equal(1, C.cql__segment_tail_matches(crc32 "", tail))
    for i = 0, 31 do
      local changed = ffi.new("uint8_t[4]", tail)
      changed[math.floor(i / 8)] = bit.bxor(changed[math.floor(i / 8)], bit.lshift(1, i % 8))
      assert.equal(0, C.cql__segment_tail_matches(crc32 "", changed))
    end
  end)

  it("makes whole segments that others know", function()
    local options = unhex "050000000500000000" -- OPTIONS of v5 on stream 0
    assert.equal("090002a4c8c1" .. hex(options) .. "1086284d", hex(core.segment(options)))
    local stored = core.segment(options, { lz4 = true })
    assert.equal("0900000004c2b895" .. hex(options) .. "1086284d", hex(stored))
    local packed = core.segment(("a"):rep(64), { lz4 = true, compress = true })
    assert.equal("0b00800004ffee15" .. "1f61010027506161616161" .. "37c8e516", hex(packed))
    assert.equal(("a"):rep(64), core.unsegment(packed, true)[1].payload)
  end)
end)
