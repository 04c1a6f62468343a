-- Local ports in a world: as on a machine, one has at most one connection to each node's port, and
-- on the shard-aware port it chooses the shard.
local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.core"

unit.cdef("sim_public", require "cql.sim.cdef")
unit.cdef("port_spec", [[
  cql__link *cql__spec_session_link(const cql_session_t *session);
  int cql__address_from_text(const char *text, size_t length, uint16_t port, cql__address *out);
]])

local C = unit.C
local PORT_TAKEN = -1000 -- CQL__EPORT
local SHARDS = 3

local function new_world()
  local sim, out = C.cql_sim_new(1), ffi.new "cql_session_t *[1]"
  assert(C.cql_sim_set(sim, -1, "product", "scylla") == 0)
  assert(C.cql_sim_set(sim, -1, "shards", tostring(SHARDS)) == 0)
  for node = 0, 1 do
    assert(C.cql_sim_node_new(sim, "dc1", "r1", nil) == node)
    assert(C.cql_sim_node_start(sim, node) == 0)
  end
  local config = C.cql_config_new()
  C.cql_config_set(config, "contact_points", "10.9.9.9") -- nobody: the sockets are the spec's
  assert(C.cql_sim_session_new(sim, config, out) == 0)
  C.cql_config_free(config)
  local link = C.cql__spec_session_link(out[0])
  return { sim = sim, session = out[0], link = link, open = function(node, port, local_port)
    local target, socket = ffi.new "cql__target", ffi.new "cql__socket *[1]"
    local address = "127.0.0." .. node
    assert(C.cql__address_from_text(address, #address, port, target.address) == 0)
    target.local_port = local_port
    local result = link.ops.open(link, target, nil, socket)
    C.cql_sim_pass(sim, 10000)
    return result, socket[0]
  end }
end

local function connections(world, node)
  local found, c = {}, ffi.new "cql_sim_connection_t"
  for i = 0, C.cql_sim_connection_count(world.sim, node - 1) - 1 do
    assert(C.cql_sim_connection(world.sim, node - 1, i, c) == 0)
    found[i + 1] = { port = c.source_port, shard = c.shard }
  end
  return found
end

local function free(world)
  C.cql_session_free(world.session)
  C.cql_sim_free(world.sim)
end

describe("a local port", function()
  it("chooses the shard on the shard-aware port alone", function()
    local world = new_world()
    assert.equal(0, (world.open(2, 9042, 51002))) -- of shard 0, by its number
    local plain = connections(world, 2)
    assert.same({ { port = 51002, shard = 0 } }, plain)
    assert.equal(0, (world.open(2, 9042, 51005)))
    assert.not_equal(0, connections(world, 2)[2].shard)
    for port = 50000, 50000 + SHARDS do assert.equal(0, (world.open(1, 19042, port))) end
    local shards = {}
    for i, c in ipairs(connections(world, 1)) do
      assert.equal(49999 + i, c.port)
      shards[i] = c.shard
    end
    assert.same({ 50000 % 3, 50001 % 3, 50002 % 3, 50003 % 3 }, shards)
    free(world)
  end)

  it("has one connection to each node's port, until that is closed", function()
    local world = new_world()
    local result, socket = world.open(1, 19042, 50000)
    assert.equal(0, result)
    assert.equal(PORT_TAKEN, (world.open(1, 19042, 50000)))
    assert.equal(0, (world.open(1, 9042, 50000)))
    assert.equal(0, (world.open(2, 19042, 50000)))
    world.link.ops.close(socket)
    assert.equal(0, (world.open(1, 19042, 50000)))
    free(world)
  end)
end)
