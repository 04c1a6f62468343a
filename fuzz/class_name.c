/* Class names, as custom types have them: whatever the text is, the type that comes of it is whole,
 * and what encodes its elements knows it. */
#include "fuzz.h"

#include "base/mem.h"
#include "wire/class_name.h"
#include "wire/types.h"

static uint64_t sum;

static void check_slice(cql_slice_t slice) {
  if (slice.length > 0) sum = sum_of(sum, slice.data, (size_t)slice.length);
}

static void check(const cql_type_t *type, int depth) {
  CHECK(depth < CQL__TYPE_DEPTH_MAX);
  uint32_t children = type->child_count;
  check_slice(type->keyspace);
  check_slice(type->name);
  switch (type->kind) {
    case CQL_LIST:
    case CQL_SET: CHECK(children == 1); break;
    case CQL_MAP: CHECK(children == 2); break;
    case CQL_VECTOR:
      CHECK(children == 1 && type->dimension > 0);
      CHECK(type->fixed_size == cql__type_fixed_size(type->children));
      break;
    case CQL_UDT:
      CHECK(children == 0 || type->names);
      for (uint32_t i = 0; i < children; i++) check_slice(type->names[i]);
      break;
    case CQL_TUPLE: break;
    default: CHECK(children == 0 && cql__type_fixed_size(type) >= 0); break;
  }
  for (uint32_t i = 0; i < children; i++) check(&type->children[i], depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  long live = cql__mem_live();
  if (size > UINT16_MAX) size = UINT16_MAX; /* a [string] */
  uint8_t *text = copy_of(data, size);
  cql__arena arena = {0};
  cql_type_t type;
  CHECK(cql__class_name_read((cql_slice_t){text, (int32_t)size}, &arena, 0, &type) == 0);
  memset(text, '?', size); /* nothing of it may be referred to */
  free(text);
  check(&type, 0);
  cql__arena_free(&arena);
  CHECK(cql__mem_live() == live);
  return 0;
}
