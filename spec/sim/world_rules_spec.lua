-- Rules: what nodes of a simulated world do instead of what they would.
local sim = require "cql.sim"

local function within(options, config, body)
  local world = sim.world(options)
  world:given(
    "CREATE KEYSPACE ks WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE ks.t (id int PRIMARY KEY, v text)",
    "INSERT INTO ks.t (id, v) VALUES (1, 'one')")
  world:run(function()
    local session = assert(world:connect(config))
    body(world, session)
    session:close()
  end)
end

local READ = "SELECT v FROM ks.t WHERE id = 1"

-- Errors of each kind, with what they must say about themselves on each version.
local ERRORS = {
  { "UNAVAILABLE", { required = 3, alive = 1 } },
  { "READ_TIMEOUT", { required = 2, received = 1, data_present = true } },
  { "WRITE_TIMEOUT", { required = 2, received = 1, write_type = "BATCH_LOG" } },
  { "READ_FAILURE", { required = 2, received = 1, failures = 1 }, 4 },
  { "WRITE_FAILURE", { required = 2, received = 1, failures = 1, write_type = "SIMPLE" }, 4 },
  { "FUNCTION_FAILURE", { error_keyspace = "ks", ["function"] = "f", arguments = "int,text" }, 4 },
  { "CAS_WRITE_UNKNOWN", { required = 2, received = 1 }, 5 },
  { "ALREADY_EXISTS", { error_keyspace = "ks", error_table = "t" } },
  { "OVERLOADED", {} }, { "IS_BOOTSTRAPPING", {} }, { "TRUNCATE_ERROR", {} },
  { "SYNTAX_ERROR", {} }, { "UNAUTHORIZED", {} }, { "INVALID", {} }, { "CONFIG_ERROR", {} },
  { "SERVER_ERROR", {} }, { "CDC_WRITE_FAILURE", {}, 4 },
}

describe("a rule", function()
  for _, version in ipairs { 3, 4, 5 } do
    it("answers any error, with its fields, on version " .. version, function()
      within({ protocol_max = version }, nil, function(world, session)
        for _, one in ipairs(ERRORS) do
          local name, fields, since = one[1], one[2], one[3] or 3
          local parts = { text = READ, error = name, message = "primed" }
          for key, value in pairs(fields) do parts[key] = value end
          local rule = world:rule(parts)
          local rows, err = session:execute(READ, nil, { consistency = "quorum" })
          assert.is_nil(rows)
          if version >= since then
            assert.equal(name, err.name)
            assert.is_truthy(err.message:find "primed", err.message)
          else
            assert.is_true(err.name ~= name) -- what old versions are told instead
          end
          rule:remove()
        end
      end)
    end)
  end

  it("answers a rate limit as Scylla does, under the number that the node gives to it", function()
    for _, code in ipairs { 61440, 4711 } do
      within({ product = "scylla", rate_limit_code = code }, nil, function(world, session)
        world:rule { text = READ, error = "RATE_LIMIT_ERROR", message = "primed" }
        local _, err = session:execute(READ)
        assert.same({ "RATE_LIMIT_ERROR", "read", false }, { err.name, err.operation,
          err.rejected_by_coordinator })
        world:rule { prefix = "INSERT", error = "RATE_LIMIT_ERROR",
          rejected_by_coordinator = true }
        _, err = session:execute "INSERT INTO ks.t (id, v) VALUES (2, 'two')"
        assert.same({ "RATE_LIMIT_ERROR", "write", true }, { err.name, err.operation,
          err.rejected_by_coordinator })
        world:rule { prefix = "DELETE", error = "RATE_LIMIT_ERROR", operation = "read" }
        _, err = session:execute "DELETE FROM ks.t WHERE id = 1"
        assert.equal("read", err.operation)
      end)
    end
    local without = { rate_limit_error = false }
    within({ product = "scylla" }, without, function(world, session)
      world:rule { text = READ, error = "RATE_LIMIT_ERROR" }
      local _, err = session:execute(READ)
      assert.same({ "CONFIG_ERROR" }, { err.name, err.operation })
    end)
  end)

  it("answers rows, by text, prefix or what is in it", function()
    within(nil, nil, function(world, session)
      world:rule { prefix = "SELECT nothing", columns = "id int, name text, tags set<text>",
        rows = { "1, 'one', {'b', 'a'}", "2, null, null" } }
      local rows = assert(session:execute "SELECT nothing FROM nowhere")
      assert.equal(2, #rows)
      assert.equal("one", rows[1].name)
      assert.equal(2, #rows[1].tags)
      assert.is_nil(rows[2].name)
      world:rule { contains = "anything", columns = "n bigint", rows = { "7" } }
      assert.equal(7, assert(session:execute "SELECT anything")[1].n)
      world:rule { text = "TOUCH", answer = "void" }
      assert.equal(0, #assert(session:execute "TOUCH;"))
    end)
  end)

  it("plays so often, after so many, and by chance", function()
    within(nil, nil, function(world, session)
      local rule = world:rule { text = READ, error = "OVERLOADED", after = 2, times = 3 }
      local failed = {}
      for i = 1, 8 do failed[i] = session:execute(READ, nil, { idempotent = false }) == nil end
      assert.same({ false, false, true, true, true, false, false, false }, failed)
      assert.equal(3, rule:played())
      local often = world:rule { text = READ, error = "OVERLOADED", chance = 0.5 }
      for _ = 1, 200 do session:execute(READ) end
      assert.is_true(often:played() > 60 and often:played() < 140, often:played())
    end)
  end)

  it("is for a node, an opcode, a consistency; negated; the first one plays", function()
    within({ nodes = 2 }, { contact_points = "127.0.0.1,127.0.0.2" }, function(world, session)
      world:rule { node = world:node(2), opcode = "QUERY", text = READ, error = "OVERLOADED" }
      world:rule { opcode = { "QUERY", "EXECUTE" }, ["not consistency"] = "one", text = READ,
        error = "INVALID" }
      local names = {}
      for _ = 1, 40 do
        local _, err = session:execute(READ, nil, { consistency = "two" })
        names[err.name] = true
      end
      assert.is_true(names.INVALID)
      assert.is_true(names.OVERLOADED)
      world:rule { first = true, text = READ, consistency = "one", columns = "v text",
        rows = { "'primed'" } }
      assert.equal("primed", assert(session:execute(READ, nil, { consistency = "one" }))[1].v)
    end)
  end)

  it("is for a session, one of its connections, a shard, a keyspace, a version", function()
    within({ product = "scylla", shards = 2 }, { keyspace = "ks" }, function(world, session)
      local other = assert(world:connect { protocol_version = 3 })
      local function plays(parts)
        parts.text, parts.error = READ, "OVERLOADED"
        local rule = world:rule(parts)
        local one = not session:execute(READ, nil, { idempotent = false })
        local two = not other:execute(READ, nil, { idempotent = false })
        assert.equal((one and 1 or 0) + (two and 1 or 0), rule:played())
        rule:remove()
        return one, two
      end
      local function asked_by(whom)
        local list = world:asked { place = world:place(whom), text = READ }
        return list[#list]
      end
      assert(session:execute(READ))
      assert(other:execute(READ))
      local mine, theirs = asked_by(session), asked_by(other)
      assert.same({ true, false }, { plays { place = world:place(session) } })
      assert.same({ false, true }, { plays { ["not place"] = world:place(session) } })
      local both_places = { world:place(session), world:place(other) }
      assert.same({ true, true }, { plays { place = both_places } })
      assert.same({ true, false }, { plays { keyspace = "ks" } })
      assert.same({ false, true }, { plays { version = 3 } })
      assert.same({ true, true }, { plays { shard = { 0, 1 } } })
      assert.same({ false, false }, { plays { shard = 7 } })
      assert.is_true(mine.connection ~= theirs.connection)
      assert.same({ false, false }, { plays { connection = 99 } })
      for _, case in ipairs { { mine, true }, { theirs, false } } do
        local rule = world:rule { text = READ, connection = case[1].connection, error = "INVALID" }
        local both = { session:execute(READ) == nil, other:execute(READ) == nil }
        if rule:played() > 0 then assert.same({ case[2], not case[2] }, both) end
        rule:remove()
      end
    end)
  end)

  it("says all that errors have: contentions, another consistency; and closes after a while",
    function()
      within({ protocol_max = 5 }, { reconnect_min_ms = 10 }, function(world, session)
        world:rule { text = READ, times = 1, error = "CAS_WRITE_UNKNOWN", received = 1,
          required = 2, error_consistency = "serial" }
        local _, err = session:execute(READ)
        assert.same({ "CAS_WRITE_UNKNOWN", "serial", 1, 2 },
          { err.name, err.consistency, err.received, err.required })
        world:rule { text = READ, times = 1, error = "WRITE_TIMEOUT", write_type = "CAS",
          contentions = 3 }
        _, err = session:execute(READ, nil, { idempotent = false })
        assert.same({ "WRITE_TIMEOUT", "CAS", 3 }, { err.name, err.write_type, err.contentions })
        world:rule { text = READ, times = 1, close = "close", close_delay = "400ms" }
        local count = #world:connections()
        assert.equal("one", assert(session:execute(READ))[1].v) -- the answer comes before
        assert.equal(count, #world:connections())
        local lost = session:metrics().connections_lost
        world.cql.sleep(300)
        assert.equal(lost, session:metrics().connections_lost)
        world.cql.sleep(300)
        assert.equal(lost + 1, session:metrics().connections_lost)
      end)
    end)

  it("answers pages, and the request for the next is one more that it may play for", function()
    within(nil, nil, function(world, session)
      world:rule { text = "SELECT pages", times = 2, columns = "n int", rows = { "1", "2" },
        paging_state = "more" }
      world:rule { text = "SELECT pages", columns = "n int", rows = { "3" } }
      local count = 0
      for row in assert(session:execute "SELECT pages"):each() do count = count + row.n end
      assert.equal(9, count)
    end)
  end)

  it("delays, stays silent, warns, sends payloads", function()
    within(nil, { request_timeout_ms = 500 }, function(world, session)
      local rule = world:rule { text = READ, delay = "100ms", warning = "slow" }
      local started = world:now()
      local rows = assert(session:execute(READ))
      assert.equal("one", rows[1].v)
      assert.is_true(world:now() - started >= 100)
      assert.same({ "slow" }, rows.execution.warnings)
      rule:remove()
      rule = world:rule { text = READ, answer = "nothing" }
      local _, err = session:execute(READ)
      assert.equal("TIMEOUT", err.name)
      rule:remove()
      assert(session:execute(READ))
    end)
  end)

  it("breaks answers and connections, and the session goes on", function()
    local breakages = {
      { corrupt = "crc32" }, { corrupt = "crc24" }, { bytes = "not CQL at all, not at all" },
      { close = "close", answer = "nothing" }, { close = "reset" },
      { keep = 5, close = "close" }, { bytes = "\255", close = "reset" },
    }
    for _, version in ipairs { 4, 5 } do
      within({ protocol_max = version }, { reconnect_min_ms = 10 }, function(world, session)
        for _, parts in ipairs(breakages) do
          parts.text, parts.times = READ, 1
          world:rule(parts)
          session:execute(READ, nil, { idempotent = false })
          world.cql.sleep(1000)
          local rows = assert(session:execute(READ))
          assert.equal("one", rows[1].v)
        end
      end)
    end
  end)

  it("answers twice, and on another stream: nobody gets another's rows", function()
    within(nil, { request_timeout_ms = 300 }, function(world, session)
      world:rule { text = READ, twice = true }
      for _ = 1, 10 do assert.equal("one", assert(session:execute(READ))[1].v) end
      local rule = world:rule { first = true, text = READ, stream = 999 }
      local rows, err = session:execute(READ)
      assert.is_nil(rows)
      assert.equal("TIMEOUT", err.name)
      rule:remove()
      assert.equal("one", assert(session:execute(READ))[1].v)
      assert.is_true(session:metrics().unknown_streams >= 11)
    end)
  end)

  it("that makes no sense is refused by name", function()
    local world = sim.world()
    assert.has_error(function() world:rule { colour = "red" } end, 'rules have no part "colour"')
    assert.has_error(function() world:rule { error = "NO_SUCH" } end)
    assert.has_error(function() world:rule { delay = "soon" } end)
    assert.has_error(function() world:set("service", "soon") end)
    assert.has_error(function() world:set("colour", "red") end)
  end)
end)
