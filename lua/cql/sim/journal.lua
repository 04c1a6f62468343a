--- The journal of a simulated world: who was asked what.
local ffi = require "ffi"
local library = require "cql.sim.library"

local C, text_of = library.C, library.text_of

local OPCODES = {
  [0x01] = "STARTUP", [0x05] = "OPTIONS", [0x07] = "QUERY", [0x09] = "PREPARE",
  [0x0A] = "EXECUTE", [0x0B] = "REGISTER", [0x0D] = "BATCH", [0x0F] = "AUTH_RESPONSE",
}
local CONSISTENCIES = { [0] = "any", "one", "two", "three", "quorum", "all", "local_quorum",
  "each_quorum", "serial", "local_serial", "local_one" }
local VERDICTS = { "wrong_shard", "not_replica", "unknown_id", "bad_frame", "bad_stream",
  "not_ready" }

local asked_out = ffi.new "cql_sim_asked_t"

local function asked_of(world, a)
  local entry = {
    at = tonumber(a.at_us) / 1000, node = world.nodes[a.node + 1], shard = a.shard,
    opcode = OPCODES[a.opcode] or a.opcode, text = text_of(a.text), keyspace = text_of(a.keyspace),
    consistency = CONSISTENCIES[a.consistency], version = a.version, values = a.value_count,
    statements = a.statements, page_size = a.page_size >= 0 and a.page_size or nil,
    error = a.error >= 0 and a.error or nil, token = a.has_token ~= 0 and a.token or nil,
    connection = a.connection, stream = a.stream, place = a.place,
  }
  for i, name in ipairs(VERDICTS) do
    if bit.band(a.verdict, bit.lshift(1, i - 1)) ~= 0 then entry[name] = true end
  end
  return entry
end

---@class cql.sim.Journal
local Journal = {}
Journal.__index = Journal

--- An empty one. An entry is made once, when it is first asked for.
function Journal.new(world)
  return setmetatable({ world = world, entries = {}, first = 0, count = 0 }, Journal)
end

-- The library keeps the newest: what it has forgotten is forgotten here, too.
local function forget(journal)
  while journal.first < journal.count
    and C.cql_sim_asked(journal.world.handle, journal.first, asked_out) < 0 do
    journal.entries[journal.first] = nil
    journal.first = journal.first + 1
  end
end

local function catch_up(journal)
  local world = journal.world
  local count = tonumber(C.cql_sim_asked_count(world.handle))
  for i = journal.count, count - 1 do
    if C.cql_sim_asked(world.handle, i, asked_out) >= 0 then
      journal.entries[i] = asked_of(world, asked_out)
    end
  end
  journal.count = count
  forget(journal)
end

local function fits(entry, filter)
  for name, value in pairs(filter) do
    if entry[name] ~= value then return false end
  end
  return true
end

--- As World:asked().
function Journal:asked(filter)
  catch_up(self)
  local list = {}
  for i = self.first, self.count - 1 do
    local entry = self.entries[i]
    if not filter or fits(entry, filter) then list[#list + 1] = entry end
  end
  return list
end

return Journal
