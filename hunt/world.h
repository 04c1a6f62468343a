/* World: one run of a script: the simulated cluster, the sessions on it, what they were asked. */
#ifndef HUNT_WORLD_H
#define HUNT_WORLD_H

#include "cql_sim.h"
#include "script.h"

enum {
  ROWS = 64,
  COUNTERS = 8,
  NODES_MAX = 8,
  GUESTS_MAX = 3,
  SLOTS = 8192,
  HELD_MAX = 16,
  LATE_MAX = 8
};
enum { MILLISECOND = 1000, SECOND = 1000000 };
enum { TIMEOUT_MS = 20000, LAZY_MS = 25000, HEARTBEAT_MS = 2000, RECONNECT_MAX_MS = 2000 };
enum { FRAME_MAX = 4096, NOWHERE = 1000 };
/* A guest's prepared statements: those that read, by fate, then the one that inserts, the one that
 * pages and the one that reads the table that changes. */
enum { STATEMENT_INSERT = FATES, STATEMENT_PAGES, STATEMENT_SHIFTING, STATEMENTS };
/* What changes the schema, by a request's key. */
enum { DEFINE_CREATE, DEFINE_DROP, DEFINE_TRUNCATE, DEFINES };
/* The tag of a session's USE; those below are slots. */
enum { TAG_USE = SLOTS };

/* One request under way. */
typedef struct asked {
  int64_t since, due;                            /* by the virtual clock */
  uint64_t lost, forgets, uses, shifts, defines; /* how many there had been */
  int32_t key, at;                               /* at: the page's first row, or which statement */
  uint8_t kind, fate, guest, open, cancelled, idempotent, keyspace;
  uint8_t early;   /* its session was not ready yet */
  uint8_t placed;  /* it must go to the nearest replica */
  uint64_t number; /* of all that were submitted */
} asked;

/* A result that is looked at again later: nothing may have touched it. */
typedef struct held {
  cql_result_t *result;
  asked of;
} held;

/* What the table that changes is like. */
typedef struct shape {
  uint8_t exists, filled, columns; /* columns: beside those that it always has */
} shape;
enum { SHAPES = 256 };

/* How near a session has been told that a node is. */
typedef struct nearness {
  uint8_t distance;      /* CQL_DISTANCE_* */
  uint32_t tag;          /* of the last question; 0: there was none */
  int64_t answer_at;     /* it is answered late; 0: it isn't */
  uint64_t ignored_from; /* the first request that must not go there */
} nearness;

/* How a node is reached that isn't where it is: through which door, and what is told of it. */
typedef struct reach {
  int door;
  uint8_t way;
} reach;

/* An answer about that, which waits; at 0: none does. */
typedef struct delayed {
  int64_t at;
  uint32_t tag;
  int node;
} delayed;

typedef struct guest {
  cql_session_t *session; /* NULL: there is none */
  cql_prepared_t *statements[STATEMENTS];
  uint8_t asked_for[STATEMENTS];
  int64_t open;
  int64_t defines; /* of them change the schema: answered, they wait until nodes agree */
  int64_t stalled_until;
  int64_t closed_by; /* it closes: CLOSED must have come; 0: it doesn't */
  int ready, closed;
  uint64_t lost; /* connections */
  uint64_t uses; /* of USE: submitted */
  int use_open, use_cancelled, keyspace, use_keyspace;
  int64_t use_since;
  nearness near[NODES_MAX];
  delayed late[LATE_MAX];
  uint32_t strayed; /* keys: one who has none of a tablet was asked, and has told where it is */
} guest;

/* Why something may go wrong that was not asked for. */
enum { CAUSE_LOSS, CAUSE_SLOW, CAUSE_DOWN, CAUSES };

typedef struct world {
  script script;
  uint64_t random;
  cql_sim_t *sim;
  guest guests[GUESTS_MAX];
  int guest_count, contact_count, node_count;
  asked slots[SLOTS];
  uint32_t slots_used, slot_from; /* none from the first on was ever used */
  int64_t open, submitted, scanned_at, steps;
  int64_t given_up; /* cancelled or timed out: their answers may be overdue */
  held held[HELD_MAX];
  int rules[FATES];      /* -1: none */
  int64_t played[FATES]; /* by rules that are gone */
  int ending;            /* what has closed isn't opened again */
  int calm;              /* rules are gone, nothing stands in the way */
  int64_t until[CAUSES];
  uint64_t forgets; /* how often a node forgot its statements */
  uint64_t epoch;   /* counts what the hosts think of how near nodes are */
  int has_tablets, moves;
  reach reach[NODES_MAX];
  int doors;            /* given out beside the first ones */
  uint64_t untold;      /* how often a host may have left it to the node's own address */
  shape shapes[SHAPES]; /* the newest, by the number of the change */
  uint64_t shifts, defines;
  uint8_t shards[NODES_MAX];
  int exhausted; /* so many sockets are still to fail */
  uint8_t host_ids[NODES_MAX][16];
  uint8_t spoilt[NODES_MAX]; /* until it is repaired */
  int cut_from[NODES_MAX];   /* which place, or NOWHERE */
  int64_t node_stalled[NODES_MAX];
  int64_t acknowledged[COUNTERS], unknown[COUNTERS];
  char ids[ROWS][2][16]; /* of statements: each keyspace has its own */
} world;

extern world w;

/* ---- world.c ---- */

/* Runs it whole. 0, or 1: a violation, told in the report. */
int world_run(const script *s, int tell);
/* Until `until`, or something has been stepped: 1. */
int world_turn(int64_t until);
void world_run_for(int64_t us);
/* Runs until nothing is open; that it takes longer is a violation. */
void world_end(const char *what, int64_t ms);
void world_cql(const char *text);
/* The rows of ks.t (0) or other.t (1). */
void world_fill(int keyspace);
/* A node that starts. */
int world_add_node(void);
/* The replication of the keyspaces with so many copies in each datacenter. */
const char *world_replication(int64_t copies);
static inline int64_t world_now(void) { return cql_sim_now(w.sim); }
static inline int64_t world_chance(int64_t below) {
  w.random += 0x9e3779b97f4a7c15u;
  uint64_t z = (w.random ^ (w.random >> 32)) * 0xd6e8feb86659fd93u;
  return (int64_t)((z ^ (z >> 32)) % (uint64_t)below);
}

/* ---- guest.c ---- */

void guest_open(guest *g);
/* All at once, whatever is under way. */
void guest_free(guest *g);
void guest_close(guest *g, int drain_ms);
void guest_use(guest *g);
void guest_use_cancel(guest *g);
void guest_poll(guest *g);
/* How many requests may be under way on a connection. */
int64_t guest_streams(void);
static inline int guest_serves(const guest *g) { return g->session && !g->closed_by; }

/* ---- load.c ---- */

/* The length of a key's value in a keyspace (0, 1), and the value. */
size_t load_content(int keyspace, int key, char *out);
/* Submits one; 0: there was no room, or nobody to ask. */
int load_submit(guest *g, const wish *what, int at, const cql_slice_t *state);
/* The next of the script's. */
int load_next(void);
void load_prepare(guest *g);
void load_complete(guest *g, const cql_completion_t *c);
void load_cancel(uint32_t slot);
/* Looks at what is held again, and lets it go. */
void load_let_go(void);

/* ---- fault.c ---- */

void fault_rules(void);
void fault_rules_remove(void);
int64_t fault_played(int fate);
void fault_play(const step *s, int64_t index);
/* It comes back with another number of shards. */
void fault_reshard(int node, int64_t how);
/* A host leads a connection astray. */
void fault_unreached(void);
/* All nodes run and are reached again. */
void fault_repair(void);
/* Connections are replaced now. */
void fault_replaces(void);
/* Looks at what has failed since the last time. */
void fault_watch(void);
/* Did it hold at any time since then? */
int fault_since(int cause, int64_t since);

/* ---- place.c ---- */

void place_begin(guest *g);
/* Of the world's nodes; -1: it was one before it moved, or is a contact point. */
int place_number(const cql_node_t *node);
void place_asked(guest *g, const cql_completion_t *c);
/* What is to be answered late, and is due. */
void place_answer(guest *g);
void place_refresh(void);
/* Of a key of ks.t. */
int64_t place_token(int key);
uint8_t place_distance(const guest *g, int node);
/* Would a request of this key, submitted now, find room on its replica's connection, whatever else
 * is under way? */
int place_is_sure(guest *g, int key);
/* Where a request would go is in order. */
void place_judge_plan(const guest *g, const asked *a, cql_request_t *request);
void place_judge_answer(guest *g, const asked *a, const cql_completion_t *c);
/* Nothing has happened for a while: sessions know who is there, and send to the nearest replica. */
void place_judge(void);

/* ---- reach.c ---- */

/* The contact points. */
void reach_points(char *out, size_t size);
/* Of a node that is new. */
void reach_begin(int node);
/* It is reached elsewhere, or (1) not at all until it is repaired. */
int reach_change(int node, uint64_t how);
void reach_repair(int node);
void reach_asked(guest *g, const cql_completion_t *c);
/* What is to be answered late, and is due. */
void reach_answer(guest *g);
/* Nothing is dialled that nobody told of. */
void reach_judge(const cql_sim_counters_t *counters);

/* ---- shift.c ---- */

/* One change, and back to how readers find all. */
void shift_play(uint64_t how);
void shift_restore(void);
/* Wasn't there at some time since then? */
int shift_was_gone(const asked *a);
void shift_judge(const asked *a, cql_result_t *result);
static inline int shift_is_read(const asked *a) {
  return a->kind == KIND_SHIFTING || a->kind == KIND_BOUND_SHIFTING;
}

/* ---- judge.c ---- */

/* How many connections a session has where nothing stands in the way. */
int64_t judge_wanted(const guest *g);
void judge_step(guest *g);
void judge_overdue(void);
void judge_answer(const guest *g, const asked *a, const cql_completion_t *c);
void judge_content(const asked *a, cql_result_t *result);
/* Nothing is asked any more: what must have come back to where it began. */
void judge_rest(int fresh);
void judge_nodes(void);

#endif
