#include "sim/schema.h"

#include "cluster/partitioner.h"
#include "sim/rows.h"

cql_slice_t cql__sim_keep(cql__sim_region *region, cql_slice_t text) {
  if (text.length < 0) return text;
  char *copy = cql__sim_region_text(region, text.data, (size_t)text.length);
  return (cql_slice_t){(uint8_t *)copy, text.length};
}

int cql__sim_name_order(cql_slice_t a, cql_slice_t b) {
  int32_t common = a.length < b.length ? a.length : b.length;
  int order = common > 0 ? memcmp(a.data, b.data, (size_t)common) : 0;
  return order ? order : a.length - b.length;
}

void cql__sim_schema_init(cql__sim_schema *schema) {
  *schema = (cql__sim_schema){0};
  cql__list_init(&schema->keyspaces);
}

void cql__sim_schema_free(cql__sim_schema *schema) {
  while (!cql__list_empty(&schema->keyspaces))
    cql__sim_keyspace_free(cql__container(schema->keyspaces.next, cql__sim_keyspace, link));
  cql__sim_region_free(&schema->region);
}

/* ---- finding: every list is short, and ordered by name ---- */

#define FIND(list, type, wanted)                                                                   \
  for (const cql__list *at = (list)->next; at != (list); at = at->next) {                          \
    type *one = cql__container(at, type, link);                                                    \
    if (cql__sim_same(one->name, wanted)) return one;                                              \
  }                                                                                                \
  return NULL

cql__sim_keyspace *cql__sim_find_keyspace(const cql__sim_schema *schema, cql_slice_t name) {
  FIND(&schema->keyspaces, cql__sim_keyspace, name);
}
cql__sim_table *cql__sim_find_table(const cql__sim_keyspace *keyspace, cql_slice_t name) {
  FIND(&keyspace->tables, cql__sim_table, name);
}
cql__sim_user_type *cql__sim_find_user_type(const cql__sim_keyspace *keyspace, cql_slice_t name) {
  FIND(&keyspace->types, cql__sim_user_type, name);
}

static cql__sim_index *find_index(const cql__sim_table *table, cql_slice_t name) {
  FIND(&table->indexes, cql__sim_index, name);
}

cql__sim_index *cql__sim_find_index(const cql__sim_keyspace *keyspace, cql_slice_t name,
                                    cql__sim_table **table) {
  for (cql__list *at = keyspace->tables.next; at != &keyspace->tables; at = at->next) {
    *table = cql__container(at, cql__sim_table, link);
    cql__sim_index *index = find_index(*table, name);
    if (index) return index;
  }
  return NULL;
}

const cql__sim_column *cql__sim_find_column(const cql__sim_table *table, cql_slice_t name) {
  for (uint32_t i = 0; i < table->column_count; i++)
    if (cql__sim_same(name, table->columns[i].name)) return &table->columns[i];
  return NULL;
}

static const cql_type_t *find_type(const void *user, cql_slice_t keyspace_name, cql_slice_t name) {
  const cql__sim_keyspace *keyspace = cql__sim_find_keyspace(user, keyspace_name);
  const cql__sim_user_type *type = keyspace ? cql__sim_find_user_type(keyspace, name) : NULL;
  return type ? &type->type : NULL;
}

cql__sim_type_source cql__sim_types_of(const cql__sim_schema *schema, cql__sim_region *region,
                                       cql_slice_t keyspace) {
  return (cql__sim_type_source){region, find_type, schema, keyspace};
}

/* ---- keyspaces ---- */

/* Before which node of a list by name something belongs. */
#define INSERT(list, type, node)                                                                   \
  do {                                                                                             \
    cql__list *at = (list)->next;                                                                  \
    while (at != (list) &&                                                                         \
           cql__sim_name_order(cql__container(at, type, link)->name, (node)->name) < 0)            \
      at = at->next;                                                                               \
    cql__list_append(at, &(node)->link);                                                           \
  } while (0)

cql__sim_keyspace *cql__sim_keyspace_new(cql__sim_schema *schema, cql_slice_t name) {
  cql__sim_keyspace *keyspace = cql__sim_alloc(sizeof *keyspace);
  keyspace->name = cql__sim_keep(&schema->region, name);
  keyspace->since = schema->serial;
  keyspace->durable_writes = 1;
  keyspace->strategy = (cql_slice_t){NULL, 0};
  cql__list_init(&keyspace->tables);
  cql__list_init(&keyspace->types);
  INSERT(&schema->keyspaces, cql__sim_keyspace, keyspace);
  return keyspace;
}

void cql__sim_keyspace_free(cql__sim_keyspace *keyspace) {
  cql__list_remove(&keyspace->link);
  while (!cql__list_empty(&keyspace->tables))
    cql__sim_table_free(cql__container(keyspace->tables.next, cql__sim_table, link));
  while (!cql__list_empty(&keyspace->types))
    cql__sim_user_type_free(cql__container(keyspace->types.next, cql__sim_user_type, link));
  cql__sim_release(keyspace);
}

/* ---- tables ---- */

cql__sim_table *cql__sim_table_new(cql__sim_schema *schema, cql__sim_keyspace *keyspace,
                                   cql_slice_t name) {
  cql__sim_table *table = cql__sim_alloc(sizeof *table);
  table->keyspace = keyspace;
  table->name = cql__sim_keep(&schema->region, name);
  table->since = schema->serial;
  table->comment = (cql_slice_t){NULL, 0};
  cql__list_init(&table->indexes);
  uint8_t *id = cql__put_u64(table->id, 0x5C4D000000001000u + schema->serial % 0x1000);
  cql__put_u64(id, 0x8000000000000000u + ++schema->ids); /* a uuid of version 1 */
  INSERT(&keyspace->tables, cql__sim_table, table);
  return table;
}

void cql__sim_table_free(cql__sim_table *table) {
  cql__list_remove(&table->link);
  cql__sim_truncate(table);
  while (!cql__list_empty(&table->indexes))
    cql__sim_index_free(cql__container(table->indexes.next, cql__sim_index, link));
  cql__sim_release(table->columns);
  cql__sim_release(table);
}

/* Those of the key stay as they come. */
static int stands_before(const cql__sim_column *column, const cql__sim_column *other) {
  if (column->kind != other->kind) return column->kind < other->kind;
  return column->kind >= CQL__SIM_STATIC && cql__sim_name_order(column->name, other->name) < 0;
}

void cql__sim_column_add(cql__sim_schema *schema, cql__sim_table *table,
                         const cql__sim_column *column) {
  uint32_t at = 0, count = table->column_count++;
  table->columns = cql__sim_realloc(table->columns, (count + 1) * sizeof *table->columns);
  while (at < count && !stands_before(column, &table->columns[at])) at++;
  memmove(&table->columns[at + 1], &table->columns[at], (count - at) * sizeof *table->columns);
  cql__sim_column *added = &table->columns[at];
  *added = *column;
  added->name = cql__sim_keep(&schema->region, column->name);
  added->type_text = cql__sim_keep(&schema->region, column->type_text);
  switch (column->kind) {
    case CQL__SIM_PARTITION_KEY: added->position = table->partition_count++; break;
    case CQL__SIM_CLUSTERING: added->position = table->clustering_count++; break;
    default: added->slot = table->slot_count++; break;
  }
  if (column->kind == CQL__SIM_STATIC) table->static_count++;
  if (column->type.kind == CQL_COUNTER) table->has_counters = 1;
}

void cql__sim_column_remove(cql__sim_table *table, const cql__sim_column *column) {
  size_t at = (size_t)(column - table->columns);
  if (column->kind == CQL__SIM_STATIC) table->static_count--;
  table->column_count--;
  memmove(&table->columns[at], &table->columns[at + 1],
          (table->column_count - at) * sizeof *table->columns);
}

cql__sim_index *cql__sim_index_new(cql__sim_schema *schema, cql__sim_table *table,
                                   cql_slice_t name) {
  cql__sim_index *index = cql__sim_alloc(sizeof *index);
  index->name = cql__sim_keep(&schema->region, name);
  INSERT(&table->indexes, cql__sim_index, index);
  return index;
}

void cql__sim_index_free(cql__sim_index *index) {
  cql__list_remove(&index->link);
  cql__sim_release(index);
}

/* ---- types ---- */

cql__sim_user_type *cql__sim_user_type_new(cql__sim_schema *schema, cql__sim_keyspace *keyspace,
                                           cql_slice_t name) {
  cql__sim_user_type *type = cql__sim_alloc(sizeof *type);
  type->name = cql__sim_keep(&schema->region, name);
  type->since = schema->serial;
  type->type.kind = CQL_UDT;
  type->type.keyspace = keyspace->name;
  type->type.name = type->name;
  INSERT(&keyspace->types, cql__sim_user_type, type);
  return type;
}

void cql__sim_user_type_free(cql__sim_user_type *type) {
  cql__list_remove(&type->link);
  cql__sim_release(type->type_texts);
  cql__sim_release(type);
}

/* The arrays are made anew: types that hold the old ones stay as they are. */
void cql__sim_field_add(cql__sim_schema *schema, cql__sim_user_type *type, cql_slice_t name,
                        const cql_type_t *field, cql_slice_t type_text) {
  uint32_t count = type->type.child_count;
  cql_type_t *children = cql__sim_region_take(&schema->region, (count + 1) * sizeof *children);
  cql_slice_t *names = cql__sim_region_take(&schema->region, (count + 1) * sizeof *names);
  if (count) {
    memcpy(children, type->type.children, count * sizeof *children);
    memcpy(names, type->type.names, count * sizeof *names);
  }
  names[count] = cql__sim_keep(&schema->region, name);
  children[count] = *field;
  type->type.children = children;
  type->type.names = names;
  type->type.child_count = count + 1;
  type->type_texts = cql__sim_realloc(type->type_texts, (count + 1) * sizeof *type->type_texts);
  type->type_texts[count] = cql__sim_keep(&schema->region, type_text);
}

static void refresh(cql__sim_type_source *source, cql_slice_t text, cql_type_t *type) {
  cql__sim_buffer why = {0};
  cql_type_t again;
  if (cql__sim_type_parse(source, text, &again, NULL, &why) == 0) *type = again;
  cql__sim_buffer_free(&why);
}

static void refresh_user_type(cql__sim_schema *schema, cql__sim_type_source *source,
                              cql__sim_user_type *type) {
  uint32_t count = type->type.child_count;
  cql_type_t *children = cql__sim_region_take(&schema->region, count * sizeof *children);
  for (uint32_t i = 0; i < count; i++) {
    children[i] = type->type.children[i];
    refresh(source, type->type_texts[i], &children[i]);
  }
  type->type.children = children;
}

/* Types are ordered by name, not by which holds which: each round brings a change one level up. */
void cql__sim_types_refresh(cql__sim_schema *schema, cql__sim_keyspace *keyspace) {
  cql__sim_type_source source = cql__sim_types_of(schema, &schema->region, keyspace->name);
  uint32_t rounds = 0;
  for (cql__list *at = keyspace->types.next; at != &keyspace->types; at = at->next) rounds++;
  for (; rounds > 0; rounds--)
    for (cql__list *at = keyspace->types.next; at != &keyspace->types; at = at->next)
      refresh_user_type(schema, &source, cql__container(at, cql__sim_user_type, link));
  for (cql__list *at = keyspace->tables.next; at != &keyspace->tables; at = at->next) {
    cql__sim_table *table = cql__container(at, cql__sim_table, link);
    for (uint32_t i = 0; i < table->column_count; i++)
      refresh(&source, table->columns[i].type_text, &table->columns[i].type);
  }
}

/* ---- version ---- */

static void say_slice(cql__sim_buffer *b, cql_slice_t text) { cql__sim_put_bytes(b, text); }

static void say_table(cql__sim_buffer *b, const cql__sim_table *table) {
  cql__sim_put(b, table->id, 16);
  say_slice(b, table->comment);
  cql__sim_put_u32(b, (uint32_t)table->default_ttl);
  cql__sim_put_u32(b, table->slot_count); /* dropped columns count, too */
  for (uint32_t i = 0; i < table->column_count; i++) {
    say_slice(b, table->columns[i].name);
    say_slice(b, table->columns[i].type_text);
  }
  for (cql__list *at = table->indexes.next; at != &table->indexes; at = at->next)
    say_slice(b, cql__container(at, cql__sim_index, link)->name);
}

static void say_keyspace(cql__sim_buffer *b, const cql__sim_keyspace *keyspace) {
  say_slice(b, keyspace->name);
  say_slice(b, keyspace->strategy);
  cql__sim_put_u32(b, (uint32_t)(keyspace->durable_writes * 1000 + keyspace->tablets));
  for (uint32_t i = 0; i < keyspace->option_count; i++) {
    say_slice(b, keyspace->options[i]);
    say_slice(b, keyspace->values[i]);
  }
  for (cql__list *at = keyspace->types.next; at != &keyspace->types; at = at->next) {
    const cql__sim_user_type *type = cql__container(at, cql__sim_user_type, link);
    say_slice(b, type->name);
    for (uint32_t i = 0; i < type->type.child_count; i++) {
      say_slice(b, type->type.names[i]);
      say_slice(b, type->type_texts[i]);
    }
  }
  for (cql__list *at = keyspace->tables.next; at != &keyspace->tables; at = at->next)
    say_table(b, cql__container(at, cql__sim_table, link));
}

void cql__sim_schema_version(const cql__sim_schema *schema, uint8_t *out) {
  cql__sim_buffer b = {0};
  for (cql__list *at = schema->keyspaces.next; at != &schema->keyspaces; at = at->next) {
    const cql__sim_keyspace *keyspace = cql__container(at, cql__sim_keyspace, link);
    if (!keyspace->is_system) say_keyspace(&b, keyspace);
  }
  cql__sim_put_u8(&b, 0);
  uint64_t first = (uint64_t)cql__token_of(cql__sim_bytes(&b), cql__sim_size(&b));
  cql__sim_put_u64(&b, first);
  uint64_t second = (uint64_t)cql__token_of(cql__sim_bytes(&b), cql__sim_size(&b));
  cql__put_u64(out, (first & ~0xF000ull) | 0x3000); /* a uuid of version 3 */
  cql__put_u64(out + 8, (second & ~(3ull << 62)) | 1ull << 63);
  cql__sim_buffer_free(&b);
}
