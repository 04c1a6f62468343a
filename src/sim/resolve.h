/* Resolver: one statement while it is checked against the schema. */
#ifndef CQL_SIM_RESOLVE_H
#define CQL_SIM_RESOLVE_H

#include "sim/execution.h"

typedef struct cql__sim_resolver {
  cql__store *store;
  cql__statement *statement;
  cql__sim_result *out;
  cql__sim_region *region; /* the statement's, of what is resolved */
  cql__sim_plan *plan;
  cql_column_t *binds;
} cql__sim_resolver;

/* ---- resolve.c ---- */

/* "in(name)" and such, in the region. */
cql_slice_t cql__sim_resolve_named(cql__sim_resolver *r, const char *format, cql_slice_t name);
const cql_type_t *cql__sim_resolve_collection(cql__sim_resolver *r, int32_t kind,
                                              const cql_type_t *child);
/* Gives the markers in a term the types that they stand for. */
void cql__sim_resolve_bind(cql__sim_resolver *r, const cql__sim_term *term, const cql_type_t *type,
                           cql_slice_t name);
/* NULL: an error. */
const cql__sim_column *cql__sim_resolve_column(cql__sim_resolver *r, cql_slice_t name);

/* ---- resolve_where.c ---- */

int cql__sim_resolve_is_equal(const cql__sim_relation *relation);
int cql__sim_resolve_relations(cql__sim_resolver *r, const cql__sim_relation *relations,
                               cql__sim_restrictions *out);
/* Finds out which columns of the key are known. */
int cql__sim_resolve_key(cql__sim_resolver *r, cql__sim_restrictions *where);
/* Is a clustering column restricted that comes behind one that isn't, or behind a range? */
int cql__sim_resolve_clustering(cql__sim_resolver *r, const cql__sim_restrictions *where);
/* May these rows be found without reading others? */
int cql__sim_resolve_filtering(cql__sim_resolver *r, cql__sim_restrictions *where);
int cql__sim_resolve_missing(cql__sim_resolver *r, int kind,
                             const cql__sim_restriction *const *known, uint32_t count);

/* ---- resolve_select.c ---- */

int cql__sim_resolve_select(cql__sim_resolver *r);

/* ---- resolve_write.c ---- */

int cql__sim_resolve_insert(cql__sim_resolver *r);
int cql__sim_resolve_update(cql__sim_resolver *r);
int cql__sim_resolve_conditions(cql__sim_resolver *r);

#endif
