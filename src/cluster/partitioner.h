/* Partitioner: the token of a partition key, as the server has it, and as text. */
#ifndef CQL_CLUSTER_PARTITIONER_H
#define CQL_CLUSTER_PARTITIONER_H

#include "wire/cursor.h"

typedef enum cql__partitioner {
  CQL__PARTITIONER_NONE, /* one that nobody here knows: requests can't be routed by token */
  CQL__MURMUR3,
  CQL__CDC,          /* of Scylla's tables of changes: the token stands in the key */
  CQL__RANDOM,       /* MD5 */
  CQL__BYTE_ORDERED, /* the key itself */
  CQL__PARTITIONERS
} cql__partitioner;

/* Tokens of one partitioner are in the order of `high`, then of `low`, then of `bytes`. */
typedef struct cql__token {
  uint64_t high, low;
  const uint8_t *bytes; /* ByteOrdered: all of it, borrowed; else NULL */
  uint32_t size;
} cql__token;

/* By the end of its class's name: packages differ. */
cql__partitioner cql__partitioner_of(cql_slice_t class_name);
/* Of a key as it is stored: the bytes of its one value, or what cql__key_join() makes. Of
 * ByteOrdered it borrows the key. NONE has no tokens: don't ask. */
cql__token cql__token_make(cql__partitioner partitioner, const uint8_t *key, size_t size);
/* The token that a server writes so; `room`, for half as many bytes, is borrowed by ByteOrdered's.
 * 0; CQL_EVALUE: it isn't one, *out is unchanged. */
int cql__token_parse(cql__partitioner partitioner, cql_slice_t text, uint8_t *room,
                     cql__token *out);
/* < 0, 0, > 0. */
int cql__token_compare(const cql__token *a, const cql__token *b);

/* Murmur3's and CDC's tokens are numbers. */
static inline cql__token cql__token_of_number(int64_t number) {
  return (cql__token){(uint64_t)number ^ (uint64_t)1 << 63, 0, NULL, 0};
}
static inline int64_t cql__token_number(const cql__token *token) {
  return (int64_t)(token->high ^ (uint64_t)1 << 63);
}

/* Murmur3's of a key. The smallest number isn't a token: it becomes the largest. An empty key has
 * the token 0, as drivers agree, although no server stores one. */
int64_t cql__token_of(const uint8_t *key, size_t size);

/* What cql__key_join() writes; CQL_EVALUE: a part that isn't there or is longer than 65,535 bytes,
 * which none of a composite key may be. One part alone stands as it is, whatever its length. */
int64_t cql__key_size(const cql_slice_t *parts, uint32_t count);
/* Writes the key of these parts, each [short length][bytes][0] where there are several. The parts
 * must have passed cql__key_size(). Returns what follows. */
uint8_t *cql__key_join(const cql_slice_t *parts, uint32_t count, uint8_t *out);

#endif
