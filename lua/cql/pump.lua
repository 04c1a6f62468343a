--- The pump: the one caller of cql_poll. It empties the library's queue into Lua and completes
--- whoever waits, by slots. No user code runs in it, but for authenticators, which may not wait.
--
-- A slot belongs to one request of the library from submit to completion, whatever became of
-- whoever waits for it. Slots are reused, for a table whose keys only grow is rehashed for ever.
local ffi = require "ffi"
local C = require("cql.ffi").C
local error_of = require "cql.error"
local host = require "cql.host"
local result = require "cql.result"
local config = require "cql.config"

local pump = {}

local BATCH = 256
local batch = ffi.new("cql_completion_t[?]", BATCH)

-- ---- slots ----

--- Columns by slot: who waits, and what was asked, for the next page.
function pump.slots()
  return { waiter = {}, mode = {}, statement = {}, values = {}, options = {}, free = {},
    free_count = 0, count = 0 }
end

--- A slot whose completion goes to `waiter`.
function pump.slot(session, waiter, mode)
  local slots = session.slots
  local slot
  local free_count = slots.free_count
  if free_count > 0 then
    slot = slots.free[free_count]
    slots.free_count = free_count - 1
  else
    slot = slots.count + 1
    slots.count = slot
  end
  slots.waiter[slot], slots.mode[slot] = waiter, mode
  return slot
end

--- Submits the request; its answer completes `waiter`. Gives the slot.
function pump.submit(session, request, waiter, mode, statement, values, options)
  local slots, slot = session.slots, pump.slot(session, waiter, mode)
  slots.statement[slot], slots.values[slot] = statement, values or false
  slots.options[slot] = options or false
  C.cql_submit(request, slot)
  return slot
end

local function release(slots, slot)
  slots.waiter[slot], slots.mode[slot] = false, false
  slots.statement[slot], slots.values[slot], slots.options[slot] = false, false, false
  local free_count = slots.free_count + 1
  slots.free[free_count] = slot
  slots.free_count = free_count
end

--- Gives a slot back that nothing was submitted with.
function pump.unused(session, slot) release(session.slots, slot) end

-- ---- completions ----

-- The C result is freed here, unless a view took it.
local function decode(session, done, slot)
  local answer = done.result
  if done.status ~= 0 then return nil, result.failure(done) end
  if answer == nil then return result.void(session, done) end
  local kind = answer.kind
  if kind == ffi.C.CQL_RESULT_PREPARED then return C.cql_result_prepared(answer) end
  return result.decode(session, done, slot)
end

local function value_of(session, done, slot)
  local answer = done.result
  if answer ~= nil and answer.kind == ffi.C.CQL_RESULT_ROWS and session.slots.mode[slot].view then
    return result.view(session, done, slot)
  end
  local ok, value, failure = pcall(decode, session, done, slot)
  if answer ~= nil then C.cql_result_free(answer) end
  if ok then return value, failure end
  return nil, error_of.driver("INTERNAL", tostring(value))
end

local function complete(session, c)
  local slots, slot = session.slots, c.tag
  local waiter = slots.waiter[slot]
  local value, failure = value_of(session, c, slot)
  release(slots, slot)
  host.wake(waiter, value, failure)
  local busy = session.busy
  if busy[1] then host.wake(table.remove(busy, 1)) end
end

-- ---- events and questions ----

local function event_of(c)
  local event = c.event
  return {
    name = config.event_names[c.code] or "event " .. c.code,
    address = ffi.string(event.address),
    message = ffi.string(event.message),
    error = c.status ~= 0 and error_of.status(c.status, ffi.string(event.message)) or nil,
  }
end

-- What a session does with its own events, before its users hear of them.
local OWN = {
  [ffi.C.CQL_EVENT_READY] = function(session) session:on_ready() end,
  [ffi.C.CQL_EVENT_FAILED] = function(session, event) session:on_failed(event.error) end,
  [ffi.C.CQL_EVENT_CONNECTION_FAILED] = function(session, event)
    session.last_failure = event
  end,
  [ffi.C.CQL_EVENT_CONNECTION_OPENED] = function(session) session:on_opened() end,
  [ffi.C.CQL_EVENT_WARNING] = function(session, event)
    session:log("warning", event.address .. (event.address ~= "" and ": " or "") .. event.message)
  end,
  [ffi.C.CQL_EVENT_CLOSED] = function(session) session.closed_told = true end,
}

local function handle_event(session, c)
  local event = event_of(c)
  local own = OWN[c.code]
  if own then own(session, event) end
  local handler = session.handlers[event.name]
  if handler then host.handle(handler, event) end
end

-- An authenticator gives the next token. No answer: PLAIN with the configured password.
local function handle_question(session, c)
  local event = c.event
  local challenge = event.data.length >= 0 and ffi.string(event.data.data, event.data.length) or nil
  local tag, about = c.tag, {
    address = ffi.string(event.address), mechanism = ffi.string(event.message),
  }
  local ok, token = host.answer("authenticate", session.authenticate, challenge, about)
  if ok and type(token) == "string" then
    C.cql_answer(session.handle, tag, token, #token)
    return
  end
  if not ok then
    session:log("error", "authenticate failed: " .. tostring(token))
  elseif token ~= nil then
    session:log("error", "authenticate must give a string or nil, not a " .. type(token))
  end
  C.cql_answer(session.handle, tag, nil, ffi.C.CQL_NULL)
end

-- ---- moving ----

--- Empties the library's queue. Waiters are completed; user code runs later.
function pump.move(session)
  local handle = session.handle
  if not handle then return end
  repeat
    local count = C.cql_poll(handle, BATCH, batch)
    for i = 0, count - 1 do
      local c = batch[i]
      local kind = c.kind
      if kind == ffi.C.CQL_DONE then
        complete(session, c)
      elseif kind == ffi.C.CQL_EVENT then
        handle_event(session, c)
      else
        handle_question(session, c)
      end
    end
  until count < BATCH
  if session.closed_told then session:on_closed() end
end

--- The library can't go on (a forked child, a refused system call): all who wait get its error.
function pump.abandon(session, status)
  local slots = session.slots
  local failure = error_of.status(status)
  for slot = 1, slots.count do
    local waiter = slots.waiter[slot]
    if waiter then
      release(slots, slot)
      host.wake(waiter, nil, failure)
    end
  end
  session:on_failed(failure)
end

return pump
