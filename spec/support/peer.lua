-- A scripted server for specs: a session on the virtual wire, and the other side of each socket by
-- hand. Time moves only when a spec says so. What it writes is made by spec/support/server.lua.
local ffi = require "ffi"
local bit = require "bit"
local unit = require "spec.support.unit"
local request_of = require "spec.support.request"
local server = require "spec.support.server"

local C = unit.C
local OPCODE = server.OPCODE

local Peer = {}
Peer.__index = Peer
local peer = { C = C }
local living = {} -- in the order in which they were made

-- A session with options as in its configuration; nil and the error if it can't be made.
-- before(self) is called when all but the session is there.
function peer.new(options, seed, before)
  local self = setmetatable({ C = C, wires = {}, events = {}, handshake = {} }, Peer)
  self.supported = { { "CQL_VERSION", "3.4.5" }, { "COMPRESSION", "snappy", "lz4" },
    { "PROTOCOL_VERSIONS", "3/v3", "4/v4", "5/v5" } }
  self.sim = C.cql__sim_new(seed or 1, 1000)
  local config = C.cql_config_new()
  C.cql_config_set(config, "discover", "false") -- the spec is a node, and knows of no tables
  C.cql_config_set(config, "schema_agreement_ms", "0") -- nor of schemas
  C.cql_config_set(config, "prepare_on_all", "false")
  for name, value in pairs(options or {}) do
    local result = C.cql_config_set(config, name, tostring(value))
    assert(result == 0, ffi.string(C.cql_config_error(config)))
  end
  local out = ffi.new "cql_session_t *[1]"
  if before then before(self) end
  local result = C.cql__sim_session(self.sim, config, out)
  C.cql_config_free(config)
  if result ~= 0 then
    C.cql__sim_free(self.sim)
    return nil, result
  end
  self.session = out[0]
  living[#living + 1] = self
  return self
end

-- The same when all its connections serve, and what it told until then has been read.
function peer.serving(options)
  local self = assert(peer.new(options))
  for socket = 0, (options and options.connections_per_node or 1) - 1 do self:serve(socket) end
  self:done()
  return self
end

function Peer:free()
  if self.session ~= nil then C.cql__sim_session_free(self.session) end
  if self.sim ~= nil then C.cql__sim_free(self.sim) end
  self.session, self.sim = nil, nil
end

-- For after_each().
function peer.free_all()
  for i = #living, 1, -1 do living[i] = living[i]:free() end
end

-- ---- time ----

function Peer:now() return tonumber(C.cql__sim_now(self.sim)) end
-- self.room: so many bytes may be written to each socket in each step.
function Peer:step(times)
  for _ = 1, times or 1 do
    for socket = 0, self.room and self:sockets() - 1 or -1 do
      C.cql__sim_room(self.sim, socket, self.room)
    end
    C.cql__sim_step(self.sim, self.session)
  end
end
-- Lets time pass while the host sleeps, then steps once.
function Peer:advance(ms)
  C.cql__sim_advance(self.sim, ms)
  self:step()
end
function Peer:timeout() return C.cql__sim_timeout(self.sim, self.session) end

-- A host that does as it is told: it sleeps until the timeout or until its descriptor is readable,
-- steps, polls, and so on for `ms`. each(self): what the other side does after each step.
function Peer:run(ms, each)
  local stop = self:now() + ms
  repeat
    local wait = self:timeout()
    if wait ~= 0 and C.cql__sim_ready(self.sim) == 0 then
      local left = stop - self:now()
      local sleep = (wait < 0 or wait > left) and left or wait
      C.cql__sim_advance(self.sim, sleep)
    end
    self:step()
    self:collect()
    if each then each(self) end
  until self:now() >= stop and self:timeout() ~= 0 and C.cql__sim_ready(self.sim) == 0
end

-- ---- sockets ----

function Peer:sockets() return C.cql__sim_count(self.sim) end
-- The peer accepts a socket (the newest), of which no read brings more than self.read_max bytes.
function Peer:accept(socket)
  self.socket = socket or self:sockets() - 1
  C.cql__sim_accept(self.sim, self.socket)
  if self.read_max then C.cql__sim_split(self.sim, self.socket, self.read_max) end
  return self.socket
end
function Peer:refuse(socket) C.cql__sim_refuse(self.sim, socket or self:sockets() - 1) end
function Peer:reset(socket) C.cql__sim_reset(self.sim, socket or self.socket) end
function Peer:address(socket) return ffi.string(C.cql__sim_address(self.sim, socket)) end
function Peer:is_closed(socket) return C.cql__sim_is_closed(self.sim, socket) ~= 0 end
function Peer:names()
  local list = {}
  for i = 0, C.cql__sim_lookups(self.sim) - 1 do
    list[i + 1] = ffi.string(C.cql__sim_lookup_name(self.sim, i))
  end
  return list
end
-- Answers a look-up; addresses with blanks between them, none: there is no such name.
function Peer:resolve(lookup, addresses)
  assert(C.cql__sim_resolve(self.sim, lookup, addresses) == 0)
  self:step()
end
function Peer:open_sockets()
  local list = {}
  for socket = 0, self:sockets() - 1 do
    if not self:is_closed(socket) then list[#list + 1] = socket end
  end
  return list
end

-- What is known of the other side of a socket: version, framed, lz4, and bytes not yet understood.
function Peer:wire(socket)
  socket = socket or self.socket
  local wire = self.wires[socket]
  if not wire then
    wire = { raw = "", plain = "", version = 5 }
    self.wires[socket] = wire
  end
  return wire
end

-- The bytes that the session sent on a socket, as they are.
function Peer:sent(socket)
  local data = ffi.new "const uint8_t *[1]"
  local size = C.cql__sim_sent(self.sim, socket or self.socket, data)
  local raw = size > 0 and ffi.string(data[0], size) or ""
  C.cql__sim_take(self.sim, socket or self.socket, size)
  return raw
end

local function unframe(wire)
  while wire.framed do
    local payload, _, rest = server.unsegment(wire.raw, wire.lz4)
    if not payload then return end
    wire.plain, wire.raw = wire.plain .. payload, rest
  end
  wire.plain, wire.raw = wire.plain .. wire.raw, ""
end

local function get32(text, at)
  local a, b, c, d = text:byte(at, at + 3)
  return bit.bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
end

-- The request at `at` of what came, and where the next one begins; nil: it isn't all there.
local function cut(wire, at)
  local plain = wire.plain
  if #plain < at + 8 or #plain < at + 8 + get32(plain, at + 5) then return nil end
  local stop = at + 8 + get32(plain, at + 5)
  local version, flags, high, low, opcode = plain:byte(at, at + 4)
  wire.version = version
  local body = plain:sub(at + 9, stop)
  if bit.band(flags, 1) ~= 0 then body = server.decompress(body:sub(5), get32(body, 1)) end
  return { version = version, flags = flags, stream = high * 256 + low, opcode = opcode,
    body = body }, stop + 1
end

-- What the session asked on a socket: a list of { version, flags, stream, opcode, body }.
function Peer:requests(socket)
  local wire = self:wire(socket)
  local fresh = self:sent(socket)
  wire.raw, wire.quiet = wire.raw .. fresh, fresh == ""
  unframe(wire)
  local list, at = {}, 1
  while true do
    local request, stop = cut(wire, at)
    if not request then break end
    list[#list + 1], at = request, stop
  end
  wire.plain = wire.plain:sub(at)
  return list
end

-- Bytes as they are.
function Peer:say(raw, socket)
  C.cql__sim_say(self.sim, socket or self.socket, raw, #raw)
end

-- An envelope, in a segment where the version wants one. options: those of server.envelope().
function Peer:answer(stream, opcode, body, options, socket)
  local wire = self:wire(socket)
  local envelope = server.envelope(wire.version, stream, opcode, body or "", options)
  if wire.framed then envelope = server.segment(envelope, { lz4 = wire.lz4 }) end
  self:say(envelope, socket)
end

-- ---- the handshake ----

local HANDSHAKE = {}

HANDSHAKE[OPCODE.OPTIONS] = function(self, request, socket)
  self:answer(request.stream, "SUPPORTED", server.supported(self.supported), nil, socket)
end

-- From its answer on the wire is what STARTUP asked for.
function Peer:started(opcode, body, request, socket)
  local wire = self:wire(socket)
  self.startup = request.body
  self:answer(request.stream, opcode, body, nil, socket)
  wire.lz4 = request.body:find("COMPRESSION", 1, true) ~= nil
  wire.framed = request.version >= 5
end

HANDSHAKE[OPCODE.STARTUP] = function(self, request, socket)
  self:started("READY", "", request, socket)
end

HANDSHAKE[OPCODE.QUERY] = function(self, request, socket)
  local body
  if request.body:find("cluster_name", 1, true) then
    body = server.rows({ { "cluster_name", 13 } }, { { self.cluster or "test" } })
  else
    self.used = assert(request.body:match 'USE "(.-)"', "this is no handshake")
    body = server.keyspace(self.used)
  end
  self:answer(request.stream, "RESULT", body, nil, socket)
end

-- The ordinary answer to one message of a handshake.
function Peer:shake_one(request, socket)
  assert(HANDSHAKE[request.opcode], "this is no handshake")(self, request, socket)
end

-- Answers what is asked on a socket, by self.handshake[opcode] where a spec put a function there.
-- A function that gives true is content with the ordinary answer.
function Peer:shake(socket)
  for _, request in ipairs(self:requests(socket)) do
    local own = self.handshake[request.opcode]
    if not own or own(self, request, socket or self.socket) then self:shake_one(request, socket) end
  end
end

-- Goes through a handshake until there is silence.
function Peer:finish(socket)
  local silent = 0
  repeat
    self:step()
    self:shake(socket)
    local quiet = self:wire(socket).quiet and C.cql__sim_ready(self.sim) == 0
    silent = quiet and silent + 1 or 0
  until silent == 2
end

-- Accepts a socket (the newest) and goes through its handshake; returns its number.
function Peer:serve(socket)
  socket = self:accept(socket)
  self:finish(socket)
  return socket
end

-- ---- requests ----

-- Polls: requests that are done into self.finished, all else into self.events.
function Peer:collect()
  local out = ffi.new "cql_completion_t[64]"
  self.finished = self.finished or {}
  local count
  repeat
    count = C.cql__session_poll(self.session, 64, out)
    for i = 0, count - 1 do
      local c = out[i]
      local entry = { tag = c.tag, kind = c.kind, status = c.status, code = c.code,
        schema_agreed = c.schema_agreed >= 0 and c.schema_agreed or nil,
        result = c.result ~= nil and c.result or nil }
      if c.event ~= nil then
        entry.message, entry.address = ffi.string(c.event.message), ffi.string(c.event.address)
        entry.data = unit.slice(c.event.data)
      end
      table.insert(c.kind == C.CQL_DONE and self.finished or self.events, entry)
    end
  until count == 0
end

-- What became of requests since it was last asked; events gather in self.events.
function Peer:done()
  self:collect()
  local list = self.finished
  self.finished = {}
  return list
end

-- The newest event, or question, of a kind such as C.CQL_EVENT_READY; nil: none came.
function Peer:event(code)
  self:collect()
  for i = #self.events, 1, -1 do
    if self.events[i].code == code then return self.events[i] end
  end
end

-- Submits what request.make() makes of this: a table, or the text of a query.
function Peer:submit(tag, what)
  if type(what) ~= "table" then what = { query = what or "SELECT" } end
  request_of.submit(self.session, tag, what)
end

function Peer:metrics()
  local metrics = ffi.new "cql_metrics_t"
  C.cql__session_metrics(self.session, metrics)
  return metrics
end

return peer
