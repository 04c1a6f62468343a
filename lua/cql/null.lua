--- Null and unset, the two values that Lua has no word for.
--
-- A nil can't stand in a list, nor be told from what was left out. So null is a value of its own:
-- nginx's where there is one, which is cjson's too; elsewhere one that prints as "null".
local ffi = require "ffi"

local function word(text)
  local value = newproxy(true)
  getmetatable(value).__tostring = function() return text end
  return value
end

local null = _G.ngx and _G.ngx.null or word "null"
local unset = word "unset"

-- cjson's null and nginx's are the same: a light userdata of address 0. Lua code can't make one,
-- so it is kept when it is first met.
local light = null

--- Whether `value` stands for null: `cql.null`, `ngx.null` or `cjson.null`.
---@param value any
---@return boolean
local function is_null(value)
  if rawequal(value, null) or rawequal(value, light) then return true end
  if type(value) ~= "userdata" or ffi.cast("void *", value) ~= nil then return false end
  light = value
  return true
end

return { null = null, unset = unset, is_null = is_null }
