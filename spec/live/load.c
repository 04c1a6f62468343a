/* A C program under load whose server is killed, with SIGPIPE as it is by default: every request
 * ends within its time, with its own row or an error with a name, and the load goes on by itself
 * when the server is back. faults_spec.lua starts it and looks at what it prints.
 *
 *   load PID COMMAND      the server's process; what starts it again. Options: CQL_...
 */
#include <cql.h>
#include <ctype.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IN_FLIGHT = 256, BEFORE = 5000, AFTER = 5000, TIMEOUT_MS = 1500, LATE_MS = 5000 };
enum { TAG_SCHEMA = 1000, TAG_PREPARE, TAG_SELECT = 2000 };

typedef struct slot {
  int id, busy;
  long started_ms;
} slot;

static slot slots[IN_FLIGHT];
static cql_session_t *session;
static cql_prepared_t *find;
static int next_id, submitted, ended, ok, failed, wrong, late, killed, ok_at_kill, failed_before;
static int errors[64];
static const char *command;
static int server;

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void die(const char *what, int error) {
  fprintf(stderr, "load: %s: %s\n", what, cql_error_name(error));
  exit(1);
}

static cql_request_t *take(void) {
  cql_request_t *request;
  int error = cql_request_take(session, &request);
  if (error) die("take", error);
  return request;
}

static void ask(uint32_t number) {
  slot *s = &slots[number];
  uint8_t key[4];
  *s = (slot){next_id++ % 100, 1, now_ms()};
  for (int i = 0; i < 4; i++) key[i] = (uint8_t)(s->id >> (24 - 8 * i));
  cql_slice_t value = {key, 4};
  cql_options_t options;
  cql_options_init(&options);
  options.timeout_ms = TIMEOUT_MS;
  cql_request_t *request = take();
  int error = cql_request_execute(request, find);
  if (!error) error = cql_bind(request, &value, 1);
  if (!error) error = cql_request_options(request, &options);
  if (error) die("request", error);
  cql_submit(request, TAG_SELECT + number);
  submitted++;
}

static int is_over(void) { return failed_before && ok - ok_at_kill >= AFTER; }

static void on_answer(const cql_completion_t *c) {
  uint32_t number = c->tag - TAG_SELECT;
  slot *s = &slots[number];
  cql_cell_t cell;
  if (!s->busy) wrong++; /* it ended before */
  s->busy = 0;
  ended++;
  if (now_ms() - s->started_ms > TIMEOUT_MS + LATE_MS) late++;
  if (c->status) {
    failed++;
    failed_before = killed;
    errors[-c->status]++;
  } else if (cql_result_cells(c->result, 1, &cell) != 1 || cell.as.integer != s->id) {
    wrong++;
  } else {
    ok++;
  }
  if (!killed && ok >= BEFORE) {
    killed = 1;
    ok_at_kill = ok;
    kill(server, SIGKILL);
    if (system(command)) die(command, CQL_EIO);
  }
  if (!failed_before) ok_at_kill = ok;
  if (!is_over()) ask(number);
}

static const char *const schema[] = {"CREATE KEYSPACE IF NOT EXISTS load WITH replication = "
                                     "{'class': 'SimpleStrategy', 'replication_factor': 1}",
                                     "CREATE TABLE IF NOT EXISTS load.ids (id int PRIMARY KEY)"};

static void go_on(uint32_t tag, cql_result_t *result) {
  static int row;
  cql_request_t *request = NULL;
  char text[64];
  if (tag == TAG_PREPARE) {
    find = cql_result_prepared(result);
    for (uint32_t i = 0; i < IN_FLIGHT; i++) ask(i);
    return;
  }
  request = take();
  int step = row++;
  if (step < 2) {
    cql_request_query(request, schema[step], strlen(schema[step]));
  } else if (step < 102) {
    int length = snprintf(text, sizeof text, "INSERT INTO load.ids (id) VALUES (%d)", step - 2);
    cql_request_query(request, text, (size_t)length);
  } else {
    const char *select = "SELECT id FROM load.ids WHERE id = ?";
    cql_request_prepare(request, select, strlen(select));
  }
  cql_submit(request, step < 102 ? TAG_SCHEMA : TAG_PREPARE);
}

static void on_completion(const cql_completion_t *c) {
  if (c->kind == CQL_EVENT) {
    if (c->code == CQL_EVENT_READY) go_on(TAG_SCHEMA, NULL);
    if (c->code == CQL_EVENT_FAILED) die(c->event->message, c->status);
    return;
  }
  if (c->tag >= TAG_SELECT)
    on_answer(c);
  else if (c->status)
    die("schema", c->status);
  else
    go_on(c->tag, c->result);
  cql_result_free(c->result);
}

static void configure(cql_config_t *config) {
  const char *option;
  cql_config_set(config, "consistency", "one");
  cql_config_set(config, "reconnect_max_ms", "200");
  for (uint32_t i = 0; (option = cql_config_option(i)); i++) {
    char variable[64] = "CQL_";
    for (size_t k = 0; k < strlen(option) && k < 58; k++)
      variable[4 + k] = (char)toupper((unsigned char)option[k]);
    const char *value = getenv(variable);
    if (value && cql_config_set(config, option, value)) die(cql_config_error(config), CQL_EOPTION);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  server = atoi(argv[1]);
  command = argv[2];
  cql_config_t *config = cql_config_new();
  configure(config);
  int error = cql_session_new(config, &session);
  if (error) die(cql_config_error(config), error);
  cql_config_free(config);
  struct pollfd watched = {.fd = cql_session_fd(session), .events = POLLIN};
  while (!is_over() || ended < submitted) {
    cql_completion_t completions[64];
    int count;
    poll(&watched, 1, cql_session_timeout(session));
    cql_session_step(session, 0);
    while ((count = cql_poll(session, 64, completions)) > 0)
      for (int i = 0; i < count; i++) on_completion(&completions[i]);
  }
  printf("ok %d, failed %d, wrong %d, late %d, never ended %d\n", ok, failed, wrong, late,
         submitted - ended);
  for (int i = 0; i < 64; i++)
    if (errors[i]) printf("failed by %s %d\n", cql_error_name(-i), errors[i]);
  cql_prepared_unref(find);
  cql_session_free(session);
  return 0;
}
