#include "io/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

/* Ciphertext that waits for the socket before more plaintext is taken. */
enum { PENDING_MAX = 256 * 1024 };

/* The configuration may be gone when connections are made again: what they need is copied. */
struct cql__tls {
  SSL_CTX *context;
  int verify;
  char *name, *sni; /* NULL: none */
};

struct cql__tls_socket {
  SSL *ssl;
  BIO *in, *out; /* ciphertext; owned by `ssl` */
  int error;     /* found behind plaintext that had to be delivered first */
};

static void say_openssl(char *why, size_t size, const char *what) {
  unsigned long code = ERR_get_error();
  const char *reason = NULL;
  if (code) reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : NULL;
  if (code && !reason) reason = ERR_reason_error_string(code);
  snprintf(why, size, "%s: %s", what, reason ? reason : "unknown reason");
  ERR_clear_error();
}

/* ---- the context ---- */

static int give_password(char *out, int size, int writing, void *user) {
  (void)writing;
  const char *password = user ? user : "";
  int length = snprintf(out, (size_t)size, "%s", password);
  return length < size ? length : -1;
}

static int refuse(char why[256], const char *option, const char *path) {
  char what[160];
  snprintf(what, sizeof what, "%s: %s", option, path);
  say_openssl(why, 256, what);
  return CQL_ETLS;
}

static int load_trust(SSL_CTX *context, const char *ca, char why[256]) {
  if (!ca) return SSL_CTX_set_default_verify_paths(context) == 1 ? 0 : refuse(why, "tls_ca", "");
  return SSL_CTX_load_verify_locations(context, ca, NULL) == 1 ? 0 : refuse(why, "tls_ca", ca);
}

/* A key without a path of its own stands in the certificate's file. */
static int load_identity(SSL_CTX *context, const cql_config_t *config, char why[256]) {
  const char *certificate = config->tls_cert;
  const char *key = config->tls_key ? config->tls_key : certificate;
  if (!key) return 0;
  if (!certificate) {
    snprintf(why, 256, "tls_key: needs tls_cert beside it");
    return CQL_ETLS;
  }
  if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
    return refuse(why, "tls_cert", certificate);
  SSL_CTX_set_default_passwd_cb(context, give_password);
  SSL_CTX_set_default_passwd_cb_userdata(context, config->tls_key_password);
  int good = SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 &&
             SSL_CTX_check_private_key(context) == 1;
  SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
  return good ? 0 : refuse(why, "tls_key", key);
}

static SSL_CTX *new_context(const cql_config_t *config) {
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  if (!context) return NULL;
  int version = config->tls_min_version == 13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  SSL_CTX_set_min_proto_version(context, version);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY | SSL_MODE_RELEASE_BUFFERS);
  int verify = config->tls_verify == CQL__VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
  SSL_CTX_set_verify(context, verify, NULL);
  return context;
}

static int copy_text(const char *text, char **out) {
  if (!text || !*text) return 0;
  *out = cql__text_copy(text, strlen(text));
  return *out ? 0 : CQL_ENOMEM;
}

int cql__tls_new(const cql_config_t *config, cql__tls **out, char why[256]) {
  *out = NULL;
  ERR_clear_error();
  cql__tls *tls = cql__zalloc(sizeof *tls);
  if (!tls) return CQL_ENOMEM;
  tls->verify = (int)config->tls_verify;
  tls->context = new_context(config);
  const char *ca = config->tls_ca && *config->tls_ca ? config->tls_ca : NULL;
  int error = tls->context ? 0 : CQL_ENOMEM;
  if (!error) error = copy_text(config->tls_name, &tls->name);
  if (!error) error = copy_text(config->tls_sni, &tls->sni);
  if (!error) error = load_trust(tls->context, ca, why);
  if (!error) error = load_identity(tls->context, config, why);
  if (error) {
    cql__tls_free(tls);
    return error;
  }
  *out = tls;
  return 0;
}

void cql__tls_free(cql__tls *tls) {
  if (!tls) return;
  SSL_CTX_free(tls->context);
  cql__free(tls->name);
  cql__free(tls->sni);
  cql__free(tls);
}

/* ---- a connection ---- */

/* Which name or address the certificate must carry, and what the server is told. SNI knows names
 * only [RFC 6066 3]. */
static int expect_peer(SSL *ssl, const cql__tls *tls, const cql__target *target) {
  X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
  const cql__address *address = &target->address;
  const char *name = tls->name ? tls->name : target->server_name;
  int is_address = name && X509_VERIFY_PARAM_set1_ip_asc(expected, name) == 1;
  ERR_clear_error();
  const char *sni = target->server_name ? target->server_name
                    : tls->sni          ? tls->sni
                    : is_address        ? NULL
                                        : name;
  if (sni && SSL_set_tlsext_host_name(ssl, sni) != 1) return 0;
  if (tls->verify != CQL__VERIFY_FULL) return X509_VERIFY_PARAM_set1_ip(expected, NULL, 0);
  if (is_address) return 1;
  if (!name) return X509_VERIFY_PARAM_set1_ip(expected, address->bytes, address->length);
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(expected, name, 0);
}

cql__tls_socket *cql__tls_socket_new(cql__tls *tls, const cql__target *target) {
  cql__tls_socket *socket = cql__zalloc(sizeof *socket);
  if (!socket) return NULL;
  ERR_clear_error();
  socket->ssl = SSL_new(tls->context);
  BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
  if (!socket->ssl || !in || !out) {
    BIO_free(in);
    BIO_free(out);
    cql__tls_socket_free(socket);
    return NULL;
  }
  BIO_set_mem_eof_return(in, -1);
  BIO_set_mem_eof_return(out, -1);
  SSL_set_bio(socket->ssl, in, out);
  socket->in = in;
  socket->out = out;
  SSL_set_connect_state(socket->ssl);
  if (!expect_peer(socket->ssl, tls, target)) {
    cql__tls_socket_free(socket);
    return NULL;
  }
  return socket;
}

void cql__tls_socket_free(cql__tls_socket *socket) {
  if (!socket) return;
  SSL_free(socket->ssl);
  cql__free(socket);
}

int cql__tls_flush(cql__tls_socket *socket, int fd) {
  for (;;) {
    char *bytes;
    long size = BIO_get_mem_data(socket->out, &bytes);
    if (size <= 0) return 0;
    ssize_t sent = send(fd, bytes, (size_t)size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 1 : -1;
    /* A read of a memory BIO drops its front; where it goes doesn't matter. */
    char sink[4096];
    while (sent > 0) {
      int part = sent > (ssize_t)sizeof sink ? (int)sizeof sink : (int)sent;
      sent -= BIO_read(socket->out, sink, part);
    }
  }
}

/* Ciphertext from the socket to OpenSSL. > 0 bytes; 0: dry; < 0: closed or broken. */
static ptrdiff_t receive(cql__tls_socket *socket, int fd, uint8_t *scratch, size_t size, char *why,
                         size_t why_size) {
  for (;;) {
    ssize_t got = recv(fd, scratch, size, 0);
    if (got > 0) {
      if (BIO_write(socket->in, scratch, (int)got) == (int)got) return got;
      snprintf(why, why_size, "no memory for what the server sent");
      return CQL_ENOMEM;
    }
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    snprintf(why, why_size, "%s", got == 0 ? "the server closed the connection" : strerror(errno));
    return CQL_ECONNECTION;
  }
}

static int handshake_failed(cql__tls_socket *socket, char *why, size_t size) {
  long verdict = SSL_get_verify_result(socket->ssl);
  if (verdict != X509_V_OK && SSL_get_verify_mode(socket->ssl) != SSL_VERIFY_NONE) {
    snprintf(why, size, "the server's certificate is refused: %s",
             X509_verify_cert_error_string(verdict));
    ERR_clear_error();
  } else {
    say_openssl(why, size, "the TLS handshake failed");
  }
  return CQL_ETLS;
}

int cql__tls_handshake(cql__tls_socket *socket, int fd, int *wants_write, char *why, size_t size) {
  uint8_t scratch[4096];
  *wants_write = 0;
  for (;;) {
    ERR_clear_error();
    int done = SSL_do_handshake(socket->ssl);
    int reason = done == 1 ? 0 : SSL_get_error(socket->ssl, done);
    int failed = done != 1 && reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE;
    int error = failed ? handshake_failed(socket, why, size) : 0;
    int left = cql__tls_flush(socket, fd); /* also the alert that says why we refuse */
    if (error) return error;
    *wants_write = left > 0;
    if (left < 0) {
      snprintf(why, size, "%s", strerror(errno));
      return CQL_ECONNECT;
    }
    if (done == 1) return 1;
    ptrdiff_t got = receive(socket, fd, scratch, sizeof scratch, why, size);
    if (got == 0) return 0;
    if (got < 0) return CQL_ETLS;
  }
}

/* Why SSL_read() gave nothing. 0: it wants more ciphertext. */
static int read_failed(cql__tls_socket *socket, char *why, size_t size) {
  int reason = SSL_get_error(socket->ssl, 0);
  if (reason == SSL_ERROR_WANT_READ) return 0;
  if (reason == SSL_ERROR_ZERO_RETURN) {
    snprintf(why, size, "the server closed the connection");
    return CQL_ECONNECTION;
  }
  say_openssl(why, size, "TLS");
  return CQL_ETLS;
}

ptrdiff_t cql__tls_read(cql__tls_socket *socket, int fd, uint8_t *out, size_t size,
                        uint8_t *scratch, size_t scratch_size, char *why, size_t why_size) {
  size_t filled = 0;
  while (!socket->error && filled < size) {
    size_t part = 0;
    ERR_clear_error();
    if (SSL_read_ex(socket->ssl, out + filled, size - filled, &part) == 1) {
      filled += part;
      continue;
    }
    socket->error = read_failed(socket, why, why_size);
    if (socket->error) break;
    ptrdiff_t got = receive(socket, fd, scratch, scratch_size, why, why_size);
    if (got == 0) break;
    if (got < 0) socket->error = (int)got;
  }
  return filled ? (ptrdiff_t)filled : socket->error;
}

int cql__tls_ended(const cql__tls_socket *socket) { return socket->error != 0; }

ptrdiff_t cql__tls_write(cql__tls_socket *socket, const cql__span *spans, unsigned count, char *why,
                         size_t why_size) {
  size_t taken = 0;
  for (unsigned i = 0; i < count; i++) {
    if (BIO_ctrl_pending(socket->out) > PENDING_MAX) break;
    size_t part = 0;
    ERR_clear_error();
    if (SSL_write_ex(socket->ssl, spans[i].bytes, spans[i].size, &part) != 1) {
      say_openssl(why, why_size, "TLS");
      return CQL_ECONNECTION;
    }
    taken += part;
  }
  return (ptrdiff_t)taken;
}
