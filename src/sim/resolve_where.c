/* WHERE and IF: which rows, and whether there is a way to them. */
#include "sim/resolve.h"

static const cql_type_t int_type = {.kind = CQL_INT};
static const cql_type_t bigint_type = {.kind = CQL_BIGINT};
static const cql_slice_t none = {NULL, CQL_NULL};
static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

int cql__sim_resolve_is_equal(const cql__sim_relation *relation) {
  return relation->op == CQL__SIM_EQUAL || relation->op == CQL__SIM_IN;
}

/* What a relation compares with: parts of a collection where it looks for these. */
static const cql_type_t *compared_type(cql__sim_resolver *r, const cql__sim_relation *relation,
                                       const cql__sim_column *column) {
  const cql_type_t *type = &column->type;
  int is_collection = type->kind == CQL_LIST || type->kind == CQL_SET || type->kind == CQL_MAP;
  if (relation->key) {
    if (type->kind == CQL_MAP) return &type->children[1];
    if (type->kind == CQL_LIST) return &type->children[0];
    INVALID(r, "Invalid element access syntax for non-collection column %.*s",
            CQL__SIM_SHOW(column->name));
    return NULL;
  }
  if (relation->op != CQL__SIM_CONTAINS && relation->op != CQL__SIM_CONTAINS_KEY) return type;
  if (!is_collection) {
    INVALID(r, "Cannot use CONTAINS on non-collection column %.*s", CQL__SIM_SHOW(column->name));
    return NULL;
  }
  if (relation->op == CQL__SIM_CONTAINS && type->kind == CQL_MAP) return &type->children[1];
  if (relation->op == CQL__SIM_CONTAINS_KEY && type->kind != CQL_MAP) {
    INVALID(r, "Cannot use CONTAINS KEY on non-map column %.*s", CQL__SIM_SHOW(column->name));
    return NULL;
  }
  return &type->children[0];
}

static void bind_relation(cql__sim_resolver *r, const cql__sim_restriction *restriction) {
  const cql__sim_relation *relation = restriction->relation;
  const cql__sim_term *value = relation->value;
  cql_slice_t name = restriction->column ? restriction->column->name : none;
  if (relation->of_token) name = text_of("partition key token");
  if (relation->key) {
    const cql_type_t *type = &restriction->column->type;
    cql__sim_resolve_bind(
        r, relation->key, type->kind == CQL_MAP ? &type->children[0] : &int_type,
        cql__sim_resolve_named(r, type->kind == CQL_MAP ? "key(%)" : "idx(%)", name));
    name = cql__sim_resolve_named(r, "value(%)", name);
  } else if (relation->op == CQL__SIM_CONTAINS) {
    name = cql__sim_resolve_named(r, "value(%)", name);
  } else if (relation->op == CQL__SIM_CONTAINS_KEY) {
    name = cql__sim_resolve_named(r, "key(%)", name);
  }
  if (relation->op != CQL__SIM_IN) {
    cql__sim_resolve_bind(r, value, restriction->type, name);
  } else if (value->kind == CQL__SIM_TERM_MARKER) {
    cql__sim_resolve_bind(r, value, cql__sim_resolve_collection(r, CQL_LIST, restriction->type),
                          cql__sim_resolve_named(r, "in(%)", name));
  } else {
    for (const cql__sim_term *item = value->items; item; item = item->next)
      cql__sim_resolve_bind(r, item, restriction->type, cql__sim_resolve_named(r, "in(%)", name));
  }
}

int cql__sim_resolve_relations(cql__sim_resolver *r, const cql__sim_relation *relations,
                               cql__sim_restrictions *out) {
  const cql__sim_table *table = r->plan->table;
  uint32_t count = 0;
  for (const cql__sim_relation *at = relations; at; at = at->next) count++;
  out->all = cql__sim_region_take(r->region, count * sizeof *out->all);
  out->partition = cql__sim_region_take(r->region, table->partition_count * sizeof *out->partition);
  out->clustering =
      cql__sim_region_take(r->region, table->clustering_count * sizeof *out->clustering);
  for (const cql__sim_relation *at = relations; at; at = at->next) {
    cql__sim_restriction *restriction = &out->all[out->count++];
    restriction->relation = at;
    restriction->type = &bigint_type;
    if (at->op == CQL__SIM_IN && at->value->kind != CQL__SIM_TERM_MARKER &&
        at->value->kind != CQL__SIM_TERM_TUPLE)
      return cql__store_fail(r->out, CQL__SIM_SYNTAX_ERROR, "IN needs values in parentheses");
    if (at->of_token) {
      out->has_token = 1;
    } else {
      restriction->column = cql__sim_resolve_column(r, at->column);
      if (!restriction->column) return CQL_EVALUE;
      restriction->type = compared_type(r, at, restriction->column);
      if (!restriction->type) return CQL_EVALUE;
    }
    bind_relation(r, restriction);
  }
  return 0;
}

int cql__sim_resolve_key(cql__sim_resolver *r, cql__sim_restrictions *where) {
  for (uint32_t i = 0; i < where->count; i++) {
    const cql__sim_restriction *one = &where->all[i];
    if (!one->column || one->column->kind > CQL__SIM_CLUSTERING) continue;
    const cql__sim_restriction **slot = one->column->kind == CQL__SIM_PARTITION_KEY
                                            ? &where->partition[one->column->position]
                                            : &where->clustering[one->column->position];
    for (uint32_t k = 0; k < where->count; k++)
      if (k != i && where->all[k].column == one->column && cql__sim_resolve_is_equal(one->relation))
        return INVALID(r,
                       "%.*s cannot be restricted by more than one relation if it includes an "
                       "%s",
                       CQL__SIM_SHOW(one->column->name),
                       one->relation->op == CQL__SIM_IN ? "IN" : "Equal");
    if (cql__sim_resolve_is_equal(one->relation)) *slot = one;
  }
  const cql__sim_table *table = r->plan->table;
  for (uint32_t i = 0; i < table->partition_count; i++)
    where->partition_count += where->partition[i] != NULL;
  while (where->clustering_count < table->clustering_count &&
         where->clustering[where->clustering_count])
    where->clustering_count++;
  return 0;
}

/* The first relation on that column. */
static const cql__sim_relation *relation_on(const cql__sim_restrictions *where,
                                            const cql__sim_column *column) {
  for (uint32_t i = 0; i < where->count; i++)
    if (where->all[i].column == column) return where->all[i].relation;
  return NULL;
}

int cql__sim_resolve_clustering(cql__sim_resolver *r, const cql__sim_restrictions *where) {
  const cql__sim_table *table = r->plan->table;
  const cql__sim_column *gap = NULL, *range = NULL;
  for (uint32_t i = 0; i < table->clustering_count; i++) {
    const cql__sim_column *column = &table->columns[table->partition_count + i];
    const cql__sim_relation *relation = relation_on(where, column);
    if (relation && gap)
      return INVALID(r,
                     "PRIMARY KEY column \"%.*s\" cannot be restricted as preceding column "
                     "\"%.*s\" is not restricted",
                     CQL__SIM_SHOW(column->name), CQL__SIM_SHOW(gap->name));
    if (relation && range)
      return INVALID(r,
                     "Clustering column \"%.*s\" cannot be restricted (preceding column "
                     "\"%.*s\" is restricted by a non-EQ relation)",
                     CQL__SIM_SHOW(column->name), CQL__SIM_SHOW(range->name));
    if (!relation && !gap) gap = column;
    if (relation && !cql__sim_resolve_is_equal(relation)) range = column;
  }
  return 0;
}

static int has_index(const cql__sim_table *table, const cql__sim_column *column) {
  for (const cql__list *at = table->indexes.next; at != &table->indexes; at = at->next)
    if (cql__sim_same(cql__container(at, cql__sim_index, link)->column, column->name)) return 1;
  return 0;
}

int cql__sim_resolve_filtering(cql__sim_resolver *r, cql__sim_restrictions *where) {
  const cql__sim_statement *query = r->plan->query;
  const cql__sim_table *table = r->plan->table;
  int filters = where->partition_count && where->partition_count < table->partition_count;
  int indexed = 0;
  for (uint32_t i = 0; i < where->count; i++) {
    const cql__sim_column *column = where->all[i].column;
    const cql__sim_relation *relation = where->all[i].relation;
    if (!column) continue;
    indexed |= has_index(table, column);
    filters |= column->kind >= CQL__SIM_STATIC;
    filters |= column->kind == CQL__SIM_PARTITION_KEY && !cql__sim_resolve_is_equal(relation);
    filters |=
        column->kind == CQL__SIM_CLUSTERING && where->partition_count < table->partition_count;
  }
  if (query->allow_filtering || indexed) return 0;
  if (filters)
    return INVALID(r, "Cannot execute this query as it might involve data filtering and thus may "
                      "have unpredictable performance. If you want to execute this query despite "
                      "the performance unpredictability, use ALLOW FILTERING");
  return cql__sim_resolve_clustering(r, where);
}

/* Names of what is missing, "a, b". */
static void put_missing(cql__sim_buffer *b, const cql__sim_table *table, int kind,
                        const cql__sim_restriction *const *known, uint32_t count) {
  uint32_t first = kind == CQL__SIM_CLUSTERING ? table->partition_count : 0, said = 0;
  for (uint32_t i = 0; i < count; i++)
    if (!known[i])
      cql__sim_print(b, "%s%.*s", said++ ? ", " : "",
                     CQL__SIM_SHOW(table->columns[first + i].name));
}

int cql__sim_resolve_missing(cql__sim_resolver *r, int kind,
                             const cql__sim_restriction *const *known, uint32_t count) {
  cql__sim_buffer why = {0};
  cql__sim_print(&why, kind == CQL__SIM_CLUSTERING ? "Some clustering keys are missing: "
                                                   : "Some partition key parts are missing: ");
  put_missing(&why, r->plan->table, kind, known, count);
  return cql__store_fail_with(r->out, CQL__SIM_INVALID, &why);
}
