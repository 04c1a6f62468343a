-- The same seed gives the same run: also in another process, byte for byte.
local SCRIPT = [[
local sim = require "cql.sim"
local world = sim.world { seed = tonumber(arg[1]), nodes = 3, split = 60, product = arg[2],
  latency = "exp 1ms, 1%% 20ms..80ms", service = "100us..3ms", agreement = "10ms..300ms",
  gossip = "50ms..200ms", detection = "300ms..900ms" }
world:given("CREATE KEYSPACE ks WITH replication = "
  .. "{'class': 'SimpleStrategy', 'replication_factor': 2}",
  "CREATE TABLE ks.t (id int PRIMARY KEY, v text, m map<text, int>, k map<bigint, int>)")
world:trace "whole"
world:rule { contains = "WHERE", chance = 0.02, error = "OVERLOADED" }
world:rule { contains = "INSERT", chance = 0.02, delay = "1ms..50ms" }
world:run(function()
  local session = assert(world:connect {
    contact_points = "127.0.0.1,127.0.0.2,127.0.0.3", reconnect_min_ms = 20,
    request_timeout_ms = 400, compression = "lz4", compression_min = 10 })
  local left = 8
  for worker = 1, 8 do
    world.cql.spawn(function()
      for i = 1, 40 do
        local id = world:random(50)
        session:execute("INSERT INTO ks.t (id, v, m, k) VALUES (?, ?, ?, ?)",
          { id, "v" .. i, { a = i, [tostring(worker)] = id }, { [5LL] = 1, [6LL] = 2, [7LL] = 3 } },
          { idempotent = i %% 2 == 0 })
        session:execute("SELECT * FROM ks.t WHERE id = ?", { id })
        session:execute("SELECT * FROM ks.t", nil, { page_size = 7 })
      end
      left = left - 1
    end)
  end
  world:at(100, function() world:node(2):kill() end)
  world:at(1500, function() world:node(2):start() end)
  world:at(500, function() world:node(3):stall(90) end)
  world:at(600, function() session:execute "CREATE TABLE ks.u (id int PRIMARY KEY)" end)
  while left > 0 or world:now() < 3000 do world.cql.sleep(5) end
  session:close()
end)
io.write(world:take_trace())
]]

-- A sanitized library wants its runtime in the new process, too.
local sanitizer = os.getenv "CQL_SANITIZER"
local PRELOAD = "env LD_PRELOAD=$(readlink -f $(gcc -print-file-name=lib%s.so)) "
local LUAJIT = (sanitizer and PRELOAD:format(sanitizer) or "") .. "luajit"

local function run(seed, product)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write((SCRIPT:gsub("%%%%", "%%")))
  file:close()
  local pipe = assert(io.popen(("%s %s %d %s 2>&1"):format(LUAJIT, path, seed, product)))
  local text = pipe:read "*a"
  pipe:close()
  os.remove(path)
  return text
end

describe("a run", function()
  for _, product in ipairs { "cassandra", "scylla" } do
    it("is the same in two processes, and another with another seed: " .. product, function()
      local first = run(11, product)
      assert.is_true(#first > 100000, first:sub(1, 2000))
      assert.is_truthy(first:find "sees 127.0.0.2:9042 up")
      assert.is_true(first == run(11, product), "two runs of one seed differ")
      assert.is_false(first == run(12, product))
    end)
  end
end)
