local ffi = require "ffi"
local bit = require "bit"
local unit = require "spec.support.unit"
local core = require "spec.support.core"
local responses = require "spec.support.responses"

local C, u8, u16, u32 = unit.C, unit.u8, unit.u16, unit.u32
local KIB = 1024
local BODY_MAX = 256 * KIB * KIB -- of the protocol

-- ---- a reader whose envelopes come to Lua ----

local current -- the reader that cuts

local deliver = ffi.cast("int (*)(void *, const cql__envelope *)", function(_, envelope)
  return current:on_envelope(envelope)
end)
local too_big = ffi.cast("int (*)(void *, const uint8_t *)", function(_, header)
  current.got[#current.got + 1] = "too big: " .. unit.hex(ffi.string(header, 9))
  return current.refuse or 0
end)

-- Callbacks come out of it, so it may not be compiled.
local function cut(reader, size) return C.cql__reader_cut(reader, size) end
jit.off(cut)

local Reader = {}
Reader.__index = Reader

-- options: framed, lz4, body_max, hold (keeps a reference to what it gets)
local function new_reader(options)
  options = options or {}
  local self = setmetatable({ got = {}, held = {}, pool = C.cql__pool_new() }, Reader)
  self.reader = ffi.new "cql__reader"
  C.cql__reader_init(self.reader, self.pool, options.body_max or BODY_MAX)
  self.reader.framed = options.framed and 1 or 0
  self.reader.lz4 = options.lz4 and 1 or 0
  self.reader.deliver, self.reader.too_big = deliver, too_big
  self.hold, self.after, self.refuse = options.hold, options.after, options.refuse
  return self
end

function Reader:on_envelope(envelope)
  local bytes = ffi.string(envelope.header, 9) .. ffi.string(envelope.body, envelope.size)
  self.got[#self.got + 1] = bytes
  if self.hold then
    local at = envelope.body - ffi.cast("uint8_t *", envelope.owner.data)
    self.held[#self.held + 1] = { block = C.cql__spec_block_ref(envelope.owner), at = tonumber(at),
      size = tonumber(envelope.size) }
  end
  if self.after then self.after(self, #self.got) end
  return self.refuse or 0
end

function Reader:free()
  C.cql__reader_deinit(self.reader)
  for _, one in ipairs(self.held) do C.cql__spec_block_unref(one.block) end
  C.cql__pool_retire(self.pool)
end

-- Feeds the bytes, at most `part` (a number or a function) at a time: 0, or the error.
function Reader:feed(bytes, part)
  local space, size = ffi.new "uint8_t *[1]", ffi.new "size_t[1]"
  local at = 1
  current = self
  while at <= #bytes do
    local error = C.cql__reader_space(self.reader, space, size)
    if error ~= 0 then return error end
    assert(size[0] > 0, "no space")
    local most = type(part) == "function" and part() or part or #bytes
    local chunk = bytes:sub(at, at + math.min(tonumber(size[0]), most) - 1)
    ffi.copy(space[0], chunk, #chunk)
    error = cut(self.reader, #chunk)
    if error ~= 0 then return error end
    at = at + #chunk
  end
  C.cql__reader_rest(self.reader)
  return 0
end

function Reader:why() return self.reader.why ~= nil and ffi.string(self.reader.why) or nil end

-- What comes of these bytes: the envelopes, or nil and why not; the pool is whole afterwards.
local function read(bytes, options, part)
  local live = core.now_live()
  local self = new_reader(options)
  local error = self:feed(bytes, part)
  local why, got, idle = self:why(), self.got, self.reader.slab == nil and self.reader.large == nil
  self:free()
  assert(core.now_live() == live, "memory is left behind")
  if error ~= 0 then return nil, why or error, got end
  return got, idle
end

-- These envelopes come of the bytes, and no others.
local function gives(expected, bytes, options, part)
  local got, why = read(bytes, options, part)
  if not got then error("refused: " .. tostring(why), 2) end
  for i = 1, math.max(#expected, #got) do
    if got[i] ~= expected[i] then
      local function show(one) return one and #one .. " " .. unit.hex(one:sub(1, 30)) or "none" end
      error(("envelope %d of %d: %s, not %s"):format(i, #expected, show(got[i]),
        show(expected[i])), 2)
    end
  end
end

-- ---- envelopes to send ----

local function envelope(body, stream, version, flags)
  return u8(0x80 + (version or 5)) .. u8(flags or 0) .. u16(stream or 1) .. u8(8) ..
    u32(#body) .. body
end

local function noise(length, seed)
  local random, out = unit.random(seed or length), {}
  for i = 1, length do out[i] = string.char(random(256)) end
  return table.concat(out)
end

-- An envelope cut into segments that aren't self-contained.
local function sliced(bytes, options, size)
  local out = {}
  for at = 1, #bytes, size or core.SEGMENT_MAX do
    local slice = { slice = true, lz4 = options.lz4, compress = options.compress }
    out[#out + 1] = core.segment(bytes:sub(at, at + (size or core.SEGMENT_MAX) - 1), slice)
  end
  return table.concat(out)
end

local LZ4 = { framed = true, lz4 = true }
local PLAIN = { framed = true }

describe("the reader", function()
  -- As OPTIONS of v5, which has been seen on the wire, but for the direction.
  local GOLDEN = unit.unhex "850000000500000000"

  for version = 3, 5 do
    it(("gives every response of v%d whole, split at every byte"):format(version), function()
      for _, response in ipairs(responses.all(version)) do
        for at = 0, #response.bytes do
          local first = true
          local got, idle = read(response.bytes, nil, function()
            local part = first and at > 0 and at or #response.bytes
            first = false
            return part
          end)
          assert(got and #got == 1 and got[1] == response.bytes and idle, response.name)
        end
      end
    end)
  end

  it("gives all responses of a version, in parts of any size", function()
    for version = 3, 5 do
      local all, expected = {}, {}
      for i, response in ipairs(responses.all(version)) do
        all[i], expected[i] = response.bytes, response.bytes
      end
      all = table.concat(all)
      for _, part in ipairs { 1, 2, 3, 7, 64, 1000, #all } do
        gives(expected, all, nil, part)
      end
      local random = unit.random(version)
      gives(expected, all, nil, function() return random(40) + 1 end)
    end
  end)

  it("gives every response of v5 out of a segment split at every byte", function()
    for _, response in ipairs(responses.all(5)) do
      for _, options in ipairs { PLAIN, LZ4 } do
        for _, compress in ipairs { false, options.lz4 or nil } do
          local bytes = core.segment(response.bytes, { lz4 = options.lz4, compress = compress })
          for at = 0, #bytes do
            local first = true
            local got, idle = read(bytes, options, function()
              local part = first and at > 0 and at or #bytes
              first = false
              return part
            end)
            assert(got and got[1] == response.bytes and #got == 1 and idle, response.name)
          end
        end
      end
    end
  end)

  it("gives several envelopes of one segment, and of many", function()
    local all, bytes = {}, {}
    for i = 1, 300 do
      all[i] = envelope(noise(i % 50), i)
      if i % 3 == 0 then
        bytes[#bytes + 1] = core.segment(all[i - 2] .. all[i - 1] .. all[i])
      end
    end
    for _, part in ipairs { 1, 100, 65536 } do
      gives(all, table.concat(bytes), PLAIN, part)
    end
    gives({ GOLDEN, GOLDEN }, core.segment(GOLDEN .. GOLDEN), PLAIN)
  end)

  it("gathers an envelope over several segments", function()
    for _, length in ipairs { 131063, 131064, 262133, 262134, 1000000 } do
      local whole = envelope(noise(length))
      for _, options in ipairs { PLAIN, LZ4, { framed = true, lz4 = true, compress = true } } do
        local bytes = sliced(whole, options) .. core.segment(GOLDEN, { lz4 = options.lz4 })
        gives({ whole, GOLDEN }, bytes, options, 100000)
      end
    end
    local whole = envelope(noise(500))
    for size = 1, 40 do -- the header in pieces too: servers don't, but it is clear what is meant
      local bytes = sliced(whole, PLAIN, size) .. core.segment(GOLDEN)
      gives({ whole, GOLDEN }, bytes, PLAIN, 9)
    end
  end)

  it("tolerates payloads of no bytes, amid slices too", function()
    local nothing = unit.unhex "000002 6a36c4 d37e7744"
    gives({ GOLDEN, GOLDEN }, nothing .. core.segment(GOLDEN) .. nothing .. nothing ..
      core.segment(GOLDEN), PLAIN)
    local whole = envelope(noise(100))
    local slices = sliced(whole, PLAIN, 60)
    slices = slices:sub(1, 70) .. nothing .. slices:sub(71)
    gives({ whole }, slices, PLAIN)
    gives({ GOLDEN }, core.segment("", LZ4) .. core.segment(GOLDEN, LZ4), LZ4)
  end)

  it("gives bodies of any size in v3 and v4, in blocks of their own from 32 KiB on", function()
    for _, length in ipairs { 0, 32758, 32759, 32760, 65527, 65528, 100000, 5000000 } do
      local whole = envelope(noise(length), 1, 4)
      for _, part in ipairs { 4000, 70000, 10000000 } do
        local got, idle = read(GOLDEN .. whole .. GOLDEN, nil, part)
        assert(got and #got == 3 and got[2] == whole and got[3] == GOLDEN and idle)
      end
    end
  end)

  it("switches to segments between two envelopes", function()
    local options = { after = function(self, count)
      if count == 2 then self.reader.framed = 1 end
    end }
    local bytes = GOLDEN .. GOLDEN .. core.segment(GOLDEN .. GOLDEN) .. core.segment(GOLDEN)
    for part = 1, #bytes do
      gives({ GOLDEN, GOLDEN, GOLDEN, GOLDEN, GOLDEN }, bytes, options, part)
    end
  end)

  it("never moves what is still referred to", function()
    for _, case in ipairs { { nil, 4 }, { PLAIN, 5 }, { LZ4, 5 } } do
      local options, all, bytes = { hold = true }, {}, {}
      for key, value in pairs(case[1] or {}) do options[key] = value end
      for i = 1, 400 do
        all[i] = envelope(noise(i * 7), i, case[2])
        bytes[i] = options.framed and core.segment(all[i], { lz4 = options.lz4,
          compress = options.lz4 and i % 2 == 0 }) or all[i]
      end
      local self = new_reader(options)
      assert.equal(0, self:feed(table.concat(bytes), 10000))
      for i, one in ipairs(self.held) do
        assert(core.block_bytes(one.block, one.size, one.at) == all[i]:sub(10))
      end
      self:free()
    end
  end)

  it("gives its slab back when all of it is cut", function()
    local _, idle = read(GOLDEN:rep(100))
    assert.is_true(idle)
    _, idle = read(GOLDEN:rep(100) .. GOLDEN:sub(1, 3))
    assert.is_false(idle)
  end)
end)

describe("a compressed body", function()
  local COMPRESSED = 1
  local function compressed(body, claims, block)
    return u8(0x84) .. u8(COMPRESSED) .. u16(1) .. u8(8) .. u32(4 + #(block or core.lz4(body))) ..
      u32(claims or #body) .. (block or core.lz4(body))
  end

  it("is given uncompressed", function()
    local hello = unit.unhex "84010001080000000a 00000005 5068656c6c6f"
    assert.same("hello", read(hello, { lz4 = true })[1]:sub(10))
    for _, length in ipairs { 1, 100, 40000, 300000, 5000000 } do
      for _, body in ipairs { ("ab"):rep(length), noise(length) } do
        local got = read(compressed(body), { lz4 = true, hold = true }, 50000)
        assert.is_true(got[1]:sub(10) == body)
      end
    end
  end)

  it("of no bytes is an empty READY [seen on Cassandra 5.0.9]", function()
    local got = read(unit.unhex "840100000200000005 00000000 00", { lz4 = true })
    assert.equal("840100000200000005", unit.hex(got[1]))
  end)

  it("is refused where no compression was agreed", function()
    assert.equal("a compressed body, and no compression was agreed",
      select(2, read(compressed "hello")))
  end)

  it("is refused when it is broken", function()
    local function why(bytes) return select(2, read(bytes, { lz4 = true, body_max = 100000 })) end
    for length = 0, 3 do
      assert.equal("a compressed body without its length",
        why(u8(0x84) .. u8(1) .. u16(1) .. u8(8) .. u32(length) .. ("\0"):rep(length)))
    end
    local lies = "a compressed body with an impossible length"
    assert.equal(lies, why(compressed("hello", 100001))) -- no block of 10 bytes becomes that
    assert.equal(lies, why(compressed("hello", 0xffffffff)))
    assert.equal(lies, why(compressed("", BODY_MAX + 1, ("\255"):rep(100))))
    local broken = "a compressed body that does not decompress"
    assert.equal(broken, why(compressed("hello", 4)))
    assert.equal(broken, why(compressed("hello", 6)))
    assert.equal(broken, why(compressed("hello", 5, "\255\255\255")))
    assert.equal(broken, why(compressed("hello", 5, "")))
  end)

  it("larger than configured is told of without its bytes, and nothing is lost by it", function()
    local big, small = compressed(("a"):rep(5000)), compressed(("b"):rep(4000))
    local got = read(big .. small, { lz4 = true, body_max = 4000 })
    assert.equal("too big: " .. unit.hex(big:sub(1, 9)), got[1])
    assert.equal(("b"):rep(4000), got[2]:sub(10))
  end)

  it("is what v5 calls nothing: there the flag is ignored", function()
    local flagged = envelope("as it is", 1, 5, COMPRESSED)
    gives({ flagged }, flagged, { lz4 = true })
    gives({ flagged }, core.segment(flagged, LZ4), LZ4)
  end)

  it("takes no memory for what it only claims", function()
    for _, size in ipairs { 10, 1000, 30000 } do
      local bomb = compressed("", 200000000, ("\255"):rep(size))
      local reader = new_reader { lz4 = true }
      local before = tonumber(C.cql__mem_count())
      assert.equal(C.CQL_EPROTOCOL, reader:feed(bomb))
      assert.equal(before + 1, tonumber(C.cql__mem_count())) -- the slab alone
      reader:free()
    end
  end)
end)

describe("the reader refuses", function()
  local function why(bytes, options, part) return (select(2, read(bytes, options, part))) end

  it("a body longer than the protocol allows, before it takes memory", function()
    for _, length in ipairs { BODY_MAX + 1, 0x7fffffff, 0x80000000, 0xffffffff } do
      local head = u8(0x85) .. u8(0) .. u16(1) .. u8(8) .. u32(length)
      local reader = new_reader()
      local before = tonumber(C.cql__mem_count())
      assert.equal(C.CQL_EPROTOCOL, reader:feed(head))
      assert.equal("an envelope longer than the protocol allows", reader:why())
      assert.equal(before + 1, tonumber(C.cql__mem_count()))
      reader:free()
      for _, slice in ipairs { true, false } do
        assert.equal("an envelope longer than the protocol allows",
          why(core.segment(head .. "more", { slice = slice }), PLAIN))
      end
    end
  end)

  it("a segment with any single bit turned", function()
    local function bit_turned(bytes, at)
      local i = math.floor(at / 8) + 1
      return bytes:sub(1, i - 1) .. string.char(bit.bxor(bytes:byte(i), bit.lshift(1, at % 8))) ..
        bytes:sub(i + 1)
    end
    local whole = envelope "some bytes of a body"
    for _, options in ipairs { PLAIN, LZ4 } do
      local segment = core.segment(whole, { lz4 = options.lz4 })
      local head_bits = (options.lz4 and 8 or 6) * 8
      for at = 0, #segment * 8 - 1 do
        assert.equal(at < head_bits and "a segment's head with a wrong CRC24"
          or "a segment's payload with a wrong CRC32", why(bit_turned(segment, at), options))
      end
    end
  end)

  it("a self-contained segment with half an envelope", function()
    local half = "a self-contained segment with half an envelope"
    local whole = envelope "some bytes of a body"
    for length = 1, #whole - 1 do
      assert.equal(half, why(core.segment(whole:sub(1, length)), PLAIN))
      assert.equal(half, why(core.segment(whole .. whole:sub(1, length)), PLAIN))
    end
  end)

  it("slices that hold more than their envelope, or end amid it", function()
    local whole = envelope "some bytes of a body"
    local more = "segments that hold more than their envelope"
    assert.equal(more, why(core.segment(whole .. "x", { slice = true }), PLAIN))
    for _, excess in ipairs { 1, 500, 5000, 100000 } do -- none of it may be put anywhere
      assert.equal(more, why(core.segment(whole:sub(1, 10), { slice = true }) ..
        core.segment(whole:sub(11) .. ("x"):rep(excess), { slice = true }), PLAIN))
    end
    assert.equal("a self-contained segment amid an envelope's slices",
      why(core.segment(whole:sub(1, 15), { slice = true }) .. core.segment(whole), PLAIN))
  end)

  it("a segment whose lengths lie", function()
    local whole = envelope(("body "):rep(50))
    local broken = "a segment that does not decompress"
    for _, claims in ipairs { 1, #whole - 1, #whole + 1, core.SEGMENT_MAX } do
      local bytes = core.segment(whole, { lz4 = true, compress = true, claims = claims })
      assert.equal(broken, why(bytes, LZ4))
    end
    -- No bytes can't become some.
    assert.equal(broken, why(core.segment("", { lz4 = true, claims = 12 }), LZ4))
  end)

  it("what isn't the native protocol, at its first byte", function()
    local refused = "bytes that are no answer of the native protocol"
    for _, bytes in ipairs { "\5", "\4\0\0\1\8\0\0\0\0", "HTTP/1.1 400 Bad Request\r\n\r\n" } do
      assert.equal(refused, why(bytes))
      assert.equal(refused, why(core.segment(bytes), PLAIN))
    end
    local slice = core.segment("\5\0\0\1\8\0\0\1\0", { slice = true })
    assert.equal(refused, why(slice, PLAIN))
  end)

  it("v1 and v2, whose header has 8 bytes, as another version", function()
    for _, version in ipairs { 0x80, 0x81, 0x82 } do
      local reader = new_reader()
      assert.equal(C.CQL_EVERSION, reader:feed(string.char(version)))
      assert.equal("an answer of protocol v1 or v2", reader:why())
      reader:free()
    end
    for _, version in ipairs { 0x83, 0x84, 0x85, 0x86, 0xff } do
      assert.is_table((read(string.char(version)))) -- whoever gets it decides
    end
  end)

  it("what the one who gets an envelope refuses, and stops there", function()
    local whole = envelope "body"
    local options = { refuse = C.CQL_EAUTH }
    local _, error, got = read(whole .. whole, options)
    assert.equal(C.CQL_EAUTH, error)
    assert.equal(1, #got)
    options.framed = true
    _, error, got = read(core.segment(whole .. whole), options)
    assert.equal(C.CQL_EAUTH, error)
    assert.equal(1, #got)
  end)
end)

describe("a body larger than configured", function()
  local MAX = 10000
  local GOLDEN = envelope "small"
  local function is_skipped(bytes, options, big)
    for _, part in ipairs { 1, 9, 4096, 65536 } do
      gives({ GOLDEN, "too big: " .. unit.hex(big:sub(1, 9)), GOLDEN }, bytes, options, part)
    end
  end

  it("is skipped", function()
    for _, length in ipairs { MAX + 1, 50000, 200000 } do
      local big = envelope(noise(length))
      is_skipped(GOLDEN .. big .. GOLDEN, { body_max = MAX }, big)
      is_skipped(core.segment(GOLDEN) .. sliced(big, PLAIN) .. core.segment(GOLDEN),
        { framed = true, body_max = MAX }, big)
    end
    local big = envelope(noise(MAX + 1))
    is_skipped(core.segment(GOLDEN .. big .. GOLDEN), { framed = true, body_max = MAX }, big)
    is_skipped(core.segment(GOLDEN) .. sliced(big, PLAIN, 100) .. core.segment(GOLDEN),
      { framed = true, body_max = MAX }, big)
    local exact = envelope(noise(MAX))
    gives({ exact }, exact, { body_max = MAX })
  end)

  it("may be followed by another one at once", function()
    local big = envelope(noise(MAX + 1))
    local note = "too big: " .. unit.hex(big:sub(1, 9))
    gives({ note, note, note }, big:rep(3), { body_max = MAX }, 777)
    gives({ note, note, GOLDEN }, core.segment(big .. big .. GOLDEN),
      { framed = true, body_max = MAX }, 777)
    gives({ note, note }, sliced(big, PLAIN):rep(2), { framed = true, body_max = MAX }, 777)
  end)

  it("must still be where its segments say", function()
    local big = envelope(noise(MAX + 1))
    local options = { framed = true, body_max = MAX }
    local function why(bytes) return select(2, read(bytes, options)) end
    assert.equal("a self-contained segment with half an envelope",
      why(core.segment(big:sub(1, -2))))
    assert.equal("segments that hold more than their envelope",
      why(core.segment(big:sub(1, 5000), { slice = true }) ..
        core.segment(big:sub(5001) .. "x", { slice = true })))
    assert.equal("segments that hold more than their envelope",
      why(core.segment(big .. "x", { slice = true })))
    assert.equal("a self-contained segment amid an envelope's slices",
      why(core.segment(big:sub(1, 5000), { slice = true }) .. core.segment(GOLDEN)))
  end)

  it("may be refused by who is told", function()
    local _, error = read(envelope(noise(MAX + 1)), { body_max = MAX, refuse = C.CQL_ETOOBIG })
    assert.equal(C.CQL_ETOOBIG, error)
  end)

  it("takes its memory as it arrives, not by its claim", function()
    local head = u8(0x85) .. u8(0) .. u16(1) .. u8(8) .. u32(200 * KIB * KIB)
    for _, bytes in ipairs { head .. noise(40000), core.segment(head, { slice = true }) ..
      core.segment(noise(40000), { slice = true }) } do
      local reader = new_reader { framed = #bytes > 40009 }
      assert.equal(0, reader:feed(bytes))
      assert.is_true(reader.reader.large.capacity <= 4 * KIB * KIB)
      reader:free()
    end
  end)
end)

describe("the reader without memory", function()
  local function trial(bytes, options)
    return unit.fail_each_allocation(function()
      local self = new_reader(options)
      if self.pool == nil then return C.CQL_ENOMEM end
      local error = self:feed(bytes, 30000)
      C.cql__reader_deinit(self.reader)
      C.cql__reader_deinit(self.reader)
      C.cql__pool_retire(self.pool)
      return error
    end)
  end

  it("leaks nothing at whichever allocation it runs out", function()
    local big, body = envelope(noise(300000)), core.lz4(("a"):rep(5000))
    local packed = u8(0x84) .. u8(1) .. u16(1) .. u8(8) .. u32(4 + #body) .. u32(5000) .. body
    assert.is_true(trial(big .. packed, { lz4 = true }) >= 3)
    assert.is_true(trial(sliced(big, PLAIN), PLAIN) >= 3)
    local options = { framed = true, lz4 = true, compress = true }
    assert.is_true(trial(sliced(envelope(("text"):rep(90000)), options), options) >= 4)
  end)
end)

describe("the reader, fed with what is broken,", function()
  it("gives what came before or refuses, the same in one piece and in many", function()
    for _, case in ipairs { { nil, false }, { PLAIN, false }, { LZ4, true } } do
      local options = { body_max = 3000 }
      for key, value in pairs(case[1] or {}) do options[key] = value end
      local bytes = {}
      for i = 1, 12 do
        local whole = envelope(("x"):rep(i * 20), i)
        bytes[i] = options.framed and core.segment(whole, { lz4 = options.lz4, compress = case[2],
          slice = i % 4 == 0 }) or whole
      end
      unit.mutate(table.concat(bytes), 77, 1500, function(mutant)
        local got, why, before = read(mutant, options)
        local random = unit.random(#mutant)
        local again, again_why, again_before = read(mutant, options, function()
          return random(50) + 1
        end)
        assert((got == nil) == (again == nil))
        if got == nil then assert.equal(why, again_why) end
        assert.same(got or before, again or again_before)
      end)
    end
  end)
end)
