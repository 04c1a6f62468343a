/* Cursor: reads the wire's notations [spec 3] and never past the end. A read that doesn't fit sets
 * `broken`, gives zero or an empty slice, and so does every later one: check once, at the end. */
#ifndef CQL_WIRE_CURSOR_H
#define CQL_WIRE_CURSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cql.h"

typedef struct cql__cursor {
  const uint8_t *next;
  const uint8_t *end;
  int broken;
} cql__cursor;

static inline uint16_t cql__get_u16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t cql__get_u32(const uint8_t *p) {
  uint32_t value;
  memcpy(&value, p, 4);
  return __builtin_bswap32(value);
}
static inline uint64_t cql__get_u64(const uint8_t *p) {
  uint64_t value;
  memcpy(&value, p, 8);
  return __builtin_bswap64(value);
}

/* Each writes at p and returns what follows. */
static inline uint8_t *cql__put_u8(uint8_t *p, unsigned value) {
  *p = (uint8_t)value;
  return p + 1;
}
static inline uint8_t *cql__put_u16(uint8_t *p, unsigned value) {
  p[0] = (uint8_t)(value >> 8);
  p[1] = (uint8_t)value;
  return p + 2;
}
static inline uint8_t *cql__put_u32(uint8_t *p, uint32_t value) {
  value = __builtin_bswap32(value);
  memcpy(p, &value, 4);
  return p + 4;
}
static inline uint8_t *cql__put_u64(uint8_t *p, uint64_t value) {
  value = __builtin_bswap64(value);
  memcpy(p, &value, 8);
  return p + 8;
}
static inline uint8_t *cql__put_bytes(uint8_t *p, const void *bytes, size_t size) {
  if (size) memcpy(p, bytes, size);
  return p + size;
}

static inline cql__cursor cql__cursor_of(const uint8_t *bytes, size_t size) {
  return (cql__cursor){bytes, bytes + size, 0};
}
static inline size_t cql__cursor_left(const cql__cursor *c) { return (size_t)(c->end - c->next); }

/* `size` bytes, or NULL and broken. */
static inline const uint8_t *cql__read_raw(cql__cursor *c, size_t size) {
  if (c->broken || cql__cursor_left(c) < size) {
    c->broken = 1;
    return NULL;
  }
  const uint8_t *at = c->next;
  c->next += size;
  return at;
}
static inline uint8_t cql__read_u8(cql__cursor *c) {
  const uint8_t *p = cql__read_raw(c, 1);
  return p ? *p : 0;
}
static inline uint16_t cql__read_u16(cql__cursor *c) {
  const uint8_t *p = cql__read_raw(c, 2);
  return p ? cql__get_u16(p) : 0;
}
static inline int32_t cql__read_i32(cql__cursor *c) {
  const uint8_t *p = cql__read_raw(c, 4);
  return p ? (int32_t)cql__get_u32(p) : 0;
}
static inline int64_t cql__read_i64(cql__cursor *c) {
  const uint8_t *p = cql__read_raw(c, 8);
  return p ? (int64_t)cql__get_u64(p) : 0;
}
/* [string], [short bytes]: never null. */
static inline cql_slice_t cql__read_short_bytes(cql__cursor *c) {
  uint16_t length = cql__read_u16(c);
  const uint8_t *p = cql__read_raw(c, length);
  return (cql_slice_t){p, p ? length : 0};
}
/* [bytes]: any negative length is null. */
static inline cql_slice_t cql__read_bytes(cql__cursor *c) {
  int32_t length = cql__read_i32(c);
  if (length < 0 || c->broken) return (cql_slice_t){NULL, CQL_NULL};
  const uint8_t *p = cql__read_raw(c, (size_t)length);
  return (cql_slice_t){p, p ? length : CQL_NULL};
}
/* [string list], as it stands, with its count. */
static inline cql_slice_t cql__read_string_list(cql__cursor *c) {
  const uint8_t *start = c->next;
  for (uint16_t count = cql__read_u16(c); count && !c->broken; count--) cql__read_short_bytes(c);
  return c->broken ? (cql_slice_t){NULL, CQL_NULL}
                   : (cql_slice_t){start, (int32_t)(c->next - start)};
}
/* [bytes map], as it stands, with its count. */
static inline cql_slice_t cql__read_bytes_map(cql__cursor *c) {
  const uint8_t *start = c->next;
  for (uint16_t count = cql__read_u16(c); count && !c->broken; count--) {
    cql__read_short_bytes(c);
    cql__read_bytes(c);
  }
  return c->broken ? (cql_slice_t){NULL, CQL_NULL}
                   : (cql_slice_t){start, (int32_t)(c->next - start)};
}

static inline int cql__slice_is(cql_slice_t slice, const char *text) {
  size_t length = strlen(text);
  return slice.length >= 0 && (size_t)slice.length == length &&
         memcmp(slice.data, text, length) == 0;
}

#endif
