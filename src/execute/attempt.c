/* An attempt: a request on a connection, from its head to its answer.
 *
 *   PENDING -> SENT        a connection accepts it                       [start]
 *   SENT -> PENDING        it was lost and may be sent again             [on_lost]
 *   SENT -> PREPARING      UNPREPARED: PREPARE on the same connection    [prepare_again]
 *   PREPARING -> SENT      and the request once more, to the same node   [on_prepared]
 *   SENT -> FOLLOWING      UNPREPARED: another request has that PREPAREd [follow]
 *   FOLLOWING -> SENT      and so its answer is for both                 [on_prepared]
 *   SENT -> AGREEING       it has changed the schema                     [agreement.c]
 *   any -> DONE            [cql__request_finish]
 */
#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "execute/agreement.h"
#include "execute/result.h"
#include "execute/retry.h"
#include "execute/route.h"
#include "execute/warm.h"
#include "wire/proto.h"

/* ---- the head ---- */

/* What the connection can't express. */
static int check_version(const cql_request_t *request, const cql__connection *connection) {
  int version = connection->version;
  if (version >= 5) return 0;
  if (request->query_flags & (CQL__QUERY_KEYSPACE | CQL__QUERY_NOW)) return CQL_EUNSUPPORTED;
  if (request->opcode == CQL__PREPARE && request->keyspace_length >= 0 && !request->in_use)
    return CQL_EUNSUPPORTED;
  if (version < 4 && (request->has_unset || request->payload_length >= 0)) return CQL_EUNSUPPORTED;
  return 0;
}

static int skips_metadata(const cql_request_t *request, const cql__connection *connection) {
  const cql_prepared_t *prepared = request->prepared;
  if (!prepared || prepared->columns->shape.column_count == 0) return 0;
  return connection->features.metadata_id || (request->options & CQL_OPTION_SKIP_METADATA) != 0;
}

static size_t prepare_flags_size(int32_t keyspace_length) {
  return 4 + (keyspace_length >= 0 ? 2u + (uint32_t)keyspace_length : 0);
}

/* Sizes of what stands between header and suffix; put_head() writes exactly this much. */
static size_t head_size(const cql_request_t *request, const cql__connection *connection) {
  size_t size = CQL__HEADER_SIZE;
  int v5 = connection->version >= 5;
  if (request->payload_length >= 0) size += (size_t)request->payload_length;
  if (request->opcode == CQL__PREPARE)
    return size + request->prefix_size + (v5 ? prepare_flags_size(request->keyspace_length) : 0);
  if (request->opcode == CQL__EXECUTE) {
    size += cql__prepared_ids_size(request->prepared, connection);
  } else {
    size += request->prefix_size;
  }
  return size + 2 + (v5 ? 4 : 1);
}

static uint8_t *put_header(const cql_request_t *request, const cql__connection *connection,
                           uint16_t stream, size_t body_size, uint8_t *p) {
  uint8_t flags = request->options & CQL_OPTION_TRACING ? CQL__FLAG_TRACING : 0;
  if (request->payload_length >= 0) flags |= CQL__FLAG_PAYLOAD;
  p[0] = connection->version;
  p[1] = flags;
  cql__put_u16(p + 2, stream);
  p[4] = request->opcode;
  p = cql__put_u32(p + 5, (uint32_t)body_size);
  if (request->payload_length < 0) return p;
  return cql__put_bytes(p, cql__request_payload(request).data, (size_t)request->payload_length);
}

/* What v5 has behind the text of a PREPARE. */
static uint8_t *put_prepare_flags(uint8_t *p, cql_slice_t keyspace) {
  p = cql__put_u32(p, keyspace.length >= 0);
  if (keyspace.length < 0) return p;
  p = cql__put_u16(p, (unsigned)keyspace.length);
  return cql__put_bytes(p, keyspace.data, (size_t)keyspace.length);
}

static uint8_t *put_head(const cql_request_t *request, const cql__connection *connection,
                         uint16_t stream, size_t body_size, uint8_t *p) {
  int v5 = connection->version >= 5;
  p = put_header(request, connection, stream, body_size, p);
  if (request->opcode != CQL__EXECUTE)
    p = cql__put_bytes(p, request->body->data, request->prefix_size);
  if (request->opcode == CQL__PREPARE)
    return v5 ? put_prepare_flags(p, cql__request_keyspace(request)) : p;
  if (request->opcode == CQL__EXECUTE) {
    size_t size = cql__prepared_ids_size(request->prepared, connection);
    p = cql__put_bytes(p, request->prepared->ids, size);
  }
  p = cql__put_u16(p, request->consistency);
  uint32_t flags = request->query_flags;
  if (skips_metadata(request, connection)) flags |= CQL__QUERY_SKIP_METADATA;
  return v5 ? cql__put_u32(p, flags) : cql__put_u8(p, flags);
}

/* ---- sending ---- */

static int fits_whole(const cql__writer *writer, size_t total) {
  int compressed =
      writer->lz4 && !writer->framed && total - CQL__HEADER_SIZE >= writer->compress_min;
  return !compressed && total < CQL__REFERENCE_MIN;
}

/* Large, or to be compressed: the head apart, the body where it lies. */
static int append_parcel(cql_request_t *request, cql__connection *connection, cql__block *head,
                         size_t head_size, size_t suffix) {
  cql__parcel parcel = {.head = head->data, .head_size = head_size};
  if (suffix) {
    parcel.owner = request->body;
    parcel.body = request->body->data + request->prefix_size;
    parcel.body_size = suffix;
  }
  return cql__writer_append(&connection->writer, &parcel);
}

static int encode(cql_request_t *request, cql__connection *connection, uint16_t stream) {
  size_t head = head_size(request, connection);
  size_t suffix = request->body_size - request->prefix_size;
  size_t total = head + suffix;
  int error = 0;
  if (total - CQL__HEADER_SIZE > CQL__BODY_MAX) return CQL_ETOOBIG;
  cql__block *apart = NULL;
  uint8_t *p;
  if (fits_whole(&connection->writer, total)) {
    p = cql__writer_reserve(&connection->writer, total);
  } else {
    apart = cql__block_take(request->engine->pool, head);
    p = apart ? apart->data : NULL;
  }
  if (!p) return CQL_ENOMEM;
  uint8_t *end = put_head(request, connection, stream, total - CQL__HEADER_SIZE, p);
  assert(end == p + head); /* the size pass and the write pass agree */
  if (apart)
    error = append_parcel(request, connection, apart, head, suffix);
  else if (suffix)
    cql__put_bytes(end, request->body->data + request->prefix_size, suffix);
  cql__block_unref(apart);
  if (!error) cql__connection_sent(connection, total);
  return error;
}

/* The columns whose id goes out, or that are taken for granted: what the answer is read by. */
static void hold_columns(cql_request_t *request) {
  cql__metadata *columns = request->prepared->columns;
  if (columns == request->columns) return;
  cql__metadata_unref(request->columns);
  request->columns = cql__metadata_ref(columns);
}

static int send_on(cql_request_t *request, cql__connection *connection) {
  int error = check_version(request, connection);
  if (error) return error;
  if (request->prepared) hold_columns(request);
  int stream = cql__connection_take(connection, request);
  if (stream < 0) return CQL_ENOMEM;
  error = encode(request, connection, (uint16_t)stream);
  if (error) {
    cql__connection_unsent(connection, stream);
    return error;
  }
  request->state = CQL__REQUEST_SENT;
  request->stream = (uint16_t)stream;
  request->connection = connection;
  request->address = ((const cql__channel *)connection->owner)->node->text;
  request->sent_shard = connection->features.shard_told;
  request->attempts++;
  request->engine->metrics.in_flight++;
  return 0;
}

static void wait_in_line(cql__engine *engine, cql_request_t *request) {
  request->state = CQL__REQUEST_PENDING;
  cql__list_append(&engine->pending, &request->link);
  engine->metrics.queued++;
}

static void leave_line(cql_request_t *request) {
  cql__list_remove(&request->link);
  request->engine->metrics.queued--;
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
    wait_in_line(engine, request);
}

static cql_request_t *in_line(cql__list *link) { return cql__container(link, cql_request_t, link); }

/* Those who can't go, for what they want is not to be had, don't hold up the others. */
void cql__attempt_pending(cql__engine *engine) {
  cql__list *line = &engine->pending;
  unsigned stay = 0;
  for (cql__list *at = line->next; at != line && stay < CQL__LINE_LOOK;) {
    cql_request_t *request = in_line(at);
    int is_lost = cql__route_is_lost(request);
    cql__channel *channel = is_lost ? NULL : cql__route_choose(request);
    at = at->next;
    if (channel || is_lost) leave_line(request);
    if (channel)
      send_gathered(request, &channel->connection);
    else if (is_lost)
      cql__request_finish(request, CQL_ENOHOST, 0, NULL);
    else
      stay += cql__route_is_choosy(request) ? 1 : CQL__LINE_LOOK;
  }
}

/* Would cql__attempt_pending() do anything? */
static int may_leave_line(const cql__engine *engine) {
  const cql__list *line = &engine->pending;
  unsigned looked = 0;
  for (cql__list *at = line->next; at != line && looked < CQL__LINE_LOOK; at = at->next) {
    const cql_request_t *request = in_line(at);
    if (cql__route_is_lost(request) || cql__route_accepts(request)) return 1;
    looked += cql__route_is_choosy(request) ? 1 : CQL__LINE_LOOK;
  }
  return 0;
}

/* A USE without an answer: it may have been obeyed, or will be. */
static void doubt_keyspace(cql__connection *connection) {
  cql__connection_retire(connection, "replaced: USE has no answer, its keyspace is in doubt");
}

static void promote_follower(cql_request_t *leader, cql__connection *connection);

void cql__attempt_abandon(cql_request_t *request, int error) {
  int state = request->state;
  cql__connection *connection = request->connection;
  switch (state) {
    case CQL__REQUEST_PENDING:
    case CQL__REQUEST_FOLLOWING: leave_line(request); break;
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
  if (state == CQL__REQUEST_PREPARING) promote_follower(request, connection);
}

/* ---- UNPREPARED ---- */

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

static cql_slice_t text_slice(const char *text) {
  if (!text) return (cql_slice_t){NULL, CQL_NULL};
  return (cql_slice_t){(const uint8_t *)text, (int32_t)strlen(text)};
}

static int append_prepare(cql__connection *connection, const cql_prepared_t *prepared,
                          uint16_t stream) {
  cql_slice_t keyspace = text_slice(prepared->keyspace);
  int v5 = connection->version >= 5;
  size_t size = 4 + prepared->text_length + (v5 ? prepare_flags_size(keyspace.length) : 0);
  cql__block *block = cql__block_take(connection->settings->pool, CQL__HEADER_SIZE + size);
  if (!block) return CQL_ENOMEM;
  uint8_t *p = block->data;
  p[0] = connection->version;
  p[1] = 0;
  cql__put_u16(p + 2, stream);
  p[4] = CQL__PREPARE;
  p = cql__put_u32(p + 5, (uint32_t)size);
  p = cql__put_u32(p, (uint32_t)prepared->text_length);
  p = cql__put_bytes(p, prepared->text, prepared->text_length);
  if (v5) put_prepare_flags(p, keyspace);
  cql__parcel parcel = {.head = block->data, .head_size = CQL__HEADER_SIZE + size};
  int error = cql__writer_append(&connection->writer, &parcel);
  cql__block_unref(block);
  if (!error) cql__connection_sent(connection, CQL__HEADER_SIZE + size);
  return error;
}

static int prepare_again(cql_request_t *request, cql__connection *connection,
                         cql_prepared_t *prepared) {
  int stream = cql__connection_take(connection, request);
  if (stream < 0) return CQL_ENOMEM;
  int error = append_prepare(connection, prepared, (uint16_t)stream);
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

static cql_node_t *node_of(const cql__connection *connection) {
  return ((const cql__channel *)connection->owner)->node;
}

/* Who prepares it on that node already; NULL: nobody. */
static cql_request_t *find_preparing(const cql__engine *engine, const cql_node_t *node,
                                     const cql_prepared_t *prepared) {
  for (cql__list *at = engine->preparing.next; at != &engine->preparing; at = at->next) {
    cql_request_t *request = in_line(at);
    if (request->preparing == prepared && node_of(request->connection) == node) return request;
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
    cql_request_t *request = in_line(at);
    if (request->owner != leader) continue;
    leave_line(request);
    return request;
  }
  return NULL;
}

/* Nobody waits any more for what the leader asked: the first who followed it asks again. */
static void promote_follower(cql_request_t *leader, cql__connection *connection) {
  cql__engine *engine = leader->engine;
  cql_request_t *next = next_follower(leader);
  if (!next) return;
  if (!cql__connection_accepts(connection) || prepare_again(next, connection, next->preparing)) {
    for (; next; next = next_follower(leader)) wait_in_line(engine, next);
    return;
  }
  for (cql__list *at = engine->following.next; at != &engine->following; at = at->next)
    if (in_line(at)->owner == leader) in_line(at)->owner = next;
}

/* An UNPREPARED for which something can be done has been, or the request has ended trying. */
static int handled_unprepared(cql_request_t *request, cql__connection *connection,
                              const cql__result *result) {
  if (result->shown.error_code != CQL__ERROR_UNPREPARED) return 0;
  uint8_t *count;
  cql_prepared_t *prepared = find_unprepared(request, result, &count);
  if (!prepared || *count == CQL__REPREPARES_MAX) return 0;
  ++*count;
  cql_request_t *leader = find_preparing(request->engine, node_of(connection), prepared);
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
      !cql__route_leave(request, node_of(connection))) {
    cql__request_finish(request, CQL_ESERVER, code, &result->shown);
    return;
  }
  cql_result_free(&result->shown);
  engine->metrics.retries++;
  wait_in_line(engine, request);
}

/* Once more where it was: on that node and that shard. Where these take nothing now it is routed
 * anew. */
static int send_again(cql_request_t *request, const cql_node_t *node) {
  if (request->attempts == UINT8_MAX) request->attempts--; /* a batch of as many statements */
  cql__channel *channel = cql__route_choose_again(request, node);
  if (channel) return send_on(request, &channel->connection);
  wait_in_line(request->engine, request);
  return 0;
}

/* The request itself: its node knows the statement on all of its connections now. */
static int send_prepared(cql_request_t *request, const cql_node_t *node) {
  if (request->batch) cql__request_rename(request);
  return send_again(request, node);
}

/* The answer to a PREPARE of prepare_again(), for who asked and for each who followed. */
static void on_prepared(cql_request_t *request, cql__connection *connection,
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
    if (!error) error = send_prepared(request, node_of(connection));
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

/* ---- again ---- */

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
    if (send_again(request, node_of(connection))) return 0;
  } else {
    if (verdict != CQL__RETRY_NEXT || !cql__route_leave(request, node_of(connection))) return 0;
    wait_in_line(engine, request);
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
  cql__warm_statement(engine, result->prepared, node_of(connection));
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
    on_prepared(request, connection, envelope);
    for (cql_request_t *next; (next = next_follower(request));)
      on_prepared(next, connection, envelope);
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
  if (handled_unprepared(request, connection, result) ||
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
  promote_follower(request, connection);
}

/* They have not run. */
static void send_followers_elsewhere(cql_request_t *leader) {
  cql__engine *engine = leader->engine;
  for (cql_request_t *next; (next = next_follower(leader));)
    if (engine->closing)
      cql__request_finish(next, CQL_ECONNECTION, 0, NULL);
    else
      wait_in_line(engine, next);
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
  send_followers_elsewhere(request);
  if (engine->closing || request->use || request->errand ||
      verdict_of(request, CQL_ECONNECTION, NULL) != CQL__RETRY_NEXT) {
    cql__request_finish(request, CQL_ECONNECTION, 0, NULL);
    return;
  }
  if (!cql__route_leave(request, channel->node)) request->route.tried_count = 0;
  engine->metrics.retries++;
  wait_in_line(engine, request);
}

/* ---- all of them ---- */

/* One is sorted in, those after it with the same timeout stand beside it. */
static void stamp_deadlines(cql__engine *engine) {
  cql__list *fresh = &engine->fresh, *node = fresh->next;
  uint64_t now = cql__link_now(engine->link);
  while (node != fresh) {
    cql_request_t *first = cql__container(node, cql_request_t, timer.link);
    node = node->next;
    cql__timer_set(&engine->wheel, &first->timer, now + first->timeout_ms);
    for (; node != fresh; node = node->next) {
      cql_request_t *request = cql__container(node, cql_request_t, timer.link);
      if (request->timeout_ms != first->timeout_ms) break;
      request->timer.due = first->timer.due;
    }
    cql__timer_join(&first->timer, fresh, node);
  }
}

void cql__engine_flush(cql__engine *engine) {
  engine->clock_read = 0;
  if (!cql__list_empty(&engine->fresh)) stamp_deadlines(engine);
  while (!cql__list_empty(&engine->dirty))
    cql__connection_flush(cql__container(engine->dirty.next, cql__connection, dirty));
  cql__cluster_turn(&engine->cluster);
}

int cql__engine_is_eager(const cql__engine *engine) {
  return !cql__list_empty(&engine->done) || !cql__list_empty(&engine->fresh) ||
         !cql__list_empty(&engine->dirty) || may_leave_line(engine);
}

static void abandon(cql_request_t *request, void *user) {
  if (request->state != CQL__REQUEST_TAKEN) cql__attempt_abandon(request, *(int *)user);
}

void cql__engine_abandon_all(cql__engine *engine, int error) {
  cql__engine_each(engine, abandon, &error);
}

typedef struct cancel_tag {
  uint32_t tag;
  int count;
} cancel_tag;

static void cancel(cql_request_t *request, void *user) {
  cancel_tag *wanted = user;
  if (request->tag != wanted->tag || request->errand || request->state == CQL__REQUEST_TAKEN ||
      request->state == CQL__REQUEST_DONE)
    return;
  wanted->count++;
  cql__attempt_abandon(request, CQL_ECANCELLED);
}

int cql__engine_cancel(cql__engine *engine, uint32_t tag) {
  cancel_tag wanted = {tag, 0};
  cql__engine_each(engine, cancel, &wanted);
  return wanted.count;
}
