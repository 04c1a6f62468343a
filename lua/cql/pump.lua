--- The pump: the one caller of cql_poll. It empties the library's queue into Lua and completes
--- whoever waits, by slots. No user code runs in it but what answers questions, and may not wait.
--
-- A slot belongs to one request of the library from submit to completion, whatever became of
-- whoever waits for it. Slots are reused, for a table whose keys only grow is rehashed for ever.
local ffi = require "ffi"
local C = require("cql.ffi").C
local error_of = require "cql.error"
local host = require "cql.host"
local result = require "cql.result"
local event_of = require "cql.event"
local question = require "cql.question"
local subscription_of = require "cql.subscription"
local queue_of = require "cql.queue"

local pcall, wake = pcall, host.wake
local decode_result, void = result.decode, result.void

local pump = {}

local BATCH = 256
local batch = ffi.new("cql_completion_t[?]", BATCH)

-- ---- slots ----

---@class cql.Slot
---@field number integer as the library gives it back
---@field waiter table|false false: it is free
---@field mode cql.Mode|false how rows are read
---@field statement string|cql.Statement|cql.Batch|false this and the next: for the next page
---@field options table|false
---@field next_free cql.Slot|false

--- The slots of a session, by their number; those that are free in a chain.
function pump.slots() return { free = false, free_count = 0, count = 0 } end

local function new_slot(slots)
  local number = slots.count + 1
  local slot = {
    number = number, waiter = false, mode = false, statement = false, options = false,
    next_free = false,
  }
  slots[number], slots.count = slot, number
  return slot
end

local function take(slots, waiter, mode)
  local slot = slots.free
  if slot then
    slots.free, slots.free_count = slot.next_free, slots.free_count - 1
  else
    slot = new_slot(slots)
  end
  slot.waiter, slot.mode = waiter, mode
  return slot
end

local function release(slots, slot)
  slot.waiter, slot.mode = false, false
  slot.statement, slot.options = false, false
  slot.next_free = slots.free
  slots.free, slots.free_count = slot, slots.free_count + 1
end

--- The number of a slot whose completion goes to `waiter`.
function pump.slot(session, waiter, mode) return take(session.slots, waiter, mode).number end

--- Gives a slot back that nothing was submitted with.
function pump.unused(session, number) release(session.slots, session.slots[number]) end

--- Submits the request; its answer completes `waiter`. Gives the slot's number.
function pump.submit(session, request, waiter, mode, statement, options)
  local slot = take(session.slots, waiter, mode)
  slot.statement, slot.options = statement, options or false
  local number = slot.number
  C.cql_submit(request, number)
  return number
end

-- ---- completions ----

-- The C result is freed here, unless a view took it.
local function decode(session, done, slot)
  local answer = done.result
  if done.status ~= 0 then return nil, result.failure(done) end
  if answer == nil then return void(session, done) end
  local kind = answer.kind
  if kind == C.CQL_RESULT_PREPARED then return C.cql_result_prepared(answer) end
  return decode_result(session, done, slot)
end

local function value_of(session, done, slot)
  local answer = done.result
  local is_view = answer ~= nil and answer.kind == C.CQL_RESULT_ROWS and slot.mode.view
  local ok, value, failure = pcall(is_view and result.view or decode, session, done, slot)
  if answer ~= nil and not (is_view and ok) then C.cql_result_free(answer) end
  if ok then return value, failure end
  return nil, error_of.driver("INTERNAL", tostring(value))
end

--- There is room for one more request: the first of those who wait for it may go on; those who have
--- gone meanwhile, or need none, don't count. Who is woken may come back here at once: that is
--- remembered, for there may be thousands.
local function make_room(session)
  session.rooms = session.rooms + 1
  if session.rooms > 1 then return end
  while session.rooms > 0 do
    local waiter = session.busy:pop()
    while waiter and wake(waiter) == false do waiter = session.busy:pop() end
    session.rooms = session.rooms - 1
  end
end
pump.make_room = make_room

--- Nobody but the caller runs until it has its answer: so it must not wait for room behind others,
--- who make no use of it now. `turned`: something may have ended; else that is waited for first.
function pump.clear_the_way(session, turned)
  local waiting, slots = session.busy, session.slots
  if not waiting.first or not (turned or slots.free_count == slots.count) then return end
  session.busy = queue_of.new()
  for waiter in queue_of.pop, waiting do wake(waiter) end
end

local function complete(session, c)
  local slots = session.slots
  local slot = slots[c.tag]
  local waiter = slot.waiter
  local value, failure = value_of(session, c, slot)
  release(slots, slot)
  wake(waiter, value, failure)
  if session.busy.first then make_room(session) end
end

-- ---- events ----

-- What a session does with its own events, before its users hear of them.
local OWN = {
  ready = function(session) session:on_ready() end,
  failed = function(session, event)
    local failure, last = event.error, session.last_failure
    if last and last.address then failure.message = last.address .. ": " .. failure.message end
    session:on_failed(failure)
  end,
  connection_failed = function(session, event) session.last_failure = event end,
  control_failed = function(session, event) session.last_failure = event end,
  resolve_failed = function(session, event) session.last_failure = event end,
  connection_opened = function(session) session:on_opened() end,
  warning = function(session, event)
    session.last_warning = event
    session:log("warning", (event.address and event.address .. ": " or "") .. event.message)
  end,
  closed = function(session) session.closed_told = true end,
}

local function handle_event(session, c)
  local name, subscriptions = event_of.names[c.code], session.subscriptions
  local own, handler = OWN[name], session.handlers[name]
  if not (own or handler or subscriptions.n > 0) then return end
  local event = event_of.of(c)
  if own then own(session, event) end
  if handler then host.handle(handler, event) end
  if subscriptions.n == 0 then return end
  session:count_dropped()
  subscription_of.each(subscriptions, "put", event)
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
      if kind == C.CQL_DONE then
        complete(session, c)
      elseif kind == C.CQL_EVENT then
        handle_event(session, c)
      else
        question.answer(session, c)
      end
    end
  until count < BATCH
  if session.closed_told then session:on_closed() end
end

--- The library can't go on (a forked child, a refused system call): all who wait get its error.
function pump.abandon(session, status)
  local slots = session.slots
  local failure = error_of.status(status)
  for number = 1, slots.count do
    local slot = slots[number]
    local waiter = slot.waiter
    if waiter then
      release(slots, slot)
      wake(waiter, nil, failure)
    end
  end
  session:on_failed(failure)
  session:end_subscriptions(failure)
  host.detach(session) -- a turn has nothing to do for it, and would not sleep for it
end

return pump
