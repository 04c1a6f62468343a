/* Fault: what a script's steps do, and for how long what may go wrong by them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "report.h"
#include "world.h"

/* Until something is repaired. */
#define FOR_NOW INT64_MAX
/* When all is as before: silence is noticed and connections are made anew; and nodes have heard of
 * each other. */
enum { UNKNOWN_MAX = 100, ORPHANS_MAX = 1024 }; /* what a connection stands */
enum { RECOVERS = 10 * SECOND, GOSSIPS = 20 * SECOND };

/* ---- causes ---- */

static void holds(int cause, int64_t until) {
  if (until > w.until[cause]) w.until[cause] = until;
}

/* The old ones wait for what is under way, for a while. */
void fault_replaces(void) { holds(CAUSE_LOSS, world_now() + 2 * RECOVERS); }

/* It goes on from pause to pause, and so do all that wait for it. */
void fault_unreached(void) {
  holds(CAUSE_LOSS, world_now() + RECOVERS);
  holds(CAUSE_SLOW, world_now() + RECOVERS);
}

/* Who gets no socket waits before the next attempt, and has maybe nobody else to ask. */
void fault_watch(void) {
  int left = cql_sim_exhausted(w.sim);
  if (left < w.exhausted) {
    holds(CAUSE_LOSS, world_now() + RECOVERS);
    holds(CAUSE_SLOW, world_now() + RECOVERS);
  }
  w.exhausted = left;
}

static void repaired(int cause, int64_t after) {
  if (w.until[cause] == FOR_NOW) w.until[cause] = world_now() + after;
}

/* How many answers stay away: each holds a stream. */
static int64_t owed(void) {
  return fault_played(FATE_LAZY) + fault_played(FATE_SILENT) + fault_played(FATE_ASTRAY);
}

/* May it be by what nodes did with other requests? A connection with too many overdue answers is
 * replaced, as one is that says what nobody asked for. */
static int is_by_others(int cause) {
  int64_t streams = guest_streams(), overdue = owed() + w.given_up;
  switch (cause) {
    case CAUSE_SLOW: return owed() >= streams;
    case CAUSE_LOSS:
      return fault_played(FATE_GARBAGE) + fault_played(FATE_SLAMMED) > 0 ||
             fault_played(FATE_TWICE) + fault_played(FATE_ASTRAY) > UNKNOWN_MAX ||
             overdue > ORPHANS_MAX || overdue * 2 > streams;
    default: return 0;
  }
}

int fault_since(int cause, int64_t since) { return w.until[cause] >= since || is_by_others(cause); }

/* ---- rules ---- */

static const struct {
  const char *name, *value;
} actions[FATES] = {[FATE_OVERLOADED] = {"error", "OVERLOADED"},
                    [FATE_INVALID] = {"error", "INVALID"},
                    [FATE_LATE] = {"delay", "1ms..80ms"},
                    [FATE_LAZY] = {"delay", "25s"},
                    [FATE_SILENT] = {"answer", "nothing"},
                    [FATE_ASTRAY] = {"stream", "32000"},
                    [FATE_FLIPPED] = {"corrupt", "0"},
                    [FATE_TWICE] = {"twice", "true"},
                    [FATE_WARNED] = {"warning", "so it is"},
                    [FATE_GARBAGE] = {"bytes", "nonsense, not an answer"},
                    [FATE_SLAMMED] = {"close", "reset"}};

static void part(int id, const char *name, const char *value) {
  CHECK(cql_sim_rule_set(w.sim, id, name, (const uint8_t *)value, strlen(value)) == 0, "%s",
        cql_sim_error(w.sim));
}

void fault_rules(void) {
  char mark[32];
  for (int fate = 0; fate < FATES; fate++) {
    w.rules[fate] = -1;
    if (fate == FATE_GOOD || !(OF(&w.script, fates) & BIT(fate))) continue;
    w.rules[fate] = cql_sim_rule_new(w.sim);
    snprintf(mark, sizeof mark, "/*%s*/", script_fate_name(fate));
    part(w.rules[fate], "contains", mark);
    part(w.rules[fate], "not opcode", "PREPARE");
    part(w.rules[fate], actions[fate].name, actions[fate].value);
  }
}

int64_t fault_played(int fate) {
  return w.rules[fate] < 0 ? w.played[fate] : cql_sim_rule_played(w.sim, w.rules[fate]);
}

void fault_rules_remove(void) {
  for (int fate = 0; fate < FATES; fate++) {
    if (w.rules[fate] < 0) continue;
    w.played[fate] = cql_sim_rule_played(w.sim, w.rules[fate]);
    cql_sim_rule_remove(w.sim, w.rules[fate]);
    w.rules[fate] = -1;
  }
}

/* ---- nodes ---- */

static int state_of(int node) { return cql_sim_node_state(w.sim, node); }

/* How many of the contact points are up, without this one. */
static int others_up(int node) {
  int up = 0;
  for (int i = 0; i < w.contact_count; i++) up += i != node && state_of(i) == CQL_SIM_UP;
  return up;
}

static void out_of_order(int node) {
  w.spoilt[node] = 1;
  for (int cause = 0; cause < CAUSES; cause++) holds(cause, FOR_NOW);
}

static void goes_down(int node, int error) {
  if (error) return; /* it doesn't run anyway */
  w.forgets++;
  out_of_order(node);
}

static void add_node(void) {
  if (w.node_count == NODES_MAX) return;
  world_add_node();
  w.forgets++;
  holds(CAUSE_DOWN, world_now() + GOSSIPS);
}

/* The first node stays: it is the one that nobody ignores. */
static void decommission(int node) {
  if (node == 0 || !others_up(node) || cql_sim_node_decommission(w.sim, node)) return;
  holds(CAUSE_LOSS, world_now() + RECOVERS);
  holds(CAUSE_SLOW, world_now() + RECOVERS);
  holds(CAUSE_DOWN, world_now() + GOSSIPS);
}

static void cut(int place, int node) {
  if (w.cut_from[node] != NOWHERE) return;
  cql_sim_cut(w.sim, place, node);
  w.cut_from[node] = place;
  out_of_order(node);
}

/* Not so long, or so often, that it looks like death. */
static void stall(int node, int64_t us) {
  if (world_now() < w.node_stalled[node] + 3 * SECOND) return;
  cql_sim_stall(w.sim, node, us);
  w.node_stalled[node] = world_now() + us;
  holds(CAUSE_SLOW, world_now() + us + SECOND);
}

/* ---- the rest ---- */

static void end_connection(uint64_t whom, int how) {
  cql_sim_connection_t c;
  int count = cql_sim_connection_count(w.sim, CQL_SIM_ALL);
  if (!count || cql_sim_connection(w.sim, CQL_SIM_ALL, (int)(whom % (uint64_t)count), &c)) return;
  cql_sim_connection_end(w.sim, c.id, how);
  holds(CAUSE_LOSS, world_now() + RECOVERS);
  holds(CAUSE_SLOW, world_now() + RECOVERS);
}

static void exhaust(int count) {
  cql_sim_exhaust(w.sim, count);
  w.exhausted = cql_sim_exhausted(w.sim);
}

static void stall_host(guest *g, int64_t us) {
  cql_sim_session_stall(w.sim, g->session, us);
  g->stalled_until = world_now() + us;
  holds(CAUSE_SLOW, g->stalled_until + SECOND);
}

static void move_tablet(const step *s) {
  char replica[32];
  if (!OF(&w.script, shards)) return;
  int node = (int)(s->whom % (uint64_t)w.node_count);
  snprintf(replica, sizeof replica, "%d:%d", node, (int)(s->whom >> 32) % w.shards[node]);
  if (state_of(node) != CQL_SIM_UP) return;
  cql_sim_tablet_move(w.sim, "ks", "t", (int64_t)s->how, replica);
}

/* It is somewhere else when it starts again. */
static void move_node(int node) {
  char address[24];
  if (node == 0 || !OF(&w.script, discover) || w.moves == 200) return;
  snprintf(address, sizeof address, "127.0.1.%d", ++w.moves);
  int state = state_of(node);
  if (state == CQL_SIM_GONE || cql_sim_node_move(w.sim, node, address)) return;
  w.forgets++;
  out_of_order(node);
}

void fault_reshard(int node, int64_t how) {
  enum { SHARDS_MAX = 6 };
  char count[12];
  if (!OF(&w.script, shards) || state_of(node) == CQL_SIM_GONE) return;
  int was_down = cql_sim_node_kill(w.sim, node);
  goes_down(node, was_down);
  w.shards[node] = (uint8_t)(1 + how % SHARDS_MAX);
  snprintf(count, sizeof count, "%d", w.shards[node]);
  CHECK(cql_sim_set(w.sim, node, "shards", count) == 0, "%s", cql_sim_error(w.sim));
  if (!was_down) cql_sim_node_start(w.sim, node);
}

/* At once, so that nobody is asked for it meanwhile. */
static void recreate(void) {
  w.forgets += 2;
  world_cql("DROP TABLE ks.t");
  world_cql("CREATE TABLE ks.t (id bigint PRIMARY KEY, v text)");
  world_fill(0);
}

static void alter(const step *s) {
  char text[300];
  if (s->kind == STEP_TABLE) {
    w.forgets++;
    world_cql("ALTER TABLE ks.t WITH comment = 'altered'");
  } else if (!w.has_tablets) {
    snprintf(text, sizeof text, "ALTER KEYSPACE ks WITH replication = %s",
             s->how & 4 ? world_replication(1 + (int64_t)(s->how >> 3) % 3)
                        : "{'class': 'SimpleStrategy', 'replication_factor': 2}");
    world_cql(text);
  }
}

static void tell(const step *s) {
  static const char *const changes[] = {"UP", "DOWN"};
  cql_sim_tell(w.sim, CQL_SIM_ALL, "STATUS_CHANGE", changes[s->how & 1],
               (int)(s->whom % (uint64_t)w.node_count));
}

static void cancel_some(const step *s) {
  uint64_t count = s->how % 64;
  for (uint64_t i = 0; i < count && w.slots_used; i++)
    load_cancel((uint32_t)((s->whom + i * 7) % w.slots_used));
}

static void play_on_guest(int kind, guest *g, const step *s) {
  if (!guest_serves(g)) return;
  switch (kind) {
    case STEP_HOST: stall_host(g, (int64_t)(s->how % 300000)); break;
    case STEP_USE: guest_use(g); break;
    case STEP_REFRESH: cql_session_refresh(g->session); break;
    case STEP_RENEW: guest_close(g, s->how & 1 ? 0 : (int)(s->how % 1000)); break;
    default:
      guest_free(g);
      guest_open(g);
      break;
  }
}

static void play_on_node(int kind, int node, const step *s) {
  const guest *g = &w.guests[(s->how >> 1) % (uint64_t)w.guest_count];
  int place = s->how & 1 ? CQL_SIM_CLIENTS : cql_sim_session_place(w.sim, g->session);
  int other = (int)(s->how % (uint64_t)w.node_count);
  switch (kind) {
    case STEP_KILL: goes_down(node, cql_sim_node_kill(w.sim, node)); break;
    case STEP_STOP: goes_down(node, cql_sim_node_stop(w.sim, node)); break;
    case STEP_VANISH: goes_down(node, cql_sim_node_vanish(w.sim, node)); break;
    case STEP_PAUSE:
      if (cql_sim_node_pause(w.sim, node) == 0) out_of_order(node);
      break;
    case STEP_FORGET:
      cql_sim_node_forget(w.sim, node, NULL);
      w.forgets++;
      break;
    case STEP_MOVE: move_node(node); break;
    case STEP_RESHARD: fault_reshard(node, (int64_t)(s->how >> 8)); break;
    case STEP_REROUTE:
      if (state_of(node) != CQL_SIM_GONE && reach_change(node, s->how >> 8)) out_of_order(node);
      break;
    case STEP_STALL: stall(node, (int64_t)(s->how % 300000)); break;
    case STEP_CUT: cut(place, node); break;
    case STEP_PARTITION:
      if (other != node) cut(other, node);
      break;
    default: decommission(node); break;
  }
}

void fault_play(const step *s, int64_t index) {
  the_report->steps_played[s->kind]++;
  int node = (int)(s->whom % (uint64_t)w.node_count);
  guest *g = &w.guests[s->whom % (uint64_t)w.guest_count];
  note("step %" PRId64 " at %" PRId64 ".%06" PRId64 ": %s, node %d, session %d\n", index,
       world_now() / SECOND, world_now() % SECOND, script_step_name(s->kind), node,
       (int)(g - w.guests));
  switch (s->kind) {
    case STEP_RESET: end_connection(s->whom, CQL_SIM_RESET); break;
    case STEP_CLOSE: end_connection(s->whom, CQL_SIM_CLOSE); break;
    case STEP_HALF_OPEN: end_connection(s->whom, CQL_SIM_HALF_OPEN); break;
    case STEP_ADD: add_node(); break;
    case STEP_TABLET: move_tablet(s); break;
    case STEP_EXHAUST: exhaust((int)(s->how % 8)); break;
    case STEP_TELL: tell(s); break;
    case STEP_CANCEL: cancel_some(s); break;
    case STEP_DISTANCE: place_refresh(); break;
    case STEP_ALTER:
    case STEP_TABLE: alter(s); break;
    case STEP_SHIFT: shift_play(s->how); break;
    case STEP_RECREATE: recreate(); break;
    case STEP_REFRESH:
    case STEP_HOST:
    case STEP_USE:
    case STEP_RENEW:
    case STEP_ABANDON: play_on_guest(s->kind, g, s); break;
    default: play_on_node(s->kind, node, s); break;
  }
}

void fault_repair(void) {
  for (int node = 0; node < w.node_count; node++) {
    if (!w.spoilt[node]) continue;
    w.spoilt[node] = 0;
    reach_repair(node);
    if (w.cut_from[node] != NOWHERE) cql_sim_heal(w.sim, w.cut_from[node], node);
    w.cut_from[node] = NOWHERE;
    if (state_of(node) == CQL_SIM_PAUSED) cql_sim_node_resume(w.sim, node);
    if (state_of(node) == CQL_SIM_DOWN) cql_sim_node_start(w.sim, node);
  }
  repaired(CAUSE_LOSS, RECOVERS);
  repaired(CAUSE_SLOW, RECOVERS);
  repaired(CAUSE_DOWN, GOSSIPS);
}
