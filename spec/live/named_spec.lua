-- Sessions that are shared by name: one for all who ask for it, and what becomes of it at the end.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"

local NOBODY = { name = "nobody", contact_points = "127.0.0.1:1", connect_timeout_ms = 50 }

cassandra.describe("a session with a name", function(server)
  local function connect(more)
    local session, failure = cql.connect(server:options(more or { name = "shared" }))
    return session, failure
  end

  it("is one for all, also for those who connect at once", function()
    local sessions = {}
    cql.run(function()
      for i = 1, 10 do cql.spawn(function() sessions[i] = assert(connect()) end) end
    end)
    local first = sessions[1]
    for i = 1, 10 do assert.equal(first, sessions[i]) end
    assert.equal(first, connect())
    assert.not_equal(first, assert(connect { name = "another" }))
    assert(connect({ name = "another" }):close())
    assert(first:close())
  end)

  it("is another when it was closed", function()
    local first = assert(connect())
    assert(first:close())
    local second = assert(connect())
    assert.not_equal(first, second)
    assert(second:execute "SELECT key FROM system.local")
    assert(second:close())
  end)

  it("has one set of options", function()
    local session = assert(connect())
    local ok, why = pcall(connect, { name = "shared", page_size = 10 })
    assert.is_false(ok)
    assert.matches("named_spec.lua.-\"shared\" was connected with another page_size", why)
    assert(session:close())
    assert(connect({ name = "shared", page_size = 10 }):close())
  end)
end)

describe("a session with a name that nobody answers", function()
  it("goes on trying, and whoever asks next waits for it again", function()
    local nothing, failure = cql.connect(NOBODY)
    assert.is_nil(nothing)
    assert.equal("NO_HOST", failure.name)
    assert.matches("refused", failure.message)
    local again, still = cql.connect(NOBODY)
    assert.is_nil(again)
    assert.equal("NO_HOST", still.name)
  end)

  it("is forgotten when it has failed for good", function()
    local options = { name = "hopeless", contact_points = "127.0.0.1:1", connect_retry = false }
    for _ = 1, 2 do
      local nothing, failure = cql.connect(options)
      assert.is_nil(nothing)
      assert.equal("CONNECT", failure.name)
      options.page_size = 5 -- another session
    end
  end)
end)
