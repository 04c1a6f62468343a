-- What a connection writes: whole requests in order, whatever their size and whatever the socket
-- takes; and how much it holds for a socket that takes nothing.
local ffi = require "ffi"
local peer = require "spec.support.peer"
local server = require "spec.support.server"
local unit = require "spec.support.unit"

local C = unit.C

local function serve(options)
  options = options or {}
  options.heartbeat_ms = options.heartbeat_ms or 0
  local p = peer.new(options)
  p:serve()
  return p
end

-- Text that LZ4 can make something of, and text that it can't; each by a seed.
local function plain_text(size, seed)
  return ("request %d of so many "):format(seed):rep(math.ceil(size / 20)):sub(1, size)
end

local function noise(size, seed)
  local out, random = ffi.new("uint8_t[?]", size), unit.random(seed)
  for i = 0, size - 1 do out[i] = 32 + random(224) end
  return ffi.string(out, size)
end

-- The text and the one value of a QUERY's body, and what is left of its parameters.
local function take_apart(request)
  local body = request.body
  local function get32(at)
    local a, b, c, d = body:byte(at, at + 3)
    return ((a * 256 + b) * 256 + c) * 256 + d
  end
  local size = get32(1)
  local text = body:sub(5, 4 + size)
  local at = 5 + size + 2 + (request.version >= 5 and 4 or 1) -- consistency, flags
  assert.equal("\0\1", body:sub(at, at + 1))
  local length = get32(at + 2)
  return text, body:sub(at + 6, at + 5 + length)
end

local SEGMENT = 131071
local SIZES = { 0, 1, 500, 8100, 8200, 16300, 16500, 65500, SEGMENT - 60, SEGMENT - 20, SEGMENT,
  SEGMENT + 1, 2 * SEGMENT, 600000 }
local ALL_NOISE = noise(600000, 9)

local function submit_all(p, wanted, submitted)
  local function submit(text, value)
    wanted[#wanted + 1] = { text, value }
    p:submit(#wanted, { query = text, values = { value } })
    submitted()
  end
  for _, size in ipairs(SIZES) do -- all of the writer's ways meet: copy, refer, slice, compress
    submit(plain_text(size, #wanted), "v")
    submit("text", plain_text(size, #wanted))
    submit(ALL_NOISE:sub(-size - 1), ALL_NOISE:sub(1, size / 2))
  end
end

after_each(peer.free_all)

describe("requests of every size arrive as they were made", function()
  for version = 3, 5 do
    for _, compression in ipairs { "none", "lz4" } do
      for _, how in ipairs { "gathered", "one by one", "bit by bit" } do
        it(("on v%d, %s, %s"):format(version, compression, how), function()
          local p = serve { protocol_version = version, compression = compression }
          local wanted, got = {}, {}
          local function take()
            for _, request in ipairs(p:requests()) do got[#got + 1] = request end
          end
          submit_all(p, wanted, function()
            if how == "one by one" then
              p:step()
              take()
            end
          end)
          p.room = how == "bit by bit" and 50000 or nil
          repeat
            p:step()
            take()
          until #got == #wanted or how ~= "bit by bit"
          assert.equal(#wanted, #got)
          for i, request in ipairs(got) do
            assert.equal(i, request.stream)
            local text, value = take_apart(request)
            assert(text == wanted[i][1] and value == wanted[i][2], i)
          end
          p:free()
        end)
      end
    end
  end
end)

describe("LZ4", function()
  for version = 3, 5 do
    it("shrinks what is large enough and can be, on v" .. version, function()
      local p = serve { protocol_version = version, compression = "lz4" }
      local function bytes_of(text)
        local before = tonumber(p:metrics().bytes_sent)
        p:submit(1, text)
        p:step()
        local list = p:requests()
        assert.equal(unit.u32(#text) .. text, list[1].body:sub(1, 4 + #text))
        return tonumber(p:metrics().bytes_sent) - before, list[1].flags
      end
      local size, flags = bytes_of(("a"):rep(400000))
      assert(size < 4000, size)
      assert.equal(version < 5 and 1 or 0, flags)
      size, flags = bytes_of(ALL_NOISE:sub(1, 400000))
      assert(size > 400000 and size < 400100, size)
      assert.equal(0, flags)
      size, flags = bytes_of(("a"):rep(450)) -- compression_min is 512
      assert(size > 450)
      assert.equal(0, flags)
      p:free()
    end)
  end
end)

describe("the requests of a turn", function()
  it("leave in one write, and on v5 in one segment", function()
    for version = 3, 5 do
      local p = serve { protocol_version = version }
      local before = tonumber(p:metrics().writes)
      for tag = 1, 100 do p:submit(tag, "SELECT " .. tag) end
      p:step()
      assert.equal(before + 1, tonumber(p:metrics().writes))
      local raw = p:sent()
      if version == 5 then
        local payload, own, rest = server.unsegment(raw)
        assert.same({ true, "" }, { own, rest })
        raw = payload
      end
      local count = 0
      for _ in raw:gmatch "SELECT %d+" do count = count + 1 end
      assert.equal(100, count)
      p:free()
    end
  end)

  it("leave earlier, where 64 KiB have gathered", function()
    local p = serve()
    for tag = 1, 30 do p:submit(tag, plain_text(3000, tag)) end
    assert.equal(22, #p:requests()) -- 22 of some 3,000 bytes are more than 65,536
    p:step()
    assert.equal(8, #p:requests())
  end)
end)

describe("a socket that takes nothing", function()
  local SIZE = 10000

  it("is given no more than a mebibyte to come; the rest waits in line", function()
    local p = serve { protocol_version = 4, requests_max = 1000 }
    C.cql__sim_room(p.sim, p.socket, 0)
    for tag = 1, 300 do p:submit(tag, plain_text(SIZE, tag)) end
    p:run(10)
    local metrics = p:metrics()
    assert.equal(300, metrics.in_flight + metrics.queued)
    assert(metrics.in_flight * SIZE > 1024 * 1024 - SIZE and
      metrics.in_flight * SIZE < 1024 * 1024 + SIZE, tonumber(metrics.in_flight))
    assert.equal(-1, p:event(C.CQL_EVENT_CONNECTION_CLOSED) and 1 or -1)
    -- there is room again: all go, in the order of their submission, without a word from outside
    local got = {}
    p.room = 100000
    C.cql__sim_room(p.sim, p.socket, 100000)
    p:run(100, function()
      for _, request in ipairs(p:requests()) do got[#got + 1] = request end
      C.cql__sim_room(p.sim, p.socket, 100000)
    end)
    assert.equal(300, #got)
    for i, request in ipairs(got) do assert(request.body:find(plain_text(40, i), 1, true), i) end
    assert.equal(0, p:metrics().queued)
  end)

  it("does not make its host spin", function()
    local p = serve()
    C.cql__sim_room(p.sim, p.socket, 0)
    p:submit(1, "SELECT 1")
    p:step()
    p:done()
    assert(p:timeout() > 1000)
    assert.equal(0, C.cql__sim_ready(p.sim))
  end)

  it("and then resets, ends them all, each once", function()
    local p = serve()
    C.cql__sim_room(p.sim, p.socket, 1000)
    for tag = 1, 300 do p:submit(tag, plain_text(SIZE, tag)) end
    p:step()
    local in_flight = p:metrics().in_flight
    p:reset()
    p:step()
    local done = p:done()
    assert.equal(in_flight, #done)
    local seen = {}
    for _, entry in ipairs(done) do
      assert.equal(C.CQL_ECONNECTION, entry.status)
      assert.is_nil(seen[entry.tag])
      seen[entry.tag] = true
    end
    assert.equal(300 - in_flight, p:metrics().queued)
  end)
end)

describe("what waits in line", function()
  it("is sent as soon as a connection serves, however much it is", function()
    local p = peer.new { requests_max = 1000, heartbeat_ms = 0 }
    for tag = 1, 400 do p:submit(tag, plain_text(10000, tag)) end
    p:run(1)
    assert.equal(400, p:metrics().queued)
    p:accept()
    local got = 0
    p.handshake[server.OPCODE.QUERY] = function(_, request)
      if request.body:find "cluster_name" then return true end
      got = got + 1
    end
    p:run(1, function() p:shake(0) end)
    assert.equal(400, got)
    assert.equal(0, p:metrics().queued)
  end)

  it("goes on after a flush between steps", function()
    local p = serve { requests_max = 1000 }
    C.cql__sim_room(p.sim, p.socket, 0)
    for tag = 1, 400 do p:submit(tag, plain_text(10000, tag)) end
    p:step()
    assert(p:metrics().queued > 0)
    C.cql__sim_room(p.sim, p.socket, -1)
    p:run(1)
    assert.equal(0, p:metrics().queued)
    assert.equal(400, #p:requests())
  end)
end)
