#include "sim/spread.h"

#include <string.h>

#include "cql.h"

/* ---- parsing ---- */

/* A number with at most six digits behind the point, in millionths. */
static size_t parse_millionths(const char *text, int64_t *out) {
  size_t at = 0, digits = 0;
  int64_t value = 0;
  for (; text[at] >= '0' && text[at] <= '9'; at++, digits++) {
    value = value * 10 + (text[at] - '0');
    if (value > 1000000000) return 0;
  }
  value *= 1000000;
  if (text[at] == '.' && text[at + 1] >= '0' && text[at + 1] <= '9') {
    at++;
    for (int64_t unit = 100000; text[at] >= '0' && text[at] <= '9'; at++, unit /= 10)
      value += (text[at] - '0') * unit;
    digits++;
  }
  *out = value;
  return digits ? at : 0;
}

size_t cql__sim_time_parse(const char *text, int64_t *us) {
  static const struct {
    const char *name;
    int64_t us;
  } units[] = {{"us", 1},       {"ms", 1000},      {"s", 1000000},
               {"m", 60000000}, {"h", 3600000000}, {"", 0}};
  int64_t number;
  size_t at = parse_millionths(text, &number);
  if (!at) return 0;
  unsigned i = 0;
  size_t length = strspn(text + at, "umsh");
  while (strlen(units[i].name) != length || strncmp(text + at, units[i].name, length))
    if (!*units[i++].name) return 0;
  if (!units[i].us && number) return 0; /* nothing but 0 goes without a unit */
  *us = number / 1000000 * units[i].us + number % 1000000 * units[i].us / 1000000;
  return at + length;
}

static const char *skip_blanks(const char *text) { return text + strspn(text, " "); }

/* One part, without its share; NULL: it is none. */
static const char *parse_part(const char *text, cql__sim_spread *out) {
  int64_t from, to;
  int exponential = strncmp(text, "exp ", 4) == 0;
  if (exponential) text = skip_blanks(text + 4);
  size_t length = cql__sim_time_parse(text, &from);
  if (!length) return NULL;
  text += length;
  to = from;
  if (!exponential && strncmp(text, "..", 2) == 0) {
    length = cql__sim_time_parse(text + 2, &to);
    if (!length || to < from) return NULL;
    text += 2 + length;
  }
  out->parts[out->count].exponential = exponential;
  out->parts[out->count].from = from;
  out->parts[out->count].to = to;
  return text;
}

int cql__sim_spread_parse(const char *text, cql__sim_spread *out) {
  cql__sim_spread spread = {0};
  do {
    if (spread.count == CQL__SIM_SPREAD_PARTS) return CQL_EOPTION;
    text = skip_blanks(text);
    if (spread.count) {
      int64_t percent;
      size_t length = parse_millionths(text, &percent);
      if (!length || text[length] != '%' || percent > 100000000) return CQL_EOPTION;
      spread.parts[spread.count].millionths = (uint32_t)(percent / 100);
      text = skip_blanks(text + length + 1);
    }
    text = parse_part(text, &spread);
    if (!text) return CQL_EOPTION;
    spread.count++;
    text = skip_blanks(text);
  } while (*text++ == ',');
  if (text[-1]) return CQL_EOPTION;
  *out = spread;
  return 0;
}

/* ---- drawing ---- */

int cql__sim_chance(uint32_t millionths, cql__rand *rand) {
  if (millionths == 0) return 0;
  return cql__rand_below(rand, 1000000) < millionths;
}

/* The natural logarithm of 0 < x <= 1, by nothing but the four operations: the C library's differs
 * between machines in the last bit, and a seed must not. */
static double logarithm(double x) {
  double sum = 0;
  for (; x < 0.5; x *= 2) sum -= 0.693147180559945309;
  double y = (x - 1) / (x + 1), square = y * y, power = y, series = 0;
  for (int i = 1; i < 24; i += 2, power *= square) series += power / i;
  return sum + 2 * series;
}

int64_t cql__sim_spread_draw(const cql__sim_spread *spread, cql__rand *rand) {
  if (spread->count == 0) return 0;
  uint32_t i = spread->count - 1;
  while (i > 0 && !cql__sim_chance(spread->parts[i].millionths, rand)) i--;
  int64_t from = spread->parts[i].from, width = spread->parts[i].to - from;
  if (spread->parts[i].exponential) {
    double x = (double)((cql__rand_next(rand) >> 12) + 1) / 4503599627370496.0;
    return (int64_t)(-logarithm(x) * (double)from);
  }
  if (width <= 0) return from;
  return from + (int64_t)(cql__rand_next(rand) % ((uint64_t)width + 1));
}
