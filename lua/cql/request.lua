--- Requests of the library: taken, given options, submitted, or given back.
local ffi = require "ffi"
local C = require("cql.ffi").C
local error_of = require "cql.error"
local failure_of = require "cql.failure"
local host = require "cql.host"
local pump = require "cql.pump"
local options_of = require "cql.options"

-- What each request needs, under names that never change: LuaJIT compiles such functions without
-- asking at each call what they are by now.
local new_waiter, wait, drive = host.waiter, host.wait, host.drive
local submit_to, misuse, closed = pump.submit, failure_of.misuse, failure_of.closed

local request_of = {}

local request_out = ffi.new "cql_request_t *[1]"

--- Before anything is submitted. Nothing, or a failure.
local function undriven(session)
  local driven, why = drive(session)
  if not driven then return error_of.driver("NO_DRIVER", why) end
end

--- In the place of a failure, for a future, which doesn't wait: what has to come first will send it
--- again. That is a statement, or room for one more request.
local LATER, NO_ROOM = {}, {}

--- Waits in `queue`, and gives what it is woken with. A future: nil and `later`.
local function await(session, queue, waiter, later)
  if waiter and waiter.resend then
    queue:push(waiter.resend)
    return nil, later
  end
  local own = new_waiter "seldom"
  queue:push(own)
  return wait(session, own)
end

-- As many are under way as may be: once some of them have ended. Whoever is woken for the room that
-- they left uses it, or wakes the next.
local function take_later(session, waiter)
  local status
  repeat
    local _, later = await(session, session.busy, waiter, NO_ROOM)
    if later then return nil, later end
    if not session.handle then return nil, closed(session) end
    local failure = undriven(session)
    if failure then
      pump.make_room(session)
      return nil, failure
    end
    status = C.cql_request_take(session.handle, request_out)
  until status ~= C.CQL_EBUSY
  if status == 0 then return request_out[0] end
  pump.make_room(session)
  return nil, error_of.status(status)
end

--- A request to fill, whose answer goes to `waiter`. No loops on this path: one that ends after its
-- first round is what LuaJIT can't compile, nor what calls it.
local function take(session, waiter)
  if not session.handle then return nil, closed(session) end
  local failure = undriven(session)
  if failure then return nil, failure end
  local status = C.cql_request_take(session.handle, request_out)
  if status == 0 then return request_out[0] end
  if status == C.CQL_EBUSY then return take_later(session, waiter) end
  return nil, error_of.status(status)
end

--- Gives the request back, and its room to whoever waits for it. Gives `failure`.
local function discard(session, request, failure)
  C.cql_request_discard(request)
  pump.make_room(session)
  return failure
end

--- Sets options, and submits. Gives a failure, or nil and the slot.
local function submit(session, waiter, request, statement, options, defaults, idempotent)
  local mode = session.mode
  if options or defaults or idempotent then
    local why, status
    mode, why, status = options_of.apply(request, mode, idempotent, defaults, options)
    if why then return discard(session, request, misuse(why)) end
    if status then return discard(session, request, error_of.status(status)) end
  end
  return nil, submit_to(session, request, waiter, mode, statement, options)
end

--- The same with the options of a prepared statement alone, which were made ready with it.
local function submit_ready(session, waiter, request, statement)
  local ready, mode = statement.ready, session.mode
  if ready then
    local status = C.cql_request_options(request, ready.struct)
    if status ~= 0 then return discard(session, request, error_of.status(status)) end
    mode = ready.mode
  end
  return nil, submit_to(session, request, waiter, mode, statement, nil)
end

request_of.undriven, request_of.await = undriven, await
request_of.LATER, request_of.NO_ROOM = LATER, NO_ROOM
request_of.take, request_of.discard = take, discard
request_of.submit, request_of.submit_ready = submit, submit_ready

return request_of
