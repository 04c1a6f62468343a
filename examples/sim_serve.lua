-- A cluster that any driver can be tested against, without a server: node 2 dies after a minute,
-- is back after another, and so on; and one write in ten is late.
--
--   ./dev sim serve examples/sim_serve.lua
--
-- Then connect to 127.0.0.1:9042. Interrupt it to end it.
local sim = require "cql.sim"

local world = sim.world { seed = 1, datacenters = { dc1 = { rack1 = 1, rack2 = 1, rack3 = 1 } } }

world:given(
  "CREATE KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}",
  "CREATE TABLE shop.items (id int PRIMARY KEY, name text)",
  "INSERT INTO shop.items (id, name) VALUES (1, 'cup')")

world:rule { prefix = "INSERT", chance = 0.1, answer = "own", delay = "200ms..2s" }

world:every(60000, function()
  local node = world:node(2)
  if node:state() == "up" then node:kill() else node:start() end
end)

return world
