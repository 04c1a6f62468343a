--- Nodes of one datacenter are local.
local others_of = require "cql.policy.others"

---@param name string the datacenter
---@param others "remote"|"ignored"|nil what nodes of other datacenters are; ignored if nil
---@return fun(node: cql.Node): string?
return function(name, others)
  if type(name) ~= "string" then error("a datacenter's name is text", 2) end
  others = others_of(others, 2)
  return function(node)
    if not node.datacenter then return nil end -- nobody has told yet where it is
    return node.datacenter == name and "local" or others
  end
end
