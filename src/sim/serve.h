/* Serve: the nodes of a world on real sockets of this machine, by its clock. Service times, rules
 * and everything that a node does are as ever; what the network would do is left to the system's.
 */
#ifndef CQL_SIM_SERVE_H
#define CQL_SIM_SERVE_H

#include "cql_sim.h"

typedef struct cql__sim_serving cql__sim_serving;

/* NULL is nothing. */
void cql__sim_serving_free(cql__sim_serving *serving);

#endif
