-- The public functions where they are misused, and what a session answers in each of its ages.
local ffi = require "ffi"
local loopback = require "spec.support.loopback"
local server = require "spec.support.server"
require "spec.support.unit"

local C = loopback.C

local function take(session)
  local out = ffi.new "cql_request_t *[1]"
  return C.cql_request_take(session, out), out[0] ~= nil and out[0] or nil
end

describe("the library", function()
  it("says what it is", function()
    assert.equal(1, C.cql_abi_version())
    assert.matches("^%d+%.%d+%.%d+$", ffi.string(C.cql_version()))
  end)

  it("has a name and a sentence for each error, and none for others", function()
    for number = -27, -1 do
      assert.matches("^E%u+$", ffi.string(C.cql_error_name(number)))
      assert.is_true(#ffi.string(C.cql_error_text(number)) > 10)
    end
    for _, number in ipairs { 1, -1000, -2 ^ 31, 2 ^ 31 - 1 } do
      assert.equal("unknown", ffi.string(C.cql_error_name(number)))
    end
    assert.equal("READ_TIMEOUT", ffi.string(C.cql_server_error_name(0x1200)))
    assert.equal("UNKNOWN", ffi.string(C.cql_server_error_name(-1)))
  end)

  it("takes an allocator whole, and not while a session lives", function()
    local allocate = ffi.cast("void *(*)(size_t)", ffi.C.malloc)
    local reallocate = ffi.cast("void *(*)(void *, size_t)", ffi.C.realloc)
    local release = ffi.cast("void (*)(void *)", ffi.C.free)
    assert.equal(C.CQL_EINVAL, C.cql_set_allocator(allocate, nil, nil))
    assert.equal(C.CQL_EINVAL, C.cql_set_allocator(allocate, nil, release))
    assert.equal(0, C.cql_set_allocator(allocate, reallocate, release))
    local world = loopback.new()
    assert.equal(C.CQL_EINVAL, C.cql_set_allocator(nil, nil, nil))
    world:ready()
    assert.equal(0, world:ask())
    world:free()
    assert.equal(0, C.cql_set_allocator(nil, nil, nil))
  end)

  it("frees what is none", function()
    C.cql_session_free(nil)
    C.cql_config_free(nil)
    C.cql_result_free(nil)
    C.cql_request_discard(nil)
  end)
end)

describe("a session", function()
  it("that can't be made leaves nothing behind, and says why", function()
    for _, case in ipairs {
      { { contact_points = "localhost:0" }, C.CQL_EOPTION },
      { { contact_points = "localhost:99999" }, C.CQL_EOPTION },
      { { contact_points = ("x"):rep(300) }, C.CQL_EOPTION },
      { { contact_points = "," }, C.CQL_EOPTION },
      { { local_address = "nowhere" }, C.CQL_EOPTION },
      { { tls = true, tls_ca = "/nowhere" }, C.CQL_ETLS },
    } do
      local live = tonumber(C.cql__mem_live())
      local world, result = loopback.new(case[1])
      assert.is_nil(world, next(case[1]))
      assert.equal(case[2], result)
      assert.equal(live, tonumber(C.cql__mem_live()))
    end
  end)

  it("takes as many requests as it may, and one more when one is given back", function()
    local world = loopback.new { requests_max = 3 }
    local taken = {}
    for i = 1, 3 do
      local result, request = take(world.session)
      assert.equal(0, result)
      taken[i] = request
    end
    assert.equal(C.CQL_EBUSY, (take(world.session)))
    C.cql_request_discard(taken[2])
    local result, request = take(world.session)
    assert.equal(0, result)
    for _, r in ipairs { taken[1], request, taken[3] } do C.cql_request_discard(r) end
    assert.equal(0, world:metrics().taken)
    world:free()
  end)

  it("gives back nothing that was submitted", function()
    local world = loopback.new()
    world:ready()
    local _, request = take(world.session)
    assert.equal(0, C.cql_request_query(request, "SELECT", 6))
    C.cql_submit(request, 5)
    C.cql_request_discard(request)
    world:until_("it ends", function() return #world.done > 0 end)
    assert.same({ 5, 0 }, { world.done[1].tag, world.done[1].status })
    world:free()
  end)

  it("completes a request that says nothing, with an error, and not inside submit", function()
    local world = loopback.new()
    world:ready()
    local _, request = take(world.session)
    C.cql_submit(request, 6)
    assert.equal(0, #world.done)
    world:until_("it ends", function() return #world.done > 0 end)
    assert.same({ 6, C.CQL_EINVAL }, { world.done[1].tag, world.done[1].status })
    world:free()
  end)

  it("takes requests before it is ready", function()
    local world = loopback.new()
    for tag = 1, 10 do world:submit(tag, "SELECT") end
    world:until_("all end", function() return #world.done == 10 end)
    for _, entry in ipairs(world.done) do assert.equal(0, entry.status) end
    world:free()
  end)

  it("that closes lets what is under way end, and takes nothing new", function()
    local held = {}
    local world = loopback.new(nil, {
      serve = function(request) held[#held + 1] = request end,
    })
    world:ready()
    for tag = 1, 3 do world:submit(tag, "SELECT") end
    world:until_("the server has them", function() return #held == 3 end)
    assert.equal(0, C.cql_session_close(world.session, 5000))
    assert.equal(C.CQL_ECLOSED, (take(world.session)))
    assert.equal(C.CQL_ECLOSED, C.cql_session_use(world.session, "ks", 2, 9))
    for _, request in ipairs(held) do
      world.peers[1]:answer(request, "RESULT", server.VOID)
    end
    world:event(C.CQL_EVENT_CLOSED)
    assert.equal(3, #world.done)
    for _, entry in ipairs(world.done) do assert.equal(0, entry.status) end
    world:free()
  end)

  it("that closes at once ends what is under way with ECLOSED", function()
    local seen = 0
    local world = loopback.new(nil, { serve = function() seen = seen + 1 end })
    world:ready()
    for tag = 1, 3 do world:submit(tag, "SELECT") end
    world:until_("the server has them", function() return seen == 3 end)
    world:submit(4, "SELECT")
    assert.equal(0, C.cql_session_close(world.session, 0))
    world:event(C.CQL_EVENT_CLOSED)
    assert.equal(4, #world.done)
    for _, entry in ipairs(world.done) do assert.equal(C.CQL_ECLOSED, entry.status) end
    world:free()
  end)

  it("can be freed at any age without a leak", function()
    loopback.new():free()
    local live = tonumber(C.cql__mem_live())
    local ages = {
      function() end,
      function(world) world:turn() end,
      function(world) world:submit(1, "SELECT") end,
      function(world) world:ready() end,
      function(world)
        world:ready()
        for tag = 1, 100 do world:submit(tag, ("x"):rep(tag * 1000)) end
        world:turn_server()
      end,
      function(world)
        world:ready()
        take(world.session)
      end,
      function(world)
        world:submit(1, "SELECT")
        C.cql_session_close(world.session, 1000)
      end,
      function(world)
        world:ready()
        C.cql_session_close(world.session, 0)
      end,
    }
    for i, age in ipairs(ages) do
      local world = loopback.new()
      age(world)
      world:free()
      assert.equal(live, tonumber(C.cql__mem_live()), "age " .. i)
    end
  end)
end)
