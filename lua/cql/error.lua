--- Errors: what a call that failed gives as its second value. A table that prints and
-- concatenates as one readable line.
local ffi = require "ffi"
local C = require("cql.ffi").C

---@class cql.Error
---@field kind "server"|"driver" who refused: the server, or the driver itself
---@field name string READ_TIMEOUT, TIMEOUT, CONNECTION_LOST, CLOSED ...
---@field message string one line that says what happened, and what to do if that is known
---@field code integer? the server's error code [spec 9]
---@field execution cql.Execution? where it was executed; nil if it reached no server
---@field consistency string? of the phase that failed, and so on: fields of the server's error
local Error = {}
Error.__index = Error

function Error:__tostring()
  local code = self.code and (" (0x%04x)"):format(self.code) or ""
  return ("%s%s: %s"):format(self.name, code, self.message)
end

function Error.__concat(a, b) return tostring(a) .. tostring(b) end

-- Names that say more than those of the C library without their E.
local NAMES = {
  [ffi.C.CQL_ECONNECTION] = "CONNECTION_LOST",
  [ffi.C.CQL_ENOHOST] = "NO_HOST",
  [ffi.C.CQL_ETOOBIG] = "TOO_BIG",
  [ffi.C.CQL_ENOMEM] = "NO_MEMORY",
  [ffi.C.CQL_EPREPARED] = "REPREPARE_FAILED",
  [ffi.C.CQL_EINVAL] = "INVALID_CALL",
}

local error_of = {}

--- An error of the driver by a name of its own.
---@param name string
---@param message string
---@return cql.Error
function error_of.driver(name, message)
  return setmetatable({ kind = "driver", name = name, message = message }, Error)
end

--- An error of the driver by the number of the C library; `more` says what exactly.
---@param status integer
---@param more string?
---@return cql.Error
function error_of.status(status, more)
  local name = NAMES[status] or ffi.string(C.cql_error_name(status)):gsub("^E", "")
  local message = ffi.string(C.cql_error_text(status))
  if more and more ~= "" then message = more .. " (" .. message .. ")" end
  return error_of.driver(name, message)
end

--- A server's ERROR.
---@param code integer
---@param message string
---@return cql.Error
function error_of.server(code, message)
  local name = ffi.string(C.cql_server_error_name(code))
  return setmetatable({ kind = "server", name = name, code = code, message = message }, Error)
end

---@param value any
---@return boolean
function error_of.is(value) return getmetatable(value) == Error end

return error_of
