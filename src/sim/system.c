/* System: the tables that describe the cluster. */
#include "sim/system_rows.h"

static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

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
     cql__system_fill_local, CASSANDRA},
    {"system", "local",
     "key text PRIMARY KEY, bootstrapped text, broadcast_address inet, cluster_name text,"
     "cql_version text, data_center text, gossip_generation int, host_id uuid,"
     "listen_address inet, native_protocol_version text, partitioner text, rack text,"
     "release_version text, rpc_address inet, schema_version uuid, supported_features text,"
     "tokens set<text>, truncated_at map<uuid, blob>",
     cql__system_fill_local, SCYLLA},
    {"system", "peers",
     "peer inet PRIMARY KEY, data_center text, host_id uuid, preferred_ip inet, rack text,"
     "release_version text, rpc_address inet, schema_version uuid, tokens set<text>",
     cql__system_fill_peers, BOTH},
    {"system", "peers_v2",
     "peer inet, peer_port int, data_center text, host_id uuid, native_address inet,"
     "native_port int, preferred_ip inet, preferred_port int, rack text, release_version text,"
     "schema_version uuid, tokens set<text>, PRIMARY KEY (peer, peer_port)",
     cql__system_fill_peers, CASSANDRA},
    {"system", "client_routes",
     "connection_id text, host_id uuid, address text, alternator_https_port int,"
     "alternator_port int, port int, tls_port int, PRIMARY KEY (connection_id, host_id)",
     cql__system_fill_client_routes, SCYLLA},
    {"system_schema", "keyspaces",
     "keyspace_name text PRIMARY KEY, durable_writes boolean, replication " TEXTS,
     cql__system_fill_keyspaces, BOTH},
    {"system_schema", "tables",
     "keyspace_name text, table_name text, additional_write_policy text,"
     "bloom_filter_fp_chance double, caching " TEXTS ", cdc boolean, comment text,"
     "compaction " TEXTS ", compression " TEXTS ", crc_check_chance double,"
     "dclocal_read_repair_chance double, default_time_to_live int,"
     "extensions frozen<map<text, blob>>, flags frozen<set<text>>, gc_grace_seconds int, id uuid,"
     "max_index_interval int, memtable_flush_period_in_ms int, min_index_interval int,"
     "read_repair text, read_repair_chance double, speculative_retry text,"
     "PRIMARY KEY (keyspace_name, table_name)",
     cql__system_fill_tables, BOTH},
    {"system_schema", "columns",
     "keyspace_name text, table_name text, column_name text, clustering_order text,"
     "column_name_bytes blob, kind text, position int, type text,"
     "PRIMARY KEY (keyspace_name, table_name, column_name)",
     cql__system_fill_columns, BOTH},
    {"system_schema", "types",
     "keyspace_name text, type_name text, field_names " LIST ", field_types " LIST ","
     "PRIMARY KEY (keyspace_name, type_name)",
     cql__system_fill_types, BOTH},
    {"system_schema", "indexes",
     "keyspace_name text, table_name text, index_name text, kind text, options " TEXTS ","
     "PRIMARY KEY (keyspace_name, table_name, index_name)",
     cql__system_fill_indexes, BOTH},
    {"system_schema", "views",
     "keyspace_name text, view_name text, base_table_id uuid, base_table_name text,"
     "bloom_filter_fp_chance double, caching " TEXTS ", comment text, compaction " TEXTS ","
     "compression " TEXTS ", crc_check_chance double, dclocal_read_repair_chance double,"
     "default_time_to_live int, extensions frozen<map<text, blob>>, gc_grace_seconds int, id uuid,"
     "include_all_columns boolean, max_index_interval int, memtable_flush_period_in_ms int,"
     "min_index_interval int, read_repair_chance double, speculative_retry text,"
     "where_clause text, PRIMARY KEY (keyspace_name, view_name)",
     cql__system_fill_nothing, BOTH},
    {"system_schema", "functions",
     "keyspace_name text, function_name text, argument_types " LIST ", argument_names " LIST ","
     "body text, called_on_null_input boolean, language text, return_type text,"
     "PRIMARY KEY (keyspace_name, function_name, argument_types)",
     cql__system_fill_nothing, BOTH},
    {"system_schema", "aggregates",
     "keyspace_name text, aggregate_name text, argument_types " LIST ", final_func text,"
     "initcond text, return_type text, state_func text, state_type text,"
     "PRIMARY KEY (keyspace_name, aggregate_name, argument_types)",
     cql__system_fill_nothing, BOTH},
    {"system_schema", "triggers",
     "keyspace_name text, table_name text, trigger_name text, options " TEXTS ","
     "PRIMARY KEY (keyspace_name, table_name, trigger_name)",
     cql__system_fill_nothing, BOTH},
    {"system_schema", "dropped_columns",
     "keyspace_name text, table_name text, column_name text, dropped_time timestamp, kind text,"
     "type text, PRIMARY KEY (keyspace_name, table_name, column_name)",
     cql__system_fill_nothing, BOTH},
    {"system_schema", "scylla_keyspaces",
     "keyspace_name text PRIMARY KEY, initial_tablets int, storage_options " TEXTS ","
     "storage_type text",
     cql__system_fill_scylla_keyspaces, SCYLLA},
    {"system_schema", "scylla_tables",
     "keyspace_name text, table_name text, cdc frozen<map<text, text>>, in_memory boolean,"
     "partitioner text, version uuid, PRIMARY KEY (keyspace_name, table_name)",
     cql__system_fill_scylla_tables, SCYLLA},
    {"system_virtual_schema", "keyspaces", "keyspace_name text PRIMARY KEY",
     cql__system_fill_nothing, CASSANDRA},
    {"system_virtual_schema", "tables",
     "keyspace_name text, table_name text, comment text, PRIMARY KEY (keyspace_name, table_name)",
     cql__system_fill_nothing, CASSANDRA},
    {"system_virtual_schema", "columns",
     "keyspace_name text, table_name text, column_name text, clustering_order text,"
     "column_name_bytes blob, kind text, position int, type text,"
     "PRIMARY KEY (keyspace_name, table_name, column_name)",
     cql__system_fill_nothing, CASSANDRA},
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
