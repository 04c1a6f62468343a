/* Bodies of responses, as far as a client takes them apart, and their dump.
 *
 * Four bytes, for version, flags, opcode and the dump, then the body. */
#include "fuzz.h"

#include "base/limits.h"
#include "base/mem.h"
#include "connection/features.h"
#include "message/dump.h"
#include "message/metadata.h"
#include "message/response.h"
#include "wire/proto.h"

static uint64_t sum;

static void read_slice(cql_slice_t slice) {
  CHECK(slice.length >= CQL_NULL);
  if (slice.length > 0) sum = sum_of(sum, slice.data, (size_t)slice.length);
}

static void read_rows(cql__cursor *body) {
  cql__rows_head head;
  if (cql__rows_head_decode(body, NULL, &head)) return;
  read_slice(head.paging_state);
  read_slice(head.metadata_id);
  cql__metadata *metadata;
  if (cql__metadata_build(&head, &metadata)) return;
  CHECK(head.specs.length < 0 || cql__metadata_matches(metadata, &head));
  uint32_t columns = metadata->shape.column_count;
  for (uint32_t i = 0; i < columns; i++) {
    read_slice(metadata->shape.columns[i].keyspace);
    read_slice(metadata->shape.columns[i].table);
    read_slice(metadata->shape.columns[i].name);
  }
  int32_t count = cql__read_i32(body);
  if (!body->broken && columns > 0 && columns < 1000 && count > 0) {
    cql_cell_t *cells = malloc(columns * sizeof *cells);
    CHECK(cells);
    for (int32_t row = 0; row < count; row++) {
      if (cql__rows_split(body, &metadata->shape, 1, cells) != 1) break;
      for (uint32_t i = 0; i < columns; i++) sum = sum_of(sum, &cells[i], sizeof *cells);
    }
    free(cells);
  }
  cql__metadata_unref(metadata);
}

static void read_prepared(cql__cursor *body, int version) {
  read_slice(cql__read_short_bytes(body));
  if (version >= 5) read_slice(cql__read_short_bytes(body));
  cql__metadata *bind;
  uint32_t flags;
  if (cql__metadata_decode_bind(body, version, &bind, &flags)) return;
  for (uint32_t i = 0; i < bind->shape.key_count; i++)
    CHECK(bind->shape.key_indexes[i] < bind->shape.column_count);
  cql__metadata_unref(bind);
  read_rows(body);
}

static void read_result(cql__cursor *body, int version) {
  cql_schema_change_t change;
  switch (cql__read_i32(body)) {
    case CQL_RESULT_ROWS: read_rows(body); return;
    case CQL_RESULT_KEYSPACE: read_slice(cql__read_short_bytes(body)); return;
    case CQL_RESULT_PREPARED: read_prepared(body, version); return;
    case CQL_RESULT_SCHEMA_CHANGE:
      if (cql__schema_change_decode(body, &change) == 0) read_slice(change.arguments);
      return;
    default: return;
  }
}

static void read_features(cql__cursor body, int version) {
  cql__features features;
  if (cql__features_read(&features, version, CQL__FEATURES_ALL, body)) return;
  CHECK(features.shard < features.shard_count && features.ignore_msb < 64);
  CHECK(features.shard_count <= CQL__SHARDS_MAX);
  sum = sum_of(sum, features.host_id, sizeof features.host_id);
}

static void read_message(cql__response *r) {
  cql__cursor values;
  uint16_t count;
  int32_t code;
  cql_slice_t message;
  cql_error_detail_t detail;
  cql__event event;
  switch (r->opcode) {
    case CQL__ERROR:
      if (cql__error_open(&r->body, &code, &message)) return;
      read_slice(message);
      if (cql__error_detail(code, r->version, r->body, &detail) == 0) read_slice(detail.reasons);
      return;
    case CQL__SUPPORTED:
      read_features(r->body, r->version);
      if (cql__supported_find(r->body, "COMPRESSION", &values, &count) == 1)
        while (count-- > 0) read_slice(cql__read_short_bytes(&values));
      return;
    case CQL__EVENT:
      if (cql__event_decode(&r->body, &event)) return;
      read_slice(event.address);
      read_slice(event.connection_ids);
      read_slice(event.host_ids);
      return;
    case CQL__RESULT: read_result(&r->body, r->version); return;
    default: read_slice(cql__read_bytes(&r->body)); return;
  }
}

/* It says how long it would be, and never writes past what it is given. */
static void dump(const uint8_t *envelope, size_t size, unsigned choice) {
  int blank = choice & 1;
  int length = cql__message_dump(envelope, size, blank, NULL, 0);
  CHECK(length > 0);
  size_t room = choice & 2 ? (size_t)length / 2 : (size_t)length + 1;
  char *text = malloc(room ? room : 1);
  CHECK(text);
  CHECK(cql__message_dump(envelope, size, blank, text, room) == length);
  if (room) CHECK(strlen(text) == (room > (size_t)length ? (size_t)length : room - 1));
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t opcodes[] = {CQL__ERROR,  CQL__READY,          CQL__AUTHENTICATE,
                                    CQL__EVENT,  CQL__AUTH_CHALLENGE, CQL__AUTH_SUCCESS,
                                    CQL__RESULT, CQL__SUPPORTED};
  long live = cql__mem_live();
  input in = input_of(data, size);
  unsigned version = 3 + input_u8(&in) % 3, flags = input_u8(&in);
  unsigned opcode = input_u8(&in), choice = input_u8(&in);
  size_t body_size = input_left(&in);
  uint8_t *body = copy_of(in.next, body_size);
  uint8_t *envelope = malloc(CQL__HEADER_SIZE + body_size);
  CHECK(envelope);
  envelope[0] = (uint8_t)((choice & 4 ? 0 : 0x80) | version);
  envelope[1] = (uint8_t)flags;
  cql__put_u16(envelope + 2, choice);
  envelope[4] = choice & 4 ? (uint8_t)opcode : opcodes[opcode % sizeof opcodes];
  cql__put_u32(envelope + 5, (uint32_t)body_size + (choice & 8 ? 1 : 0));
  cql__put_bytes(envelope + CQL__HEADER_SIZE, body, body_size);
  cql__response response;
  if (cql__response_open(envelope, body, body_size, &response) == 0) {
    if (response.tracing_id) sum = sum_of(sum, response.tracing_id, 16);
    read_slice(response.warnings);
    read_slice(response.payload);
    read_message(&response);
  }
  dump(envelope, CQL__HEADER_SIZE + body_size, choice);
  free(envelope);
  free(body);
  CHECK(cql__mem_live() == live);
  return 0;
}
