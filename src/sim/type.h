/* Type: CQL types as people write them and as the wire has them; and the order of their values. */
#ifndef CQL_SIM_TYPE_H
#define CQL_SIM_TYPE_H

#include "sim/buffer.h"

enum { CQL__SIM_TYPE_DEPTH_MAX = 16 }; /* of types, and of what is in values */

typedef struct cql__sim_type_source cql__sim_type_source;

/* Finds a user-defined type; NULL: there is none. */
typedef const cql_type_t *(*cql__sim_find_type)(const void *user, cql_slice_t keyspace,
                                                cql_slice_t name);

struct cql__sim_type_source {
  cql__sim_region *region; /* where the types live */
  cql__sim_find_type find; /* NULL: there are no user-defined types */
  const void *user;
  cql_slice_t keyspace; /* of names without one */
};

/* "map<text, frozen<list<int>>>" into *out, and the same in the form of system_schema appended to
 * `canonical` (may be NULL). 0, or CQL_EINVAL: no type, and `why` says so. */
int cql__sim_type_parse(const cql__sim_type_source *source, cql_slice_t text, cql_type_t *out,
                        cql__sim_buffer *canonical, cql__sim_buffer *why);

/* The [option] that a server of that protocol version sends; Scylla has numbers for what Cassandra
 * calls by its class on old versions. */
void cql__sim_put_type(cql__sim_buffer *b, const cql_type_t *type, int version, int scylla);

/* The name of a scalar, as "int"; of others the head, as "list". */
const char *cql__sim_type_name(int32_t kind);
/* The type as CQL has it; what is frozen isn't known here. */
void cql__sim_put_type_name(cql__sim_buffer *b, const cql_type_t *type);
/* A name as CQL has it: with quotes, where it needs them. */
void cql__sim_put_name(cql__sim_buffer *b, cql_slice_t name);

/* ---- value.c ---- */

/* Is it a value of the type? `why` gets the server's words if not. NULL and UNSET are not asked. */
int cql__sim_value_fits(const cql_type_t *type, cql_slice_t value, cql__sim_buffer *why);
/* < 0, 0, > 0, as clustering columns of that type are ordered. */
int cql__sim_value_compare(const cql_type_t *type, cql_slice_t a, cql_slice_t b);
/* Puts the items of a set or map in order and drops all but the last of equal ones; other values
 * stay as they are. Where that changes something, the bytes are new, in the region. */
cql_slice_t cql__sim_value_sorted(cql__sim_region *region, const cql_type_t *type,
                                  cql_slice_t value);

#endif
