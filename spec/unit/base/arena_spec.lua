local ffi = require "ffi"
local unit = require "spec.support.unit"
local core = require "spec.support.core"

local C = unit.C

-- What malloc() gives next is not zeroed by chance.
local function dirty(size)
  local pieces = {}
  for i = 1, 20 do
    pieces[i] = C.cql__malloc(size)
    ffi.fill(pieces[i], size, 0xa5)
  end
  for i = 1, 20 do C.cql__free(pieces[i]) end
end

local function address(pointer) return tonumber(ffi.cast("uintptr_t", pointer)) end

describe("an arena", function()
  it("gives zeroed, aligned pieces that don't overlap", function()
    local arena = ffi.new "cql__arena"
    local random = unit.random(7)
    local pieces = {}
    for i = 1, 500 do
      local size = ({ 0, 1, 7, 8, 9, 64, 999, 1000, 1001, 5000 })[random(10) + 1] + random(4)
      dirty(1016) -- a chunk of small pieces
      dirty(size + 16)
      local piece = ffi.cast("uint8_t *", C.cql__arena_take(arena, size))
      assert.is_true(piece ~= nil)
      assert.equal(0, address(piece) % 8)
      for k = 0, size - 1 do assert(piece[k] == 0, "not zeroed") end
      ffi.fill(piece, size, i % 255 + 1)
      pieces[i] = { at = piece, size = size, fill = i % 255 + 1 }
    end
    for _, piece in ipairs(pieces) do
      assert.equal(string.char(piece.fill):rep(piece.size), ffi.string(piece.at, piece.size))
    end
    C.cql__arena_free(arena)
  end)

  it("takes one chunk for many small pieces and frees all of them together", function()
    local live = core.now_live()
    local arena = ffi.new "cql__arena"
    for _ = 1, 125 do C.cql__arena_take(arena, 8) end -- 1000 bytes: as much as a chunk has
    assert.equal(live + 1, core.now_live())
    C.cql__arena_take(arena, 1)
    assert.equal(live + 2, core.now_live())
    C.cql__arena_take(arena, 100000)
    assert.equal(live + 3, core.now_live())
    C.cql__arena_free(arena)
    assert.equal(live, core.now_live())
    assert.is_true(arena.chunks == nil)
    C.cql__arena_take(arena, 8) -- as good as new
    C.cql__arena_free(arena)
    C.cql__arena_free(arena)
    assert.equal(live, core.now_live())
  end)

  it("stays valid when memory runs out", function()
    local arena = ffi.new "cql__arena"
    local first = ffi.cast("uint8_t *", C.cql__arena_take(arena, 990))
    first[0] = 42
    C.cql__mem_fail(1, 0)
    assert.is_true(C.cql__arena_take(arena, 20) == nil)
    assert.equal(42, first[0])
    local small = ffi.cast("uint8_t *", C.cql__arena_take(arena, 8)) -- fits where it was
    assert.equal(address(first) + 992, address(small))
    assert.is_true(C.cql__arena_take(arena, 20) ~= nil)
    C.cql__arena_free(arena)
  end)

  it("leaks nothing at whichever allocation memory runs out", function()
    local failures = unit.fail_each_allocation(function()
      local arena = ffi.new "cql__arena"
      local result = 0
      for _, size in ipairs { 500, 600, 2000, 8, 1000 } do
        if C.cql__arena_take(arena, size) == nil then
          result = C.CQL_ENOMEM
          break
        end
      end
      C.cql__arena_free(arena)
      return result
    end)
    assert.equal(5, failures)
  end)
end)
