--- Decimal: digits and a scale, exact: unscaled x 10^-scale. "1.50" keeps its two places.
local varint = require "cql.types.varint"
local whole = require "cql.types.whole"

local SCALE_MAX = 2147483647
-- A text that would need more zeros than this behind its digits or point has an exponent.
local ZEROS_MAX = 6

---@class cql.Decimal
---@field unscaled string digits of a whole number
---@field scale integer how many of them stand behind the point; may be negative
local Decimal = {}
Decimal.__index = Decimal

local decimal = {}

local function of_parts(unscaled, scale)
  return setmetatable({ unscaled = unscaled, scale = scale }, Decimal)
end
--- From canonical digits and a scale.
decimal.of_parts = of_parts

function Decimal:__tostring()
  local sign, digits = self.unscaled:match "^(%-?)(%d+)$"
  local scale = self.scale
  local exponent = #digits - 1 - scale -- of the first digit
  if scale == 0 then return self.unscaled end
  if scale > 0 and exponent >= -ZEROS_MAX then
    if scale >= #digits then digits = ("0"):rep(scale - #digits + 1) .. digits end
    return sign .. digits:sub(1, #digits - scale) .. "." .. digits:sub(-scale)
  end
  local rest = #digits > 1 and "." .. digits:sub(2) or ""
  return ("%s%s%sE%+d"):format(sign, digits:sub(1, 1), rest, exponent)
end

function Decimal.__concat(a, b) return tostring(a) .. tostring(b) end

-- The same number has one form without the zeros at its end.
local function reduced(value)
  if value.unscaled == "0" then return "0", 0 end
  local digits, zeros = value.unscaled:match "^(.-)(0*)$"
  return digits, value.scale - #zeros
end

--- Equal as numbers: 1.5 is 1.50.
function Decimal.__eq(a, b)
  local a_digits, a_scale = reduced(a)
  local b_digits, b_scale = reduced(b)
  return a_digits == b_digits and a_scale == b_scale
end

local function parse(text)
  local sign, before, behind, exponent = text:match "^([+-]?)(%d*)%.?(%d*)[eE]?([+-]?%d*)$"
  if not before or before .. behind == "" then return nil end
  local has_exponent = text:find "[eE]" ~= nil
  if has_exponent ~= (exponent:find "%d" ~= nil) then return nil end
  if not has_exponent and exponent ~= "" then return nil end
  local scale = #behind - (tonumber(exponent) or 0)
  if math.abs(scale) > SCALE_MAX then return nil end
  return varint.canonical(sign .. before .. behind), scale
end

--- Digits and scale of a decimal, a string, a varint or a whole number; nil if it is none of them.
---@return string? unscaled, integer? scale
function decimal.parts(value)
  if getmetatable(value) == Decimal then return value.unscaled, value.scale end
  if type(value) == "string" then return parse(value) end
  if type(value) == "number" or type(value) == "cdata" then return whole.text(value), 0 end
  return varint.digits(value), 0
end

--- A decimal of a text such as "1.50" or "-2e-7", a varint, or a whole number up to 2^53. Numbers
--- with a fraction are refused, since 0.1 isn't one tenth.
---@param value string|integer|ffi.cdata*|cql.Varint|cql.Decimal
---@return cql.Decimal
function decimal.new(value)
  local unscaled, scale = decimal.parts(value)
  if not unscaled then
    error('cql.decimal takes text such as "1.50", or a whole number up to 2^53, not '
      .. tostring(value), 2)
  end
  return of_parts(unscaled, scale)
end

return decimal
