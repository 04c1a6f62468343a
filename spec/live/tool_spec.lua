-- tools/cassandra itself: what it says to words that it does not know; ups and downs of a node.
local cassandra = require "spec.support.cassandra"

local TOOL = os.getenv "CQL_CASSANDRA_TOOL" or "tools/cassandra"

local function run(words)
  local pipe = assert(io.popen(("env -u LD_PRELOAD %s %s 2>&1; echo $?"):format(TOOL, words)))
  local output, status = pipe:read("*a"):match "^(.-)(%d+)\n$"
  pipe:close()
  return output, tonumber(status)
end

describe("tools/cassandra", function()
  for words, reason in pairs {
    ["fly"] = "invalid choice: 'fly'",
    ["start --bogus"] = "unrecognized arguments: --bogus",
    ["start --nodes 0"] = "--nodes is 1 to 9",
    ["start --nodes many"] = "invalid int value: 'many'",
    ["start --dcs 2,0"] = "--dcs is the number of nodes in each datacenter",
    ["start --dcs 5,5"] = "--nodes is 1 to 9",
    ["start --dcs 2,1 --nodes 3"] = "--nodes and --dcs both say",
    ["start --racks 0"] = "--racks is 1 to 9",
    ["add --dc a,b"] = "is made of letters",
    ["add --name nobody"] = "no cluster nobody",
    ["decommission"] = "required: node",
    ["start --version 5"] = "--version is one of 5.0, 4.1",
    ["install --version ../5.0"] = "--version is one of 5.0, 4.1",
    ["start --name a/b"] = "a name is made of",
    ["kill"] = "required: node",
    ["kill 1 --name nobody"] = "no cluster nobody",
    ["env --name nobody"] = "no cluster nobody",
  } do
    it("says what is wrong with " .. words, function()
      local output, status = run(words)
      assert.matches(reason, output, 1, true)
      assert.is_true(#output < 400, "a page instead of a reason")
      assert.is_true(status == 1 or status == 2)
    end)
  end

  it("shows its page of help after any word", function()
    for _, words in ipairs { "", "--help", "kill --help" } do
      local output, status = run(words)
      assert.matches("start [--nodes N", output, 1, true)
      assert.are.equal(0, status)
    end
  end)

  it("stops what is not there", function()
    local _, status = run "stop --name nobody"
    assert.are.equal(0, status)
  end)
end)

cassandra.describe("tools/cassandra with a node", { version = "4.1" }, function(server)
  local function state()
    local output, status = run("status --name " .. server.name)
    return output:match "^%d+%s+%S+%s+%S+%s+(%a+)", status
  end

  it("kills, pauses, resumes and starts it", function()
    assert.are.equal("ready", (state()))
    server:pause()
    assert.are.same({ "paused", 3 }, { state() })
    server:resume()
    assert.are.same({ "ready", 0 }, { state() })
    server:kill()
    assert.are.same({ "down", 3 }, { state() })
    assert.matches("node 1 is not running", (run("pause 1 --name " .. server.name)))
    server:up()
    server:up()
    assert.are.same({ "ready", 0 }, { state() })
  end)

  it("starts it as it is, and refuses to make it something else", function()
    local output, status = run("start --name " .. server.name)
    assert.matches("is running at", output)
    assert.are.equal(0, status)
    output, status = run("start --version 3.11 --name " .. server.name)
    assert.matches("exists with other options", output)
    assert.are.equal(1, status)
    output, status = run("kill 2 --name " .. server.name)
    assert.matches("has no node 2; its nodes are 1", output)
    assert.are.equal(1, status)
  end)
end)

cassandra.describe("tools/cassandra with datacenters", { dcs = "1,1", racks = 2 }, function(server)
  -- "1 dc1/r1 ready, 2 dc2/r1 ready"
  local function layout()
    local words = {}
    for _, node in ipairs(server:nodes()) do
      words[#words + 1] = ("%d %s/%s %s"):format(node.number, node.datacenter, node.rack,
        node.state)
    end
    return table.concat(words, ", ")
  end

  -- Who its node number `number` says is there, and where: "127.0.10.1 dc1 r1".
  local function ring(number)
    local session = assert(require "cql".connect(server:options {
      contact_points = server:nodes()[number].address, discover = false,
    }))
    local found = {}
    for _, query in ipairs {
      "SELECT rpc_address, data_center, rack, tokens FROM system.local",
      "SELECT rpc_address, data_center, rack, tokens FROM system.peers",
    } do
      for _, row in ipairs(assert(session:execute(query))) do
        assert.are.equal(4, #row.tokens)
        found[#found + 1] = ("%s %s %s"):format(row.rpc_address, row.data_center, row.rack)
      end
    end
    session:close()
    table.sort(found)
    return found
  end

  local function places()
    local expected = {}
    for i, node in ipairs(server:nodes()) do
      expected[i] = ("%s %s %s"):format(node.address, node.datacenter, node.rack)
    end
    return expected
  end

  it("starts each node in its own, and the nodes know it", function()
    assert.are.equal("1 dc1/r1 ready, 2 dc2/r1 ready", layout())
    assert.are.same(places(), ring(1))
    assert.are.same(places(), ring(2))
  end)

  it("moves no data while a node is down", function()
    server:kill(2)
    for _, words in ipairs { "add", "decommission 1" } do
      local output, status = run(words .. " --name " .. server.name)
      assert.matches("node 2 is down, and all must be ready", output, 1, true)
      assert.are.equal(1, status)
    end
    server:up(2)
    assert.are.equal("1 dc1/r1 ready, 2 dc2/r1 ready", layout())
  end)

  it("adds a node, and takes one away", function()
    server:add("dc2", "r2")
    assert.are.equal("1 dc1/r1 ready, 2 dc2/r1 ready, 3 dc2/r2 ready", layout())
    for number = 1, 3 do assert.are.same(places(), ring(number)) end
    server:decommission(2)
    assert.are.equal("1 dc1/r1 ready, 3 dc2/r2 ready", layout())
    assert.are.same(places(), ring(1))
    assert.are.same(places(), ring(2))
    local output, status = run("log 2 --name " .. server.name)
    assert.matches("its nodes are 1, 3", output)
    assert.are.equal(1, status)
  end)

  it("keeps what was added and taken away over a restart", function()
    run("stop --name " .. server.name)
    assert.are.equal("1 dc1/r1 down, 3 dc2/r2 down", layout())
    run("start --name " .. server.name)
    assert.are.equal("1 dc1/r1 ready, 3 dc2/r2 ready", layout())
    assert.are.same(places(), ring(2))
  end)
end)
