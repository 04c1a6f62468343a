#include "cluster/plan.h"

#include "base/mem.h"

/* Bytes of a page, if it has more than one plan. */
enum { PAGE_SIZE = 4096 };

static void set_sizes(cql__plans *plans, const cql__replication *replication) {
  plans->range_count = plans->ring->count;
  if (plans->range_count && replication->strategy == CQL__EVERYWHERE) plans->range_count = 1;
  plans->plan_size =
      (uint32_t)(sizeof(cql__plan) + plans->placement.full * sizeof *plans->replicas);
  while (plans->page_bits < 8 && plans->plan_size << (plans->page_bits + 1) <= PAGE_SIZE)
    plans->page_bits++;
  plans->page_count = plans->range_count ? ((plans->range_count - 1) >> plans->page_bits) + 1 : 0;
}

static int init(cql__plans *plans, const cql__places *places, const cql__replication *replication) {
  int result = cql__placement_init(&plans->placement, plans->ring, places, replication);
  if (result == CQL_EUNSUPPORTED) return 0;
  if (result < 0) return result;
  set_sizes(plans, replication);
  plans->pages = cql__zalloc(plans->page_count * sizeof *plans->pages);
  plans->distances = cql__malloc(places->count);
  plans->replicas = cql__malloc(plans->placement.full * sizeof *plans->replicas);
  if (!plans->pages || !plans->distances || !plans->replicas) return CQL_ENOMEM;
  for (uint32_t i = 0; i < places->count; i++) plans->distances[i] = places->nodes[i].distance;
  return 0;
}

cql__plans *cql__plans_new(cql__ring *ring, const cql__places *places,
                           const cql__replication *replication) {
  cql__plans *plans = cql__zalloc(sizeof *plans);
  if (!plans) return NULL;
  plans->refs = 1;
  plans->ring = cql__ring_ref(ring);
  if (init(plans, places, replication) == 0) return plans;
  cql__plans_unref(plans);
  return NULL;
}

void cql__plans_unref(cql__plans *plans) {
  if (!plans || --plans->refs) return;
  for (uint32_t i = 0; plans->pages && i < plans->page_count; i++) cql__free(plans->pages[i]);
  cql__free(plans->pages);
  cql__free(plans->distances);
  cql__free(plans->replicas);
  cql__placement_deinit(&plans->placement);
  cql__ring_unref(plans->ring);
  cql__free(plans);
}

/* Those of the replicas that are so far away, behind the first `at`; how many there are then. */
static uint16_t append(const cql__plans *plans, uint32_t count, int distance, cql__plan *plan,
                       uint16_t at) {
  for (uint32_t i = 0; i < count; i++)
    if (plans->distances[plans->replicas[i]] == distance) plan->nodes[at++] = plans->replicas[i];
  return at;
}

static void make(cql__plans *plans, uint32_t range, cql__plan *plan) {
  uint32_t count = cql__placement_walk(&plans->placement, plans->ring, range, plans->replicas);
  plan->primary = count ? plans->replicas[0] : CQL__NO_NODE;
  uint16_t end = 0;
  for (int distance = 0; distance < CQL__DISTANCES; distance++)
    plan->ends[distance] = end = append(plans, count, distance, plan, end);
  plan->ready = 1;
}

const cql__plan *cql__plans_get(cql__plans *plans, uint32_t range) {
  if (plans->range_count == 1) range = 0;
  if (range >= plans->range_count) return NULL;
  uint8_t **page = &plans->pages[range >> plans->page_bits];
  if (!*page) {
    *page = cql__zalloc((size_t)plans->plan_size << plans->page_bits);
    if (!*page) return NULL;
  }
  uint32_t place = range & (((uint32_t)1 << plans->page_bits) - 1);
  cql__plan *plan = (cql__plan *)(void *)(*page + (size_t)place * plans->plan_size);
  if (!plan->ready) make(plans, range, plan);
  return plan;
}
