/* Errand: a request that the library sends for itself. It ends by a call instead of being polled,
 * from within the host's poll; it is never sent again by itself, and no tag cancels it. */
#ifndef CQL_EXECUTE_ERRAND_H
#define CQL_EXECUTE_ERRAND_H

#include "execute/request.h"

/* A QUERY or PREPARE of that text, not sent yet; NULL: no memory. `on_done(owner, request)` is
 * called when it has ended, unless cql__errand_forget() came first. */
cql_request_t *cql__errand_take(cql__engine *engine, uint8_t opcode, const char *text,
                                size_t length,
                                void (*on_done)(void *owner, const cql_request_t *request),
                                void *owner);
/* Its PREPARE is for that keyspace, where it can be named (v5). CQL_ENOMEM. */
int cql__errand_keyspace(cql_request_t *request, const char *keyspace);
/* Sends it over this channel, which serves. Its end comes later, in any case. */
void cql__errand_send(cql_request_t *request, cql__channel *channel, uint32_t timeout_ms);
/* Nobody waits for it any more. */
void cql__errand_forget(cql_request_t *request);

#endif
