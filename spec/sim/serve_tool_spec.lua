-- ./dev sim serve: a script's world on loopback, for any driver; here for ours, over real sockets.
local cql = require "cql"

local SCRIPT = [[
local sim = require "cql.sim"
local world = sim.world { seed = 1, nodes = 0, cluster_name = arg and arg[2] or "?" }
for i = 1, 2 do world:add { address = "127.0.79." .. i } end
world:given("CREATE KEYSPACE k WITH replication = "
  .. "{'class': 'SimpleStrategy', 'replication_factor': 1}",
  "CREATE TABLE k.t (id int PRIMARY KEY, v text)", "INSERT INTO k.t (id, v) VALUES (1, 'one')")
world:rule { text = "SELECT v FROM k.gone", error = "READ_TIMEOUT", received = 1, required = 2 }
return world
]]

-- A sanitized library wants its runtime in the new process, too.
local sanitizer = os.getenv "CQL_SANITIZER"
local PRELOAD = "env LD_PRELOAD=$(readlink -f $(gcc -print-file-name=lib%s.so)) "
local LUAJIT = (sanitizer and PRELOAD:format(sanitizer) or "") .. "luajit"

local folder
before_each(function()
  local pipe = assert(io.popen "mktemp -d")
  folder = pipe:read "*l"
  pipe:close()
end)
after_each(function() os.execute("rm -rf '" .. folder .. "'") end)

local function write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "w"))
  file:write(text)
  file:close()
end

local function read(name)
  local file = io.open(folder .. "/" .. name)
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return text
end

-- Waits until `done()`, without a limit of its own: who waits for ever is ended with his spec.
local function until_(done) repeat os.execute "sleep 0.02" until done() end

describe("./dev sim serve", function()
  it("serves a script's world until it is interrupted", function()
    write("world.lua", SCRIPT)
    os.execute(("cd '%s' && { sh -c 'echo $$ >pid; exec timeout 120 %s "
      .. "%s/tools/sim_serve.lua world.lua Mine' >said 2>&1; echo $? >status; } &"):format(folder,
      LUAJIT, os.getenv "PWD"))
    until_(function() return read("said"):find "127.0.79.2" or read("status") ~= "" end)
    assert.equal("127.0.79.1:9042  up\n127.0.79.2:9042  up\n", read "said")
    local session = assert(cql.connect { contact_points = "127.0.79.1", keyspace = "k" })
    assert.equal("one", assert(session:execute("SELECT v FROM t WHERE id = ?", { 1 }))[1].v)
    assert.equal("Mine",
      assert(session:execute "SELECT cluster_name FROM system.local")[1].cluster_name)
    local rows, err = session:execute("SELECT v FROM k.gone", nil, { idempotent = false })
    assert.is_nil(rows)
    assert.equal("READ_TIMEOUT", err.name)
    session:close()
    os.execute(("kill -INT $(cat '%s/pid')"):format(folder))
    until_(function() return read "status" ~= "" end)
    assert.equal("130\n", read "status") -- as the shell has it
  end)

  it("says so where the script returns no world, or isn't there", function()
    write("none.lua", "return 5")
    for name, why in pairs { ["none.lua"] = "returns no world", ["gone.lua"] = "gone.lua" } do
      local pipe = assert(io.popen(("%s tools/sim_serve.lua %s/%s 2>&1; echo $?"):format(LUAJIT,
        folder, name)))
      local text = pipe:read "*a"
      pipe:close()
      assert.matches(why, text, 1, true)
      assert.matches("1\n$", text)
    end
  end)

  it("says how it is called", function()
    local pipe = assert(io.popen "./dev sim 2>&1; echo $?")
    assert.equal("usage: ./dev sim serve SCRIPT [ARGUMENT...]\n2\n", pipe:read "*a")
    pipe:close()
  end)
end)
