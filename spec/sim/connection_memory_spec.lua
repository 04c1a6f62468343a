-- Every allocation of a session's life fails once, and then all from there on: nothing leaks, every
-- object stays valid, every request completes once, and the session recovers.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, OPCODE = unit.C, server.OPCODE
local BLOB = { { "v", 3 } }

-- What may become of a request for want of memory; the connection may go because of it.
local ALLOWED = {}
for _, name in ipairs { "ENOMEM", "ECONNECTION" } do ALLOWED[C["CQL_" .. name]] = true end

local function submit(p, tag, text)
  local request = C.cql__request_take(p.session.engine)
  if request == nil then return 0 end
  local status = C.cql_request_query(request, text, #text)
  if status == 0 then
    local values = ffi.new("cql_slice_t[1]", { { text, #text } })
    status = C.cql_bind(request, values, 1)
  end
  if status ~= 0 then
    assert.equal(C.CQL_ENOMEM, status)
    C.cql_request_discard(request)
    return 0
  end
  C.cql_submit(request, tag)
  return 1
end

-- The other side: accepts all, answers all.
local function play(p)
  for i = 0, C.cql__sim_lookups(p.sim) - 1 do
    if not p.resolved[i] then
      p.resolved[i] = true
      C.cql__sim_resolve(p.sim, i, "10.0.0.2 10.0.0.1")
    end
  end
  for socket = 0, p:sockets() - 1 do
    if not p.accepted[socket] then
      p.accepted[socket] = true
      p:accept(socket)
    end
    if not p:is_closed(socket) then p:shake(socket) end
  end
  for _, event in ipairs(p.events) do
    if event.code == C.CQL_ASK_AUTHENTICATE and not event.answered then
      event.answered = true
      local status = C.cql__session_answer(p.session, event.tag, "token", 5)
      assert(status == 0 or status == C.CQL_EINVAL)
    end
  end
end

local function script(p)
  p.accepted, p.resolved = {}, {}
  p.handshake[OPCODE.STARTUP] = function(_, request, socket)
    p:started("AUTHENTICATE", unit.str "PasswordAuthenticator", request, socket)
  end
  p.handshake[OPCODE.AUTH_RESPONSE] = function(_, request, socket)
    p:answer(request.stream, "AUTH_SUCCESS", unit.bytes(nil), nil, socket)
  end
  p.handshake[OPCODE.QUERY] = function(_, request, socket)
    if request.stream == 0 then return true end
    local body = request.body:find "USE " and server.keyspace "other"
      or server.rows(BLOB, { { ("x"):rep(3000) } })
    p:answer(request.stream, "RESULT", body, { compress = p:wire(socket).version < 5 and
      p:wire(socket).lz4 }, socket)
  end
end

-- Steps until `done(p)`, at most so many ms.
local function play_until(p, ms, done)
  local stop = p:now() + ms
  repeat
    p:run(20, play)
  until done(p) or p:now() >= stop
  return done(p)
end

local function take_results(p, ended)
  for _, entry in ipairs(p:done()) do
    assert.is_nil(ended[entry.tag], "completed twice")
    ended[entry.tag] = entry.status
    if entry.result then C.cql_result_free(entry.result) end
  end
end

-- A session's life with allocation n failing; true if there was such an allocation.
local function live(options, n, onwards)
  local before
  local p, status = peer.new(options, n, function()
    before = tonumber(C.cql__mem_count())
    C.cql__mem_fail(n, onwards)
  end)
  if not p then
    C.cql__mem_fail(0, 0)
    assert.equal(C.CQL_ENOMEM, status)
    return true
  end
  script(p)
  local ended, submitted = {}, 0
  local function settled()
    take_results(p, ended)
    local count = 0
    for _ in pairs(ended) do count = count + 1 end
    return count == submitted
  end
  play_until(p, onwards and 300 or 30000, function() return p:event(C.CQL_EVENT_READY) end)
  for tag, size in ipairs { 5, 600, 9000, 140000, 300000 } do
    submitted = submitted + submit(p, tag, ("text " .. tag):rep(size / 5))
  end
  for tag = 300, 370 do submitted = submitted + submit(p, tag, "small") end
  p:run(20, play)
  if C.cql__session_use(p.session, "other", 5, 100) == 0 then submitted = submitted + 1 end
  play_until(p, 20000, settled)
  local failed = tonumber(C.cql__mem_count()) - before >= n
  C.cql__mem_fail(0, 0)
  -- There is memory again: all is well, soon. Only an address of the name may be missing: it is
  -- looked up again when nothing serves.
  local function recovered()
    local opening = 0
    for socket = 0, p:sockets() - 1 do opening = opening + (p:is_closed(socket) and 0 or 1) end
    local serving = p:metrics().connections
    return serving == opening and (serving == 4 or serving == 2)
  end
  assert(play_until(p, 40000, recovered), "no recovery")
  assert(play_until(p, 20000, settled), "a request never ends")
  assert(p:event(C.CQL_EVENT_READY))
  for tag, ending in pairs(ended) do
    assert(ending == 0 or ALLOWED[ending], ("request %d: %d"):format(tag, ending))
  end
  submitted = submitted + submit(p, 200, "SELECT 1")
  assert(play_until(p, 1000, settled))
  assert.equal(0, ended[200])
  C.cql__session_close(p.session, 100)
  assert(play_until(p, 1000, function() return p:event(C.CQL_EVENT_CLOSED) end))
  p:free()
  return failed
end

after_each(peer.free_all)

describe("an allocation that fails", function()
  for _, wire in ipairs { { 3, "none" }, { 4, "lz4" }, { 5, "none" }, { 5, "lz4" } } do
    for _, onwards in ipairs { 0, 1 } do
      it(("leaks nothing and ends nothing for good: v%d, %s, %s"):format(wire[1], wire[2],
        onwards == 1 and "and all after it" or "alone"), function()
        local options = { protocol_version = wire[1], compression = wire[2], compression_min = 0,
          contact_points = "10.0.0.1, db.example", client_id = "me", ask_authenticate = "true",
          connections_per_node = 2, keyspace = "ks" }
        unit.outlive_each_allocation(function(...) return live(options, ...) end, onwards,
          peer.free_all, 100)
      end)
    end
  end
end)

describe("a connection that is to be replaced", function()
  it("is so without memory for a successor too, only later", function()
    local p = peer.new { heartbeat_ms = 0, request_timeout_ms = 2000 }
    p:serve()
    for tag = 1, 1025 do submit(p, tag, "small") end
    p:run(2000)
    assert.equal(1025, #p:done())
    p.wires = {} -- nobody reads what was asked
    p:run(1900)
    submit(p, 2000, "small")
    C.cql__mem_fail(1, 1)
    p:run(200) -- they are old enough now
    C.cql__mem_fail(0, 0)
    assert.equal(1, p:sockets())
    assert.is_false(p:is_closed(0))
    p:run(2100)
    submit(p, 2001, "small")
    p:step()
    assert.is_true(p:is_closed(0))
    assert.equal(2, p:sockets())
    p.handshake[OPCODE.QUERY] = function(_, request)
      return request.stream == 0
    end
    p:serve(1)
    assert.equal(1, p:metrics().connections)
    assert.equal(1, p:metrics().in_flight)
  end)
end)
