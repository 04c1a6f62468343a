#include "frame/compress.h"
#include "frame/segment.h"
#include "sim/dispatch.h"
#include "sim/world.h"
#include "wire/proto.h"

/* ---- out ---- */

static void put_compressed(cql__sim_buffer *out, cql_slice_t body) {
  size_t bound = cql__lz4_bound((size_t)body.length);
  cql__sim_put_u32(out, (uint32_t)body.length);
  uint8_t *at = cql__sim_extend(out, bound);
  size_t used = body.length ? cql__lz4_compress(body.data, (size_t)body.length, at, bound) : 0;
  if (!body.length) at[used++] = 0;
  out->end -= bound - used;
}

void cql__sim_client_envelope(cql__sim_client *client, int version, int flags, int stream,
                              int opcode, cql_slice_t body) {
  cql__sim_buffer compressed = {0};
  if (client->lz4 && version < 5) {
    put_compressed(&compressed, body);
    body = cql__sim_slice(&compressed);
    flags |= CQL__FLAG_COMPRESSED;
  }
  cql__sim_buffer *out = &client->gathered;
  cql__sim_put_u8(out, 0x80u | (unsigned)version);
  cql__sim_put_u8(out, (unsigned)flags);
  cql__sim_put_u16(out, (unsigned)stream & 0xFFFF);
  cql__sim_put_u8(out, (unsigned)opcode);
  cql__sim_put_u32(out, (uint32_t)body.length);
  cql__sim_put(out, body.data, (size_t)body.length);
  cql__sim_buffer_free(&compressed);
}

static void put_segment(const cql__sim_client *client, cql__sim_buffer *out, const uint8_t *bytes,
                        size_t size, int self_contained) {
  cql__segment segment = {(uint32_t)size, 0, self_contained};
  uint8_t *packed = NULL, head[CQL__SEGMENT_HEAD_LZ4], tail[CQL__SEGMENT_TAIL];
  if (client->lz4) {
    size_t bound = cql__lz4_bound(size);
    packed = cql__sim_alloc(bound);
    size_t used = cql__lz4_compress(bytes, size, packed, bound);
    if (used && used < size) {
      segment = (cql__segment){(uint32_t)used, (uint32_t)size, self_contained};
      bytes = packed;
    }
  }
  cql__segment_head_encode(&segment, client->lz4, head);
  cql__sim_put(out, head, cql__segment_head_size(client->lz4));
  cql__sim_put(out, bytes, segment.payload_size);
  uint32_t crc = cql__crc32_more(cql__crc32_begin(), bytes, segment.payload_size);
  cql__segment_tail_encode(crc, tail);
  cql__sim_put(out, tail, sizeof tail);
  cql__sim_release(packed);
}

/* As many whole envelopes as fit in each; a larger one in slices of its own. */
static void put_segments(cql__sim_client *client, cql__sim_buffer *out) {
  const uint8_t *at = cql__sim_bytes(&client->gathered),
                *end = at + cql__sim_size(&client->gathered);
  while (at < end) {
    size_t size = 0;
    while (at + size < end) {
      size_t one = CQL__HEADER_SIZE + cql__get_u32(at + size + 5);
      if (size && size + one > CQL__SEGMENT_MAX) break;
      size += one;
    }
    if (size <= CQL__SEGMENT_MAX) {
      put_segment(client, out, at, size, 1);
      at += size;
      continue;
    }
    for (size_t left = size; left;) {
      size_t slice = left < CQL__SEGMENT_MAX ? left : CQL__SEGMENT_MAX;
      put_segment(client, out, at, slice, 0);
      at += slice;
      left -= slice;
    }
  }
}

static void send_raw(cql__sim_client *client, const uint8_t *bytes, size_t size) {
  client->node->counters.bytes_out += size;
  client->carrier->send(client->carried, bytes, size);
}

/* What gathered, as it goes on the wire. */
static void frame(cql__sim_client *client, cql__sim_buffer *out) {
  if (client->framed)
    put_segments(client, out);
  else
    cql__sim_put(out, cql__sim_bytes(&client->gathered), cql__sim_size(&client->gathered));
  cql__sim_clear(&client->gathered);
}

void cql__sim_client_flush(cql__sim_client *client) {
  if (client->ended || !cql__sim_size(&client->gathered)) return;
  if (!client->framed) {
    send_raw(client, cql__sim_bytes(&client->gathered), cql__sim_size(&client->gathered));
    cql__sim_clear(&client->gathered);
    return;
  }
  cql__sim_buffer out = {0};
  frame(client, &out);
  send_raw(client, cql__sim_bytes(&out), cql__sim_size(&out));
  cql__sim_buffer_free(&out);
}

void cql__sim_client_say(cql__sim_client *client, const uint8_t *bytes, size_t size) {
  cql__sim_client_flush(client);
  if (!client->ended && size) send_raw(client, bytes, size);
}

void cql__sim_client_corrupt(cql__sim_client *client, int head) {
  cql__sim_buffer out = {0};
  frame(client, &out);
  size_t size = cql__sim_size(&out);
  if (size) {
    size_t at = client->framed && head ? cql__segment_head_size(client->lz4) - 1 : size - 1;
    out.data[at] ^= 0x10;
    if (!client->ended) send_raw(client, out.data, size);
  }
  cql__sim_buffer_free(&out);
}

/* ---- in ---- */

/* The server's last words: on stream 0, then it closes. */
static void refuse(cql__sim_client *client, int version, int stream, const char *why) {
  cql__sim_buffer body = {0};
  client->node->counters.bad_frames++;
  cql__sim_trace_line(client->node->sim, "%s.c%d bad frame: %s", client->node->text, client->id,
                      why);
  cql__sim_put_u32(&body, CQL__ERROR_PROTOCOL);
  cql__sim_put_string(&body, why);
  client->node->counters.errors++;
  cql__sim_client_envelope(client, version, 0, stream, CQL__ERROR, cql__sim_slice(&body));
  cql__sim_buffer_free(&body);
  cql__sim_client_flush(client);
  cql__sim_client_end(client, CQL_SIM_CLOSE);
}

static int inflate(const uint8_t *from, size_t size, size_t wanted, size_t max,
                   cql__sim_buffer *out) {
  if (wanted > max) return CQL_EPROTOCOL;
  uint8_t *at = cql__sim_extend(out, wanted);
  int error = cql__lz4_decompress(from, size, at, wanted);
  if (error) out->end -= wanted;
  return error;
}

/* One segment from `in` to `plain`: 1, 0: it isn't all there, < 0: it is broken. */
static int take_segment(cql__sim_client *client) {
  size_t head = cql__segment_head_size(client->lz4), left = cql__sim_size(&client->in);
  const uint8_t *at = cql__sim_bytes(&client->in);
  cql__segment segment;
  if (left < head) return 0;
  if (cql__segment_head_decode(at, client->lz4, &segment)) {
    refuse(client, 5, 0, "unrecoverable CRC mismatch detected in frame header");
    return -1;
  }
  size_t size = segment.payload_size;
  if (left < head + size + CQL__SEGMENT_TAIL) return 0;
  uint32_t crc = cql__crc32_more(cql__crc32_begin(), at + head, size);
  if (!cql__segment_tail_matches(crc, at + head + size)) {
    refuse(client, 5, 0, "unrecoverable CRC mismatch detected in frame body");
    return -1;
  }
  int begun = cql__sim_size(&client->plain) != 0; /* an envelope that isn't all there */
  if (!segment.uncompressed_size)
    cql__sim_put(&client->plain, at + head, size);
  else if (inflate(at + head, size, segment.uncompressed_size, CQL__SEGMENT_MAX, &client->plain)) {
    refuse(client, 5, 0, "a segment that can't be decompressed");
    return -1;
  }
  cql__sim_drop(&client->in, head + size + CQL__SEGMENT_TAIL);
  if (begun && (segment.self_contained || !client->slicing)) {
    refuse(client, 5, 0, "a self-contained segment within an envelope, or the other way");
    return -1;
  }
  if (!segment.self_contained) client->slicing = 1;
  return 1;
}

static int answer_old_version(cql__sim_client *client, const uint8_t *at) {
  cql__sim_buffer body = {0}, out = {0};
  cql__sim_put_u32(&body, CQL__ERROR_PROTOCOL);
  cql__sim_put_string(&body, "Invalid or unsupported protocol version (1); the lowest supported "
                             "version is 3");
  cql__sim_put_u8(&out, 0x80u | at[0]); /* their header has 8 bytes */
  cql__sim_put_u8(&out, 0);
  cql__sim_put_u8(&out, at[2]);
  cql__sim_put_u8(&out, CQL__ERROR);
  cql__sim_put_bytes(&out, cql__sim_slice(&body));
  cql__sim_client_say(client, cql__sim_bytes(&out), cql__sim_size(&out));
  cql__sim_buffer_free(&body);
  cql__sim_buffer_free(&out);
  client->node->counters.bad_frames++;
  cql__sim_client_end(client, CQL_SIM_CLOSE);
  return -1;
}

/* Too long: said so, and skipped. */
static int skip_body(cql__sim_client *client, const uint8_t *at, size_t size) {
  cql__sim_buffer body = {0};
  cql__sim_put_u32(&body, CQL__ERROR_INVALID);
  cql__sim_put_string(&body, "Request is too big");
  client->node->counters.errors++;
  cql__sim_client_envelope(client, at[0] & 0x7F, 0, (int16_t)cql__get_u16(at + 2), CQL__ERROR,
                           cql__sim_slice(&body));
  cql__sim_buffer_free(&body);
  client->skip = size;
  return 1;
}

/* Hands the body on, decompressed. */
static void handle(cql__sim_client *client, const uint8_t *header, const uint8_t *body,
                   size_t size) {
  cql__sim_buffer plain = {0};
  int version = header[0] & 0x7F;
  if (header[1] & CQL__FLAG_COMPRESSED && version < 5) {
    size_t wanted = size >= 4 ? cql__get_u32(body) : 0;
    if (!client->lz4 || size < 4 ||
        inflate(body + 4, size - 4, wanted, (size_t)client->node->settings.frame_max, &plain)) {
      cql__sim_buffer_free(&plain);
      refuse(client, version, (int16_t)cql__get_u16(header + 2),
             "a body that can't be decompressed");
      return;
    }
    body = cql__sim_bytes(&plain);
    size = wanted;
  }
  cql__sim_dispatch(client, header, body, size);
  cql__sim_buffer_free(&plain);
}

/* One envelope: 1, 0: it isn't all there, < 0: the end. */
static int take_envelope(cql__sim_client *client) {
  cql__sim_buffer *from = client->framed ? &client->plain : &client->in;
  size_t left = cql__sim_size(from);
  const uint8_t *at = cql__sim_bytes(from);
  if (client->skip) {
    size_t skipped = client->skip < left ? client->skip : left;
    cql__sim_drop(from, skipped);
    client->skip -= skipped;
    if (skipped) client->slicing = client->skip != 0 && client->slicing;
    return skipped && !client->skip;
  }
  if (left >= 4 && (at[0] == 1 || at[0] == 2) && !client->version)
    return answer_old_version(client, at);
  if (left < CQL__HEADER_SIZE) return 0;
  int32_t size = (int32_t)cql__get_u32(at + 5);
  if (at[0] & 0x80 || size < 0 || size > CQL__BODY_MAX) {
    refuse(client, client->version ? client->version : cql__sim_protocol_max(client->node), 0,
           "a header that can't be one of a request");
    return -1;
  }
  if (size > client->node->settings.frame_max) {
    skip_body(client, at, (size_t)size);
    cql__sim_drop(from, CQL__HEADER_SIZE);
    return 1;
  }
  if (left < CQL__HEADER_SIZE + (size_t)size) return 0;
  client->slicing = 0;
  uint8_t header[CQL__HEADER_SIZE];
  memcpy(header, at, sizeof header);
  uint8_t *body = cql__sim_alloc((size_t)size); /* the buffer may move meanwhile */
  memcpy(body, at + CQL__HEADER_SIZE, (size_t)size);
  cql__sim_drop(from, CQL__HEADER_SIZE + (size_t)size);
  handle(client, header, body, (size_t)size);
  cql__sim_release(body);
  return client->ended ? -1 : 1;
}

static void free_client(cql__sim_client *client) {
  cql__sim_buffer_free(&client->startup);
  cql__sim_buffer_free(&client->in);
  cql__sim_buffer_free(&client->plain);
  cql__sim_buffer_free(&client->gathered);
  cql__sim_release(client->keyspace);
  cql__sim_release(client->streams);
  cql__sim_release(client);
}

void cql__sim_client_resume(cql__sim_client *client) {
  client->busy++;
  int more = 1;
  while (more && !client->ended && cql__sim_node_reads(client->node)) {
    more = take_envelope(client) > 0;
    if (!more && !client->ended && client->framed) more = take_segment(client) > 0;
  }
  cql__sim_client_flush(client);
  if (--client->busy == 0 && client->ended) free_client(client);
}

void cql__sim_client_feed(cql__sim_client *client, const uint8_t *bytes, size_t size) {
  client->node->counters.bytes_in += size;
  cql__sim_put(&client->in, bytes, size);
  cql__sim_client_resume(client);
}

/* ---- life ---- */

/* Scylla: by the source port on its shard-aware port, else where the fewest are. */
static int32_t choose_shard(const cql__sim_node *node, uint16_t port, uint16_t source_port) {
  uint32_t count = cql__sim_shard_count(node), best = 0, fewest = UINT32_MAX;
  if (cql__sim_is_scylla(node) && port == node->settings.shard_aware_port)
    return (int32_t)(source_port % count);
  for (uint32_t shard = 0; count > 1 && shard < count; shard++) {
    uint32_t here = 0;
    for (const cql__list *l = node->clients.next; l != &node->clients; l = l->next)
      here += cql__container(l, cql__sim_client, link)->shard == (int32_t)shard;
    if (here < fewest) {
      fewest = here;
      best = shard;
    }
  }
  return (int32_t)best;
}

cql__sim_client *cql__sim_client_new(cql__sim_node *node, const cql__sim_carrier *carrier,
                                     void *carried, uint16_t port, uint16_t source_port,
                                     const char *address, int place) {
  cql__sim_client *client = cql__sim_alloc(sizeof *client);
  client->node = node;
  client->carrier = carrier;
  client->carried = carried;
  client->id = node->sim->next_connection++;
  client->place = place;
  client->port = port;
  client->source_port = source_port;
  client->shard = choose_shard(node, port, source_port);
  strncpy(client->address, address, sizeof client->address - 1);
  cql__list_init(&client->replies);
  cql__list_append(&node->clients, &client->link);
  node->counters.accepted++;
  node->counters.connections++;
  cql__sim_trace_line(node->sim, "%s.c%d accepts %s, shard %d", node->text, client->id,
                      client->address, client->shard);
  return client;
}

static void forget(cql__sim_client *client) {
  cql__sim_node *node = client->node;
  client->ended = 1;
  cql__list_remove(&client->link);
  node->counters.connections--;
  cql__sim_replies_drop(client);
  if (!client->busy) free_client(client);
}

void cql__sim_client_closed(cql__sim_client *client) {
  cql__sim_trace_line(client->node->sim, "%s.c%d is closed by the client", client->node->text,
                      client->id);
  forget(client);
}

void cql__sim_client_end(cql__sim_client *client, int how) {
  static const char *const words[] = {"closes", "resets", "goes half open", "is lost"};
  if (client->ended) return;
  cql__sim_trace_line(client->node->sim, "%s.c%d %s", client->node->text, client->id, words[how]);
  if (how == CQL_SIM_CLOSE) cql__sim_client_flush(client);
  client->carrier->end(client->carried, how);
  forget(client);
}
