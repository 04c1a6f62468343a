-- What requests look like on the wire: every kind, version and combination of fields, held against
-- an encoder of the specs' own, which is itself held against golden bytes.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local request = require "spec.support.request"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, hex, unhex, u32, str = unit.C, unit.hex, unit.unhex, unit.u32, unit.str
local NULL, UNSET = request.NULL, request.UNSET

local QUERY, PREPARE, BATCH = 7, 9, 13
local INT, TEXT = 9, 13

-- ---- the encoder itself ----

-- Bytes computed from the specification's rules, and seen on the wire of Cassandra 5.0.9.
describe("the encoder of these specs", function()
  it("knows QUERY [spec v4, v5 4.1.4]", function()
    local one = { consistency = C.CQL_ONE }
    assert.equal("00000006555345206b73" .. "0001" .. "00",
      hex(request.query_body(4, "USE ks", one)))
    assert.equal("00000006555345206b73" .. "0001" .. "00000000",
      hex(request.query_body(5, "USE ks", one)))
  end)

  it("knows EXECUTE [spec v4, v5 4.1.6]", function()
    local p = { consistency = C.CQL_LOCAL_QUORUM, values = { u32(7), NULL, UNSET },
      skip_metadata = true, page_size = 5000, timestamp = 1700000000000000LL }
    local rest = "0003 0000000400000007 ffffffff fffffffe 00001388 00060a24181e4000"
    assert.equal(unhex("0002abcd 0006 27" .. rest),
      request.execute_body(4, unhex "abcd", nil, p))
    assert.equal(unhex("0002abcd 00020102 0006 00000027" .. rest),
      request.execute_body(5, unhex "abcd", unhex "0102", p))
  end)

  it("knows BATCH [spec v4, v5 4.1.7]", function()
    local items = { { query = "X" }, { id = unhex "abcd", values = { u32(7) } } }
    local one = { consistency = C.CQL_ONE }
    local start = "01 0002 00 0000000158 0000 01 0002abcd 0001 0000000400000007 0001"
    assert.equal(unhex(start .. "00"), request.batch_body(4, C.CQL_UNLOGGED, items, one))
    assert.equal(unhex(start .. "00000000"), request.batch_body(5, C.CQL_UNLOGGED, items, one))
  end)
end)

-- ---- requests ----

local p -- the peer of the running test

local function open(version, options)
  options = options or {}
  options.protocol_version = version
  p = peer.serving(options)
  return p
end

-- The one request that submitting `what` sends.
local function sent(what)
  p:submit(1, what)
  p:step()
  local list = p:requests()
  assert.equal(1, #list)
  return list[1]
end

local function body_of(what) return sent(what).body end

-- A statement prepared on this session.
local function prepare(version, text, id, markers, columns, metadata_id)
  p:submit(99, { prepare = text })
  p:step()
  local r = p:requests()[1]
  p:answer(r.stream, "RESULT", server.prepared(version, id, markers, columns,
    metadata_id))
  p:step()
  local done = p:done()[1]
  assert.equal(0, done.status)
  local prepared = ffi.gc(C.cql_result_prepared(done.result), C.cql_prepared_unref)
  C.cql_result_free(done.result)
  return prepared
end

-- What goes into every request that says nothing: the session's own settings, and its clock.
local function defaults(extra)
  local d = { consistency = C.CQL_LOCAL_QUORUM, page_size = 5000, serial = C.CQL_LOCAL_SERIAL }
  for name, value in pairs(extra or {}) do d[name] = value or nil end
  return d
end

-- Calls fn(flags) with every choice of these names: { name = true or nil }.
local function each_combination(names, fn)
  for n = 0, 2 ^ #names - 1 do
    local chosen = {}
    for i, name in ipairs(names) do
      chosen[name] = math.floor(n / 2 ^ (i - 1)) % 2 == 1 or nil
    end
    fn(chosen)
  end
end

-- Options for the public calls, and parameters for the encoder, by a choice of names.
local function both(chosen)
  local options, wanted = { server_timestamp = true }, defaults()
  if chosen.values then wanted.values = { u32(7), NULL, "" } end
  if chosen.unpaged then options.page_size, wanted.page_size = -1, nil end
  if chosen.page_size then options.page_size, wanted.page_size = 77, 77 end
  if chosen.paging_state then options.paging_state, wanted.paging_state = "state", "state" end
  if chosen.serial then
    options.serial_consistency, wanted.serial = C.CQL_SERIAL, C.CQL_SERIAL
  end
  if chosen.consistency then
    options.consistency, wanted.consistency = C.CQL_ANY, C.CQL_ANY
  end
  if chosen.timestamp then
    options.server_timestamp = nil
    options.timestamp, wanted.timestamp = 1700000000000001LL, 1700000000000001LL
  end
  if chosen.keyspace then options.keyspace, wanted.keyspace = "other", "other" end
  if chosen.now then options.now_in_seconds, wanted.now = -3, -3 end
  return options, wanted
end

local COMMON = { "values", "page_size", "paging_state", "serial", "consistency", "timestamp" }
local FIELDS = { [3] = COMMON, [4] = COMMON, [5] = { "keyspace", "now", unpack(COMMON) } }

for version = 3, 5 do
  describe("on v" .. version, function()
    before_each(function() open(version) end)
    after_each(function()
      p:free()
      p = nil
    end)

    it("a header says version, flags, stream, opcode", function()
      local r = sent { query = "SELECT 1" }
      assert.same({ version, 0, 1, QUERY }, { r.version, r.flags, r.stream, r.opcode })
      assert.equal(2, sent({ query = "SELECT 2", options = { tracing = true } }).flags)
      assert.equal(PREPARE, sent({ prepare = "SELECT 2" }).opcode)
      local batch = sent { batch = C.CQL_LOGGED, { query = "X" }, options = { tracing = true } }
      assert.same({ 2, 4, BATCH }, { batch.flags, batch.stream, batch.opcode })
    end)

    it("QUERY has every combination of its fields", function()
      each_combination(FIELDS[version], function(chosen)
        local options, wanted = both(chosen)
        local text = "SELECT * FROM t"
        local got = body_of { query = text, values = wanted.values, options = options }
        assert.equal(hex(request.query_body(version, text, wanted)), hex(got))
      end)
    end)

    it("QUERY has names for its values", function()
      local wanted = defaults { values = { u32(7), NULL, "x" },
        names = { "a", "", ("n"):rep(300) } }
      assert.equal(hex(request.query_body(version, "Q", wanted)), hex(body_of { query = "Q",
        names = wanted.names, values = wanted.values, options = { server_timestamp = true } }))
    end)

    it("values may come encoded, and none is as if nothing was bound", function()
      local plain = { server_timestamp = true }
      local wanted = hex(request.query_body(version, "Q", defaults { values = { "ab", NULL } }))
      assert.equal(wanted, hex(body_of { query = "Q", encoded = { "ab", NULL }, options = plain }))
      wanted = hex(request.query_body(version, "Q", defaults()))
      assert.equal(wanted, hex(body_of { query = "Q", encoded = {}, options = plain }))
      assert.equal(wanted, hex(body_of { query = "Q", values = {}, options = plain }))
      assert.equal(wanted, hex(body_of { query = "Q", names = {}, values = {}, options = plain }))
    end)

    it("no page size is sent where none is wanted", function()
      local _, wanted = both { unpaged = true }
      assert.equal(hex(request.query_body(version, "Q", wanted)),
        hex(body_of { query = "Q", options = (both { unpaged = true }) }))
    end)

    it("PREPARE has its text", function()
      assert.equal(hex(request.prepare_body(version, "SELECT ?")),
        hex(body_of { prepare = "SELECT ?" }))
    end)

    it("EXECUTE has every combination of its fields", function()
      local markers = { { "a", INT }, { "b", INT }, { "c", TEXT } }
      local rows = prepare(version, "SELECT", "\171\205", markers, { { "x", INT } }, "\1\2")
      local void = prepare(version, "INSERT", "\171\206", markers, {}, "\3")
      local names = { "skip", unpack(COMMON) }
      if version == 5 then names[#names + 1] = "now" end
      each_combination(names, function(chosen)
        local options, wanted = both(chosen)
        options.skip_metadata = chosen.skip
        wanted.values = { u32(7), NULL, "" }
        wanted.skip_metadata = version == 5 or chosen.skip
        local got = body_of { execute = rows, values = wanted.values, options = options }
        assert.equal(hex(request.execute_body(version, "\171\205", "\1\2", wanted)), hex(got))
        wanted.skip_metadata = nil -- there are no columns to know
        got = body_of { execute = void, encoded = wanted.values, options = options }
        assert.equal(hex(request.execute_body(version, "\171\206", "\3", wanted)), hex(got))
      end)
    end)

    it("EXECUTE has no values where the statement has no markers", function()
      local prepared = prepare(version, "SELECT", "id", {}, {})
      assert.equal(hex(request.execute_body(version, "id", "mid", defaults())),
        hex(body_of { execute = prepared, options = { server_timestamp = true } }))
    end)

    it("EXECUTE fills markers without a value: unset, on v3 null", function()
      local prepared = prepare(version, "INSERT", "id", { { "a", INT }, { "b", INT } }, {})
      local none = version == 3 and NULL or UNSET
      local some = { { values = { "aaaa" } }, { encoded = { "aaaa" } }, {}, { values = {} } }
      for _, what in ipairs(some) do
        local first = (what.values or what.encoded or {})[1] or none
        local wanted = defaults { values = { first, none } }
        what.execute, what.options = prepared, { server_timestamp = true }
        assert.equal(hex(request.execute_body(version, "id", "mid", wanted)), hex(body_of(what)))
      end
    end)

    it("BATCH has every type, kind of item and combination of fields", function()
      local prepared = prepare(version, "INSERT", "id", { { "a", INT }, { "b", INT } }, {})
      local items = { { query = "X" }, { execute = prepared, id = "id", values = { u32(7), NULL } },
        { query = "Y", values = { "v" } } }
      local names = { "serial", "consistency", "timestamp" }
      if version == 5 then names[4], names[5] = "keyspace", "now" end
      for kind = 0, 2 do
        each_combination(names, function(chosen)
          local options, wanted = both(chosen)
          wanted.page_size = nil
          local got = body_of { batch = kind, items[1], items[2], items[3], options = options }
          assert.equal(hex(request.batch_body(version, kind, items, wanted)), hex(got))
        end)
      end
    end)

    it("BATCH leaves out page size and paging state, and fills markers", function()
      local prepared = prepare(version, "INSERT", "id", { { "a", INT } }, {})
      local none = version == 3 and NULL or UNSET
      local wanted = { consistency = C.CQL_LOCAL_QUORUM, serial = C.CQL_LOCAL_SERIAL }
      assert.equal(
        hex(request.batch_body(version, 0, { { id = "id", values = { none } } }, wanted)),
        hex(body_of { batch = 0, { execute = prepared },
          options = { page_size = 10, paging_state = "s", server_timestamp = true } }))
    end)

    it("the session's settings go into each request", function()
      p:free()
      open(version, { consistency = "one", serial_consistency = "serial", page_size = -1,
        server_timestamps = "true" })
      assert.equal(hex(request.query_body(version, "Q", { consistency = C.CQL_ONE,
        serial = C.CQL_SERIAL })), hex(body_of { query = "Q" }))
    end)
  end)
end

-- ---- custom payload ----

for version = 4, 5 do
  it("a payload stands before every kind of request on v" .. version, function()
    open(version)
    local prepared = prepare(version, "INSERT", "id", {}, {})
    local payload = "\0\2" .. str "a" .. u32(1) .. "x" .. str "b" .. u32(-1)
    for _, what in ipairs { { query = "Q" }, { prepare = "P" }, { execute = prepared },
      { batch = 0, { query = "X" } } } do
      what.options = { server_timestamp = true }
      local plain = sent(what)
      what.options.payload = payload
      local with = sent(what)
      assert.same({ 0, 4 }, { plain.flags, with.flags })
      assert.equal(plain.opcode, with.opcode)
      assert.equal(hex(payload .. plain.body), hex(with.body))
      -- beside the other copies that options keep
      what.options.keyspace = version == 5 and not what.execute and "ks" or nil
      what.options.paging_state = "st"
      plain = sent { query = what.query, prepare = what.prepare, execute = what.execute,
        batch = what.batch, what[1], options = { server_timestamp = true, paging_state = "st",
          keyspace = what.options.keyspace } }
      assert.equal(hex(payload .. plain.body), hex(sent(what).body))
    end
  end)
end

it("PREPARE has a keyspace on v5", function()
  open(5)
  assert.equal(hex(request.prepare_body(5, "SELECT ?", "other")),
    hex(body_of { prepare = "SELECT ?", options = { keyspace = "other" } }))
  p:free()
end)

-- Small ones are copied together, large ones are sent from where they lie, the largest in several
-- segments: wherever the text, the values or the items are long.
for version = 3, 5 do
  for _, compression in ipairs { "none", "lz4" } do
    it(("sizes of all kinds arrive whole on v%d, compression %s"):format(version, compression),
      function()
        open(version, { compression = compression })
        local random, wanted = unit.random(11), { consistency = C.CQL_LOCAL_QUORUM,
          serial = C.CQL_LOCAL_SERIAL }
        local options = { page_size = -1, server_timestamp = true }
        local function text(size)
          local piece = ("%08x"):format(random(0x7fffffff)):rep(8)
          return piece:rep(math.ceil(size / 64)):sub(1, size)
        end
        for _, size in ipairs { 1, 500, 8191, 8192, 70000, 131000, 131071, 262000, 1000000 } do
          local long = text(size)
          wanted.values = { text(10) }
          assert(request.query_body(version, long, wanted) ==
            body_of { query = long, values = wanted.values, options = options })
          wanted.values = { long, text(size) }
          assert(request.query_body(version, "Q", wanted) ==
            body_of { query = "Q", values = wanted.values, options = options })
          assert(request.query_body(version, long, wanted) ==
            body_of { query = long, values = wanted.values, options = options })
          wanted.values = nil
          local item = { query = long, values = { long } }
          assert(request.batch_body(version, 0, { item, item }, wanted) ==
            body_of { batch = 0, item, item, options = options })
          assert(request.prepare_body(version, long) == body_of { prepare = long })
        end
        p:free()
      end)
  end
end

-- ---- what is refused ----

local function completes_with(status, what)
  p:submit(5, what)
  p:step()
  assert.same({}, p:requests())
  local done = p:done()
  assert.same({ 1, status }, { #done, done[1] and done[1].status })
end

after_each(peer.free_all)

describe("what a version can't express", function()
  after_each(function() p:free() end)

  it("unset values and payload on v3", function()
    open(3)
    local prepared = prepare(3, "INSERT", "id", { { "a", INT } }, {})
    completes_with(C.CQL_EUNSUPPORTED, { query = "Q", values = { UNSET } })
    completes_with(C.CQL_EUNSUPPORTED, { query = "Q", encoded = { UNSET } })
    completes_with(C.CQL_EUNSUPPORTED, { query = "Q", names = { "a" }, values = { UNSET } })
    completes_with(C.CQL_EUNSUPPORTED, { execute = prepared, values = { UNSET } })
    completes_with(C.CQL_EUNSUPPORTED, { batch = 0, { query = "Q", values = { UNSET } } })
    for _, what in ipairs { { query = "Q" }, { prepare = "Q" }, { execute = prepared },
      { batch = 0, { query = "Q" } } } do
      what.options = { payload = "\0\0" }
      completes_with(C.CQL_EUNSUPPORTED, what)
    end
  end)

  for version = 3, 4 do
    it("a keyspace and now_in_seconds on v" .. version, function()
      open(version)
      local prepared = prepare(version, "INSERT", "id", {}, {})
      local kinds = { { query = "Q" }, { prepare = "Q" }, { batch = 0, { query = "Q" } } }
      for _, what in ipairs(kinds) do
        what.options = { keyspace = "ks" }
        completes_with(C.CQL_EUNSUPPORTED, what)
      end
      for _, what in ipairs { { query = "Q" }, { execute = prepared },
        { batch = 0, { query = "Q" } } } do
        what.options = { now_in_seconds = 0 }
        completes_with(C.CQL_EUNSUPPORTED, what)
      end
    end)
  end
end)

describe("what is refused at once", function()
  local prepared, out
  before_each(function()
    open(5)
    prepared = prepare(5, "INSERT", "id", { { "a", INT } }, {})
    out = ffi.new "cql_request_t *[1]"
    assert.equal(0, C.cql_request_take(p.session, out))
  end)
  after_each(function()
    C.cql_request_discard(out[0])
    assert.equal(0, p:metrics().taken)
    prepared = nil
  end)

  local function values(count)
    local list = ffi.new("cql_slice_t[?]", count)
    for i = 0, count - 1 do list[i].length = C.CQL_NULL end
    return list
  end

  it("a second statement, or a batch's type that there isn't", function()
    local r = out[0]
    assert.equal(C.CQL_EINVAL, C.cql_request_batch(r, 3))
    assert.equal(C.CQL_EINVAL, C.cql_request_batch(r, -1))
    assert.equal(0, C.cql_request_query(r, "Q", 1))
    assert.equal(C.CQL_EINVAL, C.cql_request_query(r, "Q", 1))
    assert.equal(C.CQL_EINVAL, C.cql_request_prepare(r, "Q", 1))
    assert.equal(C.CQL_EINVAL, C.cql_request_execute(r, prepared))
    assert.equal(C.CQL_EINVAL, C.cql_request_batch(r, 0))
    assert.equal(C.CQL_EINVAL, C.cql_batch_add_query(r, "Q", 1, nil, 0, 0))
    assert.equal(C.CQL_EINVAL, C.cql_batch_add_prepared(r, prepared, nil, 0, 0))
  end)

  it("values where they can't be, or twice", function()
    local r = out[0]
    assert.equal(C.CQL_EINVAL, C.cql_bind(r, values(1), 1))
    assert.equal(C.CQL_EINVAL, C.cql_bind_encoded(r, u32(-1), 4, 1))
    assert.equal(0, C.cql_request_query(r, "Q", 1))
    assert.equal(0, C.cql_bind(r, values(1), 1))
    assert.equal(C.CQL_EINVAL, C.cql_bind(r, values(1), 1))
    assert.equal(C.CQL_EINVAL, C.cql_bind_encoded(r, u32(-1), 4, 1))
    assert.equal(C.CQL_EINVAL, C.cql_bind_named(r, values(1), values(1), 1))
  end)

  it("names in EXECUTE, PREPARE and BATCH", function()
    local name = ffi.new("cql_slice_t[1]", { { "a", 1 } })
    assert.equal(0, C.cql_request_execute(out[0], prepared))
    assert.equal(C.CQL_EINVAL, C.cql_bind_named(out[0], name, values(1), 1))
    C.cql_request_discard(out[0])
    for _, say in ipairs { function(r) return C.cql_request_prepare(r, "P", 1) end,
      function(r) return C.cql_request_batch(r, 0) end } do
      assert.equal(0, C.cql_request_take(p.session, out))
      assert.equal(0, say(out[0]))
      assert.equal(C.CQL_EINVAL, C.cql_bind_named(out[0], name, values(1), 1))
      assert.equal(C.CQL_EINVAL, C.cql_bind(out[0], values(1), 1))
      assert.equal(C.CQL_EINVAL, C.cql_bind_encoded(out[0], u32(-1), 4, 1))
      C.cql_request_discard(out[0])
    end
    assert.equal(0, C.cql_request_take(p.session, out))
  end)

  it("lengths and names that are none", function()
    local r, bad = out[0], values(2)
    assert.equal(0, C.cql_request_query(r, "Q", 1))
    bad[1].length = -3
    assert.equal(C.CQL_EINVAL, C.cql_bind(r, bad, 2))
    bad[1].length = 5 -- of no bytes
    assert.equal(C.CQL_EINVAL, C.cql_bind(r, bad, 2))
    local name = values(1)
    assert.equal(C.CQL_EINVAL, C.cql_bind_named(r, name, values(1), 1))
    name[0].length = 3
    assert.equal(C.CQL_EINVAL, C.cql_bind_named(r, name, values(1), 1))
    local long = ("n"):rep(65536)
    name[0].data, name[0].length = long, #long
    assert.equal(C.CQL_EINVAL, C.cql_bind_named(r, name, values(1), 1))
    name[0].length = 65535
    assert.equal(0, C.cql_bind_named(r, name, values(1), 1))
  end)

  it("encoded values whose lengths don't add up", function()
    local r = out[0]
    assert.equal(0, C.cql_request_query(r, "Q", 1))
    for _, case in ipairs { { u32(4) .. "abc", 1 }, { u32(4) .. "abcde", 1 }, { u32(-3), 1 },
      { "\0\0\0", 1 }, { u32(-1), 2 }, { u32(-1) .. u32(-1), 1 }, { "", 1 },
      { u32(0x7fffffff) .. "a", 1 } } do
      assert.equal(C.CQL_EINVAL, C.cql_bind_encoded(r, case[1], #case[1], case[2]))
    end
    assert.equal(0, C.cql_bind_encoded(r, u32(3) .. "abc" .. u32(0), 11, 2))
  end)

  it("more than 65,535 values", function()
    assert.equal(0, C.cql_request_query(out[0], "Q", 1))
    assert.equal(C.CQL_ETOOBIG, C.cql_bind(out[0], values(65536), 65536))
    local encoded = u32(-1):rep(65536)
    assert.equal(C.CQL_ETOOBIG, C.cql_bind_encoded(out[0], encoded, #encoded, 65536))
    assert.equal(C.CQL_ETOOBIG, C.cql_bind_encoded(out[0], "", 0, 0xffffffff))
    assert.equal(0, C.cql_bind(out[0], values(65535), 65535))
    C.cql_request_discard(out[0])
    assert.equal(0, C.cql_request_take(p.session, out))
    assert.equal(0, C.cql_request_batch(out[0], 0))
    assert.equal(C.CQL_ETOOBIG,
      C.cql_batch_add_query(out[0], "Q", 1, encoded, #encoded, 65536))
    assert.equal(0, C.cql_batch_add_query(out[0], "Q", 1, encoded, #encoded - 4, 65535))
  end)

  it("more than 65,535 statements, and none", function()
    assert.equal(0, C.cql_request_batch(out[0], 1))
    for _ = 1, 65535 do assert(C.cql_batch_add_query(out[0], "Q", 1, nil, 0, 0) == 0) end
    assert.equal(C.CQL_ETOOBIG, C.cql_batch_add_query(out[0], "Q", 1, nil, 0, 0))
    assert.equal(C.CQL_ETOOBIG, C.cql_batch_add_prepared(out[0], prepared, nil, 0, 0))
    C.cql_submit(out[0], 3)
    p:step()
    assert.equal(65535, p:requests()[1].body:byte(2) * 256 + 255)
    assert.equal(0, C.cql_request_take(p.session, out))
    assert.equal(0, C.cql_request_batch(out[0], 1))
    C.cql_submit(out[0], 4)
    assert.equal(C.CQL_EINVAL, p:done()[1].status)
    assert.equal(0, C.cql_request_take(p.session, out))
    C.cql_submit(out[0], 5) -- nothing was said at all
    assert.equal(C.CQL_EINVAL, p:done()[1].status)
    assert.equal(0, C.cql_request_take(p.session, out))
    C.cql_cancel(p.session, 3)
    p:done()
  end)

  it("options that are out of range", function()
    assert.equal(0, C.cql_request_query(out[0], "Q", 1))
    for _, bad in ipairs { { consistency = 11 }, { consistency = -2 },
      { serial_consistency = C.CQL_ONE }, { serial_consistency = -2 }, { page_size = -2 },
      { timeout_ms = -1 }, { timestamp = -1LL }, { keyspace = ("k"):rep(65536) },
      { payload = "" }, { payload = "\0" }, { payload = "\0\1" }, { payload = "\0\0x" },
      { payload = "\0\1\0\1a\0\0\0\2x" } } do
      assert.equal(C.CQL_EINVAL, C.cql_request_options(out[0], request.options(bad)))
    end
    assert.equal(0, C.cql_request_options(out[0], request.options { payload = "\0\0" }))
  end)

  it("texts and bodies beyond what the protocol has", function()
    local most = 256 * 1024 * 1024
    assert.equal(C.CQL_ETOOBIG, C.cql_request_query(out[0], "", 0x100000000ULL))
    assert.equal(C.CQL_ETOOBIG, C.cql_request_query(out[0], "", most))
    assert.equal(0, C.cql_request_query(out[0], "Q", 1))
    local many = ffi.new("cql_slice_t[2]", { { "x", most }, { "x", most } }) -- never looked at
    assert.equal(C.CQL_ETOOBIG, C.cql_bind(out[0], many, 2))
    assert.equal(0, C.cql_bind(out[0], many, 0))
  end)
end)

describe("a body at the protocol's limit", function()
  it("ends as ETOOBIG when what comes around it doesn't fit", function()
    open(4)
    local most = 256 * 1024 * 1024
    local text = ffi.C.malloc(most)
    ffi.fill(text, most, 32)
    local out = ffi.new "cql_request_t *[1]"
    for _, length in ipairs { most - 4, most - 20, most - 22 } do -- page size, serial, time: 14
      assert.equal(0, C.cql_request_take(p.session, out))
      assert.equal(0, C.cql_request_query(out[0], ffi.cast("char *", text), length))
      C.cql_submit(out[0], 8)
      assert.equal(C.CQL_ETOOBIG, p:done()[1].status)
    end
    ffi.C.free(text)
  end)
end)
