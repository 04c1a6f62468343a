#include "io/fork.h"

#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile uint64_t *word; /* on a page of its own */
static uint64_t last_generation;

uint64_t cql__fork_generation(void) {
  if (!word) {
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return 0;
    if (madvise(page, size, MADV_WIPEONFORK)) {
      munmap(page, size);
      return 0;
    }
    word = page;
  }
  if (*word == 0) *word = ++last_generation; /* the first here, or the first since fork() */
  return *word;
}

int cql__forked(uint64_t generation) { return generation && *word != generation; }
