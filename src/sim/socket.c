#include "sim/socket.h"

#include "session/session.h"

static cql__sim_sockets *set_of(cql__link *link) {
  return cql__container(link, cql__sim_sockets, link);
}

/* ---- news ---- */

static int is_readable(const cql__socket *s) {
  return s->told_opened && (cql__sim_size(&s->inbound) || s->ended || s->again);
}

static int is_writable(const cql__socket *s) {
  return s->told_opened && s->wants_write && s->room != 0;
}

static int has_news(const cql__socket *s) {
  if (!s->told_opened) return s->open || s->failed;
  return is_readable(s) || is_writable(s);
}

static void touch(cql__socket *s) {
  if (cql__list_empty(&s->news) && has_news(s)) cql__list_append(&s->set->news, &s->news);
}

int cql__sim_sockets_ready(const cql__sim_sockets *set) {
  for (const cql__list *l = set->lookups.next; l != &set->lookups; l = l->next)
    if (cql__container(l, cql__sim_lookup, link)->answered) return 1;
  for (const cql__list *n = set->news.next; n != &set->news; n = n->next)
    if (has_news(cql__container(n, cql__socket, news))) return 1;
  return 0;
}

int cql__sim_sockets_eager(const cql__sim_sockets *set) {
  for (const cql__list *n = set->news.next; n != &set->news; n = n->next)
    if (cql__container(n, cql__socket, news)->again) return 1;
  return 0;
}

static void tell_names(cql__sim_sockets *set) {
  cql__list *next;
  for (cql__list *l = set->lookups.next; l != &set->lookups; l = next) {
    next = l->next;
    cql__sim_lookup *lookup = cql__container(l, cql__sim_lookup, link);
    if (!lookup->answered) continue;
    cql__list_remove(l);
    cql__session_link_events.resolved(lookup->user, lookup->ticket, lookup->error,
                                      lookup->addresses, lookup->count);
    set->events->told(lookup);
    cql__sim_release(lookup);
    next = set->lookups.next; /* the session may have asked for more */
  }
}

/* What a socket has to tell, in the order in which a real one would. A call may close it. */
static void tell(cql__sim_sockets *set, cql__socket *s) {
  const cql__link_events *events = &cql__session_link_events;
  set->current = s;
  if (!s->told_opened) {
    if (s->failed) {
      events->failed(s->user, s->failed, s->why);
      return;
    }
    s->told_opened = 1;
    events->opened(s->user);
  }
  if (set->current && is_writable(s)) {
    s->wants_write = 0;
    events->writable(s->user);
  }
  if (set->current && is_readable(s)) {
    s->again = 0;
    events->readable(s->user);
  }
  if (set->current) touch(s); /* as a descriptor that stays readable */
}

int cql__sim_sockets_tell(cql__sim_sockets *set) {
  set->more = 0;
  cql__list visit;
  cql__list_init(&visit);
  cql__list_move_all(&visit, &set->news);
  tell_names(set);
  while (!cql__list_empty(&visit)) {
    cql__socket *s = cql__container(visit.next, cql__socket, news);
    cql__list_remove(&s->news);
    if (has_news(s)) tell(set, s);
  }
  set->current = NULL;
  return set->more;
}

/* ---- what the core asks for ---- */

static uint64_t sim_now(cql__link *link) { return (uint64_t)(*set_of(link)->now / 1000); }
static int64_t sim_wall_clock(cql__link *link) {
  const cql__sim_sockets *set = set_of(link);
  return set->wall_clock + *set->now;
}
static uint64_t sim_chance(cql__link *link) { return cql__rand_next(&set_of(link)->rand); }

static void free_socket(cql__socket *s) {
  cql__list_remove(&s->link);
  cql__list_remove(&s->news);
  cql__sim_buffer_free(&s->inbound);
  cql__sim_release(s);
}

static int is_exhausted(cql__sim_sockets *set) {
  if (set->exhausted == 0) return 0;
  set->exhausted--;
  return 1;
}

static int sim_open(cql__link *link, const cql__target *target, void *user, cql__socket **out) {
  cql__sim_sockets *set = set_of(link);
  *out = NULL;
  if (is_exhausted(set)) return CQL_EIO;
  cql__socket *s = cql__sim_alloc(sizeof *s);
  s->set = set;
  s->user = user;
  s->target = *target;
  s->target.host_id = NULL;
  s->why = "";
  s->room = -1;
  cql__list_init(&s->news);
  cql__list_append(&set->sockets, &s->link);
  int error = set->events->opening(s);
  s->target.server_name = NULL; /* it was for the call */
  if (error)
    free_socket(s);
  else
    *out = s;
  return error;
}

static ptrdiff_t sim_read(cql__socket *s, uint8_t *out, size_t size) {
  size_t left = cql__sim_size(&s->inbound);
  s->set->calls++;
  if (left == 0) return s->ended ? CQL_ECONNECTION : 0;
  if (s->read_max && size > s->read_max) size = s->read_max;
  if (size > left) size = left;
  memcpy(out, cql__sim_bytes(&s->inbound), size);
  cql__sim_drop(&s->inbound, size);
  return (ptrdiff_t)size;
}

/* After the other side's end writes go on, as the first one does on a real socket. */
static ptrdiff_t sim_write(cql__socket *s, const cql__span *spans, unsigned count) {
  size_t taken = 0;
  s->set->calls++;
  if (s->broken) return s->broken;
  for (unsigned i = 0; i < count; i++) {
    size_t size = spans[i].size;
    if (s->room >= 0 && size > (uint64_t)s->room) size = (size_t)s->room;
    if (s->room >= 0) s->room -= (int64_t)size;
    if (size && !s->ended) s->set->events->wrote(s, spans[i].bytes, size);
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
  s->set->more = 1;
  touch(s);
}

static const char *sim_why(cql__socket *s) { return s->why; }

static void sim_close(cql__socket *s) {
  if (s->set->current == s) s->set->current = NULL;
  s->set->events->closed(s);
  free_socket(s);
}

static int sim_resolve(cql__link *link, const char *name, uint16_t port, void *user,
                       uint32_t ticket) {
  cql__sim_sockets *set = set_of(link);
  if (is_exhausted(set)) return CQL_EIO;
  cql__sim_lookup *lookup = cql__sim_alloc(sizeof *lookup);
  strncpy(lookup->name, name, sizeof lookup->name - 1);
  lookup->set = set;
  lookup->port = port;
  lookup->user = user;
  lookup->ticket = ticket;
  cql__list_append(&set->lookups, &lookup->link);
  set->events->resolving(lookup);
  return 0;
}

static const cql__link_ops sim_ops = {sim_now,   sim_wall_clock, sim_chance, sim_open,
                                      sim_read,  sim_write,      sim_again,  sim_why,
                                      sim_close, sim_resolve};

void cql__sim_sockets_init(cql__sim_sockets *set, const int64_t *now, uint64_t seed,
                           const cql__sim_socket_events *events, void *owner) {
  *set = (cql__sim_sockets){
      .link = {&sim_ops}, .now = now, .events = events, .owner = owner, .wall_clock = 0};
  cql__rand_seed(&set->rand, seed);
  cql__list_init(&set->sockets);
  cql__list_init(&set->news);
  cql__list_init(&set->lookups);
}

void cql__sim_sockets_deinit(cql__sim_sockets *set) {
  while (!cql__list_empty(&set->sockets))
    sim_close(cql__container(set->sockets.next, cql__socket, link));
  while (!cql__list_empty(&set->lookups)) {
    cql__sim_lookup *lookup = cql__container(set->lookups.next, cql__sim_lookup, link);
    cql__list_remove(&lookup->link);
    set->events->told(lookup);
    cql__sim_release(lookup);
  }
}

/* ---- for the other side ---- */

void cql__sim_socket_opened(cql__socket *s) {
  s->open = 1;
  touch(s);
}

void cql__sim_socket_failed(cql__socket *s, int error, const char *why) {
  s->failed = error;
  s->why = why;
  touch(s);
}

void cql__sim_socket_said(cql__socket *s, const uint8_t *bytes, size_t size) {
  if (s->ended) return;
  cql__sim_put(&s->inbound, bytes, size);
  touch(s);
}

void cql__sim_socket_ended(cql__socket *s, int lost, const char *why) {
  if (s->ended) return;
  if (lost) cql__sim_clear(&s->inbound);
  s->ended = 1;
  s->why = why;
  touch(s);
}

void cql__sim_socket_room(cql__socket *s, int64_t room) {
  s->room = room;
  touch(s);
}

int cql__sim_lookup_answer(cql__sim_lookup *lookup, const char *addresses) {
  lookup->count = 0;
  for (addresses += strspn(addresses, " "); *addresses && lookup->count < CQL__SIM_ADDRESSES_MAX;) {
    size_t length = strcspn(addresses, " ");
    cql__address *out = &lookup->addresses[lookup->count++];
    if (cql__address_from_text(addresses, length, lookup->port, out)) return CQL_EVALUE;
    addresses += length + strspn(addresses + length, " ");
  }
  lookup->error = lookup->count ? 0 : CQL_ERESOLVE;
  lookup->answered = 1;
  return 0;
}
