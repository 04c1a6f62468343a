#include "cluster/control.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "message/metadata.h"
#include "message/request.h"
#include "wire/proto.h"

/* Nodes with 256 tokens each take some 6 kB: a page is read and taken apart in well under 1 ms. */
enum { PAGE_ROWS = 64 };
/* More rows than a cluster can have: there is no end to what it tells. */
enum { PAGES_MAX = 1024 };

enum {
  OPENING,
  REGISTER,
  ROUTES,
  ROUTES_READ,
  LOCAL,
  LOCAL_ADDRESS,
  PEERS_V2,
  PEERS,
  SORTING,
  KEYSPACES,
  TABLETS,
  QUIET,
  LEAVING
};

static const char UNREADABLE[] = "the node's answer to who is in the cluster can't be read";

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

/* ---- what it asks ---- */

static int send_message(cql__control *control, uint8_t opcode, const uint8_t *body, size_t size) {
  cql__connection *c = &control->connection;
  int stream = cql__connection_take(c, control);
  if (stream < 0) return CQL_ENOMEM;
  uint8_t head[CQL__HEADER_SIZE] = {c->version, 0, 0, 0, opcode};
  cql__put_u16(head + 2, (unsigned)stream);
  cql__put_u32(head + 5, (uint32_t)size);
  cql__parcel parcel = {.head = head, .head_size = sizeof head, .body = body, .body_size = size};
  int error = cql__writer_append(&c->writer, &parcel);
  if (error) {
    cql__connection_unsent(c, stream);
    return error;
  }
  cql__connection_sent(c, sizeof head + size);
  set_timer(control, &control->deadline, control->query_timeout_ms);
  return 0;
}

/* Client routes are asked for, of a ScyllaDB. */
static int has_routes(const cql__control *control) {
  return control->cluster->client_routes.query && control->connection.features.is_scylla;
}

static int hears_of_routes(const cql__control *control) {
  return has_routes(control) && !control->no_route_events;
}

static int send_register(cql__control *control) {
  static const char *const types[] = {"TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE",
                                      "CLIENT_ROUTES_CHANGE"};
  uint8_t body[128];
  size_t size = cql__register_encode(types, hears_of_routes(control) ? 4 : 3, body, sizeof body);
  return send_message(control, CQL__REGISTER, body, size);
}

static int send_query(cql__control *control, const char *text) {
  size_t length = strlen(text), size = 4 + length + 2 + 4 + 4 + 4 + control->paging_size;
  cql__block *block = cql__block_take(settings_of(control)->pool, size);
  if (!block) return CQL_ENOMEM;
  uint32_t flags = CQL__QUERY_PAGE_SIZE | (control->paging ? CQL__QUERY_PAGING_STATE : 0);
  uint8_t *p = cql__put_u32(block->data, (uint32_t)length);
  p = cql__put_bytes(p, text, length);
  p = cql__put_u16(p, CQL_ONE);
  p = control->connection.version >= 5 ? cql__put_u32(p, flags) : cql__put_u8(p, flags);
  p = cql__put_u32(p, PAGE_ROWS);
  if (control->paging) {
    p = cql__put_u32(p, (uint32_t)control->paging_size);
    p = cql__put_bytes(p, control->paging->data, control->paging_size);
  }
  int error = send_message(control, CQL__QUERY, block->data, (size_t)(p - block->data));
  cql__block_unref(block);
  return error;
}

/* ---- what it reads ---- */

/* Where rows were read, for what they don't tell. Where nodes are reached elsewhere the port is
 * that of the first contact point for all of them, so that they stay where they are, whoever is
 * asked. */
static cql__address place_of(const cql__control *control) {
  cql__cluster *cluster = control->cluster;
  cql__address place = control->connection.address;
  if (!cluster->elsewhere) return place;
  if (!cluster->port) cluster->port = place.port;
  place.port = cluster->port;
  return place;
}

static int take_local(cql__control *control, cql__cursor *rows) {
  cql__address at = place_of(control);
  return cql__draft_local(&control->draft, rows, &at, 6);
}

static int take_local_address(cql__control *control, cql__cursor *rows) {
  cql__address at = place_of(control);
  return cql__draft_local(&control->draft, rows, &at, 8);
}

static int take_peer_v2(cql__control *control, cql__cursor *rows) {
  cql__address at = place_of(control);
  return cql__draft_peer(&control->draft, rows, &at, 8);
}

static int take_peer(cql__control *control, cql__cursor *rows) {
  cql__address at = place_of(control);
  return cql__draft_peer(&control->draft, rows, &at, 7);
}

static int take_routes(cql__control *control, cql__cursor *rows) {
  return cql__client_routes_take(&control->cluster->client_routes, rows);
}

static int take_keyspace(cql__control *control, cql__cursor *rows) {
  cql_slice_t name = cql__read_bytes(rows), replication = cql__read_bytes(rows);
  if (rows->broken) return CQL_EMALFORMED;
  return name.length < 0 ? 0 : cql__routing_tell(&control->cluster->routing, name, replication);
}

/* ScyllaDB: those whose tables have tablets. */
static int take_tablets(cql__control *control, cql__cursor *rows) {
  cql__cluster *cluster = control->cluster;
  cql_slice_t name = cql__read_bytes(rows), tablets = cql__read_bytes(rows);
  if (rows->broken || name.length < 0) return CQL_EMALFORMED;
  if (tablets.length < 0) return 0;
  cql__keyspace *keyspace = cql__routing_keyspace(&cluster->routing, name);
  if (!keyspace || cql__tablets_keyspace(&cluster->tablets, name, 1)) return CQL_ENOMEM;
  keyspace->tablets = cluster->routing.reading;
  return 0;
}

/* Those that were not told of have none, or none any more. */
static void forget_tablets(cql__cluster *cluster) {
  for (uint32_t i = 0; i < cluster->routing.keyspace_count; i++) {
    cql__keyspace *keyspace = cluster->routing.keyspaces[i];
    if (keyspace->tablets == 0 || keyspace->tablets == cluster->routing.reading) continue;
    cql_slice_t name = {(const uint8_t *)keyspace->name->text, (int32_t)keyspace->name->length};
    cql__tablets_keyspace(&cluster->tablets, name, 0);
    keyspace->tablets = 0;
  }
}

/* What is asked in a step, how many columns its rows must have, who takes each, what follows, and
 * what follows instead if the server refuses the question, as where it knows no such table; OPENING
 * there: it must answer. */
typedef struct step {
  const char *query;
  uint32_t columns;
  int (*take)(cql__control *control, cql__cursor *rows);
  uint8_t next, otherwise;
  uint8_t one_row;
} step;

static const step steps[] = {
    [REGISTER] = {NULL, 0, NULL, ROUTES, ROUTES, 1},
    [ROUTES] = {NULL, CQL__CLIENT_ROUTE_COLUMNS, take_routes, ROUTES_READ, ROUTES_READ, 0},
    [LOCAL] = {"SELECT " CQL__LOCAL_COLUMNS " FROM system.local WHERE key='local'", 6, take_local,
               PEERS_V2, OPENING, 1},
    [LOCAL_ADDRESS] = {"SELECT " CQL__LOCAL_COLUMNS CQL__LOCAL_ADDRESS_COLUMNS
                       " FROM system.local WHERE key='local'",
                       8, take_local_address, PEERS_V2, OPENING, 1},
    [PEERS_V2] = {"SELECT " CQL__PEERS_V2_COLUMNS " FROM system.peers_v2", 8, take_peer_v2, SORTING,
                  PEERS, 0},
    [PEERS] = {"SELECT " CQL__PEERS_COLUMNS " FROM system.peers", 7, take_peer, SORTING, OPENING,
               0},
    [KEYSPACES] = {"SELECT keyspace_name, replication FROM system_schema.keyspaces", 2,
                   take_keyspace, TABLETS, QUIET, 0},
    [TABLETS] = {"SELECT keyspace_name, initial_tablets FROM system_schema.scylla_keyspaces", 2,
                 take_tablets, QUIET, QUIET, 0},
};

static void forget_paging(cql__control *control) {
  if (control->paging) cql__block_unref(control->paging);
  control->paging = NULL;
  control->paging_size = 0;
}

static void forget_rows(cql__control *control) {
  if (control->rows_owner) cql__block_unref(control->rows_owner);
  control->rows_owner = NULL;
  control->rows_left = 0;
}

static void forget_reading(cql__control *control) {
  cql__timer_cancel(&control->slice);
  forget_rows(control);
  forget_paging(control);
  cql__draft_deinit(&control->draft);
  cql__client_routes_forget(&control->cluster->client_routes);
}

/* It goes on with another node, in a moment: this may be inside an event of the connection. */
static void leave(cql__control *control, const char *why) {
  forget_reading(control);
  control->step = LEAVING;
  control->leaving = why;
  set_timer(control, &control->deadline, 0);
}

/* What it said is of no use; another may know better, and it itself in a while. */
static void go_blind(cql__control *control, const char *why) {
  control->events->blind(control->cluster->user, address_of(control), why);
  leave(control, why);
}

static void note_contact(cql__control *control, int error) {
  for (uint32_t i = 0; i < control->contact_count; i++)
    if (cql__address_equal(&control->contacts[i].address, &control->point))
      control->contacts[i].last_error = error;
}

static void enter(cql__control *control, uint8_t to);

/* Sooner, if it was to be later. */
static void refresh_after(cql__control *control, uint64_t delay_ms) {
  uint64_t due = now_of(control) + delay_ms;
  if (cql__timer_is_set(&control->debounce) && control->debounce.due <= due) return;
  cql__timer_set(settings_of(control)->wheel, &control->debounce, due);
}

/* Once for the same numbers: the rows are likely to stay as they are. */
static void tell_skipped(cql__control *control) {
  const cql__draft *draft = &control->draft;
  char text[128];
  int unknown = !draft->builder;
  if (control->bad_rows == draft->bad_rows && control->bad_tokens == draft->bad_tokens &&
      control->unknown_partitioner == unknown)
    return;
  control->bad_rows = draft->bad_rows;
  control->bad_tokens = draft->bad_tokens;
  control->unknown_partitioner = (uint8_t)unknown;
  if (unknown)
    tell(control, CQL_EVENT_WARNING, 0,
         "its partitioner is not known: requests are not sent by their tokens");
  if (!draft->bad_rows && !draft->bad_tokens) return;
  snprintf(text, sizeof text, "of what it tells of nodes %u rows and %u tokens are of no use",
           draft->bad_rows, draft->bad_tokens);
  tell(control, CQL_EVENT_WARNING, 0, text);
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

/* The first row was its own. */
static void identify(cql__control *control) {
  cql_node_t *node = control->draft.nodes[0].node;
  if (control->node == node) return;
  set_node(control, node);
  cql__node_each(node, hurry, NULL); /* it is up */
}

/* ---- client routes ---- */

/* Told of once: a server that is none may be meant for tests. */
static void tell_no_routes(cql__control *control) {
  const cql__client_routes *routes = &control->cluster->client_routes;
  if (control->no_routes_told) return;
  control->no_routes_told = 1;
  tell(control, CQL_EVENT_WARNING, 0,
       routes->is_known ? "the node has no table of client routes: they stay as they were"
                        : "the node has no table of client routes: nodes are sought at their own "
                          "addresses");
}

static void on_route(void *user, const uint8_t host_id[16]) {
  cql_node_t *node = cql__cluster_find(user, host_id);
  if (node) cql__node_reopen(node, "replaced: the node's client route has changed");
}

/* They have been read, unless the node refused. */
static void finish_routes(cql__control *control) {
  cql__client_routes *routes = &control->cluster->client_routes;
  if (!routes->reading) {
    tell_no_routes(control);
    return;
  }
  cql__client_routes_end(routes, on_route, control->cluster);
  if (routes->bad_rows && routes->bad_rows != control->bad_routes) {
    char text[96];
    snprintf(text, sizeof text, "%u rows of its client routes are of no use", routes->bad_rows);
    tell(control, CQL_EVENT_WARNING, 0, text);
  }
  control->bad_routes = routes->bad_rows;
}

/* What else is wanted. */
static uint8_t after_routes(const cql__control *control) {
  if (!control->has_read || control->wants_topology) return LOCAL;
  return control->wants_keyspaces ? KEYSPACES : QUIET;
}

/* ---- slices ---- */

/* A slice of the rows is taken, then the host has its turn. When all are, it goes on. */
static void take_rows(cql__control *control) {
  const step *s = &steps[control->step];
  int error = 0;
  for (int i = 0; i < PAGE_ROWS && control->rows_left > 0 && !error; i++) {
    error = s->take(control, &control->rows);
    control->rows_left--;
  }
  if (error) {
    go_blind(control, UNREADABLE);
  } else if (control->rows_left > 0) {
    set_timer(control, &control->slice, 0);
  } else {
    forget_rows(control);
    enter(control, control->paging ? control->step : s->next);
  }
}

/* Likewise of the tokens. When all are sorted the draft comes into force. */
static void sort_tokens(cql__control *control) {
  int sorted = cql__draft_sort(&control->draft);
  if (sorted == 0) {
    set_timer(control, &control->slice, 0);
    return;
  }
  int error = sorted < 0 ? sorted : cql__draft_apply(&control->draft, control->events->appeared);
  if (error) {
    go_blind(control, cql__error_text(error));
    return;
  }
  control->has_topology = 1;
  identify(control);
  tell_skipped(control);
  cql__draft_deinit(&control->draft);
  enter(control, KEYSPACES);
}

/* What was read comes into force here, not within an event of a connection: others are closed. */
static void on_slice(cql__timer *timer) {
  cql__control *control = cql__container(timer, cql__control, slice);
  if (control->step == SORTING) {
    sort_tokens(control);
  } else if (control->step == ROUTES_READ) {
    finish_routes(control);
    enter(control, after_routes(control));
  } else {
    take_rows(control);
  }
}

/* A round begins with the nodes, from a random one on. */
static void begin_round(cql__control *control) {
  control->position = control->asked = control->anyone = 0;
  control->offset = (uint32_t)(cql__rand_next(control->cluster->rand) >> 33);
}

static void finish_reading(cql__control *control) {
  int was_topology = control->reads_topology;
  cql__routing_end(&control->cluster->routing);
  forget_tablets(control->cluster);
  control->reads_topology = 0;
  control->has_read = 1;
  control->rounds = 0;
  begin_round(control);
  note_contact(control, 0);
  if (was_topology) tell(control, CQL_EVENT_TOPOLOGY, 0, "");
  cql__control_reconsider(control);
  if (cql__timer_is_set(&control->debounce)) return; /* then it will be seen to */
  if (control->wants_topology || control->wants_keyspaces || control->wants_routes)
    refresh_after(control, 0);
}

static void begin(cql__control *control, uint8_t to) {
  control->pages = 0;
  if (to == ROUTES) {
    control->wants_routes = 0;
    cql__client_routes_begin(&control->cluster->client_routes);
  }
  if (to == KEYSPACES) {
    control->wants_keyspaces = 0;
    cql__routing_begin(&control->cluster->routing);
  }
  if (to != LOCAL && to != LOCAL_ADDRESS) return;
  control->wants_topology = 0;
  control->reads_topology = 1;
  cql__draft_deinit(&control->draft);
  cql__draft_init(&control->draft, control->cluster);
}

static int ask(cql__control *control) {
  if (control->step == REGISTER) return send_register(control);
  if (control->step == ROUTES) return send_query(control, control->cluster->client_routes.query);
  return send_query(control, steps[control->step].query);
}

static void enter(cql__control *control, uint8_t to) {
  int error = 0;
  if (to == ROUTES && !has_routes(control)) {
    if (control->cluster->client_routes.query) tell_no_routes(control);
    to = after_routes(control);
  }
  if (to == LOCAL && control->cluster->elsewhere) to = LOCAL_ADDRESS;
  if (to == TABLETS && !control->connection.features.tablets) to = QUIET;
  if (to != control->step) begin(control, to);
  control->step = to;
  if (to == QUIET)
    finish_reading(control);
  else if (to == SORTING || to == ROUTES_READ)
    set_timer(control, &control->slice, 0);
  else
    error = ask(control);
  if (error) leave(control, "no memory for a question of the control connection");
}

static int keep_paging(cql__control *control, cql_slice_t state) {
  forget_paging(control);
  if (state.length < 0) return 0;
  control->paging = cql__block_take(settings_of(control)->pool, (size_t)state.length + 1);
  if (!control->paging) return CQL_ENOMEM;
  control->paging_size = (size_t)state.length;
  cql__put_bytes(control->paging->data, state.data, control->paging_size);
  return 0;
}

/* Its rows are taken next. A server that knows no pages tells all at once. */
static int open_page(cql__control *control, const step *s, cql__cursor body, cql__block *owner) {
  cql__rows_head head;
  if (cql__read_i32(&body) != CQL_RESULT_ROWS || cql__rows_head_decode(&body, NULL, &head) ||
      head.column_count != s->columns)
    return CQL_EMALFORMED;
  int32_t count = cql__read_i32(&body);
  if (body.broken || (s->one_row && count < 1)) return CQL_EMALFORMED;
  control->rows = body;
  control->rows_left = s->one_row ? 1 : count;
  control->rows_owner = cql__block_ref(owner);
  if (s->one_row) return 0;
  int error = keep_paging(control, head.paging_state);
  return control->paging && ++control->pages > PAGES_MAX ? CQL_EMALFORMED : error;
}

/* Is the question at fault, rather than this moment [spec 9]? */
static int is_refused(cql__cursor body) {
  int32_t code;
  cql_slice_t message;
  if (cql__error_open(&body, &code, &message)) return 0;
  return code == CQL__ERROR_PROTOCOL || code >> 12 == 2;
}

static void on_error(cql__control *control, const step *s, const cql__response *response) {
  forget_paging(control);
  if (!s->otherwise || !is_refused(response->body)) {
    go_blind(control, "the node refuses to tell who is in the cluster");
    return;
  }
  if (control->step == ROUTES) cql__client_routes_forget(&control->cluster->client_routes);
  if (control->step == REGISTER && hears_of_routes(control)) {
    control->no_route_events = 1;
    tell(control, CQL_EVENT_WARNING, 0, "the node refuses to tell of changed client routes");
    enter(control, REGISTER);
    return;
  }
  if (control->step == REGISTER)
    tell(control, CQL_EVENT_WARNING, 0, "the node refuses to tell of events");
  enter(control, s->otherwise);
}

static void on_answer(cql__control *control, const cql__response *response, cql__block *owner) {
  const step *s = &steps[control->step];
  if (response->opcode == CQL__ERROR) {
    on_error(control, s, response);
    return;
  }
  if (control->step == REGISTER && response->opcode == CQL__READY) {
    enter(control, s->next);
    return;
  }
  int is_page = response->opcode == CQL__RESULT && s->take;
  if (is_page && open_page(control, s, response->body, owner) == 0)
    take_rows(control);
  else
    go_blind(control, UNREADABLE);
}

static void on_deadline(cql__timer *timer) {
  cql__control *control = cql__container(timer, cql__control, deadline);
  const char *why = control->leaving;
  if (!why) why = "no answer to a question of the control connection";
  cql__connection_close(&control->connection, CQL_ECONNECTION, why);
}

/* ---- what happens in the cluster ---- */

static void on_debounce(cql__timer *timer) {
  cql__control *control = cql__container(timer, cql__control, debounce);
  if (control->step != QUIET) return; /* when that is done; opening reads everything */
  if (control->wants_topology || control->wants_routes)
    enter(control, ROUTES);
  else if (control->wants_keyspaces) /* or it has been read since */
    enter(control, KEYSPACES);
}

void cql__control_refresh(cql__control *control) {
  control->wants_topology = 1;
  refresh_after(control, 0);
}

/* What changed the cluster comes as several events. */
static void refresh_soon(cql__control *control, uint8_t *what) {
  *what = 1;
  refresh_after(control, control->debounce_ms);
}

void cql__control_node_down(cql__control *control, const cql_node_t *node) {
  const cql__cluster *cluster = control->cluster;
  int is_here = node->at < cluster->node_count && cluster->nodes[node->at] == node;
  if (!control->has_topology || control->closing || !is_here) return;
  if (control->node == node) cql__connection_check(&control->connection);
  refresh_soon(control, &control->wants_topology);
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
  if (is_up && !known) refresh_soon(control, &control->wants_topology);
}

static int is_what(const cql__event *event, const char *target) {
  return cql__slice_is(event->schema.target, target);
}

/* Of what has changed or gone no tablet is known any more: nodes tell it anew. */
static void on_schema(cql__control *control, const cql__event *event) {
  const cql_schema_change_t *schema = &event->schema;
  cql__tablets *tablets = &control->cluster->tablets;
  if (is_what(event, "KEYSPACE")) refresh_soon(control, &control->wants_keyspaces);
  if (cql__slice_is(schema->change, "CREATED")) return;
  if (is_what(event, "KEYSPACE"))
    cql__tablets_forget(tablets, schema->keyspace, (cql_slice_t){NULL, CQL_NULL});
  if (is_what(event, "TABLE")) cql__tablets_forget(tablets, schema->keyspace, schema->name);
}

/* What exactly has changed isn't asked: a route may give way to one that no event names. */
static void on_routes(cql__control *control, const cql__event *event) {
  const cql__client_routes *routes = &control->cluster->client_routes;
  if (!has_routes(control) || !cql__client_routes_concern(routes, event->connection_ids)) return;
  control->wants_routes = 1;
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
  if (cql__slice_is(event.type, "TOPOLOGY_CHANGE")) refresh_soon(control, &control->wants_topology);
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
  enter(control, REGISTER);
}

static void on_answered(void *owner, cql__connection *connection, void *waiter, int stream,
                        const cql__envelope *envelope) {
  cql__control *control = owner;
  cql__response response;
  (void)waiter;
  (void)stream;
  cql__timer_cancel(&control->deadline);
  if (cql__response_open(envelope->header, envelope->body, envelope->size, &response))
    go_blind(control, "the node's answer can't be decoded");
  else
    on_answer(control, &response, envelope->owner);
  (void)connection;
}

static void on_oversized(void *owner, cql__connection *connection, void *waiter) {
  (void)connection;
  (void)waiter;
  go_blind(owner, "the node's answer is larger than frame_size_max");
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
  note_contact(control, error);
  snprintf(control->why, sizeof control->why, "%s", why);
}

static void on_closed(void *owner, cql__connection *connection, int error, const char *why) {
  cql__control *control = owner;
  int was_told = control->is_told;
  cql__timer_cancel(&control->deadline);
  forget_reading(control);
  control->step = OPENING;
  control->same = control->is_told = control->no_route_events = 0;
  control->events->closed(control->cluster->user, connection);
  if (control->closing) return;
  if (!was_told && error == CQL_EVERSION &&
      cql__cluster_lower_version(control->cluster, connection->lower_to)) {
    control->same = 1;
  } else {
    if (!control->has_read) note_failure(control, error, why);
    tell(control, was_told ? CQL_EVENT_CONTROL_CLOSED : CQL_EVENT_CONTROL_FAILED, error, why);
  }
  if (!control->closing) set_timer(control, &control->retry, 0); /* not from inside its event */
}

/* ---- whom it asks ---- */

static int is_wanted(const cql_node_t *node) {
  return node->undecided || node->distance != CQL_DISTANCE_IGNORED;
}

/* Behind one address there may be several nodes. */
static int is_wanted_at(const cql__control *control, const cql__address *address) {
  const cql__cluster *cluster = control->cluster;
  int known = 0;
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    if (!cql__address_equal(&cluster->nodes[i]->data.address, address)) continue;
    if (is_wanted(cluster->nodes[i])) return 1;
    known = 1;
  }
  return !known;
}

/* An address that several contact points stand for is one candidate. */
static int is_repeated(const cql__control *control, uint32_t index) {
  for (uint32_t i = 0; i < index; i++)
    if (cql__address_equal(&control->contacts[i].address, &control->contacts[index].address))
      return 1;
  return 0;
}

/* The next candidate of this round: nodes from a random one on, then contact points likewise. Nodes
 * that are ignored are not asked, unless there are no others. 0: there are no more. */
static int choose(cql__control *control) {
  const cql__cluster *cluster = control->cluster;
  uint32_t nodes = cluster->node_count, all = nodes + control->contact_count;
  while (control->position < all || (!control->asked && !control->anyone)) {
    if (control->position >= all) {
      control->position = 0;
      control->anyone = 1;
      continue;
    }
    uint32_t at = control->position++;
    cql_node_t *node = at < nodes ? cluster->nodes[(control->offset + at) % nodes] : NULL;
    cql__address point = {.length = 0};
    if (!node) {
      uint32_t index = (control->offset + at - nodes) % control->contact_count;
      if (is_repeated(control, index)) continue;
      point = control->contacts[index].address;
    }
    int wanted = node ? is_wanted(node) : is_wanted_at(control, &point);
    if (!wanted && !control->anyone) continue;
    control->asked = 1;
    control->point = point;
    set_node(control, node);
    return 1;
  }
  return 0;
}

void cql__control_reconsider(cql__control *control) {
  const cql__cluster *cluster = control->cluster;
  if (control->step != QUIET || is_wanted(control->node)) return;
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    const cql_node_t *node = cluster->nodes[i];
    if (!node->serving_count || !is_wanted(node)) continue;
    leave(control, "its node is ignored, and others are not");
    return;
  }
}

static void end_round(cql__control *control) {
  begin_round(control);
  control->rounds++;
  set_timer(control, &control->retry, cql__backoff(control->cluster, control->rounds));
  control->events->exhausted(control->cluster->user);
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
  if (!control->same && !choose(control)) {
    end_round(control);
    return;
  }
  control->leaving = NULL;
  control->has_read = 0;
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
  if (control->started || !control->contact_count) return;
  control->started = 1;
  begin_round(control);
  next_candidate(control);
}

int cql__control_add(cql__control *control, const cql__address *address, uint32_t giver) {
  cql__contact contact = {*address, giver, 0};
  int is_new = 1;
  for (uint32_t i = 0; i < control->contact_count; i++) {
    const cql__contact *other = &control->contacts[i];
    if (!cql__address_equal(&other->address, address)) continue;
    if (other->giver == giver) return 0;
    contact.last_error = other->last_error;
    is_new = 0;
  }
  cql__contact *contacts =
      cql__realloc(control->contacts, (control->contact_count + 1) * sizeof *contacts);
  if (!contacts) return CQL_ENOMEM;
  control->contacts = contacts;
  contacts[control->contact_count++] = contact;
  if (is_new && cql__timer_is_set(&control->retry)) set_timer(control, &control->retry, 0);
  return 0;
}

void cql__control_keep(cql__control *control, uint32_t giver, const cql__address *addresses,
                       uint32_t count) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < control->contact_count; i++) {
    const cql__contact *contact = &control->contacts[i];
    int keeps = contact->giver != giver;
    for (uint32_t k = 0; k < count && !keeps; k++)
      keeps = cql__address_equal(&contact->address, &addresses[k]);
    if (keeps) control->contacts[kept++] = *contact;
  }
  control->contact_count = kept;
}

int cql__control_is_reading(const cql__control *control) {
  return control->has_topology && !control->has_read && control->step != OPENING &&
         control->step != LEAVING;
}

int cql__control_failed(const cql__control *control, int for_good, const char **why) {
  if (control->cluster->node_count) return 0;
  int first = 0;
  for (uint32_t i = 0; i < control->contact_count; i++) {
    int error = control->contacts[i].last_error;
    if (!error || (for_good && !cql__error_is_final(error))) return 0;
    if (!first) first = error;
  }
  if (first) *why = control->why;
  return first;
}

/* ---- its life ---- */

void cql__control_init(cql__control *control, cql__cluster *cluster,
                       const cql__control_events *events,
                       int (*authenticate)(void *owner, cql__connection *connection,
                                           const char *mechanism, cql_slice_t challenge)) {
  control->cluster = cluster;
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
  cql__timer_init(&control->deadline, on_deadline);
  cql__timer_init(&control->debounce, on_debounce);
  cql__timer_init(&control->slice, on_slice);
  cql__connection_init(&control->connection, cluster->settings, &control->connection_events,
                       control);
}

void cql__control_deinit(cql__control *control) {
  control->closing = 1;
  cql__timer_cancel(&control->retry);
  cql__timer_cancel(&control->deadline);
  cql__timer_cancel(&control->debounce);
  forget_reading(control);
  stop_asking(control);
  cql__connection_deinit(&control->connection);
  set_node(control, NULL);
  cql__free(control->contacts);
  control->contacts = NULL;
  control->contact_count = 0;
}

void cql__control_close(cql__control *control, int error, const char *why) {
  control->closing = 1;
  cql__timer_cancel(&control->retry);
  cql__timer_cancel(&control->debounce);
  stop_asking(control);
  cql__connection_close(&control->connection, error, why);
}
