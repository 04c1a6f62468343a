-- Two nodes: requests are spread over them, go on when one dies, and come back to it by themselves.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"

cassandra.describe("two nodes", { nodes = 2 }, function(server)
  local session

  setup(function()
    session = assert(cql.connect(server:options {
      consistency = "one", reconnect_max_ms = 200, request_timeout_ms = 5000,
    }))
    -- Again until both nodes have heard of what the other was told.
    local function run(text)
      local rows, err
      for _ = 1, 50 do
        rows, err = session:execute(text, nil, { timeout_ms = 30000 })
        if rows or err.name ~= "INVALID" then break end
        cql.sleep(200)
      end
      assert(rows, err)
    end
    run("CREATE KEYSPACE nodes_spec "
      .. "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}")
    run "CREATE TABLE nodes_spec.t (id int PRIMARY KEY)"
    for _ = 1, 40 do run "SELECT * FROM nodes_spec.t" end
  end)
  teardown(function() assert(session:close()) end)

  -- How many of 200 requests, one after the other, each node answered, and the names of errors.
  local function ask()
    local nodes, names = {}, {}
    for id = 1, 200 do
      local rows, err = session:execute("INSERT INTO nodes_spec.t (id) VALUES (?)", { id })
      local key = rows and rows.execution.node or err.name
      local count = rows and nodes or names
      count[key] = (count[key] or 0) + 1
    end
    return nodes, names
  end

  local function size(map)
    local count = 0
    for _ in pairs(map) do count = count + 1 end
    return count
  end

  local function until_both_answer()
    for _ = 1, 100 do
      local nodes = ask()
      if size(nodes) == 2 then return end
      cql.sleep(100)
    end
    error "one node never answers"
  end

  it("share the requests", function()
    until_both_answer()
    local nodes, names = ask()
    assert.equal(2, size(nodes))
    assert.same({}, names)
  end)

  it("serve on when one dies, and together when it is back", function()
    for _ = 1, 2 do
      server:kill(2)
      local _, names = ask()
      names.CONNECTION_LOST = nil -- what was under way, or was sent before the end was known
      assert.same({}, names)
      local nodes
      nodes, names = ask()
      assert.equal(1, size(nodes))
      assert.same({}, names)
      server:up(2)
      until_both_answer()
    end
  end)
end)
