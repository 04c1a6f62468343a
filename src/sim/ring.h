/* Ring: which nodes have a token's rows. */
#ifndef CQL_SIM_RING_H
#define CQL_SIM_RING_H

#include "cql_sim.h"
#include "sim/store.h"

enum { CQL__SIM_REPLICAS_MAX = 64 };

struct cql__sim_node;

typedef struct cql__sim_point {
  int64_t token;
  struct cql__sim_node *node;
} cql__sim_point;

/* (before the next one's first, last] */
typedef struct cql__sim_tablet {
  int64_t last;
  uint32_t count;
  struct {
    int32_t node, shard;
  } replicas[8];
} cql__sim_tablet;

typedef struct cql__sim_tablets {
  char *keyspace, *table;
  cql__sim_tablet *list;
  uint32_t count;
} cql__sim_tablets;

typedef struct cql__sim_ring {
  cql__sim_point *points; /* by token */
  size_t count;
  int stale; /* to be made anew before it is used */
  cql__sim_tablets *tables;
  size_t table_count, table_capacity;
} cql__sim_ring;

typedef struct cql__sim_replica {
  int32_t node, shard;
} cql__sim_replica;

/* Members or tokens have changed. */
static inline void cql__sim_ring_change(cql__sim_ring *ring) { ring->stale = 1; }
void cql__sim_ring_free(cql__sim_ring *ring);
/* The replicas of a token, in their order; `tablet` (may be NULL) gets the tablet and where it
 * begins if the keyspace has them. How many; CQL_EINVAL: no such keyspace; CQL_EUNSUPPORTED: each
 * node has rows of its own. */
int cql__sim_replicas_of(cql_sim_t *sim, cql_slice_t keyspace, cql_slice_t table, int64_t token,
                         cql__sim_replica out[CQL__SIM_REPLICAS_MAX],
                         const cql__sim_tablet **tablet, int64_t *first);
/* Where ranges begin and end: point `index`; 0: there are no more. */
int cql__sim_ring_point(cql_sim_t *sim, size_t index, int64_t *token);
/* How many replicas must answer; *local: those of that datacenter alone count. `factor` is what the
 * replication has of them. */
int cql__sim_required(int consistency, int factor);
/* A node is gone: others have its replicas. */
void cql__sim_tablets_leave(cql_sim_t *sim, int32_t node);
/* A node has fewer shards than before: tablets on those that are gone move to others of it. */
void cql__sim_tablets_fit(cql_sim_t *sim, const struct cql__sim_node *node);
/* A table or keyspace is gone: so are its tablets. */
void cql__sim_tablets_drop(cql_sim_t *sim, cql_slice_t keyspace, cql_slice_t table);

#endif
