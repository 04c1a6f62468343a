local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.wire"

local C, hex, unhex = unit.C, unit.hex, unit.unhex

describe("uuid text", function()
  local TEXT, BYTES = "1144bada-852c-11e3-89fb-e0b9a54a6d11", "1144bada852c11e389fbe0b9a54a6d11"

  local function from_text(text)
    local out = ffi.new "uint8_t[16]"
    local copy = unit.buffer(text)
    local result = C.cql__uuid_from_text(ffi.cast("const char *", copy), #text, out)
    return result == 0 and hex(ffi.string(out, 16)) or nil, result
  end

  it("is canonical [RFC 9562 4]", function()
    local out = ffi.new "char[37]"
    C.cql__uuid_to_text(unhex(BYTES), out)
    assert.equal(TEXT, ffi.string(out))
    assert.equal(BYTES, from_text(TEXT))
    assert.equal(BYTES, from_text(TEXT:upper()))
  end)

  it("is nothing else", function()
    for _, text in ipairs { "", BYTES, TEXT .. "0", TEXT:sub(1, 35), TEXT:gsub("-", ":"),
      "{" .. TEXT:sub(3) .. "}", TEXT:gsub("b", "g"), TEXT:gsub("^1", "\0"),
      "1144bad-a852c-11e3-89fb-e0b9a54a6d11" } do
      local value, err = from_text(text)
      assert.is_nil(value)
      assert.equal(C.CQL_EVALUE, err)
    end
  end)
end)

describe("inet text", function()
  local function to_text(bytes)
    local out = ffi.new "char[46]"
    local length = C.cql__inet_to_text(bytes, #bytes, out)
    if length < 0 then return nil, length end
    assert.equal(length, #ffi.string(out))
    return ffi.string(out)
  end

  local function from_text(text)
    local out = ffi.new "uint8_t[16]"
    local copy = unit.buffer(text)
    local size = C.cql__inet_from_text(ffi.cast("const char *", copy), #text, out)
    return size > 0 and ffi.string(out, size) or nil, size
  end

  it("goes there and back [RFC 5952]", function()
    for text, bytes in pairs {
      ["127.0.0.1"] = "7f000001", ["255.255.255.255"] = "ffffffff", ["0.0.0.0"] = "00000000",
      ["::"] = ("00"):rep(16), ["::1"] = ("00"):rep(15) .. "01",
      ["2001:db8::8a2e:370:7334"] = "20010db80000000000008a2e03707334",
      ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] = ("ff"):rep(16),
      ["::ffff:192.168.1.254"] = ("00"):rep(10) .. "ffffc0a801fe",
    } do
      assert.equal(text, to_text(unhex(bytes)))
      assert.equal(bytes, hex(from_text(text)))
    end
    assert.equal("::1", to_text(from_text "0:0:0:0:0:0:0:1"))
  end)

  it("has 4 or 16 bytes and no other form", function()
    for length = 0, 20 do
      local text, err = to_text(("\1"):rep(length))
      assert.equal(length == 4 or length == 16, text ~= nil)
      if not text then assert.equal(C.CQL_EVALUE, err) end
    end
    for _, text in ipairs { "", "1.2.3", "1.2.3.256", "1.2.3.4.5", "127.0.0.1\0x", "127.0.0.1 ",
      "localhost", "1::2::3", "fe80::1%eth0", "12345::", ("1"):rep(100) } do
      local bytes, err = from_text(text)
      assert.is_nil(bytes)
      assert.equal(C.CQL_EVALUE, err)
    end
  end)
end)

describe("date text", function()
  local function to_text(days)
    local out = ffi.new("char[?]", 20)
    local length = C.cql__date_to_text(days, out)
    if length < 0 then return nil, length end
    assert.equal(length, #ffi.string(out))
    return ffi.string(out)
  end

  local function from_text(text)
    local days = ffi.new "int64_t[1]"
    local copy = unit.buffer(text)
    local result = C.cql__date_from_text(ffi.cast("const char *", copy), #text, days)
    return result == 0 and tonumber(days[0]) or nil, result
  end

  -- Days as java.time.LocalDate counts them, which is what Cassandra reads and prints with.
  local GOLDEN = {
    ["1970-01-01"] = 0, ["1969-12-31"] = -1, ["2024-02-29"] = 19782, ["2000-02-29"] = 11016,
    ["1900-03-01"] = -25508, ["1900-02-28"] = -25509, ["0000-01-01"] = -719528,
    ["-0001-12-31"] = -719529, ["9999-12-31"] = 2932896, ["+10000-01-01"] = 2932897,
    ["+5881580-07-11"] = 2147483647, ["-5877641-06-23"] = -2147483648,
  }

  it("is ISO 8601, of the proleptic Gregorian calendar", function()
    for text, days in pairs(GOLDEN) do
      assert.equal(text, to_text(days))
      assert.equal(days, from_text(text))
    end
  end)

  it("goes there and back", function()
    for days = -800000, 3000000, 37 do assert.equal(days, from_text(to_text(days))) end
    for days = -2147483648, 2147483647, 1234577 do
      assert.equal(days, from_text(to_text(days)))
    end
  end)

  it("counts each day of four centuries", function()
    local lengths = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
    local days = from_text "1801-01-01"
    for year = 1801, 2200 do
      local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
      for month = 1, 12 do
        for day = 1, lengths[month] + (month == 2 and leap and 1 or 0) do
          local text = ("%04d-%02d-%02d"):format(year, month, day)
          if to_text(days) ~= text or from_text(text) ~= days then assert.equal(text, days) end
          days = days + 1
        end
      end
    end
  end)

  it("is refused when there is no such day", function()
    for _, text in ipairs { "", "2024", "2024-02", "2024-02-30", "2023-02-29", "1900-02-29",
      "2024-13-01", "2024-00-01", "2024-01-00", "2024-01-32", "2024-04-31", "2024-1-1",
      "24-01-01", "2024-01-01 ", " 2024-01-01", "2024/01/01", "--2024-01-01", "20240101",
      "2024-01-01T00:00:00", "+5881580-07-12", "-5877641-06-22", "99999999-01-01" } do
      local days, err = from_text(text)
      assert.is_nil(days, text)
      assert.equal(C.CQL_EVALUE, err)
    end
    assert.equal(C.CQL_EVALUE, select(2, to_text(2147483648LL)))
    assert.equal(C.CQL_EVALUE, select(2, to_text(-2147483649LL)))
    assert.equal(C.CQL_EVALUE, select(2, to_text(9223372036854775807LL)))
  end)
end)
