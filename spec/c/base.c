/* base/list.h and base/rand.h, which are all inline. Ends with 0, or says what isn't so. */
#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "base/rand.h"

static int failures;

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                               \
      failures++;                                                                                  \
    }                                                                                              \
  } while (0)

/* ---- list ---- */

typedef struct item {
  int number;
  cql__list link;
} item;

/* The numbers in order, read forwards; and backwards they must be the same. */
static int reads(const cql__list *list, const char *expected) {
  char forwards[64] = "", backwards[64] = "";
  size_t size = 0;
  for (const cql__list *at = list->next; at != list; at = at->next) {
    forwards[size++] = (char)('0' + cql__container(at, item, link)->number);
    if (at->next->previous != at || size == sizeof forwards - 1) return 0;
  }
  size_t left = size;
  for (const cql__list *at = list->previous; at != list; at = at->previous)
    backwards[--left] = (char)('0' + cql__container(at, item, link)->number);
  return left == 0 && strcmp(forwards, expected) == 0 && memcmp(forwards, backwards, size) == 0;
}

static void check_list(void) {
  cql__list list, other;
  item items[6];
  cql__list_init(&list);
  cql__list_init(&other);
  CHECK(cql__list_empty(&list));
  for (int i = 0; i < 6; i++) {
    items[i].number = i;
    cql__list_init(&items[i].link);
  }
  for (int i = 0; i < 4; i++) cql__list_append(&list, &items[i].link);
  CHECK(reads(&list, "0123"));
  cql__list_remove(&items[1].link);
  CHECK(reads(&list, "023") && cql__list_empty(&items[1].link));
  cql__list_remove(&items[1].link); /* in no list: nothing */
  cql__list_remove(&items[0].link);
  cql__list_remove(&items[3].link);
  CHECK(reads(&list, "2"));
  cql__list_append(&other, &items[4].link);
  cql__list_append(&other, &items[5].link);
  cql__list_move_all(&list, &other);
  CHECK(reads(&list, "245") && cql__list_empty(&other));
  cql__list_move_all(&list, &other); /* nothing to move */
  CHECK(reads(&list, "245"));
  cql__list_move_all(&other, &list); /* into an empty one */
  CHECK(reads(&other, "245") && cql__list_empty(&list));
}

/* ---- rand ---- */

static void check_rand(void) {
  cql__rand a, b, zero;
  cql__rand_seed(&a, 42);
  cql__rand_seed(&b, 42);
  cql__rand_seed(&zero, 0);
  int same = 1, zeros = 0;
  for (int i = 0; i < 1000; i++) {
    same &= cql__rand_next(&a) == cql__rand_next(&b);
    zeros += cql__rand_next(&zero) == 0;
  }
  CHECK(same);       /* a seed replays */
  CHECK(zeros == 0); /* 0 would be a state that never leaves itself */
  cql__rand_seed(&b, 43);
  CHECK(cql__rand_next(&a) != cql__rand_next(&b));
  CHECK(cql__rand_below(&a, 0) == 0 && cql__rand_below(&a, 1) == 0);
  static const uint32_t limits[] = {2, 3, 7, 64, 301};
  for (unsigned k = 0; k < sizeof limits / sizeof *limits; k++) {
    uint32_t seen[301] = {0}, outside = 0, missing = 0;
    for (int i = 0; i < 100000; i++) {
      uint32_t value = cql__rand_below(&a, limits[k]);
      if (value < limits[k])
        seen[value]++;
      else
        outside++;
    }
    /* Each is drawn at least half as often as chance has it; the seed is fixed. */
    for (uint32_t i = 0; i < limits[k]; i++) missing += seen[i] < 50000 / limits[k];
    CHECK(outside == 0 && missing == 0);
  }
  uint32_t high = 0;
  for (int i = 0; i < 100; i++) high |= cql__rand_below(&a, UINT32_MAX);
  CHECK(high > UINT32_MAX / 2);
}

int main(void) {
  check_list();
  check_rand();
  return failures > 0;
}
