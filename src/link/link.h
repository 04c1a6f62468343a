/* Link: the one door between the core and the world. The core asks through this table for
 * connections, bytes, time, chance and names; src/io answers with sockets, src/sim with a virtual
 * network. What the world has to say comes back through cql__link_events, called only from within
 * the link's own step: never from inside one of these functions. */
#ifndef CQL_LINK_LINK_H
#define CQL_LINK_LINK_H

#include <stddef.h>
#include <stdint.h>

typedef struct cql__link cql__link;     /* the implementation's */
typedef struct cql__socket cql__socket; /* likewise */

enum { CQL__ADDRESS_TEXT = 64 };

/* Where to connect: an IP address, never a name. */
typedef struct cql__address {
  uint8_t bytes[16];
  uint8_t length; /* 4 or 16 */
  uint16_t port;
  uint32_t scope; /* IPv6 zone, 0: none */
} cql__address;

/* Where to connect, and as whom. */
typedef struct cql__target {
  cql__address address;
  uint16_t local_port;                  /* 0: any */
  uint32_t send_buffer, receive_buffer; /* of the socket; 0: the system's */
  const char *server_name; /* TLS: what the server is told (SNI) instead of tls_sni or tls_name, and
                              what its certificate must carry unless tls_name says it; NULL: none.
                              For the call */
  const uint8_t *host_id;  /* 16 bytes: who must answer, if it says who it is; NULL: anybody. For
                              the call */
} cql__target;

/* What `open` alone may say, and no host sees: the local port is taken; another may be free. */
enum { CQL__EPORT = -1000 };

/* How many spans one write may have. */
enum { CQL__SPANS_MAX = 64 };

typedef struct cql__span {
  const uint8_t *bytes;
  size_t size;
} cql__span;

typedef struct cql__link_events {
  /* The socket of `user` is open (TLS included), or has something to read, or room to write. */
  void (*opened)(void *user);
  void (*readable)(void *user);
  void (*writable)(void *user);
  /* It could not be opened. `why`: static or until the call returns. The socket must still be
   * closed. */
  void (*failed)(void *user, int error, const char *why);
  /* The addresses of a name; none: `error` says why. */
  void (*resolved)(void *user, uint32_t ticket, int error, const cql__address *addresses,
                   uint32_t count);
} cql__link_events;

typedef struct cql__link_ops {
  /* Milliseconds of a clock that never goes back, read now. */
  uint64_t (*now)(cql__link *link);
  /* Microseconds since 1970, for timestamps. */
  int64_t (*wall_clock)(cql__link *link);
  uint64_t (*chance)(cql__link *link);
  /* Starts to open; `opened` or `failed` follows. Events of this socket carry `user`. CQL__EPORT,
   * CQL_ENOMEM, CQL_EIO: nothing was opened, nothing follows. */
  int (*open)(cql__link *link, const cql__target *target, void *user, cql__socket **out);
  /* > 0 bytes; 0: nothing now, `readable` follows; < 0 CQL_E*: closed (CQL_ECONNECTION) or broken.
   */
  ptrdiff_t (*read)(cql__socket *socket, uint8_t *out, size_t size);
  /* > 0 bytes taken, in order; 0: full, `writable` follows; < 0 CQL_E*. `count`: 1 to
   * CQL__SPANS_MAX. */
  ptrdiff_t (*write)(cql__socket *socket, const cql__span *spans, unsigned count);
  /* Reading stopped before it was dry: say `readable` again in the next step. */
  void (*again)(cql__socket *socket);
  /* Static text or until close: the system's words for the last error. */
  const char *(*why)(cql__socket *socket);
  void (*close)(cql__socket *socket);
  /* Starts to look a name up; `resolved` follows with `user` and `ticket`. */
  int (*resolve)(cql__link *link, const char *name, uint16_t port, void *user, uint32_t ticket);
} cql__link_ops;

struct cql__link {
  const cql__link_ops *ops;
};

static inline uint64_t cql__link_now(cql__link *link) { return link->ops->now(link); }

/* "127.0.0.1:9042", "[::1]:9042". */
void cql__address_to_text(const cql__address *address, char out[CQL__ADDRESS_TEXT]);
/* An IP address with or without brackets. 0, or CQL_EVALUE: it is something else, perhaps a name.
 */
int cql__address_from_text(const char *text, size_t length, uint16_t port, cql__address *out);
int cql__address_equal(const cql__address *a, const cql__address *b);

#endif
