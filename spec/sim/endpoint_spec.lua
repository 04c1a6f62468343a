-- Where nodes are reached: a function of the configuration, asked for each connection anew.
local sim = require "cql.sim"
local addresses_of = require "spec.support.addresses"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local topology = require "spec.support.topology"

local C = peer.C
local PROXY = "10.9.9.9"

local SCHEMA = {
  "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
  "CREATE TABLE ks.t (id int PRIMARY KEY, v text)",
}

describe("the endpoint of a node", function()
  local world, asked

  before_each(function()
    asked = {}
    world = sim.world { seed = 1, nodes = 3 }
    world:given(unpack(SCHEMA))
    for number = 1, 3 do world:forward("10.9.9.9", 9000 + number, world:node(number)) end
  end)

  local function port_of(node) return 9000 + tonumber(node.address:match "%.(%d+):") end

  local function connect(endpoint, more)
    local options = { endpoint = endpoint, log = function() end, reconnect_max_ms = 500 }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(world:connect(options))
  end

  local function settle() world:run(function() world.cql.sleep(3000) end) end

  local function ups(session)
    local count = 0
    for _, node in ipairs(session:nodes()) do count = count + (node.up and 1 or 0) end
    return count
  end

  it("is what the function says, and its node stays who it is", function()
    local session = connect(function(node)
      asked[#asked + 1] = node.address
      return "10.9.9.9:" .. port_of(node)
    end)
    settle()
    assert.equal(3, ups(session))
    assert.is_true(#asked >= 3)
    for i = 1, 20 do assert(session:execute("INSERT INTO ks.t (id) VALUES (?)", { i })) end
    for _, node in ipairs(session:nodes()) do assert.matches("^127", node.address) end
  end)

  it("is asked for again whenever a connection is opened", function()
    local session = connect(function(node)
      asked[#asked + 1] = node.address
      return { address = "10.9.9.9:" .. port_of(node) }
    end)
    settle()
    local before = #asked
    world:node(2):kill():start()
    settle()
    assert.is_true(#asked > before)
    assert.equal(3, ups(session))
  end)

  it("is the node's own address where it says nothing, fails, or gives something else", function()
    for _, endpoint in ipairs {
      function() end, function() error "no" end, function() return 5 end,
      function() return "nowhere" end, function() return "10.9.9.9:9001/x" end,
    } do
      local session = connect(endpoint)
      settle()
      assert.equal(3, ups(session))
      session:close()
    end
  end)

  it("is said to be wrong by what it is instead", function()
    for instead, given in pairs {
      ['"nowhere"'] = "nowhere", ['"a:1/x"'] = { address = "a:1", shard_port = "x" },
      ["a number"] = 5, ["a boolean"] = false,
      ["a table without an address"] = { name = "a" },
      ["a table with port"] = { address = "a:1", port = 1 },
    } do
      local told = {}
      local session = connect(function() return given end, { log = function(level, text)
        if level == "error" then told[#told + 1] = text end
      end })
      settle()
      assert.equal(3, #told)
      for _, text in ipairs(told) do
        assert.matches("^endpoint must give \"host:port\", .* or nil, not ", text)
        assert.truthy(text:find("not " .. instead .. ", of node 127.0.0.", 1, true), text)
      end
      session:close()
    end
  end)

  it("is warned of where it fails or can't be understood, not where there is none", function()
    for part, endpoint in pairs {
      ["can't be understood"] = function() error "no" end,
      ["understood"] = function() return {} end,
      ["words that"] = function() return "127.0.0.1:0" end,
      [false] = function() end,
    } do
      local told = {}
      local session = connect(endpoint, { on = { warning = function(event)
        told[#told + 1] = event.message
      end } })
      settle()
      assert.equal(part and 3 or 0, #told) -- the control connection has gone to a contact point
      for _, message in ipairs(told) do assert.truthy(message:find(part, 1, true)) end
      session:close()
    end
  end)

  it("isn't waited for by a session that closes", function()
    local session
    session = connect(function()
      if session then session:close(0) end
    end)
    world:node(2):kill():start()
    settle()
    assert.is_truthy(session)
  end)

  it("isn't lost where distances are asked for meanwhile", function()
    local session
    session = connect(function(node)
      if session then session:refresh_distances() end
      return "10.9.9.9:" .. port_of(node)
    end, { distance = function() return "local" end })
    world:node(2):kill():start()
    settle()
    assert.equal(3, ups(session))
  end)
end)

-- The nodes' own addresses lead nowhere: all come through one address, told apart by ports.
describe("behind one address", function()
  local world, session, told

  local function port_of(node) return 9000 + tonumber(node.address:match "%.(%d+):") end
  local function settle(ms) world:run(function() world.cql.sleep(ms or 3000) end) end

  local function new_world(more)
    local all = { seed = 1, nodes = 3, private = true }
    for name, value in pairs(more or {}) do all[name] = value end
    world = sim.world(all)
    world:given(unpack(SCHEMA))
    for number = 1, 3 do world:forward("10.9.9.9", 9000 + number, world:node(number)) end
    world:forward(PROXY, 9042, world:node(1)) -- as a contact point
    world:name("proxy.test", { "10.9.9.9" })
  end

  local function connect(endpoint, more)
    told = {}
    local function note(event) told[#told + 1] = event end
    local options = { contact_points = "10.9.9.9", port = 9001, endpoint = endpoint,
      log = function() end, reconnect_max_ms = 500, on = { node_moved = note, node_removed = note,
        connection_failed = note, control_failed = note } }
    for name, value in pairs(more or {}) do options[name] = value end
    session = assert(world:connect(options))
    settle()
  end

  local function addresses() return addresses_of(session) end

  -- The nodes that have a control connection: the number of each.
  local function controls()
    local list = {}
    for _, connection in ipairs(world:connections()) do
      if next(connection.events) then list[#list + 1] = connection.node.number end
    end
    return list
  end

  local function through(host)
    return function(node) return host .. ":" .. port_of(node) end
  end

  after_each(function() session:close(0) end)

  for _, product in ipairs { "cassandra", "scylla" } do
    it("the control connection goes through it, too, to a " .. product, function()
      new_world { product = product }
      connect(through(PROXY), { port = 9042 })
      local own = { "127.0.0.1:9042", "127.0.0.2:9042", "127.0.0.3:9042" }
      assert.same(own, addresses())
      local been = {}
      for _ = 1, 12 do
        local at = controls()
        assert.equal(1, #at)
        been[at[1]] = true
        world:node(at[1]):kill()
        settle()
        assert.equal(1, #controls())
        assert.not_equal(at[1], controls()[1])
        world:node(at[1]):start()
        settle(15000)
        assert.same(own, addresses())
        for _, event in ipairs(told) do assert.not_equal("node_moved", event.name) end
      end
      assert.same({ true, true, true }, been)
    end)
  end

  it("a node is left for control when it is ignored", function()
    new_world { nodes = { { datacenter = "dc1" }, { datacenter = "dc2" }, { datacenter = "dc2" } } }
    connect(through "10.9.9.9", { local_datacenter = "dc2" })
    assert.equal(1, #controls())
    assert.not_equal(1, controls()[1])
    local node = session:nodes()[1]
    assert.same({ "ignored", "127.0.0.1:9042" }, { node.distance, node.address })
  end)

  it("names tell nodes apart, as of a proxy that reads SNI", function()
    new_world()
    for number = 1, 3 do
      world:forward(PROXY, 443, world:node(number), "127.0.0." .. number .. ".test")
    end
    connect(function(node)
      return { address = PROXY .. ":443", name = node.address:match "^(.*):" .. ".test" }
    end, { port = 9042 })
    local own = { "127.0.0.1:9042", "127.0.0.2:9042", "127.0.0.3:9042" }
    assert.same(own, addresses())
    for _ = 1, 5 do
      local at = controls()
      assert.equal(1, #at)
      world:node(at[1]):kill()
      settle()
      world:node(at[1]):start()
      settle(15000)
      assert.same(own, addresses())
    end
    for _, event in ipairs(told) do assert.not_equal("node_removed", event.name) end
  end)

  it("a node that is up again is connected to at once, though its port isn't known", function()
    new_world { product = "scylla" }
    connect(through(PROXY), { reconnect_min_ms = 60000, reconnect_max_ms = 90000 })
    assert.same({ "127.0.0.1:9001", "127.0.0.2:9001", "127.0.0.3:9001" }, addresses())
    world:node(2):kill()
    settle(120000)
    assert.equal("127.0.0.2:9001 down", addresses()[2])
    world:node(2):start()
    settle(3000)
    assert.equal("127.0.0.2:9001", addresses()[2])
  end)

  it("their own port is that of the contact point that was asked first", function()
    new_world { product = "scylla" }
    local at = { 9001, 9002, 9003 }
    connect(function(node)
      return PROXY .. ":" .. at[tonumber(node.address:match "%.(%d+):")]
    end, { contact_points = "10.9.9.9:9001,10.9.9.9:9002,10.9.9.9:9003" })
    local before = addresses()
    for round = 1, 10 do
      at = round % 2 == 0 and { 9001, 9002, 9003 } or { 1, 1, 1 } -- only contact points answer
      for _, c in ipairs(world:connections()) do c:finish "reset" end
      settle(5000)
    end
    assert.same(before, addresses())
    for _, event in ipairs(told) do assert.not_equal("node_moved", event.name) end
  end)

  it("what is told of a connection says where it was dialled", function()
    new_world()
    connect(through(PROXY))
    assert.truthy(session:dump():find("connection serving, at 10.9.9.9:9002", 1, true))
    world:node(2):kill()
    settle()
    local failed = 0
    for _, event in ipairs(told) do
      if event.name == "connection_failed" then
        failed = failed + 1
        assert.equal("127.0.0.2:9042", event.address)
        assert.equal("10.9.9.9:9002: ", event.message:sub(1, 15))
      end
    end
    assert.is_true(failed > 0)
  end)

  it("a name that is looked up is that for TLS, unless another is told", function()
    for _, case in ipairs {
      { "proxy.test", "proxy.test" },
      { "other.test", "proxy.test", " other.test" },
      { nil, "proxy.test", nil, { tls_name = "db.test" } },
      { nil, "proxy.test", nil, { tls_sni = "db.test" } },
      { nil, PROXY },
    } do
      local expected, host, name, options = case[1], case[2], case[3], case[4]
      new_world()
      for number = 1, 3 do
        world:forward(PROXY, 9000 + number)
        world:forward(PROXY, 9000 + number, world:node(number), expected)
      end
      world:forward(PROXY, 9100, world:node(1)) -- a contact point says none
      local all = { contact_points = PROXY .. ":9100", port = 9042 }
      for option, value in pairs(options or {}) do all[option] = value end
      connect(function(node) return host .. ":" .. port_of(node) .. (name or "") end, all)
      assert.equal(0, #told)
      for _, node in ipairs(session:nodes()) do assert.is_true(node.up) end
      session:close(0)
    end
  end)

  it("a function that fails is asked again, for control too", function()
    new_world()
    local fails
    connect(function(node)
      if fails then error "not now" end
      return PROXY .. ":" .. port_of(node)
    end)
    fails = true
    for number = 1, 3 do world:forward(PROXY, 9000 + number) end
    world:forward(PROXY, 9042)
    for _, c in ipairs(world:connections()) do c:finish "reset" end
    settle(20000)
    assert.equal(0, #world:connections())
    local failed = {}
    for _, event in ipairs(told) do failed[event.name] = true end
    assert.is_true(failed.connection_failed and failed.control_failed)
    for number = 1, 3 do world:forward(PROXY, 9000 + number, world:node(number)) end
    fails = false -- the contact points stay away
    settle()
    assert.equal(1, #controls())
    for _, node in ipairs(session:nodes()) do assert.is_true(node.up) end
  end)

  it("a name may stand for it, which is looked up for each connection", function()
    new_world()
    connect(through "proxy.test")
    assert.equal(3, #session:nodes())
    for _, node in ipairs(session:nodes()) do assert.is_true(node.up) end
    world:name("proxy.test", { "10.8.8.8" })
    for number = 1, 3 do
      world:forward("10.9.9.9", 9000 + number)
      world:forward("10.8.8.8", 9000 + number, world:node(number))
    end
    world:node(2):kill():start()
    settle()
    for _, node in ipairs(session:nodes()) do assert.is_true(node.up) end
  end)

  it("a name that has no address, or none in time, is told of and asked for again", function()
    for _, gone in ipairs { {}, false } do
      new_world()
      connect(through "proxy.test", { resolve_timeout_ms = 700 })
      world:name("proxy.test", gone)
      world:node(2):kill():start()
      settle()
      assert.is_true(#told > 0)
      for _, event in ipairs(told) do
        assert.same({ "connection_failed", "RESOLVE" }, { event.name, event.error.name })
        assert.truthy(event.message:find(gone and "proxy.test has no address"
          or "proxy.test was not looked up within resolve_timeout_ms", 1, true))
      end
      world:name("proxy.test", { "10.9.9.9" })
      settle(5000)
      for _, node in ipairs(session:nodes()) do assert.is_true(node.up) end
      session:close(0)
    end
  end)

  it("of a name's addresses another is tried each time", function()
    new_world()
    world:name("proxy.test", { "10.8.8.8", "10.9.9.9" })
    connect(through "proxy.test")
    for _, node in ipairs(session:nodes()) do assert.is_true(node.up) end
    assert.equal(3, #told)
  end)

  it("a name that is looked up keeps no session from closing", function()
    new_world()
    connect(through "proxy.test", { resolve_timeout_ms = 60000 })
    world:name("proxy.test", false)
    for number = 1, 3 do world:node(number):kill():start() end
    settle()
    session:close(0)
    settle()
    world:name("proxy.test", { "10.9.9.9" })
    assert.equal(0, #world:connections())
  end)
end)

describe("a shard-aware port of an endpoint", function()
  it("is dialled instead of the node's", function()
    local world = sim.world { seed = 1, nodes = 1, product = "scylla", shards = 4,
      shard_aware_port = 19043 }
    local warned = {}
    -- The node's own word is another.
    for given, expected in pairs { ["127.0.0.1:9042/19043"] = 0, ["127.0.0.1:9042/19044"] = 1,
      ["127.0.0.1:9042"] = 0 } do
      warned[given] = 0
      for _, form in ipairs { given, { address = "127.0.0.1:9042",
        shard_port = tonumber(given:match "/(%d+)") } } do
        local session = assert(world:connect { endpoint = function() return form end,
          heartbeat_ms = 0, log = function() end, on = { warning = function(event)
            assert.truthy(event.message:find("its shard-aware port, 19044", 1, true))
            warned[given] = warned[given] + 1
          end } })
        world:run(function() world.cql.sleep(1000) end)
        local ports, shards = {}, {}
        for _, c in ipairs(world:connections()) do
          if not next(c.events) then
            ports[c.port] = (ports[c.port] or 0) + 1
            shards[c.shard + 1] = true
          end
        end
        assert.same({ true, true, true, true }, shards)
        assert.equal(given:find "19043" and 3 or nil, ports[19043])
        session:close(0)
        world:run(function() world.cql.sleep(1000) end)
      end
      assert.equal(2 * expected, warned[given])
    end
  end)

  it("isn't, where the session wants none", function()
    local world = sim.world { seed = 1, nodes = 1, product = "scylla", shards = 4 }
    local session = assert(world:connect { shard_aware_port = false,
      endpoint = function() return "127.0.0.1:9042/19042" end })
    world:run(function() world.cql.sleep(1000) end)
    for _, c in ipairs(world:connections()) do assert.equal(9042, c.port) end
    session:close(0)
  end)
end)

describe("a question about an endpoint", function()
  local p

  -- A session that knows of its one node, which is asked about, unless local_row says otherwise.
  local function connect(options, local_row)
    local cluster = topology.new(1)
    local all = { ask_endpoint = "true" }
    for name, value in pairs(options or {}) do all[name] = value end
    cluster.own["local"] = local_row
    p = cluster:connect(all, 1)
  end

  local function question()
    p:collect()
    for _, event in ipairs(p.events) do
      if event.kind == C.CQL_QUESTION then return event end
    end
  end

  after_each(function() p:free() end)

  it("that nobody answers in time is told of, and the node's own address it is", function()
    connect { question_timeout_ms = 300 }
    assert.equal(C.CQL_ASK_ENDPOINT, assert(question()).code)
    p:advance(299)
    assert.equal(1, p:sockets())
    p:advance(1)
    assert.equal("10.0.0.1:9042", p:address(1))
    local event = assert(p:event(C.CQL_EVENT_WARNING))
    assert.truthy(event.message:find("nobody told in time", 1, true))
  end)

  it("may be answered again after words that can't be understood", function()
    connect()
    local tag = assert(question()).tag
    for _, text in ipairs { "10.1.1.1", ":9042", "10.1.1.1:", "10.1.1.1:65536", "10.1.1.1:+1",
      "10.1.1.1:9042/", "10.1.1.1:9042/0", "10.1.1.1/9042", " 10.1.1.1:9042", "a\0b:9042", "",
      ("a"):rep(252) .. ":9042" } do
      assert.equal(C.CQL_EINVAL, C.cql__session_answer(p.session, tag, text, #text))
    end
    assert.equal(0, C.cql__session_answer(p.session, tag, "10.1.1.1:9043/19042 db.example", 30))
    assert.equal("10.1.1.1:9043", p:address(1))
  end)

  it("isn't asked of a contact point, nor where these are all the nodes", function()
    connect(nil, function(self, request, socket)
      self:answer(request.stream, "ERROR", server.error(0x2200, "no"), nil, socket)
    end)
    assert.is_nil(question())
    assert.is_true(p:sockets() > 1)
    p:free()
    p = peer.new { ask_endpoint = "true", contact_points = "10.0.0.1" } -- it discovers nobody
    p:step()
    assert.is_nil(question())
    assert.equal("10.0.0.1:9042", p:address(0))
  end)
end)
