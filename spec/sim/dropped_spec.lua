-- Sessions that are dropped and not closed: the world goes on without them.
local ffi = require "ffi"
local sim = require "cql.sim"
local library = require "cql.sim.library"

it("a world goes on though a session that nobody steps any more waits for its turn", function()
  local C = library.C
  local world = sim.world { seed = 1 }
  local config, out = C.cql_config_new(), ffi.new "cql_session_t *[1]"
  assert(C.cql_config_set(config, "contact_points", "127.0.0.1") == 0)
  assert(C.cql_sim_session_new(world.handle, config, out) == 0)
  C.cql_config_free(config)
  -- As one of which the collector has taken the table, and not yet come to the handle: nothing
  -- more is allocated here, so that by itself it never comes.
  local freed = false
  local dropped = ffi.gc(out[0], function(handle)
    freed = true
    C.cql_session_free(handle)
  end)
  assert(dropped ~= nil)
  collectgarbage()
  dropped = nil -- luacheck: ignore
  world:run(function()
    local session = assert(world:connect())
    collectgarbage "stop"
    world.cql.sleep(60000)
    collectgarbage "restart"
    session:close()
  end)
  assert.is_true(freed)
  assert.is_true(world:now() >= 60000)
end)
