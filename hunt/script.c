#include "script.h"

#include <stdlib.h>
#include <string.h>

#include "chance.h"

enum { NODES_MAX = 5, KEYS = 64 };
enum { PURPOSE_STEP = 1, PURPOSE_WISH = 2 };

static const struct {
  const char *name;
  int64_t smallest;
} dimensions[] = {
#define DIMENSION_ROW(name, smallest) {#name, smallest},
    DIMENSION_MAP(DIMENSION_ROW)
#undef DIMENSION_ROW
};
static const char *const step_names[] = {
#define STEP_NAME(name, text) text,
    STEP_MAP(STEP_NAME)
#undef STEP_NAME
};
static const char *const fate_names[] = {
#define FATE_NAME(name, text) text,
    FATE_MAP(FATE_NAME)
#undef FATE_NAME
};
static const char *const kind_names[] = {
#define KIND_NAME(name, text) text,
    KIND_MAP(KIND_NAME)
#undef KIND_NAME
};

const char *script_dimension(int dimension) { return dimensions[dimension].name; }
int64_t script_smallest(int dimension) { return dimensions[dimension].smallest; }
const char *script_step_name(int kind) { return step_names[kind]; }
const char *script_fate_name(int fate) { return fate_names[fate]; }
const char *script_kind_name(int kind) { return kind_names[kind]; }

/* ---- dimensions ---- */

static int64_t some_of(uint64_t *state, int count) {
  return (int64_t)(chance_next(state) & chance_next(state)) & (BIT(count) - 1);
}

/* What can't be together. An answer that comes twice may be taken for its stream's next owner's
 * where anything lies between the two: no driver could tell. */
static void reconcile(script *s) {
  int64_t *fates = &OF(s, fates), *kinds = &OF(s, kinds);
  if (*fates & BIT(FATE_TWICE)) {
    OF(s, split) = 0;
    *kinds &= ~(BIT(KIND_EXECUTE) | BIT(KIND_BOUND_BATCH) | BIT(KIND_BOUND_PAGES) |
                BIT(KIND_BOUND_SHIFTING) | BIT(KIND_DEFINE)); /* these ask on as soon as answered */
    if (OF(s, depth) > 40) OF(s, depth) = 40;
  }
  /* Where pieces are late one by one a small window makes heartbeats wait behind bodies. */
  if (OF(s, slow) == SLOW_SOMETIMES && OF(s, split)) OF(s, window) = 0;
  if (OF(s, shards)) OF(s, version) = 4;
  if (!OF(s, discover)) OF(s, ask) = OF(s, home) = OF(s, reached) = 0; /* nobody tells of nodes */
  *fates |= BIT(FATE_GOOD);
  *kinds |= BIT(KIND_READ);
}

static void draw_load(script *s, uint64_t *state) {
  static const int64_t depths[] = {1, 8, 40, 200, 1000, 4000};
  OF(s, depth) = depths[chance_below(state, 6)];
  OF(s, sessions) = chance_below(state, 3) ? 1 : 2 + chance_below(state, 2);
  OF(s, kinds) = (int64_t)(chance_next(state) | chance_next(state)) & (BIT(KIND_SETUP) - 1);
  OF(s, timeouts) = chance_below(state, 3) == 0;
  if (chance_below(state, 6) == 0) {
    OF(s, streams) = 1 + chance_below(state, 8);
    if (OF(s, depth) > 40) OF(s, depth) = 40;
  }
  if (chance_below(state, 6) == 0) OF(s, slots) = 1 + chance_below(state, OF(s, depth));
}

void script_draw(script *s, uint64_t seed) {
  uint64_t state = seed * 77 + 5;
  memset(s, 0, sizeof *s);
  s->seed = seed;
  s->kept_count = -1;
  OF(s, nodes) = 1 + chance_below(&state, NODES_MAX);
  draw_load(s, &state);
  OF(s, faults) = some_of(&state, STEPS);
  OF(s, fates) = some_of(&state, FATES);
  if (chance_below(&state, 4) == 0) OF(s, faults) = OF(s, fates) = 0;
  OF(s, version) = 3 + chance_below(&state, 3);
  OF(s, mixed) = chance_below(&state, 4) == 0;
  OF(s, shards) = chance_below(&state, 4) == 0 ? 1 + chance_below(&state, 4) : 0;
  OF(s, copies) = 1 + chance_below(&state, 3);
  OF(s, lz4) = chance_below(&state, 3) == 0;
  OF(s, auth) = chance_below(&state, 5) == 0;
  OF(s, split) = chance_below(&state, 4) == 0 ? 1 + chance_below(&state, 300) : 0;
  OF(s, slow) = chance_below(&state, SLOWS);
  OF(s, frames) = chance_below(&state, 8) == 0;
  OF(s, connections) = 1 + (chance_below(&state, 3) == 0) * chance_below(&state, 3);
  OF(s, window) = chance_below(&state, 4) == 0 ? 4000 + chance_below(&state, 20000) : 0;
  OF(s, discover) = chance_below(&state, 4) != 0;
  OF(s, datacenters) = 1 + chance_below(&state, 2);
  OF(s, racks) = 1 + chance_below(&state, 3);
  OF(s, home) = chance_below(&state, HOMES);
  OF(s, ask) = chance_below(&state, 2);
  OF(s, remote) = chance_below(&state, 3);
  OF(s, agreement) = chance_below(&state, 2) * (1 + chance_below(&state, 100));
  OF(s, reached) = chance_below(&state, 2) * (1 + chance_below(&state, 2));
  reconcile(s);
  OF(s, requests) = OF(s, depth) * 20 + 500;
  s->drawn_faults = OF(s, faults);
  s->drawn_kinds = OF(s, kinds);
  s->drawn_fates = OF(s, fates);
}

/* ---- steps ---- */

static int pick_bit(int64_t mask, uint64_t number) {
  uint64_t wanted = number % (uint64_t)__builtin_popcountll((uint64_t)mask);
  while (wanted-- > 0) mask &= mask - 1;
  return __builtin_ctzll((uint64_t)mask);
}

static int is_kept(const script *s, int64_t index) {
  if (s->kept_count < 0) return 1;
  for (int32_t i = 0; i < s->kept_count; i++)
    if (s->kept[i] == index) return 1;
  return 0;
}

step script_step(const script *s, int64_t index) {
  uint64_t state = chance_at(s->seed, PURPOSE_STEP, (uint64_t)index);
  step out = {.kind = -1, .gap = 20000 + chance_below(&state, 300000)};
  uint64_t which = chance_next(&state);
  out.whom = chance_next(&state);
  out.how = chance_next(&state);
  if (!s->drawn_faults) return out;
  int kind = pick_bit(s->drawn_faults, which);
  if (OF(s, faults) & BIT(kind) && is_kept(s, index)) out.kind = kind;
  return out;
}

int script_keep(script *s, const char *text) {
  s->kept_count = 0;
  if (strcmp(text, "none") == 0) return 0;
  for (const char *at = text;; at++) {
    char *end;
    long number = strtol(at, &end, 10);
    if (end == at || number < 0 || number > UINT16_MAX || s->kept_count == KEPT_MAX) return -1;
    s->kept[s->kept_count++] = (uint16_t)number;
    at = end;
    if (!*at) return 0;
    if (*at != ',') return -1;
  }
}

/* ---- requests ---- */

/* How often, of 12,000. */
static const int fate_weights[] = {
    [FATE_OVERLOADED] = 300, [FATE_INVALID] = 300, [FATE_LATE] = 300,    [FATE_LAZY] = 40,
    [FATE_SILENT] = 60,      [FATE_ASTRAY] = 20,   [FATE_FLIPPED] = 100, [FATE_TWICE] = 200,
    [FATE_WARNED] = 300,     [FATE_GARBAGE] = 3,   [FATE_SLAMMED] = 3};

static int pick_fate(const script *s, uint64_t number) {
  int64_t left = (int64_t)(number % 12000);
  for (int fate = FATE_GOOD + 1; fate < FATES; fate++) {
    if (!(s->drawn_fates & BIT(fate))) continue;
    left -= fate_weights[fate];
    if (left < 0) return OF(s, fates) & BIT(fate) ? fate : FATE_GOOD;
  }
  return FATE_GOOD;
}

wish script_wish(const script *s, int64_t index) {
  uint64_t state = chance_at(s->seed, PURPOSE_WISH, (uint64_t)index);
  int kind = pick_bit(s->drawn_kinds, chance_next(&state));
  if (chance_below(&state, 4) && s->drawn_kinds & BIT(KIND_EXECUTE)) kind = KIND_EXECUTE;
  if (kind == KIND_DEFINE && chance_below(&state, 16)) kind = KIND_READ; /* they take long */
  wish out = {.kind = OF(s, kinds) & BIT(kind) ? kind : KIND_READ};
  out.fate = pick_fate(s, chance_next(&state));
  if (kind == KIND_PREPARE) out.fate = FATE_GOOD;
  out.key = (int)chance_below(&state, KEYS);
  out.idempotent = chance_below(&state, 2) && kind != KIND_COUNT && kind != KIND_DEFINE;
  out.small_timeout = 1 + (int)chance_below(&state, 20);
  return out;
}
