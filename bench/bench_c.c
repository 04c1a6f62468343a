/* bench_c - what a request costs a C program: the work of rawcql through the library's public API.
 *
 *   bench_c --work select|insert|page --port N [--protocol 4|5] [--conc N] [--conns N] ...
 *
 * One session with its settings as they are by default, a prepared statement, N requests in flight;
 * each answer is checked against the key of its request, and pages are read cell by cell. On v4 the
 * server is asked to leave the metadata of rows out, as on v5 it does anyway. Prints one line of
 * JSON (measure.h). With --nodes N it finds the N nodes of cannedcql --nodes N and is connected to
 * all of them before it begins; with --keys N it asks for N keys in turn, not for each once. With
 * --hooks 1 it counts the library's own allocations by cql_set_allocator(),
 * with malloccount.so preloaded all of them.
 */
#include <cql.h>

#include "descriptors.h"
#include "measure.h"

enum { COMPLETIONS = 256, ROWS_PER_CALL = 64, PAGE_ROWS = 5000 };
enum { TAG_PREPARE = INT32_MAX };

static options_t options;
static cql_options_t request_options;
static cql_session_t *session;
static cql_prepared_t *prepared;
static moment_t counters;
static uint64_t requests_left, wrong_count, sum;
static uint32_t next_key = 1;
static uint32_t *keys; /* by tag: the key that the answer must echo */
static uint8_t *value; /* what an insert writes */

static void fail(const char *what, int error) {
  fprintf(stderr, "bench_c: %s: %s: %s\n", what, cql_error_name(error), cql_error_text(error));
  exit(1);
}

/* ---- allocations that the library asks for ---- */

static uint64_t hooked_count, hooked_bytes;

static void *hooked_malloc(size_t size) {
  hooked_count++;
  hooked_bytes += size;
  return malloc(size);
}

static void *hooked_realloc(void *block, size_t size) {
  hooked_count++;
  hooked_bytes += size;
  return realloc(block, size);
}

static void hooked_get(uint64_t out[3]) {
  out[0] = hooked_count;
  out[1] = hooked_bytes;
}

/* ---- the session ---- */

static void configure(cql_config_t *config, const char *name, const char *text) {
  if (cql_config_set(config, name, text)) fail(cql_config_error(config), CQL_EOPTION);
}

static void configure_number(cql_config_t *config, const char *name, int number) {
  char text[16];
  snprintf(text, sizeof text, "%d", number);
  configure(config, name, text);
}

static void open_session(void) {
  cql_config_t *config = cql_config_new();
  if (!config) fail("configuration", CQL_ENOMEM);
  configure(config, "contact_points", "127.0.0.1");
  if (!options.nodes) configure(config, "discover", "false");
  configure_number(config, "port", options.port);
  configure_number(config, "protocol_version", options.protocol);
  configure_number(config, "connections_per_node", options.connections);
  configure(config, "request_timeout_ms", "60000"); /* valgrind is slow */
  configure(config, "connect_retry", "0");
  int error = cql_session_new(config, &session);
  if (error) fail("session", error);
  cql_config_free(config);
}

/* ---- requests ---- */

static cql_request_t *take(void) {
  cql_request_t *request;
  int error = cql_request_take(session, &request);
  if (error) fail("take", error);
  return request;
}

static void prepare(void) {
  const char *text = work_statements[options.work];
  cql_request_t *request = take();
  int error = cql_request_prepare(request, text, strlen(text));
  if (error) fail("prepare", error);
  cql_submit(request, TAG_PREPARE);
}

static inline void submit(uint32_t tag) {
  if (!requests_left) return;
  requests_left--;
  cql_request_t *request = take();
  int error = cql_request_execute(request, prepared);
  if (!error && options.protocol < 5) error = cql_request_options(request, &request_options);
  if (!error && options.work != WORK_PAGE) {
    uint32_t key = next_key++;
    if (next_key == (uint32_t)options.keys + 1) next_key = 1;
    uint8_t wire[4] = {(uint8_t)(key >> 24), (uint8_t)(key >> 16), (uint8_t)(key >> 8),
                       (uint8_t)key};
    cql_slice_t values[2] = {{wire, 4}, {value, options.value_size}};
    keys[tag] = key;
    error = cql_bind(request, values, options.work == WORK_INSERT ? 2 : 1);
  }
  if (error) fail("bind", error);
  cql_submit(request, tag);
}

/* ---- answers ---- */

static inline void read_row(uint32_t tag, cql_result_t *result) {
  cql_cell_t cells[2];
  if (!result || cql_result_cells(result, 1, cells) != 1) {
    wrong_count++;
    return;
  }
  uint32_t key = (uint32_t)cells[0].as.integer;
  sum += key + (uint32_t)cells[1].length + cells[1].as.bytes[0];
  counters.values += 2;
  if (key != keys[tag]) wrong_count++;
}

static void read_page(cql_result_t *result) {
  cql_cell_t cells[2 * ROWS_PER_CALL];
  int rows = 0, count = 0;
  uint64_t page_sum = 0;
  while (result && (count = cql_result_cells(result, ROWS_PER_CALL, cells)) > 0) {
    for (const cql_cell_t *cell = cells; cell < cells + 2 * count; cell += 2) {
      int32_t length = cell[0].length;
      page_sum += (uint64_t)length + cell[0].as.bytes[0] + cell[0].as.bytes[length - 1];
      page_sum += (uint64_t)cell[1].as.integer;
    }
    rows += count;
  }
  sum += page_sum;
  counters.values += 2 * (uint64_t)rows;
  if (rows != PAGE_ROWS) wrong_count++;
}

static void on_done(const cql_completion_t *completion) {
  if (completion->status) fail("request", completion->status);
  if (completion->tag == TAG_PREPARE) {
    prepared = cql_result_prepared(completion->result);
    cql_result_free(completion->result);
    return;
  }
  counters.requests++;
  if (options.work == WORK_SELECT) read_row(completion->tag, completion->result);
  if (options.work == WORK_PAGE) read_page(completion->result);
  if (completion->result) cql_result_free(completion->result);
  submit(completion->tag);
}

static void on_event(const cql_event_t *event) {
  if (event->type == CQL_EVENT_FAILED) fail(event->message, event->status);
  if (event->type == CQL_EVENT_CONNECTION_CLOSED) fail(event->message, event->status);
}

/* Sends what was submitted, waits for answers, and takes them all. */
static void turn(void) {
  cql_completion_t completions[COMPLETIONS];
  uint32_t count;
  int error = cql_session_step(session, -1);
  if (error) fail("step", error);
  do {
    count = (uint32_t)cql_poll(session, COMPLETIONS, completions);
    for (uint32_t i = 0; i < count; i++) {
      if (completions[i].kind == CQL_DONE)
        on_done(&completions[i]);
      else if (completions[i].kind == CQL_EVENT)
        on_event(completions[i].event);
    }
  } while (count == COMPLETIONS);
}

static bool is_connected(void) {
  cql_metrics_t metrics;
  cql_session_metrics(session, &metrics);
  return metrics.connections >= (uint32_t)(options.nodes * options.connections);
}

/* So that all answers are there at once, and all buffers grow to the size that they can have. */
static void let_answers_gather(void) {
  cql_session_flush(session);
  nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

int main(int count, char **words) {
  options = options_read(count, words);
  descriptors_raise();
  requests_left = requests_max(&options);
  keys = calloc((size_t)options.in_flight, sizeof *keys);
  value = malloc((size_t)options.value_size + 1);
  if (!keys || !value) fail("keys", CQL_ENOMEM);
  memset(value, 'x', (size_t)options.value_size);
  cql_options_init(&request_options);
  request_options.flags = CQL_OPTION_SKIP_METADATA;
  if (options.hooks) cql_set_allocator(hooked_malloc, hooked_realloc, free);
  open_session();
  prepare();
  while (!prepared || !is_connected()) turn();

  meter_t meter;
  meter_init(&meter, &options);
  if (options.hooks) meter.count_allocations = hooked_get;
  bool over = meter_turn(&meter, counters);
  for (int tag = 0; tag < options.in_flight; tag++) submit((uint32_t)tag);
  if (options.skip) let_answers_gather();
  while (!over) {
    turn();
    over = meter_turn(&meter, counters);
  }
  meter_print(&meter, "c", wrong_count, sum);
  cql_prepared_unref(prepared);
  cql_session_free(session);
  return wrong_count ? 1 : 0;
}
