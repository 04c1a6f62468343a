#include "message/metadata.h"

#include "base/mem.h"
#include "wire/proto.h"
#include "wire/types.h"

/* ---- the head ---- */

/* Past the specs of `count` columns. */
static int skip_specs(cql__cursor *c, int global, uint32_t count) {
  if (global && count) {
    cql__read_short_bytes(c);
    cql__read_short_bytes(c);
  }
  for (uint32_t i = 0; i < count; i++) {
    if (!global) {
      cql__read_short_bytes(c);
      cql__read_short_bytes(c);
    }
    cql__read_short_bytes(c);
    if (c->broken || cql__type_skip(c, 0)) return CQL_EMALFORMED;
  }
  return c->broken ? CQL_EMALFORMED : 0;
}

static int starts_with(const cql__cursor *c, cql_slice_t specs) {
  return specs.length > 0 && cql__cursor_left(c) >= (size_t)specs.length &&
         memcmp(c->next, specs.data, (size_t)specs.length) == 0;
}

static int read_specs(cql__cursor *c, const cql__metadata *known, cql__rows_head *head) {
  int global = (head->flags & CQL__ROWS_GLOBAL) != 0;
  const uint8_t *start = c->next;
  if (known && known->shape.column_count == head->column_count && known->global == global &&
      starts_with(c, known->specs)) { /* the bytes decide how many they are */
    c->next += known->specs.length;
  } else if (skip_specs(c, global, head->column_count)) {
    return CQL_EMALFORMED;
  }
  head->specs = (cql_slice_t){start, (int32_t)(c->next - start)};
  return 0;
}

int cql__rows_head_decode(cql__cursor *c, const cql__metadata *known, cql__rows_head *out) {
  out->flags = cql__read_i32(c);
  int32_t count = cql__read_i32(c);
  out->paging_state.length = out->metadata_id.length = out->specs.length = CQL_NULL;
  out->paging_state.data = out->metadata_id.data = out->specs.data = NULL;
  if (c->broken || count < 0) return CQL_EMALFORMED;
  out->column_count = (uint32_t)count;
  if (out->flags & CQL__ROWS_MORE) out->paging_state = cql__read_bytes(c);
  if (out->flags & CQL__ROWS_CHANGED) out->metadata_id = cql__read_short_bytes(c);
  if (c->broken) return CQL_EMALFORMED;
  if (out->flags & CQL__ROWS_NO_METADATA) return 0;
  /* A spec has a name and a type, of two bytes each at least. */
  if ((uint64_t)out->column_count * 4 > cql__cursor_left(c)) return CQL_EMALFORMED;
  return read_specs(c, known, out);
}

int cql__metadata_matches(const cql__metadata *metadata, const cql__rows_head *head) {
  int32_t length = head->specs.length > 0 ? head->specs.length : 0;
  return metadata->shape.column_count == head->column_count &&
         metadata->global == ((head->flags & CQL__ROWS_GLOBAL) != 0) &&
         metadata->specs.length == length &&
         (length == 0 || memcmp(metadata->specs.data, head->specs.data, (size_t)length) == 0);
}

/* ---- the shape ---- */

static int read_column(cql__cursor *c, cql__arena *arena, int global, const cql_column_t *first,
                       cql_column_t *out) {
  if (global) {
    out->keyspace = first->keyspace;
    out->table = first->table;
  } else {
    out->keyspace = cql__read_short_bytes(c);
    out->table = cql__read_short_bytes(c);
  }
  out->name = cql__read_short_bytes(c);
  return c->broken ? CQL_EMALFORMED : cql__type_read(c, arena, 0, &out->type);
}

/* Reads the copy of the specs, so that names point into what lives as long as the shape. */
static int read_columns(cql__metadata *metadata, uint32_t count) {
  cql__cursor c = cql__cursor_of(metadata->specs.data, (size_t)metadata->specs.length);
  cql_column_t *columns = cql__arena_take(&metadata->arena, count * sizeof *columns);
  if (!columns) return CQL_ENOMEM;
  metadata->shape.columns = columns;
  metadata->shape.column_count = count;
  cql_column_t first = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {0, 0, NULL, NULL, {NULL, 0}, {NULL, 0}, 0, 0}};
  if (metadata->global && count) {
    first.keyspace = cql__read_short_bytes(&c);
    first.table = cql__read_short_bytes(&c);
  }
  for (uint32_t i = 0; i < count; i++) {
    int error = read_column(&c, &metadata->arena, metadata->global, &first, &columns[i]);
    if (error) return error;
  }
  return 0;
}

int cql__metadata_build(const cql__rows_head *head, cql__metadata **out) {
  *out = NULL;
  if (head->specs.length < 0 && head->column_count) return CQL_EMALFORMED;
  cql__metadata *metadata = cql__zalloc(sizeof *metadata);
  if (!metadata) return CQL_ENOMEM;
  size_t size = head->specs.length > 0 ? (size_t)head->specs.length : 0;
  uint8_t *copy = cql__arena_take(&metadata->arena, size + 1);
  metadata->refs = 1;
  metadata->global = (head->flags & CQL__ROWS_GLOBAL) != 0;
  int error = CQL_ENOMEM;
  if (copy) {
    if (size) memcpy(copy, head->specs.data, size);
    metadata->specs = (cql_slice_t){copy, (int32_t)size};
    error = read_columns(metadata, head->column_count);
  }
  if (error) {
    cql__metadata_unref(metadata);
    return error;
  }
  *out = metadata;
  return 0;
}

/* ---- bound values ---- */

static int read_key(cql__cursor *c, uint32_t column_count, const uint8_t **indexes,
                    uint32_t *count) {
  int32_t parts = cql__read_i32(c);
  if (c->broken || parts < 0 || (uint64_t)(uint32_t)parts * 2 > cql__cursor_left(c))
    return CQL_EMALFORMED;
  *indexes = cql__read_raw(c, (size_t)parts * 2);
  *count = (uint32_t)parts;
  for (uint32_t i = 0; i < *count; i++)
    if (cql__get_u16(*indexes + (size_t)i * 2) >= column_count) return CQL_EMALFORMED;
  return 0;
}

static int keep_key(cql__metadata *metadata, const uint8_t *indexes, uint32_t count) {
  uint16_t *key = cql__arena_take(&metadata->arena, count * sizeof *key);
  if (!key) return CQL_ENOMEM;
  for (uint32_t i = 0; i < count; i++) key[i] = cql__get_u16(indexes + (size_t)i * 2);
  metadata->shape.key_indexes = key;
  metadata->shape.key_count = count;
  return 0;
}

int cql__metadata_decode_bind(cql__cursor *c, int version, cql__metadata **out,
                              uint32_t *out_flags) {
  cql__rows_head head;
  memset(&head, 0, sizeof head);
  *out = NULL;
  *out_flags = (uint32_t)cql__read_i32(c);
  head.flags = (int32_t)(*out_flags & CQL__ROWS_GLOBAL);
  int32_t columns = cql__read_i32(c);
  if (c->broken || columns < 0) return CQL_EMALFORMED;
  head.column_count = (uint32_t)columns;
  const uint8_t *indexes = NULL;
  uint32_t count = 0;
  if (version >= 4 && read_key(c, head.column_count, &indexes, &count)) return CQL_EMALFORMED;
  if ((uint64_t)head.column_count * 4 > cql__cursor_left(c)) return CQL_EMALFORMED;
  if (read_specs(c, NULL, &head)) return CQL_EMALFORMED;
  int error = cql__metadata_build(&head, out);
  if (!error && (error = keep_key(*out, indexes, count))) {
    cql__metadata_unref(*out);
    *out = NULL;
  }
  return error;
}

cql__metadata *cql__metadata_ref(cql__metadata *metadata) {
  metadata->refs++;
  return metadata;
}

void cql__metadata_unref(cql__metadata *metadata) {
  if (!metadata || --metadata->refs) return;
  cql__arena_free(&metadata->arena);
  cql__free(metadata);
}
