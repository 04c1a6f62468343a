--- Lua values to CQL's bytes. compile() gives a function for a type; what it takes is
--- docs/values.md.
--
-- An encoder appends the bytes of one value to a buffer, without their length. It returns nothing,
-- or what is wrong and where: "int takes a whole number ..., not "x"", "[3]". Null is the business
-- of whoever calls it.
local ffi = require "ffi"
local bit = require "bit"
local C = require("cql.ffi").C
local buffer_of = require "cql.buffer"
local decimal = require "cql.types.decimal"
local duration = require "cql.types.duration"
local unknown_name = require("cql.names").unknown
local nulls = require "cql.null"
local time = require "cql.types.time"
local varint = require "cql.types.varint"
local whole = require "cql.types.whole"

local is_null, unset = nulls.is_null, nulls.unset
local cast, copy, fill = ffi.cast, ffi.copy, ffi.fill
local rawequal, type = rawequal, type
-- Not as methods, which are looked up at each call.
local Buffer = buffer_of.class
local reserve, set_i32, put_i32 = Buffer.reserve, Buffer.set_i32, Buffer.put_i32
local put_i64, put_bytes = Buffer.put_i64, Buffer.put_bytes
local bswap, floor = bit.bswap, math.floor
local number_of, int64_of = whole.number, whole.int64
local i16_pointer = ffi.typeof "int16_t *"
local is_little = ffi.abi "le"

local encode = {}

-- ---- what is wrong ----

local SHOWN_MAX = 40

local function show(value)
  if rawequal(value, unset) then return "unset" end
  if is_null(value) then return "null" end
  local kind = type(value)
  if kind == "string" then
    local cut = #value > SHOWN_MAX and value:sub(1, SHOWN_MAX) .. "..." or value
    return '"' .. cut:gsub("[%c\127-\255]", "?") .. '"'
  end
  if kind == "number" then
    local short = ("%.15g"):format(value)
    return tonumber(short) == value and short or ("%.17g"):format(value)
  end
  if kind == "table" and not getmetatable(value) then return "a table" end
  return tostring(value)
end

local function refuse(value, takes) return ("%s, not %s"):format(takes, show(value)) end

-- A value that stands for none: what holds it decides whether it may. (`value == nil` would take a
-- NULL pointer for nil.)
local function is_absent(value)
  if rawequal(value, nil) then return true end
  return type(value) == "userdata" and (is_null(value) or rawequal(value, unset))
end
encode.is_absent = is_absent

-- ---- numbers ----

local function tinyint(buffer, value)
  local n = number_of(value)
  if not (n and n >= -128 and n <= 127 and floor(n) == n) then
    return refuse(value, "tinyint takes a whole number from -128 to 127")
  end
  local at = buffer:reserve(1)
  buffer.data[at] = bit.band(n, 255)
end

local function smallint(buffer, value)
  local n = number_of(value)
  if not (n and n >= -32768 and n <= 32767 and floor(n) == n) then
    return refuse(value, "smallint takes a whole number from -32768 to 32767")
  end
  local at = buffer:reserve(2)
  if is_little then n = bit.rshift(bswap(n), 16) end
  cast(i16_pointer, buffer.data + at)[0] = n
end

local function int(buffer, value)
  local n = number_of(value)
  if not (n and n >= -2147483648 and n <= 2147483647 and floor(n) == n) then
    return refuse(value, "int takes a whole number from -2147483648 to 2147483647")
  end
  put_i32(buffer, n)
end

-- The server's two's complement in eight bytes, of digits; false if there are too many.
local digits_scratch = ffi.new "uint8_t[8]"
local function put_digits(buffer, text)
  local length = C.cql_varint_from_text(text, #text, digits_scratch, 8)
  if length < 1 then return false end
  local at = buffer:reserve(8)
  fill(buffer.data + at, 8 - length, digits_scratch[0] >= 128 and 255 or 0)
  copy(buffer.data + at + 8 - length, digits_scratch, length)
  return true
end

-- What numbers past 2^53 mean is anyone's guess: say so, rather than that they are out of range.
local function refuse_int64(value, name, takes)
  if type(value) == "number" and floor(value) == value and value - value == 0 then
    return refuse(value, name .. " takes a number up to 2^53, beyond which numbers lose digits: "
      .. "use an int64_t such as 9007199254740993LL" .. (takes or ""))
  end
  return refuse(value, ("%s takes a whole number%s"):format(name, takes and
    ", an int64_t or its digits, from -2^63 to 2^63 - 1" or " or an int64_t"))
end

local function bigint(name)
  return function(buffer, value)
    if type(value) == "string" then
      if put_digits(buffer, value) then return end
    else
      local n = int64_of(value)
      if n then
        put_i64(buffer, n)
        return
      end
    end
    return refuse_int64(value, name, " or a string of digits")
  end
end

local function timestamp(buffer, value)
  local n = int64_of(value)
  if not n then return refuse_int64(value, "timestamp (milliseconds since 1970)") end
  put_i64(buffer, n)
end

local DAY = 86400000000000 -- in nanoseconds

local function time_of_day(buffer, value)
  local n
  if type(value) == "string" then n = time.parse(value) else n = int64_of(value) end
  if not (n and n >= 0 and n < DAY) then
    return refuse(value, 'time takes nanoseconds since midnight, or text such as "13:30:54.234"')
  end
  put_i64(buffer, n)
end

local reals = ffi.new "union { double real; float single; int64_t bits; int32_t half; }"

local function double(buffer, value)
  local n = number_of(value)
  if not n then return refuse(value, "double takes a number") end
  if not whole.is_exact(value, n) then
    return refuse(value, "double takes integers that it can hold exactly")
  end
  reals.real = n
  buffer:put_i64(reals.bits)
end

-- Half a step beyond the largest float a number rounds to infinity.
local FLOAT_OVERFLOW = 3.4028235677973366e38

local function float(buffer, value)
  local n = number_of(value)
  if not n then return refuse(value, "float takes a number") end
  if (n >= FLOAT_OVERFLOW or n <= -FLOAT_OVERFLOW) and n - n == 0 then
    return refuse(value, "float takes a number from -3.4028235e38 to 3.4028235e38")
  end
  reals.single = n
  buffer:put_i32(reals.half)
end

local function boolean(buffer, value)
  if type(value) ~= "boolean" then return refuse(value, "boolean takes true or false") end
  local at = buffer:reserve(1)
  buffer.data[at] = value and 1 or 0
end

local VARINT_TEXT_MAX = 20000 -- digits, somewhat more than C takes
local DIGITS_MAX = "up to 19,700 digits"

local function put_varint(buffer, digits)
  if #digits > VARINT_TEXT_MAX then return false end
  local room = floor(#digits / 2) + 2 -- a byte holds 2.4 digits
  local at = buffer:reserve(room)
  local length = C.cql_varint_from_text(digits, #digits, buffer.data + at, room)
  if length < 1 then return false end
  buffer.size = at + length
  return true
end

local function varint_value(buffer, value)
  local digits = varint.digits(value)
  if not digits then
    return refuse(value, "varint takes a whole number up to 2^53, an int64_t, digits or cql.varint")
  end
  if not put_varint(buffer, digits) then return refuse(value, "varint takes " .. DIGITS_MAX) end
end

local function decimal_value(buffer, value)
  local digits, scale = decimal.parts(value)
  if not digits then
    return refuse(value, 'decimal takes text such as "1.50", a whole number up to 2^53 or '
      .. "cql.decimal")
  end
  buffer:put_i32(scale)
  if not put_varint(buffer, digits) then return refuse(value, "decimal takes " .. DIGITS_MAX) end
end

-- ---- texts ----

local function bytes_of(name)
  return function(buffer, value)
    if type(value) ~= "string" then
      local hint = type(value) == "number" and " (tostring() makes one)" or ""
      return refuse(value, name .. " takes a string") .. hint
    end
    put_bytes(buffer, value)
  end
end

local function ascii(buffer, value)
  if type(value) ~= "string" or value:find "[\128-\255]" then
    return refuse(value, "ascii takes a string of bytes from 0 to 127")
  end
  put_bytes(buffer, value)
end

local function put_uuid(buffer, value)
  local at = buffer:reserve(16)
  return type(value) == "string" and C.cql_uuid_from_text(value, #value, buffer.data + at) == 0
end

local UUID_FORM = 'text such as "550e8400-e29b-41d4-a716-446655440000"'

local function uuid(buffer, value)
  if not put_uuid(buffer, value) then return refuse(value, "uuid takes " .. UUID_FORM) end
end

local function timeuuid(buffer, value)
  if not put_uuid(buffer, value) then return refuse(value, "timeuuid takes " .. UUID_FORM) end
  if bit.rshift(buffer.data[buffer.size - 10], 4) ~= 1 then
    return refuse(value, "timeuuid takes a uuid of version 1")
  end
end

local function inet(buffer, value)
  local at = buffer:reserve(16)
  local length = type(value) == "string"
    and C.cql_inet_from_text(value, #value, buffer.data + at) or -1
  if length < 0 then
    return refuse(value, 'inet takes an address such as "127.0.0.1" or "2001:db8::1"')
  end
  buffer.size = at + length
end

local days_out = ffi.new "int64_t[1]"

local function date(buffer, value)
  if type(value) ~= "string" or C.cql_date_from_text(value, #value, days_out) ~= 0 then
    return refuse(value, 'date takes text such as "2024-02-29"')
  end
  buffer:put_i32(tonumber(days_out[0]) + 2147483648)
end

local int32, int64 = ffi.typeof "int32_t", ffi.typeof "int64_t"

local function duration_value(buffer, value)
  local months, days, nanoseconds = duration.parts(value)
  if not months then
    return refuse(value, 'duration takes text such as "1mo2d3ns", a table of months, days and '
      .. "nanoseconds of one sign, or cql.duration")
  end
  local at = buffer:reserve(27)
  local length = C.cql_duration_encode(cast(int32, months), cast(int32, days),
    cast(int64, nanoseconds), buffer.data + at)
  buffer.size = at + length
end

-- ---- values that hold others ----

local function place(key, path)
  local text
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then
    text = "." .. key
  else
    text = ("[%s]"):format(show(key))
  end
  return text .. (path or "")
end

-- Length and bytes.
local function put_sized(buffer, value, encoder)
  local at = reserve(buffer, 4)
  local problem, path = encoder(buffer, value)
  if problem then return problem, path end
  set_i32(buffer, at, buffer.size - at - 4)
end
encode.put_sized = put_sized

-- How many elements an array has; nil if it isn't one: it has holes, or other keys.
local function count_of(value)
  local found = 0
  for key in pairs(value) do
    if key ~= "n" then found = found + 1 end
  end
  local count = #value
  local said = value.n
  if found ~= count or (said ~= nil and said ~= count) then return nil end
  return count
end

local NO_NULLS = "%s takes no null elements: leave them out"

local function refuse_array(value, type_text)
  return refuse(value, type_text .. " takes an array, its keys 1, 2, 3 ... without holes")
end

local function sequence(type_of, element)
  return function(buffer, value)
    local count = type(value) == "table" and count_of(value)
    if not count then return refuse_array(value, type_of.text) end
    buffer:put_i32(count)
    for i = 1, count do
      local item = value[i]
      if is_absent(item) then return NO_NULLS:format(type_of.text), place(i) end
      local problem, path = put_sized(buffer, item, element)
      if problem then return problem, place(i, path) end
    end
  end
end

-- Elements of a vector stand without a length, where all have the same, or else behind a vint.
local function put_vint_sized(buffer, value, encoder, scratch, head)
  scratch:reset()
  local problem, path = encoder(scratch, value)
  if problem then return problem, path end
  local head_size = C.cql_vint_encode(scratch.size, head)
  local at = buffer:reserve(head_size + scratch.size)
  copy(buffer.data + at, head, head_size)
  copy(buffer.data + at + head_size, scratch.data, scratch.size)
end

local function vector(type_of, element)
  local dimension = type_of.dimension
  local is_packed = type_of.fixed_size > 0
  local scratch, head = buffer_of.new(), ffi.new "uint8_t[9]"
  return function(buffer, value)
    if type(value) ~= "table" or #value ~= dimension or value[dimension + 1] ~= nil then
      local has = type(value) == "table" and ("; this has %d"):format(#value) or ""
      return refuse(value, ("%s takes an array of %d elements"):format(type_of.text, dimension))
        .. has
    end
    for i = 1, dimension do
      local item = value[i]
      if is_absent(item) then return NO_NULLS:format(type_of.text), place(i) end
      local problem, path
      if is_packed then
        problem, path = element(buffer, item)
      else
        problem, path = put_vint_sized(buffer, item, element, scratch, head)
      end
      if problem then return problem, place(i, path) end
    end
  end
end

-- Keys that Lua doesn't compare, by their bytes; those that have none are refused later.
local function sort_by_bytes(keys, buffer, encoder)
  local bytes, size = {}, buffer.size
  for _, key in ipairs(keys) do
    bytes[key] = ""
    if not is_absent(key) and not encoder(buffer, key) then
      bytes[key] = ffi.string(buffer.data + size, buffer.size - size)
    end
    buffer.size = size
  end
  table.sort(keys, function(a, b) return bytes[a] < bytes[b] end)
end

-- In one order, so that equal maps have equal bytes.
local function sorted_keys(map, buffer, encoder)
  local keys, kind = {}, nil
  for key in pairs(map) do
    kind = (kind == nil or kind == type(key)) and type(key) or "mixed"
    keys[#keys + 1] = key
  end
  if kind == "string" or kind == "number" then
    table.sort(keys)
  else
    sort_by_bytes(keys, buffer, encoder)
  end
  return keys
end

local function map(type_of, key_encoder, value_encoder)
  return function(buffer, value)
    if type(value) ~= "table" then return refuse(value, type_of.text .. " takes a table") end
    local keys = sorted_keys(value, buffer, key_encoder)
    buffer:put_i32(#keys)
    for i = 1, #keys do
      local key = keys[i]
      local item = value[key]
      if is_absent(key) or is_absent(item) then
        return ("%s takes no null keys or values"):format(type_of.text), place(key)
      end
      local problem = put_sized(buffer, key, key_encoder)
      if problem then return "as a key " .. problem, place(key) end
      local path
      problem, path = put_sized(buffer, item, value_encoder)
      if problem then return problem, place(key, path) end
    end
  end
end

-- A field of a tuple or UDT, which may be null.
local function put_field(buffer, key, value, encoder)
  if is_absent(value) then
    if rawequal(value, unset) then return "a field can't be unset: give null", place(key) end
    buffer:put_i32(-1)
    return
  end
  local problem, path = put_sized(buffer, value, encoder)
  if problem then return problem, place(key, path) end
end

local function tuple(type_of, encoders)
  local count = #encoders
  return function(buffer, value)
    if type(value) ~= "table" then return refuse(value, type_of.text .. " takes an array") end
    for key in pairs(value) do
      if key ~= "n" and not (type(key) == "number" and key >= 1 and key <= count
        and floor(key) == key) then
        return ("%s takes an array of up to %d fields"):format(type_of.text, count), place(key)
      end
    end
    for i = 1, count do
      local problem, path = put_field(buffer, i, value[i], encoders[i])
      if problem then return problem, path end
    end
  end
end

local function udt(type_of, encoders)
  local names, known = type_of.names, {}
  for _, name in ipairs(names) do known[name] = true end
  return function(buffer, value)
    if type(value) ~= "table" then
      return refuse(value, type_of.text .. " takes a table of its fields by name")
    end
    for key in pairs(value) do
      if not known[key] then return type_of.text .. ": " .. unknown_name("field", key, known) end
    end
    for i = 1, #names do
      local problem, path = put_field(buffer, names[i], value[names[i]], encoders[i])
      if problem then return problem, path end
    end
  end
end

-- ---- an encoder for a type ----

local SCALARS = {
  [C.CQL_ASCII] = ascii, [C.CQL_TEXT] = bytes_of "text", [C.CQL_BLOB] = bytes_of "blob",
  [C.CQL_CUSTOM] = bytes_of "a custom type", [C.CQL_BOOLEAN] = boolean,
  [C.CQL_TINYINT] = tinyint, [C.CQL_SMALLINT] = smallint, [C.CQL_INT] = int,
  [C.CQL_BIGINT] = bigint "bigint", [C.CQL_COUNTER] = bigint "counter",
  [C.CQL_TIMESTAMP] = timestamp, [C.CQL_TIME] = time_of_day, [C.CQL_DATE] = date,
  [C.CQL_DOUBLE] = double, [C.CQL_FLOAT] = float,
  [C.CQL_UUID] = uuid, [C.CQL_TIMEUUID] = timeuuid, [C.CQL_INET] = inet,
  [C.CQL_VARINT] = varint_value, [C.CQL_DECIMAL] = decimal_value,
  [C.CQL_DURATION] = duration_value,
}

--- A function that appends a value of this type to a buffer.
---@param type_of cql.Type
---@return fun(buffer: cql.Buffer, value: any): string?, string?
function encode.compile(type_of)
  local scalar = SCALARS[type_of.kind]
  if scalar then return scalar end
  local children = {}
  for i, child in ipairs(type_of.children) do children[i] = encode.compile(child) end
  if type_of.kind == C.CQL_MAP then return map(type_of, children[1], children[2]) end
  if type_of.kind == C.CQL_TUPLE then return tuple(type_of, children) end
  if type_of.kind == C.CQL_UDT then return udt(type_of, children) end
  if type_of.kind == C.CQL_VECTOR then return vector(type_of, children[1]) end
  return sequence(type_of, children[1])
end

return encode
