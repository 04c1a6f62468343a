--- Futures whose statements must be prepared first: something waits in their place, and sends them
--- again.
local answer = require "cql.wait.answer"
local batch_of = require "cql.batch"
local failure_of = require "cql.failure"
local preparing_of = require "cql.preparing"
local request_of = require "cql.request"
local send_of = require "cql.send"

local LATER, NO_ROOM = request_of.LATER, request_of.NO_ROOM
local is_batch, known, send = batch_of.is, preparing_of.known, send_of.any

-- Must something be prepared before this can be sent?
local function is_unprepared(session, statement, values, options)
  if type(statement) == "string" then
    return values and not known(session, statement, options)
  end
  if not is_batch(statement) then return false end
  for i = 1, statement.size do
    local text = statement.statements[i]
    if type(text) == "string" and statement.values[i] and not known(session, text, options) then
      return true
    end
  end
  return false
end

-- Each statement that is prepared sends it again, within the session's turn, where nothing may
-- wait; until all are there.
local Resend = {}
Resend.__index = Resend

local resend_of = {}

--- For what can't be sent at once; nil: it can.
function resend_of.new(future, statement, values, options)
  if not is_unprepared(future.session, statement, values, options) then return nil end
  return setmetatable({
    future = future, statement = statement, values = values, options = options, found = {},
  }, Resend)
end

-- false: it makes no use of the room that it was woken for, if it was.
function Resend:complete(statement, failure)
  local future, slot = self.future, nil
  if future.done then return false end -- cancelled
  if statement then self.found[statement.text] = statement end
  if not failure then
    local ok
    ok, failure, slot = answer.reading("a value", send, future.session, future, self.statement,
      self.values, self.options)
    if not ok then failure = failure_of.misuse(failure) end
  end
  if failure == NO_ROOM then return end
  if failure == LATER then return false end
  future.resend, future.tag = nil, slot
  if not failure then return end
  future:complete(nil, failure_of.error(failure))
  return false
end

return resend_of
