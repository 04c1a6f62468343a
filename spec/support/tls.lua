-- The server's side of TLS: OpenSSL on memory BIOs by FFI, so that a spec decides which bytes go
-- out, and when.
local ffi = require "ffi"
local unit = require "spec.support.unit"

unit.cdef("openssl", [[
  typedef struct ssl_ctx_st SSL_CTX;
  typedef struct ssl_st SSL;
  typedef struct bio_st BIO;
  const void *TLS_server_method(void);
  SSL_CTX *SSL_CTX_new(const void *method);
  void SSL_CTX_free(SSL_CTX *context);
  long SSL_CTX_ctrl(SSL_CTX *context, int command, long number, void *pointer);
  int SSL_CTX_use_certificate_chain_file(SSL_CTX *context, const char *file);
  int SSL_CTX_use_PrivateKey_file(SSL_CTX *context, const char *file, int type);
  int SSL_CTX_load_verify_locations(SSL_CTX *context, const char *file, const char *folder);
  void SSL_CTX_set_verify(SSL_CTX *context, int mode, void *callback);
  SSL *SSL_new(SSL_CTX *context);
  void SSL_free(SSL *ssl);
  void SSL_set_bio(SSL *ssl, BIO *in, BIO *out);
  void SSL_set_accept_state(SSL *ssl);
  int SSL_do_handshake(SSL *ssl);
  int SSL_is_init_finished(const SSL *ssl);
  int SSL_read(SSL *ssl, void *out, int size);
  int SSL_write(SSL *ssl, const void *bytes, int size);
  int SSL_get_error(const SSL *ssl, int result);
  int SSL_shutdown(SSL *ssl);
  int SSL_renegotiate(SSL *ssl);
  int SSL_key_update(SSL *ssl, int kind);
  const char *SSL_get_servername(const SSL *ssl, int type);
  const char *SSL_get_version(const SSL *ssl);
  BIO *BIO_new(const void *method);
  const void *BIO_s_mem(void);
  int BIO_read(BIO *bio, void *out, int size);
  int BIO_write(BIO *bio, const void *bytes, int size);
  size_t BIO_ctrl_pending(BIO *bio);
  unsigned long ERR_get_error(void);
  const char *ERR_reason_error_string(unsigned long code);
  void ERR_clear_error(void);
]])

local ssl = ffi.load "ssl"
local crypto = ffi.load "crypto"
local tls = {}

local VERSIONS = { ["1.2"] = 0x0303, ["1.3"] = 0x0304 }
local SET_MIN, SET_MAX, PEM, WANT_READ = 123, 124, 1, 2

local Context = {}
Context.__index = Context

-- options: cert, key; version (no other is spoken); client_ca (clients must show a certificate).
function tls.context(options)
  local context = ffi.gc(ssl.SSL_CTX_new(ssl.TLS_server_method()), ssl.SSL_CTX_free)
  assert(ssl.SSL_CTX_use_certificate_chain_file(context, options.cert) == 1)
  assert(ssl.SSL_CTX_use_PrivateKey_file(context, options.key, PEM) == 1)
  if options.version then
    ssl.SSL_CTX_ctrl(context, SET_MIN, VERSIONS[options.version], nil)
    ssl.SSL_CTX_ctrl(context, SET_MAX, VERSIONS[options.version], nil)
  end
  if options.client_ca then
    assert(ssl.SSL_CTX_load_verify_locations(context, options.client_ca, nil) == 1)
    ssl.SSL_CTX_set_verify(context, 3, nil)
  end
  return setmetatable({ context = context }, Context)
end

local Side = {}
Side.__index = Side

function Context:accept()
  local side = setmetatable({ context = self.context }, Side)
  side.ssl = ffi.gc(ssl.SSL_new(self.context), ssl.SSL_free)
  side.incoming, side.outgoing = crypto.BIO_new(crypto.BIO_s_mem()),
    crypto.BIO_new(crypto.BIO_s_mem())
  ssl.SSL_set_bio(side.ssl, side.incoming, side.outgoing)
  ssl.SSL_set_accept_state(side.ssl)
  return side
end

-- Ciphertext in, plaintext out. `failed` is set with the reason when it breaks.
function Side:feed(bytes)
  crypto.ERR_clear_error()
  if #bytes > 0 then crypto.BIO_write(self.incoming, bytes, #bytes) end
  local plain, buffer = {}, ffi.new "uint8_t[16384]"
  while not self.failed do
    local got = ssl.SSL_read(self.ssl, buffer, 16384)
    if got > 0 then
      plain[#plain + 1] = ffi.string(buffer, got)
    else
      local reason = ssl.SSL_get_error(self.ssl, got)
      if reason == WANT_READ then break end
      local code = crypto.ERR_get_error()
      self.failed = code ~= 0 and ffi.string(crypto.ERR_reason_error_string(code)) or "ended"
    end
  end
  return table.concat(plain)
end

-- Ciphertext that wants to go out.
function Side:take()
  local size = tonumber(crypto.BIO_ctrl_pending(self.outgoing))
  if size == 0 then return "" end
  local buffer = ffi.new("uint8_t[?]", size)
  return ffi.string(buffer, crypto.BIO_read(self.outgoing, buffer, size))
end

function Side:write(plain)
  assert(ssl.SSL_write(self.ssl, plain, #plain) == #plain)
end

function Side:close_notify() ssl.SSL_shutdown(self.ssl) end
function Side:renegotiate()
  assert(ssl.SSL_renegotiate(self.ssl) == 1)
  ssl.SSL_do_handshake(self.ssl)
end
function Side:update_keys()
  assert(ssl.SSL_key_update(self.ssl, 1) == 1)
  ssl.SSL_do_handshake(self.ssl)
end
function Side:is_shaken() return ssl.SSL_is_init_finished(self.ssl) == 1 end
function Side:name()
  local name = ssl.SSL_get_servername(self.ssl, 0)
  return name ~= nil and ffi.string(name) or nil
end
function Side:version() return ffi.string(ssl.SSL_get_version(self.ssl)) end

return tls
