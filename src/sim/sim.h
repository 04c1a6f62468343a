/* Sim: a session on a clock and a wire that are played by hand. Nothing happens by itself: whoever
 * holds it moves the clock, is the peer byte by byte, and says when the session steps; so the very
 * code that runs in production runs here, the same way every time. A whole world, which runs by
 * itself on the same sockets, is in sim/world.h. */
#ifndef CQL_SIM_SIM_H
#define CQL_SIM_SIM_H

#include "session/session.h"

typedef struct cql__sim cql__sim;

/* The clock stands at `now_ms`. */
cql__sim *cql__sim_new(uint64_t seed, uint64_t now_ms);
void cql__sim_free(cql__sim *sim);
cql__link *cql__sim_link(cql__sim *sim);
void cql__sim_advance(cql__sim *sim, uint64_t ms);
uint64_t cql__sim_now(const cql__sim *sim);

/* A session on it: as cql_session_new() and cql_session_free(). */
int cql__sim_session(cql__sim *sim, const cql_config_t *config, cql_session_t **out);
void cql__sim_session_free(cql_session_t *session);
/* One step of its host: flush, what the wire brought, deadlines. */
void cql__sim_step(cql__sim *sim, cql_session_t *session);
/* As cql_session_timeout(). */
int cql__sim_timeout(cql__sim *sim, cql_session_t *session);
/* Would the session's descriptor be readable now? A host that sleeps until this or the timeout, and
 * steps only then, finds the wake-ups that are lost. */
int cql__sim_ready(const cql__sim *sim);

/* Sockets are numbered from 0 in the order in which they were opened; closed ones keep theirs. */
int cql__sim_count(const cql__sim *sim);
int cql__sim_port(const cql__sim *sim, int socket);
const char *cql__sim_address(const cql__sim *sim, int socket); /* "127.0.0.1:9042" */
int cql__sim_is_closed(const cql__sim *sim, int socket);
/* The peer accepts, or refuses. Until then it is being opened. */
void cql__sim_accept(cql__sim *sim, int socket);
void cql__sim_refuse(cql__sim *sim, int socket);
/* What the session sent and nobody took yet; until the next step. */
size_t cql__sim_sent(const cql__sim *sim, int socket, const uint8_t **out);
void cql__sim_take(cql__sim *sim, int socket, size_t size);
/* The peer says this. */
void cql__sim_say(cql__sim *sim, int socket, const uint8_t *bytes, size_t size);
/* No read brings more than so many bytes (0: no limit); so many bytes may be sent before the wire
 * is full (-1: no limit). */
void cql__sim_split(cql__sim *sim, int socket, size_t read_max);
void cql__sim_room(cql__sim *sim, int socket, int64_t room);
/* The peer is gone: the next read, or write, says so. */
void cql__sim_reset(cql__sim *sim, int socket);
/* The next so many sockets and look-ups fail at once, as where descriptors have run out. */
void cql__sim_exhaust(cql__sim *sim, int count);
/* Look-ups of names, numbered likewise; nothing is answered by itself. `addresses`: with blanks
 * between them; none: there is no such name. */
int cql__sim_lookups(const cql__sim *sim);
const char *cql__sim_lookup_name(const cql__sim *sim, int lookup);
int cql__sim_resolve(cql__sim *sim, int lookup, const char *addresses);
/* How many reads and writes the session made. */
uint64_t cql__sim_calls(const cql__sim *sim);

#endif
