/* Rows that describe the schema. */
#include "sim/system_rows.h"

static const cql_slice_t none = {NULL, CQL_NULL};
static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

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
static void set_replication(cql__system_row *m, const char *column,
                            const cql__sim_keyspace *keyspace, const cql__system *system) {
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
  cql__system_set_items(m, column, p.items, p.count, 1);
  cql__sim_buffer_free(&class_name);
}

void cql__system_fill_keyspaces(cql__sim_table *table, const cql__store *store, const void *user) {
  EACH(&store->schema.keyspaces, cql__sim_keyspace, keyspace) {
    if (!is_told(keyspace)) continue;
    cql__system_row m = cql__system_row_of(table);
    cql__system_set(&m, "keyspace_name", keyspace->name);
    cql__system_set_boolean(&m, "durable_writes", keyspace->durable_writes);
    set_replication(&m, "replication", keyspace, user);
    cql__system_row_add(&m);
  }
}

void cql__system_fill_scylla_keyspaces(cql__sim_table *table, const cql__store *store,
                                       const void *user) {
  (void)user;
  EACH(&store->schema.keyspaces, cql__sim_keyspace, keyspace) {
    if (!keyspace->tablets) continue;
    cql__system_row m = cql__system_row_of(table);
    cql__system_set(&m, "keyspace_name", keyspace->name);
    cql__system_set_int(&m, "initial_tablets", keyspace->tablets);
    cql__system_row_add(&m);
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

static cql__system_row row_of_table(cql__sim_table *table, const cql__sim_table *told) {
  cql__system_row m = cql__system_row_of(table);
  cql__system_set(&m, "keyspace_name", told->keyspace->name);
  cql__system_set(&m, "table_name", told->name);
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
  cql__system_row m = row_of_table(table, told);
  cql_slice_t items[6], compound = text_of("compound");
  for (int i = 0; i < 4; i++) items[i] = text_of(caching[i]);
  cql__system_set_items(&m, "caching", items, 4, 1);
  for (int i = 0; i < 6; i++) items[i] = text_of(compaction[i]);
  cql__system_set_items(&m, "compaction", items, 6, 1);
  for (int i = 0; i < 4; i++) items[i] = text_of(compression[i]);
  cql__system_set_items(&m, "compression", items, 4, 1);
  cql__system_set_items(&m, "extensions", NULL, 0, 1);
  items[0] = compound;
  items[1] = text_of("counter");
  cql__system_set_items(&m, "flags", items, told->has_counters ? 2 : 1, 0);
  cql__system_set_bytes(&m, "id", told->id, 16);
  cql__system_set(&m, "comment", told->comment);
  cql__system_set_int(&m, "default_time_to_live", told->default_ttl);
  cql__system_set_int(&m, "gc_grace_seconds", 864000);
  cql__system_set_int(&m, "max_index_interval", 2048);
  cql__system_set_int(&m, "min_index_interval", 128);
  cql__system_set_int(&m, "memtable_flush_period_in_ms", 0);
  cql__system_set_real(&m, "bloom_filter_fp_chance", 0.01);
  cql__system_set_real(&m, "crc_check_chance", 1.0);
  cql__system_set_real(&m, "dclocal_read_repair_chance", 0);
  cql__system_set_real(&m, "read_repair_chance", 0);
  cql__system_set_text(&m, "speculative_retry", "99p");
  cql__system_set_text(&m, "additional_write_policy", "99p");
  cql__system_set_text(&m, "read_repair", "BLOCKING");
  cql__system_row_add(&m);
}

void cql__system_fill_tables(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)user;
  each_table(table, store, put_table);
}

static void put_scylla_table(cql__sim_table *table, const cql__sim_table *told) {
  cql__system_row m = row_of_table(table, told);
  cql__system_set_boolean(&m, "in_memory", 0);
  cql__system_set_bytes(&m, "version", told->id, 16);
  cql__system_row_add(&m);
}

void cql__system_fill_scylla_tables(cql__sim_table *table, const cql__store *store,
                                    const void *user) {
  (void)user;
  each_table(table, store, put_scylla_table);
}

static void put_columns(cql__sim_table *table, const cql__sim_table *told) {
  static const char *const kinds[] = {"partition_key", "clustering", "static", "regular"};
  for (uint32_t i = 0; i < told->column_count; i++) {
    const cql__sim_column *column = &told->columns[i];
    int is_key = column->kind < CQL__SIM_STATIC;
    cql__system_row m = row_of_table(table, told);
    cql__system_set(&m, "column_name", column->name);
    cql__system_set(&m, "column_name_bytes", column->name);
    cql__system_set_text(&m, "clustering_order",
                         column->kind != CQL__SIM_CLUSTERING ? "none"
                         : column->descending                ? "desc"
                                                             : "asc");
    cql__system_set_text(&m, "kind", kinds[column->kind]);
    cql__system_set_int(&m, "position", is_key ? (int32_t)column->position : -1);
    cql__system_set(&m, "type", column->type_text);
    cql__system_row_add(&m);
  }
}

void cql__system_fill_columns(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)user;
  each_table(table, store, put_columns);
}

void cql__system_fill_types(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)user;
  EACH(&store->schema.keyspaces, cql__sim_keyspace, keyspace)
  EACH(&keyspace->types, cql__sim_user_type, type) {
    cql__system_row m = cql__system_row_of(table);
    cql__system_set(&m, "keyspace_name", keyspace->name);
    cql__system_set(&m, "type_name", type->name);
    cql__system_set_items(&m, "field_names", type->type.names, type->type.child_count, 0);
    cql__system_set_items(&m, "field_types", type->type_texts, type->type.child_count, 0);
    cql__system_row_add(&m);
  }
}

static void put_indexes(cql__sim_table *table, const cql__sim_table *told) {
  EACH(&told->indexes, cql__sim_index, index) {
    cql__system_row m = row_of_table(table, told);
    const cql_slice_t options[] = {text_of("target"), index->target};
    cql__system_set(&m, "index_name", index->name);
    cql__system_set_text(&m, "kind", "COMPOSITES");
    cql__system_set_items(&m, "options", options, 2, 1);
    cql__system_row_add(&m);
  }
}

void cql__system_fill_indexes(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)user;
  each_table(table, store, put_indexes);
}

void cql__system_fill_nothing(cql__sim_table *table, const cql__store *store, const void *user) {
  (void)table;
  (void)store;
  (void)user;
}
