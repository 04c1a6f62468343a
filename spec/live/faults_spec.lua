-- What happens to a script in plain luajit when its server dies or stands still, when it sleeps
-- itself, and when it forks. The scripts are in spec/live/script.
local cassandra = require "spec.support.cassandra"

-- Runs a script with the server's addresses: what it prints, as a table of its figures and names.
local function run(server, script, ...)
  local environment = {
    CONTACT_POINTS = server.contact_points, NAME = server.name, PID = server:pid(),
    TOOL = "env -u LD_PRELOAD " .. (os.getenv "CQL_CASSANDRA_TOOL" or "tools/cassandra"),
    KEYSPACE = "faults_spec",
  }
  local words = { "env" }
  for name, value in pairs(environment) do
    words[#words + 1] = ("%s='%s'"):format(name, value)
  end
  words[#words + 1] = "timeout 120 luajit spec/live/script/" .. script .. ".lua"
  for _, argument in ipairs { ... } do words[#words + 1] = tostring(argument) end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1; echo status $?"))
  local text = pipe:read "*a"
  pipe:close()
  assert.matches("\nend\nstatus 0\n$", text)
  local got = { names = {} }
  for name, number in text:gmatch "(%l[%l ]*) (%d+)" do got[name] = tonumber(number) end
  for name in text:gmatch "failed by ([%u_]+)" do got.names[name] = true end
  return got
end

local function each_ended_once(got)
  assert.equal(0, got.wrong)
  assert.equal(0, got.late)
  assert.equal(got.submitted, got.completed)
  assert.equal(0, got["in flight"])
end

-- The C program spec/live/load.c, with the options of the server in its environment.
local function run_program(server)
  local tool = os.getenv "CQL_CASSANDRA_TOOL" or "tools/cassandra"
  local words = {
    ("eval \"$(env -u LD_PRELOAD %s env --name %s)\";"):format(tool, server.name), "timeout 120",
    (os.getenv "CQL_BUILD" or "build/dev") .. "/spec/live/load", server:pid(),
    ("'(env -u LD_PRELOAD %s up 1 --name %s) >&2 &'"):format(tool, server.name),
  }
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>/dev/null; echo status $?"))
  local text = pipe:read "*a"
  pipe:close()
  assert.matches("\nstatus 0\n$", text)
  return text
end

for _, options in ipairs { { version = "5.0" }, { version = "5.0", tls = true } } do
  local kind = options.tls and "with TLS" or "without TLS"
  cassandra.describe("a C program " .. kind, options, function(server)
    it("whose server is killed under load gets an error for each request, and goes on", function()
      local text = run_program(server)
      server:up()
      assert.matches("wrong 0, late 0, never ended 0\n", text)
      local ok, failed = text:match "^ok (%d+), failed (%d+)"
      assert.is_true(tonumber(ok) >= 10000 and tonumber(failed) > 0)
      for name in text:gmatch "failed by (%u+)" do
        assert.is_true(name == "ECONNECTION" or name == "ENOHOST" or name == "ETIMEOUT"
          or name == "ESERVER", name)
      end
    end)
  end)
end

cassandra.describe("a script", { version = "5.0" }, function(server)
  it("whose server is killed under load gets an error for each request, and goes on", function()
    for _ = 1, 2 do
      local got = run(server, "kill")
      each_ended_once(got)
      assert.is_true(got.failed > 0)
      assert.is_true(got.ok > 7000)
      for name in pairs(got.names) do
        assert.is_true(name == "CONNECTION_LOST" or name == "NO_HOST" or name == "TIMEOUT"
          or name == "OVERLOADED" or name == "IS_BOOTSTRAPPING", name)
      end
      server:up() -- until the tool says that it is
    end
  end)

  it("whose server stands still gets timeouts, then its own answers only", function()
    local got = run(server, "pause", 30000)
    each_ended_once(got)
    assert.same({ TIMEOUT = true }, got.names)
    assert.equal(0, got.orphans)
  end)

  it("whose server stands still finds out by its heartbeat", function()
    local got = run(server, "pause", 400)
    each_ended_once(got)
    assert.is_true(got.failed > 0)
  end)

  it("that sleeps while the answers lie in the socket gets rows", function()
    local got = run(server, "asleep")
    assert.same({ 400, 0 }, { got.ok, got.failed })
  end)

  it("that forks under load loses nothing when the children end through lua_close", function()
    local got = run(server, "fork")
    each_ended_once(got)
    assert.same({ 5, 5 }, { got.children, got["ended well"] })
    assert.same({ 0, 0 }, { got.failed, got["connections lost"] })
  end)
end)
