--- Cells to Lua values. compile() gives a function for a type; what it gives is docs/values.md.
--
-- A decoder takes a cql_cell_t and gives nil for null, and for an empty value of a type whose
-- values have bytes: never a number that nobody wrote. It raises where a value that holds others
-- is malformed; cells of other types were checked by C.
local ffi = require "ffi"
local C = require("cql.ffi").C
local null = require("cql.null").null
local decimal = require "cql.types.decimal"
local duration = require "cql.types.duration"
local varint = require "cql.types.varint"
local whole = require "cql.types.whole"
local new_table = require "table.new"

local bit = require "bit"
local band, bor, bswap, lshift = bit.band, bit.bor, bit.bswap, bit.lshift
local cast, str, tonumber = ffi.cast, ffi.string, tonumber
local EXACT_MAX = whole.EXACT_MAX

---@class cql.Mode how values read
---@field int64 "auto"|"cdata"|"number"|"string"|nil bigint and counter; nil is "auto"
---@field plain boolean? everything fit for JSON
---@field array boolean? rows as arrays

local decode = {}

local function malformed(type) error(("malformed value of type %s"):format(type.text), 0) end

-- ---- scalars ----

local function integer(cell)
  if cell.length > 0 then return tonumber(cell.as.integer) end
  return nil
end

local function boolean(cell)
  if cell.length > 0 then return cell.as.integer ~= 0 end
  return nil
end

local function real(cell)
  if cell.length > 0 then return cell.as.real end
  return nil
end

-- JSON has no word for these.
local function plain_real(cell)
  if cell.length <= 0 then return nil end
  local value = cell.as.real
  if value - value == 0 then return value end
  if value ~= value then return "NaN" end
  return value > 0 and "Infinity" or "-Infinity"
end

local function text(cell)
  if cell.length >= 0 then return str(cell.as.bytes, cell.length) end
  return nil
end

local function plain_blob(cell)
  if cell.length < 0 then return nil end
  return "0x" .. str(cell.as.bytes, cell.length):gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end)
end

local function int64_cdata(cell)
  if cell.length > 0 then return cell.as.integer end
  return nil
end

local function int64_text(cell)
  if cell.length > 0 then return ("%d"):format(cell.as.integer) end
  return nil
end

local function int64_auto(cell)
  if cell.length <= 0 then return nil end
  local value = tonumber(cell.as.integer)
  if value < EXACT_MAX and value > -EXACT_MAX then return value end
  return whole.shortest(cell.as.integer)
end

-- As a table's key, where a cdata can't be found again.
local function int64_key(cell)
  if cell.length <= 0 then return nil end
  local value = tonumber(cell.as.integer)
  if value < EXACT_MAX and value > -EXACT_MAX then return value end
  value = whole.shortest(cell.as.integer)
  return type(value) == "number" and value or ("%d"):format(value)
end

local scratch = ffi.new "char[64]"

local function uuid(cell)
  if cell.length <= 0 then return nil end
  C.cql_uuid_to_text(cell.as.bytes, scratch)
  return str(scratch, 36)
end

local function inet(cell)
  if cell.length <= 0 then return nil end
  return str(scratch, C.cql_inet_to_text(cell.as.bytes, cell.length, scratch))
end

local function date(cell)
  if cell.length <= 0 then return nil end
  return str(scratch, C.cql_date_to_text(cell.as.integer, scratch))
end

local function digits_of(bytes, length)
  local room, size = scratch, 64
  if length * 3 + 2 > size then
    size = length * 3 + 2
    room = ffi.new("char[?]", size)
  end
  local count = C.cql_varint_to_text(bytes, length, room, size)
  return count > 0 and str(room, count) or nil
end

local function varint_decoder(type)
  return function(cell)
    if cell.length <= 0 then return nil end
    return varint.of_digits(digits_of(cell.as.bytes, cell.length) or malformed(type))
  end
end

local function be32(bytes)
  return bor(lshift(bytes[0], 24), lshift(bytes[1], 16), lshift(bytes[2], 8), bytes[3])
end

local function decimal_decoder(type)
  return function(cell)
    if cell.length <= 0 then return nil end
    local bytes = cell.as.bytes
    local digits = digits_of(bytes + 4, cell.length - 4)
    return decimal.of_parts(digits or malformed(type), be32(bytes))
  end
end

local function duration_decoder(type)
  local months, days = ffi.new "int32_t[1]", ffi.new "int32_t[1]"
  local nanoseconds = ffi.new "int64_t[1]"
  return function(cell)
    if cell.length <= 0 then return nil end
    if C.cql_duration_decode(cell.as.bytes, cell.length, months, days, nanoseconds) < 0 then
      malformed(type)
    end
    return duration.of_parts(months[0], days[0], whole.shortest(nanoseconds[0]))
  end
end

-- Texts instead of the values that have a metatable.
local function as_text(decoder)
  return function(cell)
    local value = decoder(cell)
    if value == nil then return nil end
    return tostring(value)
  end
end

-- ---- values that hold others ----

-- A sequence: list, set, vector. `absent` stands for a null element.
local function sequence_decoder(type, element, absent)
  local items, item = ffi.new "cql_items_t", ffi.new "cql_cell_t"
  return function(cell)
    if cell.length < 0 then return nil end
    if C.cql_items_open(type.ctype, cell.as.bytes, cell.length, items) ~= 0 then malformed(type) end
    local count = items.count
    local out = new_table(count, 0)
    for i = 1, count do
      if C.cql_items_next(items, item) ~= 1 then malformed(type) end
      local value = element(item)
      if value == nil then value = absent end
      out[i] = value
    end
    if C.cql_items_next(items, item) ~= 0 then malformed(type) end
    return out
  end
end

local function vector_decoder(type, element, absent)
  local sequence = sequence_decoder(type, element, absent)
  return function(cell)
    if cell.length <= 0 then return nil end -- no vector has no elements
    return sequence(cell)
  end
end

local word_pointer = ffi.typeof "const uint32_t *"
local word = ffi.new "union { int32_t bits; float real; }"
local to_host = ffi.abi "le" and bswap or bit.tobit

-- Floats read in place, for vectors are long: a call into C for each would cost five times as much.
-- A NaN is made anew, since LuaJIT takes some of those bits for other things than numbers.
local function float_vector_decoder(type)
  return function(cell)
    if cell.length <= 0 then return nil end
    local count = type.dimension
    if cell.length ~= count * 4 then malformed(type) end
    local words = cast(word_pointer, cell.as.bytes)
    local out = new_table(count, 0)
    for i = 1, count do
      local bits = to_host(words[i - 1])
      word.bits = bits
      out[i] = band(bits, 0x7fffffff) > 0x7f800000 and 0 / 0 or word.real
    end
    return out
  end
end

-- NaN and null can't be keys; they are as rare as they are odd.
local function key_of(key)
  if key == nil then return null end
  if key ~= key then return "NaN" end
  return key
end

local function map_decoder(type, key_decoder, value_decoder)
  local items, item = ffi.new "cql_items_t", ffi.new "cql_cell_t"
  return function(cell)
    if cell.length < 0 then return nil end
    if C.cql_items_open(type.ctype, cell.as.bytes, cell.length, items) ~= 0 then malformed(type) end
    local pairs_count = items.count / 2
    local out = new_table(0, pairs_count)
    for _ = 1, pairs_count do
      if C.cql_items_next(items, item) ~= 1 then malformed(type) end
      local key = key_of(key_decoder(item))
      if C.cql_items_next(items, item) ~= 1 then malformed(type) end
      out[key] = value_decoder(item)
    end
    return out
  end
end

-- For JSON: keys are texts.
local function plain_map_decoder(type, key_decoder, value_decoder)
  local function text_key(cell)
    local key = key_decoder(cell)
    if key == nil then return "null" end
    return tostring(key)
  end
  return map_decoder(type, text_key, value_decoder)
end

-- For JSON, of keys that hold others: an array of { key =, value = }.
local function plain_pairs_decoder(type, key_decoder, value_decoder)
  local items, item = ffi.new "cql_items_t", ffi.new "cql_cell_t"
  return function(cell)
    if cell.length < 0 then return nil end
    if C.cql_items_open(type.ctype, cell.as.bytes, cell.length, items) ~= 0 then malformed(type) end
    local out = {}
    for i = 1, items.count / 2 do
      if C.cql_items_next(items, item) ~= 1 then malformed(type) end
      local key = key_decoder(item)
      if C.cql_items_next(items, item) ~= 1 then malformed(type) end
      out[i] = { key = key, value = value_decoder(item) }
    end
    return out
  end
end

-- Tuples and UDTs: a key for each field, 1 .. n or its name.
local function fields_decoder(type, keys, decoders, absent, count_name)
  local items, item = ffi.new "cql_items_t", ffi.new "cql_cell_t"
  local count = #decoders
  return function(cell)
    if cell.length < 0 then return nil end
    if C.cql_items_open(type.ctype, cell.as.bytes, cell.length, items) ~= 0 then malformed(type) end
    local out = {}
    if count_name then out[count_name] = count end
    for i = 1, count do
      if C.cql_items_next(items, item) ~= 1 then malformed(type) end
      local value = decoders[i](item)
      if value == nil then value = absent end
      out[keys[i]] = value
    end
    return out
  end
end

-- ---- a decoder for a type ----

local function int64_decoder(mode)
  local kind = mode.int64 or "auto"
  if kind == "number" then return integer end
  if kind == "string" or mode.plain and kind == "cdata" then return int64_text end
  if mode.plain then return int64_key end
  return kind == "cdata" and int64_cdata or int64_auto
end

local function always(decoder) return function() return decoder end end

local function constructed(make)
  return function(mode, type)
    local decoder = make(type)
    return mode.plain and as_text(decoder) or decoder
  end
end

local function plain_or(plain, usual)
  return function(mode) return mode.plain and plain or usual end
end

local BY_KIND = {
  [C.CQL_ASCII] = always(text), [C.CQL_TEXT] = always(text),
  [C.CQL_BLOB] = plain_or(plain_blob, text), [C.CQL_CUSTOM] = plain_or(plain_blob, text),
  [C.CQL_BOOLEAN] = always(boolean),
  [C.CQL_TINYINT] = always(integer), [C.CQL_SMALLINT] = always(integer),
  [C.CQL_INT] = always(integer), [C.CQL_TIME] = always(integer),
  [C.CQL_BIGINT] = int64_decoder, [C.CQL_COUNTER] = int64_decoder,
  -- Past 2^53 ms, in the year 287,396, there is no other exact way.
  [C.CQL_TIMESTAMP] = plain_or(int64_key, int64_auto),
  [C.CQL_DOUBLE] = plain_or(plain_real, real), [C.CQL_FLOAT] = plain_or(plain_real, real),
  [C.CQL_UUID] = always(uuid), [C.CQL_TIMEUUID] = always(uuid),
  [C.CQL_INET] = always(inet), [C.CQL_DATE] = always(date),
  [C.CQL_VARINT] = constructed(varint_decoder), [C.CQL_DECIMAL] = constructed(decimal_decoder),
  [C.CQL_DURATION] = constructed(duration_decoder),
}

--- Kinds whose cells hold bytes as they were sent; others are numbers already.
decode.HAS_BYTES = {}
for kind in pairs(BY_KIND) do decode.HAS_BYTES[kind] = true end
for name in ("BOOLEAN TINYINT SMALLINT INT BIGINT COUNTER TIMESTAMP TIME DATE FLOAT DOUBLE")
  :gmatch "%u+" do
  decode.HAS_BYTES[C["CQL_" .. name]] = nil
end
for name in ("LIST SET MAP TUPLE UDT VECTOR"):gmatch "%u+" do
  decode.HAS_BYTES[C["CQL_" .. name]] = true
end

--- Kinds whose decoders are short and never raise.
decode.IS_SIMPLE = {}
for kind in pairs(BY_KIND) do decode.IS_SIMPLE[kind] = true end
for name in ("VARINT DECIMAL DURATION"):gmatch "%u+" do
  decode.IS_SIMPLE[C["CQL_" .. name]] = nil
end

local compile

-- What can be compared when it comes out again: keys of a map, in plain mode members of a set.
local function compile_key(type, mode)
  local kind = type.kind
  if kind == C.CQL_BIGINT or kind == C.CQL_COUNTER or kind == C.CQL_TIMESTAMP then
    if kind ~= C.CQL_TIMESTAMP and mode.int64 == "number" then return integer end
    if kind ~= C.CQL_TIMESTAMP and (mode.int64 == "string" or mode.int64 == "cdata") then
      return int64_text
    end
    return int64_key
  end
  if kind == C.CQL_VARINT or kind == C.CQL_DECIMAL or kind == C.CQL_DURATION then
    return as_text(compile(type, mode))
  end
  return compile(type, mode)
end

local function compile_sequence(type, mode, absent)
  local child = type.children[1]
  if type.kind == C.CQL_VECTOR then
    if child.kind == C.CQL_FLOAT and not mode.plain then return float_vector_decoder(type) end
    return vector_decoder(type, compile(child, mode), absent)
  end
  -- Members of a set are looked up, like keys; but asked for as cdata they are cdata.
  local is_set = type.kind == C.CQL_SET and (mode.int64 or "auto") == "auto"
  local is_int64 = child.kind == C.CQL_BIGINT or child.kind == C.CQL_TIMESTAMP
  local element = is_set and is_int64 and int64_key or compile(child, mode)
  return sequence_decoder(type, element, absent)
end

local function compile_map(type, mode)
  local key, value = type.children[1], type.children[2]
  local value_decoder = compile(value, mode)
  if not mode.plain then return map_decoder(type, compile_key(key, mode), value_decoder) end
  if BY_KIND[key.kind] then
    return plain_map_decoder(type, compile_key(key, mode), value_decoder)
  end
  return plain_pairs_decoder(type, compile(key, mode), value_decoder)
end

local function compile_fields(type, mode, absent)
  local keys, decoders = {}, {}
  for i, child in ipairs(type.children) do
    keys[i] = type.names and type.names[i] or i
    decoders[i] = compile(child, mode)
  end
  if type.kind == C.CQL_UDT then return fields_decoder(type, keys, decoders) end
  return fields_decoder(type, keys, decoders, absent, not mode.plain and "n" or nil)
end

local json_null

--- What JSON writes as null, where its library is there; else cql.null.
local function null_of(mode)
  if not mode.plain then return null end
  if json_null == nil then
    local found, cjson = pcall(require, "cjson")
    json_null = found and cjson.null or null
  end
  return json_null
end
decode.null_of = null_of

--- A function from a cell of this type to its Lua value.
---@param type cql.Type
---@param mode cql.Mode
---@return fun(cell: ffi.cdata*): any
function compile(type, mode)
  local scalar = BY_KIND[type.kind]
  if scalar then return scalar(mode, type) end
  local absent = null_of(mode)
  if type.kind == C.CQL_MAP then return compile_map(type, mode) end
  if type.kind == C.CQL_TUPLE or type.kind == C.CQL_UDT then
    return compile_fields(type, mode, absent)
  end
  return compile_sequence(type, mode, absent)
end
decode.compile = compile

return decode
