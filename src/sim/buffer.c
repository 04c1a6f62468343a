#include "sim/buffer.h"

#include <stdarg.h>
#include <stdio.h>

uint8_t *cql__sim_extend(cql__sim_buffer *b, size_t size) {
  if (!b->data || b->capacity - b->end < size) {
    size_t used = b->end - b->start;
    if (b->start) memmove(b->data, b->data + b->start, used);
    b->start = 0;
    b->end = used;
    if (!b->data || b->capacity - used < size) {
      b->capacity = (used + size) * 2 + 64;
      b->data = cql__sim_realloc(b->data, b->capacity);
    }
  }
  b->end += size;
  return b->data + b->end - size;
}

void cql__sim_drop(cql__sim_buffer *b, size_t size) {
  b->start += size;
  if (b->start == b->end) b->start = b->end = 0;
}

void cql__sim_buffer_free(cql__sim_buffer *b) {
  cql__sim_release(b->data);
  *b = (cql__sim_buffer){NULL, 0, 0, 0};
}

void cql__sim_put(cql__sim_buffer *b, const void *bytes, size_t size) {
  if (size) memcpy(cql__sim_extend(b, size), bytes, size);
}
void cql__sim_put_u8(cql__sim_buffer *b, unsigned value) {
  cql__put_u8(cql__sim_extend(b, 1), value);
}
void cql__sim_put_u16(cql__sim_buffer *b, unsigned value) {
  cql__put_u16(cql__sim_extend(b, 2), value);
}
void cql__sim_put_u32(cql__sim_buffer *b, uint32_t value) {
  cql__put_u32(cql__sim_extend(b, 4), value);
}
void cql__sim_put_u64(cql__sim_buffer *b, uint64_t value) {
  cql__put_u64(cql__sim_extend(b, 8), value);
}

void cql__sim_put_short_bytes(cql__sim_buffer *b, cql_slice_t bytes) {
  uint32_t length = bytes.length < 0 ? 0 : bytes.length > 65535 ? 65535 : (uint32_t)bytes.length;
  cql__sim_put_u16(b, length);
  cql__sim_put(b, bytes.data, length);
}

void cql__sim_put_string(cql__sim_buffer *b, const char *text) {
  cql__sim_put_short_bytes(b, cql__sim_slice_of(text));
}

void cql__sim_put_bytes(cql__sim_buffer *b, cql_slice_t bytes) {
  cql__sim_put_u32(b, (uint32_t)(bytes.length < 0 ? -1 : bytes.length));
  if (bytes.length > 0) cql__sim_put(b, bytes.data, (size_t)bytes.length);
}

void cql__sim_put_text_bytes(cql__sim_buffer *b, const char *text) {
  cql__sim_put_bytes(b, cql__sim_slice_of(text));
}

void cql__sim_patch_u32(cql__sim_buffer *b, size_t at, uint32_t value) {
  cql__put_u32(b->data + b->start + at, value);
}

void cql__sim_print(cql__sim_buffer *b, const char *format, ...) {
  va_list first, second;
  va_start(first, format);
  va_copy(second, first);
  int length = vsnprintf(NULL, 0, format, first);
  va_end(first);
  if (length > 0) {
    char *out = (char *)cql__sim_extend(b, (size_t)length + 1);
    vsnprintf(out, (size_t)length + 1, format, second);
    b->end--; /* the NUL */
  }
  va_end(second);
}
