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
  if (length >= sizeof copy || memchr(text, 0, length)) return CQL_EVALUE;
  memcpy(copy, text, length);
  copy[length] = 0;
  if (inet_pton(AF_INET, copy, out) == 1) return 4;
  return inet_pton(AF_INET6, copy, out) == 1 ? 16 : CQL_EVALUE;
}

/* ---- date: the proleptic Gregorian calendar, counted in eras of 400 years ---- */

/* Years begin on the first of March here, so that the leap day is a year's last. */
enum { ERA_DAYS = 146097, ERA_YEARS = 400, DAYS_TO_1970 = 719468 };

int cql__date_to_text(int64_t days, char *out) {
  if (days != (int32_t)days) return CQL_EVALUE;
  days += DAYS_TO_1970;
  int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
  int64_t day = days - era * ERA_DAYS;
  int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  day -= 365 * year + year / 4 - year / 100;
  int64_t month = (5 * day + 2) / 153; /* 0: March */
  day -= (153 * month + 2) / 5;
  month = month < 10 ? month + 3 : month - 9;
  year += era * ERA_YEARS + (month <= 2);
  const char *format = year > 9999 ? "%+lld-%02lld-%02lld"
                       : year < 0  ? "%05lld-%02lld-%02lld"
                                   : "%04lld-%02lld-%02lld";
  return snprintf(out, 20, format, (long long)year, (long long)month, (long long)day + 1);
}

static int64_t days_of(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - (ERA_YEARS - 1)) / ERA_YEARS;
  int64_t year_of_era = year - era * ERA_YEARS;
  int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * ERA_DAYS + day_of_era - DAYS_TO_1970;
}

/* Takes `min` to `max` digits; -1: fewer. */
static int64_t take_digits(const char **at, const char *end, int min, int max) {
  int64_t value = 0;
  int count = 0;
  for (; *at < end && count < max && **at >= '0' && **at <= '9'; ++*at, count++)
    value = value * 10 + (**at - '0');
  return count >= min ? value : -1;
}

static int take_dash(const char **at, const char *end) { return *at < end && *(*at)++ == '-'; }

static int is_day(int64_t year, int64_t month, int64_t day) {
  static const int8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1]) return 0;
  int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month != 2 || day < 29 || leap;
}

int cql__date_from_text(const char *text, size_t length, int64_t *days) {
  const char *at = text, *end = text + length;
  int negative = at < end && *at == '-';
  if (at < end && (*at == '-' || *at == '+')) at++;
  int64_t year = take_digits(&at, end, 4, 7);
  if (year < 0 || !take_dash(&at, end)) return CQL_EVALUE;
  int64_t month = take_digits(&at, end, 2, 2);
  if (month < 0 || !take_dash(&at, end)) return CQL_EVALUE;
  int64_t day = take_digits(&at, end, 2, 2);
  if (at != end || !is_day(year, month, day)) return CQL_EVALUE;
  int64_t since_1970 = days_of(negative ? -year : year, month, day);
  if (since_1970 != (int32_t)since_1970) return CQL_EVALUE;
  *days = since_1970;
  return 0;
}
