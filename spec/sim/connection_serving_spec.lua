-- A connection that serves: what it makes of whatever the peer sends.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C = unit.C
local BLOB = { { "v", 3 } }

local function serve(options)
  options = options or {}
  options.heartbeat_ms = options.heartbeat_ms or 0
  local p = peer.new(options)
  p:serve()
  assert(p:event(C.CQL_EVENT_READY))
  return p
end

-- Submits requests tagged 1 .. count and returns them as the server sees them.
local function ask(p, count)
  for tag = 1, count do p:submit(tag, "request " .. tag) end
  p:step()
  local list = p:requests()
  assert.equal(count, #list)
  return list
end

local function tag_of(request) return tonumber(request.body:match "request (%d+)") end

-- The one cell of a result of one row.
local function cell(result)
  local out = ffi.new "cql_cell_t[1]"
  C.cql_result_rewind(result)
  assert.equal(1, C.cql_result_cells(result, 1, out))
  return ffi.string(out[0].as.bytes, out[0].length)
end

local function statuses(p)
  local map = {}
  for _, done in ipairs(p:done()) do
    assert.is_nil(map[done.tag], "completed twice")
    map[done.tag] = done.status
    if done.result then C.cql_result_free(done.result) end
  end
  return map
end

-- What kind of wire: a name, the options, the most that a read brings.
local WIRES = {}
for version = 3, 5 do
  for _, compression in ipairs { "none", "lz4" } do
    local options = { protocol_version = version, compression = compression }
    WIRES[#WIRES + 1] = { ("v%d, %s"):format(version, compression), options }
  end
end

after_each(peer.free_all)

describe("answers", function()
  for _, wire in ipairs(WIRES) do
    for _, read_max in ipairs { 0, 1, 1000 } do
      it(("find their requests in any order: %s, %d bytes a read"):format(wire[1], read_max),
        function()
        local p = serve(wire[2])
        C.cql__sim_split(p.sim, p.socket, read_max)
        local list, random = ask(p, 150), unit.random(7)
        for i = #list, 2, -1 do
          local k = random(i) + 1
          list[i], list[k] = list[k], list[i]
        end
        for i, request in ipairs(list) do
          local body = server.rows(BLOB, { { "answer " .. tag_of(request) } })
          p:answer(request.stream, "RESULT", body,
            { compress = wire[2].compression == "lz4" and p:wire().version < 5 and i % 2 == 0 })
        end
        p:run(1)
        local done = p:done()
        assert.equal(150, #done)
        for _, entry in ipairs(done) do
          assert.equal(0, entry.status)
          assert.equal("answer " .. entry.tag, cell(entry.result))
          C.cql_result_free(entry.result)
        end
        p:free()
      end)
    end
  end

  it("of every size arrive whole, and stay as they were while they are kept", function()
    local sizes = { 0, 1, 1000, 1100, 32700, 32800, 65500, 65600, 131000, 131100, 600000, 5000000 }
    for _, wire in ipairs(WIRES) do
      local p = serve(wire[2])
      local kept, wanted = {}, {}
      for i, request in ipairs(ask(p, #sizes)) do
        wanted[i] = ("%08d"):format(i):rep(math.ceil(sizes[i] / 8)):sub(1, sizes[i])
        local envelope = server.envelope(p:wire().version, request.stream, "RESULT",
          server.rows(BLOB, { { wanted[i] } }), { compress = p:wire().lz4 and not p:wire().framed })
        local lz4, slice = p:wire().lz4, #envelope > 131071
        if not p:wire().framed then p:say(envelope) end
        for at = 1, p:wire().framed and #envelope or 0, 131071 do
          p:say(server.segment(envelope:sub(at, at + 131070),
            { lz4 = lz4, compress = lz4, slice = slice }))
        end
      end
      p:run(1)
      for _, done in ipairs(p:done()) do
        assert.equal(0, done.status)
        kept[done.tag] = done.result
      end
      for i in ipairs(sizes) do assert(wanted[i] == cell(kept[i]), sizes[i]) end
      for i in ipairs(sizes) do C.cql_result_free(kept[i]) end
      p:free()
    end
  end)

  it("may come before the request has left", function()
    local p = serve { protocol_version = 4 }
    C.cql__sim_room(p.sim, p.socket, 30)
    p:submit(1, "request 1 " .. ("x"):rep(100))
    p:step()
    p:answer(1, "RESULT", server.VOID)
    p:step()
    assert.same({ [1] = 0 }, statuses(p))
    p:submit(2, "request 2") -- on the same id, behind the rest of the first
    C.cql__sim_room(p.sim, p.socket, -1)
    p:run(1)
    local list = p:requests()
    assert.same({ 1, 2 }, { tag_of(list[1]), tag_of(list[2]) })
    assert.same({ 1, 1 }, { list[1].stream, list[2].stream })
    p:answer(1, "RESULT", server.VOID)
    p:step()
    assert.same({ [2] = 0 }, statuses(p))
  end)

  it("are heard though the peer has gone and something was to be written first", function()
    local p = serve()
    local list = ask(p, 3)
    p:answer(list[1].stream, "RESULT", server.VOID)
    p:answer(list[2].stream, "RESULT", server.VOID)
    p:reset()
    p:submit(4, "request 4")
    p:step()
    assert.same({ 0, 0, C.CQL_ECONNECTION, C.CQL_ECONNECTION }, statuses(p))
    p:run(150)
    p:serve()
    ask(p, 1)
    p:answer(0, "ERROR", server.error(10, "too many connections"))
    p:reset()
    p:submit(4, "request 4")
    p:step()
    assert.equal("the server says: too many connections",
      p:event(C.CQL_EVENT_CONNECTION_CLOSED).message)
  end)

  it("that nobody waits for are dropped and counted, and too many close", function()
    local p = serve()
    local list = ask(p, 1)
    p:answer(list[1].stream, "RESULT", server.VOID)
    p:answer(list[1].stream, "RESULT", server.VOID) -- a second one
    for stream = 2, 99 do p:answer(stream, "RESULT", server.VOID) end
    p:answer(-7, "RESULT", server.VOID)
    p:step()
    assert.same({ [1] = 0 }, statuses(p))
    assert.equal(100, tonumber(p:metrics().unknown_streams))
    assert.is_false(p:is_closed(p.socket))
    p:answer(0, "READY", "")
    p:step()
    local closed = p:event(C.CQL_EVENT_CONNECTION_CLOSED)
    assert.same({ C.CQL_EPROTOCOL, "too many answers that nobody asked for" },
      { closed.status, closed.message })
  end)

  it("are no answers if they are events, on whatever stream, however many", function()
    for _, wire in ipairs(WIRES) do
      local p = serve(wire[2])
      local list = ask(p, 1)
      local event = server.event("STATUS_CHANGE", "UP", unit.unhex "047f00000100002352")
      for _ = 1, 150 do
        p:answer(-1, "EVENT", event)
        p:answer(list[1].stream, "EVENT", event)
        p:answer(0, "EVENT", "\0")
      end
      p:step()
      assert.same({}, p:done())
      assert.equal(450, tonumber(p:metrics().unknown_streams))
      p:answer(list[1].stream, "RESULT", server.VOID)
      p:step()
      assert.same({ [1] = 0 }, statuses(p))
      p:free()
    end
  end)

  it("that can't be decoded fail their request alone", function()
    local p = serve()
    local list = ask(p, 3)
    p:answer(list[1].stream, "RESULT", unit.u32(2))
    p:answer(list[2].stream, "RESULT", "\0", { flags = 8 })
    p:answer(list[3].stream, "RESULT", server.VOID)
    p:step()
    assert.same({ C.CQL_EMALFORMED, C.CQL_EMALFORMED, 0 }, statuses(p))
    assert.is_false(p:is_closed(p.socket))
  end)
end)

-- What closes a connection that serves: bytes, and part of the reason.
local function flip(text, at)
  return text:sub(1, at - 1) .. string.char(255 - text:byte(at)) .. text:sub(at + 1)
end
local function envelope(p, ...) return server.envelope(p:wire().version, ...) end
local function framed(p, text, options)
  if not p:wire().framed then return text end
  options = options or {}
  options.lz4 = p:wire().lz4
  return server.segment(text, options)
end

local FATAL = {
  ["a request"] = { "no answer of the native protocol", function(p)
    return framed(p, string.char(p:wire().version) .. envelope(p, 1, "RESULT", server.VOID):sub(2))
  end },
  ["another version"] = { "another protocol version", function(p)
    return framed(p, server.envelope(7 - p:wire().version % 2, 1, "RESULT", server.VOID))
  end },
  ["another version, as an event"] = { "another protocol version", function(p)
    return framed(p, server.envelope(7 - p:wire().version % 2, -1, "EVENT", ""))
  end },
  ["an unknown opcode"] = { "an unknown opcode, 0x04", function(p)
    return framed(p, envelope(p, 1, 4, ""))
  end },
  ["the opcode of a request, on a stream below 0"] = { "an unknown opcode, 0x07", function(p)
    return framed(p, envelope(p, -1, "QUERY", ""))
  end },
  ["a negative length"] = { "longer than the protocol allows", function(p)
    return framed(p, envelope(p, 1, "RESULT", ""):sub(1, 5) .. unit.u32(-1))
  end },
  ["a length of more than 256 MiB"] = { "longer than the protocol allows", function(p)
    return framed(p, envelope(p, 1, "RESULT", ""):sub(1, 5) .. unit.u32(0x10000001))
  end },
  ["an error of the connection"] = { "the server says: unrecoverable CRC mismatch", function(p)
    return framed(p, envelope(p, 0, "ERROR", server.error(10, "unrecoverable CRC mismatch")))
  end },
}

local FATAL_V4 = {
  ["a compressed body without its length"] = { "without its length", function(p)
    return envelope(p, 1, "RESULT", "\0\0\0", { flags = 1 })
  end },
  ["a compressed body of an impossible length"] = { "an impossible length", function(p)
    return envelope(p, 1, "RESULT", unit.u32(100000) .. server.compress "x", { flags = 1 })
  end },
  ["a compressed body longer than the protocol allows"] = { "an impossible length", function(p)
    return envelope(p, 1, "RESULT", unit.u32(-1) .. server.compress "x", { flags = 1 })
  end },
  ["a compressed body that is none"] = { "does not decompress", function(p)
    return envelope(p, 1, "RESULT", unit.u32(100) .. ("\255"):rep(50), { flags = 1 })
  end },
  ["a compressed body that is longer than it says"] = { "does not decompress", function(p)
    return envelope(p, 1, "RESULT", unit.u32(99) .. server.compress(("x"):rep(100)), { flags = 1 })
  end },
}

local FATAL_V5 = {
  ["a wrong CRC24"] = { "a wrong CRC24", function(p)
    return flip(framed(p, envelope(p, 1, "RESULT", server.VOID)), 1)
  end },
  ["a wrong CRC32"] = { "a wrong CRC32", function(p)
    local segment = framed(p, envelope(p, 1, "RESULT", server.VOID))
    return flip(segment, #segment)
  end },
  ["a wrong payload"] = { "a wrong CRC32", function(p)
    local segment = framed(p, envelope(p, 1, "RESULT", server.VOID))
    return flip(segment, #segment - 6)
  end },
  ["half an envelope in a segment of its own"] = { "half an envelope", function(p)
    return framed(p, envelope(p, 1, "RESULT", server.VOID):sub(1, 11))
  end },
  ["half a header in a segment of its own"] = { "half an envelope", function(p)
    return framed(p, envelope(p, 1, "RESULT", server.VOID):sub(1, 5))
  end },
  ["slices that hold too much"] = { "more than their envelope", function(p)
    return framed(p, envelope(p, 1, "RESULT", server.VOID) .. "x", { slice = true })
  end },
  ["a segment of its own amid slices"] = { "amid an envelope's slices", function(p)
    local whole = envelope(p, 1, "RESULT", server.VOID)
    return framed(p, whole:sub(1, 11), { slice = true }) .. framed(p, whole)
  end },
}
local FATAL_V5_LZ4 = {
  ["a segment that does not decompress"] = { "does not decompress", function()
    local segment = server.segment(("x"):rep(100), { lz4 = true, compress = true })
    local payload = ("\255"):rep(#segment - 12)
    return segment:sub(1, 8) .. payload .. server.segment(payload):sub(-4)
  end },
  ["a segment of nothing that claims to be something"] = { "does not decompress", function()
    -- 0 bytes here, 12 there: the CRC24 is that of the client's own code, see src/frame
    local head = unit.unhex "0000180004"
    local crc = C.cql__crc24(head, 5)
    local tail = server.segment(""):sub(-4)
    return head .. string.char(crc % 256, math.floor(crc / 256) % 256, math.floor(crc / 65536))
      .. tail
  end },
}

local function fatal_on(wire, name, why, bytes)
  it(("%s, on %s"):format(name, wire[1]), function()
    local p = serve(wire[2])
    ask(p, 70)
    p:say(bytes(p))
    p:run(1)
    local closed = assert(p:event(C.CQL_EVENT_CONNECTION_CLOSED), "it stays")
    assert.equal(C.CQL_EPROTOCOL, closed.status)
    assert(closed.message:find(why, 1, true), closed.message)
    assert.same({}, p:open_sockets())
    local ended = statuses(p)
    for tag = 1, 70 do assert.equal(C.CQL_ECONNECTION, ended[tag]) end
    p:run(120)
    p:serve() -- all begins anew
    for i, request in ipairs(ask(p, 3)) do
      assert.equal(i, request.stream)
      p:answer(request.stream, "RESULT", server.VOID)
    end
    p:step()
    assert.same({ 0, 0, 0 }, statuses(p))
  end)
end

describe("a connection is closed, with the reason, by", function()
  for _, wire in ipairs(WIRES) do
    local v5, lz4 = wire[2].protocol_version == 5, wire[2].compression == "lz4"
    local lists = { FATAL }
    if v5 then lists[#lists + 1] = FATAL_V5 end
    if v5 and lz4 then lists[#lists + 1] = FATAL_V5_LZ4 end
    if not v5 and lz4 then lists[#lists + 1] = FATAL_V4 end
    for _, list in ipairs(lists) do
      for name, case in pairs(list) do fatal_on(wire, name, case[1], case[2]) end
    end
  end

  fatal_on(WIRES[3], "a compressed body where no compression was agreed", "no compression",
    function(p) return envelope(p, 1, "RESULT", server.VOID, { compress = true }) end)
end)

describe("a connection goes on after", function()
  it("segments of no length, and padding bits", function()
    for _, lz4 in ipairs { false, true } do
      local p = serve { compression = lz4 and "lz4" or "none" }
      local list = ask(p, 1)
      p:say(server.segment("", { lz4 = lz4 }))
      p:say(server.segment("", { lz4 = lz4, slice = true }))
      p:say(server.segment(envelope(p, list[1].stream, "RESULT", server.VOID),
        { lz4 = lz4, padding = true }))
      p:say(server.segment("", { lz4 = lz4 }))
      p:step()
      assert.same({ 0 }, statuses(p))
      p:free()
    end
  end)

  it("a flag of compression on v5, which means nothing there", function()
    local p = serve { compression = "lz4" }
    local list = ask(p, 1)
    p:answer(list[1].stream, "RESULT", server.VOID, { flags = 1 })
    p:step()
    assert.same({ 0 }, statuses(p))
  end)

  it("slices of one byte", function()
    local p = serve()
    local list = ask(p, 2)
    local whole = envelope(p, list[2].stream, "RESULT", server.VOID)
    for at = 1, #whole do p:say(server.segment(whole:sub(at, at), { slice = true })) end
    p:answer(list[1].stream, "RESULT", server.VOID)
    p:step()
    assert.same({ 0, 0 }, statuses(p))
  end)
end)

describe("an answer larger than frame_size_max", function()
  local function say_large(p, stream, opcode)
    local wire = p:wire()
    local whole = server.envelope(wire.version, stream, opcode, ("x"):rep(200000))
    if not wire.framed then return p:say(whole) end
    for at = 1, #whole, 131071 do
      p:say(server.segment(whole:sub(at, at + 131070), { lz4 = wire.lz4, slice = true }))
    end
  end

  for _, wire in ipairs(WIRES) do
    for _, read_max in ipairs { 0, 4000 } do
      it(("fails its request alone: %s, %d bytes a read"):format(wire[1], read_max), function()
        local options = { frame_size_max = 4096 }
        for name, value in pairs(wire[2]) do options[name] = value end
        local p = serve(options)
        C.cql__sim_split(p.sim, p.socket, read_max)
        local list = ask(p, 3)
        say_large(p, list[1].stream, "RESULT")
        say_large(p, -1, "EVENT")
        say_large(p, 99, "RESULT")
        p:answer(list[2].stream, "RESULT", server.VOID)
        -- two that share a segment on v5, and one that only becomes too large
        local small = envelope(p, list[3].stream, "RESULT", server.VOID)
        local middle = envelope(p, 100, "RESULT", ("y"):rep(5000))
        p:say(framed(p, middle .. small))
        p:run(1)
        assert.same({ C.CQL_ETOOBIG, 0, 0 }, statuses(p))
        assert.equal(3, tonumber(p:metrics().unknown_streams))
        assert.is_false(p:is_closed(p.socket))
        p:free()
      end)
    end
  end

  it("also fails it if it only unpacks to so much", function()
    for version = 3, 4 do
      local p = serve { protocol_version = version, compression = "lz4", frame_size_max = 4096 }
      local list = ask(p, 2)
      p:answer(list[1].stream, "RESULT", ("x"):rep(100000), { compress = true })
      p:answer(list[2].stream, "RESULT", server.VOID)
      p:step()
      assert.same({ C.CQL_ETOOBIG, 0 }, statuses(p))
      p:free()
    end
  end)

  it("closes if it is the connection's own", function()
    local p = serve { frame_size_max = 4096 }
    say_large(p, 0, "SUPPORTED")
    p:step()
    local closed = p:event(C.CQL_EVENT_CONNECTION_CLOSED)
    assert.same({ C.CQL_ETOOBIG, "a message larger than frame_size_max" },
      { closed.status, closed.message })
  end)
end)
