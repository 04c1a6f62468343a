#include "execute/result.h"

#include <string.h>

#include "base/limits.h"
#include "wire/proto.h"

static void release(cql__result *result) {
  cql__metadata_unref(result->metadata);
  cql_prepared_unref(result->prepared);
  cql__block_unref(result->owner);
  cql__block_unref(result->bound);
  cql__block_unref(result->block);
}

void cql_result_free(cql_result_t *shown) {
  if (shown) release((cql__result *)(void *)shown);
}

/* A result with the body where it will live; *body stands at its start. */
static cql__result *result_new(const cql_request_t *request, const cql__connection *connection,
                               const cql__envelope *envelope, cql__cursor *body) {
  const cql_slice_t none = {NULL, CQL_NULL};
  int copy = envelope->size <= CQL__RESULT_COPY_MAX;
  size_t room = sizeof(cql__result) + (copy ? envelope->size : 0);
  cql__block *block = cql__block_take(request->engine->pool, room);
  if (!block) return NULL;
  cql__result *result = (cql__result *)(void *)block->data;
  *result = (cql__result){
      .shown = {.paging_state = none,
                .bound = none,
                .message = none,
                .detail = none,
                .warnings = none,
                .payload = none,
                .protocol_version = connection->version},
      .block = block,
  };
  const uint8_t *bytes = envelope->body;
  if (copy) {
    bytes = memcpy(result + 1, bytes, envelope->size);
  } else {
    result->owner = cql__block_ref(envelope->owner);
  }
  *body = cql__cursor_of(bytes, envelope->size);
  return result;
}

/* The shape of these rows, with a reference; what changed is taken over by the statement. */
static int find_shape(cql_request_t *request, const cql__rows_head *head, cql__metadata **out) {
  cql__engine *engine = request->engine;
  cql_prepared_t *prepared = request->prepared;
  cql__metadata *known = request->columns;
  if (head->specs.length < 0) {
    if (!known || known->shape.column_count != head->column_count) return CQL_EMALFORMED;
    *out = cql__metadata_ref(known);
    return 0;
  }
  if (known && cql__metadata_matches(known, head)) {
    *out = cql__metadata_ref(known);
  } else {
    int error = cql__shapes_find(&engine->shapes, head, out);
    if (error) return error;
  }
  if (prepared && head->metadata_id.length >= 0)
    cql__prepared_change(prepared, *out, head->metadata_id);
  return 0;
}

/* `count` rows of result->metadata, at the cursor. */
static int begin_rows(cql__result *result, int32_t count, const cql__cursor *body) {
  const cql_metadata_t *shape = result->shown.metadata = &result->metadata->shape;
  /* A cell is 4 bytes at least; rows without columns have none to count. */
  if (count < 0 || (uint64_t)(uint32_t)count * shape->column_count * 4 > cql__cursor_left(body) ||
      (shape->column_count == 0 && count > 0))
    return CQL_EMALFORMED;
  result->shown.row_count = result->rows_left = (uint32_t)count;
  result->rows.next = result->rows_start = body->next;
  result->rows.end = body->end;
  return 0;
}

/* Pages follow: the next one is asked for with the same values, whatever became of those that the
 * host had. An EXECUTE has nothing before them. */
static void keep_bound(const cql_request_t *request, cql__result *result) {
  if (request->opcode != CQL__EXECUTE) return;
  result->shown.bound.length = 0;
  if (!(request->query_flags & CQL__QUERY_VALUES)) return;
  cql__cursor body = cql__cursor_of(request->body->data, request->body_size);
  uint32_t count = cql__read_u16(&body);
  const uint8_t *start = body.next;
  for (uint32_t i = 0; i < count; i++) {
    int32_t length = cql__read_i32(&body);
    if (length > 0) cql__read_raw(&body, (size_t)length);
  }
  result->bound = cql__block_ref(request->body);
  result->shown.bound = (cql_slice_t){start, (int32_t)(body.next - start)};
  result->shown.bound_count = count;
}

static int decode_rows(cql_request_t *request, cql__result *result, cql__cursor *body) {
  cql__rows_head head;
  int error = cql__rows_head_decode(body, request->columns, &head);
  if (!error) error = find_shape(request, &head, &result->metadata);
  if (error) return error;
  result->shown.paging_state = head.paging_state;
  if (head.paging_state.length >= 0) keep_bound(request, result);
  int32_t count = cql__read_i32(body);
  return body->broken ? CQL_EMALFORMED : begin_rows(result, count, body);
}

/* The usual answer: kind, no metadata, as many columns as are known, and then rows. It is read
 * where it was received, for the processor waits for what it has just copied. */
enum { PLAIN_HEAD = 16 };

static int is_plain_rows(const cql_request_t *request, const cql__envelope *envelope) {
  const uint8_t *at = envelope->body;
  return request->columns && envelope->size >= PLAIN_HEAD &&
         cql__get_u32(at + 4) == CQL__ROWS_NO_METADATA &&
         cql__get_u32(at + 8) == request->columns->shape.column_count;
}

static int decode_plain_rows(const cql_request_t *request, const cql__envelope *envelope,
                             cql__result *result, cql__cursor *body) {
  result->shown.kind = CQL_RESULT_ROWS;
  result->metadata = cql__metadata_ref(request->columns);
  body->next += PLAIN_HEAD;
  return begin_rows(result, (int32_t)cql__get_u32(envelope->body + 12), body);
}

static int decode_prepared(cql_request_t *request, const cql__connection *connection,
                           cql__result *result, cql__cursor *body) {
  cql_slice_t text = {request->body->data + 4, (int32_t)request->prefix_size - 4};
  return cql__prepared_decode(request->engine, connection, body, text,
                              cql__request_keyspace(request), &result->prepared);
}

static int decode_result(cql_request_t *request, const cql__connection *connection,
                         cql__result *result, cql__cursor *body) {
  result->shown.kind = cql__read_i32(body);
  int answers_prepare = result->shown.kind == CQL_RESULT_PREPARED;
  if (body->broken || answers_prepare != (request->opcode == CQL__PREPARE)) return CQL_EMALFORMED;
  switch (result->shown.kind) {
    case CQL_RESULT_VOID: return 0;
    case CQL_RESULT_ROWS: return decode_rows(request, result, body);
    case CQL_RESULT_KEYSPACE:
      result->shown.message = cql__read_short_bytes(body);
      return body->broken ? CQL_EMALFORMED : 0;
    case CQL_RESULT_PREPARED: return decode_prepared(request, connection, result, body);
    case CQL_RESULT_SCHEMA_CHANGE:
      result->shown.detail = (cql_slice_t){body->next, (int32_t)cql__cursor_left(body)};
      return 0;
    default: return CQL_EMALFORMED;
  }
}

static int decode_error(const cql__connection *connection, cql__result *result, cql__cursor *body) {
  int32_t limited = connection->features.rate_limit_code;
  result->shown.kind = CQL_RESULT_ERROR;
  if (cql__error_open(body, &result->shown.error_code, &result->shown.message))
    return CQL_EMALFORMED;
  if (limited && result->shown.error_code == limited)
    result->shown.error_code = CQL_RATE_LIMIT_ERROR;
  result->shown.detail = (cql_slice_t){body->next, (int32_t)cql__cursor_left(body)};
  return 0;
}

/* What some answers have before the body proper. */
enum { EXTRAS = CQL__FLAG_TRACING | CQL__FLAG_PAYLOAD | CQL__FLAG_WARNINGS };

static int read_extras(const uint8_t *header, cql__result *result, cql__cursor *body) {
  cql__response response;
  int error = cql__response_open(header, body->next, cql__cursor_left(body), &response);
  result->shown.tracing_id = response.tracing_id;
  result->shown.warnings = response.warnings;
  result->shown.payload = response.payload;
  *body = response.body;
  return error;
}

/* Without extras: what kind of RESULT it is; 0: it is none, or too short to say. */
static uint32_t plain_kind(const cql__envelope *envelope) {
  const uint8_t *header = envelope->header;
  int plain = header[4] == CQL__RESULT && !(header[1] & EXTRAS) && envelope->size >= 4;
  return plain ? cql__get_u32(envelope->body) : 0;
}

static int decode_any(cql_request_t *request, const cql__connection *connection,
                      const uint8_t *header, cql__result *result, cql__cursor *body) {
  int error = header[1] & EXTRAS ? read_extras(header, result, body) : 0;
  if (error) return error;
  if (header[4] == CQL__RESULT) return decode_result(request, connection, result, body);
  return header[4] == CQL__ERROR ? decode_error(connection, result, body) : CQL_EMALFORMED;
}

int cql__result_decode(cql_request_t *request, const cql__connection *connection,
                       const cql__envelope *envelope, cql__result **out) {
  *out = NULL;
  int plain = request->opcode == CQL__PREPARE ? 0 : (int)plain_kind(envelope);
  if (plain == CQL_RESULT_VOID) return 0;
  cql__cursor body;
  cql__result *result = result_new(request, connection, envelope, &body);
  if (!result) return CQL_ENOMEM;
  int error;
  if (plain == CQL_RESULT_ROWS && is_plain_rows(request, envelope)) {
    error = decode_plain_rows(request, envelope, result, &body);
  } else {
    error = decode_any(request, connection, envelope->header, result, &body);
  }
  if (error) {
    release(result);
    return error;
  }
  *out = result;
  return 0;
}

/* ---- for readers ---- */

int cql_result_cells(cql_result_t *shown, uint32_t max_rows, cql_cell_t *out) {
  cql__result *result = (cql__result *)(void *)shown;
  if (shown->kind != CQL_RESULT_ROWS) return 0;
  uint32_t count = max_rows < result->rows_left ? max_rows : result->rows_left;
  if (count == 0) return 0;
  int got = cql__rows_split(&result->rows, shown->metadata, count, out);
  result->rows_left = got < 0 ? 0 : result->rows_left - (uint32_t)got;
  return got;
}

void cql_result_rewind(cql_result_t *shown) {
  cql__result *result = (cql__result *)(void *)shown;
  if (shown->kind != CQL_RESULT_ROWS) return;
  result->rows.next = result->rows_start;
  result->rows.broken = 0;
  result->rows_left = shown->row_count;
}

cql_prepared_t *cql_result_prepared(cql_result_t *shown) {
  cql__result *result = (cql__result *)(void *)shown;
  return result->prepared ? cql_prepared_ref(result->prepared) : NULL;
}

static cql__cursor detail_of(const cql_result_t *shown) {
  size_t size = shown->detail.length > 0 ? (size_t)shown->detail.length : 0;
  return cql__cursor_of(shown->detail.data, size);
}

int cql_result_error(const cql_result_t *shown, cql_error_detail_t *out) {
  if (shown->kind != CQL_RESULT_ERROR) return CQL_EINVAL;
  return cql__error_detail(shown->error_code, shown->protocol_version, detail_of(shown), out);
}

int cql_result_schema_change(const cql_result_t *shown, cql_schema_change_t *out) {
  if (shown->kind != CQL_RESULT_SCHEMA_CHANGE) return CQL_EINVAL;
  cql__cursor body = detail_of(shown);
  return cql__schema_change_decode(&body, out);
}
