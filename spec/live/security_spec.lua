-- Passwords and TLS on real servers.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"

local SELECT = "SELECT cluster_name FROM system.local"

local function connect(server, more)
  local options = server:options(more)
  options.connect_retry = false
  for name, value in pairs(options) do
    if value == "" then options[name] = nil end -- taken away
  end
  return cql.connect(options)
end

local function serves(server, more)
  local session = assert(connect(server, more))
  assert.equal(1, #assert(session:execute(SELECT)))
  assert(session:close())
end

local function refused(server, more)
  local session, err = connect(server, more)
  assert.is_nil(session)
  assert.is_true(cql.is_error(err))
  return err
end

for _, version in ipairs { "5.0", "3.11" } do
  cassandra.describe("a password on Cassandra " .. version, {
    version = version, auth = true,
  }, function(server)
    it("is accepted", function()
      for protocol = 3, version == "5.0" and 5 or 4 do
        serves(server, { protocol_version = protocol, compression = "lz4" })
      end
    end)

    it("is refused when it is wrong, at once and by name", function()
      local err = refused(server, { password = "wrong" })
      assert.equal("AUTH", err.name)
      assert.is_nil(tostring(err):find("wrong", 1, true))
      assert.equal("AUTH", refused(server, { username = "nobody" }).name)
    end)

    it("is missed when there is none", function()
      local err = refused(server, { username = "", password = "" })
      assert.equal("NOPASSWORD", err.name)
      assert.matches("set username", err.message)
    end)

    it("may come from a function", function()
      local asked
      serves(server, {
        password = "wrong",
        authenticate = function(challenge, about)
          assert(challenge == nil)
          asked = about.mechanism
          return "\0cassandra\0cassandra"
        end,
      })
      assert.matches("PasswordAuthenticator$", asked)
      assert.equal("AUTH", refused(server, {
        authenticate = function() return "\0cassandra\0wrong" end,
      }).name)
    end)

    it("lets nobody do what the role may not", function()
      local session = assert(connect(server))
      assert(session:execute "DROP ROLE IF EXISTS guest")
      assert(session:execute "CREATE ROLE guest WITH PASSWORD = 'x' AND LOGIN = true")
      local guest = assert(connect(server, { username = "guest", password = "x" }))
      local rows, err = guest:execute "CREATE ROLE other"
      assert.is_nil(rows)
      assert.equal("UNAUTHORIZED", err.name)
      assert(guest:close())
      assert(session:close())
    end)
  end)
end

cassandra.describe("TLS", { tls = true }, function(server)
  it("serves who trusts its authority", function()
    for protocol = 3, 5 do serves(server, { protocol_version = protocol }) end
    serves(server, { tls_min_version = "1.3", compression = "lz4" })
    serves(server, { tls_name = "localhost" })
    serves(server, { tls_name = "node-1.cassandra.test" })
    serves(server, { tls_ca = "", tls = { verify = "full", ca = server.tls_ca } })
  end)

  it("is refused by who trusts another, or wants another name", function()
    local err = refused(server, { tls_ca = server.tls_other_ca })
    assert.equal("TLS", err.name)
    assert.matches("certificate is refused", err.message)
    err = refused(server, { tls_ca = "" })
    assert.equal("TLS", err.name)
    err = refused(server, { tls_name = "example.com" })
    assert.equal("TLS", err.name)
    assert.matches("hostname mismatch", err.message)
    err = refused(server, { tls_verify = "chain", tls_ca = server.tls_other_ca })
    assert.equal("TLS", err.name)
  end)

  it("serves who asks for less", function()
    serves(server, { tls_name = "example.com", tls_verify = "chain" })
    serves(server, { tls_ca = server.tls_other_ca, tls_verify = "none" })
  end)

  it("carries much, both ways, from many coroutines", function()
    local session = assert(connect(server))
    local function run(...) return assert(session:execute(...)) end
    run "DROP KEYSPACE IF EXISTS security_spec"
    run("CREATE KEYSPACE security_spec "
      .. "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    run "CREATE TABLE security_spec.blobs (id int PRIMARY KEY, bytes blob)"
    local function bytes(id) return ("%08d"):format(id):rep(1 + id * 97 % 20000) end
    cql.run(function()
      for id = 1, 200 do
        cql.spawn(function()
          run("INSERT INTO security_spec.blobs (id, bytes) VALUES (?, ?)", { id, bytes(id) })
          local rows = run("SELECT bytes FROM security_spec.blobs WHERE id = ?", { id })
          assert.is_true(rows[1].bytes == bytes(id))
        end)
      end
    end)
    assert(session:close())
  end)

  it("comes back after the server was killed", function()
    local session = assert(cql.connect(server:options { reconnect_max_ms = 200 }))
    server:kill()
    local rows, err = session:execute(SELECT, nil, { timeout_ms = 500 })
    assert.is_nil(rows)
    assert.is_truthy(({ NO_HOST = true, CONNECTION_LOST = true })[err.name], err)
    server:up()
    assert(session:execute(SELECT, nil, { timeout_ms = 20000 }))
    assert(session:close())
  end)

  it("is not spoken by who was not told to", function()
    local err = refused(server, { tls = false, connect_timeout_ms = 2000 })
    assert.is_truthy(err.name)
  end)
end)

cassandra.describe("client certificates", { client_auth = true }, function(server)
  it("are shown and accepted", function() serves(server) end)

  it("are missed, or refused when a stranger signed them", function()
    assert.equal("TLS", refused(server, { tls_cert = "", tls_key = "" }).name)
    assert.equal("TLS", refused(server, {
      tls_cert = server.tls_bad_cert, tls_key = server.tls_bad_key,
    }).name)
  end)
end)
