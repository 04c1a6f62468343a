-- A million requests from one script, 1,024 under way at a time: none lost, none doubled, each
-- answer its own, and memory that doesn't grow.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"

local REQUESTS, IN_FLIGHT = 1000000, 1024
local KEYS = 10000
local MARK = 200000 -- requests after which memory is compared

local function resident_kb()
  for line in io.lines "/proc/self/status" do
    local kb = line:match "^VmRSS:%s+(%d+) kB"
    if kb then return tonumber(kb) end
  end
end

cassandra.describe("a million requests", { jit = "full", heap = "1g" }, function(server)
  it("are answered once each, with their own rows, in constant memory", function()
    local session = assert(cql.connect(server:options { consistency = "one" }))
    local function run(...) return assert(session:execute(...)) end
    run [[CREATE KEYSPACE million WITH replication =
      {'class': 'SimpleStrategy', 'replication_factor': 1}]]
    run "CREATE TABLE million.pairs (id int PRIMARY KEY, twice bigint, name text)"

    local insert = assert(session:prepare
      "INSERT INTO million.pairs (id, twice, name) VALUES (?, ?, ?)")
    local select = assert(session:prepare "SELECT id, twice, name FROM million.pairs WHERE id = ?")

    -- Runs call(n) for n = 1 .. count, IN_FLIGHT of them at once.
    local function at_once(count, call)
      local last = 0
      cql.run(function()
        for _ = 1, IN_FLIGHT do
          cql.spawn(function()
            while last < count do
              last = last + 1
              call(last)
            end
          end)
        end
      end)
    end

    at_once(KEYS, function(id) run(insert, { id, id * 2, "name " .. id }) end)

    local ffi = require "ffi"
    local answered, total, wrong = ffi.new("uint8_t[?]", REQUESTS + 1), 0, 0
    local kb_at_mark
    at_once(REQUESTS, function(n)
      local id = n % KEYS + 1
      local rows = run(select, { id })
      local row = rows[1]
      answered[n] = answered[n] + 1
      total = total + 1
      if #rows ~= 1 or row.id ~= id or row.twice ~= id * 2 or row.name ~= "name " .. id then
        wrong = wrong + 1
      end
      if total == MARK then
        collectgarbage()
        kb_at_mark = resident_kb()
      end
    end)
    collectgarbage()
    local kb = resident_kb()

    assert.equal(0, wrong)
    assert.equal(REQUESTS, total)
    for n = 1, REQUESTS do
      local times = answered[n]
      if times ~= 1 then error(("request %d was answered %d times"):format(n, times)) end
    end
    local metrics = session:metrics()
    assert.equal(0, metrics.in_flight + metrics.queued + metrics.taken + metrics.orphans)
    assert.equal(metrics.requests, metrics.completed)
    assert.is_true(kb <= kb_at_mark * 1.05, ("%d kB at the end, %d kB at %d requests")
      :format(kb, kb_at_mark, MARK))
    assert(session:close())
  end)
end)
