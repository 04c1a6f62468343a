-- Local ports in a world: as on a machine, one has at most one connection to each node's port, and
-- on the shard-aware port it chooses the shard.
local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.core"

local C = unit.C
local PORT_TAKEN = -1000 -- CQL__EPORT
local SHARDS = 3

local function new_world(settings)
  local sim, out = C.cql_sim_new(1), ffi.new "cql_session_t *[1]"
  assert(C.cql_sim_set(sim, -1, "product", "scylla") == 0)
  assert(C.cql_sim_set(sim, -1, "shards", tostring(SHARDS)) == 0)
  for name, value in pairs(settings or {}) do
    assert(C.cql_sim_set(sim, -1, name, tostring(value)) == 0)
  end
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
    local address = type(node) == "string" and node or "127.0.0." .. node
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

  it("is another for the node where ports are translated on the way", function()
    local world = new_world { nat = true }
    for port = 50000, 50003 do assert.equal(0, (world.open(1, 19042, port))) end
    local differ = 0
    for i, c in ipairs(connections(world, 1)) do
      assert.not_equal(49999 + i, c.port)
      assert.equal(c.port % SHARDS, c.shard)
      if c.shard ~= (49999 + i) % SHARDS then differ = differ + 1 end
    end
    assert.is_true(differ > 0)
    assert.equal(PORT_TAKEN, (world.open(1, 19042, 50000)))
    free(world)
  end)

  it("may be taken by others on the machine", function()
    local world = new_world { busy_ports_min = 50001, busy_ports_max = 50002 }
    local results = {}
    for port = 50000, 50003 do results[#results + 1] = world.open(1, 19042, port) end
    assert.same({ 0, PORT_TAKEN, PORT_TAKEN, 0 }, results)
    assert.equal(0, (world.open(1, 9042, 0)))
    free(world)
  end)
end)

describe("a shard-aware port", function()
  for _, how in ipairs { "refuse", "drop" } do
    it("may " .. how .. " connections that the plain one accepts", function()
      local world = new_world { shard_accept = how }
      assert.equal(0, (world.open(1, 19042, 50000)))
      assert.equal(0, #connections(world, 1))
      assert.equal(0, (world.open(1, 9042, 50000)))
      assert.equal(1, #connections(world, 1))
      local counters = ffi.new "cql_sim_counters_t"
      assert(C.cql_sim_counters(world.sim, 0, counters) == 0)
      assert.equal(how == "refuse" and 1 or 0, tonumber(counters.refused))
      free(world)
    end)
  end
end)

describe("an address that leads to a node", function()
  it("comes out at its own port, from another source port", function()
    local world = new_world()
    assert.equal(0, C.cql_sim_forward(world.sim, "10.1.1.1", 9999, 1, nil))
    assert.equal(0, (world.open("10.1.1.1", 9999, 50000)))
    assert.equal(0, (world.open("10.1.1.1", 9998, 50000))) -- which leads nowhere
    assert.equal(0, #connections(world, 1))
    local found = connections(world, 2)
    assert.equal(1, #found)
    assert.not_equal(50000, found[1].port)
    C.cql_sim_forward(world.sim, "10.1.1.1", 9999, 0, nil)
    assert.equal(0, (world.open("10.1.1.1", 9999, 50001)))
    assert.equal(1, #connections(world, 1))
    C.cql_sim_forward(world.sim, "10.1.1.1", 9999, -1, nil)
    C.cql_sim_forward(world.sim, "10.1.1.1", 9999, -1, nil)
    assert.equal(0, (world.open("10.1.1.1", 9999, 50002)))
    assert.same({ 1, 1 }, { #connections(world, 1), #connections(world, 2) })
    free(world)
  end)

  it("must be one, and lead to a node that is there", function()
    local world = new_world()
    assert.equal(C.CQL_EVALUE, C.cql_sim_forward(world.sim, "proxy", 9042, 0, nil))
    assert.equal(C.CQL_EVALUE, C.cql_sim_forward(world.sim, "10.1.1.1", 0, 0, nil))
    assert.equal(C.CQL_EINVAL, C.cql_sim_forward(world.sim, "10.1.1.1", 9042, 2, nil))
    free(world)
  end)
end)

-- ---- the event of client routes, to a client that speaks by hand ----

local function map(pairs_)
  local out = { unit.u16(#pairs_) }
  for _, pair in ipairs(pairs_) do out[#out + 1] = unit.str(pair[1]) .. unit.str(pair[2]) end
  return table.concat(out)
end

local function say(world, socket, opcode, body)
  local bytes = "\4\0\0\1" .. string.char(opcode) .. unit.u32(#body) .. body
  local span = ffi.new("cql__span", bytes, #bytes)
  assert(world.link.ops.write(socket, span, 1) == #bytes)
  C.cql_sim_pass(world.sim, 10000)
  local out = ffi.new "uint8_t[4096]"
  local got = tonumber(world.link.ops.read(socket, out, 4096))
  return got > 0 and ffi.string(out, got) or ""
end

describe("CLIENT_ROUTES_CHANGE", function()
  local STARTUP, REGISTER, ERROR, READY = 1, 11, 0, 2

  local function client(world, node)
    local _, socket = world.open(node, 9042, 0)
    assert.equal(READY, say(world, socket, STARTUP, map { { "CQL_VERSION", "3.0.0" } }):byte(5))
    return socket, say(world, socket, REGISTER, unit.list("CLIENT_ROUTES_CHANGE")):byte(5)
  end

  it("is told to whom registered for it", function()
    local world = new_world()
    local socket, answer = client(world, 1)
    assert.equal(READY, answer)
    world.open(1, 9042, 0)
    assert.equal(1, C.cql_sim_route(world.sim, "private", 1, "10.1.1.1", 9042, 0))
    C.cql_sim_pass(world.sim, 10000)
    local out = ffi.new "uint8_t[4096]"
    local got = tonumber(world.link.ops.read(socket, out, 4096))
    local body = unit.str "CLIENT_ROUTES_CHANGE" .. unit.str "UPDATE_NODES" ..
      unit.list "private" .. unit.list(ffi.string(C.cql_sim_node_host_id(world.sim, 1)))
    assert.equal("\132\0\255\255\12" .. unit.u32(#body) .. body, ffi.string(out, got))
    assert.equal(C.CQL_EINVAL, C.cql_sim_route(world.sim, "private", 2, "10.1.1.1", 9042, 0))
    assert.equal(C.CQL_EVALUE, C.cql_sim_route(world.sim, "private", 1, "10.1.1.1", -1, 0))
    free(world)
  end)

  it("is no event of a Cassandra's", function()
    local world = new_world { product = "cassandra" }
    local _, answer = client(world, 1)
    assert.equal(ERROR, answer)
    free(world)
  end)
end)
