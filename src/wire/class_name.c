/* Class names of custom types: `package.Class(argument, argument ...)`, nested, white space
 * tolerated; a UserType's names are in hex. */
#include "wire/types.h"

static const struct {
  const char *name;
  int kind;
} scalars[] = {{"AsciiType", CQL_ASCII},         {"LongType", CQL_BIGINT},
               {"BytesType", CQL_BLOB},          {"BooleanType", CQL_BOOLEAN},
               {"CounterColumnType", CQL_COUNTER}, {"DecimalType", CQL_DECIMAL},
               {"DoubleType", CQL_DOUBLE},       {"FloatType", CQL_FLOAT},
               {"Int32Type", CQL_INT},           {"TimestampType", CQL_TIMESTAMP},
               {"DateType", CQL_TIMESTAMP},      {"UUIDType", CQL_UUID},
               {"LexicalUUIDType", CQL_UUID},    {"UTF8Type", CQL_TEXT},
               {"IntegerType", CQL_VARINT},      {"TimeUUIDType", CQL_TIMEUUID},
               {"InetAddressType", CQL_INET},    {"SimpleDateType", CQL_DATE},
               {"TimeType", CQL_TIME},           {"ShortType", CQL_SMALLINT},
               {"ByteType", CQL_TINYINT},        {"DurationType", CQL_DURATION}};

typedef struct parser {
  const char *at, *end;
  cql__arena *arena;
} parser;

static void skip_space(parser *p) {
  while (p->at < p->end && (*p->at == ' ' || *p->at == '\t')) p->at++;
}

static int take_char(parser *p, char wanted) {
  skip_space(p);
  if (p->at == p->end || *p->at != wanted) return 0;
  p->at++;
  return 1;
}

/* Up to one of "(),:" or white space. */
static cql_slice_t take_word(parser *p) {
  skip_space(p);
  const char *start = p->at;
  while (p->at < p->end && !memchr("(),: \t", *p->at, 7)) p->at++;
  return (cql_slice_t){(const uint8_t *)start, (int32_t)(p->at - start)};
}

static cql_slice_t without_package(cql_slice_t name) {
  for (int32_t i = name.length; i-- > 0;)
    if (name.data[i] == '.')
      return (cql_slice_t){name.data + i + 1, name.length - i - 1};
  return name;
}

static int keep(parser *p, cql_slice_t from, cql_slice_t *to) {
  uint8_t *copy = cql__arena_take(p->arena, (size_t)from.length + 1);
  if (!copy) return CQL_ENOMEM;
  memcpy(copy, from.data, (size_t)from.length);
  *to = (cql_slice_t){copy, from.length};
  return 0;
}

static int hex_digit(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int keep_hex(parser *p, cql_slice_t from, cql_slice_t *to) {
  if (from.length % 2) return CQL_EMALFORMED;
  uint8_t *copy = cql__arena_take(p->arena, (size_t)from.length / 2 + 1);
  if (!copy) return CQL_ENOMEM;
  for (int32_t i = 0; i < from.length; i += 2) {
    int high = hex_digit(from.data[i]), low = hex_digit(from.data[i + 1]);
    if (high < 0 || low < 0) return CQL_EMALFORMED;
    copy[i / 2] = (uint8_t)(high << 4 | low);
  }
  *to = (cql_slice_t){copy, from.length / 2};
  return 0;
}

static int parse(parser *p, int depth, cql_type_t *out);

/* How many arguments stand between here and the closing parenthesis. */
static uint32_t count_arguments(const parser *p) {
  uint32_t count = 1;
  int open = 0;
  for (const char *at = p->at; at < p->end; at++) {
    if (*at == '(') open++;
    if (*at == ')' && open-- == 0) break;
    if (*at == ',' && open == 0) count++;
  }
  return count;
}

/* Type, type ... and the closing parenthesis; with names: hex:type. */
static int parse_types(parser *p, int depth, uint32_t count, int named, cql_type_t *out) {
  cql_type_t *children = cql__arena_take(p->arena, count * sizeof *children);
  cql_slice_t *names = named ? cql__arena_take(p->arena, count * sizeof *names) : NULL;
  if (!children || (named && !names)) return CQL_ENOMEM;
  for (uint32_t i = 0; i < count; i++) {
    if (i && !take_char(p, ',')) return CQL_EMALFORMED;
    int error = 0;
    if (named) {
      error = keep_hex(p, take_word(p), &names[i]);
      if (!error && !take_char(p, ':')) error = CQL_EMALFORMED;
    }
    if (!error) error = parse(p, depth + 1, &children[i]);
    if (error) return error;
  }
  out->children = children;
  out->names = names;
  out->child_count = count;
  return take_char(p, ')') ? 0 : CQL_EMALFORMED;
}

static int parse_vector(parser *p, int depth, cql_type_t *out) {
  cql_type_t *child = cql__arena_take(p->arena, sizeof *child);
  if (!child) return CQL_ENOMEM;
  int error = parse(p, depth + 1, child);
  if (error) return error;
  if (!take_char(p, ',')) return CQL_EMALFORMED;
  cql_slice_t digits = take_word(p);
  uint64_t dimension = 0;
  for (int32_t i = 0; i < digits.length && dimension <= INT32_MAX; i++) {
    if (digits.data[i] < '0' || digits.data[i] > '9') return CQL_EMALFORMED;
    dimension = dimension * 10 + (digits.data[i] - '0');
  }
  if (dimension == 0 || dimension > INT32_MAX || !take_char(p, ')')) return CQL_EMALFORMED;
  out->kind = CQL_VECTOR;
  out->children = child;
  out->child_count = 1;
  out->dimension = (uint32_t)dimension;
  out->fixed_size = cql__type_fixed_size(child);
  return 0;
}

/* UserType(keyspace,hex name,hex field:type,...) */
static int parse_udt(parser *p, int depth, cql_type_t *out) {
  uint32_t count = count_arguments(p);
  int error = keep(p, take_word(p), &out->keyspace);
  if (error) return error;
  if (count < 2 || !take_char(p, ',')) return CQL_EMALFORMED;
  if ((error = keep_hex(p, take_word(p), &out->name))) return error;
  out->kind = CQL_UDT;
  if (count == 2) return take_char(p, ')') ? 0 : CQL_EMALFORMED;
  if (!take_char(p, ',')) return CQL_EMALFORMED;
  return parse_types(p, depth, count - 2, 1, out);
}

static int skip_arguments(parser *p) {
  int open = 1;
  while (p->at < p->end && open) {
    if (*p->at == '(') open++;
    if (*p->at == ')') open--;
    p->at++;
  }
  return open ? CQL_EMALFORMED : 0;
}

static int parse_collection(parser *p, int depth, int kind, uint32_t count, cql_type_t *out) {
  out->kind = kind;
  return count_arguments(p) == count ? parse_types(p, depth, count, 0, out) : CQL_EMALFORMED;
}

/* Behind the opening parenthesis. */
static int parse_arguments(parser *p, int depth, cql_slice_t name, cql_type_t *out) {
  if (cql__slice_is(name, "FrozenType") || cql__slice_is(name, "ReversedType")) {
    int error = parse(p, depth + 1, out);
    return !error && !take_char(p, ')') ? CQL_EMALFORMED : error;
  }
  if (cql__slice_is(name, "ListType")) return parse_collection(p, depth, CQL_LIST, 1, out);
  if (cql__slice_is(name, "SetType")) return parse_collection(p, depth, CQL_SET, 1, out);
  if (cql__slice_is(name, "MapType")) return parse_collection(p, depth, CQL_MAP, 2, out);
  if (cql__slice_is(name, "TupleType"))
    return parse_collection(p, depth, CQL_TUPLE, count_arguments(p), out);
  if (cql__slice_is(name, "VectorType")) return parse_vector(p, depth, out);
  if (cql__slice_is(name, "UserType")) return parse_udt(p, depth, out);
  return skip_arguments(p); /* Composite and others: a custom type */
}

static int parse(parser *p, int depth, cql_type_t *out) {
  if (depth > CQL__TYPE_DEPTH_MAX) return CQL_EMALFORMED;
  const char *start = p->at;
  cql_slice_t full = take_word(p), name = without_package(full);
  memset(out, 0, sizeof *out);
  for (unsigned i = 0; i < sizeof scalars / sizeof *scalars; i++)
    if (cql__slice_is(name, scalars[i].name)) out->kind = scalars[i].kind;
  if (take_char(p, '(')) {
    int error = parse_arguments(p, depth, name, out);
    if (error) return error;
  }
  if (out->kind != CQL_CUSTOM) return 0;
  return keep(p, (cql_slice_t){(const uint8_t *)start, (int32_t)(p->at - start)}, &out->name);
}

int cql__class_name_read(cql_slice_t text, cql__arena *arena, int depth, cql_type_t *out) {
  const char *start = (const char *)text.data;
  parser p = {start, start + text.length, arena};
  int error = parse(&p, depth, out);
  skip_space(&p);
  if (error == CQL_ENOMEM || (error && depth >= CQL__TYPE_DEPTH_MAX)) return error;
  if (!error && p.at == p.end) return 0;
  memset(out, 0, sizeof *out); /* what can't be read is custom, by its whole name */
  p.at = start;
  return keep(&p, text, &out->name);
}
