/* Memory of the world's own: a spec that fails or counts the core's allocations means the core's
 * alone. Where there is none left the process ends: this is a tool for tests. */
#ifndef CQL_SIM_MEMORY_H
#define CQL_SIM_MEMORY_H

#include <stddef.h>

#include "cql.h"

/* Zeroed. */
void *cql__sim_alloc(size_t size);
void *cql__sim_realloc(void *pointer, size_t size);
void cql__sim_release(void *pointer);
/* A copy with a final NUL. */
char *cql__sim_text(const void *text, size_t length);
/* An array with room for one element more: where *capacity equals `count` it grows. */
void *cql__sim_grow(void *array, size_t count, size_t *capacity, size_t size);

/* Region: pieces of one lifetime, zeroed, freed together. */
typedef struct cql__sim_region {
  struct cql__sim_chunk *chunks;
  size_t used;
} cql__sim_region;

void *cql__sim_region_take(cql__sim_region *region, size_t size);
/* A copy with a final NUL. */
char *cql__sim_region_text(cql__sim_region *region, const void *text, size_t length);
void cql__sim_region_free(cql__sim_region *region);

#endif
