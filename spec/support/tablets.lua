-- Tablets as ScyllaDB's nodes tell them [scylladb docs/dev/protocol-extensions.md], and the store.
local ffi = require "ffi"
local unit = require "spec.support.unit"

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
