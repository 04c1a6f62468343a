#include "execute/request.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "execute/attempt.h"
#include "execute/route.h"
#include "wire/proto.h"

/* ---- slots ---- */

enum { CHUNK_REQUESTS = 64 };

struct cql__request_chunk {
  struct cql__request_chunk *next;
  cql_request_t requests[CHUNK_REQUESTS];
};

static void on_timeout(cql__timer *timer) {
  cql_request_t *request = cql__container(timer, cql_request_t, timer);
  cql__engine *engine = request->engine;
  if (!request->errand) engine->metrics.timeouts++;
  int nobody = request->state == CQL__REQUEST_PENDING && cql__route_is_stranded(request);
  cql__attempt_abandon(request, nobody ? CQL_ENOHOST : CQL_ETIMEOUT);
}

__attribute__((noinline)) static int add_chunk(cql__engine *engine) {
  struct cql__request_chunk *chunk = cql__zalloc(sizeof *chunk);
  if (!chunk) return CQL_ENOMEM;
  chunk->next = engine->chunks;
  engine->chunks = chunk;
  engine->slot_count += CHUNK_REQUESTS;
  for (int i = CHUNK_REQUESTS; i-- > 0;) {
    cql_request_t *request = &chunk->requests[i];
    request->engine = engine;
    cql__list_init(&request->link);
    cql__timer_init(&request->timer, on_timeout);
    request->next_free = engine->free_requests;
    engine->free_requests = request;
  }
  return 0;
}

cql_request_t *cql__request_take(cql__engine *engine) {
  if (!engine->free_requests && add_chunk(engine)) return NULL;
  cql_request_t *request = engine->free_requests;
  engine->free_requests = request->next_free;
  request->connection = NULL;
  assert(request->state == CQL__REQUEST_FREE && !request->result);
  engine->metrics.taken++;
  request->state = CQL__REQUEST_TAKEN;
  request->opcode = request->attempts = request->reprepares = 0;
  request->has_unset = request->bound = request->use = request->errand = request->in_use = 0;
  request->on_done = NULL;
  request->schema_agreed = -1;
  request->consistency = engine->consistency;
  request->serial_consistency = engine->serial_consistency;
  request->address = NULL;
  request->batch_count = 0;
  request->query_flags = request->options = 0;
  request->timeout_ms = engine->request_timeout_ms;
  request->page_size = engine->page_size;
  request->prefix_size = request->body_size = request->batch_prepared = 0;
  request->paging_length = request->keyspace_length = request->payload_length = CQL_NULL;
  request->route.keyspace = NULL;
  request->route.has_token = 0;
  request->sent_shard = -1;
  request->route.retried = request->route.tried_count = 0;
  return request;
}

__attribute__((noinline)) static void drop_batch(cql_request_t *request) {
  const cql__batch_item *items = cql__request_items(request);
  for (uint32_t i = 0; i < request->batch_prepared; i++) cql_prepared_unref(items[i].prepared);
  cql__block_unref(request->batch);
  request->batch = NULL;
}

__attribute__((noinline)) static void drop_route(cql__route *route) {
  cql__block_unref(route->rest);
  cql_node_unref(route->node);
  route->rest = NULL;
  route->node = NULL;
}

/* A small body stays with its slot. */
static void drop_content(cql_request_t *request) {
  if (!cql__block_may_stay(request->body)) {
    cql__block_unref(request->body);
    request->body = NULL;
  }
  cql__block_unref(request->extra);
  cql_prepared_unref(request->prepared);
  cql__metadata_unref(request->columns);
  if (request->batch) drop_batch(request);
  if (request->route.rest || request->route.node) drop_route(&request->route);
  request->extra = NULL;
  request->prepared = request->preparing = NULL;
  request->columns = NULL;
  request->connection = NULL;
}

void cql__request_release(cql_request_t *request) {
  cql__engine *engine = request->engine;
  assert(request->state == CQL__REQUEST_TAKEN || request->state == CQL__REQUEST_DONE);
  if (request->state == CQL__REQUEST_TAKEN) drop_content(request);
  request->result = NULL;
  request->state = CQL__REQUEST_FREE;
  request->next_free = engine->free_requests;
  engine->free_requests = request;
  engine->metrics.taken--;
}

void cql__request_finish(cql_request_t *request, int status, int server_code,
                         cql_result_t *result) {
  assert(request->state != CQL__REQUEST_FREE && request->state != CQL__REQUEST_DONE);
  cql__engine *engine = request->engine;
  cql__timer_cancel(&request->timer);
  drop_content(request);
  request->state = CQL__REQUEST_DONE;
  request->status = status;
  request->server_code = server_code;
  request->result = result;
  cql__list_append(&engine->done, &request->link);
  if (!request->errand) engine->metrics.completed++;
}

void cql__engine_each(cql__engine *engine, void (*visit)(cql_request_t *request, void *user),
                      void *user) {
  for (struct cql__request_chunk *chunk = engine->chunks; chunk; chunk = chunk->next)
    for (int i = 0; i < CHUNK_REQUESTS; i++)
      if (chunk->requests[i].state != CQL__REQUEST_FREE) visit(&chunk->requests[i], user);
}

void cql__engine_free_requests(cql__engine *engine) {
  while (engine->chunks) {
    struct cql__request_chunk *next = engine->chunks->next;
    for (int i = 0; i < CHUNK_REQUESTS; i++) {
      cql_request_t *request = &engine->chunks->requests[i];
      if (request->result) cql_result_free(request->result);
      drop_content(request);
      cql__block_unref(request->body);
    }
    cql__free(engine->chunks);
    engine->chunks = next;
  }
  engine->free_requests = NULL;
}

/* ---- the body ---- */

__attribute__((noinline)) static cql__block *more_body(cql_request_t *request, size_t size) {
  size_t needed = request->body_size + size;
  if (size > CQL__BODY_MAX || needed > CQL__BODY_MAX) return NULL;
  cql__block *body = request->body;
  if (!body) return request->body = cql__block_take(request->engine->pool, needed);
  size_t doubled = body->capacity * 2;
  if (doubled > CQL__BODY_MAX) doubled = CQL__BODY_MAX;
  body = cql__block_grow(body, request->body_size, doubled > needed ? doubled : needed);
  if (body) request->body = body;
  return body;
}

uint8_t *cql__request_extend(cql_request_t *request, size_t size) {
  cql__block *body = request->body;
  if (!body || body->capacity - request->body_size < size) {
    body = more_body(request, size);
    if (!body) return NULL;
  }
  uint8_t *at = body->data + request->body_size;
  request->body_size += (uint32_t)size;
  return at;
}

static int extend_error(const cql_request_t *request, size_t size) {
  return request->body_size + size > CQL__BODY_MAX ? CQL_ETOOBIG : CQL_ENOMEM;
}

static int start_text(cql_request_t *request, uint8_t opcode, const char *text, size_t length) {
  if (request->state != CQL__REQUEST_TAKEN || request->opcode) return CQL_EINVAL;
  if (length > INT32_MAX) return CQL_ETOOBIG;
  uint8_t *p = cql__request_extend(request, 4 + length);
  if (!p) return extend_error(request, 4 + length);
  cql__put_bytes(cql__put_u32(p, (uint32_t)length), text, length);
  request->opcode = opcode;
  request->prefix_size = request->body_size;
  return 0;
}

int cql_request_query(cql_request_t *request, const char *text, size_t length) {
  return start_text(request, CQL__QUERY, text, length);
}

int cql_request_prepare(cql_request_t *request, const char *text, size_t length) {
  return start_text(request, CQL__PREPARE, text, length);
}

int cql_request_execute(cql_request_t *request, cql_prepared_t *prepared) {
  if (request->state != CQL__REQUEST_TAKEN || request->opcode ||
      prepared->engine != request->engine)
    return CQL_EINVAL;
  request->prepared = cql_prepared_ref(prepared);
  request->opcode = CQL__EXECUTE;
  return 0;
}

/* ---- values ---- */

/* Are these `count` values of exactly `size` bytes? Tells whether any is unset. */
static int check_encoded(const uint8_t *encoded, size_t size, uint32_t count, int *has_unset) {
  if (count > UINT16_MAX) return CQL_ETOOBIG;
  cql__cursor c = cql__cursor_of(encoded, size);
  for (uint32_t i = 0; i < count; i++) {
    int32_t length = cql__read_i32(&c);
    if (length == CQL_UNSET) *has_unset = 1;
    if (length < CQL_UNSET) return CQL_EINVAL;
    if (length > 0) cql__read_raw(&c, (size_t)length);
  }
  return c.broken || cql__cursor_left(&c) ? CQL_EINVAL : 0;
}

/* Markers without a value are unset; v3 has no such thing, there they are null. */
static uint32_t missing(const cql_prepared_t *prepared, uint32_t count) {
  uint32_t wanted = prepared ? prepared->parameters->shape.column_count : count;
  return wanted > count ? wanted - count : 0;
}

static uint8_t *put_missing(cql_request_t *request, uint8_t *p, uint32_t count) {
  int unset = request->engine->settings.version >= 4;
  for (uint32_t i = 0; i < count; i++)
    p = cql__put_u32(p, (uint32_t)(unset ? CQL_UNSET : CQL_NULL));
  if (unset && count) request->has_unset = 1;
  return p;
}

int cql_bind_encoded(cql_request_t *request, const uint8_t *encoded, size_t size, uint32_t count) {
  if (request->state != CQL__REQUEST_TAKEN || request->bound ||
      (request->opcode != CQL__QUERY && request->opcode != CQL__EXECUTE))
    return CQL_EINVAL;
  int has_unset = 0, error = check_encoded(encoded, size, count, &has_unset);
  if (error) return error;
  uint32_t more = missing(request->prepared, count);
  if ((uint64_t)count + more > UINT16_MAX) return CQL_ETOOBIG;
  size_t room = 2 + size + (size_t)more * 4;
  uint8_t *p = cql__request_extend(request, room);
  if (!p) return extend_error(request, room);
  p = cql__put_u16(p, count + more);
  put_missing(request, cql__put_bytes(p, encoded, size), more);
  request->has_unset |= (uint8_t)has_unset;
  request->bound = 1;
  if (count + more) {
    request->query_flags |= CQL__QUERY_VALUES;
  } else {
    request->body_size -= 2;
  }
  return 0;
}

static int check_value(cql_slice_t value) {
  return value.length < CQL_UNSET || (value.length > 0 && !value.data) ? CQL_EINVAL : 0;
}

static int check_name(cql_slice_t name) {
  return name.length < 0 || name.length > UINT16_MAX || (name.length > 0 && !name.data) ? CQL_EINVAL
                                                                                        : 0;
}

static uint8_t *put_value(cql_request_t *request, uint8_t *p, cql_slice_t value) {
  p = cql__put_u32(p, (uint32_t)value.length);
  if (value.length == CQL_UNSET) request->has_unset = 1;
  return value.length > 0 ? cql__put_bytes(p, value.data, (size_t)value.length) : p;
}

static int bind_slices(cql_request_t *request, const cql_slice_t *names, const cql_slice_t *values,
                       uint32_t count) {
  if (request->state != CQL__REQUEST_TAKEN || request->bound) return CQL_EINVAL;
  uint32_t more = missing(request->prepared, count);
  if ((uint64_t)count + more > UINT16_MAX) return CQL_ETOOBIG;
  uint64_t room = 2 + (uint64_t)more * 4;
  for (uint32_t i = 0; i < count; i++) {
    if (check_value(values[i])) return CQL_EINVAL;
    room += 4 + (values[i].length > 0 ? (uint64_t)values[i].length : 0);
    if (!names) continue;
    if (check_name(names[i])) return CQL_EINVAL;
    room += 2 + (uint64_t)names[i].length;
  }
  if (room > CQL__BODY_MAX) return CQL_ETOOBIG;
  if (count + more) {
    uint8_t *p = cql__request_extend(request, (size_t)room);
    if (!p) return extend_error(request, (size_t)room);
    p = cql__put_u16(p, count + more);
    for (uint32_t i = 0; i < count; i++) {
      if (names) {
        p = cql__put_u16(p, (unsigned)names[i].length);
        p = cql__put_bytes(p, names[i].data, (size_t)names[i].length);
      }
      p = put_value(request, p, values[i]);
    }
    put_missing(request, p, more);
    request->query_flags |= CQL__QUERY_VALUES | (names ? CQL__QUERY_NAMES : 0u);
  }
  request->bound = 1;
  return 0;
}

int cql_bind(cql_request_t *request, const cql_slice_t *values, uint32_t count) {
  if (request->opcode != CQL__QUERY && request->opcode != CQL__EXECUTE) return CQL_EINVAL;
  return bind_slices(request, NULL, values, count);
}

int cql_bind_named(cql_request_t *request, const cql_slice_t *names, const cql_slice_t *values,
                   uint32_t count) {
  if (request->opcode != CQL__QUERY) return CQL_EINVAL;
  return bind_slices(request, names, values, count);
}

/* ---- batches [spec 4.1.7] ---- */

int cql_request_batch(cql_request_t *request, int type) {
  if (request->state != CQL__REQUEST_TAKEN || request->opcode || type < CQL_LOGGED ||
      type > CQL_COUNTER_BATCH)
    return CQL_EINVAL;
  uint8_t *p = cql__request_extend(request, 3); /* type, and the count when it is known */
  if (!p) return CQL_ENOMEM;
  p[0] = (uint8_t)type;
  request->opcode = CQL__BATCH;
  request->prefix_size = request->body_size;
  return 0;
}

/* One statement: its head, then its values. */
static int batch_add(cql_request_t *request, int kind, const uint8_t *head, size_t head_size,
                     const cql_prepared_t *prepared, const uint8_t *encoded, size_t size,
                     uint32_t count) {
  if (request->batch_count == UINT16_MAX) return CQL_ETOOBIG;
  int has_unset = 0, error = check_encoded(encoded, size, count, &has_unset);
  if (error) return error;
  uint32_t more = missing(prepared, count);
  if ((uint64_t)count + more > UINT16_MAX) return CQL_ETOOBIG;
  size_t length_size = kind == 0 ? 4 : 2;
  size_t room = 1 + length_size + head_size + 2 + size + (size_t)more * 4;
  uint8_t *p = cql__request_extend(request, room);
  if (!p) return extend_error(request, room);
  p = cql__put_u8(p, (unsigned)kind);
  p = kind == 0 ? cql__put_u32(p, (uint32_t)head_size) : cql__put_u16(p, (unsigned)head_size);
  p = cql__put_bytes(p, head, head_size);
  p = cql__put_u16(p, count + more);
  put_missing(request, cql__put_bytes(p, encoded, size), more);
  request->has_unset |= (uint8_t)has_unset;
  request->batch_count++;
  request->prefix_size = request->body_size;
  return 0;
}

int cql_batch_add_query(cql_request_t *request, const char *text, size_t length,
                        const uint8_t *encoded, size_t size, uint32_t count) {
  if (request->state != CQL__REQUEST_TAKEN || request->opcode != CQL__BATCH) return CQL_EINVAL;
  if (length > INT32_MAX) return CQL_ETOOBIG;
  return batch_add(request, 0, (const uint8_t *)text, length, NULL, encoded, size, count);
}

static int batch_room(cql_request_t *request) {
  size_t used = request->batch_prepared * sizeof(cql__batch_item);
  size_t needed = used + sizeof(cql__batch_item);
  cql__block *batch = request->batch;
  if (batch && batch->capacity >= needed) return 0;
  batch = batch ? cql__block_grow(batch, used, needed * 2)
                : cql__block_take(request->engine->pool, needed * 8);
  if (!batch) return CQL_ENOMEM;
  request->batch = batch;
  return 0;
}

int cql_batch_add_prepared(cql_request_t *request, cql_prepared_t *prepared, const uint8_t *encoded,
                           size_t size, uint32_t count) {
  if (request->state != CQL__REQUEST_TAKEN || request->opcode != CQL__BATCH ||
      prepared->engine != request->engine)
    return CQL_EINVAL;
  if (batch_room(request)) return CQL_ENOMEM;
  int error = batch_add(request, 1, cql__prepared_id(prepared), prepared->id_length, prepared,
                        encoded, size, count);
  if (error) return error;
  cql__request_items(request)[request->batch_prepared++] =
      (cql__batch_item){cql_prepared_ref(prepared), 0};
  cql__route_by_values(request, prepared, encoded, size);
  return 0;
}

void cql__request_rename(cql_request_t *request) {
  cql__block *body = request->body;
  cql__cursor c = cql__cursor_of(body->data + 3, request->prefix_size - 3);
  const cql__batch_item *item = cql__request_items(request);
  for (uint32_t i = 0; i < request->batch_count; i++) {
    if (cql__read_u8(&c) == 0) {
      cql__read_bytes(&c);
    } else {
      const cql_prepared_t *prepared = item++->prepared;
      uint8_t *id = body->data + (c.next - body->data) + 2;
      memcpy(id, cql__prepared_id(prepared), prepared->id_length);
      cql__read_short_bytes(&c);
    }
    for (uint32_t count = cql__read_u16(&c); count > 0; count--) cql__read_bytes(&c);
  }
}

/* ---- options ---- */

void cql_options_init(cql_options_t *options) {
  memset(options, 0, sizeof *options);
  options->consistency = options->serial_consistency = -1;
  options->paging_state.length = CQL_NULL;
  options->keyspace.length = CQL_NULL;
  options->payload.length = CQL_NULL;
}

/* A bytes map and nothing behind it: a server can't tell where a broken one ends. */
static int is_payload(cql_slice_t payload) {
  if (payload.length > 0 && !payload.data) return 0;
  cql__cursor c = cql__cursor_of(payload.data, (size_t)payload.length);
  cql__read_bytes_map(&c);
  return !c.broken && cql__cursor_left(&c) == 0;
}

static int check_options(const cql_options_t *options) {
  int serial = options->serial_consistency;
  if (serial != -1 && serial != CQL_SERIAL && serial != CQL_LOCAL_SERIAL) return CQL_EINVAL;
  if ((options->flags & CQL_OPTION_TIMESTAMP) && options->timestamp < 0) return CQL_EINVAL;
  return options->consistency < -1 || options->consistency > CQL_LOCAL_ONE ||
         options->page_size < -1 || options->timeout_ms < 0 ||
         options->keyspace.length > UINT16_MAX ||
         (options->payload.length >= 0 && !is_payload(options->payload));
}

static size_t length_of(cql_slice_t slice) { return slice.length > 0 ? (size_t)slice.length : 0; }

__attribute__((noinline)) static int copy_extra(cql_request_t *request,
                                                const cql_options_t *options) {
  size_t extra =
      length_of(options->paging_state) + length_of(options->keyspace) + length_of(options->payload);
  if (extra) {
    if (extra > CQL__BODY_MAX) return CQL_ETOOBIG;
    cql__block *block = cql__block_take(request->engine->pool, extra);
    if (!block) return CQL_ENOMEM;
    uint8_t *p = block->data;
    p = cql__put_bytes(p, options->paging_state.data, length_of(options->paging_state));
    p = cql__put_bytes(p, options->keyspace.data, length_of(options->keyspace));
    cql__put_bytes(p, options->payload.data, length_of(options->payload));
    cql__block_unref(request->extra);
    request->extra = block;
  }
  request->paging_length = options->paging_state.length;
  request->keyspace_length = options->keyspace.length;
  request->payload_length = options->payload.length;
  return 0;
}

int cql_request_options(cql_request_t *request, const cql_options_t *options) {
  if (request->state != CQL__REQUEST_TAKEN || request->extra || check_options(options))
    return CQL_EINVAL;
  /* Most name none of the three: all lengths are negative. */
  if ((options->paging_state.length & options->keyspace.length & options->payload.length) >= 0) {
    int error = copy_extra(request, options);
    if (error) return error;
  }
  if (options->consistency >= 0) request->consistency = (uint16_t)options->consistency;
  if (options->serial_consistency >= 0)
    request->serial_consistency = (uint16_t)options->serial_consistency;
  if (options->page_size) request->page_size = options->page_size;
  if (options->timeout_ms) request->timeout_ms = (uint32_t)options->timeout_ms;
  request->options = options->flags;
  request->timestamp = options->timestamp;
  request->now_in_seconds = options->now_in_seconds;
  return 0;
}

static cql_slice_t extra_slice(const cql_request_t *request, int32_t skip, int32_t length) {
  if (length < 0) return (cql_slice_t){NULL, CQL_NULL};
  return (cql_slice_t){length ? request->extra->data + skip : NULL, length};
}

static int32_t at_least_0(int32_t length) { return length > 0 ? length : 0; }

cql_slice_t cql__request_paging(const cql_request_t *request) {
  return extra_slice(request, 0, request->paging_length);
}

cql_slice_t cql__request_keyspace(const cql_request_t *request) {
  return extra_slice(request, at_least_0(request->paging_length), request->keyspace_length);
}

cql_slice_t cql__request_payload(const cql_request_t *request) {
  int32_t skip = at_least_0(request->paging_length) + at_least_0(request->keyspace_length);
  return extra_slice(request, skip, request->payload_length);
}

/* The clock was set back, or more than a million writes a second go out. */
static void warn_of_drift(cql__engine *engine) {
  uint64_t now = cql__link_now(engine->link);
  if (now < engine->drift_told) return;
  engine->drift_told = now + CQL__DRIFT_WARNING_MS;
  engine->tell(engine->user, CQL_EVENT_WARNING, "",
               "timestamps of writes are over a second ahead of the clock");
}

/* Later than every other of this session, and near the clock, which is read once between flush,
 * step and poll: a read costs as much as encoding a request. */
static int64_t next_timestamp(cql__engine *engine) {
  int64_t now = ++engine->last_timestamp;
  if (engine->clock_read) return now;
  engine->clock_read = 1;
  int64_t clock = engine->link->ops->wall_clock(engine->link);
  if (clock > now)
    engine->last_timestamp = clock;
  else if (now - clock > CQL__DRIFT_US)
    warn_of_drift(engine);
  return engine->last_timestamp;
}

static int has_default_timestamp(const cql_request_t *request) {
  if (request->options & CQL_OPTION_TIMESTAMP) return 1;
  return !(request->options & CQL_OPTION_SERVER_TIMESTAMP) && !request->engine->server_timestamps;
}

/* A PREPARE is for the keyspace that the session uses when it is submitted: named, it means the
 * same wherever it is sent, and when it is sent again after another USE. */
static int name_keyspace(cql_request_t *request) {
  const char *used = request->engine->settings.keyspace;
  if (!used || request->errand || request->keyspace_length >= 0) return 0;
  cql_options_t options;
  cql_options_init(&options);
  options.keyspace = (cql_slice_t){(const uint8_t *)used, (int32_t)strlen(used)};
  options.paging_state = cql__request_paging(request);
  options.payload = cql__request_payload(request);
  request->in_use = 1;
  return copy_extra(request, &options);
}

int cql__request_seal(cql_request_t *request) {
  if (request->opcode == 0 || (request->opcode == CQL__BATCH && request->batch_count == 0))
    return CQL_EINVAL;
  if (request->opcode == CQL__PREPARE) return name_keyspace(request);
  if (request->opcode == CQL__EXECUTE && !request->bound && missing(request->prepared, 0)) {
    int error = bind_slices(request, NULL, NULL, 0);
    if (error) return error;
  }
  cql__route_seal(request);
  int has_extra = (request->paging_length & request->keyspace_length) >= 0;
  const cql_slice_t none = {NULL, CQL_NULL};
  cql_slice_t paging = has_extra ? cql__request_paging(request) : none;
  cql_slice_t keyspace = has_extra ? cql__request_keyspace(request) : none;
  size_t room = 4 + 4 + 2 + 8 + 2 + 4;
  if (has_extra) room += length_of(paging) + length_of(keyspace);
  uint8_t *p = cql__request_extend(request, room);
  if (!p) return extend_error(request, room);
  uint32_t flags = request->query_flags;
  int batch = request->opcode == CQL__BATCH;
  if (batch) cql__put_u16(request->body->data + 1, request->batch_count);
  if (!batch && request->page_size > 0) {
    flags |= CQL__QUERY_PAGE_SIZE;
    p = cql__put_u32(p, (uint32_t)request->page_size);
  }
  if (!batch && paging.length >= 0) {
    flags |= CQL__QUERY_PAGING_STATE;
    p = cql__put_bytes(cql__put_u32(p, (uint32_t)paging.length), paging.data, length_of(paging));
  }
  if (request->serial_consistency) {
    flags |= CQL__QUERY_SERIAL;
    p = cql__put_u16(p, request->serial_consistency);
  }
  if (has_default_timestamp(request)) {
    flags |= CQL__QUERY_TIMESTAMP;
    if (!(request->options & CQL_OPTION_TIMESTAMP))
      request->timestamp = next_timestamp(request->engine);
    p = cql__put_u64(p, (uint64_t)request->timestamp);
  }
  if (keyspace.length >= 0 && request->opcode != CQL__EXECUTE) { /* there the id implies it */
    flags |= CQL__QUERY_KEYSPACE;
    p = cql__put_bytes(cql__put_u16(p, (unsigned)keyspace.length), keyspace.data,
                       length_of(keyspace));
  }
  if (request->options & CQL_OPTION_NOW_IN_SECONDS) {
    flags |= CQL__QUERY_NOW;
    p = cql__put_u32(p, (uint32_t)request->now_in_seconds);
  }
  request->query_flags = flags;
  request->body_size = (uint32_t)(p - request->body->data);
  return 0;
}
