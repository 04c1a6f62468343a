/* Resolve: a parsed statement checked against the schema: which columns it means, which types its
 * markers have, what its rows look like. */
#include "sim/execution.h"

typedef struct resolver {
  cql__store *store;
  cql__statement *statement;
  cql__sim_result *out;
  cql__sim_region *region; /* the statement's, of what is resolved */
  cql__sim_plan *plan;
  cql_column_t *binds;
} resolver;

#define INVALID(r, ...) cql__store_fail((r)->out, CQL__SIM_INVALID, __VA_ARGS__)

static const cql_type_t int_type = {.kind = CQL_INT}, bigint_type = {.kind = CQL_BIGINT};
static const cql_slice_t none = {NULL, CQL_NULL};

static cql_slice_t text_of(const char *text) { return cql__sim_slice_of(text); }

/* "in(name)" and such, in the region. */
static cql_slice_t named(resolver *r, const char *format, cql_slice_t name) {
  cql__sim_buffer text = {0};
  const char *hole = strchr(format, '%');
  cql__sim_put(&text, format, (size_t)(hole - format));
  if (name.length > 0) cql__sim_put(&text, name.data, (size_t)name.length);
  cql__sim_put(&text, hole + 1, strlen(hole + 1));
  cql_slice_t copy = cql__sim_keep(r->region, cql__sim_slice(&text));
  cql__sim_buffer_free(&text);
  return copy;
}

static const cql_type_t *collection_of(resolver *r, int32_t kind, const cql_type_t *child) {
  cql_type_t *type = cql__sim_region_take(r->region, sizeof *type);
  *type = (cql_type_t){.kind = kind, .child_count = 1, .children = child};
  return type;
}

/* ---- markers ---- */

static void bind_items(resolver *r, const cql__sim_term *term, const cql_type_t *type,
                       cql_slice_t name);

/* Gives the markers in a term the types that they stand for. */
static void bind_term(resolver *r, const cql__sim_term *term, const cql_type_t *type,
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

static void bind_items(resolver *r, const cql__sim_term *term, const cql_type_t *type,
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
    bind_term(r, item, &type->children[child],
              named(r, type->kind == CQL_MAP && !child ? "key(%)" : "value(%)", name));
  }
}

/* ---- tables and columns ---- */

static cql__sim_table *find_table(resolver *r, const cql__sim_statement *query) {
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

/* NULL: an error. */
static const cql__sim_column *column_of(resolver *r, cql_slice_t name) {
  const cql__sim_table *table = r->plan->table;
  const cql__sim_column *column = cql__sim_find_column(table, name);
  if (!column)
    INVALID(r, "Undefined column name %.*s in table %.*s.%.*s", CQL__SIM_SHOW(name),
            CQL__SIM_SHOW(table->keyspace->name), CQL__SIM_SHOW(table->name));
  return column;
}

/* ---- WHERE and IF ---- */

static int is_equal(const cql__sim_relation *relation) {
  return relation->op == CQL__SIM_EQUAL || relation->op == CQL__SIM_IN;
}

/* What a relation compares with: parts of a collection where it looks for these. */
static const cql_type_t *compared_type(resolver *r, const cql__sim_relation *relation,
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

static void bind_relation(resolver *r, const cql__sim_restriction *restriction) {
  const cql__sim_relation *relation = restriction->relation;
  const cql__sim_term *value = relation->value;
  cql_slice_t name = restriction->column ? restriction->column->name : none;
  if (relation->of_token) name = text_of("partition key token");
  if (relation->key) {
    const cql_type_t *type = &restriction->column->type;
    bind_term(r, relation->key, type->kind == CQL_MAP ? &type->children[0] : &int_type,
              named(r, type->kind == CQL_MAP ? "key(%)" : "idx(%)", name));
    name = named(r, "value(%)", name);
  } else if (relation->op == CQL__SIM_CONTAINS) {
    name = named(r, "value(%)", name);
  } else if (relation->op == CQL__SIM_CONTAINS_KEY) {
    name = named(r, "key(%)", name);
  }
  if (relation->op != CQL__SIM_IN) {
    bind_term(r, value, restriction->type, name);
  } else if (value->kind == CQL__SIM_TERM_MARKER) {
    bind_term(r, value, collection_of(r, CQL_LIST, restriction->type), named(r, "in(%)", name));
  } else {
    for (const cql__sim_term *item = value->items; item; item = item->next)
      bind_term(r, item, restriction->type, named(r, "in(%)", name));
  }
}

static int resolve_relations(resolver *r, const cql__sim_relation *relations,
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
      restriction->column = column_of(r, at->column);
      if (!restriction->column) return CQL_EVALUE;
      restriction->type = compared_type(r, at, restriction->column);
      if (!restriction->type) return CQL_EVALUE;
    }
    bind_relation(r, restriction);
  }
  return 0;
}

/* Finds out which columns of the key are known. */
static int sort_by_key(resolver *r, cql__sim_restrictions *where) {
  for (uint32_t i = 0; i < where->count; i++) {
    const cql__sim_restriction *one = &where->all[i];
    if (!one->column || one->column->kind > CQL__SIM_CLUSTERING) continue;
    const cql__sim_restriction **slot = one->column->kind == CQL__SIM_PARTITION_KEY
                                            ? &where->partition[one->column->position]
                                            : &where->clustering[one->column->position];
    for (uint32_t k = 0; k < where->count; k++)
      if (k != i && where->all[k].column == one->column && is_equal(one->relation))
        return INVALID(r,
                       "%.*s cannot be restricted by more than one relation if it includes an "
                       "%s",
                       CQL__SIM_SHOW(one->column->name),
                       one->relation->op == CQL__SIM_IN ? "IN" : "Equal");
    if (is_equal(one->relation)) *slot = one;
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

/* Is a clustering column restricted that comes behind one that isn't, or behind a range? */
static int check_clustering(resolver *r, const cql__sim_restrictions *where) {
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
    if (relation && !is_equal(relation)) range = column;
  }
  return 0;
}

static int has_index(const cql__sim_table *table, const cql__sim_column *column) {
  for (const cql__list *at = table->indexes.next; at != &table->indexes; at = at->next)
    if (cql__sim_same(cql__container(at, cql__sim_index, link)->column, column->name)) return 1;
  return 0;
}

/* May these rows be found without reading others? */
static int check_filtering(resolver *r, cql__sim_restrictions *where) {
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
    filters |= column->kind == CQL__SIM_PARTITION_KEY && !is_equal(relation);
    filters |=
        column->kind == CQL__SIM_CLUSTERING && where->partition_count < table->partition_count;
  }
  if (query->allow_filtering || indexed) return 0;
  if (filters)
    return INVALID(r, "Cannot execute this query as it might involve data filtering and thus may "
                      "have unpredictable performance. If you want to execute this query despite "
                      "the performance unpredictability, use ALLOW FILTERING");
  return check_clustering(r, where);
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

static int missing(resolver *r, int kind, const cql__sim_restriction *const *known,
                   uint32_t count) {
  cql__sim_buffer why = {0};
  cql__sim_print(&why, kind == CQL__SIM_CLUSTERING ? "Some clustering keys are missing: "
                                                   : "Some partition key parts are missing: ");
  put_missing(&why, r->plan->table, kind, known, count);
  return cql__store_fail_with(r->out, CQL__SIM_INVALID, &why);
}

/* ---- SELECT ---- */

static int set_order(resolver *r) {
  const cql__sim_table *table = r->plan->table;
  const cql__sim_restrictions *where = &r->plan->where;
  uint32_t position = 0;
  int first = 0;
  for (const cql__sim_name *order = r->plan->query->order; order; order = order->next) {
    if (where->partition_count < table->partition_count)
      return INVALID(r, "ORDER BY is only supported when the partition key is restricted by an EQ "
                        "or an IN.");
    const cql__sim_column *column = column_of(r, order->text);
    if (!column) return CQL_EVALUE;
    if (column->kind != CQL__SIM_CLUSTERING)
      return INVALID(r,
                     "Order by is currently only supported on the clustered columns of the "
                     "PRIMARY KEY, got %.*s",
                     CQL__SIM_SHOW(order->text));
    while (position < column->position && where->clustering[position] &&
           where->clustering[position]->relation->op == CQL__SIM_EQUAL)
      position++;
    if (column->position != position)
      return INVALID(r, "Order by currently only supports the ordering of columns following their "
                        "declared order in the PRIMARY KEY");
    int reversed = order->descending != column->descending;
    if (order != r->plan->query->order && reversed != first)
      return INVALID(r, "Unsupported order by relation");
    first = reversed;
    position++;
  }
  r->plan->reversed = first;
  return 0;
}

typedef struct function {
  const char *name;
  int kind;
  int32_t type;
  const char *title; /* of its column */
} function;

static const function functions[] = {
    {"writetime", CQL__SIM_PICK_WRITETIME, CQL_BIGINT, "writetime(%)"},
    {"ttl", CQL__SIM_PICK_TTL, CQL_INT, "ttl(%)"},
    {"token", CQL__SIM_PICK_TOKEN, CQL_BIGINT, "system.token(%)"},
    {"now", CQL__SIM_PICK_CALL, CQL_TIMEUUID, "system.now()%"},
    {"uuid", CQL__SIM_PICK_CALL, CQL_UUID, "system.uuid()%"},
    {"currenttimestamp", CQL__SIM_PICK_CALL, CQL_TIMESTAMP, "system.currenttimestamp()%"},
    {"current_timestamp", CQL__SIM_PICK_CALL, CQL_TIMESTAMP, "system.current_timestamp()%"},
};

static int pick_function(resolver *r, const cql__sim_selector *selector, cql__sim_pick *pick,
                         cql_column_t *shape) {
  cql_slice_t column = selector->column;
  if (cql__slice_is(selector->function, "count")) {
    pick->kind = CQL__SIM_PICK_COUNT;
    r->plan->counts = 1;
    shape->type.kind = CQL_BIGINT;
    shape->name = column.length < 0 ? text_of("count") : named(r, "system.count(%)", column);
    if (column.length < 0) return 0;
    pick->column = column_of(r, column);
    return pick->column ? 0 : CQL_EVALUE;
  }
  size_t i = 0, count = sizeof functions / sizeof *functions;
  while (i < count && !cql__slice_is(selector->function, functions[i].name)) i++;
  if (i == count) return INVALID(r, "Unknown function '%.*s'", CQL__SIM_SHOW(selector->function));
  pick->kind = functions[i].kind;
  shape->type.kind = functions[i].type;
  shape->name = named(r, functions[i].title, column);
  if (pick->kind == CQL__SIM_PICK_CALL) {
    cql__sim_term *call = cql__sim_region_take(r->region, sizeof *call);
    call->kind = CQL__SIM_TERM_CALL;
    call->text = selector->function;
    pick->call = call;
    return 0;
  }
  pick->column = column_of(r, column);
  if (!pick->column) return CQL_EVALUE;
  if (pick->kind != CQL__SIM_PICK_TOKEN && pick->column->kind < CQL__SIM_STATIC)
    return INVALID(r, "Cannot use selection function %s on PRIMARY KEY part %.*s",
                   functions[i].name, CQL__SIM_SHOW(column));
  return 0;
}

static int pick_selector(resolver *r, const cql__sim_selector *selector, cql__sim_pick *pick,
                         cql_column_t *shape) {
  int error = 0;
  if (selector->function.length >= 0) {
    error = pick_function(r, selector, pick, shape);
  } else {
    pick->column = column_of(r, selector->column);
    if (!pick->column) return CQL_EVALUE;
    shape->name = pick->column->name;
    shape->type = pick->column->type;
  }
  if (selector->alias.length >= 0) shape->name = selector->alias;
  if (!error && r->plan->query->distinct && pick->column &&
      pick->column->kind != CQL__SIM_PARTITION_KEY && pick->column->kind != CQL__SIM_STATIC)
    return INVALID(r,
                   "SELECT DISTINCT queries must only request partition key columns and/or "
                   "static columns (not %.*s)",
                   CQL__SIM_SHOW(selector->column));
  return error;
}

static int resolve_picks(resolver *r) {
  const cql__sim_table *table = r->plan->table;
  const cql__sim_selector *selectors = r->plan->query->selectors;
  uint32_t count = 0;
  for (const cql__sim_selector *at = selectors; at; at = at->next) count++;
  if (!selectors) count = table->column_count;
  cql__sim_pick *picks = cql__sim_region_take(r->region, count * sizeof *picks);
  cql_column_t *shape = cql__sim_region_take(r->region, count * sizeof *shape);
  for (uint32_t i = 0; i < count; i++) {
    shape[i].keyspace = table->keyspace->name;
    shape[i].table = table->name;
    if (selectors) {
      if (pick_selector(r, selectors, &picks[i], &shape[i])) return CQL_EVALUE;
      selectors = selectors->next;
    } else {
      picks[i].column = &table->columns[i];
      shape[i].name = table->columns[i].name;
      shape[i].type = table->columns[i].type;
    }
  }
  r->plan->picks = picks;
  r->plan->pick_count = count;
  r->statement->shape.columns = shape;
  r->statement->shape.column_count = count;
  return 0;
}

/* Static columns are the same in all rows: asking for some of these makes no sense. */
static int check_statics(resolver *r) {
  const cql__sim_plan *plan = r->plan;
  uint32_t statics = 0;
  for (uint32_t i = 0; i < plan->pick_count; i++) {
    const cql__sim_column *column = plan->picks[i].column;
    if (!column || column->kind == CQL__SIM_CLUSTERING || column->kind == CQL__SIM_REGULAR)
      return 0;
    statics += column->kind == CQL__SIM_STATIC;
  }
  for (uint32_t i = 0; i < plan->where.count && statics; i++)
    if (plan->where.all[i].column && plan->where.all[i].column->kind == CQL__SIM_CLUSTERING)
      return INVALID(r, "Cannot restrict clustering columns when selecting only static columns");
  return 0;
}

static int resolve_select(resolver *r) {
  cql__sim_plan *plan = r->plan;
  const cql__sim_statement *query = plan->query;
  if (resolve_picks(r) || resolve_relations(r, query->where, &plan->where) ||
      sort_by_key(r, &plan->where) || check_filtering(r, &plan->where) || check_statics(r) ||
      set_order(r))
    return CQL_EVALUE;
  if (plan->counts && query->partition_limit)
    return INVALID(r, "PER PARTITION LIMIT is not allowed with aggregate queries.");
  bind_term(r, query->partition_limit, &int_type, text_of("[per_partition_limit]"));
  bind_term(r, query->limit, &int_type, text_of("[limit]"));
  return 0;
}

/* ---- INSERT, UPDATE, DELETE ---- */

static void bind_using(resolver *r) {
  bind_term(r, r->plan->query->timestamp, &bigint_type, text_of("[timestamp]"));
  bind_term(r, r->plan->query->ttl, &int_type, text_of("[ttl]"));
}

static int resolve_insert(resolver *r) {
  const cql__sim_statement *query = r->plan->query;
  const cql__sim_table *table = r->plan->table;
  uint32_t partition = 0, clustering = 0, writes = 0;
  const cql__sim_term *value = query->values;
  for (const cql__sim_name *name = query->columns; name; name = name->next, value = value->next) {
    const cql__sim_column *column = column_of(r, name->text);
    if (!column) return CQL_EVALUE;
    for (const cql__sim_name *other = name->next; other; other = other->next)
      if (cql__sim_same(name->text, other->text))
        return INVALID(r, "The column names contains duplicates");
    if (column->type.kind == CQL_COUNTER)
      return INVALID(r, "INSERT statements are not allowed on counter tables, use UPDATE instead");
    partition += column->kind == CQL__SIM_PARTITION_KEY;
    clustering += column->kind == CQL__SIM_CLUSTERING;
    writes += column->kind == CQL__SIM_REGULAR;
    bind_term(r, value, &column->type, column->name);
  }
  bind_using(r);
  /* The key's parts as relations, so that all writes find their rows in one way. */
  cql__sim_relation *relations = NULL;
  value = query->values;
  for (const cql__sim_name *name = query->columns; name; name = name->next, value = value->next) {
    if (column_of(r, name->text)->kind > CQL__SIM_CLUSTERING) continue;
    cql__sim_relation *relation = cql__sim_region_take(r->region, sizeof *relation);
    relation->column = name->text;
    relation->op = CQL__SIM_EQUAL;
    relation->value = value;
    relation->next = relations;
    relations = relation;
  }
  cql__sim_restrictions *where = &r->plan->where;
  if (resolve_relations(r, relations, where) || sort_by_key(r, where)) return CQL_EVALUE;
  if (partition < table->partition_count)
    return missing(r, CQL__SIM_PARTITION_KEY, where->partition, table->partition_count);
  if (clustering < table->clustering_count && (clustering || writes || !table->static_count))
    return missing(r, CQL__SIM_CLUSTERING, where->clustering, table->clustering_count);
  return 0;
}

static int is_collection(int32_t kind) {
  return kind == CQL_LIST || kind == CQL_SET || kind == CQL_MAP;
}

/* What the right side of an assignment is; NULL: it isn't possible. */
static const cql_type_t *assigned_type(resolver *r, const cql__sim_assignment *a,
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
    return collection_of(r, CQL_SET, &type->children[0]);
  return type;
}

static int resolve_assignments(resolver *r) {
  const cql__sim_statement *query = r->plan->query;
  for (const cql__sim_assignment *a = query->assignments; a; a = a->next) {
    const cql__sim_column *column = column_of(r, a->column);
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
      bind_term(r, a->key, by_key ? &column->type.children[0] : &int_type,
                named(r, by_key ? "key(%)" : "idx(%)", column->name));
    }
    bind_term(r, a->value, type, a->key ? named(r, "value(%)", column->name) : column->name);
  }
  return 0;
}

/* Does it write static columns alone, which takes no clustering key? */
static int writes_statics(resolver *r) {
  const cql__sim_assignment *a = r->plan->query->assignments;
  int statics = a != NULL;
  for (; a; a = a->next)
    statics &= cql__sim_find_column(r->plan->table, a->column)->kind == CQL__SIM_STATIC;
  return statics;
}

static int check_write_key(resolver *r) {
  cql__sim_restrictions *where = &r->plan->where;
  const cql__sim_table *table = r->plan->table;
  const cql__sim_statement *query = r->plan->query;
  int deletes = query->kind == CQL__SIM_DELETE;
  for (uint32_t i = 0; i < where->count; i++) {
    const cql__sim_column *column = where->all[i].column;
    if (!column || column->kind > CQL__SIM_CLUSTERING)
      return INVALID(r, "Non PRIMARY KEY columns found in where clause: %.*s ",
                     CQL__SIM_SHOW(where->all[i].relation->column));
    if (is_equal(where->all[i].relation)) continue;
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
    return missing(r, CQL__SIM_PARTITION_KEY, where->partition, table->partition_count);
  if (check_clustering(r, where)) return CQL_EVALUE;
  int whole = deletes && !query->assignments; /* rows of any part of the key */
  if (!whole && where->clustering_count < table->clustering_count && !writes_statics(r))
    return missing(r, CQL__SIM_CLUSTERING, where->clustering, table->clustering_count);
  return 0;
}

static int resolve_update(resolver *r) {
  const cql__sim_statement *query = r->plan->query;
  int deletes = query->kind == CQL__SIM_DELETE;
  bind_using(r);
  if (resolve_assignments(r) || resolve_relations(r, query->where, &r->plan->where) ||
      sort_by_key(r, &r->plan->where) || check_write_key(r) ||
      resolve_relations(r, query->conditions, &r->plan->conditions))
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

static int check_conditional(resolver *r) {
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

/* ---- statements ---- */

static int refuse_system(resolver *r) {
  const cql__sim_keyspace *keyspace = r->plan->table->keyspace;
  if (!keyspace->is_system) return 0;
  return cql__store_fail(r->out, CQL__SIM_UNAUTHORIZED, "%.*s keyspace is not user-modifiable.",
                         CQL__SIM_SHOW(keyspace->name));
}

static int resolve_one(resolver *r, const cql__sim_statement *query) {
  r->plan->query = query;
  r->plan->table = find_table(r, query);
  if (!r->plan->table) return CQL_EVALUE;
  if (query->kind == CQL__SIM_SELECT) return resolve_select(r);
  if (refuse_system(r)) return CQL_EVALUE;
  int error = query->kind == CQL__SIM_INSERT ? resolve_insert(r) : resolve_update(r);
  return error ? error : check_conditional(r);
}

static int resolve_batch(resolver *r, const cql__sim_statement *batch) {
  cql__sim_plan **at = &r->statement->plans;
  for (const cql__sim_statement *query = batch->statements; query; query = query->next) {
    r->plan = *at = cql__sim_region_take(r->region, sizeof **at);
    at = &r->plan->next;
    if (resolve_one(r, query)) return CQL_EVALUE;
  }
  if (r->statement->plans) {
    r->plan = r->statement->plans;
    bind_term(r, batch->timestamp, &bigint_type, text_of("[timestamp]"));
  }
  return 0;
}

/* Which markers make the partition key, if they make all of it. */
static void set_key_indexes(resolver *r) {
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

static int finish_binds(resolver *r) {
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

static int resolve_all(resolver *r, const cql__sim_statement *query) {
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
  resolver r = {store, statement, out, &statement->resolved, NULL, NULL};
  r.binds = cql__sim_region_take(r.region, statement->query->marker_count * sizeof *r.binds);
  if (resolve_all(&r, statement->query)) return CQL_EVALUE;
  statement->serial = store->schema.serial;
  return 0;
}
