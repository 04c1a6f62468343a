local ffi = require "ffi"
local bit = require "bit"
local unit = require "spec.support.unit"
local core = require "spec.support.core"

local C, u8, u16, u32 = unit.C, unit.u8, unit.u16, unit.u32
local MAX = core.SEGMENT_MAX
local REFERENCE_MIN = 8192 -- CQL__REFERENCE_MIN: bodies from here on are sent from where they lie

local random_byte, NOISE = unit.random(1), {}
for i = 1, 1300000 do NOISE[i] = string.char(random_byte(256)) end
NOISE = table.concat(NOISE)
local function noise(length, seed) return NOISE:sub(seed + 1, seed + length) end

-- ---- a writer on the virtual wire ----

local Writer = {}
Writer.__index = Writer

-- options: framed, lz4, compress_min
local function new_writer(options)
  options = options or {}
  local self = setmetatable({ pool = C.cql__pool_new(), sim = C.cql__sim_new(1, 0),
    calls = ffi.new "uint64_t[1]", bytes = ffi.new "uint64_t[1]", blocks = {} }, Writer)
  self.link = C.cql__sim_link(self.sim)
  local target, socket = ffi.new "cql__target", ffi.new "cql__socket *[1]"
  assert(self.link.ops.open(self.link, target, nil, socket) == 0)
  self.socket = socket[0]
  self.writer = ffi.new "cql__writer"
  C.cql__writer_init(self.writer, self.pool)
  self.writer.framed = options.framed and 1 or 0
  self.writer.lz4 = options.lz4 and 1 or 0
  self.writer.compress_min = options.compress_min or 512
  self.lz4 = options.lz4
  return self
end

function Writer:free()
  C.cql__writer_deinit(self.writer)
  C.cql__writer_deinit(self.writer)
  for _, block in ipairs(self.blocks) do
    assert(block.refs == 1, "a reference is left behind")
    C.cql__spec_block_unref(block)
  end
  C.cql__pool_retire(self.pool)
  C.cql__sim_free(self.sim)
end

-- An envelope of `head_size` bytes that are copied, and a body that may be referred to.
local function envelope(stream, head_size, body_size, content)
  local total = head_size + body_size - 9
  local rest = content == "text" and ("some text, again and "):rep(total / 20 + 1):sub(1, total)
    or noise(total, stream)
  return u8(5) .. u8(0) .. u16(stream) .. u8(7) .. u32(total) .. rest
end

-- Appends it; with `owned` its body lies in a block that the writer may refer to.
function Writer:append(bytes, head_size, owned)
  local head, body = bytes:sub(1, head_size), bytes:sub(head_size + 1)
  local parcel = ffi.new("cql__parcel", head, #head)
  if owned and #body > 0 then
    local block = C.cql__spec_block_take(self.pool, #body)
    ffi.copy(block.data, body, #body)
    parcel.owner, parcel.body = block, ffi.cast("uint8_t *", block.data)
    self.blocks[#self.blocks + 1] = block
  else
    parcel.body = ffi.cast("const uint8_t *", body)
  end
  parcel.body_size = #body
  self.given = { head, body } -- until the next one: the collector must not have them yet
  return C.cql__writer_append(self.writer, parcel)
end

function Writer:reserve(bytes)
  local out = C.cql__spec_writer_reserve(self.writer, #bytes)
  if out == nil then return C.CQL_ENOMEM end
  ffi.copy(out, bytes, #bytes)
  return 0
end

function Writer:flush()
  return C.cql__writer_flush(self.writer, self.link, self.socket, self.calls, self.bytes)
end

-- What the wire has; it is taken from there.
function Writer:sent()
  local data = ffi.new "const uint8_t *[1]"
  local size = tonumber(C.cql__sim_sent(self.sim, 0, data))
  local bytes = ffi.string(data[0], size)
  C.cql__sim_take(self.sim, 0, size)
  return bytes
end

function Writer:unsent() return tonumber(C.cql__spec_writer_unsent(self.writer)) end

function Writer:flushed()
  assert.equal(0, self:flush())
  assert.equal(0, self:unsent())
  return self:sent()
end

-- Everything sent, with the segments undone: the envelopes' bytes in a row. No segment may break
-- the rules on slices [spec v5 2.2].
local function unframe(bytes, lz4)
  local out, left = {}, 0 -- of the envelope that is being sliced
  for _, segment in ipairs(core.unsegment(bytes, lz4)) do
    local payload = segment.payload
    assert(#payload > 0 and #payload <= MAX and segment.wire <= MAX, "size of a payload")
    if segment.self_contained then
      assert(left == 0, "a self-contained segment amid slices")
      local at = 1
      while at <= #payload do
        assert(#payload - at >= 8, "half a header")
        local a, b, c, d = payload:byte(at + 5, at + 8)
        at = at + 9 + bit.bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
      end
      assert(at == #payload + 1, "half an envelope")
    else
      if left == 0 then -- the first slice must hold the whole header
        assert(#payload >= 9, "a slice without the header")
        local a, b, c, d = payload:byte(6, 9)
        left = 9 + bit.bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
      end
      left = left - #payload
      assert(left >= 0, "slices that hold more than their envelope")
    end
    out[#out + 1] = payload
  end
  assert(left == 0, "half a sliced envelope")
  return table.concat(out)
end

-- v3 and v4: undoes the compression of each body.
local function uncompress(bytes)
  local out, at, count = {}, 1, 0
  while at <= #bytes do
    local a, b, c, d = bytes:byte(at + 5, at + 8)
    local size = bit.bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
    local body = bytes:sub(at + 9, at + 8 + size)
    assert(#body == size, "half an envelope")
    local flags = bytes:byte(at + 1)
    if flags % 2 == 1 then
      a, b, c, d = body:byte(1, 4)
      local plain = bit.bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
      assert(plain > #body, "compressed, and no smaller by it")
      local buffer = ffi.new("uint8_t[?]", plain)
      assert(C.cql__lz4_decompress(body:sub(5), #body - 4, buffer, plain) == 0)
      body, flags, count = ffi.string(buffer, plain), flags - 1, count + 1
    end
    out[#out + 1] = bytes:sub(at, at) .. u8(flags) .. bytes:sub(at + 2, at + 4) .. u32(#body)
    out[#out + 1] = body
    at = at + 9 + size
  end
  return table.concat(out), count
end

describe("the writer of v3 and v4", function()
  it("sends envelopes as they are, in order and in one call", function()
    local writer = new_writer()
    local all = {}
    for i = 1, 100 do
      all[i] = envelope(i, 20, i)
      if i % 2 == 0 then writer:reserve(all[i]) else writer:append(all[i], 20) end
    end
    assert.equal(#table.concat(all), writer:unsent())
    assert.is_true(table.concat(all) == writer:flushed())
    assert.equal(1, tonumber(writer.calls[0]))
    assert.equal(#table.concat(all), tonumber(writer.bytes[0]))
    writer:free()
  end)

  it("refers to large bodies until they are sent, and copies small ones", function()
    for _, size in ipairs { 1, REFERENCE_MIN - 1, REFERENCE_MIN, 1000000 } do
      local writer = new_writer()
      local first, second = envelope(1, 30, size), envelope(2, 9, 5)
      writer:append(first, 30, true)
      writer:append(second, 9, true)
      assert.equal(size >= REFERENCE_MIN and 2 or 1, writer.blocks[1].refs)
      assert.equal(1, writer.blocks[2].refs)
      assert.is_true(first .. second == writer:flushed())
      assert.equal(1, writer.blocks[1].refs)
      writer:free()
    end
  end)

  it("lets a referred body go as soon as it is out, not with the rest", function()
    local writer = new_writer()
    writer:append(envelope(1, 30, 20000), 30, true)
    writer:append(envelope(2, 30, 20000), 30, true)
    C.cql__sim_room(writer.sim, 0, 25000)
    assert.equal(1, writer:flush())
    assert.equal(1, writer.blocks[1].refs)
    assert.equal(2, writer.blocks[2].refs)
    writer:free()
  end)

  it("sends more spans than one call takes", function()
    local writer = new_writer()
    local all = {}
    for i = 1, 200 do
      all[i] = envelope(i, 15, REFERENCE_MIN)
      writer:append(all[i], 15, true)
    end
    assert.is_true(table.concat(all) == writer:flushed())
    assert.equal(math.ceil(400 / 64), tonumber(writer.calls[0]))
    writer:free()
  end)

  it("compresses bodies from compress_min on, if they shrink", function()
    local golden = new_writer { lz4 = true, compress_min = 5 }
    golden:append(u8(4) .. u8(0) .. u16(1) .. u8(7) .. u32(64) .. ("a"):rep(64), 9)
    -- length, then the block [spec v4 5]
    assert.equal("040100010700" .. "00000f" .. "00000040" .. "1f61010027506161616161",
      unit.hex(golden:flushed()))
    golden:free()
    local cases = { { 511, 0 }, { 512, 1 }, { 5000, 1 }, { 300000, 1 }, { 600, 0, "noise" } }
    for _, case in ipairs(cases) do
      for head_size = 9, case[1], 200 do
        local writer = new_writer { lz4 = true }
        local bytes = envelope(1, head_size, case[1] + 9 - head_size, case[3] or "text")
        writer:append(bytes, head_size, true)
        local sent, count = uncompress(writer:flushed())
        assert.is_true(sent == bytes)
        assert.equal(case[2], count)
        writer:free()
        if case[1] > 1000 then break end
      end
    end
  end)

  it("sends no more bytes by compressing than without", function()
    for repeated = 4, 60 do -- from a gain of nothing to one that is worth its length field
      local body = noise(600, 1) .. noise(repeated, 1) .. noise(20, 5000)
      local bytes = u8(4) .. u8(0) .. u16(1) .. u8(7) .. u32(#body) .. body
      local writer = new_writer { lz4 = true }
      writer:append(bytes, 9)
      local sent = writer:flushed()
      assert.is_true(uncompress(sent) == bytes)
      assert.is_true(#sent < #bytes or sent == bytes)
      writer:free()
    end
  end)

  it("compresses an empty body never", function()
    local writer = new_writer { lz4 = true, compress_min = 0 }
    local bytes = envelope(1, 9, 0)
    writer:append(bytes, 9)
    assert.equal(unit.hex(bytes), unit.hex(writer:flushed()))
    writer:free()
  end)
end)

describe("the writer of v5", function()
  it("sends what others know", function()
    local options = unit.unhex "050000000500000000"
    local writer = new_writer { framed = true }
    writer:append(options, 9)
    assert.equal("090002a4c8c1" .. unit.hex(options) .. "1086284d", unit.hex(writer:flushed()))
    writer:free()
    writer = new_writer { framed = true, lz4 = true }
    writer:append(options, 9)
    assert.equal("0900000004c2b895" .. unit.hex(options) .. "1086284d", unit.hex(writer:flushed()))
    writer:free()
  end)

  it("puts as many envelopes into a segment as fit", function()
    for _, lz4 in ipairs { false, true } do
      local writer = new_writer { framed = true, lz4 = lz4, compress_min = 200000 }
      local random, expected, open = unit.random(9), {}, nil
      for i = 1, 400 do
        local bytes = envelope(i, 9, ({ 10, 500, 5000, 40000, 131062 })[random(5) + 1])
        assert.equal(0, random(2) == 0 and writer:reserve(bytes) or writer:append(bytes, 9, true))
        if not open or open + #bytes > MAX then
          expected[#expected + 1] = #bytes
          open = #bytes
        else
          open = open + #bytes
          expected[#expected] = open
        end
      end
      local sizes = {}
      for i, segment in ipairs(core.unsegment(writer:flushed(), lz4)) do
        sizes[i] = #segment.payload
        assert.is_true(segment.self_contained)
      end
      assert.same(expected, sizes)
      writer:free()
    end
  end)

  it("fills a segment to its last byte", function()
    for _, case in ipairs { { MAX, 1 }, { MAX + 1, 2 } } do
      local writer = new_writer { framed = true }
      local first = envelope(1, 9, 1000)
      writer:reserve(first)
      writer:reserve(envelope(2, 9, case[1] - #first - 9))
      assert.equal(case[2], #core.unsegment(writer:flushed()))
      writer:free()
    end
  end)

  it("slices an envelope that is larger than a segment", function()
    for _, size in ipairs { MAX, MAX + 1, 2 * MAX - 1, 2 * MAX, 2 * MAX + 1, 1000000 } do
      for _, head_size in ipairs { 9, 10, 5000, MAX - 1, MAX, MAX + 1, 200000, size } do
        for _, owned in ipairs { true, false } do
          for _, lz4 in ipairs { false, true } do
            local writer = new_writer { framed = true, lz4 = lz4 }
            local bytes = envelope(1, math.min(head_size, size), size - math.min(head_size, size))
            local small = envelope(2, 9, 100)
            writer:append(small, 9)
            assert.equal(0, writer:append(bytes, math.min(head_size, size), owned))
            writer:append(small, 9)
            assert.is_true(unframe(writer:flushed(), lz4) == small .. bytes .. small)
            writer:free()
          end
        end
      end
    end
  end)

  it("sends the slices of a referred body from where they lie, but for LZ4", function()
    local bytes = envelope(1, 100, 300000)
    local writer = new_writer { framed = true }
    writer:append(bytes, 100, true)
    assert.equal(1 + 3, writer.blocks[1].refs)
    assert.is_true(unframe(writer:flushed()) == bytes)
    writer:free()
    writer = new_writer { framed = true, lz4 = true }
    writer:append(bytes, 100, true)
    assert.equal(1, writer.blocks[1].refs)
    writer:free()
  end)

  it("compresses segments and slices that shrink, from compress_min on", function()
    local function first(size, content, head_size)
      local writer = new_writer { framed = true, lz4 = true }
      local bytes = envelope(1, head_size or 9, size - (head_size or 9), content)
      writer:append(bytes, head_size or 9, true)
      local sent = writer:flushed()
      assert.is_true(unframe(sent, true) == bytes)
      writer:free()
      return core.unsegment(sent, true)
    end
    assert.is_false(first(511, "text")[1].compressed)
    assert.is_true(first(512, "text")[1].compressed)
    assert.is_false(first(5000, "noise")[1].compressed)
    for _, slice in ipairs(first(500000, "text", 700)) do assert.is_true(slice.compressed) end
    for _, slice in ipairs(first(500000, "noise", 700)) do assert.is_false(slice.compressed) end
  end)

  it("goes on where a full socket stopped it", function()
    local writer = new_writer { framed = true }
    local bytes = envelope(1, 50, 400)
    writer:append(bytes, 50)
    local whole = #bytes + 10
    C.cql__sim_room(writer.sim, 0, 0)
    for at = 1, whole do -- one byte at a time
      assert.equal(1, writer:flush())
      assert.equal(whole - at + 1, writer:unsent())
      C.cql__sim_room(writer.sim, 0, 1)
      assert.equal(at < whole and 1 or 0, writer:flush())
    end
    assert.is_true(unframe(writer:sent()) == bytes)
    writer:free()
  end)
end)

describe("the writer, of a secret,", function()
  local TOKEN = ("user and password, user and password"):rep(100)
  local function append_secret(writer)
    local bytes = u8(5) .. u8(0) .. u16(0) .. u8(15) .. u32(#TOKEN) .. TOKEN
    local parcel = ffi.new("cql__parcel", bytes, 9)
    parcel.body, parcel.body_size = ffi.cast("const uint8_t *", bytes) + 9, #TOKEN
    parcel.secret = 1
    assert.equal(0, C.cql__writer_append(writer.writer, parcel))
    return bytes
  end

  it("compresses nothing, and leaves no bytes of it behind", function()
    for _, framed in ipairs { false, true } do
      local writer = new_writer { lz4 = true, framed = framed, compress_min = 0 }
      local bytes = append_secret(writer)
      local area = C.cql__spec_block_ref(writer.writer.filling.area)
      local sent = writer:flushed()
      if framed then
        local segment = core.unsegment(sent, true)[1]
        assert.is_false(segment.compressed)
        sent = segment.payload
      end
      assert.is_true(sent == bytes)
      assert.is_nil(core.block_bytes(area, tonumber(area.capacity)):find("password", 1, true))
      C.cql__spec_block_unref(area)
      writer:append(envelope(1, 9, 5000, "text"), 9) -- and forgets that it was one
      assert.is_true(#writer:flushed() < 1000)
      writer:free()
    end
  end)
end)

describe("the writer, whose socket fails,", function()
  it("says so and lets everything go", function()
    for _, framed in ipairs { true, false } do
      local writer = new_writer { framed = framed }
      writer:append(envelope(1, 100, 300000), 100, true)
      C.cql__sim_room(writer.sim, 0, 1000)
      assert.equal(1, writer:flush())
      writer:append(envelope(2, 100, 300000), 100, true)
      C.cql__sim_reset(writer.sim, 0)
      assert.equal(C.CQL_ECONNECTION, writer:flush())
      writer:free() -- checks that no reference is left
    end
  end)
end)

-- Random envelopes, appended and flushed through a socket that is full now and then; the model is
-- the bytes in a row.
local HEADS, BODIES = { 9, 20, 300, 20000, 150000 }, { 0, 50, 3000, 10000, 140000, 300000 }
local function run(seed, options)
  local live = core.now_live()
  local random, writer, expected, sent = unit.random(seed), new_writer(options), {}, {}
  for i = 1, 250 do
    for _ = 1, random(4) do
      local head_size = HEADS[random(random(10) < 9 and 3 or 5) + 1]
      local body_size = BODIES[random(random(8) + 1) % 6 + 1]
      local bytes = envelope(i, head_size, body_size, random(2) == 0 and "text" or "noise")
      if random(3) == 0 and #bytes <= MAX and not (options.lz4 and not options.framed) then
        assert(writer:reserve(bytes) == 0)
      else
        assert(writer:append(bytes, head_size, random(2) == 0) == 0)
      end
      expected[#expected + 1] = bytes
    end
    C.cql__sim_room(writer.sim, 0, random(3) == 0 and -1 or random(100000))
    local result = writer:flush()
    assert(result == 0 or result == 1)
    assert((result == 0) == (writer:unsent() == 0))
    sent[#sent + 1] = writer:sent()
  end
  C.cql__sim_room(writer.sim, 0, -1)
  sent[#sent + 1] = writer:flushed()
  sent = table.concat(sent)
  assert(tonumber(writer.bytes[0]) == #sent)
  if options.framed then
    sent = unframe(sent, options.lz4)
  elseif options.lz4 then
    sent = uncompress(sent)
  end
  assert.is_true(sent == table.concat(expected))
  writer:free()
  assert.equal(live, core.now_live())
end

describe("the writer, beside bytes in a row,", function()
  local KINDS = {
    { "plain", {} }, { "plain with LZ4", { lz4 = true } }, { "segments", { framed = true } },
    { "segments with LZ4", { framed = true, lz4 = true } },
    { "segments with LZ4 of anything", { framed = true, lz4 = true, compress_min = 0 } },
  }
  for seed, kind in ipairs(KINDS) do
    it(("sends the same, %s (seed %d)"):format(kind[1], seed), function() run(seed, kind[2]) end)
  end
end)

describe("the writer without memory", function()
  -- The n-th allocation of the second append fails: then the first envelope alone is sent.
  local function trial(options, head_size, body_size, owned)
    local first, second = envelope(1, 9, 16000), envelope(2, head_size, body_size, "text")
    for n = 1, 100 do
      local live = core.now_live()
      local writer = new_writer(options)
      assert(writer:append(first, 9) == 0)
      local before = tonumber(C.cql__mem_count())
      local add = owned ~= "reserve" and writer.append or writer.reserve
      if owned == true then -- the block for the body is the caller's
        C.cql__mem_fail(n + 1, 0)
      else
        C.cql__mem_fail(n, 0)
      end
      local result = add(writer, second, head_size, owned == true)
      local made = tonumber(C.cql__mem_count()) - before - (owned == true and 1 or 0)
      C.cql__mem_fail(0, 0)
      local sent = writer:flushed()
      if options.framed then
        sent = unframe(sent, options.lz4)
      elseif options.lz4 then
        sent = uncompress(sent)
      end
      -- Where only the scratch for compressing fails, the envelope is sent as it is.
      assert(result == 0 or result == C.CQL_ENOMEM)
      assert.is_true(sent == (result == 0 and first .. second or first))
      writer:free()
      assert.equal(live, core.now_live())
      if made < n then return n - 1 end
      if n == 1 then assert.equal(C.CQL_ENOMEM, result) end
    end
  end

  it("sends what it had before, and nothing by half", function()
    for _, options in ipairs { {}, { framed = true }, { framed = true, lz4 = true } } do
      assert.is_true(trial(options, 9, 20000, "reserve") >= 1)
      assert.is_true(trial(options, 9, 20000) >= 1)
      assert.is_true(trial(options, 10000, 400000, true) >= 1)
    end
    assert.is_true(trial({ lz4 = true }, 9, 20000) >= 2)
    assert.is_true(trial({ framed = true }, 200000, 400000, true) >= 1)
    assert.is_true(trial({ framed = true, lz4 = true }, 9, 400000) >= 2)
  end)
end)
