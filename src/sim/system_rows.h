/* Rows of system tables: how they are made, and who makes them. */
#ifndef CQL_SIM_SYSTEM_ROWS_H
#define CQL_SIM_SYSTEM_ROWS_H

#include "sim/execution.h"
#include "sim/system.h"

enum { CQL__SYSTEM_COLUMNS_MAX = 32 };

/* A row in the making: its values, in the order of the table's columns. */
typedef struct cql__system_row {
  cql__sim_table *table;
  cql__sim_region region;
  cql_slice_t values[CQL__SYSTEM_COLUMNS_MAX];
} cql__system_row;

/* ---- system_rows.c ---- */

cql__system_row cql__system_row_of(cql__sim_table *table);
/* A copy: values may be made in place. */
void cql__system_set(cql__system_row *m, const char *name, cql_slice_t value);
void cql__system_set_text(cql__system_row *m, const char *name, const char *text);
void cql__system_set_bytes(cql__system_row *m, const char *name, const uint8_t *bytes,
                           int32_t size);
void cql__system_set_boolean(cql__system_row *m, const char *name, int value);
void cql__system_set_int(cql__system_row *m, const char *name, int32_t value);
void cql__system_set_real(cql__system_row *m, const char *name, double value);
/* A list or set of so many items, or a map of half as many entries, written in CQL's form. */
void cql__system_set_items(cql__system_row *m, const char *name, const cql_slice_t *items,
                           uint32_t count, int is_map);
void cql__system_row_add(cql__system_row *m);
void cql__system_fill_local(cql__sim_table *table, const cql__store *store, const void *user);
void cql__system_fill_peers(cql__sim_table *table, const cql__store *store, const void *user);
void cql__system_fill_client_routes(cql__sim_table *table, const cql__store *store,
                                    const void *user);

/* ---- system_schema.c ---- */

void cql__system_fill_keyspaces(cql__sim_table *table, const cql__store *store, const void *user);
/* Scylla has rows for what differs from the default alone. */
void cql__system_fill_scylla_keyspaces(cql__sim_table *table, const cql__store *store,
                                       const void *user);
void cql__system_fill_tables(cql__sim_table *table, const cql__store *store, const void *user);
void cql__system_fill_scylla_tables(cql__sim_table *table, const cql__store *store,
                                    const void *user);
void cql__system_fill_columns(cql__sim_table *table, const cql__store *store, const void *user);
void cql__system_fill_types(cql__sim_table *table, const cql__store *store, const void *user);
void cql__system_fill_indexes(cql__sim_table *table, const cql__store *store, const void *user);
void cql__system_fill_nothing(cql__sim_table *table, const cql__store *store, const void *user);

#endif
