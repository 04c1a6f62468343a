/* Write: one INSERT, UPDATE or DELETE while it is executed. */
#ifndef CQL_SIM_WRITE_H
#define CQL_SIM_WRITE_H

#include "sim/run.h"

/* What of a change is known once its values are. */
typedef struct cql__sim_target {
  cql__sim_run *run;
  const cql__sim_plan *plan;
  const cql__sim_statement *query;
  cql__sim_table *table;
  cql__sim_test *tests;
  cql__sim_stamp stamp;
  int acts; /* else it only looks */
} cql__sim_target;

/* ---- write.c ---- */

/* Looks at all that a change means or, with `acts`, does it; `at`: when, whatever it says, if not
 * NULL. */
int cql__sim_write_go_through(cql__sim_change *change, const int64_t *timestamp, int acts,
                              const int64_t *at);

/* ---- write_if.c ---- */

void cql__sim_write_if(cql__sim_change *changes, uint32_t count, cql__sim_result *out);

#endif
