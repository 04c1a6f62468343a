-- Where requests go, on three real nodes in two datacenters: the servers' own traces say who
-- coordinated each, and nodetool says who has its token.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"
local drivers = require "spec.support.drivers"
local ring_of = require "spec.support.ring_of"
local unit = require "spec.support.unit"

local KEYSPACES = {
  routing_three = "{'class': 'SimpleStrategy', 'replication_factor': 3}",
  routing_one = "{'class': 'SimpleStrategy', 'replication_factor': 1}",
  routing_both = "{'class': 'NetworkTopologyStrategy', 'dc1': 2, 'dc2': 1}",
  routing_mixed = "{'class': 'NetworkTopologyStrategy', 'dc1': 1, 'dc2': 1}",
}

local random = unit.random(7)
local function text() return ("%08x-%04d"):format(random(2 ^ 30), random(10000)) end
local function int() return random(2 ^ 30) - 2 ^ 29 end

-- Tables, and what is asked of them; {ks} is the keyspace. `key` makes one row's values.
local SHAPES = {
  {
    name = "a simple key", table = "simple (id int PRIMARY KEY, v int)",
    insert = "INSERT INTO {ks}.simple (id, v) VALUES (?, 1)",
    select = "SELECT token(id) AS place FROM {ks}.simple WHERE id = ?",
    key = function() return { int() } end,
  },
  {
    name = "a key of text", table = "words (word text PRIMARY KEY, v int)",
    insert = "INSERT INTO {ks}.words (v, word) VALUES (1, ?)",
    select = "SELECT token(word) AS place FROM {ks}.words WHERE word = ?",
    key = function() return { text() } end,
  },
  {
    name = "a composite key", table = "composite (a int, b text, c uuid, v int, "
      .. "PRIMARY KEY ((a, b, c)))",
    insert = "INSERT INTO {ks}.composite (a, b, c, v) VALUES (?, ?, ?, 1)",
    select = "SELECT token(a, b, c) AS place FROM {ks}.composite WHERE a = ? AND b = ? AND c = ?",
    key = function() return { int(), text(), cql.uuid() } end,
  },
  {
    name = "a composite key out of order", table = "reordered (a int, b text, c int, v text, "
      .. "PRIMARY KEY ((a, b), c))",
    insert = "INSERT INTO {ks}.reordered (v, c, b, a) VALUES (?, ?, ?, ?)",
    select = "SELECT token(a, b) AS place FROM {ks}.reordered WHERE b = ? AND c = ? AND a = ?",
    key = function()
      local a, b, c = int(), text(), int()
      return { text(), c, b, a }, { b, c, a }
    end,
  },
  {
    name = "a composite key by name", table = "named (a int, b text, v int, "
      .. "PRIMARY KEY ((a, b)))",
    insert = "INSERT INTO {ks}.named (v, b, a) VALUES (:v, :b, :a)",
    select = "SELECT token(a, b) AS place FROM {ks}.named WHERE b = :b AND a = :a",
    key = function()
      local a, b = int(), text()
      return { a = a, b = b, v = 1 }, { a = a, b = b }
    end,
  },
}

local DISTANCES = {
  ["by rack and datacenter"] = function(node)
    if not node.datacenter then return nil end -- nobody has told yet
    if node.datacenter ~= "dc1" then return "remote" end
    return node.rack == "r2" and "rack" or "local"
  end,
  ["that prefer the other datacenter"] = function(node)
    return node.datacenter and (node.datacenter == "dc2" and "local" or "remote")
  end,
  ["that are all the same"] = function() return "local" end,
}

local RANK = { rack = 1, ["local"] = 2, remote = 3 }

local function host(address) return (address:gsub(":%d+$", "")) end

cassandra.describe("three nodes in two datacenters", {
  dcs = "2,1", racks = 2, prop = "cassandra.unsafesystem=true",
}, function(server)
  local places, rings, sessions = {}, {}, {}

  -- A session that knows its cluster, and that the teardown closes.
  local function connect(more)
    local session = assert(cql.connect(server:options(more)))
    sessions[#sessions + 1] = session
    local ignored, up
    for _ = 1, 100 do
      ignored, up = 0, 0
      for _, node in ipairs(assert(session:nodes())) do
        up = up + (node.up and 1 or 0)
        ignored = ignored + (node.distance == "ignored" and 1 or 0)
      end
      if up + ignored == 3 then return session end
      cql.sleep(50)
    end
    error(("%d nodes are up, %d ignored"):format(up, ignored))
  end

  setup(function()
    for _, node in ipairs(server:nodes()) do places[node.address] = node end
    -- One node alone, so that it knows what it was told before.
    local session = assert(cql.connect(server:options {
      contact_points = server:nodes()[1].address, discover = false,
    }))
    for keyspace, replication in pairs(KEYSPACES) do
      assert(session:execute(("CREATE KEYSPACE %s WITH replication = %s AND "
        .. "durable_writes = false"):format(keyspace, replication)))
      for _, shape in ipairs(SHAPES) do
        assert(session:execute(("CREATE TABLE %s.%s"):format(keyspace, shape.table)))
      end
      rings[keyspace] = ring_of(server, keyspace)
    end
    assert(session:close())
  end)
  teardown(function()
    for _, session in ipairs(sessions) do assert(session:close()) end
  end)

  -- { [tracing id] = coordinator }. They come a little later, and a busy server leaves some out.
  local function coordinators(session, wanted)
    local found, count
    for _ = 1, 50 do
      found, count = {}, 0
      local rows = assert(session:execute("SELECT session_id, coordinator FROM "
        .. "system_traces.sessions", nil, { consistency = "one" }))
      for row in rows:each() do found[row.session_id] = row.coordinator end
      for _, one in ipairs(wanted) do count = count + (found[one.id] and 1 or 0) end
      if count == #wanted then break end
      cql.sleep(100)
    end
    assert.is_true(count > #wanted / 2, ("%d traces of %d"):format(count, #wanted))
    return found
  end

  -- The nearest of these addresses, as a set.
  local function nearest(addresses, distance)
    local best, set = 9, {}
    for _, address in ipairs(addresses) do
      local rank = RANK[distance(places[address])]
      if rank < best then best, set = rank, {} end
      if rank == best then set[address] = true end
    end
    return set
  end

  local function asked(session, keyspace, shape, count)
    local traced = {}
    local insert = assert(session:prepare((shape.insert:gsub("{ks}", keyspace))))
    local select = assert(session:prepare((shape.select:gsub("{ks}", keyspace))))
    for _ = 1, count do
      local values, key = shape.key()
      local written = assert(session:execute(insert, values,
        { consistency = "all", tracing = true }))
      local read = assert(session:execute(select, key or values, { tracing = true }))
      for _, rows in ipairs { written, read } do
        traced[#traced + 1] = { id = rows.execution.tracing_id, token = read[1].place,
          node = rows.execution.node, what = rows == read and "read" or "write" }
      end
    end
    return traced
  end

  for name, distance in pairs(DISTANCES) do
    describe("with distances " .. name, function()
      local session
      setup(function()
        session = connect { consistency = "one", distance = distance }
      end)

      for keyspace in pairs(KEYSPACES) do
        it("coordinate at a nearest replica, in " .. keyspace, function()
          local traced = {}
          for _, shape in ipairs(SHAPES) do
            for _, one in ipairs(asked(session, keyspace, shape, 20)) do
              one.what = one.what .. " by " .. shape.name
              traced[#traced + 1] = one
            end
          end
          local found, used = coordinators(session, traced), {}
          for _, one in ipairs(traced) do
            local right = nearest(rings[keyspace]:replicas(one.token), distance)
            local coordinator = found[one.id]
            if coordinator and not right[coordinator] then
              error(("%s of token %s: coordinated by %s"):format(one.what, one.token, coordinator))
            end
            assert.equal(coordinator or host(one.node), host(one.node))
            assert.is_true(right[host(one.node)])
            used[host(one.node)] = true
          end
          -- and not always by the same where several are equal
          for _, one in ipairs(traced) do
            for address in pairs(nearest(rings[keyspace]:replicas(one.token), distance)) do
              assert.is_true(used[address], address .. " is never used")
            end
          end
        end)
      end
    end)
  end

  it("are planned as they are asked: replicas first, nearest first", function()
    local distance = DISTANCES["by rack and datacenter"]
    local session = connect { consistency = "one", distance = distance }
    for keyspace in pairs(KEYSPACES) do
      local shape = SHAPES[1]
      local select = assert(session:prepare((shape.select:gsub("{ks}", keyspace))))
      for _ = 1, 50 do
        local values = shape.key()
        assert(session:execute((shape.insert:gsub("{ks}", keyspace)), values,
          { consistency = "all" }))
        local token = assert(session:execute(select, values))[1].place
        local replicas, seen, rank = {}, {}, 0
        for _, address in ipairs(rings[keyspace]:replicas(token)) do replicas[address] = true end
        for _, step in ipairs(assert(session:plan(select, values))) do
          local address = host(step.node.address)
          local own = RANK[distance(places[address])]
          assert.is_nil(seen[address])
          seen[address] = true
          assert.equal(replicas[address] or false, step.replica)
          assert.equal(distance(places[address]), step.node.distance)
          local order = own + (step.replica and 0 or 10)
          assert.is_true(order >= rank)
          rank = order
        end
        for address in pairs(places) do assert.is_true(seen[address]) end
      end
    end
  end)

  it("coordinate serial reads always at the first replica of the ring", function()
    local session = connect {
      consistency = "serial", distance = DISTANCES["that are all the same"],
    }
    local select = assert(session:prepare("SELECT token(id) AS place FROM routing_three.simple "
      .. "WHERE id = ?"))
    for _ = 1, 20 do
      local id, first = int(), nil
      assert(session:execute("INSERT INTO routing_three.simple (id, v) VALUES (?, 1)", { id },
        { consistency = "quorum" }))
      for _ = 1, 3 do
        local rows = assert(session:execute(select, { id }))
        first = first or rings.routing_three:replicas(rows[1].place)[1]
        assert.equal(first, host(rows.execution.node))
      end
    end
  end)

  it("go where they are told to go", function()
    local session = connect { consistency = "one" }
    for _, node in ipairs(assert(session:nodes())) do
      for _ = 1, 5 do
        local rows = assert(session:execute("SELECT rpc_address FROM system.local", nil,
          { node = node }))
        assert.equal(host(node.address), rows[1].rpc_address)
        assert.equal(node.address, rows.execution.node)
      end
    end
  end)

  it("have the replicas that the Python driver computes, for 100,000 keys", function()
    local python = drivers.python "cassandra-driver"
    if not python then return pending "its package can't be installed here" end
    local session = connect { consistency = "one" }
    local input, output = os.tmpname(), os.tmpname()
    local keys, file = {}, assert(io.open(input, "w"))
    for i = 1, 100000 do
      local a, b, kind = int(), text(), ({ "simple", "words", "named" })[i % 3 + 1]
      local part, other = unit.u32(a), b
      if kind == "simple" then
        keys[i] = { kind, { a } }
        file:write(unit.hex(part), "\n")
      elseif kind == "words" then
        keys[i] = { kind, { b } }
        file:write(unit.hex(other), "\n")
      else -- [short length][bytes][0] for each part
        keys[i] = { kind, { a = a, b = b } }
        file:write(unit.hex(unit.str(part) .. "\0" .. unit.str(other) .. "\0"), "\n")
      end
    end
    file:close()
    local names = {}
    for keyspace in pairs(KEYSPACES) do names[#names + 1] = keyspace end
    local command = ("timeout 300 %s spec/support/driver_replicas.py %s %s %s >%s 2>&1"):format(
      python, server:nodes()[1].address, input, table.concat(names, " "), output)
    assert.equal(0, os.execute(command))
    local compared, statements = 0, {}
    for keyspace in pairs(KEYSPACES) do
      for table, where in pairs {
        simple = "id = ?", words = "word = ?", named = "b = :b AND a = :a",
      } do
        statements[keyspace .. table] = assert(session:prepare(("SELECT v FROM %s.%s WHERE %s")
          :format(keyspace, table, where)))
      end
    end
    for line in io.lines(output) do
      local keyspace, number, theirs = line:match "^(%S+) (%d+) (%S+)$"
      assert(keyspace, line)
      local ours = {}
      local key = keys[tonumber(number)]
      for _, step in ipairs(assert(session:plan(statements[keyspace .. key[1]], key[2]))) do
        if step.replica then ours[#ours + 1] = host(step.node.address) end
      end
      table.sort(ours)
      local joined = table.concat(ours, ",")
      if joined ~= theirs then assert.equal(theirs, joined, line) end
      compared = compared + 1
    end
    assert.equal(#names * #keys, compared)
    os.remove(input)
    os.remove(output)
  end)

  it("stay in the datacenter that is told to be the local one", function()
    local session = connect { local_datacenter = "dc1" }
    local nodes, count = {}, 0
    for _, keyspace in ipairs { "routing_both", "routing_one" } do
      for _ = 1, 100 do
        local rows = assert(session:execute(("SELECT v FROM %s.simple WHERE id = ?"):format(
          keyspace), { int() }, { consistency = keyspace == "routing_one" and "one" or nil }))
        nodes[host(rows.execution.node)] = true
      end
    end
    for address in pairs(nodes) do
      assert.equal("dc1", places[address].datacenter)
      count = count + 1
    end
    assert.equal(2, count)
  end)
end)
