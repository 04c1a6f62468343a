-- When a host may sleep: cql_session_timeout() is 0 while anything is ready that the descriptor
-- does not show, and a step reads and delivers before it expires.
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, u32 = unit.C, unit.u32
local COLUMNS = { { "v", 9 } }

local p
local function open(options)
  p = peer.serving(options)
  p:step()
end
after_each(peer.free_all)

local function submit(tag, what) p:submit(tag, what) end
local function ready() return C.cql__sim_ready(p.sim) ~= 0 end
local function statuses()
  local got = {}
  for _, entry in ipairs(p:done()) do
    got[entry.tag] = entry.status
    if entry.result then C.cql_result_free(entry.result) end
  end
  return got
end

describe("the timeout", function()
  it("is that of the nearest deadline, by a clock that is read there", function()
    open { heartbeat_ms = 0, request_timeout_ms = 10000 }
    assert.equal(-1, p:timeout()) -- nothing is ever due
    submit(1, { query = "Q", options = { timeout_ms = 50 } })
    p:step()
    local wait = p:timeout()
    assert(wait > 0 and wait <= 50)
    C.cql__sim_advance(p.sim, 20)
    assert(p:timeout() <= 30)
    C.cql__sim_advance(p.sim, 100) -- overdue
    assert.equal(0, p:timeout())
    p:step()
    assert.same({ [1] = C.CQL_ETIMEOUT }, statuses())
  end)

  it("is 0 after a submit, until it is flushed", function()
    open()
    submit(1)
    assert.equal(0, p:timeout())
    C.cql__session_before(p.session) -- cql_session_flush()
    assert(p:timeout() > 0)
  end)

  it("is 0 after a submit that waits for a connection: its deadline is not stamped yet", function()
    p = assert(peer.new { request_timeout_ms = 40 })
    p:step()
    p:done()
    submit(1)
    assert.equal(0, p:timeout())
    p:step()
    assert(p:timeout() > 0 and p:timeout() <= 40)
  end)

  it("is 0 while completions, events or questions wait to be polled", function()
    p = assert(peer.new { ask_authenticate = "true" })
    p.handshake[server.OPCODE.STARTUP] = function(self, asked, socket)
      self:started("AUTHENTICATE", unit.str "Some", asked, socket)
    end
    p:serve()
    assert.equal(0, p:timeout()) -- a question
    local question = p:event(C.CQL_ASK_AUTHENTICATE)
    assert(p:timeout() > 0)
    assert.equal(0, C.cql__session_answer(p.session, question.tag, "token", 5))
    assert.equal(0, p:timeout()) -- the token is to be sent
    p.handshake[server.OPCODE.AUTH_RESPONSE] = function(self, asked, socket)
      self:answer(asked.stream, "AUTH_SUCCESS", u32(-1), nil, socket)
    end
    p:serve()
    assert.equal(0, p:timeout()) -- events
    p:done()
    assert(p:timeout() > 0)
    submit(1, { batch = 0 })
    assert.equal(0, p:timeout()) -- a completion
    assert.same({ [1] = C.CQL_EINVAL }, statuses())
    assert(p:timeout() > 0)
    submit(1)
    p:step()
    assert.equal(1, C.cql_cancel(p.session, 1))
    assert.equal(0, p:timeout())
    assert.same({ [1] = C.CQL_ECANCELLED }, statuses())
  end)

  it("is 0 as long as the step's budget left something unread", function()
    open { protocol_version = 4 }
    submit(1)
    p:step()
    local asked = p:requests()[1]
    for _ = 1, 40 do p:answer(-1, "EVENT", ("x"):rep(100000)) end -- 4 MB that nobody wants
    p:answer(asked.stream, "RESULT", server.VOID)
    p:step()
    assert.equal(0, p:timeout())
    assert.same({}, statuses())
    p:step()
    assert.same({ [1] = 0 }, statuses())
    assert(p:timeout() > 0 and not ready())
  end)

  -- A request in line goes to a connection that has just got room, and breaks in the flush that
  -- ends the step; another one has room too, and no socket will say so.
  it("is 0 while a request waits that some connection would take", function()
    local hit = 0
    for seed = 1, 20 do
      p = assert(peer.new({ contact_points = "127.0.0.1 127.0.0.2", protocol_version = 4,
        streams_max = 1 }, seed))
      p:serve(0)
      p:serve(1)
      p:done()
      for tag = 1, 3 do submit(tag, { query = "Q", options = { idempotent = true } }) end
      p:step()
      for socket = 0, 1 do
        p:answer(p:requests(socket)[1].stream, "RESULT", server.VOID, nil, socket)
      end
      C.cql__sim_reset(p.sim, 0)
      p:step()
      p:done()
      if p:metrics().queued > 0 then
        hit = hit + 1
        assert.equal(0, p:timeout())
        p:step()
        assert.equal(1, #p:requests(1))
      end
      p:free()
      p = nil
    end
    assert(hit > 3)
  end)

  it("lets a host sleep that has nothing to do, through a whole day", function()
    open { heartbeat_ms = 30000 }
    local steps, heartbeats = 0, 0
    p:run(24 * 3600 * 1000, function()
      steps = steps + 1
      for _, asked in ipairs(p:requests()) do
        heartbeats = heartbeats + 1
        assert.equal(server.OPCODE.OPTIONS, asked.opcode)
        p:answer(asked.stream, "SUPPORTED", server.supported {})
      end
    end)
    assert(heartbeats > 2800 and heartbeats <= 2880)
    assert(steps < heartbeats * 6, steps .. " steps for " .. heartbeats .. " heartbeats")
    assert.equal(1, p:metrics().connections)
  end)
end)

describe("a host that sleeps through a deadline", function()
  it("gets the rows that lie in the socket", function()
    open { request_timeout_ms = 500 }
    for tag = 1, 100 do submit(tag) end
    p:step()
    for i, asked in ipairs(p:requests()) do
      if i ~= 50 then
        p:answer(asked.stream, "RESULT", server.rows(COLUMNS, { { u32(asked.stream) } }))
      end
    end
    C.cql__sim_advance(p.sim, 60000)
    p:step()
    local got = statuses()
    for tag = 1, 100 do
      assert.equal(tag == 50 and C.CQL_ETIMEOUT or 0, got[tag])
    end
  end)

  it("gets all of them, also where they are more than one step reads", function()
    open { request_timeout_ms = 500, protocol_version = 4 }
    for tag = 1, 20 do submit(tag) end
    p:step()
    local long = ("x"):rep(500000) -- 10 MB
    for _, asked in ipairs(p:requests()) do
      p:answer(asked.stream, "RESULT", server.rows({ { "v", 13 } }, { { long } }))
    end
    C.cql__sim_advance(p.sim, 60000)
    local count, steps = 0, 0
    repeat
      p:step()
      steps = steps + 1
      for _, status in pairs(statuses()) do
        assert.equal(0, status)
        count = count + 1
      end
    until p:timeout() ~= 0
    assert.equal(20, count)
    assert(steps > 3)
  end)

  it("times out in the end, also where a connection is never read dry", function()
    open { request_timeout_ms = 500, protocol_version = 4 }
    submit(1)
    p:step()
    C.cql__sim_advance(p.sim, 1000)
    local junk = server.envelope(4, -1, "EVENT", ("x"):rep(1000000))
    local steps = 0
    local got
    repeat
      for _ = 1, 4 do p:say(junk) end
      p:step()
      steps = steps + 1
      got = statuses()
    until next(got) or steps == 100
    assert.same({ [1] = C.CQL_ETIMEOUT }, got)
  end)
end)

it("deadlines begin at the flush, not at the last step", function()
  open { request_timeout_ms = 500 }
  C.cql__sim_advance(p.sim, 10000) -- the host is busy with other things
  submit(1)
  C.cql__sim_advance(p.sim, 10000) -- and again
  p:step()
  assert.same({}, statuses())
  local asked = p:requests()[1]
  p:advance(499)
  assert.same({}, statuses())
  p:answer(asked.stream, "RESULT", server.VOID)
  p:step()
  assert.same({ [1] = 0 }, statuses())
end)

-- A host that steps only when it is told to, and a wire that is slow, full and broken at times:
-- whatever was submitted ends.
for seed = 1, 8 do
  it("no wake-up is lost, seed " .. seed, function()
    local random = unit.random(seed)
    local version = 3 + seed % 3
    p = assert(peer.new({ protocol_version = version, request_timeout_ms = 2000,
      contact_points = "127.0.0.1 127.0.0.2", streams_max = 40, heartbeat_ms = 500,
      heartbeat_timeout_ms = 200, connect_timeout_ms = 800 }, seed))
    local submitted, ended, asleep = 0, 0, 0
    local function serve(socket)
      if p:is_closed(socket) then return end
      C.cql__sim_accept(p.sim, socket)
      for _, asked in ipairs(p:requests(socket)) do
        local is_query = asked.opcode == server.OPCODE.QUERY
        if not is_query or asked.body:find("cluster_name", 1, true) then
          p:shake_one(asked, socket)
        elseif random(10) > 0 then
          p:answer(asked.stream, "RESULT", server.VOID, nil, socket)
        end
      end
      if random(4) == 0 then C.cql__sim_room(p.sim, socket, random(2000)) end
      if random(4) == 0 then C.cql__sim_room(p.sim, socket, -1) end
      if random(60) == 0 then C.cql__sim_reset(p.sim, socket) end
    end
    for _ = 1, 400 do
      for _ = 1, random(5) do
        submitted = submitted + 1
        submit(submitted, { query = ("Q"):rep(random(3000)), options = { idempotent = true } })
      end
      p:run(random(60), function()
        for _, entry in ipairs(p.finished) do
          ended = ended + 1
          if entry.result then C.cql_result_free(entry.result) end
        end
        p.finished = {}
        if random(3) == 0 then
          for socket = 0, p:sockets() - 1 do serve(socket) end
        end
      end)
      if p:timeout() ~= 0 then asleep = asleep + 1 end
    end
    p:run(10000)
    assert.equal(submitted, ended + #p:done())
    assert(asleep > 100)
    local m = p:metrics()
    assert.same({ 0, 0, 0 }, { m.in_flight, m.queued, m.taken })
  end)
end

describe("a question", function()
  it("is void when the same is asked anew", function()
    p = assert(peer.new { ask_distance = "true", question_timeout_ms = 100 })
    local first = assert(p:event(C.CQL_ASK_DISTANCE)).tag
    assert.equal(0, C.cql_session_refresh_distances(p.session))
    local second = assert(p:event(C.CQL_ASK_DISTANCE)).tag
    assert.is_true(first ~= second)
    assert.equal(0, C.cql__session_answer(p.session, second, "ignored", 7))
    assert.equal(C.CQL_EINVAL, C.cql__session_answer(p.session, first, "local", 5))
    p:run(1000)
    assert.is_nil(p:event(C.CQL_EVENT_DISTANCE)) -- by the default of the first
  end)
end)
