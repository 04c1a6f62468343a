-- Real sockets by FFI, non-blocking, with Linux's constants: what a server in a spec needs.
local ffi = require "ffi"
local unit = require "spec.support.unit"

unit.cdef("socket", [[
  struct spec_sockaddr { uint16_t family, port; uint8_t bytes[24]; };
  struct spec_pollfd { int fd; short events, revents; };
  struct spec_linger { int on, seconds; };
  int socket(int domain, int type, int protocol);
  int bind(int fd, const struct spec_sockaddr *address, unsigned size);
  int listen(int fd, int backlog);
  int accept4(int fd, struct spec_sockaddr *address, unsigned *size, int flags);
  int connect(int fd, const struct spec_sockaddr *address, unsigned size);
  int getsockname(int fd, struct spec_sockaddr *address, unsigned *size);
  int getsockopt(int fd, int level, int name, void *value, unsigned *size);
  int setsockopt(int fd, int level, int name, const void *value, unsigned size);
  ssize_t recv(int fd, void *buffer, size_t size, int flags);
  ssize_t send(int fd, const void *buffer, size_t size, int flags);
  int shutdown(int fd, int how);
  int close(int fd);
  int fcntl(int fd, int command, ...);
  int poll(struct spec_pollfd *fds, unsigned long count, int timeout);
  int fork(void);
  int waitpid(int pid, int *status, int options);
  int kill(int pid, int signal);
  int getpid(void);
  void _exit(int status);
]])

local C = ffi.C
local socket = {}

local AF_INET, AF_INET6, SOCK_STREAM, NONBLOCK_CLOEXEC = 2, 10, 1, 0x80800
local IPPROTO_TCP, TCP_NODELAY = 6, 1
local SOL_SOCKET, SO_REUSEADDR, SO_LINGER, MSG_NOSIGNAL = 1, 2, 13, 0x4000
socket.EAGAIN = 11

local function swap(port) return bit.bor(bit.rshift(port, 8), bit.lshift(port % 256, 8)) end

local Connection = {}
Connection.__index = Connection

-- What came in; "" if nothing, nil at the end of it.
function Connection:receive()
  local buffer = ffi.new "uint8_t[65536]"
  local got = tonumber(C.recv(self.fd, buffer, 65536, 0))
  if got > 0 then return ffi.string(buffer, got) end
  if got < 0 and ffi.errno() == socket.EAGAIN then return "" end
  return nil
end

-- How much was taken; nil if the other side has gone.
function Connection:send(bytes)
  local sent = tonumber(C.send(self.fd, bytes, #bytes, MSG_NOSIGNAL))
  if sent >= 0 then return sent end
  return ffi.errno() == socket.EAGAIN and 0 or nil
end

function Connection:close()
  if self.fd then C.close(self.fd) end
  self.fd = nil
end

-- Ends it with a RST.
function Connection:reset()
  local linger = ffi.new("struct spec_linger", 1, 0)
  C.setsockopt(self.fd, SOL_SOCKET, SO_LINGER, linger, ffi.sizeof(linger))
  self:close()
end

local Listener = {}
Listener.__index = Listener

-- The next connection, or nil.
function Listener:accept()
  local address, size = ffi.new "struct spec_sockaddr", ffi.new("unsigned[1]", 28)
  local fd = C.accept4(self.fd, address, size, NONBLOCK_CLOEXEC)
  if fd < 0 then return nil end
  C.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, ffi.new("int[1]", 1), 4)
  local from = {}
  for i = 0, 3 do from[i + 1] = address.bytes[i] end
  return setmetatable({ fd = fd, from = table.concat(from, "."), from_port = swap(address.port) },
    Connection)
end

Listener.close = Connection.close

-- On 127.0.0.1, or ::1; port 0: any that is free.
function socket.listen(port, v6)
  local fd = C.socket(v6 and AF_INET6 or AF_INET, SOCK_STREAM + NONBLOCK_CLOEXEC, 0)
  if fd < 0 then return nil, "no socket" end
  local one = ffi.new("int[1]", 1)
  C.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one, 4)
  local address = ffi.new("struct spec_sockaddr", v6 and AF_INET6 or AF_INET, swap(port or 0))
  if v6 then
    address.bytes[19] = 1
  else
    address.bytes[0], address.bytes[3] = 127, 1
  end
  local size = ffi.new("unsigned[1]", v6 and 28 or 16)
  if C.bind(fd, address, size[0]) ~= 0 or C.listen(fd, 128) ~= 0 then
    C.close(fd)
    return nil, "can't listen"
  end
  C.getsockname(fd, address, size)
  return setmetatable({ fd = fd, port = swap(address.port) }, Listener)
end

-- A connection to an IPv4 address; nil: it is refused.
function socket.connect(address, port)
  local fd = C.socket(AF_INET, SOCK_STREAM, 0)
  local to, i = ffi.new("struct spec_sockaddr", AF_INET, swap(port)), 0
  for number in address:gmatch "%d+" do
    to.bytes[i], i = tonumber(number), i + 1
  end
  if C.connect(fd, to, 16) ~= 0 then
    C.close(fd)
    return nil
  end
  C.fcntl(fd, 4, ffi.new("int", 0x800)) -- F_SETFL, O_NONBLOCK
  return setmetatable({ fd = fd }, Connection)
end

-- Waits until one of the descriptors is readable, at most so long.
function socket.wait(fds, timeout_ms)
  local list = ffi.new("struct spec_pollfd[?]", math.max(#fds, 1))
  for i, fd in ipairs(fds) do list[i - 1] = { fd, 1, 0 } end
  return C.poll(list, #fds, timeout_ms)
end

-- Runs fn in a child process, which ends with its result, or 99 if it raises. That status.
function socket.in_child(fn)
  io.stdout:flush()
  local pid = C.fork()
  if pid == 0 then
    local ok, status = pcall(fn)
    if not ok then io.stderr:write("in the child: ", tostring(status), "\n") end
    C._exit(ok and (status or 0) or 99)
  end
  local status = ffi.new "int[1]"
  assert(C.waitpid(pid, status, 0) == pid)
  return bit.band(status[0], 127) == 0 and bit.rshift(status[0], 8) or -bit.band(status[0], 127)
end

-- The descriptors of this process below 1024 (a command that lists them would itself have some).
function socket.descriptors()
  collectgarbage() -- files that nobody refers to any more
  local list = {}
  for fd = 0, 1023 do
    if C.fcntl(fd, 1) >= 0 then list[#list + 1] = fd end
  end
  return list
end

return socket
