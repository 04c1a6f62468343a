-- docs/behaviours.md names specs and tests that exist.
local tree = require "spec.support.tree"

local PAGE = "docs/behaviours.md"

-- The tests and groups of a spec, by the text that names them in the source.
local function names_of(path)
  local names = {}
  for _, line in tree.lines("spec/" .. path) do
    if line:find "%f[%w]it%(" or line:find "describe[%w_]*%(" then
      for name in line:gmatch '"([^"]*)"' do names[name] = true end
    end
  end
  return names
end

-- What is wrong with the rows of a page, in words, and the number of tests that they name. The page
-- is given as `for` takes it: an iterator over (number, line).
local function check(...)
  local wrong, count, known = {}, 0, {}
  for number, line in ... do
    local shown = line:match "^| [^|]+ | (`.+) |$"
    local rule = line:find "^|%-" or line:find "^| behaviour |"
    if line:find "^|" and not shown and not rule then
      wrong[#wrong + 1] = number .. ": no row of a behaviour and its specs"
    end
    for path, tests in (shown or ""):gmatch "`([^`]+)`: ([^`]+)" do
      if not known[path] then
        local file = io.open("spec/" .. path)
        known[path] = file and names_of(path) or {}
        if file then file:close() else wrong[#wrong + 1] = number .. ": no spec " .. path end
      end
      for name in tests:gmatch '"([^"]*)"' do
        count = count + 1
        if not known[path][name] then
          wrong[#wrong + 1] = ("%d: no test %q in %s"):format(number, name, path)
        end
      end
    end
  end
  return wrong, count
end

describe(PAGE, function()
  it("names specs and tests that exist", function()
    local wrong, count = check(tree.lines(PAGE))
    assert.equal("", table.concat(wrong, "\n"))
    assert.is_true(count > 100, count)
  end)

  it("would be caught if it did not", function()
    local rows = {
      '| a | `lint/behaviours_spec.lua`: "would be caught if it did not" |',
      '| b | `lint/behaviours_spec.lua`: "is nowhere"; `lint/none_spec.lua`: "x" |',
      "| c | nothing |",
    }
    local wrong = check(ipairs(rows))
    assert.same({ '2: no test "is nowhere" in lint/behaviours_spec.lua',
      "2: no spec lint/none_spec.lua", '2: no test "x" in lint/none_spec.lua',
      "3: no row of a behaviour and its specs" }, wrong)
  end)
end)
