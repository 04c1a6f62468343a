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
      assert.matches("start [--nodes N]", output, 1, true)
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
    return output:match "^%d+%s+%S+%s+(%a+)", status
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
    assert.matches("has nodes 1 to 1", output)
    assert.are.equal(1, status)
  end)
end)
