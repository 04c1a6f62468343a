/* Limits: each number with its reason. Those that users may set are in session/config.c. */
#ifndef CQL_BASE_LIMITS_H
#define CQL_BASE_LIMITS_H

/* Blocks of this size and more count against the next limit when they are idle. */
#define CQL__BLOCK_LARGE (8 * 1024)
/* Idle large blocks that a session keeps: enough for pages of 580 kB to be recycled without a page
 * fault, little enough not to be a leak after a burst. */
#define CQL__IDLE_LARGE_MAX (16 * 1024 * 1024)

/* A v5 segment is at most 8 + 131,071 + 4 bytes; room for one and the head of the next. */
#define CQL__SLAB_SEGMENT (132 * 1024)
/* v3 and v4: what one read may bring; larger envelopes get a block of their own. */
#define CQL__SLAB_PLAIN (64 * 1024)

/* A result with a body up to this size is copied out of its receive buffer: one row must never
 * pin 64 KiB. */
#define CQL__RESULT_COPY_MAX 1024

/* The requests of one turn stay on one connection until so much has gathered there. */
#define CQL__GATHER 16384
/* The write buffer is sent within a turn when so much has gathered: one send carries hundreds of
 * requests, and the server needn't wait for the turn's end. */
#define CQL__FLUSH_AT 65536
/* Bodies from here on are sent from where they lie (writev) rather than copied. */
#define CQL__REFERENCE_MIN 8192
/* Unsent bytes from which on a connection takes no more requests: they wait in the queue. */
#define CQL__UNSENT_MAX (1024 * 1024)

/* What one step reads from one connection before others get their turn. */
#define CQL__STEP_READ_MAX (2 * 1024 * 1024)

/* An envelope that claims more than this gets its memory as it arrives, not at once. */
#define CQL__EAGER_BODY (4 * 1024 * 1024)

/* Rounds of AUTH_CHALLENGE before the server is told off. */
#define CQL__AUTH_ROUNDS 16

/* Answers on streams that nobody waits for, until the connection is closed: the peer is mad. */
#define CQL__UNKNOWN_STREAMS_MAX 100

/* Timed-out streams, older than a second, after which a connection is replaced; or more than half
 * of all that it may have. */
#define CQL__ORPHANS_MAX 1024

/* Attempts of one request and re-prepares of one statement within it. */
#define CQL__ATTEMPTS_MAX   10
#define CQL__REPREPARES_MAX 3

/* A connection with so many requests under way, of which the last but one reading was longer ago
 * than this, is slow: another of the same distance is preferred. */
#define CQL__SLOW_REQUESTS 10
#define CQL__SLOW_MS       200

/* Requests that wait for a connection are looked at in turn, so many of them at most in vain. */
#define CQL__LINE_LOOK 256

/* Events that wait for a host that doesn't poll; then the oldest go and are counted. */
#define CQL__EVENTS_MAX 1024

/* Handshakes under way at once in one session: no storm when nodes come back. */
#define CQL__HANDSHAKES_MAX 32

/* Shards of one node that are believed: more than any machine has, few enough to have a connection
 * to each. */
#define CQL__SHARDS_MAX 4096

/* Connections beyond those wanted that are kept, for each shard of a node, while the server deals
 * out its shards in turn: it needn't deal so many to come round. */
#define CQL__SURPLUS_PER_SHARD 10
/* Of a shard's local ports so many are tried before the plain port is good enough: each costs a
 * few calls of the system. */
#define CQL__SOURCE_PORTS_TRIED 256
/* A shard-aware port that can't be reached, or leads to other shards, isn't used for so long. */
#define CQL__SHARD_PORT_PAUSE_MS 300000

/* A question of the control connection is answered within this, or another node is asked. */
#define CQL__CONTROL_TIMEOUT_MS 5000
/* READY waits so long for what is read of the cluster: less than Lua's connect() adds to
 * connect_timeout_ms, so that it never fails for this. */
#define CQL__READY_WAIT_MS 400
/* What changes the cluster comes as several events: the topology is read once for them. */
#define CQL__DEBOUNCE_MS 1000

/* What changes client routes comes as several events, and is wanted soon: who has moved can't be
 * reached until then. */
#define CQL__ROUTES_DEBOUNCE_MS 100
/* Routes of so many nodes are believed: more than clusters have. */
#define CQL__CLIENT_ROUTES_MAX 16384
/* Connection ids: ScyllaDB allows no more keys in a question. */
#define CQL__CLIENT_ROUTE_IDS_MAX 100

/* Replicas of one tablet that are believed. */
#define CQL__TABLET_REPLICAS_MAX 1000
/* Nodes that tablets may live on; more than clusters have, few enough to be looked through. */
#define CQL__TABLET_OWNERS_MAX 4096

/* Shapes of rows that a session remembers beside those of prepared statements. */
#define CQL__SHAPES_MAX 256

/* Timestamps further ahead of the clock than this are told of, at most so often. */
#define CQL__DRIFT_US         1000000
#define CQL__DRIFT_WARNING_MS 10000

/* Steps in a row that leave something unread, after which deadlines are looked at all the same: one
 * connection that never runs dry must not keep the others' requests from timing out. What a socket
 * had buffered when the first of them began has been read by then. */
#define CQL__UNREAD_STEPS_MAX 16

/* How late a step must be for silence not to be held against the peers: the host slept. */
#define CQL__OVERSLEPT_MS 500

_Static_assert(CQL__SLAB_SEGMENT >= 8 + 131071 + 4, "a slab holds a whole segment");
_Static_assert(CQL__REFERENCE_MIN >= CQL__RESULT_COPY_MAX, "small bodies are copied both ways");

#endif
