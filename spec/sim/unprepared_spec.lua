-- Statements that a node of several shards has forgotten: one PREPARE is for all who wait, and each
-- of these goes on where it was.
local sim = require "cql.sim"

local SHARDS, COUNT = 4, 40
local INSERT = "INSERT INTO ks.t (k, v) VALUES (?, ?)"

local world, session, insert

-- One node, connected to all its shards; it has forgotten what was prepared.
local function forgotten(options)
  world = sim.world { seed = 1, product = "scylla", shards = SHARDS, nodes = 1 }
  world:given(
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE ks.t (k int PRIMARY KEY, v int)")
  local all = { contact_points = "127.0.0.1", consistency = "one", log = function() end }
  for name, value in pairs(options or {}) do all[name] = value end
  session = assert(world:connect(all))
  world.cql.sleep(1000)
  insert = assert(session:prepare(INSERT))
  world:node(1):forget()
end

after_each(function()
  if session then session:close(0) end
  session, world, insert = nil, nil, nil
end)

-- Requests, each of its own key and not to be repeated; what becomes of them: futures.
local function submit(futures, first, last, options)
  for k = first, last do
    futures[k] = session:submit(insert, { k, k }, options and options(k) or nil)
  end
end

local function asked(opcode, filter)
  filter = filter or {}
  filter.opcode = opcode
  return world:asked(filter)
end

-- How many EXECUTEs came over each connection: of those told UNPREPARED, and of the others.
local function by_connection()
  local told, others = {}, {}
  for _, one in ipairs(asked "EXECUTE") do
    local list = one.unknown_id and told or others
    list[one.connection] = (list[one.connection] or 0) + 1
  end
  return told, others
end

local function count_of(list)
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  return count
end

local function rows() return #assert(session:execute "SELECT k FROM ks.t") end

-- The first request asks for the statement, the others, which arrived before it did, wait for that;
-- `happen` meanwhile.
local function meanwhile(happen, options)
  forgotten()
  world:set("latency", "5ms")
  world:rule { opcode = "PREPARE", answer = "own", delay = "100ms", times = 1 }
  local futures = {}
  submit(futures, 1, 1, options)
  world.cql.sleep(1)
  submit(futures, 2, COUNT, options)
  world.cql.sleep(30)
  local prepare = asked "PREPARE"
  assert.equal(2, #prepare)
  assert.equal(COUNT, #asked("EXECUTE", { unknown_id = true }))
  happen(futures, prepare[2])
  return futures
end

local function expect_all(futures, first)
  for k = first, COUNT do assert(futures[k]:wait()) end
  assert.equal(COUNT - first + 1, rows())
end

it("a batch of more statements than attempts are counted is prepared again all the same", function()
  forgotten()
  local batch = session:batch()
  for k = 1, 300 do
    batch:add(assert(session:prepare("INSERT INTO ks.t (k) VALUES (?) USING TTL " .. k)), { k })
  end
  world:node(1):forget()
  local result = assert(session:execute(batch, nil, { timeout_ms = 60000 }))
  assert.equal(255, result.execution.attempts)
  assert.equal(300, #assert(session:execute "SELECT k FROM ks.t"))
end)

describe("those who waited for a statement to be prepared again", function()
  it("go again over the connections that they came by, to their own shards", function()
    expect_all(meanwhile(function() end), 1)
    assert.equal(2, #asked "PREPARE")
    local told, others = by_connection()
    assert.equal(SHARDS, count_of(told))
    assert.same(told, others)
    assert.equal(0, world:counters().wrong_shard)
  end)

  it("go to another of that node's where theirs went meanwhile", function()
    local lost
    expect_all(meanwhile(function(_, prepare)
      for _, connection in ipairs(world:connections()) do
        if not lost and not next(connection.events) and connection.id ~= prepare.connection then
          lost = connection.id
          connection:finish "reset"
        end
      end
      world:set("accept", "refuse")
      world:set("shard_accept", "refuse")
    end), 1)
    local told, others = by_connection()
    assert.is_true(told[lost] > 0)
    assert.is_nil(others[lost])
    assert.equal(COUNT, #asked("EXECUTE", { unknown_id = true })) -- nobody was told twice
    assert.equal(COUNT * 2, #asked "EXECUTE") -- nor ran twice
  end)

  it("are routed anew where the connection of the one who asked is lost", function()
    expect_all(meanwhile(function(_, prepare)
      for _, connection in ipairs(world:connections()) do
        if connection.id == prepare.connection then connection:finish "reset" end
      end
    end), 1)
  end)

  for what, options in pairs { CANCELLED = {}, TIMEOUT = { timeout_ms = 80 } } do
    it("keep to their shards when the one who asked ends with " .. what, function()
      local futures = meanwhile(function(futures)
        if what == "CANCELLED" then futures[1]:cancel() end
      end, function(k) return k == 1 and options or nil end)
      local result, err = futures[1]:wait()
      assert.same({ nil, what }, { result, err.name })
      expect_all(futures, 2)
      assert.equal(3, #asked "PREPARE") -- the next who waited has asked again
      assert.equal(0, world:counters().wrong_shard)
    end)

    it("need not all be there any more: some have ended with " .. what, function()
      local futures = meanwhile(function(futures)
        for k = 2, COUNT, 2 do if what == "CANCELLED" then futures[k]:cancel() end end
      end, function(k) return k % 2 == 0 and options or nil end)
      for k = 1, COUNT do
        local result, err = futures[k]:wait()
        assert.equal(k % 2 == 0 and what or nil, not result and err.name or nil)
      end
      assert.equal(2, #asked "PREPARE")
      assert.same({ 0, COUNT / 2 }, { world:counters().wrong_shard, rows() })
    end)
  end
end)
