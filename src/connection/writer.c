#include "connection/writer.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "frame/compress.h"
#include "frame/segment.h"
#include "wire/cursor.h"
#include "wire/proto.h"

#define NO_SEGMENT SIZE_MAX

static void box_init(cql__outbox *box) {
  memset(box, 0, sizeof *box);
  box->spans = box->spans_own;
  box->span_capacity = sizeof box->spans_own / sizeof *box->spans_own;
}

/* Empty again; the area goes back to the pool, so that an idle connection holds none. */
static void box_clear(cql__outbox *box) {
  for (uint32_t i = 0; i < box->span_count; i++) cql__block_unref(box->spans[i].owner);
  if (box->secret && box->area) cql__wipe(box->area->data, box->used);
  box->secret = 0;
  cql__block_unref(box->area);
  box->area = NULL;
  box->used = box->size = box->open = 0;
  box->span_count = 0;
}

void cql__writer_init(cql__writer *writer, cql__pool *pool) {
  memset(writer, 0, sizeof *writer);
  writer->pool = pool;
  box_init(&writer->boxes[0]);
  box_init(&writer->boxes[1]);
  writer->filling = &writer->boxes[0];
  writer->sending = &writer->boxes[1];
  writer->segment_start = NO_SEGMENT;
}

void cql__writer_deinit(cql__writer *writer) {
  for (int i = 0; i < 2; i++) {
    box_clear(&writer->boxes[i]);
    cql__free(writer->boxes[i].spans_heap);
    box_init(&writer->boxes[i]);
  }
  writer->sent = writer->sent_in_span = 0;
  writer->sent_spans = 0;
  writer->segment_start = NO_SEGMENT;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Makes room, but counts nothing yet: what fails later leaves no trace. Where many gather the area
 * grows in large steps; of a thousand connections most have one request to send. */
static int box_room(cql__writer *writer, size_t size, uint32_t spans) {
  cql__outbox *box = writer->filling;
  if (!box->area) {
    box->area = cql__block_take(writer->pool, larger(size, CQL__BLOCK_SMALL_MAX));
    if (!box->area) return CQL_ENOMEM;
  } else if (box->area->capacity - box->used < size) {
    size_t capacity = larger(larger(box->area->capacity * 2, CQL__GATHER), box->used + size);
    cql__block *area = cql__block_grow(box->area, box->used, capacity);
    if (!area) return CQL_ENOMEM;
    box->area = area;
  }
  if (box->span_capacity - box->span_count < spans) {
    uint32_t capacity = box->span_capacity * 2 + spans;
    cql__writer_span *heap = cql__realloc(box->spans_heap, capacity * sizeof *heap);
    if (!heap) return CQL_ENOMEM;
    if (!box->spans_heap) memcpy(heap, box->spans_own, box->span_count * sizeof *heap);
    box->spans = box->spans_heap = heap;
    box->span_capacity = capacity;
  }
  return 0;
}

/* `size` bytes of the area, for which there is room. */
static uint8_t *box_extend(cql__outbox *box, size_t size) {
  box->open = 0;
  cql__writer_span *last = box->span_count ? &box->spans[box->span_count - 1] : NULL;
  if (last && !last->bytes) {
    last->size += size;
  } else {
    box->spans[box->span_count++] = (cql__writer_span){NULL, NULL, box->used, size};
  }
  uint8_t *at = box->area->data + box->used;
  box->used += size;
  box->size += size;
  return at;
}

static void box_refer(cql__outbox *box, const uint8_t *bytes, size_t size, cql__block *owner) {
  box->open = 0;
  box->spans[box->span_count++] = (cql__writer_span){bytes, cql__block_ref(owner), 0, size};
  box->size += size;
}

/* Compresses the open segment where it lies, if that makes it smaller. */
static void compress_segment(cql__writer *writer, uint8_t *payload, cql__segment *segment) {
  size_t size = segment->payload_size;
  if (size < writer->compress_min || writer->filling->secret) return;
  cql__block *scratch = cql__block_take(writer->pool, size);
  if (!scratch) return; /* stored as it is */
  size_t got = cql__lz4_compress(payload, size, scratch->data, size - 1);
  if (got) {
    memcpy(payload, scratch->data, got);
    segment->uncompressed_size = (uint32_t)size;
    segment->payload_size = (uint32_t)got;
    cql__outbox *box = writer->filling;
    box->used -= size - got;
    box->size -= size - got;
    box->spans[box->span_count - 1].size -= size - got;
  }
  cql__block_unref(scratch);
}

/* Ends the open segment: its head goes where room was kept, its CRC32 behind it (room for that
 * was kept too). */
static void close_segment(cql__writer *writer) {
  if (writer->segment_start == NO_SEGMENT) return;
  cql__outbox *box = writer->filling;
  uint8_t *head = box->area->data + writer->segment_start;
  uint8_t *payload = head + cql__segment_head_size(writer->lz4);
  cql__segment segment = {(uint32_t)writer->segment_size, 0, 1};
  if (writer->lz4) compress_segment(writer, payload, &segment);
  cql__segment_head_encode(&segment, writer->lz4, head);
  uint32_t crc = cql__crc32_more(cql__crc32_begin(), payload, segment.payload_size);
  cql__segment_tail_encode(crc, box_extend(box, CQL__SEGMENT_TAIL));
  writer->segment_start = NO_SEGMENT;
}

/* What cql__writer_reserve() then gives out without coming here. */
static void open_box(cql__writer *writer) {
  cql__outbox *box = writer->filling;
  size_t room = box->area->capacity - box->used;
  if (writer->framed) {
    size_t left = CQL__SEGMENT_MAX - writer->segment_size;
    room = room < CQL__SEGMENT_TAIL ? 0 : room - CQL__SEGMENT_TAIL;
    if (left < room) room = left;
  }
  box->open = room;
}

uint8_t *cql__writer_reserve_more(cql__writer *writer, size_t size) {
  size_t extra = 0, tail = 0;
  if (writer->framed) {
    assert(size <= CQL__SEGMENT_MAX);
    if (writer->segment_start != NO_SEGMENT && writer->segment_size + size > CQL__SEGMENT_MAX)
      close_segment(writer);
    if (writer->segment_start == NO_SEGMENT) extra = cql__segment_head_size(writer->lz4);
    tail = CQL__SEGMENT_TAIL;
  }
  if (box_room(writer, extra + size + tail, 1)) return NULL;
  if (extra) {
    writer->segment_start = writer->filling->used;
    writer->segment_size = 0;
    box_extend(writer->filling, extra);
  }
  writer->segment_size += size;
  uint8_t *at = box_extend(writer->filling, size);
  open_box(writer);
  return at;
}

/* A parcel as one run of bytes, read from any offset. */
static void parcel_copy(const cql__parcel *parcel, size_t offset, size_t size, uint8_t *out) {
  if (offset < parcel->head_size) {
    size_t part = parcel->head_size - offset < size ? parcel->head_size - offset : size;
    memcpy(out, parcel->head + offset, part);
    out += part;
    offset += part;
    size -= part;
  }
  if (size) memcpy(out, parcel->body + (offset - parcel->head_size), size);
}

/* One slice of an envelope that is larger than a segment; room for it was made. */
static void put_slice(cql__writer *writer, const cql__parcel *parcel, size_t offset, size_t size) {
  cql__outbox *box = writer->filling;
  size_t head_size = cql__segment_head_size(writer->lz4);
  cql__segment segment = {(uint32_t)size, 0, 0};
  uint8_t *head = box_extend(box, head_size);
  uint32_t crc = cql__crc32_begin();
  if (!writer->lz4 && offset >= parcel->head_size && parcel->owner) {
    const uint8_t *bytes = parcel->body + (offset - parcel->head_size);
    box_refer(box, bytes, size, parcel->owner);
    crc = cql__crc32_more(crc, bytes, size);
  } else {
    uint8_t *payload = box_extend(box, size);
    parcel_copy(parcel, offset, size, payload);
    if (writer->lz4) compress_segment(writer, payload, &segment);
    crc = cql__crc32_more(crc, payload, segment.payload_size);
  }
  cql__segment_head_encode(&segment, writer->lz4, head);
  cql__segment_tail_encode(crc, box_extend(box, CQL__SEGMENT_TAIL));
}

static int append_sliced(cql__writer *writer, const cql__parcel *parcel) {
  size_t total = parcel->head_size + parcel->body_size;
  size_t slices = total / CQL__SEGMENT_MAX + 2;
  int copied = writer->lz4 || !parcel->owner;
  size_t overhead = slices * (CQL__SEGMENT_HEAD_LZ4 + CQL__SEGMENT_TAIL);
  /* Compressing works in place, so the area must hold everything before it shrinks. Otherwise it
   * holds the head, and what of the body shares the head's last slice. */
  size_t held = copied ? total : parcel->head_size + CQL__SEGMENT_MAX;
  size_t room = overhead + CQL__SEGMENT_TAIL + (held < total ? held : total);
  if (box_room(writer, room, (uint32_t)slices * 2 + 2)) return CQL_ENOMEM;
  close_segment(writer);
  /* The first slice has the head and what fits beside it; the others are cut from the body. */
  size_t offset = 0;
  while (offset < total) {
    size_t size = total - offset < CQL__SEGMENT_MAX ? total - offset : CQL__SEGMENT_MAX;
    if (!copied && offset == 0 && parcel->head_size < size) size = parcel->head_size;
    put_slice(writer, parcel, offset, size);
    offset += size;
  }
  return 0;
}

/* v3 and v4 with LZ4: the body behind its length, if that is smaller [spec v4 5]. */
static int append_compressed(cql__writer *writer, const cql__parcel *parcel) {
  size_t body_size = parcel->head_size - CQL__HEADER_SIZE + parcel->body_size;
  cql__block *plain = cql__block_take(writer->pool, body_size);
  if (!plain) return CQL_ENOMEM;
  parcel_copy(parcel, CQL__HEADER_SIZE, body_size, plain->data);
  int error = box_room(writer, CQL__HEADER_SIZE + 4 + body_size, 1);
  if (!error) {
    uint8_t *room = writer->filling->area->data + writer->filling->used;
    size_t got = cql__lz4_compress(plain->data, body_size, room + CQL__HEADER_SIZE + 4,
                                   body_size > 5 ? body_size - 5 : 0);
    size_t sent = got ? 4 + got : body_size;
    uint8_t *out = box_extend(writer->filling, CQL__HEADER_SIZE + sent);
    memcpy(out, parcel->head, CQL__HEADER_SIZE);
    if (got) {
      out[1] |= CQL__FLAG_COMPRESSED;
      cql__put_u32(out + CQL__HEADER_SIZE, (uint32_t)body_size);
    } else {
      memcpy(out + CQL__HEADER_SIZE, plain->data, body_size);
    }
    cql__put_u32(out + 5, (uint32_t)sent);
  }
  cql__block_unref(plain);
  return error;
}

static int is_compressed(const cql__writer *writer, const cql__parcel *parcel, size_t total) {
  if (!writer->lz4 || writer->framed || parcel->secret) return 0;
  return total > CQL__HEADER_SIZE && total - CQL__HEADER_SIZE >= writer->compress_min;
}

int cql__writer_append(cql__writer *writer, const cql__parcel *parcel) {
  size_t total = parcel->head_size + parcel->body_size;
  writer->filling->secret |= parcel->secret;
  if (writer->framed && total > CQL__SEGMENT_MAX) return append_sliced(writer, parcel);
  if (is_compressed(writer, parcel, total)) return append_compressed(writer, parcel);
  if (writer->framed || !parcel->owner || parcel->body_size < CQL__REFERENCE_MIN) {
    uint8_t *out = cql__writer_reserve(writer, total);
    if (!out) return CQL_ENOMEM;
    parcel_copy(parcel, 0, total, out);
    return 0;
  }
  if (box_room(writer, parcel->head_size, 2)) return CQL_ENOMEM;
  memcpy(box_extend(writer->filling, parcel->head_size), parcel->head, parcel->head_size);
  box_refer(writer->filling, parcel->body, parcel->body_size, parcel->owner);
  return 0;
}

static void swap_boxes(cql__writer *writer) {
  close_segment(writer);
  cql__outbox *sending = writer->sending;
  writer->sending = writer->filling;
  writer->filling = sending;
}

/* What is to be sent next, *size bytes; how many spans. */
static unsigned collect(const cql__writer *writer, cql__span out[CQL__SPANS_MAX], size_t *size) {
  const cql__outbox *box = writer->sending;
  size_t skip = writer->sent_in_span;
  unsigned count = 0;
  *size = 0;
  for (uint32_t i = writer->sent_spans; i < box->span_count && count < CQL__SPANS_MAX; i++) {
    const cql__writer_span *span = &box->spans[i];
    const uint8_t *bytes = span->bytes ? span->bytes : box->area->data + span->offset;
    out[count++] = (cql__span){bytes + skip, span->size - skip};
    *size += span->size - skip;
    skip = 0;
  }
  return count;
}

static void advance(cql__writer *writer, size_t size) {
  cql__outbox *box = writer->sending;
  writer->sent += size;
  while (size) {
    cql__writer_span *span = &box->spans[writer->sent_spans];
    size_t left = span->size - writer->sent_in_span;
    if (size < left) {
      writer->sent_in_span += size;
      return;
    }
    size -= left;
    writer->sent_in_span = 0;
    writer->sent_spans++;
    cql__block_unref(span->owner);
    span->owner = NULL;
  }
}

/* All of it has gone. */
static void all_sent(cql__writer *writer) {
  box_clear(writer->sending);
  writer->sent = writer->sent_in_span = 0;
  writer->sent_spans = 0;
}

int cql__writer_flush(cql__writer *writer, cql__link *link, cql__socket *socket, uint64_t *calls,
                      uint64_t *bytes) {
  for (;;) {
    if (writer->sending->size == 0) {
      if (writer->filling->size == 0) return 0;
      swap_boxes(writer);
    }
    cql__span spans[CQL__SPANS_MAX];
    size_t offered;
    unsigned count = collect(writer, spans, &offered);
    ptrdiff_t wrote = link->ops->write(socket, spans, count);
    ++*calls;
    if (wrote < 0) return (int)wrote;
    *bytes += (uint64_t)wrote;
    if (writer->sent + (size_t)wrote == writer->sending->size)
      all_sent(writer);
    else
      advance(writer, (size_t)wrote);
    if ((size_t)wrote < offered) return 1;
  }
}
