-- The memory of rings and plans is what docs/routing.md says. (Times are no test.)
local program = (os.getenv "CQL_BUILD" or "build/dev") .. "/bench/route"

local function measured(nodes, tablets)
  local path = os.tmpname()
  local command = ("timeout 120 %s --nodes %s --tablets %s --json %s 2>&1"):format(program, nodes,
    tablets, path)
  local pipe = assert(io.popen(command))
  local text, lines = pipe:read "*a", {}
  pipe:close()
  for line in io.lines(path) do
    local fields = {}
    for name, value in line:gmatch '"([%w_]+)":(%d+%.?%d*)' do fields[name] = tonumber(value) end
    assert.truthy(line:find '"client":"c","work":"route"', 1, true)
    lines[#lines + 1] = fields
  end
  os.remove(path)
  return lines, text
end

local file = io.open(program)
if file then file:close() end
if os.getenv "CQL_SANITIZER" or not file then
  it("has counts", function() pending "this build has no programs of bench/" end)
  return
end

it("the memory of a ring and of its plans is what the page says", function()
  local lines, text = measured("3,100", "1000")
  assert.equal(3, #lines, text)
  assert.equal(1000, lines[3].tablets)
  assert.is_true(lines[3].tablets_kb > 0 and lines[3].cpu_us > 0, text)
  for i, nodes in ipairs { 3, 100 } do
    local found, tokens = lines[i], nodes * 256
    assert.equal(nodes, found.nodes)
    assert.equal(tokens, found.tokens)
    assert.equal(0, found.tablets)
    for _, name in ipairs { "cpu_us", "first_use_us", "slice_longest_us", "rss_kb" } do
      assert.is_true(found[name] > 0, name .. ": " .. text)
    end
    -- 1 kB: structs, what the allocator adds, and what is said in whole kB
    assert.is_true(found.ring_kb * 1024 <= 20 * tokens + nodes + 1024, text)
    local replicas = nodes == 3 and 3 or 6
    local page_kb = 4 + 1
    assert.is_true(found.plans_kb * 1024 <= (10 + 2 * replicas) * tokens * 1.05 + 17 * nodes +
      page_kb * 1024, text)
    assert.is_true(found.slices >= tokens * 9 / 32768, text)
  end
end)
