/* System: system.local, system.peers, system.peers_v2, system_schema.* and what else describes the
 * cluster, as one of its nodes sees it. */
#ifndef CQL_SIM_SYSTEM_H
#define CQL_SIM_SYSTEM_H

#include "sim/store.h"

/* A node, as the one that is asked sees it. What is NULL, or a slice of length CQL_NULL, is null in
 * its row. */
typedef struct cql__system_node {
  const uint8_t *host_id;        /* 16 bytes */
  const uint8_t *schema_version; /* 16 bytes */
  cql_slice_t address;           /* of nodes among themselves: 4 or 16 bytes */
  cql_slice_t native_address;    /* where clients connect */
  int32_t native_port;
  const char *datacenter;
  const char *rack;
  const char *release_version;
  uint32_t token_count;
  const int64_t *tokens;
} cql__system_node;

/* Scylla: how clients of a private link reach a node. */
typedef struct cql__system_route {
  const char *connection_id;
  const uint8_t *host_id; /* 16 bytes */
  const char *address;
  int32_t port, tls_port; /* 0: null */
} cql__system_route;

typedef struct cql__system {
  const char *cluster_name;
  const char *partitioner;
  const char *native_protocol_version; /* the highest, as "5" */
  cql__system_node local;
  uint32_t peer_count;
  const cql__system_node *peers;
  uint32_t route_count;
  const cql__system_route *routes;
} cql__system;

/* Makes these keyspaces and their tables in a store that is new. `call->system` of whoever reads
 * them is a cql__system. */
void cql__system_install(cql__store *store);

#endif
