/* Wheel: timers of one thread, in milliseconds, hierarchical; set and cancel cost a few
 * instructions and no memory. One per session, turned by its step. */
#ifndef CQL_BASE_WHEEL_H
#define CQL_BASE_WHEEL_H

#include <stdint.h>

#include "base/list.h"

enum { CQL__WHEEL_LEVELS = 6 }; /* 64^6 ms: two years */

typedef struct cql__timer {
  cql__list link; /* in a slot, or in itself while it is not set */
  uint64_t due;
  void (*fire)(struct cql__timer *timer);
} cql__timer;

typedef struct cql__wheel {
  uint64_t now;
  uint64_t maybe[CQL__WHEEL_LEVELS]; /* a bit per slot that may hold timers */
  cql__list slot[CQL__WHEEL_LEVELS][64];
} cql__wheel;

void cql__wheel_init(cql__wheel *wheel, uint64_t now);
void cql__timer_init(cql__timer *timer, void (*fire)(cql__timer *timer));
static inline int cql__timer_is_set(const cql__timer *timer) {
  return !cql__list_empty(&timer->link);
}
/* Sets it, or sets it anew. A time that has passed fires at the next turn. */
void cql__timer_set(cql__wheel *wheel, cql__timer *timer, uint64_t due);
/* Those of `list` before `stop`, none of which is set, are set with one that is: their `due` has
 * been made the same by the caller. */
static inline void cql__timer_join(cql__timer *timer, cql__list *list, cql__list *stop) {
  cql__list_move_until(&timer->link, list, stop);
}
static inline void cql__timer_cancel(cql__timer *timer) { cql__list_remove(&timer->link); }
/* Fires what is due at `now`, in order of time but for ties. A timer may set or cancel others. */
void cql__wheel_turn(cql__wheel *wheel, uint64_t now);
/* No timer is due before this; UINT64_MAX: none is set. May be early by the coarseness of a level.
 */
uint64_t cql__wheel_next(cql__wheel *wheel);

#endif
