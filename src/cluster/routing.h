/* Routing: which nodes have the rows of a token, by keyspace. The ring and its nodes are swapped as
 * a whole when the topology was read; plans are made anew, as they are asked for, whenever tokens,
 * places, distances or a replication have changed. */
#ifndef CQL_CLUSTER_ROUTING_H
#define CQL_CLUSTER_ROUTING_H

#include "base/names.h"
#include "cluster/plan.h"

/* Keyspaces of equal replication have equal plans. */
typedef struct cql__scheme {
  cql__replication *replication;
  cql__plans *plans; /* of `version`; NULL: there was no memory, or none were asked for */
  uint32_t version;
  uint32_t users; /* keyspaces */
} cql__scheme;

/* One that was heard of. It stays where it is until the session's end. */
typedef struct cql__keyspace {
  const cql__name *name;
  cql__scheme *scheme; /* NULL: no reading told of it, or nobody knows its replicas */
  uint32_t tablets;    /* which reading told last that its tables have some; 0: none */
  uint32_t seen;
} cql__keyspace;

typedef struct cql__routing {
  cql__ring *ring;    /* NULL: none has been read */
  cql_node_t **nodes; /* by their number in the ring; referenced */
  uint32_t node_count;
  uint32_t version; /* counts what makes plans void */
  cql__names keyspace_names;
  cql__keyspace **keyspaces; /* by the number of their names */
  uint32_t keyspace_count;
  cql__scheme **schemes;
  uint32_t scheme_count;
  uint32_t reading; /* of keyspaces: counts them */
} cql__routing;

void cql__routing_deinit(cql__routing *routing);
/* Takes the reference to `ring` and to each of `nodes`, and the array: no longer the caller's. */
void cql__routing_set_ring(cql__routing *routing, cql__ring *ring, cql_node_t **nodes,
                           uint32_t count);
/* A node's place or distance has changed. */
static inline void cql__routing_changed(cql__routing *routing) { routing->version++; }

/* The keyspace of that name, as if it were known; NULL: no memory. */
cql__keyspace *cql__routing_keyspace(cql__routing *routing, cql_slice_t name);
/* A reading of all keyspaces begins; those that it doesn't tell of have no replicas known. */
void cql__routing_begin(cql__routing *routing);
void cql__routing_end(cql__routing *routing);
/* The reading tells of one: `replication` is its map. CQL_ENOMEM. */
int cql__routing_tell(cql__routing *routing, cql_slice_t name, cql_slice_t replication);

/* The replicas of a token, by their numbers in routing->nodes; NULL: not known. Until the next call
 * or change. */
const cql__plan *cql__routing_plan(cql__routing *routing, const cql__keyspace *keyspace,
                                   const cql__token *token);

#endif
