--- Time of day: nanoseconds since midnight, as text.
local time = {}

--- "13:30:54.234" as nanoseconds since midnight; nil if it isn't a time of day.
---@param text string
---@return integer?
function time.parse(text)
  local hours, minutes, seconds, rest = text:match "^(%d%d):(%d%d):(%d%d)(.*)$"
  if not hours then
    hours, minutes, rest = text:match "^(%d%d):(%d%d)(.*)$"
    seconds = "00"
  end
  if not hours then return nil end
  local fraction = rest == "" and "0" or rest:match "^%.(%d+)$"
  if not fraction or #fraction > 9 then return nil end
  if hours + 0 > 23 or minutes + 0 > 59 or seconds + 0 > 59 then return nil end
  local whole_seconds = (hours * 60 + minutes) * 60 + seconds
  return whole_seconds * 1e9 + (fraction .. ("0"):rep(9 - #fraction))
end

--- "13:30:54.234000000" of nanoseconds since midnight.
---@param nanoseconds integer
---@return string
function time.format(nanoseconds)
  local seconds = math.floor(nanoseconds / 1e9)
  return ("%02d:%02d:%02d.%09d"):format(math.floor(seconds / 3600),
    math.floor(seconds / 60) % 60, seconds % 60, nanoseconds % 1e9)
end

return time
