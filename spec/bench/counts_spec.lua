-- What a request costs, in numbers that are free of noise: allocations and memory, counted from
-- outside by bench/malloccount.c, system calls by strace, instructions by callgrind. The clients
-- of bench/ do the work, against its canned server. Times are no test: see bench/README.md.
local build = os.getenv "CQL_BUILD" or "build/dev"
local release = "build/release"
local programs = build .. "/bench"
local lua_path = os.getenv "LUA_PATH" or "lua/?.lua;lua/?/init.lua;;"

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function has(command) return os.execute("command -v " .. command .. " >/dev/null") == 0 end

if os.getenv "CQL_SANITIZER" or not exists(programs .. "/bench_c") then
  it("has counts", function() pending "this build has no programs of bench/" end)
  return
end

local server -- { pipe =, pid =, port = }

local function start_server(nodes)
  local pipe = assert(io.popen("echo $$; exec " .. programs .. "/cannedcql --port 0"
    .. (nodes and " --nodes " .. nodes or "")))
  local pid = pipe:read "*l"
  local port = pipe:read("*l"):match ":(%d+)$"
  server = { pipe = pipe, pid = pid, port = port }
end

local function stop_server()
  os.execute("kill " .. server.pid)
  server.pipe:close()
end

local CLIENTS = { c = "/bench/bench_c", lua = "luajit bench/bench_lua.lua" }

-- How a client is run: which, and by which build's library.
local function command_of(client, from)
  if client == "c" then return from .. CLIENTS.c end
  return ("env CQL_LIBRARY=%s/libcql.so LUA_PATH='%s' %s"):format(from, lua_path, CLIENTS.lua)
end

-- Runs a client; the numbers that it prints, by name.
local function run(before, client, from, options)
  local words = { before, command_of(client, from), "--port", server.port }
  for name, value in pairs(options) do words[#words + 1] = "--" .. name .. " " .. value end
  local command = table.concat(words, " ")
  local pipe = assert(io.popen("timeout 120 " .. command .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  local line = text:match "{.-}"
  assert(line, command .. "\n" .. text)
  local counts = {}
  for name, value in line:gmatch '"([%w_]+)":(-?%d+%.?%d*)' do counts[name] = tonumber(value) end
  assert.equal(0, counts.wrong, command)
  return counts
end

local function counted(client, options)
  return run("env LD_PRELOAD=" .. programs .. "/malloccount.so", client, build, options)
end

-- requests to skip until all has grown to its size: all streams have been used a few times
local STEADY = { [1] = 2000, [32] = 20000, [1024] = 100000, [30000] = 150000 }

-- Of a window of tens of thousands of requests: none for each of them. What grows to its size is
-- kept, and on a busy machine more can be under way at once than ever before, so that a window may
-- see a few: then another run tells. What requests take shows in every run. That it is none at all
-- from the first request on where time is virtual, spec/sim/laws_spec.lua shows.
local GROWTH_MAX = 8
local RUNS_MAX = 4

local function allocations(client, work, protocol, in_flight)
  local skip = STEADY[in_flight]
  local fewest = math.huge
  for _ = 1, RUNS_MAX do
    local counts = counted(client, {
      work = work, protocol = protocol, conc = in_flight, skip = skip, requests = 2 * skip,
    })
    assert.is_true(counts.requests > skip / 3) -- a window there was
    fewest = math.min(fewest, counts.allocations)
    if fewest <= GROWTH_MAX then break end
  end
  return fewest
end

describe("a request", function()
  setup(function() start_server() end)
  teardown(stop_server)

  for _, protocol in ipairs { 4, 5 } do
    for _, in_flight in ipairs { 1, 32, 1024, 30000 } do
      it(("allocates nothing with %d in flight on v%d"):format(in_flight, protocol), function()
        assert.is_true(allocations("c", "select", protocol, in_flight) <= GROWTH_MAX)
        assert.is_true(allocations("c", "insert", protocol, in_flight) <= GROWTH_MAX)
      end)
    end
    it(("of a Lua script allocates nothing in the library on v%d"):format(protocol), function()
      assert.is_true(allocations("lua", "select", protocol, 1024) <= GROWTH_MAX)
    end)
  end

  it("takes a slot and its body while it is in flight, a connection 4 kB", function()
    local function heap(in_flight, connections)
      return counted("c", {
        conc = in_flight, conns = connections, requests = 4 * in_flight, skip = 1,
      }).heap_bytes
    end
    local few = heap(1, 1)
    -- 320 for the slot, 128 for the request's body, 560 for the answer's with what was made of it
    assert.is_true((heap(10001, 1) - few) / 10000 <= 320 + 128 + 560)
    -- 50 and 250: what is shared by handshakes under way at once, 32 at most, is in both
    assert.is_true((heap(250, 250) - heap(250, 50)) / 200 <= 4096)
  end)
end)

describe("system calls", function()
  setup(function() start_server() end)
  teardown(stop_server)

  local function traced(in_flight, requests)
    local table_path = os.tmpname()
    run("strace -f -c -o " .. table_path, "c", build, { conc = in_flight, requests = requests })
    local total = 0
    for line in io.lines(table_path) do
      local calls, name = line:match "^%s*[%d.]+%s+[%d.]+%s+%d+%s+(%d+)[%s%d]*%s([%w_]+)%s*$"
      if calls and name ~= "total" then total = total + tonumber(calls) end
    end
    os.remove(table_path)
    return total
  end

  -- Each run begins and ends alike: the difference of two is what the requests between them took.
  local function per_request(in_flight, requests)
    return (traced(in_flight, 2 * requests) - traced(in_flight, requests)) / requests
  end

  if not has "strace" or os.execute "strace -o /dev/null true 2>/dev/null" ~= 0 then
    it("are few", function() pending "strace is not installed, or not allowed to" end)
    return
  end

  it("are three for a request alone", function()
    local calls = per_request(1, 1000)
    assert.is_true(calls >= 2.9 and calls <= 3.1, "calls per request: " .. calls)
  end)

  -- How much comes at once depends on who gets the processor: the bands have room for that.
  for in_flight, limit in pairs { [32] = 0.2, [1024] = 0.02 } do
    it(("are shared by %d requests in flight"):format(in_flight), function()
      local calls = per_request(in_flight, 50000)
      assert.is_true(calls <= limit, "calls per request: " .. calls)
    end)
  end
end)

describe("instructions", function()
  setup(function() start_server() end)
  teardown(stop_server)

  local function newer(path) return io.popen("find src -newer " .. path):read "*a" ~= "" end

  local library = release .. "/libcql.so"
  if not has "valgrind" then
    it("are few", function() pending "valgrind is not installed" end)
    return
  elseif not exists(library) or newer(release .. "/build.log") then
    it("are few", function() pending "build/release is older than src: ./dev build release" end)
    return
  end

  -- Between the client's own marks: callgrind writes its counts down whenever they are set.
  local function instructions(options)
    local out = os.tmpname()
    local counts = run(("env LD_PRELOAD=%s/malloccount.so valgrind -q --tool=callgrind " ..
      "--dump-before=malloccount_get --callgrind-out-file=%s"):format(programs, out), "c", release,
      options)
    local total
    for line in io.lines(out .. ".2") do total = line:match "^totals: (%d+)" or total end
    os.execute("rm " .. out .. "*")
    return tonumber(total) / counts.requests
  end

  -- On a busy machine answers may come one by one, and then each has reads of its own: another run
  -- tells. What is on the path of every request shows in all of them.
  local function fewest(limit, options)
    local least = math.huge
    for _ = 1, RUNS_MAX do
      least = math.min(least, instructions(options))
      if least <= limit then break end
    end
    return least
  end

  for _, in_flight in ipairs { 32, 256 } do
    it(("of a select with %d in flight"):format(in_flight), function()
      local options = { protocol = 4, conc = in_flight, skip = 10000, requests = 20000 }
      local limit = 1550 -- the goal is 1,500, and kept; what is beyond this is something new
      local v4 = fewest(limit, options)
      assert.is_true(v4 > 500 and v4 <= limit, "v4: " .. v4)
      options.protocol = 5
      local v5 = fewest(1.1 * v4, options)
      assert.is_true(v5 <= 1.1 * v4, ("v4: %d, v5: %d"):format(v4, v5))
    end)
  end

  -- Of a select in a cluster of so many nodes, each with 256 tokens and so many connections. Each
  -- key's range has been used before.
  local function in_cluster(nodes, connections, in_flight)
    local usual = server
    start_server(nodes)
    local found = instructions { nodes = nodes, conns = connections, conc = in_flight,
      keys = 500, skip = 4000, requests = 12000 }
    stop_server()
    server = usual
    return found
  end

  describe("of a select in a cluster", function()
    local limit = io.popen("ulimit -Hn"):read "*l"
    if (tonumber(limit) or math.huge) < 4096 then
      it("are few", function() pending("no more than " .. limit .. " descriptors are allowed") end)
      return
    end

    -- What the size of the cluster costs, apart from what requests save that meet on one
    -- connection: there are as many connections.
    for _, in_flight in ipairs { 1, 32, 256 } do
      for few, many in pairs { [1] = 250, [4] = 1000 } do
        it(("are as many with %d nodes as with %d, %d in flight"):format(many, few, in_flight),
          function()
            local small, large = in_cluster(few, 250, in_flight), in_cluster(many, 1, in_flight)
            assert.is_true(large <= 1.1 * small, ("%d: %d, %d: %d"):format(few, small, many, large))
          end)
      end
    end

    -- One connection to each. One at a time none can meet; several, few on a thousand connections.
    for in_flight, most in pairs { [1] = 1.1, [32] = 1.5, [256] = 1.5 } do
      it(("are at most %.1f times as many with 1,000 nodes, %d in flight"):format(most, in_flight),
        function()
          local one, thousand = in_cluster(1, 1, in_flight), in_cluster(1000, 1, in_flight)
          assert.is_true(thousand <= most * one, ("1: %d, 1,000: %d"):format(one, thousand))
        end)
    end
  end)
end)
