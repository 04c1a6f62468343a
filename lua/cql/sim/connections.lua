--- Connections of a simulated world, as their nodes see them.
local ffi = require "ffi"
local library = require "cql.sim.library"

local C, check, refuse, text_of = library.C, library.check, library.refuse, library.text_of

---@class cql.sim.Connection
---@field node cql.sim.Node
---@field shard integer by which it is served
---@field port integer of the node
---@field source_port integer of the client
---@field version integer of the protocol; 0: nothing has been said yet
---@field ready boolean the handshake is over
---@field in_flight integer requests that aren't answered yet
---@field events table<string, true> what it is registered for: "TOPOLOGY_CHANGE" ...
---@field startup table<string, string>
local Connection = {}
Connection.__index = Connection

local ENDS = { close = C.CQL_SIM_CLOSE, reset = C.CQL_SIM_RESET, half_open = C.CQL_SIM_HALF_OPEN }

--- Its node ends it: "close", "reset", or "half_open": nobody is told.
---@param how "close"|"reset"|"half_open"
function Connection:finish(how)
  local number = ENDS[how]
  if not number then refuse(("it ends by close, reset or half_open, not %s"):format(how)) end
  check(self.world, C.cql_sim_connection_end(self.world.handle, self.id, number))
end

--- Its node says these bytes on it, whatever they are.
---@param bytes string
function Connection:say(bytes)
  check(self.world, C.cql_sim_connection_say(self.world.handle, self.id, bytes, #bytes))
end

local EVENTS = { "TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE", "CLIENT_ROUTES_CHANGE" }

local out = ffi.new "cql_sim_connection_t"

local function connection_of(world)
  local events, startup = {}, {}
  for i, name in ipairs(EVENTS) do
    if bit.band(out.registered, bit.lshift(1, i - 1)) ~= 0 then events[name] = true end
  end
  for name, value in text_of(out.startup):gmatch "([^=\n]+)=([^\n]*)" do startup[name] = value end
  return setmetatable({
    world = world, id = out.id, node = world.nodes[out.node + 1], shard = out.shard,
    port = out.port, source_port = out.source_port, version = out.version,
    compressed = out.compressed ~= 0, ready = out.ready ~= 0, events = events,
    in_flight = out.in_flight, keyspace = text_of(out.keyspace), startup = startup,
    address = text_of(out.address),
  }, Connection)
end

--- Those of a node, or of all, in the order in which they were accepted.
return function(world, node)
  local list = {}
  for i = 0, C.cql_sim_connection_count(world.handle, node) - 1 do
    check(world, C.cql_sim_connection(world.handle, node, i, out))
    list[i + 1] = connection_of(world)
  end
  return list
end
