/* Poke: wakes a host that can't watch a descriptor itself. A thread that touches nothing of the
 * core waits on the session's descriptor and on a timer, and writes one byte to the host's own
 * socket; then it waits to be armed again. */
#ifndef CQL_IO_POKE_H
#define CQL_IO_POKE_H

#include <stddef.h>
#include <stdint.h>

typedef struct cql__poke cql__poke;

/* Listens on a unix socket in a fresh directory, mode 0700. CQL_EIO, CQL_ENOMEM, CQL_ETOOBIG. */
int cql__poke_listen(const char *directory, char *path, size_t size, cql__poke **out);
/* Accepts the connection of this very process and starts the thread on `fd`. */
int cql__poke_accept(cql__poke *poke, int fd);
/* The session took a step, so that it may have seen what the host is being woken for. */
void cql__poke_stepped(cql__poke *poke);
/* Wake the host when `fd` is readable or in `wait_ms` (0: at once; -1: no timer). */
int cql__poke_arm(cql__poke *poke, int fd, int64_t wait_ms);
/* Stops the thread and waits for it (a millisecond). `forked`: closes descriptors only. */
void cql__poke_free(cql__poke *poke, int forked);

#endif
