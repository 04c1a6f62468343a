#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "chance.h"
#include "report.h"

#ifdef CQL_TEST
#include "base/mem.h"
#endif

world w;
report *the_report;
jmp_buf violation;

/* How long all may take to come back after the last fault: what is half open is noticed, nodes are
 * asked again; and longer than a lazy answer. */
enum { RECOVERY_MS = 8000, REST_MS = LAZY_MS + 5000 };
/* Large ones in pieces of two bytes take a second. */
enum { ANSWER_MS = 3000 };

/* ---- what is told ---- */

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(the_report->why, sizeof the_report->why, format, arguments);
  va_end(arguments);
  the_report->check = format;
  longjmp(violation, 1);
}

void note(const char *format, ...) {
  char line[200];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  size_t used = strlen(the_report->log);
  if (used + strlen(line) < LOG_MAX) strcpy(the_report->log + used, line);
}

/* The end of the trace is kept, or (2) all of it said. */
static void take_trace(int tell) {
  static char text[TAIL_MAX];
  char *tail = the_report->tail;
  size_t size;
  while (tell && (size = (size_t)cql_sim_trace_take(w.sim, text, TAIL_MAX / 2)) > 0) {
    if (tell == 2) fwrite(text, 1, size, stdout);
    size_t used = strlen(tail), keep = used < TAIL_MAX / 2 ? used : TAIL_MAX / 2;
    memmove(tail, tail + used - keep, keep);
    memcpy(tail + keep, text, size);
    tail[keep + size] = 0;
  }
}

/* ---- building ---- */

void world_cql(const char *text) {
  CHECK(cql_sim_cql(w.sim, text, strlen(text)) == 0, "%.100s: %s", text, cql_sim_error(w.sim));
}

static void set(int node, const char *name, const char *value) {
  CHECK(cql_sim_set(w.sim, node, name, value) == 0, "%s", cql_sim_error(w.sim));
}

static void set_number(int node, const char *name, int64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)value);
  set(node, name, text);
}

int world_add_node(void) {
  const script *s = &w.script;
  char datacenter[16], rack[16];
  int at = w.node_count, node;
  snprintf(datacenter, sizeof datacenter, "dc%d", 1 + at % (int)OF(s, datacenters));
  snprintf(rack, sizeof rack, "r%d", 1 + at / (int)OF(s, datacenters) % (int)OF(s, racks));
  node = cql_sim_node_new(w.sim, datacenter, rack, NULL);
  const char *id = cql_sim_node_host_id(w.sim, node);
  for (int i = 0; i < 16; i++, id += 2) {
    if (*id == '-') id++;
    sscanf(id, "%2hhx", &w.host_ids[node][i]);
  }
  if (OF(s, mixed) && at < OF(s, nodes))
    set_number(node, "protocol_max", 3 + (node + (int)s->seed) % 3);
  CHECK(cql_sim_node_start(w.sim, node) == 0, "%s", cql_sim_error(w.sim));
  reach_begin(node);
  w.shards[node] = (uint8_t)OF(s, shards);
  w.node_count++;
  return node;
}

static void build_nodes(void) {
  static const char *const latencies[SLOWS] = {[SLOW_NOT] = "100us..300us",
                                               [SLOW_SOME] = "1ms..5ms",
                                               [SLOW_VARIES] = "exp 2ms",
                                               [SLOW_SOMETIMES] = "1ms, 1% 200ms",
                                               [SLOW_EVEN] = "200us"};
  const script *s = &w.script;
  char agreement[24];
  set_number(CQL_SIM_ALL, "protocol_max", OF(s, version));
  if (OF(s, shards)) {
    set(CQL_SIM_ALL, "product", "scylla");
    set_number(CQL_SIM_ALL, "shards", OF(s, shards));
  }
  if (OF(s, reached)) set(CQL_SIM_ALL, "private", "true");
  set_number(CQL_SIM_ALL, "split", OF(s, split));
  if (OF(s, window)) set_number(CQL_SIM_ALL, "window", OF(s, window));
  set(CQL_SIM_ALL, "latency", latencies[OF(s, slow)]);
  if (OF(s, slow) == SLOW_SOME && !(OF(s, fates) & BIT(FATE_TWICE)))
    set(CQL_SIM_ALL, "bandwidth", "3000000");
  set(CQL_SIM_ALL, "truncate_timeout", "5s"); /* all that is owed comes before the rest is over */
  snprintf(agreement, sizeof agreement, "exp %dms", (int)OF(s, agreement));
  if (OF(s, agreement)) set(CQL_SIM_ALL, "agreement", agreement);
  if (OF(s, auth)) {
    set(CQL_SIM_ALL, "auth", "password");
    cql_sim_user(w.sim, "u", "p");
  }
  while (w.node_count < OF(s, nodes)) world_add_node();
  w.contact_count = w.node_count;
}

void world_fill(int keyspace) {
  static char text[21000];
  for (int key = 0; key < ROWS; key++) {
    int at = snprintf(text, sizeof text, "INSERT INTO %s.t (id, v) VALUES (%d, '",
                      keyspace ? "other" : "ks", key);
    size_t size = load_content(keyspace, key, text + at);
    strcpy(text + (size_t)at + size, "')");
    world_cql(text);
  }
}

const char *world_replication(int64_t copies) {
  static char text[100];
  char second[24] = "";
  if (OF(&w.script, datacenters) > 1) snprintf(second, sizeof second, ", 'dc2': %d", (int)copies);
  snprintf(text, sizeof text, "{'class': 'NetworkTopologyStrategy', 'dc1': %d%s}", (int)copies,
           second);
  return text;
}

static void build_keyspace(const char *name, const char *more) {
  char text[300];
  snprintf(text, sizeof text, "CREATE KEYSPACE %s WITH replication = %s%s", name,
           world_replication(OF(&w.script, copies)), more);
  world_cql(text);
}

static void build(void) {
  char text[200];
  const script *s = &w.script; /* version 3 has no room for what nodes tell of tablets */
  w.has_tablets = OF(s, shards) && s->seed % 2 && !OF(s, mixed) && OF(s, version) > 3;
  build_nodes();
  build_keyspace("ks", w.has_tablets ? " AND tablets = {'enabled': true}" : "");
  build_keyspace("other", "");
  build_keyspace("num", "");
  world_cql("CREATE TABLE ks.t (id bigint PRIMARY KEY, v text)");
  world_cql("CREATE TABLE other.t (id bigint PRIMARY KEY, v text)");
  world_cql("CREATE TABLE ks.c (p int, c int, PRIMARY KEY (p, c))");
  shift_restore();
  world_cql("CREATE TABLE ks.e (id int PRIMARY KEY)");
  world_cql("CREATE TABLE num.n (id int PRIMARY KEY, n counter)");
  world_fill(0);
  world_fill(1);
  for (int i = 0; i < 160; i++) {
    snprintf(text, sizeof text, "INSERT INTO ks.c (p, c) VALUES (%d, %d)", i / 20, i % 20);
    world_cql(text);
  }
}

/* ---- time ---- */

static guest *guest_of(const cql_session_t *session) {
  for (int i = 0; i < w.guest_count; i++)
    if (w.guests[i].session == session) return &w.guests[i];
  return NULL;
}

static void step_guest(guest *g) {
  CHECK(cql_session_step(g->session, 0) == 0, "a step fails");
  fault_watch();
  guest_poll(g);
  judge_step(g);
  if (++w.steps % 16 == 0) judge_nodes();
  if (!g->closed) return;
  CHECK(g->open == 0, "%d requests are open after CLOSED", (int)g->open);
  guest_free(g);
  if (!w.ending) guest_open(g);
}

static int tell_of_world;

int world_turn(int64_t until) {
  int what = cql_sim_run(w.sim, until), stepped = 0;
  CHECK(what != CQL_SIM_IDLE || w.open == 0, "all sleep, and %d requests are open", (int)w.open);
  cql_session_t *due = what == CQL_SIM_SESSION ? cql_sim_due(w.sim) : NULL;
  if (due) {
    step_guest(guest_of(due));
    stepped = 1;
  }
  judge_overdue();
  take_trace(tell_of_world);
  return stepped;
}

void world_run_for(int64_t us) {
  int64_t until = world_now() + us;
  while (world_now() < until)
    if (!world_turn(until) && world_now() < until) return; /* nobody waits for anything */
}

/* ---- a life ---- */

static int is_prepared(void) {
  for (int i = 0; i < w.guest_count; i++) {
    guest *g = &w.guests[i];
    load_prepare(g);
    if (!g->ready || g->open) return 0;
  }
  return 1;
}

static void begin(void) {
  for (int i = 0; i < w.guest_count; i++) guest_open(&w.guests[i]);
  for (int i = 0; i < 100 && !is_prepared(); i++) world_run_for(SECOND / 10);
  CHECK(is_prepared(), "it never becomes ready");
  if (!w.script.drawn_faults) world_run_for(2 * SECOND); /* all know all: see place_is_sure() */
}

static void play(int64_t *index, step *next, int64_t *at) {
  if (chance_at(w.script.seed, 3, (uint64_t)*index) % 3 == 0) fault_repair();
  if (next->kind >= 0) fault_play(next, *index);
  *next = script_step(&w.script, ++*index);
  *at += next->gap;
  the_report->steps = *index;
}

/* USE at any moment, and the end of one. */
static void use_somewhere(int64_t turn) {
  int64_t faults = OF(&w.script, faults);
  guest *g = &w.guests[turn % w.guest_count];
  if (!(faults & BIT(STEP_USE)) || !guest_serves(g)) return;
  if (faults & BIT(STEP_CANCEL) && world_chance(16) == 0) guest_use_cancel(g);
  if (world_chance(64) == 0) guest_use(g);
}

static void work(void) {
  const script *s = &w.script;
  int64_t index = 0, turns = 0;
  step next = script_step(s, 0);
  int64_t at = world_now() + next.gap;
  while (w.submitted < OF(s, requests)) {
    while (w.open < OF(s, depth) && w.submitted < OF(s, requests) && load_next()) {
    }
    if (OF(s, faults) & BIT(STEP_CANCEL) && world_chance(8) == 0)
      load_cancel((uint32_t)world_chance(w.slots_used + 1));
    use_somewhere(turns);
    if (++turns % 64 == 0)
      for (int i = 0; i < w.guest_count; i++) load_prepare(&w.guests[i]);
    world_turn(at);
    while (world_now() >= at) play(&index, &next, &at);
  }
}

void world_end(const char *what, int64_t ms) {
  for (int64_t i = 0; i < ms / 100 && w.open; i++) world_run_for(SECOND / 10);
  CHECK(w.open == 0, "%s: %d requests never end", what, (int)w.open);
}

/* All is well: whoever asks is answered, on each connection, and counters stand where they should.
 */
static void ask_again(void) {
  for (int i = 0; i < w.guest_count; i++)
    for (int key = 0; key < 2 * w.node_count * OF(&w.script, connections); key++) {
      wish what = {.kind = KIND_READ, .key = key % ROWS};
      load_submit(&w.guests[i], &what, 0, NULL);
      what.kind = KIND_BOUND_SHIFTING;
      load_submit(&w.guests[i], &what, 0, NULL);
    }
  world_end("at rest", ANSWER_MS);
  for (int key = 0; key < COUNTERS; key++) {
    wish what = {.kind = KIND_TALLY, .key = key, .idempotent = 1};
    CHECK(load_submit(&w.guests[0], &what, 0, NULL), "no counter can be asked for");
    world_end("at rest", ANSWER_MS);
  }
}

/* What is owed for ever goes with its connection. */
static void replace_connections(void) {
  cql_sim_connection_t c;
  for (int i = cql_sim_connection_count(w.sim, CQL_SIM_ALL); i-- > 0;)
    if (cql_sim_connection(w.sim, CQL_SIM_ALL, i, &c) == 0)
      cql_sim_connection_end(w.sim, c.id, CQL_SIM_RESET);
}

/* Nothing stands in the way any more: all comes back to where it began. */
static void settle(void) {
  fault_repair();
  cql_sim_exhaust(w.sim, 0);
  world_end("after the last fault", TIMEOUT_MS + 1000);
  fault_rules_remove();
  shift_restore();
  w.calm = 1;
  load_let_go();
  world_run_for((int64_t)REST_MS * MILLISECOND);
  judge_rest(0);
  ask_again();
  place_judge();
  replace_connections();
  world_run_for((int64_t)RECOVERY_MS * MILLISECOND);
  judge_rest(1);
  place_judge();
}

/* With something under way, with time to end it or without. */
static void finish(void) {
  w.ending = 1;
  int64_t until = w.submitted + 40;
  while (w.submitted < until && load_next()) {
  }
  for (int i = 0; i < w.guest_count; i++) guest_close(&w.guests[i], world_chance(2) ? 500 : 0);
  world_run_for(SECOND);
  for (int i = 0; i < w.guest_count; i++) CHECK(!w.guests[i].session, "CLOSED never comes");
  judge_nodes();
}

static void live(void) {
  build();
  begin();
  fault_rules();
  work();
  settle();
  finish();
}

static void tidy(void) {
  for (int i = 0; i < HELD_MAX; i++) cql_result_free(w.held[i].result);
  for (int i = 0; i < w.guest_count; i++) guest_free(&w.guests[i]);
  cql_sim_free(w.sim);
}

int world_run(const script *s, int tell) {
  memset(&w, 0, sizeof w);
  w.script = *s;
  if (!OF(s, shards) && OF(s, reached))
    OF(&w.script, reached) = REACHED_BY_HOST; /* it has no routes */
  w.random = s->seed * 31 + 7;
  w.guest_count = (int)OF(s, sessions);
  for (int fate = 0; fate < FATES; fate++) w.rules[fate] = -1;
  for (int node = 0; node < NODES_MAX; node++) w.cut_from[node] = NOWHERE;
  tell_of_world = tell;
  the_report->log[0] = the_report->tail[0] = 0;
  the_report->steps = 0;
  the_report->worlds++;
#ifdef CQL_TEST
  long memory = cql__mem_live();
#endif
  w.sim = cql_sim_new(s->seed);
  cql_sim_trace(w.sim, tell ? 1 : 0);
  int found = setjmp(violation);
  if (!found) live();
  take_trace(tell);
  tidy();
#ifdef CQL_TEST
  static const char leak[] = "%ld allocations leak";
  if (!found && cql__mem_live() != memory) {
    snprintf(the_report->why, sizeof the_report->why, leak, cql__mem_live() - memory);
    the_report->check = leak;
    found = 1;
  }
#endif
  return found;
}
