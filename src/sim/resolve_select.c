/* SELECT: what is picked, and in which order. */
#include "sim/resolve.h"

static const cql_type_t int_type = {.kind = CQL_INT};
static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

static int set_order(cql__sim_resolver *r) {
  const cql__sim_table *table = r->plan->table;
  const cql__sim_restrictions *where = &r->plan->where;
  uint32_t position = 0;
  int first = 0;
  for (const cql__sim_name *order = r->plan->query->order; order; order = order->next) {
    if (where->partition_count < table->partition_count)
      return INVALID(r, "ORDER BY is only supported when the partition key is restricted by an EQ "
                        "or an IN.");
    const cql__sim_column *column = cql__sim_resolve_column(r, order->text);
    if (!column) return CQL_EVALUE;
    if (column->kind != CQL__SIM_CLUSTERING)
      return INVALID(r,
                     "Order by is currently only supported on the clustered columns of the "
                     "PRIMARY KEY, got %.*s",
                     CQL__SIM_SHOW(order->text));
    while (position < column->position && where->clustering[position] &&
           where->clustering[position]->relation->op == CQL__SIM_EQUAL)
      position++;
    if (column->position != position)
      return INVALID(r, "Order by currently only supports the ordering of columns following their "
                        "declared order in the PRIMARY KEY");
    int reversed = order->descending != column->descending;
    if (order != r->plan->query->order && reversed != first)
      return INVALID(r, "Unsupported order by relation");
    first = reversed;
    position++;
  }
  r->plan->reversed = first;
  return 0;
}

typedef struct function {
  const char *name;
  int kind;
  int32_t type;
  const char *title; /* of its column */
} function;

static const function functions[] = {
    {"writetime", CQL__SIM_PICK_WRITETIME, CQL_BIGINT, "writetime(%)"},
    {"ttl", CQL__SIM_PICK_TTL, CQL_INT, "ttl(%)"},
    {"token", CQL__SIM_PICK_TOKEN, CQL_BIGINT, "system.token(%)"},
    {"now", CQL__SIM_PICK_CALL, CQL_TIMEUUID, "system.now()%"},
    {"uuid", CQL__SIM_PICK_CALL, CQL_UUID, "system.uuid()%"},
    {"currenttimestamp", CQL__SIM_PICK_CALL, CQL_TIMESTAMP, "system.currenttimestamp()%"},
    {"current_timestamp", CQL__SIM_PICK_CALL, CQL_TIMESTAMP, "system.current_timestamp()%"},
};

static int pick_function(cql__sim_resolver *r, const cql__sim_selector *selector,
                         cql__sim_pick *pick, cql_column_t *shape) {
  cql_slice_t column = selector->column;
  if (cql__slice_is(selector->function, "count")) {
    pick->kind = CQL__SIM_PICK_COUNT;
    r->plan->counts = 1;
    shape->type.kind = CQL_BIGINT;
    shape->name =
        column.length < 0 ? text_of("count") : cql__sim_resolve_named(r, "system.count(%)", column);
    if (column.length < 0) return 0;
    pick->column = cql__sim_resolve_column(r, column);
    return pick->column ? 0 : CQL_EVALUE;
  }
  size_t i = 0, count = sizeof functions / sizeof *functions;
  while (i < count && !cql__slice_is(selector->function, functions[i].name)) i++;
  if (i == count) return INVALID(r, "Unknown function '%.*s'", CQL__SIM_SHOW(selector->function));
  pick->kind = functions[i].kind;
  shape->type.kind = functions[i].type;
  shape->name = cql__sim_resolve_named(r, functions[i].title, column);
  if (pick->kind == CQL__SIM_PICK_CALL) {
    cql__sim_term *call = cql__sim_region_take(r->region, sizeof *call);
    call->kind = CQL__SIM_TERM_CALL;
    call->text = selector->function;
    pick->call = call;
    return 0;
  }
  pick->column = cql__sim_resolve_column(r, column);
  if (!pick->column) return CQL_EVALUE;
  if (pick->kind != CQL__SIM_PICK_TOKEN && pick->column->kind < CQL__SIM_STATIC)
    return INVALID(r, "Cannot use selection function %s on PRIMARY KEY part %.*s",
                   functions[i].name, CQL__SIM_SHOW(column));
  return 0;
}

static int pick_selector(cql__sim_resolver *r, const cql__sim_selector *selector,
                         cql__sim_pick *pick, cql_column_t *shape) {
  int error = 0;
  if (selector->function.length >= 0) {
    error = pick_function(r, selector, pick, shape);
  } else {
    pick->column = cql__sim_resolve_column(r, selector->column);
    if (!pick->column) return CQL_EVALUE;
    shape->name = pick->column->name;
    shape->type = pick->column->type;
  }
  if (selector->alias.length >= 0) shape->name = selector->alias;
  if (!error && r->plan->query->distinct && pick->column &&
      pick->column->kind != CQL__SIM_PARTITION_KEY && pick->column->kind != CQL__SIM_STATIC)
    return INVALID(r,
                   "SELECT DISTINCT queries must only request partition key columns and/or "
                   "static columns (not %.*s)",
                   CQL__SIM_SHOW(selector->column));
  return error;
}

static int resolve_picks(cql__sim_resolver *r) {
  const cql__sim_table *table = r->plan->table;
  const cql__sim_selector *selectors = r->plan->query->selectors;
  uint32_t count = 0;
  for (const cql__sim_selector *at = selectors; at; at = at->next) count++;
  if (!selectors) count = table->column_count;
  cql__sim_pick *picks = cql__sim_region_take(r->region, count * sizeof *picks);
  cql_column_t *shape = cql__sim_region_take(r->region, count * sizeof *shape);
  for (uint32_t i = 0; i < count; i++) {
    shape[i].keyspace = table->keyspace->name;
    shape[i].table = table->name;
    if (selectors) {
      if (pick_selector(r, selectors, &picks[i], &shape[i])) return CQL_EVALUE;
      selectors = selectors->next;
    } else {
      picks[i].column = &table->columns[i];
      shape[i].name = table->columns[i].name;
      shape[i].type = table->columns[i].type;
    }
  }
  r->plan->picks = picks;
  r->plan->pick_count = count;
  r->statement->shape.columns = shape;
  r->statement->shape.column_count = count;
  return 0;
}

/* Static columns are the same in all rows: asking for some of these makes no sense. */
static int check_statics(cql__sim_resolver *r) {
  const cql__sim_plan *plan = r->plan;
  uint32_t statics = 0;
  for (uint32_t i = 0; i < plan->pick_count; i++) {
    const cql__sim_column *column = plan->picks[i].column;
    if (!column || column->kind == CQL__SIM_CLUSTERING || column->kind == CQL__SIM_REGULAR)
      return 0;
    statics += column->kind == CQL__SIM_STATIC;
  }
  for (uint32_t i = 0; i < plan->where.count && statics; i++)
    if (plan->where.all[i].column && plan->where.all[i].column->kind == CQL__SIM_CLUSTERING)
      return INVALID(r, "Cannot restrict clustering columns when selecting only static columns");
  return 0;
}

int cql__sim_resolve_select(cql__sim_resolver *r) {
  cql__sim_plan *plan = r->plan;
  const cql__sim_statement *query = plan->query;
  if (resolve_picks(r) || cql__sim_resolve_relations(r, query->where, &plan->where) ||
      cql__sim_resolve_key(r, &plan->where) || cql__sim_resolve_filtering(r, &plan->where) ||
      check_statics(r) || set_order(r))
    return CQL_EVALUE;
  if (plan->counts && query->partition_limit)
    return INVALID(r, "PER PARTITION LIMIT is not allowed with aggregate queries.");
  cql__sim_resolve_bind(r, query->partition_limit, &int_type, text_of("[per_partition_limit]"));
  cql__sim_resolve_bind(r, query->limit, &int_type, text_of("[limit]"));
  return 0;
}
