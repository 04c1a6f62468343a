/* hunt: random clusters, workloads and faults, seed after seed, for so many seconds. The same seed
 * is the same world, byte for byte. See usage() for what it takes.
 *
 * The host here sleeps whenever the contract of cql.h lets it, so a lost wake-up shows. A violation
 * is printed with its seed, then made smaller as long as it stays one; docs/sim.md says what is
 * held against a world. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "trial.h"
#include "world.h"

#ifdef CQL_TEST
#include "base/plant.h"
#endif

typedef struct wishes {
  int64_t seconds, shrink, trace;
  uint64_t seed, from;
  const char *steps;
  int64_t changed[DIMENSIONS]; /* -1: as the seed has it */
} wishes;

static void draw(const wishes *wanted, uint64_t seed, script *s) {
  script_draw(s, seed);
  if (wanted->steps) script_keep(s, wanted->steps);
  for (int i = 0; i < DIMENSIONS; i++)
    if (wanted->changed[i] >= 0) s->dimension[i] = wanted->changed[i];
}

/* ---- telling ---- */

static void tell_mask(const char *what, int64_t mask, const char *(*name)(int)) {
  printf(" %s:", what);
  for (int i = 0; i < 63; i++)
    if (mask & BIT(i) && *name(i)) printf(" %s", name(i));
  printf(";");
}

static void tell_script(const script *s) {
  printf("script:");
  for (int i = 0; i < DIMENSIONS; i++)
    if (i != DIMENSION_kinds && i != DIMENSION_fates && i != DIMENSION_faults)
      printf(" %s %" PRId64, script_dimension(i), s->dimension[i]);
  printf(";");
  tell_mask("requests", OF(s, kinds), script_kind_name);
  tell_mask("fates", OF(s, fates), script_fate_name);
  printf("\n%s", the_report->log);
}

static void tell_replay(const script *s) {
  script drawn;
  script_draw(&drawn, s->seed);
#ifdef CQL_TEST
  printf("replay: ./dev hunt --preset dev --seed %" PRIu64, s->seed);
#else
  printf("replay: ./dev hunt --seed %" PRIu64, s->seed);
#endif
  for (int i = 0; i < DIMENSIONS; i++)
    if (s->dimension[i] != drawn.dimension[i])
      printf(" --%s %" PRId64, script_dimension(i), s->dimension[i]);
  if (s->kept_count >= 0) printf(" --steps ");
  if (s->kept_count == 0) printf("none");
  for (int32_t i = 0; i < s->kept_count; i++) printf(i ? ",%u" : "%u", s->kept[i]);
#ifdef CQL_TEST
  if (cql__plant) printf(" --plant %d", cql__plant);
#endif
  printf("\n");
}

static void tell_violation(const wishes *wanted) {
  static script found, small;
  draw(wanted, the_report->seed, &found);
  printf("violation: seed %" PRIu64 ": %s\n", found.seed, the_report->why);
  tell_replay(&found);
  if (wanted->shrink == 0) return;
  fflush(stdout);
  small = found;
  trial_shrink(&small, wanted->shrink);
  trial_world(&small, 1, 0);
  printf("smallest: %s; ", the_report->why);
  tell_script(&small);
  printf("%s", the_report->tail);
  tell_replay(&small);
}

/* What came up, and how often. */
static void tell_counts(const report *all) {
  printf("ends:");
  for (int i = 0; i < ENDS_MAX; i++)
    if (all->ends[i]) printf(" %s %" PRIu64, i ? cql_error_name(-i) : "OK", all->ends[i]);
  printf("\nsteps:");
  for (int i = 0; i < STEPS; i++)
    if (all->steps_played[i]) printf(" %s %" PRIu64, script_step_name(i), all->steps_played[i]);
  printf("\n");
}

/* ---- hunting ---- */

static void hunt(const void *argument) {
  static script s;
  const wishes *wanted = argument;
  int64_t end = trial_seconds() + wanted->seconds;
  for (uint64_t seed = wanted->seed ? wanted->seed : wanted->from;; seed++) {
    draw(wanted, seed, &s);
    the_report->seed = seed;
    trial_alarm();
    the_report->found = world_run(&s, (int)wanted->trace);
    if (the_report->found || wanted->seed || trial_seconds() >= end) return;
  }
}

/* ---- the command line ---- */

static int usage(void) {
  fputs("hunt [--seconds N] [--seed S] [--from S] [--trace 1] [--shrink SECONDS] [--steps N,N,..]\n"
        "     [--plant N] [--DIMENSION N ...], of",
        stderr);
  for (int i = 0; i < DIMENSIONS; i++) fprintf(stderr, " %s", script_dimension(i));
  fputs("\n", stderr);
  return 2;
}

static int parse_one(wishes *wanted, const char *name, const char *text) {
  char *end;
  static script scratch;
  int64_t value = strtoll(text, &end, 10);
  if (strcmp(name, "steps") == 0) {
    wanted->steps = text;
    return script_keep(&scratch, text);
  }
  if (*end) return -1;
  for (int i = 0; i < DIMENSIONS; i++)
    if (strcmp(name, script_dimension(i)) == 0) {
      wanted->changed[i] = value;
      return 0;
    }
  if (strcmp(name, "seconds") == 0) return wanted->seconds = value, 0;
  if (strcmp(name, "shrink") == 0) return wanted->shrink = value, 0;
  if (strcmp(name, "seed") == 0) return wanted->seed = (uint64_t)value, 0;
  if (strcmp(name, "from") == 0) return wanted->from = (uint64_t)value, 0;
  if (strcmp(name, "trace") == 0) return wanted->trace = value ? 2 : 0, 0;
#ifdef CQL_TEST
  if (strcmp(name, "plant") == 0) return cql__plant = (int)value, 0;
#endif
  return -1;
}

static int parse(int argc, char **argv, wishes *wanted) {
  for (int i = 0; i < DIMENSIONS; i++) wanted->changed[i] = -1;
  for (int i = 1; i < argc; i += 2)
    if (i + 1 == argc || strncmp(argv[i], "--", 2) != 0 ||
        parse_one(wanted, argv[i] + 2, argv[i + 1]))
      return -1;
  return 0;
}

int main(int argc, char **argv) {
  static wishes wanted = {.seconds = 60, .from = 1, .shrink = 20};
  if (trial_begin()) return 2;
  if (parse(argc, argv, &wanted)) return usage();
  int found = trial_run(hunt, &wanted, 0);
  if (wanted.trace) return found;
  static report all;
  all = *the_report;
  if (found) tell_violation(&wanted);
  tell_counts(&all);
  printf("hunt: %" PRIu64 " requests in %" PRIu64 " worlds, %s\n", all.requests, all.worlds,
         found ? "a violation" : "no violation");
  return found;
}
