-- The internals of src/base, src/frame and the pure parts of src/connection for unit specs.
local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.wire"

local C = unit.C
local core = {}

core.HEADER_SIZE = 9
core.SEGMENT_MAX = 131071
core.NEVER = 18446744073709551615ULL

-- What a block holds, from the offset on.
function core.block_bytes(block, size, offset)
  return ffi.string(ffi.cast("uint8_t *", block.data) + (offset or 0), size)
end

-- A pool that goes with the cdata; blocks that are still out keep the rest of it alive.
function core.pool() return ffi.gc(C.cql__pool_new(), C.cql__pool_retire) end

function core.now_live() return tonumber(C.cql__mem_live()) end

-- ---- segments ----

local function crc_tail(payload)
  local tail = ffi.new "uint8_t[4]"
  C.cql__segment_tail_encode(C.cql__crc32_more(C.cql__crc32_begin(), payload, #payload), tail)
  return ffi.string(tail, 4)
end

function core.lz4(bytes)
  local bound = tonumber(C.cql__lz4_bound(#bytes))
  local out = ffi.new("uint8_t[?]", bound)
  return ffi.string(out, C.cql__lz4_compress(bytes, #bytes, out, bound))
end

-- A segment around `payload`; options: slice (not self-contained), lz4 (head of 8 bytes), compress
-- (if that makes it smaller), claims (the uncompressed length to put there).
function core.segment(payload, options)
  options = options or {}
  local head = ffi.new "uint8_t[8]"
  local segment = ffi.new("cql__segment", #payload, 0, options.slice and 0 or 1)
  local packed = options.compress and core.lz4(payload)
  if packed and #packed < #payload then
    segment.uncompressed_size, segment.payload_size = #payload, #packed
    payload = packed
  end
  segment.uncompressed_size = options.claims or segment.uncompressed_size
  C.cql__segment_head_encode(segment, options.lz4 and 1 or 0, head)
  return ffi.string(head, options.lz4 and 8 or 6) .. payload .. crc_tail(payload)
end

-- Takes segments apart: a list of { payload, self_contained, compressed }; all must be whole.
function core.unsegment(bytes, lz4)
  local list, at, head_size = {}, 1, lz4 and 8 or 6
  local segment = ffi.new "cql__segment"
  while at <= #bytes do
    local head = bytes:sub(at, at + head_size - 1)
    assert(#head == head_size, "half a head")
    assert(C.cql__segment_head_decode(head, lz4 and 1 or 0, segment) == 0, "CRC24")
    local payload = bytes:sub(at + head_size, at + head_size + segment.payload_size - 1)
    local tail = bytes:sub(at + head_size + #payload, at + head_size + #payload + 3)
    assert(#payload == segment.payload_size, "half a payload")
    assert(tail == crc_tail(payload), "CRC32")
    at = at + head_size + #payload + 4
    local one = { self_contained = segment.self_contained ~= 0, wire = #payload }
    one.compressed = segment.uncompressed_size > 0
    if one.compressed then
      local out = ffi.new("uint8_t[?]", segment.uncompressed_size)
      assert(C.cql__lz4_decompress(payload, #payload, out, segment.uncompressed_size) == 0)
      payload = ffi.string(out, segment.uncompressed_size)
    end
    one.payload = payload
    list[#list + 1] = one
  end
  return list
end

return core
