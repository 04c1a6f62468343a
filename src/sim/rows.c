#include "sim/rows.h"

/* ---- order ---- */

typedef struct place {
  int64_t token;
  cql_slice_t key; /* length CQL_NULL: before all of that token */
} place;

static int partition_order(const void *key, const cql__sim_leaf *leaf, const void *user) {
  const place *p = key;
  const cql__sim_partition *other = (const void *)leaf;
  (void)user;
  if (p->token != other->token) return p->token < other->token ? -1 : 1;
  return p->key.length < 0 ? -1 : cql__sim_name_order(p->key, other->key);
}

/* By as many values as the position has. */
static int row_order(const void *key, const cql__sim_leaf *leaf, const void *user) {
  const cql__sim_position *p = key;
  const cql__sim_row *row = (const void *)leaf;
  const cql__sim_table *table = user;
  for (uint32_t i = 0; i < p->count; i++) {
    const cql__sim_column *column = &table->columns[table->partition_count + i];
    int order = cql__sim_value_compare(&column->type, p->values[i], row->clustering[i]);
    if (order) return column->descending ? -order : order;
  }
  return 0;
}

cql_slice_t cql__sim_key_part(cql_slice_t key, uint32_t index, uint32_t count) {
  if (count == 1) return key;
  cql__cursor c = cql__cursor_of(key.data, (size_t)key.length);
  for (;; index--) {
    cql_slice_t part = cql__read_short_bytes(&c);
    if (index == 0 || c.broken) return part;
    cql__read_u8(&c);
  }
}

/* ---- partitions ---- */

cql__sim_partition *cql__sim_partition_find(const cql__sim_table *table, int64_t token,
                                            cql_slice_t key) {
  place p = {token, key};
  cql__sim_leaf *leaf = cql__sim_tree_find(&table->partitions, &p, partition_order, NULL, 0);
  return leaf && partition_order(&p, leaf, NULL) == 0 ? (void *)leaf : NULL;
}

cql__sim_partition *cql__sim_partition_make(cql__sim_table *table, int64_t token, cql_slice_t key) {
  cql__sim_partition *partition = cql__sim_partition_find(table, token, key);
  if (partition) return partition;
  partition = cql__sim_alloc(sizeof *partition + (size_t)key.length);
  uint8_t *copy = (uint8_t *)(partition + 1);
  cql__put_bytes(copy, key.data, (size_t)key.length);
  partition->token = token;
  partition->key = (cql_slice_t){copy, key.length};
  partition->deleted = partition->statics.deleted = CQL__SIM_NEVER_WRITTEN;
  partition->statics.marker.stamp.timestamp = CQL__SIM_NEVER_WRITTEN;
  place p = {token, key};
  cql__sim_tree_insert(&table->partitions, &partition->leaf, &p, partition_order, NULL);
  return partition;
}

cql__sim_partition *cql__sim_partition_from(const cql__sim_table *table, int64_t token) {
  place p = {token, {NULL, CQL_NULL}};
  return (void *)cql__sim_tree_find(&table->partitions, &p, partition_order, NULL, 0);
}

cql__sim_partition *cql__sim_partition_behind(const cql__sim_table *table, int64_t token,
                                              cql_slice_t key) {
  place p = {token, key};
  return (void *)cql__sim_tree_find(&table->partitions, &p, partition_order, NULL, 1);
}

/* ---- rows ---- */

cql__sim_row *cql__sim_row_find(const cql__sim_table *table, const cql__sim_partition *partition,
                                const cql_slice_t *clustering) {
  cql__sim_position p = {clustering, table->clustering_count};
  cql__sim_leaf *leaf = cql__sim_tree_find(&partition->rows, &p, row_order, table, 0);
  return leaf && row_order(&p, leaf, table) == 0 ? (void *)leaf : NULL;
}

static cql__sim_row *new_row(const cql_slice_t *clustering, uint32_t count) {
  size_t size = count * sizeof *clustering;
  for (uint32_t i = 0; i < count; i++) size += (size_t)clustering[i].length;
  cql__sim_row *row = cql__sim_alloc(sizeof *row + size);
  row->clustering = (cql_slice_t *)(row + 1);
  uint8_t *at = (uint8_t *)(row->clustering + count);
  for (uint32_t i = 0; i < count; i++) {
    row->clustering[i] = (cql_slice_t){at, clustering[i].length};
    at = cql__put_bytes(at, clustering[i].data, (size_t)clustering[i].length);
  }
  row->deleted = row->marker.stamp.timestamp = CQL__SIM_NEVER_WRITTEN;
  return row;
}

cql__sim_row *cql__sim_row_make(const cql__sim_table *table, cql__sim_partition *partition,
                                const cql_slice_t *clustering) {
  cql__sim_row *row = cql__sim_row_find(table, partition, clustering);
  if (row) return row;
  row = new_row(clustering, table->clustering_count);
  cql__sim_position p = {clustering, table->clustering_count};
  cql__sim_tree_insert(&partition->rows, &row->leaf, &p, row_order, table);
  return row;
}

cql__sim_row *cql__sim_row_from(const cql__sim_table *table, const cql__sim_partition *partition,
                                cql__sim_position position, int behind) {
  return (void *)cql__sim_tree_find(&partition->rows, &position, row_order, table, behind);
}

cql__sim_row *cql__sim_row_last(const cql__sim_table *table, const cql__sim_partition *partition,
                                cql__sim_position position, int behind) {
  return (void *)cql__sim_tree_find_last(&partition->rows, &position, row_order, table, behind);
}

int cql__sim_row_order(const cql__sim_table *table, const cql__sim_row *a, const cql__sim_row *b) {
  if (!a || !b) return (a != NULL) - (b != NULL);
  cql__sim_position p = {a->clustering, table->clustering_count};
  return row_order(&p, &b->leaf, table);
}

/* ---- cells ---- */

/* Does what is written now prevail? */
static int prevails(const cql__sim_cell *old, cql_slice_t value, cql__sim_stamp stamp) {
  if (stamp.timestamp != old->stamp.timestamp) return stamp.timestamp > old->stamp.timestamp;
  if (value.length < 0 || old->length < 0) return value.length < 0;
  return cql__sim_name_order(value, (cql_slice_t){old->bytes, old->length}) >= 0;
}

static void set_cell(cql__sim_cell *cell, cql_slice_t value, cql__sim_stamp stamp) {
  uint8_t *bytes = value.length > 0 ? cql__sim_alloc((size_t)value.length) : NULL;
  if (bytes) memcpy(bytes, value.data, (size_t)value.length);
  cql__sim_release(cell->bytes); /* which the value may have come from */
  *cell = (cql__sim_cell){stamp, bytes, value.length};
}

static int is_shadowed(const cql__sim_partition *partition, const cql__sim_row *row,
                       int64_t timestamp) {
  return timestamp <= partition->deleted || timestamp <= row->deleted;
}

void cql__sim_row_mark(const cql__sim_partition *partition, cql__sim_row *row,
                       cql__sim_stamp stamp) {
  const cql_slice_t empty = {NULL, 0};
  if (!is_shadowed(partition, row, stamp.timestamp) && prevails(&row->marker, empty, stamp))
    set_cell(&row->marker, empty, stamp);
}

static cql__sim_cell *cell_of(cql__sim_row *row, uint32_t slot) {
  if (slot >= row->cell_count) {
    row->cells = cql__sim_realloc(row->cells, (slot + 1) * sizeof *row->cells);
    for (uint32_t i = row->cell_count; i <= slot; i++)
      row->cells[i] = (cql__sim_cell){{CQL__SIM_NEVER_WRITTEN, 0, 0}, NULL, CQL_NULL};
    row->cell_count = slot + 1;
  }
  return &row->cells[slot];
}

void cql__sim_cell_write(const cql__sim_partition *partition, cql__sim_row *row, uint32_t slot,
                         cql_slice_t value, cql__sim_stamp stamp) {
  if (is_shadowed(partition, row, stamp.timestamp)) return;
  cql__sim_cell *cell = cell_of(row, slot);
  if (prevails(cell, value, stamp)) set_cell(cell, value, stamp);
}

void cql__sim_cell_replace(const cql__sim_partition *partition, cql__sim_row *row, uint32_t slot,
                           cql_slice_t value, cql__sim_stamp stamp) {
  if (is_shadowed(partition, row, stamp.timestamp)) return;
  cql__sim_cell *cell = cell_of(row, slot);
  if (cell->stamp.timestamp > stamp.timestamp) stamp.timestamp = cell->stamp.timestamp;
  set_cell(cell, value, stamp);
}

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }

int64_t cql__sim_row_newest(const cql__sim_row *row) {
  int64_t newest = later(row->deleted, row->marker.stamp.timestamp);
  for (uint32_t i = 0; i < row->cell_count; i++)
    newest = later(newest, row->cells[i].stamp.timestamp);
  return newest;
}

static int is_live(const cql__sim_cell *cell, int64_t now_s) {
  return cell->stamp.timestamp != CQL__SIM_NEVER_WRITTEN && cell->length >= 0 &&
         (cell->stamp.expires == 0 || cell->stamp.expires > now_s);
}

const cql__sim_cell *cql__sim_cell_at(const cql__sim_row *row, uint32_t slot, int64_t now_s) {
  return slot < row->cell_count && is_live(&row->cells[slot], now_s) ? &row->cells[slot] : NULL;
}

int cql__sim_row_is_live(const cql__sim_row *row, int64_t now_s) {
  if (is_live(&row->marker, now_s)) return 1;
  for (uint32_t i = 0; i < row->cell_count; i++)
    if (is_live(&row->cells[i], now_s)) return 1;
  return 0;
}

/* ---- deletion ---- */

static void forget_cell(cql__sim_cell *cell, int64_t timestamp) {
  if (cell->stamp.timestamp > timestamp) return;
  cql__sim_release(cell->bytes);
  *cell = (cql__sim_cell){{CQL__SIM_NEVER_WRITTEN, 0, 0}, NULL, CQL_NULL};
}

void cql__sim_row_delete(cql__sim_row *row, int64_t timestamp) {
  if (timestamp <= row->deleted) return;
  row->deleted = timestamp;
  forget_cell(&row->marker, timestamp);
  for (uint32_t i = 0; i < row->cell_count; i++) forget_cell(&row->cells[i], timestamp);
}

void cql__sim_partition_delete(const cql__sim_table *table, cql__sim_partition *partition,
                               int64_t timestamp) {
  if (timestamp <= partition->deleted) return;
  partition->deleted = timestamp;
  cql__sim_row_delete(&partition->statics, timestamp);
  cql__sim_position at = {NULL, 0};
  cql__sim_row *row = cql__sim_row_from(table, partition, at, 0);
  for (; row; row = cql__sim_row_from(table, partition, at, 1)) {
    cql__sim_row_delete(row, timestamp);
    at = (cql__sim_position){row->clustering, table->clustering_count};
  }
}

static void free_cells(cql__sim_row *row) {
  for (uint32_t i = 0; i < row->cell_count; i++) cql__sim_release(row->cells[i].bytes);
  cql__sim_release(row->cells);
}

static void free_partition(cql__sim_partition *partition) {
  for (cql__sim_leaf *leaf; (leaf = cql__sim_tree_take(&partition->rows));) {
    free_cells((void *)leaf);
    cql__sim_release(leaf);
  }
  free_cells(&partition->statics);
  cql__sim_release(partition);
}

void cql__sim_truncate(cql__sim_table *table) {
  for (cql__sim_leaf *leaf; (leaf = cql__sim_tree_take(&table->partitions));)
    free_partition((void *)leaf);
}
