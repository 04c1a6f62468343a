-- Requests of all kinds for specs on the simulated link: made from a table by the public calls, and
-- once more as the bytes that the specification asks for, by an encoder of the specs' own.
local ffi = require "ffi"
local bit = require "bit"
local unit = require "spec.support.unit"

local C = unit.C
local u8, u16, u32, bytes, str = unit.u8, unit.u16, unit.u32, unit.bytes, unit.str

local request = {}

request.NULL = setmetatable({}, { __tostring = function() return "null" end })
request.UNSET = setmetatable({}, { __tostring = function() return "unset" end })

-- ---- as the public calls make them ----

local anchors = setmetatable({}, { __mode = "k" })

local function slices(list)
  local out = ffi.new("cql_slice_t[?]", math.max(#list, 1))
  for i, value in ipairs(list) do
    if value == request.NULL then
      out[i - 1].length = C.CQL_NULL
    elseif value == request.UNSET then
      out[i - 1].length = C.CQL_UNSET
    else
      out[i - 1].data, out[i - 1].length = value, #value
    end
  end
  anchors[out] = list
  return out, #list
end

-- A value as on the wire.
function request.value(value)
  if value == request.NULL then return u32(-1) end
  if value == request.UNSET then return u32(-2) end
  return bytes(value)
end

function request.values(list)
  local out = {}
  for i, value in ipairs(list) do out[i] = request.value(value) end
  return table.concat(out)
end

local OPTION_FLAGS = { tracing = "TRACING", idempotent = "IDEMPOTENT", timestamp = "TIMESTAMP",
  server_timestamp = "SERVER_TIMESTAMP", now_in_seconds = "NOW_IN_SECONDS",
  skip_metadata = "SKIP_METADATA" }

-- cql_options_t of a table: its fields by name; flags as booleans, or by their field's presence.
function request.options(table_)
  local options = ffi.new "cql_options_t"
  C.cql_options_init(options)
  for name, value in pairs(table_) do
    local flag = OPTION_FLAGS[name]
    if flag and value then options.flags = bit.bor(options.flags, C["CQL_OPTION_" .. flag]) end
    if type(value) == "string" then
      options[name].data, options[name].length = value, #value
    elseif type(value) ~= "boolean" then
      options[name] = value
    end
  end
  anchors[options] = table_
  return options
end

local function add_item(handle, item)
  local encoded = request.values(item.values or {})
  local count = item.values and #item.values or 0
  if item.query then
    return C.cql_batch_add_query(handle, item.query, #item.query, encoded, #encoded, count)
  end
  return C.cql_batch_add_prepared(handle, item.execute, encoded, #encoded, count)
end

local function say_what(handle, what)
  if what.query then return C.cql_request_query(handle, what.query, #what.query) end
  if what.prepare then return C.cql_request_prepare(handle, what.prepare, #what.prepare) end
  if what.execute then return C.cql_request_execute(handle, what.execute) end
  local result = C.cql_request_batch(handle, what.batch)
  for _, item in ipairs(what) do
    if result == 0 then result = add_item(handle, item) end
  end
  return result
end

local function bind(handle, what)
  if what.names then
    return C.cql_bind_named(handle, slices(what.names), slices(what.values))
  elseif what.encoded then
    local encoded = request.values(what.encoded)
    return C.cql_bind_encoded(handle, encoded, #encoded, #what.encoded)
  elseif what.values then
    return C.cql_bind(handle, slices(what.values))
  end
  return 0
end

-- A request as `what` says: { query = | prepare = | execute = , values =, names =, encoded =,
-- options = {} } or { batch = type, { query = | execute =, values = } ... }. nil, error: it was
-- refused, and is discarded.
function request.make(session, what)
  local out = ffi.new "cql_request_t *[1]"
  local result = C.cql_request_take(session, out)
  if result ~= 0 then return nil, result end
  result = say_what(out[0], what)
  if result == 0 then result = bind(out[0], what) end
  if result == 0 and what.options then
    result = C.cql_request_options(out[0], request.options(what.options))
  end
  if result == 0 then return out[0] end
  C.cql_request_discard(out[0])
  return nil, result
end

function request.submit(session, tag, what)
  local handle, err = request.make(session, what)
  if not handle then error("refused: " .. ffi.string(C.cql_error_name(err)), 2) end
  C.cql_submit(handle, tag)
end

-- ---- as the specification has them [spec 4.1.4 to 4.1.7] ----

local function u64(n)
  n = ffi.cast("uint64_t", n)
  return u32(tonumber(n / 2 ^ 32)) .. u32(tonumber(n % 2ULL ^ 32))
end

local function flags_of(version, flags) return version >= 5 and u32(flags) or u8(flags) end

-- The parameters of a QUERY or EXECUTE, or (batch) what ends a BATCH. Fields: consistency, values,
-- names, skip_metadata, page_size, paging_state, serial, timestamp, keyspace, now.
function request.parameters(version, p)
  local flags, out = 0, {}
  local function add(flag, text)
    flags = flags + flag
    out[#out + 1] = text
  end
  if p.values then
    local list = { u16(#p.values) }
    for i, value in ipairs(p.values) do
      if p.names then list[#list + 1] = str(p.names[i]) end
      list[#list + 1] = request.value(value)
    end
    add(p.names and 0x41 or 0x01, table.concat(list))
  end
  if p.skip_metadata then add(0x02, "") end
  if p.page_size then add(0x04, u32(p.page_size)) end
  if p.paging_state then add(0x08, bytes(p.paging_state)) end
  if p.serial then add(0x10, u16(p.serial)) end
  if p.timestamp then add(0x20, u64(p.timestamp)) end
  if p.keyspace then add(0x80, str(p.keyspace)) end
  if p.now then add(0x100, u32(p.now)) end
  return u16(p.consistency) .. flags_of(version, flags) .. table.concat(out)
end

function request.query_body(version, text, p)
  return bytes(text) .. request.parameters(version, p)
end

function request.execute_body(version, id, metadata_id, p)
  return str(id) .. (version >= 5 and str(metadata_id) or "") .. request.parameters(version, p)
end

function request.prepare_body(version, text, keyspace)
  if version < 5 then return bytes(text) end
  return bytes(text) .. (keyspace and u32(1) .. str(keyspace) or u32(0))
end

-- items: { { query = text | id = id, values = {} } ... }
function request.batch_body(version, kind, items, p)
  local out = { u8(kind), u16(#items) }
  for _, item in ipairs(items) do
    out[#out + 1] = item.query and u8(0) .. bytes(item.query) or u8(1) .. str(item.id)
    out[#out + 1] = u16(#(item.values or {})) .. request.values(item.values or {})
  end
  return table.concat(out) .. request.parameters(version, p)
end

return request
