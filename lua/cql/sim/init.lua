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
local library = require "cql.sim.library"
local instance = require "cql.sim.instance"
local Journal = require "cql.sim.journal"
local Node = require "cql.sim.node"
local Rule = require "cql.sim.rule"
local connections = require "cql.sim.connections"

local C, check, refuse = library.C, library.check, library.refuse

local sim = {}

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

local EXACT = 2 ^ 53 -- beyond it doubles leave numbers out
local int64 = ffi.typeof "int64_t"

local function tokens_of(list)
  if type(list) ~= "table" then refuse "tokens are an array" end
  local out = ffi.new("int64_t[?]", #list + 1)
  for i, token in ipairs(list) do
    local is_number = type(token) == "number" and token % 1 == 0 and math.abs(token) <= EXACT
    if not is_number and not ffi.istype(int64, token) then
      refuse(("token %d is no whole number, or one past 2^53 without LL behind it: %s"):format(i,
        tostring(token)))
    end
    out[i - 1] = token
  end
  return out, #list
end

local NOT_OF_NODE = { datacenter = true, rack = true, address = true, start = true, tokens = true }

--- A node more, which starts at once unless `start` is false. Without `tokens` it takes as many by
--- chance as its setting `vnodes` says.
---@param options table? datacenter, rack, address, tokens, start, and settings by name
---@return cql.sim.Node
function World:add(options)
  options = options or {}
  local id = check(self, C.cql_sim_node_new(self.handle, options.datacenter or "dc1",
    options.rack or "rack1", options.address))
  local node = setmetatable({ world = self, id = id, number = id + 1 }, Node)
  self.nodes[node.number] = node
  local names = {}
  for name in pairs(options) do
    if not NOT_OF_NODE[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do node:set(name, options[name]) end
  if options.tokens then
    local tokens, count = tokens_of(options.tokens)
    check(self, C.cql_sim_node_tokens(self.handle, id, tokens, count))
  end
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

--- The place of a session in the network: what rules and the journal know it by.
---@param session cql.Session
---@return integer
function World:place(session)
  local place = C.cql_sim_session_place(self.handle, session.handle)
  if place == C.CQL_EINVAL then check(self, place) end -- places are below it
  return place
end

-- A node's, a session's, or that of all clients.
local function place_of(world, where)
  if not where then return C.CQL_SIM_CLIENTS end
  return where.handle and world:place(where) or where.id
end

--- Nothing passes between the two any more; without `other` between a node and all clients.
---@param node cql.sim.Node
---@param other cql.sim.Node|cql.Session?
function World:partition(node, other)
  check(self, C.cql_sim_cut(self.handle, place_of(self, node), place_of(self, other)))
  return self
end

--- What partition() cut is whole again.
function World:heal(node, other)
  check(self, C.cql_sim_heal(self.handle, place_of(self, node), place_of(self, other)))
  return self
end

--- Connections to this address and port, which are nobody's, come out at the node's own port, as
--- through a proxy or where addresses are translated; without a node no more. With a server name
--- those that an endpoint tells to say it in TLS's handshake.
---@param address string
---@param port integer
---@param node cql.sim.Node?
---@param server_name string?
function World:forward(address, port, node, server_name)
  check(self, C.cql_sim_forward(self.handle, address, port, node and node.id or -1, server_name))
  return self
end

--- Scylla: system.client_routes has this address (or name) and ports for a node under that
--- connection id from now on; without an address it has none. Who is registered is told.
---@param connection_id string
---@param node cql.sim.Node
---@param address string?
---@param port integer? nil: null
---@param tls_port integer? likewise
---@return integer told how many
function World:route(connection_id, node, address, port, tls_port)
  return check(self, C.cql_sim_route(self.handle, connection_id, node.id, address, port or 0,
    tls_port or 0))
end

--- The program is busy elsewhere, or stopped, for so long: time passes, the network and the nodes
--- go on, and no session takes its turn.
---@param ms number
function World:busy(ms)
  check(self, C.cql_sim_pass(self.handle, ms * 1000))
  return self
end

--- The next `count` sockets and look-ups of the sessions fail at once, as where descriptors have
--- run out.
---@param count integer
function World:exhaust(count)
  check(self, C.cql_sim_exhaust(self.handle, count))
  return self
end

--- How many of them, all sessions' together, are still to fail.
---@return integer
function World:exhausted() return C.cql_sim_exhausted(self.handle) end

--- The virtual clock, in milliseconds.
---@return number
function World:now() return tonumber(C.cql_sim_now(self.handle)) / 1000 end

--- A number from 0 to below `below`, from the seed.
---@param below integer
---@return integer
function World:random(below) return tonumber(C.cql_sim_random(self.handle, below)) end

-- In a coroutine of its own; see run().
local function begin(world, call)
  local begun = world.begun
  begun[#begun + 1] = world.host.handle(call)
end

--- Calls `call` when the clock stands at `ms`, in a coroutine of its own. What it raises is logged,
--- and raised by run() when that ends.
---@param ms number
---@param call function
function World:at(ms, call)
  local host = self.host
  begin(self, function()
    host.sleep(math.max(0, ms - self:now()))
    call()
  end)
  return self
end

--- Calls `call` every `ms` milliseconds until it gives false, or raises: then as at().
---@param ms number
---@param call function
function World:every(ms, call)
  local host = self.host
  begin(self, function()
    repeat host.sleep(ms) until not self.handle or call() == false
  end)
  return self
end

-- Raises what failed of all that has begun, so that a test can't pass over it.
local function judge(world, ...)
  local still, failure = {}, nil
  for _, task in ipairs(world.begun) do
    if not task.done then still[#still + 1] = task end
    if failure == nil then failure = task.failure end
  end
  world.begun = still
  if failure ~= nil then error(failure, 0) end
  return ...
end

--- Runs `call(...)` and all coroutines that it spawns until they have ended, as cql.run() does, in
--- virtual time. Then raises the first error of what at() and every() called, if there is any.
---@param call function
---@return any ...
function World:run(call, ...) return judge(self, self.cql.run(call, ...)) end

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
function World:counters() return Node.counters_of(self, C.CQL_SIM_ALL) end

--- The connections that nodes have, as Node:connections().
---@return cql.sim.Connection[]
function World:connections() return connections(self, C.CQL_SIM_ALL) end

--- What nodes do instead of what they would: conditions and actions by name; docs/sim.md lists
--- them. The first rule that fits a request plays.
---   world:rule { text = "SELECT 1", node = world:node(2), error = "READ_TIMEOUT", times = 3 }
---   world:rule { prefix = "SELECT", columns = "id int, name text", rows = { "1, 'one'" } }
---@param parts table
---@return cql.sim.Rule
function World:rule(parts) return Rule.new(self, parts) end

--- The requests that nodes were asked, oldest first; with a filter, those whose fields are equal
--- to its: world:asked { node = world:node(2), opcode = "EXECUTE" }. The newest 100,000 are kept,
--- and the tables are the same ones at each call.
---@param filter table?
---@return table[] at (ms), node, shard, opcode, text, consistency, token, error, wrong_shard ...
function World:asked(filter) return self.journal:asked(filter) end

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

-- So often in a row the world may be left with no time passed. Then it is probably kept from going
-- on by a session whose turn it is and that nobody has any more: the collector is yet to free it,
-- and where nothing is allocated meanwhile it would never come.
local STILL_MAX = 1000

-- The library as the driver's modules see it in this world, and what frees the world: not before
-- its last session is freed, whichever the collector finds first.
-- `serving`: something in it says that the clock is the machine's.
local function driver_library(handle, serving)
  local own, live, ended, still = {}, 0, false, 0
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
    local before = C.cql_sim_now(handle)
    local until_us = wait_ms < 0 and FOREVER or before + wait_ms * 1000
    if C.cql_sim_run(handle, until_us) == C.CQL_SIM_IDLE and wait_ms < 0 then
      error("everyone waits and nothing can wake them: the world stands still", 0)
    end
    still = C.cql_sim_now(handle) == before and still + 1 or 0
    if still == STILL_MAX then
      still = 0
      collectgarbage()
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
  if type(options.nodes) == "table" then
    for _, node in ipairs(options.nodes) do world:add(node) end
  else
    for _ = 1, options.nodes or (options.datacenters and 0 or 1) do world:add() end
  end
end

local NOT_SETTINGS = { seed = true, nodes = true, datacenters = true }

--- A world with running nodes: `nodes = 3`, `datacenters = { dc1 = { rack1 = 2, rack2 = 1 } }`, or
--- `nodes = { { rack = "a", tokens = { 0 } }, ... }`, each as add() takes it.
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
    connect_in = require_in "cql.connect", serving = serving, begun = {},
  }, World)
  world.journal = Journal.new(world)
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
