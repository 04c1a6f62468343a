/* Guest: a session on the world, from its configuration to CLOSED. */
#include <stdio.h>
#include <string.h>

#include "report.h"
#include "world.h"

static void option(cql_config_t *config, const char *name, const char *value) {
  CHECK(cql_config_set(config, name, value) == 0, "%s", cql_config_error(config));
}

static void number(cql_config_t *config, const char *name, int64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)value);
  option(config, name, text);
}

int64_t guest_streams(void) {
  const script *s = &w.script;
  return OF(s, streams) ? OF(s, streams) : 20 + OF(s, depth) / 2;
}

static void configure(cql_config_t *config) {
  const script *s = &w.script;
  char points[24 * NODES_MAX] = "";
  reach_points(points, sizeof points);
  option(config, "contact_points", points);
  option(config, "keyspace", "ks");
  option(config, "discover", "false");
  option(config, "compression", OF(s, lz4) ? "lz4" : "none");
  option(config, "consistency", OF(s, copies) == 3 ? "quorum" : "one");
  number(config, "streams_max", guest_streams());
  number(config, OF(s, shards) ? "connections_per_shard" : "connections_per_node",
         OF(s, connections));
  if (OF(s, remote))
    number(config, OF(s, shards) ? "remote_connections_per_shard" : "remote_connections_per_node",
           OF(s, remote));
  number(config, "connect_timeout_ms", 2000);
  number(config, "reconnect_max_ms", RECONNECT_MAX_MS);
  number(config, "heartbeat_ms", HEARTBEAT_MS);
  number(config, "heartbeat_timeout_ms", HEARTBEAT_MS);
  if (OF(s, discover)) option(config, "discover", "true");
  if (OF(s, home) != HOME_UNTOLD) option(config, "local_datacenter", "dc1");
  if (OF(s, home) == HOME_FAILOVER) option(config, "datacenter_failover", "true");
  if (OF(s, home) == HOME_RACK) option(config, "local_rack", "r1");
  if (OF(s, ask)) option(config, "ask_distance", "true");
  if (OF(s, reached) == REACHED_BY_HOST) option(config, "ask_endpoint", "true");
  if (OF(s, reached) == REACHED_BY_ROUTES) option(config, "client_routes", "one");
  number(config, "question_timeout_ms", 100);
  if (OF(s, frames)) number(config, "frame_size_max", FRAME_MAX);
  if (OF(s, slots)) number(config, "requests_max", OF(s, slots));
  if (!OF(s, auth)) return;
  option(config, "username", "u");
  option(config, "password", "p");
  if (s->seed & 1) option(config, "ask_authenticate", "true");
}

void guest_open(guest *g) {
  memset(g, 0, sizeof *g);
  place_begin(g);
  cql_config_t *config = cql_config_new();
  configure(config);
  int error = cql_sim_session_new(w.sim, config, &g->session);
  cql_config_free(config);
  CHECK(error == 0, "no session: %d", error);
  load_prepare(g);
}

static void forget(guest *g) {
  if (g->session) cql_session_free(g->session);
  for (int i = 0; i < STATEMENTS; i++) cql_prepared_unref(g->statements[i]);
  memset(g, 0, sizeof *g);
}

void guest_free(guest *g) {
  for (uint32_t i = 0; i < w.slots_used; i++) {
    asked *a = &w.slots[i];
    if (!a->open || &w.guests[a->guest] != g) continue;
    if (a->kind == KIND_COUNT) w.unknown[a->key % COUNTERS]++;
    a->open = 0;
    w.open--;
  }
  forget(g);
}

void guest_close(guest *g, int drain_ms) {
  cql_session_close(g->session, drain_ms);
  int64_t from = g->stalled_until > world_now() ? g->stalled_until : world_now();
  g->closed_by = from + (int64_t)drain_ms * MILLISECOND + 20 * MILLISECOND;
}

void guest_use(guest *g) {
  if (g->use_open) return;
  const char *name = g->keyspace ? "ks" : "other";
  int error = cql_session_use(g->session, name, strlen(name), TAG_USE);
  CHECK(error == 0, "USE is refused: %s", cql_error_name(error));
  g->use_open = 1;
  g->use_cancelled = 0;
  g->use_keyspace = !g->keyspace;
  g->use_since = world_now();
  g->uses++;
}

void guest_use_cancel(guest *g) {
  if (!g->use_open || !cql_cancel(g->session, TAG_USE)) return;
  g->use_cancelled = 1;
  fault_replaces(); /* its keyspace is in doubt */
}

static void used(guest *g, const cql_completion_t *c) {
  CHECK(g->use_open, "USE has ended twice");
  g->use_open = 0;
  if (c->status == 0) g->keyspace = g->use_keyspace;
  int has_cause = c->status == 0 || (c->status == CQL_ECLOSED && g->closed_by);
  if (c->status == CQL_ECANCELLED) has_cause = g->use_cancelled;
  if (c->status == CQL_ECONNECTION || c->status == CQL_ETIMEOUT || c->status == CQL_ENOHOST)
    has_cause = fault_since(CAUSE_LOSS, g->use_since) || fault_since(CAUSE_SLOW, g->use_since);
  CHECK(has_cause, "USE ends with %s without a cause", cql_error_name(c->status));
  cql_result_free(c->result);
}

static void on_event(guest *g, const cql_completion_t *c) {
  switch (c->code) {
    case CQL_EVENT_READY:
      CHECK(!g->ready, "READY comes twice");
      g->ready = 1;
      break;
    case CQL_EVENT_FAILED: fail("the session fails: %s", c->event->message); break;
    case CQL_EVENT_CLOSED:
      CHECK(g->closed_by, "CLOSED, and nobody closed it");
      g->closed = 1;
      break;
    case CQL_EVENT_CONNECTION_CLOSED: g->lost++; break;
    default: break;
  }
}

/* Some are left to the default. */
static void on_question(guest *g, const cql_completion_t *c) {
  if (c->code == CQL_ASK_DISTANCE) {
    place_asked(g, c);
    return;
  }
  if (c->code == CQL_ASK_ENDPOINT) {
    reach_asked(g, c);
    return;
  }
  if (world_chance(3) == 0) return;
  int error = cql_answer(g->session, c->tag, (const uint8_t *)"\0u\0p", 4);
  CHECK(error == 0, "an answer is refused: %s", cql_error_name(error));
}

void guest_poll(guest *g) {
  cql_completion_t out[64];
  int count;
  place_answer(g);
  reach_answer(g);
  do {
    count = cql_poll(g->session, (uint32_t)(1 + world_chance(64)), out);
    for (int i = 0; i < count; i++) {
      CHECK(!g->closed, "something follows CLOSED");
      if (out[i].kind == CQL_EVENT)
        on_event(g, &out[i]);
      else if (out[i].kind == CQL_QUESTION)
        on_question(g, &out[i]);
      else if (out[i].tag == TAG_USE)
        used(g, &out[i]);
      else
        load_complete(g, &out[i]);
    }
  } while (count > 0);
}
