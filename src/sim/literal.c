#include "sim/literal.h"

#include <stdlib.h>

#include "wire/text.h"
#include "wire/vint.h"

enum { DIGITS_MAX = 1024 };

/* What the server calls a literal of that kind. */
static const char *kind_name(int kind) {
  static const char *const names[] = {
      [CQL__SIM_TERM_NULL] = "NULL",       [CQL__SIM_TERM_TEXT] = "STRING",
      [CQL__SIM_TERM_INTEGER] = "INTEGER", [CQL__SIM_TERM_REAL] = "FLOAT",
      [CQL__SIM_TERM_BOOLEAN] = "BOOLEAN", [CQL__SIM_TERM_UUID] = "UUID",
      [CQL__SIM_TERM_BLOB] = "HEX",        [CQL__SIM_TERM_DURATION] = "DURATION",
      [CQL__SIM_TERM_LIST] = "list",       [CQL__SIM_TERM_SET] = "set",
      [CQL__SIM_TERM_MAP] = "map",         [CQL__SIM_TERM_TUPLE] = "tuple",
      [CQL__SIM_TERM_UDT] = "user type"};
  return names[kind];
}

static int invalid(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term) {
  cql__sim_buffer name = {0};
  cql__sim_put_type_name(&name, type);
  cql_slice_t of = v->receiver;
  int named = of.length > 0 ? of.length : 0;
  if (term->kind < CQL__SIM_TERM_MARKER)
    cql__sim_print(v->why, "Invalid %s constant (%.*s) for \"%.*s\" of type %.*s",
                   kind_name(term->kind), term->text.length > 200 ? 200 : (int)term->text.length,
                   (const char *)term->text.data, named, (const char *)of.data,
                   (int)cql__sim_size(&name), (const char *)cql__sim_bytes(&name));
  else
    cql__sim_print(v->why, "Invalid %s literal for %.*s of type %.*s", kind_name(term->kind), named,
                   (const char *)of.data, (int)cql__sim_size(&name),
                   (const char *)cql__sim_bytes(&name));
  cql__sim_buffer_free(&name);
  return CQL_EVALUE;
}

static cql_slice_t keep(const cql__sim_values *v, const void *bytes, size_t size) {
  return (cql_slice_t){(uint8_t *)cql__sim_region_text(v->region, bytes, size), (int32_t)size};
}

static cql_slice_t keep_number(const cql__sim_values *v, uint64_t number, unsigned size) {
  uint8_t bytes[8];
  for (unsigned i = 0; i < size; i++) bytes[i] = (uint8_t)(number >> 8 * (size - 1 - i));
  return keep(v, bytes, size);
}

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

static int integer_value(const cql__sim_values *v, const cql_type_t *type,
                         const cql__sim_term *term, cql_slice_t *out) {
  int64_t number;
  unsigned size = type->kind == CQL_TINYINT    ? 1
                  : type->kind == CQL_SMALLINT ? 2
                  : type->kind == CQL_INT      ? 4
                                               : 8;
  if (term->kind != CQL__SIM_TERM_INTEGER) return invalid(v, type, term);
  int64_t limit = size < 8 ? (int64_t)1 << (8 * size - 1) : 0;
  if (to_integer(term->text, &number) || (limit && (number < -limit || number >= limit))) {
    cql__sim_print(v->why, "Unable to make %s from '%.*s'", cql__sim_type_name(type->kind),
                   term->text.length > 200 ? 200 : (int)term->text.length,
                   (const char *)term->text.data);
    return CQL_EVALUE;
  }
  *out = keep_number(v, (uint64_t)number, size);
  return 0;
}

static int real_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  char text[400];
  if ((term->kind != CQL__SIM_TERM_INTEGER && term->kind != CQL__SIM_TERM_REAL) ||
      term->text.length >= (int32_t)sizeof text)
    return invalid(v, type, term);
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
  *out = keep_number(v, bits, type->kind == CQL_FLOAT ? 4 : 8);
  return 0;
}

static int varint_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                        cql_slice_t *out) {
  uint8_t bytes[DIGITS_MAX];
  int size = term->kind == CQL__SIM_TERM_INTEGER
                 ? cql__varint_from_text((const char *)term->text.data, (size_t)term->text.length,
                                         bytes, sizeof bytes)
                 : CQL_EVALUE;
  if (size < 0) return invalid(v, type, term);
  *out = keep(v, bytes, (size_t)size);
  return 0;
}

/* 12.50e3: the digits without the point, and how many stood behind it less the exponent. */
static int decimal_value(const cql__sim_values *v, const cql_type_t *type,
                         const cql__sim_term *term, cql_slice_t *out) {
  char digits[DIGITS_MAX];
  size_t count = 0;
  int64_t scale = 0, exponent = 0;
  int behind = 0;
  if (term->kind != CQL__SIM_TERM_INTEGER && term->kind != CQL__SIM_TERM_REAL)
    return invalid(v, type, term);
  for (int32_t i = 0; i < term->text.length; i++) {
    uint8_t c = term->text.data[i];
    if (c == '.') {
      behind = 1;
    } else if (c == 'e' || c == 'E') {
      cql_slice_t rest = {term->text.data + i + 1, term->text.length - i - 1};
      if (*rest.data == '+') rest = (cql_slice_t){rest.data + 1, rest.length - 1};
      if (to_integer(rest, &exponent) || exponent > 100000 || exponent < -100000)
        return invalid(v, type, term);
      break;
    } else {
      if (count == sizeof digits) return invalid(v, type, term);
      digits[count++] = (char)c;
      scale += behind;
    }
  }
  uint8_t bytes[4 + DIGITS_MAX];
  int size = cql__varint_from_text(digits, count, bytes + 4, sizeof bytes - 4);
  if (size < 0) return invalid(v, type, term);
  cql__put_u32(bytes, (uint32_t)(scale - exponent));
  *out = keep(v, bytes, (size_t)size + 4);
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

static int time_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  char text[64];
  const char *at = text;
  int64_t number = 0;
  if (term->kind == CQL__SIM_TERM_INTEGER) {
    if (to_integer(term->text, &number)) return invalid(v, type, term);
    *out = keep_number(v, (uint64_t)number, type->kind == CQL_DATE ? 4 : 8);
    return 0;
  }
  if (term->kind != CQL__SIM_TERM_TEXT || term->text.length >= (int32_t)sizeof text)
    return invalid(v, type, term);
  memcpy(text, term->text.data, (size_t)term->text.length);
  text[term->text.length] = 0;
  int good = type->kind == CQL_TIMESTAMP ? to_timestamp(at, &number)
             : type->kind == CQL_DATE    ? cql__date_from_text(at, strlen(at), &number) == 0
                                         : take_clock(&at, &number) && !*at;
  if (!good) return invalid(v, type, term);
  if (type->kind == CQL_DATE) number += (int64_t)1 << 31;
  *out = keep_number(v, (uint64_t)number, type->kind == CQL_DATE ? 4 : 8);
  return 0;
}

static int duration_value(const cql__sim_values *v, const cql_type_t *type,
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
  if (term->kind != CQL__SIM_TERM_DURATION) return invalid(v, type, term);
  const char *at = (const char *)term->text.data, *end = at + term->text.length;
  int sign = *at == '-' ? -1 : 1;
  int64_t months = 0, days = 0, nanoseconds = 0;
  for (at += *at == '-'; at < end;) {
    int64_t number = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
      if (number > INT32_MAX) return invalid(v, type, term);
      number = number * 10 + (*at - '0');
    }
    size_t i = 0, left = (size_t)(end - at);
    while (i < UNITS &&
           (strlen(units[i].name) > left || strncasecmp(at, units[i].name, strlen(units[i].name))))
      i++;
    if (i == UNITS) return invalid(v, type, term);
    at += strlen(units[i].name);
    months += number * units[i].months;
    days += number * units[i].days;
    if (__builtin_add_overflow(nanoseconds, number * units[i].nanoseconds, &nanoseconds))
      return invalid(v, type, term);
  }
  uint8_t bytes[27];
  if (months > INT32_MAX || days > INT32_MAX) return invalid(v, type, term);
  int size =
      cql__duration_encode((int32_t)months * sign, (int32_t)days * sign, nanoseconds * sign, bytes);
  if (size < 0) return invalid(v, type, term);
  *out = keep(v, bytes, (size_t)size);
  return 0;
}

/* ---- other scalars ---- */

static int hex_digit(uint8_t c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

static int blob_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  int32_t digits = term->text.length - 2;
  if (term->kind != CQL__SIM_TERM_BLOB || digits % 2) return invalid(v, type, term);
  uint8_t *bytes = cql__sim_region_take(v->region, (size_t)digits / 2 + 1);
  const uint8_t *from = term->text.data + 2;
  for (int32_t i = 0; i < digits; i += 2)
    bytes[i / 2] = (uint8_t)(hex_digit(from[i]) << 4 | hex_digit(from[i + 1]));
  *out = (cql_slice_t){bytes, digits / 2};
  return 0;
}

static int text_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  if (term->kind != CQL__SIM_TERM_TEXT) return invalid(v, type, term);
  *out = term->text;
  return 0;
}

static int boolean_value(const cql__sim_values *v, const cql_type_t *type,
                         const cql__sim_term *term, cql_slice_t *out) {
  if (term->kind != CQL__SIM_TERM_BOOLEAN) return invalid(v, type, term);
  *out = keep_number(v, cql__slice_is(term->text, "true") ? 1 : 0, 1);
  return 0;
}

static int uuid_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  uint8_t bytes[16];
  if (term->kind != CQL__SIM_TERM_UUID ||
      cql__uuid_from_text((const char *)term->text.data, (size_t)term->text.length, bytes))
    return invalid(v, type, term);
  *out = keep(v, bytes, 16);
  return 0;
}

static int inet_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  uint8_t bytes[16];
  int size =
      term->kind == CQL__SIM_TERM_TEXT
          ? cql__inet_from_text((const char *)term->text.data, (size_t)term->text.length, bytes)
          : CQL_EVALUE;
  if (size < 0) return invalid(v, type, term);
  *out = keep(v, bytes, (size_t)size);
  return 0;
}

/* ---- those that hold others ---- */

static const cql_type_t *child_at(const cql_type_t *type, uint32_t i) {
  int by_field = type->kind == CQL_TUPLE || type->kind == CQL_UDT;
  return &type->children[by_field ? i : type->kind == CQL_MAP ? i % 2 : 0];
}

static void put_item(cql__sim_buffer *b, const cql_type_t *type, cql_slice_t item) {
  if (type->kind != CQL_VECTOR) {
    cql__sim_put_bytes(b, item);
    return;
  }
  uint8_t length[CQL__VINT_MAX];
  if (!type->fixed_size)
    cql__sim_put(b, length, (size_t)cql__vint_encode((uint64_t)item.length, length));
  cql__sim_put(b, item.data, (size_t)item.length);
}

static int put_items(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                     cql__sim_buffer *out, uint32_t *count) {
  int may_be_null = type->kind == CQL_TUPLE;
  for (const cql__sim_term *item = term->items; item; item = item->next, ++*count) {
    cql_slice_t value;
    if (type->kind == CQL_TUPLE && *count == type->child_count) return invalid(v, type, term);
    if (cql__sim_value(v, child_at(type, *count), item, &value)) return CQL_EVALUE;
    if (value.length < 0 && !may_be_null) {
      cql__sim_print(v->why, "null is not supported inside collections");
      return CQL_EVALUE;
    }
    put_item(out, type, value);
  }
  return 0;
}

static int put_fields(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql__sim_buffer *out) {
  uint32_t found = 0, wanted = 0;
  for (const cql__sim_term *item = term->items; item; item = item->next) wanted++;
  for (uint32_t i = 0; i < type->child_count; i++) {
    const cql__sim_term *item = term->items;
    cql_slice_t value = {NULL, CQL_NULL}, name = type->names[i];
    while (item && (item->name.length != name.length ||
                    memcmp(item->name.data, name.data, (size_t)name.length)))
      item = item->next;
    if (item && (found++, cql__sim_value(v, &type->children[i], item, &value))) return CQL_EVALUE;
    cql__sim_put_bytes(out, value);
  }
  return found == wanted ? 0 : invalid(v, type, term);
}

static int holds(const cql_type_t *type, const cql__sim_term *term) {
  switch (type->kind) {
    case CQL_LIST:
    case CQL_VECTOR: return term->kind == CQL__SIM_TERM_LIST;
    case CQL_SET: return term->kind == CQL__SIM_TERM_SET;
    case CQL_MAP:
      return term->kind == CQL__SIM_TERM_MAP || (term->kind == CQL__SIM_TERM_SET && !term->items);
    case CQL_TUPLE: return term->kind == CQL__SIM_TERM_TUPLE;
    case CQL_UDT:
      return term->kind == CQL__SIM_TERM_UDT || (term->kind == CQL__SIM_TERM_SET && !term->items);
    default: return 0;
  }
}

static int held_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  cql__sim_buffer bytes = {0};
  uint32_t count = 0;
  int counted = type->kind == CQL_LIST || type->kind == CQL_SET || type->kind == CQL_MAP;
  if (!holds(type, term)) return invalid(v, type, term);
  if (counted) cql__sim_put_u32(&bytes, 0);
  int error = type->kind == CQL_UDT ? put_fields(v, type, term, &bytes)
                                    : put_items(v, type, term, &bytes, &count);
  if (!error && type->kind == CQL_VECTOR && count != type->dimension)
    error = invalid(v, type, term);
  if (!error && counted) cql__sim_patch_u32(&bytes, 0, type->kind == CQL_MAP ? count / 2 : count);
  if (!error) *out = keep(v, cql__sim_bytes(&bytes), cql__sim_size(&bytes));
  cql__sim_buffer_free(&bytes);
  return error;
}

/* ---- functions ---- */

static void make_uuid(const cql__sim_values *v, int version, uint8_t *out) {
  uint64_t high = cql__rand_next(v->rand), low = cql__rand_next(v->rand);
  if (version == 1) { /* 100 ns since 1582 */
    uint64_t time = (uint64_t)v->wall_clock * 10 + 0x01B21DD213814000;
    high = time << 32 | (time >> 16 & 0xFFFF0000) | (time >> 48 & 0xFFF);
  }
  cql__put_u64(out, (high & ~0xF000ull) | (uint64_t)version << 12);
  cql__put_u64(out + 8, (low & ~(3ull << 62)) | 1ull << 63);
}

static int call_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  static const struct {
    const char *name;
    int32_t kind;
  } functions[] = {{"now", CQL_TIMEUUID},
                   {"currenttimeuuid", CQL_TIMEUUID},
                   {"current_timeuuid", CQL_TIMEUUID},
                   {"uuid", CQL_UUID},
                   {"currenttimestamp", CQL_TIMESTAMP},
                   {"current_timestamp", CQL_TIMESTAMP},
                   {"totimestamp", CQL_TIMESTAMP},
                   {"to_timestamp", CQL_TIMESTAMP}};
  uint8_t uuid[16];
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    if (!cql__slice_is(term->text, functions[i].name)) continue;
    int32_t kind = functions[i].kind;
    if (kind != type->kind && !(kind == CQL_TIMEUUID && type->kind == CQL_UUID)) break;
    if (kind == CQL_TIMESTAMP) {
      *out = keep_number(v, (uint64_t)(v->wall_clock / 1000), 8);
    } else {
      make_uuid(v, kind == CQL_TIMEUUID ? 1 : 4, uuid);
      *out = keep(v, uuid, 16);
    }
    return 0;
  }
  cql__sim_print(v->why, "Unknown function '%.*s'", (int)term->text.length,
                 (const char *)term->text.data);
  return CQL_EVALUE;
}

/* ---- all ---- */

typedef int (*make_value)(const cql__sim_values *v, const cql_type_t *type,
                          const cql__sim_term *term, cql_slice_t *out);

static make_value maker_of(int32_t kind) {
  switch (kind) {
    case CQL_TINYINT:
    case CQL_SMALLINT:
    case CQL_INT:
    case CQL_BIGINT:
    case CQL_COUNTER: return integer_value;
    case CQL_FLOAT:
    case CQL_DOUBLE: return real_value;
    case CQL_VARINT: return varint_value;
    case CQL_DECIMAL: return decimal_value;
    case CQL_TIMESTAMP:
    case CQL_DATE:
    case CQL_TIME: return time_value;
    case CQL_DURATION: return duration_value;
    case CQL_TEXT:
    case CQL_ASCII: return text_value;
    case CQL_BOOLEAN: return boolean_value;
    case CQL_UUID:
    case CQL_TIMEUUID: return uuid_value;
    case CQL_INET: return inet_value;
    case CQL_BLOB:
    case CQL_CUSTOM: return blob_value;
    default: return held_value;
  }
}

static int bound(const cql__sim_values *v, const cql__sim_term *term, cql_slice_t *out) {
  if ((uint32_t)term->marker >= v->count) {
    cql__sim_print(v->why, "Invalid amount of bind variables");
    return CQL_EVALUE;
  }
  *out = v->values[term->marker];
  return 0;
}

int cql__sim_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                   cql_slice_t *out) {
  *out = (cql_slice_t){NULL, CQL_NULL};
  if (term->kind == CQL__SIM_TERM_NULL) return 0;
  if (term->kind == CQL__SIM_TERM_MARKER) {
    if (bound(v, term, out)) return CQL_EVALUE;
    if (out->length < 0) return 0;
    if (!cql__sim_value_fits(type, *out, v->why)) return CQL_EVALUE;
    *out = cql__sim_value_sorted(v->region, type, *out);
    return 0;
  }
  if (term->kind == CQL__SIM_TERM_CALL) return call_value(v, type, term, out);
  int error = maker_of(type->kind)(v, type, term, out);
  if (error) return error;
  if (!cql__sim_value_fits(type, *out, v->why)) return CQL_EVALUE;
  *out = cql__sim_value_sorted(v->region, type, *out);
  return 0;
}
