/* Run: what reading and writing have in common: values of a call, keys, whether relations hold. */
#include "sim/run.h"

#include "cluster/partitioner.h"

enum { COMBINATIONS_MAX = 65536 };

/* ---- values ---- */

int cql__sim_evaluate(cql__sim_run *run, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t name, cql_slice_t *out) {
  cql__sim_buffer why = {0};
  run->values.receiver = name;
  run->values.why = &why;
  int error = cql__sim_value(&run->values, type, term, out);
  run->values.why = NULL;
  if (error) return cql__store_fail_with(run->out, CQL__SIM_INVALID, &why);
  cql__sim_buffer_free(&why);
  return 0;
}

static cql_slice_t name_of(const cql__sim_restriction *restriction) {
  return restriction->column ? restriction->column->name : cql__sim_slice_of("token");
}

/* The items of a bound list. */
static int list_items(cql__sim_run *run, const cql__sim_restriction *restriction, cql_slice_t list,
                      cql_slice_t **out, uint32_t *count) {
  cql__cursor c = cql__cursor_of(list.data, (size_t)list.length);
  uint32_t items = (uint32_t)cql__read_i32(&c);
  *out = cql__sim_region_take(&run->out->region, items * sizeof **out);
  for (*count = 0; *count < items; ++*count) (*out)[*count] = cql__read_bytes(&c);
  return c.broken ? INVALID(run, "Invalid list of values for column %.*s",
                            CQL__SIM_SHOW(name_of(restriction)))
                  : 0;
}

static int values_of(cql__sim_run *run, const cql__sim_restriction *restriction, cql_slice_t **out,
                     uint32_t *count) {
  const cql__sim_term *value = restriction->relation->value;
  cql_slice_t name = name_of(restriction);
  if (restriction->relation->op == CQL__SIM_IN) {
    if (value->kind == CQL__SIM_TERM_MARKER) {
      cql_type_t list = {.kind = CQL_LIST, .child_count = 1, .children = restriction->type};
      cql_slice_t bytes;
      if (cql__sim_evaluate(run, &list, value, name, &bytes)) return CQL_EVALUE;
      if (bytes.length < 0)
        return INVALID(run, "Invalid %s value for column %.*s",
                       bytes.length == CQL_UNSET ? "unset" : "null", CQL__SIM_SHOW(name));
      return list_items(run, restriction, bytes, out, count);
    }
    for (const cql__sim_term *item = value->items; item; item = item->next) ++*count;
    value = value->items;
  } else {
    *count = 1;
  }
  *out = cql__sim_region_take(&run->out->region, *count * sizeof **out);
  for (uint32_t i = 0; i < *count; i++, value = value->next)
    if (cql__sim_evaluate(run, restriction->type, value, name, &(*out)[i])) return CQL_EVALUE;
  return 0;
}

/* The values of IN in their order, none of them twice. */
static void sort_values(cql__sim_test *test) {
  const cql_type_t *type = test->restriction->type;
  cql_slice_t *values = test->values;
  uint32_t count = test->count, kept = 0;
  for (uint32_t gap = count / 2; gap > 0; gap /= 2)
    for (uint32_t i = gap; i < count; i++) {
      cql_slice_t value = values[i];
      uint32_t at = i;
      for (; at >= gap && cql__sim_value_compare(type, value, values[at - gap]) < 0; at -= gap)
        values[at] = values[at - gap];
      values[at] = value;
    }
  for (uint32_t i = 0; i < count; i++)
    if (!kept || cql__sim_value_compare(type, values[kept - 1], values[i]))
      values[kept++] = values[i];
  test->count = kept;
}

/* In WHERE nothing may be null. */
static int check_null(cql__sim_run *run, const cql__sim_test *test) {
  cql_slice_t name = name_of(test->restriction);
  for (uint32_t i = 0; i < test->count; i++) {
    if (test->values[i].length == CQL_UNSET)
      return INVALID(run, "Invalid unset value for column %.*s", CQL__SIM_SHOW(name));
    if (test->values[i].length < 0)
      return INVALID(run, "Invalid null value in condition for column %.*s", CQL__SIM_SHOW(name));
  }
  return 0;
}

int cql__sim_tests_make(cql__sim_run *run, const cql__sim_restrictions *restrictions, int in_where,
                        cql__sim_test **out) {
  cql__sim_test *tests =
      cql__sim_region_take(&run->out->region, restrictions->count * sizeof *tests);
  *out = tests;
  for (uint32_t i = 0; i < restrictions->count; i++) {
    const cql__sim_restriction *one = &restrictions->all[i];
    tests[i].restriction = one;
    if (values_of(run, one, &tests[i].values, &tests[i].count)) return CQL_EVALUE;
    if (in_where && check_null(run, &tests[i])) return CQL_EVALUE;
    sort_values(&tests[i]);
    for (uint32_t k = 0; k < tests[i].count; k++)
      if (tests[i].values[k].length == CQL_UNSET)
        return INVALID(run, "Invalid 'unset' value in condition");
    if (!one->relation->key) continue;
    const cql_type_t index = {.kind = CQL_INT}, *type = &one->column->type;
    if (cql__sim_evaluate(run, type->kind == CQL_MAP ? &type->children[0] : &index,
                          one->relation->key, one->column->name, &tests[i].key))
      return CQL_EVALUE;
    if (tests[i].key.length < 0)
      return INVALID(run, "Invalid null value for element access of column %.*s",
                     CQL__SIM_SHOW(one->column->name));
  }
  return 0;
}

/* ---- tests ---- */

/* The value at a key of a map, or at an index of a list; CQL_NULL: there is none. */
static cql_slice_t element_of(const cql_type_t *type, cql_slice_t value, cql_slice_t key) {
  const cql_slice_t none = {NULL, CQL_NULL};
  if (value.length < 4 || key.length < 0) return none;
  cql__cursor c = cql__cursor_of(value.data, (size_t)value.length);
  int32_t count = cql__read_i32(&c);
  int32_t index = type->kind == CQL_LIST && key.length == 4 ? (int32_t)cql__get_u32(key.data) : -1;
  for (int32_t i = 0; i < count && !c.broken; i++) {
    cql_slice_t item = cql__read_bytes(&c);
    if (type->kind == CQL_LIST) {
      if (i == index) return item;
      continue;
    }
    cql_slice_t held = cql__read_bytes(&c);
    if (cql__sim_value_compare(&type->children[0], item, key) == 0) return held;
  }
  return none;
}

static int contains(const cql__sim_test *test, cql_slice_t value) {
  const cql_type_t *type = &test->restriction->column->type;
  int wants_key = test->restriction->relation->op == CQL__SIM_CONTAINS_KEY;
  if (value.length < 4) return 0;
  cql__cursor c = cql__cursor_of(value.data, (size_t)value.length);
  int32_t count = cql__read_i32(&c);
  for (int32_t i = 0; i < count && !c.broken; i++) {
    cql_slice_t item = cql__read_bytes(&c);
    if (type->kind == CQL_MAP) {
      cql_slice_t held = cql__read_bytes(&c);
      if (!wants_key) item = held;
    }
    if (cql__sim_value_compare(test->restriction->type, item, test->values[0]) == 0) return 1;
  }
  return 0;
}

static int is_same(const cql_type_t *type, cql_slice_t a, cql_slice_t b) {
  if (a.length < 0 || b.length < 0) return a.length < 0 && b.length < 0;
  return cql__sim_value_compare(type, a, b) == 0;
}

int cql__sim_test_holds(const cql__sim_test *test, cql_slice_t value) {
  const cql__sim_relation *relation = test->restriction->relation;
  const cql_type_t *type = test->restriction->type;
  if (relation->key) value = element_of(&test->restriction->column->type, value, test->key);
  if (relation->op == CQL__SIM_CONTAINS || relation->op == CQL__SIM_CONTAINS_KEY)
    return contains(test, value);
  if (relation->op == CQL__SIM_IN) {
    for (uint32_t i = 0; i < test->count; i++)
      if (is_same(type, value, test->values[i])) return 1;
    return 0;
  }
  cql_slice_t wanted = test->values[0];
  if (relation->op == CQL__SIM_EQUAL) return is_same(type, value, wanted);
  if (relation->op == CQL__SIM_NOT_EQUAL) return !is_same(type, value, wanted);
  if (value.length < 0 || wanted.length < 0) return 0;
  int order = cql__sim_value_compare(type, value, wanted);
  switch (relation->op) {
    case CQL__SIM_LESS: return order < 0;
    case CQL__SIM_LESS_EQUAL: return order <= 0;
    case CQL__SIM_GREATER: return order > 0;
    default: return order >= 0;
  }
}

cql_slice_t cql__sim_value_of(const cql__sim_table *table, const cql__sim_partition *partition,
                              const cql__sim_row *row, const cql__sim_column *column,
                              int64_t now_s) {
  const cql_slice_t none = {NULL, CQL_NULL};
  if (column->kind == CQL__SIM_PARTITION_KEY)
    return cql__sim_key_part(partition->key, column->position, table->partition_count);
  if (column->kind == CQL__SIM_CLUSTERING) return row ? row->clustering[column->position] : none;
  const cql__sim_row *holder = column->kind == CQL__SIM_STATIC ? &partition->statics : row;
  const cql__sim_cell *cell = holder ? cql__sim_cell_at(holder, column->slot, now_s) : NULL;
  return cell ? (cql_slice_t){cell->bytes, cell->length} : none;
}

/* ---- keys ---- */

/* The test on a column of the key. */
static const cql__sim_test *test_of(const cql__sim_test *tests, uint32_t count,
                                    const cql__sim_restriction *restriction) {
  for (uint32_t i = 0; i < count; i++)
    if (tests[i].restriction == restriction) return &tests[i];
  return NULL;
}

int cql__sim_combine(cql__sim_run *run, const cql__sim_restrictions *where,
                     const cql__sim_test *tests, const cql__sim_restriction *const *columns,
                     uint32_t column_count, cql_slice_t **out, uint32_t *count) {
  uint64_t total = 1;
  for (uint32_t i = 0; i < column_count; i++) {
    total *= test_of(tests, where->count, columns[i])->count;
    if (total > COMBINATIONS_MAX)
      return INVALID(run, "The IN restrictions mean more than %d rows", COMBINATIONS_MAX);
  }
  *count = (uint32_t)total;
  *out = cql__sim_region_take(&run->out->region, total * column_count * sizeof **out);
  uint64_t repeat = total;
  for (uint32_t i = 0; i < column_count; i++) {
    const cql__sim_test *test = test_of(tests, where->count, columns[i]);
    repeat = test->count ? repeat / test->count : 0;
    for (uint64_t k = 0; k < total; k++)
      (*out)[k * column_count + i] = test->values[k / repeat % test->count];
  }
  return 0;
}

int cql__sim_keys(cql__sim_run *run, const cql__sim_plan *plan, const cql__sim_test *tests,
                  cql__sim_key **out, uint32_t *count) {
  uint32_t parts = plan->table->partition_count;
  cql_slice_t *values;
  if (cql__sim_combine(run, &plan->where, tests, plan->where.partition, parts, &values, count))
    return CQL_EVALUE;
  *out = cql__sim_region_take(&run->out->region, *count * sizeof **out);
  for (uint32_t i = 0; i < *count; i++) {
    int64_t size = cql__key_size(values + i * parts, parts);
    if (size == 0) return INVALID(run, "Key may not be empty");
    if (size < 0 || size > UINT16_MAX)
      return INVALID(run, "Key length of %lld is longer than maximum of 65535",
                     (long long)(size < 0 ? 65536 : size));
    uint8_t *key = cql__sim_region_take(&run->out->region, (size_t)size);
    cql__key_join(values + i * parts, parts, key);
    (*out)[i] = (cql__sim_key){cql__token_of(key, (size_t)size), {key, (int32_t)size}};
  }
  return 0;
}
