--- Connecting: a session is opened, or shared by its name, and waited for.
local error_of = require "cql.error"
local gate_of = require "cql.gate"
local host = require "cql.host"
local session_of = require "cql.session"

local TIMEOUT_MS = 5000 -- connect_timeout_ms, unless the options say another
local GRACE_MS = 500 -- for the reason of a failed connect to come in before we give up

-- The event says more of why.
local function because(event, why)
  if not event then return why end
  local place = event.address and event.address .. ": " or ""
  return ("%s%s; %s"):format(place, event.message, why)
end

local function no_host(session)
  local why = because(session.last_warning, "no node answered within connect_timeout_ms")
  return error_of.driver("NO_HOST", because(session.last_failure, why))
end

-- true, or nil and an error.
local function wait_until_ready(session, timeout_ms)
  if session.failure then return nil, session.failure end
  local ok, why = host.drive(session)
  if not ok then return nil, error_of.driver("NO_DRIVER", why) end
  local gate = gate_of.new(host.waiter "seldom")
  session.gates[#session.gates + 1] = gate
  local ready, failure = gate:wait(session, timeout_ms)
  for i, one in ipairs(session.gates) do
    if one == gate then table.remove(session.gates, i) break end
  end
  if ready then return true end
  return nil, failure or no_host(session)
end

-- ---- shared by name ----

local named = {} -- name -> { session =, options = }, until the session ends

local function forget(session)
  for name, entry in pairs(named) do
    if entry.session == session then named[name] = nil end
  end
end

local COMPARED = { string = true, number = true, boolean = true }

-- The first option that one has and the other has not, or otherwise.
local function difference(one, other)
  for name, value in pairs(one) do
    if COMPARED[type(value)] and other[name] ~= value then return name end
  end
end

-- The session of this name; nil if there is none yet.
local function find(options, level)
  local entry = named[options.name]
  if not entry then return nil end
  local name = difference(options, entry.options) or difference(entry.options, options)
  if name then
    error(("session \"%s\" was connected with another %s: give one of them another name")
      :format(options.name, name), level + 1)
  end
  return entry.session
end

local function open(options, level)
  local session, failure = session_of.open(options, level + 1, forget)
  if session and options.name then
    local copy = {}
    for name, value in pairs(options) do copy[name] = value end
    named[options.name] = { session = session, options = copy }
  end
  return session, failure
end

--- As cql.connect(). A session with a name goes on trying when the time is over, and the next
--- who asks for it waits for it again; one without is closed.
---@return cql.Session?, cql.Error?
return function(options, level)
  if type(options) ~= "table" then error("connect takes a table of options", level + 1) end
  local session, failure = find(options, level + 1)
  if session and session.ready then return session end
  host.waiter "seldom" -- where waiting is a mistake, it says so before anything is opened
  if not session then session, failure = open(options, level + 1) end
  if not session then return nil, failure end
  local ready
  ready, failure = wait_until_ready(session, (options.connect_timeout_ms or TIMEOUT_MS) + GRACE_MS)
  if ready then return session end
  if session.failure or not options.name then session:close(0) end
  return nil, failure
end
