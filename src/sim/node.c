#include "sim/node.h"

#include <stdlib.h>

#include "sim/dispatch.h"
#include "sim/world.h"
#include "wire/text.h"

/* ---- what it is ---- */

int cql__sim_protocol_max(const cql__sim_node *node) {
  if (node->settings.protocol_max) return (int)node->settings.protocol_max;
  return cql__sim_is_scylla(node) || cql__sim_version_of(node)[0] < '4' ? 4 : 5;
}

const char *cql__sim_version_of(const cql__sim_node *node) {
  if (node->settings.version[0]) return node->settings.version;
  return cql__sim_is_scylla(node) ? "3.0.8" : "5.0.9";
}

uint32_t cql__sim_shard_count(const cql__sim_node *node) {
  return cql__sim_is_scylla(node) ? (uint32_t)node->settings.shards : 1;
}

/* [scylladb, dht/token-sharding.hh]: the token's upper half, past the ignored bits. */
uint32_t cql__sim_shard_of(const cql__sim_node *node, int64_t token) {
  uint64_t biased = ((uint64_t)token + ((uint64_t)1 << 63)) << node->settings.msb;
  uint64_t count = cql__sim_shard_count(node); /* the product's upper half, by halves */
  return (uint32_t)(((biased >> 32) * count + ((biased & 0xFFFFFFFF) * count >> 32)) >> 32);
}

/* ---- making ---- */

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void set_tokens(cql__sim_node *node, int64_t *tokens, uint32_t count) {
  qsort(tokens, count, sizeof *tokens, by_value);
  cql__sim_release(node->tokens);
  node->tokens = tokens;
  node->token_count = count;
}

void cql__sim_node_take_tokens(cql__sim_node *node) {
  if (node->tokens) return;
  uint32_t count = (uint32_t)node->settings.vnodes;
  int64_t *tokens = cql__sim_alloc(count * sizeof *tokens);
  for (uint32_t i = 0; i < count; i++)
    tokens[i] = (int64_t)cql__rand_next(&node->sim->nodes_random);
  set_tokens(node, tokens, count);
}

/* Whose token it is, of those that are in the ring or may come into it. */
static const cql__sim_node *owner_of(const cql_sim_t *sim, int64_t token) {
  for (size_t i = 0; i < sim->node_count; i++) {
    const cql__sim_node *node = sim->nodes[i];
    for (uint32_t k = 0; node->state != CQL_SIM_GONE && k < node->token_count; k++)
      if (node->tokens[k] == token) return node;
  }
  return NULL;
}

static int check_tokens(cql_sim_t *sim, const cql__sim_node *node, const int64_t *tokens,
                        size_t count) {
  if (count == 0 || count > CQL__SIM_TOKENS_MAX)
    return cql__sim_mistake(sim, CQL_EVALUE, "a node has from 1 to %d tokens, not %zu",
                            CQL__SIM_TOKENS_MAX, count);
  for (size_t i = 0; i < count; i++) {
    const cql__sim_node *owner = owner_of(sim, tokens[i]);
    if (owner && owner != node)
      return cql__sim_mistake(sim, CQL_EVALUE, "token %lld is one of %s", (long long)tokens[i],
                              owner->text);
    for (size_t k = 0; k < i; k++)
      if (tokens[k] == tokens[i])
        return cql__sim_mistake(sim, CQL_EVALUE, "token %lld stands there twice",
                                (long long)tokens[i]);
  }
  return 0;
}

int cql_sim_node_tokens(cql_sim_t *sim, int index, const int64_t *tokens, size_t count) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (node->member || node->state == CQL_SIM_GONE)
    return cql__sim_mistake(sim, CQL_EINVAL, "node %d has its tokens: it has joined the ring",
                            index);
  int error = check_tokens(sim, node, tokens, count);
  if (error) return error;
  int64_t *copy = cql__sim_alloc(count * sizeof *copy);
  memcpy(copy, tokens, count * sizeof *copy);
  set_tokens(node, copy, (uint32_t)count);
  return 0;
}

cql__sim_node *cql__sim_node_make(cql_sim_t *sim, const char *datacenter, const char *rack,
                                  const cql__address *address) {
  cql__sim_node *node = cql__sim_alloc(sizeof *node);
  node->sim = sim;
  node->index = (int32_t)sim->node_count;
  node->datacenter = cql__sim_text(datacenter, strlen(datacenter));
  node->rack = cql__sim_text(rack, strlen(rack));
  node->address = *address;
  cql__address_to_text(address, node->text);
  node->settings = sim->settings;
  cql__list_init(&node->clients);
  cql__list_init(&node->prepared);
  cql__sim_uuid(sim, node->host_id);
  cql__uuid_to_text(node->host_id, node->host_text);
  sim->nodes = cql__sim_grow(sim->nodes, sim->node_count, &sim->node_capacity, sizeof *sim->nodes);
  sim->nodes[sim->node_count++] = node;
  return node;
}

void cql__sim_node_free(cql__sim_node *node) {
  cql__sim_prepared_forget(node, NULL);
  cql__sim_release(node->datacenter);
  cql__sim_release(node->rack);
  cql__sim_release(node->tokens);
  cql__sim_release(node->views);
  cql__sim_release(node);
}

/* ---- system tables ---- */

static cql__system_node describe(const cql__sim_node *seer, const cql__sim_node *node) {
  const cql__address *at = cql__sim_address_as_seen(seer, node);
  cql_slice_t address = {at->bytes, at->length};
  return (cql__system_node){.host_id = node->host_id,
                            .schema_version = node->schema_version,
                            .address = address,
                            .native_address = address,
                            .native_port = at->port,
                            .datacenter = node->datacenter,
                            .rack = node->rack,
                            .release_version = cql__sim_version_of(node),
                            .token_count = node->token_count,
                            .tokens = node->tokens};
}

const cql__system *cql__sim_system_of(cql__sim_node *node) {
  cql_sim_t *sim = node->sim;
  uint32_t count = 0;
  sim->peers = cql__sim_realloc(sim->peers, sim->node_count * sizeof *sim->peers);
  for (size_t i = 0; i < sim->node_count; i++)
    if (sim->nodes[i] != node && *cql__sim_view_of(node, (int32_t)i) & CQL__SIM_KNOWN)
      sim->peers[count++] = describe(node, sim->nodes[i]);
  sim->system =
      (cql__system){.cluster_name = sim->settings.cluster_name,
                    .partitioner = sim->settings.partitioner,
                    .native_protocol_version = cql__sim_protocol_max(node) > 4 ? "5" : "4",
                    .local = describe(node, node),
                    .peer_count = count,
                    .peers = sim->peers};
  cql__sim_routes_describe(sim, &sim->system);
  return &sim->system;
}
