-- What the scripts of this folder share. They run in plain luajit, with SIGPIPE as it is by
-- default, and put a server under load while something happens to it. faults_spec.lua looks at what
-- they print.
local ffi = require "ffi"
local cql = require "cql"

ffi.cdef [[
  int kill(int pid, int signal);
  int usleep(unsigned microseconds);
]]

local load = { SIGKILL = 9, SIGCONT = 18, SIGSTOP = 19 }

local function sigpipe_is_default()
  for line in io.lines "/proc/self/status" do
    local mask = line:match "^SigIgn:%s+(%x+)"
    if mask then return bit.band(bit.rshift(tonumber(mask:sub(-8), 16), 12), 1) == 0 end
  end
end
assert(sigpipe_is_default(), "this is to be run with SIGPIPE at its default")

-- Options come by the environment, as the spec gives them.
function load.connect(more)
  local options = {
    contact_points = os.getenv "CONTACT_POINTS", consistency = "one", reconnect_min_ms = 20,
    reconnect_max_ms = 200, request_timeout_ms = 1500,
  }
  for name, value in pairs(more or {}) do options[name] = value end
  local session = assert(cql.connect(options))
  local keyspace = assert(os.getenv "KEYSPACE")
  assert(session:execute("CREATE KEYSPACE IF NOT EXISTS " .. keyspace
    .. " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"))
  assert(session:use(keyspace))
  assert(session:execute "CREATE TABLE IF NOT EXISTS load (id int PRIMARY KEY, name text)")
  return session
end

function load.signal(number) assert(ffi.C.kill(assert(tonumber(os.getenv "PID")), number) == 0) end

-- Runs the server's tool beside this process.
function load.tool(words) os.execute("(" .. os.getenv "TOOL" .. " " .. words .. ") >&2 &") end

-- The host does nothing at all: not even a step.
function load.sleep(ms) ffi.C.usleep(ms * 1000) end

-- `workers` coroutines write a row and read it, over and over, until `enough(counts)`; `on(counts)`
-- hears of each request that ended. counts: ok, failed, wrong (another's answer), late (more than
-- five seconds over the time that it had), and how many failed by each name.
function load.run(session, workers, timeout_ms, enough, on)
  local counts = { ok = 0, failed = 0, wrong = 0, late = 0, names = {} }
  local insert = assert(session:prepare "INSERT INTO load (id, name) VALUES (?, ?)")
  local select = assert(session:prepare "SELECT id, name FROM load WHERE id = ?")
  local function ask(...)
    local started = cql.now()
    local rows, err = session:execute(...)
    if cql.now() - started > timeout_ms + 5000 then counts.late = counts.late + 1 end
    if rows then
      counts.ok = counts.ok + 1
    else
      counts.failed = counts.failed + 1
      counts.names[err.name] = (counts.names[err.name] or 0) + 1
    end
    if on then on(counts) end
    return rows
  end
  local function work(worker)
    local round = 0
    while not enough(counts) do
      round = round + 1
      local id = worker * 100000 + round % 100
      local name = "row " .. id
      if ask(insert, { id, name }) then
        local rows = ask(select, { id })
        if rows and (rows[1].id ~= id or rows[1].name ~= name) then
          counts.wrong = counts.wrong + 1
        end
      elseif round % 10 == 0 then
        cql.sleep(10)
      end
    end
  end
  cql.run(function()
    for worker = 1, workers do cql.spawn(work, worker) end
  end)
  return counts
end

function load.report(session, counts)
  local metrics = session:metrics()
  print(("ok %d, failed %d, wrong %d, late %d"):format(counts.ok, counts.failed, counts.wrong,
    counts.late))
  print(("submitted %d, completed %d, in flight %d, orphans %d"):format(metrics.requests,
    metrics.completed, metrics.in_flight, metrics.orphans))
  for name, count in pairs(counts.names) do print("failed by " .. name, count) end
  assert(session:close())
  print "end"
end

return load
