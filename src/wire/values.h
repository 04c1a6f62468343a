/* Values: one value taken apart, and the walk through those that hold others [spec 5]. */
#ifndef CQL_WIRE_VALUES_H
#define CQL_WIRE_VALUES_H

#include <math.h>

#include "wire/cursor.h"

/* Every NaN as one: the other bits of a NaN would be taken for a value of another type by whoever
 * keeps numbers and pointers in the same 64 bits, as LuaJIT does, and a peer chooses them. */
static inline double cql__one_nan(double real) { return real == real ? real : (double)NAN; }

/* A value that isn't null, of a scalar or any other kind. 0, CQL_EMALFORMED: a length that the
 * kind doesn't have. Inline: it is the inner loop of every page. */
static inline int cql__cell_read(int kind, const uint8_t *bytes, int32_t length, cql_cell_t *out) {
  out->length = length;
  out->reserved = 0;
  out->as.integer = 0;
  switch (kind) {
    case CQL_INT:
      if (length != 4) return length == 0 ? 0 : CQL_EMALFORMED;
      out->as.integer = (int32_t)cql__get_u32(bytes);
      return 0;
    case CQL_BIGINT:
    case CQL_COUNTER:
    case CQL_TIMESTAMP:
    case CQL_TIME:
      if (length != 8) return length == 0 ? 0 : CQL_EMALFORMED;
      out->as.integer = (int64_t)cql__get_u64(bytes);
      return 0;
    case CQL_DOUBLE: {
      if (length != 8) return length == 0 ? 0 : CQL_EMALFORMED;
      uint64_t bits = cql__get_u64(bytes);
      double real;
      memcpy(&real, &bits, 8);
      out->as.real = cql__one_nan(real);
      return 0;
    }
    case CQL_FLOAT: {
      if (length != 4) return length == 0 ? 0 : CQL_EMALFORMED;
      uint32_t bits = cql__get_u32(bytes);
      float real;
      memcpy(&real, &bits, 4);
      out->as.real = cql__one_nan((double)real);
      return 0;
    }
    case CQL_BOOLEAN:
      if (length != 1) return length == 0 ? 0 : CQL_EMALFORMED;
      out->as.integer = bytes[0] != 0;
      return 0;
    case CQL_TINYINT:
      if (length != 1) return length == 0 ? 0 : CQL_EMALFORMED;
      out->as.integer = (int8_t)bytes[0];
      return 0;
    case CQL_SMALLINT:
      if (length != 2) return length == 0 ? 0 : CQL_EMALFORMED;
      out->as.integer = (int16_t)cql__get_u16(bytes);
      return 0;
    case CQL_DATE: /* unsigned days, 2^31 is 1970-01-01 */
      if (length != 4) return length == 0 ? 0 : CQL_EMALFORMED;
      out->as.integer = (int64_t)cql__get_u32(bytes) - 2147483648;
      return 0;
    case CQL_UUID:
    case CQL_TIMEUUID:
      if (length != 16 && length != 0) return CQL_EMALFORMED;
      break;
    case CQL_INET:
      if (length != 4 && length != 16 && length != 0) return CQL_EMALFORMED;
      break;
    case CQL_DECIMAL: /* a scale, then digits */
      if (length < 4 && length != 0) return CQL_EMALFORMED;
      break;
    case CQL_DURATION: /* three parts of a byte at least */
      if (length < 3 && length != 0) return CQL_EMALFORMED;
      break;
    default: break;
  }
  out->as.bytes = bytes;
  return 0;
}

int cql__cell_decode(const cql_type_t *type, const uint8_t *bytes, int32_t length, cql_cell_t *out);
int cql__items_open(const cql_type_t *type, const uint8_t *bytes, int32_t length, cql_items_t *out);
int cql__items_next(cql_items_t *items, cql_cell_t *out);

#endif
