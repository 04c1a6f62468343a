#include "cluster/partitioner.h"

#include "base/md5.h"

/* ---- Murmur3 ---- */

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

/* ---- the others ---- */

/* [scylla: docs/dev/cdc.md] The key is a stream's id and begins with the token. One too short for
 * that has the smallest number, which no other key has. */
static int64_t token_of_stream(const uint8_t *key, size_t size) {
  if (size < 8) return INT64_MIN;
  int64_t token = (int64_t)cql__get_u64(key);
  return token == INT64_MIN ? INT64_MAX : token;
}

/* The digest is a signed number of 128 bits; the token is its absolute value, 2^127 included. */
static cql__token token_of_digest(const uint8_t *key, size_t size) {
  uint8_t digest[16];
  cql__md5(key, size, digest);
  cql__token token = {cql__get_u64(digest), cql__get_u64(digest + 8), NULL, 0};
  if (token.high >> 63) {
    token.low = ~token.low + 1;
    token.high = ~token.high + (token.low == 0);
  }
  return token;
}

/* Up to eight bytes as the high end of a number. */
static uint64_t leading(const uint8_t *p, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size && i < 8; i++) value |= (uint64_t)p[i] << (56 - 8 * i);
  return value;
}

static cql__token token_of_bytes(const uint8_t *key, size_t size) {
  uint64_t low = size > 8 ? leading(key + 8, size - 8) : 0;
  return (cql__token){leading(key, size), low, key, (uint32_t)size};
}

/* ---- all ---- */

static const char *const class_names[CQL__PARTITIONERS] = {
    [CQL__MURMUR3] = "Murmur3Partitioner",
    [CQL__CDC] = "CDCPartitioner",
    [CQL__RANDOM] = "RandomPartitioner",
    [CQL__BYTE_ORDERED] = "ByteOrderedPartitioner",
};

cql__partitioner cql__partitioner_of(cql_slice_t class_name) {
  for (int i = CQL__MURMUR3; i < CQL__PARTITIONERS; i++) {
    int32_t length = (int32_t)strlen(class_names[i]);
    if (class_name.length >= length &&
        memcmp(class_name.data + class_name.length - length, class_names[i], (size_t)length) == 0)
      return (cql__partitioner)i;
  }
  return CQL__PARTITIONER_NONE;
}

cql__token cql__token_make(cql__partitioner partitioner, const uint8_t *key, size_t size) {
  switch (partitioner) {
    case CQL__CDC: return cql__token_of_number(token_of_stream(key, size));
    case CQL__RANDOM: return token_of_digest(key, size);
    case CQL__BYTE_ORDERED: return token_of_bytes(key, size);
    default: return cql__token_of_number(cql__token_of(key, size));
  }
}

int cql__token_compare(const cql__token *a, const cql__token *b) {
  if (a->high != b->high) return a->high < b->high ? -1 : 1;
  if (a->low != b->low) return a->low < b->low ? -1 : 1;
  uint32_t common = a->size < b->size ? a->size : b->size;
  int order = common ? memcmp(a->bytes, b->bytes, common) : 0;
  return order ? order : (a->size > b->size) - (a->size < b->size);
}

/* ---- text ---- */

/* Digits that fit 128 bits. */
static int parse_digits(const uint8_t *text, int32_t length, uint64_t *high, uint64_t *low) {
  const int32_t digits_max = 39;
  if (length < 1 || length > digits_max) return CQL_EVALUE;
  *high = *low = 0;
  for (int32_t i = 0; i < length; i++) {
    unsigned digit = text[i] - (unsigned)'0';
    if (digit > 9 || *high > UINT64_MAX / 10 - 1) return CQL_EVALUE;
    uint64_t lower = (*low & UINT32_MAX) * 10 + digit;
    uint64_t upper = (*low >> 32) * 10 + (lower >> 32);
    *low = upper << 32 | (lower & UINT32_MAX);
    *high = *high * 10 + (upper >> 32);
  }
  return 0;
}

static int parse_number(cql_slice_t text, cql__token *out) {
  int negative = text.length > 0 && text.data[0] == '-';
  uint64_t high, low, limit = (uint64_t)INT64_MAX + (uint64_t)negative;
  if (parse_digits(text.data + negative, text.length - negative, &high, &low) < 0 || high ||
      low > limit)
    return CQL_EVALUE;
  *out = cql__token_of_number((int64_t)(negative ? ~low + 1 : low));
  return 0;
}

/* 2^127 is the largest. */
static int parse_digest(cql_slice_t text, cql__token *out) {
  const uint64_t limit = (uint64_t)1 << 63;
  uint64_t high, low;
  if (parse_digits(text.data, text.length, &high, &low) < 0 || high > limit ||
      (high == limit && low))
    return CQL_EVALUE;
  *out = (cql__token){high, low, NULL, 0};
  return 0;
}

static int digit_of(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_bytes(cql_slice_t text, uint8_t *room, cql__token *out) {
  if (text.length < 0 || text.length % 2) return CQL_EVALUE;
  for (int32_t i = 0; i < text.length; i += 2) {
    int high = digit_of(text.data[i]), low = digit_of(text.data[i + 1]);
    if (high < 0 || low < 0) return CQL_EVALUE;
    room[i / 2] = (uint8_t)(high << 4 | low);
  }
  *out = token_of_bytes(room, (size_t)text.length / 2);
  return 0;
}

int cql__token_parse(cql__partitioner partitioner, cql_slice_t text, uint8_t *room,
                     cql__token *out) {
  switch (partitioner) {
    case CQL__MURMUR3:
    case CQL__CDC: return parse_number(text, out);
    case CQL__RANDOM: return parse_digest(text, out);
    case CQL__BYTE_ORDERED: return parse_bytes(text, room, out);
    default: return CQL_EVALUE;
  }
}

/* ---- keys ---- */

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
