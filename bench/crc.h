/* crc.h - the checksums of protocol v5's segments [spec v5, 2.2].
 *
 * CRC24 covers the 3 bytes of a segment's header. CRC32 is the usual one (IEEE, reflected) fed with
 * FA 2D 55 CA before the payload; it folds with carry-less multiplication where the CPU has it, as
 * fast libraries do, so that the floor is low. Call crc_init() first.
 */
#ifndef BENCH_CRC_H
#define BENCH_CRC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static uint32_t crc_tables[8][256]; /* [k][b]: byte b, followed by k zero bytes */
static uint32_t crc_seeded;         /* the state after the 4 bytes that come first */
static int crc_folds;               /* the CPU has pclmul */

static inline uint32_t crc24(const uint8_t *bytes) {
  uint32_t crc = 0x875060;
  for (int i = 0; i < 3; i++) {
    crc ^= (uint32_t)bytes[i] << 16;
    for (int bit = 0; bit < 8; bit++) {
      crc <<= 1;
      if (crc & 0x1000000) crc ^= 0x1974F0B;
    }
  }
  return crc;
}

/* Eight bytes a step, from eight tables. */
static inline uint32_t crc32_by_tables(uint32_t crc, const uint8_t *bytes, size_t length) {
  while (length >= 8) {
    uint32_t a, b;
    memcpy(&a, bytes, 4);
    memcpy(&b, bytes + 4, 4);
    a ^= crc;
    crc = crc_tables[7][a & 255] ^ crc_tables[6][a >> 8 & 255] ^ crc_tables[5][a >> 16 & 255] ^
          crc_tables[4][a >> 24] ^ crc_tables[3][b & 255] ^ crc_tables[2][b >> 8 & 255] ^
          crc_tables[1][b >> 16 & 255] ^ crc_tables[0][b >> 24];
    bytes += 8;
    length -= 8;
  }
  while (length--) crc = crc >> 8 ^ crc_tables[0][(crc ^ *bytes++) & 255];
  return crc;
}

#if defined(__x86_64__)
#define CRC_TARGET __attribute__((target("pclmul,sse4.1")))

CRC_TARGET static inline __m128i crc_load(const uint8_t *bytes) {
  return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* Moves the remainder `x` over the distance that `k` stands for, onto `next`. */
CRC_TARGET static inline __m128i crc_fold(__m128i x, __m128i k, __m128i next) {
  __m128i low = _mm_clmulepi64_si128(x, k, 0x00);
  __m128i high = _mm_clmulepi64_si128(x, k, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* Four lanes of 16 bytes at a time, then one; at least 64 bytes. The constants are powers of x
 * modulo the polynomial (Gopal et al., "Fast CRC Computation Using PCLMULQDQ"). */
CRC_TARGET static uint32_t crc32_by_folding(uint32_t crc, const uint8_t *bytes, size_t length) {
  const __m128i by_64 = _mm_set_epi64x(0x1c6e41596LL, 0x154442bd4LL);
  const __m128i by_16 = _mm_set_epi64x(0x0ccaa009eLL, 0x1751997d0LL);
  __m128i x0 = _mm_xor_si128(crc_load(bytes), _mm_cvtsi32_si128((int)crc));
  __m128i x1 = crc_load(bytes + 16);
  __m128i x2 = crc_load(bytes + 32);
  __m128i x3 = crc_load(bytes + 48);
  bytes += 64;
  length -= 64;
  while (length >= 64) {
    x0 = crc_fold(x0, by_64, crc_load(bytes));
    x1 = crc_fold(x1, by_64, crc_load(bytes + 16));
    x2 = crc_fold(x2, by_64, crc_load(bytes + 32));
    x3 = crc_fold(x3, by_64, crc_load(bytes + 48));
    bytes += 64;
    length -= 64;
  }
  x0 = crc_fold(x0, by_16, x1);
  x0 = crc_fold(x0, by_16, x2);
  x0 = crc_fold(x0, by_16, x3);
  while (length >= 16) {
    x0 = crc_fold(x0, by_16, crc_load(bytes));
    bytes += 16;
    length -= 16;
  }
  uint8_t rest[16];
  memcpy(rest, &x0, 16);
  return crc32_by_tables(crc32_by_tables(0, rest, 16), bytes, length);
}
#endif

static inline void crc_init(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    crc_tables[0][i] = crc;
  }
  for (int i = 0; i < 256; i++) {
    for (int k = 1; k < 8; k++) {
      uint32_t crc = crc_tables[k - 1][i];
      crc_tables[k][i] = crc >> 8 ^ crc_tables[0][crc & 255];
    }
  }
  static const uint8_t first[4] = {0xFA, 0x2D, 0x55, 0xCA};
  crc_seeded = crc32_by_tables(0xFFFFFFFFu, first, 4);
#if defined(__x86_64__)
  crc_folds = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

/* CRC32 of a segment's payload. */
static inline uint32_t crc32_payload(const uint8_t *bytes, size_t length) {
#if defined(__x86_64__)
  if (crc_folds && length >= 64) return ~crc32_by_folding(crc_seeded, bytes, length);
#endif
  return ~crc32_by_tables(crc_seeded, bytes, length);
}

#endif
