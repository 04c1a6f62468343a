/* Cluster: the nodes that the contact points name, and the connections to each, which are reopened
 * for ever. It chooses the connection that a request goes to. */
#ifndef CQL_CLUSTER_CLUSTER_H
#define CQL_CLUSTER_CLUSTER_H

#include "connection/connection.h"

typedef struct cql__cluster cql__cluster;
typedef struct cql__node cql__node;

/* One place for a connection; it is reopened in place. */
typedef struct cql__channel {
  cql__connection connection;
  cql__node *node;
  cql__timer retry;
  uint32_t failures;   /* in a row */
  int last_error;      /* of the last failed opening; 0: none yet, or it served since */
  uint32_t serving_at; /* its index in cluster->serving; UINT32_MAX: not there */
  uint8_t retired;     /* replaced: ends with its last request */
  uint8_t handshake;   /* counted in cluster->handshakes */
  struct cql__channel *next_retired;
} cql__channel;

struct cql__node {
  cql__cluster *cluster;
  cql__address address;
  char text[CQL__ADDRESS_TEXT];
  cql__channel **channels; /* cluster->per_node of them */
  cql__channel *retired;   /* until they close; freed when the next one retires, or at the end */
};

/* What the session is told. */
typedef struct cql__cluster_events {
  void (*opened)(void *user, cql__node *node);
  void (*failed)(void *user, cql__node *node, int error, const char *why);
  void (*closed)(void *user, cql__node *node, int error, const char *why);
} cql__cluster_events;

struct cql__cluster {
  /* set once */
  cql__connection_settings *settings;
  const cql__cluster_events *events;
  void *user;
  cql__rand *rand;
  uint32_t per_node;
  uint32_t reconnect_min_ms, reconnect_max_ms;
  int version_pinned;
  int version_min;
  /* changes */
  cql__node **nodes;
  uint32_t node_count, opened_count;
  cql__channel **serving; /* channels that serve, in no order */
  uint32_t serving_count, serving_capacity;
  cql__channel *current; /* where this turn's requests gather */
  uint32_t handshakes;
  uint8_t closing;
};

/* Frees everything at once; no events. */
void cql__cluster_deinit(cql__cluster *cluster);
/* Adds a node, unless it is there. CQL_ENOMEM. */
int cql__cluster_add(cql__cluster *cluster, const cql__address *address);
/* Opens the connections of nodes that are new. After all have been added: what fails at once must
 * not look as if it had been the only one. */
void cql__cluster_open(cql__cluster *cluster);
/* Has every connection (there are some) failed when it was last opened, and for a reason that
 * waiting won't mend if `for_good`? Then the first one's error and, in *why until it is opened
 * again, the reason; else 0. */
int cql__cluster_failed(const cql__cluster *cluster, int for_good, const char **why);
/* The connection for the next request; NULL: none accepts. */
cql__channel *cql__cluster_choose(cql__cluster *cluster);
/* Would cql__cluster_choose() find one? */
int cql__cluster_accepts(const cql__cluster *cluster);
/* A turn has ended: the next one may gather elsewhere. */
static inline void cql__cluster_turn(cql__cluster *cluster) { cluster->current = NULL; }
/* Closes all connections and opens none. */
void cql__cluster_close(cql__cluster *cluster, int error, const char *why);
/* The host slept: see cql__connection_awake(). */
void cql__cluster_awake(cql__cluster *cluster);

/* For the session's table of connection events; `owner` is the channel. */
void cql__cluster_on_serving(void *owner, cql__connection *connection);
void cql__cluster_on_closed(void *owner, cql__connection *connection, int error, const char *why);
void cql__cluster_on_retiring(void *owner, cql__connection *connection);

#endif
