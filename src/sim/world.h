/* World: all there is, and the order in which it happens. */
#ifndef CQL_SIM_WORLD_H
#define CQL_SIM_WORLD_H

#include "session/session.h"
#include "sim/journal.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/ring.h"
#include "sim/rule.h"
#include "sim/serve.h"

/* A session and whoever steps it. */
typedef struct cql__sim_host {
  cql__sim_sockets sockets;
  cql__list link; /* in sim->hosts, in the order of making */
  cql_sim_t *sim;
  cql_session_t *session;
  int place;
  int64_t stalled_until;
  int64_t wakes_at; /* as its timeout said when the world began to run */
} cql__sim_host;

typedef struct cql__sim_named {
  char *name;
  char *value; /* NULL: none */
} cql__sim_named;

/* Connections to this address come out at a node. */
typedef struct cql__sim_forward {
  cql__address address;
  char *server_name; /* those that say it; NULL: all */
  int32_t node;
} cql__sim_forward;

typedef struct cql__sim_route {
  char *connection_id;
  int32_t node;
  char *address;
  int32_t port, tls_port; /* 0: null */
} cql__sim_route;

struct cql_sim_s {
  cql__sim_clock clock;
  cql__rand random;  /* of scripts */
  cql__rand network; /* of each kind one of its own: what one draws doesn't change the others */
  cql__rand nodes_random;
  uint64_t seed;
  cql__sim_settings settings; /* of the world, and of nodes to come */
  cql__sim_node **nodes;
  size_t node_count, node_capacity;
  cql__list hosts;
  int next_place;
  cql__sim_host *last_due;
  cql__list wires;
  int (*cuts)[2];
  size_t cut_count, cut_capacity;
  int64_t last_timestamp;
  uint16_t next_source_port;
  int32_t next_connection;
  cql__sim_named *names, *users;
  size_t name_count, name_capacity, user_count, user_capacity;
  cql__sim_forward *forwards;
  size_t forward_count, forward_capacity;
  cql__sim_route *routes;
  size_t route_count, route_capacity;
  cql__system_route *told_routes; /* of `system` */
  cql__store *store;              /* made when it is first asked for */
  cql__sim_ring ring;
  cql__list rules;
  int32_t next_rule;
  cql__sim_journal journal;
  cql__list alarms, alarms_due;
  cql__list events; /* of cql__sim_later() */
  cql__list news;   /* of the schema; see agreement.c */
  uint64_t schema_changes;
  cql__system system; /* of the last that asked */
  cql__system_node *peers;
  cql__sim_serving *serving; /* NULL: on the virtual network alone */
  char error[512];
};

/* Microseconds since 1970 where the clock begins: 2024-01-01. */
#define CQL__SIM_EPOCH 1704067200000000

static inline int64_t cql__sim_wall_clock(const cql_sim_t *sim) {
  return CQL__SIM_EPOCH + sim->clock.now;
}
/* The same for timestamps of writes, of which no two are equal. */
static inline int64_t cql__sim_timestamp(cql_sim_t *sim) {
  int64_t now = cql__sim_wall_clock(sim);
  return sim->last_timestamp = now > sim->last_timestamp ? now : sim->last_timestamp + 1;
}
static inline int64_t cql__sim_draw(cql_sim_t *sim, const cql__sim_spread *spread) {
  return cql__sim_spread_draw(spread, &sim->nodes_random);
}
cql__store *cql__sim_store(cql_sim_t *sim);
/* What cql_sim_error() says, and `error`. */
__attribute__((format(printf, 3, 4))) int cql__sim_mistake(cql_sim_t *sim, int error,
                                                           const char *format, ...);
/* NULL: there is none, and cql_sim_error() says so. */
cql__sim_node *cql__sim_node_at(cql_sim_t *sim, int node);
/* The value of a name in such a list; NULL: it isn't there. */
const cql__sim_named *cql__sim_named_find(const cql__sim_named *list, size_t count,
                                          const char *name);
/* A one-off: `fire` is called with it, and frees it. */
typedef struct cql__sim_event {
  cql__list link; /* in sim->events */
  cql__sim_timer timer;
  cql_sim_t *sim;
  void (*happen)(cql_sim_t *sim, const int32_t *what);
  int32_t what[4];
} cql__sim_event;
void cql__sim_later(cql_sim_t *sim, int64_t in_us, void (*happen)(cql_sim_t *sim, const int32_t *),
                    int32_t a, int32_t b, int32_t c, int32_t d);
/* When something is to happen, or a session to wake, if nothing comes from outside;
 * CQL__SIM_NEVER. */
int64_t cql__sim_next(cql_sim_t *sim);
void cql__sim_events_free(cql_sim_t *sim);
void cql__sim_alarms_free(cql_sim_t *sim);
void cql__sim_news_free(cql_sim_t *sim);
/* The node goes on: it hears of what has come while it stood still. */
void cql__sim_news_hear(cql__sim_node *node);
/* It was started anew, and knows the schema as it is. */
void cql__sim_news_forget(const cql__sim_node *node);
/* routes.c */
const cql__sim_forward *cql__sim_forward_find(const cql_sim_t *sim, const cql__target *target);
void cql__sim_routes_describe(cql_sim_t *sim, cql__system *out);
void cql__sim_routes_free(cql_sim_t *sim);
/* Random, of version 4. */
void cql__sim_uuid(cql_sim_t *sim, uint8_t out[16]);

#endif
