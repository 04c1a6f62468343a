--- Prepared statements, and the session's memory of those that it prepared by itself.
local ffi = require "ffi"
local C = require("cql.ffi").C
local binder_of = require "cql.binder"

---@class cql.Statement a prepared statement; of the session that made it
---@field text string
---@field parameters string[] names of its markers, in order
---@field types string[] their types, as CQL writes them
local Statement = {}
Statement.__index = Statement

function Statement:__tostring() return "prepared statement: " .. self.text end

--- Has a ScyllaDB node marked it as a lightweight transaction (a conditional statement)?
---@return boolean
function Statement:is_lwt() return C.cql_prepared_is_lwt(self.handle) == 1 end

local statement = {}

--- `handle`: cql_prepared_t with a reference of its own, given up to the value.
function statement.new(session, handle, text)
  handle = ffi.gc(handle, C.cql_prepared_unref)
  local binder = binder_of.new(C.cql_prepared_parameters(handle))
  return setmetatable({
    session = session, handle = handle, text = text, binder = binder, parameters = binder.names,
    types = binder.types, options = false, ready = false,
  }, Statement)
end

--- The same statement with other options; `ready`: the same, by options_of.ready().
function statement.with(known, options, ready)
  local copy = {}
  for name, value in pairs(known) do copy[name] = value end
  copy.options, copy.ready = options, ready
  return setmetatable(copy, Statement)
end

local getmetatable = getmetatable

---@return boolean
function statement.is(value) return getmetatable(value) == Statement end

-- ---- those that a session prepared by itself ----

local Cache = {}
Cache.__index = Cache

--- Remembers up to `limit` statements; then one that was not used lately makes room: a hand goes
--- round and takes the first that was not asked for since it last came by.
function statement.cache(limit)
  return setmetatable({ limit = limit, by_key = {}, ring = {}, hand = 0, size = 0 }, Cache)
end

function Cache:get(key)
  local entry = self.by_key[key]
  if entry then
    entry.recent = true
    return entry.statement
  end
end

function Cache:put(key, known)
  local at = self.size + 1
  if self.size < self.limit then
    self.size = at
  else
    repeat
      at = self.hand % self.limit + 1
      self.hand = at
      local entry = self.ring[at]
      local keep = entry.recent
      entry.recent = false
    until not keep
    self.by_key[self.ring[at].key] = nil
  end
  local entry = { key = key, statement = known, recent = false }
  self.ring[at] = entry
  self.by_key[key] = entry
end

return statement
