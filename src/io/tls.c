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

struct cql__tls {
  SSL_CTX *context;
  const cql_config_t *config; /* the session's copy: it lives longer */
};

struct cql__tls_socket {
  SSL *ssl;
  BIO *in, *out; /* ciphertext; owned by `ssl` */
};

static void say_openssl(char *why, size_t size, const char *what) {
  unsigned long code = ERR_get_error();
  const char *reason = code ? ERR_reason_error_string(code) : NULL;
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

static int load_trust(SSL_CTX *context, const cql_config_t *config) {
  const char *ca = config->tls_ca;
  if (ca && *ca) return SSL_CTX_load_verify_locations(context, ca, NULL) == 1;
  return SSL_CTX_set_default_verify_paths(context) == 1;
}

static int load_identity(SSL_CTX *context, const cql_config_t *config, const char **what) {
  if (!config->tls_cert && !config->tls_key) return 1;
  *what = "tls_cert";
  if (!config->tls_cert || SSL_CTX_use_certificate_chain_file(context, config->tls_cert) != 1)
    return 0;
  *what = "tls_key";
  SSL_CTX_set_default_passwd_cb(context, give_password);
  SSL_CTX_set_default_passwd_cb_userdata(context, config->tls_key_password);
  const char *key = config->tls_key ? config->tls_key : config->tls_cert;
  return SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
}

int cql__tls_new(const cql_config_t *config, cql__tls **out, char why[256]) {
  *out = NULL;
  ERR_clear_error();
  cql__tls *tls = cql__zalloc(sizeof *tls);
  if (!tls) return CQL_ENOMEM;
  tls->config = config;
  tls->context = SSL_CTX_new(TLS_client_method());
  const char *what = "TLS";
  int good = tls->context != NULL;
  if (good) {
    int version = config->tls_min_version == 13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_CTX_set_min_proto_version(tls->context, version);
    SSL_CTX_set_mode(tls->context, SSL_MODE_AUTO_RETRY | SSL_MODE_RELEASE_BUFFERS);
    int verify = config->tls_verify == CQL__VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    SSL_CTX_set_verify(tls->context, verify, NULL);
    what = "tls_ca";
    good = load_trust(tls->context, config);
  }
  if (good) good = load_identity(tls->context, config, &what);
  if (!good) {
    say_openssl(why, 256, what);
    cql__tls_free(tls);
    return CQL_ETLS;
  }
  *out = tls;
  return 0;
}

void cql__tls_free(cql__tls *tls) {
  if (!tls) return;
  SSL_CTX_free(tls->context);
  cql__free(tls);
}

/* ---- a connection ---- */

/* Which name or address the certificate must carry. */
static int expect_peer(SSL *ssl, const cql_config_t *config, const cql__address *address) {
  const char *name = config->tls_name && *config->tls_name ? config->tls_name : NULL;
  const char *sni = config->tls_sni && *config->tls_sni ? config->tls_sni : name;
  if (sni && SSL_set_tlsext_host_name(ssl, sni) != 1) return 0;
  if (config->tls_verify != CQL__VERIFY_FULL) return 1;
  X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
  if (!name) return X509_VERIFY_PARAM_set1_ip(expected, address->bytes, address->length);
  if (X509_VERIFY_PARAM_set1_ip_asc(expected, name) == 1) return 1;
  ERR_clear_error();
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(expected, name, 0);
}

cql__tls_socket *cql__tls_socket_new(cql__tls *tls, const cql__address *address) {
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
  if (!expect_peer(socket->ssl, tls->config, address)) {
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
  if (verdict != X509_V_OK) {
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

ptrdiff_t cql__tls_read(cql__tls_socket *socket, int fd, uint8_t *out, size_t size,
                        uint8_t *scratch, size_t scratch_size, char *why, size_t why_size) {
  size_t filled = 0;
  while (filled < size) {
    size_t part = 0;
    ERR_clear_error();
    if (SSL_read_ex(socket->ssl, out + filled, size - filled, &part) == 1) {
      filled += part;
      continue;
    }
    int reason = SSL_get_error(socket->ssl, 0);
    if (reason == SSL_ERROR_ZERO_RETURN || reason != SSL_ERROR_WANT_READ) {
      if (filled) break; /* deliver first; the next read says it again */
      if (reason == SSL_ERROR_ZERO_RETURN)
        snprintf(why, why_size, "the server closed the connection");
      else
        say_openssl(why, why_size, "TLS");
      return CQL_ECONNECTION;
    }
    ptrdiff_t got = receive(socket, fd, scratch, scratch_size, why, why_size);
    if (got == 0) break;
    if (got < 0) return filled ? (ptrdiff_t)filled : got;
  }
  return (ptrdiff_t)filled;
}

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
