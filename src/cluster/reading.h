/* Reading: what a node tells of the cluster over the control connection, one question after another
 * until all that is wanted is known.
 *
 *   REGISTER -> [routes] -> local -> peers_v2 (else peers) -> sorting -> [in force]
 *           -> keyspaces -> [tablets] -> quiet
 *
 * What is wanted again begins at the routes, or at the keyspaces. */
#ifndef CQL_CLUSTER_READING_H
#define CQL_CLUSTER_READING_H

#include "cluster/topology.h"

typedef struct cql__reading_events {
  /* Something that people should know of this node. */
  void (*warned)(void *owner, const char *text);
  /* A node is new, or not what it was; of the cluster's user. */
  void (*appeared)(void *user, cql_node_t *node);
  /* The nodes are known; this one tells. */
  void (*nodes)(void *owner, cql_node_t *own);
  /* All is known; also the nodes, if they were wanted. */
  void (*done)(void *owner, int with_topology);
  /* It has stopped. `blind`: the node can't tell who is in the cluster. `why`: static. */
  void (*failed)(void *owner, const char *why, int blind);
} cql__reading_events;

/* To be read again. */
enum { CQL__WANTS_TOPOLOGY = 1, CQL__WANTS_KEYSPACES = 2, CQL__WANTS_ROUTES = 4 };

typedef struct cql__reading {
  /* set once */
  cql__cluster *cluster;
  cql__connection *connection;
  const cql__reading_events *events;
  void *owner;
  uint32_t query_timeout_ms;
  /* changes */
  cql__timer deadline, slice;
  cql__draft draft;
  cql__block *paging; /* of the query under way; NULL: its first page */
  size_t paging_size;
  cql__cursor rows; /* that are left of a page, in its owner */
  int32_t rows_left;
  cql__block *rows_owner;
  uint32_t pages;                /* of this step so far */
  uint32_t bad_rows, bad_tokens; /* as they were told of last */
  uint32_t bad_routes;           /* likewise */
  uint8_t step;
  uint8_t wants;           /* CQL__WANTS_* */
  uint8_t reads_topology;  /* now */
  uint8_t has_topology;    /* of this node or an earlier one */
  uint8_t has_read;        /* everything, since it was started */
  uint8_t no_route_events; /* its node refuses to tell of them */
  uint8_t no_routes_told;
  uint8_t unknown_partitioner;
} cql__reading;

void cql__reading_init(cql__reading *reading, cql__cluster *cluster, cql__connection *connection,
                       const cql__reading_events *events, void *owner);
/* The connection serves: everything is read. */
void cql__reading_start(cql__reading *reading);
/* What was read and isn't in force is forgotten. */
void cql__reading_stop(cql__reading *reading);
/* What the connection says to its questions. */
void cql__reading_answered(cql__reading *reading, const cql__envelope *envelope);
void cql__reading_oversized(cql__reading *reading);
/* Reads what is wanted, if nothing is read now: else that is seen to by whoever hears `done`. */
void cql__reading_go_on(cql__reading *reading);
int cql__reading_is_quiet(const cql__reading *reading);
/* The nodes are known, and where their data is will be in a moment, for the first time on this
 * connection. */
int cql__reading_is_first(const cql__reading *reading);
/* Client routes are asked for, of a ScyllaDB. */
int cql__reading_has_routes(const cql__reading *reading);

#endif
