/* Values of every type, and what is inside of them: a type option, then the value's bytes. */
#include "fuzz.h"

#include "base/mem.h"
#include "wire/text.h"
#include "wire/types.h"
#include "wire/values.h"

enum { ITEMS_MAX = 5000 }; /* in all: a tuple of tuples has more fields than bytes */

static uint64_t sum;

static void check_text(int length, const char *text, size_t size) {
  CHECK(length == CQL_EVALUE || length == CQL_ETOOBIG ||
        (length >= 0 && (size_t)length < size && strlen(text) == (size_t)length));
}

static void print(const cql_type_t *type, const cql_cell_t *cell) {
  char text[1024];
  int32_t months, days;
  int64_t nanoseconds;
  uint8_t back[27];
  const uint8_t *bytes = cell->as.bytes;
  switch (type->kind) {
    case CQL_UUID:
    case CQL_TIMEUUID:
      if (cell->length == 16) cql__uuid_to_text(bytes, text);
      return;
    case CQL_INET: check_text(cql__inet_to_text(bytes, cell->length, text), text, 47); return;
    case CQL_DATE: check_text(cql__date_to_text(cell->as.integer, text), text, 20); return;
    case CQL_VARINT:
      check_text(cql__varint_to_text(bytes, cell->length, text, sizeof text), text, sizeof text);
      return;
    case CQL_DURATION:
      if (cql__duration_decode(bytes, cell->length, &months, &days, &nanoseconds)) return;
      CHECK(cql__duration_encode(months, days, nanoseconds, back) <= cell->length);
      return;
    default: sum = sum_of(sum, bytes, (size_t)cell->length); return;
  }
}

static int is_inline(int kind) {
  return kind == CQL_BOOLEAN || kind == CQL_INT || kind == CQL_BIGINT || kind == CQL_COUNTER ||
         kind == CQL_FLOAT || kind == CQL_DOUBLE || kind == CQL_SMALLINT || kind == CQL_TINYINT ||
         kind == CQL_TIME || kind == CQL_TIMESTAMP;
}

static void walk(const cql_type_t *type, const cql_cell_t *cell, int depth, int *budget) {
  CHECK(depth <= CQL__TYPE_DEPTH_MAX && cell->length >= CQL_NULL);
  if (cell->length < 0 || is_inline(type->kind)) return;
  if (type->kind == CQL_DATE) {
    print(type, cell);
    return;
  }
  cql_items_t items;
  int error = cql__items_open(type, cell->as.bytes, cell->length, &items);
  if (error == CQL_EINVAL) print(type, cell); /* holds no others */
  if (error) return;
  cql_cell_t item;
  int got;
  uint32_t count = 0;
  while ((got = cql__items_next(&items, &item)) == 1 && (*budget)-- > 0) {
    const cql_type_t *child = type->children;
    if (type->kind == CQL_MAP) child += count & 1;
    if (type->kind == CQL_TUPLE || type->kind == CQL_UDT) child += count;
    count++;
    CHECK(count <= items.count);
    walk(child, &item, depth + 1, budget);
  }
  CHECK(got == 0 || got == 1 || got == CQL_EMALFORMED);
  CHECK(got != 0 || count == items.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  long live = cql__mem_live();
  uint8_t *bytes = copy_of(data, size);
  cql__cursor c = cql__cursor_of(bytes, size), again = c;
  cql__arena arena = {0};
  cql_type_t type;
  int error = cql__type_read(&c, &arena, 0, &type);
  CHECK(error == cql__type_skip(&again, 0));
  if (!error) {
    CHECK(c.next == again.next);
    size_t left = cql__cursor_left(&c);
    uint8_t *value = copy_of(c.next, left);
    cql_cell_t cell;
    int budget = ITEMS_MAX;
    if (cql__cell_decode(&type, value, (int32_t)left, &cell) == 0) walk(&type, &cell, 0, &budget);
    free(value);
  }
  cql__arena_free(&arena);
  free(bytes);
  CHECK(cql__mem_live() == live);
  return 0;
}
