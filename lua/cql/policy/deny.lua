--- Nodes on the list are ignored.
local list_of = require "cql.policy.list"

---@param list table<string, string|string[]> as policy.list: { datacenter = "dc3" }
---@return fun(node: cql.Node): string?
return function(list)
  local is_listed = list_of(list, 2)
  return function(node)
    if is_listed(node) then return "ignored" end
  end
end
