/* Node: one server of the cluster, and the connections of its clients: bytes in, bytes out through
 * whoever carries them. */
#ifndef CQL_SIM_NODE_H
#define CQL_SIM_NODE_H

#include "base/list.h"
#include "cql_sim.h"
#include "link/link.h"
#include "sim/buffer.h"
#include "sim/clock.h"
#include "sim/settings.h"
#include "sim/store.h"
#include "sim/system.h"

/* How a connection ends when its machine is off the net; beside CQL_SIM_CLOSE ... */
enum { CQL__SIM_LOST = CQL_SIM_HALF_OPEN + 1 };

/* Who carries the bytes of a connection: the virtual network, or a socket. */
typedef struct cql__sim_carrier {
  void (*send)(void *carrier, const uint8_t *bytes, size_t size);
  /* The node ends it: CQL_SIM_CLOSE ... CQL__SIM_LOST. The carrier knows no client any more. */
  void (*end)(void *carrier, int how);
} cql__sim_carrier;

typedef struct cql__sim_prepared {
  cql__list link; /* in node->prepared, the latest used last */
  uint8_t id[16];
  uint8_t metadata_id[16];
  char *text;
  char *keyspace; /* NULL: none */
  cql__statement *statement;
} cql__sim_prepared;

enum { CQL__SIM_TOKENS_MAX = 4096 };
/* CQL__SIM_SEEN_BEFORE: it isn't known yet that it has moved. CQL__SIM_SEEN_OLDER: nor that who was
 * seen up is another process by now. */
enum {
  CQL__SIM_KNOWN = 1,
  CQL__SIM_SEEN_UP = 2,
  CQL__SIM_SEEN_BEFORE = 4,
  CQL__SIM_SEEN_OLDER = 8
};

typedef struct cql__sim_node {
  cql_sim_t *sim;
  int32_t index;
  char *datacenter, *rack;
  cql__address address;
  cql__address before; /* it moved: where it was */
  cql__address next;   /* it moves when it starts; its length is 0 where it doesn't */
  char text[CQL__ADDRESS_TEXT];
  char host_text[37];
  uint8_t host_id[16];
  cql__sim_settings settings;
  int state;    /* CQL_SIM_NEW ... */
  int member;   /* of the ring */
  int vanished; /* its machine is off the net */
  int64_t stalled_until;
  int64_t *tokens;
  uint32_t token_count;
  uint8_t *views; /* of each node: CQL__SIM_KNOWN ... */
  size_t view_count;
  cql__sim_timer booting;
  uint8_t schema_version[16]; /* that it has reached */
  uint64_t schema_number;     /* of the change that made it */
  cql__list clients;          /* in the order of accepting */
  cql__list prepared;
  uint32_t prepared_count;
  cql_sim_counters_t counters;
} cql__sim_node;

enum { CQL__SIM_FRESH, CQL__SIM_AUTHENTICATING, CQL__SIM_READY };

typedef struct cql__sim_client {
  cql__list link; /* in node->clients */
  cql__sim_node *node;
  const cql__sim_carrier *carrier;
  void *carried;
  int32_t id, shard, place;
  uint16_t port, source_port;
  char address[CQL__ADDRESS_TEXT];
  int state;
  int version;     /* of STARTUP; 0 before */
  int compresses;  /* LZ4 was asked for */
  int lz4, framed; /* it is in force, as segments are */
  int registered;  /* as in cql_sim_connection_t */
  int64_t extensions;
  char *keyspace; /* NULL: none */
  cql__sim_buffer startup;
  cql__sim_buffer in;       /* as it came */
  cql__sim_buffer plain;    /* v5: what the segments hold */
  cql__sim_buffer gathered; /* envelopes that wait for the flush */
  size_t skip;              /* of a body that is too large */
  int slicing;              /* v5: an envelope in several segments is under way */
  cql__list replies;        /* that take their time */
  uint32_t in_flight;
  uint8_t *streams; /* a bit for each in use */
  int busy, ended;  /* in cql__sim_client_feed(); and it ended meanwhile */
} cql__sim_client;

/* ---- node.c ---- */

cql__sim_node *cql__sim_node_make(cql_sim_t *sim, const char *datacenter, const char *rack,
                                  const cql__address *address);
void cql__sim_node_free(cql__sim_node *node);
/* Does it read what comes in? */
static inline int cql__sim_node_reads(const cql__sim_node *node) {
  return node->state == CQL_SIM_UP;
}
static inline int cql__sim_is_scylla(const cql__sim_node *node) {
  return node->settings.product == CQL__SIM_SCYLLA;
}
uint32_t cql__sim_shard_count(const cql__sim_node *node);
uint32_t cql__sim_shard_of(const cql__sim_node *node, int64_t token);
int cql__sim_protocol_max(const cql__sim_node *node);
const char *cql__sim_version_of(const cql__sim_node *node);
/* It takes tokens by chance, if it has none yet. */
void cql__sim_node_take_tokens(cql__sim_node *node);
/* The cluster as it sees it; until the next call. */
const cql__system *cql__sim_system_of(cql__sim_node *node);

/* ---- gossip.c ---- */

/* Its process is there, on a machine that is. */
static inline int cql__sim_node_runs(const cql__sim_node *node) {
  return (node->state == CQL_SIM_UP || node->state == CQL_SIM_PAUSED) && !node->vanished;
}
/* What it knows of another: CQL__SIM_KNOWN ... */
uint8_t *cql__sim_view_of(cql__sim_node *node, int32_t other);
/* Who is up as this node sees it? */
int cql__sim_sees_up(const cql__sim_node *node, const cql__sim_node *other);
/* Where it would look for it. */
const cql__address *cql__sim_address_as_seen(const cql__sim_node *node, const cql__sim_node *other);
/* Its membership or state has changed: the others hear of it in time. */
void cql__sim_gossip(cql_sim_t *sim, cql__sim_node *about, int failed);
/* All who can be reached have heard of it by now. */
void cql__sim_gossip_arrives(cql_sim_t *sim, cql__sim_node *about);
/* Tells registered clients: bits as in cql_sim_connection_t. How many. */
int cql__sim_node_tell(cql__sim_node *node, int registered, cql_slice_t body);
/* The same of a change of the ring. */
int cql__sim_node_tell_of(cql__sim_node *node, const char *type, const char *change,
                          const cql__sim_node *about);

/* ---- agreement.c ---- */

/* Its schema is the store's from now on; the others' in time. */
void cql__sim_schema_changed(cql__sim_node *node, const cql_schema_change_t *change);
/* All nodes know of a change at once. */
void cql__sim_schema_known(cql_sim_t *sim, const cql_schema_change_t *change);

/* ---- client.c ---- */

cql__sim_client *cql__sim_client_new(cql__sim_node *node, const cql__sim_carrier *carrier,
                                     void *carried, uint16_t port, uint16_t source_port,
                                     const char *address, int place);
void cql__sim_client_feed(cql__sim_client *client, const uint8_t *bytes, size_t size);
/* What was fed while the node stood still. */
void cql__sim_client_resume(cql__sim_client *client);
/* The client has closed: the carrier's end is gone. */
void cql__sim_client_closed(cql__sim_client *client);
/* The node ends it. */
void cql__sim_client_end(cql__sim_client *client, int how);
/* One envelope more to be flushed; the version byte is `version`. */
void cql__sim_client_envelope(cql__sim_client *client, int version, int flags, int stream,
                              int opcode, cql_slice_t body);
void cql__sim_client_flush(cql__sim_client *client);
/* Bytes as they are, behind what was gathered. */
void cql__sim_client_say(cql__sim_client *client, const uint8_t *bytes, size_t size);
/* What gathered, with a wrong CRC24 (`head`) or CRC32 where it goes in a segment; else with one bit
 * flipped. */
void cql__sim_client_corrupt(cql__sim_client *client, int head);

#endif
