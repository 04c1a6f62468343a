/* Ring: the tokens of a cluster in their order, each with the node that owns it. It doesn't change
 * once it is made, and those who use it count. A range is the place of its last token: it holds
 * what comes behind the token before, up to and with its own. */
#ifndef CQL_CLUSTER_RING_H
#define CQL_CLUSTER_RING_H

#include "cluster/partitioner.h"

/* What of a token `high` doesn't hold; ByteOrdered's bytes begin at `offset` of ring->bytes. */
typedef struct cql__ring_tail {
  uint64_t low;
  uint32_t offset, size;
} cql__ring_tail;

typedef struct cql__ring {
  uint32_t refs;
  cql__partitioner partitioner;
  uint32_t count;        /* of tokens, and of ranges; 0 is legal */
  uint32_t node_count;   /* 1 + the highest owner */
  uint64_t *highs;       /* of each token */
  uint32_t *owners;      /* of each token */
  uint8_t *owns;         /* of each node: has it a token? */
  cql__ring_tail *tails; /* of each token; NULL: `high` is all there is */
  uint8_t *bytes;
  uint32_t
      *starts; /* of each value of high >> shift, and one more: the first token from there on */
  uint32_t shift;
} cql__ring;

static inline cql__ring *cql__ring_ref(cql__ring *ring) {
  ring->refs++;
  return ring;
}
void cql__ring_unref(cql__ring *ring);

/* The range that a token falls into; behind the last one comes the first. 0 of an empty ring. */
uint32_t cql__ring_find(const cql__ring *ring, const cql__token *token);
/* Borrows from the ring. */
cql__token cql__ring_token(const cql__ring *ring, uint32_t range);

/* ---- making one ----
 *
 * Sorting 256,000 tokens takes some 20 ms: it is done in slices, between which the host goes on. */
typedef struct cql__ring_builder cql__ring_builder;

/* A slice that takes well under a millisecond. */
enum { CQL__RING_SLICE = 32768 };

/* NULL: no memory. */
cql__ring_builder *cql__ring_builder_new(cql__partitioner partitioner);
void cql__ring_builder_free(cql__ring_builder *builder);
/* Tokens come in any order, and before the first step. One that several nodes claim goes to the
 * lowest of them. 0; CQL_EVALUE: the text is no token; CQL_ENOMEM: all is as before. */
int cql__ring_builder_add(cql__ring_builder *builder, const cql__token *token, uint32_t owner);
int cql__ring_builder_add_text(cql__ring_builder *builder, cql_slice_t text, uint32_t owner);
/* Moves at most `budget` tokens on. 0: there is more to do; 1: *ring is the caller's, and the
 * builder is only to be freed; CQL_ENOMEM: it may be tried again. */
int cql__ring_builder_step(cql__ring_builder *builder, uint32_t budget, cql__ring **ring);

#endif
