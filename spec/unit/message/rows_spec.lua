local ffi = require "ffi"
local unit = require "spec.support.unit"
local wire = require "spec.support.wire"

local C, bytes, u32 = unit.C, unit.bytes, unit.u32

-- A shape with columns of these types; what it points to lives as long as the second value.
local function shape_of(...)
  local owners = {}
  local columns = ffi.new("cql_column_t[?]", math.max(1, select("#", ...)))
  for i, text in ipairs { ... } do
    local type, owner = wire.type(text)
    owners[i] = owner
    columns[i - 1].type = type
  end
  owners.columns = columns
  local shape = ffi.new("cql_metadata_t", { column_count = select("#", ...), columns = columns })
  return shape, owners
end

-- Splits up to `max` rows: how many, or the error; the cells; the cursor.
local function split(shape, body, max)
  local cursor = wire.cursor(body)
  local cells = ffi.new("cql_cell_t[?]", math.max(1, max * shape.column_count))
  return C.cql__rows_split(cursor, shape, max, cells), cells, cursor
end

describe("rows", function()
  local SHAPE, OWNERS = shape_of("int", "text", "double", "list<int>")
  local ROW = bytes(u32(7)) .. bytes "seven" ..
    bytes(unit.unhex "3ff8000000000000") .. bytes(u32(0))
  local NULLS = bytes(nil):rep(4)
  local EMPTY = bytes "":rep(4)

  it("become cells [spec v5 4.2.5.2]", function()
    local count, cells, cursor = split(SHAPE, ROW .. NULLS .. EMPTY .. "rest", 3)
    assert.equal(3, count)
    assert.equal(4, wire.left(cursor))
    assert.is_true(cells[0].as.integer == 7)
    assert.equal("seven", ffi.string(cells[1].as.bytes, cells[1].length))
    assert.equal(1.5, cells[2].as.real)
    assert.equal(4, cells[3].length)
    for i = 4, 7 do assert.equal(C.CQL_NULL, cells[i].length) end
    for i = 8, 11 do assert.equal(0, cells[i].length) end
    assert.is_truthy(OWNERS)
  end)

  it("are taken a few at a time", function()
    local cursor = wire.cursor(ROW:rep(5))
    local cells = ffi.new("cql_cell_t[?]", 12)
    assert.equal(3, C.cql__rows_split(cursor, SHAPE, 3, cells))
    assert.equal(2, C.cql__rows_split(cursor, SHAPE, 2, cells))
    assert.equal(0, wire.left(cursor))
    assert.equal(0, C.cql__rows_split(cursor, SHAPE, 0, cells))
    assert.equal(C.CQL_EMALFORMED, C.cql__rows_split(cursor, SHAPE, 1, cells))
  end)

  it("without columns are empty", function()
    local shape = shape_of()
    assert.equal(3, (split(shape, "", 3)))
  end)

  it("take any negative length for null", function()
    local count, cells = split(SHAPE, u32(-2) .. u32(-5) .. bytes(nil):rep(2), 1)
    assert.equal(1, count)
    assert.equal(C.CQL_NULL, cells[0].length)
    assert.equal(C.CQL_NULL, cells[1].length)
  end)

  it("are refused when a value hasn't the length of its type", function()
    local shape, owners = shape_of("int", "uuid", "inet", "decimal")
    local parts = { u32(1), ("u"):rep(16), "\127\0\0\1", "\0\0\0\1\15" }
    local function row_with(index, value)
      local out = {}
      for i, part in ipairs(parts) do out[i] = bytes(i == index and value or part) end
      return table.concat(out)
    end
    assert.equal(1, (split(shape, row_with(0), 1)))
    for index, wrong in ipairs { "123", ("u"):rep(15), "12345", "123" } do
      assert.equal(C.CQL_EMALFORMED, (split(shape, row_with(index, wrong), 1)))
    end
    assert.is_truthy(owners)
  end)

  it("are refused when truncated at any byte", function()
    unit.truncate(ROW .. ROW, function(part)
      assert.equal(C.CQL_EMALFORMED, (split(SHAPE, part, 2)))
    end)
  end)

  it("are refused when a length runs past the body", function()
    for _, length in ipairs { "00000006", "7fffffff", "7ffffffe" } do
      local body = bytes(u32(7)) .. unit.unhex(length) .. "seven"
      assert.equal(C.CQL_EMALFORMED, (split(SHAPE, body, 1)))
    end
  end)

  it("never read past the end, whatever the bytes are", function()
    unit.mutate(ROW .. NULLS .. EMPTY .. ROW, 8, 20000, function(mutant)
      local count, cells, cursor = split(SHAPE, mutant, 4)
      if count < 0 then
        assert(count == C.CQL_EMALFORMED)
        return
      end
      assert(count == 4 and wire.left(cursor) >= 0)
      for i = 0, 15 do
        local cell = cells[i]
        if i % 4 == 1 and cell.length > 0 then ffi.string(cell.as.bytes, cell.length) end
      end
    end)
  end)
end)
