#include "wire/values.h"

#include "wire/text.h"

int cql__cell_decode(const cql_type_t *type, const uint8_t *bytes, int32_t length,
                     cql_cell_t *out) {
  if (length < 0) {
    out->length = CQL_NULL;
    out->as.integer = 0;
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
  if (count < 0 || (int64_t)count * per_entry * 4 > items->end - items->next)
    return CQL_EMALFORMED;
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
  if (length < 0) length = 0;
  *out = (cql_items_t){type, bytes, bytes + length, 0, 0};
  switch (type->kind) {
  case CQL_LIST:
  case CQL_SET:
    return open_counted(out, 1);
  case CQL_MAP:
    return open_counted(out, 2);
  case CQL_TUPLE:
  case CQL_UDT: /* shorter: the rest is null; longer: the rest is skipped */
    out->count = type->child_count;
    return 0;
  case CQL_VECTOR:
    return open_vector(out);
  default:
    return CQL_EINVAL;
  }
}

static const cql_type_t *child_of(const cql_items_t *items) {
  const cql_type_t *type = items->type;
  switch (type->kind) {
  case CQL_MAP:
    return &type->children[items->index & 1];
  case CQL_TUPLE:
  case CQL_UDT:
    return &type->children[items->index];
  default:
    return &type->children[0];
  }
}

/* The length of the next item, past which *items stands then. */
static int next_length(cql_items_t *items, int64_t *length) {
  const cql_type_t *type = items->type;
  int64_t left = items->end - items->next;
  if (type->kind == CQL_VECTOR) {
    if (type->fixed_size) {
      *length = type->fixed_size;
      return 0;
    }
    uint64_t size;
    int used = cql__vint_decode(items->next, (size_t)left, &size);
    if (used <= 0 || size > INT32_MAX) return CQL_EMALFORMED;
    items->next += used;
    *length = (int64_t)size;
    return 0;
  }
  int fields = type->kind == CQL_TUPLE || type->kind == CQL_UDT;
  if (fields && left == 0) {
    *length = CQL_NULL;
    return 0;
  }
  if (left < 4) return CQL_EMALFORMED;
  *length = (int32_t)cql__get_u32(items->next);
  items->next += 4;
  return 0;
}

/* Bytes behind the last element of a vector are an error; elsewhere they are ignored. */
static int at_end(const cql_items_t *items) {
  int trailing = items->type->kind == CQL_VECTOR && items->next != items->end;
  return trailing ? CQL_EMALFORMED : 0;
}

int cql__items_next(cql_items_t *items, cql_cell_t *out) {
  if (items->index >= items->count) return at_end(items);
  int64_t length;
  if (next_length(items, &length) || length > items->end - items->next) return CQL_EMALFORMED;
  int error = cql__cell_decode(child_of(items), items->next, (int32_t)length, out);
  if (error) return error;
  if (length > 0) items->next += length;
  items->index++;
  return 1;
}
