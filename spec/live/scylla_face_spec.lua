-- ScyllaDB over sockets: real nodes of Cassandra behind a face that ScyllaDB's own Python driver
-- takes for the real thing.
local ffi = require "ffi"
local cql = require "cql"
local cassandra = require "spec.support.cassandra"
local certificates = require "spec.support.certificates"
local drivers = require "spec.support.drivers"
local ring_of = require "spec.support.ring_of"
local scylla_face = require "spec.support.scylla_face"

local PREFIX = "127.0.78."

-- Waits until all nodes have the same schema.
local function agreed(session)
  for _ = 1, 100 do
    local own = assert(session:execute "SELECT schema_version FROM system.local")[1].schema_version
    local same = true
    for _, row in ipairs(assert(session:execute "SELECT schema_version FROM system.peers_v2")) do
      same = same and row.schema_version == own
    end
    if same then return end
    cql.sleep(100)
  end
  error "no agreement"
end

cassandra.describe("behind ScyllaDB's face", {
  nodes = 2, advertise = PREFIX, prop = "cassandra.unsafesystem=true",
}, function(server)
  local face, direct

  local function connect(more)
    local options = {
      contact_points = PREFIX .. "1," .. PREFIX .. "2", consistency = "one",
    }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(cql.connect(options))
  end

  -- A count of all nodes.
  local function total(name)
    local sum = 0
    for _, counts in pairs(face:counts()) do sum = sum + (counts[name] or 0) end
    return sum
  end

  setup(function()
    direct = assert(cql.connect(server:options {
      contact_points = server:nodes()[1].address, discover = false, consistency = "all",
    }))
    local session = direct
    assert(session:execute("CREATE KEYSPACE face WITH replication = "
      .. "{'class': 'SimpleStrategy', 'replication_factor': 2}"))
    assert(session:execute "CREATE TABLE face.t (id int PRIMARY KEY, name text)")
    agreed(session)
    for id = 0, 199 do
      assert(session:execute("INSERT INTO face.t (id, name) VALUES (?, ?)", { id, "row " .. id }))
    end
    face = scylla_face.start(server, PREFIX)
  end)
  teardown(function()
    if face then face:stop() end
    assert(direct:close())
  end)

  it("ScyllaDB's Python driver sees shards, marks and tablets", function()
    local python = drivers.python "scylla-driver"
    if not python then return pending "its package can't be installed here" end
    local place = face:counts()[PREFIX .. "2"].host_id .. ":2"
    face:ask("tablet " .. place)
    local pipe = assert(io.popen(("timeout 120 %s spec/support/driver_face.py %s1 2>&1"):format(
      python, PREFIX)))
    local said, text = {}, ""
    local before
    for line in pipe:lines() do
      text = text .. line .. "\n"
      local name, value = line:match "^(%w+): (.*)$"
      if name then said[name] = value end
      if name == "warm" then before = face:counts() end
    end
    pipe:close()
    local after = face:counts()
    assert.equal("now", said["end"], text)
    assert.equal(PREFIX .. "1," .. PREFIX .. "2", said.hosts)
    assert.equal("3/3,3/3", said.shards)
    assert.equal("True False", said.lwt)
    assert.equal(place, said.tablet)
    assert.equal("200", said.rows)
    local function there(counts) return counts[PREFIX .. "2"]["execute 2"] or 0 end
    assert.is_true(there(after) - there(before) >= 200)
    assert.equal(before[PREFIX .. "1"]["tablet payload"], after[PREFIX .. "1"]["tablet payload"])
    assert.is_true((after[PREFIX .. "1"]["shard-aware port"] or 0) > 0)
  end)

  it("every connection says which extensions it speaks", function()
    local session = connect()
    for _, counts in pairs(face:counts()) do
      for _, key in ipairs {
        "SCYLLA_LWT_ADD_METADATA_MARK", "SCYLLA_RATE_LIMIT_ERROR", "TABLETS_ROUTING_V1",
        "SCYLLA_USE_METADATA_ID",
      } do
        assert.is_string(counts.startup[key], key)
      end
    end
    assert(session:close())
  end)

  it("a rate limit is an error of its own, and not asked for twice", function()
    local session = connect()
    local select = assert(session:prepare("SELECT name FROM face.t WHERE id = ?",
      { idempotent = true }))
    face:ask "limit 3"
    for id = 1, 6 do
      local rows, err = session:execute(select, { id })
      if id <= 3 then
        assert.is_nil(rows)
        assert.equal("RATE_LIMIT_ERROR", err.name)
        assert.equal(0xF000, err.code)
      else
        assert.equal("row " .. id, rows[1].name)
      end
    end
    assert(session:close())
  end)

  it("new columns come with their id, also in v4, and are known from then on", function()
    local session = connect()
    local query = "SELECT * FROM face.t WHERE id = ?"
    local select = assert(session:prepare(query))
    for id = 1, 20 do assert.equal("row " .. id, session:execute(select, { id })[1].name) end
    local skipped, changed = total "metadata skipped", total "metadata changed"
    assert.is_true(skipped >= 20)
    assert(direct:execute "ALTER TABLE face.t ADD extra text")
    agreed(direct)
    assert(direct:execute "UPDATE face.t SET extra = 'more' WHERE id = 1")
    for number = 1, 2 do -- others prepare it again, so that the nodes know it and its new columns
      local other = connect { contact_points = PREFIX .. number }
      for _ = 1, 10 do assert(other:execute(query, { 1 })) end
      assert(other:close())
    end
    for id = 1, 20 do
      local row = assert(session:execute(select, { id }))[1]
      assert.equal("row " .. id, row.name)
      assert.equal(id == 1 and "more" or nil, row.extra)
    end
    assert.is_true(total "metadata changed" > changed)
    changed, skipped = total "metadata changed", total "metadata skipped"
    for id = 1, 20 do
      local row = assert(session:execute(select, { id }))[1]
      assert.equal(id == 1 and "more" or nil, row.extra)
    end
    assert.equal(changed, total "metadata changed")
    assert.equal(skipped + 20, total "metadata skipped")
    assert(session:close())
  end)

  -- Waits for `check()`, which gives a value or false and what is missing.
  local function eventually(check)
    local deadline = cql.now() + 30000
    while true do
      local value, why = check()
      if value then return value end
      if cql.now() > deadline then error("it never came: " .. tostring(why), 2) end
      cql.sleep(50)
    end
  end

  -- Until every node has a connection to each of so many shards, and none to others.
  local function all_shards(count)
    eventually(function()
      for address, counts in pairs(face:counts()) do
        for shard = 0, 9 do
          if ((counts["open " .. shard] or 0) > 0) ~= (shard < count) then
            return false, ("%s, shard %d"):format(address, shard)
          end
        end
      end
      return true
    end)
  end

  -- The shard of a token, of `count` [scylladb docs/dev: protocol-extensions.md].
  local function shard_of(token, count)
    local biased = bit.lshift(ffi.cast("uint64_t", token) + 0x8000000000000000ULL, 12)
    local high, low = bit.rshift(biased, 32), bit.band(biased, 0xffffffffULL)
    return tonumber(bit.rshift(high * count + bit.rshift(low * count, 32), 32))
  end

  -- Where an execution came to: "127.0.78.1 2".
  local function place_of(fn)
    local before = face:counts()
    fn()
    for address, counts in pairs(face:counts()) do
      for shard = 0, 9 do
        local name = "execute " .. shard
        if (counts[name] or 0) > (before[address][name] or 0) then
          return address .. " " .. shard
        end
      end
    end
  end

  -- All nodes know this statement, so that it isn't prepared again in between.
  local function known(session, query)
    local statement = assert(session:prepare(query, { idempotent = true }))
    for id = 1, 60 do assert(session:execute(statement, { id })) end
    return statement
  end

  local SELECT = "SELECT name, token(id) AS place FROM face.t WHERE id = ?"

  local function go_to_their_shards(session, count)
    local select = known(session, SELECT)
    for id = 1, 30 do
      local rows
      local place = place_of(function() rows = assert(session:execute(select, { id })) end)
      assert.equal("row " .. id, rows[1].name)
      assert.equal(shard_of(rows[1].place, count), tonumber(place:match " (%d+)$"))
    end
  end

  it("there is a connection to each shard, through the shard-aware port", function()
    local before = {}
    for address, counts in pairs(face:counts()) do before[address] = counts end
    local session = connect()
    all_shards(3)
    for address, counts in pairs(face:counts()) do
      local function opened(port) return (counts[port] or 0) - (before[address][port] or 0) end
      assert.equal(2, opened "shard-aware port")
    end
    go_to_their_shards(session, 3)
    assert(session:close())
  end)

  it("there is one under TLS, through the port for that", function()
    face:stop()
    face = scylla_face.start(server, PREFIX,
      { cert = certificates.node, key = certificates.node_key })
    local session = connect { tls = { ca = certificates.ca, name = "localhost" } }
    all_shards(3)
    for _, counts in pairs(face:counts()) do
      assert.same({ 2, 0 },
        { counts["shard-aware port for TLS"] or 0, counts["shard-aware port"] or 0 })
    end
    go_to_their_shards(session, 3)
    assert(session:close())
    face:stop()
    face = scylla_face.start(server, PREFIX)
  end)

  it("there is one also where ports are not what they seem", function()
    face:ask "nat 1"
    local session = connect()
    all_shards(3)
    go_to_their_shards(session, 3)
    local before = face:counts()
    cql.sleep(2000)
    for address, counts in pairs(face:counts()) do -- it has come to rest
      assert.equal(before[address]["plain port"], counts["plain port"])
      assert.equal(before[address]["shard-aware port"], counts["shard-aware port"])
    end
    face:ask "nat 0"
    assert(session:close())
  end)

  it("nodes that come back with other shards get other connections", function()
    local warned = {}
    local session = connect { log = function(_, text)
      local address, count = text:match "^(%S+): the node has (%d+) shards now"
      if not address then return end
      local about = address .. " " .. count
      warned[about] = (warned[about] or 0) + 1
    end }
    all_shards(3)
    for _, count in ipairs { 5, 2, 3 } do
      face:ask("shards " .. count)
      face:ask "close"
      all_shards(count)
      go_to_their_shards(session, count)
    end
    assert(session:close())
    local once = {}
    for number = 1, 2 do
      for _, count in ipairs { 5, 2, 3 } do
        once[("%s%d:9042 %d"):format(PREFIX, number, count)] = 1
      end
    end
    assert.same(once, warned)
  end)

  it("requests follow a tablet that moves", function()
    face:ask "keyspace face" -- else its tables would have none
    local session = connect()
    all_shards(3)
    local select = known(session, SELECT)
    for _, where in ipairs { { 1, 2 }, { 2, 0 }, { 1, 1 } } do
      local address = PREFIX .. where[1]
      face:ask(("tablet %s:%d"):format(face:counts()[address].host_id, where[2]))
      assert(session:execute(select, { 1 })) -- comes to the wrong place, and learns
      assert(session:execute(select, { 2 }))
      local told = total "tablet payload"
      for id = 1, 20 do
        local place = place_of(function() assert(session:execute(select, { id })) end)
        assert.equal(address .. " " .. where[2], place)
      end
      assert.equal(told, total "tablet payload")
    end
    face:ask "tablet none"
    face:ask "keyspace none"
    assert(session:close())
  end)

  it("conditional statements are known by their mark, and go to the first replica", function()
    local session, ring = connect(), ring_of(server, "face")
    local update = known(session, "UPDATE face.t SET name = 'new' WHERE id = ? IF name = 'old'")
    local select = known(session, SELECT)
    local advertised = {}
    for _, node in ipairs(server:nodes()) do
      advertised[node.address] = PREFIX .. node.number
    end
    for id = 1, 20 do
      local token = assert(session:execute(select, { id }))[1].place
      for _ = 1, 2 do
        local rows = assert(session:execute(update, { id }))
        assert.is_false(rows.applied)
        assert.equal(advertised[ring:replicas(token)[1]], rows.execution.node:match "^[^:]+")
      end
    end
    assert(session:close())
  end)
end)
