/* malloccount.so - counts the allocations of whatever it is preloaded into:
 *
 *   LD_PRELOAD=build/release/bench/malloccount.so program ...
 *
 * Counted are malloc, calloc, realloc, posix_memalign, aligned_alloc and memalign of all threads.
 * The program reads the counters with malloccount_get(), found by dlsym(); without one, they are
 * printed to stderr at exit. A counted run is slower: time is measured in a run without it.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static struct {
  void *(*malloc)(size_t);
  void *(*calloc)(size_t, size_t);
  void *(*realloc)(void *, size_t);
  void *(*aligned_alloc)(size_t, size_t);
  void *(*memalign)(size_t, size_t);
  int (*posix_memalign)(void **, size_t, size_t);
  void (*free)(void *);
} real;

static uint64_t allocations, bytes, heap;
static int was_read; /* the program reports by itself */

/* dlsym() may allocate while the real functions are still being looked up: from here. */
static _Alignas(16) uint8_t early[65536];
static size_t early_used;
static int looking_up;

/* A function pointer is no object pointer in ISO C, hence the copies. */
#define LOOK_UP(name)                                                                              \
  do {                                                                                             \
    void *symbol = dlsym(RTLD_NEXT, #name);                                                        \
    memcpy(&real.name, &symbol, sizeof symbol);                                                    \
  } while (0)

static void look_up(void) {
  looking_up = 1;
  LOOK_UP(malloc);
  LOOK_UP(calloc);
  LOOK_UP(realloc);
  LOOK_UP(aligned_alloc);
  LOOK_UP(memalign);
  LOOK_UP(posix_memalign);
  LOOK_UP(free);
  looking_up = 0;
}

static void *early_alloc(size_t size) {
  size = (size + 15) & ~(size_t)15;
  if (early_used + size > sizeof early) _exit(99);
  void *block = early + early_used;
  early_used += size;
  return block;
}

static int is_early(const void *block) {
  const uint8_t *at = block;
  return at >= early && at < early + sizeof early;
}

static void *count(size_t size, void *block) {
  __atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&bytes, size, __ATOMIC_RELAXED);
  __atomic_fetch_add(&heap, malloc_usable_size(block), __ATOMIC_RELAXED);
  return block;
}

static void forget(void *block) {
  __atomic_fetch_sub(&heap, malloc_usable_size(block), __ATOMIC_RELAXED);
}

EXPORTED void *malloc(size_t size) {
  if (looking_up) return early_alloc(size);
  if (!real.free) look_up();
  return count(size, real.malloc(size));
}

EXPORTED void *calloc(size_t items, size_t size) {
  if (looking_up) return early_alloc(items * size);
  if (!real.free) look_up();
  return count(items * size, real.calloc(items, size));
}

EXPORTED void *realloc(void *block, size_t size) {
  if (looking_up) return early_alloc(size);
  if (!real.free) look_up();
  if (is_early(block)) { /* its size is unknown, but what follows it may be read */
    size_t readable = (size_t)(early + sizeof early - (uint8_t *)block);
    void *moved = malloc(size);
    if (moved) memcpy(moved, block, size < readable ? size : readable);
    return moved;
  }
  size_t before = malloc_usable_size(block);
  void *moved = real.realloc(block, size);
  if (moved || size == 0) __atomic_fetch_sub(&heap, before, __ATOMIC_RELAXED);
  return count(size, moved);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size) {
  if (!real.free) look_up();
  return count(size, real.aligned_alloc(alignment, size));
}

EXPORTED void *memalign(size_t alignment, size_t size) {
  if (!real.free) look_up();
  return count(size, real.memalign(alignment, size));
}

EXPORTED int posix_memalign(void **out, size_t alignment, size_t size) {
  if (!real.free) look_up();
  int error = real.posix_memalign(out, alignment, size);
  count(size, error ? NULL : *out);
  return error;
}

EXPORTED void free(void *block) {
  if (!block || is_early(block)) return;
  if (!real.free) look_up();
  forget(block);
  real.free(block);
}

/* Allocations, and bytes asked for, since the process began; bytes of all that is allocated now. */
EXPORTED void malloccount_get(uint64_t out[3]) {
  was_read = 1;
  out[2] = __atomic_load_n(&heap, __ATOMIC_RELAXED);
  out[0] = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
  out[1] = __atomic_load_n(&bytes, __ATOMIC_RELAXED);
}

__attribute__((destructor)) static void print(void) {
  if (was_read) return;
  char line[128];
  int length =
      snprintf(line, sizeof line, "malloccount: process %d: %llu allocations, %llu bytes\n",
               (int)getpid(), (unsigned long long)allocations, (unsigned long long)bytes);
  ssize_t written = write(2, line, (size_t)length);
  (void)written;
}
