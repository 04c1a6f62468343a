/* Run: one execution of a plan, with its values. */
#ifndef CQL_SIM_RUN_H
#define CQL_SIM_RUN_H

#include "sim/execution.h"

/* A restriction with its values. */
typedef struct cql__sim_test {
  const cql__sim_restriction *restriction;
  uint32_t count;
  cql_slice_t *values;
  cql_slice_t key; /* of column[key] */
} cql__sim_test;

typedef struct cql__sim_key {
  int64_t token;
  cql_slice_t key;
} cql__sim_key;

/* A value of that type; `name`: of whom, for the message. 0, CQL_EVALUE. */
int cql__sim_evaluate(cql__sim_run *run, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t name, cql_slice_t *out);
/* A test for each restriction, in their order; `in_where`: nulls are refused. 0, CQL_EVALUE. */
int cql__sim_tests_make(cql__sim_run *run, const cql__sim_restrictions *restrictions, int in_where,
                        cql__sim_test **out);
/* Does it hold of that value, which may be null? */
int cql__sim_test_holds(const cql__sim_test *test, cql_slice_t value);
/* The value of a column, or CQL_NULL; there may be no row. */
cql_slice_t cql__sim_value_of(const cql__sim_table *table, const cql__sim_partition *partition,
                              const cql__sim_row *row, const cql__sim_column *column,
                              int64_t now_s);

/* All combinations of the values of some columns, `column_count` values each. 0, CQL_EVALUE. */
int cql__sim_combine(cql__sim_run *run, const cql__sim_restrictions *where,
                     const cql__sim_test *tests, const cql__sim_restriction *const *columns,
                     uint32_t column_count, cql_slice_t **out, uint32_t *count);
/* The partition keys that WHERE means, which must restrict all of their columns: in the order of
 * their values. 0, CQL_EVALUE. */
int cql__sim_keys(cql__sim_run *run, const cql__sim_plan *plan, const cql__sim_test *tests,
                  cql__sim_key **out, uint32_t *count);

#endif
