#include "execute/shapes.h"

#include <string.h>

void cql__shapes_deinit(cql__shapes *shapes) {
  for (unsigned i = 0; i < CQL__SHAPES_MAX; i++) cql__metadata_unref(shapes->slot[i]);
  memset(shapes->slot, 0, sizeof shapes->slot);
}

static uint64_t hash_bytes(const uint8_t *bytes, size_t size) {
  uint64_t hash = 0x9E3779B97F4A7C15u ^ size, word;
  for (; size >= 8; bytes += 8, size -= 8) {
    memcpy(&word, bytes, 8);
    hash = (hash ^ word) * 0xff51afd7ed558ccdu;
    hash ^= hash >> 32;
  }
  word = 0;
  memcpy(&word, bytes, size);
  hash = (hash ^ word) * 0xc4ceb9fe1a85ec53u;
  return hash ^ hash >> 29;
}

int cql__shapes_find(cql__shapes *shapes, const cql__rows_head *head, cql__metadata **out) {
  size_t size = head->specs.length > 0 ? (size_t)head->specs.length : 0;
  uint64_t hash = size ? hash_bytes(head->specs.data, size) : 0;
  cql__metadata **slot = &shapes->slot[hash % CQL__SHAPES_MAX];
  if (*slot && cql__metadata_matches(*slot, head)) {
    *out = cql__metadata_ref(*slot);
    return 0;
  }
  cql__metadata *built;
  int error = cql__metadata_build(head, &built);
  if (error) return error;
  cql__shapes_name(shapes, built);
  cql__metadata_unref(*slot);
  *slot = built;
  *out = cql__metadata_ref(built);
  return 0;
}
