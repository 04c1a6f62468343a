/* Tablets: payloads of any bytes, and a store to which things are done in any order.
 *
 * Operations: a byte each, and what they take. After each of them nothing overlaps, every count is
 * right, and what was learned last is found. */
#include "fuzz.h"

#include "base/limits.h"
#include "base/mem.h"
#include "cluster/tablets.h"

enum { PAYLOAD, LEARN, FIND, FORGET, KEYSPACE, RENUMBER, CLEAR, STARVE, OPERATIONS };
enum { NODES = 16 };

static uint64_t sum;
static unsigned gone; /* a bit for each node that isn't there */

static uint16_t resolve(void *user, const uint8_t id[16]) {
  (void)user;
  unsigned node = id[15] % NODES;
  return gone & 1u << node ? CQL__NO_NODE : (uint16_t)node;
}

static cql_slice_t name_of(unsigned number) {
  static const char *const names[] = {"a", "b", "ab", ""};
  const char *name = names[number % 4];
  return (cql_slice_t){(const uint8_t *)name, (int32_t)strlen(name)};
}

/* Places from 0 to 255 are tokens from the smallest to the largest. */
static int64_t token_of(unsigned place) {
  if (place == 255) return INT64_MAX;
  return (int64_t)(((uint64_t)place << 56) ^ (uint64_t)1 << 63);
}

/* ---- what must hold ---- */

static void check_table(const cql__tablet_table *table, uint32_t *uses, uint32_t *count) {
  uint32_t live = 0;
  for (uint32_t i = 0; i < table->count; i++) {
    const cql__tablet_range *range = &table->ranges[i];
    CHECK(range->first < range->last && range->count > 0);
    CHECK(i == 0 || table->ranges[i - 1].last <= range->first);
    CHECK(range->at + range->count <= table->replicas_used);
    CHECK(cql__tablet_table_find(table, range->last) == range);
    CHECK(cql__tablet_table_find(table, range->first + 1) == range);
    live += range->count;
    for (uint32_t k = 0; k < range->count; k++) uses[cql__tablet_replicas(table, range)[k].host]++;
  }
  CHECK(live == table->replicas_live && table->replicas_used <= table->replicas_capacity);
  *count += table->count;
}

static void check(const cql__tablets *tablets) {
  uint32_t *uses = calloc(tablets->owner_count + 1, sizeof *uses), count = 0;
  CHECK(uses);
  for (uint32_t i = 0; i < tablets->table_count; i++) check_table(tablets->tables[i], uses, &count);
  CHECK(count == tablets->count);
  for (uint32_t i = 0; i < tablets->owner_count; i++) CHECK(uses[i] == tablets->owners[i].uses);
  free(uses);
}

/* ---- operations ---- */

static void learn(cql__tablets *tablets, unsigned where, const cql__tablet *tablet) {
  cql_slice_t keyspace = name_of(where), name = name_of(where >> 2);
  int result = cql__tablets_learn(tablets, keyspace, name, tablet);
  if (result < 0) {
    CHECK(result == CQL_ENOMEM || result == CQL_ETOOBIG);
    return;
  }
  const cql__tablet_table *table = cql__tablets_table(tablets, keyspace, name);
  CHECK(table);
  const cql__tablet_range *range = cql__tablet_table_find(table, tablet->last);
  CHECK(range && range->first == tablet->first && range->last == tablet->last);
  CHECK(range->count == tablet->count);
  for (uint32_t i = 0; i < range->count; i++) {
    const cql__tablet_replica *replica = &cql__tablet_replicas(table, range)[i];
    CHECK(replica->shard == cql__tablet_shard(tablet, i) && replica->shard < CQL__SHARDS_MAX);
    CHECK(!memcmp(tablets->owners[replica->host].id, cql__tablet_host(tablet, i), 16));
  }
}

static void take_payload(cql__tablets *tablets, input *in) {
  unsigned where = input_u8(in);
  size_t size = input_u16(in);
  const uint8_t *bytes = input_take(in, &size);
  uint8_t *copy = copy_of(bytes, size);
  cql__tablet tablet;
  cql_slice_t text = {copy, (int32_t)size};
  if (cql__tablet_find(text, &tablet) == 1 || cql__tablet_decode(text, &tablet) == 0)
    learn(tablets, where, &tablet);
  free(copy);
}

static void take_tablet(cql__tablets *tablets, input *in) {
  unsigned where = input_u8(in), first = input_u8(in), last = input_u8(in);
  uint8_t replicas[4 * CQL__TABLET_REPLICA_SIZE] = {0};
  uint32_t count = 1 + input_u8(in) % 4;
  for (uint32_t i = 0; i < count; i++) {
    uint8_t *p = replicas + (size_t)i * CQL__TABLET_REPLICA_SIZE;
    p[23] = (uint8_t)input_u8(in);
    p[31] = (uint8_t)input_u8(in);
  }
  cql__tablet tablet = {token_of(first), token_of(last), count, replicas};
  if (tablet.first < tablet.last) learn(tablets, where, &tablet);
}

static void look_up(cql__tablets *tablets, input *in) {
  unsigned where = input_u8(in);
  int64_t token = token_of(input_u8(in)) ^ (int64_t)(input_u8(in) & 1);
  const cql__tablet_table *table = cql__tablets_table(tablets, name_of(where), name_of(where >> 2));
  const cql__tablet_range *range = table ? cql__tablet_table_find(table, token) : NULL;
  if (!range) return;
  CHECK(range->first < token && token <= range->last);
  sum = sum_of(sum, cql__tablet_replicas(table, range), range->count * sizeof(cql__tablet_replica));
}

static void run(cql__tablets *tablets, input *in) {
  unsigned operation = input_u8(in) % OPERATIONS, where;
  switch (operation) {
    case PAYLOAD: take_payload(tablets, in); break;
    case LEARN: take_tablet(tablets, in); break;
    case FIND: look_up(tablets, in); break;
    case FORGET:
      where = input_u8(in);
      cql__tablets_forget(tablets, name_of(where),
                          where & 64 ? (cql_slice_t){NULL, CQL_NULL} : name_of(where >> 2));
      break;
    case KEYSPACE:
      where = input_u8(in);
      cql__tablets_keyspace(tablets, name_of(where), where >> 2 & 1);
      break;
    case RENUMBER:
      gone = input_u16(in);
      cql__tablets_renumber(tablets);
      break;
    case CLEAR: cql__tablets_clear(tablets); break;
    default: cql__mem_fail(1 + (long)input_u8(in) % 8, 0); return; /* in what comes next */
  }
  cql__mem_fail(0, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  long live = cql__mem_live();
  input in = input_of(data, size);
  cql__tablets tablets;
  gone = 0;
  cql__tablets_init(&tablets, resolve, NULL);
  while (input_left(&in)) {
    run(&tablets, &in);
    check(&tablets);
  }
  cql__mem_fail(0, 0);
  cql__tablets_deinit(&tablets);
  CHECK(cql__mem_live() == live);
  return 0;
}
