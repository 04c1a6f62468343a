--- Lists of nodes: { address = { "10.0.0.1" }, datacenter = "dc2", host_id = ... }. A node is on it
--- if any of these fields holds one of the values; an address counts with its port and without.

local FIELDS = { address = true, datacenter = true, rack = true, host_id = true }

---@param list table<string, string|string[]>
---@param level integer where mistakes are raised
---@return fun(node: cql.Node): boolean
return function(list, level)
  if type(list) ~= "table" then error("a list of nodes is a table", level + 1) end
  local fields = {}
  for field, values in pairs(list) do
    if not FIELDS[field] then
      error("nodes are listed by address, datacenter, rack or host_id, not by " .. tostring(field),
        level + 1)
    end
    fields[field] = {}
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      fields[field][value] = true
    end
  end
  return function(node)
    for field, values in pairs(fields) do
      if values[node[field]] then return true end
    end
    local host = node.address:match "^%[?(.-)%]?:%d+$" -- "[::1]:9042" is ::1
    return fields.address ~= nil and fields.address[host] == true
  end
end
