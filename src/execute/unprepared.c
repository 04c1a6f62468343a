/* UNPREPARED: a node has forgotten a statement.
 *
 *   SENT -> PREPARING            PREPARE on the same connection              [prepare_again]
 *   PREPARING -> SENT            and the request once more, there            [send_prepared]
 *   PREPARING -> PENDING         or elsewhere: it can't be prepared there    [prepare_failed]
 *   SENT -> FOLLOWING            another request has that PREPAREd           [follow]
 *   FOLLOWING -> SENT, PENDING   and so its answer is for both               [take_answer]
 *   FOLLOWING -> PREPARING       the other waits no more, this one asks      [promote]
 *   FOLLOWING -> PENDING         the connection went, and the PREPARE        [scatter]
 */
#include "execute/unprepared.h"

#include "execute/attempt.h"
#include "execute/head.h"
#include "execute/route.h"
#include "wire/proto.h"

/* Which statement of the request the server has forgotten, and how often it has been prepared again
 * for this request; NULL: none of them. */
static cql_prepared_t *find_unprepared(cql_request_t *request, const cql__result *result,
                                       uint8_t **count) {
  cql_error_detail_t detail;
  if (cql_result_error(&result->shown, &detail) || detail.unknown_id.length < 0) return NULL;
  *count = &request->reprepares;
  if (request->prepared && cql__prepared_has_id(request->prepared, detail.unknown_id))
    return request->prepared;
  for (uint32_t i = 0; i < request->batch_prepared; i++) {
    cql__batch_item *item = &cql__request_items(request)[i];
    *count = &item->reprepares;
    if (cql__prepared_has_id(item->prepared, detail.unknown_id)) return item->prepared;
  }
  return NULL;
}

static int prepare_again(cql_request_t *request, cql__connection *connection,
                         cql_prepared_t *prepared) {
  int stream = cql__connection_take(connection, request);
  if (stream < 0) return CQL_ENOMEM;
  int error = cql__head_append_prepare(connection, prepared, (uint16_t)stream);
  if (error) {
    cql__connection_unsent(connection, stream);
    return error;
  }
  request->state = CQL__REQUEST_PREPARING;
  request->stream = (uint16_t)stream;
  request->connection = connection;
  request->preparing = prepared;
  cql__list_append(&request->engine->preparing, &request->link);
  request->engine->metrics.retries++;
  request->engine->metrics.in_flight++;
  return 0;
}

/* Who prepares it on that node already; NULL: nobody. */
static cql_request_t *find_preparing(const cql__engine *engine, const cql_node_t *node,
                                     const cql_prepared_t *prepared) {
  for (cql__list *at = engine->preparing.next; at != &engine->preparing; at = at->next) {
    cql_request_t *request = cql__request_of(at);
    if (request->preparing == prepared && cql__channel_node(request->connection) == node)
      return request;
  }
  return NULL;
}

/* A node that forgot a statement says so to many at once: one PREPARE is enough. */
static void follow(cql_request_t *request, cql_request_t *leader) {
  cql__engine *engine = request->engine;
  request->state = CQL__REQUEST_FOLLOWING;
  request->preparing = leader->preparing;
  request->owner = leader;
  cql__list_append(&engine->following, &request->link);
  engine->metrics.queued++;
}

/* The next who follows it, and does so no more; NULL: nobody does. */
static cql_request_t *next_follower(const cql_request_t *leader) {
  const cql__list *all = &leader->engine->following;
  for (cql__list *at = all->next; at != all; at = at->next) {
    cql_request_t *request = cql__request_of(at);
    if (request->owner != leader) continue;
    cql__attempt_leave_line(request);
    return request;
  }
  return NULL;
}

void cql__unprepared_promote(cql_request_t *leader, cql__connection *connection) {
  cql__engine *engine = leader->engine;
  cql_request_t *next = next_follower(leader);
  if (!next) return;
  if (!cql__connection_accepts(connection) || prepare_again(next, connection, next->preparing)) {
    for (; next; next = next_follower(leader)) cql__attempt_wait(engine, next);
    return;
  }
  for (cql__list *at = engine->following.next; at != &engine->following; at = at->next)
    if (cql__request_of(at)->owner == leader) cql__request_of(at)->owner = next;
}

int cql__unprepared_handle(cql_request_t *request, cql__connection *connection,
                           const cql__result *result) {
  if (result->shown.error_code != CQL__ERROR_UNPREPARED) return 0;
  uint8_t *count;
  cql_prepared_t *prepared = find_unprepared(request, result, &count);
  if (!prepared || *count == CQL__REPREPARES_MAX) return 0;
  ++*count;
  cql_request_t *leader = find_preparing(request->engine, cql__channel_node(connection), prepared);
  int error = 0;
  if (leader)
    follow(request, leader);
  else
    error = prepare_again(request, connection, prepared);
  if (error) cql__request_finish(request, error, 0, NULL);
  return 1;
}

/* Would every node say the same of the statement? */
static int is_of_statement(int32_t code) {
  return code == CQL__ERROR_SYNTAX || code == CQL__ERROR_INVALID ||
         code == CQL__ERROR_UNAUTHORIZED || code == CQL__ERROR_PROTOCOL;
}

/* The PREPARE failed: the server's reason is the request's, if no other node might do better. */
static void prepare_failed(cql_request_t *request, const cql__connection *connection,
                           cql__result *result) {
  cql__engine *engine = request->engine;
  int32_t code = result->shown.error_code;
  if (is_of_statement(code) || engine->closing || request->attempts >= CQL__ATTEMPTS_MAX ||
      !cql__route_leave(request, cql__channel_node(connection))) {
    cql__request_finish(request, CQL_ESERVER, code, &result->shown);
    return;
  }
  cql_result_free(&result->shown);
  engine->metrics.retries++;
  cql__attempt_wait(engine, request);
}

/* The request itself: its node knows the statement on all of its connections now. */
static int send_prepared(cql_request_t *request, const cql_node_t *node) {
  if (request->batch) cql__request_rename(request);
  return cql__attempt_again(request, node);
}

/* The answer to that PREPARE, for who asked or for one who followed. */
static void take_answer(cql_request_t *request, cql__connection *connection,
                        const cql__envelope *envelope) {
  int is_leader = request->state == CQL__REQUEST_PREPARING;
  cql__response response;
  int error = cql__response_open(envelope->header, envelope->body, envelope->size, &response);
  if (!error && response.opcode == CQL__RESULT &&
      cql__read_i32(&response.body) == CQL_RESULT_PREPARED) {
    cql__engine *engine = request->engine;
    error = cql__prepared_renew(engine, connection, &response.body, request->preparing);
    if (!error && is_leader)
      engine->tell(engine->user, CQL_EVENT_REPREPARED, request->address, request->preparing->text);
    if (!error) error = send_prepared(request, cql__channel_node(connection));
    if (error) cql__request_finish(request, error, 0, NULL);
    return;
  }
  cql__result *result = NULL;
  if (!error) error = cql__result_decode(request, connection, envelope, &result);
  if (result && result->shown.kind == CQL_RESULT_ERROR) {
    prepare_failed(request, connection, result);
    return;
  }
  if (result) cql_result_free(&result->shown);
  cql__request_finish(request, error ? error : CQL_EPREPARED, 0, NULL);
}

void cql__unprepared_answered(cql_request_t *request, cql__connection *connection,
                              const cql__envelope *envelope) {
  take_answer(request, connection, envelope);
  for (cql_request_t *next; (next = next_follower(request));)
    take_answer(next, connection, envelope);
}

void cql__unprepared_scatter(cql_request_t *leader) {
  cql__engine *engine = leader->engine;
  for (cql_request_t *next; (next = next_follower(leader));)
    if (engine->closing)
      cql__request_finish(next, CQL_ECONNECTION, 0, NULL);
    else
      cql__attempt_wait(engine, next);
}
