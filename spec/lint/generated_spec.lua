-- What is made from other files is in step with them: the declarations for LuaJIT, which it
-- accepts, and docs/api.md.

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

describe("what LuaJIT reads of the headers", function()
  local FILES = { "cql/cdef.lua", "cql/sim/cdef.lua" }

  it("is what tools/cdef generates from them", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert.equal(0, os.execute("tools/cdef " .. folder))
    for _, file in ipairs(FILES) do
      local generated = read(folder .. "/" .. file)
      assert.is_true(generated == read("lua/" .. file), "out of step: run ./dev generate")
    end
    os.execute("rm -r " .. folder)
  end)

  it("is accepted by ffi.cdef", function()
    -- in a process of its own: the declarations of this one may have been read already
    assert.equal(0, os.execute [[luajit -e '
      local ffi = require "ffi"
      ffi.cdef(dofile "lua/cql/cdef.lua")
      ffi.cdef(dofile "lua/cql/sim/cdef.lua")']])
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
