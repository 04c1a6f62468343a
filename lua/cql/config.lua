--- Configuration: a table of options becomes the library's own; what only Lua uses stays here.
local ffi = require "ffi"
local C = require("cql.ffi").C
local event_of = require "cql.event"
local names = require "cql.names"

local config = {}

-- Options that the core doesn't know: their types.
local OWN = {
  authenticate = "function", distance = "function", endpoint = "function", log = "function",
  on = "table", name = "string", int64 = "string", plain = "boolean", array = "boolean",
}

-- Functions that answer questions of the core, which asks if it is told to.
local ASKED = { authenticate = "ask_authenticate", distance = "ask_distance",
  endpoint = "ask_endpoint" }

local known = {}
for name in pairs(OWN) do known[name] = true end
for i = 0, math.huge do
  local name = C.cql_config_option(i)
  if name == nil then break end
  known[ffi.string(name)] = true
end

local INT64 = { auto = true, cdata = true, number = true, string = true }

local function check_own(options, level)
  for name, kind in pairs(OWN) do
    local value = options[name]
    if value ~= nil and type(value) ~= kind then
      error(("option %s takes a %s, not a %s"):format(name, kind, type(value)), level + 1)
    end
  end
  if options.int64 and not INT64[options.int64] then
    error("option int64 takes \"auto\", \"cdata\", \"number\" or \"string\"", level + 1)
  end
  for name, handler in pairs(options.on or {}) do
    event_of.check(name, level + 1)
    if type(handler) ~= "function" then
      error(("on.%s takes a function, not a %s"):format(name, type(handler)), level + 1)
    end
  end
end

-- Texts go to C, where a zero byte ends them. This and the next are called by tail calls, which
-- are no level.
local function checked_text(name, text, level)
  if text:find "%z" then error(("option %s can't hold a zero byte"):format(name), level + 1) end
  return text
end

local function joined(name, list, level)
  if #list == 0 then error(("option %s: the array is empty"):format(name), level + 1) end
  for i, text in ipairs(list) do
    if type(text) ~= "string" then
      error(("option %s takes texts, and [%d] is a %s"):format(name, i, type(text)), level + 1)
    end
  end
  return checked_text(name, table.concat(list, ","), level)
end

-- Options that take an array of texts.
local LISTS = { contact_points = true, client_routes = true }

local function text_of(name, value, level)
  local kind = type(value)
  if kind == "string" then return checked_text(name, value, level) end
  if kind == "boolean" then return tostring(value) end
  if kind == "number" and value == math.floor(value) and math.abs(value) < 2 ^ 53 then
    return ("%d"):format(value)
  end
  if kind == "table" and LISTS[name] then return joined(name, value, level) end
  error(("option %s can't be %s"):format(name, kind == "number" and value or "a " .. kind),
    level + 1)
end

-- { tls = { ca =, verify = } } is the same as tls = true, tls_ca =, tls_verify =, and
-- { remote = { heartbeat_ms = } } as remote_heartbeat_ms =.
local function add_inner(flat, group, inner, level)
  for name, value in pairs(inner) do
    local whole = ("%s_%s"):format(group, name)
    if flat[whole] ~= nil then
      error(("options %s and %s.%s are the same"):format(whole, group, name), level + 1)
    end
    flat[whole] = value
  end
end

local function flatten(options, level)
  local tls, remote, flat = options.tls, options.remote, {}
  for name, value in pairs(options) do flat[name] = value end
  if type(tls) == "table" then
    flat.tls = true
    add_inner(flat, "tls", tls, level + 1)
  end
  if remote ~= nil then
    if type(remote) ~= "table" then
      error(("option remote takes a table, not a %s"):format(type(remote)), level + 1)
    end
    flat.remote = nil
    add_inner(flat, "remote", remote, level + 1)
  end
  return flat
end

--- The library's configuration, freed with the value; misuse raises at `level`.
---@param options table
---@param level integer
---@return ffi.cdata*
function config.build(options, level)
  options = flatten(options, level + 1)
  check_own(options, level + 1)
  local handle = C.cql_config_new()
  if handle == nil then error("not enough memory", level + 1) end
  handle = ffi.gc(handle, C.cql_config_free)
  local sorted = {}
  for name in pairs(options) do
    if name == 1 then
      error("options have names: connect { contact_points = { \"127.0.0.1\" } }", level + 1)
    end
    if not known[name] then error(names.unknown("option", name, known), level + 1) end
    if not OWN[name] then sorted[#sorted + 1] = name end
  end
  table.sort(sorted)
  for _, name in ipairs(sorted) do
    local status = C.cql_config_set(handle, name, text_of(name, options[name], level + 1))
    if status ~= 0 then
      local why = ffi.string(C.cql_config_error(handle))
      error(why ~= "" and why or "not enough memory", level + 1)
    end
  end
  for name, switch in pairs(ASKED) do
    if options[name] then C.cql_config_set(handle, switch, "true") end
  end
  return handle
end

--- The functions of a configuration that answer questions, by their names.
function config.asked(options)
  local asked = {}
  for name in pairs(ASKED) do asked[name] = options[name] end
  return asked
end

return config
