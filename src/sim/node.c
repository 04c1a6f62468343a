#include "sim/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/dispatch.h"
#include "sim/world.h"
#include "wire/proto.h"
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

static void make_tokens(cql__sim_node *node) {
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

static void on_booted(cql__sim_timer *timer);

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
  node->booting.fire = on_booted;
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

/* ---- what it sees of the others ---- */

static uint8_t *view_of(cql__sim_node *node, int32_t other) {
  size_t count = node->sim->node_count;
  if (node->view_count < count) {
    node->views = cql__sim_realloc(node->views, count);
    memset(node->views + node->view_count, 0, count - node->view_count);
    node->view_count = count;
  }
  return &node->views[other];
}

int cql__sim_sees_up(const cql__sim_node *node, const cql__sim_node *other) {
  if (node == other) return 1;
  return (size_t)other->index < node->view_count && node->views[other->index] & CQL__SIM_SEEN_UP;
}

static const cql__address *address_as_seen(const cql__sim_node *node, const cql__sim_node *other) {
  int before =
      (size_t)other->index < node->view_count && node->views[other->index] & CQL__SIM_SEEN_BEFORE;
  return before ? &other->before : &other->address;
}

static int runs(const cql__sim_node *node) {
  return (node->state == CQL_SIM_UP || node->state == CQL_SIM_PAUSED) && !node->vanished;
}

/* As it would be if all news had arrived. */
static uint8_t truth(const cql__sim_node *node, const cql__sim_node *other) {
  uint8_t known = other->member ? CQL__SIM_KNOWN : 0;
  int answers = other->state == CQL_SIM_UP && runs(other) &&
                !cql__sim_is_cut(node->sim, node->index, other->index);
  return known && answers ? known | CQL__SIM_SEEN_UP : known;
}

static void see(cql__sim_node *node, cql__sim_node *other) {
  uint8_t *view = view_of(node, other->index), now = truth(node, other), before = *view;
  /* Where nothing comes through, nothing is learned but silence. */
  if (node != other && cql__sim_is_cut(node->sim, node->index, other->index))
    now = (uint8_t)((now & CQL__SIM_SEEN_UP) | (before & (CQL__SIM_KNOWN | CQL__SIM_SEEN_BEFORE)));
  if (before == now) return;
  *view = now;
  if (before & ~now & CQL__SIM_SEEN_BEFORE) before = 0; /* as a node that nobody knew */
  cql__sim_trace_line(node->sim, "%s sees %s %s", node->text, other->text,
                      now & CQL__SIM_SEEN_UP ? "up"
                      : now                  ? "down"
                                             : "gone");
  if (!runs(node)) return;
  if (now & CQL__SIM_KNOWN && !(before & CQL__SIM_KNOWN))
    cql__sim_node_tell_of(node, "TOPOLOGY_CHANGE", "NEW_NODE", other);
  if ((now ^ before) & CQL__SIM_SEEN_UP)
    cql__sim_node_tell_of(node, "STATUS_CHANGE", now & CQL__SIM_SEEN_UP ? "UP" : "DOWN", other);
  if (!(now & CQL__SIM_KNOWN) && before & CQL__SIM_KNOWN)
    cql__sim_node_tell_of(node, "TOPOLOGY_CHANGE", "REMOVED_NODE", other);
}

static void on_news(cql_sim_t *sim, const int32_t *what) {
  see(sim->nodes[what[0]], sim->nodes[what[1]]);
}

/* Before time has begun to pass, all know all. */
void cql__sim_gossip(cql_sim_t *sim, cql__sim_node *about, int failed) {
  const cql__sim_spread *spread = failed ? &sim->settings.detection : &sim->settings.gossip;
  for (size_t i = 0; i < sim->node_count; i++) {
    cql__sim_node *node = sim->nodes[i];
    if (node == about) continue;
    if (sim->clock.now == 0) {
      see(node, about);
      see(about, node);
      continue;
    }
    if (*view_of(node, about->index) != truth(node, about))
      cql__sim_later(sim, cql__sim_draw(sim, spread), on_news, node->index, about->index, 0, 0);
    if (*view_of(about, node->index) != truth(about, node))
      cql__sim_later(sim, cql__sim_draw(sim, spread), on_news, about->index, node->index, 0, 0);
  }
}

/* ---- events ---- */

int cql__sim_node_tell(cql__sim_node *node, int registered, cql_slice_t body) {
  int told = 0;
  cql__list *next;
  for (cql__list *l = node->clients.next; l != &node->clients; l = next) {
    next = l->next;
    cql__sim_client *client = cql__container(l, cql__sim_client, link);
    if (!(client->registered & registered) || !cql__sim_node_reads(node)) continue;
    uint8_t header[CQL__HEADER_SIZE] = {(uint8_t)(0x80 | client->version), 0, 0xFF, 0xFF,
                                        CQL__EVENT};
    cql__sim_trace_message(node->sim, node->text, client->id, 1, header, body.data,
                           (size_t)body.length);
    cql__sim_client_envelope(client, client->version, 0, -1, CQL__EVENT, body);
    cql__sim_client_flush(client);
    node->counters.events++;
    told++;
  }
  return told;
}

int cql__sim_node_tell_of(cql__sim_node *node, const char *type, const char *change,
                          const cql__sim_node *about) {
  cql__sim_buffer body = {0};
  const cql__address *address = address_as_seen(node, about);
  cql__sim_put_string(&body, type);
  cql__sim_put_string(&body, change);
  cql__sim_put_u8(&body, address->length);
  cql__sim_put(&body, address->bytes, address->length);
  cql__sim_put_u32(&body, address->port);
  int told =
      cql__sim_node_tell(node, strcmp(type, "TOPOLOGY_CHANGE") == 0 ? 1 : 2, cql__sim_slice(&body));
  cql__sim_buffer_free(&body);
  return told;
}

/* ---- schema ---- */

/* Statements on what has changed are prepared no more. */
static void evict(cql__sim_node *node, const cql_schema_change_t *change) {
  cql__store *store = cql__sim_store(node->sim);
  int whole = !cql__slice_is(change->target, "TABLE");
  cql__list *next;
  for (cql__list *l = node->prepared.next; l != &node->prepared; l = next) {
    next = l->next;
    cql__sim_prepared *prepared = cql__container(l, cql__sim_prepared, link);
    const cql__statement_shape *shape = cql__statement_shape_of(store, prepared->statement);
    int same_keyspace = !shape || (shape->keyspace.length == change->keyspace.length &&
                                   !memcmp(shape->keyspace.data, change->keyspace.data,
                                           (size_t)change->keyspace.length));
    int same_table = !shape || whole ||
                     (shape->table.length == change->name.length &&
                      !memcmp(shape->table.data, change->name.data, (size_t)change->name.length));
    int created = cql__slice_is(change->change, "CREATED");
    int altered_keyspace =
        cql__slice_is(change->target, "KEYSPACE") && cql__slice_is(change->change, "UPDATED");
    if (!shape || (same_keyspace && same_table && !created && !altered_keyspace))
      cql__sim_prepared_drop(node, prepared);
  }
}

/* A change that is on its way to a node. */
typedef struct news {
  cql__list link; /* in sim->news */
  cql__sim_timer timer;
  cql__sim_node *node;
  uint8_t version[16];
  cql__sim_buffer body;
} news;

static void learn(cql__sim_node *node, const uint8_t *version, cql_slice_t body) {
  memcpy(node->schema_version, version, 16);
  if (runs(node)) cql__sim_node_tell(node, 4, body);
}

static void free_news(news *n) {
  cql__sim_timer_cancel(&n->node->sim->clock, &n->timer);
  cql__list_remove(&n->link);
  cql__sim_buffer_free(&n->body);
  cql__sim_release(n);
}

static void on_schema(cql__sim_timer *timer) {
  news *n = cql__container(timer, news, timer);
  learn(n->node, n->version, cql__sim_slice(&n->body));
  free_news(n);
}

void cql__sim_news_free(cql_sim_t *sim) {
  while (!cql__list_empty(&sim->news)) free_news(cql__container(sim->news.next, news, link));
}

/* Drops what depended on it, and gives the EVENT's body. */
static void apply(cql_sim_t *sim, const cql_schema_change_t *change, cql__sim_buffer *body) {
  if (cql__slice_is(change->change, "DROPPED") && !cql__slice_is(change->target, "TYPE"))
    cql__sim_tablets_drop(sim, change->keyspace, change->name);
  for (size_t i = 0; i < sim->node_count; i++) evict(sim->nodes[i], change);
  cql__sim_put_string(body, "SCHEMA_CHANGE");
  cql__sim_put_change(body, change, 4);
}

void cql__sim_schema_known(cql_sim_t *sim, const cql_schema_change_t *change) {
  uint8_t version[16];
  cql__sim_buffer body = {0};
  cql__store_version(cql__sim_store(sim), version);
  apply(sim, change, &body);
  for (size_t i = 0; i < sim->node_count; i++) learn(sim->nodes[i], version, cql__sim_slice(&body));
  cql__sim_buffer_free(&body);
}

void cql__sim_schema_changed(cql__sim_node *node, const cql_schema_change_t *change) {
  cql_sim_t *sim = node->sim;
  uint8_t version[16];
  cql__sim_buffer body = {0};
  cql__store_version(cql__sim_store(sim), version);
  apply(sim, change, &body);
  for (size_t i = 0; i < sim->node_count; i++) {
    cql__sim_node *other = sim->nodes[i];
    int64_t delay = other == node ? 0 : cql__sim_draw(sim, &sim->settings.agreement);
    if (delay == 0) {
      learn(other, version, cql__sim_slice(&body));
      continue;
    }
    news *n = cql__sim_alloc(sizeof *n);
    n->timer.fire = on_schema;
    cql__list_append(&sim->news, &n->link);
    n->node = other;
    memcpy(n->version, version, 16);
    cql__sim_put(&n->body, cql__sim_bytes(&body), cql__sim_size(&body));
    cql__sim_timer_set(&sim->clock, &n->timer, sim->clock.now + delay);
  }
  cql__sim_buffer_free(&body);
}

/* ---- system tables ---- */

static cql__system_node describe(const cql__sim_node *seer, const cql__sim_node *node) {
  const cql__address *at = address_as_seen(seer, node);
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
    if (sim->nodes[i] != node && *view_of(node, (int32_t)i) & CQL__SIM_KNOWN)
      sim->peers[count++] = describe(node, sim->nodes[i]);
  sim->system =
      (cql__system){.cluster_name = sim->settings.cluster_name,
                    .partitioner = sim->settings.partitioner,
                    .native_protocol_version = cql__sim_protocol_max(node) > 4 ? "5" : "4",
                    .local = describe(node, node),
                    .peer_count = count,
                    .peers = sim->peers};
  return &sim->system;
}

/* ---- life ---- */

static void on_booted(cql__sim_timer *timer) {
  cql__sim_node *node = cql__container(timer, cql__sim_node, booting);
  cql_sim_t *sim = node->sim;
  node->state = CQL_SIM_UP;
  cql__store_version(cql__sim_store(sim), node->schema_version);
  cql__sim_tablets_fit(sim, node);
  if (!node->member) {
    node->member = 1;
    make_tokens(node);
    cql__sim_ring_change(&sim->ring);
  }
  *view_of(node, node->index) = CQL__SIM_KNOWN | CQL__SIM_SEEN_UP;
  cql__sim_trace_line(sim, "%s is up", node->text);
  cql__sim_gossip(sim, node, 0);
  cql__sim_network_kick(sim);
}

static int refuse(cql_sim_t *sim, const cql__sim_node *node, const char *what) {
  static const char *const states[] = {"new", "booting", "up", "paused", "down", "gone"};
  return cql__sim_mistake(sim, CQL_EINVAL, "node %d is %s: it can't %s", node->index,
                          states[node->state], what);
}

/* The others go on looking for it where it was, until they hear of it. */
static void take_address(cql__sim_node *node) {
  const cql_sim_t *sim = node->sim;
  if (!node->next.length) return;
  node->before = node->address;
  node->address = node->next;
  node->next.length = 0;
  cql__address_to_text(&node->address, node->text);
  for (size_t i = 0; i < sim->node_count; i++) {
    uint8_t *view = view_of(sim->nodes[i], node->index);
    if (sim->nodes[i] != node && *view & CQL__SIM_KNOWN) *view |= CQL__SIM_SEEN_BEFORE;
  }
}

int cql_sim_node_start(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (node->state != CQL_SIM_NEW && node->state != CQL_SIM_DOWN) return refuse(sim, node, "start");
  node->state = CQL_SIM_BOOTING;
  node->vanished = 0;
  take_address(node);
  cql__sim_trace_line(sim, "%s starts", node->text);
  int64_t delay = cql__sim_draw(sim, &node->settings.boot);
  if (delay == 0)
    on_booted(&node->booting);
  else
    cql__sim_timer_set(&sim->clock, &node->booting, sim->clock.now + delay);
  return 0;
}

/* Down, whatever it was; what it kept in memory is gone. */
static void go_down(cql__sim_node *node, int how, int failed) {
  cql_sim_t *sim = node->sim;
  cql__sim_timer_cancel(&sim->clock, &node->booting);
  node->state = node->member ? CQL_SIM_DOWN : CQL_SIM_NEW;
  cql__sim_wires_end(node, how);
  cql__sim_prepared_forget(node, NULL);
  cql__sim_gossip(sim, node, failed);
}

static int is_running(const cql__sim_node *node) {
  return node->state == CQL_SIM_BOOTING || node->state == CQL_SIM_UP ||
         node->state == CQL_SIM_PAUSED;
}

int cql_sim_node_kill(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (!is_running(node)) return refuse(sim, node, "be killed");
  cql__sim_trace_line(sim, "%s is killed", node->text);
  go_down(node, CQL_SIM_RESET, 1);
  return 0;
}

int cql_sim_node_stop(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (!is_running(node)) return refuse(sim, node, "stop");
  cql__sim_trace_line(sim, "%s stops", node->text);
  go_down(node, CQL_SIM_CLOSE, 0);
  return 0;
}

int cql_sim_node_vanish(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (!is_running(node)) return refuse(sim, node, "vanish");
  cql__sim_trace_line(sim, "%s vanishes", node->text);
  node->vanished = 1;
  go_down(node, CQL__SIM_LOST, 1);
  return 0;
}

int cql_sim_node_pause(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (node->state != CQL_SIM_UP) return refuse(sim, node, "be paused");
  cql__sim_trace_line(sim, "%s is paused", node->text);
  node->state = CQL_SIM_PAUSED;
  cql__sim_gossip(sim, node, 1);
  return 0;
}

int cql_sim_node_resume(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (node->state != CQL_SIM_PAUSED) return refuse(sim, node, "be resumed");
  cql__sim_trace_line(sim, "%s is resumed", node->text);
  node->state = CQL_SIM_UP;
  cql__list *next;
  for (cql__list *l = node->clients.next; l != &node->clients; l = next) {
    next = l->next;
    cql__sim_client_resume(cql__container(l, cql__sim_client, link));
  }
  cql__sim_gossip(sim, node, 0);
  cql__sim_network_kick(sim);
  return 0;
}

int cql_sim_node_decommission(cql_sim_t *sim, int index) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  if (node->state != CQL_SIM_UP) return refuse(sim, node, "be decommissioned");
  cql__sim_trace_line(sim, "%s leaves", node->text);
  node->member = 0;
  cql__sim_ring_change(&sim->ring);
  cql__sim_tablets_leave(sim, node->index);
  go_down(node, CQL_SIM_CLOSE, 0);
  node->state = CQL_SIM_GONE;
  return 0;
}

int cql_sim_node_forget(cql_sim_t *sim, int index, const char *text) {
  cql__sim_node *node = cql__sim_node_at(sim, index);
  if (!node) return CQL_EINVAL;
  cql__sim_prepared_forget(node, text);
  return 0;
}
