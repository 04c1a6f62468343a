#include "wire/types.h"

#include "wire/class_name.h"

int cql__slice_keep(cql__arena *arena, cql_slice_t bytes, cql_slice_t *out) {
  *out = (cql_slice_t){NULL, bytes.length};
  if (bytes.length <= 0) return 0;
  uint8_t *copy = cql__arena_take(arena, (size_t)bytes.length);
  if (!copy) return CQL_ENOMEM;
  memcpy(copy, bytes.data, (size_t)bytes.length);
  out->data = copy;
  return 0;
}

int32_t cql__type_fixed_size(const cql_type_t *type) {
  switch (type->kind) {
    case CQL_BOOLEAN: return 1;
    case CQL_INT:
    case CQL_FLOAT: return 4;
    case CQL_BIGINT:
    case CQL_DOUBLE:
    case CQL_TIMESTAMP: return 8;
    case CQL_UUID:
    case CQL_TIMEUUID: return 16;
    case CQL_VECTOR: {
      int64_t size = (int64_t)type->dimension * type->fixed_size;
      return size <= INT32_MAX ? (int32_t)size : 0;
    }
    default: return 0;
  }
}

static int is_scalar(int32_t kind) {
  return kind > CQL_CUSTOM && kind <= CQL_DURATION && kind != 0x0A; /* 0A: text of v1 and v2 */
}

/* How many options a list, set or map holds; 0: it isn't one. */
static uint32_t element_count(int32_t kind) {
  return kind == CQL_MAP ? 2 : kind == CQL_LIST || kind == CQL_SET ? 1 : 0;
}

/* `count` options in a row, each after a name where `names` isn't NULL. */
static int read_children(cql__cursor *c, cql__arena *arena, int depth, uint32_t count,
                         cql_slice_t *names, cql_type_t *out) {
  cql_type_t *children = cql__arena_take(arena, count * sizeof *children);
  if (!children) return CQL_ENOMEM;
  for (uint32_t i = 0; i < count; i++) {
    int error = names ? cql__slice_keep(arena, cql__read_short_bytes(c), &names[i]) : 0;
    if (!error) error = cql__type_read(c, arena, depth + 1, &children[i]);
    if (error) return error;
  }
  out->child_count = count;
  out->children = children;
  out->names = names;
  return 0;
}

static int read_tuple(cql__cursor *c, cql__arena *arena, int depth, cql_type_t *out) {
  uint32_t count = cql__read_u16(c);
  if (c->broken || count * 2u > cql__cursor_left(c)) return CQL_EMALFORMED;
  return read_children(c, arena, depth, count, NULL, out);
}

static int read_udt(cql__cursor *c, cql__arena *arena, int depth, cql_type_t *out) {
  cql_slice_t keyspace = cql__read_short_bytes(c);
  cql_slice_t name = cql__read_short_bytes(c);
  uint32_t count = cql__read_u16(c);
  if (c->broken || count * 4u > cql__cursor_left(c)) return CQL_EMALFORMED;
  cql_slice_t *names = cql__arena_take(arena, count * sizeof *names);
  if (!names || cql__slice_keep(arena, keyspace, &out->keyspace) ||
      cql__slice_keep(arena, name, &out->name))
    return CQL_ENOMEM;
  return read_children(c, arena, depth, count, names, out);
}

int cql__type_read(cql__cursor *c, cql__arena *arena, int depth, cql_type_t *out) {
  *out = (cql_type_t){.kind = cql__read_u16(c)};
  if (c->broken || depth >= CQL__TYPE_DEPTH_MAX) return CQL_EMALFORMED;
  if (is_scalar(out->kind)) return 0;
  uint32_t elements = element_count(out->kind);
  if (elements) return read_children(c, arena, depth, elements, NULL, out);
  if (out->kind == CQL_TUPLE) return read_tuple(c, arena, depth, out);
  if (out->kind == CQL_UDT) return read_udt(c, arena, depth, out);
  if (out->kind != CQL_CUSTOM) return CQL_EMALFORMED;
  cql_slice_t name = cql__read_short_bytes(c);
  return c->broken ? CQL_EMALFORMED : cql__class_name_read(name, arena, depth, out);
}

int cql__type_skip(cql__cursor *c, int depth) {
  int32_t kind = cql__read_u16(c);
  if (c->broken || depth >= CQL__TYPE_DEPTH_MAX) return CQL_EMALFORMED;
  if (is_scalar(kind)) return 0;
  uint32_t count = element_count(kind);
  if (kind == CQL_CUSTOM) {
    cql__read_short_bytes(c);
  } else if (kind == CQL_TUPLE) {
    count = cql__read_u16(c);
  } else if (kind == CQL_UDT) {
    cql__read_short_bytes(c);
    cql__read_short_bytes(c);
    count = cql__read_u16(c);
  } else if (!count) {
    return CQL_EMALFORMED;
  }
  for (; count && !c->broken; count--) {
    if (kind == CQL_UDT) cql__read_short_bytes(c);
    if (cql__type_skip(c, depth + 1)) return CQL_EMALFORMED;
  }
  return c->broken ? CQL_EMALFORMED : 0;
}
