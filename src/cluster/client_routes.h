/* Client routes: how nodes of a ScyllaDB are reached through private links, as its table
 * system.client_routes says for the connection ids of the configuration. A reading comes into force
 * as a whole. Of several routes of a node the one with the connection id that it had stays; else
 * the id that the configuration names first counts. */
#ifndef CQL_CLUSTER_CLIENT_ROUTES_H
#define CQL_CLUSTER_CLIENT_ROUTES_H

#include "base/names.h"
#include "wire/cursor.h"

typedef struct cql__client_route {
  const uint8_t *host_id; /* 16 bytes */
  char *address;          /* or a name */
  uint16_t port;
  uint16_t id; /* the number of its connection id in the configuration */
} cql__client_route;

typedef struct cql__client_route_table {
  cql__names hosts; /* the host ids; their numbers are those of the routes */
  cql__client_route *routes;
  uint32_t capacity;
} cql__client_route_table;

/* Zero it to begin with. */
typedef struct cql__client_routes {
  cql__names ids; /* the connection ids, by number */
  char *query;    /* asks for their rows; NULL: there are none, and nothing is asked */
  cql__client_route_table known, draft;
  uint32_t bad_rows; /* of the reading under way or the last one: without a use */
  uint8_t reading;   /* is under way */
  uint8_t is_known;  /* a reading has come into force */
} cql__client_routes;

/* The columns that the rows must have. */
#define CQL__CLIENT_ROUTE_COLUMNS 4

/* `ids` with commas between them; `tls`: the ports for TLS count. CQL_EVALUE: there are none, too
 * many, or one is too long; CQL_ENOMEM. */
int cql__client_routes_init(cql__client_routes *routes, const char *ids, int tls);
void cql__client_routes_deinit(cql__client_routes *routes);

void cql__client_routes_begin(cql__client_routes *routes);
/* Takes a row of a page. CQL_ENOMEM; CQL_EMALFORMED: this is no such row. */
int cql__client_routes_take(cql__client_routes *routes, cql__cursor *rows);
/* What was read is in force; `changed` is called for each host with another route than before, or
 * with the first one. Nothing is read: nothing. */
void cql__client_routes_end(cql__client_routes *routes,
                            void (*changed)(void *user, const uint8_t host_id[16]), void *user);
/* What was read so far is of no use. */
void cql__client_routes_forget(cql__client_routes *routes);

/* NULL: it has none. Until the next reading comes into force. */
const cql__client_route *cql__client_routes_find(const cql__client_routes *routes,
                                                 const uint8_t host_id[16]);
/* Is one of these, of an EVENT CLIENT_ROUTES_CHANGE, ours? */
int cql__client_routes_concern(const cql__client_routes *routes, cql_slice_t connection_ids);

#endif
