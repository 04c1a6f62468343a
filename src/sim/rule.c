#include "sim/rule.h"

#include "sim/world.h"
#include "wire/proto.h"

cql__sim_rule *cql__sim_rule_find(cql_sim_t *sim, const cql__sim_client *client,
                                  const cql__sim_request *request) {
  for (cql__list *l = sim->rules.next; l != &sim->rules; l = l->next) {
    cql__sim_rule *rule = cql__container(l, cql__sim_rule, link);
    if (rule->times >= 0 && rule->played >= rule->times) continue;
    if (!cql__sim_conditions_hold(rule, client, request)) continue;
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

int cql_sim_rule_set(cql_sim_t *sim, int id, const char *name, const uint8_t *value, size_t size) {
  cql__sim_rule *rule = rule_at(sim, id);
  cql_slice_t given = {value, (int32_t)size};
  if (!rule) return CQL_EINVAL;
  if (size > INT32_MAX) return CQL_ETOOBIG;
  int negated = strncmp(name, "not ", 4) == 0 || strncmp(name, "not_", 4) == 0;
  const char *bare = negated ? name + 4 : name;
  int error = cql__sim_condition_add(rule, bare, negated, given);
  if (error == CQL_EUNSUPPORTED && !negated) error = cql__sim_action_set(sim, rule, name, given);
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
