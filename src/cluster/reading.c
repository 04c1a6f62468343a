#include "cluster/reading.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "message/metadata.h"
#include "message/request.h"
#include "wire/proto.h"

/* Nodes with 256 tokens each take some 6 kB: a page is read and taken apart in well under 1 ms. */
enum { PAGE_ROWS = 64 };
/* More rows than a cluster can have: there is no end to what it tells. */
enum { PAGES_MAX = 1024 };

enum {
  IDLE,
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
  QUIET
};

static cql__connection_settings *settings_of(const cql__reading *reading) {
  return reading->cluster->settings;
}

static void set_timer(cql__reading *reading, cql__timer *timer, uint64_t delay_ms) {
  cql__connection_settings *settings = settings_of(reading);
  cql__timer_set(settings->wheel, timer, cql__link_now(settings->link) + delay_ms);
}

static void warn(cql__reading *reading, const char *text) {
  reading->events->warned(reading->owner, text);
}

static void fail(cql__reading *reading, const char *why) {
  cql__reading_stop(reading);
  reading->events->failed(reading->owner, why, 0);
}

/* What it said is of no use. */
static void fail_blind(cql__reading *reading, const char *why) {
  cql__reading_stop(reading);
  reading->events->failed(reading->owner, why, 1);
}

static void fail_unreadable(cql__reading *reading) {
  fail_blind(reading, "the node's answer to who is in the cluster can't be read");
}

/* ---- what it asks ---- */

static int send_message(cql__reading *reading, uint8_t opcode, const uint8_t *body, size_t size) {
  cql__connection *c = reading->connection;
  int stream = cql__connection_take(c, reading);
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
  set_timer(reading, &reading->deadline, reading->query_timeout_ms);
  return 0;
}

static int hears_of_routes(const cql__reading *reading) {
  return cql__reading_has_routes(reading) && !reading->no_route_events;
}

static int send_register(cql__reading *reading) {
  static const char *const types[] = {"TOPOLOGY_CHANGE", "STATUS_CHANGE", "SCHEMA_CHANGE",
                                      "CLIENT_ROUTES_CHANGE"};
  uint8_t body[128];
  size_t size = cql__register_encode(types, hears_of_routes(reading) ? 4 : 3, body, sizeof body);
  return send_message(reading, CQL__REGISTER, body, size);
}

static int send_query(cql__reading *reading, const char *text) {
  size_t length = strlen(text), size = 4 + length + 2 + 4 + 4 + 4 + reading->paging_size;
  cql__block *block = cql__block_take(settings_of(reading)->pool, size);
  if (!block) return CQL_ENOMEM;
  uint32_t flags = CQL__QUERY_PAGE_SIZE | (reading->paging ? CQL__QUERY_PAGING_STATE : 0);
  uint8_t *p = cql__put_u32(block->data, (uint32_t)length);
  p = cql__put_bytes(p, text, length);
  p = cql__put_u16(p, CQL_ONE);
  p = reading->connection->version >= 5 ? cql__put_u32(p, flags) : cql__put_u8(p, flags);
  p = cql__put_u32(p, PAGE_ROWS);
  if (reading->paging) {
    p = cql__put_u32(p, (uint32_t)reading->paging_size);
    p = cql__put_bytes(p, reading->paging->data, reading->paging_size);
  }
  int error = send_message(reading, CQL__QUERY, block->data, (size_t)(p - block->data));
  cql__block_unref(block);
  return error;
}

/* ---- what it reads ---- */

/* Where rows were read, for what they don't tell. Where nodes are reached elsewhere the port is
 * that of the first contact point for all of them, so that they stay where they are, whoever is
 * asked. */
static cql__address place_of(const cql__reading *reading) {
  cql__cluster *cluster = reading->cluster;
  cql__address place = reading->connection->address;
  if (!cluster->elsewhere) return place;
  if (!cluster->port) cluster->port = place.port;
  place.port = cluster->port;
  return place;
}

static int take_local(cql__reading *reading, cql__cursor *rows) {
  cql__address at = place_of(reading);
  return cql__draft_local(&reading->draft, rows, &at, 6);
}

static int take_local_address(cql__reading *reading, cql__cursor *rows) {
  cql__address at = place_of(reading);
  return cql__draft_local(&reading->draft, rows, &at, 8);
}

static int take_peer_v2(cql__reading *reading, cql__cursor *rows) {
  cql__address at = place_of(reading);
  return cql__draft_peer(&reading->draft, rows, &at, 8);
}

static int take_peer(cql__reading *reading, cql__cursor *rows) {
  cql__address at = place_of(reading);
  return cql__draft_peer(&reading->draft, rows, &at, 7);
}

static int take_routes(cql__reading *reading, cql__cursor *rows) {
  return cql__client_routes_take(&reading->cluster->client_routes, rows);
}

static int take_keyspace(cql__reading *reading, cql__cursor *rows) {
  cql_slice_t name = cql__read_bytes(rows), replication = cql__read_bytes(rows);
  if (rows->broken) return CQL_EMALFORMED;
  return name.length < 0 ? 0 : cql__routing_tell(&reading->cluster->routing, name, replication);
}

/* ScyllaDB: those whose tables have tablets. */
static int take_tablets(cql__reading *reading, cql__cursor *rows) {
  cql__cluster *cluster = reading->cluster;
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
 * what follows instead if the server refuses the question, as where it knows no such table; IDLE
 * there: it must answer. */
typedef struct step {
  const char *query;
  uint32_t columns;
  int (*take)(cql__reading *reading, cql__cursor *rows);
  uint8_t next, otherwise;
  uint8_t one_row;
} step;

static const step steps[] = {
    [REGISTER] = {NULL, 0, NULL, ROUTES, ROUTES, 1},
    [ROUTES] = {NULL, CQL__CLIENT_ROUTE_COLUMNS, take_routes, ROUTES_READ, ROUTES_READ, 0},
    [LOCAL] = {"SELECT " CQL__LOCAL_COLUMNS " FROM system.local WHERE key='local'", 6, take_local,
               PEERS_V2, IDLE, 1},
    [LOCAL_ADDRESS] = {"SELECT " CQL__LOCAL_COLUMNS CQL__LOCAL_ADDRESS_COLUMNS
                       " FROM system.local WHERE key='local'",
                       8, take_local_address, PEERS_V2, IDLE, 1},
    [PEERS_V2] = {"SELECT " CQL__PEERS_V2_COLUMNS " FROM system.peers_v2", 8, take_peer_v2, SORTING,
                  PEERS, 0},
    [PEERS] = {"SELECT " CQL__PEERS_COLUMNS " FROM system.peers", 7, take_peer, SORTING, IDLE, 0},
    [KEYSPACES] = {"SELECT keyspace_name, replication FROM system_schema.keyspaces", 2,
                   take_keyspace, TABLETS, QUIET, 0},
    [TABLETS] = {"SELECT keyspace_name, initial_tablets FROM system_schema.scylla_keyspaces", 2,
                 take_tablets, QUIET, QUIET, 0},
};

static void forget_paging(cql__reading *reading) {
  if (reading->paging) cql__block_unref(reading->paging);
  reading->paging = NULL;
  reading->paging_size = 0;
}

static void forget_rows(cql__reading *reading) {
  if (reading->rows_owner) cql__block_unref(reading->rows_owner);
  reading->rows_owner = NULL;
  reading->rows_left = 0;
}

/* Once for the same numbers: the rows are likely to stay as they are. */
static void tell_skipped(cql__reading *reading) {
  const cql__draft *draft = &reading->draft;
  char text[128];
  int unknown = !draft->builder;
  if (reading->bad_rows == draft->bad_rows && reading->bad_tokens == draft->bad_tokens &&
      reading->unknown_partitioner == unknown)
    return;
  reading->bad_rows = draft->bad_rows;
  reading->bad_tokens = draft->bad_tokens;
  reading->unknown_partitioner = (uint8_t)unknown;
  if (unknown) warn(reading, "its partitioner is not known: requests are not sent by their tokens");
  if (!draft->bad_rows && !draft->bad_tokens) return;
  snprintf(text, sizeof text, "of what it tells of nodes %u rows and %u tokens are of no use",
           draft->bad_rows, draft->bad_tokens);
  warn(reading, text);
}

static void enter(cql__reading *reading, uint8_t to);

/* ---- client routes ---- */

/* Told of once: a server that is none may be meant for tests. */
static void tell_no_routes(cql__reading *reading) {
  const cql__client_routes *routes = &reading->cluster->client_routes;
  if (reading->no_routes_told) return;
  reading->no_routes_told = 1;
  warn(reading, routes->is_known
                    ? "the node has no table of client routes: they stay as they were"
                    : "the node has no table of client routes: nodes are sought at their own "
                      "addresses");
}

static void on_route(void *user, const uint8_t host_id[16]) {
  cql_node_t *node = cql__cluster_find(user, host_id);
  if (node) cql__node_reopen(node, "replaced: the node's client route has changed");
}

/* They have been read, unless the node refused. */
static void finish_routes(cql__reading *reading) {
  cql__client_routes *routes = &reading->cluster->client_routes;
  if (!routes->reading) {
    tell_no_routes(reading);
    return;
  }
  cql__client_routes_end(routes, on_route, reading->cluster);
  if (routes->bad_rows && routes->bad_rows != reading->bad_routes) {
    char text[96];
    snprintf(text, sizeof text, "%u rows of its client routes are of no use", routes->bad_rows);
    warn(reading, text);
  }
  reading->bad_routes = routes->bad_rows;
}

/* What else is wanted. */
static uint8_t after_routes(const cql__reading *reading) {
  if (!reading->has_read || reading->wants & CQL__WANTS_TOPOLOGY) return LOCAL;
  return reading->wants & CQL__WANTS_KEYSPACES ? KEYSPACES : QUIET;
}

/* ---- slices ---- */

/* A slice of the rows is taken, then the host has its turn. When all are, it goes on. */
static void take_rows(cql__reading *reading) {
  const step *s = &steps[reading->step];
  int error = 0;
  for (int i = 0; i < PAGE_ROWS && reading->rows_left > 0 && !error; i++) {
    error = s->take(reading, &reading->rows);
    reading->rows_left--;
  }
  if (error) {
    fail_unreadable(reading);
  } else if (reading->rows_left > 0) {
    set_timer(reading, &reading->slice, 0);
  } else {
    forget_rows(reading);
    enter(reading, reading->paging ? reading->step : s->next);
  }
}

/* Likewise of the tokens. When all are sorted the draft comes into force. */
static void sort_tokens(cql__reading *reading) {
  int sorted = cql__draft_sort(&reading->draft);
  if (sorted == 0) {
    set_timer(reading, &reading->slice, 0);
    return;
  }
  int error = sorted < 0 ? sorted : cql__draft_apply(&reading->draft, reading->events->appeared);
  if (error) {
    fail_blind(reading, cql__error_text(error));
    return;
  }
  reading->has_topology = 1;
  reading->events->nodes(reading->owner, reading->draft.nodes[0].node);
  tell_skipped(reading);
  cql__draft_deinit(&reading->draft);
  enter(reading, KEYSPACES);
}

/* What was read comes into force here, not within an event of a connection: others are closed. */
static void on_slice(cql__timer *timer) {
  cql__reading *reading = cql__container(timer, cql__reading, slice);
  if (reading->step == SORTING) {
    sort_tokens(reading);
  } else if (reading->step == ROUTES_READ) {
    finish_routes(reading);
    enter(reading, after_routes(reading));
  } else {
    take_rows(reading);
  }
}

static void finish(cql__reading *reading) {
  int with_topology = reading->reads_topology;
  cql__routing_end(&reading->cluster->routing);
  forget_tablets(reading->cluster);
  reading->reads_topology = 0;
  reading->has_read = 1;
  reading->events->done(reading->owner, with_topology);
}

/* ---- steps ---- */

static void begin(cql__reading *reading, uint8_t to) {
  reading->pages = 0;
  if (to == ROUTES) {
    reading->wants &= (uint8_t)~CQL__WANTS_ROUTES;
    cql__client_routes_begin(&reading->cluster->client_routes);
  }
  if (to == KEYSPACES) {
    reading->wants &= (uint8_t)~CQL__WANTS_KEYSPACES;
    cql__routing_begin(&reading->cluster->routing);
  }
  if (to != LOCAL && to != LOCAL_ADDRESS) return;
  reading->wants &= (uint8_t)~CQL__WANTS_TOPOLOGY;
  reading->reads_topology = 1;
  cql__draft_deinit(&reading->draft);
  cql__draft_init(&reading->draft, reading->cluster);
}

static int ask(cql__reading *reading) {
  if (reading->step == REGISTER) return send_register(reading);
  if (reading->step == ROUTES) return send_query(reading, reading->cluster->client_routes.query);
  return send_query(reading, steps[reading->step].query);
}

static void enter(cql__reading *reading, uint8_t to) {
  int error = 0;
  if (to == ROUTES && !cql__reading_has_routes(reading)) {
    if (reading->cluster->client_routes.query) tell_no_routes(reading);
    to = after_routes(reading);
  }
  if (to == LOCAL && reading->cluster->elsewhere) to = LOCAL_ADDRESS;
  if (to == TABLETS && !reading->connection->features.tablets) to = QUIET;
  if (to != reading->step) begin(reading, to);
  reading->step = to;
  if (to == QUIET)
    finish(reading);
  else if (to == SORTING || to == ROUTES_READ)
    set_timer(reading, &reading->slice, 0);
  else
    error = ask(reading);
  if (error) fail(reading, "no memory for a question of the control connection");
}

static int keep_paging(cql__reading *reading, cql_slice_t state) {
  forget_paging(reading);
  if (state.length < 0) return 0;
  reading->paging = cql__block_take(settings_of(reading)->pool, (size_t)state.length + 1);
  if (!reading->paging) return CQL_ENOMEM;
  reading->paging_size = (size_t)state.length;
  cql__put_bytes(reading->paging->data, state.data, reading->paging_size);
  return 0;
}

/* Its rows are taken next. A server that knows no pages tells all at once. */
static int open_page(cql__reading *reading, const step *s, cql__cursor body, cql__block *owner) {
  cql__rows_head head;
  if (cql__read_i32(&body) != CQL_RESULT_ROWS || cql__rows_head_decode(&body, NULL, &head) ||
      head.column_count != s->columns)
    return CQL_EMALFORMED;
  int32_t count = cql__read_i32(&body);
  if (body.broken || (s->one_row && count < 1)) return CQL_EMALFORMED;
  reading->rows = body;
  reading->rows_left = s->one_row ? 1 : count;
  reading->rows_owner = cql__block_ref(owner);
  if (s->one_row) return 0;
  int error = keep_paging(reading, head.paging_state);
  return reading->paging && ++reading->pages > PAGES_MAX ? CQL_EMALFORMED : error;
}

/* Is the question at fault, rather than this moment [spec 9]? */
static int is_refused(cql__cursor body) {
  int32_t code;
  cql_slice_t message;
  if (cql__error_open(&body, &code, &message)) return 0;
  return code == CQL__ERROR_PROTOCOL || code >> 12 == 2;
}

static void on_error(cql__reading *reading, const step *s, const cql__response *response) {
  forget_paging(reading);
  if (!s->otherwise || !is_refused(response->body)) {
    fail_blind(reading, "the node refuses to tell who is in the cluster");
    return;
  }
  if (reading->step == ROUTES) cql__client_routes_forget(&reading->cluster->client_routes);
  if (reading->step == REGISTER && hears_of_routes(reading)) {
    reading->no_route_events = 1;
    warn(reading, "the node refuses to tell of changed client routes");
    enter(reading, REGISTER);
    return;
  }
  if (reading->step == REGISTER) warn(reading, "the node refuses to tell of events");
  enter(reading, s->otherwise);
}

static void on_answer(cql__reading *reading, const cql__response *response, cql__block *owner) {
  const step *s = &steps[reading->step];
  if (response->opcode == CQL__ERROR) {
    on_error(reading, s, response);
    return;
  }
  if (reading->step == REGISTER && response->opcode == CQL__READY) {
    enter(reading, s->next);
    return;
  }
  int is_page = response->opcode == CQL__RESULT && s->take;
  if (is_page && open_page(reading, s, response->body, owner) == 0)
    take_rows(reading);
  else
    fail_unreadable(reading);
}

static void on_deadline(cql__timer *timer) {
  fail(cql__container(timer, cql__reading, deadline),
       "no answer to a question of the control connection");
}

/* ---- as the connection goes ---- */

void cql__reading_init(cql__reading *reading, cql__cluster *cluster, cql__connection *connection,
                       const cql__reading_events *events, void *owner) {
  reading->cluster = cluster;
  reading->connection = connection;
  reading->events = events;
  reading->owner = owner;
  cql__timer_init(&reading->deadline, on_deadline);
  cql__timer_init(&reading->slice, on_slice);
}

void cql__reading_start(cql__reading *reading) {
  reading->has_read = reading->no_route_events = 0;
  enter(reading, REGISTER);
}

void cql__reading_stop(cql__reading *reading) {
  cql__timer_cancel(&reading->deadline);
  cql__timer_cancel(&reading->slice);
  forget_rows(reading);
  forget_paging(reading);
  cql__draft_deinit(&reading->draft);
  cql__client_routes_forget(&reading->cluster->client_routes);
  reading->step = IDLE;
}

void cql__reading_answered(cql__reading *reading, const cql__envelope *envelope) {
  cql__response response;
  cql__timer_cancel(&reading->deadline);
  if (cql__response_open(envelope->header, envelope->body, envelope->size, &response))
    fail_blind(reading, "the node's answer can't be decoded");
  else
    on_answer(reading, &response, envelope->owner);
}

void cql__reading_oversized(cql__reading *reading) {
  fail_blind(reading, "the node's answer is larger than frame_size_max");
}

/* ---- what is wanted ---- */

int cql__reading_is_quiet(const cql__reading *reading) { return reading->step == QUIET; }

int cql__reading_is_first(const cql__reading *reading) {
  return reading->has_topology && !reading->has_read && reading->step != IDLE;
}

void cql__reading_go_on(cql__reading *reading) {
  if (reading->step != QUIET || !reading->wants) return;
  enter(reading, reading->wants & ~CQL__WANTS_KEYSPACES ? ROUTES : KEYSPACES);
}

int cql__reading_has_routes(const cql__reading *reading) {
  return reading->cluster->client_routes.query && reading->connection->features.is_scylla;
}
