-- What specs of routing share: rings of the core, and the rules of replication once more, written
-- to be read and not to be fast.
local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C
unit.cdef("ring", [[
  typedef struct cql__token {
    uint64_t high, low;
    const uint8_t *bytes;
    uint32_t size;
  } cql__token;
  cql__token cql__token_make(int partitioner, const uint8_t *key, size_t size);
  int cql__token_parse(int partitioner, cql_slice_t text, uint8_t *room, cql__token *out);
  int cql__token_compare(const cql__token *a, const cql__token *b);

  typedef struct cql__ring_tail {
    uint64_t low;
    uint32_t offset, size;
  } cql__ring_tail;
  typedef struct cql__ring {
    uint32_t refs;
    int partitioner;
    uint32_t count, node_count;
    uint64_t *highs;
    uint32_t *owners;
    uint8_t *owns;
    cql__ring_tail *tails;
    uint8_t *bytes;
    uint32_t *starts;
    uint32_t shift;
  } cql__ring;
  void cql__ring_unref(cql__ring *ring);
  uint32_t cql__ring_find(const cql__ring *ring, const cql__token *token);
  cql__token cql__ring_token(const cql__ring *ring, uint32_t range);
  typedef struct cql__ring_builder cql__ring_builder;
  cql__ring_builder *cql__ring_builder_new(int partitioner);
  void cql__ring_builder_free(cql__ring_builder *builder);
  int cql__ring_builder_add(cql__ring_builder *builder, const cql__token *token, uint32_t owner);
  int cql__ring_builder_add_text(cql__ring_builder *builder, cql_slice_t text, uint32_t owner);
  int cql__ring_builder_step(cql__ring_builder *builder, uint32_t budget, cql__ring **ring);
]])

local ring = { MURMUR3 = 1, CDC = 2, RANDOM = 3, BYTE_ORDERED = 4 }

-- A slice of a copy of this text; what it borrows lives as long as the second value.
function ring.slice(text)
  local copy = unit.buffer(text)
  return ffi.new("cql_slice_t", { copy, #text }), copy
end

-- Room for a token of ByteOrdered, and the token that this text is.
function ring.parse(partitioner, text)
  local slice = ring.slice(text)
  local room, out = unit.buffer(("?"):rep(math.floor(#text / 2))), ffi.new "cql__token[1]"
  assert(C.cql__token_parse(partitioner, slice, room, out) == 0, text)
  return out, room
end

-- Gives the builder these points { { text, owner }, ... }; 0 or an error.
function ring.add(builder, points)
  for _, point in ipairs(points) do
    local slice, copy = ring.slice(point[1])
    local result = C.cql__ring_builder_add_text(builder, slice, point[2])
    if result ~= 0 then return result, copy end
  end
  return 0
end

-- The ring of these points, and the steps that it took; nil, error. Unref it, or let it be `auto`.
function ring.build(partitioner, points, budget)
  local builder = C.cql__ring_builder_new(partitioner)
  if builder == nil then return nil, C.CQL_ENOMEM end
  local out, steps = ffi.new "cql__ring *[1]", 0
  local result = ring.add(builder, points)
  while result == 0 do
    steps = steps + 1
    result = C.cql__ring_builder_step(builder, budget or 1000000, out)
  end
  C.cql__ring_builder_free(builder)
  if result < 0 then return nil, result end
  return out[0], steps
end

-- The same, unreferenced when it is collected.
function ring.make(partitioner, points, budget)
  local made, steps = ring.build(partitioner, points, budget)
  return ffi.gc(assert(made, steps), C.cql__ring_unref), steps
end

return ring
