-- Whole lives of sessions among peers that do everything wrong, from seeds: every request completes
-- exactly once, with its own answer or an error that fits; and all is given back in the end.
-- CQL_CHAOS_SEEDS: how many (100); CQL_CHAOS_FIRST: the first (1).
local ffi = require "ffi"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, OPCODE = unit.C, server.OPCODE
local BLOB = { { "v", 3 } }
local SEEDS = tonumber(os.getenv "CQL_CHAOS_SEEDS") or 100
local FIRST = tonumber(os.getenv "CQL_CHAOS_FIRST") or 1

local function cell(result)
  local out = ffi.new "cql_cell_t[1]"
  assert(C.cql_result_cells(result, 1, out) == 1)
  return ffi.string(out[0].as.bytes, out[0].length)
end

local Chaos = {}
Chaos.__index = Chaos

local function new_chaos(seed)
  local self = setmetatable({ random = unit.random(seed), outstanding = {}, accepted = {},
    texts = {}, ended = {}, submitted = 0, completed = 0, faults = true }, Chaos)
  local random = self.random
  self.p = peer.new({
    contact_points = ("10.0.0.1 10.0.0.2 10.0.0.3"):sub(1, 8 + 9 * random(3)),
    connections_per_node = 1 + random(2), compression = random(2) == 0 and "lz4" or "none",
    protocol_version = ({ 0, 3, 4, 5 })[1 + random(4)], compression_min = random(600),
    heartbeat_ms = 500, heartbeat_timeout_ms = 300, connect_timeout_ms = 800,
    request_timeout_ms = 1000, reconnect_max_ms = 400, streams_max = ({ 3, 70, 32767 })[1 +
    random(3)], keyspace = random(2) == 0 and "ks" or "", frame_size_max = 100000,
  }, seed)
  self.p.handshake[OPCODE.QUERY] = function(_, request, socket)
    if request.stream == 0 then return true end
    local list = self.outstanding[socket]
    for _, known in ipairs(list) do
      assert(known.stream ~= request.stream, "an id is used twice")
    end
    list[#list + 1] = request
  end
  return self
end

function Chaos:chance(percent) return self.faults and self.random(100) < percent end

function Chaos:submit()
  local tag, random = self.submitted + 1, self.random
  local size = ({ 0, 20, 2000, 20000, 150000 })[1 + random(random(4) == 0 and 5 or 3)]
  local text = ("%d:"):format(tag) .. ("text "):rep(size / 5)
  self.submitted, self.texts[tag] = tag, text
  self.p:submit(tag, { query = text, options = {
    idempotent = random(2) == 1, timeout_ms = 200 + random(1500),
  } })
end

-- One of the answers that are owed, in any order; sometimes one that is too large, or broken.
function Chaos:answer(socket)
  local list = self.outstanding[socket]
  local request = table.remove(list, 1 + self.random(#list))
  local text = request.body:match "(%d+:[text ]*)"
  if self:chance(3) then
    return self.p:answer(request.stream, "RESULT", ("x"):rep(100001):sub(1, 100001), {}, socket)
  end
  if self:chance(3) then return self.p:answer(request.stream, "RESULT", "\0", {}, socket) end
  if self:chance(5) then
    return self.p:answer(request.stream, "ERROR", server.error(0x1001, text), {}, socket)
  end
  local wire = self.p:wire(socket)
  self.p:answer(request.stream, "RESULT", server.rows(BLOB, { { text:sub(1, 40) } }),
    { compress = wire.lz4 and wire.version < 5 and self.random(2) == 0 }, socket)
end

local GARBAGE = { "\0", ("\255"):rep(30), "\133\0\0\0\0\255\255\255\255",
  server.envelope(4, 32700, "RESULT", server.VOID) }

function Chaos:play(socket)
  local p, random = self.p, self.random
  if not self.accepted[socket] then
    if self:chance(20) then return end -- not yet
    self.accepted[socket], self.outstanding[socket] = true, {}
    if self:chance(10) then return p:refuse(socket) end
    p:accept(socket)
    C.cql__sim_split(p.sim, socket, ({ 0, 1, 100, 5000 })[1 + random(4)])
  end
  if self:chance(3) then return p:reset(socket) end
  local started = p:wire(socket).lz4 ~= nil -- before, another version would be a refusal
  if started and self:chance(2) then p:say(GARBAGE[1 + random(#GARBAGE)], socket) end
  if self:chance(5) then p:answer(-1, "EVENT", "\0", {}, socket) end
  if self:chance(5) then p:answer(32000 + random(700), "RESULT", server.VOID, {}, socket) end
  C.cql__sim_room(p.sim, socket, self:chance(30) and random(3000) or -1)
  if not self:chance(30) then p:shake(socket) end
  for _ = 1, #self.outstanding[socket] do
    if not self:chance(50) then self:answer(socket) end
  end
end

local NAMES = { "ETIMEOUT", "ENOHOST", "ECONNECTION", "EMALFORMED", "ETOOBIG", "ESERVER" }
local ERRORS = {}
for _, name in ipairs(NAMES) do ERRORS[C["CQL_" .. name]] = true end

function Chaos:take()
  for _, done in ipairs(self.p:done()) do
    assert(done.tag >= 1 and done.tag <= self.submitted and not self.ended[done.tag], "twice")
    self.ended[done.tag], self.completed = true, self.completed + 1
    if done.status == 0 then
      assert(cell(done.result) == self.texts[done.tag]:sub(1, 40), "another's answer")
    else
      assert(ERRORS[done.status], done.status)
    end
    if done.result then C.cql_result_free(done.result) end
  end
  self.p.events = {}
end

function Chaos:run(ms)
  self.p:run(ms, function(p)
    for socket = 0, p:sockets() - 1 do
      if not p:is_closed(socket) then self:play(socket) end
    end
    self:take()
  end)
end

-- Faults for a while, then none: all that is left must end well, and soon.
local function live(seed)
  local chaos = new_chaos(seed)
  local p = chaos.p
  for _ = 1, 60 do
    for _ = 1, chaos.random(12) do chaos:submit() end
    if chaos:chance(3) then p:advance(2000) end -- the host sleeps
    chaos:run(1 + chaos.random(60))
  end
  chaos.faults = false
  chaos:run(4000)
  assert(chaos.completed == chaos.submitted, "some never end")
  local metrics = p:metrics()
  assert(metrics.in_flight == 0 and metrics.queued == 0 and metrics.taken == 0)
  local last = chaos.submitted + 1
  chaos:submit()
  chaos:run(1000)
  assert(chaos.ended[last], "it does not work again")
  C.cql__session_close(p.session, 100)
  chaos:run(200)
  p:free()
  return chaos.submitted
end

describe("a session among peers that do everything wrong", function()
  for block = 0, math.ceil(SEEDS / 25) - 1 do
    local first = FIRST + block * 25
    it(("lives from seeds %d to %d"):format(first, first + 24), function()
      collectgarbage()
      local baseline = tonumber(C.cql__mem_live())
      for seed = first, math.min(first + 24, FIRST + SEEDS - 1) do
        local ok, count = pcall(live, seed)
        local why = type(count) == "table" and count.message or count
        if not ok then error(("seed %d: %s"):format(seed, tostring(why)), 0) end
        assert(count > 100)
        assert.equal(baseline, tonumber(C.cql__mem_live()), "seed " .. seed)
      end
    end)
  end
end)
