/* The reader: envelopes and segments, in one piece and in many, which must give the same.
 *
 * The first byte says what the connection speaks, and whether the rest is on the wire as it stands
 * or is put into segments with right CRCs, which no fuzzer guesses. */
#include "fuzz.h"

#include "base/mem.h"
#include "connection/reader.h"
#include "frame/compress.h"
#include "frame/segment.h"
#include "link/link.h"

enum { FRAMED = 1, LZ4 = 2, RAW = 4, SMALL_BODIES = 8 };
enum { SLICE = 1, COMPRESS = 2, LIE = 4 };
enum { WIRE_MAX = 1 << 20, HELD_MAX = 16 };

typedef struct outcome {
  uint64_t sum;
  unsigned count, held_count;
  int error;
  cql__span held[HELD_MAX];
  cql__block *owners[HELD_MAX];
} outcome;

static int on_envelope(void *user, const cql__envelope *envelope) {
  outcome *o = user;
  o->sum = sum_of(o->sum, envelope->header, 9);
  o->sum = sum_of(o->sum, envelope->body, envelope->size);
  if (o->count++ % 3 == 0 && o->held_count < HELD_MAX) { /* as a result does */
    o->owners[o->held_count] = cql__block_ref(envelope->owner);
    o->held[o->held_count++] = (cql__span){envelope->body, envelope->size};
  }
  return 0;
}

static int on_too_big(void *user, const uint8_t *header) {
  outcome *o = user;
  o->sum = sum_of(o->sum ^ 1, header, 9);
  o->count++;
  return 0;
}

static size_t put_segment(input *in, int lz4, uint8_t *out) {
  unsigned kind = input_u8(in);
  size_t size = input_u16(in) * (kind & 0x80 ? 2u : 1u);
  const uint8_t *bytes = input_take(in, &size);
  cql__segment segment = {(uint32_t)size, 0, !(kind & SLICE)};
  size_t head = cql__segment_head_size(lz4);
  if (lz4 && (kind & COMPRESS)) {
    segment.payload_size = (uint32_t)cql__lz4_compress(bytes, size, out + head, CQL__SEGMENT_MAX);
    segment.uncompressed_size = (uint32_t)size + (kind & LIE ? 1 : 0);
  } else {
    memcpy(out + head, bytes, size);
    if (lz4 && (kind & LIE)) segment.uncompressed_size = input_u16(in) * 2;
  }
  cql__segment_head_encode(&segment, lz4, out);
  uint32_t crc = cql__crc32_more(cql__crc32_begin(), out + head, segment.payload_size);
  cql__segment_tail_encode(crc, out + head + segment.payload_size);
  return head + segment.payload_size + CQL__SEGMENT_TAIL;
}

/* `part` 0: in one piece. */
static void read_all(const uint8_t *wire, size_t size, unsigned mode, unsigned part, outcome *o) {
  cql__pool *pool = cql__pool_new();
  cql__reader reader;
  cql__reader_init(&reader, pool, mode & SMALL_BODIES ? 300 : 1 << 20);
  reader.framed = (mode & FRAMED) != 0;
  reader.lz4 = (mode & LZ4) != 0;
  reader.deliver = on_envelope;
  reader.too_big = on_too_big;
  reader.user = o;
  for (size_t at = 0; at < size && !o->error;) {
    uint8_t *space;
    size_t room;
    CHECK(cql__reader_space(&reader, &space, &room) == 0 && room > 0);
    if (room > size - at) room = size - at;
    if (part && room > part) room = part;
    memcpy(space, wire + at, room);
    o->error = cql__reader_cut(&reader, room);
    CHECK(o->error == 0 || reader.why);
    at += room;
    part += part ? part % 7 : 0;
    cql__reader_rest(&reader);
  }
  cql__reader_deinit(&reader);
  for (unsigned i = 0; i < o->held_count; i++) {
    o->sum = sum_of(o->sum, o->held[i].bytes, o->held[i].size);
    cql__block_unref(o->owners[i]);
  }
  cql__pool_retire(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  long live = cql__mem_live();
  input in = input_of(data, size);
  unsigned mode = input_u8(&in), part = input_u8(&in) + 1;
  uint8_t *wire = malloc(WIRE_MAX + CQL__SEGMENT_MAX + 64);
  CHECK(wire);
  size_t used = 0;
  if (mode & RAW) {
    used = input_left(&in) < WIRE_MAX ? input_left(&in) : WIRE_MAX;
    memcpy(wire, in.next, used);
  } else {
    while (input_left(&in) && used < WIRE_MAX)
      used += put_segment(&in, (mode & LZ4) != 0, wire + used);
    mode |= FRAMED;
  }
  outcome whole = {0}, parts = {0};
  read_all(wire, used, mode, 0, &whole);
  read_all(wire, used, mode, part, &parts);
  CHECK(whole.error == parts.error && whole.count == parts.count && whole.sum == parts.sum);
  free(wire);
  CHECK(cql__mem_live() == live);
  return 0;
}
