/* Session: the engine, its contact points, its events and questions, from new to free. */
#ifndef CQL_SESSION_SESSION_H
#define CQL_SESSION_SESSION_H

#include "cluster/control.h"
#include "execute/request.h"
#include "session/config.h"
#include "session/queue.h"

/* What api/ asks of whoever carries the link and wakes the host: src/io, with sockets and a
 * descriptor, or src/sim, with virtual ones. */
typedef struct cql__host_ops {
  /* A descriptor to wait on, or CQL_EUNSUPPORTED. */
  int (*fd)(const cql__link *link);
  /* Anything ready that the descriptor doesn't show? */
  int (*eager)(const cql__link *link);
  /* Tells what has happened, waiting at most `wait_ms` for something (-1: until it does). Returns
   * whether something was left unread. */
  int (*step)(cql__link *link, int64_t wait_ms);
  /* In a child, before anything is closed. */
  void (*fork)(cql__link *link);
  /* After the session's end. `forked`: after fork(). */
  void (*free)(cql__link *link, int forked);
} cql__host_ops;

struct cql_session_s {
  cql__engine engine;
  cql_config_t *config;
  cql__control control; /* idle where the contact points are all the nodes */
  cql__queue queue;
  cql__timer drain;          /* close() gives up waiting */
  cql__timer resolving;      /* names take too long, or are to be tried again */
  cql__timer deciding;       /* there was no memory for what a distance wants */
  cql__timer readying;       /* READY waits no longer for what is read of the cluster */
  uint64_t step_at;          /* when this step began to read; 0: it hasn't */
  uint64_t next_due;         /* as of the last step: a host that comes much later slept */
  uint32_t names_pending;    /* look-ups under way */
  uint32_t names_failed;     /* of the last round of them */
  uint32_t resolve_ticket;   /* of the look-ups that count */
  const char *ready_address; /* of the first connection that served; NULL: none has */
  uint8_t ready_told, failed;
  uint8_t draining;      /* close() waits for what is under way */
  uint8_t ended;         /* it waits no more: nothing is under way, nothing comes */
  uint8_t closed_told;   /* and the host has been told */
  uint32_t unread_steps; /* in a row */
  /* What is told once needs no memory for it, and is never dropped. */
  cql__notice ready_notice, failed_notice, closed_notice;
  char failed_why[200];
  /* USE, one at a time: see use.c */
  char *use_keyspace;
  int use_error;
  cql_request_t *use_request;
  uint8_t several_told;    /* the warning about datacenters */
  uint8_t datacenter_told; /* that no node is in local_datacenter */
  uint8_t rack_told;       /* that none of it is in local_rack */
  uint8_t none_told;       /* that all nodes are ignored */
  uint8_t blind_told;      /* that a node can't say who is in the cluster */
  cql__list questions;     /* cql__question, asked and not answered; see question.c */
  uint32_t next_question;
  const cql__host_ops *host; /* of engine.link */
  /* api/'s */
  uint64_t fork_generation; /* 0: nothing of it is the kernel's */
  struct cql__poke *poke;   /* NULL: the host watches the descriptor itself */
};

/* `link` is the session's from now on, but whoever made it frees it. `host` may be NULL where
 * nothing of api/ is called. */
int cql__session_new(const cql_config_t *config, cql__link *link, const cql__host_ops *host,
                     cql_session_t **out);
/* The names and addresses of the configuration: after the link has its events. CQL_EOPTION: the
 * reason is in session->config->error. */
int cql__session_start(cql_session_t *session);
void cql__session_free(cql_session_t *session);
/* How many there are, in all threads. */
int cql__sessions_alive(void);

/* Around the link's own step: what comes before, what comes after. */
void cql__session_before(cql_session_t *session);
void cql__session_after(cql_session_t *session, int more_to_read);
/* Milliseconds until a step is wanted, as cql_session_timeout(), for what the link doesn't show. */
int64_t cql__session_wait(cql_session_t *session);
void cql__session_submit(cql_request_t *request, uint32_t tag);
int cql__session_poll(cql_session_t *session, uint32_t max, cql_completion_t *out);
int cql__session_close(cql_session_t *session, int drain_ms);
int cql__session_answer(cql_session_t *session, uint32_t tag, const uint8_t *data, int32_t length);
int cql__session_dump(const cql_session_t *session, char *out, size_t size);
void cql__session_metrics(const cql_session_t *session, cql_metrics_t *out);

int cql__session_use(cql_session_t *session, const char *keyspace, size_t length, uint32_t tag);
/* Looks for so long whether the nodes agree on the schema; 0: once. */
int cql__session_agreement(cql_session_t *session, uint32_t timeout_ms, uint32_t tag);
void cql__use_on_used(void *owner, cql__connection *connection, int error);

/* question.c: a connection asks for a token. 1; 0: the host answers no questions; CQL_ENOMEM. */
int cql__question_authenticate(void *owner, cql__connection *connection, const char *mechanism,
                               cql_slice_t challenge);
/* Where the node is reached; see cql__cluster_events. 1; CQL_ENOMEM. */
int cql__question_endpoint(void *user, cql_node_t *node, void *owner);
void cql__question_forget(void *user, const void *owner);
/* How near the node is. Likewise. */
int cql__question_distance(cql_session_t *session, cql_node_t *node);
/* Its deadline begins: it has been delivered. */
void cql__question_delivered(cql_session_t *session, uint32_t tag);
/* Those of a connection that closed, or (NULL) all. */
void cql__questions_drop(cql_session_t *session, const cql__connection *connection);
/* An event for the host. */
void cql__session_tell(cql_session_t *session, int type, int status, const char *address,
                       const char *message);
void cql__session_tell_node(cql_session_t *session, int type, cql_node_t *node,
                            const char *message);

/* distance.c: CQL_DISTANCE_* of a name; negative: it is none. */
int cql__distance_of(cql_slice_t name);
const char *cql__distance_name(uint8_t distance);
/* The node has the distance that the answer names, or (length CQL_NULL) the configuration's. */
void cql__session_decide(cql_session_t *session, cql_node_t *node, cql_slice_t answer);
/* Whoever is to be asked is asked. */
void cql__session_ask_distance(cql_session_t *session, cql_node_t *node);
void cql__session_refresh_distances(cql_session_t *session);
/* The nodes have been read: warns where local_datacenter or local_rack is none of theirs, or all
 * nodes are ignored. */
void cql__session_check_places(cql_session_t *session);
void cql__distances_on_timer(cql__timer *timer);

/* contacts.c: adds the contact points, or (names_only) looks up their names once more. */
int cql__contacts_add(cql_session_t *session, int names_only);
void cql__contacts_resolved(cql_session_t *session, uint32_t ticket, int error,
                            const cql__address *addresses, uint32_t count);
/* Names are looked up again after so long. */
void cql__contacts_resolve_in(cql_session_t *session, uint64_t delay_ms);
void cql__contacts_on_timer(cql__timer *timer);
/* Opens what was added. */
void cql__contacts_open(cql_session_t *session);
/* The node at this address can't say who is in the cluster: it is all we know. */
void cql__contacts_blind(cql_session_t *session, const cql__address *address);
/* CQL_EOPTION, with the reason. */
int cql__contacts_bad(cql_session_t *session, const char *text, size_t length);
/* session.c: can it still become ready? If not, it gives up. */
void cql__session_check_hope(cql_session_t *session);

/* What the link tells; its `user` is the connection, or the session for names. */
extern const cql__link_events cql__session_link_events;

#endif
