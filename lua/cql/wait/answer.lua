--- Functions of users that are answered at once: those that decide or log. They may not wait, for
-- the session's turn would wait with them.

-- nginx puts functions of its own in the place of these, and keeps them under other names.
local function original(name) return rawget(coroutine, "_" .. name) or coroutine[name] end
local create, resume, status = original "create", original "resume", original "status"

local answer = {}

local answering -- the name of the function that runs now

-- Errors may be tables, of which __tostring may raise.
local function text_of(failure)
  local ok, text = pcall(tostring, failure)
  return ok and text or "an error that can't be shown"
end

--- Runs `call(...)`; true and what it gave, or false and why and where it failed. In a coroutine,
--- so that whatever yields in it comes back here.
function answer.run(name, call, ...)
  local outer = answering
  answering = name
  local thread = create(call)
  local ok, value = resume(thread, ...)
  answering = outer
  if status(thread) == "suspended" then return false, name .. " may not yield" end
  if ok then return true, value end
  return false, debug.traceback(thread, text_of(value))
end

--- Raises, if waiting is a mistake here: at `level`, or where waiter()'s caller was called.
function answer.refuse_waiting(level)
  if not answering then return end
  error(answering .. " may not wait: it is answered within the session's turn", level or 4)
end

--- Runs `call(...)`, which may read values of users; those may not wait. As pcall().
function answer.reading(name, call, ...)
  local outer = answering
  answering = name
  local ok, a, b = pcall(call, ...)
  answering = outer
  return ok, a, b
end

return answer
