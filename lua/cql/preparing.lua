--- Statements that a session prepares by itself: known by their text, and prepared once, however
--- many ask.
local C = require("cql.ffi").C
local error_of = require "cql.error"
local host = require "cql.host"
local queue_of = require "cql.queue"
local request_of = require "cql.request"
local statement_of = require "cql.statement"

local take, submit, discard = request_of.take, request_of.submit, request_of.discard
local LATER, await = request_of.LATER, request_of.await

local STATEMENTS_MAX = 1000 -- of a session

local preparing_of = {}

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

--- What a statement means depends on the keyspace: those that are on their way go to who waits for
-- them, and are not remembered.
local function forget_statements(session)
  session.statements, session.preparing = statement_of.cache(STATEMENTS_MAX), {}
end

-- Statements are known by their text, and by the keyspace that was asked for with them.
local function key_of(text, options)
  local keyspace = options and options.keyspace
  return type(keyspace) == "string" and keyspace .. "\0" .. text or text
end

--- The statement of this text, if it has been prepared.
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

--- The statement of this text, prepared if it isn't yet; several who ask for it at once share one
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

preparing_of.forget, preparing_of.known, preparing_of.statement = forget_statements, known, prepared

return preparing_of
