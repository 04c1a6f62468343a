/* Message: requests as nodes read them, and answers as they write them [spec 4]. */
#ifndef CQL_SIM_MESSAGE_H
#define CQL_SIM_MESSAGE_H

#include "sim/node.h"

typedef struct cql__sim_item {
  int prepared;
  cql_slice_t text; /* or the id */
  uint32_t value_count;
  const cql_slice_t *values;
} cql__sim_item;

/* Slices point into the body. */
typedef struct cql__sim_request {
  cql__sim_region region;
  cql__cursor body;
  int version, flags, stream, opcode;
  cql_slice_t text;        /* QUERY, PREPARE; of a prepared statement once it is found */
  cql_slice_t id;          /* EXECUTE */
  cql_slice_t metadata_id; /* CQL_NULL: none was sent */
  int consistency, serial; /* -1: none */
  uint32_t parameters;     /* flags of QUERY and EXECUTE */
  uint32_t value_count;
  const cql_slice_t *values, *names; /* names: NULL where there are none */
  int32_t page_size;                 /* -1: none */
  cql_slice_t paging_state, keyspace;
  int64_t timestamp;
  int32_t now_in_seconds; /* -1: none */
  int batch_type;
  uint32_t item_count;
  const cql__sim_item *items;
  /* what is found out */
  const cql__sim_prepared *prepared;
  int verdict;
  int64_t entry; /* in the journal */
} cql__sim_request;

/* `body` is plain. 0, or CQL_EPROTOCOL: it ends too early. Free it in any case. */
int cql__sim_request_read(cql__sim_request *request, const cql__sim_client *client,
                          const uint8_t *header, const uint8_t *body, size_t size);
void cql__sim_request_free(cql__sim_request *request);

/* The fields of an ERROR; those that it hasn't are left out. */
typedef struct cql__sim_error {
  int32_t code;
  const char *message; /* NULL: as servers say it */
  int32_t consistency, received, required, failures, data_present, contentions;
  int32_t operation, rejected_by_coordinator;
  const char *write_type; /* NULL: SIMPLE */
  cql_slice_t keyspace, table;
  const char *arguments; /* of a function, with commas */
  cql_slice_t id;
} cql__sim_error;

typedef struct cql__sim_answer {
  int opcode;
  int error; /* code; -1: none */
  cql__sim_buffer body;
  cql__sim_buffer warnings, payload; /* entries, without their count */
  uint32_t warning_count, payload_count;
  int traced;
  int switches; /* the answer to STARTUP: what follows is framed and compressed */
  uint8_t tracing_id[16];
  /* what a rule makes of it */
  int silent;
  int64_t delay;
  int twice;
  int stream;   /* -1: the request's */
  int corrupt;  /* 1: CRC32 or the last byte, 2: CRC24 */
  int32_t flip; /* a byte of the body, -1: none */
  int32_t keep; /* so many bytes of the envelope are sent, -1: all */
  int close;    /* CQL_SIM_CLOSE + 1 ...; 0: stays open */
  int64_t close_delay;
  cql_slice_t raw; /* instead; CQL_NULL: none; the rule's */
} cql__sim_answer;

void cql__sim_answer_init(cql__sim_answer *answer);
void cql__sim_answer_free(cql__sim_answer *answer);
void cql__sim_answer_error(cql__sim_answer *answer, const cql__sim_error *error, int version,
                           int scylla);
/* An error with nothing but a message. */
void cql__sim_answer_fail(cql__sim_answer *answer, int code, const char *message);
void cql__sim_answer_void(cql__sim_answer *answer);
/* What the store made of a statement. */
typedef struct cql__sim_rows_options {
  int version, scylla;
  int no_metadata;
  const uint8_t *changed_id; /* 16 bytes; NULL: not changed */
} cql__sim_rows_options;
void cql__sim_answer_result(cql__sim_answer *answer, const cql__store_result *result,
                            const cql__sim_rows_options *options);
/* Metadata of a prepared statement's rows, or of its values. */
void cql__sim_put_columns(cql__sim_buffer *b, const cql_column_t *columns, uint32_t count,
                          int global, int version, int scylla);
/* One table for all columns? */
int cql__sim_is_global(const cql_column_t *columns, uint32_t count);
/* As in RESULT, and in EVENT after its type. */
void cql__sim_put_change(cql__sim_buffer *b, const cql_schema_change_t *change, int version);
/* Prefix and body as they follow the header; flags. */
int cql__sim_answer_body(const cql__sim_answer *answer, int version, cql__sim_buffer *out);
/* 16 bytes that depend on the columns' names and types. */
void cql__sim_metadata_id(const cql_column_t *columns, uint32_t count, uint8_t out[16]);
void cql__sim_md5(const void *bytes, size_t size, uint8_t out[16]);

#endif
