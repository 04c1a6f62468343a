/* Client routes: rows of any bytes, reading after reading, with and without memory: what is in
 * force is a route that can be dialled, of an id that was asked for.
 *
 * An input is operations, each a byte and what it takes. */
#include "fuzz.h"

#include "base/mem.h"
#include "cluster/client_routes.h"

enum { ROW, BYTES, BEGIN, END, FORGET, CONCERN, STARVE, OPERATIONS };
enum { HOSTS = 16 };

static const char *const ids[] = {"one", "two", "three", "other"};
static uint64_t sum;

static uint8_t *put_cell(uint8_t *p, const void *bytes, size_t size) {
  return cql__put_bytes(cql__put_u32(p, (uint32_t)size), bytes, size);
}

static void host_of(unsigned n, uint8_t out[16]) {
  memset(out, 0, 16);
  out[15] = (uint8_t)(n % HOSTS);
}

static void take(cql__client_routes *routes, const uint8_t *bytes, size_t size) {
  uint8_t *copy = copy_of(bytes, size);
  cql__cursor rows = cql__cursor_of(copy, size);
  int error = 0;
  for (int32_t count = cql__read_i32(&rows); count > 0 && !error; count--)
    error = cql__client_routes_take(routes, &rows);
  CHECK(error == 0 || error == CQL_ENOMEM || error == CQL_EMALFORMED);
  free(copy);
}

static void take_row(cql__client_routes *routes, input *in) {
  uint8_t bytes[128], host[16], *p = cql__put_u32(bytes, 1);
  unsigned what = input_u8(in), address = input_u8(in), port = input_u16(in);
  char text[8];
  host_of(what >> 2, host);
  snprintf(text, sizeof text, "h%u", address % 5);
  p = put_cell(p, ids[what % 4], strlen(ids[what % 4]));
  p = put_cell(p, host, sizeof host);
  p = put_cell(p, text, strlen(text));
  p = cql__put_u32(cql__put_u32(p, 4), port);
  take(routes, bytes, (size_t)(p - bytes));
}

static void take_bytes(cql__client_routes *routes, input *in) {
  size_t size = input_u16(in) % 300;
  const uint8_t *bytes = input_take(in, &size);
  take(routes, bytes, size);
}

static void on_changed(void *user, const uint8_t host_id[16]) {
  const cql__client_route *route = cql__client_routes_find(user, host_id);
  CHECK(route && !memcmp(route->host_id, host_id, 16));
  sum = sum_of(sum, route->address, strlen(route->address));
}

static void concern(const cql__client_routes *routes, input *in) {
  size_t size = input_u8(in);
  const uint8_t *bytes = input_take(in, &size);
  uint8_t *copy = copy_of(bytes, size);
  sum += (uint64_t)cql__client_routes_concern(routes, (cql_slice_t){copy, (int32_t)size});
  free(copy);
}

static void run(cql__client_routes *routes, input *in) {
  switch (input_u8(in) % OPERATIONS) {
    case ROW: take_row(routes, in); break;
    case BYTES: take_bytes(routes, in); break;
    case BEGIN: cql__client_routes_begin(routes); break;
    case END: cql__client_routes_end(routes, on_changed, routes); break;
    case FORGET: cql__client_routes_forget(routes); break;
    case CONCERN: concern(routes, in); break;
    default: cql__mem_fail(1 + (long)input_u8(in) % 6, 0); return; /* in what comes next */
  }
  cql__mem_fail(0, 0);
}

static void check(const cql__client_routes *routes) {
  for (unsigned n = 0; n < HOSTS; n++) {
    uint8_t host[16];
    host_of(n, host);
    const cql__client_route *route = cql__client_routes_find(routes, host);
    if (!route) continue;
    CHECK(n > 0 && routes->is_known && route->port > 0 && route->id < 3);
    CHECK(*route->address && strlen(route->address) <= 255);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  long live = cql__mem_live();
  input in = input_of(data, size);
  cql__client_routes routes = {.query = NULL};
  CHECK(cql__client_routes_init(&routes, "one,two,three", 0) == 0);
  while (input_left(&in)) {
    run(&routes, &in);
    check(&routes);
  }
  cql__mem_fail(0, 0);
  cql__client_routes_deinit(&routes);
  CHECK(cql__mem_live() == live);
  return 0;
}
