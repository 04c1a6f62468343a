#include "message/request.h"

#include <string.h>

#include "wire/cursor.h"

static uint8_t *put_string(uint8_t *p, const char *text) {
  size_t length = strlen(text);
  return cql__put_bytes(cql__put_u16(p, (unsigned)length), text, length);
}

size_t cql__startup_encode(const cql__pair *pairs, unsigned count, uint8_t *out, size_t capacity) {
  size_t size = 2;
  for (unsigned i = 0; i < count; i++) size += 4 + strlen(pairs[i].name) + strlen(pairs[i].value);
  if (size > capacity) return size;
  uint8_t *p = cql__put_u16(out, count);
  for (unsigned i = 0; i < count; i++) p = put_string(put_string(p, pairs[i].name), pairs[i].value);
  return size;
}

size_t cql__register_encode(const char *const *types, unsigned count, uint8_t *out,
                            size_t capacity) {
  size_t size = 2;
  for (unsigned i = 0; i < count; i++) size += 2 + strlen(types[i]);
  if (size > capacity) return size;
  uint8_t *p = cql__put_u16(out, count);
  for (unsigned i = 0; i < count; i++) p = put_string(p, types[i]);
  return size;
}

size_t cql__auth_response_encode(const uint8_t *token, size_t length, uint8_t *out,
                                 size_t capacity) {
  size_t size = 4 + length;
  if (size <= capacity) cql__put_bytes(cql__put_u32(out, (uint32_t)length), token, length);
  return size;
}
