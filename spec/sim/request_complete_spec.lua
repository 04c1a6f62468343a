-- Law 3: each request completes exactly once, with its own answer or a typed error, and never from
-- inside the call that submits it.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local request = require "spec.support.request"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, u16, u32, str = unit.C, unit.u16, unit.u32, unit.str
local INT = 9
local COLUMNS = { { "v", INT } }
local QUERY = { query = "SELECT" }

local p
local function open(options) p = peer.serving(options) end
after_each(peer.free_all)

local function submit(tag, what) p:submit(tag, what) end
local function sent()
  p:step()
  return p:requests()
end
local function answer(to, opcode, body, options) p:answer(to.stream, opcode, body, options) end

-- { [tag] = { status, code } } of what is done now; each tag once; results are freed.
local function finished()
  local got = {}
  for _, entry in ipairs(p:done()) do
    assert(not got[entry.tag], "completed twice")
    got[entry.tag] = { entry.status, entry.code }
    if entry.result then C.cql_result_free(entry.result) end
  end
  return got
end

local function at_rest()
  local m = p:metrics()
  assert.same({ 0, 0, 0, 0 }, { m.in_flight, m.queued, m.taken, m.orphans })
  assert.equal(m.requests, m.completed)
end

-- Opens the next connection; requests that are sent as soon as it serves go to fn(asked, socket).
local function serve_with(fn)
  p.handshake[server.OPCODE.QUERY] = function(self, asked, socket)
    if not asked.body:find("cluster_name", 1, true) then return fn(asked, socket) end
    local name = server.rows({ { "cluster_name", 13 } }, { { "test" } })
    self:answer(asked.stream, "RESULT", name, nil, socket)
  end
  p.handshake[server.OPCODE.PREPARE] = function(_, asked, socket) fn(asked, socket) end
  p:advance(200)
  p:serve()
end

local VERSIONS = { 3, 4, 5 }

-- ---- answers ----

describe("an answer", function()
  for _, version in ipairs(VERSIONS) do
    it("of each kind completes its request on v" .. version, function()
      open { protocol_version = version }
      local kinds = { [C.CQL_RESULT_VOID] = server.VOID,
        [C.CQL_RESULT_ROWS] = server.rows(COLUMNS, { { u32(1) }, { false } }),
        [C.CQL_RESULT_KEYSPACE] = server.keyspace "ks",
        [C.CQL_RESULT_SCHEMA_CHANGE] = u32(5) .. str "CREATED" .. str "TABLE" .. str "ks" ..
          str "t" }
      for kind, body in pairs(kinds) do
        submit(kind)
        answer(sent()[1], "RESULT", body .. "what a newer server may add")
        assert.same({}, p:done())
        p:step()
        local done = p:done()
        assert.equal(1, #done)
        assert.same({ kind, 0, 0 }, { done[1].tag, done[1].status, done[1].code })
        if kind == C.CQL_RESULT_VOID then
          assert.equal(nil, done[1].result)
        else
          assert.equal(kind, done[1].result.kind)
          C.cql_result_free(done[1].result)
        end
      end
      at_rest()
    end)

    it("ERROR of any code completes its request with it on v" .. version, function()
      open { protocol_version = version }
      local codes = { 0, 0x0A, 0x100, 0x1000, 0x1001, 0x1002, 0x1003, 0x1100, 0x1200, 0x1300,
        0x1400, 0x1500, 0x1600, 0x1700, 0x2000, 0x2100, 0x2200, 0x2300, 0x2400, 0x2500, 0x9999, -1 }
      for tag in ipairs(codes) do submit(tag) end
      local list = sent()
      assert.equal(#codes, #list)
      for tag, code in ipairs(codes) do
        answer(list[tag], "ERROR", server.error(code, "because"))
      end
      p:step()
      local done = p:done()
      assert.equal(#codes, #done)
      for i, entry in ipairs(done) do
        assert.same({ i, C.CQL_ESERVER, codes[i] }, { entry.tag, entry.status, entry.code })
        assert.equal("because", unit.slice(entry.result.message))
        C.cql_result_free(entry.result)
      end
      at_rest()
      assert.equal(1, p:metrics().connections)
    end)
  end

  it("may come in any order", function()
    open()
    for tag = 1, 50 do submit(tag) end
    local list = sent()
    for i = #list, 1, -1 do answer(list[i], "RESULT", server.rows(COLUMNS, { { u32(i) } })) end
    p:step()
    local cell = ffi.new "cql_cell_t"
    for i, entry in ipairs(p:done()) do
      assert.equal(51 - i, entry.tag)
      assert.equal(1, C.cql_result_cells(entry.result, 9, cell))
      assert.equal(entry.tag, tonumber(cell.as.integer))
      C.cql_result_free(entry.result)
    end
    at_rest()
  end)

  it("says whom it is from, and after how many attempts", function()
    open { protocol_version = 4, consistency = "one" }
    submit(1)
    answer(sent()[1], "RESULT", server.VOID)
    p:step()
    local out = ffi.new "cql_completion_t[4]"
    assert.equal(1, C.cql__session_poll(p.session, 4, out))
    assert.equal("127.0.0.1:9042", ffi.string(out[0].address))
    assert.same({ 1, C.CQL_ONE }, { out[0].attempts, out[0].consistency })
    submit(2)
    assert.equal(1, C.cql_cancel(p.session, 2))
    assert.equal(1, C.cql__session_poll(p.session, 4, out))
    assert.equal(C.CQL_ECANCELLED, out[0].status)
  end)

  it("twice is one and an answer that nobody waits for", function()
    open()
    submit(1)
    local asked = sent()[1]
    answer(asked, "RESULT", server.VOID)
    answer(asked, "RESULT", server.VOID)
    p:step()
    assert.same({ [1] = { 0, 0 } }, finished())
    assert.equal(1, p:metrics().unknown_streams)
    at_rest()
  end)
end)

-- ---- nothing completes inside submit ----

it("what fails at once completes from poll all the same", function()
  p = assert(peer.new { protocol_version = 3 })
  submit(1, { batch = 0 })
  submit(2, { query = "Q", values = { request.UNSET } })
  assert.equal(1, p:metrics().queued)
  assert.same({ [1] = { C.CQL_EINVAL, 0 } }, finished())
  p:serve()
  assert.same({ [2] = { C.CQL_EUNSUPPORTED, 0 } }, finished())
  at_rest()
end)

it("a write that fails inside submit fails nothing there", function()
  open { protocol_version = 4 }
  C.cql__sim_reset(p.sim, p.socket)
  local long = ("x"):rep(4000) -- 64 KiB are sent at once
  for tag = 1, 40 do submit(tag, { query = long, options = { idempotent = tag % 2 == 0 } }) end
  local m = p:metrics()
  assert.same({ 0, 0 }, { m.connections, m.in_flight })
  local lost, retried = 0, 0
  for tag, what in pairs(finished()) do
    assert.same({ 1, C.CQL_ECONNECTION }, { tag % 2, what[1] })
    lost = lost + 1
  end
  assert(lost > 0)
  serve_with(function(asked, socket) p:answer(asked.stream, "RESULT", server.VOID, nil, socket) end)
  p:step()
  for _, what in pairs(finished()) do
    assert.equal(0, what[1])
    retried = retried + 1
  end
  assert.equal(40, lost + retried)
  at_rest()
end)

-- ---- time-outs and cancelling ----

describe("a request that times out", function()
  it("ends then, and its answer is dropped when it comes", function()
    open { request_timeout_ms = 500 }
    submit(1)
    submit(2, { query = "Q", options = { timeout_ms = 700 } })
    local list = sent()
    p:advance(499)
    assert.same({}, finished())
    p:advance(1)
    assert.same({ [1] = { C.CQL_ETIMEOUT, 0 } }, finished())
    p:advance(200)
    assert.same({ [2] = { C.CQL_ETIMEOUT, 0 } }, finished())
    local m = p:metrics()
    assert.same({ 2, 0, 2 }, { m.orphans, m.in_flight, tonumber(m.timeouts) })
    answer(list[1], "RESULT", server.rows(COLUMNS, { { u32(1) } }))
    answer(list[2], "ERROR", server.error(0x1200, "late"))
    p:step()
    assert.same({}, finished())
    assert.equal(0, tonumber(p:metrics().unknown_streams))
    at_rest()
  end)

  it("leaves its stream alone until the answer came", function()
    open { protocol_version = 4, request_timeout_ms = 500, streams_max = 3 }
    for tag = 1, 3 do submit(tag) end
    local old = sent()
    p:advance(500)
    finished()
    submit(4)
    p:step()
    assert.same({}, p:requests()) -- no stream is free
    assert.equal(1, p:metrics().queued)
    answer(old[2], "RESULT", server.rows(COLUMNS, { { u32(2) } }))
    local list = sent()
    assert.same({ 1, old[2].stream }, { #list, list[1].stream })
    answer(list[1], "RESULT", server.VOID)
    answer(old[1], "RESULT", server.rows(COLUMNS, { { u32(1) } }))
    p:step()
    assert.same({ [4] = { 0, 0 } }, finished())
  end)

  it("before any connection served ends as ENOHOST", function()
    p = assert(peer.new { request_timeout_ms = 500 })
    submit(1)
    p:step()
    p:advance(500)
    assert.same({ [1] = { C.CQL_ENOHOST, 0 } }, finished())
    at_rest()
  end)

  it("in line for a stream ends as ETIMEOUT", function()
    open { request_timeout_ms = 500, streams_max = 1 }
    submit(1)
    submit(2)
    p:step()
    p:advance(500)
    assert.same({ [1] = { C.CQL_ETIMEOUT, 0 }, [2] = { C.CQL_ETIMEOUT, 0 } }, finished())
  end)

  it("is the one that does, among many", function()
    open { request_timeout_ms = 100000 }
    for tag = 1, 300 do
      submit(tag, { query = "Q", options = { timeout_ms = tag * 10 } })
    end
    p:step()
    for tag = 1, 300 do
      p:advance(9)
      assert.same({}, finished())
      p:advance(1)
      assert.same({ [tag] = { C.CQL_ETIMEOUT, 0 } }, finished())
    end
  end)
end)

it("a request that goes to its node once more is not put on a connection that ends", function()
  open { protocol_version = 4, streams_max = 8, request_timeout_ms = 100 }
  for tag = 1, 6 do submit(tag, QUERY) end -- too many overdue: a successor is opened
  sent()
  submit(7, { query = "SELECT", options = { timeout_ms = 10000 } })
  local asked = sent()[1]
  p:advance(101)
  finished()
  for _ = 1, 4 do p:advance(500) end
  local old = p.socket
  assert.equal(2, p:sockets())
  local timeout = server.error(0x1200, "late", u16(C.CQL_ONE) .. u32(2) .. u32(1) .. "\0")
  p:answer(asked.stream, "ERROR", timeout, nil, old)
  p:step()
  assert.same({ {}, {} }, { p:requests(old), p:done() })
  local again
  serve_with(function(one) again = one end)
  answer(again, "RESULT", server.rows(COLUMNS, {}))
  p:step()
  assert.same({ [7] = { 0, 0 } }, finished())
end)

describe("cancelling", function()
  it("ends a request wherever it stands, once", function()
    open { streams_max = 2 }
    for tag = 1, 3 do submit(tag) end
    local list = sent()
    for tag = 3, 1, -1 do assert.equal(1, C.cql_cancel(p.session, tag)) end
    assert.equal(0, C.cql_cancel(p.session, 2)) -- it ended already
    assert.same({ [1] = { C.CQL_ECANCELLED, 0 }, [2] = { C.CQL_ECANCELLED, 0 },
      [3] = { C.CQL_ECANCELLED, 0 } }, finished())
    assert.equal(0, C.cql_cancel(p.session, 1))
    for _, asked in ipairs(list) do answer(asked, "RESULT", server.VOID) end
    p:step()
    assert.same({}, finished())
    at_rest()
  end)

  it("ends all of a tag, and no other", function()
    open()
    for i = 1, 10 do submit(i % 3) end
    assert.equal(3, C.cql_cancel(p.session, 0))
    assert.equal(3, #p:done())
    assert.equal(7, p:metrics().in_flight)
  end)

  it("does nothing to what is not submitted, or has been answered", function()
    open()
    local handle = assert(request.make(p.session, QUERY))
    submit(0)
    answer(sent()[1], "RESULT", server.VOID)
    p:step()
    assert.equal(0, C.cql_cancel(p.session, 0))
    assert.same({ [0] = { 0, 0 } }, finished())
    C.cql_submit(handle, 7)
    answer(sent()[1], "RESULT", server.VOID)
    p:step()
    assert.same({ [7] = { 0, 0 } }, finished())
  end)
end)

it("a request is submitted once: another time does nothing", function()
  open()
  local handle = assert(request.make(p.session, QUERY))
  C.cql_submit(handle, 1)
  C.cql_submit(handle, 2)
  C.cql_request_discard(handle)
  assert.equal(C.CQL_EINVAL, C.cql_request_options(handle, request.options {}))
  local list = sent()
  assert.equal(1, #list)
  answer(list[1], "RESULT", server.VOID)
  p:step()
  assert.same({ [1] = { 0, 0 } }, finished())
  assert.equal(1, tonumber(p:metrics().requests))
end)

-- ---- lost connections ----

describe("a lost connection", function()
  it("ends what may not run twice, and sends the rest elsewhere", function()
    open { protocol_version = 4 }
    submit(1)
    submit(2, { query = "again", options = { idempotent = true } })
    submit(3, { prepare = "P" })
    submit(4, { batch = 0, { query = "X" } })
    sent()
    C.cql__sim_reset(p.sim, p.socket)
    p:step()
    assert.same({ [1] = { C.CQL_ECONNECTION, 0 }, [4] = { C.CQL_ECONNECTION, 0 } }, finished())
    assert.same({ 0, 2, 2 }, { p:metrics().in_flight, p:metrics().queued,
      tonumber(p:metrics().retries) })
    local asked = {}
    serve_with(function(what, socket)
      asked[#asked + 1] = what.opcode
      local body = what.opcode == 9 and server.prepared(4, "id", {}, {}) or server.VOID
      p:answer(what.stream, "RESULT", body, nil, socket)
    end)
    assert.same({ 7, 9 }, asked)
    assert.same({ [2] = { 0, 0 }, [3] = { 0, 0 } }, finished())
    at_rest()
  end)

  it("isn't tried more than ten times", function()
    open { protocol_version = 4, reconnect_max_ms = 100, request_timeout_ms = 1000000 }
    submit(1, { query = "again", options = { idempotent = true } })
    sent()
    local attempts = 1
    while #p.events < 1000 do
      C.cql__sim_reset(p.sim, p.socket)
      p:step()
      local got = finished()
      if next(got) then
        assert.same({ [1] = { C.CQL_ECONNECTION, 0 } }, got)
        break
      end
      serve_with(function() attempts = attempts + 1 end)
    end
    assert.equal(10, attempts)
    at_rest()
  end)

  it("keeps to the deadline of what waits for another", function()
    open { request_timeout_ms = 500 }
    submit(1, { query = "again", options = { idempotent = true } })
    sent()
    C.cql__sim_reset(p.sim, p.socket)
    p:step()
    p:advance(499)
    assert.same({}, finished())
    p:advance(1)
    assert.same({ [1] = { C.CQL_ENOHOST, 0 } }, finished())
  end)

  it("takes its orphans along", function()
    open { request_timeout_ms = 500 }
    for tag = 1, 70 do submit(tag) end
    sent()
    p:advance(500)
    finished()
    assert.equal(70, p:metrics().orphans)
    C.cql__sim_reset(p.sim, p.socket)
    p:step()
    assert.same({}, finished())
    at_rest()
  end)

  it("fails every stream of it, wherever its bit lies", function()
    open { protocol_version = 4, requests_max = 70000, request_timeout_ms = 1000000 }
    for tag = 1, 32767 do submit(tag) end
    p:step()
    assert.equal(32767, p:metrics().in_flight)
    C.cql__sim_reset(p.sim, p.socket)
    p:step()
    local count = 0
    for _, what in pairs(finished()) do
      count = count + 1
      assert(what[1] == C.CQL_ECONNECTION)
    end
    assert.equal(32767, count)
    at_rest()
  end)
end)

-- ---- answers that are wrong ----

local function wrong_answers(version)
  local rows = server.rows({ { "a", INT }, { "b", 13 } }, { { u32(1), "one" }, { u32(2), false } })
  local wrong = { { "RESULT", "" }, { "RESULT", u32(0) }, { "RESULT", u32(6) },
    { "RESULT", u32(-1) }, { "RESULT", u32(4) },
    { "RESULT", server.prepared(version, "id", {}, {}) },
    { "RESULT", u32(3) .. u16(5) .. "ks" }, { "READY", "" }, { "SUPPORTED", u16(0) },
    { "AUTHENTICATE", str "X" }, { "AUTH_SUCCESS", u32(-1) }, { "AUTH_CHALLENGE", u32(-1) },
    { "ERROR", "" }, { "ERROR", u32(0) }, { "ERROR", u32(0) .. u16(9) .. "short" },
    { "RESULT", u32(2) .. u32(1) .. u32(0x7fffffff) .. str "ks" .. str "t" },
    { "RESULT", u32(2) .. u32(1) .. u32(-1) }, { "RESULT", u32(2) .. u32(4) .. u32(1) .. u32(0) },
    { "RESULT", server.rows({ { "a", 0x7777 } }, {}) },
    { "RESULT", server.rows(COLUMNS, {}):sub(1, -5) .. u32(-1) },
    { "RESULT", server.rows(COLUMNS, {}):sub(1, -5) .. u32(0x7fffffff) },
    { "RESULT", u32(2) .. u32(1) .. u32(0) .. str "ks" .. str "t" .. u32(5) },
    { "RESULT", server.VOID, 2 }, { "RESULT", ("i"):rep(15), 2 } }
  for size = 4, #rows - 28 do wrong[#wrong + 1] = { "RESULT", rows:sub(1, size) } end
  if version >= 4 then
    wrong[#wrong + 1] = { "RESULT", u16(3) .. str "one", 8 }
    wrong[#wrong + 1] = { "RESULT", u16(1) .. str "key" .. u32(9) .. "value", 4 }
  end
  return wrong
end

for _, version in ipairs(VERSIONS) do
  it("an answer that can't be decoded fails its request alone on v" .. version, function()
    open { protocol_version = version, requests_max = 1000 }
    for i, wrong in ipairs(wrong_answers(version)) do
      submit(1)
      submit(2)
      local list = sent()
      answer(list[1], wrong[1], wrong[2], { flags = wrong[3] })
      answer(list[2], "RESULT", server.VOID)
      p:step()
      local got = finished()
      assert(got[1] and got[1][1] == C.CQL_EMALFORMED, "answer " .. i)
      assert.same({ 0, 0 }, got[2])
    end
    assert.same({ 1, 0 }, { p:metrics().connections, tonumber(p:metrics().connections_lost) })
    at_rest()
  end)

  it("a PREPARE is answered by PREPARED and nothing else on v" .. version, function()
    open { protocol_version = version }
    local good = server.prepared(version, "id", { { "k", INT } }, COLUMNS)
    local wrong = { server.VOID, server.rows(COLUMNS, {}), server.keyspace "ks",
      server.prepared(version, "", {}, {}) }
    for size = 0, #good - 1 do wrong[#wrong + 1] = good:sub(1, size) end
    for _, body in ipairs(wrong) do
      submit(1, { prepare = "P" })
      answer(sent()[1], "RESULT", body)
      p:step()
      assert.same({ [1] = { C.CQL_EMALFORMED, 0 } }, finished())
    end
    assert.equal(1, p:metrics().connections)
    at_rest()
  end)
end

it("rows that end too soon give what is whole, then an error", function()
  open { protocol_version = 4 }
  local rows = server.rows({ { "v", 13 } }, { { "one" }, { "two two" } })
  submit(1)
  answer(sent()[1], "RESULT", rows:sub(1, -4))
  p:step()
  local done = p:done()[1]
  assert.equal(0, done.status)
  local cells = ffi.new "cql_cell_t[2]"
  assert.equal(1, C.cql_result_cells(done.result, 1, cells))
  assert.equal(C.CQL_EMALFORMED, C.cql_result_cells(done.result, 1, cells))
  assert.equal(0, C.cql_result_cells(done.result, 1, cells))
  C.cql_result_rewind(done.result)
  assert.equal(1, C.cql_result_cells(done.result, 1, cells))
  C.cql_result_free(done.result)
end)

it("an answer over frame_size_max fails its request alone", function()
  for _, version in ipairs(VERSIONS) do
    open { protocol_version = version, frame_size_max = 5000 }
    submit(1)
    submit(2)
    local list = sent()
    answer(list[1], "RESULT", server.rows({ { "v", 13 } }, { { ("x"):rep(6000) } }))
    answer(list[2], "RESULT", server.VOID)
    p:step()
    assert.same({ [1] = { C.CQL_ETOOBIG, 0 }, [2] = { 0, 0 } }, finished())
    at_rest()
    p:free()
    p = nil
  end
end)

-- ---- what is left when a session goes ----

it("a session that is freed takes requests in every state along", function()
  local live = tonumber(C.cql__mem_live())
  for _, version in ipairs(VERSIONS) do
    open { protocol_version = version, streams_max = 5, request_timeout_ms = 500 }
    submit(100, { prepare = "P" })
    answer(sent()[1], "RESULT", server.prepared(version, "id", {}, COLUMNS))
    p:step()
    local done = p:done()[1]
    local prepared = C.cql_result_prepared(done.result)
    C.cql_result_free(done.result)
    for tag = 1, 3 do submit(tag) end -- orphans
    sent()
    p:advance(500)
    submit(4, { execute = prepared, options = { payload = version > 3 and "\0\0" or nil } })
    local asked = sent()[1]
    answer(asked, "ERROR", server.error(0x2500, "gone", str "id"))
    p:step() -- being prepared again
    submit(5, { batch = 0, { execute = prepared } })
    submit(6) -- in line
    submit(7, { batch = 0 }) -- done, never polled
    assert(request.make(p.session, { query = "taken", values = { "x" } }))
    p:free()
    p = nil
    C.cql_prepared_unref(prepared)
    assert.equal(live, tonumber(C.cql__mem_live()))
  end
end)

it("results live on without their session", function()
  local live = tonumber(C.cql__mem_live())
  open { protocol_version = 4 }
  local long = ("x"):rep(5000) -- stays in the buffer that it was received in
  submit(1)
  submit(2)
  local list = sent()
  answer(list[1], "RESULT", server.rows({ { "v", 13 } }, { { long } }))
  answer(list[2], "RESULT", server.rows(COLUMNS, { { u32(7) } }))
  p:step()
  local done = p:done()
  p:free()
  p = nil
  local cell = ffi.new "cql_cell_t"
  assert.equal(1, C.cql_result_cells(done[1].result, 1, cell))
  assert.equal(long, ffi.string(cell.as.bytes, cell.length))
  assert.equal(1, C.cql_result_cells(done[2].result, 1, cell))
  assert.equal(7, tonumber(cell.as.integer))
  C.cql_result_free(done[1].result)
  C.cql_result_free(done[2].result)
  assert.equal(live, tonumber(C.cql__mem_live()))
end)
