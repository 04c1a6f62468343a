/* bytes.h - a growing array of bytes, and the protocol's notations appended to it. */
#ifndef BENCH_BYTES_H
#define BENCH_BYTES_H

#include <stdlib.h>

#include "wire.h"

typedef struct bytes_s {
  uint8_t *data;
  size_t length;
  size_t capacity;
} bytes_t;

/* Makes sure that `more` fits behind what is there. */
static inline void bytes_grow(bytes_t *bytes, size_t more) {
  if (bytes->length + more <= bytes->capacity) return;
  size_t capacity = bytes->capacity ? bytes->capacity : 256;
  while (capacity < bytes->length + more) capacity *= 2;
  bytes->data = realloc(bytes->data, capacity);
  if (!bytes->data) abort();
  bytes->capacity = capacity;
}

static inline void bytes_add(bytes_t *bytes, const void *data, size_t length) {
  if (!length) return;
  bytes_grow(bytes, length);
  memcpy(bytes->data + bytes->length, data, length);
  bytes->length += length;
}

static inline void bytes_add8(bytes_t *bytes, unsigned number) {
  uint8_t byte = (uint8_t)number;
  bytes_add(bytes, &byte, 1);
}

static inline void bytes_add16(bytes_t *bytes, unsigned number) {
  uint8_t wire[2];
  put16(wire, number);
  bytes_add(bytes, wire, sizeof wire);
}

static inline void bytes_add32(bytes_t *bytes, uint32_t number) {
  uint8_t wire[4];
  put32(wire, number);
  bytes_add(bytes, wire, sizeof wire);
}

static inline void bytes_add64(bytes_t *bytes, uint64_t number) {
  uint8_t wire[8];
  put64(wire, number);
  bytes_add(bytes, wire, sizeof wire);
}

/* [string] */
static inline void bytes_add_string(bytes_t *bytes, const char *text) {
  size_t length = strlen(text);
  bytes_add16(bytes, (unsigned)length);
  bytes_add(bytes, text, length);
}

/* Forgets the first `length` bytes. */
static inline void bytes_drop(bytes_t *bytes, size_t length) {
  if (!length) return;
  bytes->length -= length;
  if (bytes->length) memmove(bytes->data, bytes->data + length, bytes->length);
}

#endif
