/* Agreement: a change of the schema has happened when one node has it; its request waits until all
 * have. What they have is asked of the node that made the change, every now and then. */
#ifndef CQL_EXECUTE_AGREEMENT_H
#define CQL_EXECUTE_AGREEMENT_H

#include "execute/request.h"

/* A request has this result: does it wait for the nodes to agree? If so it ends later, with it. */
int cql__agreement_begin(cql_request_t *request, const cql__connection *connection,
                         cql_result_t *result);
/* The same for nothing but the answer: a taken request that says nothing. `timeout_ms` 0: one look.
 * It ends with 0 or CQL_ETIMEOUT. CQL_ENOMEM. */
int cql__agreement_ask(cql_request_t *request, uint32_t timeout_ms);
/* Others have changed the schema: the event AGREEMENT is to follow. */
void cql__agreement_watch(cql__engine *engine);
/* Its request waits no more. What has changed has changed, so its status is 0, unless its host
 * cancelled it or asked for nothing but the answer: then it is `error`. */
void cql__agreement_abandon(cql_request_t *request, int error);
/* All that wait, as the session closes. */
void cql__agreement_abandon_all(cql__engine *engine, int error);
/* Frees all at once. */
void cql__agreement_deinit(cql__engine *engine);

#endif
