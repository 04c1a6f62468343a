-- lua/cql/cdef.lua is in step with include/cql.h, and LuaJIT accepts it.

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

describe("lua/cql/cdef.lua", function()
  it("is what tools/cdef generates from include/cql.h", function()
    local path = os.tmpname()
    assert.equal(0, os.execute("tools/cdef " .. path))
    local generated = read(path)
    os.remove(path)
    assert.is_true(generated == read "lua/cql/cdef.lua", "out of step: run ./dev cdef")
  end)

  it("is accepted by ffi.cdef", function()
    -- in a process of its own: the declarations of this one may have been read already
    assert.equal(0, os.execute [[luajit -e 'require "ffi".cdef(dofile "lua/cql/cdef.lua")']])
  end)
end)
