local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.wire"

local C, hex, unhex = unit.C, unit.hex, unit.unhex

local function to_text(bytes, room)
  room = room or #bytes * 3 + 2
  local out = unit.buffer(("?"):rep(room))
  local copy = unit.buffer(bytes)
  local length = C.cql__varint_to_text(copy, #bytes, ffi.cast("char *", out), room)
  if length < 0 then return nil, length end
  assert.equal(0, out[length])
  return ffi.string(out, length)
end

local function from_text(text, room)
  room = room or #text + 1
  local out = unit.buffer(("?"):rep(room))
  local copy = unit.buffer(text)
  local size = C.cql__varint_from_text(ffi.cast("const char *", copy), #text, out, room)
  if size < 0 then return nil, size end
  return ffi.string(out, size)
end

describe("varints", function()
  -- [spec v5 6: varint]; the longer ones are computed from its rule
  local GOLDEN = {
    ["0"] = "00", ["1"] = "01", ["127"] = "7f", ["128"] = "0080", ["129"] = "0081", ["-1"] = "ff",
    ["-128"] = "80", ["-129"] = "ff7f", ["255"] = "00ff", ["256"] = "0100", ["-256"] = "ff00",
    ["-257"] = "feff", ["999999999"] = "3b9ac9ff", ["1000000000"] = "3b9aca00",
    ["-1000000000"] = "c4653600", ["4294967295"] = "00ffffffff", ["4294967296"] = "0100000000",
    ["9223372036854775807"] = "7fffffffffffffff", ["-9223372036854775808"] = "8000000000000000",
    ["9223372036854775808"] = "008000000000000000",
    ["18446744073709551616"] = "010000000000000000",
    ["1000000000000000000000000000"] = "033b2e3c9fd0803ce8000000",
    ["-1000000000000000000000000000"] = "fcc4d1c3602f7fc318000000",
    ["340282366920938463463374607431768211456"] = "01" .. ("00"):rep(16),
    ["-340282366920938463463374607431768211456"] = "ff" .. ("00"):rep(16),
  }

  it("are decimal text and back, in the shortest form", function()
    for text, bytes in pairs(GOLDEN) do
      assert.equal(text, to_text(unhex(bytes)))
      assert.equal(bytes, hex(from_text(text)))
    end
  end)

  it("are read in longer forms too, which servers keep", function()
    assert.equal("1", to_text(unhex "0001"))
    assert.equal("0", to_text(("\0"):rep(100)))
    assert.equal("-1", to_text(("\255"):rep(100)))
    assert.equal("-129", to_text(unhex "ffffff7f"))
    assert.equal("128", to_text(unhex "00000080"))
    assert.equal("00", hex(from_text "-0"))
    assert.equal("07", hex(from_text "+007"))
    assert.equal("f9", hex(from_text(("-%s7"):format(("0"):rep(100000)))))
  end)

  it("go there and back at any length", function()
    local random = unit.random(4)
    for length = 1, 300 do
      local bytes = {}
      for i = 1, length do bytes[i] = string.char(random(256)) end
      bytes[1] = string.char(random(2) == 0 and 1 + random(126) or 129 + random(126))
      bytes = table.concat(bytes)
      assert.equal(hex(bytes), hex(from_text((assert(to_text(bytes))))))
    end
  end)

  it("say when there is no room, to the byte", function()
    for text, bytes in pairs(GOLDEN) do
      assert.equal(text, to_text(unhex(bytes), #text + 1))
      assert.equal(C.CQL_ETOOBIG, select(2, to_text(unhex(bytes), #text)))
      assert.equal(bytes, hex(from_text(text, #bytes / 2)))
      assert.equal(C.CQL_ETOOBIG, select(2, from_text(text, #bytes / 2 - 1)))
    end
  end)

  it("have a limit, within which they are quick", function()
    local started = os.clock()
    local most = "\127" .. ("\255"):rep(8191)
    local text = assert(to_text(most))
    assert.equal(19729, #text)
    assert.equal(hex(most), hex(from_text(text)))
    local least = "\128" .. ("\0"):rep(8191)
    assert.equal(hex(least), hex(from_text((assert(to_text(least))))))
    assert.equal(C.CQL_ETOOBIG, select(2, to_text("\1" .. ("\0"):rep(8192))))
    assert.equal(C.CQL_ETOOBIG, select(2, from_text(("9"):rep(19729), 100000)))
    assert.equal(C.CQL_ETOOBIG, select(2, from_text(("9"):rep(1000000), 1000000)))
    assert.equal("1", to_text(("\0"):rep(100000) .. "\1"))
    assert.is_true(os.clock() - started < 2)
  end)

  it("are refused when they are no number", function()
    for _, text in ipairs { "", "-", "+", "--1", "1-", " 1", "1 ", "1.0", "1e3", "0x1",
      "12345678901a", "1234567890\0", "1_000" } do
      local bytes, err = from_text(text)
      assert.is_nil(bytes, text)
      assert.equal(C.CQL_EVALUE, err)
    end
    assert.equal(C.CQL_EVALUE, select(2, to_text("", 10)))
    assert.equal(C.CQL_EVALUE, C.cql__varint_to_text(nil, -1, nil, 0))
  end)
end)
