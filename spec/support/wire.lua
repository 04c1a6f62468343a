-- The internals of src/wire and src/message for unit specs, and types in words.
local ffi = require "ffi"
local unit = require "spec.support.unit"

unit.cdef("wire", [[
  typedef struct cql__cursor { const uint8_t *next; const uint8_t *end; int broken; } cql__cursor;
  typedef struct cql__arena { struct cql__arena_chunk *chunks; size_t used; } cql__arena;
  void cql__arena_free(cql__arena *arena);

  int cql__type_read(cql__cursor *c, cql__arena *arena, int depth, cql_type_t *out);
  int cql__type_skip(cql__cursor *c, int depth);
  int32_t cql__type_fixed_size(const cql_type_t *type);
  int cql__class_name_read(cql_slice_t text, cql__arena *arena, int depth, cql_type_t *out);

  int cql__cell_decode(const cql_type_t *type, const uint8_t *bytes, int32_t length,
                       cql_cell_t *out);
  int cql__items_open(const cql_type_t *type, const uint8_t *bytes, int32_t length,
                      cql_items_t *out);
  int cql__items_next(cql_items_t *items, cql_cell_t *out);

  uint64_t cql__read_unsigned_vint(cql__cursor *c);
  int64_t cql__read_vint(cql__cursor *c);
  int cql__vint_encode(uint64_t value, uint8_t *out);
  int cql__duration_decode(const uint8_t *bytes, int32_t length, int32_t *months, int32_t *days,
                           int64_t *nanoseconds);
  int cql__duration_encode(int32_t months, int32_t days, int64_t nanoseconds, uint8_t *out);
  void cql__uuid_to_text(const uint8_t *bytes, char *out);
  int cql__uuid_from_text(const char *text, size_t length, uint8_t *out);
  int cql__inet_to_text(const uint8_t *bytes, int32_t length, char *out);
  int cql__inet_from_text(const char *text, size_t length, uint8_t *out);
  int cql__date_to_text(int64_t days, char *out);
  int cql__date_from_text(const char *text, size_t length, int64_t *days);
  int cql__varint_to_text(const uint8_t *bytes, int32_t length, char *out, size_t size);
  int cql__varint_from_text(const char *text, size_t length, uint8_t *out, size_t size);

  typedef struct cql__metadata {
    cql_metadata_t shape;
    uint32_t refs;
    int32_t global;
    cql_slice_t specs;
    cql__arena arena;
  } cql__metadata;
  typedef struct cql__rows_head {
    int32_t flags;
    uint32_t column_count;
    cql_slice_t paging_state;
    cql_slice_t metadata_id;
    cql_slice_t specs;
  } cql__rows_head;
  int cql__rows_head_decode(cql__cursor *c, const cql__metadata *known, cql__rows_head *out);
  int cql__metadata_matches(const cql__metadata *metadata, const cql__rows_head *head);
  int cql__metadata_build(const cql__rows_head *head, cql__metadata **out);
  int cql__metadata_decode_bind(cql__cursor *c, int version, cql__metadata **out,
                                uint32_t *out_flags);
  cql__metadata *cql__metadata_ref(cql__metadata *metadata);
  void cql__metadata_unref(cql__metadata *metadata);
  int cql__rows_split(cql__cursor *c, const cql_metadata_t *shape, uint32_t max_rows,
                      cql_cell_t *out);

  typedef struct cql__response {
    uint8_t version;
    uint8_t flags;
    int16_t stream;
    uint8_t opcode;
    const uint8_t *tracing_id;
    cql_slice_t warnings;
    cql_slice_t payload;
    cql__cursor body;
  } cql__response;
  typedef struct cql__event {
    cql_slice_t type;
    cql_slice_t change;
    cql_slice_t address;
    int32_t port;
    cql_schema_change_t schema;
    cql_slice_t connection_ids, host_ids;
  } cql__event;
  int cql__response_open(const uint8_t *header, const uint8_t *body, size_t size,
                         cql__response *out);
  int cql__supported_find(cql__cursor body, const char *key, cql__cursor *values,
                          uint16_t *count);
  int cql__error_open(cql__cursor *body, int32_t *code, cql_slice_t *message);
  int cql__error_detail(int32_t code, int version, cql__cursor body, cql_error_detail_t *out);
  int cql__schema_change_decode(cql__cursor *body, cql_schema_change_t *out);
  int cql__event_decode(cql__cursor *body, cql__event *out);
  const char *cql__server_error_name(int code);

  typedef struct cql__pair { const char *name; const char *value; } cql__pair;
  size_t cql__startup_encode(const cql__pair *pairs, unsigned count, uint8_t *out,
                             size_t capacity);
  size_t cql__register_encode(const char *const *types, unsigned count, uint8_t *out,
                              size_t capacity);
  size_t cql__auth_response_encode(const uint8_t *token, size_t length, uint8_t *out,
                                   size_t capacity);
  int cql__message_dump(const uint8_t *envelope, size_t length, int blank, char *out,
                        size_t size);
]])

local C = unit.C
local wire = {}

local anchors = setmetatable({}, { __mode = "k" })

-- A cursor over a copy of the bytes, which lives as long as the cursor.
function wire.cursor(bytes)
  local copy = unit.buffer(bytes)
  local cursor = ffi.new("cql__cursor", copy, copy + #bytes, 0)
  anchors[cursor] = copy
  return cursor
end

function wire.left(cursor) return tonumber(cursor["end"] - cursor.next) end

local NAMES = {}
for name in ([[ASCII BIGINT BLOB BOOLEAN COUNTER DECIMAL DOUBLE FLOAT INT TIMESTAMP UUID TEXT VARINT
  TIMEUUID INET DATE TIME SMALLINT TINYINT DURATION LIST MAP SET TUPLE VECTOR]]):gmatch "%u+" do
  NAMES[C["CQL_" .. name]] = name:lower()
end
wire.kind_names = NAMES

-- "map<int, ks.address<street text>>", "vector<float, 3>", "'com.example.Unknown'"
function wire.type_text(type)
  if type.kind == C.CQL_CUSTOM then return "'" .. unit.slice(type.name) .. "'" end
  local parts = {}
  for i = 0, type.child_count - 1 do
    local name = type.names ~= nil and unit.slice(type.names[i]) .. " " or ""
    parts[#parts + 1] = name .. wire.type_text(type.children[i])
  end
  if type.kind == C.CQL_VECTOR then parts[#parts + 1] = tostring(type.dimension) end
  local name = NAMES[type.kind] or unit.slice(type.keyspace) .. "." .. unit.slice(type.name)
  return #parts == 0 and name or ("%s<%s>"):format(name, table.concat(parts, ", "))
end

local function release(owner)
  C.cql__arena_free(owner.arena)
end

-- Reads a type option: an owner with fields type, arena and left; or nil, error.
function wire.read_type(bytes, depth)
  local owner = { arena = ffi.new "cql__arena", type = ffi.new "cql_type_t" }
  local cursor = wire.cursor(bytes)
  local result = C.cql__type_read(cursor, owner.arena, depth or 0, owner.type)
  local again = wire.cursor(bytes)
  local skipped = C.cql__type_skip(again, depth or 0)
  assert(result == C.CQL_ENOMEM or result == skipped, "read and skip disagree")
  if result ~= 0 then
    release(owner)
    return nil, result
  end
  owner.left = wire.left(cursor)
  assert(wire.left(again) == owner.left, "read and skip end at different bytes")
  owner.gc = ffi.gc(ffi.new "char[1]", function() release(owner) end)
  return owner
end

-- A type from the words of wire.type_text(), but for UDTs and custom ones, as an option's bytes.
local KINDS = {}
for kind, name in pairs(NAMES) do KINDS[name] = kind end

local function split(text)
  local parts, open, start = {}, 0, 1
  for at = 1, #text do
    local c = text:sub(at, at)
    if c == "<" then open = open + 1 end
    if c == ">" then open = open - 1 end
    if c == "," and open == 0 then
      parts[#parts + 1] = text:sub(start, at - 1)
      start = at + 1
    end
  end
  parts[#parts + 1] = text:sub(start)
  return parts
end

local CLASSES = { int = "Int32Type", text = "UTF8Type", smallint = "ShortType", float = "FloatType",
  date = "SimpleDateType", tinyint = "ByteType", time = "TimeType", counter = "CounterColumnType",
  uuid = "UUIDType", bigint = "LongType", boolean = "BooleanType", double = "DoubleType",
  timestamp = "TimestampType", timeuuid = "TimeUUIDType" }

-- The same as a Java class.
function wire.class(text)
  local name, inner = text:match "^%s*([%w_]+)<(.*)>%s*$"
  local package = "org.apache.cassandra.db.marshal."
  if not name then return package .. assert(CLASSES[text:match "%w+"], text) end
  local parts = split(inner)
  if name == "vector" then
    return ("%sVectorType(%s ,%s)"):format(package, wire.class(parts[1]), parts[2])
  end
  for i, part in ipairs(parts) do parts[i] = wire.class(part) end
  local class = name:gsub("^%l", string.upper) .. "Type"
  return ("%s%s(%s)"):format(package, class, table.concat(parts, ","))
end

function wire.option(text)
  local name, inner = text:match "^%s*([%w_]+)<(.*)>%s*$"
  if name == "vector" then return unit.u16(0) .. unit.str(wire.class(text)) end
  name = name or text:match "[%w_]+"
  local out = { unit.u16(assert(KINDS[name], text)) }
  local parts = inner and inner ~= "" and split(inner) or {}
  if name == "tuple" then out[#out + 1] = unit.u16(#parts) end
  for _, part in ipairs(parts) do out[#out + 1] = wire.option(part) end
  return table.concat(out)
end

-- The type that such words stand for; it lives as long as what is returned second.
function wire.type(text)
  local owner = assert(wire.read_type(wire.option(text)))
  return owner.type, owner
end

return wire
