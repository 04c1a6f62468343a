-- From one contact point to the whole cluster, on servers that tell of it in different ways.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"

for name, options in pairs {
  ["of 3.11, which has no peers_v2"] = { version = "3.11", dcs = "1,1" },
  ["of 5.0, with TLS and passwords"] = { version = "5.0", dcs = "1,1", tls = true, auth = true },
} do
  cassandra.describe("a cluster " .. name, options, function(server)
    it("is known and used by a session that was told of one node", function()
      local events = {}
      local session = assert(cql.connect(server:options {
        contact_points = server:nodes()[1].address, consistency = "one",
        distance = function() return "local" end,
        on = { node_added = function(event) events[#events + 1] = event.node.address end },
      }))
      local nodes
      for _ = 1, 100 do
        nodes = assert(session:nodes())
        if #nodes == 2 and nodes[1].up and nodes[2].up then break end
        cql.sleep(50)
      end
      local used = {}
      for i, expected in ipairs(server:nodes()) do
        local node = nodes[i]
        assert.equal(expected.address .. ":9042", node.address)
        assert.equal(expected.datacenter, node.datacenter)
        assert.equal(expected.rack, node.rack)
        assert.matches("^" .. options.version:gsub("%.", "%%."), node.version)
        for _ = 1, 3 do
          local row = assert(session:execute("SELECT rpc_address, host_id FROM system.local", nil,
            { node = node }))[1]
          assert.same({ expected.address, node.host_id }, { row.rpc_address, row.host_id })
        end
      end
      for _ = 1, 50 do
        used[assert(session:execute "SELECT key FROM system.local").execution.node] = true
      end
      assert.is_true(used[nodes[1].address] and used[nodes[2].address])
      assert.is_true(#events >= 1)
      assert(session:close())
    end)
  end)
end
