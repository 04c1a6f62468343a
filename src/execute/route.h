/* Route: where a request goes: its token, and the connection to the nearest replica of it. */
#ifndef CQL_EXECUTE_ROUTE_H
#define CQL_EXECUTE_ROUTE_H

#include "execute/request.h"

/* The token of these values of a statement, unless the request has one already or there is none:
 * `encoded` is `size` checked bytes of them. */
void cql__route_by_values(cql_request_t *request, cql_prepared_t *prepared, const uint8_t *encoded,
                          size_t size);
/* What is known by the submit: the values of an EXECUTE, or what was told. */
void cql__route_by_all(cql_request_t *request);
static inline void cql__route_seal(cql_request_t *request) {
  if (request->engine->cluster.routing.ring) cql__route_by_all(request);
}
/* The connection for it; NULL: none accepts it now. */
cql__channel *cql__route_choose(cql_request_t *request);
/* Likewise, of the node that it was sent to last, and of the same shard while that has any. */
cql__channel *cql__route_choose_again(cql_request_t *request, const cql_node_t *node);
/* Would there be one? */
int cql__route_accepts(const cql_request_t *request);
/* Are there connections that it won't have? If not, nobody can go where it can't. */
int cql__route_is_choosy(const cql_request_t *request);
/* Is no node connected that it may go to? */
int cql__route_is_stranded(const cql_request_t *request);
/* An answer's payload may tell of a tablet. 1: of one that wasn't known; CQL_EMALFORMED: it is
 * trash. */
int cql__route_learn(const cql_request_t *request, cql_slice_t payload);
/* See cql_request_routing_key(), cql_request_token(), cql_request_target(), cql_request_plan(). */
int cql__route_by_key(cql_request_t *request, const cql_slice_t *parts, uint32_t count);
int cql__route_by_token(cql_request_t *request, int64_t token);
int cql__route_target(cql_request_t *request, cql_node_t *node, int32_t shard);
uint32_t cql__route_plan(cql_request_t *request, uint32_t max, cql_target_t *targets);
/* It may go to one node alone, and that is down. */
static inline int cql__route_is_lost(const cql_request_t *request) {
  return request->route.node && request->route.node->serving_count == 0;
}
/* A node failed it: the others are left. 0: none is. */
int cql__route_leave(cql_request_t *request, const cql_node_t *node);

#endif
