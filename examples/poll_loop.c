/* Many requests in flight from a plain poll() loop: connect, prepare, write, read back and check.
 *
 *   CQL_CONTACT_POINTS=127.0.0.1 poll_loop
 *
 * Every option of the session can be set by the environment: tls_ca by CQL_TLS_CA and so on.
 * 0: all rows came back as they were written; 1: it says what went wrong.
 */
#include <cql.h>
#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_SCHEMA = 1, TAG_PREPARE_INSERT, TAG_PREPARE_SELECT, TAG_INSERT, TAG_SELECT };
enum { ROWS = 10000, IN_FLIGHT = 256 };

static const char *const schema[] = {
    "CREATE KEYSPACE IF NOT EXISTS poll_loop WITH replication = "
    "{'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS poll_loop.people (id int PRIMARY KEY, name text)"};

static cql_session_t *session;
static cql_prepared_t *insert, *find;
static int step, sent, done, found, wrong, over;

static void die(const char *what, int error) {
  fprintf(stderr, "poll_loop: %s: %s: %s\n", what, cql_error_name(error), cql_error_text(error));
  exit(1);
}

static cql_request_t *take(void) {
  cql_request_t *request;
  int error = cql_request_take(session, &request);
  if (error) die("take", error);
  return request;
}

static void send_text(const char *text, uint32_t tag, int prepare) {
  cql_request_t *request = take();
  int error = prepare ? cql_request_prepare(request, text, strlen(text))
                      : cql_request_query(request, text, strlen(text));
  if (error) die("request", error);
  cql_submit(request, tag);
}

static cql_slice_t put_int(int value, uint8_t out[4]) {
  for (int i = 4; i-- > 0; value >>= 8) out[i] = (uint8_t)value;
  return (cql_slice_t){out, 4};
}

static void send_row(int id) {
  char name[32];
  uint8_t key[4];
  int length = snprintf(name, sizeof name, "person %d", id);
  cql_slice_t values[] = {put_int(id, key), {(const uint8_t *)name, length}};
  cql_request_t *request = take();
  int error = cql_request_execute(request, done < ROWS ? insert : find);
  if (!error) error = cql_bind(request, values, done < ROWS ? 2 : 1);
  if (error) die("bind", error);
  cql_submit(request, done < ROWS ? TAG_INSERT : TAG_SELECT);
}

/* As many as may be in flight; the reads begin when the writes are done. */
static void send_more(void) {
  int until = done < ROWS ? ROWS : 2 * ROWS;
  while (insert && find && sent < until && sent - done < IN_FLIGHT) send_row(sent++ % ROWS);
}

static void check_row(cql_result_t *result) {
  cql_cell_t cells[2];
  char expected[32];
  if (!result || cql_result_cells(result, 1, cells) != 1) {
    wrong++;
    return;
  }
  int length = snprintf(expected, sizeof expected, "person %d", (int)cells[0].as.integer);
  int same = cells[1].length == length && !memcmp(cells[1].as.bytes, expected, (size_t)length);
  *(same ? &found : &wrong) += 1;
}

static void next_step(void) {
  static const char *const inserts = "INSERT INTO poll_loop.people (id, name) VALUES (?, ?)";
  static const char *const selects = "SELECT id, name FROM poll_loop.people WHERE id = ?";
  switch (step++) {
    case 0:
    case 1: send_text(schema[step - 1], TAG_SCHEMA, 0); break;
    case 2:
      send_text(inserts, TAG_PREPARE_INSERT, 1);
      send_text(selects, TAG_PREPARE_SELECT, 1);
      break;
    default: break;
  }
}

static void on_event(const cql_completion_t *c) {
  if (c->code == CQL_EVENT_READY) next_step();
  if (c->code == CQL_EVENT_FAILED) {
    fprintf(stderr, "poll_loop: no server: %s\n", c->event->message);
    exit(1);
  }
  if (c->code == CQL_EVENT_CONNECTION_FAILED)
    fprintf(stderr, "poll_loop: %s: %s\n", c->event->address, c->event->message);
}

static void on_done(cql_completion_t *c) {
  if (c->status) {
    cql_slice_t text = {(const uint8_t *)"", 0};
    if (c->result) text = c->result->message;
    fprintf(stderr, "poll_loop: %s: %.*s\n", cql_error_name(c->status), (int)text.length,
            (const char *)text.data);
    exit(1);
  }
  if (c->tag == TAG_SCHEMA) next_step();
  if (c->tag == TAG_PREPARE_INSERT) insert = cql_result_prepared(c->result);
  if (c->tag == TAG_PREPARE_SELECT) find = cql_result_prepared(c->result);
  if (c->tag == TAG_SELECT) check_row(c->result);
  done += c->tag == TAG_INSERT || c->tag == TAG_SELECT;
  over = done == 2 * ROWS;
  cql_result_free(c->result);
}

static void drain(void) {
  cql_completion_t completions[64];
  int count;
  while ((count = cql_poll(session, 64, completions)) > 0)
    for (int i = 0; i < count; i++)
      completions[i].kind == CQL_DONE ? on_done(&completions[i]) : on_event(&completions[i]);
  send_more();
}

static cql_config_t *configure(void) {
  cql_config_t *config = cql_config_new();
  if (!config) die("config", CQL_ENOMEM);
  cql_config_set(config, "consistency", "one");
  cql_config_set(config, "connect_retry", "false"); /* FAILED, if no contact point serves */
  const char *option;
  for (uint32_t i = 0; (option = cql_config_option(i)); i++) {
    char variable[64] = "CQL_";
    for (size_t k = 0; k < strlen(option) && k < 58; k++)
      variable[4 + k] = (char)toupper((unsigned char)option[k]);
    const char *value = getenv(variable);
    if (value && cql_config_set(config, option, value)) die(cql_config_error(config), CQL_EOPTION);
  }
  return config;
}

int main(void) {
  cql_config_t *config = configure();
  int error = cql_session_new(config, &session);
  if (error) die(cql_config_error(config), error);
  cql_config_free(config);
  struct pollfd watched = {.fd = cql_session_fd(session), .events = POLLIN};
  while (!over) {
    poll(&watched, 1, cql_session_timeout(session));
    cql_session_step(session, 0);
    drain();
  }
  printf("%d rows written, %d read back, %d wrong\n", ROWS, found, wrong);
  cql_prepared_unref(insert);
  cql_prepared_unref(find);
  cql_session_free(session);
  return wrong || found != ROWS;
}
