#include "execute/engine.h"

#include "execute/attempt.h"

/* One is sorted in, those after it with the same timeout stand beside it. */
static void stamp_deadlines(cql__engine *engine) {
  cql__list *fresh = &engine->fresh, *node = fresh->next;
  uint64_t now = cql__link_now(engine->link);
  while (node != fresh) {
    cql_request_t *first = cql__container(node, cql_request_t, timer.link);
    node = node->next;
    cql__timer_set(&engine->wheel, &first->timer, now + first->timeout_ms);
    for (; node != fresh; node = node->next) {
      cql_request_t *request = cql__container(node, cql_request_t, timer.link);
      if (request->timeout_ms != first->timeout_ms) break;
      request->timer.due = first->timer.due;
    }
    cql__timer_join(&first->timer, fresh, node);
  }
}

void cql__engine_flush(cql__engine *engine) {
  engine->clock_read = 0;
  if (!cql__list_empty(&engine->fresh)) stamp_deadlines(engine);
  while (!cql__list_empty(&engine->dirty))
    cql__connection_flush(cql__container(engine->dirty.next, cql__connection, dirty));
  cql__cluster_turn(&engine->cluster);
}

int cql__engine_is_eager(const cql__engine *engine) {
  return !cql__list_empty(&engine->done) || !cql__list_empty(&engine->fresh) ||
         !cql__list_empty(&engine->dirty) || cql__attempt_may_go(engine);
}

static void abandon(cql_request_t *request, void *user) {
  if (request->state != CQL__REQUEST_TAKEN) cql__attempt_abandon(request, *(int *)user);
}

void cql__engine_abandon_all(cql__engine *engine, int error) {
  cql__engine_each(engine, abandon, &error);
}

typedef struct cancel_tag {
  uint32_t tag;
  int count;
} cancel_tag;

static void cancel(cql_request_t *request, void *user) {
  cancel_tag *wanted = user;
  if (request->tag != wanted->tag || request->errand || request->state == CQL__REQUEST_TAKEN ||
      request->state == CQL__REQUEST_DONE)
    return;
  wanted->count++;
  cql__attempt_abandon(request, CQL_ECANCELLED);
}

int cql__engine_cancel(cql__engine *engine, uint32_t tag) {
  cancel_tag wanted = {tag, 0};
  cql__engine_each(engine, cancel, &wanted);
  return wanted.count;
}
