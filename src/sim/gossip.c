/* Gossip: what a node has heard of the others, and what it tells its clients of them. */
#include "sim/world.h"
#include "wire/proto.h"

/* ---- what it sees of the others ---- */

uint8_t *cql__sim_view_of(cql__sim_node *node, int32_t other) {
  size_t count = node->sim->node_count;
  if (node->view_count < count) {
    node->views = cql__sim_realloc(node->views, count);
    memset(node->views + node->view_count, 0, count - node->view_count);
    node->view_count = count;
  }
  return &node->views[other];
}

int cql__sim_sees_up(const cql__sim_node *node, const cql__sim_node *other) {
  if (node == other) return 1;
  return (size_t)other->index < node->view_count && node->views[other->index] & CQL__SIM_SEEN_UP;
}

const cql__address *cql__sim_address_as_seen(const cql__sim_node *node,
                                             const cql__sim_node *other) {
  int before =
      (size_t)other->index < node->view_count && node->views[other->index] & CQL__SIM_SEEN_BEFORE;
  return before ? &other->before : &other->address;
}

/* As it would be if all news had arrived. */
static uint8_t truth(const cql__sim_node *node, const cql__sim_node *other) {
  uint8_t known = other->member ? CQL__SIM_KNOWN : 0;
  int answers = other->state == CQL_SIM_UP && cql__sim_node_runs(other) &&
                !cql__sim_is_cut(node->sim, node->index, other->index);
  return known && answers ? known | CQL__SIM_SEEN_UP : known;
}

static void tell_of_change(cql__sim_node *node, const cql__sim_node *other, uint8_t before,
                           uint8_t now) {
  if (now & CQL__SIM_KNOWN && !(before & CQL__SIM_KNOWN))
    cql__sim_node_tell_of(node, "TOPOLOGY_CHANGE", "NEW_NODE", other);
  if ((now ^ before) & CQL__SIM_SEEN_UP)
    cql__sim_node_tell_of(node, "STATUS_CHANGE", now & CQL__SIM_SEEN_UP ? "UP" : "DOWN", other);
  if (!(now & CQL__SIM_KNOWN) && before & CQL__SIM_KNOWN)
    cql__sim_node_tell_of(node, "TOPOLOGY_CHANGE", "REMOVED_NODE", other);
}

static void see(cql__sim_node *node, cql__sim_node *other) {
  uint8_t *view = cql__sim_view_of(node, other->index), now = truth(node, other), before = *view;
  /* Where nothing comes through, nothing is learned but silence. */
  if (node != other && cql__sim_is_cut(node->sim, node->index, other->index))
    now = (uint8_t)((now & CQL__SIM_SEEN_UP) | (before & (CQL__SIM_KNOWN | CQL__SIM_SEEN_BEFORE)));
  if (before == now) return;
  if (now) *view = now; /* else it is told of at the address where it was known */
  if (now && before & ~now & CQL__SIM_SEEN_BEFORE) before = 0; /* as a node that nobody knew */
  cql__sim_trace_line(node->sim, "%s sees %s %s", node->text, other->text,
                      now & CQL__SIM_SEEN_UP ? "up"
                      : now                  ? "down"
                                             : "gone");
  if (before & CQL__SIM_SEEN_OLDER && now & CQL__SIM_SEEN_UP) { /* it has gone, and come back */
    if (cql__sim_node_runs(node)) tell_of_change(node, other, before, CQL__SIM_KNOWN);
    before = CQL__SIM_KNOWN;
  }
  if (cql__sim_node_runs(node)) tell_of_change(node, other, before, now);
  *view = now;
}

/* One that stands still hears of it when it goes on: see cql_sim_node_resume(). */
static void hear(cql__sim_node *node, cql__sim_node *other) {
  if (node->state != CQL_SIM_PAUSED) see(node, other);
}

static void on_news(cql_sim_t *sim, const int32_t *what) {
  hear(sim->nodes[what[0]], sim->nodes[what[1]]);
}

/* Before time has begun to pass, all know all. */
void cql__sim_gossip(cql_sim_t *sim, cql__sim_node *about, int failed) {
  const cql__sim_spread *spread = failed ? &sim->settings.detection : &sim->settings.gossip;
  for (size_t i = 0; i < sim->node_count; i++) {
    cql__sim_node *node = sim->nodes[i];
    if (node == about) continue;
    if (sim->clock.now == 0) {
      see(node, about);
      see(about, node);
      continue;
    }
    if (*cql__sim_view_of(node, about->index) != truth(node, about))
      cql__sim_later(sim, cql__sim_draw(sim, spread), on_news, node->index, about->index, 0, 0);
    if (*cql__sim_view_of(about, node->index) != truth(about, node))
      cql__sim_later(sim, cql__sim_draw(sim, spread), on_news, about->index, node->index, 0, 0);
  }
}

void cql__sim_gossip_arrives(cql_sim_t *sim, cql__sim_node *about) {
  for (size_t i = 0; i < sim->node_count; i++)
    if (sim->nodes[i] != about) hear(sim->nodes[i], about);
}

/* ---- events ---- */

int cql__sim_node_tell(cql__sim_node *node, int registered, cql_slice_t body) {
  int told = 0;
  cql__list *next;
  for (cql__list *l = node->clients.next; l != &node->clients; l = next) {
    next = l->next;
    cql__sim_client *client = cql__container(l, cql__sim_client, link);
    if (!(client->registered & registered) || !cql__sim_node_reads(node)) continue;
    uint8_t header[CQL__HEADER_SIZE] = {(uint8_t)(0x80 | client->version), 0, 0xFF, 0xFF,
                                        CQL__EVENT};
    cql__sim_trace_message(node->sim, node->text, client->id, 1, header, body.data,
                           (size_t)body.length);
    cql__sim_client_envelope(client, client->version, 0, -1, CQL__EVENT, body);
    cql__sim_client_flush(client);
    node->counters.events++;
    told++;
  }
  return told;
}

int cql__sim_node_tell_of(cql__sim_node *node, const char *type, const char *change,
                          const cql__sim_node *about) {
  cql__sim_buffer body = {0};
  const cql__address *address = cql__sim_address_as_seen(node, about);
  cql__sim_put_string(&body, type);
  cql__sim_put_string(&body, change);
  cql__sim_put_u8(&body, address->length);
  cql__sim_put(&body, address->bytes, address->length);
  cql__sim_put_u32(&body, address->port);
  int told =
      cql__sim_node_tell(node, strcmp(type, "TOPOLOGY_CHANGE") == 0 ? 1 : 2, cql__sim_slice(&body));
  cql__sim_buffer_free(&body);
  return told;
}
