-- A session on real sockets with a small CQL server (v4) in the same process: both sides take
-- turns, so that nothing depends on how fast they are.
local ffi = require "ffi"
local socket = require "spec.support.socket"
local unit = require "spec.support.unit"
local server = require "spec.support.server"

unit.cdef("loopback", [[
  struct spec_timespec { long seconds, nanoseconds; };
  int prctl(int option, unsigned long value);
  int clock_gettime(int clock, struct spec_timespec *out);
]])

local C = unit.C
local loopback = { C = C }

local LIMIT_S = 20 -- what hasn't happened by then never will

local function now_s()
  local time = ffi.new "struct spec_timespec"
  ffi.C.clock_gettime(1, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

-- ---- the server ----

local NAMES = {}
for name, code in pairs(server.OPCODE) do NAMES[code] = name end

local HANDSHAKE = {
  OPTIONS = function(_, peer)
    local supported = peer.world.side.supported
    return "SUPPORTED", server.supported(supported and supported(peer)
      or { { "CQL_VERSION", "3.4.5" } })
  end,
  STARTUP = function() return "READY", "" end,
  QUERY = function(request)
    if request.body:find("cluster_name", 1, true) then
      return "RESULT", server.rows({ { "cluster_name", 13 } }, { { "loopback" } })
    end
  end,
}

local Peer = {}
Peer.__index = Peer

-- Bytes to the client, through TLS if there is any.
function Peer:say(plain)
  if self.tls then
    self.tls:write(plain)
    plain = self.tls:take()
  end
  self.outgoing = self.outgoing .. plain
  self:flush()
end

function Peer:flush()
  if self.hold or self.outgoing == "" or not self.socket.fd then return end
  local sent = self.socket:send(self.outgoing)
  self.outgoing = sent and self.outgoing:sub(sent + 1) or ""
end

function Peer:answer(request, opcode, body)
  self:say(server.envelope(4, request.stream, opcode, body))
end

-- What the server does with a request: the handshake by itself, the rest by world.serve.
function Peer:on_request(request)
  self.world.requests = self.world.requests + 1
  local handshake = HANDSHAKE[request.opcode]
  local opcode, body
  if handshake then opcode, body = handshake(request, self) end
  if not opcode then opcode, body = self.world.serve(request, self) end
  if opcode then self:answer(request, opcode, body) end
end

function Peer:cut()
  while #self.incoming >= 9 do
    local version, _, high, low, opcode = self.incoming:byte(1, 5)
    local a, b, c, d = self.incoming:byte(6, 9)
    local size = ((a * 256 + b) * 256 + c) * 256 + d
    if version ~= 4 then
      local head = self.incoming:sub(1, 9)
      self.incoming = self.incoming:sub(10 + size)
      self:answer({ stream = head:byte(3) * 256 + head:byte(4) }, "ERROR",
        server.error(10, "Invalid or unsupported protocol version"))
    elseif #self.incoming < 9 + size then
      return
    else
      local body = self.incoming:sub(10, 9 + size)
      self.incoming = self.incoming:sub(10 + size)
      self:on_request { stream = high * 256 + low, opcode = NAMES[opcode], body = body }
    end
  end
end

function Peer:turn()
  if not self.socket.fd or self.deaf then return end
  local bytes = self.socket:receive()
  if not bytes then
    self.ended = true
    self.socket:close()
    return
  end
  if self.tls then
    bytes = self.tls:feed(bytes)
    self.outgoing = self.outgoing .. self.tls:take()
  end
  self:flush()
  self.incoming = self.incoming .. bytes
  self:cut()
end

-- ---- both ----

local World = {}
World.__index = World

-- options of the session; `side` of the server: tls (a context), v6, deaf (accepts, says nothing),
-- serve = function(request, peer) return opcode, body end, supported = function(peer) return what
-- it says of itself end.
function loopback.new(options, side)
  side = side or {}
  local world = setmetatable({ peers = {}, events = {}, done = {}, requests = 0 }, World)
  world.side = side
  world.serve = side.serve or function() return "RESULT", server.VOID end
  world.listener = assert(socket.listen(0, side.v6))
  world.port = world.listener.port
  world.more = {}
  options = setmetatable(options or {}, nil)
  options.contact_points = options.contact_points or (side.v6 and "::1" or "127.0.0.1")
  options.port = options.port or world.port
  options.protocol_version = options.protocol_version or 4
  if options.discover == nil then options.discover = false end -- it knows of no tables
  local result, why = world:connect(options)
  if result == 0 then return world end
  world:free()
  return nil, result, why
end

-- One more port, with TLS (a context) or without.
function World:listen(tls)
  local listener = assert(socket.listen(0, self.side.v6))
  listener.tls = tls
  table.insert(self.more, listener)
  return listener
end

-- Makes the session; the configuration is gone before the first step.
function World:connect(options)
  local config = C.cql_config_new()
  for name, value in pairs(options) do
    if C.cql_config_set(config, name, tostring(value)) ~= 0 then
      local why = ffi.string(C.cql_config_error(config))
      C.cql_config_free(config)
      return C.CQL_EOPTION, why
    end
  end
  local out = ffi.new "cql_session_t *[1]"
  local result = C.cql_session_new(config, out)
  local why = ffi.string(C.cql_config_error(config))
  C.cql_config_free(config)
  self.session = out[0] ~= nil and out[0] or nil
  return result, why
end

function World:poll()
  local out = ffi.new "cql_completion_t[64]"
  for i = 0, C.cql_poll(self.session, 64, out) - 1 do
    local c = out[i]
    local entry = { tag = c.tag, kind = c.kind, status = c.status, code = c.code }
    if c.event ~= nil then
      entry.message, entry.address = ffi.string(c.event.message), ffi.string(c.event.address)
      entry.shard = c.event.shard
    end
    if c.result ~= nil then C.cql_result_free(c.result) end
    table.insert(c.kind == C.CQL_DONE and self.done or self.events, entry)
  end
end

function World:accept(listener, tls)
  local accepted = listener.fd and listener:accept()
  while accepted do
    local peer = { socket = accepted, incoming = "", outgoing = "", world = self,
      listener = listener }
    peer.tls = tls and tls:accept()
    peer.deaf = self.side.deaf
    self.peers[#self.peers + 1] = setmetatable(peer, Peer)
    accepted = listener:accept()
  end
end

function World:turn_server()
  self:accept(self.listener, self.side.tls)
  for _, listener in ipairs(self.more) do self:accept(listener, listener.tls) end
  for _, peer in ipairs(self.peers) do peer:turn() end
end

function World:turn()
  self:turn_server()
  if self.session then
    assert(C.cql_session_step(self.session, 0) == 0)
    self:poll()
  end
end

-- Sleeps as the contract of the descriptor says, but no longer than the server's side may need.
function World:sleep()
  local fds = { self.listener.fd, C.cql_session_fd(self.session) }
  for _, listener in ipairs(self.more) do fds[#fds + 1] = listener.fd end
  local busy = false
  for _, peer in ipairs(self.peers) do
    if peer.socket.fd and not peer.deaf then fds[#fds + 1] = peer.socket.fd end
    busy = busy or peer.outgoing ~= ""
  end
  local wait = C.cql_session_timeout(self.session)
  if wait < 0 or wait > 1000 then wait = 1000 end
  socket.wait(fds, busy and math.min(wait, 1) or wait)
end

-- Turns until fn() is true.
function World:until_(what, fn)
  local limit = now_s() + LIMIT_S
  while not fn() do
    if now_s() > limit then error("never: " .. what .. "\n" .. self:story(), 2) end
    self:turn()
    if not fn() then self:sleep() end
  end
end

function World:story()
  local lines = {}
  for _, e in ipairs(self.events) do
    lines[#lines + 1] = ("event %d, status %d: %s %s"):format(e.code, e.status, e.address,
      e.message)
  end
  return table.concat(lines, "\n")
end

-- The first event of that code, once it has come; the count of those that came before is skipped.
function World:event(code, skip)
  local found
  self:until_("event " .. code, function()
    local left = skip or 0
    for _, event in ipairs(self.events) do
      if event.code == code then
        if left == 0 then
          found = event
          return true
        end
        left = left - 1
      end
    end
    return false
  end)
  return found
end

function World:ready() return self:event(C.CQL_EVENT_READY) end

function World:submit(tag, text)
  local out = ffi.new "cql_request_t *[1]"
  assert(C.cql_request_take(self.session, out) == 0)
  assert(C.cql_request_query(out[0], text, #text) == 0)
  C.cql_submit(out[0], tag)
end

-- Submits one request, and the status of its completion.
function World:ask(text)
  local before = #self.done
  self:submit(1, text or "SELECT")
  self:until_("an answer", function() return #self.done > before end)
  return self.done[#self.done].status
end

function World:metrics()
  local metrics = ffi.new "cql_metrics_t"
  assert(C.cql_session_metrics(self.session, metrics) == 0)
  return metrics
end

-- ---- the server alone ----

local DEATH_SIGNAL, SIGKILL, SIGCONT, SIGSTOP = 1, 9, 18, 19

local function serve_for_ever(world)
  ffi.C.prctl(DEATH_SIGNAL, SIGKILL) -- it ends with its parent at the latest
  while true do
    world:turn_server()
    local fds = { world.listener.fd }
    for _, peer in ipairs(world.peers) do fds[#fds + 1] = peer.socket.fd end
    socket.wait(fds, 1000)
  end
end

-- Only the server, in a process of its own: for a client that waits. Its port; stop(), pause()
-- and resume().
function loopback.apart(serve)
  local listener = assert(socket.listen(0))
  io.stdout:flush()
  local pid = ffi.C.fork()
  if pid == 0 then
    local world = setmetatable({ peers = {}, requests = 0, side = {}, serve = serve,
      listener = listener, more = {} }, World)
    local _, why = pcall(serve_for_ever, world)
    io.stderr:write("in the server: ", tostring(why), "\n")
    ffi.C._exit(1)
  end
  listener:close()
  local function stop()
    ffi.C.kill(pid, SIGKILL)
    ffi.C.waitpid(pid, nil, 0)
  end
  return { port = listener.port, stop = stop,
    pause = function() ffi.C.kill(pid, SIGSTOP) end,
    resume = function() ffi.C.kill(pid, SIGCONT) end }
end

function World:free_session()
  C.cql_session_free(self.session)
  self.session = nil
end

function World:free()
  if self.session then self:free_session() end
  self.listener:close()
  for _, listener in ipairs(self.more) do listener:close() end
  for _, peer in ipairs(self.peers) do peer.socket:close() end
end

return loopback
