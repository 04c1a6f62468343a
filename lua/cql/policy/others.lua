--- What nodes of other datacenters are.

---@param others "remote"|"ignored"|nil
---@param level integer where mistakes are raised
---@return "remote"|"ignored"
return function(others, level)
  if others == nil then return "ignored" end
  if others == "remote" or others == "ignored" then return others end
  error(("other datacenters are \"remote\" or \"ignored\", not %s"):format(tostring(others)),
    level + 1)
end
