/* cql.h - the whole public API of libcql, and all that a binding may rely on.
 * Structs go by pointer only, and there are no bitfields: LuaJIT compiles no other calls.
 *
 * One thread, its host's: a session is stepped by the program that made it, nothing happens
 * between steps, and no function here ever calls back. What completes, what happened and what the
 * session asks come out of cql_poll(). docs/threading.md and docs/ownership.md are the contracts.
 *
 * Errors are negative numbers of CQL_ERROR_MAP; cql_error_name() and cql_error_text() explain
 * them. "Borrowed" pointers say until when they live. All strings are UTF-8.
 *
 * With CQL_CDEF defined the preprocessed header is what LuaJIT's ffi.cdef() reads.
 */
#ifndef CQL_H
#define CQL_H

#ifndef CQL_CDEF
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#define CQL_API __attribute__((visibility("default")))
#else
#define CQL_API
#endif
#else
#define CQL_API
#endif

#define CQL_ABI_VERSION 1

/* name, number, what it means and what to do next */
#define CQL_ERROR_MAP(XX)                                                                          \
  XX(ENOMEM, -1, "out of memory; every object is still valid, try again later")                    \
  XX(EINVAL, -2, "an argument or the order of calls is wrong; see cql.h for this call")            \
  XX(EBUSY, -3, "as many requests are under way as the limits allow; poll, then take again")       \
  XX(ECLOSED, -4, "the session closed before the request completed")                               \
  XX(ETIMEOUT, -5, "no answer within the request's timeout; the server may still act on it")       \
  XX(ECONNECTION, -6, "the connection was lost while the request was under way")                   \
  XX(ENOHOST, -7, "no node that it may go to could be reached within the request's timeout")       \
  XX(ESERVER, -8, "the server answered ERROR; see the code and message of the result")             \
  XX(EMALFORMED, -9, "the server's answer could not be decoded; this is a fault of the server")    \
  XX(EPROTOCOL, -10, "the peer broke the native protocol; the connection was closed")              \
  XX(EVERSION, -11, "no protocol version in common; see protocol_version in the config")           \
  XX(EAUTH, -12, "authentication failed; check username and password")                             \
  XX(ETLS, -13, "TLS failed; check tls_ca, tls_verify and tls_name")                               \
  XX(ECONNECT, -14, "the connection could not be opened; check address and port")                  \
  XX(ERESOLVE, -15, "a name of a contact point or of a node's endpoint has no address; check it")  \
  XX(EOPTION, -16, "unknown option or bad value; cql_config_error() says which")                   \
  XX(EFORKED, -17, "this session belongs to the parent process; make one after fork()")            \
  XX(ETOOBIG, -18, "larger than the protocol or frame_size_max allows")                            \
  XX(EUNSUPPORTED, -19, "the connection's protocol version cannot express this request")           \
  XX(EPREPARED, -20,                                                                               \
     "the statement could not be prepared again on its node, or means something "                  \
     "else there, as after USE: name the keyspace in its text, or prepare it anew")                \
  XX(EKEYSPACE, -21, "the keyspace could not be used; check its name and spelling")                \
  XX(ECLUSTER, -22, "the node belongs to another cluster than the nodes seen before")              \
  XX(EIO, -23, "the operating system refused a call; see the event's message")                     \
  XX(ECANCELLED, -24, "the request was cancelled by its host")                                     \
  XX(EVALUE, -25, "a value does not fit its CQL type")                                             \
  XX(ENOPASSWORD, -26, "the server wants a password; set username and password")                   \
  XX(EMECHANISM, -27, "the server wants more than a password; answer CQL_ASK_AUTHENTICATE")

enum {
#define CQL_ERROR_ENUM(name, number, text) CQL_##name = (number),
  CQL_ERROR_MAP(CQL_ERROR_ENUM)
#undef CQL_ERROR_ENUM
      CQL_OK = 0
};

/* [spec 3: consistency] */
enum {
  CQL_ANY = 0,
  CQL_ONE = 1,
  CQL_TWO = 2,
  CQL_THREE = 3,
  CQL_QUORUM = 4,
  CQL_ALL = 5,
  CQL_LOCAL_QUORUM = 6,
  CQL_EACH_QUORUM = 7,
  CQL_SERIAL = 8,
  CQL_LOCAL_SERIAL = 9,
  CQL_LOCAL_ONE = 10
};

/* CQL types, numbered as on the wire [spec 4.2.5.2: option]; vectors arrive as custom types */
enum {
  CQL_CUSTOM = 0x00,
  CQL_ASCII = 0x01,
  CQL_BIGINT = 0x02,
  CQL_BLOB = 0x03,
  CQL_BOOLEAN = 0x04,
  CQL_COUNTER = 0x05,
  CQL_DECIMAL = 0x06,
  CQL_DOUBLE = 0x07,
  CQL_FLOAT = 0x08,
  CQL_INT = 0x09,
  CQL_TIMESTAMP = 0x0B,
  CQL_UUID = 0x0C,
  CQL_TEXT = 0x0D,
  CQL_VARINT = 0x0E,
  CQL_TIMEUUID = 0x0F,
  CQL_INET = 0x10,
  CQL_DATE = 0x11,
  CQL_TIME = 0x12,
  CQL_SMALLINT = 0x13,
  CQL_TINYINT = 0x14,
  CQL_DURATION = 0x15,
  CQL_LIST = 0x20,
  CQL_MAP = 0x21,
  CQL_SET = 0x22,
  CQL_UDT = 0x30,
  CQL_TUPLE = 0x31,
  CQL_VECTOR = 0x100 /* no number of its own on the wire */
};

enum { CQL_NULL = -1, CQL_UNSET = -2 }; /* lengths of the two values that have no bytes */

enum { CQL_LOGGED = 0, CQL_UNLOGGED = 1, CQL_COUNTER_BATCH = 2 };

/* kinds of a completion */
enum { CQL_DONE = 1, CQL_EVENT = 2, CQL_QUESTION = 3 };

/* ScyllaDB's error of a partition that is asked too often, whatever number a node gives to it */
enum { CQL_RATE_LIMIT_ERROR = 0xF000 };

/* kinds of a result */
enum {
  CQL_RESULT_ERROR = 0,
  CQL_RESULT_VOID = 1,
  CQL_RESULT_ROWS = 2,
  CQL_RESULT_KEYSPACE = 3,
  CQL_RESULT_PREPARED = 4,
  CQL_RESULT_SCHEMA_CHANGE = 5
};

/* types of an event, and what it has; where there is a node, `address` is the node's */
enum {
  CQL_EVENT_READY = 1,             /* address: it serves, and knows where data is; comes once */
  CQL_EVENT_FAILED = 2,            /* status, message: it never will; what waited ends so; once */
  CQL_EVENT_CONNECTION_OPENED = 3, /* node, shard */
  CQL_EVENT_CONNECTION_FAILED = 4, /* node, shard, status, message: not opened, is retried */
  CQL_EVENT_CONNECTION_CLOSED = 5, /* node, shard, status, message */
  CQL_EVENT_WARNING = 6,           /* message: something a person should know */
  CQL_EVENT_CLOSED = 7,            /* cql_session_close() has finished: nothing follows */
  CQL_EVENT_NODE_ADDED = 8,        /* node: the cluster has it */
  CQL_EVENT_NODE_REMOVED = 9,      /* node: the cluster has it no more */
  CQL_EVENT_NODE_UP = 10,          /* node: the first connection to it serves */
  CQL_EVENT_NODE_DOWN = 11,        /* node, message: the last one has gone, and why */
  CQL_EVENT_NODE_MOVED = 12,       /* node: address is its new one, message the old one */
  CQL_EVENT_DISTANCE = 13,         /* node: has another distance, message names it */
  CQL_EVENT_CONTROL_OPENED = 14,   /* address: what happens in the cluster is told from there */
  CQL_EVENT_CONTROL_FAILED = 15,   /* address, status, message: another node is tried */
  CQL_EVENT_CONTROL_CLOSED = 16,   /* address, status, message: it is opened elsewhere */
  CQL_EVENT_TOPOLOGY = 17,         /* address: the nodes and tokens have been read there */
  CQL_EVENT_KEYSPACE = 18,         /* message: what all connections use now */
  CQL_EVENT_AGREEMENT = 19,        /* status 0, or ETIMEOUT: the nodes' schemas still differ; node,
                                      if one told; message: the version of its schema */
  CQL_EVENT_REPREPARED = 20,       /* address, message: a node had forgotten this statement */
  CQL_EVENT_TABLET = 21,           /* schema: keyspace and table of which one was learned */
  CQL_EVENT_RESOLVE_FAILED = 22,   /* status, message: a name has no address */
  /* what the database says, as it says it [spec 4.2.6] */
  CQL_EVENT_STATUS_CHANGE = 23,   /* address, node if known, message: UP, DOWN */
  CQL_EVENT_TOPOLOGY_CHANGE = 24, /* likewise: NEW_NODE, REMOVED_NODE, MOVED_NODE */
  CQL_EVENT_SCHEMA_CHANGE = 25    /* schema */
};

/* types of a question */
enum {
  CQL_ASK_AUTHENTICATE = 1, /* address, message: the mechanism; data: the challenge */
  CQL_ASK_DISTANCE = 2,     /* node: answered with "rack", "local", "remote" or "ignored" */
  CQL_ASK_ENDPOINT = 3      /* node, which is to be connected to: answered with "host:port"; or
                               "host:port/shard port", if it has a shard-aware one there; and with
                               " name" behind either for TLS by that name */
};

/* How near a node is: requests go to the nearest that can serve them. */
enum {
  CQL_DISTANCE_RACK = 0,
  CQL_DISTANCE_LOCAL = 1,
  CQL_DISTANCE_REMOTE = 2, /* for requests that may leave the datacenter */
  CQL_DISTANCE_IGNORED = 3 /* there are no connections to it */
};

/* flags of cql_options_t */
enum {
  CQL_OPTION_TRACING = 1,
  CQL_OPTION_IDEMPOTENT = 2,       /* twice is as good as once: sent again where it may have been */
  CQL_OPTION_TIMESTAMP = 4,        /* `timestamp` counts; else the session's generator */
  CQL_OPTION_SERVER_TIMESTAMP = 8, /* none is sent: the server's clock decides */
  CQL_OPTION_NOW_IN_SECONDS = 16,  /* `now_in_seconds` counts (v5) */
  CQL_OPTION_SKIP_METADATA = 32,   /* v3, v4: trust the metadata of the prepare; v5 always does */
  CQL_OPTION_NO_AGREEMENT = 64     /* a change of the schema isn't waited for on other nodes */
};

typedef struct cql_config_s cql_config_t;
typedef struct cql_session_s cql_session_t;   /* one owner, called from one thread */
typedef struct cql_request_s cql_request_t;   /* yours until submitted or discarded */
typedef struct cql_prepared_s cql_prepared_t; /* counted; of one session, which it may outlive */
typedef struct cql_node_s cql_node_t;         /* likewise: a server of the cluster */

/* Bytes somewhere else. length: CQL_NULL or CQL_UNSET where that is allowed. */
typedef struct cql_slice_s {
  const uint8_t *data;
  int32_t length;
} cql_slice_t;

typedef struct cql_type_s cql_type_t;
struct cql_type_s {
  int32_t kind;               /* CQL_INT ... */
  uint32_t child_count;       /* list, set, vector 1; map 2; tuple, UDT: their fields */
  const cql_type_t *children; /* child_count of them */
  const cql_slice_t *names;   /* UDT: child_count field names, else NULL */
  cql_slice_t keyspace;       /* UDT */
  cql_slice_t name;           /* UDT: its name; custom: the class */
  uint32_t dimension;         /* vector: how many elements */
  int32_t fixed_size;         /* vector: bytes of an element that carries no length, else 0 */
};

typedef struct cql_column_s {
  cql_slice_t keyspace;
  cql_slice_t table;
  cql_slice_t name;
  cql_type_t type;
} cql_column_t;

/* The shape of rows, or of a statement's bound values: immutable; lives as long as what it was
 * read from (a result until its free, a prepared statement until its unref). */
typedef struct cql_metadata_s {
  uint32_t id; /* within a session equal ids mean equal shapes: a key for caches. A shape that was
                  not seen for long may get another */
  uint32_t column_count;
  const cql_column_t *columns;
  uint32_t key_count;          /* bound values: parts of the partition key known from them */
  const uint16_t *key_indexes; /* which markers they are, in the key's order */
} cql_metadata_t;

/* One cell, taken apart. length: CQL_NULL, or the bytes of the value (0: empty).
 * boolean, tinyint .. bigint, counter, timestamp (ms), time (ns), date (days since 1970): integer;
 * float, double: real, every NaN the same; else: bytes, which live as long as the result. */
typedef struct cql_cell_s {
  union {
    int64_t integer;
    double real;
    const uint8_t *bytes;
  } as;
  int32_t length;
  int32_t reserved;
} cql_cell_t;

/* A walk through a collection, tuple, UDT or vector in place: no allocation, any depth. */
typedef struct cql_items_s {
  const cql_type_t *type;
  const uint8_t *next;
  const uint8_t *end;
  uint32_t count; /* items in all; a map counts keys and values */
  uint32_t index;
} cql_items_t;

/* What a server answered. Fields are for reading; all pointers live until cql_result_free(). */
typedef struct cql_result_s {
  int32_t kind;                   /* CQL_RESULT_* */
  int32_t error_code;             /* CQL_RESULT_ERROR: [spec 9] */
  uint32_t row_count;             /* rows in this page */
  const cql_metadata_t *metadata; /* rows: their shape; else NULL */
  cql_slice_t paging_state;       /* length CQL_NULL: the last page */
  cql_slice_t bound;              /* where pages follow an EXECUTE: its values, as
                                     cql_bind_encoded() takes them; else CQL_NULL */
  uint32_t bound_count;           /* how many they are */
  cql_slice_t message;            /* error: text; keyspace: its name */
  cql_slice_t detail;             /* error, schema change: the fields that follow, as sent */
  cql_slice_t warnings;           /* string list as sent [spec 3]; CQL_NULL: none */
  cql_slice_t payload;            /* bytes map as sent; CQL_NULL: none */
  const uint8_t *tracing_id;      /* 16 bytes, or NULL */
  int32_t protocol_version;       /* of the connection: rules the form of `detail` */
} cql_result_t;

/* The fields of an ERROR beside code and message; what an error doesn't have is 0 or CQL_NULL. */
typedef struct cql_error_detail_s {
  int32_t consistency; /* -1: none */
  int32_t received;    /* also: alive */
  int32_t required;    /* block_for */
  int32_t failures;    /* count of failed replicas */
  int32_t data_present;
  int32_t contentions;             /* v5, CAS */
  int32_t operation;               /* rate limit: 0 a read, 1 a write; -1: none */
  int32_t rejected_by_coordinator; /* rate limit: 1; 0: by a replica */
  cql_slice_t write_type;
  cql_slice_t keyspace;   /* already exists, function failure */
  cql_slice_t table;      /* already exists: table; function failure: function */
  cql_slice_t arguments;  /* function failure: string list as sent */
  cql_slice_t reasons;    /* v5: n x (inetaddr, short) as sent, without the count */
  cql_slice_t unknown_id; /* unprepared */
} cql_error_detail_t;

typedef struct cql_schema_change_s {
  cql_slice_t change; /* CREATED, UPDATED, DROPPED */
  cql_slice_t target; /* KEYSPACE, TABLE, TYPE, FUNCTION, AGGREGATE */
  cql_slice_t keyspace;
  cql_slice_t name;      /* CQL_NULL for a keyspace */
  cql_slice_t arguments; /* string list as sent; CQL_NULL where there is none */
} cql_schema_change_t;

/* All pointers live until the next cql_poll(). */
typedef struct cql_event_s {
  int32_t type;               /* CQL_EVENT_*, or CQL_ASK_* of a question */
  int32_t status;             /* CQL_E* or 0 */
  const char *address;        /* "" where none fits */
  const char *message;        /* "" where none fits */
  cql_slice_t data;           /* authenticate: the challenge; CQL_NULL at the start */
  cql_node_t *node;           /* NULL where none fits */
  int32_t shard;              /* of a connection to a ScyllaDB node; -1: none */
  cql_schema_change_t schema; /* lengths CQL_NULL where none fits */
} cql_event_t;

/* What is known of a node. Texts are borrowed: until its session is freed. */
typedef struct cql_node_info_s {
  uint8_t host_id[16];    /* zero: not known */
  const char *address;    /* "127.0.0.1:9042" */
  const char *datacenter; /* "": not known; so for the next two */
  const char *rack;
  const char *version;
  int32_t distance;     /* CQL_DISTANCE_* */
  uint32_t connections; /* that serve; 0: it is down */
  uint32_t in_flight;   /* on them; those that timed out while their answer is owed count too */
  uint32_t shards;      /* 1 but for ScyllaDB */
} cql_node_info_t;

/* A place that a request can go to. */
typedef struct cql_target_s {
  cql_node_t *node;
  int32_t shard;   /* of that node; -1: any */
  int32_t replica; /* 1: it has the rows of the request's key; 0: not known */
} cql_target_t;

typedef struct cql_completion_s {
  uint32_t tag;             /* as given to cql_submit(), or what cql_answer() needs */
  int32_t kind;             /* CQL_DONE, CQL_EVENT, CQL_QUESTION */
  int32_t status;           /* CQL_DONE: 0 or CQL_E* */
  int32_t code;             /* server's error code, CQL_EVENT_* or CQL_ASK_* */
  cql_result_t *result;     /* yours to free; NULL: VOID without anything else, or local errors */
  const cql_event_t *event; /* events and questions: until the next cql_poll() */
  const char *address;      /* "127.0.0.1:9042": whom it was sent to last, until the session's free;
                               NULL: it was not sent */
  uint32_t attempts;        /* how often it was sent */
  int32_t consistency;      /* that it asked for */
  int32_t shard;            /* of a ScyllaDB node, that it was sent to last; -1: none */
  int32_t schema_agreed;    /* of a change of the schema: 1, all nodes have it; 0: within the time
                               that there was they had not, or nobody could tell; -1: not asked */
} cql_completion_t;

/* How one request differs from its session's settings. Zero it with cql_options_init(). */
typedef struct cql_options_s {
  int32_t consistency;        /* -1: the session's */
  int32_t serial_consistency; /* -1: the session's */
  int32_t page_size;          /* 0: the session's; -1: unpaged */
  int32_t timeout_ms;         /* 0: the session's */
  uint32_t flags;             /* CQL_OPTION_* */
  int32_t now_in_seconds;
  int64_t timestamp;        /* microseconds since 1970, not negative */
  cql_slice_t paging_state; /* CQL_NULL: the first page */
  cql_slice_t keyspace;     /* of a query, prepare or batch (v5); CQL_NULL: the session's. A
                               prepared statement keeps that of its prepare */
  cql_slice_t payload;      /* bytes map as on the wire (v4+); CQL_NULL: none */
} cql_options_t;

/* Counters since the session began, and the state of now. */
typedef struct cql_metrics_s {
  uint64_t requests;  /* submitted */
  uint64_t completed; /* polled or waiting to be polled */
  uint64_t timeouts;
  uint64_t retries; /* sent again: after UNPREPARED, an error that allows it, a lost connection */
  uint64_t bytes_sent;
  uint64_t bytes_received;
  uint64_t writes; /* calls to the socket */
  uint64_t reads;
  uint64_t connections_opened;
  uint64_t connections_failed;
  uint64_t connections_lost;
  uint64_t unknown_streams; /* answers and events that nobody waited for */
  uint64_t events_dropped;
  uint64_t tablets_refused;   /* payloads that said where a tablet is, and can't be read */
  uint64_t statements_warmed; /* prepared on a node before a request needed them there */
  uint64_t features_refused;  /* what ScyllaDB nodes offered and was not understood */
  uint32_t in_flight;         /* on a connection, those of `own` included */
  uint32_t queued;            /* waiting for one */
  uint32_t taken;             /* request slots in use, but for those of `own` */
  uint32_t own;               /* slots that the session uses for itself: to prepare statements
                                 beforehand, to ask about the schema */
  uint32_t orphans;           /* timed out, their answers still owed */
  uint32_t connections;       /* open and serving */
  uint32_t protocol_version;  /* negotiated; 0: not yet */
} cql_metrics_t;

/* ---- library ---- */

/* CQL_ABI_VERSION of the library; a binding compares it with its own before any other call. */
CQL_API uint32_t cql_abi_version(void);
/* "0.1.0": static text. */
CQL_API const char *cql_version(void);
/* "ETIMEOUT" for CQL_ETIMEOUT; "unknown" for what is none: static text. */
CQL_API const char *cql_error_name(int error);
/* The sentence of CQL_ERROR_MAP: static text. */
CQL_API const char *cql_error_text(int error);
/* "READ_TIMEOUT" for 0x1200 [spec 9], "RATE_LIMIT_ERROR" for
 * CQL_RATE_LIMIT_ERROR; "UNKNOWN" for what is none: static text. */
CQL_API const char *cql_server_error_name(int code);
/* Replaces the allocator, or (all NULL) puts the C library's back. All three or none; each behaves
 * as its namesake. Before anything else: what one allocated the next would release. CQL_EINVAL
 * while a session lives; configurations, results and statements are the caller's to watch. */
CQL_API int cql_set_allocator(void *(*allocate)(size_t), void *(*reallocate)(void *, size_t),
                              void (*release)(void *));

/* ---- configuration ---- */

/* A configuration with all defaults; yours to free, also after cql_session_new(). NULL: no memory.
 */
CQL_API cql_config_t *cql_config_new(void);
/* Sets one option by name; docs/options.md lists all with units and defaults. Both texts are
 * borrowed. CQL_EOPTION: unknown name or bad value; CQL_ENOMEM; the configuration is as before.
 * Secrets are wiped when it is freed. */
CQL_API int cql_config_set(cql_config_t *config, const char *name, const char *value);
/* Why the last cql_config_set() or cql_session_new() failed, until the next one: "unknown option
 * ...; did you mean ...". "": it didn't, or there was no memory. */
CQL_API const char *cql_config_error(const cql_config_t *config);
/* The name of option `index`, counted from 0; NULL past the last: static text. */
CQL_API const char *cql_config_option(uint32_t index);
CQL_API void cql_config_free(cql_config_t *config);

/* ---- session ---- */

/* Starts connecting and returns at once; the event READY or FAILED follows. Requests may be
 * submitted before it. The configuration is copied. On failure *out is NULL and nothing stays
 * allocated: CQL_EOPTION, CQL_ETLS, CQL_EIO (see cql_config_error()), CQL_ENOMEM. */
CQL_API int cql_session_new(const cql_config_t *config, cql_session_t **out);
/* A descriptor to wait on until it is readable, together with cql_session_timeout(). The session's;
 * the same until its free. */
CQL_API int cql_session_fd(const cql_session_t *session);
/* Milliseconds until the session wants a step by a fresh clock: 0 at once, -1 never. It is 0 while
 * anything is ready that the descriptor does not show. Ask again after each submit, flush and
 * poll, before sleeping. In a forked child 0: the step says CQL_EFORKED. */
CQL_API int cql_session_timeout(cql_session_t *session);
/* Flushes, then reads, delivers, and expires what is late. Waits at most `wait_ms` for something
 * to happen (0: never; -1: until it does), and not at all while completions wait to be polled.
 * 0, or CQL_E* when the operating system refuses. */
CQL_API int cql_session_step(cql_session_t *session, int wait_ms);
/* Hands everything submitted to the sockets, one write per connection, and starts its time-outs. A
 * step does it too. */
CQL_API int cql_session_flush(cql_session_t *session);
/* Takes up to `max` completions, events and questions; how many, 0 if none wait. Every submitted
 * request comes out exactly once. Events of the call before are gone. */
CQL_API int cql_poll(cql_session_t *session, uint32_t max, cql_completion_t *out);
/* Answers a question by its tag. `data` is borrowed; a length of CQL_NULL declines: then, and when
 * question_timeout_ms have passed since it was polled, the native default is taken. CQL_EINVAL:
 * answered already, too late, or no answer to that question.
 * CQL_ASK_AUTHENTICATE: the token; by default PLAIN with the configured username and password.
 * CQL_ASK_DISTANCE: its name; by default what local_datacenter and local_rack say.
 * CQL_ASK_ENDPOINT: where the node is reached from here, asked for each connection anew, that for
 * control too, and never kept; by default at the node's own address, with a warning where nobody
 * answered. A host that is no address is looked up, and is the name for TLS where neither the
 * answer nor the configuration has one. The shard-aware port is dialled from local ports that
 * choose the shard, which must arrive as they are. */
CQL_API int cql_answer(cql_session_t *session, uint32_t tag, const uint8_t *data, int32_t length);
/* Takes nothing new, lets what is under way finish for at most `drain_ms`, ends the rest with
 * CQL_ECLOSED, and has the event CLOSED polled after all completions. Keep stepping and polling
 * until it comes. Another call sets the drain's time anew. */
CQL_API int cql_session_close(cql_session_t *session, int drain_ms);
/* Frees at once, in any state, also in a forked child (which closes descriptors and nothing
 * else). What is under way is not told of. Results and prepared statements live on until they are
 * freed; requests that were taken and not submitted go. NULL is nothing. */
CQL_API void cql_session_free(cql_session_t *session);
CQL_API int cql_session_metrics(const cql_session_t *session, cql_metrics_t *out);
/* USE on all connections, and on each new one before it serves. Completes with `tag`: 0; with
 * CQL_EKEYSPACE it was accepted by one connection and refused by another, which was closed; with
 * any other status the keyspace is as before. `keyspace` is borrowed for the call and quoted as it
 * stands, so it is case-sensitive. CQL_EBUSY: one is under way; CQL_EINVAL: no name, or longer than
 * 200 bytes; CQL_ECLOSED, CQL_ENOMEM.
 * Statements that were prepared before keep their meaning. One that names no keyspace in its text
 * is prepared again as before on v5; on v3 and v4 a node that doesn't know it ends its requests
 * with CQL_EPREPARED. */
CQL_API int cql_session_use(cql_session_t *session, const char *keyspace, size_t length,
                            uint32_t tag);
/* Do the nodes agree on the schema? Asks one of them every schema_agreement_interval_ms until they
 * do, for `timeout_ms`; 0: once. Nodes that are down or ignored don't count. Completes with `tag`:
 * 0; or CQL_ETIMEOUT, `schema_agreed` then being 0: they were seen to differ; -1: nobody could
 * tell. (A request that changes the schema waits like this by itself, on the node that made the
 * change, until schema_agreement_ms or its own timeout have passed; then it completes, with its
 * result, in any case.) CQL_EINVAL: a negative time; CQL_ECLOSED, CQL_ENOMEM. */
CQL_API int cql_session_agreement(cql_session_t *session, int timeout_ms, uint32_t tag);
/* Readable state for people: nodes, connections, streams. Writes at most `size` bytes with a final
 * NUL; the full length as snprintf() would say. Not for parsing. */
CQL_API int cql_session_dump(const cql_session_t *session, char *out, size_t size);

/* ---- nodes ---- */

/* The nodes of the cluster in no order, at most `max` of them, each with a reference that is yours
 * to unref. How many there are. */
CQL_API uint32_t cql_session_nodes(const cql_session_t *session, uint32_t max, cql_node_t **out);
CQL_API cql_node_t *cql_node_ref(cql_node_t *node);
/* NULL is nothing. */
CQL_API void cql_node_unref(cql_node_t *node);
/* Of one that has left the cluster what was known of it. CQL_ECLOSED: its session was freed. */
CQL_API int cql_node_info(const cql_node_t *node, cql_node_info_t *out);
/* Reads the nodes and tokens again; the event TOPOLOGY follows. CQL_EUNSUPPORTED: the contact
 * points are all the nodes (`discover` is false). */
CQL_API int cql_session_refresh(cql_session_t *session);
/* Asks for the distance of every node once more, where CQL_ASK_DISTANCE is answered. */
CQL_API int cql_session_refresh_distances(cql_session_t *session);

/* ---- requests: take, say what, bind, submit (or discard) ---- */

/* A request of this session's, yours until it is submitted or discarded. CQL_EBUSY: as many are
 * taken and not yet polled as `requests_max` allows; CQL_ECLOSED, CQL_ENOMEM. What a call below
 * refuses leaves the request as it was. */
CQL_API int cql_request_take(cql_session_t *session, cql_request_t **out);
/* Gives a taken request back unsent. NULL, or one that was submitted, is nothing. */
CQL_API void cql_request_discard(cql_request_t *request);
/* What it says, once and before its values; borrowed for the call. CQL_EINVAL: it says something
 * already; CQL_ETOOBIG, CQL_ENOMEM. So for the three that follow. */
CQL_API int cql_request_query(cql_request_t *request, const char *text, size_t length);
/* Asks the server to prepare `text`; the result is of kind PREPARED. */
CQL_API int cql_request_prepare(cql_request_t *request, const char *text, size_t length);
/* Executes a statement that this session prepared (else CQL_EINVAL); the request holds a reference
 * of its own. */
CQL_API int cql_request_execute(cql_request_t *request, cql_prepared_t *prepared);
/* A batch of CQL_LOGGED, CQL_UNLOGGED or CQL_COUNTER_BATCH; then add 1 to 65,535 statements. */
CQL_API int cql_request_batch(cql_request_t *request, int type);
/* Adds a statement with its values, encoded as for cql_bind_encoded(). Borrowed for the call; a
 * prepared one is referenced. CQL_EINVAL, CQL_ETOOBIG, CQL_ENOMEM. */
CQL_API int cql_batch_add_query(cql_request_t *request, const char *text, size_t length,
                                const uint8_t *encoded, size_t size, uint32_t count);
CQL_API int cql_batch_add_prepared(cql_request_t *request, cql_prepared_t *prepared,
                                   const uint8_t *encoded, size_t size, uint32_t count);
/* The values of a query or execute, in order; borrowed for the call. At most 65,535. Fewer than
 * a prepared statement has markers: the rest are unset (v3: null). Call once, before cql_submit().
 * CQL_EINVAL, CQL_ETOOBIG, CQL_ENOMEM. */
CQL_API int cql_bind(cql_request_t *request, const cql_slice_t *values, uint32_t count);
/* The same with the marker's name for each value; for cql_request_query() alone. */
CQL_API int cql_bind_named(cql_request_t *request, const cql_slice_t *names,
                           const cql_slice_t *values, uint32_t count);
/* The same, already as on the wire: per value int length, bytes [spec 3: value]. The lengths are
 * checked against `encoded`. */
CQL_API int cql_bind_encoded(cql_request_t *request, const uint8_t *encoded, size_t size,
                             uint32_t count);
/* Optional, once; `options` is borrowed for the call. CQL_EINVAL: a field is out of its bounds;
 * CQL_ETOOBIG, CQL_ENOMEM. */
CQL_API int cql_request_options(cql_request_t *request, const cql_options_t *options);
/* Sends it to that node of its session's alone, which is referenced, and to that shard (-1: any);
 * without a connection to it it ends with CQL_ENOHOST. NULL: to any node, as by default.
 * CQL_EINVAL: a node of another session, no shard of it, or the request was submitted. */
CQL_API int cql_request_target(cql_request_t *request, cql_node_t *node, int32_t shard);
/* The partition key that it is about, part by part and encoded as values are, where no prepared
 * statement tells: it goes to a replica in the keyspace of its statement's table, if prepared, else
 * of its options, else of the session. Once, before it is submitted; borrowed for the call.
 * CQL_EVALUE: this can't be a key. CQL_EINVAL, CQL_ENOMEM. */
CQL_API int cql_request_routing_key(cql_request_t *request, const cql_slice_t *parts,
                                    uint32_t count);
/* The same by a token of Murmur3Partitioner. */
CQL_API int cql_request_token(cql_request_t *request, int64_t token);
/* Where it would go, once its values are bound: the replicas of its key nearest first, at equal
 * distance in the ring's order; then the other nodes, nearest first. Among equals the session
 * prefers those that are up and less busy. Nodes that are ignored, or too far for its consistency,
 * are not there. At most `max` of them, each with a reference that is yours to unref. How many
 * there are. */
CQL_API uint32_t cql_request_plan(cql_request_t *request, uint32_t max, cql_target_t *targets);
/* Fills in "as the session says" everywhere. */
CQL_API void cql_options_init(cql_options_t *options);
/* Takes the request, always; what goes wrong from here on is its completion, never from inside
 * this call. `tag` comes back with it; any number. It is sent by the next flush or step, or at
 * once where 64 KiB have gathered. */
CQL_API void cql_submit(cql_request_t *request, uint32_t tag);
/* Ends every submitted request of this tag with CQL_ECANCELLED (their answers are awaited and
 * dropped). How many there were. */
CQL_API int cql_cancel(cql_session_t *session, uint32_t tag);

/* ---- prepared statements ---- */

/* The statement of a result of kind PREPARED, with a reference of its own; NULL for other kinds. */
CQL_API cql_prepared_t *cql_result_prepared(cql_result_t *result);
CQL_API cql_prepared_t *cql_prepared_ref(cql_prepared_t *prepared);
CQL_API void cql_prepared_unref(cql_prepared_t *prepared);
/* The bound values' shape; until the last unref. */
CQL_API const cql_metadata_t *cql_prepared_parameters(const cql_prepared_t *prepared);
/* The rows' shape; column_count 0 if it gives none. Until the next cql_session_step(): an answer
 * may bring another. */
CQL_API const cql_metadata_t *cql_prepared_columns(const cql_prepared_t *prepared);
/* 1: a ScyllaDB node marked it as a lightweight transaction: a conditional statement, or a batch
 * of such; 0: it isn't one, or nothing is known. */
CQL_API int cql_prepared_is_lwt(const cql_prepared_t *prepared);
/* Until the last unref. */
CQL_API void cql_prepared_text(const cql_prepared_t *prepared, cql_slice_t *out);
/* Until the next cql_session_step(): after USE nodes may give it another. */
CQL_API void cql_prepared_id(const cql_prepared_t *prepared, cql_slice_t *out);

/* ---- results ---- */

/* Takes apart the next rows, at most `max_rows` of them, into `out` (max_rows x column_count
 * cells, row after row). How many rows; 0 at the end; CQL_EMALFORMED. No bytes are copied. */
CQL_API int cql_result_cells(cql_result_t *result, uint32_t max_rows, cql_cell_t *out);
/* Before the first row again. */
CQL_API void cql_result_rewind(cql_result_t *result);
/* The fields of an ERROR. CQL_EMALFORMED: what could be read is in *out. */
CQL_API int cql_result_error(const cql_result_t *result, cql_error_detail_t *out);
CQL_API int cql_result_schema_change(const cql_result_t *result, cql_schema_change_t *out);
CQL_API void cql_result_free(cql_result_t *result);

/* ---- values ---- */

/* Takes one value of `type` apart. CQL_EMALFORMED: not a value of that type. */
CQL_API int cql_cell_decode(const cql_type_t *type, const uint8_t *bytes, int32_t length,
                            cql_cell_t *out);
/* Starts a walk through a list, set, map, tuple, UDT or vector. CQL_EMALFORMED, CQL_EINVAL. */
CQL_API int cql_items_open(const cql_type_t *type, const uint8_t *bytes, int32_t length,
                           cql_items_t *out);
/* The next item (a map's come as key, value, key ...; a field that is missing is null).
 * 1, 0 at the end, CQL_EMALFORMED. */
CQL_API int cql_items_next(cql_items_t *items, cql_cell_t *out);
/* Canonical text of 16 bytes: 36 characters and a NUL. */
CQL_API void cql_uuid_to_text(const uint8_t *bytes, char *out);
CQL_API int cql_uuid_from_text(const char *text, size_t length, uint8_t *out);
/* 4 or 16 bytes as text, at most 46 characters with the NUL. The length, CQL_EVALUE. */
CQL_API int cql_inet_to_text(const uint8_t *bytes, int32_t length, char *out);
/* How many bytes were written to `out` (16 are enough), CQL_EVALUE. */
CQL_API int cql_inet_from_text(const char *text, size_t length, uint8_t *out);
/* "2024-02-29" for days since 1970 (any int32 plus sign). The length without NUL; out: 20 bytes. */
CQL_API int cql_date_to_text(int64_t days, char *out);
CQL_API int cql_date_from_text(const char *text, size_t length, int64_t *days);
/* Decimal digits of a two's complement number of any length. The length without NUL; CQL_ETOOBIG
 * if `size` is too small (3 x length + 2 is enough). */
CQL_API int cql_varint_to_text(const uint8_t *bytes, int32_t length, char *out, size_t size);
/* The shortest two's complement form; how many bytes, CQL_EVALUE, CQL_ETOOBIG. */
CQL_API int cql_varint_from_text(const char *text, size_t length, uint8_t *out, size_t size);
/* [spec 5: duration] */
CQL_API int cql_duration_decode(const uint8_t *bytes, int32_t length, int32_t *months,
                                int32_t *days, int64_t *nanoseconds);
/* 1 to 27 bytes written to `out`; CQL_EVALUE if the signs differ. */
CQL_API int cql_duration_encode(int32_t months, int32_t days, int64_t nanoseconds, uint8_t *out);
/* Unsigned vint of an element's length in a vector; 1 to 9 bytes written to `out`. */
CQL_API int cql_vint_encode(uint64_t value, uint8_t *out);

/* ---- waking a host that cannot watch a descriptor (nginx) ---- */

/* Makes a unix socket in a new directory under `directory` (NULL: /tmp) and writes its path
 * (`size` bytes with NUL). The host connects to it, then calls cql_poke_accept(). What an earlier
 * call made ends by this one: a host whose connection broke begins anew. */
CQL_API int cql_poke_listen(cql_session_t *session, const char *directory, char *path, size_t size);
/* Accepts the host's own connection (checked), removes socket and directory, and starts a thread
 * that writes one byte whenever the session wants a step. It touches nothing else. */
CQL_API int cql_poke_accept(cql_session_t *session);
/* Arms it for the next wake-up; call after each step, flush and poll, before sleeping. A wake-up
 * asks for a step: what it stands for is not repeated before one was taken. */
CQL_API int cql_poke_arm(cql_session_t *session);
/* Ends the thread; the host reads the end of its connection. It may listen again later. */
CQL_API int cql_poke_stop(cql_session_t *session);

/* ---- for people ---- */

/* One message in words, as it stands on the wire (an envelope); `blank` hides what varies between
 * runs. Length as snprintf() would say. */
CQL_API int cql_message_dump(const uint8_t *envelope, size_t length, int blank, char *out,
                             size_t size);

#ifndef CQL_CDEF
#ifdef __cplusplus
}
#endif
#endif
#endif
