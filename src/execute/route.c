#include "execute/route.h"

#include <string.h>

#include "base/mem.h"
#include "wire/proto.h"

/* Parts of a partition key that are looked for without any allocation; Cassandra has no limit, but
 * nobody comes near this one. */
enum { PARTS_MAX = 32, KEY_BYTES = 512 };

/* ---- the token ---- */

static int set_rest(cql_request_t *request, const cql__token *token) {
  cql__block *block = cql__block_take(request->engine->pool, sizeof(cql__token_rest) + token->size);
  if (!block) return CQL_ENOMEM;
  cql__token_rest *rest = (cql__token_rest *)(void *)block->data;
  rest->low = token->low;
  rest->size = token->size;
  if (token->size) memcpy(rest->bytes, token->bytes, token->size);
  request->route.rest = block;
  return 0;
}

static cql__partitioner partitioner_of(const cql_request_t *request) {
  cql__partitioner usual = request->engine->cluster.routing.ring->partitioner;
  int changes = usual == CQL__MURMUR3 && request->prepared && request->prepared->is_of_changes;
  return changes ? CQL__CDC : usual;
}

/* CQL_ENOMEM: it goes anywhere. */
static int set_token(cql_request_t *request, const cql__keyspace *keyspace, const uint8_t *key,
                     size_t size) {
  cql__partitioner partitioner = partitioner_of(request);
  cql__token token = cql__token_make(partitioner, key, size);
  if ((token.low || token.size) && set_rest(request, &token)) return CQL_ENOMEM;
  request->route.high = token.high;
  request->route.keyspace = keyspace;
  return 0;
}

static cql__token token_of(const cql__route *route) {
  cql__token token = {route->high, 0, NULL, 0};
  if (!route->rest) return token;
  const cql__token_rest *rest = (const cql__token_rest *)(void *)route->rest->data;
  token.low = rest->low;
  token.bytes = rest->bytes;
  token.size = rest->size;
  return token;
}

/* The key that several parts make: in `room` or, if it is longer, in *block, which is the caller's.
 * CQL_EVALUE, CQL_ENOMEM. */
static int join(cql__pool *pool, const cql_slice_t *parts, uint32_t count, uint8_t room[KEY_BYTES],
                cql__block **block, cql_slice_t *out) {
  int64_t size = cql__key_size(parts, count);
  if (size < 0) return (int)size;
  if (size > KEY_BYTES) {
    *block = cql__block_take(pool, (size_t)size);
    if (!*block) return CQL_ENOMEM;
    room = (*block)->data;
  }
  cql__key_join(parts, count, room);
  *out = (cql_slice_t){room, (int32_t)size};
  return 0;
}

static int set_key(cql_request_t *request, const cql__keyspace *keyspace, const cql_slice_t *parts,
                   uint32_t count) {
  uint8_t room[KEY_BYTES];
  cql__block *block = NULL;
  cql_slice_t key = parts[0];
  int error = count > 1 ? join(request->engine->pool, parts, count, room, &block, &key) : 0;
  if (!error) error = set_token(request, keyspace, key.data, (size_t)key.length);
  cql__block_unref(block);
  return error;
}

/* Of a column; null where there is none. */
static cql_slice_t value_of(uint32_t column, const uint8_t *encoded, size_t size) {
  cql__cursor c = cql__cursor_of(encoded, size);
  for (; column && !c.broken; column--) cql__read_bytes(&c);
  return cql__read_bytes(&c);
}

/* The parts of the key, wherever they stand among the values. 0: not all of them are there. */
static int find_parts(const cql_metadata_t *shape, const uint8_t *encoded, size_t size,
                      cql_slice_t *parts) {
  for (uint32_t i = 0; i < shape->key_count; i++) {
    parts[i] = value_of(shape->key_indexes[i], encoded, size);
    if (parts[i].length < 0) return 0;
  }
  return 1;
}

/* Of a statement with markers: all of them are of its table. */
static const cql__keyspace *keyspace_of(const cql_request_t *request, cql_prepared_t *prepared) {
  const cql_metadata_t *shape = &prepared->parameters->shape;
  cql__routing *routing = &request->engine->cluster.routing;
  if (!prepared->home) prepared->home = cql__routing_keyspace(routing, shape->columns[0].keyspace);
  return prepared->home;
}

void cql__route_by_values(cql_request_t *request, cql_prepared_t *prepared, const uint8_t *encoded,
                          size_t size) {
  const cql__routing *routing = &request->engine->cluster.routing;
  const cql_metadata_t *shape = &prepared->parameters->shape;
  if (!routing->ring || request->route.keyspace || request->route.has_token ||
      shape->key_count == 0 || shape->key_count > PARTS_MAX)
    return;
  cql_slice_t parts[PARTS_MAX];
  if (!find_parts(shape, encoded, size, parts)) return;
  const cql__keyspace *keyspace = keyspace_of(request, prepared);
  if (keyspace) set_key(request, keyspace, parts, shape->key_count);
}

/* That of the table, which v3 tells too, else that of the request's options, else the session's. */
static const cql__keyspace *keyspace_told(cql_request_t *request) {
  cql__engine *engine = request->engine;
  const char *used = engine->settings.keyspace;
  cql_slice_t name = cql__request_keyspace(request);
  if (request->prepared && request->prepared->parameters->shape.column_count)
    return keyspace_of(request, request->prepared);
  if (name.length < 0 && used) name = (cql_slice_t){(const uint8_t *)used, (int32_t)strlen(used)};
  return name.length < 0 ? NULL : cql__routing_keyspace(&engine->cluster.routing, name);
}

void cql__route_by_all(cql_request_t *request) {
  if (request->route.has_token) {
    if (!request->route.keyspace) request->route.keyspace = keyspace_told(request);
    return;
  }
  if (request->opcode != CQL__EXECUTE || !(request->query_flags & CQL__QUERY_VALUES)) return;
  const uint8_t *values = request->body->data + request->prefix_size + 2;
  cql__route_by_values(request, request->prepared, values,
                       request->body_size - request->prefix_size - 2);
}

/* ---- the connection ---- */

/* Conditional statements that meet on one node don't contend with each other. */
static int is_conditional(const cql_request_t *request) {
  return (request->prepared && request->prepared->is_lwt) || request->consistency == CQL_SERIAL ||
         request->consistency == CQL_LOCAL_SERIAL;
}

/* What asks for nodes of the local datacenter isn't for others to coordinate. */
static uint8_t farthest_of(const cql_request_t *request) {
  if (request->engine->leaves_datacenter) return CQL_DISTANCE_REMOTE;
  switch (request->consistency) {
    case CQL_LOCAL_QUORUM:
    case CQL_LOCAL_ONE:
    case CQL_LOCAL_SERIAL: return CQL_DISTANCE_LOCAL;
    default: return CQL_DISTANCE_REMOTE;
  }
}

/* Its table's tablets, looked up again when others are known; NULL: the ring tells the replicas. */
static const cql__tablet_table *table_of(const cql_request_t *request) {
  cql_prepared_t *prepared = request->prepared;
  cql__tablets *tablets = &request->engine->cluster.tablets;
  if (!prepared || !request->route.keyspace || tablets->keyspace_count == 0) return NULL;
  if (prepared->epoch == tablets->epoch + 1) return prepared->table;
  const cql_metadata_t *shape = &prepared->parameters->shape;
  if (shape->column_count == 0) return NULL;
  prepared->table =
      cql__tablets_table(tablets, shape->columns[0].keyspace, shape->columns[0].table);
  prepared->epoch = tablets->epoch + 1; /* 0: never asked */
  return prepared->table;
}

static cql__wish wish_of(const cql_request_t *request) {
  const cql__route *route = &request->route;
  return (cql__wish){.node = route->node,
                     .keyspace = route->keyspace,
                     .table = table_of(request),
                     .token = token_of(route),
                     .tried = route->tried,
                     .tried_count = route->tried_count,
                     .shard = route->node ? route->shard : -1,
                     .in_order = (uint8_t)is_conditional(request),
                     .farthest = farthest_of(request)};
}

int cql__route_is_choosy(const cql_request_t *request) {
  const cql__cluster *cluster = &request->engine->cluster;
  if (request->route.node || request->route.tried_count) return 1;
  return cluster->groups[CQL_DISTANCE_REMOTE].count > 0 &&
         farthest_of(request) < CQL_DISTANCE_REMOTE;
}

int cql__route_is_stranded(const cql_request_t *request) {
  const cql__cluster *cluster = &request->engine->cluster;
  if (request->route.node) return cql__route_is_lost(request);
  for (int distance = farthest_of(request); distance >= 0; distance--)
    if (cluster->groups[distance].count > 0) return 0;
  return 1;
}

int cql__route_accepts(const cql_request_t *request) {
  const cql__wish wish = wish_of(request);
  return cql__cluster_accepts(&request->engine->cluster, &wish);
}

/* Most go where the turn's requests gather. */
static cql__channel *stay(const cql_request_t *request) {
  const cql__cluster *cluster = &request->engine->cluster;
  const cql__route *route = &request->route;
  cql__channel *current = cluster->current;
  if (!current || route->keyspace || route->node || route->tried_count) return NULL;
  const cql__connection *connection = &current->connection;
  int gathers = connection->gathered < CQL__GATHER || cluster->serving_count == 1;
  if (!gathers || !cql__connection_accepts(connection)) return NULL;
  return current->group <= CQL_DISTANCE_LOCAL || current->group <= farthest_of(request) ? current
                                                                                        : NULL;
}

cql__channel *cql__route_choose(cql_request_t *request) {
  cql__channel *current = stay(request);
  if (current) return current;
  const cql__wish wish = wish_of(request);
  return cql__cluster_choose(&request->engine->cluster, &wish);
}

cql__channel *cql__route_choose_again(cql_request_t *request, const cql_node_t *node) {
  cql__wish wish = wish_of(request);
  wish.node = node;
  wish.shard = request->sent_shard;
  return cql__cluster_choose(&request->engine->cluster, &wish);
}

int cql__route_leave(cql_request_t *request, const cql_node_t *node) {
  cql__route *route = &request->route;
  if (route->tried_count < CQL__ATTEMPTS_MAX - 1)
    route->tried[route->tried_count++] = (uint16_t)node->id;
  const cql__wish wish = wish_of(request);
  return cql__cluster_has_another(&request->engine->cluster, &wish);
}

/* ---- tablets ---- */

int cql__route_learn(const cql_request_t *request, cql_slice_t payload) {
  const cql_prepared_t *prepared = request->prepared;
  cql__tablet tablet;
  if (!prepared || prepared->parameters->shape.column_count == 0) return 0;
  int found = cql__tablet_find(payload, &tablet);
  if (found <= 0) return found;
  const cql_column_t *column = prepared->parameters->shape.columns;
  return cql__tablets_learn(&request->engine->cluster.tablets, column->keyspace, column->table,
                            &tablet);
}

/* ---- by hand ---- */

int cql__route_by_key(cql_request_t *request, const cql_slice_t *parts, uint32_t count) {
  if (request->state != CQL__REQUEST_TAKEN || request->route.has_token || count == 0 ||
      count > PARTS_MAX)
    return CQL_EINVAL;
  if (cql__key_size(parts, count) < 0) return CQL_EVALUE;
  if (!request->engine->cluster.routing.ring) return 0; /* nobody knows where it is */
  int error = set_key(request, NULL, parts, count);
  if (!error) request->route.has_token = 1;
  return error;
}

int cql__route_by_token(cql_request_t *request, int64_t token) {
  if (request->state != CQL__REQUEST_TAKEN || request->route.has_token) return CQL_EINVAL;
  request->route.high = cql__token_of_number(token).high;
  request->route.keyspace = NULL;
  request->route.has_token = 1;
  return 0;
}

int cql__route_target(cql_request_t *request, cql_node_t *node, int32_t shard) {
  cql__route *route = &request->route;
  cql_node_info_t info;
  if (request->state != CQL__REQUEST_TAKEN) return CQL_EINVAL;
  if (node && (node->cluster != &request->engine->cluster || cql__node_describe(node, &info) ||
               shard < -1 || shard >= (int32_t)info.shards))
    return CQL_EINVAL;
  if (node) cql_node_ref(node);
  cql_node_unref(route->node);
  route->node = node;
  route->shard = (int16_t)(node ? shard : -1);
  return 0;
}

typedef struct places {
  cql_target_t *targets;
  uint32_t count, max;
} places;

static int is_known(const places *found, const cql_node_t *node) {
  for (uint32_t i = 0; i < found->count && i < found->max; i++)
    if (found->targets[i].node == node) return 1;
  return 0;
}

static void add_place(places *found, cql_node_t *node, int32_t shard, int is_replica) {
  if (is_known(found, node)) return;
  if (found->count < found->max)
    found->targets[found->count] =
        (cql_target_t){.node = cql_node_ref(node), .shard = shard, .replica = is_replica};
  found->count++;
}

/* That of a node which has but one is known without a token. */
static int32_t shard_of(const cql__cluster *cluster, const cql_node_t *node,
                        const cql__wish *wish) {
  if (node->shard_count == 1) return node->has_shards ? 0 : -1;
  return cql__cluster_shard(cluster, node, wish);
}

static void add_plan(const cql__cluster *cluster, const cql__wish *wish, const cql__plan *plan,
                     uint8_t distance, places *found) {
  for (uint32_t i = 0; i < cql__plan_count(plan); i++) {
    cql_node_t *node = cluster->routing.nodes[plan->nodes[i]];
    if (node->distance == distance) add_place(found, node, shard_of(cluster, node, wish), 1);
  }
}

static void add_tablet(const cql__cluster *cluster, const cql__wish *wish, uint8_t distance,
                       places *found) {
  const cql__tablet_range *range =
      cql__tablet_table_find(wish->table, cql__token_number(&wish->token));
  for (uint32_t i = 0; range && i < range->count; i++) {
    const cql__tablet_replica *replica = cql__tablet_replicas(wish->table, range) + i;
    cql_node_t *node = cql__cluster_replica(cluster, replica, distance);
    if (node) add_place(found, node, replica->shard, 1);
  }
}

/* All of them are gathered first, so that none comes twice; the host is given as many as it has
 * room for. */
static void gather(cql_request_t *request, const cql__wish *wish, places *found) {
  cql__cluster *cluster = &request->engine->cluster;
  const cql__plan *plan = NULL;
  if (wish->keyspace && !wish->table)
    plan = cql__routing_plan(&cluster->routing, wish->keyspace, &wish->token);
  for (uint8_t distance = 0; distance <= wish->farthest; distance++) {
    if (plan) add_plan(cluster, wish, plan, distance, found);
    if (wish->keyspace && wish->table) add_tablet(cluster, wish, distance, found);
  }
  for (uint8_t distance = 0; distance <= wish->farthest; distance++)
    for (uint32_t i = 0; i < cluster->node_count; i++)
      if (cluster->nodes[i]->distance == distance) add_place(found, cluster->nodes[i], -1, 0);
}

uint32_t cql__route_plan(cql_request_t *request, uint32_t max, cql_target_t *targets) {
  const cql__cluster *cluster = &request->engine->cluster;
  if (request->state != CQL__REQUEST_TAKEN) return 0;
  if (request->route.node) {
    if (max)
      targets[0] = (cql_target_t){cql_node_ref(request->route.node), request->route.shard, 0};
    return 1;
  }
  cql_target_t *all = cql__malloc((cluster->node_count + 1) * sizeof *all);
  if (!all) return 0;
  places found = {all, 0, cluster->node_count};
  cql__route_seal(request);
  const cql__wish wish = wish_of(request);
  gather(request, &wish, &found);
  for (uint32_t i = 0; i < found.count; i++) {
    if (i < max)
      targets[i] = all[i];
    else
      cql_node_unref(all[i].node);
  }
  cql__free(all);
  return found.count;
}
