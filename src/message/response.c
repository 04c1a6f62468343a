#include "message/response.h"

#include "wire/proto.h"

static const cql_slice_t null_slice = {NULL, CQL_NULL};

int cql__response_open(const uint8_t *header, const uint8_t *body, size_t size,
                       cql__response *out) {
  *out = (cql__response){.version = header[0] & 0x7F,
                         .flags = header[1],
                         .stream = (int16_t)cql__get_u16(header + 2),
                         .opcode = header[4],
                         .warnings = null_slice,
                         .payload = null_slice,
                         .body = cql__cursor_of(body, size)};
  cql__cursor *c = &out->body;
  if (out->flags & CQL__FLAG_TRACING) out->tracing_id = cql__read_raw(c, 16);
  if (out->version >= 4) { /* v3 has neither: there the bits mean nothing */
    if (out->flags & CQL__FLAG_WARNINGS) out->warnings = cql__read_string_list(c);
    if (out->flags & CQL__FLAG_PAYLOAD) out->payload = cql__read_bytes_map(c);
  }
  return c->broken ? CQL_EMALFORMED : 0;
}

int cql__supported_find(cql__cursor body, const char *key, cql__cursor *values, uint16_t *count) {
  for (uint16_t left = cql__read_u16(&body); left && !body.broken; left--) {
    cql_slice_t name = cql__read_short_bytes(&body);
    cql_slice_t list = cql__read_string_list(&body);
    if (body.broken || !cql__slice_is(name, key)) continue;
    *values = cql__cursor_of(list.data, (size_t)list.length);
    *count = cql__read_u16(values);
    return 1;
  }
  return body.broken ? CQL_EMALFORMED : 0;
}

/* The fields behind a target; one that is new to us keeps its fields to itself. */
static void read_target(cql__cursor *body, cql_schema_change_t *out) {
  int has_arguments =
      cql__slice_is(out->target, "FUNCTION") || cql__slice_is(out->target, "AGGREGATE");
  int has_name =
      has_arguments || cql__slice_is(out->target, "TABLE") || cql__slice_is(out->target, "TYPE");
  if (!has_name && !cql__slice_is(out->target, "KEYSPACE")) return;
  out->keyspace = cql__read_short_bytes(body);
  if (has_name) out->name = cql__read_short_bytes(body);
  if (has_arguments) out->arguments = cql__read_string_list(body);
}

int cql__schema_change_decode(cql__cursor *body, cql_schema_change_t *out) {
  *out = (cql_schema_change_t){null_slice, null_slice, null_slice, null_slice, null_slice};
  out->change = cql__read_short_bytes(body);
  out->target = cql__read_short_bytes(body);
  if (!body->broken) read_target(body, out);
  return body->broken ? CQL_EMALFORMED : 0;
}

/* [inet]: a length of 4 or 16, the address, a port. */
static void read_inet(cql__cursor *body, cql__event *out) {
  uint8_t length = cql__read_u8(body);
  if (length != 4 && length != 16) body->broken = 1;
  const uint8_t *address = cql__read_raw(body, length);
  out->port = cql__read_i32(body);
  if (!body->broken) out->address = (cql_slice_t){address, length};
}

/* Pair by pair, one of each list. */
static void read_routes(cql__cursor *body, cql__event *out) {
  cql_slice_t connections = cql__read_string_list(body), hosts = cql__read_string_list(body);
  if (body->broken || cql__get_u16(connections.data) != cql__get_u16(hosts.data)) {
    body->broken = 1;
    return;
  }
  out->connection_ids = connections;
  out->host_ids = hosts;
}

int cql__event_decode(cql__cursor *body, cql__event *out) {
  *out = (cql__event){.change = null_slice, .address = null_slice};
  out->connection_ids = out->host_ids = null_slice;
  out->schema = (cql_schema_change_t){null_slice, null_slice, null_slice, null_slice, null_slice};
  out->type = cql__read_short_bytes(body);
  if (cql__slice_is(out->type, "SCHEMA_CHANGE")) {
    int error = cql__schema_change_decode(body, &out->schema);
    out->change = out->schema.change;
    return error;
  }
  if (cql__slice_is(out->type, "TOPOLOGY_CHANGE") || cql__slice_is(out->type, "STATUS_CHANGE")) {
    out->change = cql__read_short_bytes(body);
    read_inet(body, out);
  } else if (cql__slice_is(out->type, "CLIENT_ROUTES_CHANGE")) {
    out->change = cql__read_short_bytes(body);
    read_routes(body, out);
  }
  return body->broken ? CQL_EMALFORMED : 0;
}
