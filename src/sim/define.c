/* Define: CREATE, ALTER and DROP. */
#include "sim/execution.h"

typedef struct definer {
  cql__store *store;
  cql__sim_schema *schema;
  const cql__sim_statement *query;
  cql__sim_result *out;
  cql_slice_t keyspace_name;
  cql__sim_keyspace *keyspace; /* that of the name, or NULL */
} definer;

#define INVALID(d, ...) cql__store_fail((d)->out, CQL__SIM_INVALID, __VA_ARGS__)

static const cql_slice_t none = {NULL, CQL_NULL};

static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

/* The schema has changed. */
static void changed(definer *d, const char *change, const char *target, cql_slice_t name) {
  cql__store_result *seen = &d->out->seen;
  seen->kind = CQL_RESULT_SCHEMA_CHANGE;
  cql_slice_t keyspace = cql__sim_keep(&d->out->region, d->keyspace_name);
  seen->change = (cql_schema_change_t){text_of(change), text_of(target), keyspace,
                                       cql__sim_keep(&d->out->region, name), none};
}

static void already_exists(definer *d, cql_slice_t table) {
  if (d->query->if_not_exists) return;
  if (table.length < 0)
    cql__store_fail(d->out, CQL__SIM_ALREADY_EXISTS, "Cannot add existing keyspace \"%.*s\"",
                    CQL__SIM_SHOW(d->keyspace_name));
  else
    cql__store_fail(d->out, CQL__SIM_ALREADY_EXISTS,
                    "Cannot add already existing table \"%.*s\" to keyspace \"%.*s\"",
                    CQL__SIM_SHOW(table), CQL__SIM_SHOW(d->keyspace_name));
  d->out->seen.keyspace = cql__sim_keep(&d->out->region, d->keyspace_name);
  d->out->seen.table =
      table.length < 0 ? (cql_slice_t){NULL, 0} : cql__sim_keep(&d->out->region, table);
}

/* ---- keyspaces ---- */

typedef struct replication {
  cql_slice_t strategy;
  uint32_t count;
  cql_slice_t *options, *values;
  int32_t *factors;
} replication;

static cql_slice_t without_package(cql_slice_t name) {
  static const char package[] = "org.apache.cassandra.locator.";
  const int32_t size = (int32_t)sizeof package - 1;
  if (name.length > size && memcmp(name.data, package, sizeof package - 1) == 0)
    return (cql_slice_t){name.data + size, name.length - size};
  return name;
}

static int32_t leading_number(cql_slice_t text) {
  int32_t number = 0;
  for (int32_t i = 0; i < text.length && number < 100000; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') break;
    number = number * 10 + (text.data[i] - '0');
  }
  return number;
}

static void add_option(definer *d, replication *r, cql_slice_t name, cql_slice_t value) {
  uint32_t at = r->count++;
  for (; at > 0 && cql__sim_name_order(name, r->options[at - 1]) < 0; at--) {
    r->options[at] = r->options[at - 1];
    r->values[at] = r->values[at - 1];
    r->factors[at] = r->factors[at - 1];
  }
  r->options[at] = cql__sim_keep(&d->schema->region, name);
  r->values[at] = cql__sim_keep(&d->schema->region, value);
  r->factors[at] = leading_number(value);
}

static int check_strategy(definer *d, const replication *r) {
  static const char *const known[] = {"SimpleStrategy", "NetworkTopologyStrategy", "LocalStrategy",
                                      "EverywhereStrategy"};
  cql__sim_result *out = d->out;
  if (r->strategy.length < 0)
    return cql__store_fail(out, CQL__SIM_CONFIG_ERROR, "Missing replication strategy class");
  size_t i = 0, count = sizeof known / sizeof *known;
  while (i < count && !cql__slice_is(r->strategy, known[i])) i++;
  if (i == count)
    return cql__store_fail(out, CQL__SIM_CONFIG_ERROR,
                           "Unable to find replication strategy class "
                           "'org.apache.cassandra.locator.%.*s'",
                           CQL__SIM_SHOW(r->strategy));
  if (i == 0 && (r->count != 1 || !cql__slice_is(r->options[0], "replication_factor")))
    return cql__store_fail(out, CQL__SIM_CONFIG_ERROR,
                           "SimpleStrategy requires a replication_factor strategy option.");
  for (i = 0; i < r->count; i++) {
    cql_slice_t value = r->values[i];
    if (value.length < 1 || value.data[0] < '0' || value.data[0] > '9')
      return cql__store_fail(out, CQL__SIM_CONFIG_ERROR, "Replication factor must be numeric: %.*s",
                             CQL__SIM_SHOW(value));
  }
  return 0;
}

/* {'class': ..., option: value ...}: keys and values are strings or numbers. */
static int read_replication(definer *d, const cql__sim_term *map, replication *r) {
  uint32_t count = 0;
  if (map->kind != CQL__SIM_TERM_MAP)
    return cql__store_fail(d->out, CQL__SIM_SYNTAX_ERROR,
                           "Invalid value for property 'replication'. It should be a map.");
  for (const cql__sim_term *item = map->items; item; item = item->next) count++;
  *r = (replication){none, 0, cql__sim_region_take(&d->schema->region, count * sizeof *r->options),
                     cql__sim_region_take(&d->schema->region, count * sizeof *r->values),
                     cql__sim_region_take(&d->schema->region, count * sizeof *r->factors)};
  for (const cql__sim_term *item = map->items; item; item = item->next->next) {
    const cql__sim_term *value = item->next;
    if (item->text.length < 0 || value->text.length < 0)
      return cql__store_fail(d->out, CQL__SIM_SYNTAX_ERROR,
                             "Invalid value for property 'replication'. It should be a map.");
    if (cql__slice_is(item->text, "class"))
      r->strategy = cql__sim_keep(&d->schema->region, without_package(value->text));
    else
      add_option(d, r, item->text, value->text);
  }
  return check_strategy(d, r);
}

static int is_true(const cql__sim_term *term) { return cql__slice_is(term->text, "true"); }

/* {'enabled': true, 'initial': 8} */
static int32_t read_tablets(const cql__sim_term *map) {
  int32_t initial = 0;
  int enabled = 1;
  if (map->kind != CQL__SIM_TERM_MAP) return 0;
  for (const cql__sim_term *item = map->items; item; item = item->next->next) {
    if (cql__slice_is(item->text, "enabled")) enabled = is_true(item->next);
    if (cql__slice_is(item->text, "initial")) initial = leading_number(item->next->text);
  }
  return enabled ? (initial > 0 ? initial : 8) : 0;
}

static int alter_options(definer *d, cql__sim_keyspace *keyspace) {
  for (const cql__sim_option *option = d->query->options; option; option = option->next) {
    replication r = {0};
    if (cql__slice_is(option->name, "replication")) {
      if (read_replication(d, option->value, &r)) return CQL_EVALUE;
      keyspace->strategy = r.strategy;
      keyspace->option_count = r.count;
      keyspace->options = r.options;
      keyspace->values = r.values;
      keyspace->factors = r.factors;
    } else if (cql__slice_is(option->name, "durable_writes")) {
      keyspace->durable_writes = is_true(option->value);
    } else if (cql__slice_is(option->name, "tablets") && d->store->scylla) {
      keyspace->tablets = read_tablets(option->value);
    } else {
      return cql__store_fail(d->out, CQL__SIM_SYNTAX_ERROR, "Unknown property '%.*s'",
                             CQL__SIM_SHOW(option->name));
    }
  }
  return 0;
}

static void create_keyspace(definer *d) {
  if (d->keyspace) {
    already_exists(d, none);
    return;
  }
  cql__sim_keyspace *keyspace = cql__sim_keyspace_new(d->schema, d->keyspace_name);
  int error = alter_options(d, keyspace);
  if (!error && !keyspace->strategy.length)
    error = cql__store_fail(d->out, CQL__SIM_CONFIG_ERROR,
                            "Missing mandatory replication strategy class");
  if (error)
    cql__sim_keyspace_free(keyspace);
  else
    changed(d, "CREATED", "KEYSPACE", none);
}

static void alter_keyspace(definer *d) {
  if (alter_options(d, d->keyspace) == 0) changed(d, "UPDATED", "KEYSPACE", none);
}

static void drop_keyspace(definer *d) {
  changed(d, "DROPPED", "KEYSPACE", none);
  cql__sim_keyspace_free(d->keyspace);
}

/* ---- tables ---- */

/* The type of a definition, and its canonical text in the result's region. */
static int read_type(definer *d, const cql__sim_definition *definition, cql_type_t *type,
                     cql_slice_t *text) {
  cql__sim_buffer canonical = {0}, why = {0};
  cql__sim_type_source source = cql__sim_types_of(d->schema, &d->schema->region, d->keyspace_name);
  int error = cql__sim_type_parse(&source, definition->type, type, &canonical, &why);
  *text = cql__sim_keep(&d->out->region, cql__sim_slice(&canonical));
  cql__sim_buffer_free(&canonical);
  if (error) return cql__store_fail_with(d->out, CQL__SIM_INVALID, &why);
  cql__sim_buffer_free(&why);
  return 0;
}

static int is_frozen(cql_slice_t text) {
  return text.length > 7 && memcmp(text.data, "frozen<", 7) == 0;
}

static int read_column(definer *d, const cql__sim_definition *definition, int kind,
                       cql__sim_column *column) {
  *column = (cql__sim_column){.name = definition->name, .kind = kind};
  if (read_type(d, definition, &column->type, &column->type_text)) return CQL_EVALUE;
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

static int add_key(definer *d, cql__sim_table *table, const cql__sim_name *names, int kind) {
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

static int add_columns(definer *d, cql__sim_table *table) {
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

static int check_table(definer *d, const cql__sim_table *table) {
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

static void set_table_options(definer *d, cql__sim_table *table) {
  for (const cql__sim_option *option = d->query->options; option; option = option->next) {
    if (cql__slice_is(option->name, "comment") && option->value->text.length >= 0)
      table->comment = cql__sim_keep(&d->schema->region, option->value->text);
    if (cql__slice_is(option->name, "default_time_to_live"))
      table->default_ttl = leading_number(option->value->text);
  }
}

static void create_table(definer *d) {
  const cql__sim_statement *query = d->query;
  if (cql__sim_find_table(d->keyspace, query->name)) {
    already_exists(d, query->name);
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
  changed(d, "CREATED", "TABLE", query->name);
}

static int add_to_table(definer *d, cql__sim_table *table) {
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

static int drop_from_table(definer *d, cql__sim_table *table) {
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

static int rename_in_table(definer *d, cql__sim_table *table) {
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

/* The table of that name; NULL: there is none, which is an error but with IF EXISTS. */
static cql__sim_table *table_of(definer *d) {
  cql__sim_table *table = d->keyspace ? cql__sim_find_table(d->keyspace, d->query->name) : NULL;
  if (!table && !d->query->if_exists)
    INVALID(d, "Table '%.*s.%.*s' doesn't exist", CQL__SIM_SHOW(d->keyspace_name),
            CQL__SIM_SHOW(d->query->name));
  return table;
}

static void alter_table(definer *d) {
  static int (*const alterations[])(definer * d, cql__sim_table * table) = {
      [CQL__SIM_ALTER_ADD] = add_to_table,
      [CQL__SIM_ALTER_DROP] = drop_from_table,
      [CQL__SIM_ALTER_RENAME] = rename_in_table,
      [CQL__SIM_ALTER_WITH] = NULL,
  };
  cql__sim_table *table = table_of(d);
  if (!table) return;
  if (alterations[d->query->alter] && alterations[d->query->alter](d, table)) return;
  set_table_options(d, table);
  changed(d, "UPDATED", "TABLE", d->query->name);
}

static void drop_table(definer *d) {
  cql__sim_table *table = table_of(d);
  if (!table) return;
  changed(d, "DROPPED", "TABLE", d->query->name);
  cql__sim_table_free(table);
}

/* ---- types ---- */

static int has_field(const cql__sim_user_type *type, cql_slice_t name) {
  for (uint32_t i = 0; i < type->type.child_count; i++)
    if (cql__sim_same(type->type.names[i], name)) return 1;
  return 0;
}

static int add_fields(definer *d, cql__sim_user_type *type) {
  for (const cql__sim_definition *at = d->query->definitions; at; at = at->next) {
    cql_type_t field;
    cql_slice_t text;
    if (has_field(type, at->name))
      return INVALID(d, "Duplicate field name '%.*s' in type '%.*s'", CQL__SIM_SHOW(at->name),
                     CQL__SIM_SHOW(type->name));
    if (read_type(d, at, &field, &text)) return CQL_EVALUE;
    if (field.kind == CQL_COUNTER) return INVALID(d, "A user type cannot contain counters");
    cql__sim_field_add(d->schema, type, at->name, &field, text);
  }
  return 0;
}

static void create_type(definer *d) {
  if (cql__sim_find_user_type(d->keyspace, d->query->name)) {
    if (!d->query->if_not_exists)
      INVALID(d, "A user type with name '%.*s' already exists", CQL__SIM_SHOW(d->query->name));
    return;
  }
  cql__sim_user_type *type = cql__sim_user_type_new(d->schema, d->keyspace, d->query->name);
  if (add_fields(d, type))
    cql__sim_user_type_free(type);
  else
    changed(d, "CREATED", "TYPE", d->query->name);
}

static cql__sim_user_type *type_of(definer *d) {
  cql__sim_user_type *type =
      d->keyspace ? cql__sim_find_user_type(d->keyspace, d->query->name) : NULL;
  if (!type && !d->query->if_exists)
    INVALID(d, "Type '%.*s.%.*s' doesn't exist", CQL__SIM_SHOW(d->keyspace_name),
            CQL__SIM_SHOW(d->query->name));
  return type;
}

static int rename_fields(definer *d, cql__sim_user_type *type) {
  uint32_t count = type->type.child_count;
  cql_slice_t *names = cql__sim_region_take(&d->schema->region, count * sizeof *names);
  memcpy(names, type->type.names, count * sizeof *names);
  for (const cql__sim_definition *at = d->query->definitions; at; at = at->next) {
    uint32_t i = 0;
    while (i < count && !cql__sim_same(names[i], at->name)) i++;
    if (i == count)
      return INVALID(d, "Unkown field %.*s in user type %.*s", CQL__SIM_SHOW(at->name),
                     CQL__SIM_SHOW(type->name));
    names[i] = cql__sim_keep(&d->schema->region, at->new_name);
  }
  type->type.names = names;
  return 0;
}

static void alter_type(definer *d) {
  cql__sim_user_type *type = type_of(d);
  if (!type) return;
  int error = d->query->alter == CQL__SIM_ALTER_ADD      ? add_fields(d, type)
              : d->query->alter == CQL__SIM_ALTER_RENAME ? rename_fields(d, type)
                                                         : INVALID(d, "A type has no options");
  cql__sim_types_refresh(d->schema, d->keyspace);
  if (!error) changed(d, "UPDATED", "TYPE", d->query->name);
}

static int uses(const cql_type_t *type, const cql__sim_user_type *wanted) {
  if (type->kind == CQL_UDT && cql__sim_same(type->name, wanted->name)) return 1;
  for (uint32_t i = 0; i < type->child_count; i++)
    if (uses(&type->children[i], wanted)) return 1;
  return 0;
}

static int is_used(const cql__sim_keyspace *keyspace, const cql__sim_user_type *wanted) {
  for (const cql__list *at = keyspace->types.next; at != &keyspace->types; at = at->next) {
    const cql__sim_user_type *type = cql__container(at, cql__sim_user_type, link);
    if (type != wanted && uses(&type->type, wanted)) return 1;
  }
  for (const cql__list *at = keyspace->tables.next; at != &keyspace->tables; at = at->next) {
    const cql__sim_table *table = cql__container(at, cql__sim_table, link);
    for (uint32_t i = 0; i < table->column_count; i++)
      if (uses(&table->columns[i].type, wanted)) return 1;
  }
  return 0;
}

static void drop_type(definer *d) {
  cql__sim_user_type *type = type_of(d);
  if (!type) return;
  if (is_used(d->keyspace, type)) {
    INVALID(d, "Cannot drop user type '%.*s.%.*s' as it is still used",
            CQL__SIM_SHOW(d->keyspace_name), CQL__SIM_SHOW(type->name));
    return;
  }
  changed(d, "DROPPED", "TYPE", d->query->name);
  cql__sim_user_type_free(type);
}

/* ---- indexes ---- */

static void create_index(definer *d) {
  const cql__sim_statement *query = d->query;
  cql__sim_table *table = table_of(d), *other;
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
    changed(d, "UPDATED", "TABLE", table->name);
  }
  cql__sim_buffer_free(&text);
}

static void drop_index(definer *d) {
  cql__sim_table *table;
  cql__sim_index *index =
      d->keyspace ? cql__sim_find_index(d->keyspace, d->query->name, &table) : NULL;
  if (index) {
    changed(d, "UPDATED", "TABLE", table->name);
    cql__sim_index_free(index);
  } else if (!d->query->if_exists) {
    INVALID(d, "Index '%.*s.%.*s' doesn't exist'", CQL__SIM_SHOW(d->keyspace_name),
            CQL__SIM_SHOW(d->query->name));
  }
}

/* ---- all ---- */

static const struct {
  void (*run)(definer *d);
  int makes; /* its keyspace need not be there yet */
} definitions[] = {
    [CQL__SIM_CREATE_KEYSPACE] = {create_keyspace, 1},
    [CQL__SIM_ALTER_KEYSPACE] = {alter_keyspace, 0},
    [CQL__SIM_DROP_KEYSPACE] = {drop_keyspace, 0},
    [CQL__SIM_CREATE_TABLE] = {create_table, 0},
    [CQL__SIM_ALTER_TABLE] = {alter_table, 0},
    [CQL__SIM_DROP_TABLE] = {drop_table, 0},
    [CQL__SIM_CREATE_TYPE] = {create_type, 0},
    [CQL__SIM_ALTER_TYPE] = {alter_type, 0},
    [CQL__SIM_DROP_TYPE] = {drop_type, 0},
    [CQL__SIM_CREATE_INDEX] = {create_index, 0},
    [CQL__SIM_DROP_INDEX] = {drop_index, 0},
};

void cql__sim_define(cql__store *store, const cql__sim_statement *query, cql_slice_t keyspace,
                     cql__sim_result *out) {
  cql_slice_t name = query->keyspace.length >= 0 ? query->keyspace : keyspace;
  definer d = {store, &store->schema, query, out, name, NULL};
  if (name.length < 0) {
    INVALID(&d, "No keyspace has been specified. USE a keyspace, or explicitly specify "
                "keyspace.tablename");
    return;
  }
  d.keyspace = cql__sim_find_keyspace(&store->schema, name);
  out->seen.kind = CQL_RESULT_VOID;
  if (d.keyspace && d.keyspace->is_system) {
    cql__store_fail(out, CQL__SIM_UNAUTHORIZED, "%.*s keyspace is not user-modifiable.",
                    CQL__SIM_SHOW(name));
    return;
  }
  if (!d.keyspace && !definitions[query->kind].makes) {
    if (!query->if_exists) INVALID(&d, "Keyspace '%.*s' doesn't exist", CQL__SIM_SHOW(name));
    return;
  }
  uint64_t serial = store->schema.serial++;
  definitions[query->kind].run(&d);
  if (out->seen.kind != CQL_RESULT_SCHEMA_CHANGE && out->seen.kind != CQL_RESULT_ERROR)
    store->schema.serial = serial; /* nothing has changed */
}
