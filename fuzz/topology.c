/* Topology: rows of local, peers and keyspaces, and events, of any bytes and in any order, for a
 * session that nobody answers otherwise. Nodes, their order and the ring fit each other at all
 * times, and what is read a second time changes nothing.
 *
 * Operations: a byte each, and what they take. */
#include "fuzz.h"

#include "base/mem.h"
#include "sim/sim.h"
#include "wire/proto.h"

enum { ROWS_MAX = 65536, OPERATIONS_MAX = 300 };

/* The bytes of the rows that a draft was made of, for the second time. */
typedef struct rows_told {
  uint8_t bytes[ROWS_MAX];
  size_t size;
  uint32_t columns; /* 6: local */
} rows_told;

typedef struct world {
  input in;
  cql__sim *sim;
  cql_session_t *session;
  cql__address at;
  rows_told local, peers;
} world;

static uint64_t sum;

static cql__cluster *cluster_of(const world *w) { return &w->session->engine.cluster; }

/* ---- rows ---- */

static uint8_t *put_cell(uint8_t *p, const void *bytes, int32_t size) {
  p = cql__put_u32(p, (uint32_t)size);
  return size > 0 ? cql__put_bytes(p, bytes, (size_t)size) : p;
}

static uint8_t *put_any(world *w, uint8_t *p) {
  size_t size = input_u8(&w->in) % 40;
  const uint8_t *bytes = input_take(&w->in, &size);
  return put_cell(p, bytes, (int32_t)size);
}

/* One of `count` values of `size` bytes that differ in the last, null, or anything. */
static uint8_t *put_one(world *w, uint8_t *p, unsigned count, int32_t size) {
  uint8_t value[16] = {10};
  unsigned choice = input_u8(&w->in);
  if (choice == 255) return put_cell(p, NULL, CQL_NULL);
  if (choice >= 250) return put_any(w, p);
  if (choice % count == 0) value[0] = 0;
  value[size - 1] = (uint8_t)(choice % count);
  return put_cell(p, value, size);
}

static uint8_t *put_tokens(world *w, uint8_t *p) {
  unsigned count = input_u8(&w->in);
  if (count >= 250) return put_any(w, p);
  uint8_t *start = p;
  p = cql__put_u32(p + 4, count %= 5);
  while (count-- > 0) {
    char text[8];
    unsigned token = input_u8(&w->in);
    int size = snprintf(text, sizeof text, "%d", (int)token - 100);
    p = token == 255 ? put_any(w, p) : put_cell(p, text, size);
  }
  cql__put_u32(start, (uint32_t)(p - start - 4));
  return p;
}

static uint8_t *put_row(world *w, uint8_t *p, uint32_t columns) {
  static const char *const partitioners[] = {"Murmur3Partitioner", "RandomPartitioner",
                                             "ByteOrderedPartitioner", "Other"};
  p = put_one(w, p, 9, 16);
  for (int i = 0; i < 3; i++) p = put_one(w, p, 3, 2); /* place, version */
  p = put_tokens(w, p);
  if (columns == 6) {
    const char *name = partitioners[input_u8(&w->in) % 4];
    return put_cell(p, name, (int32_t)strlen(name));
  }
  p = put_one(w, p, 7, 4);
  p = put_one(w, p, 7, 4);
  return columns == 8 ? put_one(w, p, 3, 4) : p;
}

static void do_rows(world *w, rows_told *rows, uint32_t columns, unsigned count) {
  uint8_t *p = cql__put_u32(rows->bytes, count);
  while (count-- > 0) p = put_row(w, p, columns);
  rows->columns = columns;
  rows->size = (size_t)(p - rows->bytes);
  if (input_u8(&w->in) == 255) rows->size -= rows->size / 3;
}

/* Perhaps with the addresses that it tells of itself. */
static void do_local(world *w) {
  rows_told *rows = &w->local;
  do_rows(w, rows, 6, 1);
  if (input_u8(&w->in) % 2 == 0) return;
  uint8_t *p = put_one(w, rows->bytes + rows->size, 7, 4);
  rows->size = (size_t)(put_one(w, p, 7, 4) - rows->bytes);
  rows->columns = 8;
}
static void do_peers(world *w) {
  unsigned what = input_u8(&w->in);
  do_rows(w, &w->peers, what & 128 ? 7 : 8, what % 12);
}

/* ---- a reading ---- */

static cql__cursor rows_of(const rows_told *rows) {
  return cql__cursor_of(rows->bytes, rows->size);
}

static int read_all(const world *w) {
  cql__draft draft;
  cql__draft_init(&draft, cluster_of(w));
  cql__cursor local = rows_of(&w->local), peers = rows_of(&w->peers);
  int error = CQL_EMALFORMED;
  if (cql__read_i32(&local) > 0) error = cql__draft_local(&draft, &local, &w->at, w->local.columns);
  for (int32_t count = cql__read_i32(&peers); count > 0 && !error; count--)
    error = cql__draft_peer(&draft, &peers, &w->at, w->peers.columns);
  int sorted = 0;
  while (!error && !sorted) sorted = cql__draft_sort(&draft);
  if (sorted < 0) error = sorted;
  if (!error) error = cql__draft_apply(&draft, w->session->control.events->appeared);
  CHECK(error == 0 || error == CQL_ENOMEM || error == CQL_EMALFORMED);
  sum += draft.bad_rows + draft.bad_tokens;
  cql__draft_deinit(&draft);
  return error;
}

static void check(const world *w) {
  const cql__cluster *cluster = cluster_of(w);
  const cql__routing *routing = &cluster->routing;
  static const uint8_t none[16];
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    const cql_node_t *node = cluster->nodes[i];
    CHECK(node->at == i && node->cluster == cluster && node->refs > 0);
    CHECK(memcmp(node->data.host_id, none, 16) && !node->is_contact);
    for (uint32_t k = 0; k < i; k++)
      CHECK(memcmp(node->data.host_id, cluster->nodes[k]->data.host_id, 16));
  }
  if (!routing->ring) return;
  CHECK(routing->ring->node_count <= routing->node_count);
  for (uint32_t i = 0; i < routing->ring->count; i++)
    CHECK(routing->ring->owners[i] < routing->node_count);
}

static void do_read(world *w) {
  const cql__routing *routing = &cluster_of(w)->routing;
  if (read_all(w)) return;
  const cql__ring *ring = routing->ring;
  uint32_t version = routing->version, count = cluster_of(w)->node_count;
  CHECK(!ring || routing->node_count == count);
  for (uint32_t i = 0; ring && i < count; i++)
    CHECK(routing->nodes[i]->at < count && cluster_of(w)->nodes[routing->nodes[i]->at]);
  check(w);
  if (read_all(w)) return; /* no memory, this time */
  CHECK(routing->ring == ring && routing->version == version);
  CHECK(cluster_of(w)->node_count == count);
}

static void do_keyspaces(world *w) {
  cql__routing *routing = &cluster_of(w)->routing;
  cql__routing_begin(routing);
  for (unsigned count = input_u8(&w->in) % 4; count > 0; count--) {
    char name = (char)('a' + input_u8(&w->in) % 3);
    size_t size = input_u8(&w->in);
    const uint8_t *bytes = input_take(&w->in, &size);
    uint8_t *map = copy_of(bytes, size);
    int error = cql__routing_tell(routing, (cql_slice_t){(const uint8_t *)&name, 1},
                                  (cql_slice_t){map, (int32_t)size});
    CHECK(error == 0 || error == CQL_ENOMEM);
    free(map);
  }
  cql__routing_end(routing);
}

/* Plans are as the nodes are. */
static void do_plan(world *w) {
  cql__routing *routing = &cluster_of(w)->routing;
  char name = (char)('a' + input_u8(&w->in) % 3);
  cql__keyspace *keyspace =
      cql__routing_keyspace(routing, (cql_slice_t){(const uint8_t *)&name, 1});
  cql__token token = {(uint64_t)input_u16(&w->in) << 48, 0, NULL, 0};
  const cql__plan *plan = keyspace ? cql__routing_plan(routing, keyspace, &token) : NULL;
  for (uint32_t i = 0; plan && i < cql__plan_count(plan); i++)
    CHECK(plan->nodes[i] < routing->node_count);
}

/* ---- events, and time ---- */

static void do_event(world *w) {
  static const char *const heads[] = {"\0\15STATUS_CHANGE\0\2UP", "\0\15STATUS_CHANGE\0\4DOWN",
                                      "\0\17TOPOLOGY_CHANGE\0\10NEW_NODE",
                                      "\0\15SCHEMA_CHANGE\0\7UPDATED\0\10KEYSPACE", ""};
  static const size_t sizes[] = {19, 21, 27, 34, 0};
  uint8_t body[400];
  unsigned head = input_u8(&w->in) % 5;
  size_t size = input_u8(&w->in);
  const uint8_t *rest = input_take(&w->in, &size);
  uint8_t *p = cql__put_bytes(body, heads[head], sizes[head]);
  if (size) p = cql__put_bytes(p, rest, size);
  uint8_t *copy = copy_of(body, (size_t)(p - body));
  cql__control *control = &w->session->control;
  cql__response response = {.opcode = CQL__EVENT,
                            .version = 4,
                            .stream = -1,
                            .body = cql__cursor_of(copy, (size_t)(p - body))};
  control->connection_events.event(control, &control->connection, &response);
  free(copy);
}

static void do_time(world *w) {
  cql_completion_t out[16];
  cql__sim_advance(w->sim, input_u8(&w->in) * 50u);
  for (int i = cql__sim_count(w->sim) - 1, k = 0; i >= 0 && k < 8; i--, k++)
    if (!cql__sim_is_closed(w->sim, i)) cql__sim_refuse(w->sim, i);
  cql__sim_step(w->sim, w->session);
  cql__session_poll(w->session, 16, out);
}

static void do_starve(world *w) { cql__mem_fail(1 + input_u8(&w->in), 0); }

static void do_distances(world *w) { cql__session_refresh_distances(w->session); }

static void (*const operations[])(world *w) = {do_local,  do_peers,     do_read, do_read,
                                               do_event,  do_keyspaces, do_plan, do_time,
                                               do_starve, do_distances};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static world w;
  long before = cql__mem_live();
  cql__mem_fail(0, 0);
  w.in = input_of(data, size);
  w.sim = cql__sim_new(1, 1000);
  w.at = (cql__address){.length = 4, .port = 9042, .bytes = {10, 0, 0, 1}};
  w.local.size = w.peers.size = 0;
  w.local.columns = 6;
  w.peers.columns = 8;
  CHECK(w.sim);
  cql_config_t *config = cql_config_new();
  CHECK(cql_config_set(config, "contact_points", "10.0.0.1") == 0);
  CHECK(cql_config_set(config, "local_datacenter", "\1\1") == 0);
  CHECK(cql__sim_session(w.sim, config, &w.session) == 0);
  cql_config_free(config);
  for (int i = 0; i < OPERATIONS_MAX && input_left(&w.in); i++)
    operations[input_u8(&w.in) % (sizeof operations / sizeof *operations)](&w);
  cql__mem_fail(0, 0);
  cql__sim_session_free(w.session);
  cql__sim_free(w.sim);
  CHECK(cql__mem_live() == before);
  return 0;
}
