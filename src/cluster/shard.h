/* Shard: which of a ScyllaDB node's cores owns a token, and from which local ports that core is
 * reached through the shard-aware port [scylladb dht/token-sharding.hh, docs/dev/protocols.md]. */
#ifndef CQL_CLUSTER_SHARD_H
#define CQL_CLUSTER_SHARD_H

#include <stdint.h>

/* fraction / 2^64 * count, by halves: a product of more than 64 bits isn't C's. */
static inline uint32_t cql__part_of(uint64_t fraction, uint32_t count) {
  uint64_t low = (fraction & UINT32_MAX) * count;
  return (uint32_t)(((fraction >> 32) * count + (low >> 32)) >> 32);
}

/* `count` shards; the `ignore_msb` (0 to 63) highest bits of a token don't matter. */
static inline uint32_t cql__shard_of(int64_t token, uint32_t count, unsigned ignore_msb) {
  uint64_t biased = ((uint64_t)token + ((uint64_t)1 << 63)) << ignore_msb;
  return cql__part_of(biased, count);
}

/* The local ports of one shard, each once: those of which the remainder by the number of shards is
 * the shard. */
typedef struct cql__shard_ports {
  uint32_t lowest, step;
  uint32_t count; /* how many there are; 0: the range has none */
  uint32_t at;    /* the next one's place among them */
  uint32_t left;
} cql__shard_ports;

/* From `low` to `high`, both included, beginning anywhere, as `chance` has it. */
cql__shard_ports cql__shard_ports_of(uint16_t low, uint16_t high, uint32_t shard_count,
                                     uint32_t shard, uint64_t chance);
/* The next one; 0: there is none that wasn't tried. */
uint16_t cql__shard_ports_next(cql__shard_ports *ports);

#endif
