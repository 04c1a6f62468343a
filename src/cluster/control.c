#include "cluster/control.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"

static void next_candidate(cql__control *control);

static cql__connection_settings *settings_of(const cql__control *control) {
  return control->cluster->settings;
}

static uint64_t now_of(const cql__control *control) {
  return cql__link_now(settings_of(control)->link);
}

static void set_timer(cql__control *control, cql__timer *timer, uint64_t delay_ms) {
  cql__timer_set(settings_of(control)->wheel, timer, now_of(control) + delay_ms);
}

/* Its node's own, wherever that is reached. */
static const cql__address *address_of(const cql__control *control) {
  return control->node ? &control->node->data.address : &control->point;
}

static void tell(cql__control *control, int type, int error, const char *why) {
  control->events->told(control->cluster->user, type, address_of(control), error, why);
}

/* It goes on with another node, in a moment: this may be inside an event of the connection. */
static void leave(cql__control *control, const char *why) {
  cql__reading_stop(&control->reading);
  control->why_leaving = why;
  set_timer(control, &control->leaving, 0);
}

/* Sooner, if it was to be later. */
static void refresh_after(cql__control *control, uint64_t delay_ms) {
  uint64_t due = now_of(control) + delay_ms;
  if (cql__timer_is_set(&control->debounce) && control->debounce.due <= due) return;
  cql__timer_set(settings_of(control)->wheel, &control->debounce, due);
}

static void hurry(cql__channel *channel, void *user) {
  (void)user;
  cql__channel_hurry(channel);
}

static void set_node(cql__control *control, cql_node_t *node) {
  if (node) cql_node_ref(node);
  cql_node_unref(control->node);
  control->node = node;
}

static void on_leaving(cql__timer *timer) {
  cql__control *control = cql__container(timer, cql__control, leaving);
  cql__connection_close(&control->connection, CQL_ECONNECTION, control->why_leaving);
}

/* ---- what it reads ---- */

static void on_warned(void *owner, const char *text) { tell(owner, CQL_EVENT_WARNING, 0, text); }

static void on_nodes(void *owner, cql_node_t *own) {
  cql__control *control = owner;
  if (control->node == own) return;
  set_node(control, own);
  cql__node_each(own, hurry, NULL); /* it is up */
}

static void on_read(void *owner, int with_topology) {
  cql__control *control = owner;
  control->rounds = 0;
  cql__candidates_begin_round(&control->candidates);
  cql__candidates_note(&control->candidates, &control->point, 0);
  if (with_topology) tell(control, CQL_EVENT_TOPOLOGY, 0, "");
  cql__control_reconsider(control);
  if (control->reading.wants && !cql__timer_is_set(&control->debounce)) refresh_after(control, 0);
}

/* Another node may know better, and this one itself in a while. */
static void on_failed(void *owner, const char *why, int blind) {
  cql__control *control = owner;
  if (blind) control->events->blind(control->cluster->user, address_of(control), why);
  leave(control, why);
}

/* ---- what happens in the cluster ---- */

static void on_debounce(cql__timer *timer) {
  cql__control *control = cql__container(timer, cql__control, debounce);
  cql__reading_go_on(&control->reading);
}

void cql__control_refresh(cql__control *control) {
  control->reading.wants |= CQL__WANTS_TOPOLOGY;
  refresh_after(control, 0);
}

/* What changed the cluster comes as several events. */
static void refresh_soon(cql__control *control, uint8_t what) {
  control->reading.wants |= what;
  refresh_after(control, control->debounce_ms);
}

void cql__control_node_down(cql__control *control, const cql_node_t *node) {
  const cql__cluster *cluster = control->cluster;
  int is_here = node->at < cluster->node_count && cluster->nodes[node->at] == node;
  if (!control->reading.has_topology || control->closing || !is_here) return;
  if (control->node == node) cql__connection_check(&control->connection);
  refresh_soon(control, CQL__WANTS_TOPOLOGY);
}

static void check(cql__channel *channel, void *user) {
  (void)user;
  cql__connection_check(&channel->connection);
}

/* Where nodes are reached elsewhere nobody knows their own ports for sure. */
static int is_at(const cql_node_t *node, const cql__address *address) {
  cql__address own = node->data.address;
  if (node->cluster->elsewhere) own.port = address->port;
  return cql__address_equal(&own, address);
}

/* An event alone never takes a node up or down: it has us look at once. */
static void on_status(cql__control *control, const cql__event *event) {
  cql__address address = {.length = (uint8_t)event->address.length, .port = (uint16_t)event->port};
  if (event->address.length != 4 && event->address.length != 16) return;
  memcpy(address.bytes, event->address.data, address.length);
  const cql__cluster *cluster = control->cluster;
  int is_up = cql__slice_is(event->change, "UP"), known = 0;
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    if (!is_at(cluster->nodes[i], &address)) continue;
    cql__node_each(cluster->nodes[i], is_up ? hurry : check, NULL);
    known = 1;
  }
  if (is_up && !known) refresh_soon(control, CQL__WANTS_TOPOLOGY);
}

static int is_what(const cql__event *event, const char *target) {
  return cql__slice_is(event->schema.target, target);
}

/* Of what has changed or gone no tablet is known any more: nodes tell it anew. */
static void on_schema(cql__control *control, const cql__event *event) {
  const cql_schema_change_t *schema = &event->schema;
  cql__tablets *tablets = &control->cluster->tablets;
  if (is_what(event, "KEYSPACE")) refresh_soon(control, CQL__WANTS_KEYSPACES);
  if (cql__slice_is(schema->change, "CREATED")) return;
  if (is_what(event, "KEYSPACE"))
    cql__tablets_forget(tablets, schema->keyspace, (cql_slice_t){NULL, CQL_NULL});
  if (is_what(event, "TABLE")) cql__tablets_forget(tablets, schema->keyspace, schema->name);
}

/* What exactly has changed isn't asked: a route may give way to one that no event names. */
static void on_routes(cql__control *control, const cql__event *event) {
  const cql__client_routes *routes = &control->cluster->client_routes;
  if (!cql__reading_has_routes(&control->reading) ||
      !cql__client_routes_concern(routes, event->connection_ids))
    return;
  control->reading.wants |= CQL__WANTS_ROUTES;
  refresh_after(control, CQL__ROUTES_DEBOUNCE_MS);
}

static void on_event(void *owner, cql__connection *connection, const cql__response *response) {
  cql__control *control = owner;
  cql__cursor body = response->body;
  cql__event event;
  (void)connection;
  if (cql__event_decode(&body, &event)) {
    settings_of(control)->metrics->unknown_streams++;
    return;
  }
  control->events->database(control->cluster->user, &event);
  if (cql__slice_is(event.type, "STATUS_CHANGE")) on_status(control, &event);
  if (cql__slice_is(event.type, "TOPOLOGY_CHANGE")) refresh_soon(control, CQL__WANTS_TOPOLOGY);
  if (cql__slice_is(event.type, "SCHEMA_CHANGE")) on_schema(control, &event);
  if (cql__slice_is(event.type, "CLIENT_ROUTES_CHANGE")) on_routes(control, &event);
}

/* ---- its connection ---- */

static void on_serving(void *owner, cql__connection *connection) {
  cql__control *control = owner;
  (void)connection;
  if (control->node) cql__node_each(control->node, hurry, NULL); /* it is up */
  cql__tablets_clear(&control->cluster->tablets);                /* events may have been missed */
  control->is_told = 1;
  tell(control, CQL_EVENT_CONTROL_OPENED, 0, "");
  cql__reading_start(&control->reading);
}

static void on_answered(void *owner, cql__connection *connection, void *waiter, int stream,
                        const cql__envelope *envelope) {
  cql__control *control = owner;
  (void)connection;
  (void)waiter;
  (void)stream;
  cql__reading_answered(&control->reading, envelope);
}

static void on_oversized(void *owner, cql__connection *connection, void *waiter) {
  cql__control *control = owner;
  (void)connection;
  (void)waiter;
  cql__reading_oversized(&control->reading);
}

static void on_lost(void *owner, cql__connection *connection, void *waiter, int error) {
  (void)owner;
  (void)connection;
  (void)waiter;
  (void)error; /* `closed` follows */
}

static void on_retiring(void *owner, cql__connection *connection) {
  (void)owner;
  (void)connection;
}

/* Of no use to those who wait for it to be READY. */
static void note_failure(cql__control *control, int error, const char *why) {
  cql__candidates_note(&control->candidates, &control->point, error);
  snprintf(control->why, sizeof control->why, "%s", why);
}

static void on_closed(void *owner, cql__connection *connection, int error, const char *why) {
  cql__control *control = owner;
  int was_told = control->is_told;
  cql__timer_cancel(&control->leaving);
  cql__reading_stop(&control->reading);
  control->same = control->is_told = 0;
  control->events->closed(control->cluster->user, connection);
  if (control->closing) return;
  if (!was_told && error == CQL_EVERSION &&
      cql__cluster_lower_version(control->cluster, connection->lower_to)) {
    control->same = 1;
  } else {
    if (!was_told || !control->reading.has_read) note_failure(control, error, why);
    tell(control, was_told ? CQL_EVENT_CONTROL_CLOSED : CQL_EVENT_CONTROL_FAILED, error, why);
  }
  if (!control->closing) set_timer(control, &control->retry, 0); /* not from inside its event */
}

/* ---- whom it asks ---- */

void cql__control_reconsider(cql__control *control) {
  const cql__cluster *cluster = control->cluster;
  if (!cql__reading_is_quiet(&control->reading) || cql__candidate_is_wanted(control->node)) return;
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    const cql_node_t *node = cluster->nodes[i];
    if (!node->serving_count || !cql__candidate_is_wanted(node)) continue;
    leave(control, "its node is ignored, and others are not");
    return;
  }
}

static void end_round(cql__control *control) {
  cql__candidates_begin_round(&control->candidates);
  control->rounds++;
  set_timer(control, &control->retry, cql__backoff(control->cluster, control->rounds));
  control->events->exhausted(control->cluster->user);
}

/* The next one of this round, unless the last one is asked once more. 0: there are no more. */
static int choose(cql__control *control) {
  cql__candidate candidate;
  if (control->same) return 1;
  if (!cql__candidates_next(&control->candidates, &candidate)) return 0;
  control->point = candidate.point;
  set_node(control, candidate.node);
  return 1;
}

static void open_at(void *owner, const cql__endpoint *endpoint) {
  cql__control *control = owner;
  const char *why = endpoint->error ? endpoint->why : "the socket could not be opened";
  control->asking = 0;
  if (control->closing) return;
  int error = endpoint->error ? endpoint->error
                              : cql__connection_open(&control->connection, &endpoint->target);
  if (error) on_closed(control, &control->connection, error, why);
}

/* Contact points are where they are; nodes are reached where the host says. */
static void next_candidate(cql__control *control) {
  if (control->closing || control->asking || control->connection.state != CQL__CLOSED) return;
  if (!choose(control)) {
    end_round(control);
    return;
  }
  if (control->point.length) {
    open_at(control, &(cql__endpoint){.target = {.address = control->point}});
  } else {
    control->asking = 1;
    cql__endpoint_find(control->node, control->rounds, control, open_at);
  }
}

static void stop_asking(cql__control *control) {
  if (control->asking) cql__endpoint_forget(control->cluster, control);
  control->asking = 0;
}

static void on_retry(cql__timer *timer) {
  next_candidate(cql__container(timer, cql__control, retry));
}

void cql__control_start(cql__control *control) {
  if (control->started || !control->candidates.contact_count) return;
  control->started = 1;
  cql__candidates_begin_round(&control->candidates);
  next_candidate(control);
}

int cql__control_add(cql__control *control, const cql__address *address, uint32_t giver) {
  int added = cql__candidates_add(&control->candidates, address, giver);
  if (added > 0 && cql__timer_is_set(&control->retry)) set_timer(control, &control->retry, 0);
  return added < 0 ? added : 0;
}

int cql__control_failed(const cql__control *control, int for_good, const char **why) {
  if (control->cluster->node_count) return 0;
  int error = cql__candidates_failed(&control->candidates, for_good);
  if (error) *why = control->why;
  return error;
}

/* ---- its life ---- */

void cql__control_init(cql__control *control, cql__cluster *cluster,
                       const cql__control_events *events,
                       int (*authenticate)(void *owner, cql__connection *connection,
                                           const char *mechanism, cql_slice_t challenge)) {
  control->cluster = control->candidates.cluster = cluster;
  control->events = events;
  control->connection_events = (cql__connection_events){
      .serving = on_serving,
      .closed = on_closed,
      .answered = on_answered,
      .oversized = on_oversized,
      .lost = on_lost,
      .retiring = on_retiring,
      .authenticate = authenticate,
      .event = on_event,
  };
  cql__timer_init(&control->retry, on_retry);
  cql__timer_init(&control->leaving, on_leaving);
  cql__timer_init(&control->debounce, on_debounce);
  cql__connection_init(&control->connection, cluster->settings, &control->connection_events,
                       control);
  control->reading_events = (cql__reading_events){
      .warned = on_warned,
      .appeared = events->appeared,
      .nodes = on_nodes,
      .done = on_read,
      .failed = on_failed,
  };
  cql__reading_init(&control->reading, cluster, &control->connection, &control->reading_events,
                    control);
}

void cql__control_deinit(cql__control *control) {
  control->closing = 1;
  cql__timer_cancel(&control->retry);
  cql__timer_cancel(&control->leaving);
  cql__timer_cancel(&control->debounce);
  cql__reading_stop(&control->reading);
  stop_asking(control);
  cql__connection_deinit(&control->connection);
  set_node(control, NULL);
  cql__candidates_deinit(&control->candidates);
}

void cql__control_close(cql__control *control, int error, const char *why) {
  control->closing = 1;
  cql__timer_cancel(&control->retry);
  cql__timer_cancel(&control->debounce);
  stop_asking(control);
  cql__connection_close(&control->connection, error, why);
}
