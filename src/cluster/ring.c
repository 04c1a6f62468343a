#include "cluster/ring.h"

#include "base/mem.h"

/* ---- look-up ---- */

static cql__token token_of(uint64_t high, const cql__ring_tail *tail, const uint8_t *bytes) {
  if (!tail) return (cql__token){high, 0, NULL, 0};
  return (cql__token){high, tail->low, bytes ? bytes + tail->offset : NULL, tail->size};
}

cql__token cql__ring_token(const cql__ring *ring, uint32_t range) {
  const cql__ring_tail *tail = ring->tails ? &ring->tails[range] : NULL;
  return token_of(ring->highs[range], tail, ring->bytes);
}

static int is_before(const cql__ring *ring, uint32_t range, const cql__token *token) {
  uint64_t high = ring->highs[range];
  if (high != token->high || !ring->tails) return high < token->high;
  cql__token own = cql__ring_token(ring, range);
  return cql__token_compare(&own, token) < 0;
}

/* Tokens are spread evenly, as a rule, and there is about one for each start. Where they aren't,
 * halving comes first. */
uint32_t cql__ring_find(const cql__ring *ring, const cql__token *token) {
  const uint32_t short_scan = 8;
  if (!ring->count) return 0;
  const uint32_t *start = &ring->starts[token->high >> ring->shift];
  uint32_t low = start[0], end = start[1];
  while (end - low > short_scan) {
    uint32_t middle = low + (end - low) / 2;
    if (is_before(ring, middle, token))
      low = middle + 1;
    else
      end = middle;
  }
  while (low < end && is_before(ring, low, token)) low++;
  return low == ring->count ? 0 : low;
}

void cql__ring_unref(cql__ring *ring) {
  if (!ring || --ring->refs) return;
  cql__free(ring->highs);
  cql__free(ring->owners);
  cql__free(ring->owns);
  cql__free(ring->tails);
  cql__free(ring->bytes);
  cql__free(ring->starts);
  cql__free(ring);
}

/* ---- what is gathered ---- */

/* Points join sorted runs of so many at once; the runs are merged in the steps. */
enum { RUN = 16 };

typedef struct point {
  uint64_t high;
  uint32_t owner;
  uint32_t tail; /* its index, where there are tails */
} point;

struct cql__ring_builder {
  cql__partitioner partitioner;
  uint32_t count, capacity, node_count;
  point *points, *spare;
  cql__ring_tail *tails; /* in the order in which they came; NULL: the partitioner has none */
  uint8_t *bytes;
  uint32_t byte_count, byte_capacity;
  /* merging: what is `points` goes, two runs at a time, to `spare`, and then they change places */
  uint32_t width, at, left, left_end, right, right_end;
  /* filling */
  cql__ring *ring;
  uint32_t next, start;
};

static int has_tails(cql__partitioner partitioner) {
  return partitioner == CQL__RANDOM || partitioner == CQL__BYTE_ORDERED;
}

cql__ring_builder *cql__ring_builder_new(cql__partitioner partitioner) {
  cql__ring_builder *builder = cql__zalloc(sizeof *builder);
  if (builder) *builder = (cql__ring_builder){.partitioner = partitioner, .width = RUN};
  return builder;
}

void cql__ring_builder_free(cql__ring_builder *builder) {
  if (!builder) return;
  cql__free(builder->points);
  cql__free(builder->spare);
  cql__free(builder->tails);
  cql__free(builder->bytes);
  cql__ring_unref(builder->ring);
  cql__free(builder);
}

/* Of two points that are alike in `high`. */
static int compare_rest(const cql__ring_builder *b, uint32_t tail_a, uint32_t tail_b) {
  if (!b->tails) return 0;
  cql__token x = token_of(0, &b->tails[tail_a], b->bytes);
  cql__token y = token_of(0, &b->tails[tail_b], b->bytes);
  return cql__token_compare(&x, &y);
}

static int is_less(const cql__ring_builder *b, const point *x, const point *y) {
  if (x->high != y->high) return x->high < y->high;
  int order = compare_rest(b, x->tail, y->tail);
  return order ? order < 0 : x->owner < y->owner;
}

static int make_room(cql__ring_builder *b) {
  const uint32_t count_max = UINT32_MAX / 4;
  if (b->count < b->capacity) return 0;
  if (b->count > count_max) return CQL_ENOMEM;
  uint32_t capacity = b->capacity ? b->capacity * 2 : 256;
  point *points = cql__realloc(b->points, capacity * sizeof *points);
  if (!points) return CQL_ENOMEM;
  b->points = points;
  if (has_tails(b->partitioner)) {
    cql__ring_tail *tails = cql__realloc(b->tails, capacity * sizeof *tails);
    if (!tails) return CQL_ENOMEM;
    b->tails = tails;
  }
  b->capacity = capacity;
  return 0;
}

/* For `size` bytes of a token. */
static int make_room_for_bytes(cql__ring_builder *b, size_t size) {
  if (size <= b->byte_capacity - b->byte_count) return 0;
  uint64_t capacity = ((uint64_t)b->byte_count + size) * 2;
  if (capacity > UINT32_MAX) return CQL_ENOMEM;
  uint8_t *bytes = cql__realloc(b->bytes, (size_t)capacity);
  if (!bytes) return CQL_ENOMEM;
  b->bytes = bytes;
  b->byte_capacity = (uint32_t)capacity;
  return 0;
}

/* There is room, and its bytes are the next ones already. */
static void add(cql__ring_builder *b, const cql__token *token, uint32_t owner) {
  point new = {token->high, owner, b->count};
  if (b->tails) b->tails[b->count] = (cql__ring_tail){token->low, b->byte_count, token->size};
  b->byte_count += token->size;
  uint32_t first = b->count - b->count % RUN, i = b->count++;
  for (; i > first && is_less(b, &new, &b->points[i - 1]); i--) b->points[i] = b->points[i - 1];
  b->points[i] = new;
  if (owner >= b->node_count) b->node_count = owner + 1;
}

int cql__ring_builder_add(cql__ring_builder *b, const cql__token *token, uint32_t owner) {
  if (make_room(b) < 0 || make_room_for_bytes(b, token->size) < 0) return CQL_ENOMEM;
  if (token->size) memcpy(b->bytes + b->byte_count, token->bytes, token->size);
  add(b, token, owner);
  return 0;
}

int cql__ring_builder_add_text(cql__ring_builder *b, cql_slice_t text, uint32_t owner) {
  cql__token token;
  size_t room =
      b->partitioner == CQL__BYTE_ORDERED && text.length > 0 ? (size_t)text.length / 2 : 0;
  if (make_room(b) < 0 || make_room_for_bytes(b, room) < 0) return CQL_ENOMEM;
  uint8_t *bytes = b->bytes ? b->bytes + b->byte_count : NULL;
  if (cql__token_parse(b->partitioner, text, bytes, &token) < 0) return CQL_EVALUE;
  add(b, &token, owner);
  return 0;
}

/* ---- merging ---- */

static uint32_t at_most(uint64_t wanted, uint32_t limit) {
  return wanted < limit ? (uint32_t)wanted : limit;
}

static void next_runs(cql__ring_builder *b) {
  b->left = b->at;
  b->left_end = b->right = at_most((uint64_t)b->at + b->width, b->count);
  b->right_end = at_most((uint64_t)b->right + b->width, b->count);
}

/* What is left of the budget, once these two runs, or it, are at their end. Which run gives the
 * next is a toss-up: chosen by arithmetic rather than by a jump it takes a third less. */
static uint32_t merge_runs(cql__ring_builder *b, uint32_t budget) {
  const point *left = b->points + b->left, *left_end = b->points + b->left_end;
  const point *right = b->points + b->right, *right_end = b->points + b->right_end;
  point *out = b->spare + b->at;
  while (budget && left < left_end && right < right_end) {
    int from_right = right->high < left->high;
    if (right->high == left->high) from_right = is_less(b, right, left);
    *out++ = *(from_right ? right : left);
    left += !from_right;
    right += from_right;
    budget--;
  }
  if (left == left_end || right == right_end) {
    for (; budget && left < left_end; budget--) *out++ = *left++;
    for (; budget && right < right_end; budget--) *out++ = *right++;
  }
  b->left = (uint32_t)(left - b->points);
  b->right = (uint32_t)(right - b->points);
  b->at = (uint32_t)(out - b->spare);
  return budget;
}

static uint32_t merge(cql__ring_builder *b, uint32_t budget) {
  while (budget && b->width < b->count) {
    if (b->at == b->right_end) next_runs(b);
    budget = merge_runs(b, budget);
    if (b->at < b->count) continue;
    point *sorted = b->spare;
    b->spare = b->points;
    b->points = sorted;
    b->at = b->right_end = 0;
    b->width = at_most((uint64_t)b->width * 2, UINT32_MAX);
  }
  return budget;
}

/* ---- filling ---- */

/* The number of starts is the power of two above that of tokens; the bits that tell them. */
static uint32_t start_bits(uint32_t count) {
  uint32_t bits = 1;
  while (bits < 31 && (uint32_t)1 << bits < count) bits++;
  return bits;
}

static cql__ring *make_ring(const cql__ring_builder *b) {
  cql__ring *ring = cql__zalloc(sizeof *ring);
  if (!ring) return NULL;
  uint32_t bits = start_bits(b->count);
  ring->refs = 1;
  ring->partitioner = b->partitioner;
  ring->node_count = b->node_count;
  ring->shift = 64 - bits;
  ring->highs = cql__malloc(b->count * sizeof *ring->highs);
  ring->owners = cql__malloc(b->count * sizeof *ring->owners);
  ring->owns = cql__zalloc(b->node_count);
  ring->starts = cql__malloc((((size_t)1 << bits) + 1) * sizeof *ring->starts);
  if (b->tails) ring->tails = cql__malloc(b->count * sizeof *ring->tails);
  if (ring->highs && ring->owners && ring->owns && ring->starts && (ring->tails || !b->tails))
    return ring;
  cql__ring_unref(ring);
  return NULL;
}

/* Is it all done? */
static int fill(cql__ring_builder *b, uint32_t budget) {
  cql__ring *ring = b->ring;
  const uint32_t start_count = ((uint32_t)1 << (64 - ring->shift)) + 1;
  for (; budget; budget--) {
    if (b->next == b->count) {
      if (b->start == start_count) return 1;
      ring->starts[b->start++] = ring->count;
      continue;
    }
    const point *p = &b->points[b->next];
    if (b->start <= p->high >> ring->shift) {
      ring->starts[b->start++] = ring->count;
      continue;
    }
    /* the first of equal ones has the lowest owner */
    const point *before = b->next++ ? p - 1 : NULL;
    if (before && before->high == p->high && compare_rest(b, before->tail, p->tail) == 0) continue;
    ring->owns[p->owner] = 1;
    ring->highs[ring->count] = p->high;
    ring->owners[ring->count] = p->owner;
    if (b->tails) ring->tails[ring->count] = b->tails[p->tail];
    ring->count++;
  }
  return 0;
}

int cql__ring_builder_step(cql__ring_builder *b, uint32_t budget, cql__ring **ring) {
  if (!b->spare && b->width < b->count) {
    b->spare = cql__malloc(b->count * sizeof *b->spare);
    if (!b->spare) return CQL_ENOMEM;
  }
  budget = merge(b, budget);
  if (!budget) return 0;
  if (!b->ring) b->ring = make_ring(b);
  if (!b->ring) return CQL_ENOMEM;
  if (!fill(b, budget)) return 0;
  *ring = b->ring;
  (*ring)->bytes = b->bytes;
  b->ring = NULL;
  b->bytes = NULL;
  return 1;
}
