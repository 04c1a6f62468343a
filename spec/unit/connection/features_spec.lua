-- What ScyllaDB nodes offer in SUPPORTED, and what STARTUP asks for: all of it, parts, garbage,
-- nothing. The keys and values are those of scylladb docs/dev/protocol-extensions.md.
local ffi = require "ffi"
local unit = require "spec.support.unit"
local server = require "spec.support.server"
local wire = require "spec.support.wire"

local C = unit.C
local ALL = 63 -- CQL__FEATURES_ALL
local SHARDS, SHARD_PORT, LWT_MARK, RATE_LIMIT, TABLETS, METADATA_ID = 1, 2, 4, 8, 16, 32

-- What a node with everything says.
local function offers()
  return {
    { "CQL_VERSION", "3.3.1" },
    { "COMPRESSION", "lz4", "snappy" },
    { "CLIENT_OPTIONS", "" },
    { "SCYLLA_HOST_ID", "00112233-4455-6677-8899-aabbccddeeff" },
    { "SCYLLA_SHARD", "5" },
    { "SCYLLA_NR_SHARDS", "12" },
    { "SCYLLA_SHARDING_ALGORITHM", "biased-token-round-robin" },
    { "SCYLLA_SHARDING_IGNORE_MSB", "12" },
    { "SCYLLA_PARTITIONER", "org.apache.cassandra.dht.Murmur3Partitioner" },
    { "SCYLLA_SHARD_AWARE_PORT", "19042" },
    { "SCYLLA_SHARD_AWARE_PORT_SSL", "19142" },
    { "SCYLLA_LWT_ADD_METADATA_MARK", "LWT_OPTIMIZATION_META_BIT_MASK=2147483648" },
    { "SCYLLA_RATE_LIMIT_ERROR", "ERROR_CODE=61440" },
    { "TABLETS_ROUTING_V1", "" },
    { "SCYLLA_USE_METADATA_ID", "" },
    { "TABLETS_ROUTING_V2_EXPERIMENTAL", "" },
  }
end

-- Those offers with some changed: name = value, a list of values, or false (it isn't there).
local function but(changes)
  local out = {}
  for _, offer in ipairs(offers()) do
    local change = changes[offer[1]]
    if change == nil then
      out[#out + 1] = offer
    elseif type(change) == "table" then
      out[#out + 1] = { offer[1], unpack(change) }
    elseif change then
      out[#out + 1] = { offer[1], change }
    end
  end
  return out
end

local function read(list, version, wanted)
  local features, bytes = ffi.new "cql__features", server.supported(list)
  local result = C.cql__features_read(features, version or 4, wanted or ALL, wire.cursor(bytes))
  assert.equal(0, result)
  return features
end

local function startup(features, version)
  local pairs_, room, out = ffi.new "cql__pair[4]", ffi.new "char[64]", {}
  for i = 0, C.cql__features_startup(features, version or 4, pairs_, room) - 1 do
    out[ffi.string(pairs_[i].name)] = ffi.string(pairs_[i].value)
  end
  return out
end

local function shards_of(f)
  return { f.shard_count, f.shard, f.ignore_msb, f.shard_port, f.shard_port_tls }
end

local NO_SHARDS = { 1, 0, 0, 0, 0 }

describe("features", function()
  it("are understood, and asked for, all of them", function()
    local f = read(offers())
    assert.same({ 12, 5, 12, 19042, 19142 }, shards_of(f))
    assert.equal(1, f.has_host_id)
    assert.equal("00112233445566778899aabbccddeeff", unit.hex(ffi.string(f.host_id, 16)))
    assert.equal(2147483648, f.lwt_mask)
    assert.equal(61440, f.rate_limit_code)
    assert.same({ 1, 1, 1 }, { f.tablets, f.metadata_id, f.offers_tablets_v2 })
    assert.equal(0, f.refused)
    assert.same({ SCYLLA_LWT_ADD_METADATA_MARK = "LWT_OPTIMIZATION_META_BIT_MASK=2147483648",
      SCYLLA_RATE_LIMIT_ERROR = "", TABLETS_ROUTING_V1 = "", SCYLLA_USE_METADATA_ID = "" },
      startup(f))
  end)

  it("of a Cassandra are none, and it is asked for none", function()
    for version = 3, 5 do
      local f = read({ { "CQL_VERSION", "3.4.5" }, { "COMPRESSION", "snappy", "lz4" },
        { "PROTOCOL_VERSIONS", "3/v3", "4/v4", "5/v5" } }, version)
      local none = ffi.new "cql__features"
      C.cql__features_init(none, version)
      assert.equal(ffi.string(none, ffi.sizeof(none)), ffi.string(f, ffi.sizeof(f)))
      assert.same({}, startup(f, version))
      assert.same(NO_SHARDS, shards_of(f))
      assert.equal(version == 5 and 1 or 0, f.metadata_id)
    end
    assert.same(NO_SHARDS, shards_of(read {}))
  end)

  it("that aren't wanted are off, whatever is offered, garbage included", function()
    local function without(flag) return read(offers(), 4, ALL - flag) end
    assert.same(NO_SHARDS, shards_of(without(SHARDS)))
    assert.same({ 12, 5, 12, 0, 0 }, shards_of(without(SHARD_PORT)))
    for name, flag in pairs { SCYLLA_LWT_ADD_METADATA_MARK = LWT_MARK,
      SCYLLA_RATE_LIMIT_ERROR = RATE_LIMIT, TABLETS_ROUTING_V1 = TABLETS,
      SCYLLA_USE_METADATA_ID = METADATA_ID } do
      local expected = startup(read(offers()))
      expected[name] = nil
      assert.same(expected, startup(without(flag)))
    end
    assert.equal(0, without(LWT_MARK).lwt_mask)
    assert.equal(0, without(RATE_LIMIT).rate_limit_code)
    assert.equal(0, without(TABLETS).tablets)
    assert.equal(0, without(METADATA_ID).metadata_id)
    local f = read(but { SCYLLA_NR_SHARDS = "x", SCYLLA_LWT_ADD_METADATA_MARK = "x",
      SCYLLA_RATE_LIMIT_ERROR = "x" }, 4, 0)
    assert.equal(0, f.refused)
  end)

  it("hold for the version: the columns' id is v4's, tablets need payloads", function()
    assert.same({ "SCYLLA_LWT_ADD_METADATA_MARK", "SCYLLA_RATE_LIMIT_ERROR" }, (function()
      local names = {}
      local f = read(offers(), 3)
      assert.same({ 0, 0 }, { f.tablets, f.metadata_id })
      for name in pairs(startup(f, 3)) do names[#names + 1] = name end
      table.sort(names)
      return names
    end)())
    local f = read(offers(), 5)
    assert.equal(1, f.metadata_id)
    assert.is_nil(startup(f, 5).SCYLLA_USE_METADATA_ID)
    assert.equal("", startup(f, 5).TABLETS_ROUTING_V1)
  end)

  it("know tablets' second version under both its names, and never ask for it", function()
    local f = read { { "TABLETS_ROUTING_V2", "" } }
    assert.same({ 0, 1 }, { f.tablets, f.offers_tablets_v2 })
    assert.same({}, startup(f))
    assert.is_nil(startup(read(offers())).TABLETS_ROUTING_V2_EXPERIMENTAL)
  end)

  it("in which shards are missing or odd make a node of one shard", function()
    for name, values in pairs {
      SCYLLA_SHARD = { false, "", "12", "13", "-1", "x", "5x", " 5", "99999999999", { "" }, {} },
      SCYLLA_NR_SHARDS = { false, "0", "", "5", "4097", "-12", "12.0", "4294967308" },
      SCYLLA_SHARDING_ALGORITHM = { false, "", "round-robin", "biased-token-round-robin2" },
      SCYLLA_SHARDING_IGNORE_MSB = { false, "64", "-1", "", "0x0c" },
      SCYLLA_PARTITIONER = { false, "", "org.apache.cassandra.dht.RandomPartitioner",
        "Murmur3Partitioner2" },
    } do
      for _, value in ipairs(values) do
        local f = read(but { [name] = value })
        assert.same(NO_SHARDS, shards_of(f))
        assert.equal(1, f.refused, name .. "=" .. tostring(value))
        assert.equal(2147483648, f.lwt_mask) -- each stands for itself
      end
    end
  end)

  it("take shards at their bounds", function()
    assert.same({ 4096, 4095, 63, 19042, 19142 }, shards_of(read(but { SCYLLA_NR_SHARDS = "4096",
      SCYLLA_SHARD = "4095", SCYLLA_SHARDING_IGNORE_MSB = "63" })))
    assert.same({ 1, 0, 0, 19042, 19142 }, shards_of(read(but { SCYLLA_NR_SHARDS = "1",
      SCYLLA_SHARD = "0", SCYLLA_SHARDING_IGNORE_MSB = "0" })))
    assert.same({ 12, 5, 12, 1, 65535 }, shards_of(read(but { SCYLLA_SHARD_AWARE_PORT = "1",
      SCYLLA_SHARD_AWARE_PORT_SSL = "65535", SCYLLA_PARTITIONER = "com.scylladb.dht."
        .. "Murmur3Partitioner" })))
  end)

  it("go without shard-aware ports where there are none, or none that can be", function()
    local f = read(but { SCYLLA_SHARD_AWARE_PORT = false, SCYLLA_SHARD_AWARE_PORT_SSL = false })
    assert.same({ 12, 5, 12, 0, 0, 0 }, { f.shard_count, f.shard, f.ignore_msb, f.shard_port,
      f.shard_port_tls, f.refused })
    for _, port in ipairs { "0", "65536", "", "port", "-19042" } do
      f = read(but { SCYLLA_SHARD_AWARE_PORT = port })
      assert.same({ 12, 5, 12, 0, 19142 }, shards_of(f))
      assert.equal(1, f.refused)
    end
  end)

  it("have the mark of transactions by its mask alone, which is unsigned", function()
    local function mask(...)
      local f = read(but { SCYLLA_LWT_ADD_METADATA_MARK = { ... } })
      return f.lwt_mask, f.refused, startup(f).SCYLLA_LWT_ADD_METADATA_MARK
    end
    local whole = "LWT_OPTIMIZATION_META_BIT_MASK="
    assert.same({ 1, 0, whole .. "1" }, { mask(whole .. "1") })
    assert.same({ 4294967295, 0, whole .. "4294967295" }, { mask(whole .. "4294967295") })
    assert.same({ 6, 0, whole .. "6" }, { mask("NEWS=3", whole .. "6", whole .. "7") })
    for _, text in ipairs { "0", "", "-2147483648", "4294967296", "0x80000000", "2147483648 " } do
      assert.same({ 0, 1 }, { mask(whole .. text) })
    end
    for _, values in ipairs { {}, { "" }, { "2147483648" }, { "MASK=1" } } do
      assert.same({ 0, 1 }, { mask(unpack(values)) })
    end
  end)

  it("have the code of the rate limit's error, unless it means another", function()
    local function code(text)
      local f = read(but { SCYLLA_RATE_LIMIT_ERROR = text })
      return f.rate_limit_code, f.refused, startup(f).SCYLLA_RATE_LIMIT_ERROR
    end
    assert.same({ 61441, 0, "" }, { code "ERROR_CODE=61441" })
    for _, text in ipairs { "", "61440", "ERROR_CODE=", "ERROR_CODE=0", "ERROR_CODE=-61440",
      "ERROR_CODE=0xf000", "ERROR_CODE=9472", "ERROR_CODE=4294967296" } do
      assert.same({ 0, 1 }, { code(text) })
    end
  end)

  it("go without a host id that is none", function()
    for _, text in ipairs { "", "00112233", "00112233-4455-6677-8899-aabbccddeefg" } do
      local f = read(but { SCYLLA_HOST_ID = text })
      assert.same({ 0, 1, 12 }, { f.has_host_id, f.refused, f.shard_count })
    end
  end)

  it("are the first of their name", function()
    local list = offers()
    list[#list + 1] = { "SCYLLA_SHARD", "7" }
    assert.equal(5, read(list).shard)
  end)

  it("of a body that ends early can't be read", function()
    local whole = server.supported(offers())
    for size = 0, #whole - 1 do
      local features, copy = ffi.new "cql__features", unit.buffer(whole:sub(1, size))
      assert.equal(C.CQL_EMALFORMED, C.cql__features_read(features, 4, ALL,
        ffi.new("cql__cursor", copy, copy + size, 0)))
    end
  end)

  it("of bytes at random never break the reader", function()
    local random, whole = unit.random(7), server.supported(offers())
    for _ = 1, 3000 do
      local bytes = { whole:byte(1, -1) }
      for _ = 1, 1 + random(4) do bytes[1 + random(#bytes)] = random(256) end
      local text = string.char(unpack(bytes))
      local features, copy = ffi.new "cql__features", unit.buffer(text)
      local result = C.cql__features_read(features, 4, ALL,
        ffi.new("cql__cursor", copy, copy + #text, 0))
      assert.is_true(result == 0 or result == C.CQL_EMALFORMED)
      assert.is_true(features.shard_count >= 1 and features.shard < features.shard_count)
    end
  end)
end)
