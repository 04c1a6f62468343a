/* Memory: every allocation of the core goes through here, so that a host can replace the allocator
 * and a spec can fail the n-th call. Nothing here is used once per request: see base/block.h. */
#ifndef CQL_BASE_MEM_H
#define CQL_BASE_MEM_H

#include <stddef.h>

/* As malloc(), calloc(1, size), realloc(), free(). NULL: no memory, nothing changed. */
void *cql__malloc(size_t size);
void *cql__zalloc(size_t size);
void *cql__realloc(void *pointer, size_t size);
void cql__free(void *pointer);

/* A copy with a final NUL; NULL: no memory. */
char *cql__text_copy(const char *text, size_t length);

/* Overwrites secrets in a way that the compiler keeps. */
void cql__wipe(void *pointer, size_t size);

/* All three or none; as the namesakes of the C library. */
void cql__mem_hooks(void *(*allocate)(size_t), void *(*reallocate)(void *, size_t),
                    void (*release)(void *));

#ifdef CQL_TEST
/* Fails the n-th allocation from now (1: the next) and every later one if `onwards`; 0: none. */
void cql__mem_fail(long n, int onwards);
/* How many allocations were made since the program began, and how many live now. */
long cql__mem_count(void);
long cql__mem_live(void);
#endif

#endif
