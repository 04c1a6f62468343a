/* Store: schema and rows of a simulated cluster, once for all of its nodes, and the CQL that
 * reads and writes them. It has no clock and no chance: the same calls give the same answers.
 *
 * What it holds to: the newest timestamp wins, cell by cell, and a tombstone wins over a write of
 * the same time; conditional writes go by the node's clock and come after all that they saw.
 * Collections that aren't frozen count as one cell each; a deletion of many rows concerns those
 * that are there. There are no views, functions, roles, GROUP BY, JSON or relations of several
 * columns, and CREATE INDEX only lets a column be asked for: who needs more primes an answer.
 */
#ifndef CQL_SIM_STORE_H
#define CQL_SIM_STORE_H

#include "cql.h"

typedef struct cql__store cql__store;
typedef struct cql__statement cql__statement; /* parsed; knows the schema it was checked against */

enum {
  CQL__STATEMENT_READ = 1,
  CQL__STATEMENT_WRITE = 2, /* INSERT, UPDATE, DELETE, BATCH */
  CQL__STATEMENT_SCHEMA = 3,
  CQL__STATEMENT_USE = 4,
  CQL__STATEMENT_TRUNCATE = 5
};

/* What there is to say about a statement before it is executed. */
typedef struct cql__statement_shape {
  int32_t kind;         /* CQL__STATEMENT_* */
  int32_t conditional;  /* has IF, other than that of DDL */
  int32_t counter;      /* writes a counter */
  cql_slice_t keyspace; /* of its table; CQL_NULL where there is none */
  cql_slice_t table;
  uint32_t bind_count;
  const cql_column_t *binds; /* its markers, in their order */
  uint32_t key_count;        /* all parts of the partition key come from markers, these; or 0 */
  const uint16_t *key_indexes;
  uint32_t column_count; /* of the rows of a SELECT; else 0 */
  const cql_column_t *columns;
} cql__statement_shape;

#define CQL__STORE_NO_TIMESTAMP INT64_MIN

/* Who asks, how, and with what; borrowed for the call. */
typedef struct cql__store_call {
  cql_slice_t keyspace; /* of the connection or the request; a prepared statement has its own */
  uint32_t value_count;
  const cql_slice_t *values; /* CQL_NULL, CQL_UNSET where they have no bytes */
  const cql_slice_t *names;  /* of the values, or NULL: they come in the order of the markers */
  int32_t page_size;         /* 0: all rows */
  cql_slice_t paging_state;  /* CQL_NULL: the first page */
  int64_t timestamp;         /* CQL__STORE_NO_TIMESTAMP: that of now_us */
  int64_t now_us;            /* since 1970 */
  int32_t now_in_seconds;    /* of the request; -1: that of now_us */
  const void *system;        /* the cluster as this node sees it: sim/system.h; NULL: none */
} cql__store_call;

/* What came of it. All pointers live until cql__store_result_free(). */
typedef struct cql__store_result {
  int32_t kind;          /* CQL_RESULT_* but PREPARED */
  int32_t error_code;    /* [spec 9] */
  const char *message;   /* of an error */
  uint32_t column_count; /* rows */
  const cql_column_t *columns;
  uint32_t row_count;
  cql_slice_t rows;           /* row_count x column_count cells, each [bytes] */
  cql_slice_t paging_state;   /* CQL_NULL: the last page */
  cql_schema_change_t change; /* schema change; names a keyspace alone for that of a keyspace */
  cql_slice_t keyspace;       /* by USE, or of ALREADY_EXISTS */
  cql_slice_t table;          /* of ALREADY_EXISTS; empty for a keyspace */
} cql__store_result;

/* One statement of a BATCH message: a prepared one, or a text. */
typedef struct cql__store_item {
  cql__statement *statement; /* or NULL */
  cql_slice_t text;
  uint32_t value_count;
  const cql_slice_t *values;
} cql__store_item;

/* The replication of a keyspace. Lives until the next change of the schema. */
typedef struct cql__sim_replication {
  cql_slice_t strategy;     /* "SimpleStrategy" ..., without a package */
  uint32_t count;           /* SimpleStrategy: one, named replication_factor */
  const cql_slice_t *names; /* datacenters; replication_factor: all that aren't named */
  const int32_t *factors;
  int32_t tablets; /* Scylla: how many tablets a table begins with; 0: it has none */
} cql__sim_replication;

/* `scylla`: it takes what Scylla's CQL has beside Cassandra's. */
cql__store *cql__store_new(int scylla);
/* After all statements and results. */
void cql__store_free(cql__store *store);
/* 16 bytes that depend on what the schema contains. */
void cql__store_version(const cql__store *store, uint8_t *out);
/* 1, or 0: there is no such keyspace. */
int cql__store_replication(const cql__store *store, cql_slice_t keyspace,
                           cql__sim_replication *out);
int cql__store_has_table(const cql__store *store, cql_slice_t keyspace, cql_slice_t table);

/* Parses and checks a statement; NULL: *error says what is wrong. `keyspace`: the connection's. */
cql__statement *cql__store_prepare(cql__store *store, cql_slice_t keyspace, cql_slice_t text,
                                   cql__store_result **error);
void cql__statement_free(cql__statement *statement); /* NULL is nothing */
/* Its shape under the present schema, until the next change of that; NULL: it is no longer valid,
 * and executing it says why. */
const cql__statement_shape *cql__statement_shape_of(cql__store *store, cql__statement *statement);
/* The token of the partition that a call of it is about: 1, or 0 where it is about none, several or
 * one that isn't known. */
int cql__statement_token(cql__store *store, cql__statement *statement, const cql__store_call *call,
                         int64_t *out);

void cql__store_call_init(cql__store_call *call);
/* Never NULL. */
cql__store_result *cql__store_execute(cql__store *store, cql__statement *statement,
                                      const cql__store_call *call);
/* The same for a text. */
cql__store_result *cql__store_query(cql__store *store, cql_slice_t text,
                                    const cql__store_call *call);
/* A BATCH message of type CQL_LOGGED ...; values and paging of `call` aren't used. */
cql__store_result *cql__store_batch(cql__store *store, int type, const cql__store_item *items,
                                    uint32_t count, const cql__store_call *call);
void cql__store_result_free(cql__store_result *result); /* NULL is nothing */

/* Columns as a script writes them, "id int, name text": a result of kind ROWS with columns and no
 * rows, or an error. UDTs are those of `keyspace`, which may be CQL_NULL. */
cql__store_result *cql__store_columns(cql__store *store, cql_slice_t keyspace, cql_slice_t text);
/* Adds a row to it, of literals "1, 'one'". 0, or CQL_EVALUE: `message` of it says why. */
int cql__store_columns_add(cql__store_result *rows, cql_slice_t values);

#endif
