#include "cluster/cluster.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "wire/proto.h"

#define NOT_SERVING UINT32_MAX

static void on_retry(cql__timer *timer);

static cql__channel *channel_new(cql__node *node) {
  cql__cluster *cluster = node->cluster;
  cql__channel *channel = cql__zalloc(sizeof *channel);
  if (!channel) return NULL;
  channel->node = node;
  channel->serving_at = NOT_SERVING;
  cql__timer_init(&channel->retry, on_retry);
  cql__connection_init(&channel->connection, cluster->settings, channel);
  return channel;
}

static void channel_free(cql__channel *channel) {
  if (!channel) return;
  cql__timer_cancel(&channel->retry);
  cql__connection_deinit(&channel->connection);
  cql__free(channel);
}

static void node_free(cql__node *node) {
  for (uint32_t i = 0; node->channels && i < node->cluster->per_node; i++)
    channel_free(node->channels[i]);
  while (node->retired) {
    cql__channel *next = node->retired->next_retired;
    channel_free(node->retired);
    node->retired = next;
  }
  cql__free(node->channels);
  cql__free(node);
}

void cql__cluster_deinit(cql__cluster *cluster) {
  for (uint32_t i = 0; i < cluster->node_count; i++) node_free(cluster->nodes[i]);
  cql__free(cluster->nodes);
  cql__free(cluster->serving);
  cluster->nodes = NULL;
  cluster->serving = NULL;
  cluster->node_count = cluster->serving_count = cluster->serving_capacity = 0;
}

/* ---- opening, and opening again ---- */

/* min * 2^failures, at most max, 15 % more or less, so that clients don't come back as one. */
static uint64_t backoff(cql__cluster *cluster, uint32_t failures) {
  uint64_t delay = cluster->reconnect_min_ms;
  for (uint32_t i = 1; i < failures && delay < cluster->reconnect_max_ms; i++) delay *= 2;
  if (delay > cluster->reconnect_max_ms) delay = cluster->reconnect_max_ms;
  uint64_t jitter = 850 + cql__rand_below(cluster->rand, 301);
  return delay * jitter / 1000;
}

static void retry_after(cql__channel *channel, uint64_t delay_ms) {
  cql__connection_settings *settings = channel->node->cluster->settings;
  cql__timer_set(settings->wheel, &channel->retry, cql__link_now(settings->link) + delay_ms);
}

/* Waiting won't mend these: the password, the keyspace, or the node itself must change. */
static int is_final(int error) {
  switch (error) {
    case CQL_EAUTH:
    case CQL_ENOPASSWORD:
    case CQL_EMECHANISM:
    case CQL_EKEYSPACE:
    case CQL_ECLUSTER:
    case CQL_EVERSION:
    case CQL_ETOOBIG: return 1;
    default: return 0;
  }
}

/* Not the node that was meant, or not one that we can talk to: asked again at the slowest pace. */
static int is_refused(int error) { return error == CQL_ECLUSTER || error == CQL_EVERSION; }

static void open_failed(cql__channel *channel, int error, const char *why) {
  cql__node *node = channel->node;
  cql__cluster *cluster = node->cluster;
  channel->failures++;
  retry_after(channel, backoff(cluster, is_refused(error) ? UINT32_MAX : channel->failures));
  channel->last_error = error;
  cluster->settings->metrics->connections_failed++;
  cluster->events->failed(cluster->user, node, error, why);
}

static void open_channel(cql__channel *channel) {
  cql__node *node = channel->node;
  cql__cluster *cluster = node->cluster;
  if (cluster->closing || channel->connection.state != CQL__CLOSED) return;
  if (cluster->handshakes >= CQL__HANDSHAKES_MAX) {
    retry_after(channel, 20);
    return;
  }
  cql__target target = {.address = node->address};
  int error = cql__connection_open(&channel->connection, &target);
  if (error) {
    open_failed(channel, error, "the socket could not be opened");
    return;
  }
  channel->handshake = 1;
  cluster->handshakes++;
}

static void on_retry(cql__timer *timer) {
  open_channel(cql__container(timer, cql__channel, retry));
}

int cql__cluster_add(cql__cluster *cluster, const cql__address *address) {
  for (uint32_t i = 0; i < cluster->node_count; i++)
    if (cql__address_equal(&cluster->nodes[i]->address, address)) return 0;
  cql__node **nodes =
      cql__realloc(cluster->nodes, (cluster->node_count + 1) * sizeof *cluster->nodes);
  if (!nodes) return CQL_ENOMEM;
  cluster->nodes = nodes;
  /* `serving` never grows on the path of a connection: room is made with the node. */
  uint32_t capacity = (cluster->node_count + 1) * cluster->per_node;
  cql__channel **serving = cql__realloc(cluster->serving, capacity * sizeof(cql__channel *));
  if (!serving) return CQL_ENOMEM;
  cluster->serving = serving;
  cluster->serving_capacity = capacity;
  cql__node *node = cql__zalloc(sizeof *node);
  if (!node) return CQL_ENOMEM;
  node->cluster = cluster;
  node->address = *address;
  cql__address_to_text(address, node->text);
  node->channels = cql__zalloc(cluster->per_node * sizeof(cql__channel *));
  int complete = node->channels != NULL;
  for (uint32_t i = 0; complete && i < cluster->per_node; i++)
    complete = (node->channels[i] = channel_new(node)) != NULL;
  if (!complete) {
    node_free(node);
    return CQL_ENOMEM;
  }
  cluster->nodes[cluster->node_count++] = node;
  return 0;
}

void cql__cluster_open(cql__cluster *cluster) {
  while (cluster->opened_count < cluster->node_count) {
    const cql__node *node = cluster->nodes[cluster->opened_count++];
    for (uint32_t i = 0; i < cluster->per_node; i++) open_channel(node->channels[i]);
  }
}

int cql__cluster_failed(const cql__cluster *cluster, int for_good, const char **why) {
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    for (uint32_t k = 0; k < cluster->per_node; k++) {
      int error = cluster->nodes[i]->channels[k]->last_error;
      if (!error || (for_good && !is_final(error))) return 0;
    }
  }
  if (cluster->node_count == 0) return 0;
  *why = cluster->nodes[0]->channels[0]->connection.why;
  return cluster->nodes[0]->channels[0]->last_error;
}

/* ---- choosing ---- */

static cql__channel *less_busy(cql__channel *a, cql__channel *b) {
  if (!cql__connection_accepts(&a->connection)) return b;
  if (!cql__connection_accepts(&b->connection)) return a;
  return a->connection.streams.used <= b->connection.streams.used ? a : b;
}

cql__channel *cql__cluster_choose(cql__cluster *cluster) {
  cql__channel *current = cluster->current;
  uint32_t count = cluster->serving_count;
  if (current && (current->connection.gathered < CQL__GATHER || count == 1) &&
      cql__connection_accepts(&current->connection))
    return current;
  if (count == 0) return NULL;
  uint32_t first = cql__rand_below(cluster->rand, count);
  cql__channel *chosen = cluster->serving[first];
  if (count > 1) {
    uint32_t second = first + 1 + cql__rand_below(cluster->rand, count - 1);
    chosen = less_busy(chosen, cluster->serving[second % count]);
  }
  for (uint32_t i = 0; i < count && !cql__connection_accepts(&chosen->connection); i++)
    chosen = cluster->serving[i];
  if (!cql__connection_accepts(&chosen->connection)) return NULL;
  cluster->current = chosen;
  return chosen;
}

int cql__cluster_accepts(const cql__cluster *cluster) {
  for (uint32_t i = 0; i < cluster->serving_count; i++)
    if (cql__connection_accepts(&cluster->serving[i]->connection)) return 1;
  return 0;
}

/* ---- what connections tell ---- */

static void leave_serving(cql__channel *channel) {
  cql__cluster *cluster = channel->node->cluster;
  if (channel->serving_at != NOT_SERVING) {
    cql__channel *last = cluster->serving[--cluster->serving_count];
    cluster->serving[channel->serving_at] = last;
    last->serving_at = channel->serving_at;
    channel->serving_at = NOT_SERVING;
  }
  if (cluster->current == channel) cluster->current = NULL;
}

static void end_handshake(cql__channel *channel) {
  if (channel->handshake) channel->node->cluster->handshakes--;
  channel->handshake = 0;
}

void cql__cluster_on_serving(void *owner, cql__connection *connection) {
  (void)connection;
  cql__channel *channel = owner;
  cql__cluster *cluster = channel->node->cluster;
  end_handshake(channel);
  channel->failures = 0;
  channel->last_error = 0;
  assert(channel->serving_at == NOT_SERVING && cluster->serving_count < cluster->serving_capacity);
  channel->serving_at = cluster->serving_count;
  cluster->serving[cluster->serving_count++] = channel;
  cluster->settings->metrics->connections_opened++;
  cluster->events->opened(cluster->user, channel->node);
}

/* An older server: everything goes on with its version, at once. */
static int lower_version(cql__cluster *cluster, const cql__connection *connection) {
  int next = connection->lower_to;
  if (cluster->version_pinned || next < cluster->version_min) return 0;
  if (next < cluster->settings->version) cluster->settings->version = next;
  return 1;
}

void cql__cluster_on_closed(void *owner, cql__connection *connection, int error, const char *why) {
  cql__channel *channel = owner;
  cql__node *node = channel->node;
  cql__cluster *cluster = node->cluster;
  int served = channel->serving_at != NOT_SERVING || channel->retired;
  leave_serving(channel);
  end_handshake(channel);
  if (cluster->closing || channel->retired) {
    if (served) cluster->events->closed(cluster->user, node, error, why);
    return;
  }
  if (error == CQL_EVERSION && lower_version(cluster, connection)) {
    retry_after(channel, 0);
    return;
  }
  if (!served) {
    open_failed(channel, error, why);
    return;
  }
  channel->failures++;
  retry_after(channel, backoff(cluster, channel->failures));
  cluster->settings->metrics->connections_lost++;
  cluster->events->closed(cluster->user, node, error, why);
}

/* Those that have closed are needed no more. */
static void free_retired(cql__node *node) {
  cql__channel **at = &node->retired;
  while (*at) {
    cql__channel *channel = *at;
    if (channel->connection.state == CQL__CLOSED) {
      *at = channel->next_retired;
      channel_free(channel);
    } else {
      at = &channel->next_retired;
    }
  }
}

void cql__cluster_on_retiring(void *owner, cql__connection *connection) {
  (void)connection;
  cql__channel *channel = owner;
  cql__node *node = channel->node;
  cql__channel *successor = channel_new(node);
  if (!successor) return; /* it retires all the same, and is reopened when it closes */
  leave_serving(channel);
  for (uint32_t i = 0; i < node->cluster->per_node; i++)
    if (node->channels[i] == channel) node->channels[i] = successor;
  free_retired(node);
  channel->retired = 1;
  channel->next_retired = node->retired;
  node->retired = channel;
  open_channel(successor);
}

/* ---- all of them ---- */

typedef void (*cql__visit)(cql__channel *channel, int error, const char *why);

static void each_channel(cql__cluster *cluster, cql__visit visit, int error, const char *why) {
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    cql__node *node = cluster->nodes[i];
    for (uint32_t k = 0; k < cluster->per_node; k++) visit(node->channels[k], error, why);
    for (cql__channel *channel = node->retired; channel; channel = channel->next_retired)
      visit(channel, error, why);
  }
}

static void close_channel(cql__channel *channel, int error, const char *why) {
  cql__timer_cancel(&channel->retry);
  cql__connection_close(&channel->connection, error, why);
}

void cql__cluster_close(cql__cluster *cluster, int error, const char *why) {
  cluster->closing = 1;
  each_channel(cluster, close_channel, error, why);
}

static void wake_channel(cql__channel *channel, int error, const char *why) {
  (void)error;
  (void)why;
  cql__connection_awake(&channel->connection);
}

void cql__cluster_awake(cql__cluster *cluster) { each_channel(cluster, wake_channel, 0, NULL); }
