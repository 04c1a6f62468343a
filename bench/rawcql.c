/* rawcql - the floor: what a request costs if a client does nothing but its system calls.
 *
 *   rawcql --work select|insert|page --port N [--protocol 4|5] [--conc N] [--conns N] ...
 *
 * It speaks v4 and v5 with no feature of a driver: EXECUTE frames are copied from a template, N are
 * in flight over C connections, there is one recv and one send per readiness of a socket, and no
 * allocation per request. Each answer is checked against the key of its request, and pages are
 * read value by value. Prints one line of JSON (measure.h).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"
#include "wire.h"

enum { STREAMS = 32768, READ_MIN = 65536, PAGE_ROWS = 5000 };

#define NO_SEGMENT SIZE_MAX

typedef struct connection_s {
  int fd;
  bool blocked; /* the socket took less than was written: EPOLLOUT is watched */
  uint8_t *in;  /* received, not yet parsed: from in_head to in_tail */
  size_t in_head, in_tail, in_capacity;
  uint8_t *out; /* to be sent: from out_head to out_tail */
  size_t out_head, out_tail;
  size_t segment;   /* v5: where the open segment begins in `out`, or NO_SEGMENT */
  uint8_t *partial; /* v5: an envelope that spans segments */
  size_t partial_length, partial_capacity;
  uint32_t *keys; /* by stream: the key that the answer must echo */
} connection_t;

static options_t options;
static connection_t *connections;
static int epoll_fd;
static moment_t counters;
static uint64_t requests_left, wrong_count, sum;
static uint32_t next_key = 1;

/* The EXECUTE to copy; all but its stream and key is equal for all requests. */
static struct {
  uint8_t bytes[65536];
  size_t length;
  size_t key_at; /* 0: it has none */
} request;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* ---- requests ---- */

static void close_segment(connection_t *connection) {
  if (connection->segment == NO_SEGMENT) return;
  uint8_t *header = connection->out + connection->segment;
  size_t length = connection->out_tail - connection->segment - SEGMENT_HEADER;
  segment_put_header(header, length, true);
  segment_put_trailer(connection->out + connection->out_tail, header + SEGMENT_HEADER, length);
  connection->out_tail += SEGMENT_TRAILER;
  connection->segment = NO_SEGMENT;
}

/* v5: opens a segment, or a new one if the next request doesn't fit into this one. */
static inline void make_segment(connection_t *connection) {
  if (connection->segment != NO_SEGMENT) {
    size_t length = connection->out_tail - connection->segment - SEGMENT_HEADER;
    if (length + request.length > SEGMENT_MAX) close_segment(connection);
  }
  if (connection->segment == NO_SEGMENT) {
    connection->segment = connection->out_tail;
    connection->out_tail += SEGMENT_HEADER;
  }
}

static inline void put_request(connection_t *connection, int stream) {
  if (!requests_left) return;
  requests_left--;
  if (options.protocol >= 5) make_segment(connection);
  uint8_t *at = connection->out + connection->out_tail;
  memcpy(at, request.bytes, request.length);
  put16(at + 2, (unsigned)stream);
  if (request.key_at) {
    uint32_t key = next_key++;
    connection->keys[stream] = key;
    put32(at + request.key_at, key);
  }
  connection->out_tail += request.length;
}

static void flush(connection_t *connection) {
  if (options.protocol >= 5) close_segment(connection);
  while (connection->out_head < connection->out_tail) {
    ssize_t sent = send(connection->fd, connection->out + connection->out_head,
                        connection->out_tail - connection->out_head, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) fail("send");
    connection->out_head += (size_t)sent;
  }
  bool blocked = connection->out_head < connection->out_tail;
  if (!blocked) connection->out_head = connection->out_tail = 0;
  if (blocked != connection->blocked) {
    connection->blocked = blocked;
    struct epoll_event event = {.events = blocked ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = connection};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
  }
}

/* ---- answers ---- */

/* The body of a row: kind, flags, column count, row count; length and key, length and value. */
static inline void read_row(const connection_t *connection, int stream, const uint8_t *body) {
  uint32_t key = get32(body + 20), length = get32(body + 24);
  sum += key + length + body[28];
  counters.values += 2;
  if (key != connection->keys[stream]) wrong_count++;
}

/* A page of (text, bigint): both ends of each text, and each number. */
static inline void read_page(const uint8_t *body, const uint8_t *end) {
  uint32_t flags = get32(body + 4);
  const uint8_t *at = body + 12;
  if (flags & ROWS_MORE_PAGES) at += 4 + get32(at);
  uint32_t rows = get32(at);
  uint64_t page_sum = 0;
  at += 4;
  for (uint32_t i = 0; i < rows; i++) {
    uint32_t length = get32(at);
    at += 4;
    page_sum += length + at[0] + at[length - 1];
    at += length;
    page_sum += get64(at + 4);
    at += 4 + get32(at);
  }
  sum += page_sum;
  counters.values += 2 * (uint64_t)rows;
  if (at != end || rows != PAGE_ROWS) wrong_count++;
}

static inline void read_answer(connection_t *connection, const uint8_t *envelope, size_t size) {
  int stream = envelope_stream(envelope);
  counters.requests++;
  if (envelope[4] != OP_RESULT) {
    if (!wrong_count++) fprintf(stderr, "rawcql: an answer of opcode %d\n", envelope[4]);
  } else if (options.work == WORK_SELECT) {
    read_row(connection, stream, envelope + ENVELOPE_HEADER);
  } else if (options.work == WORK_PAGE) {
    read_page(envelope + ENVELOPE_HEADER, envelope + size);
  }
  put_request(connection, stream);
}

/* How many bytes were used: whole envelopes only. */
static size_t read_envelopes(connection_t *connection, const uint8_t *bytes, size_t length) {
  size_t used = 0;
  while (length - used >= ENVELOPE_HEADER) {
    size_t size = envelope_size(bytes + used);
    if (length - used < size) break;
    read_answer(connection, bytes + used, size);
    used += size;
  }
  return used;
}

static void grow_partial(connection_t *connection, size_t needed) {
  if (connection->partial_capacity >= needed) return;
  connection->partial_capacity = needed * 2;
  connection->partial = realloc(connection->partial, connection->partial_capacity);
  if (!connection->partial) fail("realloc");
}

static void read_payload(connection_t *connection, const uint8_t *payload, size_t length) {
  size_t used = connection->partial_length ? 0 : read_envelopes(connection, payload, length);
  if (used == length) return;
  size_t have = connection->partial_length + length - used;
  grow_partial(connection, have);
  uint8_t *partial = connection->partial;
  memcpy(partial + connection->partial_length, payload + used, length - used);
  connection->partial_length = have;
  if (have < ENVELOPE_HEADER || have < envelope_size(partial)) return;
  used = read_envelopes(connection, partial, have);
  memmove(partial, partial + used, have - used);
  connection->partial_length = have - used;
}

static void read_segments(connection_t *connection) {
  while (connection->in_tail - connection->in_head >= SEGMENT_HEADER) {
    const uint8_t *segment = connection->in + connection->in_head;
    size_t length = segment_length(segment);
    size_t size = SEGMENT_HEADER + length + SEGMENT_TRAILER;
    if (connection->in_tail - connection->in_head < size) return;
    if (!segment_is_sound(segment, length)) {
      fprintf(stderr, "rawcql: a segment with a wrong CRC\n");
      exit(1);
    }
    read_payload(connection, segment + SEGMENT_HEADER, length);
    connection->in_head += size;
  }
}

/* Space for a recv, so large that an envelope that has begun fits behind what there is of it. */
static void make_room(connection_t *connection) {
  size_t have = connection->in_tail - connection->in_head, need = READ_MIN;
  if (options.protocol < 5 && have >= ENVELOPE_HEADER) {
    size_t rest = envelope_size(connection->in + connection->in_head) - have;
    if (rest > need) need = rest;
  }
  if (connection->in_capacity - connection->in_tail >= need) return;
  if (connection->in_head) {
    memmove(connection->in, connection->in + connection->in_head, have);
    connection->in_head = 0;
    connection->in_tail = have;
  }
  if (connection->in_capacity - have >= need) return;
  connection->in_capacity = have + need;
  connection->in = realloc(connection->in, connection->in_capacity);
  if (!connection->in) fail("realloc");
}

static void on_readable(connection_t *connection) {
  for (;;) {
    make_room(connection);
    size_t room = connection->in_capacity - connection->in_tail;
    ssize_t received = recv(connection->fd, connection->in + connection->in_tail, room, 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (received < 0) fail("recv");
    if (received == 0) {
      fprintf(stderr, "rawcql: the server closed the connection\n");
      exit(1);
    }
    connection->in_tail += (size_t)received;
    if (options.protocol < 5) {
      size_t have = connection->in_tail - connection->in_head;
      connection->in_head += read_envelopes(connection, connection->in + connection->in_head, have);
    } else {
      read_segments(connection);
    }
    if (connection->in_head == connection->in_tail) connection->in_head = connection->in_tail = 0;
    if ((size_t)received < room) break;
  }
  if (connection->out_tail != connection->out_head) flush(connection);
}

/* ---- the handshake, blocking ---- */

static void receive_all(int fd, uint8_t *out, size_t length) {
  while (length) {
    ssize_t received = recv(fd, out, length, 0);
    if (received <= 0) fail("recv");
    out += received;
    length -= (size_t)received;
  }
}

static void send_all(int fd, const uint8_t *bytes, size_t length) {
  if (send(fd, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) fail("send");
}

/* One request and its answer, in segments or not; the answer's body is in `out`. */
static void call(int fd, bool framed, int opcode, const uint8_t *body, size_t length,
                 uint8_t out[4096]) {
  uint8_t bytes[1024], *envelope = bytes + SEGMENT_HEADER;
  size_t size = ENVELOPE_HEADER + length;
  envelope_put(envelope, options.protocol, 0, opcode, length);
  memcpy(envelope + ENVELOPE_HEADER, body, length);
  if (framed) {
    segment_put_header(bytes, size, true);
    segment_put_trailer(envelope + size, envelope, size);
    send_all(fd, bytes, SEGMENT_HEADER + size + SEGMENT_TRAILER);
  } else {
    send_all(fd, envelope, size);
  }
  uint8_t header[SEGMENT_HEADER + ENVELOPE_HEADER];
  if (framed) receive_all(fd, header, SEGMENT_HEADER);
  receive_all(fd, header + SEGMENT_HEADER, ENVELOPE_HEADER);
  uint32_t answer = get32(header + SEGMENT_HEADER + 5);
  if (answer + SEGMENT_TRAILER > 4096) fail("handshake: an answer that is too long");
  receive_all(fd, out, answer + (framed ? SEGMENT_TRAILER : 0));
  if (header[SEGMENT_HEADER + 4] == OP_ERROR) {
    fprintf(stderr, "rawcql: the server answers: %.*s\n", get16(out + 4), out + 6);
    exit(1);
  }
}

/* From PREPARED: kind, id [short bytes], v5: metadata id [short bytes]. Ids are 16 bytes here. */
static void make_request(const uint8_t *prepared) {
  bool v5 = options.protocol >= 5;
  uint8_t *at = request.bytes + ENVELOPE_HEADER;
  size_t ids = v5 ? 36 : 18;
  memcpy(at, prepared + 4, ids);
  at += ids;
  put16(at, 1); /* consistency ONE */
  at += 2;
  int values = options.work == WORK_SELECT ? 1 : options.work == WORK_INSERT ? 2 : 0;
  uint32_t flags = QUERY_SKIP_METADATA | (values ? QUERY_VALUES : QUERY_PAGE_SIZE);
  if (v5) {
    put32(at, flags);
    at += 4;
  } else {
    *at++ = (uint8_t)flags;
  }
  if (values) {
    put16(at, (unsigned)values);
    put32(at + 2, 4);
    request.key_at = (size_t)(at + 6 - request.bytes);
    at += 10;
  } else {
    put32(at, PAGE_ROWS);
    at += 4;
  }
  if (values == 2) {
    put32(at, (uint32_t)options.value_size);
    memset(at + 4, 'x', (size_t)options.value_size);
    at += 4 + options.value_size;
  }
  request.length = (size_t)(at - request.bytes);
  envelope_put(request.bytes, options.protocol, 0, OP_EXECUTE, request.length - ENVELOPE_HEADER);
}

static void open_connection(connection_t *connection) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

  static const uint8_t startup[] = "\0\1\0\x0b"
                                   "CQL_VERSION\0\5"
                                   "3.0.0";
  uint8_t body[256] = {0}, answer[4096];
  bool framed = options.protocol >= 5; /* from the answer to STARTUP on */
  call(fd, false, OP_STARTUP, startup, sizeof startup - 1, answer);
  const char *text = work_statements[options.work];
  size_t length = strlen(text);
  put32(body, (uint32_t)length);
  memcpy(body + 4, text, length);
  call(fd, framed, OP_PREPARE, body, 4 + length + (framed ? 4 : 0), answer);
  make_request(answer);

  fcntl(fd, F_SETFL, O_NONBLOCK);
  connection->fd = fd;
  connection->segment = NO_SEGMENT;
  connection->in_capacity = options.work == WORK_PAGE ? 2 << 20 : 256 << 10;
  connection->in = malloc(connection->in_capacity);
  connection->out = malloc((size_t)options.in_flight * (request.length + 20) + 65536);
  connection->keys = calloc(STREAMS, sizeof *connection->keys);
  if (!connection->in || !connection->out || !connection->keys) fail("malloc");
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int main(int count, char **words) {
  options = options_read(count, words);
  if (options.connections > options.in_flight) options.connections = options.in_flight;
  if (options.value_size < 0 || options.value_size > 60000 || options.in_flight > STREAMS) return 2;
  crc_init();
  requests_left = requests_max(&options);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  connections = calloc((size_t)options.connections, sizeof *connections);
  if (!connections) fail("calloc");
  for (int i = 0; i < options.connections; i++) open_connection(&connections[i]);

  meter_t meter;
  meter_init(&meter, &options);
  bool over = meter_turn(&meter, counters);
  for (int i = 0; i < options.in_flight; i++) {
    put_request(&connections[i % options.connections], i / options.connections);
  }
  for (int i = 0; i < options.connections; i++) flush(&connections[i]);
  while (!over) {
    struct epoll_event events[64];
    int ready = epoll_wait(epoll_fd, events, 64, 1000);
    for (int i = 0; i < ready; i++) {
      connection_t *connection = events[i].data.ptr;
      if (events[i].events & EPOLLOUT) flush(connection);
      if (events[i].events & ~(uint32_t)EPOLLOUT) on_readable(connection);
    }
    over = meter_turn(&meter, counters);
  }
  meter_print(&meter, "raw", wrong_count, sum);
  return wrong_count ? 1 : 0;
}
