/* Clock: virtual time in microseconds, and what is to happen in it, in order of time and, at one
 * time, in the order in which it was set. */
#ifndef CQL_SIM_CLOCK_H
#define CQL_SIM_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CQL__SIM_NEVER INT64_MAX

typedef struct cql__sim_timer {
  int64_t at;
  uint64_t order;
  size_t place; /* in the heap, counted from 1; 0: not set */
  void (*fire)(struct cql__sim_timer *timer);
} cql__sim_timer;

typedef struct cql__sim_clock {
  int64_t now;
  uint64_t order;
  cql__sim_timer **heap;
  size_t count, capacity;
} cql__sim_clock;

static inline int cql__sim_timer_is_set(const cql__sim_timer *timer) { return timer->place != 0; }
/* Sets it, or sets it anew. What has passed comes at once, without time going back. */
void cql__sim_timer_set(cql__sim_clock *clock, cql__sim_timer *timer, int64_t at);
void cql__sim_timer_cancel(cql__sim_clock *clock, cql__sim_timer *timer);
/* When the next one is due; CQL__SIM_NEVER: none is set. */
int64_t cql__sim_clock_next(const cql__sim_clock *clock);
/* Moves the clock to the next timer and fires it; there must be one. */
void cql__sim_clock_fire(cql__sim_clock *clock);
/* Forgets all timers. */
void cql__sim_clock_free(cql__sim_clock *clock);

#endif
