-- Every C program of examples/ against a real server: what it prints, and how it ends.
local cassandra = require "spec.support.cassandra"

local FOLDER = (os.getenv "CQL_BUILD" or "build/dev") .. "/examples/"

local PRINTS = {
  poll_loop = "^10000 rows written, 10000 read back, 0 wrong\n$",
  uv_host = "^mars has 2 moons\n$",
}

local function run(program, environment)
  local command = ("%s timeout 60 %s%s 2>&1; echo $?"):format(environment, FOLDER, program)
  local pipe = assert(io.popen(command))
  local output, status = pipe:read("*a"):match "^(.-)(%d+)\n$"
  pipe:close()
  return output, tonumber(status)
end

describe("the C examples", function()
  it("are all known here", function()
    for _, path in ipairs(require("spec.support.tree").files "examples/*.c") do
      assert(PRINTS[path:match "([%w_]+)%.c$"], path .. " has no line in this spec")
    end
  end)

  for program in pairs(PRINTS) do
    it(program .. " says why when nobody listens, and fails", function()
      local output, status = run(program, "CQL_CONTACT_POINTS=127.0.0.1:1")
      assert.are.equal(1, status)
      assert.matches("Connection refused", output)
    end)
  end
end)

cassandra.describe("the C examples on Cassandra", function(server)
  for program, expected in pairs(PRINTS) do
    it(program .. " does what it says, twice", function()
      for _ = 1, 2 do
        local output, status = run(program, "CQL_CONTACT_POINTS=" .. server.contact_points)
        assert.matches(expected, output)
        assert.are.equal(0, status)
      end
    end)
  end
end)

cassandra.describe("with a password and client certificates", {
  auth = true, client_auth = true,
}, function(server)
  it("poll_loop takes the options from the environment", function()
    local output, status = run("poll_loop", "eval \"$($CQL_CASSANDRA_TOOL env --name " ..
      server.name .. ")\";")
    assert.matches(PRINTS.poll_loop, output)
    assert.are.equal(0, status)
  end)
end)
