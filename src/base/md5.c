#include "base/md5.h"

#include <string.h>

/* The first 32 bits of the fraction of |sin(1)|, |sin(2)| ... */
static const uint32_t sines[64] = {
    0xD76AA478, 0xE8C7B756, 0x242070DB, 0xC1BDCEEE, 0xF57C0FAF, 0x4787C62A, 0xA8304613, 0xFD469501,
    0x698098D8, 0x8B44F7AF, 0xFFFF5BB1, 0x895CD7BE, 0x6B901122, 0xFD987193, 0xA679438E, 0x49B40821,
    0xF61E2562, 0xC040B340, 0x265E5A51, 0xE9B6C7AA, 0xD62F105D, 0x02441453, 0xD8A1E681, 0xE7D3FBC8,
    0x21E1CDE6, 0xC33707D6, 0xF4D50D87, 0x455A14ED, 0xA9E3E905, 0xFCEFA3F8, 0x676F02D9, 0x8D2A4C8A,
    0xFFFA3942, 0x8771F681, 0x6D9D6122, 0xFDE5380C, 0xA4BEEA44, 0x4BDECFA9, 0xF6BB4B60, 0xBEBFBC70,
    0x289B7EC6, 0xEAA127FA, 0xD4EF3085, 0x04881D05, 0xD9D4D039, 0xE6DB99E5, 0x1FA27CF8, 0xC4AC5665,
    0xF4292244, 0x432AFF97, 0xAB9423A7, 0xFC93A039, 0x655B59C3, 0x8F0CCC92, 0xFFEFF47D, 0x85845DD1,
    0x6FA87E4F, 0xFE2CE6E0, 0xA3014314, 0x4E0811A1, 0xF7537E82, 0xBD3AF235, 0x2AD7D2BB, 0xEB86D391,
};

/* By how much each step of a round rotates, and which word it takes: a * step + b. */
static const uint8_t shifts[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
static const uint8_t words[4][2] = {{1, 0}, {5, 1}, {3, 5}, {7, 0}};

static uint32_t get_little(const uint8_t *p) {
  return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_little(uint8_t *p, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) p[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t choose(unsigned round, uint32_t x, uint32_t y, uint32_t z) {
  if (round == 0) return (x & y) | (~x & z);
  if (round == 1) return (x & z) | (y & ~z);
  return round == 2 ? x ^ y ^ z : y ^ (x | ~z);
}

static void take_block(uint32_t state[4], const uint8_t *block) {
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  for (unsigned i = 0; i < 64; i++) {
    unsigned round = i / 16, shift = shifts[round][i % 4];
    const uint8_t *word = block + 4 * ((words[round][0] * i + words[round][1]) % 16);
    uint32_t sum = a + choose(round, b, c, d) + get_little(word) + sines[i];
    a = d;
    d = c;
    c = b;
    b += sum << shift | sum >> (32 - shift);
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
}

void cql__md5(const uint8_t *bytes, size_t size, uint8_t out[16]) {
  uint32_t state[4] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476};
  size_t left = size;
  for (; left >= 64; left -= 64, bytes += 64) take_block(state, bytes);
  uint8_t last[128] = {0};
  if (left) memcpy(last, bytes, left);
  last[left] = 0x80;
  size_t end = left < 56 ? 64 : 128;
  put_little(last + end - 8, (uint64_t)size * 8, 8);
  for (size_t at = 0; at < end; at += 64) take_block(state, last + at);
  for (int i = 0; i < 4; i++) put_little(out + 4 * i, state[i], 4);
}
