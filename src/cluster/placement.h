/* Placement: the rules of a replication, applied to the nodes that there are. */
#ifndef CQL_CLUSTER_PLACEMENT_H
#define CQL_CLUSTER_PLACEMENT_H

#include "cluster/replication.h"

enum { CQL__DISTANCES = 3 }; /* those at which a node has connections */

/* Where a node stands. Racks of different datacenters are different ones, whatever their ids. */
typedef struct cql__place {
  uint32_t datacenter, rack;
  uint8_t distance; /* CQL_DISTANCE_* */
} cql__place;

/* Borrowed by those who take it. */
typedef struct cql__places {
  const cql__place *nodes; /* by the index that they have in the ring */
  uint32_t count;
  uint32_t datacenter_count;
  const cql_slice_t *datacenters; /* their names, by id */
} cql__places;

/* What one datacenter is to have; Simple and Everywhere make no difference between them. */
typedef struct cql__quota {
  uint32_t replicas;
  uint32_t full;    /* of them: those that keep all data */
  uint32_t repeats; /* of them: how many may stand in a rack that has one already */
  /* what is left of these in the walk of this number */
  uint32_t walk, replicas_left, full_left, repeats_left;
} cql__quota;

typedef struct cql__site {
  uint32_t quota;     /* its index; UINT32_MAX: the node gets no replica */
  uint32_t rack;      /* the first node that stands in the same one */
  uint32_t walk;      /* the last one that took this node */
  uint32_t rack_walk; /* of the first node of a rack: the last one that took any of it */
} cql__site;

typedef struct cql__placement {
  uint32_t full; /* so many replicas has each range */
  uint32_t node_count;
  uint32_t walk;    /* its number: one for each range at most, so it never comes round */
  cql__site *sites; /* by node */
  cql__quota *quotas;
} cql__placement;

/* The largest number of nodes that plans can tell from each other. */
enum { CQL__PLACES_MAX = UINT16_MAX };

/* 0; CQL_ENOMEM; CQL_EUNSUPPORTED: which nodes have a row, nobody can say: the strategy is Local or
 * unknown, or there are too many nodes. Takes what it needs of `places`. */
int cql__placement_init(cql__placement *placement, const cql__ring *ring, const cql__places *places,
                        const cql__replication *replication);
void cql__placement_deinit(cql__placement *placement);
/* The replicas of a range, in ring order, as servers find them: a datacenter takes the next node of
 * each rack, and of racks that it has already only as many as there are replicas too many for its
 * racks. Replicas that don't keep all data are left out, since no request can be served from one
 * alone. How many: at most placement->full. */
uint32_t cql__placement_walk(cql__placement *placement, const cql__ring *ring, uint32_t range,
                             uint16_t *nodes);

#endif
