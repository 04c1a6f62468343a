--- Bytes that grow, big-endian, for the values of a request. One buffer serves many requests.
local ffi = require "ffi"
local bit = require "bit"

local cast, copy, new = ffi.cast, ffi.copy, ffi.new
local floor = math.floor
local i32_pointer, i64_pointer = ffi.typeof "int32_t *", ffi.typeof "int64_t *"
local bytes_of = ffi.typeof "uint8_t[?]"
local int64 = ffi.typeof "int64_t"

local FIRST_CAPACITY = 512
local KEEP_MAX = 1024 * 1024 -- what a buffer may hold on to between requests
local CAPACITY_MAX = 2147483647 -- a length on the wire is an int32
local WORD = 4294967296

-- Unaligned access is fine wherever LuaJIT's FFI runs on machines that serve.
local to_big = ffi.abi "le" and bit.bswap or function(value) return value end

---@class cql.Buffer
---@field data ffi.cdata* the bytes, `size` of them; moves when the buffer grows
---@field size integer
---@field capacity integer
---@field resets integer how often it was emptied
local Buffer = {}
Buffer.__index = Buffer

local function grow(buffer, size)
  if size > CAPACITY_MAX then error("cql: the values of one request exceed 2 GiB", 0) end
  local capacity = math.min(math.max(buffer.capacity * 2, size), CAPACITY_MAX)
  local data = new(bytes_of, capacity)
  copy(data, buffer.data, buffer.size)
  buffer.data, buffer.capacity = data, capacity
end

--- Makes room for `count` bytes more; where they begin.
---@param count integer
---@return integer at
function Buffer:reserve(count)
  local at = self.size
  local size = at + count
  -- `size` is set last: what a failing grow() leaves is the buffer as it was.
  if size > self.capacity then grow(self, size) end
  self.size = size
  return at
end

--- Empties it, and lets go of the memory that an unusually large request needed.
function Buffer:reset()
  self.size, self.resets = 0, self.resets + 1
  if self.capacity > KEEP_MAX then
    self.data, self.capacity = new(bytes_of, FIRST_CAPACITY), FIRST_CAPACITY
  end
end

--- Writes four bytes at an offset that was reserved.
---@param at integer
---@param value integer -2^31 to 2^32 - 1
function Buffer:set_i32(at, value) cast(i32_pointer, self.data + at)[0] = to_big(value) end

---@param value integer -2^31 to 2^32 - 1
function Buffer:put_i32(value)
  local at = self:reserve(4)
  cast(i32_pointer, self.data + at)[0] = to_big(value)
end

---@param value integer|ffi.cdata* a whole number of at most 2^53, or int64_t
function Buffer:put_i64(value)
  local at = self:reserve(8)
  if type(value) == "number" then
    local high = floor(value / WORD)
    cast(i32_pointer, self.data + at)[0] = to_big(high)
    cast(i32_pointer, self.data + at + 4)[0] = to_big(value - high * WORD)
  else
    cast(i64_pointer, self.data + at)[0] = to_big(cast(int64, value))
  end
end

---@param bytes string
function Buffer:put_bytes(bytes)
  local at = self:reserve(#bytes)
  copy(self.data + at, bytes, #bytes)
end

--- What it holds, as a string; for people and specs.
---@return string
function Buffer:to_string() return ffi.string(self.data, self.size) end

local buffer = { class = Buffer }

--- An empty buffer.
---@return cql.Buffer
function buffer.new()
  return setmetatable({ data = new(bytes_of, FIRST_CAPACITY), size = 0,
    capacity = FIRST_CAPACITY, resets = 0 }, Buffer)
end

return buffer
