-- Real servers for specs, through tools/cassandra.
--
--   cassandra.describe("values", function(server) it(...) end)
--   cassandra.describe("a password", { auth = true, version = "4.1" }, function(server) ... end)
--
-- Without options that is one node of 5.0 that all specs share, made by the first that asks for it;
-- so each has a keyspace of its own and leaves the node running: it changes schemas fast, but would
-- lose them if it were killed. With options it is a cluster of its own, gone after the block. Where
-- nothing can be started (no Java, no network) the block is pending, but with CI=true it fails.
-- tools/spec removes what is left when all is over.
local busted = require "busted"

local cassandra = {}

local TOOL = os.getenv "CQL_CASSANDRA_TOOL" or "tools/cassandra"
local SHARED = os.getenv "CQL_SPEC_CLUSTER" or "spec"
local MISSING = 77 -- the tool's status where it can't run

-- Runs the tool: its output and its exit status. (Under a sanitizer not with its runtime.)
local function run(...)
  local words = { "env -u LD_PRELOAD", TOOL }
  for _, word in ipairs { ... } do words[#words + 1] = "'" .. word .. "'" end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1; echo $?"))
  local text = pipe:read "*a"
  pipe:close()
  local output, status = text:match "^(.-)(%d+)\n$"
  return output, tonumber(status)
end

local function must(...)
  local output, status = run(...)
  if status ~= 0 then error(table.concat({ ... }, " ") .. ": " .. output, 2) end
  return output
end

-- ---- a cluster ----

local Server = {}
Server.__index = Server

-- Of the node `number` (1): SIGKILL; SIGSTOP and SIGCONT; started again, and it answers.
for _, word in ipairs { "kill", "pause", "resume", "up" } do
  Server[word] = function(self, number) must(word, "--name", self.name, tostring(number or 1)) end
end

-- One more node, which has joined when this returns.
function Server:add(datacenter, rack)
  must("add", "--name", self.name, "--dc", datacenter or "dc1", "--rack", rack or "r1")
end

-- Node `number` leaves, and is gone when this returns.
function Server:decommission(number) must("decommission", "--name", self.name, tostring(number)) end

-- What nodetool prints, asked of node 1 or `number`.
function Server:nodetool(words, number)
  return must("nodetool", "--name", self.name, tostring(number or 1), unpack(words))
end

-- Array of { number, address, datacenter, rack, state }; state is as tools/cassandra status has it.
function Server:nodes()
  local nodes = {}
  local line = "(%d+)%s+(%S+)%s+(%S+)/(%S+)%s+(%a+)[^\n]*"
  for number, address, datacenter, rack, state in run("status", "--name", self.name):gmatch(line) do
    nodes[#nodes + 1] = { number = tonumber(number), address = address, datacenter = datacenter,
      rack = rack, state = state }
  end
  return nodes
end

-- Of the node's process, for signals that are to be sent at a certain moment.
function Server:pid(number)
  local output = run("status", "--name", self.name)
  return tonumber(output:match(("\n%d%%s[^\n]*pid (%%d+)"):format(number or 1), 1)
    or ("\n" .. output):match(("\n%d%%s[^\n]*pid (%%d+)"):format(number or 1)))
end

function Server:destroy() must("destroy", "--name", self.name) end

-- What a session needs to reach it, as options of cql.connect() and of cql_config_set(), with
-- `more` added or replaced.
function Server:options(more)
  local options = {}
  for _, name in ipairs {
    "contact_points", "port", "username", "password", "tls", "tls_ca", "tls_cert", "tls_key",
  } do
    options[name] = self[name]
  end
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

-- Fields as tools/cassandra env says them: contact_points, port, cassandra_version, username,
-- password, tls, tls_ca, tls_cert, tls_key, tls_other_ca, tls_bad_cert, tls_bad_key; and name.
local function server_of(name)
  local server = setmetatable({ name = name }, Server)
  for key, value in must("env", "--name", name):gmatch "export CQL_(%S+)=([^\n]*)" do
    server[key:lower()] = value:match "^'(.*)'$" or value
  end
  server.port = tonumber(server.port)
  server.tls = server.tls == "true" or nil
  return server
end

local FLAGS = { auth = "--auth", tls = "--tls", client_auth = "--client-auth" }

-- { nodes = 3, version = "4.1", auth = true, tls = true, client_auth = true }: a server; nil and
-- the reason where there can be none.
local function start(options)
  local words = {}
  for option, value in pairs(options) do
    words[#words + 1] = FLAGS[option] or ("--%s=%s"):format(option, value)
  end
  table.sort(words)
  local name = (SHARED .. table.concat(words)):gsub("[^%w]+", "-")
  if #words == 0 then words = { "--prop", "cassandra.unsafesystem=true" } end
  local output, status = run("start", "--name", name, unpack(words))
  if status == 0 then return server_of(name) end
  local reason = output:match "cassandra: ([^\n]*)" or output
  if status == MISSING and os.getenv "CI" ~= "true" then return nil, reason end
  error("no Cassandra: " .. output, 0)
end

function cassandra.describe(name, options, block)
  if not block then options, block = {}, options end
  busted.describe(name, function()
    local server, reason = start(options)
    if not server then
      -- In the block's environment, where busted puts the `pending` of a test that runs.
      busted.it("needs a Cassandra", setfenv(function() pending(reason) end, getfenv(block)))
      return
    end
    block(server)
    if next(options) then busted.teardown(function() server:destroy() end) end
  end)
end

return cassandra
