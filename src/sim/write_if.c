/* Conditional writes: whether their conditions hold, and what is told if not. */
#include "sim/write.h"

static const cql_slice_t none = {NULL, CQL_NULL};

/* Where a conditional change's row is, as it is now. */
typedef struct found {
  cql__sim_partition *partition;
  cql__sim_row *row; /* NULL: it isn't there */
  int lives;
  int reads_statics; /* it is about static columns, too */
  int is_told;       /* there is something to tell of it */
} found;

static int is_static(const cql__sim_table *table, cql_slice_t name) {
  return cql__sim_find_column(table, name)->kind == CQL__SIM_STATIC;
}

static int reads_statics(const cql__sim_plan *plan) {
  for (const cql__sim_name *name = plan->query->columns; name; name = name->next)
    if (is_static(plan->table, name->text)) return 1;
  for (const cql__sim_assignment *a = plan->query->assignments; a; a = a->next)
    if (is_static(plan->table, a->column)) return 1;
  for (uint32_t i = 0; i < plan->conditions.count; i++)
    if (plan->conditions.all[i].column->kind == CQL__SIM_STATIC) return 1;
  return 0;
}

static int find_row(cql__sim_change *change, found *out, cql__sim_key *key) {
  const cql__sim_plan *plan = change->plan;
  cql__sim_test *tests;
  cql__sim_key *keys;
  cql_slice_t *clustering;
  uint32_t count;
  *out = (found){.reads_statics = reads_statics(plan)};
  if (cql__sim_tests_make(&change->run, &plan->where, 1, &tests) ||
      cql__sim_keys(&change->run, plan, tests, &keys, &count))
    return CQL_EVALUE;
  if (!count)
    return INVALID(&change->run, "A batch with conditions needs a row for each statement");
  *key = keys[0];
  out->partition = cql__sim_partition_find(plan->table, keys[0].token, keys[0].key);
  int has_row = plan->where.clustering_count == plan->table->clustering_count;
  if (has_row && cql__sim_combine(&change->run, &plan->where, tests, plan->where.clustering,
                                  plan->where.clustering_count, &clustering, &count))
    return CQL_EVALUE;
  if (!out->partition) return 0;
  if (has_row) out->row = cql__sim_row_find(plan->table, out->partition, clustering);
  out->lives = cql__sim_row_is_live(has_row && out->row ? out->row : &out->partition->statics,
                                    change->run.now_s);
  if (has_row && !out->row) out->lives = 0;
  out->is_told = out->lives;
  if (out->reads_statics && plan->conditions.count)
    out->is_told |= cql__sim_row_is_live(&out->partition->statics, change->run.now_s);
  return 0;
}

/* 1, 0, CQL_EVALUE. */
static int holds(cql__sim_change *change, const found *at) {
  const cql__sim_statement *query = change->plan->query;
  const cql__sim_restrictions *conditions = &change->plan->conditions;
  if (query->if_not_exists) return !at->lives;
  if (query->if_exists) return at->lives;
  cql__sim_test *tests;
  if (cql__sim_tests_make(&change->run, conditions, 0, &tests)) return CQL_EVALUE;
  for (uint32_t i = 0; i < conditions->count; i++) {
    cql_slice_t value = none;
    if (at->partition)
      value = cql__sim_value_of(change->plan->table, at->partition, at->row,
                                conditions->all[i].column, change->run.now_s);
    if (!cql__sim_test_holds(&tests[i], value)) return 0;
  }
  return 1;
}

/* The columns that tell why a change wasn't applied: those of its conditions or, of IF NOT EXISTS,
 * all; in a batch with the key before them. */
static uint32_t told_columns(cql__sim_change *changes, uint32_t count,
                             const cql__sim_column **out) {
  const cql__sim_table *table = changes[0].plan->table;
  uint32_t told = 0;
  int all = 0;
  for (uint32_t i = 0; i < count; i++) all |= changes[i].plan->query->if_not_exists;
  for (uint32_t i = 0; i < table->column_count; i++) {
    const cql__sim_column *column = &table->columns[i];
    int wanted = all || (count > 1 && column->kind < CQL__SIM_STATIC);
    for (uint32_t k = 0; k < count && !wanted; k++)
      for (uint32_t c = 0; c < changes[k].plan->conditions.count; c++)
        wanted |= changes[k].plan->conditions.all[c].column == column;
    if (wanted) out[told++] = column;
  }
  return told;
}

static void put_applied(cql__sim_result *out, int applied) {
  cql__sim_put_u32(&out->rows, 1);
  cql__sim_put_u8(&out->rows, (unsigned)applied);
  out->seen.row_count++;
}

/* The rows that are to be told, in the order of the table, each once. */
static uint32_t sort_told(const cql__sim_table *table, found *rows, uint32_t count) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; i++) {
    found one = rows[i];
    uint32_t at = kept;
    if (!one.is_told) continue;
    for (; at > 0 && cql__sim_row_order(table, one.row, rows[at - 1].row) < 0; at--)
      rows[at] = rows[at - 1];
    rows[at] = one;
    int again = at > 0 && cql__sim_row_order(table, one.row, rows[at - 1].row) == 0;
    if (again) memmove(&rows[at], &rows[at + 1], (kept - at) * sizeof *rows);
    kept += !again;
  }
  return kept;
}

/* The rows of a conditional change or batch. */
static void tell(cql__sim_change *changes, uint32_t count, int applied, found *rows,
                 cql__sim_result *out) {
  const cql__sim_table *table = changes[0].plan->table;
  const cql__sim_column **told =
      cql__sim_region_take(&out->region, table->column_count * sizeof *told);
  int statics = 0;
  for (uint32_t i = 0; i < count; i++) statics |= rows[i].reads_statics;
  uint32_t row_count = applied ? 0 : sort_told(table, rows, count);
  uint32_t told_count = row_count ? told_columns(changes, count, told) : 0;
  if (!told_count) row_count = 0;
  cql_column_t *columns = cql__sim_region_take(&out->region, (told_count + 1) * sizeof *columns);
  columns[0] = (cql_column_t){
      table->keyspace->name, table->name, cql__sim_slice_of("[applied]"), {.kind = CQL_BOOLEAN}};
  for (uint32_t i = 0; i < told_count; i++)
    columns[i + 1] =
        (cql_column_t){table->keyspace->name, table->name, told[i]->name, told[i]->type};
  cql__sim_rows_begin(out, columns, told_count + 1);
  if (!row_count) put_applied(out, applied);
  for (uint32_t i = 0; i < row_count; i++) {
    put_applied(out, 0);
    for (uint32_t k = 0; k < told_count; k++) {
      int is_read = told[k]->kind != CQL__SIM_STATIC || statics;
      cql__sim_put_bytes(&out->rows, is_read
                                         ? cql__sim_value_of(table, rows[i].partition, rows[i].row,
                                                             told[k], changes[0].run.now_s)
                                         : none);
    }
  }
  cql__sim_rows_end(out);
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

/* A conditional write comes after all that it has seen, whatever the clocks say. */
static int64_t after(const found *at) {
  int64_t newest = INT64_MIN;
  if (!at->partition) return newest;
  newest = later(at->partition->deleted, cql__sim_row_newest(&at->partition->statics));
  if (at->row) newest = later(newest, cql__sim_row_newest(at->row));
  return newest < INT64_MAX && newest > INT64_MIN ? newest + 1 : newest;
}

void cql__sim_write_if(cql__sim_change *changes, uint32_t count, cql__sim_result *out) {
  found *rows = cql__sim_region_take(&out->region, count * sizeof *rows);
  int64_t at = changes[0].run.call->now_us; /* the client's time doesn't count here */
  cql__sim_key first = {0}, key;
  int applied = 1;
  for (uint32_t i = 0; i < count; i++) {
    cql__sim_change *change = &changes[i];
    int is_conditional = cql__sim_is_conditional(change->plan->query);
    /* one that isn't may write many rows; it has none to tell of */
    if (find_row(change, &rows[i], &key)) return;
    if (i == 0) first = key;
    if (change->plan->table != changes[0].plan->table || !cql__sim_same(first.key, key.key)) {
      INVALID(&change->run, change->plan->table != changes[0].plan->table
                                ? "Batch with conditions cannot span multiple tables"
                                : "Batch with conditions cannot span multiple partitions");
      return;
    }
    int good = is_conditional ? holds(change, &rows[i]) : 1;
    if (good < 0) return;
    applied &= good;
    at = later(at, after(&rows[i]));
    rows[i].is_told &= is_conditional;
  }
  for (uint32_t i = 0; i < count && applied; i++)
    if (cql__sim_write_go_through(&changes[i], NULL, 1, &at)) return;
  tell(changes, count, applied, rows, out);
}
