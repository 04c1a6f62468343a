-- Nothing that differs between two runs reaches what the simulator runs: neither the machine's
-- clock nor its chance, nor an address, the order of a hash table or the moment of the collector.
-- Of src/, hunt/ and lua/ that is all but what real sockets need; what is used nevertheless stands
-- below with the reason why it does no harm. It reads lines: two pointers compared by < would get
-- through, and are for the specs to find that run one seed in two processes.
local tree = require "spec.support.tree"

local C_WORDS = {
  "time", "clock", "gettimeofday", "clock_gettime", "clock_nanosleep", "timespec_get", "ftime",
  "localtime", "gmtime", "uv_hrtime", "uv_now", "uv_random", "uv_clock_gettime", "rand", "rand_r",
  "srand", "random", "drand48", "lrand48", "arc4random", "getrandom", "getentropy", "RAND_bytes",
  "getpid", "gettid", "getenv", "secure_getenv", "pthread_create", "uv_queue_work", "qsort",
}
local LUA_PATTERNS = {
  "%f[%w_.:]pairs%s*[%({]", "%f[%w_.:]next%s*[%(,]", "os%.time", "os%.clock", "os%.date",
  "os%.getenv", "os%.tmpname", "math%.random", "collectgarbage", "newproxy", "ffi%.gc", "__mode",
  "__gc", "gettimeofday", "clock_gettime", "%%p",
}

-- Why a line of C can't be; nil: it may.
local function objection(line)
  if line:find "%%p[^%w]" or line:find "PRIxPTR" then return "an address in a text" end
  local code = line:gsub("/%*.-%*/", ""):gsub("/%*.*", ""):gsub('".-"', '""')
  if code:find "^%s%*" then return nil end -- amid a comment
  if code:find "urandom" or line:find '"/dev/u?random' then return "the machine's chance" end
  for _, word in ipairs(C_WORDS) do
    if code:find("%f[%w_]" .. word .. "%s*%(") then return word end
  end
  -- A pointer as a number may become an order, or a hash. As a detour of a cast it does not.
  code = code:gsub("%([%w_ ]-%*%)%(uintptr_t%)", "")
  if code:find "u?intptr_t" then return "a pointer as a number" end
end

local function lua_objection(line)
  local code = line:gsub("%-%-.*", "")
  for _, pattern in ipairs(LUA_PATTERNS) do
    if code:find(pattern) then return pattern end
  end
end

-- Files that no world runs.
local APART = {
  ["src/io/"] = "real sockets, the machine's clock and its chance",
  ["src/sim/serve.c"] = "worlds on real sockets",
  ["lua/cql/wait/clock.lua"] = "the machine's clock; a world has its own in this place",
  ["lua/cql/wait/nginx.lua"] = "nginx's scheduler; a world has the plain one",
  ["lua/resty/"] = "nginx's scheduler",
  ["lua/cql/cdef.lua"] = "made from cql.h",
  ["lua/cql/sim/cdef.lua"] = "made from cql_sim.h",
}

-- { where a path begins, a part of the line, why }
local NAMES = "names go into a list that is sorted"
local COPY = "a table is copied, in whatever order"
local MISUSE = "of several mistakes any is told; nothing is sent"
local ALL = "the answer is the same in any order"
local OWNER = "frees what nobody holds any more, which nobody else is told"
local ALLOWED = {
  { "hunt/", "clock_gettime", "how long the hunt goes on, not what is in a world" },
  { "lua/cql/sim/init.lua", "collectgarbage()", "only where a session that was dropped, which no "
    .. "seed decides, keeps the world from going on" },
  { "src/connection/streams.", "uintptr_t", "a mark in the lowest bit, and an age; no order" },
  { "src/sim/ring.c", "qsort(ring->points", "by token, then by the node's number" },
  { "src/sim/node.c", "qsort(tokens", "equal tokens are one" },
  { "lua/cql/library.lua", "os.getenv", "which library is loaded" },
  { "lua/cql/null.lua", "newproxy", "a value that is only compared with itself" },
  { "lua/cql/names.lua", "pairs(known)", NAMES },
  { "lua/cql/sim/rule.lua", "pairs(parts)", NAMES },
  { "lua/cql/sim/init.lua", "for name in pairs(options)", NAMES },
  { "lua/cql/sim/init.lua", "for name in pairs(options.datacenters or {})", NAMES },
  { "lua/cql/sim/init.lua", "for rack in pairs(", NAMES },
  { "lua/cql/sim/init.lua", "for name, racks in pairs(", MISUSE },
  { "lua/cql/sim/init.lua", "for name, value in pairs(options or {})", COPY },
  { "lua/cql/sim/init.lua", "ffi.gc(handle, free)", "the world itself, after its last session" },
  { "lua/cql/sim/journal.lua", "pairs(filter)", ALL },
  { "lua/cql/config.lua", "pairs(ASKED)", COPY },
  { "lua/cql/config.lua", "for name in pairs(OWN)", COPY },
  { "lua/cql/config.lua", "for name, kind in pairs(OWN)", MISUSE },
  { "lua/cql/config.lua", "pairs(options.on or {})", MISUSE },
  { "lua/cql/config.lua", "pairs(options) do flat", COPY },
  { "lua/cql/config.lua", "pairs(inner)", COPY },
  { "lua/cql/config.lua", "for name in pairs(options) do", NAMES },
  { "lua/cql/config.lua", "ffi.gc", OWNER },
  { "lua/cql/event.lua", "pairs(event.numbers)", COPY },
  { "lua/cql/node.lua", "ffi.gc", OWNER },
  { "lua/cql/policy/list.lua", "pairs(list)", COPY },
  { "lua/cql/policy/list.lua", "pairs(fields)", ALL },
  { "lua/cql/question.lua", "pairs(given)", MISUSE },
  { "lua/cql/subscription.lua", "pairs(options or {})", MISUSE },
  { "lua/cql/subscription.lua", "pairs(event)", COPY },
  { "lua/cql/subscription.lua", "__mode", OWNER },
  { "lua/cql/connect.lua", "pairs(named)", ALL },
  { "lua/cql/connect.lua", "pairs(one)", MISUSE },
  { "lua/cql/connect.lua", "pairs(options) do copy", COPY },
  { "lua/cql/options.lua", "for key, bytes in pairs(value)", NAMES },
  { "lua/cql/options.lua", "for name in pairs(list)", COPY },
  { "lua/cql/options.lua", "for name, value in pairs(options)", "each has a field of its own" },
  { "lua/cql/binder.lua", "next(values)", ALL },
  { "lua/cql/binder.lua", "next(values, key)", ALL },
  { "lua/cql/binder.lua", "local type, next, max", "its name" },
  { "lua/cql/binder.lua", "next(values, size", MISUSE },
  { "lua/cql/binder.lua", "pairs(values)", MISUSE },
  { "lua/cql/statement.lua", "pairs(known)", COPY },
  { "lua/cql/statement.lua", "ffi.gc", OWNER },
  { "lua/cql/send.lua", "pairs(options or {}) do copy", COPY },
  { "lua/cql/session.lua", "ffi.gc",
    "the session; docs/sim.md: one that a script drops ends when the collector comes" },
  { "lua/cql/wait/plain.lua", "__mode", "the same" },
  { "lua/cql/result.lua", "__mode", "asked by key alone" },
  { "lua/cql/result.lua", "ffi.gc", OWNER },
  { "lua/cql/types/duration.lua", "pairs(value)", ALL },
  { "lua/cql/types/decode.lua", "pairs(BY_KIND)", COPY },
  { "lua/cql/types/encode.lua", "for key in pairs(map)", "they are sorted" },
  { "lua/cql/types/encode.lua", "for key in pairs(value)", "counted, or: " .. MISUSE },
}

local function begins(path, with) return path:sub(1, #with) == with end

local function is_apart(path)
  for start in pairs(APART) do
    if begins(path, start) then return true end
  end
end

-- Lines that can't be; `used` gets the numbers of the entries that let one through.
local function wrong_lines(used, object, ...)
  local wrong = {}
  local function check(path, number, line)
    if not object(line) then return end
    for i, entry in ipairs(ALLOWED) do
      if begins(path, entry[1]) and line:find(entry[2], 1, true) then
        used[i] = true
        return
      end
    end
    wrong[#wrong + 1] = ("%s:%d: %s: %s"):format(path, number, object(line), line)
  end
  for _, path in ipairs(tree.files(...)) do
    if not is_apart(path) then
      for number, line in tree.lines(path) do check(path, number, line) end
    end
  end
  return table.concat(wrong, "\n")
end

describe("what the simulator runs", function()
  it("asks neither the machine's clock nor its chance, and orders nothing by address or hash",
    function()
      local used = {}
      assert.equal("", wrong_lines(used, objection, "src/*.c", "src/*.h", "hunt/*.c", "hunt/*.h"))
      assert.equal("", wrong_lines(used, lua_objection, "lua/*.lua"))
      for i, entry in ipairs(ALLOWED) do
        assert.is_true(used[i], "nothing needs this any more: " .. entry[1] .. ": " .. entry[2])
      end
    end)

  it("would be caught if C did", function()
    for _, line in ipairs {
      "  int64_t now = time(NULL);", "  clock_gettime(CLOCK_MONOTONIC, &now);",
      "  return rand();", "  return random();", '  cql__sim_print(b, "%p", node);',
      "  if ((uintptr_t)a < (uintptr_t)b) return 1;", '  int fd = open("/dev/urandom", 0);',
      "  uint64_t hash = (uint64_t)(uintptr_t)node;", "  uv_hrtime();", "  srand (1);",
      "  qsort(list, count, sizeof *list, by_size);",
    } do assert.is_truthy(objection(line), line) end
    for _, line in ipairs {
      "  cql__sim_time_parse(text, &us);", "  return cql__rand_next(&sim->random); /* time() */",
      " * The time (of day) is asked of the link.", '  fail("no time (yet)");',
      "  cql__sim_release((void *)(uintptr_t)text.data);",
    } do assert.is_nil(objection(line), line) end
  end)

  it("would be caught if Lua did", function()
    for _, line in ipairs {
      "for name in pairs(list) do", "local key = next(list)", "return next, list",
      "local now = os.time()", "os.clock()", 'os.date "%s"', "math.random(5)",
      'if collectgarbage "count" > 5 then', 'setmetatable({}, { __mode = "k" })',
      "handle = ffi.gc(handle, free)", '("%p"):format(list)', "for k in pairs{ 1 } do",
    } do assert.is_truthy(lua_objection(line), line) end
    for _, line in ipairs {
      "for i, name in ipairs(list) do", "return page:next()", "-- pairs(list)", "world:random(5)",
    } do assert.is_nil(lua_objection(line), line) end
  end)
end)
