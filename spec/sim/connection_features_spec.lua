-- ScyllaDB's extensions on the simulated link: what is asked for, and what follows from it on that
-- connection alone.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, u8, u32, str = unit.C, unit.u8, unit.u32, unit.str
local INT, TEXT = 9, 13
local PREPARE, EXECUTE = 9, 10
local MARKER, COLUMN, NEW = { { "k", INT } }, { { "v", INT } }, { { "v", TEXT } }
local MARK = 0x80000000

local OFFERS = {
  { "CQL_VERSION", "3.3.1" }, { "COMPRESSION", "lz4", "snappy" }, { "CLIENT_OPTIONS", "" },
  { "SCYLLA_HOST_ID", "00112233-4455-6677-8899-aabbccddeeff" },
  { "SCYLLA_SHARD", "0" }, { "SCYLLA_NR_SHARDS", "1" },
  { "SCYLLA_SHARDING_ALGORITHM", "biased-token-round-robin" },
  { "SCYLLA_SHARDING_IGNORE_MSB", "12" },
  { "SCYLLA_PARTITIONER", "org.apache.cassandra.dht.Murmur3Partitioner" },
  { "SCYLLA_LWT_ADD_METADATA_MARK", "LWT_OPTIMIZATION_META_BIT_MASK=2147483648" },
  { "SCYLLA_RATE_LIMIT_ERROR", "ERROR_CODE=61440" },
  { "TABLETS_ROUTING_V1", "" }, { "SCYLLA_USE_METADATA_ID", "" },
  { "TABLETS_ROUTING_V2_EXPERIMENTAL", "" },
}

-- The offers with other values for some, or (false) without them.
local function offers(changes)
  local out = {}
  for _, offer in ipairs(OFFERS) do
    local change = changes and changes[offer[1]]
    if change == nil then
      out[#out + 1] = offer
    elseif change then
      out[#out + 1] = { offer[1], change }
    end
  end
  return out
end

local p
local function open(options, supported)
  p = assert(peer.new(options or {}))
  if supported then p.supported = supported end
  p:serve()
  p:done()
  assert(p:event(C.CQL_EVENT_READY))
end
after_each(peer.free_all)

local DRIVER = { "CQL_VERSION", "DRIVER_NAME", "DRIVER_VERSION" }

-- The pairs of STARTUP but for those of every connection, in their order.
local function startup()
  local body, at, out = p.startup, 3, {}
  local function text()
    local size = body:byte(at) * 256 + body:byte(at + 1)
    at = at + 2 + size
    return body:sub(at - size, at - 1)
  end
  while at <= #body do
    local name, value = text(), text()
    out[#out + 1] = name .. "=" .. value
  end
  for i, name in ipairs(DRIVER) do assert.equal(name, out[i]:match "^[^=]+") end
  return { unpack(out, #DRIVER + 1) }
end

local LWT = "SCYLLA_LWT_ADD_METADATA_MARK=LWT_OPTIMIZATION_META_BIT_MASK=2147483648"
local LIMIT, TABLETS, ID = "SCYLLA_RATE_LIMIT_ERROR=", "TABLETS_ROUTING_V1=",
  "SCYLLA_USE_METADATA_ID="

describe("STARTUP", function()
  it("asks a Cassandra for nothing of ScyllaDB's", function()
    for version = 3, 5 do
      open { protocol_version = version }
      assert.same({}, startup())
      p:free()
    end
    p = nil
  end)

  it("asks for what is offered, by version", function()
    local wanted = { [3] = { LWT, LIMIT }, [4] = { LWT, LIMIT, TABLETS, ID },
      [5] = { LWT, LIMIT, TABLETS } }
    for version = 3, 5 do
      open({ protocol_version = version }, offers())
      assert.same(wanted[version], startup())
      assert.equal(0, tonumber(p:metrics().features_refused))
      p:free()
    end
    p = nil
  end)

  it("has it come after what the configuration says, compression first", function()
    open({ protocol_version = 4, compression = "lz4", client_id = "me" }, offers())
    local rest = p.startup:find("COMPRESSION", 1, true)
    assert.truthy(rest)
    assert.truthy(p.startup:find("me" .. str "SCYLLA_LWT_ADD_METADATA_MARK", 1, true))
  end)

  it("leaves out what the configuration turns off", function()
    for option, left in pairs { lwt_mark = { LIMIT, TABLETS, ID },
      rate_limit_error = { LWT, TABLETS, ID }, tablets = { LWT, LIMIT, ID },
      metadata_id = { LWT, LIMIT, TABLETS }, shard_aware = { LWT, LIMIT, TABLETS, ID },
      shard_aware_port = { LWT, LIMIT, TABLETS, ID } } do
      open({ protocol_version = 4, [option] = false }, offers())
      assert.same(left, startup())
      p:free()
    end
    p = nil
  end)

  it("leaves out what can't be understood, counts it, and goes on", function()
    open({ protocol_version = 4 }, offers { SCYLLA_LWT_ADD_METADATA_MARK = "MASK",
      SCYLLA_RATE_LIMIT_ERROR = "ERROR_CODE=", SCYLLA_NR_SHARDS = "0", SCYLLA_HOST_ID = "me" })
    assert.same({ TABLETS, ID }, startup())
    assert.equal(4, tonumber(p:metrics().features_refused))
  end)
end)

-- ---- requests ----

local function submit(tag, what) p:submit(tag, what) end
local function next_request(opcode)
  p:step()
  local list = p:requests()
  assert.equal(1, #list)
  assert.equal(opcode, list[1].opcode)
  return list[1]
end
local function answer(to, body, opcode) p:answer(to.stream, opcode or "RESULT", body) end

local function finished()
  p:step()
  local done = p:done()
  assert.equal(1, #done)
  if done[1].result then ffi.gc(done[1].result, C.cql_result_free) end
  return done[1]
end

-- what: columns, id (of the columns), bare (PREPARED has none), mark.
local function prepare(what)
  submit(99, { prepare = "SELECT" })
  answer(next_request(PREPARE), server.prepared(4, "id", MARKER, what.columns or COLUMN,
    what.id or "one", not what.bare, what.mark))
  local done = finished()
  assert.equal(0, done.status)
  return ffi.gc(C.cql_result_prepared(done.result), C.cql_prepared_unref)
end

local function execute(prepared)
  submit(1, { execute = prepared, values = { u32(7) } })
  return next_request(EXECUTE)
end

-- The columns' id of an EXECUTE, and whether it wants no metadata; `bare`: there is no id.
local function said(asked, bare)
  local at, id = 5, nil -- behind the statement's id
  if not bare then
    id = asked.body:sub(7, 6 + asked.body:byte(6))
    at = 7 + #id
  end
  local flags = asked.body:byte(at + 2)
  return { id or false, math.floor(flags / 2) % 2 == 1 }
end

local function shape(metadata)
  local out = {}
  for i = 0, metadata.column_count - 1 do
    out[#out + 1] = unit.slice(metadata.columns[i].name) .. ":" .. metadata.columns[i].type.kind
  end
  return table.concat(out, " ")
end

describe("the columns' id on v4", function()
  before_each(function() open({ protocol_version = 4 }, offers()) end)

  it("goes with each EXECUTE, which wants no metadata then", function()
    local prepared = prepare {}
    local asked = execute(prepared)
    assert.same({ "one", true }, said(asked))
    answer(asked, server.rows(COLUMN, { { u32(1) } }, { no_metadata = true }))
    assert.equal("v:9", shape(finished().result.metadata))
  end)

  it("changes together with the columns, and that answer is read by the new ones", function()
    local prepared = prepare {}
    answer(execute(prepared), server.rows(NEW, { { "text" } }, { metadata_id = "two" }))
    assert.equal("v:13", shape(finished().result.metadata))
    assert.equal("v:13", shape(C.cql_prepared_columns(prepared)))
    assert.same({ "two", true }, said(execute(prepared)))
  end)

  it("stands behind the paging state", function()
    local prepared = prepare {}
    answer(execute(prepared), server.rows(NEW, { { "text" } },
      { metadata_id = "two", paging_state = "more" }))
    assert.equal("more", unit.slice(finished().result.paging_state))
    assert.same({ "two", true }, said(execute(prepared)))
  end)

  it("is empty for a statement without columns, whatever id the server gave to those", function()
    local prepared = prepare { columns = {}, id = "none" }
    local asked = execute(prepared)
    assert.same({ "", false }, said(asked))
    answer(asked, server.rows(COLUMN, { { u32(1) } }, { metadata_id = "real" }))
    assert.equal("v:9", shape(finished().result.metadata))
    assert.same({ "real", true }, said(execute(prepared)))
  end)

  it("is renewed by a PREPARE after UNPREPARED", function()
    local prepared = prepare {}
    answer(execute(prepared), server.error(0x2500, "unknown", str "id"), "ERROR")
    answer(next_request(PREPARE), server.prepared(4, "id", MARKER, NEW, "two", true))
    local again = next_request(EXECUTE)
    assert.same({ "two", true }, said(again))
    answer(again, server.rows(NEW, { { "text" } }, { no_metadata = true }))
    assert.equal("v:13", shape(finished().result.metadata))
  end)

  it("stays, with the columns, where a PREPARE after UNPREPARED tells none", function()
    local prepared = prepare {}
    answer(execute(prepared), server.error(0x2500, "unknown", str "id"), "ERROR")
    answer(next_request(PREPARE), server.prepared(4, "id", MARKER, {}, "none", true))
    assert.same({ "one", true }, said(next_request(EXECUTE)))
    assert.equal("v:9", shape(C.cql_prepared_columns(prepared)))
  end)

  it("that is too long to be kept is empty, and never that of other columns", function()
    local prepared = prepare {}
    answer(execute(prepared), server.rows(NEW, { { "text" } }, { metadata_id = ("x"):rep(65) }))
    assert.equal("v:13", shape(finished().result.metadata))
    assert.equal("", said(execute(prepared))[1])
  end)

  it("must be in PREPARED", function()
    submit(1, { prepare = "SELECT" })
    answer(next_request(PREPARE), u32(4) .. str "id")
    assert.equal(C.CQL_EMALFORMED, finished().status)
  end)
end)

describe("the columns' id in a mixed cluster", function()
  -- The node is another one after the connection was lost.
  local function reconnect(supported)
    p.supported = supported
    p:reset()
    p:step()
    p:advance(500)
    p:serve()
    p:done()
  end

  local WITH, WITHOUT = offers(), offers { SCYLLA_USE_METADATA_ID = false }

  it("is empty where a node without it prepared the statement", function()
    open({ protocol_version = 4 }, WITHOUT)
    local prepared = prepare { bare = true }
    local asked = execute(prepared)
    assert.same({ false, false }, said(asked, true))
    answer(asked, server.rows(COLUMN, { { u32(1) } }))
    finished()
    reconnect(WITH)
    asked = execute(prepared)
    assert.equal("", said(asked)[1])
    answer(asked, server.rows(COLUMN, { { u32(1) } }, { metadata_id = "one" }))
    assert.equal("v:9", shape(finished().result.metadata))
    assert.same({ "one", true }, said(execute(prepared)))
  end)

  it("isn't sent to a node without it, which sends metadata, and is kept meanwhile", function()
    open({ protocol_version = 4 }, WITH)
    local prepared = prepare {}
    reconnect(WITHOUT)
    local asked = execute(prepared)
    assert.same({ false, false }, said(asked, true))
    answer(asked, server.error(0x2500, "unknown", str "id"), "ERROR")
    answer(next_request(PREPARE), server.prepared(4, "id", MARKER, COLUMN))
    asked = next_request(EXECUTE)
    assert.same({ false, false }, said(asked, true))
    answer(asked, server.rows(NEW, { { "text" } }))
    assert.equal("v:13", shape(finished().result.metadata))
    reconnect(WITH)
    assert.same({ "one", true }, said(execute(prepared)))
  end)

  it("goes where a node without it tells other columns", function()
    open({ protocol_version = 4 }, WITH)
    local prepared = prepare {}
    reconnect(WITHOUT)
    answer(execute(prepared), server.error(0x2500, "unknown", str "id"), "ERROR")
    answer(next_request(PREPARE), server.prepared(4, "id", MARKER, NEW))
    next_request(EXECUTE)
    assert.equal("v:13", shape(C.cql_prepared_columns(prepared)))
    reconnect(WITH)
    assert.equal("", said(execute(prepared))[1])
  end)
end)

describe("the mark of lightweight transactions", function()
  it("is known where it was asked for", function()
    open({ protocol_version = 4 }, offers())
    assert.equal(1, C.cql_prepared_is_lwt(prepare { mark = MARK }))
    assert.equal(0, C.cql_prepared_is_lwt(prepare {}))
  end)

  it("needs all bits of the mask", function()
    open({ protocol_version = 4 }, offers { SCYLLA_LWT_ADD_METADATA_MARK =
      "LWT_OPTIMIZATION_META_BIT_MASK=3221225472" })
    assert.equal(0, C.cql_prepared_is_lwt(prepare { mark = MARK }))
    assert.equal(1, C.cql_prepared_is_lwt(prepare { mark = MARK + 0x40000000 }))
  end)

  it("means nothing where it wasn't", function()
    open({ protocol_version = 4, lwt_mark = false }, offers())
    assert.equal(0, C.cql_prepared_is_lwt(prepare { mark = MARK }))
  end)

  it("is learned by a later PREPARE", function()
    open({ protocol_version = 4 }, offers())
    local prepared = prepare {}
    answer(execute(prepared), server.error(0x2500, "unknown", str "id"), "ERROR")
    answer(next_request(PREPARE), server.prepared(4, "id", MARKER, COLUMN, "one", true, MARK))
    next_request(EXECUTE)
    assert.equal(1, C.cql_prepared_is_lwt(prepared))
  end)
end)

describe("the error of a rate limit", function()
  local function ask(code, rest)
    submit(1, { query = "INSERT" })
    answer(next_request(7), server.error(code, "too often", rest), "ERROR")
    local done, detail = finished(), ffi.new "cql_error_detail_t"
    assert.equal(C.CQL_ESERVER, done.status)
    local result = C.cql_result_error(done.result, detail)
    return { done.code, done.result.error_code, result, detail.operation,
      detail.rejected_by_coordinator }
  end

  it("has one number, whatever the node calls it, and its fields", function()
    for _, code in ipairs { 0xF000, 0xF123 } do
      open({ protocol_version = 4 }, offers { SCYLLA_RATE_LIMIT_ERROR = "ERROR_CODE=" .. code })
      local number = C.CQL_RATE_LIMIT_ERROR
      assert.same({ number, number, 0, 0, 1 }, ask(code, u8(0) .. u8(1)))
      assert.same({ number, number, 0, 1, 0 }, ask(code, u8(1) .. u8(0)))
      assert.same({ number, number, C.CQL_EMALFORMED, 1, 0 }, ask(code, u8(1)))
      p:free()
    end
    p = nil
  end)

  it("is none where it wasn't asked for", function()
    open({ protocol_version = 4, rate_limit_error = false }, offers { SCYLLA_RATE_LIMIT_ERROR =
      "ERROR_CODE=61731" })
    assert.same({ 61731, 61731, 0, -1, 0 }, ask(61731, u8(0) .. u8(1)))
    assert.same({ 0x2300, 0x2300, 0, -1, 0 }, ask(0x2300))
  end)
end)
