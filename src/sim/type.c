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
enum { TYPE_COUNT = sizeof types / sizeof *types, FIELDS_MAX = 64, PARTS_MAX = 4096 };

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
  if (depth > CQL__SIM_TYPE_DEPTH_MAX || *budget == 0) return 0;
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
  if (++p->depth > CQL__SIM_TYPE_DEPTH_MAX) return CQL_EINVAL;
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
