/* Dump: one envelope in words, for people and for golden specs.
 *
 *   v4 request QUERY, stream 1, 13 bytes
 *     query: "USE ks"
 *     consistency: ONE
 *
 * A field that isn't all there isn't shown; the last line then says that the envelope is truncated
 * (fewer bytes are here than it claims) or malformed (its fields end outside of it). */
#ifndef CQL_MESSAGE_DUMP_H
#define CQL_MESSAGE_DUMP_H

#include "wire/cursor.h"

/* As cql_message_dump(). A compressed body is said to be so; tokens of authentication are never
 * shown. `blank` puts fixed marks, such as <stream>, for stream ids that aren't the events' -1, for
 * tracing, prepared and metadata ids, timestamps, paging states and ports. */
int cql__message_dump(const uint8_t *envelope, size_t length, int blank, char *out, size_t size);

/* ---- for the parts of the dump ---- */

typedef struct cql__dump {
  char *out;
  size_t size;
  size_t used; /* what it would take, as snprintf() counts */
  int blank;
  int version;
  cql__cursor c; /* the body */
} cql__dump;

/* The fields of a request's or a response's body, after the prefix that its flags tell of. */
void cql__dump_request(cql__dump *d, int opcode);
void cql__dump_response(cql__dump *d, int opcode);

__attribute__((format(printf, 2, 3))) void cql__dump_say(cql__dump *d, const char *format, ...);
void cql__dump_text(cql__dump *d, cql_slice_t text);   /* in quotes, controls escaped */
void cql__dump_plain(cql__dump *d, cql_slice_t text);  /* a name: without quotes */
void cql__dump_bytes(cql__dump *d, cql_slice_t bytes); /* short hex, null, unset, empty */

/* One line: a name and a value that was read. Nothing, if the cursor has broken. */
void cql__dump_number(cql__dump *d, const char *name, int64_t number);
void cql__dump_string(cql__dump *d, const char *name, cql_slice_t text);
void cql__dump_value(cql__dump *d, const char *name, cql_slice_t bytes);
/* The same for what varies between runs: a mark of that name, if these are to be blank. */
void cql__dump_varying(cql__dump *d, const char *name, cql_slice_t bytes);

/* One line: a name, then what is read here. */
void cql__dump_consistency(cql__dump *d, const char *name);
void cql__dump_string_list(cql__dump *d, const char *name);
/* A line for each pair of a string map, string multimap or bytes map. */
void cql__dump_pairs(cql__dump *d, const char *name, void (*say_value)(cql__dump *d));
void cql__dump_one_string(cql__dump *d);
void cql__dump_strings(cql__dump *d); /* a string list, after its line has begun */
void cql__dump_one_value(cql__dump *d);

#endif
