#include "cluster/cluster.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cluster/pool.h"
#include "cluster/shard.h"
#include "wire/proto.h"

/* For the tablets: the number that a node has in the routing. */
static uint16_t number_of(void *user, const uint8_t host_id[16]) {
  const cql__routing *routing = &((const cql__cluster *)user)->routing;
  for (uint32_t i = 0; i < routing->node_count; i++)
    if (!memcmp(routing->nodes[i]->data.host_id, host_id, 16)) return (uint16_t)i;
  return CQL__NO_NODE;
}

void cql__cluster_init(cql__cluster *cluster) {
  cql__list_init(&cluster->searches);
  cql__tablets_init(&cluster->tablets, number_of, cluster);
}

void cql__cluster_deinit(cql__cluster *cluster) {
  for (uint32_t i = 0; i < cluster->node_count; i++) cql__node_end(cluster->nodes[i]);
  for (uint32_t i = 0; i < cluster->gone_count; i++) cql__node_end(cluster->gone[i]);
  for (int i = 0; i < CQL__DISTANCES; i++) cql__free(cluster->groups[i].channels);
  memset(cluster->groups, 0, sizeof cluster->groups);
  cql__free(cluster->nodes);
  cql__free(cluster->gone);
  cluster->nodes = cluster->gone = NULL;
  cluster->node_count = cluster->gone_count = cluster->serving_count = 0;
  cql__tablets_deinit(&cluster->tablets);
  cql__routing_deinit(&cluster->routing);
  cql__client_routes_deinit(&cluster->client_routes);
  cql__names_deinit(&cluster->names);
}

/* ---- nodes ---- */

/* `nodes` and `gone` have room for all that there are: a node must be able to go. */
static int make_room(cql__cluster *cluster) {
  size_t size = ((size_t)cluster->node_count + cluster->gone_count + 1) * sizeof(cql_node_t *);
  cql_node_t **nodes = cql__realloc(cluster->nodes, size);
  if (!nodes) return CQL_ENOMEM;
  cluster->nodes = nodes;
  cql_node_t **gone = cql__realloc(cluster->gone, size);
  if (!gone) return CQL_ENOMEM;
  cluster->gone = gone;
  return 0;
}

int cql__cluster_add(cql__cluster *cluster, const cql__node_data *data, cql_node_t **out) {
  if (make_room(cluster)) return CQL_ENOMEM;
  cql_node_t *node = cql__node_new(cluster, data);
  if (!node) return CQL_ENOMEM;
  node->at = cluster->node_count;
  cluster->nodes[cluster->node_count++] = node;
  *out = node;
  return 0;
}

void cql__cluster_remove(cql__cluster *cluster, cql_node_t *node) {
  cql_node_t *last = cluster->nodes[--cluster->node_count];
  cluster->nodes[node->at] = last;
  last->at = node->at;
  cluster->gone[cluster->gone_count++] = node;
  cluster->sweep = 1;
  cql__pool_fit(node, 0, NULL, "closed: the node has left the cluster");
}

cql_node_t *cql__cluster_find(const cql__cluster *cluster, const uint8_t host_id[16]) {
  for (uint32_t i = 0; i < cluster->node_count; i++)
    if (!memcmp(cluster->nodes[i]->data.host_id, host_id, 16)) return cluster->nodes[i];
  return NULL;
}

cql_node_t *cql__cluster_at(const cql__cluster *cluster, const cql__address *address) {
  for (uint32_t i = 0; i < cluster->node_count; i++)
    if (cql__address_equal(&cluster->nodes[i]->data.address, address)) return cluster->nodes[i];
  return NULL;
}

int cql__cluster_reserve(cql__cluster *cluster, uint32_t slots) {
  for (int i = 0; i < CQL__DISTANCES; i++) {
    cql__group *group = &cluster->groups[i];
    if (group->capacity >= slots) continue;
    uint32_t capacity = slots + slots / 2;
    cql__channel **channels = cql__realloc(group->channels, capacity * sizeof(cql__channel *));
    if (!channels) return CQL_ENOMEM;
    group->channels = channels;
    group->capacity = capacity;
  }
  return 0;
}

int cql__cluster_lower_version(cql__cluster *cluster, int next) {
  if (cluster->version_pinned || next < cluster->version_min) return 0;
  if (next < cluster->settings->version) cluster->settings->version = next;
  return 1;
}

int cql__cluster_failed(const cql__cluster *cluster, int for_good, const char **why) {
  const cql__channel *first = NULL;
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    const cql_node_t *node = cluster->nodes[i];
    if (node->undecided) return 0;
    for (uint32_t k = 0; k < node->channel_count; k++) {
      int error = node->channels[k]->last_error;
      if (!error || (for_good && !cql__error_is_final(error))) return 0;
      if (!first) first = node->channels[k];
    }
  }
  if (!first) return 0;
  *why = first->connection.why;
  return first->last_error;
}

/* ---- choosing ---- */

static int suits(const cql__wish *wish, const cql__channel *channel) {
  if (channel->held || !cql__connection_accepts(&channel->connection)) return 0;
  if (wish->node && channel->node != wish->node) return 0;
  for (uint32_t i = 0; i < wish->tried_count; i++)
    if (wish->tried[i] == (uint16_t)channel->node->id) return 0;
  return 1;
}

/* Much waits on it and nothing came for a while: it may recover, but others come first. */
static int is_slow(const cql__channel *channel) {
  const cql__connection *c = &channel->connection;
  return c->streams.used >= CQL__SLOW_REQUESTS &&
         c->read_before + CQL__SLOW_MS < c->settings->wheel->now;
}

static int is_quick(const cql__channel *channel) { return channel && !is_slow(channel); }

/* The less busy one; either may be NULL. */
static cql__channel *better(cql__channel *a, cql__channel *b) {
  if (!a || !b) return a ? a : b;
  int slow = is_slow(a), other_slow = is_slow(b);
  if (slow != other_slow) return slow ? b : a;
  return a->connection.streams.used <= b->connection.streams.used ? a : b;
}

/* The second only if the first is none, or it alone is quick. */
static cql__channel *quicker(cql__channel *a, cql__channel *b) {
  return !a || (is_slow(a) && is_quick(b)) ? b : a;
}

static cql__channel *if_suits(const cql__wish *wish, cql__channel *channel) {
  return suits(wish, channel) ? channel : NULL;
}

/* The better of two; another where neither will do, or is quick; NULL: none will do. */
static cql__channel *choose_of(cql__rand *rand, cql__channel *const *channels, uint32_t count,
                               const cql__wish *wish) {
  cql__channel *chosen = NULL;
  if (count > 1) {
    cql__two two = cql__rand_two(rand, count);
    chosen = better(if_suits(wish, channels[two.first]), if_suits(wish, channels[two.second]));
  }
  for (uint32_t i = 0; i < count && !is_quick(chosen); i++)
    chosen = quicker(chosen, if_suits(wish, channels[i]));
  return chosen;
}

/* ---- among replicas ---- */

cql_node_t *cql__cluster_replica(const cql__cluster *cluster, const cql__tablet_replica *replica,
                                 int distance) {
  uint16_t number = cql__tablets_node(&cluster->tablets, replica->host);
  if (number >= cluster->routing.node_count) return NULL;
  cql_node_t *node = cluster->routing.nodes[number];
  return !node->undecided && node->distance == distance ? node : NULL;
}

static int32_t shard_by_tablet(const cql__cluster *cluster, const cql_node_t *node,
                               const cql__wish *wish) {
  const cql__tablet_range *range =
      cql__tablet_table_find(wish->table, cql__token_number(&wish->token));
  for (uint32_t i = 0; range && i < range->count; i++) {
    const cql__tablet_replica *replica = cql__tablet_replicas(wish->table, range) + i;
    if (cql__cluster_replica(cluster, replica, node->distance) == node) return replica->shard;
  }
  return -1;
}

int32_t cql__cluster_shard(const cql__cluster *cluster, const cql_node_t *node,
                           const cql__wish *wish) {
  if (node->shard_count < 2) return -1;
  if (wish->shard >= 0) return wish->shard < (int32_t)node->shard_count ? wish->shard : -1;
  if (!wish->keyspace || !cluster->routing.ring) return -1;
  if (wish->table) return shard_by_tablet(cluster, node, wish);
  cql__partitioner partitioner = cluster->routing.ring->partitioner;
  if (partitioner != CQL__MURMUR3 && partitioner != CQL__CDC) return -1;
  return (int32_t)cql__shard_of(cql__token_number(&wish->token), node->shard_count,
                                node->ignore_msb);
}

/* Another shard of it answers too, if more slowly. */
static cql__channel *choose_of_node(cql__cluster *cluster, const cql_node_t *node,
                                    const cql__wish *wish) {
  int32_t shard = cql__cluster_shard(cluster, node, wish);
  if (shard >= 0 && node->channel_count) {
    uint32_t first = cql__pool_first_of(node, (uint32_t)shard);
    uint32_t end = cql__pool_first_of(node, (uint32_t)shard + 1);
    cql__channel *chosen = choose_of(cluster->rand, node->channels + first, end - first, wish);
    if (chosen) return chosen;
  }
  return choose_of(cluster->rand, node->channels, node->channel_count, wish);
}

static inline cql__channel *choose_on(cql__cluster *cluster, const cql_node_t *node,
                                      const cql__wish *wish) {
  if (node->channel_count != 1) return choose_of_node(cluster, node, wish);
  return if_suits(wish, node->channels[0]);
}

/* Of the replicas at one distance: two at random, the less busy of them; another where neither will
 * do, or is quick. */
static cql__channel *choose_replica(cql__cluster *cluster, const uint16_t *numbers, uint32_t count,
                                    const cql__wish *wish) {
  cql_node_t *const *nodes = cluster->routing.nodes;
  cql__channel *chosen = NULL;
  cql__two two = {0, 0};
  if (count > 1 && !wish->in_order) {
    two = cql__rand_two(cluster->rand, count);
    chosen = better(choose_on(cluster, nodes[numbers[two.first]], wish),
                    choose_on(cluster, nodes[numbers[two.second]], wish));
  }
  for (uint32_t i = 0; i < count && !(wish->in_order ? chosen != NULL : is_quick(chosen)); i++)
    chosen = quicker(chosen, choose_on(cluster, nodes[numbers[(two.first + i) % count]], wish));
  return chosen;
}

static cql__channel *choose_by_plan(cql__cluster *cluster, const cql__wish *wish) {
  const cql__plan *plan = cql__routing_plan(&cluster->routing, wish->keyspace, &wish->token);
  if (!plan) return NULL;
  uint32_t start = 0;
  for (int i = 0; i <= wish->farthest; i++) {
    uint32_t count = plan->ends[i] - start;
    cql__channel *chosen = choose_replica(cluster, plan->nodes + start, count, wish);
    if (chosen) return chosen;
    start += count;
  }
  return NULL;
}

/* ---- among a tablet's replicas ---- */

/* As choose_replica(), with the shard that each replica names; in the order of the payload. */
static cql__channel *choose_by_tablet(cql__cluster *cluster, const cql__wish *wish) {
  enum { LOOKED_AT = 16 };
  const cql__tablet_range *range =
      cql__tablet_table_find(wish->table, cql__token_number(&wish->token));
  if (!range) return NULL; /* whoever answers will tell */
  const cql__tablet_replica *replicas = cql__tablet_replicas(wish->table, range);
  for (int distance = 0; distance <= wish->farthest; distance++) {
    cql__channel *found[LOOKED_AT];
    uint32_t count = 0;
    for (uint32_t i = 0; i < range->count && count < LOOKED_AT; i++) {
      const cql_node_t *node = cql__cluster_replica(cluster, &replicas[i], distance);
      cql__wish on_shard = *wish;
      on_shard.shard = replicas[i].shard;
      if (!node || !(found[count] = choose_on(cluster, node, &on_shard))) continue;
      if (wish->in_order) return found[count];
      count++;
    }
    if (count == 0) continue;
    if (count == 1) return found[0];
    cql__two two = cql__rand_two(cluster->rand, count);
    cql__channel *chosen = better(found[two.first], found[two.second]);
    for (uint32_t i = 0; i < count && !is_quick(chosen); i++) chosen = quicker(chosen, found[i]);
    return chosen;
  }
  return NULL;
}

/* ---- among all ---- */

/* The turn's requests stay where they gather, if nothing is nearer. */
static int may_stay(const cql__cluster *cluster, const cql__group *group, const cql__wish *wish) {
  const cql__channel *current = cluster->current;
  return current && group == &cluster->groups[current->group] &&
         (current->connection.gathered < CQL__GATHER || group->count == 1) && suits(wish, current);
}

cql__channel *cql__cluster_choose(cql__cluster *cluster, const cql__wish *wish) {
  if (wish->node) return choose_on(cluster, wish->node, wish);
  if (wish->keyspace) {
    cql__channel *chosen =
        wish->table ? choose_by_tablet(cluster, wish) : choose_by_plan(cluster, wish);
    if (chosen) return chosen;
  }
  for (int i = 0; i <= wish->farthest; i++) {
    const cql__group *group = &cluster->groups[i];
    if (may_stay(cluster, group, wish)) return cluster->current;
    cql__channel *chosen = choose_of(cluster->rand, group->channels, group->count, wish);
    if (!chosen) continue;
    cluster->current = chosen;
    return chosen;
  }
  return NULL;
}

int cql__cluster_has_another(const cql__cluster *cluster, const cql__wish *wish) {
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    const cql_node_t *node = cluster->nodes[i];
    int tried = !node->serving_count || (wish->node && wish->node != node) ||
                node->distance > wish->farthest;
    for (uint32_t k = 0; !tried && k < wish->tried_count; k++)
      tried = wish->tried[k] == (uint16_t)node->id;
    if (!tried) return 1;
  }
  return 0;
}

static int any_suits(cql__channel *const *channels, uint32_t count, const cql__wish *wish) {
  for (uint32_t i = 0; i < count; i++)
    if (suits(wish, channels[i])) return 1;
  return 0;
}

int cql__cluster_accepts(const cql__cluster *cluster, const cql__wish *wish) {
  if (wish->node) return any_suits(wish->node->channels, wish->node->channel_count, wish);
  for (int i = 0; i <= wish->farthest; i++)
    if (any_suits(cluster->groups[i].channels, cluster->groups[i].count, wish)) return 1;
  return 0;
}

/* ---- all of them ---- */

/* Who holds a node that has left may ask what it was: it ends with a later one, or the session. */
static void sweep(cql__cluster *cluster) {
  cluster->sweep = 0;
  for (uint32_t i = 0; i < cluster->node_count; i++) cql__node_sweep(cluster->nodes[i]);
  for (uint32_t i = cluster->gone_count; i-- > 0;) {
    if (!cql__node_sweep(cluster->gone[i]) || cluster->gone[i]->refs > 1) continue;
    cql__node_end(cluster->gone[i]);
    cluster->gone[i] = cluster->gone[--cluster->gone_count];
  }
}

void cql__cluster_turn(cql__cluster *cluster) {
  cluster->current = NULL;
  if (cluster->sweep) sweep(cluster);
}

void cql__cluster_each_serving(const cql__cluster *cluster,
                               void (*visit)(cql__channel *channel, void *user), void *user) {
  for (int i = 0; i < CQL__DISTANCES; i++)
    for (uint32_t k = 0; k < cluster->groups[i].count; k++)
      visit(cluster->groups[i].channels[k], user);
}

void cql__cluster_each(const cql__cluster *cluster,
                       void (*visit)(cql__channel *channel, void *user), void *user) {
  for (uint32_t i = 0; i < cluster->node_count; i++) cql__node_each(cluster->nodes[i], visit, user);
  for (uint32_t i = 0; i < cluster->gone_count; i++) cql__node_each(cluster->gone[i], visit, user);
}

typedef struct end {
  int error;
  const char *why;
} end;

static void close_channel(cql__channel *channel, void *user) {
  const end *e = user;
  cql__channel_close(channel, e->error, e->why);
}

void cql__cluster_close(cql__cluster *cluster, int error, const char *why) {
  end e = {error, why};
  cluster->closing = 1;
  cql__cluster_each(cluster, close_channel, &e);
}

static void wake_channel(cql__channel *channel, void *user) {
  (void)user;
  cql__connection_awake(&channel->connection);
}

void cql__cluster_awake(cql__cluster *cluster) { cql__cluster_each(cluster, wake_channel, NULL); }
