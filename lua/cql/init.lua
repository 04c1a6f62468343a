--- cql: Apache Cassandra and ScyllaDB from LuaJIT.
--
--   local cql = require "cql"
--   local session = assert(cql.connect { contact_points = { "127.0.0.1" } })
--   for row in assert(session:execute "SELECT cluster_name FROM system.local"):each() do
--     print(row.cluster_name)
--   end
local library = require "cql.ffi"
local ffi = require "ffi"
local host = require "cql.host"
local connect = require "cql.connect"
local error_of = require "cql.error"
local null = require "cql.null"
local types = require "cql.types"

---@class cql
local cql = { _VERSION = ffi.string(library.C.cql_version()) }

--- null in a list or tuple, and where a null is meant to be written.
cql.null = null.null
--- A value that is not written at all: the column keeps what it has.
cql.unset = null.unset

--- A decimal from text: "1.50" keeps its two places. Prints as text; equal if it is as a number.
cql.decimal = types.decimal
--- An integer of any length, from text, a number or an int64. Prints as text.
cql.varint = types.varint
--- A duration: from text ("1mo2d3h"), or from { months =, days =, nanoseconds = }.
cql.duration = types.duration
--- A random uuid (version 4), as text.
cql.uuid = types.uuid
--- A time-based uuid (version 1) of now, as text.
cql.timeuuid = types.timeuuid

--- Connects to a cluster and waits until it can be asked, at most connect_timeout_ms. The options
--- are listed in docs/options.md; unknown ones raise.
---@param options table
---@return cql.Session?, cql.Error?
function cql.connect(options)
  local session, failure = connect(options, 2)
  return session, failure
end

--- Runs `call(...)` and all coroutines that it spawns until they have ended: calls in them let
--- each other run. Gives what `call` returned; an error in it is raised here.
---@param call function
---@param ... any its arguments
---@return any ...
cql.run = host.run
--- Runs `call(...)` in a coroutine of its own, from the next turn on. An error in it goes to
--- whoever waits for the task, and to the log if nobody does.
---@param call function
---@param ... any its arguments
---@return cql.Task
cql.spawn = host.spawn
--- Waits some milliseconds while others go on.
---@param ms number
cql.sleep = host.sleep
--- Milliseconds of a clock that never jumps.
---@return number
cql.now = host.now

--- Waits for futures or tasks: an array of their values in the same order, and nil; if one of
--- them failed, nil and the first error, after all have ended.
---@param list (cql.Future|cql.Task)[]
---@return any[]?, cql.Error?
function cql.wait_all(list)
  local values, first_failure = {}, nil
  for i = 1, #list do
    local value, failure = list[i]:wait()
    values[i] = value == nil and cql.null or value
    if failure and not first_failure then first_failure = failure end
  end
  if first_failure then return nil, first_failure end
  return values
end

--- Is this value an error of the driver or of a server?
---@param value any
---@return boolean
function cql.is_error(value) return error_of.is(value) end

return cql
