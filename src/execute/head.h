/* Head: what stands before a request's values on the wire. It is written for each attempt, by what
 * that connection speaks; the values are encoded once, and go out behind it as they are. */
#ifndef CQL_EXECUTE_HEAD_H
#define CQL_EXECUTE_HEAD_H

#include "execute/request.h"

/* CQL_EUNSUPPORTED: that connection can't express it. */
int cql__head_check(const cql_request_t *request, const cql__connection *connection);
/* Head and values, to what the connection writes next. CQL_ETOOBIG, CQL_ENOMEM: none of it is. */
int cql__head_append(cql_request_t *request, cql__connection *connection, uint16_t stream);
/* Likewise a PREPARE of a statement that was prepared before. CQL_ENOMEM. */
int cql__head_append_prepare(cql__connection *connection, const cql_prepared_t *prepared,
                             uint16_t stream);

#endif
