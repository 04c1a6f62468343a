/* Routing: whatever tokens and replication servers tell of, the ring is in order and finds each of
 * its tokens, and plans name nodes that there are, each once, nearest first. */
#include "fuzz.h"

#include "base/mem.h"
#include "cluster/plan.h"

enum { NODES_MAX = 40, TOKENS_MAX = 300 };

/* partitioner, budget, then tokens { owner, length, text } up to one of no length */
static cql__ring *read_ring(input *in) {
  cql__ring_builder *builder = cql__ring_builder_new((cql__partitioner)(1 + input_u8(in) % 4));
  uint32_t budget = 1 + input_u8(in) * 3, added = 0;
  CHECK(builder);
  for (int i = 0; i < TOKENS_MAX; i++) {
    uint32_t owner = input_u8(in) % NODES_MAX;
    size_t length = input_u8(in);
    const uint8_t *bytes = input_take(in, &length);
    if (length == 0) break;
    uint8_t *text = copy_of(bytes, length);
    int result = cql__ring_builder_add_text(builder, (cql_slice_t){text, (int32_t)length}, owner);
    CHECK(result == 0 || result == CQL_EVALUE);
    if (result == 0) added++;
    free(text);
  }
  cql__ring *ring = NULL;
  int result = 0;
  while (result == 0) result = cql__ring_builder_step(builder, budget, &ring);
  CHECK(result == 1 && ring->count <= added);
  cql__ring_builder_free(builder);
  return ring;
}

static void check_ring(const cql__ring *ring) {
  for (uint32_t i = 0; i < ring->count; i++) {
    cql__token token = cql__ring_token(ring, i);
    CHECK(cql__ring_find(ring, &token) == i);
    CHECK(ring->owners[i] < ring->node_count && ring->owns[ring->owners[i]]);
    if (i == 0) continue;
    cql__token before = cql__ring_token(ring, i - 1);
    CHECK(cql__token_compare(&before, &token) < 0);
  }
}

static void check_plan(const cql__plan *plan, const cql__places *places) {
  uint8_t seen[NODES_MAX] = {0};
  uint32_t i = 0;
  for (int distance = 0; distance < CQL__DISTANCES; distance++) {
    CHECK(i <= plan->ends[distance]);
    for (; i < plan->ends[distance]; i++) {
      uint32_t node = plan->nodes[i];
      CHECK(node < places->count && !seen[node]++);
      CHECK(places->nodes[node].distance == distance);
    }
  }
  CHECK(plan->primary == CQL__NO_NODE ? i == 0 : plan->primary < places->count);
}

/* node count, a byte for each, and the rest is the map */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const cql_slice_t names[] = {{(const uint8_t *)"dc1", 3}, {(const uint8_t *)"dc2", 3}};
  long live = cql__mem_live();
  input in = input_of(data, size);
  cql__ring *ring = read_ring(&in);
  check_ring(ring);
  cql__place nodes[NODES_MAX];
  cql__places places = {nodes, input_u8(&in) % NODES_MAX, 2, names};
  for (uint32_t i = 0; i < places.count; i++) {
    unsigned byte = input_u8(&in);
    nodes[i] = (cql__place){byte % 3, byte / 3 % 4, (uint8_t)(byte >> 6)}; /* one of no name */
  }
  size_t left = input_left(&in);
  uint8_t *map = copy_of(in.next, left);
  cql__replication *replication = cql__replication_read(map, left);
  free(map);
  cql__plans *plans = replication ? cql__plans_new(ring, &places, replication) : NULL;
  CHECK(plans && cql__replication_equal(replication, replication));
  cql__replication_unref(replication);
  for (uint32_t i = 0; i < ring->count; i++) {
    const cql__plan *plan = cql__plans_get(plans, i);
    CHECK((plan != NULL) == (plans->range_count > 0));
    if (plan) check_plan(plan, &places);
  }
  cql__plans_unref(plans);
  cql__ring_unref(ring);
  CHECK(cql__mem_live() == live);
  return 0;
}
