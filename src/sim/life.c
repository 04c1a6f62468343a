/* Life: nodes start, die, stand still and leave. */
#include "sim/dispatch.h"
#include "sim/world.h"

static void on_booted(cql__sim_timer *timer) {
  cql__sim_node *node = cql__container(timer, cql__sim_node, booting);
  cql_sim_t *sim = node->sim;
  node->state = CQL_SIM_UP;
  cql__sim_news_forget(node);
  cql__store_version(cql__sim_store(sim), node->schema_version);
  node->schema_number = sim->schema_changes;
  cql__sim_tablets_fit(sim, node);
  if (!node->member) {
    node->member = 1;
    cql__sim_node_take_tokens(node);
    cql__sim_ring_change(&sim->ring);
  }
  *cql__sim_view_of(node, node->index) = CQL__SIM_KNOWN | CQL__SIM_SEEN_UP;
  cql__sim_trace_line(sim, "%s is up", node->text);
  cql__sim_gossip(sim, node, 0);
  cql__sim_network_kick(sim);
}

static int refuse(cql_sim_t *sim, const cql__sim_node *node, const char *what) {
  static const char *const states[] = {"new", "booting", "up", "paused", "down", "gone"};
  return cql__sim_mistake(sim, CQL_EINVAL, "node %d is %s: it can't %s", node->index,
                          states[node->state], what);
}

/* The others go on looking for it where it was, until they hear of it. */
static void take_address(cql__sim_node *node) {
  const cql_sim_t *sim = node->sim;
  if (!node->next.length) return;
  node->before = node->address;
  node->address = node->next;
  node->next.length = 0;
  cql__address_to_text(&node->address, node->text);
  for (size_t i = 0; i < sim->node_count; i++) {
    uint8_t *view = cql__sim_view_of(sim->nodes[i], node->index);
    if (sim->nodes[i] != node && *view & CQL__SIM_KNOWN) *view |= CQL__SIM_SEEN_BEFORE;
  }
}

/* Who hasn't noticed that it was down hears of both [Cassandra, StorageService.onRestart]. */
static void begin_life(cql__sim_node *node) {
  const cql_sim_t *sim = node->sim;
  for (size_t i = 0; i < sim->node_count; i++) {
    uint8_t *view = cql__sim_view_of(sim->nodes[i], node->index);
    if (sim->nodes[i] != node && *view & CQL__SIM_SEEN_UP) *view |= CQL__SIM_SEEN_OLDER;
  }
}

int cql_sim_node_start(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (node->state != CQL_SIM_NEW && node->state != CQL_SIM_DOWN) return refuse(sim, node, "start");
  node->state = CQL_SIM_BOOTING;
  node->vanished = 0;
  take_address(node);
  begin_life(node);
  cql__sim_trace_line(sim, "%s starts", node->text);
  int64_t delay = cql__sim_draw(sim, &node->settings.boot);
  node->booting.fire = on_booted;
  if (delay == 0)
    on_booted(&node->booting);
  else
    cql__sim_timer_set(&sim->clock, &node->booting, sim->clock.now + delay);
  if (delay) cql__sim_gossip(sim, node, 0); /* its gossip begins before it serves clients */
  return 0;
}

/* Down, whatever it was; what it kept in memory is gone. */
static void go_down(cql__sim_node *node, int how, int failed) {
  cql_sim_t *sim = node->sim;
  cql__sim_timer_cancel(&sim->clock, &node->booting);
  node->state = node->member ? CQL_SIM_DOWN : CQL_SIM_NEW;
  cql__sim_wires_end(node, how);
  cql__sim_prepared_forget(node, NULL);
  cql__sim_gossip(sim, node, failed);
}

static int is_running(const cql__sim_node *node) {
  return node->state == CQL_SIM_BOOTING || node->state == CQL_SIM_UP ||
         node->state == CQL_SIM_PAUSED;
}

int cql_sim_node_kill(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (!is_running(node)) return refuse(sim, node, "be killed");
  cql__sim_trace_line(sim, "%s is killed", node->text);
  go_down(node, CQL_SIM_RESET, 1);
  return 0;
}

int cql_sim_node_stop(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (!is_running(node)) return refuse(sim, node, "stop");
  cql__sim_trace_line(sim, "%s stops", node->text);
  go_down(node, CQL_SIM_CLOSE, 0);
  return 0;
}

int cql_sim_node_vanish(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (!is_running(node)) return refuse(sim, node, "vanish");
  cql__sim_trace_line(sim, "%s vanishes", node->text);
  node->vanished = 1;
  go_down(node, CQL__SIM_LOST, 1);
  return 0;
}

int cql_sim_node_pause(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (node->state != CQL_SIM_UP) return refuse(sim, node, "be paused");
  cql__sim_trace_line(sim, "%s is paused", node->text);
  node->state = CQL_SIM_PAUSED;
  cql__sim_gossip(sim, node, 1);
  return 0;
}

int cql_sim_node_resume(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (node->state != CQL_SIM_PAUSED) return refuse(sim, node, "be resumed");
  cql__sim_trace_line(sim, "%s is resumed", node->text);
  node->state = CQL_SIM_UP;
  cql__list *next;
  for (cql__list *l = node->clients.next; l != &node->clients; l = next) {
    next = l->next;
    cql__sim_client_resume(cql__container(l, cql__sim_client, link));
  }
  cql__sim_news_hear(node);
  cql__sim_gossip(sim, node, 0);
  cql__sim_network_kick(sim);
  return 0;
}

int cql_sim_node_decommission(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (node->state != CQL_SIM_UP) return refuse(sim, node, "be decommissioned");
  cql__sim_trace_line(sim, "%s leaves", node->text);
  cql__sim_gossip_arrives(sim, node); /* it takes its time to hand over what it has */
  node->member = 0;
  cql__sim_ring_change(&sim->ring);
  cql__sim_tablets_leave(sim, node->index);
  go_down(node, CQL_SIM_CLOSE, 0);
  node->state = CQL_SIM_GONE;
  return 0;
}

int cql_sim_node_forget(cql_sim_t *sim, int index, const char *text) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  cql__sim_prepared_forget(node, text);
  return 0;
}
