#include "session/session.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/plant.h"
#include "wire/proto.h"

/* After the last connection has gone, and while none serves: names are looked up again. */
enum { RESOLVE_FIRST_MS = 1000, RESOLVE_AGAIN_MS = 5000 };
/* Look-ups are told apart by round and by contact point. */
enum { ROUND = 1 << 16 };

/* ---- events ---- */

void cql__session_tell(cql_session_t *session, int type, int status, const char *address,
                       const char *message) {
  cql_event_t event = {type, status, address, message, {NULL, CQL_NULL}};
  cql__queue_put(&session->queue, CQL_EVENT, 0, &event);
}

/* For what comes once: it must arrive, whatever else is lost. */
static void tell_once(cql_session_t *session, cql__notice *notice, int type, int status,
                      const char *address, const char *message) {
  cql_event_t event = {type, status, address, message, {NULL, CQL_NULL}};
  cql__queue_put_owned(&session->queue, notice, &event);
}

static void on_warning(void *user, const char *address, const char *text) {
  cql__session_tell(user, CQL_EVENT_WARNING, 0, address, text);
}

static void give_up(cql_session_t *session, int error, const char *why) {
  if (session->failed || session->ready_told) return;
  session->failed = 1;
  session->engine.closing = 1;
  snprintf(session->failed_why, sizeof session->failed_why, "%s", why);
  cql__cluster_close(&session->engine.cluster, error, why);
  cql__engine_abandon_all(&session->engine, error);
  tell_once(session, &session->failed_notice, CQL_EVENT_FAILED, error, "", session->failed_why);
}

static void on_opened(void *user, cql__node *node) {
  cql_session_t *session = user;
  cql__session_tell(session, CQL_EVENT_CONNECTION_OPENED, 0, node->text, "");
  if (!session->ready_told)
    tell_once(session, &session->ready_notice, CQL_EVENT_READY, 0, node->text, "");
  session->ready_told = 1;
}

/* Can it still become ready? Not if every contact point refuses for good; or, where the first
 * failure is to be the last, if every one has failed. */
static void check_hope(cql_session_t *session) {
  int retry = (int)session->config->connect_retry;
  const cql__cluster *cluster = &session->engine.cluster;
  if (session->names_pending || (retry && session->names_failed)) return;
  const char *why = "no contact point has an address";
  int error = cql__cluster_failed(cluster, retry, &why);
  if (!error && cluster->node_count == 0) error = CQL_ERESOLVE;
  if (error) give_up(session, error, *why ? why : cql__error_text(error));
}

static void on_failed(void *user, cql__node *node, int error, const char *why) {
  cql_session_t *session = user;
  cql__session_tell(session, CQL_EVENT_CONNECTION_FAILED, error, node->text, why);
  check_hope(session);
}

static void resolve_in(cql_session_t *session, uint64_t delay_ms) {
  uint64_t now = cql__link_now(session->engine.link);
  cql__timer_set(&session->engine.wheel, &session->resolving, now + delay_ms);
}

static void on_closed(void *user, cql__node *node, int error, const char *why) {
  cql_session_t *session = user;
  cql__session_tell(session, CQL_EVENT_CONNECTION_CLOSED, error, node->text, why);
  if (session->engine.cluster.serving_count == 0 && !session->engine.closing &&
      session->names_pending == 0)
    resolve_in(session, RESOLVE_FIRST_MS);
}

static const cql__cluster_events cluster_events = {on_opened, on_failed, on_closed};

static void on_connection_closed(void *owner, cql__connection *connection, int error,
                                 const char *why) {
  const cql__channel *channel = owner;
  cql__questions_drop(channel->node->cluster->user, connection);
  cql__cluster_on_closed(owner, connection, error, why);
}

static const cql__connection_events connection_events = {
    .serving = cql__cluster_on_serving,
    .closed = on_connection_closed,
    .answered = cql__attempt_on_answered,
    .oversized = cql__attempt_on_oversized,
    .lost = cql__attempt_on_lost,
    .used = cql__use_on_used,
    .retiring = cql__cluster_on_retiring,
    .authenticate = cql__question_authenticate,
};

static void on_socket_opened(void *user) { cql__connection_opened(user); }
static void on_socket_readable(void *user) { cql__connection_readable(user); }
static void on_socket_writable(void *user) { cql__connection_writable(user); }
static void on_socket_failed(void *user, int error, const char *why) {
  cql__connection_close(user, error, why);
}

/* ---- contact points ---- */

/* The contact point at *at and its length; 0: no more. */
static size_t next_contact(const char **at) {
  *at += strspn(*at, ", \t");
  return strcspn(*at, ", \t");
}

static const char *contact_points(const cql_session_t *session) {
  const char *text = session->config->contact_points;
  return text && *text ? text : "127.0.0.1";
}

static void name_failed(cql_session_t *session, uint32_t index, int error, const char *why) {
  const char *at = contact_points(session);
  size_t length = next_contact(&at);
  while (index-- > 0) {
    at += length;
    length = next_contact(&at);
  }
  char text[320];
  snprintf(text, sizeof text, "contact point %.*s: %s", (int)length, at, why);
  session->names_failed++;
  cql__session_tell(session, CQL_EVENT_WARNING, error, "", text);
}

static void on_resolved(void *user, uint32_t ticket, int error, const cql__address *addresses,
                        uint32_t count) {
  cql_session_t *session = user;
  uint32_t index = ticket - session->resolve_ticket;
  if (index >= ROUND || session->engine.closing) return; /* of a round that is over */
  if (session->names_pending) session->names_pending--;
  for (uint32_t i = 0; i < count; i++)
    if (cql__cluster_add(&session->engine.cluster, &addresses[i])) error = CQL_ENOMEM;
  if (error) name_failed(session, index, error, cql__error_text(error));
  cql__cluster_open(&session->engine.cluster);
  if (session->names_pending == 0) resolve_in(session, RESOLVE_AGAIN_MS);
  check_hope(session);
}

const cql__link_events cql__session_link_events = {
    on_socket_opened, on_socket_readable, on_socket_writable, on_socket_failed, on_resolved};

/* One of "host", "host:port", "[v6]", "[v6]:port", "v6". */
static int split_port(const char *text, size_t *length, uint16_t *port) {
  const char *colon = NULL;
  size_t colons = 0;
  for (size_t i = 0; i < *length; i++) {
    if (text[i] != ':') continue;
    colon = text + i;
    colons++;
  }
  const char *bracket = memchr(text, ']', *length);
  if (!colon || (bracket ? colon < bracket : colons > 1)) return 0;
  char digits[8], *end;
  size_t size = (size_t)(text + *length - colon - 1);
  if (size == 0 || size >= sizeof digits) return CQL_EOPTION;
  memcpy(digits, colon + 1, size);
  digits[size] = 0;
  long number = strtol(digits, &end, 10);
  if (*end || number < 1 || number > 65535) return CQL_EOPTION;
  *port = (uint16_t)number;
  *length = (size_t)(colon - text);
  return 0;
}

static int bad_contact(cql_session_t *session, const char *text, size_t length) {
  snprintf(session->config->error, sizeof session->config->error,
           "contact_points: \"%.*s\" is neither an address nor a name, with a port or without",
           length < 100 ? (int)length : 100, text);
  return CQL_EOPTION;
}

/* A name is looked up; an address is added, unless only names are wanted. */
static int add_contact(cql_session_t *session, uint32_t index, const char *text, size_t length,
                       int names_only) {
  uint16_t port = (uint16_t)session->config->port;
  size_t whole = length;
  char name[256];
  cql__address address;
  if (split_port(text, &length, &port) || length == 0 || length >= sizeof name)
    return bad_contact(session, text, whole);
  if (cql__address_from_text(text, length, port, &address) == 0)
    return names_only ? 0 : cql__cluster_add(&session->engine.cluster, &address);
  memcpy(name, text, length);
  name[length] = 0;
  cql__link *link = session->engine.link;
  int error = link->ops->resolve(link, name, port, session, session->resolve_ticket + index);
  if (error)
    name_failed(session, index, error, cql__error_text(error));
  else
    session->names_pending++;
  return 0;
}

static int add_contacts(cql_session_t *session, int names_only) {
  const char *at = contact_points(session);
  session->resolve_ticket += ROUND;
  session->names_pending = session->names_failed = 0;
  uint32_t index = 0;
  for (size_t length; index < ROUND && (length = next_contact(&at)) > 0; at += length) {
    int error = add_contact(session, index++, at, length, names_only);
    if (error) return error;
  }
  if (session->names_pending)
    resolve_in(session, (uint64_t)session->config->resolve_timeout_ms);
  else if (session->names_failed)
    resolve_in(session, RESOLVE_AGAIN_MS);
  return 0;
}

/* Look-ups take too long, or all connections are gone: names may mean something else by now. */
static void on_resolving(cql__timer *timer) {
  cql_session_t *session = cql__container(timer, cql_session_t, resolving);
  if (session->engine.closing) return;
  if (session->names_pending) {
    session->names_failed += session->names_pending;
    session->names_pending = 0;
    session->resolve_ticket += ROUND; /* answers that come now are of no use */
    cql__session_tell(session, CQL_EVENT_WARNING, CQL_ERESOLVE, "",
                      "contact points were not resolved within resolve_timeout_ms");
    check_hope(session);
  }
  if (session->engine.closing || session->engine.cluster.serving_count) return;
  add_contacts(session, 1);
  if (!cql__timer_is_set(timer)) resolve_in(session, RESOLVE_AGAIN_MS);
}

/* ---- new, free ---- */

static uint32_t wanted_features(const cql_config_t *config) {
  uint32_t wanted = 0;
  if (config->shard_aware) wanted |= CQL__FEATURE_SHARDS;
  if (config->shard_aware_port) wanted |= CQL__FEATURE_SHARD_PORT;
  if (config->tablets) wanted |= CQL__FEATURE_TABLETS;
  if (config->lwt_mark) wanted |= CQL__FEATURE_LWT_MARK;
  if (config->metadata_id) wanted |= CQL__FEATURE_METADATA_ID;
  if (config->rate_limit_error) wanted |= CQL__FEATURE_RATE_LIMIT;
  return wanted;
}

static void copy_settings(cql_session_t *session) {
  cql__engine *engine = &session->engine;
  const cql_config_t *config = session->config;
  cql__connection_settings *settings = &engine->settings;
  settings->link = engine->link;
  settings->pool = engine->pool;
  settings->wheel = &engine->wheel;
  settings->dirty = &engine->dirty;
  settings->metrics = &engine->metrics;
  settings->events = &connection_events;
  settings->version = config->protocol_version ? (int)config->protocol_version : CQL__VERSION_MAX;
  settings->lz4 = (int)config->compression;
  settings->compress_min = (uint32_t)config->compression_min;
  settings->connect_timeout_ms = (uint32_t)config->connect_timeout_ms;
  settings->request_timeout_ms = (uint32_t)config->request_timeout_ms;
  settings->heartbeat_ms = (uint32_t)config->heartbeat_ms;
  settings->heartbeat_timeout_ms = (uint32_t)config->heartbeat_timeout_ms;
  settings->streams_max = (uint32_t)config->streams_max;
  settings->frame_size_max = (size_t)config->frame_size_max;
  settings->throw_on_overload = (int)config->throw_on_overload;
  settings->features = wanted_features(config);
  settings->username = config->username;
  settings->password = config->password;
  settings->application_name = config->application_name;
  settings->application_version = config->application_version;
  settings->client_id = config->client_id;
  engine->consistency = (uint16_t)config->consistency;
  engine->serial_consistency = (uint16_t)config->serial_consistency;
  engine->page_size = (int32_t)config->page_size;
  engine->request_timeout_ms = (uint32_t)config->request_timeout_ms;
  engine->requests_max = (uint32_t)config->requests_max;
  engine->server_timestamps = (int)config->server_timestamps;
}

static void on_drained(cql__timer *timer);

static atomic_int sessions_alive;

int cql__sessions_alive(void) { return sessions_alive; }

int cql__session_new(const cql_config_t *config, cql__link *link, const cql__host_ops *host,
                     cql_session_t **out) {
  *out = NULL;
  cql_session_t *session = cql__zalloc(sizeof *session);
  if (!session) return CQL_ENOMEM;
  sessions_alive++;
  session->host = host;
  cql__engine *engine = &session->engine;
  engine->link = link;
  engine->pool = cql__pool_new();
  session->config = cql__config_copy(config);
  cql__queue_init(&session->queue);
  cql__list_init(&session->questions);
  cql__list_init(&engine->dirty);
  cql__list_init(&engine->fresh);
  cql__list_init(&engine->pending);
  cql__list_init(&engine->done);
  cql__wheel_init(&engine->wheel, cql__link_now(link));
  cql__rand_seed(&engine->rand, link->ops->chance(link));
  engine->warn = on_warning;
  engine->user = session;
  cql__timer_init(&session->drain, on_drained);
  cql__timer_init(&session->resolving, on_resolving);
  session->next_due = UINT64_MAX;
  int error = CQL_ENOMEM;
  if (engine->pool && session->config) {
    copy_settings(session);
    const char *keyspace = config->keyspace;
    if (keyspace && *keyspace)
      engine->settings.keyspace = cql__text_copy(keyspace, strlen(keyspace));
    if (!keyspace || !*keyspace || engine->settings.keyspace) error = 0;
  }
  cql__cluster *cluster = &engine->cluster;
  cluster->settings = &engine->settings;
  cluster->events = &cluster_events;
  cluster->user = session;
  cluster->rand = &engine->rand;
  cluster->per_node = (uint32_t)config->connections_per_node;
  cluster->reconnect_min_ms = (uint32_t)config->reconnect_min_ms;
  cluster->reconnect_max_ms = (uint32_t)config->reconnect_max_ms;
  cluster->version_pinned = config->protocol_version != 0;
  cluster->version_min = (int)config->protocol_version_min;
  if (error) {
    cql__session_free(session);
    return error;
  }
  *out = session;
  return 0;
}

int cql__session_start(cql_session_t *session) {
  int error = add_contacts(session, 0);
  if (error) return error;
  if (session->engine.cluster.node_count + session->names_pending + session->names_failed == 0)
    return bad_contact(session, "", 0);
  cql__cluster_open(&session->engine.cluster);
  check_hope(session);
  session->next_due = cql__wheel_next(&session->engine.wheel);
  return 0;
}

void cql__session_free(cql_session_t *session) {
  cql__engine *engine = &session->engine;
  engine->closing = 1;
  cql__questions_drop(session, NULL);
  cql__cluster_deinit(&engine->cluster);
  cql__engine_free_requests(engine);
  cql__shapes_deinit(&engine->shapes);
  cql__queue_deinit(&session->queue);
  cql__free(engine->settings.keyspace);
  cql__free(engine->settings.cluster_name);
  cql__free(session->use_keyspace);
  cql__config_free(session->config);
  if (engine->pool) cql__pool_retire(engine->pool);
  cql__free(session);
  sessions_alive--;
}

/* ---- steps ---- */

void cql__session_before(cql_session_t *session) {
  cql__engine *engine = &session->engine;
  cql__engine_flush(engine);
  if (cql__list_empty(&engine->pending)) return;
  cql__attempt_pending(engine); /* there may be room now, and nothing else would say so */
  cql__engine_flush(engine);
}

/* Nothing is under way that a closing session should wait for. */
static int is_drained(const cql_session_t *session) {
  const cql__engine *engine = &session->engine;
  return session->draining && !engine->metrics.in_flight && !engine->metrics.queued &&
         !session->use_request;
}

/* All that is left ends now; CLOSED is told when that has been polled. */
static void end(cql_session_t *session) {
  session->draining = 0;
  session->ended = 1;
  cql__timer_cancel(&session->drain);
  cql__engine_abandon_all(&session->engine, CQL_ECLOSED);
  cql__cluster_close(&session->engine.cluster, CQL_ECLOSED, "the session was closed");
}

/* Deadlines wait until all has been read that came before them, but not for ever. */
static int may_expire(cql_session_t *session, int more_to_read) {
  if (more_to_read && ++session->unread_steps < CQL__UNREAD_STEPS_MAX) return 0;
  session->unread_steps = 0;
  return 1;
}

void cql__session_after(cql_session_t *session, int more_to_read) {
  cql__engine *engine = &session->engine;
  uint64_t now = cql__link_now(engine->link);
  if (session->next_due != UINT64_MAX && now > session->next_due + CQL__OVERSLEPT_MS)
    cql__cluster_awake(&engine->cluster);
  if (may_expire(session, more_to_read)) cql__wheel_turn(&engine->wheel, now);
  if (!cql__list_empty(&engine->pending)) cql__attempt_pending(engine);
  cql__engine_flush(engine);
  if (is_drained(session)) end(session);
  session->next_due = cql__wheel_next(&engine->wheel);
}

int64_t cql__session_wait(cql_session_t *session) {
  cql__engine *engine = &session->engine;
  int sleeps = CQL__PLANTED(CQL__PLANT_SLEEP) && cql__list_empty(&engine->done);
  if (session->queue.count || (!sleeps && cql__engine_is_eager(engine)) || is_drained(session) ||
      session->ended != session->closed_told)
    return 0;
  uint64_t due = cql__wheel_next(&engine->wheel);
  if (due == UINT64_MAX) return -1;
  uint64_t now = cql__link_now(engine->link);
  return due > now ? (int64_t)(due - now) : 0;
}

void cql__session_submit(cql_request_t *request, uint32_t tag) {
  cql__engine *engine = request->engine;
  if (request->state != CQL__REQUEST_TAKEN) return; /* it is ours already */
  request->tag = tag;
  engine->metrics.requests++;
  int error = engine->closing ? CQL_ECLOSED : cql__request_seal(request);
  if (error) {
    cql__request_finish(request, error, 0, NULL);
    return;
  }
  cql__list_append(&engine->fresh, &request->timer.link);
  cql__attempt_start(engine, request);
}

static void fill_notice(cql_session_t *session, const cql__notice *notice, cql_completion_t *out) {
  *out = (cql_completion_t){.tag = notice->tag,
                            .kind = notice->kind,
                            .status = notice->event.status,
                            .code = notice->event.type,
                            .event = &notice->event};
  if (notice->kind == CQL_QUESTION) cql__question_delivered(session, notice->tag);
}

static uint32_t take_notices(cql_session_t *session, uint32_t max, cql_completion_t *out) {
  uint32_t count = 0;
  for (const cql__notice *notice; count < max && (notice = cql__queue_next(&session->queue));)
    fill_notice(session, notice, &out[count++]);
  return count;
}

/* What the test build may put in on purpose. */
static uint32_t plant(cql_completion_t *out, uint32_t count, uint32_t max) {
  if (CQL__PLANTED(CQL__PLANT_DOUBLE) && count > 0 && count < max) {
    out[count] = out[count - 1];
    out[count++].result = NULL;
  }
  if (CQL__PLANTED(CQL__PLANT_NEIGHBOUR) && count > 1) {
    cql_result_t *result = out[0].result;
    out[0].result = out[1].result;
    out[1].result = result;
  }
  return count;
}

static uint32_t take_done(cql_session_t *session, uint32_t max, cql_completion_t *out) {
  cql__engine *engine = &session->engine;
  uint32_t count = 0;
  while (count < max && !cql__list_empty(&engine->done)) {
    cql_request_t *request = cql__container(engine->done.next, cql_request_t, link);
    cql__list_remove(&request->link);
    if (request->use && cql__use_request_done(session, request)) continue;
    out[count++] = (cql_completion_t){.tag = request->tag,
                                      .kind = CQL_DONE,
                                      .status = request->status,
                                      .code = request->server_code,
                                      .result = request->result,
                                      .address = request->address,
                                      .attempts = request->attempts,
                                      .consistency = request->consistency};
    if (CQL__PLANTED(CQL__PLANT_LEAK) && request->status == CQL_ETIMEOUT) continue;
    cql__request_release(request);
  }
  return plant(out, count, max);
}

/* Events first, for a host that polls few at a time; but nothing follows CLOSED. */
int cql__session_poll(cql_session_t *session, uint32_t max, cql_completion_t *out) {
  cql__engine *engine = &session->engine;
  cql__queue_forget(&session->queue);
  engine->clock_read = 0; /* who waited for this may write next */
  if (max > INT32_MAX) max = INT32_MAX;
  uint32_t count = take_notices(session, max, out);
  count += take_done(session, max - count, out + count);
  if (session->ended && !session->closed_told && count < max) {
    session->closed_told = 1;
    tell_once(session, &session->closed_notice, CQL_EVENT_CLOSED, 0, "", "");
    count += take_notices(session, max - count, out + count);
  }
  return (int)count;
}

/* ---- closing ---- */

static void on_drained(cql__timer *timer) { end(cql__container(timer, cql_session_t, drain)); }

int cql__session_close(cql_session_t *session, int drain_ms) {
  cql__engine *engine = &session->engine;
  if (session->ended) return 0;
  engine->closing = session->draining = 1;
  cql__timer_cancel(&session->resolving);
  if (drain_ms <= 0 || is_drained(session)) {
    end(session);
  } else {
    uint64_t now = cql__link_now(engine->link);
    cql__timer_set(&engine->wheel, &session->drain, now + (uint64_t)drain_ms);
  }
  return 0;
}
