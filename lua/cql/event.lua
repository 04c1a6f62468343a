--- Events: what a session tells of, each as one table for all who hear of it.
local ffi = require "ffi"
local error_of = require "cql.error"
local names = require "cql.names"
local node_of = require "cql.node"
local result = require "cql.result"

---@class cql.Event which fields it has depends on its name; docs/guide.md lists them
---@field name string "node_up" ...
---@field address string? of a node or contact point: "127.0.0.1:9042"
---@field message string?
---@field error cql.Error? of what failed
---@field node cql.Node? as it was when this happened
---@field shard integer? of a ScyllaDB node
---@field change string? what a server said of another: "UP", "NEW_NODE" ...
---@field schema_change table? change, target, keyspace, name, arguments: as rows.schema_change
---@field keyspace string? that all connections use now; of a tablet
---@field table string? of a tablet
---@field lost integer? from a subscription: so many events before this one went, for want of room

local event = {}

--- Names of events and their numbers.
event.numbers = {
  ready = ffi.C.CQL_EVENT_READY,
  failed = ffi.C.CQL_EVENT_FAILED,
  connection_opened = ffi.C.CQL_EVENT_CONNECTION_OPENED,
  connection_failed = ffi.C.CQL_EVENT_CONNECTION_FAILED,
  connection_closed = ffi.C.CQL_EVENT_CONNECTION_CLOSED,
  warning = ffi.C.CQL_EVENT_WARNING,
  closed = ffi.C.CQL_EVENT_CLOSED,
  node_added = ffi.C.CQL_EVENT_NODE_ADDED,
  node_removed = ffi.C.CQL_EVENT_NODE_REMOVED,
  node_up = ffi.C.CQL_EVENT_NODE_UP,
  node_down = ffi.C.CQL_EVENT_NODE_DOWN,
  node_moved = ffi.C.CQL_EVENT_NODE_MOVED,
  distance = ffi.C.CQL_EVENT_DISTANCE,
  control_opened = ffi.C.CQL_EVENT_CONTROL_OPENED,
  control_failed = ffi.C.CQL_EVENT_CONTROL_FAILED,
  control_closed = ffi.C.CQL_EVENT_CONTROL_CLOSED,
  topology = ffi.C.CQL_EVENT_TOPOLOGY,
  keyspace = ffi.C.CQL_EVENT_KEYSPACE,
  agreement = ffi.C.CQL_EVENT_AGREEMENT,
  reprepared = ffi.C.CQL_EVENT_REPREPARED,
  tablet = ffi.C.CQL_EVENT_TABLET,
  resolve_failed = ffi.C.CQL_EVENT_RESOLVE_FAILED,
  status_change = ffi.C.CQL_EVENT_STATUS_CHANGE,
  topology_change = ffi.C.CQL_EVENT_TOPOLOGY_CHANGE,
  schema_change = ffi.C.CQL_EVENT_SCHEMA_CHANGE,
}

--- The other way.
event.names = {}
for name, number in pairs(event.numbers) do event.names[number] = name end

--- Raises at `level` where no event has this name.
function event.check(name, level)
  if event.numbers[name] then return end
  error(names.unknown("event", name, event.numbers), level + 1)
end

-- What an event has beside the fields that all may have.
local MORE = {
  status_change = function(self) self.change = self.message end,
  topology_change = function(self) self.change = self.message end,
  keyspace = function(self) self.keyspace = self.message end,
  schema_change = function(self, schema) self.schema_change = result.schema_change(schema) end,
  tablet = function(self, schema)
    local change = result.schema_change(schema)
    self.keyspace, self.table = change.keyspace, change.name
  end,
}

local function text(chars)
  local found = ffi.string(chars)
  return found ~= "" and found or nil
end

--- What a completion of the library tells.
---@return cql.Event
function event.of(c)
  local told = c.event
  local message = text(told.message)
  local self = {
    name = event.names[c.code] or "event " .. c.code,
    address = text(told.address),
    message = message,
    error = c.status ~= 0 and error_of.status(c.status, message) or nil,
    node = node_of.of(told.node),
    shard = told.shard >= 0 and told.shard or nil,
  }
  local add = MORE[self.name]
  if add then add(self, told.schema) end
  return self
end

return event
