/* Agreement: a change of the schema reaches one node after the other. */
#include "sim/dispatch.h"
#include "sim/world.h"

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
  uint64_t number;
  uint8_t version[16];
  cql__sim_buffer body;
  uint8_t is_there; /* but the node stands still, and will hear of it when it goes on */
} news;

/* One change may overtake another: a node doesn't go back to the older one. */
static void learn(cql__sim_node *node, uint64_t number, const uint8_t *version, cql_slice_t body) {
  if (number > node->schema_number) {
    node->schema_number = number;
    memcpy(node->schema_version, version, 16);
  }
  if (cql__sim_node_runs(node)) cql__sim_node_tell(node, 4, body);
}

static void free_news(news *n) {
  cql__sim_timer_cancel(&n->node->sim->clock, &n->timer);
  cql__list_remove(&n->link);
  cql__sim_buffer_free(&n->body);
  cql__sim_release(n);
}

static void on_schema(cql__sim_timer *timer) {
  news *n = cql__container(timer, news, timer);
  if (n->node->state == CQL_SIM_PAUSED) {
    n->is_there = 1;
    return;
  }
  learn(n->node, n->number, n->version, cql__sim_slice(&n->body));
  free_news(n);
}

/* At once, or when it has come so far and the node goes. */
static void send_news(cql__sim_node *node, const uint8_t *version, cql_slice_t body,
                      int64_t delay) {
  cql_sim_t *sim = node->sim;
  int is_there = delay == 0;
  if (is_there && node->state != CQL_SIM_PAUSED) {
    learn(node, sim->schema_changes, version, body);
    return;
  }
  news *n = cql__sim_alloc(sizeof *n);
  n->timer.fire = on_schema;
  cql__list_append(&sim->news, &n->link);
  n->node = node;
  n->is_there = (uint8_t)is_there;
  n->number = sim->schema_changes;
  memcpy(n->version, version, 16);
  cql__sim_put(&n->body, body.data, (size_t)body.length);
  if (!is_there) cql__sim_timer_set(&sim->clock, &n->timer, sim->clock.now + delay);
}

void cql__sim_news_hear(cql__sim_node *node) {
  cql__list *list = &node->sim->news;
  for (cql__list *at = list->next; at != list;) {
    news *n = cql__container(at, news, link);
    at = at->next;
    if (n->node != node || !n->is_there) continue;
    learn(node, n->number, n->version, cql__sim_slice(&n->body));
    free_news(n);
  }
}

void cql__sim_news_forget(const cql__sim_node *node) {
  cql__list *list = &node->sim->news;
  for (cql__list *at = list->next; at != list;) {
    news *n = cql__container(at, news, link);
    at = at->next;
    if (n->node == node && n->is_there) free_news(n);
  }
}

void cql__sim_news_free(cql_sim_t *sim) {
  while (!cql__list_empty(&sim->news)) free_news(cql__container(sim->news.next, news, link));
}

/* Drops what depended on it, and gives the EVENT's body. */
static void apply(cql_sim_t *sim, const cql_schema_change_t *change, cql__sim_buffer *body) {
  sim->schema_changes++;
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
  for (size_t i = 0; i < sim->node_count; i++)
    send_news(sim->nodes[i], version, cql__sim_slice(&body), 0);
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
    send_news(other, version, cql__sim_slice(&body), delay);
  }
  cql__sim_buffer_free(&body);
}
