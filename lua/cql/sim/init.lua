--- cql.sim: a whole cluster in the process, scripted in Lua, on a virtual clock.
--
--   local sim = require "cql.sim"
--   local world = sim.world { seed = 1, nodes = 3 }
--   world:run(function()
--     local session = assert(world:connect())
--     world:at(50, function() world:node(1):kill() end)
--     ...
--   end)
--
-- The driver that runs in it is the one of production, on another network. Hours pass in
-- milliseconds, and the same seed gives the same run, byte for byte.
local ffi = require "ffi"
local library = require "cql.library"
local instance = require "cql.sim.instance"

library.declare("cql_sim_counters_t", "cql.sim.cdef")
local C = library.load("CQL_SIM_LIBRARY", "cql.sim_core", "cql_sim")

local sim = {}

-- ---- errors ----

local HERE = debug.getinfo(1, "S").source

-- Raises where the script called: the first function that is not of this file.
local function refuse(why)
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info or info.source ~= HERE then break end
    level = level + 1
  end
  error(why, level)
end

-- What a call of the library refused is a mistake of the script.
local function check(world, status)
  if status >= 0 then return status end
  local why = ffi.string(C.cql_sim_error(world.handle))
  if why == "" then why = ffi.string(C.cql_error_text(status)) end
  refuse(why)
end

-- ---- nodes ----

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

local function text_of(slice)
  if slice.length >= 0 then return ffi.string(slice.data, slice.length) end
end

local counters_out = ffi.new "cql_sim_counters_t"
local COUNTERS = {
  "requests", "queries", "prepares", "executes", "batches", "answers", "errors", "events",
  "unprepared", "primed", "wrong_shard", "not_replica", "unknown_id", "bad_frames",
  "bad_streams", "not_ready", "payloads", "bytes_in", "bytes_out", "accepted", "refused",
  "connections", "in_flight",
}

local function counters(world, id)
  check(world, C.cql_sim_counters(world.handle, id, counters_out))
  local list = {}
  for _, name in ipairs(COUNTERS) do list[name] = tonumber(counters_out[name]) end
  return list
end

--- Counters of this node since the world began: requests, connections, errors ...
---@return table<string, integer>
function Node:counters() return counters(self.world, self.id) end

-- ---- worlds ----

---@class cql.sim.World
---@field cql cql the driver of this world: what require "cql" is elsewhere
local World = {}
World.__index = World

--- The node of this number, from 1 in the order in which they were made.
---@param number integer
---@return cql.sim.Node
function World:node(number)
  local node = self.nodes[number]
  if not node then refuse(("there is no node %s"):format(tostring(number))) end
  return node
end

--- A node more, which starts at once unless `start` is false.
---@param options table? datacenter, rack, address, start, and settings by name
---@return cql.sim.Node
function World:add(options)
  options = options or {}
  local id = check(self, C.cql_sim_node_new(self.handle, options.datacenter or "dc1",
    options.rack or "rack1", options.address))
  local node = setmetatable({ world = self, id = id, number = id + 1 }, Node)
  self.nodes[node.number] = node
  local names = {}
  for name in pairs(options) do
    if name ~= "datacenter" and name ~= "rack" and name ~= "address" and name ~= "start" then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do node:set(name, options[name]) end
  if options.start ~= false then node:start() end
  return node
end

--- One setting of all nodes, those to come included; docs/sim.md lists them.
function World:set(name, value)
  check(self, C.cql_sim_set(self.handle, C.CQL_SIM_ALL, name, tostring(value)))
  return self
end

--- A user whom nodes let in where the setting `auth` is "password".
function World:user(name, password)
  check(self, C.cql_sim_user(self.handle, name, password))
  return self
end

--- What a host name stands for from now on: an array of addresses; false: its look-up never ends.
---@param host string
---@param addresses string[]|false
function World:name(host, addresses)
  local list = addresses and table.concat(addresses, " ") or nil
  check(self, C.cql_sim_name(self.handle, host, list))
  return self
end

--- Runs statements on the cluster as a whole, at once and outside of time: what is there to begin
--- with.
---@param ... string statements
function World:given(...)
  for i = 1, select("#", ...) do
    local statement = select(i, ...)
    check(self, C.cql_sim_cql(self.handle, statement, #statement))
  end
  return self
end

local function place_of(where) return where and where.id or C.CQL_SIM_CLIENTS end

--- Nothing passes between the two any more; without `other` between a node and all clients.
---@param node cql.sim.Node
---@param other cql.sim.Node?
function World:partition(node, other)
  check(self, C.cql_sim_cut(self.handle, place_of(node), place_of(other)))
  return self
end

--- What partition() cut is whole again.
function World:heal(node, other)
  check(self, C.cql_sim_heal(self.handle, place_of(node), place_of(other)))
  return self
end

--- The virtual clock, in milliseconds.
---@return number
function World:now() return tonumber(C.cql_sim_now(self.handle)) / 1000 end

--- A number from 0 to below `below`, from the seed.
---@param below integer
---@return integer
function World:random(below) return tonumber(C.cql_sim_random(self.handle, below)) end

--- Calls `call` when the clock stands at `ms`, in a coroutine of its own.
---@param ms number
---@param call function
function World:at(ms, call)
  local host = self.host
  host.handle(function()
    host.sleep(math.max(0, ms - self:now()))
    call()
  end)
  return self
end

--- Calls `call` every `ms` milliseconds until it gives false.
---@param ms number
---@param call function
function World:every(ms, call)
  local host = self.host
  host.handle(function()
    repeat host.sleep(ms) until not self.handle or call() == false
  end)
  return self
end

--- Runs `call(...)` and all coroutines that it spawns until they have ended, as cql.run() does, in
--- virtual time.
---@param call function
---@return any ...
function World:run(call, ...) return self.cql.run(call, ...) end

--- A session on this world: as cql.connect(). Without contact points, to the first node.
---@param options table?
---@return cql.Session?, cql.Error?
function World:connect(options)
  local copy = {}
  for name, value in pairs(options or {}) do copy[name] = value end
  copy.contact_points = copy.contact_points or self:node(1):address()
  local session, failure = self.connect_in(copy, 2)
  return session, failure
end

-- As plain.sleep() takes it, and poll() in milliseconds: serving for ever sleeps again and again.
local HOUR = 3600 * 1000

--- The nodes listen on their addresses for anyone's driver, on the clock of the machine: for so
--- many seconds, or until the process is interrupted. What at() and every() were given runs
--- meanwhile, and what `run` says about sessions of this world holds here too.
---@param seconds number?
function World:serve(seconds)
  if self.serving[1] then refuse "the world is served already" end
  check(self, C.cql_sim_serve(self.handle))
  self.serving[1] = true
  local host = self.host
  local ok, failure = pcall(host.run, function()
    if seconds then return host.sleep(seconds * 1000) end
    while true do host.sleep(HOUR) end
  end)
  self.serving[1] = nil
  C.cql_sim_serve_stop(self.handle)
  if not ok then error(failure, 0) end
  return self
end

--- Counters of all nodes.
---@return table<string, integer>
function World:counters() return counters(self, C.CQL_SIM_ALL) end

-- ---- rules ----

---@class cql.sim.Rule
local Rule = {}
Rule.__index = Rule

--- It plays no more.
function Rule:remove() check(self.world, C.cql_sim_rule_remove(self.world.handle, self.id)) end

--- For how many requests it played.
---@return integer
function Rule:played()
  return tonumber(C.cql_sim_rule_played(self.world.handle, self.id))
end

local function part_text(value)
  if type(value) == "table" then return tostring(value.id) end -- a node
  return tostring(value)
end

local function set_part(world, id, name, value)
  local list = type(value) == "table" and getmetatable(value) == nil and value or { value }
  for _, one in ipairs(list) do
    local bytes = part_text(one)
    check(world, C.cql_sim_rule_set(world.handle, id, name, bytes, #bytes))
  end
end

--- What nodes do instead of what they would: conditions and actions by name; docs/sim.md lists
--- them. The first rule that fits a request plays.
---   world:rule { text = "SELECT 1", node = world:node(2), error = "READ_TIMEOUT", times = 3 }
---   world:rule { prefix = "SELECT", columns = "id int, name text", rows = { "1, 'one'" } }
---@param parts table
---@return cql.sim.Rule
function World:rule(parts)
  local id = check(self, C.cql_sim_rule_new(self.handle))
  local names = {}
  for name in pairs(parts) do
    if name ~= "columns" and name ~= "rows" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do set_part(self, id, name, parts[name]) end
  if parts.columns then
    check(self, C.cql_sim_rule_columns(self.handle, id, parts.columns))
    for _, row in ipairs(parts.rows or {}) do
      check(self, C.cql_sim_rule_row(self.handle, id, row))
    end
  end
  return setmetatable({ world = self, id = id }, Rule)
end

-- ---- the journal ----

local OPCODES = {
  [0x01] = "STARTUP", [0x05] = "OPTIONS", [0x07] = "QUERY", [0x09] = "PREPARE",
  [0x0A] = "EXECUTE", [0x0B] = "REGISTER", [0x0D] = "BATCH", [0x0F] = "AUTH_RESPONSE",
}
local CONSISTENCIES = { [0] = "any", "one", "two", "three", "quorum", "all", "local_quorum",
  "each_quorum", "serial", "local_serial", "local_one" }
local VERDICTS = { "wrong_shard", "not_replica", "unknown_id", "bad_frame", "bad_stream",
  "not_ready" }

local asked_out = ffi.new "cql_sim_asked_t"

local function asked_of(world, a)
  local entry = {
    at = tonumber(a.at_us) / 1000, node = world.nodes[a.node + 1], shard = a.shard,
    opcode = OPCODES[a.opcode] or a.opcode, text = text_of(a.text), keyspace = text_of(a.keyspace),
    consistency = CONSISTENCIES[a.consistency], version = a.version, values = a.value_count,
    statements = a.statements, page_size = a.page_size >= 0 and a.page_size or nil,
    error = a.error >= 0 and a.error or nil, token = a.has_token ~= 0 and a.token or nil,
    connection = a.connection, stream = a.stream,
  }
  for i, name in ipairs(VERDICTS) do
    if bit.band(a.verdict, bit.lshift(1, i - 1)) ~= 0 then entry[name] = true end
  end
  return entry
end

--- The requests that nodes were asked, oldest first; with a filter, those whose fields are equal
--- to its: world:asked { node = world:node(2), opcode = "EXECUTE" }.
---@param filter table?
---@return table[] at (ms), node, shard, opcode, text, consistency, token, error, wrong_shard ...
function World:asked(filter)
  local list = {}
  for i = 0, tonumber(C.cql_sim_asked_count(self.handle)) - 1 do
    if C.cql_sim_asked(self.handle, i, asked_out) >= 0 then
      local entry, fits = asked_of(self, asked_out), true
      for name, value in pairs(filter or {}) do fits = fits and entry[name] == value end
      if fits then list[#list + 1] = entry end
    end
  end
  return list
end

--- From now on a line of text is kept for each message and decision; "whole" shows all fields.
---@param how boolean|"whole"
function World:trace(how)
  check(self, C.cql_sim_trace(self.handle, how == "whole" and 2 or how and 1 or 0))
  return self
end

--- Takes what was traced so far.
---@return string
function World:take_trace()
  local size, parts = 65536, {}
  local out = ffi.new("char[?]", size)
  while true do
    local got = check(self, C.cql_sim_trace_take(self.handle, out, size))
    if got == 0 then return table.concat(parts) end
    parts[#parts + 1] = ffi.string(out, got)
  end
end

-- ---- tokens and tablets ----

--- The replicas of a token, in their order: { { node =, shard = } ... }.
---@param keyspace string
---@param token ffi.cdata*|number
---@param table_name string?
---@return table[]
function World:replicas(keyspace, token, table_name)
  local max = 64
  local out = ffi.new("int32_t[?]", max * 2)
  local count = check(self, C.cql_sim_replicas(self.handle, keyspace, table_name, token, out, max))
  local list = {}
  for i = 0, count - 1 do
    list[i + 1] = { node = self.nodes[out[2 * i] + 1], shard = out[2 * i + 1] }
  end
  return list
end

--- The tablet that holds `token` lives there from now on: { { node =, shard = } ... }.
---@param keyspace string
---@param table_name string
---@param token ffi.cdata*|number
---@param replicas table[]
function World:move_tablet(keyspace, table_name, token, replicas)
  local parts = {}
  for i, replica in ipairs(replicas) do
    parts[i] = ("%d:%d"):format(replica.node.id, replica.shard or 0)
  end
  check(self, C.cql_sim_tablet_move(self.handle, keyspace, table_name, token,
    table.concat(parts, " ")))
  return self
end

-- ---- making one ----

local FOREVER = ffi.new("int64_t", 0x7fffffffffffffffLL)

-- The library as the driver's modules see it in this world, and what frees the world: not before
-- its last session is freed, whichever the collector finds first.
-- `serving`: something in it says that the clock is the machine's.
local function driver_library(handle, serving)
  local own, live, ended = {}, 0, false
  local function free()
    ended = true
    if live == 0 then C.cql_sim_free(handle) end
  end
  local function pass(wait_ms)
    if serving[1] then
      local status = C.cql_sim_serve_step(handle, wait_ms)
      if status < 0 then error(ffi.string(C.cql_sim_error(handle)), 0) end
      return
    end
    if wait_ms == 0 then return end
    local until_us = wait_ms < 0 and FOREVER or C.cql_sim_now(handle) + wait_ms * 1000
    if C.cql_sim_run(handle, until_us) == C.CQL_SIM_IDLE and wait_ms < 0 then
      error("everyone waits and nothing can wake them: the world stands still", 0)
    end
  end
  function own.cql_session_new(config, out)
    local status = C.cql_sim_session_new(handle, config, out)
    if status == 0 then live = live + 1 end
    return status
  end
  function own.cql_session_free(session)
    C.cql_session_free(session)
    live = live - 1
    if ended and live == 0 then C.cql_sim_free(handle) end
  end
  function own.cql_session_step(session, wait_ms)
    pass(wait_ms)
    return C.cql_session_step(session, 0)
  end
  return setmetatable(own, { __index = C }), pass, free
end

local function add_nodes(world, options)
  for name, racks in pairs(options.datacenters or {}) do
    if type(racks) ~= "table" then refuse("a datacenter is a table of racks: " .. name) end
  end
  local datacenters = {}
  for name in pairs(options.datacenters or {}) do datacenters[#datacenters + 1] = name end
  table.sort(datacenters)
  for _, datacenter in ipairs(datacenters) do
    local racks = {}
    for rack in pairs(options.datacenters[datacenter]) do racks[#racks + 1] = rack end
    table.sort(racks)
    for _, rack in ipairs(racks) do
      for _ = 1, options.datacenters[datacenter][rack] do
        world:add { datacenter = datacenter, rack = rack }
      end
    end
  end
  for _ = 1, options.nodes or (options.datacenters and 0 or 1) do world:add() end
end

local NOT_SETTINGS = { seed = true, nodes = true, datacenters = true }

--- A world with running nodes: `nodes = 3`, or `datacenters = { dc1 = { rack1 = 2, rack2 = 1 } }`.
--- `seed` (1 if not given) decides all that is left to chance. Other names are settings of all
--- nodes; docs/sim.md lists them.
---@param options table?
---@return cql.sim.World
function sim.world(options)
  options = options or {}
  local handle = C.cql_sim_new(options.seed or 1)
  if handle == nil then refuse "not enough memory" end
  local serving = {}
  local driver, pass, free = driver_library(handle, serving)
  local function now() return tonumber(C.cql_sim_now(handle)) / 1000 end
  local loaded = {
    ["cql.ffi"] = { C = driver },
    ["cql.wait.clock"] = { now = now, poll = function(_, _, wait_ms) pass(wait_ms) end },
  }
  local require_in = instance(loaded)
  loaded["cql.host"] = require_in "cql.wait.plain"
  local world = setmetatable({
    handle = ffi.gc(handle, free), nodes = {}, cql = require_in "cql", host = loaded["cql.host"],
    connect_in = require_in "cql.connect", serving = serving,
  }, World)
  local names = {}
  for name in pairs(options) do
    if not NOT_SETTINGS[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do world:set(name, options[name]) end
  add_nodes(world, options)
  return world
end

return sim
