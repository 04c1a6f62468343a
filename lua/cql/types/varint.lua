--- Varint: a whole number of any size, kept as its digits.
local text_of_number = require("cql.types.whole").text

---@class cql.Varint
---@field digits string canonical: no plus, no zeros in front
local Varint = {}
Varint.__index = Varint

local varint = {}

local function of_digits(digits) return setmetatable({ digits = digits }, Varint) end
--- From digits that are canonical already.
varint.of_digits = of_digits

function Varint:__tostring() return self.digits end
function Varint.__concat(a, b) return tostring(a) .. tostring(b) end
function Varint.__eq(a, b) return a.digits == b.digits end

--- "-0012" as "-12"; nil if it isn't a whole number.
function varint.canonical(text)
  local sign, digits = text:match "^([+-]?)0*(%d+)$"
  if not digits then return nil end
  return (sign == "-" and digits ~= "0" and "-" or "") .. digits
end

--- The digits of a varint, a string, a whole number or int64_t; nil if it is none of them.
---@return string?
function varint.digits(value)
  if getmetatable(value) == Varint then return value.digits end
  if type(value) == "string" then return varint.canonical(value) end
  return text_of_number(value)
end

--- A varint of a string, a whole number up to 2^53 or an int64_t.
---@param value string|integer|ffi.cdata*|cql.Varint
---@return cql.Varint
function varint.new(value)
  local digits = varint.digits(value)
  if not digits then
    error("cql.varint takes digits, a whole number up to 2^53 or int64_t, not "
      .. tostring(value), 2)
  end
  return of_digits(digits)
end

return varint
