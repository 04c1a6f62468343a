#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>

#include "sim/dispatch.h"

int cql__sim_mistake(cql_sim_t *sim, int error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(sim->error, sizeof sim->error, format, arguments);
  va_end(arguments);
  return error;
}

const char *cql_sim_error(const cql_sim_t *sim) { return sim->error; }
int64_t cql_sim_now(const cql_sim_t *sim) { return sim->clock.now; }

/* ---- chance ---- */

/* A seed of its own for each purpose [splitmix64]. */
static uint64_t seed_of(uint64_t seed, uint64_t purpose) {
  uint64_t x = seed + (purpose + 1) * 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return x ^ x >> 31;
}

uint64_t cql_sim_random(cql_sim_t *sim, uint64_t below) {
  uint64_t number = cql__rand_next(&sim->random);
  return below ? number % below : 0;
}

void cql__sim_uuid(cql_sim_t *sim, uint8_t out[16]) {
  cql__put_u64(out, (cql__rand_next(&sim->nodes_random) & ~0xF000ull) | 0x4000);
  cql__put_u64(out + 8, (cql__rand_next(&sim->nodes_random) & ~(3ull << 62)) | 1ull << 63);
}

/* ---- new, free ---- */

cql_sim_t *cql_sim_new(uint64_t seed) {
  cql_sim_t *sim = cql__sim_alloc(sizeof *sim);
  sim->seed = seed;
  cql__rand_seed(&sim->random, seed_of(seed, 0));
  cql__rand_seed(&sim->network, seed_of(seed, 1));
  cql__rand_seed(&sim->nodes_random, seed_of(seed, 2));
  cql__sim_settings_init(&sim->settings);
  cql__list_init(&sim->hosts);
  cql__list_init(&sim->wires);
  cql__list_init(&sim->rules);
  cql__list_init(&sim->alarms);
  cql__list_init(&sim->alarms_due);
  cql__list_init(&sim->events);
  cql__list_init(&sim->news);
  sim->next_place = CQL_SIM_CLIENTS - 1;
  return sim;
}

cql__store *cql__sim_store(cql_sim_t *sim) {
  if (sim->store) return sim->store;
  int scylla = sim->settings.product == CQL__SIM_SCYLLA;
  for (size_t i = 0; i < sim->node_count; i++) scylla |= cql__sim_is_scylla(sim->nodes[i]);
  sim->store = cql__store_new(scylla);
  cql__system_install(sim->store);
  return sim->store;
}

static void free_named(cql__sim_named *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    cql__sim_release(list[i].name);
    cql__sim_release(list[i].value);
  }
  cql__sim_release(list);
}

void cql_sim_free(cql_sim_t *sim) {
  if (!sim) return;
  cql__sim_serving_free(sim->serving);
  for (size_t i = 0; i < sim->node_count; i++) cql__sim_wires_end(sim->nodes[i], CQL_SIM_HALF_OPEN);
  cql__sim_wires_free(sim);
  cql__sim_clock_free(&sim->clock); /* nothing is to happen any more */
  cql__sim_rules_free(sim);
  cql__sim_alarms_free(sim);
  cql__sim_events_free(sim);
  cql__sim_news_free(sim);
  for (size_t i = 0; i < sim->node_count; i++) cql__sim_node_free(sim->nodes[i]);
  cql__sim_release(sim->nodes);
  if (sim->store) cql__store_free(sim->store);
  cql__sim_ring_free(&sim->ring);
  cql__sim_journal_free(&sim->journal);
  free_named(sim->names, sim->name_count);
  free_named(sim->users, sim->user_count);
  cql__sim_routes_free(sim);
  cql__sim_release(sim->cuts);
  cql__sim_release(sim->peers);
  cql__sim_release(sim);
}

/* ---- settings, names, users ---- */

cql__sim_node *cql__sim_node_at(cql_sim_t *sim, int node) {
  if (node >= 0 && (size_t)node < sim->node_count) return sim->nodes[node];
  cql__sim_mistake(sim, CQL_EINVAL, "there is no node %d", node);
  return NULL;
}

int cql_sim_set(cql_sim_t *sim, int index, const char *name, const char *value) {
  int of_world = 0;
  cql__sim_node *node = index == CQL_SIM_ALL ? NULL : cql__sim_node_at(sim, index);
  if (index != CQL_SIM_ALL && !node) return CQL_EINVAL;
  cql__sim_settings checked = node ? node->settings : sim->settings;
  int error = cql__sim_settings_set(&checked, name, value, &of_world, sim->error);
  if (error) return error;
  if (node && of_world)
    return cql__sim_mistake(sim, CQL_EOPTION, "%s is the world's: set it for all nodes", name);
  if (node) {
    node->settings = checked;
    return 0;
  }
  sim->settings = checked;
  for (size_t i = 0; i < sim->node_count; i++)
    cql__sim_settings_set(&sim->nodes[i]->settings, name, value, &of_world, sim->error);
  cql__sim_network_kick(sim);
  return 0;
}

const char *cql_sim_setting(uint32_t index) { return cql__sim_settings_name(index); }

const cql__sim_named *cql__sim_named_find(const cql__sim_named *list, size_t count,
                                          const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(list[i].name, name) == 0) return &list[i];
  return NULL;
}

static void put_named(cql__sim_named **list, size_t *count, size_t *capacity, const char *name,
                      const char *value) {
  cql__sim_named *found = (cql__sim_named *)(uintptr_t)cql__sim_named_find(*list, *count, name);
  if (!found) {
    *list = cql__sim_grow(*list, *count, capacity, sizeof **list);
    found = &(*list)[(*count)++];
    *found = (cql__sim_named){cql__sim_text(name, strlen(name)), NULL};
  }
  cql__sim_release(found->value);
  found->value = value ? cql__sim_text(value, strlen(value)) : NULL;
}

int cql_sim_user(cql_sim_t *sim, const char *name, const char *password) {
  put_named(&sim->users, &sim->user_count, &sim->user_capacity, name, password);
  return 0;
}

int cql_sim_name(cql_sim_t *sim, const char *name, const char *addresses) {
  for (const char *at = addresses ? addresses + strspn(addresses, " ") : ""; *at;) {
    cql__address address;
    size_t length = strcspn(at, " ");
    if (cql__address_from_text(at, length, 0, &address))
      return cql__sim_mistake(sim, CQL_EVALUE, "\"%.*s\" is no IP address", (int)length, at);
    at += length + strspn(at + length, " ");
  }
  put_named(&sim->names, &sim->name_count, &sim->name_capacity, name, addresses);
  return 0;
}

int cql_sim_cql(cql_sim_t *sim, const char *text, size_t length) {
  cql__store_call call;
  cql__store_call_init(&call);
  call.now_us = cql__sim_timestamp(sim);
  if (sim->node_count) call.system = cql__sim_system_of(sim->nodes[0]);
  cql__store_result *result = cql__store_query(
      cql__sim_store(sim), (cql_slice_t){(const uint8_t *)text, (int32_t)length}, &call);
  int error = 0;
  if (result->kind == CQL_RESULT_ERROR)
    error = cql__sim_mistake(sim, CQL_ESERVER, "%s", result->message);
  if (result->kind == CQL_RESULT_SCHEMA_CHANGE) cql__sim_schema_known(sim, &result->change);
  cql__store_result_free(result);
  return error;
}

/* ---- nodes ---- */

static int is_taken(const cql_sim_t *sim, const cql__address *address) {
  for (size_t i = 0; i < sim->node_count; i++)
    if (cql__address_equal(&sim->nodes[i]->address, address) ||
        cql__address_equal(&sim->nodes[i]->next, address))
      return 1;
  return 0;
}

static int read_address(cql_sim_t *sim, const char *text, cql__address *out) {
  uint16_t port = (uint16_t)sim->settings.port;
  if (cql__address_from_text(text, strlen(text), port, out))
    return cql__sim_mistake(sim, CQL_EVALUE, "\"%s\" is no IP address", text);
  if (is_taken(sim, out)) return cql__sim_mistake(sim, CQL_EVALUE, "%s is taken", text);
  return 0;
}

int cql_sim_node_new(cql_sim_t *sim, const char *datacenter, const char *rack,
                     const char *address) {
  cql__address at = {{127, 0, 0, 0}, 4, (uint16_t)sim->settings.port, 0};
  if (address) {
    int error = read_address(sim, address, &at);
    if (error) return error;
  } else {
    uint32_t number = 0;
    do {
      number++;
      at.bytes[1] = (uint8_t)(number >> 16);
      at.bytes[2] = (uint8_t)(number >> 8);
      at.bytes[3] = (uint8_t)number;
    } while (is_taken(sim, &at));
  }
  return cql__sim_node_make(sim, datacenter, rack, &at)->index;
}

int cql_sim_node_move(cql_sim_t *sim, int index, const char *address) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  cql__address at;
  if (!node) return CQL_EINVAL;
  int error = read_address(sim, address, &at);
  if (error) return error;
  if (node->state == CQL_SIM_UP || node->state == CQL_SIM_PAUSED) cql_sim_node_stop(sim, index);
  node->next = at;
  return 0;
}

int cql_sim_node_count(const cql_sim_t *sim) { return (int)sim->node_count; }

static const cql__sim_node *find(const cql_sim_t *sim, int node) {
  return node >= 0 && (size_t)node < sim->node_count ? sim->nodes[node] : NULL;
}
int cql_sim_node_state(const cql_sim_t *sim, int node) {
  return find(sim, node) ? find(sim, node)->state : CQL_EINVAL;
}
const char *cql_sim_node_address(const cql_sim_t *sim, int node) {
  return find(sim, node) ? find(sim, node)->text : NULL;
}
const char *cql_sim_node_host_id(const cql_sim_t *sim, int node) {
  return find(sim, node) ? find(sim, node)->host_text : NULL;
}

/* ---- the network ---- */

int cql_sim_cut(cql_sim_t *sim, int place, int other) {
  sim->cuts = cql__sim_grow(sim->cuts, sim->cut_count, &sim->cut_capacity, sizeof *sim->cuts);
  sim->cuts[sim->cut_count][0] = place;
  sim->cuts[sim->cut_count++][1] = other;
  cql__sim_trace_line(sim, "%d and %d are cut", place, other);
  for (size_t i = 0; i < sim->node_count; i++) cql__sim_gossip(sim, sim->nodes[i], 1);
  return 0;
}

int cql_sim_heal(cql_sim_t *sim, int place, int other) {
  size_t kept = 0;
  for (size_t i = 0; i < sim->cut_count; i++) {
    const int *cut = sim->cuts[i];
    int same = (cut[0] == place && cut[1] == other) || (cut[0] == other && cut[1] == place);
    if (same) continue;
    sim->cuts[kept][0] = cut[0];
    sim->cuts[kept++][1] = cut[1];
  }
  sim->cut_count = kept;
  cql__sim_trace_line(sim, "%d and %d are healed", place, other);
  cql__sim_network_kick(sim);
  for (size_t i = 0; i < sim->node_count; i++) cql__sim_gossip(sim, sim->nodes[i], 0);
  return 0;
}

int cql_sim_stall(cql_sim_t *sim, int index, int64_t us) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (us < 0) return cql__sim_mistake(sim, CQL_EINVAL, "a time before now");
  node->stalled_until = sim->clock.now + us;
  cql__sim_trace_line(sim, "%s stalls for %lld us", node->text, (long long)us);
  cql__sim_network_kick(sim);
  return 0;
}

int cql_sim_exhaust(cql_sim_t *sim, int count) {
  for (cql__list *l = sim->hosts.next; l != &sim->hosts; l = l->next)
    cql__container(l, cql__sim_host, link)->sockets.exhausted = count;
  return 0;
}

int cql_sim_exhausted(const cql_sim_t *sim) {
  int count = 0;
  for (cql__list *l = sim->hosts.next; l != &sim->hosts; l = l->next)
    count += cql__container(l, cql__sim_host, link)->sockets.exhausted;
  return count;
}

/* The `index`th client of a node or of all; with `id` >= 0 that one. */
static cql__sim_client *client_at(cql_sim_t *sim, int node, int index, int id) {
  for (size_t i = 0; i < sim->node_count; i++) {
    if (node != CQL_SIM_ALL && (size_t)node != i) continue;
    for (cql__list *l = sim->nodes[i]->clients.next; l != &sim->nodes[i]->clients; l = l->next) {
      cql__sim_client *client = cql__container(l, cql__sim_client, link);
      if (id >= 0 ? client->id == id : index-- == 0) return client;
    }
  }
  cql__sim_mistake(sim, CQL_EINVAL, "there is no such connection");
  return NULL;
}

int cql_sim_connection_count(const cql_sim_t *sim, int node) {
  uint64_t count = 0;
  for (size_t i = 0; i < sim->node_count; i++)
    if (node == CQL_SIM_ALL || (size_t)node == i) count += sim->nodes[i]->counters.connections;
  return (int)count;
}

int cql_sim_connection(cql_sim_t *sim, int node, int index, cql_sim_connection_t *out) {
  const cql__sim_client *c = index < 0 ? NULL : client_at(sim, node, index, -1);
  if (!c) return CQL_EINVAL;
  *out = (cql_sim_connection_t){.id = c->id,
                                .node = c->node->index,
                                .shard = c->shard,
                                .place = c->place,
                                .port = c->port,
                                .source_port = c->source_port,
                                .version = c->version,
                                .compressed = c->compresses,
                                .ready = c->state == CQL__SIM_READY,
                                .registered = c->registered,
                                .in_flight = (int32_t)c->in_flight,
                                .keyspace = cql__sim_slice_of(c->keyspace),
                                .startup = cql__sim_slice(&c->startup),
                                .address = cql__sim_slice_of(c->address)};
  return 0;
}

int cql_sim_connection_end(cql_sim_t *sim, int id, int how) {
  cql__sim_client *client = id < 0 ? NULL : client_at(sim, CQL_SIM_ALL, 0, id);
  if (!client || how < CQL_SIM_CLOSE || how > CQL_SIM_HALF_OPEN) return CQL_EINVAL;
  cql__sim_client_end(client, how);
  return 0;
}

int cql_sim_connection_say(cql_sim_t *sim, int id, const uint8_t *bytes, size_t size) {
  cql__sim_client *client = id < 0 ? NULL : client_at(sim, CQL_SIM_ALL, 0, id);
  if (!client) return CQL_EINVAL;
  cql__sim_client_say(client, bytes, size);
  return 0;
}

/* ---- events ---- */

int cql_sim_tell(cql_sim_t *sim, int from, const char *type, const char *change, int index) {
  const cql__sim_node *about = cql__sim_node_at(sim, index);
  int told = 0;
  if (!about) return CQL_EINVAL;
  for (size_t i = 0; i < sim->node_count; i++)
    if (from == CQL_SIM_ALL || (size_t)from == i)
      told += cql__sim_node_tell_of(sim->nodes[i], type, change, about);
  return told;
}

int cql_sim_tell_raw(cql_sim_t *sim, int from, const uint8_t *body, size_t size) {
  static const char *const types[] = {"TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE",
                                      "CLIENT_ROUTES_CHANGE"};
  cql__cursor c = cql__cursor_of(body, size);
  cql_slice_t type = cql__read_short_bytes(&c);
  int registered = 15, told = 0;
  for (int i = 0; i < 4; i++)
    if (cql__slice_is(type, types[i])) registered = 1 << i;
  for (size_t i = 0; i < sim->node_count; i++)
    if (from == CQL_SIM_ALL || (size_t)from == i)
      told += cql__sim_node_tell(sim->nodes[i], registered, (cql_slice_t){body, (int32_t)size});
  return told;
}

/* ---- counters ---- */

int cql_sim_counters(const cql_sim_t *sim, int node, cql_sim_counters_t *out) {
  memset(out, 0, sizeof *out);
  if (node != CQL_SIM_ALL && !find(sim, node)) return CQL_EINVAL;
  uint64_t *sums = (uint64_t *)(void *)out;
  for (size_t i = 0; i < sim->node_count; i++) {
    if (node != CQL_SIM_ALL && (size_t)node != i) continue;
    const uint64_t *of_node = (const uint64_t *)(const void *)&sim->nodes[i]->counters;
    for (size_t k = 0; k < sizeof *out / sizeof *sums; k++) sums[k] += of_node[k];
  }
  return 0;
}
