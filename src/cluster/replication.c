#include "cluster/replication.h"

#include "base/mem.h"

/* More datacenters than this in one map: garbage. */
enum { FACTORS_MAX = 256 };

static const char *const class_names[] = {
    [CQL__SIMPLE] = "SimpleStrategy",
    [CQL__NETWORK_TOPOLOGY] = "NetworkTopologyStrategy",
    [CQL__LOCAL_ONLY] = "LocalStrategy",
    [CQL__EVERYWHERE] = "EverywhereStrategy",
};

/* The one option of Simple; where NetworkTopology has it, it stands for all that aren't named. */
static const cql_slice_t rest_of_datacenters = {(const uint8_t *)"replication_factor", 18};

/* Servers write the class with its package, users without. */
static cql__strategy strategy_of(cql_slice_t name) {
  int32_t start = name.length;
  while (start > 0 && name.data[start - 1] != '.') start--;
  if (name.length < 0) return CQL__STRATEGY_UNKNOWN;
  cql_slice_t class = {name.data + start, name.length - start};
  for (int i = CQL__SIMPLE; i <= CQL__EVERYWHERE; i++)
    if (cql__slice_is(class, class_names[i])) return (cql__strategy)i;
  return CQL__STRATEGY_UNKNOWN;
}

/* Digits, at most five: no cluster has more nodes. What follows them, or NULL. */
static const uint8_t *read_number(const uint8_t *p, const uint8_t *end, uint32_t *out) {
  const uint8_t *start = p;
  *out = 0;
  for (; p < end && *p >= '0' && *p <= '9'; p++) {
    if (p - start == 5) return NULL;
    *out = *out * 10 + (uint32_t)(*p - '0');
  }
  return p == start ? NULL : p;
}

/* "3", "3/1"; of a list of racks Scylla shows the number here. */
static int read_factor(cql_slice_t text, cql__factor *out) {
  if (text.length < 0) return 0;
  const uint8_t *end = text.data + text.length;
  const uint8_t *p = read_number(text.data, end, &out->replicas);
  out->transient = 0;
  if (p && p < end && *p == '/') {
    p = read_number(p + 1, end, &out->transient);
    if (out->transient && out->transient >= out->replicas) return 0;
  }
  return p == end;
}

static int compare_names(cql_slice_t a, cql_slice_t b) {
  int32_t common = a.length < b.length ? a.length : b.length;
  int order = common ? memcmp(a.data, b.data, (size_t)common) : 0;
  return order ? order : a.length - b.length;
}

static void insert_sorted(cql__factor *factors, uint32_t count, cql__factor factor) {
  uint32_t i = count;
  for (; i > 0 && compare_names(factors[i - 1].datacenter, factor.datacenter) > 0; i--)
    factors[i] = factors[i - 1];
  factors[i] = factor;
}

/* What the strategy depends on, names borrowed from the map. */
static cql__strategy read_map(cql__cursor c, cql__factor *factors, uint32_t *count) {
  cql__strategy strategy = CQL__STRATEGY_UNKNOWN;
  int garbage = 0;
  *count = 0;
  for (int32_t left = cql__read_i32(&c); left > 0 && !c.broken; left--) {
    cql_slice_t name = cql__read_bytes(&c), value = cql__read_bytes(&c);
    cql__factor factor = {name, 0, 0};
    if (cql__slice_is(name, "class"))
      strategy = strategy_of(value);
    else if (name.length < 0 || *count == FACTORS_MAX || !read_factor(value, &factor))
      garbage = 1;
    else
      insert_sorted(factors, (*count)++, factor);
  }
  if (c.broken || c.next != c.end) return CQL__STRATEGY_UNKNOWN;
  if (strategy == CQL__SIMPLE) {
    /* other options, garbage or not, mean nothing to it */
    for (uint32_t i = 0; i < *count; i++) {
      if (compare_names(factors[i].datacenter, rest_of_datacenters) != 0) continue;
      factors[0] = factors[i];
      *count = 1;
      return CQL__SIMPLE;
    }
    return CQL__STRATEGY_UNKNOWN;
  }
  if (strategy != CQL__NETWORK_TOPOLOGY) *count = 0;
  return strategy == CQL__NETWORK_TOPOLOGY && garbage ? CQL__STRATEGY_UNKNOWN : strategy;
}

/* FNV-1a */
static uint32_t hash_of(const cql__replication *replication) {
  uint32_t hash = 2166136261u ^ (uint32_t)replication->strategy;
  for (uint32_t i = 0; i < replication->count; i++) {
    const cql__factor *factor = &replication->factors[i];
    for (int32_t k = 0; k < factor->datacenter.length; k++)
      hash = (hash ^ factor->datacenter.data[k]) * 16777619u;
    hash = (hash ^ factor->replicas) * 16777619u;
    hash = (hash ^ factor->transient) * 16777619u;
  }
  return hash;
}

cql__replication *cql__replication_read(const uint8_t *map, size_t size) {
  cql__factor factors[FACTORS_MAX];
  uint32_t count;
  cql__strategy strategy = read_map(cql__cursor_of(map, size), factors, &count);
  if (strategy == CQL__STRATEGY_UNKNOWN) count = 0;
  size_t names = 0;
  for (uint32_t i = 0; i < count; i++) names += (size_t)factors[i].datacenter.length;
  cql__replication *read = cql__malloc(sizeof *read + count * sizeof *factors + names);
  if (!read) return NULL;
  read->refs = 1;
  read->strategy = strategy;
  read->count = count;
  uint8_t *name = (uint8_t *)&read->factors[count];
  for (uint32_t i = 0; i < count; i++) {
    read->factors[i] = factors[i];
    read->factors[i].datacenter.data = name;
    name = cql__put_bytes(name, factors[i].datacenter.data, (size_t)factors[i].datacenter.length);
  }
  read->hash = hash_of(read);
  return read;
}

void cql__replication_unref(cql__replication *replication) {
  if (replication && --replication->refs == 0) cql__free(replication);
}

static const cql__factor *find(const cql__replication *replication, cql_slice_t name) {
  uint32_t low = 0, end = replication->count;
  while (low < end) {
    uint32_t middle = low + (end - low) / 2;
    int order = compare_names(replication->factors[middle].datacenter, name);
    if (order == 0) return &replication->factors[middle];
    if (order < 0)
      low = middle + 1;
    else
      end = middle;
  }
  return NULL;
}

const cql__factor *cql__replication_factor(const cql__replication *replication,
                                           cql_slice_t datacenter) {
  const cql__factor *factor = find(replication, datacenter);
  return factor ? factor : find(replication, rest_of_datacenters);
}

int cql__replication_equal(const cql__replication *a, const cql__replication *b) {
  if (a->hash != b->hash || a->strategy != b->strategy || a->count != b->count) return 0;
  for (uint32_t i = 0; i < a->count; i++) {
    const cql__factor *x = &a->factors[i], *y = &b->factors[i];
    if (compare_names(x->datacenter, y->datacenter) != 0 || x->replicas != y->replicas ||
        x->transient != y->transient)
      return 0;
  }
  return 1;
}
