/* A simulated node and one client that says anything at all, in envelopes and segments or in none:
 * the node answers or closes, and all memory comes back. */
#include "fuzz.h"

#include "frame/segment.h"
#include "sim/world.h"
#include "wire/proto.h"

enum { OPERATIONS_MAX = 300 };

typedef struct caller {
  input in;
  cql_sim_t *sim;
  cql__sim_client *client; /* NULL: the node has ended it */
  unsigned version;
  uint8_t id[16]; /* of the last statement that was prepared */
} caller;

static uint64_t sum;

/* ---- the carrier ---- */

static void on_sent(void *carrier, const uint8_t *bytes, size_t size) {
  caller *c = carrier;
  sum = sum_of(sum, bytes, size);
  CHECK(size && c->client);
}

static void on_ended(void *carrier, int how) {
  caller *c = carrier;
  CHECK(how >= CQL_SIM_CLOSE && how <= CQL_SIM_HALF_OPEN);
  c->client = NULL;
}

static const cql__sim_carrier carrier = {on_sent, on_ended};

static void connect_again(caller *c) {
  cql__sim_node *node = c->sim->nodes[0];
  if (c->client || node->state != CQL_SIM_UP) return;
  c->client =
      cql__sim_client_new(node, &carrier, c, node->address.port, 40000, "10.0.0.1:40000", -3);
}

/* ---- what it says ---- */

static void feed(caller *c, const uint8_t *bytes, size_t size) {
  uint8_t *copy = copy_of(bytes, size);
  if (c->client && size) cql__sim_client_feed(c->client, copy, size);
  free(copy);
}

/* A segment of what the client has negotiated, if it has. */
static void say_framed(caller *c, const uint8_t *bytes, size_t size, int slice) {
  static uint8_t out[CQL__SEGMENT_MAX + 64];
  if (!c->client || !c->client->framed || size > CQL__SEGMENT_MAX) {
    feed(c, bytes, size);
    return;
  }
  int lz4 = c->client->lz4;
  size_t head = cql__segment_head_size(lz4);
  cql__segment segment = {(uint32_t)size, 0, !slice};
  cql__segment_head_encode(&segment, lz4, out);
  cql__put_bytes(out + head, bytes, size);
  uint32_t crc = cql__crc32_more(cql__crc32_begin(), bytes, size);
  cql__segment_tail_encode(crc, out + head + size);
  feed(c, out, head + size + CQL__SEGMENT_TAIL);
}

static void say(caller *c, unsigned flags, unsigned opcode, const void *body, size_t size) {
  static uint8_t out[CQL__HEADER_SIZE + 70000];
  uint8_t *p = cql__put_u8(out, c->version);
  p = cql__put_u8(p, flags);
  p = cql__put_u16(p, input_u8(&c->in) & 7);
  p = cql__put_u8(p, opcode);
  p = cql__put_bytes(cql__put_u32(p, (uint32_t)size), body, size);
  size = (size_t)(p - out);
  size_t cut = input_u8(&c->in) % 3 == 0 ? size / 2 : 0;
  if (cut) say_framed(c, out, cut, 1);
  say_framed(c, out + cut, size - cut, cut != 0);
}

static void say_startup(caller *c) {
  static const char plain[] = "\0\1\0\13CQL_VERSION\0\0053.0.0";
  static const char lz4[] = "\0\2\0\13CQL_VERSION\0\0053.0.0\0\13COMPRESSION\0\3lz4";
  static const char tablets[] =
      "\0\3\0\13CQL_VERSION\0\0053.0.0\0\22TABLETS_ROUTING_V1\0\0\0\26SCYLLA_USE_METADATA_ID\0\0";
  switch (input_u8(&c->in) % 3) {
    case 0: say(c, 0, CQL__STARTUP, plain, sizeof plain - 1); break;
    case 1: say(c, 0, CQL__STARTUP, lz4, sizeof lz4 - 1); break;
    default: say(c, 0, CQL__STARTUP, tablets, sizeof tablets - 1); break;
  }
}

static void say_anything(caller *c) {
  unsigned flags = input_u8(&c->in), opcode = input_u8(&c->in) % 18;
  size_t size = input_u16(&c->in) % 1000;
  const uint8_t *body = input_take(&c->in, &size);
  say(c, flags, opcode, body, size);
}

static const char *const texts[] = {
    "SELECT * FROM k.t WHERE p = ?",
    "INSERT INTO k.t (p, v) VALUES (?, ?)",
    "INSERT INTO k.t (p, v) VALUES (1, 'x') IF NOT EXISTS",
    "ALTER TABLE k.t ADD w int",
    "SELECT * FROM system.peers",
    "USE k",
};

static void say_text(caller *c) {
  uint8_t body[200];
  const char *text = texts[input_u8(&c->in) % (sizeof texts / sizeof *texts)];
  uint8_t *p = cql__put_u32(body, (uint32_t)strlen(text));
  p = cql__put_bytes(p, text, strlen(text));
  int prepare = input_u8(&c->in) % 2;
  if (prepare) {
    cql__sim_md5(text, strlen(text), c->id);
    if (c->version >= 5) p = cql__put_u32(p, 0);
  } else {
    p = cql__put_u16(p, CQL_ONE);
    p = c->version >= 5 ? cql__put_u32(p, 0) : cql__put_u8(p, 0);
  }
  say(c, 0, prepare ? CQL__PREPARE : CQL__QUERY, body, (size_t)(p - body));
}

static void say_execute(caller *c) {
  uint8_t body[400];
  uint8_t *p = cql__put_bytes(cql__put_u16(body, 16), c->id, 16);
  size_t size = input_u8(&c->in);
  const uint8_t *rest = input_take(&c->in, &size);
  p = cql__put_bytes(p, rest, size);
  say(c, 0, CQL__EXECUTE, body, (size_t)(p - body));
}

static void say_raw(caller *c) {
  size_t size = input_u8(&c->in);
  const uint8_t *bytes = input_take(&c->in, &size);
  feed(c, bytes, size);
}

static void live(caller *c) {
  cql_sim_t *sim = c->sim;
  switch (input_u8(&c->in) % 6) {
    case 0: cql_sim_node_kill(sim, 0); break;
    case 1: cql_sim_node_start(sim, 0); break;
    case 2: cql_sim_node_pause(sim, 0); break;
    case 3: cql_sim_node_resume(sim, 0); break;
    case 4:
      if (c->client) cql__sim_client_closed(c->client);
      c->client = NULL;
      break;
    default: cql_sim_pass(sim, input_u16(&c->in) * 100); break;
  }
}

static void operate(caller *c) {
  static void (*const operations[])(caller *) = {say_anything, say_startup, say_text, say_execute,
                                                 say_raw,      live,        say_text};
  for (int i = 0; i < OPERATIONS_MAX && input_left(&c->in); i++) {
    connect_again(c);
    unsigned what = input_u8(&c->in);
    if (what >= 250)
      c->version = what - 250;
    else
      operations[what % (sizeof operations / sizeof *operations)](c);
  }
}

static void given(cql_sim_t *sim, const char *text) {
  CHECK(cql_sim_cql(sim, text, strlen(text)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  caller c = {.in = input_of(data, size), .sim = cql_sim_new(1)};
  unsigned first = input_u8(&c.in);
  c.version = 3 + first % 3;
  cql_sim_set(c.sim, CQL_SIM_ALL, "product", first & 4 ? "scylla" : "cassandra");
  cql_sim_set(c.sim, CQL_SIM_ALL, "service", first & 8 ? "1ms..50ms" : "0");
  cql_sim_set(c.sim, CQL_SIM_ALL, "auth", first & 16 ? "password" : "none");
  cql_sim_set(c.sim, CQL_SIM_ALL, "frame_max", "4096");
  cql_sim_trace(c.sim, first & 32 ? 2 : 0);
  CHECK(cql_sim_node_new(c.sim, "dc1", "r1", NULL) == 0 && cql_sim_node_start(c.sim, 0) == 0);
  given(c.sim, "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', "
               "'replication_factor': 1}");
  given(c.sim, "CREATE TABLE k.t (p int PRIMARY KEY, v text)");
  operate(&c);
  if (c.client) cql__sim_client_closed(c.client);
  cql_sim_counters_t counters;
  CHECK(cql_sim_counters(c.sim, CQL_SIM_ALL, &counters) == 0);
  CHECK(counters.connections == 0 && counters.in_flight == 0);
  cql_sim_free(c.sim);
  return 0;
}
