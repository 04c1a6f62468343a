-- Tablets of a simulated ScyllaDB, as a session learns them and goes by them.
local sim = require "cql.sim"

local KEYSPACE = "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', "
  .. "'dc1': 2} AND tablets = {'enabled': true, 'initial': 8}"
local TABLE = "CREATE TABLE ks.t (id int PRIMARY KEY, v text)"
local INSERT = "INSERT INTO t (id, v) VALUES (?, 'x')"

describe("tablets", function()
  local world, session, told

  before_each(function()
    told = {}
    world = sim.world { seed = 1, nodes = 4, product = "scylla" }
    world:given(KEYSPACE, TABLE)
    session = assert(world:connect {
      keyspace = "ks",
      on = { tablet = function(event) told[#told + 1] = event.keyspace .. "." .. event.table end },
    })
    world:run(function() world.cql.sleep(1000) end)
  end)

  -- How many of these requests came to a node that has no replica.
  local function astray(count)
    local before = world:counters().not_replica
    for id = 1, count do assert(session:execute(INSERT, { id })) end
    return world:counters().not_replica - before
  end

  it("are told by whoever is no replica, and then known", function()
    local first = astray(200)
    assert.is_true(first > 0 and first <= 8, tostring(first))
    assert.equal(0, astray(200))
    assert.is_true(#told >= first and #told <= 8) -- also by a replica's wrong shard
    assert.equal("ks.t", told[1])
    assert.equal(0, session:metrics().tablets_refused)
  end)

  it("show in plans with the shards of their replicas", function()
    astray(200)
    local statement = assert(session:prepare(INSERT))
    for id = 1, 200 do
      local wanted, given = {}, {}
      local plan = session:plan(statement, { id })
      assert.equal(4, #plan)
      assert(session:execute(statement, { id }))
      local asked = world:asked { opcode = "EXECUTE" }
      for _, replica in ipairs(world:replicas("ks", asked[#asked].token, "t")) do
        wanted[#wanted + 1] = replica.node:address() .. "#" .. replica.shard
      end
      for _, place in ipairs(plan) do
        if place.replica then
          given[#given + 1] = place.node.address .. "#" .. place.shard
        end
      end
      if #given > 0 then -- it may be one that no answer has told of: a replica was asked at once
        assert.same(wanted, given)
      end
    end
  end)

  it("have a request that is for one node go to the shard that it has there", function()
    astray(200)
    local statement, wrong = assert(session:prepare(INSERT)), world:counters().wrong_shard
    for id = 1, 200 do
      for _, place in ipairs(session:plan(statement, { id })) do
        local rows = assert(session:execute(statement, { id }, { node = place.node }))
        if place.replica then assert.equal(place.shard, rows.execution.shard) end
      end
    end
    assert.equal(wrong, world:counters().wrong_shard)
  end)

  it("that move are told anew", function()
    astray(200)
    for number = 1, 4 do
      world:move_tablet("ks", "t", 0, { { node = world:node(number), shard = 0 },
        { node = world:node(number % 4 + 1), shard = 0 } })
      astray(200)
      assert.equal(0, astray(200))
    end
  end)

  it("are forgotten with their table, and when it is made again", function()
    astray(200)
    local known = #told
    assert(session:execute "DROP TABLE ks.t")
    assert(session:execute(TABLE))
    world:run(function() world.cql.sleep(2000) end)
    astray(200)
    assert.equal(0, astray(200))
    assert.is_true(#told > known)
  end)

  it("of which a node has gone are forgotten", function()
    astray(200)
    world:node(4):decommission()
    world:run(function() world.cql.sleep(5000) end)
    astray(200)
    assert.equal(0, astray(200))
  end)
end)
