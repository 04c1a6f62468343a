-- Coroutines in plain LuaJIT: who runs when, who yields, who blocks, where errors go. No session.
local plain = require "cql.wait.plain"
local error_of = require "cql.error"

describe("cql.run", function()
  it("gives what the function returned, and its arguments to it", function()
    local function add(a, b, c) return a + b, c end
    local sum, last = plain.run(add, 1, 2, nil)
    assert.equal(3, sum)
    assert.is_nil(last)
  end)

  it("ends when all that was spawned has ended", function()
    local ended = 0
    plain.run(function()
      for i = 1, 100 do
        plain.spawn(function()
          plain.sleep(i % 5)
          ended = ended + 1
        end)
      end
    end)
    assert.equal(100, ended)
  end)

  it("raises an error of its function, with the traceback of where it happened", function()
    local function culprit() error "broken" end
    local ok, message = pcall(plain.run, function()
      culprit()
      return 1
    end)
    assert.is_false(ok)
    assert.matches("broken", message)
    assert.matches("culprit", message)
  end)

  it("raises an error object as it is", function()
    local failure = error_of.driver("TEST", "on purpose")
    local ok, raised = pcall(plain.run, function() error(failure) end)
    assert.is_false(ok)
    assert.equal(failure, raised)
  end)

  it("is refused within itself", function()
    local ok, message = plain.run(function() return pcall(plain.run, function() end) end)
    assert.is_false(ok)
    assert.matches("cql.run is running already", message)
  end)

  it("says so when everyone waits and nothing can wake them", function()
    local task
    local ok, message = pcall(plain.run, function()
      task = plain.spawn(function() task:wait() end)
    end)
    assert.is_false(ok)
    assert.matches("nothing can wake them", message)
  end)
end)

describe("a coroutine of the scheduler", function()
  it("that yields by itself fails: nobody would resume it", function()
    local failure
    plain.run(function()
      local task = plain.spawn(function() coroutine.yield() end)
      failure = select(2, task:wait())
    end)
    assert.equal("TASK_FAILED", failure.name)
    assert.matches("coroutine.yield", failure.message, 1, true)
    assert.matches("plain_spec.lua", failure.message)
  end)

  it("may raise what can't be shown, and the others go on", function()
    local broken = setmetatable({}, { __tostring = function() error "broken" end })
    local report, reported = plain.report, nil
    plain.report = function(_, text) reported = text end
    plain.run(function() plain.spawn(function() error(broken) end) end)
    plain.report = report
    assert.matches("can't be shown", reported)
    assert.equal(1, plain.run(function() return 1 end))
  end)

  it("waits as before when a coroutine in it could not", function()
    local task
    local ok, message = pcall(plain.run, function()
      task = plain.spawn(function() task:wait() end)
      coroutine.wrap(function()
        local stuck, why = pcall(task.wait, task)
        assert(not stuck and why:find "nothing can wake them", why)
      end)()
      plain.sleep(1)
      error "it went on"
    end)
    assert.is_false(ok)
    assert.matches("it went on", message)
  end)
end)

describe("cql.sleep", function()
  it("wakes in the order of time, and those of one time in the order in which they slept",
    function()
      local order = {}
      plain.run(function()
        for i, ms in ipairs { 9, 3, 6, 3, 0 } do
          plain.spawn(function()
            plain.sleep(ms)
            order[#order + 1] = i
          end)
        end
      end)
      assert.same({ 5, 2, 4, 3, 1 }, order)
    end)

  it("sorts a thousand sleepers", function()
    -- They go to sleep one after the other: each between its own time and that of the next.
    local times, naps, order, random = {}, {}, {}, 1
    plain.run(function()
      for i = 1, 1000 do
        random = random * 1103515245 % 2147483648 + 12345
        naps[i] = random % 23
        plain.spawn(function()
          times[i] = plain.now()
          plain.sleep(naps[i])
          order[#order + 1] = i
        end)
      end
      plain.spawn(function() times[1001] = plain.now() end)
    end)
    assert.equal(1000, #order)
    for at = 2, 1000 do
      local one, other = order[at - 1], order[at]
      assert.is_true(times[one] + naps[one] <= times[other + 1] + naps[other])
    end
  end)

  it("blocks where nothing can yield: in the main chunk and in a foreign coroutine", function()
    local before = plain.now()
    plain.sleep(5)
    assert.is_true(plain.now() - before >= 5)
    before = plain.now()
    coroutine.wrap(function() plain.sleep(5) end)()
    assert.is_true(plain.now() - before >= 5)
  end)

  it("takes milliseconds and nothing else", function()
    for _, wrong in ipairs { "x", -1, {}, 0 / 0 } do
      local ok, message = pcall(plain.sleep, wrong)
      assert.is_false(ok)
      assert.matches("takes milliseconds", message)
    end
  end)
end)

describe("a task", function()
  it("gives what its function returned, nils too, as often as it is asked", function()
    local task = plain.spawn(function(...) return ... end, 1, nil, 3, nil)
    for _ = 1, 2 do
      assert.equal(4, select("#", task:wait()))
      local a, b, c, d = task:wait()
      assert.same({ 1, 3 }, { a, c })
      assert.is_nil(b)
      assert.is_nil(d)
    end
  end)

  it("is waited for by several, inside and outside of coroutines", function()
    local task = plain.spawn(function()
      plain.sleep(2)
      return "done"
    end)
    local got = {}
    for i = 1, 3 do plain.spawn(function() got[i] = task:wait() end) end
    assert.equal("done", task:wait())
    plain.run(function() end)
    assert.same({ "done", "done", "done" }, got)
  end)

  it("runs while a coroutine that isn't the scheduler's waits for it", function()
    local value = plain.run(function()
      local task = plain.spawn(function() return 7 end)
      return coroutine.wrap(function() return (task:wait()) end)()
    end)
    assert.equal(7, value)
  end)

  it("gives nil and the error if it failed, to whoever waits", function()
    local failure = error_of.driver("TEST", "on purpose")
    local with_object = plain.spawn(function() error(failure) end)
    local with_text = plain.spawn(function() error "broken" end)
    plain.run(function()
      local value, got = with_object:wait()
      assert.is_nil(value)
      assert.equal(failure, got)
      value, got = with_text:wait()
      assert.is_nil(value)
      assert.equal("TASK_FAILED", got.name)
      assert.matches("broken", got.message)
    end)
  end)

  it("whose error nobody waits for is reported, and the others go on", function()
    local report, reported, went_on = plain.report, nil, false
    plain.report = function(level, text) reported = level .. ": " .. text end
    plain.run(function()
      plain.spawn(function() error "unheard" end)
      plain.spawn(function() went_on = true end)
    end)
    plain.report = report
    assert.is_true(went_on)
    assert.matches("^error: .*unheard", reported)
  end)

  it("may be one of many: the queue grows", function()
    local sum = 0
    plain.run(function()
      for i = 1, 5000 do plain.spawn(function() sum = sum + i end) end
    end)
    assert.equal(5000 * 5001 / 2, sum)
  end)
end)

describe("a function that may not wait", function()
  it("is told so by the call that would", function()
    local ok, why = plain.answer("authenticate", function() plain.sleep(1) end)
    assert.is_false(ok)
    assert.matches("authenticate may not wait", why)
  end)

  it("comes back when it yields all the same", function()
    local ok, why = plain.answer("log", function() coroutine.yield(1) end)
    assert.is_false(ok)
    assert.equal("log may not yield", why)
  end)

  it("lets no other run: cql.run is refused", function()
    local ran
    plain.spawn(function() ran = true end)
    local ok, why = plain.answer("log", function() plain.run(function() end) end)
    assert.is_false(ok)
    assert.matches("log may not wait", why)
    assert.is_nil(ran)
    plain.run(function() end)
    assert.is_true(ran)
  end)

  it("gives its value, and its error to the caller", function()
    local ok, value = plain.answer("log", function(a) return a * 2 end, 21)
    assert.is_true(ok)
    assert.equal(42, value)
  end)
end)
