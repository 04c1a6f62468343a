#include "wire/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "wire/cursor.h"

/* ---- uuid ---- */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static int is_dash_place(int byte) { return byte == 4 || byte == 6 || byte == 8 || byte == 10; }

void cql__uuid_to_text(const uint8_t *bytes, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (int i = 0; i < 16; i++) {
    if (is_dash_place(i)) *out++ = '-';
    *out++ = digits[bytes[i] >> 4];
    *out++ = digits[bytes[i] & 15];
  }
  *out = 0;
}

int cql__uuid_from_text(const char *text, size_t length, uint8_t *out) {
  if (length != 36) return CQL_EVALUE;
  for (int i = 0; i < 16; i++) {
    if (is_dash_place(i) && *text++ != '-') return CQL_EVALUE;
    int high = hex_digit(text[0]), low = hex_digit(text[1]);
    if (high < 0 || low < 0) return CQL_EVALUE;
    out[i] = (uint8_t)(high << 4 | low);
    text += 2;
  }
  return 0;
}

/* ---- inet ---- */

int cql__inet_to_text(const uint8_t *bytes, int32_t length, char *out) {
  if (length != 4 && length != 16) return CQL_EVALUE;
  if (!inet_ntop(length == 4 ? AF_INET : AF_INET6, bytes, out, INET6_ADDRSTRLEN)) return CQL_EVALUE;
  return (int)strlen(out);
}

int cql__inet_from_text(const char *text, size_t length, uint8_t *out) {
  char copy[INET6_ADDRSTRLEN];
  if (length >= sizeof copy) return CQL_EVALUE;
  memcpy(copy, text, length);
  copy[length] = 0;
  if (inet_pton(AF_INET, copy, out) == 1) return 4;
  return inet_pton(AF_INET6, copy, out) == 1 ? 16 : CQL_EVALUE;
}

/* ---- date: the proleptic Gregorian calendar, counted in eras of 400 years ---- */

enum { DAYS_PER_ERA = 146097, DAYS_TO_1970 = 719468 };

int cql__date_to_text(int64_t days, char *out) {
  int64_t shifted = days + DAYS_TO_1970; /* since 0000-03-01: leap days end a year */
  int64_t era = (shifted >= 0 ? shifted : shifted - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
  int64_t day = shifted - era * DAYS_PER_ERA;
  int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  day -= 365 * year + year / 4 - year / 100;
  int64_t month = (5 * day + 2) / 153;
  day -= (153 * month + 2) / 5;
  month = month < 10 ? month + 3 : month - 9;
  year += era * 400 + (month <= 2);
  if (year < -9999999 || year > 9999999) year = year < 0 ? -9999999 : 9999999;
  return snprintf(out, 20, year < 0 ? "%05lld-%02d-%02d" : "%04lld-%02d-%02d", (long long)year,
                  (int)month & 31, (int)(day + 1) & 31);
}

static int64_t days_of(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

/* At most `max` digits; -1: there are none. */
static int64_t take_digits(const char **at, const char *end, int max) {
  int64_t value = 0;
  int count = 0;
  for (; *at < end && count < max && **at >= '0' && **at <= '9'; ++*at, count++)
    value = value * 10 + (**at - '0');
  return count ? value : -1;
}

int cql__date_from_text(const char *text, size_t length, int64_t *days) {
  const char *at = text, *end = text + length;
  int negative = at < end && *at == '-';
  if (negative) at++;
  int64_t year = take_digits(&at, end, 7);
  if (year < 0 || at == end || *at++ != '-') return CQL_EVALUE;
  int64_t month = take_digits(&at, end, 2);
  if (month < 1 || month > 12 || at == end || *at++ != '-') return CQL_EVALUE;
  int64_t day = take_digits(&at, end, 2);
  if (day < 1 || day > 31 || at != end) return CQL_EVALUE;
  static const int8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (day > lengths[month - 1] || (month == 2 && day == 29 && !leap)) return CQL_EVALUE;
  *days = days_of(negative ? -year : year, month, day);
  return 0;
}

/* ---- varint: two's complement of any length, in decimal ---- */

enum { VARINT_MAX = 4096 }; /* bytes: some 9,800 digits; more is an attack on the quadratic work */

static void negate(uint8_t *bytes, int32_t length) {
  int carry = 1;
  for (int32_t i = length; i-- > 0;) {
    int sum = (uint8_t)~bytes[i] + carry;
    bytes[i] = (uint8_t)sum;
    carry = sum >> 8;
  }
}

int cql__varint_to_text(const uint8_t *bytes, int32_t length, char *out, size_t size) {
  if (length < 1) return CQL_EVALUE;
  if (length > VARINT_MAX || size < (size_t)length * 3 + 2) return CQL_ETOOBIG;
  uint8_t work[VARINT_MAX];
  memcpy(work, bytes, (size_t)length);
  int negative = bytes[0] >> 7;
  if (negative) negate(work, length);
  char digits[VARINT_MAX * 3 + 2];
  int count = 0, start = 0;
  while (start < length) { /* divides by 10^9, nine digits at a time */
    uint64_t rest = 0;
    for (int i = start; i < length; i++) {
      rest = rest << 8 | work[i];
      work[i] = (uint8_t)(rest / 1000000000);
      rest %= 1000000000;
    }
    while (start < length && work[start] == 0) start++;
    for (int i = 0; i < 9 && (rest || start < length || i == 0); i++, rest /= 10)
      digits[count++] = (char)('0' + rest % 10);
  }
  int used = 0;
  if (negative) out[used++] = '-';
  while (count > 0) out[used++] = digits[--count];
  out[used] = 0;
  return used;
}

int cql__varint_from_text(const char *text, size_t length, uint8_t *out, size_t size) {
  uint8_t work[VARINT_MAX + 1] = {0};
  size_t at = 0;
  int negative = length && text[0] == '-';
  if (length && (text[0] == '-' || text[0] == '+')) at++;
  if (at == length) return CQL_EVALUE;
  if (length > (size_t)VARINT_MAX * 2) return CQL_ETOOBIG;
  int32_t top = VARINT_MAX; /* the highest byte in use */
  for (; at < length; at++) {
    if (text[at] < '0' || text[at] > '9') return CQL_EVALUE;
    unsigned carry = (unsigned)(text[at] - '0');
    for (int32_t i = VARINT_MAX; i >= top || carry; i--) {
      unsigned value = work[i] * 10u + carry;
      work[i] = (uint8_t)value;
      carry = value >> 8;
      if (i < top) top = i;
    }
  }
  if (negative) negate(work, VARINT_MAX + 1);
  int32_t start = 0; /* drops bytes that only repeat the sign */
  uint8_t sign = work[0] & 0x80 ? 0xff : 0;
  while (start < VARINT_MAX && work[start] == sign && !((work[start + 1] ^ sign) & 0x80)) start++;
  size_t needed = (size_t)(VARINT_MAX + 1 - start);
  if (needed > size) return CQL_ETOOBIG;
  memcpy(out, work + start, needed);
  return (int)needed;
}

/* ---- vint and duration ---- */

int cql__vint_encode(uint64_t value, uint8_t *out) {
  int bits = value ? 64 - __builtin_clzll(value) : 1;
  int extra = (bits - 1) / 7;
  if (extra >= 8) {
    out[0] = 0xff;
    cql__put_u64(out + 1, value);
    return 9;
  }
  for (int i = extra; i >= 0; i--, value >>= 8) out[i] = (uint8_t)value;
  out[0] |= (uint8_t)(0xff00 >> extra);
  return extra + 1;
}

int cql__vint_decode(const uint8_t *bytes, size_t size, uint64_t *out) {
  if (size == 0) return 0;
  int extra = bytes[0] == 0xff ? 8 : __builtin_clz((uint32_t)(uint8_t)~bytes[0] << 24);
  if (size < (size_t)extra + 1) return 0;
  uint64_t value = extra >= 7 ? 0 : bytes[0] & (0xffu >> (extra + 1));
  for (int i = 1; i <= extra; i++) value = value << 8 | bytes[i];
  *out = value;
  return extra + 1;
}

static uint64_t zigzag(int64_t value) {
  return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}
static int64_t unzigzag(uint64_t value) {
  return (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0));
}

int cql__duration_decode(const uint8_t *bytes, int32_t length, int32_t *months, int32_t *days,
                         int64_t *nanoseconds) {
  int64_t parts[3];
  size_t at = 0, size = length > 0 ? (size_t)length : 0;
  for (int i = 0; i < 3; i++) {
    uint64_t value;
    int used = cql__vint_decode(bytes + at, size - at, &value);
    if (used == 0) return CQL_EMALFORMED;
    parts[i] = unzigzag(value);
    at += (size_t)used;
  }
  if (at != size || parts[0] != (int32_t)parts[0] || parts[1] != (int32_t)parts[1])
    return CQL_EMALFORMED;
  *months = (int32_t)parts[0];
  *days = (int32_t)parts[1];
  *nanoseconds = parts[2];
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
