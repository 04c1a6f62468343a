/* Errors: the codes of ERROR and their names [spec 9]. */
#ifndef CQL_MESSAGE_ERRORS_H
#define CQL_MESSAGE_ERRORS_H

/* "READ_TIMEOUT" for 0x1200; "UNKNOWN" for what is none: static text. */
const char *cql__server_error_name(int code);

#endif
