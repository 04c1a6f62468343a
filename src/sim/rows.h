/* Rows: what a table holds, in the order of the ring. One copy for the whole cluster: replicas
 * never differ. The later timestamp wins; of equal ones a deletion, then the greater value. */
#ifndef CQL_SIM_ROWS_H
#define CQL_SIM_ROWS_H

#include "sim/schema.h"

#define CQL__SIM_NEVER_WRITTEN INT64_MIN

/* When a write happens, and until when it lasts. */
typedef struct cql__sim_stamp {
  int64_t timestamp; /* microseconds */
  int64_t expires;   /* seconds since 1970; 0: never */
  int32_t ttl;       /* 0: none */
} cql__sim_stamp;

typedef struct cql__sim_cell {
  cql__sim_stamp stamp; /* timestamp CQL__SIM_NEVER_WRITTEN: it never was */
  uint8_t *bytes;
  int32_t length; /* CQL_NULL: deleted */
} cql__sim_cell;

typedef struct cql__sim_row {
  cql__sim_leaf leaf;
  cql_slice_t *clustering; /* as many as the table has such columns */
  cql__sim_cell *cells;    /* by slot */
  uint32_t cell_count;     /* those that were ever written */
  cql__sim_cell marker;    /* INSERT makes a row without any cell */
  int64_t deleted;         /* when it was deleted last */
} cql__sim_row;

typedef struct cql__sim_partition {
  cql__sim_leaf leaf;
  int64_t token;
  cql_slice_t key; /* as it is hashed */
  cql__sim_tree rows;
  cql__sim_row statics;
  int64_t deleted;
} cql__sim_partition;

/* Where a row stands in its partition: its clustering values, or the first of them. */
typedef struct cql__sim_position {
  const cql_slice_t *values;
  uint32_t count;
} cql__sim_position;

/* Part `index` of a key of `count`. */
cql_slice_t cql__sim_key_part(cql_slice_t key, uint32_t index, uint32_t count);

/* NULL: there is none. */
cql__sim_partition *cql__sim_partition_find(const cql__sim_table *table, int64_t token,
                                            cql_slice_t key);
/* The same, made where there is none. */
cql__sim_partition *cql__sim_partition_make(cql__sim_table *table, int64_t token, cql_slice_t key);
/* The first of that token or a later one; the first behind this one. */
cql__sim_partition *cql__sim_partition_from(const cql__sim_table *table, int64_t token);
cql__sim_partition *cql__sim_partition_behind(const cql__sim_table *table, int64_t token,
                                              cql_slice_t key);

cql__sim_row *cql__sim_row_find(const cql__sim_table *table, const cql__sim_partition *partition,
                                const cql_slice_t *clustering);
cql__sim_row *cql__sim_row_make(const cql__sim_table *table, cql__sim_partition *partition,
                                const cql_slice_t *clustering);
/* The first row that begins with these values or comes after them; with `behind` the first that
 * comes after all that begin so. */
cql__sim_row *cql__sim_row_from(const cql__sim_table *table, const cql__sim_partition *partition,
                                cql__sim_position position, int behind);
/* Backwards: the last row that comes before them; with `behind` the last that begins so or comes
 * before. */
cql__sim_row *cql__sim_row_last(const cql__sim_table *table, const cql__sim_partition *partition,
                                cql__sim_position position, int behind);

/* < 0, 0, > 0: as they stand in their partition; NULL comes before all. */
int cql__sim_row_order(const cql__sim_table *table, const cql__sim_row *a, const cql__sim_row *b);

/* INSERT: the row is there, whatever its cells. */
void cql__sim_row_mark(const cql__sim_partition *partition, cql__sim_row *row,
                       cql__sim_stamp stamp);
/* A value, copied; CQL_NULL deletes. */
void cql__sim_cell_write(const cql__sim_partition *partition, cql__sim_row *row, uint32_t slot,
                         cql_slice_t value, cql__sim_stamp stamp);
/* The same whatever the cell's time is, which becomes the later one: what was made of the old
 * value, as a counter's. */
void cql__sim_cell_replace(const cql__sim_partition *partition, cql__sim_row *row, uint32_t slot,
                           cql_slice_t value, cql__sim_stamp stamp);
/* The latest time of anything in it. */
int64_t cql__sim_row_newest(const cql__sim_row *row);
/* The cell, or NULL: it is null at that time. */
const cql__sim_cell *cql__sim_cell_at(const cql__sim_row *row, uint32_t slot, int64_t now_s);
int cql__sim_row_is_live(const cql__sim_row *row, int64_t now_s);
void cql__sim_row_delete(cql__sim_row *row, int64_t timestamp);
void cql__sim_partition_delete(const cql__sim_table *table, cql__sim_partition *partition,
                               int64_t timestamp);
void cql__sim_truncate(cql__sim_table *table);

#endif
