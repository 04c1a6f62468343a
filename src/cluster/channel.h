/* Channel: a place for one connection to a node. A connection that ends is opened again in place,
 * with ever longer waits between. */
#ifndef CQL_CLUSTER_CHANNEL_H
#define CQL_CLUSTER_CHANNEL_H

#include "cluster/endpoint.h"
#include "connection/connection.h"

typedef struct cql__channel cql__channel;

#define CQL__NO_SLOT UINT32_MAX

struct cql__channel {
  cql__connection connection;
  cql_node_t *node;
  cql__timer retry;
  uint32_t failures;   /* in a row */
  int last_error;      /* of the last failed opening; 0: none yet, or it served since */
  uint32_t slot;       /* in node->channels; CQL__NO_SLOT: it isn't opened again */
  uint32_t serving_at; /* its index in its group of the cluster; UINT32_MAX: not there */
  uint8_t group;       /* which, while it is there: the distance of its node */
  int32_t aim;         /* the shard that it dialled, through the shard-aware port; -1: none */
  uint16_t shard_port; /* that it dialled last */
  uint8_t held;        /* its node is: nothing is put on it yet */
  uint8_t handshake;   /* counted in cluster->handshakes */
  uint8_t asking;      /* where its node is reached isn't known yet */
  uint8_t plain;       /* the shard-aware port failed: the plain one is next */
  uint8_t surplus;     /* counted in node->surplus_count */
  uint8_t is_new;      /* while slots are made */
  cql__channel *next;  /* of node->retired */
};

cql__channel *cql__channel_new(cql_node_t *node, uint32_t slot);
void cql__channel_free(cql__channel *channel);
/* Opens it, now or when fewer handshakes are under way. */
void cql__channel_open(cql__channel *channel);
/* Its node is said to be up: the next try is at once. */
void cql__channel_hurry(cql__channel *channel);
/* Its node is reached elsewhere: it is opened there, at once, and ends here with its last answer.
 * `why`: static. */
void cql__channel_reopen(cql__channel *channel, const char *why);
/* It is wanted no more: takes nothing new and ends with its last answer. `why`: static. */
void cql__channel_retire(cql__channel *channel, const char *why);
/* Ends it at once and opens it no more. */
void cql__channel_close(cql__channel *channel, int error, const char *why);
/* Another has its slot: it stays until it closes. */
void cql__channel_set_aside(cql__channel *channel);
/* The shard that serves it, or that was dialled; -1: none. */
int32_t cql__channel_shard(const cql__channel *channel);
/* Its node has another distance. */
void cql__channel_regroup(cql__channel *channel);
static inline int cql__channel_serves(const cql__channel *channel) {
  return channel->serving_at != UINT32_MAX;
}
/* Of a connection, whose owner is a channel. */
static inline cql_node_t *cql__channel_node(const cql__connection *connection) {
  return ((const cql__channel *)connection->owner)->node;
}

/* min * 2^failures, at most max, 15 % more or less, so that clients don't come back as one. */
uint64_t cql__backoff(cql__cluster *cluster, uint32_t failures);
/* Waiting won't mend these: the password, the keyspace, or the node itself must change. */
int cql__error_is_final(int error);

/* For the session's table of connection events; `owner` is the channel. */
void cql__channel_on_serving(void *owner, cql__connection *connection);
void cql__channel_on_closed(void *owner, cql__connection *connection, int error, const char *why);
void cql__channel_on_retiring(void *owner, cql__connection *connection);

#endif
