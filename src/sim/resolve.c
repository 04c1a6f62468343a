/* Resolve: a parsed statement checked against the schema: which columns it means, which types its
 * markers have, what its rows look like. */
#include "sim/resolve.h"

static const cql_type_t bigint_type = {.kind = CQL_BIGINT};
static const cql_slice_t none = {NULL, CQL_NULL};
static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

cql_slice_t cql__sim_resolve_named(cql__sim_resolver *r, const char *format, cql_slice_t name) {
  cql__sim_buffer text = {0};
  const char *hole = strchr(format, '%');
  cql__sim_put(&text, format, (size_t)(hole - format));
  if (name.length > 0) cql__sim_put(&text, name.data, (size_t)name.length);
  cql__sim_put(&text, hole + 1, strlen(hole + 1));
  cql_slice_t copy = cql__sim_keep(r->region, cql__sim_slice(&text));
  cql__sim_buffer_free(&text);
  return copy;
}

const cql_type_t *cql__sim_resolve_collection(cql__sim_resolver *r, int32_t kind,
                                              const cql_type_t *child) {
  cql_type_t *type = cql__sim_region_take(r->region, sizeof *type);
  *type = (cql_type_t){.kind = kind, .child_count = 1, .children = child};
  return type;
}

/* ---- markers ---- */

static void bind_items(cql__sim_resolver *r, const cql__sim_term *term, const cql_type_t *type,
                       cql_slice_t name);

void cql__sim_resolve_bind(cql__sim_resolver *r, const cql__sim_term *term, const cql_type_t *type,
                           cql_slice_t name) {
  if (!term) return;
  if (term->kind != CQL__SIM_TERM_MARKER) {
    bind_items(r, term, type, name);
    return;
  }
  const cql__sim_table *table = r->plan->table;
  r->binds[term->marker] = (cql_column_t){table->keyspace->name, table->name,
                                          term->text.length >= 0 ? term->text : name, *type};
}

static void bind_items(cql__sim_resolver *r, const cql__sim_term *term, const cql_type_t *type,
                       cql_slice_t name) {
  uint32_t index = 0;
  for (const cql__sim_term *item = term->items; item; item = item->next, index++) {
    uint32_t child = index;
    switch (type->kind) {
      case CQL_LIST:
      case CQL_SET:
      case CQL_VECTOR: child = 0; break;
      case CQL_MAP: child = index % 2; break;
      case CQL_UDT:
        for (child = 0; child < type->child_count; child++)
          if (cql__sim_same(type->names[child], item->name)) break;
        break;
      default: break;
    }
    if (child >= type->child_count) return; /* it doesn't fit: executing it says so */
    cql__sim_resolve_bind(
        r, item, &type->children[child],
        cql__sim_resolve_named(r, type->kind == CQL_MAP && !child ? "key(%)" : "value(%)", name));
  }
}

/* ---- tables and columns ---- */

static cql__sim_table *find_table(cql__sim_resolver *r, const cql__sim_statement *query) {
  cql_slice_t name = query->keyspace.length >= 0 ? query->keyspace : r->statement->keyspace;
  if (name.length < 0) {
    INVALID(r, "No keyspace has been specified. USE a keyspace, or explicitly specify "
               "keyspace.tablename");
    return NULL;
  }
  cql__sim_keyspace *keyspace = cql__sim_find_keyspace(&r->store->schema, name);
  if (!keyspace) {
    INVALID(r, "keyspace %.*s does not exist", CQL__SIM_SHOW(name));
    return NULL;
  }
  cql__sim_table *table = cql__sim_find_table(keyspace, query->name);
  if (!table) INVALID(r, "table %.*s does not exist", CQL__SIM_SHOW(query->name));
  return table;
}

const cql__sim_column *cql__sim_resolve_column(cql__sim_resolver *r, cql_slice_t name) {
  const cql__sim_table *table = r->plan->table;
  const cql__sim_column *column = cql__sim_find_column(table, name);
  if (!column)
    INVALID(r, "Undefined column name %.*s in table %.*s.%.*s", CQL__SIM_SHOW(name),
            CQL__SIM_SHOW(table->keyspace->name), CQL__SIM_SHOW(table->name));
  return column;
}

/* ---- statements ---- */

static int refuse_system(cql__sim_resolver *r) {
  const cql__sim_keyspace *keyspace = r->plan->table->keyspace;
  if (!keyspace->is_system) return 0;
  return cql__store_fail(r->out, CQL__SIM_UNAUTHORIZED, "%.*s keyspace is not user-modifiable.",
                         CQL__SIM_SHOW(keyspace->name));
}

static int resolve_one(cql__sim_resolver *r, const cql__sim_statement *query) {
  r->plan->query = query;
  r->plan->table = find_table(r, query);
  if (!r->plan->table) return CQL_EVALUE;
  if (query->kind == CQL__SIM_SELECT) return cql__sim_resolve_select(r);
  if (refuse_system(r)) return CQL_EVALUE;
  int error =
      query->kind == CQL__SIM_INSERT ? cql__sim_resolve_insert(r) : cql__sim_resolve_update(r);
  return error ? error : cql__sim_resolve_conditions(r);
}

static int resolve_batch(cql__sim_resolver *r, const cql__sim_statement *batch) {
  cql__sim_plan **at = &r->statement->plans;
  for (const cql__sim_statement *query = batch->statements; query; query = query->next) {
    r->plan = *at = cql__sim_region_take(r->region, sizeof **at);
    at = &r->plan->next;
    if (resolve_one(r, query)) return CQL_EVALUE;
  }
  if (r->statement->plans) {
    r->plan = r->statement->plans;
    cql__sim_resolve_bind(r, batch->timestamp, &bigint_type, text_of("[timestamp]"));
  }
  return 0;
}

/* Which markers make the partition key, if they make all of it. */
static void set_key_indexes(cql__sim_resolver *r) {
  const cql__sim_plan *plan = r->statement->plans;
  cql__statement_shape *shape = &r->statement->shape;
  uint32_t count = plan->table->partition_count;
  if (plan->next || plan->where.partition_count < count) return;
  uint16_t *indexes = cql__sim_region_take(r->region, count * sizeof *indexes);
  for (uint32_t i = 0; i < count; i++) {
    const cql__sim_relation *relation = plan->where.partition[i]->relation;
    if (relation->op != CQL__SIM_EQUAL || relation->value->kind != CQL__SIM_TERM_MARKER) return;
    indexes[i] = (uint16_t)relation->value->marker;
  }
  shape->key_indexes = indexes;
  shape->key_count = count;
}

static int finish_binds(cql__sim_resolver *r) {
  uint32_t count = r->statement->query->marker_count;
  for (uint32_t i = 0; i < count; i++)
    if (!r->binds[i].type.kind) return INVALID(r, "Invalid use of bind marker %u", i);
  r->statement->shape.binds = r->binds;
  r->statement->shape.bind_count = count;
  return 0;
}

static int shape_kind(int kind) {
  switch (kind) {
    case CQL__SIM_SELECT: return CQL__STATEMENT_READ;
    case CQL__SIM_INSERT:
    case CQL__SIM_UPDATE:
    case CQL__SIM_DELETE:
    case CQL__SIM_BATCH: return CQL__STATEMENT_WRITE;
    case CQL__SIM_TRUNCATE: return CQL__STATEMENT_TRUNCATE;
    case CQL__SIM_USE: return CQL__STATEMENT_USE;
    default: return CQL__STATEMENT_SCHEMA;
  }
}

static int resolve_all(cql__sim_resolver *r, const cql__sim_statement *query) {
  cql__statement *statement = r->statement;
  cql__statement_shape *shape = &statement->shape;
  shape->kind = shape_kind(query->kind);
  shape->keyspace = shape->table = none;
  if (shape->kind > CQL__STATEMENT_WRITE && shape->kind != CQL__STATEMENT_TRUNCATE)
    return finish_binds(r);
  if (query->kind == CQL__SIM_BATCH) {
    if (resolve_batch(r, query)) return CQL_EVALUE;
  } else {
    r->plan = statement->plans = cql__sim_region_take(r->region, sizeof *r->plan);
    r->plan->query = query;
    if (shape->kind == CQL__STATEMENT_TRUNCATE) {
      r->plan->table = find_table(r, query);
      if (!r->plan->table || refuse_system(r)) return CQL_EVALUE;
    } else if (resolve_one(r, query)) {
      return CQL_EVALUE;
    }
  }
  if (finish_binds(r)) return CQL_EVALUE;
  if (!statement->plans) return 0; /* an empty batch */
  shape->keyspace = statement->plans->table->keyspace->name;
  shape->table = statement->plans->table->name;
  shape->conditional = cql__sim_is_conditional(query);
  if (shape->kind == CQL__STATEMENT_WRITE) shape->counter = statement->plans->table->has_counters;
  if (shape->kind <= CQL__STATEMENT_WRITE) set_key_indexes(r);
  return 0;
}

int cql__statement_resolve(cql__store *store, cql__statement *statement, cql__sim_result *out) {
  if (statement->serial == store->schema.serial) return 0;
  cql__sim_region_free(&statement->resolved);
  statement->serial = 0;
  statement->plans = NULL;
  statement->shape = (cql__statement_shape){0};
  cql__sim_resolver r = {store, statement, out, &statement->resolved, NULL, NULL};
  r.binds = cql__sim_region_take(r.region, statement->query->marker_count * sizeof *r.binds);
  if (resolve_all(&r, statement->query)) return CQL_EVALUE;
  statement->serial = store->schema.serial;
  return 0;
}
