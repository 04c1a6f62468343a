/* Law 4 from outside, on real sockets: malloc() and its kin are this program's own, so whatever the
 * core, libuv or the C library allocate is counted. Once all has grown to its size, nothing is;
 * and how many bytes a request in flight and an idle connection take. */
#include <cql.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77 };
enum { REQUEST_BYTES_MAX = 320, CONNECTION_BYTES_MAX = 4096 };
enum { WINDOWS_MAX = 10 };
enum { SMALLEST_BODY = 128 }; /* of the block that a body of a few values lies in */

/* ---- what is counted ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *pointer);

static long allocations, bytes;

static void *counted(void *pointer) {
  allocations++;
  if (pointer) bytes += (long)malloc_usable_size(pointer);
  return pointer;
}

void *malloc(size_t size) { return counted(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { return counted(__libc_calloc(count, size)); }
void *memalign(size_t alignment, size_t size) { return counted(__libc_memalign(alignment, size)); }
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
  *out = memalign(alignment, size);
  return *out ? 0 : 12;
}

void *realloc(void *pointer, size_t size) {
  if (pointer) bytes -= (long)malloc_usable_size(pointer);
  return counted(__libc_realloc(pointer, size));
}

void free(void *pointer) {
  if (pointer) bytes -= (long)malloc_usable_size(pointer);
  __libc_free(pointer);
}

/* ---- the server ---- */

static pid_t server_pid;

static void stop_server(void) {
  if (server_pid > 0) kill(server_pid, SIGTERM);
  server_pid = 0;
}

static void fail(const char *what) {
  printf("laws: %s\n", what);
  stop_server();
  exit(1);
}

/* bench's canned server, on a free port. 0: it isn't there. */
static int start_server(void) {
  const char *build = getenv("CQL_BUILD");
  char path[512], line[128] = "";
  snprintf(path, sizeof path, "%s/bench/cannedcql", build ? build : "build/dev");
  int ends[2];
  if (access(path, X_OK) || pipe(ends)) return 0;
  server_pid = fork();
  if (server_pid == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    execl(path, path, "--port", "0", (char *)NULL);
    _exit(1);
  }
  close(ends[1]);
  FILE *out = fdopen(ends[0], "r");
  const char *colon = fgets(line, sizeof line, out) ? strrchr(line, ':') : NULL;
  return colon ? atoi(colon + 1) : 0;
}

/* ---- a session ---- */

#define TAG_PREPARE UINT32_MAX

static cql_session_t *session;
static cql_prepared_t *statement;
static int is_ready;

static void set_text(cql_config_t *config, const char *name, const char *text) {
  if (cql_config_set(config, name, text)) fail(cql_config_error(config));
}

static void set(cql_config_t *config, const char *name, long value) {
  char text[32];
  snprintf(text, sizeof text, "%ld", value);
  set_text(config, name, text);
}

static cql_request_t *take(void) {
  cql_request_t *request;
  int error = cql_request_take(session, &request);
  if (error) fail(cql_error_name(error));
  return request;
}

/* The key is the tag, and comes back in a select's row. */
static void submit(uint32_t tag) {
  uint8_t key[4] = {(uint8_t)(tag >> 24), (uint8_t)(tag >> 16), (uint8_t)(tag >> 8), (uint8_t)tag};
  cql_slice_t value = {key, 4};
  cql_request_t *request = take();
  if (cql_request_execute(request, statement) || cql_bind(request, &value, 1)) fail("bind");
  cql_submit(request, tag);
}

/* Does what is to be done; how many requests of tags below TAG_PREPARE were completed. */
static long turn(int is_select) {
  cql_completion_t done[256];
  cql_cell_t cells[2];
  long count = 0;
  if (cql_session_step(session, 1000)) fail("step");
  for (int n; (n = cql_poll(session, 256, done)) > 0;) {
    for (int i = 0; i < n; i++) {
      if (done[i].kind == CQL_EVENT) {
        if (done[i].code == CQL_EVENT_READY) is_ready = 1;
        if (done[i].code == CQL_EVENT_FAILED) fail(done[i].event->message);
        continue;
      }
      if (done[i].status) fail(cql_error_name(done[i].status));
      if (done[i].tag == TAG_PREPARE) {
        statement = cql_result_prepared(done[i].result);
      } else {
        count++;
        if (is_select && (cql_result_cells(done[i].result, 1, cells) != 1 ||
                          cells[0].as.integer != (int64_t)done[i].tag))
          fail("a row of another request");
      }
      cql_result_free(done[i].result);
    }
  }
  return count;
}

static void open_session(int port, int version, long connections) {
  cql_config_t *config = cql_config_new();
  set_text(config, "discover", "false");
  set(config, "port", port);
  set(config, "protocol_version", version);
  set(config, "connections_per_node", connections);
  set(config, "request_timeout_ms", 600000);
  if (cql_session_new(config, &session)) fail("no session");
  cql_config_free(config);
  cql_metrics_t metrics = {0};
  for (is_ready = 0; !is_ready || metrics.connections < (uint32_t)connections;) {
    turn(0);
    cql_session_metrics(session, &metrics);
  }
}

static void prepare(const char *text) {
  cql_request_t *request = take();
  if (cql_request_prepare(request, text, strlen(text))) fail("prepare");
  cql_submit(request, TAG_PREPARE);
  for (statement = NULL; !statement;) turn(0);
}

static void close_session(void) {
  cql_prepared_unref(statement);
  statement = NULL;
  cql_session_free(session);
}

/* ---- the laws ---- */

/* So many in flight all the time. Windows of requests pass until one has allocated nothing: what
 * grows to its size is kept, and on a busy machine more lies unread at once than ever before, so
 * the first few may; what each request or each thousandth takes shows in all of them. Returns how
 * often anything was allocated in the last window, and in *passed how many there were. */
static long run(int is_select, long in_flight, long window, int *passed) {
  long sent = 0, done = 0, made = 1;
  for (*passed = 0; made > 0 && *passed < WINDOWS_MAX; ++*passed) {
    long before = allocations, end = done + window;
    while (done < end) {
      while (sent - done < in_flight) submit((uint32_t)sent++);
      done += turn(is_select);
    }
    made = allocations - before;
  }
  while (done < sent) done += turn(is_select);
  return made;
}

static int check_steady_state(int port) {
  static const long counts[] = {1, 32, 1024, 30000};
  int failures = 0;
  for (int version = 4; version <= 5; version++) {
    for (int is_select = 0; is_select < 2; is_select++) {
      for (int i = 0; i < 4; i++) {
        long window = counts[i] == 1 ? 5000 : 100000;
        int passed;
        open_session(port, version, 1);
        prepare(is_select ? "SELECT k, v FROM ks.t WHERE k = ?"
                          : "INSERT INTO ks.t (k) VALUES (?)");
        long made = run(is_select, counts[i], window, &passed);
        printf("laws: v%d %s, %ld in flight: %ld allocations in %ld requests, window %d\n", version,
               is_select ? "select" : "insert", counts[i], made, window, passed);
        if (made) failures++;
        close_session();
      }
    }
  }
  return failures;
}

static int check_bytes(int port) {
  enum { FEW = 2000, REQUESTS = 20000, CONNECTIONS = 200 };
  open_session(port, 4, 1);
  prepare("INSERT INTO ks.t (k) VALUES (?)");
  for (uint32_t i = 0; i < FEW; i++) submit(i); /* what all share has its size by then */
  cql_session_flush(session);
  long before = bytes;
  for (uint32_t i = 0; i < REQUESTS; i++) submit(FEW + i);
  cql_session_flush(session);
  long request = (bytes - before) / REQUESTS;
  for (long done = 0; done < FEW + REQUESTS;) done += turn(0);
  close_session();
  before = bytes;
  open_session(port, 4, 1);
  long one = bytes - before;
  close_session();
  open_session(port, 4, 1 + CONNECTIONS);
  long connection = (bytes - before - one) / CONNECTIONS;
  close_session();
  printf("laws: %ld bytes a request in flight with its body, %ld bytes an idle connection\n",
         request, connection);
  return request > REQUEST_BYTES_MAX + SMALLEST_BODY || connection > CONNECTION_BYTES_MAX;
}
#endif

int main(void) {
#if SANITIZED
  printf("laws: the sanitizers have a malloc() of their own\n");
  return SKIPPED;
#else
  int port = start_server();
  if (!port) {
    printf("laws: no bench/cannedcql in $CQL_BUILD\n");
    return SKIPPED;
  }
  int failures = check_steady_state(port) + check_bytes(port);
  stop_server();
  wait(NULL);
  return failures != 0;
#endif
}
