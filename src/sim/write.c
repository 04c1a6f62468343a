/* Write: INSERT, UPDATE and DELETE, with their conditions. Each is gone through twice: first to see
 * that all of its values are good, then, if the conditions hold, to do it; so a batch happens as a
 * whole or not at all. */
#include "sim/write.h"

enum { TTL_MAX = 630720000 };

static const cql_slice_t none = {NULL, CQL_NULL};

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

static int read_ttl(cql__sim_target *t) {
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

static int read_stamp(cql__sim_target *t, const int64_t *of_batch) {
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
static cql_slice_t finish_collection(cql__sim_target *t, const cql_type_t *type, cql__sim_buffer *b,
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
static cql_slice_t combine(cql__sim_target *t, const cql_type_t *type, int op, cql_slice_t old,
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
static int set_in_list(cql__sim_target *t, const cql_type_t *type, cql_slice_t index,
                       cql_slice_t *list, cql_slice_t value) {
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
static void set_in_map(cql__sim_target *t, const cql_type_t *type, cql_slice_t key,
                       cql_slice_t *map, cql_slice_t value) {
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

static int add_to_counter(cql__sim_target *t, const cql__sim_column *column,
                          cql__sim_partition *partition, cql__sim_row *row, int op,
                          cql_slice_t value) {
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

static int assign_part(cql__sim_target *t, const cql__sim_assignment *a,
                       const cql__sim_column *column, cql__sim_partition *partition,
                       cql__sim_row *row, cql_slice_t value) {
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

static int assign(cql__sim_target *t, const cql__sim_assignment *a, cql__sim_partition *partition,
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

static int insert_row(cql__sim_target *t, cql__sim_partition *partition, cql__sim_row *row) {
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

static int write_row(cql__sim_target *t, cql__sim_partition *partition, cql__sim_row *row) {
  if (t->query->kind == CQL__SIM_INSERT) return insert_row(t, partition, row);
  for (const cql__sim_assignment *a = t->query->assignments; a; a = a->next)
    if (assign(t, a, partition, row)) return CQL_EVALUE;
  return 0;
}

static int is_meant(const cql__sim_target *t, const cql__sim_row *row) {
  for (uint32_t i = 0; i < t->plan->where.count; i++) {
    const cql__sim_column *column = t->tests[i].restriction->column;
    if (column->kind == CQL__SIM_CLUSTERING &&
        !cql__sim_test_holds(&t->tests[i], row->clustering[column->position]))
      return 0;
  }
  return 1;
}

/* DELETE of all rows that begin so, or lie in a range. */
static void delete_rows(cql__sim_target *t, cql__sim_partition *partition) {
  cql__sim_position at = {NULL, 0};
  cql__sim_row *row = cql__sim_row_from(t->table, partition, at, 0);
  for (; row; row = cql__sim_row_from(t->table, partition, at, 1)) {
    at = (cql__sim_position){row->clustering, t->table->clustering_count};
    if (is_meant(t, row)) cql__sim_row_delete(row, t->stamp.timestamp);
  }
}

/* How many clustering columns are restricted, in whatever way. */
static uint32_t clustering_relations(const cql__sim_target *t) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < t->plan->where.count; i++)
    count += t->tests[i].restriction->column->kind == CQL__SIM_CLUSTERING;
  return count;
}

static int write_rows(cql__sim_target *t, cql__sim_partition *partition,
                      const cql_slice_t *clustering, uint32_t count) {
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

static int write_partition(cql__sim_target *t, const cql__sim_key *key,
                           const cql_slice_t *clustering, uint32_t count) {
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

int cql__sim_write_go_through(cql__sim_change *change, const int64_t *timestamp, int acts,
                              const int64_t *at) {
  cql__sim_target t = {.run = &change->run,
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

/* ---- all ---- */

void cql__sim_write(cql__sim_change *changes, uint32_t count, const int64_t *timestamp,
                    cql__sim_result *out) {
  int conditional = 0;
  for (uint32_t i = 0; i < count; i++) {
    conditional |= cql__sim_is_conditional(changes[i].plan->query);
    if (cql__sim_write_go_through(&changes[i], timestamp, 0, NULL)) return;
  }
  if (conditional && timestamp) {
    cql__store_fail(out, CQL__SIM_INVALID, "Cannot provide custom timestamp for conditional BATCH");
    return;
  }
  if (conditional) {
    cql__sim_write_if(changes, count, out);
    return;
  }
  for (uint32_t i = 0; i < count; i++)
    if (cql__sim_write_go_through(&changes[i], timestamp, 1, NULL)) return;
  out->seen.kind = CQL_RESULT_VOID;
}
