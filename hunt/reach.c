/* Reach: worlds whose nodes' own addresses lead nowhere: their hosts are asked where nodes are, or
 * ScyllaDB's client routes tell. Each node is behind an address of a proxy, which may change. */
#include <stdio.h>
#include <string.h>

#include "report.h"
#include "world.h"

enum { RIGHT, TO_NOBODY, UNTOLD, WAYS };
enum { DOOR_OF_NOBODY = 60000, PORT = 9042, ANSWERS = 12 };

/* Doors are addresses and ports by number; the first ones are those of contact points, whose port
 * is taken for that of the nodes. */
typedef struct door {
  char host[24];
  int port;
} door;

static door door_at(int number) {
  door d = {.port = PORT + number / NODES_MAX % 3};
  snprintf(d.host, sizeof d.host, "10.9.%d.%d", number / 200, 1 + number % 200);
  return d;
}

static door door_told(int node) {
  return door_at(w.reach[node].way == TO_NOBODY ? DOOR_OF_NOBODY : w.reach[node].door);
}

void reach_points(char *out, size_t size) {
  size_t used = 0;
  for (int i = 0; i < w.contact_count && used < size; i++) {
    door d = door_at(i);
    const char *host = OF(&w.script, reached) ? d.host : cql_sim_node_address(w.sim, i);
    used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "", host);
  }
}

static void lead(int number, int node) {
  door d = door_at(number);
  CHECK(cql_sim_forward(w.sim, d.host, d.port, node, NULL) == 0, "%s", cql_sim_error(w.sim));
}

/* The routes' table has it as a host would answer. */
static void tell(int node) {
  door d = door_told(node);
  if (OF(&w.script, reached) == REACHED_BY_ROUTES)
    cql_sim_route(w.sim, "one", node, w.reach[node].way == UNTOLD ? NULL : d.host, d.port, 0);
}

void reach_begin(int node) {
  if (!OF(&w.script, reached)) return;
  w.reach[node].door = node;
  lead(node, node);
  tell(node);
}

/* Contact points stay; other doors close at once. */
static void move(int node) {
  reach *r = &w.reach[node];
  if (r->door >= NODES_MAX) lead(r->door, -1);
  r->door = NODES_MAX + w.doors++;
  lead(r->door, node);
}

int reach_change(int node, uint64_t how) {
  if (!OF(&w.script, reached)) return 0;
  w.reach[node].way = (uint8_t)(how % WAYS);
  if (w.reach[node].way == RIGHT) move(node);
  tell(node);
  fault_replaces();
  return w.reach[node].way != RIGHT;
}

void reach_repair(int node) {
  if (w.reach[node].way == RIGHT) return;
  w.reach[node].way = RIGHT;
  tell(node);
}

/* ---- what hosts answer ---- */

static int say(guest *g, uint32_t tag, int node) {
  char text[40];
  door d = door_told(node);
  int size = snprintf(text, sizeof text, "%s:%d", d.host, d.port);
  int untold = w.reach[node].way == UNTOLD;
  w.untold += (uint64_t)untold;
  return cql_answer(g->session, tag, (const uint8_t *)text, untold ? CQL_NULL : size);
}

static int keep_late(guest *g, uint32_t tag, int node) {
  for (int i = 0; i < LATE_MAX; i++) {
    if (g->late[i].at) continue;
    int64_t at = world_now() + (world_chance(2) ? 20 : 150) * MILLISECOND;
    g->late[i] = (delayed){.at = at, .tag = tag, .node = node};
    return 1;
  }
  return 0;
}

/* Without an answer it is sought at its own address. */
void reach_asked(guest *g, const cql_completion_t *c) {
  enum { MISSING, DECLINED, WRONG, LATE };
  static const char nonsense[] = "somewhere else";
  int node = place_number(c->event->node);
  CHECK(node >= 0, "it is asked where %s is, of which nobody has told", c->event->address);
  int is_steady = w.calm || !(OF(&w.script, faults) & BIT(STEP_REROUTE));
  int way = is_steady ? ANSWERS : (int)world_chance(ANSWERS);
  if (way <= LATE) fault_unreached();
  if (way == MISSING || way == DECLINED || way == LATE) w.untold++;
  if (way == MISSING || (way == LATE && keep_late(g, c->tag, node))) return;
  if (way == WRONG)
    CHECK(cql_answer(g->session, c->tag, (const uint8_t *)nonsense, sizeof nonsense - 1) ==
              CQL_EINVAL,
          "an endpoint that is none is taken");
  if (way == DECLINED)
    cql_answer(g->session, c->tag, NULL, CQL_NULL);
  else
    say(g, c->tag, node); /* whose connection has gone wants no answer */
}

void reach_answer(guest *g) {
  for (int i = 0; i < LATE_MAX; i++) {
    if (!g->late[i].at || g->late[i].at > world_now()) continue;
    g->late[i].at = 0;
    say(g, g->late[i].tag, g->late[i].node);
  }
}

void reach_judge(const cql_sim_counters_t *counters) {
  CHECK(counters->astray <= w.untold, "own addresses are dialled %d times, and may %d times",
        (int)counters->astray, (int)w.untold);
}
