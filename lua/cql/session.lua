--- Sessions: one cluster, its connections, and everything that is asked of it.
local ffi = require "ffi"
local C = require("cql.ffi").C
local error_of = require "cql.error"
local config = require "cql.config"
local host = require "cql.host"
local answer = require "cql.wait.answer"
local pump = require "cql.pump"
local options_of = require "cql.options"
local statement_of = require "cql.statement"
local batch_of = require "cql.batch"
local binder_of = require "cql.binder"
local buffer_of = require "cql.buffer"
local queue_of = require "cql.queue"
local future_of = require "cql.future"
local node_of = require "cql.node"
local result = require "cql.result"
local subscription_of = require "cql.subscription"
local paging = require "cql.paging"

-- What each request needs, under names that never change: LuaJIT compiles such functions without
-- asking at each call what they are by now.
local type, pcall = type, pcall
local new_waiter, wait, drive = host.waiter, host.wait, host.drive
local is_prepared, is_batch = statement_of.is, batch_of.is
local submit_to, encode_values = pump.submit, binder_of.encode

local STATEMENTS_MAX = 1000 -- that a session prepared by itself
local DRAIN_MS, DRAIN_MAX_MS = 5000, 24 * 3600000 -- of close()
local AGREEMENT_MS = 10000
local KEYSPACE_MAX = 200 -- bytes of a name

---@class cql.Session
local Session = {}
Session.__index = Session

local buffer = buffer_of.new() -- values on their way into a request
local request_out = ffi.new "cql_request_t *[1]"
local metrics_out = ffi.new "cql_metrics_t"

-- ---- failing ----

-- A failure that is a mistake in the program raises where the program called; level 0: as it is.
local function misuse(text, level) return { misuse = text, level = level or 2 } end

-- Always as `return refuse(...)`: a tail call, so that level 2 is the caller of the method.
local function refuse(failure)
  if failure.misuse then error(failure.misuse, failure.level) end
  return nil, failure
end

-- The same for who asks later.
local function error_from(failure)
  if not failure.misuse then return failure end
  return error_of.driver("MISUSE", tostring(failure.misuse))
end

local function closed(session)
  if getmetatable(session) ~= Session then
    return misuse "a session's functions are called with a colon: session:execute(...)"
  end
  return error_of.status(ffi.C.CQL_ECLOSED)
end

-- ---- taking and submitting ----

-- Before anything is submitted. Nothing, or a failure.
local function undriven(session)
  local driven, why = drive(session)
  if not driven then return error_of.driver("NO_DRIVER", why) end
end

-- In the place of a failure, for a future, which doesn't wait: what has to come first will send it
-- again. That is a statement, or room for one more request.
local LATER, NO_ROOM = {}, {}

-- Waits in `queue`, and gives what it is woken with. A future: nil and `later`.
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

-- A request to fill, whose answer goes to `waiter`. No loops on this path: one that ends after its
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

-- Gives the request back, and its room to whoever waits for it. Gives `failure`.
local function discard(session, request, failure)
  C.cql_request_discard(request)
  pump.make_room(session)
  return failure
end

-- Sets options, and submits. Gives a failure, or nil and the slot.
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

-- The same with the options of a prepared statement alone, which were made ready with it.
local function submit_ready(session, waiter, request, statement)
  local ready, mode = statement.ready, session.mode
  if ready then
    local status = C.cql_request_options(request, ready.struct)
    if status ~= 0 then return discard(session, request, error_of.status(status)) end
    mode = ready.mode
  end
  return nil, submit_to(session, request, waiter, mode, statement, nil)
end

local function send_text(session, waiter, text, options)
  local request, failure = take(session, waiter)
  if not request then return failure end
  local status = C.cql_request_query(request, text, #text)
  if status ~= 0 then return discard(session, request, error_of.status(status)) end
  return submit(session, waiter, request, text, options)
end

local NO_VALUES = {}

-- The values of a prepared statement, in the buffer. Their number and flags; or nil, a failure.
-- They may have metatables that raise, or that come back here.
local function encode(session, statement, values)
  buffer:reset()
  local round = buffer.resets
  local ok, count, flags = pcall(encode_values, statement.binder, buffer, values or NO_VALUES,
    session.version)
  if not ok then return nil, misuse(count, 0) end
  if buffer.resets ~= round then
    return nil, misuse "a value executed something while it was read"
  end
  if count then return count, flags end
  return nil, error_of.driver("VALUE", flags)
end

-- Gives a failure or nil.
local function fill_prepared(session, request, statement, values)
  C.cql_request_execute(request, statement.handle)
  local count, flags = encode(session, statement, values)
  if not count then return flags end
  local status = C.cql_bind_encoded(request, buffer.data, buffer.size, count, flags)
  if status ~= 0 then return error_of.status(status) end
end

local function send_prepared(session, waiter, statement, values, options)
  if statement.session ~= session then
    return misuse "this statement was prepared by another session"
  end
  local request, failure = take(session, waiter)
  if not request then return failure end
  failure = fill_prepared(session, request, statement, values)
  if failure then return discard(session, request, failure) end
  if not options then return submit_ready(session, waiter, request, statement) end
  return submit(session, waiter, request, statement, options, statement.options)
end

-- With the values as they were sent before.
local function send_bound(session, waiter, statement, bound, count, options)
  local request, failure = take(session, waiter)
  if not request then return failure end
  C.cql_request_execute(request, statement.handle)
  local status = C.cql_bind_encoded(request, bound, #bound, count, 0)
  if status ~= 0 then return discard(session, request, error_of.status(status)) end
  return submit(session, waiter, request, statement, options, statement.options)
end

-- ---- preparing ----

local Preparing = {}
Preparing.__index = Preparing

function Preparing:complete(handle, failure)
  local statement
  self.all[self.key] = nil
  if handle then
    local ok, made = pcall(statement_of.new, self.session, handle, self.text)
    if ok then
      statement = made
      self.statements:put(self.key, statement)
    else
      failure = error_of.driver("INTERNAL", tostring(made))
    end
  end
  for waiter in queue_of.pop, self.waiting do host.wake(waiter, statement, failure) end
end

-- What a statement means depends on the keyspace: those that are on their way go to who waits for
-- them, and are not remembered.
local function forget_statements(session)
  session.statements, session.preparing = statement_of.cache(STATEMENTS_MAX), {}
end

-- Statements are known by their text, and by the keyspace that was asked for with them.
local function key_of(text, options)
  local keyspace = options and options.keyspace
  return type(keyspace) == "string" and keyspace .. "\0" .. text or text
end

local function known(session, text, options)
  return session.statements:get(key_of(text, options))
end

local function start_preparing(session, waiter, key, text, options)
  local request, failure = take(session, waiter)
  if not request then return nil, failure end
  local preparing = setmetatable({
    session = session, statements = session.statements, all = session.preparing, key = key,
    text = text, waiting = queue_of.new(),
  }, Preparing)
  local status = C.cql_request_prepare(request, text, #text)
  if status ~= 0 then return nil, discard(session, request, error_of.status(status)) end
  local only = options and { keyspace = options.keyspace, timeout_ms = options.timeout_ms }
  failure = submit(session, preparing, request, text, only)
  if failure then return nil, failure end
  preparing.all[key] = preparing
  return preparing
end

-- The statement of this text, prepared if it isn't yet; several who ask for it at once share one
-- request.
local function prepared(session, waiter, text, options)
  local key = key_of(text, options)
  local statement = session.statements:get(key)
  if not statement and waiter and waiter.resend then statement = waiter.resend.found[text] end
  if statement then return statement end
  local preparing = session.preparing[key]
  if not preparing then
    local failure
    preparing, failure = start_preparing(session, waiter, key, text, options)
    if not preparing then return nil, failure end
  end
  return await(session, preparing.waiting, waiter, LATER)
end

-- ---- batches ----

local function add_to_batch(session, request, statement, values)
  if type(statement) == "string" then
    return C.cql_batch_add_query(request, statement, #statement, nil, 0, 0, 0)
  end
  local count, flags = encode(session, statement, values)
  if not count then return nil, flags end
  return C.cql_batch_add_prepared(request, statement.handle, buffer.data, buffer.size, count,
    flags)
end

-- Which statements the batch consists of, those of text with values prepared. That may take a
-- while, and the batch be filled anew meanwhile.
local function batch_statements(session, waiter, batch, options)
  local list, idempotent = {}, true
  local statements, values = batch.statements, batch.values
  for i = 1, batch.size do
    local statement = statements[i]
    if type(statement) == "string" and values[i] then
      local failure
      statement, failure = prepared(session, waiter, statement, options)
      if not statement then return nil, failure end
    end
    local is_text = type(statement) == "string"
    if not is_text and statement.session ~= session then
      return nil, misuse "a statement of this batch was prepared by another session"
    end
    list[i] = statement
    idempotent = idempotent and not is_text and statement.options and statement.options.idempotent
  end
  return list, idempotent
end

local function fill_batch(session, request, list, values)
  for i = 1, #list do
    local status, failure = add_to_batch(session, request, list[i], values[i] or nil)
    if not status then
      if failure.message then
        failure.message = ("statement %d of the batch: %s"):format(i, failure.message)
      end
      return failure
    end
    if status ~= 0 then return error_of.status(status) end
  end
end

local function send_batch(session, waiter, batch, values, options)
  if values ~= nil then return misuse "a batch has its own values: give nil for them" end
  if options and options.paging_state then return misuse "a batch has no pages" end
  if batch.size == 0 then return misuse "this batch is empty: add statements to it" end
  values = batch.values
  local list, idempotent = batch_statements(session, waiter, batch, options)
  if not list then return idempotent end
  local request, failure = take(session, waiter)
  if not request then return failure end
  local status = C.cql_request_batch(request, batch.type)
  if status ~= 0 then return discard(session, request, error_of.status(status)) end
  failure = fill_batch(session, request, list, values)
  if failure then return discard(session, request, failure) end
  return submit(session, waiter, request, batch, options, batch.options, idempotent)
end

-- ---- all kinds ----

-- Opens a paging state that a user gave; the options with the server's part of it.
local function open_paging(session, statement, values, options)
  if type(options.paging_state) ~= "string" then return options end
  local raw, failure = paging.open(options.paging_state, statement, values, session.version)
  if not raw then return nil, failure end
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  copy.paging_state = raw
  return copy
end

-- What is wrong with the kinds of the arguments; nil: nothing.
local function wrong_kinds(values, options)
  if values ~= nil and type(values) ~= "table" then
    return "values are a table, not a " .. type(values)
  end
  if options ~= nil and type(options) ~= "table" then
    return "options are a table, not a " .. type(options)
  end
end

-- Gives a failure, or nil and the slot. May wait, for a statement to be prepared or for room; if
-- `waiter` is to be sent again instead, the failure is LATER or NO_ROOM.
local function send(session, waiter, statement, values, options)
  if not session.handle then return closed(session) end
  local wrong = wrong_kinds(values, options)
  if wrong then return misuse(wrong) end
  if type(statement) == "string" then
    if values then
      local failure
      statement, failure = prepared(session, waiter, statement, options)
      if not statement then return failure end
    end
  elseif not is_prepared(statement) then
    if is_batch(statement) then return send_batch(session, waiter, statement, values, options) end
    return misuse("a statement is text, a prepared statement or a batch, not a "
      .. type(statement))
  end
  if options and options.paging_state then
    local failure
    options, failure = open_paging(session, statement, values, options)
    if not options then return failure end
  end
  if type(statement) == "string" then return send_text(session, waiter, statement, options) end
  return send_prepared(session, waiter, statement, values, options)
end

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

-- Stands in for a future whose request needs a statement first. Each that is prepared sends it
-- again, within the session's turn, where nothing may wait; until all are there.
local Resend = {}
Resend.__index = Resend

local function resend_of(future, statement, values, options)
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
    if not ok then failure = misuse(failure) end
  end
  if failure == NO_ROOM then return end
  if failure == LATER then return false end
  future.resend, future.tag = nil, slot
  if not failure then return end
  future:complete(nil, error_from(failure))
  return false
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
  local is_sound = self.handle and not wrong_kinds(values, options)
  if is_sound and is_unprepared(self, statement, values, options) then
    future.resend = resend_of(future, statement, values, options)
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
  local statement, failure = prepared(self, nil, text, options)
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

-- Asks for the next page of a result, with a deadline of its own. Gives a failure or nil.
function Session:request_page(page, waiter)
  local options = { paging_state = page.raw }
  for name, value in pairs(page.options or {}) do
    if name ~= "paging_state" then options[name] = value end
  end
  local failure
  if type(page.statement) == "string" then
    failure = send_text(self, waiter, page.statement, options)
  else
    failure = send_bound(self, waiter, page.statement, page.bound, page.bound_count, options)
  end
  return failure and error_from(failure)
end

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
  forget_statements(self) -- also if it failed, for it may be true of some connections
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

-- Fills a request as send() would, and nothing more: the request, or nil and a failure.
local function filled(session, statement, values, options)
  if type(statement) == "string" and values then
    local failure
    statement, failure = prepared(session, nil, statement, options)
    if not statement then return nil, failure end
  end
  local is_text = type(statement) == "string"
  if not is_text and not is_prepared(statement) then
    return nil, misuse("plans are of text and of prepared statements, not of a " .. type(statement))
  end
  if not is_text and statement.session ~= session then
    return nil, misuse "this statement was prepared by another session"
  end
  local request, failure = take(session, nil)
  if not request then return nil, failure end
  local mode, why, status
  if is_text then
    status = C.cql_request_query(request, statement, #statement)
    failure = status ~= 0 and error_of.status(status) or nil
  else
    failure = fill_prepared(session, request, statement, values)
  end
  if failure then return nil, discard(session, request, failure) end
  mode, why, status = options_of.apply(request, session.mode, nil,
    not is_text and statement.options or nil, options)
  if mode then return request end
  return nil, discard(session, request, why and misuse(why) or error_of.status(status))
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
  local request, failure = filled(self, statement, values, options)
  if not request then return refuse(failure) end
  local places = node_of.plan(request)
  discard(self, request)
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
function Session:refresh() return begin(self, C.cql_session_refresh) end

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
  return nil, failure
end

--- Do all nodes that are up have the same schema now?
---@return boolean?
---@return cql.Error?
function Session:check_schema_agreement()
  local agreed, failure = agreement(self, 0)
  local execution = failure and failure.execution
  if execution and execution.schema_agreed == false then return false end
  return agreed, failure
end

--- Waits until all nodes that are up have the same schema, for at most so long (10,000 if nil): the
--- error TIMEOUT then. A statement that changes the schema waits by itself.
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

--- Counters since the session began, and the state of now.
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
  forget_statements(session)
  host.attach(session)
  return session
end

return session_of
