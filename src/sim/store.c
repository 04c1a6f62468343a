#include "sim/store.h"

#include "sim/run.h"

static const cql_slice_t none = {NULL, CQL_NULL};

/* ---- the store ---- */

cql__store *cql__store_new(int scylla) {
  cql__store *store = cql__sim_alloc(sizeof *store);
  cql__sim_schema_init(&store->schema);
  store->schema.serial = 1; /* 0: a statement that was never resolved */
  store->scylla = scylla;
  cql__rand_seed(&store->rand, 1);
  return store;
}

void cql__store_free(cql__store *store) {
  cql__sim_schema_free(&store->schema);
  cql__sim_release(store);
}

void cql__store_version(const cql__store *store, uint8_t *out) {
  cql__sim_schema_version(&store->schema, out);
}

int cql__store_replication(const cql__store *store, cql_slice_t keyspace,
                           cql__sim_replication *out) {
  const cql__sim_keyspace *found = cql__sim_find_keyspace(&store->schema, keyspace);
  if (!found) return 0;
  *out = (cql__sim_replication){found->strategy, found->option_count, found->options,
                                found->factors, found->tablets};
  return 1;
}

int cql__store_has_table(const cql__store *store, cql_slice_t keyspace, cql_slice_t table) {
  const cql__sim_keyspace *found = cql__sim_find_keyspace(&store->schema, keyspace);
  return found && cql__sim_find_table(found, table);
}

/* ---- statements ---- */

static int parse(cql__statement *statement, cql__sim_result *out) {
  cql__sim_buffer why = {0};
  statement->query = cql__sim_parse(&statement->region, statement->text.data,
                                    (size_t)statement->text.length, &why);
  if (!statement->query) return cql__store_fail_with(out, CQL__SIM_SYNTAX_ERROR, &why);
  cql__sim_buffer_free(&why);
  return 0;
}

static cql__statement *new_statement(cql__store *store, cql_slice_t keyspace, cql_slice_t text,
                                     cql__sim_result *out) {
  cql__statement *statement = cql__sim_alloc(sizeof *statement);
  if (text.length < 0) text.length = 0;
  statement->text = cql__sim_keep(&statement->region, text);
  statement->keyspace = cql__sim_keep(&statement->region, keyspace);
  if (parse(statement, out) || cql__statement_resolve(store, statement, out)) {
    cql__statement_free(statement);
    return NULL;
  }
  return statement;
}

cql__statement *cql__store_prepare(cql__store *store, cql_slice_t keyspace, cql_slice_t text,
                                   cql__store_result **error) {
  cql__sim_result *out = cql__sim_result_new();
  cql__statement *statement = new_statement(store, keyspace, text, out);
  *error = statement ? NULL : &out->seen;
  if (statement) cql__store_result_free(&out->seen);
  return statement;
}

void cql__statement_free(cql__statement *statement) {
  if (!statement) return;
  cql__sim_region_free(&statement->resolved);
  cql__sim_region_free(&statement->region);
  cql__sim_release(statement);
}

const cql__statement_shape *cql__statement_shape_of(cql__store *store, cql__statement *statement) {
  if (statement->serial == store->schema.serial) return &statement->shape;
  cql__sim_result *out = cql__sim_result_new();
  int error = cql__statement_resolve(store, statement, out);
  cql__store_result_free(&out->seen);
  return error ? NULL : &statement->shape;
}

/* ---- calls ---- */

void cql__store_call_init(cql__store_call *call) {
  *call = (cql__store_call){.keyspace = none,
                            .paging_state = none,
                            .timestamp = CQL__STORE_NO_TIMESTAMP,
                            .now_in_seconds = -1};
}

/* The values in the order of the markers. */
static int order_values(cql__sim_run *run, const cql__store_call *call, const cql_slice_t *values,
                        uint32_t count) {
  const cql__statement_shape *shape = run->shape;
  if (count != shape->bind_count)
    return cql__store_fail(run->out, CQL__SIM_INVALID,
                           "there were %u markers(?) in CQL but %u bound variables",
                           shape->bind_count, count);
  run->values.values = values;
  run->values.count = count;
  if (!call->names) return 0;
  cql_slice_t *ordered = cql__sim_region_take(&run->out->region, count * sizeof *ordered);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t at = 0;
    while (at < count && !cql__sim_same(call->names[at], shape->binds[i].name)) at++;
    if (at == count)
      return cql__store_fail(run->out, CQL__SIM_INVALID, "There is no value for the marker %.*s",
                             CQL__SIM_SHOW(shape->binds[i].name));
    ordered[i] = values[at];
  }
  run->values.values = ordered;
  return 0;
}

static int64_t seconds_of(const cql__store_call *call) {
  return call->now_in_seconds >= 0 ? call->now_in_seconds : call->now_us / 1000000;
}

static int start(cql__sim_run *run, cql__store *store, cql__statement *statement,
                 const cql__store_call *call, const cql_slice_t *values, uint32_t count,
                 cql__sim_result *out) {
  *run = (cql__sim_run){.store = store, .call = call, .out = out, .shape = &statement->shape};
  run->now_s = seconds_of(call);
  run->values.region = &out->region;
  run->values.wall_clock = call->now_us;
  run->values.rand = &store->rand;
  if (cql__statement_resolve(store, statement, out)) return CQL_EVALUE;
  return order_values(run, call, values, count);
}

/* Adds a change for each plan of a statement. */
static uint32_t add_changes(cql__sim_change *changes, uint32_t at, const cql__sim_run *run,
                            const cql__statement *statement) {
  for (const cql__sim_plan *plan = statement->plans; plan; plan = plan->next)
    changes[at++] = (cql__sim_change){*run, plan};
  return at;
}

static uint32_t plan_count(const cql__statement *statement) {
  uint32_t count = 0;
  for (const cql__sim_plan *plan = statement->plans; plan; plan = plan->next) count++;
  return count;
}

static void write_batch(cql__sim_run *run, const cql__statement *statement) {
  const cql__sim_term *term = statement->query->timestamp;
  const cql_type_t type = {.kind = CQL_BIGINT};
  uint32_t count = plan_count(statement);
  cql__sim_change *changes = cql__sim_region_take(&run->out->region, (count + 1) * sizeof *changes);
  add_changes(changes, 0, run, statement);
  int64_t timestamp = 0;
  int is_batch = statement->query->kind == CQL__SIM_BATCH;
  if (is_batch && term) {
    cql_slice_t value;
    if (cql__sim_evaluate(run, &type, term, cql__sim_slice_of("timestamp"), &value)) return;
    if (value.length != 8) {
      cql__store_fail(run->out, CQL__SIM_INVALID, "Invalid null value of timestamp");
      return;
    }
    timestamp = (int64_t)cql__get_u64(value.data);
  }
  cql__sim_write(changes, count, is_batch && term ? &timestamp : NULL, run->out);
}

static void use(cql__sim_run *run, const cql__statement *statement) {
  cql_slice_t name = statement->query->keyspace;
  if (!cql__sim_find_keyspace(&run->store->schema, name)) {
    cql__store_fail(run->out, CQL__SIM_INVALID, "Keyspace '%.*s' does not exist",
                    CQL__SIM_SHOW(name));
    return;
  }
  run->out->seen.kind = CQL_RESULT_KEYSPACE;
  run->out->seen.keyspace = cql__sim_keep(&run->out->region, name);
}

/* What is known to be CQL and isn't simulated. */
static void refuse(cql__sim_result *out) {
  cql__store_fail(out, CQL__SIM_INVALID,
                  "This kind of statement is not simulated: prime an answer for it");
}

static void execute(cql__sim_run *run, cql__statement *statement) {
  switch (statement->shape.kind) {
    case CQL__STATEMENT_READ: cql__sim_select(run, statement->plans); return;
    case CQL__STATEMENT_WRITE: write_batch(run, statement); return;
    case CQL__STATEMENT_TRUNCATE: cql__sim_truncate(statement->plans->table); return;
    case CQL__STATEMENT_USE: use(run, statement); return;
    default: break;
  }
  if (statement->query->kind == CQL__SIM_OTHER)
    refuse(run->out);
  else
    cql__sim_define(run->store, statement->query, statement->keyspace, run->out);
}

cql__store_result *cql__store_execute(cql__store *store, cql__statement *statement,
                                      const cql__store_call *call) {
  cql__sim_result *out = cql__sim_result_new();
  cql__sim_run run;
  if (start(&run, store, statement, call, call->values, call->value_count, out) == 0)
    execute(&run, statement);
  return &out->seen;
}

cql__store_result *cql__store_query(cql__store *store, cql_slice_t text,
                                    const cql__store_call *call) {
  cql__store_result *result;
  cql__statement *statement = cql__store_prepare(store, call->keyspace, text, &result);
  if (!statement) return result;
  result = cql__store_execute(store, statement, call);
  cql__statement_free(statement);
  return result;
}

/* ---- batches ---- */

static int check_batch(int type, const cql__statement *statement, cql__sim_result *out) {
  if (statement->shape.kind != CQL__STATEMENT_WRITE || statement->query->kind == CQL__SIM_BATCH)
    return cql__store_fail(out, CQL__SIM_INVALID,
                           "Invalid statement in batch: only UPDATE, INSERT "
                           "and DELETE statements are allowed.");
  if (statement->shape.counter == (type == CQL_COUNTER_BATCH)) return 0;
  return cql__store_fail(
      out, CQL__SIM_INVALID,
      type == CQL_COUNTER_BATCH ? "Cannot include non-counter statement in a counter batch"
      : type == CQL_LOGGED      ? "Cannot include a counter statement in a logged batch"
                                : "Counter and non-counter mutations cannot exist in "
                                  "the same batch");
}

cql__store_result *cql__store_batch(cql__store *store, int type, const cql__store_item *items,
                                    uint32_t count, const cql__store_call *call) {
  cql__sim_result *out = cql__sim_result_new();
  cql__statement **own = cql__sim_alloc((count + 1) * sizeof *own);
  cql__sim_change *changes = cql__sim_alloc((count + 1) * sizeof *changes);
  uint32_t done = 0;
  for (; done < count; done++) {
    const cql__store_item *item = &items[done];
    cql__statement *statement = item->statement;
    cql__sim_run run;
    if (!statement) statement = own[done] = new_statement(store, call->keyspace, item->text, out);
    if (!statement || start(&run, store, statement, call, item->values, item->value_count, out) ||
        check_batch(type, statement, out))
      break;
    add_changes(changes, done, &run, statement);
  }
  if (done == count) cql__sim_write(changes, count, NULL, out);
  for (uint32_t i = 0; i < count; i++) cql__statement_free(own[i]);
  cql__sim_release(own);
  cql__sim_release(changes);
  return &out->seen;
}

/* ---- tokens ---- */

int cql__statement_token(cql__store *store, cql__statement *statement, const cql__store_call *call,
                         int64_t *out) {
  cql__sim_result *result = cql__sim_result_new();
  cql__sim_run run;
  cql__sim_test *tests;
  cql__sim_key *keys;
  uint32_t count = 0;
  if (start(&run, store, statement, call, call->values, call->value_count, result) == 0 &&
      statement->shape.kind <= CQL__STATEMENT_WRITE && statement->plans) {
    const cql__sim_plan *plan = statement->plans;
    if (plan->where.partition_count < plan->table->partition_count ||
        cql__sim_tests_make(&run, &plan->where, 1, &tests) ||
        cql__sim_keys(&run, plan, tests, &keys, &count))
      count = 0;
  }
  if (count == 1) *out = keys[0].token;
  cql__store_result_free(&result->seen);
  return count == 1;
}
