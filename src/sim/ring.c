#include "sim/ring.h"

#include <stdlib.h>

#include "cluster/partitioner.h"
#include "sim/world.h"

/* ---- the ring ---- */

static int by_token(const void *a, const void *b) {
  const cql__sim_point *x = a, *y = b;
  if (x->token != y->token) return x->token < y->token ? -1 : 1;
  return x->node->index - y->node->index;
}

static void make_ring(cql_sim_t *sim) {
  cql__sim_ring *ring = &sim->ring;
  if (!ring->stale) return;
  ring->stale = 0;
  size_t count = 0;
  for (size_t i = 0; i < sim->node_count; i++)
    if (sim->nodes[i]->member) count += sim->nodes[i]->token_count;
  ring->points = cql__sim_realloc(ring->points, count * sizeof *ring->points);
  ring->count = 0;
  for (size_t i = 0; i < sim->node_count; i++) {
    cql__sim_node *node = sim->nodes[i];
    for (uint32_t k = 0; node->member && k < node->token_count; k++)
      ring->points[ring->count++] = (cql__sim_point){node->tokens[k], node};
  }
  if (count) qsort(ring->points, count, sizeof *ring->points, by_token);
}

int cql__sim_ring_point(cql_sim_t *sim, size_t index, int64_t *token) {
  make_ring(sim);
  if (index >= sim->ring.count) return 0;
  *token = sim->ring.points[index].token;
  return 1;
}

static void free_tablets(cql__sim_tablets *tablets) {
  cql__sim_release(tablets->keyspace);
  cql__sim_release(tablets->table);
  cql__sim_release(tablets->list);
}

void cql__sim_ring_free(cql__sim_ring *ring) {
  for (size_t i = 0; i < ring->table_count; i++) free_tablets(&ring->tables[i]);
  cql__sim_release(ring->tables);
  cql__sim_release(ring->points);
}

/* The first point whose token isn't below; past the last comes the first. */
static size_t point_of(const cql__sim_ring *ring, int64_t token) {
  size_t low = 0, high = ring->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (ring->points[middle].token < token)
      low = middle + 1;
    else
      high = middle;
  }
  return low == ring->count ? 0 : low;
}

/* ---- placement ---- */

typedef struct placement {
  cql_sim_t *sim;
  int64_t token;
  cql__sim_replica *out;
  int count;
} placement;

static int has(const placement *p, int32_t node) {
  for (int i = 0; i < p->count; i++)
    if (p->out[i].node == node) return 1;
  return 0;
}

static void add(placement *p, const cql__sim_node *node) {
  if (p->count == CQL__SIM_REPLICAS_MAX) return;
  p->out[p->count++] = (cql__sim_replica){node->index, (int32_t)cql__sim_shard_of(node, p->token)};
}

/* The next nodes on the ring, whoever they are. */
static void place_simple(placement *p, int factor) {
  const cql__sim_ring *ring = &p->sim->ring;
  size_t at = point_of(ring, p->token);
  for (size_t i = 0; i < ring->count && p->count < factor; i++) {
    const cql__sim_node *node = ring->points[(at + i) % ring->count].node;
    if (!has(p, node->index)) add(p, node);
  }
}

/* What one datacenter still wants while the ring is walked. */
typedef struct quota {
  cql_slice_t name;
  int wanted;  /* replicas that are still missing */
  int repeats; /* nodes of a rack that has one already that may be taken */
  const char *racks[CQL__SIM_REPLICAS_MAX];
  int rack_count;
} quota;

static int rack_is_new(const quota *q, const char *rack) {
  for (int i = 0; i < q->rack_count; i++)
    if (strcmp(q->racks[i], rack) == 0) return 0;
  return 1;
}

static void begin_quota(const cql_sim_t *sim, quota *q, cql_slice_t name, int factor) {
  *q = (quota){.name = name};
  int nodes = 0;
  for (size_t i = 0; i < sim->node_count; i++) {
    const cql__sim_node *node = sim->nodes[i];
    if (!node->member || !cql__slice_is(name, node->datacenter)) continue;
    nodes++;
    if (rack_is_new(q, node->rack) && q->rack_count < CQL__SIM_REPLICAS_MAX)
      q->racks[q->rack_count++] = node->rack;
  }
  q->wanted = factor < nodes ? factor : nodes;
  q->repeats = factor > q->rack_count ? factor - q->rack_count : 0;
  q->rack_count = 0;
}

static void offer(placement *p, quota *q, const cql__sim_node *node) {
  if (q->wanted <= 0 || has(p, node->index) || !cql__slice_is(q->name, node->datacenter)) return;
  if (rack_is_new(q, node->rack)) {
    if (q->rack_count < CQL__SIM_REPLICAS_MAX) q->racks[q->rack_count++] = node->rack;
  } else if (q->repeats-- <= 0) {
    q->repeats = 0;
    return;
  }
  q->wanted--;
  add(p, node);
}

enum { DATACENTERS_MAX = 16 };

static int is_named(const quota *quotas, uint32_t count, const char *datacenter) {
  for (uint32_t i = 0; i < count; i++)
    if (cql__slice_is(quotas[i].name, datacenter)) return 1;
  return 0;
}

/* What a keyspace wants of each datacenter; replication_factor: of those that it doesn't name. */
static uint32_t begin_quotas(const cql_sim_t *sim, const cql__sim_replication *replication,
                             quota *quotas) {
  int rest = 0;
  uint32_t count = 0;
  for (uint32_t i = 0; i < replication->count && count < DATACENTERS_MAX; i++) {
    if (cql__slice_is(replication->names[i], "replication_factor"))
      rest = replication->factors[i];
    else
      begin_quota(sim, &quotas[count++], replication->names[i], replication->factors[i]);
  }
  for (size_t i = 0; i < sim->node_count && rest && count < DATACENTERS_MAX; i++) {
    const char *datacenter = sim->nodes[i]->datacenter;
    if (!is_named(quotas, count, datacenter))
      begin_quota(sim, &quotas[count++], cql__sim_slice_of(datacenter), rest);
  }
  return count;
}

/* Racks first: a rack that has a replica already gives another only if there are too few racks. */
static void place_network(placement *p, const cql__sim_replication *replication) {
  const cql__sim_ring *ring = &p->sim->ring;
  size_t at = point_of(ring, p->token);
  quota quotas[DATACENTERS_MAX];
  uint32_t count = begin_quotas(p->sim, replication, quotas);
  for (size_t i = 0; i < ring->count; i++)
    for (uint32_t k = 0; k < count; k++)
      offer(p, &quotas[k], ring->points[(at + i) % ring->count].node);
}

static int is_strategy(cql_slice_t strategy, const char *name) {
  size_t length = strlen(name);
  return strategy.length >= 0 && (size_t)strategy.length >= length &&
         memcmp(strategy.data + (size_t)strategy.length - length, name, length) == 0;
}

static void place(placement *p, const cql__sim_replication *replication) {
  make_ring(p->sim);
  if (is_strategy(replication->strategy, "NetworkTopologyStrategy"))
    place_network(p, replication);
  else if (is_strategy(replication->strategy, "SimpleStrategy") && replication->count)
    place_simple(p, replication->factors[0]);
  else
    place_simple(p, 1);
}

/* ---- tablets ---- */

static cql__sim_tablets *find_tablets(cql__sim_ring *ring, cql_slice_t keyspace,
                                      cql_slice_t table) {
  for (size_t i = 0; i < ring->table_count; i++)
    if (cql__slice_is(keyspace, ring->tables[i].keyspace) &&
        cql__slice_is(table, ring->tables[i].table))
      return &ring->tables[i];
  return NULL;
}

/* Each tablet begins where the ring would have its rows; its shard is any. */
static cql__sim_tablets *make_tablets(cql_sim_t *sim, cql_slice_t keyspace, cql_slice_t table,
                                      const cql__sim_replication *replication) {
  cql__sim_ring *ring = &sim->ring;
  uint32_t count = 1;
  while (count < (uint32_t)replication->tablets && count < 65536) count *= 2;
  ring->tables =
      cql__sim_grow(ring->tables, ring->table_count, &ring->table_capacity, sizeof *ring->tables);
  cql__sim_tablets *tablets = &ring->tables[ring->table_count++];
  *tablets = (cql__sim_tablets){cql__sim_text(keyspace.data, (size_t)keyspace.length),
                                cql__sim_text(table.data, (size_t)table.length),
                                cql__sim_alloc(count * sizeof *tablets->list), count};
  uint64_t width = count > 1 ? UINT64_MAX / count + 1 : 0;
  for (uint32_t i = 0; i < count; i++) {
    cql__sim_tablet *tablet = &tablets->list[i];
    cql__sim_replica replicas[CQL__SIM_REPLICAS_MAX];
    uint64_t end = i + 1 < count ? (i + 1) * width - 1 : UINT64_MAX;
    tablet->last = (int64_t)(end - ((uint64_t)1 << 63));
    placement p = {sim, tablet->last, replicas, 0};
    place(&p, replication);
    for (int k = 0; k < p.count && tablet->count < 8; k++) {
      const cql__sim_node *node = sim->nodes[replicas[k].node];
      tablet->replicas[tablet->count].node = node->index;
      tablet->replicas[tablet->count++].shard =
          (int32_t)cql__rand_below(&sim->nodes_random, cql__sim_shard_count(node));
    }
  }
  return tablets;
}

static cql__sim_tablet *tablet_of(const cql__sim_tablets *tablets, int64_t token, int64_t *first) {
  uint32_t low = 0, high = tablets->count - 1;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (tablets->list[middle].last < token)
      low = middle + 1;
    else
      high = middle;
  }
  *first = low ? tablets->list[low - 1].last : INT64_MIN;
  return &tablets->list[low];
}

static int tablet_has(const cql__sim_tablet *tablet, int32_t node) {
  for (uint32_t i = 0; i < tablet->count; i++)
    if (tablet->replicas[i].node == node) return 1;
  return 0;
}

/* The first member that has none of the tablet's replicas takes this one; else it is one less. */
static void replace_replica(cql_sim_t *sim, cql__sim_tablet *tablet, uint32_t at) {
  for (size_t i = 0; i < sim->node_count; i++) {
    const cql__sim_node *node = sim->nodes[i];
    if (!node->member || tablet_has(tablet, node->index)) continue;
    tablet->replicas[at].node = node->index;
    tablet->replicas[at].shard =
        (int32_t)cql__rand_below(&sim->nodes_random, cql__sim_shard_count(node));
    return;
  }
  tablet->replicas[at] = tablet->replicas[--tablet->count];
}

void cql__sim_tablets_leave(cql_sim_t *sim, int32_t node) {
  for (size_t t = 0; t < sim->ring.table_count; t++) {
    cql__sim_tablets *tablets = &sim->ring.tables[t];
    for (uint32_t k = 0; k < tablets->count; k++)
      for (uint32_t i = tablets->list[k].count; i-- > 0;)
        if (tablets->list[k].replicas[i].node == node) replace_replica(sim, &tablets->list[k], i);
  }
}

void cql__sim_tablets_fit(cql_sim_t *sim, const cql__sim_node *node) {
  uint32_t shards = cql__sim_shard_count(node);
  for (size_t t = 0; t < sim->ring.table_count; t++)
    for (uint32_t k = 0; k < sim->ring.tables[t].count; k++) {
      cql__sim_tablet *tablet = &sim->ring.tables[t].list[k];
      for (uint32_t i = 0; i < tablet->count; i++)
        if (tablet->replicas[i].node == node->index &&
            (uint32_t)tablet->replicas[i].shard >= shards)
          tablet->replicas[i].shard = (int32_t)cql__rand_below(&sim->nodes_random, shards);
    }
}

void cql__sim_tablets_drop(cql_sim_t *sim, cql_slice_t keyspace, cql_slice_t table) {
  cql__sim_ring *ring = &sim->ring;
  for (size_t i = ring->table_count; i-- > 0;) {
    cql__sim_tablets *tablets = &ring->tables[i];
    if (!cql__slice_is(keyspace, tablets->keyspace) ||
        (table.length >= 0 && !cql__slice_is(table, tablets->table)))
      continue;
    free_tablets(tablets);
    *tablets = ring->tables[--ring->table_count];
  }
}

/* ---- both ---- */

int cql__sim_replicas_of(cql_sim_t *sim, cql_slice_t keyspace, cql_slice_t table, int64_t token,
                         cql__sim_replica out[CQL__SIM_REPLICAS_MAX],
                         const cql__sim_tablet **tablet, int64_t *first) {
  cql__sim_replication replication;
  if (tablet) *tablet = NULL;
  if (!cql__store_replication(cql__sim_store(sim), keyspace, &replication)) return CQL_EINVAL;
  if (is_strategy(replication.strategy, "LocalStrategy")) return CQL_EUNSUPPORTED;
  if (replication.tablets && table.length >= 0 &&
      cql__store_has_table(cql__sim_store(sim), keyspace, table)) {
    int64_t begins;
    const cql__sim_tablets *tablets = find_tablets(&sim->ring, keyspace, table);
    if (!tablets) tablets = make_tablets(sim, keyspace, table, &replication);
    const cql__sim_tablet *found = tablet_of(tablets, token, &begins);
    if (tablet) *tablet = found;
    if (first) *first = begins;
    for (uint32_t i = 0; i < found->count; i++)
      out[i] = (cql__sim_replica){found->replicas[i].node, found->replicas[i].shard};
    return (int)found->count;
  }
  placement p = {sim, token, out, 0};
  place(&p, &replication);
  return p.count;
}

int cql__sim_required(int consistency, int factor) {
  switch (consistency) {
    case CQL_ANY:
    case CQL_ONE:
    case CQL_LOCAL_ONE: return 1;
    case CQL_TWO: return 2;
    case CQL_THREE: return 3;
    case CQL_ALL: return factor;
    default: return factor / 2 + 1;
  }
}

int64_t cql_sim_token(const uint8_t *key, size_t size) { return cql__token_of(key, size); }

int cql_sim_replicas(cql_sim_t *sim, const char *keyspace, const char *table, int64_t token,
                     int32_t *out, int max) {
  cql__sim_replica replicas[CQL__SIM_REPLICAS_MAX];
  int count = cql__sim_replicas_of(sim, cql__sim_slice_of(keyspace), cql__sim_slice_of(table),
                                   token, replicas, NULL, NULL);
  if (count < 0)
    return cql__sim_mistake(sim, count, "%s has no replicas, or isn't there", keyspace);
  for (int i = 0; i < count && i < max; i++) {
    out[2 * i] = replicas[i].node;
    out[2 * i + 1] = replicas[i].shard;
  }
  return count < max ? count : max;
}

int cql_sim_tablet_move(cql_sim_t *sim, const char *keyspace, const char *table, int64_t token,
                        const char *replicas) {
  cql__sim_replica found[CQL__SIM_REPLICAS_MAX];
  const cql__sim_tablet *old;
  cql_slice_t names[2] = {cql__sim_slice_of(keyspace), cql__sim_slice_of(table)};
  int64_t first;
  if (cql__sim_replicas_of(sim, names[0], names[1], token, found, &old, &first) < 0 || !old)
    return cql__sim_mistake(sim, CQL_EINVAL, "%s.%s has no tablets", keyspace, table);
  cql__sim_tablet moved = {.last = old->last};
  for (const char *at = replicas + strspn(replicas, " "); *at && moved.count < 8;) {
    char *end;
    long node = strtol(at, &end, 10), shard = *end == ':' ? strtol(end + 1, &end, 10) : -1;
    if (shard < 0 || node < 0 || (size_t)node >= sim->node_count || (*end && *end != ' '))
      return cql__sim_mistake(sim, CQL_EVALUE, "\"%s\" is not \"node:shard node:shard\"", replicas);
    if (!sim->nodes[node]->member || (uint32_t)shard >= cql__sim_shard_count(sim->nodes[node]))
      return cql__sim_mistake(sim, CQL_EVALUE, "node %ld with shard %ld is not in the ring", node,
                              shard);
    if (tablet_has(&moved, (int32_t)node))
      return cql__sim_mistake(sim, CQL_EVALUE, "node %ld can't have a tablet twice", node);
    moved.replicas[moved.count].node = (int32_t)node;
    moved.replicas[moved.count++].shard = (int32_t)shard;
    at = end + strspn(end, " ");
  }
  *tablet_of(find_tablets(&sim->ring, names[0], names[1]), token, &first) = moved;
  return 0;
}
