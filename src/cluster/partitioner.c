#include "cluster/partitioner.h"

/* MurmurHash3_x64_128 with seed 0, of which Cassandra takes the first half. Its bytes are signed
 * where fewer than 16 are left: they are extended by their sign, which the published function
 * doesn't do, and tokens of servers depend on it. Blocks are little-endian. */
static const uint64_t c1 = 0x87C37B91114253D5u, c2 = 0x4CF5AD432745937Fu;

static uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static uint64_t mix(uint64_t x) {
  x ^= x >> 33;
  x *= 0xFF51AFD7ED558CCDu;
  x ^= x >> 33;
  x *= 0xC4CEB9FE1A85EC53u;
  return x ^ x >> 33;
}

static uint64_t block_of(const uint8_t *p) { return __builtin_bswap64(cql__get_u64(p)); }

static uint64_t tail_of(const uint8_t *p, size_t size) {
  uint64_t tail = 0;
  for (size_t i = 0; i < size; i++) tail ^= (uint64_t)(int64_t)(int8_t)p[i] << i * 8;
  return tail;
}

int64_t cql__token_of(const uint8_t *key, size_t size) {
  uint64_t h1 = 0, h2 = 0;
  const uint8_t *p = key;
  for (size_t left = size; left >= 16; left -= 16, p += 16) {
    h1 ^= rotate(block_of(p) * c1, 31) * c2;
    h1 = (rotate(h1, 27) + h2) * 5 + 0x52DCE729;
    h2 ^= rotate(block_of(p + 8) * c2, 33) * c1;
    h2 = (rotate(h2, 31) + h1) * 5 + 0x38495AB5;
  }
  size_t rest = size % 16;
  if (rest > 8) h2 ^= rotate(tail_of(p + 8, rest - 8) * c2, 33) * c1;
  if (rest) h1 ^= rotate(tail_of(p, rest < 8 ? rest : 8) * c1, 31) * c2;
  h1 ^= size;
  h2 ^= size;
  h1 += h2;
  h2 += h1;
  h1 = mix(h1);
  h2 = mix(h2);
  int64_t token = (int64_t)(h1 + h2);
  return token == INT64_MIN ? INT64_MAX : token;
}

int64_t cql__key_size(const cql_slice_t *parts, uint32_t count) {
  int64_t size = 0;
  for (uint32_t i = 0; i < count; i++) {
    int32_t length = parts[i].length;
    if (length < 0 || (count > 1 && length > UINT16_MAX)) return CQL_EVALUE;
    size += length + (count > 1 ? 3 : 0);
  }
  return size;
}

uint8_t *cql__key_join(const cql_slice_t *parts, uint32_t count, uint8_t *out) {
  for (uint32_t i = 0; i < count; i++) {
    size_t length = (size_t)parts[i].length;
    if (count > 1) out = cql__put_u16(out, (unsigned)length);
    out = cql__put_bytes(out, parts[i].data, length);
    if (count > 1) out = cql__put_u8(out, 0);
  }
  return out;
}
