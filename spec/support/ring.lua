-- What specs of routing share: rings of the core, and the rules of replication once more, written
-- to be read and not to be fast.
local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C

local ring = { MURMUR3 = 1, CDC = 2, RANDOM = 3, BYTE_ORDERED = 4 }

-- A slice of a copy of this text; what it borrows lives as long as the second value.
function ring.slice(text)
  local copy = unit.buffer(text)
  return ffi.new("cql_slice_t", { copy, #text }), copy
end

-- Room for a token of ByteOrdered, and the token that this text is.
function ring.parse(partitioner, text)
  local slice = ring.slice(text)
  local room, out = unit.buffer(("?"):rep(math.floor(#text / 2))), ffi.new "cql__token[1]"
  assert(C.cql__token_parse(partitioner, slice, room, out) == 0, text)
  return out, room
end

-- The token of a key, and the copy of the key that it may borrow.
function ring.token(partitioner, key)
  local copy = unit.buffer(key)
  return ffi.new("cql__token[1]", { C.cql__token_make(partitioner, copy, #key) }), copy
end

-- Gives the builder these points { { text, owner }, ... }; 0 or an error.
function ring.add(builder, points)
  for _, point in ipairs(points) do
    local slice, copy = ring.slice(point[1])
    local result = C.cql__ring_builder_add_text(builder, slice, point[2])
    if result ~= 0 then return result, copy end
  end
  return 0
end

-- The ring of these points, and the steps that it took; nil, error. Unref it, or let it be `auto`.
function ring.build(partitioner, points, budget)
  local builder = C.cql__ring_builder_new(partitioner)
  if builder == nil then return nil, C.CQL_ENOMEM end
  local out, steps = ffi.new "cql__ring *[1]", 0
  local result = ring.add(builder, points)
  while result == 0 do
    steps = steps + 1
    result = C.cql__ring_builder_step(builder, budget or 1000000, out)
  end
  C.cql__ring_builder_free(builder)
  if result < 0 then return nil, result end
  return out[0], steps
end

-- The same, unreferenced when it is collected.
function ring.make(partitioner, points, budget)
  local made, steps = ring.build(partitioner, points, budget)
  return ffi.gc(assert(made, steps), C.cql__ring_unref), steps
end

-- ---- replication ----

-- The bytes of a map<text, text> in the order of its names.
function ring.map(options)
  local names, out = {}, {}
  for name in pairs(options) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do out[i] = unit.bytes(name) .. unit.bytes(options[name]) end
  return unit.u32(#names) .. table.concat(out)
end

-- Of a table of options or the bytes of a map.
function ring.replication(options)
  local bytes = type(options) == "string" and options or ring.map(options)
  local read = C.cql__replication_read(unit.buffer(bytes), #bytes)
  return read ~= nil and ffi.gc(read, C.cql__replication_unref) or nil
end

-- ---- places ----

local DISTANCES = { rack = 0, ["local"] = 1, remote = 2, ignored = 3 }

-- Of nodes { { "dc1", "rack1", "local" }, ... }; the second value keeps what it borrows.
function ring.places(nodes)
  local list, ids, names, racks, kept = ffi.new("cql__place[?]", #nodes), {}, {}, {}, {}
  for i, node in ipairs(nodes) do
    local datacenter, rack = node[1], node[2]
    if not ids[datacenter] then
      names[#names + 1] = datacenter
      ids[datacenter] = #names - 1
    end
    racks[#racks + 1] = not racks[rack] and rack or nil
    racks[rack] = racks[rack] or #racks
    list[i - 1] = { ids[datacenter], racks[rack], DISTANCES[node[3] or "local"] }
  end
  local slices = ffi.new("cql_slice_t[?]", #names)
  for i, name in ipairs(names) do slices[i - 1], kept[i] = ring.slice(name) end
  local places = ffi.new("cql__places", { list, #nodes, #names, slices })
  return places, { list, slices, kept }
end

-- Plans for a ring, such nodes and such options; nil: no memory.
function ring.plans(made, nodes, options)
  local places, kept = ring.places(nodes)
  local plans = C.cql__plans_new(made, places, ring.replication(options))
  return plans ~= nil and ffi.gc(plans, C.cql__plans_unref) or nil, kept
end

-- A plan as { primary =, rack = { node, ... }, ["local"] =, remote = }; nil: there is none.
function ring.plan(plans, range)
  local plan = C.cql__plans_get(plans, range)
  if plan == nil then return nil end
  local function group(from, to)
    local nodes = {}
    for i = from, to - 1 do nodes[#nodes + 1] = tonumber(plan.nodes[i]) end
    return nodes
  end
  return {
    primary = plan.primary ~= 65535 and tonumber(plan.primary) or nil,
    rack = group(0, plan.ends[0]), ["local"] = group(plan.ends[0], plan.ends[1]),
    remote = group(plan.ends[1], plan.ends[2]),
  }
end

-- ---- the rules, once more ----

-- Nodes in the order in which they are first met from a range on.
local function first_met(owners, range)
  local met, list = {}, {}
  for i = 0, #owners - 1 do
    local node = owners[(range + i) % #owners + 1]
    if not met[node] then
      met[node] = true
      list[#list + 1] = node
    end
  end
  return list
end

local function factor_of(text)
  local all, transient = text:match "^(%d+)/(%d+)$"
  return tonumber(all or text), tonumber(transient or 0)
end

-- Of those that are met: the first of each rack, and of the others so many as there are replicas
-- too many for the racks.
local function chosen_of(met, nodes, datacenter, text)
  local all, transient = factor_of(text)
  local own, racks = {}, {}
  for _, node in ipairs(met) do
    local place = nodes[node + 1]
    if place[1] == datacenter then
      own[#own + 1] = { node = node, first = not racks[place[2]] }
      racks[#racks + 1] = not racks[place[2]] and place[2] or nil
      racks[place[2]] = true
    end
  end
  local firsts, others, list = math.min(all, #racks), math.max(all - #racks, 0), {}
  for _, candidate in ipairs(own) do
    local left = candidate.first and firsts or others
    if left > 0 then list[#list + 1] = candidate.node end
    if candidate.first then firsts = firsts - 1 else others = others - 1 end
  end
  local full = #list - math.max(transient - (all - #list), 0)
  return { unpack(list, 1, full) }
end

-- The replicas of a range, in ring order. `owners`: of each token, in order.
function ring.reference(owners, range, nodes, options)
  local met, chosen, list = first_met(owners, range), {}, {}
  if options.class:find "SimpleStrategy" then
    local all, transient = factor_of(options.replication_factor)
    local count = math.min(all, #met)
    return { unpack(met, 1, count - math.max(transient - (all - count), 0)) }
  elseif options.class:find "EverywhereStrategy" then
    return first_met(owners, 0)
  end
  for name, factor in pairs(options) do
    if name ~= "class" then
      for _, node in ipairs(chosen_of(met, nodes, name, factor)) do chosen[node] = true end
    end
  end
  for _, node in ipairs(met) do list[#list + 1] = chosen[node] and node or nil end
  return list
end

return ring
