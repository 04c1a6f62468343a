#include "io/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* Shared by sessions of all threads, though each session has one. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic uint64_t *word; /* on a page of its own */
static _Atomic uint64_t last_generation;

static void make_word(void) {
  size_t size = (size_t)sysconf(_SC_PAGESIZE);
  void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (madvise(page, size, MADV_WIPEONFORK))
    munmap(page, size);
  else
    word = page;
}

uint64_t cql__fork_generation(void) {
  pthread_once(&once, make_word);
  if (!word) return 0;
  uint64_t found = atomic_load(word);
  if (found) return found;
  uint64_t fresh = atomic_fetch_add(&last_generation, 1) + 1; /* the first here, or since fork() */
  return atomic_compare_exchange_strong(word, &found, fresh) ? fresh : found;
}

int cql__forked(uint64_t generation) {
  return generation && atomic_load_explicit(word, memory_order_relaxed) != generation;
}
