/* Schema: keyspaces, tables and types. Names and types live as long as the schema, so that results
 * and statements may point to what has been dropped. */
#ifndef CQL_SIM_SCHEMA_H
#define CQL_SIM_SCHEMA_H

#include "base/list.h"
#include "sim/buffer.h"
#include "sim/tree.h"
#include "sim/type.h"

/* Kinds of a column, in the order in which SELECT * has them. */
enum { CQL__SIM_PARTITION_KEY, CQL__SIM_CLUSTERING, CQL__SIM_STATIC, CQL__SIM_REGULAR };

typedef struct cql__sim_column {
  cql_slice_t name;
  cql_type_t type;
  cql_slice_t type_text; /* as system_schema has it */
  int kind;
  int descending;
  int many;          /* a collection or UDT that isn't frozen: parts of it may be written */
  uint32_t position; /* in the key */
  uint32_t slot;     /* of its cells in a row; never used again */
} cql__sim_column;

typedef struct cql__sim_index {
  cql__list link; /* in its table, by name */
  cql_slice_t name, column, target;
} cql__sim_index;

struct cql__store;

typedef struct cql__sim_table {
  cql__list link; /* in its keyspace, by name */
  struct cql__sim_keyspace *keyspace;
  cql_slice_t name;
  uint8_t id[16];
  uint64_t since; /* the serial of the schema that has it */
  /* partition key, clustering key, static ones by name, the others by name */
  cql__sim_column *columns;
  uint32_t column_count, partition_count, clustering_count, static_count;
  uint32_t slot_count;
  int has_counters;
  int32_t default_ttl;
  cql_slice_t comment;
  cql__list indexes;
  cql__sim_tree partitions; /* by token and key: sim/rows.h */
  /* Rows come from here where it isn't NULL: they aren't kept. */
  void (*fill)(struct cql__sim_table *table, const struct cql__store *store, const void *system);
} cql__sim_table;

typedef struct cql__sim_user_type {
  cql__list link; /* in its keyspace, by name */
  cql_slice_t name;
  uint64_t since;
  cql_type_t type;
  cql_slice_t *type_texts; /* of its fields */
} cql__sim_user_type;

typedef struct cql__sim_keyspace {
  cql__list link; /* by name */
  cql_slice_t name;
  uint64_t since;
  int durable_writes, is_system;
  cql_slice_t strategy; /* without a package */
  /* of the replication map, but for its class */
  uint32_t option_count;
  const cql_slice_t *options, *values;
  const int32_t *factors; /* the numbers that the values begin with */
  int32_t tablets;        /* per table to begin with; 0: it has none */
  cql__list tables, types;
} cql__sim_keyspace;

typedef struct cql__sim_schema {
  cql__list keyspaces;
  cql__sim_region region;
  uint64_t serial; /* grows with each change */
  uint64_t ids;    /* of tables */
} cql__sim_schema;

void cql__sim_schema_init(cql__sim_schema *schema);
void cql__sim_schema_free(cql__sim_schema *schema);
/* 16 bytes made of all that it contains, but for keyspaces of the system. */
void cql__sim_schema_version(const cql__sim_schema *schema, uint8_t *out);

static inline int cql__sim_same(cql_slice_t a, cql_slice_t b) {
  return a.length == b.length && (a.length <= 0 || memcmp(a.data, b.data, (size_t)a.length) == 0);
}
/* < 0, 0, > 0: byte by byte. */
int cql__sim_name_order(cql_slice_t a, cql_slice_t b);

/* NULL: there is none. */
cql__sim_keyspace *cql__sim_find_keyspace(const cql__sim_schema *schema, cql_slice_t name);
cql__sim_table *cql__sim_find_table(const cql__sim_keyspace *keyspace, cql_slice_t name);
cql__sim_user_type *cql__sim_find_user_type(const cql__sim_keyspace *keyspace, cql_slice_t name);
cql__sim_index *cql__sim_find_index(const cql__sim_keyspace *keyspace, cql_slice_t name,
                                    cql__sim_table **table);
const cql__sim_column *cql__sim_find_column(const cql__sim_table *table, cql_slice_t name);
/* Types of that keyspace, for cql__sim_type_parse(); they live in `region`. */
cql__sim_type_source cql__sim_types_of(const cql__sim_schema *schema, cql__sim_region *region,
                                       cql_slice_t keyspace);

cql__sim_keyspace *cql__sim_keyspace_new(cql__sim_schema *schema, cql_slice_t name);
void cql__sim_keyspace_free(cql__sim_keyspace *keyspace);
cql__sim_table *cql__sim_table_new(cql__sim_schema *schema, cql__sim_keyspace *keyspace,
                                   cql_slice_t name);
void cql__sim_table_free(cql__sim_table *table);
/* Takes its place among the others. */
void cql__sim_column_add(cql__sim_schema *schema, cql__sim_table *table,
                         const cql__sim_column *column);
void cql__sim_column_remove(cql__sim_table *table, const cql__sim_column *column);
cql__sim_index *cql__sim_index_new(cql__sim_schema *schema, cql__sim_table *table,
                                   cql_slice_t name);
void cql__sim_index_free(cql__sim_index *index);
cql__sim_user_type *cql__sim_user_type_new(cql__sim_schema *schema, cql__sim_keyspace *keyspace,
                                           cql_slice_t name);
void cql__sim_user_type_free(cql__sim_user_type *type);
/* A field behind those that it has. */
void cql__sim_field_add(cql__sim_schema *schema, cql__sim_user_type *type, cql_slice_t name,
                        const cql_type_t *field, cql_slice_t type_text);
/* Reads all types of a keyspace anew from their texts: one of them has changed. */
void cql__sim_types_refresh(cql__sim_schema *schema, cql__sim_keyspace *keyspace);
/* A copy in the schema's region. */
cql_slice_t cql__sim_keep(cql__sim_region *region, cql_slice_t text);

#endif
