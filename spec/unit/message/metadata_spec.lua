local ffi = require "ffi"
local unit = require "spec.support.unit"
local wire = require "spec.support.wire"

local C, u16, u32, str, bytes, unhex = unit.C, unit.u16, unit.u32, unit.str, unit.bytes, unit.unhex
local INT, TEXT, LIST = u16(0x09), u16(0x0d), u16(0x20)
local GLOBAL, MORE, NONE, CHANGED = 1, 2, 4, 8

-- Two columns of one table, and of two tables [spec v5 4.2.5.2].
local ONE_TABLE = str "ks" .. str "t" .. str "id" .. INT .. str "name" .. TEXT
local TWO_TABLES = str "ks" .. str "t" .. str "id" .. INT .. str "ks" .. str "u" .. str "name" ..
  LIST .. TEXT

local function metadata_gc(pointer) return ffi.gc(pointer, C.cql__metadata_unref) end

-- The head and the cursor behind it, or nil and the error. `known` may be nil.
local function decode_head(body, known)
  local cursor, head = wire.cursor(body), ffi.new "cql__rows_head"
  local result = C.cql__rows_head_decode(cursor, known, head)
  if result ~= 0 then return nil, result end
  return head, cursor
end

local function build(head)
  local out = ffi.new "cql__metadata *[1]"
  local result = C.cql__metadata_build(head, out)
  if result ~= 0 then
    assert.is_true(out[0] == nil)
    return nil, result
  end
  return metadata_gc(out[0])
end

local function shape_of(body)
  local head, cursor = decode_head(body)
  if not head then return nil, cursor end
  local metadata, err = build(head)
  return metadata, err, cursor -- the cursor keeps the bytes that the head points into
end

local function columns_of(metadata)
  local out = {}
  for i = 0, metadata.shape.column_count - 1 do
    local c = metadata.shape.columns[i]
    out[#out + 1] = ("%s.%s.%s %s"):format(unit.slice(c.keyspace), unit.slice(c.table),
      unit.slice(c.name), wire.type_text(c.type))
  end
  return out
end

describe("the head of rows", function()
  it("has a global table [spec v5 4.2.5.2]", function()
    local head, cursor = decode_head(u32(GLOBAL) .. u32(2) .. ONE_TABLE .. u32(17))
    assert.equal(2, head.column_count)
    assert.equal(ONE_TABLE, unit.slice(head.specs))
    assert.is_nil(unit.slice(head.paging_state))
    assert.is_nil(unit.slice(head.metadata_id))
    assert.equal(4, wire.left(cursor))
    assert.same({ "ks.t.id int", "ks.t.name text" }, columns_of(build(head)))
  end)

  it("has a table for each column", function()
    local metadata = shape_of(u32(0) .. u32(2) .. TWO_TABLES)
    assert.same({ "ks.t.id int", "ks.u.name list<text>" }, columns_of(metadata))
  end)

  it("has the paging state before the metadata id, which is short bytes", function()
    local head, cursor = decode_head(u32(GLOBAL + MORE + CHANGED) .. u32(2) .. bytes "page two" ..
      str "\1\2" .. ONE_TABLE)
    assert.equal("page two", unit.slice(head.paging_state))
    assert.equal("\1\2", unit.slice(head.metadata_id))
    assert.equal(ONE_TABLE, unit.slice(head.specs))
    assert.equal(0, wire.left(cursor))
    head = decode_head(u32(NONE + MORE) .. u32(2) .. bytes(nil))
    assert.is_nil(unit.slice(head.paging_state))
    head = decode_head(u32(NONE + MORE) .. u32(2) .. bytes "")
    assert.equal("", unit.slice(head.paging_state))
  end)

  it("has neither table nor specs without metadata, flag 1 or not", function()
    -- 5 and 7 are the usual values, as seen on Cassandra 5.0.9
    for _, flags in ipairs { 4, 5 } do
      local head, cursor = decode_head(u32(flags) .. u32(2) .. u32(17))
      assert.equal(2, head.column_count)
      assert.is_nil(unit.slice(head.specs))
      assert.equal(4, wire.left(cursor))
      assert.equal(C.CQL_EMALFORMED, select(2, build(head)))
    end
    local head, cursor = decode_head(u32(7) .. u32(2) .. bytes "page" .. u32(17))
    assert.equal("page", unit.slice(head.paging_state))
    assert.equal(4, wire.left(cursor))
  end)

  it("may have no columns", function()
    local metadata = shape_of(u32(0) .. u32(0))
    assert.same({}, columns_of(metadata))
    metadata = shape_of(u32(GLOBAL) .. u32(0) .. str "ks" .. str "t")
    assert.same({}, columns_of(metadata))
    local head = ffi.new "cql__rows_head" -- what a statement that gives no rows has
    head.flags, head.specs.length = GLOBAL + NONE, 0
    assert.same({}, columns_of(build(head)))
  end)

  it("ignores flags that it doesn't know", function()
    local head = decode_head(unhex "7ffffff1" .. u32(2) .. ONE_TABLE)
    assert.equal(ONE_TABLE, unit.slice(head.specs))
  end)

  it("is refused when truncated at any byte", function()
    for _, body in ipairs { u32(GLOBAL + MORE + CHANGED) .. u32(2) .. bytes "page" .. str "id" ..
      ONE_TABLE, u32(0) .. u32(2) .. TWO_TABLES } do
      unit.truncate(body, function(part)
        assert.equal(C.CQL_EMALFORMED, select(2, decode_head(part)))
      end)
    end
  end)

  it("is refused when its count lies, before anything is allocated", function()
    for _, count in ipairs { "ffffffff", "80000000", "7fffffff", "00000003", "00010000" } do
      for _, flags in ipairs { 0, GLOBAL } do
        local before = tonumber(C.cql__mem_count())
        local _, err = decode_head(u32(flags) .. unhex(count) .. ONE_TABLE)
        assert.equal(C.CQL_EMALFORMED, err)
        assert.equal(before, tonumber(C.cql__mem_count()))
      end
    end
    for _, count in ipairs { "ffffffff", "80000000" } do
      assert.equal(C.CQL_EMALFORMED, select(2, decode_head(u32(NONE) .. unhex(count))))
    end
  end)

  it("is refused when a type is unknown or too deep", function()
    local ok = u32(GLOBAL) .. u32(1) .. str "ks" .. str "t" .. str "c"
    assert.equal(C.CQL_EMALFORMED, select(2, decode_head(ok .. u16(0x0a))))
    assert.equal(C.CQL_EMALFORMED, select(2, decode_head(ok .. LIST:rep(32) .. INT)))
    assert.is_truthy(decode_head(ok .. LIST:rep(31) .. INT))
    assert.equal(C.CQL_EMALFORMED, select(2, decode_head(ok .. LIST:rep(100000) .. INT)))
  end)
end)

describe("a shape", function()
  it("outlives the bytes it was read from", function()
    local body = u32(0) .. u32(2) .. TWO_TABLES
    local copy = unit.buffer(body)
    local cursor, head = ffi.new("cql__cursor", copy, copy + #body, 0), ffi.new "cql__rows_head"
    assert.equal(0, C.cql__rows_head_decode(cursor, nil, head))
    local metadata = build(head)
    ffi.fill(copy, #body, 0xee)
    assert.same({ "ks.t.id int", "ks.u.name list<text>" }, columns_of(metadata))
  end)

  it("is recognised without a walk over its specs", function()
    local known = shape_of(u32(GLOBAL) .. u32(2) .. ONE_TABLE)
    local before = tonumber(C.cql__mem_count())
    local head, cursor = decode_head(u32(GLOBAL) .. u32(2) .. ONE_TABLE .. u32(17), known)
    assert.equal(before, tonumber(C.cql__mem_count()))
    assert.equal(4, wire.left(cursor))
    assert.equal(1, C.cql__metadata_matches(known, head))
  end)

  it("is another under another count, table flag, name or type", function()
    local known = shape_of(u32(GLOBAL) .. u32(2) .. ONE_TABLE)
    for _, body in ipairs {
      u32(GLOBAL) .. u32(1) .. str "ks" .. str "t" .. str "id" .. INT,
      u32(GLOBAL) .. u32(3) .. ONE_TABLE .. str "x" .. INT,
      u32(GLOBAL) .. u32(2) .. str "ks" .. str "t" .. str "id" .. INT .. str "nama" .. TEXT,
      u32(GLOBAL) .. u32(2) .. str "ks" .. str "t" .. str "id" .. INT .. str "name" .. INT,
      u32(0) .. u32(2) .. TWO_TABLES,
    } do
      local head, cursor = decode_head(body, known)
      assert.equal(0, C.cql__metadata_matches(known, head))
      assert.equal(0, wire.left(cursor))
    end
    local head = decode_head(u32(NONE) .. u32(2), known)
    assert.equal(0, C.cql__metadata_matches(known, head))
  end)

  it("isn't mistaken for one of the same bytes under the other table flag", function()
    -- With two columns these bytes end elsewhere, if the table stands before each.
    local same = str "" .. str "" .. str "" .. INT .. str "" .. INT
    local known = shape_of(u32(GLOBAL) .. u32(2) .. same)
    local specs = same .. ("x"):rep(9) .. str "name" .. INT -- INT is a length here: 9
    local head, cursor = decode_head(u32(0) .. u32(2) .. specs, known)
    assert.equal(specs, unit.slice(head.specs))
    assert.equal(0, C.cql__metadata_matches(known, head))
    assert.equal(0, wire.left(cursor))
  end)

  it("lives as long as its references", function()
    local live = tonumber(C.cql__mem_live())
    local head, cursor = decode_head(u32(0) .. u32(2) .. TWO_TABLES)
    local out = ffi.new "cql__metadata *[1]"
    assert.equal(0, C.cql__metadata_build(head, out))
    assert.is_true(C.cql__metadata_ref(out[0]) == out[0])
    C.cql__metadata_unref(out[0])
    assert.same({ "ks.t.id int", "ks.u.name list<text>" }, columns_of(out[0]))
    C.cql__metadata_unref(out[0])
    C.cql__metadata_unref(nil)
    assert.equal(live, tonumber(C.cql__mem_live()))
    assert.equal(0, wire.left(cursor))
  end)

  it("leaves nothing behind when memory runs out", function()
    local specs = { str "ks" .. str "t" }
    for i = 1, 50 do specs[#specs + 1] = str("column" .. i) .. LIST .. INT end
    local head, cursor = decode_head(u32(GLOBAL) .. u32(50) .. table.concat(specs))
    local out = ffi.new "cql__metadata *[1]"
    local failures = unit.fail_each_allocation(function()
      local result = C.cql__metadata_build(head, out)
      if result == 0 then C.cql__metadata_unref(out[0]) end
      return result
    end)
    assert.is_true(failures > 3)
    assert.equal(0, wire.left(cursor))
  end)

  it("never reads past the end, whatever the bytes are", function()
    local known = shape_of(u32(GLOBAL) .. u32(2) .. ONE_TABLE)
    for _, body in ipairs { u32(GLOBAL + MORE + CHANGED) .. u32(2) .. bytes "page" .. str "id" ..
      ONE_TABLE, u32(0) .. u32(2) .. TWO_TABLES, u32(GLOBAL) .. u32(2) .. ONE_TABLE } do
      unit.mutate(body, 5, 10000, function(mutant)
        local head, cursor = decode_head(mutant, known)
        if head and head.specs.length >= 0 then
          local metadata, err = build(head)
          assert(metadata, err)
          columns_of(metadata)
        end
        assert(not head or wire.left(cursor) >= 0)
      end)
    end
  end)
end)

describe("bound values", function()
  local THREE = str "ks" .. str "t" .. str "a" .. INT .. str "b" .. TEXT .. str "c" .. INT

  local function decode_bind(version, body)
    local cursor = wire.cursor(body)
    local out, flags = ffi.new "cql__metadata *[1]", ffi.new "uint32_t[1]"
    local result = C.cql__metadata_decode_bind(cursor, version, out, flags)
    if result ~= 0 then
      assert.is_true(out[0] == nil)
      return nil, result
    end
    return metadata_gc(out[0]), flags[0], cursor
  end

  local function keys_of(metadata)
    local out = {}
    for i = 0, metadata.shape.key_count - 1 do out[#out + 1] = metadata.shape.key_indexes[i] end
    return out
  end

  it("say which of them make the partition key, in its order [spec v5 4.2.5.4]", function()
    local keys = u32(3) .. u16(2) .. u16(0) .. u16(1)
    for version = 4, 5 do
      local metadata, flags, cursor =
        decode_bind(version, u32(GLOBAL) .. u32(3) .. keys .. THREE .. u32(4))
      assert.same({ 2, 0, 1 }, keys_of(metadata))
      assert.same({ "ks.t.a int", "ks.t.b text", "ks.t.c int" }, columns_of(metadata))
      assert.equal(GLOBAL, flags)
      assert.equal(4, wire.left(cursor))
    end
  end)

  it("have no keys on v3", function()
    local metadata, _, cursor = decode_bind(3, u32(GLOBAL) .. u32(3) .. THREE .. u32(4))
    assert.same({}, keys_of(metadata))
    assert.equal(4, wire.left(cursor))
  end)

  it("may be none", function()
    local metadata = decode_bind(4, u32(0) .. u32(0) .. u32(0))
    assert.equal(0, metadata.shape.column_count)
    assert.same({}, keys_of(metadata))
  end)

  it("may name one marker for two parts of the key", function()
    -- ScyllaDB makes markers of one name one marker
    local metadata = decode_bind(4, u32(GLOBAL) .. u32(1) .. u32(2) .. u16(0) .. u16(0) ..
      str "ks" .. str "t" .. str "x" .. INT)
    assert.same({ 0, 0 }, keys_of(metadata))
  end)

  it("keep ScyllaDB's mark of conditional statements", function()
    local metadata, flags = decode_bind(4, unhex "80000001" .. u32(3) .. u32(0) .. THREE)
    assert.is_truthy(metadata)
    assert.equal(0x80000001, flags)
  end)

  it("are refused when a count or a key index lies", function()
    for _, body in ipairs {
      u32(GLOBAL) .. u32(3) .. u32(1) .. u16(3) .. THREE,
      u32(GLOBAL) .. u32(3) .. u32(1) .. u16(65535) .. THREE,
      u32(GLOBAL) .. u32(3) .. u32(-1) .. THREE,
      u32(GLOBAL) .. u32(3) .. unhex "7fffffff" .. THREE,
      u32(GLOBAL) .. unhex "7fffffff" .. u32(0) .. THREE,
      u32(GLOBAL) .. unhex "ffffffff" .. u32(0) .. THREE,
      u32(GLOBAL) .. u32(0) .. u32(1) .. u16(0) .. str "ks" .. str "t",
    } do
      assert.equal(C.CQL_EMALFORMED, select(2, decode_bind(4, body)))
    end
  end)

  it("are refused when truncated at any byte", function()
    local body = u32(GLOBAL) .. u32(3) .. u32(2) .. u16(2) .. u16(0) .. THREE
    unit.truncate(body, function(part)
      assert.equal(C.CQL_EMALFORMED, select(2, decode_bind(4, part)))
    end)
  end)

  it("never read past the end, whatever the bytes are", function()
    local body = u32(GLOBAL) .. u32(3) .. u32(2) .. u16(2) .. u16(0) .. THREE
    unit.mutate(body, 6, 20000, function(mutant)
      for version = 3, 5 do
        local metadata = decode_bind(version, mutant)
        if metadata then columns_of(metadata) end
      end
    end)
  end)

  it("leave nothing behind when memory runs out", function()
    local body = u32(GLOBAL) .. u32(3) .. u32(2) .. u16(2) .. u16(0) .. THREE
    unit.fail_each_allocation(function()
      local out, flags = ffi.new "cql__metadata *[1]", ffi.new "uint32_t[1]"
      local result = C.cql__metadata_decode_bind(wire.cursor(body), 4, out, flags)
      if result == 0 then C.cql__metadata_unref(out[0]) end
      return result
    end)
  end)
end)
