--- Nodes of a simulated world: what may become of them, and what they count.
local ffi = require "ffi"
local library = require "cql.sim.library"
local connections = require "cql.sim.connections"

local C, check = library.C, library.check

---@class cql.sim.Node
---@field number integer from 1
local Node = {}
Node.__index = Node

function Node:__tostring() return ("node %d"):format(self.number) end

-- Methods that are one call of the library.
local function method(name)
  local call = C["cql_sim_node_" .. name]
  return function(self)
    check(self.world, call(self.world.handle, self.id))
    return self
  end
end

--- It starts; it is up after the time that the setting `boot` says.
Node.start = method "start"
--- Its process dies: connections are reset, new ones refused.
Node.kill = method "kill"
--- It shuts down in good order.
Node.stop = method "stop"
--- Its process stands still: bytes go in, nothing is answered.
Node.pause = method "pause"
--- It goes on after a pause.
Node.resume = method "resume"
--- Its machine is off the net: nobody is told, nothing passes until it starts again.
Node.vanish = method "vanish"
--- It leaves the ring for good.
Node.decommission = method "decommission"

--- It stops, and will have another address when it starts again.
---@param address string
function Node:move(address)
  check(self.world, C.cql_sim_node_move(self.world.handle, self.id, address))
  return self
end

--- It forgets its prepared statements, or the one of this text.
---@param text string?
function Node:forget(text)
  check(self.world, C.cql_sim_node_forget(self.world.handle, self.id, text))
  return self
end

--- It dies and starts again.
function Node:restart() return self:kill():start() end

--- It dies and starts again with another number of shards.
---@param shards integer
function Node:reshard(shards) return self:kill():set("shards", shards):start() end

--- One setting of this node; docs/sim.md lists them.
---@param name string
---@param value string|number|boolean
function Node:set(name, value)
  check(self.world, C.cql_sim_set(self.world.handle, self.id, name, tostring(value)))
  return self
end

--- Everything that it answers takes this long from now on: "5ms", "1ms..20ms", "exp 2ms".
---@param time string|number milliseconds, if it is a number
function Node:slow(time)
  return self:set("service", type(time) == "number" and ("%gms"):format(time) or time)
end

--- All that is on its way to and from its clients stands still for so long.
---@param ms number
function Node:stall(ms)
  check(self.world, C.cql_sim_stall(self.world.handle, self.id, ms * 1000))
  return self
end

--- Its clients are told: type "TOPOLOGY_CHANGE" or "STATUS_CHANGE", change "UP", "NEW_NODE" ... of
--- `about`, true or not. How many were told.
---@param type string
---@param change string
---@param about cql.sim.Node?
---@return integer
function Node:tell(type, change, about)
  return check(self.world, C.cql_sim_tell(self.world.handle, self.id, type, change,
    (about or self).id))
end

local STATES = { [0] = "new", "booting", "up", "paused", "down", "gone" }

--- "new", "booting", "up", "paused", "down" or "gone".
---@return string
function Node:state() return STATES[C.cql_sim_node_state(self.world.handle, self.id)] end

--- "127.0.0.1:9042".
---@return string
function Node:address() return ffi.string(C.cql_sim_node_address(self.world.handle, self.id)) end

--- Its host_id, as text.
---@return string
function Node:host_id() return ffi.string(C.cql_sim_node_host_id(self.world.handle, self.id)) end

-- ---- what happened ----

local counters_out = ffi.new "cql_sim_counters_t"
local COUNTERS = {
  "requests", "queries", "prepares", "executes", "batches", "answers", "errors", "events",
  "unprepared", "primed", "wrong_shard", "not_replica", "unknown_id", "bad_frames",
  "bad_streams", "not_ready", "payloads", "bytes_in", "bytes_out", "accepted", "refused",
  "astray", "connections", "in_flight",
}

function Node.counters_of(world, id)
  check(world, C.cql_sim_counters(world.handle, id, counters_out))
  local list = {}
  for _, name in ipairs(COUNTERS) do list[name] = tonumber(counters_out[name]) end
  return list
end

--- Counters of this node since the world began: requests, connections, errors ...
---@return table<string, integer>
function Node:counters() return Node.counters_of(self.world, self.id) end

--- Its connections: which shard serves them, what they are registered for ...
---@return cql.sim.Connection[]
function Node:connections() return connections(self.world, self.id) end

return Node
