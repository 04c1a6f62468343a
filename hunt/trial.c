#include "trial.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "report.h"
#include "world.h"

int64_t trial_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec;
}

int trial_begin(void) {
  the_report =
      mmap(NULL, sizeof *the_report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return the_report == MAP_FAILED ? -1 : 0;
}

/* ---- one in a process ---- */

static void silence(void) {
  int nothing = open("/dev/null", O_WRONLY);
  if (nothing < 0) return;
  dup2(nothing, 1);
  dup2(nothing, 2);
  close(nothing);
}

static int ended_badly(int status) {
  static const char died[] = "it ends by signal %d (%s)", exited[] = "it ends with status %d";
  the_report->found = 1;
  if (WIFSIGNALED(status)) {
    int number = WTERMSIG(status);
    the_report->check = died + number % (int)sizeof died; /* each signal is one of its own */
    snprintf(the_report->why, sizeof the_report->why, died, number,
             number == SIGVTALRM ? "it never ends" : strsignal(number));
  } else {
    the_report->check = exited;
    snprintf(the_report->why, sizeof the_report->why, exited, WEXITSTATUS(status));
  }
  return 1;
}

int trial_run(void (*work)(const void *), const void *argument, int quiet) {
  int status;
  the_report->found = the_report->done = 0;
  fflush(NULL);
  pid_t child = fork();
  if (child < 0) {
    perror("fork");
    exit(2);
  }
  if (child == 0) {
    if (quiet) silence();
    work(argument);
    the_report->done = 1;
    fflush(NULL);
    _exit(0);
  }
  while (waitpid(child, &status, 0) < 0) {
  }
  return the_report->done ? the_report->found : ended_badly(status);
}

void trial_alarm(void) {
  static const struct itimerval time = {{0, 0}, {WORLD_SECONDS, 0}};
  setitimer(ITIMER_VIRTUAL, &time, NULL);
}

typedef struct one {
  const script *script;
  int tell;
} one;

static void run_one(const void *argument) {
  const one *o = argument;
  the_report->seed = o->script->seed;
  trial_alarm();
  the_report->found = world_run(o->script, o->tell);
}

int trial_world(const script *s, int tell, int quiet) {
  one o = {s, tell};
  return trial_run(run_one, &o, quiet);
}

/* ---- making it smaller ---- */

typedef struct shrinking {
  script best;
  const char *check;
  int64_t end;
} shrinking;

/* Is it the same violation still? Then that is the best so far. */
static int accept(shrinking *s, const script *candidate) {
  if (trial_seconds() >= s->end) return 0;
  if (!trial_world(candidate, 0, 1) || the_report->check != s->check) return 0;
  s->best = *candidate;
  return 1;
}

/* To its smallest, else half way there as often as it goes. */
static int shrink_dimension(shrinking *s, int dimension) {
  int64_t smallest = script_smallest(dimension), shrunk = 0;
  for (int first = 1;; first = 0) {
    script candidate = s->best;
    int64_t *value = &candidate.dimension[dimension];
    if (*value == smallest) return (int)shrunk;
    *value = first ? smallest : smallest + (*value - smallest) / 2;
    if (accept(s, &candidate))
      shrunk = 1;
    else if (!first)
      return (int)shrunk;
  }
}

static int shrink_mask(shrinking *s, int dimension) {
  int shrunk = 0;
  for (int bit = 0; bit < 32; bit++) {
    script candidate = s->best;
    candidate.dimension[dimension] &= ~BIT(bit);
    candidate.dimension[dimension] |= script_smallest(dimension);
    if (candidate.dimension[dimension] != s->best.dimension[dimension])
      shrunk |= accept(s, &candidate);
  }
  return shrunk;
}

/* Without `count` of its steps from `first` on. */
static int drop_steps(shrinking *s, int32_t first, int32_t count) {
  script candidate = s->best;
  int32_t left = candidate.kept_count - first - count;
  if (left < 0) {
    count += left;
    left = 0;
  }
  memmove(candidate.kept + first, candidate.kept + first + count,
          (size_t)left * sizeof *candidate.kept);
  candidate.kept_count = first + left;
  return accept(s, &candidate);
}

/* All, halves, quarters ... single ones. */
static int shrink_steps(shrinking *s) {
  int shrunk = 0;
  for (int32_t size = s->best.kept_count; size > 0; size /= 2)
    for (int32_t at = 0; at < s->best.kept_count;) {
      if (drop_steps(s, at, size))
        shrunk = 1;
      else
        at += size;
    }
  return shrunk;
}

/* Many violations need no crowd, and without one the rest goes quickly. */
static void thin_out(shrinking *s) {
  enum { FEW = 8, SHORT = 660 };
  script candidate = s->best;
  if (OF(&candidate, depth) > FEW) OF(&candidate, depth) = FEW;
  if (OF(&candidate, requests) > SHORT) OF(&candidate, requests) = SHORT;
  accept(s, &candidate);
}

static void keep_played(script *s, int64_t steps) {
  int32_t count = 0;
  if (s->kept_count >= 0) return;
  for (int64_t i = 0; i < steps && i <= UINT16_MAX && count < KEPT_MAX; i++)
    if (script_step(s, i).kind >= 0) s->kept[count++] = (uint16_t)i;
  s->kept_count = count;
}

void trial_shrink(script *found, int64_t seconds) {
  static shrinking s;
  s = (shrinking){*found, the_report->check, trial_seconds() + seconds};
  int64_t steps = the_report->steps;
  script candidate = s.best;
  keep_played(&candidate, steps);
  accept(&s, &candidate);
  thin_out(&s);
  for (int again = 1; again && trial_seconds() < s.end;) {
    again = shrink_dimension(&s, DIMENSION_requests);
    if (s.best.kept_count > 0) again |= shrink_steps(&s);
    for (int i = 0; i < DIMENSIONS; i++) {
      int is_mask = i == DIMENSION_kinds || i == DIMENSION_fates || i == DIMENSION_faults;
      if (shrink_dimension(&s, i)) again = 1;
      if (is_mask && shrink_mask(&s, i)) again = 1;
    }
  }
  *found = s.best;
}
