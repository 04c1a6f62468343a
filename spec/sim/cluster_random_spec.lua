-- A session in Lua on a cluster to which everything happens at random: nodes die, return, move,
-- join and leave, distances change, and coroutines execute, plan and listen meanwhile. What a
-- session says of its nodes must be true in the end, and its events must fit each other all along.
local sim = require "cql.sim"

local SEEDS = tonumber(os.getenv "CQL_SPEC_SEEDS") or 25
local KEYSPACE = "CREATE KEYSPACE shop WITH replication = "
  .. "{'class': 'NetworkTopologyStrategy', 'dc1': 2, 'dc2': 2}"
local BY_ID = "SELECT id FROM shop.items WHERE id = ?"
local PLACES = { "rack", "local", "remote", "ignored" }

-- What may become of a request here.
local ERRORS = {
  TIMEOUT = true, CONNECTION_LOST = true, NO_HOST = true, UNAVAILABLE = true, READ_TIMEOUT = true,
  OVERLOADED = true, IS_BOOTSTRAPPING = true,
}

local Run = {}
Run.__index = Run

function Run:pick(list) return list[self.world:random(#list) + 1] end

-- ---- what happens ----

local ACTIONS = {
  function(self) self:pick(self.world.nodes):kill() end,
  function(self) self:pick(self.world.nodes):start() end,
  function(self) self:pick(self.world.nodes):start() end,
  function(self) self:pick(self.world.nodes):restart() end,
  function(self)
    local node, ms = self:pick(self.world.nodes), self.world:random(8000)
    node:stall(ms)
    self.stalled[node] = self.world:now() + ms
  end,
  function(self)
    if #self.world.nodes < 9 then
      self.world:add { datacenter = self:pick { "dc1", "dc2" }, rack = self:pick { "a", "b" } }
    end
  end,
  function(self)
    if self.left < 2 then
      self.left = self.left + 1
      self.world.nodes[#self.world.nodes]:decommission()
    end
  end,
  function(self)
    local node = self:pick(self.world.nodes)
    if (self.stalled[node] or 0) > self.world:now() then return end -- it would answer there still
    self.moves = self.moves + 1
    node:move("127.0.9." .. self.moves):start()
  end,
  function(self)
    self.distances[self:pick(self.world.nodes):host_id()] = self:pick(PLACES)
    self.session:refresh_distances()
  end,
  function(self) self.session:refresh() end,
  function() collectgarbage "step" end,
}

-- Not all that is picked can be done in the state that a node is in.
local function act(self) pcall(self:pick(ACTIONS), self) end

-- ---- those who use it meanwhile ----

local function reader(self, id)
  for _ = 1, 60 do
    local rows, failure = self.session:execute(BY_ID, { id }, {
      timeout_ms = 1500, idempotent = self.world:random(2) == 0,
    })
    if rows then
      assert(rows[1].id == id)
    else
      assert(ERRORS[failure.name], tostring(failure))
    end
    self.ended = self.ended + 1
    self.world.cql.sleep(self.world:random(1000))
  end
end

local function planner(self)
  for id = 1, 40 do
    local plan = self.session:plan(BY_ID, { id % 20 })
    for _, place in ipairs(plan or {}) do assert(place.node.distance ~= "ignored") end
    if plan and plan[1] then
      local place = self:pick(plan)
      local rows, failure = self.session:execute(BY_ID, { id % 20 }, {
        node = place.node, timeout_ms = 500,
      })
      assert(rows or ERRORS[failure.name], tostring(failure))
      assert(not rows or rows.execution.node == place.node.address or self.moves > 0)
    end
    self.world.cql.sleep(self.world:random(1500))
  end
end

-- Events of a node must make a story: added, then up and down in turn, then removed.
local function check(states, event)
  local id = event.node.host_id
  local state = states[id] or "none"
  if event.name == "node_added" then
    assert(state == "none" or state == "removed", state)
    states[id] = "down"
  elseif event.name == "node_up" then
    assert(state == "down", state)
    states[id] = "up"
  elseif event.name == "node_down" then
    assert(state == "up", state)
    states[id] = "down"
  elseif event.name == "node_removed" then
    states[id] = "removed"
  end
end

local NAMES = { "node_added", "node_up", "node_down", "node_removed" }

-- ---- in the end ----

local function settle(self)
  for _, node in ipairs(self.world.nodes) do pcall(node.start, node) end
  self.world.cql.sleep(90000)
  self.session:refresh()
  self.session:refresh_distances()
  self.world.cql.sleep(90000)
end

local function check_nodes(self, states)
  local known, there = {}, 0
  for _, node in ipairs(assert(self.session:nodes())) do known[node.host_id] = node end
  for _, node in ipairs(self.world.nodes) do
    local found = known[node:host_id()]
    if node:state() == "up" then
      there = there + 1
      assert(found, tostring(node) .. " is not known")
      assert.equal(node:address(), found.address)
      assert.equal(self.distances[node:host_id()] or "local", found.distance)
      assert.equal(found.distance ~= "ignored", found.up)
      assert.equal(found.up and "up" or "down", states[found.host_id])
    end
  end
  assert.equal(there, #self.session:nodes())
end

local function run(seed)
  local world = sim.world { seed = seed, datacenters = { dc1 = { a = 2, b = 1 }, dc2 = { a = 2 } } }
  world:given(KEYSPACE, "CREATE TABLE shop.items (id int PRIMARY KEY)")
  for id = 0, 20 do world:given(("INSERT INTO shop.items (id) VALUES (%d)"):format(id)) end
  local self = setmetatable({
    world = world, distances = {}, stalled = {}, moves = 0, left = 0, ended = 0,
  }, Run)
  local states = {}
  self.session = assert(world:connect {
    discover = true, consistency = "one", log = function() end, reconnect_max_ms = 2000,
    distance = function(node) return self.distances[node.host_id] or "local" end,
  })
  local events = assert(self.session:subscribe(NAMES, { size = 100000 }))
  for _, node in ipairs(assert(self.session:nodes())) do
    states[node.host_id] = node.up and "up" or "down"
  end
  world:run(function()
    for id = 1, 5 do world.cql.spawn(reader, self, id) end
    world.cql.spawn(planner, self)
    for _ = 1, 40 do
      act(self)
      world.cql.sleep(world:random(1500))
    end
  end)
  settle(self)
  for event in function() return events:next(0) end do check(states, event) end
  check_nodes(self, states)
  assert.equal(300, self.ended)
  local metrics = self.session:metrics()
  assert.same({ 0, 0, 0 }, { metrics.in_flight, metrics.taken, metrics.queued })
  self.session:close(0)
end

describe("a session in Lua", function()
  it("knows its cluster, whatever happened to it", function()
    for seed = 1, SEEDS do
      local ok, failure = pcall(run, seed)
      if not ok then error(("seed %d: %s"):format(seed, tostring(failure))) end
    end
  end)
end)
