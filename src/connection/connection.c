#include "connection/connection.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/plant.h"
#include "message/request.h"
#include "wire/proto.h"

static uint64_t now_of(const cql__connection *c) { return cql__link_now(c->settings->link); }

static void on_deadline(cql__timer *timer);
static void on_heartbeat(cql__timer *timer);
static void on_second(cql__timer *timer);
static int on_envelope(void *user, const cql__envelope *envelope);
static int on_too_big(void *user, const uint8_t *header);

void cql__connection_init(cql__connection *c, cql__connection_settings *settings,
                          const cql__connection_events *events, void *owner) {
  memset(c, 0, sizeof *c);
  c->settings = settings;
  c->tuning = &settings->near;
  c->events = events;
  c->owner = owner;
  cql__list_init(&c->dirty);
  cql__timer_init(&c->deadline, on_deadline);
  cql__timer_init(&c->heartbeat, on_heartbeat);
  cql__timer_init(&c->second, on_second);
  cql__streams_init(&c->streams, settings->streams_max);
  cql__reader_init(&c->reader, settings->pool, settings->frame_size_max);
  cql__writer_init(&c->writer, settings->pool);
}

/* Everything but the socket, which is closed by then. */
static void reset(cql__connection *c) {
  cql__list_remove(&c->dirty);
  cql__timer_cancel(&c->deadline);
  cql__timer_cancel(&c->heartbeat);
  cql__timer_cancel(&c->second);
  cql__reader_deinit(&c->reader);
  cql__writer_deinit(&c->writer);
  cql__streams_deinit(&c->streams);
}

void cql__connection_deinit(cql__connection *c) {
  if (c->socket) c->settings->link->ops->close(c->socket);
  c->socket = NULL;
  c->state = CQL__CLOSED;
  reset(c);
}

int cql__connection_open(cql__connection *c, const cql__target *target) {
  assert(c->state == CQL__CLOSED && !c->socket);
  cql__connection_settings *settings = c->settings;
  c->address = target->address;
  c->has_host_id = target->host_id != NULL;
  if (target->host_id) memcpy(c->host_id, target->host_id, 16);
  c->version = (uint8_t)settings->version;
  cql__features_init(&c->features, c->version);
  c->own_pending = CQL__OWN_NONE;
  c->auth_rounds = c->want_use = c->blocked = c->lower_to = 0;
  c->retiring = NULL;
  c->last_read = c->read_before = c->heartbeat_sent = 0;
  c->unknown_streams = 0;
  c->gathered = 0;
  c->why[0] = 0;
  cql__streams_init(&c->streams, settings->streams_max);
  cql__reader_init(&c->reader, settings->pool, settings->frame_size_max);
  c->reader.deliver = on_envelope;
  c->reader.too_big = on_too_big;
  c->reader.user = c;
  cql__writer_init(&c->writer, settings->pool);
  c->writer.compress_min = settings->compress_min;
  cql__target whole = *target;
  whole.send_buffer = c->tuning->send_buffer;
  whole.receive_buffer = c->tuning->receive_buffer;
  int error = settings->link->ops->open(settings->link, &whole, c, &c->socket);
  if (error) return error;
  c->state = CQL__OPENING;
  cql__timer_set(settings->wheel, &c->deadline, now_of(c) + c->tuning->connect_timeout_ms);
  return 0;
}

int cql__connection_fail(cql__connection *c, int error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(c->why, sizeof c->why, format, arguments);
  va_end(arguments);
  return error;
}

void cql__connection_close(cql__connection *c, int error, const char *why) {
  if (c->state == CQL__CLOSED) return;
  int use = cql__connection_is_using(c);
  if (why != c->why) snprintf(c->why, sizeof c->why, "%s", why ? why : "");
  if (c->socket) c->settings->link->ops->close(c->socket);
  c->socket = NULL;
  c->state = CQL__CLOSED;
  const cql__connection_events *events = c->events;
  int stream;
  for (void *waiter; (waiter = cql__streams_drain(&c->streams, &stream));)
    events->lost(c->owner, c, waiter, error);
  reset(c);
  if (use) events->used(c->owner, c, error);
  events->closed(c->owner, c, error, c->why);
}

/* ---- what it sends ---- */

static void mark_dirty(cql__connection *c) {
  if (cql__list_empty(&c->dirty)) cql__list_append(c->settings->dirty, &c->dirty);
}

int cql__connection_own(cql__connection *c, int own, uint8_t opcode, const uint8_t *body,
                        size_t size) {
  assert(c->own_pending == CQL__OWN_NONE);
  uint8_t head[CQL__HEADER_SIZE] = {c->version, 0, 0, 0, opcode};
  cql__put_u32(head + 5, (uint32_t)size);
  cql__parcel parcel = {head, sizeof head, NULL, body, size, opcode == CQL__AUTH_RESPONSE};
  int error = cql__writer_append(&c->writer, &parcel);
  if (error) return cql__connection_fail(c, error, "no memory for a message");
  c->own_pending = (uint8_t)own;
  mark_dirty(c);
  return 0;
}

int cql__connection_take(cql__connection *c, void *waiter) {
  return cql__streams_take(&c->streams, waiter);
}

void cql__connection_sent(cql__connection *c, size_t size) {
  c->gathered += size;
  mark_dirty(c);
}

void cql__connection_unsent(cql__connection *c, int stream) {
  void *waiter;
  cql__streams_answer(&c->streams, stream, &waiter);
}

/* The peer has gone, but what it said before that is still to be heard: answers, or the reason. */
static void write_failed(cql__connection *c, int error) {
  char why[sizeof c->why];
  snprintf(why, sizeof why, "%s", c->settings->link->ops->why(c->socket));
  c->blocked = 1;
  cql__connection_readable(c, c->last_read);
  cql__connection_close(c, error, why); /* unless reading has done so */
}

void cql__connection_flush(cql__connection *c) {
  cql__list_remove(&c->dirty);
  c->gathered = 0;
  if (c->blocked || !c->socket) return;
  cql_metrics_t *metrics = c->settings->metrics;
  int result = cql__writer_flush(&c->writer, c->settings->link, c->socket, &metrics->writes,
                                 &metrics->bytes_sent);
  if (result < 0)
    write_failed(c, result);
  else
    c->blocked = (uint8_t)result;
}

void cql__connection_writable(cql__connection *c) {
  c->blocked = 0;
  if (c->state != CQL__CLOSED && c->socket) cql__connection_flush(c);
}

void cql__connection_opened(cql__connection *c) {
  if (c->state != CQL__OPENING) return;
  c->last_read = now_of(c);
  cql__handshake_start(c);
}

/* ---- what it reads ---- */

static int cut(cql__connection *c, size_t size) {
  int error = cql__reader_cut(&c->reader, size);
  if (!error || c->why[0]) return error; /* the reason is known */
  if (error == CQL_EVERSION) return cql__handshake_old_version(c);
  return cql__connection_fail(c, error, "%s", c->reader.why ? c->reader.why : "no memory to read");
}

void cql__connection_readable(cql__connection *c, uint64_t now) {
  cql__link *link = c->settings->link;
  cql_metrics_t *metrics = c->settings->metrics;
  size_t budget = CQL__STEP_READ_MAX;
  int error = 0;
  c->read_before = c->last_read;
  c->last_read = now;
  c->why[0] = 0;
  while (!error && c->socket) {
    uint8_t *space;
    size_t size;
    if ((error = cql__reader_space(&c->reader, &space, &size))) {
      cql__connection_fail(c, error, "no memory to read into");
      break;
    }
    ptrdiff_t got = link->ops->read(c->socket, space, size);
    metrics->reads++;
    if (got < 0) error = cql__connection_fail(c, (int)got, "%s", link->ops->why(c->socket));
    if (got <= 0) break;
    metrics->bytes_received += (uint64_t)got;
    error = cut(c, (size_t)got);
    if ((size_t)got < size) break; /* dry: asking again would be a call for nothing */
    if (budget <= (size_t)got) {
      link->ops->again(c->socket);
      break;
    }
    budget -= (size_t)got;
  }
  if (error) {
    cql__connection_close(c, error, c->why);
  } else {
    cql__reader_rest(&c->reader);
  }
}

/* What nobody asked for is dropped and counted; too much of it is a peer that is confused. */
static int unknown_stream(cql__connection *c) {
  c->settings->metrics->unknown_streams++;
  if (++c->unknown_streams <= CQL__UNKNOWN_STREAMS_MAX) return 0;
  return cql__connection_fail(c, CQL_EPROTOCOL, "too many answers that nobody asked for");
}

int cql__connection_refused(cql__connection *c, int error, cql_slice_t message) {
  int length = message.length > 0 ? message.length : 0;
  return cql__connection_fail(c, error, "the server says: %.*s", length,
                              length ? (const char *)message.data : "");
}

static void try_use(cql__connection *c) {
  if (!c->want_use || c->own_pending != CQL__OWN_NONE) return;
  if (cql__connection_send_use(c, CQL__OWN_USE))
    c->why[0] = 0; /* it stays wanted: its deadline closes, if nothing else does */
  else
    c->want_use = 0;
}

static void used(cql__connection *c) {
  if (c->want_use) return; /* once more: the keyspace has changed meanwhile */
  if (!c->retiring || cql__streams_live(&c->streams) > 0) cql__timer_cancel(&c->deadline);
  c->events->used(c->owner, c, 0);
}

void cql__connection_listen(cql__connection *c) {
  if (c->tuning->heartbeat_ms)
    cql__timer_set(c->settings->wheel, &c->heartbeat, c->last_read + c->tuning->heartbeat_ms);
  else
    cql__timer_cancel(&c->heartbeat);
}

void cql__connection_tune(cql__connection *c, const cql__tuning *tuning) {
  if (c->tuning == tuning) return;
  c->tuning = tuning;
  if (c->state == CQL__SERVING && !c->heartbeat_sent) cql__connection_listen(c);
}

static void heartbeat_answered(cql__connection *c) {
  c->heartbeat_sent = 0;
  cql__connection_listen(c);
}

/* An ERROR on stream 0 while it serves. Those of the connection itself come there too, and the
 * server closes after them: its words are the better reason. */
static int own_error(cql__connection *c, const cql__response *response) {
  int own = c->own_pending;
  int32_t code;
  cql_slice_t message;
  cql__cursor body = response->body;
  if (cql__error_open(&body, &code, &message))
    return cql__connection_fail(c, CQL_EPROTOCOL, "an ERROR that can't be decoded");
  if (own == CQL__OWN_NONE || code == CQL__ERROR_PROTOCOL || code == CQL__ERROR_SERVER)
    return cql__connection_refused(c, CQL_EPROTOCOL, message);
  return own == CQL__OWN_USE ? cql__connection_refused(c, CQL_EKEYSPACE, message) : 0;
}

/* An answer on stream 0 while it serves. */
static int own_answer(cql__connection *c, const cql__response *response) {
  int own = c->own_pending;
  if (response->opcode == CQL__ERROR) {
    int error = own_error(c, response);
    if (error) return error;
  } else if (own == CQL__OWN_NONE) {
    return unknown_stream(c);
  } else if (own == CQL__OWN_USE && response->opcode != CQL__RESULT) {
    return cql__connection_fail(c, CQL_EPROTOCOL, "opcode 0x%02x does not answer USE",
                                response->opcode);
  }
  c->own_pending = CQL__OWN_NONE;
  if (own == CQL__OWN_USE)
    used(c);
  else
    heartbeat_answered(c);
  try_use(c);
  return 0;
}

/* Everything but an answer to a request: before it serves, or on stream 0 and below. */
static int on_own(cql__connection *c, const cql__envelope *envelope) {
  cql__response response;
  int error = cql__response_open(envelope->header, envelope->body, envelope->size, &response);
  if (response.version != c->version) return cql__handshake_wrong_version(c, &response);
  if (response.opcode == CQL__EVENT) {
    if (c->events->event && !error)
      c->events->event(c->owner, c, &response);
    else
      c->settings->metrics->unknown_streams++; /* nobody registered for it */
    return 0;
  }
  if (response.stream != 0) return unknown_stream(c);
  if (error) return cql__connection_fail(c, CQL_EPROTOCOL, "a message that can't be decoded");
  if (c->state == CQL__SERVING) return own_answer(c, &response);
  if (c->own_pending != CQL__OWN_HANDSHAKE)
    return cql__connection_fail(c, CQL_EPROTOCOL, "an answer before anything was asked");
  c->own_pending = CQL__OWN_NONE;
  return cql__handshake_answer(c, &response);
}

enum {
  ANSWERS = 1 << CQL__ERROR | 1 << CQL__READY | 1 << CQL__AUTHENTICATE | 1 << CQL__SUPPORTED |
            1 << CQL__RESULT | 1 << CQL__EVENT | 1 << CQL__AUTH_CHALLENGE | 1 << CQL__AUTH_SUCCESS
};

static int check_opcode(cql__connection *c, uint8_t opcode) {
  if (opcode <= CQL__AUTH_SUCCESS && (ANSWERS >> opcode & 1)) return 0;
  return cql__connection_fail(c, CQL_EPROTOCOL, "an unknown opcode, 0x%02x", opcode);
}

/* Is it an answer to a request, by its header? If not, it is the connection's own. */
static int is_answer(const cql__connection *c, const uint8_t *header) {
  return c->state == CQL__SERVING && (int16_t)cql__get_u16(header + 2) > 0 &&
         (header[0] & 0x7f) == c->version && header[4] != CQL__EVENT;
}

/* An answer has been dealt with: was it the last that a retiring connection waited for? */
static int retired(cql__connection *c) {
  if (!c->retiring || cql__streams_live(&c->streams) > 0) return 0;
  return cql__connection_fail(c, CQL_ECONNECTION, "%s", c->retiring);
}

/* The answer to a request; `envelope` is NULL if it is too big. */
static int answer(cql__connection *c, const uint8_t *header, const cql__envelope *envelope) {
  int stream = cql__get_u16(header + 2);
  void *waiter;
  int found = cql__streams_answer(&c->streams, stream, &waiter);
  if (found == CQL__STREAM_UNKNOWN) return unknown_stream(c);
  if (found == CQL__STREAM_LIVE && envelope)
    c->events->answered(c->owner, c, waiter, stream, envelope);
  else if (found == CQL__STREAM_LIVE)
    c->events->oversized(c->owner, c, waiter);
  return retired(c);
}

static int on_envelope(void *user, const cql__envelope *envelope) {
  cql__connection *c = user;
  const uint8_t *header = envelope->header;
  int error = check_opcode(c, header[4]);
  if (error) return error;
  return is_answer(c, header) ? answer(c, header, envelope) : on_own(c, envelope);
}

static int on_too_big(void *user, const uint8_t *header) {
  cql__connection *c = user;
  int error = check_opcode(c, header[4]);
  if (error) return error;
  if (!is_answer(c, header)) {
    int foreign = header[4] == CQL__EVENT || (int16_t)cql__get_u16(header + 2) != 0;
    if (!foreign || (header[0] & 0x7f) != c->version)
      return cql__connection_fail(c, CQL_ETOOBIG, "a message larger than frame_size_max");
    cql__envelope empty = {header, header + CQL__HEADER_SIZE, 0, NULL};
    return on_own(c, &empty); /* it is dropped, with a body or without */
  }
  return answer(c, header, NULL);
}

/* ---- time ---- */

static void on_deadline(cql__timer *timer) {
  cql__connection *c = cql__container(timer, cql__connection, deadline);
  static const char *const doing[] = {
      [CQL__OPENING] = "opening",
      [CQL__OPTIONS_SENT] = "waiting for SUPPORTED",
      [CQL__STARTUP_SENT] = "starting",
      [CQL__AUTH_SENT] = "authenticating",
      [CQL__CLUSTER_SENT] = "reading the cluster's name",
      [CQL__USE_SENT] = "using the keyspace",
  };
  if (c->state == CQL__SERVING) {
    const char *why = c->retiring ? c->retiring : "no answer to USE in time";
    cql__connection_close(c, CQL_ECONNECTION, why);
    return;
  }
  cql__connection_fail(c, CQL_ECONNECT, "no answer within connect_timeout_ms while %s",
                       doing[c->state]);
  cql__connection_close(c, CQL_ECONNECT, c->why);
}

static int send_heartbeat(cql__connection *c, uint64_t now) {
  int error = cql__connection_own(c, CQL__OWN_HEARTBEAT, CQL__OPTIONS, NULL, 0);
  if (error) return error;
  c->heartbeat_sent = now;
  c->forgiven = 0;
  return 0;
}

void cql__connection_check(cql__connection *c) {
  cql__connection_settings *settings = c->settings;
  uint64_t now = now_of(c);
  if (c->state != CQL__SERVING || !c->tuning->heartbeat_ms || c->own_pending != CQL__OWN_NONE ||
      send_heartbeat(c, now))
    return;
  cql__timer_set(settings->wheel, &c->heartbeat, now + c->tuning->heartbeat_timeout_ms);
}

static void on_heartbeat(cql__timer *timer) {
  cql__connection *c = cql__container(timer, cql__connection, heartbeat);
  cql__connection_settings *settings = c->settings;
  uint64_t now = now_of(c); /* not the wheel's: the host may have slept since this was due */
  if (c->heartbeat_sent) {
    if (c->last_read < c->heartbeat_sent) {
      cql__connection_close(c, CQL_ECONNECTION, "no answer to a heartbeat");
      return;
    }
    c->heartbeat_sent = now; /* it talks, if not of that */
    cql__timer_set(settings->wheel, timer, now + c->tuning->heartbeat_timeout_ms);
    return;
  }
  uint64_t due = c->last_read + c->tuning->heartbeat_ms;
  if (due <= now) {
    due = now + c->tuning->heartbeat_timeout_ms;
    /* A USE that is not answered is as good as one, and has a deadline of its own. */
    if (c->own_pending == CQL__OWN_NONE) send_heartbeat(c, now);
  }
  cql__timer_set(settings->wheel, timer, due);
}

/* Neither may be forgiven for ever: a host that is always late would never see a dead peer. */
void cql__connection_awake(cql__connection *c) {
  cql__connection_settings *settings = c->settings;
  uint64_t now = now_of(c);
  if (c->state == CQL__SERVING) {
    if (!c->heartbeat_sent || c->forgiven) return;
    c->forgiven = 1;
    c->heartbeat_sent = now;
    cql__timer_set(settings->wheel, &c->heartbeat, now + c->tuning->heartbeat_timeout_ms);
  } else if (c->state != CQL__CLOSED && c->last_read > settings->wheel->now) {
    cql__timer_set(settings->wheel, &c->deadline, now + c->tuning->connect_timeout_ms);
  }
}

/* ---- streams that timed out ---- */

void cql__connection_orphan(cql__connection *c, int stream) {
  void *waiter;
  if (CQL__PLANTED(CQL__PLANT_REUSE)) {
    cql__streams_answer(&c->streams, stream, &waiter);
    return;
  }
  cql__streams_orphan(&c->streams, stream);
  if (c->retiring && cql__streams_live(&c->streams) == 0) /* nobody waits any more: soon */
    cql__timer_set(c->settings->wheel, &c->deadline, now_of(c));
  if (!cql__timer_is_set(&c->second))
    cql__timer_set(c->settings->wheel, &c->second, now_of(c) + 1000);
}

/* So many that something must be wrong, or that few streams are left. */
static int too_many_overdue(const cql__streams *streams) {
  return streams->orphans_old > CQL__ORPHANS_MAX || streams->orphans_old > streams->maximum / 2;
}

static void on_second(cql__timer *timer) {
  cql__connection *c = cql__container(timer, cql__connection, second);
  cql__wheel *wheel = c->settings->wheel;
  cql__streams_tick(&c->streams);
  if (cql__streams_orphans(&c->streams)) cql__timer_set(wheel, timer, now_of(c) + 1000);
  if (c->retiring || c->state != CQL__SERVING || !too_many_overdue(&c->streams)) return;
  cql__connection_retire(c, "replaced: too many answers are overdue");
}

void cql__connection_retire(cql__connection *c, const char *why) {
  if (c->retiring || c->state != CQL__SERVING) return;
  c->retiring = why;
  if (cql__streams_live(&c->streams) == 0) /* else the last request that ends will see to it */
    cql__timer_set(c->settings->wheel, &c->deadline, now_of(c));
  c->events->retiring(c->owner, c);
}

/* ---- the keyspace ---- */

void cql__connection_use(cql__connection *c) {
  cql__connection_settings *settings = c->settings;
  c->want_use = 1;
  try_use(c);
  if (!cql__timer_is_set(&c->deadline))
    cql__timer_set(settings->wheel, &c->deadline, now_of(c) + settings->request_timeout_ms);
}
