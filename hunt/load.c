/* Load: what is asked, and what must come of it. */
#include <stdio.h>
#include <string.h>

#include "report.h"
#include "world.h"

/* ---- what is where ---- */

/* The length varies, most are short. */
size_t load_content(int keyspace, int key, char *out) {
  size_t length = key % 16 == 5 ? 3000 : key % 31 == 7 ? 20000 : (size_t)(8 + key);
  for (size_t i = 0; i < length; i++)
    out[i] = (char)((keyspace ? 'A' : 'a') + (key * 7 + (int)i) % 26);
  return length;
}

/* ---- saying it ---- */

enum { TEXT_MAX = 20200 };

static const char *mark_of(int fate) {
  static char text[32];
  if (fate == FATE_GOOD) return "";
  snprintf(text, sizeof text, " /*%s*/", script_fate_name(fate));
  return text;
}

static int say_text(cql_request_t *request, const char *format, const asked *a) {
  char text[200];
  int size = snprintf(text, sizeof text, format, a->key, mark_of(a->fate));
  return a->kind == KIND_PREPARE ? cql_request_prepare(request, text, (size_t)size)
                                 : cql_request_query(request, text, (size_t)size);
}

static int say_setup(cql_request_t *request, int statement) {
  static const char *const others[] = {"INSERT INTO ks.t (id, v) VALUES (?, ?)",
                                       "SELECT p, c FROM ks.c WHERE p = ?",
                                       "SELECT * FROM ks.s WHERE id = ?"};
  char text[200];
  if (statement < FATES)
    snprintf(text, sizeof text, "SELECT id, v FROM ks.t WHERE id = ?%s", mark_of(statement));
  else
    snprintf(text, sizeof text, "%s", others[statement - STATEMENT_INSERT]);
  return cql_request_prepare(request, text, strlen(text));
}

static void put_i32(uint8_t *p, int32_t number) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)((uint32_t)number >> (24 - 8 * i));
}

/* A value as on the wire; its size. */
static size_t put_number(uint8_t *p, int32_t size, int32_t number) {
  put_i32(p, size);
  memset(p + 4, 0, (size_t)size);
  put_i32(p + size, number); /* its last four bytes */
  return 4 + (size_t)size;
}

static int say_bound(cql_request_t *request, cql_prepared_t *prepared, int32_t size, int key) {
  uint8_t encoded[12];
  cql_request_execute(request, prepared);
  return cql_bind_encoded(request, encoded, put_number(encoded, size, key), 1);
}

/* Version 3 doesn't tell which values are the key: then, and else sometimes, the host does. */
static int say_placed(cql_request_t *request, cql_prepared_t *prepared, const asked *a) {
  int error = say_bound(request, prepared, 8, a->key);
  int is_told = cql_prepared_parameters(prepared)->key_count == 0 || world_chance(4) == 0;
  if (error == 0 && a->placed && is_told) error = cql_request_token(request, place_token(a->key));
  return error;
}

static int say_batch(cql_request_t *request, const asked *a, cql_prepared_t *insert) {
  static char text[TEXT_MAX];
  static uint8_t encoded[TEXT_MAX];
  cql_request_batch(request, a->key & 1 ? CQL_UNLOGGED : CQL_LOGGED);
  int size = snprintf(text, sizeof text, "INSERT INTO ks.t (id, v) VALUES (%d, '", a->key);
  size += (int)load_content(0, a->key, text + size);
  size += snprintf(text + size, sizeof text - (size_t)size, "')%s", mark_of(a->fate));
  int error = cql_batch_add_query(request, text, (size_t)size, NULL, 0, 0);
  if (error || !insert) return error;
  int key = (a->key + 1) % ROWS;
  size_t used = put_number(encoded, 8, key);
  size_t length = load_content(0, key, (char *)encoded + used + 4);
  put_i32(encoded + used, (int32_t)length);
  return cql_batch_add_prepared(request, insert, encoded, used + 4 + length, 2);
}

/* None of them does another harm, in whatever order. */
static int say_define(cql_request_t *request, const asked *a) {
  static const char *const texts[DEFINES] = {
      [DEFINE_CREATE] = "CREATE TABLE IF NOT EXISTS ks.d (id int PRIMARY KEY)%s",
      [DEFINE_DROP] = "DROP TABLE IF EXISTS ks.d%s",
      [DEFINE_TRUNCATE] = "TRUNCATE ks.e%s"};
  char text[100];
  int size = snprintf(text, sizeof text, texts[a->key % DEFINES], mark_of(a->fate));
  return cql_request_query(request, text, (size_t)size);
}

static int say(cql_request_t *request, const guest *g, const asked *a) {
  static const char *const texts[KINDS] = {
      [KIND_READ] = "SELECT id, v FROM ks.t WHERE id = %d%s",
      [KIND_PREPARE] = "SELECT id, v FROM ks.t WHERE id = %d%s",
      [KIND_PAGES] = "SELECT p, c FROM ks.c WHERE p = %d%s",
      [KIND_SHIFTING] = "SELECT * FROM ks.s WHERE id = %d%s",
      [KIND_BARE] = "SELECT id, v FROM t WHERE id = %d%s",
      [KIND_COUNT] = "UPDATE num.n SET n = n + 1 WHERE id = %d%s",
      [KIND_TALLY] = "SELECT id, n FROM num.n WHERE id = %d%s"};
  switch (a->kind) {
    case KIND_EXECUTE: return say_placed(request, g->statements[a->fate], a);
    case KIND_BOUND_PAGES: return say_bound(request, g->statements[STATEMENT_PAGES], 4, a->key);
    case KIND_BOUND_SHIFTING:
      return say_bound(request, g->statements[STATEMENT_SHIFTING], 8, a->key);
    case KIND_BATCH: return say_batch(request, a, NULL);
    case KIND_BOUND_BATCH: return say_batch(request, a, g->statements[STATEMENT_INSERT]);
    case KIND_DEFINE: return say_define(request, a);
    case KIND_SETUP: return say_setup(request, a->at);
    default: return say_text(request, texts[a->kind], a);
  }
}

/* ---- submitting ---- */

static asked *free_slot(void) {
  uint32_t end = (uint32_t)(w.open * 2 + 64); /* few are touched where few are open */
  if (end > SLOTS) end = SLOTS;
  for (uint32_t i = 0; i < end; i++) {
    uint32_t slot = ++w.slot_from % end;
    if (w.slots[slot].open) continue;
    if (slot >= w.slots_used) w.slots_used = slot + 1;
    return &w.slots[slot];
  }
  return NULL;
}

/* What isn't prepared (yet), or can't be marked, is asked otherwise. */
static void adapt(asked *a, const guest *g) {
  int statement = a->kind == KIND_EXECUTE          ? a->fate
                  : a->kind == KIND_BOUND_BATCH    ? STATEMENT_INSERT
                  : a->kind == KIND_BOUND_PAGES    ? STATEMENT_PAGES
                  : a->kind == KIND_BOUND_SHIFTING ? STATEMENT_SHIFTING
                                                   : -1;
  if (statement >= 0 && !g->statements[statement]) {
    static const uint8_t instead[] = {[KIND_EXECUTE] = KIND_READ,
                                      [KIND_BOUND_BATCH] = KIND_BATCH,
                                      [KIND_BOUND_PAGES] = KIND_PAGES,
                                      [KIND_BOUND_SHIFTING] = KIND_SHIFTING};
    a->kind = instead[a->kind];
  }
  if (a->kind == KIND_BOUND_PAGES || a->kind == KIND_BOUND_SHIFTING) a->fate = FATE_GOOD;
  if (a->kind == KIND_PAGES || a->kind == KIND_BOUND_PAGES || a->kind == KIND_COUNT) a->key %= 8;
}

static void check_busy(guest *g, int error) {
  cql_metrics_t m;
  cql_session_metrics(g->session, &m);
  CHECK(error == CQL_EBUSY && OF(&w.script, slots) && m.taken >= OF(&w.script, slots),
        "taking a request says %s where %u are taken", cql_error_name(error), m.taken);
}

int load_submit(guest *g, const wish *what, int at, const cql_slice_t *state) {
  cql_request_t *request;
  asked *a = free_slot();
  if (!a || !guest_serves(g) || world_now() < g->stalled_until) return 0;
  int error = cql_request_take(g->session, &request);
  if (error) {
    check_busy(g, error);
    return 0;
  }
  *a = (asked){.kind = (uint8_t)what->kind,
               .fate = (uint8_t)what->fate,
               .key = what->key,
               .at = at,
               .guest = (uint8_t)(g - w.guests),
               .open = 1,
               .idempotent = what->idempotent != 0,
               .since = world_now(),
               .early = !g->ready,
               .lost = g->lost,
               .forgets = w.forgets,
               .shifts = w.shifts,
               .defines = w.defines,
               .uses = g->uses - (uint64_t)g->use_open, /* one under way is one in its life */
               .keyspace = (uint8_t)g->keyspace,
               .placed = what->placed != 0,
               .number = (uint64_t)w.submitted};
  adapt(a, g);
  if (a->kind != KIND_EXECUTE) a->placed = 0;
  cql_options_t o;
  cql_options_init(&o);
  if (a->idempotent) o.flags = CQL_OPTION_IDEMPOTENT;
  o.timeout_ms = what->small_timeout ? what->small_timeout : TIMEOUT_MS;
  if (a->kind == KIND_PAGES || a->kind == KIND_BOUND_PAGES) o.page_size = 7;
  if (state) o.paging_state = *state;
  a->due = a->since + (int64_t)o.timeout_ms * MILLISECOND;
  error = say(request, g, a);
  CHECK(error == 0 && cql_request_options(request, &o) == 0, "a request is refused: %s",
        cql_error_name(error));
  if (a->kind == KIND_EXECUTE && (a->placed || world_chance(64) == 0))
    place_judge_plan(g, a, request);
  cql_submit(request, (uint32_t)(a - w.slots));
  g->open++;
  if (a->kind == KIND_DEFINE) {
    g->defines++;
    w.defines++;
  }
  w.open++;
  w.submitted++;
  the_report->requests++;
  return 1;
}

int load_next(void) {
  wish what = script_wish(&w.script, w.submitted);
  guest *g = &w.guests[w.submitted % w.guest_count];
  if (!OF(&w.script, timeouts)) what.small_timeout = 0;
  what.placed =
      what.kind == KIND_EXECUTE && world_chance(4) == 0 && g->session && place_is_sure(g, what.key);
  return load_submit(g, &what, 0, NULL);
}

static int is_wanted(int statement) {
  const script *s = &w.script;
  if (statement == STATEMENT_INSERT) return (OF(s, kinds) & BIT(KIND_BOUND_BATCH)) != 0;
  if (statement == STATEMENT_PAGES) return (OF(s, kinds) & BIT(KIND_BOUND_PAGES)) != 0;
  if (statement == STATEMENT_SHIFTING) return (OF(s, kinds) & BIT(KIND_BOUND_SHIFTING)) != 0;
  return OF(s, kinds) & BIT(KIND_EXECUTE) && OF(s, fates) & BIT(statement);
}

void load_prepare(guest *g) {
  for (int i = 0; i < STATEMENTS; i++) {
    if (g->statements[i] || g->asked_for[i] || !is_wanted(i)) continue;
    wish what = {.kind = KIND_SETUP};
    g->asked_for[i] = (uint8_t)load_submit(g, &what, i, NULL);
  }
}

void load_cancel(uint32_t slot) {
  asked *a = &w.slots[slot];
  guest *g = &w.guests[a->guest];
  if (!a->open || !g->session) return;
  int count = cql_cancel(g->session, slot);
  CHECK(count == 0 || (count == 1 && !a->cancelled), "one request was cancelled %d times", count);
  if (count) a->cancelled = 1; /* else it has ended, and waits to be polled */
}

/* ---- answers ---- */

static void count(const asked *a, const cql_completion_t *c) {
  if (c->status == 0)
    w.acknowledged[a->key]++;
  else if (c->attempts > 0)
    w.unknown[a->key]++;
}

static void page_on(guest *g, const asked *a, cql_result_t *result) {
  int more = a->at < 14;
  CHECK((result->paging_state.length >= 0) == more, "a page is missing, or one too many");
  if (!more || w.submitted >= OF(&w.script, requests)) return;
  wish what = {.kind = a->kind, .key = a->key, .idempotent = a->idempotent};
  load_submit(g, &what, a->at + 7, &result->paging_state);
}

static void hold(const asked *a, cql_result_t *result) {
  held *place = &w.held[world_chance(HELD_MAX)];
  if (place->result) {
    cql_result_rewind(place->result);
    judge_content(&place->of, place->result);
    cql_result_free(place->result);
  }
  *place = (held){result, *a};
}

void load_let_go(void) {
  for (int i = 0; i < HELD_MAX; i++) {
    held *place = &w.held[i];
    if (!place->result) continue;
    cql_result_rewind(place->result);
    judge_content(&place->of, place->result);
    cql_result_free(place->result);
    place->result = NULL;
  }
}

void load_complete(guest *g, const cql_completion_t *c) {
  asked *slot = &w.slots[c->tag % SLOTS];
  CHECK(c->tag < SLOTS && slot->open && &w.guests[slot->guest] == g, "request %u has ended twice",
        c->tag);
  slot->open = 0;
  g->open--;
  g->defines -= slot->kind == KIND_DEFINE;
  w.open--;
  asked a = *slot;
  judge_answer(g, &a, c);
  place_judge_answer(g, &a, c);
  if (a.kind == KIND_COUNT) count(&a, c);
  if (a.kind == KIND_SETUP) {
    g->asked_for[a.at] = 0;
    if (c->status == 0) g->statements[a.at] = cql_result_prepared(c->result);
  }
  if (c->status == 0 && (a.kind == KIND_PAGES || a.kind == KIND_BOUND_PAGES))
    page_on(g, &a, c->result);
  int is_row = a.kind == KIND_READ || a.kind == KIND_EXECUTE || a.kind == KIND_BARE;
  if (c->status == 0 && is_row && !w.calm && world_chance(64) == 0)
    hold(&a, c->result);
  else
    cql_result_free(c->result);
}
