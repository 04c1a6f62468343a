/* Shapes: the metadata of rows that were seen, found again by their bytes, so that an answer that
 * brings metadata costs a look-up and no allocation, and equal shapes have one id. */
#ifndef CQL_EXECUTE_SHAPES_H
#define CQL_EXECUTE_SHAPES_H

#include "base/limits.h"
#include "message/metadata.h"

typedef struct cql__shapes {
  cql__metadata *slot[CQL__SHAPES_MAX]; /* sets by hash; a newcomer takes the oldest's place */
  uint32_t next_id;
} cql__shapes;

void cql__shapes_deinit(cql__shapes *shapes);
/* The shape of a head that has specs, with a reference for the caller. */
int cql__shapes_find(cql__shapes *shapes, const cql__rows_head *head, cql__metadata **out);
/* Gives a shape made elsewhere an id. */
static inline void cql__shapes_name(cql__shapes *shapes, cql__metadata *metadata) {
  metadata->shape.id = ++shapes->next_id;
}

#endif
