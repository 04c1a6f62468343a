-- Sessions on real sockets: opening, refusals, what the system runs out of, and how long a step
-- may take.
local ffi = require "ffi"
local loopback = require "spec.support.loopback"
local server = require "spec.support.server"
local socket = require "spec.support.socket"
local unit = require "spec.support.unit"

unit.cdef("io_spec", [[
  struct spec_rlimit { unsigned long now, most; };
  int getrlimit(int resource, struct spec_rlimit *out);
  int setrlimit(int resource, const struct spec_rlimit *limit);
  int getpeername(int fd, struct spec_sockaddr *address, unsigned *size);
  unsigned alarm(unsigned seconds);
  int usleep(unsigned microseconds);
]])

local C = loopback.C
local NOFILE = 7

-- The session's descriptor of its connection to the server.
local function client_fd(world)
  local address, size = ffi.new "struct spec_sockaddr", ffi.new "unsigned[1]"
  for _, fd in ipairs(socket.descriptors()) do
    size[0] = 28
    if ffi.C.getpeername(fd, address, size) == 0 and size[0] > 2
      and address.port == bit.rshift(bit.bswap(world.port), 16) then
      return fd
    end
  end
end

local function option(fd, level, name)
  local value, size = ffi.new "int[1]", ffi.new("unsigned[1]", 4)
  assert(ffi.C.getsockopt(fd, level, name, value, size) == 0)
  return value[0]
end

describe("sockets", function()
  -- A step that never returns ends the process here, and the report says in which test.
  before_each(function() ffi.C.alarm(60) end)
  after_each(function() ffi.C.alarm(0) end)

  it("serve, and leave no descriptor behind", function()
    loopback.new():free() -- the first loop of a process opens what libuv keeps for all
    local before = socket.descriptors()
    for _ = 1, 3 do
      local world = loopback.new()
      world:ready()
      assert.equal(0, world:ask())
      world:free()
    end
    assert.same(before, socket.descriptors())
  end)

  it("serve over IPv6", function()
    local world = loopback.new(nil, { v6 = true })
    assert.equal("[::1]:" .. world.port, world:ready().address)
    assert.equal(0, world:ask())
    world:free()
  end)

  it("say that they are refused, and by whom", function()
    local world = loopback.new { connect_retry = false, port = 1 }
    local event = world:event(C.CQL_EVENT_FAILED)
    assert.equal(C.CQL_ECONNECT, event.status)
    assert.matches("Connection refused", event.message)
    assert.equal("127.0.0.1:1", world:event(C.CQL_EVENT_CONNECTION_FAILED).address)
    world:free()
  end)

  it("come from the local address", function()
    local world = loopback.new { local_address = "127.0.0.9" }
    world:ready()
    assert.equal("127.0.0.9", world.peers[1].socket.from)
    world:free()
  end)

  it("say that the local address can't be had", function()
    local world = loopback.new { local_address = "192.0.2.1", connect_retry = false }
    local event = world:event(C.CQL_EVENT_FAILED)
    assert.equal(C.CQL_ECONNECT, event.status)
    assert.matches("^local_address: Cannot assign", event.message)
    world:free()
    local none, result, why = loopback.new { local_address = "here" }
    assert.is_nil(none)
    assert.equal(C.CQL_EOPTION, result)
    assert.matches("here", why)
  end)

  it("have the options of the configuration", function()
    local world = loopback.new { send_buffer = 65536, receive_buffer = 131072 }
    world:ready()
    local fd = client_fd(world)
    assert.equal(1, option(fd, 6, 1)) -- TCP_NODELAY
    assert.equal(1, option(fd, 1, 9)) -- SO_KEEPALIVE
    assert.equal(2 * 65536, option(fd, 1, 7)) -- SO_SNDBUF: the kernel doubles it
    assert.equal(2 * 131072, option(fd, 1, 8)) -- SO_RCVBUF
    world:free()
    world = loopback.new { ask_distance = true, send_buffer = 32768, remote_send_buffer = 65536,
      receive_buffer = 131072 }
    world:until_("a question", function()
      return world.events[1] and world.events[1].kind == C.CQL_QUESTION
    end)
    assert.equal(0, C.cql_answer(world.session, world.events[1].tag, "remote", 6))
    world:ready()
    fd = client_fd(world)
    assert.equal(2 * 65536, option(fd, 1, 7)) -- of remote nodes
    assert.equal(2 * 131072, option(fd, 1, 8)) -- of all
    world:free()
    world = loopback.new { tcp_nodelay = false, tcp_keepalive = false }
    world:ready()
    fd = client_fd(world)
    assert.equal(0, option(fd, 6, 1))
    assert.equal(0, option(fd, 1, 9))
    world:free()
  end)

  it("that can't be had for lack of descriptors are tried again", function()
    local world = loopback.new { reconnect_min_ms = 10 }
    world:ready()
    local limit, low = ffi.new "struct spec_rlimit", ffi.new "struct spec_rlimit"
    assert(ffi.C.getrlimit(NOFILE, limit) == 0)
    low.now, low.most = client_fd(world), limit.most -- its number is the first above the limit
    world.peers[1].socket:reset()
    assert(ffi.C.setrlimit(NOFILE, low) == 0)
    local event = world:event(C.CQL_EVENT_CONNECTION_FAILED)
    assert(ffi.C.setrlimit(NOFILE, limit) == 0)
    assert.equal(C.CQL_ECONNECT, event.status)
    assert.matches("Too many open files", event.message)
    world:event(C.CQL_EVENT_CONNECTION_OPENED, 1)
    assert.equal(0, world:ask())
    world:free()
  end)

  it("deliver the answer that came before a reset, then see the reset", function()
    local world = loopback.new(nil, {
      serve = function(request, peer)
        peer:answer(request, "RESULT", server.VOID)
        peer.socket:reset()
      end,
    })
    world:ready()
    for i = 1, 3 do
      local status = world:ask()
      assert.is_true(status == 0 or status == C.CQL_ECONNECTION)
      world:event(C.CQL_EVENT_CONNECTION_CLOSED, i - 1)
      world:event(C.CQL_EVENT_CONNECTION_OPENED, i)
    end
    world:free()
  end)

  it("deliver the answer that lies in them when a write finds the reset", function()
    local held
    local world = loopback.new({ reconnect_min_ms = 5000 }, {
      serve = function(request) held = request end,
    })
    world:ready()
    world:submit(1, "SELECT")
    world:until_("the server has it", function() return held end)
    world.peers[1]:answer(held, "RESULT", server.VOID)
    world.peers[1].socket:reset()
    world:submit(2, "SELECT")
    assert.equal(0, C.cql_session_flush(world.session))
    world:until_("the end", function()
      for _, event in ipairs(world.events) do
        if event.code == C.CQL_EVENT_CONNECTION_CLOSED then return true end
      end
      return false
    end)
    assert.same({ 1, 0 }, { world.done[1].tag, world.done[1].status })
    world:free()
  end)

  it("that are reset while much is unsent raise no signal", function()
    local world = loopback.new({ send_buffer = 8192 }, {
      serve = function(_, peer)
        if peer ~= peer.world.peers[1] then return "RESULT", server.VOID end
        peer.deaf = true
      end,
    })
    world:ready()
    world:submit(1, "first")
    world:until_("it is heard", function() return world.peers[1].deaf end)
    for tag = 2, 50 do world:submit(tag, ("x"):rep(100000)) end
    world:turn()
    world.peers[1].socket:reset()
    world:until_("all have ended", function() return #world.done == 50 end)
    local statuses = {}
    for _, entry in ipairs(world.done) do statuses[entry.tag] = entry.status end
    assert.equal(C.CQL_ECONNECTION, statuses[1])
    assert.equal(0, statuses[50]) -- none of its bytes had gone: it went out with the next one
    world:free()
  end)

  it("carry much to a server that is slow to read", function()
    local texts = {}
    local world = loopback.new({ send_buffer = 4096 }, {
      serve = function(request)
        texts[#texts + 1] = request.body
        return "RESULT", server.VOID
      end,
    })
    world:ready()
    world.peers[1].deaf = true
    for tag = 1, 20 do world:submit(tag, tag .. ("x"):rep(200000)) end
    for _ = 1, 10 do world:turn() end
    assert.equal(0, #world.done)
    world.peers[1].deaf = false
    world:until_("all have ended", function() return #world.done == 20 end)
    for i, text in ipairs(texts) do assert.equal(tostring(i), text:match "%d+x" :sub(1, -2)) end
    world:free()
  end)

  it("connect again after the server went away and came back", function()
    local world = loopback.new { reconnect_min_ms = 5, reconnect_max_ms = 20 }
    world:ready()
    local port = world.port
    world.listener:close()
    world.peers[1].socket:close()
    world:event(C.CQL_EVENT_CONNECTION_FAILED)
    world.listener = assert(socket.listen(port))
    world:event(C.CQL_EVENT_CONNECTION_OPENED, 1)
    assert.equal(0, world:ask())
    world:free()
  end)
end)

describe("a step", function()
  before_each(function() ffi.C.alarm(60) end)
  after_each(function() ffi.C.alarm(0) end)

  local function silent(options)
    local world = loopback.new(options, { serve = function() end })
    world:ready()
    world:turn()
    return world
  end

  it("ends when its wait is over, though the host slept longer before it", function()
    local world = silent()
    for _ = 1, 5 do
      ffi.C.usleep(30000)
      assert.equal(0, C.cql_session_step(world.session, 10))
    end
    world:free()
  end)

  it("ends when a deadline has come, however long it may wait", function()
    local world = silent { request_timeout_ms = 20 }
    world:submit(1, "SELECT")
    ffi.C.usleep(50000)
    while #world.done == 0 do
      assert.equal(0, C.cql_session_step(world.session, -1))
      world:poll()
    end
    assert.equal(C.CQL_ETIMEOUT, world.done[1].status)
    world:free()
  end)

  it("waits for the next try when there is nothing to watch", function()
    local world = loopback.new { port = 1, reconnect_min_ms = 1 }
    world:event(C.CQL_EVENT_CONNECTION_FAILED, 2)
    world:free()
  end)

  it("doesn't wait while completions are there to be polled", function()
    local world = silent()
    world:free()
    world = loopback.new { port = 1, connect_retry = false }
    for _ = 1, 100 do assert.equal(0, C.cql_session_step(world.session, -1)) end
    assert.equal(0, C.cql_session_timeout(world.session))
    world:free()
  end)

  it("gives rows, not timeouts, to a host that slept while they lay in the socket", function()
    local world = loopback.new { request_timeout_ms = 30 }
    world:ready()
    world:submit(1, "SELECT")
    assert.equal(0, C.cql_session_flush(world.session))
    local before = world.requests
    while world.requests == before do world:turn_server() end
    ffi.C.usleep(60000)
    world:until_("it ends", function() return #world.done > 0 end)
    assert.equal(0, world.done[1].status)
    world:free()
  end)
end)
