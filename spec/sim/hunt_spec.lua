-- The hunt: what it must find, that it replays, and that it finds nothing where nothing is.
local build = os.getenv "CQL_BUILD" or "build/dev"

local function run(arguments)
  local pipe = assert(io.popen(("%s/hunt %s 2>&1; echo status $?"):format(build, arguments)))
  local text = pipe:read "*a"
  pipe:close()
  return text, tonumber(text:match "status (%d+)%s*$")
end

local PLANTS = { "an orphan's stream is given out at once", "a completion comes twice",
  "what was submitted wakes nobody", "two answers change places", "a timeout keeps its slot",
  "a timeout ends the process", "plans outlive a change of distance",
  "a tablet that moves stays known where it was",
  "a node that comes back with other shards is taken for what it was",
  "a statement keeps its columns whatever its table has now",
  "a node that has no route is sought at its own address" }

-- What is found in few worlds is looked for in those.
local WHERE = { [11] = " --discover 1 --version 4 --shards 2 --reached 2" }

describe("the hunt", function()
  for plant, what in ipairs(PLANTS) do
    it("finds within a minute, and replays: " .. what, function()
      local text, status = run("--seconds 60 --shrink 10 --depth 40 --requests 1300 --plant "
        .. plant .. (WHERE[plant] or ""))
      assert.equal(1, status, text)
      local why = assert(text:match "violation: seed %d+: ([^\n]+)")
      local smallest = assert(text:match "smallest: ([^;]+);")
      local replays = {}
      for line in text:gmatch "replay: %./dev hunt %-%-preset dev ([^\n]+)" do
        table.insert(replays, line)
      end
      assert.equal(2, #replays)
      local again = run(replays[1] .. " --shrink 0")
      assert.equal(why, again:match "violation: seed %d+: ([^\n]+)")
      again = run(replays[2] .. " --shrink 0")
      assert.equal(smallest, again:match "violation: seed %d+: ([^\n]+)")
      assert.is_true(replays[1] ~= replays[2], text) -- it is smaller
    end)
  end

  it("finds nothing where nothing was planted", function()
    for _, arguments in ipairs { "--seed 1", "--seed 2", "--from 20 --seconds 5" } do
      local text, status = run(arguments)
      assert.equal(0, status, text)
      local requests = assert(text:match "hunt: (%d+) requests in %d+ worlds, no violation")
      assert.is_true(tonumber(requests) > 100, text)
    end
  end)

  -- What a rule took for a violation, and was none.
  it("knows what is nobody's fault", function()
    local without_sockets = " --nodes 1 --sessions 1 --kinds 1 --fates 1025 --faults 32768 "
      .. "--depth 200 --requests 30000 --timeouts 0 --slots 0 --slow 0 --split 0 --window 0"
    for _, arguments in ipairs { "47" .. without_sockets, "101" .. without_sockets,
      "2238", -- heartbeats wait behind what is slow
      "3046 --requests 21 --nodes 2 --sessions 1 --depth 1 --kinds 1 --fates 33 --faults 0 "
        .. "--datacenters 1 --home 0 --window 0 --slow 0" } do -- streams are held
      local text, status = run("--shrink 0 --seed " .. arguments)
      assert.equal(0, status, text)
    end
  end)

  it("has requests end in every way", function()
    local ends = {}
    for seed = 1, 30 do
      local text = run(("--seed %d --requests 1500"):format(seed))
      for name in text:match "ends:([^\n]*)":gmatch " (%u+) %d+" do ends[name] = true end
    end
    for _, name in ipairs { "OK", "ECLOSED", "ETIMEOUT", "ECONNECTION", "ENOHOST", "ESERVER",
      "EMALFORMED", "ETOOBIG", "ECANCELLED" } do
      assert.is_true(ends[name], name)
    end
  end)

  it("gives the same trace twice, in two processes", function()
    for seed = 3, 18 do
      local arguments = ("--seed %d --requests 600 --trace 1"):format(seed)
      local first, status = run(arguments)
      assert.equal(0, status, first:sub(-2000))
      assert.is_true(#first > 50000)
      assert.is_true(first == (run(arguments)), "seed " .. seed)
    end
    assert.is_true(run "--seed 3 --requests 600 --trace 1"
      ~= run "--seed 4 --requests 600 --trace 1")
  end)
end)
