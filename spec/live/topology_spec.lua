-- Nodes that are killed, stand still, restart, join and leave while 256 requests are under way, on
-- real nodes: every request ends once, with its own answer, and none fails, since all of them may
-- be sent again. Afterwards requests go where the servers say that the data is.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"
local ring_of = require "spec.support.ring_of"

local TOOL = "env -u LD_PRELOAD " .. (os.getenv "CQL_CASSANDRA_TOOL" or "tools/cassandra")
local WORKERS, ROWS = 256, 2000

local function host(address) return (address:gsub(":%d+$", "")) end

-- Waits for `check()`, which gives a value or false and what is missing, within a bounded time.
local function eventually(check, limit_ms)
  local deadline = cql.now() + (limit_ms or 60000)
  while true do
    local value, why = check()
    if value then return value end
    if cql.now() > deadline then error("it never came: " .. tostring(why), 2) end
    cql.sleep(100)
  end
end

-- Runs the server's tool beside this process, and waits for its end while requests go on.
local function tool(server, word, ...)
  local log = os.tmpname()
  local words = { TOOL, word, "--name", server.name, ... }
  os.execute(("( %s; echo status $? ) >%s 2>&1 &"):format(table.concat(words, " "), log))
  local output = eventually(function()
    local file = assert(io.open(log))
    local text = file:read "*a"
    file:close()
    return text:find "status %d+\n$" and text, word
  end, 240000)
  os.remove(log)
  assert.matches("status 0\n$", output)
end

cassandra.describe("three nodes under load", { dcs = "2,1", racks = 2 }, function(server)
  local session
  local near = "dc1" -- the datacenter that is the local one
  local heard = {} -- "node_up 127.0.10.2"

  local function hear(event) heard[event.name .. " " .. host(event.node.address)] = true end

  local function distance(node)
    if not node.datacenter then return nil end -- nobody has told yet
    return node.datacenter == near and "local" or "ignored"
  end

  setup(function()
    -- One node alone, so that it knows what it was told before.
    local one = assert(cql.connect(server:options {
      contact_points = server:nodes()[1].address, discover = false, consistency = "all",
      request_timeout_ms = 60000,
    }))
    assert(one:execute("CREATE KEYSPACE topology WITH replication = "
      .. "{'class': 'NetworkTopologyStrategy', 'dc1': 2, 'dc2': 1}"))
    assert(one:execute "CREATE TABLE topology.kept (id int PRIMARY KEY, name text)")
    assert(one:execute "CREATE TABLE topology.written (id int PRIMARY KEY, name text)")
    assert(one:execute "CREATE TABLE topology.lists (id int PRIMARY KEY, l list<int>)")
    eventually(function()
      return one:execute("INSERT INTO topology.kept (id, name) VALUES (0, '')"), "agreement"
    end)
    local futures = {}
    for id = 1, ROWS do
      futures[id] = one:submit("INSERT INTO topology.kept (id, name) VALUES (?, ?)",
        { id, "row " .. id })
    end
    for id = 1, ROWS do assert(futures[id]:wait()) end
    assert(one:close())
    session = assert(cql.connect(server:options {
      consistency = "local_one", distance = distance, heartbeat_ms = 500,
      heartbeat_timeout_ms = 1000, reconnect_min_ms = 50, reconnect_max_ms = 500,
      request_timeout_ms = 20000,
      on = { node_up = hear, node_down = hear, node_added = hear, node_removed = hear,
        distance = hear },
    }))
  end)
  teardown(function() assert(session:close()) end)

  local QUERIES = {
    read = "SELECT id, name, token(id) AS place FROM topology.kept WHERE id = ?",
    write = "INSERT INTO topology.written (id, name) VALUES (?, ?)",
  }

  local function count(counts, rows, err)
    if rows then
      counts.ok = counts.ok + 1
    else
      local text = tostring(err)
      counts.failed[text] = (counts.failed[text] or 0) + 1
    end
  end

  -- Makes what a worker does in each round: a row is read and looked at, each fifth is written.
  local function reading()
    local read = assert(session:prepare(QUERIES.read, { idempotent = true }))
    local write = assert(session:prepare(QUERIES.write, { idempotent = true }))
    return function(counts, worker, round)
      local id = (worker + 7 * round) % ROWS + 1
      local name = "row " .. id
      if id % 5 == 0 then return count(counts, session:execute(write, { id, name })) end
      local rows, err = session:execute(read, { id })
      if rows and not rows[1] then
        counts.missing[rows.execution.node] = (counts.missing[rows.execution.node] or 0) + 1
      elseif rows and not (rows[1].id == id and rows[1].name == name) then
        counts.crossed = counts.crossed + 1
      end
      count(counts, rows, err)
    end
  end

  -- Runs `fn` while all workers do the same over and over; gives the counts.
  local function under_load(fn, work)
    local counts, ended = { ok = 0, crossed = 0, missing = {}, failed = {} }, false
    work = work or reading()
    local function rounds(worker)
      local round = 0
      while not ended do
        round = round + 1
        work(counts, worker, round)
      end
    end
    cql.run(function()
      local tasks = {}
      for worker = 1, WORKERS do tasks[worker] = cql.spawn(rounds, worker) end
      eventually(function() return counts.ok > 1000, "the first answers" end)
      local ok, err = pcall(fn)
      ended = true
      for _, task in ipairs(tasks) do task:wait() end
      if not ok then error(err, 0) end
    end)
    return counts
  end

  -- The nodes that answer now, as a set; each answer by a replica of the nearest distance. Nil and
  -- the reason where that is not so.
  local function used_now(ring)
    local read = assert(session:prepare(QUERIES.read))
    local datacenters, used = {}, {}
    for _, node in ipairs(server:nodes()) do datacenters[node.address] = node.datacenter end
    for id = 1, 200 do
      local rows, err = session:execute(read, { id })
      if not rows then return nil, tostring(err) end
      local node, right = host(rows.execution.node), false
      for _, address in ipairs(ring:replicas(rows[1].place)) do
        right = right or address == node and datacenters[address] == near
      end
      if not right then return nil, ("token %s goes to %s"):format(rows[1].place, node) end
      used[node] = true
    end
    return used
  end

  -- Until requests go to these nodes, by numbers, to all of them, and to no other.
  local function reaches(...)
    local addresses, wanted = {}, {}
    for _, node in ipairs(server:nodes()) do addresses[node.number] = node.address end
    for _, number in ipairs { ... } do wanted[addresses[number]] = true end
    local ring = ring_of(server, "topology")
    eventually(function()
      local used, why = used_now(ring)
      if not used then return false, why end
      for address in pairs(wanted) do
        if not used[address] then return false, address .. " is not used" end
      end
      for address in pairs(used) do
        if not wanted[address] then return false, address .. " is used" end
      end
      return true
    end)
  end

  -- Until this was told of the node that had `address`.
  local function is_told(name, address)
    eventually(function()
      return heard[name .. " " .. address], ("%s of %s\n%s"):format(name, address, session:dump())
    end)
    heard[name .. " " .. address] = nil
  end

  local function all_ended_once()
    local metrics = session:metrics()
    assert.equal(metrics.requests, metrics.completed)
    eventually(function() -- what the session asks for itself may go on for a while
      local in_flight = session:metrics().in_flight
      return in_flight == 0, in_flight .. " are under way"
    end)
  end

  local function nothing_went_wrong(counts)
    assert.same({}, counts.failed)
    assert.equal(0, counts.crossed)
    assert.same({}, counts.missing) -- by node
    all_ended_once()
  end

  local function address_of(number)
    for _, node in ipairs(server:nodes()) do
      if node.number == number then return node.address end
    end
  end

  it("go on when a node is killed, and come back to it", function()
    nothing_went_wrong(under_load(function()
      tool(server, "kill", 2)
      is_told("node_down", address_of(2))
      cql.sleep(3000)
      tool(server, "up", 2)
      is_told("node_up", address_of(2))
    end))
    reaches(1, 2)
  end)

  it("do nothing twice that must not happen twice", function()
    local append = assert(session:prepare "UPDATE topology.lists SET l = l + ? WHERE id = ?")
    -- By worker and number: whether it was done, as far as the node knows that lives on. (What the
    -- other one promised in its last moments may be forgotten.)
    local done, survivor = {}, address_of(1)
    for worker = 1, WORKERS do done[worker] = {} end
    local counts = under_load(function()
      tool(server, "kill", 2)
      cql.sleep(1000)
    end, function(counts, worker, round)
      local rows, err = session:execute(append, { { round }, worker })
      done[worker][round] = rows and host(rows.execution.node) == survivor or false
      count(counts, rows, err)
      if not rows then cql.sleep(10) end
    end)
    tool(server, "up", 2)
    all_ended_once()
    assert.is_string(next(counts.failed)) -- what was under way at node 2
    for text in pairs(counts.failed) do assert.matches("^CONNECTION_LOST", text) end
    local lost, doubled = 0, 0
    for worker = 1, WORKERS do
      local rows = assert(session:execute("SELECT l FROM topology.lists WHERE id = ?", { worker },
        { consistency = "all", timeout_ms = 60000 }))
      local times = {}
      for _, round in ipairs(rows[1].l) do times[round] = (times[round] or 0) + 1 end
      for round, was_done in ipairs(done[worker]) do
        local found = times[round] or 0
        if found > 1 then doubled = doubled + 1 end
        if was_done and found == 0 then lost = lost + 1 end
      end
    end
    assert.same({ 0, 0 }, { lost, doubled })
  end)

  it("go on when a node stands still, and come back to it", function()
    nothing_went_wrong(under_load(function()
      tool(server, "pause", 2)
      is_told("node_down", address_of(2)) -- by the heartbeat
      cql.sleep(2000)
      tool(server, "resume", 2)
      is_told("node_up", address_of(2))
    end))
    reaches(1, 2)
  end)

  it("go on when one node after the other is restarted", function()
    nothing_went_wrong(under_load(function()
      for number = 1, 3 do
        heard = {}
        tool(server, "term", number)
        cql.sleep(500)
        tool(server, "up", number)
        if number < 3 then is_told("node_up", address_of(number)) end -- or none would be left
      end
    end))
    reaches(1, 2)
  end)

  it("come to a node that joins, and leave one that leaves", function()
    nothing_went_wrong(under_load(function()
      tool(server, "add", "--dc", "dc1", "--rack", "r2")
    end))
    is_told("node_added", address_of(4))
    reaches(1, 2, 4)
    local gone = address_of(2)
    nothing_went_wrong(under_load(function() tool(server, "decommission", 2) end))
    is_told("node_removed", gone)
    reaches(1, 4)
    local addresses = {}
    for _, node in ipairs(assert(session:nodes())) do
      addresses[#addresses + 1] = host(node.address)
    end
    table.sort(addresses)
    local expected = {}
    for i, node in ipairs(server:nodes()) do expected[i] = node.address end
    assert.same(expected, addresses)
  end)

  it("follow the distances when these change", function()
    heard = {}
    for _, datacenter in ipairs { "dc2", "dc1" } do
      nothing_went_wrong(under_load(function()
        near = datacenter
        assert(session:refresh_distances())
        for number = 1, 4 do
          if address_of(number) then is_told("distance", address_of(number)) end
        end
        cql.sleep(2000)
      end))
      reaches(unpack(datacenter == "dc2" and { 3 } or { 1, 4 }))
    end
  end)
end)
