/* Tablets: where ranges of tokens of ScyllaDB's tables live, as its nodes tell it beside answers
 * [scylladb docs/dev/protocol-extensions.md, tablets-routing-v1]. What is not told isn't known: a
 * request for such a token goes to any node, whose answer then tells. */
#ifndef CQL_CLUSTER_TABLETS_H
#define CQL_CLUSTER_TABLETS_H

#include "cluster/plan.h"
#include "wire/cursor.h"

/* ---- the payload ---- */

/* One tablet as it came: the tokens past `first` up to `last`, and its replicas in their order. */
typedef struct cql__tablet {
  int64_t first, last;
  uint32_t count;
  const uint8_t *replicas; /* as on the wire */
} cql__tablet;

/* Of the payload of an answer: 1 and *out, borrowed from it; 0: it has none; CQL_EMALFORMED. */
int cql__tablet_find(cql_slice_t payload, cql__tablet *out);
/* Of the value alone. 0, CQL_EMALFORMED. */
int cql__tablet_decode(cql_slice_t value, cql__tablet *out);
enum { CQL__TABLET_REPLICA_SIZE = 32 }; /* [28] [16] host id [4] shard */
static inline const uint8_t *cql__tablet_host(const cql__tablet *tablet, uint32_t replica) {
  return tablet->replicas + (size_t)replica * CQL__TABLET_REPLICA_SIZE + 8;
}
static inline uint16_t cql__tablet_shard(const cql__tablet *tablet, uint32_t replica) {
  const uint8_t *p = tablet->replicas + (size_t)replica * CQL__TABLET_REPLICA_SIZE;
  return (uint16_t)cql__get_u32(p + 28);
}

/* ---- the store ---- */

typedef struct cql__tablet_replica {
  uint16_t host; /* its place among the owners: see cql__tablets_node() */
  uint16_t shard;
} cql__tablet_replica;

typedef struct cql__tablet_range {
  int64_t first, last;
  uint32_t at, count; /* in the table's replicas */
} cql__tablet_range;

/* The tablets of one table that are known, in the order of their tokens; none overlaps. */
typedef struct cql__tablet_table {
  cql_slice_t keyspace, name;
  cql__tablet_range *ranges;
  uint32_t count, capacity;
  cql__tablet_replica *replicas; /* of all ranges, and of some that have gone */
  uint32_t replicas_used, replicas_capacity, replicas_live;
} cql__tablet_table;

typedef struct cql__tablet_owner {
  uint8_t id[16];
  uint32_t uses; /* replicas that it has; 0: the place is free */
  uint16_t node; /* CQL__NO_NODE: not known yet */
} cql__tablet_owner;

/* The number of the node of that id, CQL__NO_NODE: there is none. */
typedef uint16_t (*cql__tablets_resolve)(void *user, const uint8_t host_id[16]);

typedef struct cql__tablets {
  cql__tablets_resolve resolve;
  void *user;
  cql__tablet_table **tables; /* by keyspace, then by name */
  uint32_t table_count, table_capacity;
  cql_slice_t *keyspaces; /* whose tables have tablets */
  uint32_t keyspace_count, keyspace_capacity;
  cql__tablet_owner *owners;
  uint32_t owner_count, owner_capacity;
  uint32_t count; /* tablets of all tables */
  /* Counts what makes cql__tablets_table() give something else: whoever keeps a table asks again
   * when this has changed. */
  uint32_t epoch;
  cql__tablet_table none; /* of keyspaces with tablets: those of which none is known */
} cql__tablets;

void cql__tablets_init(cql__tablets *tablets, cql__tablets_resolve resolve, void *user);
void cql__tablets_deinit(cql__tablets *tablets);

/* Has that keyspace tablets? Where it has none (any more) all that is known of it goes. CQL_ENOMEM.
 */
int cql__tablets_keyspace(cql__tablets *tablets, cql_slice_t keyspace, int has_tablets);
/* A table or view was changed or dropped, or a keyspace (`table`: CQL_NULL): what is known goes. */
void cql__tablets_forget(cql__tablets *tablets, cql_slice_t keyspace, cql_slice_t table);
/* All of it goes, but for which keyspaces have tablets. */
void cql__tablets_clear(cql__tablets *tablets);
/* The nodes' numbers have changed, or nodes have come or gone: all are asked for again, and tablets
 * of which a replica is on no known node go. */
void cql__tablets_renumber(cql__tablets *tablets);
/* A tablet was told: it takes the place of all that overlap with it. 1: something is new; 0: it was
 * known; CQL_ENOMEM, CQL_ETOOBIG: nothing has changed. */
int cql__tablets_learn(cql__tablets *tablets, cql_slice_t keyspace, cql_slice_t table,
                       const cql__tablet *tablet);

/* The table's, until the epoch changes; NULL: it has no tablets, its rows are placed by the ring.
 */
cql__tablet_table *cql__tablets_table(cql__tablets *tablets, cql_slice_t keyspace,
                                      cql_slice_t table);
/* The tablet of a token; NULL: it isn't known. Until anything else is asked of the store. */
const cql__tablet_range *cql__tablet_table_find(const cql__tablet_table *table, int64_t token);
static inline const cql__tablet_replica *cql__tablet_replicas(const cql__tablet_table *table,
                                                              const cql__tablet_range *range) {
  return table->replicas + range->at;
}
/* A node's number, or CQL__NO_NODE. */
static inline uint16_t cql__tablets_node(const cql__tablets *tablets, uint16_t host) {
  return tablets->owners[host].node;
}

#endif
