/* Socket: the client's end of virtual connections, and the link that hands them out. What happens
 * to a socket is told in the session's next step; what the session does is told its owner at once.
 */
#ifndef CQL_SIM_SOCKET_H
#define CQL_SIM_SOCKET_H

#include "base/list.h"
#include "base/rand.h"
#include "link/link.h"
#include "sim/buffer.h"

enum { CQL__SIM_ADDRESSES_MAX = 16 }; /* of one name */

typedef struct cql__sim_sockets cql__sim_sockets;

struct cql__socket {
  cql__list link; /* in set->sockets, in the order of opening */
  cql__list news; /* in set->news, or in itself */
  cql__sim_sockets *set;
  void *user;         /* the core's */
  void *owner;        /* the other side's */
  cql__target target; /* without what it points to */
  uint8_t open, told_opened;
  uint8_t wants_write, again;
  int failed;      /* CQL_E*: it could not be opened */
  int ended;       /* nothing follows what is in `inbound` */
  int broken;      /* CQL_E*: what writing gives */
  const char *why; /* static text */
  int64_t room;    /* so many bytes may be written; -1: any number */
  size_t read_max; /* no read brings more; 0: no limit */
  cql__sim_buffer inbound;
};

typedef struct cql__sim_lookup {
  cql__list link; /* in set->lookups */
  cql__sim_sockets *set;
  void *user; /* the core's */
  void *owner;
  char name[256];
  uint16_t port;
  uint32_t ticket;
  uint8_t answered;
  int error;
  uint32_t count;
  cql__address addresses[CQL__SIM_ADDRESSES_MAX];
} cql__sim_lookup;

/* The other side; none of these may call the core. */
typedef struct cql__sim_socket_events {
  /* 0, or CQL__EPORT: it is freed right after. */
  int (*opening)(cql__socket *socket);
  void (*wrote)(cql__socket *socket, const uint8_t *bytes, size_t size);
  void (*closed)(cql__socket *socket); /* it is freed right after */
  void (*resolving)(cql__sim_lookup *lookup);
  void (*told)(cql__sim_lookup *lookup); /* it is freed right after, also where nobody answered */
} cql__sim_socket_events;

struct cql__sim_sockets {
  cql__link link;
  const int64_t *now; /* microseconds */
  cql__rand rand;
  const cql__sim_socket_events *events;
  void *owner;
  cql__list sockets, news, lookups;
  cql__socket *current; /* being told */
  int64_t wall_clock;   /* microseconds since 1970 when the clock began */
  int exhausted;        /* so many sockets and look-ups fail at once */
  int more;             /* something was left unread in this step */
  uint64_t calls;       /* reads and writes */
};

void cql__sim_sockets_init(cql__sim_sockets *set, const int64_t *now, uint64_t seed,
                           const cql__sim_socket_events *events, void *owner);
/* After the session has gone. */
void cql__sim_sockets_deinit(cql__sim_sockets *set);
/* Would the session's descriptor be readable? */
int cql__sim_sockets_ready(const cql__sim_sockets *set);
/* Is anything left that the descriptor doesn't show? */
int cql__sim_sockets_eager(const cql__sim_sockets *set);
/* Tells the session all that has happened. Returns whether something was left unread. */
int cql__sim_sockets_tell(cql__sim_sockets *set);

/* ---- for the other side ---- */

void cql__sim_socket_opened(cql__socket *socket);
/* `why`: static text. */
void cql__sim_socket_failed(cql__socket *socket, int error, const char *why);
void cql__sim_socket_said(cql__socket *socket, const uint8_t *bytes, size_t size);
/* The end: after what was said, or (`lost`) instead of what hasn't been read. */
void cql__sim_socket_ended(cql__socket *socket, int lost, const char *why);
void cql__sim_socket_room(cql__socket *socket, int64_t room);
/* `addresses`: with blanks between them; none: there is no such name. CQL_EVALUE. */
int cql__sim_lookup_answer(cql__sim_lookup *lookup, const char *addresses);

#endif
