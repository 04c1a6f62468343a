-- A ScyllaDB node on real sockets, with TLS and without: its shards are dialled through the
-- shard-aware port that SUPPORTED gives for this way, each from a local port that chooses it.
local certificates = require "spec.support.certificates"
local loopback = require "spec.support.loopback"
local tls = require "spec.support.tls"

local C = loopback.C
local SHARDS = 4

-- The plain port deals shards out in turn; the others take them from the port of the client.
local function shard_of(world, peer)
  if peer.listener == world.listener then
    world.dealt = world.dealt + (peer.shard and 0 or 1)
    return peer.shard or (world.dealt - 1) % SHARDS
  end
  return peer.socket.from_port % SHARDS
end

-- A node that is asked with TLS (a context) or without; `wrong`: the shard-aware port of that way
-- is closed ("closed"), or speaks as on the other way ("other").
local function begin(context, wrong)
  local options = { contact_points = "127.0.0.1", connect_timeout_ms = 2000 }
  if context then options.tls, options.tls_ca = true, certificates.ca end
  local world
  local side = { tls = context, supported = function(peer)
    peer.shard = shard_of(world, peer)
    return { { "CQL_VERSION", "3.4.5" }, { "SCYLLA_SHARD", tostring(peer.shard) },
      { "SCYLLA_NR_SHARDS", tostring(SHARDS) }, { "SCYLLA_SHARDING_IGNORE_MSB", "12" },
      { "SCYLLA_SHARDING_ALGORITHM", "biased-token-round-robin" },
      { "SCYLLA_PARTITIONER", "org.apache.cassandra.dht.Murmur3Partitioner" },
      { "SCYLLA_SHARD_AWARE_PORT", tostring(world.plain.port) },
      { "SCYLLA_SHARD_AWARE_PORT_SSL", tostring(world.secure.port) } }
  end }
  world = assert(loopback.new(options, side))
  world.dealt = 0
  local one = context or tls.context { cert = certificates.node, key = certificates.node_key }
  local crossed = wrong == "other"
  world.plain = world:listen(crossed and one or nil)
  world.secure = world:listen(not crossed and one or nil)
  world.wanted = context and world.secure or world.plain
  if wrong == "closed" then world.wanted:close() end
  world:until_("a connection for each shard", function()
    return tonumber(world:metrics().connections) == SHARDS
  end)
  return world
end

-- { 0, 1, 2, 3 }: the shards of the connections that were opened, as the session tells them.
local function opened(world)
  local shards = {}
  for _, event in ipairs(world.events) do
    if event.code == C.CQL_EVENT_CONNECTION_OPENED then shards[#shards + 1] = event.shard end
  end
  table.sort(shards)
  return shards
end

local function through(world, listener)
  local peers = {}
  for _, peer in ipairs(world.peers) do
    if peer.listener == listener and not peer.ended then peers[#peers + 1] = peer end
  end
  return peers
end

for _, way in ipairs { "TLS 1.2", "TLS 1.3", "no TLS" } do
  describe("shards, with " .. way, function()
    local function context()
      local version = way:match "^TLS (.*)"
      return version and tls.context { cert = certificates.node, key = certificates.node_key,
        version = version }
    end

    it("are dialled through the port for that, from ports that choose them", function()
      local world = begin(context())
      local other = world.wanted == world.secure and world.plain or world.secure
      assert.equal(1, #through(world, world.listener))
      assert.equal(SHARDS - 1, #through(world, world.wanted))
      assert.equal(0, #through(world, other))
      local chosen = {}
      for i, peer in ipairs(through(world, world.wanted)) do
        local port = peer.socket.from_port
        assert.is_true(port >= 49152 and port <= 65535, port)
        chosen[i] = port % SHARDS
        assert.equal(way ~= "no TLS", peer.tls ~= nil)
      end
      table.sort(chosen)
      assert.same({ 1, 2, 3 }, chosen) -- the first connection is of shard 0
      assert.same({ 0, 1, 2, 3 }, opened(world))
      for _ = 1, 20 do assert.equal(0, world:ask()) end
      world:free()
    end)

    for _, wrong in ipairs { "closed", "other" } do
      local what = wrong == "closed" and "is closed" or "speaks otherwise"
      it("are dialled through the plain port where that " .. what, function()
        local world = begin(context(), wrong)
        assert.equal(SHARDS, #through(world, world.listener))
        assert.same({ 0, 1, 2, 3 }, opened(world))
        local warning = world:event(C.CQL_EVENT_WARNING)
        assert.equal(("its shard-aware port, %d, can't be reached"):format(world.wanted.port),
          warning.message)
        for _ = 1, 20 do assert.equal(0, world:ask()) end
        world:free()
      end)
    end
  end)
end
