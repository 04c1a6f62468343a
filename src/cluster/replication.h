/* Replication: on how many nodes, and on which, a keyspace has the rows of a range. */
#ifndef CQL_CLUSTER_REPLICATION_H
#define CQL_CLUSTER_REPLICATION_H

#include "cluster/ring.h"

typedef enum cql__strategy {
  CQL__STRATEGY_UNKNOWN, /* of a class or with options that nobody here understands */
  CQL__SIMPLE,
  CQL__NETWORK_TOPOLOGY,
  CQL__LOCAL_ONLY, /* LocalStrategy: each node has its own rows */
  CQL__EVERYWHERE
} cql__strategy;

/* "3/1": three replicas, of which the last doesn't keep all data. */
typedef struct cql__factor {
  cql_slice_t datacenter; /* NetworkTopology: or "replication_factor", for those not named */
  uint32_t replicas, transient;
} cql__factor;

/* Doesn't change once it is read; counted. Keyspaces whose replications are equal have their rows
 * on equal nodes. */
typedef struct cql__replication {
  uint32_t refs;
  uint32_t hash; /* equal ones have equal ones */
  cql__strategy strategy;
  uint32_t count; /* Simple: 1; NetworkTopology: sorted by datacenter; else 0 */
  cql__factor factors[];
} cql__replication;

/* Of a map<text, text> as system_schema.keyspaces has it in its column `replication`. What can't
 * be understood, garbage too, is CQL__STRATEGY_UNKNOWN. NULL: no memory. */
cql__replication *cql__replication_read(const uint8_t *map, size_t size);
static inline cql__replication *cql__replication_ref(cql__replication *replication) {
  replication->refs++;
  return replication;
}
void cql__replication_unref(cql__replication *replication);
/* What a datacenter is to have of NetworkTopology; NULL: nothing. */
const cql__factor *cql__replication_factor(const cql__replication *replication,
                                           cql_slice_t datacenter);
int cql__replication_equal(const cql__replication *a, const cql__replication *b);

#endif
