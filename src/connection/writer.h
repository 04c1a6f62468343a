/* Writer: the pair of write buffers of a connection. Requests are appended to the one that fills
 * while the other is being sent; on v5 they are cut into segments as they come.
 *
 * Large bodies are not copied: a span refers to them, and holds their block until they are sent. */
#ifndef CQL_CONNECTION_WRITER_H
#define CQL_CONNECTION_WRITER_H

#include "base/block.h"
#include "link/link.h"

typedef struct cql__writer_span {
  const uint8_t *bytes; /* NULL: in the area, at `offset` */
  cql__block *owner;    /* of `bytes`, else NULL */
  size_t offset;
  size_t size;
} cql__writer_span;

typedef struct cql__outbox {
  cql__block *area;
  size_t used;                          /* of the area */
  size_t size;                          /* of all spans */
  size_t open;                          /* so much may simply be put behind the last span */
  cql__writer_span *spans, *spans_heap; /* in order */
  uint32_t span_count, span_capacity;
  cql__writer_span spans_own[2];
  int secret; /* the area holds a token: wiped before others may read it, never compressed */
} cql__outbox;

typedef struct cql__writer {
  cql__pool *pool;
  cql__outbox *filling, *sending;
  cql__outbox boxes[2];
  size_t sent;         /* bytes of `sending` that are gone */
  uint32_t sent_spans; /* spans that are gone whole */
  size_t sent_in_span;
  int framed; /* v5 after the handshake's first answer: segments */
  int lz4;
  uint32_t compress_min;
  size_t segment_start; /* in the filling area; SIZE_MAX: none is open */
  size_t segment_size;  /* payload so far */
} cql__writer;

/* One envelope in pieces: header and head are copied, the body may be referred to. */
typedef struct cql__parcel {
  const uint8_t *head; /* with the 9 bytes of the header; its length field is filled in here */
  size_t head_size;
  cql__block *owner; /* of the body: kept while a span refers to it; NULL: copy it */
  const uint8_t *body;
  size_t body_size;
  int secret; /* a token or password */
} cql__parcel;

void cql__writer_init(cql__writer *writer, cql__pool *pool);
void cql__writer_deinit(cql__writer *writer);

uint8_t *cql__writer_reserve_more(cql__writer *writer, size_t size);
/* Room for an envelope of exactly `size` bytes, to be written by the caller at once; for what is
 * not compressed. NULL: no memory, nothing changed. */
static inline uint8_t *cql__writer_reserve(cql__writer *writer, size_t size) {
  cql__outbox *box = writer->filling;
  if (size > box->open) return cql__writer_reserve_more(writer, size);
  uint8_t *at = box->area->data + box->used;
  box->open -= size;
  box->used += size;
  box->size += size;
  box->spans[box->span_count - 1].size += size;
  writer->segment_size += size;
  return at;
}
/* Appends an envelope. 0, CQL_ENOMEM (nothing changed). */
int cql__writer_append(cql__writer *writer, const cql__parcel *parcel);

static inline size_t cql__writer_unsent(const cql__writer *writer) {
  return writer->filling->size + writer->sending->size - writer->sent;
}
/* Writes to the socket until all is gone or the socket is full. 0: all gone; 1: full; < 0 CQL_E*.
 * Counts calls and bytes. */
int cql__writer_flush(cql__writer *writer, cql__link *link, cql__socket *socket, uint64_t *calls,
                      uint64_t *bytes);

#endif
