--- Gates: a wait that ends when it is completed, or when its time is over.
local host = require "cql.host"

---@class cql.Gate
---@field passed boolean?
---@field waiter cql.Waiter?
local Gate = {}
Gate.__index = Gate

local gate = {}

--- The gate of a waiter, to be completed by whoever is waited for; then wait() for it.
function gate.new(waiter) return setmetatable({ waiter = waiter }, Gate) end

--- false: it was completed before, or the waiter has gone.
function Gate:complete(a, b)
  if self.passed then return false end
  local waiter = self.waiter
  self.passed, self.waiter = true, nil
  return host.wake(waiter, a, b)
end

--- Gives what it was completed with; nothing if `ms` milliseconds (nil: for ever) are over first.
function Gate:wait(session, ms)
  if ms then host.after(ms, self) end
  local a, b = host.wait(session, self.waiter)
  if ms then host.forget(self) end
  return a, b
end

return gate
