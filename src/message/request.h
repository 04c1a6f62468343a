/* Request: the bodies of the small messages that a connection sends of itself [spec 4.1].
 * OPTIONS has none. Strings are borrowed and at most 65,535 bytes long. */
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
/* AUTH_RESPONSE, of a token that isn't null; likewise. */
size_t cql__auth_response_encode(const uint8_t *token, size_t length, uint8_t *out,
                                 size_t capacity);

#endif
