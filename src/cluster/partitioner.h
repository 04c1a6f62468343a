/* Partitioner: the token of a partition key, as Cassandra's Murmur3Partitioner has it. */
#ifndef CQL_CLUSTER_PARTITIONER_H
#define CQL_CLUSTER_PARTITIONER_H

#include "wire/cursor.h"

/* Of a key as it is stored: the bytes of its one value, or what cql__key_join() makes. The smallest
 * number isn't a token: it becomes the largest. An empty key has the token 0, as drivers agree,
 * although no server stores one. */
int64_t cql__token_of(const uint8_t *key, size_t size);

/* What cql__key_join() writes; CQL_EVALUE: a part that isn't there or is longer than 65,535 bytes,
 * which none of a composite key may be. One part alone stands as it is, whatever its length. */
int64_t cql__key_size(const cql_slice_t *parts, uint32_t count);
/* Writes the key of these parts, each [short length][bytes][0] where there are several. The parts
 * must have passed cql__key_size(). Returns what follows. */
uint8_t *cql__key_join(const cql_slice_t *parts, uint32_t count, uint8_t *out);

#endif
