--- A schema beside the session: which tables there are and what columns they have, kept current by
--- events alone. The session itself has no use for that, so it doesn't read it.
--
--   local schema = require("schema_sidecar").start(cql, session)
--   local items = schema:table("shop", "items")
--   print(items.columns.name, table.concat(items.partition_key, ", "))
--   schema:stop()
--
-- An event says that a table has changed; it is read once the nodes agree, for until then whoever
-- is asked may not know of it. Changes may have been missed while nobody told of them, and events
-- lost by a slow reader: then all is read. A cql.run() that it is started in ends after stop().
local COLUMNS = "SELECT keyspace_name, table_name, column_name, kind, position, type "
  .. "FROM system_schema.columns"
local OF_TABLE = COLUMNS .. " WHERE keyspace_name = ? AND table_name = ?"

local Schema = {}
Schema.__index = Schema

-- Rows of columns into tables by "keyspace.table".
local function add_columns(tables, rows)
  for row in rows:each() do
    local name = row.keyspace_name .. "." .. row.table_name
    local found = tables[name] or { columns = {}, partition_key = {}, clustering = {} }
    tables[name] = found
    found.columns[row.column_name] = row.type
    local key = found[row.kind]
    if key then key[row.position + 1] = row.column_name end
  end
end

--- The table of that name, or nil: columns (name -> type), partition_key, clustering (names).
function Schema:table(keyspace, name) return self.tables[keyspace .. "." .. name] end

local function read_all(self)
  local tables = {}
  add_columns(tables, assert(self.session:execute(COLUMNS)))
  self.tables = tables
end

local function read_one(self, name, keyspace, table_name)
  local found = {}
  add_columns(found, assert(self.session:execute(OF_TABLE, { keyspace, table_name })))
  self.tables[name] = found[name]
end

-- What has changed since the last agreement.
local function read_changed(self)
  local changed, all = self.changed, self.all_changed
  self.changed, self.all_changed = {}, false
  if all then return read_all(self) end
  for name, place in pairs(changed) do read_one(self, name, place[1], place[2]) end
end

local HANDLERS = {
  schema_change = function(self, change)
    if change.target == "TABLE" then
      self.changed[change.keyspace .. "." .. change.name] = { change.keyspace, change.name }
    elseif change.target == "KEYSPACE" and change.change == "DROPPED" then
      self.all_changed = true
    end
  end,
  control_opened = function(self) self.all_changed = true end,
  agreement = function() end,
}

local function follow(self)
  local event = self.events:next()
  while event do
    if event.lost then self.all_changed = true end
    HANDLERS[event.name](self, event.schema_change)
    if event.name ~= "schema_change" and not event.error then read_changed(self) end
    event = self.events:next()
  end
end

function Schema:stop() self.events:close() end

local sidecar = {}

--- The schema as it is now, and from now on.
function sidecar.start(cql, session)
  local events = assert(session:subscribe { "schema_change", "agreement", "control_opened" })
  local self = setmetatable({ session = session, events = events, changed = {} }, Schema)
  read_all(self)
  cql.spawn(function()
    repeat
      local ok, failure = pcall(follow, self)
      if not ok then io.stderr:write("the schema could not be read: ", tostring(failure), "\n") end
      self.all_changed = not ok -- all is read with the next event
    until ok
  end)
  return self
end

return sidecar
