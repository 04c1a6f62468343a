-- The simulator's store by FFI: statements in, results as Lua tables out.
local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C

local store = {}
store.__index = store

store.null, store.unset = { length = C.CQL_NULL }, { length = C.CQL_UNSET }

-- Keeps what slices point to.
local function slice(text, kept)
  if text == nil then return ffi.new("cql_slice_t", nil, C.CQL_NULL) end
  if type(text) == "table" then return ffi.new("cql_slice_t", nil, text.length) end
  local copy = unit.buffer(text)
  kept[#kept + 1] = copy
  return ffi.new("cql_slice_t", copy, #text)
end

local function slices(list, kept)
  local out = ffi.new("cql_slice_t[?]", math.max(#list, 1))
  for i = 1, #list do out[i - 1] = slice(list[i], kept) end
  kept[#kept + 1] = out
  return out
end

function store.new(scylla)
  local self = setmetatable({ now_us = 1700000000000000LL }, store)
  self.handle = ffi.gc(C.cql__store_new(scylla and 1 or 0), C.cql__store_free)
  return self
end

local function call_of(self, values, options, kept)
  local call = ffi.new "cql__store_call"
  C.cql__store_call_init(call)
  options = options or {}
  call.keyspace = slice(options.keyspace or self.keyspace, kept)
  call.now_us = options.now_us or self.now_us
  call.page_size = options.page_size or 0
  call.paging_state = slice(options.paging_state, kept)
  if options.timestamp then call.timestamp = options.timestamp end
  if options.now_in_seconds then call.now_in_seconds = options.now_in_seconds end
  call.system = options.system
  call.values, call.value_count = slices(values or {}, kept), #(values or {})
  if options.names then call.names = slices(options.names, kept) end
  return call
end

-- ---- results ----

local NUMBERS = { [C.CQL_TINYINT] = 1, [C.CQL_SMALLINT] = 2, [C.CQL_INT] = 4 }

-- Small numbers as numbers, booleans and texts as such, 8 bytes as an int64, the rest as bytes.
local function plain(kind, bytes)
  if not bytes then return nil end
  if NUMBERS[kind] == #bytes then
    local n = 0
    for i = 1, #bytes do n = n * 256 + bytes:byte(i) end
    return n >= 2 ^ (8 * #bytes - 1) and n - 2 ^ (8 * #bytes) or n
  end
  if kind == C.CQL_BOOLEAN and #bytes == 1 then return bytes ~= "\0" end
  if kind == C.CQL_BIGINT or kind == C.CQL_COUNTER then
    local n = 0LL
    for i = 1, #bytes do n = n * 256 + bytes:byte(i) end
    return n
  end
  return bytes
end

local function columns_of(count, columns)
  local out = {}
  for i = 0, count - 1 do
    out[i + 1] = { name = unit.slice(columns[i].name), kind = columns[i].type.kind,
      keyspace = unit.slice(columns[i].keyspace), table = unit.slice(columns[i].table) }
  end
  return out
end

local function rows_of(result, columns)
  local rows, at = {}, 1
  local bytes = unit.slice(result.rows) or ""
  for r = 1, result.row_count do
    rows[r] = {}
    for _, column in ipairs(columns) do
      local a, b, c, d = bytes:byte(at, at + 3)
      local length = ((a * 256 + b) * 256 + c) * 256 + d
      at = at + 4
      if length < 2 ^ 31 then
        rows[r][column.name] = plain(column.kind, bytes:sub(at, at + length - 1))
        at = at + length
      end
    end
  end
  assert(at == #bytes + 1, "the rows have other bytes than their columns say")
  return rows
end

local KINDS = { [C.CQL_RESULT_VOID] = "void", [C.CQL_RESULT_ROWS] = "rows",
  [C.CQL_RESULT_KEYSPACE] = "keyspace", [C.CQL_RESULT_SCHEMA_CHANGE] = "schema_change",
  [C.CQL_RESULT_ERROR] = "error" }

function store.taken(result)
  local out = { kind = assert(KINDS[result.kind]), keyspace = unit.slice(result.keyspace) }
  if out.kind == "error" then
    out.code, out.message = result.error_code, ffi.string(result.message)
    out.table = unit.slice(result.table)
  elseif out.kind == "rows" then
    out.columns = columns_of(result.column_count, result.columns)
    out.rows = rows_of(result, out.columns)
    out.paging_state = unit.slice(result.paging_state)
  elseif out.kind == "schema_change" then
    out.change, out.target = unit.slice(result.change.change), unit.slice(result.change.target)
    out.keyspace, out.name = unit.slice(result.change.keyspace), unit.slice(result.change.name)
  end
  C.cql__store_result_free(result)
  return out
end

-- ---- statements ----

-- Runs a text; the result, whatever it is.
function store:try(text, values, options)
  local kept = {}
  local call = call_of(self, values, options, kept)
  return store.taken(C.cql__store_query(self.handle, slice(text, kept), call))
end

-- The same; an error of it is raised.
function store:run(text, values, options)
  local result = self:try(text, values, options)
  if result.kind == "error" then error(text .. ": " .. result.message, 2) end
  return result
end

-- The rows of a statement.
function store:rows(text, values, options) return self:run(text, values, options).rows end

-- The message of the error that a statement must end in, and its code.
function store:fail(text, values, options)
  local result = self:try(text, values, options)
  if result.kind ~= "error" then error(text .. ": no error", 2) end
  return result.message, result.code
end

-- A prepared statement, or nil and an error as :try() has it.
function store:prepare(text, keyspace)
  local kept, err = {}, ffi.new "cql__store_result *[1]"
  local statement = C.cql__store_prepare(self.handle, slice(keyspace or self.keyspace, kept),
    slice(text, kept), err)
  if statement == nil then return nil, store.taken(err[0]) end
  return ffi.gc(statement, C.cql__statement_free)
end

function store:execute(statement, values, options)
  local kept = {}
  local call = call_of(self, values, options, kept)
  return store.taken(C.cql__store_execute(self.handle, statement, call))
end

-- Its shape; nil: it is no longer valid.
function store:shape(statement)
  local shape = C.cql__statement_shape_of(self.handle, statement)
  if shape == nil then return nil end
  local keys = {}
  for i = 0, shape.key_count - 1 do keys[i + 1] = shape.key_indexes[i] end
  return { kind = shape.kind, conditional = shape.conditional ~= 0, counter = shape.counter ~= 0,
    keyspace = unit.slice(shape.keyspace), table = unit.slice(shape.table), keys = keys,
    binds = columns_of(shape.bind_count, shape.binds),
    columns = columns_of(shape.column_count, shape.columns) }
end

function store:token(statement, values)
  local kept, token = {}, ffi.new "int64_t[1]"
  local call = call_of(self, values, nil, kept)
  if C.cql__statement_token(self.handle, statement, call, token) == 0 then return nil end
  return token[0]
end

-- items: { text or statement, value, value ... }
function store:batch(kind, items, options)
  local kept, list = {}, ffi.new("cql__store_item[?]", math.max(#items, 1))
  for i, item in ipairs(items) do
    local values = { unpack(item, 2) }
    local out = list[i - 1]
    if type(item[1]) == "string" then
      out.text = slice(item[1], kept)
    else
      out.statement = item[1]
    end
    out.values, out.value_count = slices(values, kept), #values
  end
  local call = call_of(self, nil, options, kept)
  return store.taken(C.cql__store_batch(self.handle, kind, list, #items, call))
end

function store:version()
  local out = ffi.new "uint8_t[16]"
  C.cql__store_version(self.handle, out)
  return ffi.string(out, 16)
end

return store
