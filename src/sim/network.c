#include "sim/world.h"

enum { DATA, CONNECT, CONNECTED, REFUSED, END, RESET };
enum { SOURCE_PORT_FIRST = 32768, SOURCE_PORT_LAST = 60999, SPLIT_GAP_US = 50 };

typedef struct parcel {
  cql__list link;
  int64_t at;
  int kind;
  size_t size;
  uint8_t bytes[];
} parcel;

/* ---- places ---- */

static int covers(int place, int other) {
  return place == CQL_SIM_ALL || place == other || (place == CQL_SIM_CLIENTS && other < place);
}

int cql__sim_is_cut(const cql_sim_t *sim, int a, int b) {
  for (size_t i = 0; i < sim->cut_count; i++) {
    const int *cut = sim->cuts[i];
    if ((covers(cut[0], a) && covers(cut[1], b)) || (covers(cut[0], b) && covers(cut[1], a)))
      return 1;
  }
  return 0;
}

/* Does nothing pass through it for now? */
static int is_blocked(const cql__sim_wire *wire) {
  return wire->half_open ||
         (wire->node &&
          (wire->node->vanished || cql__sim_is_cut(wire->sim, wire->place, wire->node->index)));
}

/* ---- pipes ---- */

static void arm(cql__sim_pipe *pipe) {
  const cql__sim_wire *wire = pipe->wire;
  if (cql__list_empty(&pipe->parcels) || is_blocked(wire)) return;
  const parcel *p = cql__container(pipe->parcels.next, parcel, link);
  int waits = !pipe->to_client && p->kind == DATA && wire->client && wire->node &&
              !cql__sim_node_reads(wire->node);
  if (waits) return; /* as bytes in the buffers of a process that stands still */
  int64_t at = p->at;
  if (wire->node && at < wire->node->stalled_until) at = wire->node->stalled_until;
  cql__sim_timer_set(&wire->sim->clock, &pipe->timer, at);
}

static void post(cql__sim_pipe *pipe, int kind, const uint8_t *bytes, size_t size, int64_t gap) {
  cql__sim_wire *wire = pipe->wire;
  cql_sim_t *sim = wire->sim;
  const cql__sim_settings *settings = wire->node ? &wire->node->settings : &sim->settings;
  int64_t now = sim->clock.now, start = pipe->free_at > now ? pipe->free_at : now;
  if (settings->bandwidth) start += (int64_t)(size * 1000000 / (uint64_t)settings->bandwidth);
  pipe->free_at = start;
  int64_t at = start + cql__sim_spread_draw(&settings->latency, &sim->network);
  if (kind == CONNECT) at += cql__sim_spread_draw(&settings->connect, &sim->network);
  if (at < pipe->last_at + gap) at = pipe->last_at + gap;
  pipe->last_at = at;
  parcel *p = cql__sim_alloc(sizeof *p + size);
  p->at = at;
  p->kind = kind;
  p->size = size;
  if (size) memcpy(p->bytes, bytes, size);
  pipe->under_way += size;
  cql__list_append(&pipe->parcels, &p->link);
  if (!cql__sim_timer_is_set(&pipe->timer)) arm(pipe);
}

/* Whole, or in pieces that come one after the other. */
static void post_bytes(cql__sim_pipe *pipe, const uint8_t *bytes, size_t size) {
  cql__sim_wire *wire = pipe->wire;
  cql_sim_t *sim = wire->sim;
  int64_t split = wire->node ? wire->node->settings.split : 0;
  int64_t gap = 0;
  while (split && size > 1) {
    size_t piece = 1 + cql__rand_next(&sim->network) % (uint64_t)split;
    if (piece >= size) break;
    post(pipe, DATA, bytes, piece, gap);
    bytes += piece;
    size -= piece;
    gap = 1 + cql__rand_below(&sim->network, SPLIT_GAP_US);
  }
  post(pipe, DATA, bytes, size, gap);
}

static void empty(cql__sim_pipe *pipe) {
  cql__sim_timer_cancel(&pipe->wire->sim->clock, &pipe->timer);
  while (!cql__list_empty(&pipe->parcels)) {
    parcel *p = cql__container(pipe->parcels.next, parcel, link);
    cql__list_remove(&p->link);
    cql__sim_release(p);
  }
  pipe->under_way = 0;
}

static void free_wire(cql__sim_wire *wire) {
  empty(&wire->up);
  empty(&wire->down);
  cql__list_remove(&wire->link);
  cql__sim_release(wire);
}

/* Both ends have let go, and nobody waits for what is under way. */
static void let_go(cql__sim_wire *wire) {
  if (wire->socket || wire->client || wire->busy) return;
  if (!cql__list_empty(&wire->up.parcels) && !wire->half_open) return;
  free_wire(wire);
}

/* ---- the node's end ---- */

static void carrier_send(void *carrier, const uint8_t *bytes, size_t size) {
  cql__sim_wire *wire = carrier;
  post_bytes(&wire->down, bytes, size);
}

static void carrier_end(void *carrier, int how) {
  cql__sim_wire *wire = carrier;
  wire->client = NULL;
  if (how == CQL__SIM_LOST) {
    empty(&wire->down); /* what comes in when the machine is back finds nobody, and is told so */
  } else if (how == CQL_SIM_HALF_OPEN) {
    wire->half_open = 1;
    empty(&wire->up);
    empty(&wire->down);
  } else {
    post(&wire->down, how == CQL_SIM_RESET ? RESET : END, NULL, 0, 0);
  }
  let_go(wire);
}

static const cql__sim_carrier carrier = {carrier_send, carrier_end};

/* Several may share an IP address, on ports of their own. */
static cql__sim_node *find_node(const cql_sim_t *sim, const cql__address *address) {
  cql__sim_node *found = NULL;
  for (size_t i = 0; i < sim->node_count; i++) {
    cql__sim_node *node = sim->nodes[i];
    const cql__address *other = &node->address;
    if (other->length != address->length ||
        memcmp(other->bytes, address->bytes, other->length) != 0)
      continue;
    if (other->port == address->port) return node;
    if (!found || (cql__sim_is_scylla(node) && node->settings.shard_aware_port == address->port))
      found = node;
  }
  return found;
}

static int64_t accepts(const cql__sim_node *node, uint16_t port) {
  int64_t how = port == node->address.port ? CQL__SIM_ACCEPT : node->settings.shard_accept;
  return how == CQL__SIM_ACCEPT ? node->settings.accept : how;
}

static int listens(const cql__sim_node *node, uint16_t port) {
  if (!node || (node->state != CQL_SIM_UP && node->state != CQL_SIM_PAUSED) ||
      accepts(node, port) == CQL__SIM_REFUSE)
    return 0;
  int shard_aware = cql__sim_is_scylla(node) && port == node->settings.shard_aware_port;
  return port == node->address.port || shard_aware;
}

static void arrive_connect(cql__sim_wire *wire) {
  cql_sim_t *sim = wire->sim;
  if (wire->direct && wire->socket && find_node(sim, &wire->socket->target.address) != wire->node)
    wire->node = NULL; /* it has moved meanwhile */
  cql__sim_node *node = wire->node;
  if (node && accepts(node, wire->port) == CQL__SIM_DROP) {
    cql__sim_trace_line(sim, "%s drops a connection of %d", node->text, wire->place);
    return;
  }
  if (!listens(node, wire->port)) {
    if (node) node->counters.refused++;
    cql__sim_trace_line(sim, "%s refuses a connection of %d", node ? node->text : "nobody",
                        wire->place);
    post(&wire->down, REFUSED, NULL, 0, 0);
    return;
  }
  char address[CQL__ADDRESS_TEXT];
  cql__address from = {
      {10, 0, (uint8_t)(-wire->place >> 8), (uint8_t)-wire->place}, 4, wire->source_port, 0};
  cql__address_to_text(&from, address);
  wire->client = cql__sim_client_new(node, &carrier, wire, wire->port, wire->source_port, address,
                                     wire->place);
  post(&wire->down, CONNECTED, NULL, 0, 0);
}

static void give_room(cql__sim_wire *wire) {
  if (!wire->socket || !wire->node) return;
  int64_t room = wire->node->settings.window - (int64_t)wire->up.under_way;
  cql__sim_socket_room(wire->socket, room > 0 ? room : 0);
}

static void arrive_up(cql__sim_wire *wire, const parcel *p) {
  switch (p->kind) {
    case CONNECT: arrive_connect(wire); break;
    case DATA:
      give_room(wire);
      if (wire->client)
        cql__sim_client_feed(wire->client, p->bytes, p->size); /* which may end it */
      else
        post(&wire->down, RESET, NULL, 0, 0);
      break;
    default:
      if (wire->client) cql__sim_client_closed(wire->client);
      wire->client = NULL;
      break;
  }
}

static void arrive_down(cql__sim_wire *wire, const parcel *p) {
  if (!wire->socket) return;
  switch (p->kind) {
    case CONNECTED:
      give_room(wire);
      cql__sim_socket_opened(wire->socket);
      break;
    case REFUSED: cql__sim_socket_failed(wire->socket, CQL_ECONNECT, "Connection refused"); break;
    case DATA: cql__sim_socket_said(wire->socket, p->bytes, p->size); break;
    case END: cql__sim_socket_ended(wire->socket, 0, "the server closed the connection"); break;
    default: cql__sim_socket_ended(wire->socket, 1, "Connection reset by peer"); break;
  }
}

static void on_arrival(cql__sim_timer *timer) {
  cql__sim_pipe *pipe = cql__container(timer, cql__sim_pipe, timer);
  cql__sim_wire *wire = pipe->wire;
  if (is_blocked(wire)) return; /* what lies here goes on after the healing */
  parcel *p = cql__container(pipe->parcels.next, parcel, link);
  cql__list_remove(&p->link);
  pipe->under_way -= p->size;
  wire->busy = 1;
  if (pipe->to_client)
    arrive_down(wire, p);
  else
    arrive_up(wire, p);
  cql__sim_release(p);
  arm(pipe);
  wire->busy = 0;
  let_go(wire);
}

/* ---- the client's end ---- */

static cql__sim_host *host_of(const cql__sim_sockets *set) {
  return cql__container(set, cql__sim_host, sockets);
}

static void init_pipe(cql__sim_pipe *pipe, cql__sim_wire *wire, int to_client) {
  pipe->wire = wire;
  pipe->to_client = to_client;
  pipe->timer.fire = on_arrival;
  cql__list_init(&pipe->parcels);
}

static uint16_t next_source_port(cql_sim_t *sim) {
  if (sim->next_source_port < SOURCE_PORT_FIRST || sim->next_source_port > SOURCE_PORT_LAST)
    sim->next_source_port = SOURCE_PORT_FIRST;
  return sim->next_source_port++;
}

/* As a machine has it: a local port may have one connection to each node's port. */
static int is_taken(const cql_sim_t *sim, int place, const cql__target *target) {
  const cql__sim_settings *settings = &sim->settings;
  if (target->local_port >= settings->busy_ports_min &&
      target->local_port <= settings->busy_ports_max)
    return 1;
  for (const cql__list *l = sim->wires.next; l != &sim->wires; l = l->next) {
    const cql__sim_wire *wire = cql__container(l, cql__sim_wire, link);
    if (wire->place == place && wire->local_port == target->local_port && wire->socket &&
        cql__address_equal(&wire->socket->target.address, &target->address))
      return 1;
  }
  return 0;
}

/* Where it comes out, and from which port, if something lies between. */
static void lead(cql__sim_wire *wire, const cql__target *target) {
  cql_sim_t *sim = wire->sim;
  const cql__sim_forward *forward = cql__sim_forward_find(sim, target);
  wire->node = forward ? sim->nodes[forward->node] : find_node(sim, &target->address);
  if (!forward && wire->node && wire->node->settings.private) {
    wire->node->counters.astray++;
    wire->node = NULL;
  }
  wire->direct = !forward && wire->node;
  wire->port = forward ? wire->node->address.port : target->address.port;
  wire->local_port = target->local_port ? target->local_port : next_source_port(sim);
  int translated = forward || (wire->node && wire->node->settings.nat);
  wire->source_port = translated ? next_source_port(sim) : wire->local_port;
}

static int on_opening(cql__socket *socket) {
  cql__sim_host *host = host_of(socket->set);
  cql_sim_t *sim = host->sim;
  const cql__target *target = &socket->target;
  if (target->local_port && is_taken(sim, host->place, target)) return CQL__EPORT;
  cql__sim_wire *wire = cql__sim_alloc(sizeof *wire);
  wire->sim = sim;
  wire->host = host;
  wire->socket = socket;
  wire->place = host->place;
  lead(wire, target);
  init_pipe(&wire->up, wire, 0);
  init_pipe(&wire->down, wire, 1);
  socket->owner = wire;
  cql__list_append(&sim->wires, &wire->link);
  post(&wire->up, CONNECT, NULL, 0, 0);
  return 0;
}

static void on_wrote(cql__socket *socket, const uint8_t *bytes, size_t size) {
  cql__sim_wire *wire = socket->owner;
  if (wire->half_open)
    wire->up.under_way += size; /* until the window is full */
  else
    post_bytes(&wire->up, bytes, size);
}

static void on_closed(cql__socket *socket) {
  cql__sim_wire *wire = socket->owner;
  wire->socket = NULL;
  empty(&wire->down);
  if (!wire->half_open) post(&wire->up, END, NULL, 0, 0);
  let_go(wire);
}

typedef struct answer_timer {
  cql__sim_timer timer;
  cql__sim_lookup *lookup;
} answer_timer;

static void on_resolved(cql__sim_timer *timer) {
  answer_timer *at = cql__container(timer, answer_timer, timer);
  const cql_sim_t *sim = host_of(at->lookup->set)->sim;
  const cql__sim_named *found = cql__sim_named_find(sim->names, sim->name_count, at->lookup->name);
  if (found && !found->value) return; /* for ever */
  cql__sim_lookup_answer(at->lookup, found ? found->value : "");
}

static void on_resolving(cql__sim_lookup *lookup) {
  cql_sim_t *sim = host_of(lookup->set)->sim;
  answer_timer *at = cql__sim_alloc(sizeof *at);
  at->timer.fire = on_resolved;
  at->lookup = lookup;
  lookup->owner = at;
  int64_t delay = cql__sim_spread_draw(&sim->settings.resolve, &sim->network);
  cql__sim_timer_set(&sim->clock, &at->timer, sim->clock.now + delay);
}

static void on_told(cql__sim_lookup *lookup) {
  answer_timer *at = lookup->owner;
  cql__sim_timer_cancel(&host_of(lookup->set)->sim->clock, &at->timer);
  cql__sim_release(at);
}

const cql__sim_socket_events cql__sim_network_events = {on_opening, on_wrote, on_closed,
                                                        on_resolving, on_told};

/* ---- for the world ---- */

void cql__sim_network_kick(cql_sim_t *sim) {
  for (cql__list *l = sim->wires.next; l != &sim->wires; l = l->next) {
    cql__sim_wire *wire = cql__container(l, cql__sim_wire, link);
    arm(&wire->up);
    arm(&wire->down);
  }
}

void cql__sim_wires_end(cql__sim_node *node, int how) {
  while (!cql__list_empty(&node->clients))
    cql__sim_client_end(cql__container(node->clients.next, cql__sim_client, link), how);
}

void cql__sim_wires_free(cql_sim_t *sim) {
  while (!cql__list_empty(&sim->wires))
    free_wire(cql__container(sim->wires.next, cql__sim_wire, link));
}
