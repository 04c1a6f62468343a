/* CREATE, ALTER and DROP TABLE, and of indexes. */
#include "sim/define.h"

static int is_frozen(cql_slice_t text) {
  return text.length > 7 && memcmp(text.data, "frozen<", 7) == 0;
}

static int read_column(cql__sim_definer *d, const cql__sim_definition *definition, int kind,
                       cql__sim_column *column) {
  *column = (cql__sim_column){.name = definition->name, .kind = kind};
  if (cql__sim_define_type(d, definition, &column->type, &column->type_text)) return CQL_EVALUE;
  int is_whole = column->type.kind < CQL_LIST || column->type.kind == CQL_VECTOR ||
                 is_frozen(column->type_text);
  column->many = !is_whole;
  if (kind < CQL__SIM_STATIC && column->many)
    return INVALID(d, "Invalid non-frozen collection type %.*s for PRIMARY KEY column '%.*s'",
                   CQL__SIM_SHOW(column->type_text), CQL__SIM_SHOW(column->name));
  if (kind < CQL__SIM_STATIC && column->type.kind == CQL_COUNTER)
    return INVALID(d, "counter type is not supported for PRIMARY KEY column '%.*s'",
                   CQL__SIM_SHOW(column->name));
  if (kind < CQL__SIM_STATIC && column->type.kind == CQL_DURATION)
    return INVALID(d, "duration type is not supported for PRIMARY KEY column '%.*s'",
                   CQL__SIM_SHOW(column->name));
  return 0;
}

static const cql__sim_definition *find_definition(const cql__sim_statement *query,
                                                  cql_slice_t name) {
  const cql__sim_definition *definition = query->definitions;
  while (definition && !cql__sim_same(definition->name, name)) definition = definition->next;
  return definition;
}

static int is_in(const cql__sim_name *list, cql_slice_t name) {
  for (; list; list = list->next)
    if (cql__sim_same(list->text, name)) return 1;
  return 0;
}

static int is_descending(const cql__sim_statement *query, cql_slice_t name) {
  for (const cql__sim_name *order = query->order; order; order = order->next)
    if (cql__sim_same(order->text, name)) return order->descending;
  return 0;
}

static int add_key(cql__sim_definer *d, cql__sim_table *table, const cql__sim_name *names,
                   int kind) {
  for (; names; names = names->next) {
    const cql__sim_definition *definition = find_definition(d->query, names->text);
    if (!definition)
      return INVALID(d, "Unknown column '%.*s' referenced in PRIMARY KEY for table '%.*s'",
                     CQL__SIM_SHOW(names->text), CQL__SIM_SHOW(table->name));
    if (cql__sim_find_column(table, names->text))
      return INVALID(d, "Duplicate column '%.*s' in PRIMARY KEY clause for table '%.*s'",
                     CQL__SIM_SHOW(names->text), CQL__SIM_SHOW(table->name));
    cql__sim_column column;
    if (read_column(d, definition, kind, &column)) return CQL_EVALUE;
    column.descending = kind == CQL__SIM_CLUSTERING && is_descending(d->query, names->text);
    cql__sim_column_add(d->schema, table, &column);
  }
  return 0;
}

static int add_columns(cql__sim_definer *d, cql__sim_table *table) {
  for (const cql__sim_definition *at = d->query->definitions; at; at = at->next) {
    for (const cql__sim_definition *other = at->next; other; other = other->next)
      if (cql__sim_same(at->name, other->name))
        return INVALID(d, "Duplicate column '%.*s' declaration for table '%.*s.%.*s'",
                       CQL__SIM_SHOW(at->name), CQL__SIM_SHOW(d->keyspace_name),
                       CQL__SIM_SHOW(table->name));
    if (cql__sim_find_column(table, at->name)) continue; /* of the key */
    if (at->is_static && !d->query->clustering_key)
      return INVALID(d, "Static columns are only useful (and thus allowed) if the table has at "
                        "least one clustering column");
    cql__sim_column column;
    if (read_column(d, at, at->is_static ? CQL__SIM_STATIC : CQL__SIM_REGULAR, &column))
      return CQL_EVALUE;
    cql__sim_column_add(d->schema, table, &column);
  }
  return 0;
}

static int check_table(cql__sim_definer *d, const cql__sim_table *table) {
  uint32_t counters = 0;
  for (uint32_t i = 0; i < table->column_count; i++)
    counters += table->columns[i].type.kind == CQL_COUNTER;
  if (counters &&
      counters != table->column_count - table->partition_count - table->clustering_count)
    return INVALID(d, "Cannot mix counter and non counter columns in the same table");
  for (const cql__sim_name *order = d->query->order; order; order = order->next)
    if (!is_in(d->query->clustering_key, order->text))
      return INVALID(d,
                     "Only clustering columns can be defined in CLUSTERING ORDER directive: "
                     "[%.*s] are not clustering columns",
                     CQL__SIM_SHOW(order->text));
  return 0;
}

static void set_table_options(cql__sim_definer *d, cql__sim_table *table) {
  for (const cql__sim_option *option = d->query->options; option; option = option->next) {
    if (cql__slice_is(option->name, "comment") && option->value->text.length >= 0)
      table->comment = cql__sim_keep(&d->schema->region, option->value->text);
    if (cql__slice_is(option->name, "default_time_to_live"))
      table->default_ttl = cql__sim_define_number(option->value->text);
  }
}

void cql__sim_create_table(cql__sim_definer *d) {
  const cql__sim_statement *query = d->query;
  if (cql__sim_find_table(d->keyspace, query->name)) {
    cql__sim_define_exists(d, query->name);
    return;
  }
  if (!query->partition_key) {
    INVALID(d, "No PRIMARY KEY specifed for table '%.*s.%.*s' (exactly one required)",
            CQL__SIM_SHOW(d->keyspace_name), CQL__SIM_SHOW(query->name));
    return;
  }
  cql__sim_table *table = cql__sim_table_new(d->schema, d->keyspace, query->name);
  int error = add_key(d, table, query->partition_key, CQL__SIM_PARTITION_KEY);
  if (!error) error = add_key(d, table, query->clustering_key, CQL__SIM_CLUSTERING);
  if (!error) error = add_columns(d, table);
  if (!error) error = check_table(d, table);
  if (error) {
    cql__sim_table_free(table);
    return;
  }
  set_table_options(d, table);
  cql__sim_define_changed(d, "CREATED", "TABLE", query->name);
}

static int add_to_table(cql__sim_definer *d, cql__sim_table *table) {
  const cql__sim_definition *at = d->query->definitions;
  for (; at; at = at->next) {
    cql__sim_column column;
    if (cql__sim_find_column(table, at->name))
      return INVALID(d, "Column with name '%.*s' already exists", CQL__SIM_SHOW(at->name));
    if (read_column(d, at, at->is_static ? CQL__SIM_STATIC : CQL__SIM_REGULAR, &column))
      return CQL_EVALUE;
    if ((column.type.kind == CQL_COUNTER) != table->has_counters &&
        table->column_count > table->partition_count + table->clustering_count)
      return INVALID(d, "Cannot mix counter and non counter columns in the same table");
    cql__sim_column_add(d->schema, table, &column);
  }
  return 0;
}

static int drop_from_table(cql__sim_definer *d, cql__sim_table *table) {
  for (const cql__sim_definition *at = d->query->definitions; at; at = at->next) {
    const cql__sim_column *column = cql__sim_find_column(table, at->name);
    if (!column)
      return INVALID(d, "Column %.*s was not found in table '%.*s.%.*s'", CQL__SIM_SHOW(at->name),
                     CQL__SIM_SHOW(d->keyspace_name), CQL__SIM_SHOW(table->name));
    if (column->kind < CQL__SIM_STATIC)
      return INVALID(d, "Cannot drop PRIMARY KEY column %.*s", CQL__SIM_SHOW(at->name));
    cql__sim_column_remove(table, column);
  }
  return 0;
}

static int rename_in_table(cql__sim_definer *d, cql__sim_table *table) {
  for (const cql__sim_definition *at = d->query->definitions; at; at = at->next) {
    const cql__sim_column *column = cql__sim_find_column(table, at->name);
    if (!column)
      return INVALID(d, "Column %.*s was not found in table '%.*s.%.*s'", CQL__SIM_SHOW(at->name),
                     CQL__SIM_SHOW(d->keyspace_name), CQL__SIM_SHOW(table->name));
    if (column->kind >= CQL__SIM_STATIC)
      return INVALID(d, "Cannot rename non PRIMARY KEY column %.*s", CQL__SIM_SHOW(at->name));
    if (cql__sim_find_column(table, at->new_name))
      return INVALID(d,
                     "Cannot rename column %.*s to %.*s in table '%.*s.%.*s'; another column "
                     "with that name already exists",
                     CQL__SIM_SHOW(at->name), CQL__SIM_SHOW(at->new_name),
                     CQL__SIM_SHOW(d->keyspace_name), CQL__SIM_SHOW(table->name));
    table->columns[column - table->columns].name = cql__sim_keep(&d->schema->region, at->new_name);
  }
  return 0;
}

void cql__sim_alter_table(cql__sim_definer *d) {
  static int (*const alterations[])(cql__sim_definer * d, cql__sim_table * table) = {
      [CQL__SIM_ALTER_ADD] = add_to_table,
      [CQL__SIM_ALTER_DROP] = drop_from_table,
      [CQL__SIM_ALTER_RENAME] = rename_in_table,
      [CQL__SIM_ALTER_WITH] = NULL,
  };
  cql__sim_table *table = cql__sim_define_table_of(d);
  if (!table) return;
  if (alterations[d->query->alter] && alterations[d->query->alter](d, table)) return;
  set_table_options(d, table);
  cql__sim_define_changed(d, "UPDATED", "TABLE", d->query->name);
}

void cql__sim_drop_table(cql__sim_definer *d) {
  cql__sim_table *table = cql__sim_define_table_of(d);
  if (!table) return;
  cql__sim_define_changed(d, "DROPPED", "TABLE", d->query->name);
  cql__sim_table_free(table);
}

/* ---- indexes ---- */

void cql__sim_create_index(cql__sim_definer *d) {
  const cql__sim_statement *query = d->query;
  cql__sim_table *table = cql__sim_define_table_of(d), *other;
  if (!table) return;
  const cql__sim_column *column = cql__sim_find_column(table, query->columns->text);
  if (!column) {
    INVALID(d, "Undefined column name %.*s in table %.*s.%.*s", CQL__SIM_SHOW(query->columns->text),
            CQL__SIM_SHOW(d->keyspace_name), CQL__SIM_SHOW(table->name));
    return;
  }
  cql__sim_buffer text = {0};
  cql_slice_t name = query->index;
  if (name.length < 0) {
    cql__sim_print(&text, "%.*s_%.*s_idx", CQL__SIM_SHOW(table->name), CQL__SIM_SHOW(column->name));
    name = cql__sim_slice(&text);
  }
  if (cql__sim_find_index(d->keyspace, name, &other)) {
    if (!query->if_not_exists) INVALID(d, "Index '%.*s' already exists", CQL__SIM_SHOW(name));
  } else {
    cql__sim_index *index = cql__sim_index_new(d->schema, table, name);
    index->column = column->name;
    cql__sim_buffer target = {0};
    if (query->index_part.length > 0)
      cql__sim_print(&target, "%.*s(", CQL__SIM_SHOW(query->index_part));
    cql__sim_put_name(&target, column->name);
    if (query->index_part.length > 0) cql__sim_print(&target, ")");
    index->target = cql__sim_keep(&d->schema->region, cql__sim_slice(&target));
    cql__sim_buffer_free(&target);
    cql__sim_define_changed(d, "UPDATED", "TABLE", table->name);
  }
  cql__sim_buffer_free(&text);
}

void cql__sim_drop_index(cql__sim_definer *d) {
  cql__sim_table *table;
  cql__sim_index *index =
      d->keyspace ? cql__sim_find_index(d->keyspace, d->query->name, &table) : NULL;
  if (index) {
    cql__sim_define_changed(d, "UPDATED", "TABLE", table->name);
    cql__sim_index_free(index);
  } else if (!d->query->if_exists) {
    INVALID(d, "Index '%.*s.%.*s' doesn't exist'", CQL__SIM_SHOW(d->keyspace_name),
            CQL__SIM_SHOW(d->query->name));
  }
}
