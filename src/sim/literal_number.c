/* Literals of numbers and of times. */
#include <stdlib.h>

#include "sim/literal.h"
#include "wire/text.h"

enum { DIGITS_MAX = 1024 };

/* ---- numbers ---- */

static int to_integer(cql_slice_t text, int64_t *out) {
  char digits[32], *end;
  if (text.length < 1 || text.length >= (int32_t)sizeof digits) return CQL_EVALUE;
  memcpy(digits, text.data, (size_t)text.length);
  digits[text.length] = 0;
  uint8_t check[16];
  int size = cql__varint_from_text(digits, (size_t)text.length, check, sizeof check);
  if (size < 0 || size > 8) return CQL_EVALUE;
  *out = strtoll(digits, &end, 10);
  return 0;
}

int cql__sim_literal_integer(const cql__sim_values *v, const cql_type_t *type,
                             const cql__sim_term *term, cql_slice_t *out) {
  int64_t number;
  unsigned size = type->kind == CQL_TINYINT    ? 1
                  : type->kind == CQL_SMALLINT ? 2
                  : type->kind == CQL_INT      ? 4
                                               : 8;
  if (term->kind != CQL__SIM_TERM_INTEGER) return cql__sim_literal_invalid(v, type, term);
  int64_t limit = size < 8 ? (int64_t)1 << (8 * size - 1) : 0;
  if (to_integer(term->text, &number) || (limit && (number < -limit || number >= limit))) {
    cql__sim_print(v->why, "Unable to make %s from '%.*s'", cql__sim_type_name(type->kind),
                   term->text.length > 200 ? 200 : (int)term->text.length,
                   (const char *)term->text.data);
    return CQL_EVALUE;
  }
  *out = cql__sim_literal_number(v, (uint64_t)number, size);
  return 0;
}

int cql__sim_literal_real(const cql__sim_values *v, const cql_type_t *type,
                          const cql__sim_term *term, cql_slice_t *out) {
  char text[400];
  if ((term->kind != CQL__SIM_TERM_INTEGER && term->kind != CQL__SIM_TERM_REAL) ||
      term->text.length >= (int32_t)sizeof text)
    return cql__sim_literal_invalid(v, type, term);
  memcpy(text, term->text.data, (size_t)term->text.length);
  text[term->text.length] = 0;
  double real = strtod(text, NULL);
  if (term->name.length == 1) real = -real;
  uint64_t bits;
  memcpy(&bits, &real, 8);
  if (type->kind == CQL_FLOAT) {
    float narrow = (float)real;
    uint32_t half;
    memcpy(&half, &narrow, 4);
    bits = half;
  }
  *out = cql__sim_literal_number(v, bits, type->kind == CQL_FLOAT ? 4 : 8);
  return 0;
}

int cql__sim_literal_varint(const cql__sim_values *v, const cql_type_t *type,
                            const cql__sim_term *term, cql_slice_t *out) {
  uint8_t bytes[DIGITS_MAX];
  int size = term->kind == CQL__SIM_TERM_INTEGER
                 ? cql__varint_from_text((const char *)term->text.data, (size_t)term->text.length,
                                         bytes, sizeof bytes)
                 : CQL_EVALUE;
  if (size < 0) return cql__sim_literal_invalid(v, type, term);
  *out = cql__sim_literal_keep(v, bytes, (size_t)size);
  return 0;
}

int cql__sim_literal_decimal(const cql__sim_values *v, const cql_type_t *type,
                             const cql__sim_term *term, cql_slice_t *out) {
  char digits[DIGITS_MAX];
  size_t count = 0;
  int64_t scale = 0, exponent = 0;
  int behind = 0;
  if (term->kind != CQL__SIM_TERM_INTEGER && term->kind != CQL__SIM_TERM_REAL)
    return cql__sim_literal_invalid(v, type, term);
  for (int32_t i = 0; i < term->text.length; i++) {
    uint8_t c = term->text.data[i];
    if (c == '.') {
      behind = 1;
    } else if (c == 'e' || c == 'E') {
      cql_slice_t rest = {term->text.data + i + 1, term->text.length - i - 1};
      if (*rest.data == '+') rest = (cql_slice_t){rest.data + 1, rest.length - 1};
      if (to_integer(rest, &exponent) || exponent > 100000 || exponent < -100000)
        return cql__sim_literal_invalid(v, type, term);
      break;
    } else {
      if (count == sizeof digits) return cql__sim_literal_invalid(v, type, term);
      digits[count++] = (char)c;
      scale += behind;
    }
  }
  uint8_t bytes[4 + DIGITS_MAX];
  int size = cql__varint_from_text(digits, count, bytes + 4, sizeof bytes - 4);
  if (size < 0) return cql__sim_literal_invalid(v, type, term);
  cql__put_u32(bytes, (uint32_t)(scale - exponent));
  *out = cql__sim_literal_keep(v, bytes, (size_t)size + 4);
  return 0;
}

/* ---- time ---- */

/* Digits, exactly `count` of them. */
static int take_digits(const char **at, int count, int64_t *out) {
  *out = 0;
  for (; count > 0; count--, (*at)++) {
    if (**at < '0' || **at > '9') return 0;
    *out = *out * 10 + (**at - '0');
  }
  return 1;
}

/* .123456789: nanoseconds, however many digits there are. */
static int64_t take_fraction(const char **at) {
  int64_t nanoseconds = 0, unit = 100000000;
  if (**at != '.') return 0;
  for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, unit /= 10) nanoseconds += (**at - '0') * unit;
  return nanoseconds;
}

/* hh:mm[:ss[.fraction]] */
static int take_clock(const char **at, int64_t *nanoseconds) {
  int64_t hour, minute, second = 0;
  if (!take_digits(at, 2, &hour) || *(*at)++ != ':' || !take_digits(at, 2, &minute)) return 0;
  if (**at == ':' && ((*at)++, !take_digits(at, 2, &second))) return 0;
  if (hour > 23 || minute > 59 || second > 59) return 0;
  *nanoseconds = ((hour * 60 + minute) * 60 + second) * 1000000000 + take_fraction(at);
  return 1;
}

/* Z, +hh:mm, -hhmm or nothing. */
static int take_zone(const char **at, int64_t *minutes) {
  int64_t hour, minute;
  *minutes = 0;
  if (**at == 'Z' || **at == 'z') (*at)++;
  if (**at != '+' && **at != '-') return 1;
  int sign = *(*at)++ == '-' ? -1 : 1;
  if (!take_digits(at, 2, &hour)) return 0;
  if (**at == ':') (*at)++;
  if (!take_digits(at, 2, &minute)) return 0;
  *minutes = sign * (hour * 60 + minute);
  return 1;
}

/* 2024-02-29[(T| )hh:mm[:ss[.fff]]][zone]: milliseconds since 1970. */
static int to_timestamp(const char *at, int64_t *out) {
  int64_t days, nanoseconds = 0, zone;
  size_t date = strcspn(at, "T ");
  if (cql__date_from_text(at, date, &days)) return 0;
  at += date;
  if (*at && (at++, !take_clock(&at, &nanoseconds))) return 0;
  if (!take_zone(&at, &zone) || *at) return 0;
  *out = days * 86400000 + nanoseconds / 1000000 - zone * 60000;
  return 1;
}

int cql__sim_literal_time(const cql__sim_values *v, const cql_type_t *type,
                          const cql__sim_term *term, cql_slice_t *out) {
  char text[64];
  const char *at = text;
  int64_t number = 0;
  if (term->kind == CQL__SIM_TERM_INTEGER) {
    if (to_integer(term->text, &number)) return cql__sim_literal_invalid(v, type, term);
    *out = cql__sim_literal_number(v, (uint64_t)number, type->kind == CQL_DATE ? 4 : 8);
    return 0;
  }
  if (term->kind != CQL__SIM_TERM_TEXT || term->text.length >= (int32_t)sizeof text)
    return cql__sim_literal_invalid(v, type, term);
  memcpy(text, term->text.data, (size_t)term->text.length);
  text[term->text.length] = 0;
  int good = type->kind == CQL_TIMESTAMP ? to_timestamp(at, &number)
             : type->kind == CQL_DATE    ? cql__date_from_text(at, strlen(at), &number) == 0
                                         : take_clock(&at, &number) && !*at;
  if (!good) return cql__sim_literal_invalid(v, type, term);
  if (type->kind == CQL_DATE) number += (int64_t)1 << 31;
  *out = cql__sim_literal_number(v, (uint64_t)number, type->kind == CQL_DATE ? 4 : 8);
  return 0;
}

int cql__sim_literal_duration(const cql__sim_values *v, const cql_type_t *type,
                              const cql__sim_term *term, cql_slice_t *out) {
  static const struct {
    const char *name;
    int32_t months, days;
    int64_t nanoseconds;
  } units[] = {{"mo", 1, 0, 0},
               {"ms", 0, 0, 1000000},
               {"us", 0, 0, 1000},
               {"\xc2\xb5s", 0, 0, 1000},
               {"ns", 0, 0, 1},
               {"y", 12, 0, 0},
               {"w", 0, 7, 0},
               {"d", 0, 1, 0},
               {"h", 0, 0, 3600000000000},
               {"m", 0, 0, 60000000000},
               {"s", 0, 0, 1000000000}};
  enum { UNITS = sizeof units / sizeof *units };
  if (term->kind != CQL__SIM_TERM_DURATION) return cql__sim_literal_invalid(v, type, term);
  const char *at = (const char *)term->text.data, *end = at + term->text.length;
  int sign = *at == '-' ? -1 : 1;
  int64_t months = 0, days = 0, nanoseconds = 0;
  for (at += *at == '-'; at < end;) {
    int64_t number = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
      if (number > INT32_MAX) return cql__sim_literal_invalid(v, type, term);
      number = number * 10 + (*at - '0');
    }
    size_t i = 0, left = (size_t)(end - at);
    while (i < UNITS &&
           (strlen(units[i].name) > left || strncasecmp(at, units[i].name, strlen(units[i].name))))
      i++;
    if (i == UNITS) return cql__sim_literal_invalid(v, type, term);
    at += strlen(units[i].name);
    months += number * units[i].months;
    days += number * units[i].days;
    if (__builtin_add_overflow(nanoseconds, number * units[i].nanoseconds, &nanoseconds))
      return cql__sim_literal_invalid(v, type, term);
  }
  uint8_t bytes[27];
  if (months > INT32_MAX || days > INT32_MAX) return cql__sim_literal_invalid(v, type, term);
  int size =
      cql__duration_encode((int32_t)months * sign, (int32_t)days * sign, nanoseconds * sign, bytes);
  if (size < 0) return cql__sim_literal_invalid(v, type, term);
  *out = cql__sim_literal_keep(v, bytes, (size_t)size);
  return 0;
}
