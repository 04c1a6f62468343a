/* Select: rows in the order of the ring, filtered, limited and cut into pages. */
#include "sim/run.h"

#include "cluster/partitioner.h"
#include "wire/proto.h"

enum { STATE_VERSION = 1 };

/* The last row of a page. */
typedef struct place {
  int64_t limit;           /* so many rows may still come; -1: any number */
  int64_t partition_limit; /* of this partition */
  cql_slice_t key;         /* length CQL_NULL: at the beginning */
  uint32_t count;          /* of clustering values; 0: the partition has been read */
  cql_slice_t *clustering;
} place;

typedef struct scan {
  cql__sim_run *run;
  const cql__sim_plan *plan;
  const cql__sim_table *table;
  cql__sim_test *tests;
  int64_t limit, partition_limit; /* as in the statement; -1: none */
  int64_t left, partition_left;   /* -1: any number */
  int64_t page_left;              /* -1: any number */
  int64_t *counts;                /* by pick, of count() */
  /* what count() shows of columns beside it */
  const cql__sim_partition *first_partition;
  const cql__sim_row *first_row;
  int is_full; /* no row more is wanted now */
} scan;

/* ---- limits and paging states ---- */

static int read_limit(cql__sim_run *run, const cql__sim_term *term, const char *name,
                      int64_t *out) {
  const cql_type_t type = {.kind = CQL_INT};
  cql_slice_t value;
  *out = -1;
  if (!term) return 0;
  if (cql__sim_evaluate(run, &type, term, cql__sim_slice_of(name), &value)) return CQL_EVALUE;
  if (value.length == CQL_UNSET) return 0;
  if (value.length != 4) return INVALID(run, "Invalid null value of %s", name);
  *out = (int32_t)cql__get_u32(value.data);
  return *out > 0 ? 0 : INVALID(run, "%s must be strictly positive", name);
}

/* [version][limit][partition limit][key as short bytes][count of clustering values] and these as
 * [bytes]; checked throughout, as it comes from a client. */
static int read_state(scan *s, place *at) {
  cql_slice_t state = s->run->call->paging_state;
  *at = (place){s->limit, s->partition_limit, {NULL, CQL_NULL}, 0, NULL};
  if (state.length < 0) return 0;
  cql__cursor c = cql__cursor_of(state.data, (size_t)state.length);
  uint8_t version = cql__read_u8(&c);
  at->limit = cql__read_i64(&c);
  at->partition_limit = cql__read_i64(&c);
  at->key = cql__read_short_bytes(&c);
  at->count = cql__read_u16(&c);
  int good = !c.broken && version == STATE_VERSION && at->limit >= -1 &&
             at->partition_limit >= -1 && at->key.length > 0 &&
             (at->count == 0 || at->count == s->table->clustering_count);
  if (good && at->count) {
    at->clustering = cql__sim_region_take(&s->run->out->region, at->count * sizeof *at->clustering);
    for (uint32_t i = 0; i < at->count; i++) {
      cql_slice_t value = at->clustering[i] = cql__read_bytes(&c);
      const cql_type_t *type = &s->table->columns[s->table->partition_count + i].type;
      cql__sim_buffer why = {0};
      good &= value.length >= 0 && cql__sim_value_fits(type, value, &why);
      cql__sim_buffer_free(&why);
    }
  }
  if (good && !c.broken && c.next == c.end) return 0;
  return cql__store_fail(s->run->out, CQL__ERROR_PROTOCOL, "Invalid value for the paging state");
}

static void write_state(scan *s, const cql__sim_partition *partition, const cql__sim_row *row) {
  cql__sim_buffer b = {0};
  uint32_t count = row ? s->table->clustering_count : 0;
  cql__sim_put_u8(&b, STATE_VERSION);
  cql__sim_put_u64(&b, (uint64_t)s->left);
  cql__sim_put_u64(&b, (uint64_t)s->partition_left);
  cql__sim_put_short_bytes(&b, partition->key);
  cql__sim_put_u16(&b, count);
  for (uint32_t i = 0; i < count; i++) cql__sim_put_bytes(&b, row->clustering[i]);
  s->run->out->seen.paging_state = cql__sim_keep(&s->run->out->region, cql__sim_slice(&b));
  cql__sim_buffer_free(&b);
}

/* ---- one row ---- */

static void put_number(cql__sim_buffer *b, int64_t number, unsigned size) {
  cql__sim_put_u32(b, size);
  if (size == 4)
    cql__sim_put_u32(b, (uint32_t)number);
  else
    cql__sim_put_u64(b, (uint64_t)number);
}

static const cql__sim_cell *cell_of(const scan *s, const cql__sim_partition *partition,
                                    const cql__sim_row *row, const cql__sim_column *column) {
  const cql__sim_row *holder = column->kind == CQL__SIM_STATIC ? &partition->statics : row;
  return holder ? cql__sim_cell_at(holder, column->slot, s->run->now_s) : NULL;
}

static void put_pick(scan *s, const cql__sim_pick *pick, const cql__sim_partition *partition,
                     const cql__sim_row *row) {
  cql__sim_buffer *b = &s->run->out->rows;
  const cql__sim_cell *cell;
  cql_slice_t value = {NULL, CQL_NULL};
  switch (pick->kind) {
    case CQL__SIM_PICK_COUNT: put_number(b, s->counts[pick - s->plan->picks], 8); return;
    case CQL__SIM_PICK_CALL: {
      const cql__statement_shape *shape = s->run->shape;
      const cql_column_t *column = &shape->columns[pick - s->plan->picks];
      cql__sim_evaluate(s->run, &column->type, pick->call, column->name, &value);
      break;
    }
    case CQL__SIM_PICK_TOKEN:
      if (partition) {
        put_number(b, partition->token, 8);
        return;
      }
      break;
    case CQL__SIM_PICK_WRITETIME:
      cell = partition ? cell_of(s, partition, row, pick->column) : NULL;
      if (cell) {
        put_number(b, cell->stamp.timestamp, 8);
        return;
      }
      break;
    case CQL__SIM_PICK_TTL:
      cell = partition ? cell_of(s, partition, row, pick->column) : NULL;
      if (cell && cell->stamp.expires) {
        put_number(b, cell->stamp.expires - s->run->now_s, 4);
        return;
      }
      break;
    default:
      if (partition)
        value = cql__sim_value_of(s->table, partition, row, pick->column, s->run->now_s);
  }
  cql__sim_put_bytes(b, value);
}

static void put_row(scan *s, const cql__sim_partition *partition, const cql__sim_row *row) {
  for (uint32_t i = 0; i < s->plan->pick_count; i++)
    put_pick(s, &s->plan->picks[i], partition, row);
  s->run->out->seen.row_count++;
}

static void count_row(scan *s, const cql__sim_partition *partition, const cql__sim_row *row) {
  if (!s->first_partition) {
    s->first_partition = partition;
    s->first_row = row;
  }
  for (uint32_t i = 0; i < s->plan->pick_count; i++) {
    const cql__sim_pick *pick = &s->plan->picks[i];
    if (pick->kind != CQL__SIM_PICK_COUNT) continue;
    s->counts[i] +=
        !pick->column ||
        cql__sim_value_of(s->table, partition, row, pick->column, s->run->now_s).length >= 0;
  }
}

static int64_t less_one(int64_t limit) { return limit > 0 ? limit - 1 : limit; }

/* Takes a row that fits, which may be one of static columns alone. */
static void take_row(scan *s, const cql__sim_partition *partition, const cql__sim_row *row) {
  if (s->plan->counts)
    count_row(s, partition, row);
  else
    put_row(s, partition, row);
  s->left = less_one(s->left);
  s->partition_left = less_one(s->partition_left);
  s->page_left = less_one(s->page_left);
  if (s->left == 0 || s->page_left == 0) s->is_full = 1;
  if (s->left != 0 && s->page_left == 0)
    write_state(s, partition, s->plan->query->distinct ? NULL : row);
}

/* All that WHERE says beside which partitions. */
static int fits(const scan *s, const cql__sim_partition *partition, const cql__sim_row *row) {
  int by_key = s->plan->where.partition_count == s->table->partition_count;
  for (uint32_t i = 0; i < s->plan->where.count; i++) {
    const cql__sim_column *column = s->tests[i].restriction->column;
    if (!column || (by_key && column->kind == CQL__SIM_PARTITION_KEY)) continue;
    cql_slice_t value = cql__sim_value_of(s->table, partition, row, column, s->run->now_s);
    if (value.length < 0 || !cql__sim_test_holds(&s->tests[i], value)) return 0;
  }
  return 1;
}

/* ---- partitions ---- */

/* The first clustering values that are known to be equal to one value each. */
static uint32_t known_prefix(const scan *s, cql_slice_t *out) {
  uint32_t count = 0;
  for (; count < s->plan->where.clustering_count; count++) {
    const cql__sim_restriction *one = s->plan->where.clustering[count];
    const cql__sim_test *test = &s->tests[one - s->plan->where.all];
    if (test->count != 1) break;
    out[count] = test->values[0];
  }
  return count;
}

static cql__sim_row *next_row(const scan *s, const cql__sim_partition *partition,
                              cql__sim_position at, int behind) {
  return s->plan->reversed ? cql__sim_row_last(s->table, partition, at, !behind)
                           : cql__sim_row_from(s->table, partition, at, behind);
}

static int is_within(const scan *s, const cql__sim_row *row, cql__sim_position prefix) {
  for (uint32_t i = 0; i < prefix.count; i++) {
    const cql__sim_column *column = &s->table->columns[s->table->partition_count + i];
    if (cql__sim_value_compare(&column->type, row->clustering[i], prefix.values[i])) return 0;
  }
  return 1;
}

static int any_row_lives(const scan *s, const cql__sim_partition *partition) {
  cql__sim_position at = {NULL, 0};
  cql__sim_row *row = cql__sim_row_from(s->table, partition, at, 0);
  for (; row; row = cql__sim_row_from(s->table, partition, at, 1)) {
    if (cql__sim_row_is_live(row, s->run->now_s)) return 1;
    at = (cql__sim_position){row->clustering, s->table->clustering_count};
  }
  return 0;
}

/* A partition that has static columns alone is one row, unless clustering values are asked for. */
static int is_static_row(const scan *s, const cql__sim_partition *partition) {
  return s->table->static_count && cql__sim_row_is_live(&partition->statics, s->run->now_s) &&
         !any_row_lives(s, partition) && fits(s, partition, NULL);
}

static void scan_rows(scan *s, const cql__sim_partition *partition, const place *after) {
  cql_slice_t *values =
      cql__sim_region_take(&s->run->out->region, s->table->clustering_count * sizeof *values);
  cql__sim_position prefix = {values, known_prefix(s, values)}, at = prefix;
  int behind = 0;
  s->partition_left = s->partition_limit;
  if (after) {
    if (!after->count && s->table->clustering_count) return;
    if (!s->table->clustering_count) return; /* its one row has been read */
    s->partition_left = after->partition_limit;
    at = (cql__sim_position){after->clustering, after->count};
    behind = 1;
  } else if (is_static_row(s, partition)) {
    take_row(s, partition, NULL);
    return;
  }
  cql__sim_row *row = next_row(s, partition, at, behind);
  for (; row && s->partition_left != 0 && is_within(s, row, prefix);
       row = next_row(s, partition, at, 1)) {
    at = (cql__sim_position){row->clustering, s->table->clustering_count};
    if (!cql__sim_row_is_live(row, s->run->now_s) || !fits(s, partition, row)) continue;
    take_row(s, partition, row);
    if (s->is_full || s->plan->query->distinct) return;
  }
}

/* Nothing can follow a single row of a table without clustering columns. */
static void drop_state_at_end(scan *s, int is_last) {
  int single = s->plan->where.clustering_count == s->table->clustering_count;
  if (is_last && single) s->run->out->seen.paging_state = (cql_slice_t){NULL, CQL_NULL};
}

static int scan_keys(scan *s, const place *after) {
  cql__sim_key *keys;
  uint32_t count, i = 0;
  if (cql__sim_keys(s->run, s->plan, s->tests, &keys, &count)) return CQL_EVALUE;
  if (s->plan->reversed && count > 1)
    return INVALID(s->run, "Cannot page queries with both ORDER BY and a IN restriction on the "
                           "partition key; you must either remove the ORDER BY or the IN and sort "
                           "client side, or disable paging for this query");
  int resumed = after->key.length >= 0;
  if (resumed)
    while (i < count && !cql__sim_same(keys[i].key, after->key)) i++;
  for (; i < count && !s->is_full; i++) {
    const cql__sim_partition *partition =
        cql__sim_partition_find(s->table, keys[i].token, keys[i].key);
    if (partition) scan_rows(s, partition, resumed ? after : NULL);
    resumed = 0;
    if (s->is_full) drop_state_at_end(s, i + 1 == count);
  }
  return 0;
}

/* Whether the token restrictions hold, which are all on the whole key. */
static int token_fits(const scan *s, int64_t token) {
  uint8_t bytes[8];
  cql__put_u64(bytes, (uint64_t)token);
  for (uint32_t i = 0; i < s->plan->where.count; i++)
    if (!s->tests[i].restriction->column &&
        !cql__sim_test_holds(&s->tests[i], (cql_slice_t){bytes, 8}))
      return 0;
  return 1;
}

/* The smallest token that may fit: scans by ranges of the ring shouldn't walk all of it each. */
static int64_t first_token(const scan *s) {
  int64_t first = INT64_MIN;
  for (uint32_t i = 0; i < s->plan->where.count; i++) {
    const cql__sim_test *test = &s->tests[i];
    int op = test->restriction->relation->op;
    if (test->restriction->column || test->count != 1 || op == CQL__SIM_LESS ||
        op == CQL__SIM_LESS_EQUAL || op == CQL__SIM_NOT_EQUAL || test->values[0].length != 8)
      continue;
    int64_t token = (int64_t)cql__get_u64(test->values[0].data);
    if (token > first) first = token;
  }
  return first;
}

static int is_past(const scan *s, int64_t token) {
  for (uint32_t i = 0; i < s->plan->where.count; i++) {
    const cql__sim_test *test = &s->tests[i];
    int op = test->restriction->relation->op;
    if (test->restriction->column || test->values[0].length != 8) continue;
    int64_t last = (int64_t)cql__get_u64(test->values[0].data);
    if ((op == CQL__SIM_LESS || op == CQL__SIM_LESS_EQUAL || op == CQL__SIM_EQUAL) && token > last)
      return 1;
  }
  return 0;
}

static int scan_ring(scan *s, const place *after) {
  const cql__sim_partition *partition;
  if (after->key.length >= 0) {
    int64_t token = cql__token_of(after->key.data, (size_t)after->key.length);
    partition = cql__sim_partition_find(s->table, token, after->key);
    if (partition) scan_rows(s, partition, after);
    partition = cql__sim_partition_behind(s->table, token, after->key);
  } else {
    partition = cql__sim_partition_from(s->table, first_token(s));
  }
  for (; partition && !s->is_full && !is_past(s, partition->token);
       partition = cql__sim_partition_behind(s->table, partition->token, partition->key))
    if (token_fits(s, partition->token)) scan_rows(s, partition, NULL);
  return 0;
}

/* ---- all ---- */

static int scan_table(scan *s) {
  place after;
  if (read_limit(s->run, s->plan->query->limit, "LIMIT", &s->limit) ||
      read_limit(s->run, s->plan->query->partition_limit, "PER PARTITION LIMIT",
                 &s->partition_limit) ||
      cql__sim_tests_make(s->run, &s->plan->where, 1, &s->tests) || read_state(s, &after))
    return CQL_EVALUE;
  s->left = s->plan->counts ? -1 : after.limit;
  s->page_left = s->run->call->page_size > 0 && !s->plan->counts ? s->run->call->page_size : -1;
  if (s->plan->where.partition_count == s->table->partition_count) return scan_keys(s, &after);
  return scan_ring(s, &after);
}

void cql__sim_select(cql__sim_run *run, const cql__sim_plan *plan) {
  scan s = {.run = run, .plan = plan, .table = plan->table};
  cql__sim_table *table = plan->table;
  cql__sim_rows_begin(run->out, run->shape->columns, run->shape->column_count);
  s.counts = cql__sim_region_take(&run->out->region, plan->pick_count * sizeof *s.counts);
  if (table->fill) table->fill(table, run->store, run->call->system);
  int error = scan_table(&s);
  if (!error && plan->counts) put_row(&s, s.first_partition, s.first_row);
  if (table->fill) cql__sim_truncate(table);
  if (!error) cql__sim_rows_end(run->out);
}
