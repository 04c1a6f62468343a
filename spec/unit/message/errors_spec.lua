local ffi = require "ffi"
local unit = require "spec.support.unit"
local wire = require "spec.support.wire"

local C, u8, u16, u32, str, unhex = unit.C, unit.u8, unit.u16, unit.u32, unit.str, unit.unhex

-- The fields that aren't as in an error without any, as a table; then the result.
local function detail(code, version, body)
  local cursor, out = wire.cursor(body), ffi.new "cql_error_detail_t"
  local result = C.cql__error_detail(code, version, cursor, out)
  local fields = {}
  for _, name in ipairs { "received", "required", "failures", "data_present", "contentions",
    "rejected_by_coordinator" } do
    if out[name] ~= 0 then fields[name] = out[name] end
  end
  if out.consistency ~= -1 then fields.consistency = out.consistency end
  if out.operation ~= -1 then fields.operation = out.operation end
  for _, name in ipairs { "write_type", "keyspace", "table", "arguments", "reasons",
    "unknown_id" } do
    fields[name] = unit.slice(out[name])
  end
  assert.is_true(result == 0 or result == C.CQL_EMALFORMED)
  return fields, result == 0, cursor
end

describe("names of error codes", function()
  it("are those of the specification [spec v5 9]", function()
    local NAMES = {
      [0x0000] = "SERVER_ERROR", [0x000a] = "PROTOCOL_ERROR", [0x0100] = "BAD_CREDENTIALS",
      [0x1000] = "UNAVAILABLE", [0x1001] = "OVERLOADED", [0x1002] = "IS_BOOTSTRAPPING",
      [0x1003] = "TRUNCATE_ERROR", [0x1100] = "WRITE_TIMEOUT", [0x1200] = "READ_TIMEOUT",
      [0x1300] = "READ_FAILURE", [0x1400] = "FUNCTION_FAILURE", [0x1500] = "WRITE_FAILURE",
      [0x1600] = "CDC_WRITE_FAILURE", [0x1700] = "CAS_WRITE_UNKNOWN", [0x2000] = "SYNTAX_ERROR",
      [0x2100] = "UNAUTHORIZED", [0x2200] = "INVALID", [0x2300] = "CONFIG_ERROR",
      [0x2400] = "ALREADY_EXISTS", [0x2500] = "UNPREPARED",
      [0xf000] = "RATE_LIMIT_ERROR", -- ScyllaDB's
    }
    for code = -1, 0x10000 do
      local name = ffi.string(C.cql__server_error_name(code))
      if name ~= (NAMES[code] or "UNKNOWN") then assert.equal(NAMES[code], name) end
    end
  end)
end)

describe("an error", function()
  it("opens with code and message", function()
    local code, message = ffi.new "int32_t[1]", ffi.new "cql_slice_t"
    local body = u32(0x2200) .. str "no such table" .. "fields"
    local cursor = wire.cursor(body)
    assert.equal(0, C.cql__error_open(cursor, code, message))
    assert.equal(0x2200, code[0])
    assert.equal("no such table", unit.slice(message))
    assert.equal(6, wire.left(cursor))
    unit.truncate(u32(0x2200) .. str "no such table", function(part)
      assert.equal(C.CQL_EMALFORMED, C.cql__error_open(wire.cursor(part), code, message))
    end)
  end)
end)

describe("fields of errors", function()
  local CAS = unhex "0008 00000001 00000002 0003434153"
  local REASONS = unhex "047f000901 0001"
  -- { code, version from, to, bytes, what they mean }; [spec v5 9] where nothing else is said
  local CASES = {
    { 0x1000, 3, 5, u16(4) .. u32(3) .. u32(1), { consistency = 4, required = 3, received = 1 } },
    { 0x1100, 3, 5, u16(1) .. u32(0) .. u32(1) .. str "SIMPLE",
      { consistency = 1, required = 1, write_type = "SIMPLE" } },
    -- SERIAL 1 of 2 without contentions, as seen on Cassandra 5.0.9
    { 0x1100, 5, 5, CAS .. u16(0),
      { consistency = 8, received = 1, required = 2, write_type = "CAS" } },
    { 0x1100, 5, 5, CAS .. u16(7),
      { consistency = 8, received = 1, required = 2, write_type = "CAS", contentions = 7 } },
    { 0x1100, 3, 4, CAS, { consistency = 8, received = 1, required = 2, write_type = "CAS" } },
    { 0x1200, 3, 5, u16(4) .. u32(2) .. u32(2) .. u8(1),
      { consistency = 4, received = 2, required = 2, data_present = 1 } },
    { 0x1300, 4, 4, u16(5) .. u32(0) .. u32(2) .. u32(1) .. u8(0),
      { consistency = 5, required = 2, failures = 1 } },
    -- ALL 0 of 2, 127.0.9.1 for reason 1, no data, as seen on Cassandra 5.0.9
    { 0x1300, 5, 5, unhex "0005 00000000 00000002 00000001 047f000901 0001 00",
      { consistency = 5, required = 2, failures = 1, reasons = REASONS } },
    -- e2.f(int, text), as seen on Cassandra 5.0.9
    { 0x1400, 4, 5, unhex "00026532 000166 0002 0003696e74 000474657874",
      { keyspace = "e2", table = "f", arguments = unit.list("int", "text") } },
    { 0x1500, 4, 4, u16(1) .. u32(0) .. u32(1) .. u32(1) .. str "BATCH_LOG",
      { consistency = 1, required = 1, failures = 1, write_type = "BATCH_LOG" } },
    { 0x1500, 5, 5, u16(1) .. u32(0) .. u32(1) .. u32(2) .. REASONS .. "\16" ..
      ("\254"):rep(16) .. u16(4) .. str "VIEW",
      { consistency = 1, required = 1, failures = 2, write_type = "VIEW",
        reasons = REASONS .. "\16" .. ("\254"):rep(16) .. u16(4) } },
    { 0x1700, 5, 5, u16(8) .. u32(1) .. u32(2), { consistency = 8, received = 1, required = 2 } },
    { 0x2400, 3, 5, str "ks" .. str "t", { keyspace = "ks", table = "t" } },
    { 0x2400, 3, 5, str "ks" .. str "", { keyspace = "ks", table = "" } },
    { 0x2500, 3, 5, str "\1\2\3", { unknown_id = "\1\2\3" } },
    -- scylladb docs/dev/protocol-extensions.md
    { 0xf000, 3, 5, u8(0) .. u8(1), { operation = 0, rejected_by_coordinator = 1 } },
    { 0xf000, 3, 5, u8(1) .. u8(0), { operation = 1 } },
  }

  local function each(fn)
    for _, case in ipairs(CASES) do
      for version = case[2], case[3] do fn(case[1], version, case[4], case[5]) end
    end
  end

  it("are read by code and version", function()
    each(function(code, version, body, wanted)
      local fields, ok = detail(code, version, body)
      assert.is_true(ok)
      assert.same(wanted, fields)
      assert.same(wanted, (detail(code, version, body .. "and what is newer")))
    end)
  end)

  it("are none of the other errors, known or not", function()
    for _, code in ipairs { 0x0000, 0x000a, 0x0100, 0x1001, 0x1002, 0x1003, 0x1600, 0x2000, 0x2100,
      0x2200, 0x2300, 0xf001, 0x1800, 12345 } do
      for version = 3, 5 do
        local fields, ok = detail(code, version, "\0\1\2\3")
        assert.is_true(ok)
        assert.same({}, fields)
      end
    end
  end)

  it("that are all there are kept when the body is truncated", function()
    each(function(code, version, body, wanted)
      unit.truncate(body, function(part)
        local fields, ok = detail(code, version, part)
        assert.is_false(ok)
        for name, value in pairs(fields) do assert.equal(wanted[name], value) end
      end)
    end)
    local fields = detail(0x1200, 4, u16(4) .. u32(2) .. "\0\0")
    assert.same({ consistency = 4, received = 2 }, fields)
  end)

  it("are refused when a count of reasons or an address lies", function()
    local head = u16(5) .. u32(0) .. u32(2)
    for _, reasons in ipairs { u32(-1) .. REASONS, u32(2) .. REASONS, unhex "7fffffff" .. REASONS,
      u32(1) .. unhex "057f00090101 0001", u32(1) .. unhex "00 0001" } do
      local fields, ok = detail(0x1300, 5, head .. reasons .. u8(0))
      assert.is_false(ok)
      assert.same({ consistency = 5, required = 2 }, fields)
    end
  end)

  it("never read past the end, whatever the bytes are", function()
    each(function(code, version, body)
      unit.mutate(body, 13, 2000, function(mutant) detail(code, version, mutant) end)
    end)
  end)
end)
