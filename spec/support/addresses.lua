-- The addresses of a session's nodes, sorted; "10.0.0.1:9042 down" of one that is down.
return function(session)
  local list = {}
  for i, node in ipairs(session:nodes()) do
    list[i] = node.address .. (node.up and "" or " down")
  end
  table.sort(list)
  return list
end
