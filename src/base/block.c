#include "base/block.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

/* Powers of two of what fits, header apart, but for one class that holds a whole v5 segment. */
static const size_t class_capacity[CQL__BLOCK_CLASSES] = {96,
                                                          224,
                                                          480,
                                                          992,
                                                          2016,
                                                          4064,
                                                          8 * 1024,
                                                          16 * 1024,
                                                          32 * 1024,
                                                          64 * 1024,
                                                          CQL__SLAB_SEGMENT,
                                                          256 * 1024,
                                                          512 * 1024,
                                                          1024 * 1024,
                                                          2048 * 1024,
                                                          4096 * 1024,
                                                          8192 * 1024,
                                                          16384 * 1024};

_Static_assert(sizeof(cql__block) + CQL__BLOCK_SMALL_MAX == 128 << (CQL__BLOCK_SMALL_CLASSES - 1),
               "the small classes are what cql__block_small_class() says");

static uint32_t class_of(size_t capacity) {
  if (capacity <= CQL__BLOCK_SMALL_MAX) return cql__block_small_class(capacity);
  uint32_t size_class = CQL__BLOCK_SMALL_CLASSES;
  while (size_class < CQL__BLOCK_CLASSES && class_capacity[size_class] < capacity) size_class++;
  return size_class;
}

cql__pool *cql__pool_new(void) { return cql__zalloc(sizeof(cql__pool)); }

void cql__pool_retire(cql__pool *pool) {
  for (uint32_t i = 0; i < CQL__BLOCK_CLASSES; i++) {
    while (pool->idle[i]) {
      cql__block *block = pool->idle[i];
      pool->idle[i] = block->next;
      cql__free(block);
    }
  }
  pool->idle_large = 0;
  pool->retired = 1;
  if (pool->live == 0) cql__free(pool);
}

cql__block *cql__block_take_any(cql__pool *pool, size_t capacity) {
  uint32_t size_class = class_of(capacity);
  cql__block *block = NULL;
  if (size_class < CQL__BLOCK_CLASSES) {
    capacity = class_capacity[size_class];
    block = pool->idle[size_class];
    if (block) {
      pool->idle[size_class] = block->next;
      if (capacity >= CQL__BLOCK_LARGE) pool->idle_large -= capacity;
    }
  }
  if (!block) {
    block = cql__malloc(sizeof *block + capacity);
    if (!block) return NULL;
    block->pool = pool;
    block->size_class = size_class;
    block->capacity = capacity;
  }
  block->next = NULL;
  block->refs = 1;
  pool->live++;
  return block;
}

cql__block *cql__block_grow(cql__block *block, size_t used, size_t capacity) {
  assert(block->refs == 1);
  cql__block *larger = cql__block_take(block->pool, capacity);
  if (!larger) return NULL;
  memcpy(larger->data, block->data, used);
  cql__block_unref(block);
  return larger;
}

void cql__block_release(cql__block *block) {
  cql__pool *pool = block->pool;
  pool->live--;
  if (CQL__BLOCK_RECYCLE && block->size_class < CQL__BLOCK_SMALL_CLASSES && !pool->retired) {
    block->next = pool->idle[block->size_class];
    pool->idle[block->size_class] = block;
    return;
  }
  int large = block->capacity >= CQL__BLOCK_LARGE;
  if (!CQL__BLOCK_RECYCLE || pool->retired || block->size_class == CQL__BLOCK_CLASSES ||
      (large && pool->idle_large + block->capacity > CQL__IDLE_LARGE_MAX)) {
    cql__free(block);
    if (pool->retired && pool->live == 0) cql__free(pool);
    return;
  }
  if (large) pool->idle_large += block->capacity;
  block->next = pool->idle[block->size_class];
  pool->idle[block->size_class] = block;
}
