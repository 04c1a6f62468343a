-- Inside nginx, on a real Cassandra: many requests at once, reload and exit, aborted requests,
-- every phase, and what a worker's log says about it all.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"
local nginx = require "spec.support.nginx"
local tree = require "spec.support.tree"

local KEYSPACE = "resty_spec"
local ITEMS = 200

local function text(id) return ("%d name %d"):format(id, id) end

local function ten(first)
  local found = {}
  for id = first, first + 9 do found[#found + 1] = text(id) end
  return table.concat(found, ",")
end

-- What each page must print for that id.
local PAGES = {
  item = text, threads = ten, futures = ten, tasks = ten,
  coroutine = function() return text(1) .. "," .. text(2) .. "," .. text(3) end,
}

-- `count` addresses, and what they must give. (nginx forgets what a coroutine of a user waits for
-- when its request is aborted, and crashes later: so not where that happens.)
local function requests(count, aborts)
  local kinds, paths, expected = { "item", "threads", "futures", "tasks", "coroutine" }, {}, {}
  if aborts then table.remove(kinds) end
  for i = 1, count do
    local page, id = kinds[i % #kinds + 1], i * 7 % (ITEMS - 10) + 1
    paths[i], expected[i] = ("/%s?id=%d"):format(page, id), PAGES[page](id)
  end
  return paths, expected
end

local LOCATION = [[
  location ~ ^/(\w+)$ { content_by_lua_block { require("spec.resty.app").page(ngx.var[1]) } }
]]

local function quoted(server)
  local parts = {}
  for name, value in pairs(server:options {
    keyspace = KEYSPACE, name = "spec", request_timeout_ms = 60000, connect_timeout_ms = 30000,
  }) do
    parts[#parts + 1] = ("%s = %s"):format(name,
      type(value) == "string" and ("%q"):format(value) or tostring(value))
  end
  return "return { " .. table.concat(parts, ", ") .. " }"
end

local missing = nginx.missing()
if missing then
  it("nginx runs", function() pending(missing) end)
  return
end

cassandra.describe("in nginx", function(server)
  local running

  -- An nginx with the pages of app.lua, until the end of the test.
  local function start(options)
    options = options or {}
    running = nginx.start {
      workers = options.workers, main = options.main, http = options.http,
      server = (options.server or "") .. LOCATION,
      modules = { options = options.session or quoted(server) },
    }
    return running
  end

  local function get(path)
    local status, body = running:get(path)
    if status == 200 then return body end
    error(("%s: %s\n%s"):format(path, status, table.concat(running:log "error", "\n")), 0)
  end

  -- Nothing in the log that says more than a notice, but for lines with one of these texts.
  local function is_quiet(...)
    local lines = running:log("warn", { ... })
    assert.equal("", table.concat(lines, "\n", 1, math.min(#lines, 5)))
  end

  -- All answers as they must be.
  local function check(paths, expected, options)
    for i, answer in ipairs(running:get_all(paths, options)) do
      assert.equal(200, answer.status, answer.uri)
      assert.equal(expected[i], answer.body, answer.uri)
    end
  end

  setup(function()
    local session = assert(cql.connect(server:options()))
    local function run(...) return assert(session:execute(...)) end
    run("DROP KEYSPACE IF EXISTS " .. KEYSPACE)
    run("CREATE KEYSPACE " .. KEYSPACE
      .. " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    assert(session:use(KEYSPACE))
    run "CREATE TABLE items (id int PRIMARY KEY, name text)"
    run "CREATE TABLE notes (id int PRIMARY KEY, text text)"
    local futures = {}
    for id = 1, ITEMS do
      futures[id] = session:submit("INSERT INTO items (id, name) VALUES (?, ?)",
        { id, "name " .. id })
    end
    assert(cql.wait_all(futures))
    assert(session:close())
  end)
  teardown(function()
    local session = assert(cql.connect(server:options()))
    assert(session:execute("DROP KEYSPACE " .. KEYSPACE))
    assert(session:close())
  end)
  after_each(function()
    if not running then return end
    if running.pid then running:terminate() end
    local crashes = #running:log("alert", { "lua_code_cache is off", "lua_max_running_timers" })
    running:remove()
    running = nil
    assert.equal(0, crashes)
  end)

  it("200 requests at once get their own answers while workers are replaced", function()
    start { workers = 2 }
    check(requests(400)) -- all workers have connected
    local before = running:workers()
    local paths, expected = requests(1500)
    check(paths, expected, { at_once = 200, after = {
      [300] = function() running:hang_up() end,
      [800] = function() running:hang_up() end,
    } })
    nginx.until_("old workers exit", function() return #running:workers() == 2 end)
    for _, pid in ipairs(running:workers()) do
      assert.is_true(pid ~= before[1] and pid ~= before[2])
    end
    check(requests(100))
    running:quit()
    is_quiet()
  end)

  it("a worker keeps no descriptor of requests that are over", function()
    start()
    check(requests(200))
    local before = running:descriptors()
    check(requests(1000))
    assert.equal(before, running:descriptors())
    assert.equal("taken 0 orphans 0", get "/metrics")
    is_quiet()
  end)

  it("pages, batches and errors work as elsewhere", function()
    start()
    assert.equal(("%d %d"):format(ITEMS, ITEMS * (ITEMS + 1) / 2), get "/pages")
    assert.equal("ok", get "/batch")
    assert.equal("TASK_FAILED false on purpose false false", get "/tasks_that_fail")
    is_quiet("unheard", ": broken")
  end)

  -- Cassandra stands still while fn() runs.
  local function paused(fn)
    server:pause()
    local ok, why = pcall(fn)
    server:resume()
    assert(ok, why)
  end

  local ABORTS = { http = "lua_check_client_abort on;" }

  it("requests whose clients have hung up leave nothing behind", function()
    start(ABORTS)
    check(requests(100))
    local before = running:descriptors()
    local paths = requests(200, "aborts")
    paused(function() running:abort(paths, 300) end)
    check(requests(100))
    assert.equal(text(4), get "/killed?id=4")
    nginx.until_("all is over", function() return get "/metrics" == "taken 0 orphans 0" end)
    assert.equal(before, running:descriptors())
    is_quiet()
  end)

  it("those who wait for room are not held up by others who have gone", function()
    start(ABORTS)
    assert.equal(text(1), get "/narrow?id=1")
    local gone, kept, expected, asked = {}, {}, {}, nil
    for id = 1, 100 do gone[id] = "/narrow?id=" .. id end
    for id = 1, 20 do kept[id], expected[id] = "/narrow?id=" .. id, text(id) end
    paused(function()
      running:abort(gone, 300)
      asked = running:ask(kept)
      nginx.until_("they wait", function() return get "/waiting" == "116" end)
    end)
    for i, answer in ipairs(running:answers(asked)) do assert.equal(expected[i], answer.body) end
    is_quiet()
  end)

  it("a worker whose session reaches nobody exits too", function()
    start()
    for _ = 1, 3 do assert.equal("nil NO_HOST", get "/nobody") end
    running:quit()
    is_quiet()
  end)

  it("requests end within their timeout while Cassandra stands still", function()
    start()
    get "/item?id=1"
    paused(function() assert.equal("TIMEOUT", get "/failure?timeout=50") end)
    assert.equal("none", get "/failure?timeout=10000")
    is_quiet()
  end)

  it("a worker that exits answers those who wait, and waits for nobody else", function()
    start()
    local paths, expected = requests(40)
    check(paths, expected)
    local old = running:workers()[1]
    local asked
    paused(function()
      asked = running:ask(paths)
      running:hang_up()
      nginx.until_("a new worker runs", function() return running:workers()[2] end)
    end)
    for i, answer in ipairs(running:answers(asked)) do assert.equal(expected[i], answer.body) end
    nginx.until_("the old one exits", function() return running:workers()[1] ~= old end)
    check(paths, expected)
    running:quit()
    is_quiet()
  end)

  it("all requests of a worker share the session of a name", function()
    start()
    local paths, expected = {}, {}
    for i = 1, 50 do paths[i], expected[i] = "/shared", "1" end
    check(paths, expected) -- the first 50 connect at once
    assert.equal("true false another page_size CLOSED true", get "/named")
    is_quiet()
  end)

  it("phases where nothing may yield get their answers too, by blocking", function()
    start {
      http = [[
        upstream balanced {
          server 0.0.0.1;
          balancer_by_lua_block {
            require("spec.resty.app").phase(17)
            assert(require("ngx.balancer").set_current_peer("unix:$folder/http"))
          }
        }
        init_worker_by_lua_block { require("spec.resty.app").phase(11) }
        exit_worker_by_lua_block {
          ngx.log(ngx.NOTICE, "found: ", require("spec.resty.app").phase(16))
        }
      ]],
      server = [[
        location = /balanced { proxy_pass http://balanced/item?id=3; }
        location = /yields {
          rewrite_by_lua_block { ngx.ctx.found = require("spec.resty.app").item(1) }
          access_by_lua_block {
            ngx.ctx.found = ngx.ctx.found .. " " .. require("spec.resty.app").item(2)
          }
          content_by_lua_block { ngx.print(ngx.ctx.found) }
        }
        location = /blocks {
          set_by_lua_block $set { return require("spec.resty.app").phase(12) }
          content_by_lua_block { ngx.print(ngx.var.set) }
          header_filter_by_lua_block { require("spec.resty.app").phase(13) }
          body_filter_by_lua_block { require("spec.resty.app").phase(14) }
          log_by_lua_block {
            local app = require "spec.resty.app"
            app.phase(15)
            app.note(1)
            app.impossible()
            app.in_timer()
          }
        }
      ]],
    }
    assert.equal("1 name 1 2 name 2", get "/yields")
    assert.equal("3 name 3", get "/balanced")
    assert.equal("12 name 12,name 12", get "/blocks")
    local function found(name)
      return nginx.until_(name, function()
        local text_found = get("/phases?name=" .. name)
        return text_found ~= "nothing" and text_found
      end)
    end
    for name, id in pairs {
      init_worker = 11, header_filter = 13, body_filter = 14, log = 15, balancer = 17,
    } do
      assert.equal(("%d name %d,name %d"):format(id, id, id), found(name))
    end
    assert.matches("false .*nobody else can run", found "impossible")
    assert.equal("2 name 2", found "timer")
    found "timer_sum"
    check(requests(100))
    running:quit()
    assert.matches("found: 16 name 16,name 16", table.concat(running:log "notice", "\n"))
    for _, phase in ipairs {
      "init_worker", "set", "header_filter", "body_filter", "log", "balancer",
      "exit_worker",
    } do
      assert.equal(1, #running:log("warn") - #running:log("warn", { "in " .. phase .. " blocks" }))
    end
    is_quiet "blocks the worker"
    local session = assert(cql.connect(server:options { keyspace = KEYSPACE }))
    assert.equal("log", assert(session:execute "SELECT text FROM notes WHERE id = 1")[1].text)
    assert(session:close())
  end)

  it("a module may connect and prepare while it is loaded", function()
    start()
    assert.equal("name 7", get "/module?id=7")
    is_quiet "in require blocks the worker"
    assert.equal(1, #running:log "warn")
  end)

  it("handlers of events may ask the session", function()
    start()
    assert.equal("ready 5 name 5", get "/handler")
    is_quiet()
  end)

  it("a session tells of its cluster, to handlers and to light threads that wait for it", function()
    start(ABORTS)
    local address = ("%s:%d"):format(server.contact_points, server.port)
    assert.equal("TIMEOUT topology rack true 0", get "/cluster")
    local function heard(name)
      return nginx.until_(name, function()
        local found = get("/heard?name=" .. name)
        return found ~= "nil" and found
      end)
    end
    assert.equal(address, heard "asked")
    assert.equal("false", heard "distance_waits")
    assert.equal(address .. " 5 name 5", heard "node_up")
    local listeners = running:ask { "/listen", "/listen" }
    running:abort({ "/listen" }, 100)
    nginx.until_("they listen", function() return get "/listeners" == "3" end)
    local session = assert(cql.connect(server:options { keyspace = KEYSPACE }))
    assert(session:execute "CREATE TABLE heard (id int PRIMARY KEY)")
    assert(session:execute "DROP TABLE heard")
    assert(session:close())
    for _, answer in ipairs(running:answers(listeners)) do assert.equal("heard", answer.body) end
    assert.equal("heard", heard "schema_change")
    get "/listen_for_ever"
    running:quit()
    assert.matches("listened: CLOSED: the worker exits", table.concat(running:log "notice", "\n"))
    is_quiet()
  end)

  it("a turn that fails, and a reader that loses its socket, are made good", function()
    start()
    get "/item?id=1"
    assert.equal("name 8", get "/broken_reader?id=8")
    assert.equal(text(9), get "/broken_turn?id=9")
    assert.equal(text(7), get "/log_that_waits?id=7")
    check(requests(100))
    is_quiet("a fault in a turn", "log failed: log may not yield", "something to log")
    assert.equal(2, #running:log "error")
  end)

  it("sessions that nobody holds are collected, with all that they had", function()
    start()
    get "/item?id=1"
    local before = running:descriptors()
    for _ = 1, 3 do get "/dropped" end
    nginx.until_("they are gone", function()
      get "/collect"
      return running:descriptors() <= before -- one of a client may have been among them
    end)
    check(requests(50))
    is_quiet()
  end)

  it("the example does what it says", function()
    local conf = tree.read "examples/nginx/nginx.conf"
    conf = conf:gsub("listen [%d.:]+", "listen unix:$folder/http"):gsub("%${prefix}../..", "$root")
      :gsub("pid nginx", "$user pid nginx")
      :gsub("env CQL_CONTACT_POINTS", "%0=" .. server.contact_points)
    running = nginx.start { conf = conf }
    assert.matches("^%d+%.%d", get "/version")
    assert.matches("^system: %d+\nsystem_auth: %d+\nsystem_schema: %d+\n$", get "/tables")
    running:quit()
    assert.not_matches("%[[ewac][rlm]%a+%]", running:stderr())
  end)

  it("in init_by_lua it may be loaded, but not connected", function()
    start {
      http = [[init_by_lua_block {
        local ok, why = pcall(require("resty.cql").connect, require "options")
        ngx.log(ngx.ERR, "refused: ", tostring(ok), " ", why)
      }]],
    }
    check(requests(20))
    assert.matches("refused: false .*in init_by_lua there is no worker yet",
      running:stderr() .. table.concat(running:log "error"))
    is_quiet "refused"
  end)

  it("without a timer to be had a request says so", function()
    start {
      http = "lua_max_pending_timers 1;",
      server = [[
        location = /taken { content_by_lua_block {
          for _ = 1, 3 do ngx.timer.at(3600, function() end) end
          local session, why = require("resty.cql").connect(require "options")
          ngx.print(tostring(session), " ", tostring(why))
        } }
      ]],
    }
    assert.matches("nil NO_DRIVER: nginx gives no timer: too many pending timers; raise",
      get "/taken")
  end)

  it("without a light thread for the reader, requests get their answers late", function()
    start {
      http = "lua_max_running_timers 1;",
      server = [[
        location = /taken { content_by_lua_block {
          ngx.timer.at(0, function() ngx.sleep(3600) end)
          ngx.sleep(0.05)
          require("spec.resty.app").page "item"
        } }
      ]],
    }
    assert.equal(text(3), get "/taken?id=3")
    is_quiet("no light thread began", "lua_max_running_timers are not enough")
  end)

  it("under lua_code_cache off every request's session ends soon after it", function()
    start { http = "lua_code_cache off;" }
    local before = running:descriptors()
    local paths, expected = {}, {}
    for i = 1, 10 do paths[i], expected[i] = "/item?id=" .. i, text(i) end
    check(paths, expected, { at_once = 5 })
    -- (libuv keeps a pipe for the process.)
    nginx.until_("they end", function() return running:descriptors() <= before + 2 end)
    running:quit()
    is_quiet("lua_code_cache is off")
  end)
end)
