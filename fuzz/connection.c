/* A whole session on the virtual wire, with a host and a peer that do whatever the input says. Each
 * request that was submitted completes exactly once, and all memory comes back. */
#include "fuzz.h"

#include "base/mem.h"
#include "frame/compress.h"
#include "frame/segment.h"
#include "sim/sim.h"
#include "wire/proto.h"

enum { REQUESTS_MAX = 200, KEPT_MAX = 20, OPERATIONS_MAX = 600, BODY_MAX = 20000 };

typedef struct world {
  input in;
  cql__sim *sim;
  cql_session_t *session;
  cql_prepared_t *prepared;
  uint32_t submitted; /* tags: 0 .. submitted - 1 */
  uint8_t done[REQUESTS_MAX];
  cql_result_t *kept[KEPT_MAX]; /* outlive the session */
  unsigned kept_count;
  uint32_t question;
  int closed;
} world;

static uint64_t sum;

static int newest(const world *w) { return cql__sim_count(w->sim) - 1; }
/* Of the newest socket, but for one that was just closed. */
static const cql__connection *connection_of(const world *w) {
  return &w->session->engine.cluster.nodes[0]->channels[0]->connection;
}

/* ---- the peer ---- */

static void say_segment(const world *w, const uint8_t *bytes, size_t size, int slice,
                        int compress) {
  static uint8_t out[CQL__SEGMENT_MAX + 64];
  int lz4 = connection_of(w)->reader.lz4;
  size_t head = cql__segment_head_size(lz4), packed = 0;
  cql__segment segment = {(uint32_t)size, 0, !slice};
  if (lz4 && compress) packed = cql__lz4_compress(bytes, size, out + head, size);
  if (packed) {
    segment.payload_size = (uint32_t)packed;
    segment.uncompressed_size = (uint32_t)size;
  } else {
    memcpy(out + head, bytes, size);
  }
  size_t payload = segment.payload_size;
  cql__segment_head_encode(&segment, lz4, out);
  uint32_t crc = cql__crc32_more(cql__crc32_begin(), out + head, payload);
  cql__segment_tail_encode(crc, out + head + payload);
  cql__sim_say(w->sim, newest(w), out, head + payload + CQL__SEGMENT_TAIL);
}

static void say(const world *w, unsigned flags, unsigned stream, unsigned opcode,
                const uint8_t *body, size_t size) {
  static uint8_t out[CQL__HEADER_SIZE + BODY_MAX];
  const cql__connection *c = connection_of(w);
  unsigned version = flags & 16 ? c->version - 1u : c->version;
  cql__put_u8(cql__put_u8(out, 0x80 | version), flags & 15);
  cql__put_u8(cql__put_u16(out + 2, stream), opcode);
  cql__put_bytes(cql__put_u32(out + 5, (uint32_t)size), body, size);
  size += CQL__HEADER_SIZE;
  if (!c->reader.framed) {
    cql__sim_say(w->sim, newest(w), out, size);
  } else if (flags & 64) { /* in two slices */
    say_segment(w, out, size / 2, 1, flags & 128);
    say_segment(w, out + size / 2, size - size / 2, 1, flags & 128);
  } else {
    say_segment(w, out, size, 0, flags & 128);
  }
}

static void do_say(world *w) {
  static const uint8_t opcodes[] = {CQL__RESULT, CQL__ERROR,        CQL__EVENT,
                                    CQL__READY,  CQL__AUTHENTICATE, CQL__SUPPORTED,
                                    CQL__RESULT, CQL__AUTH_SUCCESS};
  unsigned flags = input_u8(&w->in), stream = input_u8(&w->in), opcode = input_u8(&w->in);
  size_t size = input_u16(&w->in) % BODY_MAX;
  const uint8_t *body = input_take(&w->in, &size);
  if (stream == 255) stream = 65535;
  say(w, flags, stream, opcode < 128 ? opcodes[opcode % 8] : opcode, body, size);
}

static void do_say_raw(world *w) {
  int socket = newest(w) - (int)(input_u8(&w->in) % 2);
  size_t size = input_u8(&w->in);
  const uint8_t *bytes = input_take(&w->in, &size);
  if (socket >= 0) cql__sim_say(w->sim, socket, bytes, size);
}

/* What a server would say at this point of the handshake. */
static void do_handshake(world *w) {
  static const char supported[] = "\0\1\0\13COMPRESSION\0\1\0\3lz4";
  static const char rows[] = "\0\0\0\2\0\0\0\1\0\0\0\1\0\1k\0\1t\0\1n\0\15\0\0\0\1\0\0\0\4test";
  static const char challenge[] = "\0\0\0\2go", keyspace[] = "\0\0\0\3\0\2ks";
  static const struct {
    uint8_t opcode;
    uint8_t size;
    const char *body;
  } answers[] = {
      [CQL__OPTIONS_SENT] = {CQL__SUPPORTED, sizeof supported - 1, supported},
      [CQL__STARTUP_SENT] = {CQL__READY, 0, ""},
      [CQL__AUTH_SENT] = {CQL__AUTH_SUCCESS, sizeof challenge - 1, challenge},
      [CQL__CLUSTER_SENT] = {CQL__RESULT, sizeof rows - 1, rows},
      [CQL__USE_SENT] = {CQL__RESULT, sizeof keyspace - 1, keyspace},
      [CQL__SERVING] = {CQL__RESULT, sizeof keyspace - 1, keyspace},
  };
  unsigned state = connection_of(w)->state, opcode = answers[state].opcode;
  const uint8_t *body = (const uint8_t *)answers[state].body;
  if (state < CQL__OPTIONS_SENT) {
    cql__sim_accept(w->sim, newest(w));
  } else if (state == CQL__STARTUP_SENT && input_u8(&w->in) % 4 == 0) {
    say(w, 0, 0, CQL__AUTHENTICATE, (const uint8_t *)"\0\2ab", 4);
  } else if (state == CQL__AUTH_SENT && input_u8(&w->in) % 4 == 0) {
    say(w, 0, 0, CQL__AUTH_CHALLENGE, body, answers[state].size);
  } else {
    say(w, 0, 0, opcode, body, answers[state].size);
  }
  cql__sim_step(w->sim, w->session);
}

static void do_refuse(world *w) { cql__sim_refuse(w->sim, newest(w)); }
static void do_reset(world *w) { cql__sim_reset(w->sim, newest(w)); }
static void do_split(world *w) { cql__sim_split(w->sim, newest(w), input_u8(&w->in)); }
static void do_room(world *w) { cql__sim_room(w->sim, newest(w), (int)input_u16(&w->in) - 1); }

/* ---- the host ---- */

static cql_request_t *take(world *w) {
  return w->submitted < REQUESTS_MAX ? cql__request_take(&w->session->engine) : NULL;
}

static void submit(world *w, cql_request_t *request, int error) {
  cql_options_t options;
  cql_options_init(&options);
  options.flags = input_u8(&w->in) & 63;
  if (input_u8(&w->in) % 8 == 0) options.keyspace = (cql_slice_t){(const uint8_t *)"ks", 2};
  if (!error) error = cql_request_options(request, &options);
  if (error)
    cql_request_discard(request);
  else
    cql_submit(request, w->submitted++);
}

static int bind(world *w, cql_request_t *request) {
  cql_slice_t values[3];
  unsigned count = input_u8(&w->in) % 4;
  for (unsigned i = 0; i < count; i++) {
    static const uint8_t large[60000];
    size_t size = input_u8(&w->in);
    if (size > 200) {
      values[i] = (cql_slice_t){large, (int32_t)(size - 200) * 1000};
    } else {
      const uint8_t *bytes = input_take(&w->in, &size);
      values[i] = (cql_slice_t){bytes, size == 0 ? CQL_UNSET : (int32_t)size};
    }
  }
  return cql_bind(request, values, count);
}

static void do_query(world *w) {
  static const char text[300000] = "SELECT"; /* more than a segment */
  cql_request_t *request = take(w);
  if (!request) return;
  unsigned kind = input_u8(&w->in);
  size_t size = kind > 7 ? kind : (size_t[]){6, 6, 6, 6, 5000, 20000, 150000, sizeof text}[kind];
  int error = cql_request_query(request, text, size);
  submit(w, request, error ? error : bind(w, request));
}

static void do_prepare(world *w) {
  cql_request_t *request = take(w);
  if (request) submit(w, request, cql_request_prepare(request, "SELECT", 6));
}

static void do_execute(world *w) {
  cql_request_t *request = w->prepared ? take(w) : NULL;
  if (!request) return;
  int error = cql_request_execute(request, w->prepared);
  submit(w, request, error ? error : bind(w, request));
}

static void do_batch(world *w) {
  cql_request_t *request = take(w);
  if (!request) return;
  int error = cql_request_batch(request, (int)(input_u8(&w->in) % 3));
  for (unsigned count = input_u8(&w->in) % 4; !error && count > 0; count--) {
    const uint8_t null[] = {255, 255, 255, 255};
    error = w->prepared && count % 2
                ? cql_batch_add_prepared(request, w->prepared, null, sizeof null, 1)
                : cql_batch_add_query(request, "INSERT", 6, null, sizeof null, 1);
  }
  submit(w, request, error);
}

static void do_use(world *w) {
  if (w->submitted == REQUESTS_MAX || w->session->engine.closing) return;
  if (cql__session_use(w->session, "k\"s", 3, w->submitted) == 0) w->submitted++;
}

static void do_cancel(world *w) { cql__engine_cancel(&w->session->engine, input_u8(&w->in)); }
static void do_answer(world *w) {
  size_t size = input_u8(&w->in);
  const uint8_t *token = input_take(&w->in, &size);
  cql__session_answer(w->session, w->question, token, size ? (int32_t)size : CQL_NULL);
}

static void do_step(world *w) { cql__sim_step(w->sim, w->session); }
static void do_advance(world *w) {
  cql__sim_advance(w->sim, input_u16(&w->in));
  cql__sim_step(w->sim, w->session);
}

static void do_fail_memory(world *w) { cql__mem_fail(1 + input_u8(&w->in) % 32, 0); }

/* ---- what comes out ---- */

static void read_result(world *w, cql_result_t *result) {
  cql_error_detail_t detail;
  if (cql_result_error(result, &detail) == 0 && detail.write_type.length > 0)
    sum = sum_of(sum, detail.write_type.data, (size_t)detail.write_type.length);
  cql_prepared_t *prepared = cql_result_prepared(result);
  if (prepared) {
    cql_prepared_unref(w->prepared);
    w->prepared = prepared;
  }
  cql_cell_t cells[64];
  if (result->metadata && result->metadata->column_count <= 64)
    while (cql_result_cells(result, 1, cells) == 1) sum = sum_of(sum, cells, sizeof cells[0]);
}

static void do_poll(world *w) {
  cql_completion_t completions[8];
  int count = cql__session_poll(w->session, 8, completions);
  for (int i = 0; i < count; i++) {
    const cql_completion_t *c = &completions[i];
    if (c->kind == CQL_QUESTION) w->question = c->tag;
    if (c->kind == CQL_EVENT && c->code == CQL_EVENT_CLOSED) w->closed++;
    if (c->kind != CQL_DONE) continue;
    CHECK(c->tag < w->submitted && !w->done[c->tag]);
    w->done[c->tag] = 1;
    if (c->address) sum = sum_of(sum, c->address, strlen(c->address));
    if (!c->result) continue;
    read_result(w, c->result);
    if (w->kept_count < KEPT_MAX && c->tag % 3 == 0)
      w->kept[w->kept_count++] = c->result;
    else
      cql_result_free(c->result);
  }
  char text[500];
  cql__session_dump(w->session, text, sizeof text);
}

static void (*const operations[])(world *w) = {
    do_handshake, do_say,     do_query,   do_step,   do_poll,   do_say_raw,
    do_advance,   do_prepare, do_execute, do_batch,  do_use,    do_reset,
    do_refuse,    do_split,   do_room,    do_cancel, do_answer, do_fail_memory,
};

/* ---- from beginning to end ---- */

static int begin(world *w) {
  unsigned kind = input_u8(&w->in), more = input_u8(&w->in);
  const char *const options[][2] = {
      {"protocol_version", (const char *[]){"3", "4", "5", "0"}[kind % 4]},
      {"compression", kind & 4 ? "lz4" : "none"},
      {"compression_min", kind & 8 ? "0" : "512"},
      {"keyspace", kind & 16 ? "ks" : ""},
      {"ask_authenticate", kind & 32 ? "1" : "0"},
      {"connect_retry", kind & 64 ? "0" : "1"},
      {"streams_max", kind & 128 ? "2" : "32767"},
      {"frame_size_max", more & 1 ? "4096" : "16777216"},
      {"username", more & 2 ? "" : "user"},
      {"password", "secret"},
      {"discover", "false"},
      {"request_timeout_ms", "1000"},
      {"heartbeat_ms", more & 4 ? "300" : "30000"},
  };
  cql_config_t *config = cql_config_new();
  for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
    CHECK(cql_config_set(config, options[i][0], options[i][1]) == 0);
  w->sim = cql__sim_new(more, 1000);
  int error = cql__sim_session(w->sim, config, &w->session);
  cql_config_free(config);
  return error;
}

static void end(world *w) {
  cql__mem_fail(0, 0);
  cql__session_close(w->session, (int)(input_u8(&w->in) % 2) * 5000);
  for (int i = 0; i < 200 && !(w->closed && cql__sim_timeout(w->sim, w->session) == -1); i++) {
    cql__sim_advance(w->sim, 100);
    cql__sim_step(w->sim, w->session);
    do_poll(w);
  }
  CHECK(w->closed == 1);
  for (uint32_t i = 0; i < w->submitted; i++) CHECK(w->done[i]);
  const cql_metrics_t *metrics = &w->session->engine.metrics;
  CHECK(metrics->in_flight == 0 && metrics->queued == 0 && metrics->taken == 0);
  CHECK(metrics->requests == metrics->completed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  long live = cql__mem_live();
  world w = {.in = input_of(data, size)};
  CHECK(begin(&w) == 0);
  for (int i = 0; i < OPERATIONS_MAX && input_left(&w.in); i++)
    operations[input_u8(&w.in) % (sizeof operations / sizeof *operations)](&w);
  end(&w);
  cql__sim_session_free(w.session);
  for (unsigned i = 0; i < w.kept_count; i++) cql_result_free(w.kept[i]);
  cql_prepared_unref(w.prepared);
  cql__sim_free(w.sim);
  CHECK(cql__mem_live() == live);
  return 0;
}
