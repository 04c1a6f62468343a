/* Rand: a small generator for jitter and choices; seeded by the link, so that the simulator can
 * replay it. Not for secrets. */
#ifndef CQL_BASE_RAND_H
#define CQL_BASE_RAND_H

#include <stdint.h>

typedef struct cql__rand {
  uint64_t state;
} cql__rand;

static inline void cql__rand_seed(cql__rand *rand, uint64_t seed) {
  rand->state = seed ? seed : 0x9E3779B97F4A7C15u;
}
/* xorshift64* */
static inline uint64_t cql__rand_next(cql__rand *rand) {
  uint64_t x = rand->state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  rand->state = x;
  return x * 0x2545F4914F6CDD1Du;
}
/* 0 .. below - 1; 0 if `below` is 0. */
static inline uint32_t cql__rand_below(cql__rand *rand, uint32_t below) {
  return (uint32_t)(((cql__rand_next(rand) >> 32) * below) >> 32);
}

typedef struct cql__two {
  uint32_t first, second;
} cql__two;

/* Two different numbers, both 0 .. below - 1; `below`: 2 at least. */
static inline cql__two cql__rand_two(cql__rand *rand, uint32_t below) {
  uint64_t chance = cql__rand_next(rand);
  uint32_t first = (uint32_t)(((chance >> 32) * below) >> 32);
  uint32_t second = (uint32_t)(((chance & UINT32_MAX) * (below - 1)) >> 32);
  return (cql__two){first, second < first ? second : second + 1};
}

#endif
