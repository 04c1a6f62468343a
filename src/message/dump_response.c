/* The fields of responses [spec 4.2]. */
#include <arpa/inet.h>

#include "message/dump.h"
#include "message/errors.h"
#include "message/response.h"
#include "wire/proto.h"
#include "wire/types.h"

enum { ROWS_SHOWN = 3 };

/* ---- types ---- */

static const char *const kind_names[] = {
    [CQL_ASCII] = "ascii",
    [CQL_BIGINT] = "bigint",
    [CQL_BLOB] = "blob",
    [CQL_BOOLEAN] = "boolean",
    [CQL_COUNTER] = "counter",
    [CQL_DECIMAL] = "decimal",
    [CQL_DOUBLE] = "double",
    [CQL_FLOAT] = "float",
    [CQL_INT] = "int",
    [CQL_UUID] = "uuid",
    [CQL_TIMESTAMP] = "timestamp",
    [CQL_TEXT] = "text",
    [CQL_VARINT] = "varint",
    [CQL_TIMEUUID] = "timeuuid",
    [CQL_INET] = "inet",
    [CQL_DATE] = "date",
    [CQL_TIME] = "time",
    [CQL_SMALLINT] = "smallint",
    [CQL_TINYINT] = "tinyint",
    [CQL_DURATION] = "duration",
    [CQL_LIST] = "list",
    [CQL_MAP] = "map",
    [CQL_SET] = "set",
    [CQL_TUPLE] = "tuple",
};

/* As CQL writes it: "map<int, ks.address<street text>>"; a class that isn't known in quotes. */
static void say_type(cql__dump *d, const cql_type_t *type) {
  if (type->kind == CQL_CUSTOM) {
    cql__dump_text(d, type->name);
    return;
  }
  if (type->kind == CQL_UDT) {
    cql__dump_plain(d, type->keyspace);
    cql__dump_say(d, ".");
    cql__dump_plain(d, type->name);
  } else {
    cql__dump_say(d, "%s", type->kind == CQL_VECTOR ? "vector" : kind_names[type->kind]);
  }
  for (uint32_t i = 0; i < type->child_count; i++) {
    cql__dump_say(d, i ? ", " : "<");
    if (type->names) cql__dump_plain(d, type->names[i]);
    if (type->names) cql__dump_say(d, " ");
    say_type(d, &type->children[i]);
  }
  if (type->kind == CQL_VECTOR) cql__dump_say(d, ", %u", (unsigned)type->dimension);
  if (type->child_count) cql__dump_say(d, ">");
}

/* ---- metadata ---- */

static void say_column(cql__dump *d, const char *what, cql_slice_t keyspace, cql_slice_t table) {
  cql__arena arena = {0};
  cql_type_t type;
  cql_slice_t name = cql__read_short_bytes(&d->c);
  int error = d->c.broken ? CQL_EMALFORMED : cql__type_read(&d->c, &arena, 0, &type);
  if (!d->c.broken) {
    cql__dump_say(d, "\n  %s ", what);
    cql__dump_plain(d, keyspace);
    cql__dump_say(d, ".");
    cql__dump_plain(d, table);
    cql__dump_say(d, ".");
    cql__dump_plain(d, name);
    cql__dump_say(d, ": ");
    if (!error) say_type(d, &type);
  }
  if (error) d->c.broken = 1;
  cql__arena_free(&arena);
}

static void say_specs(cql__dump *d, const char *what, int32_t flags, int32_t count) {
  int global = flags & CQL__ROWS_GLOBAL;
  cql_slice_t keyspace = {NULL, 0}, table = {NULL, 0};
  if (global) keyspace = cql__read_short_bytes(&d->c);
  if (global) table = cql__read_short_bytes(&d->c);
  for (int32_t i = 0; i < count && !d->c.broken; i++) {
    if (!global) keyspace = cql__read_short_bytes(&d->c);
    if (!global) table = cql__read_short_bytes(&d->c);
    say_column(d, what, keyspace, table);
  }
}

/* Of rows, or what a prepared statement gives; how many columns. */
static int32_t say_metadata(cql__dump *d) {
  int32_t flags = cql__read_i32(&d->c);
  int32_t count = cql__read_i32(&d->c);
  if (count < 0) d->c.broken = 1;
  cql__dump_number(d, "columns", count);
  if (flags & CQL__ROWS_MORE) cql__dump_varying(d, "paging state", cql__read_bytes(&d->c));
  if (flags & CQL__ROWS_CHANGED)
    cql__dump_varying(d, "new metadata id", cql__read_short_bytes(&d->c));
  if (d->c.broken) return 0;
  if (!(flags & CQL__ROWS_NO_METADATA))
    say_specs(d, "column", flags, count);
  else
    cql__dump_say(d, "\n  no metadata");
  return count;
}

static void say_rows(cql__dump *d) {
  int32_t columns = say_metadata(d);
  int32_t rows = cql__read_i32(&d->c);
  cql__dump_number(d, "rows", rows);
  for (int32_t row = 0; row < rows && row < ROWS_SHOWN && !d->c.broken; row++) {
    cql__dump_say(d, "\n  row %d: ", row + 1);
    for (int32_t i = 0; i < columns && !d->c.broken; i++) {
      if (i) cql__dump_say(d, ", ");
      cql__dump_one_value(d);
    }
  }
  if (rows > ROWS_SHOWN && !d->c.broken) cql__dump_say(d, "\n  %d rows more", rows - ROWS_SHOWN);
}

static void say_prepared(cql__dump *d) {
  cql__dump_varying(d, "prepared id", cql__read_short_bytes(&d->c));
  if (d->version >= 5) cql__dump_varying(d, "metadata id", cql__read_short_bytes(&d->c));
  int32_t flags = cql__read_i32(&d->c);
  int32_t count = cql__read_i32(&d->c);
  int32_t keys = d->version >= 4 ? cql__read_i32(&d->c) : 0;
  if (count < 0 || keys < 0) d->c.broken = 1;
  cql__dump_number(d, "markers", count);
  for (int32_t i = 0; i < keys && !d->c.broken; i++)
    cql__dump_number(d, "key part of marker", cql__read_u16(&d->c));
  if ((uint32_t)flags >> 31 && !d->c.broken) cql__dump_say(d, "\n  conditional");
  say_specs(d, "marker", flags, count);
  if (!d->c.broken) say_metadata(d);
}

/* ---- errors ---- */

static void say_address(cql__dump *d, cql_slice_t address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.length == 4 ? AF_INET : AF_INET6, address.data, text, sizeof text);
  cql__dump_say(d, "%s", text);
}

/* [inetaddr]: a length of 4 or 16, then the address. */
static cql_slice_t read_address(cql__dump *d) {
  uint8_t length = cql__read_u8(&d->c);
  if (length != 4 && length != 16) d->c.broken = 1;
  return (cql_slice_t){cql__read_raw(&d->c, length), length};
}

/* v5: which replicas failed, and for which reason. */
static void say_reasons(cql__dump *d) {
  int32_t count = cql__read_i32(&d->c);
  if (count < 0) d->c.broken = 1;
  cql__dump_number(d, "failures", count);
  for (int32_t i = 0; i < count && !d->c.broken; i++) {
    cql_slice_t address = read_address(d);
    uint16_t reason = cql__read_u16(&d->c);
    if (d->c.broken) return;
    cql__dump_say(d, "\n  failed: ");
    say_address(d, address);
    cql__dump_say(d, " for reason %u", reason);
  }
}

static void say_field(cql__dump *d, char field, int *is_cas) {
  cql_slice_t text;
  switch (field) {
    case 'c': cql__dump_consistency(d, "consistency"); break;
    case 'r': cql__dump_number(d, "received", cql__read_i32(&d->c)); break;
    case 'q': cql__dump_number(d, "required", cql__read_i32(&d->c)); break;
    case 'd': cql__dump_number(d, "data present", cql__read_u8(&d->c)); break;
    case 'w':
      text = cql__read_short_bytes(&d->c);
      *is_cas = cql__slice_is(text, "CAS");
      cql__dump_string(d, "write type", text);
      break;
    case 't':
      if (*is_cas) cql__dump_number(d, "contentions", cql__read_u16(&d->c));
      break;
    case 'n': cql__dump_number(d, "failures", cql__read_i32(&d->c)); break;
    case 'm': say_reasons(d); break;
    case 'a': cql__dump_string_list(d, "argument types"); break;
    case 'o': cql__dump_number(d, "operation", cql__read_u8(&d->c)); break;
    case 'j': cql__dump_number(d, "rejected by coordinator", cql__read_u8(&d->c)); break;
    case 'u': cql__dump_varying(d, "prepared id", cql__read_short_bytes(&d->c)); break;
    default: /* k, b */
      cql__dump_string(d, field == 'k' ? "keyspace" : "name", cql__read_short_bytes(&d->c));
      break;
  }
}

static void say_error(cql__dump *d) {
  int32_t code = cql__read_i32(&d->c);
  if (d->c.broken) return;
  cql__dump_say(d, "\n  error: 0x%04x %s", (unsigned)code, cql__server_error_name(code));
  cql__dump_string(d, "message", cql__read_short_bytes(&d->c));
  int is_cas = 0;
  for (const char *field = cql__error_fields(code, d->version); *field; field++)
    say_field(d, *field, &is_cas);
}

/* ---- events and the rest ---- */

static void say_schema_change(cql__dump *d) {
  cql_schema_change_t change;
  if (cql__schema_change_decode(&d->c, &change)) return;
  cql__dump_string(d, "change", change.change);
  cql__dump_string(d, "target", change.target);
  if (change.keyspace.length >= 0) cql__dump_string(d, "keyspace", change.keyspace);
  if (change.name.length >= 0) cql__dump_string(d, "name", change.name);
  if (change.arguments.length < 0) return;
  d->c.next = change.arguments.data; /* to say them, again */
  cql__dump_string_list(d, "argument types");
}

static void say_event(cql__dump *d) {
  cql_slice_t type = cql__read_short_bytes(&d->c);
  cql__dump_string(d, "event", type);
  if (cql__slice_is(type, "SCHEMA_CHANGE")) say_schema_change(d);
  if (!cql__slice_is(type, "TOPOLOGY_CHANGE") && !cql__slice_is(type, "STATUS_CHANGE")) return;
  cql__dump_string(d, "change", cql__read_short_bytes(&d->c));
  cql_slice_t address = read_address(d);
  int32_t port = cql__read_i32(&d->c);
  if (d->c.broken) return;
  cql__dump_say(d, "\n  address: ");
  say_address(d, address);
  if (d->blank)
    cql__dump_say(d, " port <port>");
  else
    cql__dump_say(d, " port %d", (int)port);
}

static void say_result(cql__dump *d) {
  static const char *const names[] = {NULL,           "VOID",     "ROWS",
                                      "SET_KEYSPACE", "PREPARED", "SCHEMA_CHANGE"};
  int32_t kind = cql__read_i32(&d->c);
  if (kind < CQL_RESULT_VOID || kind > CQL_RESULT_SCHEMA_CHANGE) {
    cql__dump_number(d, "kind", kind);
    return;
  }
  cql__dump_say(d, "\n  kind: %s", names[kind]);
  if (kind == CQL_RESULT_ROWS) say_rows(d);
  if (kind == CQL_RESULT_KEYSPACE) cql__dump_string(d, "keyspace", cql__read_short_bytes(&d->c));
  if (kind == CQL_RESULT_PREPARED) say_prepared(d);
  if (kind == CQL_RESULT_SCHEMA_CHANGE) say_schema_change(d);
}

void cql__dump_response(cql__dump *d, int opcode) {
  switch (opcode) {
    case CQL__ERROR: say_error(d); break;
    case CQL__AUTHENTICATE:
      cql__dump_string(d, "authenticator", cql__read_short_bytes(&d->c));
      break;
    case CQL__SUPPORTED: cql__dump_pairs(d, "option", cql__dump_strings); break;
    case CQL__RESULT: say_result(d); break;
    case CQL__EVENT: say_event(d); break;
    case CQL__AUTH_CHALLENGE: /* the bytes may be a secret */
    case CQL__AUTH_SUCCESS:
      cql__dump_number(d, "token of bytes", cql__read_bytes(&d->c).length);
      break;
    default: break;
  }
}
