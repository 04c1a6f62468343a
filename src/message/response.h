/* Response: what every body begins with, and the small messages [spec 2.2, 4.2]. */
#ifndef CQL_MESSAGE_RESPONSE_H
#define CQL_MESSAGE_RESPONSE_H

#include "wire/cursor.h"

typedef struct cql__response {
  uint8_t version; /* without the direction bit */
  uint8_t flags;
  int16_t stream;
  uint8_t opcode;
  const uint8_t *tracing_id; /* 16 bytes or NULL */
  cql_slice_t warnings;      /* string list as it stands, or CQL_NULL */
  cql_slice_t payload;       /* bytes map as it stands, or CQL_NULL */
  cql__cursor body;          /* what follows */
} cql__response;

/* `body` is uncompressed. 0, CQL_EMALFORMED (the header's fields are filled in all the same). */
int cql__response_open(const uint8_t *header, const uint8_t *body, size_t size, cql__response *out);

/* SUPPORTED: the values of `key` as a cursor over *count strings. 1 found, 0 not, < 0 malformed. */
int cql__supported_find(cql__cursor body, const char *key, cql__cursor *values, uint16_t *count);

/* ERROR: code and message; the cursor then stands at the fields that follow. */
int cql__error_open(cql__cursor *body, int32_t *code, cql_slice_t *message);
/* The fields of error `code`, as that protocol version writes them [spec 9]. */
int cql__error_detail(int32_t code, int version, cql__cursor body, cql_error_detail_t *out);

/* A schema change, of RESULT or of EVENT (after its type). */
int cql__schema_change_decode(cql__cursor *body, cql_schema_change_t *out);

/* EVENT: its type, then the rest. */
typedef struct cql__event {
  cql_slice_t type;    /* TOPOLOGY_CHANGE, STATUS_CHANGE, SCHEMA_CHANGE ... */
  cql_slice_t change;  /* NEW_NODE, UP ..., or the schema's */
  cql_slice_t address; /* 4 or 16 bytes, or CQL_NULL */
  int32_t port;
  cql_schema_change_t schema; /* of SCHEMA_CHANGE */
  /* CLIENT_ROUTES_CHANGE, ScyllaDB's: string lists of the same length, as they stand; CQL_NULL */
  cql_slice_t connection_ids, host_ids;
} cql__event;
/* Unknown types are no error: only `type` is filled in then. */
int cql__event_decode(cql__cursor *body, cql__event *out);

#endif
