-- The code in README and in the pages for users runs, from top to bottom, on a real Cassandra.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"

local PAGES = { "README.md", "docs/guide.md", "docs/recipes.md", "docs/values.md" }

local function blocks(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  local list, line = {}, 1
  for before, code in text:gmatch "(.-)```lua\n(.-)```" do
    line = line + select(2, before:gsub("\n", "")) + 1
    list[#list + 1] = { line = line, code = code }
    line = line + select(2, code:gsub("\n", ""))
  end
  return list
end

cassandra.describe("the code in", function(server)
  -- The pages speak of 127.0.0.1; the server for specs may be elsewhere.
  local here = setmetatable({
    connect = function(options)
      return cql.connect(server:options {
        keyspace = options.keyspace, discover = options.discover, distance = options.distance,
        on = options.on,
      })
    end,
  }, { __index = cql })
  local session

  before_each(function()
    session = assert(cql.connect(server:options { consistency = "one" }))
    for _, statement in ipairs {
      "DROP KEYSPACE IF EXISTS shop",
      "CREATE KEYSPACE shop WITH replication = "
        .. "{'class': 'SimpleStrategy', 'replication_factor': 1}",
      "CREATE TABLE shop.items (id int PRIMARY KEY, name text, price double, tags set<text>)",
      "CREATE TABLE shop.events (id int PRIMARY KEY, payload blob)",
      "INSERT INTO shop.events (id, payload) VALUES (1, 0xff)",
    } do
      assert(session:execute(statement))
    end
    for id = 1, 1000 do
      session:submit("INSERT INTO shop.items (id, name, price) VALUES (?, 'x', 1)", { id })
    end
    assert(session:use "shop")
  end)
  after_each(function()
    assert(session:execute "DROP KEYSPACE shop")
    assert(session:close())
  end)

  for _, path in ipairs(PAGES) do
    it(path, function()
      local world = setmetatable({
        session = session, cql = here, print = function() end,
        query = "SELECT id FROM items WHERE id = ?", values = { 1 },
        by_id_update = assert(session:prepare "UPDATE items SET name = ? WHERE id = ?"),
        require = function(name) return name == "cql" and here or require(name) end,
      }, { __index = _G })
      local list = blocks(path)
      assert.is_true(#list > 0)
      for _, block in ipairs(list) do
        -- What one block declares, the next ones see.
        local code = block.code:gsub("^local (%a[%w_, ]* =)", "%1"):gsub("\nlocal (%a[%w_, ]* =)",
          "\n%1"):gsub("\nlocal function ", "\nfunction "):gsub("^local function ", "function ")
        local name = ("=%s:%d"):format(path, block.line)
        assert.is_truthy(code:find "%S", name)
        local ok, why = xpcall(setfenv(assert(loadstring(code, name)), world), debug.traceback)
        if not ok then error(name .. ": " .. tostring(why)) end
        if not world.session.handle then world.session = session end -- the page closed its own
      end
    end)
  end
end)
