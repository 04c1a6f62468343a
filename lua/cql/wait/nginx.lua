--- Waiting in nginx: light threads wait on semaphores. Where nginx lets nobody wait, the call
-- blocks and steps its session itself.
--
-- Each session has a driver, which is a timer's request with two light threads. The reader waits on
-- a unix socket to which poke writes a byte when the session wants a step. The flusher is woken by
-- the first request that is submitted in a turn of nginx's loop, and runs when all that is ready in
-- it has run: one write for the turn. Neither belongs to a request of a client, so it matters to
-- nobody when one of those is gone: its answer completes a waiter that no one looks at.
local ffi = require "ffi"
local semaphore = require "ngx.semaphore"
local C = require("cql.ffi").C
local answer = require "cql.wait.answer"
local clock = require "cql.wait.clock"
local error_of = require "cql.error"

local ngx, get_phase, exiting = ngx, ngx.get_phase, ngx.worker.exiting
local running = coroutine.running

local FOREVER_MS = 2 ^ 31 - 1
local PATIENCE_S = 11 -- a second more than a request's deadline, by default
local START_S = 1 -- by then a timer's light thread has begun, or it never will
local ALONE_S = 0.05 -- between two turns that a light thread takes itself for want of a reader
local IDLE_S = 1 -- between two looks for sessions that were left over
local WATCH_S = 60 -- between two where there can be none
local STEPS = 8 -- in one go, before others may run
local MANY = 8 -- sessions; most workers have one

local nginx = {}

nginx.now = clock.now

local LEVELS = { warning = ngx.WARN, error = ngx.ERR }

--- Warnings, and errors of light threads that nobody waits for, go to nginx's log.
function nginx.report(level, text) ngx.log(LEVELS[level] or ngx.NOTICE, "cql: ", text) end

local said = {}

-- What one line in the log is enough for.
local function report_once(level, text)
  if said[text] then return end
  said[text] = true
  nginx.report(level, text)
end

-- Runs `call(...)` soon, in a light thread of its own; nil and why not. In some phases nginx
-- raises instead.
local function soon(call, ...)
  local allowed, ok, why = pcall(ngx.timer.at, 0, call, ...)
  if allowed and ok then return true end
  return nil, ("nginx gives no timer: %s"):format(allowed and why or ok)
end

-- ---- drivers ----

-- ref: the session, held weakly, for one that nobody holds is collected; reader: its light thread
-- runs; starting: since when it should; late: it doesn't; flush: posted when `dirty` becomes true;
-- turns: how often it was; stays: it doesn't end for being idle.
local drivers = {} -- an array of those with a session
local keeping = false

local function live(driver)
  local session = driver.ref.session
  return session and session.handle
end

-- Does nobody wait for anything?
local function idle(session)
  local slots = session.slots
  if slots.free_count ~= slots.count or session.closing or session:is_heard() then return false end
  for _, gate in ipairs(session.gates) do
    if not gate.passed then return false end
  end
  return true
end

-- After each turn. A worker that exits is not held up by a session without requests.
local function settle(session)
  local handle = session.handle
  if not handle then return end
  if exiting() and idle(session) then
    C.cql_poke_stop(handle)
  else
    C.cql_poke_arm(handle)
  end
end

local function step(session, wait_ms)
  local result = C.cql_session_step(session.handle, wait_ms)
  if result < 0 then session:abandon(result) end
  session:move()
end

local function read(session)
  for _ = 1, STEPS do
    step(session, 0)
    if not session.handle or C.cql_session_timeout(session.handle) ~= 0 then break end
  end
end

local function flush(session)
  C.cql_session_flush(session.handle)
  if C.cql_session_timeout(session.handle) == 0 then step(session, 0) end
end

-- A turn of a light thread of the driver; what it doesn't come to is there at the next.
local function turn(driver, call)
  local session = driver.ref.session
  if not session or not session.handle then return end
  local ok, why = pcall(call, session)
  if not ok then nginx.report("error", "a turn failed: " .. why) end
  settle(session)
end

local function flusher(driver)
  while true do
    driver.flush:wait(FOREVER_MS / 1000)
    driver.dirty = false
    driver.turns = driver.turns + 1
    turn(driver, flush)
  end
end

-- Where the socket may be made, for as long as it takes to connect to it.
local DIRECTORIES = { "/tmp", "/dev/shm", ngx.config.prefix() }
local path = ffi.new "char[108]"

local function connect_in(driver, directory)
  local handle = live(driver)
  local status = C.cql_poke_listen(handle, directory, path, ffi.sizeof(path))
  if status ~= 0 then return nil, ffi.string(C.cql_error_text(status)) end
  local socket = ngx.socket.tcp()
  socket:settimeouts(1000, 1000, FOREVER_MS)
  local ok, why = socket:connect("unix:" .. ffi.string(path))
  handle = live(driver)
  if ok and handle then
    status = C.cql_poke_accept(handle)
    if status == 0 then return socket end
    why = ffi.string(C.cql_error_text(status))
  end
  if ok then socket:close() end
  if handle then C.cql_poke_stop(handle) end
  return nil, why
end

local function connect(driver)
  local reasons = {}
  for i, directory in ipairs(DIRECTORIES) do
    if not live(driver) then return nil end
    local socket, why = connect_in(driver, directory)
    if socket then return socket end
    reasons[i] = ("%s: %s"):format(directory, why)
  end
  return nil, table.concat(reasons, "; ")
end

-- Reads until the session stops poke, or is gone.
local function listen(driver)
  local socket, why = connect(driver)
  if not socket then
    if why then error("no unix socket: " .. why, 0) end
    return
  end
  repeat turn(driver, read) until not socket:receiveany(64)
  socket:close()
end

local function leave(driver)
  local session = driver.ref.session
  return not session or not session.handle or idle(session)
end

-- ---- exit ----

-- One of those that nobody asked for anything since the last look: under `lua_code_cache off` its
-- Lua state served one request and could not end while a light thread runs in it. What is needed
-- again after that stays.
local function is_left_over(driver)
  local unused = driver.turns == driver.turns_seen
  driver.turns_seen = driver.turns
  return unused and not driver.stays
end

local keep

-- A timer that is always pending, for nginx ends those before their time when a worker is about to
-- exit; until then it looks for sessions that were left over.
local function start_keeper(seconds)
  if keeping or exiting() then return end
  local ok, why = ngx.timer.at(seconds, keep)
  keeping = ok
  if not ok then report_once("warning", "the worker may be slow to exit: no timer: " .. why) end
end

-- Sends the reader home, if nobody waits for anything and it may go. A worker that exits waits for
-- nobody who only listens.
local function dismiss(driver, exits)
  local session = driver.ref.session
  if exits then session:end_subscriptions(error_of.driver("CLOSED", "the worker exits")) end
  if not idle(session) or not (exits or is_left_over(driver)) then return end
  driver.stays = true
  C.cql_poke_stop(session.handle)
end

function keep(exits)
  keeping = false
  local any, seconds = false, WATCH_S
  for i = #drivers, 1, -1 do
    local driver = drivers[i]
    if not live(driver) then
      table.remove(drivers, i)
    elseif driver.reader then
      if not driver.stays then seconds = IDLE_S end
      dismiss(driver, exits)
      any = true
    end
  end
  if any then start_keeper(seconds) end
end

-- The light thread of the timer: the reader.
local function drive(_, driver)
  driver.starting = nil
  if driver.reader then return end
  driver.reader, driver.late = true, false
  start_keeper(IDLE_S)
  local sender = ngx.thread.spawn(flusher, driver)
  repeat
    local ok, why = pcall(listen, driver)
    if not ok then
      nginx.report("error", "a session's reader begins anew: " .. why)
      ngx.sleep(START_S)
      turn(driver, read)
    end
  until leave(driver)
  driver.reader = false
  ngx.thread.kill(sender)
end

local function start(driver)
  if driver.starting and clock.now() - driver.starting < START_S * 1000 then return true end
  local ok, why = soon(drive, driver)
  if not ok then return nil, why end
  driver.starting = clock.now()
  return true
end

--- From now on the session is driven whenever there is something to do, until it is detached or
--- collected.
function nginx.attach(session)
  session.driver = {
    ref = setmetatable({ session = session }, { __mode = "v" }), flush = semaphore.new(0),
    dirty = false, reader = false, late = false, turns = 0,
  }
  drivers[#drivers + 1] = session.driver
  if #drivers > MANY then
    report_once("warning", "more than 8 sessions in a worker: give them a name, so that they are "
      .. "shared, or close them")
  end
end

function nginx.detach(session)
  C.cql_poke_stop(session.handle)
  for i = #drivers, 1, -1 do
    if drivers[i] == session.driver then table.remove(drivers, i) end
  end
end

-- ---- waiting ----

-- Where nginx lets Lua code wait.
local YIELDS = {
  rewrite = true, server_rewrite = true, access = true, content = true, timer = true,
  preread = true, ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true,
}

--- Before something is submitted: will it be sent, and its answer read? nil and why not.
function nginx.drive(session)
  local driver = session.driver
  if not driver.dirty then
    driver.dirty = true
    driver.flush:post(1)
  end
  if driver.reader then return true end
  local ok, why = start(driver)
  if ok or not YIELDS[get_phase()] then return true end -- who blocks drives it himself
  return nil, why .. "; raise lua_max_pending_timers, or have fewer timers"
end

local Waiter = {} -- of a light thread
Waiter.__index = Waiter
function Waiter:complete(a, b)
  self.done, self.a, self.b = true, a, b
  if not self.waiting then return true end
  local is_there = self.semaphore:count() < 0
  self.semaphore:post(1)
  return is_there
end

local Blocked = {} -- of a call that steps its session itself
Blocked.__index = Blocked
function Blocked:complete(a, b) self.done, self.a, self.b = true, a, b end

local pool, pool_count = {}, 0

local CROSSED = { [pcall] = true, [xpcall] = true } -- functions in C that LuaJIT yields across

-- The name of the C function that has called this code, and that nothing can yield across: require
-- while a module is loaded, table.sort and so on.
local function called_by_c()
  for level = 3, 200 do
    local frame = debug.getinfo(level, "nSf")
    if not frame then return nil end
    if frame.what == "C" and not CROSSED[frame.func] then return frame.name or "a C function" end
  end
end

local function blocked(where)
  if where == "init" then
    error("in init_by_lua there is no worker yet: connect in init_worker_by_lua, or when the first "
      .. "request comes", 0)
  end
  report_once("warning", "a call in " .. where .. " blocks the worker until it has its answer")
  return setmetatable({ where = where, done = false }, Blocked)
end

--- What to hand to whoever will complete it; then call wait() with it at once. `seldom`: such waits
--- are so rare that there is time to see whether this one must block.
function nginx.waiter(seldom)
  answer.refuse_waiting()
  local phase = get_phase()
  if not YIELDS[phase] then return blocked(phase) end
  local c_function = seldom and called_by_c()
  if c_function then return blocked(c_function) end
  local count = pool_count
  if count > 0 then
    local waiter = pool[count]
    pool[count], pool_count = nil, count - 1
    waiter.done = false
    return waiter
  end
  return setmetatable({ semaphore = semaphore.new(0), done = false, waiting = false }, Waiter)
end

--- Completes a waiter: it gets `a` and `b` from wait(). false: it has gone meanwhile.
function nginx.wake(waiter, a, b) return waiter:complete(a, b) end

--- Completes `gate` in `ms` milliseconds; its waiter is waited for next.
function nginx.after(ms, gate)
  gate.waiter.gate, gate.waiter.due = gate, clock.now() + ms
end

--- Its waiter has waited: nothing is left of it.
function nginx.forget() end

local function left_ms(waiter) return math.max(0, math.ceil(waiter.due - clock.now())) end

-- The waiter's time is over: now, or it can't be said otherwise.
local function expire(waiter)
  if not waiter.gate or waiter.done or clock.now() < waiter.due then return end
  waiter.gate:complete()
end

-- A light thread has waited for longer than any answer should take. So it looks itself.
local function look(session, waiter)
  if not session or not session.handle then return end
  local driver = session.driver
  local reads = driver.reader
  if not reads then
    driver.late = true
    report_once("error", "nobody reads for a session: no light thread began. Raise "
      .. "lua_max_running_timers")
    start(driver)
  end
  step(session, 0)
  if reads and waiter.done and waiter.a then
    nginx.report("warning", "an answer was there and nobody had been woken for it")
  end
  session:look_again() -- whoever was woken may have been ended before it ran
  settle(session)
end

local function patience(session, waiter)
  local driver, seconds = session and session.driver, PATIENCE_S
  if driver and not driver.reader then seconds = driver.late and ALONE_S or START_S end
  return waiter.gate and math.min(seconds, left_ms(waiter) / 1000) or seconds
end

local function wait(session, waiter)
  while not waiter.done do
    waiter.waiting = true
    local ok, why = waiter.semaphore:wait(patience(session, waiter))
    waiter.waiting = false
    if not ok and why ~= "timeout" then error("waiting is impossible: " .. why, 0) end
    expire(waiter)
    if not waiter.done then look(session, waiter) end
  end
  local a, b = waiter.a, waiter.b
  if waiter.gate then settle(session) end
  waiter.a, waiter.b, waiter.gate, waiter.needs_others = nil, nil, nil, nil
  if waiter.semaphore:count() == 0 then
    pool_count = pool_count + 1
    pool[pool_count] = waiter
  end
  return a, b
end

-- Blocks the worker. The library's deadlines end it.
local function block(session, waiter)
  if not session or waiter.needs_others then
    error("in " .. waiter.where .. " nobody else can run, so this can't be waited for", 0)
  end
  session:clear_the_way(false)
  while not waiter.done and session.handle do
    step(session, waiter.gate and left_ms(waiter) or -1)
    expire(waiter)
    session:clear_the_way(true)
  end
  settle(session)
  return waiter.a, waiter.b
end

--- Waits until the waiter is completed, and gives what it was completed with.
function nginx.wait(session, waiter)
  if waiter.done then return waiter.a, waiter.b end
  if getmetatable(waiter) == Waiter then return wait(session, waiter) end
  return block(session, waiter)
end

--- Runs `call`, a function that may not wait; it says why if it does.
nginx.answer = answer.run

-- ---- light threads ----

local Task = require "cql.wait.task"(nginx)

-- Light threads of cql.run and of cql.spawn in it -> { live = how many, waiter = of who waits }
local runs = setmetatable({}, { __mode = "k" })

local function traceback(failure) return { failure, debug.traceback(tostring(failure), 2) } end

local function task_ended(task, ok, ...)
  if ok then
    task:succeeded(...)
  else
    local failure = ...
    task:failed(failure[1], failure[2])
  end
  local run = task.run
  if not run then return end
  run.live = run.live - 1
  if run.live == 0 and run.waiter then run.waiter:complete() end
end

local function task_body(task, ...)
  runs[running() or false] = task.run
  task_ended(task, xpcall(task.call, traceback, ...))
end

local function timer_body(_, ...) return task_body(...) end

--- Runs `call(...)` in a light thread of this request, which ends with it at the latest; where
--- there can be none, in a timer's.
---@param call function
---@return cql.Task
function nginx.spawn(call, ...)
  if type(call) ~= "function" then error("cql.spawn takes a function", 2) end
  local run = runs[running() or false]
  local task = setmetatable({ call = call, done = false, run = run }, Task)
  if task.run then task.run.live = task.run.live + 1 end
  if YIELDS[get_phase()] then
    ngx.thread.spawn(task_body, task, ...)
  else
    local ok, why = soon(timer_body, task, ...)
    if not ok then task_ended(task, false, { error_of.driver("NO_DRIVER", why), why }) end
  end
  return task
end

-- ---- handlers of events ----

local handlers, handlers_due = {}, false

-- A timer for many: those that came in one turn.
local function run_handlers()
  handlers_due = false
  local list = handlers
  handlers = {}
  for i = 1, #list do
    local task = setmetatable({ call = list[i].call, done = false }, Task)
    ngx.thread.spawn(task_body, task, unpack(list[i], 1, list[i].count))
  end
end

--- Runs `call(...)` in a light thread of its own, which no request ends; no cql.run waits for it.
function nginx.handle(call, ...)
  handlers[#handlers + 1] = { call = call, count = select("#", ...), ... }
  if handlers_due then return end
  local ok, why = soon(run_handlers)
  handlers_due = ok
  if not ok then report_once("error", "handlers of events wait: " .. why) end
end

-- ---- what users call ----

--- Waits `ms` milliseconds; others go on meanwhile.
---@param ms number
function nginx.sleep(ms)
  if type(ms) ~= "number" or ms < 0 then error("cql.sleep takes milliseconds, 0 or more", 2) end
  answer.refuse_waiting()
  local phase = get_phase()
  if YIELDS[phase] then return ngx.sleep(math.max(ms, 1) / 1000) end -- it warns of shorter ones
  blocked(phase)
  clock.poll(nil, 0, ms)
end

--- Runs `call(...)`, and waits for all that it spawns. Gives what `call` returned; an error in it
--- is raised here.
---@param call function
---@return any ...
function nginx.run(call, ...)
  if type(call) ~= "function" then error("cql.run takes a function", 2) end
  local thread = running() or false
  if runs[thread] then error("cql.run is running already: use cql.spawn in it", 2) end
  local run = { live = 1 }
  local task = setmetatable({ call = call, done = false, run = run, watched = true }, Task)
  runs[thread] = run
  task_body(task, ...)
  runs[thread] = nil
  if task.failure ~= nil then
    error(type(task.failure) == "string" and task.traceback or task.failure, 0)
  end
  if run.live > 0 then
    run.waiter = nginx.waiter()
    run.waiter.needs_others = true
    nginx.wait(nil, run.waiter)
  end
  return unpack(task.values, 1, task.count)
end

return nginx
