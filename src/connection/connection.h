/* Connection: one socket to one node, from its opening to its end; driven by bytes and a clock.
 *
 *   CLOSED -> OPENING -> OPTIONS -> STARTUP -> [AUTH] -> CLUSTER -> [USE] -> SERVING -> CLOSED
 *
 * Any state may go to CLOSED; connection.c and handshake.c say what does it. */
#ifndef CQL_CONNECTION_CONNECTION_H
#define CQL_CONNECTION_CONNECTION_H

#include "base/limits.h"
#include "base/list.h"
#include "base/rand.h"
#include "base/wheel.h"
#include "connection/features.h"
#include "connection/reader.h"
#include "connection/streams.h"
#include "connection/writer.h"
#include "link/link.h"
#include "message/response.h"

typedef struct cql__connection cql__connection;

enum {
  CQL__CLOSED = 0,
  CQL__OPENING, /* TCP and TLS, by the link */
  CQL__OPTIONS_SENT,
  CQL__STARTUP_SENT,
  CQL__AUTH_SENT, /* or a question is out for the token */
  CQL__CLUSTER_SENT,
  CQL__USE_SENT,
  CQL__SERVING
};

/* What stream 0 is in use for. */
enum { CQL__OWN_NONE = 0, CQL__OWN_HANDSHAKE, CQL__OWN_USE, CQL__OWN_HEARTBEAT };

/* What a connection tells whoever owns it. None may free it. */
typedef struct cql__connection_events {
  void (*serving)(void *owner, cql__connection *connection);
  /* After every waiter was told; it may be opened again from a timer, not from here. */
  void (*closed)(void *owner, cql__connection *connection, int error, const char *why);
  void (*answered)(void *owner, cql__connection *connection, void *waiter, int stream,
                   const cql__envelope *envelope);
  /* The answer was larger than frame_size_max: `envelope` has no body. */
  void (*oversized)(void *owner, cql__connection *connection, void *waiter);
  void (*lost)(void *owner, cql__connection *connection, void *waiter, int error);
  /* USE was answered, or couldn't be sent: 0 or CQL_E*. NULL: it uses no keyspace. */
  void (*used)(void *owner, cql__connection *connection, int error);
  /* It takes nothing new and wants a successor: too many streams timed out, or
   * cql__connection_retire(). */
  void (*retiring)(void *owner, cql__connection *connection);
  /* A token is asked for: answer with cql__connection_token(). 1: it is asked; 0: nobody is there
   * to ask; CQL_ENOMEM. */
  int (*authenticate)(void *owner, cql__connection *connection, const char *mechanism,
                      cql_slice_t challenge);
  /* An EVENT; NULL: nobody registers for any. */
  void (*event)(void *owner, cql__connection *connection, const cql__response *response);
} cql__connection_events;

/* What differs with the distance of a node. */
typedef struct cql__tuning {
  uint32_t connections_per_node; /* 0: by shard */
  uint32_t connections_per_shard;
  uint32_t connect_timeout_ms;
  uint32_t heartbeat_ms, heartbeat_timeout_ms; /* 0: none */
  uint32_t send_buffer, receive_buffer;        /* 0: the system's */
} cql__tuning;

/* What all connections of a session share. */
typedef struct cql__connection_settings {
  void *user; /* the session */
  cql__link *link;
  cql__pool *pool;
  cql__wheel *wheel;
  cql__list *dirty; /* connections with something to flush */
  cql_metrics_t *metrics;
  int version; /* to try, or negotiated */
  int lz4;     /* asked for */
  uint32_t compress_min;
  uint32_t request_timeout_ms;
  cql__tuning near, remote;
  uint32_t streams_max;
  size_t frame_size_max;
  int throw_on_overload;
  uint32_t features;                         /* CQL__FEATURE_* that are wanted */
  uint16_t source_port_min, source_port_max; /* towards a shard-aware port */
  const char *username, *password;           /* NULL: none */
  const char *application_name, *application_version, *client_id;
  char *keyspace;           /* as for USE; NULL: none */
  uint32_t keyspace_serial; /* counts its changes */
  char *cluster_name;       /* of the first node; NULL: none seen yet */
} cql__connection_settings;

struct cql__connection {
  /* set once */
  cql__connection_settings *settings;
  const cql__connection_events *events;
  void *owner;
  /* changes */
  const cql__tuning *tuning; /* of the settings */
  cql__list dirty;           /* in settings->dirty while it has something to send */
  cql__address address;      /* where it was opened last */
  cql__socket *socket;       /* NULL: closed */
  cql__reader reader;
  cql__writer writer;
  cql__streams streams;
  uint8_t has_host_id; /* it is known who must answer */
  uint8_t host_id[16];
  cql__features features; /* of this connection, from SUPPORTED on */
  cql__timer deadline;    /* of the handshake; of USE; retiring, of the end */
  cql__timer heartbeat;
  cql__timer second;               /* ages orphans */
  uint64_t last_read, read_before; /* the last two times that something came */
  uint64_t heartbeat_sent;
  const char *retiring; /* why: it ends with its last answer, and takes nothing new; else NULL */
  uint8_t state;
  uint8_t version;
  uint8_t own_pending; /* stream 0 is in use: CQL__OWN_* */
  uint8_t auth_rounds;
  uint8_t want_use; /* USE as soon as stream 0 is free */
  uint8_t blocked;  /* the socket is full */
  uint8_t lower_to; /* after EVERSION: what to try next; 0: nothing */
  uint8_t forgiven; /* the host slept through this heartbeat's deadline once already */
  uint32_t unknown_streams;
  uint32_t keyspace_serial; /* of the last USE */
  size_t gathered;          /* bytes since the last flush */
  char why[160];            /* the reason of the end */
};

void cql__connection_init(cql__connection *connection, cql__connection_settings *settings,
                          const cql__connection_events *events, void *owner);
void cql__connection_deinit(cql__connection *connection);
/* Another one of the settings' tunings than `near`, which it begins with. What is open keeps its
 * socket and the deadline of its handshake; heartbeats are sent accordingly from now on. */
void cql__connection_tune(cql__connection *connection, const cql__tuning *tuning);
/* Starts to open; `serving` or `closed` follows, unless an error is returned (CQL__EPORT among
 * them: another local port may do, at once). `target`: borrowed for the call. */
int cql__connection_open(cql__connection *connection, const cql__target *target);
/* Ends it: every waiter is told, then `closed`. Not from inside its own events. `why`: copied. */
void cql__connection_close(cql__connection *connection, int error, const char *why);

/* From the link. */
void cql__connection_opened(cql__connection *connection);
void cql__connection_readable(cql__connection *connection, uint64_t now);
void cql__connection_writable(cql__connection *connection);

/* May a request be put on it? */
static inline int cql__connection_accepts(const cql__connection *connection) {
  return connection->state == CQL__SERVING && !connection->retiring &&
         connection->streams.used < connection->streams.maximum &&
         cql__writer_unsent(&connection->writer) < CQL__UNSENT_MAX;
}
/* Takes a stream for `waiter` (-1: none); then append to the writer and call _sent(), or
 * _unsent() if that failed. */
int cql__connection_take(cql__connection *connection, void *waiter);
void cql__connection_sent(cql__connection *connection, size_t size);
void cql__connection_unsent(cql__connection *connection, int stream);
/* Its waiter has gone; the answer is still owed. */
void cql__connection_orphan(cql__connection *connection, int stream);
/* Takes nothing new, and ends with the last request that is under way; soon if there is none.
 * `why`: static. */
void cql__connection_retire(cql__connection *connection, const char *why);
/* Sends what has gathered, unless the socket is full. */
void cql__connection_flush(cql__connection *connection);
/* USE settings->keyspace; `used` follows. A connection that can't follow is closed. */
void cql__connection_use(cql__connection *connection);
/* Answers `authenticate`; length CQL_NULL: the native default. */
void cql__connection_token(cql__connection *connection, const uint8_t *token, int32_t length);
/* Is a USE of cql__connection_use() not answered yet? */
static inline int cql__connection_is_using(const cql__connection *connection) {
  return connection->state == CQL__SERVING &&
         (connection->want_use || connection->own_pending == CQL__OWN_USE);
}
/* Its node is said to be down: a heartbeat at once. */
void cql__connection_check(cql__connection *connection);
/* The host slept: an unanswered heartbeat gets its time anew, once; so does a handshake of which
 * something came in this step. After reading, before deadlines. */
void cql__connection_awake(cql__connection *connection);

/* It serves, or has answered a heartbeat: the next one is due after the next silence. */
void cql__connection_listen(cql__connection *connection);

/* handshake.c; connection.c calls them. */
void cql__handshake_start(cql__connection *connection);
/* An answer on stream 0 before it serves. 0, or CQL_E* with `why` set: close. */
int cql__handshake_answer(cql__connection *connection, const cql__response *response);
/* An answer of another version. CQL_EVERSION if that is a refusal, else CQL_EPROTOCOL. */
int cql__handshake_wrong_version(cql__connection *connection, const cql__response *response);
/* v1 or v2, whose messages can't be read. As before. */
int cql__handshake_old_version(cql__connection *connection);
/* Sends one of its own messages on stream 0. */
int cql__connection_own(cql__connection *connection, int own, uint8_t opcode, const uint8_t *body,
                        size_t size);
/* CQL_E* with the server's words as the reason. */
int cql__connection_refused(cql__connection *connection, int error, cql_slice_t message);
int cql__connection_fail(cql__connection *connection, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* USE as a message; the names' quotes are doubled. */
int cql__connection_send_use(cql__connection *connection, int own);

#endif
