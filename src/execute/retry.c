#include "execute/retry.h"

#include "base/limits.h"
#include "wire/proto.h"

/* What must hold for a row of the table to apply. */
enum {
  IF_IDEMPOTENT = 1, /* it may have happened, and may happen again */
  IF_ANSWERED = 2,   /* enough replicas answered, only the one asked for the data did not */
  IF_BATCH_LOG = 4,  /* the batch log, which is written first, was not: nothing is applied yet */
  IF_FIRST = 8,      /* once for each request: what didn't help then doesn't help now */
  EVEN_SERIAL = 16   /* nothing has begun, so no outcome is in doubt */
};

/* What isn't here is rethrown: an error in the statement, a replica that failed at it, and writes
 * whose outcome nobody knows (CAS_WRITE_UNKNOWN), as well as codes that aren't known here. */
static const struct {
  int32_t code;
  uint8_t verdict, conditions;
} rules[] = {
    {CQL__ERROR_BOOTSTRAPPING, CQL__RETRY_NEXT, EVEN_SERIAL},
    {CQL__ERROR_UNAVAILABLE, CQL__RETRY_NEXT, IF_FIRST},
    {CQL__ERROR_READ_TIMEOUT, CQL__RETRY_SAME, IF_ANSWERED | IF_FIRST},
    {CQL__ERROR_WRITE_TIMEOUT, CQL__RETRY_SAME, IF_IDEMPOTENT | IF_BATCH_LOG | IF_FIRST},
    {CQL__ERROR_OVERLOADED, CQL__RETRY_NEXT, IF_IDEMPOTENT},
    {CQL__ERROR_SERVER, CQL__RETRY_NEXT, IF_IDEMPOTENT},
    {CQL__ERROR_TRUNCATE, CQL__RETRY_NEXT, IF_IDEMPOTENT},
    {CQL_ECONNECTION, CQL__RETRY_NEXT, IF_IDEMPOTENT}, /* negative, as no server's code is */
};

enum { RULE_COUNT = sizeof rules / sizeof *rules };
_Static_assert(RULE_COUNT <= 8, "a bit of `once` for each");

static int is_serial(const cql__failed_attempt *failed) {
  if (failed->prepare) return 0;
  return failed->consistency == CQL_SERIAL || failed->consistency == CQL_LOCAL_SERIAL;
}

static int is_answered(const cql_error_detail_t *detail) {
  return detail && !detail->data_present && detail->received >= detail->required;
}

static int is_batch_log(const cql_error_detail_t *detail) {
  return detail && cql__slice_is(detail->write_type, "BATCH_LOG");
}

static int applies(unsigned conditions, const cql__failed_attempt *failed) {
  if (!(conditions & EVEN_SERIAL) && is_serial(failed)) return 0;
  if ((conditions & IF_IDEMPOTENT) && !failed->idempotent && !failed->prepare) return 0;
  if ((conditions & IF_ANSWERED) && !is_answered(failed->detail)) return 0;
  return !(conditions & IF_BATCH_LOG) || is_batch_log(failed->detail);
}

/* The code of the table's rows. A negative code of a server has none. */
static int64_t key_of(const cql__failed_attempt *failed) {
  if (failed->status != CQL_ESERVER) return failed->status;
  return failed->code < 0 ? INT64_MAX : failed->code;
}

int cql__retry_default(const cql__failed_attempt *failed, uint8_t *once) {
  if (failed->attempts >= CQL__ATTEMPTS_MAX) return CQL__RETRY_RETHROW;
  int64_t key = key_of(failed);
  for (unsigned i = 0; i < RULE_COUNT; i++) {
    if (rules[i].code != key) continue;
    if (!applies(rules[i].conditions, failed)) return CQL__RETRY_RETHROW;
    if (rules[i].conditions & IF_FIRST) {
      if (*once & 1u << i) return CQL__RETRY_RETHROW;
      *once |= (uint8_t)(1u << i);
    }
    return rules[i].verdict;
  }
  return CQL__RETRY_RETHROW;
}
