-- Types and values at random: what is written is read again, and written again it is the same.
local metadata = require "spec.support.metadata"
local unit = require "spec.support.unit"
local types = require "cql.types"

local encode, decode, unhex = metadata.encode, metadata.decode, unit.unhex

local SEED, ROUNDS, DEPTH_MAX = 20240229, 240, 4

local function bytes_of(random, max)
  local out = {}
  for i = 1, random(max + 1) do out[i] = string.char(random(256)) end
  return table.concat(out)
end

-- Numbers near the edges, and others.
local function whole(random, bits)
  local edge = 2 ^ (bits - 1)
  local pick = random(5)
  if pick == 0 then return edge - 1 end
  if pick == 1 then return -edge end
  if pick == 2 then return 0 end
  return random(edge) - edge / 2
end

local function digits_of(random)
  local digits = { random(2) == 0 and "-" or "", random(9) + 1 }
  for i = 3, random(30) + 3 do digits[i] = random(10) end
  return table.concat(digits)
end

local SCALARS = {
  tinyint = function(random) return whole(random, 8) end,
  smallint = function(random) return whole(random, 16) end,
  int = function(random) return whole(random, 32) end,
  boolean = function(random) return random(2) == 0 end,
  text = function(random) return bytes_of(random, 300) end,
  blob = function(random) return bytes_of(random, 10) end,
  double = function(random) return (random(2 ^ 30) - 2 ^ 29) / 1024 end,
  float = function(random) return (random(2 ^ 20) - 2 ^ 19) / 16 end,
  timestamp = function(random) return whole(random, 32) * 1000 end,
  time = function(random) return random(2 ^ 30) * 80000 end,
  date = function(random) return ("%04d-%02d-%02d"):format(random(9999), random(12) + 1,
    random(28) + 1) end,
  inet = function(random) return ("10.%d.%d.1"):format(random(256), random(256)) end,
  uuid = function(random) return ("%08x-0000-4000-8000-%012x"):format(random(2 ^ 31),
    random(2 ^ 31)) end,
  bigint = function(random)
    local high = whole(random, 31)
    return random(2) == 0 and high * 1024 or (high + 0LL) * 0x7fffffffLL
  end,
  varint = function(random) return types.varint(digits_of(random)) end,
  decimal = function(random)
    return types.decimal(digits_of(random) .. "e" .. random(100) - 50)
  end,
  duration = function(random)
    local sign = random(2) * 2 - 1
    return types.duration { months = sign * random(1000), days = sign * random(1000),
      nanoseconds = sign * (random(2 ^ 30) + 0LL) * random(2 ^ 30) }
  end,
}
local NAMES = {}
for name in pairs(SCALARS) do NAMES[#NAMES + 1] = name end
table.sort(NAMES)
-- Those that a vector may have here, since their class names are known to the specs.
local IN_VECTORS = { "float", "double", "int", "bigint", "text", "smallint", "tinyint", "boolean" }

-- A type in words, and what makes values of it.
local function random_type(random, depth)
  local kind = depth >= DEPTH_MAX and 0 or random(8)
  if kind <= 2 then
    local name = NAMES[random(#NAMES) + 1]
    return name, SCALARS[name]
  end
  if kind == 3 then
    local name, dimension = IN_VECTORS[random(#IN_VECTORS) + 1], random(6) + 1
    return ("vector<%s, %d>"):format(name, dimension), function(r)
      local out = {}
      for i = 1, dimension do out[i] = SCALARS[name](r) end
      return out
    end
  end
  local inner, make = random_type(random, depth + 1)
  if kind <= 5 then
    return ("%s<%s>"):format("list", inner), function(r)
      local out = {}
      for i = 1, r(5) do out[i] = make(r) end
      return out
    end
  end
  if kind == 6 then
    return ("map<text, %s>"):format(inner), function(r)
      local out = {}
      for _ = 1, r(5) do out[bytes_of(r, 20)] = make(r) end
      return out
    end
  end
  local second, make_second = random_type(random, depth + 1)
  return ("tuple<%s, %s>"):format(inner, second), function(r)
    return { make(r), make_second(r), n = 2 }
  end
end

-- Deeply equal, where int64_t equal each other and the values of cql.types compare by ==.
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" or getmetatable(a) then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

describe("random values of random types", function()
  local function check(rounds)
    local random = unit.random(SEED)
    for round = 1, rounds do
      local name, make = random_type(random, 0)
      for _ = 1, 5 do
        local value = make(random)
        local hex, message = encode(name, value)
        assert(hex, message)
        local read, why = decode(name, unhex(hex))
        assert(same(value, read), ("round %d, %s: %s %s"):format(round, name, hex, tostring(why)))
        assert.equal(hex, encode(name, read))
      end
    end
  end

  it("come back as they were (seed " .. SEED .. ")", function() check(ROUNDS) end)

  it("come back as they were, interpreted", function()
    jit.off()
    check(ROUNDS / 4)
    jit.on()
  end)

  it("are a value or a message, however broken", function()
    local random = unit.random(SEED + 1)
    for round = 1, 100 do
      local name, make = random_type(random, 0)
      local bytes = unhex(encode(name, make(random)))
      if #bytes > 0 then
        unit.mutate(bytes, round, 30, function(broken)
          local value, message = decode(name, broken)
          assert(value == nil or message == nil)
        end)
      end
    end
  end)
end)
