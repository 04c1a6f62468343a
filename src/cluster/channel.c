#include "cluster/channel.h"

#include <assert.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cluster/cluster.h"
#include "cluster/pool.h"
#include "cluster/shard.h"

#define NOT_SERVING UINT32_MAX

static void on_retry(cql__timer *timer) {
  cql__channel_open(cql__container(timer, cql__channel, retry));
}

cql__channel *cql__channel_new(cql_node_t *node, uint32_t slot) {
  cql__cluster *cluster = node->cluster;
  cql__channel *channel = cql__zalloc(sizeof *channel);
  if (!channel) return NULL;
  channel->node = node;
  channel->slot = slot;
  channel->serving_at = NOT_SERVING;
  channel->aim = -1;
  cql__timer_init(&channel->retry, on_retry);
  cql__connection_init(&channel->connection, cluster->settings, cluster->connection_events,
                       channel);
  cql__connection_tune(&channel->connection, cql__node_tuning(node, node->distance));
  return channel;
}

static void stop_asking(cql__channel *channel);

void cql__channel_free(cql__channel *channel) {
  if (!channel) return;
  cql__timer_cancel(&channel->retry);
  stop_asking(channel);
  cql__connection_deinit(&channel->connection);
  cql__free(channel);
}

/* ---- opening, and opening again ---- */

uint64_t cql__backoff(cql__cluster *cluster, uint32_t failures) {
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

int cql__error_is_final(int error) {
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
  cql__cluster *cluster = channel->node->cluster;
  char *known = channel->connection.why;
  if (why != known) snprintf(known, sizeof channel->connection.why, "%s", why);
  channel->failures++;
  retry_after(channel, cql__backoff(cluster, is_refused(error) ? UINT32_MAX : channel->failures));
  channel->last_error = error;
  cluster->settings->metrics->connections_failed++;
  cluster->events->failed(cluster->user, channel, error, why);
}

/* From a port of its shard's to the shard-aware port. CQL__EPORT: those tried are taken. */
static int open_on_shard(cql__channel *channel, cql__target target, uint32_t shard) {
  const cql_node_t *node = channel->node;
  const cql__connection_settings *settings = node->cluster->settings;
  cql__shard_ports ports =
      cql__shard_ports_of(settings->source_port_min, settings->source_port_max, node->shard_count,
                          shard, cql__rand_next(node->cluster->rand));
  target.address.port = channel->shard_port;
  for (int i = 0; i < CQL__SOURCE_PORTS_TRIED; i++) {
    target.local_port = cql__shard_ports_next(&ports);
    if (!target.local_port) return CQL__EPORT;
    int error = cql__connection_open(&channel->connection, &target);
    if (error != CQL__EPORT) return error;
  }
  return CQL__EPORT;
}

/* By the shard-aware port where there is one. */
static int open_connection(cql__channel *channel, const cql__endpoint *endpoint) {
  static const uint8_t unknown[16];
  const cql__node_data *data = &channel->node->data;
  cql__target target = endpoint->target;
  if (memcmp(data->host_id, unknown, 16)) target.host_id = data->host_id;
  channel->aim = endpoint->shard_port ? cql__pool_aim(channel) : -1;
  if (channel->aim >= 0) {
    channel->shard_port = endpoint->shard_port;
    int error = open_on_shard(channel, target, (uint32_t)channel->aim);
    if (error != CQL__EPORT) return error;
    channel->aim = -1;
  }
  return cql__connection_open(&channel->connection, &target);
}

static void end_handshake(cql__channel *channel) {
  if (channel->handshake) channel->node->cluster->handshakes--;
  channel->handshake = 0;
}

static void open_at(void *owner, const cql__endpoint *endpoint) {
  cql__channel *channel = owner;
  channel->asking = 0;
  if (channel->slot == CQL__NO_SLOT || channel->node->cluster->closing) { /* meanwhile */
    end_handshake(channel);
    return;
  }
  int error = endpoint->error ? endpoint->error : open_connection(channel, endpoint);
  if (!error) return;
  end_handshake(channel);
  open_failed(channel, error, endpoint->error ? endpoint->why : "the socket could not be opened");
}

void cql__channel_open(cql__channel *channel) {
  cql_node_t *node = channel->node;
  cql__cluster *cluster = node->cluster;
  if (cluster->closing || channel->slot == CQL__NO_SLOT || channel->asking ||
      channel->connection.state != CQL__CLOSED || !cql__pool_may_open(node, channel->slot))
    return;
  if (cluster->handshakes >= CQL__HANDSHAKES_MAX) {
    retry_after(channel, 20);
    return;
  }
  channel->handshake = 1;
  cluster->handshakes++;
  channel->asking = 1;
  cql__endpoint_find(node, channel->failures, channel, open_at);
}

/* Where it would go is of no interest any more. */
static void stop_asking(cql__channel *channel) {
  if (!channel->asking) return;
  channel->asking = 0;
  cql__endpoint_forget(channel->node->cluster, channel);
  end_handshake(channel);
}

void cql__channel_hurry(cql__channel *channel) {
  channel->failures = 0;
  if (cql__timer_is_set(&channel->retry)) retry_after(channel, 0);
}

void cql__channel_reopen(cql__channel *channel, const char *why) {
  cql__connection *connection = &channel->connection;
  if (connection->state == CQL__SERVING) {
    cql__connection_retire(connection, why);
    return;
  }
  if (channel->asking) retry_after(channel, 0);
  stop_asking(channel);
  cql__connection_close(connection, CQL_ECONNECTION, why);
  cql__channel_hurry(channel);
}

/* ---- serving ---- */

static void enter_group(cql__channel *channel) {
  cql_node_t *node = channel->node;
  cql__group *group = &node->cluster->groups[node->distance];
  assert(channel->serving_at == NOT_SERVING && group->count < group->capacity);
  channel->group = node->distance;
  channel->held = node->held;
  channel->serving_at = group->count;
  group->channels[group->count++] = channel;
  node->cluster->serving_count++;
  node->serving_count++;
}

static void leave_group(cql__channel *channel) {
  cql__cluster *cluster = channel->node->cluster;
  if (cluster->current == channel) cluster->current = NULL;
  if (channel->serving_at == NOT_SERVING) return;
  cql__group *group = &cluster->groups[channel->group];
  cql__channel *last = group->channels[--group->count];
  group->channels[channel->serving_at] = last;
  last->serving_at = channel->serving_at;
  channel->serving_at = NOT_SERVING;
  cluster->serving_count--;
  channel->node->serving_count--;
}

void cql__channel_regroup(cql__channel *channel) {
  const cql_node_t *node = channel->node;
  cql__connection_tune(&channel->connection, cql__node_tuning(node, node->distance));
  if (!cql__channel_serves(channel)) return;
  leave_group(channel);
  enter_group(channel);
}

void cql__channel_on_serving(void *owner, cql__connection *connection) {
  (void)connection;
  cql__channel *channel = owner;
  cql_node_t *node = channel->node;
  cql__cluster *cluster = node->cluster;
  end_handshake(channel);
  channel->failures = 0;
  channel->last_error = 0;
  int was_empty = node->serving_count == 0;
  enter_group(channel);
  if (!cql__pool_admit(channel)) leave_group(channel);
  cluster->settings->metrics->connections_opened++;
  cluster->events->opened(cluster->user, channel);
  if (was_empty) cluster->events->node(cluster->user, CQL_EVENT_NODE_UP, node, "");
  cql__pool_grow(node, was_empty);
}

/* Serves no more; its node may be down by it. */
static void leave(cql__channel *channel, const char *why) {
  cql_node_t *node = channel->node;
  cql__cluster *cluster = node->cluster;
  int served = cql__channel_serves(channel);
  leave_group(channel);
  if (!served || node->serving_count) return;
  cluster->events->node(cluster->user, CQL_EVENT_NODE_DOWN, node, why);
  if (node->channel_count && node->shard_count != 1)
    cql__channel_hurry(node->channels[0]); /* the others wait for it */
}

/* Through the shard-aware port alone, as far as we know: the plain one is next, at once. */
static int try_plain(cql__channel *channel, int error, const char *why) {
  cql__cluster *cluster = channel->node->cluster;
  channel->plain = channel->aim >= 0 && !cql__error_is_final(error);
  if (!channel->plain) return 0;
  retry_after(channel, 0);
  cluster->settings->metrics->connections_failed++;
  cluster->events->failed(cluster->user, channel, error, why);
  return 1;
}

/* The reason, and, where that isn't the node's own address, where it was dialled. */
static void fail_connection(cql__channel *channel, int error, const char *why) {
  const cql__connection *connection = &channel->connection;
  char address[CQL__ADDRESS_TEXT], text[sizeof address + sizeof connection->why];
  if (channel->node->cluster->elsewhere) {
    cql__address_to_text(&connection->address, address);
    snprintf(text, sizeof text, "%s: %s", address, why);
    why = text;
  }
  if (!try_plain(channel, error, why)) open_failed(channel, error, why);
}

void cql__channel_on_closed(void *owner, cql__connection *connection, int error, const char *why) {
  cql__channel *channel = owner;
  cql_node_t *node = channel->node;
  cql__cluster *cluster = node->cluster;
  int retired = channel->slot == CQL__NO_SLOT;
  int served = cql__channel_serves(channel) || connection->retiring || channel->surplus;
  leave(channel, why);
  end_handshake(channel);
  node->surplus_count -= channel->surplus;
  channel->surplus = 0;
  if (cluster->closing || retired) {
    cluster->sweep = 1;
    if (served) cluster->events->closed(cluster->user, channel, error, why);
    return;
  }
  if (error == CQL_EVERSION && cql__cluster_lower_version(cluster, connection->lower_to)) {
    retry_after(channel, 0);
    return;
  }
  if (!served) {
    fail_connection(channel, error, why);
    return;
  }
  channel->failures++;
  retry_after(channel, cql__backoff(cluster, channel->failures));
  cluster->settings->metrics->connections_lost++;
  cluster->events->closed(cluster->user, channel, error, why);
}

/* ---- the end ---- */

void cql__channel_set_aside(cql__channel *channel) {
  cql_node_t *node = channel->node;
  channel->slot = CQL__NO_SLOT;
  cql__timer_cancel(&channel->retry);
  channel->next = node->retired;
  node->retired = channel;
}

int32_t cql__channel_shard(const cql__channel *channel) {
  int shard = channel->connection.features.shard_told;
  return shard >= 0 ? shard : channel->aim;
}

/* It wants a successor, which takes its slot. */
void cql__channel_on_retiring(void *owner, cql__connection *connection) {
  (void)connection;
  cql__channel *channel = owner;
  cql_node_t *node = channel->node;
  leave(channel, channel->connection.retiring);
  if (channel->slot == CQL__NO_SLOT) return; /* nobody follows */
  cql__channel *successor = cql__channel_new(node, channel->slot);
  if (!successor) return; /* it is reopened when it closes */
  node->channels[channel->slot] = successor;
  cql__channel_set_aside(channel);
  cql__channel_open(successor);
}

void cql__channel_retire(cql__channel *channel, const char *why) {
  cql__connection *connection = &channel->connection;
  cql__channel_set_aside(channel);
  channel->node->cluster->sweep = 1;
  cql__connection_retire(connection, why);
  if (connection->state != CQL__SERVING) cql__connection_close(connection, CQL_ECONNECTION, why);
}

void cql__channel_close(cql__channel *channel, int error, const char *why) {
  cql__timer_cancel(&channel->retry);
  stop_asking(channel);
  cql__connection_close(&channel->connection, error, why);
}
