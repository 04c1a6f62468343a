--- Values bound to the markers of a prepared statement, encoded straight into a buffer.
--
-- Code is generated for each statement, so that LuaJIT compiles it: the markers one after the
-- other, in pieces of CHUNK, for a longer run than some 40 is more than it compiles in one trace.
local C = require("cql.ffi").C
local descriptor = require "cql.types.descriptor"
local encode = require "cql.types.encode"
local unknown_name = require("cql.names").unknown
local nulls = require "cql.null"

local type, next, max = type, next, math.max
local unset = nulls.unset

local CHUNK = 16
local NULL, UNSET = C.CQL_NULL, C.CQL_UNSET

local NO_VALUES = {}

local binder = {}

---@class cql.Binder
---@field count integer markers
---@field names string[]
---@field types string[] as CQL writes them
local Binder = {}
Binder.__index = Binder

-- ---- code ----

-- A value that isn't there: null or unset. Returns what is wrong, or nil.
local function put_absent(buffer, value, unset_length, is_key)
  local is_unset = value == nil or rawequal(value, unset)
  if is_key then
    return is_unset and "a part of the partition key needs a value"
      or "a part of the partition key can't be null"
  end
  buffer:put_i32(is_unset and unset_length or NULL)
end

local MARKER = [[
  value = values[%s]
  if is_absent(value) then
    problem = put_absent(buffer, value, unset_length, %s)
    if problem then return problem, nil, %d end
  else
    problem, path = put_sized(buffer, value, encoders[%d])
    if problem then return problem, path, %d end
  end]]

local PIECE = [[
local encoders, is_absent, put_absent, put_sized = ...
return function(buffer, values, unset_length)
  local value, problem, path
%s
end]]

-- Functions for the markers in order, their values under `key(i)`.
local function pieces(self, key)
  local list = {}
  for first = 1, self.count, CHUNK do
    local code = {}
    for i = first, math.min(first + CHUNK - 1, self.count) do
      code[#code + 1] = MARKER:format(key(i), tostring(self.is_key[i] or false), i, i, i)
    end
    local load_piece = assert(loadstring(PIECE:format(table.concat(code, "\n")), "=cql.binder"))
    list[#list + 1] = load_piece(self.encoders, encode.is_absent, put_absent, encode.put_sized)
  end
  return list
end

-- ---- which values ----

-- By name: a table with a name and without a first value. `n` is a name only if a marker has it.
local function is_named(self, values)
  if values[1] ~= nil then return false end
  local key = next(values)
  if type(key) == "string" and key ~= "n" then return true end
  while key ~= nil do
    if type(key) == "string" and (key ~= "n" or self.known.n) then return true end
    key = next(values, key)
  end
  return false
end

local function check_names(self, values)
  for key in pairs(values) do
    if not self.known[key] then return unknown_name("marker", key, self.known) end
  end
  return nil
end

local function check_positions(self, values)
  local size, said = #values, values.n or 0
  if type(said) ~= "number" then return "n, the number of values, must be a number" end
  local given = max(said, size)
  if given <= self.count and values[self.count + 1] == nil then
    if given == 0 then return nil end
    -- Names beside positions would be lost without a word.
    local stray = next(values, size > 0 and size or nil)
    if type(stray) ~= "string" or stray == "n" then return nil end
    return ("values are given both by position and by name (\"%s\")"):format(stray)
  end
  return ("the statement has %d markers, and %d values were given"):format(self.count,
    max(given, self.count + 1))
end

-- ---- binders ----

local function describe(self, problem, path, i)
  return ("%s%s: %s"):format(self.names[i], path or "", problem)
end

local function undo(self, buffer, start, problem, path, i)
  buffer.size = start
  return nil, describe(self, problem, path, i)
end

--- Appends all values to `buffer` as cql_bind_encoded() wants them, and leaves it as it was when
--- something is wrong.
--- `values` is an array by the markers' order, or a table by their names; what is missing or nil
--- is unset, and null where the protocol has no unset.
---@param buffer cql.Buffer
---@param values table?
---@param version integer of the protocol
---@return integer? count, string? message
function Binder:encode(buffer, values, version)
  if type(values) ~= "table" then
    if values ~= nil then return nil, "values are a table, by position or by name" end
    values = NO_VALUES
  end
  local named = is_named(self, values)
  local wrong
  if named then wrong = check_names(self, values) else wrong = check_positions(self, values) end
  if wrong then return nil, wrong end
  local start = buffer.size
  local list = named and self.by_name or self.by_position
  local unset_length = version >= 4 and UNSET or NULL
  if self.count <= CHUNK then -- without a loop, which would keep LuaJIT from compiling the caller
    local put = list[1]
    if not put then return 0 end
    local problem, path, marker = put(buffer, values, unset_length)
    if problem then return undo(self, buffer, start, problem, path, marker) end
    return self.count
  end
  for i = 1, #list do
    local problem, path, marker = list[i](buffer, values, unset_length)
    if problem then return undo(self, buffer, start, problem, path, marker) end
  end
  return self.count
end

binder.encode = Binder.encode

--- What encodes the values of a prepared statement. Everything it needs of `metadata` is copied.
---@param metadata ffi.cdata* const cql_metadata_t *, of cql_prepared_parameters()
---@return cql.Binder
function binder.new(metadata)
  local self = setmetatable({ count = metadata.column_count, names = {}, types = {}, encoders = {},
    known = {}, is_key = {} }, Binder)
  for i = 1, self.count do
    local column = metadata.columns[i - 1]
    local described = descriptor.copy(column.type)
    self.names[i], self.types[i] = descriptor.string_of(column.name), described.text
    self.known[self.names[i]] = true
    self.encoders[i] = encode.compile(described)
  end
  for i = 0, metadata.key_count - 1 do self.is_key[metadata.key_indexes[i] + 1] = true end
  self.by_position = pieces(self, tostring)
  self.by_name = pieces(self, function(i) return ("%q"):format(self.names[i]) end)
  return self
end

return binder
