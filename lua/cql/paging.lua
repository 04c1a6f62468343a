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

--- `page`: { session, statement, options, prefetch } as they were given to execute(); raw: the
--- server's state; bound, bound_count: the values as they were sent.
function paging.new(page) return setmetatable(page, Page) end

local function text_of(statement)
  return type(statement) == "string" and statement or statement.text
end

-- FNV-1a, 32 bits: against mistakes, not against attackers; the server checks its own state.
local function checksum(text, values, size)
  local hash = 0x811C9DC5ULL
  local function add(bytes, count)
    for i = 0, count - 1 do
      hash = bit.band(bit.bxor(hash, bytes[i]) * 0x01000193ULL, 0xFFFFFFFFULL)
    end
  end
  add(ffi.cast("const uint8_t *", text), #text)
  add(values, size)
  hash = tonumber(hash)
  local low, high = hash % 65536, math.floor(hash / 65536)
  return string.char(math.floor(high / 256), high % 256, math.floor(low / 256), low % 256)
end

-- That of a statement with values that were not sent yet.
local function checksum_of(statement, values, version)
  local buffer = buffer_of.new()
  if type(statement) == "table" then statement.binder:encode(buffer, values or {}, version) end
  return checksum(text_of(statement), buffer.data, buffer.size)
end

--- The string for users.
---@return string
function Page:state()
  local version = self.session.version
  local bound = ffi.cast("const uint8_t *", self.bound)
  local sum = checksum(text_of(self.statement), bound, #self.bound)
  return FORM .. string.char(version) .. sum .. self.raw
end

--- Asks for the page, unless that was done already.
function Page:start()
  if self.ahead then return end
  self.ahead = future_of.new(self.session)
  local failure = self.session:request_page(self, self.ahead)
  if failure then self.ahead:complete(nil, failure) end
end

--- Waits for the page. It isn't kept: whoever holds the first page would hold all that were read.
function Page:next()
  self:start()
  local ahead = self.ahead
  self.ahead = nil
  return ahead:wait()
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
  if state:sub(3, HEAD) ~= checksum_of(statement, values, version) then
    return nil, error_of.driver("PAGING_STATE",
      "this paging state belongs to another statement or to other values")
  end
  return state:sub(HEAD + 1)
end

return paging
