-- Sessions in Lua under everything at once, from a seed: each call ends once, with its own answer,
-- and nothing is left. CQL_SEED=n runs another one.
local cql = require "cql"
local scripted = require "spec.support.scripted"
local unit = require "spec.support.unit"

local SEED = tonumber(os.getenv "CQL_SEED") or 1
local TASKS, CALLS = 40, 12

local EXPECTED = { CONNECTION_LOST = true, CANCELLED = true, NO_HOST = true, TIMEOUT = true,
  BUSY = true }

describe("sessions in Lua (seed " .. SEED .. ")", function()
  local server, sessions, random

  before_each(function()
    server, random = scripted.start(), unit.random(SEED)
    sessions = {}
    for i, more in ipairs { {}, { requests_max = 3 }, { array = true, requests_max = 20 } } do
      more.contact_points, more.port, more.protocol_version = "127.0.0.1", server.port, 4
      more.discover = false
      more.reconnect_min_ms, more.log = 1, function() end
      sessions[i] = assert(cql.connect(more))
    end
  end)
  after_each(function()
    for _, session in ipairs(sessions) do assert(session:close()) end
    server.stop()
  end)

  local function one_in(n) return random(n) == 0 end

  -- A statement with an answer of its own, and what checks the answer.
  local function question()
    local id, row_count, page_count = random(1000000), random(9), 1 + random(3)
    if one_in(20) then row_count = 200 end
    local text = ("SELECT %d ROWS %d PAGES ?"):format(row_count, page_count)
    local function read(rows)
      local count, last = 0, one_in(4) and random(row_count) or -1
      for row in rows:each() do
        count = count + 1
        assert.equal(id, row.id or row[4])
        assert.equal(text, (row.name or row[3]):match "of (.*)")
        if count == last then return end
      end
      assert.equal(row_count * page_count, count)
    end
    local function check(rows, failure)
      local ok, why = true, failure
      if rows then ok, why = pcall(read, rows) end
      if rows and ok then return end
      assert(cql.is_error(why) and EXPECTED[why.name], why)
    end
    return text, { id }, { view = one_in(3), prefetch = one_in(2) }, check
  end

  local CALL = {}

  function CALL.execute(session)
    local text, values, options, check = question()
    check(session:execute(text, values, options))
  end

  function CALL.in_coroutine(session) coroutine.wrap(CALL.execute)(session) end

  function CALL.prepare(session)
    local text, values, options, check = question()
    local statement, failure = session:prepare(text, options)
    if not statement then return check(nil, failure) end
    check(session:execute(statement, values))
  end

  function CALL.submit(session)
    local text, values, options, check = question()
    local future = session:submit(text, values, options)
    if one_in(3) then future:cancel() end
    if not one_in(3) then check(future:wait()) end
  end

  function CALL.batch(session)
    local batch = session:batch()
    for _ = 0, random(5) do batch:add(("INSERT %d ?"):format(random(50)), { random(9) }) end
    local rows, failure = session:execute(batch)
    assert(rows or EXPECTED[failure.name], failure)
  end

  function CALL.mistake(session)
    local _, failure = session:execute("INSERT ?", { "no number" })
    assert(failure.name == "VALUE" or EXPECTED[failure.name], failure)
    local values = setmetatable({}, { __index = function() error "no value" end })
    pcall(session.execute, session, "INSERT ?", values)
  end

  function CALL.disturb(session)
    if one_in(3) then session:use("keyspace" .. random(3)) end
    if one_in(3) then session:execute "DIE" end
    cql.sleep(random(3))
  end

  local NAMES = { "execute", "in_coroutine", "prepare", "submit", "batch", "mistake", "disturb" }

  local function call() CALL[NAMES[1 + random(#NAMES)]](sessions[1 + random(#sessions)]) end

  local function everything()
    cql.run(function()
      local tasks = {}
      for i = 1, TASKS do
        tasks[i] = cql.spawn(function()
          for _ = 1, CALLS do call() end
        end)
      end
      assert(cql.wait_all(tasks))
    end)
    for _ = 1, 20 do call() end
    for _, session in ipairs(sessions) do
      assert(session:execute "INSERT")
      while session:metrics().taken > 0 do cql.sleep(5) end -- of futures that nobody waited for
      assert.equal(session.slots.count, session.slots.free_count)
      assert.equal(0, session.busy.count)
    end
  end

  it("answer each call once, with its own answer", everything)

  it("do so also while the collector never rests", function()
    local pause, step = collectgarbage("setpause", 1), collectgarbage("setstepmul", 400)
    local ok, why = pcall(everything)
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", step)
    assert(ok, why)
  end)
end)
