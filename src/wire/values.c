#include "wire/values.h"

#include "wire/vint.h"

int cql__cell_decode(const cql_type_t *type, const uint8_t *bytes, int32_t length,
                     cql_cell_t *out) {
  if (length < 0) {
    *out = (cql_cell_t){.length = CQL_NULL};
    return 0;
  }
  return cql__cell_read(type->kind, bytes, length, out);
}

/* How many items a list, set or map says that it has; each takes 4 bytes at least. */
static int open_counted(cql_items_t *items, uint32_t per_entry) {
  if (items->next == items->end) return 0; /* empty bytes: an empty collection */
  if (items->end - items->next < 4) return CQL_EMALFORMED;
  int32_t count = (int32_t)cql__get_u32(items->next);
  items->next += 4;
  if (count < 0 || (int64_t)count * per_entry * 4 > items->end - items->next) return CQL_EMALFORMED;
  items->count = (uint32_t)count * per_entry;
  return 0;
}

static int open_vector(cql_items_t *items) {
  const cql_type_t *type = items->type;
  int64_t size = items->end - items->next;
  if (size == 0) return 0;
  int64_t wanted = (int64_t)type->fixed_size * type->dimension;
  if (type->fixed_size ? size != wanted : size < type->dimension) return CQL_EMALFORMED;
  items->count = type->dimension;
  return 0;
}

int cql__items_open(const cql_type_t *type, const uint8_t *bytes, int32_t length,
                    cql_items_t *out) {
  const uint8_t *end = length > 0 ? bytes + length : bytes; /* which may be NULL */
  *out = (cql_items_t){type, bytes, end, 0, 0};
  switch (type->kind) {
    case CQL_LIST:
    case CQL_SET: return open_counted(out, 1);
    case CQL_MAP: return open_counted(out, 2);
    case CQL_TUPLE:
    case CQL_UDT: /* shorter: the rest is null; longer: the rest is skipped */
      out->count = type->child_count;
      return 0;
    case CQL_VECTOR: return open_vector(out);
    default: return CQL_EINVAL;
  }
}

static const cql_type_t *child_of(const cql_items_t *items) {
  const cql_type_t *type = items->type;
  switch (type->kind) {
    case CQL_MAP: return &type->children[items->index & 1];
    case CQL_TUPLE:
    case CQL_UDT: return &type->children[items->index];
    default: return &type->children[0];
  }
}

/* How long the next item is; its bytes begin where the cursor stands then. */
static int32_t next_length(const cql_items_t *items, cql__cursor *c) {
  const cql_type_t *type = items->type;
  if (type->kind == CQL_VECTOR) {
    if (type->fixed_size) return type->fixed_size;
    uint64_t length = cql__read_unsigned_vint(c);
    if (length > INT32_MAX) c->broken = 1;
    return c->broken ? 0 : (int32_t)length;
  }
  int is_field = type->kind == CQL_TUPLE || type->kind == CQL_UDT;
  if (is_field && c->next == c->end) return CQL_NULL; /* written before the field was added */
  return cql__read_i32(c);
}

/* Bytes behind the last element of a vector are an error; elsewhere they are ignored. */
static int at_end(const cql_items_t *items) {
  int trailing = items->type->kind == CQL_VECTOR && items->next != items->end;
  return trailing ? CQL_EMALFORMED : 0;
}

int cql__items_next(cql_items_t *items, cql_cell_t *out) {
  if (items->index >= items->count) return at_end(items);
  cql__cursor c = {items->next, items->end, 0};
  int32_t length = next_length(items, &c);
  const uint8_t *bytes = cql__read_raw(&c, length > 0 ? (size_t)length : 0);
  if (c.broken || cql__cell_decode(child_of(items), bytes, length, out)) return CQL_EMALFORMED;
  items->next = c.next;
  items->index++;
  return 1;
}
