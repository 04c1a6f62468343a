/* Report: what one process has to say to the one that started it: in memory that both have. */
#ifndef HUNT_REPORT_H
#define HUNT_REPORT_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

enum { TAIL_MAX = 12000, LOG_MAX = 8000, ENDS_MAX = 32 };

typedef struct report {
  uint64_t seed; /* of the world that runs, or ran */
  uint64_t requests, worlds;
  uint64_t ends[ENDS_MAX];   /* by the negated status */
  uint64_t steps_played[32]; /* by kind */
  int found;                 /* a violation */
  int done;                  /* its process has nothing more to say */
  const char *check;         /* which: its format */
  int64_t steps;             /* that were played */
  char why[400];
  char log[LOG_MAX]; /* the steps */
  char tail[TAIL_MAX + 1];
} report;

extern report *the_report;
extern jmp_buf violation;

__attribute__((format(printf, 1, 2), noreturn)) void fail(const char *format, ...);
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);

#define CHECK(condition, ...)                                                                      \
  do {                                                                                             \
    if (!(condition)) fail(__VA_ARGS__);                                                           \
  } while (0)

#endif
