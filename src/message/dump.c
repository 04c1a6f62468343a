#include "message/dump.h"

#include <stdarg.h>
#include <stdio.h>

#include "message/errors.h"
#include "message/metadata.h"
#include "message/response.h"
#include "wire/proto.h"

typedef struct dump {
  char *out;
  size_t size, used;
  int blank;
  int version;
  cql__cursor c;
} dump;

__attribute__((format(printf, 2, 3))) static void say(dump *d, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t room = d->used < d->size ? d->size - d->used : 0;
  int length = vsnprintf(room ? d->out + d->used : NULL, room, format, arguments);
  va_end(arguments);
  if (length > 0) d->used += (size_t)length;
}

/* ---- parts ---- */

enum { SHOWN_MAX = 64 };

static void say_text(dump *d, cql_slice_t text) {
  say(d, "\"");
  for (int32_t i = 0; i < text.length && i < 400; i++) {
    uint8_t c = text.data[i];
    if (c == '"' || c == '\\')
      say(d, "\\%c", c);
    else
      say(d, c < 32 || c == 127 ? "\\x%02x" : "%c", c);
  }
  say(d, text.length > 400 ? "...\"" : "\"");
}

static void say_hex(dump *d, cql_slice_t bytes) {
  if (bytes.length == CQL_UNSET)
    say(d, "unset");
  else if (bytes.length < 0)
    say(d, "null");
  else if (bytes.length == 0)
    say(d, "empty");
  for (int32_t i = 0; i < bytes.length && i < SHOWN_MAX; i++) say(d, "%02x", bytes.data[i]);
  if (bytes.length > SHOWN_MAX) say(d, "...(%d bytes)", (int)bytes.length);
}

/* What differs between two runs. */
static void say_varying(dump *d, const char *name, cql_slice_t bytes) {
  say(d, " %s=", name);
  if (d->blank)
    say(d, "<%s>", name);
  else
    say_hex(d, bytes);
}

static const char *consistency_name(int level) {
  static const char *const names[] = {"ANY",          "ONE",         "TWO",    "THREE",
                                      "QUORUM",       "ALL",         "LOCAL_QUORUM",
                                      "EACH_QUORUM",  "SERIAL",      "LOCAL_SERIAL", "LOCAL_ONE"};
  return level >= 0 && level <= CQL_LOCAL_ONE ? names[level] : "UNKNOWN";
}

/* [value]: as [bytes], but -2 is unset. */
static cql_slice_t read_value(dump *d) {
  int32_t length = cql__read_i32(&d->c);
  if (length < 0) return (cql_slice_t){NULL, length == CQL_UNSET ? CQL_UNSET : CQL_NULL};
  return (cql_slice_t){cql__read_raw(&d->c, (size_t)length), d->c.broken ? 0 : length};
}

static void say_strings(dump *d) {
  uint16_t count = cql__read_u16(&d->c);
  say(d, "[");
  for (uint16_t i = 0; i < count && !d->c.broken; i++) {
    if (i) say(d, ", ");
    say_text(d, cql__read_short_bytes(&d->c));
  }
  say(d, "]");
}

static void say_string_map(dump *d, int multi) {
  uint16_t count = cql__read_u16(&d->c);
  for (uint16_t i = 0; i < count && !d->c.broken; i++) {
    say(d, "\n  ");
    cql_slice_t name = cql__read_short_bytes(&d->c);
    say(d, "%.*s = ", (int)name.length, (const char *)name.data);
    if (multi)
      say_strings(d);
    else
      say_text(d, cql__read_short_bytes(&d->c));
  }
}

static void say_payload(dump *d) {
  uint16_t count = cql__read_u16(&d->c);
  for (uint16_t i = 0; i < count && !d->c.broken; i++) {
    say(d, "\n  payload ");
    say_text(d, cql__read_short_bytes(&d->c));
    say(d, " = ");
    say_hex(d, cql__read_bytes(&d->c));
  }
}

/* ---- requests ---- */

static void say_values(dump *d, int named) {
  uint16_t count = cql__read_u16(&d->c);
  say(d, "\n  values");
  for (uint16_t i = 0; i < count && !d->c.broken; i++) {
    say(d, " ");
    if (named) {
      say_text(d, cql__read_short_bytes(&d->c));
      say(d, "=");
    }
    say_hex(d, read_value(d));
  }
}

static void say_tail(dump *d, uint32_t flags) {
  if (flags & CQL__QUERY_SERIAL)
    say(d, "\n  serial %s", consistency_name(cql__read_u16(&d->c)));
  if (flags & CQL__QUERY_TIMESTAMP) {
    int64_t at = cql__read_i64(&d->c);
    if (d->blank)
      say(d, "\n  timestamp <timestamp>");
    else
      say(d, "\n  timestamp %lld", (long long)at);
  }
  if (flags & CQL__QUERY_KEYSPACE) {
    say(d, "\n  keyspace ");
    say_text(d, cql__read_short_bytes(&d->c));
  }
  if (flags & CQL__QUERY_NOW) say(d, "\n  now_in_seconds %d", (int)cql__read_i32(&d->c));
}

static uint32_t read_flags(dump *d) {
  return d->version >= 5 ? (uint32_t)cql__read_i32(&d->c) : cql__read_u8(&d->c);
}

static void say_parameters(dump *d) {
  say(d, "\n  consistency %s", consistency_name(cql__read_u16(&d->c)));
  uint32_t flags = read_flags(d);
  if (flags & CQL__QUERY_VALUES) say_values(d, (flags & CQL__QUERY_NAMES) != 0);
  if (flags & CQL__QUERY_SKIP_METADATA) say(d, "\n  skip_metadata");
  if (flags & CQL__QUERY_PAGE_SIZE) say(d, "\n  page_size %d", (int)cql__read_i32(&d->c));
  if (flags & CQL__QUERY_PAGING_STATE) {
    say(d, "\n ");
    say_varying(d, "paging_state", cql__read_bytes(&d->c));
  }
  say_tail(d, flags);
}

static void say_long_text(dump *d) {
  cql_slice_t text = cql__read_bytes(&d->c);
  say(d, " ");
  say_text(d, text);
}

static void say_batch(dump *d) {
  static const char *const types[] = {"LOGGED", "UNLOGGED", "COUNTER"};
  uint8_t type = cql__read_u8(&d->c);
  uint16_t count = cql__read_u16(&d->c);
  say(d, " %s of %u", type < 3 ? types[type] : "UNKNOWN", count);
  for (uint16_t i = 0; i < count && !d->c.broken; i++) {
    say(d, "\n  statement");
    if (cql__read_u8(&d->c) == 0)
      say_long_text(d);
    else
      say_varying(d, "id", cql__read_short_bytes(&d->c));
    say_values(d, 0);
  }
  say(d, "\n  consistency %s", consistency_name(cql__read_u16(&d->c)));
  say_tail(d, read_flags(d));
}

static void say_prepare(dump *d) {
  say_long_text(d);
  if (d->version < 5 || cql__cursor_left(&d->c) == 0) return;
  if (cql__read_i32(&d->c) & 1) {
    say(d, "\n  keyspace ");
    say_text(d, cql__read_short_bytes(&d->c));
  }
}

static void say_request(dump *d, int opcode) {
  switch (opcode) {
  case CQL__STARTUP:
    say_string_map(d, 0);
    break;
  case CQL__REGISTER:
    say(d, " ");
    say_strings(d);
    break;
  case CQL__AUTH_RESPONSE: /* never the secret itself */
    say(d, " token of %d bytes", (int)cql__read_bytes(&d->c).length);
    break;
  case CQL__QUERY:
    say_long_text(d);
    say_parameters(d);
    break;
  case CQL__PREPARE:
    say_prepare(d);
    break;
  case CQL__EXECUTE:
    say_varying(d, "id", cql__read_short_bytes(&d->c));
    if (d->version >= 5) say_varying(d, "metadata_id", cql__read_short_bytes(&d->c));
    say_parameters(d);
    break;
  case CQL__BATCH:
    say_batch(d);
    break;
  default:
    break;
  }
}

/* ---- answers ---- */

static void say_error(dump *d) {
  int32_t code;
  cql_slice_t message;
  if (cql__error_open(&d->c, &code, &message)) return;
  say(d, " 0x%04x %s ", (unsigned)code, cql__server_error_name(code));
  say_text(d, message);
  cql_error_detail_t detail;
  if (cql__error_detail(code, d->version, d->c, &detail)) d->c.broken = 1;
  if (detail.consistency >= 0)
    say(d, "\n  consistency %s, received %d, required %d", consistency_name(detail.consistency),
        (int)detail.received, (int)detail.required);
  if (detail.failures) say(d, ", failures %d", (int)detail.failures);
  if (detail.data_present) say(d, ", data present");
  if (detail.write_type.length >= 0) {
    say(d, ", write type ");
    say_text(d, detail.write_type);
  }
  if (detail.keyspace.length >= 0) {
    say(d, "\n  of ");
    say_text(d, detail.keyspace);
    say(d, ".");
    say_text(d, detail.table);
  }
  if (detail.unknown_id.length >= 0) say_varying(d, "id", detail.unknown_id);
}

static void say_columns(dump *d, const cql__metadata *metadata) {
  const cql_metadata_t *shape = &metadata->shape;
  for (uint32_t i = 0; i < shape->column_count; i++) {
    const cql_column_t *column = &shape->columns[i];
    say(d, "\n  column ");
    say_text(d, column->name);
    say(d, " of ");
    say_text(d, column->keyspace);
    say(d, ".");
    say_text(d, column->table);
    say(d, " type 0x%02x", (unsigned)column->type.kind);
  }
}

static void say_shape(dump *d, const cql__rows_head *head) {
  cql__metadata *metadata;
  say(d, " %u columns", (unsigned)head->column_count);
  if (head->paging_state.length >= 0) say_varying(d, "paging_state", head->paging_state);
  if (head->metadata_id.length >= 0) say_varying(d, "new_metadata_id", head->metadata_id);
  if (head->specs.length < 0) {
    say(d, ", no metadata");
  } else if (cql__metadata_build(head, &metadata) == 0) {
    say_columns(d, metadata);
    cql__metadata_unref(metadata);
  }
}

static void say_rows(dump *d) {
  cql__rows_head head;
  if (cql__rows_head_decode(&d->c, NULL, &head)) {
    d->c.broken = 1;
    return;
  }
  say_shape(d, &head);
  int32_t count = cql__read_i32(&d->c);
  say(d, "\n  %d rows", (int)count);
  for (int32_t row = 0; row < count && row < 3 && !d->c.broken; row++) {
    say(d, "\n  row");
    for (uint32_t i = 0; i < head.column_count && !d->c.broken; i++) {
      say(d, " ");
      say_hex(d, cql__read_bytes(&d->c));
    }
  }
}

static void say_prepared(dump *d) {
  say_varying(d, "id", cql__read_short_bytes(&d->c));
  if (d->version >= 5) say_varying(d, "metadata_id", cql__read_short_bytes(&d->c));
  cql__metadata *metadata;
  uint32_t flags;
  if (cql__metadata_decode_bind(&d->c, d->version, &metadata, &flags)) {
    d->c.broken = 1;
    return;
  }
  say(d, "\n  %u values, key of %u", (unsigned)metadata->shape.column_count,
      (unsigned)metadata->shape.key_count);
  say_columns(d, metadata);
  cql__metadata_unref(metadata);
  cql__rows_head head;
  say(d, "\n  gives");
  if (cql__rows_head_decode(&d->c, NULL, &head))
    d->c.broken = 1;
  else
    say_shape(d, &head);
}

static void say_change(dump *d, const cql_schema_change_t *change) {
  say(d, " %.*s %.*s ", (int)change->change.length, (const char *)change->change.data,
      (int)change->target.length, (const char *)change->target.data);
  say_text(d, change->keyspace);
  if (change->name.length < 0) return;
  say(d, ".");
  say_text(d, change->name);
}

static void say_result(dump *d) {
  static const char *const kinds[] = {"", "VOID", "ROWS", "SET_KEYSPACE", "PREPARED",
                                      "SCHEMA_CHANGE"};
  int32_t kind = cql__read_i32(&d->c);
  if (kind < 1 || kind > 5) {
    say(d, " of unknown kind %d", (int)kind);
    return;
  }
  say(d, " %s", kinds[kind]);
  cql_schema_change_t change;
  if (kind == CQL_RESULT_ROWS) say_rows(d);
  if (kind == CQL_RESULT_PREPARED) say_prepared(d);
  if (kind == CQL_RESULT_KEYSPACE) {
    say(d, " ");
    say_text(d, cql__read_short_bytes(&d->c));
  }
  if (kind == CQL_RESULT_SCHEMA_CHANGE && !cql__schema_change_decode(&d->c, &change))
    say_change(d, &change);
}

static void say_event(dump *d) {
  cql__event event;
  if (cql__event_decode(&d->c, &event)) return;
  say(d, " %.*s", (int)event.type.length, (const char *)event.type.data);
  if (cql__slice_is(event.type, "SCHEMA_CHANGE")) {
    say_change(d, &event.schema);
  } else if (event.address.length >= 0) {
    say(d, " %.*s ", (int)event.change.length, (const char *)event.change.data);
    for (int32_t i = 0; i < event.address.length; i++)
      say(d, event.address.length == 4 ? "%s%d" : "%s%x",
          i == 0 ? "" : event.address.length == 4 ? "." : ":", event.address.data[i]);
    say(d, d->blank ? ":<port>" : ":%d", (int)event.port);
  }
}

static void say_answer(dump *d, int opcode, int flags) {
  if (flags & CQL__FLAG_TRACING)
    say_varying(d, "tracing", (cql_slice_t){cql__read_raw(&d->c, 16), d->c.broken ? 0 : 16});
  if (flags & CQL__FLAG_WARNINGS) {
    say(d, "\n  warnings ");
    say_strings(d);
  }
  if (flags & CQL__FLAG_PAYLOAD) say_payload(d);
  switch (opcode) {
  case CQL__ERROR:
    say_error(d);
    break;
  case CQL__AUTHENTICATE:
    say(d, " ");
    say_text(d, cql__read_short_bytes(&d->c));
    break;
  case CQL__SUPPORTED:
    say_string_map(d, 1);
    break;
  case CQL__RESULT:
    say_result(d);
    break;
  case CQL__EVENT:
    say_event(d);
    break;
  case CQL__AUTH_CHALLENGE:
  case CQL__AUTH_SUCCESS:
    say(d, " token of %d bytes", (int)cql__read_bytes(&d->c).length);
    break;
  default:
    break;
  }
}

/* ---- all of it ---- */

static const char *opcode_name(int opcode) {
  switch (opcode) {
#define CASE_NAME(name, number)                                                                    \
  case number:                                                                                     \
    return #name;
    CQL__OPCODE_MAP(CASE_NAME)
#undef CASE_NAME
  default:
    return "UNKNOWN";
  }
}

int cql__message_dump(const uint8_t *envelope, size_t length, int blank, char *out, size_t size) {
  dump d = {out, size, 0, blank, 0, {NULL, NULL, 0}};
  if (size) out[0] = 0;
  if (length < CQL__HEADER_SIZE) {
    say(&d, "truncated: %zu bytes of a header", length);
    return (int)d.used;
  }
  int answer = envelope[0] >> 7, flags = envelope[1], opcode = envelope[4];
  uint32_t body = cql__get_u32(envelope + 5);
  d.version = envelope[0] & 0x7f;
  size_t here = length - CQL__HEADER_SIZE;
  say(&d, "v%d %s", d.version, opcode_name(opcode));
  if (blank)
    say(&d, " stream <stream>");
  else
    say(&d, " stream %d", (int16_t)cql__get_u16(envelope + 2));
  if (flags) say(&d, " flags 0x%02x", (unsigned)flags);
  d.c = cql__cursor_of(envelope + CQL__HEADER_SIZE, here < body ? here : body);
  if (flags & CQL__FLAG_COMPRESSED) {
    say(&d, " compressed, %u bytes", (unsigned)body);
    return (int)d.used;
  }
  if (!answer && (flags & CQL__FLAG_PAYLOAD)) say_payload(&d);
  if (answer)
    say_answer(&d, opcode, flags);
  else
    say_request(&d, opcode);
  if (d.c.broken || here < body) say(&d, "\n  truncated: %zu of %u bytes", here, (unsigned)body);
  return (int)d.used;
}
