--- Rules of a simulated world: what nodes do instead of what they would.
local library = require "cql.sim.library"

local C, check = library.C, library.check

---@class cql.sim.Rule
local Rule = {}
Rule.__index = Rule

--- It plays no more.
function Rule:remove() check(self.world, C.cql_sim_rule_remove(self.world.handle, self.id)) end

--- For how many requests it played.
---@return integer
function Rule:played()
  return tonumber(C.cql_sim_rule_played(self.world.handle, self.id))
end

local function part_text(value)
  if type(value) == "table" then return tostring(value.id) end -- a node
  return tostring(value)
end

local function set_part(world, id, name, value)
  local list = type(value) == "table" and getmetatable(value) == nil and value or { value }
  for _, one in ipairs(list) do
    local bytes = part_text(one)
    check(world, C.cql_sim_rule_set(world.handle, id, name, bytes, #bytes))
  end
end

--- A rule of these parts.
function Rule.new(world, parts)
  local id = check(world, C.cql_sim_rule_new(world.handle))
  local names = {}
  for name in pairs(parts) do
    if name ~= "columns" and name ~= "rows" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do set_part(world, id, name, parts[name]) end
  if parts.columns then
    check(world, C.cql_sim_rule_columns(world.handle, id, parts.columns))
    for _, row in ipairs(parts.rows or {}) do
      check(world, C.cql_sim_rule_row(world.handle, id, row))
    end
  end
  return setmetatable({ world = world, id = id }, Rule)
end

return Rule
