/* The world has memory of its own, by malloc(): a spec that fails or counts the core's allocations
 * means the core's alone. */
#include "sim/sim.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 16 }; /* addresses of one name */

typedef struct bytes {
  uint8_t *data;
  size_t start, end, capacity;
} bytes;

typedef struct lookup {
  char name[256];
  uint16_t port;
  void *user;
  uint32_t ticket;
  int answered, told, error;
  cql__address addresses[ANSWER_MAX];
  uint32_t count;
} lookup;

struct cql__socket {
  cql__sim *sim;
  void *user;
  int port;
  char address[CQL__ADDRESS_TEXT];
  int open, closed, refused, reset;
  int told_opened, wants_write, again;
  size_t read_max;
  int64_t room;
  bytes inbound, outbound;
};

struct cql__sim {
  cql__link link;
  uint64_t now;
  cql__rand rand;
  cql__socket **sockets;
  int count, capacity;
  lookup **lookups;
  int lookup_count;
  int exhausted;
  int more;
  uint64_t calls;
};

static cql__sim *sim_of(cql__link *link) { return cql__container(link, cql__sim, link); }

/* ---- bytes ---- */

static int append(bytes *b, const uint8_t *data, size_t size) {
  if (b->capacity - b->end < size) {
    size_t used = b->end - b->start, capacity = (used + size) * 2 + 64;
    uint8_t *grown = malloc(capacity);
    if (!grown) return CQL_ENOMEM;
    if (used) memcpy(grown, b->data + b->start, used);
    free(b->data);
    *b = (bytes){grown, 0, used, capacity};
  }
  if (size) memcpy(b->data + b->end, data, size);
  b->end += size;
  return 0;
}

/* ---- what the core asks for ---- */

static uint64_t sim_now(cql__link *link) { return sim_of(link)->now; }
static int64_t sim_wall_clock(cql__link *link) {
  return 1700000000000000 + (int64_t)sim_of(link)->now * 1000;
}
static uint64_t sim_chance(cql__link *link) { return cql__rand_next(&sim_of(link)->rand); }

static int sim_open(cql__link *link, const cql__address *address, void *user, cql__socket **out) {
  cql__sim *sim = sim_of(link);
  *out = NULL;
  if (sim->exhausted > 0) {
    sim->exhausted--;
    return CQL_EIO;
  }
  if (sim->count == sim->capacity) {
    int capacity = sim->capacity * 2 + 8;
    cql__socket **grown = realloc(sim->sockets, (size_t)capacity * sizeof *grown);
    if (!grown) return CQL_ENOMEM;
    sim->sockets = grown;
    sim->capacity = capacity;
  }
  cql__socket *s = calloc(1, sizeof *s);
  if (!s) return CQL_ENOMEM;
  s->sim = sim;
  s->user = user;
  s->port = address->port;
  cql__address_to_text(address, s->address);
  s->room = -1;
  sim->sockets[sim->count++] = s;
  *out = s;
  return 0;
}

static ptrdiff_t sim_read(cql__socket *s, uint8_t *out, size_t size) {
  bytes *b = &s->inbound;
  size_t left = b->end - b->start;
  s->sim->calls++;
  if (left == 0) return s->reset ? CQL_ECONNECTION : 0;
  if (s->read_max && size > s->read_max) size = s->read_max;
  if (size > left) size = left;
  memcpy(out, b->data + b->start, size);
  b->start += size;
  return (ptrdiff_t)size;
}

static ptrdiff_t sim_write(cql__socket *s, const cql__span *spans, unsigned count) {
  size_t taken = 0;
  s->sim->calls++;
  if (s->reset) return CQL_ECONNECTION;
  for (unsigned i = 0; i < count; i++) {
    size_t size = spans[i].size;
    if (s->room >= 0 && size > (uint64_t)s->room) size = (size_t)s->room;
    if (size && append(&s->outbound, spans[i].bytes, size)) return CQL_ENOMEM;
    if (s->room >= 0) s->room -= (int64_t)size;
    taken += size;
    if (size < spans[i].size) {
      s->wants_write = 1;
      break;
    }
  }
  return (ptrdiff_t)taken;
}

static void sim_again(cql__socket *s) {
  s->again = 1;
  s->sim->more = 1;
}

static const char *sim_why(cql__socket *s) {
  return s->reset ? "the peer reset the connection" : "";
}

static void sim_close(cql__socket *s) { s->closed = 1; }

static int sim_resolve(cql__link *link, const char *name, uint16_t port, void *user,
                       uint32_t ticket) {
  cql__sim *sim = sim_of(link);
  size_t size = ((size_t)sim->lookup_count + 1) * sizeof *sim->lookups;
  if (sim->exhausted > 0) {
    sim->exhausted--;
    return CQL_EIO;
  }
  lookup **grown = realloc(sim->lookups, size);
  if (!grown) return CQL_ENOMEM;
  sim->lookups = grown;
  lookup *l = calloc(1, sizeof *l);
  if (!l) return CQL_ENOMEM;
  strncpy(l->name, name, sizeof l->name - 1);
  l->port = port;
  l->user = user;
  l->ticket = ticket;
  sim->lookups[sim->lookup_count++] = l;
  return 0;
}

static const cql__link_ops sim_ops = {sim_now,   sim_wall_clock, sim_chance, sim_open,
                                      sim_read,  sim_write,      sim_again,  sim_why,
                                      sim_close, sim_resolve};

/* ---- the world ---- */

cql__sim *cql__sim_new(uint64_t seed, uint64_t now_ms) {
  cql__sim *sim = calloc(1, sizeof *sim);
  if (!sim) return NULL;
  sim->link.ops = &sim_ops;
  sim->now = now_ms;
  cql__rand_seed(&sim->rand, seed);
  return sim;
}

void cql__sim_free(cql__sim *sim) {
  for (int i = 0; i < sim->count; i++) {
    free(sim->sockets[i]->inbound.data);
    free(sim->sockets[i]->outbound.data);
    free(sim->sockets[i]);
  }
  for (int i = 0; i < sim->lookup_count; i++) free(sim->lookups[i]);
  free(sim->lookups);
  free(sim->sockets);
  free(sim);
}

cql__link *cql__sim_link(cql__sim *sim) { return &sim->link; }
void cql__sim_advance(cql__sim *sim, uint64_t ms) { sim->now += ms; }
uint64_t cql__sim_now(const cql__sim *sim) { return sim->now; }

int cql__sim_session(cql__sim *sim, const cql_config_t *config, cql_session_t **out) {
  int error = cql__session_new(config, &sim->link, NULL, out);
  if (!error && (error = cql__session_start(*out))) {
    cql__session_free(*out);
    *out = NULL;
  }
  return error;
}

void cql__sim_session_free(cql_session_t *session) { cql__session_free(session); }

/* What a socket has to tell, in the order in which a real one would. */
static void tell(cql__socket *s) {
  const cql__link_events *events = &cql__session_link_events;
  if (s->refused) {
    events->failed(s->user, CQL_ECONNECT, "refused");
    return;
  }
  if (s->open && !s->told_opened) {
    s->told_opened = 1;
    events->opened(s->user);
  }
  if (s->closed || !s->told_opened) return;
  if (s->wants_write && s->room != 0) {
    s->wants_write = 0;
    events->writable(s->user);
  }
  if (!s->closed && (s->inbound.start != s->inbound.end || s->reset || s->again)) {
    s->again = 0;
    events->readable(s->user);
  }
}

static void tell_names(cql__sim *sim) {
  int count = sim->lookup_count;
  for (int i = 0; i < count; i++) {
    lookup *l = sim->lookups[i];
    if (!l->answered || l->told) continue;
    l->told = 1;
    cql__session_link_events.resolved(l->user, l->ticket, l->error, l->addresses, l->count);
  }
}

void cql__sim_step(cql__sim *sim, cql_session_t *session) {
  sim->more = 0;
  cql__session_before(session);
  int count = sim->count; /* what opens meanwhile waits for the next step */
  tell_names(sim);
  for (int i = 0; i < count; i++)
    if (!sim->sockets[i]->closed) tell(sim->sockets[i]);
  cql__session_after(session, sim->more);
}

static int has_news(const cql__socket *s) {
  if (s->closed) return 0;
  if (s->refused || (s->open && !s->told_opened)) return 1;
  if (!s->told_opened) return 0;
  return (s->wants_write && s->room != 0) || s->inbound.start != s->inbound.end || s->reset;
}

int cql__sim_ready(const cql__sim *sim) {
  for (int i = 0; i < sim->count; i++)
    if (has_news(sim->sockets[i])) return 1;
  for (int i = 0; i < sim->lookup_count; i++)
    if (sim->lookups[i]->answered && !sim->lookups[i]->told) return 1;
  return 0;
}

int cql__sim_timeout(cql__sim *sim, cql_session_t *session) {
  for (int i = 0; i < sim->count; i++)
    if (!sim->sockets[i]->closed && sim->sockets[i]->again) return 0;
  int64_t wait = cql__session_wait(session);
  return wait > INT32_MAX ? INT32_MAX : (int)wait;
}

/* ---- the peer ---- */

int cql__sim_count(const cql__sim *sim) { return sim->count; }
int cql__sim_port(const cql__sim *sim, int socket) { return sim->sockets[socket]->port; }
const char *cql__sim_address(const cql__sim *sim, int socket) {
  return sim->sockets[socket]->address;
}
int cql__sim_is_closed(const cql__sim *sim, int socket) { return sim->sockets[socket]->closed; }
void cql__sim_accept(cql__sim *sim, int socket) { sim->sockets[socket]->open = 1; }
void cql__sim_refuse(cql__sim *sim, int socket) { sim->sockets[socket]->refused = 1; }

size_t cql__sim_sent(const cql__sim *sim, int socket, const uint8_t **out) {
  const bytes *b = &sim->sockets[socket]->outbound;
  *out = b->data + b->start;
  return b->end - b->start;
}

void cql__sim_take(cql__sim *sim, int socket, size_t size) {
  sim->sockets[socket]->outbound.start += size;
}

int cql__sim_say(cql__sim *sim, int socket, const uint8_t *data, size_t size) {
  return append(&sim->sockets[socket]->inbound, data, size);
}

void cql__sim_split(cql__sim *sim, int socket, size_t read_max) {
  sim->sockets[socket]->read_max = read_max;
}

void cql__sim_room(cql__sim *sim, int socket, int64_t room) { sim->sockets[socket]->room = room; }
void cql__sim_reset(cql__sim *sim, int socket) { sim->sockets[socket]->reset = 1; }
uint64_t cql__sim_calls(const cql__sim *sim) { return sim->calls; }

void cql__sim_exhaust(cql__sim *sim, int count) { sim->exhausted = count; }

/* ---- names ---- */

int cql__sim_lookups(const cql__sim *sim) { return sim->lookup_count; }
const char *cql__sim_lookup_name(const cql__sim *sim, int index) {
  return sim->lookups[index]->name;
}

int cql__sim_resolve(cql__sim *sim, int index, const char *addresses) {
  lookup *l = sim->lookups[index];
  while (*addresses && l->count < ANSWER_MAX) {
    size_t length = strcspn(addresses, " ");
    cql__address *out = &l->addresses[l->count++];
    if (cql__address_from_text(addresses, length, l->port, out)) return CQL_EVALUE;
    addresses += length + strspn(addresses + length, " ");
  }
  l->error = l->count ? 0 : CQL_ERESOLVE;
  l->answered = 1;
  return 0;
}
