/* Request: a slot from take to poll, and the body that is encoded once.
 *
 *   body  | prefix (text, or the statements of a batch) | suffix (values, page size, time ...) |
 *
 * Each attempt writes its head by what that connection speaks: header, payload, prefix, the ids of
 * a prepared statement, consistency and flags, suffix.
 *
 *   FREE -> TAKEN -> PENDING <-> SENT <-> PREPARING -> DONE -> FREE
 *                                SENT -> AGREEING --^
 *                                SENT -> FOLLOWING -> SENT
 *
 * PENDING stands in engine->pending, SENT and PREPARING hold a stream, FOLLOWING in
 * engine->following, DONE in engine->done. */
#ifndef CQL_EXECUTE_REQUEST_H
#define CQL_EXECUTE_REQUEST_H

#include "execute/engine.h"
#include "execute/prepared.h"

enum {
  CQL__REQUEST_FREE = 0,
  CQL__REQUEST_TAKEN,
  CQL__REQUEST_PENDING,
  CQL__REQUEST_SENT,
  CQL__REQUEST_PREPARING,
  CQL__REQUEST_FOLLOWING, /* another one prepares its statement on that node */
  CQL__REQUEST_AGREEING,  /* it has its result, and waits for the nodes to agree on the schema */
  CQL__REQUEST_DONE
};

/* What a token of Random or ByteOrdered has beside its first 8 bytes. */
typedef struct cql__token_rest {
  uint64_t low;
  uint32_t size;
  uint8_t bytes[];
} cql__token_rest;

/* Where it goes. */
typedef struct cql__route {
  const cql__keyspace *keyspace; /* NULL: there is no token */
  uint64_t high;                 /* of the token */
  cql__block *rest;              /* cql__token_rest, of those that have more to them; else NULL */
  cql_node_t *node;              /* referenced; to this one and no other. NULL: to any */
  int16_t shard;                 /* of that node; -1: any */
  uint8_t has_token;             /* it was told: its keyspace is found when all is known */
  uint8_t retried;               /* which causes had their one retry: see retry.h */
  uint8_t tried_count;
  uint16_t tried[CQL__ATTEMPTS_MAX - 1]; /* the ids of nodes that failed it */
} cql__route;

/* A prepared statement of a batch. */
typedef struct cql__batch_item {
  cql_prepared_t *prepared; /* referenced */
  uint8_t reprepares;
} cql__batch_item;

/* What is touched together stands together: a thousand of them are more than the cache holds. */
struct cql_request_s {
  cql__list link;
  cql__timer timer;
  cql__engine *engine;
  uint32_t tag;
  uint32_t timeout_ms;
  /* when DONE, the result also when AGREEING */
  cql_result_t *result;
  int32_t status, server_code;
  const char *address; /* of the node that it was sent to last; NULL: not yet */
  uint8_t state;
  uint8_t opcode; /* QUERY, PREPARE, EXECUTE, BATCH; 0: not said yet */
  uint8_t attempts;
  uint8_t reprepares;
  uint8_t has_unset;
  uint8_t bound;
  uint8_t use;          /* a USE of the session's: see session/use.c */
  uint8_t errand;       /* of the library: see errand.h */
  uint8_t in_use;       /* a PREPARE: its keyspace is the session's, and named where it can be */
  int8_t schema_agreed; /* as cql_completion_t has it */
  int16_t sent_shard;   /* of the connection that it was sent on last; -1: none */
  uint16_t consistency;
  uint16_t serial_consistency; /* 0: none */
  uint16_t stream;
  uint16_t batch_count;
  uint32_t query_flags; /* CQL__QUERY_* that hold on every connection */
  uint32_t options;     /* CQL_OPTION_* */
  int32_t page_size;
  /* NULL: its end is polled. Else this is called instead; 1: it isn't to be polled, and the slot is
     the callee's. */
  int (*on_done)(struct cql_request_s *request);
  void (*on_errand)(void *owner, const struct cql_request_s *request); /* see errand.h */
  void *owner; /* of an errand, or AGREEING, FOLLOWING: what it waits for */
  union {
    struct cql_request_s *next_free; /* FREE */
    cql__connection *connection;     /* while it holds a stream */
  };
  cql_prepared_t *prepared;  /* EXECUTE */
  cql__metadata *columns;    /* EXECUTE: those whose id was sent, referenced; an answer without
                                  metadata means these, whatever the statement's are by then */
  cql_prepared_t *preparing; /* which one is being prepared again; borrowed */
  cql__block *body;
  cql__block *batch; /* cql__batch_item[]; NULL: none */
  cql__block *extra; /* copies of paging state, keyspace, payload */
  uint32_t prefix_size, body_size;
  uint32_t batch_prepared;                                /* how many in `batch` */
  int32_t paging_length, keyspace_length, payload_length; /* in `extra`, in this order; negative:
                                                             there is none */
  int32_t now_in_seconds;
  int64_t timestamp;
  cql__route route;
};

/* The one that stands in a list there. */
static inline cql_request_t *cql__request_of(cql__list *link) {
  return cql__container(link, cql_request_t, link);
}
/* Room for more of the body; NULL: no memory or over the protocol's limit, the body is as before.
 */
uint8_t *cql__request_extend(cql_request_t *request, size_t size);
/* Writes what options ask for behind the values. Once, at submit. */
int cql__request_seal(cql_request_t *request);
/* It is complete: into engine->done. From any state but FREE and DONE; it holds no stream. */
void cql__request_finish(cql_request_t *request, int status, int server_code, cql_result_t *result);
/* The prepared statements of a batch, batch_prepared of them. */
static inline cql__batch_item *cql__request_items(const cql_request_t *request) {
  return (cql__batch_item *)(void *)request->batch->data;
}
/* The ids of a batch's prepared statements are what they are by now, where they have changed since
 * it was made. They stand in the prefix, of which each attempt has a copy. */
void cql__request_rename(cql_request_t *request);
/* What options named, where it was copied to; length CQL_NULL: nothing. */
cql_slice_t cql__request_paging(const cql_request_t *request);
cql_slice_t cql__request_keyspace(const cql_request_t *request);
cql_slice_t cql__request_payload(const cql_request_t *request);
/* Gives the slot back. */
void cql__request_release(cql_request_t *request);
/* For every slot in use, also those that are done. */
void cql__engine_each(cql__engine *engine, void (*visit)(cql_request_t *request, void *user),
                      void *user);

#endif
