/* Journal: who was asked what, and the trace: what happened, for people, a line each. */
#ifndef CQL_SIM_JOURNAL_H
#define CQL_SIM_JOURNAL_H

#include "cql_sim.h"
#include "sim/buffer.h"

enum { CQL__SIM_JOURNAL_MAX = 100000 };

typedef struct cql__sim_journal {
  cql_sim_asked_t *asked; /* a ring of CQL__SIM_JOURNAL_MAX once it is full */
  size_t capacity;
  int64_t count; /* in all */
  int level;     /* of the trace */
  cql__sim_buffer trace;
} cql__sim_journal;

/* Texts are copied. Its number. */
int64_t cql__sim_journal_add(cql__sim_journal *journal, const cql_sim_asked_t *asked);
/* The entry, for what becomes known later; NULL: not there, or no longer. */
cql_sim_asked_t *cql__sim_journal_at(cql__sim_journal *journal, int64_t index);
void cql__sim_journal_free(cql__sim_journal *journal);

/* A line with the time before it, if there is a trace. */
__attribute__((format(printf, 2, 3))) void cql__sim_trace_line(cql_sim_t *sim, const char *format,
                                                               ...);
/* A message that `from` sends, in words if the trace is whole. */
void cql__sim_trace_message(cql_sim_t *sim, const char *node, int connection, int to_client,
                            const uint8_t *header, const uint8_t *body, size_t size);

#endif
