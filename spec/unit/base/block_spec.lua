local ffi = require "ffi"
local unit = require "spec.support.unit"
local core = require "spec.support.core"

local C = unit.C
local take, unref, ref = C.cql__spec_block_take, C.cql__spec_block_unref, C.cql__spec_block_ref
-- As base/block.h: under the address sanitizer nothing is recycled, so that uses after free show.
local recycles = os.getenv "CQL_SANITIZER" ~= "asan"
local function it_recycles(name, fn)
  it(name, function()
    if not recycles then return pending "nothing is recycled under the address sanitizer" end
    fn()
  end)
end

local function allocations(fn)
  local before = tonumber(C.cql__mem_count())
  fn()
  return tonumber(C.cql__mem_count()) - before
end

describe("a block", function()
  local pool, live

  before_each(function()
    collectgarbage()
    live = core.now_live()
    pool = C.cql__pool_new()
  end)
  after_each(function()
    C.cql__pool_retire(pool)
    assert.equal(live, core.now_live())
  end)

  it("has room for what was asked, to the last byte", function()
    local sizes = { 0, 1, 96, 97, 1024, 4064, 4065, 65536, 65537, 131083, 135168, 135169,
      16777216, 16777217 }
    for _, size in ipairs(sizes) do
      local block = take(pool, size)
      assert.is_true(tonumber(block.capacity) >= size)
      assert.equal(1, block.refs)
      ffi.fill(block.data, block.capacity, 0xa5)
      unref(block)
    end
  end)

  it("of 132 KiB holds a whole v5 segment and wastes little", function()
    local block = take(pool, 8 + 131071 + 4)
    assert.equal(135168, tonumber(block.capacity))
    unref(block)
  end)

  it("larger than any class is exact", function()
    local block = take(pool, 16777217)
    assert.equal(16777217, tonumber(block.capacity))
    unref(block)
    assert.equal(0, tonumber(pool.idle_large))
  end)

  it("lives as long as its last reference", function()
    local block = take(pool, 10)
    ref(block)
    unref(block)
    assert.equal(1, block.refs)
    assert.equal(1, tonumber(pool.live))
    unref(block)
    assert.equal(0, tonumber(pool.live))
    unref(nil)
  end)

  it_recycles("is taken again without an allocation, the latest first", function()
    local a, b = take(pool, 100), take(pool, 200)
    unref(a)
    unref(b)
    assert.equal(0, allocations(function()
      assert.is_true(take(pool, 150) == b)
      assert.is_true(take(pool, 150) == a)
    end))
    assert.equal(1, allocations(function() unref(take(pool, 300)) end)) -- of another class
    unref(a)
    unref(b)
  end)

  it_recycles("of 8 KiB and more is kept up to 16 MiB, smaller ones without a limit", function()
    local blocks, kept = {}, 16 * 1024 * 1024
    for _, size in ipairs { 8 * 1024, 64 * 1024 } do
      local count = kept / size + 72
      for i = 1, count do blocks[i] = take(pool, size) end
      for i = 1, count do unref(blocks[i]) end
      assert.equal(kept, tonumber(pool.idle_large))
      assert.equal(72, allocations(function()
        for i = 1, count do blocks[i] = take(pool, size) end
      end))
      assert.equal(0, tonumber(pool.idle_large))
      if size == 64 * 1024 then
        for i = 1, count do unref(blocks[i]) end
      else
        C.cql__pool_retire(pool) -- what is out goes with its pool
        for i = 1, count do unref(blocks[i]) end
        pool = C.cql__pool_new()
      end
    end
    for i = 1, 1000 do blocks[i] = take(pool, 1000) end
    for i = 1, 1000 do unref(blocks[i]) end
    assert.equal(kept, tonumber(pool.idle_large))
    assert.equal(0, allocations(function()
      for i = 1, 1000 do blocks[i] = take(pool, 1000) end
    end))
    for i = 1, 1000 do unref(blocks[i]) end
  end)

  it("grows with what it holds, and stays when there is no memory", function()
    local block = take(pool, 100)
    ffi.copy(block.data, "0123456789")
    C.cql__mem_fail(1, 0)
    assert.is_true(C.cql__block_grow(block, 10, 1000) == nil)
    assert.equal("0123456789", core.block_bytes(block, 10))
    block = C.cql__block_grow(block, 10, 1000)
    assert.equal("0123456789", core.block_bytes(block, 10))
    assert.is_true(tonumber(block.capacity) >= 1000)
    assert.equal(1, tonumber(pool.live))
    unref(block)
  end)

  it("is not there when memory runs out, and the pool works on", function()
    C.cql__mem_fail(1, 0)
    assert.is_true(take(pool, 100) == nil)
    assert.equal(0, tonumber(pool.live))
    unref(take(pool, 100))
  end)
end)

describe("a pool", function()
  it("that is retired goes with its last block", function()
    local live = core.now_live()
    local pool = C.cql__pool_new()
    local a, b = take(pool, 100), take(pool, 100000)
    ffi.copy(a.data, "still here")
    unref(take(pool, 5000)) -- one idle block: that goes at once
    C.cql__pool_retire(pool)
    assert.equal(live + 3, core.now_live())
    unref(b)
    assert.equal("still here", core.block_bytes(a, 10))
    assert.equal(live + 2, core.now_live())
    unref(a)
    assert.equal(live, core.now_live())
  end)

  it("is not made when memory runs out", function()
    C.cql__mem_fail(1, 0)
    assert.is_true(C.cql__pool_new() == nil)
  end)

  it("agrees with a model through random takes, references and lets-go", function()
    local live = core.now_live()
    local pool = C.cql__pool_new()
    local random, held, references = unit.random(11), {}, 0
    for round = 1, 20000 do
      local what = random(5)
      if what < 2 or #held == 0 then
        local block = take(pool, random(3) == 0 and random(200000) or random(3000))
        block.data[0] = round % 256
        held[#held + 1] = { block = block, refs = 1, mark = round % 256 }
      else
        local i = random(#held) + 1
        local one = held[i]
        assert(one.block.data[0] == one.mark and one.block.refs == one.refs)
        if what == 2 then
          ref(one.block)
          one.refs, references = one.refs + 1, references + 1
        else
          unref(one.block)
          one.refs = one.refs - 1
          if one.refs == 0 then
            held[i] = held[#held]
            held[#held] = nil
          end
        end
      end
      assert(tonumber(pool.live) == #held)
    end
    assert.is_true(references > 1000)
    C.cql__pool_retire(pool)
    for _, one in ipairs(held) do
      for _ = 1, one.refs do unref(one.block) end
    end
    assert.equal(live, core.now_live())
  end)
end)
