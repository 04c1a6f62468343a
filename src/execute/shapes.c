#include "execute/shapes.h"

#include <string.h>

enum { WAYS = 4 }; /* shapes of one hash that are kept, the one that was asked for last first */
_Static_assert(CQL__SHAPES_MAX % WAYS == 0, "sets are whole");

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

/* The shape at `way` goes to the front of its set, before those that were asked for less lately. */
static void move_to_front(cql__metadata **set, unsigned way) {
  cql__metadata *found = set[way];
  memmove(set + 1, set, way * sizeof *set);
  set[0] = found;
}

int cql__shapes_find(cql__shapes *shapes, const cql__rows_head *head, cql__metadata **out) {
  size_t size = head->specs.length > 0 ? (size_t)head->specs.length : 0;
  uint64_t hash = size ? hash_bytes(head->specs.data, size) : 0;
  cql__metadata **set = &shapes->slot[hash % (CQL__SHAPES_MAX / WAYS) * WAYS];
  unsigned way = 0;
  while (way < WAYS && set[way] && !cql__metadata_matches(set[way], head)) way++;
  if (way == WAYS || !set[way]) {
    cql__metadata *built;
    int error = cql__metadata_build(head, &built);
    if (error) return error;
    cql__shapes_name(shapes, built);
    if (way == WAYS) cql__metadata_unref(set[--way]);
    set[way] = built;
  }
  if (way) move_to_front(set, way);
  *out = cql__metadata_ref(set[0]);
  return 0;
}
