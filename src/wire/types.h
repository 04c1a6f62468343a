/* Types: the [option] notation as descriptors [spec 4.2.5.2]. */
#ifndef CQL_WIRE_TYPES_H
#define CQL_WIRE_TYPES_H

#include "base/arena.h"
#include "wire/cursor.h"

enum { CQL__TYPE_DEPTH_MAX = 32 };

/* Reads one type; what it consists of goes to the arena, strings included. `depth` is 0 outside.
 * 0, CQL_ENOMEM, CQL_EMALFORMED: unknown, truncated or too deep. */
int cql__type_read(cql__cursor *c, cql__arena *arena, int depth, cql_type_t *out);
/* Past one type, without memory. 0, CQL_EMALFORMED. */
int cql__type_skip(cql__cursor *c, int depth);

/* A custom type's class, such as "org.apache.cassandra.db.marshal.VectorType(FloatType, 3)", as
 * the type that it stands for; an unknown one stays CQL_CUSTOM under its name. 0, CQL_ENOMEM,
 * CQL_EMALFORMED: too deep. */
int cql__class_name_read(cql_slice_t text, cql__arena *arena, int depth, cql_type_t *out);

/* Bytes of a value without a length in a vector; 0: it carries one. */
int32_t cql__type_fixed_size(const cql_type_t *type);

#endif
