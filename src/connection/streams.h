/* Streams: the 32,768 ids of a connection, the lowest free one first, and who waits on each
 * [spec 2.3]. Id 0 is the connection's own (handshake, heartbeat, USE): errors of the connection
 * itself come on it too, so that it must never be a request's.
 *
 * An id whose request timed out is an orphan: it is not given out again before its answer came. */
#ifndef CQL_CONNECTION_STREAMS_H
#define CQL_CONNECTION_STREAMS_H

#include <stdint.h>

typedef struct cql__streams {
  struct cql__streams_chunk **chunks; /* of 64 ids; grown as needed, addresses are stable */
  uint32_t chunk_count;
  uint32_t used;        /* live and orphaned, without id 0 */
  uint32_t maximum;     /* of `used`; configurable */
  uint32_t first_open;  /* no chunk before this one has a free id */
  uint32_t orphans[2];  /* of this and of the last tick */
  uint32_t orphans_old; /* at least one tick old */
  uintptr_t tick;
} cql__streams;

void cql__streams_init(cql__streams *streams, uint32_t maximum);
void cql__streams_deinit(cql__streams *streams);
/* The lowest free id from 1, now waited on by `waiter` (a pointer, not NULL); -1: none is free, or
 * CQL_ENOMEM as -1 too. */
int cql__streams_take(cql__streams *streams, void *waiter);
enum { CQL__STREAM_UNKNOWN = 0, CQL__STREAM_LIVE = 1, CQL__STREAM_ORPHAN = 2 };
/* An answer came: frees the id and says what it was; its waiter if it was live. */
int cql__streams_answer(cql__streams *streams, int stream, void **waiter);
/* Nobody waits any more, but the answer is owed. */
void cql__streams_orphan(cql__streams *streams, int stream);
/* Takes the next live waiter out, for closing; NULL: no more. Orphans are dropped. */
void *cql__streams_drain(cql__streams *streams, int *stream);
/* A second has passed: orphans grow older. */
void cql__streams_tick(cql__streams *streams);
static inline uint32_t cql__streams_orphans(const cql__streams *streams) {
  return streams->orphans[0] + streams->orphans[1] + streams->orphans_old;
}
static inline uint32_t cql__streams_live(const cql__streams *streams) {
  return streams->used - cql__streams_orphans(streams);
}

#endif
