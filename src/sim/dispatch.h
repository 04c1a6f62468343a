/* Dispatch: one request, from its envelope to its answer. */
#ifndef CQL_SIM_DISPATCH_H
#define CQL_SIM_DISPATCH_H

#include "sim/message.h"

/* `body` is plain. The client may be ended by it. */
void cql__sim_dispatch(cql__sim_client *client, const uint8_t *header, const uint8_t *body,
                       size_t size);
/* Answers that are still to come, for nobody. */
void cql__sim_replies_drop(cql__sim_client *client);

/* ---- handshake.c: OPTIONS, STARTUP, AUTH_RESPONSE, REGISTER ---- */

void cql__sim_handshake(cql__sim_client *client, cql__sim_request *request,
                        cql__sim_answer *answer);
/* A version that the node doesn't speak: 1, and it has been answered. */
int cql__sim_refuse_version(cql__sim_client *client, const uint8_t *header);

/* ---- execute.c: QUERY, PREPARE, EXECUTE, BATCH ---- */

void cql__sim_execute(cql__sim_client *client, cql__sim_request *request, cql__sim_answer *answer);
/* The statement of that id; NULL: not prepared here. */
cql__sim_prepared *cql__sim_prepared_find(cql__sim_node *node, cql_slice_t id);
void cql__sim_prepared_drop(cql__sim_node *node, cql__sim_prepared *prepared);
/* All, or (text) those of a text. */
void cql__sim_prepared_forget(cql__sim_node *node, const char *text);

#endif
