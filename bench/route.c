/* What routing costs: the ring, and the plans of a replication with three replicas in each of two
 * datacenters, for clusters of 1 to 1,000 nodes with 256 tokens each; and ScyllaDB's tablets in a
 * cluster of 1,000 nodes, three replicas each. No server, no request.
 *
 *   route [--nodes N,N...] [--tablets N,N...] [--json FILE]
 *
 * Each cluster is measured in a process of its own. Times are CPU times of the thread: what others
 * do on the machine is in them as far as they share its caches. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rand.h"
#include "cluster/plan.h"
#include "cluster/tablets.h"
#include "measure.h"

enum { TABLET_NODES = 1000, TOKENS_PER_NODE = 256, LOOKUPS = 1 << 20, REPETITIONS = 7 };

typedef struct figures {
  uint32_t nodes, slices;
  double lookup_us; /* a token's range and plan, the plan there already */
  double first_use_us,
      first_longest_us;     /* the range's first use; the longest of all, clock included */
  double ring_ms, slice_us; /* sorting; its longest slice */
  double swap_us, free_us;  /* an empty cache of plans; letting the full one go */
  size_t ring_bytes, plans_bytes;
  long rss_kb;
} figures;

static void fail(const char *what) {
  fprintf(stderr, "route: %s\n", what);
  exit(1);
}

/* ---- counting ---- */

static size_t live_bytes;

static void *counted_malloc(size_t size) {
  void *pointer = malloc(size);
  live_bytes += malloc_usable_size(pointer);
  return pointer;
}

static void *counted_realloc(void *pointer, size_t size) {
  live_bytes -= malloc_usable_size(pointer);
  pointer = realloc(pointer, size);
  live_bytes += malloc_usable_size(pointer);
  return pointer;
}

static void counted_free(void *pointer) {
  live_bytes -= malloc_usable_size(pointer);
  free(pointer);
}

static double thread_us(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e6 * (double)time.tv_sec + 1e-3 * (double)time.tv_nsec;
}

static double least(double a, double b) { return b == 0 || a < b ? a : b; }

/* ---- what is measured ---- */

static cql__ring *build_ring(uint32_t nodes, cql__rand *rand, figures *out) {
  cql__ring_builder *builder = cql__ring_builder_new(CQL__MURMUR3);
  for (uint32_t i = 0; builder && i < nodes * TOKENS_PER_NODE; i++) {
    cql__token token = cql__token_of_number((int64_t)cql__rand_next(rand));
    if (cql__ring_builder_add(builder, &token, i / TOKENS_PER_NODE) < 0) fail("no memory");
  }
  cql__ring *ring = NULL;
  double began = thread_us(), longest = 0;
  uint32_t slices = 0;
  for (int result = 0; result == 0; slices++) {
    double before = thread_us();
    result = cql__ring_builder_step(builder, CQL__RING_SLICE, &ring);
    double took = thread_us() - before;
    if (took > longest) longest = took;
    if (result < 0) fail("no memory");
  }
  out->ring_ms = least((thread_us() - began) / 1000, out->ring_ms);
  out->slice_us = least(longest, out->slice_us);
  out->slices = slices;
  cql__ring_builder_free(builder);
  return ring;
}

static cql__replication *make_replication(void) {
  static const char *const words[] = {"class", "NetworkTopologyStrategy", "dc0", "3", "dc1", "3"};
  uint8_t map[256], *p = cql__put_u32(map, 3);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t length = strlen(words[i]);
    p = cql__put_bytes(cql__put_u32(p, (uint32_t)length), words[i], length);
  }
  return cql__replication_read(map, (size_t)(p - map));
}

/* Every second node is in the other datacenter, with three racks in each. */
static cql__places make_places(uint32_t nodes) {
  static const cql_slice_t names[] = {{(const uint8_t *)"dc0", 3}, {(const uint8_t *)"dc1", 3}};
  cql__place *list = calloc(nodes, sizeof *list);
  for (uint32_t i = 0; list && i < nodes; i++) {
    list[i].datacenter = i % 2;
    list[i].rack = i / 2 % 3;
    list[i].distance =
        i % 2 ? CQL_DISTANCE_REMOTE : (i / 2 % 3 ? CQL_DISTANCE_LOCAL : CQL_DISTANCE_RACK);
  }
  return (cql__places){list, nodes, 2, names};
}

/* 0 .. count - 1 in a random order. */
static uint32_t *shuffled(uint32_t count, cql__rand *rand) {
  uint32_t *list = malloc(count * sizeof *list);
  for (uint32_t i = 0; list && i < count; i++) {
    uint32_t k = cql__rand_below(rand, i + 1);
    list[i] = list[k];
    list[k] = i;
  }
  return list;
}

static double use_each(cql__plans *plans, const uint32_t *ranges, uint32_t count) {
  double began = thread_us();
  for (uint32_t i = 0; i < count; i++)
    if (!cql__plans_get(plans, ranges[i])) fail("no memory");
  return (thread_us() - began) / count;
}

static double longest_first_use(cql__plans *plans, const uint32_t *ranges, uint32_t count) {
  double longest = 0;
  for (uint32_t i = 0; i < count; i++) {
    double before = thread_us();
    const cql__plan *plan = cql__plans_get(plans, ranges[i]);
    double took = thread_us() - before;
    if (plan && took > longest) longest = took;
  }
  return longest;
}

/* Drawing the tokens is in it: 1 to 2 ns. */
static double look_up(cql__plans *plans, cql__rand *rand, uint32_t *seen) {
  double began = thread_us();
  for (uint32_t i = 0; i < LOOKUPS; i++) {
    cql__token token = cql__token_of_number((int64_t)cql__rand_next(rand));
    *seen |= cql__plans_get(plans, cql__ring_find(plans->ring, &token))->ready;
  }
  return (thread_us() - began) / LOOKUPS;
}

static figures measure(uint32_t nodes) {
  figures out = {.nodes = nodes};
  cql__rand rand;
  cql__rand_seed(&rand, 20261124);
  cql__places places = make_places(nodes);
  cql__replication *replication = make_replication();
  uint32_t *ranges = shuffled(nodes * TOKENS_PER_NODE, &rand);
  uint32_t seen = 0;
  if (!places.nodes || !replication || !ranges) fail("no memory");
  for (int i = 0; i < REPETITIONS; i++) {
    size_t before = live_bytes;
    cql__ring *ring = build_ring(nodes, &rand, &out);
    out.ring_bytes = live_bytes - before;
    cql__plans *plans = cql__plans_new(ring, &places, replication);
    out.first_longest_us =
        least(longest_first_use(plans, ranges, ring->count), out.first_longest_us);
    cql__plans_unref(plans);
    before = live_bytes;
    double now = thread_us();
    plans = cql__plans_new(ring, &places, replication);
    out.swap_us = least(thread_us() - now, out.swap_us);
    out.first_use_us = least(use_each(plans, ranges, ring->count), out.first_use_us);
    out.plans_bytes = live_bytes - before;
    out.lookup_us = least(look_up(plans, &rand, &seen), out.lookup_us);
    now = thread_us();
    cql__plans_unref(plans);
    out.free_us = least(thread_us() - now, out.free_us);
    cql__ring_unref(ring);
  }
  if (!seen) fail("a plan isn't there");
  out.rss_kb = rss_max_kb();
  return out;
}

/* ---- tablets ---- */

typedef struct tablet_figures {
  uint32_t tablets;
  double lookup_us;                  /* a token's tablet and its replicas' nodes */
  double learn_us, learn_longest_us; /* one payload, in random order; clock included */
  double renumber_us;                /* the nodes' numbers have changed */
  size_t bytes;
  long rss_kb;
} tablet_figures;

/* Node and id are one number. */
static uint16_t node_of(void *user, const uint8_t host_id[16]) {
  (void)user;
  return cql__get_u16(host_id);
}

/* The tablet of that place among `count` equal ones. */
static cql__tablet tablet_at(uint32_t place, uint32_t count, cql__rand *rand, uint8_t *replicas) {
  uint64_t width = UINT64_MAX / count, first = place * width;
  uint64_t last = place + 1 == count ? UINT64_MAX : first + width;
  uint32_t node = cql__rand_below(rand, TABLET_NODES);
  memset(replicas, 0, 3 * CQL__TABLET_REPLICA_SIZE);
  for (uint32_t i = 0; i < 3; i++) {
    uint8_t *p = replicas + (size_t)i * CQL__TABLET_REPLICA_SIZE;
    cql__put_u16(p + 8, (node + i) % TABLET_NODES);
    cql__put_u32(p + 28, i);
  }
  const uint64_t sign = (uint64_t)1 << 63;
  return (cql__tablet){(int64_t)(first ^ sign), (int64_t)(last ^ sign), 3, replicas};
}

static const cql_slice_t keyspace = {(const uint8_t *)"ks", 2},
                         table_name = {(const uint8_t *)"t", 1};

static void learn_all(cql__tablets *tablets, uint32_t count, cql__rand *rand, tablet_figures *out) {
  uint8_t replicas[3 * CQL__TABLET_REPLICA_SIZE];
  uint32_t *order = shuffled(count, rand);
  for (uint32_t i = 0; i < count; i++) {
    cql__tablet tablet = tablet_at(order[i], count, rand, replicas);
    double before = thread_us();
    if (cql__tablets_learn(tablets, keyspace, table_name, &tablet) < 0) fail("no memory");
    double took = thread_us() - before;
    out->learn_us += took / count;
    if (took > out->learn_longest_us) out->learn_longest_us = took;
  }
  free(order);
}

static tablet_figures measure_tablets(uint32_t count) {
  tablet_figures out = {.tablets = count};
  cql__rand rand;
  cql__rand_seed(&rand, 20261124);
  cql__tablets tablets;
  cql__tablets_init(&tablets, node_of, NULL);
  size_t before = live_bytes;
  if (cql__tablets_keyspace(&tablets, keyspace, 1) < 0) fail("no memory");
  learn_all(&tablets, count, &rand, &out);
  out.bytes = live_bytes - before;
  uint32_t seen = 0;
  for (int i = 0; i < REPETITIONS; i++) {
    double began = thread_us();
    const cql__tablet_table *table = cql__tablets_table(&tablets, keyspace, table_name);
    for (uint32_t k = 0; k < LOOKUPS; k++) {
      const cql__tablet_range *range =
          cql__tablet_table_find(table, (int64_t)cql__rand_next(&rand));
      if (!range) continue;
      const cql__tablet_replica *replicas = cql__tablet_replicas(table, range);
      for (uint32_t r = 0; r < range->count; r++)
        seen += cql__tablets_node(&tablets, replicas[r].host) != CQL__NO_NODE;
    }
    out.lookup_us = least((thread_us() - began) / LOOKUPS, out.lookup_us);
    began = thread_us();
    cql__tablets_renumber(&tablets);
    out.renumber_us = least(thread_us() - began, out.renumber_us);
  }
  if (seen < 2u * LOOKUPS * REPETITIONS) fail("tablets aren't there");
  out.rss_kb = rss_max_kb();
  cql__tablets_deinit(&tablets);
  return out;
}

/* ---- what is said ---- */

static void print_row(const figures *f) {
  printf("%6u %9.1f %9.2f %9.1f %8.1f %7u %9.0f %8.1f %9.0f %9zu %9zu %9ld\n", f->nodes,
         f->lookup_us * 1000, f->first_use_us, f->first_longest_us, f->ring_ms, f->slices,
         f->slice_us, f->swap_us, f->free_us, f->ring_bytes / 1024, f->plans_bytes / 1024,
         f->rss_kb);
}

static void print_json(FILE *file, const figures *f) {
  fprintf(file,
          "{\"client\":\"c\",\"work\":\"route\",\"nodes\":%u,\"tokens\":%u,\"tablets\":0,"
          "\"cpu_us\":%.4f,\"first_use_us\":%.4f,\"first_use_longest_us\":%.1f,\"ring_ms\":%.2f,"
          "\"slices\":%u,\"slice_longest_us\":%.0f,\"swap_us\":%.1f,\"free_us\":%.0f,"
          "\"ring_kb\":%zu,\"plans_kb\":%zu,\"rss_kb\":%ld}\n",
          f->nodes, f->nodes * TOKENS_PER_NODE, f->lookup_us, f->first_use_us, f->first_longest_us,
          f->ring_ms, f->slices, f->slice_us, f->swap_us, f->free_us, f->ring_bytes / 1024,
          f->plans_bytes / 1024, f->rss_kb);
}

static void print_tablets(const tablet_figures *f, FILE *file) {
  printf("%7u %9.1f %9.2f %9.1f %9.1f %9zu %9ld\n", f->tablets, f->lookup_us * 1000, f->learn_us,
         f->learn_longest_us, f->renumber_us, f->bytes / 1024, f->rss_kb);
  if (!file) return;
  fprintf(file,
          "{\"client\":\"c\",\"work\":\"route\",\"nodes\":%d,\"tokens\":0,\"tablets\":%u,"
          "\"cpu_us\":%.4f,\"learn_us\":%.3f,\"learn_longest_us\":%.1f,\"renumber_us\":%.1f,"
          "\"tablets_kb\":%zu,\"rss_kb\":%ld}\n",
          TABLET_NODES, f->tablets, f->lookup_us, f->learn_us, f->learn_longest_us, f->renumber_us,
          f->bytes / 1024, f->rss_kb);
}

static void measure_nodes_into(uint32_t nodes, FILE *file) {
  figures found = measure(nodes);
  print_row(&found);
  if (file) print_json(file, &found);
}

static void measure_tablets_into(uint32_t count, FILE *file) {
  tablet_figures found = measure_tablets(count);
  print_tablets(&found, file);
}

/* Each number of the list in a process of its own, as one's memory would be in the next one's. */
static void for_each(const char *list, const char *json, void (*measure_into)(uint32_t, FILE *)) {
  for (const char *at = list; *at;) {
    char *end;
    unsigned long number = strtoul(at, &end, 10);
    if (number < 1 || number > 1000000 || (*end && *end != ',')) fail("numbers, 1 to 1000000");
    at = *end ? end + 1 : end;
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) fail("no process");
    if (child == 0) {
      FILE *file = json ? fopen(json, "a") : NULL;
      if (json && !file) fail("the file can't be written");
      measure_into((uint32_t)number, file);
      exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) < 0 || status) exit(1);
  }
}

int main(int count, char **words) {
  const char *nodes = "1,3,100,1000", *tablets = "100000", *json = NULL;
  for (int i = 1; i < count; i += 2) {
    if (i + 1 < count && strcmp(words[i], "--nodes") == 0)
      nodes = words[i + 1];
    else if (i + 1 < count && strcmp(words[i], "--tablets") == 0)
      tablets = words[i + 1];
    else if (i + 1 < count && strcmp(words[i], "--json") == 0)
      json = words[i + 1];
    else
      fail("usage: route [--nodes N,N...] [--tablets N,N...] [--json FILE]");
  }
  if (json && unlink(json) < 0 && access(json, F_OK) == 0) fail("the file can't be written");
  cql__mem_hooks(counted_malloc, counted_realloc, counted_free);
  printf("%u tokens a node; NetworkTopologyStrategy, 3 replicas in each of 2 datacenters\n\n",
         TOKENS_PER_NODE);
  printf("%6s %9s %9s %9s %8s %7s %9s %8s %9s %9s %9s %9s\n", "nodes", "look-up", "first use",
         "longest", "sorting", "slices", "longest", "swap", "letting", "ring", "plans", "RSS");
  printf("%6s %9s %9s %9s %8s %7s %9s %8s %9s %9s %9s %9s\n", "", "ns", "us", "us", "ms", "", "us",
         "us", "go, us", "kB", "kB", "kB");
  for_each(nodes, json, measure_nodes_into);
  printf("\ntablets of one table on %d nodes, 3 replicas\n\n", TABLET_NODES);
  printf("%7s %9s %9s %9s %9s %9s %9s\n", "tablets", "look-up", "learn", "longest", "renumber",
         "memory", "RSS");
  printf("%7s %9s %9s %9s %9s %9s %9s\n", "", "ns", "us", "us", "us", "kB", "kB");
  for_each(tablets, json, measure_tablets_into);
  return 0;
}
