--- CQL types as Lua tables, copied from C's, so that they outlive the metadata they came from.
local ffi = require "ffi"
local C = require("cql.ffi").C

---@class cql.Type
---@field kind integer CQL_INT ...
---@field text string as CQL writes it: "map<text, list<int>>", a UDT "keyspace.name"
---@field children cql.Type[]
---@field names string[]? a UDT's field names
---@field dimension integer a vector's
---@field fixed_size integer bytes of a vector's element that carries no length, else 0
---@field ctype ffi.cdata* cql_type_t, complete but for names; lives as long as this table
local descriptor = {}

local NAMES = {}
for name in ([[ASCII BIGINT BLOB BOOLEAN COUNTER DECIMAL DOUBLE FLOAT INT TIMESTAMP UUID TEXT VARINT
  TIMEUUID INET DATE TIME SMALLINT TINYINT DURATION LIST MAP SET TUPLE VECTOR]]):gmatch "%u+" do
  NAMES[C["CQL_" .. name]] = name:lower()
end

local function string_of(slice)
  if slice.length <= 0 then return "" end
  return ffi.string(slice.data, slice.length)
end
descriptor.string_of = string_of

local function text_of(type, source)
  if type.kind == C.CQL_CUSTOM then return "'" .. string_of(source.name) .. "'" end
  if type.kind == C.CQL_UDT then
    return string_of(source.keyspace) .. "." .. string_of(source.name)
  end
  local name = NAMES[type.kind] or ("type %d"):format(type.kind)
  if #type.children == 0 then return name end
  local parts = {}
  for i, child in ipairs(type.children) do parts[i] = child.text end
  if type.kind == C.CQL_VECTOR then parts[#parts + 1] = tostring(type.dimension) end
  return ("%s<%s>"):format(name, table.concat(parts, ", "))
end

--- A copy of a type with all that it refers to.
---@param source ffi.cdata* const cql_type_t *
---@return cql.Type
function descriptor.copy(source)
  local count = source.child_count
  local type = { kind = source.kind, children = {}, dimension = source.dimension,
    fixed_size = source.fixed_size }
  local children = ffi.new("cql_type_t[?]", math.max(count, 1))
  for i = 0, count - 1 do
    local child = descriptor.copy(source.children + i)
    type.children[i + 1] = child
    children[i] = child.ctype[0]
  end
  if source.kind == C.CQL_UDT then
    type.names = {}
    for i = 0, count - 1 do type.names[i + 1] = string_of(source.names[i]) end
  end
  local ctype = ffi.new "cql_type_t[1]"
  ctype[0].kind, ctype[0].child_count, ctype[0].children = source.kind, count, children
  ctype[0].dimension, ctype[0].fixed_size = source.dimension, source.fixed_size
  type.ctype = ctype
  type.anchor = children -- ctype points into it
  type.text = text_of(type, source)
  return type
end

return descriptor
