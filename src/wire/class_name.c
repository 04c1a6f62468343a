/* The grammar, as the server's own parser has it; blanks may stand between any two tokens:
 *
 *   type      = class | class "(" arguments ")"
 *   arguments = type { "," type }                                    ListType, TupleType ...
 *             | type "," number                                      VectorType
 *             | keyspace "," hex { "," hex ":" type }                UserType
 *
 * The class has the package org.apache.cassandra.db.marshal or none. FrozenType and ReversedType
 * say nothing about the bytes: what they hold stands in their place. */
#include "wire/class_name.h"

#include "wire/types.h"

enum { UNREADABLE = 1 }; /* beside 0 and CQL_ENOMEM */

typedef struct parser {
  const uint8_t *next;
  const uint8_t *end;
  cql__arena *arena;
} parser;

/* Children while their number isn't known; the arrays double, in the arena. */
typedef struct type_list {
  cql_type_t *types;
  cql_slice_t *names; /* UserType alone has them */
  int named;
  uint32_t count;
  uint32_t capacity;
} type_list;

typedef struct class_entry {
  const char *name;
  int32_t kind;
} class_entry;

static const class_entry scalars[] = {
    {"AsciiType", CQL_ASCII},
    {"LongType", CQL_BIGINT},
    {"BytesType", CQL_BLOB},
    {"BooleanType", CQL_BOOLEAN},
    {"CounterColumnType", CQL_COUNTER},
    {"DecimalType", CQL_DECIMAL},
    {"DoubleType", CQL_DOUBLE},
    {"FloatType", CQL_FLOAT},
    {"Int32Type", CQL_INT},
    {"TimestampType", CQL_TIMESTAMP},
    {"DateType", CQL_TIMESTAMP},
    {"UUIDType", CQL_UUID},
    {"LexicalUUIDType", CQL_UUID},
    {"UTF8Type", CQL_TEXT},
    {"IntegerType", CQL_VARINT},
    {"TimeUUIDType", CQL_TIMEUUID},
    {"InetAddressType", CQL_INET},
    {"SimpleDateType", CQL_DATE},
    {"TimeType", CQL_TIME},
    {"ShortType", CQL_SMALLINT},
    {"ByteType", CQL_TINYINT},
    {"DurationType", CQL_DURATION},
    {NULL, CQL_CUSTOM},
};

enum { WRAPPER = -1 }; /* a class that is what it holds */

static const class_entry generics[] = {
    {"ListType", CQL_LIST},   {"SetType", CQL_SET},      {"MapType", CQL_MAP},
    {"TupleType", CQL_TUPLE}, {"UserType", CQL_UDT},     {"VectorType", CQL_VECTOR},
    {"FrozenType", WRAPPER},  {"ReversedType", WRAPPER}, {NULL, CQL_CUSTOM},
};

static int32_t find_class(const class_entry *entry, cql_slice_t name) {
  static const char package[] = "org.apache.cassandra.db.marshal.";
  const int32_t size = (int32_t)sizeof package - 1;
  if (name.length > size && memcmp(name.data, package, sizeof package - 1) == 0)
    name = (cql_slice_t){name.data + size, name.length - size};
  while (entry->name && !cql__slice_is(name, entry->name)) entry++;
  return entry->kind;
}

/* ---- tokens ---- */

static int is_blank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void skip_blanks(parser *p) {
  while (p->next < p->end && is_blank(*p->next)) p->next++;
}

/* Takes that character if it is the next one. */
static int take(parser *p, char wanted) {
  skip_blanks(p);
  if (p->next == p->end || *p->next != (uint8_t)wanted) return 0;
  p->next++;
  return 1;
}

/* Anything up to a blank or one of the grammar's marks; may be empty. */
static cql_slice_t take_word(parser *p) {
  skip_blanks(p);
  const uint8_t *start = p->next;
  while (p->next < p->end && !is_blank(*p->next) && *p->next != '(' && *p->next != ')' &&
         *p->next != ',' && *p->next != ':')
    p->next++;
  return (cql_slice_t){start, (int32_t)(p->next - start)};
}

/* Up to the bracket that closes the one just taken. */
static int skip_arguments(parser *p) {
  for (uint32_t open = 1; p->next < p->end;) {
    uint8_t c = *p->next++;
    if (c == '(') open++;
    if (c == ')' && --open == 0) return 0;
  }
  return UNREADABLE;
}

static int hex_digit(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_hex(parser *p, cql_slice_t *out) {
  cql_slice_t word = take_word(p);
  if (word.length == 0 || word.length % 2) return UNREADABLE;
  uint8_t *bytes = cql__arena_take(p->arena, (size_t)word.length / 2);
  if (!bytes) return CQL_ENOMEM;
  for (int32_t i = 0; i < word.length; i += 2) {
    int high = hex_digit(word.data[i]), low = hex_digit(word.data[i + 1]);
    if (high < 0 || low < 0) return UNREADABLE;
    bytes[i / 2] = (uint8_t)(high << 4 | low);
  }
  *out = (cql_slice_t){bytes, word.length / 2};
  return 0;
}

/* 1 to 2^31 - 1: the server's own type. */
static int take_dimension(parser *p, uint32_t *out) {
  cql_slice_t word = take_word(p);
  uint64_t number = 0;
  for (int32_t i = 0; i < word.length; i++) {
    if (word.data[i] < '0' || word.data[i] > '9') return UNREADABLE;
    number = number * 10 + (uint64_t)(word.data[i] - '0');
    if (number > INT32_MAX) return UNREADABLE;
  }
  *out = (uint32_t)number;
  return number ? 0 : UNREADABLE;
}

/* ---- types ---- */

static int parse_type(parser *p, int depth, cql_type_t *out);

/* A larger copy of an array, in the arena. */
static void *enlarged(parser *p, const void *array, uint32_t count, uint32_t capacity,
                      size_t size) {
  void *copy = cql__arena_take(p->arena, capacity * size);
  if (copy && count) memcpy(copy, array, count * size);
  return copy;
}

/* Room for one more at types[count] and names[count]. */
static int grow(parser *p, type_list *list) {
  uint32_t count = list->count, capacity = count ? count * 2 : 2;
  if (count < list->capacity) return 0;
  list->types = enlarged(p, list->types, count, capacity, sizeof *list->types);
  if (list->named) list->names = enlarged(p, list->names, count, capacity, sizeof *list->names);
  list->capacity = capacity;
  return list->types && (list->names || !list->named) ? 0 : CQL_ENOMEM;
}

static int parse_child(parser *p, int depth, type_list *list) {
  int result = grow(p, list);
  if (!result) result = parse_type(p, depth + 1, &list->types[list->count]);
  if (!result) list->count++;
  return result;
}

static int parse_user_type(parser *p, int depth, type_list *list, cql_type_t *out) {
  cql_slice_t keyspace = take_word(p);
  if (!take(p, ',')) return UNREADABLE;
  int result = take_hex(p, &out->name);
  if (!result) result = cql__slice_keep(p->arena, keyspace, &out->keyspace);
  while (!result && take(p, ',')) {
    if ((result = grow(p, list)) || (result = take_hex(p, &list->names[list->count])))
      return result;
    result = take(p, ':') ? parse_child(p, depth, list) : UNREADABLE;
  }
  out->names = list->names;
  return result;
}

static int parse_vector(parser *p, int depth, type_list *list, cql_type_t *out) {
  int result = parse_child(p, depth, list);
  if (result) return result;
  if (!take(p, ',') || take_dimension(p, &out->dimension)) return UNREADABLE;
  out->fixed_size = cql__type_fixed_size(&list->types[0]);
  return 0;
}

static int parse_list(parser *p, int depth, type_list *list) {
  int result;
  do result = parse_child(p, depth, list);
  while (!result && take(p, ','));
  return result;
}

/* After "class(", for a class that we know. */
static int parse_arguments(parser *p, int depth, int32_t kind, cql_type_t *out) {
  type_list list = {NULL, NULL, kind == CQL_UDT, 0, 0};
  int result = kind == CQL_UDT      ? parse_user_type(p, depth, &list, out)
               : kind == CQL_VECTOR ? parse_vector(p, depth, &list, out)
                                    : parse_list(p, depth, &list);
  if (result) return result;
  if (!take(p, ')')) return UNREADABLE;
  uint32_t wanted = kind == CQL_MAP ? 2 : kind == CQL_TUPLE || kind == CQL_UDT ? list.count : 1;
  if (list.count != wanted) return UNREADABLE;
  if (kind == WRAPPER) {
    *out = list.types[0];
    return 0;
  }
  out->kind = kind;
  out->child_count = list.count;
  out->children = list.types;
  return 0;
}

static int parse_type(parser *p, int depth, cql_type_t *out) {
  *out = (cql_type_t){.kind = CQL_CUSTOM};
  if (depth >= CQL__TYPE_DEPTH_MAX) return UNREADABLE;
  cql_slice_t text = take_word(p);
  if (text.length == 0) return UNREADABLE;
  const uint8_t *behind = p->next;
  if (take(p, '(')) {
    int32_t kind = find_class(generics, text);
    if (kind != CQL_CUSTOM) return parse_arguments(p, depth, kind, out);
    if (skip_arguments(p)) return UNREADABLE;
    text.length = (int32_t)(p->next - text.data);
  } else {
    p->next = behind;
    out->kind = find_class(scalars, text);
    if (out->kind != CQL_CUSTOM) return 0;
  }
  return cql__slice_keep(p->arena, text, &out->name);
}

int cql__class_name_read(cql_slice_t text, cql__arena *arena, int depth, cql_type_t *out) {
  parser p = {text.data, text.data + text.length, arena};
  int result = parse_type(&p, depth, out);
  skip_blanks(&p);
  if (result < 0 || (result == 0 && p.next == p.end)) return result;
  *out = (cql_type_t){.kind = CQL_CUSTOM};
  return cql__slice_keep(arena, text, &out->name);
}
