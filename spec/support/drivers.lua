-- Other people's drivers, installed or built once into the cache, and worlds served for them.
local ffi = require "ffi"
local sim = require "cql.sim"

local C = ffi.load(os.getenv "CQL_SIM_LIBRARY" or "build/dev/libcql_sim.so")
local CACHE = os.getenv "CQL_CACHE"
  or (os.getenv "XDG_CACHE_HOME" or os.getenv "HOME" .. "/.cache") .. "/lua-cql"
local ROOT = CACHE .. "/drivers"

local drivers = {}

-- Runs a command of the shell, one at a time on this machine; true, or false and the last that it
-- said.
local function run(command)
  local log = os.tmpname()
  local status = os.execute(("mkdir -p '%s' && { flock 9; %s ; } 9>'%s/lock' >%s 2>&1"):format(ROOT,
    command, ROOT, log))
  local last = "it said nothing"
  for line in io.lines(log) do
    if line:find "%S" then last = line end
  end
  os.remove(log)
  return status == 0, last
end

--- The Python that has this package; nil and why it can't be had.
function drivers.python(package)
  local folder = ROOT .. "/" .. package
  local python = folder .. "/bin/python"
  if run(("'%s' -c 'import cassandra'"):format(python)) then return python end
  io.stderr:write("installing ", package, " into ", folder, "\n")
  local installed, why = run(("python3 -m venv '%s' && timeout 250 '%s' -m pip -q install %s lz4")
    :format(folder, python, package))
  if installed then return python end
  return nil, package .. ": " .. why
end

--- The Go program; nil and why it can't be had.
function drivers.go()
  local program = ROOT .. "/driver_go"
  local built, why = run(("cd spec/support/driver_go && timeout 250 nice go build -o '%s' .")
    :format(program))
  if built then return program end
  return nil, "the Go driver: " .. why
end

--- The Rust program; nil and why it can't be had. It takes a minute or two to build it from
--- nothing, on two cores.
function drivers.rust()
  local folder = ROOT .. "/rust"
  local program = folder .. "/debug/driver"
  local file = io.open(program)
  if file then
    file:close()
  else
    io.stderr:write("building the Rust driver in ", folder, ", which takes a while\n")
  end
  local built, why = run(("cd spec/support/driver_rust && CARGO_TARGET_DIR='%s' timeout 500 nice "
    .. "cargo build --quiet --locked --jobs 2"):format(folder))
  if built then return program end
  return nil, "the Rust driver: " .. why
end

--- Three nodes of a product, with a table.
function drivers.world_of(product)
  local world = sim.world { seed = 5, nodes = 0, product = product, shards = 3,
    gossip = "50ms", detection = "300ms" }
  for i = 1, 3 do world:add { address = "127.0.77." .. i, rack = "rack" .. i } end
  local rest = product == "scylla" and "2} AND tablets = {'enabled': true, 'initial': 8}" or "3}"
  world:given("CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', "
    .. "'dc1': " .. rest, "CREATE TABLE ks.t (id int PRIMARY KEY, v text, m map<text, int>)")
  return world
end

--- Serves the world while the driver's program runs; `on` is called with each line that it says.
--- Gives what it said, by name, and all of its output.
function drivers.serve(world, command, on)
  local log = os.tmpname()
  assert(C.cql_sim_serve(world.handle) == 0, ffi.string(C.cql_sim_error(world.handle)))
  os.execute(("( timeout 120 %s >%s 2>&1; echo ended >>%s ) &"):format(command, log, log))
  local said, seen = {}, 0
  local text = ""
  while not text:find "^ended\n$" and not text:find "\nended\n$" do
    C.cql_sim_serve_step(world.handle, 20)
    local file = assert(io.open(log))
    text = file:read "*a"
    file:close()
    for line in text:sub(seen + 1):gmatch "(.-)\n" do
      seen = seen + #line + 1
      local name, value = line:match "^([%w ]+): (.*)$"
      if name then
        said[name] = value
        if on then on(name, value) end
      end
    end
  end
  os.remove(log)
  C.cql_sim_serve_stop(world.handle)
  return said, text
end

return drivers
