-- Where requests go, node and shard, is where the Python driver for ScyllaDB sends them: both look
-- at the same simulated cluster, served on sockets, and are asked about the same random keys. Of
-- tablets both know what they were told, before and after half of these have moved.
local ffi = require "ffi"
local drivers = require "spec.support.drivers"
local ring = require "spec.support.ring"
local sim = require "cql.sim"
local unit = require "spec.support.unit"

local KEYS = 10000
local LETTERS = { "a", "b", "k", "z", "0", "9", "_", "ó", "ü", "日", "€" }
local SHARDS = { 3, 4, 3, 1, 8, 7, 2, 5 } -- of each node
local TABLETS = 32
local NEAR = 6 -- so many nodes are in the local datacenter
local LOWEST, WIDTH = ffi.cast("int64_t", 0x8000000000000000ULL), 0x800000000000000LL
local MSB = { 12, 12, 0, 12, 5, 12, 12, 12 }

local function make_world()
  local world = sim.world { seed = 7, nodes = 0, product = "scylla" }
  for i = 1, 8 do
    world:add { address = "127.0.78." .. i, datacenter = i <= NEAR and "dc1" or "dc2",
      rack = "rack" .. i % 3, shards = SHARDS[i], msb = MSB[i] }
  end
  local network = "{'class': 'NetworkTopologyStrategy', 'dc1': 2, 'dc2': 1}"
  world:given(
    "CREATE KEYSPACE simple WITH replication = {'class': 'SimpleStrategy', "
      .. "'replication_factor': 3}",
    "CREATE TABLE simple.t (b text PRIMARY KEY, a int)",
    "CREATE KEYSPACE network WITH replication = " .. network .. " AND tablets = {'enabled': false}",
    "CREATE TABLE network.t (a int, b text, PRIMARY KEY ((a, b)))",
    "CREATE KEYSPACE tablets WITH replication = " .. network
      .. " AND tablets = {'enabled': true, 'initial': " .. TABLETS .. "}",
    -- statements name the columns in another order than the key has them
    "CREATE TABLE tablets.t (a int, b text, PRIMARY KEY ((b, a)))")
  return world
end

local function make_keys(path)
  local random, file, keys = unit.random(78), assert(io.open(path, "w")), {}
  for i = 1, KEYS do
    local text = {}
    for k = 1, 1 + random(40) do text[k] = LETTERS[1 + random(#LETTERS)] end
    keys[i] = { random(0x7fffffff), table.concat(text) }
    file:write(keys[i][1], " ", keys[i][2], "\n")
  end
  file:close()
  return keys
end

local function part(bytes) return unit.u16(#bytes) .. bytes .. "\0" end

local function token_of(keyspace, key)
  local int = unit.u32(key[1])
  local bytes = keyspace == "simple" and key[2]
    or keyspace == "network" and part(int) .. part(key[2]) or part(key[2]) .. part(int)
  return ffi.cast("int64_t", ring.token(ring.MURMUR3, bytes)[0].high + 0x8000000000000000ULL)
end

-- Every second of the tablets goes to nodes that have no replica of it.
local function move_tablets(world)
  for tablet = 1, TABLETS - 1, 2 do
    local token = LOWEST + tablet * WIDTH + WIDTH / 2
    local owners, new = {}, {}
    for _, replica in ipairs(world:replicas("tablets", token, "t")) do
      owners[replica.node] = true
    end
    for i, node in ipairs(world.nodes) do
      if not owners[node] and #new < 3 then
        new[#new + 1] = { node = node, shard = tablet % SHARDS[i] }
      end
    end
    world:move_tablet("tablets", "t", token, new)
  end
end

local function sorted(places)
  local list = {}
  for place in places:gmatch "[^,]+" do list[#list + 1] = place end
  table.sort(list)
  return table.concat(list, ",")
end

-- The choices that a program wrote, by "KEYSPACE LINE": "ADDRESS/SHARD,..." in the order of the
-- ring; those by tablets sorted, as theirs come in a random order. And the place that was asked.
local function read_choices(path)
  local choices, asked = {}, {}
  for line in io.lines(path) do
    local keyspace, number, places, place = line:match "^(%S+) (%d+) (%S*) ?(%S*)$"
    choices[keyspace .. " " .. number] = keyspace == "tablets" and sorted(places) or places
    asked[keyspace .. " " .. number] = place
  end
  return choices, asked
end

local function is_near(place) return tonumber(place:match "%.(%d)/") <= NEAR end

-- What the world itself says, sorted.
local function scripted(world, keyspace, token)
  local list = {}
  for i, replica in ipairs(world:replicas(keyspace, token, "t")) do
    list[i] = replica.node:address():gsub(":%d+$", "") .. "/" .. replica.shard
  end
  return sorted(table.concat(list, ","))
end

describe("the Python driver for ScyllaDB and this one", function()
  it(("send %d keys to the same nodes and shards, by ring and by tablets"):format(KEYS), function()
    local python, why = drivers.python "scylla-driver"
    if not python then return pending(why) end
    local world, keys_path, go_path = make_world(), os.tmpname(), os.tmpname()
    local theirs_path, ours_path = os.tmpname(), os.tmpname()
    local keys = make_keys(keys_path)
    os.remove(go_path)
    local arguments = ("127.0.78.1 %s %s"):format(keys_path, go_path)
    local command = ("sh -c '\"%s\" spec/support/choices.py %s %s & "
      .. "luajit spec/support/choices.lua %s %s & wait'"):format(python, arguments, theirs_path,
      arguments, ours_path)
    local learned = 0
    local said, text = drivers.serve(world, command, function(_, value)
      if value ~= "learned" then return end
      learned = learned + 1
      if learned == 2 then
        move_tablets(world)
        assert(io.open(go_path, "w")):close()
      end
    end)
    assert.equal("done", said.python, text)
    assert.equal("done", said.lua, text)
    local theirs = read_choices(theirs_path)
    local ours, asked = read_choices(ours_path)
    for _, path in ipairs { keys_path, go_path, theirs_path, ours_path } do os.remove(path) end
    local used = {}
    for line, key in ipairs(keys) do
      for _, keyspace in ipairs { "simple", "network", "tablets" } do
        local name = keyspace .. " " .. line
        local token = token_of(keyspace, key)
        assert(ours[name] == theirs[name], ("%s: theirs %s, ours %s"):format(name,
          tostring(theirs[name]), tostring(ours[name])))
        assert(scripted(world, keyspace, token) == sorted(ours[name]), name)
        local place = asked[name]
        assert(is_near(place) and ("," .. theirs[name] .. ","):find("," .. place .. ",", 1, true),
          ("%s: theirs %s, it went to %s"):format(name, theirs[name], place))
        used[place] = true
      end
    end
    local places = 0
    for _ in pairs(used) do places = places + 1 end
    assert.equal(26, places) -- each shard of each node that is near
  end)
end)
