/* Text: values that people write as text, and the variable-length numbers [spec 3: vint]. As the
 * public functions of the same names in cql.h say. */
#ifndef CQL_WIRE_TEXT_H
#define CQL_WIRE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "cql.h"

void cql__uuid_to_text(const uint8_t *bytes, char *out);
int cql__uuid_from_text(const char *text, size_t length, uint8_t *out);
int cql__inet_to_text(const uint8_t *bytes, int32_t length, char *out);
int cql__inet_from_text(const char *text, size_t length, uint8_t *out);
int cql__date_to_text(int64_t days, char *out);
int cql__date_from_text(const char *text, size_t length, int64_t *days);
int cql__varint_to_text(const uint8_t *bytes, int32_t length, char *out, size_t size);
int cql__varint_from_text(const char *text, size_t length, uint8_t *out, size_t size);
int cql__duration_decode(const uint8_t *bytes, int32_t length, int32_t *months, int32_t *days,
                         int64_t *nanoseconds);
int cql__duration_encode(int32_t months, int32_t days, int64_t nanoseconds, uint8_t *out);
int cql__vint_encode(uint64_t value, uint8_t *out);
/* Bytes used, 0: truncated. */
int cql__vint_decode(const uint8_t *bytes, size_t size, uint64_t *out);

#endif
