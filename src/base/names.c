#include "base/names.h"

#include <string.h>

#include "base/mem.h"

static uint32_t hash_of(const void *text, size_t length) {
  const uint8_t *bytes = text;
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < length; i++) hash = (hash ^ bytes[i]) * 16777619u;
  return hash;
}

/* Where it stands, or where it would. */
static cql__name **slot_of(const cql__names *names, const void *text, size_t length) {
  uint32_t mask = names->capacity - 1;
  for (uint32_t i = hash_of(text, length) & mask;; i = (i + 1) & mask) {
    cql__name **slot = &names->slots[i];
    if (!*slot || ((*slot)->length == length && !memcmp((*slot)->text, text, length))) return slot;
  }
}

const cql__name *cql__names_find(const cql__names *names, const void *text, size_t length) {
  return names->capacity ? *slot_of(names, text, length) : NULL;
}

static int grow(cql__names *names) {
  cql__names larger = {NULL, names->count, names->capacity ? 2 * names->capacity : 16};
  larger.slots = cql__zalloc(larger.capacity * sizeof *larger.slots);
  if (!larger.slots) return 0;
  for (uint32_t i = 0; i < names->capacity; i++) {
    cql__name *name = names->slots[i];
    if (name) *slot_of(&larger, name->text, name->length) = name;
  }
  cql__free(names->slots);
  *names = larger;
  return 1;
}

const cql__name *cql__names_keep(cql__names *names, const void *text, size_t length) {
  if (2 * (names->count + 1) > names->capacity && !grow(names)) return NULL;
  cql__name **slot = slot_of(names, text, length);
  if (*slot) return *slot;
  cql__name *name = cql__malloc(sizeof *name + length + 1);
  if (!name) return NULL;
  name->number = names->count++;
  name->length = (uint32_t)length;
  memcpy(name->text, text, length);
  name->text[length] = 0;
  return *slot = name;
}

void cql__names_deinit(cql__names *names) {
  for (uint32_t i = 0; i < names->capacity; i++) cql__free(names->slots[i]);
  cql__free(names->slots);
  memset(names, 0, sizeof *names);
}
