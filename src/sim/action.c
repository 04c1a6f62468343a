/* Actions of rules: what is done about a request, and how often. */
#include <stdlib.h>

#include "message/errors.h"
#include "sim/world.h"

/* "READ_TIMEOUT", 0x1200 or 4608. */
static int64_t error_of(cql_slice_t name) {
  for (int code = 0; code <= CQL_RATE_LIMIT_ERROR; code++) {
    const char *known = cql__server_error_name(code);
    if (strcmp(known, "UNKNOWN") != 0 && cql__slice_is(name, known)) return code;
  }
  return cql__sim_number_of(name);
}

static int set_text(char **out, cql_slice_t value) {
  cql__sim_release(*out);
  *out = cql__sim_text(value.data, (size_t)value.length);
  return 0;
}

static int set_int(int32_t *out, cql_slice_t value, int64_t min) {
  int64_t number = cql__sim_number_of(value);
  if (number < min || number > INT32_MAX) return CQL_EOPTION;
  *out = (int32_t)number;
  return 0;
}

static int set_spread(cql__sim_spread *out, cql_slice_t value) {
  char *text = cql__sim_text(value.data, (size_t)value.length);
  int error = cql__sim_spread_parse(text, out);
  cql__sim_release(text);
  return error;
}

static int set_error(cql__sim_rule *rule, cql_slice_t value) {
  int64_t code = error_of(value);
  if (code < 0 || code > INT32_MAX) return CQL_EOPTION;
  rule->error.code = (int32_t)code;
  rule->answers = CQL__SIM_PLAY_ERROR;
  return 0;
}

static int set_consistency(cql__sim_rule *rule, cql_slice_t value) {
  rule->error.consistency = cql__sim_consistency_of(value);
  rule->consistency_given = 1;
  return rule->error.consistency < 0 ? CQL_EOPTION : 0;
}

static int set_answer(cql__sim_rule *rule, cql_slice_t value) {
  static const struct {
    const char *name;
    int answers;
  } known[] = {
      {"void", CQL__SIM_PLAY_VOID}, {"nothing", CQL__SIM_PLAY_NOTHING}, {"own", CQL__SIM_PASS}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (!cql__slice_is(value, known[i].name)) continue;
    rule->answers = known[i].answers;
    return 0;
  }
  return CQL_EOPTION;
}

static int set_bytes(cql__sim_rule *rule, cql_slice_t value) {
  cql__sim_clear(&rule->raw);
  cql__sim_put(&rule->raw, value.data, (size_t)value.length);
  rule->answers = CQL__SIM_PLAY_RAW;
  return 0;
}

static int set_corrupt(cql__sim_rule *rule, cql_slice_t value) {
  if (cql__slice_is(value, "crc32")) return rule->corrupt = 1, 0;
  if (cql__slice_is(value, "crc24")) return rule->corrupt = 2, 0;
  return set_int(&rule->flip, value, 0);
}

static int set_close(cql__sim_rule *rule, cql_slice_t value) {
  static const char *const names[] = {"close", "reset", "half_open"};
  for (int i = 0; i < 3; i++)
    if (cql__slice_is(value, names[i])) return rule->close = i + 1, 0;
  return CQL_EOPTION;
}

static int set_twice(cql__sim_rule *rule, cql_slice_t value) {
  rule->twice = cql__sim_yes_or_no(value);
  return rule->twice < 0 ? CQL_EOPTION : 0;
}

/* "name=value", as it stands. */
static int set_payload(cql__sim_rule *rule, cql_slice_t value) {
  const uint8_t *equal = memchr(value.data, '=', (size_t)value.length);
  if (!equal) return CQL_EOPTION;
  int32_t name = (int32_t)(equal - value.data);
  cql__sim_put_short_bytes(&rule->payload, (cql_slice_t){value.data, name});
  cql__sim_put_bytes(&rule->payload, (cql_slice_t){equal + 1, value.length - name - 1});
  rule->payload_count++;
  return 0;
}

static int set_chance(cql__sim_rule *rule, cql_slice_t value) {
  char text[32], *end;
  if (value.length < 1 || value.length >= (int32_t)sizeof text) return CQL_EOPTION;
  memcpy(text, value.data, (size_t)value.length);
  text[value.length] = 0;
  double chance = strtod(text, &end);
  if (*end || !(chance >= 0 && chance <= 1)) return CQL_EOPTION;
  rule->chance = (uint32_t)(chance * 1000000 + 0.5);
  return 0;
}

static int set_count(int64_t *out, cql_slice_t value) {
  *out = cql__sim_number_of(value);
  return *out < 0 ? CQL_EOPTION : 0;
}

static int set_first(cql_sim_t *sim, cql__sim_rule *rule, cql_slice_t value) {
  if (cql__sim_yes_or_no(value) != 1) return CQL_EOPTION;
  cql__list_remove(&rule->link);
  cql__list_append(sim->rules.next, &rule->link);
  return 0;
}

static int set_operation(cql__sim_error *error, cql_slice_t value) {
  error->operation = cql__slice_is(value, "write");
  return error->operation || cql__slice_is(value, "read") ? 0 : CQL_EOPTION;
}

int cql__sim_action_set(cql_sim_t *sim, cql__sim_rule *r, const char *name, cql_slice_t v) {
#define IS(text) (strcmp(name, text) == 0)
  if (IS("error")) return set_error(r, v);
  if (IS("message")) return set_text(&r->message, v);
  if (IS("received") || IS("alive")) return set_int(&r->error.received, v, 0);
  if (IS("required")) return set_int(&r->error.required, v, 0);
  if (IS("failures")) return set_int(&r->error.failures, v, 0);
  if (IS("operation")) return set_operation(&r->error, v);
  if (IS("rejected_by_coordinator"))
    return (r->error.rejected_by_coordinator = cql__sim_yes_or_no(v)) < 0 ? CQL_EOPTION : 0;
  if (IS("contentions")) return set_int(&r->error.contentions, v, 0);
  if (IS("data_present"))
    return (r->error.data_present = cql__sim_yes_or_no(v)) < 0 ? CQL_EOPTION : 0;
  if (IS("write_type")) return set_text(&r->write_type, v);
  if (IS("error_consistency")) return set_consistency(r, v);
  if (IS("error_keyspace")) return set_text(&r->keyspace, v);
  if (IS("error_table") || IS("function")) return set_text(&r->table, v);
  if (IS("arguments")) return set_text(&r->arguments, v);
  if (IS("answer")) return set_answer(r, v);
  if (IS("bytes")) return set_bytes(r, v);
  if (IS("paging_state")) return set_text(&r->paging_state, v);
  if (IS("warning")) return set_text(&r->warning, v);
  if (IS("payload")) return set_payload(r, v);
  if (IS("delay")) return set_spread(&r->delay, v);
  if (IS("twice")) return set_twice(r, v);
  if (IS("stream")) return set_int(&r->stream, v, 0);
  if (IS("corrupt")) return set_corrupt(r, v);
  if (IS("keep")) return set_int(&r->keep, v, 0);
  if (IS("close")) return set_close(r, v);
  if (IS("close_delay")) return set_spread(&r->close_delay, v);
  if (IS("chance")) return set_chance(r, v);
  if (IS("after")) return set_count(&r->after, v);
  if (IS("times")) return set_count(&r->times, v);
  if (IS("first")) return set_first(sim, r, v);
#undef IS
  return CQL_EUNSUPPORTED;
}
