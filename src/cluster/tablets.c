#include "cluster/tablets.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/plant.h"
#include "cluster/shard.h"

/* ---- the payload ---- */

#define PAYLOAD_KEY "tablets-routing-v1"

/* tuple<bigint, bigint, list<tuple<uuid, int>>>: each part behind its length, which can be one
 * alone. */
int cql__tablet_decode(cql_slice_t value, cql__tablet *out) {
  if (value.length < 0) return CQL_EMALFORMED;
  cql__cursor c = cql__cursor_of(value.data, (size_t)value.length);
  int wrong = cql__read_i32(&c) != 8;
  int64_t first = cql__read_i64(&c);
  wrong |= cql__read_i32(&c) != 8;
  int64_t last = cql__read_i64(&c);
  int32_t size = cql__read_i32(&c), count = cql__read_i32(&c);
  if (c.broken || wrong || last <= first || count < 1 || count > CQL__TABLET_REPLICAS_MAX ||
      size != 4 + count * CQL__TABLET_REPLICA_SIZE ||
      cql__cursor_left(&c) != (size_t)count * CQL__TABLET_REPLICA_SIZE)
    return CQL_EMALFORMED;
  const uint8_t *p = c.next;
  for (int32_t i = 0; i < count; i++, p += CQL__TABLET_REPLICA_SIZE)
    if (cql__get_u32(p) != 28 || cql__get_u32(p + 4) != 16 || cql__get_u32(p + 24) != 4 ||
        cql__get_u32(p + 28) >= CQL__SHARDS_MAX)
      return CQL_EMALFORMED;
  *out = (cql__tablet){first, last, (uint32_t)count, c.next};
  return 0;
}

int cql__tablet_find(cql_slice_t payload, cql__tablet *out) {
  if (payload.length < 0) return 0;
  cql__cursor c = cql__cursor_of(payload.data, (size_t)payload.length);
  for (uint16_t left = cql__read_u16(&c); left && !c.broken; left--) {
    cql_slice_t key = cql__read_short_bytes(&c), value = cql__read_bytes(&c);
    if (c.broken || !cql__slice_is(key, PAYLOAD_KEY)) continue;
    int error = cql__tablet_decode(value, out);
    return error ? error : 1;
  }
  return 0;
}

/* ---- growing ---- */

/* Room for one more; `size`: of each. CQL_ENOMEM: as before. */
static int grow(void *items, uint32_t count, uint32_t *capacity, size_t size) {
  void **at = items;
  if (count < *capacity) return 0;
  uint32_t wanted = *capacity ? *capacity * 2 : 8;
  void *more = cql__realloc(*at, wanted * size);
  if (!more) return CQL_ENOMEM;
  *at = more;
  *capacity = wanted;
  return 0;
}

/* ---- owners ---- */

static void disown(cql__tablets *tablets, const cql__tablet_replica *replicas, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) tablets->owners[replicas[i].host].uses--;
}

/* The owner of that id, used once more. CQL_ENOMEM, CQL_ETOOBIG. */
static int own(cql__tablets *tablets, const uint8_t id[16], uint16_t *out) {
  uint32_t free_at = tablets->owner_count, at = 0;
  for (; at < tablets->owner_count; at++) {
    const cql__tablet_owner *owner = &tablets->owners[at];
    if (owner->uses == 0)
      free_at = at;
    else if (memcmp(owner->id, id, 16) == 0)
      break;
  }
  if (at == tablets->owner_count) {
    at = free_at;
    if (at == CQL__TABLET_OWNERS_MAX) return CQL_ETOOBIG;
    if (at == tablets->owner_count) {
      if (grow(&tablets->owners, at, &tablets->owner_capacity, sizeof *tablets->owners))
        return CQL_ENOMEM;
      tablets->owner_count++;
    }
    cql__tablet_owner *fresh = &tablets->owners[at];
    memcpy(fresh->id, id, 16);
    fresh->uses = 0;
    fresh->node = CQL__NO_NODE;
  }
  cql__tablet_owner *owner = &tablets->owners[at];
  if (owner->node == CQL__NO_NODE) owner->node = tablets->resolve(tablets->user, id);
  owner->uses++;
  *out = (uint16_t)at;
  return 0;
}

static int own_all(cql__tablets *tablets, const cql__tablet *tablet, cql__tablet_replica *out) {
  for (uint32_t i = 0; i < tablet->count; i++) {
    out[i].shard = cql__tablet_shard(tablet, i);
    int error = own(tablets, cql__tablet_host(tablet, i), &out[i].host);
    if (!error) continue;
    disown(tablets, out, i);
    return error;
  }
  return 0;
}

/* ---- tables ---- */

static int compare(cql_slice_t a, cql_slice_t b) {
  if (a.length != b.length) return a.length < b.length ? -1 : 1;
  return a.length ? memcmp(a.data, b.data, (size_t)a.length) : 0;
}

/* Where it is, or would be. */
static uint32_t place_of(const cql__tablets *tablets, cql_slice_t keyspace, cql_slice_t name,
                         int *found) {
  uint32_t low = 0, high = tablets->table_count;
  *found = 0;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    const cql__tablet_table *table = tablets->tables[middle];
    int order = compare(table->keyspace, keyspace);
    if (order == 0) order = compare(table->name, name);
    if (order == 0) *found = 1;
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

static void free_table(cql__tablet_table *table) {
  cql__free(table->ranges);
  cql__free(table->replicas);
  cql__free(table);
}

/* The names stand behind it. */
static cql__tablet_table *new_table(cql_slice_t keyspace, cql_slice_t name) {
  size_t first = (size_t)keyspace.length, second = (size_t)name.length;
  cql__tablet_table *table = cql__zalloc(sizeof *table + first + second);
  if (!table) return NULL;
  uint8_t *text = (uint8_t *)(table + 1);
  table->keyspace = (cql_slice_t){text, keyspace.length};
  table->name = (cql_slice_t){text + first, name.length};
  cql__put_bytes(cql__put_bytes(text, keyspace.data, first), name.data, second);
  return table;
}

static int add_table(cql__tablets *tablets, uint32_t at, cql_slice_t keyspace, cql_slice_t name) {
  if (grow(&tablets->tables, tablets->table_count, &tablets->table_capacity,
           sizeof *tablets->tables))
    return CQL_ENOMEM;
  cql__tablet_table *table = new_table(keyspace, name);
  if (!table) return CQL_ENOMEM;
  cql__tablet_table **place = tablets->tables + at;
  memmove(place + 1, place, (tablets->table_count - at) * sizeof *place);
  *place = table;
  tablets->table_count++;
  tablets->epoch++;
  return 0;
}

static void drop_table(cql__tablets *tablets, uint32_t at) {
  cql__tablet_table **place = tablets->tables + at, *table = *place;
  for (uint32_t i = 0; i < table->count; i++)
    disown(tablets, table->replicas + table->ranges[i].at, table->ranges[i].count);
  tablets->count -= table->count;
  tablets->table_count--;
  memmove(place, place + 1, (tablets->table_count - at) * sizeof *place);
  tablets->epoch++;
  free_table(table);
}

static void free_name(cql_slice_t name) { cql__free((void *)(uintptr_t)name.data); }

static uint32_t keyspace_at(const cql__tablets *tablets, cql_slice_t keyspace) {
  uint32_t at = 0;
  while (at < tablets->keyspace_count && compare(tablets->keyspaces[at], keyspace)) at++;
  return at;
}

void cql__tablets_forget(cql__tablets *tablets, cql_slice_t keyspace, cql_slice_t table) {
  for (uint32_t at = tablets->table_count; at-- > 0;) {
    const cql__tablet_table *known = tablets->tables[at];
    if (compare(known->keyspace, keyspace) == 0 &&
        (table.length < 0 || compare(known->name, table) == 0))
      drop_table(tablets, at);
  }
}

void cql__tablets_clear(cql__tablets *tablets) {
  while (tablets->table_count) drop_table(tablets, tablets->table_count - 1);
}

int cql__tablets_keyspace(cql__tablets *tablets, cql_slice_t keyspace, int has_tablets) {
  uint32_t at = keyspace_at(tablets, keyspace);
  int known = at < tablets->keyspace_count;
  if (has_tablets && !known) {
    if (grow(&tablets->keyspaces, at, &tablets->keyspace_capacity, sizeof *tablets->keyspaces))
      return CQL_ENOMEM;
    uint8_t *name = cql__malloc((size_t)keyspace.length + 1);
    if (!name) return CQL_ENOMEM;
    cql__put_bytes(name, keyspace.data, (size_t)keyspace.length);
    tablets->keyspaces[tablets->keyspace_count++] = (cql_slice_t){name, keyspace.length};
    tablets->epoch++;
  } else if (!has_tablets) {
    cql__tablets_forget(tablets, keyspace, (cql_slice_t){NULL, CQL_NULL});
    if (!known) return 0;
    free_name(tablets->keyspaces[at]);
    tablets->keyspaces[at] = tablets->keyspaces[--tablets->keyspace_count];
    tablets->epoch++;
  }
  return 0;
}

cql__tablet_table *cql__tablets_table(cql__tablets *tablets, cql_slice_t keyspace,
                                      cql_slice_t table) {
  int found;
  uint32_t at = place_of(tablets, keyspace, table, &found);
  if (found) return tablets->tables[at];
  return keyspace_at(tablets, keyspace) < tablets->keyspace_count ? &tablets->none : NULL;
}

/* ---- ranges ---- */

/* The first range that ends at `token` or past it. Tablets are about equally wide, so that the
 * place is guessed, and then looked for in steps that double. */
static uint32_t range_at(const cql__tablet_table *table, int64_t token) {
  const cql__tablet_range *ranges = table->ranges;
  uint32_t low = 0, high = table->count, step = 1;
  if (high == 0) return 0;
  uint32_t guess = cql__part_of((uint64_t)token + ((uint64_t)1 << 63), high);
  if (ranges[guess].last < token) {
    for (low = guess + 1; low < high && ranges[low].last < token; step *= 2) {
      guess = low;
      low += low + step < high ? step : high - low;
    }
    high = low;
    low = guess + 1;
  } else {
    for (high = guess; high > 0 && ranges[high - 1].last >= token; step *= 2)
      high -= high > step ? step : high;
    low = high;
    high = guess;
  }
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (ranges[middle].last < token)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

const cql__tablet_range *cql__tablet_table_find(const cql__tablet_table *table, int64_t token) {
  uint32_t at = range_at(table, token);
  return at < table->count && table->ranges[at].first < token ? &table->ranges[at] : NULL;
}

/* Room for `count` more replicas; those that have gone go for good. */
static int make_room(cql__tablet_table *table, uint32_t count) {
  if (table->replicas_capacity - table->replicas_used >= count) return 0;
  uint32_t capacity = 16;
  while (capacity < 2 * (table->replicas_live + count)) capacity *= 2;
  cql__tablet_replica *fresh = cql__malloc(capacity * sizeof *fresh);
  if (!fresh) return CQL_ENOMEM;
  uint32_t used = 0;
  for (uint32_t i = 0; i < table->count; i++) {
    cql__tablet_range *range = &table->ranges[i];
    memcpy(fresh + used, table->replicas + range->at, range->count * sizeof *fresh);
    range->at = used;
    used += range->count;
  }
  cql__free(table->replicas);
  table->replicas = fresh;
  table->replicas_capacity = capacity;
  table->replicas_used = used;
  return 0;
}

static void drop_ranges(cql__tablets *tablets, cql__tablet_table *table, uint32_t from,
                        uint32_t to) {
  for (uint32_t i = from; i < to; i++) {
    const cql__tablet_range *range = &table->ranges[i];
    disown(tablets, table->replicas + range->at, range->count);
    table->replicas_live -= range->count;
  }
  tablets->count -= to - from;
}

static int is_known(const cql__tablet_table *table, uint32_t at, const cql__tablet *tablet,
                    const cql__tablet_replica *replicas) {
  if (at == table->count) return 0;
  const cql__tablet_range *range = &table->ranges[at];
  return range->first == tablet->first && range->last == tablet->last &&
         range->count == tablet->count &&
         memcmp(table->replicas + range->at, replicas, range->count * sizeof *replicas) == 0;
}

/* Its replicas are owned already. 1, 0: it is known; CQL_ENOMEM. */
static int put_range(cql__tablets *tablets, cql__tablet_table *table, const cql__tablet *tablet,
                     const cql__tablet_replica *replicas) {
  uint32_t from = range_at(table, tablet->first + 1), to = from;
  if (is_known(table, from, tablet, replicas)) return 0;
  if (grow(&table->ranges, table->count, &table->capacity, sizeof *table->ranges) ||
      make_room(table, tablet->count))
    return CQL_ENOMEM;
  while (to < table->count && table->ranges[to].first < tablet->last) to++;
  if (to > from && CQL__PLANTED(CQL__PLANT_TABLET)) return 0;
  drop_ranges(tablets, table, from, to);
  cql__tablet_range *place = table->ranges + from;
  if (to != from + 1) memmove(place + 1, table->ranges + to, (table->count - to) * sizeof *place);
  table->count = table->count - (to - from) + 1;
  tablets->count++;
  *place = (cql__tablet_range){tablet->first, tablet->last, table->replicas_used, tablet->count};
  memcpy(table->replicas + place->at, replicas, place->count * sizeof *replicas);
  table->replicas_used += place->count;
  table->replicas_live += place->count;
  return 1;
}

int cql__tablets_learn(cql__tablets *tablets, cql_slice_t keyspace, cql_slice_t table,
                       const cql__tablet *tablet) {
  cql__tablet_replica replicas[CQL__TABLET_REPLICAS_MAX];
  int error = own_all(tablets, tablet, replicas);
  if (error) return error;
  int found;
  uint32_t at = place_of(tablets, keyspace, table, &found);
  if (!found) error = add_table(tablets, at, keyspace, table);
  int result = error ? error : put_range(tablets, tablets->tables[at], tablet, replicas);
  if (result > 0) return result;
  disown(tablets, replicas, tablet->count);
  if (!found && !error) drop_table(tablets, at); /* there was no memory for its first range */
  return result;
}

/* ---- the whole ---- */

static int is_lost(const cql__tablets *tablets, const cql__tablet_table *table,
                   const cql__tablet_range *range) {
  for (uint32_t i = 0; i < range->count; i++)
    if (cql__tablets_node(tablets, table->replicas[range->at + i].host) == CQL__NO_NODE) return 1;
  return 0;
}

void cql__tablets_renumber(cql__tablets *tablets) {
  int lost = 0;
  for (uint32_t i = 0; i < tablets->owner_count; i++) {
    cql__tablet_owner *owner = &tablets->owners[i];
    if (owner->uses == 0) continue;
    owner->node = tablets->resolve(tablets->user, owner->id);
    lost |= owner->node == CQL__NO_NODE;
  }
  for (uint32_t t = 0; lost && t < tablets->table_count; t++) {
    cql__tablet_table *table = tablets->tables[t];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < table->count; i++) {
      if (is_lost(tablets, table, &table->ranges[i]))
        drop_ranges(tablets, table, i, i + 1);
      else
        table->ranges[kept++] = table->ranges[i];
    }
    table->count = kept;
  }
}

void cql__tablets_init(cql__tablets *tablets, cql__tablets_resolve resolve, void *user) {
  *tablets = (cql__tablets){.resolve = resolve, .user = user};
}

void cql__tablets_deinit(cql__tablets *tablets) {
  cql__tablets_clear(tablets);
  while (tablets->keyspace_count) free_name(tablets->keyspaces[--tablets->keyspace_count]);
  cql__free(tablets->tables);
  cql__free(tablets->keyspaces);
  cql__free(tablets->owners);
}
