/* Compress: LZ4 blocks, as bodies of v3 and v4 (with a big-endian length before them) and as
 * payloads of v5 segments (without) [spec v4 5, spec v5 2.2]. */
#ifndef CQL_FRAME_COMPRESS_H
#define CQL_FRAME_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

/* The most that `size` bytes can become. */
size_t cql__lz4_bound(size_t size);
/* Bytes written to `out`, or 0: it didn't fit. */
size_t cql__lz4_compress(const uint8_t *bytes, size_t size, uint8_t *out, size_t capacity);
/* Exactly `out_size` bytes must come out, or CQL_EPROTOCOL. */
int cql__lz4_decompress(const uint8_t *bytes, size_t size, uint8_t *out, size_t out_size);

#endif
