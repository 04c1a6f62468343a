/* Varints: two's complement of any length [spec 6], in decimal. Between the two stand 32-bit limbs,
 * and nine digits are handled at once. */
#include <string.h>

#include "wire/cursor.h"
#include "wire/text.h"

enum { CHUNK = 1000000000, CHUNK_DIGITS = 9 };
enum { LIMBS_MAX = CQL__VARINT_MAX / 4 + 1, CHUNKS_MAX = CQL__VARINT_MAX * 27 / 100 + 1 };

/* A magnitude, its least significant limb first. */
typedef struct number {
  uint32_t limbs[LIMBS_MAX];
  uint32_t count;
} number;

/* number = number * factor + addend. */
static void multiply_add(number *n, uint32_t factor, uint32_t addend) {
  uint64_t carry = addend;
  for (uint32_t i = 0; i < n->count; i++) {
    carry += (uint64_t)n->limbs[i] * factor;
    n->limbs[i] = (uint32_t)carry;
    carry >>= 32;
  }
  if (carry) n->limbs[n->count++] = (uint32_t)carry;
}

/* number = number / CHUNK; the remainder. */
static uint32_t divide(number *n) {
  uint64_t rest = 0;
  for (uint32_t i = n->count; i > 0; i--) {
    rest = rest << 32 | n->limbs[i - 1];
    n->limbs[i - 1] = (uint32_t)(rest / CHUNK);
    rest %= CHUNK;
  }
  while (n->count && n->limbs[n->count - 1] == 0) n->count--;
  return (uint32_t)rest;
}

/* Nine digits at `out`. */
static void write_chunk(uint32_t chunk, char *out) {
  for (int i = CHUNK_DIGITS; i > 0; i--, chunk /= 10) out[i - 1] = (char)('0' + chunk % 10);
}

/* The magnitude of a two's complement number. */
static void read_bytes(const uint8_t *bytes, int32_t length, number *n) {
  uint8_t sign = bytes[0] & 0x80 ? 0xFF : 0;
  memset(n->limbs, 0, sizeof n->limbs);
  unsigned carry = sign & 1;
  for (int32_t i = 0; i < length; i++) { /* negative: all bits turned, and one more */
    unsigned byte = (unsigned)(bytes[length - 1 - i] ^ sign) + carry;
    carry = byte >> 8;
    n->limbs[i / 4] |= (byte & 0xFF) << i % 4 * 8;
  }
  n->count = (uint32_t)length / 4 + 1;
  while (n->count && n->limbs[n->count - 1] == 0) n->count--;
}

int cql__varint_to_text(const uint8_t *bytes, int32_t length, char *out, size_t size) {
  if (length < 1) return CQL_EVALUE;
  int negative = bytes[0] >> 7;
  uint8_t sign = negative ? 0xFF : 0;
  for (; length > 1 && bytes[0] == sign && (bytes[1] ^ sign) < 0x80; length--) bytes++;
  if (length > CQL__VARINT_MAX) return CQL_ETOOBIG;
  number n;
  read_bytes(bytes, length, &n);
  uint32_t chunks[CHUNKS_MAX];
  uint32_t count = 0;
  do chunks[count++] = divide(&n);
  while (n.count);
  char first[CHUNK_DIGITS];
  write_chunk(chunks[--count], first);
  int skipped = 0;
  while (skipped < CHUNK_DIGITS - 1 && first[skipped] == '0') skipped++;
  size_t head = (size_t)(CHUNK_DIGITS - skipped);
  size_t total = (size_t)negative + head + (size_t)count * CHUNK_DIGITS;
  if (size < total + 1) return CQL_ETOOBIG;
  if (negative) *out++ = '-';
  memcpy(out, first + skipped, head);
  for (out += head; count > 0; out += CHUNK_DIGITS) write_chunk(chunks[--count], out);
  *out = 0;
  return (int)total;
}

/* Digits alone, without zeros in front. */
static int read_digits(const char *text, size_t length, number *n) {
  n->count = 0;
  for (size_t at = 0; at < length;) {
    size_t size = (length - at) % CHUNK_DIGITS ? (length - at) % CHUNK_DIGITS : CHUNK_DIGITS;
    uint32_t chunk = 0, factor = 1;
    for (size_t end = at + size; at < end; at++, factor *= 10) {
      if (text[at] < '0' || text[at] > '9') return CQL_EVALUE;
      chunk = chunk * 10 + (uint32_t)(text[at] - '0');
    }
    if (n->count == LIMBS_MAX) return CQL_ETOOBIG;
    multiply_add(n, factor, chunk);
  }
  return 0;
}

/* Byte `index` of the magnitude, from the least significant. */
static uint8_t byte_of(const number *n, uint32_t index) {
  if (index / 4 >= n->count) return 0;
  return (uint8_t)(n->limbs[index / 4] >> index % 4 * 8);
}

/* In two's complement, with one byte more than the magnitude for the sign; then the shortest. */
static int write_bytes(const number *n, int negative, uint8_t *out, size_t size) {
  uint8_t all[LIMBS_MAX * 4 + 1];
  uint32_t length = n->count * 4 + 1, start = 0;
  uint8_t sign = negative ? 0xFF : 0;
  unsigned carry = sign & 1;
  for (uint32_t i = 0; i < length; i++) {
    unsigned byte = (unsigned)(byte_of(n, i) ^ sign) + carry;
    carry = byte >> 8;
    all[length - 1 - i] = (uint8_t)byte;
  }
  sign = all[0];
  while (start + 1 < length && all[start] == sign && (all[start + 1] ^ sign) < 0x80) start++;
  length -= start;
  if (length > CQL__VARINT_MAX || length > size) return CQL_ETOOBIG;
  memcpy(out, all + start, length);
  return (int)length;
}

int cql__varint_from_text(const char *text, size_t length, uint8_t *out, size_t size) {
  int negative = length > 0 && text[0] == '-';
  if (length > 0 && (text[0] == '-' || text[0] == '+')) text++, length--;
  if (length == 0) return CQL_EVALUE;
  for (; length > 0 && *text == '0'; length--) text++;
  number n;
  int error = read_digits(text, length, &n);
  return error ? error : write_bytes(&n, negative, out, size);
}
