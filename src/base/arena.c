#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

struct cql__arena_chunk {
  struct cql__arena_chunk *next;
  size_t capacity;
  uint64_t bytes[]; /* for the alignment */
};

#define CHUNK_SIZE 1000

void *cql__arena_take(cql__arena *arena, size_t size) {
  size = (size + 7) & ~(size_t)7;
  struct cql__arena_chunk *chunk = arena->chunks;
  if (!chunk || chunk->capacity - arena->used < size) {
    size_t capacity = size > CHUNK_SIZE ? size : CHUNK_SIZE;
    chunk = cql__malloc(sizeof *chunk + capacity);
    if (!chunk) return NULL;
    chunk->next = arena->chunks;
    chunk->capacity = capacity;
    arena->chunks = chunk;
    arena->used = 0;
  }
  void *piece = (uint8_t *)chunk->bytes + arena->used;
  arena->used += size;
  memset(piece, 0, size);
  return piece;
}

void cql__arena_free(cql__arena *arena) {
  struct cql__arena_chunk *chunk = arena->chunks;
  while (chunk) {
    struct cql__arena_chunk *next = chunk->next;
    cql__free(chunk);
    chunk = next;
  }
  arena->chunks = NULL;
  arena->used = 0;
}
