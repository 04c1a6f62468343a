#include "sim/type.h"

#include "sim/lexer.h"
#include "wire/types.h"
#include "wire/values.h"

#define MARSHAL "org.apache.cassandra.db.marshal."

/* The first of one kind is its name. `since`: protocol versions before it know the class alone. */
static const struct {
  const char *name;
  int32_t kind;
  const char *class_name;
  int since;
} types[] = {
    {"ascii", CQL_ASCII, "AsciiType", 0},
    {"bigint", CQL_BIGINT, "LongType", 0},
    {"blob", CQL_BLOB, "BytesType", 0},
    {"boolean", CQL_BOOLEAN, "BooleanType", 0},
    {"counter", CQL_COUNTER, "CounterColumnType", 0},
    {"decimal", CQL_DECIMAL, "DecimalType", 0},
    {"double", CQL_DOUBLE, "DoubleType", 0},
    {"float", CQL_FLOAT, "FloatType", 0},
    {"int", CQL_INT, "Int32Type", 0},
    {"timestamp", CQL_TIMESTAMP, "TimestampType", 0},
    {"uuid", CQL_UUID, "UUIDType", 0},
    {"text", CQL_TEXT, "UTF8Type", 0},
    {"varchar", CQL_TEXT, "UTF8Type", 0},
    {"varint", CQL_VARINT, "IntegerType", 0},
    {"timeuuid", CQL_TIMEUUID, "TimeUUIDType", 0},
    {"inet", CQL_INET, "InetAddressType", 0},
    {"date", CQL_DATE, "SimpleDateType", 4},
    {"time", CQL_TIME, "TimeType", 4},
    {"smallint", CQL_SMALLINT, "ShortType", 4},
    {"tinyint", CQL_TINYINT, "ByteType", 4},
    {"duration", CQL_DURATION, "DurationType", 5},
    {"list", CQL_LIST, "ListType", 0},
    {"set", CQL_SET, "SetType", 0},
    {"map", CQL_MAP, "MapType", 0},
    {"tuple", CQL_TUPLE, "TupleType", 0},
    {"vector", CQL_VECTOR, "VectorType", 0},
};
enum {
  TYPE_COUNT = sizeof types / sizeof *types,
  DEPTH_MAX = 16,
  FIELDS_MAX = 64,
  PARTS_MAX = 4096
};

static size_t index_of(int32_t kind) {
  size_t i = 0;
  while (i < TYPE_COUNT && types[i].kind != kind) i++;
  return i;
}

const char *cql__sim_type_name(int32_t kind) {
  size_t i = index_of(kind);
  return i < TYPE_COUNT ? types[i].name : "custom";
}

void cql__sim_put_name(cql__sim_buffer *b, cql_slice_t name) {
  int plain = name.length > 0 && name.data[0] >= 'a' && name.data[0] <= 'z';
  for (int32_t i = 0; i < name.length; i++) {
    uint8_t c = name.data[i];
    plain &= (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  }
  if (!plain) cql__sim_put_u8(b, '"');
  for (int32_t i = 0; i < name.length; i++) {
    if (name.data[i] == '"') cql__sim_put_u8(b, '"');
    cql__sim_put_u8(b, name.data[i]);
  }
  if (!plain) cql__sim_put_u8(b, '"');
}

void cql__sim_put_type_name(cql__sim_buffer *b, const cql_type_t *type) {
  if (type->kind == CQL_UDT) {
    cql__sim_put_name(b, type->name);
    return;
  }
  cql__sim_print(b, "%s", cql__sim_type_name(type->kind));
  if (type->kind < CQL_LIST) return;
  for (uint32_t i = 0; i < type->child_count; i++) {
    cql__sim_print(b, i ? ", " : "<");
    cql__sim_put_type_name(b, &type->children[i]);
  }
  if (type->kind == CQL_VECTOR) cql__sim_print(b, ", %u", type->dimension);
  cql__sim_put_u8(b, '>');
}

/* ---- parsing ---- */

typedef struct parser {
  const cql__sim_type_source *source;
  cql__sim_lexer lexer;
  cql__sim_token token;
  cql__sim_buffer *canonical;
  int depth;
  int frozen;      /* so many levels around here are */
  int is_direct;   /* frozen< has just been taken */
  const char *why; /* static text; NULL: it is unknown */
} parser;

static void advance(parser *p) { p->token = cql__sim_lex(&p->lexer); }

static int take_mark(parser *p, const char *mark) {
  if (p->token.kind != CQL__SIM_MARK || !cql__slice_is(p->token.text, mark)) return 0;
  advance(p);
  return 1;
}

static int parse_type(parser *p, cql_type_t *out);

/* After "<": `count` types (0: any number) and, of a vector, its dimension; up to ">". */
static int parse_children(parser *p, uint32_t count, cql_type_t *out) {
  cql_type_t children[FIELDS_MAX];
  uint32_t n = 0;
  do {
    if (n) cql__sim_print(p->canonical, ", ");
    if (out->kind == CQL_VECTOR && n == 1) {
      int64_t dimension = 0;
      for (int32_t i = 0; i < p->token.text.length && dimension < 100000; i++)
        dimension = dimension * 10 + (p->token.text.data[i] - '0');
      if (p->token.kind != CQL__SIM_INTEGER || dimension < 1 || dimension > 8192) return CQL_EINVAL;
      out->dimension = (uint32_t)dimension;
      cql__sim_print(p->canonical, "%lld", (long long)dimension);
      advance(p);
      break;
    }
    if (n == FIELDS_MAX || parse_type(p, &children[n])) return CQL_EINVAL;
    n++;
  } while (take_mark(p, ","));
  if (!take_mark(p, ">") || (count && n != count)) return CQL_EINVAL;
  if (out->kind == CQL_VECTOR && !out->dimension) return CQL_EINVAL;
  if (n == 0) return CQL_EINVAL;
  cql_type_t *kept = cql__sim_region_take(p->source->region, n * sizeof *kept);
  memcpy(kept, children, n * sizeof *kept);
  out->child_count = n;
  out->children = kept;
  if (out->kind == CQL_VECTOR) out->fixed_size = cql__type_fixed_size(&kept[0]);
  return 0;
}

static int refuse(parser *p, const char *why) {
  p->why = why;
  return CQL_EINVAL;
}

/* Types that hold each other grow fast: is this one within the budget, and not too deep? */
static int weigh(const cql_type_t *type, int depth, uint32_t *budget) {
  if (depth > DEPTH_MAX || *budget == 0) return 0;
  --*budget;
  for (uint32_t i = 0; i < type->child_count; i++)
    if (!weigh(&type->children[i], depth + 1, budget)) return 0;
  return 1;
}

static int parse_user_type(parser *p, cql_slice_t name, cql_type_t *out) {
  cql_slice_t keyspace = p->source->keyspace;
  if (take_mark(p, ".")) {
    keyspace = name;
    name = p->token.text;
    advance(p);
  }
  const cql_type_t *found =
      p->source->find ? p->source->find(p->source->user, keyspace, name) : NULL;
  if (!found) return CQL_EINVAL;
  uint32_t budget = PARTS_MAX;
  if (!weigh(found, p->depth, &budget)) return refuse(p, "The type has too many parts");
  *out = *found;
  cql__sim_put_name(p->canonical, name);
  return 0;
}

static int parse_custom(parser *p, cql_slice_t class_name, cql_type_t *out) {
  char *text = cql__sim_region_text(p->source->region, class_name.data, (size_t)class_name.length);
  *out = (cql_type_t){.kind = CQL_CUSTOM, .name = {(uint8_t *)text, class_name.length}};
  cql__sim_print(p->canonical, "'%s'", text);
  return 0;
}

/* After "list" and such. */
static int parse_generic(parser *p, cql_type_t *out) {
  uint32_t count = out->kind == CQL_MAP ? 2 : out->kind == CQL_TUPLE ? 0 : 1;
  int freezes = out->kind == CQL_TUPLE || out->kind == CQL_VECTOR;
  if (!take_mark(p, "<")) return CQL_EINVAL;
  cql__sim_print(p->canonical, "%s<", cql__sim_type_name(out->kind));
  p->frozen += freezes;
  int error = parse_children(p, count, out);
  p->frozen -= freezes;
  if (!error) cql__sim_print(p->canonical, ">");
  return error;
}

/* What may be frozen, and is where it lies within something that is. */
static int parse_freezable(parser *p, cql_slice_t name, cql_type_t *out) {
  int is_direct = p->is_direct, is_vector = out->kind == CQL_VECTOR;
  p->is_direct = 0;
  int implied = !is_direct && !is_vector && (p->frozen || out->kind == CQL_TUPLE);
  if (!is_direct && !is_vector && !implied && p->depth > 1)
    return refuse(p, out->kind ? "Non-frozen collections are not allowed inside collections"
                               : "Non-frozen UDTs are not allowed inside collections");
  if (implied) cql__sim_print(p->canonical, "frozen<");
  int error = out->kind ? parse_generic(p, out) : parse_user_type(p, name, out);
  if (implied) cql__sim_print(p->canonical, ">");
  return error;
}

static int parse_frozen(parser *p, cql_type_t *out) {
  cql__sim_print(p->canonical, "frozen<");
  p->frozen++;
  p->is_direct = 1;
  int error = parse_type(p, out) || !take_mark(p, ">");
  p->is_direct = 0;
  p->frozen--;
  cql__sim_print(p->canonical, ">");
  if (error) return CQL_EINVAL;
  if (out->kind >= CQL_LIST) return 0;
  return refuse(p, "frozen<> is only allowed on collections, tuples, and user-defined types");
}

static int parse_named(parser *p, cql_type_t *out) {
  cql_slice_t name = p->token.text;
  int kind = p->token.kind;
  advance(p);
  if (kind == CQL__SIM_STRING) return parse_custom(p, name, out);
  if (kind != CQL__SIM_WORD && kind != CQL__SIM_QUOTED) return CQL_EINVAL;
  if (cql__slice_is(name, "frozen") && take_mark(p, "<")) return parse_frozen(p, out);
  size_t i = 0;
  while (i < TYPE_COUNT && !(kind == CQL__SIM_WORD && cql__slice_is(name, types[i].name))) i++;
  if (i < TYPE_COUNT) out->kind = types[i].kind;
  if (i == TYPE_COUNT || out->kind >= CQL_LIST) return parse_freezable(p, name, out);
  cql__sim_print(p->canonical, "%s", cql__sim_type_name(out->kind));
  return 0;
}

static int parse_type(parser *p, cql_type_t *out) {
  *out = (cql_type_t){0};
  if (++p->depth > DEPTH_MAX) return CQL_EINVAL;
  int error = parse_named(p, out);
  p->depth--;
  return error;
}

int cql__sim_type_parse(const cql__sim_type_source *source, cql_slice_t text, cql_type_t *out,
                        cql__sim_buffer *canonical, cql__sim_buffer *why) {
  cql__sim_buffer unwanted = {0};
  parser p = {.source = source,
              .lexer = {source->region, text.data, text.data + text.length},
              .canonical = canonical ? canonical : &unwanted};
  advance(&p);
  int error = parse_type(&p, out);
  if (!error && p.token.kind != CQL__SIM_END) error = CQL_EINVAL;
  if (error)
    cql__sim_print(why, "%s %.*s", p.why ? p.why : "Unknown type", (int)text.length,
                   (const char *)text.data);
  cql__sim_buffer_free(&unwanted);
  return error;
}

/* ---- to the wire ---- */

static void put_hex(cql__sim_buffer *b, cql_slice_t bytes) {
  for (int32_t i = 0; i < bytes.length; i++) cql__sim_print(b, "%02x", bytes.data[i]);
}

static void put_class(cql__sim_buffer *b, const cql_type_t *type) {
  if (type->kind == CQL_CUSTOM) {
    cql__sim_put(b, type->name.data, (size_t)type->name.length);
    return;
  }
  int udt = type->kind == CQL_UDT;
  cql__sim_print(b, MARSHAL "%s", udt ? "UserType" : types[index_of(type->kind)].class_name);
  if (!type->child_count) return;
  cql__sim_put_u8(b, '(');
  if (udt) {
    cql__sim_put(b, type->keyspace.data, (size_t)type->keyspace.length);
    cql__sim_put_u8(b, ',');
    put_hex(b, type->name);
  }
  for (uint32_t i = 0; i < type->child_count; i++) {
    if (i || udt) cql__sim_put_u8(b, ',');
    if (udt) {
      put_hex(b, type->names[i]);
      cql__sim_put_u8(b, ':');
    }
    put_class(b, &type->children[i]);
  }
  if (type->kind == CQL_VECTOR) cql__sim_print(b, " , %u", type->dimension);
  cql__sim_put_u8(b, ')');
}

static void put_custom(cql__sim_buffer *b, const cql_type_t *type) {
  cql__sim_buffer name = {0};
  put_class(&name, type);
  cql__sim_put_u16(b, CQL_CUSTOM);
  cql__sim_put_short_bytes(b, cql__sim_slice(&name));
  cql__sim_buffer_free(&name);
}

void cql__sim_put_type(cql__sim_buffer *b, const cql_type_t *type, int version, int scylla) {
  size_t i = index_of(type->kind);
  int is_new = i < TYPE_COUNT && version < types[i].since && !scylla;
  if (type->kind == CQL_CUSTOM || type->kind == CQL_VECTOR || is_new) {
    put_custom(b, type);
    return;
  }
  cql__sim_put_u16(b, (unsigned)type->kind);
  if (type->kind == CQL_UDT) {
    cql__sim_put_short_bytes(b, type->keyspace);
    cql__sim_put_short_bytes(b, type->name);
  }
  if (type->kind == CQL_UDT || type->kind == CQL_TUPLE) cql__sim_put_u16(b, type->child_count);
  for (uint32_t k = 0; k < type->child_count; k++) {
    if (type->kind == CQL_UDT) cql__sim_put_short_bytes(b, type->names[k]);
    cql__sim_put_type(b, &type->children[k], version, scylla);
  }
}

/* ---- values ---- */

static int is_utf8(cql_slice_t text) {
  const uint8_t *at = text.data, *end = text.data + text.length;
  while (at < end) {
    uint8_t c = *at++;
    int more = c < 0x80                ? 0
               : c >= 0xC2 && c < 0xE0 ? 1
               : (c & 0xF0) == 0xE0    ? 2
               : c >= 0xF0 && c < 0xF5 ? 3
                                       : -1;
    if (more < 0 || end - at < more) return 0;
    if ((c == 0xE0 && *at < 0xA0) || (c == 0xED && *at > 0x9F) || (c == 0xF0 && *at < 0x90) ||
        (c == 0xF4 && *at > 0x8F))
      return 0;
    for (; more; more--)
      if ((*at++ & 0xC0) != 0x80) return 0;
  }
  return 1;
}

static int is_ascii(cql_slice_t text) {
  for (int32_t i = 0; i < text.length; i++)
    if (text.data[i] & 0x80) return 0;
  return 1;
}

static int allows_empty(int32_t kind) {
  switch (kind) {
    case CQL_DATE:
    case CQL_TIME:
    case CQL_SMALLINT:
    case CQL_TINYINT:
    case CQL_DURATION:
    case CQL_LIST:
    case CQL_SET:
    case CQL_MAP:
    case CQL_VECTOR: return 0;
    default: return 1;
  }
}

static int fits(const cql_type_t *type, cql_slice_t value, int depth);

static int by_field(const cql_type_t *type) {
  return type->kind == CQL_TUPLE || type->kind == CQL_UDT;
}

static const cql_type_t *child_at(const cql_type_t *type, uint32_t i) {
  return &type->children[by_field(type) ? i : type->kind == CQL_MAP ? i % 2 : 0];
}

/* The next item as it stands: 1, 0 at the end, < 0. */
static int next_item(cql_items_t *items, cql_slice_t *out) {
  cql_cell_t cell;
  int got = cql__items_next(items, &cell);
  int32_t length = got > 0 && cell.length > 0 ? cell.length : 0;
  *out = (cql_slice_t){items->next - length, got > 0 ? cell.length : CQL_NULL};
  return got;
}

/* Every item of it, none of them null but a tuple's and a UDT's. */
static int items_fit(const cql_type_t *type, cql_slice_t value, int depth) {
  cql_items_t items;
  if (depth > DEPTH_MAX || cql__items_open(type, value.data, value.length, &items)) return 0;
  for (uint32_t i = 0;; i++) {
    cql_slice_t item;
    int got = next_item(&items, &item);
    if (got <= 0) return got == 0;
    if (item.length < 0 && !by_field(type)) return 0;
    if (item.length >= 0 && !fits(child_at(type, i), item, depth + 1)) return 0;
  }
}

static int fits(const cql_type_t *type, cql_slice_t value, int depth) {
  cql_cell_t cell;
  if (value.length == 0) return allows_empty(type->kind);
  if (type->kind >= CQL_LIST) return items_fit(type, value, depth);
  if (cql__cell_read(type->kind, value.data, value.length, &cell)) return 0;
  if (type->kind == CQL_TEXT) return is_utf8(value);
  if (type->kind == CQL_ASCII) return is_ascii(value);
  if (type->kind == CQL_TIMEUUID) return value.data[6] >> 4 == 1;
  if (type->kind == CQL_TIME) return cell.as.integer >= 0 && cell.as.integer < 86400000000000;
  return 1;
}

/* What servers say of a value that doesn't fit; %d is its length. */
static const char *objection(const cql_type_t *type, cql_slice_t value) {
  switch (type->kind) {
    case CQL_INT: return "Expected 4 or 0 byte int (%d)";
    case CQL_BIGINT:
    case CQL_COUNTER: return "Expected 8 or 0 byte long (%d)";
    case CQL_SMALLINT: return "Expected 2 bytes for a smallint (%d)";
    case CQL_TINYINT: return "Expected 1 byte for a tinyint (%d)";
    case CQL_BOOLEAN: return "Expected 1 or 0 byte value (%d)";
    case CQL_DOUBLE: return "Expected 8 or 0 byte value for a double (%d)";
    case CQL_FLOAT: return "Expected 4 or 0 byte value for a float (%d)";
    case CQL_TIMESTAMP: return "Expected 8 or 0 byte long for date (%d)";
    case CQL_DATE: return "Expected 4 byte long for date (%d)";
    case CQL_TIME: return value.length == 8 ? NULL : "Expected 8 byte long for time (%d)";
    case CQL_UUID: return "UUID should be 16 or 0 bytes (%d)";
    case CQL_TIMEUUID:
      return value.length == 16 ? "Invalid version for TimeUUID type."
                                : "UUID should be 16 or 0 bytes (%d)";
    case CQL_TEXT: return "String didn't validate.";
    default: return NULL;
  }
}

int cql__sim_value_fits(const cql_type_t *type, cql_slice_t value, cql__sim_buffer *why) {
  if (fits(type, value, 0)) return 1;
  const char *said = objection(type, value);
  if (!said) {
    cql__sim_print(why, "Invalid value of %d bytes for type ", (int)value.length);
    cql__sim_put_type_name(why, type);
    return 0;
  }
  const char *hole = strstr(said, "%d");
  cql__sim_put(why, said, hole ? (size_t)(hole - said) : strlen(said));
  if (hole) cql__sim_print(why, "%d%s", (int)value.length, hole + 2);
  return 0;
}

/* ---- order ---- */

static int compare_bytes(cql_slice_t a, cql_slice_t b) {
  int32_t common = a.length < b.length ? a.length : b.length;
  int order = common > 0 ? memcmp(a.data, b.data, (size_t)common) : 0;
  return order ? order : a.length - b.length;
}

static int compare_real(double a, double b) {
  if (a != a || b != b) return (a != a) - (b != b); /* NaN is above all */
  return (a > b) - (a < b);
}

/* Two's complement of any length. */
static int compare_varint(cql_slice_t a, cql_slice_t b) {
  int a_negative = a.length && a.data[0] >> 7, b_negative = b.length && b.data[0] >> 7;
  if (a_negative != b_negative) return b_negative - a_negative;
  uint8_t fill = a_negative ? 0xFF : 0;
  int32_t longest = a.length > b.length ? a.length : b.length;
  for (int32_t i = longest; i > 0; i--) {
    uint8_t x = i > a.length ? fill : a.data[a.length - i];
    uint8_t y = i > b.length ? fill : b.data[b.length - i];
    if (x != y) return x - y;
  }
  return 0;
}

/* As near as a double comes, unless the scales are equal. */
static int compare_decimal(cql_slice_t a, cql_slice_t b) {
  cql_slice_t digits[2] = {{a.data + 4, a.length - 4}, {b.data + 4, b.length - 4}};
  int32_t scales[2] = {(int32_t)cql__get_u32(a.data), (int32_t)cql__get_u32(b.data)};
  if (scales[0] == scales[1]) return compare_varint(digits[0], digits[1]);
  double reals[2];
  for (int i = 0; i < 2; i++) {
    reals[i] = digits[i].length && digits[i].data[0] >> 7 ? -1 : 0;
    for (int32_t k = 0; k < digits[i].length; k++) reals[i] = reals[i] * 256 + digits[i].data[k];
    int32_t scale = scales[i] > 400 ? 400 : scales[i] < -400 ? -400 : scales[i];
    for (; scale > 0; scale--) reals[i] /= 10;
    for (; scale < 0; scale++) reals[i] *= 10;
  }
  return compare_real(reals[0], reals[1]);
}

/* The 60 bits of time in a uuid of version 1. */
static uint64_t uuid_time(const uint8_t *u) {
  return (uint64_t)(cql__get_u16(u + 6) & 0x0FFF) << 48 | (uint64_t)cql__get_u16(u + 4) << 32 |
         cql__get_u32(u);
}

static int compare_uuid(cql_slice_t a, cql_slice_t b) {
  int versions[2] = {a.data[6] >> 4, b.data[6] >> 4};
  if (versions[0] != versions[1]) return versions[0] - versions[1];
  if (versions[0] == 1) {
    uint64_t x = uuid_time(a.data), y = uuid_time(b.data);
    if (x != y) return x < y ? -1 : 1;
  }
  return compare_bytes(a, b);
}

static int compare_items(const cql_type_t *type, cql_slice_t a, cql_slice_t b);

static int compare_cells(const cql_type_t *type, cql_slice_t a, cql_slice_t b) {
  cql_cell_t x, y;
  int32_t kind = type->kind;
  if (kind >= CQL_LIST) return compare_items(type, a, b);
  if (cql__cell_read(kind, a.data, a.length, &x) || cql__cell_read(kind, b.data, b.length, &y))
    return compare_bytes(a, b);
  if (kind == CQL_UUID || kind == CQL_TIMEUUID) return compare_uuid(a, b);
  if (kind == CQL_VARINT) return compare_varint(a, b);
  if (kind == CQL_DECIMAL) return compare_decimal(a, b);
  if (kind == CQL_FLOAT || kind == CQL_DOUBLE) return compare_real(x.as.real, y.as.real);
  switch (kind) {
    case CQL_TEXT:
    case CQL_ASCII:
    case CQL_BLOB:
    case CQL_INET:
    case CQL_DURATION:
    case CQL_CUSTOM: return compare_bytes(a, b);
    default: return (x.as.integer > y.as.integer) - (x.as.integer < y.as.integer);
  }
}

/* Item by item; fewer items come first. */
static int compare_items(const cql_type_t *type, cql_slice_t a, cql_slice_t b) {
  cql_items_t items[2];
  if (cql__items_open(type, a.data, a.length, &items[0]) ||
      cql__items_open(type, b.data, b.length, &items[1]))
    return compare_bytes(a, b);
  for (uint32_t i = 0;; i++) {
    cql_slice_t x, y;
    int got[2] = {next_item(&items[0], &x), next_item(&items[1], &y)};
    if (got[0] < 0 || got[1] < 0) return compare_bytes(a, b);
    if (got[0] == 0 || got[1] == 0) return got[0] - got[1];
    int order = cql__sim_value_compare(child_at(type, i), x, y);
    if (order) return order;
  }
}

int cql__sim_value_compare(const cql_type_t *type, cql_slice_t a, cql_slice_t b) {
  if (a.length <= 0 || b.length <= 0) return a.length - b.length; /* null, then empty */
  return compare_cells(type, a, b);
}
