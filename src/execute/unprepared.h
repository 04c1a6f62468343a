/* Unprepared: what becomes of a request whose statement the node has forgotten. It has it prepared
 * there again; those that hear the same meanwhile follow it, and wait for its answer. */
#ifndef CQL_EXECUTE_UNPREPARED_H
#define CQL_EXECUTE_UNPREPARED_H

#include "execute/result.h"

/* An answer that is an error, to a request that holds no stream. 1: it is UNPREPARED, and something
 * is done about it, or the request has ended trying; 0: the error is for others to handle. */
int cql__unprepared_handle(cql_request_t *request, cql__connection *connection,
                           const cql__result *result);
/* The answer to the PREPARE of such a request, which holds no stream any more: for itself and for
 * each who followed it. */
void cql__unprepared_answered(cql_request_t *request, cql__connection *connection,
                              const cql__envelope *envelope);
/* It doesn't wait any more for its PREPARE: the first who followed it asks again. */
void cql__unprepared_promote(cql_request_t *leader, cql__connection *connection);
/* The connection of its PREPARE went: who followed it goes elsewhere, for none of them has run. */
void cql__unprepared_scatter(cql_request_t *leader);

#endif
