/* hunt: random clusters, workloads and faults, seed after seed, for so many seconds. The same seed
 * is the same world, byte for byte. See usage() for what it takes.
 *
 * The host here sleeps whenever the contract of cql.h lets it, so a lost wake-up shows. After each
 * step every request has ended at most once, in time, and with its own answer. A violation is
 * printed with its seed and the end of its trace, then made smaller as long as it stays one. */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cql_sim.h"

#ifdef CQL_TEST
#include "base/mem.h"
#include "base/plant.h"
#define IS_TEST 1
#else
#define IS_TEST 0
#endif

enum { ROWS = 64, NODES_MAX = 5, SLOTS = 8192, TAIL = 6000, SECOND = 1000000 };

/* What may befall a world; a bit each. */
#define FAULT_MAP(XX)                                                                              \
  XX(KILL, "kill")                                                                                 \
  XX(PAUSE, "pause")                                                                               \
  XX(VANISH, "vanish")                                                                             \
  XX(FORGET, "forget")                                                                             \
  XX(RESET, "reset")                                                                               \
  XX(HALF_OPEN, "half_open")                                                                       \
  XX(STALL, "stall")                                                                               \
  XX(HOST, "host")                                                                                 \
  XX(CUT, "cut")                                                                                   \
  XX(ERRORS, "errors")                                                                             \
  XX(DELAYS, "delays")                                                                             \
  XX(SILENCE, "silence")                                                                           \
  XX(GARBAGE, "garbage")                                                                           \
  XX(TWICE, "twice")                                                                               \
  XX(STREAM, "stream")

enum {
#define FAULT_ENUM(name, text) NUMBER_##name,
  FAULT_MAP(FAULT_ENUM) FAULTS
#undef FAULT_ENUM
};
enum {
#define FAULT_BIT(name, text) FAULT_##name = 1 << NUMBER_##name,
  FAULT_MAP(FAULT_BIT)
#undef FAULT_BIT
};
static const char *const fault_names[] = {
#define FAULT_NAME(name, text) text,
    FAULT_MAP(FAULT_NAME)
#undef FAULT_NAME
};

/* A world to be: drawn from its seed, then as the command line says. */
typedef struct plan {
  uint64_t seed;
  int64_t nodes, requests, depth, faults, version, lz4, auth, split, slow, timeouts, cancels;
} plan;

static const struct {
  const char *name;
  size_t offset;
  int64_t smallest;
} dimensions[] = {
    {"nodes", offsetof(plan, nodes), 1},     {"requests", offsetof(plan, requests), 1},
    {"depth", offsetof(plan, depth), 1},     {"faults", offsetof(plan, faults), 0},
    {"version", offsetof(plan, version), 5}, {"lz4", offsetof(plan, lz4), 0},
    {"auth", offsetof(plan, auth), 0},       {"split", offsetof(plan, split), 0},
    {"slow", offsetof(plan, slow), 0},       {"timeouts", offsetof(plan, timeouts), 0},
    {"cancels", offsetof(plan, cancels), 0},
};
enum { DIMENSIONS = sizeof dimensions / sizeof *dimensions };

static int64_t *dimension(plan *p, int i) {
  return (int64_t *)(void *)((char *)p + dimensions[i].offset);
}

/* ---- chance ---- */

static uint64_t next(uint64_t *state) { /* splitmix64 */
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static int64_t below(uint64_t *state, int64_t limit) {
  return (int64_t)(next(state) % (uint64_t)limit);
}

static plan draw(uint64_t seed) {
  uint64_t state = seed;
  static const int64_t depths[] = {1, 8, 40, 200, 1000, 4000};
  plan p = {.seed = seed};
  p.nodes = 1 + below(&state, NODES_MAX);
  p.depth = depths[below(&state, 6)];
  p.requests = p.depth * 20 + 500;
  p.faults = (int64_t)(next(&state) & next(&state) & ((1u << FAULTS) - 1));
  if (below(&state, 4) == 0) p.faults = 0;
  p.version = 3 + below(&state, 3);
  p.lz4 = below(&state, 3) == 0;
  p.auth = below(&state, 5) == 0;
  p.split = below(&state, 4) == 0 ? 1 + below(&state, 300) : 0;
  p.slow = below(&state, 4);
  p.timeouts = below(&state, 3) == 0;
  p.cancels = below(&state, 3) == 0;
  return p;
}

/* ---- the world ---- */

typedef struct asked {
  int64_t due; /* by the virtual clock: it must have ended */
  int32_t kind, key, at;
  uint8_t open, cancelled, again, unused;
} asked;

enum { READ, EXECUTE, PREPARE, BATCH, PAGES, KINDS };

typedef struct hunt {
  plan plan;
  uint64_t random;
  cql_sim_t *sim;
  cql_session_t *session;
  cql_prepared_t *prepared;
  asked slots[SLOTS];
  int64_t open, submitted, ended, good, sent_pages;
  int64_t stalled_until, scanned;
  int ready, failed, closing, closed;
  char ids[ROWS][16];
  char tail[TAIL * 2 + 1];
  size_t tail_size;
  int tell;
  char why[400];
} hunt;

static hunt h;
static jmp_buf violation;
static uint64_t requests_made, worlds_made;

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(h.why, sizeof h.why, format, arguments);
  va_end(arguments);
  longjmp(violation, 1);
}

#define CHECK(condition, ...)                                                                      \
  do {                                                                                             \
    if (!(condition)) fail(__VA_ARGS__);                                                           \
  } while (0)

static int64_t now(void) { return cql_sim_now(h.sim); }

/* What a key's value is: the length varies, most are short. */
static size_t content(int key, char *out) {
  size_t length = key % 16 == 5 ? 3000 : key % 31 == 7 ? 20000 : (size_t)(8 + key);
  for (size_t i = 0; i < length; i++) out[i] = (char)('a' + (key * 7 + (int)i) % 26);
  return length;
}

static void cql(const char *text) {
  CHECK(cql_sim_cql(h.sim, text, strlen(text)) == 0, "%s: %s", text, cql_sim_error(h.sim));
}

static void set(const char *name, const char *value) {
  CHECK(cql_sim_set(h.sim, CQL_SIM_ALL, name, value) == 0, "%s", cql_sim_error(h.sim));
}

static void build(void) {
  static const char *const latencies[] = {"100us..300us", "1ms..5ms", "exp 2ms", "1ms, 1% 200ms"};
  static char text[21000];
  char number[24];
  snprintf(number, sizeof number, "%d", (int)h.plan.version);
  set("protocol_max", number);
  snprintf(number, sizeof number, "%d", (int)h.plan.split);
  set("split", number);
  set("latency", latencies[h.plan.slow]);
  if (h.plan.slow == 1) set("bandwidth", "3000000");
  if (h.plan.auth) {
    set("auth", "password");
    cql_sim_user(h.sim, "u", "p");
  }
  for (int i = 0; i < h.plan.nodes; i++)
    CHECK(cql_sim_node_start(h.sim, cql_sim_node_new(h.sim, "dc1", "r1", NULL)) == 0, "start");
  cql("CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
  cql("CREATE TABLE ks.t (id bigint PRIMARY KEY, v text)");
  cql("CREATE TABLE ks.c (p int, c int, PRIMARY KEY (p, c))");
  for (int key = 0; key < ROWS; key++) {
    int at = snprintf(text, sizeof text, "INSERT INTO ks.t (id, v) VALUES (%d, '", key);
    size_t size = content(key, text + at);
    strcpy(text + (size_t)at + size, "')");
    cql(text);
  }
  for (int i = 0; i < 160; i++) {
    snprintf(text, sizeof text, "INSERT INTO ks.c (p, c) VALUES (%d, %d)", i / 20, i % 20);
    cql(text);
  }
}

static void options(cql_config_t *config) {
  char text[16 * NODES_MAX] = "127.0.0.1", number[24];
  for (int i = 1; i < h.plan.nodes; i++)
    snprintf(text + strlen(text), sizeof text - strlen(text), ",127.0.0.%d", i + 1);
  snprintf(number, sizeof number, "%d", (int)(20 + h.plan.depth / (1 + below(&h.random, 3))));
  const char *const pairs[] = {"contact_points",
                               text,
                               "streams_max",
                               number,
                               "compression",
                               h.plan.lz4 ? "lz4" : "none",
                               "reconnect_max_ms",
                               "2000",
                               "consistency",
                               "one",
                               "heartbeat_ms",
                               h.plan.faults ? "2000" : "30000",
                               "heartbeat_timeout_ms",
                               "1000",
                               "connections_per_node",
                               below(&h.random, 3) ? "1" : "2",
                               "username",
                               h.plan.auth ? "u" : NULL,
                               "password",
                               h.plan.auth ? "p" : NULL,
                               NULL};
  for (int i = 0; pairs[i]; i += 2)
    if (pairs[i + 1])
      CHECK(cql_config_set(config, pairs[i], pairs[i + 1]) == 0, "%s", cql_config_error(config));
}

/* ---- requests ---- */

static int say(cql_request_t *request, asked *a, cql_options_t *o, const cql_slice_t *state) {
  static char text[20100];
  uint8_t key[12] = {0, 0, 0, 8};
  cql_slice_t value = {key + 4, 8};
  for (int i = 0; i < 8; i++) key[4 + i] = (uint8_t)((uint64_t)a->key >> (56 - 8 * i));
  int size;
  switch (a->kind) {
    case EXECUTE: cql_request_execute(request, h.prepared); return cql_bind(request, &value, 1);
    case PREPARE:
      size = snprintf(text, sizeof text, "SELECT id, v FROM ks.t WHERE id = %d", a->key);
      return cql_request_prepare(request, text, (size_t)size);
    case BATCH:
      cql_request_batch(request, CQL_UNLOGGED);
      size = snprintf(text, sizeof text, "INSERT INTO ks.t (id, v) VALUES (%d, '", a->key);
      size += (int)content(a->key, text + size);
      size += snprintf(text + size, sizeof text - (size_t)size, "')");
      return cql_batch_add_query(request, text, (size_t)size, NULL, 0, 0, 0);
    case PAGES:
      o->page_size = 7;
      if (state) o->paging_state = *state;
      size = snprintf(text, sizeof text, "SELECT p, c FROM ks.c WHERE p = %d", a->key % 8);
      return cql_request_query(request, text, (size_t)size);
    default:
      size = snprintf(text, sizeof text, "SELECT id, v FROM ks.t WHERE id = %d", a->key);
      return cql_request_query(request, text, (size_t)size);
  }
}

static asked *free_slot(void) {
  static uint32_t from;
  if (h.submitted == 0) from = 0;
  for (uint32_t i = 0; i < SLOTS; i++) {
    asked *a = &h.slots[++from % SLOTS];
    if (!a->open) return a;
  }
  return NULL;
}

static void submit(int kind, int at, int key, const cql_slice_t *state) {
  cql_request_t *request;
  asked *a = free_slot();
  if (!a || cql_request_take(h.session, &request)) return;
  cql_options_t o;
  cql_options_init(&o);
  *a = (asked){.kind = kind, .at = at, .key = key, .open = 1};
  a->again = below(&h.random, 2) != 0;
  o.flags = a->again ? CQL_OPTION_IDEMPOTENT : 0;
  o.timeout_ms = 20000;
  if (h.plan.timeouts) o.timeout_ms = 1 + (int32_t)below(&h.random, 20);
  a->due = now() + (int64_t)o.timeout_ms * 1000;
  int error = say(request, a, &o, state);
  CHECK(error == 0 && cql_request_options(request, &o) == 0, "a request is refused: %d", error);
  cql_submit(request, (uint32_t)(a - h.slots));
  h.open++;
  h.submitted++;
  requests_made++;
}

static void submit_any(void) {
  static const int kinds[] = {READ, EXECUTE, EXECUTE, EXECUTE, EXECUTE, PREPARE, BATCH, PAGES};
  int kind = kinds[below(&h.random, 8)];
  if (kind == EXECUTE && !h.prepared) kind = READ;
  submit(kind, 0, (int)below(&h.random, ROWS), NULL);
}

/* ---- answers ---- */

static int is_loose(void) { return (h.plan.faults & FAULT_TWICE) != 0; }

static void check_pages(const asked *a, cql_result_t *result) {
  cql_cell_t cells[16];
  int rows = cql_result_cells(result, 8, cells);
  CHECK(rows == (a->at == 14 ? 6 : 7), "a page of %d rows at %d", rows, a->at);
  for (int i = 0; i < rows; i++)
    CHECK(cells[2 * i].as.integer == a->key % 8 && cells[2 * i + 1].as.integer == a->at + i,
          "another's page");
  if (a->at < 14 && !h.closing) {
    CHECK(result->paging_state.length >= 0, "a page is missing");
    submit(PAGES, a->at + 7, a->key, &result->paging_state);
  }
}

static void check_prepared(const asked *a, cql_result_t *result) {
  CHECK(result && result->kind == CQL_RESULT_PREPARED, "no statement");
  cql_prepared_t *prepared = cql_result_prepared(result);
  cql_slice_t id;
  cql_prepared_id(prepared, &id);
  char *known = h.ids[a->key];
  int same = id.length == 16 && (!known[0] || memcmp(known, id.data, 16) == 0);
  if (same) memcpy(known, id.data, 16);
  cql_prepared_unref(prepared);
  CHECK(same, "another's statement");
}

static void check_content(const asked *a, cql_result_t *result) {
  static char wanted[21000];
  cql_cell_t cells[4];
  if (is_loose()) return;
  if (a->kind == PREPARE) {
    check_prepared(a, result);
    return;
  }
  if (a->kind == BATCH) {
    CHECK(!result || result->kind == CQL_RESULT_VOID, "a batch with another's answer");
    return;
  }
  CHECK(result && result->kind == CQL_RESULT_ROWS, "no rows");
  if (a->kind == PAGES) {
    check_pages(a, result);
    return;
  }
  CHECK(result->row_count == 1 && cql_result_cells(result, 2, cells) == 1, "not one row");
  CHECK(cells[0].as.integer == a->key, "another's row: %d for %d", (int)cells[0].as.integer,
        a->key);
  size_t size = content(a->key, wanted);
  CHECK((size_t)cells[1].length == size && memcmp(cells[1].as.bytes, wanted, size) == 0,
        "another's value");
}

static void check_cause(const asked *a, const cql_completion_t *c) {
  int64_t faults = h.plan.faults;
  int has_cause;
  switch (c->status) {
    case CQL_ETIMEOUT:
    case CQL_ENOHOST: has_cause = now() + 2000 >= a->due; break;
    case CQL_ECANCELLED: has_cause = a->cancelled; break;
    case CQL_ECLOSED: has_cause = h.closing; break;
    default: has_cause = faults != 0; break;
  }
  CHECK(has_cause, "%s without a cause", cql_error_name(c->status));
}

static void complete(const cql_completion_t *c) {
  asked *a = &h.slots[c->tag % SLOTS];
  CHECK(c->tag < SLOTS && a->open, "request %u has ended twice", c->tag);
  a->open = 0;
  h.open--;
  h.ended++;
  asked was = *a;
  if (c->status) {
    check_cause(&was, c);
  } else {
    h.good++;
    check_content(&was, c->result);
  }
  cql_result_free(c->result);
}

static void poll(void) {
  cql_completion_t out[64];
  int count;
  while ((count = cql_poll(h.session, 64, out)) > 0)
    for (int i = 0; i < count; i++) {
      CHECK(!h.closed, "something follows CLOSED");
      if (out[i].kind == CQL_EVENT && out[i].code == CQL_EVENT_READY) h.ready = 1;
      if (out[i].kind == CQL_EVENT && out[i].code == CQL_EVENT_FAILED) h.failed = 1;
      if (out[i].kind == CQL_EVENT && out[i].code == CQL_EVENT_CLOSED) h.closed = 1;
      if (out[i].kind != CQL_DONE) continue;
      if (out[i].tag == SLOTS) { /* the statement that all share */
        if (out[i].result) h.prepared = cql_result_prepared(out[i].result);
        cql_result_free(out[i].result);
        continue;
      }
      complete(&out[i]);
    }
}

/* ---- steps ---- */

static void drain_trace(void) {
  if (!h.tell) return;
  char text[4096];
  size_t size;
  while ((size = (size_t)cql_sim_trace_take(h.sim, text, sizeof text)) > 0) {
    if (h.tell == 2) fwrite(text, 1, size, stdout);
    if (h.tail_size + size > TAIL * 2) {
      size_t keep = h.tail_size < TAIL / 2 ? h.tail_size : TAIL / 2;
      memmove(h.tail, h.tail + h.tail_size - keep, keep);
      h.tail_size = keep;
    }
    memcpy(h.tail + h.tail_size, text, size);
    h.tail_size += size;
  }
}

static void check(void) {
  cql_metrics_t m;
  cql_session_metrics(h.session, &m);
  int64_t extra = h.prepared || h.failed ? 0 : 1; /* the shared statement's own */
  CHECK(m.taken >= h.open && m.taken <= h.open + extra, "%u slots are taken for %d requests",
        m.taken, (int)h.open);
  CHECK(m.requests - m.completed == m.in_flight + m.queued, "in flight %u, queued %u of %d",
        m.in_flight, m.queued, (int)(m.requests - m.completed));
  if (++h.scanned % 256) return;
  cql_sim_counters_t counters;
  cql_sim_counters(h.sim, CQL_SIM_ALL, &counters);
  CHECK(counters.bad_streams == 0 || is_loose(), "a stream is used before its answer");
  CHECK(counters.bad_frames == 0, "a frame breaks the protocol");
}

static void check_overdue(void) {
  int64_t late = now() - 2 * SECOND;
  if (late < h.stalled_until) return;
  for (int i = 0; i < SLOTS; i++)
    CHECK(!h.slots[i].open || h.slots[i].due >= late, "request %d is overdue", i);
}

/* Until `until`, or something has been stepped: 1. */
static int turn(int64_t until) {
  int what = cql_sim_run(h.sim, until), stepped = 0;
  CHECK(what != CQL_SIM_IDLE || h.open == 0, "all sleep, and %d requests are open", (int)h.open);
  if (what == CQL_SIM_SESSION && cql_sim_due(h.sim)) {
    CHECK(cql_session_step(h.session, 0) == 0, "a step fails");
    poll();
    check();
    stepped = 1;
  }
  drain_trace();
  return stepped;
}

static void run_for(int64_t us) {
  int64_t until = now() + us;
  while (now() < until)
    if (!turn(until) && now() < until) return; /* nobody waits for anything */
}

/* ---- faults ---- */

static void rule(int64_t bit, const char *name, const char *value, const char *chance) {
  if (!(h.plan.faults & bit)) return;
  int id = cql_sim_rule_new(h.sim);
  const char *const parts[] = {"prefix", "SELECT id", "prefix", "INSERT",
                               "chance", chance,      name,     value};
  for (int i = 0; i < 8; i += 2)
    CHECK(cql_sim_rule_set(h.sim, id, parts[i], (const uint8_t *)parts[i + 1],
                           strlen(parts[i + 1])) == 0,
          "rule %s: %s", parts[i], cql_sim_error(h.sim));
}

static void rules(void) {
  rule(FAULT_ERRORS, "error", "OVERLOADED", "0.05");
  rule(FAULT_DELAYS, "delay", "1ms..80ms", "0.05");
  rule(FAULT_SILENCE, "answer", "nothing", "0.01");
  rule(FAULT_GARBAGE, "bytes", "nonsense, not an answer", "0.0005");
  rule(FAULT_TWICE, "twice", "true", "0.02");
  rule(FAULT_STREAM, "stream", "32000", "0.005");
}

static void disturb(void) {
  int which = (int)below(&h.random, FAULTS), node = (int)below(&h.random, h.plan.nodes);
  int connections = cql_sim_connection_count(h.sim, CQL_SIM_ALL);
  cql_sim_connection_t c;
  if (!(h.plan.faults & (1 << which))) return;
  switch (1 << which) {
    case FAULT_KILL: cql_sim_node_kill(h.sim, node); break;
    case FAULT_PAUSE: cql_sim_node_pause(h.sim, node); break;
    case FAULT_VANISH: cql_sim_node_vanish(h.sim, node); break;
    case FAULT_FORGET: cql_sim_node_forget(h.sim, node, NULL); break;
    case FAULT_STALL: cql_sim_stall(h.sim, node, below(&h.random, 300000)); break;
    case FAULT_HOST: {
      int64_t us = below(&h.random, 300000);
      cql_sim_session_stall(h.sim, h.session, us);
      h.stalled_until = now() + us;
      break;
    }
    case FAULT_CUT: cql_sim_cut(h.sim, CQL_SIM_CLIENTS, node); break;
    case FAULT_RESET:
    case FAULT_HALF_OPEN:
      if (connections &&
          cql_sim_connection(h.sim, CQL_SIM_ALL, (int)below(&h.random, connections), &c) == 0)
        cql_sim_connection_end(h.sim, c.id,
                               1 << which == FAULT_RESET ? CQL_SIM_RESET : CQL_SIM_HALF_OPEN);
      break;
    default: break; /* rules see to it */
  }
}

static void repair(void) {
  for (int node = 0; node < h.plan.nodes; node++) {
    cql_sim_heal(h.sim, CQL_SIM_CLIENTS, node);
    int state = cql_sim_node_state(h.sim, node);
    if (state == CQL_SIM_PAUSED) cql_sim_node_resume(h.sim, node);
    if (state == CQL_SIM_DOWN) cql_sim_node_start(h.sim, node);
  }
}

/* ---- one world ---- */

/* Nothing stands in the way any more: all comes back to where it began. */
static void settle(void) {
  cql_metrics_t m;
  for (int id = 0; id < 2 * FAULTS; id++) cql_sim_rule_remove(h.sim, id);
  repair();
  for (int i = 0; i < 60 && h.open; i++) {
    run_for(SECOND);
    check_overdue();
  }
  CHECK(h.open == 0, "%d requests never end", (int)h.open);
  if (h.plan.faults) { /* what is owed for ever goes with its connection */
    cql_sim_connection_t c;
    for (int i = cql_sim_connection_count(h.sim, CQL_SIM_ALL); i-- > 0;)
      if (cql_sim_connection(h.sim, CQL_SIM_ALL, i, &c) == 0)
        cql_sim_connection_end(h.sim, c.id, CQL_SIM_RESET);
  }
  repair();
  run_for(30 * SECOND);
  cql_session_metrics(h.session, &m);
  CHECK(h.failed || m.connections >= h.plan.nodes, "%u connections to %d nodes", m.connections,
        (int)h.plan.nodes);
  CHECK(m.orphans == 0 && m.in_flight == 0 && m.queued == 0 && m.taken == 0,
        "at rest: %u orphans, %u in flight, %u queued, %u slots taken", m.orphans, m.in_flight,
        m.queued, m.taken);
}

static void work(void) {
  int64_t calm = 0, last = -1;
  while (h.submitted < h.plan.requests && !h.failed) {
    while (h.open < h.plan.depth && h.submitted < h.plan.requests) {
      int64_t before = h.submitted;
      submit_any();
      if (h.submitted == before) break;
    }
    if (h.plan.cancels && below(&h.random, 4) == 0) {
      uint32_t tag = (uint32_t)below(&h.random, SLOTS);
      if (h.slots[tag].open) h.slots[tag].cancelled = 1;
      cql_cancel(h.session, tag);
    }
    turn(now() + 1000 + below(&h.random, 20000));
    if (h.plan.faults && now() >= calm) {
      calm = now() + 20000 + below(&h.random, 400000);
      if (below(&h.random, 3) == 0)
        repair();
      else
        disturb();
    }
    if (now() / SECOND != last) check_overdue();
    last = now() / SECOND;
  }
}

static void finish(void) {
  for (int i = 0; i < 40; i++) submit_any();
  h.closing = 1;
  cql_session_close(h.session, below(&h.random, 2) ? 500 : 0);
  for (int i = 0; i < 100 && !h.closed; i++) run_for(SECOND / 10);
  CHECK(h.closed, "CLOSED never comes");
  CHECK(h.open == 0, "%d requests are open after CLOSED", (int)h.open);
}

static void live(void) {
  build();
  cql_config_t *config = cql_config_new();
  options(config);
  int error = cql_sim_session_new(h.sim, config, &h.session);
  cql_config_free(config);
  CHECK(error == 0, "no session: %d", error);
  static const char text[] = "SELECT id, v FROM ks.t WHERE id = ?";
  cql_request_t *request;
  cql_request_take(h.session, &request);
  cql_request_prepare(request, text, sizeof text - 1);
  cql_submit(request, SLOTS);
  for (int i = 0; i < 30 && !h.prepared; i++) run_for(SECOND / 10);
  CHECK(h.prepared, "it never becomes ready");
  rules();
  work();
  settle();
  finish();
}

/* 1: a violation, told in h.why. */
static int hunt_once(const plan *p, int tell) {
  memset(&h, 0, sizeof h);
  h.plan = *p;
  h.tell = tell;
  h.random = p->seed * 77 + 5;
#ifdef CQL_TEST
  long memory = cql__mem_live();
#endif
  h.sim = cql_sim_new(p->seed);
  cql_sim_trace(h.sim, tell ? 1 : 0);
  worlds_made++;
  int found = setjmp(violation);
  if (!found) live();
  drain_trace();
  if (h.session) cql_session_free(h.session);
  cql_prepared_unref(h.prepared);
  cql_sim_free(h.sim);
#ifdef CQL_TEST
  if (!found && cql__mem_live() != memory) {
    snprintf(h.why, sizeof h.why, "%ld allocations leak", cql__mem_live() - memory);
    found = 1;
  }
#endif
  return found;
}

/* ---- what was found ---- */

/* Each dimension to its smallest, or half way, as long as it goes wrong. */
static plan shrink(plan p) {
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < DIMENSIONS; i++) {
      plan q = p;
      int64_t *value = dimension(&q, i);
      if (*value == dimensions[i].smallest) continue;
      *value = dimensions[i].smallest;
      if (hunt_once(&q, 0)) p = q;
    }
  for (plan q = p; q.requests > 1;) {
    q.requests /= 2;
    if (!hunt_once(&q, 0)) break;
    p = q;
  }
  for (int bit = 0; bit < FAULTS; bit++) {
    plan q = p;
    q.faults &= ~(1 << bit);
    if (q.faults != p.faults && hunt_once(&q, 0)) p = q;
  }
  return p;
}

static void tell_plan(const plan *p) {
  plan drawn = draw(p->seed);
  printf("replay: ./dev hunt%s --seed %" PRIu64, IS_TEST ? " --preset dev" : "", p->seed);
  for (int i = 0; i < DIMENSIONS; i++)
    if (*dimension((plan *)(uintptr_t)p, i) != *dimension(&drawn, i))
      printf(" --%s %" PRId64, dimensions[i].name, *dimension((plan *)(uintptr_t)p, i));
#ifdef CQL_TEST
  if (cql__plant) printf(" --plant %d", cql__plant);
#endif
  printf("\n");
}

static void tell_violation(const plan *p) {
  printf("violation: seed %" PRIu64 ": %s\n", p->seed, h.why);
  plan small = shrink(*p);
  hunt_once(&small, 1);
  printf("smallest: %s; faults:", h.why);
  for (int i = 0; i < FAULTS; i++)
    if (small.faults & (1 << i)) printf(" %s", fault_names[i]);
  printf("\n%.*s", (int)h.tail_size, h.tail);
  tell_plan(p);
  tell_plan(&small);
}

static volatile uint64_t current;

/* An assertion of the core is a violation too, and its seed must be known. */
static void on_abort(int signal_number) {
  char text[80];
  int size = snprintf(text, sizeof text, "violation: seed %" PRIu64 ": it crashed\n", current);
  if (write(1, text, (size_t)size) < 0) _exit(3);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

static int usage(void) {
  fputs("hunt [--seconds N] [--seed S] [--from S] [--trace 1] [--plant N] [--DIMENSION N ...]\n",
        stderr);
  return 2;
}

static int64_t seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec;
}

typedef struct wishes {
  int64_t seconds, changed[DIMENSIONS];
  uint64_t seed, from;
  int trace;
} wishes;

static int parse(int argc, char **argv, wishes *w) {
  for (int i = 0; i < DIMENSIONS; i++) w->changed[i] = -1;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc || strncmp(argv[i], "--", 2) != 0) return -1;
    const char *name = argv[i] + 2;
    int64_t value = strtoll(argv[i + 1], NULL, 10);
    int known = 0;
    for (int k = 0; k < DIMENSIONS; k++)
      if (!strcmp(name, dimensions[k].name)) w->changed[k] = value, known = 1;
    if (known) continue;
    if (!strcmp(name, "seconds"))
      w->seconds = value;
    else if (!strcmp(name, "seed"))
      w->seed = (uint64_t)value;
    else if (!strcmp(name, "from"))
      w->from = (uint64_t)value;
    else if (!strcmp(name, "trace"))
      w->trace = value ? 2 : 0;
#ifdef CQL_TEST
    else if (!strcmp(name, "plant"))
      cql__plant = (int)value;
#endif
    else
      return -1;
  }
  return 0;
}

int main(int argc, char **argv) {
  wishes w = {.seconds = 60, .from = 1};
  if (parse(argc, argv, &w)) return usage();
  signal(SIGABRT, on_abort);
  int64_t end = seconds_now() + w.seconds;
  int found = 0;
  for (current = w.seed ? w.seed : w.from; !found; current++) {
    plan p = draw(current);
    for (int k = 0; k < DIMENSIONS; k++)
      if (w.changed[k] >= 0) *dimension(&p, k) = w.changed[k];
    found = hunt_once(&p, w.trace);
    if (found && !w.trace) tell_violation(&p);
    if (w.seed || seconds_now() >= end) break;
  }
  if (!w.trace)
    printf("hunt: %" PRIu64 " requests in %" PRIu64 " worlds, %s\n", requests_made, worlds_made,
           found ? "a violation" : "no violation");
  return found;
}
