#include "sim/clock.h"

#include "sim/memory.h"

static int is_before(const cql__sim_timer *a, const cql__sim_timer *b) {
  return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(cql__sim_clock *clock, size_t place, cql__sim_timer *timer) {
  clock->heap[place - 1] = timer;
  timer->place = place;
}

static void sift_up(cql__sim_clock *clock, cql__sim_timer *timer) {
  size_t place = timer->place;
  while (place > 1 && is_before(timer, clock->heap[place / 2 - 1])) {
    put(clock, place, clock->heap[place / 2 - 1]);
    place /= 2;
  }
  put(clock, place, timer);
}

static void sift_down(cql__sim_clock *clock, cql__sim_timer *timer) {
  size_t place = timer->place;
  for (;;) {
    size_t child = place * 2;
    if (child > clock->count) break;
    if (child < clock->count && is_before(clock->heap[child], clock->heap[child - 1])) child++;
    if (is_before(timer, clock->heap[child - 1])) break;
    put(clock, place, clock->heap[child - 1]);
    place = child;
  }
  put(clock, place, timer);
}

void cql__sim_timer_cancel(cql__sim_clock *clock, cql__sim_timer *timer) {
  size_t place = timer->place;
  if (!place) return;
  timer->place = 0;
  cql__sim_timer *last = clock->heap[--clock->count];
  if (last == timer) return;
  put(clock, place, last);
  sift_up(clock, last);
  sift_down(clock, last);
}

void cql__sim_timer_set(cql__sim_clock *clock, cql__sim_timer *timer, int64_t at) {
  cql__sim_timer_cancel(clock, timer);
  timer->at = at < clock->now ? clock->now : at;
  timer->order = clock->order++;
  clock->heap = cql__sim_grow(clock->heap, clock->count, &clock->capacity, sizeof *clock->heap);
  put(clock, ++clock->count, timer);
  sift_up(clock, timer);
}

int64_t cql__sim_clock_next(const cql__sim_clock *clock) {
  return clock->count ? clock->heap[0]->at : CQL__SIM_NEVER;
}

void cql__sim_clock_fire(cql__sim_clock *clock) {
  cql__sim_timer *timer = clock->heap[0];
  clock->now = timer->at;
  cql__sim_timer_cancel(clock, timer);
  timer->fire(timer);
}

void cql__sim_clock_free(cql__sim_clock *clock) {
  for (size_t i = 0; i < clock->count; i++) clock->heap[i]->place = 0;
  cql__sim_release(clock->heap);
  clock->heap = NULL;
  clock->count = clock->capacity = 0;
}
