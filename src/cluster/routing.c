#include "cluster/routing.h"

#include <string.h>

#include "base/mem.h"
#include "cluster/node.h"

static void drop_nodes(cql__routing *routing) {
  for (uint32_t i = 0; i < routing->node_count; i++) cql_node_unref(routing->nodes[i]);
  cql__free(routing->nodes);
  routing->nodes = NULL;
  routing->node_count = 0;
}

static void free_scheme(cql__scheme *scheme) {
  cql__replication_unref(scheme->replication);
  cql__plans_unref(scheme->plans);
  cql__free(scheme);
}

void cql__routing_deinit(cql__routing *routing) {
  for (uint32_t i = 0; i < routing->scheme_count; i++) free_scheme(routing->schemes[i]);
  for (uint32_t i = 0; i < routing->keyspace_count; i++) cql__free(routing->keyspaces[i]);
  cql__free(routing->schemes);
  cql__free(routing->keyspaces);
  cql__names_deinit(&routing->keyspace_names);
  if (routing->ring) cql__ring_unref(routing->ring);
  drop_nodes(routing);
  memset(routing, 0, sizeof *routing);
}

void cql__routing_set_ring(cql__routing *routing, cql__ring *ring, cql_node_t **nodes,
                           uint32_t count) {
  if (routing->ring) cql__ring_unref(routing->ring);
  drop_nodes(routing);
  routing->ring = ring;
  routing->nodes = nodes;
  routing->node_count = count;
  cql__routing_changed(routing);
}

/* ---- keyspaces ---- */

cql__keyspace *cql__routing_keyspace(cql__routing *routing, cql_slice_t name) {
  uint32_t before = routing->keyspace_names.count;
  const cql__name *kept = cql__names_keep(&routing->keyspace_names, name.data, (size_t)name.length);
  if (!kept) return NULL;
  if (kept->number < routing->keyspace_count) return routing->keyspaces[kept->number];
  cql__keyspace **keyspaces =
      cql__realloc(routing->keyspaces, (before + 1) * sizeof(cql__keyspace *));
  if (keyspaces) routing->keyspaces = keyspaces;
  while (keyspaces && routing->keyspace_count <= kept->number) {
    cql__keyspace *keyspace = cql__zalloc(sizeof *keyspace);
    if (!keyspace) return NULL;
    routing->keyspaces[routing->keyspace_count++] = keyspace;
  }
  if (!keyspaces) return NULL;
  routing->keyspaces[kept->number]->name = kept;
  return routing->keyspaces[kept->number];
}

static void leave_scheme(cql__routing *routing, cql__keyspace *keyspace) {
  cql__scheme *scheme = keyspace->scheme;
  keyspace->scheme = NULL;
  if (!scheme || --scheme->users) return;
  for (uint32_t i = 0; i < routing->scheme_count; i++) {
    if (routing->schemes[i] != scheme) continue;
    routing->schemes[i] = routing->schemes[--routing->scheme_count];
    break;
  }
  free_scheme(scheme);
}

/* The one of an equal replication, whose reference is taken; NULL: no memory. */
static cql__scheme *scheme_of(cql__routing *routing, cql__replication *replication) {
  for (uint32_t i = 0; i < routing->scheme_count; i++) {
    if (!cql__replication_equal(routing->schemes[i]->replication, replication)) continue;
    cql__replication_unref(replication);
    return routing->schemes[i];
  }
  size_t size = (routing->scheme_count + 1) * sizeof(cql__scheme *);
  cql__scheme **schemes = cql__realloc(routing->schemes, size);
  cql__scheme *scheme = schemes ? cql__zalloc(sizeof *scheme) : NULL;
  if (schemes) routing->schemes = schemes;
  if (!scheme) {
    cql__replication_unref(replication);
    return NULL;
  }
  scheme->replication = replication;
  scheme->version = routing->version - 1;
  routing->schemes[routing->scheme_count++] = scheme;
  return scheme;
}

void cql__routing_begin(cql__routing *routing) { routing->reading++; }

void cql__routing_end(cql__routing *routing) {
  for (uint32_t i = 0; i < routing->keyspace_count; i++)
    if (routing->keyspaces[i]->seen != routing->reading)
      leave_scheme(routing, routing->keyspaces[i]);
}

int cql__routing_tell(cql__routing *routing, cql_slice_t name, cql_slice_t map) {
  cql__keyspace *keyspace = cql__routing_keyspace(routing, name);
  if (!keyspace) return CQL_ENOMEM;
  keyspace->seen = routing->reading;
  size_t size = map.length > 0 ? (size_t)map.length : 0;
  cql__replication *replication = cql__replication_read(map.data, size);
  if (!replication) return CQL_ENOMEM;
  cql__scheme *scheme = scheme_of(routing, replication);
  if (!scheme) return CQL_ENOMEM;
  scheme->users++; /* before it leaves the old one, which may be the same */
  leave_scheme(routing, keyspace);
  keyspace->scheme = scheme;
  return 0;
}

/* ---- plans ---- */

/* Datacenters are numbered as the nodes come. 0; CQL_ENOMEM. */
static uint32_t number_of(const cql__name *datacenter, cql_slice_t *names, uint32_t *count) {
  cql_slice_t name = {NULL, 0};
  if (datacenter)
    name = (cql_slice_t){(const uint8_t *)datacenter->text, (int32_t)datacenter->length};
  for (uint32_t i = 0; i < *count; i++)
    if (names[i].data == name.data) return i;
  names[*count] = name;
  return (*count)++;
}

static uint8_t distance_of(const cql_node_t *node) {
  return node->undecided ? CQL_DISTANCE_IGNORED : node->distance;
}

static cql__plans *make_plans(const cql__routing *routing, const cql__replication *replication) {
  uint32_t count = routing->node_count;
  cql__place *nodes = cql__malloc(count * sizeof *nodes + 1);
  cql_slice_t *names = cql__malloc(count * sizeof *names + 1);
  cql__plans *plans = NULL;
  if (nodes && names) {
    cql__places places = {nodes, count, 0, names};
    for (uint32_t i = 0; i < count; i++) {
      const cql__node_data *data = &routing->nodes[i]->data;
      nodes[i].datacenter = number_of(data->datacenter, names, &places.datacenter_count);
      nodes[i].rack = data->rack ? data->rack->number : UINT32_MAX;
      nodes[i].distance = distance_of(routing->nodes[i]);
    }
    plans = cql__plans_new(routing->ring, &places, replication);
  }
  cql__free(nodes);
  cql__free(names);
  return plans;
}

const cql__plan *cql__routing_plan(cql__routing *routing, const cql__keyspace *keyspace,
                                   const cql__token *token) {
  cql__scheme *scheme = keyspace->scheme;
  if (!scheme || !routing->ring) return NULL;
  if (scheme->version != routing->version || !scheme->plans) {
    cql__plans_unref(scheme->plans);
    scheme->plans = make_plans(routing, scheme->replication);
    scheme->version = routing->version;
    if (!scheme->plans) return NULL;
  }
  return cql__plans_get(scheme->plans, cql__ring_find(routing->ring, token));
}
