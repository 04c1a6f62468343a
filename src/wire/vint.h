/* Vints: integers of 1 to 9 bytes [spec 3: unsigned vint, vint]. The leading 1 bits of the first
 * byte count the bytes that follow; what is left of it is the most significant part. */
#ifndef CQL_WIRE_VINT_H
#define CQL_WIRE_VINT_H

#include "wire/cursor.h"

enum { CQL__VINT_MAX = 9 };

/* Longer forms than needed are read too. */
uint64_t cql__read_unsigned_vint(cql__cursor *c);
/* Zig-zag: 0, -1, 1, -2 ... are 0, 1, 2, 3 ... */
int64_t cql__read_vint(cql__cursor *c);

/* An unsigned vint, in its shortest form: how many bytes were written, 1 to 9. */
int cql__vint_encode(uint64_t value, uint8_t *out);

/* The contracts are those of the functions of the same name in cql.h. */
int cql__duration_decode(const uint8_t *bytes, int32_t length, int32_t *months, int32_t *days,
                         int64_t *nanoseconds);
int cql__duration_encode(int32_t months, int32_t days, int64_t nanoseconds, uint8_t *out);

#endif
