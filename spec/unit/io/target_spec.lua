-- Where a socket goes and whence: local ports, and the name that a target brings for TLS.
local ffi = require "ffi"
local certificates = require "spec.support.certificates"
local socket = require "spec.support.socket"
local tls = require "spec.support.tls"
local unit = require "spec.support.unit"
require "spec.support.core"

unit.cdef("target_spec", [[
  int cql__io_new(const cql_config_t *config, const cql__link_events *events, cql__link **out,
                  char *why);
  extern const cql__host_ops cql__io_host;
]])

local C = unit.C
local PORT_TAKEN = -1000 -- CQL__EPORT

local told -- what the link says of its one socket: "opened", or the reason of the failure
local events = ffi.new("cql__link_events", {
  opened = function() told = "opened" end,
  readable = function() end,
  writable = function() end,
  failed = function(_, _, why) told = ffi.string(why) end,
})
jit.off(true, true) -- a step calls back

local Link = {}
Link.__index = Link

local function new_link(options)
  local config, out, why = C.cql_config_new(), ffi.new "cql__link *[1]", ffi.new "char[256]"
  for name, value in pairs(options or {}) do
    assert(C.cql_config_set(config, name, tostring(value)) == 0)
  end
  local result = C.cql__io_new(config, events, out, why)
  C.cql_config_free(config)
  assert(result == 0, ffi.string(why))
  return setmetatable({ link = out[0] }, Link)
end

function Link:open(address, port, local_port, server_name)
  local target, out = ffi.new "cql__target", ffi.new "cql__socket *[1]"
  assert(C.cql__address_from_text(address, #address, port, target.address) == 0)
  target.local_port = local_port or 0
  target.server_name = server_name
  told = nil
  local result = self.link.ops.open(self.link, target, nil, out)
  return result, out[0] ~= nil and out[0] or nil
end

function Link:step(wait_ms) C.cql__io_host.step(self.link, wait_ms or 0) end

function Link:until_told()
  for _ = 1, 500 do
    if told then return told end
    self:step(10)
  end
  error "nothing was told"
end

function Link:free() C.cql__io_host.free(self.link, 0) end

-- A port on which nobody is just now.
local function free_port(v6)
  local listener = socket.listen(0, v6)
  local port = listener.port
  listener:close()
  return port
end

local function port_of(fd)
  local address, size = ffi.new "struct spec_sockaddr", ffi.new("unsigned[1]", 28)
  assert(ffi.C.getpeername(fd, address, size) == 0)
  return bit.rshift(bit.bswap(address.port), 16)
end

unit.cdef("target_spec_socket", [[
  int getpeername(int fd, struct spec_sockaddr *address, unsigned *size);
]])

describe("a socket", function()
  for _, v6 in ipairs { false, true } do
    it("comes from the local port, IPv" .. (v6 and 6 or 4), function()
      local link, listener, port = new_link(), socket.listen(0, v6), free_port(v6)
      local result, opened = link:open(v6 and "::1" or "127.0.0.1", listener.port, port)
      assert.equal(0, result)
      assert.equal("opened", link:until_told())
      local peer = listener:accept()
      assert.equal(port, port_of(peer.fd))
      link.link.ops.close(opened)
      peer:close()
      listener:close()
      link:free()
    end)
  end

  it("comes from the local port of the local address", function()
    local link, listener = new_link { local_address = "127.0.0.9" }, socket.listen(0)
    local port = free_port()
    assert.equal(0, (link:open("127.0.0.1", listener.port, port)))
    assert.equal("opened", link:until_told())
    local peer = listener:accept()
    assert.equal("127.0.0.9", peer.from)
    assert.equal(port, port_of(peer.fd))
    peer:close()
    listener:close()
    link:free()
  end)

  it("isn't opened from a port that is taken, and leaves nothing behind", function()
    local link, listener, taken = new_link(), socket.listen(0), socket.listen(0)
    local before = socket.descriptors()
    local result, opened = link:open("127.0.0.1", listener.port, taken.port)
    assert.equal(PORT_TAKEN, result)
    assert.is_nil(opened)
    link:step()
    assert.is_nil(told)
    assert.same(before, socket.descriptors())
    listener:close()
    taken:close()
    link:free()
  end)

  it("shares its local port with sockets to other nodes, not with one to the same", function()
    local link, one, other = new_link(), socket.listen(0), socket.listen(0)
    local port = free_port()
    local result, first = link:open("127.0.0.1", one.port, port)
    assert.equal(0, result)
    link:until_told()
    local second
    result, second = link:open("127.0.0.1", other.port, port)
    assert.equal(0, result)
    assert.equal("opened", link:until_told())
    assert.equal(PORT_TAKEN, (link:open("127.0.0.1", one.port, port)))
    link.link.ops.close(first)
    link.link.ops.close(second)
    one:close()
    other:close()
    link:free()
  end)

  it("fails for good with a local address that isn't here, whatever the port", function()
    local link, listener = new_link { local_address = "192.0.2.1" }, socket.listen(0)
    local result, opened = link:open("127.0.0.1", listener.port, free_port())
    assert.equal(0, result)
    assert.matches("^local_address: Cannot assign", link:until_told())
    link.link.ops.close(opened)
    listener:close()
    link:free()
  end)
end)

-- ---- TLS ----

-- Opens one connection: what was told, and the name that the server saw.
local function shake(options, server_name, cert)
  options.tls, options.tls_ca = true, certificates.ca
  local link, listener = new_link(options), socket.listen(0)
  local context = tls.context { cert = certificates[cert or "node"],
    key = certificates[(cert or "node") .. "_key"] }
  local result, opened = link:open("127.0.0.1", listener.port, 0, server_name)
  assert.equal(0, result)
  local peer, side
  for _ = 1, 500 do
    link:step(10)
    if not peer then
      peer = listener:accept()
      side = peer and context:accept()
    end
    local bytes = peer and peer:receive() or ""
    if side then
      side:feed(bytes)
      local out = side:take()
      if #out > 0 then assert(peer:send(out) == #out) end
    end
    if told then break end
  end
  local name = side:name()
  link.link.ops.close(opened)
  peer:close()
  listener:close()
  link:free()
  return told, name
end

describe("a target's server name", function()
  it("is said to the server and must stand in the certificate", function()
    local outcome, name = shake({}, "seven.cql.test")
    assert.equal("opened", outcome)
    assert.equal("seven.cql.test", name)
    outcome, name = shake({}, "seven.example")
    assert.matches("certificate is refused: hostname mismatch", outcome)
    assert.equal("seven.example", name)
  end)

  it("leaves the certificate to tls_name, as behind a proxy for many nodes", function()
    local outcome, name = shake({ tls_name = "localhost" }, "0ddba11")
    assert.equal("opened", outcome)
    assert.equal("0ddba11", name)
    outcome = shake({ tls_name = "elsewhere.test" }, "seven.cql.test")
    assert.matches("certificate is refused: hostname mismatch", outcome)
  end)

  it("wins over tls_sni", function()
    local outcome, name = shake({ tls_sni = "six.cql.test" }, "seven.cql.test")
    assert.equal("opened", outcome)
    assert.equal("seven.cql.test", name)
  end)

  it("isn't verified where names aren't", function()
    local outcome, name = shake({ tls_verify = "chain" }, "seven.example")
    assert.equal("opened", outcome)
    assert.equal("seven.example", name)
  end)
end)
