#include "wire/vint.h"

uint64_t cql__read_unsigned_vint(cql__cursor *c) {
  uint8_t first = cql__read_u8(c);
  if (first < 0x80) return first;
  /* The leading ones are the leading zeros of the complement; 24 of these are the int's own. */
  int extra = first == 0xFF ? 8 : __builtin_clz((uint8_t)~first) - 24;
  const uint8_t *rest = cql__read_raw(c, (size_t)extra);
  if (!rest) return 0;
  uint64_t value = first & (0xFFu >> extra);
  for (int i = 0; i < extra; i++) value = value << 8 | rest[i];
  return value;
}

int64_t cql__read_vint(cql__cursor *c) {
  uint64_t value = cql__read_unsigned_vint(c);
  return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

int cql__vint_encode(uint64_t value, uint8_t *out) {
  int bits = 64 - __builtin_clzll(value | 1);
  int size = bits > 56 ? 9 : (bits + 6) / 7; /* each byte more costs one bit of the first */
  for (int i = size - 1; i >= 0; i--, value >>= 8) out[i] = (uint8_t)value;
  if (size == 9)
    out[0] = 0xFF;
  else
    out[0] = (uint8_t)(out[0] | ~(0xFFu >> (size - 1)));
  return size;
}

static uint64_t zigzag(int64_t value) { return (uint64_t)value << 1 ^ (0 - (uint64_t)(value < 0)); }

int cql__duration_decode(const uint8_t *bytes, int32_t length, int32_t *months, int32_t *days,
                         int64_t *nanoseconds) {
  if (length < 0) return CQL_EMALFORMED;
  cql__cursor c = cql__cursor_of(bytes, (size_t)length);
  int64_t month_count = cql__read_vint(&c), day_count = cql__read_vint(&c);
  int64_t rest = cql__read_vint(&c);
  if (c.broken || c.next != c.end || month_count != (int32_t)month_count ||
      day_count != (int32_t)day_count)
    return CQL_EMALFORMED;
  *months = (int32_t)month_count;
  *days = (int32_t)day_count;
  *nanoseconds = rest;
  return 0;
}

int cql__duration_encode(int32_t months, int32_t days, int64_t nanoseconds, uint8_t *out) {
  int negative = months < 0 || days < 0 || nanoseconds < 0;
  int positive = months > 0 || days > 0 || nanoseconds > 0;
  if (negative && positive) return CQL_EVALUE;
  int size = cql__vint_encode(zigzag(months), out);
  size += cql__vint_encode(zigzag(days), out + size);
  return size + cql__vint_encode(zigzag(nanoseconds), out + size);
}
