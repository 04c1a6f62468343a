-- Options of sessions and of requests: what is refused, and how it is said.
local ffi = require "ffi"
local C = require("cql.ffi").C
local config = require "cql.config"
local options_of = require "cql.options"
local tree = require "spec.support.tree"

local function refused(options)
  local ok, message = pcall(config.build, options, 1)
  assert.is_false(ok)
  return message
end

describe("the configuration", function()
  it("takes texts, numbers, booleans and an array of contact points", function()
    assert.is_truthy(config.build({
      contact_points = { "127.0.0.1", "[::1]:9043" }, port = 9042, keyspace = "Ks",
      compression = "lz4", tcp_nodelay = false, request_timeout_ms = 1000, consistency = "ONE",
    }, 1))
  end)

  it("has in docs/options.md all options that only Lua has", function()
    local own, listed = {}, {}
    for name in tree.read("lua/cql/config.lua"):match("\nlocal OWN = (%b{})"):gmatch "([%w_]+) =" do
      own[#own + 1] = name
    end
    local page = tree.read("docs/options.md"):match "\n## In Lua\n(.*)"
    for name in page:gmatch "\n| `([%w_]+)` |" do listed[#listed + 1] = name end
    table.sort(own)
    table.sort(listed)
    assert.is_true(#own > 5)
    assert.same(own, listed)
  end)

  it("names the option that an unknown one resembles", function()
    assert.matches('unknown option "contact_point"; did you mean "contact_points"?',
      refused { contact_point = "x" }, 1, true)
    assert.matches('did you mean "local_datacenter"?', refused { local_dc = "dc1" }, 1, true)
    assert.matches('did you mean "username"?', refused { user = "me" }, 1, true)
    assert.not_matches("did you mean", refused { ug = 1 })
  end)

  it("says what an option takes", function()
    assert.matches("port can't be \"99999\"; it takes a whole number from 1 to 65535",
      refused { port = 99999 }, 1, true)
    assert.matches("option port can't be 1.5", refused { port = 1.5 }, 1, true)
    assert.matches("option keyspace can't be a table", refused { keyspace = {} }, 1, true)
    assert.matches("option keyspace can't hold a zero byte", refused { keyspace = "a\0b" }, 1, true)
    assert.matches("the array is empty", refused { contact_points = {} }, 1, true)
    assert.matches("takes texts, and [2] is a number", refused { contact_points = { "a", 1 } }, 1,
      true)
    assert.matches("options have names", refused { "127.0.0.1" }, 1, true)
    assert.matches("option log takes a function, not a string", refused { log = "x" }, 1, true)
    assert.matches("option int64 takes", refused { int64 = "double" }, 1, true)
  end)

  it("reads nested options of TLS as those with a prefix", function()
    assert.is_truthy(config.build({ tls = { verify = "chain", name = "db" } }, 1))
    assert.matches('unknown option "tls_verfy"; did you mean "tls_verify"?',
      refused { tls = { verfy = "full" } }, 1, true)
  end)

  it("reads nested options for remote nodes as those with a prefix", function()
    assert.is_truthy(config.build({ remote = { heartbeat_ms = 60000, connections_per_node = 1 } },
      1))
    assert.matches('unknown option "remote_heartbeat"; did you mean "remote_heartbeat_ms"?',
      refused { remote = { heartbeat = 1 } }, 1, true)
    assert.matches("remote_heartbeat_ms can't be \"-1\"; it takes a whole number from 0 to 3600000",
      refused { remote = { heartbeat_ms = -1 } }, 1, true)
    assert.matches('unknown option "remote_request_timeout_ms"',
      refused { remote = { request_timeout_ms = 1 } }, 1, true)
    assert.matches("option remote takes a table, not a number", refused { remote = 1 }, 1, true)
    assert.matches("options remote_heartbeat_ms and remote.heartbeat_ms are the same",
      refused { remote = { heartbeat_ms = 1 }, remote_heartbeat_ms = 2 }, 1, true)
  end)

  it("takes handlers of events that exist", function()
    assert.is_truthy(config.build({ on = { ready = function() end } }, 1))
    assert.matches('unknown event "readdy"; did you mean "ready"?',
      refused { on = { readdy = function() end } }, 1, true)
    assert.matches("on.ready takes a function, not a number", refused { on = { ready = 1 } }, 1,
      true)
  end)
end)

describe("the options of a request", function()
  local session, request

  setup(function()
    local built = config.build({ contact_points = "127.0.0.1:1" }, 1)
    local out = ffi.new "cql_session_t *[1]"
    assert.equal(0, C.cql_session_new(built, out))
    session = ffi.gc(out[0], C.cql_session_free)
  end)
  teardown(function() C.cql_session_free(ffi.gc(session, nil)) end)
  before_each(function()
    local out = ffi.new "cql_request_t *[1]"
    assert.equal(0, C.cql_request_take(session, out))
    request = out[0]
    assert.equal(0, C.cql_request_query(request, "X", 1))
  end)
  after_each(function() C.cql_request_discard(request) end)

  local standard = options_of.mode {}

  local function apply(options, of_statement)
    return options_of.apply(request, standard, nil, of_statement, options)
  end

  it("are all taken", function()
    assert.is_truthy(apply {
      consistency = "quorum", serial_consistency = "local_serial", page_size = 10, timeout_ms = 5,
      idempotent = true, tracing = true, timestamp = 9007199254740993LL, now_in_seconds = 1,
      keyspace = "k", payload = { a = "b" }, paging_state = "s", skip_metadata = true,
      server_timestamp = false, prefetch = true,
    })
  end)

  it("are refused with a reason", function()
    local wrong = {
      { { timeout = 1 }, 'unknown option "timeout"; did you mean "timeout_ms"?' },
      { { consistancy = "one" }, 'unknown option "consistancy"; did you mean "consistency"?' },
      { { consistency = "onne" }, 'unknown consistency "onne"; did you mean "one"?' },
      { { serial_consistency = "one" }, 'takes "serial" or "local_serial"' },
      { { page_size = -1 }, "page_size takes a whole number from 0 to 2147483647, not -1" },
      { { page_size = 0.5 }, "page_size takes a whole number" },
      { { timeout_ms = 0 }, "timeout_ms takes a whole number" },
      { { timestamp = 2 ^ 60 }, "timestamp takes microseconds since 1970" },
      { { timestamp = -1LL }, "timestamp takes microseconds since 1970" },
      { { tracing = 1 }, "tracing takes true or false" },
      { { payload = { 1 } }, "payload takes a table of strings" },
      { { keyspace = 1 }, "keyspace takes a string, not a number" },
      { { int64 = "double" }, "int64 takes" },
    }
    for _, case in ipairs(wrong) do
      local mode, why = apply(case[1])
      assert.is_nil(mode)
      assert.matches(case[2], why, 1, true)
    end
  end)

  it("of the call go before those of the statement", function()
    local mode = apply({ array = true, int64 = "cdata" }, { int64 = "string", plain = true })
    assert.same({ int64 = "cdata", plain = true, array = true, view = false }, mode)
  end)

  it("choose one mode for all who read in the same way", function()
    assert.equal(standard, apply { int64 = "auto" })
    assert.equal(apply { view = true }, options_of.apply(request, standard, nil, { view = true }))
  end)
end)
