-- A pool that grows while memory is short: whichever allocation fails, it is full in the end.
local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.core"

local C = unit.C
local SHARDS = 4
local SECOND = 1000000 -- of the world's time, in microseconds

local completions = ffi.new "cql_completion_t[64]"

-- The session's host steps and polls whenever it is asked to, until so many microseconds have gone.
local function play(sim, session, us)
  local stop = C.cql_sim_now(sim) + us
  repeat
    local why = C.cql_sim_run(sim, stop)
    C.cql_session_step(session, 0)
    while C.cql_poll(session, 64, completions) > 0 do end
  until why == C.CQL_SIM_TIME or why == C.CQL_SIM_IDLE
end

local function new_session(sim)
  local config, out = C.cql_config_new(), ffi.new "cql_session_t *[1]"
  for name, value in pairs { contact_points = "127.0.0.1", discover = "false",
    connections_per_shard = "2", reconnect_max_ms = "1000", request_timeout_ms = "60000" } do
    assert(C.cql_config_set(config, name, value) == 0)
  end
  assert(C.cql_sim_session_new(sim, config, out) == 0)
  C.cql_config_free(config)
  return out[0]
end

local function by_shard(sim)
  local found, c = {}, ffi.new "cql_sim_connection_t"
  for shard = 0, SHARDS - 1 do found[shard] = 0 end
  for i = 0, C.cql_sim_connection_count(sim, 0) - 1 do
    assert(C.cql_sim_connection(sim, 0, i, c) == 0)
    found[c.shard] = found[c.shard] + 1
  end
  return found
end

-- True if there was an allocation number n.
local function live(settings, n, onwards)
  local sim = C.cql_sim_new(n)
  for name, value in pairs(settings) do
    assert(C.cql_sim_set(sim, -1, name, value) == 0)
  end
  assert(C.cql_sim_node_new(sim, "dc1", "r1", nil) == 0)
  assert(C.cql_sim_node_start(sim, 0) == 0)
  local session = new_session(sim)
  local before = tonumber(C.cql__mem_count())
  C.cql__mem_fail(n, onwards)
  play(sim, session, SECOND)
  local failed = tonumber(C.cql__mem_count()) - before >= n
  C.cql__mem_fail(0, 0)
  play(sim, session, 10 * SECOND)
  local metrics = ffi.new "cql_metrics_t"
  C.cql_session_metrics(session, metrics)
  local found = by_shard(sim)
  for shard = 0, SHARDS - 1 do
    assert(found[shard] == 2, ("shard %d has %d connections"):format(shard, found[shard]))
  end
  assert(metrics.connections == 2 * SHARDS)
  C.cql_session_free(session)
  C.cql_sim_free(sim)
  return failed
end

local ways = {
  ["through the shard-aware port"] = { product = "scylla", shards = tostring(SHARDS) },
  ["through the plain port"] =
    { product = "scylla", shards = tostring(SHARDS), shard_aware_port = "0" },
  ["with NAT between"] = { product = "scylla", shards = tostring(SHARDS), nat = "true" },
}

describe("a pool that grows while memory is short", function()
  for way, settings in pairs(ways) do
    for onwards = 0, 1 do
      it(("is full in the end, %s, %s"):format(way, onwards == 1 and "for a second" or "once"),
        function()
        collectgarbage()
        local baseline, n = tonumber(C.cql__mem_live()), 0
        repeat
          n = n + 1
          local ok, failed = pcall(live, settings, n, onwards)
          C.cql__mem_fail(0, 0)
          if not ok then error(("allocation %d: %s"):format(n, tostring(failed)), 0) end
          assert.equal(baseline, tonumber(C.cql__mem_live()), "allocation " .. n .. " leaks")
        until not failed
        assert(n > 20, n)
      end)
    end
  end
end)
