/* The thread that looks a name up, with a name server that answers when it is told to: signals are
 * blocked there, nobody waits for it, a slow one is not joined by others, and what it answers late
 * is dropped. getaddrinfo() is this program's own. */
#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cql.h"

static atomic_int calls, answered, unblocked_signals, freed;
static sem_t allowed; /* as many answers as it was posted */

static void look_at_signals(void) {
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  for (int number = 1; number < 32; number++)
    if (number != SIGKILL && number != SIGSTOP && !sigismember(&blocked, number))
      atomic_fetch_add(&unblocked_signals, 1);
}

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out) {
  (void)service, (void)hints;
  look_at_signals();
  atomic_fetch_add(&calls, 1);
  while (sem_wait(&allowed)) {
  }
  if (!strncmp(name, "unknown", 7)) {
    atomic_fetch_add(&answered, 1);
    return EAI_NONAME;
  }
  struct addrinfo *list = calloc(2, sizeof *list);
  struct sockaddr_in *to = calloc(2, sizeof *to);
  assert(list && to);
  for (int i = 0; i < 2; i++) {
    to[i].sin_family = AF_INET;
    to[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)i);
    list[i] = (struct addrinfo){.ai_family = AF_INET, .ai_addr = (struct sockaddr *)&to[i]};
  }
  list[0].ai_next = &list[1];
  *out = list;
  atomic_fetch_add(&answered, 1);
  return 0;
}

void freeaddrinfo(struct addrinfo *list) {
  free(list->ai_addr);
  free(list);
  atomic_fetch_add(&freed, 1);
}

static cql_session_t *session_of(const char *contacts, const char *timeout_ms, const char *retry) {
  cql_config_t *config = cql_config_new();
  cql_session_t *session;
  assert(cql_config_set(config, "contact_points", contacts) == 0);
  assert(cql_config_set(config, "discover", "false") == 0);
  assert(cql_config_set(config, "port", "1") == 0);
  assert(cql_config_set(config, "resolve_timeout_ms", timeout_ms) == 0);
  assert(cql_config_set(config, "connect_retry", retry) == 0);
  assert(cql_session_new(config, &session) == 0);
  cql_config_free(config);
  return session;
}

/* Steps until `count` events of this type have come; the last one's status. */
static int wait_for(cql_session_t *session, int type, int count) {
  for (;;) {
    cql_completion_t out[16];
    assert(cql_session_step(session, 1000) == 0);
    int got = cql_poll(session, 16, out);
    for (int i = 0; i < got; i++)
      if (out[i].kind == CQL_EVENT && out[i].code == type && --count == 0) return out[i].status;
  }
}

static void await(atomic_int *number, int value) {
  while (atomic_load(number) < value) usleep(1000);
}

static void both_addresses_are_tried(void) {
  cql_session_t *session = session_of("two.test", "60000", "false");
  sem_post(&allowed);
  assert(wait_for(session, CQL_EVENT_CONNECTION_FAILED, 2) == CQL_ECONNECT);
  cql_session_free(session);
  assert(atomic_load(&unblocked_signals) == 0);
}

static void an_unknown_name_is_an_error(void) {
  cql_session_t *session = session_of("unknown.test,unknown2.test:9", "60000", "false");
  sem_post(&allowed);
  sem_post(&allowed);
  assert(wait_for(session, CQL_EVENT_FAILED, 1) == CQL_ERESOLVE);
  cql_session_free(session);
}

static void a_slow_one_is_waited_for_by_one_thread(void) {
  int before = atomic_load(&calls);
  cql_session_t *session = session_of("slow.test", "10", "true");
  assert(wait_for(session, CQL_EVENT_WARNING, 5) == CQL_ERESOLVE);
  assert(atomic_load(&calls) == before + 1);
  sem_post(&allowed);
  wait_for(session, CQL_EVENT_CONNECTION_FAILED, 2);
  cql_session_free(session);
}

static void nobody_waits_when_it_closes(void) {
  int before = atomic_load(&answered), freed_before = atomic_load(&freed);
  for (int i = 0; i < 3; i++) {
    cql_session_t *session = session_of("late.test", "60000", "true");
    if (i == 1) cql_session_step(session, 0);
    if (i == 2) cql_session_close(session, 0);
    cql_session_free(session);
  }
  assert(atomic_load(&answered) == before);
  for (int i = 0; i < 3; i++) sem_post(&allowed); /* they answer into what is their own */
  await(&answered, before + 3);
  await(&freed, freed_before + 3);
}

static void a_session_that_gave_up_ignores_the_answer(void) {
  int before = atomic_load(&answered);
  cql_session_t *session = session_of("late.test", "10", "false");
  assert(wait_for(session, CQL_EVENT_FAILED, 1) == CQL_ERESOLVE);
  sem_post(&allowed);
  await(&answered, before + 1);
  for (int i = 0; i < 20; i++) {
    cql_completion_t out[4];
    assert(cql_session_step(session, 1) == 0);
    assert(cql_poll(session, 4, out) == 0);
  }
  cql_session_free(session);
}

int main(void) {
  sem_init(&allowed, 0, 0);
  both_addresses_are_tried();
  an_unknown_name_is_an_error();
  a_slow_one_is_waited_for_by_one_thread();
  nobody_waits_when_it_closes();
  a_session_that_gave_up_ignores_the_answer();
  /* Nor does the end of the process wait: this one is never answered. */
  cql_session_free(session_of("never.test", "60000", "true"));
  return 0;
}
