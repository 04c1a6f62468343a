--- Functions of users that are answered at once: those that decide or log. They may not wait, for
-- the session's turn would wait with them.

-- nginx puts functions of its own in the place of these, and keeps them under other names.
local function original(name) return rawget(coroutine, "_" .. name) or coroutine[name] end
local create, resume, status = original "create", original "resume", original "status"

local answer = {}

local answering -- the name of the function that runs now

--- Runs `call(...)`; true and what it gave, or false and why it failed. In a coroutine, so that
--- whatever yields in it comes back here.
function answer.run(name, call, ...)
  local outer = answering
  answering = name
  local thread = create(call)
  local ok, value = resume(thread, ...)
  answering = outer
  if status(thread) == "suspended" then return false, name .. " may not yield" end
  return ok, value
end

--- For waiter(): raises where its caller was called, if waiting is a mistake there.
function answer.refuse_waiting()
  if not answering then return end
  error(answering .. " may not wait: it is answered within the session's turn", 4)
end

return answer
