-- One response of each kind and version, as a server writes it: { name, version, bytes } in a list.
-- The layouts are those of the specifications, sections 2, 4.2 and 9; what says "seen" was on the
-- wire of Cassandra 5.0.9.
local unit = require "spec.support.unit"

local u8, u16, u32, str, bytes, list = unit.u8, unit.u16, unit.u32, unit.str, unit.bytes, unit.list
local unhex = unit.unhex

local OPCODE = { ERROR = 0x00, READY = 0x02, AUTHENTICATE = 0x03, SUPPORTED = 0x06, RESULT = 0x08,
  EVENT = 0x0C, AUTH_CHALLENGE = 0x0E, AUTH_SUCCESS = 0x10 }
local TRACING, PAYLOAD, WARNINGS = 0x02, 0x04, 0x08

local responses = {}

function responses.envelope(version, flags, stream, opcode, body)
  return u8(0x80 + version) .. u8(flags) .. u16(stream) .. u8(OPCODE[opcode]) .. u32(#body) .. body
end

-- ---- small ones ----

local VERSIONS = u16(3) .. str "PROTOCOL_VERSIONS" .. list("3/v3", "4/v4", "5/v5", "6/v6-beta") ..
  str "COMPRESSION" .. list("snappy", "lz4") .. str "CQL_VERSION" .. list "3.4.7"

local SMALL = {
  { "READY", "READY", "" },
  { "AUTHENTICATE", "AUTHENTICATE", str "org.apache.cassandra.auth.PasswordAuthenticator" },
  { "SUPPORTED", "SUPPORTED", VERSIONS },
  { "AUTH_CHALLENGE", "AUTH_CHALLENGE", bytes "challenge" },
  { "AUTH_SUCCESS", "AUTH_SUCCESS", bytes(nil) },
}

-- ---- results ----

local INT, TEXT, BIGINT = u16(0x09), u16(0x0D), u16(0x02)
local LIST, MAP, UDT, TUPLE = u16(0x20), u16(0x21), u16(0x30), u16(0x31)

local COLUMNS = str "ks" .. str "t" .. str "id" .. INT .. str "name" .. TEXT
local ADDRESS = UDT .. str "ks" .. str "address" .. u16(2) .. str "street" .. TEXT ..
  str "no" .. INT
local NESTED = str "ks" .. str "t" .. str "m" .. MAP .. TEXT .. LIST .. INT .. str "u" .. ADDRESS ..
  str "p" .. TUPLE .. u16(2) .. BIGINT .. TEXT
local VECTOR = str "ks" .. str "t" .. str "v" .. u16(0) ..
  str "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType , 3)"

local CELLS = bytes(u32(1)) .. bytes "one" .. bytes(u32(2)) .. bytes(nil) .. bytes "" .. bytes ""
local TWO_INTS = u32(2) .. bytes(u32(1)) .. bytes(u32(2))
local NESTED_CELLS = bytes(u32(1) .. bytes "k" .. bytes(TWO_INTS)) ..
  bytes(bytes "Main" .. bytes(u32(7))) .. bytes(bytes(u32(0) .. u32(9)) .. bytes(nil))
local FLOATS = bytes(unhex "3f800000 40000000 40400000")

local function rows(flags, count, head, specs, row_count, cells)
  return u32(2) .. u32(flags) .. u32(count) .. head .. specs .. u32(row_count) .. cells
end

local function prepared(version)
  local out = u32(4) .. str "statement id"
  if version >= 5 then out = out .. str "metadata id" end
  out = out .. u32(1) .. u32(2)
  if version >= 4 then out = out .. u32(1) .. u16(0) end
  return out .. COLUMNS .. u32(1) .. u32(2) .. COLUMNS
end

local function results(version)
  local out = {
    { "VOID", u32(1) },
    { "ROWS", rows(1, 2, "", COLUMNS, 3, CELLS) },
    { "ROWS paged", rows(3, 2, bytes "page two", COLUMNS, 3, CELLS) },
    { "ROWS without metadata", rows(4, 2, "", "", 3, CELLS) },
    { "ROWS without metadata, paged, as seen", rows(7, 2, bytes "page two", "", 3, CELLS) },
    { "ROWS nested", rows(1, 3, "", NESTED, 1, NESTED_CELLS) },
    { "ROWS vector", rows(1, 1, "", VECTOR, 1, FLOATS) },
    { "ROWS none", rows(1, 2, "", COLUMNS, 0, "") },
    { "SET_KEYSPACE", u32(3) .. str "ks" },
    { "PREPARED", prepared(version) },
    { "SCHEMA_CHANGE keyspace", u32(5) .. str "CREATED" .. str "KEYSPACE" .. str "ks" },
    { "SCHEMA_CHANGE table", u32(5) .. str "DROPPED" .. str "TABLE" .. str "ks" .. str "t" },
  }
  if version >= 4 then
    out[#out + 1] = { "SCHEMA_CHANGE function", u32(5) .. str "UPDATED" .. str "FUNCTION" ..
      str "ks" .. str "f" .. list("int", "text") }
  end
  if version >= 5 then
    out[#out + 1] = { "ROWS changed", rows(9, 2, str "new metadata id", COLUMNS, 3, CELLS) }
  end
  return out
end

-- ---- errors ----

local REASONS = u32(1) .. unhex "047f000901 0001"

local function failures(version) return version >= 5 and REASONS or u32(1) end

local function errors(version)
  local out = {
    { "server error", 0x0000, "" }, { "protocol error", 0x000A, "" },
    { "bad credentials", 0x0100, "" },
    { "unavailable", 0x1000, u16(4) .. u32(2) .. u32(1) },
    { "overloaded", 0x1001, "" }, { "bootstrapping", 0x1002, "" }, { "truncate", 0x1003, "" },
    { "write timeout", 0x1100, u16(1) .. u32(0) .. u32(1) .. str "SIMPLE" },
    { "read timeout", 0x1200, u16(4) .. u32(1) .. u32(2) .. u8(0) },
    { "syntax", 0x2000, "" }, { "unauthorized", 0x2100, "" }, { "invalid", 0x2200, "" },
    { "config", 0x2300, "" }, { "already exists", 0x2400, str "ks" .. str "t" },
    { "unprepared", 0x2500, str "statement id" }, { "of a code that is new", 0x7777, "more" },
  }
  local function add(name, code, fields) out[#out + 1] = { name, code, fields } end
  if version >= 4 then
    add("read failure", 0x1300, u16(5) .. u32(0) .. u32(2) .. failures(version) .. u8(0))
    add("function failure, as seen", 0x1400, unhex "00026532 000166 0002 0003696e74 000474657874")
    add("write failure", 0x1500, u16(1) .. u32(0) .. u32(1) .. failures(version) .. str "BATCH")
    add("CDC write failure", 0x1600, "")
  end
  if version >= 5 then
    add("CAS timeout, as seen", 0x1100, unhex "0008 00000001 00000002 0003434153 0000")
    add("CAS write unknown", 0x1700, u16(8) .. u32(1) .. u32(2))
  end
  return out
end

-- ---- events ----

local EVENTS = {
  { "NEW_NODE", str "TOPOLOGY_CHANGE" .. str "NEW_NODE" .. unhex "047f000002 00002352" },
  { "UP", unhex "000d5354415455535f4348414e4745 00025550 047f000001 00002352" },
  { "DOWN of IPv6", str "STATUS_CHANGE" .. str "DOWN" .. u8(16) .. ("\0"):rep(15) .. "\1" ..
    u32(9042) },
  { "SCHEMA_CHANGE", str "SCHEMA_CHANGE" .. str "UPDATED" .. str "TYPE" .. str "ks" .. str "u" },
  { "of a type that is new", str "SOMETHING_ELSE" .. "more" },
}

-- ---- all of them ----

local function add_all(version, add)
  for _, one in ipairs(SMALL) do add(one[1], 0, 0, one[2], one[3]) end
  for i, one in ipairs(results(version)) do add("RESULT " .. one[1], 0, i, "RESULT", one[2]) end
  for i, one in ipairs(errors(version)) do
    add("ERROR " .. one[1], 0, i, "ERROR", u32(one[2]) .. str(one[1] .. ": why") .. one[3])
  end
  for _, one in ipairs(EVENTS) do add("EVENT " .. one[1], 0, -1, "EVENT", one[2]) end
  local traced = ("\17"):rep(16)
  add("RESULT traced", TRACING, 1, "RESULT", traced .. u32(1))
  if version < 4 then return end
  local warned = list("first", "second")
  local payload = u16(1) .. str "key" .. bytes "value"
  add("RESULT traced, warned, with a payload", TRACING + WARNINGS + PAYLOAD, 1, "RESULT",
    traced .. warned .. payload .. rows(1, 2, "", COLUMNS, 3, CELLS))
  add("ERROR with warnings", WARNINGS, 2, "ERROR", warned .. u32(0x2200) .. str "why")
end

-- Those of one version.
function responses.all(version)
  local out = {}
  add_all(version, function(name, flags, stream, opcode, body)
    out[#out + 1] = { name = ("v%d %s"):format(version, name), version = version, body = body,
      bytes = responses.envelope(version, flags, stream, opcode, body) }
  end)
  return out
end

return responses
