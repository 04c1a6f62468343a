local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.core"

local C = unit.C
local UNKNOWN, LIVE, ORPHAN = 0, 1, 2
local MAX = 32767 -- ids of requests: 1 .. 32767; 0 is the connection's own

-- A waiter is a pointer: even, and not NULL. Here the number that it stands for, times two.
local function waiter(number) return ffi.cast("void *", number * 2) end
local function number(pointer) return tonumber(ffi.cast("uintptr_t", pointer)) / 2 end

local function new_streams(maximum)
  local streams = ffi.gc(ffi.new "cql__streams", C.cql__streams_deinit)
  C.cql__streams_init(streams, maximum or MAX)
  return streams
end

local function take(streams, who) return C.cql__streams_take(streams, waiter(who)) end

local function answer(streams, stream)
  local out = ffi.new "void *[1]"
  local what = C.cql__streams_answer(streams, stream, out)
  return what, what == LIVE and number(out[0]) or nil
end

local live, orphans = C.cql__spec_streams_live, C.cql__spec_streams_orphans

local function drain(streams)
  local out, stream = {}, ffi.new "int[1]"
  while true do
    local one = C.cql__streams_drain(streams, stream)
    if one == nil then return out end
    out[#out + 1] = { stream[0], number(one) }
  end
end

describe("streams", function()
  it("are 32,767, given out lowest first", function()
    local streams = new_streams()
    for id = 1, MAX do assert(take(streams, id) == id) end
    assert.equal(-1, take(streams, 1))
    assert.equal(MAX, streams.used)
    for id = MAX, 1, -1 do
      local what, who = answer(streams, id)
      assert(what == LIVE and who == id)
    end
    assert.equal(0, streams.used)
    assert.equal(1, take(streams, 1))
  end)

  it("that are free again are given out before higher ones", function()
    local streams = new_streams()
    for id = 1, 300 do take(streams, id) end
    for _, id in ipairs { 250, 64, 63, 5, 128 } do answer(streams, id) end
    for _, id in ipairs { 5, 63, 64, 128, 250, 301 } do assert.equal(id, take(streams, id)) end
  end)

  it("never are 0", function()
    local streams = new_streams()
    take(streams, 1)
    assert.equal(UNKNOWN, (answer(streams, 0)))
    for _ = 1, 200 do assert.is_true(take(streams, 1) > 0) end
    for _, one in ipairs(drain(streams)) do assert.is_true(one[1] > 0) end
  end)

  it("are as many as configured", function()
    for _, maximum in ipairs { 1, 2, 63, 64, 65, 1000 } do
      local streams = new_streams(maximum)
      for id = 1, maximum do assert.equal(id, take(streams, id)) end
      assert.equal(-1, take(streams, 1))
      C.cql__streams_orphan(streams, 1) -- an answer is still owed: it counts on
      assert.equal(-1, take(streams, 1))
      answer(streams, 1)
      assert.equal(1, take(streams, 1))
    end
  end)

  it("that nobody took are unknown", function()
    local streams = new_streams()
    for _, id in ipairs { -32768, -1, 0, 1, 63, 64, MAX } do
      assert.equal(UNKNOWN, (answer(streams, id)))
    end
    take(streams, 7)
    assert.equal(LIVE, (answer(streams, 1)))
    assert.equal(UNKNOWN, (answer(streams, 1))) -- the second answer to one request
    assert.equal(UNKNOWN, (answer(streams, 2)))
    assert.equal(UNKNOWN, (answer(streams, 64)))
    assert.equal(0, streams.used)
  end)

  it("whose waiter has gone are kept until their answer came", function()
    local streams = new_streams()
    for id = 1, 3 do take(streams, id) end
    C.cql__streams_orphan(streams, 2)
    assert.equal(4, take(streams, 4))
    assert.equal(1, orphans(streams))
    assert.equal(3, live(streams))
    assert.equal(ORPHAN, (answer(streams, 2)))
    assert.equal(UNKNOWN, (answer(streams, 2)))
    assert.equal(0, orphans(streams))
    assert.equal(2, take(streams, 5))
  end)

  it("that are orphans grow old with the second tick", function()
    local streams = new_streams()
    for id = 1, 6 do take(streams, id) end
    local function old(...)
      for _, id in ipairs { ... } do C.cql__streams_orphan(streams, id) end
      C.cql__streams_tick(streams)
      return streams.orphans_old
    end
    assert.equal(0, old(1, 2))
    assert.equal(2, old(3))
    assert.equal(3, old())
    assert.equal(3, old(4))
    answer(streams, 1) -- an old one
    assert.equal(2, streams.orphans_old)
    answer(streams, 4) -- a young one
    assert.equal(2, old())
    assert.equal(2, orphans(streams))
    assert.equal(2, live(streams))
  end)
end)

describe("draining streams", function()
  -- A walk by the bit's number instead of its mask once lost most waiters elsewhere.
  local EDGES = { 1, 31, 32, 63, 64, 32767 }

  it("gives every waiter once, at each edge of a word", function()
    for _, edge in ipairs(EDGES) do
      local streams = new_streams()
      for id = 1, edge do take(streams, id) end
      for id = 1, edge - 1 do answer(streams, id) end
      assert.same({ { edge, edge } }, drain(streams))
      assert.equal(0, streams.used)
      assert.same({}, drain(streams))
    end
  end)

  it("gives all of them, and drops orphans", function()
    local streams = new_streams()
    for id = 1, MAX do take(streams, id) end
    local gone, count = { [2] = true, [33] = true, [65] = true, [32766] = true }, 0
    for id in pairs(gone) do C.cql__streams_orphan(streams, id) end
    for _, one in ipairs(drain(streams)) do
      assert(one[1] == one[2] and not gone[one[1]])
      count = count + 1
    end
    assert.equal(MAX - 4, count)
    assert.equal(0, streams.used)
    assert.equal(0, orphans(streams))
    for id = 1, 100 do assert.equal(id, take(streams, id)) end
  end)

  it("of nothing gives nothing", function()
    assert.same({}, drain(new_streams()))
  end)
end)

-- ids -> { who, orphaned at which tick }, in a plain table.
local Model = {}
Model.__index = Model

function Model:lowest()
  for id = 1, self.maximum do
    if not self.taken[id] then return id end
  end
  return -1
end

function Model:any(random)
  local ids = {}
  for id in pairs(self.taken) do ids[#ids + 1] = id end
  table.sort(ids) -- pairs() has no order that a seed could repeat
  return ids[random(math.max(#ids, 1)) + 1]
end

function Model:counts()
  local used, all, old = 0, 0, 0
  for _, one in pairs(self.taken) do
    used = used + 1
    if one.orphaned then
      all = all + 1
      if self.tick - one.orphaned > 1 then old = old + 1 end
    end
  end
  return used, all, old
end

local function check(streams, model)
  local used, all, old = model:counts()
  assert(streams.used == used and orphans(streams) == all and streams.orphans_old == old,
    ("used %d, orphans %d, old %d"):format(used, all, old))
end

local function step(streams, model, random)
  local what = random(10)
  if what < 5 then
    local who = random(1000000) + 1
    local id = model:lowest()
    assert.equal(id, take(streams, who))
    if id > 0 then model.taken[id] = { who = who } end
  elseif what < 8 then
    local id = random(4) > 0 and model:any(random) or random(model.maximum + 70)
    local one = id and model.taken[id]
    local kind, who = answer(streams, id or 1)
    assert.equal(not one and UNKNOWN or one.orphaned and ORPHAN or LIVE, kind)
    assert(kind ~= LIVE or who == one.who)
    if id then model.taken[id] = nil end
  elseif what == 8 then
    local id = model:any(random)
    local one = id and model.taken[id]
    if one and not one.orphaned then
      C.cql__streams_orphan(streams, id)
      one.orphaned = model.tick
    end
  elseif random(3) == 0 then
    C.cql__streams_tick(streams)
    model.tick = model.tick + 1
  end
end

describe("streams, beside a plain table,", function()
  for seed, maximum in ipairs { 3, 64, 130, 300, 900 } do
    it(("do the same with %d ids (seed %d)"):format(maximum, seed), function()
      local random = unit.random(seed)
      local streams = new_streams(maximum)
      local model = setmetatable({ maximum = maximum, taken = {}, tick = 0 }, Model)
      for round = 1, 6 do
        for _ = 1, 500 do
          step(streams, model, random)
          check(streams, model)
        end
        if round % 2 == 0 then
          local left = {}
          for id, one in pairs(model.taken) do
            if not one.orphaned then left[id] = one.who end
          end
          for _, one in ipairs(drain(streams)) do
            assert.equal(left[one[1]], one[2])
            left[one[1]] = nil
          end
          assert.is_nil(next(left))
          model.taken = {}
          check(streams, model)
        end
      end
    end)
  end
end)

describe("streams without memory", function()
  it("give none, and give the same one later", function()
    local streams = new_streams()
    for n = 1, 2 do -- the array of chunks, the chunk
      C.cql__mem_fail(n, 0)
      assert.equal(-1, take(streams, 1))
      assert.equal(0, streams.used)
    end
    C.cql__mem_fail(0, 0)
    for id = 1, 63 do assert.equal(id, take(streams, id)) end
    C.cql__mem_fail(1, 1)
    assert.equal(-1, take(streams, 64))
    answer(streams, 9)
    assert.equal(9, take(streams, 9)) -- needs none
    C.cql__mem_fail(0, 0)
    assert.equal(64, take(streams, 64))
  end)

  it("leak nothing at whichever allocation it runs out", function()
    local failures = unit.fail_each_allocation(function()
      local streams = ffi.new "cql__streams"
      C.cql__streams_init(streams, MAX)
      local result = 0
      for id = 1, 1000 do
        if take(streams, id) ~= id then
          result = C.CQL_ENOMEM
          break
        end
      end
      C.cql__streams_deinit(streams)
      C.cql__streams_deinit(streams)
      return result
    end)
    assert.equal(16 + 5, failures) -- chunks of 64, and their array at 1, 2, 4, 8 and 16
  end)
end)
