-- Contact points, the connections to each, how they are opened again, and which one a request
-- takes.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C = unit.C

local function addresses(p)
  local list = {}
  for socket = 0, p:sockets() - 1 do list[#list + 1] = p:address(socket) end
  return list
end

local function failed(p)
  local event = p:event(C.CQL_EVENT_FAILED)
  return event and { event.status, event.message }
end

local function warnings(p)
  p:collect()
  local list = {}
  for _, event in ipairs(p.events) do
    if event.code == C.CQL_EVENT_WARNING then list[#list + 1] = event.message end
  end
  return list
end

-- The first so many sockets and look-ups fail at once.
local function exhausted(count)
  return function(p) C.cql__sim_exhaust(p.sim, count) end
end

local NO_ADDRESS = ffi.string(C.cql_error_text(C.CQL_ERESOLVE))

after_each(peer.free_all)

describe("contact points", function()
  it("are addresses with and without ports, each once", function()
    local p = peer.new { contact_points = " 10.0.0.1,10.0.0.2:9999 [::1]:7000\tfe80::1, 10.0.0.1 ",
      port = 9043 }
    assert.same({ "10.0.0.1:9043", "10.0.0.2:9999", "[::1]:7000", "[fe80::1]:9043" }, addresses(p))
    p:free()
    p = peer.new {}
    assert.same({ "127.0.0.1:9042" }, addresses(p))
  end)

  it("are names with all their addresses, each once", function()
    local p = peer.new { contact_points = "db.example,10.0.0.1 other.example:7000" }
    assert.same({ "db.example", "other.example" }, p:names())
    assert.same({ "10.0.0.1:9042" }, addresses(p))
    p:resolve(1, "10.0.0.9")
    p:resolve(0, "10.0.0.1 10.0.0.2 ::1")
    assert.same({ "10.0.0.1:9042", "10.0.0.9:7000", "10.0.0.2:9042", "[::1]:9042" }, addresses(p))
    for socket = 0, 3 do p:serve(socket) end
    assert.equal(4, p:metrics().connections)
  end)

  it("that make no sense are refused", function()
    for _, text in ipairs { "host:", "host:0", "host:65536", "host:x", ("n"):rep(256), ",", " " } do
      local p, status = peer.new { contact_points = text }
      assert.is_nil(p)
      assert.equal(C.CQL_EOPTION, status)
    end
  end)

  it("have as many connections as configured", function()
    local p = peer.new { contact_points = "10.0.0.1 10.0.0.2", connections_per_node = 3 }
    assert.equal(2, p:sockets()) -- the first one tells how many a node wants
    for socket = 0, 1 do p:serve(socket) end
    assert.equal(6, p:sockets())
    for socket = 2, 5 do p:serve(socket) end
    assert.equal(6, p:metrics().connections)
  end)

  it("need not all answer", function()
    local p = peer.new { contact_points = "10.0.0.1 10.0.0.2 10.0.0.3" }
    p:refuse(0)
    p:serve(2)
    assert(p:event(C.CQL_EVENT_READY))
    assert.equal("10.0.0.3:9042", p:event(C.CQL_EVENT_READY).address)
    p:submit(1, "SELECT 1")
    p:step()
    assert.equal(1, #p:requests(2))
  end)
end)

describe("a name", function()
  it("without an address is named, and the others serve", function()
    local p = peer.new { contact_points = "no.example, 10.0.0.1", heartbeat_ms = 0 }
    p:resolve(0, "")
    assert.same({ "contact point no.example: " .. NO_ADDRESS }, warnings(p))
    p:serve(0)
    assert(p:event(C.CQL_EVENT_READY))
    p:run(60000) -- as long as something serves, nobody asks again
    assert.equal(1, #p:names())
  end)

  it("without an address is asked again, until it has one", function()
    local p = peer.new { contact_points = "no.example" }
    p:resolve(0, "")
    assert.is_nil(failed(p))
    p:run(4999)
    assert.equal(1, #p:names())
    p:run(1)
    assert.same({ "no.example", "no.example" }, p:names())
    p:resolve(1, "")
    p:run(5000)
    p:resolve(2, "10.0.0.1")
    p:serve(0)
    assert(p:event(C.CQL_EVENT_READY))
  end)

  it("that is not answered is given up in time, and its late answer is of no use", function()
    local p = peer.new { contact_points = "slow.example", resolve_timeout_ms = 2000 }
    p:run(1999)
    assert.same({}, warnings(p))
    p:run(1)
    assert.same({ "contact points were not resolved within resolve_timeout_ms" }, warnings(p))
    assert.equal(2, #p:names()) -- asked again at once
    p:resolve(0, "10.0.0.1")
    assert.equal(0, p:sockets())
    p:resolve(1, "10.0.0.2")
    assert.same({ "10.0.0.2:9042" }, addresses(p))
  end)

  it("is asked again when no connection is left: it may mean something else by now", function()
    local p = peer.new { contact_points = "db.example" }
    p:resolve(0, "10.0.0.1")
    p:serve(0)
    p:reset(0)
    p:step()
    p:run(999)
    assert.equal(1, #p:names())
    p:run(1)
    assert.equal(2, #p:names())
    p:resolve(1, "10.0.0.7")
    local newest = p:sockets() - 1
    assert.equal("10.0.0.7:9042", p:address(newest))
    p:serve(newest)
    assert.equal(1, p:metrics().connections)
  end)

  it("that could not even be asked for is asked for again", function()
    local p = peer.new({ contact_points = "db.example" }, 1, exhausted(1))
    assert.equal(0, #p:names())
    assert.equal(1, #warnings(p))
    p:run(5000)
    p:resolve(0, "10.0.0.1")
    p:serve(0)
    assert(p:event(C.CQL_EVENT_READY))
  end)
end)

describe("a session without connect_retry", function()
  local function new_peer(contact_points, more, before)
    local options = more or {}
    options.contact_points, options.connect_retry = contact_points, "false"
    return peer.new(options, 1, before)
  end

  it("fails when each contact point has failed", function()
    local p = new_peer "10.0.0.1 10.0.0.2"
    p:submit(5, "SELECT 1")
    p:refuse(1)
    p:step()
    assert.is_nil(failed(p))
    p:refuse(0)
    p:step()
    assert.same({ C.CQL_ECONNECT, "refused" }, failed(p))
    assert.same({ { tag = 5, kind = C.CQL_DONE, status = C.CQL_ECONNECT, code = 0 } }, p:done())
    p:run(60000)
    assert.equal(2, p:sockets())
    C.cql__session_close(p.session, 0)
    assert(p:event(C.CQL_EVENT_CLOSED))
  end)

  it("fails when a peer is silent", function()
    local p = new_peer "10.0.0.1"
    p:run(4999)
    assert.is_nil(failed(p))
    p:run(1)
    assert.equal(C.CQL_ECONNECT, failed(p)[1])
  end)

  it("fails when no name has an address", function()
    local p = new_peer "one.example two.example"
    p:resolve(0, "")
    assert.is_nil(failed(p))
    p:resolve(1, "")
    assert.same({ C.CQL_ERESOLVE, "no contact point has an address" }, failed(p))
    p:free()
    p = new_peer "one.example two.example"
    p:resolve(0, "")
    p:run(5000)
    assert.equal(C.CQL_ERESOLVE, failed(p)[1])
    p:free()
    p = new_peer("one.example", {}, exhausted(1))
    assert.equal(C.CQL_ERESOLVE, failed(p)[1])
  end)

  it("waits for names, and says what failed first", function()
    local p = new_peer "10.0.0.1 no.example"
    p:refuse(0)
    p:step()
    assert.is_nil(failed(p))
    p:resolve(0, "")
    assert.same({ C.CQL_ECONNECT, "refused" }, failed(p))
    p:free()
    p = new_peer "10.0.0.1 db.example"
    p:refuse(0)
    p:step()
    p:resolve(0, "10.0.0.2")
    p:serve(1)
    assert(p:event(C.CQL_EVENT_READY))
    assert.is_nil(failed(p))
  end)

  it("waits for those that were not tried yet, and for each connection of a node", function()
    local p = new_peer("10.0.0.1 10.0.0.2", {}, exhausted(1))
    assert.same({ "10.0.0.2:9042" }, addresses(p))
    p:serve(0)
    assert(p:event(C.CQL_EVENT_READY))
    p:free()
    p = new_peer("db.example", {})
    C.cql__sim_exhaust(p.sim, 1)
    p:resolve(0, "10.0.0.1 10.0.0.2")
    p:serve(0)
    assert(p:event(C.CQL_EVENT_READY))
    p:free()
    p = new_peer("10.0.0.1", { connections_per_node = 2, shard_aware = "false" })
    p:refuse(0)
    p:step()
    assert.is_nil(failed(p))
    p:serve(1)
    assert(p:event(C.CQL_EVENT_READY))
  end)

  it("goes on for ever once it was ready", function()
    local p = new_peer("10.0.0.1", { heartbeat_ms = 0 })
    p:serve(0)
    p:reset(0)
    p:step()
    for socket = 1, 20 do
      repeat p:run(50) until p:sockets() > socket
      p:refuse(socket)
      p:step()
    end
    assert.is_nil(failed(p))
  end)
end)

describe("a session with connect_retry", function()
  it("fails only when every contact point refuses for good, and every name is known", function()
    local options = { contact_points = "10.0.0.1 db.example", protocol_version = 5 }
    local function new_peer()
      local p = peer.new(options)
      p.handshake[server.OPCODE.OPTIONS] = function()
        p:say(server.envelope(4, 0, "ERROR", server.error(10, "no")))
      end
      p:serve(0)
      assert.equal(C.CQL_EVERSION, p:event(C.CQL_EVENT_CONNECTION_FAILED).status)
      return p
    end
    local p = new_peer()
    assert.is_nil(failed(p))
    p:resolve(0, "10.0.0.2")
    assert.is_nil(failed(p))
    p:serve(1)
    assert.equal(C.CQL_EVERSION, failed(p)[1])
    p:free()
    p = new_peer()
    p:resolve(0, "") -- that is no refusal: it may come to be
    assert.is_nil(failed(p))
  end)
end)

describe("a connection is opened again", function()
  -- When each socket was opened, all of them refused at once, in ms since the one before.
  local function delays(options, count)
    options.contact_points = "10.0.0.1"
    local p = peer.new(options, options.seed)
    local list, last = {}, p:now()
    p:refuse(0)
    p:step()
    while #list < count do
      local known = p:sockets()
      p:run(math.max(p:timeout(), 1))
      if p:sockets() > known then
        list[#list + 1], last = p:now() - last, p:now()
        p:refuse()
        p:step()
      end
    end
    p:free()
    return list
  end

  it("after a delay that doubles up to a limit, 15 % more or less, for ever", function()
    local list = delays({}, 60)
    for i, delay in ipairs(list) do
      local base = math.min(100 * 2 ^ (i - 1), 30000)
      assert(delay >= math.floor(base * 0.85) and delay <= base * 1.15 + 1,
        ("%d: %d"):format(i, delay))
    end
    list = delays({ reconnect_min_ms = 1, reconnect_max_ms = 3 }, 100)
    for _, delay in ipairs(list) do assert(delay <= 4) end
    list = delays({ reconnect_min_ms = 500, reconnect_max_ms = 50 }, 10) -- the limit rules
    for _, delay in ipairs(list) do assert(delay <= 58) end
  end)

  it("not with others at the same moment", function()
    local seen, distinct = {}, 0
    for seed = 1, 40 do
      local p = peer.new({}, seed)
      p:refuse()
      p:step()
      local began = p:now()
      repeat p:run(1) until p:sockets() == 2
      local delay = p:now() - began
      if not seen[delay] then distinct = distinct + 1 end
      seen[delay] = true
      p:free()
    end
    assert(distinct > 10, distinct)
  end)

  it("with small delays again, once it has served", function()
    local p = peer.new { heartbeat_ms = 0 }
    for _ = 1, 8 do
      p:refuse()
      local known = p:sockets()
      repeat p:run(50) until p:sockets() > known
    end
    p:serve()
    p:reset()
    p:step()
    local known = p:sockets()
    p:run(117)
    assert.equal(known + 1, p:sockets())
  end)

  it("also if not even a socket could be made", function()
    local p = peer.new({}, 1, exhausted(3))
    assert.same({ C.CQL_EIO, "the socket could not be opened" },
      { p:event(C.CQL_EVENT_CONNECTION_FAILED).status,
        p:event(C.CQL_EVENT_CONNECTION_FAILED).message })
    p:run(1000)
    assert.equal(1, p:sockets())
    p:serve()
    assert(p:event(C.CQL_EVENT_READY))
    assert.equal(3, tonumber(p:metrics().connections_failed))
  end)

  it("with no more than 32 handshakes under way", function()
    local p = peer.new { contact_points = "10.0.0.1 10.0.0.2", connections_per_node = 40,
      shard_aware = "false" }
    p:run(100)
    assert.equal(32, p:sockets())
    p:serve(0)
    p:run(25)
    assert.equal(33, p:sockets())
    p:refuse(1)
    p:step()
    p:run(25)
    assert.equal(34, p:sockets())
    local socket = 2
    while p:metrics().connections < 80 do
      if socket < p:sockets() then
        p:serve(socket)
        socket = socket + 1
      else
        p:run(25)
      end
      local opening = p:sockets() - 1 - p:metrics().connections
      assert(opening <= 32, opening)
    end
  end)

  it("and what was lost is told", function()
    local p = peer.new { contact_points = "10.0.0.1 10.0.0.2" }
    p:serve(0)
    p:serve(1)
    p:reset(0)
    p:step()
    local closed = p:event(C.CQL_EVENT_CONNECTION_CLOSED)
    assert.same({ "10.0.0.1:9042", C.CQL_ECONNECTION, "the peer reset the connection" },
      { closed.address, closed.status, closed.message })
    local metrics = p:metrics()
    assert.same({ 1, 2, 1 }, { metrics.connections, tonumber(metrics.connections_opened),
      tonumber(metrics.connections_lost) })
  end)
end)

describe("requests", function()
  local function serve(count, options)
    options = options or {}
    local list = {}
    for i = 1, count do list[i] = "10.0.0." .. i end
    options.contact_points = table.concat(list, " ")
    local p = peer.new(options)
    for socket = 0, count - 1 do p:serve(socket) end
    return p
  end

  it("of one turn go to one connection, until 16 KiB have gathered there", function()
    local p = serve(4)
    local used = {}
    for turn = 1, 40 do
      for tag = 1, 20 do p:submit(tag, "SELECT " .. tag) end
      p:step()
      local with = 0
      for socket = 0, 3 do
        local list = p:requests(socket)
        if #list > 0 then
          with = with + 1
          used[socket] = true
          assert.equal(20, #list)
          for _, request in ipairs(list) do
            p:answer(request.stream, "RESULT", server.VOID, nil, socket)
          end
        end
      end
      assert.equal(1, with, turn)
      p:step()
      assert.equal(20, #p:done())
    end
    for socket = 0, 3 do assert(used[socket], socket) end
    for tag = 1, 100 do p:submit(tag, ("x"):rep(1000)) end
    p:step()
    local batches = 0
    for socket = 0, 3 do batches = batches + (#p:requests(socket) > 0 and 1 or 0) end
    assert(batches > 1)
  end)

  it("go where fewer are under way, orphans included", function()
    local p = serve(2)
    p:submit(1, "slow")
    p:step()
    local busy = #p:requests(0) > 0 and 0 or 1
    for turn = 1, 20 do
      p:submit(2, "quick")
      p:step()
      local list = p:requests(1 - busy)
      assert.equal(1, #list, turn)
      p:answer(list[1].stream, "RESULT", server.VOID, nil, 1 - busy)
      p:step()
      p:done()
    end
  end)

  it("go to slow ones last, however few they have under way", function()
    local p = serve(3, { heartbeat_ms = 0 })
    local list, tag = {}, 0
    local function spread(least) -- requests, until each connection has so many
      repeat
        tag = tag + 1
        p:submit(tag)
        p:step()
        for socket = 0, 2 do
          list[socket] = list[socket] or {}
          for _, request in ipairs(p:requests(socket)) do
            table.insert(list[socket], request.stream)
          end
        end
      until math.min(#list[0], #list[1], #list[2]) >= least
    end
    local function answer(socket)
      p:answer(table.remove(list[socket]), "RESULT", server.VOID, nil, socket)
      p:advance(50)
    end
    spread(20)
    for _ = 1, 8 do answer(2) end -- nothing comes from the others
    local first, second = #list[0], #list[1]
    for _ = 1, 40 do
      answer(2)
      spread(0)
    end
    assert.same({ first, second }, { #list[0], #list[1] })
    for _ = 1, 10 do -- the first has recovered
      answer(2)
      answer(0)
    end
    local recovered = #list[0]
    for _ = 1, 5 do spread(0) end
    assert.is_true(#list[0] > recovered)
    assert.equal(second, #list[1])
  end)

  it("find the one connection that has room", function()
    local p = serve(8, { streams_max = 1 })
    for tag = 1, 9 do
      p:submit(tag, "SELECT " .. tag)
      p:step()
    end
    local with = 0
    for socket = 0, 7 do with = with + #p:requests(socket) end
    assert.same({ 8, 1 }, { with, p:metrics().queued })
  end)
end)
