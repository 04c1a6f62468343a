--- The simulator's library, and what its refusals become: mistakes of the script, raised where it
--- called.
local ffi = require "ffi"
local library = require "cql.library"

library.declare("cql_sim_counters_t", "cql.sim.cdef")
local C = library.load("CQL_SIM_LIBRARY", "cql.sim_core", "cql_sim")

local call = { C = C }

local HERE = debug.getinfo(1, "S").source:match "^(.*)library%.lua$"

--- Raises where the script called: at the first function that is not of these files.
function call.refuse(why)
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info or info.source:sub(1, #HERE) ~= HERE then break end
    level = level + 1
  end
  error(why, level)
end

--- The status of a call of the library, unless it was refused.
function call.check(world, status)
  if status >= 0 then return status end
  local why = ffi.string(C.cql_sim_error(world.handle))
  if why == "" then why = ffi.string(C.cql_error_text(status)) end
  call.refuse(why)
end

--- A slice as a string; nil: it is null.
function call.text_of(slice)
  if slice.length >= 0 then return ffi.string(slice.data, slice.length) end
end

return call
