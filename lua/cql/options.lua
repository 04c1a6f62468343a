--- Options of one request: a table of users becomes the library's struct, and the way in which
--- rows are read.
local ffi = require "ffi"
local C = require("cql.ffi").C
local names = require "cql.names"
local bit = require "bit"
local node_of = require "cql.node"

---@class cql.Options all optional; what is not said is as the session says
---@field consistency string? "one", "local_quorum" ...
---@field serial_consistency "serial"|"local_serial"|nil
---@field page_size integer? rows of a page; 0: all at once
---@field paging_state string? where to go on: rows.paging_state of an earlier page
---@field timeout_ms integer? of the whole request, over all attempts
---@field idempotent boolean? twice is as good as once: may be sent again where it may have happened
---@field tracing boolean? the server keeps a trace: rows.execution.tracing_id
---@field timestamp number|ffi.cdata*|nil microseconds since 1970; an int64 where it matters
---@field server_timestamp boolean? send no timestamp: the server's clock decides
---@field now_in_seconds integer? the time that it takes for now, since 1970; v5
---@field keyspace string? of a text or batch, other than the session's; v5
---@field payload table<string, string>? custom payload, v4 and later
---@field skip_metadata boolean? v4: trust the columns that the prepare gave; v5 always does
---@field int64 "auto"|"cdata"|"number"|"string"|nil how 64-bit integers are read
---@field plain boolean? results fit for JSON
---@field array boolean? rows as arrays with n, in the order of rows.columns
---@field view boolean? read the rows in place: see cql.View
---@field node cql.Node? it goes to this node and to no other, or fails as NO_HOST if that is down
---@field shard integer? of that node (ScyllaDB)
---@field routing_key string|string[]|nil bytes of the partition key or its parts, of plain text
---@field token number|ffi.cdata*|nil the same by a token of Murmur3Partitioner
---@field agreement boolean? false: a change of the schema isn't waited for on other nodes
---@field prefetch boolean? rows:each() asks for the next page before it needs it

local options_of = {}

local struct = ffi.new "cql_options_t"

-- ---- modes: how rows are read ----

local INT64 = { auto = true, cdata = true, number = true, string = true }
local modes = {}

local function mode_of(int64, plain, array, view)
  local key = int64 .. (plain and " plain" or "") .. (array and " array" or "")
    .. (view and " view" or "")
  local mode = modes[key]
  if not mode then
    mode = { int64 = int64, plain = plain, array = array, view = view }
    modes[key] = mode
  end
  return mode
end

--- The mode of a session's configuration.
function options_of.mode(config)
  return mode_of(config.int64 or "auto", config.plain or false, config.array or false, false)
end

local function pick(value, standard)
  if value == nil then return standard end
  return value
end

local function mode_with(standard, options)
  local int64 = pick(options.int64, standard.int64)
  if not INT64[int64] then
    return nil, "option int64 takes \"auto\", \"cdata\", \"number\" or \"string\""
  end
  return mode_of(int64, pick(options.plain, standard.plain), pick(options.array, standard.array),
    pick(options.view, standard.view))
end

-- ---- fields of the struct ----

local CONSISTENCIES = {
  any = 0, one = 1, two = 2, three = 3, quorum = 4, all = 5, local_quorum = 6, each_quorum = 7,
  serial = 8, local_serial = 9, local_one = 10,
}

local function consistency(value, name)
  local number = type(value) == "string" and CONSISTENCIES[value:lower()]
  if number then return number end
  return nil, names.unknown(name, value, CONSISTENCIES)
end

local function whole(low, high)
  return function(value, name)
    if type(value) == "number" and value >= low and value <= high and value % 1 == 0 then
      return value
    end
    return nil, ("%s takes a whole number from %d to %d, not %s"):format(name, low, high,
      tostring(value))
  end
end

local int64 = ffi.typeof "int64_t"

local function timestamp(value, name)
  local number
  if type(value) == "number" and value % 1 == 0 and value < 2 ^ 53 then number = int64(value) end
  if ffi.istype(int64, value) then number = value end
  if number and number >= 0 then return number end
  return nil, name .. " takes microseconds since 1970: a whole number below 2^53, or an int64"
end

local function u16(n) return string.char(math.floor(n / 256), n % 256) end

local function payload(value, name)
  local keys, parts = {}, {}
  if type(value) ~= "table" then return nil, name .. " takes a table of strings" end
  for key, bytes in pairs(value) do
    if type(key) ~= "string" or type(bytes) ~= "string" or #key > 65535 then
      return nil, name .. " takes a table of strings"
    end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  if #keys > 65535 then return nil, name .. " takes at most 65,535 entries" end
  for i, key in ipairs(keys) do
    local size = #value[key]
    parts[i] = u16(#key) .. key .. u16(math.floor(size / 65536)) .. u16(size % 65536) .. value[key]
  end
  return u16(#keys) .. table.concat(parts)
end

local function text(value, name)
  if type(value) == "string" then return value end
  return nil, name .. " takes a string, not a " .. type(value)
end

local page_sizes = whole(0, 2 ^ 31 - 1)

-- What a value must be, by name. What it becomes goes into the struct's field of that name.
local CHECKS = {
  consistency = consistency,
  serial_consistency = function(value, name)
    local number = consistency(value, name)
    if number == 8 or number == 9 then return number end
    return nil, name .. " takes \"serial\" or \"local_serial\", not " .. tostring(value)
  end,
  page_size = function(value, name)
    local number, why = page_sizes(value, name)
    return number == 0 and -1 or number, why
  end,
  timeout_ms = whole(1, 24 * 3600000),
  timestamp = timestamp,
  now_in_seconds = whole(-2 ^ 31, 2 ^ 31 - 1),
  keyspace = text,
  paging_state = text,
  payload = payload,
}

local SLICES = { keyspace = true, paging_state = true, payload = true }

local FLAG_OF = { -- a value of this name sets that flag
  timestamp = ffi.C.CQL_OPTION_TIMESTAMP,
  now_in_seconds = ffi.C.CQL_OPTION_NOW_IN_SECONDS,
}
local SWITCHES = {
  idempotent = ffi.C.CQL_OPTION_IDEMPOTENT,
  tracing = ffi.C.CQL_OPTION_TRACING,
  server_timestamp = ffi.C.CQL_OPTION_SERVER_TIMESTAMP,
  skip_metadata = ffi.C.CQL_OPTION_SKIP_METADATA,
  agreement = ffi.C.CQL_OPTION_NO_AGREEMENT,
}
local INVERSE = { agreement = true } -- switches that set their flag when they are false

local BOOLEANS = { plain = true, array = true, view = true, prefetch = true } -- read elsewhere

local TARGET = { node = true, shard = true, routing_key = true, token = true } -- of the call alone

local known = { int64 = true }
for _, list in ipairs { BOOLEANS, CHECKS, SWITCHES, TARGET } do
  for name in pairs(list) do known[name] = true end
end

local function wrong_boolean(name, value)
  if type(value) ~= "boolean" then return name .. " takes true or false" end
end

local function set_switch(name, value)
  local why = wrong_boolean(name, value)
  if why then return why end
  local flag = SWITCHES[name]
  if INVERSE[name] then value = not value end
  struct.flags = value and bit.bor(struct.flags, flag) or bit.band(struct.flags, bit.bnot(flag))
end

-- `anchors` keeps strings alive that the struct points into.
local function set_value(name, value, anchors)
  local checked, why = CHECKS[name](value, name)
  if checked == nil then return why end
  if SLICES[name] then
    anchors[#anchors + 1] = checked
    struct[name].data, struct[name].length = ffi.cast("const uint8_t *", checked), #checked
  else
    struct[name] = checked
  end
  if FLAG_OF[name] then struct.flags = bit.bor(struct.flags, FLAG_OF[name]) end
end

local function set_all(options, anchors)
  for name, value in pairs(options) do
    local why
    if SWITCHES[name] then
      why = set_switch(name, value)
    elseif CHECKS[name] then
      why = set_value(name, value, anchors)
    elseif BOOLEANS[name] then
      why = wrong_boolean(name, value)
    elseif not known[name] then
      why = names.unknown("option", name, known)
    end
    if why then return why end
  end
end

-- The parts of a partition key as they are on the wire. nil, or a text for misuse.
local function set_routing_key(request, key)
  local parts = type(key) == "string" and { key } or key
  if type(parts) ~= "table" or #parts == 0 then
    return "routing_key takes the bytes of a partition key, or an array of those of its parts"
  end
  local slices = ffi.new("cql_slice_t[?]", #parts)
  for i, part in ipairs(parts) do
    if type(part) ~= "string" then return "routing_key takes strings, not a " .. type(part) end
    slices[i - 1].data, slices[i - 1].length = ffi.cast("const uint8_t *", part), #part
  end
  if C.cql_request_routing_key(request, slices, #parts) == 0 then return nil end
  return "routing_key can't be a partition key"
end

local function set_token(request, token)
  local is_exact = type(token) == "number" and token % 1 == 0 and math.abs(token) < 2 ^ 53
  if not is_exact and not ffi.istype(int64, token) then
    return "token takes a whole number below 2^53, or an int64"
  end
  if C.cql_request_token(request, token) == 0 then return nil end
  return "a request has one routing_key, or one token"
end

-- Has the request go where the options say. nil, or a text for misuse.
local function set_target(request, options)
  local why
  if options.routing_key ~= nil then why = set_routing_key(request, options.routing_key) end
  if options.token ~= nil then why = why or set_token(request, options.token) end
  if why then return why end
  local node, shard = options.node, options.shard
  if node == nil then return shard ~= nil and "shard goes with a node" or nil end
  if not node_of.is(node) then
    return "node takes a node, as session:nodes() gives them, not a " .. type(node)
  end
  if shard ~= nil and (type(shard) ~= "number" or shard < 0 or shard % 1 ~= 0) then
    return "shard takes a whole number from 0 on"
  end
  if C.cql_request_target(request, node.handle, shard or -1) == 0 then return nil end
  if not shard then return ("%s is of another session"):format(tostring(node)) end
  return ("this session has no shard %d of %s"):format(shard, tostring(node))
end

--- Options in the form that requests take, for one way of reading rows where they say none; nil
--- and a text for misuse.
---@return table?, string?
function options_of.ready(standard_mode, options)
  if type(options) ~= "table" then return nil, "options are a table, not a " .. type(options) end
  for _, name in ipairs { "paging_state", "node", "shard", "routing_key", "token" } do
    if options[name] ~= nil then return nil, name .. " is an option of execute()" end
  end
  C.cql_options_init(struct)
  local anchors = {}
  local why, mode = set_all(options, anchors), nil
  if not why then mode, why = mode_with(standard_mode, options) end
  if why then return nil, why end
  return { struct = ffi.new("cql_options_t", struct), mode = mode, anchors = anchors }
end

--- Sets the options of a request: those of the statement, then those of the call. `idempotent`:
--- what holds if neither says. Gives the mode; nil, a text for misuse, or nil, nil, a CQL_E*.
function options_of.apply(request, standard_mode, idempotent, of_statement, of_call)
  C.cql_options_init(struct)
  if idempotent then struct.flags = ffi.C.CQL_OPTION_IDEMPOTENT end
  local mode, anchors = standard_mode, {}
  for i = 1, 2 do
    local options = i == 1 and of_statement or i == 2 and of_call
    if options then
      local why = set_all(options, anchors)
      if not why then mode, why = mode_with(mode, options) end
      if not why and i == 2 then why = set_target(request, options) end
      if why then return nil, why end
    end
  end
  local status = C.cql_request_options(request, struct)
  if status ~= 0 then return nil, nil, status end
  return mode
end

return options_of
