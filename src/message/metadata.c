#include "message/metadata.h"

#include "base/mem.h"
#include "wire/proto.h"
#include "wire/types.h"

/* ---- specs: [keyspace, table of all columns] columns ---- */

static void skip_table(cql__cursor *c) {
  cql__read_short_bytes(c);
  cql__read_short_bytes(c);
}

/* Walks over the specs without allocating, and gives their bytes. */
static int walk_specs(cql__cursor *c, int32_t flags, uint32_t count, cql_slice_t *out) {
  const uint8_t *start = c->next;
  int global = flags & CQL__ROWS_GLOBAL;
  uint64_t column_min = global ? 4 : 8; /* strings and a type: 2 bytes each */
  if (c->broken || count * column_min > cql__cursor_left(c)) return CQL_EMALFORMED;
  if (global) skip_table(c);
  for (; count && !c->broken; count--) {
    if (!global) skip_table(c);
    cql__read_short_bytes(c);
    if (cql__type_skip(c, 0)) return CQL_EMALFORMED;
  }
  if (c->broken || c->next - start > INT32_MAX) return CQL_EMALFORMED;
  *out = (cql_slice_t){start, (int32_t)(c->next - start)};
  return 0;
}

/* Specs end where their own lengths say, so bytes that begin like known ones, under the same count
 * and flag, are these. */
static int begins_with(const cql__cursor *c, const cql__metadata *known, int32_t flags,
                       uint32_t count) {
  if (!known || known->shape.column_count != count || count == 0 ||
      known->global != (flags & CQL__ROWS_GLOBAL))
    return 0;
  size_t size = (size_t)known->specs.length;
  return size <= cql__cursor_left(c) && memcmp(c->next, known->specs.data, size) == 0;
}

int cql__rows_head_decode(cql__cursor *c, const cql__metadata *known, cql__rows_head *out) {
  const cql_slice_t none = {NULL, CQL_NULL};
  *out = (cql__rows_head){.paging_state = none, .metadata_id = none, .specs = none};
  const uint8_t *start = cql__read_raw(c, 8);
  if (!start) return CQL_EMALFORMED;
  out->flags = (int32_t)cql__get_u32(start);
  out->column_count = cql__get_u32(start + 4);
  if (out->column_count > INT32_MAX) return CQL_EMALFORMED;
  if (out->flags & CQL__ROWS_MORE) out->paging_state = cql__read_bytes(c);
  if (out->flags & CQL__ROWS_CHANGED) out->metadata_id = cql__read_short_bytes(c);
  if (c->broken) return CQL_EMALFORMED;
  if (out->flags & CQL__ROWS_NO_METADATA) return 0;
  if (begins_with(c, known, out->flags, out->column_count)) {
    out->specs = (cql_slice_t){c->next, known->specs.length};
    c->next += known->specs.length;
    return 0;
  }
  return walk_specs(c, out->flags, out->column_count, &out->specs);
}

int cql__metadata_matches(const cql__metadata *metadata, const cql__rows_head *head) {
  if (head->specs.length < 0 || metadata->shape.column_count != head->column_count) return 0;
  if (head->column_count == 0) return 1;
  return metadata->global == (head->flags & CQL__ROWS_GLOBAL) &&
         metadata->specs.length == head->specs.length &&
         memcmp(metadata->specs.data, head->specs.data, (size_t)head->specs.length) == 0;
}

/* ---- building ---- */

/* The names of columns point into the shape's own copy of the specs. */
static int build_columns(cql__metadata *metadata) {
  uint32_t count = metadata->shape.column_count;
  if (count == 0) return 0;
  cql_column_t *columns = cql__arena_take(&metadata->arena, count * sizeof *columns);
  if (!columns) return CQL_ENOMEM;
  cql__cursor c = cql__cursor_of(metadata->specs.data, (size_t)metadata->specs.length);
  cql_slice_t keyspace = {NULL, 0}, table = {NULL, 0};
  for (uint32_t i = 0; i < count; i++) {
    if (i == 0 || !metadata->global) {
      keyspace = cql__read_short_bytes(&c);
      table = cql__read_short_bytes(&c);
    }
    columns[i].keyspace = keyspace;
    columns[i].table = table;
    columns[i].name = cql__read_short_bytes(&c);
    int error = cql__type_read(&c, &metadata->arena, 0, &columns[i].type);
    if (error) return error;
  }
  metadata->shape.columns = columns;
  return 0;
}

int cql__metadata_build(const cql__rows_head *head, cql__metadata **out) {
  *out = NULL;
  if (head->specs.length < 0 && head->column_count > 0) return CQL_EMALFORMED;
  cql__metadata *metadata = cql__zalloc(sizeof *metadata);
  if (!metadata) return CQL_ENOMEM;
  metadata->refs = 1;
  metadata->global = head->flags & CQL__ROWS_GLOBAL;
  metadata->shape.column_count = head->column_count;
  int error = cql__slice_keep(&metadata->arena, head->specs, &metadata->specs);
  if (!error) error = build_columns(metadata);
  if (error) {
    cql__metadata_unref(metadata);
    return error;
  }
  *out = metadata;
  return 0;
}

/* Positions of markers, `count` of them, which the cursor stands at. */
static int read_keys(cql__cursor keys, uint32_t count, cql__metadata *metadata) {
  if (count == 0) return 0;
  uint16_t *indexes = cql__arena_take(&metadata->arena, count * sizeof *indexes);
  if (!indexes) return CQL_ENOMEM;
  for (uint32_t i = 0; i < count; i++) {
    indexes[i] = cql__read_u16(&keys);
    if (indexes[i] >= metadata->shape.column_count) return CQL_EMALFORMED;
  }
  metadata->shape.key_count = count;
  metadata->shape.key_indexes = indexes;
  return 0;
}

int cql__metadata_decode_bind(cql__cursor *c, int version, cql__metadata **out,
                              uint32_t *out_flags) {
  *out = NULL;
  cql__rows_head head = {.flags = cql__read_i32(c)};
  *out_flags = (uint32_t)head.flags;
  int32_t count = cql__read_i32(c);
  int32_t key_count = version >= 4 ? cql__read_i32(c) : 0;
  if (c->broken || count < 0 || key_count < 0) return CQL_EMALFORMED;
  head.column_count = (uint32_t)count;
  cql__cursor keys = *c;
  if (!cql__read_raw(c, (size_t)key_count * 2)) return CQL_EMALFORMED;
  int error = walk_specs(c, head.flags, head.column_count, &head.specs);
  if (!error) error = cql__metadata_build(&head, out);
  if (!error && (error = read_keys(keys, (uint32_t)key_count, *out))) {
    cql__metadata_unref(*out);
    *out = NULL;
  }
  return error;
}

cql__metadata *cql__metadata_ref(cql__metadata *metadata) {
  metadata->refs++;
  return metadata;
}

/* Apart, so that the count alone is inlined. */
__attribute__((noinline)) static void metadata_free(cql__metadata *metadata) {
  cql__arena_free(&metadata->arena);
  cql__free(metadata);
}

void cql__metadata_unref(cql__metadata *metadata) {
  if (metadata && --metadata->refs == 0) metadata_free(metadata);
}
