/* Block: counted bytes of a size class, recycled by the session's pool.
 *
 * Bodies of requests, results and receive buffers are blocks: in the steady state taking one is a
 * pop and letting it go a push. Under AddressSanitizer nothing is recycled, so that a use after
 * free shows. */
#ifndef CQL_BASE_BLOCK_H
#define CQL_BASE_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define CQL__BLOCK_RECYCLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CQL__BLOCK_RECYCLE 0
#endif
#endif
#ifndef CQL__BLOCK_RECYCLE
#define CQL__BLOCK_RECYCLE 1
#endif

enum {
  CQL__BLOCK_CLASSES = 18,
  CQL__BLOCK_SMALL_CLASSES = 6, /* 128 bytes and its doubles, with the header */
  CQL__BLOCK_SMALL_MAX = 4064
};

typedef struct cql__block {
  struct cql__pool *pool;
  struct cql__block *next; /* while it is free */
  uint32_t refs;
  uint32_t size_class; /* CQL__BLOCK_CLASSES: larger than any */
  size_t capacity;
  uint8_t data[];
} cql__block;

typedef struct cql__pool {
  cql__block *idle[CQL__BLOCK_CLASSES];
  size_t idle_large; /* bytes of idle blocks that aren't small; bounded */
  size_t live;       /* blocks that are out */
  int retired;       /* its session has gone: it goes with its last block */
} cql__pool;

/* NULL: no memory. */
cql__pool *cql__pool_new(void);
/* Frees what is idle; results that are still out keep the rest until they are freed too. */
void cql__pool_retire(cql__pool *pool);

static inline uint32_t cql__block_small_class(size_t capacity) {
  uint32_t above = (uint32_t)(capacity + sizeof(cql__block) - 1) / 128;
  return 31 - (uint32_t)__builtin_clz(above * 2 + 1);
}
cql__block *cql__block_take_any(cql__pool *pool, size_t capacity);
/* At least `capacity` bytes, one reference, not zeroed; NULL: no memory. */
static inline cql__block *cql__block_take(cql__pool *pool, size_t capacity) {
  if (capacity > CQL__BLOCK_SMALL_MAX) return cql__block_take_any(pool, capacity);
  cql__block **idle = &pool->idle[cql__block_small_class(capacity)], *block = *idle;
  if (!block) return cql__block_take_any(pool, capacity);
  *idle = block->next;
  __builtin_prefetch(block->next); /* the next one taken */
  block->refs = 1;
  pool->live++;
  return block;
}
/* A larger block with the first `used` bytes of `block`, whose one reference it takes; NULL: no
 * memory, `block` is as before. */
cql__block *cql__block_grow(cql__block *block, size_t used, size_t capacity);
static inline cql__block *cql__block_ref(cql__block *block) {
  block->refs++;
  return block;
}
void cql__block_release(cql__block *block);
/* May its only holder keep it for the next use, instead of taking another? */
static inline int cql__block_may_stay(const cql__block *block) {
  return CQL__BLOCK_RECYCLE && block && block->refs == 1 && block->size_class < 2;
}
static inline void cql__block_unref(cql__block *block) {
  if (block && --block->refs == 0) cql__block_release(block);
}

#endif
