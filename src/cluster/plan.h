/* Plan: where a request for a token goes, nearest first. */
#ifndef CQL_CLUSTER_PLAN_H
#define CQL_CLUSTER_PLAN_H

#include "cluster/placement.h"

enum { CQL__NO_NODE = UINT16_MAX };

/* The replicas of a range that aren't ignored, by their numbers: those of the own rack, then those
 * of the own datacenter, then remote ones; among equals in ring order. Those at one distance begin
 * where those at the one before end. */
typedef struct cql__plan {
  uint16_t ready;
  uint16_t primary; /* the first in ring order, ignored or not; CQL__NO_NODE: none */
  uint16_t ends[CQL__DISTANCES];
  uint16_t nodes[]; /* cql__plan_count() of them */
} cql__plan;

static inline uint16_t cql__plan_count(const cql__plan *plan) {
  return plan->ends[CQL_DISTANCE_REMOTE];
}

/* All plans of one replication, each made when it is first asked for. Counted: a plan lives as
 * long as these. When nodes, distances, tokens or the replication change, others take over. */
typedef struct cql__plans {
  uint32_t refs;
  uint32_t range_count; /* 0: there are none; 1: one for all ranges */
  uint32_t page_bits;   /* a page holds 1 << page_bits plans, each of `plan_size` bytes */
  uint32_t plan_size;
  uint8_t **pages; /* NULL: none of its plans was asked for */
  uint32_t page_count;
  cql__ring *ring;
  cql__placement placement;
  uint8_t *distances; /* by node */
  uint16_t *replicas; /* of the range at hand, in ring order */
} cql__plans;

/* Takes what it needs of `places`, and a reference to the ring. Where replicas can't be known it
 * has no plans. NULL: no memory. */
cql__plans *cql__plans_new(cql__ring *ring, const cql__places *places,
                           const cql__replication *replication);
static inline cql__plans *cql__plans_ref(cql__plans *plans) {
  plans->refs++;
  return plans;
}
void cql__plans_unref(cql__plans *plans);
/* NULL: there is none, or no memory for it; the request goes to any node. */
const cql__plan *cql__plans_get(cql__plans *plans, uint32_t range);

#endif
