/* Judge: what must hold after each step, of each answer, and at rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "world.h"

enum {
  UNAVAILABLE = 0x1000,
  OVERLOADED = 0x1001,
  TRUNCATE_ERROR = 0x1003,
  WRITE_TIMEOUT = 0x1100,
  READ_TIMEOUT = 0x1200
};
enum { INVALID = 0x2200, UNPREPARED = 0x2500, REPREPARES = 3 };
enum { LATENESS = 5 * MILLISECOND }; /* of a host that is awake */

/* ---- content ---- */

static int is_row(const asked *a) {
  return a->kind == KIND_READ || a->kind == KIND_EXECUTE || a->kind == KIND_BARE;
}

static int is_bound(const asked *a) {
  return a->kind == KIND_EXECUTE || a->kind == KIND_BOUND_BATCH || a->kind == KIND_BOUND_PAGES ||
         a->kind == KIND_BOUND_SHIFTING;
}

static void judge_page(const asked *a, cql_result_t *result) {
  cql_cell_t cells[16];
  int rows = cql_result_cells(result, 8, cells);
  CHECK(rows == (a->at == 14 ? 6 : 7), "a page of %d rows at %d", rows, a->at);
  for (int i = 0; i < rows; i++)
    CHECK(cells[2 * i].as.integer == a->key && cells[2 * i + 1].as.integer == a->at + i,
          "another's page");
}

static void judge_prepared(const asked *a, cql_result_t *result) {
  CHECK(result && result->kind == CQL_RESULT_PREPARED, "no statement");
  if (a->kind == KIND_SETUP) return;
  cql_prepared_t *prepared = cql_result_prepared(result);
  cql_slice_t id;
  cql_prepared_id(prepared, &id);
  int same = 0;
  for (int i = 0; i < 2 && !same && id.length == 16; i++) {
    char *known = w.ids[a->key][i];
    same = !known[0] || memcmp(known, id.data, 16) == 0;
    if (same) memcpy(known, id.data, 16);
  }
  cql_prepared_unref(prepared);
  CHECK(same, "another's statement");
}

/* Which of the two keyspaces the row is from: that of its session, unless USE was under way. */
static int keyspace_of(const asked *a, cql_result_t *result) {
  if (a->kind != KIND_BARE) return 0;
  CHECK(result->metadata && result->metadata->column_count == 2, "no columns");
  const cql_slice_t *name = &result->metadata->columns[0].keyspace;
  int other = name->length == 5 && memcmp(name->data, "other", 5) == 0;
  CHECK(other || (name->length == 2 && memcmp(name->data, "ks", 2) == 0), "a foreign keyspace");
  return other;
}

static void judge_row(const asked *a, cql_result_t *result) {
  static char wanted[21000];
  cql_cell_t cells[4];
  CHECK(result->row_count == 1 && cql_result_cells(result, 2, cells) == 1, "not one row");
  CHECK(cells[0].as.integer == a->key, "another's row: %d for %d", (int)cells[0].as.integer,
        a->key);
  size_t size = load_content(keyspace_of(a, result), a->key, wanted);
  CHECK((size_t)cells[1].length == size && memcmp(cells[1].as.bytes, wanted, size) == 0,
        "another's value");
}

static void judge_tally(const asked *a, cql_result_t *result) {
  cql_cell_t cells[4];
  int rows = cql_result_cells(result, 2, cells);
  CHECK(rows == 0 || (rows == 1 && cells[0].as.integer == a->key), "another's counter");
  int64_t value = rows ? cells[1].as.integer : 0;
  CHECK(value >= w.acknowledged[a->key] && value <= w.acknowledged[a->key] + w.unknown[a->key],
        "counter %d stands at %d after %d additions, and %d of unknown fate", a->key, (int)value,
        (int)w.acknowledged[a->key], (int)w.unknown[a->key]);
}

static void judge_defined(const asked *a, const cql_result_t *result) {
  static const char *const changes[DEFINES] = {"CREATED", "DROPPED", ""};
  const char *wanted = changes[a->key % DEFINES];
  cql_schema_change_t change;
  if (!result || result->kind == CQL_RESULT_VOID) return; /* it was so already */
  CHECK(cql_result_schema_change(result, &change) == 0, "no change of the schema");
  CHECK(change.change.length == (int32_t)strlen(wanted) &&
            memcmp(change.change.data, wanted, strlen(wanted)) == 0 && change.name.length == 1 &&
            *change.name.data == 'd',
        "another's change of the schema");
}

void judge_content(const asked *a, cql_result_t *result) {
  if (a->kind == KIND_PREPARE || a->kind == KIND_SETUP) {
    judge_prepared(a, result);
    return;
  }
  int warned = result && result->warnings.length >= 0;
  CHECK(warned == 0 || a->fate == FATE_WARNED, "another's warning");
  if (a->kind == KIND_BATCH || a->kind == KIND_BOUND_BATCH || a->kind == KIND_COUNT) {
    CHECK(!result || result->kind == CQL_RESULT_VOID, "a write with another's answer");
    return;
  }
  if (a->kind == KIND_DEFINE) {
    judge_defined(a, result);
    return;
  }
  CHECK(result && result->kind == CQL_RESULT_ROWS, "no rows");
  CHECK(warned || a->fate != FATE_WARNED || w.calm || result->protocol_version < 4,
        "a warning is missing");
  if (a->kind == KIND_TALLY)
    judge_tally(a, result);
  else if (shift_is_read(a))
    shift_judge(a, result);
  else if (is_row(a))
    judge_row(a, result);
  else
    judge_page(a, result);
}

/* ---- success, and what it can't be ---- */

static int is_too_big(const asked *a) {
  static char room[21000];
  return OF(&w.script, frames) && is_row(a) && load_content(0, a->key, room) > FRAME_MAX;
}

/* Each change may come before the one before has reached all nodes, or its session closes first. */
static int may_disagree(const guest *g, const asked *a) {
  int is_short = a->due - a->since < TIMEOUT_MS * MILLISECOND;
  return is_short || g->closed_by || w.defines > a->defines + 1 ||
         fault_since(CAUSE_SLOW, a->since) || fault_since(CAUSE_DOWN, a->since);
}

static void judge_success(const guest *g, const asked *a, const cql_completion_t *c) {
  static const int64_t hopeless = BIT(FATE_OVERLOADED) | BIT(FATE_INVALID) | BIT(FATE_LAZY) |
                                  BIT(FATE_SILENT) | BIT(FATE_ASTRAY) | BIT(FATE_FLIPPED) |
                                  BIT(FATE_GARBAGE);
  CHECK(w.calm || !(hopeless & BIT(a->fate)), "success, where a node was %s",
        script_fate_name(a->fate));
  CHECK(!is_too_big(a) || OF(&w.script, lz4), "an answer larger than frame_size_max");
  CHECK(!a->cancelled, "success after it was cancelled");
  judge_content(a, c->result);
  CHECK(c->schema_agreed != 0 || may_disagree(g, a), "nodes don't agree on the schema");
  if (a->kind == KIND_BARE && a->uses == g->uses && !g->use_open)
    CHECK(keyspace_of(a, c->result) == a->keyspace, "an answer from another keyspace");
}

/* ---- failure, and its cause ---- */

static int is_told(int code, const asked *a) {
  if (code == INVALID && shift_was_gone(a)) return 1;
  int known = code == UNAVAILABLE || (code == TRUNCATE_ERROR && a->kind == KIND_DEFINE) ||
              code == WRITE_TIMEOUT || code == READ_TIMEOUT;
  return known && fault_since(CAUSE_DOWN, a->since);
}

static int has_code(const guest *g, const asked *a, const cql_completion_t *c) {
  int code = c->code;
  if (code == UNPREPARED)
    return w.forgets - a->forgets + (g->lost - a->lost) + (uint64_t)w.node_count > REPREPARES;
  if (is_told(code, a)) return a->fate != FATE_FLIPPED;
  switch (a->fate) {
    case FATE_OVERLOADED: return code == OVERLOADED;
    case FATE_INVALID: return code == INVALID;
    case FATE_FLIPPED:
      code = (int)((uint32_t)code ^ 0xFF000000u);
      return code == UNPREPARED ? a->kind == KIND_BOUND_BATCH : is_told(code, a);
    default: return 0;
  }
}

static int is_timeout_due(const asked *a) {
  static const int64_t kept = BIT(FATE_LAZY) | BIT(FATE_SILENT) | BIT(FATE_ASTRAY);
  if (world_now() + MILLISECOND < a->due) return 0;
  if (a->due - a->since < TIMEOUT_MS * MILLISECOND) return 1; /* it may be too short */
  return (kept & BIT(a->fate)) != 0 || fault_since(CAUSE_SLOW, a->since);
}

static int may_be_lost(const guest *g, const asked *a, const cql_completion_t *c) {
  int again = a->idempotent || a->kind == KIND_PREPARE || a->kind == KIND_SETUP;
  if (again && c->attempts < 2 && !g->closed_by) return 0;
  return g->lost > a->lost && fault_since(CAUSE_LOSS, a->since);
}

static int has_cause(const guest *g, const asked *a, const cql_completion_t *c) {
  switch (c->status) {
    case CQL_ETIMEOUT: return is_timeout_due(a);
    case CQL_ENOHOST: return is_timeout_due(a) && (a->early || fault_since(CAUSE_LOSS, a->since));
    case CQL_ECANCELLED: return a->cancelled;
    case CQL_ECLOSED: return g->closed_by != 0;
    case CQL_ECONNECTION: return may_be_lost(g, a, c);
    case CQL_ESERVER: return has_code(g, a, c);
    case CQL_EMALFORMED: return a->fate == FATE_FLIPPED;
    case CQL_ETOOBIG: return is_too_big(a);
    default: return 0;
  }
}

void judge_answer(const guest *g, const asked *a, const cql_completion_t *c) {
  int again = a->idempotent || a->kind == KIND_PREPARE || a->kind == KIND_SETUP;
  int untouched = fault_since(CAUSE_DOWN, a->since); /* UNAVAILABLE: nothing has begun */
  CHECK(again || untouched || c->attempts <= (is_bound(a) ? 1u + 2 * REPREPARES : 1u),
        "%u attempts of what must not be repeated", c->attempts);
  the_report->ends[-c->status]++;
  if (c->status == CQL_ECANCELLED || c->status == CQL_ETIMEOUT) w.given_up++;
  CHECK(c->status == 0 || !w.calm || w.ending || c->status == CQL_ETOOBIG,
        "%s where nothing stands in the way", cql_error_name(c->status));
  if (c->status == 0)
    judge_success(g, a, c);
  else
    CHECK(has_cause(g, a, c), "%s (0x%x) without a cause, for %s of fate \"%s\" after %d attempts",
          cql_error_name(c->status), (unsigned)c->code, script_kind_name(a->kind),
          script_fate_name(a->fate), (int)c->attempts);
  int64_t late = a->due, stall = g->stalled_until + (a->due - a->since);
  if (stall > late) late = stall;
  CHECK(world_now() <= late + LATENESS, "it ends %d us late", (int)(world_now() - late));
}

/* ---- after each step ---- */

void judge_nodes(void) {
  cql_sim_counters_t counters;
  cql_sim_counters(w.sim, CQL_SIM_ALL, &counters);
  CHECK(counters.bad_streams == 0, "a stream is used before its answer");
  CHECK(counters.bad_frames == 0, "a frame breaks the protocol");
  CHECK(counters.not_ready == 0, "a request before the handshake's end");
  reach_judge(&counters);
}

void judge_step(guest *g) {
  cql_metrics_t m;
  cql_session_metrics(g->session, &m);
  int64_t open = g->open + g->use_open;
  CHECK(m.taken == open, "%u slots are taken for %d requests", m.taken, (int)open);
  uint64_t under_way = m.in_flight + m.queued, owed = m.requests - m.completed;
  CHECK(under_way + (uint64_t)g->defines >= owed && under_way <= owed + m.own,
        "in flight %u, queued %u of %d", m.in_flight, m.queued, (int)(m.requests - m.completed));
}

static void judge_guest_time(const guest *g) {
  int64_t now = world_now();
  CHECK(!g->closed_by || now <= g->closed_by + LATENESS, "CLOSED never comes");
}

void judge_overdue(void) {
  int64_t now = world_now();
  if (now < w.scanned_at + 50 * MILLISECOND) return;
  w.scanned_at = now;
  for (int i = 0; i < w.guest_count; i++) judge_guest_time(&w.guests[i]);
  for (uint32_t i = 0; i < w.slots_used; i++) {
    const asked *a = &w.slots[i];
    if (!a->open || a->due + LATENESS >= now) continue;
    int64_t stall = w.guests[a->guest].stalled_until + (a->due - a->since);
    CHECK(stall + LATENESS >= now, "request %u is overdue", i);
  }
}

/* ---- at rest ---- */

/* The number behind these words of the session's dump. */
static int64_t dumped(const char *dump, const char *words) {
  const char *at = strstr(dump, words);
  CHECK(at, "the dump doesn't say \"%s\"", words);
  return strtoll(at + strlen(words), NULL, 10);
}

/* Small bodies stay with their slots, and slots are made by the dozen. */
static void judge_memory(const guest *g) {
  static char text[65536];
  cql_session_dump(g->session, text, sizeof text);
  int64_t slots = dumped(text, "memory: "), blocks = dumped(text, " slots, ");
  CHECK(blocks <= slots, "at rest: %d blocks are out for %d slots", (int)blocks, (int)slots);
}

int64_t judge_wanted(const guest *g) {
  const script *s = &w.script;
  int64_t wanted = 0;
  for (int i = 0; i < w.node_count; i++) {
    if (cql_sim_node_state(w.sim, i) != CQL_SIM_UP) continue;
    if (i >= w.contact_count && !OF(s, discover)) continue;
    uint8_t distance = place_distance(g, i);
    if (distance == CQL_DISTANCE_IGNORED) continue;
    int is_far = distance == CQL_DISTANCE_REMOTE && OF(s, remote);
    wanted += (is_far ? OF(s, remote) : OF(s, connections)) * (w.shards[i] ? w.shards[i] : 1);
  }
  return wanted;
}

static void judge_connections(const guest *g, const cql_metrics_t *m) {
  int wanted = (int)judge_wanted(g);
  CHECK((int)m->connections == wanted, "at rest: %u connections, not %d", m->connections, wanted);
}

/* `fresh`: connections on which an answer is owed for ever have been replaced. */
void judge_rest(int fresh) {
  int64_t owed = fresh ? 0 : fault_played(FATE_SILENT) + fault_played(FATE_ASTRAY);
  uint32_t connections = 0, orphans = 0;
  for (int i = 0; i < w.guest_count; i++) {
    const guest *g = &w.guests[i];
    cql_metrics_t m;
    cql_session_metrics(g->session, &m);
    CHECK(m.in_flight == 0 && m.queued == 0 && m.taken == 0,
          "at rest: %u in flight, %u queued, %u slots taken", m.in_flight, m.queued, m.taken);
    judge_connections(g, &m);
    judge_memory(g);
    connections += m.connections + (OF(&w.script, discover) != 0); /* and one to be told over */
    orphans += m.orphans;
  }
  CHECK(orphans <= owed, "at rest: %u orphans, of which %d are owed", orphans, (int)owed);
  cql_sim_counters_t counters;
  cql_sim_counters(w.sim, CQL_SIM_ALL, &counters);
  CHECK(counters.in_flight == 0, "at rest: nodes know of %d requests", (int)counters.in_flight);
  CHECK(counters.connections == connections, "at rest: nodes have %d connections, sessions %u",
        (int)counters.connections, connections);
}
