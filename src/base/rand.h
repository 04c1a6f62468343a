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

#endif
