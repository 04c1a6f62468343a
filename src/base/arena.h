/* Arena: many small pieces of one lifetime, freed together. For things that are built once and
 * read often, such as the shape of rows; never for the path of a request. */
#ifndef CQL_BASE_ARENA_H
#define CQL_BASE_ARENA_H

#include <stddef.h>

typedef struct cql__arena {
  struct cql__arena_chunk *chunks;
  size_t used; /* in the newest chunk */
} cql__arena;

/* 8-aligned, zeroed; lives until cql__arena_free(). NULL: no memory, the arena is still valid. */
void *cql__arena_take(cql__arena *arena, size_t size);
void cql__arena_free(cql__arena *arena);

#endif
