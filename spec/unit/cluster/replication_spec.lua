local ring = require "spec.support.ring"
local unit = require "spec.support.unit"

local C = unit.C
local UNKNOWN, SIMPLE, NETWORK_TOPOLOGY, LOCAL, EVERYWHERE = 0, 1, 2, 3, 4
local PACKAGE = "org.apache.cassandra.locator."

-- As text: "2 dc1=3 dc2=3/1".
local function read(options)
  local replication = assert(ring.replication(options))
  local words = { tostring(tonumber(replication.strategy)) }
  for i = 0, replication.count - 1 do
    local factor = replication.factors[i]
    words[#words + 1] = ("%s=%d%s"):format(unit.slice(factor.datacenter), factor.replicas,
      factor.transient > 0 and "/" .. tonumber(factor.transient) or "")
  end
  return table.concat(words, " ")
end

local function equal(a, b)
  local x, y = ring.replication(a), ring.replication(b)
  local is = C.cql__replication_equal(x, y) ~= 0
  if is then assert.equal(x.hash, y.hash) end
  assert.equal(is, C.cql__replication_equal(y, x) ~= 0)
  return is
end

describe("the replication of a keyspace", function()
  it("is read from the map that servers keep, with the class's package or without", function()
    for _, package in ipairs { "", PACKAGE } do
      assert.equal(SIMPLE .. " replication_factor=3",
        read { class = package .. "SimpleStrategy", replication_factor = "3" })
      assert.equal(NETWORK_TOPOLOGY .. " dc1=3 dc2=0 z=12345", read {
        class = package .. "NetworkTopologyStrategy", z = "12345", dc1 = "3", dc2 = "0" })
      assert.equal(NETWORK_TOPOLOGY .. "", read { class = package .. "NetworkTopologyStrategy" })
      assert.equal(LOCAL .. "", read { class = package .. "LocalStrategy" })
      assert.equal(EVERYWHERE .. "", read { class = package .. "EverywhereStrategy" })
    end
  end)

  it("may have replicas that don't keep all data", function()
    assert.equal(SIMPLE .. " replication_factor=3/1",
      read { class = "SimpleStrategy", replication_factor = "3/1" })
    assert.equal(NETWORK_TOPOLOGY .. " a=5/2 b=3",
      read { class = "NetworkTopologyStrategy", a = "5/2", b = "3/0" })
  end)

  it("ignores what a strategy has no use for", function()
    assert.equal(SIMPLE .. " replication_factor=2",
      read { class = "SimpleStrategy", replication_factor = "2", dc1 = "x", zz = "7" })
    assert.equal(LOCAL .. "", read { class = "LocalStrategy", replication_factor = "x" })
  end)

  it("is unknown where it can't be understood", function()
    local wrong = {
      {}, { dc1 = "3" }, { class = "MetaStrategy" }, { class = "" }, { class = "." },
      { class = "MySimpleStrategy", replication_factor = "3" },
      { class = "SimpleStrategy." , replication_factor = "3" },
      { class = "SimpleStrategy" }, { class = "SimpleStrategy", replication_factor = "many" },
      { class = "SimpleStrategy", replication_factor = "" },
    }
    for _, factor in ipairs { "", "x", "-1", "3/", "/1", "3/3", "2/3", "3/1/1", "3x", " 3", "3 ",
      "123456", "[rack1]" } do
      wrong[#wrong + 1] = { class = "NetworkTopologyStrategy", dc1 = "3", dc2 = factor }
    end
    for _, options in ipairs(wrong) do
      assert.equal(UNKNOWN .. "", read(options), ring.map(options))
    end
  end)

  it("is equal to another in whatever order and package it came", function()
    local class, in_package = "NetworkTopologyStrategy", PACKAGE .. "NetworkTopologyStrategy"
    assert.is_true(equal({ class = class, a = "3", b = "2" },
      { class = in_package, b = "2", a = "3" }))
    local pairs_of = { unit.bytes "class" .. unit.bytes(class), unit.bytes "a" .. unit.bytes "3",
      unit.bytes "b" .. unit.bytes "2" }
    assert.is_true(equal({ class = class, a = "3", b = "2" },
      unit.u32(3) .. pairs_of[3] .. pairs_of[1] .. pairs_of[2]))
    for _, other in ipairs {
      { class = class, a = "3", b = "3" }, { class = class, a = "3/1", b = "2" },
      { class = class, a = "3" }, { class = class, a = "3", c = "2" }, { class = class },
      { class = "LocalStrategy" }, { class = "SimpleStrategy", replication_factor = "3" }, {},
    } do
      assert.is_false(equal({ class = class, a = "3", b = "2" }, other))
      assert.is_true(equal(other, other))
    end
    assert.is_true(equal({ class = "One" }, { class = "Another" })) -- nobody knows either
  end)

  it("survives garbage and a lack of memory", function()
    local whole = ring.map { class = "NetworkTopologyStrategy", dc1 = "3", dc2 = "3/1" }
    assert.equal(NETWORK_TOPOLOGY .. " dc1=3 dc2=3/1", read(whole))
    unit.truncate(whole, function(bytes) assert.equal(UNKNOWN .. "", read(bytes)) end)
    assert.equal(UNKNOWN .. "", read(whole .. "\0"))
    unit.mutate(whole, 1, 5000, function(bytes) read(bytes) end)
    local null = unit.u32(2) .. unit.bytes "class" .. unit.bytes(nil) .. unit.bytes(nil)
    assert.equal(UNKNOWN .. "", read(null .. unit.bytes "3"))
    local many = { class = "NetworkTopologyStrategy" }
    for i = 1, 256 do many["dc" .. i] = "1" end
    assert.is_truthy(read(many):find " dc256=1 ")
    many.another = "1"
    assert.equal(UNKNOWN .. "", read(many))
    assert.equal(1, (unit.fail_each_allocation(function()
      local bytes = unit.buffer(whole)
      local made = C.cql__replication_read(bytes, #whole)
      if made == nil then return C.CQL_ENOMEM end
      C.cql__replication_unref(made)
      return 0
    end)))
  end)
end)
