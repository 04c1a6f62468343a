#include "execute/head.h"

#include <assert.h>
#include <string.h>

#include "wire/proto.h"

int cql__head_check(const cql_request_t *request, const cql__connection *connection) {
  int version = connection->version;
  if (version >= 5) return 0;
  if (request->query_flags & (CQL__QUERY_KEYSPACE | CQL__QUERY_NOW)) return CQL_EUNSUPPORTED;
  if (request->opcode == CQL__PREPARE && request->keyspace_length >= 0 && !request->in_use)
    return CQL_EUNSUPPORTED;
  if (version < 4 && (request->has_unset || request->payload_length >= 0)) return CQL_EUNSUPPORTED;
  return 0;
}

static int skips_metadata(const cql_request_t *request, const cql__connection *connection) {
  const cql_prepared_t *prepared = request->prepared;
  if (!prepared || prepared->columns->shape.column_count == 0) return 0;
  return connection->features.metadata_id || (request->options & CQL_OPTION_SKIP_METADATA) != 0;
}

static size_t prepare_flags_size(int32_t keyspace_length) {
  return 4 + (keyspace_length >= 0 ? 2u + (uint32_t)keyspace_length : 0);
}

/* Sizes of what stands between header and suffix; put_head() writes exactly this much. */
static size_t head_size(const cql_request_t *request, const cql__connection *connection) {
  size_t size = CQL__HEADER_SIZE;
  int v5 = connection->version >= 5;
  if (request->payload_length >= 0) size += (size_t)request->payload_length;
  if (request->opcode == CQL__PREPARE)
    return size + request->prefix_size + (v5 ? prepare_flags_size(request->keyspace_length) : 0);
  if (request->opcode == CQL__EXECUTE) {
    size += cql__prepared_ids_size(request->prepared, connection);
  } else {
    size += request->prefix_size;
  }
  return size + 2 + (v5 ? 4 : 1);
}

static uint8_t *put_header(const cql_request_t *request, const cql__connection *connection,
                           uint16_t stream, size_t body_size, uint8_t *p) {
  uint8_t flags = request->options & CQL_OPTION_TRACING ? CQL__FLAG_TRACING : 0;
  if (request->payload_length >= 0) flags |= CQL__FLAG_PAYLOAD;
  p[0] = connection->version;
  p[1] = flags;
  cql__put_u16(p + 2, stream);
  p[4] = request->opcode;
  p = cql__put_u32(p + 5, (uint32_t)body_size);
  if (request->payload_length < 0) return p;
  return cql__put_bytes(p, cql__request_payload(request).data, (size_t)request->payload_length);
}

/* What v5 has behind the text of a PREPARE. */
static uint8_t *put_prepare_flags(uint8_t *p, cql_slice_t keyspace) {
  p = cql__put_u32(p, keyspace.length >= 0);
  if (keyspace.length < 0) return p;
  p = cql__put_u16(p, (unsigned)keyspace.length);
  return cql__put_bytes(p, keyspace.data, (size_t)keyspace.length);
}

static uint8_t *put_head(const cql_request_t *request, const cql__connection *connection,
                         uint16_t stream, size_t body_size, uint8_t *p) {
  int v5 = connection->version >= 5;
  p = put_header(request, connection, stream, body_size, p);
  if (request->opcode != CQL__EXECUTE)
    p = cql__put_bytes(p, request->body->data, request->prefix_size);
  if (request->opcode == CQL__PREPARE)
    return v5 ? put_prepare_flags(p, cql__request_keyspace(request)) : p;
  if (request->opcode == CQL__EXECUTE) {
    size_t size = cql__prepared_ids_size(request->prepared, connection);
    p = cql__put_bytes(p, request->prepared->ids, size);
  }
  p = cql__put_u16(p, request->consistency);
  uint32_t flags = request->query_flags;
  if (skips_metadata(request, connection)) flags |= CQL__QUERY_SKIP_METADATA;
  return v5 ? cql__put_u32(p, flags) : cql__put_u8(p, flags);
}

static int fits_whole(const cql__writer *writer, size_t total) {
  int compressed =
      writer->lz4 && !writer->framed && total - CQL__HEADER_SIZE >= writer->compress_min;
  return !compressed && total < CQL__REFERENCE_MIN;
}

/* Large, or to be compressed: the head apart, the body where it lies. */
static int append_parcel(cql_request_t *request, cql__connection *connection, cql__block *head,
                         size_t head_size, size_t suffix) {
  cql__parcel parcel = {.head = head->data, .head_size = head_size};
  if (suffix) {
    parcel.owner = request->body;
    parcel.body = request->body->data + request->prefix_size;
    parcel.body_size = suffix;
  }
  return cql__writer_append(&connection->writer, &parcel);
}

int cql__head_append(cql_request_t *request, cql__connection *connection, uint16_t stream) {
  size_t head = head_size(request, connection);
  size_t suffix = request->body_size - request->prefix_size;
  size_t total = head + suffix;
  int error = 0;
  if (total - CQL__HEADER_SIZE > CQL__BODY_MAX) return CQL_ETOOBIG;
  cql__block *apart = NULL;
  uint8_t *p;
  if (fits_whole(&connection->writer, total)) {
    p = cql__writer_reserve(&connection->writer, total);
  } else {
    apart = cql__block_take(request->engine->pool, head);
    p = apart ? apart->data : NULL;
  }
  if (!p) return CQL_ENOMEM;
  uint8_t *end = put_head(request, connection, stream, total - CQL__HEADER_SIZE, p);
  assert(end == p + head); /* the size pass and the write pass agree */
  if (apart)
    error = append_parcel(request, connection, apart, head, suffix);
  else if (suffix)
    cql__put_bytes(end, request->body->data + request->prefix_size, suffix);
  cql__block_unref(apart);
  if (!error) cql__connection_sent(connection, total);
  return error;
}

static cql_slice_t text_slice(const char *text) {
  if (!text) return (cql_slice_t){NULL, CQL_NULL};
  return (cql_slice_t){(const uint8_t *)text, (int32_t)strlen(text)};
}

int cql__head_append_prepare(cql__connection *connection, const cql_prepared_t *prepared,
                             uint16_t stream) {
  cql_slice_t keyspace = text_slice(prepared->keyspace);
  int v5 = connection->version >= 5;
  size_t size = 4 + prepared->text_length + (v5 ? prepare_flags_size(keyspace.length) : 0);
  cql__block *block = cql__block_take(connection->settings->pool, CQL__HEADER_SIZE + size);
  if (!block) return CQL_ENOMEM;
  uint8_t *p = block->data;
  p[0] = connection->version;
  p[1] = 0;
  cql__put_u16(p + 2, stream);
  p[4] = CQL__PREPARE;
  p = cql__put_u32(p + 5, (uint32_t)size);
  p = cql__put_u32(p, (uint32_t)prepared->text_length);
  p = cql__put_bytes(p, prepared->text, prepared->text_length);
  if (v5) put_prepare_flags(p, keyspace);
  cql__parcel parcel = {.head = block->data, .head_size = CQL__HEADER_SIZE + size};
  int error = cql__writer_append(&connection->writer, &parcel);
  cql__block_unref(block);
  if (!error) cql__connection_sent(connection, CQL__HEADER_SIZE + size);
  return error;
}
