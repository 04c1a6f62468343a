/* measure.h - what the raw client and the library's C client have in common: options, the window
 * that is measured, and the line of JSON that says what it cost.
 *
 * The window is a time (after --warmup seconds of CPU, for --measure seconds), or a count: all of
 * --requests N but the first --skip M. Counts are for tools that make everything slow (callgrind,
 * strace) and for counting allocations once buffers have grown to their size.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef enum { WORK_SELECT, WORK_INSERT, WORK_PAGE } work_t;

static const char *const work_names[] = {"select", "insert", "page"};
static const char *const work_statements[] = {
    "SELECT k, v FROM ks.t WHERE k = ?",
    "INSERT INTO ks.t (k, v) VALUES (?, ?)",
    "SELECT t, b FROM ks.rows",
};

typedef struct options_s {
  work_t work;
  int port;
  int protocol;
  int in_flight;
  int connections;
  int nodes;      /* that the server says there are; 0: it isn't asked */
  int keys;       /* that are asked for in turn; 0: each once */
  int value_size; /* bytes that an insert writes */
  double warmup_s;
  double measure_s;
  uint64_t requests; /* 0: by time */
  uint64_t skip;
  bool hooks; /* count allocations by the library's own hooks */
} options_t;

/* What one moment of a run looks like. */
typedef struct moment_s {
  double wall_s;
  double cpu_s; /* user and system, all threads */
  uint64_t requests;
  uint64_t values; /* cells read */
  uint64_t allocations;
  uint64_t allocated_bytes;
  uint64_t heap_bytes;
} moment_t;

typedef struct meter_s {
  const options_t *options;
  void (*count_allocations)(uint64_t out[3]); /* NULL: nobody counts */
  double began_s;
  bool open; /* the window */
  moment_t first;
  moment_t last;
} meter_t;

static inline double seconds_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static inline double seconds_of(struct timeval time) {
  return (double)time.tv_sec + 1e-6 * (double)time.tv_usec;
}

/* What this process has used, in user and system mode. */
static inline double cpu_now(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

static inline int work_of(const char *name) {
  for (int work = WORK_SELECT; work <= WORK_PAGE; work++) {
    if (!strcmp(work_names[work], name)) return work;
  }
  fprintf(stderr, "--work: select, insert or page, not '%s'\n", name);
  exit(2);
}

static inline options_t options_read(int count, char **words) {
  options_t options = {
      .port = 9142,
      .protocol = 4,
      .in_flight = 32,
      .connections = 1,
      .value_size = 100,
      .warmup_s = 0.5,
      .measure_s = 2,
  };
  for (int i = 1; i < count; i += 2) {
    const char *name = words[i], *value = i + 1 < count ? words[i + 1] : "";
    if (!strcmp(name, "--work"))
      options.work = (work_t)work_of(value);
    else if (!strcmp(name, "--port"))
      options.port = atoi(value);
    else if (!strcmp(name, "--protocol"))
      options.protocol = atoi(value);
    else if (!strcmp(name, "--conc"))
      options.in_flight = atoi(value);
    else if (!strcmp(name, "--conns"))
      options.connections = atoi(value);
    else if (!strcmp(name, "--nodes"))
      options.nodes = atoi(value);
    else if (!strcmp(name, "--keys"))
      options.keys = atoi(value);
    else if (!strcmp(name, "--value-size"))
      options.value_size = atoi(value);
    else if (!strcmp(name, "--warmup"))
      options.warmup_s = atof(value);
    else if (!strcmp(name, "--measure"))
      options.measure_s = atof(value);
    else if (!strcmp(name, "--requests"))
      options.requests = strtoull(value, NULL, 10);
    else if (!strcmp(name, "--skip"))
      options.skip = strtoull(value, NULL, 10);
    else if (!strcmp(name, "--hooks"))
      options.hooks = atoi(value) != 0;
    else {
      fprintf(stderr,
              "%s: unknown option %s\n"
              "options: --work select|insert|page --port N --protocol 4|5 --conc N --conns N\n"
              "         --value-size BYTES --warmup S --measure S --requests N --skip M\n"
              "         --hooks 0|1\n"
              "bench_c: --nodes N (as cannedcql --nodes N) --keys N\n",
              words[0], name);
      exit(2);
    }
  }
  if (options.in_flight < 1) options.in_flight = 1;
  if (options.connections < 1) options.connections = 1;
  return options;
}

/* How many requests may be sent. */
static inline uint64_t requests_max(const options_t *options) {
  return options->requests ? options->requests : UINT64_MAX;
}

static inline void meter_init(meter_t *meter, const options_t *options) {
  *meter = (meter_t){.options = options, .began_s = cpu_now()};
  void *symbol = dlsym(RTLD_DEFAULT, "malloccount_get");
  memcpy(&meter->count_allocations, &symbol, sizeof symbol);
}

/* Fills in what the process knows of itself; the rest of `moment` comes from the client. */
static inline void meter_mark(const meter_t *meter, moment_t *moment) {
  moment->cpu_s = cpu_now();
  moment->wall_s = seconds_now();
  if (meter->count_allocations) {
    uint64_t counted[3] = {0};
    meter->count_allocations(counted);
    moment->allocations = counted[0];
    moment->allocated_bytes = counted[1];
    moment->heap_bytes = counted[2];
  }
}

/* Once per turn of the client's loop, with its own counters in `now`. True: the run is over. */
static inline bool meter_turn(meter_t *meter, moment_t now) {
  const options_t *options = meter->options;
  if (options->requests) {
    bool over = now.requests >= options->requests;
    if (meter->open ? !over : now.requests < options->skip) return false;
  } else if (meter->open) {
    if (seconds_now() - meter->first.wall_s < options->measure_s) return false;
  } else if (cpu_now() - meter->began_s < options->warmup_s) {
    return false;
  }
  meter_mark(meter, &now);
  if (meter->open) {
    meter->last = now;
    return true;
  }
  meter->first = now;
  meter->open = true;
  return false;
}

/* Peak resident memory. Not ru_maxrss: that one begins with what the parent had at the fork. */
static inline long rss_max_kb(void) {
  char line[256];
  long kb = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status)) {
    if (!strncmp(line, "VmHWM:", 6)) kb = atol(line + 6);
  }
  if (status) fclose(status);
  return kb;
}

/* wrong: answers that were errors, or not those of their own request. sum: of all that was read, so
 * that nothing can be left unread; equal for all clients after equal --requests. */
static inline void meter_print(const meter_t *meter, const char *client, uint64_t wrong,
                               uint64_t sum) {
  const options_t *options = meter->options;
  const moment_t *first = &meter->first, *last = &meter->last;
  printf("{\"client\":\"%s\",\"work\":\"%s\",\"protocol\":%d,\"in_flight\":%d,\"connections\":%d,"
         "\"requests\":%llu,\"values\":%llu,\"wall_s\":%.6f,\"cpu_s\":%.6f,\"rss_kb\":%ld,"
         "\"wrong\":%llu,\"sum\":%llu",
         client, work_names[options->work], options->protocol, options->in_flight,
         options->connections, (unsigned long long)(last->requests - first->requests),
         (unsigned long long)(last->values - first->values), last->wall_s - first->wall_s,
         last->cpu_s - first->cpu_s, rss_max_kb(), (unsigned long long)wrong,
         (unsigned long long)(sum & 0xFFFFFFFF));
  if (meter->count_allocations) {
    printf(",\"allocations\":%llu,\"allocated_bytes\":%llu,\"heap_bytes\":%llu",
           (unsigned long long)(last->allocations - first->allocations),
           (unsigned long long)(last->allocated_bytes - first->allocated_bytes),
           (unsigned long long)last->heap_bytes);
  }
  printf("}\n");
}

#endif
