/* Endpoint: where a node is reached from here: where the host says, or where its client route
 * leads, else at its own address. Found for each connection anew, and never kept: what lies before
 * nodes changes behind our back. */
#ifndef CQL_CLUSTER_ENDPOINT_H
#define CQL_CLUSTER_ENDPOINT_H

#include "cql.h"
#include "link/link.h"

typedef struct cql__cluster cql__cluster;

/* Where to, in words. */
typedef struct cql__destination {
  char host[256]; /* an IP address, or a name to look up */
  uint16_t port;
  uint16_t shard_port;   /* 0: there is none */
  char server_name[256]; /* for TLS; "": none was told */
} cql__destination;

/* What was found. All of it lives for the call. */
typedef struct cql__endpoint {
  int error; /* nothing was, and `why` */
  const char *why;
  cql__target target;
  uint16_t shard_port; /* 0: there is none, or it isn't wanted */
} cql__endpoint;

typedef void (*cql__endpoint_found)(void *owner, const cql__endpoint *endpoint);

/* `found` is told once: now, or later unless it is forgotten before. Of a name with several
 * addresses the `attempt`th is taken. */
void cql__endpoint_find(cql_node_t *node, uint32_t attempt, void *owner, cql__endpoint_found found);
void cql__endpoint_forget(cql__cluster *cluster, const void *owner);
/* Reads "host:port", "host:port/shard port", both perhaps with a name behind a blank. 0: it is none
 * of these. */
int cql__endpoint_read(cql_slice_t text, cql__destination *out);
/* The host has answered, or (length CQL_NULL) hasn't; `question` is what cql__cluster_events were
 * given to ask for. */
void cql__endpoint_answered(void *question, cql_slice_t answer);

/* Look-ups for endpoints have tickets with this bit. */
#define CQL__ENDPOINT_TICKET 0x80000000u
void cql__endpoint_resolved(cql__cluster *cluster, uint32_t ticket, int error,
                            const cql__address *addresses, uint32_t count);

#endif
