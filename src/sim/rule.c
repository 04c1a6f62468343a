#include "sim/rule.h"

#include <stdio.h>
#include <stdlib.h>

#include "message/errors.h"
#include "sim/world.h"
#include "wire/proto.h"

/* ---- names ---- */

static int opcode_of(cql_slice_t name) {
  static const struct {
    const char *name;
    int opcode;
  } opcodes[] = {
#define OPCODE(name, number) {#name, number},
      CQL__OPCODE_MAP(OPCODE)
#undef OPCODE
  };
  for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++)
    if ((size_t)name.length == strlen(opcodes[i].name) &&
        strncasecmp(opcodes[i].name, (const char *)name.data, (size_t)name.length) == 0)
      return opcodes[i].opcode;
  return -1;
}

static int consistency_of(cql_slice_t name) {
  static const char *const names[] = {"any",    "one",          "two",          "three",
                                      "quorum", "all",          "local_quorum", "each_quorum",
                                      "serial", "local_serial", "local_one"};
  for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
    if ((size_t)name.length == strlen(names[i]) &&
        strncasecmp(names[i], (const char *)name.data, (size_t)name.length) == 0)
      return i;
  return -1;
}

static int64_t number_of(cql_slice_t text) {
  char digits[24], *end;
  if (text.length < 1 || text.length >= (int32_t)sizeof digits) return INT64_MIN;
  memcpy(digits, text.data, (size_t)text.length);
  digits[text.length] = 0;
  long long number = strtoll(digits, &end, 0);
  return *end ? INT64_MIN : number;
}

/* "READ_TIMEOUT", 0x1200 or 4608. */
static int64_t error_of(cql_slice_t name) {
  for (int code = 0; code <= CQL_RATE_LIMIT_ERROR; code++) {
    const char *known = cql__server_error_name(code);
    if (strcmp(known, "UNKNOWN") != 0 && cql__slice_is(name, known)) return code;
  }
  return number_of(name);
}

static int yes_or_no(cql_slice_t value) {
  if (cql__slice_is(value, "true") || cql__slice_is(value, "1")) return 1;
  return cql__slice_is(value, "false") || cql__slice_is(value, "0") ? 0 : -1;
}

/* ---- conditions ---- */

enum {
  OPCODE_IS,
  TEXT_IS,
  PREFIX,
  CONTAINS,
  NODE,
  CONNECTION,
  SHARD,
  PLACE,
  CONSISTENCY,
  KEYSPACE,
  VERSION,
  REGISTERED
};

static const struct {
  const char *name;
  int what;
  int64_t (*read)(cql_slice_t value); /* NULL: a text */
} conditions[] = {{"opcode", OPCODE_IS, NULL},
                  {"text", TEXT_IS, NULL},
                  {"prefix", PREFIX, NULL},
                  {"contains", CONTAINS, NULL},
                  {"keyspace", KEYSPACE, NULL},
                  {"node", NODE, number_of},
                  {"connection", CONNECTION, number_of},
                  {"shard", SHARD, number_of},
                  {"place", PLACE, number_of},
                  {"version", VERSION, number_of},
                  {"consistency", CONSISTENCY, NULL},
                  {"registered", REGISTERED, NULL}};

static int starts_with(cql_slice_t text, cql_slice_t part) {
  return text.length >= part.length &&
         strncasecmp((const char *)text.data, (const char *)part.data, (size_t)part.length) == 0;
}

static cql_slice_t trimmed(cql_slice_t text) {
  if (text.length < 0) return (cql_slice_t){(const uint8_t *)"", 0};
  while (text.length && strchr(" \t\r\n;", text.data[text.length - 1])) text.length--;
  while (text.length && strchr(" \t\r\n", text.data[0]))
    text = (cql_slice_t){text.data + 1, text.length - 1};
  return text;
}

static int text_fits(int what, cql_slice_t text, cql_slice_t wanted) {
  text = trimmed(text);
  if (what == PREFIX) return starts_with(text, wanted);
  if (what == CONTAINS)
    return wanted.length == 0 || (text.length && memmem(text.data, (size_t)text.length, wanted.data,
                                                        (size_t)wanted.length));
  wanted = trimmed(wanted);
  return text.length == wanted.length && memcmp(text.data, wanted.data, (size_t)text.length) == 0;
}

static int64_t number_in(int what, const cql__sim_client *client, const cql__sim_request *request) {
  switch (what) {
    case OPCODE_IS: return request->opcode;
    case NODE: return client->node->index;
    case CONNECTION: return client->id;
    case SHARD: return client->shard;
    case PLACE: return client->place;
    case CONSISTENCY: return request->consistency;
    case VERSION: return request->version;
    default: return client->registered != 0;
  }
}

static int holds(const cql__sim_condition *condition, const cql__sim_client *client,
                 const cql__sim_request *request) {
  int what = condition->what, found = 0;
  cql_slice_t keyspace = cql__sim_slice_of(client->keyspace);
  int is_text = what == TEXT_IS || what == PREFIX || what == CONTAINS;
  for (size_t i = 0; i < condition->count && !found; i++) {
    cql_slice_t wanted = condition->values[i].text;
    if (is_text)
      found = request->text.length >= 0 && text_fits(what, request->text, wanted);
    else if (what == KEYSPACE)
      found = keyspace.length >= 0 && text_fits(TEXT_IS, keyspace, wanted);
    else
      found = number_in(what, client, request) == condition->values[i].number;
  }
  return found != condition->negated;
}

static int fits(const cql__sim_rule *rule, const cql__sim_client *client,
                const cql__sim_request *request) {
  for (const cql__sim_condition *c = rule->conditions; c; c = c->next)
    if (!holds(c, client, request)) return 0;
  return 1;
}

cql__sim_rule *cql__sim_rule_find(cql_sim_t *sim, const cql__sim_client *client,
                                  const cql__sim_request *request) {
  for (cql__list *l = sim->rules.next; l != &sim->rules; l = l->next) {
    cql__sim_rule *rule = cql__container(l, cql__sim_rule, link);
    if (rule->times >= 0 && rule->played >= rule->times) continue;
    if (!fits(rule, client, request)) continue;
    if (rule->fitted++ < rule->after) continue;
    if (rule->chance < 1000000 && !cql__sim_chance(rule->chance, &sim->nodes_random)) continue;
    rule->played++;
    return rule;
  }
  return NULL;
}

/* ---- playing ---- */

/* Scylla: the number that this node gives to it; to whom hasn't asked for it, what it was before
 * [scylladb, transport/server.cc]. */
static void play_rate_limit(const cql__sim_client *client, const cql__sim_request *request,
                            cql__sim_error *error, cql__sim_answer *answer) {
  int asked = (client->extensions & CQL__SIM_RATE_LIMIT) != 0;
  if (!asked) error->code = CQL__ERROR_CONFIG;
  if (error->operation < 0)
    error->operation =
        request->text.length < 6 || strncasecmp((const char *)request->text.data, "SELECT", 6) != 0;
  cql__sim_answer_error(answer, error, request->version, 1);
  if (!asked) return;
  answer->error = (int)client->node->settings.rate_limit_code;
  cql__put_u32(answer->body.data + answer->body.start, (uint32_t)answer->error);
}

static void play_error(const cql__sim_rule *rule, const cql__sim_client *client,
                       const cql__sim_request *request, cql__sim_answer *answer) {
  cql__sim_error error = rule->error;
  error.message = rule->message;
  error.write_type = rule->write_type;
  error.arguments = rule->arguments;
  error.keyspace = cql__sim_slice_of(rule->keyspace ? rule->keyspace : "");
  error.table = cql__sim_slice_of(rule->table ? rule->table : "");
  if (!rule->consistency_given)
    error.consistency = request->consistency >= 0 ? request->consistency : CQL_ONE;
  error.id = request->id;
  if (error.code == CQL_RATE_LIMIT_ERROR)
    play_rate_limit(client, request, &error, answer);
  else
    cql__sim_answer_error(answer, &error, request->version, cql__sim_is_scylla(client->node));
}

int cql__sim_rule_answer(cql_sim_t *sim, const cql__sim_rule *rule, const cql__sim_client *client,
                         const cql__sim_request *request, cql__sim_answer *answer) {
  (void)sim;
  cql__sim_rows_options options = {request->version, cql__sim_is_scylla(client->node), 0, NULL};
  switch (rule->answers) {
    case CQL__SIM_PASS: return 0;
    case CQL__SIM_PLAY_ERROR: play_error(rule, client, request, answer); return 1;
    case CQL__SIM_PLAY_VOID: cql__sim_answer_void(answer); return 1;
    case CQL__SIM_PLAY_ROWS: {
      cql__store_result rows = *rule->rows;
      cql__sim_buffer all = {0};
      if (rows.rows.length > 0) cql__sim_put(&all, rows.rows.data, (size_t)rows.rows.length);
      cql__sim_put(&all, cql__sim_bytes(&rule->encoded), cql__sim_size(&rule->encoded));
      rows.row_count += rule->encoded_rows;
      rows.rows = cql__sim_slice(&all);
      if (rule->paging_state) rows.paging_state = cql__sim_slice_of(rule->paging_state);
      cql__sim_answer_result(answer, &rows, &options);
      cql__sim_buffer_free(&all);
      return 1;
    }
    case CQL__SIM_PLAY_RAW: answer->raw = cql__sim_slice(&rule->raw); return 1;
    default: answer->silent = 1; return 1;
  }
}

void cql__sim_rule_spoil(cql_sim_t *sim, const cql__sim_rule *rule, cql__sim_answer *answer) {
  answer->delay += cql__sim_draw(sim, &rule->delay);
  answer->twice = rule->twice;
  answer->stream = rule->stream;
  answer->corrupt = rule->corrupt;
  answer->flip = rule->flip;
  answer->keep = rule->keep;
  answer->close = rule->close;
  answer->close_delay = cql__sim_draw(sim, &rule->close_delay);
  if (rule->warning) {
    cql__sim_put_string(&answer->warnings, rule->warning);
    answer->warning_count++;
  }
  cql__sim_put(&answer->payload, cql__sim_bytes(&rule->payload), cql__sim_size(&rule->payload));
  answer->payload_count += rule->payload_count;
}

/* ---- making ---- */

static cql__sim_rule *rule_at(cql_sim_t *sim, int id) {
  for (cql__list *l = sim->rules.next; l != &sim->rules; l = l->next) {
    cql__sim_rule *rule = cql__container(l, cql__sim_rule, link);
    if (rule->id == id) return rule;
  }
  cql__sim_mistake(sim, CQL_EINVAL, "there is no rule %d", id);
  return NULL;
}

int cql_sim_rule_new(cql_sim_t *sim) {
  cql__sim_rule *rule = cql__sim_alloc(sizeof *rule);
  rule->id = sim->next_rule++;
  rule->chance = 1000000;
  rule->times = -1;
  rule->stream = rule->flip = rule->keep = -1;
  rule->error.operation = -1;
  cql__list_append(&sim->rules, &rule->link);
  return rule->id;
}

static void free_rule(cql__sim_rule *rule) {
  cql__list_remove(&rule->link);
  while (rule->conditions) {
    cql__sim_condition *next = rule->conditions->next;
    for (size_t i = 0; i < rule->conditions->count; i++)
      cql__sim_release((void *)(uintptr_t)rule->conditions->values[i].text.data);
    cql__sim_release(rule->conditions->values);
    cql__sim_release(rule->conditions);
    rule->conditions = next;
  }
  char *texts[] = {rule->message,   rule->write_type,   rule->keyspace, rule->table,
                   rule->arguments, rule->paging_state, rule->warning};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) cql__sim_release(texts[i]);
  cql__store_result_free(rule->rows);
  cql__sim_buffer_free(&rule->raw);
  cql__sim_buffer_free(&rule->payload);
  cql__sim_buffer_free(&rule->encoded);
  cql__sim_release(rule);
}

void cql__sim_rules_free(cql_sim_t *sim) {
  while (!cql__list_empty(&sim->rules))
    free_rule(cql__container(sim->rules.next, cql__sim_rule, link));
}

int cql_sim_rule_remove(cql_sim_t *sim, int id) {
  cql__sim_rule *rule = rule_at(sim, id);
  if (!rule) return CQL_EINVAL;
  free_rule(rule);
  return 0;
}

int64_t cql_sim_rule_played(const cql_sim_t *sim, int id) {
  for (const cql__list *l = sim->rules.next; l != &sim->rules; l = l->next) {
    const cql__sim_rule *rule = cql__container(l, cql__sim_rule, link);
    if (rule->id == id) return rule->played;
  }
  return 0;
}

static int add_condition(cql__sim_rule *rule, size_t which, int negated, cql_slice_t value) {
  int what = conditions[which].what;
  int64_t number = conditions[which].read ? conditions[which].read(value)
                   : what == OPCODE_IS    ? opcode_of(value)
                   : what == CONSISTENCY  ? consistency_of(value)
                   : what == REGISTERED   ? yes_or_no(value)
                                          : 0;
  if (number == INT64_MIN || (number < 0 && what != PLACE)) return CQL_EOPTION;
  cql__sim_condition *c = rule->conditions;
  while (c && (c->what != what || c->negated != negated)) c = c->next;
  if (!c) {
    c = cql__sim_alloc(sizeof *c);
    c->what = what;
    c->negated = negated;
    c->next = rule->conditions;
    rule->conditions = c;
  }
  c->values = cql__sim_grow(c->values, c->count, &c->capacity, sizeof *c->values);
  c->values[c->count].text.data = (uint8_t *)cql__sim_text(value.data, (size_t)value.length);
  c->values[c->count].text.length = value.length;
  c->values[c->count++].number = number;
  return 0;
}

/* ---- actions ---- */

static int set_text(char **out, cql_slice_t value) {
  cql__sim_release(*out);
  *out = cql__sim_text(value.data, (size_t)value.length);
  return 0;
}

static int set_int(int32_t *out, cql_slice_t value, int64_t min) {
  int64_t number = number_of(value);
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
  rule->error.consistency = consistency_of(value);
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
  rule->twice = yes_or_no(value);
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
  *out = number_of(value);
  return *out < 0 ? CQL_EOPTION : 0;
}

static int set_first(cql_sim_t *sim, cql__sim_rule *rule, cql_slice_t value) {
  if (yes_or_no(value) != 1) return CQL_EOPTION;
  cql__list_remove(&rule->link);
  cql__list_append(sim->rules.next, &rule->link);
  return 0;
}

static int set_operation(cql__sim_error *error, cql_slice_t value) {
  error->operation = cql__slice_is(value, "write");
  return error->operation || cql__slice_is(value, "read") ? 0 : CQL_EOPTION;
}

/* CQL_EUNSUPPORTED: no action has that name. */
static int set_action(cql_sim_t *sim, cql__sim_rule *r, const char *name, cql_slice_t v) {
#define IS(text) (strcmp(name, text) == 0)
  if (IS("error")) return set_error(r, v);
  if (IS("message")) return set_text(&r->message, v);
  if (IS("received") || IS("alive")) return set_int(&r->error.received, v, 0);
  if (IS("required")) return set_int(&r->error.required, v, 0);
  if (IS("failures")) return set_int(&r->error.failures, v, 0);
  if (IS("operation")) return set_operation(&r->error, v);
  if (IS("rejected_by_coordinator"))
    return (r->error.rejected_by_coordinator = yes_or_no(v)) < 0 ? CQL_EOPTION : 0;
  if (IS("contentions")) return set_int(&r->error.contentions, v, 0);
  if (IS("data_present")) return (r->error.data_present = yes_or_no(v)) < 0 ? CQL_EOPTION : 0;
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

int cql_sim_rule_set(cql_sim_t *sim, int id, const char *name, const uint8_t *value, size_t size) {
  cql__sim_rule *rule = rule_at(sim, id);
  cql_slice_t given = {value, (int32_t)size};
  if (!rule) return CQL_EINVAL;
  if (size > INT32_MAX) return CQL_ETOOBIG;
  int negated = strncmp(name, "not ", 4) == 0 || strncmp(name, "not_", 4) == 0;
  const char *bare = negated ? name + 4 : name;
  int error = CQL_EUNSUPPORTED;
  for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
    if (strcmp(conditions[i].name, bare) == 0) error = add_condition(rule, i, negated, given);
  if (error == CQL_EUNSUPPORTED && !negated) error = set_action(sim, rule, name, given);
  if (error == CQL_EUNSUPPORTED)
    return cql__sim_mistake(sim, CQL_EOPTION, "rules have no part \"%.60s\"", name);
  if (error)
    return cql__sim_mistake(sim, error, "a rule's %.60s can't be \"%.*s\"", name,
                            size > 60 ? 60 : (int)size, (const char *)value);
  return 0;
}

int cql_sim_rule_columns(cql_sim_t *sim, int id, const char *columns) {
  cql__sim_rule *rule = rule_at(sim, id);
  if (!rule) return CQL_EINVAL;
  cql__store_result *rows = cql__store_columns(cql__sim_store(sim), (cql_slice_t){NULL, CQL_NULL},
                                               cql__sim_slice_of(columns));
  if (rows->kind == CQL_RESULT_ERROR) {
    cql__sim_mistake(sim, CQL_EVALUE, "%s", rows->message);
    cql__store_result_free(rows);
    return CQL_EVALUE;
  }
  cql__store_result_free(rule->rows);
  rule->rows = rows;
  rule->answers = CQL__SIM_PLAY_ROWS;
  return 0;
}

int cql_sim_rule_row(cql_sim_t *sim, int id, const char *values) {
  cql__sim_rule *rule = rule_at(sim, id);
  if (!rule) return CQL_EINVAL;
  if (!rule->rows) return cql__sim_mistake(sim, CQL_EINVAL, "the rule has no columns yet");
  int error = cql__store_columns_add(rule->rows, cql__sim_slice_of(values));
  return error ? cql__sim_mistake(sim, error, "%s", rule->rows->message) : 0;
}

int cql_sim_rule_row_encoded(cql_sim_t *sim, int id, const uint8_t *encoded, size_t size) {
  cql__sim_rule *rule = rule_at(sim, id);
  if (!rule) return CQL_EINVAL;
  if (!rule->rows) return cql__sim_mistake(sim, CQL_EINVAL, "the rule has no columns yet");
  cql__cursor c = cql__cursor_of(encoded, size);
  for (uint32_t i = 0; i < rule->rows->column_count; i++) cql__read_bytes(&c);
  if (c.broken || cql__cursor_left(&c))
    return cql__sim_mistake(sim, CQL_EVALUE, "these are not %u values", rule->rows->column_count);
  cql__sim_put(&rule->encoded, encoded, size);
  rule->encoded_rows++;
  return 0;
}
