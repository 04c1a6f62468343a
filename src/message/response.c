#include "message/response.h"

#include "wire/proto.h"

int cql__response_open(const uint8_t *header, const uint8_t *body, size_t size,
                       cql__response *out) {
  out->version = header[0] & 0x7f;
  out->flags = header[1];
  out->stream = (int16_t)cql__get_u16(header + 2);
  out->opcode = header[4];
  out->tracing_id = NULL;
  out->warnings = out->payload = (cql_slice_t){NULL, CQL_NULL};
  out->body = cql__cursor_of(body, size);
  if (out->flags & CQL__FLAG_TRACING) out->tracing_id = cql__read_raw(&out->body, 16);
  if (out->flags & CQL__FLAG_WARNINGS) out->warnings = cql__read_string_list(&out->body);
  if (out->flags & CQL__FLAG_PAYLOAD) out->payload = cql__read_bytes_map(&out->body);
  return out->body.broken ? CQL_EMALFORMED : 0;
}

int cql__supported_find(cql__cursor body, const char *key, cql__cursor *values, uint16_t *count) {
  for (uint16_t left = cql__read_u16(&body); left && !body.broken; left--) {
    cql_slice_t name = cql__read_short_bytes(&body);
    cql__cursor list = body;
    cql__read_string_list(&body);
    if (body.broken || !cql__slice_is(name, key)) continue;
    *count = cql__read_u16(&list);
    *values = list;
    return 1;
  }
  return body.broken ? CQL_EMALFORMED : 0;
}

/* ---- schema changes and events [spec 4.2.5.5, 4.2.6] ---- */

int cql__schema_change_decode(cql__cursor *body, cql_schema_change_t *out) {
  out->name = out->arguments = (cql_slice_t){NULL, CQL_NULL};
  out->change = cql__read_short_bytes(body);
  out->target = cql__read_short_bytes(body);
  out->keyspace = cql__read_short_bytes(body);
  if (!cql__slice_is(out->target, "KEYSPACE")) out->name = cql__read_short_bytes(body);
  if (cql__slice_is(out->target, "FUNCTION") || cql__slice_is(out->target, "AGGREGATE"))
    out->arguments = cql__read_string_list(body);
  return body->broken ? CQL_EMALFORMED : 0;
}

static int read_address(cql__cursor *body, cql__event *out) {
  uint8_t size = cql__read_u8(body);
  if (size != 4 && size != 16) return CQL_EMALFORMED;
  out->address = (cql_slice_t){cql__read_raw(body, size), size};
  out->port = cql__read_i32(body);
  return body->broken ? CQL_EMALFORMED : 0;
}

int cql__event_decode(cql__cursor *body, cql__event *out) {
  memset(out, 0, sizeof *out);
  out->address.length = CQL_NULL;
  out->type = cql__read_short_bytes(body);
  if (body->broken) return CQL_EMALFORMED;
  if (cql__slice_is(out->type, "SCHEMA_CHANGE")) {
    int error = cql__schema_change_decode(body, &out->schema);
    out->change = out->schema.change;
    return error;
  }
  if (!cql__slice_is(out->type, "TOPOLOGY_CHANGE") && !cql__slice_is(out->type, "STATUS_CHANGE"))
    return 0;
  out->change = cql__read_short_bytes(body);
  return body->broken ? CQL_EMALFORMED : read_address(body, out);
}
