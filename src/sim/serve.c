#include "sim/serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "sim/world.h"

enum { READ_SIZE = 64 * 1024, BACKLOG = 128 };

/* A port that a node listens on. */
typedef struct listener {
  cql__list link;
  uv_poll_t poll;
  cql__sim_serving *serving;
  cql__sim_node *node;
  cql__address address;
  int fd;
} listener;

typedef struct caller {
  cql__list link;
  uv_poll_t poll;
  cql__sim_serving *serving;
  cql__sim_node *node;
  cql__sim_client *client; /* NULL: the node has ended it; what is left goes out */
  cql__sim_buffer out;
  int fd, events;
  int half_open;
} caller;

struct cql__sim_serving {
  cql_sim_t *sim;
  uv_loop_t loop;
  uv_timer_t wake;
  cql__list listeners, callers;
  uint64_t started_at; /* microseconds of the machine's clock where ours stood at `from` */
  int64_t from;
};

static int64_t real_now(const cql__sim_serving *serving) {
  return serving->from + (int64_t)(uv_hrtime() / 1000 - serving->started_at);
}

/* ---- callers ---- */

static void on_ready(uv_poll_t *poll, int status, int events);

static void watch(caller *c) {
  int events = cql__sim_size(&c->out) ? UV_WRITABLE : 0;
  if (c->client && cql__sim_node_reads(c->node)) events |= UV_READABLE;
  if (c->half_open) events = 0;
  if (events == c->events) return;
  c->events = events;
  if (events)
    uv_poll_start(&c->poll, events, on_ready);
  else
    uv_poll_stop(&c->poll);
}

static void on_freed(uv_handle_t *handle) { cql__sim_release(handle->data); }

static void hang_up(caller *c, int reset) {
  struct linger now = {1, 0};
  if (reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  cql__list_remove(&c->link);
  cql__sim_buffer_free(&c->out);
  uv_close((uv_handle_t *)&c->poll, on_freed);
  close(c->fd);
}

/* 0: the other side is gone. */
static int send_out(caller *c) {
  while (cql__sim_size(&c->out) && !c->half_open) {
    ssize_t sent = send(c->fd, cql__sim_bytes(&c->out), cql__sim_size(&c->out), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    cql__sim_drop(&c->out, (size_t)sent);
  }
  return 1;
}

static void carrier_send(void *carrier, const uint8_t *bytes, size_t size) {
  caller *c = carrier;
  cql__sim_put(&c->out, bytes, size);
  send_out(c); /* an error shows when it is read */
  watch(c);
}

static void carrier_end(void *carrier, int how) {
  caller *c = carrier;
  c->client = NULL;
  c->half_open = how >= CQL_SIM_HALF_OPEN;
  if (how == CQL_SIM_RESET || (how == CQL_SIM_CLOSE && !cql__sim_size(&c->out)))
    hang_up(c, how == CQL_SIM_RESET);
  else
    watch(c);
}

static const cql__sim_carrier carrier = {carrier_send, carrier_end};

static void lose(caller *c) {
  if (c->client) cql__sim_client_closed(c->client);
  hang_up(c, 0);
}

static void read_in(caller *c) {
  uint8_t bytes[READ_SIZE];
  ssize_t got = recv(c->fd, bytes, sizeof bytes, 0);
  if (got > 0)
    cql__sim_client_feed(c->client, bytes, (size_t)got); /* which may end it */
  else if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
    lose(c);
}

static void on_ready(uv_poll_t *poll, int status, int events) {
  caller *c = poll->data;
  if (status < 0) {
    lose(c);
    return;
  }
  if (events & UV_WRITABLE) {
    if (!send_out(c) || (!c->client && !cql__sim_size(&c->out))) {
      lose(c);
      return;
    }
    watch(c);
  }
  if (events & UV_READABLE && c->client) read_in(c);
}

/* ---- listeners ---- */

static socklen_t to_sockaddr(const cql__address *address, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (address->length == 4) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address->port);
    memcpy(&v4->sin_addr, address->bytes, 4);
    return sizeof *v4;
  }
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(address->port);
  memcpy(&v6->sin6_addr, address->bytes, 16);
  return sizeof *v6;
}

static cql__address from_sockaddr(const struct sockaddr_storage *from) {
  cql__address address = {.length = from->ss_family == AF_INET ? 4 : 16};
  if (from->ss_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;
    memcpy(address.bytes, &v4->sin_addr, 4);
    address.port = ntohs(v4->sin_port);
  } else {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;
    memcpy(address.bytes, &v6->sin6_addr, 16);
    address.port = ntohs(v6->sin6_port);
  }
  return address;
}

static void on_connection(uv_poll_t *poll, int status, int events) {
  listener *l = poll->data;
  struct sockaddr_storage from;
  socklen_t size = sizeof from;
  char text[CQL__ADDRESS_TEXT];
  int one = 1;
  (void)events;
  int fd = status < 0
               ? -1
               : accept4(l->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  caller *c = cql__sim_alloc(sizeof *c);
  c->serving = l->serving;
  c->node = l->node;
  c->fd = fd;
  if (uv_poll_init_socket(&l->serving->loop, &c->poll, fd)) {
    close(fd);
    cql__sim_release(c);
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  c->poll.data = c;
  cql__list_append(&l->serving->callers, &c->link);
  cql__address address = from_sockaddr(&from);
  cql__address_to_text(&address, text);
  c->client = cql__sim_client_new(l->node, &carrier, c, l->address.port, address.port, text,
                                  CQL_SIM_CLIENTS);
  watch(c);
}

static int open_listener(cql__sim_serving *serving, cql__sim_node *node, uint16_t port) {
  struct sockaddr_storage at;
  cql__address address = node->address;
  address.port = port;
  socklen_t size = to_sockaddr(&address, &at);
  int one = 1, fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return CQL_EIO;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  listener *l = cql__sim_alloc(sizeof *l);
  if (bind(fd, (struct sockaddr *)&at, size) || listen(fd, BACKLOG) ||
      uv_poll_init_socket(&serving->loop, &l->poll, fd)) {
    cql__sim_mistake(serving->sim, CQL_EIO, "%s: %s", node->text, strerror(errno));
    close(fd);
    cql__sim_release(l);
    return CQL_EIO;
  }
  l->serving = serving;
  l->node = node;
  l->address = address;
  l->fd = fd;
  l->poll.data = l;
  cql__list_append(&serving->listeners, &l->link);
  uv_poll_start(&l->poll, UV_READABLE, on_connection);
  return 0;
}

static void close_listener(listener *l) {
  cql__list_remove(&l->link);
  uv_close((uv_handle_t *)&l->poll, on_freed);
  close(l->fd);
}

static int should_listen(const cql__sim_node *node, uint16_t port) {
  int runs = (node->state == CQL_SIM_UP || node->state == CQL_SIM_PAUSED) &&
             node->settings.accept == CQL__SIM_ACCEPT && !node->vanished;
  int shard_aware = cql__sim_is_scylla(node) && port && port == node->settings.shard_aware_port &&
                    node->settings.shard_accept == CQL__SIM_ACCEPT;
  return runs && (port == node->address.port || shard_aware);
}

static int is_open(const cql__sim_serving *serving, const cql__sim_node *node, uint16_t port) {
  for (const cql__list *n = serving->listeners.next; n != &serving->listeners; n = n->next) {
    const listener *l = cql__container(n, listener, link);
    if (l->node == node && l->address.port == port) return 1;
  }
  return 0;
}

/* Listeners and what is read follow the nodes' states. */
static int follow(cql__sim_serving *serving) {
  const cql_sim_t *sim = serving->sim;
  int error = 0;
  cql__list *next;
  for (cql__list *n = serving->listeners.next; n != &serving->listeners; n = next) {
    next = n->next;
    listener *l = cql__container(n, listener, link);
    cql__address now = l->node->address;
    now.port = l->address.port;
    if (!should_listen(l->node, l->address.port) || !cql__address_equal(&now, &l->address))
      close_listener(l);
  }
  for (size_t i = 0; i < sim->node_count; i++) {
    cql__sim_node *node = sim->nodes[i];
    uint16_t ports[2] = {node->address.port, (uint16_t)node->settings.shard_aware_port};
    for (int k = 0; k < 2; k++)
      if (should_listen(node, ports[k]) && !is_open(serving, node, ports[k]) && !error)
        error = open_listener(serving, node, ports[k]);
  }
  for (cql__list *n = serving->callers.next; n != &serving->callers; n = n->next)
    watch(cql__container(n, caller, link));
  return error;
}

/* ---- steps ---- */

static void catch_up(cql__sim_serving *serving) {
  cql_sim_t *sim = serving->sim;
  int64_t now = real_now(serving);
  if (now > sim->clock.now) cql_sim_pass(sim, now - sim->clock.now);
}

static void on_wake(uv_timer_t *timer) { uv_stop(timer->loop); }

int cql_sim_serve(cql_sim_t *sim) {
  if (sim->serving) return 0;
  cql__sim_serving *serving = cql__sim_alloc(sizeof *serving);
  if (uv_loop_init(&serving->loop)) {
    cql__sim_release(serving);
    return cql__sim_mistake(sim, CQL_EIO, "no event loop: %s", strerror(errno));
  }
  uv_timer_init(&serving->loop, &serving->wake);
  serving->sim = sim;
  serving->started_at = uv_hrtime() / 1000;
  serving->from = sim->clock.now;
  cql__list_init(&serving->listeners);
  cql__list_init(&serving->callers);
  sim->serving = serving;
  int error = follow(serving);
  if (!error) return 0;
  cql__sim_serving_free(serving);
  sim->serving = NULL;
  return error;
}

int cql_sim_serve_fd(const cql_sim_t *sim) {
  return sim->serving ? uv_backend_fd(&sim->serving->loop) : CQL_EINVAL;
}

int cql_sim_serve_timeout(cql_sim_t *sim) {
  if (!sim->serving) return CQL_EINVAL;
  int64_t next = cql__sim_next(sim);
  if (next == CQL__SIM_NEVER) return -1;
  int64_t wait = (next - real_now(sim->serving) + 999) / 1000;
  return wait < 0 ? 0 : wait > INT32_MAX ? INT32_MAX : (int)wait;
}

int cql_sim_serve_step(cql_sim_t *sim, int wait_ms) {
  cql__sim_serving *serving = sim->serving;
  if (!serving) return cql__sim_mistake(sim, CQL_EINVAL, "the world isn't served");
  catch_up(serving);
  int error = follow(serving);
  int wait = cql_sim_serve_timeout(sim);
  if (wait < 0 || (wait_ms >= 0 && wait_ms < wait)) wait = wait_ms;
  if (wait > 0) {
    uv_update_time(&serving->loop);
    uv_timer_start(&serving->wake, on_wake, (uint64_t)wait, 0);
  }
  uv_run(&serving->loop, wait == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
  uv_timer_stop(&serving->wake);
  catch_up(serving);
  return error;
}

int cql_sim_serve_stop(cql_sim_t *sim) {
  cql__sim_serving_free(sim->serving);
  sim->serving = NULL;
  return 0;
}

void cql__sim_serving_free(cql__sim_serving *serving) {
  if (!serving) return;
  while (!cql__list_empty(&serving->listeners))
    close_listener(cql__container(serving->listeners.next, listener, link));
  while (!cql__list_empty(&serving->callers)) {
    caller *c = cql__container(serving->callers.next, caller, link);
    if (c->client) cql__sim_client_closed(c->client);
    hang_up(c, 0);
  }
  uv_close((uv_handle_t *)&serving->wake, NULL);
  while (uv_run(&serving->loop, UV_RUN_DEFAULT)) {
  }
  uv_loop_close(&serving->loop);
  cql__sim_release(serving);
}
