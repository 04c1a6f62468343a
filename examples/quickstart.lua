--- The main job: write rows from many coroutines at once, read them back by key and by pages,
--- check every one of them, and say what it cost.
--
--   ./dev quickstart [ROWS]      or, against a cluster of yours:
--   CQL_CONTACT_POINTS=10.0.0.1 luajit examples/quickstart.lua [ROWS]
local cql = require "cql"

local ROWS = tonumber(arg[1]) or 100000
local COROUTINES = math.min(512, ROWS) -- each has one request under way

local session = assert(cql.connect {
  contact_points = os.getenv "CQL_CONTACT_POINTS" or "127.0.0.1",
  port = tonumber(os.getenv "CQL_PORT"),
  consistency = "local_one",
})

-- ---- a schema ----

assert(session:execute [[CREATE KEYSPACE IF NOT EXISTS quickstart WITH replication =
  {'class': 'SimpleStrategy', 'replication_factor': 1}]])
assert(session:execute [[CREATE TABLE IF NOT EXISTS quickstart.people (
  id int PRIMARY KEY, name text, email text, score double, born date, tags set<text>)]])
assert(session:execute "TRUNCATE quickstart.people")

local function person(id)
  return {
    id = id,
    name = "person " .. id,
    email = ("p%d@example.com"):format(id),
    score = id / 8,
    born = ("%04d-%02d-%02d"):format(1930 + id % 80, 1 + id % 12, 1 + id % 28),
    tags = { "t" .. id % 7, "u" .. id % 3 },
  }
end

local function check(row, id)
  local wanted = person(id)
  assert(row, "row " .. id .. " is missing")
  for _, name in ipairs { "id", "name", "email", "score", "born" } do
    assert(row[name] == wanted[name], ("row %d has %s = %s"):format(id, name, tostring(row[name])))
  end
  assert(#row.tags == 2 and row.tags[1] == wanted.tags[1] and row.tags[2] == wanted.tags[2])
end

-- ---- measuring ----

local terminal = os.getenv "TERM" and os.execute "test -t 1" == 0

local function progress(what, done, started)
  if not terminal then return end
  local rate = done / math.max(cql.now() - started, 1) * 1000
  io.write(("\r\27[K  %s: %d of %d, %d a second"):format(what, done, ROWS, rate))
  io.flush()
end

-- Runs call(id) for each id, COROUTINES of them at once, and says what it took.
local function measure(what, call)
  local next_id, done, latencies = 0, 0, {}
  local started, cpu = cql.now(), os.clock()
  cql.run(function()
    for _ = 1, COROUTINES do
      cql.spawn(function()
        while next_id < ROWS do
          next_id = next_id + 1
          local id = next_id
          local before = cql.now()
          call(id)
          done = done + 1
          latencies[done] = cql.now() - before
          if done % 2000 == 0 then progress(what, done, started) end
        end
      end)
    end
  end)
  local took, used = cql.now() - started, os.clock() - cpu
  table.sort(latencies)
  local function percentile(p) return latencies[math.max(1, math.ceil(done * p / 100))] or 0 end
  if terminal then io.write "\r\27[K" end
  print(("  %-14s %8d a second   latency in ms: %.1f median, %.1f 95 %%, %.1f 99 %%   %.1f us CPU")
    :format(what, done / took * 1000, percentile(50), percentile(95), percentile(99),
      used / done * 1e6))
end

print(("%d rows, %d requests under way at a time; CPU is this process's, for each request:")
  :format(ROWS, COROUTINES))

local insert = assert(session:prepare [[INSERT INTO quickstart.people
  (id, name, email, score, born, tags) VALUES (:id, :name, :email, :score, :born, :tags)]],
  { idempotent = true })
measure("writes", function(id) assert(session:execute(insert, person(id))) end)

local by_id = assert(session:prepare "SELECT * FROM quickstart.people WHERE id = ?")
measure("reads by key", function(id)
  check(assert(session:execute(by_id, { id }))[1], id)
end)

-- ---- all of them, page by page ----

local seen, count, started, cpu = {}, 0, cql.now(), os.clock()
local rows = assert(session:execute("SELECT * FROM quickstart.people", nil, { page_size = 5000 }))
for row in rows:each() do
  assert(not seen[row.id], "a row came twice")
  seen[row.id] = true
  check(row, row.id)
  count = count + 1
  if count % 5000 == 0 then progress("read by pages", count, started) end
end
if terminal then io.write "\r\27[K" end
assert(count == ROWS, ("%d rows came back, not %d"):format(count, ROWS))
print(("  %-14s %8d rows a second, %.1f us CPU for each"):format("read by pages",
  count / (cql.now() - started) * 1000, (os.clock() - cpu) / count * 1e6))

print(("\nAll %d rows came back as they were written, from %s."):format(ROWS, rows.execution.node))
assert(session:close())

print [[
What to try next:
  ./dev lua               a prompt: cql = require "cql"; session = cql.connect {}
  docs/guide.md           connecting, statements, values, paging, errors
  examples/poll_loop.c    the same driver from C
  ./dev cassandra --help  kill, pause and restart the node while a script runs
  ./dev bench --quick     what a request costs, beside a raw loop]]
