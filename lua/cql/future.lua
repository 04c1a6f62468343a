--- Futures: requests under way whose answer will be asked for later.
local C = require("cql.ffi").C
local error_of = require "cql.error"
local host = require "cql.host"

---@class cql.Future
local Future = {}
Future.__index = Future

local future = {}

function future.new(session)
  return setmetatable({ session = session, done = false }, Future)
end

-- For the session: the answer is there.
function Future:complete(value, failure)
  if self.done then return end
  self.done, self.value, self.failure, self.tag = true, value, failure, nil
  local waiting = self.waiting
  if not waiting then return end
  self.waiting = nil
  for i = 1, #waiting do host.wake(waiting[i], value, failure) end
end

--- Waits for the answer: what execute() would have given. May be called again.
---@return cql.Rows?, cql.Error?
function Future:wait()
  if self.done then return self.value, self.failure end
  local waiter = host.waiter()
  self.waiting = self.waiting or {}
  self.waiting[#self.waiting + 1] = waiter
  return host.wait(self.session, waiter)
end

--- Is the answer there? It comes while someone waits for anything.
---@return boolean
function Future:is_done() return self.done end

--- Gives the request up: wait() gives the error CANCELLED, unless the answer came before. The
--- server may still act on it.
---@return boolean cancelled false: it was done already, or its answer has come
function Future:cancel()
  if self.done then return false end
  local handle = self.session.handle
  if self.tag and handle then return C.cql_cancel(handle, self.tag) > 0 end
  self:complete(nil, error_of.driver("CANCELLED", "the request was cancelled before it was sent"))
  return true
end

return future
