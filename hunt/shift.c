/* Shift: a table that comes and goes, is emptied and filled, gains columns and loses them, under
 * those who read it. What they are told of it must be so, or have been so since they asked. */
#include <stdio.h>
#include <string.h>

#include "report.h"
#include "world.h"

enum { COLUMNS_MAX = 2, COLUMNS_ALL = 2 + COLUMNS_MAX };

/* ---- what becomes of it ---- */

static shape *now_is(void) { return &w.shapes[w.shifts % SHAPES]; }

/* Prepared statements go with each change of the table itself. */
static void becomes(shape next) {
  w.shifts++;
  w.forgets++;
  *now_is() = next;
}

static void fill(void) {
  char text[100];
  for (int key = 0; key < ROWS; key++) {
    snprintf(text, sizeof text, "INSERT INTO ks.s (id, v) VALUES (%d, 'kept %d')", key, key);
    world_cql(text);
  }
}

static void create(void) {
  world_cql("CREATE TABLE ks.s (id bigint PRIMARY KEY, v text)");
  becomes((shape){.exists = 1});
}

static void empty_or_fill(void) {
  shape next = *now_is();
  if (next.filled)
    world_cql("TRUNCATE ks.s");
  else
    fill();
  next.filled = !next.filled;
  becomes(next);
}

static void alter(int drops) {
  char text[60];
  shape next = *now_is();
  if (drops ? next.columns == 0 : next.columns == COLUMNS_MAX) return;
  if (drops)
    snprintf(text, sizeof text, "ALTER TABLE ks.s DROP more%d", --next.columns);
  else
    snprintf(text, sizeof text, "ALTER TABLE ks.s ADD more%d int", next.columns++);
  world_cql(text);
  becomes(next);
}

void shift_play(uint64_t how) {
  if (!now_is()->exists) {
    create();
    if (how & 1) empty_or_fill();
    return;
  }
  switch (how % 4) {
    case 0:
      world_cql("DROP TABLE ks.s");
      becomes((shape){0});
      break;
    case 1: empty_or_fill(); break;
    default: alter(how & 1); break;
  }
}

void shift_restore(void) {
  if (!now_is()->exists) create();
  if (!now_is()->filled) empty_or_fill();
}

/* ---- what is told of it ---- */

static int was(const asked *a, shape wanted) {
  if (w.shifts - a->shifts >= SHAPES) return 1;
  for (uint64_t i = a->shifts; i <= w.shifts; i++)
    if (memcmp(&w.shapes[i % SHAPES], &wanted, sizeof wanted) == 0) return 1;
  return 0;
}

int shift_was_gone(const asked *a) {
  int is_setup = a->kind == KIND_SETUP && a->at == STATEMENT_SHIFTING;
  return (is_setup || shift_is_read(a)) && was(a, (shape){0});
}

static void judge_cell(const asked *a, const cql_slice_t *name, const cql_cell_t *cell) {
  char wanted[20];
  int size = snprintf(wanted, sizeof wanted, "kept %d", a->key);
  if (name->length == 2 && memcmp(name->data, "id", 2) == 0)
    CHECK(cell->as.integer == a->key, "another's row: %d for %d", (int)cell->as.integer, a->key);
  else if (name->length == 1)
    CHECK(cell->length == size && memcmp(cell->as.bytes, wanted, (size_t)size) == 0,
          "another's value");
  else
    CHECK(cell->length < 0, "a value of a column that is new");
}

void shift_judge(const asked *a, cql_result_t *result) {
  cql_cell_t cells[2 * COLUMNS_ALL];
  const cql_metadata_t *metadata = result->metadata;
  int columns = metadata ? (int)metadata->column_count : 0;
  CHECK(columns >= 2 && columns <= COLUMNS_ALL, "%d columns of a table that changes", columns);
  int rows = cql_result_cells(result, 2, cells);
  shape told = {.exists = 1, .filled = (uint8_t)rows, .columns = (uint8_t)(columns - 2)};
  CHECK(was(a, told), "%d rows of %d columns, as the table hasn't been", rows, columns);
  for (int i = 0; rows && i < columns; i++) judge_cell(a, &metadata->columns[i].name, &cells[i]);
}
