-- bench_lua - what a request costs a Lua script: the work of rawcql through the Lua API.
--
--   luajit bench_lua.lua --work select|insert|page --port N [--protocol 4|5] [--conc N] ...
--   luajit bench_lua.lua --view --work page ...
--
-- One session with its settings as they are by default, a prepared statement, and a coroutine for
-- each request in flight, which gives an argument table to execute() and gets row tables; with
-- --view it reads pages in place. Each answer is checked against the key of its request. On v4 the
-- server is asked to leave the metadata of rows out, as the raw client asks it too. Prints one line
-- of JSON, as measure.h does; allocations are those that malloccount.so counts: of the library,
-- for LuaJIT's own memory doesn't come from malloc.
local cql = require "cql"
local ffi = require "ffi"

ffi.cdef [[
  struct bench_time { long seconds, parts; };
  struct bench_usage { struct bench_time user, system; long others[14]; };
  int bench_getrusage(int who, struct bench_usage *out) asm("getrusage");
  int bench_clock(int clock, struct bench_time *out) asm("clock_gettime");
  void malloccount_get(uint64_t out[3]);
]]

local PAGE_ROWS, WORD = 5000, 4294967296
local STATEMENTS = {
  select = "SELECT k, v FROM ks.t WHERE k = ?",
  insert = "INSERT INTO ks.t (k, v) VALUES (?, ?)",
  page = "SELECT t, b FROM ks.rows",
}

-- ---- options, as in measure.h ----

local options = {
  work = "select", port = 9142, protocol = 4, conc = 32, conns = 1, ["value-size"] = 100,
  warmup = 0.5, measure = 2, requests = 0, skip = 0, view = false,
}

local function read_options(words)
  local at = 1
  while words[at] do
    local name = words[at]:match "^%-%-(.+)$"
    local default = options[name]
    if default == nil then
      io.stderr:write("bench_lua: unknown option ", words[at], "\n")
      os.exit(2)
    end
    local value = words[at + 1]
    if type(default) == "boolean" then
      options[name], at = true, at + 1
    else
      options[name], at = type(default) == "number" and tonumber(value) or value, at + 2
    end
  end
  options.conns = math.max(1, math.min(options.conns, options.conc))
end

-- ---- the window that is measured ----

local requests, values, wrong, sum = 0, 0, 0, 0
local time, usage = ffi.new "struct bench_time", ffi.new "struct bench_usage"
local counted = ffi.new "uint64_t[3]"
local has_counter, count_allocations = pcall(function() return ffi.C.malloccount_get end)

local function seconds_now()
  ffi.C.bench_clock(1, time)
  return tonumber(time.seconds) + tonumber(time.parts) * 1e-9
end

local function seconds_of(cpu) return tonumber(cpu.seconds) + tonumber(cpu.parts) * 1e-6 end

local function cpu_now()
  ffi.C.bench_getrusage(0, usage)
  return seconds_of(usage.user) + seconds_of(usage.system)
end

local began = cpu_now()

local function mark()
  if has_counter then count_allocations(counted) end
  return {
    cpu_s = cpu_now(), wall_s = seconds_now(),
    requests = requests, values = values,
    allocations = tonumber(counted[0]), bytes = tonumber(counted[1]),
  }
end

local first, last -- marks at the window's ends
local check_at, over = 0, false

-- Called after each request; looks at the clock about once per turn.
local function meter()
  check_at = requests + options.conc
  if options.requests > 0 then
    if not first and requests >= options.skip then first = mark() end
    over = requests >= options.requests
    check_at = first and options.requests or math.max(options.skip, check_at)
  elseif not first then
    if cpu_now() - began >= options.warmup then first = mark() end
  else
    over = seconds_now() - first.wall_s >= options.measure
  end
  if over and not last then last = mark() end
end

-- Peak resident memory, in kB.
local function rss_max()
  for line in io.lines "/proc/self/status" do
    local kb = line:match "^VmHWM:%s*(%d+)"
    if kb then return tonumber(kb) end
  end
  return 0
end

local function print_line()
  local form = '{"client":"%s","work":"%s","protocol":%d,"in_flight":%d,"connections":%d,' ..
    '"requests":%d,"values":%d,"wall_s":%.6f,"cpu_s":%.6f,"rss_kb":%d,"wrong":%d,"sum":%.0f'
  local line = form:format(
    options.view and "lua-view" or "lua", options.work, options.protocol, options.conc,
    options.conns, last.requests - first.requests, last.values - first.values,
    last.wall_s - first.wall_s, last.cpu_s - first.cpu_s, rss_max(), wrong,
    sum % WORD)
  if has_counter then
    line = line .. (',"allocations":%d,"allocated_bytes":%d'):format(
      last.allocations - first.allocations, last.bytes - first.bytes)
  end
  print(line .. "}")
end

-- ---- the work ----

local byte = string.byte
local next_key, left = 0, math.huge

local function fail(failure) error(tostring(failure), 0) end

local work = {}

function work.select(session, statement)
  while not over and left > 0 do
    left = left - 1
    local key = next_key + 1
    next_key = key
    local rows, failure = session:execute(statement, { key })
    if not rows then fail(failure) end
    local row = rows[1]
    local value = row.v
    if row.k ~= key then wrong = wrong + 1 end
    sum = sum + key + #value + byte(value)
    values = values + 2
    requests = requests + 1
    if requests >= check_at then meter() end
  end
end

function work.insert(session, statement)
  local value = ("x"):rep(options["value-size"])
  while not over and left > 0 do
    left = left - 1
    next_key = next_key + 1
    local rows, failure = session:execute(statement, { next_key, value })
    if not rows then fail(failure) end
    requests = requests + 1
    if requests >= check_at then meter() end
  end
end

-- Both ends of each text, and each number; `page_sum` goes over one page.
local function end_page(rows, page_sum)
  if rows ~= PAGE_ROWS then wrong = wrong + 1 end
  sum, values, requests = sum + page_sum, values + 2 * rows, requests + 1
  if requests >= check_at then meter() end
end

function work.page(session, statement)
  while not over and left > 0 do
    left = left - 1
    local rows, failure = session:execute(statement)
    if not rows then fail(failure) end
    local page_sum = 0
    for i = 1, #rows do
      local row = rows[i]
      local text = row.t
      page_sum = page_sum + #text + byte(text, 1) + byte(text, -1) + row.b
    end
    end_page(#rows, page_sum)
  end
end

local function view_pages(session, statement)
  while not over and left > 0 do
    left = left - 1
    local view, failure = session:execute(statement)
    if not view then fail(failure) end
    local page_sum, count = 0, 0
    for row in view:each() do
      local bytes, length = view:slice "t"
      page_sum = page_sum + length + bytes[0] + bytes[length - 1] + row.b
      count = count + 1
    end
    end_page(count, page_sum)
  end
end

-- ---- running ----

local function main()
  local session = assert(cql.connect {
    contact_points = { "127.0.0.1" }, port = options.port, protocol_version = options.protocol,
    connections_per_node = options.conns, request_timeout_ms = 60000, connect_retry = false,
    discover = false,
  })
  local usual = options.protocol >= 5 and not options.view
  local statement = assert(session:prepare(STATEMENTS[options.work], not usual and {
    skip_metadata = options.protocol < 5, view = options.view,
  } or nil))
  if options.requests > 0 then left = options.requests end
  meter()
  local run = options.view and view_pages or work[options.work]
  local tasks = {}
  for i = 1, options.conc do tasks[i] = cql.spawn(run, session, statement) end
  for i = 1, options.conc do
    local _, failure = tasks[i]:wait()
    if failure then fail(failure) end
  end
  print_line()
  session:close()
end

read_options(arg)
cql.run(main)
os.exit(wrong == 0 and 0 or 1)
