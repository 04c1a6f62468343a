/* Execution: what the files of the store share: its insides, statements that were checked against
 * the schema, and results in the making. */
#ifndef CQL_SIM_EXECUTION_H
#define CQL_SIM_EXECUTION_H

#include "sim/lexer.h"
#include "sim/literal.h"
#include "sim/rows.h"
#include "sim/store.h"

/* Codes of [spec 9] that the store answers with. */
enum {
  CQL__SIM_SYNTAX_ERROR = 0x2000,
  CQL__SIM_UNAUTHORIZED = 0x2100,
  CQL__SIM_INVALID = 0x2200,
  CQL__SIM_CONFIG_ERROR = 0x2300,
  CQL__SIM_ALREADY_EXISTS = 0x2400
};

struct cql__store {
  cql__sim_schema schema;
  int scylla;
  cql__rand rand; /* of uuid() and now() */
};

typedef struct cql__sim_result {
  cql__store_result seen; /* first */
  cql__sim_region region;
  cql__sim_buffer rows;
} cql__sim_result;

cql__sim_result *cql__sim_result_new(void);
/* Makes it an error; CQL_EVALUE. The first error stands. */
__attribute__((format(printf, 3, 4))) int cql__store_fail(cql__sim_result *out, int code,
                                                          const char *format, ...);
/* Makes what this task gives the error INVALID. */
#define INVALID(task, ...) cql__store_fail((task)->out, CQL__SIM_INVALID, __VA_ARGS__)
/* The same with a message that is freed. */
int cql__store_fail_with(cql__sim_result *out, int code, cql__sim_buffer *why);
/* Makes it rows of these columns. */
void cql__sim_rows_begin(cql__sim_result *out, const cql_column_t *columns, uint32_t count);
void cql__sim_rows_end(cql__sim_result *out);

/* For printf's "%.*s". */
#define CQL__SIM_SHOW(slice)                                                                       \
  (int)((slice).length > 0 ? (slice).length : 0), (const char *)(slice).data

/* ---- statements ---- */

/* A relation of WHERE or IF. */
typedef struct cql__sim_restriction {
  const cql__sim_relation *relation;
  const cql__sim_column *column; /* NULL: of the token */
  const cql_type_t *type;        /* of the values that it is compared with */
} cql__sim_restriction;

/* What a row of a SELECT is made of. */
enum {
  CQL__SIM_PICK_COLUMN,
  CQL__SIM_PICK_WRITETIME,
  CQL__SIM_PICK_TTL,
  CQL__SIM_PICK_TOKEN,
  CQL__SIM_PICK_COUNT,
  CQL__SIM_PICK_CALL
};

typedef struct cql__sim_pick {
  int kind;
  const cql__sim_column *column;
  const cql__sim_term *call;
} cql__sim_pick;

typedef struct cql__sim_restrictions {
  uint32_t count;
  cql__sim_restriction *all;
  /* by column of the key: = or IN; NULL: none */
  const cql__sim_restriction **partition, **clustering;
  uint32_t partition_count;  /* so many columns of the partition key have one */
  uint32_t clustering_count; /* so many columns of the clustering key, from the first, have one */
  int has_token;
} cql__sim_restrictions;

/* A parsed statement and its table, by the schema of now. */
typedef struct cql__sim_plan {
  const cql__sim_statement *query;
  cql__sim_table *table;
  cql__sim_restrictions where, conditions;
  uint32_t pick_count; /* SELECT */
  const cql__sim_pick *picks;
  int counts; /* count(*): one row */
  int reversed;
  struct cql__sim_plan *next; /* of a batch */
} cql__sim_plan;

struct cql__statement {
  cql__sim_region region; /* of the text and what was parsed */
  cql_slice_t text, keyspace;
  cql__sim_statement *query;
  /* by the schema of that serial; 0: not yet, or it doesn't fit */
  uint64_t serial;
  cql__sim_region resolved;
  cql__statement_shape shape;
  cql__sim_plan *plans;
};

/* 0, or CQL_EVALUE: `out` says what is wrong. */
int cql__statement_resolve(cql__store *store, cql__statement *statement, cql__sim_result *out);

/* ---- runs ---- */

typedef struct cql__sim_run {
  cql__store *store;
  const cql__store_call *call;
  const cql__statement_shape *shape;
  cql__sim_result *out;
  cql__sim_values values; /* of the markers, in their order */
  int64_t now_s;
} cql__sim_run;

/* Each fills run->out. */
void cql__sim_define(cql__store *store, const cql__sim_statement *query, cql_slice_t keyspace,
                     cql__sim_result *out);
void cql__sim_select(cql__sim_run *run, const cql__sim_plan *plan);

/* One INSERT, UPDATE or DELETE, alone or of a batch. */
typedef struct cql__sim_change {
  cql__sim_run run;
  const cql__sim_plan *plan;
} cql__sim_change;

/* All or nothing. `timestamp`: that of a batch, or NULL. */
void cql__sim_write(cql__sim_change *changes, uint32_t count, const int64_t *timestamp,
                    cql__sim_result *out);

#endif
