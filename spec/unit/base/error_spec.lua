local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.core"

local C = unit.C

-- CQL_ERROR_MAP as it stands in the public header: { name, number, text }.
local function map()
  local file = assert(io.open "include/cql.h")
  local text = file:read "*a"
  file:close()
  local body = assert(text:match "#define CQL_ERROR_MAP%(XX%)(.-)\n\n")
  local list = {}
  body = body:gsub('"%s*\\%s*"', "") -- texts of more than one line
  for name, number, words in body:gmatch 'XX%((%u+), (%-?%d+),[%s\\]*"(.-)"%)' do
    list[#list + 1] = { name = name, number = tonumber(number), text = words }
  end
  assert.equal(select(2, body:gsub("XX%(%u", "")), #list) -- nothing escaped the pattern
  return list
end

describe("the errors", function()
  it("have numbers, names and texts of their own, all negative", function()
    local seen = {}
    for _, one in ipairs(map()) do
      for _, key in ipairs { one.number, one.name, one.text } do
        assert.is_nil(seen[key], tostring(key) .. " stands twice")
        seen[key] = true
      end
      assert.is_true(one.number < 0)
    end
  end)

  it("are numbered without a gap, so that none that was given up is used again", function()
    for i, one in ipairs(map()) do assert.equal(-i, one.number) end
  end)

  it("are told by name and text", function()
    for _, one in ipairs(map()) do
      assert.equal(one.number, C["CQL_" .. one.name])
      assert.equal(one.name, ffi.string(C.cql__error_name(one.number)))
      assert.equal(one.text, ffi.string(C.cql__error_text(one.number)))
      assert.equal(one.name, ffi.string(C.cql_error_name(one.number)))
      assert.equal(one.text, ffi.string(C.cql_error_text(one.number)))
    end
  end)

  it("say so of what is none", function()
    local past = -#map() - 1
    for _, number in ipairs { 1, past, -2147483648, 2147483647 } do
      assert.equal("unknown", ffi.string(C.cql__error_name(number)))
      assert.equal("not an error of this library", ffi.string(C.cql__error_text(number)))
    end
    assert.equal("OK", ffi.string(C.cql__error_name(0)))
    assert.equal("no error", ffi.string(C.cql__error_text(0)))
  end)
end)

describe("the version", function()
  it("is that of the build", function()
    local file = assert(io.open "CMakeLists.txt")
    local text = file:read "*a"
    file:close()
    assert.equal(text:match "VERSION (%d+%.%d+%.%d+)", ffi.string(C.cql_version()))
  end)
end)
