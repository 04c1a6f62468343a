/* Query: what a CQL text says, as far as the simulator understands CQL. Names and literals only:
 * nothing here knows the schema. */
#ifndef CQL_SIM_QUERY_H
#define CQL_SIM_QUERY_H

#include "sim/buffer.h"

enum {
  CQL__SIM_SELECT,
  CQL__SIM_INSERT,
  CQL__SIM_UPDATE,
  CQL__SIM_DELETE,
  CQL__SIM_BATCH,
  CQL__SIM_TRUNCATE,
  CQL__SIM_USE,
  CQL__SIM_CREATE_KEYSPACE,
  CQL__SIM_ALTER_KEYSPACE,
  CQL__SIM_DROP_KEYSPACE,
  CQL__SIM_CREATE_TABLE,
  CQL__SIM_ALTER_TABLE,
  CQL__SIM_DROP_TABLE,
  CQL__SIM_CREATE_TYPE,
  CQL__SIM_ALTER_TYPE,
  CQL__SIM_DROP_TYPE,
  CQL__SIM_CREATE_INDEX,
  CQL__SIM_DROP_INDEX,
  CQL__SIM_OTHER /* what is answered and does nothing: a role */
};

/* Literals, markers and what holds them. */
enum {
  CQL__SIM_TERM_NULL,
  CQL__SIM_TERM_TEXT,
  CQL__SIM_TERM_INTEGER,
  CQL__SIM_TERM_REAL,
  CQL__SIM_TERM_BOOLEAN,
  CQL__SIM_TERM_UUID,
  CQL__SIM_TERM_BLOB,
  CQL__SIM_TERM_DURATION,
  CQL__SIM_TERM_MARKER,
  CQL__SIM_TERM_LIST,
  CQL__SIM_TERM_SET, /* {} too, which may be an empty map */
  CQL__SIM_TERM_MAP, /* items: key, value, key ... */
  CQL__SIM_TERM_TUPLE,
  CQL__SIM_TERM_UDT, /* items have names */
  CQL__SIM_TERM_CALL
};

typedef struct cql__sim_term {
  int kind;
  int marker;       /* its number, from 0 */
  cql_slice_t text; /* as lexed; a call: the function; a marker: its name or CQL_NULL */
  cql_slice_t name; /* of a field */
  struct cql__sim_term *items;
  struct cql__sim_term *next; /* its neighbour */
} cql__sim_term;

/* A column that is selected, or named anywhere. */
typedef struct cql__sim_selector {
  cql_slice_t column;   /* CQL_NULL: all (of count(*)) */
  cql_slice_t function; /* CQL_NULL: none; "count", "ttl", "writetime", "token" */
  cql_slice_t alias;    /* CQL_NULL: none */
  const cql__sim_term *arguments;
  struct cql__sim_selector *next;
} cql__sim_selector;

enum {
  CQL__SIM_EQUAL,
  CQL__SIM_LESS,
  CQL__SIM_LESS_EQUAL,
  CQL__SIM_GREATER,
  CQL__SIM_GREATER_EQUAL,
  CQL__SIM_NOT_EQUAL,
  CQL__SIM_IN,
  CQL__SIM_CONTAINS,
  CQL__SIM_CONTAINS_KEY
};

/* Of WHERE and IF: column op value. */
typedef struct cql__sim_relation {
  cql_slice_t column;
  int op;
  int of_token;               /* token(...): `column` is the key's first */
  const cql__sim_term *key;   /* IF column[key]; NULL: none */
  const cql__sim_term *value; /* IN: a tuple, or a marker */
  struct cql__sim_relation *next;
} cql__sim_relation;

enum { CQL__SIM_SET, CQL__SIM_ADD, CQL__SIM_PREPEND, CQL__SIM_REMOVE };

/* column = value, column[key] = value, column = column + value; DELETE: what becomes null. */
typedef struct cql__sim_assignment {
  cql_slice_t column;
  int op;
  const cql__sim_term *key;   /* NULL: the whole column */
  const cql__sim_term *value; /* NULL: DELETE */
  struct cql__sim_assignment *next;
} cql__sim_assignment;

/* CREATE and ALTER. */
typedef struct cql__sim_definition {
  cql_slice_t name;
  cql_slice_t type; /* as written; CQL_NULL: none (DROP, RENAME) */
  cql_slice_t new_name;
  int is_static, is_key;
  struct cql__sim_definition *next;
} cql__sim_definition;

typedef struct cql__sim_name {
  cql_slice_t text;
  int descending; /* CLUSTERING ORDER BY, ORDER BY */
  struct cql__sim_name *next;
} cql__sim_name;

typedef struct cql__sim_option {
  cql_slice_t name;
  const cql__sim_term *value;
  struct cql__sim_option *next;
} cql__sim_option;

enum { CQL__SIM_ALTER_ADD = 1, CQL__SIM_ALTER_DROP, CQL__SIM_ALTER_RENAME, CQL__SIM_ALTER_WITH };

typedef struct cql__sim_statement {
  int kind;
  cql_slice_t keyspace; /* CQL_NULL: the connection's */
  cql_slice_t name;     /* of the table or type */
  uint32_t marker_count;
  int if_exists, if_not_exists;
  cql__sim_relation *where, *conditions;
  const cql__sim_term *timestamp, *ttl; /* USING */
  /* SELECT */
  cql__sim_selector *selectors; /* NULL: all columns */
  int distinct, allow_filtering;
  const cql__sim_term *limit, *partition_limit;
  cql__sim_name *order;
  /* INSERT: columns and as many values */
  cql__sim_name *columns;
  const cql__sim_term *values;
  /* UPDATE, DELETE */
  cql__sim_assignment *assignments;
  /* BATCH */
  int batch_type;
  struct cql__sim_statement *statements;
  /* schema */
  int alter;
  cql__sim_definition *definitions;
  cql__sim_name *partition_key, *clustering_key;
  cql__sim_option *options;
  cql_slice_t index; /* CREATE INDEX: its name, CQL_NULL for none; `columns` has what it is on */
  cql_slice_t index_part; /* "keys", "values", "entries", "full"; CQL_NULL: none of these */
  struct cql__sim_statement *next; /* of a batch */
} cql__sim_statement;

/* Parses one statement, with or without a final ";". Everything lives in `region`; slices may point
 * into `text`. NULL: it isn't CQL that we know; `why` then says where, as the server would. */
cql__sim_statement *cql__sim_parse(cql__sim_region *region, const uint8_t *text, size_t length,
                                   cql__sim_buffer *why);
/* One literal, or a list of them with commas: linked by `next`. */
const cql__sim_term *cql__sim_parse_terms(cql__sim_region *region, const char *text,
                                          cql__sim_buffer *why);

/* Is the statement conditional, or does it have a conditional one in it? */
int cql__sim_is_conditional(const cql__sim_statement *statement);

#endif
