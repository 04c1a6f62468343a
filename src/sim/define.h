/* Define: one statement that changes the schema, while it is executed. */
#ifndef CQL_SIM_DEFINE_H
#define CQL_SIM_DEFINE_H

#include "sim/execution.h"

typedef struct cql__sim_definer {
  cql__store *store;
  cql__sim_schema *schema;
  const cql__sim_statement *query;
  cql__sim_result *out;
  cql_slice_t keyspace_name;
  cql__sim_keyspace *keyspace; /* that of the name, or NULL */
} cql__sim_definer;

/* The schema has changed. */
void cql__sim_define_changed(cql__sim_definer *d, const char *change, const char *target,
                             cql_slice_t name);
/* It fails, but with IF NOT EXISTS; `table` is null of a keyspace. */
void cql__sim_define_exists(cql__sim_definer *d, cql_slice_t table);
/* The digits that a text begins with. */
int32_t cql__sim_define_number(cql_slice_t text);
/* The type of a definition, and its canonical text in the result's region. 0, CQL_EVALUE. */
int cql__sim_define_type(cql__sim_definer *d, const cql__sim_definition *definition,
                         cql_type_t *type, cql_slice_t *text);
/* The table of that name; NULL: there is none, which is an error but with IF EXISTS. */
cql__sim_table *cql__sim_define_table_of(cql__sim_definer *d);

void cql__sim_create_keyspace(cql__sim_definer *d);
void cql__sim_alter_keyspace(cql__sim_definer *d);
void cql__sim_drop_keyspace(cql__sim_definer *d);
void cql__sim_create_table(cql__sim_definer *d);
void cql__sim_alter_table(cql__sim_definer *d);
void cql__sim_drop_table(cql__sim_definer *d);
void cql__sim_create_type(cql__sim_definer *d);
void cql__sim_alter_type(cql__sim_definer *d);
void cql__sim_drop_type(cql__sim_definer *d);
void cql__sim_create_index(cql__sim_definer *d);
void cql__sim_drop_index(cql__sim_definer *d);

#endif
