#include "wire/types.h"

/* A copy in the arena: types outlive the body they came in. */
static int keep(cql__arena *arena, cql_slice_t from, cql_slice_t *to) {
  uint8_t *copy = cql__arena_take(arena, (size_t)from.length + 1);
  if (!copy) return CQL_ENOMEM;
  if (from.length) memcpy(copy, from.data, (size_t)from.length);
  *to = (cql_slice_t){copy, from.length};
  return 0;
}

static int read_children(cql__cursor *c, cql__arena *arena, int depth, uint32_t count,
                         cql_type_t *out) {
  if ((size_t)count * 2 > cql__cursor_left(c)) return CQL_EMALFORMED;
  cql_type_t *children = cql__arena_take(arena, count * sizeof *children);
  if (!children) return CQL_ENOMEM;
  out->children = children;
  out->child_count = count;
  for (uint32_t i = 0; i < count; i++) {
    int error = cql__type_read(c, arena, depth + 1, &children[i]);
    if (error) return error;
  }
  return 0;
}

static int read_udt(cql__cursor *c, cql__arena *arena, int depth, cql_type_t *out) {
  int error = keep(arena, cql__read_short_bytes(c), &out->keyspace);
  if (!error) error = keep(arena, cql__read_short_bytes(c), &out->name);
  uint32_t count = cql__read_u16(c);
  if (error) return error;
  if (c->broken || (size_t)count * 4 > cql__cursor_left(c)) return CQL_EMALFORMED;
  cql_slice_t *names = cql__arena_take(arena, count * sizeof *names);
  cql_type_t *children = cql__arena_take(arena, count * sizeof *children);
  if (!names || !children) return CQL_ENOMEM;
  out->names = names;
  out->children = children;
  out->child_count = count;
  for (uint32_t i = 0; i < count; i++) {
    error = keep(arena, cql__read_short_bytes(c), &names[i]);
    if (!error) error = cql__type_read(c, arena, depth + 1, &children[i]);
    if (error) return error;
  }
  return 0;
}

static int is_scalar(int kind) {
  return (kind >= CQL_ASCII && kind <= CQL_INT) || (kind >= 0x0A && kind <= CQL_DURATION);
}

int cql__type_read(cql__cursor *c, cql__arena *arena, int depth, cql_type_t *out) {
  if (depth > CQL__TYPE_DEPTH_MAX) return CQL_EMALFORMED;
  memset(out, 0, sizeof *out);
  out->kind = cql__read_u16(c);
  if (c->broken) return CQL_EMALFORMED;
  if (is_scalar(out->kind)) {
    if (out->kind == 0x0A) out->kind = CQL_TEXT; /* the number of v1 and v2 */
    return 0;
  }
  cql_slice_t class_name;
  switch (out->kind) {
  case CQL_CUSTOM:
    class_name = cql__read_short_bytes(c);
    return c->broken ? CQL_EMALFORMED : cql__class_name_read(class_name, arena, depth, out);
  case CQL_LIST:
  case CQL_SET:
    return read_children(c, arena, depth, 1, out);
  case CQL_MAP:
    return read_children(c, arena, depth, 2, out);
  case CQL_UDT:
    return read_udt(c, arena, depth, out);
  case CQL_TUPLE: {
    uint32_t count = cql__read_u16(c);
    return c->broken ? CQL_EMALFORMED : read_children(c, arena, depth, count, out);
  }
  default:
    return CQL_EMALFORMED;
  }
}

int cql__type_skip(cql__cursor *c, int depth) {
  if (depth > CQL__TYPE_DEPTH_MAX) return CQL_EMALFORMED;
  int kind = cql__read_u16(c);
  uint32_t count = 0;
  if (kind == CQL_CUSTOM) {
    cql__read_short_bytes(c);
  } else if (kind == CQL_LIST || kind == CQL_SET) {
    count = 1;
  } else if (kind == CQL_MAP) {
    count = 2;
  } else if (kind == CQL_TUPLE) {
    count = cql__read_u16(c);
  } else if (kind == CQL_UDT) {
    cql__read_short_bytes(c);
    cql__read_short_bytes(c);
    count = cql__read_u16(c);
  } else if (!is_scalar(kind)) {
    return CQL_EMALFORMED;
  }
  for (uint32_t i = 0; i < count && !c->broken; i++) {
    if (kind == CQL_UDT) cql__read_short_bytes(c);
    int error = cql__type_skip(c, depth + 1);
    if (error) return error;
  }
  return c->broken ? CQL_EMALFORMED : 0;
}

/* Only these: the server marks all others as variable, tinyint, smallint, date, time and counter
 * included, whatever the specification's text says. */
int32_t cql__type_fixed_size(const cql_type_t *type) {
  switch (type->kind) {
  case CQL_BOOLEAN:
    return 1;
  case CQL_INT:
  case CQL_FLOAT:
    return 4;
  case CQL_BIGINT:
  case CQL_TIMESTAMP:
  case CQL_DOUBLE:
    return 8;
  case CQL_UUID:
  case CQL_TIMEUUID:
    return 16;
  case CQL_VECTOR: {
    int64_t size = (int64_t)type->fixed_size * type->dimension;
    return size > 0 && size <= INT32_MAX ? (int32_t)size : 0;
  }
  default:
    return 0;
  }
}
