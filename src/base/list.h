/* List: intrusive, circular, doubly linked. A node that is in no list points to itself. */
#ifndef CQL_BASE_LIST_H
#define CQL_BASE_LIST_H

#include <stddef.h>

typedef struct cql__list {
  struct cql__list *next, *previous;
} cql__list;

/* The struct that holds this node. */
#define cql__container(pointer, type, member)                                                      \
  ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void cql__list_init(cql__list *list) { list->next = list->previous = list; }
static inline int cql__list_empty(const cql__list *list) { return list->next == list; }
static inline void cql__list_append(cql__list *list, cql__list *node) {
  node->next = list;
  node->previous = list->previous;
  list->previous->next = node;
  list->previous = node;
}
static inline void cql__list_remove(cql__list *node) {
  node->previous->next = node->next;
  node->next->previous = node->previous;
  cql__list_init(node);
}
/* Those of `from` before `stop` (a node of it, or `from`: all of them) to the end of `list`. */
static inline void cql__list_move_until(cql__list *list, cql__list *from, cql__list *stop) {
  cql__list *first = from->next, *last = stop->previous;
  if (first == stop) return;
  from->next = stop;
  stop->previous = from;
  first->previous = list->previous;
  list->previous->next = first;
  last->next = list;
  list->previous = last;
}
/* All of them. */
static inline void cql__list_move_all(cql__list *list, cql__list *from) {
  cql__list_move_until(list, from, from);
}

#endif
