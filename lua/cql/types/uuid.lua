--- New uuids: random ones, and those of this moment.
local ffi = require "ffi"
local bit = require "bit"
local C = require("cql.ffi").C
local clock = require "cql.wait.clock"

if not pcall(ffi.typeof, "cql_lua_pid_t") then
  ffi.cdef [[
    typedef int cql_lua_pid_t;
    cql_lua_pid_t cql_lua_getpid(void) asm("getpid");
    long cql_lua_getrandom(void *out, size_t size, unsigned flags) asm("getrandom");
  ]]
end

local uuid = {}

local bytes, text = ffi.new "uint8_t[16]", ffi.new "char[37]"

-- From the operating system each time: uuids are keys, and what was kept would be used once more by
-- a forked child. Not more than 256 bytes, which come at once.
local function fill_randomly(out, size)
  if ffi.C.cql_lua_getrandom(out, size, 0) ~= size then error "getrandom gave no bytes" end
end

local function finish(version)
  bytes[6] = bit.bor(bit.band(bytes[6], 0x0f), version * 16)
  bytes[8] = bit.bor(bit.band(bytes[8], 0x3f), 0x80)
  C.cql_uuid_to_text(bytes, text)
  return ffi.string(text, 36)
end

--- A random uuid (version 4).
---@return string
function uuid.random()
  fill_randomly(bytes, 16)
  return finish(4)
end

local TO_1582 = 122192928000000000LL -- 100 ns from the Gregorian calendar's start to 1970
local last = 0LL
local node, node_of = ffi.new "uint8_t[8]", nil -- clock sequence and node, and the process's number

-- 100 ns since 1582, never twice the same.
local function ticks()
  local value = clock.since_1970() / 100 + TO_1582
  if value <= last then value = last + 1 end
  last = value
  return value
end

--- A uuid of this moment (version 1), later than those made before it; its node is random, and each
--- process has one of its own.
---@return string
function uuid.of_now()
  local process = ffi.C.cql_lua_getpid()
  if process ~= node_of then
    fill_randomly(node, 8)
    node[2] = bit.bor(node[2], 1) -- as no network card has
    node_of = process
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
