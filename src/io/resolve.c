/* Names: one detached thread per look-up, around getaddrinfo(). Its answer is a block of its own,
 * announced by an eventfd, and belongs to whoever lets go of it last: closing never waits for a
 * name server. The thread blocks all signals and touches nothing else. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/io.h"

#include "base/mem.h"

enum { ADDRESSES_MAX = 64 };

/* Shared with the thread: plain malloc(), for the hooks are not made for threads. */
typedef struct lookup_answer {
  atomic_int owners;
  int event;
  char name[256];
  uint16_t port;
  int error;
  uint32_t count;
  cql__address addresses[ADDRESSES_MAX];
} lookup_answer;

typedef struct lookup {
  cql__list link;
  uv_poll_t poll;
  cql__io *io;
  lookup_answer *answer;
  void *user;
  uint32_t ticket;
} lookup;

static void let_go(lookup_answer *answer) {
  if (atomic_fetch_sub(&answer->owners, 1) != 1) return;
  close(answer->event);
  free(answer);
}

static void add_address(lookup_answer *answer, const struct sockaddr *from) {
  cql__address *to = &answer->addresses[answer->count];
  memset(to, 0, sizeof *to);
  to->port = answer->port;
  if (from->sa_family == AF_INET) {
    to->length = 4;
    memcpy(to->bytes, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
  } else if (from->sa_family == AF_INET6) {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;
    to->length = 16;
    to->scope = v6->sin6_scope_id;
    memcpy(to->bytes, &v6->sin6_addr, 16);
  } else {
    return;
  }
  answer->count++;
}

static void *look_up(void *argument) {
  lookup_answer *answer = argument;
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
  int error = getaddrinfo(answer->name, NULL, &hints, &list);
  if (!error)
    for (const struct addrinfo *at = list; at && answer->count < ADDRESSES_MAX; at = at->ai_next)
      add_address(answer, at->ai_addr);
  if (list) freeaddrinfo(list);
  answer->error = error || !answer->count ? CQL_ERESOLVE : 0;
  uint64_t one = 1;
  while (write(answer->event, &one, sizeof one) < 0 && errno == EINTR) {
  }
  let_go(answer);
  return NULL;
}

static int start_thread(lookup_answer *answer) {
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, before;
  if (pthread_attr_init(&attributes)) return CQL_ENOMEM;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&thread, &attributes, look_up, answer);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return error ? CQL_EIO : 0;
}

static void on_freed(uv_handle_t *handle) { cql__free(handle->data); }

static void forget(lookup *l) {
  cql__list_remove(&l->link);
  uv_close((uv_handle_t *)&l->poll, on_freed);
  let_go(l->answer);
}

static void on_answer(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  lookup *l = poll->data;
  uint64_t count;
  if (read(l->answer->event, &count, sizeof count) != sizeof count) return;
  uv_poll_stop(poll);
  l->io->events->resolved(l->user, l->ticket, l->answer->error, l->answer->addresses,
                          l->answer->count);
  forget(l);
}

static int new_answer(const char *name, uint16_t port, lookup_answer **out) {
  *out = NULL;
  lookup_answer *answer = calloc(1, sizeof *answer);
  if (!answer) return CQL_ENOMEM;
  atomic_init(&answer->owners, 1);
  strncpy(answer->name, name, sizeof answer->name - 1);
  answer->port = port;
  answer->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (answer->event < 0) {
    free(answer);
    return CQL_EIO;
  }
  *out = answer;
  return 0;
}

/* The same name once more while it is being looked up: the thread that is slow is waited for, not
 * joined by others. */
static int adopt(cql__io *io, const char *name, uint16_t port, void *user, uint32_t ticket) {
  for (cql__list *at = io->lookups.next; at != &io->lookups; at = at->next) {
    lookup *l = cql__container(at, lookup, link);
    if (l->user != user || l->ticket == ticket || l->answer->port != port ||
        strcmp(l->answer->name, name) != 0)
      continue;
    l->ticket = ticket;
    return 1;
  }
  return 0;
}

int cql__io_resolve(cql__link *link, const char *name, uint16_t port, void *user, uint32_t ticket) {
  cql__io *io = cql__container(link, cql__io, link);
  if (adopt(io, name, port, user, ticket)) return 0;
  lookup_answer *answer;
  int error = new_answer(name, port, &answer);
  if (error) return error;
  lookup *l = cql__zalloc(sizeof *l);
  if (!l || uv_poll_init(&io->loop, &l->poll, answer->event)) {
    let_go(answer);
    error = l ? CQL_EIO : CQL_ENOMEM;
    cql__free(l);
    return error;
  }
  l->io = io;
  l->answer = answer;
  l->user = user;
  l->ticket = ticket;
  l->poll.data = l;
  cql__list_append(&io->lookups, &l->link);
  atomic_fetch_add(&answer->owners, 1); /* the thread's */
  if (start_thread(answer)) {
    let_go(answer);
    forget(l);
    return CQL_EIO;
  }
  uv_poll_start(&l->poll, UV_READABLE, on_answer);
  io->watchers_changed = 1;
  return 0;
}

void cql__io_forget_lookups(cql__io *io, int forked) {
  while (!cql__list_empty(&io->lookups)) {
    lookup *l = cql__container(io->lookups.next, lookup, link);
    /* The thread is not in this process. (Exchanged, not stored: what it wrote is before this.) */
    if (forked) atomic_exchange(&l->answer->owners, 1);
    forget(l);
  }
}
