#include "cluster/topology.h"

#include <string.h>

#include "base/mem.h"

void cql__draft_init(cql__draft *draft, cql__cluster *cluster) {
  *draft = (cql__draft){.cluster = cluster};
}

void cql__draft_deinit(cql__draft *draft) {
  cql__ring_builder_free(draft->builder);
  if (draft->ring) cql__ring_unref(draft->ring);
  draft->builder = NULL;
  draft->ring = NULL;
  cql__free(draft->nodes);
  cql__free(draft->slots);
  draft->nodes = NULL;
  draft->slots = NULL;
  draft->count = draft->capacity = 0;
}

/* ---- rows ---- */

/* Plans know nodes by 16 bits. */
enum { NODES_MAX = CQL__NO_NODE };
enum { COLUMNS_MAX = 8 };
enum { HOST_ID, DATACENTER, RACK, VERSION, TOKENS, PEER, NATIVE_ADDRESS, NATIVE_PORT };
enum { PARTITIONER = PEER, RPC_ADDRESS, BROADCAST_ADDRESS }; /* in the row of system.local */

typedef struct row {
  cql_slice_t cells[COLUMNS_MAX];
} row;

static void read_row(cql__cursor *rows, uint32_t columns, row *out) {
  for (uint32_t i = 0; i < COLUMNS_MAX; i++)
    out->cells[i] = i < columns ? cql__read_bytes(rows) : (cql_slice_t){NULL, CQL_NULL};
}

/* 0: null, or nothing to connect to. */
static int read_address(cql_slice_t cell, cql__address *out) {
  static const uint8_t nowhere[16];
  if (cell.length != 4 && cell.length != 16) return 0;
  if (!memcmp(cell.data, nowhere, (size_t)cell.length)) return 0;
  out->length = (uint8_t)cell.length;
  out->scope = 0;
  memset(out->bytes, 0, sizeof out->bytes);
  memcpy(out->bytes, cell.data, (size_t)cell.length);
  return 1;
}

static void read_port(cql_slice_t cell, cql__address *out) {
  if (cell.length != 4) return;
  int32_t port = (int32_t)cql__get_u32(cell.data);
  if (port > 0 && port <= UINT16_MAX) out->port = (uint16_t)port;
}

/* Names that are null stay unknown. 0: no memory. */
static int keep_name(cql__draft *draft, cql_slice_t cell, const cql__name **out) {
  *out = NULL;
  if (cell.length < 0) return 1;
  *out = cql__names_keep(&draft->cluster->names, cell.data, (size_t)cell.length);
  return *out != NULL;
}

/* Where a host id is, or is to be. */
static uint32_t *slot_of(const cql__draft *draft, const uint8_t *host_id) {
  uint64_t high, low;
  memcpy(&high, host_id, 8);
  memcpy(&low, host_id + 8, 8);
  uint32_t mask = 2 * draft->capacity - 1;
  uint32_t at = (uint32_t)(((high ^ low * 31) * 0x9e3779b97f4a7c15u) >> 32);
  for (;; at++) {
    uint32_t *slot = &draft->slots[at & mask];
    if (!*slot || !memcmp(draft->nodes[*slot - 1].data.host_id, host_id, 16)) return slot;
  }
}

static int make_room(cql__draft *draft) {
  if (draft->count < draft->capacity) return 0;
  uint32_t capacity = draft->capacity ? 2 * draft->capacity : 16;
  cql__draft_node *nodes = cql__realloc(draft->nodes, capacity * sizeof *nodes);
  if (!nodes) return CQL_ENOMEM;
  draft->nodes = nodes;
  uint32_t *slots = cql__zalloc(2 * capacity * sizeof *slots);
  if (!slots) return CQL_ENOMEM;
  cql__free(draft->slots);
  draft->slots = slots;
  draft->capacity = capacity;
  for (uint32_t i = 0; i < draft->count; i++) *slot_of(draft, nodes[i].data.host_id) = i + 1;
  return 0;
}

/* A set<text>. What is no token is left out. */
static int add_tokens(cql__draft *draft, cql_slice_t cell) {
  if (cell.length < 4 || !draft->builder) return 0;
  cql__cursor set = cql__cursor_of(cell.data, (size_t)cell.length);
  for (int32_t count = cql__read_i32(&set); count > 0 && !set.broken; count--) {
    cql_slice_t text = cql__read_bytes(&set);
    int error = text.length < 0 ? CQL_EVALUE
                                : cql__ring_builder_add_text(draft->builder, text, draft->count);
    if (error == CQL_ENOMEM) return error;
    if (error) draft->bad_tokens++;
  }
  return 0;
}

/* What all three tables have; the address is filled in by then. */
static int add_node(cql__draft *draft, const row *r, const cql__address *address) {
  static const uint8_t none[16];
  cql_slice_t id = r->cells[HOST_ID];
  if (make_room(draft)) return CQL_ENOMEM;
  if (id.length != 16 || !memcmp(id.data, none, 16) || *slot_of(draft, id.data) ||
      draft->count == NODES_MAX) {
    draft->bad_rows++;
    return 0;
  }
  cql__draft_node *node = &draft->nodes[draft->count];
  node->node = NULL;
  node->data.address = *address;
  memcpy(node->data.host_id, id.data, 16);
  if (!keep_name(draft, r->cells[DATACENTER], &node->data.datacenter) ||
      !keep_name(draft, r->cells[RACK], &node->data.rack) ||
      !keep_name(draft, r->cells[VERSION], &node->data.version) ||
      add_tokens(draft, r->cells[TOKENS]))
    return CQL_ENOMEM;
  *slot_of(draft, id.data) = ++draft->count;
  return 0;
}

/* Its own, as its row tells it. The port, which no row of local tells everywhere, is as before. */
static cql__address local_address(const cql__draft *draft, const row *r, const cql__address *at) {
  cql__address address = *at;
  const cql_node_t *known = NULL;
  if (r->cells[HOST_ID].length == 16)
    known = cql__cluster_find(draft->cluster, r->cells[HOST_ID].data);
  if (known) address = known->data.address;
  if (!read_address(r->cells[RPC_ADDRESS], &address))
    read_address(r->cells[BROADCAST_ADDRESS], &address);
  return address;
}

int cql__draft_local(cql__draft *draft, cql__cursor *rows, const cql__address *at,
                     uint32_t columns) {
  row r;
  read_row(rows, columns, &r);
  if (rows->broken) return CQL_EMALFORMED;
  cql__partitioner partitioner = cql__partitioner_of(r.cells[PARTITIONER]);
  if (partitioner != CQL__PARTITIONER_NONE) {
    draft->builder = cql__ring_builder_new(partitioner);
    if (!draft->builder) return CQL_ENOMEM;
  }
  cql__address address = columns > PARTITIONER + 1 ? local_address(draft, &r, at) : *at;
  int error = add_node(draft, &r, &address);
  return !error && draft->bad_rows ? CQL_EMALFORMED : error;
}

int cql__draft_peer(cql__draft *draft, cql__cursor *rows, const cql__address *at,
                    uint32_t columns) {
  row r;
  read_row(rows, columns, &r);
  if (rows->broken) return CQL_EMALFORMED;
  cql__address address = *at;
  if (!read_address(r.cells[NATIVE_ADDRESS], &address) && !read_address(r.cells[PEER], &address)) {
    draft->bad_rows++;
    return 0;
  }
  read_port(r.cells[NATIVE_PORT], &address);
  return add_node(draft, &r, &address);
}

/* ---- in force ---- */

static cql__draft_node *find(const cql__draft *draft, const uint8_t *host_id) {
  uint32_t found = *slot_of(draft, host_id);
  return found ? &draft->nodes[found - 1] : NULL;
}

static cql__draft_node *find_at(const cql__draft *draft, const cql__address *address) {
  for (uint32_t i = 0; i < draft->count; i++)
    if (cql__address_equal(&draft->nodes[i].data.address, address)) return &draft->nodes[i];
  return NULL;
}

/* Which of the nodes that there are is told of: by its host id, or, of a contact point that nobody
 * had told of yet, by its address. */
static void match(cql__draft *draft) {
  const cql__cluster *cluster = draft->cluster;
  for (uint32_t i = 0; i < cluster->node_count; i++) {
    cql_node_t *node = cluster->nodes[i];
    cql__draft_node *told =
        node->is_contact ? find_at(draft, &node->data.address) : find(draft, node->data.host_id);
    if (told && !told->node) told->node = node;
  }
}

static void tell(cql__cluster *cluster, int type, cql_node_t *node, const char *message) {
  cluster->events->node(cluster->user, type, node, message);
}

/* 1: more than its address has changed. CQL_ENOMEM. */
static int update(cql__cluster *cluster, cql_node_t *node, const cql__node_data *data) {
  if (!cql__address_equal(&node->data.address, &data->address)) {
    const char *before = node->text;
    if (cql__node_move(node, &data->address)) return CQL_ENOMEM;
    tell(cluster, CQL_EVENT_NODE_MOVED, node, before);
  }
  int place = node->data.datacenter != data->datacenter || node->data.rack != data->rack;
  int changes = place || node->data.version != data->version;
  if (place) cql__routing_changed(&cluster->routing);
  node->is_contact = 0;
  node->data = *data;
  return changes;
}

static int apply_node(cql__cluster *cluster, cql__draft_node *draft,
                      void (*appeared)(void *user, cql_node_t *node)) {
  int is_new = !draft->node;
  if (is_new && cql__cluster_add(cluster, &draft->data, &draft->node)) return CQL_ENOMEM;
  cql_node_t *node = draft->node;
  node->seen = cluster->reading;
  if (is_new) {
    node->undecided = 1;
    tell(cluster, CQL_EVENT_NODE_ADDED, node, "");
  }
  int changes = is_new ? 1 : update(cluster, node, &draft->data);
  if (changes > 0) appeared(cluster->user, node);
  return changes < 0 ? changes : 0;
}

static void remove_unseen(cql__cluster *cluster) {
  for (uint32_t i = cluster->node_count; i-- > 0;) {
    cql_node_t *node = cluster->nodes[i];
    if (node->seen == cluster->reading) continue;
    cql__cluster_remove(cluster, node); /* it goes down by that, if it was up */
    tell(cluster, CQL_EVENT_NODE_REMOVED, node, "");
  }
}

static int is_same_token(const cql__ring *a, const cql__ring *b, uint32_t range) {
  if (!a->tails) return a->highs[range] == b->highs[range];
  cql__token x = cql__ring_token(a, range), y = cql__ring_token(b, range);
  return cql__token_compare(&x, &y) == 0;
}

/* The same nodes with the same tokens, whatever their numbers: which of them was asked decides. */
static int is_same_ring(const cql__draft *draft) {
  const cql__routing *routing = &draft->cluster->routing;
  const cql__ring *a = routing->ring, *b = draft->ring;
  if (!a || a->partitioner != b->partitioner || a->count != b->count ||
      routing->node_count != draft->count)
    return 0;
  for (uint32_t i = 0; i < routing->node_count; i++)
    if (routing->nodes[i]->seen != draft->cluster->reading) return 0;
  for (uint32_t i = 0; i < a->count; i++)
    if (routing->nodes[a->owners[i]] != draft->nodes[b->owners[i]].node || !is_same_token(a, b, i))
      return 0;
  return 1;
}

/* The ring is of these nodes. CQL_ENOMEM: the old one stays. */
static int apply_ring(cql__draft *draft) {
  cql__routing *routing = &draft->cluster->routing;
  if (draft->ring ? is_same_ring(draft) : !routing->ring) return 0;
  uint32_t count = draft->ring ? draft->count : 0;
  cql_node_t **nodes = cql__malloc(count * sizeof(cql_node_t *) + 1);
  if (!nodes) return CQL_ENOMEM;
  for (uint32_t i = 0; i < count; i++) nodes[i] = cql_node_ref(draft->nodes[i].node);
  cql__routing_set_ring(routing, draft->ring, nodes, count);
  draft->ring = NULL;
  cql__tablets_renumber(&draft->cluster->tablets);
  return 0;
}

int cql__draft_sort(cql__draft *draft) {
  if (!draft->builder || draft->ring) return 1;
  return cql__ring_builder_step(draft->builder, CQL__RING_SLICE, &draft->ring);
}

int cql__draft_apply(cql__draft *draft, void (*appeared)(void *user, cql_node_t *node)) {
  cql__cluster *cluster = draft->cluster;
  cluster->reading++;
  match(draft);
  for (uint32_t i = 0; i < draft->count; i++)
    if (apply_node(cluster, &draft->nodes[i], appeared)) return CQL_ENOMEM;
  remove_unseen(cluster);
  return apply_ring(draft);
}
