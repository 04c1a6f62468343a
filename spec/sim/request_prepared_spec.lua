-- Prepared statements on the simulated link: UNPREPARED, shapes that change, ids that don't match.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local request = require "spec.support.request"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, hex, u32, str = unit.C, unit.hex, unit.u32, unit.str
local INT, TEXT = 9, 13
local PREPARE, EXECUTE, BATCH = 9, 10, 13
local MARKER, COLUMN = { { "k", INT } }, { { "v", INT } }

local p
local function open(version, options)
  options = options or {}
  options.protocol_version = version
  p = peer.serving(options)
end
after_each(peer.free_all)

local function submit(tag, what) p:submit(tag, what) end
local function next_request(opcode)
  p:step()
  local list = p:requests()
  assert.equal(1, #list)
  assert.equal(opcode, list[1].opcode)
  return list[1]
end
local function answer(to, body, opcode) p:answer(to.stream, opcode or "RESULT", body) end
local function unprepared(id) return server.error(0x2500, "unknown", str(id)) end

-- The only thing that is done; its result is freed when the cdata is collected.
local function finished()
  p:step()
  local done = p:done()
  assert.equal(1, #done)
  if done[1].result then ffi.gc(done[1].result, C.cql_result_free) end
  return done[1]
end

local function prepare(id, columns, options, text, markers)
  submit(99, { prepare = text or "SELECT", options = options })
  local asked = next_request(PREPARE)
  answer(asked, server.prepared(asked.version, id, markers or MARKER, columns or COLUMN, "one"))
  local done = finished()
  assert.equal(0, done.status)
  return ffi.gc(C.cql_result_prepared(done.result), C.cql_prepared_unref)
end

local VALUE = { u32(7) }
local function shape(metadata)
  local out = {}
  for i = 0, metadata.column_count - 1 do
    out[#out + 1] = unit.slice(metadata.columns[i].name) .. ":" .. metadata.columns[i].type.kind
  end
  return table.concat(out, " ")
end
local function rows_shape(done) return shape(done.result.metadata) end

describe("a prepared statement", function()
  it("gives the values back with a page that others follow", function()
    for version = 3, 5 do
      open(version)
      local prepared = prepare "id"
      local function ask(value, options)
        submit(1, { execute = prepared, values = { value }, options = { page_size = 9 } })
        answer(next_request(EXECUTE), server.rows(COLUMN, { { u32(1) } }, options))
        return finished()
      end
      local long = ("x"):rep(9000)
      local page = ask(u32(7), { paging_state = "more" })
      local long_page = ask(long, { paging_state = "more" })
      local last = ask(u32(8))
      assert.equal(C.CQL_NULL, last.result.bound.length)
      assert.equal(1, page.result.bound_count)
      assert.equal(unit.bytes(u32(7)), unit.slice(page.result.bound))
      assert.equal(unit.bytes(long), unit.slice(long_page.result.bound))
      page, long_page, last, prepared = nil, nil, nil, nil -- luacheck: ignore
      collectgarbage()
      p:free()
    end
    p = nil
  end)

  it("says what the server said of it", function()
    open(5)
    submit(3, { prepare = "SELECT v FROM t WHERE k = ?" })
    local asked = next_request(PREPARE)
    answer(asked, server.prepared(5, "\1\2\3", MARKER, { { "v", INT }, { "w", TEXT } }))
    local done = finished()
    assert.same({ 3, 0, C.CQL_RESULT_PREPARED }, { done.tag, done.status, done.result.kind })
    local prepared = C.cql_result_prepared(done.result)
    done.result = nil
    collectgarbage() -- the statement doesn't need its result
    local slice = ffi.new "cql_slice_t"
    C.cql_prepared_id(prepared, slice)
    assert.equal("\1\2\3", unit.slice(slice))
    C.cql_prepared_text(prepared, slice)
    assert.equal("SELECT v FROM t WHERE k = ?", unit.slice(slice))
    local parameters = C.cql_prepared_parameters(prepared)
    assert.equal("k:9", shape(parameters))
    assert.same({ 1, 0 }, { parameters.key_count, parameters.key_indexes[0] })
    assert.equal("v:9 w:13", shape(C.cql_prepared_columns(prepared)))
    p:free() -- nor its session
    p = nil
    assert.equal("v:9 w:13", shape(C.cql_prepared_columns(prepared)))
    C.cql_prepared_unref(prepared)
  end)

  it("comes from a PREPARE alone", function()
    open(4)
    submit(1, { query = "Q" })
    answer(next_request(7), server.rows(COLUMN, {}))
    assert.equal(nil, C.cql_result_prepared(finished().result))
  end)
end)

it("a statement is its session's alone", function()
  open(4)
  local theirs, first = prepare "id", p
  open(4)
  local ours = prepare "id"
  assert.same({ nil, C.CQL_EINVAL }, { request.make(p.session, { execute = theirs }) })
  local handle = assert(request.make(p.session, { batch = 0, { execute = ours } }))
  assert.equal(C.CQL_EINVAL, C.cql_batch_add_prepared(handle, theirs, nil, 0, 0))
  C.cql_request_discard(handle)
  first:free()
end)

-- ---- UNPREPARED ----

for version = 3, 5 do
  describe("UNPREPARED on v" .. version, function()
    it("has the statement prepared on the same connection, and the request sent again", function()
      open(version)
      local prepared = prepare "id"
      submit(1, { execute = prepared, values = VALUE })
      local first = next_request(EXECUTE)
      answer(first, unprepared "id", "ERROR")
      local again = next_request(PREPARE)
      assert.equal(hex(request.prepare_body(version, "SELECT")), hex(again.body))
      answer(again, server.prepared(version, "id", MARKER, COLUMN, "one"))
      local second = next_request(EXECUTE)
      assert.equal(hex(first.body), hex(second.body))
      answer(second, server.rows(COLUMN, { { u32(5) } }))
      local done = finished()
      assert.same({ 1, 0, 2 }, { done.tag, done.status, p:metrics().completed })
      assert.equal(1, p:metrics().retries)
    end)

    it("is bounded: at the fourth the request ends with it", function()
      open(version)
      local prepared = prepare "id"
      submit(1, { execute = prepared, values = VALUE })
      for _ = 1, 3 do
        answer(next_request(EXECUTE), unprepared "id", "ERROR")
        answer(next_request(PREPARE), server.prepared(version, "id", MARKER, COLUMN, "one"))
      end
      answer(next_request(EXECUTE), unprepared "id", "ERROR")
      local done = finished()
      assert.same({ C.CQL_ESERVER, 0x2500 }, { done.status, done.code })
      p:step()
      assert.same({}, p:requests())
      assert.equal(0, p:metrics().in_flight)
    end)

    it("is bounded for each statement of a batch", function()
      open(version)
      local one, two = prepare "one", prepare "two"
      local items = { batch = 0, { execute = one, values = VALUE }, { query = "X" },
        { execute = two, values = VALUE }, { execute = one, values = VALUE } }
      local function forget(id, times)
        for _ = 1, times do
          answer(next_request(BATCH), unprepared(id), "ERROR")
          answer(next_request(PREPARE), server.prepared(version, id, MARKER, COLUMN, "one"))
        end
      end
      submit(1, items)
      forget("one", 3)
      forget("two", 3)
      answer(next_request(BATCH), server.VOID)
      assert.equal(0, finished().status)

      submit(2, items)
      forget("one", 3)
      answer(next_request(BATCH), unprepared "one", "ERROR")
      local done = finished()
      assert.same({ 2, C.CQL_ESERVER, 0x2500 }, { done.tag, done.status, done.code })
    end)

    it("ends the request if it names no statement of it", function()
      open(version)
      local prepared = prepare "id"
      local batch = { batch = 0, { execute = prepared, values = VALUE } }
      for _, what in ipairs { { execute = prepared, values = VALUE }, batch, { query = "Q" },
        { batch = 1, { query = "Q" } }, { prepare = "P" } } do
        submit(1, what)
        p:step()
        answer(p:requests()[1], unprepared "another", "ERROR")
        local done = finished()
        assert.same({ C.CQL_ESERVER, 0x2500 }, { done.status, done.code })
      end
    end)

    it("that can't be decoded ends the request as any error does", function()
      open(version)
      local prepared = prepare "id"
      submit(1, { execute = prepared, values = VALUE })
      answer(next_request(EXECUTE), server.error(0x2500, "unknown", "\0"), "ERROR")
      local done = finished()
      assert.same({ C.CQL_ESERVER, 0x2500 }, { done.status, done.code })
    end)

    it("with another id than before is EPREPARED", function()
      open(version)
      local prepared = prepare "id"
      submit(1, { execute = prepared, values = VALUE })
      answer(next_request(EXECUTE), unprepared "id", "ERROR")
      answer(next_request(PREPARE), server.prepared(version, "id2", MARKER, COLUMN, "one"))
      assert.equal(C.CQL_EPREPARED, finished().status)
      assert.equal("v:9", shape(C.cql_prepared_columns(prepared)))
    end)

    -- Asked with `id`, and told of another by the answer to the PREPARE.
    local function renamed(prepared, values, markers, columns)
      submit(1, { execute = prepared, values = values })
      answer(next_request(EXECUTE), unprepared "id", "ERROR")
      answer(next_request(PREPARE), server.prepared(version, "ID", markers, columns, "one"))
    end

    it("with another id, but of the same columns of the same table, goes on with that", function()
      open(version)
      local by_markers, by_columns = prepare "id", prepare("id", COLUMN, nil, "SELECT", {})
      for _, prepared in ipairs { by_markers, by_columns } do
        local values = prepared == by_markers and VALUE or nil
        submit(2, { execute = prepared, values = values })
        local old = next_request(EXECUTE) -- under way with the former id
        renamed(prepared, values, values and MARKER or {}, COLUMN)
        local again = next_request(EXECUTE)
        assert.equal(str "ID", again.body:sub(1, 4))
        answer(again, server.VOID)
        assert.equal(0, finished().status)
        answer(old, unprepared "id", "ERROR")
        answer(next_request(PREPARE),
          server.prepared(version, "ID", values and MARKER or {}, COLUMN, "one"))
        again = next_request(EXECUTE)
        assert.equal(str "ID", again.body:sub(1, 4))
        answer(again, server.VOID)
        local done = finished()
        assert.same({ 2, 0 }, { done.tag, done.status })
      end
    end)

    it("of a batch with another id sends it with that", function()
      open(version)
      local one, two = prepare "one", prepare "two"
      local unset = version > 3 and request.UNSET or request.NULL
      local items = { batch = 0, { execute = two, values = VALUE }, { query = "one" },
        { execute = one, values = VALUE }, { execute = one, values = { unset } } }
      submit(1, items)
      local first = next_request(BATCH)
      assert.truthy(first.body:find(str "one", 1, true))
      answer(first, unprepared "one", "ERROR")
      answer(next_request(PREPARE), server.prepared(version, "ONE", MARKER, COLUMN, "one"))
      local again = next_request(BATCH)
      local wanted, count = first.body:gsub("\1%z\3one", "\1\0\3ONE") -- not the text
      assert.equal(2, count)
      assert.equal(hex(wanted), hex(again.body))
      answer(again, server.VOID)
      assert.equal(0, finished().status)
    end)

    it("with another id of what may be another statement is EPREPARED", function()
      for what, case in pairs {
        ["other markers"] = { nil, MARKER, VALUE, { { "w", INT } }, COLUMN },
        ["other columns"] = { nil, {}, nil, {}, { { "w", INT } } },
        ["neither"] = { nil, {}, nil, {}, {} },
        ["a batch"] = { " \nbegin batch", MARKER, VALUE, MARKER, COLUMN },
        ["perhaps a batch"] = { "-- x\nBEGIN BATCH", MARKER, VALUE, MARKER, COLUMN },
      } do
        open(version)
        local prepared = prepare("id", what == "neither" and {} or COLUMN, nil, case[1], case[2])
        renamed(prepared, case[3], case[4], case[5])
        assert.same({ what, C.CQL_EPREPARED }, { what, finished().status })
        submit(1, { execute = prepared, values = case[3] })
        assert.equal(str "id", next_request(EXECUTE).body:sub(1, 4))
        p:free()
        p = nil
      end
    end)

    it("with a PREPARE that fails gives the server's reason", function()
      open(version)
      local prepared = prepare "id"
      submit(1, { execute = prepared, values = VALUE })
      answer(next_request(EXECUTE), unprepared "id", "ERROR")
      answer(next_request(PREPARE), server.error(0x2200, "no such table"), "ERROR")
      local done = finished()
      assert.same({ C.CQL_ESERVER, 0x2200 }, { done.status, done.code })
      assert.equal("no such table", unit.slice(done.result.message))
    end)

    it("with a PREPARE answered by something else fails the request alone", function()
      open(version)
      local prepared = prepare "id"
      for body, status in pairs { [server.VOID] = C.CQL_EPREPARED, [""] = C.CQL_EMALFORMED,
        [server.rows(COLUMN, {})] = C.CQL_EPREPARED, [u32(4) .. "\0"] = C.CQL_EMALFORMED,
        [u32(99)] = C.CQL_EMALFORMED } do
        submit(1, { execute = prepared, values = VALUE })
        answer(next_request(EXECUTE), unprepared "id", "ERROR")
        answer(next_request(PREPARE), body)
        assert.equal(status, finished().status)
      end
      assert.equal(1, p:metrics().connections)
      assert.equal("v:9", shape(C.cql_prepared_columns(prepared)))
    end)

    it("keeps to the request's deadline, and to cancelling", function()
      open(version, { request_timeout_ms = 1000 })
      local prepared = prepare "id"
      for _, stop in ipairs { function() p:advance(1001) end,
        function() assert.equal(1, C.cql_cancel(p.session, 1)) end } do
        submit(1, { execute = prepared, values = VALUE })
        answer(next_request(EXECUTE), unprepared "id", "ERROR")
        local again = next_request(PREPARE)
        stop()
        local done = p:done()
        assert.equal(1, #done)
        assert(done[1].status == C.CQL_ETIMEOUT or done[1].status == C.CQL_ECANCELLED)
        assert.same({ 0, 1 }, { p:metrics().in_flight, p:metrics().orphans })
        answer(again, server.prepared(version, "id", MARKER, COLUMN, "one"))
        p:step()
        assert.same({}, p:requests())
        assert.same({}, p:done())
        assert.equal(0, p:metrics().orphans)
      end
    end)

    it("on a connection that goes meanwhile sends the request elsewhere: it hasn't run", function()
      open(version)
      local prepared = prepare "id"
      submit(1, { execute = prepared, values = VALUE })
      answer(next_request(EXECUTE), unprepared "id", "ERROR")
      next_request(PREPARE)
      C.cql__sim_reset(p.sim, p.socket)
      p:step()
      assert.same({}, p:done())
      p:advance(200)
      p.handshake[EXECUTE] = function(_, asked) answer(asked, server.rows(COLUMN, {})) end
      p:serve()
      assert.equal(0, finished().status)
    end)
  end)
end

-- ---- several that are UNPREPARED at once ----

describe("a statement that a node forgot", function()
  local COUNT, prepared = 5, nil

  local function list_of(opcode)
    p:step()
    local list = {}
    for _, socket in ipairs(p:open_sockets()) do
      for _, what in ipairs(p:requests(socket)) do
        assert.equal(opcode, what.opcode)
        what.socket = socket
        list[#list + 1] = what
      end
    end
    return list
  end
  local function reply(to, body, opcode)
    p:answer(to.stream, opcode or "RESULT", body, nil, to.socket)
  end

  -- So many requests, all answered UNPREPARED; gives the one PREPARE that follows.
  local function forgotten(options)
    open(4, options)
    prepared = prepare "id"
    for tag = 1, COUNT do submit(tag, { execute = prepared, values = VALUE }) end
    local list = list_of(EXECUTE)
    assert.equal(COUNT, #list)
    for _, what in ipairs(list) do reply(what, unprepared "id", "ERROR") end
    local again = list_of(PREPARE)
    assert.equal(1, #again)
    return again[1]
  end
  after_each(function() prepared = nil end)

  local function again(to) reply(to, server.prepared(4, "id", MARKER, COLUMN, "one")) end

  local function all_succeed(count)
    local list = list_of(EXECUTE)
    assert.equal(count, #list)
    for _, what in ipairs(list) do reply(what, server.VOID) end
    p:step()
    local tags = {}
    for _, done in ipairs(p:done()) do
      assert.equal(0, done.status)
      assert.is_nil(tags[done.tag])
      tags[done.tag] = true
    end
    local m = p:metrics()
    assert.same({ 0, 0, 0 }, { m.taken, m.in_flight, m.queued })
    return tags
  end

  it("is prepared once for all who wait", function()
    again(forgotten())
    all_succeed(COUNT)
    local told = 0
    for _, event in ipairs(p.events) do
      if event.code == C.CQL_EVENT_REPREPARED then told = told + 1 end
    end
    assert.equal(1, told)
  end)

  it("is asked for again by the next when the first has no more time, or is cancelled", function()
    local first = forgotten()
    assert.equal(1, C.cql_cancel(p.session, 1))
    assert.equal(C.CQL_ECANCELLED, p:done()[1].status)
    local second = list_of(PREPARE)
    assert.equal(1, #second)
    assert.equal(1, C.cql_cancel(p.session, 3)) -- one who only waits
    assert.equal(C.CQL_ECANCELLED, p:done()[1].status)
    again(first) -- nobody's any more
    assert.same({}, list_of(PREPARE))
    again(second[1])
    assert.same({ [2] = true, [4] = true, [5] = true }, all_succeed(3))
  end)

  it("keeps to the deadlines of all who wait", function()
    forgotten { request_timeout_ms = 1000 }
    p:advance(1001)
    local done = p:done()
    assert.equal(COUNT, #done)
    for _, one in ipairs(done) do assert.equal(C.CQL_ETIMEOUT, one.status) end
    assert.same({ 0, 0 }, { p:metrics().in_flight, p:metrics().queued })
  end)

  it("that can't be prepared any more fails all, each with the server's reason", function()
    reply(forgotten(), server.error(0x2200, "no such table"), "ERROR")
    p:step()
    local done = p:done()
    assert.equal(COUNT, #done)
    for _, one in ipairs(done) do
      assert.same({ C.CQL_ESERVER, 0x2200 }, { one.status, one.code })
      assert.equal("no such table", unit.slice(one.result.message))
      C.cql_result_free(one.result)
    end
  end)

  it("and that it can't prepare now is left for another node", function()
    p = assert(peer.new { protocol_version = 4, contact_points = "127.0.0.1,127.0.0.2" })
    p:serve(0)
    p:serve(1)
    p:done()
    submit(99, { prepare = "SELECT" })
    reply(list_of(PREPARE)[1], server.prepared(4, "id", MARKER, COLUMN, "one"))
    prepared = ffi.gc(C.cql_result_prepared(finished().result), C.cql_prepared_unref)
    for tag = 1, COUNT do submit(tag, { execute = prepared, values = VALUE }) end
    local list = list_of(EXECUTE)
    local socket = list[1].socket -- a turn's requests go out together
    for _, what in ipairs(list) do
      assert.equal(socket, what.socket)
      reply(what, unprepared "id", "ERROR")
    end
    reply(list_of(PREPARE)[1], server.error(0x1001, "overloaded"), "ERROR")
    list = list_of(EXECUTE)
    assert.equal(COUNT, #list)
    for _, what in ipairs(list) do
      assert.is_true(socket ~= what.socket)
      reply(what, unprepared "id", "ERROR")
    end
    reply(list_of(PREPARE)[1], server.error(0x1001, "overloaded"), "ERROR") -- there is no third
    p:step()
    local done = p:done()
    assert.equal(COUNT, #done)
    for _, one in ipairs(done) do
      assert.same({ C.CQL_ESERVER, 0x1001 }, { one.status, one.code })
      C.cql_result_free(one.result)
    end
  end)

  it("goes elsewhere with the connection", function()
    forgotten()
    C.cql__sim_reset(p.sim, p.socket)
    p:step()
    assert.same({}, p:done())
    assert.equal(COUNT, p:metrics().queued)
    p:advance(200)
    p:accept()
    p.handshake[EXECUTE] = function(_, asked) answer(asked, server.VOID) end
    p:finish()
    local done = p:done()
    assert.equal(COUNT, #done)
    for _, one in ipairs(done) do assert.equal(0, one.status) end
  end)

  it("leaves nothing when its session is closed or freed", function()
    for _, drain in ipairs { 0, 1000 } do
      forgotten()
      C.cql__session_close(p.session, drain)
      p:step()
      C.cql__sim_reset(p.sim, p.socket)
      p:step()
      assert.equal(COUNT, #p:done())
      assert.equal(0, p:metrics().taken)
      prepared = nil
      p:free()
    end
    forgotten()
    p:free()
    p = nil
  end)
end)

it("a statement is prepared in the session's keyspace, and so again after USE", function()
  open(5, { keyspace = "one" })
  submit(99, { prepare = "SELECT", options = { payload = "\0\0" } })
  local asked = next_request(PREPARE)
  assert.equal(hex("\0\0" .. request.prepare_body(5, "SELECT", "one")), hex(asked.body))
  assert.equal(0, C.cql__session_use(p.session, "two", 3, 1))
  answer(next_request(7), server.keyspace "two")
  p:step()
  assert.same({}, p:done()) -- the connections follow
  answer(next_request(7), server.keyspace "two")
  assert.equal(0, finished().status)
  answer(asked, server.prepared(5, "id", MARKER, COLUMN, "one"))
  local prepared = ffi.gc(C.cql_result_prepared(finished().result), C.cql_prepared_unref)
  submit(1, { execute = prepared, values = VALUE })
  answer(next_request(EXECUTE), unprepared "id", "ERROR")
  assert.equal(hex(request.prepare_body(5, "SELECT", "one")), hex(next_request(PREPARE).body))
end)

it("a statement is prepared again in the keyspace that was named for it", function()
  open(5)
  local prepared = prepare("id", COLUMN, { keyspace = "other" })
  submit(1, { execute = prepared, values = VALUE })
  answer(next_request(EXECUTE), unprepared "id", "ERROR")
  assert.equal(hex(request.prepare_body(5, "SELECT", "other")), hex(next_request(PREPARE).body))
end)

-- ---- shapes that change ----

local NEW = { { "v", TEXT } }

local function metadata_id_of(execute)
  return execute.body:sub(7, 6 + execute.body:byte(6))
end

describe("a shape that changes", function()
  it("comes with its id on v5, and both are taken over together", function()
    open(5)
    local prepared = prepare "id"
    submit(1, { execute = prepared, values = VALUE })
    local first = next_request(EXECUTE)
    assert.equal("one", metadata_id_of(first))
    answer(first, server.rows(NEW, { { "text" } }, { metadata_id = "two" }))
    assert.equal("v:13", rows_shape(finished()))
    assert.equal("v:13", shape(C.cql_prepared_columns(prepared)))
    submit(2, { execute = prepared, values = VALUE })
    local second = next_request(EXECUTE)
    assert.equal("two", metadata_id_of(second))
    answer(second, server.rows(NEW, { { "text" } }, { no_metadata = true }))
    local done = finished()
    assert.equal("v:13", rows_shape(done))
    local cell = ffi.new "cql_cell_t"
    assert.equal(1, C.cql_result_cells(done.result, 1, cell))
    assert.equal("text", ffi.string(cell.as.bytes, cell.length))
  end)

  -- Two are under way with the old id. The server answers one before the table changes and the
  -- other after, and the answers come in the other order: the one without metadata is of the old
  -- shape all the same.
  it("doesn't touch answers to requests that were sent with the old id", function()
    open(5)
    local prepared = prepare "id"
    submit(1, { execute = prepared, values = VALUE })
    submit(2, { execute = prepared, values = VALUE })
    p:step()
    local list = p:requests()
    answer(list[2], server.rows(NEW, { { "text" } }, { metadata_id = "two" }))
    answer(list[1], server.rows(COLUMN, { { u32(7) } }, { no_metadata = true }))
    p:step()
    local done = p:done()
    assert.same({ 2, 1 }, { done[1].tag, done[2].tag })
    assert.equal("v:13", rows_shape(done[1]))
    assert.equal("v:9", rows_shape(done[2]))
    for _, entry in ipairs(done) do C.cql_result_free(entry.result) end
  end)

  it("comes with UNPREPARED too: the same id, another metadata id", function()
    open(5)
    local prepared = prepare "id"
    submit(1, { execute = prepared, values = VALUE })
    answer(next_request(EXECUTE), unprepared "id", "ERROR")
    answer(next_request(PREPARE), server.prepared(5, "id", MARKER, NEW, "two"))
    local again = next_request(EXECUTE)
    assert.equal("two", metadata_id_of(again))
    answer(again, server.rows(NEW, { { "text" } }, { no_metadata = true }))
    assert.equal("v:13", rows_shape(finished()))
    assert.equal("v:13", shape(C.cql_prepared_columns(prepared)))
  end)

  it("may come beside a paging state [spec v5 4.2.5.2: the id stands behind it]", function()
    open(5)
    local prepared = prepare "id"
    submit(1, { execute = prepared, values = VALUE })
    answer(next_request(EXECUTE),
      server.rows(NEW, { { "text" } }, { metadata_id = "two", paging_state = "state" }))
    local done = finished()
    assert.equal("state", unit.slice(done.result.paging_state))
    assert.equal("v:13", rows_shape(done))
    submit(2, { execute = prepared, values = VALUE })
    assert.equal("two", metadata_id_of(next_request(EXECUTE)))
  end)

  it("can't be missed on v4, where metadata is asked for unless the user says otherwise", function()
    open(4)
    local prepared = prepare "id"
    submit(1, { execute = prepared, values = VALUE })
    answer(next_request(EXECUTE), server.rows(NEW, { { "text" } }))
    assert.equal("v:13", rows_shape(finished()))
    submit(2, { execute = prepared, values = VALUE, options = { skip_metadata = true } })
    answer(next_request(EXECUTE), server.rows(COLUMN, { { u32(7) } }, { no_metadata = true }))
    assert.equal("v:9", rows_shape(finished()))
  end)

  it("in rows without metadata must have as many columns as are known", function()
    for version = 3, 5 do
      open(version)
      local prepared, void = prepare "id", prepare("id2", {})
      submit(1, { execute = prepared, values = VALUE })
      answer(next_request(EXECUTE), server.rows({ 1, 2 }, {}, { no_metadata = true }))
      assert.equal(C.CQL_EMALFORMED, finished().status)
      submit(1, { execute = void, values = VALUE })
      answer(next_request(EXECUTE), server.rows(COLUMN, {}, { no_metadata = true }))
      assert.equal(C.CQL_EMALFORMED, finished().status)
      submit(1, { query = "Q" })
      answer(next_request(7), server.rows(COLUMN, {}, { no_metadata = true }))
      assert.equal(C.CQL_EMALFORMED, finished().status)
      p:free()
      p = nil
    end
  end)

  it("has rows with metadata where none was known, as conditional writes have", function()
    open(5)
    local prepared = prepare("id", {})
    submit(1, { execute = prepared, values = VALUE })
    answer(next_request(EXECUTE), server.rows({ { "[applied]", 4 } }, { { "\1" } },
      { metadata_id = "two" }))
    assert.equal("[applied]:4", rows_shape(finished()))
    submit(1, { execute = prepared, values = VALUE })
    local again = next_request(EXECUTE)
    assert.equal("two", metadata_id_of(again))
    assert.equal(unit.u16(C.CQL_LOCAL_QUORUM) .. u32(0x37), again.body:sub(10, 15)) -- skips them
  end)
end)

it("equal shapes have one id, and others have another", function()
  open(4)
  local ids = {}
  for i, columns in ipairs { COLUMN, NEW, COLUMN, NEW, { { "w", INT } } } do
    submit(1, { query = "Q" })
    answer(next_request(7), server.rows(columns, {}))
    ids[i] = finished().result.metadata.id
  end
  assert.equal(ids[1], ids[3])
  assert.equal(ids[2], ids[4])
  assert(ids[1] ~= ids[2] and ids[1] ~= ids[5] and ids[2] ~= ids[5])
end)

it("shapes that take turns keep their ids", function()
  open(4)
  local first = {}
  for round = 1, 2 do
    for i = 1, 60 do
      submit(1, { query = "Q" })
      answer(next_request(7), server.rows({ { "column" .. i, INT } }, {}))
      local id = finished().result.metadata.id
      if round == 1 then first[i] = id end
      assert.equal(first[i], id)
    end
  end
end)
