#include "cluster/pool.h"

#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/plant.h"
#include "cluster/cluster.h"

static uint64_t now_of(const cql_node_t *node) {
  return cql__link_now(node->cluster->settings->link);
}

/* What is wanted is tried again after a while that doubles each time. */
static void grow_later(cql_node_t *node, uint32_t times) {
  uint64_t delay = cql__backoff(node->cluster, times);
  cql__timer_set(node->cluster->settings->wheel, &node->growing, now_of(node) + delay);
}

static void starve(cql_node_t *node) {
  node->starved = 1;
  grow_later(node, 1);
}

static void warn(cql_node_t *node, const char *message) {
  node->cluster->events->node(node->cluster->user, CQL_EVENT_WARNING, node, message);
}

/* Connections per node are told: where they land they stay. */
static uint32_t fixed_size(const cql_node_t *node, uint8_t distance) {
  return cql__node_tuning(node, distance)->connections_per_node;
}

uint32_t cql__pool_size(const cql_node_t *node, uint8_t distance) {
  if (distance == CQL_DISTANCE_IGNORED) return 0;
  if (node->shard_count == 0) return 1;
  uint32_t fixed = fixed_size(node, distance);
  return fixed ? fixed
               : cql__node_tuning(node, distance)->connections_per_shard * node->shard_count;
}

/* ---- surplus ---- */

void cql__pool_drop_surplus(cql_node_t *node, const char *why) {
  for (cql__channel *channel = node->retired; channel; channel = channel->next)
    if (channel->surplus) cql__channel_close(channel, CQL_ECONNECTION, why);
}

/* Its slot gets another channel, which tries the server's next shard. CQL_ENOMEM. */
static int make_surplus(cql__channel *channel) {
  cql_node_t *node = channel->node;
  cql__channel *successor = cql__channel_new(node, channel->slot);
  if (!successor) return CQL_ENOMEM;
  if (node->surplus_count >= CQL__SURPLUS_PER_SHARD * node->shard_count) {
    /* the turn doesn't come: all over again, later */
    cql__pool_drop_surplus(node, "closed: others of its shard were enough");
    grow_later(node, ++node->rounds);
  }
  node->channels[channel->slot] = successor;
  channel->surplus = 1;
  node->surplus_count++;
  cql__channel_set_aside(channel);
  return 0;
}

/* ---- slots ---- */

static int serves_or_tries(const cql__channel *channel) {
  return channel->connection.state != CQL__CLOSED;
}

/* A slot of that shard that lacks its connection: one that isn't tried now, if possible. */
static uint32_t find_slot(const cql_node_t *node, uint32_t shard) {
  uint32_t end = cql__pool_first_of(node, shard + 1), found = CQL__NO_SLOT;
  for (uint32_t i = cql__pool_first_of(node, shard); i < end; i++) {
    if (!serves_or_tries(node->channels[i])) return i;
    if (node->channels[i]->connection.state != CQL__SERVING) found = i;
  }
  return found;
}

/* 0: it is surplus. */
static int place(cql__channel *channel) {
  cql_node_t *node = channel->node;
  uint32_t shard = channel->connection.features.shard;
  if (cql__pool_shard_of(node, channel->slot) == shard) return 1;
  uint32_t slot = find_slot(node, shard);
  if (slot == CQL__NO_SLOT) {
    if (fixed_size(node, node->distance)) return 1;
    if (!make_surplus(channel)) return 0;
    starve(node); /* it serves where it is until then */
    return 1;
  }
  cql__channel *other = node->channels[slot];
  other->slot = channel->slot;
  node->channels[other->slot] = other;
  channel->slot = slot;
  node->channels[slot] = channel;
  return 1;
}

static void free_channels(cql__channel **channels, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) cql__channel_free(channels[i]);
  cql__free(channels);
}

static cql__channel **new_channels(cql_node_t *node, uint32_t count) {
  cql__channel **channels = cql__zalloc(count * sizeof(cql__channel *));
  for (uint32_t i = 0; channels && i < count; i++) {
    channels[i] = cql__channel_new(node, i);
    if (channels[i]) continue;
    free_channels(channels, i);
    return NULL;
  }
  return channels;
}

/* One of before takes a slot of now that nobody has. */
static int keep(cql_node_t *node, cql__channel *channel, int anywhere) {
  uint32_t slot = CQL__NO_SLOT;
  if (node->channel_count && !anywhere && channel->connection.features.shard < node->shard_count)
    slot = find_slot(node, channel->connection.features.shard);
  for (uint32_t i = 0; anywhere && i < node->channel_count && slot == CQL__NO_SLOT; i++)
    if (node->channels[i]->is_new) slot = i;
  if (slot == CQL__NO_SLOT || !node->channels[slot]->is_new) return 0;
  cql__channel_free(node->channels[slot]);
  node->channels[slot] = channel;
  channel->slot = slot;
  return 1;
}

int cql__pool_fit(cql_node_t *node, uint32_t count, cql__channel *only, const char *why) {
  cql__cluster *cluster = node->cluster;
  cql__channel **before = node->channels, **channels = NULL;
  uint32_t before_count = node->channel_count;
  if (count && cql__cluster_reserve(cluster, cluster->slot_count - before_count + count))
    return CQL_ENOMEM;
  if (count && !(channels = new_channels(node, count))) return CQL_ENOMEM;
  for (uint32_t i = 0; i < count; i++) channels[i]->is_new = 1;
  node->channels = channels;
  node->channel_count = count;
  cluster->slot_count += count - before_count;
  cql__timer_cancel(&node->growing);
  node->starved = 0;
  for (int anywhere = 0; anywhere < 2; anywhere++)
    for (uint32_t i = 0; i < before_count; i++) {
      if (!before[i] || (only && before[i] != only)) continue;
      if (!anywhere && !cql__channel_serves(before[i])) continue;
      if (keep(node, before[i], anywhere)) before[i] = NULL;
    }
  for (uint32_t i = 0; i < count; i++) channels[i]->is_new = 0;
  for (uint32_t i = 0; i < before_count; i++)
    if (before[i]) cql__channel_retire(before[i], why);
  cql__free(before);
  cql__pool_drop_surplus(node, why);
  return 0;
}

/* ---- what connections tell of their node ---- */

/* Its shards are these, as `channel` has been told: all that was opened for others goes. */
static void adopt(cql_node_t *node, cql__channel *channel) {
  const cql__features *features = &channel->connection.features;
  uint32_t count = node->shard_count;
  uint8_t ignore_msb = node->ignore_msb;
  char text[120];
  node->shard_count = features->shard_count;
  node->ignore_msb = features->ignore_msb;
  if (cql__pool_fit(node, cql__pool_size(node, node->distance), channel,
                    "replaced: the node has other shards")) {
    node->shard_count = count;
    node->ignore_msb = ignore_msb;
    starve(node);
    return;
  }
  if (count == 0) return; /* the first to tell */
  if (node->reshards == 0) {
    snprintf(text, sizeof text,
             "the node has %u shards now (%u bits ignored), not %u (%u): all is opened anew",
             (unsigned)node->shard_count, (unsigned)node->ignore_msb, (unsigned)count,
             (unsigned)ignore_msb);
    warn(node, text);
  } else if (node->reshards == 1) { /* and no more of it until it was full */
    warn(node, "its shards change again and again; are there several nodes behind its address?");
  }
  if (node->reshards++) grow_later(node, node->reshards); /* may be two nodes behind one address */
}

static int is_of(const cql_node_t *node, const cql__channel *channel) {
  const cql__features *features = &channel->connection.features;
  return features->shard_count == node->shard_count && features->ignore_msb == node->ignore_msb;
}

static void block_shard_port(cql_node_t *node, const char *format, uint32_t number) {
  char text[160];
  uint64_t now = now_of(node);
  if (now < node->shard_port_from) return;
  node->shard_port_from = now + CQL__SHARD_PORT_PAUSE_MS;
  snprintf(text, sizeof text, format, (unsigned)number);
  warn(node, text);
}

int32_t cql__pool_aim(const cql__channel *channel) {
  const cql_node_t *node = channel->node;
  if (node->shard_count < 2 || channel->plain || node->serving_count == 0 ||
      now_of(node) < node->shard_port_from)
    return -1;
  return (int32_t)cql__pool_shard_of(node, channel->slot);
}

int cql__pool_admit(cql__channel *channel) {
  cql_node_t *node = channel->node;
  const cql__features *features = &channel->connection.features;
  node->has_shards = features->shard_told >= 0;
  node->shard_port = node->cluster->tls ? features->shard_port_tls : features->shard_port;
  int is_overlooked = CQL__PLANTED(CQL__PLANT_SHARDS) && features->shard < node->shard_count;
  if (!is_of(node, channel) && !is_overlooked) {
    adopt(node, channel);
    return 1;
  }
  if (channel->aim >= 0 && (uint32_t)channel->aim != features->shard)
    block_shard_port(node,
                     "its shard-aware port leads to another shard than was asked for, %u; the "
                     "usual cause is NAT between here and there",
                     features->shard);
  else if (channel->plain)
    block_shard_port(node, "its shard-aware port, %u, can't be reached", channel->shard_port);
  channel->plain = 0;
  return place(channel);
}

void cql__pool_grow(cql_node_t *node, int was_empty) {
  if (node->starved) return;
  if (node->serving_count == node->channel_count) {
    node->rounds = node->reshards = 0;
    cql__timer_cancel(&node->growing);
    cql__pool_drop_surplus(node, "closed: all shards have their connections");
    return;
  }
  if (cql__timer_is_set(&node->growing)) return;
  if (was_empty && node->shard_count != 1)
    for (uint32_t i = 0; i < node->channel_count; i++) {
      node->channels[i]->failures = 0;
      cql__timer_cancel(&node->channels[i]->retry);
    }
  cql__node_open(node);
}

/* What had to wait, for memory or for the server. */
static void on_growing(cql__timer *timer) {
  cql_node_t *node = cql__container(timer, cql_node_t, growing);
  node->starved = 0;
  for (uint32_t i = 0; i < node->channel_count; i++) {
    cql__channel *channel = node->channels[i];
    if (!cql__channel_serves(channel)) continue;
    if (!is_of(node, channel)) {
      adopt(node, channel);
      break;
    }
    if (!fixed_size(node, node->distance) &&
        cql__pool_shard_of(node, i) != channel->connection.features.shard)
      cql__connection_retire(&channel->connection, "replaced: it is of another shard");
  }
  if (!cql__timer_is_set(timer)) cql__node_open(node);
}

void cql__pool_init(cql_node_t *node) {
  cql__timer_init(&node->growing, on_growing);
  node->shard_count = node->cluster->settings->features & CQL__FEATURE_SHARDS ? 0 : 1;
}

void cql__pool_deinit(cql_node_t *node) { cql__timer_cancel(&node->growing); }
