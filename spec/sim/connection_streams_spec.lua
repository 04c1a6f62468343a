-- Stream ids: all of them, those that timed out, and what ends them.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C = unit.C
local REPLACED = "replaced: too many answers are overdue"

local function serve(options)
  options = options or {}
  options.heartbeat_ms = options.heartbeat_ms or 0
  local p = peer.new(options)
  p:serve()
  return p
end

-- Submits `count` requests tagged from `first`, and returns them as the server sees them.
local function ask(p, first, count, timeout_ms)
  local options = timeout_ms and { timeout_ms = timeout_ms }
  for tag = first, first + count - 1 do
    p:submit(tag, { query = "request " .. tag, options = options })
  end
  p:step()
  return p:requests()
end

local function statuses(p)
  local map = {}
  for _, done in ipairs(p:done()) do
    assert.is_nil(map[done.tag], "completed twice")
    map[done.tag] = done.status
  end
  return map
end

local function count_of(map, status)
  local count = 0
  for _, value in pairs(map) do
    if value == status then count = count + 1 end
  end
  return count
end

after_each(peer.free_all)

describe("stream ids", function()
  it("are 32,767; who finds none waits in line, and gets the first that is free", function()
    local p = serve { requests_max = 40000 }
    local seen, most = {}, 0
    local count = 0
    for tag = 1, 32770 do p:submit(tag, "request " .. tag) end
    p:step()
    for _, request in ipairs(p:requests()) do
      assert.is_nil(seen[request.stream])
      seen[request.stream] = true
      most = math.max(most, request.stream)
      count = count + 1
    end
    assert.same({ 32767, 32767, true }, { count, most, seen[1] })
    assert.is_nil(seen[0])
    assert.same({ 32767, 3 }, { p:metrics().in_flight, p:metrics().queued })
    p:answer(31000, "RESULT", server.VOID)
    p:answer(5, "RESULT", server.VOID)
    p:run(1)
    local list = p:requests()
    assert.equal(2, #list)
    assert.same({ 5, "request 32768" }, { list[1].stream, list[1].body:match "request %d+" })
    assert.same({ 31000, "request 32769" }, { list[2].stream, list[2].body:match "request %d+" })
    p:reset()
    p:step()
    local ended = statuses(p) -- every one, at both ends of every word of bits
    assert.equal(32767, count_of(ended, C.CQL_ECONNECTION))
    assert.equal(1, p:metrics().queued)
  end)

  it("are as few as streams_max says", function()
    local p = serve { streams_max = 2 }
    assert.equal(2, #ask(p, 1, 5))
    for stream = 1, 2 do p:answer(stream, "RESULT", server.VOID) end
    p:run(1)
    local list = p:requests()
    assert.same({ 1, 2 }, { list[1].stream, list[2].stream })
  end)

  it("leave the heartbeat its own, when none is free", function()
    local p = serve { streams_max = 1, heartbeat_ms = 3000 }
    ask(p, 1, 2)
    p:run(3000)
    local list = p:requests()
    assert.same({ 1, server.OPCODE.OPTIONS, 0 }, { #list, list[1].opcode, list[1].stream })
    p:answer(0, "SUPPORTED", server.supported {})
    p:run(2900)
    assert.same({}, p:requests())
    assert.is_false(p:is_closed(p.socket))
  end)
end)

describe("a stream id whose request timed out", function()
  it("is not used again before its answer came, which nobody gets", function()
    local p = serve()
    ask(p, 1, 3, 500)
    p:run(500)
    assert.same({ C.CQL_ETIMEOUT, C.CQL_ETIMEOUT, C.CQL_ETIMEOUT }, statuses(p))
    assert.equal(3, p:metrics().orphans)
    local list = ask(p, 4, 2)
    assert.same({ 4, 5 }, { list[1].stream, list[2].stream })
    p:answer(2, "RESULT", server.VOID)
    p:step()
    assert.same({}, p:done())
    assert.equal(2, p:metrics().orphans)
    assert.equal(2, ask(p, 6, 1)[1].stream)
    assert.equal(0, tonumber(p:metrics().unknown_streams))
    p:answer(2, "RESULT", server.VOID)
    p:answer(4, "RESULT", server.VOID)
    p:answer(5, "RESULT", server.VOID)
    p:step()
    assert.same({ [4] = 0, [5] = 0, [6] = 0 }, statuses(p))
  end)

  it("counts as load", function()
    local p = serve { streams_max = 2 }
    ask(p, 1, 2, 500)
    p:run(500)
    statuses(p)
    assert.equal(0, #ask(p, 3, 1))
    p:answer(1, "RESULT", server.VOID)
    p:run(1)
    assert.equal(1, #p:requests())
  end)

  it("was cancelled is no different", function()
    local p = serve()
    ask(p, 1, 2)
    assert.equal(1, C.cql__engine_cancel(p.session.engine, 1))
    assert.same({ C.CQL_ECANCELLED }, statuses(p))
    assert.equal(3, ask(p, 3, 1)[1].stream)
  end)
end)

describe("more than 1,024 answers that are overdue", function()
  local function overdue(p, count)
    local list = ask(p, 1, count, 500)
    assert.equal(count, #list)
    p:run(500)
    assert.equal(count, count_of(statuses(p), C.CQL_ETIMEOUT))
  end

  it("have the connection replaced: gently", function()
    local p = serve { request_timeout_ms = 10000 }
    local live = ask(p, 5001, 2)
    overdue(p, 1025)
    assert.equal(1, p:sockets())
    p:run(2000)
    assert.equal(2, p:sockets()) -- its successor opens at once
    assert.is_false(p:is_closed(0))
    p:submit(6001, "a new one")
    p:step()
    assert.same({}, p:requests(0)) -- nothing new for the old one
    p.handshake[server.OPCODE.QUERY] = function(_, request)
      return request.body:find "cluster_name" ~= nil
    end
    p:serve(1)
    assert.equal(1, p:metrics().connections)
    p:answer(live[1].stream, "RESULT", server.VOID, nil, 0)
    p:step()
    assert.is_false(p:is_closed(0)) -- one more is owed
    p:answer(live[2].stream, "RESULT", server.VOID, nil, 0)
    p:step()
    assert.is_true(p:is_closed(0))
    local closed = p:event(C.CQL_EVENT_CONNECTION_CLOSED)
    assert.same({ C.CQL_ECONNECTION, REPLACED }, { closed.status, closed.message })
    assert.same({ [5001] = 0, [5002] = 0 }, statuses(p))
    assert.same({ 0, 1 }, { p:metrics().orphans, p:metrics().in_flight })
    p:run(20000) -- and that is all
    assert.equal(2, p:sockets())
  end)

  it("are no reason if they come within the second", function()
    local p = serve()
    overdue(p, 1100)
    for stream = 1, 100 do p:answer(stream, "RESULT", server.VOID) end
    p:run(5000)
    assert.equal(1, p:sockets())
    assert.equal(1000, p:metrics().orphans)
  end)

  it("at the limit are borne", function()
    local p = serve()
    overdue(p, 1024)
    p:run(5000)
    assert.equal(1, p:sockets())
  end)

  it("are more than half of a small streams_max: else none would be left", function()
    local p = serve { streams_max = 8 }
    overdue(p, 4)
    p:run(5000)
    assert.equal(1, p:sockets())
    ask(p, 7, 1, 500)
    p:run(3000)
    assert.is_true(p:is_closed(0))
    assert.equal(2, p:sockets())
  end)

  it("close at once where nothing else is under way", function()
    local p = serve()
    overdue(p, 1025)
    p:run(2001)
    assert.is_true(p:is_closed(0))
    assert.equal(2, p:sockets())
  end)

  it("close without a successor where memory is short, and leave their place to others", function()
    local p = serve { request_timeout_ms = 60000 }
    local cluster = p.session.engine.cluster
    local node = cluster.nodes[0]
    ask(p, 5001, 1)
    C.cql__mem_fail(1, 1)
    C.cql__connection_retire(node.channels[0].connection, REPLACED)
    C.cql__mem_fail(0, 0)
    assert.same({ 0, 0 }, { node.serving_count, cluster.serving_count })
    for number = 1, 3 do
      assert.equal(0, C.cql__node_set_distance(node, C.CQL_DISTANCE_IGNORED))
      assert.equal(0, C.cql__node_set_distance(node, C.CQL_DISTANCE_LOCAL))
      p:serve(number)
      assert.same({ 1, 1 }, { node.serving_count, cluster.serving_count })
      ask(p, 5001 + number, 1)
    end
    assert.is_false(p:is_closed(0)) -- each still owes an answer
    assert.is_false(p:is_closed(1))
  end)

  it("close no earlier for requests that may take longer than others", function()
    local p = serve { request_timeout_ms = 1000 }
    local live = ask(p, 1, 1, 50000)
    C.cql__connection_retire(p.session.engine.cluster.nodes[0].channels[0].connection, REPLACED)
    p:run(40000)
    assert.is_false(p:is_closed(0))
    p:answer(live[1].stream, "RESULT", server.VOID, nil, 0)
    p:step()
    assert.is_true(p:is_closed(0))
    assert.same({ [1] = 0 }, statuses(p))
  end)

  it("close when the last request has timed out too", function()
    local p = serve { request_timeout_ms = 60000 }
    ask(p, 5001, 1, 4000)
    overdue(p, 1025)
    p:run(3000)
    assert.is_false(p:is_closed(0))
    p:run(600)
    assert.is_true(p:is_closed(0))
    assert.same({ [5001] = C.CQL_ETIMEOUT }, statuses(p))
  end)

  it("close when the last answer is too large", function()
    local p = serve { request_timeout_ms = 60000, frame_size_max = 4096 }
    local live = ask(p, 5001, 1)
    overdue(p, 1025)
    p:run(2000)
    p:serve(1)
    p:say(server.segment(server.envelope(5, live[1].stream, "RESULT", ("x"):rep(5000))), 0)
    p:step()
    assert.is_true(p:is_closed(0))
    assert.same({ [5001] = C.CQL_ETOOBIG }, statuses(p))
  end)

  it("are forgotten with their connection: the next one has its whole budget", function()
    local p = serve()
    overdue(p, 1000)
    p:run(3000)
    p:reset()
    p:run(150)
    p:serve(1)
    overdue(p, 1000)
    p:run(5000)
    assert.equal(2, p:sockets())
    assert.equal(1000, p:metrics().orphans)
  end)

  it("leave nothing behind, however often", function()
    local p = serve { request_timeout_ms = 60000 }
    for round = 1, 5 do
      local socket = p.socket
      ask(p, 5000, 1, 50000)
      overdue(p, 1025)
      p:run(2000)
      p:serve()
      if round % 2 == 0 then p:reset(socket) end
    end
    assert.equal(1, p:metrics().connections)
    assert.equal(6, p:sockets())
    local text = ffi.new "char[4096]"
    C.cql__session_dump(p.session, text, 4096)
    local retiring = 0
    for _ in ffi.string(text):gmatch "retiring" do retiring = retiring + 1 end
    assert(retiring <= 3, ffi.string(text)) -- those that serve, and perhaps one that has ended
  end)
end)
