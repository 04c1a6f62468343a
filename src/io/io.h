/* Io: the link on real sockets. A libuv loop of the session's own watches descriptors; reading and
 * writing are done here, with MSG_NOSIGNAL: libuv's own writes raise SIGPIPE. */
#ifndef CQL_IO_IO_H
#define CQL_IO_IO_H

#include <uv.h>

#include "base/list.h"
#include "io/tls.h"
#include "link/link.h"
#include "session/session.h"

typedef struct cql__io {
  cql__link link; /* first */
  const cql__link_events *events;
  uv_loop_t loop;
  uv_timer_t wake;
  cql__list sockets;
  cql__list again;      /* sockets to visit in the next step without being told */
  cql__list lookups;    /* names being resolved: see resolve.c */
  int watchers_changed; /* the kernel doesn't know yet */
  int more_to_read;     /* a socket was left before it was dry */
  int lost;             /* a child whose loop could not be made anew: it is left as it is */
  cql__tls *tls;        /* NULL: plain */
  /* of the configuration */
  int nodelay, keepalive;
  cql__address local; /* length 0: any */
  uint8_t *scratch;   /* TLS: ciphertext on its way in */
} cql__io;

/* `why` gets a sentence on failure. */
int cql__io_new(const cql_config_t *config, const cql__link_events *events, cql__io **out,
                char why[256]);
/* In a child fork() makes the loop the child's own, so that what is closed in it stays in the
 * parent's, which shares the kernel's list of what is watched; free() then says no word to the
 * other side. */
extern const cql__host_ops cql__io_host;

/* resolve.c */
int cql__io_resolve(cql__link *link, const char *name, uint16_t port, void *user, uint32_t ticket);
void cql__io_forget_lookups(cql__io *io, int forked);

#endif
