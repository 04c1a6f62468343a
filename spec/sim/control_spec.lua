-- The control connection against nodes that are made by hand: what it asks and when, and what
-- becomes of it when they say no, nothing, nonsense, or go.
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local topology = require "spec.support.topology"
local unit = require "spec.support.unit"

local C, OPCODE = unit.C, server.OPCODE
local READING = "register local peers_v2 keyspaces"

local p

local function warnings()
  p:collect()
  local list = {}
  for _, event in ipairs(p.events) do
    if event.code == C.CQL_EVENT_WARNING then list[#list + 1] = event.message end
  end
  return list
end

local function failed()
  local event = p:event(C.CQL_EVENT_FAILED)
  return event and event.status
end

local function told(code)
  p:collect()
  local count = 0
  for _, event in ipairs(p.events) do count = count + (event.code == code and 1 or 0) end
  return count
end

local function pool_of(...)
  local list = {}
  for i, n in ipairs { ... } do list[i] = ("10.0.0.%d:9042"):format(n) end
  return list
end

local function silent() end
local function refuses(code)
  return function(self, request, socket)
    self:answer(request.stream, "ERROR", server.error(code, "no"), nil, socket)
  end
end
local function says(body, opcode)
  return function(self, request, socket)
    self:answer(request.stream, opcode or "RESULT", body, nil, socket)
  end
end

-- As `own`, of one node only.
local function of(n, own)
  return function(self, request, socket, usual)
    if self:address(socket) ~= ("10.0.0.%d:9042"):format(n) then return true end
    return own(self, request, socket, usual)
  end
end

-- All is as it should be: one control connection, and one connection to each of these.
local function assert_well(cluster, ...)
  assert.same(pool_of(...), cluster:pool(p))
  assert.equal(1, #cluster:controls(p))
end

after_each(peer.free_all)

describe("a control connection", function()
  it("registers, reads, and is one beside those for requests", function()
    local cluster = topology.new(3)
    p = cluster:connect { keyspace = "ks" }
    assert.equal(READING, cluster:questions())
    assert_well(cluster, 1, 2, 3)
    assert.same({ 1, 1, 0 }, { told(C.CQL_EVENT_CONTROL_OPENED), told(C.CQL_EVENT_TOPOLOGY),
      told(C.CQL_EVENT_WARNING) })
    cluster:run(p, 300000)
    assert.equal(READING, cluster:questions()) -- nothing is read by the clock
  end)

  it("uses no keyspace", function()
    local cluster, used = topology.new(2), {}
    p = cluster:connect({ keyspace = "ks" }, 0)
    local own = p.handshake[OPCODE.QUERY]
    p.handshake[OPCODE.QUERY] = function(self, request, socket)
      if request.body:find("USE", 1, true) then used[socket] = true end
      return own(self, request, socket)
    end
    cluster:run(p, 100)
    local control = cluster:controls(p)[1]
    assert.is_nil(used[control])
    for _, socket in ipairs(p:open_sockets()) do
      assert.equal(socket ~= control, used[socket] or false)
    end
  end)

  it("agrees on a version, once for all", function()
    local cluster, tried = topology.new(2), {}
    p = cluster:connect(nil, 200, function(self)
      self.handshake[OPCODE.OPTIONS] = function(_, request, socket)
        tried[#tried + 1] = request.version
        if request.version == 4 then return true end
        self:wire(socket).version = 4
        self:answer(request.stream, "ERROR",
          server.error(10, "Invalid or unsupported protocol version"), nil, socket)
      end
    end)
    assert.same({ 5, 4, 4, 4 }, tried)
    assert_well(cluster, 1, 2)
    assert.equal(READING, cluster:questions())
  end)

  it("is nowhere else while it is somewhere", function()
    local cluster = topology.new(3)
    p = cluster:connect { reconnect_max_ms = 1000 }
    for _ = 1, 20 do
      local socket = cluster:controls(p)[1]
      p:reset(socket)
      p:run(1200, function()
        cluster:play(p)
        assert.is_true(#cluster:controls(p) <= 1)
      end)
      assert_well(cluster, 1, 2, 3)
    end
    assert.equal(21, cluster:count "keyspaces") -- each time it reads all
  end)
end)

describe("READY", function()
  local function ready() return p:event(C.CQL_EVENT_READY) ~= nil end

  it("waits until it is known where data is", function()
    local cluster, held = topology.new(2), nil
    cluster.own.keyspaces = function(_, _, _, usual) held = usual end
    p = cluster:connect(nil, 300)
    assert.same({ pool_of(1, 2), false }, { cluster:pool(p), ready() })
    held()
    cluster:run(p, 1)
    assert.is_true(ready())
  end)

  it("waits for a moment at the most", function()
    local later
    local function page_by_page(self, request, socket) -- without end, each in good time
      function later()
        self:answer(request.stream, "RESULT",
          topology.rows(2, { { "ks", topology.map {} } }, { paging_state = "more" }), nil, socket)
      end
    end
    for _, own in ipairs { silent, page_by_page } do
      local cluster = topology.new(2)
      cluster.own.keyspaces = own
      p = cluster:connect(nil, 100)
      for _ = 1, 2 do
        assert.is_false(ready())
        if later then later() end
        cluster:run(p, 100)
      end
      assert.equal(own == silent and 1 or 3, cluster:count "keyspaces")
      cluster:run(p, 200)
      assert.is_true(ready())
      p:free()
      p = nil
    end
  end)

  it("comes at once where the one who reads is gone", function()
    local cluster = topology.new(2)
    cluster.own.keyspaces = silent
    p = cluster:connect(nil, 100)
    assert.is_false(ready())
    p:reset(cluster:controls(p)[1])
    cluster:run(p, 1)
    assert.is_true(ready())
  end)

  it("doesn't come any more once the session closes", function()
    local cluster = topology.new(2)
    cluster.own.keyspaces = silent
    p = cluster:connect(nil, 100)
    C.cql__session_close(p.session, 0)
    cluster:run(p, 10000)
    assert.is_false(ready())
    assert(p:event(C.CQL_EVENT_CLOSED))
  end)
end)

describe("a node that", function()
  for _, step in ipairs(topology.STEPS) do
    it("is silent when asked for " .. step .. " is left after 5 s for the next one", function()
      local cluster = topology.new(2)
      cluster.own[step] = of(1, silent)
      p = cluster:connect({ contact_points = "10.0.0.1 10.0.0.2", reconnect_max_ms = 200 }, 11000)
      assert.same(pool_of(1, 2), cluster:pool(p))
      assert.equal("10.0.0.2:9042", p:address(cluster:controls(p)[1]))
      local from_first = 0
      for _, entry in ipairs(cluster.asked) do
        if entry.step == step and entry.address == "10.0.0.1:9042" then
          from_first = from_first + 1
        end
      end
      assert.is_true(from_first <= 1) -- and not asked again
      cluster:run(p, 60000)
      assert.equal("10.0.0.2:9042", p:address(cluster:controls(p)[1]))
    end)

    it("closes when asked for " .. step .. " is left at once", function()
      local cluster = topology.new(2)
      cluster.own[step] = of(1, function(self, _, socket) self:reset(socket) end)
      p = cluster:connect({ contact_points = "10.0.0.1 10.0.0.2" }, 1000)
      assert_well(cluster, 1, 2)
      assert.equal("10.0.0.2:9042", p:address(cluster:controls(p)[1]))
    end)

    for name, own in pairs { ["is overloaded"] = refuses(0x1001),
      ["says READY"] = says("", "READY"),
      ["says nonsense"] = says "\0\0\0\2\0\0", ["says VOID"] = says(server.VOID),
      ["says an ERROR that is none"] = says("", "ERROR") } do
      if not (step == "register" and name == "says READY") then
        it(("%s when asked for %s is left, and asked again later"):format(name, step), function()
          local cluster = topology.new(1)
          cluster.own[step] = own
          p = cluster:connect({ reconnect_max_ms = 200 }, 3000)
          assert.same(pool_of(1), cluster:pool(p)) -- it is all that is known
          assert(p:event(C.CQL_EVENT_READY))
          local asked = cluster:count(step)
          assert.is_true(asked > 5 and asked < 40, asked)
          assert.equal(1, #warnings(), table.concat(warnings(), "\n")) -- told of once
          cluster.own[step] = nil
          cluster:run(p, 1000)
          assert_well(cluster, 1)
          assert.equal(1, told(C.CQL_EVENT_TOPOLOGY))
          assert.equal(1, #warnings())
        end)
      end
    end
  end

  it("tells of no events is used without them", function()
    local cluster = topology.new(2)
    cluster.own.register = refuses(0x000A)
    p = cluster:connect()
    assert_well(cluster, 1, 2)
    assert.same({ "the node refuses to tell of events" }, warnings())
  end)

  it("has no peers_v2 is asked for peers, whose port is its own", function()
    local cluster = topology.new { topology.node(1, { port = 9999 }),
      topology.node(2, { port = 9999 }) }
    cluster.own.peers_v2 = refuses(0x2200)
    p = cluster:connect { port = 9999 }
    assert.equal("register local peers_v2 peers keyspaces", cluster:questions())
    assert.same({ "10.0.0.1:9999", "10.0.0.2:9999" }, cluster:pool(p))
  end)

  it("has no system_schema has no replicas, and is content", function()
    local cluster = topology.new(2)
    cluster.own.keyspaces = refuses(0x2200)
    p = cluster:connect(nil, 5000)
    assert_well(cluster, 1, 2)
    assert.equal(READING, cluster:questions())
    assert.same({}, warnings())
  end)

  it("knows no way to place keys is told of once", function()
    local cluster = topology.new(2)
    cluster.partitioner = "com.example.Own"
    p = cluster:connect()
    assert_well(cluster, 1, 2)
    assert.matches("partitioner is not known", warnings()[1])
    cluster:tell(p, "TOPOLOGY_CHANGE", "NEW_NODE")
    cluster:run(p, 2000)
    assert.same({ 2, 1 }, { cluster:count "local", #warnings() })
  end)

  it("always has one more page is left", function()
    local cluster = topology.new(2)
    local body = topology.rows(8, {}, { paging_state = "more" })
    cluster.own.peers_v2 = of(1, says(body))
    p = cluster:connect({ contact_points = "10.0.0.1 10.0.0.2" }, 4000)
    assert.equal("10.0.0.2:9042", p:address(cluster:controls(p)[1]))
    assert_well(cluster, 1, 2)
  end)

  it("has more than one row of itself is believed the first", function()
    local cluster = topology.new(2)
    local twice = topology.node(1)
    local row = { twice.host_id, "dc1", "r1", "5.0.9", twice.tokens, cluster.partitioner }
    cluster.own["local"] = says(topology.rows(6, { row, row }, { paging_state = "more" }))
    p = cluster:connect()
    assert.equal(READING, cluster:questions())
    assert_well(cluster, 1, 2)
  end)
end)

describe("rows of nodes", function()
  it("come in pages", function()
    local cluster = topology.new(5)
    local pages = {}
    cluster.own.peers_v2 = function(self, request, socket)
      local page = tonumber(request.body:match "page (%d)" or 1)
      pages[#pages + 1] = page
      local n = topology.node(page + 1)
      self:answer(request.stream, "RESULT", topology.rows(8, {
        { n.host_id, n.dc, n.rack, n.version, n.tokens, topology.inet(n.address),
          topology.inet(n.address), unit.u32(9042) } },
        { paging_state = page < 4 and "page " .. page + 1 or nil }), nil, socket)
    end
    p = cluster:connect()
    assert.same({ 1, 2, 3, 4 }, pages)
    assert_well(cluster, 1, 2, 3, 4, 5)
  end)

  it("of 1,000 nodes come 64 at a time, and change nothing when they come again", function()
    local nodes, rows, pages = {}, {}, {}
    for n = 1, 1000 do
      local tokens = {}
      for i = 1, 8 do tokens[i] = tostring(i * 1000 + n) end
      nodes[n] = topology.node(1, { host_id = ("\0"):rep(14) .. unit.u16(n),
        address = ("10.0.%d.%d"):format(math.floor(n / 250), n % 250 + 1),
        tokens = topology.set(tokens) })
      local own = nodes[n]
      rows[n] = { own.host_id, own.dc, own.rack, own.version, own.tokens,
        topology.inet(own.address), topology.inet(own.address), unit.u32(9042) }
    end
    local cluster = topology.new(nodes)
    cluster.own.peers_v2 = function(self, request, socket)
      assert(request.body:find("\0\0\0\64", 1, true), "the size of a page")
      local from, page = tonumber(request.body:match "from (%d+)" or 2), {}
      for n = from, math.min(from + 63, 1000) do page[#page + 1] = rows[n] end
      pages[#pages + 1] = #page
      local more = from + 64 <= 1000 and "from " .. from + 64 or nil
      self:answer(request.stream, "RESULT", topology.rows(8, page, { paging_state = more }), nil,
        socket)
    end
    p = cluster:connect({ contact_points = "10.0.0.2", heartbeat_ms = 0 }, 3000)
    assert.equal(16, #pages)
    assert.equal(1001, #p:open_sockets())
    local sockets = p:sockets()
    cluster:tell(p, "TOPOLOGY_CHANGE", "NEW_NODE")
    cluster:run(p, 2000)
    assert.equal(32, #pages)
    assert.equal(sockets, p:sockets())
    assert.equal(0, told(C.CQL_EVENT_NODE_MOVED))
  end)

  -- What is odd of node 2, and which nodes there are then.
  for name, case in pairs {
    ["without a host id are skipped"] = { { host_id = false }, 1, 3 },
    ["with a host id of zeros are skipped"] = { { host_id = ("\0"):rep(16) }, 1, 3 },
    ["with a host id that is none are skipped"] = { { host_id = "short" }, 1, 3 },
    ["with the host id of another are skipped"] = { { host_id = topology.id(1) }, 1, 3 },
    ["without an address have the peer's"] = { { native = false }, 1, 2, 3 },
    ["with an address of zeros have the peer's"] = { { native = "\0\0\0\0" }, 1, 2, 3 },
    ["with an address that is none have the peer's"] = { { native = "abc" }, 1, 2, 3 },
    ["without any address are skipped"] = { { native = false, address = "0.0.0.0" }, 1, 3 },
    ["without tokens are nodes"] = { { tokens = false }, 1, 2, 3 },
    ["with tokens that are none are nodes"] =
      { { tokens = topology.set { "x", "", "99999999999999999999" } }, 1, 2, 3 },
    ["with a set of tokens that is none are nodes"] =
      { { tokens = "\127\255\255\255\0\0" }, 1, 2, 3 },
    ["without a place are nodes"] = { { dc = false, rack = false, version = false }, 1, 2, 3 },
  } do
    it(name, function()
      local cluster = topology.new(3)
      cluster.nodes[2] = topology.node(2, case[1])
      p = cluster:connect()
      assert_well(cluster, unpack(case, 2))
      local odd = #case == 3 or name:find("tokens that", 1, true)
      assert.equal(odd and 1 or 0, #warnings(), name)
      if odd then assert.matches("of no use", warnings()[1]) end
    end)
  end

  it("may have one address for several nodes, as behind a proxy", function()
    local cluster = topology.new(1)
    cluster.nodes[2] = topology.node(2, { native = topology.inet "10.0.0.1" })
    cluster.nodes[3] = topology.node(3, { native = topology.inet "10.0.0.1" })
    p = cluster:connect()
    assert_well(cluster, 1, 1, 1)
    cluster:tell(p, "TOPOLOGY_CHANGE", "NEW_NODE")
    cluster:run(p, 2000)
    assert_well(cluster, 1, 1, 1)
    assert.equal(0, told(C.CQL_EVENT_NODE_MOVED))
  end)

  it("that end in the midst cost the reading, and what was known stays", function()
    local cluster = topology.new(3)
    p = cluster:connect { reconnect_max_ms = 200 }
    cluster.own.peers_v2 = says(topology.rows(8, {}):sub(1, -5) .. unit.u32(7) .. "\0\0")
    cluster:tell(p, "TOPOLOGY_CHANGE", "NEW_NODE")
    cluster:run(p, 3000)
    assert.same(pool_of(1, 2, 3), cluster:pool(p))
    cluster.own.peers_v2 = nil
    cluster:run(p, 2000)
    assert_well(cluster, 1, 2, 3)
    assert.same({ 0, 3 }, { told(C.CQL_EVENT_NODE_REMOVED), told(C.CQL_EVENT_NODE_ADDED) })
  end)

  it("without the node itself are no topology: nobody is removed by them", function()
    local cluster = topology.new(2)
    p = cluster:connect { reconnect_max_ms = 200 }
    local node = topology.node(1)
    cluster.own["local"] = says(topology.rows(6, {
      { false, node.dc, node.rack, node.version, node.tokens, cluster.partitioner } }))
    cluster:tell(p, "TOPOLOGY_CHANGE", "NEW_NODE")
    cluster:run(p, 3000)
    assert.same(pool_of(1, 2), cluster:pool(p))
  end)
end)

describe("all rows at once, by a server that knows no pages,", function()
  local cluster, held

  -- So many nodes, whose rows are on their way; without its last bytes if that is cut.
  local function tell(count, cut)
    cluster = topology.new(count)
    cluster.own.peers_v2 = function(self, _, _, usual)
      local say = self.answer
      function held()
        function self.answer(to, stream, opcode, body, ...)
          return say(to, stream, opcode, cut and body:sub(1, -8) or body, ...)
        end
        usual()
        self.answer = nil
      end
    end
    p = cluster:connect({ local_datacenter = "elsewhere" }, 10) -- no node is connected to
    held()
  end
  local function turns_until(reached)
    for turns = 1, 50 do
      p:advance(1)
      cluster:play(p)
      if reached() then return turns end
    end
    error "it never came"
  end
  local function asks_on() return cluster:count "keyspaces" == 1 end
  local function is_blind() return #warnings() > 0 end

  it("are taken in slices, between which the host goes on", function()
    tell(1 + 64)
    local few = turns_until(asks_on)
    p:free()
    tell(1 + 64 * 3)
    assert.equal(few + 2, turns_until(asks_on))
    cluster:run(p, 100)
    assert.equal(1, told(C.CQL_EVENT_TOPOLOGY))
  end)

  it("may end with their connection, or with the session, halfway", function()
    for _, finish in ipairs { function() p:reset(cluster:controls(p)[1]) end,
      function() C.cql__session_close(p.session, 0) end, function() end } do
      tell(1 + 64 * 3)
      p:advance(1)
      finish()
      cluster:run(p, 1)
      assert.is_false(asks_on())
      p:free()
    end
  end)

  it("are of no use where the last can't be read", function()
    tell(1 + 64, true)
    local few = turns_until(is_blind)
    p:free()
    tell(1 + 64 * 3, true)
    assert.is_true(turns_until(is_blind) > few)
    assert.is_false(asks_on())
  end)
end)

describe("events", function()
  it("in a burst are one reading, a second later", function()
    local cluster = topology.new(2)
    p = cluster:connect()
    for i = 1, 50 do
      cluster:tell(p, i % 2 == 0 and "TOPOLOGY_CHANGE" or "STATUS_CHANGE", "UP", "10.0.0.77")
    end
    cluster:run(p, 990)
    assert.equal(1, cluster:count "local")
    cluster:run(p, 5000)
    assert.same({ 2, 2, 1 }, { cluster:count "local", cluster:count "keyspaces",
      cluster:count "register" })
  end)

  it("that never end keep nobody from reading", function()
    local cluster = topology.new(2)
    local function flood(self, _, socket, usual)
      cluster.registered[socket] = true
      for _ = 1, 200 do cluster:tell(self, "STATUS_CHANGE", "UP", "10.0.0.88") end
      usual()
      for _ = 1, 200 do cluster:tell(self, "TOPOLOGY_CHANGE", "NEW_NODE", "10.0.0.88") end
    end
    for _, step in ipairs(topology.STEPS) do cluster.own[step] = flood end
    p = cluster:connect()
    assert_well(cluster, 1, 2)
    assert.equal(READING, cluster:questions())
    cluster:run(p, 10000) -- each reading brings the next one, a second later
    assert.is_true(cluster:count "local" <= 12, cluster:count "local")
    assert_well(cluster, 1, 2)
  end)

  it("while it reads are followed by one more reading", function()
    local cluster = topology.new(2)
    cluster.own.keyspaces = function(self)
      cluster.own.keyspaces = nil
      cluster.nodes[3] = topology.node(3)
      cluster:tell(self, "TOPOLOGY_CHANGE", "NEW_NODE", "10.0.0.3")
      return true
    end
    p = cluster:connect()
    assert_well(cluster, 1, 2)
    cluster:run(p, 1500)
    assert_well(cluster, 1, 2, 3)
    cluster:run(p, 5000)
    assert.equal(2, cluster:count "local")
  end)

  it("that it has read since are not read for", function()
    local cluster = topology.new(2)
    p = cluster:connect()
    cluster:tell(p, "TOPOLOGY_CHANGE", "NEW_NODE")
    cluster:run(p, 100)
    p:reset(cluster:controls(p)[1])
    cluster:run(p, 5000)
    assert.same({ 2, 2 }, { cluster:count "local", cluster:count "keyspaces" })
  end)

  it("that are none cost nothing", function()
    local cluster = topology.new(2)
    p = cluster:connect()
    local socket = cluster:controls(p)[1]
    for _, body in ipairs { "", "\0", unit.str "STATUS_CHANGE", unit.str "OWN" .. unit.str "UP",
      server.event("STATUS_CHANGE", "UP", "\3\1\2\3\0\0\35\82"),
      server.event("STATUS_CHANGE", "SIDEWAYS", "\4\10\0\0\1\0\0\35\82") } do
      p:answer(-1, "EVENT", body, nil, socket)
    end
    cluster:run(p, 3000)
    assert.equal(READING, cluster:questions())
    assert_well(cluster, 1, 2)
  end)
end)

describe("when nobody answers", function()
  it("all are tried again, for ever", function()
    local cluster = topology.new(2)
    p = cluster:connect { reconnect_max_ms = 500 }
    cluster.down = { ["10.0.0.1:9042"] = true, ["10.0.0.2:9042"] = true }
    for _, socket in ipairs(p:open_sockets()) do p:reset(socket) end
    cluster:run(p, 60000)
    assert.same({}, p:open_sockets())
    cluster.down = {}
    cluster:run(p, 3000)
    assert_well(cluster, 1, 2)
  end)

  it("names are resolved again, and what is new is asked at once", function()
    local cluster = topology.new(1)
    p = cluster:connect({ contact_points = "db.example", reconnect_max_ms = 500 }, 0)
    p:resolve(0, "10.0.0.1")
    cluster:run(p, 100)
    assert_well(cluster, 1)
    cluster.down = { ["10.0.0.1:9042"] = true }
    for _, socket in ipairs(p:open_sockets()) do p:reset(socket) end
    cluster:run(p, 2000)
    assert.same({ "db.example", "db.example" }, p:names())
    cluster.nodes = { topology.node(7) }
    p:resolve(1, "10.0.0.7")
    cluster:run(p, 100)
    assert_well(cluster, 7)
  end)

  -- Where new sockets went, from the first one after `seen` on: { ["10.0.0.1:9042"] = 3 }.
  local function dialled(seen)
    local to = {}
    for socket = seen, p:sockets() - 1 do
      to[p:address(socket)] = (to[p:address(socket)] or 0) + 1
    end
    return to
  end

  it("addresses that a name gives no more are not asked any more", function()
    local cluster = topology.new(1)
    cluster.down = {}
    for i = 1, 6 do cluster.down[("10.0.0.%d:9042"):format(i)] = true end
    p = cluster:connect({ contact_points = "one.example two.example 10.0.0.6",
      reconnect_max_ms = 500 }, 0)
    p:resolve(0, "10.0.0.1 10.0.0.2 10.0.0.6")
    p:resolve(1, "10.0.0.2 10.0.0.3")
    cluster:run(p, 6000)
    assert.same({ "one.example", "two.example", "one.example", "two.example" }, p:names())
    p:resolve(2, "10.0.0.4") -- 2 is still what the other name stands for; 6 stands for itself
    p:resolve(3, "")
    local seen = p:sockets()
    cluster:run(p, 4000)
    local to = dialled(seen)
    for _, left in ipairs { 2, 3, 4, 6 } do
      assert.is_true((to[("10.0.0.%d:9042"):format(left)] or 0) >= 3)
      to[("10.0.0.%d:9042"):format(left)] = nil
    end
    assert.same({}, to)
    cluster:run(p, 2000)
    p:resolve(4, "10.0.0.4")
    p:resolve(5, "10.0.0.5")
    seen = p:sockets()
    cluster:run(p, 4000)
    to = dialled(seen)
    for _, left in ipairs { 4, 5, 6 } do
      assert.is_true((to[("10.0.0.%d:9042"):format(left)] or 0) >= 3)
      to[("10.0.0.%d:9042"):format(left)] = nil
    end
    assert.same({}, to)
  end)

  it("an address that several contact points stand for is asked once a round", function()
    local cluster = topology.new(1)
    cluster.down = { ["10.0.0.1:9042"] = true, ["10.0.0.2:9042"] = true }
    p = cluster:connect({ contact_points = "one.example 10.0.0.1 two.example 10.0.0.2",
      reconnect_min_ms = 1000, reconnect_max_ms = 1000 }, 0)
    p:resolve(0, "10.0.0.1")
    p:resolve(1, "10.0.0.1 10.0.0.2")
    cluster:run(p, 4000)
    local seen = p:sockets()
    cluster:run(p, 4000)
    local to = dialled(seen)
    assert.near(to["10.0.0.2:9042"], to["10.0.0.1:9042"], 1)
  end)

  it("in time where the first failure is to be the last, the session has failed", function()
    for _, own in ipairs { silent, function(self, _, socket) self:reset(socket) end } do
      local cluster = topology.new(1)
      cluster.own["local"] = own
      p = cluster:connect({ connect_retry = "false" }, 6000)
      assert.equal(C.CQL_ECONNECTION, failed())
      assert.same({}, p:open_sockets())
      p:free()
    end
    p = nil
  end)

  it("but refuses the password or every version, the session has failed", function()
    local cluster = topology.new(2)
    p = cluster:connect({ contact_points = "10.0.0.1 10.0.0.2" }, 0)
    p.handshake[OPCODE.STARTUP] = function(_, request, socket)
      p:answer(request.stream, "ERROR", server.error(0x0100, "who are you?"), nil, socket)
    end
    cluster:run(p, 1000)
    assert.equal(C.CQL_EAUTH, failed())
    assert.same({}, p:open_sockets())
    p:free()
    p = cluster:connect({ protocol_version = 5 }, 0)
    p.handshake[OPCODE.OPTIONS] = function(_, request, socket)
      p:wire(socket).version = 4
      p:answer(request.stream, "ERROR", server.error(10, "Invalid or unsupported protocol version"),
        nil, socket)
    end
    cluster.seen = {}
    cluster:run(p, 1000)
    assert.equal(C.CQL_EVERSION, failed())
  end)
end)

describe("nodes that are ignored", function()
  it("are not asked, and left when others serve", function()
    local cluster = topology.new { topology.node(1, { dc = "far" }), topology.node(2),
      topology.node(3) }
    p = cluster:connect({ local_datacenter = "dc1" }, 1000)
    assert_well(cluster, 2, 3)
    assert.not_equal("10.0.0.1:9042", p:address(cluster:controls(p)[1]))
    for _ = 1, 10 do
      p:reset(cluster:controls(p)[1])
      cluster:run(p, 1000)
      assert.not_equal("10.0.0.1:9042", p:address(cluster:controls(p)[1]))
    end
  end)

  it("are asked where there are no others, and that is told of", function()
    local cluster = topology.new(2)
    p = cluster:connect({ local_datacenter = "elsewhere" }, 1000)
    assert_well(cluster)
    assert.same({ 'no node is in local_datacenter "elsewhere", but in "dc1"; case counts' },
      warnings())
    p:reset(cluster:controls(p)[1])
    cluster:run(p, 1000)
    assert_well(cluster)
    cluster.nodes[2].dc = "elsewhere"
    cluster:tell(p, "TOPOLOGY_CHANGE", "MOVED_NODE")
    cluster:run(p, 3000)
    assert_well(cluster, 2)
    assert(p:event(C.CQL_EVENT_READY))
  end)
end)

describe("a question about a password", function()
  it("goes with the control connection that asked it", function()
    local cluster = topology.new(2)
    p = cluster:connect({ ask_authenticate = "true", contact_points = "10.0.0.1 10.0.0.2",
      reconnect_max_ms = 100 }, 50, function(self)
      self.handshake[OPCODE.STARTUP] = function(_, request, socket)
        self:started("AUTHENTICATE", unit.str "PasswordAuthenticator", request, socket)
      end
    end)
    local first = assert(p:event(C.CQL_ASK_AUTHENTICATE))
    p:reset(p:open_sockets()[1])
    cluster:run(p, 50)
    local second = assert(p:event(C.CQL_ASK_AUTHENTICATE))
    assert.not_equal(first.tag, second.tag)
    assert.equal(C.CQL_EINVAL, C.cql__session_answer(p.session, first.tag, "secret", 6))
    assert.equal(0, C.cql__session_answer(p.session, second.tag, "secret", 6))
  end)
end)

describe("a session that is closed", function()
  for _, step in ipairs(topology.STEPS) do
    it("while its control connection waits for " .. step .. " is closed", function()
      local cluster = topology.new(2)
      cluster.own[step] = silent
      p = cluster:connect()
      assert.equal(1, #cluster:controls(p))
      C.cql__session_close(p.session, 0)
      assert(p:event(C.CQL_EVENT_CLOSED))
      assert.same({}, p:open_sockets())
      cluster:run(p, 60000)
      assert.same({}, p:open_sockets())
    end)
  end

  it("while nobody can be reached, or a name is looked up, is closed", function()
    local cluster = topology.new(2)
    cluster.down = { ["10.0.0.1:9042"] = true }
    for _, contact in ipairs { "10.0.0.1", "db.example" } do
      p = cluster:connect({ contact_points = contact, reconnect_max_ms = 300 }, 1000)
      local sockets = p:sockets()
      C.cql__session_close(p.session, 0)
      assert(p:event(C.CQL_EVENT_CLOSED))
      cluster:run(p, 60000)
      assert.equal(sockets, p:sockets())
      p:free()
    end
    p = nil
  end)
end)

describe("an allocation that fails", function()
  -- A session's life until it knows its cluster and has followed a change, with allocation n
  -- failing; true if there was such an allocation.
  local function live(n, onwards)
    local cluster, before = topology.new(3), nil
    cluster.keyspaces = { shop = { "class", "SimpleStrategy", "replication_factor", "2" } }
    local status
    p, status = cluster:connect({ reconnect_max_ms = 200 }, 300, function()
      before = tonumber(C.cql__mem_count())
      C.cql__mem_fail(n, onwards)
    end)
    if not p then
      C.cql__mem_fail(0, 0)
      assert.equal(C.CQL_ENOMEM, status)
      return true
    end
    cluster.down = { ["10.0.0.2:9042"] = true, ["10.0.0.3:9042"] = true }
    cluster.nodes[2] = topology.node(2, { address = "10.0.0.22", dc = "dc2" })
    cluster.nodes[3] = topology.node(4)
    cluster:tell(p, "TOPOLOGY_CHANGE", "NEW_NODE")
    cluster:run(p, 2000)
    local any = tonumber(C.cql__mem_count()) - before >= n
    C.cql__mem_fail(0, 0)
    if failed() then return any end
    cluster:tell(p, "TOPOLOGY_CHANGE", "NEW_NODE")
    cluster:run(p, 10000)
    assert_well(cluster, 1, 22, 4)
    return any
  end

  for onwards = 0, 1 do
    it("leaks nothing, and all is known later: " .. (onwards == 1 and "it and all after it" or
      "it alone"), function()
      unit.outlive_each_allocation(live, onwards, peer.free_all, 100)
    end)
  end
end)
