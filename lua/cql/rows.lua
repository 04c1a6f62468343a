--- Rows: for each shape of a result, functions that make Lua tables of its cells.
--
-- Code is generated, so that column names are constants and LuaJIT compiles all of it. Two forms:
-- a narrow row of scalars is one table constructor; in any other one, columns are filled one after
-- the other, each by a loop of its own. Where nulls come and go, every pattern of them is a path of
-- its own to the compiler: of a wide row there would be more than it can ever compile, while a
-- column has two.
local ffi = require "ffi"
local decode = require "cql.types.decode"
local descriptor = require "cql.types.descriptor"

local rows = {}

local CONSTRUCTOR_MAX = 8

---@class cql.Shape
---@field column_count integer
---@field names string[]
---@field types string[] as CQL writes them
---@field index table<string, integer> the column of a name; the last one, where a name stands twice
---@field decode (fun(cell: ffi.cdata*): any)[] raises what is malformed
---@field has_bytes boolean[] whether a column's cells hold bytes
---@field build fun(cells: ffi.cdata*, count: integer, out: table, at: integer): true?, string?

-- ---- code ----

-- How code writes the key of a column in a row's table, and a field of its constructor.
local function key_of(shape, mode, i)
  return mode.array and tostring(i) or ("%q"):format(shape.names[i])
end
local function field_of(shape, mode, i, value)
  if mode.array then return ("(%s),"):format(value) end
  return ("[%q] = %s,"):format(shape.names[i], value)
end

-- Null is nil; in plain arrays a null of its own, for they have no holes.
local function decoders_of(shape, mode)
  if not (mode.array and mode.plain) then return shape.decode end
  local absent, wrapped = decode.null_of(mode), {}
  for i, decoder in ipairs(shape.decode) do
    wrapped[i] = function(cell)
      local value = decoder(cell)
      if value == nil then return absent end
      return value
    end
  end
  return wrapped
end

local function load_code(code, name) return assert(loadstring(code, "=cql.rows " .. name)) end

-- The fields that a row has beside its columns.
local function rest_of(shape, mode)
  return mode.array and not mode.plain and ("n = %d"):format(shape.column_count) or ""
end

-- One row, the most frequent result of all, goes without the loop: loops that end at once are what
-- LuaJIT compiles worst.
local CONSTRUCTOR = [[
local %s = ...
return function(cells, count, out, at)
  if count == 1 then
    out[at] = { %s }
    return true
  end
  for row = 0, count - 1 do
    local first = row * %d
    out[at + row] = { %s }
  end
  return true
end]]

local function constructor(shape, mode)
  local names, one, many = {}, {}, {}
  for i = 1, shape.column_count do
    names[i] = "decode" .. i
    one[i] = field_of(shape, mode, i, ("decode%d(cells[%d])"):format(i, i - 1))
    many[i] = field_of(shape, mode, i, ("decode%d(cells[first + %d])"):format(i, i - 1))
  end
  one[#one + 1], many[#many + 1] = rest_of(shape, mode), rest_of(shape, mode)
  local code = CONSTRUCTOR:format(table.concat(names, ", "), table.concat(one, " "),
    shape.column_count, table.concat(many, " "))
  return load_code(code, "constructor")(unpack(decoders_of(shape, mode)))
end

-- Rows get a slot for each column, then all slots of one column are filled, then those of the next;
-- those of one row alone in pieces of a few columns.
local FILLED = [[
local fill, pieces = ...
return function(cells, count, out, at)
  if count == 1 then
    local row = { %s }
    for i = 1, #pieces do pieces[i](cells, row) end
    out[at] = row
    return true
  end
  for row = at, at + count - 1 do
    out[row] = { %s }
  end
  for i = 1, #fill do fill[i](cells, count, out, at) end
  return true
end]]

local COLUMN = [[
local decode = ...
return function(cells, count, out, at)
  for row = 0, count - 1 do
    out[at + row][%s] = decode(cells[row * %d + %d])
  end
end]]

local PIECE = [[
local decode1, decode2, decode3, decode4 = ...
return function(cells, row)
  %s
end]]
local PIECE_COLUMNS = 4

local function piece(shape, mode, decoders, first)
  local code = {}
  local last = math.min(first + PIECE_COLUMNS - 1, shape.column_count)
  for i = first, last do
    code[#code + 1] = ("row[%s] = decode%d(cells[%d])"):format(key_of(shape, mode, i),
      i - first + 1, i - 1)
  end
  return load_code(PIECE:format(table.concat(code, "\n  ")), "piece")(unpack(decoders, first, last))
end

local function column_by_column(shape, mode)
  local decoders = decoders_of(shape, mode)
  local slots, fill, pieces = {}, {}, {}
  for i = 1, shape.column_count do
    slots[i] = field_of(shape, mode, i, "false")
    local code = COLUMN:format(key_of(shape, mode, i), shape.column_count, i - 1)
    fill[i] = load_code(code, "column")(decoders[i])
  end
  for first = 1, shape.column_count, PIECE_COLUMNS do
    pieces[#pieces + 1] = piece(shape, mode, decoders, first)
  end
  slots[#slots + 1] = rest_of(shape, mode)
  local text = table.concat(slots, " ")
  return load_code(FILLED:format(text, text), "filled")(fill, pieces)
end

-- Raised by what is malformed: returned instead.
local function guarded(build)
  return function(cells, count, out, at)
    local ok, err = pcall(build, cells, count, out, at)
    if ok then return true end
    return nil, err
  end
end

-- ---- shapes ----

--- What makes rows of a result's cells. Everything it needs of `metadata` is copied.
--- `build(cells, count, out, at)` puts `count` rows, whose cells follow each other, at out[at],
--- out[at + 1] ...: true, or nil and a message where a value is malformed.
---@param metadata ffi.cdata* const cql_metadata_t *
---@param mode cql.Mode
---@return cql.Shape
function rows.shape(metadata, mode)
  local shape = { column_count = metadata.column_count, names = {}, types = {}, index = {},
    decode = {}, has_bytes = {} }
  local is_simple = true
  for i = 1, shape.column_count do
    local column = metadata.columns[i - 1]
    local type = descriptor.copy(column.type)
    local name = descriptor.string_of(column.name)
    shape.names[i], shape.types[i], shape.index[name] = name, type.text, i
    shape.decode[i] = decode.compile(type, mode)
    shape.has_bytes[i] = decode.HAS_BYTES[type.kind] or false
    is_simple = is_simple and decode.IS_SIMPLE[type.kind]
  end
  local is_narrow = shape.column_count <= CONSTRUCTOR_MAX and shape.column_count > 0
  local build = (is_narrow and is_simple and constructor or column_by_column)(shape, mode)
  shape.build = is_simple and build or guarded(build)
  return shape
end

-- ---- views ----

---@class cql.View one row at a time, read in place
---@field row table<string|integer, any> a column by its name or number, decoded when it is touched
local View = {}
View.__index = View

-- Where a row is: in the row itself, so that all rows of a shape are read by the same function,
-- which LuaJIT compiles once. No column has such a name.
local CELLS, FIRST, HOLDER = "\0cells", "\0first", "\0holder"

--- Turns to row `row_index` (from 0) of `cells`, which must live as long as the view stays there;
--- nil: to no row, so that a read raises.
---@param cells ffi.cdata*?
---@param row_index integer
function View:fill(cells, row_index)
  local row = self.row
  row[CELLS], row[FIRST] = cells or false, row_index * self.column_count
end

--- The bytes of a column as they were sent, not copied: pointer and length; nil for null, and for
--- columns of numbers, booleans and dates, whose cells hold no bytes.
---@param column string|integer
---@return ffi.cdata*? bytes
---@return integer? length
function View:slice(column)
  local shape, row = self.shape, self.row
  local i = shape.index[column] or column
  if not shape.has_bytes[i] then return nil end
  local cell = row[CELLS][row[FIRST] + i - 1]
  if cell.length < 0 then return nil end
  return cell.as.bytes, cell.length
end

local function read_only() error("a row of a view can't be written to", 2) end

local function row_meta(shape)
  local index, decoders = shape.index, shape.decode
  local function read(row, column)
    local i = index[column] or column
    local decoder, cells = decoders[i], row[CELLS]
    if not decoder then return nil end
    if not cells then error("this row's view was closed", 2) end
    return decoder(cells[row[FIRST] + i - 1])
  end
  return { __index = read, __newindex = read_only }
end

--- A row that is read in place: no table per row, no string before it is touched.
---@param shape cql.Shape
---@param holder any what keeps the memory of the cells: the row keeps it
---@return cql.View
function rows.view(shape, holder)
  shape.row_meta = shape.row_meta or row_meta(shape)
  local row = setmetatable({ [CELLS] = false, [FIRST] = 0, [HOLDER] = holder or false },
    shape.row_meta)
  return setmetatable({ shape = shape, column_count = shape.column_count, row = row }, View)
end

--- Room for the cells of `count` rows.
---@param shape cql.Shape
---@param count integer
---@return ffi.cdata*
function rows.cells(shape, count)
  return ffi.new("cql_cell_t[?]", math.max(shape.column_count * count, 1))
end

return rows
