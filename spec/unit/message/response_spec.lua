local ffi = require "ffi"
local unit = require "spec.support.unit"
local wire = require "spec.support.wire"

local C, u16, u32, str, list, unhex = unit.C, unit.u16, unit.u32, unit.str, unit.list, unit.unhex
local UUID = unhex "00112233445566778899aabbccddeeff"

local function open(header, body)
  local response, copy = ffi.new "cql__response", unit.buffer(body)
  local result = C.cql__response_open(unit.buffer(unhex(header)), copy, #body, response)
  return response, result, copy
end

local function rest(response) return ffi.string(response.body.next, wire.left(response.body)) end

describe("a response", function()
  it("begins with tracing id, warnings and payload [spec v5 2.2]", function()
    local payload = u16(1) .. str "key" .. unit.bytes "value"
    local body = UUID .. list("careful", "now") .. payload .. "the message"
    local response, result, copy = open("84 0e 0003 08 00000000", body)
    assert.equal(0, result)
    assert.equal(4, response.version)
    assert.equal(3, response.stream)
    assert.equal(8, response.opcode)
    assert.equal(UUID, ffi.string(response.tracing_id, 16))
    assert.equal(list("careful", "now"), unit.slice(response.warnings))
    assert.equal(payload, unit.slice(response.payload))
    assert.equal("the message", rest(response))
    assert.is_truthy(copy)
  end)

  it("has none of these without their flags", function()
    local response, result, copy = open("85 00 ffff 0c 00000000", "the message")
    assert.equal(0, result)
    assert.equal(-1, response.stream)
    assert.is_true(response.tracing_id == nil)
    assert.is_nil(unit.slice(response.warnings))
    assert.is_nil(unit.slice(response.payload))
    assert.equal("the message", rest(response))
    assert.is_truthy(copy)
  end)

  it("ignores flags that it doesn't know, on v3 those of v4 too", function()
    local response, result, copy = open("84 f0 0000 08 00000000", "the message")
    assert.equal(0, result)
    assert.equal("the message", rest(response))
    assert.is_truthy(copy)
    response, result, copy = open("83 0c 0000 08 00000000", "the message")
    assert.equal(0, result)
    assert.equal("the message", rest(response))
    assert.is_truthy(copy)
  end)

  it("is refused when truncated in what it begins with, and says the stream still", function()
    local body = UUID .. list("careful", "now") .. u16(1) .. str "key" .. unit.bytes "value"
    unit.truncate(body, function(part)
      local response, result = open("84 0e 0003 08 00000000", part)
      assert.equal(C.CQL_EMALFORMED, result)
      assert.equal(3, response.stream)
    end)
    assert.equal(C.CQL_EMALFORMED, select(2, open("84 08 0003 08 00000000", unhex "ffff 0001 61")))
  end)

  it("never reads past the end, whatever the bytes are", function()
    local body = UUID .. list("careful", "now") .. u16(1) .. str "key" .. unit.bytes "value"
    unit.mutate(body, 9, 20000, function(mutant) open("84 0e 0003 08 00000000", mutant) end)
  end)
end)

describe("SUPPORTED", function()
  -- As Cassandra 5.0.9 answers OPTIONS, but for the order of the keys, which is any.
  local BODY = u16(3) .. str "PROTOCOL_VERSIONS" .. list("3/v3", "4/v4", "5/v5", "6/v6-beta") ..
    str "COMPRESSION" .. list("snappy", "lz4") .. str "CQL_VERSION" .. list "3.4.7"

  local function find(body, key)
    local values, count = ffi.new "cql__cursor", ffi.new "uint16_t[1]"
    local cursor = wire.cursor(body)
    local result = C.cql__supported_find(cursor, key, values, count)
    if result <= 0 then return result end
    local out, whole = {}, ffi.string(values.next, wire.left(values))
    for i = 1, count[0] do
      local length = whole:byte(1) * 256 + whole:byte(2)
      out[i] = whole:sub(3, 2 + length)
      whole = whole:sub(3 + length)
    end
    return out, cursor
  end

  it("has values by keys [spec v5 4.2.4]", function()
    assert.same({ "snappy", "lz4" }, (find(BODY, "COMPRESSION")))
    assert.same({ "3.4.7" }, (find(BODY, "CQL_VERSION")))
    assert.equal(0, find(BODY, "SCYLLA_SHARD"))
    assert.equal(0, find(BODY, "COMPRESS"))
    assert.equal(0, find(u16(0), "COMPRESSION"))
    assert.same({}, (find(u16(1) .. str "COMPRESSION" .. list(), "COMPRESSION")))
  end)

  it("is refused when truncated before the key's end", function()
    local behind = #BODY - #(str "CQL_VERSION" .. list "3.4.7")
    unit.truncate(BODY, function(part, length)
      local result = find(part, "COMPRESSION")
      if length < behind then
        assert.equal(C.CQL_EMALFORMED, result)
      else
        assert.same({ "snappy", "lz4" }, result)
      end
      assert.equal(C.CQL_EMALFORMED, find(part, "CQL_VERSION"))
    end)
  end)

  it("never reads past the end, whatever the bytes are", function()
    unit.mutate(BODY, 10, 20000, function(mutant) find(mutant, "CQL_VERSION") end)
  end)
end)

local function change_text(change)
  local out = {}
  for _, field in ipairs { "change", "target", "keyspace", "name", "arguments" } do
    out[#out + 1] = unit.slice(change[field]) or "-"
  end
  return table.concat(out, " ")
end

describe("a schema change", function()
  local function decode(body)
    local cursor, out = wire.cursor(body), ffi.new "cql_schema_change_t"
    local result = C.cql__schema_change_decode(cursor, out)
    return result == 0 and change_text(out) or nil, result, wire.left(cursor)
  end

  it("has fields by its target [spec v5 4.2.5.5]", function()
    assert.equal("CREATED KEYSPACE ks - -", decode(str "CREATED" .. str "KEYSPACE" .. str "ks"))
    assert.equal("UPDATED TABLE ks t -",
      decode(str "UPDATED" .. str "TABLE" .. str "ks" .. str "t"))
    assert.equal("DROPPED TYPE ks u -", decode(str "DROPPED" .. str "TYPE" .. str "ks" .. str "u"))
    for _, target in ipairs { "FUNCTION", "AGGREGATE" } do
      local arguments = list("int", "text")
      assert.equal(("CREATED %s ks f %s"):format(target, arguments),
        decode(str "CREATED" .. str(target) .. str "ks" .. str "f" .. arguments))
    end
  end)

  it("may have an empty string more, as v3 of Cassandra 5.0.9 sends for functions", function()
    assert.equal("UPDATED KEYSPACE ks - -",
      decode(str "UPDATED" .. str "KEYSPACE" .. str "ks" .. str ""))
  end)

  it("of an unknown target keeps to what is known", function()
    assert.equal("CREATED INDEX - - -", decode(str "CREATED" .. str "INDEX" .. str "anything"))
  end)

  it("is refused when truncated at any byte", function()
    local body = str "CREATED" .. str "FUNCTION" .. str "ks" .. str "f" .. list("int", "text")
    unit.truncate(body, function(part)
      local _, result = decode(part)
      assert.equal(C.CQL_EMALFORMED, result)
    end)
    unit.mutate(body, 11, 20000, decode)
  end)
end)

describe("an event", function()
  local function decode(body)
    local cursor, out = wire.cursor(body), ffi.new "cql__event"
    local result = C.cql__event_decode(cursor, out)
    return result == 0 and out or nil, result, cursor
  end

  -- [spec v5 4.2.6]
  local UP = unhex [[000d5354415455535f4348414e4745 00025550 047f000001 00002352]]

  it("is a change of status", function()
    local event, _, cursor = decode(UP)
    assert.equal("STATUS_CHANGE", unit.slice(event.type))
    assert.equal("UP", unit.slice(event.change))
    assert.equal("\127\0\0\1", unit.slice(event.address))
    assert.equal(9042, event.port)
    assert.equal(0, wire.left(cursor))
  end)

  it("is a change of topology, with an IPv6 address too", function()
    for _, change in ipairs { "NEW_NODE", "REMOVED_NODE", "MOVED_NODE" } do
      local event, _, cursor = decode(str "TOPOLOGY_CHANGE" .. str(change) .. "\16" .. UUID ..
        u32(9142))
      assert.equal(change, unit.slice(event.change))
      assert.equal(UUID, unit.slice(event.address))
      assert.equal(9142, event.port)
      assert.equal(0, wire.left(cursor))
    end
  end)

  it("is a change of the schema", function()
    local event, _, cursor = decode(str "SCHEMA_CHANGE" .. str "UPDATED" .. str "TABLE" ..
      str "ks" .. str "t")
    assert.equal("SCHEMA_CHANGE", unit.slice(event.type))
    assert.equal("UPDATED", unit.slice(event.change))
    assert.equal("UPDATED TABLE ks t -", change_text(event.schema))
    assert.is_nil(unit.slice(event.address))
    assert.equal(0, wire.left(cursor))
  end)

  it("of an unknown type is no error", function()
    local event, _, cursor = decode(str "NEWS_OF_TOMORROW" .. "anything")
    assert.equal("NEWS_OF_TOMORROW", unit.slice(event.type))
    assert.is_nil(unit.slice(event.change))
    assert.equal(8, wire.left(cursor))
  end)

  -- scylladb docs/dev/protocol-extensions.md
  it("is a change of client routes, pair by pair", function()
    local connections, hosts = unit.list("a", "b"), unit.list("host 1", "host 2")
    local body = str "CLIENT_ROUTES_CHANGE" .. str "UPDATE_NODES" .. connections .. hosts
    local event, _, cursor = decode(body)
    assert.equal("UPDATE_NODES", unit.slice(event.change))
    assert.equal(connections, unit.slice(event.connection_ids))
    assert.equal(hosts, unit.slice(event.host_ids))
    assert.equal(0, wire.left(cursor))
    unit.truncate(body, function(part)
      local _, result = decode(part)
      assert.equal(C.CQL_EMALFORMED, result)
    end)
    local _, result = decode(str "CLIENT_ROUTES_CHANGE" .. str "UPDATE_NODES" .. connections ..
      unit.list "host 1")
    assert.equal(C.CQL_EMALFORMED, result)
    assert.is_nil(unit.slice(decode(UP).connection_ids))
  end)

  it("is refused when truncated at any byte, or its address has no length of one", function()
    unit.truncate(UP, function(part)
      local _, result = decode(part)
      assert.equal(C.CQL_EMALFORMED, result)
    end)
    for _, length in ipairs { 0, 1, 5, 15, 17, 255 } do
      local _, result = decode(str "STATUS_CHANGE" .. str "UP" .. unit.u8(length) ..
        ("\1"):rep(300))
      assert.equal(C.CQL_EMALFORMED, result)
    end
    unit.mutate(UP, 12, 20000, decode)
  end)
end)
