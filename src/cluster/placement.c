#include "cluster/placement.h"

#include "base/mem.h"

#define NOWHERE UINT32_MAX

static int by_datacenter(const cql__replication *replication) {
  return replication->strategy == CQL__NETWORK_TOPOLOGY;
}

/* NetworkTopology has a quota for each datacenter, the others one for all nodes together, in which
 * each node is a rack of its own. */
static uint32_t quota_count(const cql__places *places, const cql__replication *replication) {
  return by_datacenter(replication) ? places->datacenter_count : 1;
}

/* ---- the nodes ---- */

/* Only nodes with a token count. Each is in its quota's `replicas` until that is settled. */
static void take_nodes(cql__placement *placement, const cql__ring *ring, const cql__places *places,
                       const cql__replication *replication) {
  for (uint32_t i = 0; i < places->count; i++) {
    uint32_t quota = by_datacenter(replication) ? places->nodes[i].datacenter : 0;
    int counts =
        i < ring->node_count && ring->owns[i] && (quota == 0 || quota < places->datacenter_count);
    placement->sites[i] = (cql__site){.quota = counts ? quota : NOWHERE, .rack = i};
    if (counts) placement->quotas[quota].replicas++;
  }
}

static uint32_t table_bits(uint32_t count) {
  uint32_t bits = 1;
  while ((uint32_t)1 << bits < 2 * count) bits++;
  return bits;
}

/* Finds the first node of each one's rack. Racks are in their quota's `repeats` until that is
 * settled. `table`: zeroes, 1 << bits. */
static void find_racks(cql__placement *placement, const cql__places *places, uint32_t *table,
                       uint32_t bits) {
  const uint32_t mask = ((uint32_t)1 << bits) - 1;
  for (uint32_t i = 0; i < places->count; i++) {
    cql__site *site = &placement->sites[i];
    if (site->quota == NOWHERE) continue;
    uint32_t rack = places->nodes[i].rack;
    uint32_t at = ((site->quota * 31 + rack) * 2654435769u) >> (32 - bits);
    for (; table[at]; at = (at + 1) & mask) {
      uint32_t first = table[at] - 1;
      if (places->nodes[first].rack != rack || placement->sites[first].quota != site->quota)
        continue;
      site->rack = first;
      break;
    }
    if (table[at]) continue;
    table[at] = i + 1;
    placement->quotas[site->quota].repeats++;
  }
}

/* ---- the quotas ---- */

/* Servers count so: a datacenter with too few nodes lacks replicas of those that don't keep all
 * data first. */
static void settle(cql__quota *quota, const cql__factor *factor) {
  uint32_t nodes = quota->replicas, racks = quota->repeats;
  uint32_t replicas = factor->replicas < nodes ? factor->replicas : nodes;
  uint32_t lacking = factor->replicas - replicas;
  uint32_t transient = factor->transient > lacking ? factor->transient - lacking : 0;
  quota->replicas = replicas;
  quota->full = replicas - transient;
  quota->repeats = factor->replicas > racks ? factor->replicas - racks : 0;
}

static void settle_all(cql__placement *placement, const cql__places *places,
                       const cql__replication *replication) {
  cql__quota *quotas = placement->quotas;
  static const cql__factor none = {{NULL, 0}, 0, 0};
  if (by_datacenter(replication)) {
    for (uint32_t i = 0; i < places->datacenter_count; i++) {
      const cql__factor *factor = cql__replication_factor(replication, places->datacenters[i]);
      settle(&quotas[i], factor ? factor : &none);
      placement->full += quotas[i].full;
    }
    return;
  }
  cql__factor all = {{NULL, 0}, quotas->replicas, 0};
  settle(quotas, replication->strategy == CQL__SIMPLE ? replication->factors : &all);
  placement->full = quotas->full;
}

int cql__placement_init(cql__placement *placement, const cql__ring *ring, const cql__places *places,
                        const cql__replication *replication) {
  *placement = (cql__placement){.node_count = places->count};
  if (replication->strategy == CQL__STRATEGY_UNKNOWN || replication->strategy == CQL__LOCAL_ONLY ||
      places->count > CQL__PLACES_MAX)
    return CQL_EUNSUPPORTED;
  placement->quotas = cql__zalloc(quota_count(places, replication) * sizeof *placement->quotas);
  placement->sites = cql__malloc(places->count * sizeof *placement->sites);
  uint32_t bits = table_bits(places->count);
  uint32_t *table = cql__zalloc(sizeof *table << bits);
  int result = placement->quotas && placement->sites && table ? 0 : CQL_ENOMEM;
  if (result == 0) {
    take_nodes(placement, ring, places, replication);
    if (by_datacenter(replication)) find_racks(placement, places, table, bits);
    settle_all(placement, places, replication);
  } else {
    cql__placement_deinit(placement);
  }
  cql__free(table);
  return result;
}

void cql__placement_deinit(cql__placement *placement) {
  cql__free(placement->quotas);
  cql__free(placement->sites);
  placement->quotas = NULL;
  placement->sites = NULL;
}

/* ---- the walk ---- */

/* Takes the node if its datacenter may have it. Does it keep all data? */
static int take(cql__placement *placement, cql__site *site) {
  uint32_t walk = placement->walk;
  cql__quota *quota = &placement->quotas[site->quota];
  if (quota->walk != walk) {
    quota->walk = walk;
    quota->replicas_left = quota->replicas;
    quota->full_left = quota->full;
    quota->repeats_left = quota->repeats;
  }
  if (!quota->replicas_left || site->walk == walk) return 0;
  cql__site *rack = &placement->sites[site->rack];
  if (rack->rack_walk == walk) {
    if (!quota->repeats_left) return 0;
    quota->repeats_left--;
  }
  rack->rack_walk = site->walk = walk;
  quota->replicas_left--;
  if (!quota->full_left) return 0;
  quota->full_left--;
  return 1;
}

uint32_t cql__placement_walk(cql__placement *placement, const cql__ring *ring, uint32_t range,
                             uint16_t *nodes) {
  uint32_t count = 0, at = range;
  placement->walk++;
  for (uint32_t i = 0; i < ring->count && count < placement->full; i++) {
    uint32_t node = ring->owners[at];
    if (++at == ring->count) at = 0;
    if (node >= placement->node_count) continue;
    cql__site *site = &placement->sites[node];
    if (site->quota != NOWHERE && take(placement, site)) nodes[count++] = (uint16_t)node;
  }
  return count;
}
