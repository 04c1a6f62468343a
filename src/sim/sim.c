/* One session's sockets, whose other side nobody plays but the caller. */
#include "sim/sim.h"

#include "sim/socket.h"

/* 2023-11-14, where the clock stands at 0. */
#define EPOCH_US 1700000000000000

/* What is known of a socket also after the session has closed it. */
typedef struct played {
  cql__socket *socket; /* NULL: closed */
  int port;
  char address[CQL__ADDRESS_TEXT];
  cql__sim_buffer outbound;
} played;

typedef struct asked {
  cql__sim_lookup *lookup; /* NULL: told, or never to be */
  char name[256];
} asked;

struct cql__sim {
  cql__sim_sockets set;
  int64_t now; /* microseconds */
  played **sockets;
  size_t count, capacity;
  asked *lookups;
  size_t lookup_count, lookup_capacity;
};

/* ---- what the session does ---- */

static int on_opening(cql__socket *socket) {
  cql__sim *sim = socket->set->owner;
  played *p = cql__sim_alloc(sizeof *p);
  p->socket = socket;
  p->port = socket->target.address.port;
  cql__address_to_text(&socket->target.address, p->address);
  socket->owner = p;
  sim->sockets = cql__sim_grow(sim->sockets, sim->count, &sim->capacity, sizeof(played *));
  sim->sockets[sim->count++] = p;
  return 0;
}

static void on_wrote(cql__socket *socket, const uint8_t *bytes, size_t size) {
  played *p = socket->owner;
  cql__sim_put(&p->outbound, bytes, size);
}

static void on_closed(cql__socket *socket) {
  played *p = socket->owner;
  p->socket = NULL;
}

static void on_resolving(cql__sim_lookup *lookup) {
  cql__sim *sim = lookup->set->owner;
  sim->lookups =
      cql__sim_grow(sim->lookups, sim->lookup_count, &sim->lookup_capacity, sizeof *sim->lookups);
  asked *a = &sim->lookups[sim->lookup_count++];
  a->lookup = lookup;
  memcpy(a->name, lookup->name, sizeof a->name);
}

static void on_told(cql__sim_lookup *lookup) {
  const cql__sim *sim = lookup->set->owner;
  for (size_t i = 0; i < sim->lookup_count; i++)
    if (sim->lookups[i].lookup == lookup) sim->lookups[i].lookup = NULL;
}

static const cql__sim_socket_events events = {on_opening, on_wrote, on_closed, on_resolving,
                                              on_told};

/* ---- the world ---- */

cql__sim *cql__sim_new(uint64_t seed, uint64_t now_ms) {
  cql__sim *sim = cql__sim_alloc(sizeof *sim);
  sim->now = (int64_t)now_ms * 1000;
  cql__sim_sockets_init(&sim->set, &sim->now, seed, &events, sim);
  sim->set.wall_clock = EPOCH_US;
  return sim;
}

void cql__sim_free(cql__sim *sim) {
  cql__sim_sockets_deinit(&sim->set);
  for (size_t i = 0; i < sim->count; i++) {
    cql__sim_buffer_free(&sim->sockets[i]->outbound);
    cql__sim_release(sim->sockets[i]);
  }
  cql__sim_release(sim->lookups);
  cql__sim_release(sim->sockets);
  cql__sim_release(sim);
}

cql__link *cql__sim_link(cql__sim *sim) { return &sim->set.link; }
void cql__sim_advance(cql__sim *sim, uint64_t ms) { sim->now += (int64_t)ms * 1000; }
uint64_t cql__sim_now(const cql__sim *sim) { return (uint64_t)sim->now / 1000; }

int cql__sim_session(cql__sim *sim, const cql_config_t *config, cql_session_t **out) {
  int error = cql__session_new(config, &sim->set.link, NULL, out);
  if (!error && (error = cql__session_start(*out))) {
    cql__session_free(*out);
    *out = NULL;
  }
  return error;
}

void cql__sim_session_free(cql_session_t *session) { cql__session_free(session); }

void cql__sim_step(cql__sim *sim, cql_session_t *session) {
  cql__session_before(session);
  int more = cql__sim_sockets_tell(&sim->set);
  cql__session_after(session, more);
}

int cql__sim_ready(const cql__sim *sim) { return cql__sim_sockets_ready(&sim->set); }

int cql__sim_timeout(cql__sim *sim, cql_session_t *session) {
  if (cql__sim_sockets_eager(&sim->set)) return 0;
  int64_t wait = cql__session_wait(session);
  return wait > INT32_MAX ? INT32_MAX : (int)wait;
}

/* ---- the peer ---- */

static cql__socket *socket_at(const cql__sim *sim, int socket) {
  return sim->sockets[socket]->socket;
}

int cql__sim_count(const cql__sim *sim) { return (int)sim->count; }
int cql__sim_port(const cql__sim *sim, int socket) { return sim->sockets[socket]->port; }
const char *cql__sim_address(const cql__sim *sim, int socket) {
  return sim->sockets[socket]->address;
}
int cql__sim_is_closed(const cql__sim *sim, int socket) { return !socket_at(sim, socket); }

void cql__sim_accept(cql__sim *sim, int socket) {
  if (socket_at(sim, socket)) cql__sim_socket_opened(socket_at(sim, socket));
}

void cql__sim_refuse(cql__sim *sim, int socket) {
  if (socket_at(sim, socket))
    cql__sim_socket_failed(socket_at(sim, socket), CQL_ECONNECT, "refused");
}

size_t cql__sim_sent(const cql__sim *sim, int socket, const uint8_t **out) {
  const cql__sim_buffer *b = &sim->sockets[socket]->outbound;
  *out = cql__sim_bytes(b);
  return cql__sim_size(b);
}

void cql__sim_take(cql__sim *sim, int socket, size_t size) {
  cql__sim_drop(&sim->sockets[socket]->outbound, size);
}

void cql__sim_say(cql__sim *sim, int socket, const uint8_t *bytes, size_t size) {
  if (socket_at(sim, socket)) cql__sim_socket_said(socket_at(sim, socket), bytes, size);
}

void cql__sim_split(cql__sim *sim, int socket, size_t read_max) {
  if (socket_at(sim, socket)) socket_at(sim, socket)->read_max = read_max;
}

void cql__sim_room(cql__sim *sim, int socket, int64_t room) {
  if (socket_at(sim, socket)) cql__sim_socket_room(socket_at(sim, socket), room);
}

void cql__sim_reset(cql__sim *sim, int socket) {
  if (!socket_at(sim, socket)) return;
  socket_at(sim, socket)->broken = CQL_ECONNECTION;
  cql__sim_socket_ended(socket_at(sim, socket), 0, "the peer reset the connection");
}

uint64_t cql__sim_calls(const cql__sim *sim) { return sim->set.calls; }
void cql__sim_exhaust(cql__sim *sim, int count) { sim->set.exhausted = count; }

/* ---- names ---- */

int cql__sim_lookups(const cql__sim *sim) { return (int)sim->lookup_count; }
const char *cql__sim_lookup_name(const cql__sim *sim, int lookup) {
  return sim->lookups[lookup].name;
}

int cql__sim_resolve(cql__sim *sim, int lookup, const char *addresses) {
  cql__sim_lookup *asked_for = sim->lookups[lookup].lookup;
  return asked_for ? cql__sim_lookup_answer(asked_for, addresses) : CQL_EINVAL;
}
