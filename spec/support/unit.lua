-- What unit specs share: the test library, which exports every internal function, by FFI.
--
-- The library is $CQL_TEST_LIBRARY, or that of the preset dev. What its headers declare is in
-- internals.i beside it, which the build makes of them. busted loads each spec file with fresh
-- modules into one Lua state, while ffi and its declarations stay: so these are made once.
local ffi = require "ffi"
local bit = require "bit"

local unit = {}

local function is_declared(name) return (pcall(ffi.typeof, name)) end

-- Declares once what no header of ours does; `name` tells one set of declarations from the others.
function unit.cdef(name, text)
  local mark = "cql__cdef_of_" .. name
  if not is_declared(mark) then ffi.cdef(text .. "\ntypedef int " .. mark .. ";") end
end

local path = os.getenv "CQL_TEST_LIBRARY" or "build/dev/libcql_test.so"

-- What stands in the headers of src/ but for inline functions, which no library exports.
local function internals()
  local file = assert(io.open(path:match "^(.*)/" .. "/internals.i"))
  local text = file:read "*a"
  file:close()
  return (text:gsub("static inline [^;{]-%b()%s*%b{}", ""):gsub("_Static_assert%s*%b();", ""))
end

if not is_declared "cql_completion_t" then ffi.cdef(require "cql.cdef") end
if not is_declared "cql_sim_counters_t" then ffi.cdef(require "cql.sim.cdef") end
if not is_declared "cql__internals_are_declared" then
  ffi.cdef(internals() .. "typedef int cql__internals_are_declared;")
end
unit.cdef("unit", [[
  void *malloc(size_t size);
  void *realloc(void *pointer, size_t size);
  void free(void *pointer);
]])

local C = ffi.load(path)
unit.C = C

-- ---- bytes ----

-- "0001ff" for "\0\1\255".
function unit.hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- The other way; blanks and line breaks between the digits are for the reader.
function unit.unhex(text)
  text = text:gsub("%s+", "")
  assert(#text % 2 == 0 and not text:find "%X", "not hex: " .. text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- A copy that the sanitizers watch to the byte; it lives as long as the cdata.
function unit.buffer(bytes)
  local copy = ffi.gc(ffi.cast("uint8_t *", ffi.C.malloc(#bytes)), ffi.C.free)
  ffi.copy(copy, bytes, #bytes)
  return copy
end

-- The bytes of a cql_slice_t; nil for null.
function unit.slice(slice)
  if slice.length < 0 then return nil end
  return ffi.string(slice.data, slice.length)
end

function unit.u8(n) return string.char(n) end
function unit.u16(n) return string.char(bit.band(bit.rshift(n, 8), 255), bit.band(n, 255)) end
function unit.u32(n)
  return unit.u16(bit.band(bit.rshift(n, 16), 0xffff)) .. unit.u16(bit.band(n, 0xffff))
end
-- [string], [short bytes], [bytes], [string list]
function unit.str(text) return unit.u16(#text) .. text end
function unit.bytes(value) return value and unit.u32(#value) .. value or unit.u32(-1) end
function unit.list(...)
  local out = { unit.u16(select("#", ...)) }
  for _, text in ipairs { ... } do out[#out + 1] = unit.str(text) end
  return table.concat(out)
end

-- ---- input that breaks ----

-- Calls fn(prefix) with every beginning of `bytes` that is shorter.
function unit.truncate(bytes, fn)
  for length = 0, #bytes - 1 do fn(bytes:sub(1, length), length) end
end

-- A generator of numbers below n that a seed repeats (xorshift, by Marsaglia).
function unit.random(seed)
  local state = bit.bxor(seed, 0x2545F491)
  return function(n)
    state = bit.bxor(state, bit.lshift(state, 13))
    state = bit.bxor(state, bit.rshift(state, 17))
    state = bit.bxor(state, bit.lshift(state, 5))
    return bit.band(state, 0x7fffffff) % n
  end
end

local function mutate(bytes, random)
  local at = random(#bytes) + 1
  local before, behind = bytes:sub(1, at - 1), bytes:sub(at + 1)
  local what = random(6)
  if what == 0 then return before .. behind end
  if what == 1 then return before .. string.char(random(256)) .. bytes:sub(at) end
  if what == 2 then return before .. "\255\255\255\255" .. bytes:sub(at + 4) end
  if what == 3 then return before .. "\127\255\255\255" .. bytes:sub(at + 4) end
  if what == 4 then
    local flipped = bit.bxor(bytes:byte(at), bit.lshift(1, random(8)))
    return before .. string.char(flipped) .. behind
  end
  return before .. string.char(random(256)) .. behind
end

-- Calls fn(mutant) `times` times: each is `bytes` after one to four changes. An error names the
-- mutant, so that it can become a spec of its own.
function unit.mutate(bytes, seed, times, fn)
  local random = unit.random(seed)
  for _ = 1, times do
    local mutant = bytes
    for _ = 0, random(4) do
      if #mutant > 0 then mutant = mutate(mutant, random) end
    end
    local ok, err = pcall(fn, mutant)
    if not ok then error(("with %s: %s"):format(unit.hex(mutant), tostring(err)), 2) end
  end
end

-- ---- memory ----

-- Calls fn() with the first, second ... allocation failing, until none does. fn(n) must answer
-- CQL_ENOMEM each time, and leave no memory behind when it does.
function unit.fail_each_allocation(fn)
  collectgarbage()
  collectgarbage "stop" -- finalizers of other specs would free memory in between
  for n = 1, 10000 do
    local live = tonumber(C.cql__mem_live())
    C.cql__mem_fail(n, 0)
    local before = tonumber(C.cql__mem_count())
    local result = fn(n)
    local made = tonumber(C.cql__mem_count()) - before
    C.cql__mem_fail(0, 0)
    if made < n then
      collectgarbage "restart"
      return n - 1, result
    end
    assert(result == C.CQL_ENOMEM, ("allocation %d failed, and the result is %s"):format(n,
      tostring(result)))
    assert(tonumber(C.cql__mem_live()) == live, ("allocation %d failed and leaks"):format(n))
  end
  error "it never ends"
end

-- Calls live(n, onwards) with n growing until it says that there was no such allocation to fail;
-- there are more than `least`. It bears what fails, and free_all() leaves nothing behind.
function unit.outlive_each_allocation(live, onwards, free_all, least)
  collectgarbage()
  collectgarbage "stop"
  local baseline, n = tonumber(C.cql__mem_live()), 0
  repeat
    n = n + 1
    local ok, any = pcall(live, n, onwards)
    C.cql__mem_fail(0, 0)
    if not ok then error(("allocation %d: %s"):format(n, tostring(any)), 0) end
    free_all()
    assert(tonumber(C.cql__mem_live()) == baseline, ("allocation %d leaks"):format(n))
    if n % 20 == 0 then collectgarbage() end
  until not any
  collectgarbage "restart"
  assert(n > least, n)
end

return unit
