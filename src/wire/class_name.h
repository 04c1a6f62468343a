/* Class names: the types of custom options, written as Java classes. Vectors come so, and what a
 * protocol version has no number for: durations on v3 and v4, dates and small integers on v3. */
#ifndef CQL_WIRE_CLASS_NAME_H
#define CQL_WIRE_CLASS_NAME_H

#include "base/arena.h"
#include "wire/cursor.h"

/* Turns a class name into the type it stands for; `depth` as for cql__type_read(). What isn't
 * understood, the whole or a part, is of kind CQL_CUSTOM, with its text as the name: only memory
 * can fail. Everything goes into the arena. 0, CQL_ENOMEM. */
int cql__class_name_read(cql_slice_t text, cql__arena *arena, int depth, cql_type_t *out);

#endif
