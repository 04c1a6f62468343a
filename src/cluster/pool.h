/* Pool: the connections of one node, spread over its shards. Slot i is for shard
 * i * shard_count / channel_count, so that a shard's slots stand together.
 *
 *   empty    one connection, through the plain port; what it says of shards makes the slots
 *   growing  all others at once, each from a local port that chooses its shard; where that won't
 *            do through the plain port, where the server deals shards out in turn: what it deals
 *            twice is kept as surplus, for the turn to move on
 *   full     the surplus is closed
 */
#ifndef CQL_CLUSTER_POOL_H
#define CQL_CLUSTER_POOL_H

#include "cluster/node.h"

/* As many slots as a node of that distance is to have. */
uint32_t cql__pool_size(const cql_node_t *node, uint8_t distance);
/* So many slots. Connections keep serving where there is a slot for them; the others retire, but
 * for `only` if it is not NULL: then all but that one do. CQL_ENOMEM: as before. */
int cql__pool_fit(cql_node_t *node, uint32_t count, cql__channel *only, const char *why);
/* A connection has begun to serve: it takes the slot of its shard. 0: it has none, and is surplus
 * now. */
int cql__pool_admit(cql__channel *channel);
/* It serves: what its node lacks is opened. `was_empty`: the waits for that are over. */
void cql__pool_grow(cql_node_t *node, int was_empty);
/* May it be opened? An empty pool begins with one. */
static inline int cql__pool_may_open(const cql_node_t *node, uint32_t slot) {
  return slot == 0 || node->serving_count > 0 || node->shard_count == 1;
}
/* The shard of a slot. */
static inline uint32_t cql__pool_shard_of(const cql_node_t *node, uint32_t slot) {
  return (uint32_t)((uint64_t)slot * node->shard_count / node->channel_count);
}
/* The first slot of a shard, or what would follow the last one's; where there are fewer slots than
 * shards it may be the next one's. */
static inline uint32_t cql__pool_first_of(const cql_node_t *node, uint32_t shard) {
  return (uint32_t)(((uint64_t)shard * node->channel_count + node->shard_count - 1) /
                    node->shard_count);
}
/* The shard to dial through a shard-aware port; -1: the plain port it is. */
int32_t cql__pool_aim(const cql__channel *channel);
/* At the node's end. */
void cql__pool_deinit(cql_node_t *node);
void cql__pool_init(cql_node_t *node);
/* Closes the surplus. `why`: static. */
void cql__pool_drop_surplus(cql_node_t *node, const char *why);

#endif
