/* Place: who is in the cluster and how near, what sessions are told of it, and where their requests
 * must go by that. */
#include <stdio.h>
#include <string.h>

#include "chance.h"
#include "report.h"
#include "world.h"

enum { PURPOSE_NEAR = 7, TARGETS_MAX = 2 * NODES_MAX };
enum { CHANGES_MS = 6000, PASS_MS = 4000, KEYS = 24, AT_ONCE = 16 };

static const char *const names[] = {"rack", "local", "remote", "ignored"};

/* ---- how near ---- */

/* The configuration's. Nodes and their datacenters take turns: see world_add_node(). */
static uint8_t by_default(int node) {
  const script *s = &w.script;
  if (OF(s, home) == HOME_UNTOLD || !OF(s, discover)) return CQL_DISTANCE_LOCAL;
  if (node % OF(s, datacenters) != 0)
    return OF(s, home) == HOME_FAILOVER ? CQL_DISTANCE_REMOTE : CQL_DISTANCE_IGNORED;
  int is_rack = OF(s, home) == HOME_RACK && node / OF(s, datacenters) % OF(s, racks) == 0;
  return is_rack ? CQL_DISTANCE_RACK : CQL_DISTANCE_LOCAL;
}

/* The hosts' opinion at the moment: the first node is never ignored. */
static uint8_t by_host(int node) {
  uint64_t number = chance_at(w.script.seed + w.epoch, PURPOSE_NEAR, (uint64_t)node);
  return (uint8_t)(number % (node ? 4 : 3));
}

uint8_t place_distance(const guest *g, int node) { return g->near[node].distance; }

void place_begin(guest *g) {
  for (int i = 0; i < NODES_MAX; i++) {
    uint8_t distance = by_default(i);
    g->near[i] = (nearness){.distance = distance, .ignored_from = UINT64_MAX};
    if (!OF(&w.script, ask) && distance == CQL_DISTANCE_IGNORED) g->near[i].ignored_from = 0;
  }
}

static int number_at(const char *address) {
  for (int i = 0; i < w.node_count; i++)
    if (strcmp(cql_sim_node_address(w.sim, i), address) == 0) return i;
  return -1;
}

static int number_of(const cql_node_t *node, cql_node_info_t *info) {
  static const uint8_t unknown[16];
  int error = cql_node_info(node, info);
  CHECK(error == 0, "a node can't be described: %s", cql_error_name(error));
  if (!memcmp(info->host_id, unknown, 16)) return number_at(info->address);
  for (int i = 0; i < w.node_count; i++)
    if (!memcmp(info->host_id, w.host_ids[i], 16)) return i;
  fail("a node that isn't in the world");
}

int place_number(const cql_node_t *node) {
  cql_node_info_t info;
  return number_of(node, &info);
}

/* ---- questions ---- */

static int say(guest *g, uint32_t tag, const char *name) {
  int32_t length = name ? (int32_t)strlen(name) : CQL_NULL;
  return cql_answer(g->session, tag, (const uint8_t *)name, length);
}

static void answered(nearness *near, uint8_t distance) {
  near->distance = distance;
  near->answer_at = 0;
  if (distance == CQL_DISTANCE_IGNORED) near->ignored_from = (uint64_t)w.submitted;
}

/* Some answers are missing, wrong, late or refused: the default is taken. */
void place_asked(guest *g, const cql_completion_t *c) {
  enum { MISSING, DECLINED, WRONG, LATE, ANSWERS = 8 };
  int node = place_number(c->event->node), way = (int)world_chance(ANSWERS);
  if (node < 0) return;
  nearness *near = &g->near[node];
  *near = (nearness){by_default(node), c->tag, 0, UINT64_MAX};
  if (way == LATE) near->answer_at = world_now() + (world_chance(2) ? 20 : 150) * MILLISECOND;
  if (way == MISSING || way == LATE) return;
  if (way == WRONG) CHECK(say(g, c->tag, "near") == CQL_EINVAL, "a distance that is none is taken");
  uint8_t distance = by_host(node);
  int error = say(g, c->tag, way == DECLINED ? NULL : names[distance]);
  if (error == CQL_EINVAL) return; /* a newer question is on its way */
  CHECK(error == 0, "an answer is refused: %s", cql_error_name(error));
  if (way != DECLINED) answered(near, distance);
}

void place_answer(guest *g) {
  if (!OF(&w.script, ask)) return;
  for (int i = 0; i < w.node_count; i++) {
    nearness *near = &g->near[i];
    if (!near->answer_at || near->answer_at > world_now()) continue;
    uint8_t distance = by_host(i);
    near->answer_at = 0;
    if (say(g, near->tag, names[distance]) == 0) answered(near, distance);
  }
}

void place_refresh(void) {
  w.epoch++;
  for (int i = 0; i < w.guest_count; i++)
    if (guest_serves(&w.guests[i])) cql_session_refresh_distances(w.guests[i].session);
}

/* ---- where a request may go ---- */

static int is_up(int node) { return cql_sim_node_state(w.sim, node) == CQL_SIM_UP; }

int64_t place_token(int key) {
  uint8_t bytes[8] = {0};
  bytes[7] = (uint8_t)key;
  return cql_sim_token(bytes, sizeof bytes);
}

/* A mask of the nodes that are nearest of all in `among`, and not ignored. */
static uint32_t nearest(const guest *g, uint32_t among) {
  for (int distance = 0; distance < CQL_DISTANCE_IGNORED; distance++) {
    uint32_t found = 0;
    for (int i = 0; i < w.node_count; i++)
      if (among & 1u << i && is_up(i) && place_distance(g, i) == distance) found |= 1u << i;
    if (found) return found;
  }
  return 0;
}

static uint32_t allowed(const guest *g, int key) {
  int32_t pairs[TARGETS_MAX];
  int count = cql_sim_replicas(w.sim, "ks", "t", place_token(key), pairs, NODES_MAX);
  uint32_t replicas = 0;
  for (int i = 0; i < count && i < NODES_MAX; i++) replicas |= 1u << pairs[2 * i];
  uint32_t found = nearest(g, replicas);
  return found ? found : nearest(g, UINT32_MAX);
}

void place_judge_plan(const guest *g, const asked *a, cql_request_t *request) {
  cql_target_t targets[TARGETS_MAX];
  uint32_t count = cql_request_plan(request, TARGETS_MAX, targets), first = 0, seen = 0;
  CHECK(count <= (uint32_t)w.node_count + (uint32_t)w.moves, "a plan of %u nodes", count);
  int before = 0, is_replica = 1;
  for (uint32_t i = 0; i < count; i++) {
    cql_node_info_t info;
    int node = number_of(targets[i].node, &info);
    cql_node_unref(targets[i].node);
    if (node < 0) continue;
    if (!seen) first = 1u << node;
    CHECK(!(seen & 1u << node), "a plan names a node twice");
    seen |= 1u << node;
    CHECK(info.distance != CQL_DISTANCE_IGNORED, "a plan names a node that is ignored");
    CHECK(is_replica || !targets[i].replica, "in a plan a replica stands behind others");
    if (is_replica && !targets[i].replica) before = 0;
    is_replica = targets[i].replica;
    CHECK(info.distance >= before, "in a plan a nearer node stands behind others");
    before = info.distance;
  }
  int is_known = a->placed && (!w.has_tablets || g->strayed & 1u << a->key);
  CHECK(!is_known || first & allowed(g, a->key), "a plan begins with nodes %x, not with any of %x",
        first, allowed(g, a->key));
}

/* In a world where nothing happens: all know all after a while, and those under way are so few that
 * they'd find room on one connection. Where tablets are only answers tell, which may not come. */
int place_is_sure(guest *g, int key) {
  enum { FEW = 400 }; /* so that a connection has little unsent, too */
  const script *s = &w.script;
  if (s->drawn_faults || !OF(s, discover) || w.has_tablets || key >= KEYS) return 0;
  cql_metrics_t m;
  cql_session_metrics(g->session, &m);
  int64_t under_way = g->open + m.orphans + m.own, streams = guest_streams();
  return under_way < FEW && under_way < streams && m.orphans * 2 < streams &&
         m.connections == judge_wanted(g);
}

/* The shard of that node which has the key; -1: none, or it has but one. */
static int shard_of(int key, int node) {
  int32_t pairs[TARGETS_MAX];
  int count = cql_sim_replicas(w.sim, "ks", "t", place_token(key), pairs, NODES_MAX);
  for (int i = 0; w.shards[node] > 1 && i < count && i < NODES_MAX; i++)
    if (pairs[2 * i] == node) return pairs[2 * i + 1];
  return -1;
}

/* Where a tablet is isn't known until one who hasn't got it was asked. */
void place_judge_answer(guest *g, const asked *a, const cql_completion_t *c) {
  int node = c->address ? number_at(c->address) : -1;
  if (node < 0) return;
  CHECK(a->number < g->near[node].ignored_from, "node %d is asked, and is ignored", node);
  if (!a->placed || c->status == CQL_ETOOBIG) return; /* too big to tell of its tablet either */
  int shard = shard_of(a->key, node), is_right = shard < 0 || c->shard == shard;
  if (!w.calm && (c->status || c->attempts > 1)) return; /* it went on to others */
  if (c->attempts > 1) is_right = 1; /* it was sent again over the connection that prepared it */
  if (is_right && allowed(g, a->key) & 1u << node) return;
  int is_first = w.has_tablets && !(g->strayed & 1u << a->key);
  g->strayed |= 1u << a->key;
  CHECK(is_first, "key %d is asked of nodes %x, shard %d, not of %x, shard %d", a->key, 1u << node,
        c->shard, allowed(g, a->key), shard);
}

/* ---- at rest ---- */

/* The session's nodes are the world's, and as near as it was told. */
static void judge_members(const guest *g) {
  cql_node_t *nodes[TARGETS_MAX];
  uint32_t count = cql_session_nodes(g->session, TARGETS_MAX, nodes), known = 0, there = 0;
  CHECK(count <= NODES_MAX, "a session with %u nodes", count);
  for (uint32_t i = 0; i < count; i++) {
    cql_node_info_t info;
    int node = number_of(nodes[i], &info);
    cql_node_unref(nodes[i]);
    CHECK(node >= 0 && number_at(info.address) == node, "node %d has another address than %s", node,
          info.address);
    known |= 1u << node;
    CHECK(info.distance == place_distance(g, node), "node %d is %s, and should be %s", node,
          names[info.distance], names[place_distance(g, node)]);
  }
  for (int i = 0; i < w.node_count; i++)
    if (cql_sim_node_state(w.sim, i) != CQL_SIM_GONE) there |= 1u << i;
  CHECK(known == there, "a session knows nodes %x of %x", known, there);
}

/* Each key once. Answers that are owed may hold half of a connection's streams; those left must do
 * for all that are asked at once, or some would go beside their replica. */
static void pass(guest *g, int is_judged) {
  int64_t at_once = (guest_streams() + 1) / 2;
  if (at_once > AT_ONCE) at_once = AT_ONCE;
  if (OF(&w.script, slots) && OF(&w.script, slots) < at_once) at_once = OF(&w.script, slots);
  for (int key = 0; key < KEYS; key++) {
    wish what = {.kind = KIND_EXECUTE, .key = key, .placed = is_judged};
    CHECK(load_submit(g, &what, 0, NULL), "at rest nothing can be asked");
    if (w.open >= at_once) world_end("at rest", PASS_MS);
  }
  world_end("at rest", PASS_MS);
}

static int is_ready(guest *g) {
  wish what = {.kind = KIND_SETUP};
  if (!g->statements[FATE_GOOD]) load_submit(g, &what, FATE_GOOD, NULL);
  world_end("at rest", PASS_MS);
  return g->statements[FATE_GOOD] != NULL;
}

/* Whatever sessions remember of places no longer holds. */
static void change_places(void) {
  char replica[32];
  if (OF(&w.script, ask)) place_refresh();
  fault_reshard((int)world_chance(w.node_count), world_chance(64));
  for (int key = 0; w.has_tablets && key < KEYS; key += 5) {
    int node = (int)world_chance(w.node_count);
    if (!is_up(node)) continue;
    snprintf(replica, sizeof replica, "%d:0", node);
    cql_sim_tablet_move(w.sim, "ks", "t", place_token(key), replica);
  }
  for (int i = 0; i < w.guest_count; i++) w.guests[i].strayed = 0;
  world_run_for((int64_t)CHANGES_MS * MILLISECOND);
}

static uint64_t strays(void) {
  cql_sim_counters_t counters;
  cql_sim_counters(w.sim, CQL_SIM_ALL, &counters);
  return counters.not_replica;
}

/* How many of the keys no session's replica has: whoever is asked for them isn't one. */
static uint64_t homeless(const guest *g) {
  uint64_t count = 0;
  for (int key = 0; key < KEYS; key++) {
    int32_t pairs[TARGETS_MAX];
    int replicas = cql_sim_replicas(w.sim, "ks", "t", place_token(key), pairs, NODES_MAX),
        usable = 0;
    for (int i = 0; i < replicas && i < NODES_MAX; i++)
      usable |= is_up(pairs[2 * i]) && place_distance(g, pairs[2 * i]) != CQL_DISTANCE_IGNORED;
    count += !usable;
  }
  return count;
}

void place_judge(void) {
  int ready[GUESTS_MAX] = {0};
  if (!OF(&w.script, discover)) return;
  for (int i = 0; i < w.guest_count; i++) {
    judge_members(&w.guests[i]);
    ready[i] = is_ready(&w.guests[i]);
    if (ready[i]) pass(&w.guests[i], 0);
  }
  change_places();
  for (int i = 0; i < w.guest_count; i++) {
    judge_members(&w.guests[i]);
    if (ready[i] && w.has_tablets) pass(&w.guests[i], 1); /* who answers tells where they are */
    uint64_t before = strays();
    if (ready[i]) pass(&w.guests[i], 1);
    if (ready[i] && !w.has_tablets)
      CHECK(strays() - before == homeless(&w.guests[i]),
            "%d requests go astray, %d have no replica", (int)(strays() - before),
            (int)homeless(&w.guests[i]));
  }
}
