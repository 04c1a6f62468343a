-- What a server writes: bodies of responses, envelopes and segments. CRCs and segment heads are
-- worked out here, apart from src/frame, so that the two check each other.
local ffi = require "ffi"
local bit = require "bit"
local unit = require "spec.support.unit"

local C = unit.C
local char, concat = string.char, table.concat
local u16, u32, str, bytes = unit.u16, unit.u32, unit.str, unit.bytes

local server = {}

server.OPCODE = {
  ERROR = 0, STARTUP = 1, READY = 2, AUTHENTICATE = 3, OPTIONS = 5, SUPPORTED = 6, QUERY = 7,
  RESULT = 8, PREPARE = 9, EXECUTE = 10, REGISTER = 11, EVENT = 12, BATCH = 13,
  AUTH_CHALLENGE = 14, AUTH_RESPONSE = 15, AUTH_SUCCESS = 16,
}

-- ---- bodies [spec 4.2] ----

server.VOID = u32(1)

function server.error(code, text, rest) return u32(code) .. str(text) .. (rest or "") end
function server.keyspace(name) return u32(3) .. str(name) end

-- { { "COMPRESSION", "snappy", "lz4" }, ... }
function server.supported(map)
  local out = { u16(#map) }
  for _, pair in ipairs(map) do
    out[#out + 1] = str(pair[1]) .. unit.list(unpack(pair, 2))
  end
  return concat(out)
end

local function columns_text(columns)
  local out = { str "ks", str "t" }
  for _, column in ipairs(columns) do out[#out + 1] = str(column[1]) .. u16(column[2]) end
  return concat(out)
end

-- Rows of one table: columns { { "name", type id }, ... }, rows of raw cells (false: null).
-- options: no_metadata, paging_state, metadata_id.
function server.rows(columns, rows, options)
  options = options or {}
  local flags = (options.no_metadata and 4 or 1) + (options.paging_state and 2 or 0)
    + (options.metadata_id and 8 or 0)
  local out = { u32(2), u32(flags), u32(#columns) }
  if options.paging_state then out[#out + 1] = bytes(options.paging_state) end
  if options.metadata_id then out[#out + 1] = str(options.metadata_id) end
  if not options.no_metadata then out[#out + 1] = columns_text(columns) end
  out[#out + 1] = u32(#rows)
  for _, row in ipairs(rows) do
    for i = 1, #columns do out[#out + 1] = bytes(row[i]) end
  end
  return concat(out)
end

-- PREPARED: its id, markers { { "name", type id } } (the first is the key), columns likewise. On
-- v4 the columns' id is an extension, with which: `extended`. `mark`: flags beside the usual one.
function server.prepared(version, id, markers, columns, metadata_id, extended, mark)
  local out = { u32(4), str(id) }
  if version >= 5 or extended then out[#out + 1] = str(metadata_id or "mid") end
  out[#out + 1] = u32(1 + (mark or 0)) .. u32(#markers)
  if version >= 4 then out[#out + 1] = #markers == 0 and u32(0) or u32(1) .. u16(0) end
  out[#out + 1] = columns_text(markers)
  if #columns == 0 then return concat(out) .. u32(4) .. u32(0) end
  out[#out + 1] = u32(1) .. u32(#columns) .. columns_text(columns)
  return concat(out)
end

function server.event(kind, change, address)
  return str(kind) .. str(change) .. address
end

-- ---- LZ4 ----

function server.compress(plain)
  local bound = tonumber(C.cql__lz4_bound(#plain))
  local out = ffi.new("uint8_t[?]", bound)
  return ffi.string(out, tonumber(C.cql__lz4_compress(plain, #plain, out, bound)))
end

function server.decompress(packed, size)
  local out = ffi.new("uint8_t[?]", math.max(size, 1))
  assert(C.cql__lz4_decompress(packed, #packed, out, size) == 0, "the client's LZ4")
  return ffi.string(out, size)
end

-- ---- envelopes [spec 2] ----

-- options: flags, or compress (v3, v4: the body behind its length).
function server.envelope(version, stream, opcode, body, options)
  options = options or {}
  local flags = options.flags or 0
  if options.compress then
    flags = bit.bor(flags, 1)
    body = u32(#body) .. server.compress(body)
  end
  local head = char(bit.bor(version, 0x80), flags) .. u16(stream)
  return head .. char(server.OPCODE[opcode] or opcode) .. u32(#body) .. body
end

-- ---- segments [spec v5 2] ----

local function crc24(data)
  local crc = 0x875060
  for i = 1, #data do
    crc = bit.bxor(crc, bit.lshift(data:byte(i), 16))
    for _ = 1, 8 do
      crc = bit.lshift(crc, 1)
      if bit.band(crc, 0x1000000) ~= 0 then crc = bit.bxor(crc, 0x1974F0B) end
    end
  end
  return crc
end

local crc_table = ffi.new "uint32_t[256]"
for i = 0, 255 do
  local value = i
  for _ = 1, 8 do
    local low = bit.band(value, 1)
    value = bit.rshift(value, 1)
    if low == 1 then value = bit.bxor(value, 0xEDB88320) end
  end
  crc_table[i] = value
end

local function crc32(data)
  data = "\xFA\x2D\x55\xCA" .. data
  local from, crc = ffi.cast("const uint8_t *", data), bit.tobit(0xFFFFFFFF)
  for i = 0, #data - 1 do
    local entry = bit.tobit(crc_table[bit.band(bit.bxor(crc, from[i]), 255)])
    crc = bit.bxor(bit.rshift(crc, 8), entry)
  end
  return bit.bnot(crc)
end

local function little(value, size)
  local out = {}
  for i = 1, size do
    out[i] = char(value % 256)
    value = math.floor(value / 256)
  end
  return concat(out)
end

local function from_little(text)
  local value = 0
  for i = #text, 1, -1 do value = value * 256 + text:byte(i) end
  return value
end

local function tail(payload) return little(crc32(payload) % 2 ^ 32, 4) end

-- options: lz4 (the connection's), compress (this payload), slice (not self-contained), padding
-- (all of its bits are set).
function server.segment(payload, options)
  options = options or {}
  local plain_size = 0
  if options.compress then
    plain_size = #payload
    payload = server.compress(payload)
  end
  local own, padding = options.slice and 0 or 1, options.padding and 1 or 0
  local head
  if options.lz4 then
    head = little(#payload + plain_size * 2 ^ 17 + own * 2 ^ 34 + padding * 31 * 2 ^ 35, 5)
  else
    head = little(#payload + own * 2 ^ 17 + padding * 63 * 2 ^ 18, 3)
  end
  return head .. little(crc24(head), 3) .. payload .. tail(payload)
end

-- Takes one segment off `raw`: its payload, is it self-contained, what is left; or nil.
function server.unsegment(raw, lz4)
  local size = lz4 and 5 or 3
  if #raw < size + 3 then return nil end
  local head = raw:sub(1, size)
  assert(from_little(raw:sub(size + 1, size + 3)) == crc24(head), "the client's CRC24")
  local bits = from_little(head)
  local packed, plain_size = bits % 2 ^ 17, 0
  local own = math.floor(bits / 2 ^ 17) % 2
  if lz4 then
    plain_size, own = math.floor(bits / 2 ^ 17) % 2 ^ 17, math.floor(bits / 2 ^ 34) % 2
  end
  local stop = size + 3 + packed
  if #raw < stop + 4 then return nil end
  local payload = raw:sub(size + 4, stop)
  assert(raw:sub(stop + 1, stop + 4) == tail(payload), "the client's CRC32")
  if plain_size > 0 then payload = server.decompress(payload, plain_size) end
  return payload, own == 1, raw:sub(stop + 5)
end

return server
