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

/* ---- for literal.c and literal_number.c ---- */

/* No value of that type: CQL_EVALUE, and `why` says so. */
int cql__sim_literal_invalid(const cql__sim_values *v, const cql_type_t *type,
                             const cql__sim_term *term);
/* A copy, and a number in so many bytes, in the region. */
cql_slice_t cql__sim_literal_keep(const cql__sim_values *v, const void *bytes, size_t size);
cql_slice_t cql__sim_literal_number(const cql__sim_values *v, uint64_t number, unsigned size);

int cql__sim_literal_integer(const cql__sim_values *v, const cql_type_t *type,
                             const cql__sim_term *term, cql_slice_t *out);
int cql__sim_literal_real(const cql__sim_values *v, const cql_type_t *type,
                          const cql__sim_term *term, cql_slice_t *out);
int cql__sim_literal_varint(const cql__sim_values *v, const cql_type_t *type,
                            const cql__sim_term *term, cql_slice_t *out);
/* 12.50e3: the digits without the point, and how many stood behind it less the exponent. */
int cql__sim_literal_decimal(const cql__sim_values *v, const cql_type_t *type,
                             const cql__sim_term *term, cql_slice_t *out);
int cql__sim_literal_time(const cql__sim_values *v, const cql_type_t *type,
                          const cql__sim_term *term, cql_slice_t *out);
int cql__sim_literal_duration(const cql__sim_values *v, const cql_type_t *type,
                              const cql__sim_term *term, cql_slice_t *out);

#endif
