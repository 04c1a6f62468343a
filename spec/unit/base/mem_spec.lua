local ffi = require "ffi"
local unit = require "spec.support.unit"
local core = require "spec.support.core"

local C = unit.C

describe("memory", function()
  it("of no bytes is a pointer of its own", function()
    local a, b = C.cql__malloc(0), C.cql__malloc(0)
    assert.is_true(a ~= nil and b ~= nil and a ~= b)
    C.cql__free(a)
    C.cql__free(b)
    C.cql__free(nil)
  end)

  it("is zeroed where that is asked for", function()
    for _ = 1, 20 do -- what was freed before is dirty
      local dirty = C.cql__malloc(300)
      ffi.fill(dirty, 300, 0xff)
      C.cql__free(dirty)
      local clean = C.cql__zalloc(300)
      assert.equal(("\0"):rep(300), ffi.string(clean, 300))
      C.cql__free(clean)
    end
  end)

  it("counts what lives", function()
    local live = core.now_live()
    local a = C.cql__malloc(10)
    local b = C.cql__realloc(nil, 10)
    assert.equal(live + 2, core.now_live())
    b = C.cql__realloc(b, 1000)
    assert.equal(live + 2, core.now_live())
    C.cql__free(a)
    C.cql__free(b)
    assert.equal(live, core.now_live())
  end)

  it("keeps what a pointer held through a realloc, and after one that fails", function()
    local pointer = C.cql__malloc(10)
    ffi.copy(pointer, "0123456789", 10)
    C.cql__mem_fail(1, 0)
    assert.is_true(C.cql__realloc(pointer, 100000) == nil)
    assert.equal("0123456789", ffi.string(pointer, 10))
    pointer = C.cql__realloc(pointer, 100000)
    assert.equal("0123456789", ffi.string(pointer, 10))
    C.cql__free(pointer)
  end)

  it("fails at the n-th call, once or from there on", function()
    local function run()
      local made = {}
      for i = 1, 5 do
        local pointer = C.cql__malloc(1)
        made[i] = pointer ~= nil and "y" or "n"
        C.cql__free(pointer)
      end
      return table.concat(made)
    end
    for n, expected in ipairs { "nyyyy", "ynyyy", "yynyy" } do
      C.cql__mem_fail(n, 0)
      assert.equal(expected, run())
    end
    C.cql__mem_fail(3, 1)
    assert.equal("yynnn", run())
    assert.equal("nnnnn", run())
    C.cql__mem_fail(0, 0)
    assert.equal("yyyyy", run())
  end)

  it("copies texts with a final NUL", function()
    local copy = C.cql__text_copy("hello world", 5)
    assert.equal("hello", ffi.string(copy))
    C.cql__free(copy)
    copy = C.cql__text_copy(nil, 0)
    assert.equal("", ffi.string(copy))
    C.cql__free(copy)
    C.cql__mem_fail(1, 0)
    assert.is_true(C.cql__text_copy("hello", 5) == nil)
  end)

  it("wipes secrets, and nothing behind them", function()
    local bytes = ffi.new("uint8_t[8]", { 1, 2, 3, 4, 5, 6, 7, 8 })
    C.cql__wipe(bytes, 6)
    assert.equal("\0\0\0\0\0\0\7\8", ffi.string(bytes, 8))
    C.cql__wipe(bytes, 0)
    assert.equal(7, bytes[6])
  end)
end)

describe("the host's allocator", function()
  -- The C library's functions, by pointers of their own: all three or none may be given.
  ffi.cdef "void *realloc(void *pointer, size_t size);"
  local allocate = ffi.cast("void *(*)(size_t)", ffi.C.malloc)
  local reallocate = ffi.cast("void *(*)(void *, size_t)", ffi.C.realloc)
  local release = ffi.cast("void (*)(void *)", ffi.C.free)

  after_each(function() assert.equal(0, C.cql_set_allocator(nil, nil, nil)) end)

  it("is taken whole or not at all", function()
    assert.equal(0, C.cql_set_allocator(allocate, reallocate, release))
    assert.equal(C.CQL_EINVAL, C.cql_set_allocator(allocate, reallocate, nil))
    assert.equal(C.CQL_EINVAL, C.cql_set_allocator(allocate, nil, release))
    assert.equal(C.CQL_EINVAL, C.cql_set_allocator(nil, reallocate, release))
  end)

  it("is what the library then calls", function()
    local calls = {}
    local mine = ffi.cast("void *(*)(size_t)", function(size)
      calls[#calls + 1] = tonumber(size)
      return ffi.C.malloc(size)
    end)
    local function run()
      assert.equal(0, C.cql_set_allocator(mine, reallocate, release))
      local pointer = C.cql__malloc(123)
      C.cql__free(pointer)
      assert.equal(0, C.cql_set_allocator(nil, nil, nil))
      C.cql__free(C.cql__malloc(45))
    end
    jit.off(run) -- a compiled call may not come back into Lua
    run()
    assert.same({ 123 }, calls)
    mine:free()
  end)
end)
