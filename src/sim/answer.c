#include <openssl/evp.h>

#include "message/errors.h"
#include "sim/message.h"
#include "sim/type.h"
#include "wire/proto.h"

void cql__sim_answer_init(cql__sim_answer *answer) {
  *answer =
      (cql__sim_answer){.error = -1, .stream = -1, .flip = -1, .keep = -1, .raw = {NULL, CQL_NULL}};
}

void cql__sim_answer_free(cql__sim_answer *answer) {
  cql__sim_buffer_free(&answer->body);
  cql__sim_buffer_free(&answer->warnings);
  cql__sim_buffer_free(&answer->payload);
}

void cql__sim_answer_void(cql__sim_answer *answer) {
  cql__sim_clear(&answer->body);
  answer->opcode = CQL__RESULT;
  answer->error = -1;
  cql__sim_put_u32(&answer->body, CQL_RESULT_VOID);
}

/* ---- errors ---- */

/* What a version without the code is told instead. */
static int32_t substitute(int32_t code, int version, int scylla) {
  if (version < 5 && code == 0x1700 && !scylla) return 0x1100;
  if (version >= 4) return code;
  switch (code) {
    case 0x1300: return 0x1200;
    case 0x1500: return 0x1100;
    case 0x1400:
    case 0x1600: return scylla ? code : 0x2200;
    default: return code;
  }
}

static const char *words(int32_t code) {
  switch (code) {
    case 0x1000: return "Cannot achieve consistency level";
    case 0x1001: return "Server overloaded";
    case 0x1002: return "Cannot write to a bootstrapping node";
    case 0x1100:
    case 0x1200: return "Operation timed out - received fewer responses than required";
    case 0x1300:
    case 0x1500: return "Operation failed";
    case 0x1700: return "CAS operation result is unknown";
    case 0x2500: return "Prepared query not found on this node";
    default: return cql__server_error_name(code);
  }
}

static void put_arguments(cql__sim_buffer *b, const char *text) {
  uint32_t count = 0;
  for (const char *at = text; *at; count++) at += strcspn(at, ",") + (at[strcspn(at, ",")] != 0);
  cql__sim_put_u16(b, count);
  for (const char *at = text; *at;) {
    size_t length = strcspn(at, ",");
    cql__sim_put_short_bytes(b, (cql_slice_t){(const uint8_t *)at, (int32_t)length});
    at += length + (at[length] != 0);
  }
}

/* n x (an address, a reason): none that anybody can know. */
static void put_reasons(cql__sim_buffer *b, int32_t failures) {
  cql__sim_put_u32(b, (uint32_t)failures);
  for (int32_t i = 0; i < failures; i++) {
    const uint8_t address[5] = {4, 127, 0, 0, (uint8_t)(i + 1)};
    cql__sim_put(b, address, sizeof address);
    cql__sim_put_u16(b, 0);
  }
}

static void put_field(cql__sim_buffer *b, char field, const cql__sim_error *e) {
  const char *write_type = e->write_type ? e->write_type : "SIMPLE";
  switch (field) {
    case 'c': cql__sim_put_u16(b, (unsigned)e->consistency); break;
    case 'r': cql__sim_put_u32(b, (uint32_t)e->received); break;
    case 'q': cql__sim_put_u32(b, (uint32_t)e->required); break;
    case 'd': cql__sim_put_u8(b, e->data_present != 0); break;
    case 'w': cql__sim_put_string(b, write_type); break;
    case 't':
      if (strcmp(write_type, "CAS") == 0) cql__sim_put_u16(b, (unsigned)e->contentions);
      break;
    case 'n': cql__sim_put_u32(b, (uint32_t)e->failures); break;
    case 'm': put_reasons(b, e->failures < 250 ? e->failures : 250); break;
    case 'o': cql__sim_put_u8(b, (unsigned)e->operation); break;
    case 'j': cql__sim_put_u8(b, e->rejected_by_coordinator != 0); break;
    case 'k': cql__sim_put_short_bytes(b, e->keyspace); break;
    case 'b': cql__sim_put_short_bytes(b, e->table); break;
    case 'a': put_arguments(b, e->arguments ? e->arguments : ""); break;
    default: cql__sim_put_short_bytes(b, e->id); break;
  }
}

void cql__sim_answer_error(cql__sim_answer *answer, const cql__sim_error *given, int version,
                           int scylla) {
  cql__sim_error e = *given;
  e.code = substitute(given->code, version, scylla);
  if (given->code == 0x1700 && e.code == 0x1100) e.write_type = "CAS";
  cql__sim_clear(&answer->body);
  answer->opcode = CQL__ERROR;
  answer->error = e.code;
  cql__sim_put_u32(&answer->body, (uint32_t)e.code);
  cql__sim_put_string(&answer->body, e.message ? e.message : words(e.code));
  for (const char *field = cql__error_fields(e.code, version); *field; field++)
    put_field(&answer->body, *field, &e);
}

void cql__sim_answer_fail(cql__sim_answer *answer, int code, const char *message) {
  cql__sim_error error = {.code = code, .message = message};
  cql__sim_answer_error(answer, &error, 4, 0);
}

/* ---- rows ---- */

static int same(cql_slice_t a, cql_slice_t b) {
  return a.length == b.length && (a.length <= 0 || memcmp(a.data, b.data, (size_t)a.length) == 0);
}

int cql__sim_is_global(const cql_column_t *columns, uint32_t count) {
  for (uint32_t i = 1; i < count; i++)
    if (!same(columns[i].keyspace, columns[0].keyspace) ||
        !same(columns[i].table, columns[0].table))
      return 0;
  return count > 0;
}

void cql__sim_put_columns(cql__sim_buffer *b, const cql_column_t *columns, uint32_t count,
                          int global, int version, int scylla) {
  for (uint32_t i = 0; i < count; i++) {
    if (!global || i == 0) {
      cql__sim_put_short_bytes(b, columns[i].keyspace);
      cql__sim_put_short_bytes(b, columns[i].table);
    }
    cql__sim_put_short_bytes(b, columns[i].name);
    cql__sim_put_type(b, &columns[i].type, version, scylla);
  }
}

static void put_rows(cql__sim_buffer *b, const cql__store_result *result,
                     const cql__sim_rows_options *options) {
  int global = cql__sim_is_global(result->columns, result->column_count);
  int no_metadata = options->no_metadata && !options->changed_id;
  uint32_t flags = global ? CQL__ROWS_GLOBAL : 0;
  if (result->paging_state.length >= 0) flags |= CQL__ROWS_MORE;
  if (no_metadata) flags |= CQL__ROWS_NO_METADATA;
  if (options->changed_id) flags |= CQL__ROWS_CHANGED;
  cql__sim_put_u32(b, CQL_RESULT_ROWS);
  cql__sim_put_u32(b, flags);
  cql__sim_put_u32(b, result->column_count);
  if (flags & CQL__ROWS_MORE) cql__sim_put_bytes(b, result->paging_state);
  if (options->changed_id) cql__sim_put_short_bytes(b, (cql_slice_t){options->changed_id, 16});
  if (!no_metadata)
    cql__sim_put_columns(b, result->columns, result->column_count, global, options->version,
                         options->scylla);
  cql__sim_put_u32(b, result->row_count);
  cql__sim_put(b, result->rows.data, (size_t)(result->rows.length > 0 ? result->rows.length : 0));
}

void cql__sim_put_change(cql__sim_buffer *b, const cql_schema_change_t *change, int version) {
  cql__sim_put_short_bytes(b, change->change);
  cql__sim_put_short_bytes(b, change->target);
  cql__sim_put_short_bytes(b, change->keyspace);
  if (!cql__slice_is(change->target, "KEYSPACE")) cql__sim_put_short_bytes(b, change->name);
  (void)version;
}

void cql__sim_answer_result(cql__sim_answer *answer, const cql__store_result *result,
                            const cql__sim_rows_options *options) {
  cql__sim_buffer *b = &answer->body;
  cql__sim_clear(b);
  if (result->kind == CQL_RESULT_ERROR) {
    cql__sim_error error = {.code = result->error_code,
                            .message = result->message,
                            .keyspace = result->keyspace,
                            .table = result->table};
    cql__sim_answer_error(answer, &error, options->version, options->scylla);
    return;
  }
  answer->opcode = CQL__RESULT;
  answer->error = -1;
  switch (result->kind) {
    case CQL_RESULT_ROWS: put_rows(b, result, options); break;
    case CQL_RESULT_KEYSPACE:
      cql__sim_put_u32(b, CQL_RESULT_KEYSPACE);
      cql__sim_put_short_bytes(b, result->keyspace);
      break;
    case CQL_RESULT_SCHEMA_CHANGE:
      cql__sim_put_u32(b, CQL_RESULT_SCHEMA_CHANGE);
      cql__sim_put_change(b, &result->change, options->version);
      break;
    default: cql__sim_put_u32(b, CQL_RESULT_VOID); break;
  }
}

/* ---- all ---- */

int cql__sim_answer_body(const cql__sim_answer *answer, int version, cql__sim_buffer *out) {
  int flags = 0;
  if (answer->traced) {
    flags |= CQL__FLAG_TRACING;
    cql__sim_put(out, answer->tracing_id, 16);
  }
  if (answer->warning_count && version >= 4) {
    flags |= CQL__FLAG_WARNINGS;
    cql__sim_put_u16(out, answer->warning_count);
    cql__sim_put(out, cql__sim_bytes(&answer->warnings), cql__sim_size(&answer->warnings));
  }
  if (answer->payload_count && version >= 4) {
    flags |= CQL__FLAG_PAYLOAD;
    cql__sim_put_u16(out, answer->payload_count);
    cql__sim_put(out, cql__sim_bytes(&answer->payload), cql__sim_size(&answer->payload));
  }
  cql__sim_put(out, cql__sim_bytes(&answer->body), cql__sim_size(&answer->body));
  return flags;
}

void cql__sim_md5(const void *bytes, size_t size, uint8_t out[16]) {
  EVP_Digest(bytes, size, out, NULL, EVP_md5(), NULL);
}

void cql__sim_metadata_id(const cql_column_t *columns, uint32_t count, uint8_t out[16]) {
  cql__sim_buffer b = {0};
  cql__sim_put_u32(&b, count);
  cql__sim_put_columns(&b, columns, count, cql__sim_is_global(columns, count), 5, 1);
  cql__sim_md5(cql__sim_bytes(&b), cql__sim_size(&b), out);
  cql__sim_buffer_free(&b);
}
