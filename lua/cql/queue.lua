--- A queue of those who wait: first come, first served, however many there are.

---@class cql.Queue
---@field count integer
local Queue = {}
Queue.__index = Queue

--- An empty one.
---@return cql.Queue
function Queue.new() return setmetatable({ first = false, last = false, count = 0 }, Queue) end

function Queue:push(value)
  local link = { value = value, following = false }
  if self.first then self.last.following = link else self.first = link end
  self.last, self.count = link, self.count + 1
end

--- The first, which leaves; nil if there is none.
function Queue:pop()
  local link = self.first
  if not link then return nil end
  self.first, self.count = link.following, self.count - 1
  return link.value
end

return Queue
