/* Buffer: bytes that grow at the end and are taken from the front; and the wire's notations
 * [spec 3], written to it. */
#ifndef CQL_SIM_BUFFER_H
#define CQL_SIM_BUFFER_H

#include "sim/memory.h"
#include "wire/cursor.h"

typedef struct cql__sim_buffer {
  uint8_t *data;
  size_t start, end, capacity;
} cql__sim_buffer;

static inline size_t cql__sim_size(const cql__sim_buffer *b) { return b->end - b->start; }
/* NULL where nothing was ever written. */
static inline const uint8_t *cql__sim_bytes(const cql__sim_buffer *b) {
  return b->data ? b->data + b->start : NULL;
}
static inline cql_slice_t cql__sim_slice(const cql__sim_buffer *b) {
  return (cql_slice_t){cql__sim_bytes(b), (int32_t)(b->end - b->start)};
}
/* Room for `size` bytes at the end, which count as written. */
uint8_t *cql__sim_extend(cql__sim_buffer *b, size_t size);
void cql__sim_drop(cql__sim_buffer *b, size_t size);
static inline void cql__sim_clear(cql__sim_buffer *b) { b->start = b->end = 0; }
void cql__sim_buffer_free(cql__sim_buffer *b);

void cql__sim_put(cql__sim_buffer *b, const void *bytes, size_t size);
void cql__sim_put_u8(cql__sim_buffer *b, unsigned value);
void cql__sim_put_u16(cql__sim_buffer *b, unsigned value);
void cql__sim_put_u32(cql__sim_buffer *b, uint32_t value);
void cql__sim_put_u64(cql__sim_buffer *b, uint64_t value);
/* [string]; what is longer than 65,535 bytes is cut. */
void cql__sim_put_string(cql__sim_buffer *b, const char *text);
void cql__sim_put_short_bytes(cql__sim_buffer *b, cql_slice_t bytes);
/* [bytes]; a length below 0 is null. */
void cql__sim_put_bytes(cql__sim_buffer *b, cql_slice_t bytes);
void cql__sim_put_text_bytes(cql__sim_buffer *b, const char *text);
/* Writes the int at `at` (counted from the start) anew. */
void cql__sim_patch_u32(cql__sim_buffer *b, size_t at, uint32_t value);
/* For people and for the trace; `...` as printf(). */
__attribute__((format(printf, 2, 3))) void cql__sim_print(cql__sim_buffer *b, const char *format,
                                                          ...);

static inline cql_slice_t cql__sim_slice_of(const char *text) {
  return (cql_slice_t){(const uint8_t *)text, text ? (int32_t)strlen(text) : CQL_NULL};
}

#endif
