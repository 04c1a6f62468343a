/* No memory that is given back holds a password: the allocator's own functions look for it. From
 * the configuration to the end of a session that has used it, and when an option is set anew. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim/sim.h"
#include "wire/proto.h"

static const char secret[] = "correct horse battery staple";

/* ---- the allocator ---- */

typedef struct header {
  size_t size;
  size_t unused; /* for the alignment */
} header;

static long released, leaked;

static void *allocate(size_t size) {
  header *block = malloc(sizeof *block + size);
  if (!block) return NULL;
  block->size = size;
  return block + 1;
}

static void release(void *pointer) {
  if (!pointer) return;
  header *block = (header *)pointer - 1;
  released++;
  if (memmem(pointer, block->size, secret, sizeof secret - 1)) leaked++;
  free(block);
}

static void *reallocate(void *pointer, size_t size) {
  void *moved = allocate(size);
  if (!pointer || !moved) return moved;
  size_t before = ((header *)pointer - 1)->size;
  memcpy(moved, pointer, before < size ? before : size);
  release(pointer);
  return moved;
}

/* ---- a server that wants it ---- */

static int failures;

static void check(int condition, const char *what) {
  if (condition) return;
  printf("secrets: not so: %s\n", what);
  failures++;
}

static void say(cql__sim *sim, uint8_t opcode, const char *body, size_t size) {
  uint8_t head[CQL__HEADER_SIZE] = {0x84, 0, 0, 0, opcode, 0, 0, 0, (uint8_t)size};
  cql__sim_say(sim, 0, head, sizeof head);
  cql__sim_say(sim, 0, (const uint8_t *)body, size);
}

/* Has the session sent the secret by now? */
static int has_sent(cql__sim *sim) {
  const uint8_t *bytes;
  size_t size = cql__sim_sent(sim, 0, &bytes);
  return memmem(bytes, size, secret, sizeof secret - 1) != NULL;
}

/* The rest of the handshake, and what the session shows of itself. */
static void serve(cql__sim *sim, cql_session_t *session) {
  static const char cluster[] = "\0\0\0\2\0\0\0\1\0\0\0\1\0\1k\0\1t\0\1n\0\x0d\0\0\0\1\0\0\0\1c";
  say(sim, CQL__AUTH_SUCCESS, "\xff\xff\xff\xff", 4);
  cql__sim_step(sim, session);
  say(sim, CQL__RESULT, cluster, sizeof cluster - 1);
  cql__sim_step(sim, session);
  cql_metrics_t metrics;
  cql__session_metrics(session, &metrics);
  check(metrics.connections == 1, "the connection serves");
  char text[4096];
  cql__session_dump(session, text, sizeof text);
  check(!strstr(text, secret), "the dump doesn't show it");
}

static void live(int to_the_end) {
  cql_config_t *config = cql_config_new();
  cql_config_set(config, "discover", "false");
  cql_config_set(config, "protocol_version", "4");
  cql_config_set(config, "username", "user");
  cql_config_set(config, "password", secret);
  cql_config_set(config, "password", secret); /* the first one goes */
  cql_config_set(config, "tls_key_password", secret);
  cql__sim *sim = cql__sim_new(1, 1000);
  cql_session_t *session;
  check(cql__sim_session(sim, config, &session) == 0, "a session");
  cql_config_free(config);
  cql__sim_accept(sim, 0);
  cql__sim_step(sim, session);
  say(sim, CQL__SUPPORTED, "\0\0", 2);
  cql__sim_step(sim, session);
  say(sim, CQL__AUTHENTICATE, "\0\5PLAIN", 7);
  check(!has_sent(sim), "nothing is told before it is asked");
  cql__sim_step(sim, session);
  check(has_sent(sim), "the password is sent");
  if (to_the_end) serve(sim, session); /* else nothing is written over the token */
  cql__sim_session_free(session);
  cql__sim_free(sim);
}

int main(void) {
  cql__mem_hooks(allocate, reallocate, release);
  cql__free(cql__text_copy(secret, sizeof secret - 1));
  check(leaked == 1, "the allocator sees it");
  leaked = 0;
  live(0);
  live(1);
  check(released > 10, "memory is released by these functions");
  check(leaked == 0, "no memory is given back with the password in it");
  return failures != 0;
}
