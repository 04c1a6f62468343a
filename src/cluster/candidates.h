/* Candidates: whom the control connection may ask, in rounds: the nodes from a random one on, then
 * the addresses of contact points likewise. */
#ifndef CQL_CLUSTER_CANDIDATES_H
#define CQL_CLUSTER_CANDIDATES_H

#include "cluster/cluster.h"

typedef struct cql__contact {
  cql__address address;
  uint32_t giver; /* which contact point stands for it, itself or as a name */
  int last_error; /* 0: not tried yet, or it was well */
} cql__contact;

/* Zero it to begin with. */
typedef struct cql__candidates {
  cql__cluster *cluster;
  cql__contact *contacts; /* an address comes once for each giver */
  uint32_t contact_count;
  uint32_t position, offset; /* in this round */
  uint8_t asked, anyone;     /* somebody in this round; also those who are ignored */
} cql__candidates;

/* A node, or a contact point's address. */
typedef struct cql__candidate {
  cql_node_t *node; /* borrowed; NULL: a contact point */
  cql__address point;
} cql__candidate;

void cql__candidates_deinit(cql__candidates *candidates);
/* Adds an address of a contact point. 1: it is new; 0: it was there; CQL_ENOMEM. */
int cql__candidates_add(cql__candidates *candidates, const cql__address *address, uint32_t giver);
/* These are all that the giver stands for: what it gave before is asked no more. */
void cql__candidates_keep(cql__candidates *candidates, uint32_t giver,
                          const cql__address *addresses, uint32_t count);
void cql__candidates_begin_round(cql__candidates *candidates);
/* Nodes that are ignored come only where there are no others. 0: no more in this round. */
int cql__candidates_next(cql__candidates *candidates, cql__candidate *out);
int cql__candidate_is_wanted(const cql_node_t *node);
/* How it went with this contact point, an error or 0. */
void cql__candidates_note(cql__candidates *candidates, const cql__address *point, int error);
/* Every contact point failed when it was last tried, for a reason that waiting won't mend if
 * `for_good`: the first one's error; else 0. */
int cql__candidates_failed(const cql__candidates *candidates, int for_good);

#endif
