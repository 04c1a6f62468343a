#include "sim/system.h"

#include "cluster/partitioner.h"
#include "sim/execution.h"

enum { COLUMNS_MAX = 32 };

/* A row in the making: its values, in the order of the table's columns. */
typedef struct maker {
  cql__sim_table *table;
  cql__sim_region region;
  cql_slice_t values[COLUMNS_MAX];
} maker;

static const cql_slice_t none = {NULL, CQL_NULL};

static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

static maker row_of(cql__sim_table *table) {
  maker m = {table, {NULL, 0}, {{NULL, 0}}};
  for (uint32_t i = 0; i < COLUMNS_MAX; i++) m.values[i] = none;
  return m;
}

/* A copy: values may be made in place. */
static void set(maker *m, const char *name, cql_slice_t value) {
  const cql__sim_column *column = cql__sim_find_column(m->table, text_of(name));
  if (column) m->values[column - m->table->columns] = cql__sim_keep(&m->region, value);
}
static void set_text(maker *m, const char *name, const char *text) { set(m, name, text_of(text)); }
static void set_bytes(maker *m, const char *name, const uint8_t *bytes, int32_t size) {
  set(m, name, bytes ? (cql_slice_t){bytes, size} : none);
}
static void set_boolean(maker *m, const char *name, int value) {
  uint8_t byte = value != 0;
  set(m, name, (cql_slice_t){&byte, 1});
}
static void set_int(maker *m, const char *name, int32_t value) {
  uint8_t bytes[4];
  cql__put_u32(bytes, (uint32_t)value);
  set(m, name, (cql_slice_t){bytes, 4});
}
static void set_real(maker *m, const char *name, double value) {
  uint8_t bytes[8];
  uint64_t bits;
  memcpy(&bits, &value, 8);
  cql__put_u64(bytes, bits);
  set(m, name, (cql_slice_t){bytes, 8});
}
/* A list or set of so many items, or a map of half as many entries, written in CQL's form. */
static void set_items(maker *m, const char *name, const cql_slice_t *items, uint32_t count,
                      int is_map) {
  cql__sim_buffer b = {0};
  cql__sim_put_u32(&b, is_map ? count / 2 : count);
  for (uint32_t i = 0; i < count; i++) cql__sim_put_bytes(&b, items[i]);
  const cql__sim_column *column = cql__sim_find_column(m->table, text_of(name));
  cql_slice_t value = cql__sim_slice(&b);
  if (column) set(m, name, cql__sim_value_sorted(&m->region, &column->type, value));
  cql__sim_buffer_free(&b);
}

static void finish(maker *m) {
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

static void set_tokens(maker *m, const cql__system_node *node) {
  if (!node->token_count) return;
  cql_slice_t *tokens = cql__sim_region_take(&m->region, node->token_count * sizeof *tokens);
  for (uint32_t i = 0; i < node->token_count; i++) {
    cql__sim_buffer text = {0};
    cql__sim_print(&text, "%lld", (long long)node->tokens[i]);
    tokens[i] = cql__sim_keep(&m->region, cql__sim_slice(&text));
    cql__sim_buffer_free(&text);
  }
  set_items(m, "tokens", tokens, node->token_count, 0);
}

/* What all three tables have. */
static void set_node(maker *m, const cql__system_node *node) {
  set_bytes(m, "host_id", node->host_id, 16);
  set_bytes(m, "schema_version", node->schema_version, 16);
  set_text(m, "data_center", node->datacenter);
  set_text(m, "rack", node->rack);
  set_text(m, "release_version", node->release_version);
  set(m, "rpc_address", node->native_address);
  set_tokens(m, node);
}

enum { STORAGE_PORT = 7000 };

static void fill_local(cql__sim_table *table, const cql__store *store, const void *user) {
  const cql__system *system = user;
  (void)store;
  if (!system) return;
  maker m = row_of(table);
  set_text(&m, "key", "local");
  set_text(&m, "bootstrapped", "COMPLETED");
  set_text(&m, "cluster_name", system->cluster_name);
  set_text(&m, "cql_version", "3.4.7");
  set_text(&m, "native_protocol_version", system->native_protocol_version);
  set_text(&m, "partitioner", system->partitioner);
  set(&m, "broadcast_address", system->local.address);
  set(&m, "listen_address", system->local.address);
  set_int(&m, "broadcast_port", STORAGE_PORT);
  set_int(&m, "listen_port", STORAGE_PORT);
  set_int(&m, "rpc_port", system->local.native_port);
  set_int(&m, "gossip_generation", 1);
  set_node(&m, &system->local);
  finish(&m);
}

static void fill_peers(cql__sim_table *table, const cql__store *store, const void *user) {
  const cql__system *system = user;
  (void)store;
  for (uint32_t i = 0; system && i < system->peer_count; i++) {
    const cql__system_node *peer = &system->peers[i];
    if (peer->address.length < 0) continue;
    maker m = row_of(table);
    set(&m, "peer", peer->address);
    set_int(&m, "peer_port", STORAGE_PORT);
    set(&m, "native_address", peer->native_address);
    if (peer->native_address.length >= 0) set_int(&m, "native_port", peer->native_port);
    set_node(&m, peer);
    finish(&m);
  }
}

/* ---- schema ---- */

/* Whether system_schema tells of it: not of what is virtual. */
static int is_told(const cql__sim_keyspace *keyspace) { return keyspace->is_system < 2; }

#define EACH(list, type, one)                                                                      \
  for (cql__list *one##_at = (list)->next; one##_at != (list); one##_at = one##_at->next)          \
    for (type *one = cql__container(one##_at, type, link); one; one = NULL)

typedef struct pairs {
  cql_slice_t *items; /* name, value, name ... */
  uint32_t count;
} pairs;

static void add_pair(pairs *p, cql_slice_t name, cql_slice_t value) {
  for (uint32_t i = 0; i < p->count; i += 2)
    if (cql__sim_same(p->items[i], name)) return;
  p->items[p->count++] = name;
  p->items[p->count++] = value;
}

/* NetworkTopologyStrategy has a factor for each datacenter; `replication_factor` is how a statement
 * says it of all that it doesn't name. */
static void set_replication(maker *m, const char *column, const cql__sim_keyspace *keyspace,
                            const cql__system *system) {
  cql__sim_buffer class_name = {0};
  uint32_t peers = system ? system->peer_count : 0;
  size_t room = (size_t)keyspace->option_count + peers + 2;
  pairs p = {cql__sim_region_take(&m->region, room * 2 * sizeof *p.items), 0};
  int by_datacenter = system && cql__slice_is(keyspace->strategy, "NetworkTopologyStrategy");
  cql_slice_t rest = none;
  cql__sim_print(&class_name, "org.apache.cassandra.locator.%.*s",
                 CQL__SIM_SHOW(keyspace->strategy));
  add_pair(&p, text_of("class"), cql__sim_slice(&class_name));
  for (uint32_t i = 0; i < keyspace->option_count; i++) {
    if (by_datacenter && cql__slice_is(keyspace->options[i], "replication_factor"))
      rest = keyspace->values[i];
    else
      add_pair(&p, keyspace->options[i], keyspace->values[i]);
  }
  if (rest.length >= 0) {
    add_pair(&p, text_of(system->local.datacenter), rest);
    for (uint32_t i = 0; i < peers; i++)
      if (system->peers[i].datacenter) add_pair(&p, text_of(system->peers[i].datacenter), rest);
  }
  set_items(m, column, p.items, p.count, 1);
  cql__sim_buffer_free(&class_name);
}

static void fill_keyspaces(cql__sim_table *table, const cql__store *store, const void *user) {
  EACH(&store->schema.keyspaces, cql__sim_keyspace, keyspace) {
    if (!is_told(keyspace)) continue;
    maker m = row_of(table);
    set(&m, "keyspace_name", keyspace->name);
    set_boolean(&m, "durable_writes", keyspace->durable_writes);
    set_replication(&m, "replication", keyspace, user);
    finish(&m);
  }
}

/* Scylla has rows for what differs from the default alone. */
static void fill_scylla_keyspaces(cql__sim_table *table, const cql__store *store,
                                  const void *user) {
  (void)user;
  EACH(&store->schema.keyspaces, cql__sim_keyspace, keyspace) {
    if (!keyspace->tablets) continue;
    maker m = row_of(table);
    set(&m, "keyspace_name", keyspace->name);
    set_int(&m, "initial_tablets", keyspace->tablets);
    finish(&m);
  }
}

/* Calls fn for each table that system_schema tells of. */
static void each_table(cql__sim_table *table, const cql__store *store,
                       void (*fn)(cql__sim_table *table, const cql__sim_table *told)) {
  EACH(&store->schema.keyspaces, cql__sim_keyspace, keyspace) {
    if (!is_told(keyspace)) continue;
    EACH(&keyspace->tables, cql__sim_table, told) fn(table, told);
  }
}

static maker row_of_table(cql__sim_table *table, const cql__sim_table *told) {
  maker m = row_of(table);
  set(&m, "keyspace_name", told->keyspace->name);
  set(&m, "table_name", told->name);
  return m;
}

static void put_table(cql__sim_table *table, const cql__sim_table *told) {
  static const char *const caching[] = {"keys", "ALL", "rows_per_partition", "NONE"};
  static const char *const compaction[] = {
      "class",         "org.apache.cassandra.db.compaction.SizeTieredCompactionStrategy",
      "max_threshold", "32",
      "min_threshold", "4"};
  static const char *const compression[] = {"chunk_length_in_kb", "16", "class",
                                            "org.apache.cassandra.io.compress.LZ4Compressor"};
  maker m = row_of_table(table, told);
  cql_slice_t items[6], compound = text_of("compound");
  for (int i = 0; i < 4; i++) items[i] = text_of(caching[i]);
  set_items(&m, "caching", items, 4, 1);
  for (int i = 0; i < 6; i++) items[i] = text_of(compaction[i]);
  set_items(&m, "compaction", items, 6, 1);
  for (int i = 0; i < 4; i++) items[i] = text_of(compression[i]);
  set_items(&m, "compression", items, 4, 1);
  set_items(&m, "extensions", NULL, 0, 1);
  items[0] = compound;
  items[1] = text_of("counter");
  set_items(&m, "flags", items, told->has_counters ? 2 : 1, 0);
  set_bytes(&m, "id", told->id, 16);
  set(&m, "comment", told->comment);
  set_int(&m, "default_time_to_live", told->default_ttl);
  set_int(&m, "gc_grace_seconds", 864000);
  set_int(&m, "max_index_interval", 2048);
  set_int(&m, "min_index_interval", 128);
  set_int(&m, "memtable_flush_period_in_ms", 0);
  set_real(&m, "bloom_filter_fp_chance", 0.01);
  set_real(&m, "crc_check_chance", 1.0);
  set_real(&m, "dclocal_read_repair_chance", 0);
  set_real(&m, "read_repair_chance", 0);
  set_text(&m, "speculative_retry", "99p");
  set_text(&m, "additional_write_policy", "99p");
  set_text(&m, "read_repair", "BLOCKING");
  finish(&m);
}

static void fill_tables(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)user;
  each_table(table, store, put_table);
}

static void put_scylla_table(cql__sim_table *table, const cql__sim_table *told) {
  maker m = row_of_table(table, told);
  set_boolean(&m, "in_memory", 0);
  set_bytes(&m, "version", told->id, 16);
  finish(&m);
}

static void fill_scylla_tables(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)user;
  each_table(table, store, put_scylla_table);
}

static void put_columns(cql__sim_table *table, const cql__sim_table *told) {
  static const char *const kinds[] = {"partition_key", "clustering", "static", "regular"};
  for (uint32_t i = 0; i < told->column_count; i++) {
    const cql__sim_column *column = &told->columns[i];
    int is_key = column->kind < CQL__SIM_STATIC;
    maker m = row_of_table(table, told);
    set(&m, "column_name", column->name);
    set(&m, "column_name_bytes", column->name);
    set_text(&m, "clustering_order",
             column->kind != CQL__SIM_CLUSTERING ? "none"
             : column->descending                ? "desc"
                                                 : "asc");
    set_text(&m, "kind", kinds[column->kind]);
    set_int(&m, "position", is_key ? (int32_t)column->position : -1);
    set(&m, "type", column->type_text);
    finish(&m);
  }
}

static void fill_columns(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)user;
  each_table(table, store, put_columns);
}

static void fill_types(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)user;
  EACH(&store->schema.keyspaces, cql__sim_keyspace, keyspace)
  EACH(&keyspace->types, cql__sim_user_type, type) {
    maker m = row_of(table);
    set(&m, "keyspace_name", keyspace->name);
    set(&m, "type_name", type->name);
    set_items(&m, "field_names", type->type.names, type->type.child_count, 0);
    set_items(&m, "field_types", type->type_texts, type->type.child_count, 0);
    finish(&m);
  }
}

static void put_indexes(cql__sim_table *table, const cql__sim_table *told) {
  EACH(&told->indexes, cql__sim_index, index) {
    maker m = row_of_table(table, told);
    const cql_slice_t options[] = {text_of("target"), index->target};
    set(&m, "index_name", index->name);
    set_text(&m, "kind", "COMPOSITES");
    set_items(&m, "options", options, 2, 1);
    finish(&m);
  }
}

static void fill_indexes(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)user;
  each_table(table, store, put_indexes);
}

static void fill_nothing(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)table;
  (void)store;
  (void)user;
}

/* ---- tables ---- */

typedef void (*filler)(cql__sim_table *table, const cql__store *store, const void *user);

enum { BOTH, CASSANDRA, SCYLLA };

#define TEXTS "frozen<map<text, text>>"
#define LIST  "frozen<list<text>>"

static const struct {
  const char *keyspace, *table, *columns;
  filler fill;
  int whose;
} tables[] = {
    {"system", "local",
     "key text PRIMARY KEY, bootstrapped text, broadcast_address inet, broadcast_port int,"
     "cluster_name text, cql_version text, data_center text, gossip_generation int, host_id uuid,"
     "listen_address inet, listen_port int, native_protocol_version text, partitioner text,"
     "rack text, release_version text, rpc_address inet, rpc_port int, schema_version uuid,"
     "tokens set<text>, truncated_at map<uuid, blob>",
     fill_local, CASSANDRA},
    {"system", "local",
     "key text PRIMARY KEY, bootstrapped text, broadcast_address inet, cluster_name text,"
     "cql_version text, data_center text, gossip_generation int, host_id uuid,"
     "listen_address inet, native_protocol_version text, partitioner text, rack text,"
     "release_version text, rpc_address inet, schema_version uuid, supported_features text,"
     "tokens set<text>, truncated_at map<uuid, blob>",
     fill_local, SCYLLA},
    {"system", "peers",
     "peer inet PRIMARY KEY, data_center text, host_id uuid, preferred_ip inet, rack text,"
     "release_version text, rpc_address inet, schema_version uuid, tokens set<text>",
     fill_peers, BOTH},
    {"system", "peers_v2",
     "peer inet, peer_port int, data_center text, host_id uuid, native_address inet,"
     "native_port int, preferred_ip inet, preferred_port int, rack text, release_version text,"
     "schema_version uuid, tokens set<text>, PRIMARY KEY (peer, peer_port)",
     fill_peers, CASSANDRA},
    {"system_schema", "keyspaces",
     "keyspace_name text PRIMARY KEY, durable_writes boolean, replication " TEXTS, fill_keyspaces,
     BOTH},
    {"system_schema", "tables",
     "keyspace_name text, table_name text, additional_write_policy text,"
     "bloom_filter_fp_chance double, caching " TEXTS ", cdc boolean, comment text,"
     "compaction " TEXTS ", compression " TEXTS ", crc_check_chance double,"
     "dclocal_read_repair_chance double, default_time_to_live int,"
     "extensions frozen<map<text, blob>>, flags frozen<set<text>>, gc_grace_seconds int, id uuid,"
     "max_index_interval int, memtable_flush_period_in_ms int, min_index_interval int,"
     "read_repair text, read_repair_chance double, speculative_retry text,"
     "PRIMARY KEY (keyspace_name, table_name)",
     fill_tables, BOTH},
    {"system_schema", "columns",
     "keyspace_name text, table_name text, column_name text, clustering_order text,"
     "column_name_bytes blob, kind text, position int, type text,"
     "PRIMARY KEY (keyspace_name, table_name, column_name)",
     fill_columns, BOTH},
    {"system_schema", "types",
     "keyspace_name text, type_name text, field_names " LIST ", field_types " LIST ","
     "PRIMARY KEY (keyspace_name, type_name)",
     fill_types, BOTH},
    {"system_schema", "indexes",
     "keyspace_name text, table_name text, index_name text, kind text, options " TEXTS ","
     "PRIMARY KEY (keyspace_name, table_name, index_name)",
     fill_indexes, BOTH},
    {"system_schema", "views",
     "keyspace_name text, view_name text, base_table_id uuid, base_table_name text,"
     "bloom_filter_fp_chance double, caching " TEXTS ", comment text, compaction " TEXTS ","
     "compression " TEXTS ", crc_check_chance double, dclocal_read_repair_chance double,"
     "default_time_to_live int, extensions frozen<map<text, blob>>, gc_grace_seconds int, id uuid,"
     "include_all_columns boolean, max_index_interval int, memtable_flush_period_in_ms int,"
     "min_index_interval int, read_repair_chance double, speculative_retry text,"
     "where_clause text, PRIMARY KEY (keyspace_name, view_name)",
     fill_nothing, BOTH},
    {"system_schema", "functions",
     "keyspace_name text, function_name text, argument_types " LIST ", argument_names " LIST ","
     "body text, called_on_null_input boolean, language text, return_type text,"
     "PRIMARY KEY (keyspace_name, function_name, argument_types)",
     fill_nothing, BOTH},
    {"system_schema", "aggregates",
     "keyspace_name text, aggregate_name text, argument_types " LIST ", final_func text,"
     "initcond text, return_type text, state_func text, state_type text,"
     "PRIMARY KEY (keyspace_name, aggregate_name, argument_types)",
     fill_nothing, BOTH},
    {"system_schema", "triggers",
     "keyspace_name text, table_name text, trigger_name text, options " TEXTS ","
     "PRIMARY KEY (keyspace_name, table_name, trigger_name)",
     fill_nothing, BOTH},
    {"system_schema", "dropped_columns",
     "keyspace_name text, table_name text, column_name text, dropped_time timestamp, kind text,"
     "type text, PRIMARY KEY (keyspace_name, table_name, column_name)",
     fill_nothing, BOTH},
    {"system_schema", "scylla_keyspaces",
     "keyspace_name text PRIMARY KEY, initial_tablets int, storage_options " TEXTS ","
     "storage_type text",
     fill_scylla_keyspaces, SCYLLA},
    {"system_schema", "scylla_tables",
     "keyspace_name text, table_name text, cdc frozen<map<text, text>>, in_memory boolean,"
     "partitioner text, version uuid, PRIMARY KEY (keyspace_name, table_name)",
     fill_scylla_tables, SCYLLA},
    {"system_virtual_schema", "keyspaces", "keyspace_name text PRIMARY KEY", fill_nothing,
     CASSANDRA},
    {"system_virtual_schema", "tables",
     "keyspace_name text, table_name text, comment text, PRIMARY KEY (keyspace_name, table_name)",
     fill_nothing, CASSANDRA},
    {"system_virtual_schema", "columns",
     "keyspace_name text, table_name text, column_name text, clustering_order text,"
     "column_name_bytes blob, kind text, position int, type text,"
     "PRIMARY KEY (keyspace_name, table_name, column_name)",
     fill_nothing, CASSANDRA},
};

/* Runs a statement that can't fail. */
static void run(cql__store *store, cql__sim_buffer *text) {
  cql__store_call call;
  cql__store_call_init(&call);
  cql__store_result_free(cql__store_query(store, cql__sim_slice(text), &call));
  cql__sim_buffer_free(text);
}

void cql__system_install(cql__store *store) {
  static const char *const keyspaces[] = {"system", "system_schema", "system_virtual_schema"};
  int unwanted = store->scylla ? CASSANDRA : SCYLLA;
  cql__sim_buffer text = {0};
  for (int i = 0; i < (store->scylla ? 2 : 3); i++) {
    cql__sim_print(&text, "CREATE KEYSPACE %s WITH replication = {'class': 'LocalStrategy'}",
                   keyspaces[i]);
    run(store, &text);
  }
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    if (tables[i].whose == unwanted) continue;
    cql__sim_print(&text, "CREATE TABLE %s.%s (%s)", tables[i].keyspace, tables[i].table,
                   tables[i].columns);
    run(store, &text);
    cql__sim_keyspace *keyspace =
        cql__sim_find_keyspace(&store->schema, text_of(tables[i].keyspace));
    cql__sim_find_table(keyspace, text_of(tables[i].table))->fill = tables[i].fill;
  }
  for (int i = 0; i < (store->scylla ? 2 : 3); i++)
    cql__sim_find_keyspace(&store->schema, text_of(keyspaces[i]))->is_system = i < 2 ? 1 : 2;
}
