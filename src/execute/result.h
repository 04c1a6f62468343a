/* Result: what an answer says, in one block: the public struct, what belongs to it, and the body if
 * it is small. A larger body stays where it was received, and is referred to. */
#ifndef CQL_EXECUTE_RESULT_H
#define CQL_EXECUTE_RESULT_H

#include "execute/request.h"

typedef struct cql__result {
  cql_result_t shown; /* first: the pointers convert */
  cql__block *block;  /* that this lies in */
  cql__block *owner;  /* of the body; NULL: it lies in `block` too */
  cql__block *bound;  /* the body of the request, whose values are shown; NULL: none are */
  cql__metadata *metadata;
  cql_prepared_t *prepared;
  cql__cursor rows; /* what is left of them */
  const uint8_t *rows_start;
  uint32_t rows_left;
} cql__result;

/* An answer to a request as a result; *out is NULL for VOID without anything else to say. 0,
 * CQL_EMALFORMED, CQL_ENOMEM. */
int cql__result_decode(cql_request_t *request, const cql__connection *connection,
                       const cql__envelope *envelope, cql__result **out);

#endif
