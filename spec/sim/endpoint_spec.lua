-- Where nodes are reached: a function of the configuration, asked for each connection anew.
local sim = require "cql.sim"

local SCHEMA = {
  "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
  "CREATE TABLE ks.t (id int PRIMARY KEY, v text)",
}

describe("the endpoint of a node", function()
  local world, asked

  before_each(function()
    asked = {}
    world = sim.world { seed = 1, nodes = 3 }
    world:given(unpack(SCHEMA))
    for number = 1, 3 do world:forward("10.9.9.9", 9000 + number, world:node(number)) end
  end)

  local function port_of(node) return 9000 + tonumber(node.address:match "%.(%d+):") end

  local function connect(endpoint, more)
    local options = { endpoint = endpoint, log = function() end, reconnect_max_ms = 500 }
    for name, value in pairs(more or {}) do options[name] = value end
    return assert(world:connect(options))
  end

  local function settle() world:run(function() world.cql.sleep(3000) end) end

  local function ups(session)
    local count = 0
    for _, node in ipairs(session:nodes()) do count = count + (node.up and 1 or 0) end
    return count
  end

  it("is what the function says, and its node stays who it is", function()
    local session = connect(function(node)
      asked[#asked + 1] = node.address
      return "10.9.9.9:" .. port_of(node)
    end)
    settle()
    assert.equal(3, ups(session))
    assert.is_true(#asked >= 3)
    for i = 1, 20 do assert(session:execute("INSERT INTO ks.t (id) VALUES (?)", { i })) end
    for _, node in ipairs(session:nodes()) do assert.matches("^127", node.address) end
  end)

  it("is asked for again whenever a connection is opened", function()
    local session = connect(function(node)
      asked[#asked + 1] = node.address
      return { address = "10.9.9.9:" .. port_of(node) }
    end)
    settle()
    local before = #asked
    world:node(2):kill():start()
    settle()
    assert.is_true(#asked > before)
    assert.equal(3, ups(session))
  end)

  it("is the node's own address where it says nothing, fails, or gives something else", function()
    for _, endpoint in ipairs {
      function() end, function() error "no" end, function() return 5 end,
      function() return "nowhere" end, function() return "db.example:9042" end,
    } do
      local session = connect(endpoint)
      settle()
      assert.equal(3, ups(session))
      session:close()
    end
  end)

  it("isn't waited for by a session that closes", function()
    local session
    session = connect(function()
      if session then session:close(0) end
    end)
    world:node(2):kill():start()
    settle()
    assert.is_truthy(session)
  end)
end)
