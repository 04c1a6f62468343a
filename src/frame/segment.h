/* Segment: the framing of v5 [spec v5 2], little-endian, unlike all else.
 *
 *   plain       3 bytes: length 17 bits, self-contained 1         CRC24   payload   CRC32
 *   compressed  5 bytes: compressed 17, uncompressed 17, self 1   CRC24   payload   CRC32
 *
 * CRC32 covers the payload as it travels. With LZ4 an uncompressed length of 0 means "stored". */
#ifndef CQL_FRAME_SEGMENT_H
#define CQL_FRAME_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

enum {
  CQL__SEGMENT_MAX = 131071,
  CQL__SEGMENT_HEAD = 6,
  CQL__SEGMENT_HEAD_LZ4 = 8,
  CQL__SEGMENT_TAIL = 4
};

typedef struct cql__segment {
  uint32_t payload_size;      /* on the wire */
  uint32_t uncompressed_size; /* 0: not compressed */
  int self_contained;
} cql__segment;

static inline size_t cql__segment_head_size(int lz4) {
  return lz4 ? CQL__SEGMENT_HEAD_LZ4 : CQL__SEGMENT_HEAD;
}
/* Writes the head with its CRC24. */
void cql__segment_head_encode(const cql__segment *segment, int lz4, uint8_t *out);
/* 0, or CQL_EPROTOCOL: the CRC24 doesn't match. */
int cql__segment_head_decode(const uint8_t *head, int lz4, cql__segment *out);
/* Writes the CRC32 of the payload. */
void cql__segment_tail_encode(uint32_t crc, uint8_t *out);
int cql__segment_tail_matches(uint32_t crc, const uint8_t *tail);

uint32_t cql__crc24(const uint8_t *bytes, size_t size);
/* Over the payload in pieces: begin with cql__crc32_begin(). */
uint32_t cql__crc32_begin(void);
uint32_t cql__crc32_more(uint32_t crc, const uint8_t *bytes, size_t size);

#endif
