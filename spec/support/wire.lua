-- The internals of src/wire and src/message for unit specs, and types in words.
local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C
local wire = {}

local anchors = setmetatable({}, { __mode = "k" })

-- A cursor over a copy of the bytes, which lives as long as the cursor.
function wire.cursor(bytes)
  local copy = unit.buffer(bytes)
  local cursor = ffi.new("cql__cursor", copy, copy + #bytes, 0)
  anchors[cursor] = copy
  return cursor
end

function wire.left(cursor) return tonumber(cursor["end"] - cursor.next) end

local NAMES = {}
for name in ([[ASCII BIGINT BLOB BOOLEAN COUNTER DECIMAL DOUBLE FLOAT INT TIMESTAMP UUID TEXT VARINT
  TIMEUUID INET DATE TIME SMALLINT TINYINT DURATION LIST MAP SET TUPLE VECTOR]]):gmatch "%u+" do
  NAMES[C["CQL_" .. name]] = name:lower()
end
wire.kind_names = NAMES

-- "map<int, ks.address<street text>>", "vector<float, 3>", "'com.example.Unknown'"
function wire.type_text(type)
  if type.kind == C.CQL_CUSTOM then return "'" .. unit.slice(type.name) .. "'" end
  local parts = {}
  for i = 0, type.child_count - 1 do
    local name = type.names ~= nil and unit.slice(type.names[i]) .. " " or ""
    parts[#parts + 1] = name .. wire.type_text(type.children[i])
  end
  if type.kind == C.CQL_VECTOR then parts[#parts + 1] = tostring(type.dimension) end
  local name = NAMES[type.kind] or unit.slice(type.keyspace) .. "." .. unit.slice(type.name)
  return #parts == 0 and name or ("%s<%s>"):format(name, table.concat(parts, ", "))
end

local function release(owner)
  C.cql__arena_free(owner.arena)
end

-- Reads a type option: an owner with fields type, arena and left; or nil, error.
function wire.read_type(bytes, depth)
  local owner = { arena = ffi.new "cql__arena", type = ffi.new "cql_type_t" }
  local cursor = wire.cursor(bytes)
  local result = C.cql__type_read(cursor, owner.arena, depth or 0, owner.type)
  local again = wire.cursor(bytes)
  local skipped = C.cql__type_skip(again, depth or 0)
  assert(result == C.CQL_ENOMEM or result == skipped, "read and skip disagree")
  if result ~= 0 then
    release(owner)
    return nil, result
  end
  owner.left = wire.left(cursor)
  assert(wire.left(again) == owner.left, "read and skip end at different bytes")
  owner.gc = ffi.gc(ffi.new "char[1]", function() release(owner) end)
  return owner
end

-- A type from the words of wire.type_text(), but for UDTs and custom ones, as an option's bytes.
local KINDS = {}
for kind, name in pairs(NAMES) do KINDS[name] = kind end

local function split(text)
  local parts, open, start = {}, 0, 1
  for at = 1, #text do
    local c = text:sub(at, at)
    if c == "<" then open = open + 1 end
    if c == ">" then open = open - 1 end
    if c == "," and open == 0 then
      parts[#parts + 1] = text:sub(start, at - 1)
      start = at + 1
    end
  end
  parts[#parts + 1] = text:sub(start)
  return parts
end

local CLASSES = { int = "Int32Type", text = "UTF8Type", smallint = "ShortType", float = "FloatType",
  date = "SimpleDateType", tinyint = "ByteType", time = "TimeType", counter = "CounterColumnType",
  uuid = "UUIDType", bigint = "LongType", boolean = "BooleanType", double = "DoubleType",
  timestamp = "TimestampType", timeuuid = "TimeUUIDType" }

-- The same as a Java class.
function wire.class(text)
  local name, inner = text:match "^%s*([%w_]+)<(.*)>%s*$"
  local package = "org.apache.cassandra.db.marshal."
  if not name then return package .. assert(CLASSES[text:match "%w+"], text) end
  local parts = split(inner)
  if name == "vector" then
    return ("%sVectorType(%s ,%s)"):format(package, wire.class(parts[1]), parts[2])
  end
  for i, part in ipairs(parts) do parts[i] = wire.class(part) end
  local class = name:gsub("^%l", string.upper) .. "Type"
  return ("%s%s(%s)"):format(package, class, table.concat(parts, ","))
end

function wire.option(text)
  local name, inner = text:match "^%s*([%w_]+)<(.*)>%s*$"
  if name == "vector" then return unit.u16(0) .. unit.str(wire.class(text)) end
  name = name or text:match "[%w_]+"
  local out = { unit.u16(assert(KINDS[name], text)) }
  local parts = inner and inner ~= "" and split(inner) or {}
  if name == "tuple" then out[#out + 1] = unit.u16(#parts) end
  for _, part in ipairs(parts) do out[#out + 1] = wire.option(part) end
  return table.concat(out)
end

-- The type that such words stand for; it lives as long as what is returned second.
function wire.type(text)
  local owner = assert(wire.read_type(wire.option(text)))
  return owner.type, owner
end

return wire
