-- What is made from other files is in step with them: lua/cql/cdef.lua, which LuaJIT accepts, and
-- docs/api.md.

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
    assert.is_true(generated == read "lua/cql/cdef.lua", "out of step: run ./dev generate")
  end)

  it("is accepted by ffi.cdef", function()
    -- in a process of its own: the declarations of this one may have been read already
    assert.equal(0, os.execute [[luajit -e 'require "ffi".cdef(dofile "lua/cql/cdef.lua")']])
  end)
end)

describe("docs/api.md", function()
  it("is what tools/api makes of the comments in lua/", function()
    local path = os.tmpname()
    assert.equal(0, os.execute("tools/api " .. path))
    local generated = read(path)
    os.remove(path)
    assert.is_true(generated == read "docs/api.md", "out of step: run ./dev generate")
    for _, call in ipairs { "cql.connect", "session:execute", "rows:each", "future:wait" } do
      assert.is_truthy(generated:find("### " .. call .. "(", 1, true), call)
    end
  end)
end)
