--- Subscriptions: events in a queue of bounded length, which its reader empties at his own pace.
local error_of = require "cql.error"
local event_of = require "cql.event"
local gate_of = require "cql.gate"
local host = require "cql.host"
local names = require "cql.names"
local queue_of = require "cql.queue"

local SIZE = 1000 -- events that wait, unless the subscriber says another number
local WAIT_MAX_MS = 24 * 3600000

---@class cql.Subscription
local Subscription = {}
Subscription.__index = Subscription

local subscription = {}

-- ---- filters ----

-- The names that are wanted as a set, nil: all; and a function that decides, if there is one.
local function filter_of(filter, level)
  if filter == nil then return nil end
  if type(filter) == "function" then return nil, filter end
  if type(filter) == "string" then filter = { filter } end
  if type(filter) ~= "table" then
    error("subscribe takes the name of an event, an array of names, or a function, not a "
      .. type(filter), level + 1)
  end
  local wanted = {}
  for _, name in ipairs(filter) do
    event_of.check(name, level + 1)
    wanted[name] = true
  end
  return wanted
end

local function size_of(options, level)
  if options ~= nil and type(options) ~= "table" then
    error("options are a table, not a " .. type(options), level + 1)
  end
  for name in pairs(options or {}) do
    if name ~= "size" then error(names.unknown("option", name, { size = true }), level + 1) end
  end
  local size = options and options.size or SIZE
  if type(size) ~= "number" or size < 1 or size % 1 ~= 0 then
    error("size takes a whole number of events from 1 on", level + 1)
  end
  return size
end

-- ---- for the session ----

local WEAK = { __mode = "v" }

--- Those of a session, [1] to [n], some of which may be gone: it holds none that nobody reads, for
--- readers may be ended without a word, as a request of nginx whose client hangs up.
function subscription.list() return setmetatable({ n = 0 }, WEAK) end

-- Closes the gaps; `without` goes too.
local function sweep(list, without)
  local kept = 0
  for i = 1, list.n do
    local one = list[i]
    list[i] = nil
    if one and one ~= without then
      kept = kept + 1
      list[kept] = one
    end
  end
  list.n = kept
end

--- As Session:subscribe(). Mistakes raise at `level`.
function subscription.new(session, filter, options, level)
  local wanted, test = filter_of(filter, level + 1)
  local self = setmetatable({
    session = session, wanted = wanted, test = test, size = size_of(options, level + 1),
    events = queue_of.new(), lost = 0, missed = 0, waiting = {}, ended = false,
  }, Subscription)
  local list = session.subscriptions
  sweep(list)
  list.n = list.n + 1
  list[list.n] = self
  return self
end

--- Calls the method `name` of all; the first that it gives something but false for.
function subscription.each(list, name, argument)
  for i = 1, list.n do
    local one = list[i]
    local given = one and one[name](one, argument)
    if given then return given end
  end
end

-- The first who still waits looks again.
local function wake_one(self)
  local waiting = self.waiting
  while waiting[1] do
    if table.remove(waiting, 1):complete(true) ~= false then return end
  end
end

-- Others hear of the same event, and have not lost what this one has.
local function with_lost(event, lost)
  if lost == 0 then return event end
  local copy = {}
  for name, value in pairs(event) do copy[name] = value end
  copy.lost = (event.lost or 0) + lost
  return copy
end

-- A filter that fails lets everything through.
local function passes(self, event)
  if self.wanted then return self.wanted[event.name] end
  if not self.test then return true end
  local ok, wanted = host.answer("a filter", self.test, event)
  if ok then return wanted end
  self.session:log("error", "a subscription's filter failed: " .. wanted)
  return true
end

function Subscription:put(event)
  if not passes(self, event) then return end
  local events = self.events
  events:push(with_lost(event, self.missed))
  self.missed = 0
  if events.count > self.size then self.lost = self.lost + 1 + (events:pop().lost or 0) end
  wake_one(self)
end

-- So many events never came, whichever they were: this is told with the next one that does.
function Subscription:miss(count) self.missed = self.missed + count end

function Subscription:is_heard() return self.waiting[1] ~= nil end

-- Whoever was woken may have been ended before it ran: others may read what it left.
function Subscription:look_again()
  if self.events.first then wake_one(self) end
end

-- Nothing more will come: what is there may still be read, then `failure` is.
function Subscription:finish(failure)
  self.ended = self.ended or failure
  while self.waiting[1] do wake_one(self) end
end

-- ---- for its reader ----

local function take(self)
  local event = self.events:pop()
  if not event then return nil end
  event = with_lost(event, self.lost)
  self.lost = 0
  return event
end

local function leave(self, gate)
  for i, one in ipairs(self.waiting) do
    if one == gate then table.remove(self.waiting, i) break end
  end
end

-- Until an event comes, or `deadline`: true or nothing.
local function wait(self, waiter, deadline)
  local session = self.session
  local ms = deadline and math.max(0, deadline - host.now())
  local gate = gate_of.new(waiter)
  self.waiting[#self.waiting + 1] = gate
  local ok, why = host.drive(session)
  if not ok then self:finish(error_of.driver("NO_DRIVER", why)) end
  local came = gate:wait(session, ms)
  leave(self, gate)
  return came
end

--- The next event, once it comes: nil and an error TIMEOUT if none does in `timeout_ms` (nil: it
--- waits for ever), CLOSED when the subscription or its session has been closed and all has been
--- read. Where events were lost for want of room, `event.lost` says how many; among them may be
--- some that the filter would not have let through. Events are shared by all who hear of them:
--- don't change them.
---@param timeout_ms number?
---@return cql.Event?, cql.Error?
function Subscription:next(timeout_ms)
  local is_time = timeout_ms == nil
    or type(timeout_ms) == "number" and timeout_ms >= 0 and timeout_ms <= WAIT_MAX_MS
  if not is_time then error("next takes milliseconds, 0 to 86400000, or nil", 2) end
  local deadline = timeout_ms and host.now() + timeout_ms
  while true do
    local event = take(self)
    if event then return event end
    if self.ended then return nil, self.ended end
    local came = wait(self, host.waiter "seldom", deadline)
    if not came and not self.events.first and not self.ended then
      return nil, error_of.driver("TIMEOUT", "no event came within timeout_ms")
    end
  end
end

--- Ends it: nothing more comes, and whoever waits for an event gets the error CLOSED.
function Subscription:close()
  sweep(self.session.subscriptions, self)
  self.events, self.lost, self.missed = queue_of.new(), 0, 0
  self:finish(error_of.driver("CLOSED", "the subscription was closed"))
end

return subscription
