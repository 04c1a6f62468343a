-- Worlds on real sockets, from Lua; spec/live/drivers_spec.lua has other people's drivers on them.
local ffi = require "ffi"
local sim = require "cql.sim"

local C = ffi.load(os.getenv "CQL_SIM_LIBRARY" or "build/dev/libcql_sim.so")

local function connects(address)
  return os.execute(("bash -c 'exec 3<>/dev/tcp/%s/9042' 2>/dev/null"):format(address)) == 0
end

describe("a served world", function()
  it("is there on its addresses, and its alarms are on the machine's time", function()
    local world = sim.world { nodes = 0 }
    world:add { address = "127.0.76.1" }
    local order, reached = {}, nil
    world:at(40, function()
      order[#order + 1] = "at"
      reached = connects "127.0.76.1"
    end)
    world:every(15, function()
      order[#order + 1] = "every"
      return false
    end)
    assert.equal(world, world:serve(2))
    assert.same({ "every", "at" }, order)
    assert.is_true(reached)
    assert.is_true(world:now() >= 2000)
    assert.is_false(connects "127.0.76.1")
    world:serve(0.01) -- once more
  end)

  it("wakes for sessions on its own virtual network: when they want a step, and for their timers",
    function()
      local world = sim.world { nodes = 0, latency = "1ms" }
      world:add { address = "127.0.76.3" }
      local handle, out = world.handle, ffi.new "cql_session_t *[1]"
      assert.equal(0, C.cql_sim_serve(handle))
      assert.equal(-1, C.cql_sim_serve_timeout(handle)) -- there is nobody
      local config = ffi.gc(C.cql_config_new(), C.cql_config_free)
      C.cql_config_set(config, "contact_points", "127.0.76.3")
      C.cql_config_set(config, "heartbeat_ms", "0")
      assert.equal(0, C.cql_sim_session_new(handle, config, out))
      C.cql_sim_alarm_set(handle, 20000000, 1)
      local session, completions = out[0], ffi.new "cql_completion_t[8]"
      local opened, tag = false, ffi.new "uint32_t[1]"
      while not opened do
        os.execute "sleep 0.005" -- what is under way has arrived before the step begins to wait
        assert.equal(0, C.cql_sim_serve_step(handle, -1))
        assert.equal(0, C.cql_sim_alarm_take(handle, tag), "it slept until the alarm")
        assert.equal(1, C.cql_sim_session_due(handle, session))
        assert.equal(0, C.cql_sim_serve_timeout(handle))
        assert.equal(0, C.cql_session_step(session, 0))
        for i = 0, C.cql_poll(session, 8, completions) - 1 do
          opened = opened or (completions[i].kind == C.CQL_EVENT
            and completions[i].code == C.CQL_EVENT_READY)
        end
      end
      C.cql_session_free(session)
      C.cql_sim_serve_stop(handle)
    end)

  it("says why an address can't be had", function()
    local world = sim.world { nodes = 0 }
    world:add { address = "192.0.2.1" }
    local ok, why = pcall(world.serve, world, 0.01)
    assert.is_false(ok)
    assert.matches("192%.0%.2%.1:9042: Cannot assign", why)
  end)

  it("can't be served twice at once", function()
    local world = sim.world { nodes = 0 }
    world:add { address = "127.0.76.2" }
    local ok, why
    world:at(0, function() ok, why = pcall(world.serve, world, 0.01) end)
    world:serve(0.05)
    assert.is_false(ok)
    assert.matches("served already", why)
  end)
end)
