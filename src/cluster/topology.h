/* Topology: who is in the cluster, as the nodes' own tables say. Rows are gathered in a draft; it
 * comes into force as a whole. */
#ifndef CQL_CLUSTER_TOPOLOGY_H
#define CQL_CLUSTER_TOPOLOGY_H

#include "cluster/cluster.h"

/* A node that a row told of. */
typedef struct cql__draft_node {
  cql__node_data data;
  cql_node_t *node; /* once it is in force */
} cql__draft_node;

typedef struct cql__draft {
  cql__cluster *cluster;
  cql__ring_builder *builder; /* NULL: nobody here knows the partitioner */
  cql__ring *ring;            /* once it is sorted */
  cql__draft_node *nodes;
  uint32_t count, capacity;
  uint32_t *slots;   /* by the hash of the host id, twice the capacity: 1 + index; 0: free */
  uint32_t bad_rows; /* skipped: without a host id or an address, or told of before */
  uint32_t bad_tokens;
} cql__draft;

void cql__draft_init(cql__draft *draft, cql__cluster *cluster);
void cql__draft_deinit(cql__draft *draft);

/* The columns that the rows must have, in this order. */
#define CQL__LOCAL_COLUMNS "host_id, data_center, rack, release_version, tokens, partitioner"
/* Of local too, where nodes may be reached at other addresses than their own. */
#define CQL__LOCAL_ADDRESS_COLUMNS ", rpc_address, broadcast_address"
#define CQL__PEERS_V2_COLUMNS                                                                      \
  "host_id, data_center, rack, release_version, tokens, peer, native_address, native_port"
#define CQL__PEERS_COLUMNS "host_id, data_center, rack, release_version, tokens, peer, rpc_address"

/* Takes the row of local, or one of peers; `at` is where it was read: local's own address, unless
 * its row tells it, and the port where a row has none. Of rows with one host id the first counts.
 * CQL_ENOMEM; CQL_EMALFORMED: this is no such row, or that of local is of no use. */
int cql__draft_local(cql__draft *draft, cql__cursor *rows, const cql__address *at,
                     uint32_t columns);
int cql__draft_peer(cql__draft *draft, cql__cursor *rows, const cql__address *at, uint32_t columns);

/* Sorts a slice of the tokens. 1: all are; 0: there is more to do; CQL_ENOMEM. */
int cql__draft_sort(cql__draft *draft);
/* The cluster has these nodes from now on: those that stay keep their connections, and plans stay
 * as they are where nothing has changed for them. `appeared` is
 * called for each that is new, or of which more than its address has changed. CQL_ENOMEM: some
 * nodes are missing. */
int cql__draft_apply(cql__draft *draft, void (*appeared)(void *user, cql_node_t *node));

#endif
