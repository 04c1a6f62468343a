/* The handshake [spec 2.3.1, 4.1]: one message at a time on stream 0, under one deadline.
 *
 *   OPTIONS -> SUPPORTED       what may be asked for: compression, features
 *   STARTUP -> READY           v5: from here on segments
 *           -> AUTHENTICATE    a token, AUTH_CHALLENGE and so on, AUTH_SUCCESS
 *   QUERY cluster_name         a node of another cluster is refused
 *   USE                        if there is a keyspace
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "connection/connection.h"
#include "message/metadata.h"
#include "message/request.h"
#include "wire/proto.h"
#include "wire/text.h"

static int send_step(cql__connection *c, int state, uint8_t opcode, const uint8_t *body,
                     size_t size) {
  c->state = (uint8_t)state;
  return cql__connection_own(c, CQL__OWN_HANDSHAKE, opcode, body, size);
}

void cql__handshake_start(cql__connection *c) {
  if (send_step(c, CQL__OPTIONS_SENT, CQL__OPTIONS, NULL, 0))
    cql__connection_close(c, CQL_ENOMEM, c->why);
}

static int serve(cql__connection *c) {
  c->state = CQL__SERVING;
  cql__timer_cancel(&c->deadline);
  c->heartbeat_sent = 0;
  cql__connection_listen(c);
  c->events->serving(c->owner, c);
  return 0;
}

/* ---- QUERY of its own ---- */

static int send_query(cql__connection *c, int own, const char *text, size_t length) {
  uint8_t body[1024];
  if (length + 16 > sizeof body)
    return cql__connection_fail(c, CQL_EKEYSPACE, "the name is too long");
  uint8_t *p = cql__put_u32(body, (uint32_t)length);
  p = cql__put_bytes(p, text, length);
  p = cql__put_u16(p, CQL_ONE);
  p = c->version >= 5 ? cql__put_u32(p, 0) : cql__put_u8(p, 0);
  return cql__connection_own(c, own, CQL__QUERY, body, (size_t)(p - body));
}

int cql__connection_send_use(cql__connection *c, int own) {
  char text[512];
  size_t length = 5;
  memcpy(text, "USE \"", 5);
  for (const char *p = c->settings->keyspace ? c->settings->keyspace : ""; *p; p++) {
    if (length + 4 > sizeof text)
      return cql__connection_fail(c, CQL_EKEYSPACE, "the name is too long");
    if (*p == '"') text[length++] = '"';
    text[length++] = *p;
  }
  text[length++] = '"';
  c->keyspace_serial = c->settings->keyspace_serial;
  return send_query(c, own, text, length);
}

static int use_or_serve(cql__connection *c) {
  if (!c->settings->keyspace || !c->events->used) return serve(c);
  c->state = CQL__USE_SENT;
  return cql__connection_send_use(c, CQL__OWN_HANDSHAKE);
}

static int read_cluster(cql__connection *c) {
  static const char text[] = "SELECT cluster_name FROM system.local WHERE key='local'";
  c->state = CQL__CLUSTER_SENT;
  return send_query(c, CQL__OWN_HANDSHAKE, text, sizeof text - 1);
}

/* ---- errors ---- */

static int contains(cql_slice_t text, const char *part) {
  return text.length > 0 && memmem(text.data, (size_t)text.length, part, strlen(part)) != NULL;
}

/* The server doesn't speak our version: what next? [the text is all that tells] */
static int version_refused(cql__connection *c, int theirs, cql_slice_t message) {
  int next = theirs < c->version && theirs >= CQL__VERSION_MIN ? theirs : c->version - 1;
  c->lower_to = next >= CQL__VERSION_MIN ? (uint8_t)next : 0;
  return cql__connection_fail(c, CQL_EVERSION, "protocol v%d was refused: %.*s", c->version,
                              message.length > 0 ? (int)message.length : 0,
                              (const char *)message.data);
}

static int is_refusal(int32_t code, cql_slice_t message) {
  return (code == CQL__ERROR_PROTOCOL || code == CQL__ERROR_SERVER) &&
         (contains(message, "nvalid or unsupported protocol version") ||
          contains(message, "eta version of the protocol used"));
}

/* Only the first answers may be of another version, or tell that ours is refused. */
static int is_first(const cql__connection *c) {
  return c->state == CQL__OPTIONS_SENT || c->state == CQL__STARTUP_SENT;
}

int cql__handshake_old_version(cql__connection *c) {
  int error = is_first(c) ? CQL_EVERSION : CQL_EPROTOCOL;
  return cql__connection_fail(c, error, "the server answers with protocol v1 or v2");
}

int cql__handshake_wrong_version(cql__connection *c, const cql__response *response) {
  int32_t code = -1;
  cql_slice_t message = {NULL, 0};
  cql__cursor body = response->body;
  if (response->opcode == CQL__ERROR) cql__error_open(&body, &code, &message);
  if (is_first(c) && (response->version < c->version || is_refusal(code, message)))
    return version_refused(c, response->version, message);
  return cql__connection_fail(c, CQL_EPROTOCOL, "an answer of another protocol version");
}

static int on_error(cql__connection *c, const cql__response *response) {
  int32_t code;
  cql_slice_t message;
  cql__cursor body = response->body;
  if (cql__error_open(&body, &code, &message))
    return cql__connection_fail(c, CQL_EPROTOCOL, "an ERROR that can't be decoded");
  if (is_first(c) && is_refusal(code, message))
    return version_refused(c, response->version, message);
  int error = code == CQL__ERROR_CREDENTIALS ? CQL_EAUTH
              : c->state == CQL__USE_SENT    ? CQL_EKEYSPACE
                                             : CQL_ECONNECT;
  return cql__connection_refused(c, error, message);
}

/* ---- authentication ---- */

/* PLAIN [RFC 4616]: no authorization id, username, password. */
static int send_plain(cql__connection *c) {
  const char *username = c->settings->username, *password = c->settings->password;
  uint8_t body[1024];
  if (!username || !password)
    return cql__connection_fail(c, CQL_ENOPASSWORD,
                                "the server wants a password: set username, password");
  size_t user_size = strlen(username), password_size = strlen(password);
  if (user_size + password_size + 6 > sizeof body)
    return cql__connection_fail(c, CQL_EAUTH, "username and password are too long");
  uint8_t *p = cql__put_u32(body, (uint32_t)(user_size + password_size + 2));
  p = cql__put_u8(p, 0);
  p = cql__put_bytes(p, username, user_size);
  p = cql__put_u8(p, 0);
  p = cql__put_bytes(p, password, password_size);
  int error = send_step(c, CQL__AUTH_SENT, CQL__AUTH_RESPONSE, body, (size_t)(p - body));
  cql__wipe(body, sizeof body);
  return error;
}

/* What is sent where nobody else knows better. */
static int send_default(cql__connection *c) {
  if (c->auth_rounds == 1) return send_plain(c);
  return cql__connection_fail(c, CQL_EMECHANISM, "the server wants more than a password");
}

static int send_token(cql__connection *c, const uint8_t *token, int32_t length) {
  if (length < 0) return send_default(c);
  cql__block *body = cql__block_take(c->settings->pool, (size_t)length + 4);
  if (!body) return cql__connection_fail(c, CQL_ENOMEM, "no memory for a token");
  uint8_t *p = cql__put_bytes(cql__put_u32(body->data, (uint32_t)length), token, (size_t)length);
  int error =
      send_step(c, CQL__AUTH_SENT, CQL__AUTH_RESPONSE, body->data, (size_t)(p - body->data));
  cql__wipe(body->data, body->capacity);
  cql__block_unref(body);
  return error;
}

void cql__connection_token(cql__connection *c, const uint8_t *token, int32_t length) {
  if (c->state != CQL__AUTH_SENT || c->own_pending != CQL__OWN_NONE) return;
  int error = send_token(c, token, length);
  if (error) cql__connection_close(c, error, c->why);
}

static int authenticate(cql__connection *c, const char *mechanism, cql_slice_t challenge) {
  if (++c->auth_rounds > CQL__AUTH_ROUNDS)
    return cql__connection_fail(c, CQL_EAUTH, "the server never stops asking for tokens");
  c->state = CQL__AUTH_SENT;
  int asked = c->events->authenticate(c->owner, c, mechanism, challenge);
  if (asked < 0) return cql__connection_fail(c, asked, "no memory to ask for a token");
  return asked ? 0 : send_default(c);
}

static int on_authenticate(cql__connection *c, const cql__response *response) {
  cql__cursor body = response->body;
  cql_slice_t name = cql__read_short_bytes(&body);
  char mechanism[128];
  if (body.broken) return cql__connection_fail(c, CQL_EPROTOCOL, "AUTHENTICATE without a name");
  snprintf(mechanism, sizeof mechanism, "%.*s", (int)name.length, (const char *)name.data);
  return authenticate(c, mechanism, (cql_slice_t){NULL, CQL_NULL});
}

/* ---- step by step ---- */

/* A wrong translation of addresses would otherwise go unnoticed. */
static int check_host(cql__connection *c) {
  char text[37];
  if (!c->has_host_id || !c->features.has_host_id || !memcmp(c->host_id, c->features.host_id, 16))
    return 0;
  cql__uuid_to_text(c->features.host_id, text);
  return cql__connection_fail(c, CQL_ECONNECT, "the address leads to another node, %s", text);
}

static int on_supported(cql__connection *c, const cql__response *response) {
  cql__connection_settings *settings = c->settings;
  int lz4 = 0;
  cql__cursor values;
  uint16_t count = 0;
  if (cql__supported_find(response->body, "COMPRESSION", &values, &count) < 0 ||
      cql__features_read(&c->features, c->version, settings->features, response->body))
    return cql__connection_fail(c, CQL_EPROTOCOL, "a SUPPORTED that can't be decoded");
  if (settings->lz4) /* a server that has none is used without */
    while (count-- > 0) lz4 |= cql__slice_is(cql__read_short_bytes(&values), "lz4");
  settings->metrics->features_refused += c->features.refused;
  if (check_host(c)) return CQL_ECONNECT;
  cql__pair pairs[8 + CQL__FEATURE_PAIRS_MAX];
  unsigned n = 0;
  pairs[n++] = (cql__pair){"CQL_VERSION", "3.0.0"};
  if (lz4) pairs[n++] = (cql__pair){"COMPRESSION", "lz4"};
  pairs[n++] = (cql__pair){"DRIVER_NAME", "lua-cql"};
  pairs[n++] = (cql__pair){"DRIVER_VERSION", cql_version()};
  if (settings->throw_on_overload) pairs[n++] = (cql__pair){"THROW_ON_OVERLOAD", "1"};
  if (settings->application_name)
    pairs[n++] = (cql__pair){"APPLICATION_NAME", settings->application_name};
  if (settings->application_version)
    pairs[n++] = (cql__pair){"APPLICATION_VERSION", settings->application_version};
  if (settings->client_id) pairs[n++] = (cql__pair){"CLIENT_ID", settings->client_id};
  char room[CQL__FEATURE_TEXT];
  n += cql__features_startup(&c->features, c->version, pairs + n, room);
  uint8_t body[2048];
  size_t size = cql__startup_encode(pairs, n, body, sizeof body);
  if (size > sizeof body)
    return cql__connection_fail(c, CQL_ETOOBIG, "the application's names are too long");
  int error = send_step(c, CQL__STARTUP_SENT, CQL__STARTUP, body, size);
  c->reader.lz4 = lz4;
  return error;
}

/* STARTUP has been answered: compression and, on v5, segments from the next message on. */
static void switch_framing(cql__connection *c) {
  c->writer.lz4 = c->reader.lz4;
  if (c->version >= 5) c->writer.framed = c->reader.framed = 1;
}

static int on_cluster(cql__connection *c, const cql__response *response) {
  cql__cursor body = response->body;
  cql__rows_head head;
  if (cql__read_i32(&body) != CQL_RESULT_ROWS || cql__rows_head_decode(&body, NULL, &head) ||
      cql__read_i32(&body) < 1 || head.column_count != 1)
    return cql__connection_fail(c, CQL_EPROTOCOL, "system.local has no cluster_name");
  cql_slice_t name = cql__read_bytes(&body);
  if (body.broken || name.length < 0)
    return cql__connection_fail(c, CQL_EPROTOCOL, "system.local has no cluster_name");
  char **known = &c->settings->cluster_name;
  if (!*known) *known = cql__text_copy((const char *)name.data, (size_t)name.length);
  if (!*known) return cql__connection_fail(c, CQL_ENOMEM, "no memory for a name");
  if (!cql__slice_is(name, *known))
    return cql__connection_fail(c, CQL_ECLUSTER, "its cluster is \"%.*s\", the others' is \"%s\"",
                                (int)name.length, (const char *)name.data, *known);
  return use_or_serve(c);
}

int cql__handshake_answer(cql__connection *c, const cql__response *response) {
  if (response->opcode == CQL__ERROR) return on_error(c, response);
  int state = c->state, opcode = response->opcode;
  if (state == CQL__OPTIONS_SENT && opcode == CQL__SUPPORTED) return on_supported(c, response);
  if (state == CQL__STARTUP_SENT && opcode == CQL__READY) {
    switch_framing(c);
    return read_cluster(c);
  }
  if (state == CQL__STARTUP_SENT && opcode == CQL__AUTHENTICATE) {
    switch_framing(c);
    return on_authenticate(c, response);
  }
  if (state == CQL__AUTH_SENT && opcode == CQL__AUTH_SUCCESS) return read_cluster(c);
  if (state == CQL__AUTH_SENT && opcode == CQL__AUTH_CHALLENGE) {
    cql__cursor body = response->body;
    cql_slice_t challenge = cql__read_bytes(&body);
    if (body.broken) return cql__connection_fail(c, CQL_EPROTOCOL, "a broken AUTH_CHALLENGE");
    return authenticate(c, "", challenge);
  }
  if (state == CQL__CLUSTER_SENT && opcode == CQL__RESULT) return on_cluster(c, response);
  if (state == CQL__USE_SENT && opcode == CQL__RESULT) {
    int changed = c->keyspace_serial != c->settings->keyspace_serial;
    return changed ? use_or_serve(c) : serve(c);
  }
  return cql__connection_fail(c, CQL_EPROTOCOL, "opcode 0x%02x does not answer the handshake",
                              opcode);
}
