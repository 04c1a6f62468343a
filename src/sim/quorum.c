/* Quorum: whether enough nodes take part in a request; what is answered if not. */
#include "sim/dispatch.h"
#include "sim/world.h"
#include "wire/proto.h"

enum { TRUNCATE_ERROR = 0x1003 };

typedef struct tally {
  int required, alive, reachable;
} tally;

static int is_reachable(const cql__sim_node *node, const cql__sim_node *other) {
  return other == node || (other->state == CQL_SIM_UP && !other->vanished &&
                           !cql__sim_is_cut(node->sim, node->index, other->index));
}

/* Counts those that `datacenter` (NULL: any) has. */
static tally count_replicas(const cql__sim_node *node, const cql__sim_replicas *r, int consistency,
                            const char *datacenter) {
  tally t = {0, 0, 0};
  int factor = 0;
  for (int i = 0; i < r->count; i++) {
    const cql__sim_node *other = node->sim->nodes[r->list[i].node];
    if (datacenter && strcmp(datacenter, other->datacenter) != 0) continue;
    factor++;
    t.alive += cql__sim_sees_up(node, other);
    t.reachable += is_reachable(node, other);
  }
  t.required = cql__sim_required(consistency, factor);
  return t;
}

static int is_local(int consistency) {
  return consistency == CQL_LOCAL_ONE || consistency == CQL_LOCAL_QUORUM ||
         consistency == CQL_LOCAL_SERIAL;
}

/* EACH_QUORUM: the worst of the datacenters. */
static tally count_each(const cql__sim_node *node, const cql__sim_replicas *r) {
  tally worst = {0, 0, 0};
  for (int i = 0; i < r->count; i++) {
    const cql__sim_node *other = node->sim->nodes[r->list[i].node];
    tally t = count_replicas(node, r, CQL_QUORUM, other->datacenter);
    if (i == 0 || t.reachable - t.required < worst.reachable - worst.required) worst = t;
  }
  return worst;
}

int cql__sim_quorum_refuses(const cql__sim_client *client, const cql__sim_request *request,
                            const cql__statement_shape *shape, const cql__sim_replicas *r,
                            int write, cql__sim_answer *answer, int *applied) {
  const cql__sim_node *node = client->node;
  int consistency = request->consistency;
  if (shape->conditional) consistency = request->serial >= 0 ? request->serial : CQL_SERIAL;
  if (write && consistency == CQL_ANY) return 0;
  const char *datacenter = is_local(consistency) ? node->datacenter : NULL;
  tally t = consistency == CQL_EACH_QUORUM ? count_each(node, r)
                                           : count_replicas(node, r, consistency, datacenter);
  cql__sim_error error = {.consistency = consistency, .required = t.required};
  int scylla = cql__sim_is_scylla(node);
  if (t.alive < t.required) {
    error.code = 0x1000;
    error.received = t.alive;
    cql__sim_answer_error(answer, &error, request->version, scylla);
    return 1;
  }
  if (t.reachable >= t.required) return 0;
  error.code = write ? 0x1100 : 0x1200;
  error.received = t.reachable;
  error.data_present = t.reachable > 0;
  error.write_type = shape->conditional              ? "CAS"
                     : shape->counter                ? "COUNTER"
                     : request->opcode == CQL__BATCH ? "BATCH"
                                                     : "SIMPLE";
  const cql__sim_settings *settings = &node->sim->settings;
  answer->delay =
      cql__sim_draw(node->sim, write ? &settings->write_timeout : &settings->read_timeout);
  *applied = write && t.reachable > 0 && !shape->conditional;
  cql__sim_answer_error(answer, &error, request->version, scylla);
  return 1;
}

static int all_are_well(const cql__sim_node *node) {
  const cql_sim_t *sim = node->sim;
  for (size_t i = 0; i < sim->node_count; i++) {
    const cql__sim_node *other = sim->nodes[i];
    if (other->member && (other->state != CQL_SIM_UP || !cql__sim_sees_up(node, other))) return 0;
  }
  return sim->cut_count == 0;
}

int cql__sim_quorum_refuses_scan(const cql__sim_client *client, const cql__sim_request *request,
                                 const cql__statement_shape *shape, cql__sim_answer *answer) {
  cql_sim_t *sim = client->node->sim;
  int64_t token;
  int applied;
  cql__sim_replicas r;
  if (shape->kind != CQL__STATEMENT_READ || all_are_well(client->node)) return 0;
  for (size_t i = 0; cql__sim_ring_point(sim, i, &token); i++) {
    r.count = cql__sim_replicas_of(sim, shape->keyspace, shape->table, token, r.list, NULL, NULL);
    if (r.count < 0) return 0;
    if (cql__sim_quorum_refuses(client, request, shape, &r, 0, answer, &applied)) return 1;
  }
  return 0;
}

int cql__sim_quorum_refuses_truncate(const cql__sim_node *node, cql__sim_answer *answer,
                                     int *applied) {
  static const char down[] = "Error during truncate: Cannot achieve consistency level ALL";
  static const char late[] = "Error during truncate: Truncate timed out";
  const cql_sim_t *sim = node->sim;
  const char *why = NULL;
  for (size_t i = 0; i < sim->node_count && why != down; i++) {
    const cql__sim_node *other = sim->nodes[i];
    if (!other->member) continue;
    if (!cql__sim_sees_up(node, other))
      why = down;
    else if (!is_reachable(node, other))
      why = late;
  }
  if (!why) return 0;
  *applied = why == late;
  if (*applied) answer->delay = cql__sim_draw(node->sim, &sim->settings.truncate_timeout);
  cql__sim_answer_fail(answer, TRUNCATE_ERROR, why);
  return 1;
}
