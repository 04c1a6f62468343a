/* What the fuzzers share: the input as a stream of choices, checks, and copies that the address
 * sanitizer watches to the byte. */
#ifndef CQL_FUZZ_FUZZ_H
#define CQL_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                      \
      abort();                                                                                     \
    }                                                                                              \
  } while (0)

typedef struct input {
  const uint8_t *next, *end;
} input;

static inline input input_of(const uint8_t *data, size_t size) {
  return (input){data, data + size};
}
static inline size_t input_left(const input *in) { return (size_t)(in->end - in->next); }
/* 0 at the end. */
static inline unsigned input_u8(input *in) { return in->next < in->end ? *in->next++ : 0; }
static inline unsigned input_u16(input *in) {
  unsigned high = input_u8(in);
  return high << 8 | input_u8(in);
}
/* `size` bytes, or as many as are left: *size says how many. */
static inline const uint8_t *input_take(input *in, size_t *size) {
  const uint8_t *at = in->next;
  if (*size > input_left(in)) *size = input_left(in);
  in->next += *size;
  return at;
}

/* To be freed; exactly `size` bytes. */
static inline uint8_t *copy_of(const void *bytes, size_t size) {
  uint8_t *copy = malloc(size ? size : 1);
  CHECK(copy);
  if (size) memcpy(copy, bytes, size);
  return copy;
}

/* Reads all of it; the sum keeps the compiler from leaving that out. */
static inline uint64_t sum_of(uint64_t sum, const void *bytes, size_t size) {
  const uint8_t *p = bytes;
  for (size_t i = 0; i < size; i++) sum = (sum ^ p[i]) * 0x100000001b3u;
  return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
