#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void *(*hook_allocate)(size_t) = malloc;
static void *(*hook_reallocate)(void *, size_t) = realloc;
static void (*hook_release)(void *) = free;

#ifdef CQL_TEST
#include "base/plant.h"

int cql__plant;
static _Thread_local long fail_countdown, fail_onwards, allocation_count, allocation_live;

static int fails(void) {
  allocation_count++;
  if (fail_countdown == 0) return 0;
  if (fail_countdown > 1) {
    fail_countdown--;
    return 0;
  }
  if (!fail_onwards) fail_countdown = 0;
  return 1;
}

void cql__mem_fail(long n, int onwards) {
  fail_countdown = n;
  fail_onwards = onwards;
}

long cql__mem_count(void) { return allocation_count; }
long cql__mem_live(void) { return allocation_live; }
#define COUNT_LIVE(n) (allocation_live += (n))
#else
static int fails(void) { return 0; }
#define COUNT_LIVE(n) ((void)0)
#endif

void cql__mem_hooks(void *(*allocate)(size_t), void *(*reallocate)(void *, size_t),
                    void (*release)(void *)) {
  hook_allocate = allocate ? allocate : malloc;
  hook_reallocate = reallocate ? reallocate : realloc;
  hook_release = release ? release : free;
}

void *cql__malloc(size_t size) {
  if (fails()) return NULL;
  void *pointer = hook_allocate(size ? size : 1);
  if (pointer) COUNT_LIVE(1);
  return pointer;
}

void *cql__zalloc(size_t size) {
  void *pointer = cql__malloc(size);
  if (pointer) memset(pointer, 0, size);
  return pointer;
}

void *cql__realloc(void *pointer, size_t size) {
  if (!pointer) return cql__malloc(size);
  return fails() ? NULL : hook_reallocate(pointer, size ? size : 1);
}

void cql__free(void *pointer) {
  if (!pointer) return;
  COUNT_LIVE(-1);
  hook_release(pointer);
}

char *cql__text_copy(const char *text, size_t length) {
  char *copy = cql__malloc(length + 1);
  if (!copy) return NULL;
  if (length) memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}

void cql__wipe(void *pointer, size_t size) {
  volatile unsigned char *byte = pointer;
  while (size--) *byte++ = 0;
}
