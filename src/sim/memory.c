#include "sim/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *given(void *pointer) {
  if (pointer) return pointer;
  fputs("cql_sim: out of memory\n", stderr);
  abort();
}

void *cql__sim_alloc(size_t size) { return given(calloc(1, size ? size : 1)); }
void *cql__sim_realloc(void *pointer, size_t size) {
  return given(realloc(pointer, size ? size : 1));
}
void cql__sim_release(void *pointer) { free(pointer); }

char *cql__sim_text(const void *text, size_t length) {
  char *copy = cql__sim_alloc(length + 1);
  if (length) memcpy(copy, text, length);
  return copy;
}

void *cql__sim_grow(void *array, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return array;
  *capacity = count * 2 + 8;
  return cql__sim_realloc(array, *capacity * size);
}

/* ---- regions ---- */

typedef struct cql__sim_chunk {
  struct cql__sim_chunk *next;
  size_t size;
  _Alignas(16) uint8_t bytes[];
} cql__sim_chunk;

enum { CHUNK_SIZE = 2000 };

void *cql__sim_region_take(cql__sim_region *region, size_t size) {
  size = (size + 15) & ~(size_t)15;
  cql__sim_chunk *chunk = region->chunks;
  if (!chunk || chunk->size - region->used < size) {
    size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
    chunk = cql__sim_alloc(sizeof *chunk + room);
    chunk->size = room;
    chunk->next = region->chunks;
    region->chunks = chunk;
    region->used = 0;
  }
  void *piece = chunk->bytes + region->used;
  region->used += size;
  return piece;
}

char *cql__sim_region_text(cql__sim_region *region, const void *text, size_t length) {
  char *copy = cql__sim_region_take(region, length + 1);
  if (length) memcpy(copy, text, length);
  return copy;
}

void cql__sim_region_free(cql__sim_region *region) {
  while (region->chunks) {
    cql__sim_chunk *next = region->chunks->next;
    free(region->chunks);
    region->chunks = next;
  }
  region->used = 0;
}
