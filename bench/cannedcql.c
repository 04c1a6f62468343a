/* cannedcql - a server of the native protocol v3, v4 and v5 that answers from rendered results, so
 * that whatever client talks to it is the bottleneck.
 *
 *   cannedcql [--port 9142] [--rows 5000] [--value-size 100] [--protocol-max 5] [--nodes N]
 *
 *   ks.t     (k int, v blob)             one row; k echoes the bound key, v has --value-size bytes
 *                                        and begins with the key: no two values are alike
 *   ks.rows  (p int, t text, b bigint)   --rows rows; t has 100 bytes
 *
 * Whatever isn't a SELECT answers VOID. One thread; everything that one recv brought is answered in
 * one write; bodies of pages are sent from where they lie. Listens on 127.0.0.1, on a free port if
 * --port is 0, and prints "listening on 127.0.0.1:PORT". With --nodes N it listens on the addresses
 * of N nodes, 127.0.0.2 and so on, and tells whoever asks that these are the cluster. SIGUSR1
 * prints the counters as a line of JSON; SIGTERM and SIGINT print them and end it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "canned_statement.h"
#include "descriptors.h"

enum {
  READ_SIZE = 1 << 20,
  REFERENCE_MIN = 8192,  /* bodies of this length or more are sent from where they lie */
  PENDING_MAX = 8 << 20, /* no more is answered while so much waits to be sent */
  BODY_MAX = 256 << 20,
  PIECES_PER_WRITE = 256
};

enum { ERROR_PROTOCOL = 0x000A, ERROR_INVALID = 0x2200, ERROR_UNPREPARED = 0x2500 };

/* A part of what is to be sent. */
typedef struct piece_s {
  const uint8_t *reference; /* NULL: in the connection's `out`, from `offset` on */
  size_t offset;
  size_t length;
} piece_t;

typedef struct connection_s {
  int fd;
  int version;
  bool listens;      /* it is none: clients come in here */
  bool framed;       /* v5 after STARTUP: envelopes travel in segments */
  bool blocked;      /* the socket is full: EPOLLOUT is watched instead of EPOLLIN */
  bool paused;       /* too much is pending: `in` and `envelopes` wait */
  bytes_t in;        /* as received */
  bytes_t envelopes; /* v5: an envelope that spans segments, as far as it came */
  bytes_t out;       /* to be sent, in the order of `pieces` */
  bytes_t unframed;  /* v5: answers that are in no segment yet */
  piece_t *pieces;
  int piece_first, piece_count, piece_capacity;
  size_t referenced; /* bytes queued by reference */
} connection_t;

/* What a QUERY or EXECUTE says beside its statement. */
typedef struct parameters_s {
  uint32_t flags;
  unsigned value_count;
  const uint8_t *values;
  int page_size;
  int first_row; /* from the paging state */
} parameters_t;

static struct {
  unsigned long long requests, executes, reads, writes, connections, errors;
} counters;
static int epoll_fd;

/* ---- output ---- */

static void add_piece(connection_t *connection, const uint8_t *reference, size_t offset,
                      size_t length) {
  if (!reference && connection->piece_count > connection->piece_first) {
    piece_t *last = &connection->pieces[connection->piece_count - 1];
    if (!last->reference && last->offset + last->length == offset) {
      last->length += length;
      return;
    }
  }
  if (connection->piece_count == connection->piece_capacity) {
    connection->piece_capacity = connection->piece_capacity ? connection->piece_capacity * 2 : 16;
    connection->pieces =
        realloc(connection->pieces, sizeof(piece_t) * (size_t)connection->piece_capacity);
    if (!connection->pieces) abort();
  }
  connection->pieces[connection->piece_count++] = (piece_t){reference, offset, length};
}

static void add_copy(connection_t *connection, const void *data, size_t length) {
  size_t offset = connection->out.length;
  bytes_add(&connection->out, data, length);
  add_piece(connection, NULL, offset, length);
}

static void add_segment(connection_t *connection, const uint8_t *payload, size_t length,
                        bool whole) {
  uint8_t header[SEGMENT_HEADER], trailer[SEGMENT_TRAILER];
  segment_put_header(header, length, whole);
  segment_put_trailer(trailer, payload, length);
  add_copy(connection, header, sizeof header);
  add_copy(connection, payload, length);
  add_copy(connection, trailer, sizeof trailer);
}

/* v5: puts the answers into as few segments as they fit in. */
static void frame(connection_t *connection) {
  const uint8_t *at = connection->unframed.data, *end = at + connection->unframed.length;
  while (at < end) {
    size_t fits = 0; /* whole envelopes */
    while (at + fits < end) {
      size_t size = envelope_size(at + fits);
      if (fits + size > SEGMENT_MAX) break;
      fits += size;
    }
    if (fits) {
      add_segment(connection, at, fits, true);
      at += fits;
      continue;
    }
    for (size_t rest = envelope_size(at); rest;) {
      size_t length = rest < SEGMENT_MAX ? rest : SEGMENT_MAX;
      add_segment(connection, at, length, false);
      at += length;
      rest -= length;
    }
  }
  connection->unframed.length = 0;
}

/* The header of an answer; where its body of `length` bytes is to be written. */
static uint8_t *answer_begin(connection_t *connection, int stream, int opcode, size_t length) {
  bytes_t *out = connection->framed ? &connection->unframed : &connection->out;
  size_t size = ENVELOPE_HEADER + length;
  bytes_grow(out, size);
  uint8_t *at = out->data + out->length;
  envelope_put(at, connection->version | 0x80, stream, opcode, length);
  if (!connection->framed) add_piece(connection, NULL, out->length, size);
  out->length += size;
  return at + ENVELOPE_HEADER;
}

static void answer(connection_t *connection, int stream, int opcode, const bytes_t *body) {
  uint8_t *out = answer_begin(connection, stream, opcode, body->length);
  if (body->length) memcpy(out, body->data, body->length);
}

/* RESULT with a body of two parts; `tail` lives on, so it isn't copied if it is long. */
static void answer_parts(connection_t *connection, int stream, const bytes_t *head,
                         const uint8_t *tail, size_t tail_length) {
  size_t length = head->length + tail_length;
  if (connection->framed || tail_length < REFERENCE_MIN) {
    uint8_t *out = answer_begin(connection, stream, OP_RESULT, length);
    if (head->length) memcpy(out, head->data, head->length);
    if (tail_length) memcpy(out + head->length, tail, tail_length);
    return;
  }
  uint8_t header[ENVELOPE_HEADER];
  envelope_put(header, connection->version | 0x80, stream, OP_RESULT, length);
  add_copy(connection, header, sizeof header);
  add_copy(connection, head->data, head->length);
  add_piece(connection, tail, 0, tail_length);
  connection->referenced += tail_length;
}

static void answer_error(connection_t *connection, int stream, uint32_t code, const char *message,
                         const char *word) {
  char text[256];
  bytes_t body = {0};
  snprintf(text, sizeof text, "%s%s", message, word);
  bytes_add32(&body, code);
  bytes_add_string(&body, text);
  counters.errors++;
  answer(connection, stream, OP_ERROR, &body);
  free(body.data);
}

static void connection_close(connection_t *connection) {
  close(connection->fd);
  free(connection->in.data);
  free(connection->envelopes.data);
  free(connection->out.data);
  free(connection->unframed.data);
  free(connection->pieces);
  free(connection);
}

static void pieces_sent(connection_t *connection, size_t sent) {
  while (sent) {
    piece_t *piece = &connection->pieces[connection->piece_first];
    if (sent < piece->length) {
      piece->offset += sent;
      piece->length -= sent;
      return;
    }
    sent -= piece->length;
    connection->piece_first++;
  }
}

/* Sends until all is gone or the socket is full. False: the connection is lost, and freed. */
static bool flush(connection_t *connection) {
  if (connection->unframed.length) frame(connection);
  while (connection->piece_first < connection->piece_count) {
    struct iovec parts[PIECES_PER_WRITE];
    int count = 0;
    size_t total = 0;
    for (int i = connection->piece_first; i < connection->piece_count && count < PIECES_PER_WRITE;
         i++, count++) {
      piece_t *piece = &connection->pieces[i];
      const uint8_t *base = piece->reference ? piece->reference : connection->out.data;
      parts[count] = (struct iovec){(void *)(uintptr_t)(base + piece->offset), piece->length};
      total += piece->length;
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
    counters.writes++;
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) {
      connection_close(connection);
      return false;
    }
    pieces_sent(connection, (size_t)sent);
    if ((size_t)sent < total) break;
  }
  bool blocked = connection->piece_first < connection->piece_count;
  if (!blocked) {
    connection->out.length = connection->referenced = 0;
    connection->piece_first = connection->piece_count = 0;
  }
  if (blocked != connection->blocked) {
    connection->blocked = blocked;
    struct epoll_event event = {.events = blocked ? EPOLLOUT : EPOLLIN, .data.ptr = connection};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
  }
  return true;
}

/* ---- requests ---- */

/* Past the values, whose lengths are only looked at here. NULL: malformed. */
static const uint8_t *skip_values(const parameters_t *parameters, const uint8_t *end) {
  const uint8_t *at = parameters->values;
  for (unsigned i = 0; i < parameters->value_count; i++) {
    if (parameters->flags & QUERY_NAMES) {
      if (end - at < 2) return NULL;
      at += 2 + get16(at);
    }
    if (end - at < 4) return NULL;
    int32_t length = (int32_t)get32(at);
    at += 4;
    if (length > end - at) return NULL;
    if (length > 0) at += length;
  }
  return at;
}

/* consistency, flags, values, page size, paging state; paged: the last two matter. */
static bool read_parameters(const uint8_t *at, const uint8_t *end, int version, bool paged,
                            parameters_t *out) {
  *out = (parameters_t){0};
  if (end - at < (version >= 5 ? 6 : 3)) return false;
  out->flags = version >= 5 ? get32(at + 2) : at[2];
  at += version >= 5 ? 6 : 3;
  if (out->flags & QUERY_VALUES) {
    if (end - at < 2) return false;
    out->value_count = get16(at);
    at += 2;
  }
  out->values = at;
  if (!paged || !(out->flags & (QUERY_PAGE_SIZE | QUERY_PAGING_STATE))) return true;
  at = skip_values(out, end);
  if (!at) return false;
  if (out->flags & QUERY_PAGE_SIZE) {
    if (end - at < 4) return false;
    out->page_size = (int32_t)get32(at);
    at += 4;
  }
  if (out->flags & QUERY_PAGING_STATE) {
    if (end - at < 8 || get32(at) != 4) return false;
    out->first_row = (int32_t)get32(at + 4);
  }
  return out->first_row >= 0;
}

/* A part of the rows; the paging state is the number of the row that comes next. */
static void answer_page(connection_t *connection, int stream, const statement_t *statement,
                        const parameters_t *parameters) {
  static bytes_t head, state;
  int all = statement->row_count;
  int first = parameters->first_row < all ? parameters->first_row : all;
  int last = all - first < parameters->page_size ? all : first + parameters->page_size;
  state.length = head.length = 0;
  bytes_add32(&state, (uint32_t)last);
  bytes_add32(&head, RESULT_ROWS);
  metadata_encode(&head, statement, parameters->flags & QUERY_SKIP_METADATA,
                  last < all ? &state : NULL);
  bytes_add32(&head, (uint32_t)(last - first));
  answer_parts(connection, stream, &head, statement->cells.data + statement->row_at[first],
               statement->row_at[last] - statement->row_at[first]);
}

static void answer_statement(connection_t *connection, int stream, const statement_t *statement,
                             const parameters_t *parameters, const uint8_t *end) {
  if (statement->answer == ANSWER_ERROR) {
    answer_error(connection, stream, ERROR_INVALID, statement->error, statement->word);
    return;
  }
  int rows = statement->row_count, size = parameters->page_size;
  if (rows > 1 && size > 0 && (parameters->first_row || size < rows)) {
    answer_page(connection, stream, statement, parameters);
    return;
  }
  bool bare = parameters->flags & QUERY_SKIP_METADATA;
  const bytes_t *body = bare ? &statement->bare : &statement->body;
  if (body->length >= REFERENCE_MIN) {
    bytes_t nothing = {0};
    answer_parts(connection, stream, &nothing, body->data, body->length);
    return;
  }
  uint8_t *out = answer_begin(connection, stream, OP_RESULT, body->length);
  memcpy(out, body->data, body->length);
  size_t echo = statement->echo_length;
  bool bound = parameters->value_count && !(parameters->flags & QUERY_NAMES) &&
               (size_t)(end - parameters->values) >= echo;
  if (echo && bound && get32(parameters->values) == echo - 4) {
    out += bare ? statement->echo_in_bare : statement->echo_in_body;
    memcpy(out, parameters->values, echo);
    if (statement->mark_at) memcpy(out + statement->mark_at, parameters->values + 4, 4);
  }
}

static void answer_options(connection_t *connection, int stream) {
  static const char *const versions[] = {"3/v3", "4/v4", "5/v5"};
  bytes_t body = {0};
  bytes_add16(&body, 3);
  bytes_add_string(&body, "CQL_VERSION");
  bytes_add16(&body, 1);
  bytes_add_string(&body, "3.4.6");
  bytes_add_string(&body, "COMPRESSION");
  bytes_add16(&body, 0);
  bytes_add_string(&body, "PROTOCOL_VERSIONS");
  bytes_add16(&body, (unsigned)(canned.protocol_max - VERSION_MIN + 1));
  for (int version = VERSION_MIN; version <= canned.protocol_max; version++) {
    bytes_add_string(&body, versions[version - VERSION_MIN]);
  }
  answer(connection, stream, OP_SUPPORTED, &body);
  free(body.data);
}

static void answer_void(connection_t *connection, int stream) {
  put32(answer_begin(connection, stream, OP_RESULT, 4), RESULT_VOID);
}

/* `id` is [short bytes], and comes back. */
static void answer_unprepared(connection_t *connection, int stream, const uint8_t *id) {
  bytes_t body = {0};
  bytes_add32(&body, ERROR_UNPREPARED);
  bytes_add_string(&body, "no statement has this id");
  bytes_add(&body, id, 2 + (size_t)get16(id));
  counters.errors++;
  answer(connection, stream, OP_ERROR, &body);
  free(body.data);
}

static void malformed(connection_t *connection, int stream) {
  answer_error(connection, stream, ERROR_PROTOCOL, "malformed request", "");
}

static void on_execute(connection_t *connection, int stream, const uint8_t *at,
                       const uint8_t *end) {
  parameters_t parameters;
  counters.executes++;
  if (end - at < 2 || end - at < 2 + get16(at)) {
    malformed(connection, stream);
    return;
  }
  const statement_t *statement = statement_of_id(at + 2, get16(at));
  if (!statement) {
    answer_unprepared(connection, stream, at);
    return;
  }
  at += 2 + ID_SIZE;
  if (connection->version >= 5 && end - at >= 2) at += 2 + get16(at);
  bool paged = statement->row_count > 1;
  if (at > end || !read_parameters(at, end, connection->version, paged, &parameters)) {
    malformed(connection, stream);
    return;
  }
  answer_statement(connection, stream, statement, &parameters, end);
}

/* QUERY and PREPARE: [long string], then for QUERY the parameters. */
static void on_text(connection_t *connection, int stream, int opcode, const uint8_t *at,
                    const uint8_t *end) {
  parameters_t parameters;
  if (end - at < 4 || get32(at) > (size_t)(end - at - 4)) {
    malformed(connection, stream);
    return;
  }
  size_t length = get32(at);
  const statement_t *statement = statement_get((const char *)at + 4, length);
  if (opcode == OP_PREPARE && statement->answer != ANSWER_ERROR) {
    answer(connection, stream, OP_RESULT, &statement->prepared[connection->version]);
    return;
  }
  bool read = opcode == OP_PREPARE ||
              read_parameters(at + 4 + length, end, connection->version, true, &parameters);
  if (!read) {
    malformed(connection, stream);
    return;
  }
  answer_statement(connection, stream, statement, &parameters, end);
}

/* Past the custom payload [bytes map], which says nothing to us. */
static const uint8_t *skip_payload(const uint8_t *at, const uint8_t *end) {
  if (end - at < 2) return end;
  unsigned count = get16(at);
  at += 2;
  while (count-- && end - at >= 2) {
    at += 2 + get16(at);
    if (end - at < 4) return end;
    int32_t length = (int32_t)get32(at);
    at += 4;
    if (length > end - at) return end;
    if (length > 0) at += length;
  }
  return at < end ? at : end;
}

static void on_envelope(connection_t *connection, const uint8_t *envelope, size_t size) {
  static const bytes_t nothing;
  const uint8_t *at = envelope + ENVELOPE_HEADER, *end = envelope + size;
  int stream = envelope_stream(envelope), opcode = envelope[4];
  counters.requests++;
  if (envelope[1] & FLAG_PAYLOAD) at = skip_payload(at, end);
  switch (opcode) {
    case OP_EXECUTE: on_execute(connection, stream, at, end); return;
    case OP_QUERY:
    case OP_PREPARE: on_text(connection, stream, opcode, at, end); return;
    case OP_BATCH: answer_void(connection, stream); return;
    case OP_OPTIONS: answer_options(connection, stream); return;
    case OP_STARTUP:
      answer(connection, stream, OP_READY, &nothing);
      connection->framed = connection->version >= 5; /* what follows; this answer not yet */
      return;
    case OP_REGISTER: answer(connection, stream, OP_READY, &nothing); return;
    default: answer_error(connection, stream, ERROR_PROTOCOL, "unexpected opcode", ""); return;
  }
}

/* ---- input ---- */

typedef enum { GO_ON, END, LOST } verdict_t; /* END: flush and close; LOST: it is closed */

static void refuse_version(connection_t *connection, const uint8_t *envelope) {
  char supported[64] = "3/v3";
  if (canned.protocol_max >= 4) strcat(supported, ", 4/v4");
  if (canned.protocol_max >= 5) strcat(supported, ", 5/v5");
  strcat(supported, ")");
  connection->version = canned.protocol_max;
  answer_error(connection, envelope_stream(envelope), ERROR_PROTOCOL,
               "Invalid or unsupported protocol version; supported versions are (", supported);
}

/* Answers whole envelopes, as long as not too much is pending. */
static verdict_t read_envelopes(connection_t *connection, const uint8_t *bytes, size_t length,
                                size_t *used) {
  *used = 0;
  while (length - *used >= ENVELOPE_HEADER) {
    const uint8_t *envelope = bytes + *used;
    int version = envelope[0] & 0x7f;
    size_t size = envelope_size(envelope);
    if (version < VERSION_MIN || version > canned.protocol_max) {
      refuse_version(connection, envelope);
      return END;
    }
    if (size > BODY_MAX) return END;
    if (length - *used < size) return GO_ON;
    bool framed = connection->framed;
    connection->version = version;
    on_envelope(connection, envelope, size);
    *used += size;
    if (connection->framed != framed) return GO_ON; /* the rest is in segments */
    size_t pending = connection->out.length + connection->unframed.length + connection->referenced;
    if (pending > PENDING_MAX) {
      if (!flush(connection)) return LOST;
      connection->paused = connection->blocked;
      if (connection->paused) return GO_ON;
    }
  }
  return GO_ON;
}

/* Envelopes that span segments, or waited for a pause to end. */
static verdict_t read_gathered(connection_t *connection) {
  size_t used;
  bytes_t *gathered = &connection->envelopes;
  verdict_t verdict = read_envelopes(connection, gathered->data, gathered->length, &used);
  if (verdict == GO_ON) bytes_drop(gathered, used);
  return verdict;
}

static verdict_t read_payload(connection_t *connection, const uint8_t *payload, size_t length) {
  if (connection->envelopes.length) {
    bytes_add(&connection->envelopes, payload, length);
    return read_gathered(connection);
  }
  size_t used;
  verdict_t verdict = read_envelopes(connection, payload, length, &used);
  if (verdict == GO_ON) bytes_add(&connection->envelopes, payload + used, length - used);
  return verdict;
}

static verdict_t read_segments(connection_t *connection, const uint8_t *bytes, size_t length,
                               size_t *used) {
  verdict_t verdict = GO_ON;
  *used = 0;
  if (connection->envelopes.length) verdict = read_gathered(connection);
  while (verdict == GO_ON && !connection->paused && length - *used >= SEGMENT_HEADER) {
    const uint8_t *segment = bytes + *used;
    size_t payload = segment_length(segment);
    size_t size = SEGMENT_HEADER + payload + SEGMENT_TRAILER;
    if (length - *used < size) return GO_ON;
    if (!segment_is_sound(segment, payload)) {
      fprintf(stderr, "cannedcql: a segment with a wrong CRC\n");
      return END;
    }
    verdict = read_payload(connection, segment + SEGMENT_HEADER, payload);
    *used += size;
  }
  return verdict;
}

/* False: the connection is lost, and freed. */
static bool read_input(connection_t *connection) {
  size_t used = 0, more = 0;
  bytes_t *in = &connection->in;
  verdict_t verdict = GO_ON;
  if (!connection->framed) verdict = read_envelopes(connection, in->data, in->length, &used);
  if (verdict == GO_ON && connection->framed) {
    verdict = read_segments(connection, in->data + used, in->length - used, &more);
  }
  if (verdict == END && flush(connection)) connection_close(connection);
  if (verdict != GO_ON) return false;
  bytes_drop(in, used + more);
  return true;
}

/* Flushes, and goes on with what was held back. False: the connection is lost, and freed. */
static bool drain(connection_t *connection) {
  for (;;) {
    if (!flush(connection)) return false;
    if (!connection->paused || connection->blocked) return true;
    connection->paused = false;
    if (!read_input(connection)) return false;
  }
}

static void on_readable(connection_t *connection) {
  bool more = true;
  while (more && !connection->paused) {
    bytes_t *in = &connection->in;
    bytes_grow(in, in->capacity < READ_SIZE ? READ_SIZE : 1);
    size_t room = in->capacity - in->length;
    ssize_t received = recv(connection->fd, in->data + in->length, room, 0);
    counters.reads++;
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (received <= 0) {
      connection_close(connection);
      return;
    }
    in->length += (size_t)received;
    more = (size_t)received == room;
    if (!read_input(connection)) return;
  }
  drain(connection);
}

/* ---- the loop ---- */

static void watch(int fd, void *what) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) abort();
}

static connection_t *watch_connection(int fd) {
  connection_t *connection = calloc(1, sizeof *connection);
  if (!connection) abort();
  connection->fd = fd;
  watch(fd, connection);
  return connection;
}

static void on_acceptable(int listener) {
  int fd, on = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch_connection(fd)->version = VERSION_MIN;
    counters.connections++;
  }
}

static void print_counters(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  printf("{\"requests\":%llu,\"executes\":%llu,\"errors\":%llu,\"reads\":%llu,\"writes\":%llu,"
         "\"connections\":%llu,\"cpu_s\":%.6f}\n",
         counters.requests, counters.executes, counters.errors, counters.reads, counters.writes,
         counters.connections, cpu_s);
  fflush(stdout);
}

/* False: it is time to end. */
static bool on_signal(int fd) {
  struct signalfd_siginfo signal;
  if (read(fd, &signal, sizeof signal) != sizeof signal) return true;
  print_counters();
  return signal.ssi_signo == SIGUSR1;
}

/* 0: any port. */
static int listen_on(int node, int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t size = sizeof address;
  address.sin_addr.s_addr = htonl(node_address(node));
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 1024) ||
      getsockname(fd, (struct sockaddr *)&address, &size)) {
    perror("cannedcql: cannot listen");
    exit(1);
  }
  canned.port = ntohs(address.sin_port);
  return fd;
}

static void read_options(int count, char **words) {
  for (int i = 1; i < count; i += 2) {
    int value = i + 1 < count ? atoi(words[i + 1]) : -1;
    if (!strcmp(words[i], "--port") && value >= 0)
      canned.port = value;
    else if (!strcmp(words[i], "--rows") && value >= 0)
      canned.rows = value;
    else if (!strcmp(words[i], "--nodes") && value > 0 && value <= 10000)
      canned.nodes = value;
    else if (!strcmp(words[i], "--value-size") && value >= 0)
      canned.value_size = value;
    else if (!strcmp(words[i], "--protocol-max") && value >= VERSION_MIN && value <= VERSION_MAX)
      canned.protocol_max = value;
    else {
      fprintf(stderr, "usage: cannedcql [--port N] [--rows N] [--value-size N] "
                      "[--protocol-max 3..5] [--nodes N]\n");
      exit(2);
    }
  }
}

int main(int count, char **words) {
  read_options(count, words);
  descriptors_raise();
  crc_init();
  table_find("ks", "rows")->row_count = canned.rows;
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  int node_count = canned.nodes ? canned.nodes : 1;
  table_find("system", "peers")->row_count = node_count - 1;
  table_find("system", "peers_v2")->row_count = node_count - 1;
  for (int i = 0; i < node_count; i++) watch_connection(listen_on(i, canned.port))->listens = true;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
  watch(signal_fd, &signal_fd);
  printf("listening on 127.0.0.1:%d\n", canned.port);
  fflush(stdout);

  bool on = true;
  while (on) {
    struct epoll_event events[512];
    int ready = epoll_wait(epoll_fd, events, 512, -1);
    for (int i = 0; i < ready; i++) {
      connection_t *connection = events[i].data.ptr;
      if (events[i].data.ptr == &signal_fd)
        on = on_signal(signal_fd) && on;
      else if (connection->listens)
        on_acceptable(connection->fd);
      else if (!connection->paused && !connection->blocked)
        on_readable(connection);
      else if (drain(connection) && !connection->blocked && events[i].events & EPOLLIN)
        on_readable(connection);
    }
  }
  return 0;
}
