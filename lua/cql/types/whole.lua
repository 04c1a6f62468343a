--- Whole numbers in their three forms: Lua's, exact up to 2^53; int64_t and uint64_t; digits.
local ffi = require "ffi"

local type, floor = type, math.floor
local EXACT_MAX = 9007199254740992
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local INT64_MAX = 9223372036854775807ULL

local whole = { EXACT_MAX = EXACT_MAX }

--- The number that a Lua value stands for, which may have lost digits; nil for what is none.
---@return number?
function whole.number(value)
  if type(value) == "number" then return value end
  if type(value) == "cdata" then return tonumber(value) end
  return nil
end

--- The digits of a whole number or 64-bit integer; nil for what is none, or isn't exact.
---@return string?
function whole.text(value)
  if type(value) == "cdata" then
    if ffi.istype(uint64, value) then return (tostring(value):gsub("ULL$", "")) end
    if ffi.istype(int64, value) then return (tostring(value):gsub("LL$", "")) end
    value = tonumber(value)
  end
  if type(value) ~= "number" or floor(value) ~= value then return nil end
  if value > EXACT_MAX or value < -EXACT_MAX then return nil end
  return ("%.0f"):format(value + 0)
end

--- A whole number up to 2^53 as it is, anything else that fits 64 bits as int64_t; nil if the value
--- is no number, has a fraction, or is a number past 2^53, whose last digits are anyone's guess.
---@return integer|ffi.cdata*|nil
function whole.int64(value)
  if type(value) == "number" then
    if floor(value) ~= value or value > EXACT_MAX or value < -EXACT_MAX then return nil end
    return value
  end
  if type(value) ~= "cdata" then return nil end
  if ffi.istype(int64, value) then return value end
  if ffi.istype(uint64, value) then
    if value > INT64_MAX then return nil end
    return ffi.cast(int64, value)
  end
  local number = tonumber(value)
  if not number or floor(number) ~= number or number > EXACT_MAX or number < -EXACT_MAX then
    return nil
  end
  return number
end

--- Whether `number`, made of `value`, is the same number still.
function whole.is_exact(value, number)
  if type(value) ~= "cdata" then return true end
  if ffi.istype(int64, value) then return ffi.cast(int64, number) == value end
  if ffi.istype(uint64, value) then return ffi.cast(uint64, number) == value end
  return true
end

--- A number where that is exact, else the int64_t itself.
---@param value ffi.cdata* int64_t
---@return integer|ffi.cdata*
function whole.shortest(value)
  if value <= 9007199254740992LL and value >= -9007199254740992LL then return tonumber(value) end
  return value
end

return whole
