--- Results: what the library answered becomes rows of Lua, or an error; the C result is let go.
--
-- Rows are pure arrays, so that ipairs, # and JSON encoders see nothing but rows. What else is
-- known of them (paging state, execution) is kept beside them and found by their metatable.
local ffi = require "ffi"
local new_table = require "table.new"
local C = require("cql.ffi").C
local error_of = require "cql.error"
local rows_of = require "cql.rows"
local paging = require "cql.paging"

local setmetatable = setmetatable

local result = {}

local CELLS_ROWS = 64 -- rows that are taken apart in one call

-- ---- text on the wire: string lists and maps of bytes [spec 3] ----

local function u16(p) return p[0] * 256 + p[1] end
local function i32(p)
  return bit.bor(bit.lshift(p[0], 24), bit.lshift(p[1], 16), bit.lshift(p[2], 8), p[3])
end

local function text(slice) return slice.length >= 0 and ffi.string(slice.data, slice.length) end

-- The library checked lengths when it took the slice; these loops check them once more, for
-- a list within a body is only known to start where it should.
local function string_list(slice)
  if slice.length < 2 then return {} end
  local p, left, list = slice.data + 2, slice.length - 2, {}
  for i = 1, u16(slice.data) do
    if left < 2 or left - 2 < u16(p) then break end
    list[i] = ffi.string(p + 2, u16(p))
    left, p = left - 2 - #list[i], p + 2 + #list[i]
  end
  return list
end

local function bytes_map(slice)
  if slice.length < 2 then return nil end
  local p, left, map = slice.data + 2, slice.length - 2, {}
  for _ = 1, u16(slice.data) do
    if left < 2 or left - 2 < u16(p) + 4 then break end
    local key = ffi.string(p + 2, u16(p))
    left, p = left - 2 - #key, p + 2 + #key
    local length = i32(p)
    left, p = left - 4, p + 4
    if length > left then break end
    map[key] = length >= 0 and ffi.string(p, length) or nil
    left, p = left - math.max(length, 0), p + math.max(length, 0)
  end
  return map
end

-- ---- execution ----

---@class cql.Execution
---@field node string address and port of the node that answered
---@field shard integer? of a ScyllaDB node
---@field consistency string
---@field attempts integer how often the request was sent
---@field schema_agreed boolean? of a change of the schema: all nodes have it; nil: nobody asked
---@field tracing_id string? of a traced request
---@field warnings string[]? of the server
---@field payload table<string, string>? custom payload of the answer

local CONSISTENCIES = { [0] = "any", "one", "two", "three", "quorum", "all", "local_quorum",
  "each_quorum", "serial", "local_serial", "local_one" }
result.consistencies = CONSISTENCIES

local uuid_text = ffi.new "char[37]"

-- `done` is the completion, `c` its result if it has one.
local function execution_of(done, c)
  local execution = {
    node = done.address ~= nil and ffi.string(done.address) or nil,
    consistency = CONSISTENCIES[done.consistency],
    attempts = done.attempts,
    shard = done.shard >= 0 and done.shard or nil,
  }
  if done.schema_agreed >= 0 then execution.schema_agreed = done.schema_agreed == 1 end
  if not c then return execution end
  if c.warnings.length >= 0 then execution.warnings = string_list(c.warnings) end
  if c.payload.length >= 0 then execution.payload = bytes_map(c.payload) end
  if c.tracing_id ~= nil then
    C.cql_uuid_to_text(c.tracing_id, uuid_text)
    execution.tracing_id = ffi.string(uuid_text, 36)
  end
  return execution
end

-- ---- rows ----

---@class cql.Rows an array of rows: tables by column name
---@field execution cql.Execution
---@field paging_state string? where the next page starts; nil: this is the last one
---@field applied boolean? of a conditional statement
---@field columns string[] names in order
---@field types string[] the columns' types, as CQL writes them
---@field schema_change table? what a DDL statement changed
local Rows = {}

-- rows -> { execution =, next = page, schema_change = }; only for those that have any of it
local details = setmetatable({}, { __mode = "k" })

local function page_after(rows)
  local more = details[rows]
  return more and more.page
end

local function next_page(rows)
  local page = page_after(rows)
  if page then return page:next() end
end

local function prefetch(page)
  if page and page.prefetch then page:start() end
end

local function iterate_page(state)
  state.at = state.at + 1
  local row = state.rows[state.at]
  while row == nil do
    local rows, failure = next_page(state.rows)
    if failure then error(failure, 0) end
    if not rows then return nil end
    state.rows, state.at = rows, 1
    prefetch(page_after(rows))
    row = rows[1]
  end
  return row
end

--- All rows, of this page and of those after it, which are fetched as the loop comes to them.
--- A page that can't be had raises its error.
---@return fun(): table?
function Rows:each()
  prefetch(page_after(self))
  return iterate_page, { rows = self, at = 0 }
end

--- The next page; nil if this is the last one, nil and an error if it can't be had.
---@return cql.Rows?, cql.Error?
function Rows:next_page() return next_page(self) end

local FIELDS = {
  execution = function(self, common)
    local more = details[self]
    return more and more.execution or common.execution
  end,
  paging_state = function(self)
    local more = details[self]
    return more and more.page and more.page:state() or nil
  end,
  applied = function(self)
    local row = rawget(self, 1)
    if row then return row["[applied]"] end
  end,
  columns = function(_, common) return common.shape and common.shape.names or {} end,
  types = function(_, common) return common.shape and common.shape.types or {} end,
  schema_change = function(self)
    local more = details[self]
    return more and more.schema_change
  end,
}

-- The metatable of rows of one shape, with one execution.
local function new_meta(execution, shape)
  local common = { shape = shape, execution = execution }
  return {
    __index = function(self, key)
      local method = Rows[key]
      if method then return method end
      local field = FIELDS[key]
      if field then return field(self, common) end
    end,
  }
end

local function read_only()
  error("this table is what all statements give that have no rows: make one of your own", 2)
end

-- Executions in which nothing is unusual are alike as long as the same node answers: they share a
-- table for each node. Its address, which lives as long as the session, is its name here.
local ADDRESS = ffi.typeof "uintptr_t"
local METAS_MAX = 256 -- of one shape; then all are made anew

local function new_cache() return { count = 0, nodes = {} } end
result.new_cache = new_cache

local function new_kept(cache, node, done, shape)
  if cache.count == METAS_MAX then cache.count, cache.nodes = 0, {} end
  local of_node = cache.nodes[node]
  if not of_node then
    of_node = {}
    cache.nodes[node] = of_node
  end
  if not of_node[done.shard] then cache.count = cache.count + 1 end
  local meta = new_meta(execution_of(done), shape)
  local kept = {
    meta = meta, attempts = done.attempts, consistency = done.consistency,
    empty = setmetatable({}, { __index = meta.__index, __newindex = read_only }),
  }
  of_node[done.shard] = kept
  return kept
end

-- { meta =, empty = } of this execution.
local function kept_of(cache, done, shape)
  local node = tonumber(ffi.cast(ADDRESS, done.address))
  local of_node = cache.nodes[node]
  local kept = of_node and of_node[done.shard]
  if kept and kept.attempts == done.attempts and kept.consistency == done.consistency then
    return kept
  end
  return new_kept(cache, node, done, shape)
end

local function is_unusual(c)
  return c.warnings.length >= 0 or c.payload.length >= 0 or c.tracing_id ~= nil
    or c.paging_state.length >= 0
end

-- Where the next page starts, if there is one.
local function page_of(session, c, slot)
  local state = c.paging_state
  if state.length < 0 then return nil end
  local statement, options = slot.statement, slot.options or nil
  local ahead = options and options.prefetch
  if ahead == nil and type(statement) == "table" and statement.options then
    ahead = statement.options.prefetch
  end
  return paging.new {
    session = session, statement = statement, options = options, prefetch = ahead,
    raw = ffi.string(state.data, state.length),
    bound = c.bound.length > 0 and ffi.string(c.bound.data, c.bound.length) or "",
    bound_count = c.bound_count,
  }
end

-- Those of one way of reading rows. Ids grow as shapes come and go, so they are kept by age: when
-- SHAPES_MAX new ones have come, those that were not asked for since the last time go.
local SHAPES_MAX = 512

local function known_shapes(session, mode)
  local known = session.shapes[mode]
  if not known then
    known = { young = {}, old = {}, count = 0 }
    session.shapes[mode] = known
  end
  return known
end

local function keep_shape(known, id, shape)
  if known.count == SHAPES_MAX then
    known.old, known.young, known.count = known.young, {}, 0
  end
  known.young[id], known.count = shape, known.count + 1
end

-- The shape that is not among the young ones.
local function older_shape(known, metadata, mode)
  local shape = known.old[metadata.id]
  if not shape then
    shape = rows_of.shape(metadata, mode)
    shape.cells = rows_of.cells(shape, CELLS_ROWS)
    shape.cache = new_cache()
  end
  keep_shape(known, metadata.id, shape)
  return shape
end

--- The shape of these columns for one way of reading them; remembered by the session.
---@return table
local function shape_of(session, metadata, mode)
  local known = known_shapes(session, mode)
  return known.young[metadata.id] or older_shape(known, metadata, mode)
end

local function malformed(why) return nil, error_of.status(ffi.C.CQL_EMALFORMED, why) end

-- `count` rows from `at` on into `rows`: true, or nil and an error.
local function build_rows(shape, c, count, rows, at)
  if C.cql_result_cells(c, count, shape.cells) ~= count then return malformed() end
  local built, why = shape.build(shape.cells, count, rows, at)
  if built then return true end
  return malformed(why)
end

local function build_many(shape, c, count, rows)
  for at = 1, count, CELLS_ROWS do
    local built, failure = build_rows(shape, c, math.min(CELLS_ROWS, count - at + 1), rows, at)
    if not built then return nil, failure end
  end
  return true
end

local function decode_rows(session, done, slot)
  local c = done.result
  local shape = shape_of(session, c.metadata, slot.mode)
  local count = c.row_count
  local rows = new_table(count, 0)
  if count > 0 then
    -- Few are built without a loop here: a loop that ends after one round is never compiled, and
    -- neither is what calls it.
    local built, failure
    if count <= CELLS_ROWS then
      built, failure = build_rows(shape, c, count, rows, 1)
    else
      built, failure = build_many(shape, c, count, rows)
    end
    if not built then return nil, failure end
  end
  setmetatable(rows, kept_of(shape.cache, done, shape).meta)
  if is_unusual(c) then
    details[rows] = { execution = execution_of(done, c), page = page_of(session, c, slot) }
  end
  return rows
end

-- ---- the other kinds ----

--- What a statement gives that has no rows: an empty table, the same as long as nothing differs.
---@return cql.Rows
function result.void(session, done)
  return kept_of(session.void_cache, done).empty
end

local function empty(session, done, c)
  if not is_unusual(c) then return result.void(session, done) end
  local execution = execution_of(done, c)
  return setmetatable({}, new_meta(execution))
end

local change = ffi.new "cql_schema_change_t"

--- What changed, by the fields of a cql_schema_change_t.
---@return table change, target, keyspace, name, arguments
function result.schema_change(fields)
  return {
    change = text(fields.change) or nil, target = text(fields.target) or nil,
    keyspace = text(fields.keyspace) or nil, name = text(fields.name) or nil,
    arguments = fields.arguments.length >= 0 and string_list(fields.arguments) or nil,
  }
end

local function decode_schema_change(done, c)
  if C.cql_result_schema_change(c, change) < 0 then return malformed() end
  local rows = setmetatable({}, new_meta(execution_of(done, c)))
  details[rows] = { schema_change = result.schema_change(change) }
  return rows
end

--- What a successful answer says to Lua; its C result may be freed afterwards.
---@return any, cql.Error?
function result.decode(session, done, slot)
  local c = done.result
  local kind = c.kind
  if kind == C.CQL_RESULT_ROWS then return decode_rows(session, done, slot) end
  if kind == ffi.C.CQL_RESULT_SCHEMA_CHANGE then return decode_schema_change(done, c) end
  return empty(session, done, c)
end

-- ---- errors ----

local detail = ffi.new "cql_error_detail_t"

-- The fields that an ERROR has beside its code and message, under the names of the specification.
local function add_detail(failure, c)
  if C.cql_result_error(c, detail) < 0 then return end
  if detail.consistency >= 0 then
    failure.consistency = CONSISTENCIES[detail.consistency]
    failure.received, failure.required = detail.received, detail.required
  end
  if failure.name:find "FAILURE$" then failure.failures = detail.failures end
  if failure.name:find "^READ_" then failure.data_present = detail.data_present ~= 0 end
  if detail.operation >= 0 then
    failure.operation = detail.operation == 0 and "read" or "write"
    failure.rejected_by_coordinator = detail.rejected_by_coordinator ~= 0
  end
  failure.write_type = text(detail.write_type) or nil
  if failure.write_type == "CAS" and c.protocol_version >= 5 then
    failure.contentions = detail.contentions
  end
  failure.keyspace, failure.table = text(detail.keyspace) or nil, text(detail.table) or nil
end

--- The error of a request that failed: the server's, or the driver's own.
---@return cql.Error
function result.failure(done)
  local c = done.result
  local failure
  if c ~= nil and c.kind == ffi.C.CQL_RESULT_ERROR then
    failure = error_of.server(c.error_code, text(c.message) or "")
    add_detail(failure, c)
  else
    failure = error_of.status(done.status)
  end
  failure.execution = execution_of(done, c ~= nil and c or nil)
  return failure
end

-- ---- rows read in place ----

---@class cql.View rows that stay where they were received; the row is one object for all of them
---@field execution cql.Execution
---@field paging_state string?
local View = {}

local view_meta = {
  __index = function(self, key)
    if View[key] then return View[key] end
    if key == "paging_state" then return self.page and self.page:state() end
    if type(key) == "number" then
      error("a view has no rows by number: read them with view:each()", 2)
    end
  end,
}

--- A view of these rows, which holds the C result until close(), the last row, or the collector.
---@return cql.View?, cql.Error?
function result.view(session, done, slot)
  local c = done.result
  local shape = shape_of(session, c.metadata, slot.mode)
  local view = setmetatable({
    shape = shape, count = c.row_count, execution = execution_of(done, c), columns = shape.names,
    types = shape.types, page = page_of(session, c, slot),
  }, view_meta)
  view.result = ffi.gc(c, C.cql_result_free) -- last: who fails before that frees it himself
  return view
end

--- Lets the memory of this page go; its row must not be touched any more.
function View:close()
  if not self.result then return end
  C.cql_result_free(ffi.gc(self.result, nil))
  self.result, self.loop = nil, nil
  if self.reader then self.reader:fill(nil, 0) end
end

--- The bytes of a column of the row that the loop is at, as they were sent and not copied: pointer
--- and length, until the loop goes on; nil for null, and for columns that hold no bytes.
---@param column string|integer
---@return ffi.cdata*? bytes
---@return integer? length
function View:slice(column)
  if not self.loop then error("no row is being read: slice() is for a loop over view:each()", 2) end
  return self.reader:slice(column)
end

-- Begins to read rows of this shape. The row holds the view, and so the memory that it reads.
local function view_start(view, state)
  if not view.reader or view.reader.shape ~= view.shape then
    view.reader = rows_of.view(view.shape, view)
  end
  state.cells = rows_of.cells(view.shape, CELLS_ROWS)
end

-- Takes the place of the page that was read: it has its own memory, and perhaps other columns.
local function view_next_page(state)
  local view = state.view
  local following, failure = view.page:next()
  if not failure and getmetatable(following) ~= view_meta then
    failure = error_of.status(ffi.C.CQL_EMALFORMED, "a page that is none")
  end
  if failure then error(failure, 0) end
  view:close()
  for _, name in ipairs { "result", "page", "count", "execution", "shape", "columns", "types" } do
    view[name] = following[name]
  end
  following.result, view.loop = nil, state
  prefetch(view.page)
  view_start(view, state)
end

-- More cells into the state; false at the end.
local function view_refill(state)
  local view = state.view
  state.at, state.got = 0, C.cql_result_cells(view.result, CELLS_ROWS, state.cells)
  if state.got > 0 then return true end
  if state.got < 0 then error(error_of.status(state.got), 0) end
  if not view.page then return false end
  view_next_page(state)
  return true
end

local function iterate_view(state)
  local view = state.view
  if view.loop ~= state then
    error(view.result and "another loop reads this view" or "this view was closed", 2)
  end
  state.at = state.at + 1
  while state.at >= state.got do
    if not view_refill(state) then
      view:close()
      return nil
    end
  end
  local reader = view.reader
  reader:fill(state.cells, state.at)
  return reader.row
end

--- All rows of this page and of those after it. The row that the loop gets is one object, filled
--- anew each time: what it holds is made when it is touched.
---@return fun(): table?
function View:each()
  if not self.result then error("this view was closed", 2) end
  local state = { view = self, at = -1, got = 0 }
  self.loop = state
  C.cql_result_rewind(self.result)
  view_start(self, state)
  prefetch(self.page)
  return iterate_view, state
end

return result
