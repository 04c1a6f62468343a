/* Conditions of rules: which requests they are for. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/rule.h"
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

int cql__sim_consistency_of(cql_slice_t name) {
  static const char *const names[] = {"any",    "one",          "two",          "three",
                                      "quorum", "all",          "local_quorum", "each_quorum",
                                      "serial", "local_serial", "local_one"};
  for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
    if ((size_t)name.length == strlen(names[i]) &&
        strncasecmp(names[i], (const char *)name.data, (size_t)name.length) == 0)
      return i;
  return -1;
}

int64_t cql__sim_number_of(cql_slice_t text) {
  char digits[24], *end;
  if (text.length < 1 || text.length >= (int32_t)sizeof digits) return INT64_MIN;
  memcpy(digits, text.data, (size_t)text.length);
  digits[text.length] = 0;
  long long number = strtoll(digits, &end, 0);
  return *end ? INT64_MIN : number;
}

int cql__sim_yes_or_no(cql_slice_t value) {
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
                  {"node", NODE, cql__sim_number_of},
                  {"connection", CONNECTION, cql__sim_number_of},
                  {"shard", SHARD, cql__sim_number_of},
                  {"place", PLACE, cql__sim_number_of},
                  {"version", VERSION, cql__sim_number_of},
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

int cql__sim_conditions_hold(const cql__sim_rule *rule, const cql__sim_client *client,
                             const cql__sim_request *request) {
  for (const cql__sim_condition *c = rule->conditions; c; c = c->next)
    if (!holds(c, client, request)) return 0;
  return 1;
}

static int add(cql__sim_rule *rule, size_t which, int negated, cql_slice_t value) {
  int what = conditions[which].what;
  int64_t number = conditions[which].read ? conditions[which].read(value)
                   : what == OPCODE_IS    ? opcode_of(value)
                   : what == CONSISTENCY  ? cql__sim_consistency_of(value)
                   : what == REGISTERED   ? cql__sim_yes_or_no(value)
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

int cql__sim_condition_add(cql__sim_rule *rule, const char *name, int negated, cql_slice_t value) {
  for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
    if (strcmp(conditions[i].name, name) == 0) return add(rule, i, negated, value);
  return CQL_EUNSUPPORTED;
}
