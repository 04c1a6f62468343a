/* Types: the [option] notation [spec 4.2.5.2], read into cql_type_t. */
#ifndef CQL_WIRE_TYPES_H
#define CQL_WIRE_TYPES_H

#include "base/arena.h"
#include "wire/cursor.h"

/* Levels of one type, the outermost included; counts options and classes together. */
enum { CQL__TYPE_DEPTH_MAX = 32 };

/* Reads one option; `depth` is 0 for the outermost. Children and names go into the arena, so the
 * bytes needn't outlive the call. 0, CQL_EMALFORMED, CQL_ENOMEM; *out is undefined after both. */
int cql__type_read(cql__cursor *c, cql__arena *arena, int depth, cql_type_t *out);

/* Walks over one option without allocating. What it lets pass, cql__type_read() reads, unless
 * memory runs out. 0, CQL_EMALFORMED. */
int cql__type_skip(cql__cursor *c, int depth);

/* The bytes of a value of this type where a vector packs it without a length, else 0.
 * The list is the server's, not the specification's: smallint, date and others have a length. */
int32_t cql__type_fixed_size(const cql_type_t *type);

/* A copy of the bytes in the arena. 0, CQL_ENOMEM. */
int cql__slice_keep(cql__arena *arena, cql_slice_t bytes, cql_slice_t *out);

#endif
