/* An attempt: a request on a connection, from its head to its answer.
 *
 *   TAKEN -> PENDING       no connection accepts it yet                  [cql__attempt_wait]
 *   TAKEN, PENDING -> SENT one does                                      [send_on]
 *   SENT -> SENT, PENDING  it failed, or its connection did: once more   [tried_again, on_lost]
 *   SENT <-> PREPARING, FOLLOWING    the node forgot its statement       [unprepared.c]
 *   SENT -> AGREEING       it has changed the schema                     [agreement.c]
 *   any -> DONE            [cql__request_finish]
 */
#include "execute/attempt.h"

#include <assert.h>

#include "execute/agreement.h"
#include "execute/head.h"
#include "execute/result.h"
#include "execute/retry.h"
#include "execute/route.h"
#include "execute/unprepared.h"
#include "execute/warm.h"
#include "wire/proto.h"

/* ---- sending ---- */

/* The columns whose id goes out, or that are taken for granted: what the answer is read by. */
static void hold_columns(cql_request_t *request) {
  cql__metadata *columns = request->prepared->columns;
  if (columns == request->columns) return;
  cql__metadata_unref(request->columns);
  request->columns = cql__metadata_ref(columns);
}

static int send_on(cql_request_t *request, cql__connection *connection) {
  int error = cql__head_check(request, connection);
  if (error) return error;
  if (request->prepared) hold_columns(request);
  int stream = cql__connection_take(connection, request);
  if (stream < 0) return CQL_ENOMEM;
  error = cql__head_append(request, connection, (uint16_t)stream);
  if (error) {
    cql__connection_unsent(connection, stream);
    return error;
  }
  request->state = CQL__REQUEST_SENT;
  request->stream = (uint16_t)stream;
  request->connection = connection;
  request->address = cql__channel_node(connection)->text;
  request->sent_shard = connection->features.shard_told;
  request->attempts++;
  request->engine->metrics.in_flight++;
  return 0;
}

static void leave_stream(cql_request_t *request) {
  if (request->state == CQL__REQUEST_PREPARING) cql__list_remove(&request->link);
  request->connection = NULL;
  request->engine->metrics.in_flight--;
}

/* Much gathers at once only where a write follows: what can't be written makes it refuse more. */
static void send_gathered(cql_request_t *request, cql__connection *connection) {
  int error = send_on(request, connection);
  if (error)
    cql__request_finish(request, error, 0, NULL);
  else if (connection->gathered >= CQL__FLUSH_AT)
    cql__connection_flush(connection);
}

void cql__attempt_send(cql_request_t *request, cql__channel *channel) {
  int error = send_on(request, &channel->connection);
  if (error) cql__request_finish(request, error, 0, NULL);
}

/* ---- the line of those that wait ---- */

void cql__attempt_wait(cql__engine *engine, cql_request_t *request) {
  request->state = CQL__REQUEST_PENDING;
  cql__list_append(&engine->pending, &request->link);
  engine->metrics.queued++;
}

void cql__attempt_leave_line(cql_request_t *request) {
  cql__list_remove(&request->link);
  request->engine->metrics.queued--;
}

void cql__attempt_start(cql__engine *engine, cql_request_t *request) {
  if (cql__route_is_lost(request)) {
    cql__request_finish(request, CQL_ENOHOST, 0, NULL);
    return;
  }
  cql__channel *channel = cql__list_empty(&engine->pending) ? cql__route_choose(request)
                                                            : NULL; /* first come, first served */
  if (channel)
    send_gathered(request, &channel->connection);
  else
    cql__attempt_wait(engine, request);
}

/* Those who can't go, for what they want is not to be had, don't hold up the others. */
void cql__attempt_pending(cql__engine *engine) {
  cql__list *line = &engine->pending;
  unsigned stay = 0;
  for (cql__list *at = line->next; at != line && stay < CQL__LINE_LOOK;) {
    cql_request_t *request = cql__request_of(at);
    int is_lost = cql__route_is_lost(request);
    cql__channel *channel = is_lost ? NULL : cql__route_choose(request);
    at = at->next;
    if (channel || is_lost) cql__attempt_leave_line(request);
    if (channel)
      send_gathered(request, &channel->connection);
    else if (is_lost)
      cql__request_finish(request, CQL_ENOHOST, 0, NULL);
    else
      stay += cql__route_is_choosy(request) ? 1 : CQL__LINE_LOOK;
  }
}

int cql__attempt_may_go(const cql__engine *engine) {
  const cql__list *line = &engine->pending;
  unsigned looked = 0;
  for (cql__list *at = line->next; at != line && looked < CQL__LINE_LOOK; at = at->next) {
    const cql_request_t *request = cql__request_of(at);
    if (cql__route_is_lost(request) || cql__route_accepts(request)) return 1;
    looked += cql__route_is_choosy(request) ? 1 : CQL__LINE_LOOK;
  }
  return 0;
}

/* ---- abandoned ---- */

/* A USE without an answer: it may have been obeyed, or will be. */
static void doubt_keyspace(cql__connection *connection) {
  cql__connection_retire(connection, "replaced: USE has no answer, its keyspace is in doubt");
}

void cql__attempt_abandon(cql_request_t *request, int error) {
  int state = request->state;
  cql__connection *connection = request->connection;
  switch (state) {
    case CQL__REQUEST_PENDING:
    case CQL__REQUEST_FOLLOWING: cql__attempt_leave_line(request); break;
    case CQL__REQUEST_SENT:
    case CQL__REQUEST_PREPARING:
      if (request->use) doubt_keyspace(request->connection);
      cql__connection_orphan(request->connection, request->stream);
      leave_stream(request);
      break;
    case CQL__REQUEST_AGREEING: cql__agreement_abandon(request, error); return;
    default: return;
  }
  cql__request_finish(request, error, 0, NULL);
  if (state == CQL__REQUEST_PREPARING) cql__unprepared_promote(request, connection);
}

/* ---- again ---- */

int cql__attempt_again(cql_request_t *request, const cql_node_t *node) {
  if (request->attempts == UINT8_MAX) request->attempts--; /* a batch of as many statements */
  cql__channel *channel = cql__route_choose_again(request, node);
  if (channel) return send_on(request, &channel->connection);
  cql__attempt_wait(request->engine, request);
  return 0;
}

/* What the policy says of a failed attempt. */
static int verdict_of(cql_request_t *request, int status, const cql_result_t *result) {
  cql_error_detail_t detail;
  int has_detail = result && cql_result_error(result, &detail) == 0;
  cql__failed_attempt failed = {
      .status = status,
      .code = result ? result->error_code : 0,
      .detail = has_detail ? &detail : NULL,
      .consistency = request->consistency,
      .idempotent = (request->options & CQL_OPTION_IDEMPOTENT) != 0,
      .prepare = request->opcode == CQL__PREPARE || request->state == CQL__REQUEST_PREPARING,
      .attempts = request->attempts,
  };
  return cql__retry_default(&failed, &request->route.retried);
}

/* It failed and goes again, if the policy says so: to the same node, or to one that it hasn't been
 * to. 1: it does; 0: it has failed for good. It holds no stream. */
static int tried_again(cql_request_t *request, const cql__connection *connection, int status,
                       const cql_result_t *result) {
  cql__engine *engine = request->engine;
  if (engine->closing || request->use || request->errand) return 0;
  int verdict = verdict_of(request, status, result);
  if (verdict == CQL__RETRY_SAME) {
    if (cql__attempt_again(request, cql__channel_node(connection))) return 0;
  } else {
    if (verdict != CQL__RETRY_NEXT || !cql__route_leave(request, cql__channel_node(connection)))
      return 0;
    cql__attempt_wait(engine, request);
  }
  engine->metrics.retries++;
  return 1;
}

/* ---- answers ---- */

/* The answer to a USE says that it was obeyed, or why not; else the keyspace is in doubt. */
static int check_use(cql__connection *connection, int error, cql__result **result) {
  int kind = *result ? (*result)->shown.kind : CQL_RESULT_VOID;
  if (!error && (kind == CQL_RESULT_KEYSPACE || kind == CQL_RESULT_ERROR)) return 0;
  doubt_keyspace(connection);
  if (*result) cql_result_free(&(*result)->shown);
  *result = NULL;
  return error ? error : CQL_EMALFORMED;
}

/* It is known to all nodes soon, and to those that come. */
static void keep_prepared(const cql_request_t *request, const cql__connection *connection,
                          const cql__result *result) {
  cql__engine *engine = request->engine;
  cql__list_append(&engine->statements, &result->prepared->link);
  cql__warm_statement(engine, result->prepared, cql__channel_node(connection));
}

static void warn_of_use(const cql_request_t *request) {
  request->engine->tell(request->engine->user, CQL_EVENT_WARNING, request->address,
                        "a statement changed the keyspace of one connection, the others keep "
                        "theirs; cql_session_use() changes all");
}

/* Where the row of the request lives, told beside the answer. */
static void learn(const cql_request_t *request, cql_slice_t payload) {
  cql__engine *engine = request->engine;
  int result = cql__route_learn(request, payload);
  if (result < 0) engine->metrics.tablets_refused++;
  if (result != 1) return;
  const cql_column_t *column = request->prepared->parameters->shape.columns;
  engine->learned(engine->user, column->keyspace, column->table);
}

void cql__attempt_on_answered(void *owner, cql__connection *connection, void *waiter, int stream,
                              const cql__envelope *envelope) {
  (void)owner;
  (void)stream;
  cql_request_t *request = waiter;
  assert(request->connection == connection && request->stream == stream);
  int preparing = request->state == CQL__REQUEST_PREPARING;
  leave_stream(request);
  if (preparing) {
    cql__unprepared_answered(request, connection, envelope);
    return;
  }
  cql__result *result;
  int error = cql__result_decode(request, connection, envelope, &result);
  if (request->use) error = check_use(connection, error, &result);
  if (error || !result) {
    cql__request_finish(request, error, 0, NULL);
    return;
  }
  if (connection->features.tablets && result->shown.payload.length >= 0)
    learn(request, result->shown.payload);
  if (result->shown.kind != CQL_RESULT_ERROR) {
    if (result->shown.kind == CQL_RESULT_KEYSPACE && !request->use) warn_of_use(request);
    if (result->shown.kind == CQL_RESULT_PREPARED && !request->errand)
      keep_prepared(request, connection, result);
    if (result->shown.kind != CQL_RESULT_SCHEMA_CHANGE ||
        !cql__agreement_begin(request, connection, &result->shown))
      cql__request_finish(request, 0, 0, &result->shown);
    return;
  }
  if (cql__unprepared_handle(request, connection, result) ||
      tried_again(request, connection, CQL_ESERVER, &result->shown)) {
    cql_result_free(&result->shown);
    return;
  }
  cql__request_finish(request, CQL_ESERVER, result->shown.error_code, &result->shown);
}

void cql__attempt_on_oversized(void *owner, cql__connection *connection, void *waiter) {
  (void)owner;
  cql_request_t *request = waiter;
  if (request->use) doubt_keyspace(connection);
  leave_stream(request);
  cql__request_finish(request, CQL_ETOOBIG, 0, NULL);
  cql__unprepared_promote(request, connection);
}

/* The connection went: again elsewhere if nothing can happen twice by it. Where there is nowhere
 * else it waits: for this node to come back, or for another. */
void cql__attempt_on_lost(void *owner, cql__connection *connection, void *waiter, int error) {
  (void)connection;
  (void)error; /* why the connection ended is an event's to say */
  const cql__channel *channel = owner;
  cql_request_t *request = waiter;
  cql__engine *engine = request->engine;
  leave_stream(request);
  cql__unprepared_scatter(request);
  if (engine->closing || request->use || request->errand ||
      verdict_of(request, CQL_ECONNECTION, NULL) != CQL__RETRY_NEXT) {
    cql__request_finish(request, CQL_ECONNECTION, 0, NULL);
    return;
  }
  if (!cql__route_leave(request, channel->node)) request->route.tried_count = 0;
  engine->metrics.retries++;
  cql__attempt_wait(engine, request);
}
