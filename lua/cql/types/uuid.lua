--- New uuids: random ones, and those of this moment.
local ffi = require "ffi"
local bit = require "bit"
local C = require("cql.ffi").C

if not pcall(ffi.typeof, "cql_lua_time_t") then
  -- Under a name of its own: other modules declare the function, too.
  ffi.cdef [[
    typedef struct { long seconds, nanoseconds; } cql_lua_time_t;
    int cql_lua_clock(int clock, cql_lua_time_t *out) __asm__("clock_gettime");
  ]]
end

local uuid = {}

-- From the operating system, a block at a time: uuids are keys, so no seed may repeat them.
local BLOCK = 1024
local block, at = "", 0
local function random_bytes(count)
  if at + count > #block then
    local file = assert(io.open("/dev/urandom", "rb"))
    file:setvbuf("no")
    block, at = assert(file:read(BLOCK)), 0
    file:close()
  end
  at = at + count
  return block:sub(at - count + 1, at)
end

local bytes, text = ffi.new "uint8_t[16]", ffi.new "char[37]"

local function finish(version)
  bytes[6] = bit.bor(bit.band(bytes[6], 0x0f), version * 16)
  bytes[8] = bit.bor(bit.band(bytes[8], 0x3f), 0x80)
  C.cql_uuid_to_text(bytes, text)
  return ffi.string(text, 36)
end

--- A random uuid (version 4).
---@return string
function uuid.random()
  ffi.copy(bytes, random_bytes(16), 16)
  return finish(4)
end

local TO_1582 = 122192928000000000LL -- 100 ns from the Gregorian calendar's start to 1970
local now = ffi.new "cql_lua_time_t"
local last = 0LL
local node

-- 100 ns since 1582, never twice the same.
local function ticks()
  ffi.C.cql_lua_clock(0, now)
  local value = ffi.cast("int64_t", now.seconds) * 10000000LL + now.nanoseconds / 100 + TO_1582
  if value <= last then value = last + 1 end
  last = value
  return value
end

--- A uuid of this moment (version 1), later than those made before it; its node is random.
---@return string
function uuid.of_now()
  if not node then
    node = random_bytes(8)
    node = node:sub(1, 2) .. string.char(bit.bor(node:byte(3), 1)) .. node:sub(4)
  end
  local value = ticks()
  -- time_low, time_mid, time_high: bytes 3..0, 5..4, 7..6 of the number.
  for place, byte in ipairs { 3, 2, 1, 0, 5, 4, 7, 6 } do
    bytes[place - 1] = tonumber(bit.band(bit.rshift(value, byte * 8), 0xff))
  end
  ffi.copy(bytes + 8, node, 8)
  return finish(1)
end

return uuid
