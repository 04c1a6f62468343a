/* Error: names and sentences of CQL_ERROR_MAP. */
#ifndef CQL_BASE_ERROR_H
#define CQL_BASE_ERROR_H

#include "cql.h"

const char *cql__error_name(int error);
const char *cql__error_text(int error);

#endif
