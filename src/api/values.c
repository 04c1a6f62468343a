/* The public functions on values: names for what src/wire and src/message do. */
#include "message/dump.h"
#include "wire/text.h"
#include "wire/values.h"

int cql_cell_decode(const cql_type_t *type, const uint8_t *bytes, int32_t length, cql_cell_t *out) {
  return cql__cell_decode(type, bytes, length, out);
}

int cql_items_open(const cql_type_t *type, const uint8_t *bytes, int32_t length, cql_items_t *out) {
  return cql__items_open(type, bytes, length, out);
}

int cql_items_next(cql_items_t *items, cql_cell_t *out) { return cql__items_next(items, out); }

void cql_uuid_to_text(const uint8_t *bytes, char *out) { cql__uuid_to_text(bytes, out); }

int cql_uuid_from_text(const char *text, size_t length, uint8_t *out) {
  return cql__uuid_from_text(text, length, out);
}

int cql_inet_to_text(const uint8_t *bytes, int32_t length, char *out) {
  return cql__inet_to_text(bytes, length, out);
}

int cql_inet_from_text(const char *text, size_t length, uint8_t *out) {
  return cql__inet_from_text(text, length, out);
}

int cql_date_to_text(int64_t days, char *out) { return cql__date_to_text(days, out); }

int cql_date_from_text(const char *text, size_t length, int64_t *days) {
  return cql__date_from_text(text, length, days);
}

int cql_varint_to_text(const uint8_t *bytes, int32_t length, char *out, size_t size) {
  return cql__varint_to_text(bytes, length, out, size);
}

int cql_varint_from_text(const char *text, size_t length, uint8_t *out, size_t size) {
  return cql__varint_from_text(text, length, out, size);
}

int cql_duration_decode(const uint8_t *bytes, int32_t length, int32_t *months, int32_t *days,
                        int64_t *nanoseconds) {
  return cql__duration_decode(bytes, length, months, days, nanoseconds);
}

int cql_duration_encode(int32_t months, int32_t days, int64_t nanoseconds, uint8_t *out) {
  return cql__duration_encode(months, days, nanoseconds, out);
}

int cql_vint_encode(uint64_t value, uint8_t *out) { return cql__vint_encode(value, out); }

int cql_message_dump(const uint8_t *envelope, size_t length, int blank, char *out, size_t size) {
  return cql__message_dump(envelope, length, blank, out, size);
}
