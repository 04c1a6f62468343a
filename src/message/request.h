/* Request: the bodies of the small messages that a connection sends of itself [spec 4.1]. */
#ifndef CQL_MESSAGE_REQUEST_H
#define CQL_MESSAGE_REQUEST_H

#include <stddef.h>
#include <stdint.h>

typedef struct cql__pair {
  const char *name, *value;
} cql__pair;

/* STARTUP. The size of the body; more than `capacity`: nothing was written. */
size_t cql__startup_encode(const cql__pair *pairs, unsigned count, uint8_t *out, size_t capacity);
/* REGISTER, of event types; likewise. */
size_t cql__register_encode(const char *const *types, unsigned count, uint8_t *out,
                            size_t capacity);

#endif
