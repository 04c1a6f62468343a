--- Nodes of one rack are the nearest, and the others of its datacenter local.
local others_of = require "cql.policy.others"

---@param datacenter string
---@param rack string
---@param others "remote"|"ignored"|nil what nodes of other datacenters are; ignored if nil
---@return fun(node: cql.Node): string?
return function(datacenter, rack, others)
  if type(datacenter) ~= "string" or type(rack) ~= "string" then
    error("the names of a datacenter and a rack are text", 2)
  end
  others = others_of(others, 2)
  return function(node)
    if not node.datacenter then return nil end -- nobody has told yet where it is
    if node.datacenter ~= datacenter then return others end
    return node.rack == rack and "rack" or "local"
  end
end
