-- What simulated nodes tell a client that has registered for events, and when. The client is made
-- by hand, on a real socket, so that nothing but the wire is trusted.
local bit = require "bit"
local ffi = require "ffi"
local sim = require "cql.sim"
local socket = require "spec.support.socket"

local C = ffi.load(os.getenv "CQL_SIM_LIBRARY" or "build/dev/libcql_sim.so")

local function u16(n) return string.char(bit.rshift(n, 8), n % 256) end
local function text(s) return u16(#s) .. s end
local function envelope(stream, opcode, body)
  return "\4\0" .. u16(stream) .. string.char(opcode) .. "\0\0" .. u16(#body) .. body
end

local HELLO = envelope(1, 0x01, u16(1) .. text "CQL_VERSION" .. text "3.0.0")
local REGISTER = envelope(2, 0x0B, u16(3) .. text "TOPOLOGY_CHANGE" .. text "STATUS_CHANGE"
  .. text "SCHEMA_CHANGE")

-- A body's strings, then an address, if it is of a node.
local function words(body)
  local out, at = {}, 1
  while at + 1 <= #body and (#out < 2 or out[1] == "SCHEMA_CHANGE") do
    local length = body:byte(at) * 256 + body:byte(at + 1)
    out[#out + 1] = body:sub(at + 2, at + 1 + length)
    at = at + 2 + length
  end
  if out[1] ~= "SCHEMA_CHANGE" then
    local a, b, c, d = body:byte(at + 1, at + 4)
    out[3] = ("%d.%d.%d.%d:%d"):format(a, b, c, d, body:byte(at + 7) * 256 + body:byte(at + 8))
    table.remove(out, 1)
  end
  return table.concat(out, " ")
end

local Listener = {}
Listener.__index = Listener

-- Takes what came in: events, each with the time of the world when it was read.
function Listener:read()
  self.bytes = self.bytes .. (self.socket:receive() or "")
  while #self.bytes >= 9 do
    local stream, opcode = self.bytes:byte(3), self.bytes:byte(5)
    local size = self.bytes:byte(8) * 256 + self.bytes:byte(9)
    if #self.bytes < 9 + size then break end
    if opcode == 0x02 then
      self.ready = self.ready + 1
    else
      assert.equal(255, stream) -- -1
      assert.equal(0x0C, opcode)
      self.events[#self.events + 1] = words(self.bytes:sub(10, 9 + size))
    end
    self.bytes = self.bytes:sub(10 + size)
  end
end

-- Serves the world until `done()`.
local function serve_until(world, listener, done)
  for _ = 1, 2000 do
    if done() then return end
    assert.equal(0, C.cql_sim_serve_step(world.handle, 5))
    listener:read()
  end
  error("it doesn't come: " .. table.concat(listener.events, ", "))
end

local world, listener
local GOSSIP, DETECTION = 40, 150

-- Runs `change`, then waits for these events, in this order, and for no others before them.
local function brings(change, ...)
  local wanted = { ... }
  listener.events = {}
  local started = world:now()
  change()
  serve_until(world, listener, function() return #listener.events >= #wanted end)
  assert.same(wanted, listener.events)
  return world:now() - started
end

before_each(function()
  world = sim.world { seed = 4, nodes = 0, gossip = GOSSIP .. "ms", detection = DETECTION .. "ms" }
  for i = 1, 3 do world:add { address = "127.0.78." .. i } end
  assert.equal(0, C.cql_sim_serve(world.handle))
  listener = setmetatable({ socket = assert(socket.connect("127.0.78.1", 9042)), bytes = "",
    ready = 0, events = {} }, Listener)
  listener.socket:send(HELLO .. REGISTER)
  serve_until(world, listener, function() return listener.ready == 2 end)
end)

after_each(function()
  listener.socket:close()
  C.cql_sim_serve_stop(world.handle)
end)

describe("a node tells its registered client that another", function()
  it("was killed, once that is detected, and is back", function()
    local node = world:node(2)
    local took = brings(function() node:kill() end, "DOWN 127.0.78.2:9042")
    assert.is_true(took >= DETECTION, took)
    brings(function() node:start() end, "UP 127.0.78.2:9042")
  end)

  it("vanished, or stands still, once that is detected", function()
    local node = world:node(2)
    assert.is_true(brings(function() node:vanish() end, "DOWN 127.0.78.2:9042") >= DETECTION)
    brings(function() node:start() end, "UP 127.0.78.2:9042")
    assert.is_true(brings(function() node:pause() end, "DOWN 127.0.78.2:9042") >= DETECTION)
    brings(function() node:resume() end, "UP 127.0.78.2:9042")
  end)

  it("stops: that is gossiped, not detected", function()
    world:set("detection", "1h")
    brings(function() world:node(2):stop() end, "DOWN 127.0.78.2:9042")
    brings(function() world:node(2):start() end, "UP 127.0.78.2:9042")
  end)

  it("restarts: down and up, however quick it was", function()
    world:set("detection", "1h")
    brings(function() world:node(2):restart() end, "DOWN 127.0.78.2:9042", "UP 127.0.78.2:9042")
    world:node(2):set("boot", "300ms")
    brings(function() world:node(2):restart() end, "DOWN 127.0.78.2:9042", "UP 127.0.78.2:9042")
  end)

  it("joins, and leaves", function()
    brings(function() world:add { address = "127.0.78.4" } end, "NEW_NODE 127.0.78.4:9042",
      "UP 127.0.78.4:9042")
    brings(function() world:node(4):decommission() end, "DOWN 127.0.78.4:9042",
      "REMOVED_NODE 127.0.78.4:9042")
  end)

  it("is back with another address", function()
    brings(function() world:node(2):move "127.0.78.5" end, "DOWN 127.0.78.2:9042")
    brings(function() world:node(2):start() end, "NEW_NODE 127.0.78.5:9042",
      "UP 127.0.78.5:9042")
  end)

  it("leaves from another address than it had: as soon as it is there, or unheard of", function()
    local node = world:node(2)
    brings(function() node:move "127.0.78.5" end, "DOWN 127.0.78.2:9042")
    brings(function()
      node:start()
      node:decommission() -- which takes longer than gossip
    end, "NEW_NODE 127.0.78.5:9042", "UP 127.0.78.5:9042", "DOWN 127.0.78.5:9042",
      "REMOVED_NODE 127.0.78.5:9042")
    local other = world:node(3)
    brings(function() other:move "127.0.78.6" end, "DOWN 127.0.78.3:9042")
    world:partition(world:node(1), other)
    other:start()
    other:decommission()
    brings(function() world:heal(world:node(1), other) end, "REMOVED_NODE 127.0.78.3:9042")
  end)

  it("came while the one that tells stood still", function()
    world:node(1):pause()
    world:add { address = "127.0.78.4" }
    world:node(2):stop()
    serve_until(world, listener, function() return world:now() >= 5 * GOSSIP end)
    brings(function() world:node(1):resume() end, "DOWN 127.0.78.2:9042",
      "NEW_NODE 127.0.78.4:9042", "UP 127.0.78.4:9042")
  end)

  it("can't be reached, and can again", function()
    world:partition(world:node(1), world:node(2))
    brings(function() end, "DOWN 127.0.78.2:9042")
    brings(function() world:heal(world:node(1), world:node(2)) end, "UP 127.0.78.2:9042")
  end)
end)

describe("a node tells its registered client", function()
  it("of changes of the schema: its own at once, another's when it agrees", function()
    local others = {}
    local function ask(number, statement)
      local one = assert(socket.connect("127.0.78." .. number, 9042))
      others[#others + 1] = one
      one:send(HELLO .. envelope(2, 0x07, "\0\0" .. text(statement) .. u16(1) .. "\0"))
    end
    world:set("agreement", "100ms")
    brings(function()
      ask(1, "CREATE KEYSPACE k WITH replication = "
        .. "{'class': 'SimpleStrategy', 'replication_factor': 1}")
    end, "SCHEMA_CHANGE CREATED KEYSPACE k")
    assert.is_true(brings(function() ask(2, "CREATE TABLE k.t (id int PRIMARY KEY)") end,
      "SCHEMA_CHANGE CREATED TABLE k t") >= 100)
    brings(function() ask(1, "ALTER TABLE k.t ADD v text") end, "SCHEMA_CHANGE UPDATED TABLE k t")
    brings(function() ask(1, "CREATE TYPE k.u (a int)") end, "SCHEMA_CHANGE CREATED TYPE k u")
    brings(function() ask(1, "DROP KEYSPACE k") end, "SCHEMA_CHANGE DROPPED KEYSPACE k")
    for _, one in ipairs(others) do one:close() end
  end)

  it("what the script has it tell, true or not", function()
    brings(function()
      assert.equal(1, world:node(1):tell("STATUS_CHANGE", "DOWN", world:node(3)))
    end, "DOWN 127.0.78.3:9042")
    assert.equal("up", world:node(3):state())
    assert.equal(0, world:node(2):tell("STATUS_CHANGE", "DOWN")) -- nobody listens there
  end)
end)
