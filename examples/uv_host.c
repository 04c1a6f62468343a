/* A session inside a program that has a libuv loop of its own. Three handles carry it: `ready` and
 * `due` step it when something came in or is late, `before_sleep` sends what was submitted in this
 * turn of the loop and asks when to come back. Any other loop with these three hooks does as well.
 *
 *   CQL_CONTACT_POINTS=127.0.0.1 uv_host
 */
#include <cql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static const char *const statements[] = {
    ("CREATE KEYSPACE IF NOT EXISTS uv_host WITH replication = "
     "{'class': 'SimpleStrategy', 'replication_factor': 1}"),
    "CREATE TABLE IF NOT EXISTS uv_host.planets (name text PRIMARY KEY, moons int)",
    "INSERT INTO uv_host.planets (name, moons) VALUES ('mars', 2)",
    "SELECT name, moons FROM uv_host.planets WHERE name = 'mars'"};
enum { STATEMENTS = sizeof statements / sizeof *statements };

static cql_session_t *session;
static uv_poll_t ready;
static uv_timer_t due;
static uv_prepare_t before_sleep;
static int failed = 1; /* until the row has come back */

static void finish(const char *what, int error) {
  fprintf(stderr, "uv_host: %s: %s\n", what, cql_error_name(error));
  cql_session_close(session, 0);
}

static void submit(uint32_t tag) {
  cql_request_t *request;
  int error = cql_request_take(session, &request);
  if (error) {
    finish("take", error);
    return;
  }
  error = cql_request_query(request, statements[tag], strlen(statements[tag]));
  if (!error) {
    cql_submit(request, tag); /* it is the session's now, and completes once with this tag */
    return;
  }
  cql_request_discard(request);
  finish("query", error);
}

static void on_done(const cql_completion_t *done) {
  cql_cell_t cells[2];
  if (done->status) {
    cql_slice_t text = {(const uint8_t *)"", 0};
    if (done->result) text = done->result->message;
    fprintf(stderr, "uv_host: %.*s\n", (int)text.length, (const char *)text.data);
    finish(statements[done->tag], done->status);
  } else if (done->tag + 1 < STATEMENTS) {
    submit(done->tag + 1);
  } else {
    if (cql_result_cells(done->result, 1, cells) == 1) {
      printf("%.*s has %d moons\n", (int)cells[0].length, (const char *)cells[0].as.bytes,
             (int)cells[1].as.integer);
      failed = 0;
    }
    cql_session_close(session, 0);
  }
  cql_result_free(done->result);
}

static void on_event(const cql_event_t *event) {
  if (event->type == CQL_EVENT_READY) submit(0);
  if (event->type == CQL_EVENT_FAILED) finish(event->message, event->status);
  if (event->type != CQL_EVENT_CLOSED) return;
  uv_close((uv_handle_t *)&ready, NULL); /* the loop ends with its last handle */
  uv_close((uv_handle_t *)&due, NULL);
  uv_close((uv_handle_t *)&before_sleep, NULL);
}

static void step(void) {
  cql_completion_t completions[64];
  int count;
  cql_session_step(session, 0);
  while ((count = cql_poll(session, 64, completions)) > 0)
    for (int i = 0; i < count; i++) {
      if (completions[i].kind == CQL_DONE) on_done(&completions[i]);
      if (completions[i].kind == CQL_EVENT) on_event(completions[i].event);
    }
}

static void on_ready(uv_poll_t *handle, int status, int events) {
  (void)handle, (void)status, (void)events;
  step();
}

static void on_due(uv_timer_t *handle) {
  (void)handle;
  step();
}

static void on_before_sleep(uv_prepare_t *handle) {
  (void)handle;
  cql_session_flush(session); /* all of this turn's requests, in one write a connection */
  int wait_ms = cql_session_timeout(session);
  if (wait_ms < 0) uv_timer_stop(&due);
  if (wait_ms >= 0)
    uv_timer_start(&due, on_due, (uint64_t)wait_ms, 0); /* 0: the loop won't sleep */
}

int main(void) {
  const char *contact_points = getenv("CQL_CONTACT_POINTS");
  cql_config_t *config = cql_config_new();
  int error = config ? cql_config_set(config, "connect_retry", "false") : CQL_ENOMEM;
  if (!error && contact_points) error = cql_config_set(config, "contact_points", contact_points);
  if (!error) error = cql_session_new(config, &session);
  if (error) {
    fprintf(stderr, "uv_host: %s\n", config ? cql_config_error(config) : cql_error_text(error));
    return 1;
  }
  cql_config_free(config);
  uv_loop_t *loop = uv_default_loop();
  uv_poll_init(loop, &ready, cql_session_fd(session));
  uv_poll_start(&ready, UV_READABLE, on_ready);
  uv_timer_init(loop, &due);
  uv_prepare_init(loop, &before_sleep);
  uv_prepare_start(&before_sleep, on_before_sleep);
  uv_run(loop, UV_RUN_DEFAULT);
  cql_session_free(session); /* after the poll handle: its descriptor closes here */
  return failed;
}
