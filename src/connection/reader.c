#include "connection/reader.h"

#include <string.h>

#include "base/limits.h"
#include "frame/compress.h"
#include "frame/segment.h"
#include "wire/cursor.h"
#include "wire/proto.h"

void cql__reader_init(cql__reader *reader, cql__pool *pool, size_t body_max) {
  memset(reader, 0, sizeof *reader);
  reader->pool = pool;
  reader->body_max = body_max;
}

void cql__reader_deinit(cql__reader *reader) {
  cql__block_unref(reader->slab);
  cql__block_unref(reader->large);
  reader->slab = reader->large = NULL;
}

static int broken(cql__reader *reader, const char *why) {
  reader->why = why;
  return CQL_EPROTOCOL;
}

/* ---- where bytes go ---- */

/* A slab with room behind what is uncut. What results still refer to is never moved. */
static int make_room(cql__reader *reader) {
  size_t capacity = reader->framed ? CQL__SLAB_SEGMENT : CQL__SLAB_PLAIN;
  size_t left = reader->end - reader->start;
  cql__block *slab = reader->slab;
  if (slab && slab->refs == 1 && slab->capacity >= capacity) {
    memmove(slab->data, slab->data + reader->start, left);
  } else {
    cql__block *fresh = cql__block_take(reader->pool, capacity);
    if (!fresh) return CQL_ENOMEM;
    if (left) memcpy(fresh->data, slab->data + reader->start, left);
    cql__block_unref(slab);
    reader->slab = fresh;
  }
  reader->start = 0;
  reader->end = left;
  return 0;
}

int cql__reader_space(cql__reader *reader, uint8_t **out, size_t *size) {
  if (reader->large && !reader->framed) { /* straight to where it belongs */
    *out = reader->large->data + reader->large_filled;
    size_t room = reader->large->capacity - reader->large_filled;
    size_t want = reader->large_size - reader->large_filled;
    *size = want < room ? want : room;
    return 0;
  }
  cql__block *slab = reader->slab;
  if (!slab || (reader->start == reader->end && slab->refs == 1)) reader->start = reader->end = 0;
  /* A quarter of the slab at least, and the rest of whatever has begun. */
  size_t capacity = reader->framed ? CQL__SLAB_SEGMENT : CQL__SLAB_PLAIN;
  if (!slab || slab->capacity < capacity || slab->capacity - reader->end < capacity / 4) {
    int error = make_room(reader);
    if (error) return error;
  }
  *out = reader->slab->data + reader->end;
  *size = reader->slab->capacity - reader->end;
  return 0;
}

void cql__reader_rest(cql__reader *reader) {
  if (!reader->slab || reader->start != reader->end) return;
  cql__block_unref(reader->slab);
  reader->slab = NULL;
  reader->start = reader->end = 0;
}

/* ---- envelopes ---- */

/* v3, v4: undoes the compression of a body [spec v4 5]. 1: it would be larger than body_max. */
static int decompress_body(cql__reader *reader, cql__envelope *envelope, cql__block **scratch) {
  if (!reader->lz4) return broken(reader, "a compressed body, and no compression was agreed");
  if (envelope->size < 4) return broken(reader, "a compressed body without its length");
  size_t size = cql__get_u32(envelope->body);
  /* LZ4 shrinks 255 times at most: a length that lies is found before memory is taken. */
  if (size > CQL__BODY_MAX || size / 256 > envelope->size)
    return broken(reader, "a compressed body with an impossible length");
  if (size > reader->body_max) return 1;
  cql__block *block = cql__block_take(reader->pool, size);
  if (!block) return CQL_ENOMEM;
  if (cql__lz4_decompress(envelope->body + 4, envelope->size - 4, block->data, size)) {
    cql__block_unref(block);
    return broken(reader, "a compressed body that does not decompress");
  }
  envelope->body = block->data;
  envelope->size = size;
  envelope->owner = *scratch = block;
  return 0;
}

static int deliver_compressed(cql__reader *reader, cql__envelope *envelope) {
  cql__block *scratch = NULL;
  int error = decompress_body(reader, envelope, &scratch);
  if (error > 0) return reader->too_big(reader->user, envelope->header);
  if (!error) error = reader->deliver(reader->user, envelope);
  cql__block_unref(scratch);
  return error;
}

static inline int deliver(cql__reader *reader, const uint8_t *header, size_t size,
                          cql__block *owner) {
  cql__envelope envelope = {header, header + CQL__HEADER_SIZE, size, owner};
  if ((header[1] & CQL__FLAG_COMPRESSED) && (header[0] & 0x7f) < 5) /* in v5 it means nothing */
    return deliver_compressed(reader, &envelope);
  return reader->deliver(reader->user, &envelope);
}

/* The first byte says already whether the rest can be understood. */
static int check_version(cql__reader *reader, uint8_t version) {
  if (!(version & 0x80)) return broken(reader, "bytes that are no answer of the native protocol");
  if ((version & 0x7f) >= CQL__VERSION_MIN) return 0;
  reader->why = "an answer of protocol v1 or v2";
  return CQL_EVERSION;
}

/* The body's length, checked. 0, CQL_EPROTOCOL, or 1: larger than configured. */
static int body_size(cql__reader *reader, const uint8_t *header, size_t *out) {
  uint32_t size = cql__get_u32(header + 5);
  if (size > CQL__BODY_MAX) return broken(reader, "an envelope longer than the protocol allows");
  *out = size;
  return size > reader->body_max;
}

/* Begins, or goes on, gathering a large envelope. */
static int gather(cql__reader *reader, const uint8_t *bytes, size_t size) {
  size_t needed = reader->large_filled + size;
  if (!reader->large || reader->large->capacity < needed) {
    size_t capacity = reader->large_size ? reader->large_size : needed;
    size_t eager = needed * 2 > CQL__EAGER_BODY ? needed * 2 : CQL__EAGER_BODY;
    if (capacity > eager) capacity = eager;
    cql__block *block = reader->large
                            ? cql__block_grow(reader->large, reader->large_filled, capacity)
                            : cql__block_take(reader->pool, capacity);
    if (!block) return CQL_ENOMEM;
    reader->large = block;
  }
  memcpy(reader->large->data + reader->large_filled, bytes, size);
  reader->large_filled += size;
  return 0;
}

/* More room for an envelope that was larger than what is taken at once. */
static int grow_large(cql__reader *reader) {
  size_t capacity = reader->large->capacity * 2;
  if (capacity > reader->large_size) capacity = reader->large_size;
  cql__block *block = cql__block_grow(reader->large, reader->large_filled, capacity);
  if (!block) return CQL_ENOMEM;
  reader->large = block;
  return 0;
}

static int finish_large(cql__reader *reader) {
  cql__block *block = reader->large;
  size_t size = reader->large_size - CQL__HEADER_SIZE;
  reader->large = NULL;
  reader->large_size = reader->large_filled = 0;
  int error = deliver(reader, block->data, size, block);
  cql__block_unref(block);
  return error;
}

static int start_skip(cql__reader *reader, const uint8_t *header, size_t size) {
  reader->skip = size;
  return reader->too_big(reader->user, header);
}

/* Whole envelopes of `bytes`, until one isn't; how much was cut through *used. */
static int cut_envelopes(cql__reader *reader, const uint8_t *bytes, size_t size, cql__block *owner,
                         size_t *used) {
  int framed = reader->framed, error = 0;
  size_t at = 0;
  while (!error && at < size && framed == reader->framed) {
    size_t length = 0;
    if ((error = check_version(reader, bytes[at])) || size - at < CQL__HEADER_SIZE) break;
    int large = body_size(reader, bytes + at, &length);
    if (large < 0) return large;
    if (large) {
      error = start_skip(reader, bytes + at, length);
      at += CQL__HEADER_SIZE;
      break;
    }
    if (size - at - CQL__HEADER_SIZE < length) break;
    error = deliver(reader, bytes + at, length, owner);
    at += CQL__HEADER_SIZE + length;
  }
  *used = at;
  return error;
}

/* ---- v3, v4, and the handshake of v5 ---- */

static int cut_plain(cql__reader *reader) {
  for (;;) {
    size_t left = reader->end - reader->start;
    if (reader->skip) {
      size_t part = reader->skip < left ? reader->skip : left;
      reader->skip -= part;
      reader->start += part;
      left -= part;
      if (reader->skip) return 0;
    }
    size_t used = 0;
    int error =
        cut_envelopes(reader, reader->slab->data + reader->start, left, reader->slab, &used);
    reader->start += used;
    if (error || reader->framed) return error;
    if (!reader->skip) break;
  }
  size_t left = reader->end - reader->start;
  if (left < CQL__HEADER_SIZE) return 0;
  const uint8_t *header = reader->slab->data + reader->start;
  size_t total = CQL__HEADER_SIZE + (size_t)cql__get_u32(header + 5);
  if (total <= CQL__SLAB_PLAIN / 2) return 0; /* will fit into the slab */
  reader->large_size = total;
  reader->start = reader->end;
  return gather(reader, header, left);
}

/* ---- v5 ---- */

/* A slice of an envelope that comes in several segments. */
static int take_slice(cql__reader *reader, const uint8_t *bytes, size_t size) {
  if (reader->skip) {
    if (size > reader->skip) return broken(reader, "segments that hold more than their envelope");
    reader->skip -= size;
    return 0;
  }
  if (reader->large_size && size > reader->large_size - reader->large_filled)
    return broken(reader, "segments that hold more than their envelope");
  int error = gather(reader, bytes, size);
  if (error) return error;
  if (!reader->large_size && reader->large_filled >= CQL__HEADER_SIZE) {
    size_t length = 0;
    if ((error = check_version(reader, reader->large->data[0]))) return error;
    int large = body_size(reader, reader->large->data, &length);
    if (large < 0) return large;
    reader->large_size = CQL__HEADER_SIZE + length;
    if (large && reader->large_filled <= reader->large_size) {
      size_t rest = reader->large_size - reader->large_filled;
      error = start_skip(reader, reader->large->data, rest);
      cql__block_unref(reader->large);
      reader->large = NULL;
      reader->large_size = reader->large_filled = 0;
      return error;
    }
  }
  if (!reader->large_size || reader->large_filled < reader->large_size) return 0;
  if (reader->large_filled > reader->large_size)
    return broken(reader, "segments that hold more than their envelope");
  return finish_large(reader);
}

static int take_payload(cql__reader *reader, const cql__segment *segment, const uint8_t *bytes,
                        size_t size, cql__block *owner) {
  if (!segment->self_contained) return take_slice(reader, bytes, size);
  if (reader->large || reader->skip)
    return broken(reader, "a self-contained segment amid an envelope's slices");
  size_t used = 0;
  int error = cut_envelopes(reader, bytes, size, owner, &used);
  if (error) return error;
  if (reader->skip) { /* the rest of the segment is a body that is too large, and perhaps more */
    while (!error && used < size) {
      size_t part = reader->skip < size - used ? reader->skip : size - used;
      reader->skip -= part;
      used += part;
      size_t more = 0;
      if (used < size) error = cut_envelopes(reader, bytes + used, size - used, owner, &more);
      used += more;
      if (!more && !reader->skip) break;
    }
  }
  if (error) return error;
  if (used != size || reader->skip)
    return broken(reader, "a self-contained segment with half an envelope");
  return 0;
}

static int open_payload(cql__reader *reader, const cql__segment *segment, const uint8_t *bytes) {
  if (segment->uncompressed_size == 0)
    return take_payload(reader, segment, bytes, segment->payload_size, reader->slab);
  cql__block *block = cql__block_take(reader->pool, segment->uncompressed_size);
  if (!block) return CQL_ENOMEM;
  int error;
  if (cql__lz4_decompress(bytes, segment->payload_size, block->data, segment->uncompressed_size))
    error = broken(reader, "a segment that does not decompress");
  else
    error = take_payload(reader, segment, block->data, segment->uncompressed_size, block);
  cql__block_unref(block);
  return error;
}

static int cut_segments(cql__reader *reader) {
  size_t head_size = cql__segment_head_size(reader->lz4);
  while (reader->end - reader->start >= head_size) {
    const uint8_t *head = reader->slab->data + reader->start;
    cql__segment segment;
    if (cql__segment_head_decode(head, reader->lz4, &segment))
      return broken(reader, "a segment's head with a wrong CRC24");
    size_t total = head_size + segment.payload_size + CQL__SEGMENT_TAIL;
    if (reader->end - reader->start < total) break;
    const uint8_t *payload = head + head_size;
    uint32_t crc = cql__crc32_more(cql__crc32_begin(), payload, segment.payload_size);
    if (!cql__segment_tail_matches(crc, payload + segment.payload_size))
      return broken(reader, "a segment's payload with a wrong CRC32");
    reader->start += total;
    int empty = !segment.payload_size && !segment.uncompressed_size;
    int error = empty ? 0 : open_payload(reader, &segment, payload);
    if (error) return error;
  }
  return 0;
}

int cql__reader_cut(cql__reader *reader, size_t size) {
  if (reader->large && !reader->framed) {
    reader->large_filled += size;
    if (reader->large_filled == reader->large_size) return finish_large(reader);
    return reader->large_filled == reader->large->capacity ? grow_large(reader) : 0;
  }
  reader->end += size;
  if (!reader->framed) {
    int error = cut_plain(reader);
    if (error || !reader->framed) return error;
  }
  return cut_segments(reader);
}
