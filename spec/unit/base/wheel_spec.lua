local ffi = require "ffi"
local unit = require "spec.support.unit"
local core = require "spec.support.core"

local C = unit.C

-- Every timer fires into Lua, through one callback: so nothing that turns a wheel may be compiled.
local on_fire
local fire = ffi.cast("void (*)(cql__timer *)", function(timer) on_fire(timer) end)
local function turn(wheel, now) C.cql__wheel_turn(wheel, now) end
jit.off(turn)

local function new_wheel(now)
  local wheel = ffi.new "cql__wheel"
  C.cql__wheel_init(wheel, now or 0)
  return wheel
end

local function new_timer()
  local timer = ffi.new "cql__timer"
  C.cql__timer_init(timer, fire)
  return timer
end

local function is_set(timer) return C.cql__spec_timer_is_set(timer) ~= 0 end
local cancel = C.cql__spec_timer_cancel

-- When the timer of each due fires: { due = the wheel's time then }.
local function fired_at(start, dues, step, last)
  local wheel, timers, at = new_wheel(start), {}, {}
  for i, due in ipairs(dues) do
    timers[i] = new_timer()
    C.cql__timer_set(wheel, timers[i], due)
  end
  on_fire = function(timer)
    assert(not is_set(timer))
    at[tonumber(timer.due)] = tonumber(wheel.now)
  end
  local now = start
  while now < last do
    now = math.min(now + step, last)
    turn(wheel, now)
  end
  assert.is_true(C.cql__wheel_next(wheel) == core.NEVER)
  return at
end

describe("the wheel", function()
  local POWERS = {}
  for level = 0, 6 do
    for off = -1, 1 do POWERS[#POWERS + 1] = 64 ^ level * 2 + off end
    for off = -1, 1 do POWERS[#POWERS + 1] = 64 ^ level + off end
  end

  it("fires each timer at its time, at every edge of a level", function()
    for _, start in ipairs { 0, 1, 63, 64, 4095, 4096, 64 ^ 4 - 1, 64 ^ 6 - 1, 2 ^ 50 } do
      local dues = {}
      for _, power in ipairs(POWERS) do
        if power > 0 and power <= 64 ^ 6 then dues[#dues + 1] = start + power end
      end
      local at = fired_at(start, dues, 64 ^ 6 * 3, start + 64 ^ 6 * 3)
      for _, due in ipairs(dues) do assert.equal(due, at[due]) end
    end
  end)

  it("fires what is further than it reaches, in its time", function()
    local dues = { 64 ^ 6 * 2 + 17, 64 ^ 6 * 5 - 1, 64 ^ 6 * 63, 64 ^ 7 }
    local at = fired_at(5, dues, 64 ^ 6 / 3, 64 ^ 7)
    for _, due in ipairs(dues) do assert.equal(due, at[due]) end
  end)

  it("fires what is past at the next turn, and nothing before the clock moves", function()
    local wheel, timer, count = new_wheel(1000), new_timer(), 0
    on_fire = function() count = count + 1 end
    for _, due in ipairs { 0, 999, 1000 } do
      C.cql__timer_set(wheel, timer, due)
      turn(wheel, wheel.now)
      assert.equal(0, count)
      assert.is_true(C.cql__wheel_next(wheel) == wheel.now + 1)
      turn(wheel, wheel.now + 1)
      assert.equal(1, count)
      count = 0
      wheel = new_wheel(1000)
    end
  end)

  it("doesn't turn back", function()
    local wheel, timer, count = new_wheel(1000), new_timer(), 0
    on_fire = function() count = count + 1 end
    C.cql__timer_set(wheel, timer, 1500)
    turn(wheel, 10)
    assert.is_true(wheel.now == 1000ULL)
    turn(wheel, 1500)
    assert.equal(1, count)
  end)

  it("never fires a timer of the end of time", function()
    local wheel, timer = new_wheel(0), new_timer()
    on_fire = function() error "it fired" end
    C.cql__timer_set(wheel, timer, core.NEVER)
    turn(wheel, 2 ^ 45)
    assert.is_true(is_set(timer))
    assert.is_true(C.cql__wheel_next(wheel) > wheel.now)
    cancel(timer)
    assert.is_true(C.cql__wheel_next(wheel) == core.NEVER)
  end)

  it("turns on while a timer sets itself anew for this very moment", function()
    local wheel, timer, times = new_wheel(0), new_timer(), {}
    on_fire = function(one)
      times[#times + 1] = tonumber(wheel.now)
      if #times < 4 then C.cql__timer_set(wheel, one, wheel.now) end
    end
    C.cql__timer_set(wheel, timer, 10)
    turn(wheel, 12)
    assert.same({ 10, 11, 12 }, times)
    turn(wheel, 13)
    assert.same({ 10, 11, 12, 13 }, times)
  end)
end)

-- A list of what is set, and when it must fire. `reach` is how far timers and turns go.
local Model = {}
Model.__index = Model

local function new_model(seed, start, reach)
  local self = setmetatable({ random = unit.random(seed), wheel = new_wheel(start), reach = reach,
    timers = {}, due = {}, fired = 0, last = 0 }, Model)
  for i = 1, 60 do self.timers[i] = new_timer() end
  return self
end

function Model:distance()
  local power = self.random(self.reach + 1)
  return self.random(2 ^ power) + (power > 30 and self.random(2 ^ 30) * 2 ^ (power - 30) or 0)
end

function Model:change()
  local i = self.random(#self.timers) + 1
  if self.random(4) == 0 then
    cancel(self.timers[i])
    self.due[i] = nil
    return
  end
  local now = tonumber(self.wheel.now)
  local due = now + self:distance() - (self.random(10) == 0 and 5 or 0)
  C.cql__timer_set(self.wheel, self.timers[i], due)
  self.due[i] = math.max(due, now + 1)
end

function Model:fire(timer)
  local now = tonumber(self.wheel.now)
  for i, one in ipairs(self.timers) do
    if one.link == timer.link then
      assert(self.due[i] == now, ("fired at %d, due at %s"):format(now, tostring(self.due[i])))
      assert(now >= self.last, "out of order")
      assert(not is_set(one))
      self.due[i], self.fired, self.last = nil, self.fired + 1, now
    end
  end
  if self.random(3) == 0 then self:change() end
end

function Model:earliest()
  local first
  for _, due in pairs(self.due) do
    if not first or due < first then first = due end
  end
  return first
end

function Model:check()
  local first, next_turn = self:earliest(), C.cql__wheel_next(self.wheel)
  for i, timer in ipairs(self.timers) do assert((self.due[i] ~= nil) == is_set(timer)) end
  if not first then return assert(next_turn == core.NEVER) end
  assert(first > tonumber(self.wheel.now), "a timer was passed over")
  assert(tonumber(next_turn) <= first and next_turn > self.wheel.now)
end

describe("the wheel, beside a plain list,", function()
  local function run(seed, start, reach, rounds)
    local model = new_model(seed, start, reach)
    on_fire = function(timer) model:fire(timer) end
    for _ = 1, rounds do
      for _ = 1, model.random(8) do model:change() end
      model:check()
      local to = tonumber(model.wheel.now) + model:distance()
      if model.random(4) == 0 then to = tonumber(C.cql__wheel_next(model.wheel)) end
      if to < 2 ^ 52 then turn(model.wheel, to) end
      model:check()
    end
    return model.fired
  end

  -- 2^12 ms, a request; 2^24, a heartbeat and a back-off; 2^38: past what the wheel reaches.
  for seed, reach in ipairs { 4, 7, 12, 18, 24, 30, 36, 38 } do
    it(("does the same up to 2^%d ms (seed %d)"):format(reach, seed), function()
      assert.is_true(run(seed, 2 ^ reach + seed, reach, 1500) > 500)
    end)
  end

  it("reaches a far timer in few turns by its own advice", function()
    for _, due in ipairs { 3, 500, 30000, 86400000, 2 ^ 35 } do
      local wheel, timer, count, turns = new_wheel(12345), new_timer(), 0, 0
      on_fire = function() count = count + 1 end
      C.cql__timer_set(wheel, timer, 12345 + due)
      repeat
        turn(wheel, C.cql__wheel_next(wheel))
        turns = turns + 1
      until count == 1
      assert.is_true(wheel.now == 12345ULL + due)
      assert.is_true(turns <= 6)
    end
  end)
end)
