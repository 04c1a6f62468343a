local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C

local function md5(bytes)
  local out = ffi.new "uint8_t[16]"
  C.cql__md5(unit.buffer(bytes), #bytes, out)
  return unit.hex(ffi.string(out, 16))
end

-- What md5sum of coreutils says.
local function md5sum(bytes)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(bytes)
  file:close()
  local pipe = assert(io.popen("md5sum " .. path))
  local digest = pipe:read "*a":match "^%x+"
  pipe:close()
  os.remove(path)
  return digest
end

describe("MD5", function()
  it("is that of RFC 1321, A.5", function()
    local known = {
      [""] = "d41d8cd98f00b204e9800998ecf8427e",
      a = "0cc175b9c0f1b6a831c399e269772661",
      abc = "900150983cd24fb0d6963f7d28e17f72",
      ["message digest"] = "f96b697d7cb7938d525a2f31aaf161d0",
      abcdefghijklmnopqrstuvwxyz = "c3fcd3d76192e4007dfb496cca67e13b",
      ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 =
        "d174ab98d277d9f5a5611c2c9f419d9f",
      [("1234567890"):rep(8)] = "57edf4a22be3c955ac49da2e2107b67a",
    }
    for bytes, digest in pairs(known) do assert.equal(digest, md5(bytes)) end
  end)

  it("is right wherever a block ends", function()
    local random = unit.random(1)
    for _, size in ipairs { 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000 } do
      local bytes = {}
      for i = 1, size do bytes[i] = string.char(random(256)) end
      bytes = table.concat(bytes)
      assert.equal(md5sum(bytes), md5(bytes), size .. " bytes")
    end
  end)
end)
