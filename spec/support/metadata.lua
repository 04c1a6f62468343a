-- Shapes by hand for specs of the binding: columns with types in words, and values there and back.
local ffi = require "ffi"
local bit = require "bit"
local wire = require "spec.support.wire"
local unit = require "spec.support.unit"
local binder = require "cql.binder"
local new_buffer = require("cql.buffer").new
local rows = require "cql.rows"
local C = require("cql.ffi").C

local metadata = {}

local anchors = setmetatable({}, { __mode = "k" })

local function slice(text, keep)
  keep[#keep + 1] = text
  return { data = ffi.cast("const uint8_t *", text), length = #text }
end

-- A UDT type: { keyspace, name, { { field, type }, ... } }; or words, as wire.option() takes them.
local function option_of(type)
  if _G.type(type) == "string" then return wire.option(type) end
  local out = { unit.u16(0x30), unit.str(type[1]), unit.str(type[2]), unit.u16(#type[3]) }
  for _, field in ipairs(type[3]) do
    out[#out + 1] = unit.str(field[1]) .. option_of(field[2])
  end
  return table.concat(out)
end

-- columns: { { name, type }, ... }; keys: indexes of partition key markers, from 0.
function metadata.of(columns, keys)
  local keep = {}
  local list = ffi.new("cql_column_t[?]", math.max(#columns, 1))
  for i, column in ipairs(columns) do
    local bytes = option_of(column[2])
    local owner = assert(wire.read_type(bytes))
    keep[#keep + 1] = owner
    list[i - 1].type = owner.type
    list[i - 1].name = slice(column[1], keep)
  end
  local shape = ffi.new("cql_metadata_t", { column_count = #columns, columns = list })
  keep[#keep + 1] = list
  if keys then
    local indexes = ffi.new("uint16_t[?]", #keys, keys)
    shape.key_count, shape.key_indexes = #keys, indexes
    keep[#keep + 1] = indexes
  end
  anchors[shape] = keep
  return shape
end

-- Splits values as they stand in a body ([value]s) into cells, by C.
function metadata.cells(shape, bytes)
  local per_row = shape.column_count
  local copy = unit.buffer(bytes)
  local cells, count, at = {}, 0, 0
  while at < #bytes do
    local length = bit.bswap(ffi.cast("int32_t *", copy + at)[0])
    local cell = ffi.new "cql_cell_t"
    local type = shape.columns[count % per_row].type
    local result = C.cql_cell_decode(type, copy + at + 4, length, cell)
    if result ~= 0 then return nil, result end
    cells[#cells + 1] = cell
    count, at = count + 1, at + 4 + math.max(length, 0)
  end
  local out = ffi.new("cql_cell_t[?]", math.max(count, 1))
  for i, cell in ipairs(cells) do out[i - 1] = cell end
  anchors[out] = copy
  return out, count / per_row
end

-- The bytes of one value of a type, without their length: hex, or nil and the message.
function metadata.encode(type, value, version)
  local shape = metadata.of { { "v", type } }
  local buffer = new_buffer()
  local count, message = binder.new(shape):encode(buffer, { value, n = 1 }, version or 5)
  if not count then return nil, message end
  return unit.hex(buffer:to_string():sub(5))
end

-- The Lua value of bytes (a string; nil for null), as a row's only column.
function metadata.decode(type, bytes, mode)
  local shape = metadata.of { { "v", type } }
  local cells, count = metadata.cells(shape, unit.bytes(bytes))
  if not cells then return nil, count end
  local out = {}
  local ok, message = rows.shape(shape, mode or {}).build(cells, 1, out, 1)
  if not ok then return nil, message end
  return out[1].v
end

return metadata
