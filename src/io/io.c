#include "io/io.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { CONNECTING, SHAKING, OPEN };
enum { SCRATCH_SIZE = 64 * 1024 };

struct cql__socket {
  cql__list link;  /* in io->sockets */
  cql__list again; /* in io->again */
  cql__io *io;
  uv_poll_t poll;
  void *user;
  cql__tls_socket *tls;
  int fd;
  int watched; /* UV_READABLE | UV_WRITABLE */
  int state;
  int closed;
  int error;           /* errno of a call that failed at once; told in the next step */
  const char *refused; /* which one, for people: "local_address: " */
  int broken;          /* errno of a write; what came in before is read first */
  char why[200];
};

static cql__io *io_of(cql__link *link) { return cql__container(link, cql__io, link); }
static const cql__io *of_const(const cql__link *link) {
  return (const cql__io *)(const void *)link; /* its first member */
}

static uint64_t io_now(cql__link *link) {
  (void)link;
  return uv_hrtime() / 1000000;
}

static int64_t io_wall_clock(cql__link *link) {
  (void)link;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t io_chance(cql__link *link) {
  (void)link;
  uint64_t value;
  if (getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value) value = uv_hrtime();
  return value;
}

/* ---- watching ---- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(cql__socket *s, int events) {
  if (s->watched == events || s->closed) return;
  s->watched = events;
  s->io->watchers_changed = 1;
  uv_poll_start(&s->poll, events, on_poll);
}

static void visit_again(cql__socket *s) {
  if (cql__list_empty(&s->again)) cql__list_append(&s->io->again, &s->again);
}

static void shake(cql__socket *s) {
  int wants_write = 0;
  int done = cql__tls_handshake(s->tls, s->fd, &wants_write, s->why, sizeof s->why);
  if (done < 0) {
    s->io->events->failed(s->user, done, s->why);
    return;
  }
  watch(s, wants_write ? UV_READABLE | UV_WRITABLE : UV_READABLE);
  if (!done) return;
  s->state = OPEN;
  visit_again(s); /* the server may have said more than its handshake already */
  s->io->events->opened(s->user);
}

static void connected(cql__socket *s) {
  int error = s->error;
  socklen_t size = sizeof error;
  if (!error) getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error) {
    snprintf(s->why, sizeof s->why, "%s%s", s->error ? s->refused : "", strerror(error));
    s->io->events->failed(s->user, CQL_ECONNECT, s->why);
    return;
  }
  if (s->tls) {
    s->state = SHAKING;
    shake(s);
    return;
  }
  s->state = OPEN;
  watch(s, UV_READABLE);
  s->io->events->opened(s->user);
}

static void on_open_socket(cql__socket *s, int events) {
  const cql__link_events *tell = s->io->events;
  if (events & UV_WRITABLE) {
    int left = s->tls ? cql__tls_flush(s->tls, s->fd) : 0;
    if (left >= 0 && !left) watch(s, UV_READABLE);
    tell->writable(s->user);
  }
  if (s->closed || !(events & (UV_READABLE | UV_DISCONNECT))) return;
  if (cql__list_empty(&s->again))
    tell->readable(s->user); /* else it has had its share of this step */
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  cql__socket *s = poll->data;
  if (s->closed) return;
  if (status < 0) { /* libuv has stopped watching; the next call says what it is */
    events = UV_READABLE | UV_WRITABLE;
    s->watched = 0;
    watch(s, UV_READABLE);
  }
  if (s->state == CONNECTING)
    connected(s);
  else if (s->state == SHAKING)
    shake(s);
  else
    on_open_socket(s, events);
}

/* ---- opening and closing ---- */

static socklen_t to_sockaddr(const cql__address *address, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (address->length == 4) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address->port);
    memcpy(&v4->sin_addr, address->bytes, 4);
    return sizeof *v4;
  }
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(address->port);
  v6->sin6_scope_id = address->scope;
  memcpy(&v6->sin6_addr, address->bytes, 16);
  return sizeof *v6;
}

static void set_size(int fd, int option, uint32_t bytes) {
  int size = (int)bytes;
  if (size) setsockopt(fd, SOL_SOCKET, option, &size, sizeof size);
}

static void set_options(const cql__io *io, int fd, const cql__target *target) {
  int one = 1;
  if (io->nodelay) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (io->keepalive) setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  set_size(fd, SO_SNDBUF, target->send_buffer);
  set_size(fd, SO_RCVBUF, target->receive_buffer);
}

/* A local port serves connections to different nodes at once, where all that share it agree. */
static int bind_local(cql__socket *s, uint16_t port, sa_family_t family) {
  int one = 1;
  struct sockaddr_storage from = {.ss_family = family};
  socklen_t size = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
  cql__address local = s->io->local;
  local.port = port;
  if (local.length)
    size = to_sockaddr(&local, &from);
  else if (family == AF_INET6)
    ((struct sockaddr_in6 *)&from)->sin6_port = htons(port);
  else
    ((struct sockaddr_in *)&from)->sin_port = htons(port);
  if (port) setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  s->refused = local.length ? "local_address: " : "local port: ";
  if (bind(s->fd, (struct sockaddr *)&from, size)) return errno;
  s->refused = "";
  return 0;
}

/* 0, or errno; *taken: another local port may do. */
static int start_connect(cql__socket *s, const cql__target *target, int *taken) {
  struct sockaddr_storage to;
  socklen_t size = to_sockaddr(&target->address, &to);
  sa_family_t family = target->address.length == 16 ? AF_INET6 : AF_INET;
  s->refused = "";
  s->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (s->fd < 0) return errno;
  int error = uv_poll_init_socket(&s->io->loop, &s->poll, s->fd);
  if (error) {
    close(s->fd);
    s->fd = -1;
    return -error;
  }
  s->poll.data = s;
  set_options(s->io, s->fd, target);
  if (s->io->local.length || target->local_port) error = bind_local(s, target->local_port, family);
  if (error) { /* no port mends an address that isn't this machine's */
    *taken = target->local_port && (error == EADDRINUSE || error == EACCES);
    return error;
  }
  if (connect(s->fd, (struct sockaddr *)&to, size) == 0 || errno == EINPROGRESS) return 0;
  error = errno; /* the port is connected to that very node already, or was a moment ago */
  *taken = target->local_port && (error == EADDRINUSE || error == EADDRNOTAVAIL);
  return error;
}

static void on_closed(uv_handle_t *handle) { cql__free(handle->data); }

static void io_close(cql__socket *s) {
  s->closed = 1;
  cql__list_remove(&s->again);
  cql__list_remove(&s->link);
  cql__tls_socket_free(s->tls);
  s->tls = NULL;
  if (s->fd < 0) {
    cql__free(s);
    return;
  }
  uv_close((uv_handle_t *)&s->poll, on_closed);
  close(s->fd);
}

/* What the system refuses, be it the descriptor, is a connection that failed: it is tried again. */
static int io_open(cql__link *link, const cql__target *target, void *user, cql__socket **out) {
  cql__io *io = io_of(link);
  *out = NULL;
  cql__socket *s = cql__zalloc(sizeof *s);
  if (!s) return CQL_ENOMEM;
  s->io = io;
  s->user = user;
  if (io->tls && !(s->tls = cql__tls_socket_new(io->tls, target))) {
    cql__free(s);
    return CQL_ENOMEM;
  }
  cql__list_init(&s->again);
  cql__list_append(&io->sockets, &s->link);
  int taken = 0;
  s->error = start_connect(s, target, &taken);
  if (taken) {
    io_close(s);
    return CQL__EPORT;
  }
  if (s->error)
    visit_again(s);
  else
    watch(s, UV_WRITABLE);
  *out = s;
  return 0;
}

/* ---- bytes ---- */

static const char *io_why(cql__socket *s) { return s->why; }

static void io_again(cql__socket *s) {
  s->io->more_to_read = 1;
  visit_again(s);
}

static ptrdiff_t broken(cql__socket *s, const char *why) {
  snprintf(s->why, sizeof s->why, "%s", why);
  return CQL_ECONNECTION;
}

static ptrdiff_t read_plain(cql__socket *s, uint8_t *out, size_t size) {
  for (;;) {
    ssize_t got = recv(s->fd, out, size, 0);
    if (got > 0) return got;
    if (got == 0) return broken(s, "the server closed the connection");
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno != EINTR) return broken(s, strerror(errno));
  }
}

static ptrdiff_t read_tls(cql__socket *s, uint8_t *out, size_t size) {
  ptrdiff_t got =
      cql__tls_read(s->tls, s->fd, out, size, s->io->scratch, SCRATCH_SIZE, s->why, sizeof s->why);
  if (cql__tls_flush(s->tls, s->fd) > 0) watch(s, UV_READABLE | UV_WRITABLE);
  if (got > 0 && cql__tls_ended(s->tls)) visit_again(s);
  return got;
}

static ptrdiff_t io_read(cql__socket *s, uint8_t *out, size_t size) {
  ptrdiff_t got = s->tls ? read_tls(s, out, size) : read_plain(s, out, size);
  return got == 0 && s->broken ? broken(s, strerror(s->broken)) : got;
}

/* Answers, or the alert that says why, may lie in the socket: the next step reads them, and comes
 * to the end of the connection then. */
static ptrdiff_t write_failed(cql__socket *s, int error) {
  s->broken = error;
  visit_again(s);
  return 0;
}

static size_t size_of(const cql__span *spans, unsigned count) {
  size_t size = 0;
  for (unsigned i = 0; i < count; i++) size += spans[i].size;
  return size;
}

static ptrdiff_t write_tls(cql__socket *s, const cql__span *spans, unsigned count) {
  ptrdiff_t took = cql__tls_write(s->tls, spans, count, s->why, sizeof s->why);
  int left = cql__tls_flush(s->tls, s->fd);
  if (left < 0) return write_failed(s, errno);
  if (left || (took >= 0 && (size_t)took < size_of(spans, count)))
    watch(s, UV_READABLE | UV_WRITABLE);
  return took;
}

/* The kernel reads spans as they are. */
_Static_assert(sizeof(cql__span) == sizeof(struct iovec) &&
                   offsetof(cql__span, bytes) == offsetof(struct iovec, iov_base) &&
                   offsetof(cql__span, size) == offsetof(struct iovec, iov_len),
               "a span is laid out as an iovec");

static ptrdiff_t io_write(cql__socket *s, const cql__span *spans, unsigned count) {
  if (s->broken) return 0;
  if (s->tls) return write_tls(s, spans, count);
  size_t offered = size_of(spans, count);
  struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)spans, .msg_iovlen = count};
  for (;;) {
    ssize_t wrote = sendmsg(s->fd, &message, MSG_NOSIGNAL);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return write_failed(s, errno);
    if (wrote < 0) wrote = 0;
    if ((size_t)wrote < offered) watch(s, UV_READABLE | UV_WRITABLE);
    return wrote;
  }
}

static const cql__link_ops io_ops = {
    .now = io_now,
    .wall_clock = io_wall_clock,
    .chance = io_chance,
    .open = io_open,
    .read = io_read,
    .write = io_write,
    .again = io_again,
    .why = io_why,
    .close = io_close,
    .resolve = cql__io_resolve,
};

/* ---- the loop ---- */

/* Due before the loop looks at descriptors, it would leave nothing that ends the wait for them. */
static void on_wake(uv_timer_t *timer) { uv_stop(timer->loop); }

static int io_fd(const cql__link *link) { return uv_backend_fd(&of_const(link)->loop); }

static int io_eager(const cql__link *link) {
  const cql__io *io = of_const(link);
  return io->watchers_changed || !cql__list_empty(&io->again);
}

/* Those that were left before they were dry, or failed before anything was watched. */
static void visit_those_again(cql__io *io) {
  cql__list visit;
  cql__list_init(&visit);
  cql__list_move_all(&visit, &io->again);
  while (!cql__list_empty(&visit)) {
    cql__socket *s = cql__container(visit.next, cql__socket, again);
    cql__list_remove(&s->again);
    if (s->state == CONNECTING)
      connected(s);
    else if (s->state == OPEN)
      io->events->readable(s->user);
  }
}

static int io_step(cql__link *link, int64_t wait_ms) {
  cql__io *io = io_of(link);
  io->more_to_read = 0;
  if (io_eager(link)) wait_ms = 0;
  visit_those_again(io);
  io->watchers_changed = 0;
  if (wait_ms == 0) {
    uv_run(&io->loop, UV_RUN_NOWAIT);
  } else {
    if (wait_ms > 0) {
      uv_update_time(&io->loop); /* it is as old as the last step */
      uv_timer_start(&io->wake, on_wake, (uint64_t)wait_ms, 0);
    }
    uv_run(&io->loop, UV_RUN_ONCE);
    uv_timer_stop(&io->wake);
  }
  return io->more_to_read;
}

/* ---- new, free ---- */

static int read_config(cql__io *io, const cql_config_t *config, char why[256]) {
  io->nodelay = (int)config->tcp_nodelay;
  io->keepalive = (int)config->tcp_keepalive;
  const char *local = config->local_address;
  if (local && *local && cql__address_from_text(local, strlen(local), 0, &io->local)) {
    snprintf(why, 256, "local_address: \"%.60s\" is no IP address", local);
    return CQL_EOPTION;
  }
  if (!config->tls) return 0;
  io->scratch = cql__malloc(SCRATCH_SIZE);
  if (!io->scratch) return CQL_ENOMEM;
  return cql__tls_new(config, &io->tls, why);
}

static void io_free(cql__link *link, int forked) {
  cql__io *io = io_of(link);
  cql__io_forget_lookups(io, forked);
  while (!cql__list_empty(&io->sockets))
    io_close(cql__container(io->sockets.next, cql__socket, link));
  uv_close((uv_handle_t *)&io->wake, NULL);
  while (!io->lost && uv_run(&io->loop, UV_RUN_DEFAULT)) {
  }
  if (!io->lost) uv_loop_close(&io->loop);
  cql__tls_free(io->tls);
  cql__free(io->scratch);
  cql__free(io);
}

int cql__io_new(const cql_config_t *config, const cql__link_events *events, cql__io **out,
                char why[256]) {
  *out = NULL;
  cql__io *io = cql__zalloc(sizeof *io);
  if (!io) return CQL_ENOMEM;
  io->link.ops = &io_ops;
  io->events = events;
  cql__list_init(&io->sockets);
  cql__list_init(&io->again);
  cql__list_init(&io->lookups);
  if (uv_loop_init(&io->loop)) {
    snprintf(why, 256, "no event loop: %s", strerror(errno));
    cql__free(io);
    return CQL_EIO;
  }
  uv_timer_init(&io->loop, &io->wake);
  int error = read_config(io, config, why);
  if (error) {
    io_free(&io->link, 0);
    return error;
  }
  *out = io;
  return 0;
}

static void io_fork(cql__link *link) {
  cql__io *io = io_of(link);
  io->lost = uv_loop_fork(&io->loop) != 0;
}

const cql__host_ops cql__io_host = {io_fd, io_eager, io_step, io_fork, io_free};
