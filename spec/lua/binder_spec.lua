-- Values bound to markers: by position and by name, what is missing, and what is refused.
local ffi = require "ffi"
local metadata = require "spec.support.metadata"
local unit = require "spec.support.unit"
local binder = require "cql.binder"
local new_buffer = require("cql.buffer").new
local nulls = require "cql.null"

local null, unset = nulls.null, nulls.unset

local MARKERS = { { "id", "int" }, { "name", "text" }, { "age", "int" } }

-- Hex of what is encoded, and the count; or nil and the message.
local function encode(markers, values, version, keys)
  local buffer = new_buffer()
  local count, wrong = binder.new(metadata.of(markers, keys)):encode(buffer, values, version or 5)
  if not count then
    assert.equal(0, buffer.size)
    return nil, wrong
  end
  return unit.hex(buffer:to_string()), count
end

local function assert_encoded(expected, markers, ...)
  local hex, count = encode(markers, ...)
  assert(hex, count)
  assert.equal((expected:gsub(" ", "")), hex)
  assert.equal(#markers, count)
end

local function assert_refused(pattern, ...)
  local hex, message = encode(...)
  assert.is_nil(hex)
  assert(message:find(pattern), message)
end

local ALL = "00000004 00000007 00000001 61 00000004 00000009"

describe("values", function()
  it("stand by position or by name", function()
    assert_encoded(ALL, MARKERS, { 7, "a", 9 })
    assert_encoded(ALL, MARKERS, { 7, "a", 9, n = 3 })
    assert_encoded(ALL, MARKERS, { id = 7, name = "a", age = 9 })
    assert_encoded(ALL, MARKERS, { [1] = 7, [3] = 9, [2] = "a" })
  end)

  it("that are missing are unset; null on version 3", function()
    for _, values in ipairs { { 7, nil, 9 }, { 7, nil, 9, n = 3 }, { id = 7, age = 9 },
      { 7, unset, 9 }, { id = 7, name = unset, age = 9 } } do
      assert_encoded("00000004 00000007 fffffffe 00000004 00000009", MARKERS, values, 4)
      assert_encoded("00000004 00000007 ffffffff 00000004 00000009", MARKERS, values, 3)
    end
    for _, values in ipairs { {}, { n = 0 }, { n = 3 }, false } do
      assert_encoded("fffffffe fffffffe fffffffe", MARKERS, values or nil, 5)
      assert_encoded("ffffffff ffffffff ffffffff", MARKERS, values or nil, 3)
    end
    assert_encoded("00000004 00000007 fffffffe fffffffe", MARKERS, { 7 })
    assert_encoded("fffffffe fffffffe 00000004 00000009", MARKERS, { nil, nil, 9 })
    assert_encoded("fffffffe 00000001 61 fffffffe", MARKERS, { nil, "a" })
  end)

  it("may be null, whichever null that is", function()
    for _, value in ipairs { null, require("cjson").null } do
      assert_encoded("00000004 00000007 ffffffff 00000004 00000009", MARKERS, { 7, value, 9 })
      assert_encoded("00000004 00000007 ffffffff 00000004 00000009", MARKERS,
        { id = 7, name = value, age = 9 })
    end
  end)

  it("of a partition key must be there", function()
    local keys = { 2, 0 }
    assert_encoded(ALL, MARKERS, { 7, "a", 9 }, 5, keys)
    assert_encoded("00000004 00000007 fffffffe 00000004 00000009", MARKERS,
      { 7, nil, 9 }, 5, keys)
    for _, values in ipairs { { 7, "a" }, { id = 7 }, { 7, "a", unset }, {} } do
      assert_refused("^%l+: a part of the partition key needs a value$", MARKERS, values, 5, keys)
    end
    assert_refused("^id: a part of the partition key needs", MARKERS, { nil, "a", 9 }, 5, keys)
    assert_refused("^age: a part of the partition key can't be null", MARKERS, { 7, "a", null }, 4,
      keys)
  end)

  it("of one name are one value", function()
    local markers = { { "a", "int" }, { "b", "int" }, { "a", "int" } }
    assert_encoded("00000004 00000001 00000004 00000002 00000004 00000001", markers,
      { a = 1, b = 2 })
    assert_encoded("00000004 00000001 00000004 00000002 00000004 00000003", markers, { 1, 2, 3 })
  end)

  it("may have names that Lua finds odd", function()
    for _, name in ipairs { "in(id)", "[limit]", "end", 'a"b\n', "n", "%s" } do
      assert_encoded("00000004 00000005", { { name, "int" } }, { [name] = 5 })
      assert_encoded("00000004 00000005", { { name, "int" } }, { 5 })
    end
  end)

  it("that are collections are not taken for the table of values", function()
    local udt = { "ks", "p", { { "x", "int" } } }
    assert_encoded("00000008 00000004 00000005", { { "p", udt } }, { { x = 5 } })
    assert_encoded("00000008 00000004 00000005", { { "p", udt } }, { p = { x = 5 } })
    assert_encoded("0000000c 00000001 00000004 00000005", { { "l", "list<int>" } }, { { 5 } })
  end)

  it("that are false are values", function()
    assert_encoded("00000001 00", { { "b", "boolean" } }, { false })
    assert_encoded("00000001 00", { { "b", "boolean" } }, { b = false })
  end)

  it("are none where there are no markers", function()
    local hex, count = encode({}, {})
    assert.same({ "", 0 }, { hex, count })
    assert_refused("0 markers, and 1 values", {}, { 1 })
    assert_refused('unknown marker "x"', {}, { x = 1 })
  end)
end)

describe("values are refused", function()
  it("that have no marker", function()
    assert_refused('^unknown marker "nme"; did you mean "name"%?$', MARKERS, { id = 1, nme = "x" })
    assert_refused('unknown marker "3"', MARKERS, { id = 1, [3] = 5 })
  end)

  it("that are too many", function()
    assert_refused("^the statement has 3 markers, and 4 values were given$", MARKERS,
      { 1, "a", 3, 4 })
    assert_refused("has 3 markers, and 4 values", MARKERS, { 1, "a", 3, n = 4 })
    assert_refused("has 3 markers, and 4 values", MARKERS, { 1, [4] = 5 })
  end)

  it("that are both by position and by name", function()
    assert_refused('both by position and by name %("age"%)', MARKERS, { 1, "a", age = 3 })
    assert_refused("n, the number of values, must be a number", MARKERS, { 1, n = "x" })
  end)

  it("that are no table", function()
    assert_refused("values are a table", MARKERS, "x")
    assert_refused("values are a table", MARKERS, 5)
  end)

  it("with the marker's name and what it takes", function()
    assert_refused('^age: int takes a whole number from %-2147483648 to 2147483647, not "x"$',
      MARKERS, { 1, "a", "x" })
    assert_refused("^name: text takes a string, not 5", MARKERS, { id = 1, name = 5 })
  end)
end)

describe("a binder", function()
  it("adds to what the buffer holds, and takes back what was half done", function()
    local buffer = new_buffer()
    local b = binder.new(metadata.of(MARKERS))
    assert(b:encode(buffer, { 7, "a", 9 }, 5))
    local size = buffer.size
    assert.is_nil(b:encode(buffer, { 7, "a", "x" }, 5))
    assert.equal(size, buffer.size)
    assert(b:encode(buffer, { 7, "a", 9 }, 5))
    assert.equal((ALL .. ALL):gsub(" ", ""), unit.hex(buffer:to_string()))
  end)

  it("outlives the metadata that it was made of", function()
    local b = binder.new(metadata.of({ { "m", "map<text, list<int>>" }, MARKERS[2] }, { 1 }))
    for _ = 1, 3 do collectgarbage() end
    local buffer = new_buffer()
    assert(b:encode(buffer, { { a = { 1 } }, "x" }, 5))
    assert.same({ "m", "name" }, b.names)
    assert.same({ "map<text, list<int>>", "text" }, b.types)
  end)

  local function check_wide(times)
    for _, width in ipairs { 1, 15, 16, 17, 33, 300, 2000 } do
      local markers, values, named, expected = {}, { n = width }, {}, {}
      for i = 1, width do
        markers[i] = { "m" .. i, i % 2 == 0 and "int" or "text" }
        if i % 5 ~= 0 then
          values[i] = i % 2 == 0 and i or "t" .. i
          named["m" .. i] = values[i]
        end
        expected[i] = i % 5 == 0 and "fffffffe"
          or unit.hex(unit.bytes(i % 2 == 0 and unit.u32(i) or "t" .. i))
      end
      local b, buffer = binder.new(metadata.of(markers)), new_buffer()
      for _ = 1, times do
        for _, given in ipairs { values, named } do
          buffer:reset()
          assert(b:encode(buffer, given, 5))
          assert.equal(table.concat(expected), unit.hex(buffer:to_string()))
        end
      end
    end
  end

  it("takes any number of markers", function() check_wide(1) end)

  it("does so compiled at once, and not at all", function()
    jit.opt.start("hotloop=2", "hotexit=1")
    check_wide(10)
    jit.opt.start("hotloop=56", "hotexit=10")
    jit.off()
    check_wide(1)
    jit.on()
  end)

  it("bears a collector that never rests", function()
    local b, buffer = binder.new(metadata.of(MARKERS)), new_buffer()
    local pause = collectgarbage("setpause", 0)
    for i = 1, 2000 do
      buffer:reset()
      assert(b:encode(buffer, { 7, ("x"):rep(i), 9 }, 5))
      assert.equal(("x"):rep(i), ffi.string(buffer.data + 12, i))
    end
    collectgarbage("setpause", pause)
  end)
end)

describe("a buffer", function()
  it("grows, and keeps what it holds", function()
    local buffer, expected = new_buffer(), {}
    for i = 1, 3000 do
      buffer:put_i32(i)
      expected[i] = unit.u32(i)
    end
    buffer:put_bytes(("x"):rep(100000))
    assert.equal(table.concat(expected) .. ("x"):rep(100000), buffer:to_string())
  end)

  it("writes 64 bits of numbers and integers", function()
    local CASES = { { 1, "0000000000000001" }, { -1, "ffffffffffffffff" },
      { 2 ^ 32, "0000000100000000" }, { -2 ^ 32, "ffffffff00000000" },
      { 2 ^ 53, "0020000000000000" }, { -2 ^ 53, "ffe0000000000000" },
      { 0x0102030405060708LL, "0102030405060708" } }
    for _, case in ipairs(CASES) do
      local buffer = new_buffer()
      buffer:put_i64(case[1])
      assert.equal(case[2], unit.hex(buffer:to_string()))
    end
  end)

  it("lets go of what only one request needed", function()
    local buffer = new_buffer()
    buffer:put_bytes(("x"):rep(2000000))
    buffer:reset()
    assert.equal(0, buffer.size)
    assert.is_true(buffer.capacity < 10000)
    buffer:put_bytes(("x"):rep(2000))
    local capacity = buffer.capacity
    buffer:reset()
    assert.equal(capacity, buffer.capacity)
  end)

  it("refuses more than a request can hold, and stays as it was", function()
    local buffer = new_buffer()
    buffer:put_bytes "abc"
    assert.has_error(function() buffer:reserve(2147483647) end,
      "cql: the values of one request exceed 2 GiB")
    assert.equal("abc", buffer:to_string())
  end)
end)
