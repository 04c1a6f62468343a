/* Node: a server of the cluster, and the connections to it. Known by its host id, so that it stays
 * itself when its address changes. Counted: whoever holds it may ask what it is, also when it has
 * left the cluster. */
#ifndef CQL_CLUSTER_NODE_H
#define CQL_CLUSTER_NODE_H

#include "base/names.h"
#include "cluster/channel.h"

/* What the cluster says of a node. */
typedef struct cql__node_data {
  uint8_t host_id[16]; /* zero: not known */
  cql__address address;
  const cql__name *datacenter, *rack, *version;
} cql__node_data;

struct cql_node_s {
  uint32_t refs;
  uint32_t id;           /* counts the nodes of a session: none has that of another */
  cql__cluster *cluster; /* NULL: it has ended */
  cql__node_data data;
  const char *text;   /* of the address; until the session's end */
  uint32_t at;        /* its index in cluster->nodes */
  uint32_t seen;      /* by which reading of the topology, for who is to go */
  uint8_t distance;   /* CQL_DISTANCE_* */
  uint8_t held;       /* it takes no requests yet: see cql__node_hold() */
  uint8_t undecided;  /* its distance has been asked for, and nobody answered yet */
  uint8_t is_contact; /* only known as a contact point: no topology has told of it */
  cql__channel **channels;
  uint32_t channel_count; /* slots */
  uint32_t serving_count; /* connections that take requests */
  cql__channel *retired;  /* until they close; surplus too */
  /* its pool: see pool.h */
  uint32_t shard_count;     /* 0: not known yet */
  uint8_t has_shards;       /* it says so, be it one */
  uint8_t ignore_msb;       /* see shard.h */
  uint16_t shard_port;      /* 0: none */
  uint64_t shard_port_from; /* it isn't used before then */
  uint32_t surplus_count;
  uint32_t rounds;    /* in a row in which surplus didn't help */
  uint32_t reshards;  /* since it was full last */
  uint8_t starved;    /* there was no memory to do as connections told; see `growing` */
  cql__timer growing; /* what had to wait */
};

/* CQL_ENOMEM: NULL. */
cql_node_t *cql__node_new(cql__cluster *cluster, const cql__node_data *data);
/* Its connections and itself, at the cluster's end; who holds it keeps the rest. */
void cql__node_end(cql_node_t *node);
/* Its connections, those to come too, are given no requests (or are again): it isn't prepared. */
void cql__node_hold(cql_node_t *node, uint8_t held);
/* How nodes of that distance are connected to. */
const cql__tuning *cql__node_tuning(const cql_node_t *node, uint8_t distance);
/* Opens all that is closed. */
void cql__node_open(cql_node_t *node);
/* Its place has changed: those that are connected are regrouped, and it is resized. CQL_ENOMEM: as
 * before. */
int cql__node_set_distance(cql_node_t *node, uint8_t distance);
/* It is reached elsewhere: new connections are opened at once, those that serve end with their last
 * answers. `why`: static. */
void cql__node_reopen(cql_node_t *node, const char *why);
/* All its connections move to its address. CQL_ENOMEM: it stays where it was. */
int cql__node_move(cql_node_t *node, const cql__address *address);
/* Frees what has retired and closed. 1: nothing is left of it. */
int cql__node_sweep(cql_node_t *node);
/* What cql.h tells of it. 0. */
int cql__node_describe(const cql_node_t *node, cql_node_info_t *out);
/* For every channel, retired ones too. */
void cql__node_each(const cql_node_t *node, void (*visit)(cql__channel *channel, void *user),
                    void *user);

#endif
