--- Names that people type: for one that doesn't exist, the one that was probably meant.
local names = {}

local LENGTH_MAX = 64
local SHORT_MIN = 3 -- letters of what may be short for a name

-- How many letters must change, come or go to make `a` into `b`.
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

-- Is `short` what is left of `name` when letters are left out?
local function is_short_for(short, name)
  local at = 0
  for i = 1, #short do
    at = name:find(short:sub(i, i), at + 1, true)
    if not at then return false end
  end
  return true
end

--- The one of `list` that is most like `wanted`: the shortest that it is short for, else the one
--- with the fewest other letters; nil if none is like it.
---@param wanted any
---@param list string[]
---@return string?
function names.nearest(wanted, list)
  if type(wanted) ~= "string" then return nil end
  wanted = wanted:sub(1, LENGTH_MAX):lower()
  local best, best_distance = nil, LENGTH_MAX + math.max(1, math.floor(#wanted / 2)) + 1
  for _, name in ipairs(list) do
    local lower = name:sub(1, LENGTH_MAX):lower()
    local is_short = #wanted >= SHORT_MIN and is_short_for(wanted, lower)
    local d = is_short and #lower or LENGTH_MAX + distance(wanted, lower)
    if d < best_distance then best, best_distance = name, d end
  end
  return best
end

--- 'unknown option "x"; did you mean "y"?'
---@param what string
---@param wanted any
---@param known table<string, any> its keys are the names
---@return string
function names.unknown(what, wanted, known)
  local list = {}
  for name in pairs(known) do list[#list + 1] = name end
  table.sort(list)
  local nearest = names.nearest(wanted, list)
  local hint = nearest and ("; did you mean \"%s\"?"):format(nearest) or ""
  return ("unknown %s \"%s\"%s"):format(what, tostring(wanted), hint)
end

return names
