/* Trial: a world in a process of its own, so that a crash, an assertion or a hang is a finding as
 * any other; and making what was found smaller. */
#ifndef HUNT_TRIAL_H
#define HUNT_TRIAL_H

#include "script.h"

/* Processor seconds that a world may take. */
enum { WORLD_SECONDS = 120 };

/* Gives this process and its children the report. -1: there is no memory. */
int trial_begin(void);
/* The world that begins now ends by a signal if it takes longer. */
void trial_alarm(void);
/* Runs `work` in a child: 0, or 1 and the finding in the report. `quiet`: it says nothing. */
int trial_run(void (*work)(const void *), const void *argument, int quiet);
/* One world so. */
int trial_world(const script *s, int tell, int quiet);
/* Takes away what the same violation doesn't need, for at most so many seconds. */
void trial_shrink(script *s, int64_t seconds);
/* Of the world's clock outside. */
int64_t trial_seconds(void);

#endif
