/* Chance: numbers of a seed [splitmix64]. */
#ifndef HUNT_CHANCE_H
#define HUNT_CHANCE_H

#include <stdint.h>

static inline uint64_t chance_mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static inline uint64_t chance_next(uint64_t *state) {
  return chance_mix(*state += 0x9e3779b97f4a7c15u);
}

static inline int64_t chance_below(uint64_t *state, int64_t limit) {
  return (int64_t)(chance_next(state) % (uint64_t)limit);
}

/* The `index`th number of a purpose: the same whatever was drawn before. */
static inline uint64_t chance_at(uint64_t seed, uint64_t purpose, uint64_t index) {
  return chance_mix(chance_mix(seed + purpose * 0x9e3779b97f4a7c15u) + index);
}

#endif
