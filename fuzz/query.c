/* CQL: any texts at all, one a line, are parsed, checked and executed on one store; so are paging
 * states. What comes out is whole: cells fit their types, and no two runs differ. */
#include "fuzz.h"

#include "sim/store.h"
#include "sim/system.h"
#include "sim/type.h"

enum { STATEMENTS_MAX = 64, TEXT_MAX = 4096 };

static const char *const beginning[] = {
    "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TYPE k.u (a int, b frozen<list<text>>)",
    ("CREATE TABLE k.t (p int, c text, d int, v text, s int static, u frozen<u>, l list<int>, "
     "e set<int>, m map<text, int>, PRIMARY KEY (p, c, d)) WITH CLUSTERING ORDER BY (c DESC)"),
    "CREATE TABLE k.n (a int, b text, x counter, PRIMARY KEY ((a, b)))",
    "INSERT INTO k.t (p, c, d, v, s, l, e, m) VALUES (1, 'a', 1, 'v', 5, [1, 2], {1}, {'a': 1})",
    "INSERT INTO k.t (p, c, d, u) VALUES (1, 'b', 2, {a: 1, b: ['x']})",
    "UPDATE k.n SET x = x + 1 WHERE a = 1 AND b = 'b'",
};

static const cql_slice_t none = {NULL, CQL_NULL};

static cql_slice_t slice_of(const char *text) {
  return (cql_slice_t){(const uint8_t *)text, (int32_t)strlen(text)};
}

/* Every cell is a value of its column's type. */
static void check_rows(const cql__store_result *result) {
  if (!result->row_count || !result->column_count) return;
  cql__cursor c = cql__cursor_of(result->rows.data, (size_t)result->rows.length);
  for (uint32_t r = 0; r < result->row_count; r++)
    for (uint32_t i = 0; i < result->column_count; i++) {
      cql_slice_t cell = cql__read_bytes(&c);
      cql__sim_buffer why = {0};
      CHECK(!c.broken);
      CHECK(cell.length < 0 || cql__sim_value_fits(&result->columns[i].type, cell, &why));
      cql__sim_buffer_free(&why);
    }
  CHECK(c.next == c.end);
}

static uint64_t check(const cql__store_result *result) {
  switch (result->kind) {
    case CQL_RESULT_ROWS: check_rows(result); break;
    case CQL_RESULT_ERROR: CHECK(result->error_code && result->message); break;
    case CQL_RESULT_KEYSPACE: CHECK(result->keyspace.length >= 0); break;
    case CQL_RESULT_SCHEMA_CHANGE: CHECK(result->change.keyspace.length >= 0); break;
    default: CHECK(result->kind == CQL_RESULT_VOID); break;
  }
  uint64_t sum = (uint64_t)result->kind + result->row_count;
  if (result->rows.length > 0) sum = sum_of(sum, result->rows.data, (size_t)result->rows.length);
  if (result->message) sum = sum_of(sum, result->message, strlen(result->message));
  return sum;
}

/* A prepared statement, with as many values as it wants, taken from its own text. */
static uint64_t prepared(cql__store *store, cql_slice_t text, const cql__store_call *call) {
  cql__store_result *error;
  cql__statement *statement = cql__store_prepare(store, call->keyspace, text, &error);
  if (!statement) {
    cql__store_result_free(error);
    return 0;
  }
  const cql__statement_shape *shape = cql__statement_shape_of(store, statement);
  CHECK(shape);
  cql_slice_t values[16];
  cql__store_call with = *call;
  with.values = values;
  with.value_count = shape->bind_count < 16 ? shape->bind_count : 16;
  for (uint32_t i = 0; i < with.value_count; i++) {
    int32_t size = shape->binds[i].type.kind == CQL_TEXT ? 1 : 4;
    values[i] = (cql_slice_t){text.data, text.length < size ? text.length : size};
  }
  int64_t token = 0;
  uint64_t sum = 0;
  if (cql__statement_token(store, statement, &with, &token)) sum = (uint64_t)token;
  cql__store_result *result = cql__store_execute(store, statement, &with);
  sum += check(result);
  if (result->paging_state.length >= 0) {
    with.paging_state = result->paging_state;
    cql__store_result *next = cql__store_execute(store, statement, &with);
    sum += check(next);
    cql__store_result_free(next);
  }
  cql__store_result_free(result);
  cql__statement_free(statement);
  return sum;
}

static uint64_t run(const uint8_t *data, size_t size) {
  cql__store *store = cql__store_new(size & 1);
  cql__store_call call;
  uint64_t sum = 0;
  input in = input_of(data, size);
  cql__store_call_init(&call);
  cql__system_install(store);
  call.now_us = 1700000000000000;
  for (size_t i = 0; i < sizeof beginning / sizeof *beginning; i++) {
    cql__store_result *result = cql__store_query(store, slice_of(beginning[i]), &call);
    CHECK(result->kind != CQL_RESULT_ERROR);
    cql__store_result_free(result);
  }
  call.keyspace = slice_of("k");
  for (int i = 0; i < STATEMENTS_MAX && input_left(&in); i++) {
    size_t length = 0;
    while (length < input_left(&in) && length < TEXT_MAX && in.next[length] != '\n') length++;
    uint8_t *copy = copy_of(in.next, length);
    cql_slice_t text = {copy, (int32_t)length};
    input_take(&in, &length);
    input_u8(&in); /* the line's end */
    call.now_us++;
    call.page_size = i % 3;
    call.paging_state = i % 7 == 6 ? text : none;
    cql__store_result *result = cql__store_query(store, text, &call);
    sum = sum * 31 + check(result);
    cql__store_result_free(result);
    sum += prepared(store, text, &call);
    free(copy);
  }
  uint8_t version[16];
  cql__store_version(store, version);
  sum = sum_of(sum, version, sizeof version);
  cql__store_free(store);
  return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  CHECK(run(data, size) == run(data, size));
  return 0;
}
