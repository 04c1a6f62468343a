/* A session per thread, all at once, from new to free: they share nothing but the mark by which a
 * forked child is known. For the thread sanitizer. */
#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cql.h"

enum { THREADS = 8, SESSIONS = 10 };

/* libuv closes descriptors by system calls that the thread sanitizer doesn't see. When another
 * thread gets the number next, it takes that for a race of both who made it. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) {
  return "race:^start_connect$\nrace:^new_answer$\nrace:^cql__io_new$\n"; /* those who make them */
}

static char port[8];
static pthread_barrier_t together;

static int listen_somewhere(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  assert(bind(listener, (struct sockaddr *)&at, size) == 0 && listen(listener, 128) == 0);
  assert(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
  snprintf(port, sizeof port, "%d", ntohs(at.sin_port));
  return listener;
}

static cql_session_t *new_session(const char *contact) {
  cql_config_t *config = cql_config_new();
  cql_session_t *session;
  assert(cql_config_set(config, "contact_points", contact) == 0);
  assert(cql_config_set(config, "discover", "false") == 0);
  assert(cql_config_set(config, "port", port) == 0);
  assert(cql_session_new(config, &session) == 0);
  cql_config_free(config);
  return session;
}

static void *live(void *argument) {
  (void)argument;
  pthread_barrier_wait(&together);
  for (int i = 0; i < SESSIONS; i++) {
    cql_session_t *session = new_session(i % 2 ? "127.0.0.1" : "localhost");
    cql_completion_t out[8];
    cql_request_t *request;
    assert(cql_request_take(session, &request) == 0);
    assert(cql_request_query(request, "SELECT", 6) == 0);
    cql_submit(request, 1);
    for (int k = 0; k < 5; k++) {
      assert(cql_session_step(session, 1) == 0); /* EFORKED would be a mark that was made twice */
      assert(cql_poll(session, 8, out) >= 0);
    }
    cql_session_free(session);
  }
  return NULL;
}

static void all_threads(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) assert(!pthread_create(&threads[i], NULL, live, NULL));
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

int main(void) {
  int listener = listen_somewhere(); /* accepts in the kernel, and stays silent */
  pthread_barrier_init(&together, NULL, THREADS);
  all_threads();
  cql_session_t *session = new_session("127.0.0.1");
  pid_t child = fork();
  if (child == 0) { /* the mark is made anew, once for all threads of the child */
    assert(cql_session_step(session, 0) == CQL_EFORKED);
    cql_session_t *own = new_session("127.0.0.1");
    assert(cql_session_step(own, 0) == 0);
    cql_session_free(own);
    cql_session_free(session);
    _exit(0);
  }
  int status;
  assert(waitpid(child, &status, 0) == child && status == 0);
  assert(cql_session_step(session, 0) == 0);
  cql_session_free(session);
  close(listener);
  return 0;
}
