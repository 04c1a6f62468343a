-- Closing: what is under way may finish, the rest ends, and CLOSED is the last that is polled.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local request = require "spec.support.request"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, str = unit.C, unit.str
local QUERY = { query = "SELECT" }

local p
local function open(options) p = peer.serving(options) end
after_each(peer.free_all)

local function submit(tag, what) p:submit(tag, what) end
local function sent()
  p:step()
  return p:requests()
end
local function close(drain_ms) assert.equal(0, C.cql__session_close(p.session, drain_ms)) end

-- Everything that comes out of poll, one at a time, in words: "1 ECLOSED", "event CLOSED".
local EVENTS = { [C.CQL_EVENT_CONNECTION_CLOSED] = "CONNECTION_CLOSED",
  [C.CQL_EVENT_CLOSED] = "CLOSED", [C.CQL_EVENT_FAILED] = "FAILED",
  [C.CQL_EVENT_REPREPARED] = "REPREPARED" }
local function polled(at_once)
  local out, list = ffi.new("cql_completion_t[?]", at_once or 1), {}
  repeat
    local count = C.cql__session_poll(p.session, at_once or 1, out)
    for i = 0, count - 1 do
      if out[i].kind == C.CQL_DONE then
        local name = out[i].status == 0 and "OK" or ffi.string(C.cql_error_name(out[i].status))
        list[#list + 1] = out[i].tag .. " " .. name
        if out[i].result ~= nil then C.cql_result_free(out[i].result) end
      else
        list[#list + 1] = "event " .. (EVENTS[out[i].code] or out[i].code)
      end
    end
  until count == 0
  return list
end

local function take()
  local out = ffi.new "cql_request_t *[1]"
  return C.cql_request_take(p.session, out)
end

-- Requests in every state: 1 orphaned (not counted), 2 sent, 3 being prepared again, 4 in line, 5
-- done and not polled.
local function busy(options)
  options = options or {}
  options.streams_max, options.protocol_version = 3, 4
  open(options)
  submit(1, { prepare = "P" })
  p:answer(sent()[1].stream, "RESULT", server.prepared(4, "id", {}, {}))
  p:step()
  local done = p:done()[1]
  local prepared = ffi.gc(C.cql_result_prepared(done.result), C.cql_prepared_unref)
  C.cql_result_free(done.result)
  submit(1)
  assert.equal(1, C.cql_cancel(p.session, 1))
  p:done()
  submit(2, { query = "SELECT", options = { idempotent = true } })
  submit(3, { execute = prepared })
  local list = sent()
  p:answer(list[3].stream, "ERROR", server.error(0x2500, "gone", str "id"))
  p:step()
  submit(4)
  submit(5, { batch = 0 })
  assert.same({ 2, 1 }, { p:metrics().in_flight, p:metrics().queued })
  return list[2], p:requests()[1]
end

it("during a drain says that a connection was lost, whatever for", function()
  open { protocol_version = 4 }
  submit(1)
  sent()
  close(1000)
  p:say "nonsense, not an answer"
  p:step()
  assert.same({ "event CONNECTION_CLOSED", "1 ECONNECTION", "event CLOSED" }, polled())
end)

for _, at_once in ipairs { 1, 2, 64 } do
  it("without a drain ends what is in any state, CLOSED last, polled by " .. at_once, function()
    busy()
    close(0)
    local list = polled(at_once)
    assert.same({ "event CONNECTION_CLOSED", "5 EINVAL" }, { list[1], list[2] })
    assert.equal("event CLOSED", table.remove(list))
    table.sort(list)
    assert.same({ "2 ECLOSED", "3 ECLOSED", "4 ECLOSED", "5 EINVAL", "event CONNECTION_CLOSED" },
      list)
    local m = p:metrics()
    assert.same({ 0, 0, 0, 0 }, { m.in_flight, m.queued, m.taken, m.connections })
    assert.equal(-1, p:timeout())
    p:step()
    assert.same({}, polled())
  end)
end

it("with a drain lets them finish, and takes nothing new", function()
  local first, again = busy()
  close(5000)
  assert.equal(C.CQL_ECLOSED, take())
  p:answer(first.stream, "RESULT", server.VOID)
  p:answer(again.stream, "RESULT", server.prepared(4, "id", {}, {}))
  local list = sent()
  assert.same({ "event REPREPARED", "5 EINVAL", "2 OK" }, polled())
  for _, asked in ipairs(list) do p:answer(asked.stream, "RESULT", server.VOID) end
  p:step()
  local rest = polled()
  assert.equal("event CLOSED", rest[#rest])
  table.sort(rest)
  assert.same({ "3 OK", "4 OK", "event CLOSED", "event CONNECTION_CLOSED" }, rest)
  assert.equal(-1, p:timeout())
end)

it("ends the drain when the last request ends, in whichever way", function()
  local ended = { answer = "OK", timeout = "ETIMEOUT", cancel = "ECANCELLED", lost = "ECONNECTION" }
  for way in pairs(ended) do
    open { request_timeout_ms = 1000 }
    submit(1)
    local asked = sent()[1]
    close(60000)
    assert.same({}, polled())
    if way == "answer" then
      p:answer(asked.stream, "RESULT", server.VOID)
    elseif way == "timeout" then
      C.cql__sim_advance(p.sim, 1000)
    elseif way == "cancel" then
      assert.equal(1, C.cql_cancel(p.session, 1))
      assert.equal(0, p:timeout()) -- a step is wanted, though no socket says so
    else
      C.cql__sim_reset(p.sim, p.socket)
    end
    p:step()
    local list = polled()
    assert.equal("event CLOSED", list[#list])
    assert.truthy(table.concat(list, "; "):find("1 " .. ended[way], 1, true))
    p:free()
    p = nil
  end
end)

it("ends the drain when its time is over", function()
  open()
  submit(1)
  sent()
  close(500)
  p:advance(499)
  assert.same({}, polled())
  assert.equal(1, p:timeout())
  p:advance(1)
  assert.same({ "event CONNECTION_CLOSED", "1 ECLOSED", "event CLOSED" }, polled())
end)

it("may be hurried by another close", function()
  open()
  submit(1)
  sent()
  close(5000)
  close(0)
  assert.same({ "event CONNECTION_CLOSED", "1 ECLOSED", "event CLOSED" }, polled())
  close(0)
  close(100)
  assert.same({}, polled())
end)

it("doesn't send a lost request again", function()
  open()
  submit(1, { query = "Q", options = { idempotent = true } })
  sent()
  close(5000)
  C.cql__sim_reset(p.sim, p.socket)
  p:step()
  local list = polled()
  assert.same({ "1 ECONNECTION", "event CLOSED" }, { list[#list - 1], list[#list] })
end)

it("with nothing under way is over at once", function()
  for _, drain in ipairs { 0, 5000, -1 } do
    open()
    close(drain)
    assert.equal(0, p:timeout())
    assert.same({ "event CONNECTION_CLOSED", "event CLOSED" }, polled())
    assert.equal(-1, p:timeout())
    p:free()
  end
  p = nil
end)

it("before any connection is open ends what waits for one", function()
  p = assert(peer.new {})
  submit(1)
  p:step()
  close(100)
  assert.same({}, polled())
  p:advance(100)
  assert.same({ "1 ECLOSED", "event CLOSED" }, polled())
  assert.equal(-1, p:timeout())
end)

it("lets the drain go on over a reconnection", function()
  open { streams_max = 1, connections_per_node = 1 }
  submit(1)
  submit(2) -- in line
  sent()
  close(5000)
  C.cql__sim_reset(p.sim, p.socket)
  p:step()
  assert.same({ "event CONNECTION_CLOSED", "1 ECONNECTION" }, polled())
  p:advance(200)
  p.handshake[server.OPCODE.QUERY] = function(self, asked, socket)
    local name = server.rows({ { "cluster_name", 13 } }, { { "test" } })
    local body = asked.body:find("cluster_name", 1, true) and name or server.VOID
    self:answer(asked.stream, "RESULT", body, nil, socket)
  end
  p:serve()
  local list = polled()
  assert.equal("event CLOSED", list[#list])
  assert.truthy(table.concat(list, "; "):find "2 OK")
end)

it("submit after close completes with ECLOSED", function()
  open()
  local before, after = request.make(p.session, QUERY), request.make(p.session, QUERY)
  close(0)
  C.cql_submit(before, 7)
  assert.same({ "event CONNECTION_CLOSED", "7 ECLOSED", "event CLOSED" }, polled())
  C.cql_submit(after, 8)
  assert.equal(0, p:timeout())
  assert.same({ "8 ECLOSED" }, polled())
  assert.equal(C.CQL_ECLOSED, take())
  assert.equal(C.CQL_ECLOSED, C.cql_session_use(p.session, "ks", 2, 9))
end)

it("a session that failed is closed like any other", function()
  p = assert(peer.new { connect_retry = "false" })
  submit(1)
  C.cql__sim_refuse(p.sim, 0)
  p:step()
  local list = polled()
  table.sort(list)
  assert.same({ "1 ECONNECT", "event 4", "event FAILED" }, list)
  assert.equal(C.CQL_ECLOSED, take())
  close(1000)
  assert.same({ "event CLOSED" }, polled())
  assert.equal(-1, p:timeout())
end)

it("CLOSED comes without memory, and however few events were polled", function()
  open()
  submit(1)
  sent()
  for _ = 1, 2000 do -- more than the queue keeps
    C.cql__sim_reset(p.sim, p.socket)
    p:step()
    C.cql__sim_advance(p.sim, 60000)
    p:step()
    p.handshake = {}
    p:serve()
  end
  assert(p:metrics().events_dropped > 0)
  submit(2)
  C.cql__mem_fail(1, 1)
  close(0)
  local list = polled()
  C.cql__mem_fail(0, 0)
  assert.equal("event CLOSED", list[#list])
  assert.equal("2 ECLOSED", list[#list - 1])
end)
