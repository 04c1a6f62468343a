/* cql_sim.h - a cluster of simulated Cassandra or ScyllaDB nodes in the process: a virtual clock, a
 * virtual network and the nodes on it, all from one seed. The sessions on it are those of cql.h,
 * and so is the code that they run.
 *
 * Nothing happens between calls, no call does I/O or starts a thread, and nothing calls back. Time
 * passes in cql_sim_run(), cql_sim_pass() and, for a host that waits, in cql_session_step(). The
 * same seed and the same calls give the same run, byte for byte.
 *
 * It is a tool for tests: where memory runs out it ends the process, whereas the sessions on it
 * behave as ever. Errors are those of cql.h; cql_sim_error() has the sentence. Times are in
 * microseconds of the virtual clock, which begins at 0. With CQL_CDEF defined the preprocessed
 * header is what LuaJIT's ffi.cdef() reads after that of cql.h.
 */
#ifndef CQL_SIM_H
#define CQL_SIM_H

#ifndef CQL_CDEF
#include "cql.h"
#ifdef __cplusplus
extern "C" {
#endif
#else
#define CQL_API
#endif

enum {
  CQL_SIM_ALL = -1,    /* every node, those to come included */
  CQL_SIM_CLIENTS = -2 /* every session, as a place; sessions themselves are -3, -4 ... */
};

/* What cql_sim_run() stopped for. */
enum {
  CQL_SIM_TIME = 0,    /* `until_us` has come */
  CQL_SIM_SESSION = 1, /* a session wants a step, or to be polled: cql_sim_due() says which */
  CQL_SIM_ALARM = 2,   /* an alarm is due: cql_sim_alarm_take() */
  CQL_SIM_IDLE = 3     /* nothing is under way and nobody waits for anything: time stands still */
};

/* What a node is. */
enum {
  CQL_SIM_NEW = 0,     /* made and never started: no member of the ring */
  CQL_SIM_BOOTING = 1, /* starts: refuses clients */
  CQL_SIM_UP = 2,
  CQL_SIM_PAUSED = 3, /* as by SIGSTOP: connections are accepted, nothing is answered */
  CQL_SIM_DOWN = 4,   /* a member that doesn't run */
  CQL_SIM_GONE = 5    /* has left the ring */
};

/* How a connection ends. */
enum {
  CQL_SIM_CLOSE = 0,    /* after what was sent before */
  CQL_SIM_RESET = 1,    /* at once; what is under way is lost */
  CQL_SIM_HALF_OPEN = 2 /* nobody is told: nothing passes any more */
};

/* What a node has against a request it was asked; flags. */
enum {
  CQL_SIM_WRONG_SHARD = 1, /* another shard of the node owns the key */
  CQL_SIM_NOT_REPLICA = 2, /* other nodes own it */
  CQL_SIM_UNKNOWN_ID = 4,  /* not prepared here */
  CQL_SIM_BAD_FRAME = 8,   /* an envelope, segment or body that breaks the protocol */
  CQL_SIM_BAD_STREAM = 16, /* the stream is in use for a request that isn't answered yet */
  CQL_SIM_NOT_READY = 32   /* before the handshake's end */
};

typedef struct cql_sim_s cql_sim_t; /* one owner, called from one thread */

/* One request that a node was asked. Pointers live until the next cql_sim_run(), cql_sim_pass() or
 * cql_session_step(). */
typedef struct cql_sim_asked_s {
  int64_t at_us;
  int64_t token;        /* of its partition key, where `has_token` */
  int32_t node;         /* who was asked */
  int32_t shard;        /* on which shard; 0 on Cassandra */
  int32_t connection;   /* as numbered by the world */
  int32_t place;        /* whose connection it is: a session's place */
  int32_t stream;       /* of the request */
  int32_t opcode;       /* [spec 2.4] */
  int32_t consistency;  /* -1: has none */
  int32_t version;      /* of the protocol */
  int32_t verdict;      /* CQL_SIM_WRONG_SHARD ... */
  int32_t rule;         /* the rule that played; -1: none */
  int32_t error;        /* code of the ERROR it was answered with; -1: none, or not yet */
  int32_t has_token;    /* 0, 1 */
  int32_t page_size;    /* -1: none */
  int32_t value_count;  /* bound values */
  int32_t statements;   /* of a BATCH; else 1 or 0 */
  cql_slice_t text;     /* of the statement, also of a prepared one; a BATCH: its first */
  cql_slice_t keyspace; /* the connection's; CQL_NULL: none */
} cql_sim_asked_t;

/* An open connection, as its node sees it. Pointers as of cql_sim_asked_t. */
typedef struct cql_sim_connection_s {
  int32_t id;          /* never used again */
  int32_t node;        /* of whom */
  int32_t shard;       /* served by which */
  int32_t place;       /* whose it is */
  int32_t port;        /* of the node */
  int32_t source_port; /* of the client */
  int32_t version;     /* of the protocol; 0: nothing has been said yet */
  int32_t compressed;  /* LZ4 was asked for */
  int32_t ready;       /* the handshake is over */
  int32_t registered;  /* for which events: 1 topology, 2 status, 4 schema, 8 client routes */
  int32_t in_flight;   /* requests that aren't answered yet */
  int32_t reserved;
  cql_slice_t keyspace; /* by USE; CQL_NULL: none */
  cql_slice_t startup;  /* STARTUP's pairs, "NAME=VALUE" a line, in the order sent */
  cql_slice_t address;  /* of the client, "127.0.0.1:50000" */
} cql_sim_connection_t;

/* Counters since the world began. */
typedef struct cql_sim_counters_s {
  uint64_t requests; /* all below, and the handshake's */
  uint64_t queries;
  uint64_t prepares;
  uint64_t executes;
  uint64_t batches;
  uint64_t answers; /* sent; also those that nobody could read any more */
  uint64_t errors;  /* of them ERROR */
  uint64_t events;
  uint64_t unprepared; /* answered so */
  uint64_t primed;     /* requests that a rule played for */
  uint64_t wrong_shard;
  uint64_t not_replica;
  uint64_t unknown_id;
  uint64_t bad_frames;
  uint64_t bad_streams;
  uint64_t not_ready;
  uint64_t payloads;    /* of tablets */
  uint64_t bytes_in;    /* from clients */
  uint64_t bytes_out;   /* to them */
  uint64_t accepted;    /* connections */
  uint64_t refused;     /* connections */
  uint64_t astray;      /* sought at its own address, which is private */
  uint64_t connections; /* open now */
  uint64_t in_flight;   /* requests that aren't answered yet */
} cql_sim_counters_t;

/* ---- the world ---- */

/* An empty world. */
CQL_API cql_sim_t *cql_sim_new(uint64_t seed);
/* After its sessions have been freed. */
CQL_API void cql_sim_free(cql_sim_t *sim);
/* Why the last call that failed did so: until the next call. */
CQL_API const char *cql_sim_error(const cql_sim_t *sim);
/* The virtual clock. */
CQL_API int64_t cql_sim_now(const cql_sim_t *sim);
/* One setting by name, of a node or (CQL_SIM_ALL) of all; docs/sim.md lists them. A spread of time
 * is written "2ms", "1ms..5ms" (any between), "exp 2ms" (exponential, by its mean), and may have a
 * tail: "1ms..2ms, 1% 50ms..200ms". CQL_EOPTION: nothing was changed. */
CQL_API int cql_sim_set(cql_sim_t *sim, int node, const char *name, const char *value);
/* The name of setting `index`, counted from 0; NULL past the last: static text. */
CQL_API const char *cql_sim_setting(uint32_t index);
/* A user whom nodes let in when `auth` is "password". */
CQL_API int cql_sim_user(cql_sim_t *sim, const char *name, const char *password);
/* What a host name stands for from now on: addresses with blanks between them, "" for none (the
 * look-up fails), NULL for a look-up that never ends. CQL_EVALUE: one is no IP address. */
CQL_API int cql_sim_name(cql_sim_t *sim, const char *name, const char *addresses);
/* Runs one statement on the cluster as a whole, at once and outside of time: schema and rows to
 * begin with. Borrowed for the call. CQL_ESERVER: cql_sim_error() has the server's message. */
CQL_API int cql_sim_cql(cql_sim_t *sim, const char *text, size_t length);

/* ---- nodes ---- */

/* A node that doesn't run yet: its number, from 0. `address` is an IP address, or NULL for the next
 * of 127.0.0.1, 127.0.0.2 ...; CQL_EVALUE: it is none, or taken. */
CQL_API int cql_sim_node_new(cql_sim_t *sim, const char *datacenter, const char *rack,
                             const char *address);
/* The tokens that it takes when it joins, instead of `vnodes` by chance. CQL_EVALUE: none, one
 * twice, or one of another node; CQL_EINVAL: it is a member of the ring, or has left it. */
CQL_API int cql_sim_node_tokens(cql_sim_t *sim, int node, const int64_t *tokens, size_t count);
/* It starts, joins the ring if it isn't in it, and is up after the time that `boot` sets. */
CQL_API int cql_sim_node_start(cql_sim_t *sim, int node);
/* Its process dies: connections are reset; until it starts again new ones are refused. */
CQL_API int cql_sim_node_kill(cql_sim_t *sim, int node);
/* It shuts down in good order: it tells nobody of its clients, closes them and is down. */
CQL_API int cql_sim_node_stop(cql_sim_t *sim, int node);
/* Its process stands still: connections are accepted, bytes go in, nothing is answered. */
CQL_API int cql_sim_node_pause(cql_sim_t *sim, int node);
CQL_API int cql_sim_node_resume(cql_sim_t *sim, int node);
/* Its machine is off the net at once: nobody is told, nothing passes until it starts again. */
CQL_API int cql_sim_node_vanish(cql_sim_t *sim, int node);
/* It hands its data over, leaves the ring for good and stops. */
CQL_API int cql_sim_node_decommission(cql_sim_t *sim, int node);
/* It stops, and will have another address when it starts again. CQL_EVALUE. */
CQL_API int cql_sim_node_move(cql_sim_t *sim, int node, const char *address);
/* It forgets prepared statements, as one whose cache is full: those of `text`, or all (NULL). */
CQL_API int cql_sim_node_forget(cql_sim_t *sim, int node, const char *text);
/* How many nodes there are, those that have left included. */
CQL_API int cql_sim_node_count(const cql_sim_t *sim);
/* CQL_SIM_NEW ... CQL_SIM_GONE, CQL_EINVAL: no such node. */
CQL_API int cql_sim_node_state(const cql_sim_t *sim, int node);
/* "127.0.0.1:9042", and the 36 characters of a uuid: until the next call; NULL: no such node. */
CQL_API const char *cql_sim_node_address(const cql_sim_t *sim, int node);
CQL_API const char *cql_sim_node_host_id(const cql_sim_t *sim, int node);

/* ---- the network; a place is a node, a session's place, CQL_SIM_CLIENTS or CQL_SIM_ALL ---- */

/* Nothing passes between the two any more; what was sent is kept and sent again after the healing,
 * as TCP does. Nodes hold for down whom they can't reach. */
CQL_API int cql_sim_cut(cql_sim_t *sim, int place, int other);
CQL_API int cql_sim_heal(cql_sim_t *sim, int place, int other);
/* All that is on its way to clients of this node and from them stands still for so long. */
CQL_API int cql_sim_stall(cql_sim_t *sim, int node, int64_t us);
/* The clients' next `count` sockets and look-ups fail at once, as where descriptors run out. */
CQL_API int cql_sim_exhaust(cql_sim_t *sim, int count);
/* How many of them, all sessions' together, are still to fail. */
CQL_API int cql_sim_exhausted(const cql_sim_t *sim);
/* How many client connections a node (or all) has, and the `index`th of them, from 0 in the order
 * in which they were accepted. CQL_EINVAL: there is none. */
CQL_API int cql_sim_connection_count(const cql_sim_t *sim, int node);
CQL_API int cql_sim_connection(cql_sim_t *sim, int node, int index, cql_sim_connection_t *out);
/* Ends one by its id: CQL_SIM_CLOSE, CQL_SIM_RESET or CQL_SIM_HALF_OPEN. */
CQL_API int cql_sim_connection_end(cql_sim_t *sim, int connection, int how);
/* The node says these bytes on it, whatever they are. */
CQL_API int cql_sim_connection_say(cql_sim_t *sim, int connection, const uint8_t *bytes,
                                   size_t size);

/* Connections to this address and port, which are nobody's, come out at the node's own port, as
 * through a proxy or where addresses are translated; node -1: no more. With a server name those
 * that an endpoint tells to say it in TLS's handshake (which itself isn't simulated); NULL: all
 * others. CQL_EVALUE. */
CQL_API int cql_sim_forward(cql_sim_t *sim, const char *address, int port, int node,
                            const char *server_name);

/* ---- events ---- */

/* `from` (or all) tells registered clients of a node: type "TOPOLOGY_CHANGE" or "STATUS_CHANGE",
 * change "NEW_NODE", "UP" ...; true or not. How many were told. */
CQL_API int cql_sim_tell(cql_sim_t *sim, int from, const char *type, const char *change, int node);
/* The same with a body of EVENT's, as on the wire; its type says who is registered for it. */
CQL_API int cql_sim_tell_raw(cql_sim_t *sim, int from, const uint8_t *body, size_t size);

/* Scylla: system.client_routes has this address (or name) and these ports (0: null) for a node
 * under that connection id from now on; NULL: it has none. Clients that are registered for it are
 * told: how many. CQL_EVALUE. */
CQL_API int cql_sim_route(cql_sim_t *sim, const char *connection_id, int node, const char *address,
                          int port, int tls_port);

/* ---- rules: what nodes do instead of what they would ---- */

/* A rule behind all others: its number, from 0. The first rule that fits a request plays. It fits
 * any request until it is told which, and passes it on until it is told what to do. */
CQL_API int cql_sim_rule_new(cql_sim_t *sim);
/* One part of a rule by name; docs/sim.md lists them. Conditions of different names must all hold;
 * of several values of one name any; with "not " before the name it must not. CQL_EOPTION. */
CQL_API int cql_sim_rule_set(cql_sim_t *sim, int rule, const char *name, const uint8_t *value,
                             size_t size);
/* Answers rows of these columns, "id int, name text", to which rows may be added as CQL has them,
 * "1, 'one'", or encoded, one value after the other, as for cql_bind_encoded(). */
CQL_API int cql_sim_rule_columns(cql_sim_t *sim, int rule, const char *columns);
CQL_API int cql_sim_rule_row(cql_sim_t *sim, int rule, const char *values);
CQL_API int cql_sim_rule_row_encoded(cql_sim_t *sim, int rule, const uint8_t *encoded, size_t size);
/* It plays no more, and its number is not used again. */
CQL_API int cql_sim_rule_remove(cql_sim_t *sim, int rule);
/* For how many requests it played. */
CQL_API int64_t cql_sim_rule_played(const cql_sim_t *sim, int rule);

/* ---- sessions ---- */

/* A session on this world's network: as cql_session_new(), and everything in cql.h takes it, but
 * there is no descriptor. cql_session_step() with a time to wait lets virtual time pass, at most
 * until an alarm is due. */
CQL_API int cql_sim_session_new(cql_sim_t *sim, const cql_config_t *config, cql_session_t **out);
/* Its place in the network. CQL_EINVAL: a session of another world. */
CQL_API int cql_sim_session_place(cql_sim_t *sim, const cql_session_t *session);
/* Would a host that waits as the contract in cql.h says be awake now: has the timeout come, or is
 * the descriptor readable? */
CQL_API int cql_sim_session_due(cql_sim_t *sim, cql_session_t *session);
/* Its host is busy elsewhere, or stopped, for so long from now: it is not due. */
CQL_API int cql_sim_session_stall(cql_sim_t *sim, cql_session_t *session, int64_t us);

/* ---- time ---- */

/* Lets the world run, at most until `until_us`: CQL_SIM_TIME, CQL_SIM_SESSION, CQL_SIM_ALARM or
 * CQL_SIM_IDLE. At once where a session is due already. */
CQL_API int cql_sim_run(cql_sim_t *sim, int64_t until_us);
/* Lets `us` pass whoever is due: all hosts are busy. */
CQL_API int cql_sim_pass(cql_sim_t *sim, int64_t us);
/* A session that is due, each in its turn; NULL: none is. */
CQL_API cql_session_t *cql_sim_due(cql_sim_t *sim);
/* An alarm for whoever runs the world; several may be set. */
CQL_API int cql_sim_alarm_set(cql_sim_t *sim, int64_t at_us, uint32_t tag);
/* Takes one that is due, in order of time, then of setting: 1 and its tag, or 0. */
CQL_API int cql_sim_alarm_take(cql_sim_t *sim, uint32_t *tag);
/* A number below `below` from the seed, for scripts. */
CQL_API uint64_t cql_sim_random(cql_sim_t *sim, uint64_t below);

/* ---- what happened ---- */

/* Counters of a node, or (CQL_SIM_ALL) of all. */
CQL_API int cql_sim_counters(const cql_sim_t *sim, int node, cql_sim_counters_t *out);
/* How many requests have been asked so far; the journal holds the newest 100,000 of them. */
CQL_API int64_t cql_sim_asked_count(const cql_sim_t *sim);
/* The `index`th request, from 0. CQL_EINVAL: not asked yet, or forgotten. */
CQL_API int cql_sim_asked(cql_sim_t *sim, int64_t index, cql_sim_asked_t *out);
/* 1: a line of text for each message and decision is kept until it is taken; 2: whole messages are
 * shown; 0: nothing is (the beginning). */
CQL_API int cql_sim_trace(cql_sim_t *sim, int level);
/* Takes up to `size` bytes of the trace, whole lines if they fit: how many; 0: there are none. */
CQL_API int cql_sim_trace_take(cql_sim_t *sim, char *out, size_t size);

/* ---- where data lives ---- */

/* The token of a partition key as it is hashed: its one value, or the parts of a composite key. */
CQL_API int64_t cql_sim_token(const uint8_t *key, size_t size);
/* The replicas of a token in their order, at most `max` of them (node, shard) pairs: how many.
 * `table` rules where the keyspace has tablets, else it may be NULL. CQL_EINVAL: no such keyspace.
 */
CQL_API int cql_sim_replicas(cql_sim_t *sim, const char *keyspace, const char *table, int64_t token,
                             int32_t *out, int max);
/* The tablet that holds `token` lives there from now on: "0:3 2:1" are nodes and shards. */
CQL_API int cql_sim_tablet_move(cql_sim_t *sim, const char *keyspace, const char *table,
                                int64_t token, const char *replicas);

/* ---- on real sockets ---- */

/* Nodes listen on their addresses, which should be of loopback, and the clock is that of the
 * machine. CQL_EIO. */
CQL_API int cql_sim_serve(cql_sim_t *sim);
/* Readable, or to be stepped after so many milliseconds (-1: never). */
CQL_API int cql_sim_serve_fd(const cql_sim_t *sim);
CQL_API int cql_sim_serve_timeout(cql_sim_t *sim);
/* Waits at most `wait_ms` (-1: until something happens, or an alarm or a session of this world is
 * due), then lets happen what is due. */
CQL_API int cql_sim_serve_step(cql_sim_t *sim, int wait_ms);
/* Closes listeners and connections; the clock stands still again. */
CQL_API int cql_sim_serve_stop(cql_sim_t *sim);

#ifndef CQL_CDEF
#ifdef __cplusplus
}
#endif
#endif
#endif
