--- A read of one's own making: asks every replica of a key by itself, at once, and compares what
-- they answer. It needs nothing but what the session executes with: plans, nodes, and requests that
-- are for one node.
--
--   local fan_out = require "fan_out_read"
--   local found = assert(fan_out(session, "SELECT * FROM items WHERE id = ?", { 1 }))
--   if not found.agree then
--     for _, answer in ipairs(found) do print(answer.node.address, answer.text or answer.error) end
--   end
--
-- With consistency ONE a replica answers with what it has itself, as a rule: Cassandra may prefer
-- another that it takes for quicker.

-- The same text for equal values: collections in the order of their keys.
local function text_of_value(value)
  local meta = getmetatable(value)
  if type(value) ~= "table" or meta and meta.__tostring then return tostring(value) end
  local parts = {}
  for key, item in pairs(value) do
    parts[#parts + 1] = text_of_value(key) .. ": " .. text_of_value(item)
  end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function text_of(rows)
  local lines = {}
  for row in rows:each() do
    local cells = {}
    for i, name in ipairs(rows.columns) do cells[i] = name .. " = " .. text_of_value(row[name]) end
    lines[#lines + 1] = table.concat(cells, ", ")
  end
  return table.concat(lines, "\n")
end

--- An array of { node =, rows =, text = } or { node =, error = }, one for each replica, nearest
--- first; its field `agree`: all have answered, and in the same way. nil and an error where the
--- replicas aren't known.
return function(session, statement, values)
  local plan, failure = session:plan(statement, values, { consistency = "one" })
  if not plan then return nil, failure end
  local found = { agree = true }
  for _, place in ipairs(plan) do
    if place.replica then
      local future = session:submit(statement, values, {
        node = place.node, shard = place.shard, consistency = "one", idempotent = true,
      })
      found[#found + 1] = { node = place.node, future = future }
    end
  end
  if not found[1] then return nil, "nobody knows the replicas of this statement's key" end
  for _, answer in ipairs(found) do
    answer.rows, answer.error = answer.future:wait()
    answer.future, answer.text = nil, answer.rows and text_of(answer.rows)
    found.agree = found.agree and answer.text ~= nil and answer.text == found[1].text
  end
  return found
end
