local ffi = require "ffi"
local ring = require "spec.support.ring"
local unit = require "spec.support.unit"

local C = unit.C
local MURMUR3, RANDOM, BYTE_ORDERED = ring.MURMUR3, ring.RANDOM, ring.BYTE_ORDERED

local function find(made, partitioner, text)
  local token, room = ring.parse(partitioner, text)
  local range = C.cql__ring_find(made, token)
  return range, room
end

-- The owners in order of the ring.
local function owners(made)
  local list = {}
  for i = 0, made.count - 1 do list[#list + 1] = tonumber(made.owners[i]) end
  return list
end

-- Texts of random tokens. Those of `narrow` rings share all but their last bits or bytes.
local texts = {
  [MURMUR3] = function(random, narrow)
    if narrow then return tostring(random(5000)) end
    local high, low = ffi.cast("int64_t", random(0x7fffffff)), random(0x7fffffff)
    return (tostring((high * 0x100000000LL + low) * 3):gsub("LL$", ""))
  end,
  [RANDOM] = function(random, narrow)
    if narrow then return "1844674407370955" .. 1000 + random(5000) end -- around 2^64
    local digits = {}
    for i = 1, 38 do digits[i] = random(10) end
    return table.concat(digits)
  end,
  [BYTE_ORDERED] = function(random, narrow)
    local bytes = {}
    for i = 1, random(narrow and 4 or 24) do bytes[i] = ("%02x"):format(random(256)) end
    return (narrow and ("61"):rep(18) or "") .. table.concat(bytes)
  end,
}

describe("a ring", function()
  it("has a range for each token, from behind the one before", function()
    local made = ring.make(MURMUR3, { { "30", 2 }, { "-10", 0 }, { "10", 1 } })
    assert.same({ 0, 1, 2 }, owners(made))
    for text, range in pairs {
      ["-9223372036854775808"] = 0, ["-11"] = 0, ["-10"] = 0, ["-9"] = 1, ["0"] = 1, ["10"] = 1,
      ["11"] = 2, ["30"] = 2, ["31"] = 0, ["9223372036854775807"] = 0,
    } do
      assert.equal(range, find(made, MURMUR3, text), text)
    end
    local token = ffi.new("cql__token[1]", { C.cql__ring_token(made, 1) })
    assert.equal(0, C.cql__token_compare(token, (ring.parse(MURMUR3, "10"))))
  end)

  it("may be empty, or one token", function()
    local none = ring.make(MURMUR3, {})
    assert.equal(0, none.count)
    assert.equal(0, find(none, MURMUR3, "1"))
    for partitioner, text in pairs { [MURMUR3] = "5", [RANDOM] = "5", [BYTE_ORDERED] = "" } do
      local one = ring.make(partitioner, { { text, 7 } })
      assert.same({ 7 }, owners(one))
      assert.equal(8, one.node_count)
      assert.equal(0, one.owns[6])
      assert.equal(1, one.owns[7])
      for _, other in ipairs { "00", "05", "06" } do
        assert.equal(0, find(one, partitioner, other))
      end
    end
  end)

  it("gives a token that several nodes claim to the lowest of them", function()
    local points = { { "5", 3 }, { "1", 0 }, { "5", 1 }, { "5", 2 }, { "7", 0 } }
    local made = ring.make(MURMUR3, points)
    assert.same({ 0, 1, 0 }, owners(made))
    assert.same({ 1, 1, 0, 0 }, { made.owns[0], made.owns[1], made.owns[2], made.owns[3] })
  end)

  it("takes no text that isn't a token, and stays as it was", function()
    local builder = ffi.gc(C.cql__ring_builder_new(MURMUR3), C.cql__ring_builder_free)
    assert.equal(0, ring.add(builder, { { "1", 0 } }))
    assert.equal(C.CQL_EVALUE, (ring.add(builder, { { "x", 1 } })))
    assert.equal(0, ring.add(builder, { { "2", 1 } }))
    local out = ffi.new "cql__ring *[1]"
    assert.equal(1, C.cql__ring_builder_step(builder, 1000, out))
    assert.same({ 0, 1 }, owners(out[0]))
    C.cql__ring_unref(out[0])
  end)

  -- Every look-up and the whole order, against a sort by the comparison that has its own spec.
  for partitioner, text_of in pairs(texts) do
    for _, narrow in ipairs { false, true } do
      it(("of partitioner %d finds what a sorted list does, %s"):format(partitioner,
        narrow and "where tokens crowd" or "where they are spread"), function()
          local random = unit.random(partitioner + (narrow and 100 or 0))
          for round = 1, 60 do
            local points, sorted, seen = {}, {}, {}
            for i = 1, random(round < 50 and 80 or 2000) do
              points[i] = { text_of(random, narrow), random(20) }
              local token, room = ring.parse(partitioner, points[i][1])
              local key = bit.tohex(token[0].high) .. bit.tohex(token[0].low) .. "/" ..
                ffi.string(token[0].bytes, token[0].size)
              if not seen[key] then
                seen[key] = { token = token, room = room, owner = points[i][2] }
                sorted[#sorted + 1] = seen[key]
              end
              seen[key].owner = math.min(seen[key].owner, points[i][2])
            end
            table.sort(sorted, function(a, b) return C.cql__token_compare(a.token, b.token) < 0 end)
            local made = ring.make(partitioner, points, random(3) == 0 and 1 + random(50) or nil)
            local expected = {}
            for i, point in ipairs(sorted) do expected[i] = point.owner end
            assert.same(expected, owners(made))
            for _ = 1, 50 do
              local token, room = ring.parse(partitioner, text_of(random, narrow))
              if random(4) == 0 and #sorted > 0 then token = sorted[1 + random(#sorted)].token end
              local range = 0
              while range < #sorted and C.cql__token_compare(sorted[range + 1].token, token) < 0 do
                range = range + 1
              end
              assert.equal(range == #sorted and 0 or range, C.cql__ring_find(made, token), room)
            end
          end
        end)
    end
  end
end)

describe("the making of a ring", function()
  local points, random = {}, unit.random(5)
  for i = 1, 3000 do points[i] = { texts[MURMUR3](random), i % 10 } end

  it("is done in slices of any size, and the same each time", function()
    local whole, one_step = ring.make(MURMUR3, points)
    assert.equal(1, one_step)
    for _, budget in ipairs { 1, 7, 1000, 32768 } do
      local sliced, steps = ring.make(MURMUR3, points, budget)
      assert.same(owners(whole), owners(sliced))
      -- eight rounds of merging runs of 16, and then the filling
      assert.is_true(steps >= 9 * 3000 / budget)
    end
  end)

  it("survives a lack of memory wherever it strikes", function()
    for partitioner, text_of in pairs(texts) do
      local some = {}
      for i = 1, 600 do some[i] = { text_of(random), i % 3 } end
      local failed = unit.fail_each_allocation(function()
        local made, result = ring.build(partitioner, some, 100)
        if not made then return result end
        C.cql__ring_unref(made)
        return 0
      end)
      assert.is_true(failed >= 8)
    end
  end)

  it("may be tried again where memory was lacking", function()
    local builder = ffi.gc(C.cql__ring_builder_new(MURMUR3), C.cql__ring_builder_free)
    local out, lacking, added = ffi.new "cql__ring *[1]", 0, 0
    while added < #points do
      local slice, copy = ring.slice(points[added + 1][1])
      C.cql__mem_fail(1, 0)
      local result = C.cql__ring_builder_add_text(builder, slice, points[added + 1][2])
      C.cql__mem_fail(0, 0)
      if result ~= 0 then
        lacking = lacking + 1
        assert.equal(C.CQL_ENOMEM, result, copy)
        assert.equal(0, C.cql__ring_builder_add_text(builder, slice, points[added + 1][2]))
      end
      added = added + 1
    end
    repeat
      C.cql__mem_fail(1, 0)
      local result = C.cql__ring_builder_step(builder, 500, out)
      C.cql__mem_fail(0, 0)
      if result == C.CQL_ENOMEM then
        lacking = lacking + 1
        result = C.cql__ring_builder_step(builder, 500, out)
      end
      assert.is_true(result >= 0)
    until result == 1
    assert.equal(5 + 2, lacking) -- the points grow five times; what is merged to, and the ring
    local whole = ring.make(MURMUR3, points)
    assert.same(owners(whole), owners(out[0]))
    C.cql__ring_unref(out[0])
  end)
end)
