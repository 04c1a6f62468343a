/* The thread that wakes a host which can't watch a descriptor: once armed, at most one byte for
 * readiness and one for the deadline, and an end without a signal or a trace. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cql.h"

static int listener, served; /* the server: accepts, and says what it is told to */
static char port[8];

static void listen_somewhere(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  listener = socket(AF_INET, SOCK_STREAM, 0);
  assert(bind(listener, (struct sockaddr *)&at, size) == 0 && listen(listener, 8) == 0);
  assert(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
  snprintf(port, sizeof port, "%d", ntohs(at.sin_port));
}

static cql_session_t *new_session(void) {
  cql_config_t *config = cql_config_new();
  cql_session_t *session;
  cql_config_set(config, "discover", "false");
  cql_config_set(config, "port", port);
  cql_config_set(config, "connect_timeout_ms", "3600000");
  assert(cql_session_new(config, &session) == 0);
  cql_config_free(config);
  served = accept(listener, NULL, NULL);
  assert(served >= 0);
  return session;
}

static void end(cql_session_t *session, int host) {
  cql_session_free(session);
  close(served);
  if (host >= 0) close(host);
}

static int dial(const char *path) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  assert(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
  return fd;
}

/* Threads with all signals blocked. (The sanitizers may have one of theirs.) */
static int deaf_threads(void) {
  char path[300], line[200];
  int count = 0;
  DIR *tasks = opendir("/proc/self/task");
  for (const struct dirent *entry; (entry = readdir(tasks));) {
    snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
    FILE *file = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
    while (file && fgets(line, sizeof line, file))
      if (!strncmp(line, "SigBlk:", 7)) /* all of 1 to 31 but SIGKILL and SIGSTOP */
        count += (strtoull(line + 7, NULL, 16) & 0x7ffbfeff) == 0x7ffbfeff;
    if (file) fclose(file);
  }
  closedir(tasks);
  return count;
}

static int wakes(int host, int wait_ms) {
  struct pollfd watched = {.fd = host, .events = POLLIN};
  char bytes[64];
  if (poll(&watched, 1, wait_ms) == 0) return 0;
  return (int)recv(host, bytes, sizeof bytes, 0);
}

/* Steps and polls until nothing but the descriptor or a far deadline is left. */
static void settle(cql_session_t *session) {
  cql_completion_t out[16];
  do {
    assert(cql_session_step(session, 0) == 0);
    while (cql_poll(session, 16, out) > 0) {
    }
  } while (cql_session_timeout(session) == 0);
}

static int start(cql_session_t *session) {
  char path[128];
  assert(cql_poke_listen(session, NULL, path, sizeof path) == 0);
  int host = dial(path);
  assert(cql_poke_accept(session) == 0);
  return host;
}

static void it_wakes_when_it_is_armed(void) {
  int before = deaf_threads();
  cql_session_t *session = new_session();
  assert(cql_poke_accept(session) == CQL_EINVAL && cql_poke_arm(session) == CQL_EINVAL);
  int host = start(session), now = deaf_threads();
  assert(now > before);
  assert(cql_poke_arm(session) == 0); /* the session wants a step: the timeout is 0 */
  assert(wakes(host, 10000) > 0);
  for (int i = 0; i < 20; i++) { /* until the handshake's first message is out */
    settle(session);
    assert(cql_poke_arm(session) == 0);
    if (!wakes(host, 50)) break;
  }
  assert(wakes(host, 0) == 0);
  assert(write(served, "x", 1) == 1);
  assert(wakes(host, 10000) == 1);
  assert(cql_poke_arm(session) == 0); /* still readable, but no step was taken */
  assert(wakes(host, 20) == 0);
  settle(session);
  assert(write(served, "x", 1) == 1);
  assert(wakes(host, 20) == 0);       /* not armed since the last step */
  assert(cql_poke_arm(session) == 0); /* looks anew: nothing is lost in between */
  assert(wakes(host, 10000) == 1);
  end(session, host);
  assert(deaf_threads() == now - 1);
}

static void it_wakes_in_time(void) {
  char path[128];
  cql_config_t *config = cql_config_new();
  cql_session_t *session;
  cql_config_set(config, "discover", "false");
  cql_config_set(config, "port", port);
  cql_config_set(config, "connect_timeout_ms", "300");
  assert(cql_session_new(config, &session) == 0);
  cql_config_free(config);
  served = accept(listener, NULL, NULL);
  assert(cql_poke_listen(session, NULL, path, sizeof path) == 0);
  int host = dial(path);
  assert(cql_poke_accept(session) == 0);
  settle(session);
  assert(cql_poke_arm(session) == 0);
  for (int i = 0; i < 5; i++) assert(cql_poke_arm(session) == 0);
  for (int failed = 0; !failed;) { /* the handshake gets no answer: its deadline is all there is */
    cql_completion_t out[16];
    assert(wakes(host, 10000) > 0);
    assert(cql_session_step(session, 0) == 0);
    for (int left = cql_poll(session, 16, out); left > 0; left--)
      if (out[left - 1].code == CQL_EVENT_CONNECTION_FAILED) failed = 1;
    assert(cql_poke_arm(session) == 0);
  }
  end(session, host);
}

static void a_host_that_is_left_reads_the_end(void) {
  cql_session_t *session = new_session();
  int host = start(session);
  char byte;
  assert(cql_poke_stop(session) == 0 && cql_poke_stop(session) == 0);
  assert(recv(host, &byte, 1, 0) == 0);
  assert(cql_poke_arm(session) == CQL_EINVAL);
  close(host);
  host = start(session);
  assert(cql_poke_arm(session) == 0);
  assert(wakes(host, 10000) > 0);
  end(session, host);
}

static void the_path_is_private_and_goes(void) {
  cql_session_t *session = new_session();
  char path[128], small[8];
  struct stat about;
  assert(cql_poke_listen(session, NULL, small, sizeof small) == CQL_ETOOBIG);
  assert(cql_poke_listen(session, "/nowhere/at/all", path, sizeof path) == CQL_EIO);
  assert(cql_poke_accept(session) == CQL_EINVAL);
  assert(cql_poke_listen(session, NULL, path, sizeof path) == 0);
  char *slash = strrchr(path, '/');
  *slash = 0;
  assert(stat(path, &about) == 0 && (about.st_mode & 0777) == 0700);
  *slash = '/';
  assert(cql_poke_accept(session) == CQL_EIO); /* nobody is there yet */
  int host = dial(path);
  assert(cql_poke_accept(session) == 0);
  assert(cql_poke_accept(session) == CQL_EINVAL);
  *slash = 0;
  assert(stat(path, &about) != 0 && errno == ENOENT);
  end(session, host);
  session = new_session(); /* a host that never comes leaves nothing either */
  assert(cql_poke_listen(session, NULL, path, sizeof path) == 0);
  end(session, -1);
  assert(stat(path, &about) != 0 && errno == ENOENT);
}

static void a_stranger_is_not_let_in(void) {
  cql_session_t *session = new_session();
  char path[128];
  assert(cql_poke_listen(session, NULL, path, sizeof path) == 0);
  pid_t child = fork();
  if (child == 0) {
    dial(path);
    _exit(0);
  }
  assert(waitpid(child, NULL, 0) == child);
  assert(cql_poke_accept(session) == CQL_EIO);
  int host = dial(path);
  assert(cql_poke_accept(session) == 0);
  assert(cql_poke_arm(session) == 0);
  assert(wakes(host, 10000) > 0);
  end(session, host);
}

static void a_host_that_goes_may_come_again(void) {
  cql_session_t *session = new_session();
  for (int i = 0; i < 3; i++) {
    int host = start(session);
    close(host);
    for (int k = 0; k < 3; k++) assert(cql_poke_arm(session) == 0);
    settle(session);
  }
  int host = start(session);
  assert(cql_poke_arm(session) == 0);
  settle(session);
  end(session, host);
}

static void a_child_only_closes(void) {
  cql_session_t *session = new_session();
  int host = start(session);
  pid_t child = fork();
  if (child == 0) {
    cql_session_free(session);
    _exit(0);
  }
  int status;
  assert(waitpid(child, &status, 0) == child && status == 0);
  assert(cql_poke_arm(session) == 0);
  assert(wakes(host, 10000) > 0);
  end(session, host);
}

int main(void) {
  listen_somewhere();
  it_wakes_when_it_is_armed();
  it_wakes_in_time();
  a_host_that_is_left_reads_the_end();
  the_path_is_private_and_goes();
  a_stranger_is_not_let_in();
  a_host_that_goes_may_come_again();
  a_child_only_closes();
  return 0;
}
