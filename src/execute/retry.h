/* Retry: what follows when an attempt has failed. A table, and no more: it knows neither requests
 * nor nodes, and what it says is carried out by attempt.c. */
#ifndef CQL_EXECUTE_RETRY_H
#define CQL_EXECUTE_RETRY_H

#include "message/response.h"

/* What may follow. CQL__RETRY_IGNORE (an empty result instead of the error) is never the default:
 * it is there for whoever is asked instead. */
enum { CQL__RETRY_RETHROW = 0, CQL__RETRY_SAME, CQL__RETRY_NEXT, CQL__RETRY_IGNORE };

/* An attempt that failed. */
typedef struct cql__failed_attempt {
  int32_t status;                   /* CQL_ESERVER, CQL_ECONNECTION or another CQL_E* */
  int32_t code;                     /* with CQL_ESERVER: the server's [spec 9] */
  const cql_error_detail_t *detail; /* what the server told beside the code; NULL: nothing */
  uint16_t consistency;             /* that the request went out with */
  uint8_t idempotent;               /* its user says that it may happen twice */
  uint8_t prepare;                  /* a PREPARE: it may, and has no consistency */
  uint8_t attempts;                 /* how often it went out, this attempt included */
} cql__failed_attempt;

/* The native default: CQL__RETRY_RETHROW, _SAME (the same node once more) or _NEXT (the plan's next
 * node). `once`: of the request, 0 when it begins: which causes that are worth one retry have had
 * theirs; a verdict that uses one up is noted there. UNPREPARED isn't for this table: its remedy is
 * another request. */
int cql__retry_default(const cql__failed_attempt *failed, uint8_t *once);

#endif
