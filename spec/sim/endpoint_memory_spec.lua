-- Endpoints where memory ends: with a host that answers questions, and with client routes, through
-- addresses and through names.
local peer = require "spec.support.peer"
local topology = require "spec.support.topology"
local unit = require "spec.support.unit"

local C = unit.C
local p

-- Answers what was asked about endpoints since, and look-ups.
local function tend(self)
  for i = #self.events, 1, -1 do
    local event = self.events[i]
    if event.kind == C.CQL_QUESTION then
      table.remove(self.events, i)
      local text = "db.test:900" .. event.address:match "10%.0%.0%.(%d+):"
      C.cql__session_answer(self.session, event.tag, text, #text)
    end
  end
  self.looked_up = self.looked_up or 0
  while self.looked_up < #self:names() do
    self.looked_up = self.looked_up + 1
    self:resolve(self.looked_up - 1, "10.9.9.9")
  end
end

local function run(cluster, ms)
  cluster:play(p)
  p:run(ms, function()
    tend(p)
    cluster:play(p)
  end)
end

local function is_well(cluster)
  p:collect()
  local pool = table.concat(cluster:pool(p), " ")
  return pool == "10.9.9.9:9001 10.9.9.9:9002 10.9.9.9:9003" and #cluster:controls(p) == 1
end

-- A session's life until it knows its cluster and has followed a change, with allocation n failing;
-- true if there was such an allocation.
local function live(options, n, onwards)
  local cluster, before = topology.new(3), nil
  for i, node in ipairs(cluster.nodes) do
    node.route = "10.9.9.9:900" .. i
    node.told_route = (i == 2 and "db.test:900" or "10.9.9.9:900") .. i
  end
  local all = { reconnect_max_ms = 200, contact_points = "10.9.9.9:9001" }
  for name, value in pairs(options) do all[name] = value end
  local status
  p, status = cluster:connect(all, 0, function(self)
    table.insert(self.supported, { "SCYLLA_LWT_ADD_METADATA_MARK",
      "LWT_OPTIMIZATION_META_BIT_MASK=2147483648" })
    before = tonumber(C.cql__mem_count())
    C.cql__mem_fail(n, onwards)
  end)
  if not p then
    C.cql__mem_fail(0, 0)
    assert.equal(C.CQL_ENOMEM, status)
    return true
  end
  run(cluster, 300)
  cluster:tell(p, "TOPOLOGY_CHANGE", "NEW_NODE")
  run(cluster, 1500)
  local any = tonumber(C.cql__mem_count()) - before >= n
  C.cql__mem_fail(0, 0)
  if p:event(C.CQL_EVENT_FAILED) then return any end
  run(cluster, 10000)
  assert.is_true(is_well(cluster), table.concat(cluster:pool(p), " "))
  return any
end

after_each(peer.free_all)

describe("an allocation that fails", function()
  for what, options in pairs { ["a host's answers"] = { ask_endpoint = "true" },
    ["client routes"] = { client_routes = "one,two" } } do
    for onwards = 0, 1 do
      it("leaks nothing, and all is reached later, by " .. what .. ": " ..
        (onwards == 1 and "it and all after it" or "it alone"), function()
        unit.outlive_each_allocation(function(...) return live(options, ...) end, onwards,
          peer.free_all, 80)
      end)
    end
  end
end)
