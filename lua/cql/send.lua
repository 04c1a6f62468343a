--- Sending: how text, a prepared statement or a batch becomes a request on its way.
local C = require("cql.ffi").C
local error_of = require "cql.error"
local failure_of = require "cql.failure"
local batch_of = require "cql.batch"
local binder_of = require "cql.binder"
local buffer_of = require "cql.buffer"
local options_of = require "cql.options"
local paging = require "cql.paging"
local preparing_of = require "cql.preparing"
local request_of = require "cql.request"
local statement_of = require "cql.statement"

-- Under names that never change, for LuaJIT.
local type, pcall = type, pcall
local is_prepared, is_batch = statement_of.is, batch_of.is
local take, submit, submit_ready = request_of.take, request_of.submit, request_of.submit_ready
local discard, prepared = request_of.discard, preparing_of.statement
local misuse, closed, encode_values = failure_of.misuse, failure_of.closed, binder_of.encode

local send_of = {}

local buffer = buffer_of.new() -- values on their way into a request

local function send_text(session, waiter, text, options)
  local request, failure = take(session, waiter)
  if not request then return failure end
  local status = C.cql_request_query(request, text, #text)
  if status ~= 0 then return discard(session, request, error_of.status(status)) end
  return submit(session, waiter, request, text, options)
end

local NO_VALUES = {}

-- The values of a prepared statement, in the buffer. Their number; or nil, a failure.
-- They may have metatables that raise, or that come back here.
local function encode(session, statement, values)
  buffer:reset()
  local round = buffer.resets
  local ok, count, problem = pcall(encode_values, statement.binder, buffer, values or NO_VALUES,
    session.version)
  if not ok then return nil, misuse(count, 0) end
  if buffer.resets ~= round then
    return nil, misuse "a value executed something while it was read"
  end
  if count then return count end
  return nil, error_of.driver("VALUE", problem)
end

-- Gives a failure or nil.
local function fill_prepared(session, request, statement, values)
  C.cql_request_execute(request, statement.handle)
  local count, failure = encode(session, statement, values)
  if not count then return failure end
  local status = C.cql_bind_encoded(request, buffer.data, buffer.size, count)
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
  local status = C.cql_bind_encoded(request, bound, #bound, count)
  if status ~= 0 then return discard(session, request, error_of.status(status)) end
  return submit(session, waiter, request, statement, options, statement.options)
end

-- ---- batches ----

local function add_to_batch(session, request, statement, values)
  if type(statement) == "string" then
    return C.cql_batch_add_query(request, statement, #statement, nil, 0, 0)
  end
  local count, failure = encode(session, statement, values)
  if not count then return nil, failure end
  return C.cql_batch_add_prepared(request, statement.handle, buffer.data, buffer.size, count)
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

-- The options, with another paging state.
local function with_state(options, state)
  local copy = {}
  for name, value in pairs(options or {}) do copy[name] = value end
  copy.paging_state = state
  return copy
end

-- Opens a paging state that a user gave; the options with the server's part of it.
local function open_paging(session, statement, values, options)
  if type(options.paging_state) ~= "string" then return options end
  local raw, failure = paging.open(options.paging_state, statement, values, session.version)
  if not raw then return nil, failure end
  return with_state(options, raw)
end

--- What is wrong with the kinds of the arguments; nil: nothing.
local function wrong_kinds(values, options)
  if values ~= nil and type(values) ~= "table" then
    return "values are a table, not a " .. type(values)
  end
  if options ~= nil and type(options) ~= "table" then
    return "options are a table, not a " .. type(options)
  end
end

--- Gives a failure, or nil and the slot. May wait, for a statement to be prepared or for room; if
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

--- Fills a request as send() would, and nothing more: the request, or nil and a failure.
function send_of.fill(session, statement, values, options)
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

--- Asks for the next page of a result, with a deadline of its own. Gives a failure or nil.
function send_of.page(session, waiter, page)
  local options = with_state(page.options, page.raw)
  local failure
  if type(page.statement) == "string" then
    failure = send_text(session, waiter, page.statement, options)
  else
    failure = send_bound(session, waiter, page.statement, page.bound, page.bound_count, options)
  end
  return failure and failure_of.error(failure)
end

send_of.any, send_of.wrong_kinds = send, wrong_kinds

return send_of
