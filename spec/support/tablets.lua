-- Tablets as ScyllaDB's nodes tell them [scylladb docs/dev/protocol-extensions.md], and the store.
local ffi = require "ffi"
local unit = require "spec.support.unit"

unit.cdef("tablets", [[
  typedef struct cql__tablet {
    int64_t first, last;
    uint32_t count;
    const uint8_t *replicas;
  } cql__tablet;
  typedef struct cql__tablet_replica { uint16_t host, shard; } cql__tablet_replica;
  typedef struct cql__tablet_range { int64_t first, last; uint32_t at, count; } cql__tablet_range;
  typedef struct cql__tablet_table {
    cql_slice_t keyspace, name;
    cql__tablet_range *ranges;
    uint32_t count, capacity;
    cql__tablet_replica *replicas;
    uint32_t replicas_used, replicas_capacity, replicas_live;
  } cql__tablet_table;
  typedef struct cql__tablet_owner { uint8_t id[16]; uint32_t uses; uint16_t node; }
    cql__tablet_owner;
  typedef uint16_t (*cql__tablets_resolve)(void *user, const uint8_t host_id[16]);
  typedef struct cql__tablets {
    cql__tablets_resolve resolve;
    void *user;
    cql__tablet_table **tables;
    uint32_t table_count, table_capacity;
    cql_slice_t *keyspaces;
    uint32_t keyspace_count, keyspace_capacity;
    cql__tablet_owner *owners;
    uint32_t owner_count, owner_capacity;
    uint32_t count, epoch;
    cql__tablet_table none;
  } cql__tablets;
  int cql__tablet_find(cql_slice_t payload, cql__tablet *out);
  int cql__tablet_decode(cql_slice_t value, cql__tablet *out);
  void cql__tablets_init(cql__tablets *tablets, cql__tablets_resolve resolve, void *user);
  void cql__tablets_deinit(cql__tablets *tablets);
  int cql__tablets_keyspace(cql__tablets *tablets, cql_slice_t keyspace, int has_tablets);
  void cql__tablets_forget(cql__tablets *tablets, cql_slice_t keyspace, cql_slice_t table);
  void cql__tablets_clear(cql__tablets *tablets);
  void cql__tablets_renumber(cql__tablets *tablets);
  int cql__tablets_learn(cql__tablets *tablets, cql_slice_t keyspace, cql_slice_t table,
                         const cql__tablet *tablet);
  cql__tablet_table *cql__tablets_table(cql__tablets *tablets, cql_slice_t keyspace,
                                        cql_slice_t table);
  const cql__tablet_range *cql__tablet_table_find(const cql__tablet_table *table, int64_t token);
  uint16_t cql__spec_tablets_resolve(void *user, const uint8_t *id);
  uint16_t cql__spec_tablets_node(const cql__tablets *tablets, uint16_t host);
]])

local C, u16, u32 = unit.C, unit.u16, unit.u32
local tablets = { NO_NODE = 65535, MIN = ffi.cast("int64_t", 0x8000000000000000ULL),
  MAX = 0x7fffffffffffffffLL }

function tablets.i64(value)
  local bits = ffi.cast("uint64_t", ffi.cast("int64_t", value))
  return u32(tonumber(bit.rshift(bits, 32))) .. u32(tonumber(bit.band(bits, 0xffffffffULL)))
end

-- The id of node n.
function tablets.id(n) return ("\7"):rep(14) .. u16(n) end

-- The value of a payload; replicas: { { node, shard }, ... }.
function tablets.value(first, last, replicas)
  local out = { u32(8), tablets.i64(first), u32(8), tablets.i64(last),
    u32(4 + 32 * #replicas), u32(#replicas) }
  for _, replica in ipairs(replicas) do
    out[#out + 1] = u32(28) .. u32(16) .. tablets.id(replica[1]) .. u32(4) .. u32(replica[2])
  end
  return table.concat(out)
end

-- ---- the store ----

local Store = {}
Store.__index = Store

-- Knows nodes 0 to 255 by their numbers.
function tablets.store()
  local self = setmetatable({ nodes = ffi.new "uint16_t[65536]", kept = {} }, Store)
  ffi.fill(self.nodes, 2 * 65536, 255)
  for n = 0, 255 do self.nodes[n] = n end
  self.handle = ffi.new "cql__tablets"
  C.cql__tablets_init(self.handle, C.cql__spec_tablets_resolve, self.nodes)
  return self
end

function Store:free() C.cql__tablets_deinit(self.handle) end

local function slice(text)
  if not text then return ffi.new("cql_slice_t", nil, C.CQL_NULL) end
  return ffi.new("cql_slice_t", ffi.cast("const uint8_t *", text), #text)
end
tablets.slice = slice

-- What cql__tablets_learn() says; `where`: "ks.table", otherwise "ks.t".
function Store:learn(first, last, replicas, where)
  local keyspace, name = (where or "ks.t"):match "^(.-)%.(.*)$"
  local value, tablet = tablets.value(first, last, replicas), ffi.new "cql__tablet"
  assert(C.cql__tablet_decode(slice(value), tablet) == 0)
  return C.cql__tablets_learn(self.handle, slice(keyspace), slice(name), tablet)
end

function Store:table(where)
  local keyspace, name = (where or "ks.t"):match "^(.-)%.(.*)$"
  local found = C.cql__tablets_table(self.handle, slice(keyspace), slice(name))
  return found ~= nil and found or nil
end

local function replicas_of(self, known, range)
  local out = {}
  for i = 0, range.count - 1 do
    local replica = known.replicas[range.at + i]
    local node = C.cql__spec_tablets_node(self.handle, replica.host)
    out[i + 1] = ("%s:%d"):format(node == tablets.NO_NODE and "?" or node, replica.shard)
  end
  return table.concat(out, " ")
end

-- "1:0 2:3" for the replicas of a token; nil: its tablet isn't known.
function Store:find(token, where)
  local known = self:table(where)
  local range = known and C.cql__tablet_table_find(known, token)
  return range ~= nil and range and replicas_of(self, known, range) or nil
end

-- All that is known of a table: { "first..last 1:0 2:3", ... }.
function Store:all(where)
  local known, out = self:table(where), {}
  for i = 0, known and known.count - 1 or -1 do
    local range = known.ranges[i]
    out[i + 1] = ("%s..%s %s"):format(tostring(range.first):sub(1, -3),
      tostring(range.last):sub(1, -3), replicas_of(self, known, range))
  end
  return out
end

-- What must hold whatever was done.
function Store:check()
  local h, uses, count = self.handle, {}, 0
  for t = 0, h.table_count - 1 do
    local known, live = h.tables[t], 0
    for i = 0, known.count - 1 do
      local range = known.ranges[i]
      assert(range.first < range.last)
      assert(i == 0 or known.ranges[i - 1].last <= range.first)
      assert(range.at + range.count <= known.replicas_used)
      live = live + range.count
      for k = range.at, range.at + range.count - 1 do
        local host = known.replicas[k].host
        uses[host] = (uses[host] or 0) + 1
      end
    end
    assert(live == known.replicas_live and known.replicas_used <= known.replicas_capacity)
    count = count + known.count
  end
  assert(count == h.count)
  for i = 0, h.owner_count - 1 do assert(h.owners[i].uses == (uses[i] or 0)) end
end

return tablets
