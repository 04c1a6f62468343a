--- Failures on their way out: mistakes in the program, which raise where it called, and errors,
--- which it is given.
local error_of = require "cql.error"
local C = require("ffi").C

local failure = {}

--- A failure that is a mistake in the program raises where the program called; level 0: as it is.
function failure.misuse(text, level) return { misuse = text, level = level or 2 } end

--- Always as `return refuse(...)`: a tail call, so that level 2 is the caller of the method.
function failure.refuse(what)
  if what.misuse then error(what.misuse, what.level) end
  return nil, what
end

--- The same for who asks later.
function failure.error(what)
  if not what.misuse then return what end
  return error_of.driver("MISUSE", tostring(what.misuse))
end

--- Why a session without a handle does nothing.
function failure.closed(session)
  if type(session) ~= "table" or not session.slots then
    return failure.misuse "a session's functions are called with a colon: session:execute(...)"
  end
  return error_of.status(C.CQL_ECLOSED)
end

return failure
