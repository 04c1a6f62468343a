/* INSERT, UPDATE and DELETE: what is written. */
#include "sim/resolve.h"

static const cql_type_t int_type = {.kind = CQL_INT};
static const cql_type_t bigint_type = {.kind = CQL_BIGINT};
static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

static void bind_using(cql__sim_resolver *r) {
  cql__sim_resolve_bind(r, r->plan->query->timestamp, &bigint_type, text_of("[timestamp]"));
  cql__sim_resolve_bind(r, r->plan->query->ttl, &int_type, text_of("[ttl]"));
}

int cql__sim_resolve_insert(cql__sim_resolver *r) {
  const cql__sim_statement *query = r->plan->query;
  const cql__sim_table *table = r->plan->table;
  uint32_t partition = 0, clustering = 0, writes = 0;
  const cql__sim_term *value = query->values;
  for (const cql__sim_name *name = query->columns; name; name = name->next, value = value->next) {
    const cql__sim_column *column = cql__sim_resolve_column(r, name->text);
    if (!column) return CQL_EVALUE;
    for (const cql__sim_name *other = name->next; other; other = other->next)
      if (cql__sim_same(name->text, other->text))
        return INVALID(r, "The column names contains duplicates");
    if (column->type.kind == CQL_COUNTER)
      return INVALID(r, "INSERT statements are not allowed on counter tables, use UPDATE instead");
    partition += column->kind == CQL__SIM_PARTITION_KEY;
    clustering += column->kind == CQL__SIM_CLUSTERING;
    writes += column->kind == CQL__SIM_REGULAR;
    cql__sim_resolve_bind(r, value, &column->type, column->name);
  }
  bind_using(r);
  /* The key's parts as relations, so that all writes find their rows in one way. */
  cql__sim_relation *relations = NULL;
  value = query->values;
  for (const cql__sim_name *name = query->columns; name; name = name->next, value = value->next) {
    if (cql__sim_resolve_column(r, name->text)->kind > CQL__SIM_CLUSTERING) continue;
    cql__sim_relation *relation = cql__sim_region_take(r->region, sizeof *relation);
    relation->column = name->text;
    relation->op = CQL__SIM_EQUAL;
    relation->value = value;
    relation->next = relations;
    relations = relation;
  }
  cql__sim_restrictions *where = &r->plan->where;
  if (cql__sim_resolve_relations(r, relations, where) || cql__sim_resolve_key(r, where))
    return CQL_EVALUE;
  if (partition < table->partition_count)
    return cql__sim_resolve_missing(r, CQL__SIM_PARTITION_KEY, where->partition,
                                    table->partition_count);
  if (clustering < table->clustering_count && (clustering || writes || !table->static_count))
    return cql__sim_resolve_missing(r, CQL__SIM_CLUSTERING, where->clustering,
                                    table->clustering_count);
  return 0;
}

static int is_collection(int32_t kind) {
  return kind == CQL_LIST || kind == CQL_SET || kind == CQL_MAP;
}

/* What the right side of an assignment is; NULL: it isn't possible. */
static const cql_type_t *assigned_type(cql__sim_resolver *r, const cql__sim_assignment *a,
                                       const cql__sim_column *column) {
  const cql_type_t *type = &column->type;
  if (a->key) {
    if (column->many && type->kind == CQL_MAP) return &type->children[1];
    if (column->many && type->kind == CQL_LIST) return &type->children[0];
    if (column->many && type->kind == CQL_SET && !a->value) return type; /* DELETE s[x] */
    INVALID(r, "Invalid operation (%.*s[...] = ...) for %s column %.*s", CQL__SIM_SHOW(a->column),
            column->many ? "this" : "frozen or non-collection", CQL__SIM_SHOW(a->column));
    return NULL;
  }
  if (type->kind == CQL_COUNTER) {
    if (a->op == CQL__SIM_ADD || a->op == CQL__SIM_REMOVE) return &bigint_type;
    if (!a->value) return type;
    INVALID(r,
            "Cannot set the value of counter column %.*s (counters can only be "
            "incremented/decremented, not set)",
            CQL__SIM_SHOW(a->column));
    return NULL;
  }
  if (a->op == CQL__SIM_SET) return type;
  if (!is_collection(type->kind)) {
    INVALID(r, "Invalid operation (%.*s = %.*s %s ...) for non counter column %.*s",
            CQL__SIM_SHOW(a->column), CQL__SIM_SHOW(a->column),
            a->op == CQL__SIM_REMOVE ? "-" : "+", CQL__SIM_SHOW(a->column));
    return NULL;
  }
  if (!column->many) {
    INVALID(r, "Invalid operation (%.*s = %.*s %s ...) for frozen collection column %.*s",
            CQL__SIM_SHOW(a->column), CQL__SIM_SHOW(a->column),
            a->op == CQL__SIM_REMOVE ? "-" : "+", CQL__SIM_SHOW(a->column));
    return NULL;
  }
  if (a->op == CQL__SIM_REMOVE && type->kind == CQL_MAP)
    return cql__sim_resolve_collection(r, CQL_SET, &type->children[0]);
  return type;
}

static int resolve_assignments(cql__sim_resolver *r) {
  const cql__sim_statement *query = r->plan->query;
  for (const cql__sim_assignment *a = query->assignments; a; a = a->next) {
    const cql__sim_column *column = cql__sim_resolve_column(r, a->column);
    if (!column) return CQL_EVALUE;
    if (column->kind < CQL__SIM_STATIC)
      return query->kind == CQL__SIM_DELETE
                 ? INVALID(r,
                           "Invalid identifier %.*s for deletion (should not be a PRIMARY KEY "
                           "part)",
                           CQL__SIM_SHOW(a->column))
                 : INVALID(r, "PRIMARY KEY part %.*s found in SET part", CQL__SIM_SHOW(a->column));
    const cql_type_t *type = assigned_type(r, a, column);
    if (!type) return CQL_EVALUE;
    if (a->key) {
      int by_key = column->type.kind != CQL_LIST;
      cql__sim_resolve_bind(r, a->key, by_key ? &column->type.children[0] : &int_type,
                            cql__sim_resolve_named(r, by_key ? "key(%)" : "idx(%)", column->name));
    }
    cql__sim_resolve_bind(r, a->value, type,
                          a->key ? cql__sim_resolve_named(r, "value(%)", column->name)
                                 : column->name);
  }
  return 0;
}

/* Does it write static columns alone, which takes no clustering key? */
static int writes_statics(cql__sim_resolver *r) {
  const cql__sim_assignment *a = r->plan->query->assignments;
  int statics = a != NULL;
  for (; a; a = a->next)
    statics &= cql__sim_find_column(r->plan->table, a->column)->kind == CQL__SIM_STATIC;
  return statics;
}

static int check_write_key(cql__sim_resolver *r) {
  cql__sim_restrictions *where = &r->plan->where;
  const cql__sim_table *table = r->plan->table;
  const cql__sim_statement *query = r->plan->query;
  int deletes = query->kind == CQL__SIM_DELETE;
  for (uint32_t i = 0; i < where->count; i++) {
    const cql__sim_column *column = where->all[i].column;
    if (!column || column->kind > CQL__SIM_CLUSTERING)
      return INVALID(r, "Non PRIMARY KEY columns found in where clause: %.*s ",
                     CQL__SIM_SHOW(where->all[i].relation->column));
    if (cql__sim_resolve_is_equal(where->all[i].relation)) continue;
    if (column->kind == CQL__SIM_PARTITION_KEY)
      return INVALID(r,
                     "Only EQ and IN relation are supported on the partition key (unless you "
                     "use the token() function) for %s statements",
                     deletes ? "DELETE" : "UPDATE");
    if (!deletes || query->assignments)
      return INVALID(r,
                     "Slice restrictions are not supported on the clustering columns in %s "
                     "statements",
                     deletes ? "DELETE" : "UPDATE");
  }
  if (where->partition_count < table->partition_count)
    return cql__sim_resolve_missing(r, CQL__SIM_PARTITION_KEY, where->partition,
                                    table->partition_count);
  if (cql__sim_resolve_clustering(r, where)) return CQL_EVALUE;
  int whole = deletes && !query->assignments; /* rows of any part of the key */
  if (!whole && where->clustering_count < table->clustering_count && !writes_statics(r))
    return cql__sim_resolve_missing(r, CQL__SIM_CLUSTERING, where->clustering,
                                    table->clustering_count);
  return 0;
}

int cql__sim_resolve_update(cql__sim_resolver *r) {
  const cql__sim_statement *query = r->plan->query;
  int deletes = query->kind == CQL__SIM_DELETE;
  bind_using(r);
  if (resolve_assignments(r) || cql__sim_resolve_relations(r, query->where, &r->plan->where) ||
      cql__sim_resolve_key(r, &r->plan->where) || check_write_key(r) ||
      cql__sim_resolve_relations(r, query->conditions, &r->plan->conditions))
    return CQL_EVALUE;
  for (uint32_t i = 0; i < r->plan->conditions.count; i++)
    if (r->plan->conditions.all[i].column &&
        r->plan->conditions.all[i].column->kind < CQL__SIM_STATIC)
      return INVALID(r, "PRIMARY KEY column '%.*s' cannot have IF conditions",
                     CQL__SIM_SHOW(r->plan->conditions.all[i].column->name));
  if (deletes && query->ttl)
    return cql__store_fail(r->out, CQL__SIM_SYNTAX_ERROR, "DELETE takes no TTL");
  return 0;
}

int cql__sim_resolve_conditions(cql__sim_resolver *r) {
  const cql__sim_statement *query = r->plan->query;
  const cql__sim_restrictions *where = &r->plan->where;
  if (!cql__sim_is_conditional(query)) return 0;
  if (query->timestamp)
    return INVALID(r, "Cannot provide custom timestamp for conditional updates");
  if (r->plan->table->has_counters)
    return INVALID(r, "Conditional updates are not supported on counter tables");
  for (uint32_t i = 0; i < where->count; i++) {
    if (where->all[i].relation->op == CQL__SIM_IN)
      return INVALID(r,
                     where->all[i].column->kind == CQL__SIM_PARTITION_KEY
                         ? "IN on the partition key is not supported with conditional %s"
                         : "IN on the clustering key columns is not supported with conditional "
                           "%s",
                     query->kind == CQL__SIM_DELETE ? "deletions" : "updates");
    if (where->all[i].relation->op != CQL__SIM_EQUAL)
      return INVALID(r, "DELETE statements must restrict all PRIMARY KEY columns with equality "
                        "relations in order to use IF condition");
  }
  if (query->kind == CQL__SIM_DELETE && !query->assignments &&
      where->clustering_count < r->plan->table->clustering_count)
    return INVALID(r, "DELETE statements must restrict all PRIMARY KEY columns with equality "
                      "relations in order to use IF condition");
  return 0;
}
