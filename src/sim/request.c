#include "sim/message.h"

#include "wire/proto.h"

/* [value], which may be null or unset. */
static cql_slice_t read_value(cql__cursor *c, int version) {
  int32_t length = cql__read_i32(c);
  if (length < -2) c->broken = version >= 4 ? 1 : c->broken;
  if (length < 0)
    return (cql_slice_t){NULL, length == CQL_UNSET && version >= 4 ? CQL_UNSET : CQL_NULL};
  const uint8_t *bytes = cql__read_raw(c, (size_t)length);
  return (cql_slice_t){bytes, bytes ? length : 0};
}

/* Each takes 4 bytes at least, so no more room is made than the body has. */
static const cql_slice_t *read_values(cql__sim_request *r, uint32_t count,
                                      const cql_slice_t **names, int named) {
  cql__cursor *c = &r->body;
  if ((size_t)count * 4 > cql__cursor_left(c)) c->broken = 1;
  if (c->broken) return NULL;
  cql_slice_t *values = cql__sim_region_take(&r->region, count * sizeof *values);
  cql_slice_t *labels = named ? cql__sim_region_take(&r->region, count * sizeof *values) : NULL;
  for (uint32_t i = 0; i < count; i++) {
    if (named) labels[i] = cql__read_short_bytes(c);
    values[i] = read_value(c, r->version);
  }
  if (names) *names = labels;
  return values;
}

static cql_slice_t read_long_string(cql__cursor *c) {
  int32_t length = cql__read_i32(c);
  const uint8_t *text = length < 0 ? NULL : cql__read_raw(c, (size_t)length);
  if (!text) c->broken = 1;
  return (cql_slice_t){text, text ? length : 0};
}

static void read_rest(cql__sim_request *r) {
  cql__cursor *c = &r->body;
  uint32_t flags = r->parameters;
  if (flags & CQL__QUERY_SERIAL) r->serial = cql__read_u16(c);
  if (flags & CQL__QUERY_TIMESTAMP) r->timestamp = cql__read_i64(c);
  if (r->version < 5) return;
  if (flags & CQL__QUERY_KEYSPACE) r->keyspace = cql__read_short_bytes(c);
  if (flags & CQL__QUERY_NOW) r->now_in_seconds = cql__read_i32(c);
}

static void read_parameters(cql__sim_request *r) {
  cql__cursor *c = &r->body;
  r->consistency = cql__read_u16(c);
  r->parameters = r->version >= 5 ? (uint32_t)cql__read_i32(c) : cql__read_u8(c);
  if (r->parameters & CQL__QUERY_VALUES) {
    r->value_count = cql__read_u16(c);
    r->values = read_values(r, r->value_count, &r->names, (r->parameters & CQL__QUERY_NAMES) != 0);
  }
  if (r->parameters & CQL__QUERY_PAGE_SIZE) r->page_size = cql__read_i32(c);
  if (r->parameters & CQL__QUERY_PAGING_STATE) r->paging_state = cql__read_bytes(c);
  read_rest(r);
}

static void read_prepare(cql__sim_request *r) {
  r->text = read_long_string(&r->body);
  if (r->version < 5) return;
  uint32_t flags = (uint32_t)cql__read_i32(&r->body);
  if (flags & 1) r->keyspace = cql__read_short_bytes(&r->body);
}

static void read_batch(cql__sim_request *r) {
  cql__cursor *c = &r->body;
  r->batch_type = cql__read_u8(c);
  r->item_count = cql__read_u16(c);
  if ((size_t)r->item_count * 5 > cql__cursor_left(c)) c->broken = 1;
  if (c->broken) return;
  cql__sim_item *items = cql__sim_region_take(&r->region, r->item_count * sizeof *items);
  for (uint32_t i = 0; i < r->item_count && !c->broken; i++) {
    items[i].prepared = cql__read_u8(c) != 0;
    items[i].text = items[i].prepared ? cql__read_short_bytes(c) : read_long_string(c);
    items[i].value_count = cql__read_u16(c);
    items[i].values = read_values(r, items[i].value_count, NULL, 0);
  }
  r->items = items;
  if (r->item_count) r->text = items[0].prepared ? (cql_slice_t){NULL, CQL_NULL} : items[0].text;
  r->consistency = cql__read_u16(c);
  r->parameters = r->version >= 5 ? (uint32_t)cql__read_i32(c) : cql__read_u8(c);
  read_rest(r);
}

int cql__sim_request_read(cql__sim_request *r, const cql__sim_client *client, const uint8_t *header,
                          const uint8_t *body, size_t size) {
  const cql_slice_t none = {NULL, CQL_NULL};
  *r = (cql__sim_request){.body = cql__cursor_of(body, size),
                          .version = header[0] & 0x7F,
                          .flags = header[1],
                          .stream = (int16_t)cql__get_u16(header + 2),
                          .opcode = header[4],
                          .text = none,
                          .id = none,
                          .metadata_id = none,
                          .consistency = -1,
                          .serial = -1,
                          .page_size = -1,
                          .paging_state = none,
                          .keyspace = none,
                          .timestamp = CQL__STORE_NO_TIMESTAMP,
                          .now_in_seconds = -1};
  if (r->flags & CQL__FLAG_PAYLOAD && r->version >= 4) cql__read_bytes_map(&r->body);
  switch (r->opcode) {
    case CQL__QUERY:
      r->text = read_long_string(&r->body);
      read_parameters(r);
      break;
    case CQL__PREPARE: read_prepare(r); break;
    case CQL__EXECUTE:
      r->id = cql__read_short_bytes(&r->body);
      if (r->version >= 5 || client->extensions & CQL__SIM_METADATA_ID)
        r->metadata_id = cql__read_short_bytes(&r->body);
      read_parameters(r);
      break;
    case CQL__BATCH: read_batch(r); break;
    default: break;
  }
  return r->body.broken ? CQL_EPROTOCOL : 0;
}

void cql__sim_request_free(cql__sim_request *request) { cql__sim_region_free(&request->region); }
