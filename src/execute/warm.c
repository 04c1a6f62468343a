#include "execute/warm.h"

#include <string.h>

#include "base/mem.h"
#include "execute/errand.h"
#include "wire/proto.h"

enum { UNDER_WAY_MAX = 100, WARM_MS = 2000 };

/* A statement that a node is to have; both referenced. */
typedef struct item {
  cql_node_t *node;
  cql_prepared_t *prepared;
} item;

typedef struct warming {
  cql__list link; /* engine->warmings */
  cql__timer timer;
  cql__engine *engine;
  cql_node_t *held; /* gets no requests until this is done, one of the items'; NULL: none */
  uint32_t count, next, under_way;
  item items[];
} warming;

static warming *new_warming(cql__engine *engine, size_t max) {
  warming *w = cql__malloc(sizeof *w + max * sizeof(item));
  if (!w) return NULL;
  memset(w, 0, sizeof *w);
  w->engine = engine;
  return w;
}

static void add(warming *w, cql_node_t *node, cql_prepared_t *prepared) {
  w->items[w->count++] = (item){cql_node_ref(node), cql_prepared_ref(prepared)};
}

static void free_warming(warming *w) {
  cql__timer_cancel(&w->timer);
  cql__list_remove(&w->link);
  for (uint32_t i = 0; i < w->count; i++) {
    cql_node_unref(w->items[i].node);
    cql_prepared_unref(w->items[i].prepared);
  }
  cql__free(w);
}

static void let_go(warming *w) {
  if (w->held) cql__node_hold(w->held, 0);
  w->held = NULL;
}

static void on_prepared(void *owner, const cql_request_t *errand);

static cql__channel *channel_of(const cql_node_t *node) {
  for (uint32_t i = 0; i < node->channel_count; i++)
    if (cql__connection_accepts(&node->channels[i]->connection)) return node->channels[i];
  return NULL;
}

/* What can't be sent is prepared when it is needed. */
static void send(warming *w, const item *wanted) {
  const cql_prepared_t *prepared = wanted->prepared;
  cql__channel *channel = channel_of(wanted->node);
  if (!channel) return;
  cql_request_t *errand = cql__errand_take(w->engine, CQL__PREPARE, prepared->text,
                                           prepared->text_length, on_prepared, w);
  if (!errand) return;
  w->under_way++;
  if (prepared->keyspace && cql__errand_keyspace(errand, prepared->keyspace))
    cql__request_finish(errand, CQL_ENOMEM, 0, NULL);
  else
    cql__errand_send(errand, channel, WARM_MS);
}

static void go_on(warming *w) {
  while (w->next < w->count && w->under_way < UNDER_WAY_MAX) send(w, &w->items[w->next++]);
  if (w->under_way > 0) return;
  let_go(w);
  free_warming(w);
}

static void on_prepared(void *owner, const cql_request_t *errand) {
  warming *w = owner;
  w->under_way--;
  const cql_result_t *result = errand->result;
  if (errand->status == 0 && result && result->kind == CQL_RESULT_PREPARED)
    w->engine->metrics.statements_warmed++;
  if (w->engine->closing) w->next = w->count;
  go_on(w);
}

/* No more of it: those under way are awaited for the sake of their slots alone. */
static void give_up(warming *w) {
  let_go(w);
  w->next = w->count;
}

static void on_timer(cql__timer *timer) {
  warming *w = cql__container(timer, warming, timer);
  give_up(w);
  go_on(w);
}

static void start(warming *w) {
  cql__engine *engine = w->engine;
  cql__timer_init(&w->timer, on_timer);
  cql__timer_set(&engine->wheel, &w->timer, cql__link_now(engine->link) + WARM_MS);
  cql__list_append(&engine->warmings, &w->link);
  go_on(w);
}

void cql__warm_node(cql__engine *engine, cql_node_t *node) {
  for (cql__list *at = engine->warmings.next; at != &engine->warmings; at = at->next) {
    warming *earlier = cql__container(at, warming, link);
    if (earlier->held == node) give_up(earlier); /* it was down since */
  }
  /* Where nothing else serves, requests wait for this node: it takes them at once. */
  if (!engine->prepare_on_all || engine->closing ||
      engine->cluster.serving_count == node->serving_count)
    return;
  size_t count = 0;
  const cql__list *all = &engine->statements;
  for (const cql__list *at = all->next; at != all; at = at->next) count++;
  warming *w = count ? new_warming(engine, count) : NULL;
  if (!w) return;
  for (cql__list *at = all->next; at != all; at = at->next)
    add(w, node, cql__container(at, cql_prepared_t, link));
  w->held = node;
  cql__node_hold(node, 1);
  start(w);
}

void cql__warm_statement(cql__engine *engine, cql_prepared_t *prepared, const cql_node_t *except) {
  const cql__cluster *cluster = &engine->cluster;
  if (!engine->prepare_on_all || engine->closing || cluster->node_count < 2) return;
  warming *w = new_warming(engine, cluster->node_count);
  if (!w) return;
  for (uint32_t i = 0; i < cluster->node_count; i++)
    if (cluster->nodes[i] != except && cluster->nodes[i]->serving_count)
      add(w, cluster->nodes[i], prepared);
  start(w);
}

void cql__warm_deinit(cql__engine *engine) {
  while (!cql__list_empty(&engine->warmings))
    free_warming(cql__container(engine->warmings.next, warming, link));
  while (!cql__list_empty(&engine->statements)) cql__list_remove(engine->statements.next);
}
