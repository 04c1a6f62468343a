--- Waiting in plain LuaJIT: coroutines of cql.run and cql.spawn yield, everyone else blocks.
--
-- One scheduler for all sessions of this Lua state. A turn of it steps the sessions (which is
-- where their requests leave and their answers arrive), moves what completed out of them, and
-- only then runs user code from one queue. So it may be entered again from user code: a call
-- that can't yield steps the sessions itself until its own answer is there.
local ffi = require "ffi"
local C = require("cql.ffi").C
local answer = require "cql.wait.answer"
local clock = require "cql.wait.clock"

local running, yield, create = coroutine.running, coroutine.yield, coroutine.create
local resume, status = coroutine.resume, coroutine.status

local plain = {}

-- ---- time ----

plain.now = clock.now
local now = plain.now

-- Sleepers: a heap by the time at which they are due, those of one time in order.
local heap, heap_count, sleep_serial = {}, 0, 0

local function earlier(a, b) return a.due < b.due or (a.due == b.due and a.serial < b.serial) end

local function heap_push(entry)
  heap_count = heap_count + 1
  local at = heap_count
  while at > 1 do
    local parent = math.floor(at / 2)
    if not earlier(entry, heap[parent]) then break end
    heap[at], at = heap[parent], parent
  end
  heap[at] = entry
end

local function heap_pop()
  local first, last = heap[1], heap[heap_count]
  heap[heap_count] = nil
  heap_count = heap_count - 1
  local at = 1
  while heap_count > 0 do
    local child = at * 2
    if child > heap_count then break end
    if child < heap_count and earlier(heap[child + 1], heap[child]) then child = child + 1 end
    if not earlier(heap[child], last) then break end
    heap[at], at = heap[child], child
  end
  if heap_count > 0 then heap[at] = last end
  return first
end

-- ---- the queue of coroutines that may go on ----

-- A ring of three columns: the coroutine, and two values that it gets.
local ring_thread, ring_a, ring_b = {}, {}, {}
local ring_mask, ring_head, ring_count = 63, 0, 0

local function ring_grow()
  local size = ring_mask + 1
  local thread, a, b = {}, {}, {}
  for i = 0, ring_count - 1 do
    local from = bit.band(ring_head + i, ring_mask)
    thread[i], a[i], b[i] = ring_thread[from], ring_a[from], ring_b[from]
  end
  ring_thread, ring_a, ring_b = thread, a, b
  ring_head, ring_mask = 0, size * 2 - 1
end

local function ready(thread, a, b)
  if ring_count > ring_mask then ring_grow() end
  local at = bit.band(ring_head + ring_count, ring_mask)
  ring_thread[at], ring_a[at], ring_b[at] = thread, a, b
  ring_count = ring_count + 1
end

-- ---- tasks ----

local Task = require "cql.wait.task"(plain)

local tasks = {} -- coroutine -> its task, while it lives
local current    -- the coroutine that the scheduler runs now

local function task_ended(task, ok, ...)
  tasks[task.thread] = nil
  if task.run then task.run.live = task.run.live - 1 end
  if ok then
    task:succeeded(...)
  else
    local failure = ...
    task:failed(failure, debug.traceback(task.thread, tostring(failure)))
  end
end

local function after_resume(thread, previous, ...)
  current = previous
  if status(thread) == "dead" then task_ended(tasks[thread], ...) end
end

local function run_ready()
  while ring_count > 0 do
    local at = ring_head
    local thread, a, b = ring_thread[at], ring_a[at], ring_b[at]
    ring_thread[at], ring_a[at], ring_b[at] = false, nil, nil
    ring_head = bit.band(at + 1, ring_mask)
    ring_count = ring_count - 1
    local previous = current
    current = thread
    after_resume(thread, previous, resume(thread, a, b))
  end
end

local function body(task) return task.call(unpack(task.arguments, 1, task.argument_count)) end

-- `run`: the cql.run that waits for it; nil: none does.
local function start(run, call, ...)
  local task = setmetatable({
    call = call, arguments = { ... }, argument_count = select("#", ...), thread = create(body),
    run = run,
  }, Task)
  tasks[task.thread] = task
  if run then run.live = run.live + 1 end
  ready(task.thread, task)
  return task
end

--- Runs `call(...)` in a coroutine of the scheduler, from its next turn on.
---@param call function
---@return cql.Task
function plain.spawn(call, ...)
  if type(call) ~= "function" then error("cql.spawn takes a function", 2) end
  return start(current and tasks[current].run, call, ...)
end

--- The same for handlers of events: no cql.run waits for them.
function plain.handle(call, ...) return start(nil, call, ...) end

--- Where warnings go, and errors of coroutines that nobody waits for.
function plain.report(level, text) io.stderr:write("cql: ", level, ": ", text, "\n") end

-- ---- waiting ----

local Blocked = {} -- a call that steps the sessions itself
Blocked.__index = Blocked
function Blocked:complete(a, b) self.done, self.a, self.b = true, a, b end

--- What to hand to whoever will complete it; then call wait() with it at once.
function plain.waiter()
  answer.refuse_waiting()
  local thread = running()
  if thread and thread == current then return thread end
  return setmetatable({}, Blocked)
end

--- Completes a waiter: it gets `a` and `b` from wait().
function plain.wake(waiter, a, b)
  if type(waiter) == "thread" then
    ready(waiter, a, b)
  else
    waiter:complete(a, b)
  end
end

-- ---- turns ----

local sessions = {} -- weak: a session that nobody holds is collected
local pollfds, pollfds_size = nil, 0

local function attached()
  for i = #sessions, 1, -1 do
    if not sessions[i].session then table.remove(sessions, i) end
  end
  return #sessions
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
local function step_all(count, wait_ms)
  if pollfds_size < count then
    pollfds_size = count * 2
    pollfds = ffi.new("struct cql_pollfd[?]", pollfds_size)
  end
  local list = {}
  for i = 1, count do
    local session = sessions[i].session
    list[i] = session
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
    local left = math.max(0, math.ceil(heap[1].due - now()))
    if wait_ms < 0 or left < wait_ms then wait_ms = left end
  end
  local count = attached()
  if count == 1 then
    step_one(sessions[1].session, wait_ms)
  elseif count > 1 then
    step_all(count, wait_ms)
  elseif wait_ms < 0 then
    error("everyone waits and nothing can wake them: there is no session and nobody sleeps", 0)
  elseif wait_ms > 0 then
    clock.poll(nil, 0, wait_ms)
  end
  wake_sleepers()
end

--- Waits until the waiter is completed, and gives what it was completed with.
function plain.wait(_, waiter)
  if type(waiter) == "thread" then return yield() end
  -- User code runs in the outermost wait; within one it does only when another coroutine is
  -- what is waited for.
  local runs_others = current == nil or waiter.needs_others
  while not waiter.done do
    if runs_others then run_ready() end
    if waiter.done then break end
    turn(runs_others and ring_count > 0 and 0 or -1)
  end
  return waiter.a, waiter.b
end

--- Completes `target` in `ms` milliseconds.
function plain.after(ms, target)
  sleep_serial = sleep_serial + 1
  heap_push { due = now() + ms, serial = sleep_serial, waiter = target }
end

--- Before something is submitted: will it be sent, and its answer read? Here the next turn does it.
function plain.drive() return true end

--- Runs `call`, a function that may not wait; it says why if it does.
plain.answer = answer.run

-- ---- what users call ----

--- Waits `ms` milliseconds; sessions go on meanwhile.
---@param ms number
function plain.sleep(ms)
  if type(ms) ~= "number" or ms < 0 then error("cql.sleep takes milliseconds, 0 or more", 2) end
  local waiter = plain.waiter()
  plain.after(ms, waiter)
  plain.wait(nil, waiter)
end

--- Runs `call(...)` and all coroutines that it spawns until they have ended. Gives what `call`
--- returned; an error in it is raised here.
---@param call function
---@return any ...
function plain.run(call, ...)
  if type(call) ~= "function" then error("cql.run takes a function", 2) end
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
