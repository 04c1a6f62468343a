--- The name that was probably meant: for messages about unknown ones.

-- How many letters must change to make `a` into `b` (Levenshtein's distance).
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local corner
    corner, row[0] = row[0], i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      corner, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, corner + (same and 0 or 1))
    end
  end
  return row[#b]
end

--- The one of `names` that is most like `name`; nil if none is.
---@param name string
---@param names string[]
---@return string?
local function nearest(name, names)
  name = name:sub(1, 64):lower()
  local best, best_distance = nil, math.max(1, math.floor(#name / 2)) + 1
  for _, candidate in ipairs(names) do
    local d = distance(name, candidate:sub(1, 64):lower())
    if d < best_distance then best, best_distance = candidate, d end
  end
  return best
end

return nearest
