-- Where this driver sends the requests for keys: choices.lua ADDRESS KEYS GO OUT, as
-- spec/support/choices.py says; and behind the places of the plan the one that it went to:
-- "KEYSPACE LINE ADDRESS/SHARD,... ADDRESS/SHARD".
local cql = require "cql"

local AT_ONCE = 200

local address, keys_path, go_path, out_path = unpack(arg)
local session = assert(cql.connect { contact_points = address, local_datacenter = "dc1",
  datacenter_failover = true, consistency = "one" })
local simple = assert(session:prepare "SELECT a FROM simple.t WHERE b = ?")
local network = assert(session:prepare "SELECT a FROM network.t WHERE a = ? AND b = ?")
local tablets = assert(session:prepare "SELECT a FROM tablets.t WHERE a = ? AND b = ?")

local keys = {}
for line in io.lines(keys_path) do
  local a, b = line:match "^(%S+) (%S+)$"
  keys[#keys + 1] = { tonumber(a), b }
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function wait_until(check)
  for _ = 1, 600 do
    if check() then return end
    cql.sleep(100)
  end
  error "it never came"
end

-- "ADDRESS/SHARD,..." of the replicas of a key; nodes of one shard show none. "": none is known.
local function choice(statement, values)
  local places = {}
  for _, place in ipairs(session:plan(statement, values)) do
    if place.replica then
      places[#places + 1] = place.node.address:gsub(":%d+$", "") .. "/" .. (place.shard or 0)
    end
  end
  return table.concat(places, ",")
end

-- Who answered each key, many at once.
local function answered(statement, values_of)
  local futures, places = {}, {}
  for from = 1, #keys, AT_ONCE do
    local last = math.min(from + AT_ONCE - 1, #keys)
    for i = from, last do futures[i] = session:submit(statement, values_of(keys[i])) end
    for i = from, last do
      local execution = assert(futures[i]:wait()).execution
      places[i] = execution.node:gsub(":%d+$", "") .. "/" .. (execution.shard or 0)
    end
  end
  return places
end

-- All shards are connected.
wait_until(function()
  for _, node in ipairs(session:nodes()) do
    if node.connections < node.shards or not node.up then return false end
  end
  return choice(simple, { "x" }) ~= ""
end)
for _, key in ipairs(keys) do
  for _ = 1, 100 do
    if choice(tablets, key) ~= "" then break end
    assert(session:execute(tablets, key))
  end
end
print "lua: learned"
io.stdout:flush()
wait_until(function() return exists(go_path) end)
for i = 1, 1000 do assert(session:execute(tablets, keys[i])) end
local CASES = {
  simple = { simple, function(key) return { key[2] } end },
  network = { network, function(key) return key end },
  tablets = { tablets, function(key) return key end },
}
local out = assert(io.open(out_path, "w"))
for keyspace, case in pairs(CASES) do
  local statement, values_of = case[1], case[2]
  local places = answered(statement, values_of)
  for line, key in ipairs(keys) do
    out:write(keyspace, " ", line, " ", choice(statement, values_of(key)), " ", places[line], "\n")
  end
end
out:close()
print "lua: done"
io.stdout:flush()
assert(session:close())
