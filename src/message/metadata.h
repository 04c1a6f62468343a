/* Metadata: the shape of rows or of bound values, read once and shared [spec 4.2.5.2, 4.2.5.4].
 *
 * A shape keeps the bytes it was read from (its specs), so that an answer that brings the same
 * shape again costs one memcmp and no allocation. */
#ifndef CQL_MESSAGE_METADATA_H
#define CQL_MESSAGE_METADATA_H

#include "base/arena.h"
#include "wire/cursor.h"

typedef struct cql__metadata {
  cql_metadata_t shape; /* what the world sees; first */
  uint32_t refs;
  int32_t global;    /* flag: one table for all columns */
  cql_slice_t specs; /* a copy, in the arena */
  cql__arena arena;
} cql__metadata;

/* The head of a ROWS body, or the result metadata of a PREPARED one; slices point into the body. */
typedef struct cql__rows_head {
  int32_t flags;
  uint32_t column_count;
  cql_slice_t paging_state; /* length CQL_NULL: none */
  cql_slice_t metadata_id;  /* CQL_NULL: not changed */
  cql_slice_t specs;        /* global table spec and column specs; CQL_NULL: no metadata */
} cql__rows_head;

/* Reads it; `known` may be NULL, or the shape that is probably meant: if the bytes are its specs
 * they aren't walked. 0, CQL_EMALFORMED. */
int cql__rows_head_decode(cql__cursor *c, const cql__metadata *known, cql__rows_head *out);

/* Are these the specs of that shape? */
int cql__metadata_matches(const cql__metadata *metadata, const cql__rows_head *head);

/* Builds a shape with one reference from the specs of a head (which must have some, or 0 columns).
 * CQL_ENOMEM, CQL_EMALFORMED. shape.id is 0: the owner of the cache gives it. */
int cql__metadata_build(const cql__rows_head *head, cql__metadata **out);

/* Reads the bind metadata of a PREPARED body: flags, columns, v4+: key indexes, specs.
 * `out_flags` gets the flags (bit 31: Scylla's LWT mark). */
int cql__metadata_decode_bind(cql__cursor *c, int version, cql__metadata **out,
                              uint32_t *out_flags);

cql__metadata *cql__metadata_ref(cql__metadata *metadata);
void cql__metadata_unref(cql__metadata *metadata); /* NULL is nothing */

/* Splits up to `max_rows` rows of that shape into cells. Rows split, or CQL_EMALFORMED. */
int cql__rows_split(cql__cursor *c, const cql_metadata_t *shape, uint32_t max_rows,
                    cql_cell_t *out);

#endif
