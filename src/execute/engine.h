/* Engine: what requests need between submit and completion: slots, memory, the cluster, the lists
 * that they stand in. One per session, and its heart. */
#ifndef CQL_EXECUTE_ENGINE_H
#define CQL_EXECUTE_ENGINE_H

#include "cluster/cluster.h"
#include "execute/shapes.h"

typedef struct cql__engine {
  /* set once */
  cql__link *link;
  cql__connection_settings settings;
  uint16_t consistency, serial_consistency; /* defaults of requests */
  int32_t page_size;
  uint32_t request_timeout_ms;
  uint32_t requests_max;
  int prepare_on_all;                           /* nodes; see warm.h */
  uint32_t agreement_ms, agreement_interval_ms; /* of the schema; see agreement.h */
  int server_timestamps;
  int leaves_datacenter; /* also with a consistency that asks for the local one */
  /* changes */
  cql__pool *pool;
  cql__wheel wheel;
  cql__rand rand;
  cql__list dirty;      /* connections to flush */
  cql__list fresh;      /* submitted, deadline not stamped yet: by cql_request_s.timer.link */
  cql__list pending;    /* waiting for a connection, oldest first: by .link */
  cql__list done;       /* waiting to be polled: by .link */
  cql__list preparing;  /* PREPARING: by .link */
  cql__list statements; /* all prepared ones that live: by .link */
  cql__list warmings;   /* see warm.c */
  cql__list following;  /* FOLLOWING one of them: by .link */
  cql__list agreements; /* of the schema, waited for; see agreement.c */
  uint64_t changes;     /* of the schema, and looks at it, counted */
  cql__cluster cluster;
  cql__shapes shapes;
  cql_metrics_t metrics;
  struct cql__request_chunk *chunks;
  uint32_t slot_count; /* in the chunks */
  struct cql_request_s *free_requests;
  int64_t last_timestamp; /* of a request, in microseconds */
  uint32_t errands;       /* requests that are our own; see errand.h */
  uint8_t clock_read;     /* `last_timestamp` is of this turn */
  uint8_t closing;
  uint64_t drift_told; /* when the last warning about timestamps is so old that another may come */
  /* the session's: an event, such as a warning of something that a person should know */
  void (*tell)(void *user, int type, const char *address, const char *text);
  /* likewise: a tablet of that table was learned */
  void (*learned)(void *user, cql_slice_t keyspace, cql_slice_t table);
  void (*tell_node)(void *user, int type, int status, cql_node_t *node, const char *text);
  void *user;
} cql__engine;

/* Slots. request.c */
struct cql_request_s *cql__request_take(cql__engine *engine);
void cql__engine_free_requests(cql__engine *engine);

/* Flushes all connections, and stamps deadlines by a clock read here. */
void cql__engine_flush(cql__engine *engine);
/* Can something be done now that no socket will tell of? */
int cql__engine_is_eager(const cql__engine *engine);
/* All requests that are not done yet, ended with `error`. */
void cql__engine_abandon_all(cql__engine *engine, int error);
/* Those of one tag; how many. */
int cql__engine_cancel(cql__engine *engine, uint32_t tag);

#endif
