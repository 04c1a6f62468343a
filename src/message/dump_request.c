/* The fields of requests [spec 4.1]. */
#include "message/dump.h"
#include "wire/proto.h"

/* [value]: as [bytes], but -2 is unset. */
static void say_value(cql__dump *d) {
  int32_t length = cql__read_i32(&d->c);
  const uint8_t *bytes = cql__read_raw(&d->c, length > 0 ? (size_t)length : 0);
  if (!d->c.broken) cql__dump_bytes(d, (cql_slice_t){bytes, length});
}

static void say_values(cql__dump *d, int named) {
  uint16_t count = cql__read_u16(&d->c);
  for (uint16_t i = 0; i < count && !d->c.broken; i++) {
    cql_slice_t name = named ? cql__read_short_bytes(&d->c) : (cql_slice_t){NULL, 0};
    if (d->c.broken) return;
    cql__dump_say(d, "\n  value %u", i + 1u);
    if (named) cql__dump_say(d, " ");
    cql__dump_plain(d, name);
    cql__dump_say(d, ": ");
    say_value(d);
  }
}

static uint32_t read_flags(cql__dump *d) {
  return d->version >= 5 ? (uint32_t)cql__read_i32(&d->c) : cql__read_u8(&d->c);
}

static void say_timestamp(cql__dump *d) {
  int64_t timestamp = cql__read_i64(&d->c);
  if (!d->blank)
    cql__dump_number(d, "timestamp", timestamp);
  else if (!d->c.broken)
    cql__dump_say(d, "\n  timestamp: <timestamp>");
}

/* What QUERY, EXECUTE and BATCH have in common, in this order. */
static void say_tail(cql__dump *d, uint32_t flags) {
  if (flags & CQL__QUERY_SERIAL) cql__dump_consistency(d, "serial consistency");
  if (flags & CQL__QUERY_TIMESTAMP) say_timestamp(d);
  if (flags & CQL__QUERY_KEYSPACE) cql__dump_string(d, "keyspace", cql__read_short_bytes(&d->c));
  if (flags & CQL__QUERY_NOW) cql__dump_number(d, "now in seconds", cql__read_i32(&d->c));
}

static void say_parameters(cql__dump *d) {
  cql__dump_consistency(d, "consistency");
  uint32_t flags = read_flags(d);
  if (flags & CQL__QUERY_VALUES) say_values(d, (flags & CQL__QUERY_NAMES) != 0);
  if (flags & CQL__QUERY_SKIP_METADATA && !d->c.broken) cql__dump_say(d, "\n  skip metadata");
  if (flags & CQL__QUERY_PAGE_SIZE) cql__dump_number(d, "page size", cql__read_i32(&d->c));
  if (flags & CQL__QUERY_PAGING_STATE) cql__dump_varying(d, "paging state", cql__read_bytes(&d->c));
  say_tail(d, flags);
}

static void say_execute(cql__dump *d) {
  cql__dump_varying(d, "prepared id", cql__read_short_bytes(&d->c));
  if (d->version >= 5) cql__dump_varying(d, "metadata id", cql__read_short_bytes(&d->c));
  say_parameters(d);
}

static void say_prepare(cql__dump *d) {
  cql__dump_string(d, "query", cql__read_bytes(&d->c));
  if (d->version >= 5 && cql__read_i32(&d->c) & 1)
    cql__dump_string(d, "keyspace", cql__read_short_bytes(&d->c));
}

static void say_batch(cql__dump *d) {
  static const char *const names[] = {"LOGGED", "UNLOGGED", "COUNTER"};
  uint8_t type = cql__read_u8(&d->c);
  uint16_t count = cql__read_u16(&d->c);
  if (type > 2)
    cql__dump_number(d, "type", type);
  else if (!d->c.broken)
    cql__dump_say(d, "\n  type: %s", names[type]);
  cql__dump_number(d, "statements", count);
  for (uint16_t i = 0; i < count && !d->c.broken; i++) {
    uint8_t kind = cql__read_u8(&d->c);
    if (kind == 0)
      cql__dump_string(d, "query", cql__read_bytes(&d->c));
    else if (kind == 1)
      cql__dump_varying(d, "prepared id", cql__read_short_bytes(&d->c));
    else
      d->c.broken = 1;
    say_values(d, 0);
  }
  cql__dump_consistency(d, "consistency");
  say_tail(d, read_flags(d));
}

void cql__dump_request(cql__dump *d, int opcode) {
  switch (opcode) {
    case CQL__STARTUP: cql__dump_pairs(d, "option", cql__dump_one_string); break;
    case CQL__REGISTER: cql__dump_string_list(d, "events"); break;
    case CQL__AUTH_RESPONSE: /* its bytes are a secret */
      cql__dump_number(d, "token of bytes", cql__read_bytes(&d->c).length);
      break;
    case CQL__QUERY:
      cql__dump_string(d, "query", cql__read_bytes(&d->c));
      say_parameters(d);
      break;
    case CQL__PREPARE: say_prepare(d); break;
    case CQL__EXECUTE: say_execute(d); break;
    case CQL__BATCH: say_batch(d); break;
    default: break;
  }
}
