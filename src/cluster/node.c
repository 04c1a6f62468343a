#include "cluster/node.h"

#include <string.h>

#include "base/mem.h"
#include "base/plant.h"
#include "cluster/cluster.h"
#include "cluster/pool.h"

cql_node_t *cql__node_new(cql__cluster *cluster, const cql__node_data *data) {
  cql_node_t *node = cql__zalloc(sizeof *node);
  if (!node) return NULL;
  char text[CQL__ADDRESS_TEXT];
  cql__address_to_text(&data->address, text);
  const cql__name *name = cql__names_keep(&cluster->names, text, strlen(text));
  if (!name) {
    cql__free(node);
    return NULL;
  }
  node->refs = 1;
  node->id = ++cluster->node_ids;
  node->cluster = cluster;
  node->data = *data;
  node->text = name->text;
  node->distance = CQL_DISTANCE_IGNORED;
  cql__pool_init(node);
  return node;
}

cql_node_t *cql_node_ref(cql_node_t *node) {
  node->refs++;
  return node;
}

void cql_node_unref(cql_node_t *node) {
  if (node && --node->refs == 0) cql__free(node);
}

void cql__node_end(cql_node_t *node) {
  cql__pool_deinit(node);
  for (uint32_t i = 0; i < node->channel_count; i++) cql__channel_free(node->channels[i]);
  while (node->retired) {
    cql__channel *next = node->retired->next;
    cql__channel_free(node->retired);
    node->retired = next;
  }
  cql__free(node->channels);
  node->channels = NULL;
  node->channel_count = 0;
  node->cluster = NULL;
  cql_node_unref(node);
}

void cql__node_hold(cql_node_t *node, uint8_t held) {
  node->held = held;
  for (uint32_t i = 0; i < node->channel_count; i++) node->channels[i]->held = held;
}

const cql__tuning *cql__node_tuning(const cql_node_t *node, uint8_t distance) {
  const cql__connection_settings *settings = node->cluster->settings;
  return distance == CQL_DISTANCE_REMOTE ? &settings->remote : &settings->near;
}

void cql__node_open(cql_node_t *node) {
  for (uint32_t i = 0; i < node->channel_count; i++) {
    cql__channel *channel = node->channels[i];
    if (!cql__timer_is_set(&channel->retry)) cql__channel_open(channel);
  }
}

int cql__node_set_distance(cql_node_t *node, uint8_t distance) {
  int changes = node->undecided || node->distance != distance;
  uint32_t count = cql__pool_size(node, distance);
  if (count != node->channel_count &&
      cql__pool_fit(node, count, NULL, "closed: the node's distance has changed"))
    return CQL_ENOMEM;
  node->undecided = 0;
  node->distance = distance;
  if (changes && !CQL__PLANTED(CQL__PLANT_PLAN)) cql__routing_changed(&node->cluster->routing);
  if (distance != CQL_DISTANCE_IGNORED)
    for (uint32_t i = 0; i < node->channel_count; i++) cql__channel_regroup(node->channels[i]);
  cql__node_open(node);
  return 0;
}

void cql__node_reopen(cql_node_t *node, const char *why) {
  uint32_t count = node->channel_count;
  node->shard_port_from = 0;
  cql__pool_drop_surplus(node, why);
  for (uint32_t i = 0; i < count; i++) cql__channel_reopen(node->channels[i], why);
}

int cql__node_move(cql_node_t *node, const cql__address *address) {
  char text[CQL__ADDRESS_TEXT];
  cql__address_to_text(address, text);
  const cql__name *name = cql__names_keep(&node->cluster->names, text, strlen(text));
  if (!name) return CQL_ENOMEM;
  node->data.address = *address;
  node->text = name->text;
  cql__node_reopen(node, "replaced: the node has another address");
  return 0;
}

int cql__node_sweep(cql_node_t *node) {
  cql__channel **at = &node->retired;
  while (*at) {
    cql__channel *channel = *at;
    if (channel->connection.state == CQL__CLOSED) {
      *at = channel->next;
      cql__channel_free(channel);
    } else {
      at = &channel->next;
    }
  }
  return !node->retired && node->channel_count == 0;
}

void cql__node_each(const cql_node_t *node, void (*visit)(cql__channel *channel, void *user),
                    void *user) {
  for (uint32_t i = 0; i < node->channel_count; i++) visit(node->channels[i], user);
  for (cql__channel *channel = node->retired; channel; channel = channel->next)
    visit(channel, user);
}

static void count_in_flight(cql__channel *channel, void *user) {
  *(uint32_t *)user += channel->connection.streams.used;
}

static const char *text_of(const cql__name *name) { return name ? name->text : ""; }

int cql__node_describe(const cql_node_t *node, cql_node_info_t *out) {
  const cql__node_data *data = &node->data;
  memcpy(out->host_id, data->host_id, sizeof out->host_id);
  out->address = node->text;
  out->datacenter = text_of(data->datacenter);
  out->rack = text_of(data->rack);
  out->version = text_of(data->version);
  out->distance = node->distance;
  out->connections = node->serving_count;
  out->in_flight = 0;
  cql__node_each(node, count_in_flight, &out->in_flight);
  out->shards = node->shard_count ? node->shard_count : 1;
  return 0;
}
