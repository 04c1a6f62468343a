#include "session/queue.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

void cql__queue_init(cql__queue *queue) {
  memset(queue, 0, sizeof *queue);
  cql__list_init(&queue->waiting);
  cql__list_init(&queue->handed);
}

static void drop_first(cql__list *list) {
  cql__notice *notice = cql__container(list->next, cql__notice, link);
  cql__list_remove(&notice->link);
  if (notice->owned) return;
  cql_node_unref(notice->event.node);
  cql__free(notice);
}

void cql__queue_forget(cql__queue *queue) {
  while (!cql__list_empty(&queue->handed)) drop_first(&queue->handed);
}

void cql__queue_deinit(cql__queue *queue) {
  cql__queue_forget(queue);
  while (!cql__list_empty(&queue->waiting)) drop_first(&queue->waiting);
  queue->count = 0;
}

/* Questions stay: each is owed an answer. */
static void drop_oldest_event(cql__queue *queue) {
  for (cql__list *at = queue->waiting.next; at != &queue->waiting; at = at->next) {
    cql__notice *notice = cql__container(at, cql__notice, link);
    if (notice->kind != CQL_EVENT || notice->owned) continue;
    cql__list_remove(at);
    cql_node_unref(notice->event.node);
    cql__free(notice);
    queue->count--;
    queue->dropped++;
    return;
  }
}

static char *put_text(char *at, const char *text) {
  size_t size = strlen(text) + 1;
  memcpy(at, text, size);
  return at + size;
}

enum { SLICES = 6 };

/* Those of an event: what they point to is copied. */
static void list_slices(cql_event_t *event, cql_slice_t *out[SLICES]) {
  out[0] = &event->data;
  out[1] = &event->schema.change;
  out[2] = &event->schema.target;
  out[3] = &event->schema.keyspace;
  out[4] = &event->schema.name;
  out[5] = &event->schema.arguments;
}

static size_t size_of(const cql_slice_t *slice) {
  return slice->length > 0 ? (size_t)slice->length : 0;
}

static void move_slice(cql_slice_t *slice, char **at) {
  size_t size = size_of(slice);
  if (size) memcpy(*at, slice->data, size);
  slice->data = size ? (const uint8_t *)*at : NULL;
  *at += size;
}

const cql_event_t cql__event_none = {
    .address = "",
    .message = "",
    .data = {NULL, CQL_NULL},
    .shard = -1,
    .schema = {
        {NULL, CQL_NULL}, {NULL, CQL_NULL}, {NULL, CQL_NULL}, {NULL, CQL_NULL}, {NULL, CQL_NULL}}};

int cql__queue_put(cql__queue *queue, int kind, uint32_t tag, const cql_event_t *event) {
  const char *address = event->address ? event->address : "";
  const char *message = event->message ? event->message : "";
  cql_event_t copy = *event;
  cql_slice_t *slices[SLICES];
  size_t size = sizeof(cql__notice) + strlen(address) + strlen(message) + 2;
  list_slices(&copy, slices);
  for (int i = 0; i < SLICES; i++) size += size_of(slices[i]);
  cql__notice *notice = cql__malloc(size);
  if (!notice) {
    queue->dropped++;
    return CQL_ENOMEM;
  }
  char *text = (char *)(notice + 1);
  notice->kind = kind;
  notice->tag = tag;
  notice->owned = 0;
  copy.address = text;
  text = put_text(text, address);
  copy.message = text;
  text = put_text(text, message);
  for (int i = 0; i < SLICES; i++) move_slice(slices[i], &text);
  if (copy.node) cql_node_ref(copy.node);
  notice->event = copy;
  if (queue->count >= CQL__EVENTS_MAX) drop_oldest_event(queue);
  cql__list_append(&queue->waiting, &notice->link);
  queue->count++;
  return 0;
}

void cql__queue_put_owned(cql__queue *queue, cql__notice *notice, const cql_event_t *event) {
  *notice = (cql__notice){.event = *event, .kind = CQL_EVENT, .owned = 1};
  cql__list_append(&queue->waiting, &notice->link);
  queue->count++;
}

const cql__notice *cql__queue_next(cql__queue *queue) {
  if (cql__list_empty(&queue->waiting)) return NULL;
  cql__notice *notice = cql__container(queue->waiting.next, cql__notice, link);
  cql__list_remove(&notice->link);
  cql__list_append(&queue->handed, &notice->link);
  queue->count--;
  return notice;
}
