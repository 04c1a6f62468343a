#include "io/poke.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cql.h"

/* What the thread reads (host, watch) is set before it starts and never changes. */
struct cql__poke {
  int listener, host, watch, timer, stop;
  int running;
  int stepped; /* since it was armed last: the descriptor's one shot may be spent */
  int64_t due; /* what the timer was set to, in ms of the monotonic clock; INT64_MAX: nothing */
  pthread_t thread;
  char directory[128], path[108];
};

enum { TAG_READY = 1, TAG_TIMER, TAG_STOP };

static void remove_path(cql__poke *poke) {
  if (poke->path[0]) unlink(poke->path);
  if (poke->directory[0]) rmdir(poke->directory);
  poke->path[0] = poke->directory[0] = 0;
}

static void close_all(cql__poke *poke) {
  int *const all[] = {&poke->listener, &poke->host, &poke->watch, &poke->timer, &poke->stop};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
    if (*all[i] >= 0) close(*all[i]);
    *all[i] = -1;
  }
}

int cql__poke_listen(const char *directory, char *path, size_t size, cql__poke **out) {
  *out = NULL;
  cql__poke *poke = cql__zalloc(sizeof *poke);
  if (!poke) return CQL_ENOMEM;
  poke->listener = poke->host = poke->watch = poke->timer = poke->stop = -1;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(poke->directory, sizeof poke->directory, "%s/cql-XXXXXX",
                        directory ? directory : "/tmp");
  int error = CQL_EIO;
  if (length < 0 || (size_t)length + 8 > sizeof address.sun_path || (size_t)length + 8 > size) {
    poke->directory[0] = 0;
    error = CQL_ETOOBIG;
  } else if (!mkdtemp(poke->directory)) {
    poke->directory[0] = 0;
  } else {
    snprintf(poke->path, sizeof poke->path, "%.100s/poke", poke->directory);
    memcpy(address.sun_path, poke->path, strlen(poke->path) + 1);
    poke->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (poke->listener >= 0 &&
        bind(poke->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
        listen(poke->listener, 4) == 0)
      error = 0;
  }
  if (error) {
    cql__poke_free(poke, 0);
    return error;
  }
  snprintf(path, size, "%s", poke->path);
  *out = poke;
  return 0;
}

static void *run(void *argument) {
  const cql__poke *poke = argument;
  for (;;) {
    struct epoll_event events[4];
    int count = epoll_wait(poke->watch, events, 4, -1);
    if (count < 0 && errno != EINTR) return NULL;
    int wake = 0;
    for (int i = 0; i < count; i++) {
      if (events[i].data.u32 == TAG_STOP) return NULL;
      wake = 1;
    }
    /* A full socket is fine: the host has bytes to wake for already. */
    if (wake && send(poke->host, "!", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE)
      return NULL;
  }
}

static int start_thread(cql__poke *poke) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&poke->thread, NULL, run, poke);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  poke->running = !error;
  return error ? CQL_EIO : 0;
}

static int accept_own(cql__poke *poke) {
  for (;;) {
    int fd = accept4(poke->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return CQL_EIO;
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == getpid()) {
      poke->host = fd;
      return 0;
    }
    close(fd); /* a stranger's */
  }
}

static int add_watch(const cql__poke *poke, int fd, uint32_t events, uint32_t tag) {
  struct epoll_event event = {.events = events, .data.u32 = tag};
  return epoll_ctl(poke->watch, EPOLL_CTL_ADD, fd, &event) ? CQL_EIO : 0;
}

int cql__poke_accept(cql__poke *poke, int fd) {
  if (poke->running) return CQL_EINVAL;
  int error = accept_own(poke);
  if (error) return error;
  close(poke->listener);
  poke->listener = -1;
  remove_path(poke);
  poke->watch = epoll_create1(EPOLL_CLOEXEC);
  poke->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  poke->stop = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  poke->due = INT64_MAX;
  if (poke->watch < 0 || poke->timer < 0 || poke->stop < 0 ||
      add_watch(poke, poke->stop, EPOLLIN, TAG_STOP) ||
      add_watch(poke, poke->timer, EPOLLIN | EPOLLONESHOT, TAG_TIMER) ||
      add_watch(poke, fd, EPOLLIN | EPOLLONESHOT, TAG_READY))
    return CQL_EIO;
  return start_thread(poke);
}

/* EPOLL_CTL_MOD looks at the readiness anew, so that nothing is lost between two wake-ups. */
static int arm(const cql__poke *poke, int fd, uint32_t tag) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = tag};
  return epoll_ctl(poke->watch, EPOLL_CTL_MOD, fd, &event) ? CQL_EIO : 0;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int set_timer(cql__poke *poke, int64_t wait_ms) {
  struct itimerspec when = {{0, 0}, {wait_ms / 1000, (wait_ms % 1000) * 1000000 + (wait_ms == 0)}};
  if (timerfd_settime(poke->timer, 0, &when, NULL)) return CQL_EIO;
  return arm(poke, poke->timer, TAG_TIMER);
}

void cql__poke_stepped(cql__poke *poke) {
  if (poke) poke->stepped = 1;
}

/* A turn that only sent something needs no system call here: the descriptor is still armed, or the
 * host's byte is under way; and a timer that comes too early wakes the host once for nothing. */
int cql__poke_arm(cql__poke *poke, int fd, int64_t wait_ms) {
  if (!poke->running) return CQL_EINVAL;
  int64_t now = now_ms();
  int64_t due = wait_ms < 0 ? INT64_MAX : now + wait_ms;
  if (due < poke->due || poke->due <= now) {
    poke->due = due;
    if (wait_ms >= 0 && set_timer(poke, wait_ms)) return CQL_EIO;
  }
  if (!poke->stepped) return 0;
  poke->stepped = 0;
  return arm(poke, fd, TAG_READY);
}

void cql__poke_free(cql__poke *poke, int forked) {
  if (!poke) return;
  if (poke->running && !forked) {
    uint64_t one = 1;
    while (write(poke->stop, &one, sizeof one) < 0 && errno == EINTR) {
    }
    pthread_join(poke->thread, NULL);
  }
  if (!forked) remove_path(poke);
  close_all(poke);
  cql__free(poke);
}
