--- Tasks: what cql.spawn gives. `host` has report, waiter, wait and wake.
local error_of = require "cql.error"

return function(host)
  ---@class cql.Task
  local Task = {}
  Task.__index = Task

  -- The coroutine has ended with these values, or with an error and where it happened.
  local function ended(task, failure, traceback, ...)
    task.done, task.failure = true, failure
    task.count, task.values, task.traceback = select("#", ...), { ... }, traceback
    if failure ~= nil and not task.watched then
      host.report("error", "in a coroutine: " .. traceback)
    end
    local waiting = task.waiting
    if not waiting then return end
    task.waiting = nil
    for i = 1, #waiting do host.wake(waiting[i]) end
  end

  function Task:succeeded(...) ended(self, nil, nil, ...) end

  function Task:failed(failure, traceback)
    if failure == nil then failure = "nil" end
    ended(self, failure, traceback)
  end

  --- What the coroutine returned; nil and the error if it failed.
  ---@return any ...
  function Task:wait()
    if not self.done then
      self.watched = true
      local waiter = host.waiter()
      waiter.needs_others = true
      self.waiting = self.waiting or {}
      self.waiting[#self.waiting + 1] = waiter
      host.wait(nil, waiter)
    end
    local failure = self.failure
    if failure == nil then return unpack(self.values, 1, self.count) end
    if error_of.is(failure) then return nil, failure end
    return nil, error_of.driver("TASK_FAILED", self.traceback)
  end

  return Task
end
