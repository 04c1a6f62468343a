/* Script: what a world is like and what befalls it, all drawn from its seed: dimensions, and steps
 * without end. What shrinking or the command line takes away changes nothing of the rest. */
#ifndef HUNT_SCRIPT_H
#define HUNT_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

/* What may befall a world. */
#define STEP_MAP(XX)                                                                               \
  XX(KILL, "kill")                                                                                 \
  XX(STOP, "stop")                                                                                 \
  XX(PAUSE, "pause")                                                                               \
  XX(VANISH, "vanish")                                                                             \
  XX(FORGET, "forget")                                                                             \
  XX(RESET, "reset")                                                                               \
  XX(CLOSE, "close")                                                                               \
  XX(HALF_OPEN, "half-open")                                                                       \
  XX(STALL, "stall")                                                                               \
  XX(HOST, "host-stall")                                                                           \
  XX(CUT, "cut")                                                                                   \
  XX(PARTITION, "partition")                                                                       \
  XX(ADD, "add")                                                                                   \
  XX(DECOMMISSION, "decommission")                                                                 \
  XX(TABLET, "move-tablet")                                                                        \
  XX(EXHAUST, "exhaust")                                                                           \
  XX(TELL, "tell")                                                                                 \
  XX(USE, "use")                                                                                   \
  XX(CANCEL, "cancel")                                                                             \
  XX(RENEW, "renew")                                                                               \
  XX(ABANDON, "abandon")                                                                           \
  XX(DISTANCE, "distance")                                                                         \
  XX(REFRESH, "refresh")                                                                           \
  XX(MOVE, "move")                                                                                 \
  XX(ALTER, "alter-keyspace")                                                                      \
  XX(TABLE, "alter-table")                                                                         \
  XX(SHIFT, "shift")                                                                               \
  XX(RECREATE, "recreate-table")                                                                   \
  XX(RESHARD, "reshard")                                                                           \
  XX(REROUTE, "reroute")

/* What a node does with one request, by a mark in its text: "" is as it should be. */
#define FATE_MAP(XX)                                                                               \
  XX(GOOD, "")                                                                                     \
  XX(OVERLOADED, "overloaded")                                                                     \
  XX(INVALID, "invalid")                                                                           \
  XX(LATE, "late")                                                                                 \
  XX(LAZY, "lazy")                                                                                 \
  XX(SILENT, "silent")                                                                             \
  XX(ASTRAY, "astray")                                                                             \
  XX(FLIPPED, "flipped")                                                                           \
  XX(TWICE, "twice")                                                                               \
  XX(WARNED, "warned")                                                                             \
  XX(GARBAGE, "garbage")                                                                           \
  XX(SLAMMED, "slammed")

/* What is asked; the last two are the hunt's own. */
#define KIND_MAP(XX)                                                                               \
  XX(READ, "read")                                                                                 \
  XX(EXECUTE, "execute")                                                                           \
  XX(PREPARE, "prepare")                                                                           \
  XX(BATCH, "batch")                                                                               \
  XX(BOUND_BATCH, "bound-batch")                                                                   \
  XX(PAGES, "pages")                                                                               \
  XX(BOUND_PAGES, "bound-pages")                                                                   \
  XX(BARE, "bare")                                                                                 \
  XX(COUNT, "count")                                                                               \
  XX(SHIFTING, "shifting")                                                                         \
  XX(BOUND_SHIFTING, "bound-shifting")                                                             \
  XX(DEFINE, "define")                                                                             \
  XX(SETUP, "setup")                                                                               \
  XX(TALLY, "tally")

/* name, its smallest value */
#define DIMENSION_MAP(XX)                                                                          \
  XX(requests, 1)                                                                                  \
  XX(nodes, 1)                                                                                     \
  XX(sessions, 1)                                                                                  \
  XX(depth, 1)                                                                                     \
  XX(kinds, 1)                                                                                     \
  XX(fates, 1)                                                                                     \
  XX(faults, 0)                                                                                    \
  XX(version, 5)                                                                                   \
  XX(mixed, 0)                                                                                     \
  XX(shards, 0)                                                                                    \
  XX(discover, 0)                                                                                  \
  XX(datacenters, 1)                                                                               \
  XX(racks, 1)                                                                                     \
  XX(home, 0)                                                                                      \
  XX(ask, 0)                                                                                       \
  XX(copies, 1)                                                                                    \
  XX(lz4, 0)                                                                                       \
  XX(auth, 0)                                                                                      \
  XX(split, 0)                                                                                     \
  XX(window, 0)                                                                                    \
  XX(slow, 0)                                                                                      \
  XX(timeouts, 0)                                                                                  \
  XX(streams, 0)                                                                                   \
  XX(slots, 0)                                                                                     \
  XX(frames, 0)                                                                                    \
  XX(connections, 1)                                                                               \
  XX(remote, 0)                                                                                    \
  XX(agreement, 0)                                                                                 \
  XX(reached, 0)

enum {
#define STEP_ENUM(name, text) STEP_##name,
  STEP_MAP(STEP_ENUM) STEPS
#undef STEP_ENUM
};
enum {
#define FATE_ENUM(name, text) FATE_##name,
  FATE_MAP(FATE_ENUM) FATES
#undef FATE_ENUM
};
enum {
#define KIND_ENUM(name, text) KIND_##name,
  KIND_MAP(KIND_ENUM) KINDS
#undef KIND_ENUM
};
enum {
#define DIMENSION_ENUM(name, smallest) DIMENSION_##name,
  DIMENSION_MAP(DIMENSION_ENUM) DIMENSIONS
#undef DIMENSION_ENUM
};

/* What a session is told of where it is: nothing, its datacenter, that it may leave that, its rack.
 */
enum { HOME_UNTOLD, HOME_DATACENTER, HOME_FAILOVER, HOME_RACK, HOMES };

/* Who tells how nodes are reached, whose own addresses lead nowhere then. */
enum { REACHED_PLAINLY, REACHED_BY_HOST, REACHED_BY_ROUTES };

/* How the network is. */
enum { SLOW_NOT, SLOW_SOME, SLOW_VARIES, SLOW_SOMETIMES, SLOW_EVEN, SLOWS };

#define BIT(number) ((int64_t)1 << (number))

enum { KEPT_MAX = 4096 };

typedef struct script {
  uint64_t seed;
  int64_t drawn_faults, drawn_kinds, drawn_fates; /* as the seed has them */
  int64_t dimension[DIMENSIONS];
  int32_t kept_count; /* -1: all steps */
  uint16_t kept[KEPT_MAX];
} script;

typedef struct step {
  int kind;           /* -1: nothing happens */
  int64_t gap;        /* microseconds since the one before */
  uint64_t whom, how; /* to be divided by how many there are */
} step;

typedef struct wish {
  int kind, fate, key, idempotent, small_timeout, placed;
} wish;

#define OF(s, name) ((s)->dimension[DIMENSION_##name])

void script_draw(script *s, uint64_t seed);
/* The `index`th step, from 0. */
step script_step(const script *s, int64_t index);
/* The `index`th request. */
wish script_wish(const script *s, int64_t index);

const char *script_dimension(int dimension);
int64_t script_smallest(int dimension);
const char *script_step_name(int kind);
const char *script_fate_name(int fate);
const char *script_kind_name(int kind);
/* "3,7,12" or "none" as the steps that are kept. -1: it is neither. */
int script_keep(script *s, const char *text);

#endif
