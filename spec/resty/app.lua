-- What nginx runs in these specs: a function for each page, and some for phases. The spec leaves
-- how to connect in a module of the configuration's folder.
local cql = require "resty.cql"
local bit = require "bit"

local app = {}
local SELECT = "SELECT id, name FROM items WHERE id = ?"

local function session() return assert(cql.connect(require "options")) end

local function item(id)
  local rows = assert(session():execute(SELECT, { id }))
  return rows[1] and rows[1].id .. " " .. rows[1].name or "none"
end

app.session, app.item = session, item

local function id_asked() return tonumber(ngx.var.arg_id) end

local page = {}

function page.item() ngx.print(item(id_asked())) end

-- Ten queries at once: by light threads, by futures, and by tasks of a cql.run.
function page.threads()
  local first, threads, found = id_asked(), {}, {}
  for i = 1, 10 do threads[i] = ngx.thread.spawn(item, first + i - 1) end
  for i = 1, 10 do
    local _, text = ngx.thread.wait(threads[i])
    found[i] = text
  end
  ngx.print(table.concat(found, ","))
end

function page.futures()
  local first, futures = id_asked(), {}
  for i = 1, 10 do futures[i] = session():submit(SELECT, { first + i - 1 }) end
  local found = {}
  for i, rows in ipairs(assert(cql.wait_all(futures))) do
    found[i] = rows[1].id .. " " .. rows[1].name
  end
  ngx.print(table.concat(found, ","))
end

function page.tasks()
  local first, found = id_asked(), {}
  local given, also = cql.run(function(...)
    for i = 1, 10 do
      cql.spawn(function()
        cql.sleep(i % 3)
        found[i] = item(first + i - 1)
      end)
    end
    return ...
  end, "given", nil)
  assert(given == "given" and also == nil)
  ngx.print(table.concat(found, ","))
end

function page.pages()
  local sum, count = 0, 0
  local rows = assert(session():execute("SELECT id FROM items", nil, { page_size = 30 }))
  for row in rows:each() do sum, count = sum + row.id, count + 1 end
  ngx.print(count, " ", sum)
end

function page.batch()
  local batch = session():batch "unlogged"
  for i = 1, 3 do batch:add("INSERT INTO notes (id, text) VALUES (?, ?)", { i, "batch " .. i }) end
  assert(session():execute(batch))
  ngx.print "ok"
end

-- What a user's coroutine asks: nginx's yield through them.
function page.coroutine()
  local next_item = coroutine.wrap(function()
    for id = 1, 3 do coroutine.yield(item(id)) end
  end)
  ngx.print(next_item(), ",", next_item(), ",", next_item())
end

-- ---- what goes wrong ----

-- A session that takes four requests at a time.
local function narrow()
  local options = { name = "narrow", requests_max = 4 }
  for name, value in pairs(require "options") do options[name] = options[name] or value end
  return assert(cql.connect(options))
end

function page.narrow()
  local rows = assert(narrow():execute(SELECT, { id_asked() }))
  ngx.print(rows[1].id, " ", rows[1].name)
end

function page.waiting() ngx.print(narrow().busy.count) end

function page.killed()
  for id = 1, 20 do assert(ngx.thread.kill(ngx.thread.spawn(item, id))) end
  ngx.print(item(id_asked()))
end

-- Nobody listens there.
function page.nobody()
  local session_found, failure = cql.connect {
    name = "nobody", contact_points = "127.0.0.1:1", connect_timeout_ms = 10,
    reconnect_min_ms = 3600000, reconnect_max_ms = 3600000,
  }
  ngx.print(tostring(session_found), " ", failure.name)
end

-- The name of the error that the query ends with; `timeout` is in the address.
function page.failure()
  local _, failure = session():execute(SELECT, { 1 }, {
    timeout_ms = tonumber(ngx.var.arg_timeout),
  })
  ngx.print(failure and failure.name or "none")
end

function page.tasks_that_fail()
  local task = cql.spawn(function() error "broken" end)
  local _, failure = task:wait()
  local run, why = pcall(cql.run, function() error("on purpose", 0) end)
  cql.spawn(function() error "unheard" end)
  ngx.print(failure.name, " ", tostring(run), " ", why:match "on purpose", " ",
    tostring(pcall(cql.spawn, "no function")), " ", tostring(pcall(cql.sleep, -1)))
end

-- A turn of the session that raises, and a reader whose connection ends, while requests wait.
function page.broken_turn()
  local s = session()
  local move = s.move
  s.move = function()
    s.move = move
    error "a fault in a turn"
  end
  ngx.print(item(id_asked()))
end

-- A log function that nginx lets another run for, amid a turn.
function page.log_that_waits()
  local s = session()
  local move = s.move
  s.move = function(self)
    s.move, s.log_function = move, function() ngx.sleep(0.01) end
    s:log("warning", "something to log")
    s.log_function = nil
    return move(self)
  end
  ngx.print(item(id_asked()))
end

function page.broken_reader()
  local s = session()
  local future = s:submit(SELECT, { id_asked() })
  require("cql.ffi").C.cql_poke_stop(s.handle)
  ngx.print(assert(future:wait())[1].name)
end

-- ---- state ----

function page.metrics()
  local metrics = assert(session():metrics())
  ngx.print(("taken %d orphans %d"):format(metrics.taken, metrics.orphans))
end

local sessions, count = {}, 0
function page.shared()
  local s = session()
  if not sessions[s] then sessions[s], count = true, count + 1 end
  ngx.print(count)
end

-- Another session of that name, and one with another option.
function page.named()
  local options = {}
  for name, value in pairs(require "options") do options[name] = value end
  options.name = "another"
  local other = assert(cql.connect(options))
  local same = assert(cql.connect(options)) == other and other ~= session()
  options.page_size = 7
  local ok, why = pcall(cql.connect, options)
  assert(other:close())
  local closed = select(2, other:execute(SELECT, { 1 })).name
  local again = assert(cql.connect(options))
  local anew = again ~= other
  assert(again:close())
  ngx.print(tostring(same), " ", tostring(ok), " ", why:match "another page_size", " ", closed, " ",
    tostring(anew))
end

-- Sessions that nobody holds any more.
function page.dropped()
  local options = {}
  for name, value in pairs(require "options") do options[name] = value end
  options.name = nil
  for _ = 1, 2 do assert(cql.connect(options)) end
  ngx.print "ok"
end

function page.collect()
  collectgarbage()
  ngx.print "ok"
end

-- ---- phases ----

app.phases = {} -- what was found in each

-- Every way to ask, from where nothing may yield: it blocks.
function app.phase(id)
  local s, name = session(), ngx.get_phase()
  local future = s:submit("SELECT name FROM items WHERE id = ?", { id })
  cql.sleep(1)
  local events = assert(s:subscribe "failed")
  assert(select(2, events:next(1)).name == "TIMEOUT")
  events:close()
  app.phases[name] = item(id) .. "," .. assert(future:wait())[1].name
  return app.phases[name]
end

-- In log_by_lua: nobody waits, nothing blocks.
function app.note(id)
  session():submit("INSERT INTO notes (id, text) VALUES (?, ?)", { id, ngx.get_phase() })
end

-- A task that only a light thread could run.
function app.impossible()
  local task = cql.spawn(item, 1)
  local ok, why = pcall(task.wait, task)
  app.phases.impossible = tostring(ok) .. " " .. tostring(why)
end

function page.phases() ngx.print(app.phases[ngx.var.arg_name] or "nothing") end

-- ---- timers and handlers ----

function app.in_timer()
  local ok, why = ngx.timer.at(0, function()
    app.phases.timer = item(2)
    local sum = 0
    for id = 1, 20 do sum = bit.bxor(sum, #item(id)) end
    app.phases.timer_sum = tostring(sum)
  end)
  assert(ok, why)
end

-- A handler of an event that asks the session, which has opened by then.
function page.handler()
  local seen
  local options = { name = "handled", on = {
    ready = function(event) seen = event.name .. " " .. item(5) end,
  } }
  for name, value in pairs(require "options") do options[name] = options[name] or value end
  local s = assert(cql.connect(options))
  for _ = 1, 1000 do
    if seen then break end
    cql.sleep(5)
  end
  assert(s:close())
  ngx.print(seen)
end

-- The same session for all of these pages: asked how near its node is, and heard by two handlers
-- that wait, and by a subscription.
local heard = {}

local function cluster()
  local options = {
    name = "cluster", discover = true,
    distance = function(node)
      heard.asked = node.address
      heard.distance_waits = tostring(pcall(cql.sleep, 1))
      return "rack"
    end,
    on = {
      node_up = function(event)
        ngx.sleep(0.01)
        heard.node_up = event.node.address .. " " .. item(5)
      end,
      schema_change = function(event)
        cql.sleep(1)
        heard.schema_change = event.schema_change.name
      end,
    },
  }
  for name, value in pairs(require "options") do options[name] = options[name] or value end
  return assert(cql.connect(options))
end

function page.cluster()
  local s = cluster()
  local subscription = assert(s:subscribe "topology")
  local late = select(2, subscription:next(20)).name
  assert(s:refresh())
  local event = assert(subscription:next(5000))
  subscription:close()
  local node = assert(s:nodes())[1]
  ngx.print(late, " ", event.name, " ", node.distance, " ", tostring(node.up), " ",
    s.subscriptions.n)
end

local listening = 0
function page.listeners() ngx.print(listening) end

function page.heard() ngx.print(tostring(heard[ngx.var.arg_name])) end

-- What a light thread waits for that none of the others ends, whatever becomes of its request.
function page.listen()
  local subscription = assert(cluster():subscribe "schema_change")
  listening = listening + 1
  local event, failure = subscription:next()
  heard.listened = event and event.schema_change.name or tostring(failure)
  ngx.print(heard.listened)
end

-- In a timer, which no request ends: until the worker exits.
function page.listen_for_ever()
  local s = cluster()
  local subscription = assert(s:subscribe "closed")
  assert(ngx.timer.at(0, function()
    local _, failure = subscription:next()
    ngx.log(ngx.NOTICE, "listened: ", tostring(failure))
  end))
  ngx.print "ok"
end

-- ---- modules that ask while they are loaded ----

function page.module() ngx.print(require("spec.resty.module").name(id_asked())) end

function app.page(name) return page[name]() end

return app
