-- The system tables: the cluster as one node sees it, and the schema, read as any table is.
local ffi = require "ffi"
local unit = require "spec.support.unit"
local store = require "spec.support.store"

local C = unit.C

local function node(kept, n, tokens)
  local function keep(value)
    kept[#kept + 1] = value
    return value
  end
  local out = ffi.new "cql__system_node"
  local address = { keep(unit.buffer("\127\0\0" .. string.char(n))), 4 }
  out.host_id, out.schema_version = keep(unit.buffer(("h"):rep(15) .. n)), keep(("v"):rep(16))
  out.address, out.native_address, out.native_port = address, address, 9042
  out.datacenter, out.rack, out.release_version = keep("dc" .. n), keep "r1", keep "5.0.9"
  out.tokens, out.token_count = keep(ffi.new("int64_t[?]", #tokens, tokens)), #tokens
  return out
end

-- A cluster of three nodes as the first sees it; all its memory is kept by the second value.
local function cluster()
  local kept = {}
  local peers = ffi.new("cql__system_node[2]", { node(kept, 2, { 5LL }), node(kept, 3, {}) })
  peers[1].native_address.length = C.CQL_NULL
  local system = ffi.new "cql__system"
  kept[#kept + 1] = peers
  system.cluster_name, system.native_protocol_version = "Test", "5"
  system.partitioner = "org.apache.cassandra.dht.Murmur3Partitioner"
  system["local"] = node(kept, 1, { -10LL, 7LL })
  system.peers, system.peer_count = peers, 2
  return system, kept
end

local function texts(bytes)
  local out, at = {}, 5
  while at <= #bytes do
    local length = bytes:byte(at + 3)
    out[#out + 1] = bytes:sub(at + 4, at + 3 + length)
    at = at + 4 + length
  end
  return out
end

local db, system, kept
before_each(function()
  system, kept = cluster()
  db = store.new()
  C.cql__system_install(db.handle)
end)
after_each(function() assert(kept) end)

local function rows(text) return db:rows(text, nil, { system = system }) end

describe("system.local", function()
  it("is the node that is asked", function()
    local row = rows("SELECT * FROM system.local")[1]
    assert.equal("local", row.key)
    assert.equal(("h"):rep(15) .. "1", row.host_id)
    assert.equal("\127\0\0\1", row.rpc_address)
    assert.equal("dc1 r1 5.0.9 Test 5", table.concat({ row.data_center, row.rack,
      row.release_version, row.cluster_name, row.native_protocol_version }, " "))
    assert.equal(("v"):rep(16), row.schema_version)
    assert.same({ "-10", "7" }, texts(row.tokens))
    assert.equal("org.apache.cassandra.dht.Murmur3Partitioner", row.partitioner)
    assert.equal(9042, row.rpc_port)
  end)

  it("is read as any table is", function()
    assert.same({ { release_version = "5.0.9" } },
      rows "SELECT release_version FROM system.local WHERE key = 'local'")
    assert.same({}, rows "SELECT * FROM system.local WHERE key = 'other'")
    assert.same({ { key = "local" } }, rows "SELECT key FROM system.local") -- again
  end)

  it("is empty where no node is asked", function()
    assert.same({}, db:rows "SELECT * FROM system.local")
  end)
end)

describe("system.peers", function()
  it("has the others", function()
    local list = rows "SELECT * FROM system.peers"
    assert.equal(2, #list)
    table.sort(list, function(a, b) return a.peer < b.peer end)
    assert.equal("dc2", list[1].data_center)
    assert.equal("\127\0\0\2", list[1].rpc_address)
    assert.same({ "5" }, texts(list[1].tokens))
    assert.is_nil(list[2].rpc_address) -- not known yet
    assert.is_nil(list[2].tokens)
    assert.same({ { rack = "r1" } }, rows "SELECT rack FROM system.peers WHERE peer = '127.0.0.3'")
  end)

  it("of the second version has ports", function()
    local list = rows "SELECT peer, peer_port, native_address, native_port FROM system.peers_v2"
    table.sort(list, function(a, b) return a.peer < b.peer end)
    assert.same({
      { peer = "\127\0\0\2", peer_port = 7000, native_address = "\127\0\0\2", native_port = 9042 },
      { peer = "\127\0\0\3", peer_port = 7000 },
    }, list)
  end)
end)

describe("system_schema", function()
  before_each(function()
    db:run [[CREATE KEYSPACE k WITH replication =
      {'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc2': 1} AND durable_writes = false]]
    db:run "CREATE TYPE k.u (a int, b frozen<list<text>>)"
    db:run [[CREATE TABLE k.t (p int, q int, c text, d int, v frozen<u>, w map<text, int>,
      s int static, PRIMARY KEY ((p, q), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC)
      AND comment = 'mine']]
    db:run "CREATE INDEX by_d ON k.t (d)"
  end)

  it("has keyspaces with their replication", function()
    local row = rows("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'k'")[1]
    assert.is_false(row.durable_writes)
    assert.same({ "class", "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1", "3",
      "dc2", "1" }, texts(row.replication))
    local names = {}
    for i, one in ipairs(rows "SELECT keyspace_name FROM system_schema.keyspaces") do
      names[i] = one.keyspace_name
    end
    table.sort(names)
    assert.same({ "k", "system", "system_schema" }, names) -- none that is virtual
  end)

  it("names the datacenters that replication_factor stands for", function()
    db:run [[CREATE KEYSPACE n WITH replication =
      {'class': 'NetworkTopologyStrategy', 'replication_factor': 3, 'dc2': 1}]]
    local text = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = 'n'"
    assert.same({ "class", "org.apache.cassandra.locator.NetworkTopologyStrategy", "dc1", "3",
      "dc2", "1", "dc3", "3" }, texts(rows(text)[1].replication))
  end)

  it("has tables and their columns", function()
    local t = rows [[SELECT * FROM system_schema.tables
      WHERE keyspace_name = 'k' AND table_name = 't']]
    assert.equal(1, #t)
    assert.equal("mine", t[1].comment)
    assert.equal(16, #t[1].id)
    assert.same({ "compound" }, texts(t[1].flags))
    local out = {}
    for i, c in ipairs(rows [[SELECT * FROM system_schema.columns WHERE keyspace_name = 'k']]) do
      out[i] = ("%s %s %d %s %s"):format(c.column_name, c.kind, c.position, c.clustering_order,
        c.type)
    end
    assert.same({
      "c clustering 0 desc text", "d clustering 1 asc int", "p partition_key 0 none int",
      "q partition_key 1 none int", "s static -1 none int", "v regular -1 none frozen<u>",
      "w regular -1 none map<text, int>",
    }, out)
  end)

  it("has types and indexes", function()
    local u = rows("SELECT * FROM system_schema.types")[1]
    assert.same({ "a", "b" }, texts(u.field_names))
    assert.same({ "int", "frozen<list<text>>" }, texts(u.field_types))
    local i = rows("SELECT * FROM system_schema.indexes")[1]
    assert.equal("k t by_d COMPOSITES", table.concat({ i.keyspace_name, i.table_name, i.index_name,
      i.kind }, " "))
    assert.same({ "target", "d" }, texts(i.options))
  end)

  it("has what there is none of", function()
    for _, name in ipairs { "views", "functions", "aggregates", "triggers", "dropped_columns" } do
      assert.same({}, rows("SELECT * FROM system_schema." .. name))
    end
    for _, name in ipairs { "keyspaces", "tables", "columns" } do
      assert.same({}, rows("SELECT * FROM system_virtual_schema." .. name))
    end
  end)

  it("describes itself", function()
    local seen = {}
    for _, t in ipairs(rows [[SELECT table_name FROM system_schema.tables
      WHERE keyspace_name = 'system_schema']]) do seen[t.table_name] = true end
    assert.is_true(seen.columns and seen.tables and seen.types)
  end)

  it("is read in pages", function()
    local text, count, state = "SELECT column_name FROM system_schema.columns", 0, nil
    local all = #rows(text)
    assert.is_true(all > 50)
    repeat
      local page = db:run(text, nil, { system = system, page_size = 7, paging_state = state })
      count, state = count + #page.rows, page.paging_state
    until not state
    assert.equal(all, count)
  end)

  it("is not for writing", function()
    for _, text in ipairs { "INSERT INTO system.local (key) VALUES ('x')",
      "DROP KEYSPACE system", "CREATE TABLE system_schema.x (id int PRIMARY KEY)",
      "TRUNCATE system.peers" } do
      local message, code = db:fail(text)
      assert.equal(0x2100, code)
      assert.is_truthy(message:find "not user%-modifiable")
    end
  end)

  it("does not count in the schema's version", function()
    local bare = store.new()
    local installed = store.new()
    C.cql__system_install(installed.handle)
    assert.equal(bare:version(), installed:version())
  end)
end)

describe("Scylla", function()
  it("has tables of its own, and none of Cassandra's new ones", function()
    db = store.new(true)
    C.cql__system_install(db.handle)
    db:run [[CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy',
      'replication_factor': 1} AND tablets = {'enabled': true}]]
    db:run [[CREATE KEYSPACE v WITH replication = {'class': 'SimpleStrategy',
      'replication_factor': 1} AND tablets = {'enabled': false}]]
    db:run "CREATE TABLE k.t (id int PRIMARY KEY)"
    assert.same({ { keyspace_name = "k", initial_tablets = 8 } },
      rows "SELECT keyspace_name, initial_tablets FROM system_schema.scylla_keyspaces")
    assert.equal(1, #rows [[SELECT partitioner FROM system_schema.scylla_tables
      WHERE keyspace_name = 'k' USING TIMEOUT 30000ms]])
    assert.equal("table peers_v2 does not exist", (db:fail "SELECT * FROM system.peers_v2"))
    assert.equal("keyspace system_virtual_schema does not exist",
      (db:fail "SELECT * FROM system_virtual_schema.tables"))
    assert.equal(1, #rows "SELECT * FROM system.local")
  end)

  it("alone has them", function()
    assert.equal("table scylla_tables does not exist",
      (db:fail "SELECT * FROM system_schema.scylla_tables"))
  end)
end)
