-- Sessions in Lua, against a small server in another process: who is woken, what is let go, what
-- outlives what.
local cql = require "cql"
local scripted = require "spec.support.scripted"
local socket = require "spec.support.socket"

describe("a session", function()
  local server, sessions

  setup(function() server = scripted.start() end)
  teardown(function() server.stop() end)
  before_each(function() sessions = {} end)
  after_each(function()
    for _, session in ipairs(sessions) do session:close(0) end
  end)

  local function connect(options)
    local all = { contact_points = "127.0.0.1", port = server.port, protocol_version = 4,
      discover = false, log = function() end }
    for name, value in pairs(options or {}) do all[name] = value end
    local session = assert(cql.connect(all))
    sessions[#sessions + 1] = session
    return session
  end

  -- Everything that is dead is gone.
  local function collect()
    for _ = 1, 3 do collectgarbage() end
  end

  describe("with no room for more requests", function()
    -- One request is under way, and released when the others wait for room.
    local function crowd(session, fn)
      local held = session:submit "HOLD"
      local release = connect()
      cql.run(function()
        fn()
        cql.spawn(function()
          cql.sleep(1)
          assert(release:execute "RELEASE")
        end)
      end)
      assert(held:wait())
    end

    it("wakes the next who waits when one finds that its values are wrong", function()
      local session = connect { requests_max = 1 }
      local insert = assert(session:prepare "INSERT ?")
      local first, second
      crowd(session, function()
        local values = { 1 }
        cql.spawn(function() first = { session:execute(insert, values) } end)
        cql.spawn(function() second = { session:execute(insert, { 2 }) } end)
        cql.spawn(function() values[1] = "wrong" end)
      end)
      assert.equal("VALUE", first[2] and first[2].name)
      assert.is_truthy(second[1])
    end)

    it("wakes the next who waits when one was cancelled", function()
      local session = connect { requests_max = 1 }
      local second
      local future
      crowd(session, function()
        future = session:submit("INSERT unseen ?", { 1 })
        cql.spawn(function() second = { session:execute "INSERT" } end)
        cql.spawn(function() future:cancel() end)
      end)
      assert.equal("CANCELLED", select(2, future:wait()).name)
      assert.is_truthy(second[1])
    end)

    it("lets a coroutine pass that blocks all others, and a future that it waits for", function()
      local session = connect { requests_max = 1 }
      local ended = 0
      cql.run(function()
        for i = 1, 20 do
          cql.spawn(function()
            if i == 10 then
              coroutine.wrap(function() assert(session:execute "INSERT") end)()
            elseif i == 15 then
              local future = session:submit("INSERT unseen ?", { 1 })
              coroutine.wrap(function() assert(future:wait()) end)()
            else
              assert(session:execute "INSERT")
            end
            ended = ended + 1
          end)
        end
      end)
      assert.equal(20, ended)
    end)

    it("serves many thousands that wait in turn", function()
      local session = connect { requests_max = 2 }
      local done = 0
      cql.run(function()
        for _ = 1, 5000 do
          cql.spawn(function()
            assert(session:execute "INSERT")
            done = done + 1
          end)
        end
      end)
      assert.equal(5000, done)
    end)
  end)

  it("gives a request back when reading the values raises", function()
    local session = connect()
    local insert = assert(session:prepare "INSERT ?, ?")
    local values = setmetatable({}, { __index = function() error "no value" end })
    assert.error_matches(function() session:execute(insert, values) end, "no value")
    assert.error_matches(function() session:submit(insert, values) end, "no value")
    local batch = session:batch():add(insert, values)
    assert.error_matches(function() session:execute(batch) end, "no value")
    assert.equal(0, session:metrics().taken)
    assert(session:execute(insert, { 1, 2 }))
  end)

  it("lives as long as a coroutine of the scheduler uses it", function()
    local rows
    local release = connect()
    local function ask()
      local session = connect()
      table.remove(sessions)
      cql.spawn(function() rows = session:execute "HOLD" end)
    end
    ask()
    cql.run(function()
      cql.sleep(5)
      collect()
      assert(release:execute "RELEASE")
      for _ = 1, 1000 do
        if rows then break end
        cql.sleep(5)
      end
    end)
    assert.is_truthy(rows)
  end)

  describe("reads pages", function()
    local function count(rows)
      local n = 0
      for row in rows:each() do
        n = n + 1
        assert.equal(7, row.id)
      end
      return n
    end

    it("of the values that the first was asked with, whatever became of the table", function()
      local session = connect()
      local values = { 7 }
      local rows = assert(session:execute("SELECT 2 ROWS 3 PAGES ?", values))
      values[1] = 8
      assert.equal(6, count(rows))
      local view = assert(session:execute("SELECT 2 ROWS 3 PAGES ?", { 7 }, { view = true }))
      assert.equal(6, count(view))
      values[1] = 7
      local future = session:submit("SELECT 2 ROWS 3 PAGES ?", values)
      values[1] = 8
      assert.equal(6, count(assert(future:wait())))
    end)

    it("and lets those go that were read", function()
      local session = connect()
      local weak = setmetatable({}, { __mode = "k" })
      local rows = assert(session:execute("SELECT 1 ROWS 20 PAGES ?", { 7 }))
      local most = 0
      for row in rows:each() do
        weak[row] = true
        collect()
        local alive = 0
        for _ in pairs(weak) do alive = alive + 1 end
        most = math.max(most, alive)
      end
      assert.is_true(most <= 4, most)
    end)

    it("again after one could not be had", function()
      local session = connect { request_timeout_ms = 200 }
      local rows = assert(session:execute("SELECT 1 ROWS 2 PAGES ?", { 7 }))
      server.pause()
      local page, failure = rows:next_page()
      server.resume()
      assert.is_nil(page)
      assert.equal("TIMEOUT", failure.name)
      assert.equal(1, #assert(rows:next_page()))
    end)

    it("ahead where the prepared statement says so", function()
      local session = connect()
      local select = assert(session:prepare("SELECT 1 ROWS 3 PAGES ?", { prefetch = true }))
      local before = session:metrics().requests
      local rows = assert(session:execute(select, { 7 }))
      local next_row = rows:each()
      assert.is_function(next_row)
      assert.equal(before + 2, session:metrics().requests)
    end)
  end)

  describe("gives views", function()
    local function view_of(session)
      return assert(session:execute("SELECT 70 ROWS 1 PAGES ?", { 7 }, { view = true }))
    end

    it("that live as long as their row is held, for it reads their memory", function()
      local session = connect()
      local weak = setmetatable({}, { __mode = "v" })
      local function first_row()
        weak.view = view_of(session)
        local step, state = weak.view:each()
        return step(state)
      end
      local row = first_row()
      collect()
      assert.is_truthy(weak.view)
      assert.equal("row 1 of SELECT 70 ROWS 1 PAGES ?", row.name)
      row = nil -- luacheck: ignore
      collect()
      assert.is_nil(weak.view)
    end)

    it("that outlive it", function()
      local session = connect()
      local view = view_of(session)
      local step, state = view:each()
      local row = step(state)
      session:close(0)
      assert.matches("^row 1 of", row.name)
      local n = 1
      for _ in step, state do n = n + 1 end
      assert.equal(70, n)
    end)

    it("that begin again with each loop", function()
      local view = view_of(connect())
      for _ = 1, 2 do
        local step, state = view:each()
        assert.equal(1, step(state).row)
      end
    end)

    it("whose loop ends when it is closed, or when another begins", function()
      local session = connect()
      local view = view_of(session)
      assert.error_matches(function()
        for _ in view:each() do view:close() end
      end, "this view was closed")
      assert.error_matches(function() view:each() end, "this view was closed")
      view = view_of(session)
      assert.error_matches(function()
        for _ in view:each() do view:each() end
      end, "another loop")
    end)

    it("that say what they have not", function()
      local view = view_of(connect())
      assert.error_matches(function() return view[1] end, "each")
      assert.error_matches(function() return view:slice "name" end, "each")
    end)
  end)

  it("forgets what it prepared when its keyspace changes, also what is on its way", function()
    local session = connect()
    local late = "SELECT 1 ROWS 1 PAGES PREPARE LATE ?"
    local function keyspace()
      return assert(session:execute("SELECT 1 ROWS 1 PAGES ?", { 1 }))[1].keyspace
    end
    assert(session:use "one")
    assert.equal("one", keyspace())
    local on_its_way = session:submit(late, { 1 })
    assert(session:use "two")
    assert.equal("two", keyspace())
    assert(session:execute "RELEASE")
    assert.equal("one", assert(on_its_way:wait())[1].keyspace)
    local again = session:submit(late, { 1 })
    cql.spawn(function() assert(session:execute "RELEASE") end)
    assert.equal("two", assert(again:wait())[1].keyspace)
  end)

  it("is dropped while others go on, however often the collector comes", function()
    local session = connect()
    local pause, step = collectgarbage("setpause", 1), collectgarbage("setstepmul", 100000)
    for _ = 1, 30 do
      connect()
      table.remove(sessions)
      for _ = 1, 5 do assert(session:execute "INSERT") end
    end
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
  end)

  it("of a parent process costs the child nothing, and says whose it is", function()
    local session = connect()
    local events = assert(session:subscribe())
    local status = socket.in_child(function()
      local turns, abandon = 0, session.abandon
      session.abandon = function(...)
        turns = turns + 1
        return abandon(...)
      end
      cql.sleep(20)
      assert(turns <= 1, turns)
      assert(select(2, session:execute "INSERT").name == "FORKED")
      assert(select(2, events:next(1000)).name == "FORKED")
      for _, name in ipairs { "nodes", "refresh", "refresh_distances", "plan" } do
        assert(select(2, session[name](session, "INSERT")).name == "FORKED", name)
      end
      assert(select(2, session:close()).name == "FORKED")
      local own = connect()
      assert(own:execute "INSERT")
      assert(own:close())
      return 7
    end)
    assert.equal(7, status)
    assert(session:execute "INSERT")
  end)

  it("gives one table for all that has no rows, which can't be changed", function()
    local rows = assert(connect():execute "INSERT")
    assert.equal(0, #rows)
    assert.error_matches(function() rows[1] = {} end, "one of your own")
  end)

  describe("says where the mistake was made", function()
    local session
    before_each(function() session = connect() end)

    local function mistake(text, fn)
      local ok, why = pcall(function()
        fn()
        return nil
      end)
      assert.is_false(ok)
      local line, info = tonumber(why:match "^spec/lua/session_spec.lua:(%d+): "), debug.getinfo(fn)
      assert.matches(text, why)
      assert.is_true(line and line >= info.linedefined and line <= info.lastlinedefined, why)
    end

    it("in what is given to execute() and its kin", function()
      local batch = session:batch():add "INSERT"
      local insert = assert(session:prepare "INSERT ?")
      local token = "\1\4sum sstate"
      mistake("colon", function() session.execute "INSERT" end)
      mistake("colon", function() session.prepare "INSERT" end)
      mistake("not a number", function() session:execute(5) end)
      mistake("not a number", function() session:execute(5, nil, { paging_state = token }) end)
      mistake("not a string", function() session:execute("INSERT", "x") end)
      for _, name in ipairs { "execute", "submit" } do
        mistake("options are a table", function() session[name](session, "INSERT ?", { 1 }, 5) end)
        mistake("keyspace takes a string", function()
          session[name](session, "INSERT ?", { 1 }, { keyspace = {} })
        end)
        mistake("no pages", function()
          session[name](session, batch, nil, { paging_state = token })
        end)
        mistake("plain takes true or false", function()
          session[name](session, insert, { 1 }, { plain = 1 })
        end)
        mistake("prefetch takes true or false", function()
          session[name](session, "INSERT", nil, { prefetch = "yes" })
        end)
      end
    end)

    it("in what is kept for later", function()
      mistake("options are a table", function() session:prepare("INSERT ?", 5) end)
      mistake("unknown option \"veiw\"", function() session:prepare("INSERT", { veiw = true }) end)
      mistake("option of execute", function() session:prepare("INSERT", { paging_state = "" }) end)
      mistake("options are a table", function() session:batch("logged", 5) end)
      mistake("unknown option \"tracin\"", function()
        session:batch("logged", { tracin = true })
      end)
      mistake("unknown type of batch", function() session:batch "loged" end)
      assert.equal(0, session:metrics().taken)
    end)

    it("in what is given to connect()", function()
      mistake("a table of options", function() cql.connect "127.0.0.1" end)
      mistake("options have names", function() cql.connect { "127.0.0.1" } end)
      mistake("the array is empty", function() cql.connect { contact_points = {} } end)
      mistake("a zero byte", function() cql.connect { contact_points = { "a\0" } } end)
      mistake("a zero byte", function() cql.connect { keyspace = "a\0" } end)
      mistake("can't be a function", function() cql.connect { keyspace = print } end)
      mistake("unknown option", function() cql.connect { contact_point = "a" } end)
      mistake("log takes a function", function() cql.connect { log = 5 } end)
      mistake("int64 takes", function() cql.connect { int64 = "double" } end)
      mistake("unknown event", function() cql.connect { on = { opened = print } } end)
      mistake("on.ready takes", function() cql.connect { on = { ready = 5 } } end)
      mistake("port can't be", function() cql.connect { port = 99999 } end)
    end)

    it("in the name of a keyspace, and in a time", function()
      for _, name in ipairs { "", ("x"):rep(201), "a\0b", 5 } do
        mistake("name of a keyspace", function() session:use(name) end)
      end
      for _, time in ipairs { -1, "x", 2 ^ 40, 0 / 0 } do
        mistake("close takes milliseconds", function() session:close(time) end)
      end
      assert(session:execute "INSERT")
    end)
  end)

  it("that can't be had says which address refused, and why", function()
    local options = { contact_points = "127.0.0.1:1", connect_timeout_ms = 500,
      log = function() end }
    local session, failure = cql.connect(options)
    assert.is_nil(session)
    assert.matches("^NO_HOST: 127.0.0.1:1: Connection refused; .*connect_timeout_ms",
      tostring(failure))
    options.connect_retry = false
    failure = select(2, cql.connect(options))
    assert.matches("^CONNECT: 127.0.0.1:1: Connection refused", tostring(failure))
    failure = select(2, cql.connect { contact_points = "127.0.0.1:99999" })
    assert.matches('^OPTION: contact_points: "127.0.0.1:99999" is neither .* without$',
      tostring(failure))
  end)

  it("changes its keyspace once at a time", function()
    local session = connect()
    local failures = {}
    cql.run(function()
      for _, name in ipairs { "one", "two" } do
        cql.spawn(function()
          local _, failure = session:use(name)
          failures[#failures + 1] = failure
        end)
      end
    end)
    assert.equal(1, #failures)
    assert.equal("BUSY", failures[1].name)
    assert.matches("another session:use", failures[1].message)
  end)
end)
