-- A cluster of hand-made nodes: what they say, on the sockets of spec/support/peer.lua, of who is
-- there. Each question of a control connection is answered as usual, or as a spec says.
local server = require "spec.support.server"
local unit = require "spec.support.unit"
local peer = require "spec.support.peer"

local OPCODE = server.OPCODE
local MURMUR3 = "org.apache.cassandra.dht.Murmur3Partitioner"

local Cluster = {}
Cluster.__index = Cluster
local topology = {}

function topology.id(n) return ("\0"):rep(15) .. string.char(n) end
function topology.inet(text)
  return (text:gsub("(%d+)%.?", function(digits) return string.char(tonumber(digits)) end))
end

-- A set<text>, or a map<text, text> of pairs one after the other.
function topology.set(list) return unit.u32(#list) .. topology.texts(list) end
function topology.map(list) return unit.u32(#list / 2) .. topology.texts(list) end
function topology.texts(list)
  local out = {}
  for i, text in ipairs(list) do out[i] = unit.bytes(text) end
  return table.concat(out)
end

-- Node n: at 10.0.0.n, with one token. `fields` replace its own; false: null. It may have a route:
-- the address, and what is told of it, which may be a name.
function topology.node(n, fields)
  local node = { n = n, host_id = topology.id(n), address = "10.0.0." .. n, port = 9042, dc = "dc1",
    rack = "r1", version = "5.0.9", tokens = topology.set { tostring(n * 1000) } }
  for name, value in pairs(fields or {}) do node[name] = value end
  return node
end

-- So many nodes, or those.
function topology.new(nodes)
  local self = setmetatable({ nodes = {}, asked = {}, seen = {}, own = {}, registered = {},
    down = {}, partitioner = MURMUR3, keyspaces = {} }, Cluster)
  for i = 1, type(nodes) == "number" and nodes or #nodes do
    self.nodes[i] = type(nodes) == "number" and topology.node(i) or nodes[i]
  end
  return self
end

-- ---- what they say ----

local function head(node)
  return { node.host_id, node.dc, node.rack, node.version, node.tokens }
end

local COLUMNS = {}
for i = 1, 8 do COLUMNS[i] = { "c" .. i, 3 } end

function topology.rows(count, rows, options)
  return server.rows({ unpack(COLUMNS, 1, count) }, rows, options)
end

function Cluster:node_at(address)
  for _, node in ipairs(self.nodes) do
    if node.address .. ":" .. node.port == address or node.route == address then return node end
  end
end

local function native(node)
  if node.native ~= nil then return node.native end
  return topology.inet(node.address)
end

local ANSWERS = {}
ANSWERS["local"] = function(self, node)
  local row = head(node)
  row[6] = self.partitioner
  row[7], row[8] = native(node), topology.inet(node.address)
  return topology.rows(self.request.body:find "rpc_address" and 8 or 6, { row })
end
function ANSWERS.routes(self)
  local rows = {}
  for _, node in ipairs(self.nodes) do
    local host, port = (node.told_route or ""):match "^(.*):(%d+)$"
    if host then rows[#rows + 1] = { "one", node.host_id, host, unit.u32(tonumber(port)) } end
  end
  return topology.rows(4, rows)
end
function ANSWERS.peers_v2(self, own)
  local rows = {}
  for _, node in ipairs(self.nodes) do
    local row = head(node)
    row[6], row[7], row[8] = topology.inet(node.address), native(node), unit.u32(node.port)
    if node ~= own then rows[#rows + 1] = row end
  end
  return topology.rows(8, rows)
end
function ANSWERS.peers(self, own)
  local rows = {}
  for _, node in ipairs(self.nodes) do
    local row = head(node)
    row[6], row[7] = topology.inet(node.address), native(node)
    if node ~= own then rows[#rows + 1] = row end
  end
  return topology.rows(7, rows)
end
function ANSWERS.keyspaces(self)
  local rows = {}
  for name, replication in pairs(self.keyspaces) do
    rows[#rows + 1] = { name, topology.map(replication) }
  end
  return topology.rows(2, rows)
end

local STEPS = { { "routes", "FROM system.client_routes" },
  { "local", "FROM system.local" }, { "peers_v2", "FROM system.peers_v2" },
  { "peers", "FROM system.peers" }, { "keyspaces", "FROM system_schema.keyspaces" } }
topology.STEPS = { "register", "local", "peers_v2", "keyspaces" }

local function step_of(request)
  if request.opcode == OPCODE.REGISTER then return "register" end
  for _, step in ipairs(STEPS) do
    if request.body:find(step[2], 1, true) then return step[1] end
  end
  error("no question of a control connection: " .. request.body)
end

-- self.own[step](p, request, socket, answer) says what becomes of a question; true: the usual.
function Cluster:answer(p, request, socket)
  local step, address = step_of(request), p:address(socket)
  self.request = request
  self.asked[#self.asked + 1] = { step = step, address = address, socket = socket }
  if step == "register" then self.registered[socket] = true end
  local function usual()
    if step == "register" then return p:answer(request.stream, "READY", "", nil, socket) end
    local body = ANSWERS[step](self, assert(self:node_at(address), address))
    p:answer(request.stream, "RESULT", body, nil, socket)
  end
  local own = self.own[step]
  if not own or own(p, request, socket, usual) then usual() end
end

-- ---- the other side ----

-- Accepts, refuses (those of self.down), answers.
function Cluster:play(p)
  for socket = 0, p:sockets() - 1 do
    if not self.seen[socket] then
      self.seen[socket] = true
      if self.down[p:address(socket)] then p:refuse(socket) else p:accept(socket) end
    end
    if not p:is_closed(socket) and not self.down[p:address(socket)] then p:shake(socket) end
  end
end

function Cluster:run(p, ms)
  self:play(p) -- before the host sleeps
  p:run(ms, function() self:play(p) end)
end

-- A session whose contact point, unless others are told, is node 1; it has run for a while.
function Cluster:connect(options, ms, before)
  local all = { discover = "true", contact_points = "10.0.0.1" }
  for name, value in pairs(options or {}) do all[name] = value end
  local p, status = peer.new(all, 1, before)
  if not p then return nil, status end
  local function question(_, request, socket)
    if request.stream == 0 then return true end
    self:answer(p, request, socket)
  end
  p.handshake[OPCODE.QUERY], p.handshake[OPCODE.REGISTER] = question, question
  self:run(p, ms or 100)
  return p
end

-- The sockets of control connections that are open.
function Cluster:controls(p)
  local list = {}
  for socket in pairs(self.registered) do
    if not p:is_closed(socket) then list[#list + 1] = socket end
  end
  return list
end

-- The addresses of open sockets that are no control connection's, in order.
function Cluster:pool(p)
  local list = {}
  for _, socket in ipairs(p:open_sockets()) do
    if not self.registered[socket] then list[#list + 1] = p:address(socket) end
  end
  table.sort(list)
  return list
end

-- What was asked, in order: "local peers_v2 keyspaces"; those of one step are counted.
function Cluster:questions()
  local list = {}
  for i, entry in ipairs(self.asked) do list[i] = entry.step end
  return table.concat(list, " ")
end
function Cluster:count(step)
  local count = 0
  for _, entry in ipairs(self.asked) do count = count + (entry.step == step and 1 or 0) end
  return count
end

-- An event on the control connection.
function Cluster:tell(p, kind, change, address, port)
  local where = unit.u8(4) .. topology.inet(address or "10.0.0.9") .. unit.u32(port or 9042)
  for _, socket in ipairs(self:controls(p)) do
    p:answer(-1, "EVENT", server.event(kind, change, where), nil, socket)
  end
end

return topology
