/* Literal: terms made values of a type, markers filled in. */
#include "sim/literal.h"
#include "wire/text.h"

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

int cql__sim_literal_invalid(const cql__sim_values *v, const cql_type_t *type,
                             const cql__sim_term *term) {
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

cql_slice_t cql__sim_literal_keep(const cql__sim_values *v, const void *bytes, size_t size) {
  return (cql_slice_t){(uint8_t *)cql__sim_region_text(v->region, bytes, size), (int32_t)size};
}

cql_slice_t cql__sim_literal_number(const cql__sim_values *v, uint64_t number, unsigned size) {
  uint8_t bytes[8];
  for (unsigned i = 0; i < size; i++) bytes[i] = (uint8_t)(number >> 8 * (size - 1 - i));
  return cql__sim_literal_keep(v, bytes, size);
}

/* ---- other scalars ---- */

static int hex_digit(uint8_t c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

static int blob_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  int32_t digits = term->text.length - 2;
  if (term->kind != CQL__SIM_TERM_BLOB || digits % 2)
    return cql__sim_literal_invalid(v, type, term);
  uint8_t *bytes = cql__sim_region_take(v->region, (size_t)digits / 2 + 1);
  const uint8_t *from = term->text.data + 2;
  for (int32_t i = 0; i < digits; i += 2)
    bytes[i / 2] = (uint8_t)(hex_digit(from[i]) << 4 | hex_digit(from[i + 1]));
  *out = (cql_slice_t){bytes, digits / 2};
  return 0;
}

static int text_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  if (term->kind != CQL__SIM_TERM_TEXT) return cql__sim_literal_invalid(v, type, term);
  *out = term->text;
  return 0;
}

static int boolean_value(const cql__sim_values *v, const cql_type_t *type,
                         const cql__sim_term *term, cql_slice_t *out) {
  if (term->kind != CQL__SIM_TERM_BOOLEAN) return cql__sim_literal_invalid(v, type, term);
  *out = cql__sim_literal_number(v, cql__slice_is(term->text, "true") ? 1 : 0, 1);
  return 0;
}

static int uuid_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  uint8_t bytes[16];
  if (term->kind != CQL__SIM_TERM_UUID ||
      cql__uuid_from_text((const char *)term->text.data, (size_t)term->text.length, bytes))
    return cql__sim_literal_invalid(v, type, term);
  *out = cql__sim_literal_keep(v, bytes, 16);
  return 0;
}

static int inet_value(const cql__sim_values *v, const cql_type_t *type, const cql__sim_term *term,
                      cql_slice_t *out) {
  uint8_t bytes[16];
  int size =
      term->kind == CQL__SIM_TERM_TEXT
          ? cql__inet_from_text((const char *)term->text.data, (size_t)term->text.length, bytes)
          : CQL_EVALUE;
  if (size < 0) return cql__sim_literal_invalid(v, type, term);
  *out = cql__sim_literal_keep(v, bytes, (size_t)size);
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
    if (type->kind == CQL_TUPLE && *count == type->child_count)
      return cql__sim_literal_invalid(v, type, term);
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
  return found == wanted ? 0 : cql__sim_literal_invalid(v, type, term);
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
  if (!holds(type, term)) return cql__sim_literal_invalid(v, type, term);
  if (counted) cql__sim_put_u32(&bytes, 0);
  int error = type->kind == CQL_UDT ? put_fields(v, type, term, &bytes)
                                    : put_items(v, type, term, &bytes, &count);
  if (!error && type->kind == CQL_VECTOR && count != type->dimension)
    error = cql__sim_literal_invalid(v, type, term);
  if (!error && counted) cql__sim_patch_u32(&bytes, 0, type->kind == CQL_MAP ? count / 2 : count);
  if (!error) *out = cql__sim_literal_keep(v, cql__sim_bytes(&bytes), cql__sim_size(&bytes));
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
      *out = cql__sim_literal_number(v, (uint64_t)(v->wall_clock / 1000), 8);
    } else {
      make_uuid(v, kind == CQL_TIMEUUID ? 1 : 4, uuid);
      *out = cql__sim_literal_keep(v, uuid, 16);
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
    case CQL_COUNTER: return cql__sim_literal_integer;
    case CQL_FLOAT:
    case CQL_DOUBLE: return cql__sim_literal_real;
    case CQL_VARINT: return cql__sim_literal_varint;
    case CQL_DECIMAL: return cql__sim_literal_decimal;
    case CQL_TIMESTAMP:
    case CQL_DATE:
    case CQL_TIME: return cql__sim_literal_time;
    case CQL_DURATION: return cql__sim_literal_duration;
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
