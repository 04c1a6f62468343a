#include "session/session.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/plant.h"
#include "execute/agreement.h"
#include "execute/attempt.h"
#include "execute/warm.h"
#include "wire/proto.h"

/* After the last connection has gone names are looked up again. */
enum { RESOLVE_FIRST_MS = 1000 };

/* ---- events ---- */

void cql__session_tell(cql_session_t *session, int type, int status, const char *address,
                       const char *message) {
  cql_event_t event = cql__event_none;
  event.type = type;
  event.status = status;
  event.address = address;
  event.message = message;
  cql__queue_put(&session->queue, CQL_EVENT, 0, &event);
}

static void tell_node(cql_session_t *session, int type, int status, cql_node_t *node,
                      const char *message) {
  cql_event_t event = cql__event_none;
  event.type = type;
  event.status = status;
  event.address = node ? node->text : "";
  event.message = message;
  event.node = node;
  cql__queue_put(&session->queue, CQL_EVENT, 0, &event);
}

void cql__session_tell_node(cql_session_t *session, int type, cql_node_t *node,
                            const char *message) {
  tell_node(session, type, 0, node, message);
}

/* For what comes once: it must arrive, whatever else is lost. */
static void tell_once(cql_session_t *session, cql__notice *notice, int type, int status,
                      const char *address, const char *message) {
  cql_event_t event = cql__event_none;
  event.type = type;
  event.status = status;
  event.address = address;
  event.message = message;
  cql__queue_put_owned(&session->queue, notice, &event);
}

static void on_tell(void *user, int type, const char *address, const char *text) {
  cql__session_tell(user, type, 0, address, text);
}

static void on_learned(void *user, cql_slice_t keyspace, cql_slice_t table) {
  cql_event_t event = cql__event_none;
  event.type = CQL_EVENT_TABLET;
  event.schema.keyspace = keyspace;
  event.schema.name = table;
  cql__queue_put(&((cql_session_t *)user)->queue, CQL_EVENT, 0, &event);
}

static void on_tell_node(void *user, int type, int status, cql_node_t *node, const char *text) {
  tell_node(user, type, status, node, text);
}

static void give_up(cql_session_t *session, int error, const char *why) {
  if (session->failed || session->ready_address) return;
  session->failed = 1;
  session->engine.closing = 1;
  snprintf(session->failed_why, sizeof session->failed_why, "%s", why);
  cql__engine_abandon_all(&session->engine, error);
  cql__control_close(&session->control, error, why);
  cql__cluster_close(&session->engine.cluster, error, why);
  tell_once(session, &session->failed_notice, CQL_EVENT_FAILED, error, "", session->failed_why);
}

static void tell_channel(cql_session_t *session, int type, const cql__channel *channel, int error,
                         const char *why) {
  cql_event_t event = cql__event_none;
  event.type = type;
  event.status = error;
  event.address = channel->node->text;
  event.message = why;
  event.node = channel->node;
  event.shard = cql__channel_shard(channel);
  cql__queue_put(&session->queue, CQL_EVENT, 0, &event);
}

static void become_ready(cql_session_t *session) {
  cql__timer_cancel(&session->readying);
  session->ready_told = 1;
  tell_once(session, &session->ready_notice, CQL_EVENT_READY, 0, session->ready_address, "");
}

/* It serves, and the first requests find their replicas: what is read of the cluster is awaited,
 * unless that ends in some other way, or takes long. */
static void check_ready(cql_session_t *session) {
  if (!session->ready_told && session->ready_address && !session->engine.closing &&
      !cql__reading_is_first(&session->control.reading))
    become_ready(session);
}

static void on_readying(cql__timer *timer) {
  become_ready(cql__container(timer, cql_session_t, readying));
}

static void on_opened(void *user, cql__channel *channel) {
  cql_session_t *session = user;
  tell_channel(session, CQL_EVENT_CONNECTION_OPENED, channel, 0, "");
  if (session->ready_address) return;
  session->ready_address = channel->node->text;
  cql__timer_set(&session->engine.wheel, &session->readying,
                 cql__link_now(session->engine.link) + CQL__READY_WAIT_MS);
  check_ready(session);
}

/* Can it still become ready? Not if every contact point refuses for good; or, where the first
 * failure is to be the last, if every one has failed. */
void cql__session_check_hope(cql_session_t *session) {
  int retry = (int)session->config->connect_retry;
  const cql__cluster *cluster = &session->engine.cluster;
  const cql__control *control = &session->control;
  if (session->names_pending || (retry && session->names_failed)) return;
  const char *why = "no contact point has an address";
  int error = cluster->node_count ? cql__cluster_failed(cluster, retry, &why)
                                  : cql__control_failed(control, retry, &why);
  if (!error && cluster->node_count + control->candidates.contact_count == 0) error = CQL_ERESOLVE;
  if (error) give_up(session, error, *why ? why : cql__error_text(error));
}

static void on_failed(void *user, cql__channel *channel, int error, const char *why) {
  cql_session_t *session = user;
  tell_channel(session, CQL_EVENT_CONNECTION_FAILED, channel, error, why);
  cql__session_check_hope(session);
}

/* What is due sooner isn't put off by those who ask once more. */
static void look_up_names(cql_session_t *session) {
  uint64_t due = cql__link_now(session->engine.link) + RESOLVE_FIRST_MS;
  if (session->engine.closing || session->names_pending) return;
  if (cql__timer_is_set(&session->resolving) && session->resolving.due <= due) return;
  cql__contacts_resolve_in(session, RESOLVE_FIRST_MS);
}

static void on_closed(void *user, cql__channel *channel, int error, const char *why) {
  cql_session_t *session = user;
  tell_channel(session, CQL_EVENT_CONNECTION_CLOSED, channel, error, why);
  if (session->engine.cluster.serving_count == 0) look_up_names(session);
}

static void on_node(void *user, int type, cql_node_t *node, const char *message) {
  cql_session_t *session = user;
  if (session->engine.closing) return;
  cql__session_tell_node(session, type, node, message);
  if (type == CQL_EVENT_NODE_DOWN) cql__control_node_down(&session->control, node);
  if (type != CQL_EVENT_NODE_UP) return;
  cql__control_reconsider(&session->control);
  cql__warm_node(&session->engine, node);
}

static const cql__cluster_events cluster_events = {
    on_opened, on_failed, on_closed, on_node, cql__question_endpoint, cql__question_forget};

/* ---- what the control connection tells ---- */

static void on_control(void *user, int type, const cql__address *address, int error,
                       const char *why) {
  cql_session_t *session = user;
  char text[CQL__ADDRESS_TEXT];
  cql__address_to_text(address, text);
  cql__session_tell(session, type, error, text, why);
  if (type == CQL_EVENT_CONTROL_FAILED || type == CQL_EVENT_CONTROL_CLOSED)
    cql__session_check_hope(session);
  check_ready(session);
  if (type != CQL_EVENT_TOPOLOGY) return;
  session->blind_told = 0;
  cql__session_check_places(session);
}

static void on_exhausted(void *user) {
  cql_session_t *session = user;
  if (session->engine.cluster.serving_count == 0) look_up_names(session);
}

static void on_blind(void *user, const cql__address *address, const char *why) {
  cql_session_t *session = user;
  char text[CQL__ADDRESS_TEXT];
  cql__address_to_text(address, text);
  if (!session->blind_told) cql__session_tell(session, CQL_EVENT_WARNING, 0, text, why);
  session->blind_told = 1;
  cql__contacts_blind(session, address);
}

static void on_appeared(void *user, cql_node_t *node) { cql__session_ask_distance(user, node); }

static void on_database(void *user, const cql__event *told) {
  cql_session_t *session = user;
  char address[CQL__ADDRESS_TEXT] = "", message[64];
  cql_event_t event = cql__event_none;
  snprintf(message, sizeof message, "%.*s", told->change.length > 0 ? told->change.length : 0,
           (const char *)told->change.data);
  event.address = address;
  event.message = message;
  if (cql__slice_is(told->type, "SCHEMA_CHANGE")) {
    event.type = CQL_EVENT_SCHEMA_CHANGE;
    cql__agreement_watch(&session->engine);
    event.schema = told->schema;
  } else if (told->address.length == 4 || told->address.length == 16) {
    int status = cql__slice_is(told->type, "STATUS_CHANGE");
    cql__address from = {.length = (uint8_t)told->address.length, .port = (uint16_t)told->port};
    memcpy(from.bytes, told->address.data, from.length);
    cql__address_to_text(&from, address);
    event.type = status ? CQL_EVENT_STATUS_CHANGE : CQL_EVENT_TOPOLOGY_CHANGE;
    event.node = cql__cluster_at(&session->engine.cluster, &from);
  } else {
    return; /* of a type that nobody registered for */
  }
  cql__queue_put(&session->queue, CQL_EVENT, 0, &event);
}

static void on_control_closed(void *user, const cql__connection *connection) {
  cql__questions_drop(user, connection);
}

static const cql__control_events control_events = {on_control,  on_exhausted, on_blind,
                                                   on_appeared, on_database,  on_control_closed};

/* ---- what connections tell ---- */

static void on_connection_closed(void *owner, cql__connection *connection, int error,
                                 const char *why) {
  cql__questions_drop(connection->settings->user, connection);
  cql__channel_on_closed(owner, connection, error, why);
}

static const cql__connection_events connection_events = {
    .serving = cql__channel_on_serving,
    .closed = on_connection_closed,
    .answered = cql__attempt_on_answered,
    .oversized = cql__attempt_on_oversized,
    .lost = cql__attempt_on_lost,
    .used = cql__use_on_used,
    .retiring = cql__channel_on_retiring,
    .authenticate = cql__question_authenticate,
};

static void on_resolved(void *user, uint32_t ticket, int error, const cql__address *addresses,
                        uint32_t count) {
  cql_session_t *session = user;
  if (ticket & CQL__ENDPOINT_TICKET)
    cql__endpoint_resolved(&session->engine.cluster, ticket, error, addresses, count);
  else
    cql__contacts_resolved(session, ticket, error, addresses, count);
}

static void on_socket_opened(void *user) { cql__connection_opened(user); }
/* Of all that a step has to say the clock is read once. */
static uint64_t step_time(cql_session_t *session) {
  if (!session->step_at) session->step_at = cql__link_now(session->engine.link);
  return session->step_at;
}

static void on_socket_readable(void *user) {
  cql__connection *connection = user;
  cql__connection_readable(connection, step_time(connection->settings->user));
}
static void on_socket_writable(void *user) { cql__connection_writable(user); }
static void on_socket_failed(void *user, int error, const char *why) {
  cql__connection_close(user, error, why);
}

const cql__link_events cql__session_link_events = {
    on_socket_opened, on_socket_readable, on_socket_writable, on_socket_failed, on_resolved};

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

#define COPY_TUNING(field)                                                                         \
  do {                                                                                             \
    int64_t remote = config->remote_##field;                                                       \
    settings->near.field = (uint32_t)config->field;                                                \
    settings->remote.field = (uint32_t)(remote == CQL__AS_OTHERS ? config->field : remote);        \
  } while (0)

static void copy_tuning(cql__connection_settings *settings, const cql_config_t *config) {
  COPY_TUNING(connections_per_node);
  COPY_TUNING(connections_per_shard);
  COPY_TUNING(connect_timeout_ms);
  COPY_TUNING(heartbeat_ms);
  COPY_TUNING(heartbeat_timeout_ms);
  COPY_TUNING(send_buffer);
  COPY_TUNING(receive_buffer);
}

static void copy_settings(cql_session_t *session) {
  cql__engine *engine = &session->engine;
  const cql_config_t *config = session->config;
  cql__connection_settings *settings = &engine->settings;
  settings->user = session;
  settings->link = engine->link;
  settings->pool = engine->pool;
  settings->wheel = &engine->wheel;
  settings->dirty = &engine->dirty;
  settings->metrics = &engine->metrics;
  settings->version = config->protocol_version ? (int)config->protocol_version : CQL__VERSION_MAX;
  settings->lz4 = (int)config->compression;
  settings->compress_min = (uint32_t)config->compression_min;
  settings->request_timeout_ms = (uint32_t)config->request_timeout_ms;
  copy_tuning(settings, config);
  settings->streams_max = (uint32_t)config->streams_max;
  settings->frame_size_max = (size_t)config->frame_size_max;
  settings->throw_on_overload = (int)config->throw_on_overload;
  settings->features = wanted_features(config);
  settings->source_port_min = (uint16_t)config->source_port_min;
  settings->source_port_max = (uint16_t)config->source_port_max;
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
  engine->leaves_datacenter = (int)config->failover_local_consistency;
  engine->prepare_on_all = (int)config->prepare_on_all;
  engine->agreement_ms = (uint32_t)config->schema_agreement_ms;
  engine->agreement_interval_ms = (uint32_t)config->schema_agreement_interval_ms;
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
  cql__list_init(&engine->preparing);
  cql__list_init(&engine->following);
  cql__list_init(&engine->statements);
  cql__list_init(&engine->warmings);
  cql__list_init(&engine->agreements);
  cql__wheel_init(&engine->wheel, cql__link_now(link));
  cql__rand_seed(&engine->rand, link->ops->chance(link));
  engine->learned = on_learned;
  engine->tell = on_tell;
  engine->tell_node = on_tell_node;
  engine->user = session;
  cql__timer_init(&session->drain, on_drained);
  cql__timer_init(&session->resolving, cql__contacts_on_timer);
  cql__timer_init(&session->deciding, cql__distances_on_timer);
  cql__timer_init(&session->readying, on_readying);
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
  cql__cluster_init(cluster);
  cluster->settings = &engine->settings;
  cluster->events = &cluster_events;
  cluster->user = session;
  cluster->rand = &engine->rand;
  cluster->connection_events = &connection_events;
  cluster->tls = (int)config->tls;
  cluster->reconnect_min_ms = (uint32_t)config->reconnect_min_ms;
  cluster->reconnect_max_ms = (uint32_t)config->reconnect_max_ms;
  cluster->resolve_timeout_ms = (uint32_t)config->resolve_timeout_ms;
  cluster->elsewhere = cluster->asks = (uint8_t)config->ask_endpoint;
  cluster->names_told = config->tls_name || config->tls_sni;
  cluster->version_pinned = config->protocol_version != 0;
  cluster->version_min = (int)config->protocol_version_min;
  session->control.reading.query_timeout_ms = CQL__CONTROL_TIMEOUT_MS;
  session->control.debounce_ms = CQL__DEBOUNCE_MS;
  cql__control_init(&session->control, cluster, &control_events, cql__question_authenticate);
  if (error) {
    cql__session_free(session);
    return error;
  }
  *out = session;
  return 0;
}

static int bad_routes(cql_session_t *session, const char *why) {
  snprintf(session->config->error, sizeof session->config->error, "client_routes %s", why);
  return CQL_EOPTION;
}

static int read_routes(cql_session_t *session) {
  const cql_config_t *config = session->config;
  cql__cluster *cluster = &session->engine.cluster;
  if (!config->client_routes || !*config->client_routes) return 0;
  if (config->ask_endpoint)
    return bad_routes(session, "and endpoint exclude each other: both say where nodes are reached");
  if (!config->discover)
    return bad_routes(session, "need to know the nodes: discover can't be false");
  cluster->elsewhere = 1;
  cluster->port = (uint16_t)config->port; /* contact points are seldom nodes */
  int error = cql__client_routes_init(&cluster->client_routes, config->client_routes, cluster->tls);
  if (error != CQL_EVALUE) return error;
  return bad_routes(session, "takes at most 100 connection ids of 1 to 255 bytes");
}

int cql__session_start(cql_session_t *session) {
  int error = read_routes(session);
  if (!error) error = cql__contacts_add(session, 0);
  if (error) return error;
  if (session->engine.cluster.node_count + session->control.candidates.contact_count +
          session->names_pending + session->names_failed ==
      0)
    return cql__contacts_bad(session, "", 0);
  cql__contacts_open(session);
  cql__session_check_hope(session);
  session->next_due = cql__wheel_next(&session->engine.wheel);
  return 0;
}

void cql__session_free(cql_session_t *session) {
  cql__engine *engine = &session->engine;
  engine->closing = 1;
  cql__questions_drop(session, NULL);
  cql__agreement_deinit(engine);
  cql__warm_deinit(engine);
  cql__control_deinit(&session->control);
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
         !session->use_request && cql__list_empty(&engine->agreements);
}

/* All that is left ends now; CLOSED is told when that has been polled. */
static void end(cql_session_t *session) {
  session->draining = 0;
  session->ended = 1;
  cql__timer_cancel(&session->drain);
  cql__engine_abandon_all(&session->engine, CQL_ECLOSED);
  cql__control_close(&session->control, CQL_ECLOSED, "the session was closed");
  cql__cluster_close(&session->engine.cluster, CQL_ECLOSED, "the session was closed");
}

/* Deadlines wait until all has been read that came before them, but not for ever. */
static int may_expire(cql_session_t *session, int more_to_read) {
  if (more_to_read && ++session->unread_steps < CQL__UNREAD_STEPS_MAX) return 0;
  session->unread_steps = 0;
  return 1;
}

static void awake(cql_session_t *session) {
  cql__cluster_awake(&session->engine.cluster);
  cql__connection_awake(&session->control.connection);
}

void cql__session_after(cql_session_t *session, int more_to_read) {
  cql__engine *engine = &session->engine;
  uint64_t now = step_time(session);
  session->step_at = 0;
  if (session->next_due != UINT64_MAX && now > session->next_due + CQL__OVERSLEPT_MS)
    awake(session);
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

int cql__session_agreement(cql_session_t *session, uint32_t timeout_ms, uint32_t tag) {
  cql_request_t *request = cql__request_take(&session->engine);
  if (!request) return CQL_ENOMEM;
  request->tag = tag;
  session->engine.metrics.requests++;
  int error = cql__agreement_ask(request, timeout_ms);
  if (error) cql__request_release(request);
  return error;
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
    cql_request_t *request = cql__request_of(engine->done.next);
    cql__list_remove(&request->link);
    if (request->on_done && request->on_done(request)) continue;
    out[count++] = (cql_completion_t){.tag = request->tag,
                                      .kind = CQL_DONE,
                                      .status = request->status,
                                      .code = request->server_code,
                                      .result = request->result,
                                      .address = request->address,
                                      .attempts = request->attempts,
                                      .shard = request->sent_shard,
                                      .consistency = request->consistency,
                                      .schema_agreed = request->schema_agreed};
    if (CQL__PLANTED(CQL__PLANT_LEAK) && request->status == CQL_ETIMEOUT) continue;
    if (CQL__PLANTED(CQL__PLANT_CRASH) && request->status == CQL_ETIMEOUT) abort();
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
  cql__agreement_abandon_all(engine, CQL_ECLOSED);
  cql__timer_cancel(&session->resolving);
  cql__timer_cancel(&session->deciding);
  cql__timer_cancel(&session->readying);
  if (drain_ms <= 0 || is_drained(session)) {
    end(session);
  } else {
    uint64_t now = cql__link_now(engine->link);
    cql__timer_set(&engine->wheel, &session->drain, now + (uint64_t)drain_ms);
  }
  return 0;
}
