/* Reader: cuts what arrives into envelopes, without copying where that can be.
 *
 * Bytes are received into a counted slab; an envelope that lies in it whole is handed on where it
 * lies, and whoever wants to keep it holds a reference to the slab. A larger one, or one that
 * comes in several v5 segments, is gathered in a block of its own. */
#ifndef CQL_CONNECTION_READER_H
#define CQL_CONNECTION_READER_H

#include "base/block.h"

typedef struct cql__envelope {
  const uint8_t *header; /* 9 bytes */
  const uint8_t *body;   /* uncompressed */
  size_t size;
  cql__block *owner; /* what to hold if the body is to live on */
} cql__envelope;

typedef struct cql__reader {
  cql__pool *pool;
  cql__block *slab;
  size_t start, end; /* what of the slab is not yet cut */
  cql__block *large; /* an envelope on its way: header and body */
  size_t large_size; /* when it is whole; 0: not known yet */
  size_t large_filled;
  size_t body_max; /* configurable: frame_size_max */
  size_t skip;     /* bytes of an envelope that was too large, still to come */
  int framed;
  int lz4;
  const char *why; /* static text: what was broken */
  /* One whole envelope. < 0 stops: its error is cql__reader_cut()'s. It may switch `framed`. */
  int (*deliver)(void *user, const cql__envelope *envelope);
  /* An envelope whose body, uncompressed, is over body_max: only its header is given. */
  int (*too_big)(void *user, const uint8_t *header);
  void *user;
} cql__reader;

void cql__reader_init(cql__reader *reader, cql__pool *pool, size_t body_max);
void cql__reader_deinit(cql__reader *reader);
/* Where the next bytes go and how many may come (not 0). CQL_ENOMEM. */
int cql__reader_space(cql__reader *reader, uint8_t **out, size_t *size);
/* So many have come there: cuts and delivers. 0, or why the connection must close: CQL_EPROTOCOL,
 * CQL_EVERSION (v1 or v2, whose header is another), CQL_ENOMEM, or what `deliver` returned. */
int cql__reader_cut(cql__reader *reader, size_t size);
/* Gives the slab back if nothing is left in it. After each turn of reading. */
void cql__reader_rest(cql__reader *reader);

#endif
