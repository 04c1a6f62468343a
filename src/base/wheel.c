#include "base/wheel.h"

#include <string.h>

/* Level L has 64 slots of 64^L ms. A timer goes to the lowest level that reaches its time; when
 * the clock enters a slot of a level above 0, that slot's timers are sorted in again, lower. */

void cql__wheel_init(cql__wheel *wheel, uint64_t now) {
  wheel->now = now;
  memset(wheel->maybe, 0, sizeof wheel->maybe);
  for (int level = 0; level < CQL__WHEEL_LEVELS; level++)
    for (int i = 0; i < 64; i++) cql__list_init(&wheel->slot[level][i]);
}

void cql__timer_init(cql__timer *timer, void (*fire)(cql__timer *timer)) {
  cql__list_init(&timer->link);
  timer->due = 0;
  timer->fire = fire;
}

static void insert(cql__wheel *wheel, cql__timer *timer) {
  uint64_t due = timer->due > wheel->now ? timer->due : wheel->now + 1;
  uint64_t delta = due - wheel->now;
  int level = (63 - __builtin_clzll(delta)) / 6;
  if (level >= CQL__WHEEL_LEVELS) { /* beyond reach: as far as it goes, sorted in again there */
    level = CQL__WHEEL_LEVELS - 1;
    due = wheel->now + ((uint64_t)63 << (6 * level));
  }
  unsigned slot = (unsigned)(due >> (6 * level)) & 63;
  cql__list_append(&wheel->slot[level][slot], &timer->link);
  wheel->maybe[level] |= (uint64_t)1 << slot;
}

void cql__timer_set(cql__wheel *wheel, cql__timer *timer, uint64_t due) {
  cql__list_remove(&timer->link);
  timer->due = due;
  insert(wheel, timer);
}

static void cascade(cql__wheel *wheel, int level) {
  unsigned slot = (unsigned)(wheel->now >> (6 * level)) & 63;
  if (slot == 0 && level + 1 < CQL__WHEEL_LEVELS) cascade(wheel, level + 1);
  cql__list moved;
  cql__list_init(&moved);
  cql__list_move_all(&moved, &wheel->slot[level][slot]);
  wheel->maybe[level] &= ~((uint64_t)1 << slot);
  while (!cql__list_empty(&moved)) {
    cql__timer *timer = cql__container(moved.next, cql__timer, link);
    cql__list_remove(&timer->link);
    if (timer->due <= wheel->now) { /* this very tick: level 0's slot fires after the cascade */
      unsigned now_slot = (unsigned)wheel->now & 63;
      cql__list_append(&wheel->slot[0][now_slot], &timer->link);
      wheel->maybe[0] |= (uint64_t)1 << now_slot;
    } else {
      insert(wheel, timer);
    }
  }
}

/* As far as the clock may jump without passing a timer or a slot that must be sorted in. */
static uint64_t skip(const cql__wheel *wheel, uint64_t now) {
  uint64_t to = wheel->now;
  for (int level = 0; level < CQL__WHEEL_LEVELS && !wheel->maybe[level]; level++)
    to |= ((uint64_t)1 << (6 * (level + 1))) - 1;
  return to < now ? to : now;
}

void cql__wheel_turn(cql__wheel *wheel, uint64_t now) {
  while (wheel->now < now) {
    wheel->now = skip(wheel, now);
    if (wheel->now == now) break;
    wheel->now++;
    unsigned slot = (unsigned)wheel->now & 63;
    if (slot == 0) cascade(wheel, 1);
    cql__list due;
    cql__list_init(&due);
    cql__list_move_all(&due, &wheel->slot[0][slot]);
    wheel->maybe[0] &= ~((uint64_t)1 << slot);
    while (!cql__list_empty(&due)) {
      cql__timer *timer = cql__container(due.next, cql__timer, link);
      cql__list_remove(&timer->link);
      timer->fire(timer);
    }
  }
}

uint64_t cql__wheel_next(cql__wheel *wheel) {
  uint64_t next = UINT64_MAX;
  for (int level = 0; level < CQL__WHEEL_LEVELS; level++) {
    uint64_t base = wheel->now >> (6 * level);
    while (wheel->maybe[level]) {
      unsigned turn = (unsigned)(base + 1) & 63;
      uint64_t rotated = wheel->maybe[level] >> turn;
      if (turn) rotated |= wheel->maybe[level] << (64 - turn);
      unsigned ahead = (unsigned)__builtin_ctzll(rotated);
      unsigned slot = (turn + ahead) & 63;
      if (cql__list_empty(&wheel->slot[level][slot])) {
        wheel->maybe[level] &= ~((uint64_t)1 << slot);
        continue;
      }
      uint64_t due = (base + 1 + ahead) << (6 * level);
      if (due < next) next = due;
      break;
    }
  }
  return next;
}
