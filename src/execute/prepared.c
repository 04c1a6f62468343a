#include "execute/prepared.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/plant.h"

/* Apart, so that the count alone is inlined. */
__attribute__((noinline)) static void prepared_free(cql_prepared_t *prepared) {
  cql__list_remove(&prepared->link);
  cql__metadata_unref(prepared->parameters);
  cql__metadata_unref(prepared->columns);
  cql__free(prepared->text);
  cql__free(prepared->keyspace);
  cql__free(prepared->ids);
  cql__free(prepared);
}

cql_prepared_t *cql_prepared_ref(cql_prepared_t *prepared) {
  prepared->refs++;
  return prepared;
}

void cql_prepared_unref(cql_prepared_t *prepared) {
  if (prepared && --prepared->refs == 0) prepared_free(prepared);
}

/* An id never stands for other columns than its own: one that is not known is empty, which has the
 * server send the columns. */
void cql__prepared_change(cql_prepared_t *prepared, cql__metadata *columns, cql_slice_t id) {
  if (columns == prepared->columns) {
    if (id.length < 0) return;
  } else if (!CQL__PLANTED(CQL__PLANT_COLUMNS) || !prepared->columns) {
    cql__metadata_ref(columns);
    cql__metadata_unref(prepared->columns);
    prepared->columns = columns;
  }
  if (id.length < 0 || id.length > CQL__METADATA_ID_MAX) id.length = 0;
  prepared->columns_id_length = (uint8_t)id.length;
  uint8_t *p = prepared->ids + 2 + prepared->id_length;
  cql__put_bytes(cql__put_u16(p, (unsigned)id.length), id.data, (size_t)id.length);
}

/* What a PREPARED body says of its columns; where it says nothing, those that are known stay.
 * ScyllaDB has an id for nothing, too, which would keep it from sending what such a statement
 * answers all the same (LIST ROLES). */
static int decode_columns(cql__engine *engine, const cql__connection *connection, cql__cursor *body,
                          cql_slice_t columns_id, cql_prepared_t *prepared) {
  cql__rows_head head;
  int error = cql__rows_head_decode(body, NULL, &head);
  if (error) return error;
  if (head.specs.length < 0) { /* none: every statement but SELECT [spec 4.2.5.4] */
    if (prepared->columns) return 0;
    if (connection->version < 5) columns_id.length = 0;
    head.column_count = 0;
    head.specs.length = 0;
  }
  cql__metadata *columns;
  if ((error = cql__shapes_find(&engine->shapes, &head, &columns))) return error;
  cql__prepared_change(prepared, columns, columns_id);
  cql__metadata_unref(columns);
  return 0;
}

static int keep_text(cql_slice_t text, char **out) {
  if (text.length < 0) return 0;
  *out = cql__text_copy((const char *)text.data, (size_t)text.length);
  return *out ? 0 : CQL_ENOMEM;
}

static uint8_t *former_id(const cql_prepared_t *prepared) {
  return prepared->ids + 2 + prepared->id_length + 2 + CQL__METADATA_ID_MAX;
}

/* Room is kept for that of the columns. */
static int keep_id(cql_slice_t id, cql_prepared_t *prepared) {
  size_t length = (size_t)id.length;
  prepared->ids = cql__malloc(2 + length + 2 + CQL__METADATA_ID_MAX + length);
  if (!prepared->ids) return CQL_ENOMEM;
  prepared->id_length = (uint16_t)length;
  cql__put_bytes(cql__put_u16(prepared->ids, prepared->id_length), id.data, length);
  memcpy(former_id(prepared), id.data, length);
  return 0;
}

int cql__prepared_has_id(const cql_prepared_t *prepared, cql_slice_t id) {
  size_t length = prepared->id_length;
  return id.length == prepared->id_length &&
         (!memcmp(id.data, cql__prepared_id(prepared), length) ||
          !memcmp(id.data, former_id(prepared), length));
}

/* Of as many bytes as before, as all ids of a server are. */
static void change_id(cql_prepared_t *prepared, cql_slice_t id) {
  size_t length = prepared->id_length;
  if (!memcmp(id.data, cql__prepared_id(prepared), length)) return;
  memcpy(former_id(prepared), cql__prepared_id(prepared), length);
  memcpy(prepared->ids + 2, id.data, length);
}

/* The ids that a PREPARED body begins with; `columns_id`: CQL_NULL where it has none. */
static int read_ids(const cql__connection *connection, cql__cursor *body, cql_slice_t *id,
                    cql_slice_t *columns_id) {
  *id = cql__read_short_bytes(body);
  *columns_id = (cql_slice_t){NULL, CQL_NULL};
  if (connection->features.metadata_id) *columns_id = cql__read_short_bytes(body);
  return body->broken || columns_id->length > CQL__METADATA_ID_MAX ? CQL_EMALFORMED : 0;
}

/* All bits of the mask, which that connection has learned. */
static void read_mark(const cql__connection *connection, uint32_t flags, cql_prepared_t *prepared) {
  uint32_t mask = connection->features.lwt_mask;
  if (mask) prepared->is_lwt = (flags & mask) == mask;
}

/* ScyllaDB's tables of changes have a partitioner of their own, and names that end so. */
static int is_of_changes(const cql_metadata_t *parameters) {
  static const char suffix[] = "_scylla_cdc_log";
  if (parameters->column_count == 0) return 0;
  cql_slice_t name = parameters->columns[0].table;
  int32_t start = name.length - (int32_t)sizeof suffix + 1;
  return start > 0 && memcmp(name.data + start, suffix, sizeof suffix - 1) == 0;
}

int cql__prepared_decode(cql__engine *engine, const cql__connection *connection, cql__cursor *body,
                         cql_slice_t text, cql_slice_t keyspace, cql_prepared_t **out) {
  cql_slice_t id, columns_id;
  uint32_t flags;
  if (read_ids(connection, body, &id, &columns_id) || id.length == 0) return CQL_EMALFORMED;
  cql_prepared_t *prepared = cql__zalloc(sizeof *prepared);
  if (!prepared) return CQL_ENOMEM;
  prepared->refs = 1;
  cql__list_init(&prepared->link);
  prepared->engine = engine;
  prepared->text_length = (size_t)text.length;
  int error = keep_id(id, prepared);
  if (!error) error = keep_text(text, &prepared->text);
  if (!error) error = keep_text(keyspace, &prepared->keyspace);
  if (!error)
    error = cql__metadata_decode_bind(body, connection->version, &prepared->parameters, &flags);
  if (!error) {
    read_mark(connection, flags, prepared);
    prepared->is_of_changes = (uint8_t)is_of_changes(&prepared->parameters->shape);
    cql__shapes_name(&engine->shapes, prepared->parameters);
    error = decode_columns(engine, connection, body, columns_id, prepared);
  }
  if (error) {
    prepared_free(prepared);
    return error;
  }
  *out = prepared;
  return 0;
}

/* Markers of a batch may be of one table while its other statements are of any. Behind a comment
 * nobody looks. */
static int may_be_batch(const cql_prepared_t *prepared) {
  const char *start = prepared->text + strspn(prepared->text, " \t\r\n");
  return *start == '-' || *start == '/' || strncasecmp(start, "BEGIN", 5) == 0;
}

/* An answer with another id: is it the same statement? The same text means the same where it is of
 * the same table, which markers and columns name; where there are none of either, nobody knows.
 * `body` stands at the columns. */
static int is_same(const cql_prepared_t *prepared, const cql__metadata *parameters,
                   cql__cursor body) {
  cql__rows_head head = {.flags = parameters->global,
                         .column_count = parameters->shape.column_count,
                         .specs = parameters->specs};
  if (!cql__metadata_matches(prepared->parameters, &head) || may_be_batch(prepared)) return 0;
  if (head.column_count) return 1;
  return cql__rows_head_decode(&body, NULL, &head) == 0 && head.column_count > 0 &&
         cql__metadata_matches(prepared->columns, &head);
}

int cql__prepared_renew(cql__engine *engine, const cql__connection *connection, cql__cursor *body,
                        cql_prepared_t *prepared) {
  cql_slice_t id, columns_id;
  if (read_ids(connection, body, &id, &columns_id)) return CQL_EMALFORMED;
  if (id.length != prepared->id_length) return CQL_EPREPARED;
  cql__metadata *parameters;
  uint32_t flags;
  int error = cql__metadata_decode_bind(body, connection->version, &parameters, &flags);
  if (error) return error;
  int known = cql__prepared_has_id(prepared, id) || is_same(prepared, parameters, *body);
  cql__metadata_unref(parameters); /* the id stands for them */
  if (!known) return CQL_EPREPARED;
  change_id(prepared, id);
  read_mark(connection, flags, prepared);
  return decode_columns(engine, connection, body, columns_id, prepared);
}

const cql_metadata_t *cql_prepared_parameters(const cql_prepared_t *prepared) {
  return &prepared->parameters->shape;
}

const cql_metadata_t *cql_prepared_columns(const cql_prepared_t *prepared) {
  return &prepared->columns->shape;
}

int cql_prepared_is_lwt(const cql_prepared_t *prepared) { return prepared->is_lwt; }

void cql_prepared_text(const cql_prepared_t *prepared, cql_slice_t *out) {
  *out = (cql_slice_t){(const uint8_t *)prepared->text, (int32_t)prepared->text_length};
}

void cql_prepared_id(const cql_prepared_t *prepared, cql_slice_t *out) {
  *out = (cql_slice_t){cql__prepared_id(prepared), prepared->id_length};
}
