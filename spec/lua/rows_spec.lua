-- Rows of a shape: tables, arrays and views.
local ffi = require "ffi"
local metadata = require "spec.support.metadata"
local unit = require "spec.support.unit"
local new_buffer = require("cql.buffer").new
local binder = require "cql.binder"
local null = require("cql.null").null
local rows = require "cql.rows"

-- Cells of rows, each an array of values with n.
local function cells_of(shape, list)
  local buffer = new_buffer()
  local values = binder.new(shape)
  for _, row in ipairs(list) do
    row.n = shape.column_count
    assert(values:encode(buffer, row, 3)) -- version 3: nil is null
  end
  return assert(metadata.cells(shape, buffer:to_string()))
end

local function build(columns, list, mode)
  local shape = metadata.of(columns)
  local cells = cells_of(shape, list)
  local out = {}
  assert(rows.shape(shape, mode or {}).build(cells, #list, out, 1))
  return out
end

local USER = { { "id", "uuid" }, { "name", "text" }, { "age", "int" }, { "total", "bigint" },
  { "score", "double" }, { "active", "boolean" } }
local ID = "550e8400-e29b-41d4-a716-446655440000"

describe("rows", function()
  it("are tables by name, without what is null", function()
    local out = build(USER, { { ID, "a", 1, 2, 0.5, false }, { nil, "", nil, 3, nil, true }, {} })
    assert.same({ { id = ID, name = "a", age = 1, total = 2, score = 0.5, active = false },
      { name = "", total = 3, active = true }, {} }, out)
    assert.same({ { id = ID, active = true } }, build(USER, { { ID, [6] = true } }))
  end)

  it("go where they are wanted, and leave the rest", function()
    local shape = metadata.of { { "v", "int" } }
    local cells = cells_of(shape, { { 1 }, { 2 } })
    local out = { "kept" }
    assert.is_true(rows.shape(shape, {}).build(cells, 2, out, 3))
    assert.same({ "kept", nil, { v = 1 }, { v = 2 } }, out)
    assert.is_true(rows.shape(shape, {}).build(cells, 0, out, 1))
    assert.equal("kept", out[1])
  end)

  it("may be arrays", function()
    local list = { { ID, nil, 1, 2, 0.5, nil } }
    assert.same({ { ID, nil, 1, 2, 0.5, nil, n = 6 } }, build(USER, list, { array = true }))
    local absent = require("cjson").null
    assert.same({ { ID, absent, 1, 2, 0.5, absent } },
      build(USER, list, { array = true, plain = true }))
  end)

  it("have the names that the server says, whatever they are", function()
    local NAMES = { "end", "a b", 'q"u\\o', "new\nline", "%d %s", "\0zero", "1", "[applied]", "n",
      "system.count(*)", ("long"):rep(60), "\195\169", "]]", "\r" }
    local columns, row, expected = {}, {}, {}
    for i, name in ipairs(NAMES) do
      columns[i], row[i], expected[name] = { name, "int" }, i, i
    end
    assert.same({ expected }, build(columns, { row }))
    assert.same({ expected, expected }, build(columns, { row, row }))
    for i, column in ipairs(columns) do
      assert.same({ { [column[1]] = i }, { [column[1]] = 0 } }, build({ column }, { { i }, { 0 } }))
    end
  end)

  it("keep the last of the columns of one name, and arrays keep all", function()
    local columns = { { "a", "int" }, { "b", "int" }, { "a", "text" } }
    local list = { { 1, 2, "x" } }
    assert.same({ { a = "x", b = 2 } }, build(columns, list))
    assert.same({ { 1, 2, "x", n = 3 } }, build(columns, list, { array = true }))
    assert.equal(3, rows.shape(metadata.of(columns), {}).index.a)
  end)

  it("may have no columns", function()
    assert.same({ {}, {} }, (function()
      local out = {}
      assert(rows.shape(metadata.of {}, {}).build(ffi.new "cql_cell_t[1]", 2, out, 1))
      return out
    end)())
  end)

  it("are described", function()
    local shape = rows.shape(metadata.of { { "a", "map<text, list<int>>" },
      { "b", { "ks", "point", { { "x", "int" } } } }, { "c", "vector<float, 3>" },
      { "d", "tuple<int, text>" } }, {})
    assert.equal(4, shape.column_count)
    assert.same({ "a", "b", "c", "d" }, shape.names)
    assert.same({ "map<text, list<int>>", "ks.point", "vector<float, 3>", "tuple<int, text>" },
      shape.types)
    assert.same({ a = 1, b = 2, c = 3, d = 4 }, shape.index)
  end)

  it("are refused where a value within is malformed", function()
    local shape = metadata.of { { "a", "int" }, { "l", "list<int>" } }
    local bytes = unit.bytes "\0\0\0\1" .. unit.bytes "\0\0\0\9"
    local out = {}
    local built, message = rows.shape(shape, {}).build(metadata.cells(shape, bytes), 1, out, 1)
    assert.is_nil(built)
    assert.equal("malformed value of type list<int>", message)
  end)
end)

-- ---- many columns, nulls anywhere ----

local KINDS = {
  { "int", function(n) return n end }, { "text", function(n) return "t" .. n end },
  { "bigint", function(n) return n * 2 ^ 20 end }, { "double", function(n) return n / 4 end },
  { "boolean", function(n) return n % 2 == 0 end },
  { "list<int>", function(n) return { n, n + 1 } end },
}

-- Columns, rows and what they should read as; `nulls` in ten values are null.
local function random_rows(column_count, row_count, nulls, seed, kinds)
  local random = unit.random(seed)
  local columns, list, expected = {}, {}, {}
  for i = 1, column_count do columns[i] = { "c" .. i, KINDS[i % kinds + 1][1] } end
  for r = 1, row_count do
    list[r], expected[r] = {}, {}
    for i = 1, column_count do
      if random(10) >= nulls then
        local value = KINDS[i % kinds + 1][2](random(1000))
        list[r][i], expected[r]["c" .. i] = value, value
      end
    end
  end
  return columns, list, expected
end

local function describe_random(title, before, after)
  describe(title, function()
    setup(before)
    teardown(after)
    for _, width in ipairs { 1, 4, 5, 8, 9, 20, 300 } do
      it(("of %d columns are right, wherever there are nulls"):format(width), function()
        local row_count = width > 100 and 20 or 150
        for nulls = 0, 10, 5 do
          for _, kinds in ipairs { 5, 6 } do
            local columns, list, expected = random_rows(width, row_count, nulls, width + nulls,
              kinds)
            local shape = metadata.of(columns)
            local cells = cells_of(shape, list)
            local built = rows.shape(shape, {})
            local out = {}
            for at = 1, 20 do -- one by one, too
              assert(built.build(cells + (at - 1) * width, 1, out, at))
            end
            assert(built.build(cells + 20 * width, row_count - 20, out, 21))
            assert.same(expected, out)
          end
        end
      end)
    end
  end)
end

describe_random("rows", function() end, function() end)
describe_random("interpreted rows", jit.off, jit.on)

-- ---- memory ----

describe("a shape", function()
  it("outlives the metadata that it was made of", function()
    local columns, list, expected = random_rows(12, 5, 2, 7, 6)
    local shape
    do
      local short_lived = metadata.of(columns)
      shape = rows.shape(short_lived, {})
    end
    for _ = 1, 3 do collectgarbage() end
    local out = {}
    local cells = cells_of(metadata.of(columns), list)
    for i = 1, 5 do
      collectgarbage()
      assert(shape.build(cells + (i - 1) * 12, 1, out, i))
    end
    assert.same(expected, out)
  end)

  it("bears a collector that never rests", function()
    local columns, list, expected = random_rows(12, 100, 2, 8, 6)
    local metadata_of = metadata.of(columns)
    local shape, cells = rows.shape(metadata_of, {}), cells_of(metadata_of, list)
    local pause, step = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000)
    for _ = 1, 10 do
      local out = {}
      assert(shape.build(cells, 100, out, 1))
      assert.same(expected, out)
    end
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
  end)
end)

-- ---- views ----

describe("a view", function()
  local columns = { { "id", "int" }, { "name", "text" }, { "tags", "list<text>" },
    { "fill", "boolean" } }
  local shape, cells, view

  before_each(function()
    local of = metadata.of(columns)
    shape = rows.shape(of, {})
    cells = cells_of(of, { { 1, "a", { "x", "y" }, true }, { 2, nil, nil, false } })
    view = rows.view(shape)
  end)

  it("reads what is touched, by name or number", function()
    view:fill(cells, 0)
    local row = view.row
    assert.equal(1, row.id)
    assert.equal("a", row.name)
    assert.equal("a", row[2])
    assert.same({ "x", "y" }, row.tags)
    assert.equal(true, row.fill)
    assert.is_nil(row.nothing)
    assert.is_nil(row[0])
    assert.is_nil(row[5])
    view:fill(cells, 1)
    assert.equal(row, view.row)
    assert.equal(2, row.id)
    assert.is_nil(row.name)
    assert.is_nil(row.tags)
    assert.equal(false, row.fill)
  end)

  it("gives bytes in place", function()
    view:fill(cells, 0)
    local bytes, length = view:slice "name"
    assert.equal("a", ffi.string(bytes, length))
    bytes, length = view:slice(3)
    assert.equal("00000002000000017800000001" .. "79", unit.hex(ffi.string(bytes, length)))
    assert.is_nil(view:slice "id")
    assert.is_nil(view:slice "fill")
    assert.is_nil(view:slice "nothing")
    view:fill(cells, 1)
    assert.is_nil(view:slice "name")
  end)

  it("can't be written to, nor read when it is at no row", function()
    view:fill(cells, 0)
    local ok, message = pcall(function() view.row.id = 5 end)
    assert.is_false(ok)
    assert(message:find "rows_spec.lua:.*a row of a view can't be written to", message)
    view:fill(nil, 0)
    ok, message = pcall(function() return view.row.id end)
    assert.is_false(ok)
    assert(message:find "rows_spec.lua:.*this row's view was closed", message)
    assert.is_nil(view.row.nothing)
  end)

  it("raises where it touches what is malformed", function()
    local of = metadata.of { { "l", "list<int>" } }
    local broken = rows.view(rows.shape(of, {}))
    broken:fill(metadata.cells(of, unit.bytes "\0\0\0\9"), 0)
    assert.has_error(function() return broken.row.l end, "malformed value of type list<int>")
  end)

  it("has room made for its cells", function()
    assert.equal(64 * 4 * ffi.sizeof "cql_cell_t", ffi.sizeof(rows.cells(shape, 64)))
    assert.is_true(ffi.sizeof(rows.cells(rows.shape(metadata.of {}, {}), 64)) > 0)
  end)
end)

describe("null in plain rows", function()
  it("is absent, and cjson's in lists", function()
    local out = build({ { "a", "int" }, { "b", "tuple<int>" } }, { { nil, { null } } },
      { plain = true })
    assert.equal('{"b":[null]}', require("cjson").encode(out[1]))
  end)
end)
