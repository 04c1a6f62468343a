-- Where this driver sends the requests for keys: choices.lua ADDRESS KEYS GO OUT, as
-- spec/support/choices.py says.
local cql = require "cql"

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

-- "ADDRESS/SHARD,..." of the replicas of a key, "-" for a shard that isn't told; "": none is known.
local function choice(statement, values)
  local places = {}
  for _, place in ipairs(session:plan(statement, values)) do
    if place.replica then
      places[#places + 1] = place.node.address:gsub(":%d+$", "") .. "/" .. (place.shard or "-")
    end
  end
  return table.concat(places, ",")
end

-- All nodes are up.
wait_until(function()
  for _, node in ipairs(session:nodes()) do
    if not node.up or node.distance == "ignored" then return false end
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
local out = assert(io.open(out_path, "w"))
for line, key in ipairs(keys) do
  out:write("simple ", line, " ", choice(simple, { key[2] }), "\n")
  out:write("network ", line, " ", choice(network, key), "\n")
  out:write("tablets ", line, " ", choice(tablets, key), "\n")
end
out:close()
print "lua: done"
io.stdout:flush()
assert(session:close())
