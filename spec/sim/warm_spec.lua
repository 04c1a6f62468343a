-- Statements are prepared on all nodes before requests need them there.
local sim = require "cql.sim"

local BY_KEY = "SELECT key FROM system.local WHERE key = ?"

local world, session

local function connect(options, nodes)
  world = sim.world { seed = 5, nodes = nodes or 3, latency = "1ms" }
  local all = { consistency = "one" }
  for name, value in pairs(options or {}) do all[name] = value end
  session = assert(world:connect(all))
  world.cql.sleep(1000)
  return world
end

local function unprepared() return world:counters().unprepared end

-- On every node.
local function execute_everywhere(statement)
  for _, node in ipairs(assert(session:nodes())) do
    if node.up then assert(session:execute(statement, { "local" }, { node = node })) end
  end
end

-- Nothing is under way; so many answers are still owed.
local function settled(orphans)
  world.cql.sleep(15000)
  local metrics = assert(session:metrics())
  assert.same({ 0, 0, 0, orphans or 0 },
    { metrics.taken + metrics.own, metrics.in_flight, metrics.queued, metrics.orphans })
end

after_each(function()
  if session then session:close(0) end
  session = nil
end)

describe("a statement that is prepared", function()
  it("is prepared on the other nodes, in the background", function()
    connect()
    local statement = assert(session:prepare(BY_KEY))
    world.cql.sleep(100)
    for i = 1, 3 do assert.equal(1, world:node(i):counters().prepares) end
    execute_everywhere(statement)
    assert.equal(0, unprepared())
    assert.equal(2, session:metrics().statements_warmed)
    settled()
  end)

  it("isn't where nobody wants that", function()
    connect { prepare_on_all = false }
    local statement = assert(session:prepare(BY_KEY))
    world.cql.sleep(100)
    assert.equal(1, world:counters().prepares)
    execute_everywhere(statement)
    assert.equal(2, unprepared())
    assert.equal(0, session:metrics().statements_warmed)
  end)

  it("is there without waiting for nodes that don't answer", function()
    connect()
    world:rule { opcode = "PREPARE", after = 1, answer = "nothing" }
    local started = world:now()
    assert(session:prepare(BY_KEY, { timeout_ms = 60000 }))
    assert.is_true(world:now() - started < 100)
    world.cql.sleep(100)
    assert.equal(3, world:counters().prepares)
    settled(2)
  end)
end)

describe("a node that comes up", function()
  local function prepare(count)
    local list = {}
    for i = 1, count do
      local text = "SELECT key AS k%d FROM system.local WHERE key = ?"
      list[i] = assert(session:prepare(text:format(i)))
    end
    world.cql.sleep(1000)
    return list
  end

  -- Requests all the time; how many failed with anything but a lost connection.
  local function under_load(statements, ms, what)
    local stop, failed, served = world:now() + ms, 0, 0
    local tasks = {}
    for worker = 1, 16 do
      tasks[worker] = world.cql.spawn(function()
        local i = worker
        while world:now() < stop do
          i = i % #statements + 1
          local rows, failure = session:execute(statements[i], { "local" }, { idempotent = true })
          if rows then served = served + 1 end
          if not rows and failure.name ~= "CONNECTION_LOST" then failed = failed + 1 end
          world.cql.sleep(1)
        end
      end)
    end
    what()
    for _, task in ipairs(tasks) do task:wait() end
    return failed, served
  end

  it("has the session's statements before it is given requests", function()
    connect()
    local statements = prepare(250)
    local before = world:node(2):counters().executes
    local failed, served = under_load(statements, 20000, function()
      world.cql.sleep(1000)
      world:node(2):restart()
    end)
    assert.equal(0, failed)
    assert.is_true(served > 1000)
    assert.equal(0, unprepared())
    assert.is_true(world:node(2):counters().executes > before + 100)
    settled()
  end)

  it("hasn't where nobody wants that", function()
    connect { prepare_on_all = false }
    local statements = prepare(20)
    execute_everywhere(statements[1])
    local failed = under_load(statements, 10000, function()
      world.cql.sleep(1000)
      world:node(2):restart()
    end)
    assert.equal(0, failed)
    assert.is_true(unprepared() > 20)
  end)

  it("serves after two seconds, whatever it says to PREPARE", function()
    connect()
    local node, text = world:node(2), "SELECT host_id FROM system.local"
    prepare(300)
    node:kill()
    world.cql.sleep(500)
    world:rule { opcode = "PREPARE", node = node, answer = "nothing" }
    node:start()
    for _ = 1, 1000 do
      if session:metrics().connections == 3 then break end
      world.cql.sleep(10)
    end
    local function asked()
      for _ = 1, 60 do assert(session:execute(text)) end
      return #world:asked { node = node, text = text }
    end
    assert.equal(0, asked())
    assert.equal(100, node:counters().prepares - 300)
    local target
    for _, known in ipairs(assert(session:nodes())) do
      if known.address == node:address() then target = known end
    end
    local started = world:now()
    assert(session:execute(text, nil, { node = target })) -- it waits until then
    assert.is_true(world:now() - started > 1000 and world:now() - started < 2100)
    settled(100)
  end)

  it("that goes again meanwhile, or whose session closes, leaves nothing", function()
    connect()
    prepare(300)
    for _ = 1, 5 do
      world:node(2):kill()
      world.cql.sleep(1000)
      world:node(2):start()
      for _ = 1, 200 do
        local metrics = session:metrics()
        if metrics.connections == 3 then break end
        world.cql.sleep(5)
      end
    end
    world:node(2):kill()
    settled()
    world:node(2):start()
    for _ = 1, 2000 do
      if session:metrics().connections == 3 then break end
      world.cql.sleep(1)
    end
    session:close(0)
  end)
end)
