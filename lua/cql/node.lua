--- Nodes: the servers of a cluster, each as a table of what was known of it when it was made.
local ffi = require "ffi"
local C = require("cql.ffi").C

---@class cql.Node
---@field address string "127.0.0.1:9042"
---@field host_id string? what it is known by, whatever becomes of its address; nil: not told yet
---@field datacenter string? nil: not told yet, as the next two
---@field rack string?
---@field version string? of the server
---@field distance "rack"|"local"|"remote"|"ignored"
---@field up boolean a connection to it serves
---@field connections integer those that serve
---@field in_flight integer requests on them
---@field shards integer 1 but for ScyllaDB
local Node = {}
Node.__index = Node

function Node:__tostring()
  local place = self.datacenter and (" in %s, %s"):format(self.datacenter, self.rack or "") or ""
  local state = self.up and "up" or "down"
  return ("node %s%s: %s, %s"):format(self.address, place, self.distance, state)
end

--- The same node, whatever is known of it by now.
function Node.__eq(one, other) return one.handle == other.handle end

local node = {}

local DISTANCES = {
  [ffi.C.CQL_DISTANCE_RACK] = "rack",
  [ffi.C.CQL_DISTANCE_LOCAL] = "local",
  [ffi.C.CQL_DISTANCE_REMOTE] = "remote",
  [ffi.C.CQL_DISTANCE_IGNORED] = "ignored",
}

--- The names that distances have.
node.distances = { rack = true, ["local"] = true, remote = true, ignored = true }

local UNKNOWN = ("\0"):rep(16)
local info = ffi.new "cql_node_info_t"
local uuid = ffi.new "char[37]"

local function text(chars)
  local found = ffi.string(chars)
  return found ~= "" and found or nil
end

-- Takes `handle` and the reference that comes with it; nil: it is a node no more.
local function new(handle)
  handle = ffi.gc(handle, C.cql_node_unref)
  if C.cql_node_info(handle, info) < 0 then return nil end
  local host_id
  if ffi.string(info.host_id, 16) ~= UNKNOWN then
    C.cql_uuid_to_text(info.host_id, uuid)
    host_id = ffi.string(uuid)
  end
  return setmetatable({
    handle = handle, address = ffi.string(info.address), host_id = host_id,
    datacenter = text(info.datacenter), rack = text(info.rack), version = text(info.version),
    distance = DISTANCES[info.distance], up = info.connections > 0,
    connections = info.connections, in_flight = info.in_flight, shards = info.shards,
  }, Node)
end

--- The node of an event or a question.
---@return cql.Node?
function node.of(handle)
  if handle ~= nil then return new(C.cql_node_ref(handle)) end
end

---@return boolean
function node.is(value) return getmetatable(value) == Node end

-- Behind a proxy several have one address.
local function earlier(one, other)
  if one.address ~= other.address then return one.address < other.address end
  return (one.host_id or "") < (other.host_id or "")
end

--- All nodes of a session by their addresses.
---@return cql.Node[]
function node.all(session)
  local count = C.cql_session_nodes(session.handle, 0, nil)
  local out = ffi.new("cql_node_t *[?]", count + 1)
  C.cql_session_nodes(session.handle, count, out)
  local list = {}
  for i = 0, count - 1 do list[#list + 1] = new(out[i]) end
  table.sort(list, earlier)
  return list
end

---@class cql.Place where a request can go
---@field node cql.Node
---@field shard integer? of a ScyllaDB node; nil: any
---@field replica boolean it has the rows of the request's key

--- The places where a request would go, in their order.
---@return cql.Place[]
function node.plan(request)
  local count = C.cql_request_plan(request, 0, nil)
  local out = ffi.new("cql_target_t[?]", count + 1)
  C.cql_request_plan(request, count, out)
  local list = {}
  for i = 0, count - 1 do
    local target = out[i]
    list[#list + 1] = {
      node = new(target.node), shard = target.shard >= 0 and target.shard or nil,
      replica = target.replica ~= 0,
    }
  end
  return list
end

return node
