-- Values that Lua has no type for: what makes them, how they print and compare.
local ffi = require "ffi"
local null = require "cql.null"
local types = require "cql.types"
local time = require "cql.types.time"
local socket = require "spec.support.socket"

local decimal, duration, varint = types.decimal, types.duration, types.varint

describe("a varint", function()
  it("is made of digits, whole numbers and 64-bit integers", function()
    local CASES = { { "0", "0" }, { "-0", "0" }, { "+007", "7" }, { "-0012", "-12" }, { 5, "5" },
      { -0.0, "0" }, { 9007199254740992, "9007199254740992" },
      { -9007199254740992, "-9007199254740992" },
      { 9223372036854775807LL, "9223372036854775807" },
      { 18446744073709551615ULL, "18446744073709551615" }, { varint "3", "3" },
      { ("9"):rep(100), ("9"):rep(100) }, { ffi.new("uint16_t[1]", 9)[0], "9" } }
    for _, case in ipairs(CASES) do assert.equal(case[2], tostring(varint(case[1]))) end
  end)

  it("is made of nothing else", function()
    for _, wrong in ipairs { 1.5, 9007199254740994, "1.5", "", "-", "1 ", "0x1", {}, true, 0 / 0,
      1 / 0 } do
      local ok, message = pcall(function() return varint(wrong), 0 end)
      assert.is_false(ok)
      assert(message:find "types_made_spec.lua:.*cql.varint takes digits", message)
    end
  end)

  it("equals another of the same digits, and joins with text", function()
    assert.is_true(varint "12" == varint(12))
    assert.is_false(varint "12" == varint "-12")
    assert.equal("n 12.", "n " .. varint "12" .. ".")
  end)
end)

describe("a decimal", function()
  it("keeps its scale", function()
    local CASES = { "0", "1.50", "-1.50", "0.001", "-0.0", "123456789012345678901234567890.12",
      "0.000001", "1000" }
    local READ = { ["-0.0"] = "0.0" }
    for _, text in ipairs(CASES) do assert.equal(READ[text] or text, tostring(decimal(text))) end
    assert.equal(2, decimal("1.50").scale)
    assert.equal("150", decimal("1.50").unscaled)
  end)

  it("is written with an exponent where zeros would be many", function()
    local CASES = { { "1E+3", "1E+3" }, { "1e3", "1E+3" }, { "-12e10", "-1.2E+11" },
      { "0.0000001", "1E-7" }, { "1.5e-9", "1.5E-9" }, { "0E+5", "0E+5" },
      { "1E-2147483647", "1E-2147483647" }, { "1E+2147483647", "1E+2147483647" },
      { ".5", "0.5" }, { "5.", "5" }, { 3, "3" }, { varint "7", "7" }, { 7LL, "7" } }
    for _, case in ipairs(CASES) do
      local value = decimal(case[1])
      assert.equal(case[2], tostring(value))
      assert.is_true(decimal(tostring(value)) == value)
    end
  end)

  it("is refused where it isn't exact, or no number", function()
    for _, wrong in ipairs { 0.1, 1.5, "", ".", "1e", "e5", "1.2.3", "--1", "1-2", "1E2147483649",
      "1+5", " 1", {}, true, 0 / 0 } do
      local ok, message = pcall(function() return decimal(wrong), 0 end)
      assert(not ok, tostring(wrong))
      assert(message:find "types_made_spec.lua:.*cql.decimal takes text", message)
    end
  end)

  it("equals another of the same number", function()
    assert.is_true(decimal "1.5" == decimal "1.500")
    assert.is_true(decimal "1000" == decimal "1E+3")
    assert.is_true(decimal "0" == decimal "0.00")
    assert.is_false(decimal "1.5" == decimal "-1.5")
    assert.is_false(decimal "1.5" == decimal "15")
    assert.equal("1.50!", decimal "1.50" .. "!")
  end)
end)

describe("a duration", function()
  it("is made of text or a table, and prints the shortest units", function()
    local CASES = { { "1mo2d3ns", "1mo2d3ns" }, { "1y2mo3w4d5h6m7s8ms9us10ns",
      "1y2mo25d5h6m7s8ms9us10ns" }, { "14mo", "1y2mo" }, { "90m", "1h30m" }, { "-2h", "-2h" },
      { "5µs", "5us" }, { "0s", "0s" }, { "9223372036854775807ns",
      "2562047h47m16s854ms775us807ns" }, { "1H", "1h" }, { {}, "0s" },
      { { days = -1 }, "-1d" }, { duration "1d", "1d" },
      { { nanoseconds = 9007199254740993LL }, "2501h59m59s254ms740us993ns" } }
    for _, case in ipairs(CASES) do assert.equal(case[2], tostring(duration(case[1]))) end
  end)

  it("has its three parts", function()
    local value = duration "1y1w1h"
    assert.equal(12, value.months)
    assert.equal(7, value.days)
    assert.equal(3600000000000, value.nanoseconds)
    -- Beyond 2^53 nanoseconds, 104 days, a number would lose some.
    assert.is_true(duration("2502h").nanoseconds == 9007200000000000LL)
    assert.equal("cdata", type(duration("2502h").nanoseconds))
    assert.equal("number", type(duration("2501h").nanoseconds))
  end)

  it("is refused where it is none", function()
    for _, wrong in ipairs { "", "-", "1", "1x", "1d1mo", "1d1d", "1.5d", "d", "1 d",
      "9223372036854775808ns", "99999999999999999999ns", "2147483648d", "178956971y",
      { days = 1, months = -1 }, { hours = 1 }, { days = 1.5 }, { days = 2147483648 },
      { nanoseconds = 0 / 0 }, 5, true } do
      local ok, message = pcall(function() return duration(wrong), 0 end)
      assert(not ok, tostring(wrong))
      assert(message:find "types_made_spec.lua:.*cql.duration takes text", message)
    end
  end)

  it("equals another of the same parts", function()
    assert.is_true(duration "1y" == duration "12mo")
    assert.is_false(duration "24h" == duration "1d")
    assert.is_true(duration "3000h" == duration "3000h")
  end)
end)

describe("a uuid", function()
  it("is of its version, and never the same", function()
    local seen = {}
    for _ = 1, 1000 do
      local random, timed = types.uuid(), types.timeuuid()
      assert(random:find "^%x+%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x+$", random)
      assert(timed:find "^%x+%-%x%x%x%x%-1%x%x%x%-[89ab]%x%x%x%-%x+$", timed)
      assert.equal(36, #random)
      assert(not seen[random] and not seen[timed])
      seen[random], seen[timed] = true, true
    end
  end)

  it("of this moment says when, and later ones are greater", function()
    local before = os.time()
    local last = 0
    for _ = 1, 100 do
      local low, middle, high = types.timeuuid():match "^(%x+)%-(%x+)%-1(%x+)"
      local ticks = tonumber(high .. middle, 16) * 2 ^ 32 + tonumber(low, 16)
      local seconds = ticks / 1e7 - 12219292800
      assert(seconds >= before and seconds < os.time() + 2)
      assert(ticks >= last)
      last = ticks
    end
  end)
end)

describe("a program", function()
  it("has uuids and a clock at once", function()
    local cql = require "cql"
    local before = cql.now()
    assert.equal(36, #cql.timeuuid())
    assert.is_true(cql.now() >= before)
  end)

  it("that forks makes other uuids than its child", function()
    local function made() return { types.uuid(), types.timeuuid():sub(-17) } end
    made() -- what is kept would be kept in the child, too
    local path = os.tmpname()
    local status = socket.in_child(function()
      local file = assert(io.open(path, "w"))
      file:write(table.concat(made(), "\n"), "\n")
      file:close()
    end)
    assert.equal(0, status)
    local of_child = {}
    for line in io.lines(path) do of_child[#of_child + 1] = line end
    os.remove(path)
    local own = made()
    assert.equal(2, #of_child)
    assert.is_true(own[1] ~= of_child[1] and own[2] ~= of_child[2])
  end)
end)

describe("a time of day", function()
  it("is text there and back", function()
    for _, text in ipairs { "00:00:00.000000000", "23:59:59.999999999", "12:34:56.070000000" } do
      assert.equal(text, time.format(time.parse(text)))
    end
    for _, wrong in ipairs { "", "1:00:00", "12", "12:00:", "12:00:00.", "-1:00:00",
      "12:00:00x" } do
      assert.is_nil(time.parse(wrong))
    end
  end)
end)

describe("null", function()
  it("is cql.null and cjson's, and nothing else", function()
    local cjson = require "cjson"
    assert.equal("null", tostring(null.null))
    assert.equal("unset", tostring(null.unset))
    for _ = 1, 2 do
      assert.is_true(null.is_null(null.null))
      assert.is_true(null.is_null(cjson.null))
      assert.is_false(null.is_null(null.unset))
      assert.is_false(null.is_null(io.stdout))
      assert.is_false(null.is_null(ffi.new "void *"))
      for _, value in ipairs { 0, "", false, {} } do assert.is_false(null.is_null(value)) end
    end
    assert.is_false(null.is_null(nil))
  end)

  it("is nginx's where there is one", function()
    local light = require("cjson").null -- as ngx.null is
    _G.ngx = { null = light }
    local inside = dofile "lua/cql/null.lua"
    _G.ngx = nil
    assert.equal(light, inside.null)
    assert.is_true(inside.is_null(light))
    assert.is_false(inside.is_null(inside.unset))
    assert.is_false(null.is_null(inside.unset))
  end)
end)
