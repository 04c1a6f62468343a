-- A hunt: thousands of requests of all kinds over a wire that splits, stalls, fills up, reorders
-- and breaks, by a host that sleeps whenever it is told that it may. After each step every tag has
-- completed at most once, with its own content or an error for which there was a cause.
--
--   CQL_HUNT_SEED=n    that seed alone       CQL_HUNT_SEEDS=n    so many (default 12)
local ffi = require "ffi"
local bit = require "bit"
local peer = require "spec.support.peer"
local request = require "spec.support.request"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, u32, str = unit.C, unit.u32, unit.str
local OPCODE = server.OPCODE
local INT, TEXT = 9, 13
local COLUMNS = { { "tag", INT }, { "padding", TEXT } }

local function get16(s, at) return s:byte(at) * 256 + s:byte(at + 1) end
local function get32(s, at) return get16(s, at) * 65536 + get16(s, at + 2) end

-- ---- the server's side ----

-- What a request is about: its tag, or the id of a statement to prepare.
local function tag_of(version, asked)
  local body = asked.body
  if asked.opcode == OPCODE.QUERY or asked.opcode == OPCODE.PREPARE then
    return tonumber(body:match "^....%u+ (%d+)")
  elseif asked.opcode == OPCODE.BATCH then
    return tonumber(body:match "INSERT (%d+)")
  end
  local at = 3 + get16(body, 1)
  if version >= 5 then at = at + 2 + get16(body, at) end
  return get32(body, at + 2 + (version >= 5 and 4 or 1) + 2 + 4)
end

local Hunt = {}
Hunt.__index = Hunt

function Hunt:side(socket)
  local side = self.sides[socket]
  if not side then
    side = { held = {}, knows = false }
    self.sides[socket] = side
  end
  return side
end

function Hunt:say(socket, asked, opcode, body, options)
  self.p:answer(asked.stream, opcode, body, options, socket)
end

function Hunt:rows(tag)
  local padding = ("x"):rep(self.random(10) == 0 and self.random(9000) or self.random(40))
  return server.rows(COLUMNS, { { u32(tag), padding } })
end

-- One answer, mostly a good one; what was said of a tag is remembered.
function Hunt:answer(socket, asked)
  local version, side = self.version, self:side(socket)
  local tag = tag_of(version, asked)
  if asked.opcode == OPCODE.PREPARE and not tag then
    side.knows = true
    self:say(socket, asked, "RESULT", server.prepared(version, "id", { { "k", INT } }, COLUMNS))
    return
  end
  local entry = self.open[tag]
  local luck = self.random(100)
  local executes = asked.opcode == OPCODE.EXECUTE
  if executes and not side.knows then
    if entry then
      entry.unprepared = (entry.unprepared or 0) + 1
      entry.may[C.CQL_ESERVER] = entry.may[C.CQL_ESERVER] or entry.unprepared > 3
    end
    self:say(socket, asked, "ERROR", server.error(0x2500, "what?", str "id"))
  elseif luck < 4 then
    if entry then entry.may[C.CQL_ESERVER] = true end
    self:say(socket, asked, "ERROR", server.error(0x1001, "error " .. tag))
  elseif luck < 6 then
    if entry then entry.may[C.CQL_EMALFORMED] = true end
    self:say(socket, asked, "RESULT", u32(77))
  elseif asked.opcode == OPCODE.PREPARE then
    self:say(socket, asked, "RESULT", server.prepared(version, "p" .. tag, {}, COLUMNS))
  elseif asked.opcode == OPCODE.BATCH then
    self:say(socket, asked, "RESULT", server.VOID)
  else
    self:say(socket, asked, "RESULT", self:rows(tag))
  end
end

function Hunt:is_handshake(asked)
  if asked.opcode == OPCODE.OPTIONS or asked.opcode == OPCODE.STARTUP then return true end
  return asked.opcode == OPCODE.QUERY and asked.body:find("cluster_name", 1, true) ~= nil
end

-- Reads what was sent, and answers some of it, in any order. patience: how much stays unanswered.
function Hunt:serve(socket, patience)
  local p, side = self.p, self:side(socket)
  C.cql__sim_accept(p.sim, socket)
  for _, asked in ipairs(p:requests(socket)) do
    if self:is_handshake(asked) then
      p:shake_one(asked, socket)
    else
      table.insert(side.held, asked)
    end
  end
  for _ = 1, #side.held do
    if self.random(100) >= patience then
      self:answer(socket, table.remove(side.held, self.random(#side.held) + 1))
    end
  end
  if self.random(80) == 0 then side.knows = false end
end

function Hunt:disturb(socket)
  local random, sim = self.random, self.p.sim
  local what = random(40)
  if what == 0 then C.cql__sim_split(sim, socket, 1 + random(30)) end
  if what == 1 then C.cql__sim_split(sim, socket, 0) end
  if what == 2 then C.cql__sim_room(sim, socket, random(3000)) end
  if what > 30 then C.cql__sim_room(sim, socket, -1) end
  if what == 3 and random(6) == 0 then C.cql__sim_reset(sim, socket) end
  if what == 4 then self:side(socket).asleep = self.p:now() + random(500) end
end

-- ---- the host's side ----

function Hunt:what(tag)
  local random = self.random
  local timeout = random(4) == 0 and 5 + random(60) or 50 + random(3000)
  local options = { timeout_ms = timeout, idempotent = random(2) == 0,
    tracing = random(8) == 0 }
  local kind = random(10)
  if kind == 0 then return { prepare = "PREPARE " .. tag, options = options } end
  if kind == 1 then
    return { batch = 1, { query = "INSERT " .. tag }, { execute = self.statement,
      values = { u32(tag) } }, options = options }
  end
  if kind < 5 then
    return { execute = self.statement, values = { u32(tag) }, options = options }
  end
  local text = "SELECT " .. tag .. (" "):rep(random(12) == 0 and random(40000) or random(60))
  return { query = text, options = options }
end

function Hunt:submit()
  local tag = self.last + 1
  local what = self:what(tag)
  local handle, err = request.make(self.p.session, what)
  if not handle then
    assert(err == C.CQL_EBUSY)
    assert.equal(self.requests_max, self.p:metrics().taken)
    self.busy = self.busy + 1
    return
  end
  self.last = tag
  self.open[tag] = { may = {}, timeout = what.options.timeout_ms, made = self.p:now(),
    retried = what.options.idempotent or what.prepare, lost = self.lost,
    prepares = what.prepare ~= nil, batch = what.batch ~= nil }
  self.outstanding = self.outstanding + 1
  C.cql_submit(handle, tag)
end

local cell = ffi.new "cql_cell_t[2]"
function Hunt:check_content(tag, entry, result)
  if entry.prepares then
    local prepared, id = C.cql_result_prepared(result), ffi.new "cql_slice_t"
    C.cql_prepared_id(prepared, id)
    assert.equal("p" .. tag, unit.slice(id))
    C.cql_prepared_unref(prepared)
  elseif entry.batch then
    assert.equal(nil, result)
  else
    assert.equal(1, C.cql_result_cells(result, 5, cell))
    assert.equal(tag, tonumber(cell[0].as.integer))
  end
end

function Hunt:check_cause(entry, status)
  local now = self.p:now()
  if status == C.CQL_ETIMEOUT or status == C.CQL_ENOHOST then
    assert(now >= entry.made + entry.timeout, "too early")
  elseif status == C.CQL_ECONNECTION then
    local may = not entry.retried or entry.attempts == 10 or self.closing -- then nothing is retried
    assert(self.lost > entry.lost and may)
  elseif status ~= C.CQL_ECLOSED or not self.closing then
    assert(entry.may[status], "no cause for " .. ffi.string(C.cql_error_name(status)))
  end
  self.ends[status] = (self.ends[status] or 0) + 1
end

function Hunt:complete(c)
  local tag = c.tag
  local entry = assert(self.open[tag], "completed twice, or never asked for")
  entry.attempts = c.attempts
  self.open[tag] = nil
  self.outstanding = self.outstanding - 1
  if c.status == 0 then
    self:check_content(tag, entry, c.result ~= nil and c.result or nil)
    self.ends[0] = (self.ends[0] or 0) + 1
  else
    self:check_cause(entry, c.status)
    if c.status == C.CQL_ESERVER then
      local message = unit.slice(c.result.message)
      assert(message == "error " .. tag or (message == "what?" and entry.unprepared > 3))
    end
  end
  if c.result ~= nil then C.cql_result_free(c.result) end
end

local out = ffi.new "cql_completion_t[16]"
function Hunt:poll()
  self.lost = tonumber(self.p:metrics().connections_lost)
  repeat
    local count = C.cql__session_poll(self.p.session, 1 + self.random(16), out)
    for i = 0, count - 1 do
      assert(not self.closed, "something came after CLOSED")
      if out[i].kind == C.CQL_DONE then self:complete(out[i]) end
      if out[i].kind == C.CQL_EVENT and out[i].code == C.CQL_EVENT_CLOSED then
        self.closed = true
      end
    end
  until count == 0
end

function Hunt:check()
  local m = self.p:metrics()
  assert.equal(self.outstanding, m.taken)
  assert.equal(tonumber(m.requests) - tonumber(m.completed), m.in_flight + m.queued)
  if self.p:timeout() == 0 then return end
  assert.equal(self.outstanding, m.in_flight + m.queued) -- all else has been polled
  for tag, entry in pairs(self.open) do
    entry.flushed = entry.flushed or self.stepped
    assert(self.p:now() <= entry.flushed + entry.timeout, tag .. " is overdue")
  end
end

-- Sleeps as long as the session allows, or until the descriptor would wake it; then steps.
function Hunt:turn(most)
  local p = self.p
  local wait = p:timeout()
  if wait ~= 0 and C.cql__sim_ready(p.sim) == 0 then
    C.cql__sim_advance(p.sim, (wait < 0 or wait > most) and most or wait)
  else
    C.cql__sim_advance(p.sim, self.random(2)) -- also a busy host takes its time
  end
  self.stepped = p:now()
  p:step()
  self:poll()
  self:check()
end

-- ---- the hunt ----

function Hunt:open_session(seed)
  local random = self.random
  self.requests_max = 40 + random(200)
  self.p = assert(peer.new({ protocol_version = self.version, streams_max = 20 + random(60),
    contact_points = "127.0.0.1 127.0.0.2", connections_per_node = 1 + random(2),
    compression = random(2) == 0 and "lz4" or "none", requests_max = self.requests_max,
    heartbeat_ms = 400, heartbeat_timeout_ms = 300, reconnect_max_ms = 200 }, seed))
  for socket = 0, self.p:sockets() - 1 do self.p:serve(socket) end
  self.p:done()
  self.p:submit(1, { prepare = "STATEMENT" })
  while not self.statement do
    self.p:step()
    for socket = 0, self.p:sockets() - 1 do
      for _, asked in ipairs(self.p:requests(socket)) do self:answer(socket, asked) end
    end
    for _, entry in ipairs(self.p:done()) do
      self.statement = ffi.gc(C.cql_result_prepared(entry.result), C.cql_prepared_unref)
      C.cql_result_free(entry.result)
    end
  end
end

function Hunt:run(turns)
  local random, p = self.random, self.p
  for _ = 1, turns do
    for _ = 1, random(4) == 0 and random(60) or random(4) do self:submit() end
    if random(8) == 0 and self.last > 1 then
      local tag = 1 + random(self.last)
      local entry = self.open[tag]
      if entry then entry.may[C.CQL_ECANCELLED] = true end
      assert.equal(entry and 1 or 0, C.cql_cancel(p.session, tag))
    end
    self:turn(1 + random(60))
    for _, socket in ipairs(p:open_sockets()) do
      self:disturb(socket)
      local asleep = self:side(socket).asleep or 0
      if random(3) > 0 and asleep < p:now() then self:serve(socket, random(100)) end
    end
  end
end

-- Everything is answered and nothing is in the way any more.
function Hunt:settle()
  local p = self.p
  for _ = 1, 2000 do
    for _, socket in ipairs(p:open_sockets()) do
      C.cql__sim_room(p.sim, socket, -1)
      C.cql__sim_split(p.sim, socket, 0)
      self:serve(socket, 0)
    end
    self:turn(20)
    local m = p:metrics()
    if self.outstanding == 0 and m.orphans == 0 and m.taken == 0 then return end
  end
  error "it never comes to rest"
end

local function blocks_out(p)
  local text = ffi.new "char[8192]"
  C.cql__session_dump(p.session, text, 8192)
  return tonumber(ffi.string(text):match " (%d+) blocks out")
end

local seeds = tonumber(os.getenv "CQL_HUNT_SEEDS") or 12
local only = tonumber(os.getenv "CQL_HUNT_SEED")

local ends = {} -- [status] = how often, of all seeds

for seed = only or 1, only or seeds do
  it("every request ends once, seed " .. seed, function()
    collectgarbage()
    collectgarbage()
    local live = tonumber(C.cql__mem_live())
    local hunt = setmetatable({ random = unit.random(seed * 7919), version = 3 + seed % 3,
      sides = {}, open = {}, outstanding = 0, last = 1, lost = 0, busy = 0, ends = {} }, Hunt)
    hunt:open_session(seed)
    hunt:run(800)
    hunt:settle()
    -- What is out: the small bodies that stay with their slots, and nothing that grows.
    assert(blocks_out(hunt.p) <= bit.band(hunt.requests_max + 63, -64))
    hunt:run(100)
    hunt.closing = true
    assert.equal(0, C.cql__session_close(hunt.p.session, hunt.random(3) * 300))
    for _ = 1, 5000 do
      if hunt.closed then break end
      for _, socket in ipairs(hunt.p:open_sockets()) do hunt:serve(socket, hunt.random(100)) end
      hunt:turn(20)
    end
    assert.equal(true, hunt.closed)
    assert.equal(0, hunt.outstanding)
    assert.equal(-1, hunt.p:timeout())
    for status, count in pairs(hunt.ends) do ends[status] = (ends[status] or 0) + count end
    hunt.p:free()
    hunt.statement = nil
    collectgarbage()
    collectgarbage()
    assert.equal(live, tonumber(C.cql__mem_live()))
  end)
end

if not only then
  it("every kind of end came up, and most were good", function()
    for _, name in ipairs { "ETIMEOUT", "ECANCELLED", "ESERVER", "EMALFORMED", "ECONNECTION",
      "ECLOSED" } do
      assert((ends[C["CQL_" .. name]] or 0) > seeds, name .. " is rare")
    end
    assert(ends[0] > 500 * seeds)
  end)
end
