--- Sessions: one cluster, its connections, and everything that is asked of it.
local ffi = require "ffi"
local C = require("cql.ffi").C
local error_of = require "cql.error"
local failure_of = require "cql.failure"
local config = require "cql.config"
local host = require "cql.host"
local pump = require "cql.pump"
local options_of = require "cql.options"
local statement_of = require "cql.statement"
local batch_of = require "cql.batch"
local queue_of = require "cql.queue"
local future_of = require "cql.future"
local node_of = require "cql.node"
local preparing_of = require "cql.preparing"
local request_of = require "cql.request"
local resend_of = require "cql.resend"
local result = require "cql.result"
local send_of = require "cql.send"
local subscription_of = require "cql.subscription"

-- What each request needs, under names that never change: LuaJIT compiles such functions without
-- asking at each call what they are by now.
local new_waiter, wait, drive = host.waiter, host.wait, host.drive
local send, wrong_kinds = send_of.any, send_of.wrong_kinds
local misuse, refuse, closed = failure_of.misuse, failure_of.refuse, failure_of.closed
local LATER, NO_ROOM, undriven = request_of.LATER, request_of.NO_ROOM, request_of.undriven

local DRAIN_MS, DRAIN_MAX_MS = 5000, 24 * 3600000 -- of close()
local AGREEMENT_MS = 10000
local KEYSPACE_MAX = 200 -- bytes of a name

---@class cql.Session
local Session = {}
Session.__index = Session

local metrics_out = ffi.new "cql_metrics_t"

--- Runs a statement: text, prepared, or a batch. Text with values is prepared by itself, once. In
--- a coroutine of cql.run or cql.spawn (in nginx: of a request or timer) it lets others run
--- meanwhile; elsewhere it blocks.
---@param statement string|cql.Statement|cql.Batch
---@param values table? by position, or by name; nil or a hole: unset; cql.null: null
---@param options cql.Options?
---@return cql.Rows|cql.View|nil rows an empty table for what gives none
---@return cql.Error?
function Session:execute(statement, values, options)
  local waiter = new_waiter()
  local failure = send(self, waiter, statement, values, options)
  if failure then return refuse(failure) end
  return wait(self, waiter)
end

--- As execute(), without waiting for the answer: gives a future at once. Many may be under way.
--- Values are read before it returns, unless the statement has to be prepared first; then they
--- are read when it is.
---@param statement string|cql.Statement|cql.Batch
---@param values table?
---@param options cql.Options?
---@return cql.Future
function Session:submit(statement, values, options)
  local future = future_of.new(self)
  if self.handle and not wrong_kinds(values, options) then
    future.resend = resend_of.new(future, statement, values, options)
  end
  local failure, slot = send(self, future, statement, values, options)
  if failure == LATER or failure == NO_ROOM then return future end
  future.resend, future.tag = nil, slot
  if failure and failure.misuse then return refuse(failure) end
  if failure then future:complete(nil, failure) end
  return future
end

--- Prepares a statement. Its options hold for each execution that doesn't say otherwise.
---@param text string
---@param options cql.Options?
---@return cql.Statement?, cql.Error?
function Session:prepare(text, options)
  if not self.handle then return refuse(closed(self)) end
  if type(text) ~= "string" then error("prepare takes the statement as text", 2) end
  local ready, why
  if options ~= nil then
    ready, why = options_of.ready(self.mode, options)
    if not ready then return refuse(misuse(why)) end
  end
  local statement, failure = preparing_of.statement(self, nil, text, options)
  if not statement then return refuse(failure) end
  return ready and statement_of.with(statement, options, ready) or statement
end

--- A new batch, to be filled by batch:add() and given to execute().
---@param kind "logged"|"unlogged"|"counter"|nil logged if nil
---@param options cql.Options?
---@return cql.Batch
function Session:batch(kind, options)
  if options ~= nil then
    local ready, why = options_of.ready(self.mode, options)
    if not ready then return refuse(misuse(why)) end
  end
  return batch_of.new(kind, options)
end

-- For paging: see send.lua.
function Session:request_page(page, waiter) return send_of.page(self, waiter, page) end

--- Changes the keyspace on all connections. The name is taken as it stands: it is case-sensitive.
---@param keyspace string
---@return boolean? true
---@return cql.Error?
function Session:use(keyspace)
  if not self.handle then return refuse(closed(self)) end
  if type(keyspace) ~= "string" or keyspace == "" or #keyspace > KEYSPACE_MAX
    or keyspace:find "%z" then
    error("use takes the name of a keyspace, 1 to 200 bytes", 2)
  end
  local failure = undriven(self)
  if failure then return nil, failure end
  local waiter = new_waiter "seldom"
  local slot = pump.slot(self, waiter, self.mode)
  local status = C.cql_session_use(self.handle, keyspace, #keyspace, slot)
  if status ~= 0 then
    pump.unused(self, slot)
    if status ~= C.CQL_EBUSY then return nil, error_of.status(status) end
    return nil, error_of.driver("BUSY", "another session:use() is under way: wait for it first")
  end
  local rows
  rows, failure = wait(self, waiter)
  preparing_of.forget(self) -- also if it failed, for it may be true of some connections
  if not rows then return nil, failure end
  return true
end

-- ---- the cluster ----

--- The nodes of the cluster by their addresses, with what is known of them now.
---@return cql.Node[]?, cql.Error?
function Session:nodes()
  if not self.handle then return refuse(closed(self)) end
  local status = C.cql_session_metrics(self.handle, metrics_out)
  if status < 0 then return nil, error_of.status(status) end -- in a forked child
  return node_of.all(self)
end

--- Where a statement with these values would go: first the replicas of its partition key, nearest
--- first, then the other nodes. Among equals the session prefers who is up and less busy. Which
--- nodes have a key is known of prepared statements, and of text with values. Each place can be
--- given to execute() as the options `node` and `shard`.
---@param statement string|cql.Statement
---@param values table?
---@param options cql.Options?
---@return cql.Place[]?, cql.Error?
function Session:plan(statement, values, options)
  if not self.handle then return refuse(closed(self)) end
  local wrong = wrong_kinds(values, options)
  if wrong then return refuse(misuse(wrong)) end
  local request, failure = send_of.fill(self, statement, values, options)
  if not request then return refuse(failure) end
  local places = node_of.plan(request)
  request_of.discard(self, request)
  return places
end

-- What the library does in turns to come: true, or nil and an error.
local function begin(session, call)
  if not session.handle then return refuse(closed(session)) end
  local failure = undriven(session)
  if failure then return nil, failure end
  local status = call(session.handle)
  if status ~= 0 then return nil, error_of.status(status) end
  return true
end

--- Has the nodes and tokens of the cluster read again, as happens by itself when the cluster tells
--- of a change. Does not wait for it: the event `topology` follows.
---@return boolean? true
---@return cql.Error?
function Session:refresh()
  local begun, failure = begin(self, C.cql_session_refresh)
  if failure and failure.name == "UNSUPPORTED" then
    failure.message = "with discover = false the contact points are all the nodes: nobody is asked"
  end
  return begun, failure
end

--- Asks the function `distance` of the configuration again for every node: after what it goes by
--- has changed. Connections are opened and closed accordingly; no request fails for it.
---@return boolean? true
---@return cql.Error?
function Session:refresh_distances() return begin(self, C.cql_session_refresh_distances) end

-- Looks whether the nodes agree, for so long.
local function agreement(session, timeout_ms)
  if not session.handle then return refuse(closed(session)) end
  local failure = undriven(session)
  if failure then return nil, failure end
  local waiter = new_waiter "seldom"
  local slot = pump.slot(session, waiter, session.mode)
  local status = C.cql_session_agreement(session.handle, timeout_ms, slot)
  if status ~= 0 then
    pump.unused(session, slot)
    return nil, error_of.status(status)
  end
  local rows
  rows, failure = wait(session, waiter)
  if rows then return true end
  if failure.name == "TIMEOUT" then
    local differ = failure.execution and failure.execution.schema_agreed == false
    failure.message = differ and "the nodes still have different schemas"
      or "no node told in that time which schemas there are"
  end
  return nil, failure
end

--- Do all nodes that are up and not ignored have the same schema now?
---@return boolean?
---@return cql.Error?
function Session:check_schema_agreement()
  local agreed, failure = agreement(self, 0)
  local execution = failure and failure.execution
  if execution and execution.schema_agreed == false then return false end
  return agreed, failure
end

--- Waits until all nodes that are up and not ignored have the same schema, for at most so long
--- (10,000 if nil): the error TIMEOUT then. A statement that changes the schema waits by itself.
---@param timeout_ms integer?
---@return boolean? true
---@return cql.Error?
function Session:wait_schema_agreement(timeout_ms)
  timeout_ms = timeout_ms or AGREEMENT_MS
  if type(timeout_ms) ~= "number" or not (timeout_ms >= 1 and timeout_ms <= DRAIN_MAX_MS) then
    error("wait_schema_agreement takes milliseconds, 1 to 86400000", 2)
  end
  return agreement(self, timeout_ms)
end

--- Events of this session from now on, in a queue of their own that holds `options.size` of them
--- (1,000); then the oldest are lost, and the next one read says how many were. Read them with
--- subscription:next(), and end it with subscription:close(). The filter is a name, an array of
--- names, or a function of the event that may not wait; nil: all.
---@param filter string|string[]|function|nil
---@param options table? size
---@return cql.Subscription?, cql.Error?
function Session:subscribe(filter, options)
  if not self.handle then return refuse(closed(self)) end
  self:count_dropped() -- before it: nothing to it
  return (subscription_of.new(self, filter, options, 2))
end

-- ---- state ----

local METRICS = {
  "requests", "completed", "timeouts", "retries", "bytes_sent", "bytes_received", "writes",
  "reads", "connections_opened", "connections_failed", "connections_lost", "unknown_streams",
  "events_dropped", "tablets_refused", "statements_warmed", "features_refused", "in_flight",
  "queued", "taken", "own", "orphans", "connections", "protocol_version",
}

--- Counters since the session began, and the state of now: the fields of cql_metrics_t in
--- include/cql.h, by their names.
---@return table<string, number>?, cql.Error?
function Session:metrics()
  if not self.handle then return nil, closed(self) end
  local status = C.cql_session_metrics(self.handle, metrics_out)
  if status < 0 then return nil, error_of.status(status) end
  local metrics = {}
  for _, name in ipairs(METRICS) do metrics[name] = tonumber(metrics_out[name]) end
  return metrics
end

--- The state in words, for people: nodes, connections, streams. Not for parsing.
---@return string
function Session:dump()
  if not self.handle then return "session: closed\n" end
  local size = 4096
  while true do
    local out = ffi.new("char[?]", size)
    local length = C.cql_session_dump(self.handle, out, size)
    if length < 0 then return "session: " .. tostring(error_of.status(length)) .. "\n" end
    if length < size then return ffi.string(out, length) end
    size = length + 1
  end
end

Session.__tostring = Session.dump

--- Takes nothing new, lets what is under way finish for at most `drain_ms` (5,000 if nil), ends
--- the rest with the error CLOSED, and frees everything.
---@param drain_ms integer?
---@return boolean? true
---@return cql.Error?
function Session:close(drain_ms)
  if not self.handle then return true end
  drain_ms = drain_ms or DRAIN_MS
  if type(drain_ms) ~= "number" or not (drain_ms >= 0 and drain_ms <= DRAIN_MAX_MS) then
    error("close takes milliseconds, 0 to 86400000", 2)
  end
  local waiter = new_waiter() -- where waiting is a mistake, it says so before anything is closed
  self.on_end(self)
  local status = C.cql_session_close(self.handle, drain_ms)
  if status < 0 then return nil, error_of.status(status) end
  self.closing = self.closing or {}
  self.closing[#self.closing + 1] = waiter
  drive(self)
  wait(self, waiter)
  return true
end

-- ---- what the pump tells ----

function Session:move() return pump.move(self) end

function Session:clear_the_way(turned) return pump.clear_the_way(self, turned) end
function Session:abandon(status) return pump.abandon(self, status) end

function Session:look_again()
  pump.make_room(self)
  subscription_of.each(self.subscriptions, "look_again")
end

function Session:end_subscriptions(failure)
  local list = self.subscriptions
  self.subscriptions = subscription_of.list()
  subscription_of.each(list, "finish", failure)
end

-- The library keeps so many events between two turns and no more: then it drops the oldest, and
-- subscribers may have lost some.
function Session:count_dropped()
  C.cql_session_metrics(self.handle, metrics_out)
  local before, dropped = self.events_dropped, tonumber(metrics_out.events_dropped)
  if dropped == before then return end
  self.events_dropped = dropped
  subscription_of.each(self.subscriptions, "miss", dropped - before)
end

-- Does somebody wait for an event?
function Session:is_heard() return subscription_of.each(self.subscriptions, "is_heard") or false end

function Session:log(level, text)
  local log = self.log_function
  local ok, why = true, nil
  if log then
    ok, why = host.answer("log", log, level, text)
  end
  if not log or not ok then host.report(level, text) end
  if not ok then host.report("error", "log failed: " .. tostring(why)) end
end

function Session:on_opened()
  if C.cql_session_metrics(self.handle, metrics_out) == 0 then
    self.version = metrics_out.protocol_version
  end
end

-- Tells those who wait in connect().
local function pass(session, ready, failure)
  local gates = session.gates
  session.gates, session.ready, session.failure = {}, ready, failure
  for i = 1, #gates do gates[i]:complete(ready, failure) end
end

function Session:on_ready()
  self:on_opened()
  pass(self, true)
end

function Session:on_failed(failure)
  self.on_end(self)
  pass(self, false, failure)
end

function Session:on_closed()
  local handle = self.handle
  if not handle then return end
  pass(self, false, closed(self))
  host.detach(self)
  self.handle = nil
  C.cql_session_free(ffi.gc(handle, nil))
  for waiter in queue_of.pop, self.busy do host.wake(waiter) end
  self:end_subscriptions(closed(self))
  for _, waiter in ipairs(self.closing or {}) do host.wake(waiter, true) end
  self.closing = nil
end

-- ---- opening ----

local session_of = {}

local function nothing() end

--- A session that begins to connect; nil and an error. Mistakes in the options raise at `level`.
--- `on_end(session)` is called when it starts closing, or has failed for good.
---@return cql.Session?, cql.Error?
function session_of.open(options, level, on_end)
  local built = config.build(options, level + 1)
  local out = ffi.new "cql_session_t *[1]"
  local status = C.cql_session_new(built, out)
  if status ~= 0 then
    local why = ffi.string(C.cql_config_error(built))
    if status == C.CQL_EOPTION then return nil, error_of.driver("OPTION", why) end
    return nil, error_of.status(status, why)
  end
  local session = setmetatable({
    handle = ffi.gc(out[0], C.cql_session_free), slots = pump.slots(), busy = queue_of.new(),
    rooms = 0, gates = {}, shapes = {}, void_cache = result.new_cache(), version = 5,
    mode = options_of.mode(options), handlers = options.on or {},
    log_function = options.log, asked = config.asked(options),
    subscriptions = subscription_of.list(), events_dropped = 0,
    on_end = on_end or nothing,
  }, Session)
  preparing_of.forget(session)
  host.attach(session)
  return session
end

return session_of
