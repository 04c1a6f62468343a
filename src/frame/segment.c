#include "frame/segment.h"

#include "cql.h"
#ifdef CQL_HAVE_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

uint32_t cql__crc24(const uint8_t *bytes, size_t size) {
  uint32_t crc = 0x875060;
  for (size_t i = 0; i < size; i++) {
    crc ^= (uint32_t)bytes[i] << 16;
    for (int bit = 0; bit < 8; bit++) {
      crc <<= 1;
      if (crc & 0x1000000) crc ^= 0x1974F0B;
    }
  }
  return crc;
}

uint32_t cql__crc32_more(uint32_t crc, const uint8_t *bytes, size_t size) {
#ifdef CQL_HAVE_LIBDEFLATE
  return libdeflate_crc32(crc, bytes, size);
#else
  return (uint32_t)crc32_z(crc, bytes, size);
#endif
}

/* CRC32 of FA 2D 55 CA, which the specification feeds first; a spec computes it anew. */
uint32_t cql__crc32_begin(void) { return 0x44777ed3; }

static uint64_t get_little(const uint8_t *p, int size) {
  uint64_t value = 0;
  for (int i = size; i-- > 0;) value = value << 8 | p[i];
  return value;
}

static void put_little(uint8_t *p, uint64_t value, int size) {
  for (int i = 0; i < size; i++, value >>= 8) p[i] = (uint8_t)value;
}

void cql__segment_head_encode(const cql__segment *segment, int lz4, uint8_t *out) {
  int size = lz4 ? 5 : 3;
  uint64_t bits = segment->payload_size;
  if (lz4) bits |= (uint64_t)segment->uncompressed_size << 17;
  if (segment->self_contained) bits |= (uint64_t)1 << (lz4 ? 34 : 17);
  put_little(out, bits, size);
  put_little(out + size, cql__crc24(out, (size_t)size), 3);
}

int cql__segment_head_decode(const uint8_t *head, int lz4, cql__segment *out) {
  int size = lz4 ? 5 : 3;
  uint64_t bits = get_little(head, size);
  if (get_little(head + size, 3) != cql__crc24(head, (size_t)size)) return CQL_EPROTOCOL;
  out->payload_size = (uint32_t)(bits & 0x1ffff);
  out->uncompressed_size = lz4 ? (uint32_t)(bits >> 17 & 0x1ffff) : 0;
  out->self_contained = (int)(bits >> (lz4 ? 34 : 17) & 1);
  return 0;
}

void cql__segment_tail_encode(uint32_t crc, uint8_t *out) { put_little(out, crc, 4); }

int cql__segment_tail_matches(uint32_t crc, const uint8_t *tail) {
  return get_little(tail, 4) == crc;
}
