-- The simulator's store answers as a real server does: the same random statements on both.
local cql = require "cql"
local cassandra = require "spec.support.cassandra"
local unit = require "spec.support.unit"
local store = require "spec.support.store"

local C = unit.C
local KEYSPACE = "store_spec"
local STATEMENTS = 400

-- ---- one text for a value, from either side ----

local function number_text(value)
  if type(value) == "cdata" then return (tostring(value):gsub("LL$", "")) end
  return ("%.0f"):format(value)
end

local function live_text(value)
  if type(value) == "number" or type(value) == "cdata" then return number_text(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for i, item in ipairs(value) do parts[i] = live_text(item) end
  if #parts == 0 then
    for key, item in pairs(value) do parts[#parts + 1] = key .. ":" .. live_text(item) end
    table.sort(parts) -- as the bytes of a map are
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- The items of a collection of int and text, whose first byte tells them apart here.
local function items_of(bytes)
  local out, at = {}, 5
  while at <= #bytes do
    local length = bytes:byte(at + 3)
    local item = bytes:sub(at + 4, at + 3 + length)
    local is_int = #item == 4 and item:byte(1) == 0
    out[#out + 1] = is_int and tostring(item:byte(3) * 256 + item:byte(4)) or item
    at = at + 4 + length
  end
  return out
end

local function sim_text(value, kind)
  if type(value) == "number" or type(value) == "cdata" then return number_text(value) end
  if type(value) ~= "string" or kind < C.CQL_LIST then return tostring(value) end
  local items, parts = items_of(value), {}
  for i = 1, #items, kind == C.CQL_MAP and 2 or 1 do
    parts[#parts + 1] = kind == C.CQL_MAP and items[i] .. ":" .. items[i + 1] or items[i]
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

-- ---- one text for an answer ----

local function live_answer(session, text, timestamp)
  local result, err = session:execute(text, nil, { timestamp = timestamp })
  if not result then return ("error %04x"):format(err.code or -1), err.message end
  local rows = {}
  if not result.each then return "" end
  for row in result:each() do
    local cells = {}
    for name, value in pairs(row) do cells[#cells + 1] = name .. "=" .. live_text(value) end
    table.sort(cells)
    rows[#rows + 1] = table.concat(cells, " ")
  end
  return table.concat(rows, " | ")
end

local function sim_answer(db, text, timestamp)
  local result = db:try(text, nil, { timestamp = timestamp })
  if result.kind == "error" then return ("error %04x"):format(result.code), result.message end
  local rows = {}
  for i, row in ipairs(result.rows or {}) do
    local cells = {}
    for _, column in ipairs(result.columns) do
      local value = row[column.name]
      if value ~= nil then
        cells[#cells + 1] = column.name .. "=" .. sim_text(value, column.kind)
      end
    end
    table.sort(cells)
    rows[i] = table.concat(cells, " ")
  end
  return table.concat(rows, " | ")
end

-- ---- statements ----

local TABLES = {
  [[CREATE TABLE store_spec.a (p int, c int, d text, v int, w text, s int static,
    PRIMARY KEY (p, c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC)]],
  [[CREATE TABLE store_spec.b (p int, q text, v int, l list<int>, e set<int>, m map<text, int>,
    PRIMARY KEY ((p, q)))]],
  "CREATE TABLE store_spec.n (p int PRIMARY KEY, x counter, y counter)",
}

-- Words in capitals are replaced: P, N are numbers, D texts of the key, V, W values, O operators.
local SHAPES = {
  "INSERT INTO a (p, c, d, v, w) VALUES (P, N, D, V, W) TIME",
  "INSERT INTO a (p, c, d, v) VALUES (P, N, D, V) IF NOT EXISTS",
  "INSERT INTO a (p, s) VALUES (P, V)",
  "UPDATE a TIME SET v = V, w = W WHERE p = P AND c = N AND d = D",
  "UPDATE a SET v = V WHERE p = P AND c = N AND d = D CONDITION",
  "UPDATE a SET s = V WHERE p = P",
  "DELETE FROM a WHERE p = P ROWS",
  "DELETE v FROM a WHERE p = P AND c = N AND d = D CONDITION",
  "DELETE FROM a WHERE p = P AND c = N AND d = D CONDITION",
  "SELECT * FROM a WHERE p = P ROWS SORT",
  "SELECT c, d, v AS x FROM a WHERE p = P ROWS SORT",
  "SELECT p, s FROM a WHERE p = P ROWS",
  "SELECT count(*) FROM a WHERE p = P ROWS",
  "SELECT * FROM a EACH",
  "SELECT DISTINCT p, s FROM a",
  "UPDATE b SET l = l + [N, N], e = e + {N}, m['k'] = V WHERE p = 1 AND q = D",
  "UPDATE b SET l = [N] + l, e = e - {N}, m = m + {'z': N} WHERE p = 1 AND q = D",
  "UPDATE b SET l = l - [N], m = m - {'k'} WHERE p = 1 AND q = D",
  "UPDATE b SET l[0] = V WHERE p = 1 AND q = D",
  "INSERT INTO b (p, q, v, l, e, m) VALUES (1, D, V, [N], {3, N}, {'k': N})",
  "DELETE m['k'], e[3] FROM b WHERE p = 1 AND q = D",
  "UPDATE b SET v = 9 WHERE p = 1 AND q = D IF m['k'] = V",
  "SELECT * FROM b",
  "SELECT * FROM b WHERE p = 1 AND q IN ('c', 'a')",
  "SELECT * FROM b WHERE e CONTAINS 1 ALLOW FILTERING",
  "SELECT * FROM b WHERE m CONTAINS KEY 'k' ALLOW FILTERING",
  "SELECT * FROM b WHERE m['k'] = 1 ALLOW FILTERING",
  "UPDATE n SET x = x + N, y = y - N WHERE p = P",
  "SELECT * FROM n",
  [[BEGIN BATCH INSERT INTO a (p, c, d, v) VALUES (1, N, 'a', 5) IF NOT EXISTS
    UPDATE a SET v = 6 WHERE p = 1 AND c = N AND d = 'b' IF v = V APPLY BATCH]],
}

local WORDS = {
  P = { "0", "1", "2", "3" },
  N = { "0", "1", "2", "3" },
  D = { "'a'", "'b'", "'c'" },
  V = { "0", "1", "2", "null", "7" },
  W = { "'x'", "'y'", "null", "''" },
  O = { "=", "<", "<=", ">", ">=" },
  CONDITION = { "", "", "IF EXISTS", "IF v = V", "IF v != V AND w = W", "IF v IN (1, 2)",
    "IF s = V", "IF v > 1" },
  ROWS = { "", "AND c O N", "AND c = N AND d = D", "AND c = N AND d O D", "AND c IN (N, N)",
    "AND c > N AND c < N", "AND c IN (N, N) AND d IN (D, D)", "AND d = D" },
  SORT = { "", "", "ORDER BY c ASC", "ORDER BY c DESC", "LIMIT 2", "PER PARTITION LIMIT 1",
    "ORDER BY c ASC, d DESC LIMIT 3", "ORDER BY d ASC" },
  EACH = { "", "LIMIT 4", "PER PARTITION LIMIT 2", "WHERE v = 1 ALLOW FILTERING", "WHERE v = 1",
    "WHERE c > 1 ALLOW FILTERING", "WHERE p IN (1, 3, 2)", "WHERE s = 1 ALLOW FILTERING" },
}

local function pick(random, list) return list[random(#list) + 1] end

local function statement(random, timestamp)
  WORDS.TIME = { "", "", "USING TTL 100000",
    ("USING TIMESTAMP %s"):format(number_text(timestamp - random(30))) }
  local text = pick(random, SHAPES)
  for _ = 1, 3 do -- words stand for words
    text = text:gsub("%u+", function(word)
      return WORDS[word] and pick(random, WORDS[word]) or nil
    end)
  end
  return (text:gsub("(%u+ )([abn])( ?)", function(before, name, after)
    local is_table = ("FROM INTO UPDATE"):find(before:sub(1, -2), 1, true)
    return is_table and before .. KEYSPACE .. "." .. name .. after or nil
  end))
end

cassandra.describe("the store and a real server", function(server)
  for seed = 1, 3 do
    it("agree on random statements of seed " .. seed, function()
      local session = assert(cql.connect(server:options { request_timeout_ms = 20000 }))
      local db, random, timestamp = store.new(), unit.random(seed), 1600000000000000LL
      local refused = 0
      local function compare(text)
        timestamp = timestamp + 1
        db.now_us = db.now_us + 1000
        local live, live_message = live_answer(session, text, timestamp)
        local sim, sim_message = sim_answer(db, text, timestamp)
        if live_message then refused = refused + 1 end
        assert.equal(live, sim, ("%s\n%s\n%s"):format(text, tostring(live_message),
          tostring(sim_message)))
      end
      assert(session:execute("DROP KEYSPACE IF EXISTS " .. KEYSPACE))
      compare("CREATE KEYSPACE " .. KEYSPACE .. " WITH replication = " ..
        "{'class': 'SimpleStrategy', 'replication_factor': 1}")
      for _, text in ipairs(TABLES) do compare(text) end
      for _ = 1, STATEMENTS do compare(statement(random, timestamp)) end
      for _, name in ipairs { "a", "b", "n" } do
        compare(("SELECT * FROM %s.%s"):format(KEYSPACE, name))
      end
      assert.is_true(refused < STATEMENTS / 5, refused .. " statements were refused")
      assert(session:execute("DROP KEYSPACE " .. KEYSPACE))
      assert(session:close())
    end)
  end
end)
