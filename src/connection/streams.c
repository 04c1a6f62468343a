#include "connection/streams.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "wire/proto.h"

/* A slot holds NULL (free), a waiter (even: pointers are aligned), or an orphan: its tick, shifted,
 * with the lowest bit set. */
struct cql__streams_chunk {
  uint64_t open; /* a bit per free id */
  void *slot[64];
};

enum { CHUNKS_MAX = CQL__STREAM_COUNT / 64 };

void cql__streams_init(cql__streams *streams, uint32_t maximum) {
  memset(streams, 0, sizeof *streams);
  streams->maximum = maximum;
}

void cql__streams_deinit(cql__streams *streams) {
  for (uint32_t i = 0; i < streams->chunk_count; i++) cql__free(streams->chunks[i]);
  cql__free(streams->chunks);
  cql__streams_init(streams, streams->maximum);
}

static int add_chunk(cql__streams *streams) {
  uint32_t count = streams->chunk_count;
  if (count == CHUNKS_MAX) return -1;
  if ((count & (count - 1)) == 0) { /* the array doubles at 0, 1, 2, 4 .. */
    size_t capacity = count ? (size_t)count * 2 : 1;
    struct cql__streams_chunk **chunks =
        cql__realloc(streams->chunks, capacity * sizeof *streams->chunks);
    if (!chunks) return -1;
    streams->chunks = chunks;
  }
  struct cql__streams_chunk *chunk = cql__zalloc(sizeof *chunk);
  if (!chunk) return -1;
  chunk->open = count == 0 ? ~(uint64_t)1 : ~(uint64_t)0;
  streams->chunks[streams->chunk_count++] = chunk;
  return 0;
}

/* Moves `first_open` on to a chunk that has a free id. Kept out of the way of cql__streams_take(),
 * which is inlined where requests are sent. */
__attribute__((noinline)) static int find_open(cql__streams *streams) {
  uint32_t i = streams->first_open;
  while (i < streams->chunk_count && !streams->chunks[i]->open) i++;
  if (i == streams->chunk_count && add_chunk(streams)) return -1;
  streams->first_open = i;
  return 0;
}

int cql__streams_take(cql__streams *streams, void *waiter) {
  assert(waiter && ((uintptr_t)waiter & 1) == 0);
  if (streams->used >= streams->maximum) return -1;
  if ((streams->first_open == streams->chunk_count ||
       !streams->chunks[streams->first_open]->open) &&
      find_open(streams))
    return -1;
  uint32_t i = streams->first_open;
  struct cql__streams_chunk *chunk = streams->chunks[i];
  int bit = __builtin_ctzll(chunk->open);
  assert(!chunk->slot[bit]);
  chunk->open &= chunk->open - 1;
  chunk->slot[bit] = waiter;
  streams->used++;
  return (int)(i * 64) + bit;
}

static void release(cql__streams *streams, uint32_t stream) {
  struct cql__streams_chunk *chunk = streams->chunks[stream >> 6];
  chunk->slot[stream & 63] = NULL;
  chunk->open |= (uint64_t)1 << (stream & 63);
  if (stream >> 6 < streams->first_open) streams->first_open = stream >> 6;
  streams->used--;
}

int cql__streams_answer(cql__streams *streams, int stream, void **waiter) {
  uint32_t id = (uint32_t)stream;
  if (stream <= 0 || id >> 6 >= streams->chunk_count) return CQL__STREAM_UNKNOWN;
  void *slot = streams->chunks[id >> 6]->slot[id & 63];
  if (!slot) return CQL__STREAM_UNKNOWN;
  release(streams, id);
  if (((uintptr_t)slot & 1) == 0) {
    *waiter = slot;
    return CQL__STREAM_LIVE;
  }
  uintptr_t age = streams->tick - ((uintptr_t)slot >> 1);
  if (age > 1) {
    streams->orphans_old--;
  } else {
    streams->orphans[((uintptr_t)slot >> 1) & 1]--;
  }
  return CQL__STREAM_ORPHAN;
}

void cql__streams_orphan(cql__streams *streams, int stream) {
  struct cql__streams_chunk *chunk = streams->chunks[stream >> 6];
  assert(chunk->slot[stream & 63] && ((uintptr_t)chunk->slot[stream & 63] & 1) == 0);
  chunk->slot[stream & 63] = (void *)(streams->tick << 1 | 1);
  streams->orphans[streams->tick & 1]++;
}

void cql__streams_tick(cql__streams *streams) {
  streams->tick++;
  streams->orphans_old += streams->orphans[streams->tick & 1];
  streams->orphans[streams->tick & 1] = 0;
}

void *cql__streams_drain(cql__streams *streams, int *stream) {
  for (uint32_t i = 0; i < streams->chunk_count; i++) {
    struct cql__streams_chunk *chunk = streams->chunks[i];
    uint64_t taken = ~chunk->open & (i == 0 ? ~(uint64_t)1 : ~(uint64_t)0);
    while (taken) {
      uint32_t bit = (uint32_t)__builtin_ctzll(taken);
      taken &= taken - 1;
      void *slot = chunk->slot[bit];
      release(streams, i * 64 + bit);
      if (((uintptr_t)slot & 1) == 0) {
        *stream = (int)(i * 64 + bit);
        return slot;
      }
    }
  }
  memset(streams->orphans, 0, sizeof streams->orphans);
  streams->orphans_old = 0;
  return NULL;
}
