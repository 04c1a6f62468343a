-- What a session in Lua remembers of the shapes of rows: those that come again, and not all.
local sim = require "cql.sim"

-- All that hangs on the session's memory of shapes.
local function count(session)
  local found, seen = 0, {}
  local function walk(value)
    if type(value) ~= "table" or seen[value] then return end
    seen[value] = true
    if value.build then
      found = found + 1
      return
    end
    for _, one in pairs(value) do walk(one) end
  end
  walk(session.shapes)
  return found
end

it("a session forgets the shapes that come no more, and reads on", function()
  local world = sim.world {}
  local session = assert(world:connect { consistency = "one" })
  local function ask(i)
    local rows = assert(session:execute(("SELECT key AS column_%d FROM system.local"):format(i)))
    assert.equal("local", rows[1]["column_" .. i])
  end
  for i = 1, 3000 do
    ask(i)
    if i % 100 == 0 then ask(0) end -- it comes again and again
  end
  assert.is_true(count(session) <= 1024)
  for i = 1, 10 do ask(i) end
  session:close()
end)
