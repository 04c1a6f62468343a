/* Names: texts that are kept once each and stay where they are until the end of all, so that equal
 * ones have the same address. */
#ifndef CQL_BASE_NAMES_H
#define CQL_BASE_NAMES_H

#include <stddef.h>
#include <stdint.h>

typedef struct cql__name {
  uint32_t number; /* counted from 0 in the order they came */
  uint32_t length;
  char text[]; /* with a NUL */
} cql__name;

/* Zero it to begin with. */
typedef struct cql__names {
  cql__name **slots; /* by hash; a power of two */
  uint32_t count, capacity;
} cql__names;

void cql__names_deinit(cql__names *names);
/* The one of this text, made if need be; NULL: no memory. */
const cql__name *cql__names_keep(cql__names *names, const void *text, size_t length);
/* NULL: there is none. */
const cql__name *cql__names_find(const cql__names *names, const void *text, size_t length);

#endif
