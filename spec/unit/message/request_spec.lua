local ffi = require "ffi"
local unit = require "spec.support.unit"
require "spec.support.wire"

local C, hex, unhex = unit.C, unit.hex, unit.unhex

-- What encode(out, capacity) writes; it must ask for that size when there is less, and then write
-- nothing.
local function written(encode)
  local size = tonumber(encode(nil, 0))
  local out = unit.buffer(("?"):rep(size))
  assert.equal(size, tonumber(encode(out, size - 1)))
  assert.equal(("?"):rep(size), ffi.string(out, size))
  assert.equal(size, tonumber(encode(out, size)))
  return ffi.string(out, size)
end

local function startup(...)
  local list = { ... }
  local pairs_ = ffi.new("cql__pair[?]", #list / 2 + 1)
  for i = 0, #list / 2 - 1 do
    pairs_[i].name, pairs_[i].value = list[2 * i + 1], list[2 * i + 2]
  end
  return written(function(out, capacity)
    return C.cql__startup_encode(pairs_, #list / 2, out, capacity)
  end)
end

describe("bodies of small requests", function()
  it("are a map of options in STARTUP [spec v5 4.1.1]", function()
    -- The body of `0400000001 00000016 ...`, CQL_VERSION=3.0.0
    assert.equal("0001000b43514c5f56455253494f4e0005332e302e30",
      hex(startup("CQL_VERSION", "3.0.0")))
    assert.equal("0002" .. "000b43514c5f56455253494f4e0005332e302e30" ..
      "000b434f4d5052455353494f4e00036c7a34",
      hex(startup("CQL_VERSION", "3.0.0", "COMPRESSION", "lz4")))
    assert.equal("0000", hex(startup()))
  end)

  it("are a list of event types in REGISTER [spec v5 4.1.8]", function()
    local types = ffi.new("const char *[2]", { "TOPOLOGY_CHANGE", "STATUS_CHANGE" })
    assert.equal(unhex "0002 000f544f504f4c4f47595f4348414e4745 000d5354415455535f4348414e4745",
      written(function(out, capacity) return C.cql__register_encode(types, 2, out, capacity) end))
  end)

  it("are a token in AUTH_RESPONSE [spec v5 4.1.2; RFC 4616]", function()
    local token = "\0user\0pass"
    assert.equal(unhex "0000000a 00757365720070617373", written(function(out, capacity)
      return C.cql__auth_response_encode(token, #token, out, capacity)
    end))
    assert.equal(unhex "00000000", written(function(out, capacity)
      return C.cql__auth_response_encode(nil, 0, out, capacity)
    end))
  end)
end)
