/* Define: CREATE, ALTER and DROP. */
#include "sim/define.h"

static const cql_slice_t none = {NULL, CQL_NULL};

static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

void cql__sim_define_changed(cql__sim_definer *d, const char *change, const char *target,
                             cql_slice_t name) {
  cql__store_result *seen = &d->out->seen;
  seen->kind = CQL_RESULT_SCHEMA_CHANGE;
  cql_slice_t keyspace = cql__sim_keep(&d->out->region, d->keyspace_name);
  seen->change = (cql_schema_change_t){text_of(change), text_of(target), keyspace,
                                       cql__sim_keep(&d->out->region, name), none};
}

void cql__sim_define_exists(cql__sim_definer *d, cql_slice_t table) {
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

int32_t cql__sim_define_number(cql_slice_t text) {
  int32_t number = 0;
  for (int32_t i = 0; i < text.length && number < 100000; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') break;
    number = number * 10 + (text.data[i] - '0');
  }
  return number;
}

int cql__sim_define_type(cql__sim_definer *d, const cql__sim_definition *definition,
                         cql_type_t *type, cql_slice_t *text) {
  cql__sim_buffer canonical = {0}, why = {0};
  cql__sim_type_source source = cql__sim_types_of(d->schema, &d->schema->region, d->keyspace_name);
  int error = cql__sim_type_parse(&source, definition->type, type, &canonical, &why);
  *text = cql__sim_keep(&d->out->region, cql__sim_slice(&canonical));
  cql__sim_buffer_free(&canonical);
  if (error) return cql__store_fail_with(d->out, CQL__SIM_INVALID, &why);
  cql__sim_buffer_free(&why);
  return 0;
}

cql__sim_table *cql__sim_define_table_of(cql__sim_definer *d) {
  cql__sim_table *table = d->keyspace ? cql__sim_find_table(d->keyspace, d->query->name) : NULL;
  if (!table && !d->query->if_exists)
    INVALID(d, "Table '%.*s.%.*s' doesn't exist", CQL__SIM_SHOW(d->keyspace_name),
            CQL__SIM_SHOW(d->query->name));
  return table;
}

static const struct {
  void (*run)(cql__sim_definer *d);
  int makes; /* its keyspace need not be there yet */
} definitions[] = {
    [CQL__SIM_CREATE_KEYSPACE] = {cql__sim_create_keyspace, 1},
    [CQL__SIM_ALTER_KEYSPACE] = {cql__sim_alter_keyspace, 0},
    [CQL__SIM_DROP_KEYSPACE] = {cql__sim_drop_keyspace, 0},
    [CQL__SIM_CREATE_TABLE] = {cql__sim_create_table, 0},
    [CQL__SIM_ALTER_TABLE] = {cql__sim_alter_table, 0},
    [CQL__SIM_DROP_TABLE] = {cql__sim_drop_table, 0},
    [CQL__SIM_CREATE_TYPE] = {cql__sim_create_type, 0},
    [CQL__SIM_ALTER_TYPE] = {cql__sim_alter_type, 0},
    [CQL__SIM_DROP_TYPE] = {cql__sim_drop_type, 0},
    [CQL__SIM_CREATE_INDEX] = {cql__sim_create_index, 0},
    [CQL__SIM_DROP_INDEX] = {cql__sim_drop_index, 0},
};

void cql__sim_define(cql__store *store, const cql__sim_statement *query, cql_slice_t keyspace,
                     cql__sim_result *out) {
  cql_slice_t name = query->keyspace.length >= 0 ? query->keyspace : keyspace;
  cql__sim_definer d = {store, &store->schema, query, out, name, NULL};
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
