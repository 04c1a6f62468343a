/* Plants: bugs put in on purpose, in the test build alone, to show that the hunt finds their kind.
 */
#ifndef CQL_BASE_PLANT_H
#define CQL_BASE_PLANT_H

enum {
  CQL__PLANT_REUSE = 1,     /* an orphan's stream is given out at once */
  CQL__PLANT_DOUBLE = 2,    /* a completion comes twice */
  CQL__PLANT_SLEEP = 3,     /* what was submitted wakes nobody */
  CQL__PLANT_NEIGHBOUR = 4, /* two answers change places */
  CQL__PLANT_LEAK = 5,      /* a timeout keeps its slot */
  CQL__PLANT_CRASH = 6,     /* a timeout ends the process */
  CQL__PLANT_PLAN = 7,      /* plans outlive a change of distance */
  CQL__PLANT_TABLET = 8,    /* a tablet that moves stays known where it was */
  CQL__PLANT_SHARDS = 9,    /* a node that comes back with other shards is taken for what it was */
  CQL__PLANT_COLUMNS = 10,  /* a statement keeps its columns whatever its table has now */
  CQL__PLANT_ROUTE = 11     /* a node that has no route is sought at its own address */
};

#ifdef CQL_TEST
extern int cql__plant; /* 0: none */
#define CQL__PLANTED(which) (cql__plant == (which))
#else
#define CQL__PLANTED(which) 0
#endif

#endif
