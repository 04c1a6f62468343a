/* Rows of system tables in the making; those of nodes. */
#include "cluster/partitioner.h"
#include "sim/system_rows.h"

static const cql_slice_t none = {NULL, CQL_NULL};
static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

cql__system_row cql__system_row_of(cql__sim_table *table) {
  cql__system_row m = {table, {NULL, 0}, {{NULL, 0}}};
  for (uint32_t i = 0; i < CQL__SYSTEM_COLUMNS_MAX; i++) m.values[i] = none;
  return m;
}

void cql__system_set(cql__system_row *m, const char *name, cql_slice_t value) {
  const cql__sim_column *column = cql__sim_find_column(m->table, text_of(name));
  if (column) m->values[column - m->table->columns] = cql__sim_keep(&m->region, value);
}
void cql__system_set_text(cql__system_row *m, const char *name, const char *text) {
  cql__system_set(m, name, text_of(text));
}
void cql__system_set_bytes(cql__system_row *m, const char *name, const uint8_t *bytes,
                           int32_t size) {
  cql__system_set(m, name, bytes ? (cql_slice_t){bytes, size} : none);
}
void cql__system_set_boolean(cql__system_row *m, const char *name, int value) {
  uint8_t byte = value != 0;
  cql__system_set(m, name, (cql_slice_t){&byte, 1});
}
void cql__system_set_int(cql__system_row *m, const char *name, int32_t value) {
  uint8_t bytes[4];
  cql__put_u32(bytes, (uint32_t)value);
  cql__system_set(m, name, (cql_slice_t){bytes, 4});
}
void cql__system_set_real(cql__system_row *m, const char *name, double value) {
  uint8_t bytes[8];
  uint64_t bits;
  memcpy(&bits, &value, 8);
  cql__put_u64(bytes, bits);
  cql__system_set(m, name, (cql_slice_t){bytes, 8});
}
void cql__system_set_items(cql__system_row *m, const char *name, const cql_slice_t *items,
                           uint32_t count, int is_map) {
  cql__sim_buffer b = {0};
  cql__sim_put_u32(&b, is_map ? count / 2 : count);
  for (uint32_t i = 0; i < count; i++) cql__sim_put_bytes(&b, items[i]);
  const cql__sim_column *column = cql__sim_find_column(m->table, text_of(name));
  cql_slice_t value = cql__sim_slice(&b);
  if (column) cql__system_set(m, name, cql__sim_value_sorted(&m->region, &column->type, value));
  cql__sim_buffer_free(&b);
}

void cql__system_row_add(cql__system_row *m) {
  cql__sim_table *table = m->table;
  const cql__sim_stamp stamp = {0, 0, 0};
  uint32_t parts = table->partition_count, key_count = parts + table->clustering_count;
  size_t size = (size_t)cql__key_size(m->values, parts);
  uint8_t *key = cql__sim_region_take(&m->region, size);
  cql__key_join(m->values, parts, key);
  cql__sim_partition *partition =
      cql__sim_partition_make(table, cql__token_of(key, size), (cql_slice_t){key, (int32_t)size});
  cql__sim_row *row = cql__sim_row_make(table, partition, m->values + parts);
  cql__sim_row_mark(partition, row, stamp);
  for (uint32_t i = key_count; i < table->column_count; i++)
    if (m->values[i].length >= 0)
      cql__sim_cell_write(partition, row, table->columns[i].slot, m->values[i], stamp);
  cql__sim_region_free(&m->region);
}

/* ---- nodes ---- */

static void set_tokens(cql__system_row *m, const cql__system_node *node) {
  if (!node->token_count) return;
  cql_slice_t *tokens = cql__sim_region_take(&m->region, node->token_count * sizeof *tokens);
  for (uint32_t i = 0; i < node->token_count; i++) {
    cql__sim_buffer text = {0};
    cql__sim_print(&text, "%lld", (long long)node->tokens[i]);
    tokens[i] = cql__sim_keep(&m->region, cql__sim_slice(&text));
    cql__sim_buffer_free(&text);
  }
  cql__system_set_items(m, "tokens", tokens, node->token_count, 0);
}

/* What all three tables have. */
static void set_node(cql__system_row *m, const cql__system_node *node) {
  cql__system_set_bytes(m, "host_id", node->host_id, 16);
  cql__system_set_bytes(m, "schema_version", node->schema_version, 16);
  cql__system_set_text(m, "data_center", node->datacenter);
  cql__system_set_text(m, "rack", node->rack);
  cql__system_set_text(m, "release_version", node->release_version);
  cql__system_set(m, "rpc_address", node->native_address);
  set_tokens(m, node);
}

enum { STORAGE_PORT = 7000 };

void cql__system_fill_local(cql__sim_table *table, const cql__store *store, const void *user) {
  const cql__system *system = user;
  (void)store;
  if (!system) return;
  cql__system_row m = cql__system_row_of(table);
  cql__system_set_text(&m, "key", "local");
  cql__system_set_text(&m, "bootstrapped", "COMPLETED");
  cql__system_set_text(&m, "cluster_name", system->cluster_name);
  cql__system_set_text(&m, "cql_version", "3.4.7");
  cql__system_set_text(&m, "native_protocol_version", system->native_protocol_version);
  cql__system_set_text(&m, "partitioner", system->partitioner);
  cql__system_set(&m, "broadcast_address", system->local.address);
  cql__system_set(&m, "listen_address", system->local.address);
  cql__system_set_int(&m, "broadcast_port", STORAGE_PORT);
  cql__system_set_int(&m, "listen_port", STORAGE_PORT);
  cql__system_set_int(&m, "rpc_port", system->local.native_port);
  cql__system_set_int(&m, "gossip_generation", 1);
  set_node(&m, &system->local);
  cql__system_row_add(&m);
}

void cql__system_fill_peers(cql__sim_table *table, const cql__store *store, const void *user) {
  const cql__system *system = user;
  (void)store;
  for (uint32_t i = 0; system && i < system->peer_count; i++) {
    const cql__system_node *peer = &system->peers[i];
    if (peer->address.length < 0) continue;
    cql__system_row m = cql__system_row_of(table);
    cql__system_set(&m, "peer", peer->address);
    cql__system_set_int(&m, "peer_port", STORAGE_PORT);
    cql__system_set(&m, "native_address", peer->native_address);
    if (peer->native_address.length >= 0) cql__system_set_int(&m, "native_port", peer->native_port);
    set_node(&m, peer);
    cql__system_row_add(&m);
  }
}

void cql__system_fill_client_routes(cql__sim_table *table, const cql__store *store,
                                    const void *user) {
  const cql__system *system = user;
  (void)store;
  for (uint32_t i = 0; system && i < system->route_count; i++) {
    const cql__system_route *route = &system->routes[i];
    cql__system_row m = cql__system_row_of(table);
    cql__system_set_text(&m, "connection_id", route->connection_id);
    cql__system_set_bytes(&m, "host_id", route->host_id, 16);
    cql__system_set_text(&m, "address", route->address);
    if (route->port) cql__system_set_int(&m, "port", route->port);
    if (route->tls_port) cql__system_set_int(&m, "tls_port", route->tls_port);
    cql__system_row_add(&m);
  }
}
