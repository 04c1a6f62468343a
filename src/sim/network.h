/* Network: what lies between sessions and nodes: latency, bandwidth, boundaries anywhere, stalls,
 * cuts, connections that are refused, reset or half open, and names. */
#ifndef CQL_SIM_NETWORK_H
#define CQL_SIM_NETWORK_H

#include "sim/clock.h"
#include "sim/socket.h"

struct cql__sim_client;
struct cql__sim_node;
struct cql__sim_host;

/* One direction of a connection. */
typedef struct cql__sim_pipe {
  cql__sim_timer timer; /* the next parcel arrives */
  cql__list parcels;
  struct cql__sim_wire *wire;
  int64_t last_at;  /* nothing overtakes */
  int64_t free_at;  /* the line is busy until then */
  size_t under_way; /* bytes */
  int to_client;
} cql__sim_pipe;

/* A connection. It goes when both ends have let go of it. */
typedef struct cql__sim_wire {
  cql__list link; /* in sim->wires, in the order of opening */
  cql_sim_t *sim;
  cql__socket *socket;            /* NULL: closed by the client */
  struct cql__sim_client *client; /* the node's end; NULL: not accepted, or closed by it */
  struct cql__sim_host *host;
  struct cql__sim_node *node; /* NULL: nobody has the address */
  int direct;                 /* dialled at its own address */
  int place;                  /* of the session */
  uint16_t port;              /* of the node */
  uint16_t local_port;        /* of the client */
  uint16_t source_port;       /* the client's, as the node sees it */
  int half_open;
  int busy; /* something arrives just now */
  cql__sim_pipe up, down;
} cql__sim_wire;

extern const cql__sim_socket_events cql__sim_network_events;

/* Something changed that parcels wait for: a cut, a pause, a stall. */
void cql__sim_network_kick(cql_sim_t *sim);
/* Ends all connections of a node: CQL_SIM_CLOSE ... */
void cql__sim_wires_end(struct cql__sim_node *node, int how);
void cql__sim_wires_free(cql_sim_t *sim);
int cql__sim_is_cut(const cql_sim_t *sim, int a, int b);

#endif
