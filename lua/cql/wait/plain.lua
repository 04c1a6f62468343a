--- Waiting in plain LuaJIT: coroutines of cql.run and cql.spawn yield, everyone else blocks.
--
-- One scheduler for all sessions of this Lua state. A turn of it steps the sessions (which is
-- where their requests leave and their answers arrive), moves what completed out of them, and
-- only then runs user code from one queue. So it may be entered again from user code: a call
-- that can't yield steps the sessions itself until its own answer is there.
local ffi = require "ffi"
local new_table = require "table.new"
local C = require("cql.ffi").C
local answer = require "cql.wait.answer"
local clock = require "cql.wait.clock"

local running, yield, create = coroutine.running, coroutine.yield, coroutine.create
local resume, status = coroutine.resume, coroutine.status

local plain = {}

-- ---- time ----

plain.now = clock.now
local now = plain.now

-- Sleepers: a heap by the time at which they are due, those of one time in order. Each knows its
-- place, so that one that need not wait any longer leaves no trace.
local heap, heap_count, sleep_serial = {}, 0, 0

local function earlier(a, b) return a.due < b.due or (a.due == b.due and a.serial < b.serial) end

local function heap_rise(entry, at)
  while at > 1 do
    local parent = math.floor(at / 2)
    local above = heap[parent]
    if not earlier(entry, above) then break end
    heap[at], above.at, at = above, at, parent
  end
  heap[at], entry.at = entry, at
end

local function heap_sink(entry, at)
  while true do
    local child = at * 2
    if child > heap_count then break end
    if child < heap_count and earlier(heap[child + 1], heap[child]) then child = child + 1 end
    local below = heap[child]
    if not earlier(below, entry) then break end
    heap[at], below.at, at = below, at, child
  end
  heap[at], entry.at = entry, at
end

local function heap_push(entry)
  heap_count = heap_count + 1
  heap_rise(entry, heap_count)
end

local function heap_remove(entry)
  local at, last = entry.at, heap[heap_count]
  heap[heap_count] = nil
  heap_count = heap_count - 1
  if last == entry then return end
  heap_rise(last, at)
  heap_sink(last, last.at)
end

local function heap_pop()
  local first = heap[1]
  heap_remove(first)
  return first
end

-- ---- the queue of coroutines that may go on ----

-- A ring of three columns: the coroutine's waiter, and two values that it gets.
local RING_FIRST = 64
local function column(size) return new_table(size, 0) end
local ring_waiter, ring_a, ring_b = column(RING_FIRST), column(RING_FIRST), column(RING_FIRST)
local ring_size, ring_head, ring_count = RING_FIRST, 0, 0

local function ring_grow()
  local size = ring_size * 2
  local waiter, a, b = column(size), column(size), column(size)
  for i = 0, ring_count - 1 do
    local from = (ring_head + i) % ring_size
    waiter[i], a[i], b[i] = ring_waiter[from], ring_a[from], ring_b[from]
  end
  ring_waiter, ring_a, ring_b = waiter, a, b
  ring_head, ring_size = 0, size
end

local function ready(waiter, a, b)
  if ring_count == ring_size then ring_grow() end
  local at = ring_head + ring_count
  if at >= ring_size then at = at - ring_size end
  ring_waiter[at], ring_a[at], ring_b[at] = waiter, a, b
  ring_count = ring_count + 1
end

-- ---- tasks ----

local Task = require "cql.wait.task"(plain)

-- A call that waits: in a task always the same one; elsewhere one of its own, and the call steps
-- the sessions itself until it is done.
---@class cql.Waiter
---@field thread thread|false the coroutine of a task
---@field is_blocked boolean it is a task's, but a coroutine that the task made for itself waits
---@field needs_others boolean what it waits for is done by another coroutine
local Waiter = {}
Waiter.__index = Waiter
function Waiter:complete(a, b) self.done, self.a, self.b = true, a, b end

local function new_waiter(thread, task)
  return setmetatable({
    thread = thread, task = task, is_blocked = false, needs_others = false, done = false,
  }, Waiter)
end

local WAITING = {} -- what a task yields when it waits
local current      -- the waiter of the task that runs now

-- Those that have not ended, in a ring: what they wait for may be known to nobody but them and the
-- session that they hold, and the collector would take both.
local living = {}
living.following, living.previous = living, living

local function hold(task)
  local last = living.previous
  task.previous, task.following = last, living
  last.following, living.previous = task, task
end

local function let_go(task)
  task.previous.following, task.following.previous = task.following, task.previous
  task.previous, task.following = nil, nil
end

-- Errors may be tables, of which __tostring may raise.
local function text_of(failure)
  local ok, text = pcall(tostring, failure)
  return ok and text or "an error that can't be shown"
end

local function task_ended(task, ok, failure)
  let_go(task)
  if task.run then task.run.live = task.run.live - 1 end
  if ok then return end
  task:failed(failure, debug.traceback(task.waiter.thread, text_of(failure)))
end

-- A task that yields by itself would never be resumed, and whoever waits for it never woken.
local YIELDED = "coroutine.yield() in a coroutine of cql.run or cql.spawn: only what it resumes "
  .. "itself may yield (cql.sleep(0) lets others run)"

-- Whatever is called or yielded here is compiled by LuaJIT, up to the call and from there on.
local function run_ready()
  local previous = current
  while ring_count > 0 do
    local at = ring_head
    local waiter, a, b = ring_waiter[at], ring_a[at], ring_b[at]
    ring_waiter[at], ring_a[at], ring_b[at] = false, nil, nil
    ring_head = at + 1 < ring_size and at + 1 or 0
    ring_count = ring_count - 1
    current = waiter
    local ok, what = resume(waiter.thread, a, b)
    if what ~= WAITING then
      local ended = status(waiter.thread) == "dead"
      task_ended(waiter.task, ok and ended, ended and what or YIELDED)
    end
  end
  current = previous
end

local function body(task)
  task:succeeded(task.call(unpack(task.arguments, 1, task.argument_count)))
end

-- `run`: the cql.run that waits for it; nil: none does.
local function start(run, call, ...)
  local task = setmetatable({
    call = call, arguments = { ... }, argument_count = select("#", ...), run = run,
  }, Task)
  task.waiter = new_waiter(create(body), task)
  if run then run.live = run.live + 1 end
  hold(task)
  ready(task.waiter, task)
  return task
end

--- Runs `call(...)` in a coroutine of the scheduler, from its next turn on.
---@param call function
---@return cql.Task
function plain.spawn(call, ...)
  if type(call) ~= "function" then error("cql.spawn takes a function", 2) end
  return start(current and current.task.run, call, ...)
end

--- The same for handlers of events: no cql.run waits for them.
function plain.handle(call, ...) return start(nil, call, ...) end

--- Where warnings go, and errors of coroutines that nobody waits for.
function plain.report(level, text) io.stderr:write("cql: ", level, ": ", text, "\n") end

-- ---- waiting ----

--- What to hand to whoever will complete it; then call wait() with it at once.
function plain.waiter()
  answer.refuse_waiting()
  return current or new_waiter(false)
end

--- Completes a waiter: it gets `a` and `b` from wait(). false: it has gone meanwhile.
function plain.wake(waiter, a, b)
  if waiter.thread and not waiter.is_blocked then
    ready(waiter, a, b)
  else
    return waiter:complete(a, b)
  end
end

-- ---- turns ----

local WAIT_MAX_MS = 2 ^ 31 - 1 -- an int of C

local sessions = {} -- weak: a session that nobody holds is collected
local pollfds, pollfds_size = nil, 0

-- The first that is still there, and an array of all where there are several: held from here on,
-- for the collector may come at any time.
local function attached()
  local first, list
  for i = #sessions, 1, -1 do
    local session = sessions[i].session
    if not session then
      table.remove(sessions, i)
    elseif list then
      list[#list + 1] = session
    elseif first then
      list = { first, session }
    else
      first = session
    end
  end
  return first, list
end

--- From now on turns step this session too, until it is detached or collected.
function plain.attach(session)
  sessions[#sessions + 1] = setmetatable({ session = session }, { __mode = "v" })
end

function plain.detach(session)
  for i = #sessions, 1, -1 do
    if sessions[i].session == session then table.remove(sessions, i) end
  end
end

local function step_one(session, wait_ms)
  local result = C.cql_session_step(session.handle, wait_ms)
  if result < 0 then session:abandon(result) end
  session:move()
end

-- Several: all flushed, then one poll over their descriptors, then each takes its step.
local function step_all(list, wait_ms)
  local count = #list
  if pollfds_size < count then
    pollfds_size = count * 2
    pollfds = ffi.new("struct cql_pollfd[?]", pollfds_size)
  end
  for i = 1, count do
    local session = list[i]
    C.cql_session_flush(session.handle)
    local timeout = C.cql_session_timeout(session.handle)
    if timeout >= 0 and (wait_ms < 0 or timeout < wait_ms) then wait_ms = timeout end
    pollfds[i - 1].fd, pollfds[i - 1].events = C.cql_session_fd(session.handle), 1
  end
  clock.poll(pollfds, count, wait_ms)
  for i = 1, count do
    if list[i].handle then step_one(list[i], 0) end
  end
end

local function wake_sleepers()
  if heap_count == 0 then return end
  local time = now()
  while heap_count > 0 and heap[1].due <= time do plain.wake(heap_pop().waiter) end
end

-- Waits at most `wait_ms` (-1: for ever) for something to happen.
local function turn(wait_ms)
  if heap_count > 0 then
    local left = math.min(math.max(0, math.ceil(heap[1].due - now())), WAIT_MAX_MS)
    if wait_ms < 0 or left < wait_ms then wait_ms = left end
  end
  local first, list = attached()
  if list then
    step_all(list, wait_ms)
  elseif first then
    step_one(first, wait_ms)
  elseif wait_ms < 0 then
    error("everyone waits and nothing can wake them: there is no session and nobody sleeps", 0)
  elseif wait_ms > 0 then
    clock.poll(nil, 0, wait_ms)
  end
  wake_sleepers()
end

-- User code runs in the outermost wait; within one it does only when another coroutine is what is
-- waited for.
local function block(session, waiter)
  local runs_others, turned = current == nil or waiter.needs_others, false
  while not waiter.done do
    if runs_others then
      run_ready()
    elseif session then
      session:clear_the_way(turned)
    end
    if waiter.done then break end
    turn(runs_others and ring_count > 0 and 0 or -1)
    turned = true
  end
  return waiter.a, waiter.b
end

-- In a coroutine that the task made for itself: that blocks, and the task with it.
local function block_within(session, waiter)
  waiter.is_blocked, waiter.done = true, false
  local ok, a, b = pcall(block, session, waiter)
  waiter.is_blocked, waiter.needs_others, waiter.a, waiter.b = false, false, nil, nil
  if not ok then error(a, 0) end
  return a, b
end

--- Waits until the waiter is completed, and gives what it was completed with.
function plain.wait(session, waiter)
  if not waiter.thread then return block(session, waiter) end
  -- Asked last, for LuaJIT compiles neither running() nor yield(), but all around them; for the
  -- same reason yield() is no tail call.
  if running() ~= waiter.thread then return block_within(session, waiter) end
  if waiter.needs_others then waiter.needs_others = false end
  local a, b = yield(WAITING)
  return a, b
end

local function sleep(ms, target)
  sleep_serial = sleep_serial + 1
  local entry = { due = now() + ms, serial = sleep_serial, waiter = target, at = 0 }
  heap_push(entry)
  return entry
end

--- Completes `gate` in `ms` milliseconds, unless it is forgotten before.
function plain.after(ms, gate) gate.alarm = sleep(ms, gate) end

function plain.forget(gate)
  if heap[gate.alarm.at] == gate.alarm then heap_remove(gate.alarm) end
end

--- Before something is submitted: will it be sent, and its answer read? Here the next turn does it.
function plain.drive() return true end

--- Runs `call`, a function that may not wait; it says why if it does.
plain.answer = answer.run

-- ---- what users call ----

--- Waits `ms` milliseconds; sessions go on meanwhile.
---@param ms number
function plain.sleep(ms)
  local is_time = type(ms) == "number" and ms >= 0 -- NaN is none
  if not is_time then error("cql.sleep takes milliseconds, 0 or more", 2) end
  local waiter = plain.waiter()
  sleep(ms, waiter)
  plain.wait(nil, waiter)
end

--- Runs `call(...)` and all coroutines that it spawns until they have ended. Gives what `call`
--- returned; an error in it is raised here.
---@param call function
---@return any ...
function plain.run(call, ...)
  if type(call) ~= "function" then error("cql.run takes a function", 2) end
  answer.refuse_waiting(3)
  if current then error("cql.run is running already: use cql.spawn in it", 2) end
  local own = { live = 0 }
  local task = start(own, call, ...)
  task.watched = true
  local function ended() return task.done and (own.live == 0 or task.failure ~= nil) end
  while not ended() do
    run_ready()
    if ended() then break end
    turn(ring_count > 0 and 0 or -1)
  end
  if task.failure ~= nil then
    error(type(task.failure) == "string" and task.traceback or task.failure, 0)
  end
  return unpack(task.values, 1, task.count)
end

return plain
