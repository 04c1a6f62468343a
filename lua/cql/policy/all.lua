--- Several policies at once: a node is as far away as the one says that takes it for the farthest.
--- Those that say nothing don't count, so the order of the policies doesn't matter.

local FAR = { rack = 1, ["local"] = 2, remote = 3, ignored = 4 }

---@param ... fun(node: cql.Node): string?
---@return fun(node: cql.Node): string?
return function(...)
  local policies = { ... }
  for i = 1, select("#", ...) do
    if type(policies[i]) ~= "function" then
      error(("policy.all takes policies, functions of a node; %d is a %s"):format(i,
        type(policies[i])), 2)
    end
  end
  return function(node)
    local farthest
    for _, policy in ipairs(policies) do
      local distance = policy(node)
      if distance ~= nil and not FAR[distance] then return distance end -- a mistake, to be told of
      if distance and (not farthest or FAR[distance] > FAR[farthest]) then farthest = distance end
    end
    return farthest
  end
end
