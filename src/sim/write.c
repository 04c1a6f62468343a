/* Write: INSERT, UPDATE and DELETE, with their conditions. Each is gone through twice: first to see
 * that all of its values are good, then, if the conditions hold, to do it; so a batch happens as a
 * whole or not at all. */
#include "sim/run.h"

#define INVALID(run, ...) cql__store_fail((run)->out, CQL__SIM_INVALID, __VA_ARGS__)

enum { TTL_MAX = 630720000 };

static const cql_slice_t none = {NULL, CQL_NULL};

/* What of a change is known once its values are. */
typedef struct target {
  cql__sim_run *run;
  const cql__sim_plan *plan;
  const cql__sim_statement *query;
  cql__sim_table *table;
  cql__sim_test *tests;
  cql__sim_stamp stamp;
  int acts; /* else it only looks */
} target;

/* ---- time ---- */

/* 0 and the number; 1: there is none; CQL_EVALUE. */
static int read_number(cql__sim_run *run, const cql__sim_term *term, int32_t kind, const char *name,
                       int64_t *out) {
  const cql_type_t type = {.kind = kind};
  cql_slice_t value;
  if (!term) return 1;
  if (cql__sim_evaluate(run, &type, term, cql__sim_slice_of(name), &value)) return CQL_EVALUE;
  if (value.length == CQL_UNSET) return 1;
  if (value.length < 0) return kind == CQL_INT ? 1 : INVALID(run, "Invalid null value of %s", name);
  if (value.length == 0) return INVALID(run, "Invalid empty value of %s", name);
  *out = kind == CQL_INT ? (int32_t)cql__get_u32(value.data) : (int64_t)cql__get_u64(value.data);
  return 0;
}

static int read_ttl(target *t) {
  int64_t ttl = t->table->default_ttl;
  int has = read_number(t->run, t->query->ttl, CQL_INT, "TTL", &ttl);
  if (has < 0) return has;
  if (has == 0 && t->table->has_counters)
    return INVALID(t->run, "Cannot provide custom TTL for counter updates");
  if (ttl < 0)
    return INVALID(t->run, "A TTL must be greater or equal to 0, but was %lld", (long long)ttl);
  if (ttl > TTL_MAX)
    return INVALID(t->run, "ttl is too large. requested (%lld) maximum (%d)", (long long)ttl,
                   TTL_MAX);
  t->stamp.ttl = (int32_t)ttl;
  t->stamp.expires = ttl ? t->run->now_s + ttl : 0;
  return 0;
}

static int read_stamp(target *t, const int64_t *of_batch) {
  const cql__store_call *call = t->run->call;
  int64_t timestamp = call->timestamp == CQL__STORE_NO_TIMESTAMP ? call->now_us : call->timestamp;
  if (of_batch) timestamp = *of_batch;
  int has = read_number(t->run, t->query->timestamp, CQL_BIGINT, "timestamp", &timestamp);
  if (has < 0) return has;
  if (has == 0 && t->table->has_counters)
    return INVALID(t->run, "Cannot provide custom timestamp for counter updates");
  if (has == 0 && of_batch)
    return INVALID(t->run, "Timestamp must be set either on BATCH or individual statements");
  if (timestamp == INT64_MIN)
    return INVALID(t->run, "The timestamp -9223372036854775808 is out of range");
  t->stamp.timestamp = timestamp;
  return t->query->kind == CQL__SIM_DELETE ? 0 : read_ttl(t);
}

/* ---- collections ---- */

typedef struct items {
  cql__cursor cursor;
  uint32_t left;
} items;

static items items_of(cql_slice_t value) {
  if (value.length < 4) return (items){{NULL, NULL, 0}, 0};
  items i = {cql__cursor_of(value.data, (size_t)value.length), 0};
  i.left = (uint32_t)cql__read_i32(&i.cursor);
  return i;
}

static void put_pair(cql__sim_buffer *b, cql_slice_t key, cql_slice_t value, int is_map) {
  cql__sim_put_bytes(b, key);
  if (is_map) cql__sim_put_bytes(b, value);
}

/* Appends all items but those whose key (or, of a list, value) is in `without`. */
static uint32_t copy_items(cql__sim_buffer *b, const cql_type_t *type, cql_slice_t value,
                           cql_slice_t without) {
  uint32_t copied = 0;
  int is_map = type->kind == CQL_MAP;
  for (items at = items_of(value); at.left; at.left--) {
    cql_slice_t key = cql__read_bytes(&at.cursor), held = none;
    if (is_map) held = cql__read_bytes(&at.cursor);
    int unwanted = 0;
    for (items other = items_of(without); other.left && !unwanted; other.left--)
      unwanted =
          cql__sim_value_compare(&type->children[0], key, cql__read_bytes(&other.cursor)) == 0;
    if (unwanted) continue;
    put_pair(b, key, held, is_map);
    copied++;
  }
  return copied;
}

/* A collection of so many items; an empty one is null. */
static cql_slice_t finish_collection(target *t, const cql_type_t *type, cql__sim_buffer *b,
                                     uint32_t count) {
  cql_slice_t value = none;
  if (count) {
    cql__sim_patch_u32(b, 0, count);
    value = cql__sim_keep(&t->run->out->region, cql__sim_slice(b));
    value = cql__sim_value_sorted(&t->run->out->region, type, value);
  }
  cql__sim_buffer_free(b);
  return value;
}

/* column + value, value + column, column - value */
static cql_slice_t combine(target *t, const cql_type_t *type, int op, cql_slice_t old,
                           cql_slice_t value) {
  cql__sim_buffer b = {0};
  uint32_t count = 0;
  cql__sim_put_u32(&b, 0);
  if (op == CQL__SIM_PREPEND) count += copy_items(&b, type, value, none);
  count += copy_items(&b, type, old, op == CQL__SIM_REMOVE ? value : none);
  if (op == CQL__SIM_ADD) count += copy_items(&b, type, value, none);
  return finish_collection(t, type, &b, count);
}

/* list[index] = value; null removes the element. */
static int set_in_list(target *t, const cql_type_t *type, cql_slice_t index, cql_slice_t *list,
                       cql_slice_t value) {
  cql__sim_buffer b = {0};
  items at = items_of(*list);
  uint32_t size = at.left, count = 0;
  int64_t wanted = index.length == 4 ? (int32_t)cql__get_u32(index.data) : -1;
  if (!size) return INVALID(t->run, "Attempted to set an element on a list which is null");
  if (wanted < 0 || wanted >= size)
    return INVALID(t->run, "List index %lld out of bound, list has size %u", (long long)wanted,
                   size);
  cql__sim_put_u32(&b, 0);
  for (uint32_t i = 0; i < size; i++) {
    cql_slice_t item = cql__read_bytes(&at.cursor);
    if (i == wanted) item = value;
    if (item.length < 0) continue;
    cql__sim_put_bytes(&b, item);
    count++;
  }
  *list = finish_collection(t, type, &b, count);
  return 0;
}

/* map[key] = value, or without that key, which is how a set loses an element. */
static void set_in_map(target *t, const cql_type_t *type, cql_slice_t key, cql_slice_t *map,
                       cql_slice_t value) {
  cql__sim_buffer b = {0}, only = {0};
  cql__sim_put_u32(&b, 0);
  cql__sim_put_u32(&only, 1);
  cql__sim_put_bytes(&only, key);
  uint32_t count = copy_items(&b, type, *map, cql__sim_slice(&only));
  if (value.length >= 0) {
    put_pair(&b, key, value, 1);
    count++;
  }
  cql__sim_buffer_free(&only);
  *map = finish_collection(t, type, &b, count);
}

/* ---- assignments ---- */

static int add_to_counter(target *t, const cql__sim_column *column, cql__sim_partition *partition,
                          cql__sim_row *row, int op, cql_slice_t value) {
  uint8_t bytes[8];
  if (value.length != 8) return INVALID(t->run, "Invalid null value for counter increment");
  if (!t->acts) return 0;
  const cql__sim_cell *cell = cql__sim_cell_at(row, column->slot, t->run->now_s);
  uint64_t sum = cell ? cql__get_u64(cell->bytes) : 0, delta = cql__get_u64(value.data);
  cql__put_u64(bytes, op == CQL__SIM_REMOVE ? sum - delta : sum + delta);
  cql__sim_cell_replace(partition, row, column->slot, (cql_slice_t){bytes, 8}, t->stamp);
  return 0;
}

static const cql_type_t *key_type(const cql_type_t *type) {
  static const cql_type_t index = {.kind = CQL_INT};
  return type->kind == CQL_LIST ? &index : &type->children[0];
}

/* The type of the right side, as the resolver found it possible. */
static cql_type_t value_type(const cql__sim_assignment *a, const cql_type_t *type) {
  if (a->key) return type->kind == CQL_MAP ? type->children[1] : type->children[0];
  if (a->op != CQL__SIM_SET && type->kind == CQL_COUNTER) return (cql_type_t){.kind = CQL_BIGINT};
  if (a->op == CQL__SIM_REMOVE && type->kind == CQL_MAP)
    return (cql_type_t){.kind = CQL_SET, .child_count = 1, .children = type->children};
  return *type;
}

static int assign_part(target *t, const cql__sim_assignment *a, const cql__sim_column *column,
                       cql__sim_partition *partition, cql__sim_row *row, cql_slice_t value) {
  const cql_type_t *type = &column->type;
  cql_slice_t key = none, now = none;
  if (a->key && cql__sim_evaluate(t->run, key_type(type), a->key, column->name, &key))
    return CQL_EVALUE;
  if (a->key && key.length < 0)
    return INVALID(t->run, "Invalid null or unset %s for %.*s",
                   type->kind == CQL_LIST ? "list index" : "key", CQL__SIM_SHOW(column->name));
  const cql__sim_cell *cell = row ? cql__sim_cell_at(row, column->slot, t->run->now_s) : NULL;
  if (cell) now = (cql_slice_t){cell->bytes, cell->length};
  if (!a->key)
    now = combine(t, type, a->op, now, value);
  else if (type->kind != CQL_LIST)
    set_in_map(t, type, key, &now, value);
  else if (set_in_list(t, type, key, &now, value))
    return CQL_EVALUE;
  if (t->acts) cql__sim_cell_replace(partition, row, column->slot, now, t->stamp);
  return 0;
}

static int assign(target *t, const cql__sim_assignment *a, cql__sim_partition *partition,
                  cql__sim_row *row) {
  const cql__sim_column *column = cql__sim_find_column(t->table, a->column);
  cql_type_t type = value_type(a, &column->type);
  cql_slice_t value = none; /* DELETE */
  if (column->kind == CQL__SIM_STATIC) row = partition ? &partition->statics : NULL;
  if (a->value && cql__sim_evaluate(t->run, &type, a->value, column->name, &value))
    return CQL_EVALUE;
  if (value.length == CQL_UNSET) return 0;
  if (column->type.kind == CQL_COUNTER && a->value)
    return add_to_counter(t, column, partition, row, a->op, value);
  if (a->key || a->op != CQL__SIM_SET) return assign_part(t, a, column, partition, row, value);
  if (t->acts) cql__sim_cell_write(partition, row, column->slot, value, t->stamp);
  return 0;
}

/* ---- rows ---- */

static int insert_row(target *t, cql__sim_partition *partition, cql__sim_row *row) {
  const cql__sim_term *term = t->query->values;
  for (const cql__sim_name *name = t->query->columns; name; name = name->next, term = term->next) {
    const cql__sim_column *column = cql__sim_find_column(t->table, name->text);
    cql_slice_t value;
    if (column->kind < CQL__SIM_STATIC) continue;
    if (cql__sim_evaluate(t->run, &column->type, term, column->name, &value)) return CQL_EVALUE;
    if (value.length == CQL_UNSET || !t->acts) continue;
    if (column->many && value.length >= 0 && items_of(value).left == 0 &&
        column->type.kind != CQL_UDT)
      value = none; /* an empty collection is none */
    cql__sim_row *holder = column->kind == CQL__SIM_STATIC ? &partition->statics : row;
    if (holder) cql__sim_cell_write(partition, holder, column->slot, value, t->stamp);
  }
  if (t->acts && row) cql__sim_row_mark(partition, row, t->stamp);
  return 0;
}

static int write_row(target *t, cql__sim_partition *partition, cql__sim_row *row) {
  if (t->query->kind == CQL__SIM_INSERT) return insert_row(t, partition, row);
  for (const cql__sim_assignment *a = t->query->assignments; a; a = a->next)
    if (assign(t, a, partition, row)) return CQL_EVALUE;
  return 0;
}

static int is_meant(const target *t, const cql__sim_row *row) {
  for (uint32_t i = 0; i < t->plan->where.count; i++) {
    const cql__sim_column *column = t->tests[i].restriction->column;
    if (column->kind == CQL__SIM_CLUSTERING &&
        !cql__sim_test_holds(&t->tests[i], row->clustering[column->position]))
      return 0;
  }
  return 1;
}

/* DELETE of all rows that begin so, or lie in a range. */
static void delete_rows(target *t, cql__sim_partition *partition) {
  cql__sim_position at = {NULL, 0};
  cql__sim_row *row = cql__sim_row_from(t->table, partition, at, 0);
  for (; row; row = cql__sim_row_from(t->table, partition, at, 1)) {
    at = (cql__sim_position){row->clustering, t->table->clustering_count};
    if (is_meant(t, row)) cql__sim_row_delete(row, t->stamp.timestamp);
  }
}

/* How many clustering columns are restricted, in whatever way. */
static uint32_t clustering_relations(const target *t) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < t->plan->where.count; i++)
    count += t->tests[i].restriction->column->kind == CQL__SIM_CLUSTERING;
  return count;
}

static int write_rows(target *t, cql__sim_partition *partition, const cql_slice_t *clustering,
                      uint32_t count) {
  int deletes = t->query->kind == CQL__SIM_DELETE && !t->query->assignments;
  for (uint32_t i = 0; i < count; i++) {
    const cql_slice_t *values = clustering + i * t->table->clustering_count;
    cql__sim_row *row = NULL;
    if (t->acts)
      row = cql__sim_row_make(t->table, partition, values);
    else if (partition)
      row = cql__sim_row_find(t->table, partition, values);
    if (t->acts && deletes)
      cql__sim_row_delete(row, t->stamp.timestamp);
    else if (!deletes && write_row(t, partition, row))
      return CQL_EVALUE;
  }
  return 0;
}

static int write_partition(target *t, const cql__sim_key *key, const cql_slice_t *clustering,
                           uint32_t count) {
  const cql__sim_restrictions *where = &t->plan->where;
  cql__sim_partition *partition = t->acts ? cql__sim_partition_make(t->table, key->token, key->key)
                                          : cql__sim_partition_find(t->table, key->token, key->key);
  int deletes = t->query->kind == CQL__SIM_DELETE && !t->query->assignments;
  if (where->clustering_count == t->table->clustering_count &&
      (t->table->clustering_count || !deletes))
    return write_rows(t, partition, clustering, count);
  if (!deletes) return write_row(t, partition, NULL); /* of static columns alone */
  if (!t->acts) return 0;
  if (clustering_relations(t))
    delete_rows(t, partition);
  else
    cql__sim_partition_delete(t->table, partition, t->stamp.timestamp);
  return 0;
}

/* Looks at all that a change means or, with `acts`, does it; `at`: when, whatever it says, if not
 * NULL. */
static int go_through(cql__sim_change *change, const int64_t *timestamp, int acts,
                      const int64_t *at) {
  target t = {.run = &change->run,
              .plan = change->plan,
              .query = change->plan->query,
              .table = change->plan->table,
              .acts = acts};
  cql_slice_t *clustering = NULL;
  uint32_t keys = 0, rows = 0;
  cql__sim_key *key;
  const cql__sim_restrictions *where = &change->plan->where;
  if (read_stamp(&t, timestamp) || cql__sim_tests_make(t.run, where, 1, &t.tests) ||
      cql__sim_keys(t.run, change->plan, t.tests, &key, &keys))
    return CQL_EVALUE;
  if (at) t.stamp.timestamp = *at;
  if (where->clustering_count == t.table->clustering_count &&
      cql__sim_combine(t.run, where, t.tests, where->clustering, where->clustering_count,
                       &clustering, &rows))
    return CQL_EVALUE;
  for (uint32_t i = 0; i < keys; i++)
    if (write_partition(&t, &key[i], clustering, rows)) return CQL_EVALUE;
  return 0;
}

/* ---- conditions ---- */

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

static void write_if(cql__sim_change *changes, uint32_t count, cql__sim_result *out) {
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
    if (go_through(&changes[i], NULL, 1, &at)) return;
  tell(changes, count, applied, rows, out);
}

/* ---- all ---- */

void cql__sim_write(cql__sim_change *changes, uint32_t count, const int64_t *timestamp,
                    cql__sim_result *out) {
  int conditional = 0;
  for (uint32_t i = 0; i < count; i++) {
    conditional |= cql__sim_is_conditional(changes[i].plan->query);
    if (go_through(&changes[i], timestamp, 0, NULL)) return;
  }
  if (conditional && timestamp) {
    cql__store_fail(out, CQL__SIM_INVALID, "Cannot provide custom timestamp for conditional BATCH");
    return;
  }
  if (conditional) {
    write_if(changes, count, out);
    return;
  }
  for (uint32_t i = 0; i < count; i++)
    if (go_through(&changes[i], timestamp, 1, NULL)) return;
  out->seen.kind = CQL_RESULT_VOID;
}
