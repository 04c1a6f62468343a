/* Attempt: a request on a connection, from its head to its answer; or in line for one. */
#ifndef CQL_EXECUTE_ATTEMPT_H
#define CQL_EXECUTE_ATTEMPT_H

#include "execute/request.h"

/* Puts the request on a connection, or in line for one. */
void cql__attempt_start(cql__engine *engine, cql_request_t *request);
/* Puts it on this one, which serves. Its end comes later, in any case. */
void cql__attempt_send(cql_request_t *request, cql__channel *channel);
/* Once more where it was: on that node and that shard. Where these take nothing now it is routed
 * anew. An error: it has gone nowhere. */
int cql__attempt_again(cql_request_t *request, const cql_node_t *node);
/* At the end of the line: it holds no stream, and stands in no list. */
void cql__attempt_wait(cql__engine *engine, cql_request_t *request);
/* PENDING or FOLLOWING, it doesn't wait any more. */
void cql__attempt_leave_line(cql_request_t *request);
/* Those in line go to whoever accepts now. */
void cql__attempt_pending(cql__engine *engine);
/* Would cql__attempt_pending() do anything? */
int cql__attempt_may_go(const cql__engine *engine);
/* Ends a request with a local error wherever it stands. */
void cql__attempt_abandon(cql_request_t *request, int error);

/* For the session's table of connection events; `owner` is the channel. */
void cql__attempt_on_answered(void *owner, cql__connection *connection, void *waiter, int stream,
                              const cql__envelope *envelope);
void cql__attempt_on_oversized(void *owner, cql__connection *connection, void *waiter);
void cql__attempt_on_lost(void *owner, cql__connection *connection, void *waiter, int error);

#endif
