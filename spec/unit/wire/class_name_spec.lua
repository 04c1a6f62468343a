local ffi = require "ffi"
local unit = require "spec.support.unit"
local wire = require "spec.support.wire"

local C = unit.C
local PACKAGE = "org.apache.cassandra.db.marshal."

-- The type in words, and the descriptor with what keeps it.
local function read(class)
  local owner = assert(wire.read_type(unit.u16(0) .. unit.str(class)))
  return wire.type_text(owner.type), owner.type, owner
end

-- With the package before each class: names that a "(" or a capital tell from other words.
local function with_package(class) return (class:gsub("%f[%w_]%u[%w]+Type", PACKAGE .. "%0")) end

describe("class names", function()
  local CLASSES = { -- of org.apache.cassandra.db.marshal
    AsciiType = "ascii", LongType = "bigint", BytesType = "blob", BooleanType = "boolean",
    CounterColumnType = "counter", DecimalType = "decimal", DoubleType = "double",
    FloatType = "float", Int32Type = "int", TimestampType = "timestamp", DateType = "timestamp",
    UUIDType = "uuid", LexicalUUIDType = "uuid", UTF8Type = "text", IntegerType = "varint",
    TimeUUIDType = "timeuuid", InetAddressType = "inet", SimpleDateType = "date",
    TimeType = "time", ShortType = "smallint", ByteType = "tinyint", DurationType = "duration",
  }

  it("stand for scalars, with the package and without", function()
    for class, name in pairs(CLASSES) do
      assert.equal(name, (read(class)))
      assert.equal(name, (read(PACKAGE .. class)))
      assert.equal(name, (read("  " .. PACKAGE .. class .. "\t\n")))
    end
  end)

  it("stand for what holds others", function()
    local cases = {
      ["ListType(Int32Type)"] = "list<int>",
      ["SetType(UTF8Type)"] = "set<text>",
      ["MapType(Int32Type,UTF8Type)"] = "map<int, text>",
      ["MapType( Int32Type , ListType( UTF8Type ) )"] = "map<int, list<text>>",
      ["TupleType(Int32Type,UTF8Type,LongType)"] = "tuple<int, text, bigint>",
      ["FrozenType(ListType(FrozenType(SetType(UUIDType))))"] = "list<set<uuid>>",
      ["ReversedType(TimestampType)"] = "timestamp",
      ["ReversedType(FrozenType(TupleType(ByteType)))"] = "tuple<tinyint>",
    }
    for class, text in pairs(cases) do
      assert.equal(text, (read(class)))
      assert.equal(text, (read(with_package(class))))
    end
  end)

  it("stand for vectors", function()
    -- As seen on Cassandra 5.0.9, and from ScyllaDB (without the blank before the comma)
    local text, type = read(PACKAGE .. "VectorType(" .. PACKAGE .. "FloatType , 3)")
    assert.equal("vector<float, 3>", text)
    assert.equal(4, type.fixed_size)
    assert.equal("vector<float, 3>", (read(PACKAGE .. "VectorType(" .. PACKAGE .. "FloatType, 3)")))
    text, type = read "VectorType(VectorType(Int32Type,2),3)"
    assert.equal("vector<vector<int, 2>, 3>", text)
    assert.equal(8, type.fixed_size)
    text, type = read "VectorType(ShortType,2)"
    assert.equal("vector<smallint, 2>", text)
    assert.equal(0, type.fixed_size)
    text, type = read "VectorType(VectorType(UTF8Type,2),3)"
    assert.equal("vector<vector<text, 2>, 3>", text)
    assert.equal(0, type.fixed_size)
    assert.equal("vector<int, 2147483647>", (read "VectorType(Int32Type,2147483647)"))
  end)

  it("stand for user types, whose names are in hex", function()
    -- As seen on Cassandra 5.0.9: type "u" of fields "x" and "y" in keyspace "ks"
    local class = PACKAGE .. "VectorType(" .. PACKAGE .. "FrozenType(" .. PACKAGE ..
      "UserType(ks,75,78:" .. PACKAGE .. "Int32Type,79:" .. PACKAGE .. "UTF8Type)) , 2)"
    local text, type = read(class)
    assert.equal("vector<ks.u<x int, y text>, 2>", text)
    local udt = type.children[0]
    assert.equal("ks", unit.slice(udt.keyspace))
    assert.equal("u", unit.slice(udt.name))
    assert.equal("y", unit.slice(udt.names[1]))
    assert.equal("ks.été<ö int>", (read "UserType(ks , c3a974c3a9, C3B6 : Int32Type )"))
    assert.equal("ks.u", (read "UserType(ks,75)"))
  end)

  it("stay custom, under their name, when unknown", function()
    for _, class in ipairs {
      "com.example.Color", "Color", "com.example.Int32Type", "EmptyType",
      PACKAGE .. "CompositeType(" .. PACKAGE .. "Int32Type," .. PACKAGE .. "UTF8Type)",
      "DynamicCompositeType(a=>Int32Type,b=>UTF8Type)", "Int32Type(UTF8Type)", PACKAGE,
      PACKAGE .. "ListType", "VectorType",
    } do
      local text, type = read(class)
      assert.equal("'" .. class .. "'", text)
      assert.equal(0, type.child_count)
    end
    assert.equal("list<'Color'>", (read "ListType( Color )"))
    assert.equal("map<'a.B(c(d),e)', int>", (read "MapType( a.B(c(d),e) ,Int32Type)"))
  end)

  it("stay custom as a whole when they can't be read", function()
    for _, class in ipairs {
      "", " ", "(", ")", ",", "ListType(", "ListType()", "ListType(Int32Type",
      "ListType(Int32Type))", "ListType(Int32Type,UTF8Type)", "MapType(Int32Type)",
      "MapType(Int32Type,,UTF8Type)",
      "TupleType()", "TupleType(Int32Type,)", "Int32Type UTF8Type", "Int32Type,UTF8Type",
      "VectorType(Int32Type)", "VectorType(Int32Type,0)", "VectorType(Int32Type,-1)",
      "VectorType(Int32Type,x)", "VectorType(Int32Type,)", "VectorType(Int32Type,2147483648)",
      "VectorType(Int32Type,99999999999999999999999)", "VectorType(Int32Type,3,4)",
      "FrozenType()", "FrozenType(Int32Type,Int32Type)", "UserType()", "UserType(ks)",
      "UserType(ks,7)", "UserType(ks,7g)", "UserType(ks,75,)", "UserType(ks,75,78)",
      "UserType(ks,75,78:)", "UserType(ks,75,:Int32Type)", "UserType(ks,75,78:Int32Type",
      "MapType(a.B(c(d),Int32Type)", "UserType(ks,,78:Int32Type)", "UserType(ks,75 76)",
    } do
      assert.equal("'" .. class .. "'", (read(class)))
    end
  end)

  it("count as custom when they nest too deep", function()
    local class = ("ListType("):rep(31) .. "Int32Type" .. (")"):rep(31)
    assert.equal(("list<"):rep(31) .. "int" .. (">"):rep(31), (read(class)))
    for _, levels in ipairs { 32, 33, 6500 } do
      class = ("ListType("):rep(levels) .. "Int32Type" .. (")"):rep(levels)
      assert.equal("'" .. class .. "'", (read(class)))
    end
    class = ("("):rep(65535)
    assert.equal("'" .. class .. "'", (read(class)))
  end)

  it("are read in one pass, however wide", function()
    local class = "TupleType(" .. ("ByteType,"):rep(7000) .. "ByteType)"
    local _, type = read(class)
    assert.equal(7001, type.child_count)
    assert.equal(C.CQL_TINYINT, type.children[7000].kind)
  end)

  it("read nothing outside of their text, whatever it is", function()
    local seed = PACKAGE .. "MapType(FrozenType(UserType(ks,75,78:Int32Type,79:UTF8Type))," ..
      "VectorType(TupleType(Color(a,b),ShortType) , 12))"
    local pieces = { "(", ")", ",", ":", " ", "ListType(", "75", "FrozenType(" }
    local random = unit.random(7)
    for _ = 1, 20000 do
      local class = seed
      for _ = 0, random(3) do
        local at = random(#class) + 1
        class = class:sub(1, at - 1) .. (random(2) == 0 and pieces[random(#pieces) + 1] or "") ..
          class:sub(at + random(4))
      end
      read(class)
    end
    unit.mutate(seed, 2, 20000, read)
    unit.truncate(seed, function(part) assert.equal("'" .. part .. "'", (read(part))) end)
  end)

  it("leave nothing behind when memory runs out", function()
    local class = "MapType(UserType(ks,75,78:Int32Type,79:Color),TupleType(" ..
      ("Int32Type,"):rep(100) .. "Color))"
    local failures = unit.fail_each_allocation(function()
      local arena, type = ffi.new "cql__arena", ffi.new "cql_type_t"
      local bytes = unit.buffer(class)
      local result = C.cql__class_name_read(ffi.new("cql_slice_t", bytes, #class), arena, 0, type)
      C.cql__arena_free(arena)
      return result
    end)
    assert.is_true(failures > 3)
  end)
end)
