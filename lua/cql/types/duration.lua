--- Duration: months, days and nanoseconds, which don't turn into one another.
local ffi = require "ffi"
local whole = require "cql.types.whole"

---@class cql.Duration
---@field months integer
---@field days integer
---@field nanoseconds integer|ffi.cdata* a number up to 2^53, else int64_t
local Duration = {}
Duration.__index = Duration

local duration = {}

local int64 = ffi.typeof "int64_t"
local INT32_MAX = 2147483647
local INT64_MAX = 9223372036854775807LL

local function of_parts(months, days, nanoseconds)
  return setmetatable({ months = months, days = days, nanoseconds = nanoseconds }, Duration)
end
--- From parts that are right already.
duration.of_parts = of_parts

-- Units in the order in which they are written: name, part, how many of the part.
local UNITS = {
  { "y", "months", 12 }, { "mo", "months", 1 },
  { "w", "days", 7 }, { "d", "days", 1 },
  { "h", "nanoseconds", 3600000000000LL }, { "m", "nanoseconds", 60000000000LL },
  { "s", "nanoseconds", 1000000000LL }, { "ms", "nanoseconds", 1000000LL },
  { "us", "nanoseconds", 1000LL }, { "ns", "nanoseconds", 1LL },
}
local PLACES = {}
for place, unit in ipairs(UNITS) do PLACES[unit[1]] = place end
PLACES["µs"] = PLACES.us

local function digits_of(value) return (tostring(value):gsub("U?LL$", "")) end

-- Weeks are read and not written: the server writes days.
local function write(out, part, left)
  for _, unit in ipairs(UNITS) do
    if unit[2] == part and unit[1] ~= "w" then
      local size = ffi.cast("uint64_t", unit[3])
      local count = left / size
      if count > 0 then out[#out + 1] = digits_of(count) .. unit[1] end
      left = left - count * size
    end
  end
end

-- As uint64_t, for the magnitude of the smallest int64 isn't an int64.
local function magnitude(value)
  value = ffi.cast(int64, value)
  if value < 0 then return ffi.cast("uint64_t", 0) - ffi.cast("uint64_t", value) end
  return ffi.cast("uint64_t", value)
end

--- "1y2mo3d4h5m6s7ms8us9ns", with a minus in front of all of it; "0s" for nothing.
function Duration:__tostring()
  local out = {}
  write(out, "months", magnitude(self.months))
  write(out, "days", magnitude(self.days))
  write(out, "nanoseconds", magnitude(self.nanoseconds))
  if #out == 0 then return "0s" end
  local negative = self.months < 0 or self.days < 0 or self.nanoseconds < 0
  return (negative and "-" or "") .. table.concat(out)
end

function Duration.__concat(a, b) return tostring(a) .. tostring(b) end

function Duration.__eq(a, b)
  return a.months == b.months and a.days == b.days and a.nanoseconds == b.nanoseconds
end

-- Adds count x size to a part, all uint64_t; false if it leaves what the part can hold.
local function add(parts, name, digits, size)
  if #digits > 19 then return false end
  local count = 0ULL
  for digit in digits:gmatch "%d" do count = count * 10 + tonumber(digit) end
  local max = name == "nanoseconds" and ffi.cast("uint64_t", INT64_MAX) or 2147483647ULL
  size = ffi.cast("uint64_t", size)
  if count > max / size then return false end
  parts[name] = parts[name] + count * size
  return parts[name] <= max
end

local function parse(text)
  local sign, rest = text:match "^(%-?)(.+)$"
  if not rest then return nil end
  local parts = { months = 0ULL, days = 0ULL, nanoseconds = 0ULL }
  local last, at = 0, 1
  while at <= #rest do
    local digits, name, next_at = rest:match("^(%d+)([^%d]+)()", at)
    local place = name and PLACES[name:lower()]
    if not place or place <= last then return nil end
    if not add(parts, UNITS[place][2], digits, UNITS[place][3]) then return nil end
    last, at = place, next_at
  end
  local factor = sign == "-" and -1 or 1
  return factor * tonumber(parts.months), factor * tonumber(parts.days),
    whole.shortest(factor * ffi.cast(int64, parts.nanoseconds))
end

local function is_int32(value)
  return type(value) == "number" and math.floor(value) == value
    and value >= -INT32_MAX - 1 and value <= INT32_MAX
end

-- The parts of a table; nil if one is wrong, or has another sign than the rest.
local function of_table(value)
  local months, days = value.months or 0, value.days or 0
  local nanoseconds = whole.int64(value.nanoseconds or 0)
  if not (is_int32(months) and is_int32(days) and nanoseconds) then return nil end
  local some_negative = months < 0 or days < 0 or nanoseconds < 0
  local some_positive = months > 0 or days > 0 or nanoseconds > 0
  if some_negative and some_positive then return nil end
  return months, days, nanoseconds
end

--- Months, days and nanoseconds of a duration, a text or a table; nil if it is none of them.
function duration.parts(value)
  if type(value) == "string" then return parse(value) end
  if type(value) ~= "table" then return nil end
  if getmetatable(value) ~= Duration then
    for name in pairs(value) do
      if name ~= "months" and name ~= "days" and name ~= "nanoseconds" then return nil end
    end
  end
  return of_table(value)
end

--- A duration of a text such as "1mo2d3ns" or "-2h30m", or of a table with months, days and
--- nanoseconds, all of one sign.
---@param value string|table|cql.Duration
---@return cql.Duration
function duration.new(value)
  local months, days, nanoseconds = duration.parts(value)
  if not months then
    error('cql.duration takes text such as "1mo2d3ns", or a table of months, days and nanoseconds '
      .. "of one sign, not " .. tostring(value), 2)
  end
  return of_parts(months, days, nanoseconds)
end

return duration
