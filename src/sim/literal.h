/* Literal: terms made values of a type, markers filled in. */
#ifndef CQL_SIM_LITERAL_H
#define CQL_SIM_LITERAL_H

#include "base/rand.h"
#include "sim/query.h"
#include "sim/type.h"

/* What markers and functions stand for. */
typedef struct cql__sim_values {
  cql__sim_region *region;   /* where values are made */
  const cql_slice_t *values; /* bound, in order; lengths may be CQL_NULL and CQL_UNSET */
  uint32_t count;
  int64_t wall_clock; /* microseconds since 1970 */
  cql__rand *rand;
  cql_slice_t receiver; /* for whom a value is made: a column; only for messages */
  cql__sim_buffer *why;
} cql__sim_values;

/* 0 and the value, which may be CQL_NULL or CQL_UNSET; or CQL_EVALUE, and `why` has the server's
 * words. It lives as long as the region and what is bound. */
int cql__sim_value(const cql__sim_values *values, const cql_type_t *type, const cql__sim_term *term,
                   cql_slice_t *out);

#endif
