/* Errors: the codes of ERROR and their names [spec 9]. */
#ifndef CQL_MESSAGE_ERRORS_H
#define CQL_MESSAGE_ERRORS_H

/* Which fields follow the message, in order, a letter for each: c consistency, r received or alive,
 * q required, d data present, w write type, t contentions (only after CAS), n number of failures,
 * m reason map, k keyspace, b table or function, a argument types, u id, o operation, j rejected by
 * the coordinator. Static text. */
const char *cql__error_fields(int code, int version);

int cql__error_is_known(int code);
/* "READ_TIMEOUT" for 0x1200; "UNKNOWN" for what is none: static text. */
const char *cql__server_error_name(int code);

#endif
