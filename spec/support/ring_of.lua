-- Who has which token, as a server itself says: a judge of what the driver computes.
--
--   local ring = ring_of(server, "shop")
--   ring:replicas(token)   --> { "127.0.0.2", "127.0.0.1" }, in ring order
local Ring = {}
Ring.__index = Ring

local function number(text) return assert(loadstring("return " .. text .. "LL"))() end

-- "a, b" of nodetool describering as { "a", "b" }.
local function list(text)
  local out = {}
  for word in text:gmatch "[^, ]+" do out[#out + 1] = word end
  return out
end

local function ring_of(server, keyspace)
  local text = server:nodetool { "describering", keyspace }
  local ranges = {}
  for first, last, endpoints in
    text:gmatch "TokenRange%(start_token:(%S+), end_token:(%S+), endpoints:%[([^%]]*)%]" do
    ranges[#ranges + 1] = { first = number(first), last = number(last), replicas = list(endpoints) }
  end
  assert(#ranges > 0, text)
  return setmetatable({ ranges = ranges }, Ring)
end

-- A range is (first, last]; one of them goes over the end of the ring.
function Ring:replicas(token)
  for _, range in ipairs(self.ranges) do
    local after, before = token > range.first, token <= range.last
    if range.first >= range.last and (after or before) or (after and before) then
      return range.replicas
    end
  end
  error("no range for " .. tostring(token))
end

return ring_of
