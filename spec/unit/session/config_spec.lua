-- Options by name: their bounds, what is said of those that are wrong, and that docs/options.md
-- lists all of them with the defaults that they have.
local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C

local function new() return ffi.gc(C.cql_config_new(), C.cql_config_free) end
local function why(config) return ffi.string(C.cql_config_error(config)) end

local function set(config, name, value)
  local result = C.cql_config_set(config, name, value)
  if result == 0 then return true end
  assert.equal(C.CQL_EOPTION, result)
  return nil, why(config)
end

local function get(config, name)
  local value = ffi.cast("struct cql_config_s *", config)[name]
  if type(value) == "cdata" and ffi.istype("int64_t", value) then return tonumber(value) end
  return value ~= nil and ffi.string(value) or nil
end

local function names()
  local list = {}
  while C.cql_config_option(#list) ~= nil do
    list[#list + 1] = ffi.string(C.cql_config_option(#list))
  end
  return list
end

-- What an option takes, in its own words: they are the end of the sentence that refuses nonsense.
local function takes(name)
  local config = new()
  local ok, text = set(config, name, "n o n s e n s e")
  if ok then return "text" end
  return assert(text:match("^" .. name .. ' can\'t be "n o n s e n s e"; it takes (.+)$'), text)
end

describe("options", function()
  it("take what they say, and nothing beside it", function()
    local seen = 0
    for _, name in ipairs(names()) do
      local config, wanted = new(), takes(name)
      local low, high = wanted:match "^a whole number from (%-?%d+) to (%d+)$"
      seen = seen + 1
      if low then
        for _, good in ipairs { low, high } do
          assert(set(config, name, good))
          assert.equal(tonumber(good), get(config, name))
          assert.equal("", why(config))
        end
        for _, bad in ipairs { tostring(low - 1), ("%d"):format(high + 1), "", "x", low .. "x",
          "1.5", "99999999999999999999", "-99999999999999999999", "0x10" } do
          assert(not set(config, name, bad), name .. " took " .. bad)
          assert.equal(tonumber(high), get(config, name)) -- as before
        end
      elseif wanted == "true or false" then
        for text, number in pairs { ["true"] = 1, ["false"] = 0, ["1"] = 1, ["0"] = 0 } do
          assert(set(config, name, text))
          assert.equal(number, get(config, name))
        end
        for _, bad in ipairs { "", "yes", "2", "TRUE " } do assert(not set(config, name, bad)) end
      elseif wanted:find "^one of" then
        for choice in wanted:sub(8):gmatch "%S+" do
          assert(set(config, name, choice))
          assert(set(config, name, choice:upper()))
        end
        for _, bad in ipairs { "", "x", "one of", " " } do
          assert(not set(config, name, bad))
        end
      else
        assert(set(config, name, "some text"))
        assert.equal("some text", get(config, name))
        assert(set(config, name, ""))
        assert.equal("", get(config, name))
      end
    end
    assert(seen > 40)
  end)

  it("are numbers as the protocol has them where they have names", function()
    local config = new()
    for name, number in pairs { any = 0, one = 1, two = 2, three = 3, quorum = 4, all = 5,
      local_quorum = 6, each_quorum = 7, serial = 8, local_serial = 9, local_one = 10 } do
      assert(set(config, "consistency", name))
      assert.equal(number, get(config, "consistency"))
    end
    assert(not set(config, "serial_consistency", "quorum"))
    for _, bad in ipairs { "1", "2", "6" } do assert(not set(config, "protocol_version", bad)) end
  end)

  it("that are misspelt bring the nearest name to mind", function()
    local config = new()
    for misspelt, meant in pairs { contact_point = "contact_points", Port = "port",
      requst_timeout_ms = "request_timeout_ms", request_timeout = "request_timeout_ms",
      tls_verfy = "tls_verify", heartbeat_timeout = "heartbeat_timeout_ms",
      ["stream-max"] = "streams_max", local_dc = "local_datacenter",
      datacenter = "local_datacenter", user = "username" } do
      local _, text = set(config, misspelt, "1")
      assert.equal(('unknown option "%s"; did you mean "%s"?'):format(misspelt, meant), text)
    end
    local _, text = set(config, ("x"):rep(5000), "1") -- cut, not overrun
    assert(#text < 160 and text:find('did you mean "', 1, true))
    assert(not set(config, "", "1"))
  end)

  it("leave the reason of the last failure, and none of a success", function()
    local config = new()
    assert.equal("", why(config))
    assert(not set(config, "port", "0"))
    assert.equal('port can\'t be "0"; it takes a whole number from 1 to 65535', why(config))
    assert(set(config, "port", "1"))
    assert.equal("", why(config))
    local _, text = set(config, "port", ("9"):rep(5000))
    assert(#text < 160)
  end)

  it("never fail half: with no memory the text is as before", function()
    local config = new()
    assert(set(config, "keyspace", "first"))
    C.cql__mem_fail(1, 0)
    assert.equal(C.CQL_ENOMEM, C.cql_config_set(config, "keyspace", "second"))
    assert.equal("first", get(config, "keyspace"))
    assert.equal(0, C.cql_config_set(config, "keyspace", "second"))
    C.cql__mem_fail(1, 0)
    assert.equal(nil, C.cql_config_new())
    C.cql__mem_fail(0, 0)
  end)

  it("need a name and a value", function()
    local config = new()
    assert.equal(C.CQL_EINVAL, C.cql_config_set(config, nil, "1"))
    assert.equal(C.CQL_EINVAL, C.cql_config_set(config, "port", nil))
    C.cql_config_free(nil)
  end)
end)

describe("a session", function()
  it("that can't be made leaves the reason in its configuration", function()
    local out = ffi.new "cql_session_t *[1]"
    for points, bad in pairs { ["a b:0"] = "b:0", ["x:"] = "x:", [":9042"] = ":9042",
      [","] = "", [("n"):rep(300)] = ("n"):rep(100), ["h:port"] = "h:port",
      ["[::1]:x"] = "[::1]:x" } do
      local config = new()
      assert(set(config, "contact_points", points))
      assert.equal(C.CQL_EOPTION, C.cql_session_new(config, out))
      assert.equal(nil, out[0] ~= nil and out[0] or nil)
      assert.equal(('contact_points: "%s" is neither an address nor a name, with a port or '
        .. "without"):format(bad), why(config))
    end
    local config = new()
    assert(set(config, "local_address", "nowhere"))
    assert.equal(C.CQL_EOPTION, C.cql_session_new(config, out))
    assert.truthy(why(config):find("local_address", 1, true))
  end)
end)

-- ---- the page ----

-- { { name, default, what it takes } ... } of the tables in docs/options.md, but that of Lua's own.
local function documented()
  local list = {}
  for line in io.lines "docs/options.md" do
    if line == "## In Lua" then break end
    local name, default, what = line:match "^| `([%w_]+)` |%s*([^|]-)%s*|%s*([^|]-)%s*|$"
    if name then list[#list + 1] = { name = name, default = default, what = what } end
  end
  return list
end

local CHOICES = { consistency = { [6] = "local_quorum" },
  serial_consistency = { [9] = "local_serial" }, compression = { [0] = "none" },
  tls_verify = { [2] = "full" }, tls_min_version = { [12] = "1.2" } }

local function default_of(config, name)
  local value, wanted = get(config, name), takes(name)
  if wanted == "text" then
    assert.equal(nil, value)
    return ""
  end
  if wanted == "true or false" then return value == 1 and "true" or "false" end
  if name:find "^remote_" and value == -1 then return "" end -- as the others
  return CHOICES[name] and CHOICES[name][value] or ("%d"):format(value)
end

-- "1 to 65535", "true, false", "`a`, `b`" or a description of the text.
local function described(name)
  local wanted = takes(name)
  local low, high = wanted:match "^a whole number from (%-?%d+) to (%d+)$"
  if low then return ("%s to %s"):format(low, high) end
  if wanted == "true or false" then return "true, false" end
  local choices = wanted:match "^one of (.+)$"
  return choices and (choices:gsub("%s+", ", "))
end

describe("docs/options.md", function()
  it("lists every option once", function()
    local listed = {}
    for _, option in ipairs(documented()) do listed[#listed + 1] = option.name end
    local all = names()
    table.sort(all)
    table.sort(listed)
    assert.same(all, listed)
  end)

  it("has their defaults and bounds", function()
    local config = new()
    for _, option in ipairs(documented()) do
      local default = default_of(config, option.name)
      assert.equal(option.name .. ": " .. default,
        option.name .. ": " .. option.default:gsub("`", ""))
      local wanted = described(option.name)
      if wanted then
        assert(option.what:sub(1, #wanted) == wanted,
          ("%s takes %s, and the page says %s"):format(option.name, wanted, option.what))
      end
    end
  end)
end)
