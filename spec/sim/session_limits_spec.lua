-- Limits and what happens at each, timestamps, and what a session shows of itself.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C = unit.C
local QUERY = server.OPCODE.QUERY

local p
local function open(options) p = peer.serving(options) end
after_each(peer.free_all)

local function submit(tag, what) p:submit(tag, what) end
local function statuses()
  local got = {}
  for _, entry in ipairs(p:done()) do
    got[entry.tag] = entry.status
    if entry.result then C.cql_result_free(entry.result) end
  end
  return got
end
local function answer_all(socket)
  local list = p:requests(socket)
  for _, asked in ipairs(list) do p:answer(asked.stream, "RESULT", server.VOID, nil, socket) end
  return #list
end

describe("requests_max", function()
  it("is EBUSY from taking one more, until one has been polled or discarded", function()
    open { requests_max = 3 }
    local out = ffi.new "cql_request_t *[4]"
    for i = 0, 2 do assert.equal(0, C.cql_request_take(p.session, out + i)) end
    assert.equal(C.CQL_EBUSY, C.cql_request_take(p.session, out + 3))
    assert.equal(nil, out[3] ~= nil and out[3] or nil)
    C.cql_request_discard(out[0])
    assert.equal(0, C.cql_request_take(p.session, out + 3))
    for i = 1, 3 do
      assert.equal(0, C.cql_request_query(out[i], "Q", 1))
      C.cql_submit(out[i], i)
    end
    assert.equal(C.CQL_EBUSY, C.cql_request_take(p.session, out))
    p:step()
    answer_all()
    p:step()
    assert.equal(C.CQL_EBUSY, C.cql_request_take(p.session, out)) -- answered, not polled
    assert.same({ 0, 0, 0 }, statuses())
    assert.equal(0, C.cql_request_take(p.session, out))
    C.cql_request_discard(out[0])
    C.cql_request_discard(nil)
    assert.equal(0, p:metrics().taken)
  end)
end)

it("requests before READY wait, and go out in their order", function()
  p = assert(peer.new { protocol_version = 4 })
  for tag = 1, 50 do submit(tag, { query = "Q" .. tag }) end
  p:step()
  assert.equal(50, p:metrics().queued)
  local texts = {}
  p.handshake[QUERY] = function(self, asked, socket)
    local text = asked.body:match "^....(Q%d+)"
    if not text then return true end
    texts[#texts + 1] = text
    self:answer(asked.stream, "RESULT", server.VOID, nil, socket)
  end
  p:serve()
  for tag = 1, 50 do assert.equal("Q" .. tag, texts[tag]) end
  local got = statuses()
  assert.same({ 50, 0 }, { #got, got[50] })
end)

it("streams_max holds back the rest, in line, first come first served", function()
  open { streams_max = 2, protocol_version = 4 }
  for tag = 1, 5 do submit(tag, { query = "Q" .. tag }) end
  p:step()
  assert.same({ 2, 3 }, { p:metrics().in_flight, p:metrics().queued })
  local order = {}
  for _ = 1, 5 do
    local list = p:requests()
    if #list == 0 then break end
    assert(#list <= 2)
    for _, asked in ipairs(list) do
      order[#order + 1] = asked.body:sub(6, 6)
      p:answer(asked.stream, "RESULT", server.VOID)
    end
    p:step()
  end
  assert.equal("12345", table.concat(order))
  -- Who comes later doesn't overtake those in line.
  for tag = 1, 3 do submit(tag, { query = "Q" .. tag }) end
  p:step()
  p:answer(p:requests()[1].stream, "RESULT", server.VOID)
  submit(4, { query = "Q4" })
  p:step()
  assert.equal("3", p:requests()[1].body:sub(6, 6))
end)

it("a connection whose unsent bytes pass 1 MiB takes no more until they are gone", function()
  open { protocol_version = 4, request_timeout_ms = 5000 }
  C.cql__sim_room(p.sim, p.socket, 0)
  local long = ("x"):rep(100000)
  for tag = 1, 30 do submit(tag, { query = long }) end
  p:step()
  local m = p:metrics()
  assert.equal(30, m.in_flight + m.queued)
  assert(m.in_flight >= 10 and m.in_flight <= 12, m.in_flight)
  local text = ffi.new "char[4096]"
  C.cql__session_dump(p.session, text, 4096)
  local unsent = tonumber(ffi.string(text):match "(%d+) bytes unsent %(socket full%)")
  assert(unsent >= 1048576 and unsent < 1048576 + 110000)
  assert(p:timeout() > 0) -- nothing can be done
  C.cql__sim_room(p.sim, p.socket, -1)
  assert.equal(1, C.cql__sim_ready(p.sim))
  local answered = 0
  for _ = 1, 10 do
    p:step()
    answered = answered + answer_all()
  end
  assert.equal(30, answered)
  assert.equal(30, #statuses())
end)

it("what waits behind a full socket times out where it stands", function()
  open { protocol_version = 4, request_timeout_ms = 100, heartbeat_ms = 0 }
  C.cql__sim_room(p.sim, p.socket, 0)
  for tag = 1, 20 do submit(tag, { query = ("x"):rep(100000) }) end
  p:step()
  p:advance(100)
  for tag, status in pairs(statuses()) do assert.same({ tag, C.CQL_ETIMEOUT }, { tag, status }) end
  local m = p:metrics()
  assert.same({ 0, 0, 20 }, { m.in_flight, m.queued, tonumber(m.timeouts) })
  C.cql__sim_room(p.sim, p.socket, -1)
  p:step()
  assert.equal(m.orphans, answer_all()) -- they go out all the same, whole
  p:step()
  assert.equal(0, p:metrics().orphans)
end)

-- ---- timestamps ----

local START = 1700000000000000ULL -- where the simulated wall clock began, in microseconds

local function timestamp_of(body) -- QUERY on v4, of serial consistency and a timestamp alone
  local at, value = #body - 7, 0ULL
  for i = at, #body do value = value * 256 + body:byte(i) end
  return value
end

describe("timestamps", function()
  local plain = { query = "Q", options = { page_size = -1 } }

  it("are the clock's, and never the same or an earlier one twice", function()
    open { protocol_version = 4 }
    local last = 0ULL
    for _ = 1, 20 do
      for tag = 1, 50 do submit(tag, plain) end
      p:step()
      for _, asked in ipairs(p:requests()) do
        local value = timestamp_of(asked.body)
        assert(value > last)
        last = value
        p:answer(asked.stream, "RESULT", server.VOID)
      end
      assert(last >= START + p:now() * 1000 and last < START + p:now() * 1000 + 1000)
      C.cql__sim_advance(p.sim, 7)
      p:step()
      statuses()
    end
  end)

  it("are the host's where it gives one, which moves nothing", function()
    open { protocol_version = 4 }
    submit(1, plain)
    submit(2, { query = "Q", options = { page_size = -1, timestamp = 5LL } })
    submit(3, plain)
    p:step()
    local list = p:requests()
    assert.equal(5ULL, timestamp_of(list[2].body))
    assert.equal(timestamp_of(list[1].body) + 1, timestamp_of(list[3].body))
  end)

  it("stay the same when a request is sent again", function()
    open { protocol_version = 4 }
    submit(1, { query = "Q", options = { page_size = -1, idempotent = true } })
    p:step()
    local first = timestamp_of(p:requests()[1].body)
    p:reset()
    p:step()
    p:advance(1000)
    local second
    p.handshake[QUERY] = function(_, asked)
      if asked.body:find("cluster_name", 1, true) then return true end
      second = timestamp_of(asked.body)
    end
    p:serve()
    assert.equal(first, second)
  end)

  it("far ahead of the clock are told of, once in ten seconds", function()
    open { protocol_version = 4, requests_max = 4000 }
    local function warnings()
      local count = 0
      p:collect()
      for _, event in ipairs(p.events) do
        if event.message and event.message:find("ahead of the clock", 1, true) then
          count = count + 1
        end
      end
      return count
    end
    local out = ffi.new "cql_request_t *[1]"
    local function burn(count) -- what never gets a connection costs a timestamp too
      for i = 1, count do
        assert(C.cql_request_take(p.session, out) == 0)
        assert(C.cql_request_query(out[0], "Q", 1) == 0)
        C.cql_submit(out[0], 1)
        if i % 4000 == 0 or i == count then
          C.cql_cancel(p.session, 1)
          p:collect()
          p.finished = {}
        end
      end
    end
    p:reset()
    p:step()
    for _ = 1, 10 do
      assert.equal(0, warnings())
      burn(100000)
    end
    burn(10)
    burn(10) -- the clock is read once between two polls
    assert.equal(1, warnings())
    burn(10)
    C.cql__sim_advance(p.sim, 10)
    burn(20000)
    assert.equal(1, warnings())
  end)
end)

-- ---- metrics and dump ----

it("metrics say what has happened", function()
  open { protocol_version = 4, request_timeout_ms = 500 }
  local before = p:metrics()
  submit(1)
  submit(2, { query = "Q", options = { idempotent = true } })
  submit(3)
  submit(4, { batch = 0 })
  p:step()
  local m = p:metrics()
  assert.same({ 4, 1, 3, 0, 4, 1, 4 }, { tonumber(m.requests), tonumber(m.completed), m.in_flight,
    m.queued, m.taken, m.connections, m.protocol_version })
  local list = p:requests()
  local size = 0
  for _, asked in ipairs(list) do size = size + 9 + #asked.body end
  assert.equal(size, tonumber(m.bytes_sent - before.bytes_sent))
  assert.equal(1, tonumber(m.writes - before.writes))
  p:answer(list[1].stream, "RESULT", server.VOID)
  p:answer(99, "RESULT", server.VOID)
  p:step()
  m = p:metrics()
  assert.equal(2 * 13, tonumber(m.bytes_received - before.bytes_received))
  assert.same({ 2, 1 }, { tonumber(m.completed), tonumber(m.unknown_streams) })
  p:advance(500)
  m = p:metrics()
  assert.same({ 4, 2, 0, 2 }, { tonumber(m.completed), tonumber(m.timeouts), m.in_flight,
    m.orphans })
  statuses()
  submit(5, { query = "Q", options = { idempotent = true } })
  p:step()
  p:reset()
  p:step()
  m = p:metrics()
  assert.same({ 1, 0, 0, 1, 1, 1 }, { tonumber(m.connections_lost), m.connections, m.orphans,
    m.queued, m.taken, tonumber(m.retries) })
  p:advance(150)
  C.cql__sim_refuse(p.sim, p:sockets() - 1)
  p:step()
  m = p:metrics()
  assert.same({ 1, 1 }, { tonumber(m.connections_opened), tonumber(m.connections_failed) })
end)

it("orphans are counted while their connection is being replaced, too", function()
  open { protocol_version = 4, request_timeout_ms = 100000, requests_max = 3000 }
  submit(9999)
  for tag = 1, 1100 do submit(tag, { query = "Q", options = { timeout_ms = 100 } }) end
  p:step()
  p:advance(100)
  for _ = 1, 3 do p:advance(1000) end
  assert.equal(2, p:sockets()) -- the successor
  assert.same({ 0, 1100 }, { p:metrics().connections, p:metrics().orphans })
end)

describe("the dump", function()
  local function dump(size)
    local text = ffi.new("char[?]", size or 8192)
    local length = C.cql__session_dump(p.session, text, size or 8192)
    return ffi.string(text), length
  end

  it("says in words what there is", function()
    open { protocol_version = 4, contact_points = "127.0.0.1 127.0.0.2", keyspace = "ks" }
    submit(1)
    p:step()
    local text = dump()
    for _, part in ipairs { "session: ready, protocol v4, keyspace ks",
      "requests: 1 submitted, 0 completed, 1 in flight, 0 queued, 1 slots taken",
      "node 127.0.0.1:9042", "node 127.0.0.2:9042", "connection serving v4: 1 in flight, 0 orphans",
      "connection opening" } do
      assert(text:find(part, 1, true), part .. " is not in:\n" .. text)
    end
    C.cql__session_close(p.session, 1000)
    assert.truthy(dump():find("session: closing", 1, true))
  end)

  it("keeps to its room and says how much it would need, as snprintf does", function()
    open {}
    local text, length = dump()
    assert.equal(#text, length)
    for size = 1, length + 2 do
      local part, wanted = dump(size)
      assert.same({ text:sub(1, size - 1), length }, { part, wanted })
    end
    assert.equal(length, C.cql__session_dump(p.session, nil, 0))
  end)

  it("shows no password", function()
    open { username = "somebody", password = "secret!" }
    assert.falsy(dump():find("secret!", 1, true))
  end)
end)
