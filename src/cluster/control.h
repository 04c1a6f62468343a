/* Control: one connection of its own, over which the session learns who is in the cluster (see
 * reading.h) and what happens there. It is never given up: when it ends the other candidates are
 * asked, round after round. From anywhere it may leave for another node. */
#ifndef CQL_CLUSTER_CONTROL_H
#define CQL_CLUSTER_CONTROL_H

#include "cluster/candidates.h"
#include "cluster/reading.h"

typedef struct cql__control cql__control;

/* What the session is told. */
typedef struct cql__control_events {
  /* CQL_EVENT_CONTROL_*, CQL_EVENT_TOPOLOGY or CQL_EVENT_WARNING. */
  void (*told)(void *user, int type, const cql__address *address, int error, const char *why);
  /* All nodes and contact points have been tried and none will do; a next round follows. */
  void (*exhausted)(void *user);
  /* The node at this address can't say who is in the cluster; others are asked next. */
  void (*blind)(void *user, const cql__address *address, const char *why);
  /* A node is new, or not what it was. */
  void (*appeared)(void *user, cql_node_t *node);
  void (*database)(void *user, const cql__event *event);
  /* Nobody may answer for it any more. */
  void (*closed)(void *user, const cql__connection *connection);
} cql__control_events;

struct cql__control {
  /* set once */
  cql__cluster *cluster;
  const cql__control_events *events;
  uint32_t debounce_ms;
  /* changes */
  cql__connection connection;
  cql__connection_events connection_events;
  cql__reading reading;
  cql__reading_events reading_events;
  cql__candidates candidates;
  cql_node_t *node;   /* whose it is, referenced; NULL: of a contact point, and nobody told yet */
  cql__address point; /* the contact point; zero: it came through the node */
  cql__timer retry, leaving, debounce;
  uint32_t rounds;         /* in a row that found none */
  const char *why_leaving; /* static */
  uint8_t asking;          /* where its node is reached isn't known yet */
  uint8_t same;            /* the same candidate once more, with an older version */
  uint8_t is_told;         /* CONTROL_OPENED has been */
  uint8_t started, closing;
  char why[200]; /* the last failure of a contact point */
};

/* `authenticate` is asked for tokens; its owner is the control. */
void cql__control_init(cql__control *control, cql__cluster *cluster,
                       const cql__control_events *events,
                       int (*authenticate)(void *owner, cql__connection *connection,
                                           const char *mechanism, cql_slice_t challenge));
void cql__control_deinit(cql__control *control);
/* Adds an address of a contact point, unless it is there. CQL_ENOMEM. */
int cql__control_add(cql__control *control, const cql__address *address, uint32_t giver);
/* Begins to open, if it hasn't yet and there is a contact point. */
void cql__control_start(cql__control *control);
/* No node is known and every contact point failed when it was last tried, for a reason that waiting
 * won't mend if `for_good`: an error, and in *why until the next call the reason; else 0. */
int cql__control_failed(const cql__control *control, int for_good, const char **why);
/* Reads the topology again. */
void cql__control_refresh(cql__control *control);
/* All connections to the node are gone: is this one, too? And who is there? */
void cql__control_node_down(cql__control *control, const cql_node_t *node);
/* Distances have changed, or a node is up: if its own node is ignored it goes to one that isn't. */
void cql__control_reconsider(cql__control *control);
void cql__control_close(cql__control *control, int error, const char *why);

#endif
