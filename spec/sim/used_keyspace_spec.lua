-- Prepared statements after USE, on nodes that don't know them: what names its keyspace goes on; of
-- the rest v5 still says which keyspace was meant, and before it nothing lands in another one.
local sim = require "cql.sim"

local REPLICATION = "{'class': 'SimpleStrategy', 'replication_factor': 2}"

local world, session

-- A session in keyspace one, of two that have the same table.
local function open(settings)
  local all = { seed = 1, nodes = 2 }
  for name, value in pairs(settings) do all[name] = value end
  world = sim.world(all)
  for _, keyspace in ipairs { "one", "two" } do
    world:given(
      ("CREATE KEYSPACE %s WITH replication = %s"):format(keyspace, REPLICATION),
      ("CREATE TABLE %s.t (k int PRIMARY KEY, v int)"):format(keyspace))
  end
  session = assert(world:connect { keyspace = "one", consistency = "one", log = function() end })
end

after_each(function()
  if session then session:close(0) end
  session, world = nil, nil
end)

local function prepare(text)
  local statement = assert(session:prepare(text))
  world.cql.sleep(1000) -- it is prepared on the other node, too
  return statement
end

local function count_of(keyspace)
  return #assert(session:execute("SELECT k FROM " .. keyspace .. ".t"))
end

local KINDS = {
  ["Cassandra, v3"] = { protocol_max = 3 },
  ["Cassandra, v4"] = { protocol_max = 4 },
  ["Cassandra, v5"] = {},
  ScyllaDB = { product = "scylla" },
}

for kind, settings in pairs(KINDS) do
  describe(kind .. ": a statement that was prepared before USE", function()
    it("and names its keyspace goes on, whoever has forgotten it", function()
      open(settings)
      local insert = prepare "INSERT INTO one.t (k, v) VALUES (?, ?)"
      local delete = prepare "DELETE FROM one.t WHERE k = ?"
      local select = prepare "SELECT k FROM one.t"
      for round, forgetful in ipairs { { 1 }, { 2 }, { 1, 2 } } do
        assert(session:use(round % 2 == 1 and "two" or "one"))
        for _, i in ipairs(forgetful) do world:node(i):forget() end
        local before = world:counters().prepares
        local futures = {}
        for k = 1, 20 do futures[k] = session:submit(insert, { k, round }) end
        for k = 1, 20 do assert(futures[k]:wait()) end
        for k = 1, 20 do assert.equal(20, #assert(session:execute(select)), k) end
        local batch = session:batch()
        for k = 1, 20 do
          batch:add(delete, { k })
          batch:add(insert, { k + 100, round })
        end
        for _ = 1, 10 do assert(session:execute(batch)) end
        assert.same({ 20, 0 }, { count_of "one", count_of "two" })
        assert(session:execute "TRUNCATE one.t")
        assert.is_true(world:counters().prepares - before <= 3 * 2) -- once each on each node
      end
    end)

    it("and doesn't name it never acts on another one's", function()
      open(settings)
      local insert = prepare "INSERT INTO t (k, v) VALUES (?, ?)"
      assert(session:use "two")
      for k = 1, 20 do assert(session:execute(insert, { k, k })) end
      assert.same({ 20, 0 }, { count_of "one", count_of "two" })
      for i = 1, 2 do world:node(i):forget() end
      for k = 21, 30 do
        local result, err = session:execute(insert, { k, k })
        if kind:find "v5" then
          assert(result, err)
        else
          assert.equal("REPREPARE_FAILED", err.name)
          assert.truthy(err.message:find("after USE: name the keyspace in its text", 1, true))
        end
      end
      assert.same({ kind:find "v5" and 30 or 20, 0 }, { count_of "one", count_of "two" })
    end)
  end)
end
