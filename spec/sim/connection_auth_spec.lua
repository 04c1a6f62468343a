-- Authentication: PLAIN by itself, anything else by the host's answers to questions.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C, OPCODE = unit.C, server.OPCODE
local MECHANISM = "org.apache.cassandra.auth.PasswordAuthenticator"
local PLAIN = "\0user\0pass"

-- A server that wants tokens: answers[i] says what becomes of the i-th, "AUTH_SUCCESS" or
-- { "AUTH_CHALLENGE", bytes }; the last stands for all later ones. p.tokens: what came.
local function new_peer(options, answers, mechanism)
  local p = peer.new(options)
  p.tokens, p.rounds = {}, 0
  p.handshake[OPCODE.STARTUP] = function(_, request, socket)
    p.tokens, p.rounds = {}, 0
    p:started("AUTHENTICATE", unit.str(mechanism or MECHANISM), request, socket)
  end
  p.handshake[OPCODE.AUTH_RESPONSE] = function(_, request, socket)
    p.rounds = p.rounds + 1
    p.tokens[p.rounds] = request.body
    local answer = answers[math.min(p.rounds, #answers)]
    if type(answer) ~= "table" then answer = { answer, unit.bytes(nil) } end
    p:answer(request.stream, answer[1], answer[2], nil, socket)
  end
  return p
end

local function challenge(text) return { "AUTH_CHALLENGE", unit.bytes(text) } end
local REFUSED = { "ERROR", server.error(0x100, "Provided username user and/or password are wrong") }

-- Answers a question: 0, or what cql_answer() says.
local function answer(p, tag, token)
  return C.cql__session_answer(p.session, tag, token, token and #token or C.CQL_NULL)
end

after_each(peer.free_all)

describe("a server that wants a password", function()
  for version = 3, 5 do
    for _, compression in ipairs { "none", "lz4" } do
      it(("gets it on v%d, compression %s"):format(version, compression), function()
        local p = new_peer({ protocol_version = version, username = "user", password = "pass",
          compression = compression, compression_min = 0 }, { "AUTH_SUCCESS" })
        local raw
        local usual = p.handshake[OPCODE.AUTH_RESPONSE]
        p.handshake[OPCODE.AUTH_RESPONSE] = function(self, request, socket)
          raw = request
          usual(self, request, socket)
        end
        p:serve()
        assert(p:event(C.CQL_EVENT_READY))
        assert.equal("0000000a00757365720070617373", unit.hex(raw.body)) -- [RFC 4616]
        assert.same({ version, 0, 0 }, { raw.version, raw.flags, raw.stream })
        p:free()
      end)
    end
  end

  it("gets it in a segment on v5, and bare before", function()
    for _, version in ipairs { 4, 5 } do
      local p = peer.new { protocol_version = version, username = "user", password = "pass" }
      p:accept()
      p:step()
      p:shake() -- OPTIONS
      p.handshake[OPCODE.STARTUP] = function(_, request)
        p:started("AUTHENTICATE", unit.str(MECHANISM), request)
      end
      p:step()
      p:shake()
      p:step()
      local message = string.char(version) .. unit.unhex "0000000f0000000e0000000a" .. PLAIN
      if version == 5 then message = server.segment(message) end
      assert.equal(unit.hex(message), unit.hex(p:sent()))
      p:free()
    end
  end)

  it("is refused where none is configured", function()
    for _, options in ipairs { {}, { username = "user" }, { password = "pass" } } do
      local p = new_peer(options, { "AUTH_SUCCESS" })
      p:serve()
      assert.equal(C.CQL_ENOPASSWORD, p:event(C.CQL_EVENT_FAILED).status)
      p:free()
    end
  end)

  it("that refuses it fails a session whose contact points all do", function()
    local p = new_peer({ contact_points = "10.0.0.1 10.0.0.2", username = "user",
      password = "pass" }, { REFUSED })
    p:submit(3, "SELECT 1")
    p:serve(0)
    local failed = p:event(C.CQL_EVENT_CONNECTION_FAILED)
    assert.equal(C.CQL_EAUTH, failed.status)
    assert(failed.message:find "password are wrong")
    assert.is_nil(p:event(C.CQL_EVENT_FAILED))
    p:serve(1)
    failed = p:event(C.CQL_EVENT_FAILED)
    assert.equal(C.CQL_EAUTH, failed.status)
    assert(failed.message:find "password are wrong")
    assert.same({ { tag = 3, kind = C.CQL_DONE, status = C.CQL_EAUTH, code = 0 } }, p:done())
    p:run(60000)
    assert.equal(2, p:sockets())
  end)

  it("that refuses it is asked again, where another one serves", function()
    local p = new_peer({ contact_points = "10.0.0.1 10.0.0.2", username = "user",
      password = "pass", heartbeat_ms = 0 }, { "AUTH_SUCCESS" })
    p:serve(0)
    p.handshake[OPCODE.AUTH_RESPONSE] = function(_, request, socket)
      p:answer(request.stream, REFUSED[1], REFUSED[2], nil, socket)
    end
    p:serve(1)
    assert.equal(C.CQL_EAUTH, p:event(C.CQL_EVENT_CONNECTION_FAILED).status)
    p:run(120)
    assert.equal(3, p:sockets())
    assert.is_nil(p:event(C.CQL_EVENT_FAILED))
  end)

  it("and has trouble of its own is no wrong password", function()
    local p = new_peer({ username = "user", password = "pass" },
      { { "ERROR", server.error(0x1001, "overloaded") } })
    p:serve()
    assert.equal(C.CQL_ECONNECT, p:event(C.CQL_EVENT_CONNECTION_FAILED).status)
    assert.is_nil(p:event(C.CQL_EVENT_FAILED))
  end)

  it("and more is a mechanism that we don't know", function()
    local p = new_peer({ username = "user", password = "pass" }, { challenge "more" }, "Kerberos")
    p:serve()
    assert.same({ PLAIN }, { p.tokens[1]:sub(5) })
    assert.equal(1, #p.tokens)
    assert.equal(C.CQL_EMECHANISM, p:event(C.CQL_EVENT_FAILED).status)
  end)

  it("refuses a token that can't be sent", function()
    local p = new_peer({ username = "user", password = ("p"):rep(2000) }, { "AUTH_SUCCESS" })
    p:serve()
    assert.equal(C.CQL_EAUTH, p:event(C.CQL_EVENT_FAILED).status)
  end)
end)

describe("the question for a token", function()
  local ASK = { ask_authenticate = "true", username = "user", password = "pass" }

  it("brings the mechanism, then each challenge, and takes each answer", function()
    local p = new_peer(ASK, { challenge "one", challenge(nil), challenge "", "AUTH_SUCCESS" },
      "com.example.Kerberos")
    p:serve()
    local seen = {}
    for i, token in ipairs { "first", "", ("x"):rep(70000), "last" } do
      local question = p:event(C.CQL_ASK_AUTHENTICATE)
      assert.equal(C.CQL_QUESTION, question.kind)
      assert.equal("127.0.0.1:9042", question.address)
      seen[i] = { question.message, question.data or "none" }
      assert.equal(0, answer(p, question.tag, token))
      assert.equal(C.CQL_EINVAL, answer(p, question.tag, token))
      p:finish()
      assert.equal(unit.bytes(token), p.tokens[i])
    end
    assert.same({ { "com.example.Kerberos", "none" }, { "", "one" }, { "", "none" }, { "", "" } },
      seen)
    assert(p:event(C.CQL_EVENT_READY))
  end)

  it("ends after so many rounds", function()
    local p = new_peer(ASK, { challenge "again" })
    p:serve()
    for _ = 1, 16 do
      assert.equal(0, answer(p, p:event(C.CQL_ASK_AUTHENTICATE).tag, "token"))
      p:finish()
    end
    assert.equal(16, #p.tokens)
    local failed = p:event(C.CQL_EVENT_FAILED)
    assert.same({ C.CQL_EAUTH, "the server never stops asking for tokens" },
      { failed.status, failed.message })
  end)

  it("that is declined means PLAIN, once", function()
    local p = new_peer(ASK, { "AUTH_SUCCESS" })
    p:serve()
    assert.equal(0, answer(p, p:event(C.CQL_ASK_AUTHENTICATE).tag))
    p:finish()
    assert.same({ unit.bytes(PLAIN) }, p.tokens)
    assert(p:event(C.CQL_EVENT_READY))
    p:free()

    p = new_peer(ASK, { challenge "more" })
    p:serve()
    answer(p, p:event(C.CQL_ASK_AUTHENTICATE).tag)
    p:finish()
    assert.equal(0, answer(p, p:event(C.CQL_ASK_AUTHENTICATE).tag))
    p:step()
    assert.equal(C.CQL_EMECHANISM, p:event(C.CQL_EVENT_FAILED).status)
    assert.equal(1, #p.tokens)
  end)

  it("that nobody answers in time means PLAIN: from its delivery on", function()
    local p = new_peer(ASK, { "AUTH_SUCCESS" })
    p:serve()
    p:advance(3000) -- nobody has polled
    p:finish()
    assert.same({}, p.tokens)
    local question = p:event(C.CQL_ASK_AUTHENTICATE)
    p:run(999)
    p:finish()
    assert.same({}, p.tokens)
    p:run(2)
    p:finish()
    assert.same({ unit.bytes(PLAIN) }, p.tokens)
    assert.equal(C.CQL_EINVAL, answer(p, question.tag, "late"))
    assert(p:event(C.CQL_EVENT_READY))
  end)

  it("is within the deadline of the whole handshake", function()
    local p = new_peer({ ask_authenticate = "true", question_timeout_ms = 60000 },
      { "AUTH_SUCCESS" })
    p:serve()
    local question = p:event(C.CQL_ASK_AUTHENTICATE)
    p:run(5000)
    local failed = p:event(C.CQL_EVENT_CONNECTION_FAILED)
    assert.same({ C.CQL_ECONNECT, "no answer within connect_timeout_ms while authenticating" },
      { failed.status, failed.message })
    assert.equal(C.CQL_EINVAL, answer(p, question.tag, "late"))
  end)

  it("ends with its connection, and a new one is asked of the next", function()
    local p = new_peer(ASK, { "AUTH_SUCCESS" })
    p:serve()
    local question = p:event(C.CQL_ASK_AUTHENTICATE)
    p:reset()
    p:step()
    assert.equal(C.CQL_EINVAL, answer(p, question.tag, "late"))
    p:run(200)
    p:serve()
    local again = p:event(C.CQL_ASK_AUTHENTICATE)
    assert.not_equal(question.tag, again.tag)
    assert.equal(C.CQL_EINVAL, answer(p, 0, "token"))
    assert.equal(C.CQL_EINVAL, C.cql__session_answer(p.session, again.tag, nil, 3))
    assert.equal(0, answer(p, again.tag, "token"))
    p:finish()
    assert(p:event(C.CQL_EVENT_READY))
  end)
end)

describe("the password", function()
  ffi.cdef "size_t malloc_usable_size(void *pointer);"

  it("is wiped from all memory that the core gives back", function()
    local secret, found, freed = "correct horse battery", 0, 0
    local long = ("x"):rep(700) .. secret -- what comes after it in the buffer is shorter
    local function look(pointer)
      local text = ffi.string(pointer, ffi.C.malloc_usable_size(pointer))
      if text:find(secret, 1, true) then found = found + 1 end
      freed = freed + 1
    end
    local release = ffi.cast("void (*)(void *)", function(pointer)
      look(pointer)
      ffi.C.free(pointer)
    end)
    local reallocate = ffi.cast("void *(*)(void *, size_t)", function(pointer, size)
      look(pointer)
      return ffi.C.realloc(pointer, size)
    end)
    jit.off() -- compiled code must not call what calls back
    jit.flush()
    collectgarbage()
    C.cql__mem_hooks(ffi.C.malloc, reallocate, release)
    for _, version in ipairs { 4, 5 } do
      local p = new_peer({ protocol_version = version, username = "user", password = long,
        compression = "lz4", compression_min = 0 }, { "AUTH_SUCCESS" })
      p:serve()
      assert.equal(unit.bytes("\0user\0" .. long), p.tokens[1])
      p:free()
    end
    C.cql__mem_hooks(nil, nil, nil)
    jit.on()
    reallocate:free()
    release:free()
    assert(freed > 20, freed)
    assert.equal(0, found)
  end)
end)
