--- Paging: where the next page starts, and for which statement and values that holds.
--
-- What users get is a string of their own to keep or to hand on: a byte for this form, the
-- protocol version, a checksum of statement and values, then the server's state.
local ffi = require "ffi"
local error_of = require "cql.error"
local buffer_of = require "cql.buffer"
local future_of = require "cql.future"

local FORM = "\1"
local HEAD = 6

local Page = {}
Page.__index = Page

local paging = {}

--- `request`: { session, statement, values, options } as they were given to execute().
function paging.new(request, raw)
  request.raw = raw
  return setmetatable(request, Page)
end

-- FNV-1a, 32 bits: against mistakes, not against attackers; the server checks its own state.
local function checksum(statement, values, version)
  local hash = 0x811C9DC5ULL
  local function add(bytes, size)
    for i = 0, size - 1 do
      hash = bit.band(bit.bxor(hash, bytes[i]) * 0x01000193ULL, 0xFFFFFFFFULL)
    end
  end
  local text = type(statement) == "string" and statement or statement.text
  add(ffi.cast("const uint8_t *", text), #text)
  if type(statement) == "table" and statement.binder then
    local buffer = buffer_of.new()
    if statement.binder:encode(buffer, values or {}, version) then add(buffer.data, buffer.size) end
  end
  hash = tonumber(hash)
  local low, high = hash % 65536, math.floor(hash / 65536)
  return string.char(math.floor(high / 256), high % 256, math.floor(low / 256), low % 256)
end

--- The string for users.
---@return string
function Page:state()
  local version = self.session.version
  return FORM .. string.char(version) .. checksum(self.statement, self.values, version) .. self.raw
end

--- Asks for the page, unless that was done before.
function Page:start()
  if self.ahead then return end
  self.ahead = future_of.new(self.session)
  local failure = self.session:request_page(self, self.ahead)
  if failure then self.ahead:complete(nil, failure) end
end

--- Waits for the page.
function Page:next()
  self:start()
  return self.ahead:wait()
end

--- The server's part of a string that state() gave; nil and an error if it belongs to another
--- statement, to other values or to another protocol version.
---@return string?, cql.Error?
function paging.open(state, statement, values, version)
  if state:sub(1, 1) ~= FORM or #state < HEAD then
    return nil, error_of.driver("PAGING_STATE", "this is no paging state of this driver")
  end
  if state:byte(2) ~= version then
    return nil, error_of.driver("PAGING_STATE", ("this paging state is of protocol v%d, and the "
      .. "session speaks v%d: start with the first page"):format(state:byte(2), version))
  end
  if state:sub(3, HEAD) ~= checksum(statement, values, version) then
    return nil, error_of.driver("PAGING_STATE",
      "this paging state belongs to another statement or to other values")
  end
  return state:sub(HEAD + 1)
end

return paging
