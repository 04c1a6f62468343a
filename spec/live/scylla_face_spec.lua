-- ScyllaDB over sockets: real nodes of Cassandra behind a face that ScyllaDB's own Python driver
-- takes for the real thing.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"
local drivers = require "spec.support.drivers"
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
  local face

  setup(function()
    local session = assert(cql.connect(server:options {
      contact_points = server:nodes()[1].address, consistency = "all",
    }))
    assert(session:execute("CREATE KEYSPACE face WITH replication = "
      .. "{'class': 'SimpleStrategy', 'replication_factor': 2}"))
    assert(session:execute "CREATE TABLE face.t (id int PRIMARY KEY, name text)")
    agreed(session)
    for id = 0, 199 do
      assert(session:execute("INSERT INTO face.t (id, name) VALUES (?, ?)", { id, "row " .. id }))
    end
    assert(session:close())
    face = scylla_face.start(server, PREFIX)
  end)
  teardown(function()
    if face then face:stop() end
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
end)
