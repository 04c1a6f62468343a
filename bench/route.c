/* What routing costs: the ring, and the plans of a replication with three replicas in each of two
 * datacenters, for clusters of 1 to 1,000 nodes with 256 tokens each. No server, no request.
 *
 *   route [--nodes N,N...] [--json FILE]
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
#include "measure.h"

enum { TOKENS_PER_NODE = 256, LOOKUPS = 1 << 20, REPETITIONS = 7 };

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

/* All ranges in a random order. */
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

static void measure_alone(uint32_t nodes, const char *json) {
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) fail("no process");
  if (child == 0) {
    figures found = measure(nodes);
    print_row(&found);
    FILE *file = json ? fopen(json, "a") : NULL;
    if (json && !file) fail("the file can't be written");
    if (file) print_json(file, &found);
    exit(0);
  }
  int status;
  if (waitpid(child, &status, 0) < 0 || status) exit(1);
}

int main(int count, char **words) {
  const char *nodes = "1,3,100,1000", *json = NULL;
  for (int i = 1; i < count; i += 2) {
    if (i + 1 < count && strcmp(words[i], "--nodes") == 0)
      nodes = words[i + 1];
    else if (i + 1 < count && strcmp(words[i], "--json") == 0)
      json = words[i + 1];
    else
      fail("usage: route [--nodes N,N...] [--json FILE]");
  }
  if (json && unlink(json) < 0 && access(json, F_OK) == 0) fail("the file can't be written");
  cql__mem_hooks(counted_malloc, counted_realloc, counted_free);
  printf("%u tokens a node; NetworkTopologyStrategy, 3 replicas in each of 2 datacenters\n\n",
         TOKENS_PER_NODE);
  printf("%6s %9s %9s %9s %8s %7s %9s %8s %9s %9s %9s %9s\n", "nodes", "look-up", "first use",
         "longest", "sorting", "slices", "longest", "swap", "letting", "ring", "plans", "RSS");
  printf("%6s %9s %9s %9s %8s %7s %9s %8s %9s %9s %9s %9s\n", "", "ns", "us", "us", "ms", "", "us",
         "us", "go, us", "kB", "kB", "kB");
  for (const char *at = nodes; *at;) {
    char *end;
    unsigned long number = strtoul(at, &end, 10);
    if (number < 1 || number > 10000 || (*end && *end != ',')) fail("--nodes: 1 to 10000");
    measure_alone((uint32_t)number, json);
    at = *end ? end + 1 : end;
  }
  return 0;
}
