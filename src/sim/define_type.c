/* CREATE, ALTER and DROP TYPE. */
#include "sim/define.h"

static int has_field(const cql__sim_user_type *type, cql_slice_t name) {
  for (uint32_t i = 0; i < type->type.child_count; i++)
    if (cql__sim_same(type->type.names[i], name)) return 1;
  return 0;
}

static int add_fields(cql__sim_definer *d, cql__sim_user_type *type) {
  for (const cql__sim_definition *at = d->query->definitions; at; at = at->next) {
    cql_type_t field;
    cql_slice_t text;
    if (has_field(type, at->name))
      return INVALID(d, "Duplicate field name '%.*s' in type '%.*s'", CQL__SIM_SHOW(at->name),
                     CQL__SIM_SHOW(type->name));
    if (cql__sim_define_type(d, at, &field, &text)) return CQL_EVALUE;
    if (field.kind == CQL_COUNTER) return INVALID(d, "A user type cannot contain counters");
    cql__sim_field_add(d->schema, type, at->name, &field, text);
  }
  return 0;
}

void cql__sim_create_type(cql__sim_definer *d) {
  if (cql__sim_find_user_type(d->keyspace, d->query->name)) {
    if (!d->query->if_not_exists)
      INVALID(d, "A user type with name '%.*s' already exists", CQL__SIM_SHOW(d->query->name));
    return;
  }
  cql__sim_user_type *type = cql__sim_user_type_new(d->schema, d->keyspace, d->query->name);
  if (add_fields(d, type))
    cql__sim_user_type_free(type);
  else
    cql__sim_define_changed(d, "CREATED", "TYPE", d->query->name);
}

static cql__sim_user_type *type_of(cql__sim_definer *d) {
  cql__sim_user_type *type =
      d->keyspace ? cql__sim_find_user_type(d->keyspace, d->query->name) : NULL;
  if (!type && !d->query->if_exists)
    INVALID(d, "Type '%.*s.%.*s' doesn't exist", CQL__SIM_SHOW(d->keyspace_name),
            CQL__SIM_SHOW(d->query->name));
  return type;
}

static int rename_fields(cql__sim_definer *d, cql__sim_user_type *type) {
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

void cql__sim_alter_type(cql__sim_definer *d) {
  cql__sim_user_type *type = type_of(d);
  if (!type) return;
  int error = d->query->alter == CQL__SIM_ALTER_ADD      ? add_fields(d, type)
              : d->query->alter == CQL__SIM_ALTER_RENAME ? rename_fields(d, type)
                                                         : INVALID(d, "A type has no options");
  cql__sim_types_refresh(d->schema, d->keyspace);
  if (!error) cql__sim_define_changed(d, "UPDATED", "TYPE", d->query->name);
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

void cql__sim_drop_type(cql__sim_definer *d) {
  cql__sim_user_type *type = type_of(d);
  if (!type) return;
  if (is_used(d->keyspace, type)) {
    INVALID(d, "Cannot drop user type '%.*s.%.*s' as it is still used",
            CQL__SIM_SHOW(d->keyspace_name), CQL__SIM_SHOW(type->name));
    return;
  }
  cql__sim_define_changed(d, "DROPPED", "TYPE", d->query->name);
  cql__sim_user_type_free(type);
}
