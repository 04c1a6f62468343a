#include "message/metadata.h"
#include "wire/values.h"

int cql__rows_split(cql__cursor *c, const cql_metadata_t *shape, uint32_t max_rows,
                    cql_cell_t *out) {
  const uint8_t *next = c->next, *end = c->end;
  for (uint32_t row = 0; row < max_rows; row++) {
    const cql_column_t *column = shape->columns;
    for (uint32_t i = shape->column_count; i > 0; i--, column++, out++) {
      if (end - next < 4) return CQL_EMALFORMED;
      int32_t length = (int32_t)cql__get_u32(next);
      next += 4;
      if (length < 0) {
        *out = (cql_cell_t){.length = CQL_NULL};
        continue;
      }
      if (end - next < length || cql__cell_read(column->type.kind, next, length, out))
        return CQL_EMALFORMED;
      next += length;
    }
  }
  c->next = next;
  return (int)max_rows;
}
