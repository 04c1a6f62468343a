--- Batches: several statements that are executed as one.
local statement_of = require "cql.statement"
local names = require "cql.names"
local ffi = require "ffi"

local TYPES = {
  logged = ffi.C.CQL_LOGGED, unlogged = ffi.C.CQL_UNLOGGED, counter = ffi.C.CQL_COUNTER_BATCH,
}

---@class cql.Batch
local Batch = {}
Batch.__index = Batch

local batch = {}

-- Called by a tail call, so that level 2 is the user.
---@param kind "logged"|"unlogged"|"counter"|nil
function batch.new(kind, options)
  kind = kind or "logged"
  if not TYPES[kind] then error(names.unknown("type of batch", kind, TYPES), 2) end
  return setmetatable({
    type = TYPES[kind], options = options, size = 0, statements = {}, values = {},
  }, Batch)
end

--- Adds a statement: prepared, or text; text with values is prepared by itself. The values are
--- read when the batch is executed.
---@param statement cql.Statement|string
---@param values table?
---@return cql.Batch self
function Batch:add(statement, values)
  if not statement_of.is(statement) and type(statement) ~= "string" then
    error("batch:add takes a prepared statement or text, not a " .. type(statement), 2)
  end
  if values ~= nil and type(values) ~= "table" then
    error("batch:add takes values as a table, not as a " .. type(values), 2)
  end
  if self.size == 65535 then error("a batch has at most 65,535 statements", 2) end
  self.size = self.size + 1
  self.statements[self.size], self.values[self.size] = statement, values or false
  return self
end

--- Empty again, for the next use.
---@return cql.Batch self
function Batch:clear()
  self.size, self.statements, self.values = 0, {}, {}
  return self
end

---@return boolean
function batch.is(value) return getmetatable(value) == Batch end

return batch
