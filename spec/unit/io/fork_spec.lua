-- After fork(): the child's calls say so, and what it frees is not missed by the parent.
local ffi = require "ffi"
local certificates = require "spec.support.certificates"
local loopback = require "spec.support.loopback"
local server = require "spec.support.server"
local socket = require "spec.support.socket"
local tls = require "spec.support.tls"

local C = loopback.C
local in_child = socket.in_child

local function calls_of(session)
  local request, metrics = ffi.new "cql_request_t *[1]", ffi.new "cql_metrics_t"
  local out, text = ffi.new "cql_completion_t[1]", ffi.new "char[256]"
  return {
    fd = C.cql_session_fd(session),
    step = C.cql_session_step(session, 0),
    flush = C.cql_session_flush(session),
    poll = C.cql_poll(session, 1, out),
    answer = C.cql_answer(session, 1, "", 0),
    close = C.cql_session_close(session, 0),
    metrics = C.cql_session_metrics(session, metrics),
    use = C.cql_session_use(session, "ks", 2, 1),
    dump = C.cql_session_dump(session, text, 256),
    take = C.cql_request_take(session, request),
    cancel = C.cql_cancel(session, 1),
    listen = C.cql_poke_listen(session, nil, text, 256),
    accept = C.cql_poke_accept(session),
    arm = C.cql_poke_arm(session),
  }
end

local function loaded(options, side)
  local held = {}
  side = side or {}
  side.serve = function(request) held[#held + 1] = request end
  local world = loopback.new(options, side)
  world:ready()
  for tag = 1, 100 do world:submit(tag, "SELECT " .. tag) end
  world:until_("the server has them", function() return #held == 100 end)
  return world, held
end

local function finish(world, held)
  for _, request in ipairs(held) do world.peers[1]:answer(request, "RESULT", server.VOID) end
  world:until_("all are answered", function() return #world.done == 100 end)
  for _, entry in ipairs(world.done) do assert.equal(0, entry.status) end
  world.serve = function() return "RESULT", server.VOID end
  assert.equal(0, world:ask())
  assert.equal(1, #world.peers)
  assert.is_nil(world.peers[1].ended)
  world:free()
end

describe("a forked child", function()
  it("is told by every call", function()
    local world = loopback.new()
    world:ready()
    local status = in_child(function()
      for name, result in pairs(calls_of(world.session)) do
        if result ~= C.CQL_EFORKED then error(name .. " answers " .. result) end
      end
    end)
    assert.equal(0, status)
    for _, result in pairs(calls_of(world.session)) do
      assert.are_not.equal(C.CQL_EFORKED, result)
    end
    world:free()
  end)

  it("frees the session and the parent's requests all end well", function()
    local world, held = loaded()
    assert.equal(0, in_child(function() C.cql_session_free(world.session) end))
    finish(world, held)
  end)

  it("frees it with TLS, without a farewell to the server", function()
    local context = tls.context { cert = certificates.node, key = certificates.node_key }
    local world, held = loaded({ tls = true, tls_ca = certificates.ca }, { tls = context })
    assert.equal(0, in_child(function() C.cql_session_free(world.session) end))
    finish(world, held)
  end)

  it("leaves the parent's descriptors watched, and keeps none", function()
    loopback.new():free()
    collectgarbage()
    local before = socket.descriptors()
    local world, held = loaded()
    local status = in_child(function()
      C.cql_session_free(world.session)
      world.session = nil
      world:free()
      local after = socket.descriptors()
      assert(#after <= #before, table.concat(after, " ") .. " of " .. table.concat(before, " "))
    end)
    assert.equal(0, status)
    for _ = 1, 3 do world:turn() end
    finish(world, held)
  end)

  it("may make a session of its own, beside the parent's", function()
    local world, held = loaded()
    local status = in_child(function()
      local own = loopback.new()
      own:ready()
      assert(own:ask() == 0)
      C.cql_session_free(world.session)
      assert(own:ask() == 0)
      assert(in_child(function()
        assert(C.cql_session_step(own.session, 0) == C.CQL_EFORKED)
        own:free_session()
      end) == 0)
      assert(own:ask() == 0)
      own:free()
    end)
    assert.equal(0, status)
    finish(world, held)
  end)

  it("frees a session that is still connecting, and one that looks up a name", function()
    for _, contact in ipairs { "127.0.0.1", "localhost" } do
      local world = loopback.new { contact_points = contact }
      assert.equal(0, in_child(function() C.cql_session_free(world.session) end))
      world:ready()
      assert.equal(0, world:ask())
      world:free()
    end
  end)
end)
