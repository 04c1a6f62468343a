-- Tablets: payloads, and the store of what they told.
local ffi = require "ffi"
local tablets = require "spec.support.tablets"
local unit = require "spec.support.unit"

local C, u16, u32, unhex = unit.C, unit.u16, unit.u32, unit.unhex
local MIN, MAX, slice = tablets.MIN, tablets.MAX, tablets.slice

-- ---- payloads ----

-- scylladb's own layout: (1234, 5678], one replica on shard 15.
local KNOWN = unhex [[
  00000008 00000000000004d2
  00000008 000000000000162e
  00000024 00000001
  0000001c
  00000010 00000000000000010000000000000002
  00000004 0000000f
]]

local function decode(value)
  local copy, out = unit.buffer(value), ffi.new "cql__tablet"
  local result = C.cql__tablet_decode(ffi.new("cql_slice_t", copy, #value), out)
  if result ~= 0 then return nil, result end
  local replicas = {}
  for i = 0, out.count - 1 do
    local at = out.replicas + 32 * i
    replicas[i + 1] = { unit.hex(ffi.string(at + 8, 16)), at[30] * 256 + at[31] }
  end
  return { out.first, out.last, replicas }
end

local function payload(entries)
  local out = { u16(#entries) }
  for _, entry in ipairs(entries) do out[#out + 1] = unit.str(entry[1]) .. unit.bytes(entry[2]) end
  return table.concat(out)
end

describe("a tablet's payload", function()
  it("is a range and its replicas", function()
    assert.equal(64, #KNOWN)
    assert.same({ 1234LL, 5678LL, { { "00000000000000010000000000000002", 15 } } },
      decode(KNOWN))
    local two = tablets.value(MIN, MAX, { { 3, 0 }, { 2, 4095 } })
    assert.equal(96, #two)
    local id = ("07"):rep(14)
    assert.same({ MIN, MAX, { { id .. "0003", 0 }, { id .. "0002", 4095 } } }, decode(two))
  end)

  it("is found by its name, among others", function()
    local out = ffi.new "cql__tablet"
    local function find(text) return C.cql__tablet_find(slice(text), out) end
    local name = "tablets-routing-v1"
    assert.equal(1, find(payload { { "other", "x" }, { "null", nil }, { name, KNOWN } }))
    assert.equal(1234LL, out.first)
    assert.equal(0, find(nil))
    assert.equal(0, find(payload {}))
    assert.equal(0, find(payload { { "tablets-routing-v2", KNOWN }, { name .. "1", KNOWN } }))
    assert.equal(C.CQL_EMALFORMED, find(payload { { name, nil } }))
    assert.equal(C.CQL_EMALFORMED, find(payload { { name, "" } }))
    assert.equal(C.CQL_EMALFORMED, find(payload { { name, "trash" } }))
  end)

  it("that is shorter or longer than it says is none", function()
    local two = tablets.value(1, 2, { { 1, 1 }, { 2, 2 } })
    for size = 0, #two - 1 do
      assert.same({ nil, C.CQL_EMALFORMED }, { decode(two:sub(1, size)) })
    end
    assert.same({ nil, C.CQL_EMALFORMED }, { decode(two .. "\0") })
    -- a fourth part, as the second version has it
    assert.same({ nil, C.CQL_EMALFORMED }, { decode(two .. u32(8) .. ("\0"):rep(8)) })
  end)

  it("needs tokens in their order", function()
    local function value(first, last) return decode(tablets.value(first, last, { { 1, 1 } })) end
    assert.is_nil(value(5, 5))
    assert.is_nil(value(6, 5))
    assert.is_nil(value(MAX, MIN))
    assert.is_truthy(value(4, 5))
    assert.is_truthy(value(MAX - 1, MAX))
  end)

  it("needs each part in its own length", function()
    local at = { 1, 13, 25, 29, 33, 37, 57 } -- where they stand
    for _, place in ipairs(at) do
      for _, length in ipairs { -1, -2, 0, 1, 7, 9, 2147483647 } do
        local bad = KNOWN:sub(1, place - 1) .. u32(length) .. KNOWN:sub(place + 4)
        local same = bad == KNOWN
        assert.equal(same, decode(bad) ~= nil, ("%d at %d"):format(length, place))
      end
    end
  end)

  it("needs a shard that can be, and replicas, but not too many", function()
    local function of(list) return decode(tablets.value(1, 2, list)) end
    assert.is_nil(of {})
    assert.is_nil(of { { 1, -1 } })
    assert.is_nil(of { { 1, 0 }, { 1, 4096 } })
    assert.is_truthy(of { { 1, 0 }, { 1, 4095 } })
    local many = {}
    for i = 1, 1000 do many[i] = { i, 1 } end
    assert.is_truthy(of(many))
    many[1001] = { 1, 1 }
    assert.is_nil(of(many))
    local huge = KNOWN:sub(1, 24) .. u32(2 ^ 31 - 1) .. u32(134217728) .. KNOWN:sub(33)
    assert.is_nil(decode(huge))
  end)
end)

-- ---- the store ----

local function within(body)
  return function()
    local store = tablets.store()
    body(store)
    store:check()
    store:free()
  end
end

-- Four of 100 tokens each, from 0 on, with a replica on the node of their number.
local function four(store)
  for i = 0, 3 do assert.equal(1, store:learn(i * 100, i * 100 + 100, { { i, i } })) end
end

describe("tablets", function()
  it("hold the tokens past their first, up to their last", within(function(store)
    store:learn(100, 200, { { 7, 3 }, { 5, 1 } })
    assert.is_nil(store:find(100))
    assert.equal("7:3 5:1", store:find(101))
    assert.equal("7:3 5:1", store:find(200))
    assert.is_nil(store:find(201))
    assert.is_nil(store:find(MIN))
    assert.is_nil(store:find(MAX))
  end))

  it("may be one alone, for all tokens", within(function(store)
    store:learn(MIN, MAX, { { 1, 0 } })
    for _, token in ipairs { MIN + 1, -1, 0, 1, MAX } do
      assert.equal("1:0", store:find(token))
    end
  end))

  it("fill a hole", within(function(store)
    store:learn(0, 100, { { 1, 0 } })
    store:learn(200, 300, { { 3, 0 } })
    assert.is_nil(store:find(150))
    assert.equal(1, store:learn(100, 200, { { 2, 0 } }))
    assert.same({ "0..100 1:0", "100..200 2:0", "200..300 3:0" }, store:all())
  end))

  it("take the place of what they overlap with, and neighbours stay", within(function(store)
    four(store)
    assert.equal(1, store:learn(150, 250, { { 9, 9 } }))
    assert.same({ "0..100 0:0", "150..250 9:9", "300..400 3:3" }, store:all())
    assert.is_nil(store:find(120))
    assert.is_nil(store:find(260))
  end))

  it("take the place of one that holds them, and of those that they hold", within(function(store)
    four(store)
    store:learn(120, 130, { { 9, 9 } })
    assert.same({ "0..100 0:0", "120..130 9:9", "200..300 2:2", "300..400 3:3" }, store:all())
    store:learn(50, 350, { { 8, 8 } })
    assert.same({ "50..350 8:8" }, store:all())
    store:learn(MIN, MAX, { { 7, 7 } })
    assert.same({ ("%s..%s 7:7"):format("-9223372036854775808", "9223372036854775807") },
      store:all())
  end))

  it("that are known already change nothing", within(function(store)
    four(store)
    assert.equal(0, store:learn(100, 200, { { 1, 1 } }))
    assert.equal(1, store:learn(100, 200, { { 1, 2 } }))
    assert.equal(1, store:learn(100, 200, { { 1, 2 }, { 2, 2 } }))
    assert.equal(1, store:learn(100, 200, { { 2, 2 }, { 1, 2 } })) -- the order counts
    assert.equal("2:2 1:2", store:find(200))
    assert.equal(4, store.handle.count)
  end))

  it("may split and merge", within(function(store)
    four(store)
    store:learn(100, 150, { { 1, 1 } })
    assert.is_nil(store:find(170))
    store:learn(150, 200, { { 2, 1 } })
    assert.same({ "0..100 0:0", "100..150 1:1", "150..200 2:1", "200..300 2:2", "300..400 3:3" },
      store:all())
    store:learn(100, 200, { { 5, 5 } })
    assert.same({ "0..100 0:0", "100..200 5:5", "200..300 2:2", "300..400 3:3" }, store:all())
  end))

  it("of many are found, however unevenly they lie", within(function(store)
    local ends = {}
    for i = 0, 999 do ends[i] = i < 900 and -500000 + i or i * 1000000000000000LL end
    for _, i in ipairs { 500, 3, 999, 1, 901, 899, 900 } do
      store:learn(ends[i - 1], ends[i], { { i % 256, 0 } })
    end
    for i = 1, 999 do store:learn(ends[i - 1], ends[i], { { i % 256, i % 7 } }) end
    assert.equal(999, store.handle.count)
    for i = 1, 999 do
      local wanted = ("%d:%d"):format(i % 256, i % 7)
      assert.equal(wanted, store:find(ends[i]))
      assert.equal(wanted, store:find(ends[i - 1] + 1))
    end
    assert.is_nil(store:find(ends[0]))
    assert.is_nil(store:find(ends[999] + 1))
    store:learn(ends[400], ends[600], { { 9, 9 } })
    assert.equal(800, store.handle.count)
    assert.equal("9:9", store:find(ends[500]))
  end))

  it("are each table's own", within(function(store)
    local where = { "ks.t", "ks.u", "k.st", "ks2.t", ".t", "ks.", "k\0s.t", "k\0s.u" }
    for i, name in ipairs(where) do assert.equal(1, store:learn(0, 10, { { i, 0 } }, name)) end
    for i, name in ipairs(where) do assert.equal(i .. ":0", store:find(5, name)) end
    assert.is_nil(store:find(5, "ks.v"))
    assert.equal(#where, store.handle.count)
  end))
end)

describe("tables of keyspaces with tablets", function()
  local function keyspace(store, name, has)
    return C.cql__tablets_keyspace(store.handle, slice(name), has and 1 or 0)
  end

  it("have none to begin with, whereas others have no place for any", within(function(store)
    assert.is_nil(store:table "ks.t")
    assert.equal(0, keyspace(store, "ks", true))
    assert.equal(0, keyspace(store, "ks", true))
    assert.equal(0, store:table("ks.t").count)
    assert.equal(0, store:table("ks.view").count)
    assert.is_nil(store:find(0))
    assert.is_nil(store:table "k.t")
    store:learn(0, 10, { { 1, 0 } }, "other.t") -- whose keyspace wasn't read yet
    assert.equal("1:0", store:find(5, "other.t"))
    assert.is_nil(store:table "other.u")
  end))

  it("lose all when the keyspace goes, or has no tablets any more", within(function(store)
    for _, name in ipairs { "ks", "k" } do keyspace(store, name, true) end
    for _, name in ipairs { "ks.t", "ks.u", "k.t" } do store:learn(0, 10, { { 1, 0 } }, name) end
    keyspace(store, "ks", false)
    keyspace(store, "ks", false)
    assert.is_nil(store:table "ks.t")
    assert.is_nil(store:table "ks.u")
    assert.equal("1:0", store:find(5, "k.t"))
    assert.equal(0, store:table("k.u").count)
    assert.equal(1, store.handle.count)
  end))

  it("are forgotten one by one, or by keyspace", within(function(store)
    keyspace(store, "ks", true)
    for _, name in ipairs { "ks.t", "ks.u", "ks.v", "k.t" } do
      store:learn(0, 10, { { 1, 0 } }, name)
    end
    C.cql__tablets_forget(store.handle, slice "ks", slice "t")
    assert.is_nil(store:find(5, "ks.t"))
    assert.equal(0, store:table("ks.t").count)
    assert.equal("1:0", store:find(5, "ks.u"))
    C.cql__tablets_forget(store.handle, slice "ks", slice(nil))
    assert.is_nil(store:find(5, "ks.u"))
    assert.equal(0, store:table("ks.v").count)
    assert.equal("1:0", store:find(5, "k.t"))
    C.cql__tablets_forget(store.handle, slice "no", slice "such")
    C.cql__tablets_clear(store.handle)
    assert.is_nil(store:table "k.t")
    assert.equal(0, store:table("ks.t").count)
  end))

  it("say by the epoch when a table isn't what it was", within(function(store)
    local function changes(fn)
      local before = store.handle.epoch
      fn()
      return store.handle.epoch ~= before
    end
    assert.is_true(changes(function() keyspace(store, "ks", true) end))
    assert.is_false(changes(function() keyspace(store, "ks", true) end))
    assert.is_true(changes(function() store:learn(0, 10, { { 1, 0 } }) end))
    assert.is_false(changes(function() store:learn(10, 20, { { 1, 0 } }) end))
    assert.is_false(changes(function() store:learn(0, 20, { { 2, 0 } }) end))
    assert.is_true(changes(function() store:learn(0, 20, { { 2, 0 } }, "ks.u") end))
    assert.is_true(changes(function()
      C.cql__tablets_forget(store.handle, slice "ks", slice "t")
    end))
    assert.is_true(changes(function() C.cql__tablets_clear(store.handle) end))
    assert.is_true(changes(function() keyspace(store, "ks", false) end))
  end))
end)

describe("nodes of tablets", function()
  it("are known by their ids, under whatever numbers", within(function(store)
    four(store)
    store:learn(400, 500, { { 1, 0 }, { 2, 0 } })
    for n = 0, 3 do store.nodes[n] = 100 + n end
    C.cql__tablets_renumber(store.handle)
    assert.same({ "0..100 100:0", "100..200 101:1", "200..300 102:2", "300..400 103:3",
      "400..500 101:0 102:0" }, store:all())
  end))

  it("take the tablets with them when they go", within(function(store)
    four(store)
    store:learn(400, 500, { { 1, 0 }, { 2, 0 } })
    store:learn(0, 10, { { 2, 0 }, { 3, 0 } }, "ks.u")
    store:learn(10, 20, { { 3, 0 } }, "ks.u")
    store.nodes[2] = tablets.NO_NODE
    C.cql__tablets_renumber(store.handle)
    assert.same({ "0..100 0:0", "100..200 1:1", "300..400 3:3" }, store:all())
    assert.same({ "10..20 3:0" }, store:all "ks.u")
    assert.equal(4, store.handle.count)
    store.nodes[2] = 2 -- another of that id: nothing comes back by itself
    C.cql__tablets_renumber(store.handle)
    assert.equal(4, store.handle.count)
  end))

  it("that aren't known yet are waited for, once", within(function(store)
    store:learn(0, 100, { { 300, 1 }, { 1, 1 } })
    store:learn(100, 200, { { 301, 1 } })
    assert.equal("?:1 1:1", store:find(50))
    store.nodes[300] = 44
    C.cql__tablets_renumber(store.handle)
    assert.equal("44:1 1:1", store:find(50))
    assert.is_nil(store:find(150))
  end))

  it("are asked for again with each tablet that names them", within(function(store)
    store:learn(0, 100, { { 300, 1 } })
    assert.equal("?:1", store:find(50))
    store.nodes[300] = 44
    store:learn(100, 200, { { 300, 1 } })
    assert.equal("44:1", store:find(50))
  end))

  it("leave their place to others", within(function(store)
    for round = 1, 3000 do -- as many as come and go
      store:learn(0, 100, { { round % 1000, 0 }, { (round + 1) % 1000, 0 } })
    end
    assert.is_true(store.handle.owner_count <= 4)
  end))

  it("are at most 4096", within(function(store)
    local function list(from, count)
      local out = {}
      for k = 1, count do out[k] = { from + k - 1, 0 } end
      return out
    end
    for i = 0, 4 do assert.equal(1, store:learn(i, i + 1, list(i * 800, 800))) end
    assert.equal(C.CQL_ETOOBIG, store:learn(5, 6, list(4000, 97)))
    assert.equal(5, store.handle.count)
    assert.equal(1, store:learn(5, 6, list(4000, 96)))
    assert.equal(C.CQL_ETOOBIG, store:learn(6, 7, { { 5000, 0 } }))
    assert.equal(1, store:learn(6, 7, { { 5, 0 } }))
    assert.equal(1, store:learn(0, 2, { { 5, 0 } })) -- whose places are free then
    assert.equal(1, store:learn(7, 8, list(5000, 1000)))
  end))
end)

-- ---- against a model ----

-- Tokens by small numbers, so that ranges often touch and overlap.
local PLACES = 24
local function token_at(place)
  if place == 0 then return MIN end
  if place == PLACES then return MAX end
  return (place - PLACES / 2) * 700000000000000001LL
end

local function model_learn(model, first, last, replicas)
  local kept = {}
  for _, range in ipairs(model) do
    if range.last <= first or range.first >= last then kept[#kept + 1] = range end
  end
  kept[#kept + 1] = { first = first, last = last, replicas = replicas }
  return kept
end

local function model_text(model)
  table.sort(model, function(a, b) return a.first < b.first end)
  local out = {}
  for i, range in ipairs(model) do
    local list = {}
    for k, replica in ipairs(range.replicas) do list[k] = replica[1] .. ":" .. replica[2] end
    out[i] = ("%s..%s %s"):format(tostring(token_at(range.first)):sub(1, -3),
      tostring(token_at(range.last)):sub(1, -3), table.concat(list, " "))
  end
  return out
end

local function model_find(model, place)
  for _, range in ipairs(model) do
    if range.first < place and place <= range.last then return range end
  end
end

it("tablets learned at random are those of a list that is searched from end to end", function()
  for seed = 1, 60 do
    local random, store, model = unit.random(seed), tablets.store(), {}
    for _ = 1, 120 do
      local first = random(PLACES)
      local last = first + 1 + random(random(4) == 0 and PLACES - first or math.min(3,
        PLACES - first))
      local replicas = {}
      for k = 1, 1 + random(4) do replicas[k] = { random(6), random(3) } end
      assert(store:learn(token_at(first), token_at(last), replicas) >= 0)
      model = model_learn(model, first, last, replicas)
      if random(20) == 0 then
        local gone = random(6)
        store.nodes[gone] = tablets.NO_NODE
        C.cql__tablets_renumber(store.handle)
        store.nodes[gone] = gone
        for i = #model, 1, -1 do
          for _, replica in ipairs(model[i].replicas) do
            if replica[1] == gone then
              table.remove(model, i)
              break
            end
          end
        end
      end
      store:check()
    end
    assert.same(model_text(model), store:all(), "seed " .. seed)
    for place = 0, PLACES do
      local range = model_find(model, place)
      assert.equal(range ~= nil, store:find(token_at(place)) ~= nil)
      if place < PLACES then -- the token past it is of the next one
        range = model_find(model, place + 1)
        assert.equal(range ~= nil, store:find(token_at(place) + 1) ~= nil)
      end
    end
    store:free()
  end
end)

-- ---- memory ----

describe("a lack of memory", function()
  it("leaves the store as it was, wherever it strikes", function()
    local steps = {
      function(s) return C.cql__tablets_keyspace(s.handle, slice "ks", 1) end,
      function(s) return s:learn(0, 10, { { 1, 0 }, { 300, 1 } }) end,
      function(s) return s:learn(10, 20, { { 2, 0 } }, "ks.u") end,
    }
    for i = 1, 12 do
      steps[#steps + 1] = function(s)
        return s:learn(20 + i, 21 + i, { { i, 0 }, { i + 1, 0 }, { i + 20, 0 } })
      end
      steps[#steps + 1] = function(s) return s:learn(0, 10, { { i, 0 } }, "k" .. i .. ".t") end
    end
    local strikes = 0
    for n = 1, 100 do
      local live, store = tonumber(C.cql__mem_live()), tablets.store()
      local struck = false
      for _, step in ipairs(steps) do
        local before = { store.handle.count, store.handle.table_count,
          store.handle.keyspace_count, unpack(store:all()) }
        if not struck then C.cql__mem_fail(n, 0) end
        local result = step(store)
        C.cql__mem_fail(0, 0)
        store:check()
        if result < 0 then
          assert.equal(C.CQL_ENOMEM, result)
          struck = true
          strikes = strikes + 1
          assert.same(before, { store.handle.count, store.handle.table_count,
            store.handle.keyspace_count, unpack(store:all()) })
          assert.is_true(step(store) >= 0)
        end
      end
      assert.equal(26, store.handle.count)
      store:free()
      assert.equal(live, tonumber(C.cql__mem_live()))
    end
    assert.is_true(strikes > 0)
  end)

  it("can't come in a look-up", function()
    local store = tablets.store()
    for i = 1, 100 do store:learn(i, i + 1, { { 1, i } }) end
    local before = tonumber(C.cql__mem_count())
    for i = 1, 100 do assert(C.cql__tablet_table_find(store:table(), i + 1) ~= nil) end
    assert.equal(before, tonumber(C.cql__mem_count()))
    store:free()
  end)
end)
