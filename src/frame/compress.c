#include "frame/compress.h"

#include <limits.h>
#include <lz4.h>

#include "cql.h"

size_t cql__lz4_bound(size_t size) {
  return size > LZ4_MAX_INPUT_SIZE ? 0 : (size_t)LZ4_compressBound((int)size);
}

size_t cql__lz4_compress(const uint8_t *bytes, size_t size, uint8_t *out, size_t capacity) {
  if (size > LZ4_MAX_INPUT_SIZE || capacity > INT_MAX) return 0;
  int written = LZ4_compress_default((const char *)bytes, (char *)out, (int)size, (int)capacity);
  return written > 0 ? (size_t)written : 0;
}

int cql__lz4_decompress(const uint8_t *bytes, size_t size, uint8_t *out, size_t out_size) {
  if (size > INT_MAX || out_size > INT_MAX) return CQL_EPROTOCOL;
  if (out_size == 0) return 0; /* an empty body: one token byte, or nothing */
  int got = LZ4_decompress_safe((const char *)bytes, (char *)out, (int)size, (int)out_size);
  return got >= 0 && (size_t)got == out_size ? 0 : CQL_EPROTOCOL;
}
