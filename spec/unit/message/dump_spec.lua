local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.wire"

local C, u8, u16, u32, str, bytes, list = unit.C, unit.u8, unit.u16, unit.u32, unit.str, unit.bytes,
  unit.list
local unhex = unit.unhex
local UUID = unhex "00112233445566778899aabbccddeeff"

local function dump(envelope, blank, size)
  size = size or 65536
  local out = unit.buffer(("?"):rep(size))
  local copy = unit.buffer(envelope)
  local length = C.cql__message_dump(copy, #envelope, blank and 1 or 0, ffi.cast("char *", out),
    size)
  return size > 0 and ffi.string(out) or "", length
end

local function envelope(version, flags, stream, opcode, body)
  return u8(version) .. u8(flags) .. u16(stream) .. u8(opcode) .. u32(#body) .. body
end

-- What the lines say, but for the first; indentation is the specs'.
local function fields(version, opcode, body, flags, blank)
  local text = dump(envelope(version, flags or 0, 1, opcode, body), blank)
  return (text:gsub("^[^\n]*\n?", ""):gsub("\n?  ([^\n]*)", "%1\n"))
end

local function lines(text) return (text:gsub("%f[^\n%z] +", "")) end

describe("a dump of the header", function()
  it("is in words", function()
    assert.equal("v4 request OPTIONS, stream 0, 0 bytes", (dump(unhex "040000000500000000")))
    assert.equal("v5 response READY, stream 32767, 0 bytes", (dump(unhex "85007fff0200000000")))
    assert.equal("v3 response of opcode 0x04, stream -1, tracing, beta, flag 0x80, 0 bytes",
      (dump(unhex "8392ffff0400000000"):gsub("\n.*", "")))
  end)

  it("blanks streams, but for that of events", function()
    assert.equal("v4 request OPTIONS, stream <stream>, 0 bytes",
      (dump(unhex "040000070500000000", true)))
    assert.equal("v4 response READY, stream -1, 0 bytes", (dump(unhex "8400ffff0200000000", true)))
  end)

  it("says what is missing", function()
    assert.equal("truncated: 0 of the header's 9 bytes", (dump ""))
    assert.equal("truncated: 8 of the header's 9 bytes", (dump(("\4"):rep(8))))
    assert.equal("v4 request OPTIONS, stream 0, 5 bytes\n  truncated: 2 of 5 bytes are here",
      (dump(unhex "040000000500000005 0102")))
    assert.equal("v4 request OPTIONS, stream 0, -1 bytes\n  malformed",
      (dump(unhex "0400000005ffffffff 0102")))
  end)

  it("ends where the envelope does", function()
    assert.equal("v4 request OPTIONS, stream 0, 0 bytes",
      (dump(unhex "040000000500000000 040000000500000000")))
  end)
end)

-- The layouts are those of spec v5 4.1 and 4.2, as elsewhere in these specs.
describe("a dump of requests", function()
  it("has their fields", function()
    assert.equal('option CQL_VERSION: "3.0.0"\n',
      fields(4, 0x01, unhex "0001000b43514c5f56455253494f4e0005332e302e30"))
    assert.equal('events: "TOPOLOGY_CHANGE", "STATUS_CHANGE"\n',
      fields(4, 0x0b, list("TOPOLOGY_CHANGE", "STATUS_CHANGE")))
    assert.equal('query: "USE ks"\nconsistency: ONE\n',
      fields(4, 0x07, unhex "00000006555345206b73 0001 00"))
    assert.equal('query: "USE ks"\nconsistency: ONE\n',
      fields(5, 0x07, unhex "00000006555345206b73 0001 00000000"))
    assert.equal('query: "X"\n', fields(4, 0x09, bytes "X"))
    assert.equal('query: "X"\nkeyspace: "ks"\n', fields(5, 0x09, bytes "X" .. u32(1) .. str "ks"))
  end)

  it("never shows a token", function()
    local text = fields(5, 0x0f, unhex "0000000a 00757365720070617373")
    assert.equal("token of bytes: 10\n", text)
    assert.equal("token of bytes: -1\n", fields(5, 0x0f, bytes(nil)))
  end)

  local EXECUTE = lines [[
    prepared id: abcd
    consistency: LOCAL_QUORUM
    value 1: 00000007
    value 2: null
    value 3: unset
    skip metadata
    page size: 5000
    timestamp: 1700000000000000
  ]]
  local PARAMETERS = "0003 00000004 00000007 ffffffff fffffffe 00001388 00060a24181e4000"

  it("has the parameters of EXECUTE", function()
    assert.equal(EXECUTE, fields(4, 0x0a, unhex("0002abcd 0006 27" .. PARAMETERS)))
    assert.equal((EXECUTE:gsub("consist", "metadata id: 0102\nconsist")),
      fields(5, 0x0a, unhex("0002abcd 00020102 0006 00000027" .. PARAMETERS)))
    local blank = EXECUTE:gsub("abcd", "<prepared id>"):gsub("17%d+", "<timestamp>")
    assert.equal(blank, fields(4, 0x0a, unhex("0002abcd 0006 27" .. PARAMETERS), 0, true))
  end)

  it("has every parameter there is", function()
    local body = bytes "X" .. u16(11) .. unhex "000001ff" .. u16(2) .. str "a" .. bytes "" ..
      str "b" .. bytes(("\1"):rep(40)) .. u32(100) .. bytes "state" .. u16(8) ..
      unhex "ffffffffffffffff" .. str "ks" .. u32(77)
    assert.equal(lines [[
      query: "X"
      consistency: 11
      value 1 a: empty
      value 2 b: 0101010101010101010101010101010101010101010101010101010101010101...(40 bytes)
      skip metadata
      page size: 100
      paging state: 7374617465
      serial consistency: SERIAL
      timestamp: -1
      keyspace: "ks"
      now in seconds: 77
    ]], fields(5, 0x07, body))
  end)

  it("has the statements of a BATCH", function()
    local body = unhex [[01 0002 00 0000000158 0000 01 0002abcd 0001 0000000400000007 0001 00]]
    assert.equal(lines [[
      type: UNLOGGED
      statements: 2
      query: "X"
      prepared id: abcd
      value 1: 00000007
      consistency: ONE
    ]], fields(4, 0x0d, body))
    assert.is_truthy(fields(4, 0x0d, u8(7) .. u16(0) .. u16(1) .. u8(0)):find("type: 7", 1, true))
    assert.is_truthy(fields(4, 0x0d, u8(0) .. u16(1) .. u8(2)):find("malformed", 1, true))
  end)

  it("has a payload, on v4 and later", function()
    local body = u16(1) .. str "key" .. bytes "\1\2" .. unhex "0000000158 0001 00"
    assert.equal('payload key: 0102\nquery: "X"\nconsistency: ONE\n', fields(4, 0x07, body, 0x04))
  end)
end)

describe("a dump of responses", function()
  it("has what they begin with", function()
    local body = UUID .. list("careful", 'a "b"\n') .. u16(1) .. str "k" .. bytes(nil) .. u32(1)
    local text = fields(0x84, 0x08, body, 0x0e)
    assert.equal(lines [[
      tracing id: 00112233445566778899aabbccddeeff
      warnings: "careful", "a \"b\"\x0a"
      payload k: null
      kind: VOID
    ]], text)
    assert.is_truthy(fields(0x84, 0x08, body, 0x0e, true):find("<tracing id>", 1, true))
  end)

  it("has the small ones", function()
    assert.equal('authenticator: "PasswordAuthenticator"\n',
      fields(0x85, 0x03, str "PasswordAuthenticator"))
    assert.equal('option COMPRESSION: "snappy", "lz4"\noption EMPTY: \n',
      fields(0x85, 0x06, u16(2) .. str "COMPRESSION" .. list("snappy", "lz4") .. str "EMPTY" ..
        list()))
    assert.equal("token of bytes: 3\n", fields(0x85, 0x0e, bytes "abc"))
    assert.equal("token of bytes: -1\n", fields(0x85, 0x10, bytes(nil)))
    assert.equal('kind: SET_KEYSPACE\nkeyspace: "ks"\n', fields(0x85, 0x08, u32(3) .. str "ks"))
    assert.equal("kind: 9\n", fields(0x85, 0x08, u32(9)))
  end)

  it("has the rows, the first three of them", function()
    local types = { u16(0x09), u16(0x20) .. u16(0x0d),
      u16(0) .. str "org.apache.cassandra.db.marshal.VectorType(FloatType, 3)",
      u16(0x30) .. str "ks" .. str "u" .. u16(2) .. str "x" .. u16(9) .. str "y" .. u16(0x0c),
      u16(0x31) .. u16(2) .. u16(9) .. u16(0x15), u16(0) .. str "com.example.Color" }
    local specs = str "ks" .. str "t"
    for i, type in ipairs(types) do specs = specs .. str("c" .. i) .. type end
    local row = bytes(u32(7)) .. bytes "" .. bytes(nil):rep(4)
    local body = u32(2) .. u32(1 + 2 + 8) .. u32(6) .. bytes "page" .. str "id" .. specs ..
      u32(5) .. row:rep(5)
    assert.equal(lines [[
      kind: ROWS
      columns: 6
      paging state: 70616765
      new metadata id: 6964
      column ks.t.c1: int
      column ks.t.c2: list<text>
      column ks.t.c3: vector<float, 3>
      column ks.t.c4: ks.u<x int, y uuid>
      column ks.t.c5: tuple<int, duration>
      column ks.t.c6: "com.example.Color"
      rows: 5
      row 1: 00000007, empty, null, null, null, null
      row 2: 00000007, empty, null, null, null, null
      row 3: 00000007, empty, null, null, null, null
      2 rows more
    ]], fields(0x85, 0x08, body))
    local blank = fields(0x85, 0x08, body, 0, true)
    assert.is_truthy(blank:find("paging state: <paging state>\nnew metadata id: <new", 1, true))
  end)

  it("has rows without metadata, and of two tables", function()
    assert.equal("kind: ROWS\ncolumns: 1\nno metadata\nrows: 1\nrow 1: 61\n",
      fields(0x84, 0x08, u32(2) .. u32(5) .. u32(1) .. u32(1) .. bytes "a"))
    local specs = str "ks" .. str "t" .. str "a" .. u16(9) .. str "ks" .. str "u" .. str "b" ..
      u16(0x0d)
    assert.equal("kind: ROWS\ncolumns: 2\ncolumn ks.t.a: int\ncolumn ks.u.b: text\nrows: 0\n",
      fields(0x84, 0x08, u32(2) .. u32(0) .. u32(2) .. specs .. u32(0)))
  end)

  it("has a prepared statement", function()
    local markers = str "ks" .. str "t" .. str "a" .. u16(9) .. str "b" .. u16(0x0d)
    local tail = u32(1) .. u32(1) .. str "ks" .. str "t" .. str "v" .. u16(9)
    assert.equal(lines [[
      kind: PREPARED
      prepared id: 0102
      metadata id: 0304
      markers: 2
      key part of marker: 1
      key part of marker: 0
      conditional
      marker ks.t.a: int
      marker ks.t.b: text
      columns: 1
      column ks.t.v: int
    ]], fields(0x85, 0x08, u32(4) .. str "\1\2" .. str "\3\4" .. unhex "80000001" .. u32(2) ..
      u32(2) .. u16(1) .. u16(0) .. markers .. tail))
    assert.equal(lines [[
      kind: PREPARED
      prepared id: <prepared id>
      markers: 2
      marker ks.t.a: int
      marker ks.t.b: text
      columns: 0
      no metadata
    ]], fields(0x83, 0x08, u32(4) .. str "\1\2" .. u32(1) .. u32(2) .. markers .. u32(4) .. u32(0),
      0, true))
  end)

  it("has the fields of errors", function()
    assert.equal('error: 0x2200 INVALID\nmessage: "no"\n',
      fields(0x84, 0x00, u32(0x2200) .. str "no"))
    assert.equal('error: 0xf001 UNKNOWN\nmessage: "no"\n',
      fields(0x84, 0x00, u32(0xf001) .. str "no" .. "\0\1"))
    assert.equal(lines [[
      error: 0xf000 RATE_LIMIT_ERROR
      message: "no"
      operation: 0
      rejected by coordinator: 1
    ]], fields(0x84, 0x00, u32(0xf000) .. str "no" .. "\0\1"))
    assert.equal(lines [[
      error: 0x1000 UNAVAILABLE
      message: ""
      consistency: QUORUM
      required: 3
      received: 1
    ]], fields(0x84, 0x00, u32(0x1000) .. str "" .. u16(4) .. u32(3) .. u32(1)))
    assert.equal(lines [[
      error: 0x1100 WRITE_TIMEOUT
      message: ""
      consistency: SERIAL
      received: 1
      required: 2
      write type: "CAS"
      contentions: 0
    ]], fields(0x85, 0x00, u32(0x1100) .. str "" ..
      unhex "0008 00000001 00000002 0003434153 0000"))
    assert.equal(lines [[
      error: 0x1300 READ_FAILURE
      message: ""
      consistency: ALL
      received: 0
      required: 2
      failures: 1
      failed: 127.0.9.1 for reason 1
      data present: 0
    ]], fields(0x85, 0x00, u32(0x1300) .. str "" ..
      unhex "0005 00000000 00000002 00000001 047f000901 0001 00"))
    assert.equal(lines [[
      error: 0x1500 WRITE_FAILURE
      message: ""
      consistency: ONE
      received: 0
      required: 1
      failures: 1
      write type: "SIMPLE"
    ]], fields(0x84, 0x00, u32(0x1500) .. str "" .. u16(1) .. u32(0) .. u32(1) .. u32(1) ..
      str "SIMPLE"))
    assert.equal(lines [[
      error: 0x1400 FUNCTION_FAILURE
      message: ""
      keyspace: "e2"
      name: "f"
      argument types: "int", "text"
    ]], fields(0x84, 0x00, u32(0x1400) .. str "" ..
      unhex "00026532 000166 0002 0003696e74 000474657874"))
    assert.equal('error: 0x2500 UNPREPARED\nmessage: ""\nprepared id: <prepared id>\n',
      fields(0x84, 0x00, u32(0x2500) .. str "" .. str "\1\2", 0, true))
  end)

  it("has events", function()
    local up = unhex "000d5354415455535f4348414e4745 00025550 047f000001 00002352"
    assert.equal('event: "STATUS_CHANGE"\nchange: "UP"\naddress: 127.0.0.1 port 9042\n',
      fields(0x84, 0x0c, up))
    assert.equal('event: "STATUS_CHANGE"\nchange: "UP"\naddress: 127.0.0.1 port <port>\n',
      fields(0x84, 0x0c, up, 0, true))
    assert.equal(lines [[
      event: "SCHEMA_CHANGE"
      change: "DROPPED"
      target: "FUNCTION"
      keyspace: "ks"
      name: "f"
      argument types: "int"
    ]], fields(0x84, 0x0c, str "SCHEMA_CHANGE" .. str "DROPPED" .. str "FUNCTION" .. str "ks" ..
      str "f" .. list "int"))
    assert.equal('kind: SCHEMA_CHANGE\nchange: "CREATED"\ntarget: "KEYSPACE"\nkeyspace: "ks"\n',
      fields(0x84, 0x08, u32(5) .. str "CREATED" .. str "KEYSPACE" .. str "ks"))
    assert.equal('event: "NEWS"\n', fields(0x84, 0x0c, str "NEWS" .. "anything"))
  end)

  it("says that a body is compressed, where the flag means that", function()
    assert.equal("compressed: 000000055068656c6c6f\n",
      fields(0x84, 0x08, unhex "000000055068656c6c6f", 0x01))
    assert.equal("kind: VOID\n", fields(0x85, 0x08, u32(1), 0x01))
  end)
end)

describe("a dump", function()
  -- One of each kind, for what follows.
  local MESSAGES = {
    envelope(5, 0, 1, 0x0a, unhex [[0002abcd 00020102 0006 00000027 0003 00000004 00000007 ffffffff
      fffffffe 00001388 00060a24181e4000]]),
    envelope(4, 4, 1, 0x0d, u16(1) .. str "k" .. bytes "v" .. unhex [[01 0002 00 0000000158 0000 01
      0002abcd 0001 0000000400000007 0001 00]]),
    envelope(0x85, 0x0e, 1, 0x08, UUID .. list "w" .. u16(1) .. str "k" .. bytes "v" .. u32(2) ..
      u32(11) .. u32(1) .. bytes "p" .. str "id" .. str "ks" .. str "t" .. str "c" ..
      unhex "0021 0009 0031 0002 000d" .. u16(0) .. str "VectorType(Int32Type,2)" .. u32(2) ..
      bytes "abc" .. bytes(nil)),
    envelope(0x84, 0, 1, 0x08, u32(4) .. str "\1\2" .. u32(1) .. u32(1) .. u32(1) .. u16(0) ..
      str "ks" .. str "t" .. str "a" .. u16(9) .. u32(5) .. u32(0)),
    envelope(0x85, 0, 1, 0x00, u32(0x1300) .. str "m" ..
      unhex "0005 00000000 00000002 00000001 047f000901 0001 00"),
    envelope(0x85, 0, 1, 0x00, u32(0x1400) .. str "m" ..
      unhex "00026532 000166 0002 0003696e74 000474657874"),
    envelope(0x84, 0, 1, 0x0c, str "SCHEMA_CHANGE" .. str "DROPPED" .. str "FUNCTION" .. str "ks" ..
      str "f" .. list "int"),
    envelope(0x84, 0, 1, 0x0c, str "STATUS_CHANGE" .. str "UP" .. "\16" .. UUID .. u32(9042)),
    envelope(0x84, 0, 1, 0x06, u16(1) .. str "COMPRESSION" .. list("snappy", "lz4")),
    envelope(4, 0, 1, 0x0b, list("TOPOLOGY_CHANGE", "STATUS_CHANGE")),
  }

  it("is cut off at the buffer's size, and says the whole", function()
    for _, message in ipairs(MESSAGES) do
      local whole, length = dump(message)
      assert.equal(#whole, length)
      for size = 0, length + 2 do
        local part, same = dump(message, false, size)
        assert.equal(length, same)
        assert.equal(whole:sub(1, math.max(0, size - 1)), part)
      end
    end
  end)

  it("of a truncated message says so, and shows only what is all there", function()
    for _, message in ipairs(MESSAGES) do
      local whole = dump(message)
      unit.truncate(message, function(part, length)
        local text = dump(part)
        if length >= 9 then
          local shown = text:match "^(.*)\n  truncated: %d+ of %d+ bytes are here$"
          assert.is_truthy(shown, text)
          -- The line that was under way may have ended early, without a wrong value in it.
          local complete = shown:match "^(.*)\n" or ""
          assert.equal(whole:sub(1, #complete), complete)
        else
          assert.is_truthy(text:find "^truncated")
        end
      end)
    end
  end)

  it("of a message whose body is too short for its fields says so", function()
    for _, message in ipairs(MESSAGES) do
      local body = message:sub(10, -2)
      local text = dump(message:sub(1, 5) .. u32(#body) .. body)
      assert.is_truthy(text:find "malformed$", text)
    end
  end)

  it("never reads past the end, whatever the bytes are", function()
    for _, message in ipairs(MESSAGES) do
      unit.mutate(message, 14, 3000, function(mutant)
        dump(mutant, #mutant % 2 == 0, 4096)
        if #mutant >= 9 then -- the true length, so that the body is looked into
          dump(mutant:sub(1, 5) .. u32(#mutant - 9) .. mutant:sub(10), false, 4096)
        end
      end)
    end
  end)
end)
