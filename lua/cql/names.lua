--- Names that people type: what exists is found, and for what doesn't the nearest is named.
local names = {}

-- How many letters must change, come or go.
local function distance(a, b)
  local row = {}
  for i = 0, #b do row[i] = i end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for k = 1, #b do
      local change = diagonal + (a:byte(i) == b:byte(k) and 0 or 1)
      diagonal = row[k]
      row[k] = math.min(change, row[k - 1] + 1, row[k] + 1)
    end
  end
  return row[#b]
end

--- The name most like `wanted`, the first of them in the alphabet; nil if there is none.
---@param wanted any
---@param known table<string, any> its keys are the names
---@return string?
function names.nearest(wanted, known)
  local best, best_distance
  for name in pairs(known) do
    local d = distance(tostring(wanted), name)
    if not best or d < best_distance or (d == best_distance and name < best) then
      best, best_distance = name, d
    end
  end
  return best
end

--- 'unknown option "x"; did you mean "y"?'
---@param what string
---@param wanted any
---@param known table<string, any>
---@return string
function names.unknown(what, wanted, known)
  local nearest = names.nearest(wanted, known)
  local hint = nearest and ("; did you mean \"%s\"?"):format(nearest) or ""
  return ("unknown %s \"%s\"%s"):format(what, tostring(wanted), hint)
end

return names
