/* Cluster: the nodes, and which connection a request goes to. */
#ifndef CQL_CLUSTER_CLUSTER_H
#define CQL_CLUSTER_CLUSTER_H

#include "cluster/client_routes.h"
#include "cluster/node.h"
#include "cluster/routing.h"
#include "cluster/tablets.h"

/* What the session is told. */
typedef struct cql__cluster_events {
  void (*opened)(void *user, cql__channel *channel);
  void (*failed)(void *user, cql__channel *channel, int error, const char *why);
  void (*closed)(void *user, cql__channel *channel, int error, const char *why);
  /* CQL_EVENT_NODE_* or CQL_EVENT_DISTANCE. */
  void (*node)(void *user, int type, cql_node_t *node, const char *message);
  /* Where is the node reached? 1: cql__endpoint_answered() is told with `question`; CQL_ENOMEM. */
  int (*endpoint)(void *user, cql_node_t *node, void *question);
  /* Nobody waits for its answer any more. */
  void (*forget)(void *user, const void *question);
} cql__cluster_events;

/* The channels that serve at one distance, in no order. */
typedef struct cql__group {
  cql__channel **channels;
  uint32_t count, capacity;
} cql__group;

struct cql__cluster {
  /* set once */
  cql__connection_settings *settings;
  const cql__connection_events *connection_events;
  const cql__cluster_events *events;
  void *user;
  cql__rand *rand;
  int tls;
  uint32_t reconnect_min_ms, reconnect_max_ms;
  uint32_t resolve_timeout_ms;
  uint16_t port;      /* of nodes whose own one nobody tells, if `elsewhere`; 0: not known yet */
  uint8_t elsewhere;  /* nodes may be reached at other addresses than their own: see endpoint.h */
  uint8_t asks;       /* the host, where that is */
  uint8_t names_told; /* for TLS, by the configuration */
  int version_pinned;
  int version_min;
  /* changes */
  cql__names names; /* addresses, datacenters, racks: until the end */
  cql_node_t **nodes;
  uint32_t node_count, node_ids, slot_count;
  uint32_t reading;  /* of the topology: counts them */
  cql_node_t **gone; /* no longer of the cluster; connected, or held by somebody */
  uint32_t gone_count;
  cql__routing routing;
  cql__client_routes client_routes;
  cql__tablets tablets; /* their nodes are numbered as those of the routing */
  cql__group groups[CQL__DISTANCES];
  uint32_t serving_count; /* in all of them */
  cql__channel *current;  /* where this turn's requests gather */
  cql__list searches;     /* of endpoints */
  uint32_t tickets;       /* of look-ups */
  uint32_t handshakes;
  uint8_t closing;
  uint8_t sweep; /* something retired may have closed */
};

/* What a request wants of its connection. */
typedef struct cql__wish {
  const cql_node_t *node; /* this one and no other; NULL: any */
  const cql__keyspace
      *keyspace; /* with a token: its replicas are the better ones; NULL: none are */
  cql__token token;
  const uint16_t *tried; /* the ids of nodes that failed it */
  uint32_t tried_count;
  const cql__tablet_table *table; /* whose tablets tell the replicas; NULL: the ring does */
  int32_t shard;                  /* of the node; -1: that of the token, where it is known */
  uint8_t in_order; /* the first replica that serves, always: conditional statements meet there */
  uint8_t farthest; /* no node beyond this distance */
} cql__wish;

/* Frees everything at once; no events. */
void cql__cluster_deinit(cql__cluster *cluster);
/* Once, after it was zeroed. */
void cql__cluster_init(cql__cluster *cluster);
/* Adds a node that is not connected yet: give it a distance. CQL_ENOMEM. */
int cql__cluster_add(cql__cluster *cluster, const cql__node_data *data, cql_node_t **out);
/* It belongs to the cluster no more: its connections end with their last answers. */
void cql__cluster_remove(cql__cluster *cluster, cql_node_t *node);
/* The node with this host id, NULL: none. */
cql_node_t *cql__cluster_find(const cql__cluster *cluster, const uint8_t host_id[16]);
/* The node at this address of its own, NULL: none. */
cql_node_t *cql__cluster_at(const cql__cluster *cluster, const cql__address *address);
/* Room for so many connections that serve. CQL_ENOMEM. */
int cql__cluster_reserve(cql__cluster *cluster, uint32_t slots);
/* A server speaks no more than version `next`: everything goes on with it. 0: it may not. */
int cql__cluster_lower_version(cql__cluster *cluster, int next);
/* Has every connection (there are some) failed when it was last opened, and for a reason that
 * waiting won't mend if `for_good`? Then the first one's error and, in *why until it is opened
 * again, the reason; else 0. */
int cql__cluster_failed(const cql__cluster *cluster, int for_good, const char **why);
/* The connection for a request; NULL: none accepts now. */
cql__channel *cql__cluster_choose(cql__cluster *cluster, const cql__wish *wish);
/* The shard of that node that it is for; -1: any, or nobody knows. */
int32_t cql__cluster_shard(const cql__cluster *cluster, const cql_node_t *node,
                           const cql__wish *wish);
/* The node of a tablet's replica, if it stands at that distance; else NULL. */
cql_node_t *cql__cluster_replica(const cql__cluster *cluster, const cql__tablet_replica *replica,
                                 int distance);
/* Is there a connected node that has not failed it? */
int cql__cluster_has_another(const cql__cluster *cluster, const cql__wish *wish);
/* Would cql__cluster_choose() find one? */
int cql__cluster_accepts(const cql__cluster *cluster, const cql__wish *wish);
/* A turn has ended: the next one may gather elsewhere. What has closed is freed. */
void cql__cluster_turn(cql__cluster *cluster);
/* For every connection that serves. */
void cql__cluster_each_serving(const cql__cluster *cluster,
                               void (*visit)(cql__channel *channel, void *user), void *user);
/* For every connection there is. */
void cql__cluster_each(const cql__cluster *cluster,
                       void (*visit)(cql__channel *channel, void *user), void *user);
/* Closes all connections and opens none. */
void cql__cluster_close(cql__cluster *cluster, int error, const char *why);
/* The host slept: see cql__connection_awake(). */
void cql__cluster_awake(cql__cluster *cluster);

#endif
