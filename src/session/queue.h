/* Queue: events and questions on their way to the host. Completions stand in engine->done. */
#ifndef CQL_SESSION_QUEUE_H
#define CQL_SESSION_QUEUE_H

#include "base/wheel.h"
#include "cql.h"

typedef struct cql__notice {
  cql__list link;
  cql_event_t event; /* its texts lie behind this struct */
  int32_t kind;      /* CQL_EVENT or CQL_QUESTION */
  uint32_t tag;      /* of a question */
  uint8_t owned;     /* by somebody else: neither freed nor dropped, its texts live elsewhere */
} cql__notice;

typedef struct cql__queue {
  cql__list waiting;
  cql__list handed; /* polled: until the next poll */
  uint32_t count;   /* waiting */
  uint64_t dropped;
} cql__queue;

void cql__queue_init(cql__queue *queue);
void cql__queue_deinit(cql__queue *queue);
/* An event of which nothing is said yet. */
extern const cql_event_t cql__event_none;
/* Texts may be NULL; copied, the node referenced. The oldest event goes where too many wait; a
 * notice for which there is no memory is counted as dropped. 0, CQL_ENOMEM. */
int cql__queue_put(cql__queue *queue, int kind, uint32_t tag, const cql_event_t *event);
/* Puts an event that its caller owns, until it has been handed out and forgotten. */
void cql__queue_put_owned(cql__queue *queue, cql__notice *notice, const cql_event_t *event);
/* The next one, or NULL. Valid until cql__queue_forget(). */
const cql__notice *cql__queue_next(cql__queue *queue);
/* Frees what was handed out. */
void cql__queue_forget(cql__queue *queue);

#endif
