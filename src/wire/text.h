/* Text: values that people write as text, and the numbers of variable length. The contracts are
 * those of the functions of the same name in cql.h. */
#ifndef CQL_WIRE_TEXT_H
#define CQL_WIRE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "wire/vint.h"

void cql__uuid_to_text(const uint8_t *bytes, char *out);
int cql__uuid_from_text(const char *text, size_t length, uint8_t *out);

int cql__inet_to_text(const uint8_t *bytes, int32_t length, char *out);
int cql__inet_from_text(const char *text, size_t length, uint8_t *out);

/* Years past 9999 have a plus, as ISO 8601 and the server write them; before the year 0 a minus.
 * CQL_EVALUE: not an int32 of days, which is what the type holds. */
int cql__date_to_text(int64_t days, char *out);
int cql__date_from_text(const char *text, size_t length, int64_t *days);

/* The work grows with the square of the length: what has more significant bytes than this, some
 * 19,700 digits, is CQL_ETOOBIG, so that no value of a server's stalls the host. */
enum { CQL__VARINT_MAX = 8192 };

int cql__varint_to_text(const uint8_t *bytes, int32_t length, char *out, size_t size);
int cql__varint_from_text(const char *text, size_t length, uint8_t *out, size_t size);

#endif
