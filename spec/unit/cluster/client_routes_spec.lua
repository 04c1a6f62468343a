-- The store of client routes: of which rows it makes a route, which of several it keeps, and what
-- it says has changed.
local ffi = require "ffi"
local unit = require "spec.support.unit"

local C = unit.C
local store, live

local function host(n) return ("\0"):rep(15) .. string.char(n) end

local function new(ids, tls)
  store = ffi.new "cql__client_routes"
  return C.cql__client_routes_init(store, ids, tls and 1 or 0)
end

-- One row: n is a host's number, or what stands in its place; false: null.
local function row(id, n, address, port)
  return unit.bytes(id) .. unit.bytes(type(n) == "number" and host(n) or n) ..
    unit.bytes(address) .. unit.bytes(type(port) == "number" and unit.u32(port) or port)
end

-- Takes rows until one can't be; `count`: so many, whatever there is.
local function take(rows, count)
  local body = table.concat(rows)
  local bytes = unit.buffer(body)
  local cursor = ffi.new("cql__cursor", bytes, bytes + #body, 0)
  for _ = 1, count or #rows do
    local error = C.cql__client_routes_take(store, cursor)
    if error ~= 0 then return error end
  end
  return 0
end

-- The last bytes of the hosts whose route changes by a reading of these rows.
local function read(rows)
  C.cql__client_routes_begin(store)
  assert.equal(0, take(rows))
  local calls, list = ffi.new "uint8_t[256]", {}
  C.cql__client_routes_end(store, C.cql__spec_route_changed, calls)
  for i = 1, calls[0] do list[i] = calls[i] end
  table.sort(list)
  return list
end

local function route(n)
  local found = C.cql__client_routes_find(store, host(n))
  return found ~= nil and ffi.string(found.address) .. ":" .. found.port or nil
end

before_each(function() live = tonumber(C.cql__mem_live()) end)

after_each(function()
  C.cql__client_routes_deinit(store)
  assert.equal(live, tonumber(C.cql__mem_live()))
end)

describe("connection ids", function()
  it("are asked for in one question, quoted, each once", function()
    assert.equal(0, new " it's one,two ,\tthree,, two")
    local query = ffi.string(store.query)
    local list = query:match("^SELECT connection_id, host_id, address, port FROM " ..
      "system.client_routes WHERE connection_id IN %((.*)%)$")
    local ids = {}
    for id in (list .. ", "):gmatch "(.-), " do ids[#ids + 1] = id end
    table.sort(ids)
    assert.same({ "'it''s one'", "'three'", "'two'" }, ids)
    C.cql__client_routes_deinit(store)
    assert.equal(0, new("one", true))
    assert.truthy(ffi.string(store.query):find("address, tls_port FROM", 1, true))
  end)

  it("may be a hundred of 255 bytes, quotes or not, and no more", function()
    local ids = {}
    for i = 1, 100 do ids[i] = ("'"):rep(252) .. ("%03d"):format(i) end
    assert.equal(0, new(table.concat(ids, ",")))
    C.cql__client_routes_deinit(store)
    for _, text in ipairs { "", " ", ",", ("a"):rep(256), table.concat(ids, ",") .. ",b" } do
      assert.equal(C.CQL_EVALUE, new(text))
      C.cql__client_routes_deinit(store)
    end
  end)
end)

describe("routes", function()
  before_each(function() assert.equal(0, new "a,b,c") end)

  it("come into force as a whole, and say what has changed", function()
    assert.same({ 1, 2 }, read { row("a", 1, "10.0.0.1", 9001), row("a", 2, "db.test", 9002) })
    assert.same({ "10.0.0.1:9001", "db.test:9002" }, { route(1), route(2) })
    assert.same({}, read { row("a", 2, "db.test", 9002), row("a", 1, "10.0.0.1", 9001) })
    assert.same({ 1, 3 }, read { row("a", 1, "10.0.0.1", 9101), row("a", 3, "x", 1) })
    assert.is_nil(route(2)) -- which is no change: there is nowhere else to go
    C.cql__client_routes_begin(store)
    assert.equal(0, take { row("a", 1, "10.0.0.9", 1) })
    assert.equal("10.0.0.1:9101", route(1))
    C.cql__client_routes_forget(store)
    local calls = ffi.new "uint8_t[256]"
    C.cql__client_routes_end(store, C.cql__spec_route_changed, calls)
    assert.same({ 0, "10.0.0.1:9101" }, { calls[0], route(1) })
  end)

  it("come in several pages", function()
    C.cql__client_routes_begin(store)
    for n = 1, 200 do assert.equal(0, take { row("a", n, "h" .. n, n) }) end
    local calls = ffi.new "uint8_t[256]"
    C.cql__client_routes_end(store, C.cql__spec_route_changed, calls)
    assert.equal(200, calls[0])
    for n = 1, 200 do assert.equal(("h%d:%d"):format(n, n), route(n)) end
  end)

  it("of one node: the id that it had, else the one that was told first", function()
    for _, order in ipairs { { 1, 2, 3 }, { 3, 2, 1 }, { 2, 3, 1 } } do
      local all = { row("a", 1, "a", 1), row("b", 1, "b", 2), row("c", 1, "c", 3) }
      local function some(without)
        local list = {}
        for _, i in ipairs(order) do if i ~= without then list[#list + 1] = all[i] end end
        return list
      end
      assert.equal(0, #read {})
      assert.same({ 1 }, read(some(1)))
      assert.equal("b:2", route(1))
      assert.same({}, read(some()))
      assert.equal("b:2", route(1))
      assert.same({ 1 }, read(some(2)))
      assert.equal("a:1", route(1))
    end
  end)

  it("are no rows that are of no use, which are counted", function()
    local bad = {
      row("d", 1, "x", 1), row(false, 1, "x", 1), row("", 1, "x", 1), row("a", false, "x", 1),
      row("a", "short", "x", 1), row("a", host(1) .. "\0", "x", 1), row("a", 0, "x", 1),
      row("a", 1, false, 1), row("a", 1, "", 1), row("a", 1, "a b", 1), row("a", 1, "a\0b", 1),
      row("a", 1, "a\nb", 1), row("a", 1, ("x"):rep(256), 1), row("a", 1, "x", false),
      row("a", 1, "x", 0), row("a", 1, "x", -1), row("a", 1, "x", 65536), row("a", 1, "x", "\0\1"),
    }
    assert.same({ 2 }, read { row("a", 2, ("x"):rep(255), 65535), unpack(bad) })
    assert.equal(#bad, store.bad_rows)
    assert.is_nil(route(1))
    read {}
    assert.equal(0, store.bad_rows)
  end)

  it("are refused where rows end in the midst", function()
    local whole = row("a", 1, "x", 1)
    C.cql__client_routes_begin(store)
    for size = 0, #whole - 1 do
      assert.equal(C.CQL_EMALFORMED, take({ whole:sub(1, size) }, 1))
    end
    assert.equal(C.CQL_EMALFORMED, take({ whole }, 2))
    assert.equal(0, take({ "" }, -1))
    C.cql__client_routes_forget(store)
  end)

  it("are those of 16,384 nodes at most", function()
    C.cql__client_routes_begin(store)
    for first = 0, 16000, 1000 do
      local rows = {}
      for n = first + 1, first + 1000 do
        rows[#rows + 1] = row("a", ("\1"):rep(12) .. unit.u32(n), "x", 1)
      end
      assert.equal(0, take(rows))
    end
    assert.equal(17000 - 16384, store.bad_rows)
    assert.equal(16384, store.draft.hosts.count)
  end)

  it("are as before where there is no memory", function()
    assert.same({ 1 }, read { row("b", 1, "x", 1) })
    for n = 1, 20 do
      C.cql__client_routes_begin(store)
      C.cql__mem_fail(n, 0)
      local status = take { row("a", 1, "y", 1), row("b", 1, "z", 1), row("a", 2, "y", 1) }
      C.cql__mem_fail(0, 0)
      if status == 0 then
        assert.is_true(n > 5)
        break
      end
      assert.equal(C.CQL_ENOMEM, status)
      C.cql__client_routes_forget(store)
      assert.equal("x:1", route(1))
    end
  end)
end)

it("an event concerns routes if one of its connection ids is asked for", function()
  assert.equal(0, new "a,b")
  local function concerns(bytes)
    return C.cql__client_routes_concern(store, bytes and { unit.buffer(bytes), #bytes } or
      { nil, C.CQL_NULL })
  end
  assert.equal(1, concerns(unit.list("x", "b")))
  for _, bytes in ipairs { unit.list("x", "ab"), unit.list(), unit.list "", "\0\2\0\1x\0\1" } do
    assert.equal(0, concerns(bytes))
  end
  assert.equal(0, concerns(nil))
end)
