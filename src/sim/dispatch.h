/* Dispatch: one request, from its envelope to its answer. */
#ifndef CQL_SIM_DISPATCH_H
#define CQL_SIM_DISPATCH_H

#include "sim/message.h"
#include "sim/ring.h"

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

/* ---- prepared.c ---- */

/* A statement by that text is kept from now on; its id depends on the keyspace that it was prepared
 * in, as with real servers. Takes the statement over. */
cql__sim_prepared *cql__sim_prepared_keep(cql__sim_node *node, cql_slice_t keyspace,
                                          cql_slice_t text, cql__statement *statement,
                                          const cql__statement_shape *shape);
/* RESULT of kind Prepared. */
void cql__sim_prepared_put(const cql__sim_client *client, const cql__sim_prepared *prepared,
                           const cql__statement_shape *shape, cql__sim_buffer *b);
/* Do results say which metadata they go by? */
int cql__sim_has_metadata_ids(const cql__sim_client *client);
/* The statement of that id; NULL: not prepared here. */
cql__sim_prepared *cql__sim_prepared_find(cql__sim_node *node, cql_slice_t id);
void cql__sim_prepared_drop(cql__sim_node *node, cql__sim_prepared *prepared);
/* All, or (text) those of a text. */
void cql__sim_prepared_forget(cql__sim_node *node, const char *text);

/* ---- quorum.c ---- */

typedef struct cql__sim_replicas {
  cql__sim_replica list[CQL__SIM_REPLICAS_MAX];
  int count;
} cql__sim_replicas;

/* 1: it has been answered with UNAVAILABLE or a time-out; *applied: a write happens all the same.
 */
int cql__sim_quorum_refuses(const cql__sim_client *client, const cql__sim_request *request,
                            const cql__statement_shape *shape, const cql__sim_replicas *r,
                            int write, cql__sim_answer *answer, int *applied);
/* Rows of many partitions: each range of the ring must have enough replicas. */
int cql__sim_quorum_refuses_scan(const cql__sim_client *client, const cql__sim_request *request,
                                 const cql__statement_shape *shape, cql__sim_answer *answer);
/* TRUNCATE asks every member, whoever has the rows; *applied: those that could be reached have done
 * it all the same. */
int cql__sim_quorum_refuses_truncate(const cql__sim_node *node, cql__sim_answer *answer,
                                     int *applied);

#endif
