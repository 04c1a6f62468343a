-- The internals of src/base, src/frame and the pure parts of src/connection for unit specs.
local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.wire"

unit.cdef("core", [[
  void *cql__arena_take(cql__arena *arena, size_t size);

  typedef struct cql__block {
    struct cql__pool *pool;
    struct cql__block *next;
    uint32_t refs, size_class;
    size_t capacity;
    uint8_t data[?];
  } cql__block;
  typedef struct cql__pool {
    cql__block *idle[18];
    size_t idle_large, live;
    int retired;
  } cql__pool;
  cql__pool *cql__pool_new(void);
  void cql__pool_retire(cql__pool *pool);
  cql__block *cql__spec_block_take(cql__pool *pool, size_t capacity);
  cql__block *cql__spec_block_ref(cql__block *block);
  void cql__spec_block_unref(cql__block *block);
  cql__block *cql__block_grow(cql__block *block, size_t used, size_t capacity);

  const char *cql__error_name(int error);
  const char *cql__error_text(int error);

  void *cql__malloc(size_t size);
  void *cql__zalloc(size_t size);
  void *cql__realloc(void *pointer, size_t size);
  void cql__free(void *pointer);
  char *cql__text_copy(const char *text, size_t length);
  void cql__wipe(void *pointer, size_t size);

  typedef struct cql__list { struct cql__list *next, *previous; } cql__list;
  typedef struct cql__timer {
    cql__list link;
    uint64_t due;
    void (*fire)(struct cql__timer *timer);
  } cql__timer;
  typedef struct cql__wheel {
    uint64_t now;
    uint64_t maybe[6];
    cql__list slot[6][64];
  } cql__wheel;
  void cql__wheel_init(cql__wheel *wheel, uint64_t now);
  void cql__timer_init(cql__timer *timer, void (*fire)(cql__timer *timer));
  void cql__timer_set(cql__wheel *wheel, cql__timer *timer, uint64_t due);
  void cql__wheel_turn(cql__wheel *wheel, uint64_t now);
  uint64_t cql__wheel_next(cql__wheel *wheel);
  int cql__spec_timer_is_set(const cql__timer *timer);
  void cql__spec_timer_cancel(cql__timer *timer);

  typedef struct cql__segment {
    uint32_t payload_size, uncompressed_size;
    int self_contained;
  } cql__segment;
  void cql__segment_head_encode(const cql__segment *segment, int lz4, uint8_t *out);
  int cql__segment_head_decode(const uint8_t *head, int lz4, cql__segment *out);
  void cql__segment_tail_encode(uint32_t crc, uint8_t *out);
  int cql__segment_tail_matches(uint32_t crc, const uint8_t *tail);
  uint32_t cql__crc24(const uint8_t *bytes, size_t size);
  uint32_t cql__crc32_begin(void);
  uint32_t cql__crc32_more(uint32_t crc, const uint8_t *bytes, size_t size);
  size_t cql__lz4_bound(size_t size);
  size_t cql__lz4_compress(const uint8_t *bytes, size_t size, uint8_t *out, size_t capacity);
  int cql__lz4_decompress(const uint8_t *bytes, size_t size, uint8_t *out, size_t out_size);

  typedef struct cql__streams {
    struct cql__streams_chunk **chunks;
    uint32_t chunk_count, used, maximum, first_open;
    uint32_t orphans[2], orphans_old;
    uintptr_t tick;
  } cql__streams;
  void cql__streams_init(cql__streams *streams, uint32_t maximum);
  void cql__streams_deinit(cql__streams *streams);
  int cql__streams_take(cql__streams *streams, void *waiter);
  int cql__streams_answer(cql__streams *streams, int stream, void **waiter);
  void cql__streams_orphan(cql__streams *streams, int stream);
  void *cql__streams_drain(cql__streams *streams, int *stream);
  void cql__streams_tick(cql__streams *streams);
  uint32_t cql__spec_streams_live(const cql__streams *streams);
  uint32_t cql__spec_streams_orphans(const cql__streams *streams);

  typedef struct cql__envelope {
    const uint8_t *header, *body;
    size_t size;
    cql__block *owner;
  } cql__envelope;
  typedef struct cql__reader {
    cql__pool *pool;
    cql__block *slab;
    size_t start, end;
    cql__block *large;
    size_t large_size, large_filled, body_max, skip;
    int framed, lz4;
    const char *why;
    int (*deliver)(void *user, const cql__envelope *envelope);
    int (*too_big)(void *user, const uint8_t *header);
    void *user;
  } cql__reader;
  void cql__reader_init(cql__reader *reader, cql__pool *pool, size_t body_max);
  void cql__reader_deinit(cql__reader *reader);
  int cql__reader_space(cql__reader *reader, uint8_t **out, size_t *size);
  int cql__reader_cut(cql__reader *reader, size_t size);
  void cql__reader_rest(cql__reader *reader);

  typedef struct cql__writer_span {
    const uint8_t *bytes;
    cql__block *owner;
    size_t offset, size;
  } cql__writer_span;
  typedef struct cql__outbox {
    cql__block *area;
    size_t used, size, open;
    cql__writer_span *spans, *spans_heap;
    uint32_t span_count, span_capacity;
    cql__writer_span spans_own[2];
    int secret;
  } cql__outbox;
  typedef struct cql__writer {
    cql__pool *pool;
    cql__outbox *filling, *sending;
    cql__outbox boxes[2];
    size_t sent;
    uint32_t sent_spans;
    size_t sent_in_span;
    int framed, lz4;
    uint32_t compress_min;
    size_t segment_start, segment_size;
  } cql__writer;
  typedef struct cql__parcel {
    const uint8_t *head;
    size_t head_size;
    cql__block *owner;
    const uint8_t *body;
    size_t body_size;
    int secret;
  } cql__parcel;
  typedef struct cql__link cql__link;
  typedef struct cql__socket cql__socket;
  void cql__writer_init(cql__writer *writer, cql__pool *pool);
  void cql__writer_deinit(cql__writer *writer);
  uint8_t *cql__spec_writer_reserve(cql__writer *writer, size_t size);
  size_t cql__spec_writer_unsent(const cql__writer *writer);
  int cql__writer_append(cql__writer *writer, const cql__parcel *parcel);
  int cql__writer_flush(cql__writer *writer, cql__link *link, cql__socket *socket, uint64_t *calls,
                        uint64_t *bytes);

  typedef struct cql__address {
    uint8_t bytes[16];
    uint8_t length;
    uint16_t port;
    uint32_t scope;
  } cql__address;
  typedef struct cql__target {
    cql__address address;
    uint16_t local_port;
    uint32_t send_buffer, receive_buffer;
    const char *server_name;
    const uint8_t *host_id;
  } cql__target;
  typedef struct cql__span { const uint8_t *bytes; size_t size; } cql__span;
  typedef struct cql__link_ops {
    uint64_t (*now)(cql__link *link);
    int64_t (*wall_clock)(cql__link *link);
    uint64_t (*chance)(cql__link *link);
    int (*open)(cql__link *link, const cql__target *target, void *user, cql__socket **out);
    ptrdiff_t (*read)(cql__socket *socket, uint8_t *out, size_t size);
    ptrdiff_t (*write)(cql__socket *socket, const cql__span *spans, unsigned count);
    void (*again)(cql__socket *socket);
    const char *(*why)(cql__socket *socket);
    void (*close)(cql__socket *socket);
    int (*resolve)(cql__link *link, const char *name, uint16_t port, void *user, uint32_t ticket);
  } cql__link_ops;
  struct cql__link { const cql__link_ops *ops; };
]])

local C = unit.C
local core = {}

core.HEADER_SIZE = 9
core.SEGMENT_MAX = 131071
core.NEVER = 18446744073709551615ULL

-- What a block holds, from the offset on.
function core.block_bytes(block, size, offset)
  return ffi.string(ffi.cast("uint8_t *", block.data) + (offset or 0), size)
end

-- A pool that goes with the cdata; blocks that are still out keep the rest of it alive.
function core.pool() return ffi.gc(C.cql__pool_new(), C.cql__pool_retire) end

function core.now_live() return tonumber(C.cql__mem_live()) end

-- ---- segments ----

local function crc_tail(payload)
  local tail = ffi.new "uint8_t[4]"
  C.cql__segment_tail_encode(C.cql__crc32_more(C.cql__crc32_begin(), payload, #payload), tail)
  return ffi.string(tail, 4)
end

function core.lz4(bytes)
  local bound = tonumber(C.cql__lz4_bound(#bytes))
  local out = ffi.new("uint8_t[?]", bound)
  return ffi.string(out, C.cql__lz4_compress(bytes, #bytes, out, bound))
end

-- A segment around `payload`; options: slice (not self-contained), lz4 (head of 8 bytes), compress
-- (if that makes it smaller), claims (the uncompressed length to put there).
function core.segment(payload, options)
  options = options or {}
  local head = ffi.new "uint8_t[8]"
  local segment = ffi.new("cql__segment", #payload, 0, options.slice and 0 or 1)
  local packed = options.compress and core.lz4(payload)
  if packed and #packed < #payload then
    segment.uncompressed_size, segment.payload_size = #payload, #packed
    payload = packed
  end
  segment.uncompressed_size = options.claims or segment.uncompressed_size
  C.cql__segment_head_encode(segment, options.lz4 and 1 or 0, head)
  return ffi.string(head, options.lz4 and 8 or 6) .. payload .. crc_tail(payload)
end

-- Takes segments apart: a list of { payload, self_contained, compressed }; all must be whole.
function core.unsegment(bytes, lz4)
  local list, at, head_size = {}, 1, lz4 and 8 or 6
  local segment = ffi.new "cql__segment"
  while at <= #bytes do
    local head = bytes:sub(at, at + head_size - 1)
    assert(#head == head_size, "half a head")
    assert(C.cql__segment_head_decode(head, lz4 and 1 or 0, segment) == 0, "CRC24")
    local payload = bytes:sub(at + head_size, at + head_size + segment.payload_size - 1)
    local tail = bytes:sub(at + head_size + #payload, at + head_size + #payload + 3)
    assert(#payload == segment.payload_size, "half a payload")
    assert(tail == crc_tail(payload), "CRC32")
    at = at + head_size + #payload + 4
    local one = { self_contained = segment.self_contained ~= 0, wire = #payload }
    one.compressed = segment.uncompressed_size > 0
    if one.compressed then
      local out = ffi.new("uint8_t[?]", segment.uncompressed_size)
      assert(C.cql__lz4_decompress(payload, #payload, out, segment.uncompressed_size) == 0)
      payload = ffi.string(out, segment.uncompressed_size)
    end
    one.payload = payload
    list[#list + 1] = one
  end
  return list
end

return core
