/* Spread: a time that chance decides, as scripts write it: "2ms", "1ms..5ms", "exp 2ms", each with
 * tails as "1ms, 1% 50ms..1s". */
#ifndef CQL_SIM_SPREAD_H
#define CQL_SIM_SPREAD_H

#include <stddef.h>

#include "base/rand.h"

enum { CQL__SIM_SPREAD_PARTS = 4 };

typedef struct cql__sim_spread {
  uint32_t count; /* 0: always nothing */
  struct {
    uint32_t
        millionths;  /* how often, of what is left by the parts behind it; the first: the rest */
    int exponential; /* of mean `from` */
    int64_t from, to;
  } parts[CQL__SIM_SPREAD_PARTS];
} cql__sim_spread;

/* 0, CQL_EOPTION. */
int cql__sim_spread_parse(const char *text, cql__sim_spread *out);
/* Microseconds. */
int64_t cql__sim_spread_draw(const cql__sim_spread *spread, cql__rand *rand);
/* "1.5ms", "2s", "100us", "0". The characters used, or 0: it is none. */
size_t cql__sim_time_parse(const char *text, int64_t *us);
/* 0.0 <= x < 1.0 in steps of a millionth: has it come true? */
int cql__sim_chance(uint32_t millionths, cql__rand *rand);

#endif
