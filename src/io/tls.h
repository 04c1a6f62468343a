/* Tls: OpenSSL on memory BIOs. TLS 1.2 and 1.3; chain and name are verified unless the
 * configuration says less. Peers are dialled by address while certificates carry names: tls_name
 * says which; without it the address itself must stand in the certificate. */
#ifndef CQL_IO_TLS_H
#define CQL_IO_TLS_H

#include "link/link.h"
#include "session/config.h"

typedef struct cql__tls cql__tls;               /* of a session */
typedef struct cql__tls_socket cql__tls_socket; /* of a connection */

/* Reads CA, certificate and key. `why` gets a sentence on failure. */
int cql__tls_new(const cql_config_t *config, cql__tls **out, char why[256]);
void cql__tls_free(cql__tls *tls);

cql__tls_socket *cql__tls_socket_new(cql__tls *tls, const cql__target *target);
void cql__tls_socket_free(cql__tls_socket *socket); /* sends nothing */
/* 1: done; 0: not yet; < 0 CQL_E*, with `why`. */
int cql__tls_handshake(cql__tls_socket *socket, int fd, int *wants_write, char *why, size_t size);
/* As the link's read: less than `size` only when the socket is dry. */
ptrdiff_t cql__tls_read(cql__tls_socket *socket, int fd, uint8_t *out, size_t size,
                        uint8_t *scratch, size_t scratch_size, char *why, size_t why_size);
/* An error waits to be told by the next read, which the socket may never ask for. */
int cql__tls_ended(const cql__tls_socket *socket);
/* Takes plaintext; nothing while too much ciphertext waits. */
ptrdiff_t cql__tls_write(cql__tls_socket *socket, const cql__span *spans, unsigned count, char *why,
                         size_t why_size);
/* Sends ciphertext. 0: all gone; 1: the socket is full; < 0: broken, see errno. */
int cql__tls_flush(cql__tls_socket *socket, int fd);

#endif
